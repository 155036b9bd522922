"""Beats over HTTP: batches, refusals by reason, pings of other conventions; once with real curl."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress

import aiohttp
import pytest
from healthchecks_io import AsyncClient, CheckNotFoundError

from tests.http_client import BEATS, Intake, running
from tests.recorder import Recorder
from tests.services import program


@pytest.fixture
async def intake() -> AsyncIterator[Intake]:
    async with running(Recorder()) as made:
        yield made


async def test_one_beat(intake: Intake) -> None:
    beat = {
        "site": "s1",
        "terminal": "pc",
        "boot": 7,
        "seq": 1,
        "sent_at": 1790812800000,
        "services": {"learning": "ok"},
    }
    assert await intake.post("of-s1-pc", beat) == (202, {"accepted": 1, "refused": [], "refused_total": 0})
    assert intake.recorder.beats == [
        {"site": "s1", "terminal": "pc", "via": "http", "boot": "7", "seq": 1}
        | {"sent_at": 1790812800000, "services": {"learning": "ok"}}
    ]


async def test_a_relay_s_batch_is_taken_in_parts(intake: Intake) -> None:
    batch = [
        {"site": "s1", "terminal": "tv"},
        {"site": "s1", "terminal": "pc"},
        {"site": "s2", "terminal": "tv", "seq": "three"},
        {"site": "s2", "terminal": "tv", "status": "off"},
        {"site": "s1", "terminal": "tv", "status": "offline"},
        {"site": "s2", "terminal": "tv", "status": "online"},
    ]
    status, answer = await intake.post("of-relay", batch)
    assert status == 202
    assert answer["accepted"] == 4
    assert [(r["index"], r["reason"]) for r in answer["refused"]] == [(1, "forbidden"), (2, "malformed")]
    assert intake.recorder.who == [("s1", "tv"), ("s2", "tv")]
    assert intake.recorder.wills == [("s2", "tv", "http", True), ("s1", "tv", "http", False)]
    assert intake.recorder.refused == {("http", "forbidden"): 1, ("http", "malformed"): 1}


async def test_a_device_speaks_for_its_own_terminal_only(intake: Intake) -> None:
    status, answer = await intake.post("of-s1-pc", {"site": "s2", "terminal": "pc"})
    assert status == 403
    assert answer["error"]["code"] == "forbidden"
    assert intake.recorder.beats == []


@pytest.mark.parametrize("token", ["guess", "ping-s1-pc", "", "x" * 5000 + "é"])
async def test_no_token_no_beat(intake: Intake, token: str) -> None:
    with suppress(aiohttp.ClientError):  # a header of 5,000 bytes is refused by aiohttp itself
        status, answer = await intake.post(token[:3000], {"site": "s1", "terminal": "pc"})
        assert (status, answer["error"]["code"]) == (401, "unauthorized")
    assert intake.recorder.beats == []


async def test_what_the_rules_refuse_is_answered(intake: Intake) -> None:
    intake.recorder.answers["s1", "pc"] = "unknown_terminal"
    status, answer = await intake.post("of-s1-pc", {"site": "s1", "terminal": "pc"})
    assert (status, answer["error"]["code"]) == (422, "unknown_terminal")
    # The observer counted it already.
    assert not intake.recorder.refused


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "malformed"),
        (b"[]", 400, "malformed"),
        (b"{", 400, "malformed"),
        (b"\xff\xfe", 400, "malformed"),
        (b"[" * 100_000, 400, "malformed"),
        (b'{"site":"s1","terminal":"pc","x":"' + b"y" * 2000 + b'"}', 413, "too_large"),
        (b"[" + b"{}," * 1000 + b"{}]", 413, "too_large"),
        (b"x" * 10_000_000, 413, "too_large"),
    ],
)
async def test_bad_bodies(intake: Intake, body: bytes, status: int, code: str) -> None:
    try:
        got, answer = await intake.post("of-s1-pc", body)
    except aiohttp.ClientConnectionError:
        # It answered and hung up while we were still sending.
        assert len(body) > 1_000_000
    else:
        assert (got, answer["error"]["code"]) == (status, code)
    assert intake.recorder.refused == {("http", code): 1}


async def test_a_thousand_at_once(intake: Intake) -> None:
    batch = [{"site": "s1", "terminal": "pc", "seq": i} for i in range(1000)]
    status, answer = await intake.post("of-s1-pc", batch)
    assert (status, answer["accepted"]) == (202, 1000)
    status, answer = await intake.post("of-s1-pc", batch)
    assert answer.get("error", {"code": "rate_limited"})["code"] == "rate_limited"
    assert intake.recorder.refused["http", "rate_limited"] > 800
    # Others do not wait for it.
    assert (await intake.post("of-relay", {"site": "s1", "terminal": "tv"}))[0] == 202


async def test_a_compressed_body_is_refused(intake: Intake) -> None:
    headers = {"Authorization": "Bearer of-s1-pc", "Content-Encoding": "gzip"}
    status, answer = await intake.ask("POST", BEATS, data=b"x", headers=headers)
    assert (status, answer["error"]["code"]) in ((415, "unsupported"), (400, "malformed"))


async def test_guessing_tokens_is_limited(intake: Intake) -> None:
    statuses = [(await intake.ask("GET", f"/ping/guess{i}"))[0] for i in range(70)]
    assert statuses[0] == 404
    assert statuses[-1] == 429
    assert (await intake.ask("GET", "/ping/ping-s1-pc"))[0] == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize(
    ("signal", "beats", "wills"),
    [
        ("", 1, 0),
        ("/start", 1, 0),
        ("/0", 1, 0),
        ("/log", 0, 0),
        ("/fail", 0, 1),
        ("/1", 0, 1),
        ("/255", 0, 1),
    ],
)
async def test_healthchecks_pings(intake: Intake, method: str, signal: str, beats: int, wills: int) -> None:
    body = {"data": b"a log\n" * 100} if method == "POST" else {}
    status, text = await intake.ask(method, f"/ping/ping-s1-pc{signal}?rid=1", **body)
    assert (status, text) == (200, "" if method == "HEAD" else "OK")
    assert intake.recorder.who == [("s1", "pc")] * beats
    assert intake.recorder.wills == [("s1", "pc", "http", True)] * wills
    assert intake.recorder.count("alive") == (signal == "/log")


@pytest.mark.parametrize("path", ["/ping/of-s1-pc", "/ping/x", "/ping/ping-s1-pc/other", "/ping/ping-s1-pc/-1"])
async def test_other_pings_are_not_found(intake: Intake, path: str) -> None:
    assert (await intake.ask("GET", path))[0] == 404
    assert intake.recorder.beats == []


async def test_an_exit_code_is_a_byte(intake: Intake) -> None:
    assert (await intake.ask("GET", "/ping/ping-s1-pc/256"))[0] == 400


async def test_uptime_kuma_pushes(intake: Intake) -> None:
    for query in ("?status=up&msg=OK&ping=", "", "?ping=12"):
        assert await intake.ask("GET", f"/api/push/ping-s1-pc{query}") == (200, {"ok": True})
    assert await intake.ask("GET", "/api/push/ping-s1-pc?status=down&msg=bye") == (200, {"ok": True})
    assert intake.recorder.who == [("s1", "pc")] * 3
    assert intake.recorder.wills == [("s1", "pc", "http", True)]
    status, answer = await intake.ask("GET", "/api/push/of-s1-pc?status=up")
    assert status == 404
    assert answer["ok"] is False
    assert answer["error"]["code"] == "unauthorized"


async def test_real_curl(intake: Intake) -> None:
    curl = await asyncio.create_subprocess_exec(
        *(program("curl"), "-sS", "-m", "10", "-X", "POST", "-H", "Authorization: Bearer of-s1-pc"),
        *("-H", "Content-Type: application/json", "-d", '{"site":"s1","terminal":"pc","seq":1}'),
        intake.base + BEATS,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await curl.communicate()
    assert json.loads(out)["accepted"] == 1
    assert intake.recorder.beats[0]["seq"] == 1


async def test_a_healthchecks_client_of_others(intake: Intake) -> None:
    async with AsyncClient(ping_url=f"{intake.base}/ping/") as client:
        for ping in (client.start_ping, client.success_ping, client.fail_ping):
            assert await ping(uuid="ping-s1-pc", data="a log") == (True, "OK")
        assert await client.exit_code_ping(0, uuid="ping-s1-pc") == (True, "OK")
        with pytest.raises(CheckNotFoundError):
            await client.success_ping(uuid="guess")
    assert intake.recorder.who == [("s1", "pc")] * 3
    assert intake.recorder.wills == [("s1", "pc", "http", True)]
