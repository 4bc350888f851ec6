"""`override`: a person's word on a lead's stage."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import click

from syncer.app import App
from syncer.cli.explain import find_one, in_force, override_json
from syncer.cli.output import app_of, day, print_json
from syncer.errors import ConfigError
from syncer.handoff.text import one_line
from syncer.model import Override
from syncer.store import decisions


def override(ctx: click.Context, words: tuple[str, ...], as_json: bool, **said: Any) -> None:
    if len(words) != 2:
        raise click.UsageError("write: override LEAD STAGE, override list LEAD, or override clear LEAD")
    with app_of(ctx) as app:
        if words[0] in ("list", "clear"):
            lead = find_one(app, words[1])
            told = _clear(app, lead, words[1]) if words[0] == "clear" else ""
        else:
            lead = find_one(app, words[0])
            told = _set(app, lead, words, said)
        with app.store.reading() as tx:
            kept = decisions.overrides(tx, lead)
        if as_json:
            print_json("syncer.overrides/1", {"overrides": [override_json(each) for each in kept]})
        else:
            click.echo(told or _listed(kept, app))


def _set(app: App, lead: int, words: tuple[str, ...], said: Mapping[str, Any]) -> str:
    selector, stage = words
    if stage not in app.project.stages:
        raise ConfigError(f"no stage is called '{stage}'; there are: {', '.join(app.project.stages)}", code="SY088")
    now, zone = app.clock(), ZoneInfo(app.project.timezone)
    end = said["until"].replace(tzinfo=zone) if said["until"] else None
    if end is not None and end <= now:
        raise ConfigError(f"--until {end:%Y-%m-%d} is past; name a day to come", code="SY089")
    author = said["author"] or _user()
    with app.store.writing() as tx:
        before = decisions.lead_state(tx, lead).stage
        decisions.set_override(tx, lead, Override(stage, author, said["reason"], "command", now, end))
    until = f" until {day(end, app.project.timezone)}" if end else ""
    reason = f", '{said['reason']}'" if said["reason"] else ""
    return (
        f"{selector}: {before.stage if before else 'new'} → {stage}{until} (by {author}{reason}).\n"
        "The next run writes it to the CRM. The rules go on scoring; the stage stays."
    )


def _clear(app: App, lead: int, selector: str) -> str:
    with app.store.writing() as tx:
        kept = decisions.lead_state(tx, lead).override
        if not in_force(kept, app.clock()):
            return f"{selector}: nothing is set by hand."
        decisions.end_override(tx, lead, app.clock())
    return f"{selector}: the rules decide again, from the next run on."


def _listed(kept: Sequence[Override], app: App) -> str:
    zone = app.project.timezone
    lines = []
    for each in kept:
        end = f" until {day(each.until, zone)}" if each.until else ""
        past = "" if in_force(each, app.clock()) else " (over)"
        lines.append(one_line(f"{each.stage} since {day(each.since, zone)}{end} by {each.author}: {each.reason}{past}"))
    return "\n".join(lines) or "nothing was ever set by hand"


def _user() -> str:
    """Who works at this machine; in a container a user may have a number and no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"
