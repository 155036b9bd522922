"""All chains there are: by what their tags begin with, how they are read from their rows.

A new chain is a table, a file in store/ with `append` and `records`, and a line here: then `verify` walks it, its heads
are anchored, and `archive` writes it out.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping

from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.core.chain import Record
from monitor.store import audit, evidence_days, reports
from monitor.store.chains import Reader
from monitor.store.ledger import chain as ledger

#: Up to the first `/` of a tag.
CHAINS: Mapping[str, Reader] = {
    audit.TAG: audit.records,
    evidence_days.TAG: evidence_days.records,
    ledger.TAG: ledger.records,
    reports.TAG: reports.records,
}
#: Records of one query.
AT_ONCE = 5_000
_BEFORE_ALL = -(1 << 62)


def reader_of(tag: str) -> Reader | None:
    """How the chain is read, None for one that this version does not know."""
    return CHAINS.get(tag.partition("/")[0])


def tags_of(observer: str, *known: Iterable[str]) -> list[str]:
    """The chains to look for: those that have one tag, this observer's, and whatever is known of from elsewhere."""
    whole = {name for name in CHAINS if name != evidence_days.TAG} | {evidence_days.tag_of(observer)}
    return sorted(whole.union(*known))


async def records(connection: AsyncConnection, tag: str) -> AsyncIterator[list[Record]]:
    """A chain's records by number, some at a time; none of a chain that this version does not know."""
    reader = reader_of(tag)
    after = _BEFORE_ALL
    while reader is not None and (some := await reader(connection, tag, after, AT_ONCE)):
        yield some
        after = some[-1].n
