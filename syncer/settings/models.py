"""A model file -> `rules.Model`: the shapes of the file, and what they become."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from syncer.rules import (
    DIMENSIONS,
    NO_FADE,
    ActivityTest,
    All,
    AnyOf,
    Burst,
    Condition,
    Dimension,
    Fade,
    Follows,
    Frequency,
    Gate,
    Ignore,
    Model,
    Rule,
    Stage,
    Veto,
    leaves,
    version_of,
)
from syncer.settings.checking import validated
from syncer.settings.conditions import Lists, read_condition
from syncer.settings.environment import refuse_tokens
from syncer.settings.problems import Mistake, Steps, Wrong, did_you_mean, quoted, wrong
from syncer.settings.source import ReadYaml, Report, Source, at, entries, read_text, read_yaml
from syncer.settings.values import (
    Duration,
    HalfLife,
    Language,
    ListOfGates,
    Points,
    PositivePoints,
    Span,
    Timezone,
    Window,
)

_DAY_MS = 86_400_000
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")
Curve = Literal["exponential", "linear", "step", "none"]
Count = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]
Flag = Annotated[bool, Field(strict=True)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


def _condition(raw: Any, info: ValidationInfo) -> Condition:
    return read_condition(raw, (info.context or {}).get("lists", {}))


def _stage_named(raw: Any, info: ValidationInfo) -> Any:
    stages: tuple[str, ...] = (info.context or {}).get("stages", ())
    if stages and isinstance(raw, str) and raw not in stages:
        raise wrong(f"there is no stage {quoted(raw)}", did_you_mean(raw, stages, known_as="stages"), "SY007")
    return raw


def _identifier(raw: Any) -> Any:
    if isinstance(raw, str) and not _ID.fullmatch(raw):
        raise wrong(f"{quoted(raw)} cannot be a name here", "use letters, digits, - and _")
    return raw


def _filled(raw: Any) -> Any:
    if isinstance(raw, list) and not raw:
        raise wrong("the list is empty; it needs at least one entry")
    return raw


CONDITION_SCHEMA = WithJsonSchema({"$comment": "Condition"})  # `schema` puts a reference here
When = Annotated[Condition, PlainValidator(_condition), CONDITION_SCHEMA]
Identifier = Annotated[str, BeforeValidator(_identifier)]
StageName = Annotated[str, BeforeValidator(_stage_named)]


class Section(BaseModel):
    """A mapping in a settings file: unknown keys are mistakes, values never change, messages never hold input."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, arbitrary_types_allowed=True)


class PerFile(Section):
    count: Count
    every: Window


class RuleFile(Section):
    id: Identifier | None = None
    name: Name
    when: When
    points: Points
    each: Flag = False
    at_least: Count = 1
    per_day: Count | None = None
    per: PerFile | None = None
    cap: PositivePoints | None = None
    in_last: Span | None = None
    half_life: HalfLife | None = None
    fade: Curve | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        mistakes = list(_counting_mistakes(self))
        if self.per_day is not None and self.per is not None:
            mistakes.append(Mistake(("per",), "'per' and 'per_day' say the same; keep one", "", "SY010", at_key=True))
        if mistakes:
            raise Wrong(*mistakes)
        return self


_COUNTING_KEYS = ("each", "at_least", "per_day", "per", "in_last", "half_life", "fade")


def counted_activities(when: Condition) -> tuple[ActivityTest, ...]:
    """The activities a rule with this condition would count: itself, or direct parts of a top-level `all`."""
    parts = when.conditions if isinstance(when, All) else (when,)
    return tuple(part for part in parts if isinstance(part, ActivityTest))


def _counting_mistakes(rule: RuleFile) -> Iterator[Mistake]:
    counted = counted_activities(rule.when)
    if len(counted) > 1:
        help = "put those that are only conditions into a list of their own: any: [{activity: ...}]"
        yield Mistake(("when",), "a rule counts one activity, and this one names several", help, "SY010")
    if not counted:
        help = "name one activity in `when`; for several kinds write one rule each"
        for key in _COUNTING_KEYS:
            if key in rule.model_fields_set:
                yield Mistake((key,), f"'{key}' needs one activity to count", help, "SY010", at_key=True)
    if rule.in_last is not None and any(one.in_last_ms is not None for one in counted):
        yield Mistake(("in_last",), "'in_last' stands in `when` too; keep one", "", "SY010", at_key=True)


class DimensionFile(Section):
    max: PositivePoints | None = None
    min: Points | None = None
    half_life: HalfLife | None = None
    fade: Curve = "exponential"
    rules: Annotated[tuple[RuleFile, ...], BeforeValidator(_filled)]

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        if self.max is not None and self.min is not None and self.min > self.max:
            raise Wrong(Mistake(("min",), "'min' is more than 'max'", "", "SY010"))
        return self


class VetoFile(Section):
    id: Identifier | None = None
    name: Name
    when: When
    hold_at: StageName | None = None


def _which_activities(raw: Any, info: ValidationInfo) -> tuple[ActivityTest, ...]:
    """`when:` of an ignoring rule: one kind of activity or several, with tests on their fields."""
    condition = _condition(raw, info)
    parts = condition.conditions if isinstance(condition, AnyOf) else (condition,)
    tests = tuple(part for part in parts if isinstance(part, ActivityTest))
    if len(tests) != len(parts) or any(test.in_last_ms is not None for test in tests):
        help = "write for example when: {activity: email_click}; whose they are stands under `for`"
        raise wrong("`when` of a rule under `ignore` names activities and nothing else", help)
    return tests


def _whose(raw: Any, info: ValidationInfo) -> Condition:
    """`for:` of an ignoring rule: voiding must not depend on the time of scoring, nor on what it voids."""
    condition = _condition(raw, info)
    for leaf in leaves(condition):
        if isinstance(leaf, ActivityTest):
            raise wrong("`for` of a rule under `ignore` looks at the lead's fields, not at activities")
        if leaf.operator in ("older_than", "newer_than"):
            raise wrong(
                f"`for` of a rule under `ignore` cannot ask '{leaf.operator}': its answer would change by itself"
            )
    return condition


FieldName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class FollowsFile(Section):
    activity: Name
    within: Span
    same: FieldName | None = None


class BurstFile(Section):
    more_than: Count
    within: Span
    same: FieldName | None = None
    distinct: FieldName | None = None


class IgnoreFile(Section):
    id: Identifier | None = None
    name: Name
    when: Annotated[tuple[ActivityTest, ...], PlainValidator(_which_activities), CONDITION_SCHEMA] = ()
    whose: Annotated[Condition | None, PlainValidator(_whose), CONDITION_SCHEMA] = Field(default=None, alias="for")
    follows: FollowsFile | None = None
    burst: BurstFile | None = None

    @model_validator(mode="after")
    def _voids_something(self) -> Self:
        if not self.when and self.whose is None and self.follows is None and self.burst is None:
            help = "say which: `when`, `for`, `follows` or `burst`"
            raise Wrong(Mistake((), "this would ignore every activity of everybody", help, "SY010"))
        return self


class StageFile(Section):
    name: Identifier
    label: dict[Language, Name] = Field(default_factory=dict)
    enter: ListOfGates = ()
    leave_below: ListOfGates = ()
    or_any: tuple[When, ...] = ()
    skip_gates: Flag = False
    owned_by: Name | None = None
    falls_back: Flag = True
    dwell: Duration = Field(default="0s", validate_default=True)

    @model_validator(mode="after")
    def _slack_below_entry(self) -> Self:
        mistakes = [
            one for rank, gate in enumerate(self.leave_below) for one in _slack_mistakes(rank, gate, self.enter)
        ]
        if self.skip_gates and not self.or_any:
            mistakes.append(Mistake(("skip_gates",), "'skip_gates' is about `or_any`, and there is none", "", "SY010"))
        if mistakes:
            raise Wrong(*mistakes)
        return self


def _slack_mistakes(rank: int, gate: Gate, enter: tuple[Gate, ...]) -> Iterator[Mistake]:
    entry = [other for other in enter if other.measure == gate.measure]
    steps: Steps = ("leave_below", rank)
    if not entry:
        yield Mistake(steps, f"`enter` has no threshold on {gate.measure} that this could replace", "", "SY010")
    for other in entry:
        if ">" in gate.comparison and ">" in other.comparison and gate.threshold > other.threshold:
            yield Mistake(steps, f"is above `enter` ({other}): leads would flap", "write a lower number", "SY010")


class ModelFile(Section):
    """The whole model file."""

    name: Identifier | None = None
    timezone: Timezone | None = None
    half_life: HalfLife | None = None
    lists: dict[str, str | list[str]] = Field(default_factory=dict)
    first_reading: Literal["ignore", "once", "all"] = "once"
    fit: DimensionFile | None = None
    engagement: DimensionFile | None = None
    need: DimensionFile | None = None
    readiness: DimensionFile | None = None
    ignore: tuple[IgnoreFile, ...] = ()
    veto: tuple[VetoFile, ...] = ()
    stages: Annotated[tuple[StageFile, ...], BeforeValidator(_filled)]


def slug(name: str) -> str:
    """ "Visitó precios (2)" -> "visito-precios-2"."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:80]


def name_of(path: Path) -> str:
    """What a model is called that gives no name of its own."""
    return path.stem if _ID.fullmatch(path.stem) else slug(path.stem) or "model"


def read_model(
    path: Path, timezone: str, report: Report, read: ReadYaml = read_yaml
) -> tuple[Model | None, tuple[str, ...]]:
    """The model, None where anything is wrong with its file; and its stages' names, as far as they are legible."""
    source = read(path, report)
    if source is None:
        return None, ()
    before = len(report.problems)
    refuse_tokens(source, report)
    lists = _lists(source, report)
    stages = tuple(stage["name"] for _, stage in entries(source.value, "stages") if isinstance(stage.get("name"), str))
    shape = validated(ModelFile, source.value, (report, source, ()), {"lists": lists, "stages": stages})
    for mistake in _cross_checks(source.value):
        report.add(source, mistake)
    if shape is None or len(report.problems) > before or report.spoiled_in(source):
        return None, stages
    return _model(shape, source, timezone, lists), stages


def load_model(path: Path, *, timezone: str = "UTC") -> Model:
    """One model file by itself; `SettingsError` with everything that is wrong with it."""
    report = Report(path.parent)
    model, _ = read_model(path, timezone, report)
    report.raise_if_any()
    if model is None:
        raise AssertionError("a model file without problems gives a model")
    return model


def _lists(source: Source, report: Report) -> Lists:
    """Every named list with its entries; one that cannot be read is there, and empty."""
    named = at(source.value, "lists")
    found: dict[str, tuple[str, ...]] = {}
    for name, raw in named.items() if isinstance(named, Mapping) else ():
        words = [word for word in raw if isinstance(word, str)] if isinstance(raw, list) else []
        if isinstance(raw, str):
            words = _list_file(source, ("lists", name), raw, report)
        found[name] = tuple(sorted({word.strip().lower() for word in words} - {""}))
    return found


def _list_file(source: Source, steps: Steps, name: str, report: Report) -> list[str]:
    """The lines of a list file; what follows # is a comment."""
    path = source.path.parent / name
    aside = Report(report.root)
    text = read_text(path, aside)
    report.watch(path)
    for problem in aside.problems:
        report.add(source, Mistake(steps, problem.message, problem.help, problem.code))
    return [line.split("#", 1)[0] for line in (text or "").splitlines()]


def _cross_checks(raw: Any) -> Iterator[Mistake]:
    """What no single section can know; looks at whatever of the file has the right shape."""
    yield from _duplicates(_rule_ids(raw), "rule")
    names = [((*steps, "name"), stage["name"]) for steps, stage in entries(raw, "stages") if _text(stage.get("name"))]
    yield from _duplicates(names, "stage")
    if at(raw, "stages", 0, "enter"):
        yield Mistake(("stages", 0, "enter"), "the first stage takes everybody; it has no threshold", "", "SY010", True)
    for dimension in DIMENSIONS:
        yield from _fading_mistakes(raw, dimension)


def _text(raw: Any) -> bool:
    return isinstance(raw, str) and bool(raw.strip())


def _rule_ids(raw: Any) -> list[tuple[Steps, str]]:
    found: list[tuple[Steps, str]] = []
    for part in (*((dimension, "rules") for dimension in DIMENSIONS), ("ignore",), ("veto",)):
        for steps, rule in entries(raw, *part):
            key = "id" if _text(rule.get("id")) else "name"
            if _text(rule.get(key)):
                found.append(((*steps, key), rule["id"] if key == "id" else slug(rule["name"])))
    return found


def _duplicates(named: list[tuple[Steps, str]], what: str) -> Iterator[Mistake]:
    count = Counter(name for _, name in named)
    seen: set[str] = set()
    for steps, name in named:
        if not name:
            yield Mistake(steps, "no id can be made of this name", "give the rule an `id` of its own", "SY005")
        elif name in seen and count[name] > 1:
            help = "give one of them another name" + (" or an `id` of its own" if what == "rule" else "")
            yield Mistake(steps, f"there are two {what}s '{name}'", help, "SY003")
        seen.add(name)


def _fading_mistakes(raw: Any, dimension: str) -> Iterator[Mistake]:
    """`fade` says how points fade; without a half-life anywhere above, it says nothing."""
    if at(raw, "half_life") is not None or at(raw, dimension, "half_life") is not None:
        return
    places: list[tuple[Steps, Mapping[str, Any]]] = list(entries(raw, dimension, "rules"))
    inside = at(raw, dimension)
    if isinstance(inside, Mapping):
        places.insert(0, ((dimension,), inside))
    for steps, section in places:
        if section.get("fade") in ("exponential", "linear", "step") and section.get("half_life") is None:
            help = "write for example half_life: 30d"
            yield Mistake((*steps, "fade"), "'fade' needs a half_life, and there is none", help, "SY010", at_key=True)


# The validated file becomes values.


def _model(shape: ModelFile, source: Source, timezone: str, lists: Lists) -> Model:
    model = Model(
        name=shape.name or name_of(source.path),
        timezone=shape.timezone or timezone,
        dimensions=tuple(_dimensions(shape, source)),
        stages=tuple(_stage(stage, _where(source, "stages", rank)) for rank, stage in enumerate(shape.stages)),
        vetoes=tuple(_vetoes(shape, source)),
        lists=tuple(sorted(lists.items())),
        first_reading=shape.first_reading,
        ignores=tuple(_ignores(shape, source)),
    )
    return replace(model, version=version_of(model))


def _where(source: Source, *steps: str | int) -> str:
    return f"{source.name}:{source.line_of(steps)}"


def _dimensions(shape: ModelFile, source: Source) -> Iterator[Dimension]:
    for name in DIMENSIONS:
        section: DimensionFile | None = getattr(shape, name)
        if section is not None:
            rules = (
                _rule(rule, _fade(rule, section, shape.half_life), _where(source, name, "rules", rank))
                for rank, rule in enumerate(section.rules)
            )
            yield Dimension(name, tuple(rules), section.max, section.min, _where(source, name))


def _fade(rule: RuleFile, section: DimensionFile, half_life: int | None) -> Fade:
    """Rule before dimension before model; a rule that counts no activity has no age to fade with."""
    hours = rule.half_life or section.half_life or half_life
    curve = rule.fade or section.fade
    if curve == "none" or hours is None or not counted_activities(rule.when):
        return NO_FADE
    return Fade(curve, hours)


def _rule(rule: RuleFile, fade: Fade, where: str) -> Rule:
    return Rule(
        id=rule.id or slug(rule.name),
        name=rule.name,
        when=_within(rule.when, rule.in_last),
        points=rule.points,
        each=rule.each,
        at_least=rule.at_least,
        frequency=_frequency(rule),
        cap=rule.cap,
        fade=fade,
        where=where,
    )


def _within(when: Condition, in_last_ms: int | None) -> Condition:
    """The rule's own `in_last` belongs to the activity it counts."""
    if in_last_ms is None:
        return when
    if isinstance(when, ActivityTest):
        return ActivityTest(when.kind, when.tests, in_last_ms)
    if isinstance(when, All):
        parts = when.conditions
        return All(tuple(_within(part, in_last_ms) if isinstance(part, ActivityTest) else part for part in parts))
    return when


def _frequency(rule: RuleFile) -> Frequency | None:
    if rule.per_day is not None:
        return Frequency(rule.per_day, _DAY_MS)
    return Frequency(rule.per.count, rule.per.every) if rule.per is not None else None


def _stage(stage: StageFile, where: str) -> Stage:
    return Stage(
        name=stage.name,
        label=tuple(sorted(stage.label.items())),
        enter=stage.enter,
        leave_below=stage.leave_below,
        or_any=stage.or_any,
        skip_gates=stage.skip_gates,
        owned_by=stage.owned_by,
        falls_back=stage.falls_back,
        dwell_ms=stage.dwell,
        where=where,
    )


def _vetoes(shape: ModelFile, source: Source) -> Iterator[Veto]:
    for rank, veto in enumerate(shape.veto):
        hold_at = veto.hold_at or shape.stages[0].name
        yield Veto(veto.id or slug(veto.name), veto.name, veto.when, hold_at, _where(source, "veto", rank))


def _ignores(shape: ModelFile, source: Source) -> Iterator[Ignore]:
    for rank, ignore in enumerate(shape.ignore):
        follows, burst = ignore.follows, ignore.burst
        yield Ignore(
            id=ignore.id or slug(ignore.name),
            name=ignore.name,
            kinds=tuple(test.kind for test in ignore.when),
            tests=ignore.when[0].tests if ignore.when else (),
            lead=ignore.whose,
            follows=Follows(follows.activity, follows.within, follows.same) if follows else None,
            burst=Burst(burst.more_than, burst.within, burst.same, burst.distinct) if burst else None,
            where=_where(source, "ignore", rank),
        )
