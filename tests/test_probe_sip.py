"""sip: a real phone, every status, and answers that are none."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.intake.probes import ProbeResult, Tools, probe
from monitor.intake.probes.sip import Mark, answered
from monitor.intake.probes.udp import MAX_STRAY
from tests.conftest import RunService
from tests.devices import Phone, free_udp_port, peer
from tests.services import HOST
from tests.targets import tools

__all__ = ["tools"]


def fields(question: bytes) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in question.decode().split("\r\n")[1:] if line)


def answer(question: bytes, status: str = "200 OK", **change: str) -> bytes:
    """What RFC 3261 §8.2.6 makes of a question; `change` replaces fields (`Call_ID`)."""
    kept = {name: fields(question)[name] for name in ("Via", "From", "To", "Call-ID", "CSeq")}
    kept |= {name.replace("_", "-"): value for name, value in change.items()}
    lines = [f"SIP/2.0 {status}", *(f"{name}: {value}" for name, value in kept.items()), "Content-Length: 0", "", ""]
    return "\r\n".join(lines).encode()


async def test_a_real_phone(tools: Tools, tmp_path: Path, run_service: RunService) -> None:
    phone = await asyncio.to_thread(run_service, Phone(tmp_path))
    for target in (f"{HOST}:{phone.port}", f"sip:room1@{HOST}:{phone.port}", f"sip:localhost:{phone.port}"):
        assert await probe(tools, "sip", target, 5) == ProbeResult(True, "status 200")
    target = f"{HOST}:{phone.port}"
    assert all(r.ok for r in await asyncio.gather(*(probe(tools, "sip", target, 5) for _ in range(50))))
    phone.send_signal(signal.SIGSTOP)
    assert await probe(tools, "sip", target, 0.3) == ProbeResult(False, "no answer in time")
    phone.send_signal(signal.SIGCONT)
    assert (await probe(tools, "sip", target, 5)).ok
    await asyncio.to_thread(phone.kill)
    assert await probe(tools, "sip", target, 60) == ProbeResult(False, "Connection refused")


@pytest.mark.parametrize(
    "status",
    ["100 Trying", "200 OK", "302 Moved", "401 Unauthorized", "404 Not Found", "405 No", "486 Busy", "503 ", "603"],
)
async def test_any_status_is_life(tools: Tools, status: str) -> None:
    async with peer(lambda data, n: [answer(data, status)]) as phone:
        result = await probe(tools, "sip", f"{HOST}:{phone.port}", 5)
        assert result == ProbeResult(True, f"status {status[:3]}")


async def test_the_question(tools: Tools) -> None:
    async with peer(lambda data, n: [answer(data)]) as phone:
        await probe(tools, "sip", f"sip:room1@{HOST}:{phone.port}", 5)
        await probe(tools, "sip", f"{HOST}:{phone.port}", 5)
        first, second = phone.got
    assert first.startswith(f"OPTIONS sip:room1@{HOST}:{phone.port} SIP/2.0\r\n".encode())
    assert second.startswith(f"OPTIONS sip:{HOST}:{phone.port} SIP/2.0\r\n".encode())
    assert first.endswith(b"\r\n\r\n")
    sent = fields(first)
    assert re.fullmatch(rf"SIP/2\.0/UDP {HOST}:\d+;branch=z9hG4bK[0-9a-f]{{16}};rport", sent["Via"])
    assert {"Max-Forwards", "From", "To", "Call-ID", "CSeq", "Contact", "Content-Length"} <= sent.keys()
    assert not {sent[name] for name in ("Via", "Call-ID")} & {fields(second)[name] for name in ("Via", "Call-ID")}


async def test_only_its_own_answer_counts(tools: Tools) -> None:
    def mixed(data: bytes, number: int) -> Iterable[bytes]:
        via = fields(data)["Via"]
        return [
            b"",
            data,
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"\xff\x00\r\n" * 30,
            answer(data, "700 What"),
            answer(data, Call_ID="somebody else's"),
            answer(data, Via=via.replace("branch=z9hG4bK", "branch=z9hG4bK0")),
            answer(data, Via=f"SIP/2.0/UDP proxy;branch=z9hG4bKproxy, {via}"),
            answer(data, "486 Busy"),
        ]

    async with peer(mixed) as phone:
        assert await probe(tools, "sip", f"{HOST}:{phone.port}", 5) == ProbeResult(True, "status 486")

    for change in ({"Call_ID": "x"}, {"Via": "SIP/2.0/UDP x;branch=z9hG4bKx"}, {"Via": "SIP/2.0/UDP x"}):
        async with peer(lambda data, n, change=change: [answer(data, **change)]) as phone:  # type: ignore[misc]
            result = await probe(tools, "sip", f"{HOST}:{phone.port}", 0.2)
            assert result == ProbeResult(False, "no answer in time")

    async with peer(lambda data, n: [b"hello"] * MAX_STRAY) as phone:
        result = await probe(tools, "sip", f"{HOST}:{phone.port}", 5)
        assert result == ProbeResult(False, "answers, but not with SIP")


async def test_other_ways_to_write_it(tools: Tools) -> None:
    """Compact names, folded lines, bare line feeds, odd case and spaces (RFC 3261 §7.3)."""

    def compact(data: bytes, number: int) -> Iterable[bytes]:
        head, _, branch = fields(data)["Via"].partition(";branch=")
        branch, call_id = branch.partition(";")[0], fields(data)["Call-ID"]
        return [f"sip/2.0 200 OK\nV : {head}\n ; Branch = {branch};received=x\ni:{call_id}\n\nCall-ID: x\n".encode()]

    async with peer(compact) as phone:
        assert await probe(tools, "sip", f"{HOST}:{phone.port}", 5) == ProbeResult(True, "status 200")


async def test_a_question_is_repeated(tools: Tools) -> None:
    """After 0.5 s, and after 1 s more: the same one, so that a phone knows it."""
    async with peer(lambda data, n: [answer(data)] if n == 2 else []) as phone:
        assert (await probe(tools, "sip", f"{HOST}:{phone.port}", 10)).ok
    assert len(phone.got) == 3
    assert len(set(phone.got)) == 1
    first, second = phone.at[1] - phone.at[0], phone.at[2] - phone.at[1]
    assert 0.45 < first < 1.5
    assert 0.95 < second < 2.5


async def test_nobody_listens(tools: Tools) -> None:
    assert await probe(tools, "sip", f"{HOST}:{free_udp_port()}", 60) == ProbeResult(False, "Connection refused")


@given(st.data())
def test_no_bytes_break_it(data: st.DataObject) -> None:
    mark = Mark.new()
    good = f"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP x;branch={mark.branch}\r\nCall-ID: {mark.call_id}\r\n\r\n".encode()
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(good)))
        raw = good[:at] + data.draw(st.binary(max_size=9)) + good[at + data.draw(st.integers(0, 9)) :]
    else:
        raw = data.draw(st.binary(max_size=200))
    assert answered(raw, mark) is None or 100 <= (answered(raw, mark) or 0) < 700
    assert answered(good, mark) == 200
    assert answered(good, Mark.new()) is None
