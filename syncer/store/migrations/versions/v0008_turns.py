"""Who of sales a hand-off was given to, and whose turn it is in each team.

What was handed over before was given to nobody in particular: it fills nobody's day.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("handoffs", sa.Column("assigned_to", sa.Text(), nullable=True))
    op.add_column("handoffs", sa.Column("assigned_at", sa.BigInteger(), nullable=True))
    op.create_index("ix_handoffs_assigned", "handoffs", ["assigned_to", "assigned_at"])
    op.create_table(
        "turns",
        sa.Column("team", sa.Text(), primary_key=True),
        sa.Column("standing", sa.Text(), nullable=False),
    )
