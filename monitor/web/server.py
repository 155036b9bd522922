"""The HTTP side of the service: /metrics, /healthz, /readyz and the pages. Beats are added by intake/."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

from aiohttp import web

from monitor.publish import metrics
from monitor.publish.views import Telling
from monitor.settings import Settings
from monitor.web import frame, overview
from monitor.web.guard import require_reader

STATIC = Path(__file__).parent / "static"
#: Of a body, in bytes: 1,000 beats of 1 KiB each fit.
LARGEST_BODY = 2 * 1024 * 1024


def create_app(*, board: Telling, settings: Settings, load_overview: overview.Load) -> web.Application:
    """The application without its beats: the caller adds their routes and listens (intake/http_server.py).

    `load_overview` answers from the database; it is asked at most every two seconds, however many look.
    """
    app = web.Application(middlewares=[frame.errors], client_max_size=LARGEST_BODY)
    app.on_response_prepare.append(frame.add_headers)
    token = settings.http.metrics_token

    async def get_metrics(request: web.Request) -> web.Response:
        require_reader(request, token)
        openmetrics = metrics.wants_openmetrics(",".join(request.headers.getall("Accept", [])))
        # Some thousand terminals take longer than a beat may wait: in slices, and beats come in between.
        body = bytearray()
        for text in metrics.chunks(board, openmetrics=openmetrics, coverage_min=settings.maintenance.coverage_min):
            body += text.encode()
            await asyncio.sleep(0)
        content_type = metrics.OPENMETRICS_TYPE if openmetrics else metrics.TEXT_TYPE
        return web.Response(body=bytes(body), headers={"Content-Type": content_type, "Vary": "Accept"})

    async def get_healthz(request: web.Request) -> web.Response:
        require_reader(request, token)
        return web.Response(text="ok\n")

    async def get_readyz(request: web.Request) -> web.Response:
        require_reader(request, token)
        reasons = board.ready()
        warnings = [f"{part}: {what}" for part, what in board.warnings.items()]
        said = {"ready": not reasons, "reasons": reasons, "warnings": warnings}
        return web.json_response(said, status=503 if reasons else 200)

    app.router.add_get("/metrics", get_metrics)
    app.router.add_get("/healthz", get_healthz)
    app.router.add_get("/readyz", get_readyz)
    app.router.add_get("/", overview.page(load_overview, settings, static_links()))
    app.router.add_static("/static", STATIC)
    return app


def static_links() -> dict[str, str]:
    """File name -> link that changes when the file does, so that browsers may keep it."""
    return {
        path.name: f"/static/{path.name}?v={hashlib.sha256(path.read_bytes()).hexdigest()[:10]}"
        for path in sorted(STATIC.iterdir())
        if path.is_file()
    }
