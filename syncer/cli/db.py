"""`db`: the database itself. Works by its URL alone, so that a database can be saved where no project is."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from syncer.cli.output import counted, process_of
from syncer.errors import NotFound
from syncer.store import Store, api_tokens, backups, open_store, schema, users
from syncer.store.backups import Manifest

_MEGABYTE = 1_000_000


def backup(ctx: click.Context, file: Path) -> None:
    url = _url(ctx)
    _insist_on_database(url)
    store = open_store(url, migrate=False)
    try:
        made = backups.back_up(store, file, datetime.now(UTC))
    finally:
        store.close()
    size = f"{file.stat().st_size / _MEGABYTE:,.1f} MB"
    click.echo(f"{_told(made)} in {file} (schema {made.revision}, {size})")


def restore(ctx: click.Context, file: Path, replace: bool, latest: bool) -> None:
    with backups.opened(file) as archive:  # before a database is made where there is none yet
        store = open_store(_url(ctx))
        try:
            backups.restore(store, archive, replace=replace, latest=latest)
            back = _who_is_back(store)
        finally:
            store.close()
    made = archive.manifest
    click.echo(f"{_told(made)} in {store.name}, as of {made.made_at:%Y-%m-%d %H:%M} UTC")
    if not latest:
        click.echo(
            "The next full run of each connection goes on from what its CRM shows and announces nobody; "
            "`syncer plan` shows it first, `syncer outbox` what may have been sent since the backup"
        )
        if back:
            click.echo(
                f"These may come in as they might at the time of the backup: {', '.join(back)}; "
                "with `syncer users`, remove and revoke again whom and what you have removed and revoked since"
            )


def _who_is_back(store: Store) -> list[str]:
    """Who may sign in by a password, with which role, and the tokens of the API; who comes through an identity provider
    has the role that it tells."""
    with store.reading() as tx:
        people, tokens = users.listed(tx), api_tokens.listed(tx)
    now = datetime.now(UTC)
    return [f"{each.name} ({each.role})" for each in people if each.password is not None] + [
        f"token {each.name} #{each.id} ({each.role})" for each in reversed(tokens) if each.is_good(now)
    ]


def migrate(ctx: click.Context, check: bool) -> None:
    url = _url(ctx)
    if check:
        _insist_on_database(url)
    try:
        open_store(url, migrate=False).close()
    except schema.SchemaBehind as behind:
        if check:
            click.echo(behind.message)
            ctx.exit(NotFound.exit_code)
        open_store(url).close()
        click.echo(_migrated(behind.state, _file(url)))
        return
    click.echo(f"the schema is up to date: {schema.head()}")


def _migrated(was: schema.SchemaState, path: Path | None) -> str:
    if was.current is None:
        return f"the database was empty; it has the schema {was.head} now"
    copied = f"; {schema.copy_of(path, was.current)} is the file as it was" if path else ""
    return f"the schema was {was.current} and is {was.head} now{copied}"


def _told(made: Manifest) -> str:
    return f"{counted(made.rows('leads'), 'lead')} of {counted(made.rows('connections'), 'connection')}"


def _url(ctx: click.Context) -> str:
    return process_of(ctx).database_url.get_secret_value()


def _insist_on_database(url: str) -> None:
    """To look at a SQLite file that does not exist would make it."""
    path = _file(url)
    if path is not None and not path.exists():
        raise NotFound(f"there is no database {path}; --database-url or SYNCER_DATABASE_URL names it", code="SY234")


def _file(url: str) -> Path | None:
    try:
        parsed = make_url(url)
    except ArgumentError:
        return None  # whoever opens it says so
    return Path(parsed.database) if parsed.get_backend_name() == "sqlite" and parsed.database else None
