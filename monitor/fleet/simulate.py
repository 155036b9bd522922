"""`zhdj-monitor simulate`: the fleet of a configuration, against the service that runs with it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path

from monitor.errors import MonitorError
from monitor.fleet.casting import Doors
from monitor.fleet.control import CONTROL, control_server
from monitor.fleet.mqtt_device import BrokerAddress
from monitor.fleet.player import Fleet
from monitor.fleet.tokens import read_tokens
from monitor.fleet.truth import TruthWriter
from monitor.inventory.load import load
from monitor.settings import Settings


async def simulate(
    config: Path,
    truth: Path,
    seed: int,
    duration_s: float | None,
    tokens: Path,
    script: str = "gentle",
    *,
    control: str | None = CONTROL,
    started: Callable[[Fleet], None] | None = None,
) -> None:
    """Play until `duration_s` is over, or until cancelled; the truth file is complete then.

    `control`: where the fleet can be told to cut townships off (None: nowhere). `started` is called once,
    when all devices are on their way. Raises MonitorError or ConfigError before anything is played.
    """
    loaded = await asyncio.to_thread(load, config)
    doors = doors_of(loaded.settings, tokens)
    with TruthWriter(truth) as writer:
        fleet = Fleet(
            loaded.inventory,
            doors,
            writer,
            seed=seed,
            play=script,
            script_s=duration_s,
            canaries=loaded.settings.canaries.targets,
            today=datetime.now(loaded.settings.zone).date(),
        )
        async with AsyncExitStack() as stack:
            if control is not None:
                await stack.enter_async_context(control_server(fleet, control))
            playing = asyncio.create_task(fleet.run(duration_s), name="fleet")
            if started is not None:
                starting = asyncio.create_task(fleet.started.wait())
                await asyncio.wait({playing, starting}, return_when=asyncio.FIRST_COMPLETED)
                if starting.done():
                    started(fleet)
                starting.cancel()
            await playing


def doors_of(settings: Settings, tokens: Path) -> Doors:
    """Where the service with these settings listens, and how the devices sign in."""
    try:
        tls = ssl.create_default_context(cafile=settings.mqtt.ca_file) if settings.mqtt.ca_file else None
    except OSError as error:
        raise MonitorError(f"cannot read mqtt.ca_file {settings.mqtt.ca_file}: {error.strerror}") from error
    host, _, port = settings.http.listen.rpartition(":")
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104 -- asked of, not listened on
    broker = BrokerAddress(settings.mqtt.host, settings.mqtt.port, tls)
    return Doors(broker, f"http://{host}:{port}", read_tokens(tokens))
