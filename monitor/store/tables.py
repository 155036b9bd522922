"""All tables on one page. Instants are milliseconds since the epoch, UTC; values are 0 down, 1 unknown, 2 up.

Everything but `token` and `window` follows from the evidence log and can be rebuilt from it.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
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
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
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
    Index(None, "action", "n"),
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

# --- the cost ledger 经费台账 (docs/ledger.md): amounts in fen, days as 2026-10-01 ------------------------------------
# Registered entries with their sites and papers, changes of funds and closings are never changed nor deleted: triggers
# refuse it (migration `ledger`).

#: Economic classes 支出经济分类 of a fiscal year. A year without rows has those of core/ledger.py.
econ_class = Table(
    "econ_class",
    metadata,
    Column("year", Integer, primary_key=True, autoincrement=False),
    Column("code", String(16), primary_key=True),
    Column("name", String(100), nullable=False),
)

#: A fund 专项资金 of a year. What a writer must know under the lock of this row stands in it: budget with all changes,
#: the sum of what is registered, the last number 台账序号, what is closed.
fund = Table(
    "fund",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("year", Integer, nullable=False),
    Column("name", String(100), nullable=False),
    Column("account", String(100), nullable=False),
    Column("purposes", Text, nullable=False),  # JSON: ["维护", ...]
    Column("classes", Text, nullable=False),  # JSON: ["30213", ...]
    Column("budget_fen", BigInteger, nullable=False),
    Column("spent_fen", BigInteger, nullable=False),
    Column("last_number", Integer, nullable=False),
    Column("closed_month", Integer, nullable=False),  # the last month that is closed, 0 for none
    Column("year_closed", Boolean, nullable=False),
    Column("created_by", String(64), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    UniqueConstraint("year", "name"),
    # The third lock on the same door: the rule is checked in core/ledger.py, and again by the statement that adds.
    CheckConstraint("spent_fen <= budget_fen", name="balance"),
    CheckConstraint("spent_fen >= 0", name="spent"),
)

#: The initial budget and every adjustment, each with its document number; `source`: appropriation, carry_over, other.
fund_change = Table(
    "fund_change",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("fund_id", Integer, ForeignKey("fund.id"), nullable=False, index=True),
    Column("kind", String(16), nullable=False),  # initial, adjustment, carry_over
    Column("source", String(16), nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("document", String(100), nullable=False),
    Column("dated", String(10), nullable=False),
    Column("memo", Text, nullable=False, default=""),
    Column("made_by", String(64), nullable=False),
    Column("made_ms", BigInteger, nullable=False),
)

#: A contract that is paid in instalments.
contract = Table(
    "contract",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("fund_id", Integer, ForeignKey("fund.id"), nullable=False),
    Column("number", String(100), nullable=False),
    Column("name", String(100), nullable=False),
    Column("payee", String(100), nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("signed_on", String(10), nullable=False),
    Column("made_by", String(64), nullable=False),
    Column("made_ms", BigInteger, nullable=False),
    UniqueConstraint("fund_id", "number"),
)

#: An instalment 按需拨付: payable once accepted, without the deductions 考核扣款. `paid_fen`: registered for it.
stage = Table(
    "stage",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("contract_id", Integer, ForeignKey("contract.id"), nullable=False),
    Column("n", Integer, nullable=False),
    Column("name", String(100), nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("paid_fen", BigInteger, nullable=False),
    Column("deduction_fen", BigInteger, nullable=False),
    Column("deduction_reason", Text, nullable=False, default=""),
    Column("accepted_on", String(10)),
    Column("acceptance", String(100), nullable=False, default=""),  # the number of the paper
    Column("accepted_by", String(64), nullable=False, default=""),
    UniqueConstraint("contract_id", "n"),
    CheckConstraint("paid_fen <= amount_fen - deduction_fen", name="payable"),
)

#: An entry in any state. `reverses`: a red entry 红字, whose amount is negative. Numbers, dates of payment and links of
#: the chain come with registering.
entry = Table(
    "entry",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("fund_id", Integer, ForeignKey("fund.id"), nullable=False),
    Column("state", String(10), nullable=False),
    Column("number", Integer),
    Column("dated", String(10), nullable=False),
    Column("memo", Text, nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("econ_class", String(16), nullable=False),
    Column("cost_class", String(16), nullable=False),
    Column("purpose", String(100), nullable=False),
    Column("payee", String(100), nullable=False),
    Column("work_order", String(100)),  # an id of `work_order`; text, because early rows say what people wrote
    Column("stage_id", Integer, ForeignKey("stage.id"), index=True),
    Column("acceptance", String(100), nullable=False),
    Column("reverses", Integer, ForeignKey("entry.id"), index=True),
    Column("split", String(16), nullable=False),  # equal, terminals, weights, reversal
    Column("batch", String(64), nullable=False),  # of an import: its digest
    Column("drafted_by", String(64), nullable=False),
    Column("drafted_ms", BigInteger, nullable=False),
    Column("approved_by", String(64), nullable=False, default=""),
    Column("approved_ms", BigInteger),
    Column("registered_by", String(64), nullable=False, default=""),
    Column("registered_ms", BigInteger),
    Column("paid_on", String(10)),
    Column("voucher", String(100), nullable=False, default=""),
    Column("chain_n", BigInteger, unique=True),
    Column("chain_hash", String(64)),
    UniqueConstraint("fund_id", "number"),
    Index(None, "fund_id", "state", "paid_on", "work_order", "amount_fen"),  # totals by order and cause, 已批未付
    Index(None, "fund_id", "paid_on"),
    Index(None, "work_order"),
    Index(None, "batch"),
)

#: The share of a site in an entry; the township beside it, because villages are merged and money stays where it was.
entry_site = Table(
    "entry_site",
    metadata,
    Column("entry_id", Integer, ForeignKey("entry.id"), primary_key=True, autoincrement=False),
    Column("site", String(64), primary_key=True),
    Column("township", String(64), nullable=False),
    Column("share_fen", BigInteger, nullable=False),
    Index(None, "site"),
)

#: Invoices, acceptance sheets, photos of an entry, by their SHA-256 (hex).
entry_paper = Table(
    "entry_paper",
    metadata,
    Column("entry_id", Integer, ForeignKey("entry.id"), primary_key=True, autoincrement=False),
    Column("sha256", String(64), primary_key=True),
)

#: What is registered, summed as it is registered: totals of 100,000 entries without reading them.
fund_sum = Table(
    "fund_sum",
    metadata,
    Column("fund_id", Integer, ForeignKey("fund.id"), primary_key=True, autoincrement=False),
    Column("month", String(7), primary_key=True),  # 2026-10, of the payment
    Column("econ_class", String(16), primary_key=True),
    Column("site", String(64), primary_key=True),
    Column("township", String(64), primary_key=True),
    Column("spent_fen", BigInteger, nullable=False),
)

#: Closed months 月结 ("2026-10"; all before it are closed, too) and years 年结 ("2026"), with the figures at closing.
closing = Table(
    "closing",
    metadata,
    Column("fund_id", Integer, ForeignKey("fund.id"), primary_key=True, autoincrement=False),
    Column("period", String(7), primary_key=True),
    Column("budget_fen", BigInteger, nullable=False),
    Column("spent_fen", BigInteger, nullable=False),
    Column("carried_fen", BigInteger, nullable=False),
    Column("carried_to", Integer, ForeignKey("fund.id")),
    Column("closed_by", String(64), nullable=False),
    Column("closed_ms", BigInteger, nullable=False),
)

#: Keys of requests that were carried out, so that a second try changes nothing and gets the first answer.
request = Table(
    "request",
    metadata,
    Column("key", String(128), primary_key=True),
    Column("what", String(32), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("answer", Text, nullable=False),  # JSON
    Column("at_ms", BigInteger, nullable=False),
)

# --- The register of positions 机位台账, inspections 巡检, meetings 会议保障 (docs/register.md): days as 2026-10-01 ---
# Records, counts, visits with their findings, and notes are only added: triggers refuse to change them (migration
# 0005). Numbers `n` have no gaps. `papers`: JSON, ["sha256", ...] of the table `paper`; `sites`: JSON, ["id", ...].

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

#: What a visit found at a terminal. `work_order`: its number; text, because early rows say what people wrote.
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

# --- versions of the inventory (docs/inventory.md) --------------------------------------------------------------------

#: What sites, terminals, checks and limits there are, from when on. Number 1 is what the service began with; the
#: evidence log tells when each was taken up (`held`), and these rows can be rebuilt from it.
inventory_version = Table(
    "inventory_version",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("from_ms", BigInteger, nullable=False),
    Column("state", String(12), nullable=False),  # proposed, approved, withdrawn, held
    Column("digest", String(64), nullable=False),
    Column(
        "files", String(64), nullable=False, default=""
    ),  # digest of the configuration's own files then; "": unknown
    Column("body", LargeBinary, nullable=False),  # inventory/versions.pack
    Column("proposed_by", String(64), nullable=False),
    Column("proposed_ms", BigInteger, nullable=False),
    Column("approved_by", String(64), nullable=False, default=""),
    Column("approved_ms", BigInteger),
    Column("held_ms", BigInteger),
)

# --- the outbox of alerts (docs/alerts.md) ----------------------------------------------------------------------------

#: One alert to tell through one outlet (core/alerts.Telling). `alert`: labels and annotations as JSON.
outbox = Table(
    "outbox",
    metadata,
    Column("n", Integer, primary_key=True),
    Column("observer", String(32), nullable=False),
    Column("outlet", String(64), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("status", String(8), nullable=False),  # firing, resolved
    Column("starts_ms", BigInteger, nullable=False),
    Column("ends_ms", BigInteger),
    Column("since_ms", BigInteger, nullable=False),
    Column("alert", Text, nullable=False),
    Column("reminder", Boolean, nullable=False),
    Column("state", String(8), nullable=False),  # waiting, held, sent, dropped
    Column("tries", Integer, nullable=False),
    Column("made_ms", BigInteger, nullable=False),
    Column("sent_ms", BigInteger),
    Column("error", Text, nullable=False),
    Index("ix_outbox_state", "observer", "state"),
    Index("ix_outbox_fingerprint", "observer", "outlet", "fingerprint"),
)

# --- sealed reports 定稿 (docs/reports.md) ----------------------------------------------------------------------------

#: A report as it was sealed, or restated. Rows are only added: triggers refuse to change them (migration 0008). The
#: newest revision of a period is the one in force. A chain (`report`): `n` and `hash` are its link.
report = Table(
    "report",
    metadata,
    Column("n", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(8), nullable=False),  # month
    Column("period", String(16), nullable=False),  # 2026-10
    Column("revision", Integer, nullable=False),  # 0, 1, ...
    Column("state", String(8), nullable=False),  # sealed, restated
    Column("at_ms", BigInteger, nullable=False),
    Column("sealed_by", String(64), nullable=False),
    Column("approval", BigInteger),  # of one that sealed itself: the audit record that allows it
    Column("reason", Text, nullable=False, default=""),  # of a restatement
    Column("rules", String(32), nullable=False),
    Column("software", String(64), nullable=False),
    Column("previous", String(64), nullable=False),  # hash of the report before it on the chain
    Column("sha256", String(64), nullable=False),  # of the facts, unpacked
    Column("facts", LargeBinary, nullable=False),  # canonical JSON, zstd
    Column("differences", LargeBinary, nullable=False),  # of a restatement to the revision before: JSON, zstd
    Column("hash", String(64), nullable=False),
    UniqueConstraint("kind", "period", "revision"),
)

# --- what people declare of a year (docs/reports.md, The year) --------------------------------------------------------

#: A declared value 申报值 of a year: of several with the same key the last one counts. Rows are only added.
declared_value = Table(
    "declared_value",
    metadata,
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("year", Integer, nullable=False, index=True),
    Column("key", String(64), nullable=False),
    Column("text", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("papers", Text, nullable=False),
    Column("made_by", String(64), nullable=False),
    Column("made_ms", BigInteger, nullable=False),
)

#: That a second person confirmed a declared value. Rows are only added.
declared_confirmation = Table(
    "declared_confirmation",
    metadata,
    Column("n", Integer, ForeignKey("declared_value.n"), primary_key=True, autoincrement=False),
    Column("made_by", String(64), nullable=False),
    Column("made_ms", BigInteger, nullable=False),
)
