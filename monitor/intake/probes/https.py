"""Does a web page answer over TLS, and until when does its certificate hold? 2xx and 3xx do; no redirect is followed.

A certificate that does not hold (expired, for another name, signed by nobody who is trusted) is a failure, as it is
for everybody who opens the page; `#noverify` at the end of the target takes any. When it expires is told in each
case, and matters most in the first one.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from urllib.parse import urlsplit

import aiohttp

from monitor.intake.probes.http import PeerResponse, failed
from monitor.intake.probes.tools import ProbeResult, Tools
from monitor.inventory.targets import https_target


async def probe_https(tools: Tools, target: str, timeout_s: float) -> ProbeResult:
    """`target`: a URL. The body is not read. Raises OSError; the caller keeps the time."""
    url, verify = https_target(target)
    try:
        async with tools.session().get(url, allow_redirects=False, ssl=await tools.tls(verify)) as answer:
            peer = answer.certificate if isinstance(answer, PeerResponse) else None
            return ProbeResult(200 <= answer.status < 400, f"status {answer.status}", expiry(peer))
    except aiohttp.ClientConnectorCertificateError as error:
        why = getattr(error.certificate_error, "verify_message", "") or "does not hold"
        peer = await _certificate(tools, url, timeout_s / 2)
        return ProbeResult(False, f"certificate: {why}"[:120], expiry(peer))
    except aiohttp.ClientSSLError as error:
        reason = error.os_error.reason if isinstance(error.os_error, ssl.SSLError) else ""
        return ProbeResult(False, f"TLS: {str(reason or 'no agreement').lower().replace('_', ' ')}"[:120])
    except (aiohttp.ClientError, ValueError) as error:
        return failed(error)


def make_context(verify: bool) -> ssl.SSLContext:
    """The system's authorities (SSL_CERT_FILE names others), or any certificate and whatever TLS a device has."""
    import cryptography.x509  # noqa: F401  # for `expiry`, here in the thread that this is made in

    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        # Short keys and old versions are common in devices; nothing secret is said to them.
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def expiry(certificate: bytes | None) -> int | None:
    """When a certificate (DER) ends, ms; None where there is none or it cannot be read."""
    if not certificate:
        return None
    from cryptography import x509  # 8 MB that only who probes HTTPS must hold

    try:
        return int(x509.load_der_x509_certificate(certificate).not_valid_after_utc.timestamp() * 1000)
    except (ValueError, TypeError, x509.InvalidVersion):
        return None  # devices make curious certificates: what it says of its end is not known then


async def _certificate(tools: Tools, url: str, limit_s: float) -> bytes | None:
    """The certificate that was not accepted. Shakes hands once more and says nothing."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 443
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(limit_s):
            _, (address, _) = await tools.resolve(host, port)
            transport, _ = await asyncio.get_running_loop().create_connection(
                asyncio.Protocol, address, port, ssl=await tools.tls(False), server_hostname=host
            )
            try:
                peer: bytes | None = transport.get_extra_info("ssl_object").getpeercert(True)
                return peer
            finally:
                transport.abort()
    return None
