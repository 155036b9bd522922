"""What people are told of alerts: once, in one Chinese message, again when it is really over; nothing is lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from aiohttp import ClientSession, web
from aiosmtpd.controller import Controller
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update
from typer.testing import CliRunner

from monitor.cli.alerts import program as commands
from monitor.cli.check_config import check_config
from monitor.clock import from_iso
from monitor.core.alerts import (
    FIRING,
    HELD,
    REMIND_MS,
    RESOLVED,
    SENT,
    WAITING,
    WATCHDOG,
    Alert,
    Telling,
    message,
    pause_ms,
    what_to_do,
)
from monitor.core.roster import Duty, on_duty
from monitor.errors import ConfigError, MonitorError
from monitor.flows.outbox import Outbox
from monitor.intake.alertmanager import AlertmanagerIntake
from monitor.intake.http_server import listen
from monitor.inventory.roster import read_roster
from monitor.publish.outlets import NotSent, send
from monitor.settings import Alerts, Outlet
from monitor.store import outbox as outbox_rows
from monitor.store import tables
from monitor.store.database import opened
from tests.services import HOST, free_port
from tests.small_county import County, county, write_county
from tests.test_anchoring import Mailbox

ZONE = ZoneInfo("Asia/Shanghai")
#: Monday, 10:00 in Asia/Shanghai.
TEN = from_iso("2026-10-12T10:00:00+08:00")
MINUTE = 60_000


def alert(name: str = "红庙村", status: str = FIRING, at: int = TEN, **labels: str) -> Alert:
    annotations = {"place": "普安镇", "title": "村级站点离线", "object": name, "description": "全部机位离线。"}
    given = {"alertname": "ZhdjVillageSiteOffline", "severity": "warning", "township": "T1", **labels}
    ends = at + 45 * MINUTE if status == RESOLVED else None
    return Alert(f"{abs(hash(name)):x}", status, at, ends, given, annotations)


def telling(
    of: Alert, since: int | None = None, state: str = WAITING, made: int = TEN, reminder: bool = False
) -> Telling:
    return Telling(1, "group", of, of.starts_ms if since is None else since, state, made, reminder)


# --- the rule ---------------------------------------------------------------------------------------------------------


def test_nothing_is_told_twice_and_no_end_without_a_beginning() -> None:
    first, end = telling(alert(), state=SENT), telling(alert(status=RESOLVED))
    assert what_to_do(None, alert(), TEN) == "tell"
    assert what_to_do(None, alert(status=RESOLVED), TEN) == "known"
    assert what_to_do(first, alert(), TEN + MINUTE) == "known"
    assert what_to_do(first, alert(status=RESOLVED), TEN) == "tell"
    assert what_to_do(end, alert(status=RESOLVED), TEN) == "known"
    assert what_to_do(end, alert(), TEN) == "known"  # Alertmanager's second try of the beginning, late
    assert what_to_do(end, alert(at=TEN + 60 * MINUTE), TEN) == "tell"
    assert what_to_do(first, alert(), TEN + REMIND_MS) == "remind"
    assert what_to_do(first, alert(at=TEN + 1), TEN) == "tell"  # its end in between was never heard of
    assert what_to_do(end._replace(state=HELD), alert(at=TEN + 1), TEN) == "goes_on"


def test_pauses_grow_and_stay_bounded() -> None:
    assert [pause_ms(n) for n in (1, 2, 3, 100)] == [5_000, 10_000, 20_000, 300_000]


def test_one_message_says_where_what_since_when() -> None:
    two = [telling(alert("红庙村"), TEN - 5 * MINUTE), telling(alert("石龙村"), TEN - 4 * MINUTE)]
    text, told = message(two, ZONE, TEN + MINUTE, 2000)
    assert text == "【警告】普安镇：村级站点离线：红庙村（09:55起）、石龙村（09:56起）\n全部机位离线。"
    assert told == two


def test_an_end_says_how_long() -> None:
    text, _ = message([telling(alert(status=RESOLVED))], ZONE, TEN + 46 * MINUTE, 2000)
    assert text == "【恢复】普安镇：村级站点离线：红庙村（10:00至10:45，历时45分钟）"
    text, _ = message([telling(alert(status=RESOLVED), TEN - 20 * 60 * MINUTE)], ZONE, TEN + 46 * MINUTE, 2000)
    assert text == "【恢复】普安镇：村级站点离线：红庙村（10月11日14:00至10:45，历时20小时45分）"


def test_what_began_and_ended_while_nothing_could_be_sent_is_told_once() -> None:
    both = [telling(alert()), telling(alert(status=RESOLVED))]
    text, told = message(both, ZONE, TEN + 46 * MINUTE, 2000)
    assert text.startswith("【恢复】")
    assert text.count("红庙村") == 1
    assert told == both


def test_many_are_counted_and_the_worst_comes_first() -> None:
    many = [telling(alert(f"{n}村")) for n in range(60)]
    line = telling(
        alert("", severity="critical", about="line")._replace(annotations={"place": "普安镇", "title": "乡镇线路中断"})
    )
    text, told = message([*many, line], ZONE, TEN, 2000)
    assert text.splitlines()[0] == "【严重】普安镇：乡镇线路中断：10:00起"
    assert " 等60个" in text
    assert len(told) == 61
    again, _ = message([telling(alert(), reminder=True)], ZONE, TEN, 2000)
    assert again.startswith("【警告·仍未恢复】")


@given(
    st.lists(st.tuples(st.text(max_size=400), st.text(max_size=400), st.booleans()), min_size=1), st.integers(200, 3000)
)
def test_a_message_is_never_too_long_and_all_get_their_turn(said: list[tuple[str, str, bool]], longest: int) -> None:
    left = [
        telling(
            alert(str(n), RESOLVED if over else FIRING)._replace(annotations={"place": place, "object": name})
        )._replace(n=n)
        for n, (place, name, over) in enumerate(said, 1)
    ]
    for _ in range(len(said)):
        if not left:
            return
        text, told = message(left, ZONE, TEN, longest)
        assert told
        assert len(text.encode()) <= longest
        left = [t for t in left if t.n not in {one.n for one in told}]
    assert not left


# --- the roster -------------------------------------------------------------------------------------------------------


def test_who_is_on_duty() -> None:
    day = Duty("张三", "13800000001", from_ms=TEN, to_ms=TEN + MINUTE)
    there = Duty("李四", from_ms=TEN, to_ms=TEN + MINUTE, townships=frozenset({"T1"}))
    always = Duty("王五")
    roster = [always, day, there]
    assert on_duty(roster, TEN, {"T1"}) == [day, there]
    assert on_duty(roster, TEN, {"T2"}) == on_duty(roster, TEN, {""}) == [day]
    assert on_duty(roster, TEN + MINUTE, {"T1", "T2"}) == [always]
    assert on_duty([], TEN, {""}) == []


def test_the_roster_is_a_sheet(tmp_path: Path) -> None:
    path = tmp_path / "roster.csv"
    path.write_text(
        "name,mobile,mail,from,to,townships\n"
        "张三,138 0000 0001,,2026-10-12,2026-10-12,\n"
        "李四,,li@example.cn,2026-10-12 08:30,2026-10-12 18:00,T1、T2\n王五,,,,,\n",
        encoding="gbk",
    )
    zhang, li, wang = read_roster(tmp_path, ZONE, {"T1", "T2"})
    assert (zhang.from_ms, zhang.to_ms) == (TEN - 10 * 60 * MINUTE, TEN + 14 * 60 * MINUTE)
    assert (li.from_ms, li.townships, li.mail) == (TEN - 90 * MINUTE, frozenset({"T1", "T2"}), "li@example.cn")
    assert (wang.from_ms, wang.to_ms, wang.mobile, zhang.mobile) == (None, None, "", "13800000001")
    path.write_text("name,mobile,from,to,townships\n,abc,gestern,2026-10-12,T9\n张三,,2026-10-12,2026-10-11,\n")
    with pytest.raises(ConfigError) as error:
        read_roster(tmp_path, ZONE, {"T1"})
    assert [m.column for m in error.value.mistakes] == ["from", "mobile", "name", "townships", "to"]
    assert read_roster(tmp_path / "nowhere", ZONE, ()) == []


# --- outlets ----------------------------------------------------------------------------------------------------------


@dataclass
class Robot:
    """A stand-in for a robot: keeps what it is told, and answers what it is told to answer."""

    told: list[dict[str, object]] = field(default_factory=list)
    queries: list[dict[str, str]] = field(default_factory=list)
    status: int = 200
    answer: dict[str, object] = field(default_factory=lambda: {"errcode": 0, "errmsg": "ok"})
    page: str = ""
    url: str = ""

    async def post(self, request: web.Request) -> web.Response:
        self.queries.append(dict(request.query))
        if self.page:
            return web.Response(text=self.page, content_type="text/html")
        if request.method == "POST" and self.status == 200 and self.answer.get("errcode", self.answer.get("code")) == 0:
            self.told.append(await request.json())
        return web.json_response(self.answer, status=self.status)

    @property
    def texts(self) -> list[str]:
        said = [t["text"] for t in self.told]
        return [str(text["content"]) for text in said if isinstance(text, dict)]


@asynccontextmanager
async def robot() -> AsyncIterator[Robot]:
    stand_in = Robot()
    app = web.Application()
    app.router.add_route("*", "/robot/send", stand_in.post)
    async with listen(app, HOST, 0) as listener:
        stand_in.url = f"http://{HOST}:{listener.port}/robot/send?access_token=k"
        yield stand_in


def outlet(tmp_path: Path, kind: str, url: str, secret: str = "") -> Outlet:
    (tmp_path / "url").write_text(url + "\n")
    if secret:
        (tmp_path / "secret").write_text(secret)
    files = {"secret_file": str(tmp_path / "secret")} if secret else {}
    return Outlet(kind=kind, url_file=str(tmp_path / "url"), per_min=600, **files)  # type: ignore[arg-type]


async def test_robots_are_told_and_their_errcode_in_a_200_answer_is_a_failure(tmp_path: Path) -> None:
    people = [Duty("张三", "13800000001")]
    async with robot() as it:
        await send(outlet(tmp_path, "dingtalk", it.url, "SEC1"), "甲", people)
        await send(outlet(tmp_path, "wecom", it.url), "乙", people)
        await send(outlet(tmp_path, "http", it.url, "bearer"), "丙", people)
        assert it.queries[0].keys() == {"access_token", "timestamp", "sign"}
        assert it.told[0]["at"] == {"atMobiles": ["13800000001"], "isAtAll": False}
        assert it.texts[:2] == ["甲\n值班：张三 @13800000001", "乙\n值班：张三"]
        assert it.told[2] == {"mobiles": ["13800000001"], "mails": [], "text": "丙"}
        it.answer = {"errcode": 310000, "errmsg": "keywords not in content"}
        with pytest.raises(NotSent, match="keywords not in content"):
            await send(outlet(tmp_path, "dingtalk", it.url), "甲", [])
        it.answer = {"code": 9499, "msg": "Bad Request"}
        with pytest.raises(NotSent, match="9499"):
            await send(outlet(tmp_path, "feishu", it.url, "s"), "甲", [])
        it.answer = {"code": 0}
        await send(outlet(tmp_path, "feishu", it.url, "s"), '甲<at user_id="all">', [])
        assert it.told[-1].keys() == {"msg_type", "content", "timestamp", "sign"}
        assert "<" not in str(it.told[-1]["content"])  # nobody is called by a name
        it.page = "<html>Please sign in</html>"
        for kind in ("dingtalk", "feishu", "wecom"):
            with pytest.raises(NotSent, match="not a robot's answer: <html>"):
                await send(outlet(tmp_path, kind, it.url), "甲", [])
        await send(outlet(tmp_path, "http", it.url), "甲", [])  # a gateway may answer what it likes
        it.page = ""
        it.status = 500
        with pytest.raises(NotSent, match="status 500"):
            await send(outlet(tmp_path, "wecom", it.url), "甲", [])
    with pytest.raises(NotSent, match="cannot connect") as error:
        await send(outlet(tmp_path, "wecom", it.url), "甲", [])
    assert "access_token" not in str(error.value)


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # apprise's own import
async def test_apprise_takes_what_it_speaks_and_not_the_robots(tmp_path: Path) -> None:
    people = [Duty("张三", "13800000001", "z@example.cn")]
    async with robot() as it:
        address = it.url.removeprefix("http://").partition("?")[0]
        await send(outlet(tmp_path, "apprise", f"json://{address}?:to={{mobiles}}"), "甲", people)
        assert "甲" in str(it.told[0]["message"])
        assert it.told[0]["to"] == "13800000001"
        with pytest.raises(NotSent, match="nobody on duty"):
            await send(outlet(tmp_path, "apprise", f"json://{address}?:to={{mails}}"), "甲", [])
        it.status = 503
        with pytest.raises(NotSent):
            await send(outlet(tmp_path, "apprise", f"json://{address}"), "甲", people)
    with pytest.raises(NotSent, match="does not read"):
        await send(outlet(tmp_path, "apprise", "dingtalk://abc"), "甲", people)


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
async def test_mail_goes_to_whoever_is_on_duty(tmp_path: Path) -> None:
    box = Mailbox()
    server = Controller(box, hostname=HOST, port=free_port())
    server.start()
    try:
        url = f"mailto://{HOST}:{server.port}?from=zhdj@x.cn&to={{mails}}&mode=insecure"
        people = [Duty("张三", mail="zhang@x.cn"), Duty("李四", "1380000")]
        await send(outlet(tmp_path, "apprise", url), "【警告】普安镇", people)
        assert box.to == ["zhang@x.cn"]
        assert box.texts[0].splitlines()[:2] == ["【警告】普安镇", "值班：张三、李四"]
        box.refuses = True
        with pytest.raises(NotSent):
            await send(outlet(tmp_path, "apprise", url), "甲", people)
    finally:
        server.stop()


async def test_a_command_gets_json_and_nothing_in_its_arguments(tmp_path: Path) -> None:
    out = tmp_path / "out"
    good = Outlet(kind="command", command=("sh", "-c", f"cat > {out}"))
    await send(good, "甲", [Duty("张三", "138000", "z@example.cn")])
    assert json.loads(out.read_text()) == {"mobiles": ["138000"], "mails": ["z@example.cn"], "text": "甲"}
    with pytest.raises(NotSent, match="exit status 3: no modem"):
        await send(Outlet(kind="command", command=("sh", "-c", "cat >/dev/null; echo no modem >&2; exit 3")), "甲", [])


# --- the outbox -------------------------------------------------------------------------------------------------------


@dataclass
class Told:
    """An outbox over a small county that is played, with one robot."""

    county: County
    outbox: Outbox
    robot: Robot

    async def take(self, *alerts: Alert) -> None:
        await self.outbox.take("duty", alerts)

    async def rows(self) -> list[tuple[str, str]]:
        async with self.county.engine.connect() as connection:
            found = await connection.execute(tables.outbox.select().order_by(tables.outbox.c.n))
            return [(row.status, row.state) for row in found]


@asynccontextmanager
async def told(tmp_path: Path, url: str) -> AsyncIterator[Told]:
    async with county(tmp_path, url) as it, robot() as stand_in:
        way = outlet(tmp_path, "dingtalk", stand_in.url)
        settings = it.observer.loaded.settings.model_copy(
            update={"alerts": Alerts(token_file="x", outlets={"group": way}, watchdog_s=0)}
        )
        yield Told(it, Outbox(it.engine, settings, it.observer.board, None), stand_in)


async def test_told_once_kept_while_the_robot_fails_and_sent_later_in_one_message(
    tmp_path: Path, database_url: str
) -> None:
    async with told(tmp_path, database_url) as it:
        it.robot.answer = {"errcode": 130101, "errmsg": "send too fast"}
        await it.take(alert("甲村"), alert("乙村"))
        await it.outbox.step()
        await it.take(alert("甲村"), alert("丙村"))  # the second try of Alertmanager, and a third village
        assert it.robot.texts == []
        assert await it.rows() == [(FIRING, WAITING)] * 3
        assert it.outbox.figures.failed == {"group": 1}
        assert (it.outbox.figures.taken, it.outbox.figures.known) == (3, 1)
        it.robot.answer = {"errcode": 0}
        await it.outbox.step()  # within the pause
        assert it.robot.texts == []
        await it.county.play(1)
        # Started anew meanwhile: the table alone knows.
        again = Outbox(it.county.engine, it.outbox.settings, it.outbox.board, None)
        await again.step()
        [text] = it.robot.texts
        assert all(name in text for name in ("甲村", "乙村", "丙村"))
        await it.county.play(1)
        await again.step()
        assert len(it.robot.texts) == 1
        assert await it.rows() == [(FIRING, SENT)] * 3


async def test_the_end_is_told_when_the_village_is_back_not_when_its_hours_end(
    tmp_path: Path, database_url: str
) -> None:
    async with told(tmp_path, database_url) as it:
        played = it.county
        await played.play(10)
        await played.play(90, silent=("V1/tv", "V1/mobile", "V1/pc"))
        began, _ = it.outbox.board.standing("V1")[1], None
        labels: Any = {"about": "site", "site": "V1"}
        await it.take(alert("甲村", **labels))
        await it.outbox.step()
        assert began is not None
        since = datetime.fromtimestamp(began / 1000, UTC).astimezone(ZONE)
        assert f"甲村（{since:%H:%M}起）" in it.robot.texts[0]
        # A window, or the end of its hours: Prometheus calls it resolved, and nothing is back.
        await it.take(alert("甲村", RESOLVED, **labels))
        await it.outbox.step()
        assert await it.rows() == [(FIRING, SENT), (RESOLVED, HELD)]
        await played.play(10, silent=("V1/tv", "V1/mobile", "V1/pc"))
        await it.take(alert("甲村", at=TEN + 60 * MINUTE, **labels))  # it fires again: the same trouble
        assert await it.rows() == [(FIRING, SENT)]
        await it.take(alert("甲村", RESOLVED, at=TEN + 60 * MINUTE, **labels))
        await played.play(10)
        await it.outbox.step()
        assert len(it.robot.texts) == 2
        assert it.robot.texts[1].startswith("【恢复】普安镇：村级站点离线：甲村（")
        assert "历时1小时" in it.robot.texts[1]
        assert await it.rows() == [(FIRING, SENT), (RESOLVED, SENT)]


V1 = ("V1/tv", "V1/mobile", "V1/pc")


async def test_the_end_that_alertmanager_forgot_is_told_all_the_same(tmp_path: Path, database_url: str) -> None:
    """Killed, inhibited or outside the hours of its route: Alertmanager tells no end then (tried with 0.25)."""
    async with told(tmp_path, database_url) as it:
        played = it.county
        await played.play(10, silent=V1)
        await it.take(alert("甲村", about="site", site="V1"), alert("磁盘", about="disk"))
        await it.outbox.step()
        await played.play(5, silent=V1)
        await it.outbox.step()
        assert len(it.robot.texts) == 1
        await played.play(9)
        await it.outbox.step()
        assert len(it.robot.texts) == 1  # Alertmanager's own word has its time
        await played.play(4)
        await it.outbox.step()
        assert len(it.robot.texts) == 2
        assert it.robot.texts[1].startswith("【恢复】普安镇：村级站点离线：甲村（")
        assert "历时15分钟" in it.robot.texts[1]
        await it.take(alert("甲村", RESOLVED, about="site", site="V1"))
        await played.play(2)
        await it.outbox.step()
        assert len(it.robot.texts) == 2
        assert await it.rows() == [(FIRING, SENT), (FIRING, SENT), (RESOLVED, SENT)]


async def test_many_sites_are_back_when_they_are_not_when_their_hours_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.publish.board.MANY", 2)
    many = ("V1", "V2", "W1")
    async with told(tmp_path, f"sqlite+aiosqlite:///{tmp_path / 'm.db'}") as it:
        await it.county.play(10, silent=many)
        await it.take(alert("3 个站点", about="county"))
        await it.take(alert("3 个站点", RESOLVED, about="county")._replace(ends_ms=TEN + 14 * MINUTE))
        await it.outbox.step()
        await it.county.play(5, silent=many)
        await it.outbox.step()
        assert await it.rows() == [(FIRING, SENT), (RESOLVED, HELD)]
        await it.county.play(2, silent=many[:1])
        await it.outbox.step()
        assert it.robot.texts[1].startswith("【恢复】")
        assert "（10:00至10:22，" in it.robot.texts[1]


async def test_a_site_that_is_taken_out_is_not_told_as_back(tmp_path: Path) -> None:
    async with told(tmp_path, f"sqlite+aiosqlite:///{tmp_path / 'm.db'}") as it:
        await it.take(alert("撤并村", about="site", site="V99"))
        await it.take(alert("撤并村", RESOLVED, about="site", site="V99"))
        await it.outbox.step()
        assert "撤并村，已不再监测（" in it.robot.texts[0]


async def test_what_we_lost_sight_of_and_find_down_again_is_no_news(tmp_path: Path) -> None:
    async with told(tmp_path, f"sqlite+aiosqlite:///{tmp_path / 'm.db'}") as it:
        played = it.county
        await played.play(10, silent=V1)
        await it.take(alert("甲村", about="site", site="V1"))
        await it.outbox.step()
        played.observer.lost("mqtt")
        await played.play(10, deaf=True)  # the monitor is blind, and inhibits: Alertmanager tells no end
        await played.play(10, silent=V1)
        await it.take(alert("甲村", at=TEN + 150 * MINUTE, about="site", site="V1"))
        await it.outbox.step()
        assert len(it.robot.texts) == 1
        await it.take(alert("甲村", at=TEN + 150 * MINUTE, about="site", site="V1"))  # its second try
        assert await it.rows() == [(FIRING, SENT)]
        await played.play(5)
        await it.take(alert("甲村", RESOLVED, at=TEN + 150 * MINUTE, about="site", site="V1"))
        await it.outbox.step()
        assert "历时3" in it.robot.texts[1]
        await played.play(10, silent=V1)  # and this is
        await it.take(alert("甲村", at=TEN + 200 * MINUTE, about="site", site="V1"))
        await it.outbox.step()
        assert it.robot.texts[2].startswith("【警告】")


async def test_without_the_database_it_is_told_at_once_and_alertmanager_waits_for_it(tmp_path: Path) -> None:
    async with told(tmp_path, f"sqlite+aiosqlite:///{tmp_path / 'm.db'}") as it:
        async with it.county.engine.begin() as connection:
            await connection.run_sync(tables.outbox.drop)
        it.robot.status = 500
        with pytest.raises(MonitorError, match="database is away"):
            await it.take(alert())
        it.robot.status = 200
        await it.county.play(1)
        await it.take(alert())
        await it.take(alert())
        assert len(it.robot.texts) == 1
        async with it.county.engine.begin() as connection:
            await connection.run_sync(tables.outbox.create)
        await it.take(alert(status=RESOLVED))
        await it.county.play(1)
        await it.outbox.step()
        assert it.robot.texts[1].startswith("【恢复】")


async def test_what_nobody_takes_for_a_week_is_given_up_and_can_be_sent_after_all(tmp_path: Path) -> None:
    async with told(tmp_path, f"sqlite+aiosqlite:///{tmp_path / 'm.db'}") as it:
        await it.take(alert())
        async with it.county.engine.begin() as connection:
            await connection.execute(update(tables.outbox).values(made_ms=tables.outbox.c.made_ms - 8 * 86_400_000))
        await it.outbox.step()
        assert await it.rows() == [(FIRING, "dropped")]
        async with it.county.engine.begin() as connection:
            assert await outbox_rows.retry(connection, it.outbox.board.now(), None) == 1
        await it.outbox.step()
        assert len(it.robot.texts) == 1


async def test_silence_of_the_watchdog_is_told_and_the_outside_hears_while_all_is_well(tmp_path: Path) -> None:
    async with told(tmp_path, f"sqlite+aiosqlite:///{tmp_path / 'm.db'}") as it:
        (tmp_path / "outside").write_text(it.robot.url)
        alerts = it.outbox.settings.alerts.model_copy(
            update={"watchdog_s": 300.0, "outside_url_file": str(tmp_path / "outside")}
        )
        folder = tmp_path / "config"
        folder.mkdir(exist_ok=True)
        (folder / "roster.csv").write_text("name,mobile\n张三,13800000001\n")
        settings = it.outbox.settings.model_copy(update={"alerts": alerts})
        box = Outbox(it.county.engine, settings, it.outbox.board, folder)
        await box.take("watchdog", [alert(alertname=WATCHDOG)])
        asked = len(it.robot.queries)
        await box.step()
        assert len(it.robot.queries) == asked + 1
        assert box.figures.outside_ms == box.figures.watchdog_ms
        await it.county.play(6)
        await box.step()
        await it.county.play(1)
        await box.step()
        assert it.robot.texts[-1].startswith("【严重】监测系统：告警通道中断：Prometheus、Alertmanager（")
        assert it.robot.texts[-1].endswith("值班：张三 @13800000001")
        assert "watchdog" in box.board.warnings
        await box.take("watchdog", [alert(alertname=WATCHDOG)])
        await box.step()
        await it.county.play(1)
        await box.step()
        assert "watchdog" not in box.board.warnings
        assert it.robot.texts[-1].startswith("【恢复】监测系统：告警通道中断：")
        # Once more; and the service is started anew before it comes back.
        await it.county.play(6)
        await box.step()
        again = Outbox(it.county.engine, settings, it.outbox.board, folder)
        await it.county.play(1)
        await again.take("watchdog", [alert(alertname=WATCHDOG)])
        await again.step()
        assert [text[:4] for text in it.robot.texts[-2:]] == ["【严重】", "【恢复】"]
        (folder / "roster.csv").write_text("name,from\n张三,gestern\n")
        await it.county.play(1)
        await box.step()
        assert "gestern" in box.board.warnings["roster"]


def test_commands_list_what_waits_and_who_is_on_duty(tmp_path: Path) -> None:
    config = write_county(tmp_path / "config")
    url = f"sqlite+aiosqlite:///{tmp_path / 'm.db'}"
    with (config / "monitor.toml").open("a") as file:
        file.write(f'\n[database]\nurl = "{url}"\n')

    async def fill() -> None:
        async with opened(url) as engine, engine.begin() as connection:
            await outbox_rows.add(connection, "kaijiang", [telling(alert("甲村")), telling(alert("乙村"), state=SENT)])

    asyncio.run(fill())
    runner = CliRunner()
    waiting = json.loads(runner.invoke(commands, ["outbox", "--config", str(config), "--json"]).stdout)
    assert [(w["object"], w["state"]) for w in waiting] == [("甲村", WAITING)]
    lines = runner.invoke(commands, ["outbox", "--config", str(config), "--all"]).stdout.splitlines()
    assert len(lines) == 2
    assert runner.invoke(commands, ["duty", "--config", str(config)]).exit_code == 1
    (config / "roster.csv").write_text("name,mobile\n张三,13800000001\n")
    found = runner.invoke(commands, ["duty", "--config", str(config)])
    assert found.exit_code == 0
    assert found.stdout.split("\t")[:2] == ["张三", "138****0001"]


def test_check_config_says_what_is_wrong_with_the_roster_and_which_secrets_are_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_county(tmp_path / "config")
    with (config / "monitor.toml").open("a") as file:
        file.write('\n[alerts]\ntoken_file = "/nowhere/token"\n')
        file.write('[alerts.outlets.group]\nkind = "wecom"\nurl_file = "/nowhere/url"\n')
    assert check_config(config, False) == 0
    said = capsys.readouterr().err
    assert "alerts.token_file: /nowhere/token is not there" in said
    assert "alerts.outlets.group.url_file: /nowhere/url is not there" in said
    assert "none takes what is for office, monitor-away: nobody is told" in said
    assert "alerts.outside_url_file is not set" in said
    (config / "roster.csv").write_text("name,townships\n张三,T9\n")
    assert check_config(config, False) == 2
    assert "roster.csv:2 [townships]: no township has the code" in capsys.readouterr().err


def test_an_outlet_without_its_address_is_a_mistake() -> None:
    for wrong in (
        {"token_file": "t", "outlets": {"a": {"kind": "dingtalk"}}},
        {"token_file": "t", "outlets": {"a": {"kind": "command"}}},
        {"outlets": {"a": {"kind": "wecom", "url_file": "u"}}},
        {"token_file": "t", "outlets": {"A b": {"kind": "wecom", "url_file": "u"}}},
    ):
        with pytest.raises(ValueError, match=r"url_file|command|token_file|pattern"):
            Alerts.model_validate(wrong)


# --- the webhook ------------------------------------------------------------------------------------------------------


async def test_the_webhook_asks_for_the_token_and_takes_alertmanagers_json(tmp_path: Path) -> None:
    taken: list[tuple[str, Sequence[Alert]]] = []

    async def take(receiver: str, alerts: Sequence[Alert]) -> None:
        if receiver == "full":
            raise MonitorError("no room")
        taken.append((receiver, alerts))

    (tmp_path / "token").write_text("secret of the test\n")
    app = web.Application(client_max_size=2 << 20)
    AlertmanagerIntake(str(tmp_path / "token"), take).add_to(app)
    one = {
        "status": "resolved",
        "labels": {"alertname": "X", "township": "101"},
        "annotations": {"title": "村级站点离线"},
        "startsAt": "2026-10-12T02:00:00.123456789Z",
        "endsAt": "2026-10-12T02:45:00Z",
        "generatorURL": "http://p",
        "fingerprint": "0a1b",
    }
    good = {"version": "4", "receiver": "duty", "status": "firing", "groupKey": "{}", "alerts": [one]}
    async with listen(app, HOST, 0) as listener, ClientSession() as session:

        async def post(body: object, token: str = "secret of the test") -> int:
            data = BytesIO(body if isinstance(body, bytes) else json.dumps(body).encode())
            headers = {"Authorization": f"Bearer {token}"}
            async with session.post(f"http://{HOST}:{listener.port}/alertmanager", data=data, headers=headers) as r:
                return r.status

        assert await post(good) == 200
        receiver, [heard] = taken[0]
        assert (receiver, heard.status, heard.township) == ("duty", RESOLVED, "101")
        assert (heard.starts_ms, heard.ends_ms) == (TEN + 123, TEN + 45 * MINUTE)
        assert await post({**good, "receiver": "full"}) == 503
        assert await post(good, "wrong") == 401
        for bad in (
            b"",
            b"[]",
            b"{",
            b'{"receiver": 1}',
            b"\xff",
            {**good, "alerts": [{**one, "fingerprint": "../x"}]},
        ):
            assert await post(bad) == 400
        assert await post(b" " * (1024 * 1024 + 1)) == 413
        (tmp_path / "token").write_text("another\n")
        assert await post(good) == 401
        assert await post(good, "another") == 200
        (tmp_path / "token").unlink()
        assert await post(good, "another") == 503
    assert len(taken) == 2
