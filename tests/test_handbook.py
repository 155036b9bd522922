"""The README and docs: every command in them is one of the program's; in 值班手册 alerts and boards are told of."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from monitor.cli import program
from monitor.flows import watchdog

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
DUTY, ADMIN = ((ROOT / "docs" / page).read_text(encoding="utf-8") for page in ("值班手册.md", "管理手册.md"))
MAIN = get_command(program)
#: What `/readyz` says, beginning like a command.
NO_COMMANDS = {"report not sealed", "report to be restated"}


def commands(text: str) -> list[str]:
    """Whole command lines: indented blocks, and code within sentences; both name their configuration. What may be left
    out, `[--json]`, is there; a choice, or what stands for more, is none."""
    text = re.sub(r"\\\n +", "", text)
    found = re.findall(r"^ {4,}(?:\$ |sudo )?(?:\.venv/bin/)?(zhdj-monitor [^;>\n]*)", text, flags=re.MULTILINE)
    found += re.findall(r"`(zhdj-monitor [^`]*)`", text)
    whole = [line for line in found if re.search(" --config | fleet ", line) and not re.search(r"\||\.\.\.", line)]
    return sorted({re.sub(r"\[(--[^\]]*)\]", r"\1", line) for line in whole})


def read(line: str) -> None:
    """As the program would, up to the point at which it would do something. Raises where it would not take it."""
    words = shlex.split(line.replace("$(date +%F)", "2026-12-01").replace("YEAR", "2026"), comments=True)
    command = MAIN
    while isinstance(command, TyperGroup):
        words = words[1:]
        command = command.commands[words[0]]
    command.make_context(words[0], words[1:]).close()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_program_takes_each_command(page: Path) -> None:
    refused = {}
    for line in commands(page.read_text(encoding="utf-8")):
        try:
            read(line)
        except Exception as error:
            refused[line] = error
    assert refused == {}


def test_commands_are_looked_for_where_they_stand() -> None:
    assert sum(len(commands(page.read_text(encoding="utf-8"))) for page in PAGES) > 180
    for wrong in ("zhdj-monitor report seel 2026-10 --config DIR", "zhdj-monitor verify --config DIR --fast"):
        with pytest.raises(Exception, match=r"seel|--fast"):
            read(wrong)


def test_short_forms_name_commands_that_there_are() -> None:
    assert isinstance(MAIN, TyperGroup)
    families = {name: each for name, each in MAIN.commands.items() if isinstance(each, TyperGroup)}
    for line in re.findall(r"`([^`\n]+)`", DUTY + ADMIN):
        family, _, rest = line.removeprefix("zhdj-monitor ").partition(" ")
        if family in families and rest[:1].isalpha() and line not in NO_COMMANDS:
            assert rest.split()[0] in families[family].commands, line


def test_what_the_service_says_of_itself_has_a_page() -> None:
    own = re.findall(r'"(Zhdj\w+)"', Path(watchdog.__file__).read_text(encoding="utf-8"))
    assert own == ["ZhdjAlertingSilent"]
    assert f'<a id="{own[0]}"></a>' in DUTY


@pytest.mark.parametrize("board", sorted((ROOT / "dashboards").glob("*.json")), ids=lambda path: path.stem)
def test_each_dashboard_is_told_of_by_its_title(board: Path) -> None:
    assert f"**{json.loads(board.read_text(encoding='utf-8'))['title']}**" in DUTY
