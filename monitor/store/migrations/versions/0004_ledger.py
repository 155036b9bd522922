"""the cost ledger: funds, contracts, entries, and the triggers that keep registered entries as they are"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

FINAL = "registered entries are final: correct them by a red entry"
KEPT = "changes of funds and closings are final"

#: What the database refuses by itself, whoever asks: (name, event, table, when, sentence). OLD and NEW as both
#: databases know them.
_OF_ENTRY = "(SELECT state FROM entry WHERE id = {row}.entry_id) = 'registered'"
TRIGGERS = (
    # An entry becomes registered by an update only, so that nobody puts one in that was never drafted or approved.
    ("entry_insert", "INSERT", "entry", "NEW.state <> 'draft'", "an entry begins as a draft"),
    # INSERT OR REPLACE deletes without asking the trigger on deletes.
    ("entry_replace", "INSERT", "entry",
     "EXISTS (SELECT 1 FROM entry e WHERE e.id = NEW.id AND e.state = 'registered')", FINAL),
    ("entry_update", "UPDATE", "entry", "OLD.state = 'registered'", FINAL),
    ("entry_register", "UPDATE", "entry", "NEW.state = 'registered' AND OLD.state <> 'approved'",
     "only an approved entry is registered"),
    ("entry_delete", "DELETE", "entry", "OLD.state = 'registered'", FINAL),
    *(
        (f"{table}_{event.lower()}", event, table, _OF_ENTRY.format(row=row), FINAL)
        for table in ("entry_site", "entry_paper")
        for event, row in (("INSERT", "NEW"), ("UPDATE", "OLD"), ("DELETE", "OLD"))
    ),
    *(
        (f"{table}_{event.lower()}", event, table, "1 = 1", KEPT)
        for table in ("fund_change", "closing")
        for event in ("UPDATE", "DELETE")
    ),
)  # fmt: skip
FINAL_TABLES = ("entry", "entry_site", "entry_paper", "fund_change", "closing")


def upgrade() -> None:
    op.create_table(
        "econ_class",
        sa.Column("year", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("code", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.PrimaryKeyConstraint("year", "code", name=op.f("pk_econ_class")),
    )
    op.create_table(
        "fund",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("account", sa.String(length=100), nullable=False),
        sa.Column("purposes", sa.Text(), nullable=False),
        sa.Column("classes", sa.Text(), nullable=False),
        sa.Column("budget_fen", sa.BigInteger(), nullable=False),
        sa.Column("spent_fen", sa.BigInteger(), nullable=False),
        sa.Column("last_number", sa.Integer(), nullable=False),
        sa.Column("closed_month", sa.Integer(), nullable=False),
        sa.Column("year_closed", sa.Boolean(), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("spent_fen <= budget_fen", name=op.f("ck_fund_balance")),
        sa.CheckConstraint("spent_fen >= 0", name=op.f("ck_fund_spent")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fund")),
        sa.UniqueConstraint("year", "name", name=op.f("uq_fund_year_name")),
    )
    op.create_table(
        "request",
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column("what", sa.String(length=32), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_request")),
    )
    op.create_table(
        "closing",
        sa.Column("fund_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("period", sa.String(length=7), nullable=False),
        sa.Column("budget_fen", sa.BigInteger(), nullable=False),
        sa.Column("spent_fen", sa.BigInteger(), nullable=False),
        sa.Column("carried_fen", sa.BigInteger(), nullable=False),
        sa.Column("carried_to", sa.Integer(), nullable=True),
        sa.Column("closed_by", sa.String(length=64), nullable=False),
        sa.Column("closed_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["carried_to"], ["fund.id"], name=op.f("fk_closing_carried_to")),
        sa.ForeignKeyConstraint(["fund_id"], ["fund.id"], name=op.f("fk_closing_fund_id")),
        sa.PrimaryKeyConstraint("fund_id", "period", name=op.f("pk_closing")),
    )
    op.create_table(
        "contract",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("fund_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.String(length=100), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("payee", sa.String(length=100), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("signed_on", sa.String(length=10), nullable=False),
        sa.Column("made_by", sa.String(length=64), nullable=False),
        sa.Column("made_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["fund_id"], ["fund.id"], name=op.f("fk_contract_fund_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contract")),
        sa.UniqueConstraint("fund_id", "number", name=op.f("uq_contract_fund_id_number")),
    )
    op.create_table(
        "fund_change",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("fund_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.String(length=100), nullable=False),
        sa.Column("dated", sa.String(length=10), nullable=False),
        sa.Column("memo", sa.Text(), nullable=False),
        sa.Column("made_by", sa.String(length=64), nullable=False),
        sa.Column("made_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["fund_id"], ["fund.id"], name=op.f("fk_fund_change_fund_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fund_change")),
    )
    op.create_index(op.f("ix_fund_change_fund_id"), "fund_change", ["fund_id"], unique=False)
    op.create_table(
        "fund_sum",
        sa.Column("fund_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("month", sa.String(length=7), nullable=False),
        sa.Column("econ_class", sa.String(length=16), nullable=False),
        sa.Column("site", sa.String(length=64), nullable=False),
        sa.Column("township", sa.String(length=64), nullable=False),
        sa.Column("spent_fen", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["fund_id"], ["fund.id"], name=op.f("fk_fund_sum_fund_id")),
        sa.PrimaryKeyConstraint("fund_id", "month", "econ_class", "site", "township", name=op.f("pk_fund_sum")),
    )
    op.create_table(
        "stage",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("contract_id", sa.Integer(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("paid_fen", sa.BigInteger(), nullable=False),
        sa.Column("deduction_fen", sa.BigInteger(), nullable=False),
        sa.Column("deduction_reason", sa.Text(), nullable=False),
        sa.Column("accepted_on", sa.String(length=10), nullable=True),
        sa.Column("acceptance", sa.String(length=100), nullable=False),
        sa.Column("accepted_by", sa.String(length=64), nullable=False),
        sa.CheckConstraint("paid_fen <= amount_fen - deduction_fen", name=op.f("ck_stage_payable")),
        sa.ForeignKeyConstraint(["contract_id"], ["contract.id"], name=op.f("fk_stage_contract_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stage")),
        sa.UniqueConstraint("contract_id", "n", name=op.f("uq_stage_contract_id_n")),
    )
    op.create_table(
        "entry",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("fund_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("dated", sa.String(length=10), nullable=False),
        sa.Column("memo", sa.Text(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("econ_class", sa.String(length=16), nullable=False),
        sa.Column("cost_class", sa.String(length=16), nullable=False),
        sa.Column("purpose", sa.String(length=100), nullable=False),
        sa.Column("payee", sa.String(length=100), nullable=False),
        sa.Column("work_order", sa.String(length=100), nullable=True),
        sa.Column("stage_id", sa.Integer(), nullable=True),
        sa.Column("acceptance", sa.String(length=100), nullable=False),
        sa.Column("reverses", sa.Integer(), nullable=True),
        sa.Column("split", sa.String(length=16), nullable=False),
        sa.Column("batch", sa.String(length=64), nullable=False),
        sa.Column("drafted_by", sa.String(length=64), nullable=False),
        sa.Column("drafted_ms", sa.BigInteger(), nullable=False),
        sa.Column("approved_by", sa.String(length=64), nullable=False),
        sa.Column("approved_ms", sa.BigInteger(), nullable=True),
        sa.Column("registered_by", sa.String(length=64), nullable=False),
        sa.Column("registered_ms", sa.BigInteger(), nullable=True),
        sa.Column("paid_on", sa.String(length=10), nullable=True),
        sa.Column("voucher", sa.String(length=100), nullable=False),
        sa.Column("chain_n", sa.BigInteger(), nullable=True),
        sa.Column("chain_hash", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(["fund_id"], ["fund.id"], name=op.f("fk_entry_fund_id")),
        sa.ForeignKeyConstraint(["reverses"], ["entry.id"], name=op.f("fk_entry_reverses")),
        sa.ForeignKeyConstraint(["stage_id"], ["stage.id"], name=op.f("fk_entry_stage_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_entry")),
        sa.UniqueConstraint("chain_n", name=op.f("uq_entry_chain_n")),
        sa.UniqueConstraint("fund_id", "number", name=op.f("uq_entry_fund_id_number")),
    )
    op.create_index(op.f("ix_entry_batch"), "entry", ["batch"], unique=False)
    op.create_index(op.f("ix_entry_fund_id_paid_on"), "entry", ["fund_id", "paid_on"], unique=False)
    op.create_index(
        op.f("ix_entry_fund_id_state_paid_on_work_order_amount_fen"),
        "entry",
        ["fund_id", "state", "paid_on", "work_order", "amount_fen"],
        unique=False,
    )
    op.create_index(op.f("ix_entry_reverses"), "entry", ["reverses"], unique=False)
    op.create_index(op.f("ix_entry_stage_id"), "entry", ["stage_id"], unique=False)
    op.create_index(op.f("ix_entry_work_order"), "entry", ["work_order"], unique=False)
    op.create_table(
        "entry_paper",
        sa.Column("entry_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["entry_id"], ["entry.id"], name=op.f("fk_entry_paper_entry_id")),
        sa.PrimaryKeyConstraint("entry_id", "sha256", name=op.f("pk_entry_paper")),
    )
    op.create_table(
        "entry_site",
        sa.Column("entry_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("site", sa.String(length=64), nullable=False),
        sa.Column("township", sa.String(length=64), nullable=False),
        sa.Column("share_fen", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["entry_id"], ["entry.id"], name=op.f("fk_entry_site_entry_id")),
        sa.PrimaryKeyConstraint("entry_id", "site", name=op.f("pk_entry_site")),
    )
    op.create_index(op.f("ix_entry_site_site"), "entry_site", ["site"], unique=False)
    _triggers()


def _triggers() -> None:
    if op.get_context().dialect.name == "sqlite":
        for name, event, table, when, text in TRIGGERS:
            op.execute(
                f"CREATE TRIGGER {name} BEFORE {event} ON {table} FOR EACH ROW WHEN {when} "
                f"BEGIN SELECT RAISE(ABORT, '{text}'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION ledger_is_final() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'integrity_constraint_violation'; END $$"
    )
    # PostgreSQL allows no subquery in WHEN, so these ask in the function.
    op.execute(
        "CREATE FUNCTION ledger_entry_is_final() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "DECLARE asked integer; BEGIN "
        "IF TG_OP = 'INSERT' THEN asked := NEW.entry_id; ELSE asked := OLD.entry_id; END IF; "
        "IF (SELECT state FROM entry WHERE id = asked) = 'registered' THEN "
        "RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'integrity_constraint_violation'; END IF; "
        "IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN NEW; END $$"
    )
    for name, event, table, when, text in TRIGGERS:
        if name == "entry_replace":
            continue  # PostgreSQL has no REPLACE
        if "SELECT" in when:
            condition, function = "", "ledger_entry_is_final"
        else:
            condition, function = f"WHEN ({when}) ", "ledger_is_final"
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {event} ON {table} FOR EACH ROW {condition}"
            f"EXECUTE FUNCTION {function}('{text}')"
        )
    for table in FINAL_TABLES:
        op.execute(
            f"CREATE TRIGGER {table}_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT "
            f"EXECUTE FUNCTION ledger_is_final('{FINAL}')"
        )


def downgrade() -> None:
    op.drop_index(op.f("ix_entry_site_site"), table_name="entry_site")
    op.drop_table("entry_site")
    op.drop_table("entry_paper")
    op.drop_index(op.f("ix_entry_work_order"), table_name="entry")
    op.drop_index(op.f("ix_entry_stage_id"), table_name="entry")
    op.drop_index(op.f("ix_entry_reverses"), table_name="entry")
    op.drop_index(op.f("ix_entry_fund_id_state_paid_on_work_order_amount_fen"), table_name="entry")
    op.drop_index(op.f("ix_entry_fund_id_paid_on"), table_name="entry")
    op.drop_index(op.f("ix_entry_batch"), table_name="entry")
    op.drop_table("entry")
    op.drop_table("stage")
    op.drop_table("fund_sum")
    op.drop_index(op.f("ix_fund_change_fund_id"), table_name="fund_change")
    op.drop_table("fund_change")
    op.drop_table("contract")
    op.drop_table("closing")
    op.drop_table("request")
    op.drop_table("fund")
    op.drop_table("econ_class")
    if op.get_context().dialect.name != "sqlite":
        op.execute("DROP FUNCTION ledger_is_final()")
        op.execute("DROP FUNCTION ledger_entry_is_final()")
