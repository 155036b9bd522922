"""A connection to a broker, with aiomqtt. Another client can replace it: `mqtt.py` knows only the protocols.

aiomqtt keeps messages in a queue that is unbounded, or else drops what it has already acknowledged. Ours has
no length at all: a message is handled while it is put in. What we do not take yet stays in the socket, and
the broker waits. It also saves a task a message.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Protocol

import aiomqtt
from paho.mqtt.reasoncodes import ReasonCode

from monitor.errors import MonitorError
from monitor.settings import Mqtt

#: Called for each message: topic, payload, and whether it was a retained one.
OnMessage = Callable[[str, bytes, bool], None]

#: Seconds in which the broker must answer anything that is asked of it.
ANSWER_S = 10.0
#: Seconds; a broker that hangs is noticed within two of them.
KEEPALIVE_S = 20
#: Our own echoes, and nothing else, go out.
MAX_OUTGOING = 100
_QOS = 1


class LinkLost(Exception):
    """The connection ended or was never made; the text says why."""


class Link(Protocol):
    """A connection while it lasts. Everything raises LinkLost once it is gone."""

    async def subscribe(self, filters: Sequence[str]) -> None: ...

    async def publish(self, topic: str, payload: bytes) -> None: ...

    async def ended(self) -> None:
        """Waits for the end, and raises LinkLost then."""


class OpenLink(Protocol):
    """Connects. Messages may come at once: those that the broker kept, before anything is subscribed."""

    def __call__(self, settings: Mqtt, client_id: str, on_message: OnMessage) -> AbstractAsyncContextManager[Link]: ...


class _AioMqttLink:
    def __init__(self, client: aiomqtt.Client, defects: list[Exception]) -> None:
        self._client = client
        self._defects = defects

    async def subscribe(self, filters: Sequence[str]) -> None:
        try:
            answers = await self._client.subscribe([(f, _QOS) for f in filters])
        except aiomqtt.MqttError as error:
            raise LinkLost(str(error)) from error
        _still_wanted()
        codes = [a.value if isinstance(a, ReasonCode) else a for a in answers]
        for wanted, code in zip(filters, codes, strict=False):
            if code >= 0x80:
                raise LinkLost(f"the broker refuses the subscription {wanted}; see its ACL")

    async def publish(self, topic: str, payload: bytes) -> None:
        try:
            await self._client.publish(topic, payload, qos=_QOS)
        except aiomqtt.MqttError as error:
            raise LinkLost(str(error)) from error
        _still_wanted()

    async def ended(self) -> None:
        try:
            async for _ in self._client.messages:
                pass  # never: they are handled before they would be queued
        except aiomqtt.MqttError as error:
            if self._defects:
                raise self._defects[0] from None
            raise LinkLost(_text(error)) from error


@asynccontextmanager
async def open_aiomqtt(settings: Mqtt, client_id: str, on_message: OnMessage) -> AsyncIterator[Link]:
    """A persistent session under a fixed client id: the broker keeps what comes while we are away."""
    defects: list[Exception] = []

    class Direct(asyncio.Queue[aiomqtt.Message]):
        def put_nowait(self, item: aiomqtt.Message) -> None:
            try:
                on_message(item.topic.value, bytes(item.payload), item.retain)
            except Exception as error:
                # A defect of ours. paho would only end the connection; `ended` raises it as what it is.
                defects.append(error)
                raise

    client = aiomqtt.Client(
        settings.host,
        settings.port,
        identifier=client_id,
        clean_session=False,
        username=settings.username or None,
        password=settings.password.get_secret_value() or None,
        tls_context=_tls(settings.ca_file) if settings.ca_file else None,
        timeout=ANSWER_S,
        keepalive=KEEPALIVE_S,
        queue_type=Direct,
        max_queued_outgoing_messages=MAX_OUTGOING,
    )
    try:
        await client.__aenter__()
    except aiomqtt.MqttError as error:
        raise LinkLost(_text(error)) from error
    try:
        _still_wanted()
        yield _AioMqttLink(client, defects)
    finally:
        with suppress(aiomqtt.MqttError):  # it ended by itself meanwhile
            await client.__aexit__(None, None, None)


def _still_wanted() -> None:
    """Python 3.11's `asyncio.wait_for`, which aiomqtt uses, can swallow a cancellation; we would not end."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _tls(ca_file: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise MonitorError(f"mqtt.ca_file: expected a PEM file of certificates, not {ca_file}: {error}") from None


def _text(error: Exception) -> str:
    cause = error.__cause__
    return f"{error} ({cause})" if cause is not None and str(cause) != str(error) else str(error)
