"""Sealed reports in the database. A chain (tag `report`): a row is written once and never changed.

The facts are kept as the canonical JSON that they are (flows/reports/facts_json.py), compressed: a county's month is
about a megabyte and a tenth of that packed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import zstandard
from sqlalchemy import Row, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.core.chain import BEGINNING, Record
from monitor.core.report_figures import Difference
from monitor.store import chains
from monitor.store.tables import chain_head, report

TAG = "report"
MONTH = "month"
#: Unpacked, of 150,000 terminals.
MAX_BYTES = 1 << 30

State = Literal["sealed", "restated"]


@dataclass(frozen=True, slots=True)
class Kept:
    """A sealed report without its facts. `approval`: of one that sealed itself, the number of the audit record."""

    n: int
    kind: str
    period: str
    revision: int
    state: State
    at_ms: int
    sealed_by: str
    approval: int | None
    reason: str
    rules: str
    software: str
    previous: str
    sha256: str
    hash: str


_FIELDS = [report.c[name] for name in Kept.__dataclass_fields__]


class Packed(NamedTuple):
    """Something compressed, and the SHA-256 (hex) of what it was."""

    data: bytes
    sha256: str


@dataclass(frozen=True, slots=True)
class Sealed:
    """What becomes a row."""

    period: str
    revision: int
    at_ms: int
    sealed_by: str
    approval: int | None
    reason: str
    rules: str
    software: str
    facts: Packed
    differences: Packed


async def append(connection: AsyncConnection, sealed: Sealed) -> Kept:
    """In the caller's transaction, which holds the chain (`chains.hold`) since it looked what there is."""
    previous = await newest_hash(connection)
    values: dict[str, Any] = {
        "kind": MONTH,
        "period": sealed.period,
        "revision": sealed.revision,
        "state": "restated" if sealed.revision else "sealed",
        "at_ms": sealed.at_ms,
        "sealed_by": sealed.sealed_by,
        "approval": sealed.approval,
        "reason": sealed.reason,
        "rules": sealed.rules,
        "software": sealed.software,
        "previous": previous,
        "sha256": sealed.facts.sha256,
    }
    body = {"v": 1, "tag": TAG, **values, "differences": sealed.differences.sha256}
    made = await chains.append(connection, TAG, body)
    packed = {"facts": sealed.facts.data, "differences": sealed.differences.data}
    await connection.execute(insert(report).values(**values, **packed, n=made.n, hash=made.hash))
    return Kept(n=made.n, hash=made.hash, **values)


async def newest_hash(connection: AsyncConnection) -> str:
    """Of the newest report on the chain; what stands before the first where there is none."""
    found = await connection.execute(select(chain_head.c.hash).where(chain_head.c.tag == TAG, chain_head.c.n > 0))
    return found.scalar() or BEGINNING


async def records(connection: AsyncConnection, tag: str, after: int, limit: int) -> list[Record]:
    """Up to `limit` reports with a number greater than `after`, by number; hashes of the facts as they lie there."""
    # One at a time: each may be megabytes.
    numbers = select(report.c.n).where(report.c.n > after).order_by(report.c.n).limit(min(limit, 500))
    result = []
    for n in (await connection.execute(numbers)).scalars().all():
        row = (await connection.execute(select(report).where(report.c.n == n))).one()
        result.append(Record(row.n, body(row), row.hash))
    return result


def body(row: Row[Any]) -> dict[str, Any]:
    """What the hash of a row covers: everything of it."""
    of_facts = _digest(row.facts)
    return {
        "v": 1,
        "tag": TAG,
        "at_ms": row.at_ms,
        "kind": row.kind,
        "period": row.period,
        "revision": row.revision,
        "state": row.state,
        "sealed_by": row.sealed_by,
        "approval": row.approval,
        "reason": row.reason,
        "rules": row.rules,
        "software": row.software,
        "previous": row.previous,
        # Of the facts themselves: what is said of them beside them must be the same.
        "sha256": of_facts if of_facts == row.sha256 else "",
        "differences": _digest(row.differences),
    }


async def listed(connection: AsyncConnection) -> list[Kept]:
    """All of them, in the order in which they were sealed."""
    return [_kept(row) for row in await connection.execute(select(*_FIELDS).order_by(report.c.n))]


async def in_force(connection: AsyncConnection) -> list[Kept]:
    """Of each period the newest revision, by period."""
    newest: dict[str, Kept] = {}
    for kept in await listed(connection):
        if kept.period not in newest or kept.revision > newest[kept.period].revision:
            newest[kept.period] = kept
    return [newest[period] for period in sorted(newest)]


async def newest(connection: AsyncConnection, period: str, revision: int | None = None) -> Kept | None:
    """A period's newest revision, or the one that is asked for."""
    query = select(*_FIELDS).where(report.c.kind == MONTH, report.c.period == period)
    if revision is not None:
        query = query.where(report.c.revision == revision)
    row = (await connection.execute(query.order_by(report.c.revision.desc()).limit(1))).one_or_none()
    return None if row is None else _kept(row)


async def facts(connection: AsyncConnection, n: int) -> bytes:
    """The facts of the report `n`: canonical JSON, byte for byte what was sealed."""
    return _unpack((await connection.execute(select(report.c.facts).where(report.c.n == n))).scalar_one())


async def differences(connection: AsyncConnection, n: int) -> list[Difference]:
    """To the revision before."""
    packed = (await connection.execute(select(report.c.differences).where(report.c.n == n))).scalar_one()
    return [Difference(*one) for one in json.loads(_unpack(packed))]


def _kept(row: Any) -> Kept:
    return Kept(*row)


def pack(pieces: Iterable[bytes]) -> Packed:
    """Piece by piece: a large county's facts are hundreds of megabytes."""
    digest, packer, packed = hashlib.sha256(), zstandard.ZstdCompressor(level=6).compressobj(), bytearray()
    for piece in pieces:
        digest.update(piece)
        packed += packer.compress(piece)
    packed += packer.flush()
    return Packed(bytes(packed), digest.hexdigest())


def pack_differences(found: Sequence[Difference]) -> Packed:
    """As JSON."""
    return pack([json.dumps([list(one) for one in found], ensure_ascii=False, separators=(",", ":")).encode()])


def _unpack(packed: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(packed, max_output_size=MAX_BYTES)


def _digest(packed: bytes) -> str:
    """SHA-256 (hex) of what is packed, "" where it is damaged."""
    try:
        return hashlib.sha256(_unpack(packed)).hexdigest()
    except zstandard.ZstdError:
        return ""
