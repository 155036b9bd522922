"""Whoever holds the database can change a sealed report; verify says what does not hold, by the log or by timelines."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard
from sqlalchemy import delete, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.cli import program
from monitor.core.access import Action, Actor, Role
from monitor.core.chain import canonical, link
from monitor.core.walk import Anchor
from monitor.evidence import anchors
from monitor.flows import windows
from monitor.flows.acting import acting
from monitor.flows.archive import archive
from monitor.flows.backup import backup
from monitor.flows.replay import figures
from monitor.flows.reports import kept
from monitor.flows.reports import verify as verifying
from monitor.flows.reports.seal import restate, seal
from monitor.flows.reports.verify import verify_reports
from monitor.flows.restore import restore
from monitor.flows.verify import Found, verify
from monitor.flows.windows import Plan
from monitor.inventory.load import load
from monitor.publish.answer import answer
from monitor.settings import Settings
from monitor.store import reports, tables
from monitor.store.chains import heads
from monitor.store.database import opened
from tests.sealed_months import APPROVER, HOUR, NOW, OPERATOR, Sealing, at, play, quiet, sealing
from tests.services import Postgres

OCTOBER = "2026-10"
RESTATED = NOW + 2 * HOUR
AUDITOR = Actor("zhao", frozenset({Role.AUDITOR}))


async def fill(it: Sealing) -> None:
    """September, October, and October restated because of a window that was approved late."""
    await seal(it.engine, it.loaded, APPROVER, "2026-09", NOW)
    await seal(it.engine, it.loaded, APPROVER, OCTOBER, NOW)
    plan = Plan("site:V1", datetime(2026, 10, 30), datetime(2026, 10, 31, 12), "换光缆")  # noqa: DTZ001  # local
    [declared] = await windows.declare(it.engine, it.loaded, OPERATOR, plan, at(11, 2, 9))
    await windows.approve(it.engine, it.loaded, APPROVER, declared.id, NOW + HOUR)
    await restate(it.engine, it.loaded, APPROVER, OCTOBER, "补录检修", RESTATED)
    async with it.engine.connect() as connection:
        some = [Anchor("2026-11-05T05:00:00Z", tag, h.n, h.hash) for tag, h in (await heads(connection)).items()]
    anchors.add(Path(it.loaded.settings.anchors.file), some)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the three reports."""
    folder = asyncio.run(play(tmp_path_factory.getbasetemp() / "october"))
    aside = tmp_path_factory.mktemp("sealed")

    async def add() -> None:
        async with sealing(folder, aside, f"sqlite+aiosqlite:///{aside / 'monitor.db'}") as it:
            await fill(it)

    asyncio.run(add())
    return aside


@pytest.fixture
async def it(played: Path, tmp_path: Path, database_url: str) -> AsyncIterator[Sealing]:
    async with sealing(played, tmp_path, database_url) as found:
        shutil.copyfile(played / "anchors.jsonl", tmp_path / "anchors.jsonl")
        yield found


@pytest.fixture
async def here(played: Path, tmp_path: Path) -> AsyncIterator[Sealing]:
    """On SQLite alone."""
    async with sealing(played, tmp_path, f"sqlite+aiosqlite:///{tmp_path / 'monitor.db'}") as found:
        shutil.copyfile(played / "anchors.jsonl", tmp_path / "anchors.jsonl")
        yield found


async def checked(it: Sealing, *, quick: bool = False) -> Found:
    found = await verify(it.engine, it.loaded.settings, RESTATED, progress=quiet())
    await verify_reports(it.engine, it.loaded, found, quick=quick, progress=quiet())
    return found


async def as_owner(connection: AsyncConnection) -> None:
    """Triggers are no obstacle to whoever owns the database."""
    if connection.dialect.name == "sqlite":
        for name in ("report_update", "report_delete", "report_replace"):
            await connection.execute(text(f"DROP TRIGGER IF EXISTS {name}"))
    else:
        await connection.execute(text("DROP TRIGGER IF EXISTS report_kept ON report"))


async def forge(it: Sealing, n: int, facts: bytes) -> None:
    """Other facts in place of those of report `n`, and the whole chain worked out anew, heads included."""
    r = tables.report
    async with it.engine.begin() as connection:
        await as_owner(connection)
        packed = zstandard.ZstdCompressor().compress(facts)
        await connection.execute(update(r).where(r.c.n == n).values(facts=packed, sha256="", previous="?"))
        previous = "0" * 64
        for number in (1, 2, 3):
            row = (await connection.execute(select(r).where(r.c.n == number))).one()
            digest = reports._digest(row.facts)
            await connection.execute(update(r).where(r.c.n == number).values(sha256=digest, previous=previous))
            row = (await connection.execute(select(r).where(r.c.n == number))).one()
            previous = link("report", number, previous, canonical(reports.body(row)))
            await connection.execute(update(r).where(r.c.n == number).values(hash=previous))
        head = tables.chain_head
        await connection.execute(update(head).where(head.c.tag == "report").values(hash=previous))


async def facts_of(it: Sealing, n: int) -> dict[str, Any]:
    async with it.engine.connect() as connection:
        found: dict[str, Any] = msgspec.json.decode(await reports.facts(connection, n))
        return found


async def test_backed_up_wiped_and_restored_every_sealed_figure_is_the_same(
    played: Path, tmp_path: Path, database_url: str, request: pytest.FixtureRequest
) -> None:
    """Nothing is left but the backup: the reports are the same to the byte, and so is what their log gives again."""
    place, out = tmp_path / "place", tmp_path / "b.tar.zst"
    place.mkdir()
    async with sealing(played, place, database_url) as it:
        shutil.copyfile(played / "anchors.jsonl", place / "anchors.jsonl")
        async with it.engine.connect() as connection:
            before = [await reports.facts(connection, n) for n in (1, 2, 3)]
        counted = answer(await figures(it.engine, it.loaded, (at(10, 1), at(11, 1))))
        await backup(it.loaded, it.config, out, RESTATED)
    shutil.rmtree(place)
    if database_url.startswith("postgresql"):
        postgres: Postgres = request.getfixturevalue("postgres")
        name = database_url.rsplit("/", 1)[1]
        postgres.drop_database(database_url)
        postgres.psql(f"CREATE DATABASE {name} TEMPLATE template0")
    else:
        Path(database_url.partition(":///")[2]).unlink()

    place.mkdir()
    await restore(out, place / "config", RESTATED)
    loaded = load(place / "config", serving=False)
    async with opened(loaded.settings.database.url.get_secret_value()) as engine:
        found = await checked(Sealing(place, place / "config", loaded, engine))
        assert (found.faults, found.notes) == ([], [])
        assert [(r.how, r.parts) for r in found.reports] == [("log", 0)] * 3
        async with engine.connect() as connection:
            assert [await reports.facts(connection, n) for n in (1, 2, 3)] == before
        assert answer(await figures(engine, loaded, (at(10, 1), at(11, 1)))) == counted


async def test_what_nobody_touched_holds_by_the_log_and_by_timelines(it: Sealing) -> None:
    found = await checked(it)
    assert (found.faults, found.notes) == ([], [])
    told = [(r.period, r.revision, r.how, r.parts) for r in found.reports]
    assert sorted(told) == [("2026-09", 0, "log", 0), (OCTOBER, 0, "log", 0), (OCTOBER, 1, "log", 0)]
    assert found.as_json()["reports"][0] == {"period": "2026-09", "revision": 0, "from": "log", "holds": True}
    found = await checked(it, quick=True)
    assert (found.faults, found.notes, {r.how for r in found.reports}) == ([], [], {"spans"})


async def test_a_number_that_was_changed_is_found_though_every_hash_was_worked_out_anew(it: Sealing) -> None:
    facts = await facts_of(it, 2)
    sums = facts["counted"]["sites"]
    sums["total"]["failed"], sums["village"]["failed"] = 0, 0
    sums["total"]["maintained"], sums["village"]["maintained"] = 3, 1
    await forge(it, 2, msgspec.json.encode(facts, order="sorted"))
    for quick in (False, True):
        found = await checked(it, quick=quick)
        says = [fault.says for fault in found.faults if fault.kind == "figures"]
        means = "按库中的时间线" if quick else "按证据日志"
        assert f"报告 2026-10（定稿）：counted.sites.total.failed 定稿为 0，{means}重算为 1" in says
        assert len(says) == 4
        assert [(f.n, f.kind) for f in found.faults if f.kind != "figures"] == [(3, "rewritten")]
        assert [r.parts for r in found.reports if (r.period, r.revision) == (OCTOBER, 0)] == [4]


async def test_sums_that_do_not_add_up_and_outages_that_never_were_are_found(here: Sealing) -> None:
    facts = await facts_of(here, 2)
    facts["days"][3]["sum"]["up"] += 1
    facts["outages"][0]["start"] += 60_000
    facts["heat"][2][29] = 10_000
    await forge(here, 2, msgspec.json.encode(facts, order="sorted"))
    says = [fault.says for fault in (await checked(here, quick=True)).faults if fault.kind == "figures"]
    key = facts["outages"][0]["key"]
    for part in ("days 的 up 相加为", "days.2026-10-04.sum.up", f"outages.{key}.start", "heat.V1"):
        assert any(part in one for one in says), part


EVERY_COLUMN = [c.name for c in tables.report.columns if c.name != "n"]


async def test_a_changed_row_in_any_column_a_cut_tail_an_old_backup_and_a_deleted_row_are_found(here: Sealing) -> None:
    async with here.engine.begin() as connection:
        await as_owner(connection)
    r = tables.report
    for column in EVERY_COLUMN:
        async with here.engine.begin() as connection:
            old = (await connection.execute(select(r.c[column]).where(r.c.n == 2))).scalar()
            other: Any = b"x" if isinstance(old, bytes) else 7 if column in ("revision", "at_ms", "approval") else "x"
            await connection.execute(update(r).where(r.c.n == 2).values({column: other}))
        found = await verify(here.engine, here.loaded.settings, RESTATED, progress=quiet())
        assert [(f.tag, f.n, f.kind) for f in found.faults] == [("report", 2, "changed")], column
        if column in ("facts", "period"):
            await verify_reports(here.engine, here.loaded, found, quick=True, progress=quiet())
            assert any(f.kind == "figures" and f.n == 2 for f in found.faults)
        async with here.engine.begin() as connection:
            await connection.execute(update(r).where(r.c.n == 2).values({column: old}))
    async with here.engine.begin() as connection:
        await connection.execute(delete(r).where(r.c.n == 3))
    found = await verify(here.engine, here.loaded.settings, RESTATED, progress=quiet())
    assert [(f.tag, f.n, f.kind) for f in found.faults] == [("report", 3, "cut")]
    async with here.engine.begin() as connection:  # as an old backup has it: its own head, and all of it fits together
        head, second = tables.chain_head, select(r.c.hash).where(r.c.n == 2).scalar_subquery()
        await connection.execute(update(head).where(head.c.tag == "report").values(n=2, hash=second))
    found = await verify(here.engine, here.loaded.settings, RESTATED, progress=quiet())
    assert [(f.tag, f.n, f.kind) for f in found.faults] == [("report", 3, "older")]
    async with here.engine.begin() as connection:
        await connection.execute(delete(r).where(r.c.n == 1))
    found = await verify(here.engine, here.loaded.settings, RESTATED, progress=quiet())
    assert [(f.tag, f.n, f.kind) for f in found.faults] == [("report", 1, "missing")]


async def test_timelines_that_were_changed_show_in_them_and_not_in_the_log(here: Sealing) -> None:
    async with here.engine.begin() as connection:
        await connection.execute(update(tables.span).where(tables.span.c.value == 0).values(value=2))
    assert (await checked(here)).faults == [], "the log still says what was sealed"
    says = [fault.says for fault in (await checked(here, quick=True)).faults]
    assert any("counted.sums.village.down 定稿为 129600000，按库中的时间线重算为 0" in one for one in says)


async def test_where_a_day_of_the_log_is_gone_the_timelines_must_do(here: Sealing) -> None:
    (here.folder / "evidence" / "test-2026-10-12.jsonl.zst").unlink()
    found = await checked(here)
    assert [f.kind for f in found.faults] == ["log_missing"]
    told = sorted((r.period, r.revision, r.how, r.parts) for r in found.reports)
    assert told == [("2026-09", 0, "log", 0), (OCTOBER, 0, "spans", 0), (OCTOBER, 1, "spans", 0)]
    assert found.notes == [
        f"报告 2026-10（{name}）：证据日志已不全，按库中的时间线重算" for name in ("定稿", "更正版 1")
    ]


def test_which_days_of_the_log_a_period_follows_from() -> None:
    settings, there = Settings(), Path("x")
    october = at(10, 1), at(11, 4, 1, 30)

    def days(known: set[int], gone: set[int] = frozenset()) -> tuple[int, ...]:  # type: ignore[assignment]
        return verifying._days(settings, october, known, dict.fromkeys(known - gone, there))

    every = {20260929, 20260930, 20261001, 20261031, 20261103, 20261104, 20261105}
    assert days(every) == (20261001, 20261031, 20261103, 20261104)
    assert days(every - {20261001}) == (20260930, 20261031, 20261103, 20261104), "nobody wrote on the first"
    assert days(every - {20261103, 20261104}) == (20261001, 20261031, 20261105), "nor when it was settled"
    assert days({20261020, 20261104}) == (20261020, 20261104), "watched from the 20th on"
    assert days(every, gone={20261031}) == ()
    assert days(set()) == ()


async def test_a_window_that_was_slipped_in_is_found(here: Sealing) -> None:
    """Declared and approved, as it says, long ago: its row is no chain, but what it does to a sealed month shows."""
    async with here.engine.begin() as connection:
        await connection.execute(
            tables.window.insert().values(
                scope="site:V1", start_ms=at(10, 30), end_ms=at(10, 31, 12), reason="x", declared_ms=at(10, 29),
                declared_by="x", retroactive=False, approved_by="", rejected_by="", cancelled_by="", note="",
            )
        )  # fmt: skip
    says = [fault.says for fault in (await checked(here)).faults]
    assert any("报告 2026-10（定稿）：counted.sums.village.down 定稿为 129600000" in one for one in says)


def test_what_verify_and_the_commands_say(played: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def copy() -> Path:
        async with sealing(played, tmp_path, f"sqlite+aiosqlite:///{tmp_path / 'monitor.db'}") as it:
            return it.config

    config = asyncio.run(copy())
    shutil.copyfile(played / "anchors.jsonl", tmp_path / "anchors.jsonl")

    def run(*arguments: str) -> str:
        program([*arguments, "--config", str(config)], standalone_mode=False)
        return capsys.readouterr().out

    said = run("verify").splitlines()
    assert "报告 2026-09（定稿）：按证据日志重算，相符" in said
    assert "报告 2026-10（更正版 1）：按证据日志重算，相符" in said
    assert said[-1] == "核对通过"
    assert "报告 2026-10（定稿）：按时间线重算，相符" in run("verify", "--quick")

    listed = json.loads(run("report", "list", "--json"))
    assert [(r["period"], r["revision"], r["state"]) for r in listed] == [
        ("2026-09", 0, "sealed"), (OCTOBER, 0, "sealed"), (OCTOBER, 1, "restated")
    ]  # fmt: skip
    assert "更正版 1" in run("report", "list")
    shown = json.loads(run("report", "show", OCTOBER, "--json"))
    assert {"part": "sites.V1.verdict", "before": "failed", "after": "maintained"} in shown["differences"]
    assert "sites.V1.verdict：failed → maintained" in run("report", "show", OCTOBER) or "……共" in run(
        "report", "show", OCTOBER
    )
    assert json.loads(run("report", "show", OCTOBER, "--revision", "0", "--facts"))["period"] == OCTOBER

    out = tmp_path / "out"
    run("report", "month", OCTOBER, "--format", "json", "--format", "html", "--out", str(out))
    data = (out / "report-2026-10.json").read_bytes()
    assert data.decode() == run("report", "show", OCTOBER, "--facts")
    page = (out / "report-2026-10.html").read_text(encoding="utf-8")
    assert "更正原因：补录检修" in page
    assert listed[1]["hash"] in page, "it names the report that it takes the place of"
    run("report", "month", OCTOBER, "--format", "html", "--out", str(out))
    assert (out / "report-2026-10.html").read_text(encoding="utf-8") == page
    assert json.loads(run("report", "month", OCTOBER, "--revision", "0"))["without_retroactive"] is None
    assert json.loads(run("report", "month", OCTOBER, "--preview"))["without_retroactive"] is not None


@pytest.mark.parametrize("database_url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.long)], indirect=True)
async def test_an_archive_carries_the_years_reports_and_proves_them(it: Sealing) -> None:
    async with acting(it.engine, APPROVER, Action.AUDIT_READ, "so that the year has more", RESTATED):
        pass
    out = it.folder / "out"
    _, faults = await archive(it.engine, AUDITOR, it.loaded.settings, 2026, out, RESTATED)
    assert faults == []
    names = sorted(path.name for path in (out / "reports").iterdir())
    assert names == ["2026-09-0.json", "2026-10-0.json", "2026-10-1.json"]
    async with it.engine.connect() as connection:
        assert (out / "reports/2026-10-1.json").read_bytes() == await kept.sealed(connection, OCTOBER)

    def verified() -> tuple[int, str]:
        command = ["python3", "-I", "-S", str(out / "verify_archive.py"), str(out)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env={"PYTHONIOENCODING": "utf-8"})
        assert done.stderr == ""
        return done.returncode, done.stdout

    assert (await asyncio.to_thread(verified))[0] == 0
    # Changed, and the manifest made anew to fit it: the chain still tells.
    path = out / "reports/2026-10-0.json"
    path.write_bytes(path.read_bytes().replace(b'"failed":1', b'"failed":0'))
    await asyncio.to_thread(fit_manifest, out, "reports/2026-10-0.json")
    status, said = await asyncio.to_thread(verified)
    assert status == 1
    assert said.splitlines()[0] == "reports/2026-10-0.json：内容与链 report 第 2 条所记的 SHA-256 不符"


def fit_manifest(out: Path, name: str) -> None:
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    for item in manifest["files"]:
        if item["name"] == name:
            data = (out / name).read_bytes()
            item.update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    text_of = json.dumps(manifest, ensure_ascii=False, indent=1) + "\n"
    (out / "manifest.json").write_text(text_of, encoding="utf-8")
    (out / "manifest.sha256").write_text(f"{hashlib.sha256(text_of.encode()).hexdigest()}  manifest.json\n")
