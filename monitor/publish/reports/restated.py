"""A restated report 更正版 says first what it changes, and why."""

from __future__ import annotations

from monitor.core.report import ReportFacts
from monitor.core.report_differences import differences
from monitor.publish.documents.blocks import Block, Column, Row, Table, Text
from monitor.publish.reports.standing import Restated

#: On paper; all of them in the workbook.
ON_PAPER = 60


def restated(facts: ReportFacts, change: Restated) -> list[Block]:
    """What stands before the first part."""
    number = f"第{change.before_number}号" if change.before_number is not None else "原"
    digest = f"（摘要 {change.before_hash}）" if change.before_hash else ""
    found = differences(change.before, facts)
    columns = [Column("事项", width=2.0), Column("更正前", width=1.5), Column("更正后", width=1.5)]
    rows = [Row([d.what, d.before, d.after]) for d in found]
    brief = rows[:ON_PAPER] if len(rows) > ON_PAPER else None
    return [
        Text(
            f"更正说明：本报告更正{number}定稿报告{digest}，原报告保留备查。更正原因：{change.reason}。", warning=True
        ),
        Table("更正前后的差异", columns, rows, brief, f"共{len(rows)}项。", "各项数字没有差异。", "differences"),
    ]
