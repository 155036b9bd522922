"""The README, 值班手册 and 管理手册: every command in them is one of the program's, alerts and boards are told of."""

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
README, DUTY, ADMIN = (
    (ROOT / page).read_text(encoding="utf-8") for page in ("README.md", "docs/值班手册.md", "docs/管理手册.md")
)
MAIN = get_command(program)
#: What `/readyz` says, beginning like a command.
NO_COMMANDS = {"report not sealed", "report to be restated"}


def commands(text: str) -> list[str]:
    """Whole command lines: indented blocks, and code within sentences that names its configuration."""
    text = re.sub(r"\\\n +", "", text)
    blocks = re.findall(r"^ {4,}(?:\.venv/bin/)?(zhdj-monitor [^;\n]*)", text, flags=re.MULTILINE)
    return blocks + [c for c in re.findall(r"`(zhdj-monitor [^`]*)`", text) if " --config " in c or " fleet " in c]


@pytest.mark.parametrize("line", sorted({*commands(README), *commands(DUTY), *commands(ADMIN)}))
def test_the_program_takes_each_command(line: str) -> None:
    """Read as it would be, up to the point at which it would do something."""
    words = shlex.split(line.replace("$(date +%F)", "2026-12-01"), comments=True)
    command = MAIN
    while isinstance(command, TyperGroup):
        words = words[1:]
        assert words[0] in command.commands, line
        command = command.commands[words[0]]
    command.make_context(words[0], words[1:]).close()


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
