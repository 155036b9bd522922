"""Which tables a year's archive holds, and which of their rows belong to the year. A table more is a line in PARTS."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Select, Table, func, or_, select

from monitor.store import tables
from monitor.store.digests import unpack as unpack_digest
from monitor.store.edges import unpack as unpack_edge

Row = dict[str, Any]


class Year(NamedTuple):
    """A local year: its number, and `[start, end)` in ms."""

    number: int
    start: int
    end: int


class Part(NamedTuple):
    """A table of the archive: `rows` selects the year's, `unfold` makes lines of a row (itself, if left out)."""

    name: str
    title: str
    rows: Callable[[Year], Select[Any]]
    unfold: Callable[[Row], Iterable[Row]] = lambda row: (row,)


def _overlapping(start: Any, end: Any, year: Year) -> Any:
    return (start < year.end) & or_(end.is_(None), end >= year.start)


def _spans(year: Year) -> Select[Any]:
    """Those of the year, and each check's last one before it: what it was when the year began."""
    span = tables.span
    before = select(span.c.check_id, func.max(span.c.start_ms).label("at"))
    last = before.where(span.c.start_ms < year.start).group_by(span.c.check_id).subquery()
    joined = span.outerjoin(last, span.c.check_id == last.c.check_id)
    wanted = span.c.start_ms >= func.coalesce(last.c.at, year.start)
    rows = select(span).select_from(joined).where(wanted, span.c.start_ms < year.end)
    return rows.order_by(span.c.check_id, span.c.start_ms)


def _span(row: Row) -> Iterable[Row]:
    edge = unpack_edge(row.pop("edge"), row["start_ms"])
    yield row | {"edge": edge._asdict() if edge is not None else None}


def _digest(row: Row) -> Iterable[Row]:
    for number, counts in unpack_digest(row["body"]).items():
        known = counts._asdict()
        if not counts.said:
            del known["said"]
        yield {"observer": row["observer"], "day": row["day"], "check_id": number, **known}


def _person(row: Row) -> Iterable[Row]:
    townships = json.loads(row["townships"]) if row["townships"] is not None else None
    yield row | {"roles": json.loads(row["roles"]), "townships": townships}


def _of_funds(table: Table, *joined: tuple[Table, Any]) -> Callable[[Year], Select[Any]]:
    """Rows of the year's funds, in order of their key; `joined`: the way from the table to `fund`."""

    def rows(year: Year) -> Select[Any]:
        found = select(table)
        for other, on in joined:
            found = found.join(other, on)
        return found.where(tables.fund.c.year == year.number).order_by(*table.primary_key.columns)

    return rows


_FUND, _ENTRY, _CONTRACT = tables.fund, tables.entry, tables.contract
_TO_FUND = (_FUND, _FUND.c.id == _ENTRY.c.fund_id)


def _lists(row: Row) -> Iterable[Row]:
    """Columns that hold a list as JSON, as lists."""
    yield row | {name: json.loads(row[name]) for name in ("papers", "sites") if name in row}


def _rounds(year: Year) -> Select[Any]:
    """Due on a day of the year, or visited in it."""
    of, visit = tables.inspection_round, tables.inspection_visit
    first, last = f"{year.number}-01-01", f"{year.number}-12-31"
    visited = select(visit.c.round).where(visit.c.on_day.between(first, last), visit.c.round.is_not(None))
    return select(of).where(((of.c.due_from <= last) & (of.c.due_to >= first)) | of.c.n.in_(visited)).order_by(of.c.n)


def _visits(year: Year, table: Table) -> Select[Any]:
    """Visits of the year, or what they found."""
    visit = tables.inspection_visit
    found = select(table) if table is visit else select(table).join(visit, visit.c.n == table.c.visit)
    found = found.where(visit.c.on_day.between(f"{year.number}-01-01", f"{year.number}-12-31"))
    return found.order_by(*table.primary_key.columns)


def _meetings(year: Year, table: Table) -> Select[Any]:
    """Meetings that began in the year, or what was noted of them."""
    meeting = tables.meeting
    found = select(table) if table is meeting else select(table).join(meeting, meeting.c.n == table.c.meeting)
    return found.where(meeting.c.start_ms >= year.start, meeting.c.start_ms < year.end).order_by(table.c.n)


_PERSON = [c for c in tables.person.c if c.name != "password"]

PARTS: Sequence[Part] = (
    Part("check", "检测项及其编号", lambda year: select(tables.check).order_by(tables.check.c.id)),
    Part("span", "检测项的状态：自 start_ms 起为 value（0 中断、1 未知、2 正常），直到下一行", _spans, _span),
    Part(
        "outage",
        "机位的中断",
        lambda year: (
            select(tables.outage)
            .where(_overlapping(tables.outage.c.start_ms, tables.outage.c.over_ms, year))
            .order_by(tables.outage.c.start_ms, tables.outage.c.key)
        ),
    ),
    Part(
        "loss",
        "监测通道自身的中断",
        lambda year: (
            select(tables.loss)
            .where(or_(tables.loss.c.lost_ms.is_(None), tables.loss.c.lost_ms < year.end))
            .where(or_(tables.loss.c.restored_ms.is_(None), tables.loss.c.restored_ms >= year.start))
            .order_by(tables.loss.c.observer, tables.loss.c.channel, tables.loss.c.n)
        ),
    ),
    Part(
        "digest",
        "每日每个检测项的证据数：应收、实收、失败、迟到、最早、最晚",
        lambda year: (
            select(tables.digest)
            .where(tables.digest.c.day.between(year.number * 10_000 + 101, year.number * 10_000 + 1231))
            .order_by(tables.digest.c.observer, tables.digest.c.day)
        ),
        _digest,
    ),
    Part(
        "window",
        "计划检修",
        lambda year: (
            select(tables.window)
            .where(_overlapping(tables.window.c.start_ms, tables.window.c.end_ms, year))
            .order_by(tables.window.c.start_ms, tables.window.c.id)
        ),
    ),
    Part("fund", "专项资金", _of_funds(_FUND)),
    Part(
        "fund_change",
        "年初预算、预算调整与结转",
        _of_funds(tables.fund_change, (_FUND, _FUND.c.id == tables.fund_change.c.fund_id)),
    ),
    Part("contract", "合同", _of_funds(_CONTRACT, (_FUND, _FUND.c.id == _CONTRACT.c.fund_id))),
    Part(
        "stage",
        "合同阶段、验收与考核扣款",
        _of_funds(
            tables.stage,
            (_CONTRACT, _CONTRACT.c.id == tables.stage.c.contract_id),
            (_FUND, _FUND.c.id == _CONTRACT.c.fund_id),
        ),
    ),
    Part("entry", "经费台账的分录（已登记的另见链 ledger）", _of_funds(_ENTRY, _TO_FUND)),
    Part(
        "entry_site",
        "分录的站点分摊",
        _of_funds(tables.entry_site, (_ENTRY, _ENTRY.c.id == tables.entry_site.c.entry_id), _TO_FUND),
    ),
    Part(
        "entry_paper",
        "分录的附件",
        _of_funds(tables.entry_paper, (_ENTRY, _ENTRY.c.id == tables.entry_paper.c.entry_id), _TO_FUND),
    ),
    Part(
        "closing",
        "月结与年结",
        _of_funds(tables.closing, (_FUND, _FUND.c.id == tables.closing.c.fund_id)),
    ),
    Part(
        "econ_class",
        "该年度自定的支出经济分类",
        lambda year: (
            select(tables.econ_class).where(tables.econ_class.c.year == year.number).order_by(tables.econ_class.c.code)
        ),
    ),
    Part("person", "人员与角色（制作档案时）", lambda year: select(*_PERSON).order_by(tables.person.c.name), _person),
    Part(
        "paper",
        "凭据附件（文件在 papers/ 下，以内容的 SHA-256 命名）",
        lambda year: (
            select(tables.paper)
            .where(tables.paper.c.at_ms >= year.start, tables.paper.c.at_ms < year.end)
            .order_by(tables.paper.c.at_ms, tables.paper.c.sha256)
        ),
    ),
    Part(
        "position_record",
        "机位台账：至年末的全部记录，只增不改；更正者以 corrects 指明被更正的记录",
        lambda year: (
            select(tables.position_record)
            .where(tables.position_record.c.made_ms < year.end)
            .order_by(tables.position_record.c.n)
        ),
        _lists,
    ),
    Part(
        "stock_count",
        "年度盘点；同一机位以最后一次为准",
        lambda year: (
            select(tables.stock_count).where(tables.stock_count.c.year == year.number).order_by(tables.stock_count.c.n)
        ),
        _lists,
    ),
    Part("inspection_round", "巡检计划", _rounds, _lists),
    Part("inspection_visit", "巡检记录", lambda year: _visits(year, tables.inspection_visit), _lists),
    Part("inspection_finding", "巡检所见", lambda year: _visits(year, tables.inspection_finding)),
    Part("meeting", "会议保障", lambda year: _meetings(year, tables.meeting), _lists),
    Part(
        "meeting_note",
        "会议参会记录；同一站点以最后一次为准",
        lambda year: _meetings(year, tables.meeting_note),
        _lists,
    ),
    Part(
        "declared_value",
        "年度申报值；同一项目以最后一次为准",
        lambda year: (
            select(tables.declared_value)
            .where(tables.declared_value.c.year == year.number)
            .order_by(tables.declared_value.c.n)
        ),
        _lists,
    ),
    Part(
        "declared_confirmation",
        "申报值的确认",
        lambda year: (
            select(tables.declared_confirmation)
            .join(tables.declared_value, tables.declared_value.c.n == tables.declared_confirmation.c.n)
            .where(tables.declared_value.c.year == year.number)
            .order_by(tables.declared_confirmation.c.n)
        ),
    ),
)
