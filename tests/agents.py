"""The agent as a subprocess, and somebody who listens at the broker what it says."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

import aiomqtt

from tests.service_under_test import ROOT
from tests.services import HOST, Mosquitto, Service

USER = "s1/pc"
TOKEN = "zd_of-the-agent-and-nobody-else"


def write_agent(folder: Path, line: str, *, interval_s: float = 0.3, services: Mapping[str, str] | None = None) -> Path:
    """agent.toml in `folder`, its token beside it. `line`: transport and its table."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "token").write_text(TOKEN + "\n")
    top, _, table = line.partition("\n")
    lines = ['site = "s1"', 'terminal = "pc"', f"interval_s = {interval_s}", top, table, "[services]"]
    lines += [f"{name} = {json.dumps(spec)}" for name, spec in (services or {}).items()]
    path = folder / "agent.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def over_mqtt(broker: Mosquitto, keepalive_s: int = 5) -> str:
    """TLS where the broker has a certificate."""
    lines = [
        'transport = "mqtt"',
        "[mqtt]",
        f'host = "{HOST}"',
        f"port = {broker.port}",
        f"keepalive_s = {keepalive_s}",
    ]
    tls = broker.certificate
    return "\n".join([*lines, f'ca_file = "{tls.cert}"' if tls else "tls = false"])


def over_http(url: str) -> str:
    return f'transport = "http"\n[http]\nurl = "{url}"'


class Agent(Service):
    """`python -m monitor.agent`, or another program with the same options."""

    name: ClassVar[str] = "agent"

    def __init__(self, config: Path, program: Sequence[str] = (sys.executable, "-m", "monitor.agent")) -> None:
        super().__init__(config.parent, port=1)
        self.config = config
        self.program = list(program)

    def command(self) -> Sequence[str]:
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        return ["env", f"PYTHONPATH={path}", "PYTHONUNBUFFERED=1", *self.program, "--config", str(self.config)]

    def ready(self) -> bool:
        return "beating for" in self.output()


class Heard:
    """What came in at the broker."""

    def __init__(self) -> None:
        self.beats: list[dict[str, Any]] = []
        self.states: list[tuple[str, bool]] = []  # status, retained
        self.connected = asyncio.Event()

    @property
    def seqs(self) -> list[int]:
        return [beat["seq"] for beat in self.beats]


@asynccontextmanager
async def hearing(broker: Mosquitto, user: str = "", password: str = "") -> AsyncIterator[Heard]:
    """Listens below zhdj/v1/s1/pc, and comes back when the broker does."""
    heard = Heard()
    context = ssl.create_default_context(cafile=str(broker.certificate.cert)) if broker.certificate else None

    async def listen() -> None:
        while True:
            with suppress(aiomqtt.MqttError):
                # A session that lasts: what came while we were away is kept for us.
                client = aiomqtt.Client(
                    HOST,
                    broker.port,
                    identifier="listener",
                    clean_session=False,
                    tls_context=context,
                    timeout=5,
                    username=user or None,
                    password=password or None,
                )
                async with client:
                    await client.subscribe(f"zhdj/v1/{USER}/+", 1)
                    heard.connected.set()
                    async for message in client.messages:
                        payload = message.payload
                        assert isinstance(payload, bytes)
                        if message.topic.value.endswith("/status"):
                            heard.states.append((payload.decode(), message.retain))
                        else:
                            heard.beats.append(json.loads(payload))
            await asyncio.sleep(0.05)

    task = asyncio.create_task(listen())
    try:
        async with asyncio.timeout(10):
            await heard.connected.wait()
        yield heard
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
