"""What was known before, so that any score can be replayed as of any time; and what each lead's facts meet."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _records()
    _past_versions()
    _past_members()
    _past_activities()
    _rules_in_force()
    _lead_states()


def _records() -> None:
    """What the mirror has now was true when the CRM last changed it: that is all that is known of before."""
    with op.batch_alter_table("records") as records:
        records.add_column(sa.Column("merged_object", sa.Text(), nullable=True))
        records.add_column(sa.Column("since", sa.BigInteger(), nullable=True))
        records.add_column(sa.Column("joined_at", sa.BigInteger(), nullable=True))
    op.execute("UPDATE records SET since = modified_at")
    op.execute("UPDATE records SET merged_object = object WHERE merged_into IS NOT NULL")
    with op.batch_alter_table("records") as records:
        records.alter_column("since", nullable=False)
    op.drop_index("ix_records_merged_into", table_name="records")
    op.create_index(
        "ix_records_merged_into",
        "records",
        ["connection", "merged_object", "merged_into"],
        unique=False,
        sqlite_where=sa.text("merged_into IS NOT NULL"),
        postgresql_where=sa.text("merged_into IS NOT NULL"),
    )


def _past_versions() -> None:
    op.create_table(
        "past_versions",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("record_id", sa.Text(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.Column("counts", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("connection", "object", "record_id", "until", name="pk_past_versions"),
    )


def _past_members() -> None:
    op.create_table(
        "past_members",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("record_id", sa.Text(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("lead_id", sa.BigInteger(), nullable=False),
        sa.Column("joined_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("connection", "object", "record_id", "until", name="pk_past_members"),
    )
    op.create_index("ix_past_members_lead_id", "past_members", ["lead_id"], unique=False)


def _past_activities() -> None:
    key = ("connection", "object", "record_id", "activity_id", "until")
    op.create_table(
        "past_activities",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("record_id", sa.Text(), nullable=False),
        sa.Column("activity_id", sa.Text(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("fields", sa.Text(), nullable=True),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(*key, name="pk_past_activities"),
    )


def _rules_in_force() -> None:
    op.create_table(
        "rules_in_force",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("segments", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("connection", "since", name="pk_rules_in_force"),
    )


def _lead_states() -> None:
    op.create_table(
        "lead_states",
        sa.Column("lead_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("rules", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("bits", sa.LargeBinary(), nullable=False),
        sa.Column("hits", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("lead_id", name="pk_lead_states"),
    )
