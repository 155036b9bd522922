"""监测系统: whether the monitor itself sees, hears, keeps up and tells."""

from __future__ import annotations

from frame import Board
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.common import BigValueTextMode
from parts import Column, bars, call, cells, course, lines, number, on_or_off, over_time, word
from promql import CUT, JOB
from words import AMBER, BLUE, CHANNELS, GREEN, GREY, LASTED, RED

FOLDERS = {"evidence": "证据日志", "papers": "附件", "database": "数据库"}
VIA = {"mqtt": "MQTT", "http": "HTTP"}


def state(board: Board) -> None:
    text = "Prometheus 能否取到监测服务的指标。取不到时，任何站点离线都不会被发现。"
    yes = {"1": ("正常", GREEN), "0": ("取不到", RED)}
    board.add(word(f"up{{{JOB}}}", yes), "采集", text, units.Short, 4, 4)
    text = "正在运行的版本。"
    panel = word("zhdj_build_info", {"1": ("运行中", BLUE)}, "{{version}}").text_mode(BigValueTextMode.NAME)
    board.add(panel, "版本", text, units.Short, 4, 4)
    text = "监测服务这次启动以来的时间。"
    panel = number(f"time() - process_start_time_seconds{{{JOB}}}", (None, GREY), decimals=None)
    board.add(panel, "已运行", text, LASTED, 4, 4)
    text = "本年和下一年的工作日安排是否已配置。下一年的请在十二月初填好。"
    panel = word("zhdj_calendar_known", {"1": ("已配置", GREEN), "0": ("未配置", AMBER)}, "{{year}} 年")
    board.add(panel, "工作日安排", text, units.Short, 6, 4)
    text = "Alertmanager 上一次送来例行信号距今多久；超过几分钟，说明告警的通路断了。"
    panel = number("time() - zhdj_watchdog_timestamp_seconds", (None, GREEN), (300, RED), decimals=None)
    board.add(panel.no_value("没有收到过"), "例行信号", text, LASTED, 6, 4)
    text = "监测能否收到证据。中断期间站点为未知，绝不计为离线。"
    panel = call(on_or_off("zhdj_channel_observed", "{{channel}}", "正常", "中断"), CHANNELS)
    board.add(panel, "监测通道", text, units.Short, 12, 6)
    columns = (
        Column("kind", "类别", words={"trouble": ("故障", RED), "warning": ("提醒", AMBER)}),
        Column("part", "部件"),
    )
    both = 'label_replace({}, "kind", "{}", "", "")'
    expr = " or ".join(both.format(f"max by(part) (zhdj_{kind})", kind) for kind in ("trouble", "warning"))
    text = "故障使监测不能工作，提醒请抽空处理；原因见监测服务器上的 /readyz。"
    board.add(cells((expr,), columns).no_value("没有故障"), "故障与提醒", text, units.Short, 12, 6)


def intake(board: Board) -> None:
    text = "每秒收下的心跳，按接入方式。明显下降而通道正常时，说明终端侧出了问题。"
    rate = "sum by(via) (rate(zhdj_heartbeats_received_total[$__rate_interval]))"
    board.add(call(course(rate, "{{via}}"), VIA), "心跳速率", text, units.CountsPerSecond, 8, 8)
    text = "每秒发出而没有收到的心跳，按序号的缺口计。持续出现时请查网络。"
    rate = "sum by(via) (rate(zhdj_heartbeats_missing_total[$__rate_interval]))"
    board.add(call(course(rate, "{{via}}"), VIA), "丢失的心跳", text, units.CountsPerSecond, 8, 8)
    text = "每秒被拒绝的证据，按原因。unauthorized、forbidden 持续出现时，请核对令牌与终端。"
    rate = "sum by(reason) (rate(zhdj_heartbeats_rejected_total[$__rate_interval]))"
    board.add(course(rate, "{{reason}}"), "拒绝的证据", text, units.CountsPerSecond, 8, 8)
    delay = lines()
    for ref, quantile in (("A", "0.5"), ("B", "0.95"), ("C", "0.99")):
        buckets = "sum by(le) (rate(zhdj_detection_delay_seconds_bucket[1h]))"
        delay.with_target(over_time(f"histogram_quantile({quantile}, {buckets})", f"p{quantile[2:]:0<2}", ref))
    text = "从停机可以被确认的时刻到实际确认的时刻，最近一小时。通道曾中断时会变长。"
    board.add(delay, "检出延迟", text, units.Seconds, 8, 8)
    text = "每秒完成的主动探测，按检测项与结果。"
    rate = "sum by(check, result) (rate(zhdj_probes_total[$__rate_interval]))"
    board.add(course(rate, "{{check}} {{result}}"), "探测速率", text, units.CountsPerSecond, 8, 8)
    text = "主动探测耗时的 95 分位，按检测项，最近十分钟。"
    buckets = "sum by(check, le) (rate(zhdj_probe_duration_seconds_bucket[10m]))"
    took = course(f"histogram_quantile(0.95, {buckets})", "{{check}}")
    board.add(took, "探测耗时", text, units.Seconds, 8, 8)


def keeping(board: Board) -> None:
    text = "等待写入证据日志的字节。长期不降时，磁盘太慢或已满。"
    panel = course('zhdj_queue_length{queue="log_bytes"}', "等待写入")
    board.add(panel, "证据日志积压", text, units.BytesIEC, 6, 8)
    text = "等待写入数据库的行。长期不降时，数据库太慢或连不上。"
    panel = course('zhdj_queue_length{queue="database_rows"}', "等待写入")
    board.add(panel.decimals(0), "数据库积压", text, units.Short, 6, 8)
    text = "证据日志、附件和数据库所在磁盘的已用比例。磁盘写满后将拒收证据。只舍不入。"
    used = CUT.format("(1 - zhdj_folder_free_bytes / zhdj_folder_size_bytes)")
    panel = bars(used, "{{folder}}", (None, GREEN), (0.7, AMBER), (0.9, RED)).decimals(2).max(1)
    board.add(call(panel, FOLDERS), "磁盘已用", text, units.PercentUnit, 6, 8)
    text = "证据日志、附件和数据库所在磁盘的剩余空间。"
    panel = course("zhdj_folder_free_bytes", "{{folder}}")
    board.add(call(panel, FOLDERS), "磁盘剩余", text, units.BytesIEC, 6, 8)


def telling(board: Board) -> None:
    text = "还没有发出的告警消息，按出口。"
    panel = course("zhdj_outbox_waiting", "{{outlet}}").decimals(0)
    board.add(panel, "待发消息", text, units.Short, 6, 8)
    text = "最早一条没有发出的消息已等了多久。超过十分钟会告警。"
    colors = ((None, GREEN), (60, AMBER), (600, RED))
    panel = number("time() - zhdj_outbox_oldest_timestamp_seconds", *colors, decimals=None)
    board.add(panel.no_value("没有待发"), "最久等待", text, LASTED, 4, 8)
    panel = lines()
    for ref, which in (("A", "sent"), ("B", "failed")):
        word_of = {"sent": "已发", "failed": "失败"}[which]
        rate = f"sum by(outlet) (increase(zhdj_outbox_{which}_total[1h]))"
        panel.with_target(over_time(rate, f"{{{{outlet}}}} {word_of}", ref))
    text = "最近一小时各出口发出的和失败的消息；失败的会再发。"
    board.add(panel.decimals(0), "消息出口", text, units.Short, 8, 8)
    text = "最近一小时 Alertmanager 送来的告警：记下的、已知的、没有地方放而让它再送的。"
    panel = course("sum by(became) (increase(zhdj_outbox_alerts_total[1h]))", "{{became}}").decimals(0)
    names = {"taken": "记下", "known": "已知", "refused": "再送"}
    board.add(call(panel, names), "送来的告警", text, units.Short, 6, 8)


def process(board: Board) -> None:
    text = "监测服务占用的内存。持续增长时请留意。"
    panel = course(f"process_resident_memory_bytes{{{JOB}}}", "内存")
    board.add(panel, "内存", text, units.BytesIEC, 6, 8)
    text = "监测服务占用的处理器，1 为一个核。"
    panel = course(f"rate(process_cpu_seconds_total{{{JOB}}}[$__rate_interval])", "处理器").decimals(2)
    board.add(panel, "处理器", text, units.Short, 6, 8)
    text = "监测服务打开的文件与连接。"
    panel = course(f"process_open_fds{{{JOB}}}", "文件与连接").decimals(0)
    board.add(panel, "打开的文件", text, units.Short, 6, 8)
    text = "Prometheus 取一次指标用的时间，超过 10 秒算失败。"
    board.add(course(f"scrape_duration_seconds{{{JOB}}}", "采集"), "采集耗时", text, units.Seconds, 6, 8)


def board() -> Board:
    made = Board(
        "monitor",
        "监测系统自身",
        "监测系统自身能否收到证据、跟得上、存得下、发得出告警。",
    )
    made.row("现状")
    state(made)
    made.row("证据")
    intake(made)
    made.row("存储")
    keeping(made)
    made.row("告警通路")
    telling(made)
    made.row("进程")
    process(made)
    return made
