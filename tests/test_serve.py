"""`serve` and programs that others wrote: mosquitto and its clients, curl, a healthchecks client, Prometheus."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from healthchecks_io import Client

from tests.brokers import pub_command
from tests.services import Mosquitto, free_port, program, wait_for
from tests.serving import SOON_S, Serving, beats, guarded_broker, issue, write_config

VILLAGES = [f"V{n}" for n in range(1, 7)]


@dataclass
class Served:
    """The service, its broker, and what the devices know. Each test has a village of its own."""

    service: Serving
    broker: Mosquitto
    tokens: dict[str, str]
    relay: str
    pings: dict[str, str]

    def publish_command(self, user: str, topic: str, *more: str) -> list[str]:
        return pub_command(self.broker.port, user, topic, *more, password=self.tokens[user])

    def publish(self, user: str, topic: str, payload: str) -> None:
        command = self.publish_command(user, topic, "-m", payload)
        subprocess.run(command, check=True, capture_output=True, timeout=10)

    def curl(self, path: str, *more: str) -> tuple[int, str]:
        """Status and body."""
        done = subprocess.run(
            [program("curl"), "-sS", "--noproxy", "*", "-w", "\n%{http_code}", *more, self.service.base + path],
            capture_output=True,
            text=True,
            timeout=10,
        )
        assert done.returncode == 0, done.stderr
        body, _, status = done.stdout.rpartition("\n")
        return int(status), body

    def post(self, token: str, body: object) -> tuple[int, str]:
        data = body if isinstance(body, str) else json.dumps(body)
        return self.curl("/api/v1/heartbeats", "-H", f"Authorization: Bearer {token}", "--data-binary", data)

    def until_up(self, site: str, terminal: str) -> None:
        wait_for(lambda: self.service.is_up(site, terminal), 10, f"{site}/{terminal} to be up", every=0.1)

    def until_ended(self, site: str, terminal: str, how: str) -> None:
        """Down, confirmed, and in the database with how contact ended."""
        what = f"the outage of {site}/{terminal}"
        wait_for(lambda: self.service.value("zhdj_terminal_up", site=site, terminal=terminal) == 0, SOON_S, what)
        wait_for(lambda: self.service.how(site, terminal) == how, SOON_S, f"{what} to say {how}", every=0.1)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    checks = [beats(v, "pc", "mqtt", 2, 1) for v in VILLAGES] + [beats(v, "mobile", "http", 2, 1) for v in VILLAGES]
    port = free_port()
    config = write_config(folder, http=free_port(), mqtt=port, checks=checks)
    tokens = issue(config, folder / "tokens.json")
    who = ["--terminal", "V1/mobile", "--terminal", "V2/mobile"]
    relay = issue(config, folder / "relay.json", "--kind", "relay", "--label", "gateway", *who)
    pings = issue(
        config, folder / "pings.json", *("--kind", "ping", "--terminal", "V3/mobile"), "--terminal", "V4/mobile"
    )
    with guarded_broker(config, folder, port) as broker, Serving(config) as service:
        yield Served(service, broker, tokens, next(iter(relay.values())), pings)


# --- mosquitto -------------------------------------------------------------------------------------------------------


def test_a_will_a_goodbye_and_silence(served: Served) -> None:
    """Three devices of mosquitto_pub. The one with a will is killed, so that the broker speaks for it."""
    will = ["--will-topic", "zhdj/v1/V1/pc/status", "--will-payload", "offline", "--will-qos", "1", "--will-retain"]
    command = served.publish_command("V1/pc", "V1/pc/heartbeat", *will, "-l")
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as living:
        try:
            assert living.stdin is not None
            living.stdin.write('{"boot": "b", "seq": 1}\n')
            living.stdin.flush()
            served.until_up("V1", "pc")
        finally:
            os.kill(living.pid, signal.SIGKILL)
    served.publish("V2/pc", "V2/pc/heartbeat", '{"boot": "b", "seq": 1, "services": {"learning": "fail"}}')
    served.publish("V3/pc", "V3/pc/heartbeat", "")
    served.until_up("V2", "pc")
    served.until_up("V3", "pc")
    assert served.service.value("zhdj_service_ok", site="V2", terminal="pc", service="learning") == 0
    served.publish("V2/pc", "V2/pc/status", "off")
    served.until_ended("V1", "pc", "will")
    served.until_ended("V2", "pc", "goodbye")
    served.until_ended("V3", "pc", "silence")
    assert [how for how in (served.service.how(v, "pc") for v in VILLAGES[:3])] == ["will", "goodbye", "silence"]


def test_a_forged_beat_does_not_pass_the_broker(served: Served) -> None:
    """V5's token speaks for V5 only; nor does a wrong one sign in at all."""
    served.publish("V5/pc", "V6/pc/heartbeat", "{}")
    served.publish("V5/pc", "V5/pc/heartbeat", "{}")
    served.until_up("V5", "pc")
    wrong = pub_command(served.broker.port, "V6/pc", "V6/pc/heartbeat", "-m", "{}", password="zd_wrong")
    assert subprocess.run(wrong, capture_output=True, timeout=10).returncode != 0
    wait_for(lambda: _heard(served, "V5", "pc"), SOON_S, "the beat in the log", every=0.1)
    assert not _heard(served, "V6", "pc")
    assert served.service.value("zhdj_terminal_last_seen_timestamp_seconds", site="V6", terminal="pc") is None


def _heard(served: Served, site: str, terminal: str) -> bool:
    return any(
        line["type"] == "heartbeat" and (line["site"], line["terminal"]) == (site, terminal)
        for line in served.service.lines()
    )


# --- HTTP ------------------------------------------------------------------------------------------------------------


def test_curl_posts_beats(served: Served) -> None:
    token = served.tokens["V5/mobile"]
    status, body = served.post(token, {"site": "V5", "terminal": "mobile", "boot": "b", "seq": 1})
    assert (status, json.loads(body)["accepted"]) == (202, 1)
    served.until_up("V5", "mobile")
    batch = [
        {"site": "V1", "terminal": "mobile"},
        {"site": "V2", "terminal": "mobile"},
        {"site": "V6", "terminal": "pc"},
    ]
    status, body = served.post(served.relay, batch)
    answer = json.loads(body)
    assert (status, answer["accepted"], [r["reason"] for r in answer["refused"]]) == (202, 2, ["forbidden"])
    served.until_up("V1", "mobile")
    served.until_up("V2", "mobile")
    status, _ = served.post(token, {"site": "V5", "terminal": "mobile", "status": "off"})
    assert status == 202
    served.until_ended("V5", "mobile", "goodbye")


def test_curl_is_refused_in_the_promised_form(served: Served) -> None:
    """Each refusal is counted by its reason; nothing of it is evidence."""
    mine, other = {"site": "V6", "terminal": "mobile"}, {"site": "V1", "terminal": "mobile"}
    token = served.tokens["V6/mobile"]
    asked: list[tuple[str, object, int, str]] = [
        ("zd_wrong", mine, 401, "unauthorized"),
        (served.pings["V3/mobile"], {"site": "V3", "terminal": "mobile"}, 401, "unauthorized"),
        (token, other, 403, "forbidden"),
        (token, '{"site": "V6", "terminal": ', 400, "malformed"),
        (token, {**mine, "seq": "x"}, 400, "malformed"),
    ]
    for bearer, sent, expected, reason in asked:
        before = served.service.value("zhdj_heartbeats_rejected_total", via="http", reason=reason)
        status, body = served.post(bearer, sent)
        error = json.loads(body)["error"]
        assert (status, error["code"], set(error)) == (expected, reason, {"code", "message", "details"}), body
        after = served.service.value("zhdj_heartbeats_rejected_total", via="http", reason=reason)
        assert (after or 0) == (before or 0) + 1
    assert served.service.value("zhdj_terminal_last_seen_timestamp_seconds", site="V6", terminal="mobile") is None


def test_a_healthchecks_client_of_others(served: Served) -> None:
    token = served.pings["V3/mobile"]
    with Client(ping_url=f"{served.service.base}/ping/") as client:
        assert client.success_ping(uuid=token)[0]
        served.until_up("V3", "mobile")
        assert client.start_ping(uuid=token)[0]
        assert client.exit_code_ping(exit_code=1, uuid=token)[0]
    served.until_ended("V3", "mobile", "goodbye")


def test_a_push_of_uptime_kuma(served: Served) -> None:
    token = served.pings["V4/mobile"]
    status, body = served.curl(f"/api/push/{token}?status=up&msg=OK&ping=12")
    assert (status, json.loads(body)) == (200, {"ok": True})
    served.until_up("V4", "mobile")
    assert served.curl(f"/api/push/{token}?status=down&msg=&ping=")[0] == 200
    served.until_ended("V4", "mobile", "goodbye")
    # A device's own token is refused in a path: paths end in other people's logs.
    status, body = served.curl(f"/api/push/{served.tokens['V4/mobile']}?status=up")
    assert (status, json.loads(body)["ok"]) == (404, False)
    assert served.tokens["V4/mobile"] not in served.service.output()


# --- Prometheus ------------------------------------------------------------------------------------------------------


def test_promtool_finds_the_live_exposition_clean(served: Served) -> None:
    status, text = served.curl("/metrics")
    assert status == 200
    done = subprocess.run(
        [program("promtool"), "check", "metrics"], input=text + "\n", capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
