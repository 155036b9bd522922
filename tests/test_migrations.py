"""The migrations make exactly the tables of store/tables.py, and what is packed into a column comes out of it again."""

from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from monitor.core.digest import Digest
from monitor.core.timeline import Edge
from monitor.store import digests, edges
from monitor.store.database import MIGRATIONS, opened, revisions
from monitor.store.tables import metadata


async def test_upgraded_from_nothing_a_database_has_the_tables_that_the_code_knows(database_url: str) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return list(compare_metadata(context, metadata))

    async with opened(database_url) as engine, engine.connect() as connection:
        assert await connection.run_sync(differences) == []


def test_files_bear_the_numbers_of_their_versions() -> None:
    """By which a database that is up to date is recognised."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    chain = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert revisions() == chain[::-1]


INSTANTS = st.integers(0, 2**43)
EVIDENCE = st.none() | st.one_of(
    # A beat, a result, a will, a row of results: what judging hands over (core/heartbeat.py, core/probe.py).
    st.tuples(
        INSTANTS,
        st.none() | INSTANTS,
        st.sampled_from(("mqtt", "http")),
        st.none() | st.text(max_size=64),
        st.none() | st.integers(0, 2**53),
    ).map(list),
    st.tuples(INSTANTS, st.booleans()).map(list),
    st.tuples(INSTANTS, st.sampled_from(("will", "goodbye"))).map(list),
    st.lists(INSTANTS, min_size=1, max_size=5),
)
HOWS = st.sampled_from((*edges.HOWS, "something new"))


@given(st.builds(Edge, st.none() | INSTANTS, INSTANTS, HOWS, EVIDENCE, EVIDENCE), INSTANTS)
def test_an_edge_comes_back_as_it_was(edge: Edge, at: int) -> None:
    assert edges.unpack(edges.pack(edge, at), at) == edge


COUNT = st.integers(0, 2**31)


@given(st.dictionaries(COUNT, st.tuples(COUNT, COUNT, COUNT, COUNT, st.none() | st.tuples(INSTANTS, INSTANTS))))
def test_a_days_digests_come_back_as_they_were(
    rows: dict[int, tuple[int, int, int, int, tuple[int, int] | None]],
) -> None:
    counts = {
        number: digests.Counts(*row[:4], *((min(row[4]), max(row[4])) if row[4] else (None, None)))
        for number, row in rows.items()
    }
    packed = digests.pack(counts)
    assert digests.unpack(packed) == counts
    assert digests.pack(dict(reversed(counts.items()))) == packed


def test_nothing_of_a_digest_is_left_out() -> None:
    assert Digest._fields[2:] == digests.Counts._fields
