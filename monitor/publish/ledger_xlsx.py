"""A fund's registered entries as a workbook: amounts are numbers in 元, texts are texts whatever they begin with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font

from monitor.core.ledger import COST_CLASSES
from monitor.core.money import yuan

HEADERS = (
    "台账序号", "日期", "摘要", "金额（元）", "支出经济分类", "分类名称", "用途", "收款人", "工单号",
    "合同编号", "阶段", "验收单", "成本分类", "站点数", "付款日期", "凭证号", "冲销序号",
    "经办人", "审批人", "登记人", "附件（SHA-256）", "链",
)  # fmt: skip
SHARE_HEADERS = ("台账序号", "站点编号", "站点", "乡镇代码", "金额（元）")
NOTE = "本台账为辅助登记，不是会计账簿；凭证号为会计账簿记账凭证的编号，仅供核对。"
#: What XML cannot hold.
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_MONEY = "#,##0.00"


def write(
    path: Path,
    *,
    title: str,
    rows: Sequence[Mapping[str, Any]],
    summary: Iterable[tuple[str, str | int | None]],
    sites: Mapping[str, str],
    classes: Mapping[str, str],
) -> None:
    """Write the workbook. `rows`: store/ledger/entries.registered; `summary`: names with fen, or with a text."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet("台账")
    sheet.freeze_panes = "A3"
    sheet.append([_text(sheet, f"{title}。{NOTE}")])
    sheet.append([_text(sheet, header, bold=True) for header in HEADERS])
    for row in rows:
        sheet.append(_entry(sheet, row, classes))
    shares = book.create_sheet("站点分摊")
    shares.freeze_panes = "A2"
    shares.append([_text(shares, header, bold=True) for header in SHARE_HEADERS])
    for row in rows:
        for site, fen in row["shares"].items():
            code = row["townships"][site]
            texts = [_text(shares, value) for value in (site, sites.get(site, ""), code)]
            shares.append([row["number"], *texts, _money(shares, fen)])
    totals = book.create_sheet("汇总")
    for name, value in summary:
        totals.append([_text(totals, name), _money(totals, value) if isinstance(value, int) else _text(totals, value)])
    book.save(path)


def _entry(sheet: Any, row: Mapping[str, Any], classes: Mapping[str, str]) -> list[Any]:
    def text(value: object) -> Any:
        return _text(sheet, value)

    code = row["econ_class"]
    return [
        row["number"], text(row["dated"]), text(row["memo"]), _money(sheet, row["amount_fen"]),
        text(code), text(classes.get(code, "")), text(row["purpose"]), text(row["payee"]), text(row["work_order"]),
        text(row["contract"]), row["stage"], text(row["acceptance"]),
        text(COST_CLASSES.get(row["cost_class"], row["cost_class"])), len(row["shares"]), text(row["paid_on"]),
        text(row["voucher"]), row["reverses_number"], text(row["drafted_by"]), text(row["approved_by"]),
        text(row["registered_by"]), text(" ".join(row["papers"])), text(row["chain_hash"]),
    ]  # fmt: skip


def _text(sheet: Any, value: object, *, bold: bool = False) -> Any:
    """A cell that is a text for every program: never taken for a formula, not even after somebody has edited it."""
    cell = WriteOnlyCell(sheet, None)
    if value is None or value == "":
        return cell
    cell.value = _ILLEGAL.sub("\ufffd", str(value))[:32_767]
    cell.data_type = "s"
    # What the apostrophe before a cell does in a spreadsheet, without becoming part of the text.
    cell.quotePrefix = True
    if bold:
        cell.font = Font(bold=True)
    return cell


def _money(sheet: Any, fen: int) -> Any:
    cell = WriteOnlyCell(sheet, None)
    cell.value = yuan(fen)  # a Decimal is written digit by digit
    cell.number_format = _MONEY
    return cell
