"""Rule tests: the files `tests/*.yml` beside the project file -> cases, checked whole against the rules they test.

Times are counted from a file's `as_of`, never from now, so that a case says the same in ten years.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from syncer.model import ActivitySignal, Reading, RecordKey, Signals, StageState, Value
from syncer.rules import ActivityTest, Condition, FieldTest, Ignore, Segment, leaves
from syncer.settings.checking import validated
from syncer.settings.environment import refuse_tokens
from syncer.settings.models import Count, Name, Section, StageName
from syncer.settings.problems import Mistake, Problem, Steps, Wrong, did_you_mean, quoted, wrong
from syncer.settings.source import Report, Source, at, entries, read_yaml
from syncer.settings.values import Duration, Points

FOLDER = "tests"
DEFAULT_AS_OF = datetime(2026, 1, 15, 12, tzinfo=UTC)
"""The time of a file without `as_of`: a Thursday noon, far from any change of clocks."""

NO_VETO = "none"
_RECORD = RecordKey("tests", "lead", "1")  # counters belong to a record; a case has one
_TOLD_ANYWAY = "email"  # written into cases so that people know whom they mean
_YEARS = range(1970, 9000)


@dataclass(frozen=True, slots=True)
class Expected:
    """One thing that must come out. `of`: ("stage",), ("veto",), ("total",), ("fit",), ("rules", a name or id)."""

    of: tuple[str, ...]
    value: str | int  # the name of a stage or veto; hundredths
    steps: Steps  # the way to it in the file
    where: str  # "tests/leads.yml:14:22"


@dataclass(frozen=True, slots=True)
class Case:
    """One lead made up, and what the rules must make of it."""

    name: str
    signals: Signals
    before: StageState | None  # where the lead stood; None: a new one
    expected: tuple[Expected, ...]
    steps: Steps
    where: str


@dataclass(frozen=True, slots=True)
class Casebook:
    """One file of cases. `doubts` are likely slips that make nothing wrong: fields that no rule looks at."""

    source: Source
    as_of: datetime
    cases: tuple[Case, ...]
    doubts: tuple[Problem, ...]


def load_cases(project: Path, segments: Sequence[Segment]) -> tuple[Casebook, ...]:
    """All rule tests beside the project file, by file name; `SettingsError` with everything that is wrong with them."""
    report, rules = Report(project.parent), _Rulebook(tuple(segments))
    read = [_casebook(path, rules, report) for path in _files(project.parent / FOLDER)]
    report.raise_if_any()
    return tuple(book for book in read if book is not None)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.y*ml") if path.suffix in (".yml", ".yaml") and path.is_file())


# The shapes of the file.


def _said(raw: Any) -> Any:
    if raw is None or raw in ([], {}):
        raise wrong("stands here without a value", "write one, or leave the key out")
    return raw


def _some(raw: Any) -> Any:
    if raw is None or raw == []:
        message = "the list is empty" if raw == [] else "stands here without a value"
        raise wrong(message, "write at least one case: - name: ...")
    return raw


def _moment(raw: Any, info: ValidationInfo) -> datetime:
    """A time of ISO 8601; one without a zone is of the model's time zone, a date is its midnight."""
    try:
        read = datetime.fromisoformat(raw.strip()) if isinstance(raw, str) else None
    except ValueError:
        read = None
    if read is None or read.year not in _YEARS:
        raise wrong(f"{quoted(raw)} is not a time", "write for example 2026-01-12 or 2026-01-12T09:30:00+01:00")
    zone = ZoneInfo((info.context or {}).get("zone", "UTC"))
    return (read if read.tzinfo else read.replace(tzinfo=zone)).astimezone(UTC)


def _field_value(raw: Any) -> Value:
    if raw is None or isinstance(raw, str | int | float):
        return raw
    raise wrong(f"a field holds text, a number, true or false, not {quoted(raw)}")


def _rules_named(raw: Any, info: ValidationInfo) -> Any:
    names: frozenset[str] = (info.context or {}).get("rules", frozenset())
    unknown = [name for name in raw if name not in names] if isinstance(raw, Mapping) and names else []
    if unknown:
        raise Wrong(
            *(Mistake((name,), f"there is no rule {quoted(name)}", did_you_mean(name, names), "SY007", at_key=True)
              for name in unknown)
        )  # fmt: skip
    return raw


def _veto_named(raw: Any, info: ValidationInfo) -> Any:
    names: frozenset[str] = (info.context or {}).get("vetoes", frozenset())
    if isinstance(raw, str) and raw != NO_VETO and raw not in names:
        help = did_you_mean(raw, {*names, NO_VETO}, known_as="veto rules")
        raise wrong(f"there is no veto rule {quoted(raw)}", help, "SY007")
    return raw


Said = BeforeValidator(_said)
_VALUE_SCHEMA = WithJsonSchema({"type": ["string", "number", "boolean", "null"]})
FieldValue = Annotated[Value, PlainValidator(_field_value), _VALUE_SCHEMA]
Moment = Annotated[datetime, PlainValidator(_moment), WithJsonSchema({"type": "string"})]
SaidStage = Annotated[StageName | None, Said]
SaidPoints = Annotated[Points | None, Said]
Veto = Annotated[str | None, BeforeValidator(_veto_named), Said]
RulePoints = Annotated[dict[str, Points], BeforeValidator(_rules_named), Said]


class TimedFile(Section):
    """Something that happened: `ago` or `at` says when."""

    activity: Name
    at: Annotated[Moment | None, Said] = None
    ago: Annotated[Duration | None, Said] = None

    @model_validator(mode="after")
    def _one_time(self) -> Self:
        if (self.at is None) == (self.ago is None):
            message = "says not when it happened" if self.at is None else "'at' and 'ago' say the same; keep one"
            raise wrong(message, "write for example ago: 3d or at: 2026-01-12", "SY010")
        return self

    def moment(self, as_of: datetime) -> datetime:
        return self.at or as_of - timedelta(milliseconds=self.ago or 0)


class ActivityFile(TimedFile):
    """Every other key is a field of the activity."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, FieldValue]

    times: Count = 1


class CounterFile(TimedFile):
    """What a CRM that only counts has shown: so many so far, and when the last one was."""

    value: Annotated[int, Field(ge=0, strict=True)]


class ExpectFile(Section):
    stage: SaidStage = None
    total: SaidPoints = None
    fit: SaidPoints = None
    engagement: SaidPoints = None
    need: SaidPoints = None
    readiness: SaidPoints = None
    rules: RulePoints = Field(default_factory=dict)
    veto: Veto = None


class CaseFile(Section):
    name: Name
    lead: dict[str, FieldValue] = Field(default_factory=dict)
    activities: tuple[ActivityFile, ...] = ()
    counters: tuple[CounterFile, ...] = ()
    was: SaidStage = None
    since: Annotated[Duration | None, Said] = None
    expect: Annotated[ExpectFile | None, Said] = None

    @model_validator(mode="after")
    def _since_when_it_was(self) -> Self:
        if self.since is not None and self.was is None:
            raise Wrong(Mistake(("since",), "'since' says how long ago `was` began, and there is none", "", "SY010"))
        return self


class CasesFile(Section):
    """The whole file."""

    as_of: Annotated[Moment | None, Said] = None
    cases: Annotated[tuple[CaseFile, ...], BeforeValidator(_some)]


# What is known of the rules.


class _Rulebook:
    """What a case may name, of all models together."""

    def __init__(self, segments: tuple[Segment, ...]) -> None:
        self.segments = segments
        models = [segment.model for segment in segments]
        self.stages = tuple(stage.name for stage in models[0].stages) if models else ()
        self.rules = frozenset(name for model in models for _, rule in model.rules for name in (rule.id, rule.name))
        self.vetoes = frozenset(name for model in models for veto in model.vetoes for name in (veto.id, veto.name))
        self.zone = models[0].timezone if models else "UTC"
        self.fields: set[str] = {_TOLD_ANYWAY}
        self.kinds: dict[str, set[str]] = {}  # kind of activity -> its fields that a rule looks at
        self.shared: set[str] = set()  # fields of activities of any kind
        for condition in self._conditions():
            self._look_at(condition)
        for ignore in (ignore for model in models for ignore in model.ignores):
            self._look_at_ignore(ignore)

    def context(self) -> dict[str, Any]:
        return {"stages": self.stages, "rules": self.rules, "vetoes": self.vetoes, "zone": self.zone}

    def longest_dwell(self, stage: str) -> timedelta:
        dwells = [each.dwell_ms for one in self.segments for each in one.model.stages if each.name == stage]
        return timedelta(milliseconds=max(dwells, default=0))

    def _conditions(self) -> Iterator[Condition]:
        for segment in self.segments:
            yield from segment.model.conditions()
            yield from (ignore.lead for ignore in segment.model.ignores if ignore.lead is not None)
            if segment.when is not None:
                yield segment.when

    def _look_at(self, condition: Condition) -> None:
        for leaf in leaves(condition):
            if isinstance(leaf, ActivityTest):
                self.kinds.setdefault(leaf.kind, set()).update(test.field for test in leaf.tests)
            elif isinstance(leaf, FieldTest):
                self.fields.add(leaf.field)

    def _look_at_ignore(self, ignore: Ignore) -> None:
        relations = [relation.same for relation in (ignore.follows, ignore.burst) if relation is not None]
        relations += [ignore.burst.distinct] if ignore.burst is not None else []
        self.shared.update(test.field for test in ignore.tests)
        self.shared.update(name for name in relations if name is not None)
        for kind in (*ignore.kinds, *([ignore.follows.kind] if ignore.follows is not None else [])):
            self.kinds.setdefault(kind, set())


def _casebook(path: Path, rules: _Rulebook, report: Report) -> Casebook | None:
    source = read_yaml(path, report)
    if source is None:
        return None
    refuse_tokens(source, report)
    shape = validated(CasesFile, source.value, (report, source, ()), rules.context())
    for mistake in _same_names(source.value):
        report.add(source, mistake)
    if shape is None:
        return None
    as_of, aside = shape.as_of or DEFAULT_AS_OF, Report(report.root)
    for mistake in _doubts(shape, rules):
        aside.add(source, mistake)
    cases = (_case(one, as_of, rules, (source, ("cases", rank))) for rank, one in enumerate(shape.cases))
    doubts = sorted(aside.problems, key=lambda doubt: (doubt.line, doubt.column))
    return Casebook(source, as_of, tuple(cases), tuple(doubts))


def _same_names(raw: Any) -> Iterator[Mistake]:
    named = [(steps, one["name"]) for steps, one in entries(raw, "cases") if isinstance(one.get("name"), str)]
    count = Counter(name for _, name in named)
    for steps, name in named[::-1]:
        if count[name] > 1:
            count[name] -= 1
            yield Mistake((*steps, "name"), f"there are two cases {quoted(name)}", "rename one of them", "SY003")


def _doubts(shape: CasesFile, rules: _Rulebook) -> Iterator[Mistake]:
    """What no rule looks at changes nothing, so it is likely to be a slip."""
    for rank, case in enumerate(shape.cases):
        for name in case.lead.keys() - rules.fields:
            yield _unseen(("cases", rank, "lead", name), f"the field {quoted(name)}", (name, rules.fields))
        for key, happened in (("activities", case.activities), ("counters", case.counters)):
            for number, one in enumerate(happened):
                yield from _activity_doubts(one, ("cases", rank, key, number), rules)


def _activity_doubts(one: TimedFile, steps: Steps, rules: _Rulebook) -> Iterator[Mistake]:
    if one.activity not in rules.kinds:
        yield _unseen((*steps, "activity"), f"the activity {quoted(one.activity)}", (one.activity, rules.kinds))
        return
    known = rules.kinds[one.activity] | rules.shared
    for name in (one.__pydantic_extra__ or {}).keys() - known:
        yield _unseen((*steps, name), f"the field {quoted(name)} of {one.activity}", (name, {*known, "times"}))


def _unseen(steps: Steps, what: str, near: tuple[str, Any]) -> Mistake:
    name, known = near
    at_key = steps[-1] != "activity"
    return Mistake(steps, f"no rule looks at {what}", did_you_mean(name, known), "SY120", at_key)


def _case(shape: CaseFile, as_of: datetime, rules: _Rulebook, place: tuple[Source, Steps]) -> Case:
    source, steps = place
    before = None
    if shape.was is not None:
        since = rules.longest_dwell(shape.was) if shape.since is None else timedelta(milliseconds=shape.since)
        before = StageState(shape.was, shape.was, as_of - since)
    return Case(
        name=shape.name,
        signals=_signals(shape, as_of),
        before=before,
        expected=tuple(_expected(shape.expect, source, (*steps, "expect"))) if shape.expect else (),
        steps=steps,
        where=_where(source, (*steps, "name")),
    )


def _signals(shape: CaseFile, as_of: datetime) -> Signals:
    activities = [
        ActivitySignal(one.activity, one.moment(as_of), dict(one.__pydantic_extra__ or {}))
        for one in shape.activities
        for _ in range(one.times)
    ]
    seen = [(one.moment(as_of), one) for one in shape.counters]
    readings = [Reading(_RECORD, one.activity, one.value, moment, moment) for moment, one in seen]
    return Signals(
        lead=1,
        fields=shape.lead,
        activities=tuple(sorted(activities, key=lambda each: each.at)),
        readings=tuple(sorted(readings, key=lambda each: (each.kind, each.seen_at))),
    )


def _expected(shape: ExpectFile, source: Source, top: Steps) -> Iterator[Expected]:
    """In the order in which they are written."""
    for key in at(source.value, *top):
        told: list[tuple[tuple[str, ...], Any]] = [((key,), getattr(shape, key))]
        if key == "rules":
            told = [((key, name), points) for name, points in shape.rules.items()]
        for of, value in told:
            yield Expected(of, value, (*top, *of), _where(source, (*top, *of)))


def _where(source: Source, steps: Steps) -> str:
    line, column = source.place(steps)
    return f"{source.name}:{line}:{column}"
