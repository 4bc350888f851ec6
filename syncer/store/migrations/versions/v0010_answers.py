"""What sales answers, and messages that went out as one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_SENT = sa.text("sent_at IS NOT NULL")


def upgrade() -> None:
    op.add_column("notices", sa.Column("digest", sa.Text()))
    op.create_index(
        "ix_notices_sent", "notices", ["connection", "channel", "sent_at"], sqlite_where=_SENT, postgresql_where=_SENT
    )
    op.create_table(
        "answers",
        sa.Column("id", _SERIAL, primary_key=True),
        sa.Column("handoff_key", sa.Text(), sa.ForeignKey("handoffs.key"), nullable=False),
        sa.Column("accepted", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_answers_handoff_key", "answers", ["handoff_key"])
