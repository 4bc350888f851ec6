"""Failures in a row, retention's place, and what many workers share: rates, themselves, ranges of leads to score."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_ZERO = sa.text("0")


def upgrade() -> None:
    op.add_column("connections", sa.Column("settings", sa.Text()))
    op.add_column("connections", sa.Column("failures", sa.Integer(), nullable=False, server_default=_ZERO))
    op.add_column("connections", sa.Column("failing", sa.Text()))
    op.add_column("connections", sa.Column("told_at", sa.BigInteger()))
    op.add_column("connections", sa.Column("rung_at", sa.BigInteger()))
    op.add_column("connections", sa.Column("retention_cursor", sa.Text()))
    op.add_column("connections", sa.Column("retained_at", sa.BigInteger()))
    op.create_table(
        "rates",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("next_us", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "workers",
        sa.Column("holder", sa.Text(), primary_key=True),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("places", sa.Integer(), nullable=False),
        sa.Column("busy", sa.Integer(), nullable=False, server_default=_ZERO),
    )
    op.create_table(
        "score_ranges",
        sa.Column("run_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("first_lead", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("last_lead", sa.BigInteger(), nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("rules", sa.Text(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("taken_by", sa.Text()),
        sa.Column("taken_until", sa.BigInteger(), nullable=False, server_default=_ZERO),
        sa.Column("done", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("counts", sa.Text()),
    )
