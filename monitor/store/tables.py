"""All tables on one page. Instants are milliseconds since the epoch, UTC; values are 0 down, 1 unknown, 2 up.

Everything but `token` and `window` follows from the evidence log and can be rebuilt from it.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

#: What has a number: (site, terminal, check), and the observer that judges it.
check = Table(
    "check",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("site", String(64), nullable=False),
    Column("terminal", String(16), nullable=False),
    Column("check", String(32), nullable=False),
    Column("observer", String(32), nullable=False),
    UniqueConstraint("site", "terminal", "check"),
)

#: A step of a check's timeline: `value` from `start_ms` on until the check's next row. Before the first: unknown.
span = Table(
    "span",
    metadata,
    Column("check_id", Integer, primary_key=True, autoincrement=False),
    Column("start_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("value", SmallInteger, nullable=False),
    Column("edge", LargeBinary),  # earliest, latest, how, and the evidence before and after (store/edges.py)
    sqlite_with_rowid=False,
)

#: Outages of terminals, and what became of those that evidence revised (core/outage.py). Of both edges only what
#: reports say stands here, the evidence in `span.edge`. The key begins with site and terminal, so it finds those too.
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
    Column("start_earliest_ms", BigInteger),
    Column("start_latest_ms", BigInteger),
    Column("start_how", String(16)),
    Column("end_earliest_ms", BigInteger),
    Column("end_latest_ms", BigInteger),
    Column("end_how", String(16)),
    Column("successor", String(128), nullable=False, default=""),
    Index(None, "over_ms", "start_ms"),
    sqlite_with_rowid=False,
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

#: Evidence of all checks of an observer on a local day, from when the day has ended: one row, because a row a check
#: would take more room than everything else together (store/digests.py).
digest = Table(
    "digest",
    metadata,
    Column("observer", String(32), primary_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False),  # 20261001
    Column("body", LargeBinary, nullable=False),
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

#: Planned windows, as declared, and what became of them (store/windows.py). `series`: the id of the first of those that
#: were declared together by a rule of repetition.
window = Table(
    "window",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("scope", String(128), nullable=False),
    Column("start_ms", BigInteger, nullable=False),
    Column("end_ms", BigInteger, nullable=False),
    Column("reason", Text, nullable=False, default=""),
    Column("declared_ms", BigInteger, nullable=False),
    Column("declared_by", String(64), nullable=False, default=""),
    Column("retroactive", Boolean, nullable=False, default=False),
    Column("series", Integer),
    Column("approved_ms", BigInteger),
    Column("approved_by", String(64), nullable=False, default=""),
    Column("rejected_ms", BigInteger),
    Column("rejected_by", String(64), nullable=False, default=""),
    Column("cancelled_ms", BigInteger),
    Column("cancelled_by", String(64), nullable=False, default=""),
    Column("note", Text, nullable=False, default=""),  # why it was rejected or called off
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

# --- People, and the chains that make their acts evidence -------------------------------------------------------------

#: People who may act. `roles` and `townships` are JSON lists; townships NULL: all of them.
person = Table(
    "person",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("roles", Text, nullable=False),
    Column("townships", Text),
    Column("password", String(255), nullable=False),  # argon2id, as its library writes it
    Column("password_ms", BigInteger, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("disabled_ms", BigInteger),
)

#: Who is signed in: hashes of random tokens. `origin`: cli or web.
session = Table(
    "session",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("person", String(64), nullable=False, index=True),
    Column("origin", String(8), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("seen_ms", BigInteger, nullable=False),
    Column("ends_ms", BigInteger, nullable=False),
)

#: Failed attempts to sign in, by the name that was given, whether there is such a person or not.
attempt = Table(
    "attempt",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("locked_ms", BigInteger, nullable=False),  # refused until then
)

#: The newest record of each chain: its row is the lock that makes one writer of many.
chain_head = Table(
    "chain_head",
    metadata,
    Column("tag", String(64), primary_key=True),
    Column("n", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
)

#: What people did, and what became of it. A chain: `hash` covers all other columns of the row and the row before.
audit = Table(
    "audit",
    metadata,
    Column("n", BigInteger, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, nullable=False, index=True),
    Column("who", String(64), nullable=False, index=True),
    Column("action", String(64), nullable=False),
    Column("what", Text, nullable=False),
    Column("outcome", String(8), nullable=False),  # done, refused, failed
    Column("reason", Text, nullable=False, default=""),
    Column("hash", String(64), nullable=False),
)

#: Local days of an observer's evidence log that are closed: what was in the log, and the hash of the day's row in
#: `digest`. A chain for each observer.
evidence_day = Table(
    "evidence_day",
    metadata,
    Column("observer", String(32), primary_key=True),
    Column("n", BigInteger, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("day", Integer, nullable=False),  # 20261001
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    UniqueConstraint("observer", "day"),
)

#: Papers (photos, invoices, acceptance sheets) by their content; the files lie in `[papers] folder`.
paper = Table(
    "paper",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("kept_by", String(64), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)


# --- work orders 工单 (store/orders.py, docs/workorders.md) -----------------------------------------------------------

#: A work order. `kind` site, or line: of a township's line, with the sites it took along. `restored_ms` is measured.
work_order = Table(
    "work_order",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String(8), nullable=False),
    Column("site", String(64), nullable=False),  # of a line: the township's own, "" where it has none
    Column("township", String(64), nullable=False),
    Column("level", String(16), nullable=False),
    Column("opened_for", String(160), unique=True),  # the outage that it was opened for; by hand none
    Column("fault", Text, nullable=False, default=""),  # what the person who opened it says
    Column("state", String(12), nullable=False),
    Column("responsible", String(64), nullable=False, default=""),
    Column("opened_ms", BigInteger, nullable=False),
    Column("opened_by", String(64), nullable=False),
    Column("dispatched_ms", BigInteger),
    Column("assignee", String(64), nullable=False, default=""),
    Column("repaired_ms", BigInteger),
    Column("restored_ms", BigInteger),
    Column("closed_ms", BigInteger),
    Column("closed_by", String(64), nullable=False, default=""),
    Column("close_reason", Text, nullable=False, default=""),
    Column("forced", Boolean, nullable=False, default=False),  # closed while an outage of it went on
    Column("cause", String(16), nullable=False, default=""),
    Column("work", Text, nullable=False, default=""),  # what was done
    Column("reopened", Integer, nullable=False, default=0),
    Index(None, "state", "closed_ms"),
    Index(None, "site", "opened_ms"),
)

#: The outages of orders; an outage belongs to one. `overdue_ms`: from when on it adds to `overdue_s`.
work_order_outage = Table(
    "work_order_outage",
    metadata,
    Column("key", String(128), primary_key=True),
    Column("order_id", Integer, ForeignKey("work_order.id"), nullable=False),
    Column("added_ms", BigInteger, nullable=False),
    Column("overdue_ms", BigInteger),
    Index(None, "order_id"),
)

#: What happened to an order, appended and never changed. `detail`: JSON.
work_order_event = Table(
    "work_order_event",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("order_id", Integer, ForeignKey("work_order.id"), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("who", String(64), nullable=False),
    Column("what", String(24), nullable=False),
    Column("detail", Text, nullable=False, default="{}"),
    Index(None, "order_id", "id"),
)

#: Papers of an order: photos, sheets, by the SHA-256 of their content (store/papers.py).
work_order_paper = Table(
    "work_order_paper",
    metadata,
    Column("order_id", Integer, ForeignKey("work_order.id"), primary_key=True),
    Column("sha256", String(64), primary_key=True),
    Column("note", Text, nullable=False, default=""),
    Column("at_ms", BigInteger, nullable=False),
    Column("who", String(64), nullable=False),
)

#: Exemptions 免责 of an order's outages: proposed with cause and paper, decided by somebody else.
exemption = Table(
    "exemption",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("order_id", Integer, ForeignKey("work_order.id"), nullable=False),
    Column("cause", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("paper", String(64), nullable=False),
    Column("state", String(12), nullable=False),  # proposed, approved, rejected
    Column("proposed_ms", BigInteger, nullable=False),
    Column("proposed_by", String(64), nullable=False),
    Column("decided_ms", BigInteger),
    Column("decided_by", String(64), nullable=False, default=""),
    Column("note", Text, nullable=False, default=""),
    Index(None, "order_id"),
)
