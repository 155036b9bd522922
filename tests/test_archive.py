"""A year's archive is read and verified by Python alone; a flipped byte, a removed line, a removed file are found."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from monitor.clock import from_datetime
from monitor.core.access import Action, Actor, Forbidden, Role
from monitor.core.walk import Anchor
from monitor.errors import MonitorError
from monitor.evidence import anchors
from monitor.flows.acting import acting
from monitor.flows.archive import archive
from monitor.flows.archive_tables import PARTS
from monitor.flows.days import chain_closed_days
from monitor.settings import Settings
from monitor.store import audit, digests, papers, people, tables
from monitor.store.database import opened, writing
from tests.tampering import ANCHORED, act, anchor, checked, forge, run, settings_of
from tests.test_days import follow, write_log

AUDITOR = Actor("zhao", frozenset({Role.AUDITOR}))
ZONE = Settings().zone


def at(*when: int) -> int:
    return from_datetime(datetime(*when, tzinfo=ZONE))  # type: ignore[arg-type, misc]


async def fill(url: str, folder: Path) -> Settings:
    """A little of everything, in and around 2026."""
    settings = settings_of(folder, url)
    (folder / "invoice.pdf").write_bytes(b"%PDF invoice")
    async with opened(url) as engine:
        async with writing(engine) as connection:
            for i, when in enumerate(
                [at(2025, 12, 31, 23, 59), at(2026, 1, 1), at(2026, 7, 1), at(2026, 12, 31, 23, 59)]
            ):
                await audit.write(connection, when, "li", "window.declare", f"窗口 {i}", "done")
            await audit.write(connection, at(2027, 1, 1), "li", "window.declare", "next year", "done")
            check = {"id": 1, "site": "V1", "terminal": "tv", "check": "tcp", "observer": "kaijiang"}
            await connection.execute(insert(tables.check).values(check))
            for start in (at(2025, 6, 1), at(2025, 12, 1), at(2026, 3, 1), at(2027, 2, 1)):
                await connection.execute(insert(tables.span).values(check_id=1, start_ms=start, value=2))
            packed = digests.pack({1: digests.Counts(10, 9, 0, 1, 5, 7)})
            await connection.execute(insert(tables.digest).values(observer="kaijiang", day=20261001, body=packed))
            await papers.keep(connection, folder / "papers", folder / "invoice.pdf", "li", at(2026, 5, 1))
            await people.add(connection, "li", [Role.OPERATOR], None, "$argon2id$secret", 0)
        write_log(settings, "2026-10-01", b'{"a":1}\n')
        await follow(engine, "2026-10-02")
        await chain_closed_days(engine, settings, at(2026, 10, 2, 0, 1))
        await anchor(engine, settings)
    return settings


async def write(url: str, settings: Settings, out: Path, actor: Actor = AUDITOR) -> tuple[str, list[str]]:
    async with opened(url) as engine:
        return await archive(engine, actor, settings, 2026, out, at(2027, 1, 5), evidence=True)


def verified(folder: Path, *more: str, script: Path | None = None) -> tuple[int, str]:
    """By Python alone: without our packages, without the working directory on its path."""
    done = subprocess.run(
        ["python3", "-I", "-S", str(script or folder / "verify_archive.py"), str(folder), *more],
        capture_output=True,
        text=True,
        timeout=60,
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "PYTHONIOENCODING": "utf-8"},
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


async def test_a_year_is_written_out_and_verified_without_the_program(database_url: str, tmp_path: Path) -> None:
    settings = await fill(database_url, tmp_path)
    digest, faults = await write(database_url, settings, tmp_path / "out")
    assert faults == []
    status, said = verified(tmp_path / "out")
    assert status == 0, said
    assert "2 条链共 4 环" in said

    out = tmp_path / "out"
    assert [r["body"]["what"] for r in lines(out / "chains/audit.jsonl")] == ["窗口 1", "窗口 2", "窗口 3"]
    assert [r["body"]["day"] for r in lines(out / "chains/evidence-kaijiang.jsonl")] == [20261001]
    spans = [s["start_ms"] for s in lines(out / "tables/span.jsonl")]
    assert spans == [at(2025, 12, 1), at(2026, 3, 1)], "and what it was when the year began"
    assert lines(out / "tables/digest.jsonl") == [
        {"observer": "kaijiang", "day": 20261001, "check_id": 1, "expected": 10, "received": 9, "failed": 0, "late": 1,
         "first": 5, "last": 7}
    ]  # fmt: skip
    assert lines(out / "tables/person.jsonl")[0]["roles"] == ["operator"]
    assert (out / "papers" / hashlib.sha256(b"%PDF invoice").hexdigest()).read_bytes() == b"%PDF invoice"
    assert (out / "evidence/kaijiang-2026-10-01.jsonl.gz").exists()
    assert "第一次写下的内容就是真的" in (out / "README.txt").read_text(encoding="utf-8")
    everything = b"".join(p.read_bytes() for p in out.rglob("*") if p.is_file())
    assert b"argon2id" not in everything

    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert hashlib.sha256((out / "manifest.json").read_bytes()).hexdigest() == digest
    assert {t["name"] for t in manifest["tables"]} == {part.name for part in PARTS}
    async with opened(database_url) as engine, engine.connect() as connection:
        rows = await audit.rows(connection, who="zhao")
    assert digest in rows[-1]["what"]


def flip(name: str, where: float) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[int(len(data) * where)] ^= 1
        (folder / name).write_bytes(data)

    return change


def cut(name: str, line: int) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        kept = (folder / name).read_bytes().splitlines(keepends=True)
        del kept[line]
        (folder / name).write_bytes(b"".join(kept))

    return change


CHANGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a byte of a chain": (flip("chains/audit.jsonl", 0.5), "chains/audit.jsonl"),
    "a byte of a table": (flip("tables/span.jsonl", 0.2), "tables/span.jsonl"),
    "a byte of a paper": (lambda f: flip(f"papers/{next((f / 'papers').iterdir()).name}", 0.5)(f), "papers/"),
    "a byte of a log": (flip("evidence/kaijiang-2026-10-01.jsonl.gz", 0.6), "evidence/kaijiang-2026-10-01"),
    "a byte of the manifest": (flip("manifest.json", 0.1), "manifest.json"),
    "a byte of the manifest's hash": (flip("manifest.sha256", 0.1), "manifest.json"),
    "the first line of a chain": (cut("chains/audit.jsonl", 0), "链 audit 第 2 条：缺失"),
    "a line of a chain": (cut("chains/audit.jsonl", 1), "链 audit 第 3 条：缺失"),
    "the last line of a chain": (cut("chains/audit.jsonl", -1), "链尾被截去"),
    "a line of a table": (cut("tables/span.jsonl", 0), "tables/span.jsonl：应有 2 行，现有 1 行"),
    "a file of a chain": (lambda f: (f / "chains/audit.jsonl").unlink(), "chains/audit.jsonl：文件不在"),
    "a file of a table": (lambda f: (f / "tables/digest.jsonl").unlink(), "tables/digest.jsonl：文件不在"),
    "the manifest": (lambda f: (f / "manifest.json").unlink(), "manifest.json"),
    "a file more": (lambda f: (f / "tables/more.jsonl").touch(), "不在清单中"),
}


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive, written once."""
    folder = tmp_path_factory.mktemp("archive")
    url = f"sqlite+aiosqlite:///{folder / 'monitor.db'}"

    async def make() -> None:
        settings = await fill(url, folder)
        await write(url, settings, folder / "out")

    asyncio.run(make())
    return folder / "out"


@pytest.mark.parametrize("name", CHANGES)
def test_whatever_is_changed_or_gone_is_found(name: str, sound: Path, tmp_path: Path) -> None:
    change, expected = CHANGES[name]
    folder = tmp_path / "copy"
    shutil.copytree(sound, folder)
    change(folder)
    status, said = verified(folder)
    assert status == 1
    assert expected in said


def test_an_archive_made_anew_does_not_fit_the_auditors_own_anchors(sound: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.jsonl"
    anchors.add(own, [Anchor(ANCHORED, "audit", 4, "f" * 64)])
    status, said = verified(sound, "--anchors", str(own))
    assert status == 1
    assert f"链 audit 第 4 条：与 {ANCHORED} 的锚点不符" in said
    own.unlink()
    anchors.add(own, [Anchor(ANCHORED, "audit", 400, "f" * 64)])
    status, said = verified(sound, "--anchors", str(own))
    assert status == 1
    assert "锚点已记到第 400 条" in said


async def test_a_chain_that_does_not_hold_is_written_and_said(database_url: str, tmp_path: Path) -> None:
    settings = await fill(database_url, tmp_path)
    async with opened(database_url) as engine:
        await run(engine, "UPDATE audit SET who = 'wang' WHERE n = 3")
    _, faults = await write(database_url, settings, tmp_path / "out")
    assert ["链 audit 第 3 条" in fault for fault in faults] == [True]
    status, said = verified(tmp_path / "out")
    assert status == 1
    assert "链 audit 第 3 条" in said


async def test_a_forged_chain_does_not_fit_the_anchors_in_the_archive(database_url: str, tmp_path: Path) -> None:
    settings = await fill(database_url, tmp_path)
    async with opened(database_url) as engine:
        await act(engine, 1)
        await run(engine, "UPDATE audit SET who = 'wang' WHERE n = 3")
        await forge(engine, "audit")
    anchors.add(Path(settings.anchors.file), [Anchor(ANCHORED, "audit", 4, "e" * 64)])
    await write(database_url, settings, tmp_path / "out")
    assert verified(tmp_path / "out")[0] == 1


async def test_a_paper_that_was_changed_or_is_gone_is_said_by_verify_by_the_archive_and_in_it(tmp_path: Path) -> None:
    """Nobody needs the database for that: the invoice lies in a folder."""
    url = f"sqlite+aiosqlite:///{tmp_path}/monitor.db"
    settings = await fill(url, tmp_path)
    digest = hashlib.sha256(b"%PDF invoice").hexdigest()
    kept = papers.place(tmp_path / "papers", digest)
    async with opened(url) as engine:
        assert (found := await checked(engine, settings)).papers == 1
        assert found.faults == []
        for kind, why in (("paper_changed", "已被改动"), ("paper_missing", "没有这个文件")):
            if kind == "paper_changed":
                kept.write_bytes(b"%PDF invoicf")
            else:
                kept.unlink()
            (fault,) = (await checked(engine, settings)).faults
            assert (fault.kind, f"附件 {digest}（invoice.pdf）" in fault.says) == (kind, True)
            _, faults = await write(url, settings, tmp_path / kind)
            assert [digest in said for said in faults] == [True]
            status, said = verified(tmp_path / kind)
            assert (status, f"papers/{digest}" in said, why in said) == (1, True, True), said
        # Kept once more it is whole again, whatever lies there.
        kept.write_bytes(b"%PDF invoicf")
        async with writing(engine) as connection:
            await papers.keep(connection, tmp_path / "papers", tmp_path / "invoice.pdf", "li", at(2026, 6, 1))
        assert (await checked(engine, settings)).faults == []


async def test_an_archive_is_written_by_right_and_into_an_empty_folder(database_url: str, tmp_path: Path) -> None:
    settings = await fill(database_url, tmp_path)
    with pytest.raises(Forbidden):
        await write(database_url, settings, tmp_path / "out", Actor("li", frozenset({Role.FINANCE})))
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x").touch()
    with pytest.raises(MonitorError, match="empty folder"):
        await write(database_url, settings, tmp_path / "out")


async def test_a_year_without_anything_is_an_archive_too(database_url: str, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, database_url)
    async with opened(database_url) as engine:
        async with acting(engine, AUDITOR, Action.AUDIT_READ, "x", at(2027, 1, 1)):
            pass
        await archive(engine, AUDITOR, settings, 2020, tmp_path / "out", at(2027, 1, 5))
    assert verified(tmp_path / "out")[0] == 0
