"""Part 3: the sites that are 未维护到位 or 数据不足, each with its cause; yellow cards, repeated outages, heat map."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal

from monitor.core import report_words as words
from monitor.core.report import OrderFacts, OutageFacts, SiteFacts, TerminalFacts
from monitor.publish.documents.blocks import Block, Chart, Column, Row, Section, Table, Text
from monitor.publish.reports.levels import INSET
from monitor.publish.reports.reading import BRIEF, Reading

#: So many months in a row 未维护到位 are a yellow card 黄牌.
YELLOW_CARD = 3
#: So many outages of one terminal in the period are 反复中断.
REPEATED = 3
#: Rows of the heat map on paper: a page.
HEAT_ROWS = 40
#: A quarter.
HEAT_DAYS = 92
#: Of a month in which nothing happened.
HEAT_LEAST = 5


def anchor(site: str) -> str:
    """Where a site's block stands in the annex."""
    return f"site-{site}"


def sites(reading: Reading) -> Section:
    blocks: list[Block] = [
        *_listed(reading),
        _yellow_cards(reading),
        _repeated(reading),
        *heat(reading),
    ]
    return Section("三、未维护到位和数据不足的站点", "3 未到位站点", blocks)


def _listed(reading: Reading) -> Iterator[Block]:
    found = [*reading.failed, *reading.unproven]
    if not reading.facts.sites:
        yield Text("本期没有应在线的站点。")
    elif not found:
        yield Text("本期全部站点维护到位，没有未维护到位或者数据不足的站点。")
    else:
        yield Text(
            f"本期未维护到位站点{len(reading.failed)}个、数据不足站点{len(reading.unproven)}个，逐一列明认定依据、"
            "故障原因、工单和整改情况。数据不足是监测证据不够，既不认定为维护到位，也不认定为未维护到位。"
        )
    yield from (Text(text, warning=True) for text in _spared(reading))
    columns = [
        Column("站点", width=1.3),
        Column("层级", width=0.7, fine=True),
        Column("乡镇", width=1.0, fine=True),
        Column("结论", width=0.9),
        Column("认定依据", width=2.6),
        Column("故障原因", width=1.1),
        Column("中断次数", "count", 0.5),
        Column("工单", width=1.1),
        Column("整改情况", width=1.7),
    ]
    rows = []
    for site in found:
        rows.append(_row(reading, site))
        for way, other in reading.beside(f"site:{site.site}"):
            verdict = words.VERDICTS.get(other.verdict, other.verdict) or words.NO_FIGURE
            cells = [INSET + way, "", "", verdict, f"可用率{reading.availability_text(other.sum)}"]
            rows.append(Row([*cells, None, None, None, None], link=anchor(site.site)))
    yield Table("未维护到位和数据不足站点一览", columns, rows, anchor="failed", upright=True)


def _spared(reading: Reading) -> Iterator[str]:
    """Sites that are maintained only as it was counted; another way says otherwise."""
    for way in reading.ways:
        found = [
            f"{site.name}（{words.VERDICTS.get(other.verdict, other.verdict)}）"
            for site in reading.facts.sites
            if site.verdict == "maintained"
            and (other := way.counted.differing.get(f"site:{site.site}")) is not None
            and other.verdict not in ("", "maintained")
        ]
        if found:
            yield (f"另有{len(found)}个站点本期认定为维护到位，但{way.name}则不是：{'、'.join(found)}。详见第五部分。")


def _row(reading: Reading, site: SiteFacts) -> Row:
    outages = reading.outages_of.get(site.site, [])
    orders = reading.orders_of.get(site.site, [])
    return Row(
        [
            reading.place(site),
            words.LEVELS[site.level],
            reading.township_name(site.township),
            words.VERDICTS[site.verdict],
            basis(reading, site),
            no_proof(site) or fault(outages, orders),
            len(outages),
            "、".join(order.number for order in orders) or None,
            rectified(reading, site, outages, orders),
        ],
        link=anchor(site.site),
    )


def basis(reading: Reading, site: SiteFacts) -> str:
    """Why the rules say that a site is not maintained: a sentence for each terminal that decided it, never empty."""
    terminals = {terminal.terminal: terminal for terminal in site.terminals}
    told: dict[str, list[str]] = {}  # terminals of which the same is true are said together
    for kind, why in site.why:
        name = [reading.kind_name(kind)] if kind else []
        told.setdefault(_because(reading, site, terminals.get(kind), why), []).extend(name)
    sentences = [f"{'、'.join(kinds)}：{why}" if kinds else why for why, kinds in told.items()]
    return "；".join(sentences) or f"{words.VERDICTS[site.verdict]}（机位{len(site.terminals)}个）"


def _because(reading: Reading, site: SiteFacts, terminal: TerminalFacts | None, why: str) -> str:
    sums = terminal.sum if terminal else site.sum
    match why:
        case "overdue":
            return f"中断超过修复时限，超时限{words.hours(sums.overdue)}"
        case "availability":
            shown = reading.availability_text(sums)
            return f"可用率{shown}，低于{share(reading.availability_min)}（中断{words.hours(sums.down)}）"
        case "coverage":
            covered = words.percent(words.coverage(sums))
            return f"数据完整率{covered}，低于{share(reading.coverage_min)}（未知{words.hours(sums.unknown)}）"
        case "planned_only":
            return f"应在线时间全部为计划检修（{words.hours(sums.planned)}）"
        case "no_check":
            return "未设检测项" if terminal else "没有接入的机位"
        case _:
            return why


def share(value: Decimal) -> str:
    """A parameter between 0 and 1 as `90%`."""
    return f"{(value * 100).normalize():f}%"


def fault(outages: Sequence[OutageFacts], orders: Sequence[OrderFacts]) -> str:
    """What the orders say, else what the outages themselves show; most frequent first."""
    causes = Counter(words.OUTAGE_CAUSES.get(order.cause, order.cause) for order in orders if order.cause)
    causes = causes or Counter(words.OUTAGE_CAUSES.get(outage.cause, outage.cause) for outage in outages)
    return "、".join(name for name, _ in causes.most_common()) or "未查明"


def no_proof(site: SiteFacts) -> str:
    """Why a site is unproven, in a word; nothing for others."""
    if site.verdict != "unproven":
        return ""
    reasons = {"coverage": "监测证据不足", "planned_only": "全部为计划检修", "no_check": "未设检测项"}
    found = dict.fromkeys(reasons[why] for _, why in site.why if why in reasons)
    return "、".join(found) or reasons["coverage"]


def rectified(reading: Reading, site: SiteFacts, outages: Sequence[OutageFacts], orders: Sequence[OrderFacts]) -> str:
    """整改: what the orders and the measured recovery say by the period's end."""
    if site.verdict == "unproven":
        return "待补足监测证据"
    open_orders = [order for order in orders if order.closed is None]
    going_on = [outage for outage in outages if outage.over is None]
    done = "；".join(order.work for order in orders if order.work)
    if going_on:
        text = f"期末仍有{len(going_on)}个机位中断，整改中"
    elif open_orders:
        text = "已恢复，工单未关闭"
    else:
        # What an order was for, or was overdue; else all that happened.
        grave = [outage for outage in outages if outage.order or outage.overdue_here] or outages
        last = max((outage.over for outage in grave if outage.over is not None), default=None)
        text = f"已整改（{reading.instant(last)}恢复）" if last is not None else "待整改"
    return f"{text}：{done}" if done else text


def _yellow_cards(reading: Reading) -> Table:
    columns = [
        Column("站点", width=1.5),
        Column("层级"),
        Column("乡镇", width=1.2),
        Column("连续未维护到位", "count", unit="个月"),
    ]
    running = sorted(reading.facts.failed_running, key=lambda pair: (-pair[1], pair[0]))
    rows = []
    for site, months in running:
        if months < YELLOW_CARD:
            continue
        facts = reading.sites.get(site)
        level = words.LEVELS[facts.level] if facts else None
        township = reading.township_name(facts.township) if facts else None
        rows.append(Row([reading.site_name(site), level, township, months], link=anchor(site)))
    note = f"连续{YELLOW_CARD}个月（含本期）未维护到位的站点给予黄牌提示，应列入重点整改。"
    return Table("黄牌提示", columns, rows, note=note, empty=f"没有连续{YELLOW_CARD}个月未维护到位的站点。")


def _repeated(reading: Reading) -> Table:
    counts = Counter((outage.site, outage.terminal) for outage in reading.outages)
    lost: Counter[tuple[str, str]] = Counter()
    for outage in reading.outages:
        lost[outage.site, outage.terminal] += outage.counted_here
    found = [(n, key) for key, n in counts.items() if n >= REPEATED]
    found.sort(key=lambda item: (-item[0], -lost[item[1]], item[1]))
    columns = [
        Column("站点", width=1.5),
        Column("机位"),
        Column("中断次数", "count", 0.8),
        Column("累计中断", "length", 1.2),
        Column("原因", width=1.5),
    ]
    rows = [
        Row(
            [
                reading.site_name(site),
                reading.kind_name(terminal),
                n,
                lost[site, terminal],
                fault([o for o in reading.outages_of[site] if o.terminal == terminal], ()),
            ],
            link=anchor(site),
        )
        for n, (site, terminal) in found
    ]
    note = f"本期中断{REPEATED}次及以上的机位，共{len(rows)}个。{reading.as_measured}"
    return Table("反复中断的机位", columns, rows, _brief(rows), note, empty="没有反复中断的机位。")


def _brief(rows: Sequence[Row]) -> Sequence[Row] | None:
    return rows[:BRIEF] if len(rows) > BRIEF else None


def heat(reading: Reading) -> Iterator[Chart]:
    """All sites by day; on paper those with the lowest availability, which are what one looks for. A year has too many
    days for it."""
    facts = reading.facts
    if len(facts.days) > HEAT_DAYS:
        return
    labels = [str(int(day.day[8:])) for day in facts.days]
    named = _named(reading)
    everything = dict(zip(named, facts.heat, strict=False))
    brief = None
    if len(facts.sites) > HEAT_ROWS:
        worst = sorted(range(len(facts.heat)), key=lambda i: (_order(facts.sites[i]), facts.sites[i].site))
        worth = [i for i in worst if any(0 <= value < 10_000 or value == -2 for value in facts.heat[i])]
        brief = {named[i]: facts.heat[i] for i in sorted((worth or worst[:HEAT_LEAST])[:HEAT_ROWS])}
    note = f"横轴为日期，颜色为站点当日可用率；空白为无应在线时长，斜纹或灰色为监测数据不足。{reading.as_measured}"
    if brief is not None:
        note += f"纸面只列其中{len(brief)}个（有中断或未知的，由差到好取至多{HEAT_ROWS}个），全部站点见网页版和表格版。"
    yield Chart("各站点可用率（按日）", "heat", labels, everything, note=note, brief=brief)


def _named(reading: Reading) -> list[str]:
    """Names of the rows; a name that several sites have gets their numbers beside it."""
    often = Counter(site.name for site in reading.facts.sites)
    return [site.name if often[site.name] == 1 else f"{site.name}（{site.site}）" for site in reading.facts.sites]


def _order(site: SiteFacts) -> tuple[int, int, int]:
    """The worst first: verdict, time down of all terminals, time unknown."""
    verdicts = {"failed": 0, "unproven": 1}
    down = sum(terminal.sum.down for terminal in site.terminals)
    return verdicts.get(site.verdict, 2), -down, -site.sum.unknown
