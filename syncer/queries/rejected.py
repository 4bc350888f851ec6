"""What could not be read from a CRM, and what it did not take: with reasons, and to be tried again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from syncer.app import App
from syncer.errors import NotFound
from syncer.log import redact
from syncer.model import RecordKey
from syncer.queries.accounts import By
from syncer.store import audit, hints, mirror, runs, write_backs
from syncer.store.audit import Entry
from syncer.store.columns import to_ms
from syncer.store.mirror import KeptRejection, RejectedPlace
from syncer.store.records import leads_of

PAGE = 50

Place = tuple[int, int]
"""Behind which more is shown, without a text of the CRM's: a record's id may be an address."""


@dataclass(frozen=True, slots=True)
class Unread:
    """Something that the CRM has sent and that could not be read, whole or in part."""

    stream: str
    id: str  # as the CRM writes it
    reason: str
    first_seen: datetime
    last_seen: datetime
    times: int
    in_part: bool  # all but a part of it, which makes no sense, was read
    retried: bool  # every full run asks for it again by itself


@dataclass(frozen=True, slots=True)
class Untaken:
    """A write that the CRM did not take."""

    object: str
    id: str
    lead: int | None
    reason: str
    attempts: int
    next_at: datetime | None  # when it is tried again; None: given up, or taken but for a part
    given_up: bool


@dataclass(frozen=True, slots=True)
class UnreadPage:
    rows: tuple[Unread, ...]
    after: Place | None  # see mirror.RejectedPlace; None: these are the last ones


@dataclass(frozen=True, slots=True)
class UntakenPage:
    rows: tuple[Untaken, ...]
    after: Place | None  # see write_backs.place_of


def unread(app: App, connection: str, after: Place | None = None) -> UnreadPage:
    """What came first most lately comes first. NotFound (SY080) for a connection that is none."""
    name = app.connection(connection).name
    place = None if after is None else RejectedPlace(*after)
    with app.store.reading() as tx:
        found = mirror.rejections(tx, name, PAGE + 1, place)
    shown = tuple(map(_unread, found[:PAGE]))
    return UnreadPage(shown, _behind(shown, after) if len(found) > PAGE else None)


def _behind(shown: Sequence[Unread], before: Place | None) -> Place:
    last = shown[-1].first_seen
    same, at = sum(each.first_seen == last for each in shown), to_ms(last)
    return at, same + (before[1] if before is not None and before[0] == at else 0)


def _unread(kept: KeptRejection) -> Unread:
    its = kept.rejected
    return Unread(
        *(kept.stream, its.id, redact(its.reason), kept.first_seen, kept.last_seen, kept.count),
        in_part=kept.arrived,
        retried=its.retry,
    )


def untaken(app: App, connection: str, after: Place | None = None) -> UntakenPage:
    """By object and id. NotFound (SY080) for a connection that is none."""
    name = app.connection(connection).name
    with app.store.reading() as tx:
        found = write_backs.troubles(tx, name, PAGE + 1, after)
        leads = leads_of(tx, [each.record for each in found])
        last = found[PAGE - 1].record if len(found) > PAGE else None
        place = write_backs.place_of(tx, last, leads[last]) if last is not None and last in leads else None
    return UntakenPage(tuple(_untaken(each, leads.get(each.record)) for each in found[:PAGE]), place)


def _untaken(trouble: write_backs.Trouble, lead: int | None) -> Untaken:
    key, reason = trouble.record, redact(trouble.reason)
    return Untaken(key.object, key.id, lead, reason, trouble.attempts, trouble.next_at, trouble.given_up)


def read_again(app: App, connection: str, which: tuple[str, str] | None, by: By) -> int:
    """Ask the CRM for what could not be read, at the next run, quick or full: `which` (stream, id); None: for all that
    it sent and we have nothing of. How many. NotFound (SY288) for what is not among them."""
    name, now, count = app.connection(connection).name, app.clock(), 0
    with app.store.writing() as tx:
        for some in _to_read(tx, name, which):
            hints.hint(tx, [_key(name, *each) for each in some], now)
            count += len(some)
        details = {"records": count, **({"stream": which[0]} if which else {})}
        audit.note(tx, Entry(now, by.who, "read_again", name, by.address, details))
    return count


def _to_read(tx: Connection, name: str, which: tuple[str, str] | None) -> Iterable[Sequence[tuple[str, str]]]:
    if which is None:
        return mirror.absent(tx, name)
    stream, id_ = which
    if not mirror.is_rejected(tx, name, stream, id_):
        raise NotFound(f"{name}: nothing that could not be read is called {stream} {id_}", code="SY288")
    return [[which]]


def _key(connection: str, stream: str, id_: str) -> RecordKey:
    """By which the CRM is asked: what came as "calls/123" was "123" to it."""
    return RecordKey(connection, stream, id_.removeprefix(f"{stream}/"))


def write_again(app: App, connection: str, by: By) -> int:
    """Whatever the CRM did not take is due now; how many writes were given up or put off."""
    name, now = app.connection(connection).name, app.clock()
    with app.store.writing() as tx:
        counts = write_backs.counts(tx, name)
        write_backs.try_again(tx, name)
        stuck = counts.get("given_up", 0) + counts.get("put_off", 0)
        audit.note(tx, Entry(now, by.who, "write_again", name, by.address, {"records": stuck}))
    return stuck


def run_now(app: App, connection: str, by: By) -> datetime | None:
    """A full run is due at once. Returns until when the CRM is left alone all the same; None: it is not."""
    name, now = app.connection(connection).name, app.clock()
    with app.store.writing() as tx:
        runs.lock_connection(tx, name)
        runs.ring(tx, name, now)
        parked = runs.parked(tx, name, now)
        audit.note(tx, Entry(now, by.who, "run_now", name, by.address))
    return None if parked is None else parked.until
