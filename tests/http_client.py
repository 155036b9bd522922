"""The HTTP intake on a port of its own, with some tokens and a client."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web

from monitor.core.token import DEVICE, PING, RELAY, hash_token
from monitor.intake.http import HttpIntake
from monitor.intake.http_server import Listener, listen
from monitor.intake.tokens import Token, Tokens
from tests.recorder import Recorder
from tests.services import HOST

TOKENS = {
    "of-s1-pc": (DEVICE, ["s1/pc"]),
    "of-relay": (RELAY, ["s1/tv", "s2/tv"]),
    "ping-s1-pc": (PING, ["s1/pc"]),
}
BEATS = "/api/v1/heartbeats"


class Intake:
    """The listener, what it heard, and a client."""

    def __init__(self, listener: Listener, recorder: Recorder, session: aiohttp.ClientSession) -> None:
        self.listener = listener
        self.recorder = recorder
        self.session = session
        self.base = f"http://{HOST}:{listener.port}"

    async def ask(self, method: str, path: str, **more: Any) -> tuple[int, Any]:
        async with self.session.request(method, self.base + path, **more) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if answer.content_type == "application/json" else text

    async def post(self, token: str, body: Any) -> tuple[int, Any]:
        data: Any = body if isinstance(body, bytes) else json.dumps(body).encode()
        data = io.BytesIO(data) if len(data) > 100_000 else data
        return await self.ask("POST", BEATS, data=data, headers={"Authorization": f"Bearer {token}"})


@asynccontextmanager
async def running(recorder: Recorder, *, body_s: float = 5.0, **more: Any) -> AsyncIterator[Intake]:
    rows = [
        Token(kind, hash_token(text), frozenset((t.split("/")[0], t.split("/")[1]) for t in terminals))
        for text, (kind, terminals) in TOKENS.items()
    ]
    app = web.Application()
    HttpIntake(recorder, Tokens(rows, recorder.clock), body_s=body_s).add_to(app)
    async with listen(app, HOST, 0, **more) as listener, aiohttp.ClientSession() as session:
        yield Intake(listener, recorder, session)
