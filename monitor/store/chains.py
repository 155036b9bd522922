"""Writing chains: one writer each, because the head's row is locked from a record's number to its commit.

A chain's records stand in a table of their own, with a column for every value of the body; `n` and `hash` stand beside
them. What a chain's body is and how it is read back says the file of its table (store/audit.py is an example), and
flows/chains.py has the list of all chains.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from sqlalchemy import bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.core.chain import BEGINNING, Link, Record, canonical, link, rendered
from monitor.store.database import insert_into
from monitor.store.tables import chain_head

#: Reads a chain from its rows: up to so many records of the chain `tag` with a number greater than the given one, by
#: number. Bodies are made from the rows; the stored hash is only what they are compared with.
Reader = Callable[[AsyncConnection, str, int, int], Awaitable[list[Record]]]

# Made once: every act of a person appends, and building statements anew takes longer than running them.
_OF = chain_head.c.tag == bindparam("of")
_STEP_ON = update(chain_head).where(_OF).values(n=chain_head.c.n + 1).returning(chain_head.c.n, chain_head.c.hash)
_PUT_HASH = update(chain_head).where(_OF)

_encode = msgspec.json.Encoder(order="sorted").encode


def quickly_rendered(body: Mapping[str, Any]) -> bytes:
    """The bytes of `core.chain.rendered`, five times as fast: what `verify` spends most of its time on."""
    try:
        return _encode(body)
    except (UnicodeEncodeError, OverflowError):
        return rendered(body)  # half a pair of surrogates, more than 64 bits


async def append(connection: AsyncConnection, tag: str, body: Mapping[str, Any]) -> Link:
    """The next record's number and hash, to be stored with its row in the caller's transaction.

    Others who append to the same chain wait until that transaction ends: append late in it. Of several chains in one
    transaction, `audit` is always the last (`acting` sees to it), so that no two wait for each other.
    """
    data = canonical(body)
    # The lock: on PostgreSQL the row's, on SQLite the database's, which `writing` has taken already.
    head = (await connection.execute(_STEP_ON, {"of": tag})).one_or_none()
    if head is None:
        await hold(connection, tag)
        head = (await connection.execute(_STEP_ON, {"of": tag})).one()
    made = Link(head.n, link(tag, head.n, head.hash, data))
    await connection.execute(_PUT_HASH, {"of": tag, "hash": made.hash})
    return made


async def hold(connection: AsyncConnection, tag: str) -> None:
    """Be the chain's only writer from now to the end of the transaction: for who must look before appending."""
    first = {"tag": tag, "n": 0, "hash": BEGINNING}
    await connection.execute(insert_into(connection, chain_head).values(first).on_conflict_do_nothing())
    await connection.execute(select(chain_head.c.n).where(chain_head.c.tag == tag).with_for_update())


async def heads(connection: AsyncConnection) -> dict[str, Link]:
    """The newest record of every chain, by tag."""
    rows = await connection.execute(select(chain_head).order_by(chain_head.c.tag))
    return {row.tag: Link(row.n, row.hash) for row in rows}
