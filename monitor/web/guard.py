"""Who may read /metrics, /healthz and /readyz: this machine, or the token's bearer; nobody else."""

from __future__ import annotations

from hmac import compare_digest
from ipaddress import IPv6Address, ip_address

from aiohttp import web
from pydantic import SecretStr

#: A request with one of these came through a proxy: the proxy being on this machine says nothing of who asks.
FORWARDED = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP")


def is_local(request: web.Request) -> bool:
    """Whether the client is on this machine and no proxy stands between."""
    if any(name in request.headers for name in FORWARDED):
        return False
    peer = request.transport.get_extra_info("peername") if request.transport is not None else None
    if not isinstance(peer, tuple):
        return False
    try:
        address = ip_address(str(peer[0]).partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback


def has_token(request: web.Request, token: SecretStr | None) -> bool:
    """Whether the request carries `Authorization: Bearer <token>`. Without a configured token nobody does."""
    expected = token.get_secret_value().encode() if token is not None else b""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if not expected or scheme.lower() != "bearer":
        return False
    return compare_digest(given.strip().encode("utf-8", "surrogateescape"), expected)


def require_reader(request: web.Request, token: SecretStr | None) -> None:
    """Raises HTTPForbidden for anybody but this machine and the token's bearer."""
    if not (is_local(request) or has_token(request, token)):
        raise web.HTTPForbidden
