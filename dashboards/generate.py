"""Makes the dashboards of this folder: `python dashboards/generate.py` writes them, `--out DIR` elsewhere.

Committed JSON is what this makes, byte for byte (tests/test_dashboards.py). Grafana rounds what it shows, and
99.9996 % must never read 100 %, so ratios are cut in PromQL (`CUT`). What is switched off at night is grey
and not red, so states are joined with zhdj_site_in_service.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from grafana_foundation_sdk.builders import bargauge, common, dashboard, table
from grafana_foundation_sdk.models import common as c
from grafana_foundation_sdk.models import dashboard as d
from grafana_foundation_sdk.models import units
from parts import (
    AMBER,
    GREEN,
    GREY,
    LEVELS,
    PURPLE,
    RED,
    SOURCE,
    STATES,
    VERDICTS,
    Board,
    as_table,
    by_level,
    last_value,
    lines,
    named,
    now,
    number,
    on_or_off,
    over_time,
    steps,
    texts,
)

HERE = Path(__file__).parent

#: What the variables at the top choose.
CHOSEN = 'level=~"$level",township=~"$township"'
#: In service and outside planned windows: what is counted (docs/rules.md §5).
EXPECTED = "(zhdj_site_in_service == 1 unless on(site) zhdj_site_planned == 1)"
OFFLINE = f'(zhdj_site_state{{state="offline",{CHOSEN}}} == 1 and on(site) {EXPECTED})'
#: Two decimals of a percentage, cut. The addend undoes a float's own error: 0.29 * 10000 must not give 2899.
CUT = "floor({} * 10000 + 1e-6) / 10000"


def in_state(state: str) -> str:
    """How many sites that are expected to be on are in this state."""
    return f'count(zhdj_site_state{{state="{state}",{CHOSEN}}} == 1 and on(site) {EXPECTED}) or vector(0)'


def counted(condition: str) -> str:
    return f"count({condition}) or vector(0)"


def sites(board: Board) -> None:
    """What is on and what is off now."""
    resting = f"zhdj_site_in_service{{{CHOSEN}}} == 0"
    planned = f"zhdj_site_planned{{{CHOSEN}}} == 1 and on(site) zhdj_site_in_service == 1"
    exprs = {state: in_state(state) for state in ("online", "impaired", "offline", "unknown")}
    exprs |= {"planned": counted(planned), "rest": counted(resting)}
    said = {
        "online": "服务时段内、计划检修以外，至少一个机位在线且没有机位离线的站点数。",
        "impaired": "站点在线，但有机位离线。",
        "offline": "服务时段内、计划检修以外，全部机位离线的站点数。夜间关机不计入。",
        "unknown": "监测没有收到证据，既不算在线也不算离线。请先看监测通道。",
        "planned": "服务时段内处于计划检修的站点数，不论在线与否。",
        "rest": "此刻不在服务时段的站点数，灰色，不计离线。",
    }
    for state, expr in exprs.items():
        word, color = STATES[state]
        board.add(number(expr, color, alarm=state != "online"), word, said[state], units.Short, 4, 4)

    course = lines(stacked=True).decimals(0)
    for ref, (state, expr) in zip("ABCDEF", exprs.items(), strict=True):
        course.with_target(over_time(expr, state, ref)).override_by_name(state, named(*STATES[state]))
    text = "各状态站点数的变化，合计为所选范围内的站点总数。"
    board.add(course, "站点状态变化", text, units.Short, 12, 9)

    name = 'label_replace(zhdj_township_info, "township_name", "$1", "name", "(.*)")'
    offline = (
        table.Panel()
        .with_target(as_table(f"{OFFLINE} * on(township) group_left(township_name) {name}", "A"))
        .with_target(as_table(f"min by(site) (zhdj_outage_counted_seconds) and on(site) {OFFLINE}", "B"))
        .with_transformation(
            d.DataTransformerConfig(id_val="joinByField", options={"byField": "site", "mode": "outer"})
        )
        .with_transformation(_columns())
        .sort_by([common.TableSortByFieldState().display_name("乡镇")])
        .thresholds(steps((None, AMBER), (14_400, RED)))
        .no_value("没有离线的站点")
        .override_by_name("级别", [texts(LEVELS)])
    )
    text = (
        "服务时段内、计划检修以外离线的站点，按乡镇排列。计时离线是此次停机计入统计的离线秒数"
        "（各机位中最短的），与维修时限用的是同一个时钟。"
    )
    board.add(offline, "离线站点", text, units.DurationSeconds, 12, 9)
    line = 'zhdj_uplink_up{township=~"$township"} * on(township) group_left(name) zhdj_township_info'
    text = "由乡镇线路自身的检测项，或由所辖村级站点同时离线判定。中断期间，其村级站点随之离线。"
    board.add(on_or_off(line, "{{name}}", "正常", "中断"), "乡镇线路", text, units.Short, 24, 8)


def _columns() -> d.DataTransformerConfig:
    """Names, order and absence of the columns of the table of offline sites."""
    names = {"township_name": "乡镇", "name": "站点", "level": "级别", "site": "编号", "Value #B": "计时离线"}
    hidden = ("Time", "Time 1", "Time 2", "Value #A", "__name__", "instance", "job", "state", "township")
    return d.DataTransformerConfig(
        id_val="organize",
        options={
            "excludeByName": dict.fromkeys(hidden, True),
            "indexByName": {name: i for i, name in enumerate(names)},
            "renameByName": names,
        },
    )


def month(board: Board) -> None:
    """The month so far, by level."""
    cut = "百分数只舍不入。"
    text = f"本月至今：在线秒数 ÷（在线 + 离线）。监测数据完整率低于下限的级别不显示。{cut}"
    colors = steps((None, RED), (0.9, AMBER), (0.98, GREEN))
    panel = by_level(CUT.format("zhdj_availability_ratio"), colors, "监测数据不足")
    board.add(panel, "可用率", text, units.PercentUnit, 6, 8)
    text = f"本月至今有证据的时间占应在线时长的比例。低于 90% 时，可用率与维护结论缺乏依据。{cut}"
    panel = by_level(CUT.format("zhdj_coverage_ratio"), steps((None, PURPLE), (0.9, GREEN)), "—")
    board.add(panel, "监测数据完整率", text, units.PercentUnit, 6, 8)
    text = f"本月至今维护到位的站点 ÷ 当年计划站点，可以超过 100%。须与右侧的未维护到位、数据不足一起看。{cut}"
    colors = steps((None, RED), (0.95, AMBER), (1, GREEN))
    panel = by_level(CUT.format("zhdj_maintenance_rate_ratio"), colors, "—")
    board.add(panel, "运行维护率", text, units.PercentUnit, 6, 8)

    by_verdict = 'sum by(verdict) (zhdj_sites_verdict{level!="total",level=~"$level"})'
    verdicts = (
        bargauge.Panel()
        .with_target(now(by_verdict, "{{verdict}}"))
        .reduce_options(last_value())
        .orientation(c.VizOrientation.HORIZONTAL)
        .display_mode(c.BarGaugeDisplayMode.BASIC)
        .thresholds(steps((None, GREY)))
        .decimals(0)
        .min(0)
    )
    for verdict, (word, color) in VERDICTS.items():
        verdicts.override_by_name(verdict, named(word, color))
    text = "本月至今各维护结论的站点数。未维护到位与数据不足都为 0 且运行维护率达到目标，才算达标。"
    board.add(verdicts, "维护结论", text, units.Short, 6, 8)


def monitor(board: Board) -> None:
    """Whether the monitor itself sees and hears."""
    text = "监测能否收到证据。中断期间站点为未知，绝不计为离线。"
    panel = on_or_off("zhdj_channel_observed", "{{channel}}", "正常", "中断")
    for channel, word in {"mqtt": "MQTT 心跳", "http": "HTTP 心跳", "probe": "主动探测"}.items():
        panel.override_by_name(channel, named(word))
    board.add(panel, "监测通道", text, units.Short, 8, 8)
    text = "每秒收下的心跳，按接入方式。明显下降而通道正常时，说明终端侧出了问题。"
    rate = "sum by(via) (rate(zhdj_heartbeats_received_total[$__rate_interval]))"
    board.add(lines().with_target(over_time(rate, "{{via}}")), "心跳速率", text, units.CountsPerSecond, 8, 8)
    text = "每秒被拒绝的证据，按原因。unauthorized、forbidden 持续出现时，请核对令牌与终端。"
    rate = "sum by(reason) (rate(zhdj_heartbeats_rejected_total[$__rate_interval]))"
    panel_rejected = lines().with_target(over_time(rate, "{{reason}}"))
    board.add(panel_rejected, "拒绝的证据", text, units.CountsPerSecond, 8, 8)

    delay = lines()
    for ref, quantile in (("A", "0.5"), ("B", "0.95"), ("C", "0.99")):
        buckets = "sum by(le) (rate(zhdj_detection_delay_seconds_bucket[1h]))"
        delay.with_target(over_time(f"histogram_quantile({quantile}, {buckets})", f"p{quantile[2:]:0<2}", ref))
    text = "从停机可以被确认的时刻到实际确认的时刻，最近一小时。通道曾中断时会变长。"
    board.add(delay, "检出延迟", text, units.Seconds, 8, 8)
    text = "每秒完成的主动探测，按检测项与结果。"
    rate = "sum by(check, result) (rate(zhdj_probes_total[$__rate_interval]))"
    probes = lines().with_target(over_time(rate, "{{check}} {{result}}"))
    board.add(probes, "探测速率", text, units.CountsPerSecond, 8, 8)
    text = "主动探测耗时的 95 分位，按检测项，最近十分钟。"
    buckets = "sum by(check, le) (rate(zhdj_probe_duration_seconds_bucket[10m]))"
    took = lines().with_target(over_time(f"histogram_quantile(0.95, {buckets})", "{{check}}"))
    board.add(took, "探测耗时", text, units.Seconds, 8, 8)


def county() -> Board:
    """The county at a glance."""
    board = Board(
        "开江县智慧党建平台运行监测",
        "zhdj-county",
        "全县站点的现状、本月至今的运行维护指标和监测自身的状况。",
    )
    every = d.VariableOption(selected=True, text="全部", value="$__all")
    board.board.with_variable(dashboard.DatasourceVariable("datasource").label("数据源").type("prometheus"))
    choices = ", ".join(f"{word} : {level}" for level, word in LEVELS.items() if level != "total")
    level = dashboard.CustomVariable("level").label("级别").values(choices).include_all(True)
    board.board.with_variable(level.all_value(".*").current(every))
    # Shows names and answers codes. Prometheus sorts labels by name, so `name` stands before `township`.
    township = (
        dashboard.QueryVariable("township")
        .label("乡镇")
        .datasource(SOURCE)
        .query("query_result(zhdj_township_info)")
        .regex('/name="(?<text>[^"]+)".*township="(?<value>[^"]+)"/')
        .refresh(d.VariableRefresh.ON_DASHBOARD_LOAD)
        .include_all(True)
        .all_value(".*")
        .current(every)
    )
    board.board.with_variable(township)
    board.row("站点现状")
    sites(board)
    board.row("本月至今")
    month(board)
    board.row("监测自身")
    monitor(board)
    return board


def main() -> None:
    parser = argparse.ArgumentParser(description="writes the dashboards")
    parser.add_argument("--out", type=Path, default=HERE, help="the folder to write to")
    folder: Path = parser.parse_args().out
    for name, board in {"county.json": county()}.items():
        (folder / name).write_text(board.json(), encoding="utf-8")


if __name__ == "__main__":
    main()
