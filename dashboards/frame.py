"""What stands around the panels of every dashboard: variables, links, annotations, and the layout."""

from __future__ import annotations

import json
from itertools import count

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as d
from grafana_foundation_sdk.models.dashboard import GridPos
from parts import SOURCE, Panel, over_time
from promql import CHOSEN, LEVEL, TOWNSHIP, with_name
from words import BLUE, GREEN, KINDS, LEVELS

#: Where people open the service; a text box of every dashboard, so that nobody has to make them anew.
CONSOLE = "http://127.0.0.1:8080"
_ALL = d.VariableOption(selected=True, text="全部", value="$__all")


class Board:
    """Lays panels out from left to right, row after row, and numbers them.

    `variables` of level, township, site, terminal; `one`: of these, which must be one thing.
    """

    def __init__(
        self, name: str, title: str, description: str, variables: tuple[str, ...] = (), one: str = "", since: str = ""
    ) -> None:
        self.name = name
        self.variables, self.one = variables, one
        self.ids = count(1)
        self.x = self.y = self.tallest = 0
        self.board = (
            dashboard.Dashboard(title)
            .uid(f"zhdj-{name}")
            .description(description)
            .tags(["zhdj"])
            .timezone("browser")
            .refresh("5m" if since else "30s")
            .time(since or "now-24h", "now")
            .tooltip(d.DashboardCursorSync.CROSSHAIR)
            .readonly()
        )
        self.board.with_variable(dashboard.DatasourceVariable("datasource").label("数据源").type("prometheus"))
        for variable in variables:
            made = {"level": _levels, "township": self._townships, "site": self._sites, "terminal": _terminals}
            self.board.with_variable(made[variable]())
        self.board.with_variable(dashboard.TextBoxVariable("console").label("监测页面地址").default_value(CONSOLE))
        boards = dashboard.DashboardLink("看板").type(d.DashboardLinkType.DASHBOARDS).tags(["zhdj"]).icon("apps")
        self.board.link(boards.tooltip("其他看板").as_dropdown(True).include_vars(True).keep_time(True))
        self.link("监测页面", "${console}/")
        self._annotate()

    def link(self, title: str, url: str) -> None:
        """One more at the top, to a page of the service or to another dashboard."""
        own = url.startswith("${console}")
        made = dashboard.DashboardLink(title).type(d.DashboardLinkType.LINK).url(url).tooltip(title)
        made.icon("external link" if own else "dashboard").target_blank(own)
        self.board.link(made if own else made.include_vars(True).keep_time(True))

    def row(self, title: str) -> None:
        """A heading; what follows starts below it."""
        self._wrap()
        panel = dashboard.Row(title).id(next(self.ids)).grid_pos(GridPos(h=1, w=24, x=0, y=self.y))
        self.board.with_row(panel)
        self.y += 1

    def add(self, panel: Panel, title: str, description: str, unit: str, width: int, height: int) -> None:
        """The next panel; `width` of the 24 columns."""
        if self.x + width > 24:
            self._wrap()
        panel.id(next(self.ids)).title(title).description(description).datasource(SOURCE).unit(unit)
        panel.grid_pos(GridPos(h=height, w=width, x=self.x, y=self.y))
        self.board.with_panel(panel)
        self.x += width
        self.tallest = max(self.tallest, height)

    def _wrap(self) -> None:
        self.y += self.tallest
        self.x = self.tallest = 0

    def json(self) -> str:
        """As committed. Links and annotations lose their `placement`, which Grafana's schema refuses."""
        made = json.loads(json.dumps(self.board.build(), cls=JSONEncoder))
        fields = [panel.get("fieldConfig", {}).get("defaults", {}) for panel in made["panels"]]
        of_values = [each for field in fields for each in field.get("links", [])]
        for each in (*made["links"], *made["annotations"]["list"], *of_values):
            each.pop("placement", None)
        return json.dumps(made, ensure_ascii=False, indent=2, sort_keys=True) + "\n"

    def _townships(self) -> dashboard.QueryVariable:
        # Shows names and answers codes. Prometheus sorts labels by name, so `name` stands before `township`.
        names = "zhdj_township_info"
        if "site" not in self.variables and self.one == "township":
            names = 'zhdj_township_info and on(township) zhdj_site_in_service{level="township"}'
        variable = _ask("township", "乡镇", f"query_result({names})", "township")
        return variable if self.one == "township" else variable.include_all(True).all_value(".*").current(_ALL)

    def _sites(self) -> dashboard.QueryVariable:
        where = CHOSEN if "level" in self.variables else TOWNSHIP
        query = f"query_result(zhdj:site_look{{{where}}})"
        variable = _ask("site", "站点", query, "site")
        return variable if self.one == "site" else variable.include_all(True).all_value(".*").current(_ALL)

    def _annotate(self) -> None:
        """Planned windows, and the moments at which reports were sealed."""
        where = ",".join(
            text
            for name, text in (("level", LEVEL), ("township", TOWNSHIP), ("site", 'site="$site"'))
            if name in self.variables
        )
        planned = with_name(f"max by(township) (zhdj_site_planned{{{where}}}) == 1")
        if where:
            windows = _mark("计划检修", planned, "60s", BLUE)
            self.board.annotation(windows.text_format("{{name}}").tag_keys("township"))
        sealed = _mark("月报定稿", "zhdj_report_sealed_timestamp_seconds * 1000", "1h", GREEN)
        self.board.annotation(sealed.text_format("{{month}}").use_value_for_time(True))


def _mark(name: str, expr: str, step: str, color: str) -> dashboard.AnnotationQuery:
    """A region while `expr` is above 0. Grafana before 11 reads `expr` and `step`, later ones `target`."""
    made = dashboard.AnnotationQuery().name(name).datasource(SOURCE).enable(True).icon_color(color).title_format(name)
    return made.expr(expr).step(step).target(over_time(expr, "", "Anno").interval(step))


def _ask(name: str, label: str, query: str, value: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query(query)
        .regex(f'/name="(?<text>[^"]+)".*{value}="(?<value>[^"]+)"/')
        .refresh(d.VariableRefresh.ON_DASHBOARD_LOAD)
    )


def _levels() -> dashboard.CustomVariable:
    choices = ", ".join(f"{text} : {level}" for level, text in LEVELS.items() if level != "total")
    variable = dashboard.CustomVariable("level").label("级别").values(choices)
    return variable.include_all(True).all_value(".*").current(_ALL)


def _terminals() -> dashboard.CustomVariable:
    choices = ", ".join(f"{text} : {kind}" for kind, text in KINDS.items())
    variable = dashboard.CustomVariable("terminal").label("机位").values(choices)
    return variable.include_all(True).all_value("tv|mobile|pc").current(_ALL)
