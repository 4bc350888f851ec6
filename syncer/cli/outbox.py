"""`outbox`: messages that were not sent, why, and what a person wants to become of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import click

from syncer.app import App
from syncer.cli.handoffs import message_json
from syncer.cli.output import Align, ago, app_of, counted, print_json, show, table
from syncer.cli.override import this_user
from syncer.handoff.text import clipped
from syncer.log import redact
from syncer.model import Notice, NoticeState
from syncer.queries import outbox as queries
from syncer.queries.accounts import By
from syncer.queries.handoffs import addressee, lead_name
from syncer.queries.outbox import KEY_LENGTH, STILL_NOBODY, Retried
from syncer.store import outbox as kept

_DEAD: frozenset[NoticeState] = frozenset({"dead"})
_WAITING: frozenset[NoticeState] = frozenset({"waiting", "ready", "sending", "uncertain"})
_ENDED: frozenset[NoticeState] = frozenset({"sent", "dropped"})
_ACTIONS = ("retry", "drop")
_LONGEST = 200
_COLUMNS: tuple[tuple[str, Align], ...] = (
    ("Key", "left"),
    ("Lead", "left"),
    ("Message", "left"),
    ("State", "left"),
    ("Tries", "right"),
    ("Next", "left"),
    ("Why", "left"),
)


def outbox(ctx: click.Context, words: tuple[str, ...], as_json: bool, **flags: Any) -> None:
    _insist_on_sense(words, flags)
    with app_of(ctx) as app:
        if words[:1] == ("retry",):
            retried = _retried(app, words[1:], flags["dead"])
            changed, nobodys = retried.ready, retried.nobodys
        elif words[:1] == ("drop",):
            changed, nobodys = tuple(_dropped(app, words[1:], flags["reason"], flags["author"] or this_user())), 0
        else:
            _list(app, words[0] if words else None, _states(flags), as_json)
            return
        if as_json:
            print_json("syncer.outbox/1", {"messages": [_json(each) for each in changed]})
        else:
            click.echo(_answer(words[0], changed, nobodys))


def _insist_on_sense(words: tuple[str, ...], flags: dict[str, Any]) -> None:
    action = words[0] if words and words[0] in _ACTIONS else ""
    shown = [name for name, flag in (("--dead", "dead"), ("--waiting", "waiting"), ("--all", "every")) if flags[flag]]
    if action != "drop" and (flags["reason"] or flags["author"]):
        raise click.UsageError("--reason and --author go with outbox drop KEY...")
    if not action:
        if len(words) > 1 or len(shown) > 1:
            raise click.UsageError("write: outbox [CONNECTION], with one of --dead, --waiting and --all")
        return
    by_keys, all_dead = len(words) > 1 and not shown, action == "retry" and words == ("retry",) and shown == ["--dead"]
    if not (by_keys or all_dead):
        raise click.UsageError("write: outbox retry KEY..., outbox retry --dead, or outbox drop KEY...")


def _states(flags: dict[str, Any]) -> frozenset[NoticeState]:
    if flags["dead"] or flags["waiting"]:
        return _DEAD if flags["dead"] else _WAITING
    return _DEAD | _WAITING | (_ENDED if flags["every"] else frozenset())


def _list(app: App, connection: str | None, states: Collection[NoticeState], as_json: bool) -> None:
    with app.store.reading() as tx:
        found = kept.messages(tx, [each.name for each in app.chosen(connection)], states)
    if as_json:
        print_json("syncer.outbox/1", {"messages": [_json(each) for each in found]})
        return
    if found:
        show(table(_COLUMNS, [_row(each, app.clock()) for each in found]))
        click.echo()
    click.echo(_summed_up(found, states))


def _summed_up(found: Sequence[Notice], states: Collection[NoticeState]) -> str:
    dead = sum(each.state == "dead" for each in found)
    told = counted(len(found), "message" if "sent" in states else "unsent message", none="no")
    if not dead:
        return told
    return f"{told} · {dead:,} dead: `syncer outbox retry KEY` sends one again, `syncer outbox drop KEY` ends it"


def _json(notice: Notice) -> dict[str, Any]:
    handoff = notice.handoff
    return {
        **message_json(notice),
        "connection": handoff.record.connection,
        "handoff": handoff.key,
        "email": handoff.email,
        "at": handoff.at.isoformat(),
        "digest": notice.digest,
    }


def _row(notice: Notice, now: datetime) -> list[str]:
    why = clipped(redact(notice.error), _LONGEST) if notice.error else ""
    state = f"{notice.state}, may have arrived" if notice.unsure and notice.state == "dead" else notice.state
    to = f"{addressee(notice)}, in digest {notice.digest[:KEY_LENGTH]}" if notice.digest else addressee(notice)
    told = (notice.key[:KEY_LENGTH], lead_name(notice.handoff), to, state, f"{notice.attempts:,}")
    return [*told, _next(notice, now), why]


def _next(notice: Notice, now: datetime) -> str:
    """When it may go out."""
    at = notice.not_before
    when = "now" if at is None or at <= now else ago(at, now)
    if notice.state == "waiting":
        shows = "when the CRM shows the stage"
        return shows if at is None else f"{shows}, or {when}"
    return {"ready": when, "uncertain": when, "sending": "on its way"}.get(notice.state, "")


def _retried(app: App, prefixes: Sequence[str], every: bool) -> Retried:
    names = [each.name for each in app.project.connections]
    with app.store.writing() as tx:
        found = kept.messages(tx, names, _DEAD) if every else queries.named(tx, names, prefixes)
        return queries.retry(tx, app, found, By(this_user()), skip_nobodys=every)


def _dropped(app: App, prefixes: Sequence[str], reason: str, author: str) -> list[Notice]:
    names = [each.name for each in app.project.connections]
    with app.store.writing() as tx:
        return queries.drop(tx, app, queries.named(tx, names, prefixes), By(author), reason)


def _answer(action: str, changed: Sequence[Notice], nobodys: int) -> str:
    if action == "drop":
        return f"{counted(len(changed), 'message')} dropped; never sent"
    left = [f"{counted(nobodys, 'message')} left dead: {STILL_NOBODY}"] if nobodys else []
    if not changed:
        return left[0] if left else "nothing is dead"
    repeats = sum(each.unsure for each in changed)
    marked = f"; {repeats:,} may have arrived before and will say so" if repeats else ""
    ready = f"{counted(len(changed), 'message')} ready again: the daemon or the next `syncer run` sends them{marked}"
    return "\n".join([ready, *left])
