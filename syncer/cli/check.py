"""`check` and `setup`: is everything in place, and what must be created in the CRM."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from syncer import lint, log, scoring
from syncer.app import App, connector_class, read_project, utc_now
from syncer.cli.output import app_of, counted, print_json, process_of, show, table
from syncer.cli.test import failure_text, judge_all
from syncer.connector import Destination, FieldChange, Finding, HandoffTarget, Listener
from syncer.errors import ConfigError, SyncerError
from syncer.handoff import wording
from syncer.handoff.messages import sample_facts
from syncer.handoff.text import one_line
from syncer.settings import CrmTask, HandoffSettings, ProcessSettings, Project, SettingsError, did_you_mean
from syncer.settings import show as effective
from syncer.store import Store, mirror, open_store, sampling

_MARKS = {"ok": ("✓", "green"), "note": ("·", "cyan"), "warning": ("!", "yellow"), "error": ("✗", "red")}
_MOST_LEADS = 20_000
"""What rules do to leads shows in so many of them; a base of millions is not read for it."""
_CHUNK = 2_000
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
        lines = list(_offline(ctx) if offline else _online(ctx, connection))
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
        click.echo(f"{counted(errors, 'error', none='no')}, {counted(warnings, 'warning', none='no')}.")
    if failed:
        # What a person must mend comes before what patience mends.
        ctx.exit(min(line.exit_code for line in failed))


def _mistakes(wrong: SettingsError) -> Iterator[Line]:
    for each in wrong.problems:
        place = ":".join(str(part) for part in (each.file, each.line, each.column) if part)
        message = f"{each.path}: {each.message}" if each.path else each.message
        yield Line("files", "error", message, each.code, each.help, place)


def _online(ctx: click.Context, name: str | None) -> Iterator[Line]:
    with app_of(ctx) as app:
        yield from _local(app.process, app.project)
        yield _environment(f"database {app.store.name}, its schema up to date")
        yield from _rules(app.project, app.store)
        yield from _remote(app, name)


def _offline(ctx: click.Context) -> Iterator[Line]:
    process = process_of(ctx)
    project = read_project(process)
    yield from _local(process, project)
    with _as_it_is(process.database_url.get_secret_value()) as (store, told):
        yield _environment(told)
        yield from _rules(project, store)


@contextmanager
def _as_it_is(url: str) -> Iterator[tuple[Store | None, str]]:
    """The database and a word on it: neither made where there is none, nor changed where its schema is older."""
    store = None if _is_missing(url) else _opened(url)
    if store is None:
        yield None, "no database yet, or one that the next run brings up to date"
        return
    with closing(store):
        yield store, f"database {store.name}, its schema up to date"


def _is_missing(url: str) -> bool:
    """Is it a SQLite file that is still to be made? Opening would make it."""
    kind, _, file = url.partition(":///")
    return kind.startswith("sqlite") and file not in ("", ":memory:") and not Path(file.partition("?")[0]).exists()


def _opened(url: str) -> Store | None:
    """None where its schema is not today's."""
    try:
        return open_store(url, migrate=False)
    except ConfigError as error:
        if error.code != "SY063":
            raise
        return None


def _environment(database: str) -> Line:
    return Line("environment", "ok", f"Python {platform.python_version()} · {database}")


def _local(process: ProcessSettings, project: Project) -> Iterator[Line]:
    models = counted(len(project.segments), "model")
    rules = counted(sum(len(segment.model.rules) for segment in project.segments), "rule")
    yield Line("files", "ok", f"{process.config} · {models} · {rules} · {counted(len(project.stages), 'stage')}")
    yield Line("rules", "ok", f"stages {' → '.join(project.stages)}")
    if project.segments[-1].when is not None:
        missing = "no model is for everybody else: leads that fit no `for:` are not scored, and keep what they have"
        yield Line("rules", "warning", missing, "SY087", "end `models:` with a model without `for:`")
    yield from _rule_tests(project)
    if project.handoff is None or not project.handoff.notify:
        help_ = "add `notifiers` and `notify` under `handoff:`"
        yield Line("files", "warning", "nobody is told when a lead is ready", "SY083", help_)
    yield from _taskless(project)
    if project.handoff is not None and project.handoff.templates is not None:
        yield from _templates(project.handoff.templates)


def _templates(folder: Path) -> Iterator[Line]:
    """What is wrong with the texts that shall stand in for ours."""
    for each in wording.broken(folder, sample_facts()):
        help_ = "until it is mended, messages go out in syncer's own words"
        yield Line("files", "error", f"a template of messages is broken: {each.why}", "SY204", help_, each.where)
    for name in wording.strangers(folder):
        help_ = did_you_mean(name, wording.NAMES, known_as="names")
        yield Line("files", "warning", f"the template {name} stands in for none of ours", "SY205", help_)


def _taskless(project: Project) -> Iterator[Line]:
    """Connections whose leads shall become tasks in a CRM for which the connector knows none."""
    settings = project.handoff
    names = [] if settings is None else [each for each in settings.notify if _makes_tasks(settings, each)]
    for connection in project.connections if names else ():
        made_by: type = connector_class(connection.type)  # type: ignore[assignment]  # a class, seen as what it builds
        if not issubclass(made_by, HandoffTarget):
            message = f"'{names[0]}' makes tasks in the CRM, and the connector of '{connection.name}' cannot create any"
            help_ = "tell of its leads by a notifier of another type too"
            yield Line("files", "error", message, "SY098", help_, connection.where)


def _makes_tasks(settings: HandoffSettings, name: str) -> bool:
    return isinstance(settings.notifiers[name], CrmTask)


def _rule_tests(project: Project) -> Iterator[Line]:
    try:
        judged = judge_all(project.path, project.segments)
    except SettingsError as wrong:
        yield from _mistakes(wrong)
        return
    verdicts = [verdict for _, each in judged for verdict in each]
    passed = sum(verdict.passed for verdict in verdicts)
    if passed:
        yield Line("rules", "ok", f"{counted(passed, 'rule test')} passed")
    for verdict in (each for each in verdicts if not each.passed):
        message = f"rule test '{verdict.case.name}': {failure_text(verdict)}"
        yield Line("rules", "error", message, "SY122", "syncer test shows every line of its score", verdict.case.where)
    for doubt in (doubt for book, _ in judged for doubt in book.doubts):
        where = f"{doubt.file}:{doubt.line}:{doubt.column}"
        yield Line("rules", "warning", doubt.message, doubt.code, doubt.help, where)


def _rules(project: Project, store: Store | None) -> Iterator[Line]:
    """What the rules cannot do whoever the leads are, and what they do to the leads that are there."""
    found = [finding for segment in project.segments for finding in lint.findings(segment.model)]
    if store is not None:
        found += _among_leads(project, store)
    for each in dict.fromkeys(found):  # one file may serve several segments
        yield Line("rules", each.level, log.redact(each.message), each.code, each.help, each.where)


def _among_leads(project: Project, store: Store) -> Iterator[lint.Finding]:
    seen, choosing, sampled_from = _seen(project, store, utc_now())
    leads = sum(each.leads for each in seen)
    for segment, its_own in zip(project.segments, seen, strict=True):
        if leads >= lint.FEWEST and not its_own.leads:
            message = f"the model '{segment.model.name}' scores none of {leads:,} leads"
            yield lint.Finding("warning", message, "SY095", help="look at its `for:`, and at those before it")
        yield from lint.seen_findings(its_own, segment.model, sampled_from)
    origins = effective(project)
    whens = [(f"models[{number}].for", segment.when) for number, segment in enumerate(project.segments)]
    yield from lint.unread_findings(choosing, [(origins[path][1], when) for path, when in whens if when is not None])


def _seen(project: Project, store: Store, now: datetime) -> tuple[list[lint.Seen], lint.Seen, int | None]:
    """What the leads that each segment scores meet; what all of them meet in the segments' `for:`; and how many leads
    there are, if these were too many to look at."""
    segments = project.segments
    seen, choosing, looked_at, whole = [lint.Seen() for _ in segments], lint.Seen(), 0, 0
    for connection in project.connections:
        with store.reading() as tx:
            ids = sampling.sample(tx, connection.name, _MOST_LEADS // len(project.connections))
            whole += mirror.count(tx, connection.name)
        looked_at += len(ids)
        for leads in mirror.chunks(store, connection.name, which=ids, now=now, size=_CHUNK):
            signals = [lead.signals for lead in leads]
            choosing += lint.count_read(signals, [segment.when for segment in segments if segment.when is not None])
            chosen = scoring.first_passed([segment.when for segment in segments], signals, now)
            for number, segment in enumerate(segments):
                mine = [lead for lead, its_segment in zip(signals, chosen, strict=True) if its_segment == number]
                seen[number] += lint.count(mine, segment.model, now)
    return seen, choosing, whole if looked_at < whole else None


def _remote(app: App, name: str | None) -> Iterator[Line]:
    for connection in app.chosen(name):
        try:
            connector = app.connector(connection)
            for finding in connector.check():
                yield _line(connection.name, finding)
            if isinstance(connector, Listener) and connector.listens and app.project.web is None:
                message = f"{connection.name}: the CRM shall tell of changes itself, and the daemon listens nowhere"
                help_ = "add the section `web:` (`web: {}` is enough behind a proxy on this machine)"
                yield Line("files", "warning", message, "SY099", help_, connection.where)
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
        if line.where and line.level != "ok":
            drawn.add_row("", "", Text(f"--> {line.where}"))
        if line.help and line.level != "ok":
            drawn.add_row("", "", Text(f"help: {one_line(line.help)}"))
        last = line.layer
    return drawn


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
