"""What the dashboards call things, and their colours: as on the service's own pages."""

from __future__ import annotations

from pathlib import Path

import yaml

GREEN, AMBER, RED, PURPLE, BLUE, GREY = "#1E7F4F", "#C98A1B", "#B3261E", "#7A68A6", "#1F6099", "#8793A1"

#: Unit of lengths of time: `1 d 02:03:04`, in which no English word stands.
LASTED = "dtdhms"

#: zhdj:site_look -> its word and colour (deploy/prometheus/zhdj.recording.yml), in the order in which they are shown.
LOOKS = {
    "1": ("在线", GREEN),
    "2": ("部分离线", AMBER),
    "3": ("离线", RED),
    "4": ("未知", PURPLE),
    "5": ("计划检修", BLUE),
    "0": ("非服务时段", GREY),
}
LEVELS = {"county": "县级", "township": "乡镇", "village": "村级", "total": "合计"}
KINDS = {"tv": "数字电视", "mobile": "移动终端", "pc": "PC端"}
CHANNELS = {"mqtt": "MQTT 心跳", "http": "HTTP 心跳", "probe": "主动探测"}
SERVICES = {
    "video_conference": "视频会议",
    "emergency": "应急指导",
    "publicity": "宣传服务",
    "supervision": "监督管理",
    "learning": "学习教育",
}
VERDICTS = {
    "maintained": ("维护到位", GREEN),
    "failed": ("未维护到位", RED),
    "unproven": ("数据不足", PURPLE),
}
WAYS = {"without_retroactive": "不计事后补录", "after_exemptions": "扣除免责"}
SEVERITIES = {"critical": ("严重", RED), "warning": ("警告", AMBER), "info": ("提示", BLUE)}
#: Economic classes as shipped (monitor/core/ledger.py); others are shown by their codes.
CLASSES = {
    "30201": "办公费",
    "30206": "电费",
    "30207": "邮电费",
    "30213": "维修(护)费",
    "30214": "租赁费",
    "30226": "劳务费",
    "30227": "委托业务费",
    "30299": "其他商品和服务支出",
    "31002": "办公设备购置",
    "31003": "专用设备购置",
    "31007": "信息网络及软件购置更新",
}

_RULES = Path(__file__).parent.parent / "deploy" / "prometheus" / "zhdj.rules.yml"


def alerts() -> dict[str, str]:
    """Name of an alert -> the title that people are told."""
    groups = yaml.safe_load(_RULES.read_text(encoding="utf-8"))["groups"]
    rules = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    return {rule["alert"]: rule["annotations"].get("title", rule["annotations"]["summary"]) for rule in rules}
