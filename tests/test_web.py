"""The service's own endpoints, asked over real HTTP."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

import aiohttp
import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from pydantic import SecretStr

from monitor.intake.http_server import listen
from monitor.publish.views import Overview
from monitor.settings import Http, Settings
from monitor.web.frame import ApiError
from monitor.web.guard import FORWARDED, is_local
from monitor.web.server import create_app
from tests.told import FakeBoard, county_board, county_overview

TOKEN = "a-token-of-the-metrics"


class Client:
    """A session on one running application."""

    def __init__(self, session: aiohttp.ClientSession, board: FakeBoard) -> None:
        self.session = session
        self.board = board

    async def get(self, path: str, **headers: str) -> tuple[int, str, Any]:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.get(path, headers=sent) as answer:
            return answer.status, await answer.text(), answer.headers


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    board = county_board()

    async def load() -> Overview:
        return county_overview()

    app = create_app(board=board, settings=Settings(http=Http(metrics_token=SecretStr(TOKEN))), load_overview=load)

    async def fail(request: web.Request) -> web.Response:
        raise RuntimeError("secret inside")

    async def refuse(request: web.Request) -> web.Response:
        raise ApiError(422, "no_such_site", "没有这个站点", {"site": "x"})

    async def own_json(request: web.Request) -> web.Response:
        raise web.HTTPUnauthorized(text='{"error": {"code": "mine"}}', content_type="application/json")

    async def late(request: web.Request) -> web.Response:
        raise TimeoutError

    async def ping(request: web.Request) -> web.Response:
        return web.Response(text="OK")

    for path, handler in {
        "/api/fail": fail,
        "/fail": fail,
        "/api/refuse": refuse,
        "/api/own": own_json,
    }.items():
        app.router.add_get(path, handler)
    app.router.add_get("/late", late)
    app.router.add_get("/ping/{token}", ping)
    async with (
        listen(app, "127.0.0.1", 0) as listener,
        aiohttp.ClientSession(f"http://127.0.0.1:{listener.port}") as session,
    ):
        yield Client(session, board)


async def test_metrics_in_both_formats(client: Client) -> None:
    status, text, headers = await client.get("/metrics")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert text.count('state="offline"} 1') == 3
    status, text, headers = await client.get("/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert text.endswith("# EOF\n")


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz"])
async def test_only_this_machine_or_the_token_may_read(client: Client, path: str) -> None:
    assert (await client.get(path))[0] == 200
    for name in FORWARDED:
        assert (await client.get(path, **{name: "127.0.0.1"}))[0] == 403, name
    proxied = {"X_Forwarded_For": "10.0.0.7"}
    assert (await client.get(path, Authorization=f"Bearer {TOKEN}", **proxied))[0] == 200
    assert (await client.get(path, Authorization=f"bearer {TOKEN}", **proxied))[0] == 200
    for wrong in (f"Bearer {TOKEN}x", "Bearer ", "Bearer", f"Basic {TOKEN}", TOKEN, "Bearer \u00e4"):
        assert (await client.get(path, Authorization=wrong, **proxied))[0] == 403, wrong


@pytest.mark.parametrize(
    ("peer", "local"),
    [
        (("127.0.0.1", 1), True),
        (("127.8.8.8", 1), True),
        (("::1", 1, 0, 0), True),
        (("::ffff:127.0.0.1", 1, 0, 0), True),
        (("10.0.0.7", 1), False),
        (("::ffff:10.0.0.7", 1, 0, 0), False),
        (("fe80::1%eth0", 1, 0, 2), False),
        (("nonsense", 1), False),
        (None, False),
        ("", False),
    ],
)
def test_who_is_on_this_machine(peer: object, local: bool) -> None:
    class Transport:
        def get_extra_info(self, name: str, default: object = None) -> object:
            return peer if name == "peername" else default

    assert is_local(make_mocked_request("GET", "/", transport=Transport())) is local


async def test_ready_says_why_not(client: Client) -> None:
    assert '"ready": true' in (await client.get("/readyz"))[1]
    client.board.reasons = ["database: away for 12 s"]
    status, text, _ = await client.get("/readyz")
    assert status == 503
    assert "database: away for 12 s" in text
    assert (await client.get("/healthz"))[:2] == (200, "ok\n")


async def test_every_answer_has_the_security_headers(client: Client) -> None:
    for path in ("/", "/metrics", "/no/such", "/api/none", "/static/overview.css", "/fail"):
        _, _, headers = await client.get(path)
        policy = headers["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert "aiohttp" not in headers["Server"]
        kept = "max-age" in headers["Cache-Control"]
        assert kept == path.startswith("/static/")


async def test_errors_are_json_on_api_and_a_page_elsewhere(client: Client) -> None:
    async with client.session.get("/api/v1/none") as answer:
        assert answer.status == 404
        assert await answer.json() == {"error": {"code": "not_found", "message": "Not Found", "details": {}}}
    async with client.session.get("/api/refuse") as answer:
        assert answer.status == 422
        body = await answer.json()
        assert body == {"error": {"code": "no_such_site", "message": "没有这个站点", "details": {"site": "x"}}}
    async with client.session.get("/api/own") as answer:
        assert (answer.status, await answer.json()) == (401, {"error": {"code": "mine"}})
    status, text, headers = await client.get("/no/<script>such")
    assert status == 404
    assert headers["Content-Type"].startswith("text/html")
    assert "页面不存在" in text
    assert "such" not in text
    async with client.session.post("/") as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "GET,HEAD")
    assert (await client.get("/late"))[0] == 503


@pytest.mark.parametrize("path", ["/fail", "/api/fail"])
async def test_what_went_wrong_inside_stays_inside(client: Client, path: str) -> None:
    with structlog.testing.capture_logs() as logs:
        status, text, _ = await client.get(path)
    assert status == 500
    assert "secret" not in text
    assert [line["route"] for line in logs if line["event"] == "http_error"] == [path]


async def test_the_access_log_shows_routes_and_no_tokens(client: Client) -> None:
    with structlog.testing.capture_logs() as logs:
        for path in ("/ping/s3cret?rid=s3cret", "/s3cret", "/static/overview.css?v=s3cret"):
            await client.get(path)
        await wait_for_lines(logs, 3)
    lines = [line for line in logs if line["event"] == "http_request"]
    assert [line["route"] for line in lines] == ["/ping/{token}", "(no route)", "/static"]
    assert "s3cret" not in str(logs)


async def wait_for_lines(logs: list[MutableMapping[str, Any]], n: int) -> None:
    """The access log is written just after the answer has gone out."""
    async with asyncio.timeout(5):
        while sum(line["event"] == "http_request" for line in logs) < n:
            await asyncio.sleep(0.005)


async def test_static_links_name_their_content(client: Client) -> None:
    _, page, _ = await client.get("/")
    links = re.findall(r'(?:href|src)="(/static/[^"]+)"', page)
    assert len(links) == 3
    for link in links:
        assert re.search(r"\?v=[0-9a-f]{10}$", link)
        assert (await client.get(link))[0] == 200
    assert (await client.get("/static/../server.py"))[0] == 404
    assert (await client.get("/static/"))[0] in (403, 404)
