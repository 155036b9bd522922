"""The embedded broker, amqtt in this process: for trying out and small sites only.

Nothing that it keeps outlives a restart.

The service's own user reads everything and writes echoes; a device signs in as `{site}/{terminal}` with its
token and writes its own two topics. What is corrected of amqtt 0.12.1 is in broker_fixes.py.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable
from types import TracebackType
from typing import Self

from amqtt.contexts import BrokerConfig, ListenerConfig

from monitor.errors import MonitorError
from monitor.intake import topics
from monitor.intake.broker_fixes import FixedBroker
from monitor.intake.tokens import Tokens

#: Connections at once: the county's 702 terminals twice over, and room.
MAX_CONNECTIONS = 2000


class EmbeddedBroker:
    """`port` 0 takes a free one. `refused` is told a reason: `unauthorized`, `forbidden`, `too_large`."""

    def __init__(
        self,
        tokens: Tokens,
        *,
        service_user: str,
        service_password: str,
        host: str = "127.0.0.1",
        port: int = 0,
        refused: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self._tokens = tokens
        self._service = (service_user, service_password)
        self._bind = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._refused = refused
        self._broker: FixedBroker | None = None
        # It logs every client's mistakes as warnings and errors; we count them instead.
        logging.getLogger("amqtt").setLevel(logging.CRITICAL)
        logging.getLogger("transitions").setLevel(logging.CRITICAL)

    @property
    def port(self) -> int:
        """Where it listens. Raises MonitorError while it does not."""
        if self._broker is None:
            raise MonitorError("the embedded broker does not run")
        return self._broker.port

    async def start(self) -> None:
        """Listen. Raises MonitorError where the address is taken."""
        config = BrokerConfig(listeners={"default": ListenerConfig(bind=self._bind, max_connections=-1)}, plugins={})
        broker = FixedBroker(config, self, max_connections=MAX_CONNECTIONS)
        try:
            await broker.start()
        except Exception as error:  # amqtt wraps whatever it was
            raise MonitorError(f"mqtt: cannot listen on {self._bind}: {error}") from error
        self._broker = broker

    async def stop(self) -> None:
        """End every connection and wait for it. Wills of those who were connected are not sent."""
        broker, self._broker = self._broker, None
        if broker is not None:
            await broker.end()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    # What FixedBroker asks: the access rules, in one place.

    def signs_in(self, user: str, password: str) -> bool:
        own_user, own_password = self._service
        if user == own_user:
            allowed = hmac.compare_digest(password.encode(), own_password.encode())
        else:
            allowed = self._tokens.signs_in(user, password)
        return allowed

    def may_write(self, user: str, topic: str) -> bool:
        if user == self._service[0]:
            return topic.startswith(f"{topics.PREFIX}monitor/")
        return any(topic in topics.of_user(own) for own in self._tokens.writes(user))

    def may_read(self, user: str) -> bool:
        return user == self._service[0]

    def refuse(self, reason: str) -> None:
        self._refused(reason)
