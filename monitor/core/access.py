"""Who may do what: roles, actions, and the one table between them (docs/security.md, Roles).

Every act of a person asks `demand` first (flows/acting.py does it), on the command line as in a browser.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from monitor.errors import MonitorError


class Role(StrEnum):
    """What somebody is to the county. One person may hold several."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    FINANCE = "finance"
    APPROVER = "approver"
    AUDITOR = "auditor"
    ADMIN = "admin"


#: As people say it.
ROLE_NAMES: Mapping[Role, str] = MappingProxyType(
    {
        Role.VIEWER: "查看",
        Role.OPERATOR: "运维",
        Role.FINANCE: "财务",
        Role.APPROVER: "审批",
        Role.AUDITOR: "审计",
        Role.ADMIN: "管理员",
    }
)


class Action(StrEnum):
    """What can be done: the thing, a dot, what happens to it."""

    STATUS_READ = "status.read"  # states, dashboards, sealed reports

    ALERT_ACKNOWLEDGE = "alert.acknowledge"
    WORKORDER_WRITE = "workorder.write"  # also inspections, meetings, the register of positions
    SHIFT_WRITE = "shift.write"
    WINDOW_DECLARE = "window.declare"
    WINDOW_PROPOSE = "window.propose"  # a retroactive one: counts once somebody else has approved it
    WINDOW_APPROVE = "window.approve"
    EXEMPTION_PROPOSE = "exemption.propose"
    EXEMPTION_APPROVE = "exemption.approve"
    MONTH_PROPOSE = "month.propose"
    MONTH_SEAL = "month.seal"
    MONTH_SCHEDULE = "month.schedule"  # that settled months seal themselves

    INVENTORY_PROPOSE = "inventory.propose"
    INVENTORY_APPROVE = "inventory.approve"

    LEDGER_TOTALS = "ledger.totals"
    LEDGER_READ = "ledger.read"
    LEDGER_DRAFT = "ledger.draft"  # entries, funds, adjustments, contracts
    LEDGER_APPROVE = "ledger.approve"
    LEDGER_REGISTER = "ledger.register"  # what is approved; reversals
    LEDGER_CLOSE = "ledger.close"  # a month, a year

    INDICATOR_PLATFORM = "indicator.platform"
    INDICATOR_MONEY = "indicator.money"
    INDICATOR_CONFIRM = "indicator.confirm"
    INDICATOR_TEMPLATE = "indicator.template"

    USER_MANAGE = "user.manage"
    USER_SELF = "user.self"  # sign in and out, one's own password
    TOKEN_MANAGE = "token.manage"  # noqa: S105  # a word
    RULE_CHANGE = "rule.change"
    RETENTION_CHANGE = "retention.change"

    AUDIT_READ = "audit.read"
    AUDIT_OWN = "audit.own"  # what one did oneself
    EXPORT = "export"  # archives, copies of chains: what may be read may be taken along


_ALL = frozenset(Role)
_V, _O, _F, _P, _U, _A = Role.VIEWER, Role.OPERATOR, Role.FINANCE, Role.APPROVER, Role.AUDITOR, Role.ADMIN

#: The rights. Whoever is not named may not.
RIGHTS: Mapping[Action, frozenset[Role]] = MappingProxyType(
    {
        Action.STATUS_READ: _ALL,
        Action.ALERT_ACKNOWLEDGE: frozenset({_O}),
        Action.WORKORDER_WRITE: frozenset({_O}),
        Action.SHIFT_WRITE: frozenset({_O}),
        Action.WINDOW_DECLARE: frozenset({_O}),
        Action.WINDOW_PROPOSE: frozenset({_O}),
        Action.WINDOW_APPROVE: frozenset({_P}),
        Action.EXEMPTION_PROPOSE: frozenset({_O}),
        Action.EXEMPTION_APPROVE: frozenset({_P}),
        Action.MONTH_PROPOSE: frozenset({_O}),
        Action.MONTH_SEAL: frozenset({_P}),
        Action.MONTH_SCHEDULE: frozenset({_P}),
        Action.INVENTORY_PROPOSE: frozenset({_O}),
        Action.INVENTORY_APPROVE: frozenset({_A}),
        Action.LEDGER_TOTALS: _ALL,
        Action.LEDGER_READ: frozenset({_O, _F, _P, _U, _A}),
        Action.LEDGER_DRAFT: frozenset({_F}),
        Action.LEDGER_APPROVE: frozenset({_P}),
        Action.LEDGER_REGISTER: frozenset({_F}),
        Action.LEDGER_CLOSE: frozenset({_F}),
        Action.INDICATOR_PLATFORM: frozenset({_O}),
        Action.INDICATOR_MONEY: frozenset({_F}),
        Action.INDICATOR_CONFIRM: frozenset({_P}),
        Action.INDICATOR_TEMPLATE: frozenset({_A}),
        Action.USER_MANAGE: frozenset({_A}),
        Action.USER_SELF: _ALL,
        Action.TOKEN_MANAGE: frozenset({_A}),
        Action.RULE_CHANGE: frozenset({_A}),
        Action.RETENTION_CHANGE: frozenset({_A}),
        Action.AUDIT_READ: frozenset({_P, _U, _A}),
        Action.AUDIT_OWN: frozenset({_F, _P, _U, _A}),
        Action.EXPORT: frozenset({_P, _U, _A}),
    }
)

#: Of these, nobody may do what they drafted or proposed themselves, whatever roles they hold.
APPROVALS: frozenset[Action] = frozenset(
    {
        Action.WINDOW_APPROVE,
        Action.EXEMPTION_APPROVE,
        Action.MONTH_SEAL,
        Action.INVENTORY_APPROVE,
        Action.LEDGER_APPROVE,
        Action.INDICATOR_CONFIRM,
    }
)

#: Of these no township is asked: reading is narrowed by the reader (`Actor.townships`), the rest is about oneself.
ANYWHERE: frozenset[Action] = frozenset(
    {
        Action.STATUS_READ,
        Action.LEDGER_TOTALS,
        Action.LEDGER_READ,
        Action.USER_SELF,
        Action.AUDIT_OWN,
    }
)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts. `townships`: codes; None is all of them."""

    name: str
    roles: frozenset[Role]
    townships: frozenset[str] | None = None

    def sees(self, township: str | None) -> bool:
        """Whether reading is narrowed to townships without this one. None: what concerns the whole county."""
        return self.townships is None or township is None or township in self.townships


#: The service itself. It has no password and signs in nowhere; nobody may have its name.
SYSTEM = Actor("system", _ALL)


class Forbidden(MonitorError):
    """The right is missing; the sentence says which."""


def may(actor: Actor, action: Action) -> bool:
    """Whether any of their roles has the right, somewhere."""
    return bool(actor.roles & RIGHTS[action])


def demand(actor: Actor, action: Action, *, township: str | None = None, drafted_by: str | None = None) -> None:
    """Raise Forbidden unless `actor` may do `action`.

    `township`: the code of the one that is concerned; None is the whole county, which somebody limited to townships may
    only read. `drafted_by`: who drafted what is being approved.
    """
    allowed = RIGHTS[action]
    if not may(actor, action):
        names = "、".join(ROLE_NAMES[role] for role in Role if role in allowed)
        raise Forbidden(f"{actor.name} 无权执行 {action}：需要角色 {names}")
    if action in APPROVALS and drafted_by is not None and drafted_by == actor.name:
        raise Forbidden(f"{actor.name} 不能审批自己经办的事项（{action}）：须由另一人审批")
    if actor.townships is None or (township is None and action in ANYWHERE):
        return
    if township is None:
        raise Forbidden(f"{actor.name} 的权限限于部分乡镇，无权执行全县范围的 {action}")
    if township not in actor.townships:
        raise Forbidden(f"{actor.name} 的权限不含乡镇 {township}（{action}）")
