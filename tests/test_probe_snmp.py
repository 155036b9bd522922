"""snmp: a real agent, and answers that are none."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyasn1.codec.ber import decoder, encoder
from pysnmp.proto import api

from monitor.intake.probes import ProbeResult, Tools, probe, snmp, uptimes
from monitor.intake.probes.udp import MAX_STRAY
from monitor.intake.probes.uptimes import Uptimes
from tests.conftest import RunService
from tests.devices import Snmpd, free_udp_port, peer
from tests.services import HOST
from tests.targets import tools

__all__ = ["tools"]

V2C = api.PROTOCOL_MODULES[api.SNMP_VERSION_2C]


def answer(question: bytes, *, value: Any = None, error: int = 0, other_id: int = 0, name: Any = None) -> bytes:
    """A response to the question; sysUpTime 12:34 unless said otherwise."""
    message, _ = decoder.decode(question, asn1Spec=V2C.Message())
    pdu = V2C.apiMessage.get_pdu(message)
    response = V2C.apiPDU.get_response(pdu)
    V2C.apiPDU.set_request_id(response, int(V2C.apiPDU.get_request_id(pdu)) ^ other_id)
    V2C.apiPDU.set_error_status(response, error)
    ticks = V2C.TimeTicks(75_400) if value is None else value
    V2C.apiPDU.set_varbinds(response, [(name or snmp.SYS_UPTIME, ticks)])
    V2C.apiMessage.set_pdu(message, response)
    return bytes(encoder.encode(message))


async def test_a_real_agent(tools: Tools, tmp_path: Path, run_service: RunService) -> None:
    agent = await asyncio.to_thread(run_service, Snmpd(tmp_path))
    target = f"readonly@{HOST}:{agent.port}"
    result = await probe(tools, "snmp", target, 5)
    assert result.ok
    assert result.detail.startswith("up for ")
    assert all(r.ok for r in await asyncio.gather(*(probe(tools, "snmp", target, 5) for _ in range(100))))
    # It does not answer who does not know the community: neither does a dead machine.
    assert await probe(tools, "snmp", f"{HOST}:{agent.port}", 0.3) == ProbeResult(False, "no answer in time")
    agent.send_signal(signal.SIGSTOP)
    assert await probe(tools, "snmp", target, 0.3) == ProbeResult(False, "no answer in time")
    agent.send_signal(signal.SIGCONT)
    assert (await probe(tools, "snmp", target, 5)).ok
    await asyncio.to_thread(agent.kill)
    # The machine says that nobody listens: no need to wait for the limit.
    assert await probe(tools, "snmp", target, 60) == ProbeResult(False, "Connection refused")
    await asyncio.to_thread(agent.start)
    assert (await probe(tools, "snmp", target, 5)).ok


async def test_an_agent_that_may_not_tell(tools: Tools, tmp_path: Path, run_service: RunService) -> None:
    agent = await asyncio.to_thread(run_service, Snmpd(tmp_path, view=".1.3.6.1.2.1.1.1"))
    result = await probe(tools, "snmp", f"readonly@{HOST}:{agent.port}", 5)
    assert result == ProbeResult(False, "no sysUpTime there: NoSuchObject")


async def test_the_question_is_what_the_target_says(tools: Tools) -> None:
    async with peer(lambda data, n: [answer(data)]) as device:
        for target, community in ((f"{HOST}:{device.port}", b"public"), (f"p@ss@{HOST}:{device.port}", b"p@ss")):
            assert await probe(tools, "snmp", target, 5) == ProbeResult(True, "up for 754 s")
            message, _ = decoder.decode(device.got[-1], asn1Spec=V2C.Message())
            assert bytes(V2C.apiMessage.get_community(message)) == community
            assert int(V2C.apiMessage.get_version(message)) == 1


@pytest.mark.parametrize(
    ("more", "detail"),
    [
        ({"error": 5}, "error status genErr"),
        ({"value": V2C.Integer(1)}, "no sysUpTime there: Integer"),
        ({"name": (1, 3, 6, 1, 2, 1, 1, 5, 0)}, "an answer without sysUpTime"),
    ],
)
async def test_an_answer_that_is_no_uptime(tools: Tools, more: dict[str, Any], detail: str) -> None:
    async with peer(lambda data, n: [answer(data, **more)]) as device:
        assert await probe(tools, "snmp", f"{HOST}:{device.port}", 5) == ProbeResult(False, detail)


async def test_only_its_own_answer_counts(tools: Tools) -> None:
    """Others' answers, the question itself and junk before the answer; and a question that got lost."""

    def late(data: bytes, number: int) -> Iterable[bytes]:
        if number == 0:
            return []
        junk = [b"", b"\x30", data, answer(data, other_id=1), answer(data)[:-1], b"\x30\x84\xff\xff\xff\xff" * 99]
        return [*junk, answer(data)]

    async with peer(late) as device:
        assert await probe(tools, "snmp", f"{HOST}:{device.port}", 5) == ProbeResult(True, "up for 754 s")
        assert len(device.got) == 2
        assert device.got[0] == device.got[1]

    async with peer(lambda data, n: [answer(data, other_id=1)]) as device:
        result = await probe(tools, "snmp", f"{HOST}:{device.port}", 0.2)
        assert result == ProbeResult(False, "no answer in time")

    async with peer(lambda data, n: [b"hello"] * MAX_STRAY) as device:
        result = await probe(tools, "snmp", f"{HOST}:{device.port}", 5)
        assert result == ProbeResult(False, "answers, but not with SNMP")


async def test_nobody_listens(tools: Tools) -> None:
    assert await probe(tools, "snmp", f"{HOST}:{free_udp_port()}", 60) == ProbeResult(False, "Connection refused")


async def test_an_uptime_that_stands_still_is_a_failure(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 1000.0
    monkeypatch.setattr("monitor.intake.probes.snmp.time.monotonic", lambda: now_s)
    ticks = 75_400
    async with peer(lambda data, n: [answer(data, value=V2C.TimeTicks(ticks))]) as device:
        target = f"{HOST}:{device.port}"
        assert (await probe(tools, "snmp", target, 5)).ok
        now_s += snmp.STALE_S - 1
        assert (await probe(tools, "snmp", target, 5)).ok
        now_s += 41
        result = await probe(tools, "snmp", target, 5)
        assert result == ProbeResult(False, "uptime stands still at 754 s for 60 s")
        ticks = 300  # started again: that is a life of its own
        assert await probe(tools, "snmp", target, 5) == ProbeResult(True, "up for 3 s")


def test_uptimes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uptimes, "MOST", 2)
    known = Uptimes()
    for n, target in enumerate("abc"):
        assert known.still_s(target, 1, n) == 0
    assert known.still_s("c", 1, 5) == 3
    assert known.still_s("a", 1, 5) == 0  # forgotten
    assert known.still_s("c", 2, 6) == 0


@given(st.data())
def test_no_bytes_break_it(data: st.DataObject) -> None:
    good = answer(snmp.question("public", 77))
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(good)))
        raw = good[:at] + data.draw(st.binary(max_size=9)) + good[at + data.draw(st.integers(0, 9)) :]
    else:
        raw = data.draw(st.binary(max_size=200))
    assert isinstance(snmp.answered(raw, 77), int | str | None)
    assert snmp.answered(good, 77) == 75_400
    assert snmp.answered(good, 78) is None
