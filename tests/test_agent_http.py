"""Agents over HTTP against the real service: the curl script, and the agent while the monitor is away."""

from __future__ import annotations

import asyncio
import json
import os
import re
import ssl
import stat
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from monitor.intake.http_server import listen
from tests.agents import TOKEN, Agent, over_http, write_agent
from tests.services import HOST, free_port, make_certificate, program, wait_for, wait_for_async
from tests.serving import SOON_S, Serving, beats, run, write_config

SITES = ("V1", "V2", "V3")


@dataclass
class Kit:
    service: Serving
    folder: Path

    def of(self, name: str) -> Path:
        return self.folder / name

    def said(self, site: str, least: int) -> list[dict[str, Any]]:
        """Its beats in the evidence log, which is written about a second later."""

        def found() -> list[dict[str, Any]]:
            return [line for line in self.service.lines() if line.get("site") == site and line["type"] == "heartbeat"]

        return wait_for(lambda: now if len(now := found()) >= least else [], SOON_S, f"{least} beats of {site}")

    def sh(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The script of a terminal's folder, run as its timer would; /etc and /var are beside it."""
        here = self.of(name)
        conf = here / "test.conf"
        text = (here / "zhdj-beat.conf").read_text()
        text = text.replace("/etc/zhdj-beat/token", str(here / "token")).replace("/var/lib/zhdj-beat", f"{here}/state")
        conf.write_text(text)
        # A curl that tells with what it was called.
        bin_folder = here / "bin"
        bin_folder.mkdir(exist_ok=True)
        curl = bin_folder / "curl"
        curl.write_text(f'#!/bin/sh\necho "$@" >> {here}/called\nexec {program("curl")} "$@"\n')
        curl.chmod(curl.stat().st_mode | stat.S_IXUSR)
        environment = {"PATH": f"{bin_folder}:{os.environ['PATH']}", "ZHDJ_BEAT_CONF": str(conf)}
        command = ["sh", str(here / "zhdj-beat.sh"), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kit]:
    folder = tmp_path_factory.mktemp("http-agents")
    port = free_port()
    checks = [beats(site, "pc", "http", 1, 4) for site in SITES]
    config = write_config(folder, http=port, mqtt=free_port(), checks=checks, embedded=True)
    done = run("token", "kit", "--config", config, "--out", folder / "kit", "--url", f"http://{HOST}:{port}")
    assert done.returncode == 0, done.stderr
    with Serving(config) as service:
        yield Kit(service, folder / "kit")


def test_the_curl_script_beats_and_says_goodbye(made: Kit) -> None:
    for _ in range(2):
        done = made.sh("V1/pc")
        assert (done.returncode, done.stderr) == (0, "")
    wait_for(lambda: made.service.is_up("V1", "pc"), what="V1/pc to be up")
    said = made.said("V1", 2)
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert [(line["boot"], line["seq"]) for line in said] == [(boot, 0), (boot, 1)]
    assert all("sent_at" in line for line in said)
    assert made.sh("V1/pc", "off").returncode == 0
    wait_for(lambda: made.service.how("V1", "pc") == "goodbye", SOON_S, "the goodbye", every=0.1)
    # Arguments can be read by everybody on the machine.
    token = (made.of("V1/pc") / "token").read_text().strip()
    assert token not in (made.of("V1/pc") / "called").read_text()
    assert not [p for p in made.of("V1/pc").rglob("*") if p.is_file() and p.name != "token" and token in _text(p)]


def test_what_curl_could_not_send_goes_along_later(made: Kit) -> None:
    here = made.of("V2/pc")
    good = (here / "zhdj-beat.conf").read_text()
    (here / "zhdj-beat.conf").write_text(good.replace(str(made.service.port), str(free_port())))
    for _ in range(3):
        done = made.sh("V2/pc")
        assert done.returncode == 1
        assert "the beat was not taken: 000" in done.stderr
    assert len((here / "state/pending").read_text().splitlines()) == 3
    (here / "zhdj-beat.conf").write_text(good)
    assert made.sh("V2/pc").returncode == 0
    assert (here / "state/pending").read_text() == ""
    assert [line["seq"] for line in made.said("V2", 4)] == [3, 0, 1, 2]
    # Bounded.
    (here / "zhdj-beat.conf").write_text(good.replace("KEEP=1440", "KEEP=2").replace("http://", "http://no-such."))
    for _ in range(4):
        made.sh("V2/pc")
    assert len((here / "state/pending").read_text().splitlines()) == 2
    # A token that is not taken loses nothing.
    (here / "zhdj-beat.conf").write_text(good)
    (here / "token").write_text("zd_wrong\n")
    assert "the beat was not taken: 401" in made.sh("V2/pc").stderr
    assert len((here / "state/pending").read_text().splitlines()) == 3


async def test_the_agent_over_http_fills_what_a_stopped_monitor_missed(made: Kit) -> None:
    config = made.of("V3/pc") / "agent.toml"
    text = config.read_text().replace("interval_s = 1", "interval_s = 0.5")
    config.write_text(text.replace("# publicity =", "publicity =").replace(":8080", f":{made.service.port}"))
    service = made.service
    begun = time.time() * 1000
    with Agent(config) as agent:
        await wait_for_async(lambda: service.is_up("V3", "pc"), what="V3/pc to be up")
        ok = {"site": "V3", "terminal": "pc", "service": "publicity"}
        await wait_for_async(lambda: service.value("zhdj_service_ok", **ok) == 1, what="the service's state")
        await asyncio.to_thread(service.stop)
        await wait_for_async(lambda: re.search(r" ([4-9]|\d\d) beats wait", agent.output()), 20, "beats")
        await asyncio.to_thread(service.start)
        await wait_for_async(lambda: "line up again" in agent.output(), 20, "the line")
        await wait_for_async(lambda: service.is_up("V3", "pc"), what="V3/pc to be up again")
    said = made.said("V3", 4)
    assert sorted(line["seq"] for line in said) == list(range(len(said)))
    late = [line for line in said if line["at"][:19] > line["sent_at"][:19]]
    assert len(late) >= 3
    # That the monitor was away is no outage of the device.
    await wait_for_async(lambda: service.how("V3", "pc") == "goodbye", SOON_S, "the goodbye", every=0.1)
    assert service.query("SELECT count(*) FROM outage WHERE site = 'V3' AND start_ms > ?", begun) == [(1,)]


async def test_answers_that_pass_are_waited_for_and_others_given_up(tmp_path: Path) -> None:
    taken: list[int] = []
    answers = ["rate_limited", "503", "malformed"]

    async def answer(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        body = json.loads(await request.read())
        items = body if isinstance(body, list) else [body]
        if any(item.get("status") for item in items):
            return web.json_response({"accepted": 1, "refused": []}, status=202)
        how = answers.pop(0) if answers else ""
        if how == "503":
            return web.json_response({"error": {"code": "away"}}, status=503)
        if how:
            refused = [{"index": i, "reason": how, "message": ""} for i in range(len(items))]
            error = {"code": how, "message": "", "details": {"accepted": 0, "refused": refused}}
            return web.json_response({"error": error}, status=429 if how == "rate_limited" else 400)
        taken.extend(item["seq"] for item in items)
        return web.json_response({"accepted": len(items), "refused": []}, status=202)

    application = web.Application()
    application.router.add_post("/monitor/api/v1/heartbeats", answer)
    async with listen(application, HOST, 0) as listener:
        agent = Agent(write_agent(tmp_path / "pc", over_http(f"http://{HOST}:{listener.port}/monitor")))
        await asyncio.to_thread(agent.start)
        try:
            await wait_for_async(lambda: len(taken) > 3, 20, "beats")
        finally:
            # The goodbye is for a server that runs in this loop.
            await asyncio.to_thread(agent.stop)
    output = agent.tail()
    assert "the monitor answers 503 away" in output
    assert "the monitor refuses beats: malformed" in output
    # What was called malformed is given up, the rest came.
    assert sorted(taken) == list(range(min(taken), max(taken) + 1))
    assert min(taken) > 0
    assert "said goodbye" in output


async def test_over_tls_with_an_authority_of_our_own(made: Kit, tmp_path: Path) -> None:
    said: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        body = json.loads(await request.read())
        said.extend(item["version"] for item in (body if isinstance(body, list) else [body]) if "version" in item)
        return web.json_response({"accepted": 1, "refused": []}, status=202)

    application = web.Application()
    application.router.add_post("/api/v1/heartbeats", answer)
    certificate = make_certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.cert, certificate.key)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        port = free_port()
        await web.TCPSite(runner, HOST, port, ssl_context=context).start()
        conf = made.of("V2/pc") / "zhdj-beat.conf"
        text = re.sub(r"URL=.*", f"URL='https://{HOST}:{port}'", conf.read_text())
        conf.write_text(text)
        done = await asyncio.to_thread(made.sh, "V2/pc")
        assert "certificate" in done.stderr
        assert said == []
        conf.write_text(text.replace("CA_FILE=''", f"CA_FILE='{certificate.cert}'"))
        done = await asyncio.to_thread(made.sh, "V2/pc")
        assert (done.returncode, done.stderr) == (0, "")
        assert set(said) == {"sh 1"}

        path = write_agent(tmp_path / "pc", over_http(f"https://{HOST}:{port}"))
        agent = Agent(path)
        await asyncio.to_thread(agent.start)
        await wait_for_async(lambda: "certificate verify failed" in agent.output(), what="the refusal")
        await asyncio.to_thread(agent.kill)
        path.write_text(path.read_text().replace("[services]", f'ca_file = "{certificate.cert}"\n[services]'))
        await asyncio.to_thread(agent.start)
        await wait_for_async(lambda: any(one.startswith("agent ") for one in said), what="a beat")
        await asyncio.to_thread(agent.stop)
    finally:
        await runner.cleanup()


def _text(path: Path) -> str:
    return path.read_bytes().decode(errors="replace")
