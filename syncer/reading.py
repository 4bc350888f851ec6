"""How a run learns what the CRM shows: what changed, what it was hinted at, and now and then everything there is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby

import structlog
from sqlalchemy import Connection

from syncer.errors import ConfigError, TemporaryError, UnsafePlanError
from syncer.model import Activity, Cursor, Page, Record, RecordKey, Rejected
from syncer.parts import Parts, Report
from syncer.store import Lease, hints, mirror, outbox, runs, sweeps, write_backs

log = structlog.get_logger(__name__)

_CHUNK = 1_000  # ids asked for at a time
_SWEEP_SHARE = 3  # a sweep has at most the third part of an interval,
_LONGEST_SLICE = timedelta(minutes=5)  # and never more than this: nobody else may work on the connection meanwhile
_SHORTEST_SLICE = timedelta(seconds=10)  # before it makes way: where hints never end, a sweep must end all the same
_SURELY_GONE = 50  # so many people may be missing in any sweep, and in a large one
_SURELY_GONE_SHARE = 20  # the twentieth part


def pull(parts: Parts, lease: Lease, report: Report) -> None:
    """Each stream to its end, a page a transaction. A stream that fails is recorded and the others go on, unless the
    CRM asks for patience, or our own share of its requests is used up. In the second case the run goes on without."""
    for stream in parts.source.streams:
        try:
            _pull_stream(parts, lease, stream, report)
        except (ConfigError, TemporaryError) as failure:
            report.failures[stream] = failure
            if stream in parts.source.people:
                report.counts["incomplete"] += 1
            log.warning("stream_failed", connection=parts.name, stream=stream, reason=failure.message)
            if not report.may_read:
                break
    if report.failures and not report.read_whole and not report.rationed:
        raise next(iter(report.failures.values()))


def _pull_stream(parts: Parts, lease: Lease, stream: str, report: Report) -> None:
    with parts.store.writing(lease) as tx:
        since, history = begin(parts, tx, stream)
    if history:
        report.history.add(stream)
    done = 0
    for page in parts.source.pull(stream, since):
        if done == 0 and not history and page.cursor != since:
            _look_for_gone(parts, lease, stream)
        _store(parts, lease, stream, page, report)
        done += len(page.records) + len(page.activities)
        report.counts["read"] += len(page.records)
        report.counts["activities"] += len(page.activities)
        parts.progress("pull", stream, done, page.expected)
        parts.heed()
    if history:
        _drop_counts(parts, lease, stream)
    report.read_whole.add(stream)


def _look_for_gone(parts: Parts, lease: Lease, stream: str) -> None:
    """Where a pull tells that something changed, and nobody can tell by it what has gone, a sweep is due at once. It
    begins anew: one under way has seen what was there before. It is begun before the pull goes on, which may die."""
    if stream in getattr(parts.source, "shrinks", ()):
        with parts.store.writing(lease) as tx:
            sweeps.begin(tx, parts.name, stream, parts.clock(), anew=True)


def _drop_counts(parts: Parts, lease: Lease, stream: str) -> None:
    """What a stream tells singly, back to its beginning, must not count a second time by an old counter."""
    single: Mapping[str, frozenset[str]] = getattr(parts.source, "single", {})
    if kinds := single.get(stream):
        with parts.store.writing(lease) as tx:
            mirror.drop_readings(tx, parts.name, kinds)


def begin(parts: Parts, tx: Connection, stream: str) -> tuple[Cursor | None, bool]:
    """Where the pull of the stream goes on, and whether it tells history still; people, about whom more is wanted now,
    begin again."""
    people = stream in parts.source.people
    reads: tuple[str, ...] = getattr(parts.source, "reads", ())
    wanted = (*parts.project.needed_fields, *parts.project.needed_activities, *reads) if people else ()
    return mirror.begin(tx, parts.name, stream, wanted)


def _store(  # noqa: PLR0913  # a page, where it belongs, and who counts it
    parts: Parts, lease: Lease, stream: str, page: Page, report: Report, sweep: int | None = None
) -> None:
    same_person, keep = parts.project.same_person is not None, parts.project.sync.keep_activities
    with parts.store.writing(lease) as tx:
        report.rings |= mirror.store_page(
            tx, parts.name, stream, page, parts.clock(), same_person=same_person, sweep=sweep, keep=keep
        )
    report.answered = True
    if page.rejected:  # as nearly never: a page of a first load has thousands of records
        report.counts["unreadable"] += len({each.id for each in page.rejected} - {each.key.id for each in page.records})
    log.debug("page_stored", connection=parts.name, stream=stream, records=len(page.records))


def revisit(parts: Parts, lease: Lease, report: Report) -> None:
    """Read again by id: whom the CRM has spoken of itself, and what could not be read although nothing is wrong
    with it."""
    if not report.may_read:
        return
    try:
        silent = follow_hints(parts, lease, report)
        for stream in parts.source.streams:
            if stream not in report.failures:
                _ask_again(parts, lease, stream, report, but=silent.get(stream, set()))
    except (ConfigError, TemporaryError) as failure:
        report.failures["hints"] = failure
        log.warning("hints_failed", connection=parts.name, reason=failure.message)


def follow_hints(parts: Parts, lease: Lease, report: Report) -> dict[str, set[str]]:
    """Each that waits is followed once; stream -> ids that could not be read. A hint of what is no stream of ours is
    forgotten. Raises what keeps it from reading; the hints stay then."""
    silent: dict[str, set[str]] = {}
    after = None
    while True:
        with parts.store.reading() as tx:
            waiting = hints.waiting(tx, parts.name, _CHUNK, after, now=parts.clock())
        if not waiting:
            return silent
        after = waiting[-1].key
        for stream, some in groupby(waiting, key=lambda each: each.key.object):
            if stream in parts.source.streams:
                unread = _fetch(parts, lease, stream, [each.key.id for each in some], report, lately=True)
                silent.setdefault(stream, set()).update(unread)
        with parts.store.writing(lease) as tx:
            hints.settle(tx, waiting)
        report.counts["hints"] += len(waiting)


def _ask_again(parts: Parts, lease: Lease, stream: str, report: Report, *, but: set[str]) -> None:
    """`but`: those have just been asked for."""
    with parts.store.reading() as tx:
        unread = [each for each in mirror.unread(tx, parts.name, stream, _CHUNK) if each not in but]
    if not unread:
        return
    silent = _fetch(parts, lease, stream, unread, report)
    with parts.store.writing(lease) as tx:
        mirror.settle(tx, parts.name, stream, [each for each in unread if each not in silent])


def _fetch(  # noqa: PLR0913  # which, how far, and who counts it
    parts: Parts, lease: Lease, stream: str, ids: Sequence[str], report: Report, *, lately: bool = False
) -> set[str]:
    """Store these as they are now; the ids of those that could not be read this time either."""
    silent: set[str] = set()
    for fetched in parts.source.fetch(stream, ids, lately=lately):
        with parts.store.writing(lease) as tx:
            ask_later(parts, tx, doubtful(parts, tx, fetched.records))
        for its_stream, page in _by_stream(parts, stream, fetched):
            _store(parts, lease, its_stream, page, report)
            report.counts["reconciled"] += len(page.records) + len(page.activities)
            if its_stream == stream:
                silent |= {each.id.removeprefix(f"{stream}/") for each in page.rejected}
        parts.heed()
    return silent


def _by_stream(parts: Parts, stream: str, fetched: Page) -> Iterator[tuple[str, Page]]:
    """What was fetched of a stream, each part under the stream that it is of ("calls/123" of "calls"). What another
    stream tells is left to its pull as long as that has not told what was there before."""

    def of(name: str) -> str:
        first = name.partition("/")[0]
        return first if first in parts.source.streams else stream

    deeds: dict[str, list[Activity]] = {}
    refused: dict[str, list[Rejected]] = {}
    for activity in fetched.activities:
        deeds.setdefault(of(activity.id), []).append(activity)
    for rejected in fetched.rejected:
        refused.setdefault(of(rejected.id), []).append(rejected)
    yield stream, replace(fetched, activities=tuple(deeds.pop(stream, ())), rejected=tuple(refused.pop(stream, ())))
    others = sorted(deeds.keys() | refused.keys())
    if not others:
        return
    with parts.store.reading() as tx:
        told = {each for each in others if mirror.cursor(tx, parts.name, each) is not None}
        told -= mirror.telling_history(tx, parts.name)
    for each in others:
        if each in told:
            yield each, Page(None, activities=tuple(deeds.get(each, ())), rejected=tuple(refused.get(each, ())))


def doubtful(parts: Parts, tx: Connection, shown: Iterable[Record]) -> list[RecordKey]:
    """Who is said to be erased for good, and lives here as yet. A CRM may stumble, so one such answer deletes them, and
    only the next one erases them: `ask_later`."""
    told = [record.key for record in shown if record.erased]
    live = mirror.known(tx, parts.name, told[0].object, [key.id for key in told]) if told else ()
    return [key for key in told if key.id in live]


def ask_later(parts: Parts, tx: Connection, keys: Sequence[RecordKey]) -> None:
    """Of these the CRM is asked again, but not so soon that it answers out of the same trouble."""
    hints.hint(tx, keys, parts.clock() + hints.LATER)


def sweep(parts: Parts, lease: Lease, report: Report) -> None:
    """Go on with what is due of the reconcile sweeps, for what is left of the time they have. What they find is decided
    by the next run, which is due at once then."""
    if not report.may_read:
        return
    began, every = parts.clock(), _every(parts)
    with parts.store.reading() as tx:
        due = sweeps.due(tx, parts.name, every, began)
        spent_ms = runs.counted(tx, parts.name, ("sweep_ms",), began - parts.project.sync.every) if due else 0
        touched = mirror.touched_count(tx, parts.name) if due else 0
    left = min(parts.project.sync.every / _SWEEP_SHARE, _LONGEST_SLICE) - timedelta(milliseconds=spent_ms)
    if not due or left <= timedelta(0):
        return
    _sweep_each(parts, lease, due, report, slice_=_Slice(began, began + left, _waiting(parts)))
    report.counts["sweep_ms"] += max((parts.clock() - began) // timedelta(milliseconds=1), 1)
    with parts.store.reading() as tx:
        if mirror.touched_count(tx, parts.name) > touched:
            report.rings.add(parts.name)


def _every(parts: Parts) -> Mapping[str, timedelta]:
    """Stream -> how often it is swept; one that never is is absent."""
    settings, people = parts.project.sync, parts.source.people
    spans = {each: settings.sweep if each in people else settings.sweep_activities for each in parts.source.swept}
    return {stream: span for stream, span in spans.items() if span is not None}


def sweep_whole(parts: Parts, lease: Lease, report: Report) -> None:
    """Everything there is, to its end, however long it takes; but what this very run has read from its beginning."""
    if report.may_read:
        known = report.history | report.failures.keys()
        streams = [stream for stream in parts.source.swept if stream not in known]
        _sweep_each(parts, lease, streams, report, slice_=None)


@dataclass(frozen=True, slots=True)
class _Slice:
    """What a sweep has of one run's time; `known`: what was waiting already when it began."""

    began: datetime
    until: datetime
    known: frozenset[str]


def _sweep_each(parts: Parts, lease: Lease, streams: Sequence[str], report: Report, *, slice_: _Slice | None) -> None:
    """`slice_` None: begin them anew and end them."""
    try:
        for stream in streams:
            if not _sweep_stream(parts, lease, stream, report, slice_):
                return
    except (ConfigError, TemporaryError, UnsafePlanError) as failure:
        report.failures["sweep"] = failure
        log.warning("sweep_failed", connection=parts.name, reason=failure.message)


def _sweep_stream(parts: Parts, lease: Lease, stream: str, report: Report, slice_: _Slice | None) -> bool:
    """Whether it came to its end; at least one page is looked at however little time there is."""
    with parts.store.writing(lease) as tx:
        going = sweeps.begin(tx, parts.name, stream, parts.clock(), anew=slice_ is None)
    done = 0
    for page in parts.source.sweep(stream, going.cursor):
        _store(parts, lease, stream, page, report, going.number)
        done += len(page.records) + len(page.activities)
        report.counts["swept"] += len(page.records) + len(page.activities)
        parts.progress("sweep", stream, done, page.expected)
        parts.heed()
        if _is_over(parts, slice_):
            return False
    if slice_ is not None and stream in parts.source.people:
        _insist_on_people(parts, lease, stream, going.number)
    if not _ask_for_missing(parts, lease, stream, report, (going, slice_)):
        return False
    with parts.store.writing(lease) as tx:
        sweeps.end(tx, parts.name, stream, parts.clock())
    log.info("sweep_ended", connection=parts.name, stream=stream, number=going.number)
    return True


def _insist_on_people(parts: Parts, lease: Lease, stream: str, number: int) -> None:
    """So many at once do not leave: a list that is broken, or a token that sees less than before, must not delete
    them. The sweep is over then; the next one looks again."""
    with parts.store.writing(lease) as tx:
        missing, of = sweeps.shortfall(tx, parts.name, stream, number)
        if missing <= max(_SURELY_GONE, of // _SURELY_GONE_SHARE):
            return
        sweeps.end(tx, parts.name, stream, parts.clock())
    raise UnsafePlanError(
        f"{parts.name}: the CRM does not show {missing:,} of {of:,} people any more; nothing was deleted; if that is "
        f"right, run `syncer run {parts.name} --full`",
        code="SY056",
    )


def _ask_for_missing(
    parts: Parts, lease: Lease, stream: str, report: Report, sweep: tuple[sweeps.Sweep, _Slice | None]
) -> bool:
    """What the sweep has not come across was deleted, merged away, or has appeared behind it; whether all was asked."""
    going, slice_ = sweep
    after: str | None = None
    while True:
        with parts.store.reading() as tx:
            people = stream in parts.source.people
            missing = sweeps.unswept(tx, parts.name, stream, going.number, after, _CHUNK, people=people)
        if not missing:
            return True
        _fetch(parts, lease, stream, missing, report)
        after = missing[-1]
        if _is_over(parts, slice_):
            return False


def _is_over(parts: Parts, slice_: _Slice | None) -> bool:
    """Whether its time is used up, or something has come up meanwhile that nobody may wait for."""
    if slice_ is None:
        return False
    now = parts.clock()
    return now >= slice_.until or (now >= slice_.began + _SHORTEST_SLICE and bool(_waiting(parts) - slice_.known))


def _waiting(parts: Parts) -> frozenset[str]:
    """What of hints, writes and notices is due. What this run could not do either waits from the beginning."""
    now = parts.clock()
    with parts.store.reading() as tx:
        due = {
            "hints": bool(hints.waiting(tx, parts.name, 1, now=now)),
            "writes": bool(write_backs.pending(tx, parts.name, now, order=(), limit=1)),
            "notices": outbox.anything_due(tx, parts.name, now),
        }
    return frozenset(name for name, is_due in due.items() if is_due)
