"""The fleet's own small door on loopback: cut a township off, put it back, see what is going on.

POST /cut/{township}   POST /restore/{township}   POST /cut/monitor   POST /restore/monitor   GET /state
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web

from monitor.errors import MonitorError
from monitor.fleet.player import Fleet

#: Where the fleet is told what to do, unless told otherwise.
CONTROL = "127.0.0.1:8089"
ACTIONS = ("cut", "restore", "state")
MONITOR = "monitor"
LIMIT_S = 5.0


def control_app(fleet: Fleet) -> web.Application:
    async def act(request: web.Request) -> web.Response:
        action, target = request.match_info["action"], request.match_info["target"]
        try:
            if target == MONITOR:
                fleet.cut_monitor(action == "cut")
                terminals = len(fleet.actors)
            else:
                terminals = fleet.cut(target) if action == "cut" else fleet.restore(target)
        except MonitorError as error:
            return web.json_response({"error": {"code": "unknown_township", "message": str(error)}}, status=404)
        return web.json_response({"action": action, "target": target, "terminals": terminals})

    async def state(_: web.Request) -> web.Response:
        return web.json_response(fleet.state())

    app = web.Application()
    app.router.add_post("/{action:cut|restore}/{target}", act)
    app.router.add_get("/state", state)
    return app


@asynccontextmanager
async def control_server(fleet: Fleet, address: str = CONTROL) -> AsyncIterator[str]:
    """Serve the door while the block runs; yields its address. Raises MonitorError where it cannot be had."""
    host, port = _split(address)
    runner = web.AppRunner(control_app(fleet), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise MonitorError(f"cannot listen on {address} for the fleet's control: {error.strerror}") from error
        bound = runner.addresses[0]
        yield f"{bound[0]}:{bound[1]}"
    finally:
        await runner.cleanup()


async def fleet_control(action: str, target: str = "", address: str = CONTROL) -> dict[str, Any]:
    """Have a running fleet `cut` or `restore` a township or `monitor`, or tell its `state`; its answer.

    Raises MonitorError where nobody answers, or the township is unknown.
    """
    if action not in ACTIONS or (action != "state") != bool(target):
        raise MonitorError(
            f"expected cut or restore with a township's code or monitor, or state; not {action} {target}"
        )
    host, port = _split(address)
    url = f"http://{host}:{port}/" + (action if action == "state" else f"{action}/{target}")
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=LIMIT_S)) as session,
            session.request("GET" if action == "state" else "POST", url) as response,
        ):
            answer: dict[str, Any] = await response.json()
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise MonitorError(f"no fleet answers on {address}; does `zhdj-monitor demo` or `simulate` run?") from error
    if response.status >= 400:
        raise MonitorError(str(answer.get("error", {}).get("message", answer)))
    return answer


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65_535:
        raise MonitorError(f"expected address:port such as {CONTROL}, not {address!r}")
    return host, int(port)
