"""The clock of a hand-off: told, due, touched; and messages that remind of it.

What was handed over before is told since its first message went out. It has no time by which somebody must act, so
nobody is reminded of it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_MOMENTS = ("told_at", "due_at", "look_at", "reminded_at", "escalated_at", "touched_at")
_SPANS = ("system_ms", "human_ms", "human_work_ms")
_TO_COME = sa.text("look_at IS NOT NULL AND closed_at IS NULL")
_FIRST_SENT = "SELECT min(sent_at) FROM notices WHERE notices.handoff_key = handoffs.key"


def upgrade() -> None:
    for name in _MOMENTS:
        op.add_column("handoffs", sa.Column(name, sa.BigInteger(), nullable=True))
    op.add_column("handoffs", sa.Column("touched_by", sa.Text(), nullable=True))
    for name in _SPANS:
        op.add_column("handoffs", sa.Column(name, sa.BigInteger(), nullable=True))
    op.add_column("notices", sa.Column("kind", sa.Text(), nullable=False, server_default=sa.text("'handoff'")))
    op.create_index(
        "ix_handoffs_look",
        "handoffs",
        ["connection", "look_at"],
        sqlite_where=_TO_COME,
        postgresql_where=_TO_COME,
    )
    op.execute(f"UPDATE handoffs SET told_at = ({_FIRST_SENT})")
