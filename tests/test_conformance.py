"""The published traces, to the second: on SQLite and PostgreSQL, killed and resumed, and rebuilt."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from monitor.store.tables import cut
from tests.dump import rows
from tests.services import wait_for

FOLDER = Path(__file__).parent / "conformance"
TRACES = sorted(FOLDER.glob("trace-*"))


def call(trace: Path, *more: str) -> list[str]:
    expected = json.loads((trace / "expected.json").read_text(encoding="utf-8"))
    period = ["--from", expected["from"], "--to", expected["to"]]
    given = ["--config", str(trace), "--trace", str(trace / "trace.jsonl.gz")]
    return [sys.executable, "-m", "monitor", "replay", *given, *period, *more]


def run(*command: str) -> dict[str, Any]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, "nothing but the answer in a pipe"
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def agrees(answer: Any, expected: Any, path: str = "") -> None:
    """Every key that is expected is there with exactly that value; further ones are welcome."""
    if isinstance(expected, dict):
        for key, value in expected.items():
            assert key in answer, f"{path}/{key} is missing"
            agrees(answer[key], value, f"{path}/{key}")
    elif isinstance(expected, list):
        assert len(answer) == len(expected), path
        for n, value in enumerate(expected):
            agrees(answer[n], value, f"{path}[{n}]")
    else:
        assert answer == expected, path
        assert type(answer) is type(expected), path


def published(trace: Path) -> Any:
    return json.loads((trace / "expected.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("trace", TRACES, ids=lambda t: t.name)
def test_trace(trace: Path, database_url: str) -> None:
    agrees(run(*call(trace, "--database", database_url)), published(trace))


def test_there_are_eight() -> None:
    assert len(TRACES) == 8


def position(url: str) -> int:
    async def read() -> int:
        engine = create_async_engine(url)
        try:
            async with engine.connect() as connection:
                return (await connection.execute(select(cut.c.offset))).scalar_one_or_none() or 0
        except SQLAlchemyError:
            return 0  # no tables yet
        finally:
            await engine.dispose()

    return asyncio.run(read())


def kill_after_a_cut(command: list[str], url: str) -> int:
    """Run until the next cut at least, kill -9; how far it got."""
    before = position(url)
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: running.poll() is not None or position(url) > before, 60, "a cut")
    os.kill(running.pid, signal.SIGKILL)
    running.wait(10)
    return position(url)


@pytest.mark.parametrize("trace", TRACES, ids=lambda t: t.name)
def test_killed_and_resumed(trace: Path, database_url: str, tmp_path: Path) -> None:
    """Killed twice at some cut, gone on from there: the answer is exact, and the rows are those of a quiet run."""
    command = call(trace, "--database", database_url, "--cut-lines", "150")
    first = kill_after_a_cut(command, database_url)
    assert kill_after_a_cut(command, database_url) > first
    agrees(run(*command), published(trace))
    quiet = f"sqlite+aiosqlite:///{tmp_path / 'quiet.db'}"
    run(*call(trace, "--database", quiet))
    assert asyncio.run(rows(database_url)) == asyncio.run(rows(quiet))
