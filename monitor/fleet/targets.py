"""What is probed: listening sockets on loopback addresses, closed while their terminal is dead.

Bare sockets instead of asyncio servers: opening and closing is synchronous, so that it happens at the very
moment that the truth names; hundreds of them cost nothing while nobody asks.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from typing import cast
from urllib.parse import urlsplit

from monitor.errors import MonitorError
from monitor.fleet.script import Fault

BACKLOG = 32
#: A port that another has taken while ours was closed: tried again this soon.
AGAIN_S = 0.05
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"
#: An HTTP question longer than this is not a probe's, and is not answered.
_LONGEST_QUESTION = 16_384


def address_of(target: str) -> tuple[str, int]:
    """`127.77.1.5:7000` or `http://127.77.1.5:7001/` -> host and port, else MonitorError."""
    try:
        parts = urlsplit(target if "//" in target else f"//{target}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    if not host.startswith("127.") or not port or parts.scheme not in ("", "http"):
        raise MonitorError(f"cannot play {target!r}: expected a loopback address with a port, such as 127.77.1.5:7000")
    return host, port


class TcpTarget:
    """Accepts a connection and closes it. While it is dead or muted, connecting is refused."""

    def __init__(self, host: str, port: int, tally: Counter[str]) -> None:
        self.host, self.port = host, port
        self.tally = tally
        self._dead = False
        self._muted = False
        self._closed = False
        self._socket: socket.socket | None = None
        self._loop = asyncio.get_running_loop()
        self._again: asyncio.TimerHandle | None = None

    @property
    def listening(self) -> bool:
        return self._socket is not None

    async def run(self) -> None:
        """Listen until cancelled. Raises MonitorError where the address cannot be had."""
        try:
            try:
                self._settle()
            except OSError as error:
                raise MonitorError(f"cannot listen on {self.host}:{self.port}: {error.strerror}") from error
            await asyncio.Event().wait()
        finally:
            self.close()

    def fail(self, fault: Fault) -> None:
        self._dead = True
        self._close()

    def recover(self) -> None:
        self._dead = False
        self._reopen()

    def mute(self, on: bool) -> None:
        self._muted = on
        self._reopen()

    def close(self) -> None:
        self._closed = True
        self._close()

    def odd(self, fault: Fault, on: bool, amount_ms: int) -> None:
        """What does not speak cannot speak oddly."""

    def _settle(self) -> None:
        if self._dead or self._muted or self._closed:
            self._close()
        elif self._socket is None:
            self._socket = self._open()
            self._loop.add_reader(self._socket, self._accept, self._socket)

    def _reopen(self) -> None:
        if self._again is not None:
            self._again.cancel()
            self._again = None
        try:
            self._settle()
        except OSError:
            self.tally["ports_taken"] += 1
            self._again = self._loop.call_later(AGAIN_S, self._reopen)

    def _open(self) -> socket.socket:
        opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.setblocking(False)
            opened.bind((self.host, self.port))
            opened.listen(BACKLOG)
        except OSError:
            opened.close()
            raise
        self.port = opened.getsockname()[1]
        return opened

    def _close(self) -> None:
        if self._again is not None:
            self._again.cancel()
            self._again = None
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(BACKLOG):
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            self.tally["probed"] += 1
            self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        connection.close()


class HttpTarget(TcpTarget):
    """Answers every question with 200, unless it is dead or muted."""

    def __init__(self, host: str, port: int, tally: Counter[str]) -> None:
        super().__init__(host, port, tally)
        self._starting: set[asyncio.Task[object]] = set()
        self._open_ones: set[asyncio.Transport] = set()

    async def run(self) -> None:
        try:
            await super().run()
        finally:
            for task in self._starting:
                task.cancel()
            for transport in self._open_ones:
                transport.abort()

    def fail(self, fault: Fault) -> None:
        super().fail(fault)
        for transport in self._open_ones:
            transport.abort()

    def _serve(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        task: asyncio.Task[object] = self._loop.create_task(
            self._loop.connect_accepted_socket(lambda: _Answer(self._open_ones), connection)
        )
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)


class _Answer(asyncio.Protocol):
    """Reads up to the empty line, answers once, closes. `open_ones` holds those that have not."""

    def __init__(self, open_ones: set[asyncio.Transport]) -> None:
        self._open_ones = open_ones
        self._asked = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._open_ones.add(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._open_ones.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._asked += data
        if b"\r\n\r\n" in self._asked:
            self._transport.write(_ANSWER)
            self._transport.close()
        elif len(self._asked) > _LONGEST_QUESTION:
            self._transport.abort()
