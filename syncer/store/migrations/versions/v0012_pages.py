"""What the pages need: leads found by name, who may sign in, who did what, and a person's word at the fuse."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_PLAIN = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_DECIDED = sa.text("stage IS NOT NULL")
_OWNED = sa.text("owner IS NOT NULL")


def upgrade() -> None:
    op.add_column("connections", sa.Column("approved", sa.Text()))
    op.drop_index("ix_leads_stage", "leads")
    for last in ("total", "since"):
        op.create_index(
            f"ix_leads_stage_{last}", "leads", ["connection", "live", "stage", last, "id"],
            sqlite_where=_DECIDED, postgresql_where=_DECIDED,
        )  # fmt: skip
    op.create_index("ix_transitions_at", "transitions", ["at"])
    op.create_table(
        "lead_cards",
        sa.Column("lead_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("name", sa.Text()),
        sa.Column("name_key", sa.Text()),
        sa.Column("email", sa.Text()),
        sa.Column("owner", sa.Text()),
        sa.Column("source", sa.Text()),
    )
    op.create_index("ix_lead_cards_name", "lead_cards", ["name_key", "lead_id"])
    op.create_index(
        "ix_lead_cards_owner", "lead_cards", ["owner", "lead_id"], sqlite_where=_OWNED, postgresql_where=_OWNED
    )
    op.create_table(
        "lead_words",
        sa.Column("word", _PLAIN, primary_key=True),
        sa.Column("lead_id", sa.BigInteger(), primary_key=True, autoincrement=False),
    )
    op.create_index("ix_lead_words_lead", "lead_words", ["lead_id"])
    _who_may_sign_in()


def _who_may_sign_in() -> None:
    op.create_table(
        "users",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("password", sa.Text()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "sessions",
        sa.Column("digest", sa.Text(), primary_key=True),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_sessions_user", "sessions", ["user"])
    op.create_table(
        "api_tokens",
        sa.Column("id", _SERIAL, primary_key=True),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger()),
        sa.Column("used_at", sa.BigInteger()),
        sa.Column("revoked_at", sa.BigInteger()),
        sa.UniqueConstraint("digest", name="uq_api_tokens_digest"),
    )
    op.create_table(
        "audit",
        sa.Column("id", _SERIAL, primary_key=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("address", sa.Text()),
        sa.Column("details", sa.Text(), nullable=False),
    )
    op.create_index("ix_audit_at", "audit", ["at"])
    op.create_index("ix_audit_act", "audit", ["act", "at"])
