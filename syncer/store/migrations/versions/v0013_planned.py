"""Until when a person's word was to hold when it was said: where it ends before that, nobody knew so then."""

from __future__ import annotations

import time

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("overrides", sa.Column("planned_until", sa.BigInteger()))
    # Of a word that is over nobody can tell any more whether it was taken back: nothing is said to have been planned.
    ahead = sa.text('UPDATE overrides SET planned_until = "until" WHERE "until" > :now')
    op.get_bind().execute(ahead, {"now": round(time.time() * 1000)})
