"""planned windows as people declare them, and work orders"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "work_order",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("site", sa.String(length=64), nullable=False),
        sa.Column("township", sa.String(length=64), nullable=False),
        sa.Column("level", sa.String(length=16), nullable=False),
        sa.Column("opened_for", sa.String(length=160), nullable=True),
        sa.Column("fault", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("responsible", sa.String(length=64), nullable=False),
        sa.Column("opened_ms", sa.BigInteger(), nullable=False),
        sa.Column("opened_by", sa.String(length=64), nullable=False),
        sa.Column("dispatched_ms", sa.BigInteger(), nullable=True),
        sa.Column("assignee", sa.String(length=64), nullable=False),
        sa.Column("repaired_ms", sa.BigInteger(), nullable=True),
        sa.Column("restored_ms", sa.BigInteger(), nullable=True),
        sa.Column("closed_ms", sa.BigInteger(), nullable=True),
        sa.Column("closed_by", sa.String(length=64), nullable=False),
        sa.Column("close_reason", sa.Text(), nullable=False),
        sa.Column("forced", sa.Boolean(), nullable=False),
        sa.Column("cause", sa.String(length=16), nullable=False),
        sa.Column("work", sa.Text(), nullable=False),
        sa.Column("reopened", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_work_order")),
        sa.UniqueConstraint("opened_for", name=op.f("uq_work_order_opened_for")),
    )
    with op.batch_alter_table("work_order", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_work_order_site_opened_ms"), ["site", "opened_ms"], unique=False)
        batch_op.create_index(batch_op.f("ix_work_order_state_closed_ms"), ["state", "closed_ms"], unique=False)

    op.create_table(
        "exemption",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("order_id", sa.Integer(), nullable=False),
        sa.Column("cause", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("paper", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("proposed_ms", sa.BigInteger(), nullable=False),
        sa.Column("proposed_by", sa.String(length=64), nullable=False),
        sa.Column("decided_ms", sa.BigInteger(), nullable=True),
        sa.Column("decided_by", sa.String(length=64), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["order_id"],
            ["work_order.id"],
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exemption")),
    )
    with op.batch_alter_table("exemption", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_exemption_order_id"), ["order_id"], unique=False)

    op.create_table(
        "work_order_event",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("order_id", sa.Integer(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("who", sa.String(length=64), nullable=False),
        sa.Column("what", sa.String(length=24), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["order_id"],
            ["work_order.id"],
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_work_order_event")),
    )
    with op.batch_alter_table("work_order_event", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_work_order_event_order_id_id"), ["order_id", "id"], unique=False)

    op.create_table(
        "work_order_outage",
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column("order_id", sa.Integer(), nullable=False),
        sa.Column("added_ms", sa.BigInteger(), nullable=False),
        sa.Column("overdue_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["order_id"],
            ["work_order.id"],
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_work_order_outage")),
    )
    with op.batch_alter_table("work_order_outage", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_work_order_outage_order_id"), ["order_id"], unique=False)

    op.create_table(
        "work_order_paper",
        sa.Column("order_id", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("who", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["order_id"],
            ["work_order.id"],
        ),
        sa.PrimaryKeyConstraint("order_id", "sha256", name=op.f("pk_work_order_paper")),
    )
    with op.batch_alter_table("window", schema=None) as batch_op:
        batch_op.add_column(sa.Column("declared_by", sa.String(length=64), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("retroactive", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch_op.add_column(sa.Column("series", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("approved_ms", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("approved_by", sa.String(length=64), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("rejected_ms", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("rejected_by", sa.String(length=64), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("cancelled_ms", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("cancelled_by", sa.String(length=64), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("note", sa.Text(), nullable=False, server_default=""))
    # The rows that there are have a value now; new ones say theirs.
    with op.batch_alter_table("window", schema=None) as batch_op:
        for name in ("declared_by", "retroactive", "approved_by", "rejected_by", "cancelled_by", "note"):
            batch_op.alter_column(name, server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("window", schema=None) as batch_op:
        batch_op.drop_column("note")
        batch_op.drop_column("cancelled_by")
        batch_op.drop_column("cancelled_ms")
        batch_op.drop_column("rejected_by")
        batch_op.drop_column("rejected_ms")
        batch_op.drop_column("approved_by")
        batch_op.drop_column("approved_ms")
        batch_op.drop_column("series")
        batch_op.drop_column("retroactive")
        batch_op.drop_column("declared_by")

    op.drop_table("work_order_paper")
    with op.batch_alter_table("work_order_outage", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_work_order_outage_order_id"))

    op.drop_table("work_order_outage")
    with op.batch_alter_table("work_order_event", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_work_order_event_order_id_id"))

    op.drop_table("work_order_event")
    with op.batch_alter_table("exemption", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_exemption_order_id"))

    op.drop_table("exemption")
    with op.batch_alter_table("work_order", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_work_order_state_closed_ms"))
        batch_op.drop_index(batch_op.f("ix_work_order_site_opened_ms"))

    op.drop_table("work_order")
