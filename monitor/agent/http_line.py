"""Beats over HTTP: one object, or an array of those that waited (docs/interfaces.md, POST /api/v1/heartbeats)."""

from __future__ import annotations

import http.client
import json
import logging
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from monitor.agent.beats import Beat
from monitor.agent.config import Config, Server
from monitor.agent.line import ANSWER_S, LineDown, trust

PATH = "/api/v1/heartbeats"
#: Of an answer. It lists a hundred refusals at most.
MOST_BYTES = 100_000
#: Answers that will not change, however often the same is sent.
_HOPELESS = (400, 413, 422)
#: Reasons of refusals that pass.
_LATER = ("rate_limited", "log_full", "clock_behind")

log = logging.getLogger("zhdj.agent")


class HttpLine:
    """A connection for each request: there is one a minute. Redirects are not followed: the token is for this
    server."""

    def __init__(self, config: Config, server: Server) -> None:
        self.batch = 100
        self._config = config
        self._server = server

    def open(self) -> None:
        pass

    def check(self) -> None:
        pass

    def close(self) -> None:
        pass

    def send(self, beats: Sequence[Beat]) -> Sequence[Beat]:
        items = [self._item(dict(beat.fields)) for beat in beats]
        status, answer = self._post(items[0] if len(items) == 1 else items)
        details = answer if status == 202 else _below(_below(answer, "error"), "details")
        refused = details.get("refused", [])
        if status != 202 and not (status in (*_HOPELESS, 429) and refused):
            reason = _below(answer, "error").get("code") or http.client.responses.get(status, "")
            if status not in _HOPELESS:
                # A wrong token too: it may be put right, and what waits then fills the gap.
                raise LineDown(f"the monitor answers {status} {reason}")
            log.error("given up: %d beats: %s %s", len(beats), status, reason)
            return ()
        later = {r["index"] for r in refused if r.get("reason") in _LATER}
        for reason in {str(r.get("reason")) for r in refused if r["index"] not in later}:
            log.error("the monitor refuses beats: %s", reason)
        return [beat for index, beat in enumerate(beats) if index in later]

    def goodbye(self) -> None:
        status, _ = self._post(self._item({"status": "off"}))
        if status != 202:
            raise LineDown(f"the monitor answers {status}")

    def _item(self, fields: dict[str, Any]) -> dict[str, Any]:
        return {"site": self._config.site, "terminal": self._config.terminal, **fields}

    def _post(self, body: Any) -> tuple[int, dict[str, Any]]:
        parts = urlsplit(self._server.url)
        host = str(parts.hostname)
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            context = trust(self._server.ca_file)
            connection = http.client.HTTPSConnection(host, parts.port, timeout=ANSWER_S, context=context)
        else:
            connection = http.client.HTTPConnection(host, parts.port, timeout=ANSWER_S)
        try:
            headers = {"Authorization": f"Bearer {self._config.token()}", "Content-Type": "application/json"}
            data = json.dumps(body, separators=(",", ":")).encode()
            connection.request("POST", parts.path + PATH, data, headers)
            answer = connection.getresponse()
            text = answer.read(MOST_BYTES)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise LineDown(str(error) or type(error).__name__) from None
        finally:
            connection.close()
        try:
            found = json.loads(text)
        except ValueError:
            found = {}
        return answer.status, found if isinstance(found, dict) else {}


def _below(value: dict[str, Any], key: str) -> dict[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}
