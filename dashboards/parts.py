"""Builders that the dashboards share: layout, queries, words and colours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import count

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as c
from grafana_foundation_sdk.models import dashboard as d
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

GREEN, AMBER, RED, PURPLE, BLUE, GREY = "#1E7F4F", "#C98A1B", "#B3261E", "#7A68A6", "#1F6099", "#8793A1"
#: Site state -> its word and colour; the last two are not states but keep a site from being shown as one.
STATES = {
    "online": ("在线", GREEN),
    "impaired": ("部分离线", AMBER),
    "offline": ("离线", RED),
    "unknown": ("未知", PURPLE),
    "planned": ("计划检修", BLUE),
    "rest": ("非服务时段", GREY),
}
LEVELS = {"county": "县级", "township": "乡镇", "village": "村级", "total": "合计"}
VERDICTS = {
    "maintained": ("维护到位", GREEN),
    "failed": ("未维护到位", RED),
    "unproven": ("数据不足", PURPLE),
}
SOURCE = c.DataSourceRef(type_val="prometheus", uid="${datasource}")

Panel = stat.Panel | table.Panel | timeseries.Panel | statetimeline.Panel | bargauge.Panel


class Board:
    """Lays panels out from left to right, row after row, and numbers them."""

    def __init__(self, title: str, uid: str, description: str) -> None:
        self.ids = count(1)
        self.x = self.y = self.tallest = 0
        self.board = (
            dashboard.Dashboard(title)
            .uid(uid)
            .description(description)
            .tags(["zhdj"])
            .timezone("browser")
            .refresh("30s")
            .time("now-24h", "now")
            .tooltip(d.DashboardCursorSync.CROSSHAIR)
            .readonly()
        )

    def row(self, title: str) -> None:
        """A heading; what follows starts below it."""
        self._wrap()
        panel = dashboard.Row(title).id(next(self.ids)).grid_pos(d.GridPos(h=1, w=24, x=0, y=self.y))
        self.board.with_row(panel)
        self.y += 1

    def add(self, panel: Panel, title: str, description: str, unit: str, width: int, height: int) -> None:
        """The next panel; `width` of the 24 columns."""
        if self.x + width > 24:
            self._wrap()
        panel.id(next(self.ids)).title(title).description(description).datasource(SOURCE).unit(unit)
        panel.grid_pos(d.GridPos(h=height, w=width, x=self.x, y=self.y))
        self.board.with_panel(panel)
        self.x += width
        self.tallest = max(self.tallest, height)

    def _wrap(self) -> None:
        self.y += self.tallest
        self.x = self.tallest = 0

    def json(self) -> str:
        """As committed. Links lose their `placement`, which Grafana's schema refuses."""
        made = json.loads(json.dumps(self.board.build(), cls=JSONEncoder))
        for link in made.get("links", []):
            link.pop("placement", None)
        return json.dumps(made, ensure_ascii=False, indent=2, sort_keys=True) + "\n"


def now(expr: str, legend: str = "", ref: str = "A") -> prometheus.Dataquery:
    """The value at the end of the chosen time."""
    return prometheus.Dataquery().expr(expr).legend_format(legend).instant().ref_id(ref).datasource(SOURCE)


def over_time(expr: str, legend: str, ref: str = "A") -> prometheus.Dataquery:
    """The course over the chosen time."""
    return prometheus.Dataquery().expr(expr).legend_format(legend).range().ref_id(ref).datasource(SOURCE)


def as_table(expr: str, ref: str) -> prometheus.Dataquery:
    """The values at the end of the chosen time, one row each."""
    return now(expr, ref=ref).format(PromQueryFormat.TABLE)


def steps(*pairs: tuple[float | None, str]) -> dashboard.ThresholdsConfig:
    """Colours from a value on; the first pair holds below all others."""
    thresholds = [d.Threshold(value=value, color=color) for value, color in pairs]
    return dashboard.ThresholdsConfig().mode(d.ThresholdsMode.ABSOLUTE).steps(thresholds)


def named(text: str, color: str = "") -> list[d.DynamicConfigValue]:
    """Properties of an override: a display name and, where given, a fixed colour."""
    properties = [d.DynamicConfigValue(id_val="displayName", value=text)]
    if color:
        properties.append(d.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": color}))
    return properties


def words(values: Mapping[str, tuple[str, str]]) -> list[d.ValueMapping]:
    """Value -> (word, colour), and a dash for what cannot be computed."""
    return [
        d.ValueMap(
            options={
                value: d.ValueMappingResult(text=text, color=color, index=i)
                for i, (value, (text, color)) in enumerate(values.items())
            }
        ),
        d.SpecialValueMap(
            options=d.DashboardSpecialValueMapOptions(
                match=d.SpecialValueMatch.NULL_AND_NAN,
                result=d.ValueMappingResult(text="—", color=GREY, index=len(values)),
            )
        ),
    ]


def texts(values: Mapping[str, str]) -> d.DynamicConfigValue:
    """An override's property: words in place of values."""
    options = {value: {"text": text, "index": i} for i, (value, text) in enumerate(values.items())}
    return d.DynamicConfigValue(id_val="mappings", value=[{"type": "value", "options": options}])


def last_value() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"]).values(False)


def number(expr: str, color: str, alarm: bool = False) -> stat.Panel:
    """One whole number; `alarm`: coloured from 1 on, else always."""
    return (
        stat.Panel()
        .with_target(now(expr))
        .reduce_options(last_value())
        .color_mode(c.BigValueColorMode.VALUE)
        .graph_mode(c.BigValueGraphMode.NONE)
        .thresholds(steps((None, GREY), (1, color)) if alarm else steps((None, color)))
        .decimals(0)
    )


def by_level(expr: str, thresholds: dashboard.ThresholdsConfig, no_value: str) -> stat.Panel:
    """A ratio for each level, two decimals of a percentage."""
    panel = (
        stat.Panel()
        .with_target(now(expr, "{{level}}"))
        .reduce_options(last_value())
        .color_mode(c.BigValueColorMode.VALUE)
        .graph_mode(c.BigValueGraphMode.NONE)
        .orientation(c.VizOrientation.HORIZONTAL)
        .mappings(words({}))
        .thresholds(thresholds)
        .decimals(2)
        .no_value(no_value)
    )
    for level, word in LEVELS.items():
        panel.override_by_name(level, named(word))
    return panel


def lines(stacked: bool = False) -> timeseries.Panel:
    """Curves over time with a legend below."""
    legend = (
        common.VizLegendOptions()
        .show_legend(True)
        .display_mode(c.LegendDisplayMode.LIST)
        .placement(c.LegendPlacement.BOTTOM)
    )
    panel = (
        timeseries.Panel()
        .legend(legend)
        .tooltip(common.VizTooltipOptions().mode(c.TooltipDisplayMode.MULTI).sort(c.SortOrder.DESCENDING))
        .thresholds(steps((None, GREEN)))
        .fill_opacity(55 if stacked else 8)
        .show_points(c.VisibilityMode.NEVER)
        .min(0)
    )
    if stacked:
        panel.stacking(common.StackingConfig().mode(c.StackingMode.NORMAL).group("A"))
    return panel


def on_or_off(expr: str, legend: str, on: str, off: str) -> statetimeline.Panel:
    """1 and 0 as words on a time line."""
    return (
        statetimeline.Panel()
        .with_target(over_time(expr, legend))
        .mappings(words({"1": (on, GREEN), "0": (off, RED)}))
        .thresholds(steps((None, RED), (1, GREEN)))
        .show_value(c.VisibilityMode.NEVER)
        .row_height(0.8)
        .merge_values(True)
        .fill_opacity(80)
    )
