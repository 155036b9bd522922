"""Ways out to people: robots of DingTalk, Feishu and WeCom, whatever apprise speaks, a gateway, a program.

Robots answer 200 with an `errcode` where they took nothing, and apprise (2.2) calls that sent; it also knows their
public addresses only, while counties have robots inside their own network. So the three are spoken to from here, and
everything else through apprise. Secrets are read from their files each time: a new one needs no restart.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import aiohttp

from monitor.clock import wall_ms
from monitor.core.roster import Duty
from monitor.settings import Outlet

#: Seconds for one message, whatever the way.
LIMIT_S = 20.0
#: For the switch outside: nothing else is sent meanwhile.
PING_S = 5.0
#: What a message may have, in UTF-8 bytes, without the names of who is on duty: what the robots take (WeCom 2,048),
#: seven parts of a short message, a page of mail.
LONGEST = {"dingtalk": 15_000, "feishu": 15_000, "wecom": 1_800, "apprise": 15_000, "http": 1_000, "command": 1_000}
#: Of an answer, what is read and what is told.
_READ, _TOLD = 65_536, 200
_SUBJECT = "智慧党建运行监测告警"
#: apprise's own ways to the three robots, which do not read what they answer.
_DEAF = re.compile(r"\s*(dingtalk|feishu|lark|wecombot)s?://", re.IGNORECASE)


class NotSent(Exception):
    """The way out did not take the message; the text says why, without secrets and numbers of people."""


async def send(outlet: Outlet, text: str, people: Sequence[Duty]) -> None:
    """Hand `text` over; `people`: who is on duty, to be named or addressed. Raises NotSent."""
    try:
        async with asyncio.timeout(LIMIT_S):
            await _WAYS[outlet.kind](outlet, text, people)
    except TimeoutError:
        raise NotSent(f"no answer within {LIMIT_S:g} s") from None
    except (aiohttp.InvalidURL, ValueError):
        raise NotSent(f"{outlet.url_file}: expected an address such as https://...") from None
    except (OSError, aiohttp.ClientError) as error:
        raise NotSent(_reason(error)) from None


def _reason(error: Exception) -> str:
    """Without the address, which may hold a key."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"cannot connect: {error.os_error.strerror or type(error.os_error).__name__}"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}{': ' + str(error.filename) if error.filename else ''}"
    return type(error).__name__


async def ping(url_file: str) -> None:
    """GET the address in the file: a dead man's switch somewhere else. Raises NotSent."""
    try:
        url = await _read(url_file)
        async with asyncio.timeout(PING_S), aiohttp.ClientSession(trust_env=True) as session, session.get(url) as r:
            if r.status >= 300:
                raise NotSent(f"status {r.status}")
    except TimeoutError:
        raise NotSent(f"no answer within {PING_S:g} s") from None
    except (OSError, ValueError, aiohttp.ClientError) as error:
        raise NotSent(_reason(error)) from None


async def _read(file: str) -> str:
    if not file:
        raise NotSent("no file is named in monitor.toml")
    text = (await asyncio.to_thread(Path(file).read_text, "utf-8")).strip()
    if not text:
        raise NotSent(f"{file} is empty")
    return text


def _mobiles(people: Sequence[Duty]) -> list[str]:
    return [d.mobile for d in people if d.mobile]


def _with_names(text: str, people: Sequence[Duty]) -> str:
    return f"{text}\n值班：{'、'.join(d.name for d in people)}" if people else text


async def _dingtalk(outlet: Outlet, text: str, people: Sequence[Duty]) -> None:
    url = await _read(outlet.url_file)
    if outlet.secret_file:
        at = str(wall_ms())
        secret = (await _read(outlet.secret_file)).encode()
        digest = hmac.digest(secret, f"{at}\n{secret.decode()}".encode(), hashlib.sha256)
        url += f"&timestamp={at}&sign={quote_plus(base64.b64encode(digest))}"
    mobiles = _mobiles(people)
    # Whoever is to be called must also stand in the text.
    text = _with_names(text, people) + "".join(f" @{m}" for m in mobiles)
    body = {"msgtype": "text", "text": {"content": text}, "at": {"atMobiles": mobiles, "isAtAll": False}}
    await _post(url, body, robot=True)


async def _feishu(outlet: Outlet, text: str, people: Sequence[Duty]) -> None:
    # `<at user_id="all">` in a text calls everybody, also where it is somebody's idea of a village's name.
    said = _with_names(text, people).replace("<", "\uff1c")
    body: dict[str, Any] = {"msg_type": "text", "content": {"text": said}}
    if outlet.secret_file:
        at = str(wall_ms() // 1000)
        digest = hmac.digest(f"{at}\n{await _read(outlet.secret_file)}".encode(), b"", hashlib.sha256)
        body |= {"timestamp": at, "sign": base64.b64encode(digest).decode()}
    await _post(await _read(outlet.url_file), body, robot=True)


async def _wecom(outlet: Outlet, text: str, people: Sequence[Duty]) -> None:
    said = {"content": _with_names(text, people), "mentioned_mobile_list": _mobiles(people)}
    await _post(await _read(outlet.url_file), {"msgtype": "text", "text": said}, robot=True)


async def _http(outlet: Outlet, text: str, people: Sequence[Duty]) -> None:
    headers = {"Authorization": f"Bearer {await _read(outlet.secret_file)}"} if outlet.secret_file else {}
    await _post(await _read(outlet.url_file), _for_programs(text, people), headers)


def _for_programs(text: str, people: Sequence[Duty]) -> dict[str, Any]:
    return {"mobiles": _mobiles(people), "mails": [d.mail for d in people if d.mail], "text": text}


async def _post(url: str, body: Any, headers: dict[str, str] | None = None, *, robot: bool = False) -> None:
    """An answer is a failure by its status, and by a code in its JSON that is not 0.

    A robot always says its code: 200 without one is somebody else's page, such as a proxy's that wants a sign-in.
    """
    data = json.dumps(body, ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json; charset=utf-8", **(headers or {})}
    async with (
        aiohttp.ClientSession(trust_env=True) as session,
        session.post(url, data=data, headers=headers, allow_redirects=False) as response,
    ):
        answer = await response.content.read(_READ)
    said = answer.decode("utf-8", "replace")
    if response.status >= 300:
        raise NotSent(f"status {response.status}: {said[:_TOLD]}")
    try:
        parsed = json.loads(said)
    except ValueError:
        parsed = None
    found = [parsed.get(name) for name in ("errcode", "code", "StatusCode")] if isinstance(parsed, dict) else []
    codes = [code for code in found if code is not None]
    if robot and not codes:
        raise NotSent(f"not a robot's answer: {said[:_TOLD]}")
    if any(code not in (0, "0") and (robot or code not in (200, "200")) for code in codes):
        raise NotSent(f"refused: {said[:_TOLD]}")


async def _apprise(outlet: Outlet, text: str, people: Sequence[Duty]) -> None:
    """`{mobiles}` and `{mails}` in the URL stand for those of whoever is on duty."""
    url = await _read(outlet.url_file)
    if _DEAF.match(url):
        raise NotSent(f"{outlet.url_file}: apprise does not read this robot's answers; use its kind and its https URL")
    for mark, found in (("{mobiles}", _mobiles(people)), ("{mails}", [d.mail for d in people if d.mail])):
        if mark in url:
            if not found:
                raise NotSent(f"nobody on duty has what {mark} stands for")
            url = url.replace(mark, quote(",".join(found), safe=",@+"))
    await asyncio.to_thread(_notify, url, _with_names(text, people))


def _notify(url: str, text: str) -> None:
    import apprise  # a second of importing, for those who use it

    way = apprise.Apprise()
    if not way.add(url):
        raise NotSent("apprise does not know this URL")
    with apprise.LogCapture(level=apprise.logging.WARNING) as log:  # type: ignore[no-untyped-call]
        if way.notify(body=text, title=_SUBJECT, body_format=apprise.NotifyFormat.TEXT):
            return
        said = (log.getvalue().strip().splitlines() or ["apprise could not send it"])[-1]
    raise NotSent(said[:_TOLD])


async def _command(outlet: Outlet, text: str, people: Sequence[Duty]) -> None:
    """JSON on its standard input; in its arguments everybody on the machine could read numbers."""
    process = await asyncio.create_subprocess_exec(
        *outlet.command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        data = json.dumps(_for_programs(text, people), ensure_ascii=False).encode()
        _, said = await process.communicate(data)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise NotSent(f"exit status {process.returncode}: {said.decode(errors='replace').strip()[-_TOLD:]}")


_WAYS = {
    "dingtalk": _dingtalk,
    "feishu": _feishu,
    "wecom": _wecom,
    "apprise": _apprise,
    "http": _http,
    "command": _command,
}
