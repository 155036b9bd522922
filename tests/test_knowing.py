"""Knowing oneself: a lost broker, a lost line of our own, a township's line. Never an outage that was not."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

from monitor.core.sites import Check
from monitor.intake.poller import Poller
from monitor.intake.probes import Tools
from tests.recorder import Recorder
from tests.services import HOST, Mosquitto, free_port, wait_for_async
from tests.serving import SOON_S, Devices, Row, Serving, Target, beats, devices, issue, probe, write_config
from tests.targets import silent, tools

__all__ = ["silent", "tools"]  # fixtures

CHANNELS = ("mqtt", "http", "probe")
#: Seconds of silence after which a device is called down: heartbeats here have I = 1, G = 2.
PATIENCE_S = 3


def channels(service: Serving) -> dict[str, bool]:
    return {name: service.value("zhdj_channel_observed", channel=name) == 1 for name in CHANNELS}


def down(service: Serving) -> set[str]:
    """Every outage that there ever was, as `site/terminal`."""
    return {f"{site}/{kind}" for site, kind in service.query("SELECT site, terminal FROM outage")}


async def until_all_up(service: Serving, played: Devices) -> None:
    names = {(a.cast.site, a.cast.terminal) for a in played.fleet.actors}
    await wait_for_async(lambda: all(service.is_up(*name) for name in names), SOON_S, "all to be up", every=0.2)


async def let_pass(service: Serving, seconds: float, name: str, **labels: str) -> None:
    """Until a counter of one a second each of something has grown by that much: so long has the service lived."""

    def count() -> float:
        return sum(service.samples(name, **labels).values())

    before, each = count(), 1
    await wait_for_async(lambda: count() >= before + seconds * each, 30, f"{seconds} s of {name}", every=0.2)


async def test_a_killed_broker_is_a_lost_channel_and_no_outage(tmp_path: Path, mosquitto: Mosquitto) -> None:
    """kill -9: mosquitto forgets subscriptions, and the service subscribes again."""
    pcs: list[Row] = [beats(f"V{n}", "pc", "mqtt") for n in range(1, 5)]
    config = write_config(tmp_path, http=free_port(), mqtt=mosquitto.port, checks=[*pcs, beats("V1", "mobile", "http")])
    tokens = issue(config, tmp_path / "tokens.json")
    with Serving(config) as service:
        async with devices(config, tokens) as played:
            await until_all_up(service, played)
            known = down(service)  # from before the devices came
            received = service.value("zhdj_heartbeats_received_total", via="mqtt") or 0
            await asyncio.to_thread(mosquitto.kill)
            await wait_for_async(lambda: not channels(service)["mqtt"], SOON_S, "the channel to be lost")
            assert not service.ready()
            # One mobile, one beat a second: longer than any pc's patience.
            await let_pass(service, PATIENCE_S + 2, "zhdj_heartbeats_received_total", via="http")
            assert channels(service) == {"mqtt": False, "http": True, "probe": True}
            assert service.value("zhdj_terminal_up", site="V1", terminal="pc") is None
            await asyncio.to_thread(mosquitto.start)
            await wait_for_async(lambda: channels(service)["mqtt"], SOON_S, "the channel to be restored")
            await until_all_up(service, played)
            await wait_for_async(
                lambda: (service.value("zhdj_heartbeats_received_total", via="mqtt") or 0) > received, SOON_S, "beats"
            )
            await wait_for_async(service.ready, SOON_S, "readiness")
        assert service.end() == 0
        assert down(service) == known
    unknown = service.query(
        "SELECT site FROM span JOIN 'check' ON id = check_id WHERE value = 1 AND 'check'.'check' = 'heartbeat-mqtt'"
    )
    assert {site for (site,) in unknown} == {"V1", "V2", "V3", "V4"}


async def test_while_no_canary_answers_nobody_is_called_down(tmp_path: Path, mosquitto: Mosquitto) -> None:
    """Our own line fails: the canary does not answer, and of the county nothing is heard. All we know is that."""
    port = free_port()
    checks: list[Row] = []
    for n in range(1, 4):
        checks += [beats(f"V{n}", "pc", "mqtt"), beats(f"V{n}", "mobile", "http")]
        checks.append(probe(f"V{n}", "tv", port, host=f"127.79.0.{n}", failures=4))
    with Target() as canary:
        config = write_config(
            tmp_path,
            http=free_port(),
            mqtt=mosquitto.port,
            checks=checks,
            canaries=[f"tcp:127.0.0.1:{canary.port}"],
        )
        tokens = issue(config, tmp_path / "tokens.json")
        with Serving(config) as service:
            async with devices(config, tokens) as played:
                await until_all_up(service, played)
                known = down(service)
                canary.close()
                played.silence()
                await wait_for_async(lambda: not any(channels(service).values()), SOON_S, "all channels to be lost")
                # Echoes of our own do come back meanwhile: they must not make anybody believe.
                ended = asyncio.get_running_loop().time() + 2 * PATIENCE_S

                def still_blind() -> bool:
                    assert not any(channels(service).values())
                    return asyncio.get_running_loop().time() > ended

                await wait_for_async(still_blind, 30, "twice the patience", every=0.2)
                states = service.samples("zhdj_site_state", state="unknown")
                assert [v for k, v in states.items() if '"V' in k] == [1, 1, 1]
                assert down(service) == known
                played.restore()
                canary.open()
                await wait_for_async(lambda: all(channels(service).values()), SOON_S, "all channels to be restored")
                await until_all_up(service, played)
            assert service.end() == 0
            assert down(service) == known
            # Before the start, while the canary was closed, and since the end.
            found = service.query("SELECT channel, count(*) FROM loss GROUP BY channel")
            assert dict(found) == dict.fromkeys(CHANNELS, 3)


async def test_a_townships_line_by_its_own_check(tmp_path: Path, mosquitto: Mosquitto) -> None:
    with Target() as line:
        checks = [probe("T1", "uplink", line.port, 0.5), beats("V1", "pc", "mqtt")]
        config = write_config(tmp_path, http=free_port(), mqtt=mosquitto.port, checks=checks)
        with Serving(config) as service:

            def uplink() -> float | None:
                return service.value("zhdj_uplink_up", township="T1")

            await wait_for_async(lambda: uplink() == 1, 10, "the line to be up")
            line.close()
            await wait_for_async(lambda: uplink() == 0, 10, "the line to be down")
            line.open()
            await wait_for_async(lambda: uplink() == 1, 10, "the line to be up again")


async def test_a_townships_line_by_its_villages(tmp_path: Path, mosquitto: Mosquitto) -> None:
    """No check of its own: four of five villages whose tv and pc fell silent together say it, three do not."""
    port = free_port()
    checks: list[Row] = []
    for n in range(1, 6):
        checks += [beats(f"W{n}", "pc", "mqtt"), beats(f"W{n}", "mobile", "http")]
        checks.append(probe(f"W{n}", "tv", port, host=f"127.79.1.{n}"))
    config = write_config(tmp_path, http=free_port(), mqtt=mosquitto.port, checks=checks)
    tokens = issue(config, tmp_path / "tokens.json")
    with Serving(config) as service:
        async with devices(config, tokens) as played:

            def uplink() -> float | None:
                return service.value("zhdj_uplink_up", township="T2")

            def are_down(*villages: str) -> bool:
                return all(
                    service.value("zhdj_terminal_up", site=v, terminal=k) == 0 for v in villages for k in ("tv", "pc")
                )

            await until_all_up(service, played)
            assert uplink() == 1
            played.silence(*(f"{v}/{k}" for v in ("W1", "W2", "W3") for k in ("tv", "pc")))
            await wait_for_async(lambda: are_down("W1", "W2", "W3"), SOON_S, "three villages to be silent", every=0.1)
            assert uplink() == 1
            played.silence("W4/tv", "W4/pc")
            await wait_for_async(lambda: are_down("W4"), SOON_S, "the fourth to be silent", every=0.1)
            assert uplink() == 0
            # Their mobiles are heard all the while: a phone may be anywhere.
            assert service.is_up("W1", "mobile")
            played.restore("W1/tv", "W1/pc")
            await wait_for_async(lambda: uplink() == 1, SOON_S, "the line to be up again", every=0.1)


async def test_a_probe_that_ends_while_we_are_deaf_says_nothing(silent: int, tools: Tools) -> None:
    """It was on its way when the line went: its failure is ours."""
    recorder, hears = Recorder(), True
    check = Check("V1", "tv", "tcp", f"{HOST}:{silent}", 100, 0, 1)
    poller = Poller([check], recorder, tools, concurrency=2, timeout_s=0.3, allowed=lambda: hears)
    polling = asyncio.create_task(poller.run())
    try:
        await wait_for_async(lambda: poller.running, 5, "a probe on its way", every=0.001)
        hears = False
        await wait_for_async(lambda: not poller.running, 5, "its end", every=0.01)
        assert recorder.results == []
        hears = True
        await wait_for_async(lambda: recorder.results, 5, "the result of the next")
    finally:
        polling.cancel()
        with suppress(asyncio.CancelledError):
            await polling
