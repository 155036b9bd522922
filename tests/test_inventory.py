"""A folder of configuration as a whole: what it becomes, what is shipped, what check-config says of it."""

from __future__ import annotations

import csv
import json
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook

from monitor.cli.check_config import percent, run
from monitor.core.sites import UPLINK
from monitor.errors import ConfigError
from monitor.inventory.load import load
from tests.folders import CHECKS, FILES, SITES, TODAY, append, mistakes, replace, write, write_sound

ROOT = Path(__file__).parents[1]
#: As a Chinese keyboard types them: full-width digits, hyphens and commas.
WIDE_DATE = "２０２６－１０－０１"  # noqa: RUF001 - the width is the point
WIDE_1800 = "１，８００"  # noqa: RUF001 - the width is the point


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_sound(tmp_path)


def test_the_folder_that_the_bad_ones_are_made_from_is_sound(folder: Path) -> None:
    loaded = load(folder, today=TODAY)
    assert list(loaded.inventory.sites) == ["C1", "T1", "V1"]
    assert loaded.inventory.sites["V1"].commissioned_on == date(2026, 10, 1)
    assert loaded.inventory.terminals["V1", "pc"].model == "DESKTOP"
    beat, probe = (
        loaded.inventory.checks["V1", "pc", "heartbeat-mqtt"],
        loaded.inventory.checks["V1", "tv", "tcp"],
    )
    assert (beat.interval_ms, beat.grace_ms) == (60_000, 180_000)
    assert (probe.target, probe.interval_ms, probe.failures) == ("10.0.0.2:80", 60_000, 5)


def test_mistakes_of_all_files_are_listed_at_once(folder: Path) -> None:
    replace("sites.csv", "village", "hamlet")(folder)
    append("terminals.csv", "V1,fax,\n")(folder)
    replace("checks.csv", "60", "0")(folder)
    append("monitor.toml", "colour = 1\n")(folder)
    assert {text.split(":")[0].split(" ")[0] for text in mistakes(folder)} == set(FILES)


def test_a_wrong_row_is_not_reported_again_by_those_that_refer_to_it(folder: Path) -> None:
    replace("sites.csv", "T1,镇1,township", "T1,镇1,town")(folder)
    assert mistakes(folder) == ["sites.csv:3 [level]: expected county, township or village, found 'town'"]


def test_a_year_without_working_days_is_a_mistake_only_where_it_is_needed(folder: Path) -> None:
    append("monitor.toml", '[service]\nvillage = { days = "workdays" }\n')(folder)
    with pytest.raises(ConfigError) as error:
        load(folder, today=date(2031, 1, 1))
    assert str(error.value) == (
        "monitor.toml [calendar.2031]: expected the workdays and holidays of 2031, which [service] needs: "
        "none are shipped for that year"
    )
    load(folder, today=TODAY)
    load(folder, serving=False, today=date(2031, 1, 1))


def test_a_replay_needs_no_targets_and_no_township_sites(folder: Path) -> None:
    replace("checks.csv", "10.0.0.2:80", "127.0.0.1")(folder)
    append("sites.csv", "V2,村2,village,T7,镇7,C1,,\n")(folder)
    assert len(mistakes(folder)) == 2
    assert len(load(folder, serving=False).inventory.sites) == 4


def test_without_terminals_csv_the_terminals_are_those_of_the_checks(folder: Path) -> None:
    append("checks.csv", "T1,uplink,icmp,10.0.0.9,60,,5\n")(folder)
    (folder / "terminals.csv").unlink()
    inventory = load(folder, today=TODAY).inventory
    assert list(inventory.terminals) == [("T1", "tv"), ("V1", "tv"), ("V1", "pc")]
    assert ("T1", UPLINK, "icmp") in inventory.checks


@pytest.mark.parametrize("text", ["2026-10-01", "2026/10/1", "2026.10.1", "2026年10月1日", WIDE_DATE])
def test_dates_as_they_are_written(folder: Path, text: str) -> None:
    replace("sites.csv", "2026-10-01,", f"{text},2026-10-01")(folder)
    site = load(folder, today=TODAY).inventory.sites["V1"]
    # Retired on the very day of commissioning is legal: never in service.
    assert site.commissioned_on == site.retired_on == date(2026, 10, 1)


def test_numbers_as_they_are_written(folder: Path) -> None:
    replace("checks.csv", "60,180", f'"{WIDE_1800}",0.5')(folder)
    check = load(folder, today=TODAY).inventory.checks["V1", "pc", "heartbeat-mqtt"]
    assert (check.interval_ms, check.grace_ms) == (1_800_000, 500)


def test_the_digest_follows_what_decides_figures_and_nothing_else(folder: Path) -> None:
    first = load(folder, today=TODAY).digest
    lines = CHECKS.splitlines()
    write("checks.csv", "\r\n".join([lines[0], "", *reversed(lines[1:])]))(folder)
    append("monitor.toml", '[mqtt]\npassword = "x"\n')(folder)
    assert load(folder, today=TODAY).digest == first
    append("monitor.toml", '[policy]\nterminal = "all"\n')(folder)
    assert load(folder, today=TODAY).digest != first


def test_gbk_and_xlsx_say_the_same_as_utf_8(folder: Path) -> None:
    first = load(folder, today=TODAY).digest
    write("sites.csv", SITES.replace("\n", "\r\n").encode("gbk"))(folder)
    assert load(folder, today=TODAY).digest == first
    for name in ("sites", "terminals", "checks"):
        book = Workbook()
        assert book.active is not None
        for row in csv.reader(FILES[f"{name}.csv"].splitlines()):
            typed = [int(cell) if cell.isdigit() else cell or None for cell in row]
            book.active.append([date.fromisoformat(c) if c == "2026-10-01" else c for c in typed])
        (folder / f"{name}.csv").unlink()
        book.save(folder / f"{name}.xlsx")
    assert load(folder, today=TODAY).digest == first


@given(data=st.binary(max_size=200), headed=st.booleans())
def test_any_bytes_are_a_table_or_a_mistake(data: bytes, headed: bool) -> None:
    with TemporaryDirectory() as name:
        folder = write_sound(Path(name))
        (folder / "sites.csv").write_bytes((SITES.splitlines()[0].encode() + b"\n" if headed else b"") + data)
        with pytest.raises(ConfigError):
            load(folder, today=TODAY)


# --- what is shipped, and the conformance cases ---


def test_the_shipped_configuration() -> None:
    loaded = load(ROOT / "config", today=TODAY)
    sites = loaded.inventory.sites.values()
    levels = [str(site.level) for site in sites]
    assert [levels.count(level) for level in ("county", "township", "village")] == [2, 13, 219]
    assert len(loaded.inventory.terminals) == 702
    assert all(loaded.inventory.checks_of[key] for key in loaded.inventory.terminals)
    assert all((site.site_id, UPLINK, "icmp") in loaded.inventory.checks for site in sites if site.level == "township")
    with (ROOT / "config" / "sites.csv").open(encoding="utf-8", newline="") as file:
        assert {row["note"] for row in csv.DictReader(file)} == {"样例 sample"}
    targets = [check.target for check in loaded.inventory.checks.values() if check.target]
    assert len(targets) == len(set(targets))


@pytest.mark.parametrize("number", range(11, 19))
def test_the_conformance_cases_load(number: int) -> None:
    loaded = load(ROOT / "tests" / "conformance" / f"trace-{number}", serving=False)
    assert len(loaded.inventory.sites) == 5
    assert len(loaded.inventory.terminals) == 15


# --- check-config ---


def test_check_config_says_what_there_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    append("monitor.toml", '[service]\nvillage = { days = "workdays" }\n')(folder)
    append("terminals.csv", "C1,tv,\nC1,pc,\n")(folder)
    replace("terminals.csv", "site_id,terminal,model", "site_id,terminal,commissioned_on")(folder)
    replace("terminals.csv", "TV-55", "")(folder)
    replace("terminals.csv", "TV-55", "2026-12-01")(folder)
    replace("terminals.csv", "DESKTOP", "")(folder)
    append_to = replace("checks.csv", CHECKS, CHECKS + "T1,uplink,icmp,10.0.0.9,60,,5\n")
    append_to(folder)
    assert run(folder, json=True, today=TODAY) == 0
    output = capsys.readouterr()
    answer = json.loads(output.out)
    assert answer["sites"] == {"county": 1, "township": 1, "village": 1, "total": 3}
    assert answer["terminals"] == {"tv": 3, "mobile": 0, "pc": 2, "total": 5}
    assert answer["checks"] == {
        "heartbeat-mqtt": 1,
        "heartbeat-http": 0,
        "icmp": 2,
        "tcp": 1,
        "http": 0,
        "https": 0,
        "snmp": 0,
        "sip": 0,
        "total": 4,
    }
    assert answer["uplinks"] == 1
    assert answer["connected"] == {
        "in_service": 4,
        "connected": 2,
        "unwatched": 2,
        "ahead": 1,
        "retired": 0,
        "rate": 0.5,
    }
    assert answer["plan"]["sites"] == {"county": 2, "township": 13, "village": 219}
    assert answer["plan"]["terminals_in_service"] == {"county": 2, "township": 1, "village": 1}
    assert "[calendar.2027]" in answer["warnings"][0]
    assert "[calendar.2027]" in output.err
    assert run(folder, json=False, today=TODAY) == 0
    text = capsys.readouterr().out
    assert "接入率 share connected: 50.00% (2/4)" in text
    assert "未监测 in service without a check: 2" in text
    assert "未接入 commissioned later: 1" in text


def test_check_config_lists_every_mistake(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replace("sites.csv", "village", "hamlet")(folder)
    replace("checks.csv", "10.0.0.1", "")(folder)
    assert run(folder, json=False, today=TODAY) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.splitlines() == [*mistakes(folder), "2 mistakes 处错误"]
    assert run(folder, json=True, today=TODAY) == 2
    answer = json.loads(capsys.readouterr().out)
    assert [(m["file"], m["row"], m["column"]) for m in answer["mistakes"]] == [
        ("sites.csv", 4, "level"),
        ("checks.csv", 2, "target"),
    ]
    assert run(folder / "nowhere", json=False) == 2


def test_check_config_reads_the_county_s_own_templates(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And not only `report year`, which is called in January."""
    (folder / "reports").mkdir()
    (folder / "reports" / "goals-2026.toml").write_text('id = "own"\nfrom = 2026\n', encoding="utf-8")
    assert run(folder, json=False, today=TODAY) == 2
    assert "goals-2026.toml [row]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (690, 702, "98.29% (690/702)"),
        (249_999, 250_000, "99.99% (249999/250000)"),
        (57, 100, "57.00% (57/100)"),
        (0, 0, "-"),
    ],
)
def test_percentages_are_cut(part: int, whole: int, text: str) -> None:
    assert percent(part, whole) == text


def test_patience_that_ends_before_a_line_is_known_is_warned_of(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The slowest is tcp: every minute, five failures; less the minute that the rule waits.
    for minutes, warned in ((4, False), (3, True)):
        table = f"[maintenance.open_after_min]\ncounty = 1\ntownship = 30\nvillage = {minutes}\n"
        write("monitor.toml", FILES["monitor.toml"] + table)(folder)
        assert run(folder, json=False, today=TODAY) == 0
        assert ("open_after_min.village = 3: a line that is cut" in capsys.readouterr().err) is warned
