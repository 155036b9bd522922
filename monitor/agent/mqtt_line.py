"""Beats over MQTT: own user, a retained will `offline`, `online` on connecting, `off` (docs/interfaces.md)."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from monitor.agent.beats import Beat
from monitor.agent.config import Broker, Config
from monitor.agent.line import ANSWER_S, PER_S, LineDown, trust

GOODBYE_S = 5.0


class MqttLine:
    """A new paho client for every connection: when to try again is decided elsewhere. `wake`: the line has ended."""

    def __init__(self, config: Config, broker: Broker, wake: Callable[[], None]) -> None:
        self.batch = 2 * PER_S
        self._config = config
        self._broker = broker
        self._wake = wake
        self._client: paho.Client | None = None
        self._ended = "not connected"

    def open(self) -> None:
        config, broker = self._config, self._broker
        answered = threading.Event()

        def connected(_client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
            self._ended = f"refused: {reason}" if reason.is_failure else ""
            answered.set()

        def disconnected(_client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
            self._ended = self._ended or f"the connection ended: {reason}"
            answered.set()
            self._wake()

        client = paho.Client(CallbackAPIVersion.VERSION2, client_id=config.user, reconnect_on_failure=False)
        client.on_connect, client.on_disconnect = connected, disconnected
        client.connect_timeout = ANSWER_S
        client.will_set(self._topic("status"), b"offline", qos=1, retain=True)
        self._ended = ""
        try:
            client.username_pw_set(config.user, config.token())
            if broker.tls:
                client.tls_set_context(trust(broker.ca_file))
            client.connect(broker.host, broker.port, broker.keepalive_s)
        except (OSError, ValueError) as error:
            raise LineDown(str(error)) from None
        self._client = client
        client.loop_start()
        if not answered.wait(ANSWER_S):
            raise LineDown("the broker does not answer")
        self.check()
        client.publish(self._topic("status"), b"online", qos=1, retain=True)

    def check(self) -> None:
        if self._client is None or self._ended:
            raise LineDown(self._ended or "not connected")

    def send(self, beats: Sequence[Beat]) -> Sequence[Beat]:
        """All, acknowledged by the broker; what was not is sent again on the next connection."""
        client = self._client
        self.check()
        assert client is not None  # noqa: S101  # for mypy: checked
        waiting = [client.publish(self._topic("heartbeat"), beat.payload(), qos=1) for beat in beats]
        self._acknowledged(waiting, ANSWER_S)
        return ()

    def goodbye(self) -> None:
        client = self._client
        self.check()
        assert client is not None  # noqa: S101  # for mypy: checked
        self._acknowledged([client.publish(self._topic("status"), b"off", qos=1, retain=True)], GOODBYE_S)
        # In order, so that the broker forgets the will.
        client.disconnect()
        client.loop_stop()
        self._client = None

    def close(self) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        # Not disconnect(): that would have the broker forget the will. Its thread reads the end and tidies up.
        found = client.socket()
        if isinstance(found, socket.socket):
            with contextlib.suppress(OSError):
                found.shutdown(socket.SHUT_RDWR)
        client.loop_stop()

    def _acknowledged(self, waiting: Sequence[paho.MQTTMessageInfo], limit_s: float) -> None:
        until = time.monotonic() + limit_s
        for info in waiting:
            while not info.is_published():
                self.check()
                if time.monotonic() > until:
                    raise LineDown(f"no acknowledgement within {limit_s:g} s")
                try:
                    # In slices: paho does not wake those who wait when the connection ends.
                    info.wait_for_publish(0.2)
                except (RuntimeError, ValueError) as error:
                    raise LineDown(str(error)) from None

    def _topic(self, name: str) -> str:
        return f"zhdj/v1/{self._config.user}/{name}"
