"""The agent on a real broker with TLS: beats, wills, goodbyes, and what it does while the line is down."""

from __future__ import annotations

import asyncio
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agents import TOKEN, USER, Agent, hearing, over_mqtt, write_agent
from tests.services import Mosquitto, free_port, make_certificate, wait_for_async


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """TLS, a password each, and sessions that survive an orderly stop."""
    (tmp_path / "tls").mkdir()
    users = {USER: TOKEN, "listener": "of the listener"}
    acl = "user listener\ntopic read #\npattern write zhdj/v1/%u/heartbeat\npattern write zhdj/v1/%u/status\n"
    made = make_certificate(tmp_path / "tls")
    with Mosquitto(tmp_path, passwords=users, acl=acl, certificate=made, persistence=True) as service:
        yield service


def listening(broker: Mosquitto):  # type: ignore[no-untyped-def]
    return hearing(broker, "listener", "of the listener")


def waiting(agent: Agent) -> int:
    """How many beats wait, as it last said when it could not connect."""
    return max(map(int, re.findall(r"(\d+) beats wait", agent.output())), default=0)


async def test_it_beats_over_tls_with_all_that_a_beat_has(broker: Mosquitto, tmp_path: Path) -> None:
    process = Path("/proc/self/comm").read_text().strip()
    services = {
        "video_conference": f"process:{process}",
        "emergency": "process:no-such-program",
        "publicity": f"tcp:127.0.0.1:{broker.port}",
        "supervision": f"http://127.0.0.1:{free_port()}/",
        "learning": "na",
    }
    async with listening(broker) as heard:
        with Agent(write_agent(tmp_path / "pc", over_mqtt(broker), services=services)):
            await wait_for_async(lambda: len(heard.beats) >= 3, what="three beats")
    first, *_, last = heard.beats
    assert heard.states[0] == ("online", False)
    assert heard.seqs == list(range(len(heard.beats)))
    assert first["boot"] == last["boot"]
    assert len(first["boot"]) == 16
    assert abs(first["sent_at"] - time.time() * 1000) < 30_000
    assert first["uptime_s"] >= 0
    assert first["version"].startswith("agent ")
    assert last["services"] == {
        "video_conference": "ok",
        "emergency": "fail",
        "publicity": "ok",
        "supervision": "fail",
        "learning": "na",
    }


async def test_killed_the_broker_tells_and_ended_it_tells_itself(broker: Mosquitto, tmp_path: Path) -> None:
    config = write_agent(tmp_path / "pc", over_mqtt(broker))
    async with listening(broker) as heard:
        agent = Agent(config).start()
        await wait_for_async(lambda: heard.beats, what="a beat")
        agent.kill()
        await wait_for_async(lambda: heard.states[-1:] == [("offline", False)], what="the will")
        killed = heard.beats[-1]["boot"]

        await asyncio.to_thread(agent.start)
        await wait_for_async(lambda: heard.beats[-1]["boot"] != killed, what="a new boot")
        assert heard.states[-1] == ("online", False)
        agent.stop()
        await wait_for_async(lambda: heard.states[-1] == ("off", False), what="the goodbye")
        # The broker has ended both sessions by now: no will follows.
        await wait_for_async(lambda: broker.output().count(f"Client {USER} ") >= 2, what="the end of the session")
        assert [state for state, _ in heard.states] == ["online", "offline", "online", "off"]
    assert "stopped; 0 beats were not delivered" in agent.tail()
    # What newcomers see is the retained one.
    async with listening(broker) as late:
        await wait_for_async(lambda: late.states, what="the retained status")
        assert late.states[-1][0] == "off"


async def test_beats_of_an_outage_of_the_broker_come_late(broker: Mosquitto, tmp_path: Path) -> None:
    async with listening(broker) as heard:
        with Agent(write_agent(tmp_path / "pc", over_mqtt(broker))) as agent:
            await wait_for_async(lambda: heard.beats, what="a beat")
            before = time.time() * 1000
            await asyncio.to_thread(broker.stop)
            await wait_for_async(lambda: waiting(agent) >= 6, 30, "beats to wait")
            back = time.time() * 1000
            await asyncio.to_thread(broker.start)
            last = heard.seqs[-1]
            await wait_for_async(lambda: {last, last + 1, last + 5} <= set(heard.seqs), 20, "what waited")
            newest = await wait_for_async(lambda: max(heard.seqs) > last + 6 and max(heard.seqs), 20, "what is new")
            await wait_for_async(lambda: set(range(newest)) <= set(heard.seqs), 20, "every beat")
    assert len({beat["boot"] for beat in heard.beats}) == 1
    waited = {beat["seq"] for beat in heard.beats if before < beat["sent_at"] < back}
    assert len(waited) >= 4
    # The newest came first: it proves that the device lives, and its seq that it did all the while.
    came = [seq for seq in heard.seqs if seq > last]
    assert came[0] > min(came)


async def test_what_waits_is_bounded_and_a_goodbye_without_a_line_takes_no_age(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path)  # not running
    path = write_agent(tmp_path / "pc", over_mqtt(broker), interval_s=0.1)
    path.write_text("keep_beats = 5\n" + path.read_text())
    agent = Agent(path).start()
    # Told at every try to connect: a second and more, so ten beats, lie between two of them.
    await wait_for_async(lambda: agent.output().count("5 beats wait") >= 2, 20, "a full outbox, twice")
    begun = time.monotonic()
    agent.stop()
    assert time.monotonic() - begun < 5
    assert "stopped; 5 beats were not delivered" in agent.tail()
    assert "6 beats" not in agent.tail()


async def test_a_wrong_token_is_tried_again_and_read_anew(broker: Mosquitto, tmp_path: Path) -> None:
    path = write_agent(tmp_path / "pc", over_mqtt(broker))
    (path.parent / "token").write_text("zd_wrong")
    async with listening(broker) as heard:
        with Agent(path) as agent:
            await wait_for_async(lambda: "refused" in agent.output(), what="the refusal")
            assert "zd_wrong" not in agent.output()
            (path.parent / "token").write_text(TOKEN)
            await wait_for_async(lambda: heard.beats, what="a beat")


async def test_an_untrusted_certificate_gets_no_token(broker: Mosquitto, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = make_certificate(tmp_path / "other")
    path = write_agent(tmp_path / "pc", over_mqtt(broker).replace(str(broker.certificate.cert), str(other.cert)))  # type: ignore[union-attr]
    with Agent(path) as agent:
        await wait_for_async(lambda: "certificate verify failed" in agent.output(), what="the refusal")
    assert "New client connected" not in broker.output()


async def test_a_hung_broker_is_noticed(broker: Mosquitto, tmp_path: Path) -> None:
    """No acknowledgement: the beats wait and come again, whoever else may have got them once."""
    async with listening(broker) as heard:
        with Agent(write_agent(tmp_path / "pc", over_mqtt(broker))) as agent:
            await wait_for_async(lambda: heard.beats, what="a beat")
            broker.send_signal(signal.SIGSTOP)
            try:
                await wait_for_async(lambda: "line down" in agent.output(), 20, "the agent to notice")
            finally:
                broker.send_signal(signal.SIGCONT)
            last = heard.seqs[-1]
            await wait_for_async(lambda: set(range(last + 5)) <= set(heard.seqs), 20, "every beat")
