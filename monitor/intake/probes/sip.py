"""Does a meeting terminal speak SIP? OPTIONS over UDP (RFC 3261 §11): whatever it answers, it is there.

200, 401, 404, 405, 486, 100: any status says that someone at that address reads SIP. Whether a user is registered
with a server is another question, which this does not answer.
"""

from __future__ import annotations

import re
import secrets
import socket
from typing import NamedTuple

from monitor.intake.probes.tools import ProbeResult, Tools
from monitor.intake.probes.udp import TooManyStray, ask, connected
from monitor.inventory.targets import SipTarget, sip_target

_HEAD_END, _LINE_END, _FOLDED = re.compile(r"\r?\n\r?\n"), re.compile(r"\r?\n"), re.compile(r"\r?\n[ \t]+")
_STATUS = re.compile(r"SIP/2\.0 ([1-6]\d\d)(?: |$)", re.IGNORECASE)
_BRANCH = re.compile(r";\s*branch\s*=\s*([^;,\s]+)", re.IGNORECASE)
#: Compact forms (RFC 3261 §7.3.3).
_SHORT = {"v": "via", "i": "call-id"}


async def probe_sip(tools: Tools, target: str, timeout_s: float) -> ProbeResult:
    """`target`: host[:port] or sip:[user@]host[:port]. Raises OSError; the caller keeps the time."""
    aim = sip_target(target)
    with connected(await tools.resolve(aim.host, aim.port)) as sock:
        mark = Mark.new()
        try:
            status = await ask(sock, _options(aim, mark, sock), lambda data: answered(data, mark))
        except TooManyStray:
            return ProbeResult(False, "answers, but not with SIP")
    return ProbeResult(True, f"status {status}")


class Mark(NamedTuple):
    """What an answer must repeat."""

    branch: str
    call_id: str

    @classmethod
    def new(cls) -> Mark:
        return cls(f"z9hG4bK{secrets.token_hex(8)}", f"{secrets.token_hex(8)}@zhdj-monitor")


def answered(data: bytes, mark: Mark) -> int | None:
    """The status of an answer to this question; None for anything else."""
    head = _HEAD_END.split(data.decode("latin-1"), maxsplit=1)[0]
    first, *lines = _LINE_END.split(_FOLDED.sub(" ", head))
    status = _STATUS.match(first)
    if not status:
        return None
    found: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        name = name.strip().lower()
        found.setdefault(_SHORT.get(name, name), value.strip())  # the topmost Via is ours
    via = _BRANCH.search(found.get("via", "").partition(",")[0])
    if via is None or via[1] != mark.branch or found.get("call-id") != mark.call_id:
        return None
    return int(status[1])


def _options(aim: SipTarget, mark: Mark, sock: socket.socket) -> bytes:
    host, port = sock.getsockname()[:2]
    own = f"[{host.partition('%')[0]}]" if ":" in host else host
    there = f"[{aim.host.partition('%')[0]}]" if ":" in aim.host else aim.host
    uri = f"sip:{aim.user}{'@' if aim.user else ''}{there}:{aim.port}"
    lines = (
        f"OPTIONS {uri} SIP/2.0",
        # rport: answer to where this came from, whatever a NAT made of it (RFC 3581).
        f"Via: SIP/2.0/UDP {own}:{port};branch={mark.branch};rport",
        "Max-Forwards: 70",
        f"From: <sip:zhdj-monitor@{own}>;tag={secrets.token_hex(4)}",
        f"To: <{uri}>",
        f"Call-ID: {mark.call_id}",
        "CSeq: 1 OPTIONS",
        f"Contact: <sip:zhdj-monitor@{own}:{port}>",
        "Accept: application/sdp",
        "User-Agent: zhdj-monitor",
        "Content-Length: 0",
    )
    return "\r\n".join([*lines, "", ""]).encode()
