"""Planned windows and work orders as JSON, for scripts and for the console: instants in ISO 8601, names as words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monitor.clock import to_iso
from monitor.store.exemptions import Exemption
from monitor.store.orders import Listed, Order
from monitor.store.windows import Declared


def iso(ms: int | None) -> str | None:
    """An instant, or null."""
    return None if ms is None else to_iso(ms)


def window_json(declared: Declared) -> dict[str, Any]:
    """A planned window; `state` counts, proposed, rejected or cancelled; `end` as declared, whatever came of it.

    `mark`: why it needs a second person's approval, 事后补录 or 停机期间申报, or "".
    """
    window = declared.window
    return {
        "id": declared.id,
        "scope": window.scope,
        "start": to_iso(window.start),
        "end": to_iso(window.end),
        "reason": window.reason,
        "state": declared.state,
        "retroactive": window.retroactive,
        "mark": window.mark,
        "series": declared.series,
        "declared": to_iso(window.at),
        "declared_by": window.by,
        "approved": iso(window.approved),
        "approved_by": window.approved_by,
        "rejected": iso(declared.rejected),
        "rejected_by": declared.rejected_by,
        "cancelled": iso(window.cancelled),
        "cancelled_by": declared.cancelled_by,
        "note": declared.note,
    }


def order_json(order: Order, signs: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A work order. `restored` is measured; `overdue`: since when one of its outages is; `sign` of an outage: what the
    first beat after it says of its cause, where that was asked for and can be said."""
    return {
        "id": order.id,
        "kind": order.kind,
        "site": order.site,
        "township": order.township,
        "level": order.level,
        "state": order.state,
        "fault": order.fault,
        "responsible": order.responsible,
        "assignee": order.assignee,
        "opened": to_iso(order.opened_ms),
        "opened_by": order.opened_by,
        "dispatched": iso(order.dispatched_ms),
        "repaired": iso(order.repaired_ms),
        "restored": iso(order.restored_ms),
        "closed": iso(order.closed_ms),
        "closed_by": order.closed_by,
        "close_reason": order.close_reason,
        "goes_on": order.goes_on,
        "overdue": iso(order.overdue),
        "cause": order.cause,
        "work": order.work,
        "reopened": order.reopened,
        "sites": list(dict.fromkeys(o.site for o in order.outages)),
        "outages": [_outage_json(o, signs or {}) for o in order.outages],
    }


def _outage_json(outage: Listed, signs: Mapping[str, str]) -> dict[str, Any]:
    return {
        "key": outage.key,
        "site": outage.site,
        "terminal": outage.terminal,
        "start": to_iso(outage.start),
        "end": iso(outage.end),
        "over": iso(outage.over),
        "state": outage.state,
        "overdue": iso(outage.overdue),
        **({"sign": signs[outage.key]} if outage.key in signs else {}),
    }


def exemption_json(exemption: Exemption) -> dict[str, Any]:
    """An exemption 免责; `state` proposed, approved or rejected."""
    return {
        "id": exemption.id,
        "order": exemption.order_id,
        "cause": exemption.cause,
        "reason": exemption.reason,
        "paper": exemption.paper,
        "state": exemption.state,
        "proposed": to_iso(exemption.proposed_ms),
        "proposed_by": exemption.proposed_by,
        "decided": iso(exemption.decided_ms),
        "decided_by": exemption.decided_by,
        "note": exemption.note,
    }


def cost_json(cost: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of the cost ledger that names the order; `number` 台账序号 and `voucher` once it is registered."""
    return {
        "entry": cost["id"],
        "year": cost["year"],
        "fund": cost["fund"],
        "number": cost["number"],
        "state": cost["state"],
        "amount_fen": cost["amount_fen"],
        "memo": cost["memo"],
        "voucher": cost["voucher"],
        "paid_on": cost["paid_on"],
    }
