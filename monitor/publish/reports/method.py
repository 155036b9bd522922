"""Part 8: how the figures are made, for readers who are no engineers: definitions, formulas, the parameters used."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

from monitor.core import report_words as words
from monitor.publish.documents.blocks import Block, Column, Heading, Row, Section, Table, Text
from monitor.publish.reports.levels import state_of
from monitor.publish.reports.reading import Reading
from monitor.publish.reports.sites import REPEATED, YELLOW_CARD, share

DEFINITIONS: tuple[tuple[str, str], ...] = (
    (
        "站点（平台）、机位",
        "站点是县、乡镇、村的党建平台所在地；机位是站点内一台终端（数字电视、移动终端或PC端）的位置。",
    ),
    ("监测方式", "终端定时向监测服务报送“心跳”，或由监测服务定时探测终端。两者都只说明终端当时能否连通。"),
    (
        "在线、中断、未知",
        "按时收到心跳或探测成功为在线；监测通道正常而超过约定时间收不到心跳，或连续多次探测失败为中断；"
        "监测通道自身不正常、没有证据的时间为未知。未知既不算在线，也不算中断。",
    ),
    (
        "中断的起止",
        "自心跳应到而未到之时（不是发现之时）起，终端报告关机或掉线在先的自报告之时起，探测失败的自首次失败之时起；"
        "至恢复后首次心跳或探测成功止。其间监测通道中断的，不视为恢复。"
        "真实时刻介于所列最早与最晚之间。",
    ),
    (
        "断开方式",
        "主动关机：终端报告关机；失联：消息服务报告终端掉线；无心跳：到时没有收到心跳；探测失败：连续多次探测不通。",
    ),
    ("站点的状态", "站点任一机位在线即为在线；全部机位中断才算站点中断。"),
    ("应在线时长", "站点在用期间的服务时段，扣除计划检修时段后计入。夜间、休息日等服务时段以外不计。"),
    (
        "计划检修、事后补录",
        "经申报的检修时段不计入在线、中断和未知。开始以后才申报，或者申报时范围内已有机位中断的为事后补录，"
        "须经另一人批准，受其影响的每个数字同时给出不计事后补录的结果。",
    ),
    ("可用率", "在线时长 ÷（在线时长 + 中断时长）。多个站点先累计时长再相除。"),
    ("监测数据完整率", "（在线时长 + 中断时长）÷（在线时长 + 中断时长 + 未知时长）。"),
    ("可用率的上限、下限", "未知时长全部按在线计为上限，全部按中断计为下限。"),
    ("中断次数", "本期内至少有1秒计入的中断。同一次中断跨月的，两个月各计一次，全年只计一次。"),
    (
        "修复时限、超时限",
        "一次中断自开始起累计的计入时长（含上期）超过该层级修复时限的部分，落在本期的为本期超时限时长。",
    ),
    ("机位的结论：未维护到位", "超时限时长大于零；或者监测数据完整率达到下限，而可用率低于可用率下限。"),
    ("机位的结论：维护到位", "不属未维护到位，且监测数据完整率达到下限。"),
    ("机位的结论：数据不足", "除此以外：证据太少、应在线时间全部为计划检修，或未设检测项。"),
    ("站点的结论", "取其各机位中最差的结论：有未维护到位的为未维护到位，其次有数据不足的为数据不足，否则为维护到位。"),
    ("运行维护率", "维护到位站点数 ÷ 年度计划站点数。可以超过100%，不封顶；机位的运行维护率同理。"),
    ("达标", "运行维护率达到100%，并且没有未维护到位、数据不足的站点。目标值就是100%，不作折算。"),
    ("免责", "因不可抗力、市电、运营商原因，经批准的中断。免责不改变实测数字，免责后的结果另列，与实测并列。"),
    ("工单", "一次中断的计入时长超过开单时限即开立工单；恢复时间由监测测得，不由人工填写。"),
    ("预算执行率", "截至期末累计登记（已支付）÷ 调整后预算。已批未付不计入。"),
    ("黄牌、反复中断", f"连续{YELLOW_CARD}个月未维护到位为黄牌；同一机位本期中断{REPEATED}次及以上为反复中断。"),
    (
        "时长",
        "以小时、分、秒计，不折算成天，因为服务时段一天不是二十四小时；文字中的时长截去不足一分的尾数，"
        "表格中的精确到秒。",
    ),
    ("百分比", "一律截去尾数、不进位：99.9996%写作99.99%，只有完全没有中断才写作100.00%。"),
    (
        "监测数据不足",
        "监测数据完整率低于下限的，不给出可用率和运行维护率的百分比，只写“监测数据不足”和完整率。",
    ),
    (
        "预览、定稿、更正版",
        "期末72小时之内迟到的数据仍会计入，此前为预览。定稿以后不再改动；事后有变化的另出更正版，写明差异和原因。",
    ),
)

#: Settings that decide figures, by what they begin with, in the order in which they are listed -> words, unit.
PARAMETERS: Mapping[str, tuple[str, str]] = {
    "maintenance.coverage_min": ("监测数据完整率下限", "share"),
    "maintenance.availability_min": ("可用率下限", "share"),
    "maintenance.repair_limit_h": ("修复时限", "小时"),
    "maintenance.open_after_min": ("开单时限", "分钟"),
    "maintenance.planned_sites": ("年度计划站点数", "个"),
    "maintenance.planned_terminals": ("年度计划机位数", "个"),
    "policy.terminal": ("机位由检测项得出的方式", "word"),
    "service": ("服务时段", "word"),
    "calendar": ("工作日安排", ""),
    "timezone": ("时区", ""),
}
_WORDS: Mapping[str, str] = {
    "any": "任一检测项正常即为在线",
    "all": "全部检测项正常才为在线",
    "daily": "每天",
    "workdays": "工作日（含调休上班）",
}
_PARTS: Mapping[str, str] = {
    **words.LEVELS,
    **words.KINDS,
    "days": "日期",
    "hours": "时间",
    "workdays": "调休上班",
    "holidays": "放假",
}


def method(reading: Reading) -> Section:
    blocks: list[Block] = [
        Text(
            "本报告的每一个数字都由监测记录按固定规则算出，没有人工修改。规则和参数如下，"
            f"规则版本：{reading.facts.rules}。任何一个数字都可以用 zhdj-monitor explain 命令逐行还原其计算过程。"
        ),
        Table(
            "名词与算法",
            [Column("名词", width=1.0), Column("含义与算法", width=3.6)],
            [Row([name, text]) for name, text in DEFINITIONS],
        ),
        _parameters(reading),
        Heading("可用率下限取不同数值时的运行维护率"),
        _minima(reading),
    ]
    return Section("八、计算方法", "8 计算方法", blocks)


def _known(key: str) -> str:
    """The beginning of a key that PARAMETERS knows; "" for none."""
    return next((known for known in PARAMETERS if key == known or key.startswith(f"{known}.")), "")


def parameter_name(key: str) -> str:
    """`修复时限（村级）` of `maintenance.repair_limit_h.village`; an unknown one as it stands."""
    known = _known(key)
    if not known:
        return key
    parts = [_PARTS.get(part, part) for part in key.removeprefix(known).split(".") if part]
    return f"{PARAMETERS[known][0]}（{'，'.join(parts)}）" if parts else PARAMETERS[known][0]


def parameter_value(key: str, value: str) -> str:
    """With its unit: `15小时`, `90%`."""
    unit = PARAMETERS[known][1] if (known := _known(key)) else ""
    if not value:
        return "不设"
    if unit == "share":
        try:
            return share(Decimal(value))
        except InvalidOperation:
            return value
    if unit == "word":
        return _WORDS.get(value, value.replace(", ", "、"))
    return f"{value.removesuffix('.0')}{unit}" if unit else value.replace(", ", "、")


def _parameters(reading: Reading) -> Table:
    eras = reading.facts.eras
    names = sorted({key for era in eras for key in era.parameters}, key=_place)
    columns = [Column("参数", width=1.6)]
    columns += [Column(_since(reading, i), width=1.6) for i in range(len(eras))]
    rows = [
        Row([parameter_name(key), *(parameter_value(key, era.parameters.get(key, "")) for era in eras)])
        for key in names
    ]
    rows.append(Row(["站点清单版本", *(f"第{era.version}版" for era in eras)]))
    return Table(
        "本期采用的参数",
        columns,
        rows,
        note="参数自列明之日起执行；结论按期末执行的参数认定，时长按当时执行的参数计算。",
    )


def _place(key: str) -> tuple[int, str]:
    known = _known(key)
    return ([*PARAMETERS].index(known) if known else len(PARAMETERS), key)


def _since(reading: Reading, i: int) -> str:
    era = reading.facts.eras[i]
    if era.since <= reading.facts.start:
        return "本期初起"
    return f"{reading.instant(era.since)}起"


def _minima(reading: Reading) -> Table:
    sums = reading.total
    columns = [
        Column("可用率下限", width=0.9),
        Column("维护到位站点", "count"),
        Column("未维护到位站点", "count"),
        Column("数据不足站点", "count"),
        Column("运行维护率（站点）", "percent", 1.2),
        Column("结论", width=0.8),
        Column("运行维护率（机位）", "percent", 1.2),
    ]
    rows = [
        Row(
            [
                share(Decimal(minimum.minimum)),
                minimum.sites.maintained,
                minimum.sites.failed,
                minimum.sites.unproven,
                reading.rate_cell(minimum.sites, sums),
                state_of(reading, minimum.sites, sums),
                reading.rate_cell(minimum.terminals, sums),
            ]
        )
        for minimum in reading.facts.minima
    ]
    minimum = share(reading.availability_min)
    note = f"本期采用的可用率下限为{minimum}；其余各行说明结论随这一参数的变化。均含事后补录、未扣免责。"
    return Table("可用率下限与运行维护率", columns, rows, note=note)
