"""What was known of a lead at any time: versions of its records, activities with the time in which they were believed,
readings. Pure. `signals_at` turns it into the signals that the rules saw then.

"Known since" is when syncer stored a fact; for facts that were there before syncer looked, it is when the CRM says
they were so. So a replay never sees what was learned later, but for one thing: what an activity from before that first
look said meanwhile (its fields, its people) nobody knows, so it is taken as it was then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from syncer.model import NO_FIELDS, ActivitySignal, Reading, RecordKey, Signals, Value

_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Version:
    """What one record showed from a time on, until its next version."""

    record: RecordKey
    since: datetime  # known of this lead since
    fields: Mapping[str, Value] = field(default_factory=lambda: NO_FIELDS)  # those set; the e-mail is "email"
    live: bool = True  # neither deleted nor absorbed by another record: its fields count
    counts: bool = True  # its activities count: an absorbed record's are its survivor's, a deleted one's nobody's
    joined: bool = False  # it became a record of this lead then: what it brings is a merge's doing
    true_since: datetime | None = None  # where it joined: since when it had been known before; None: `since`


@dataclass(frozen=True, slots=True)
class KnownActivity:
    """An activity as it was believed to be from `signal.seen_at` (None: since it happened) until `until`.

    Of what was believed at one time, that which ended first is what was believed then: history that is told of later
    is known since it happened, but does not change what had been known of the same activity.
    """

    id: str  # "connection/id"
    records: tuple[RecordKey, ...]  # those of its records that are the lead's
    signal: ActivitySignal
    until: datetime | None = None  # then it changed, was deleted, or was tied to somebody else


@dataclass(frozen=True, slots=True)
class History:
    """Everything that was ever known of one lead."""

    lead: int
    versions: tuple[Version, ...] = ()  # by record, the oldest first
    activities: tuple[KnownActivity, ...] = ()  # by (time, id); of one activity the oldest belief first
    readings: tuple[Reading, ...] = ()  # by record and kind, the oldest first


def signals_at(history: History, as_of: datetime) -> Signals:
    """What the rules could see of the lead then."""
    shown = versions_at(history, as_of)
    counting = {record for record, versions in shown.items() if versions[-1].counts}
    believed = [each for each in _believed(history, as_of) if not counting.isdisjoint(each.records)]
    return Signals(
        lead=history.lead,
        fields=merged_fields(shown.values()),
        activities=tuple(each.signal for each in sorted(believed, key=lambda each: (each.signal.at, each.id))),
        readings=tuple(each for each in history.readings if each.seen_at <= as_of and each.record in counting),
    )


def versions_at(history: History, as_of: datetime) -> dict[RecordKey, list[Version]]:
    """Record -> its versions known by then, the oldest first; records not known yet are absent."""
    shown: dict[RecordKey, list[Version]] = {}
    for version in history.versions:
        if version.since <= as_of:
            shown.setdefault(version.record, []).append(version)
    return shown


def merged_fields(records: Iterable[Sequence[Version]]) -> dict[str, Value]:
    """The fields of all live records; where two disagree, the value that changed last counts.

    records: each record's versions, the oldest first.
    """
    newest: dict[str, tuple[datetime, RecordKey, Value]] = {}
    for versions in records:
        if not versions[-1].live:
            continue
        for name, value in versions[-1].fields.items():
            claim = (true_since(name, value, versions), versions[-1].record, value)
            if name not in newest or claim[:2] > newest[name][:2]:
                newest[name] = claim
    return {name: value for name, (_, _, value) in newest.items()}


def true_since(name: str, value: Value, versions: Sequence[Version]) -> datetime:
    """Since when the record's field has had the value it has now, whomever the record belonged to."""
    oldest = versions[-1]
    for version in reversed(versions):
        if not same_value(version.fields.get(name), value):
            break
        oldest = version
    return oldest.true_since or oldest.since


def same_value(one: Value, other: Value) -> bool:
    """1, 1.0 and true are three values: a rule may tell them apart."""
    return type(one) is type(other) and one == other


def _believed(history: History, as_of: datetime) -> Iterable[KnownActivity]:
    """Each activity known then, as it was believed to be."""
    told = [each for each in history.activities if (each.signal.seen_at or each.signal.at) <= as_of < _end(each)]
    return {each.id: each for each in sorted(told, key=_end, reverse=True)}.values()


def _end(activity: KnownActivity) -> datetime:
    return activity.until or _NEVER
