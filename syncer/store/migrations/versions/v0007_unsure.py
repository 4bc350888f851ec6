"""Messages that could not be sent, apart from those that are no news any more; and which may have arrived all the
same, so that a repeat that a person asks for says so."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_NOTICES = sa.table("notices", sa.column("state", sa.Text()), sa.column("error", sa.Text()), sa.column("unsure"))
_NO_NEWS = (
    "the lead left the stage before the CRM had shown it",
    "the lead was moved in the CRM before the alert could go out",
    "the person was erased in the CRM",
)


def upgrade() -> None:
    op.add_column("notices", sa.Column("unsure", sa.Boolean(), nullable=False, server_default=sa.false()))
    state, error = _NOTICES.c.state, _NOTICES.c.error
    may_have_arrived = sa.or_(state.in_(("sending", "uncertain")), sa.and_(state == "dead", error.like("held: %")))
    op.execute(sa.update(_NOTICES).where(may_have_arrived).values(unsure=sa.true()))
    op.execute(sa.update(_NOTICES).where(state == "dead", error.in_(_NO_NEWS)).values(state="dropped"))
