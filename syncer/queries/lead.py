"""One lead as its page shows it: who it is, where it stands and who says so, its ledger with the thresholds, what it
lacks, and what people and sales said of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from syncer import stages
from syncer.app import App
from syncer.errors import NotFound
from syncer.handoff.text import web_link
from syncer.model import Cause, HeldBy, Ignored, Lead, Override, Value
from syncer.planning import TO_ASK, belongs_to_others
from syncer.queries import replay
from syncer.queries.explaining import Explanation, ahead, explain_one, explain_one_then, kept_by, not_given
from syncer.queries.timelines import Handed, Place, Timeline, handed, timeline
from syncer.rules import Comparison, Gate, Measure, Model
from syncer.settings.showing import condition_text
from syncer.store import decisions, erasure, mirror, timelines
from syncer.store.records import Forgotten

Silence = Literal["deleted", "erased", "forgotten", "unknown_then", "no_model"]
"""Why a lead has no score: it is gone from its CRM, erased there, forgotten on request; it was not there at that time;
no model in the project is for it."""

_WHY: Mapping[str, Silence] = {"SY085": "deleted", "SY087": "no_model", "SY102": "unknown_then"}
_COMPANY = ("company", "company.name", "company_name")  # as models name the field, the likeliest first


@dataclass(frozen=True, slots=True)
class RecordShown:
    key: str  # connection/object/id
    connection: str
    url: str | None  # its page in the CRM: http or https
    modified_at: datetime
    stage: str | None  # what our field in the CRM shows
    protected: bool  # its stage belongs to others


@dataclass(frozen=True, slots=True)
class Who:
    called: str  # never empty
    connection: str  # whose runs decide it
    name: str | None = None
    email: str | None = None
    owner: str | None = None
    company: str | None = None
    records: tuple[RecordShown, ...] = ()


@dataclass(frozen=True, slots=True)
class WordShown:
    """A person's word on the stage."""

    stage: str
    author: str
    reason: str
    source: str
    since: datetime
    until: datetime | None
    is_open: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the lead stands."""

    stage: str
    automatic: str  # where the rules alone would have it
    since: datetime
    held_by: HeldBy
    cause: Cause
    episode: int
    veto: str | None
    word: WordShown | None  # that holds it


@dataclass(frozen=True, slots=True)
class GateShown:
    """A threshold on the way to a stage, and how the lead does there."""

    stage: str
    measure: Measure
    comparison: Comparison
    threshold_hundredths: int
    have_hundredths: int
    passed: bool


@dataclass(frozen=True, slots=True)
class StageShown:
    name: str
    reached: bool  # by the points alone: its gates and all before it are passed, or a shortcut is
    by_shortcut: bool
    gates: tuple[GateShown, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the ledger; it takes the sum of its dimension from `start` to `end`."""

    rule: str
    name: str
    hundredths: int
    start_hundredths: int
    end_hundredths: int
    evidence: str
    where: str  # "models/b2b.yml:34"


@dataclass(frozen=True, slots=True)
class DimensionShown:
    """The lines of one dimension, which add up to it; it takes the total from `start` to `end`."""

    name: str
    hundredths: int
    start_hundredths: int
    end_hundredths: int
    lines: tuple[Line, ...]
    gates: tuple[GateShown, ...]  # thresholds on this dimension


@dataclass(frozen=True, slots=True)
class Lacking:
    """A rule that gave nothing, because what it asks for is not there."""

    rule: str
    name: str
    dimension: str
    hundredths: int
    why: str
    where: str
    to_ask: bool  # sales can find it out by asking


@dataclass(frozen=True, slots=True)
class Scored:
    model: str
    total_hundredths: int
    dimensions: tuple[DimensionShown, ...]
    total_gates: tuple[GateShown, ...]  # thresholds on the total
    low_hundredths: int  # all sums and thresholds lie between these two
    high_hundredths: int
    stages: tuple[StageShown, ...]  # coldest first, without the coldest: that one takes nothing
    vetoes: tuple[str, ...]
    next_stage: str | None  # None: there is none above, or the rules do not know the stage it is in
    missing: tuple[GateShown, ...]  # the gates still shut on the way there
    or_any: tuple[str, ...]  # or: any of these does instead of the next stage's own gates
    skip_gates: bool  # and instead of those before
    kept_by: str | None  # who alone moves it down from a stage that its points no longer reach (explaining.kept_by)
    lacking: tuple[Lacking, ...]
    ignored: tuple[Ignored, ...]


@dataclass(frozen=True, slots=True)
class LeadShown:
    lead: int
    as_of: datetime
    past: bool  # not as of now
    who: Who
    stages: tuple[str, ...]  # all there are, coldest first
    timeline: Timeline
    silence: Silence | None = None  # why there is no score
    silence_told: str = ""  # the same in words
    forgotten_at: datetime | None = None
    forgotten_by: str | None = None
    rules_unknown: str = ""  # why other rules stand in for those of then
    rules_unused: bool = False  # those in the files have changed since the last run
    standing: Standing | None = None  # None: not decided by then
    score: Scored | None = None
    words: tuple[WordShown, ...] = ()  # the latest first
    pending: Literal["word", "release", ""] = ""  # what people said last, and the next run is to obey
    complaints: tuple[str, ...] = ()  # what of its records makes no sense
    handoffs: tuple[Handed, ...] = ()  # the latest first


def show(app: App, lead: int, at: datetime | None = None) -> LeadShown:
    """The lead as of then, by the rules in force then; None: now. NotFound (SY067) where there is no such lead."""
    with app.store.reading() as tx:
        home = mirror.home(tx, lead)
        erased, by = timelines.is_erased(tx, lead), erasure.forgotten(tx, lead)
    if erased:
        return _without_person(app, lead, home, by)
    called = f"lead {lead}"
    try:
        found = explain_one(app, lead, called) if at is None else explain_one_then(app, lead, called, at)
    except NotFound as failure:
        if failure.code not in _WHY:
            raise
        return _unscored(app, lead, home, at, failure)
    return _scored(app, found, home)


def _without_person(app: App, lead: int, home: str, by: Forgotten | None) -> LeadShown:
    """Its moves are all that stays; nothing that says who it was, not even the keys of its records."""
    return LeadShown(
        lead=lead,
        as_of=app.clock(),
        past=False,
        who=Who(str(lead), home),
        stages=app.project.stages,
        timeline=timeline(app, lead, moves_only=True),
        silence="erased" if by is None else "forgotten",
        forgotten_at=by.at if by else None,
        forgotten_by=by.by if by else None,
    )


def _unscored(app: App, lead_id: int, home: str, at: datetime | None, failure: NotFound) -> LeadShown:
    now = app.clock()
    lead = mirror.lead(app.store, lead_id, now, deeds=False)
    with app.store.reading() as tx:
        said, handoffs = decisions.overrides(tx, lead_id), handed(tx, lead_id)
    known = at is None
    return LeadShown(
        lead=lead_id,
        as_of=at or now,
        past=at is not None,
        who=_who(lead, home),
        stages=app.project.stages,
        timeline=timeline(app, lead_id, by=at),
        silence=_WHY[failure.code],
        silence_told=failure.message,
        standing=_standing(lead, now) if known else None,
        words=_words(said, now) if known else (),
        handoffs=handoffs if known else (),
    )


def _scored(app: App, found: Explanation, home: str) -> LeadShown:
    lead, as_of = found.lead, found.score.as_of
    with app.store.reading() as tx:
        handoffs = handed(tx, lead.id)
    return LeadShown(
        lead=lead.id,
        as_of=as_of,
        past=found.past,
        who=_who(lead, home),
        stages=app.project.stages,
        timeline=timeline(app, lead.id, by=as_of if found.past else None),
        rules_unknown=found.rules_unknown,
        rules_unused=found.rules_unused,
        standing=_standing(lead, as_of),
        score=_score(found),
        words=_words(found.overrides, as_of),
        pending=_pending(lead, as_of),
        complaints=found.complaints,
        handoffs=tuple(_known_by(each, as_of) for each in handoffs if each.at <= as_of) if found.past else handoffs,
    )


def _known_by(each: Handed, at: datetime) -> Handed:
    """The hand-off with what had come of it by then. It is due so long after it was told."""

    def by(moment: datetime | None) -> datetime | None:
        return moment if moment is not None and moment <= at else None

    return replace(
        each,
        told_at=by(each.told_at),
        due_at=each.due_at if each.told_at is None or by(each.told_at) else None,
        touched_at=by(each.touched_at),
        touched_by=each.touched_by if by(each.touched_at) else None,
        closed_at=by(each.closed_at),
        messages=tuple(message for message in each.messages if by(message.sent_at)),
        answers=tuple(answer for answer in each.answers if by(answer.at)),
    )


def _who(lead: Lead, home: str) -> Who:
    if not lead.records:
        return Who(str(lead.id), home)
    first = lead.records[0]
    return Who(
        called=first.name or first.email or str(first.key),
        connection=home,
        name=first.name,
        email=first.email,
        owner=first.owner,
        company=_company([*(record.fields for record in lead.records), lead.signals.fields]),
        records=tuple(
            RecordShown(
                str(each.key), each.key.connection, web_link(each.url), each.modified_at, each.stage, each.protected
            )
            for each in lead.records
        ),
    )


def _company(known: list[Mapping[str, Value]]) -> str | None:
    found = (fields.get(name) for fields in known for name in _COMPANY)
    return next((str(each) for each in found if each not in (None, "")), None)


def _word(word: Override, at: datetime) -> WordShown:
    return WordShown(
        word.stage, word.author, word.reason, word.source, word.since, word.until, is_open=word.holds(at)
    )  # fmt: skip


def _words(said: Sequence[Override], at: datetime) -> tuple[WordShown, ...]:
    return tuple(_word(each, at) for each in reversed(said))


def _standing(lead: Lead, at: datetime) -> Standing | None:
    state, word = lead.state.stage, lead.state.override
    if state is None:
        return None
    held = _word(word, at) if word is not None and state.held_by == "person" else None
    names = (state.stage, state.automatic, state.since, state.held_by, state.cause, state.episode)
    return Standing(*names, veto=lead.state.veto, word=held)


def _pending(lead: Lead, at: datetime) -> Literal["word", "release", ""]:
    """A stage that belongs to others stays theirs, whatever anybody says."""
    state, word = lead.state.stage, lead.state.override
    speaks = word is not None and word.holds(at)
    if belongs_to_others(lead):
        return ""
    if word is not None and speaks and (state is None or state.held_by != "person" or state.stage != word.stage):
        return "word"
    return "release" if state is not None and state.held_by == "person" and not speaks else ""


def _score(found: Explanation) -> Scored:
    ladder = tuple(_ladder(found))
    gates = [gate for stage in ladder for gate in stage.gates]
    dimensions = tuple(_dimensions(found, gates))
    following = ahead(found)
    sums = [sum_ for each in dimensions for sum_ in (each.start_hundredths, each.end_hundredths)]
    sums += [end for each in dimensions for line in each.lines for end in (line.start_hundredths, line.end_hundredths)]
    sums += [gate.threshold_hundredths for gate in gates]
    return Scored(
        model=found.score.model,
        total_hundredths=found.score.total,
        dimensions=dimensions,
        total_gates=tuple(gate for gate in gates if gate.measure == "total"),
        low_hundredths=min(0, *sums),
        high_hundredths=max(100, *sums),
        stages=ladder,
        vetoes=tuple(veto.name for veto in found.marks.vetoes),
        next_stage=following.stage if following else None,
        missing=tuple(_gate(found, following.stage, gate) for gate in following.gates) if following else (),
        or_any=tuple(map(condition_text, following.or_any)) if following else (),
        skip_gates=following.skip_gates if following else False,
        kept_by=kept_by(found),
        lacking=tuple(
            Lacking(
                each.rule.id, each.rule.name, each.dimension, each.rule.points, each.why, each.rule.where,
                to_ask=each.dimension in TO_ASK,
            )
            for each in not_given(found)
        ),
        ignored=found.score.ignored,
    )  # fmt: skip


def _dimensions(found: Explanation, gates: list[GateShown]) -> Iterator[DimensionShown]:
    total = 0
    for name, points in found.score.dimensions.items():
        lines, sum_ = [], 0
        for each in (line for line in found.score.contributions if line.dimension == name):
            ends = (sum_, sum_ := sum_ + each.hundredths)
            lines.append(Line(each.rule, each.name, each.hundredths, *ends, each.evidence, each.where))
        its_gates = tuple(gate for gate in gates if gate.measure == name)
        yield DimensionShown(name, points, total, total + points, tuple(lines), its_gates)
        total += points


def _ladder(found: Explanation) -> Iterator[StageShown]:
    """Up to where the rules have the lead now, the gates are those that it must pass to stay there."""
    model, marks = found.model, found.marks
    stood, open_way = _rank(found.lead, model), True
    for rank, stage in enumerate(model.stages[1:], start=1):
        gates = stages.gates_to_stay(stage) if rank <= stood else stage.enter
        shortcut = stage.name in marks.shortcuts
        passed = all(stages.passes(gate, marks) for gate in gates)
        open_way = open_way and (shortcut or passed)
        reached = open_way or (shortcut and stage.skip_gates)
        yield StageShown(
            stage.name, reached, shortcut and not passed, tuple(_gate(found, stage.name, each) for each in gates)
        )


def _rank(lead: Lead, model: Model) -> int:
    """0 where it was not decided, or by other rules, which knew other stages."""
    state = lead.state.stage
    known = {stage.name: rank for rank, stage in enumerate(model.stages)}
    return known.get(state.automatic, 0) if state is not None else 0


def _gate(found: Explanation, stage: str, gate: Gate) -> GateShown:
    have = found.score.total if gate.measure == "total" else found.score.dimensions.get(gate.measure, 0)
    passed = stages.passes(gate, found.marks)
    return GateShown(stage, gate.measure, gate.comparison, gate.threshold, have, passed)


def timeline_of(app: App, lead: int, before: Place | None) -> Timeline:
    """A further part of what happened; of who was erased, the moves alone. NotFound (SY067)."""
    return timeline(app, lead, before=before, moves_only=not is_known(app, lead))


def is_known(app: App, lead: int) -> bool:
    """Whether anything but its moves is: it was not erased. NotFound (SY067) where there is no such lead."""
    with app.store.reading() as tx:
        mirror.home(tx, lead)
        return not timelines.is_erased(tx, lead)


def moment_of(app: App, text: str | None) -> datetime | None:
    """The time that somebody asks about, of a day its end; None: now. ConfigError for what is none, or lies ahead."""
    return None if text is None else replay.moment("at", text, app.clock(), app.project.timezone, ends=True)
