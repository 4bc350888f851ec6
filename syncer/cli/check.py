"""`check` and `setup`: is everything in place, and what must be created in the CRM."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import click
from rich.table import Table
from rich.text import Text

from syncer import log
from syncer.app import App
from syncer.cli.output import app_of, print_json, show, table
from syncer.connector import Destination, FieldChange, Finding
from syncer.errors import ConfigError, SyncerError
from syncer.handoff.text import one_line
from syncer.settings import SettingsError

_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "error": ("✗", "red")}
_LAYERS = ("files", "environment", "credentials", "scopes", "fields", "limits", "rules")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of `check`. `where` is a place in a file; `exit_code` counts for errors."""

    layer: str
    level: str
    message: str
    code: str = ""
    help: str = ""
    where: str = ""
    exit_code: int = ConfigError.exit_code


def check(ctx: click.Context, connection: str | None, offline: bool, strict: bool, as_json: bool) -> None:
    try:
        with app_of(ctx) as app:
            lines = [*_local(app), *(() if offline else _remote(app, connection))]
    except SettingsError as wrong:
        if not as_json:
            raise
        lines = list(_mistakes(wrong))
    lines.sort(key=lambda line: _LAYERS.index(line.layer))
    failed = [line for line in lines if line.level == "error" or (strict and line.level == "warning")]
    errors, warnings = (sum(line.level == level for line in lines) for level in ("error", "warning"))
    if as_json:
        told = {"errors": errors, "warnings": warnings, "findings": [_json(line) for line in lines]}
        print_json("syncer.check/1", told)
    else:
        show(_drawn(lines))
        click.echo(f"{_counted(errors, 'error')}, {_counted(warnings, 'warning')}.")
    if failed:
        # What a person must mend comes before what patience mends.
        ctx.exit(min(line.exit_code for line in failed))


def _mistakes(wrong: SettingsError) -> Iterator[Line]:
    for each in wrong.problems:
        place = ":".join(str(part) for part in (each.file, each.line, each.column) if part)
        message = f"{each.path}: {each.message}" if each.path else each.message
        yield Line("files", "error", message, each.code, each.help, place)


def _local(app: App) -> Iterator[Line]:
    project = app.project
    models = _counted(len(project.segments), "model")
    rules = _counted(sum(len(segment.model.rules) for segment in project.segments), "rule")
    yield Line("files", "ok", f"{app.process.config} · {models} · {rules} · {_counted(len(project.stages), 'stage')}")
    yield Line("rules", "ok", f"stages {' → '.join(project.stages)}")
    database = f"database {app.store.name}, its schema up to date"
    yield Line("environment", "ok", f"Python {platform.python_version()} · {database}")
    if project.segments[-1].when is not None:
        missing = "no model is for everybody else: leads that fit no `for:` are not scored, and keep what they have"
        yield Line("rules", "warning", missing, "SY087", "end `models:` with a model without `for:`")
    if project.handoff is None or not project.handoff.notify:
        help_ = "add `notifiers` and `notify` under `handoff:`"
        yield Line("files", "warning", "nobody is told when a lead is ready", "SY083", help_)


def _remote(app: App, name: str | None) -> Iterator[Line]:
    for connection in app.chosen(name):
        try:
            for finding in app.connector(connection).check():
                yield _line(connection.name, finding)
        except SyncerError as error:
            message = _named(connection.name, error.message)
            yield Line("credentials", "error", message, error.code, exit_code=error.exit_code)


def _line(connection: str, finding: Finding) -> Line:
    code = finding.code if finding.code != "SY000" else ""
    return Line(finding.layer, finding.level, _named(connection, finding.message), code, log.redact(finding.help))


def _named(connection: str, message: str) -> str:
    return log.redact(message if message.startswith(f"{connection}: ") else f"{connection}: {message}")


def _json(line: Line) -> dict[str, str]:
    return {name: getattr(line, name) for name in ("layer", "level", "message", "code", "help", "where")}


def _drawn(lines: Sequence[Line]) -> Table:
    """A line each, under its layer; what follows a mark is aligned, also where it goes on in the next line."""
    drawn = Table.grid(padding=(0, 1, 0, 0))
    last = ""
    for line in lines:
        title = "" if line.layer == last else f"{_LAYERS.index(line.layer) + 1} {line.layer}"
        mark, colour = _MARKS[line.level]
        code = f"  {line.code}" if line.code and line.level != "ok" else ""
        drawn.add_row(Text(f"{title:<13}"), Text(mark, colour), Text(one_line(line.message) + code))
        if line.help and line.level != "ok":
            drawn.add_row("", "", Text(f"help: {one_line(line.help)}"))
        last = line.layer
    return drawn


def _counted(count: int, what: str) -> str:
    return f"{count or 'no'} {what}{'s' * (count != 1)}"


def setup(ctx: click.Context, connection: str | None, apply_: bool, as_json: bool) -> None:
    with app_of(ctx) as app:
        chosen = app.connection(connection)
        connector = app.connector(chosen)
        if not isinstance(connector, Destination):
            raise ConfigError(f"{chosen.name}: nothing is written to a '{chosen.type}' connection", code="SY084")
        changes = list(connector.setup())
        if apply_:
            for change in changes:
                if not change.exists:
                    connector.create(change)
    if as_json:
        print_json("syncer.setup/1", {"applied": apply_, "changes": [asdict(change) for change in changes]})
    else:
        _print_setup(changes, apply_)
    problems = [change.problem for change in changes if change.problem]
    if problems:
        raise ConfigError("; ".join(problems), code="SY044")


def _print_setup(changes: Sequence[FieldChange], applied: bool) -> None:
    rows = [["" if each.exists else "+", each.kind, each.name, each.type, each.label, _state(each, applied)]
            for each in changes]  # fmt: skip
    headings = ("", "", "Name", "Type", "Label", "")
    show(table([(heading, "left") for heading in headings], rows))
    missing = sum(not each.exists for each in changes)
    if not missing:
        click.echo("Everything is there already.")
    elif applied:
        click.echo(f"Created {missing}.")
    else:
        click.echo(f"{missing} to create. Nothing was created; run again with --apply.")


def _state(change: FieldChange, applied: bool) -> str:
    if change.problem:
        return "cannot serve"
    return "exists" if change.exists else "created" if applied else "missing"
