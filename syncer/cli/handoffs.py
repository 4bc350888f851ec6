"""`handoffs`: whom sales was told of, and what has come of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import click

from syncer.app import App
from syncer.cli import replay
from syncer.cli.output import Align, ago, app_of, counted, day_and_time, points, print_json, show, table
from syncer.handoff.text import one_line
from syncer.log import redact
from syncer.model import Handoff, Notice
from syncer.planning import shown
from syncer.store import outbox
from syncer.store.outbox import HandedOver, Tally, Wanted

_SHOWN_ROWS = 30
_COLUMNS: tuple[tuple[str, Align], ...] = (
    ("Ready", "left"),
    ("Lead", "left"),
    ("Score", "right"),
    ("Stage", "left"),
    ("For", "left"),
    ("Told", "left"),
    ("Since then", "left"),
)


def handoffs(ctx: click.Context, connection: str | None, since: str | None, every: bool, **flags: bool) -> None:
    if flags["only_open"] and flags["late"]:
        raise click.UsageError("--late are those of --open that are overdue; give one of them")
    with app_of(ctx) as app:
        now, only = app.clock(), "late" if flags["late"] else "open" if flags["only_open"] else None
        begin = None if since is None else replay.moment("--since", since, now, app.project.timezone)
        wanted = Wanted(tuple(each.name for each in app.chosen(connection)), now, only, begin)
        whole = every or flags["as_json"]
        with app.store.reading() as tx:
            found = outbox.handed_over(tx, wanted, None if whole else _SHOWN_ROWS)
            tally = outbox.tally(tx, wanted)
        if flags["as_json"]:
            told = [handed_over_json(each, now) for each in found]
            print_json("syncer.handoffs/1", {"handoffs": told, "totals": asdict(tally)})
        else:
            _print(app, found, tally)


def handed_over_json(each: HandedOver, now: datetime) -> dict[str, Any]:
    """Times in UTC, `score` in points; `due_at` null: nobody has to act within any time."""
    handoff = each.handoff
    return {
        "key": handoff.key,
        "connection": handoff.record.connection,
        "lead": {"email": handoff.email, "name": handoff.name, "record": str(handoff.record), "url": handoff.url},
        "stage": handoff.stage,
        "score": points(handoff.total),
        "episode": handoff.episode,
        "assigned_to": handoff.assigned_to,
        "at": handoff.at.isoformat(),
        "open": each.is_open(),
        "late": each.is_late(now),
        **{name: _iso(getattr(each, name)) for name in ("told_at", "due_at", "touched_at", "closed_at")},
        "touched_by": each.touched_by,
        **{name: getattr(each, name) for name in ("system_ms", "human_ms", "human_work_ms")},
        "messages": [message_json(notice) for notice in each.notices],
    }


def message_json(notice: Notice) -> dict[str, Any]:
    """`next_at` null: at once, or never where it has ended; `why`: what became of the last attempt."""
    return {
        "key": notice.key,
        "channel": notice.channel,
        "recipient": notice.recipient,
        "kind": notice.kind,
        "state": notice.state,
        "attempts": notice.attempts,
        "next_at": _iso(notice.not_before) if notice.state in ("waiting", "ready", "uncertain") else None,
        "why": redact(notice.error) if notice.error else None,
        "possible_repeat": notice.unsure,
    }


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def lead_name(handoff: Handoff) -> str:
    return one_line(handoff.email or handoff.name or str(handoff.record))


def addressee(notice: Notice) -> str:
    """ "mail to ana@acme.es", "team"; what a person's message is not the first of says what it is."""
    kind = "" if notice.kind == "handoff" else f" ({notice.kind})"
    to = f" to {notice.recipient}" if "@" in notice.recipient else ""
    return one_line(f"{notice.channel}{to}{kind}")


def _print(app: App, found: Sequence[HandedOver], tally: Tally) -> None:
    now, zone = app.clock(), app.project.timezone
    if found:
        show(table(_COLUMNS, [_row(each, now, zone) for each in found]))
    if len(found) < tally.handoffs:
        show(f"… {tally.handoffs - len(found):,} more: --all")
    if found:
        click.echo()
    late = f", {tally.late:,} of them late" if tally.late else ""
    in_time = f" · {tally.in_time:,} acted on in time" if tally.in_time else ""
    show(f"{counted(tally.handoffs, 'hand-off', none='no')} · {tally.open:,} open{late}{in_time}")


def _row(each: HandedOver, now: datetime, timezone: str) -> list[str]:
    handoff = each.handoff
    told = "; ".join(f"{addressee(notice)}: {notice.state}" for notice in each.notices) or "nobody"
    return [
        day_and_time(handoff.at, timezone),
        lead_name(handoff),
        shown(handoff.total),
        one_line(handoff.stage),
        one_line(handoff.assigned_to or ""),
        told,
        ", ".join(_since(each, now)),
    ]


def _since(each: HandedOver, now: datetime) -> Iterator[str]:
    """ "open for 3 h, due in 12 min", "call 24 min after the message"."""
    if each.touched_at is not None:
        yield f"{one_line(each.touched_by or 'acted on')} {ago(each.touched_at, now)}"
    if each.closed_at is not None:
        yield f"left the stage {ago(each.closed_at, now)}"
    if each.is_open():
        yield f"open for {ago(each.handoff.at, now).removesuffix(' ago')}"
        if each.due_at is not None:
            late = each.is_late(now)
            yield f"late: was due {ago(each.due_at, now)}" if late else f"due {ago(each.due_at, now)}"
