"""amqtt 0.12.1 and what it lacks, by overriding some of its methods: hence the exact version required.

- It hands a new client the retained messages that match *other* clients' subscriptions.
- It lets whoever knows a client id throw its owner out, or take over the session, before the password is
looked at. Here the client id is the user name (as mosquitto's use_username_as_clientid), and signing in comes
first.
- It sends wills without asking whether their topic may be written.
- It iterates over dictionaries that change meanwhile, and then loses the message at hand.
- It hands over as retained what it kept for an absent client.
- It never closes the connection of a client that fell silent, so no will is sent.
- Nothing is bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from typing import Any, Generic, Protocol, TypeVar

from amqtt.adapters import StreamReaderAdapter, StreamWriterAdapter, WriterAdapter
from amqtt.broker import Broker
from amqtt.contexts import Action, BrokerConfig
from amqtt.errors import AMQTTError, MQTTError, NoDataError
from amqtt.mqtt.connack import NOT_AUTHORIZED, ConnackPacket
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.session import Session

#: Bytes of any one field: topic, payload, will. The service refuses payloads above 1 KiB itself, and says so.
MAX_FIELD = 4096
#: Seconds from connecting to having said who one is.
CONNECT_S = 10.0
#: Seconds of silence for a client without a keep-alive. With one it is 1.5 times that (MQTT 3.1.2.10).
SILENCE_S = 3600.0
#: Bytes a second of one client, and at once: some beats a second; what is above waits in the sender's socket.
RATE_BYTES = 16_384.0
BURST_BYTES = 262_144.0
#: Messages: on their way to the service, of one client, and kept for the service while it is away.
MAX_BROADCAST = 10_000
MAX_DELIVERED = 100
MAX_KEPT = 10_000
#: Seconds for an old connection of the same user to end.
TAKEOVER_S = 5.0
#: Seconds for connections to end when the broker does, and for the broker itself.
END_S = 5.0

# What writing to a client raises when it is gone, or does not answer.
_GONE = (TimeoutError, OSError, AMQTTError, MQTTError)

K = TypeVar("K")
V = TypeVar("V")


class Access(Protocol):
    """The rules of broker.py."""

    def signs_in(self, user: str, password: str) -> bool: ...
    def may_write(self, user: str, topic: str) -> bool: ...
    def may_read(self, user: str) -> bool: ...
    def refuse(self, reason: str) -> None: ...


class _Snapshots(dict[K, V], Generic[K, V]):
    """Iterating sees what was there when it began: others subscribe while amqtt awaits inside its loops."""

    def __iter__(self) -> Iterator[K]:
        return iter(list(super().__iter__()))

    def items(self) -> Any:
        return list(super().items())


class LimitedReader(StreamReaderAdapter):  # type: ignore[misc]  # amqtt has no types
    """Bytes of one client, within limits of size, silence and rate. Beyond them it has as good as hung up."""

    def __init__(self, reader: asyncio.StreamReader, access: Access) -> None:
        super().__init__(reader)
        self._access = access
        self._over = False
        self._credit = BURST_BYTES
        self._since = self._heard = time.monotonic()
        self._silence_s = CONNECT_S

    def signed_in(self, keep_alive_s: int) -> None:
        self._silence_s = keep_alive_s * 1.5 if keep_alive_s else SILENCE_S

    async def read(self, n: int = -1) -> bytes:
        if n > MAX_FIELD or n < 0:
            if not self._over:
                self._access.refuse("too_large")
            self._over = True
        if self._over:
            return b""
        now = time.monotonic()
        self._credit = min(BURST_BYTES, self._credit + (now - self._since) * RATE_BYTES) - n
        self._since = now
        if self._credit < 0:
            await asyncio.sleep(-self._credit / RATE_BYTES)
        try:
            # Counted from the last byte: amqtt gives up and calls again each keep-alive.
            async with asyncio.timeout(max(0.0, self._heard + self._silence_s - time.monotonic())):
                data: bytes = await super().read(n)
        except TimeoutError:
            self._over = True
            return b""
        self._heard = time.monotonic()
        return data


class FixedBroker(Broker):  # type: ignore[misc]  # amqtt has no types
    """See the top of this file. The rules are asked directly: amqtt's plug-ins take a task a message."""

    def __init__(self, config: BrokerConfig, access: Access, *, max_connections: int) -> None:
        super().__init__(config)
        self._access = access
        self._max_connections = max_connections
        self._connections: dict[asyncio.Task[Any], asyncio.StreamWriter] = {}
        self._ending: dict[str, asyncio.Event] = {}
        self._subscriptions: _Snapshots[str, list[tuple[Session, int]]] = _Snapshots()
        self._retained_messages: _Snapshots[str, Any] = _Snapshots()
        self._broadcast_queue: asyncio.Queue[Any] = asyncio.Queue(maxsize=MAX_BROADCAST)

    @property
    def port(self) -> int:
        return int(self._servers["default"].instance.sockets[0].getsockname()[1])

    async def end(self) -> None:
        """Hang up on everybody, shut down, and leave no task behind."""
        for server in self._servers.values():
            server.instance.close()  # first, or who is thrown out comes straight back
        for writer in self._connections.values():
            writer.transport.abort()
        if self._connections:
            await asyncio.wait(self._connections, timeout=END_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_S):
                await self.shutdown()
        for task in self._connections:
            task.cancel()
        if self._connections:
            await asyncio.wait(self._connections, timeout=END_S)

    async def stream_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str
    ) -> None:
        task = asyncio.current_task()
        if task is None or len(self._connections) >= self._max_connections:
            writer.transport.abort()
            return
        self._connections[task] = writer
        try:
            await self._client_connected(
                listener_name, LimitedReader(reader, self._access), StreamWriterAdapter(writer)
            )
        except (*_GONE, NoDataError):
            pass  # the client went away in the middle of something
        finally:
            del self._connections[task]
            writer.transport.abort()

    async def _initialize_client_session(
        self, reader: LimitedReader, writer: WriterAdapter, remote_address: str, remote_port: int
    ) -> tuple[BrokerProtocolHandler, Session]:
        """Who is it? Only then is anything touched that belongs to a user."""
        handler, session = await BrokerProtocolHandler.init_from_connect(reader, writer, self.plugins_manager)
        user, password = session.username or "", session.password or ""
        reason = None
        if not self._access.signs_in(user, password):
            reason = "unauthorized"
        elif session.will_flag and not self._access.may_write(user, session.will_topic or ""):
            reason = "forbidden"
        if reason is not None:
            self._access.refuse(reason)
            await ConnackPacket.build(0, NOT_AUTHORIZED).to_stream(writer)
            await writer.close()
            raise MQTTError(reason)
        reader.signed_in(session.keep_alive)
        session.client_id = user
        await self._take_over(user)
        old, _ = self._sessions.get(user, (None, None))
        if session.clean_session or old is None or old.clean_session:
            await self._delete_session(user)
        else:
            session.parent = 1
            session.retained_messages = old.retained_messages
            for subscribers in self._subscriptions.values():
                subscribers[:] = [(session if s is old else s, qos) for s, qos in subscribers]
        session.delivered_message_queue = asyncio.Queue(maxsize=MAX_DELIVERED)
        return handler, session

    async def _take_over(self, user: str) -> None:
        """End the user's older connection, its will included, before the new one begins."""
        ended = self._ending.get(user)
        if ended is None:
            return
        _, handler = self._sessions.get(user, (None, None))
        if handler is not None:
            await handler.handle_connection_closed()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TAKEOVER_S):
                await ended.wait()

    async def _handle_client_session(
        self, reader: Any, writer: Any, client_session: Session, handler: Any, server: Any, listener_name: str
    ) -> None:
        ended = self._ending[client_session.client_id] = asyncio.Event()
        try:
            await super()._handle_client_session(reader, writer, client_session, handler, server, listener_name)
        finally:
            ended.set()
            if self._ending.get(client_session.client_id) is ended:
                del self._ending[client_session.client_id]

    async def _authenticate(self, session: Session, _: Any) -> bool:
        return True  # _initialize_client_session did

    async def _topic_filtering(self, session: Session, topic: str, action: Action) -> bool:
        user = session.username or ""
        if action != Action.PUBLISH:
            return self._access.may_read(user)
        allowed = self._access.may_write(user, topic)
        if not allowed:
            self._access.refuse("forbidden")
        return allowed

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        """Only for a subscription of this client: on connecting, amqtt calls it with everybody's."""
        wanted, qos = subscription
        handler = self._get_handler(session)
        if handler is None or all(s.client_id != session.client_id for s, _ in self._subscriptions.get(wanted, ())):
            return
        for topic, kept in self._retained_messages.items():
            if self._matches(topic, wanted):
                try:
                    await handler.mqtt_publish(topic, kept.data, min(qos, kept.qos or 0), retain=True)
                except _GONE:
                    return

    async def _retain_broadcast_message(self, broadcast: dict[str, Any], qos: int, target: Session) -> None:
        """For a client that is away: the oldest give way (the service notices by `seq`)."""
        while target.retained_messages.qsize() >= MAX_KEPT:
            target.retained_messages.get_nowait()
        await super()._retain_broadcast_message(broadcast, qos, target)

    async def _publish_session_retained_messages(self, session: Session) -> None:
        """What came while it was away, in order, and not marked as retained: it is no hint but a message."""
        handler = self._get_handler(session)
        while handler is not None and not session.retained_messages.empty():
            kept = session.retained_messages.get_nowait()
            try:
                await handler.mqtt_publish(kept.topic, kept.data, kept.qos, retain=False)
            except _GONE:
                return
