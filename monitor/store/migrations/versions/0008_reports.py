"""sealed reports

Rows are only added.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TEXT = "定稿的报告不能改动，也不能删除：请出更正版"


def upgrade() -> None:
    op.create_table(
        "report",
        sa.Column("n", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("period", sa.String(length=16), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("sealed_by", sa.String(length=64), nullable=False),
        sa.Column("approval", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("rules", sa.String(length=32), nullable=False),
        sa.Column("software", sa.String(length=64), nullable=False),
        sa.Column("previous", sa.String(length=64), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("facts", sa.LargeBinary(), nullable=False),
        sa.Column("differences", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("n", name=op.f("pk_report")),
        sa.UniqueConstraint("kind", "period", "revision", name=op.f("uq_report_kind_period_revision")),
    )
    # The approval by which months seal themselves is a record of the audit log.
    op.create_index(op.f("ix_audit_action_n"), "audit", ["action", "n"], unique=False)
    if op.get_context().dialect.name == "sqlite":
        refuse = f"BEGIN SELECT RAISE(ABORT, '{TEXT}'); END"
        for event in ("UPDATE", "DELETE"):
            op.execute(f"CREATE TRIGGER report_{event.lower()} BEFORE {event} ON report {refuse}")
        # What INSERT OR REPLACE deletes asks no trigger on deletes.
        same = "n = NEW.n OR (kind = NEW.kind AND period = NEW.period AND revision = NEW.revision)"
        op.execute(
            "CREATE TRIGGER report_replace BEFORE INSERT ON report "  # noqa: S608  # names of our own
            f"WHEN EXISTS (SELECT 1 FROM report WHERE {same}) {refuse}"
        )
        return
    op.execute(
        "CREATE FUNCTION report_is_final() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{TEXT}' USING ERRCODE = 'integrity_constraint_violation'; END $$"
    )
    op.execute(
        "CREATE TRIGGER report_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON report "
        "FOR EACH STATEMENT EXECUTE FUNCTION report_is_final()"
    )


def downgrade() -> None:
    op.drop_index(op.f("ix_audit_action_n"), table_name="audit")
    op.drop_table("report")
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP FUNCTION report_is_final()")
