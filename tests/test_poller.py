"""The poller: a rhythm that holds whatever is dead, and our own failures, which say nothing of a target."""

from __future__ import annotations

import asyncio
import errno
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, NoReturn

import pytest

from monitor.core.sites import Check
from monitor.intake import poller as poller_module
from monitor.intake import probes
from monitor.intake.poller import Poller, phase_s
from monitor.intake.probes import ProbeResult, Tools, asker, icmp
from tests.recorder import Recorder
from tests.services import HOST, wait_for_async
from tests.targets import listening, silent, tools
from tests.test_probes import FakeSocket

__all__ = ["listening", "silent", "tools"]


def checks(kind: str, names: list[str], interval_ms: int) -> list[Check]:
    return [Check(name, "pc", kind, target=name, interval_ms=interval_ms, failures=3) for name in names]


@asynccontextmanager
async def polling(poller: Poller) -> AsyncIterator[asyncio.Task[NoReturn]]:
    task = asyncio.create_task(poller.run())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[str], Awaitable[ProbeResult]]], None]:
    """Replaces tcp by a function of the target."""

    def replace(function: Callable[[str], Awaitable[ProbeResult]]) -> None:
        async def one(tools: Tools, target: str, timeout_s: float) -> ProbeResult:
            return await function(target)

        monkeypatch.setattr(probes, "PROBES", {"tcp": one})
        monkeypatch.setattr(poller_module, "PROBES", {"tcp": one})

    return replace


async def test_dead_targets_do_not_delay_living_ones(played: Any, tools: Tools) -> None:
    """400 that never answer, 100 that do: more dead time than places, and the living keep their rhythm."""
    interval_s, timeout_s = 0.5, 0.4

    async def answer(target: str) -> ProbeResult:
        if target.startswith("dead"):
            await asyncio.Event().wait()
        return ProbeResult(True)

    played(answer)
    loop = asyncio.get_running_loop()
    times: dict[str, list[float]] = {}

    class Timing(Recorder):
        def result(self, site: str, terminal: str, check: str, ok: bool, **more: Any) -> str | None:
            times.setdefault(site, []).append(loop.time())
            assert ok is site.startswith("living")
            return None

    living = [f"living{i}" for i in range(100)]
    dead = [f"dead{i}" for i in range(400)]
    poller = Poller(
        checks("tcp", living + dead, int(interval_s * 1000)),
        Timing(),
        tools,
        concurrency=100,
        timeout_s=timeout_s,
    )
    async with polling(poller):
        # Once everybody has had a turn, it is known who answers.
        await wait_for_async(lambda: set(living) <= times.keys(), 30, "a first answer of each")
        first = {site: len(times[site]) for site in living}
        await wait_for_async(lambda: all(len(times[s]) >= first[s] + 5 for s in living), 30, "five more of each")
        assert poller.running <= 100
    gaps = [b - a for s in living for a, b in zip(times[s][first[s] :], times[s][first[s] + 1 :], strict=False)]
    # A busy test machine delays all; dead targets in the way would cost each their whole time limit.
    assert sorted(gaps)[int(len(gaps) * 0.95)] < interval_s + timeout_s / 2
    assert poller.skipped > 0
    assert any(s.startswith("dead") for s in times)


async def test_every_check_has_its_phase_and_keeps_it(played: Any, tools: Tools) -> None:
    async def answer(target: str) -> ProbeResult:
        return ProbeResult(True)

    played(answer)
    loop = asyncio.get_running_loop()
    all_checks = checks("tcp", [f"s{i}" for i in range(50)], 200)
    assert {phase_s(c) for c in all_checks} == {phase_s(c) for c in all_checks}
    assert len({round(phase_s(c), 3) for c in all_checks}) > 40
    assert all(0 <= phase_s(c) < 0.2 for c in all_checks)
    times: dict[str, list[float]] = {}

    class Timing(Recorder):
        def result(self, site: str, terminal: str, check: str, ok: bool, **more: Any) -> str | None:
            times.setdefault(site, []).append(loop.time())
            return None

    started = loop.time()
    async with polling(Poller(all_checks, Timing(), tools, concurrency=10, timeout_s=1)):
        await wait_for_async(lambda: len(times.get("s0", [])) >= 8, what="eight turns")
    phase = phase_s(all_checks[0])
    late = [at - started - phase - 0.2 * i for i, at in enumerate(times["s0"])]
    assert min(late) >= 0
    # No drift: the eighth turn is no later than a busy machine makes any.
    assert sorted(late)[len(late) // 2] < 0.1


async def test_a_slow_target_skips_its_turn_and_never_runs_twice_at_once(played: Any, tools: Tools) -> None:
    at_once: Counter[str] = Counter()
    most: Counter[str] = Counter()

    async def answer(target: str) -> ProbeResult:
        at_once[target] += 1
        most[target] = max(most[target], at_once[target])
        missed = poller.skipped
        await wait_for_async(lambda: poller.skipped >= missed + 2, what="two turns to be missed")
        at_once[target] -= 1
        return ProbeResult(True)

    played(answer)
    recorder = Recorder()
    poller = Poller(checks("tcp", ["a", "b"], 50), recorder, tools, concurrency=4, timeout_s=10)
    async with polling(poller):
        await wait_for_async(lambda: len(recorder.results) >= 6, what="six results")
    assert set(most.values()) == {1}
    assert poller.skipped > 3


async def test_nothing_runs_while_it_is_not_allowed(played: Any, tools: Tools) -> None:
    allowed = False
    asked = 0

    def may() -> bool:
        nonlocal asked
        asked += 1
        return allowed

    async def answer(target: str) -> ProbeResult:
        return ProbeResult(True)

    played(answer)
    recorder = Recorder()
    poller = Poller(checks("tcp", ["a"], 20), recorder, tools, concurrency=4, timeout_s=1, allowed=may)
    async with polling(poller):
        await wait_for_async(lambda: asked >= 3, what="three turns")
        assert recorder.results == []
        allowed = True
        await wait_for_async(lambda: recorder.results, what="a result")


async def test_results_carry_their_duration_and_detail(tools: Tools, listening: int, silent: int) -> None:
    recorder = Recorder()
    rows = [
        Check("up", "pc", "tcp", f"{HOST}:{listening}", 100, failures=1),
        Check("down", "pc", "tcp", f"{HOST}:{silent}", 100, failures=1),
        Check("up", "mobile", "heartbeat-http"),
    ]
    async with polling(Poller(rows, recorder, tools, concurrency=4, timeout_s=0.15)):
        await wait_for_async(lambda: {r[3] for r in recorder.results} == {True, False}, what="both results")
    for site, terminal, check, ok, duration_s, detail in recorder.results:
        assert (site, terminal, check) == ("up" if ok else "down", "pc", "tcp")
        assert detail == ("connected" if ok else "no answer in time")
        assert 0 <= duration_s < 1 if ok else 0.14 < duration_s < 1


async def test_where_probing_is_impossible_nothing_is_said_of_the_target(played: Any, tools: Tools) -> None:
    async def broken(target: str) -> ProbeResult:
        raise OSError(errno.EMFILE, "Too many open files")

    played(broken)
    recorder = Recorder()
    async with polling(Poller(checks("tcp", ["a"], 20), recorder, tools, concurrency=4, timeout_s=1)):
        await wait_for_async(lambda: recorder.refused["probe", "unavailable"] >= 3, what="three refusals")
    assert recorder.results == []


async def test_nothing_to_probe_is_no_end(tools: Tools) -> None:
    async with polling(Poller([], Recorder(), tools, concurrency=4, timeout_s=1)) as task:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not task.done()


async def test_a_defect_ends_the_poller(played: Any, tools: Tools) -> None:
    async def broken(target: str) -> ProbeResult:
        raise ZeroDivisionError

    played(broken)
    poller = Poller(checks("tcp", ["a"], 20), Recorder(), tools, concurrency=4, timeout_s=1)
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(5):
            await poller.run()
    assert caught.group_contains(ZeroDivisionError)


@pytest.mark.skipif(not icmp.allowed(), reason="this machine lets nobody send ICMP")
async def test_echoes_need_no_task(tools: Tools) -> None:
    """Those that answer, one that never does, and a name, which must be looked up first."""
    recorder = Recorder()
    living = [f"127.0.2.{i + 1}" for i in range(50)]
    rows = checks("icmp", [*living, "240.0.0.1", "localhost"], 150)
    asked_line = 0

    async def line_works() -> bool:
        nonlocal asked_line
        asked_line += 1
        return True

    poller = Poller(rows, recorder, tools, concurrency=10, timeout_s=0.1, line_works=line_works)
    async with polling(poller):
        wanted = {(name, name != "240.0.0.1") for name in (*living, "240.0.0.1", "localhost")}
        await wait_for_async(lambda: {(r[0], r[3]) for r in recorder.results} >= wanted, what="a result of each")
        tasks = {task.get_name() for task in asyncio.all_tasks()}
        assert not any(name.startswith("probe icmp 127.") for name in tasks)
    assert {r[0] for r in recorder.results if not r[3]} == {"240.0.0.1"}
    assert asked_line >= 1
    assert all(r[5] == "echo" for r in recorder.results if r[3])


async def test_an_echo_without_an_answer_ends_with_its_time(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several limits at once, each kept; whoever is asked again has the whole of it again."""
    fake = FakeSocket()
    monkeypatch.setattr(icmp, "_open", lambda family: (fake, True))
    loop = asyncio.get_running_loop()
    told: list[tuple[str, float]] = []
    started = loop.time()

    def ask(name: str, limit: float) -> None:
        asking = asker(tools, "icmp", "10.0.0.1", limit, lambda _: told.append((name, loop.time() - started)))
        assert asking is not None
        asking()

    for name, limit in (("long", 0.3), ("short", 0.1), ("long", 0.3)):
        ask(name, limit)
    await wait_for_async(lambda: len(told) == 3, what="three results")
    assert [name for name, _ in told] == ["short", "long", "long"]
    assert all(at >= (0.09 if name == "short" else 0.29) for name, at in told)
    ask("again", 0.3)
    await wait_for_async(lambda: len(told) == 4, what="a fourth")
    assert told[3][1] - told[2][1] >= 0.29
