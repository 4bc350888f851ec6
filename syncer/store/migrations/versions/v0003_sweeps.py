"""Reconcile sweeps, hints of a CRM, erased people, kinds of runs, and when a CRM asked for patience.

Every new column is empty or a constant, so that no database writes its rows anew: they may be millions.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "hints",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("connection", "object", "id", name="pk_hints"),
    )
    op.add_column("connections", sa.Column("parked_until", sa.BigInteger(), nullable=True))
    op.add_column("connections", sa.Column("parked_reason", sa.Text(), nullable=True))
    op.add_column("cursors", _number("sweep"))
    op.add_column("cursors", sa.Column("sweep_cursor", sa.Text(), nullable=True))
    op.add_column("cursors", sa.Column("sweep_began_at", sa.BigInteger(), nullable=True))
    op.add_column("cursors", sa.Column("swept_at", sa.BigInteger(), nullable=True))
    op.add_column("records", sa.Column("erased", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("records", _number("swept"))
    op.add_column("activities", sa.Column("modified_at", sa.BigInteger(), nullable=True))
    op.add_column("activities", _number("swept"))
    op.add_column("runs", sa.Column("kind", sa.Text(), server_default=sa.text("'full'"), nullable=False))
    op.create_index("ix_runs_kind", "runs", ["connection", "kind", "started_at"])
    op.create_index("ix_decisions_lead_id", "decisions", ["lead_id"])


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), server_default=sa.text("0"), nullable=False)
