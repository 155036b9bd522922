"""what people declare of a year, and triggers that keep it as it was written"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

ADDED_ONLY = ("declared_value", "declared_confirmation")
TEXT = "rows are only added: declare anew"


def upgrade() -> None:
    op.create_table(
        "declared_value",
        sa.Column("n", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("papers", sa.Text(), nullable=False),
        sa.Column("made_by", sa.String(length=64), nullable=False),
        sa.Column("made_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("n", name=op.f("pk_declared_value")),
    )
    op.create_index(op.f("ix_declared_value_year"), "declared_value", ["year"])
    op.create_table(
        "declared_confirmation",
        sa.Column("n", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("made_by", sa.String(length=64), nullable=False),
        sa.Column("made_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["n"], ["declared_value.n"], name=op.f("fk_declared_confirmation_n_declared_value")),
        sa.PrimaryKeyConstraint("n", name=op.f("pk_declared_confirmation")),
    )
    if op.get_context().dialect.name == "sqlite":
        for table in ADDED_ONLY:
            for event in ("UPDATE", "DELETE"):
                op.execute(
                    f"CREATE TRIGGER {table}_{event.lower()} BEFORE {event} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, '{TEXT}'); END"
                )
            # What INSERT OR REPLACE deletes asks no trigger on deletes.
            op.execute(
                f"CREATE TRIGGER {table}_replace BEFORE INSERT ON {table} "  # noqa: S608  # names of our own
                f"WHEN EXISTS (SELECT 1 FROM {table} WHERE n = NEW.n) BEGIN SELECT RAISE(ABORT, '{TEXT}'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION declared_is_only_added() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{TEXT}' USING ERRCODE = 'integrity_constraint_violation'; END $$"
    )
    for table in ADDED_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION declared_is_only_added()"
        )


def downgrade() -> None:
    op.drop_table("declared_confirmation")
    op.drop_index(op.f("ix_declared_value_year"), "declared_value")
    op.drop_table("declared_value")
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP FUNCTION declared_is_only_added()")
