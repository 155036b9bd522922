"""All tables on one page. Instants are milliseconds since the epoch, UTC; values are 0 down, 1 unknown, 2 up.

Everything but `token` and `window` follows from the evidence log and can be rebuilt from it.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, SmallInteger, String, Table, Text, UniqueConstraint

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

#: What has a number: (site, terminal, check).
check = Table(
    "check",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("site", String(64), nullable=False),
    Column("terminal", String(16), nullable=False),
    Column("check", String(32), nullable=False),
    UniqueConstraint("site", "terminal", "check"),
)

#: A step of a check's timeline: `value` from `start_ms` on until the check's next row. Before the first: unknown.
span = Table(
    "span",
    metadata,
    Column("check_id", Integer, primary_key=True, autoincrement=False),
    Column("start_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("value", SmallInteger, nullable=False),
    Column("edge", Text),  # JSON: earliest, latest, how, before, after
    sqlite_with_rowid=False,
)

#: Outages of terminals, and what became of those that evidence revised (core/outage.py).
outage = Table(
    "outage",
    metadata,
    Column("key", String(128), primary_key=True),
    Column("site", String(64), nullable=False),
    Column("terminal", String(16), nullable=False),
    Column("start_ms", BigInteger, nullable=False),
    Column("end_ms", BigInteger),
    Column("over_ms", BigInteger),
    Column("state", String(8), nullable=False),
    Column("start_edge", Text),
    Column("end_edge", Text),
    Column("successor", String(128), nullable=False, default=""),
    Index(None, "site", "terminal", "start_ms"),
    Index(None, "over_ms"),
)

#: What is true now, of a terminal or (terminal "") of a site; written when it changes.
status = Table(
    "status",
    metadata,
    Column("site", String(64), primary_key=True),
    Column("terminal", String(16), primary_key=True),
    Column("value", String(8), nullable=False),
    Column("since_ms", BigInteger),
    Column("how", String(16), nullable=False, default=""),
)

#: When a channel was lost and restored, as the evidence log has it; `n` counts a channel's losses.
loss = Table(
    "loss",
    metadata,
    Column("observer", String(32), primary_key=True),
    Column("channel", String(8), primary_key=True),
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("lost_ms", BigInteger),
    Column("restored_ms", BigInteger),
)

#: Evidence by check and local day, from when the day has ended.
digest = Table(
    "digest",
    metadata,
    Column("check_id", Integer, primary_key=True, autoincrement=False),
    Column("day", Integer, primary_key=True, autoincrement=False),  # 20261001
    Column("expected", Integer, nullable=False),
    Column("received", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("late", Integer, nullable=False),
    Column("first_ms", BigInteger),
    Column("last_ms", BigInteger),
    sqlite_with_rowid=False,
)

#: How far the rows above follow the log, per observer: bytes of the plain text of `file`.
cut = Table(
    "cut",
    metadata,
    Column("observer", String(32), primary_key=True),
    Column("file", String(255), nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)

#: Planned windows, as declared.
window = Table(
    "window",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("scope", String(128), nullable=False),
    Column("start_ms", BigInteger, nullable=False),
    Column("end_ms", BigInteger, nullable=False),
    Column("reason", Text, nullable=False, default=""),
    Column("declared_ms", BigInteger, nullable=False),
    UniqueConstraint("scope", "start_ms", "end_ms", "declared_ms"),
)

#: Tokens of devices, relays and pings. Only hashes are kept.
token = Table(
    "token",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String(8), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    Column("label", String(128), nullable=False, default=""),
    Column("terminals", Text, nullable=False),  # JSON: ["site/terminal", ...]
    Column("mosquitto", Text, nullable=False, default=""),  # the line of mosquitto's password file
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger),
    Column("revoked_ms", BigInteger),
)
