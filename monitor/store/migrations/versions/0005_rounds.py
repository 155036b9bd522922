"""the register of positions, inspections and meetings, and triggers that keep what was written as it is"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

#: A mistake is corrected by a new row that names it, never in place.
ADDED_ONLY = ("position_record", "stock_count", "inspection_visit", "inspection_finding", "meeting_note")
TEXT = "rows are only added: correct one by another"


def upgrade() -> None:
    op.create_table(
        "inspection_finding",
        sa.Column("visit", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("terminal", sa.String(length=16), nullable=False),
        sa.Column("result", sa.String(length=16), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("work_order", sa.String(length=100), nullable=False),
        sa.PrimaryKeyConstraint("visit", "terminal", name=op.f("pk_inspection_finding")),
    )
    op.create_table(
        "inspection_round",
        sa.Column("n", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("scope", sa.String(length=128), nullable=False),
        sa.Column("sites", sa.Text(), nullable=False),
        sa.Column("due_from", sa.String(length=10), nullable=False),
        sa.Column("due_to", sa.String(length=10), nullable=False),
        sa.Column("made_by", sa.String(length=64), nullable=False),
        sa.Column("made_ms", sa.BigInteger(), nullable=False),
        sa.Column("cancelled_by", sa.String(length=64), nullable=False),
        sa.Column("cancelled_ms", sa.BigInteger(), nullable=True),
        sa.Column("cancelled_why", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("n", name=op.f("pk_inspection_round")),
    )
    op.create_table(
        "inspection_visit",
        sa.Column("n", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("round", sa.Integer(), nullable=True),
        sa.Column("site", sa.String(length=64), nullable=False),
        sa.Column("on_day", sa.String(length=10), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("reached", sa.Boolean(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("corrects", sa.Integer(), nullable=True),
        sa.Column("papers", sa.Text(), nullable=False),
        sa.Column("made_by", sa.String(length=64), nullable=False),
        sa.Column("made_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("n", name=op.f("pk_inspection_visit")),
        sa.UniqueConstraint("corrects", name=op.f("uq_inspection_visit_corrects")),
    )
    with op.batch_alter_table("inspection_visit", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_inspection_visit_on_day"), ["on_day"], unique=False)
        batch_op.create_index(batch_op.f("ix_inspection_visit_round"), ["round"], unique=False)
        batch_op.create_index(batch_op.f("ix_inspection_visit_site"), ["site"], unique=False)

    op.create_table(
        "meeting",
        sa.Column("n", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("organiser", sa.String(length=100), nullable=False),
        sa.Column("start_ms", sa.BigInteger(), nullable=False),
        sa.Column("end_ms", sa.BigInteger(), nullable=False),
        sa.Column("scope", sa.String(length=128), nullable=False),
        sa.Column("sites", sa.Text(), nullable=False),
        sa.Column("made_by", sa.String(length=64), nullable=False),
        sa.Column("made_ms", sa.BigInteger(), nullable=False),
        sa.Column("cancelled_by", sa.String(length=64), nullable=False),
        sa.Column("cancelled_ms", sa.BigInteger(), nullable=True),
        sa.Column("cancelled_why", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("n", name=op.f("pk_meeting")),
    )
    with op.batch_alter_table("meeting", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_meeting_start_ms"), ["start_ms"], unique=False)

    op.create_table(
        "meeting_note",
        sa.Column("n", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("meeting", sa.Integer(), nullable=False),
        sa.Column("site", sa.String(length=64), nullable=False),
        sa.Column("reached", sa.Boolean(), nullable=False),
        sa.Column("joined_ms", sa.BigInteger(), nullable=True),
        sa.Column("left_ms", sa.BigInteger(), nullable=True),
        sa.Column("quality", sa.Text(), nullable=False),
        sa.Column("papers", sa.Text(), nullable=False),
        sa.Column("made_by", sa.String(length=64), nullable=False),
        sa.Column("made_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("n", name=op.f("pk_meeting_note")),
    )
    with op.batch_alter_table("meeting_note", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_meeting_note_meeting"), ["meeting"], unique=False)

    op.create_table(
        "position_record",
        sa.Column("n", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("site", sa.String(length=64), nullable=False),
        sa.Column("terminal", sa.String(length=16), nullable=False),
        sa.Column("act", sa.String(length=16), nullable=False),
        sa.Column("on_day", sa.String(length=10), nullable=False),
        sa.Column("model", sa.String(length=100), nullable=True),
        sa.Column("serial", sa.String(length=100), nullable=False),
        sa.Column("mac", sa.String(length=17), nullable=False),
        sa.Column("asset", sa.String(length=100), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("corrects", sa.Integer(), nullable=True),
        sa.Column("papers", sa.Text(), nullable=False),
        sa.Column("made_by", sa.String(length=64), nullable=False),
        sa.Column("made_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("n", name=op.f("pk_position_record")),
        sa.UniqueConstraint("corrects", name=op.f("uq_position_record_corrects")),
    )
    with op.batch_alter_table("position_record", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_position_record_asset"), ["asset"], unique=False)
        batch_op.create_index(batch_op.f("ix_position_record_mac"), ["mac"], unique=False)
        batch_op.create_index(batch_op.f("ix_position_record_serial"), ["serial"], unique=False)
        batch_op.create_index(batch_op.f("ix_position_record_site_terminal"), ["site", "terminal"], unique=False)

    op.create_table(
        "stock_count",
        sa.Column("n", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("site", sa.String(length=64), nullable=False),
        sa.Column("terminal", sa.String(length=16), nullable=False),
        sa.Column("on_day", sa.String(length=10), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("card", sa.Integer(), nullable=True),
        sa.Column("seen", sa.String(length=100), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("papers", sa.Text(), nullable=False),
        sa.Column("made_by", sa.String(length=64), nullable=False),
        sa.Column("made_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("n", name=op.f("pk_stock_count")),
    )
    with op.batch_alter_table("stock_count", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_stock_count_year"), ["year"], unique=False)
    _triggers()


def _triggers() -> None:
    """UPDATE and DELETE are refused whoever asks; what INSERT OR REPLACE deletes asks no trigger on deletes."""
    if op.get_context().dialect.name == "sqlite":
        for table in ADDED_ONLY:
            for event in ("UPDATE", "DELETE"):
                op.execute(
                    f"CREATE TRIGGER {table}_{event.lower()} BEFORE {event} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, '{TEXT}'); END"
                )
            key = "visit = NEW.visit AND terminal = NEW.terminal" if table == "inspection_finding" else "n = NEW.n"
            op.execute(
                f"CREATE TRIGGER {table}_replace BEFORE INSERT ON {table} "  # noqa: S608  # names of our own
                f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {key}) BEGIN SELECT RAISE(ABORT, '{TEXT}'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION rounds_are_only_added() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{TEXT}' USING ERRCODE = 'integrity_constraint_violation'; END $$"
    )
    for table in ADDED_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION rounds_are_only_added()"
        )


def downgrade() -> None:
    with op.batch_alter_table("stock_count", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_stock_count_year"))

    op.drop_table("stock_count")
    with op.batch_alter_table("position_record", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_position_record_site_terminal"))
        batch_op.drop_index(batch_op.f("ix_position_record_serial"))
        batch_op.drop_index(batch_op.f("ix_position_record_mac"))
        batch_op.drop_index(batch_op.f("ix_position_record_asset"))

    op.drop_table("position_record")
    with op.batch_alter_table("meeting_note", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_meeting_note_meeting"))

    op.drop_table("meeting_note")
    with op.batch_alter_table("meeting", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_meeting_start_ms"))

    op.drop_table("meeting")
    with op.batch_alter_table("inspection_visit", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_inspection_visit_site"))
        batch_op.drop_index(batch_op.f("ix_inspection_visit_round"))
        batch_op.drop_index(batch_op.f("ix_inspection_visit_on_day"))

    op.drop_table("inspection_visit")
    op.drop_table("inspection_round")
    op.drop_table("inspection_finding")
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP FUNCTION rounds_are_only_added()")
