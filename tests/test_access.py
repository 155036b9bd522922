"""Who may do what: the table in docs/security.md is the one that the program holds to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.access import ANYWHERE, APPROVALS, RIGHTS, ROLE_NAMES, SYSTEM, Action, Actor, Forbidden, Role, demand

DOCS = (Path(__file__).parents[1] / "docs" / "security.md").read_text(encoding="utf-8")

ROLES = st.frozensets(st.sampled_from(Role))


def documented() -> dict[str, frozenset[Role]]:
    """The table under "What each role may do": a row an action, a column a role."""
    lines = DOCS.split("### What each role may do\n", 1)[1].splitlines()
    table = [
        line for line in lines[: next(i for i, x in enumerate(lines) if x.startswith("#"))] if line.startswith("|")
    ]
    heads = [cell.strip() for cell in table[0].strip("|").split("|")][2:]
    columns = [next(role for role in Role if role.value in head) for head in heads]
    found = {}
    for line in table[2:]:
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        for action in re.findall(r"`([a-z._]+)`", cells[0]):
            assert action not in found, action
            found[action] = frozenset(role for role, cell in zip(columns, cells[2:], strict=True) if cell)
    return found


def test_the_documented_table_is_the_table() -> None:
    assert documented() == {action.value: RIGHTS[action] for action in Action}


def test_every_action_has_its_roles_and_every_role_its_name() -> None:
    assert set(RIGHTS) == set(Action)
    assert all(RIGHTS.values())
    assert set(ROLE_NAMES) == set(Role)


@given(ROLES, st.sampled_from(Action))
def test_a_right_comes_from_a_role_and_from_nothing_else(roles: frozenset[Role], action: Action) -> None:
    actor = Actor("li", roles)
    if roles & RIGHTS[action]:
        demand(actor, action)
        demand(actor, action, township="511723101")
    else:
        with pytest.raises(Forbidden, match=action.value):
            demand(actor, action)


@given(ROLES, st.sampled_from(sorted(APPROVALS)))
def test_nobody_approves_what_they_drafted_whatever_roles_they_hold(roles: frozenset[Role], action: Action) -> None:
    with pytest.raises(Forbidden):
        demand(Actor("li", roles), action, drafted_by="li")
    demand(Actor("li", roles | RIGHTS[action]), action, drafted_by="wang")


def test_the_refusal_says_what_is_missing() -> None:
    with pytest.raises(Forbidden, match=r"li 无权执行 ledger\.approve：需要角色 审批"):
        demand(Actor("li", frozenset({Role.FINANCE})), Action.LEDGER_APPROVE)
    with pytest.raises(Forbidden, match="li 不能审批自己经办的事项"):
        demand(Actor("li", frozenset(Role)), Action.LEDGER_APPROVE, drafted_by="li")


def test_somebody_limited_to_townships_acts_there_alone() -> None:
    actor = Actor("li", frozenset({Role.OPERATOR}), frozenset({"511723101"}))
    demand(actor, Action.WORKORDER_WRITE, township="511723101")
    with pytest.raises(Forbidden, match="不含乡镇 511723102"):
        demand(actor, Action.WORKORDER_WRITE, township="511723102")
    with pytest.raises(Forbidden, match="全县范围"):
        demand(actor, Action.WORKORDER_WRITE)
    assert Action.STATUS_READ in ANYWHERE
    demand(actor, Action.STATUS_READ)
    with pytest.raises(Forbidden):
        demand(actor, Action.STATUS_READ, township="511723102")


def test_the_ledger_is_never_written_by_the_admin() -> None:
    admin = Actor("root", frozenset({Role.ADMIN}))
    for action in (Action.LEDGER_DRAFT, Action.LEDGER_APPROVE, Action.LEDGER_REGISTER, Action.LEDGER_CLOSE):
        with pytest.raises(Forbidden):
            demand(admin, action)


def test_the_service_itself_may() -> None:
    for action in Action:
        demand(SYSTEM, action)
