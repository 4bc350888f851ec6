"""Two indexes that every new lead paid for, and few questions need.

A lead's stage is asked for where it has one; a record's id alone is looked up under each kind of record there is.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_DECIDED = sa.text("stage IS NOT NULL")


def upgrade() -> None:
    op.drop_index("ix_records_id", table_name="records")
    op.drop_index("ix_leads_stage", table_name="leads")
    op.create_index(
        "ix_leads_stage",
        "leads",
        ["connection", "live", "stage"],
        sqlite_where=_DECIDED,
        postgresql_where=_DECIDED,
    )
