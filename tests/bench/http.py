"""Beats over HTTP, one by one and in batches of a hundred, beside an aiohttp handler that does nothing."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from aiohttp import web

from monitor.clock import Clock, wall_ms
from monitor.core.token import RELAY, hash_token
from monitor.intake.http import HttpIntake
from monitor.intake.http_server import listen
from monitor.intake.tokens import Token, Tokens, new_token
from monitor.publish.views import Overview
from monitor.web.server import LARGEST_BODY, create_app
from tests.bench.child import tell
from tests.bench.county import Sender, county, observing
from tests.bench.results import Child, How, Result, Target, paired
from tests.services import HOST

BATCH = 100


async def server(folder: str, kind: str, token: str) -> None:
    """`bare`: reads the body and answers. `ours`: the service's own listener, intake and observer. Told "", it says
    how much CPU it has used, and goes on."""
    async with AsyncExitStack() as stack:
        if kind == "bare":

            async def handler(request: web.Request) -> web.Response:
                await request.read()
                return web.json_response({"accepted": 1, "refused": [], "refused_total": 0}, status=202)

            app = web.Application(client_max_size=LARGEST_BODY)
            app.router.add_post("/api/v1/heartbeats", handler)
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, HOST, 0).start()
            port = runner.addresses[0][1]
        else:
            loaded = county(check="heartbeat-http")
            observer = await stack.enter_async_context(observing(loaded, Path(folder)))
            terminals = frozenset(loaded.inventory.terminals)
            tokens = Tokens([Token(RELAY, hash_token(token), terminals, label="bench")], Clock())

            async def no_overview() -> Overview:
                raise NotImplementedError

            app = create_app(board=observer.board, settings=loaded.settings, load_overview=no_overview)
            HttpIntake(observer, tokens).add_to(app)
            port = (await stack.enter_async_context(listen(app, HOST, 0))).port
        tell(port=port)
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while await reader.readline():
            tell(cpu=time.process_time())


def requests(token: str, count: int, batch: int) -> list[bytes]:
    """So many requests with so many beats of 702 terminals each, as bytes."""
    terminals = list(county().inventory.terminals)
    senders = [Sender(number) for number in range(len(terminals))]
    now = wall_ms()
    result = []
    for n in range(count):
        items = []
        for i in range(batch):
            k = (n * batch + i) % len(terminals)
            items.append({"site": terminals[k][0], "terminal": terminals[k][1], **senders[k].beat(now)})
        body = json.dumps(items if batch > 1 else items[0], separators=(",", ":")).encode()
        head = (
            f"POST /api/v1/heartbeats HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        result.append(head.encode() + body)
    return result


def play(port: int, given: Sequence[bytes], connections: int = 8) -> None:
    """All requests, the next on a connection when the one before was answered."""
    sockets = [socket.create_connection((HOST, port), timeout=30) for _ in range(connections)]
    try:
        for start in range(0, len(given), connections):
            some = list(zip(sockets, given[start : start + connections], strict=False))
            for connection, request in some:
                connection.sendall(request)
            for connection, _ in some:
                answer = b""
                while b"}" not in answer:
                    answer += connection.recv(65536)
                if b" 202 " not in answer[:20]:
                    raise RuntimeError(answer.decode(errors="replace"))
    finally:
        for connection in sockets:
            connection.close()


def http_beats(how: How) -> Iterator[Result]:
    token = new_token("relay")
    single, batches = how.rounds(6_000), how.rounds(600)

    def cpu(child: Child) -> float:
        child.tell()
        return float(child.told()["cpu"])

    with (
        Child("http:server", folder=str(how.folder / "http-bare"), kind="bare", token=token) as bare,
        Child("http:server", folder=str(how.folder / "http-ours"), kind="ours", token=token) as ours,
    ):
        ports = {bare: bare.told()["port"], ours: ours.told()["port"]}

        def per_cpu_s(child: Child, count: int, batch: int) -> float:
            given = requests(token, count, batch)
            before = cpu(child)
            play(ports[child], given)
            return count * batch / (cpu(child) - before)

        for child in ports:
            play(ports[child], requests(token, 300, 1))
        one = paired(3, lambda: per_cpu_s(bare, single, 1), lambda: per_cpu_s(ours, single, 1))
        many = paired(3, lambda: per_cpu_s(bare, batches, BATCH), lambda: per_cpu_s(ours, batches, BATCH))
    name = "(yardstick: bare aiohttp handler)"
    unit = "beats a CPU second"
    yield Result(f"HTTP beats one by one {name}", one[1], unit, one[0], Target("ratio", "least", 0.7))
    yield Result(f"HTTP beats in batches of {BATCH} {name}", many[1], unit, many[0], Target("value", "least", 200_000))
