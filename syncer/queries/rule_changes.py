"""What rules say otherwise than those before: part by part, in the words of their files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from syncer.rules import (
    Dimension,
    Ignore,
    Model,
    Rule,
    Segment,
    Stage,
    Veto,
    duration_text,
    rules_version,
    version_of,
)
from syncer.settings.showing import condition_text

What = Literal["models", "model", "dimension", "rule", "stage", "stages", "veto", "ignore", "list", "other"]
"""models: which one scores whom · stages: their order · other: what none of the rest tells; its texts are versions."""

_MOST_ENTRIES = 10  # of a list


@dataclass(frozen=True, slots=True)
class RuleChange:
    """One part of the rules that says something else now. None: there was none, or there is none any more."""

    model: str  # "": what stands above the models
    what: What
    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class _Part:
    name: str
    text: str
    meaning: Any  # all of which the text tells the most


_Parts = Mapping[tuple[What, str], _Part]
"""By what they are and their id, as they stand in the model."""


def changes(before: Sequence[Segment], after: Sequence[Segment]) -> tuple[RuleChange, ...]:
    """At least one wherever the rules mean something else; none where they mean the same."""
    versions = [rules_version(tuple(each)) for each in (before, after)]
    if versions[0] == versions[1]:
        return ()
    old, new = ({segment.model.name: segment.model for segment in each} for each in (before, after))
    which = [" · ".join(map(_segment_text, each)) for each in (before, after)]
    whom = [[(segment.model.name, segment.when) for segment in each] for each in (before, after)]
    found: list[RuleChange] = []
    if which[0] != which[1]:
        found.append(RuleChange("", "models", "", *which))
    elif whom[0] != whom[1]:
        found.append(RuleChange("", "other", "", *versions))
    for name in dict.fromkeys([*new, *old]):
        found += _of_model(name, old.get(name), new.get(name))
    return tuple(found) or (RuleChange("", "other", "", *versions),)


def _segment_text(segment: Segment) -> str:
    return segment.model.name + ("" if segment.when is None else f" for {condition_text(segment.when)}")


def _of_model(name: str, was: Model | None, is_: Model | None) -> Iterator[RuleChange]:
    """None: there was none, or there is none any more."""
    old, new = ({} if model is None else _parts(model) for model in (was, is_))
    yield from _told(name, old, new)
    if was is None or is_ is None:
        return
    stages = [[each for what, each in side if what == "stage"] for side in (old, new)]
    if _in_other_order(*stages):
        yield RuleChange(name, "stages", "", *(", ".join(each) for each in stages))
    if _says_more(old, new):
        yield RuleChange(name, "other", "", version_of(was), version_of(is_))


def _told(model: str, old: _Parts, new: _Parts) -> Iterator[RuleChange]:
    for key in dict.fromkeys([*new, *old]):
        was, is_ = old.get(key), new.get(key)
        texts = [None if part is None else part.text for part in (was, is_)]
        if texts[0] != texts[1]:
            if key[0] == "list":
                texts = [_entries_text(was, is_), _entries_text(is_, was)]
            yield RuleChange(model, key[0], next(part.name for part in (is_, was) if part is not None), *texts)


def _entries_text(part: _Part | None, other: _Part | None) -> str | None:
    """A list may be long: how many entries it has, and those that the other one has not."""
    if part is None:
        return None
    others = frozenset[str]() if other is None else frozenset(other.meaning)
    only = [entry for entry in part.meaning if entry not in others]
    told = only[:_MOST_ENTRIES] + ["…"] * (len(part.meaning) > min(len(only), _MOST_ENTRIES))
    return f"({len(part.meaning)}) {', '.join(told)}".rstrip()


def _says_more(old: _Parts, new: _Parts) -> bool:
    """Whether something differs that no text tells of: in a part, or their order."""
    both = [key for key in new if key in old]
    quiet = any(old[key].text == new[key].text and old[key].meaning != new[key].meaning for key in both)
    rest = [[key for key in side if key[0] != "stage"] for side in (old, new)]
    return quiet or _in_other_order(*rest)


def _in_other_order(old: Sequence[object], new: Sequence[object]) -> bool:
    """Of those that both have."""
    both = set(old) & set(new)
    return [each for each in old if each in both] != [each for each in new if each in both]


def _parts(model: Model) -> _Parts:
    found: dict[tuple[What, str], _Part] = {("model", ""): _Part("", _model_text(model), None)}
    for stage in model.stages:
        found["stage", stage.name] = _Part(stage.name, _stage_text(stage), replace(stage, where=""))
    for dimension in model.dimensions:
        alone = replace(dimension, rules=(), where="")
        found["dimension", dimension.name] = _Part(dimension.name, _dimension_text(alone), alone)
    for dimension, rule in model.rules:
        meaning = dimension.name, replace(rule, where="")
        found["rule", rule.id] = _Part(rule.name, f"{dimension.name}: {_rule_text(rule)}", meaning)
    for veto in model.vetoes:
        found["veto", veto.id] = _Part(veto.name, _veto_text(veto), replace(veto, where=""))
    for ignore in model.ignores:
        found["ignore", ignore.id] = _Part(ignore.name, _ignore_text(ignore), replace(ignore, where=""))
    for name, entries in model.lists:
        found["list", name] = _Part(name, ", ".join(sorted(set(entries))), entries)
    return found


def _joined(*parts: str | None) -> str:
    return " · ".join(part for part in parts if part) or "–"


def _model_text(model: Model) -> str:
    return f"timezone: {model.timezone} · first_reading: {model.first_reading}"


def _stage_text(stage: Stage) -> str:
    labels = ", ".join(f"{language} {text}" for language, text in stage.label)
    return _joined(
        f"enter: {', '.join(map(str, stage.enter))}" if stage.enter else None,
        f"leave_below: {', '.join(map(str, stage.leave_below))}" if stage.leave_below else None,
        f"or_any: {'; '.join(map(condition_text, stage.or_any))}" if stage.or_any else None,
        "skip_gates" if stage.skip_gates else None,
        f"owned_by: {stage.owned_by}" if stage.owned_by is not None else None,
        None if stage.falls_back else "falls_back: false",
        f"dwell: {duration_text(stage.dwell_ms)}" if stage.dwell_ms else None,
        f"label: {labels}" if labels else None,
    )


def _dimension_text(dimension: Dimension) -> str:
    bounds = (("max", dimension.max), ("min", dimension.min))
    return _joined(*(f"{name}: {bound / 100:g}" for name, bound in bounds if bound is not None))


def _rule_text(rule: Rule) -> str:
    often, fade = rule.frequency, rule.fade
    return _joined(
        f"{rule.points / 100:+g}",
        condition_text(rule.when),
        "each" if rule.each else None,
        f"at_least: {rule.at_least}" if rule.at_least > 1 else None,
        f"per {duration_text(often.every_ms)}: {often.count}" if often is not None else None,
        f"cap: {rule.cap / 100:g}" if rule.cap is not None else None,
        f"fade: {fade.curve} {fade.half_life_hours}h" if fade.curve != "none" else None,
    )


def _veto_text(veto: Veto) -> str:
    return f"hold_at: {veto.hold_at} · {condition_text(veto.when)}"


def _ignore_text(ignore: Ignore) -> str:
    follows, burst = ignore.follows, ignore.burst
    return _joined(
        ", ".join(ignore.kinds),
        "; ".join(map(condition_text, ignore.tests)),
        f"for: {condition_text(ignore.lead)}" if ignore.lead is not None else None,
        f"follows: {follows.kind} within {duration_text(follows.within_ms)}{_field('same', follows.same)}"
        if follows is not None
        else None,
        f"burst: more_than {burst.more_than} within {duration_text(burst.within_ms)}{_field('same', burst.same)}"
        f"{_field('distinct', burst.distinct)}"
        if burst is not None
        else None,
    )


def _field(name: str, value: str | None) -> str:
    return "" if value is None else f" {name} {value}"
