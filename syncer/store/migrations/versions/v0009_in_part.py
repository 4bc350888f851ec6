"""What arrived all but a part of it, apart from what could not be read at all."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("rejected", sa.Column("arrived", sa.Boolean(), nullable=False, server_default=sa.false()))
