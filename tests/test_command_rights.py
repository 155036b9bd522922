"""Every command asks for the right that docs/security.md says; a reading one answers nobody who has not signed in."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from monitor.cli import program
from monitor.cli.acting import store_token
from monitor.clock import wall_ms
from monitor.core.access import RIGHTS, Action, Actor, Forbidden, Role
from monitor.errors import MonitorError
from monitor.flows.people import add_person, sign_in
from monitor.settings import SignIn
from monitor.store.database import opened
from tests.folders import write_sound

PASSWORD = "Kaijiang-2026-reader"
DOCS = (Path(__file__).parents[1] / "docs" / "security.md").read_text(encoding="utf-8")
DAYS = ("--from", "2026-10-01", "--to", "2026-10-31")
#: What reads, with what it must be told.
READING: dict[str, tuple[object, ...]] = {
    "window list": (),
    "workorder list": (),
    "workorder show": (1,),
    "workorder stats": DAYS,
    "inventory list": (),
    "inventory show": (1,),
    "inventory diff": (1, 2),
    "inventory import": ("--dry-run",),
    "register list": (),
    "register differences": (),
    "register export": ("OUT.xlsx",),
    "register figures": DAYS,
    "register count-sheet": (2026, "OUT.xlsx"),
    "register stocktake": (2026,),
    "inspection list": (),
    "inspection show": (1,),
    "inspection sheet": (1, "OUT.xlsx"),
    "inspection figures": DAYS,
    "meeting list": (),
    "meeting show": (1,),
    "meeting sheet": (1, "OUT.xlsx"),
    "meeting figures": DAYS,
    "ledger totals": ("--year", 2026),
    "ledger fund list": (),
    "ledger class list": ("--year", 2026),
    "ledger list": (),
    "ledger show": (1,),
    "ledger check": (),
    "ledger export": ("--year", 2026, "--format", "xlsx", "--out", "OUT.xlsx"),
    "ledger contract list": ("--year", 2026),
    "user list": (),
    "token list": (),
    "audit list": (),
    "archive": (2026, "--out", "OUT"),
    "report declared": (2026,),
    "report declare-sheet": (2026, "OUT.xlsx"),
}


def commands(of: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, bool]]:
    """Every command, and whether it can be told who acts."""
    whole: Any = of or typer.main.get_command(program)
    for name, one in whole.commands.items():
        if hasattr(one, "commands"):
            yield from commands(one, (*path, name))
        else:
            yield " ".join((*path, name)), any(p.name == "as_name" for p in one.params)


def documented() -> dict[str, list[Action]]:
    """The table: command -> rights, none for the machine's."""
    section = DOCS.split("### Which command asks for which right\n", 1)[1].split("\n#", 1)[0]
    found: dict[str, list[Action]] = {}
    for line in section.splitlines():
        if not line.startswith("| `") and not line.startswith("| none"):
            continue
        rights, told = line.strip("|").split(" | ", 1)
        for command in re.findall(r"`([a-z -]+)`", re.sub(r"\(.*?\)", "", told)):
            assert command not in found, command
            found[command] = [Action(word) for word in re.findall(r"`([a-z.]+)`", rights)]
    return found


def test_every_command_is_in_the_table_and_asks_who_acts_if_it_asks_for_a_right() -> None:
    known = dict(commands())
    assert documented().keys() == known.keys()
    assert {name: bool(rights) for name, rights in documented().items()} | {
        "user sign-in": False, "user sign-out": False
    } == known  # fmt: skip


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[Role, str]]:
    """A configuration whose database knows somebody of each role, and their sessions."""
    folder = tmp_path_factory.mktemp("rights")
    write_sound(folder)
    url = f"sqlite+aiosqlite:///{folder}/monitor.db"
    with (folder / "monitor.toml").open("a") as file:
        file.write(f'[database]\nurl = "{url}"\n')

    async def everybody() -> dict[Role, str]:
        async with opened(url) as engine:
            chief = Actor("admin", frozenset({Role.ADMIN}))
            await add_person(engine, None, "admin", [Role.ADMIN], None, PASSWORD, wall_ms())
            for role in Role:
                if role is not Role.ADMIN:
                    await add_person(engine, chief, role.value, [role], None, PASSWORD, wall_ms())
            return {role: (await sign_in(engine, SignIn(), role.value, PASSWORD, wall_ms()))[1] for role in Role}

    return folder, asyncio.run(everybody())


@pytest.mark.parametrize("command", READING)
def test_a_reading_command_asks_for_its_right(
    office: tuple[Path, dict[Role, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    folder, tokens = office
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    words = [*command.split(), *map(str, READING[command]), "--config", str(folder)]
    with pytest.raises(MonitorError, match="没有登录"):
        program(words, standalone_mode=False)
    [action] = documented()[command]
    # Somebody who may not, where there is one, and somebody who may: the rest is core/access.
    others = [role for role in Role if role not in RIGHTS[action]][:1]
    for role in (*others, sorted(RIGHTS[action])[0]):
        store_token(folder, tokens[role])
        if role in others:
            with pytest.raises(Forbidden, match=action):
                program(words, standalone_mode=False)
            continue
        try:
            program(words, standalone_mode=False)
        except Forbidden:
            raise
        except (MonitorError, typer.Exit):
            pass  # there is no such order, round or fund here: an answer to somebody who may ask
