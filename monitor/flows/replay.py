"""Replay: a recorded trace through the engine, on the trace's own clock, into a database, and the answer from there.

With a database of its own a replay that was killed goes on from its last cut: the trace is read again up to the cut
without writing, and nothing is invented in between (only a service that starts loses its channels).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from monitor.core.figures import Counter as FigureCounter
from monitor.core.figures import Figures
from monitor.core.timeline import Interval
from monitor.errors import MonitorError
from monitor.evidence.lines import InventoryLine, OpenedLine
from monitor.evidence.reading import Read, in_order, plain_name, read_lines, trace_files
from monitor.flows.collecting import no_search_for_cycles
from monitor.flows.history import eras_in
from monitor.flows.judging import Judge
from monitor.inventory.load import Loaded
from monitor.store import reading
from monitor.store.database import opened
from monitor.store.exemptions import approved as exempted
from monitor.store.view import Position, View

#: A replay's cut: after this many lines. Small enough to be resumed soon, large enough to cost little.
LINES_A_CUT = 50_000
#: After so many lines the loop has its turn: a service that catches up goes on hearing.
LINES_A_TURN = 1_000

Progress = Callable[[int], None]


async def replay(
    loaded: Loaded,
    traces: Sequence[Path],
    period: Interval,
    *,
    url: str | None = None,
    lines_a_cut: int = LINES_A_CUT,
    progress: Progress | None = None,
) -> tuple[Figures, Counter[str]]:
    """The figures of `[from, to)`, ms, and what was refused by reason. `url` None: a database in memory.

    Raises MonitorError for a trace that cannot be read, naming file and line.
    """
    async with opened(url or "sqlite+aiosqlite://") as engine:
        view = View(engine, f"replay-{loaded.settings.observer}"[:32])
        await view.number_checks(loaded.inventory)
        judge = Judge(loaded)
        end = await rebuild(view, judge, traces, lines_a_cut=lines_a_cut, progress=progress)
        judge.finish(max(end.at, period[1]))
        async with engine.connect() as connection, connection.begin() as undecided:
            # What the end of the replay decides no line of the log says: a trace that grows goes on from its lines.
            await view.write(connection, [judge.collector.take()])
            counted = await _figures(connection, loaded, period)
            await undecided.rollback()
        return counted, judge.refused


async def rebuild(
    view: View,
    judge: Judge,
    traces: Sequence[Path],
    *,
    until: Position | None = None,
    torn_end: bool = False,
    lines_a_cut: int = LINES_A_CUT,
    progress: Progress | None = None,
    learn: Callable[[Read], None] | None = None,
) -> Position:
    """Bring the database to the end of the logs (or `until`) from the cut that it follows; returns how far it got.

    A day whose file begins with a state needs nothing older, so reading starts with the file of the cut, and what
    stands before the cut is judged but not written. `learn` sees every line. Raises MonitorError where the database
    follows a log that is not there.
    """
    cut = await view.position()
    # In a thread: a large county's head takes seconds, and beats come in meanwhile.
    files, told = await asyncio.to_thread(_to_read, trace_files(traces), cut)
    if told is not None:
        judge.expect(told)
    done = cut or Position("", 0, 0)
    behind = cut is not None
    met, reached = False, 0
    for lines, read in enumerate(in_order(_lines(files, torn_end)), 1):
        if behind and cut is not None:
            here = read.file == cut.file
            if read.end > cut.offset if here else met:
                judge.collector.skip()
                behind = False
            met = met or here
            reached = read.end if here else reached
        if until is not None and (read.file, read.end) > (until.file, until.offset):
            break
        try:
            judge.apply(read.line, read.at)
        except MonitorError as error:
            raise MonitorError(f"{read.where}: {error}") from None
        if learn is not None:
            learn(read)
        if not behind:
            done = Position(read.file, read.end, read.at)
            if lines % lines_a_cut == 0:
                await view.save([judge.collector.take()], done)
        if lines % LINES_A_CUT == 0 and progress is not None:
            progress(lines)
        if lines % LINES_A_TURN == 0:
            await asyncio.sleep(0)
    if behind:
        if not met and cut is not None:
            raise MonitorError(f"the database follows the log {cut.file}, which is not among the logs that were given")
        if cut is not None and reached < cut.offset:
            raise MonitorError(f"the database follows {cut.file} for {cut.offset} bytes; it ends after {reached}")
        judge.collector.skip()
    elif done.file:
        await view.save([judge.collector.take()], done)
    return done


def _to_read(files: list[Path], cut: Position | None) -> tuple[list[Path], InventoryLine | None]:
    """The files from the day of the cut on, if that day begins with a state; and what held first, where the head of
    the first of them does not say so."""
    first = next((i for i, f in enumerate(files) if cut is not None and plain_name(f) == cut.file), 0)
    head = _head(files[first])
    if head is None:
        return files, None
    return files[first:], None if head.versions else told_first(files[first:])


def _lines(files: Sequence[Path], torn_end: bool) -> Iterator[Read]:
    for i, path in enumerate(files):
        yield from read_lines(path, torn_end=torn_end and i == len(files) - 1)


def told_first(files: Sequence[Path]) -> InventoryLine | None:
    """The version of the inventory that logs tell of first, where the head of the first day tells of none: it held from
    the beginning. A program that knew no versions began them; the day on which a later one took over tells of one.
    """
    untold: Path | None = None
    for path in files:
        head = _head(path)
        if head is None or head.versions:
            break
        untold = path
    lines = read_lines(untold, torn_end=True) if untold is not None else iter(())
    return next((read.line for read in lines if isinstance(read.line, InventoryLine)), None)


def _head(path: Path) -> OpenedLine | None:
    """What a day begins with, if it says what judging needs from the past."""
    first = next(iter(read_lines(path, torn_end=True)), None)
    head = first.line if first is not None else None
    return head if isinstance(head, OpenedLine) and head.state is not None else None


async def figures(engine: AsyncEngine, loaded: Loaded, period: Interval) -> Figures:
    """The figures of `[from, to)` from what the database says."""
    async with engine.connect() as connection:
        return await _figures(connection, loaded, period)


async def _figures(connection: AsyncConnection, loaded: Loaded, period: Interval) -> Figures:
    with no_search_for_cycles():  # a million steps come and go
        return await _count(connection, loaded, period)


async def _count(connection: AsyncConnection, loaded: Loaded, period: Interval) -> Figures:
    checks = await reading.timelines(connection, *period)
    windows = await reading.windows(connection)
    counter = FigureCounter(await eras_in(connection, loaded), windows)
    # In a thread: a large county's month takes seconds, and beats come in meanwhile.
    return await asyncio.to_thread(counter.count_all, period, checks, await exempted(connection))
