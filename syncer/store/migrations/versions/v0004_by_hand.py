"""Stages chosen by hand in a field of a CRM, and whose field a person's word came from."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("records", sa.Column("manual", sa.Text(), nullable=True))
    op.add_column("overrides", sa.Column("record", sa.Text(), nullable=True))
