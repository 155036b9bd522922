"""Asking over UDP: a question is sent until an answer to it comes.

A socket for each question: the kernel drops what others send, and says at once when a machine answers that nobody
listens there (ICMP port unreachable), which a socket shared by all targets would not hear.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from monitor.intake.probes.tools import Address

T = TypeVar("T")

#: Seconds until a question is repeated, doubled each time: RFC 3261's T1, and T2 as the longest.
FIRST_S, LONGEST_S = 0.5, 4.0
#: Bytes of an answer that are read; what is longer is cut, and then is no answer.
_LONGEST = 8192
#: Datagrams that are no answer, after which a target is not listened to any more.
MAX_STRAY = 64


class TooManyStray(Exception):
    """The target sends, but no answers."""


@contextmanager
def connected(where: Address) -> Iterator[socket.socket]:
    """A socket that hears this address and port alone; its own are known, for what a question says of its sender."""
    family, address = where
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect(address)  # looks up the route; nothing is sent
        yield sock


async def ask(sock: socket.socket, question: bytes, accept: Callable[[bytes], T | None]) -> T:
    """The first answer that `accept` does not leave as None. The caller keeps the time.

    Raises OSError (nobody listens there) and TooManyStray.
    """
    loop = asyncio.get_running_loop()
    wait_s = FIRST_S
    stray = 0
    while True:
        await loop.sock_sendall(sock, question)
        try:
            async with asyncio.timeout(wait_s):
                while True:
                    answer = accept(await loop.sock_recv(sock, _LONGEST))
                    if answer is not None:
                        return answer
                    if (stray := stray + 1) >= MAX_STRAY:
                        raise TooManyStray
                    # What is there already is received without waiting: others have their turn.
                    await asyncio.sleep(0)
        except TimeoutError:
            wait_s = min(wait_s * 2, LONGEST_S)
