"""From a device that falls silent to a message at a robot: Debian's Prometheus and Alertmanager with the shipped files,
the real service, devices that beat, and a stand-in for the robot. Times are scaled: SCALE says by how much.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio

from tests.faults import counted
from tests.service_under_test import register_tokens
from tests.services import HOST, Alertmanager, Mosquitto, Prometheus, free_port, wait_for_async
from tests.serving import Devices, Serving, Target, beats, devices, write_config
from tests.test_alerts import Robot, robot

pytestmark = pytest.mark.asyncio(loop_scope="module")

DEPLOY = Path(__file__).parent.parent / "deploy"
#: A minute of the shipped files is this many seconds here; nothing is shorter than a second.
SCALE = 0.5
INTERVAL_S, GRACE_S = 1.0, 2.0
OPEN_AFTER_S = 7.0
#: The longest confirmation, open_after, scrape, evaluation, `for`, group_interval, outbox; and room for a busy machine.
LONGEST_S = INTERVAL_S + GRACE_S + OPEN_AFTER_S + 1 + 1 + 1 + 1 + 1 + 10
VILLAGES = 4
_SPAN = re.compile(r"(?<=: )(\d+)(s|m)$|(?<=\[)(\d+)(s|m)(?=\])", re.MULTILINE)


def scaled(text: str) -> str:
    """Every length of time: after a key, and in the ranges of expressions. Hours stay."""

    def shorter(match: re.Match[str]) -> str:
        number, unit = match[1] or match[3], match[2] or match[4]
        seconds = int(number) * {"s": 1, "m": 60}[unit] * SCALE / 60
        return f"{max(1, round(seconds)) if int(number) else 0}s"

    return _SPAN.sub(shorter, text)


@dataclass
class Called:
    """All parts, and what people were told."""

    service: Serving
    prometheus: Prometheus
    alertmanager: Alertmanager
    devices: Devices
    robot: Robot
    canary: Target
    seen: int = 0
    said: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """What was said since the last `begin`, a line each, without descriptions and who is on duty."""
        return [line for text in self.robot.texts[self.seen :] for line in text.splitlines() if line.startswith("【")]

    def begin(self) -> None:
        self.seen = len(self.robot.texts)

    async def until(self, says: str, limit: float = LONGEST_S) -> tuple[str, float]:
        """The first line with this in it, and after how many seconds it came."""
        began = time.monotonic()
        found: Callable[[], str] = lambda: next((line for line in self.lines() if says in line), "")  # noqa: E731
        line = await wait_for_async(found, limit, f"a message with {says!r}, not {self.lines()}")
        return line, time.monotonic() - began


async def start(stack: AsyncExitStack, folder: Path, top: str = "") -> Called:
    it = await stack.enter_async_context(robot())
    canary = stack.enter_context(Target())
    for name, text in (("url", it.url), ("token", "of the test")):
        (folder / name).write_text(text)
    broker = stack.enter_context(Mosquitto(folder))
    http = free_port()
    sites = [f"V{n}" for n in range(1, VILLAGES + 1)] + [f"W{n}" for n in range(1, VILLAGES + 1)]
    checks = [beats(site, kind, "mqtt", INTERVAL_S, GRACE_S) for site in (*sites, "T1") for kind in ("tv", "pc")]
    minutes = OPEN_AFTER_S / 60
    config = write_config(
        folder,
        http=http,
        mqtt=broker.port,
        checks=checks,
        canaries=[f"tcp:{HOST}:{canary.port}"],
        top=f"""
[maintenance]
open_after_min = {{ county = {minutes}, township = {minutes}, village = {minutes} }}
[alerts]
token_file = "{folder}/token"
[alerts.outlets.group]
kind = "dingtalk"
url_file = "{folder}/url"
takes = ["duty", "monitor-away"]
per_min = 60
{top}""",
    )
    (config / "roster.csv").write_text("name,mobile,townships\n张三,13800000001,\n", encoding="utf-8")
    tokens = {f"{site}/{kind}": f"token of {site}/{kind}, long enough" for site, kind, *_ in checks}
    await register_tokens(folder / "monitor.db", tokens)
    service = await asyncio.to_thread(Serving(config).start)
    stack.callback(service.close)
    text = (DEPLOY / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8")
    text = (
        scaled(text)
        .replace("127.0.0.1:8080", f"{HOST}:{http}")
        .replace("/etc/zhdj-monitor/alertmanager-token", f"{folder}/token")
    )
    text = text.replace('"07:30", end_time: "22:00"', '"00:00", end_time: "24:00"')
    alertmanager = Alertmanager(folder, text)
    (alertmanager.folder / "zhdj.tmpl").write_text((DEPLOY / "alertmanager" / "zhdj.tmpl").read_text(encoding="utf-8"))
    rules = scaled((DEPLOY / "prometheus" / "zhdj.rules.yml").read_text(encoding="utf-8"))
    scrape = scaled((DEPLOY / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    scrape = scrape.replace("127.0.0.1:8080", f"{HOST}:{http}").replace("127.0.0.1:9093", f"{HOST}:{alertmanager.port}")
    prometheus = Prometheus(folder, scrape, files={"zhdj.rules.yml": rules})
    playing = await stack.enter_async_context(devices(config, tokens))
    await wait_for_async(
        lambda: list(service.samples("zhdj_terminal_up").values()) == [1] * len(checks), 20, "all to be up"
    )
    await asyncio.to_thread(prometheus.start)
    stack.callback(prometheus.close)
    # Before its first scrape the monitor is absent, which is nothing to tell.
    await wait_for_async(lambda: prometheus.query("zhdj_channel_observed"), 20, "the first scrape")
    await wait_for_async(lambda: prometheus.query('absent(ALERTS{about="monitor"})'), 20, "nothing to tell")
    await asyncio.to_thread(alertmanager.start)
    stack.callback(alertmanager.close)
    return Called(service, prometheus, alertmanager, playing, it, canary)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def called(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Called]:
    async with AsyncExitStack() as stack:
        # Townships are out of service the whole day long: the last minute of it is all that they have.
        ended = '[service]\ntownship = { hours = ["23:59-24:00"] }\n'
        yield await start(stack, tmp_path_factory.mktemp("called"), ended)


def both(*sites: str) -> list[str]:
    return [f"{site}/{kind}" for site in sites for kind in ("tv", "pc")]


async def test_a_village_is_one_message_a_township_is_one_message_and_each_comes_back(called: Called) -> None:
    line = [f"W{n}" for n in range(1, VILLAGES + 1)]
    called.begin()
    cut = time.monotonic()
    # V1 falls silent; all of township T2 behind its line; T1's own site, outside its hours.
    called.devices.silence(*both("V1", *line, "T1"))
    uplink, _ = await called.until("乡镇线路中断")
    village, _ = await called.until("村级站点离线")
    took = time.monotonic() - cut
    assert re.fullmatch(r"【严重】镇二：乡镇线路中断：\d\d:\d\d起", uplink)
    assert re.fullmatch(r"【警告】镇一：村级站点离线：镇一V1村（\d\d:\d\d起）", village)
    assert any(text.endswith("值班：张三 @13800000001") for text in called.robot.texts)
    assert took <= LONGEST_S
    # Alertmanager begins anew, without the line until Prometheus sends it again: its villages, long since late, are not
    # told.
    await asyncio.to_thread(called.alertmanager.kill)
    await asyncio.to_thread(called.alertmanager.start)
    await wait_for_async(
        lambda: any(a["labels"]["alertname"] == "ZhdjUplinkDown" for a in called.alertmanager.alerts()),
        10,
        "the line to be sent again",
    )
    await asyncio.sleep(2)  # whatever else there was to say
    assert sorted(called.lines()) == sorted([uplink, village])
    called.begin()
    called.devices.restore(*both("V1", *line, "T1"))
    village, _ = await called.until("村级站点离线")
    uplink, _ = await called.until("乡镇线路中断")
    lengths = [int(n) for n in re.findall(r"历时(\d+)秒", village + uplink)]
    assert village.startswith("【恢复】镇一：村级站点离线：镇一V1村（")
    assert uplink.startswith("【恢复】镇二：乡镇线路中断：")
    gone = time.monotonic() - cut
    assert all(took - 4 <= length <= gone for length in lengths), (lengths, took, gone)
    assert len(lengths) == 2
    await asyncio.sleep(1)
    assert sorted(called.lines()) == sorted([uplink, village])
    counted(f"told {took:.1f} s after the cut, lengths {lengths}")


async def test_our_own_line_is_one_message_about_the_monitor_though_alertmanager_was_killed(called: Called) -> None:
    called.begin()
    called.robot.answer = {"errcode": 130101, "errmsg": "send too fast"}
    await asyncio.to_thread(called.alertmanager.kill)
    called.canary.close()
    called.devices.silence()  # nothing comes through
    await wait_for_async(
        lambda: not any(called.service.samples("zhdj_channel_observed").values()), 10, "all to be lost"
    )
    await asyncio.to_thread(called.alertmanager.start)
    await wait_for_async(lambda: called.service.value("zhdj_outbox_failed_total", outlet="group") or 0, 20, "a refusal")
    assert called.lines() == []
    called.robot.answer = {"errcode": 0}
    line, _ = await called.until("监测通道中断", 20)
    assert line.startswith("【严重】监测系统：监测通道中断：")
    assert all(name in line for name in ("MQTT 心跳", "HTTP 心跳", "主动探测"))
    called.canary.open()
    called.devices.restore()
    end, _ = await called.until("【恢复】", 30)
    assert end.startswith("【恢复】监测系统：监测通道中断：")
    assert sum("监测通道中断" in line for line in called.lines()) == len(called.lines()), called.lines()
    assert called.service.value("zhdj_watchdog_timestamp_seconds") is not None
    await wait_for_async(
        lambda: called.service.value("zhdj_outbox_waiting", outlet="group") == 0, 10, "nothing to wait"
    )


@pytest.mark.long
async def test_nobody_is_called_when_the_hours_end_and_nothing_is_lost_in_ten_minutes_of_failures(
    tmp_path: Path,
) -> None:
    zone = ZoneInfo("Asia/Shanghai")
    end = datetime.now(zone) + timedelta(minutes=2)
    if end.strftime("%H:%M") < "00:03":
        pytest.skip("too near to midnight")
    hours = f'[service]\nvillage = {{ hours = ["00:00-{end:%H:%M}"] }}\n'
    async with AsyncExitStack() as stack:
        called = await start(stack, tmp_path, hours)
        called.robot.status = 500
        called.devices.silence(*both("V1"))
        waits: Callable[[], bool] = lambda: bool(called.service.value("zhdj_outbox_waiting", outlet="group"))  # noqa: E731
        await wait_for_async(waits, LONGEST_S, "an alert that waits")
        for _ in range(3):
            await asyncio.to_thread(called.alertmanager.kill)
            await asyncio.sleep(3)
            await asyncio.to_thread(called.alertmanager.start)
            await asyncio.sleep(5)
        called.robot.status = 200
        village, _ = await called.until("村级站点离线", 60)
        assert village.startswith("【警告】")
        at_end = end.replace(second=0, microsecond=0)
        await asyncio.sleep(max(0.0, (at_end - datetime.now(zone)).total_seconds() + 2))
        called.devices.silence(
            *both(*(f"V{n}" for n in range(2, VILLAGES + 1)), *(f"W{n}" for n in range(1, VILLAGES + 1)))
        )
        await asyncio.sleep(LONGEST_S)
        # V1 is still down: its alert ended with the hours, and nobody is told that it is back.
        assert called.prometheus.query('ALERTS{about=~"site|line|fixed"}') == []
        assert called.lines() == [village]
