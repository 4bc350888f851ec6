"""`users`: who may sign in to the pages, and the tokens of the API."""

from __future__ import annotations

import sys
from datetime import datetime

import click

from syncer.app import App
from syncer.cli.output import app_of, counted, day, day_and_time, print_json, show, table
from syncer.cli.override import this_user
from syncer.errors import ConfigError
from syncer.overruling import end_of
from syncer.queries import accounts, passwords
from syncer.queries.accounts import By, Loss
from syncer.settings.sign_in import Role
from syncer.store.api_tokens import ApiToken


def listed(ctx: click.Context, as_json: bool) -> None:
    with app_of(ctx) as app:
        known = accounts.known_users(app)
        if as_json:
            told = [{"name": each.name, "role": each.role, "signs_in": _over(each.password),
                     "created_at": each.created_at, "changed_at": each.changed_at} for each in known]  # fmt: skip
            print_json("syncer.users/1", {"users": told})
            return
        if not known:
            click.echo("nobody may sign in by a password yet; `syncer users add NAME --role admin` makes the first one")
            return
        zone = app.project.timezone
        rows = [[each.name, each.role, _over(each.password), day(each.created_at, zone)] for each in known]
        show(table([(name, "left") for name in ("Name", "Role", "Signs in by", "Since")], rows))
        _say_what_is_missing(app)


def _over(password: str | None) -> str:
    return "identity provider" if password is None else "password"


def add(ctx: click.Context, name: str, role: Role) -> None:
    accounts.name_of(name)
    typed = _typed()
    with app_of(ctx) as app:
        kept = accounts.add_user(app, _by(), name, role, typed)
        click.echo(f"{kept} may sign in, as {role}.")
        _say_what_is_missing(app)


def password(ctx: click.Context, name: str) -> None:
    typed = _typed()
    with app_of(ctx) as app:
        ended = accounts.set_password(app, _by(), name, typed)
        click.echo(f"{name} has a new password; sessions ended: {ended}.")


def role(ctx: click.Context, name: str, role: Role) -> None:
    with app_of(ctx) as app:
        loss = accounts.set_role(app, _by(), name, role, may_be_last=True)
        click.echo(f"{name} has the role {role}, and signs in anew{_told(loss)}.")


def remove(ctx: click.Context, name: str) -> None:
    with app_of(ctx) as app:
        loss = accounts.remove_user(app, _by(), name, may_be_last=True)
        click.echo(f"{name} is removed and signed out everywhere{_told(loss)}.")


def _told(loss: Loss) -> str:
    """What else has gone. Whoever works at the server may leave no admin: here is the way back."""
    if loss.last_admin:
        told = "no admin is left who signs in by a password; `syncer users role` or `syncer users add` makes one"
        click.echo(f"warning: {told}", err=True)
    return f"; revoked: {counted(loss.tokens, 'API token')} that they had created" if loss.tokens else ""


def add_token(ctx: click.Context, name: str, role: Role, until: datetime | None) -> None:
    with app_of(ctx) as app:
        end = end_of(until.date(), app, "--until") if until else None
        made = accounts.add_token(app, _by(), name, role, end)
        click.echo(f"Token #{made.id} ({role}) is made. Copy it now: it is not shown again.", err=True)
        click.echo(made.value)


def tokens(ctx: click.Context, as_json: bool) -> None:
    with app_of(ctx) as app:
        known, now, zone = accounts.known_tokens(app), app.clock(), app.project.timezone
    if as_json:
        told = [{"id": each.id, "name": each.name, "role": each.role, "created_by": each.created_by,
                 "created_at": each.created_at, "expires_at": each.expires_at, "used_at": each.used_at,
                 "revoked_at": each.revoked_at, "state": _state(each, now)} for each in known]  # fmt: skip
        print_json("syncer.tokens/1", {"tokens": told})
        return
    if not known:
        click.echo("there is no token yet; `syncer users token add --name NAME` makes one")
        return
    rows = [
        [f"#{each.id}", each.name, each.role, day(each.expires_at, zone) if each.expires_at else "",
         day_and_time(each.used_at, zone) if each.used_at else "never", _state(each, now)]
        for each in known
    ]  # fmt: skip
    show(table([(head, "left") for head in ("Token", "Name", "Role", "Until", "Last used", "State")], rows))


def revoke(ctx: click.Context, number: int) -> None:
    with app_of(ctx) as app:
        name = accounts.revoke_token(app, _by(), number)
        click.echo(f"The token {name} #{number} is revoked.")


def _state(token: ApiToken, now: datetime) -> str:
    return "revoked" if token.revoked_at else "good" if token.is_good(now) else "over"


def _by() -> By:
    return By(this_user())


def _typed() -> str:
    """Twice at a terminal, unseen; else the first line of standard input."""
    if not sys.stdin.isatty():
        found = sys.stdin.readline().rstrip("\r\n")
        if not found:
            raise ConfigError("no password came; type it, or give it on standard input", code="SY253")
        return found
    shortest = passwords.SHORTEST
    typed: str = click.prompt(f"Password ({shortest} characters or more)", hide_input=True, confirmation_prompt=True)
    return typed


def _say_what_is_missing(app: App) -> None:
    web = app.project.web
    if web is None or web.sign_in is None:
        click.echo("Nobody is asked to sign in yet: set web.sign_in in the project file.")
    elif not web.sign_in.passwords:
        click.echo("Nobody signs in by a password: web.sign_in.passwords is false in the project file.")
