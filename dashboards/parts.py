"""Panels that the dashboards share: queries, numbers, courses, time lines, bars and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
from grafana_foundation_sdk.models import common as c
from grafana_foundation_sdk.models import dashboard as d
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from words import AMBER, GREEN, GREY, LEVELS, LOOKS, RED

SOURCE = c.DataSourceRef(type_val="prometheus", uid="${datasource}")

Panel = stat.Panel | table.Panel | timeseries.Panel | statetimeline.Panel | bargauge.Panel
Words = Mapping[str, tuple[str, str]]

#: What a link to another dashboard keeps of what is chosen here.
_KEEPING = "${datasource:queryparam}&${console:queryparam}&${__url_time_range}"


def to_site(code: str) -> str:
    """Address of a site's dashboard; `code`: the variable of Grafana that holds its id."""
    return f"/d/zhdj-site?var-site={code}&{_KEEPING}"


def to_township(code: str) -> str:
    """Address of a township's dashboard, likewise."""
    return f"/d/zhdj-township?var-township={code}&{_KEEPING}"


def now(expr: str, legend: str = "", ref: str = "A") -> prometheus.Dataquery:
    """The value at the end of the chosen time."""
    return prometheus.Dataquery().expr(expr).legend_format(legend).instant().ref_id(ref).datasource(SOURCE)


def over_time(expr: str, legend: str, ref: str = "A") -> prometheus.Dataquery:
    """The course over the chosen time."""
    return prometheus.Dataquery().expr(expr).legend_format(legend).range().ref_id(ref).datasource(SOURCE)


def as_table(expr: str, ref: str = "A") -> prometheus.Dataquery:
    """The values at the end of the chosen time, one row each."""
    return now(expr, ref=ref).format(PromQueryFormat.TABLE)


def steps(*pairs: tuple[float | None, str]) -> dashboard.ThresholdsConfig:
    """Colours from a value on; the first pair holds below all others."""
    thresholds = [d.Threshold(value=value, color=color) for value, color in pairs]
    return dashboard.ThresholdsConfig().mode(d.ThresholdsMode.ABSOLUTE).steps(thresholds)


def link(title: str, url: str) -> dict[str, object]:
    """A link of a value."""
    return {"title": title, "url": url, "targetBlank": False}


def linked(panel: Panel, title: str, url: str) -> Panel:
    """The panel, each of whose values leads somewhere."""
    return panel.data_links([dashboard.DashboardLink(title).type(d.DashboardLinkType.LINK).url(url)])


def named(text: str, color: str = "") -> list[d.DynamicConfigValue]:
    """Properties of an override: a display name and, where given, a fixed colour."""
    properties = [d.DynamicConfigValue(id_val="displayName", value=text)]
    if color:
        properties.append(d.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": color}))
    return properties


def words(values: Words) -> list[d.ValueMapping]:
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


def last_value() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"]).values(False)


def number(expr: str, *colors: tuple[float | None, str], decimals: int | None = 0) -> stat.Panel:
    """One number, coloured from values on."""
    panel = (
        stat.Panel()
        .with_target(now(expr))
        .reduce_options(last_value())
        .color_mode(c.BigValueColorMode.VALUE)
        .graph_mode(c.BigValueGraphMode.NONE)
        .mappings(words({}))
        .thresholds(steps(*colors))
        .no_value("—")
    )
    return panel if decimals is None else panel.decimals(decimals)


def word(expr: str, values: Words, legend: str = "") -> stat.Panel:
    """One word or several, on their colours."""
    return (
        stat.Panel()
        .with_target(now(expr, legend))
        .reduce_options(last_value())
        .color_mode(c.BigValueColorMode.BACKGROUND)
        .graph_mode(c.BigValueGraphMode.NONE)
        .mappings(words(values))
        .thresholds(steps((None, GREY)))
        .no_value("—")
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
    return call(panel, LEVELS)


def call(panel: Panel, names: Mapping[str, str] | Words) -> Panel:
    """The panel with words, and colours where given, in place of the names of series."""
    for name, text in names.items():
        panel.override_by_name(name, named(text) if isinstance(text, str) else named(*text))
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


def course(expr: str, legend: str) -> timeseries.Panel:
    """Curves of one expression."""
    return lines().with_target(over_time(expr, legend))


def time_line(expr: str, legend: str, values: Words) -> statetimeline.Panel:
    """Values as words and colours on a time line, a row for each series."""
    return (
        statetimeline.Panel()
        .with_target(over_time(expr, legend))
        .mappings(words(values))
        .thresholds(steps((None, GREY)))
        .show_value(c.VisibilityMode.NEVER)
        .row_height(0.8)
        .merge_values(True)
        .fill_opacity(80)
    )


def on_or_off(expr: str, legend: str, on: str, off: str) -> statetimeline.Panel:
    """1 and 0 as words on a time line, 2 in grey (promql.graying)."""
    return time_line(expr, legend, {"1": (on, GREEN), "0": (off, RED), "2": ("不计时", GREY)})


def look_line(expr: str, legend: str) -> statetimeline.Panel:
    """How sites looked; grey at night."""
    return time_line(expr, legend, LOOKS).per_page(40)


def bars(expr: str, legend: str, *colors: tuple[float | None, str]) -> bargauge.Panel:
    """A bar for each series."""
    return (
        bargauge.Panel()
        .with_target(now(expr, legend))
        .reduce_options(last_value())
        .orientation(c.VizOrientation.HORIZONTAL)
        .display_mode(c.BarGaugeDisplayMode.BASIC)
        .mappings(words({}))
        .thresholds(steps(*colors))
        .min(0)
        .no_value("—")
    )


#: Colours of the ratios that have a goal.
GOOD = ((None, RED), (0.9, AMBER), (0.98, GREEN))


@dataclass(frozen=True)
class Column:
    """Of a table: the field of the answer, its heading, and how it is shown where that is not as text."""

    field: str
    title: str
    unit: str = ""
    decimals: int | None = None
    words: Words | Mapping[str, str] | None = None
    colors: tuple[tuple[float | None, str], ...] = ()
    to: str = ""  # address of what a click leads to

    def properties(self) -> list[d.DynamicConfigValue]:
        """As an override."""
        found: dict[str, object] = {}
        if self.unit:
            found["unit"] = self.unit
        if self.decimals is not None:
            found["decimals"] = self.decimals
        if self.words:
            options: dict[str, dict[str, object]] = {}
            for i, (value, text) in enumerate(self.words.items()):
                options[value] = {"text": text if isinstance(text, str) else text[0], "index": i}
                if not isinstance(text, str):
                    options[value]["color"] = text[1]
            found["mappings"] = [{"type": "value", "options": options}]
            if not all(isinstance(text, str) for text in self.words.values()):
                found["custom.cellOptions"] = {"type": "color-text"}
        if self.colors:
            stops = [{"value": value, "color": color} for value, color in self.colors]
            found["thresholds"] = {"mode": "absolute", "steps": stops}
            found["custom.cellOptions"] = {"type": "color-text"}
        if self.to:
            found["links"] = [link("查看", self.to)]
        return [d.DynamicConfigValue(id_val=name, value=value) for name, value in found.items()]


def cells(
    exprs: Sequence[str], columns: Sequence[Column], by: str = "", sort: str = "", descending: bool = False
) -> table.Panel:
    """The answers side by side, joined by the label `by` where there are several; other labels are left out."""
    panel = table.Panel().thresholds(steps((None, GREY))).no_value("没有")
    for ref, expr in zip("ABCDEFG", exprs, strict=False):
        panel.with_target(as_table(expr, ref))
    if len(exprs) > 1:
        options: dict[str, object] = {"byField": by, "mode": "outer"}
        panel.with_transformation(d.DataTransformerConfig(id_val="joinByField", options=options))
    shown = {column.field: column for column in columns}
    hidden = [name for name in _LABELS if name not in shown]
    options = {
        "excludeByName": dict.fromkeys(hidden, True),
        "indexByName": {name: i for i, name in enumerate(shown)},
        "renameByName": {name: column.title for name, column in shown.items()},
    }
    panel.with_transformation(d.DataTransformerConfig(id_val="organize", options=options))
    for column in columns:
        if properties := column.properties():
            panel.override_by_name(column.title, properties)
    if sort:
        panel.sort_by([common.TableSortByFieldState().display_name(sort).desc(descending)])
    return panel


#: What answers carry beside what a table shows.
_LABELS = (
    *("Time", *(f"Time {i}" for i in range(1, 8)), "Value", "Value #A"),
    *("__name__", "instance", "job", "site", "township", "level", "name", "state", "terminal", "alertstate", "row"),
)


def by_month(expr: str, columns: str, names: Mapping[str, str], decimals: int) -> table.Panel:
    """A row for each month of the last year, a column for each value of the label `columns`.

    What counts is the last value of each month, to the hour, whatever time is chosen at the top.
    """
    query = prometheus.Dataquery().expr(expr).range().ref_id("A").datasource(SOURCE)
    query.format(PromQueryFormat.TABLE).interval("1h")
    grouped: dict[str, dict[str, object]] = {
        field: {"aggregations": [], "operation": "groupby"} for field in ("Time", columns)
    }
    grouped["Value"] = {"aggregations": ["lastNotNull"], "operation": "aggregate"}
    head = f"Time\\{columns}"
    matrix = {"columnField": columns, "rowField": "Time", "valueField": "Value (lastNotNull)", "emptyValue": "null"}
    shown = {head: "月份", **names}
    return (
        table.Panel()
        .with_target(query)
        .with_transformation(
            d.DataTransformerConfig(id_val="formatTime", options={"timeField": "Time", "outputFormat": "YYYY-MM"})
        )
        .with_transformation(d.DataTransformerConfig(id_val="groupBy", options={"fields": grouped}))
        .with_transformation(d.DataTransformerConfig(id_val="groupingToMatrix", options=matrix))
        .with_transformation(
            d.DataTransformerConfig(
                id_val="organize",
                options={
                    "excludeByName": {},
                    "indexByName": {name: i for i, name in enumerate(shown)},
                    "renameByName": shown,
                },
            )
        )
        .time_from("1y")
        .interval("1h")
        .max_data_points(10_000)
        .thresholds(steps((None, GREY)))
        .mappings(words({}))
        .decimals(decimals)
        .no_value("—")
        .sort_by([common.TableSortByFieldState().display_name("月份").desc(True)])
    )
