"""What sales answers, wherever it does: kept once, and for a lead that is not ready a person's word on its stage."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection

from syncer.handoff import clock
from syncer.handoff.text import clipped, one_line
from syncer.history import Version, true_since
from syncer.model import Answer, Handoff, Override, Value, somebody_in
from syncer.rules import FieldTest
from syncer.scoring.predicates import predicate
from syncer.scoring.values import is_set, text
from syncer.settings import Answers, HandoffSettings, OnReject
from syncer.store import Lease, Store, answers, decisions, words
from syncer.store.clocks import Touch
from syncer.store.histories import versions_of

_AT_ONCE = 200  # hand-offs that are looked at in one transaction
_LONGEST_REASON = 300
_NO_REASON = "not ready"


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of an answer. taken: it is kept · already: it, or a rejection, which is final, was given before ·
    over: the lead has left the stage · unknown: there is no such hand-off."""

    result: Literal["taken", "already", "over", "unknown"]
    handoff: Handoff | None = None
    earlier: Answer | None = None  # of "already": the one that stands
    goes_to: str | None = None  # of "taken": the stage to which the lead goes back in the next run


def take(tx: Connection, key: str, answer: Answer, settings: HandoffSettings) -> Taken:
    """Keep the answer to the hand-off of that key, unless it has been given. Of several at once exactly one is taken.

    A rejection ends what was still to be told. An acceptance ends nothing but reminders: who else is told of the lead,
    its task and its owner in the CRM are wanted all the same.
    """
    asked = answers.lock(tx, key)
    outcome = _judged(tx, asked, answer)
    if asked is None or outcome.result != "taken":
        return outcome
    kept = replace(answer, author=one_line(answer.author), reason=clipped(answer.reason, _LONGEST_REASON))
    touch = Touch(kept.at, "accepted" if kept.accepted else "rejected")
    clock.answered(tx, asked.handoff, touch, settings.clock)
    answers.keep(tx, key, kept)
    goes_to = None if kept.accepted else _reject(tx, asked, kept, settings.on_reject)
    return replace(outcome, goes_to=goes_to)


def foreseen(tx: Connection, key: str, answer: Answer) -> Taken:
    """What `take` would make of it now; nothing is kept, and it is not said where the lead would go."""
    return _judged(tx, answers.look(tx, key), answer)


def _judged(tx: Connection, asked: answers.Asked | None, answer: Answer) -> Taken:
    """What the answer comes to, as things stand; "taken": it is to be kept."""
    if asked is None:
        return Taken("unknown")
    key = asked.handoff.key
    earlier = _standing(answers.of(tx, [key]).get(key, ()), answer)
    if earlier is not None:
        return Taken("already", asked.handoff, earlier)
    return Taken("over" if asked.is_over else "taken", asked.handoff)


def _standing(earlier: Sequence[Answer], answer: Answer) -> Answer | None:
    """The one that says so already, or that nothing can be said against any more."""
    return next((each for each in reversed(earlier) if not each.accepted or answer.accepted), None)


def _reject(tx: Connection, asked: answers.Asked, answer: Answer, on_reject: OnReject | None) -> str | None:
    """Where the lead goes; None: it stays, or somebody has said later than this where it belongs."""
    why = f"rejected by {answer.author}{f': {answer.reason}' if answer.reason else ''}"
    answers.untell(tx, asked.handoff.key, why)
    if on_reject is None:
        return None
    latest = words.newest(tx, [asked.lead], answer.at).get(asked.lead)
    if latest is not None and latest.since > answer.at:
        return None
    until = None if on_reject.hold is None else answer.at + on_reject.hold
    reason = answer.reason or _NO_REASON
    decisions.set_override(tx, asked.lead, Override(on_reject.to, answer.author, reason, "answer", answer.at, until))
    return on_reject.to


def hear(store: Store, lease: Lease, connection: str, settings: HandoffSettings, now: datetime) -> None:
    """Take what sales has answered in the CRM: in the field for it of a lead that is still in the stage, changed since
    the lead was handed over. What stood there before is an answer to nothing, and so is what stands there of a lead
    that was handed over before the field was read.

    Only leads are looked at that the connection decides and whose records have changed; in whatever CRM they are.
    """
    field = settings.answers.field
    if field is None:
        return
    with store.reading() as tx:
        asked = answers.may_have_answers(tx, connection)
    for first in range(0, len(asked), _AT_ONCE):
        with store.reading() as tx:
            heard = list(_heard(tx, asked[first : first + _AT_ONCE], _Reading(field, settings.answers), now))
        if heard:
            with store.writing(lease) as tx:
                for key, answer in heard:
                    take(tx, key, answer, settings)


@dataclass(frozen=True, slots=True)
class _Reading:
    """How an answer stands in a record."""

    field: str
    wanted: Answers

    def verdict(self, fields: Mapping[str, Value]) -> bool | None:
        """Whether the lead is accepted; None: the field says neither. Texts are compared as the rules do."""
        said = fields.get(self.field)
        for values, accepted in ((self.wanted.accepted, True), (self.wanted.rejected, False)):
            if predicate(FieldTest(self.field, "any_of", values))(said):
                return accepted
        return None

    def reason(self, fields: Mapping[str, Value]) -> str:
        return text(fields.get(self.wanted.reason_field)) if self.wanted.reason_field else ""

    def since(self, versions: Sequence[Version], names: Collection[str]) -> datetime | None:
        """When the record came to say what it says; None: it does not. A new reason is a new answer. Of fields that are
        none of these `names` it is not known since when they say it."""
        shown = versions[-1]
        if not shown.live or self.field not in names or self.verdict(shown.fields) is None:
            return None
        said = {name: shown.fields.get(name) for name in self.wanted.fields if name in names}
        return max(true_since(name, value, versions) for name, value in said.items() if is_set(value))


def _heard(
    tx: Connection, asked: Sequence[answers.Open], reading: _Reading, now: datetime
) -> Iterator[tuple[str, Answer]]:
    """(key of a hand-off, what its lead's records answer to it), where that has not been answered before."""
    shown, earlier = versions_of(tx, [each.lead for each in asked]), answers.of(tx, [each.key for each in asked])
    found = [(each, spoken) for each in asked if (spoken := _latest(each, shown.get(each.lead, ()), reading))]
    modified = answers.modified(tx, [version.record for _, (_, version) in found])
    for each, (since, version) in found:
        at = max(each.at, min(since, modified.get(version.record, since), now))
        answer = _answer(version, at, reading)
        if _standing(earlier.get(each.key, ()), answer) is None:
            yield each.key, answer


def _latest(
    asked: answers.Open, records: Iterable[Sequence[Version]], reading: _Reading
) -> tuple[datetime, Version] | None:
    """(since when, the record) that has come to answer last, after the lead was handed over."""
    named = ((reading.since(versions, asked.answered_in), versions[-1]) for versions in records)
    said = [(since, version) for since, version in named if since is not None]
    news = [(since, version) for since, version in said if since > asked.at]
    return max(news, key=lambda each: (each[0], each[1].record), default=None)


def _answer(version: Version, at: datetime, reading: _Reading) -> Answer:
    """A CRM does not tell who has filled the field."""
    accepted = bool(reading.verdict(version.fields))
    reason = "" if accepted else reading.reason(version.fields)
    return Answer(accepted, somebody_in(version.record.connection), at, "field", reason)
