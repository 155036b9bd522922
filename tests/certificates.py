"""Certificates as a test needs them: of an authority of its own, expired, for another name, signed by itself."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

#: Certificates hold whole seconds.
NOW = datetime.now(UTC).replace(microsecond=0)
YEAR = timedelta(days=365)


@dataclass(frozen=True)
class Leaf:
    """PEM files of a server; `expiry`: ms."""

    cert: Path
    key: Path
    expiry: int

    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        return context


class Authority:
    """Signs what is asked; `cert` is what a client must trust."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test's authority")])
        self._made = 0
        made = _builder(self._name, self._name, self._key.public_key(), NOW - YEAR, NOW + YEAR)
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.cert = folder / "authority.pem"
        self.cert.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))

    def sign(self, host: str, *, expires: datetime = NOW + YEAR, by_itself: bool = False) -> Leaf:
        """For a name or an address."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a device")])
        made = _builder(name, name if by_itself else self._name, key.public_key(), NOW - 2 * YEAR, expires)
        made = made.add_extension(x509.SubjectAlternativeName([_general_name(host)]), critical=False)
        self._made += 1
        leaf = Leaf(
            self._folder / f"{self._made}.pem", self._folder / f"{self._made}.key", int(expires.timestamp()) * 1000
        )
        signed = made.sign(key if by_itself else self._key, hashes.SHA256())
        leaf.cert.write_bytes(signed.public_bytes(Encoding.PEM))
        leaf.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return leaf


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, begins: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(
        issuer, subject, key, x509.random_serial_number(), not_valid_before=begins, not_valid_after=ends
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
