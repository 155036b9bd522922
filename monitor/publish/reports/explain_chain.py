"""What hangs on an outage in an explanation: its work order, exemptions and costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from monitor.clock import from_iso
from monitor.core.explanation import Chain
from monitor.core.ledger import STATE_NAMES as ENTRY_STATES
from monitor.core.workorder import CAUSES, EVENT_NAMES, EXEMPTIONS, STATE_NAMES, name_of
from monitor.publish.documents.blocks import Block, Column, Row, Table
from monitor.publish.reports.explain_account import BRIEF
from monitor.publish.reports.explain_words import (
    Words,
)

_DECISIONS = {"proposed": "待审批", "approved": "已批准", "rejected": "已驳回"}


def chain_blocks(chain: Chain, words: Words) -> Iterator[Block]:
    """A work order with its outages, history, exemptions and costs; without one the costs alone."""
    order = chain.order
    if order:
        rows = [Row((name, text)) for name, text in _order(order, words) if text]
        yield Table(f"工单 {order['id']}", (Column("项目", width=0.5), Column("内容", width=3)), rows)
        outages = [
            Row((o["key"], *(words.instant(_ms(o[name])) for name in ("start", "over", "overdue"))))
            for o in order["outages"]
        ]
        listed = (Column("停机", width=2), Column("起"), Column("恢复"), Column("超期起"))
        yield Table(f"工单 {order['id']} 的停机", listed, outages, outages[:BRIEF] if len(outages) > BRIEF else None)
        events = [
            Row((words.instant(_ms(e["at"])), e["who"], EVENT_NAMES.get(e["what"], e["what"]))) for e in chain.history
        ]
        yield Table(f"工单 {order['id']} 的经过", (Column("时刻"), Column("谁"), Column("何事")), events)
    if chain.exemptions:
        rows = [
            Row((e["id"], name_of(EXEMPTIONS, e["cause"]), _DECISIONS[e["state"]], e["reason"], e["proposed_by"],
                 e["decided_by"], e["paper"]))
            for e in chain.exemptions
        ]  # fmt: skip
        heads = (
            Column("编号", "count", 0.4),
            Column("类别"),
            Column("状态"),
            Column("事由", width=2),
            Column("提出人"),
            Column("审批人"),
            Column("凭据 SHA-256", width=2),
        )
        yield Table("免责（不改变实测数）", heads, rows)
    if chain.costs:
        title = f"工单 {order['id']} 的经费" if order else "本期登记到本站点的其他经费"
        yield _costs(title, chain.costs)


def _order(order: Mapping[str, Any], words: Words) -> Iterator[tuple[str, str]]:
    yield "状态", STATE_NAMES.get(order["state"], order["state"]) + ("，超期" if order["overdue"] else "")
    yield "开立", f"{words.instant(_ms(order['opened']))} {order['opened_by']}"
    if order["dispatched"]:
        yield "派单", f"{words.instant(_ms(order['dispatched']))} {order['assignee']}"
    if order["repaired"]:
        yield "报修复", f"{words.instant(_ms(order['repaired']))} {order['work']}"
    if order["restored"]:
        yield "测得恢复", words.instant(_ms(order["restored"]))
    if order["closed"]:
        yield "关闭", f"{words.instant(_ms(order['closed']))} {order['closed_by']} {order['close_reason']}"
    yield "原因", name_of(CAUSES, order["cause"])
    yield "故障", order["fault"]
    yield "负责", order["responsible"]


def _costs(title: str, costs: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        Row(
            (
                str(c["entry"]),
                str(c["year"]),
                c["fund"],
                str(c["number"] or ""),
                ENTRY_STATES.get(c["state"], c["state"]),
                str(c["paid_on"] or ""),
                c["voucher"] or "",
                c["memo"],
                c["amount_fen"],
            )
        )
        for c in costs
    ]
    registered = [c for c in costs if c["number"] is not None]
    total = sum(c["amount_fen"] for c in registered)
    rows.append(Row(("", "", f"已登记 {len(registered)} 笔", "", "", "", "", "", total), strong=True))
    columns = (
        Column("分录", "text", 0.5),
        Column("年度", "text", 0.5),
        Column("资金", width=1.2),
        Column("台账序号", "text", 0.6),
        Column("状态", width=0.7),
        Column("付款日", width=0.9),
        Column("凭证", width=0.9),
        Column("摘要", width=1.6),
        Column("金额", "yuan", 1, "元"),
    )
    return Table(title, columns, rows)


def _ms(text: str | None) -> int | None:
    return None if text is None else from_iso(text)
