"""Alembic's folder. It is run by `syncer.store.schema`, over a connection that is handed in; there is no ini file."""
