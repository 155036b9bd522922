"""The topics that devices write: `zhdj/v1/{site}/{terminal}/heartbeat`, `.../status` (docs/interfaces.md)."""

from __future__ import annotations

from collections.abc import Iterable
from sys import intern

PREFIX = "zhdj/v1/"
HEARTBEAT = "heartbeat"
STATUS = "status"

#: Characters; ids are short, and MQTT would allow 64 KiB.
MAX_TOPIC = 160

#: For a process that owns every site.
WILDCARDS = (f"{PREFIX}+/+/{HEARTBEAT}", f"{PREFIX}+/+/{STATUS}")


def of_sites(sites: Iterable[str]) -> tuple[str, ...]:
    """One filter a site, for a process that owns some: heartbeats and status of all of its terminals."""
    return tuple(f"{PREFIX}{site}/#" for site in sites)


def device(topic: str) -> tuple[str, str, str] | None:
    """(site, terminal, `heartbeat` or `status`), or None where no device may write such a topic."""
    if len(topic) > MAX_TOPIC or not topic.startswith(PREFIX):
        return None
    parts = topic.split("/")
    if len(parts) != 5 or not parts[2] or not parts[3] or parts[4] not in (HEARTBEAT, STATUS):
        return None
    # One text for each name, however often it comes: what is kept by name then takes half the room.
    return intern(parts[2]), intern(parts[3]), intern(parts[4])


def of_user(user: str) -> tuple[str, str]:
    """The only two topics that the device signed in as user `{site}/{terminal}` may write."""
    return f"{PREFIX}{user}/{HEARTBEAT}", f"{PREFIX}{user}/{STATUS}"


def echo(observer: str) -> str:
    """Where an observer writes to itself to prove that the channel works."""
    return f"{PREFIX}monitor/{observer}/echo"
