"""The words of the trade, as frozen values.

Times are aware and in UTC; points are counted in hundredths, as integers (1234 is 12.34 points).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Literal, NamedTuple, NewType, TypeVar, dataclass_transform

T = TypeVar("T")

Value = str | int | float | bool | None
"""What a CRM's field may hold. None, absent and "" all mean: not set."""

Cursor = NewType("Cursor", str)
"""Where a pull stands. Opaque: only the connector that made it reads it."""

Cause = Literal["baseline", "activity", "profile", "fading", "model", "override", "merge"]
"""Why a score or a stage moved; `baseline` is the first scoring of a base, which alerts nobody."""

HeldBy = Literal["rules", "person", "protected", "veto"]
"""Who decides a lead's stage now: the rules, a person's override, another team's stage, or a veto rule."""

NO_FIELDS: Mapping[str, Value] = MappingProxyType({})


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def _made_by_the_million(kind: type[T]) -> type[T]:
    """A dataclass whose values the type checker alone freezes: when Python does it, making one takes six times as long,
    which a first load feels."""
    return dataclass(slots=True)(kind)


class RecordKey(NamedTuple):
    """Names one object in one CRM: connection, object ("contacts"), id as text."""

    connection: str
    object: str
    id: str

    def __str__(self) -> str:
        return "/".join(self)


@dataclass(frozen=True, slots=True)
class Manual:
    """A stage chosen by hand, in a field or a column that people keep for it: stands over the rules until it is
    emptied."""

    stage: str
    reason: str = ""
    author: str | None = None  # None: the CRM does not tell
    until: datetime | None = None
    cleared: bool = False  # as the store has it: the rules were given the lead back, so it says nothing until rewritten

    def is_said(self, at: datetime) -> bool:
        """Whether it speaks then, where nobody has said anything since."""
        return not self.cleared and (self.until is None or self.until > at)


def somebody_in(connection: str) -> str:
    """Who did what a CRM does not tell by whom."""
    return f"somebody in {connection}"


@_made_by_the_million
class Record:
    """One person as one CRM object shows them."""

    key: RecordKey
    modified_at: datetime  # the CRM's own clock
    email: str | None = None
    fields: Mapping[str, Value] = field(default_factory=lambda: NO_FIELDS)  # by the names the model uses
    stage: str | None = None  # what our stage field shows: a stage's name, or whatever somebody put there
    stage_by: str | None = None  # who set it last, once known: see Destination.stage_authors
    lifecycle: str | None = None  # what the CRM's own stage field shows, raw
    lifecycle_stage: str | None = None  # the stage of ours that `lifecycle` stands for, where the config maps one
    protected: bool = False  # the lead's stage belongs to others (customer, opportunity ...)
    owner: str | None = None  # the owner's e-mail, or id where no e-mail is known
    name: str | None = None  # the person's name, for messages
    url: str | None = None  # the record's page in the CRM, for messages
    deleted: bool = False
    merged_into: RecordKey | None = None  # the record of the same CRM that absorbed it or that it became
    erased: bool = False  # deleted for good, out of the recycle bin too: nothing personal of it may be kept
    manual: Manual | None = None  # the stage that people have chosen in a field kept for it; None: the field is empty


@_made_by_the_million
class Activity:
    """Something a person did, or that was done with them. The same (connection, id) is the same activity."""

    connection: str
    id: str  # unique within the connection: "calls/123"
    kind: str  # "email_open", "meeting", "page_view" ...
    at: datetime
    records: tuple[RecordKey, ...]  # everyone it belongs to now; replaces what was known before
    fields: Mapping[str, Value] = field(default_factory=lambda: NO_FIELDS)
    deleted: bool = False
    modified_at: datetime | None = None  # the CRM's own clock, where it tells; see Wanted.known


@dataclass(frozen=True, slots=True)
class Reading:
    """A counter's value as seen once: "7 opens so far, the last on 3 November"."""

    record: RecordKey
    kind: str  # the kind of activity it counts
    value: int
    last_at: datetime | None  # when the CRM says the last one happened
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that could not be read or written, and why: data, not an exception."""

    id: str  # the record's id as the CRM writes it
    reason: str
    retry: bool = False  # True where the same write may succeed later without anybody's help


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a pull. `cursor` is true once the whole page is stored; None: the page is no place in a stream."""

    cursor: Cursor | None
    records: tuple[Record, ...] = ()
    activities: tuple[Activity, ...] = ()
    readings: tuple[Reading, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    expected: int | None = None  # how many records and activities the whole pull will bring, where known


@dataclass(frozen=True, slots=True)
class ActivitySignal:
    """An activity as the rules see it. `observed` says that it was inferred from a counter."""

    kind: str
    at: datetime
    fields: Mapping[str, Value] = field(default_factory=lambda: NO_FIELDS)
    observed: bool = False
    seen_at: datetime | None = None  # when syncer first saw it as it is now; no rule looks at this


@dataclass(frozen=True, slots=True)
class Signals:
    """Everything known of one lead that the rules may look at."""

    lead: int
    fields: Mapping[str, Value] = field(default_factory=lambda: NO_FIELDS)
    activities: tuple[ActivitySignal, ...] = ()
    readings: tuple[Reading, ...] = ()  # by record and kind, oldest first


@dataclass(frozen=True, slots=True)
class Contribution:
    """One line of the ledger. Caps, maxima and minima that bite are lines of their own."""

    rule: str  # the rule's id; "fit.max" for a dimension's bound
    name: str  # as a salesperson reads it
    dimension: str
    hundredths: int
    evidence: str
    where: str  # "models/b2b.yml:34", the line that gave the points


@dataclass(frozen=True, slots=True)
class Ignored:
    """Activities of one lead that a rule under `ignore` has voided: they count as if they had not happened."""

    rule: str  # the id of the ignoring rule
    name: str
    evidence: str  # "3 × email_click (7 Nov 2026)"
    where: str


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a lead's facts meet in its model's rules, packed. Derived from its signals: droppable, rebuilt at will."""

    model: str  # the version of the model that scores the lead
    bits: bytes
    hits: bytes


@dataclass(frozen=True, slots=True)
class Score:
    """What the rules say of one lead at one time; the contributions add up to each dimension, these to the total."""

    lead: int
    as_of: datetime
    model: str  # the model's version: name@hash
    dimensions: Mapping[str, int]  # hundredths
    total: int  # hundredths
    contributions: tuple[Contribution, ...] = ()
    ignored: tuple[Ignored, ...] = ()


@dataclass(frozen=True, slots=True)
class StageState:
    """Where a lead stands. `automatic` is where the rules alone would have it."""

    stage: str
    automatic: str
    since: datetime
    episode: int = 0  # how many times the lead has qualified (entered the hand-off stage)
    held_by: HeldBy = "rules"
    cause: Cause = "baseline"


@dataclass(frozen=True, slots=True)
class Override:
    """A person's word on a lead's stage; it stands over the rules until it ends."""

    stage: str
    author: str
    reason: str
    source: str  # "crm": our stage field was edited; "field": Record.manual; "command"; "answer": of sales
    since: datetime
    until: datetime | None = None

    def holds(self, at: datetime) -> bool:
        """Whether it has not ended by then."""
        return self.until is None or self.until > at


@dataclass(frozen=True, slots=True)
class Standing:
    """What a CRM shows, or shall show, of a lead. None: not shown."""

    score: int | None = None  # hundredths
    stage: str | None = None
    reasons: str | None = None
    lifecycle: str | None = None  # the CRM's own stage field, raw; only ever filled with what the CRM showed


@dataclass(frozen=True, slots=True)
class WriteState:
    """What we know of one record's write-back: what the CRM confirmed last, and what is still to be written."""

    confirmed: Standing  # an all-None Standing: never written, nothing adopted
    pending: Standing | None = None  # decided, not yet confirmed (it may have landed: a crash can hide the answer)
    confirmed_modified_at: datetime | None = None  # the record's modified_at in the CRM's answer
    seen: bool = False  # the lead was decided with this record before, so a new stage in the CRM is somebody's edit


@dataclass(frozen=True, slots=True)
class LeadState:
    """What was decided of a lead last, and what touched it since."""

    stage: StageState | None = None  # None: never decided
    total: int | None = None  # hundredths
    dimensions: Mapping[str, int] = field(default_factory=dict)  # hundredths
    model: str | None = None
    scored_at: datetime | None = None
    next_look: datetime | None = None
    touched: frozenset[Cause] = frozenset()  # since the last decision; see store.touching.BITS
    override: Override | None = None  # the one in force (may have ended: look at `until`)
    veto: str | None = None


@dataclass(frozen=True, slots=True)
class Lead:
    """One person: the records that show them, the newest first, what the rules may see, and what stands so far."""

    id: int
    revision: int  # grows whenever anything known of the lead changes
    records: tuple[Record, ...]
    signals: Signals
    state: LeadState
    writes: Mapping[RecordKey, WriteState]
    footprint: Footprint | None = None  # with it, `signals` has the fields alone


@dataclass(frozen=True, slots=True)
class Decision:
    """What the rules and the people say of a lead now, beside what stood before."""

    lead: int
    revision: int  # of the lead when it was decided; another one now means: stale
    score: Score
    before: StageState | None  # None: never decided before
    after: StageState
    previous_total: int | None
    next_look: datetime | None  # the earliest time at which fading may matter; None: never
    override: Override | None = None  # in force; a new one (found in the CRM) is kept with the decision
    veto: str | None = None  # the veto rule that holds the lead, by its name

    @property
    def moved(self) -> bool:
        return self.before is not None and self.before.stage != self.after.stage


@dataclass(frozen=True, slots=True)
class Change:
    """One intended write to one record; absolute values, so doing it twice does no harm."""

    record: RecordKey
    before: Standing
    after: Standing
    cause: Cause

    @property
    def moves_stage(self) -> bool:
        return self.after.stage is not None and self.after.stage != self.before.stage


@dataclass(frozen=True, slots=True)
class Written:
    """The CRM's answer to one change: what it shows now. `refused` says why it did not take the stage, ours or the one
    of its own that stands for it."""

    record: RecordKey
    modified_at: datetime
    standing: Standing
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """What somebody in sales shall do, as the CRM's own task. The same key is the same task, however often it is asked
    for."""

    key: str  # goes into the task as its marker
    record: RecordKey
    subject: str
    body: str  # plain text
    due_at: datetime
    owner: str | None = None  # e-mail of who shall have it; None: whoever owns the record
    fallback_owner: str | None = None  # e-mail; where neither can have it: missing, or has left


@dataclass(frozen=True, slots=True)
class Assignment:
    """Whom a record shall belong to in its CRM from now on."""

    record: RecordKey
    to: str  # an e-mail address; of a queue, its name
    queue: bool = False
    before: str | None = None  # `Record.owner` when this was decided: whom somebody else has put there since stays


Assigned = Literal["assigned", "kept"]
"""kept: somebody has given the record to somebody else meanwhile, and it was left so."""


class Did(NamedTuple):
    """One thing that a lead did, as a message tells it."""

    kind: str  # of activity
    at: datetime


@dataclass(frozen=True, slots=True)
class Handoff:
    """One qualification of one lead: sales is told of it once. `key` is the same in every replay."""

    key: str
    lead: int
    record: RecordKey
    episode: int
    stage: str
    total: int  # hundredths
    at: datetime
    email: str | None
    name: str | None
    owner: str | None
    url: str | None
    fields: Mapping[str, Value] = field(default_factory=lambda: NO_FIELDS)  # for routing
    reasons: tuple[str, ...] = ()  # the strongest first, readable
    caused_at: datetime | None = None  # when the activity happened that made the lead ready; None: it was none
    did: tuple[Did, ...] = ()  # the last things that give points, the newest first
    missing: tuple[str, ...] = ()  # what nobody knows yet of need and readiness, readable, what weighs most first
    assigned_to: str | None = None  # the e-mail address of who shall act; None: nobody in particular
    answered_in: tuple[str, ...] = ()  # fields of the lead that were read by then, and that sales may answer in
    route: str | None = None  # where the first route that fitted leads; "": none did; None: it was not kept

    @property
    def for_whom(self) -> str | None:
        """Who shall act, in lower case: whom it was given to, else the record's owner."""
        shall = self.assigned_to or self.owner
        return shall.lower() if shall else None


AnswerSource = Literal["command", "field", "link", "page", "slack"]
"""Where sales has answered; field: in the CRM."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What sales says of a lead that was handed over: taken, or not ready."""

    accepted: bool
    author: str
    at: datetime
    source: AnswerSource
    reason: str = ""  # in words; may be empty


@dataclass(frozen=True, slots=True)
class Told:
    """The last hand-off of a lead that sales heard, or is about to hear, of."""

    key: str
    stage: str
    at: datetime


@dataclass(frozen=True, slots=True)
class LeadPlan:
    """The plan for one lead: what is decided, what will be written, who hears of it."""

    decision: Decision
    changes: tuple[Change, ...] = ()
    handoff: Handoff | None = None
    resumes: str | None = None  # the key of an earlier hand-off that goes on, so that nobody is told anew


NoticeState = Literal["waiting", "ready", "sending", "uncertain", "sent", "dead", "dropped"]

NoticeKind = Literal["handoff", "reminder", "escalation", "assignment"]
"""What a message says: the lead is ready, nobody has acted yet, or nobody has acted after the reminder either. An
assignment tells nobody: it gives the record to somebody in the CRM."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One message about one hand-off to one recipient over one channel. `key` is deterministic."""

    key: str
    handoff: Handoff
    channel: str  # the notifier's name in the project file
    recipient: str
    state: NoticeState = "waiting"  # for the CRM to confirm the stage, at most until `not_before`
    attempts: int = 0
    not_before: datetime | None = None
    error: str | None = None
    kind: NoticeKind = "handoff"
    unsure: bool = False  # an earlier attempt may have arrived: the next one is marked as a possible repeat
    digest: str | None = None  # names those that go, or went, out together in one message; None: by itself


@dataclass(frozen=True, slots=True)
class Transition:
    """One move of one lead, as it happened; never changed afterwards."""

    lead: int
    at: datetime
    before: str | None
    after: str
    cause: Cause
    total: int  # hundredths
    model: str
    episode: int
    run: int | None


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one connection: what happened, counted."""

    id: int
    connection: str
    started_at: datetime
    finished_at: datetime | None = None
    outcome: str = "running"  # ok | partial | failed | waiting | stopped | running
    counts: Mapping[str, int] = field(default_factory=dict)
    error: str | None = None
