"""What surrounds every answer: error bodies and security headers. The access log is intake/http_server's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

log = structlog.get_logger("monitor.web")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

TEMPLATES = Environment(
    loader=PackageLoader("monitor.web"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "zhdj-monitor",
}

#: What a page says of an error. What went wrong inside stands in the log, never on the page.
_SAID = {
    400: ("请求无法识别", "请检查地址和填写的内容后重试。"),
    401: ("需要登录", "请先登录。"),
    403: ("没有权限", "此地址只对本机或持有令牌的程序开放。"),
    404: ("页面不存在", "地址可能有误，或内容已经移走。"),
    405: ("不支持这种访问方式", "请从首页重新进入。"),
    413: ("内容过大", "请减少内容后重试。"),
    429: ("访问过于频繁", "请稍后再试。"),
    503: ("暂时无法提供服务", "数据库或其他部件暂时不可用，监测仍在继续。请稍后刷新。"),
}
_SAID_OTHERWISE = ("服务出现错误", "错误已记入日志。请稍后重试；仍不能恢复时请联系管理员。")


class ApiError(Exception):
    """Raised by a handler under /api: answered as `{"error": {"code", "message", "details"}}`."""

    def __init__(self, status: int, code: str, message: str, details: Any = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.details = status, code, message, details


def error_response(
    request: web.Request, status: int, code: str = "", message: str = "", details: Any = None
) -> web.Response:
    """JSON under /api, a small page elsewhere. Nothing of the request is repeated in it."""
    if request.path == "/api" or request.path.startswith("/api/"):
        phrase = HTTPStatus(status)
        error = {
            "code": code or phrase.name.lower(),
            "message": message or phrase.phrase,
            "details": details or {},
        }
        return web.json_response({"error": error}, status=status)
    title, hint = _SAID.get(status, _SAID_OTHERWISE)
    page = TEMPLATES.get_template("error.html").render(status=status, title=title, hint=hint)
    return web.Response(text=page, status=status, content_type="text/html")


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns what handlers raise into answers. An HTTPException that brings its own JSON goes out as it is."""
    try:
        return await handler(request)
    except ApiError as error:
        return error_response(request, error.status, error.code, error.message, error.details)
    except web.HTTPException as error:
        if error.status < 400 or error.content_type == "application/json":
            raise
        response = error_response(request, error.status)
        for name in ("Allow", "Retry-After", "WWW-Authenticate"):
            if name in error.headers:
                response.headers[name] = error.headers[name]
        return response
    except TimeoutError:
        log.warning("http_timeout", route=route_of(request))
        return error_response(request, 503)
    except Exception:
        # A request must not end the service; what happened is in the log, with the route only.
        log.exception("http_error", route=route_of(request), method=request.method)
        return error_response(request, 500)


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Signal on_response_prepare: security headers on everything; only static files may be kept."""
    response.headers.update(SECURITY_HEADERS)
    static = request.path.startswith("/static/") and response.status < 400
    response.headers.setdefault("Cache-Control", "public, max-age=86400" if static else "no-store")


def route_of(request: object) -> str:
    """The pattern that a request matched, `/ping/{token}`, or `-`. Never the path: it may hold a token."""
    match = getattr(request, "match_info", None)
    resource = match.route.resource if isinstance(match, web.UrlMappingMatchInfo) else None
    return resource.canonical if resource is not None else "-"
