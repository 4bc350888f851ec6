"""`handoffs`: whom sales was told of, what has come of it, and what sales answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from syncer.app import App
from syncer.cli.output import (
    Align,
    ago,
    app_of,
    counted,
    day_and_time,
    percent,
    points,
    print_json,
    share_json,
    show,
    table,
)
from syncer.cli.override import this_user
from syncer.handoff import Taken
from syncer.handoff.text import one_line
from syncer.log import redact
from syncer.model import Answer, Notice
from syncer.planning import shown
from syncer.queries import handoffs as queries
from syncer.queries import replay
from syncer.queries.explaining import answer_json
from syncer.queries.handoffs import Sums, addressee, lead_name
from syncer.queries.texts import verdict
from syncer.settings import HandoffSettings
from syncer.store import answers, handed_over
from syncer.store.handed_over import Figures, HandedOver, Only, Spread, Wanted

_ACTIONS = ("accept", "reject")
_SHOWN_ROWS = 30
_SHOWN_REASONS = 5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMNS: tuple[tuple[str, Align], ...] = (
    ("Ready", "left"),
    ("Lead", "left"),
    ("Score", "right"),
    ("Stage", "left"),
    ("For", "left"),
    ("Told", "left"),
    ("Since then", "left"),
)


def handoffs(ctx: click.Context, words: tuple[str, ...], as_json: bool, **flags: Any) -> None:
    _insist_on_sense(words, flags)
    with app_of(ctx) as app:
        if words[:1] in (("accept",), ("reject",)):
            _answer(app, words, flags, as_json)
        else:
            _list(app, words[0] if words else None, flags, as_json)


def _insist_on_sense(words: tuple[str, ...], flags: Mapping[str, Any]) -> None:
    action = words[0] if words and words[0] in _ACTIONS else ""
    if flags["only_open"] and flags["late"]:
        raise click.UsageError("--late are those of --open that are overdue; give one of them")
    if flags["reason"] and action != "reject":
        raise click.UsageError("--reason goes with handoffs reject LEAD")
    if flags["author"] and not action:
        raise click.UsageError("--author goes with handoffs accept LEAD and handoffs reject LEAD")
    if len(words) != (2 if action else len(words[:1])):
        raise click.UsageError(
            "write: handoffs [CONNECTION], handoffs accept LEAD, or handoffs reject LEAD --reason ..."
        )
    if action and any(flags[name] for name in ("only_open", "late", "since", "every")):
        raise click.UsageError(f"handoffs {action} lists nothing: it takes none of --open, --late, --since and --all")


def _list(app: App, connection: str | None, flags: Mapping[str, Any], as_json: bool) -> None:
    now = app.clock()
    only: Only | None = "late" if flags["late"] else "open" if flags["only_open"] else None
    since = flags["since"]
    begin = None if since is None else replay.moment("--since", since, now, app.project.timezone)
    wanted = Wanted(tuple(each.name for each in app.chosen(connection)), now, only, begin)
    with app.store.reading() as tx:
        found = handed_over.listed(tx, wanted, None if flags["every"] or as_json else _SHOWN_ROWS)
        said = answers.of(tx, [each.handoff.key for each in found])
        sums = queries.sums(tx, wanted)
    if as_json:
        told = [handed_over_json(each, now, said.get(each.handoff.key, ())) for each in found]
        print_json("syncer.handoffs/1", {"handoffs": told, "totals": _sums_json(sums)})
    else:
        _print(app, found, said, sums)


def _answer(app: App, words: tuple[str, ...], flags: Mapping[str, Any], as_json: bool) -> None:
    accepted, settings = words[0] == "accept", queries.settings_of(app.project)
    if not accepted and not flags["reason"].strip():
        offered = " or ".join(f"'{each}'" for each in settings.answers.reasons[:3])
        raise click.UsageError(f"say why the lead is not ready: --reason TEXT, for example {offered}")
    answer = Answer(accepted, flags["author"] or this_user(), app.clock(), "command", flags["reason"])
    key = queries.key_of(app, words[1])
    with app.store.writing() as tx:
        taken = queries.answer(tx, key, queries.Spoken(answer), app.project, words[1])
        (handed,), said = handed_over.with_keys(tx, [key]), answers.of(tx, [key]).get(key, ())
    if as_json:
        told = handed_over_json(handed, app.clock(), said)
        print_json("syncer.handoffs/1", {"handoffs": [told], "goes_to": taken.goes_to})
    else:
        click.echo(_told(words[1], answer, taken, settings))


def _told(selector: str, answer: Answer, taken: Taken, settings: HandoffSettings) -> str:
    if answer.accepted:
        return f"{selector}: accepted by {answer.author}; nobody is reminded of it any more"
    rejected = f"{selector}: rejected by {answer.author}"
    if taken.goes_to is None:
        why = "" if settings.on_reject is None else ", as somebody has set by hand"
        return f"{rejected}; the lead stays in its stage{why}"
    hold = settings.on_reject.hold if settings.on_reject is not None else None
    end = f"for {_span(hold)}" if hold is not None else "until `syncer override clear`"
    return f"{rejected}; the next run takes the lead to {taken.goes_to}, where the rules leave it {end}"


def handed_over_json(each: HandedOver, now: datetime, said: Sequence[Answer] = ()) -> dict[str, Any]:
    """Times in UTC, `score` in points; `due_at` null: nobody has to act within any time. The first answer first."""
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
        "answers": [answer_json(answer) for answer in said],
        "messages": [message_json(notice) for notice in each.notices],
    }


def _sums_json(sums: Sums) -> dict[str, Any]:
    """Spans in milliseconds, of as many hand-offs as `of` says; reasons of those that were rejected."""
    spans = {name: asdict(getattr(sums.figures, name)) for name in ("system", "human", "human_work")}
    shares = {"acted_in_time": share_json(sums.in_time)}
    return {**asdict(sums.tally), **shares, **spans, "rejected_for": dict(sums.reasons)}


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


def _print(app: App, found: Sequence[HandedOver], said: Mapping[str, Sequence[Answer]], sums: Sums) -> None:
    now, zone, tally = app.clock(), app.project.timezone, sums.tally
    if found:
        show(table(_COLUMNS, [_row(each, now, zone, said.get(each.handoff.key, ())) for each in found]))
    if len(found) < tally.handoffs:
        show(f"… {tally.handoffs - len(found):,} more: --all")
    if found:
        click.echo()
    late = f", {tally.late:,} of them late" if tally.late else ""
    in_time = f" · {tally.in_time:,} acted on in time ({percent(sums.in_time)})" if tally.in_time else ""
    show(f"{counted(tally.handoffs, 'hand-off', none='no')} · {tally.open:,} open{late}{in_time}")
    for line in (*_delays(sums.figures), *_rejections(sums.reasons)):
        show(line)


def _delays(figures: Figures) -> Iterator[str]:
    if figures.system.of:
        yield f"told after {_spread(figures.system)}"
    if figures.human.of:
        work = figures.human_work
        worked = f"; of working time {_spread(work)}" if work.of and work != figures.human else ""
        yield f"acted on after {_spread(figures.human)}{worked}"


def _spread(spread: Spread) -> str:
    """ "12 min in the median, 3 h for nine in ten"."""
    median, most = (_span(timedelta(milliseconds=each or 0)) for each in (spread.median_ms, spread.p90_ms))
    return f"{median} in the median, {most} for nine in ten"


def _span(span: timedelta) -> str:
    """ "12 min"."""
    return ago(_EPOCH, _EPOCH + span).removesuffix(" ago")


def _rejections(reasons: Mapping[str, int]) -> Iterator[str]:
    if reasons:
        shown = [f"{why or 'no reason given'} {count:,}" for why, count in list(reasons.items())[:_SHOWN_REASONS]]
        rest = sum(list(reasons.values())[_SHOWN_REASONS:])
        named = "; ".join([*shown, *([f"others {rest:,}"] if rest else [])])
        yield one_line(f"rejected {sum(reasons.values()):,}: {named}")


def _row(each: HandedOver, now: datetime, timezone: str, said: Sequence[Answer]) -> list[str]:
    handoff = each.handoff
    told = "; ".join(f"{addressee(notice)}: {notice.state}" for notice in each.notices) or "nobody"
    return [
        day_and_time(handoff.at, timezone),
        lead_name(handoff),
        shown(handoff.total),
        one_line(handoff.stage),
        one_line(handoff.assigned_to or ""),
        told,
        ", ".join(_since(each, now, said)),
    ]


def _since(each: HandedOver, now: datetime, said: Sequence[Answer]) -> Iterator[str]:
    """ "open for 3 h, due in 12 min", "call 2 h ago", "rejected by luis (link): no budget 2 h ago"."""
    for answer in said:
        yield one_line(f"{verdict(answer)} {ago(answer.at, now)}")
    if each.touched_at is not None and each.touched_by not in ("accepted", "rejected"):
        yield f"{one_line(each.touched_by or 'acted on')} {ago(each.touched_at, now)}"
    if each.closed_at is not None:
        yield f"left the stage {ago(each.closed_at, now)}"
    if each.is_open():
        yield f"open for {ago(each.handoff.at, now).removesuffix(' ago')}"
        if each.due_at is not None:
            late = each.is_late(now)
            yield f"late: was due {ago(each.due_at, now)}" if late else f"due {ago(each.due_at, now)}"
