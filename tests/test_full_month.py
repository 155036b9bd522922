"""A month of the whole county, played, sealed, worked out again from its log, and opened by programs of others: long.

October 2026: the sample's 234 sites, 702 terminals and 13 lines, heard or asked once an hour by the real observer on a
driven clock. Three villages are silent for a week, sixty terminals for a few hours each, and for four hours of the 15th
nothing comes over MQTT.
"""

from __future__ import annotations

import asyncio
import csv
import random
import time
from collections import Counter
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright
from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.flows.days import chain_closed_days
from monitor.flows.observe import Observer
from monitor.flows.reports.kept import Standing, standing
from monitor.flows.reports.seal import seal
from monitor.flows.reports.verify import verify_reports
from monitor.flows.reports.write import FORMATS, write
from monitor.flows.verify import verify
from monitor.inventory.load import Loaded, load
from monitor.store.database import opened
from monitor.store.view import View
from tests.documents import as_pdf, mistakes, pages
from tests.sealed_months import APPROVER, HOUR, LOST, NOW, at, quiet
from tests.small_county import DrivenClock

ROOT = Path(__file__).parent.parent
pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]
WEEK = at(10, 12), at(10, 19)
KINDS = ("tv", "mobile", "pc")
Silent = dict[tuple[str, str], tuple[int, int]]


def write_config(folder: Path) -> Path:
    """The sample's, asked once an hour."""
    config = folder / "config"
    config.mkdir()
    for name in ("sites.csv", "terminals.csv"):
        (config / name).write_bytes((ROOT / "config" / name).read_bytes())
    with (
        (ROOT / "config" / "checks.csv").open(encoding="utf-8") as sample,
        (config / "checks.csv").open("w", encoding="utf-8", newline="") as ours,
    ):
        rows = csv.DictReader(sample)
        made = csv.DictWriter(ours, list(rows.fieldnames or ()))
        made.writeheader()
        for row in rows:
            beats = row["check"].startswith("heartbeat")
            made.writerow({**row, "interval_s": 3600, "grace_s": 1800 if beats else "", "failures": "" if beats else 2})
    hours = '{ days = "workdays", hours = ["08:30-12:00", "14:00-18:00"] }'
    (config / "monitor.toml").write_text(
        f"[service]\ntownship = {hours}\nvillage = {hours}\n"
        f'[database]\nurl = "sqlite+aiosqlite:///{folder}/monitor.db"\n[evidence]\nfolder = "{folder}/evidence"\n'
        f'[papers]\nfolder = "{folder}/papers"\n[anchors]\nfile = "{folder}/anchors.jsonl"\n',
        encoding="utf-8",
    )
    return config


def silences(loaded: Loaded) -> tuple[list[str], Silent]:
    """The villages that are silent for a week, and which terminal is silent from when until when."""
    rng = random.Random(5)
    villages = [site.site_id for site in loaded.inventory.sites.values() if site.level == "village"]
    week, others = villages[::73][:3], [village for n, village in enumerate(villages) if n % 73 and n % 3 == 0]
    silent: Silent = {(village, kind): WEEK for village in week for kind in KINDS}
    for village in others[:60]:
        since, until = LOST
        while since < LOST[1] + 2 * HOUR and until > LOST[0] - 2 * HOUR:  # of those what is seen is less than what was
            since = at(10, 1) + rng.randrange(29 * 24) * HOUR
            until = since + rng.randrange(3, 12) * HOUR
        silent[village, rng.choice(KINDS)] = since, until
    return week, silent


async def play(loaded: Loaded, engine: AsyncEngine, folder: Path, silent: Silent) -> None:
    clock = DrivenClock(at(9, 30, 20))
    observer = Observer(loaded, clock, View(engine, loaded.settings.observer), folder / "evidence")
    await observer.start()
    refused: Counter[str] = Counter()
    checks = [(c.site_id, c.terminal, c.check, c.channel) for c in loaded.inventory.checks.values()]
    seq = 0
    try:
        while clock.at < NOW:
            clock.at += HOUR
            seq += 1
            deaf = LOST[0] <= clock.at < LOST[1]
            if deaf:
                observer.lost("mqtt")
            for site, terminal, check, channel in checks:
                since, until = silent.get((site, terminal), (0, 0))
                down = since <= clock.at < until
                if channel == "probe":
                    said = observer.result(site, terminal, check, not down, duration_s=0.01)
                elif down or (deaf and channel == "mqtt"):
                    continue
                else:
                    services = {"video_conference": "ok", "learning": "ok"} if terminal == "pc" else None
                    said = observer.heartbeat(
                        site, terminal, channel, sent_at=clock.at, boot="b", seq=seq, services=services
                    )
                if said is not None:
                    refused[said] += 1
            if seq % 6 == 0 or clock.at >= NOW:
                await observer.cut()
                await observer.save()
    finally:
        observer.log.close()
    assert refused == {}
    await chain_closed_days(engine, loaded.settings, NOW)


async def test_a_month_of_the_whole_county_is_played_sealed_verified_and_opened(tmp_path: Path) -> None:
    loaded = load(write_config(tmp_path), serving=False)
    week, silent = silences(loaded)
    async with opened(loaded.settings.database.url.get_secret_value()) as engine:
        await play(loaded, engine, tmp_path, silent)
        await seal(engine, loaded, APPROVER, "2026-10", NOW)
        found = await verify(engine, loaded.settings, NOW, progress=quiet())
        await verify_reports(engine, loaded, found, progress=quiet())
        assert [fault.says for fault in found.faults] == []
        assert [(report.period, report.how) for report in found.reports] == [("2026-10", "log")]
        async with engine.connect() as connection:
            kept = await standing(connection, "2026-10")
    assert kept is not None
    judged(kept, week, silent)
    begun = time.process_time()
    write(kept.facts, FORMATS, tmp_path / "out", lambda _: None, kept)
    assert time.process_time() - begun < 10
    await asyncio.to_thread(look, tmp_path / "out")


def judged(kept: Standing, week: list[str], silent: Silent) -> None:
    """What was played is what is said."""
    facts = kept.facts
    rate = facts.counted.sites["total"]
    assert (rate.planned, rate.maintained, rate.failed, rate.unproven) == (234, 231, 3, 0)
    assert sorted(site.site for site in facts.sites if site.verdict == "failed") == sorted(week)
    outages = {(o.site, o.terminal): o for o in facts.outages}
    assert outages.keys() <= silent.keys()
    assert outages.keys() >= {(village, kind) for village in week for kind in KINDS}
    # To the second: lines of a log at one instant are a millisecond apart.
    for key, outage in outages.items():
        assert (_seconds(outage.start), _seconds(outage.over)) == tuple(map(_seconds, silent[key]))
    assert facts.lines == []
    [loss] = [loss for loss in facts.losses if loss.channel == "mqtt"]
    assert (_seconds(loss.start), _seconds(loss.end)) == tuple(map(_seconds, LOST))
    # Of all others another terminal was seen meanwhile. From 10 to 12, and until a beat is due again after 14.
    assert round(facts.counted.sums["total"].unknown / HOUR, 2) == len(week) * 3


def _seconds(ms: int | None) -> int:
    assert ms is not None
    return ms // 1000


def look(folder: Path) -> None:
    """In LibreOffice, poppler and Chromium: nothing is missing, beyond the margins or blank."""
    office = folder / "office"
    office.mkdir()
    for ending in ("docx", "xlsx"):
        (office / f"of_{ending}.{ending}").write_bytes((folder / f"report-2026-10.{ending}").read_bytes())
    as_pdf(office, [office / "of_docx.docx", office / "of_xlsx.xlsx"])
    with sync_playwright() as browsers:
        browser = browsers.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page()
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.goto((folder / "report-2026-10.html").as_uri())
        page.pdf(path=office / "of_html.pdf", prefer_css_page_size=True)
        browser.close()
    assert said == []
    for pdf in (folder / "report-2026-10.pdf", *sorted(office.glob("*.pdf"))):
        # Squeezed punctuation (`），`) lies over its neighbour's box, and is meant to.
        assert [found for found in mistakes(pdf) if "lies over" not in found] == [], pdf.name
        text = "".join(page.text for page in pages(pdf))
        for words in ("定稿", "王审批", "98.71%", "未维护到位"):
            assert words in text, (pdf.name, words)
