"""What is carried to the sites: folders, tokens, programs filled in, and a sheet that fits on one page."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from monitor.cli import program
from monitor.core.sites import Level, Site
from monitor.core.token import hash_token
from monitor.errors import MonitorError
from monitor.publish import kit
from monitor.settings import Settings
from tests.agents import over_http, write_agent
from tests.services import free_port, make_certificate
from tests.serving import beats, probe, run, write_config

URL = "https://monitor.example"


@dataclass
class Made:
    config: Path
    out: Path

    def tokens(self) -> dict[str, str]:
        """By site/terminal, as they stand in the folders."""
        found = sorted(self.out.glob("*/*/token"))
        return {f"{p.parent.parent.name}/{p.parent.name}": p.read_text().strip() for p in found}

    def listed(self, *more: str) -> list[dict[str, Any]]:
        status, out, errors = call("token", "list", "--config", self.config, "--json", *more)
        assert status == 0, errors
        rows: list[dict[str, Any]] = json.loads(out)
        return rows

    def again(self, name: str, *more: str) -> tuple[int, str]:
        out = self.out.parent / name
        status, told, errors = call("token", "kit", "--config", self.config, "--out", out, "--url", URL, *more)
        return status, told + errors


def call(*arguments: object) -> tuple[int, str, str]:
    """A command of ours in this process: a new one takes seconds. Exit status, and what it printed."""
    out, errors = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(errors):
        try:
            program([str(one) for one in arguments], standalone_mode=False)
            status = 0
        except MonitorError as error:
            print(f"zhdj-monitor: {error}", file=errors)
            status = 2
    return status, out.getvalue(), errors.getvalue()


@pytest.fixture
def made(tmp_path: Path) -> Made:
    checks = [beats("V1", "pc", "mqtt", 60, 60), beats("V1", "mobile", "http", 300, 60), probe("V1", "tv", 80)]
    checks += [beats("V2", "pc", "http", 60, 60)]
    config = write_config(tmp_path, http=free_port(), mqtt=free_port(), checks=checks)
    (tmp_path / "tls").mkdir()
    certificate = make_certificate(tmp_path / "tls")
    status, _, errors = call(
        *("token", "kit", "--config", config, "--out", tmp_path / "kit", "--url", f"{URL}/zhdj/"),
        *("--ca", certificate.cert, "--contact", "运维值班 <0818>"),
    )
    assert status == 0, errors
    return Made(config, tmp_path / "kit")


def test_a_folder_for_each_site_and_nothing_left_to_fill_in(made: Made) -> None:
    assert {p.name for p in made.out.iterdir()} == {"V1", "V2", "index.csv"}
    assert {p.name for p in (made.out / "V1").iterdir()} == {"pc", "mobile", "keeper.html"}
    assert {p.name for p in (made.out / "V1/mobile").iterdir()} == {*kit.BY_HTTP, "token", "zhdj-agent.pyz", "ca.pem"}
    assert {p.name for p in (made.out / "V1/pc").iterdir()} == {*kit.BY_MQTT, "token", "zhdj-agent.pyz", "ca.pem"}
    for path in made.out.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
        if path.is_file() and path.suffix not in (".pyz", ".pem"):
            assert not re.findall(r"@[A-Z_]+@", path.read_text(encoding="utf-8")), path
    mobile = made.out / "V1/mobile"
    assert "*/5 * * * * zhdj-beat" in (mobile / "zhdj-beat.cron").read_text()
    assert "OnUnitActiveSec=300s" in (mobile / "zhdj-beat.timer").read_text()
    assert f"URL='{URL}/zhdj'" in (mobile / "zhdj-beat.conf").read_text()
    assert b"\r\n" in (mobile / "zhdj-beat.ps1").read_bytes()
    assert b"\r" not in (mobile / "zhdj-beat.sh").read_bytes()


def test_its_tokens_are_known_and_stand_nowhere_else(made: Made) -> None:
    tokens = made.tokens()
    assert set(tokens) == {"V1/pc", "V1/mobile", "V2/pc"}
    assert {row["who"]: row["id"] for row in made.listed()} == {n: hash_token(t)[:8] for n, t in tokens.items()}
    for path in made.out.rglob("*"):
        if path.is_file() and path.name != "token":
            data = path.read_bytes()
            assert not any(token.encode() in data for token in tokens.values()), path
    rows = list(csv.DictReader((made.out / "index.csv").read_text(encoding="utf-8-sig").splitlines()))
    assert [(row["site_id"], row["terminal"], row["folder"]) for row in rows] == [
        ("V1", "pc", "V1/pc"),
        ("V1", "mobile", "V1/mobile"),
        ("V1", "tv", ""),
        ("V2", "pc", "V2/pc"),
    ]


def test_it_is_never_written_over_something_and_leaves_out_who_has_a_token(made: Made) -> None:
    status, said = made.again("kit")
    assert status == 2
    assert "never over something else" in said
    status, said = made.again("all-have-one")
    assert status == 2
    assert "has a token already" in said
    assert [path.name for path in made.out.parent.glob("all-have-one*")] == []
    assert call("token", "revoke", "--config", made.config, "V2/pc")[0] == 0
    status, said = made.again("one")
    assert status == 0
    assert "2 sites, 1 tokens" in said
    assert "2 terminals have a token and were left out" in said


def test_with_an_overlap_the_old_ones_end(made: Made) -> None:
    status, said = made.again("new", "--overlap", "24h", "--site", "V1")
    assert (status, "1 sites, 2 tokens" in said) == (0, True)
    v1 = [row for row in made.listed() if row["who"] == "V1/pc"]
    assert [row["expires_at"] is not None for row in v1] == [True, False]
    assert [row["expires_at"] for row in made.listed() if row["who"] == "V2/pc"] == [None]


@pytest.mark.parametrize(
    "url", ["monitor.example", "https://a b", "https://a';rm -rf /;'", "https://a/?x=1", "ftp://a"]
)
def test_addresses_that_would_mean_something_in_a_script_are_refused(url: str) -> None:
    with pytest.raises(MonitorError, match="--url"):
        kit.Reach(url, "a")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (("--site", "nowhere"), "not in sites.csv: nowhere"),
        (("--overlap", "soon"), "expected a time such as 30m"),
        (("--ca", "/dev/null"), "expected a certificate in PEM"),
        (("--mqtt-host", "a;b"), "--mqtt-host: expected a name"),
    ],
)
def test_wrong_calls_are_one_line(made: Made, more: tuple[str, str], expected: str) -> None:
    status, said = made.again("wrong", *more)
    assert (status, said.count("\n")) == (2, 1)
    assert expected in said


def test_the_agent_in_one_file_needs_nothing_that_is_installed(made: Made, tmp_path: Path) -> None:
    archive = tmp_path / "zhdj-agent.pyz"
    archive.write_bytes(kit.agent_archive())
    assert archive.read_bytes() == kit.agent_archive() == (made.out / "V1/pc/zhdj-agent.pyz").read_bytes()
    for folder in (made.out / "V1/pc", made.out / "V1/mobile"):
        # -I and -S: no environment, no site-packages.
        command = [sys.executable, "-I", "-S", str(archive), "--check", "--config", str(folder / "agent.toml")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"V1/{folder.name} every ")
        assert (folder / "token").read_text().strip() not in done.stdout


def test_through_the_main_program_too(tmp_path: Path) -> None:
    path = write_agent(tmp_path, over_http("http://127.0.0.1:9"))
    done = run("agent", "--check", "--config", path)
    assert (done.returncode, done.stdout[:5]) == (0, "s1/pc")
    path.write_text(path.read_text() + "singing = 'ok'\n")
    done = run("agent", "--config", path)
    assert done.returncode == 2
    assert done.stderr.endswith("services.singing: unknown key; docs/agents.md lists those that there are\n")


# --- the keeper's sheet ---------------------------------------------------------------------------------------------


def test_names_cannot_break_the_sheet(made: Made) -> None:
    text = (made.out / "V1/keeper.html").read_text(encoding="utf-8")
    assert "运维值班 &lt;0818&gt;" in text
    assert "PC 端（每 1 分钟报一次）" in text
    assert "数字电视（由县里远程探测，不装程序）" in text
    site = Site("V1", "<script>alert(1)</script>", Level.VILLAGE, "T1", "镇一")
    assert b"<script" not in kit.sheet(site, [], Settings(), kit.Reach(URL, "a"), date(2026, 10, 1))


def test_the_index_holds_no_formula() -> None:
    row = {**dict.fromkeys(kit.INDEX_COLUMNS, ""), "name": "=HYPERLINK(0)"}
    assert b"'=HYPERLINK(0)" in kit.index_file([row])


@pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed")
async def test_the_sheet_is_one_a4_page_also_with_long_names(tmp_path: Path) -> None:
    from playwright.async_api import async_playwright

    name = "淙城街道办事处东大街社区党群服务中心（新时代文明实践站）第二远程教育站点"
    site = Site("511723001001", name, Level.VILLAGE, "511723001", "淙城街道办事处")
    positions = [kit.Position("数字电视", "由县里远程探测，不装程序")] + [kit.Position("PC 端", "每 30 分钟报一次")] * 2
    reach = kit.Reach(URL, "a", contact="县网络信息管理中心 0818-0000000、13800000000")
    path = tmp_path / "keeper.html"
    path.write_bytes(kit.sheet(site, positions, Settings(), reach, date(2026, 12, 31)))
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = await browser.new_page(viewport={"width": 794, "height": 500})
        await page.goto(path.as_uri())
        pdf = await page.pdf(prefer_css_page_size=True, print_background=True)
        # Room for fonts that are higher than ours.
        await page.emulate_media(media="print")
        height = await page.evaluate("document.body.scrollHeight")
        await browser.close()
    assert re.findall(rb"/Count (\d+)", pdf) == [b"1"]
    width_pt, height_pt = map(float, re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", pdf)[0])
    assert (round(width_pt), round(height_pt)) == (595, 842)
    assert height < (297 - 2 * 14) / 25.4 * 96 * 0.97


# --- texts that nothing here can run --------------------------------------------------------------------------------

#: Of PowerShell 3 and later, which Windows 7 does not have.
TOO_NEW = (
    r"Invoke-(RestMethod|WebRequest)|Convert(To|From)-Json|Get-Cim\w+|(Register|New)-ScheduledTask\w*|Unblock-File"
    r"|\$PSScriptRoot|\$PSItem|\[pscustomobject\]|\[ordered\]|::new\(|\s-(in|notin|shl|shr)\s|-Raw\b|-NoNewline"
    r"|\?\?|\?\.|&&|\|\||\.(ForEach|Where)\("
)


def test_the_powershell_is_ascii_balanced_and_of_version_2(made: Made) -> None:
    text = (made.out / "V1/mobile/zhdj-beat.ps1").read_bytes().decode("ascii")
    code = re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)
    assert re.search(TOO_NEW, code, re.IGNORECASE) is None
    # Without strings, comments and here-strings, brackets close in order.
    bare = re.sub(r'@"\r\n.*?\r\n"@|"[^"\r\n]*"|\'[^\'\r\n]*\'|#[^\r\n]*', "''", text, flags=re.DOTALL)
    assert '"' not in bare
    opened: list[str] = []
    for letter in bare:
        if letter in "([{":
            opened.append(")]}"["([{".index(letter)])
        elif letter in ")]}":
            assert opened
            assert opened.pop() == letter
    assert not opened
    functions = set(re.findall(r"^function ([\w-]+)", text, re.MULTILINE))
    assert {"Install-Beat", "Send-Beat", "Send-ByWindows"} <= functions
    assert all(len(re.findall(rf"\b{name}\b", text)) > 1 for name in functions)
    assert "$EveryMinutes = 5\r\n" in text


def test_the_scheduler_s_xml_is_xml(made: Made) -> None:
    from xml.etree import ElementTree

    text = (made.out / "V1/mobile/zhdj-beat.ps1").read_text()
    # Greedy on purpose: PowerShell's variables stay as they are, they are texts to XML.
    task, beat, bye = re.findall(r'@"\n(.*?)\n"@', text, re.DOTALL)
    whole = task.replace("$Triggers", beat + bye).split("\n", 1)[1]
    root = ElementTree.fromstring(whole.replace("${EveryMinutes}", "5"))  # noqa: S314  # our own text
    space = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"
    assert [child.tag.removeprefix(space) for child in root] == ["Triggers", "Principals", "Settings", "Actions"]
    assert root.findtext(f".//{space}Interval") == "PT5M"
    query = ElementTree.fromstring(str(root.findtext(f".//{space}Subscription")))  # noqa: S314
    assert query.findtext("Query/Select") == "*[System[(EventID=1074)]]"


def test_systemd_takes_the_units(made: Made) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    folder = made.out / "V1/mobile"
    units = sorted(str(p) for p in folder.iterdir() if p.suffix in (".service", ".timer"))
    assert len(units) == 4
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, timeout=60)
    # The programs are not where they will be.
    left = [line for line in done.stderr.splitlines() if str(folder) in line or "zhdj" in line]
    assert [line for line in left if "is not executable" not in line] == []
