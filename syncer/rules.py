"""A scoring model as validated values. How YAML becomes these is the business of `settings`; what they mean is the
business of `scoring` and `stages`.

Points and thresholds are hundredths, spans of time are milliseconds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal

DIMENSIONS = ("fit", "engagement", "need", "readiness")

Operator = Literal[
    "any_of", "contains", "matches", "between", "at_least", "over", "under", "at_most",
    "is_set", "domain_in", "older_than", "newer_than",
]  # fmt: skip
"""What can be asked of one field. One that is not set passes nothing but `is_set: false`, also when negated."""

Measure = Literal["fit", "engagement", "need", "readiness", "total"]
Comparison = Literal[">=", ">", "<=", "<"]
Argument = str | float | bool | tuple[str | float | bool, ...]

UNITS_MS: Mapping[str, int] = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
"""The units in which people write spans of time."""


def duration_text(span_ms: int) -> str:
    """900000 -> "15m": the largest unit that divides it, but 7 days are "7d": most people count in days."""
    for unit in ("d", "h", "m", "s") if span_ms else ("s",):
        if span_ms % UNITS_MS[unit] == 0:
            return f"{span_ms // UNITS_MS[unit]}{unit}"
    return f"{span_ms}ms"


@dataclass(frozen=True, slots=True)
class FieldTest:
    """One operator on one field (of a lead or of an activity).

    argument: any_of, contains, domain_in: texts (numbers and booleans too for any_of) · matches: a regular expression ·
    between: (low, high), both included · at_least, over, under, at_most: a number · is_set: a bool ·
    older_than, newer_than: milliseconds. Text compares without case and accents unless `exact`.
    """

    field: str
    operator: Operator
    argument: Argument
    negated: bool = False
    exact: bool = False


@dataclass(frozen=True, slots=True)
class ActivityTest:
    """Holds for a lead with an activity of the kind (in the last `in_last_ms`) that passes all tests."""

    kind: str
    tests: tuple[FieldTest, ...] = ()
    in_last_ms: int | None = None


@dataclass(frozen=True, slots=True)
class All:
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class NoneOf:
    """Pure negation: holds where none of them does, a field that is not set included."""

    conditions: tuple[Condition, ...]


Condition = FieldTest | ActivityTest | All | AnyOf | NoneOf


def leaves(condition: Condition) -> Iterator[FieldTest | ActivityTest]:
    """Every test in a condition, left to right."""
    if isinstance(condition, FieldTest | ActivityTest):
        yield condition
        return
    for inner in condition.conditions:
        yield from leaves(inner)


def activity_kinds(conditions: Iterable[Condition]) -> set[str]:
    """The kinds of activities that these look at."""
    return {leaf.kind for each in conditions for leaf in leaves(each) if isinstance(leaf, ActivityTest)}


@dataclass(frozen=True, slots=True)
class Frequency:
    """Only the first `count` matches of each calendar window of `every_ms` count (in the model's time zone)."""

    count: int
    every_ms: int


@dataclass(frozen=True, slots=True)
class Fade:
    """How points fade with age in whole hours. exponential: halves every half-life, smoothly · step: halves once each
    whole half-life · linear: straight line through one half at the half-life to nothing at twice it · none: never."""

    curve: Literal["exponential", "linear", "step", "none"]
    half_life_hours: int = 0


NO_FADE = Fade("none")


@dataclass(frozen=True, slots=True)
class Rule:
    """One readable reason to give or take points.

    `when` holds at most one ActivityTest that is counted: the condition itself or a direct part of a top-level `all`.
    """

    id: str
    name: str
    when: Condition
    points: int  # hundredths, negative allowed
    each: bool = False  # every match pays, not only the newest
    at_least: int = 1  # pays only from this match on
    frequency: Frequency | None = None
    cap: int | None = None  # hundredths; bounds what the rule gives, in size
    fade: Fade = NO_FADE
    where: str = ""  # "models/b2b.yml:34"; not part of the meaning

    @property
    def counted(self) -> ActivityTest | None:
        """The activity whose matches pay; None: the rule looks at the profile alone and pays once."""
        if isinstance(self.when, ActivityTest):
            return self.when
        if isinstance(self.when, All):
            return next((part for part in self.when.conditions if isinstance(part, ActivityTest)), None)
        return None


@dataclass(frozen=True, slots=True)
class Dimension:
    name: str  # one of DIMENSIONS
    rules: tuple[Rule, ...]
    max: int | None = None  # hundredths
    min: int | None = None  # hundredths
    where: str = ""


@dataclass(frozen=True, slots=True)
class Gate:
    """`engagement >= 20`: a threshold on a dimension or on the total, in hundredths."""

    measure: Measure
    comparison: Comparison
    threshold: int

    def __str__(self) -> str:
        return f"{self.measure} {self.comparison} {self.threshold / 100:g}"


@dataclass(frozen=True, slots=True)
class Stage:
    name: str
    label: tuple[tuple[str, str], ...] = ()  # (language, text)
    enter: tuple[Gate, ...] = ()
    leave_below: tuple[Gate, ...] = ()  # while in the stage, replaces `enter`'s gate on the same measure
    or_any: tuple[Condition, ...] = ()  # a shortcut past this stage's own `enter`
    skip_gates: bool = False  # the shortcut also passes the gates of the stages before
    owned_by: str | None = None  # only a person moves a lead down from here
    falls_back: bool = True
    dwell_ms: int = 0  # at least that long here before moving down
    where: str = ""


@dataclass(frozen=True, slots=True)
class Veto:
    """Holds a lead at a stage, whatever the points."""

    id: str
    name: str
    when: Condition
    hold_at: str  # a stage's name; a lead below it stays below
    where: str = ""


@dataclass(frozen=True, slots=True)
class Follows:
    """Sooner than `within_ms` after an activity of that kind (with the same value in the field `same`)."""

    kind: str
    within_ms: int
    same: str | None = None


@dataclass(frozen=True, slots=True)
class Burst:
    """One of more than so many within a span (with the same value in the field `same`); where `distinct` names a
    field, repeats of one value of it count as one."""

    more_than: int
    within_ms: int
    same: str | None = None
    distinct: str | None = None


@dataclass(frozen=True, slots=True)
class Ignore:
    """Voids activities, as if they had not happened: machines that open mails, our own people, role addresses.

    Everything that is given must hold. `lead` looks at the lead's fields alone, and not at dates seen from now.
    """

    id: str
    name: str
    kinds: tuple[str, ...] = ()  # none: every kind
    tests: tuple[FieldTest, ...] = ()  # on the activity's fields
    lead: Condition | None = None
    follows: Follows | None = None
    burst: Burst | None = None
    where: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    """One file of rules. Two models with the same meaning have the same version, whatever their comments."""

    name: str
    timezone: str
    dimensions: tuple[Dimension, ...]  # those of DIMENSIONS that have rules, in that order
    stages: tuple[Stage, ...]  # coldest first
    vetoes: tuple[Veto, ...] = ()
    lists: tuple[tuple[str, tuple[str, ...]], ...] = ()  # name -> lower-cased entries, for domain_in and any_of
    first_reading: Literal["ignore", "once", "all"] = "once"
    ignores: tuple[Ignore, ...] = ()
    version: str = field(default="", compare=False)

    @property
    def rules(self) -> tuple[tuple[Dimension, Rule], ...]:
        return tuple((dimension, rule) for dimension in self.dimensions for rule in dimension.rules)

    def stage_rank(self, name: str) -> int:
        """0 for the coldest; KeyError for a name that is none of the model's."""
        for rank, stage in enumerate(self.stages):
            if stage.name == name:
                return rank
        raise KeyError(name)

    def conditions(self) -> Iterator[Condition]:
        """Every condition anywhere in the model."""
        yield from (rule.when for _, rule in self.rules)
        yield from (veto.when for veto in self.vetoes)
        yield from (condition for stage in self.stages for condition in stage.or_any)


@dataclass(frozen=True, slots=True)
class Segment:
    """A model and the leads it scores; `when` None: all that no segment before took."""

    model: Model
    when: Condition | None = None


def version_of(model: Model) -> str:
    """name@hash of the meaning: comments, order of keys and line numbers do not change it."""
    return f"{model.name}@{_digest(model)}"


def rules_version(segments: tuple[Segment, ...]) -> str:
    """A hash of what all segments mean together: which model scores whom, and how."""
    return _digest(segments)


def _digest(value: Any) -> str:
    text = json.dumps(_plain(value, ("where", "version")), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def segments_text(segments: tuple[Segment, ...]) -> str:
    """The rules whole, as JSON, so that what they said can be looked up when their file has long changed."""
    return json.dumps(_plain(segments, ()), separators=(",", ":"), ensure_ascii=True)


def segments_of(text: str) -> tuple[Segment, ...]:
    """What `segments_text` wrote."""
    read: tuple[Segment, ...] = _value(json.loads(text))
    return read


def _plain(value: Any, left_out: tuple[str, ...]) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        named = {each.name: getattr(value, each.name) for each in fields(value) if each.name not in left_out}
        return [type(value).__name__, {name: _plain(inner, left_out) for name, inner in named.items()}]
    if isinstance(value, tuple):
        return [_plain(inner, left_out) for inner in value]
    return value


def _value(plain: Any) -> Any:
    if not isinstance(plain, list):
        return plain
    if len(plain) == 2 and isinstance(plain[1], dict):  # nothing else in a model is a mapping
        return _KINDS[plain[0]](**{name: _value(inner) for name, inner in plain[1].items()})
    return tuple(_value(inner) for inner in plain)


_KINDS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (ActivityTest, All, AnyOf, Burst, Dimension, Fade, FieldTest, Follows, Frequency, Gate, Ignore, Model,
                 NoneOf, Rule, Segment, Stage, Veto)
}  # fmt: skip
