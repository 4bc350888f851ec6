"""`status`: how things stand, for people and for a container's health check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import click

from syncer.cli.output import ago, app_of, counted, day_and_time, print_json, show, table
from syncer.errors import ConfigError, NotFound
from syncer.handoff.text import one_line
from syncer.queries import standing
from syncer.queries.standing import Figures, Present
from syncer.settings import duration


def status(ctx: click.Context, max_age: str | None, quiet: bool, as_json: bool) -> None:
    oldest = _age(max_age)
    with app_of(ctx) as app:
        now = app.clock()
        names = [each.name for each in app.project.connections]
        present = standing.presents(app, names)
        connections = {name: _plain(each, standing.figures(app, name)) for name, each in present.items()}
        at_work = standing.fleet(app, present.values())
        fleet = None if at_work is None else asdict(at_work)
        stale = [name for name, each in present.items() if standing.is_stale(each.last_good, oldest, now)]
        if as_json:
            told = {"healthy": not stale, "stale": stale, "connections": connections, "fleet": fleet}
            print_json("syncer.status/1", told)
        elif not quiet:
            for name, each in connections.items():
                _print(name, each, (now, app.project.timezone))
            if fleet is not None:
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


def _plain(present: Present, figures: Figures) -> dict[str, Any]:
    """As JSON shows it."""
    its, failed = asdict(present), present.failed
    return {
        "leads": figures.leads,
        "stages": figures.stages,
        "last_run": next(iter(its["last"]), None),
        "last_good": present.last_good,
        "failures_in_a_row": present.failures_in_a_row,
        "failed_runs": len(failed),
        "last_failure": asdict(failed[0]) if failed else None,
        "runs": len(present.last),
        "quick_runs": {"today": present.quick_today, "last": its["last_quick"]},
        **{name: its[name] for name in ("next_run", "parked", "held_by")},
        "write_backs": figures.write_backs,
        "refused": figures.refused,
        "notices": figures.notices,
        "rejected": figures.rejected,
        "makes_no_sense": figures.makes_no_sense,
    }


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
