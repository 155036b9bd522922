"""Another receiver behind `intake.mqtt_link.OpenLink`, to see what it would give: MQTT 3.1.1 by hand on asyncio.

An estimate, not a product: it does what the benchmark needs (QoS 1 in, a few packets out) and trusts the broker.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from monitor.intake.mqtt_link import LinkLost, OnMessage
from monitor.settings import Mqtt


def field(text: bytes) -> bytes:
    return len(text).to_bytes(2, "big") + text


def packet(kind: int, body: bytes) -> bytes:
    size, length = len(body), b""
    while True:
        size, seven = size >> 7, size & 0x7F
        length += bytes([seven | (0x80 if size else 0)])
        if not size:
            return bytes([kind]) + length + body


def connect(client_id: str, user: str = "", password: str = "") -> bytes:
    flags = (0xC0 if user else 0) | (0 if client_id else 0x02)
    body = field(b"MQTT") + bytes([4, flags]) + (60).to_bytes(2, "big") + field(client_id.encode())
    return packet(0x10, body + (field(user.encode()) + field(password.encode()) if user else b""))


def publish(topic: bytes, payload: bytes, number: int) -> bytes:
    return packet(0x32, field(topic) + number.to_bytes(2, "big") + payload)


class RawLink(asyncio.Protocol):
    """A connection; also the `Link` that the receiver asks."""

    def __init__(self, on_message: OnMessage, hello: bytes) -> None:
        loop = asyncio.get_running_loop()
        self._on_message = on_message
        self._hello = hello
        self._rest = b""
        self._answers: dict[int, asyncio.Future[None]] = {2: loop.create_future()}  # by kind of packet
        self._gone: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._hello)

    def data_received(self, data: bytes) -> None:
        data = self._rest + data if self._rest else data
        at, end = 0, len(data)
        acknowledged = []
        while end - at >= 2:
            size, shift, body = 0, 0, at + 1
            while body < end:
                byte = data[body]
                size |= (byte & 0x7F) << shift
                shift += 7
                body += 1
                if byte < 0x80:
                    break
            else:
                break
            if body + size > end:
                break
            head = data[at]
            at = body + size
            if head >> 4 == 3:
                topic_end = body + 2 + (data[body] << 8 | data[body + 1])
                topic = str(data[body + 2 : topic_end], "utf-8")
                if head & 0x06:
                    acknowledged.append(b"\x40\x02" + data[topic_end : topic_end + 2])
                    topic_end += 2
                self._on_message(topic, data[topic_end:at], bool(head & 1))
            elif (waiting := self._answers.pop(head >> 4, None)) is not None:
                waiting.set_result(None)
        self._rest = data[at:]
        if acknowledged:
            self._transport.write(b"".join(acknowledged))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._gone.done():
            self._gone.set_exception(LinkLost(str(exc or "the broker closed the connection")))

    async def connected(self) -> None:
        await self._answers[2]

    async def subscribe(self, filters: Sequence[str]) -> None:
        answer = self._answers[9] = asyncio.get_running_loop().create_future()
        self._transport.write(packet(0x82, b"\x00\x01" + b"".join(field(f.encode()) + b"\x01" for f in filters)))
        await answer

    async def publish(self, topic: str, payload: bytes) -> None:
        self._transport.write(publish(topic.encode(), payload, 1))

    async def ended(self) -> None:
        await self._gone


@asynccontextmanager
async def open_raw(settings: Mqtt, client_id: str, on_message: OnMessage) -> AsyncIterator[RawLink]:
    """As `open_aiomqtt`, without TLS."""
    hello = connect(client_id, settings.username, settings.password.get_secret_value())
    transport, link = await asyncio.get_running_loop().create_connection(
        lambda: RawLink(on_message, hello), settings.host, settings.port
    )
    try:
        await link.connected()
        yield link
    finally:
        transport.close()
