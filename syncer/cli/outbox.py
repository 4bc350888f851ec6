"""`outbox`: messages that were not sent, why, and what a person wants to become of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import click
from sqlalchemy import Connection

from syncer.app import App
from syncer.cli.handoffs import addressee, lead_name, message_json
from syncer.cli.output import Align, ago, app_of, counted, print_json, show, table
from syncer.cli.override import this_user
from syncer.errors import NotFound
from syncer.handoff.routing import had_nobody, routed_anew
from syncer.handoff.text import clipped, one_line
from syncer.log import redact
from syncer.model import Notice, NoticeState
from syncer.settings import HandoffSettings
from syncer.store import outbox as kept

_DEAD: frozenset[NoticeState] = frozenset({"dead"})
_WAITING: frozenset[NoticeState] = frozenset({"waiting", "ready", "sending", "uncertain"})
_ENDED: frozenset[NoticeState] = frozenset({"sent", "dropped"})
_ACTIONS = ("retry", "drop")
_STILL_NOBODY = (
    "there is still nobody to send it to: give the lead an owner with an e-mail address in the CRM and let syncer read "
    "that, or write a route that fits or a fallback under handoff.route; then retry it, or drop it"
)
_KEY_LENGTH = 12  # of 32 hexadecimal digits
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
            changed, nobodys = _retried(app, words[1:], flags["dead"])
        elif words[:1] == ("drop",):
            changed, nobodys = _dropped(app, words[1:], flags["reason"], flags["author"] or this_user()), 0
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
    to = f"{addressee(notice)}, in digest {notice.digest[:_KEY_LENGTH]}" if notice.digest else addressee(notice)
    told = (notice.key[:_KEY_LENGTH], lead_name(notice.handoff), to, state, f"{notice.attempts:,}")
    return [*told, _next(notice, now), why]


def _next(notice: Notice, now: datetime) -> str:
    """When it may go out."""
    at = notice.not_before
    when = "now" if at is None or at <= now else ago(at, now)
    if notice.state == "waiting":
        shows = "when the CRM shows the stage"
        return shows if at is None else f"{shows}, or {when}"
    return {"ready": when, "uncertain": when, "sending": "on its way"}.get(notice.state, "")


def _retried(app: App, prefixes: Sequence[str], every: bool) -> tuple[list[Notice], int]:
    """(what may go out again, how many of all the dead stay so as there is still nobody to send them to)."""
    names = [each.name for each in app.project.connections]
    with app.store.writing() as tx:
        found = kept.messages(tx, names, _DEAD) if every else _named(tx, names, prefixes)
        for notice in found:
            _insist(notice.state == "dead", notice, "only what is dead can be tried again")
        again = [(notice, _again(tx, notice, app.project.handoff)) for notice in found]
        for notice, ready in again:
            _insist(every or bool(ready), notice, _STILL_NOBODY)
        keys = [each.key for _, ready in again for each in ready]
        kept.make_ready(tx, keys)
        return kept.named(tx, keys), sum(not ready for _, ready in again)


def _again(tx: Connection, notice: Notice, settings: HandoffSettings | None) -> Sequence[Notice]:
    """The message itself, or what is sent in its place."""
    if settings is None or not had_nobody(notice, settings):
        return (notice,)
    return _routed_anew(tx, notice, settings)


def _routed_anew(tx: Connection, notice: Notice, settings: HandoffSettings) -> Sequence[Notice]:
    """What is sent in its place, to whom today's routes and the record's owner lead; none: it stays as it is."""
    anew = routed_anew(kept.renew_owner(tx, notice.handoff), notice.channel, settings)
    if anew:
        kept.queue(tx, anew)
        told = ", ".join(each.recipient for each in anew)
        kept.drop(tx, notice.key, one_line(f"sent to {told} instead (before: {notice.error})"))
    return anew


def _dropped(app: App, prefixes: Sequence[str], reason: str, author: str) -> list[Notice]:
    names = [each.name for each in app.project.connections]
    with app.store.writing() as tx:
        found = _named(tx, names, prefixes)
        for notice in found:
            said = f"dropped by {author}{f': {reason}' if reason else ''}"
            before = f" (before: {notice.error})" if notice.error else ""
            dropped = kept.drop(tx, notice.key, one_line(f"{said}{before}"))
            _insist(dropped, notice, "only what has not left can be dropped")
        return kept.named(tx, [each.key for each in found])


def _insist(allowed: bool, notice: Notice, rule: str) -> None:
    if not allowed:
        told = f"{notice.key[:_KEY_LENGTH]} ({addressee(notice)}) is {notice.state}"
        raise NotFound(f"{told}; {rule}. Nothing was changed", code="SY197")


def _named(tx: Connection, connections: Sequence[str], prefixes: Sequence[str]) -> list[Notice]:
    """The message of each prefix, each once."""
    found = {each.key: each for prefix in prefixes for each in [_one(tx, connections, prefix)]}
    return list(found.values())


def _one(tx: Connection, connections: Sequence[str], prefix: str) -> Notice:
    found = kept.beginning_with(tx, connections, prefix.lower()) if prefix else []
    named = clipped(prefix, _KEY_LENGTH * 3)
    if not found:
        raise NotFound(f"no message's key begins with '{named}'; `syncer outbox --all` shows them", code="SY195")
    if len(found) > 1:
        keys = ", ".join(each.key for each in found)
        raise NotFound(f"several messages' keys begin with '{named}'; write more of it: {keys}", code="SY196")
    return found[0]


def _answer(action: str, changed: Sequence[Notice], nobodys: int) -> str:
    if action == "drop":
        return f"{counted(len(changed), 'message')} dropped; never sent"
    left = [f"{counted(nobodys, 'message')} left dead: {_STILL_NOBODY}"] if nobodys else []
    if not changed:
        return left[0] if left else "nothing is dead"
    repeats = sum(each.unsure for each in changed)
    marked = f"; {repeats:,} may have arrived before and will say so" if repeats else ""
    ready = f"{counted(len(changed), 'message')} ready again: the daemon or the next `syncer run` sends them{marked}"
    return "\n".join([ready, *left])
