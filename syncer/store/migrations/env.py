"""What Alembic runs: the migrations, inside the transaction of the connection that `schema` handed in."""

from __future__ import annotations

from alembic import context

from syncer.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,  # also on SQLite, whose transaction we begin ourselves
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
