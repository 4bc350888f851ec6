"""`status`: how things stand, for people and for a container's health check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import click

from syncer.app import App
from syncer.cli.output import ago, app_of, counted, day_and_time, print_json, show, table
from syncer.errors import ConfigError, NotFound
from syncer.handoff.text import one_line
from syncer.log import redact
from syncer.model import Run
from syncer.settings import duration
from syncer.store import decisions, leases, mirror, outbox, queues, runs, workers, write_backs

_HEALTHY = ("ok", "partial")
_BAD = ("failed", "crashed")
_LAST_RUNS = 96
_SHOWN_REASONS = 5


def status(ctx: click.Context, max_age: str | None, quiet: bool, as_json: bool) -> None:
    oldest = _age(max_age)
    with app_of(ctx) as app:
        now = app.clock()
        connections = {each.name: _connection(app, each.name) for each in app.project.connections}
        stale = [name for name, each in connections.items() if _stale(each["last_good"], oldest, now)]
        if as_json:
            told = {"healthy": not stale, "stale": stale, "connections": connections, "fleet": _fleet(app, connections)}
            print_json("syncer.status/1", told)
        elif not quiet:
            for name, each in connections.items():
                _print(name, each, (now, app.project.timezone))
            if (fleet := _fleet(app, connections)) is not None:
                _print_fleet(fleet, (now, app.project.timezone))
    if stale:
        if not quiet:
            click.echo(f"stale: {', '.join(stale)} had no good run for {max_age}", err=True)
        ctx.exit(NotFound.exit_code)


def _age(text: str | None) -> timedelta | None:
    if text is None:
        return None
    try:
        return duration(text)
    except ValueError as error:
        raise ConfigError(f"--max-age: {error}", code="SY006") from error


def _connection(app: App, name: str) -> dict[str, Any]:
    """Health is that of full runs: a quick one asks the CRM for little, and fares well where a full one fails."""
    midnight = app.clock().astimezone(ZoneInfo(app.project.timezone)).replace(hour=0, minute=0, second=0, microsecond=0)
    with app.store.reading() as tx:
        last = runs.last(tx, name, _LAST_RUNS, "full")
        quick = runs.last(tx, name, 1, "quick")
        held = leases.holder_of(tx, name)
        counts = decisions.stage_counts(tx, name)
        due, parked = runs.due_at(tx, name), runs.parked(tx, name, app.clock())
        rejections = mirror.rejections(tx, name)
        return {
            "leads": mirror.count(tx, name),
            "stages": {stage: counts[stage] for stage in app.project.stages if stage in counts},
            "last_run": _run_json(last[0]) if last else None,
            "last_good": next((run.finished_at for run in last if run.outcome in _HEALTHY), None),
            "failures_in_a_row": runs.failures(tx, name),
            "failed_runs": sum(run.outcome in _BAD for run in last),
            "last_failure": next((_run_json(run) for run in last if run.outcome in _BAD), None),
            "runs": len(last),
            "quick_runs": {
                "today": runs.begun(tx, name, "quick", midnight),
                "last": _run_json(quick[0]) if quick else None,
            },
            "next_run": max(due, parked.until) if due and parked else due,
            "parked": {"until": parked.until, "reason": redact(parked.reason)} if parked else None,
            "held_by": held[0] if held and held[1] > app.clock() else None,
            "write_backs": write_backs.counts(tx, name),
            "refused": _reasons(write_backs.troubles(tx, name)),
            "notices": outbox.counts(tx, name),
            "rejected": sum(not each.arrived for each in rejections),
            "makes_no_sense": _most_frequent(each.rejected.reason for each in rejections if each.arrived),
        }


def _fleet(app: App, connections: Mapping[str, Mapping[str, Any]]) -> dict[str, Any] | None:
    """Who works on this database, what waits in their queue, and by how many seconds the most overdue connection is
    late that somebody might work on. None: no workers."""
    now = app.clock()
    with app.store.reading() as tx:
        known, queue = workers.known(tx), queues.waiting(tx)
    if not known:
        return None
    waits = [each["next_run"] for each in connections.values() if not (each["held_by"] or each["parked"])]
    late = [(now - due).total_seconds() for due in waits if due is not None]
    return {
        "workers": [{**asdict(each), "alive": now - each.seen_at <= workers.ALIVE_FOR} for each in known],
        "queue": None if queue is None else asdict(queue),
        "lag_s": round(max(0.0, *late), 1) if late else 0.0,
    }


def _reasons(troubles: Sequence[write_backs.Trouble]) -> dict[str, int]:
    """Why the CRM did not take something -> how many records; the most frequent first."""
    return _most_frequent(each.reason for each in troubles)


def _most_frequent(reasons: Iterable[str]) -> dict[str, int]:
    return dict(Counter(map(redact, reasons)).most_common(_SHOWN_REASONS))


def _run_json(run: Run) -> dict[str, Any]:
    return {
        "run": run.id,
        "outcome": run.outcome,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "counts": dict(run.counts),
        "error": redact(run.error) if run.error else None,
    }


def _stale(last_good: datetime | None, oldest: timedelta | None, now: datetime) -> bool:
    return oldest is not None and (last_good is None or now - last_good > oldest)


def _print(name: str, each: Mapping[str, Any], here: tuple[datetime, str]) -> None:
    """`here`: the present, and the time zone it is told in."""
    stages = ", ".join(f"{stage} {count:,}" for stage, count in each["stages"].items())
    rows = [
        ["leads", f"{each['leads']:,}" + (f": {stages}" if stages else "")],
        ["last run", _told(each["last_run"], here) if each["last_run"] else "none yet: `syncer run`, `syncer daemon`"],
        *([["", f"{each['held_by']} is at work on it"]] if each["held_by"] else []),
        *([["failures", _failures(each, here)]] if each["failed_runs"] else []),
        *([["quick runs", _quick(each["quick_runs"], here)]] if each["quick_runs"]["last"] else []),
        ["next run", _due(each["next_run"], here) if each["next_run"] else "when the daemon runs"],
        *([["left alone", _parked(each["parked"], here)]] if each["parked"] else []),
        ["to write", _counts(each["write_backs"])],
        *(
            [
                ["" if number else heading, one_line(f"{reason} ({count:,} x)")]
                for heading, kept in (("refused", each["refused"]), ("no sense", each["makes_no_sense"]))
                for number, (reason, count) in enumerate(kept.items())
            ]
        ),
        ["messages", _counts(each["notices"])],
        *([["", dead_letters(each["notices"]["dead"])]] if each["notices"].get("dead") else []),
        *([["unreadable", f"{each['rejected']:,} records of the CRM"]] if each["rejected"] else []),
    ]
    show(name, style="bold")
    show(table([("", "left"), ("", "left")], rows, headed=False), indent=2)


def _print_fleet(fleet: Mapping[str, Any], here: tuple[datetime, str]) -> None:
    rows = [
        [
            one_line(_short(each["holder"])),
            f"{each['busy']} of {each['places']} places busy",
            f"since {day_and_time(each['started_at'], here[1])}",
            each["version"] if each["alive"] else f"gone: last seen {ago(each['seen_at'], here[0])}",
        ]
        for each in fleet["workers"]
    ]
    versions = {each["version"] for each in fleet["workers"] if each["alive"]}
    show("workers", style="bold")
    show(table([("", "left")] * 4, rows, headed=False), indent=2)
    if len(versions) > 1:
        show("they run by different versions or files: give all workers the same", indent=2)
    queue = fleet["queue"]
    if queue is not None:
        oldest = f", the oldest for {queue['oldest_s']:.0f} s" if queue["jobs"] else ""
        show(f"{counted(queue['jobs'], 'job')} waiting{oldest}", indent=2)
    show(f"the most overdue connection is {fleet['lag_s']:.0f} s late" if fleet["lag_s"] else "on time", indent=2)


def _short(holder: str) -> str:
    """Machine and process; the rest tells holders apart where numbers come again."""
    parts = holder.split("/")
    return f"{parts[0]} process {parts[2]}" if len(parts) == 4 else holder


def _told(run: Mapping[str, Any], here: tuple[datetime, str]) -> str:
    ended = run["finished_at"]
    took = f", took {(ended - run['started_at']).total_seconds():.1f} s" if ended else ""
    error = f": {one_line(run['error'])}" if run["error"] else ""
    return f"{run['run']} {run['outcome']}, {_when(ended or run['started_at'], here)}{took}{error}"


def _failures(each: Mapping[str, Any], here: tuple[datetime, str]) -> str:
    run, last = each["last_failure"], each["last_run"]
    latest = "" if run["run"] == last["run"] else f", the latest {_told(run, here)}"
    in_a_row = f", {each['failures_in_a_row']} in a row" if each["failures_in_a_row"] > 1 else ""
    return f"{each['failed_runs']} of the last {each['runs']} runs{in_a_row}{latest}"


def _quick(quick: Mapping[str, Any], here: tuple[datetime, str]) -> str:
    """Those of what the CRM has spoken of."""
    return f"{quick['today']:,} today, the last {_told(quick['last'], here)}"


def _parked(parked: Mapping[str, Any], here: tuple[datetime, str]) -> str:
    """Why nothing is asked of the CRM for now."""
    return one_line(f"until {day_and_time(parked['until'], here[1])}: {parked['reason']}")


def _when(moment: datetime, here: tuple[datetime, str]) -> str:
    now, timezone = here
    return f"{ago(moment, now)} ({day_and_time(moment, timezone)})"


def _due(moment: datetime, here: tuple[datetime, str]) -> str:
    return f"{'due ' if moment <= here[0] else ''}{_when(moment, here)}"


def dead_letters(count: int) -> str:
    return f"{counted(count, 'message')} could not be sent: syncer outbox --dead"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {state}" for state, count in counts.items() if count) or "none"
