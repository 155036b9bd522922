"""Versions of the inventory under the real service: files changed and told with SIGHUP, folders imported and approved
on the command line, and what becomes of the places that are no longer there (docs/inventory.md)."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import create_async_engine

from monitor.clock import to_iso
from monitor.flows.inventory_files import follow_database
from monitor.inventory.load import load
from monitor.inventory.versions import pack
from monitor.store import versions
from monitor.store.database import writing
from monitor.store.tables import inventory_version
from tests.dump import rows
from tests.folders import FILES
from tests.services import HOST, free_port, wait_for
from tests.serving import SOON_S, Row, Serving, Target, beats, issue, probe, run, write_config
from tests.test_observe import HOUR, NOON, observing

pytestmark = pytest.mark.timeout(500)

PASSWORD = "correct horse 电池 staple 9"
TOP = """
[maintenance]
open_after_min = { county = 0.1, township = 0.1, village = 0.1 }
"""


@dataclass
class Beating:
    """Devices that beat over HTTP twice a second, as long as the block runs; what is refused is not asked twice."""

    port: int
    tokens: dict[str, str]
    on: set[str]
    _ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self._ended.wait(0.5):
            for name in sorted(self.on):
                site, terminal = name.split("/")
                request = urllib.request.Request(  # our own address
                    f"http://{HOST}:{self.port}/api/v1/heartbeats",
                    json.dumps({"site": site, "terminal": terminal}).encode(),
                    {"Authorization": f"Bearer {self.tokens[name]}", "Content-Type": "application/json"},
                )
                with suppress(urllib.error.URLError, OSError):
                    urllib.request.urlopen(request, timeout=2).close()


@contextmanager
def beating(port: int, tokens: dict[str, str], *on: str) -> Iterator[Beating]:
    it = Beating(port, tokens, set(on))
    thread = threading.Thread(target=it.run, daemon=True)
    thread.start()
    try:
        yield it
    finally:
        it._ended.set()
        thread.join(10)


@dataclass
class Place:
    """Where a service runs: its folder, and what its configuration is written with."""

    folder: Path
    database: str = ""
    top: str = ""
    http: int = field(default_factory=free_port)
    mqtt: int = field(default_factory=free_port)

    def write(self, checks: Sequence[Row]) -> Path:
        """Its own files."""
        return write_config(
            self.folder, http=self.http, mqtt=self.mqtt, checks=checks, database=self.database, embedded=True,
            top=self.top,
        )  # fmt: skip

    def other(self, name: str, checks: Sequence[Row]) -> Path:
        """Tables in another folder, without settings."""
        other = write_config(self.folder / name, http=self.http, mqtt=self.mqtt, checks=checks)
        (other / "monitor.toml").unlink()
        return other


def readyz(service: Serving) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(service.get("/readyz"))
    except urllib.error.HTTPError as error:
        found = json.loads(error.read())
    return found


def test_files_that_were_changed_hold_after_a_hangup(tmp_path: Path) -> None:
    place = Place(tmp_path)
    with Target() as old, Target() as new:
        v1, v2, v3 = beats("V1", "pc", "http", 1, 3000), beats("V2", "pc", "http"), beats("V3", "pc", "http")
        probed = (probe("V1", "tv", old.port), probe("V3", "tv", new.port))
        # It beats all the time: without evidence on the channel nobody's silence would mean anything.
        v4 = beats("V4", "pc", "http")
        config = place.write([v1, v2, v3, v4, *probed])
        tokens = issue(config, tmp_path / "tokens.json")
        place.write([v1, v2, v4, probed[0]])
        with Serving(config) as service, beating(place.http, tokens, "V1/pc", "V2/pc", "V3/pc", "V4/pc") as devices:
            for name in ("V1/pc", "V2/pc", "V1/tv"):
                service.wait_for(lambda: service.is_up(*name.split("/")), 20, f"see {name}")  # noqa: B023
            assert service.samples("zhdj_terminal_up", site="V3") == {}
            devices.on -= {"V1/pc", "V2/pc"}
            service.wait_for(lambda: service.how("V2", "pc"), 20, "open the outage of V2/pc")

            # A new village, one that is gone, and a grace of two seconds in place of fifty minutes.
            place.write([beats("V1", "pc", "http"), v3, v4, *probed])
            service.send_signal(signal.SIGHUP)
            service.wait_for(lambda: service.is_up("V3", "pc"), 10, "take the beats of V3")
            service.wait_for(lambda: service.is_up("V3", "tv"), 10, "probe V3")
            service.wait_for(
                lambda: service.value("zhdj_terminal_up", site="V1", terminal="pc") == 0, 10, "see V1 down"
            )
            assert service.is_up("V1", "tv")
            assert '"V2"' not in service.get("/metrics")
            goes_on = "SELECT * FROM outage WHERE site = 'V2' AND over_ms IS NULL"
            service.wait_for(lambda: not service.query(goes_on), SOON_S, "end the outage of V2")
            assert service.query("SELECT 1 FROM outage WHERE site = 'V2' AND state = 'ended' AND end_ms <= over_ms")
            service.wait_for(lambda: not service.query("SELECT 1 FROM status WHERE site = 'V2'"), 10, "forget V2")
            page = service.get("/")
            assert "V3村" in page
            assert "V2村" not in page

            # Mistakes: nothing changes, every one is told, the service goes on.
            sound = {name: (config / name).read_text() for name in ("sites.csv", "checks.csv")}
            (config / "sites.csv").write_text(sound["sites.csv"] + "V9,某村,hamlet,T1,镇一,T1\n")
            (config / "checks.csv").write_text(sound["checks.csv"] + "V8,pc,heartbeat-http,,1,2,\n")
            service.send_signal(signal.SIGHUP)
            service.wait_for(lambda: readyz(service)["warnings"], 10, "warn of the mistakes")
            said = readyz(service)
            assert said["ready"]
            assert "sites.csv" in said["warnings"][0]
            told = [line for line in service.output().splitlines() if "inventory.refused" in line]
            assert any("hamlet" in line for line in told)
            assert any("V8" in line for line in told)
            assert service.is_up("V3", "pc")
            assert len(service.query("SELECT 1 FROM inventory_version")) == 2

            for name, text in sound.items():
                (config / name).write_text(text)
            service.send_signal(signal.SIGHUP)
            service.wait_for(lambda: not readyz(service)["warnings"], 10, "be content with the mended files")
            assert len(service.query("SELECT 1 FROM inventory_version")) == 2

            # After a restart nothing is new.
            assert service.end() == 0
            service.start()
            service.wait_for(lambda: service.is_up("V3", "pc"), 20, "see V3 again")
            states = "SELECT number, state, approved_by FROM inventory_version ORDER BY number"
            assert service.query(states) == [(1, "held", "files"), (2, "held", "files")]
            assert service.end() == 0


def people(config: Path, folder: Path) -> Path:
    """An admin, another admin, an operator; answers the file of their password."""
    password = folder / "password"
    password.touch(mode=0o600)
    password.write_text(PASSWORD, encoding="utf-8")
    for name, role in (("管理员", "admin"), ("李运维", "operator"), ("王审批", "approver")):
        signed = () if role == "admin" else ("--as", "管理员", "--password-file", password)
        done = run("user", "add", name, "--config", config, "--role", role, "--new-password-file", password, *signed)
        assert done.returncode == 0, done.stderr
    return password


def asked(config: Path, *arguments: object) -> Any:
    """A command that must do what it is told, by the operator unless somebody else is named; its JSON."""
    signed = () if "--as" in arguments else ("--as", "李运维", "--password-file", config.parent / "password")
    done = run(*arguments, *signed, "--config", config, "--json")
    assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout)


def versions_of(url: str) -> list[tuple[Any, ...]]:
    """What a log tells of versions: all but who proposed them when."""
    of = inventory_version.c
    columns = (of.number, of.state, of.held_ms, of.digest, of.files, of.body, of.approved_by)

    async def read() -> list[tuple[Any, ...]]:
        engine = create_async_engine(url)
        try:
            async with engine.connect() as connection:
                return [tuple(r) for r in await connection.execute(select(*columns).order_by(of.number))]
        finally:
            await engine.dispose()

    return asyncio.run(read())


@pytest.mark.parametrize("database_url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.long)], indirect=True)
def test_an_imported_version_holds_within_seconds_and_for_good(tmp_path: Path, database_url: str) -> None:
    place = Place(tmp_path, database_url, TOP)
    v1, v2, v3 = (beats(v, "pc", "http") for v in ("V1", "V2", "V3"))
    config = place.write([v1, v2, v3])
    tokens = issue(config, tmp_path / "tokens.json")
    place.write([v1, v2])
    password = people(config, tmp_path)
    signed = {who: ("--as", who, "--password-file", password) for who in ("管理员", "李运维", "王审批")}
    with Serving(config) as service, beating(place.http, tokens, "V1/pc", "V2/pc", "V3/pc") as devices:
        service.wait_for(lambda: service.is_up("V1", "pc") and service.is_up("V2", "pc"), 20, "see V1 and V2")
        start, end = (datetime.now(UTC) + timedelta(seconds=s) for s in (-30, 3600))
        span = ("--from", start.isoformat(), "--to", end.isoformat())
        [late] = asked(config, "window", "add", "site:V2", *span, "--reason", "换机柜")
        coming = ("--from", end.isoformat(), "--to", (end + timedelta(hours=1)).isoformat())
        [later] = asked(config, "window", "add", "terminal:V2/pc", *coming, "--reason", "换机柜")
        devices.on.discard("V2/pc")
        service.wait_for(lambda: asked(config, "workorder", "list"), 60, "open an order of V2")
        [order] = asked(config, "workorder", "list")

        wanted = asked(config, "inventory", "import", place.other("new", [v1, v3]))
        assert wanted["proposed"]["number"] == 2
        asked(config, "inventory", "approve", 2, *signed["管理员"])
        service.wait_for(lambda: service.is_up("V3", "pc"), 15, "watch V3")
        service.kill()  # the row may not say so yet, and the log perhaps not either
        service.start()
        service.wait_for(lambda: service.is_up("V3", "pc"), 20, "watch V3 after the crash")
        service.wait_for(lambda: _states(config) == {1: "held", 2: "held"}, 15, "write down that it holds")
        assert service.samples("zhdj_terminal_up", site="V2") == {}

        # V2 is in no inventory any more; people still have its order and its windows before them.
        _everything_is_shown(config, order["id"])
        assert service.value("zhdj_workorders_open", level="village") == 1
        acts = (("dispatched", "--to", "张三"), ("cause", "市电"), ("repaired", "--work", "拆除"))
        for what, *more in acts:
            asked(config, "workorder", what, order["id"], *more)
        closed = wait_for(lambda: _closed(config, order["id"], signed["李运维"]), 30, "the order of V2 to be closed", 1)
        assert closed is not None
        assert closed["state"] == "closed"
        assert closed["restored"] is not None
        asked(config, "window", "approve", late["id"], *signed["王审批"])
        asked(config, "window", "cancel", later["id"])
        # V2 is known no more to whoever declares, only to what was declared.
        refused = run("window", "add", "site:V2", "--config", config, *coming, "--reason", "无")
        assert refused.returncode == 2
        assert "Traceback" not in refused.stderr

        # The old files stay in the folder, and do not come back with a restart.
        assert service.end() == 0
        service.start()
        service.wait_for(lambda: service.is_up("V3", "pc"), 20, "watch V3 after the restart")
        assert _states(config) == {1: "held", 2: "held"}
        assert service.samples("zhdj_terminal_up", site="V2") == {}
        assert service.end() == 0
        assert "Traceback" not in service.log.read_text(errors="replace")
        lines = [line for line in service.lines() if line["type"] == "inventory"]
        assert [line["number"] for line in lines] == [1, 2]
        assert [line["by"] for line in lines] == ["files", "管理员"]

    # The log alone gives the same rows, versions and figures.
    again = f"sqlite+aiosqlite:///{tmp_path / 'again.db'}"
    done = run("db", "rebuild", "--config", config, "--database", again)
    assert done.returncode == 0, done.stderr
    assert versions_of(again) == versions_of(database_url)
    found, live = asyncio.run(rows(again)), asyncio.run(rows(database_url))
    for table in ("check", "outage", "status", "loss", "digest", "span"):
        assert found[table] == live[table], table
    opened = service.lines()[0]["at"]
    period = ("--from", opened, "--to", datetime.now(UTC).isoformat().replace("+00:00", "Z"))
    done = run("replay", "--config", config, "--trace", service.evidence, *period)
    assert done.returncode == 0, done.stderr
    assert {t["site"] for t in json.loads(done.stdout)["terminals"]} == {"V1", "V2", "V3"}


def _states(config: Path) -> dict[int, str]:
    return {v["number"]: v["state"] for v in asked(config, "inventory", "list")}


def _closed(config: Path, number: int, signed: tuple[object, ...]) -> dict[str, Any] | None:
    """The order's restoration is measured within seconds."""
    if asked(config, "workorder", "show", number)["restored"] is None:
        return None
    shown: dict[str, Any] = asked(config, "workorder", "close", number, *signed)
    return shown


def _everything_is_shown(config: Path, number: int) -> None:
    assert {o["site"] for o in asked(config, "workorder", "list", "--all")} == {"V2"}
    today = datetime.now(UTC)
    period = ("--from", (today - timedelta(days=1)).isoformat(), "--to", (today + timedelta(days=1)).isoformat())
    for by in ("level", "township", "cause"):
        asked(config, "workorder", "stats", "--by", by, *period)
    assert "site:V2" in {w["scope"] for w in asked(config, "window", "list", "--all")}
    assert asked(config, "workorder", "show", number)["id"] == number


@pytest.mark.long
def test_what_waits_for_a_later_day_is_named_when_the_files_hold_before_it(tmp_path: Path) -> None:
    place = Place(tmp_path)
    v1, v2, v3 = (beats(v, "pc", "http") for v in ("V1", "V2", "V3"))
    config = place.write([v1])
    password = people(config, tmp_path)
    with Serving(config) as service:
        day = (datetime.now(UTC) + timedelta(days=40)).date().isoformat()
        new = place.other("new", [v1, v2])
        asked(config, "inventory", "import", new, "--from", day, "--as", "李运维", "--password-file", password)
        asked(config, "inventory", "approve", 2, "--as", "管理员", "--password-file", password)
        shutil.copy(config / "checks.csv", tmp_path / "before.csv")
        place.write([v1, v3])
        service.send_signal(signal.SIGHUP)
        service.wait_for(lambda: service.samples("zhdj_terminal_up", site="V3"), 10, "watch V3")
        [told] = [line for line in service.output().splitlines() if "inventory.waiting_version" in line]
        assert json.loads(told)["number"] == 2
        service.wait_for(lambda: _states(config) == {1: "held", 2: "approved", 3: "held"}, 10, "hold version 3")
        assert service.end() == 0
        service.start()
        service.wait_for(lambda: service.samples("zhdj_terminal_up", site="V3"), 20, "watch V3 after the restart")
        assert _states(config) == {1: "held", 2: "approved", 3: "held"}
        assert service.end() == 0


async def test_villages_that_are_merged_and_moved_count_for_the_days_they_existed(tmp_path: Path) -> None:
    """Played on a clock of our own: V2 goes into V1 at noon of the 14th, when V3 moves from T1 to T2."""
    config, new, logs = tmp_path / "config", tmp_path / "new", tmp_path / "logs"
    day, half = 24 * HOUR, 1800
    head = FILES["sites.csv"].splitlines()[0] + "\n"
    common = "C1,县级站点一,county,T0,县城,,,\nT1,镇1,township,T1,镇1,C1,,\nT2,镇2,township,T2,镇2,C1,,\n"
    checks = "site_id,terminal,check,target,interval_s,grace_s,failures\n"
    sites = {
        config: "V1,村1,village,T1,镇1,T1,,\nV2,村2,village,T1,镇1,T1,,\nV3,村3,village,T1,镇1,T1,,\n",
        new: "V1,村1并村2,village,T1,镇1,T1,,\nV3,村3,village,T2,镇2,T2,,\n",
    }
    for folder, names in ((config, ("V1", "V2", "V3")), (new, ("V1", "V3"))):
        folder.mkdir()
        (folder / "monitor.toml").write_text(
            FILES["monitor.toml"] + f'[evidence]\nfolder = "{logs}"\n', encoding="utf-8"
        )
        (folder / "sites.csv").write_text(head + common + sites[folder], encoding="utf-8")
        rows_ = "".join(f"{name},pc,heartbeat-mqtt,,{half},{half},\n" for name in names)
        (folder / "checks.csv").write_text(checks + rows_, encoding="utf-8")
    change = NOON + 2 * day
    async with observing(load(config, serving=False), f"sqlite+aiosqlite:///{tmp_path}/own.db", logs, NOON) as observer:
        loaded = load(new, serving=False)
        async with writing(observer.view.engine) as connection:
            number = await versions.propose(connection, change, loaded.digest, "", pack(loaded), "li", NOON)
            await versions.approve(connection, number, "chen", NOON)
        while observer.clock.now() < NOON + 4 * day:
            observer.clock.at += half * 500  # type: ignore[attr-defined]
            now = observer.clock.now()
            await follow_database(observer, half * 500)
            answers = [observer.heartbeat(name, "pc", "mqtt") for name in ("V1", "V2", "V3")]
            assert answers == [None, None if now < change else "unknown_terminal", None]
            await observer.cut()
            await observer.save()
    period = ("--from", to_iso(NOON), "--to", to_iso(NOON + 4 * day))
    done = await asyncio.to_thread(run, "replay", "--config", config, "--trace", logs, *period)
    assert done.returncode == 0, done.stderr
    found = {t["site"]: t for t in json.loads(done.stdout)["terminals"]}
    assert set(found) == {"V1", "V2", "V3"}
    service_s = {site: t["up_s"] + t["down_s"] + t["unknown_s"] + t["planned_s"] for site, t in found.items()}
    assert service_s["V1"] == service_s["V3"] == 2 * service_s["V2"] > 0
    assert {t["down_s"] for t in found.values()} == {0}
