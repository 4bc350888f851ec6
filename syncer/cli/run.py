"""`plan` and `run`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from syncer.app import App
from syncer.cli.output import app_of, day, day_and_time, points, print_json, progress, show, signed, stopping, table
from syncer.cli.override import this_user
from syncer.cli.saved import SavedPlan
from syncer.cli.status import dead_letters
from syncer.errors import SyncerError, TemporaryError
from syncer.handoff.text import one_line
from syncer.log import redact
from syncer.model import Decision, LeadPlan, RecordKey
from syncer.parts import Asked, Report
from syncer.planning import Limits, shown
from syncer.queries.explaining import override_json
from syncer.run import apply_saved
from syncer.run import plan as make_plan
from syncer.run import sync as run_once
from syncer.store import Store, audit, decisions, mirror, outbox, runs, write_backs
from syncer.store.audit import Entry

_SHOWN_ROWS = 30
_SHOWN_REASONS = 3
_TROUBLES = ("refused", "rejected")


def plan(ctx: click.Context, connection: str | None, full: bool, every: bool, out: Path | None, as_json: bool) -> None:
    with app_of(ctx) as app, stopping(app):
        name = app.connection(connection).name
        with progress(name) as moves:
            report = make_plan(app.parts(name, moves), Asked(full=full))
        saved = SavedPlan.of(app, name, report.run)
        path = saved.write(out, app.process.config.parent)
        if as_json:
            print_json("syncer.plan/1", _plan_json(app.store, saved, report, path))
        else:
            _print_plan(app, saved, report, path, every)
    _raise_first(report.failures.values())


def run(ctx: click.Context, connection: str | None, plan_file: Path | None, as_json: bool, **flags: Any) -> None:
    really = flags["yes_really"]
    asked = Asked(
        full=flags["full"],
        limits=None if really is None else Limits(really, really),
        notify=not flags["no_notify"],
        notify_model_changes=flags["notify_model_changes"],
    )
    with app_of(ctx) as app, stopping(app):
        if plan_file is not None:
            done = [_carried_out(app, plan_file, asked)]
        else:
            names = [each.name for each in app.chosen(connection)]
            _note_limits(app, names, asked)
            done = _all_ran(app, names, asked)
        dead = _dead(app, sorted({name for name, _ in done}))
    if as_json:
        print_json("syncer.run/1", {"runs": [outcome_json(*each) for each in done]})
    else:
        for name, outcome in done:
            if isinstance(outcome, Report):
                click.echo(report_line(name, outcome))
                if any(outcome.counts[each] for each in _TROUBLES):
                    click.echo(f"{name}: `syncer status` says what the CRM did not take, and why", err=True)
        for name, count in dead.items():
            click.echo(f"{name}: {dead_letters(count)}", err=True)
    # What a person must mend comes last, when everything else is done; its class gives the exit code.
    _raise_first(failure for _, outcome in done for failure in _failures(outcome))


def _note_limits(app: App, names: Sequence[str], asked: Asked) -> None:
    """A person has said that these runs may do more than the settings allow."""
    if asked.limits is None:
        return
    told = {"run_with": "--yes-really", "at_most": asked.limits.stage_changes}
    with app.store.writing() as tx:
        for name in names:
            audit.note(tx, Entry(app.clock(), this_user(), "limits_raised", name, details=told))


def _dead(app: App, names: Sequence[str]) -> dict[str, int]:
    """Connection -> its messages that could not be sent, where there are any."""
    with app.store.reading() as tx:
        found = {name: outbox.counts(tx, name).get("dead", 0) for name in names}
    return {name: count for name, count in found.items() if count}


Outcome = Report | SyncerError


def _carried_out(app: App, plan_file: Path, asked: Asked) -> tuple[str, Outcome]:
    saved = SavedPlan.read(plan_file, app)
    _note_limits(app, [saved.connection], asked)
    with progress(saved.connection) as moves:
        return saved.connection, apply_saved(app.parts(saved.connection, moves), saved.run, asked)


def _all_ran(app: App, names: Sequence[str], asked: Asked) -> list[tuple[str, Outcome]]:
    """A run of each. Where people are known by their address, one more of those whose leads a later run has touched,
    then of those for whose records another one has decided something."""
    done = [_ran(app, name, asked) for name in names if not app.stop.is_set()]
    if app.project.same_person is None or len(names) == 1:
        return done
    again = replace(asked, full=False)
    rung = {home for rank, (_, outcome) in enumerate(done) for home in _elsewhere(outcome) if home in names[:rank]}
    done += [_ran(app, name, again) for name in names if name in rung and not app.stop.is_set()]
    well = [name for name in names if not any(_failures(outcome) for which, outcome in done if which == name)]
    return done + [_ran(app, name, again) for name in well if _has_to_write(app, name) and not app.stop.is_set()]


def _elsewhere(outcome: Outcome) -> Iterable[str]:
    return outcome.rings if isinstance(outcome, Report) else ()


def _has_to_write(app: App, name: str) -> bool:
    with app.store.reading() as tx:
        return bool(write_backs.pending(tx, name, app.clock(), order=(), limit=1))


def _ran(app: App, name: str, asked: Asked) -> tuple[str, Outcome]:
    """One connection's run; that it failed does not keep the others from theirs."""
    with app.store.reading() as tx:
        parked = runs.parked(tx, name, app.clock())
    if parked is not None:
        until = day_and_time(parked.until, app.project.timezone)
        click.echo(
            one_line(f"{name}: to be left alone until {until} ({redact(parked.reason)}); trying all the same"), err=True
        )
    try:
        with progress(name) as moves:
            return name, run_once(app.parts(name, moves), asked)
    except SyncerError as failure:
        return name, failure


def _failures(outcome: Outcome) -> Iterable[SyncerError]:
    return [outcome] if isinstance(outcome, SyncerError) else outcome.failures.values()


def _raise_first(failures: Iterable[SyncerError]) -> None:
    """The one that a person must mend goes first: its class gives the exit code. The others are told before it."""
    ordered = sorted(failures, key=lambda failure: isinstance(failure, TemporaryError))
    for other in ordered[1:]:
        click.echo(f"error {other.code}: {redact(other.message)}", err=True)
    for failure in ordered:
        raise failure


def outcome_json(name: str, outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, SyncerError):
        return {"connection": name, "outcome": "failed", "error": redact(outcome.message), "code": outcome.code}
    return {
        "run": outcome.run,
        "connection": name,
        "outcome": outcome.outcome,
        "counts": dict(outcome.counts),
        "failures": {stream: redact(failure.message) for stream, failure in outcome.failures.items()},
    }


def report_line(name: str, report: Report) -> str:
    """What a run did, in one line; what is nothing is left out but for the first three."""
    counts = report.counts
    always = [
        f"read {counts['read']:,} leads, {counts['activities']:,} activities",
        f"scored {counts['scored']:,}",
        f"written {counts['written']:,}",
    ]
    sometimes = {
        "swept": "looked at again",
        "stage_changes": "changed stage",
        "handoffs": "handed over",
        "notices_sent": "messages sent",
        "digests_sent": "digests sent",
        "notices_postponed": "messages put off",
        "notices_uncertain": "messages uncertain",
        "notices_dropped": "messages dropped",
        "notices_dead": "messages dead",
        "kept_by_people": "kept as people set them",
        "refused": "refused",
        "rejected": "rejected",
        "unreadable": "unreadable",
    }
    more = [f"{counts[key]:,} {words}" for key, words in sometimes.items() if counts[key]]
    calls = f"{counts['read_calls']:,} read calls, {counts['write_calls']:,} write calls"
    return f"{name}: run {report.run} {report.outcome} · {' · '.join([*always, *more, calls])}"


def _moving(store: Store, run: int) -> list[LeadPlan]:
    with store.reading() as tx:
        return [each for plans in decisions.plan_of(tx, run) for each in plans if _is_news(each)]


def _is_news(each: LeadPlan) -> bool:
    return each.decision.moved or each.decision.before is None or each.handoff is not None


def _print_plan(app: App, saved: SavedPlan, report: Report, path: Path, every: bool) -> None:
    moving = _moving(app.store, report.run)
    names = _names(app.store, moving)
    rows = [_row(each, names, app.project.timezone) for each in (moving if every else moving[:_SHOWN_ROWS])]
    if rows:
        show(table([("Lead", "left"), ("Stage", "left"), ("Score", "right"), ("Why", "left")], rows))
    if len(rows) < len(moving):
        show(f"… {len(moving) - len(rows):,} more: --all")
    if rows:
        click.echo()
    show(_stage_table(app, saved.connection, report))
    counts = report.counts
    first = sum(count for (before, _), count in report.moves.items() if before is None)
    new = f"{first:,} leads get their first stage · " if first else ""
    show(
        f"\nPlan: {new}{counts['stage_changes']:,} leads change stage · {counts['changes']:,} records to update"
        f" · {counts['handoffs']:,} hand-offs"
    )
    click.echo(f"Nothing was written. To do exactly this:  syncer run --plan {path}")


def _row(each: LeadPlan, names: dict[int, str], timezone: str) -> list[str]:
    decision = each.decision
    before = decision.before.stage if decision.before else "new"
    was = "" if decision.previous_total is None else f"{shown(decision.previous_total)} → "
    score = f"{was}{shown(decision.score.total)}"
    told = "tell sales: " if each.handoff else "told before: " if each.resumes else ""
    why = f"{told}{_why(decision, timezone)}"
    return [_name(decision.lead, names), f"{before} → {decision.after.stage}", score, why]


def _why(decision: Decision, timezone: str) -> str:
    """The strongest reasons, behind what stands above all points."""
    person = _held(decision, timezone) if decision.override else "set by a person"
    held = {"person": person, "veto": decision.veto or "a veto rule"}.get(decision.after.held_by)
    model = "the model changed" if decision.after.cause == "model" else None
    lines = sorted(decision.score.contributions, key=lambda line: (-abs(line.hundredths), line.rule))
    reasons = [f"{signed(line.hundredths)} {line.name}" for line in lines[:_SHOWN_REASONS]]
    return " · ".join([*filter(None, (held, model)), *reasons])


def _held(decision: Decision, timezone: str) -> str:
    """ "held by ana until 15 Jan 2027 (rules: mql)"."""
    word = decision.override
    if word is None:
        return ""
    until = f" until {day(word.until, timezone)}" if word.until else ""
    return f"held by {one_line(word.author)}{until} (rules: {decision.after.automatic})"


def _stage_table(app: App, connection: str, report: Report) -> Table:
    """How many leads stand in each stage now and after the plan; the hottest first."""
    with app.store.reading() as tx:
        now: Counter[str] = Counter(decisions.stage_counts(tx, connection))
    entered: Counter[str] = Counter()
    left: Counter[str] = Counter()
    for (before, after), leads in report.moves.items():
        if before != after:
            entered[after] += leads
            left[before or ""] += leads
    stages = [*reversed(app.project.stages), *(stage for stage in now if stage not in app.project.stages)]
    rows = [[stage, *(f"{count:,}" for count in (now[stage], now[stage] + entered[stage] - left[stage],
                                                entered[stage], left[stage]))] for stage in stages]  # fmt: skip
    return table([("Stage", "left"), ("now", "right"), ("after", "right"), ("in", "right"), ("out", "right")], rows)


def _plan_json(store: Store, saved: SavedPlan, report: Report, path: Path) -> dict[str, Any]:
    moving = list(_moving(store, report.run))
    names = _names(store, moving)
    return {
        "run": report.run,
        "connection": saved.connection,
        "file": str(path),
        "counts": dict(report.counts),
        "leads": [_lead_json(each, names) for each in moving],
    }


def _lead_json(each: LeadPlan, names: dict[int, str]) -> dict[str, Any]:
    decision = each.decision
    return {
        "lead": _name(decision.lead, names),
        "records": [str(change.record) for change in each.changes],
        "from": decision.before.stage if decision.before else None,
        "to": decision.after.stage,
        "held_by": decision.after.held_by,
        "automatic": decision.after.automatic,
        "override": override_json(decision.override) if decision.override else None,
        "cause": decision.after.cause,
        "previous_total": None if decision.previous_total is None else points(decision.previous_total),
        "total": points(decision.score.total),
        "handoff": each.handoff is not None,
        "resumes": each.resumes,
        "contributions": [
            {"rule": line.rule, "name": line.name, "dimension": line.dimension, "points": points(line.hundredths)}
            for line in decision.score.contributions
        ],
    }


def _name(lead: int, names: dict[int, str]) -> str:
    return names.get(lead, f"lead {lead}")


def _names(store: Store, plans: Sequence[LeadPlan]) -> dict[int, str]:
    """Lead -> how people know it: its e-mail, else its record."""
    with store.reading() as tx:
        known: dict[int, tuple[RecordKey, str | None]] = mirror.faces(tx, [each.decision.lead for each in plans])
    return {lead: email or str(key) for lead, (key, email) in known.items()}
