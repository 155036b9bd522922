"""Both brokers behind one face, so that the same tests run on each."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import aiomqtt
from pydantic import SecretStr

from monitor.clock import Clock
from monitor.core.token import DEVICE, RELAY, hash_token
from monitor.intake.broker import EmbeddedBroker
from monitor.intake.mosquitto import acl_file, password_file, password_hash
from monitor.intake.mqtt import Backoff, MqttReceiver
from monitor.intake.tokens import Token, Tokens
from monitor.settings import Mqtt
from tests.recorder import Recorder
from tests.services import HOST, Mosquitto, free_port, program, wait_for_async

SERVICE = "zhdj-test"
SECRET = "of the service"
QUICK = Backoff(first_s=0.05, most_s=0.5)
#: Each device's token is its name reversed.
DEVICES = ("s1/pc", "s1/tv", "s2/pc")
#: A relay, and those for which it speaks.
GATEWAY = "@gateway"
BEHIND = ("s1/tv", "s2/pc")

SHIPPED = Path(__file__).parent.parent / "deploy" / "mosquitto" / "zhdj.conf"
# What a test sets itself: where, who, and the log.
_OWN = ("listener", "allow_anonymous", "password_file", "acl_file", "persistence", "log_type", "connection_")


def tokens() -> Tokens:
    def one(user: str) -> Token:
        site, _, terminal = user.partition("/")
        return Token(DEVICE, hash_token(user[::-1]), frozenset({(site, terminal)}))

    behind = frozenset((site, terminal) for site, _, terminal in (name.partition("/") for name in BEHIND))
    relay = Token(RELAY, hash_token(GATEWAY[::-1]), behind, label=GATEWAY[1:])
    return Tokens([*map(one, DEVICES), relay], Clock())


class AnyBroker(Protocol):
    """`refused`: reasons, where the broker tells."""

    name: str
    refused: list[str]

    @property
    def port(self) -> int: ...
    async def start(self) -> None: ...
    async def kill(self) -> None: ...
    async def close(self) -> None: ...


class RealBroker:
    """Debian's mosquitto with the configuration that we ship, our password file and our ACL."""

    name = "mosquitto"

    def __init__(self, folder: Path) -> None:
        lines = [line for line in SHIPPED.read_text().splitlines() if line and not line.startswith(("#", *_OWN))]
        self.service = Mosquitto(folder, lines=lines, acl=acl_file([SERVICE], {GATEWAY: BEHIND}), persistence=True)
        self.service.password_file = self.service.folder / "passwords"
        hashes = {SERVICE: password_hash(SECRET)} | {user: password_hash(user[::-1]) for user in (*DEVICES, GATEWAY)}
        self.service.password_file.write_text(password_file(hashes))
        self.refused: list[str] = []

    @property
    def port(self) -> int:
        return self.service.port

    async def start(self) -> None:
        await asyncio.to_thread(self.service.start)

    async def kill(self) -> None:
        await asyncio.to_thread(self.service.kill)

    async def close(self) -> None:
        await asyncio.to_thread(self.service.close)


class OwnBroker:
    """The embedded one. Killing it is stopping it: it keeps nothing either way."""

    name = "embedded"

    def __init__(self) -> None:
        self.port = free_port()
        self.refused: list[str] = []
        self._broker = self._make()

    def _make(self) -> EmbeddedBroker:
        return EmbeddedBroker(
            tokens(),
            service_user=SERVICE,
            service_password=SECRET,
            port=self.port,
            refused=self.refused.append,
        )

    async def start(self) -> None:
        self._broker = self._make()
        await self._broker.start()

    async def kill(self) -> None:
        await self._broker.stop()

    async def close(self) -> None:
        await self._broker.stop()


def settings(port: int, *, user: str = SERVICE, password: str = SECRET) -> Mqtt:
    return Mqtt(host=HOST, port=port, username=user, password=SecretStr(password))


def pub_command(port: int, user: str, topic: str, *more: str, password: str | None = None) -> list[str]:
    """Debian's mosquitto_pub as a device with its token."""
    secret = user[::-1] if password is None else password
    who = ["-u", user, "-P", secret, "-i", f"client-{user.replace('/', '-')}"]
    return [
        program("mosquitto_pub"),
        "-h",
        HOST,
        "-p",
        str(port),
        *who,
        "-q",
        "1",
        "-t",
        f"zhdj/v1/{topic}",
        *more,
    ]


async def pub(
    port: int, user: str, topic: str, *more: str, password: str | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Publish and wait for the end, ten seconds at most."""
    command: Sequence[str] = pub_command(port, user, topic, *more, password=password)
    return await asyncio.to_thread(subprocess.run, command, capture_output=True, timeout=10, check=False)


@asynccontextmanager
async def device(
    port: int, user: str, *, identifier: str | None = None, password: str | None = None
) -> AsyncIterator[aiomqtt.Client]:
    """A device with its token and a will, on a connection that lasts."""
    will = aiomqtt.Will(f"zhdj/v1/{user}/status", "offline", qos=1, retain=True)
    async with aiomqtt.Client(
        HOST,
        port,
        username=user,
        password=password or user[::-1],
        identifier=identifier,
        will=will,
        timeout=5,
    ) as client:
        yield client
        ended = client._disconnected
        if ended.done():
            ended.exception()  # looked at: otherwise asyncio says that nobody did


@asynccontextmanager
async def receiving(port: int, recorder: Recorder, **more: Any) -> AsyncIterator[MqttReceiver]:
    """A receiver that has come up."""
    receiver = MqttReceiver(settings(port), recorder, observer_name="test", backoff=QUICK, **more)
    task = asyncio.create_task(receiver.run())
    try:
        await wait_for_async(lambda: receiver.connected or task.done(), what="the receiver to connect")
        if task.done():
            await task
        yield receiver
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
