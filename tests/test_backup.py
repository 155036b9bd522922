"""Backup and restore: taken while the service runs under load, put back elsewhere, and nothing is other than it was."""

from __future__ import annotations

import asyncio
import io
import json
import os
import sqlite3
import tarfile
import threading
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
import zstandard
from sqlalchemy import insert, select

from monitor.clock import from_iso, to_iso, wall_ms
from monitor.core.access import Actor, Role
from monitor.core.register import Act, Record, device
from monitor.errors import MonitorError
from monitor.flows import backup as backing
from monitor.flows import register
from monitor.flows.backup import backup
from monitor.flows.restore import Restored, restore
from monitor.inventory.load import load
from monitor.store import tables
from monitor.store.bundle import MANIFEST, unpack, writing
from monitor.store.database import create, opened
from tests.dump import rows
from tests.people import OPERATOR
from tests.services import Postgres, free_port, wait_for, wait_for_async
from tests.serving import Row, Serving, beats, devices, guarded_broker, issue, probe, run, write_config

#: What follows from the log; the rest (tokens, people, books) is in the backup alone.
FOLLOWING = ("check", "span", "outage", "status", "loss", "digest")
VILLAGES = [f"V{n}" for n in range(1, 7)]
ADMIN = Actor("chief", frozenset({Role.ADMIN}))


def checks(port: int) -> list[Row]:
    found: list[Row] = []
    for n, village in enumerate(VILLAGES, 1):
        found += [beats(village, "pc", "mqtt", 1, 3), beats(village, "mobile", "http", 1, 3)]
        found.append(probe(village, "tv", port, host=f"127.81.0.{n}", failures=3))
    return found


def replayed(config: Path, period: tuple[int, int]) -> object:
    """The figures of a period from the log that stands beside the configuration."""
    found = run(
        *("replay", "--config", config, "--trace", config.parent / "evidence"),
        *("--from", to_iso(period[0]), "--to", to_iso(period[1])),
    )
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout)


async def tokens_of(url: str) -> list[str]:
    async with opened(url) as engine, engine.connect() as connection:
        return list((await connection.execute(select(tables.token.c.hash).order_by(tables.token.c.id))).scalars())


async def test_a_backup_under_load_restored_elsewhere_is_the_same(
    tmp_path: Path, database_url: str, request: pytest.FixtureRequest
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    port = free_port()
    config = write_config(old, http=free_port(), mqtt=port, checks=checks(free_port()), database=database_url)
    out = tmp_path / "backup.tar.zst"
    tokens = await asyncio.to_thread(issue, config, tmp_path / "tokens.json")
    (old / "photo.jpg").write_bytes(b"a photo")
    async with opened(database_url) as engine:
        made = Record(0, "V1", "pc", Act.INSTALLED, register.local_day(load(config), wall_ms()), device("PC", "A1"))
        paper = [old / "photo.jpg"]
        record = await register.write(engine, load(config), OPERATOR, made, wall_ms(), paper)
    with guarded_broker(config, old, port):
        service = Serving(config)
        try:
            async with devices(config, tokens) as played:
                await wait_for_async(lambda: played.fleet.tally["connected"] == len(VILLAGES), 20, "devices")
                await asyncio.to_thread(service.start)
                wanted = 3 * len(VILLAGES)
                await wait_for_async(lambda: len(_up(service)) == wanted, 20, "every terminal to be up", every=0.2)
                played.silence("V1/pc", "V1/mobile")
                await wait_for_async(lambda: len(_up(service)) == wanted - 2, 20, "two to be down", every=0.2)
                before = wall_ms()
                done = await asyncio.to_thread(run, "db", "backup", "--config", config, out)
                assert done.returncode == 0, done.stderr
                assert service.is_running()
                played.restore("V1/pc", "V1/mobile")
                await wait_for_async(lambda: len(_up(service)) == wanted, 20, "all to be up again", every=0.2)
            assert await asyncio.to_thread(service.end) == 0
        finally:
            service.close()
    assert out.stat().st_mode & 0o777 == 0o600
    assert "数据库 1，证据日志 1，附件 1，锚定 1，配置文件 3" in done.stderr

    # An empty machine: another database, other folders, the same places and rules.
    fresh = f"sqlite+aiosqlite:///{new}/monitor.db"
    if database_url.startswith("postgresql"):
        postgres: Postgres = request.getfixturevalue("postgres")
        fresh = postgres.create_database()
    target = write_config(
        new, http=free_port(), mqtt=free_port(), checks=checks(free_port()), database=fresh, embedded=True
    )
    for name in ("sites.csv", "checks.csv"):
        (target / name).write_bytes((config / name).read_bytes())
    done = await asyncio.to_thread(run, "db", "restore", "--config", target, out)
    assert done.returncode == 0, done.stderr
    assert "verify" in done.stderr
    done = await asyncio.to_thread(run, "verify", "--config", target)
    assert done.returncode == 0, done.stdout + done.stderr
    # The figures of the time before the backup, by the log that was restored and by the one that went on.
    period = (before // 1000 * 1000 - 10_000, before // 1000 * 1000 - 1_000)
    assert await asyncio.to_thread(replayed, target, period) == await asyncio.to_thread(replayed, config, period)
    assert await tokens_of(fresh) == await tokens_of(database_url)
    async with opened(fresh) as engine:
        assert await register.read(engine) == [record]
    assert len(list((new / "papers").glob("*/" + record.papers[0]))) == 1

    # It goes on: the database catches up with the log, and is what the log says.
    with Serving(target) as restored:
        wait_for(lambda: restored.value("zhdj_terminal_up", site="V2", terminal="tv") is None, 20, "nothing known")
    anew = f"sqlite+aiosqlite:///{tmp_path}/anew.db"
    done = await asyncio.to_thread(run, "db", "rebuild", "--config", target, "--database", anew)
    assert done.returncode == 0, done.stderr
    mine, rebuilt = await rows(fresh), await rows(anew)
    for table in FOLLOWING:
        assert mine[table] == rebuilt[table], table
    outages = {f"{site}/{kind}": state for _, site, kind, _, _, _, state, *_ in mine["outage"]}
    assert outages == {"V1/pc": "open", "V1/mobile": "open"}
    if database_url.startswith("postgresql"):
        postgres.drop_database(fresh)


def _up(service: Serving) -> list[str]:
    return [name for name, value in service.samples("zhdj_terminal_up").items() if value == 1]


# --- a small place without a service ----------------------------------------------------------------------------------


def place(folder: Path, url: str = "") -> Path:
    """A configuration that keeps everything beside itself."""
    return write_config(folder, http=1, mqtt=2, checks=[probe("V1", "tv", 9)], database=url)


LINE = '{"type":"channel","at":"2026-10-01T00:00:00Z","channel":"mqtt","event":"restored"}\n'


def kept(folder: Path, url: str = "") -> Path:
    """A place that has something to lose: a row, a log of two days, a paper, anchors."""
    config = place(folder, url)

    async def fill() -> None:
        async with (
            opened(load(config).settings.database.url.get_secret_value()) as engine,
            engine.begin() as connection,
        ):
            await connection.execute(insert(tables.token).values(kind="device", hash="h", terminals="[]", created_ms=1))

    asyncio.run(fill())
    (folder / "evidence").mkdir()
    (folder / "evidence" / "test-2026-10-01.jsonl.zst").write_bytes(zstandard.compress(LINE.encode()))
    (folder / "evidence" / "test-2026-10-02.jsonl").write_text(LINE + LINE[:20])
    (folder / "evidence" / "test-2026-10-03.jsonl.part").write_text("no log yet")
    (folder / "papers" / "ab").mkdir(parents=True)
    (folder / "papers" / "ab" / ("ab" * 32)).write_bytes(b"a paper")
    (folder / "anchors.jsonl").write_text('{"n": 1}\n{"n"')
    return config


def take(config: Path, out: Path) -> Path:
    asyncio.run(backup(load(config), config, out, from_iso("2026-10-12T08:00:00Z")))
    return out


def put(out: Path, config: Path, *, force: bool = False) -> Restored:
    return asyncio.run(restore(out, config, from_iso("2026-10-13T08:00:00Z"), force=force))


def hashes(url: str) -> list[str]:
    return asyncio.run(tokens_of(url))


def test_everything_is_in_it_and_comes_back(tmp_path: Path, database_url: str) -> None:
    config = kept(tmp_path / "old", database_url)
    out = take(config, tmp_path / "b.tar.zst")
    with pytest.raises(MonitorError, match="is not empty"):
        put(out, config)  # what is there is not written over
    done = put(out, config, force=True)
    assert (done.made_at, len(done.aside)) == ("2026-10-12T08:00:00Z", 2)
    assert hashes(database_url) == ["h"]
    old = tmp_path / "old"
    assert sorted(p.name for p in (old / "evidence").glob("*.jsonl*")) == [
        "test-2026-10-01.jsonl.zst",
        "test-2026-10-02.jsonl",
        "test-2026-10-03.jsonl.part",
    ]
    assert (old / "evidence" / "test-2026-10-02.jsonl").read_text() == LINE
    assert len(list(old.glob("evidence.before_restore_*/*"))) == 2

    # And the backup's tables can be looked at with what every machine has.
    folder = tmp_path / "plain"
    folder.mkdir()
    manifest = unpack(out, folder)
    assert {entry["name"].partition("/")[0] for entry in manifest["files"]} == {
        "database", "evidence", "papers", "anchors", "config"
    }  # fmt: skip
    assert (folder / "anchors" / "anchors.jsonl").read_text() == '{"n": 1}\n'
    if database_url.startswith("sqlite"):
        with closing(sqlite3.connect(folder / "database" / "monitor.db")) as connection:
            assert connection.execute("SELECT hash FROM token").fetchall() == [("h",)]


def test_on_an_empty_machine_the_configuration_comes_out_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "old"
    config = kept(folder)
    (config / "reports").mkdir()  # by which the county's years are scored
    (config / "reports" / "goals-2026.toml").write_text("# 本县")
    (config / "reports" / "~goals-2026.toml").write_text("an editor's")
    out = take(config, tmp_path / "b.tar.zst")
    folder.rename(tmp_path / "gone")
    done = put(out, config)
    assert done.config_written
    assert [path.read_text() for path in (config / "reports").iterdir()] == ["# 本县"]
    assert (config / "monitor.toml").stat().st_mode & 0o077 == 0
    assert hashes(f"sqlite+aiosqlite:///{folder}/monitor.db") == ["h"]
    assert (folder / "papers" / "ab" / ("ab" * 32)).read_bytes() == b"a paper"
    assert (folder / "anchors.jsonl").read_text() == '{"n": 1}\n'
    with closing(sqlite3.connect(folder / "monitor.db")) as connection:
        audited = connection.execute("SELECT who, action, what FROM audit").fetchall()
    assert audited == [("system", "db.restore", "b.tar.zst made at 2026-10-12T08:00:00Z")]


def test_anchors_that_know_more_than_the_backup_stay(tmp_path: Path) -> None:
    """Or putting an old backup back would go unnoticed."""
    config = kept(tmp_path / "old")
    out = take(config, tmp_path / "b.tar.zst")
    anchors = tmp_path / "old" / "anchors.jsonl"
    anchors.write_text('{"n": 1}\n{"n": 2}\n')
    put(out, config, force=True)
    assert anchors.read_text() == '{"n": 1}\n{"n": 2}\n'
    anchors.write_text('{"n": 7}\n')
    with closing(sqlite3.connect(tmp_path / "old" / "monitor.db")):
        done = asyncio.run(restore(out, config, from_iso("2026-10-14T08:00:00Z"), force=True))
    assert anchors.read_text() == '{"n": 1}\n'
    assert any("anchors.jsonl.before_restore_" in aside for aside in done.aside)


def _flipped(data: bytes) -> bytes:
    return data[:200] + bytes([data[200] ^ 0xFF]) + data[201:]


def _members(data: bytes, change: Callable[[list[tuple[str, bytes]]], list[tuple[str, bytes]]]) -> bytes:
    """The same backup with other members."""
    plain = zstandard.ZstdDecompressor().decompressobj().decompress(data)
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        found = []
        for info in tar:
            source = tar.extractfile(info)
            assert source is not None
            found.append((info.name, source.read()))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in change(found):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return zstandard.compress(packed.getvalue())


def _edit(name: str, old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    def change(found: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        return [(n, c.replace(old, new) if n == name else c) for n, c in found]

    return lambda data: _members(data, change)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_flipped, "damaged"),
        (lambda data: data[: len(data) // 2], "damaged"),
        (lambda data: b"", "damaged"),
        (lambda data: b"no backup at all", "damaged, or no backup"),
        (lambda data: _members(data, lambda found: found[1:]), "database/monitor.db is not what"),
        (lambda data: _members(data, lambda found: found[:-1]), "it has no manifest"),
        (lambda data: _members(data, lambda found: [("../evil", b"x"), *found]), "is no backup: '../evil'"),
        (lambda data: _members(data, lambda found: [("evidence/../../evil", b"x"), *found]), "is no backup"),
        (
            lambda data: _members(data, lambda found: [("evidence/new.jsonl", b"x"), *found]),
            "evidence/new.jsonl is not",
        ),
        (_edit("evidence/test-2026-10-02.jsonl", b"mqtt", b"http"), "evidence/test-2026-10-02.jsonl is not what"),
        (_edit(MANIFEST, b'"revision": "', b'"revision": "9'), "newer version"),
        (_edit(MANIFEST, b'"v": 1', b'"v": 2'), "another version"),
        (_edit(MANIFEST, b'"sqlite"', b'"postgresql"'), "restore it into postgresql"),
        (_edit(MANIFEST, b'"bytes"', b'"size"'), "its manifest is not one of ours"),
    ],
)
def test_what_is_damaged_or_foreign_is_refused_and_nothing_is_touched(
    tmp_path: Path, spoil: Callable[[bytes], bytes], says: str
) -> None:
    out = take(kept(tmp_path / "old"), tmp_path / "b.tar.zst")
    out.write_bytes(spoil(out.read_bytes()))
    target = place(tmp_path / "new")
    before = sorted((tmp_path / "new").rglob("*"))
    with pytest.raises(MonitorError, match=says) as error:
        put(out, target, force=True)
    assert "\n" not in str(error.value)
    assert [p for p in sorted((tmp_path / "new").rglob("*")) if "evidence" not in p.name] == before
    assert not (tmp_path / "evil").exists()
    missing = tmp_path / "nowhere" / "config"
    with pytest.raises(MonitorError):
        put(out, missing)
    assert not missing.exists()


def test_where_a_service_runs_nothing_is_restored(tmp_path: Path) -> None:
    from monitor.core.days import local_days
    from monitor.evidence.log import EvidenceLog

    config = kept(tmp_path / "old")
    out = take(config, tmp_path / "b.tar.zst")
    settings = load(config).settings
    log = EvidenceLog(Path(settings.evidence.folder), settings.observer, local_days(settings.zone))
    log.lock()
    try:
        with pytest.raises(MonitorError, match="another zhdj-monitor"):
            put(out, config, force=True)
    finally:
        log.close()
    put(out, config, force=True)


def test_a_restore_that_fails_leaves_the_database_as_it_was(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = kept(tmp_path / "old", postgres_url)
    out = take(config, tmp_path / "b.tar.zst")
    with pytest.MonkeyPatch.context() as patched:
        fake = tmp_path / "bin"
        fake.mkdir()
        (fake / "pg_restore").write_text("#!/bin/sh\necho 'no space left' >&2\nexit 1\n")
        (fake / "pg_restore").chmod(0o755)
        patched.setenv("PATH", f"{fake}:{os.environ['PATH']}")
        with pytest.raises(MonitorError, match="pg_restore: no space left"):
            put(out, config, force=True)
    assert hashes(postgres_url) == ["h"]
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MonitorError, match="pg_dump was not found"):
        take(config, tmp_path / "c.tar.zst")
    assert not (tmp_path / "c.tar.zst").exists()


def test_a_password_is_in_no_command_line(tmp_path: Path, postgres_url: str) -> None:
    config = kept(tmp_path / "old", postgres_url.replace("postgres@", "postgres:s3cret@"))
    fake = tmp_path / "bin"
    fake.mkdir()
    (fake / "pg_dump").write_text(
        f'#!/bin/sh\necho "$@" > {tmp_path}/said\necho "$PGPASSWORD" >> {tmp_path}/said\nexit 1\n'
    )
    (fake / "pg_dump").chmod(0o755)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PATH", f"{fake}:{os.environ['PATH']}")
        with pytest.raises(MonitorError, match="pg_dump"):
            take(config, tmp_path / "c.tar.zst")
    arguments, password = (tmp_path / "said").read_text().splitlines()
    assert password == "s3cret"
    assert "s3cret" not in arguments


def test_nothing_is_written_over_and_nothing_half_is_left(tmp_path: Path) -> None:
    config = kept(tmp_path / "old")
    out = take(config, tmp_path / "b.tar.zst")
    with pytest.raises(MonitorError, match="不覆盖任何文件"):
        take(config, out)
    with pytest.raises(MonitorError, match="没有文件夹"):
        take(config, tmp_path / "nowhere" / "b.tar.zst")
    (tmp_path / "old" / "monitor.db").unlink()
    with pytest.raises(MonitorError, match="there is no database"):
        take(config, tmp_path / "c.tar.zst")
    assert [p.name for p in tmp_path.iterdir() if p.name != "old"] == ["b.tar.zst"]


def _reached(count: Callable[[], int], wanted: int) -> bool:
    return count() > wanted


def test_a_copy_is_of_one_moment_however_much_is_written(tmp_path: Path) -> None:
    """Two tables that always change together, and a writer that never pauses."""
    config = place(tmp_path / "old")
    url = f"sqlite+aiosqlite:///{tmp_path}/old/monitor.db"

    async def prepare() -> None:
        async with opened(url) as engine, engine.begin() as connection:
            await connection.exec_driver_sql("CREATE TABLE a (n INTEGER, filler TEXT)")
            await connection.exec_driver_sql("CREATE TABLE b (n INTEGER)")

    asyncio.run(prepare())
    stop, written = threading.Event(), 0

    def write() -> None:
        nonlocal written
        with closing(sqlite3.connect(tmp_path / "old" / "monitor.db", timeout=30)) as connection:
            while not stop.is_set():
                written += 1
                connection.execute("INSERT INTO a VALUES (?, ?)", (written, "x" * 5_000))
                connection.execute("INSERT INTO b VALUES (?)", (written,))
                connection.commit()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = []
        for n in range(4):
            wait_for(partial(_reached, lambda: written, 50 * (n + 1)), 20, "rows")
            out = take(config, tmp_path / f"{n}.tar.zst")
            folder = tmp_path / f"plain-{n}"
            folder.mkdir()
            unpack(out, folder)
            with closing(sqlite3.connect(folder / "database" / "monitor.db")) as copy:
                of_a = copy.execute("SELECT count(*), max(n) FROM a").fetchone()
                of_b = copy.execute("SELECT count(*), max(n) FROM b").fetchone()
            assert of_a == of_b
            seen.append(of_a[0])
    finally:
        stop.set()
        writer.join(10)
    assert seen == sorted(seen)
    assert seen[-1] > 0


def test_a_day_that_is_being_compressed_is_taken_once(tmp_path: Path) -> None:
    folder = tmp_path / "evidence"
    folder.mkdir()
    (folder / "test-2026-10-01.jsonl").write_text(LINE * 3)
    (folder / "test-2026-10-01.jsonl.zst").write_bytes(zstandard.compress(LINE.encode() * 3))
    (folder / "test-2026-10-02.jsonl").write_text("torn")
    out = tmp_path / "b"
    with writing(out, {}) as bundle:
        backing._add_log(bundle, folder)
    assert [(e.name, e.bytes > 0) for e in bundle.entries] == [
        ("evidence/test-2026-10-01.jsonl.zst", True),
        ("evidence/test-2026-10-02.jsonl", False),
    ]


def test_only_the_owner_of_a_postgresql_schema_is_asked(tmp_path: Path, postgres_url: str) -> None:
    """What a restore put aside is no part of the next backup, and another restore finds the place free again."""
    config = kept(tmp_path / "old", postgres_url)
    out = take(config, tmp_path / "b.tar.zst")
    put(out, config, force=True)
    again = take(config, tmp_path / "c.tar.zst")
    done = asyncio.run(restore(again, config, from_iso("2026-10-15T08:00:00Z"), force=True))
    assert hashes(postgres_url) == ["h"]

    async def schemas() -> list[str]:
        engine = create(postgres_url)
        async with engine.connect() as connection:
            found = await connection.exec_driver_sql("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'before%'")
            names = sorted(found.scalars())
        await engine.dispose()
        return names

    assert len(asyncio.run(schemas())) == 2
    assert done.files["database"] == 1
