"""All tables on one page. Instants are milliseconds since the epoch, UTC; values are 0 down, 1 unknown, 2 up.

Everything but `token` and `window` follows from the evidence log and can be rebuilt from it.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
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

# --- The register of positions 机位台账, inspections 巡检, meetings 会议保障 (docs/register.md): days as 2026-10-01 ---
# Records, counts, visits with their findings, and notes are only added: triggers refuse to change them (migration
# 0003). Numbers `n` have no gaps. `papers`: JSON, ["sha256", ...] of the table `paper`; `sites`: JSON, ["id", ...].

#: What was done at a position: installed, replaced, removed; or the correction of such a record (core/register.py).
position_record = Table(
    "position_record",
    metadata,
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("site", String(64), nullable=False),
    Column("terminal", String(16), nullable=False),
    Column("act", String(16), nullable=False),
    Column("on_day", String(10), nullable=False),
    Column("model", String(100)),  # NULL: nothing stands there afterwards
    Column("serial", String(100), nullable=False, index=True),
    Column("mac", String(17), nullable=False, index=True),
    Column("asset", String(100), nullable=False, index=True),
    Column("why", Text, nullable=False),
    Column("corrects", Integer, unique=True),
    Column("papers", Text, nullable=False),
    Column("made_by", String(64), nullable=False),
    Column("made_ms", BigInteger, nullable=False),
    Index(None, "site", "terminal"),
)

#: A count of a position in a year's stock-take 盘点; the last one of a position counts (core/stocktake.py).
stock_count = Table(
    "stock_count",
    metadata,
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("year", Integer, nullable=False, index=True),
    Column("site", String(64), nullable=False),
    Column("terminal", String(16), nullable=False),
    Column("on_day", String(10), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("card", Integer),  # the record that opened the card of that day
    Column("seen", String(100), nullable=False),
    Column("note", Text, nullable=False),
    Column("papers", Text, nullable=False),
    Column("made_by", String(64), nullable=False),
    Column("made_ms", BigInteger, nullable=False),
)

#: A planned round of inspections (core/inspection.py).
inspection_round = Table(
    "inspection_round",
    metadata,
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("name", String(100), nullable=False),
    Column("scope", String(128), nullable=False),
    Column("sites", Text, nullable=False),
    Column("due_from", String(10), nullable=False),
    Column("due_to", String(10), nullable=False),
    Column("made_by", String(64), nullable=False),
    Column("made_ms", BigInteger, nullable=False),
    Column("cancelled_by", String(64), nullable=False, default=""),
    Column("cancelled_ms", BigInteger),
    Column("cancelled_why", Text, nullable=False, default=""),
)

#: A visit of a site; `round` NULL: outside of any round.
inspection_visit = Table(
    "inspection_visit",
    metadata,
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("round", Integer, index=True),
    Column("site", String(64), nullable=False, index=True),
    Column("on_day", String(10), nullable=False, index=True),
    Column("who", Text, nullable=False),
    Column("reached", Boolean, nullable=False),
    Column("note", Text, nullable=False),
    Column("corrects", Integer, unique=True),
    Column("papers", Text, nullable=False),
    Column("made_by", String(64), nullable=False),
    Column("made_ms", BigInteger, nullable=False),
)

#: What a visit found at a terminal. `work_order`: its number as people write it; text, because the two grow apart.
inspection_finding = Table(
    "inspection_finding",
    metadata,
    Column("visit", Integer, primary_key=True, autoincrement=False),
    Column("terminal", String(16), primary_key=True),
    Column("result", String(16), nullable=False),
    Column("note", Text, nullable=False),
    Column("work_order", String(100), nullable=False),
)

#: A meeting that was supported (core/meeting.py).
meeting = Table(
    "meeting",
    metadata,
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("title", String(200), nullable=False),
    Column("organiser", String(100), nullable=False),
    Column("start_ms", BigInteger, nullable=False, index=True),
    Column("end_ms", BigInteger, nullable=False),
    Column("scope", String(128), nullable=False),
    Column("sites", Text, nullable=False),
    Column("made_by", String(64), nullable=False),
    Column("made_ms", BigInteger, nullable=False),
    Column("cancelled_by", String(64), nullable=False, default=""),
    Column("cancelled_ms", BigInteger),
    Column("cancelled_why", Text, nullable=False, default=""),
)

#: What somebody noted of a site at a meeting; the last note of a site counts.
meeting_note = Table(
    "meeting_note",
    metadata,
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("meeting", Integer, nullable=False, index=True),
    Column("site", String(64), nullable=False),
    Column("reached", Boolean, nullable=False),
    Column("joined_ms", BigInteger),
    Column("left_ms", BigInteger),
    Column("quality", Text, nullable=False),
    Column("papers", Text, nullable=False),
    Column("made_by", String(64), nullable=False),
    Column("made_ms", BigInteger, nullable=False),
)
