"""`override`: a person's word on a lead's stage."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping, Sequence
from typing import Any

import click

from syncer.app import App
from syncer.cli.output import app_of, day, print_json, show, table
from syncer.handoff.text import one_line
from syncer.model import Override
from syncer.overruling import Speaker, Word, end_of, let_go, speak
from syncer.queries.explaining import find_one, in_force, override_json
from syncer.store import decisions, mirror, words

_WAITS = {
    "others": "Its stage belongs to others and is not touched; what you set counts once they let go of it.",
    "gone": "It was deleted in the CRM; what you set counts if it comes back.",
}


def override(ctx: click.Context, words: tuple[str, ...], as_json: bool, **said: Any) -> None:
    _insist_on_sense(words, said)
    with app_of(ctx) as app:
        if words == ("list",):
            _list_all(app, as_json)
            return
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


def _insist_on_sense(words: tuple[str, ...], said: Mapping[str, Any]) -> None:
    if words != ("list",) and len(words) != 2:
        raise click.UsageError("write: override LEAD STAGE, override list, override list LEAD, or override clear LEAD")
    given = [f"--{name}" for name in ("reason", "until", "author") if said[name]]
    if given and words[0] in ("list", "clear"):
        raise click.UsageError(f"override {words[0]} takes no {given[0]}; it goes with override LEAD STAGE")


def _list_all(app: App, as_json: bool) -> None:
    """Whoever is held by a person now, of all connections; those whose turn ends first come first."""
    with app.store.reading() as tx:
        kept = words.in_force(tx, app.clock())
        faces = mirror.faces(tx, [each.lead for each in kept])
    shown = [(*faces[each.lead], each.automatic, each.word) for each in kept]
    if as_json:
        told = [
            {"lead": str(key), "email": email, "automatic_stage": automatic, **override_json(word)}
            for key, email, automatic, word in shown
        ]
        print_json("syncer.overrides/1", {"overrides": told})
        return
    if not shown:
        click.echo("nobody's stage is set by hand")
        return
    zone = app.project.timezone
    rows = [
        [email or str(key), word.stage, automatic or "", word.author, _end(word, zone), word.reason]
        for key, email, automatic, word in shown
    ]
    show(table([(name, "left") for name in ("Lead", "Stage", "By the rules", "By", "Until", "Why")], rows))


def _end(each: Override, timezone: str) -> str:
    return day(each.until, timezone) if each.until else ""


def _set(app: App, lead: int, words: tuple[str, ...], said: Mapping[str, Any]) -> str:
    selector, stage = words
    end = end_of(said["until"].date(), app, "--until") if said["until"] else None
    author = said["author"] or this_user()
    spoken = speak(app, lead, Word(stage, said["reason"], end), Speaker(author, "command"))
    until = f" until {day(end, app.project.timezone)}" if end else ""
    reason = f", '{said['reason']}'" if said["reason"] else ""
    whose = f"{until} (by {author}{reason})"
    if spoken.waits:
        return f"{selector}: {stage} is kept{whose}.\n{_WAITS[spoken.waits]}"
    return (
        f"{selector}: {spoken.before or 'new'} → {stage}{whose}.\n"
        "The next run writes it to the CRM. The rules go on scoring; the stage stays."
    )


def _clear(app: App, lead: int, selector: str) -> str:
    done = let_go(app, lead, Speaker(this_user(), "command"))
    if not (done.was_held or done.silenced):
        return f"{selector}: nothing is set by hand."
    field = f"the field for it in {done.connections}"
    more = f" What stands in {field} counts again once it is written anew." if done.silenced else ""
    return f"{selector}: the rules decide again, from the next run on.{more}"


def _listed(kept: Sequence[Override], app: App) -> str:
    zone = app.project.timezone
    lines = []
    for each in kept:
        end = f" until {day(each.until, zone)}" if each.until else ""
        past = "" if in_force(each, app.clock()) else " (over)"
        lines.append(one_line(f"{each.stage} since {day(each.since, zone)}{end} by {each.author}: {each.reason}{past}"))
    return "\n".join(lines) or "nothing was ever set by hand"


def this_user() -> str:
    """Who works at this machine; in a container a user may have a number and no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"
