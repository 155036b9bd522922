"""What systemd is told of the service (`Type=notify`, `WatchdogSec=`): that it is ready, lives, stops.

The protocol of sd_notify: a datagram to the socket that `NOTIFY_SOCKET` names. Without systemd there is no such
variable, and nothing is told.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping

READY = "READY=1"
ALIVE = "WATCHDOG=1"
STOPPING = "STOPPING=1"


def supervisor(environment: Mapping[str, str] = os.environ) -> Callable[[str], None]:
    """How to tell it; a supervisor that does not take what we say never stops us."""
    name = environment.get("NOTIFY_SOCKET", "")
    if not name.startswith(("/", "@")):
        return lambda _said: None
    address = "\0" + name[1:] if name[0] == "@" else name  # @: a name that stands in no file system

    def tell(said: str) -> None:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                channel.setblocking(False)
                channel.sendto(said.encode(), address)
        except OSError:
            return

    return tell
