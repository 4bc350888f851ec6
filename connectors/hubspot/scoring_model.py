"""The portal's own lead scores as first model files.

Read from HubSpot's Lead Scoring API, which is in beta: its OpenAPI file `leadScoring.json`, 2026-09-beta (the list
shows scores by name, each is read by its id; scope mh-lead-scoring-view). What a model file can say alike is carried
over, and the rest is named: a rule that means something else would be worse than none.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeGuard

from connectors.hubspot.client import Client
from connectors.hubspot.native_conditions import NotCarried, condition, days_back, number, test
from connectors.hubspot.values import Json
from syncer.connector import NativeModel

SCORES = "/marketing/lead-scoring/2026-09-beta/scores"
_CONTACTS = "0-1"
_DIMENSIONS: Mapping[str, str] = {"FIT": "fit", "INTENT": "engagement"}
_KINDS: Mapping[str, str] = {  # HubSpot's event types -> our kinds, of those that people do and we read
    "4-96000": "page_view",
    "4-666440": "email_open",
    "4-666288": "email_click",
    "4-665538": "email_reply",
    "4-1639801": "form_submission",
}
_LEAST_DECAY = 0.01  # percent; HubSpot's are whole
_MOST_HOURS = 87_600  # ten years, the longest half-life of a model file
_SHARES = {"iql": 0.2, "mql": 0.45, "sql": 0.7}  # of the most points; a proposal, where HubSpot has no thresholds
_FULL = 100  # points, where nothing says how many there can be
_NAME = 90  # characters of a rule's name


def read_models(client: Client) -> Iterator[NativeModel]:
    """The scores of contacts, published or not."""
    for page in client.pages("reading the lead scores", SCORES, {"limit": "100"}):
        for each in page["results"]:
            if str(each.get("scoredObjectTypeId")) == _CONTACTS:
                found = client.get("reading a lead score", f"{SCORES}/{each['id']}", needs="groupConfigs")
                yield carried_over(found)


def carried_over(score: Json) -> NativeModel:
    """One score, as the API tells it."""
    sections = [_Section.of(category, score) for category in _DIMENSIONS]
    lost = [line for section in sections for line in section.lost]
    if _dict(score, "filterConfiguration"):
        lost.append("which segments are scored at all: write `for:` under `models` in the project file")
    rules = sum(len(section.rules) for section in sections)
    stages, source = _stages(score, sections)
    if source != "THRESHOLD":
        lost.append(f"stages: {source}; those in the file are a proposal")
    head = _head(score, lost)
    bodies = [section.drawn() for section in sections if section.rules]
    text = "\n\n".join([head, *bodies, stages]) + "\n" if rules else ""
    return NativeModel(str(score.get("id")), _line(str(score.get("name"))), rules, tuple(lost), text)


@dataclass(frozen=True, slots=True)
class _Rule:
    """One rule of the model file; `more` are its keys beside name, when and points."""

    when: Json
    points: float
    more: Mapping[str, object] = field(default_factory=dict)
    group: str = ""
    origin: str = ""  # the rule's id in HubSpot

    def drawn(self) -> Iterator[str]:
        yield f"    # rule {self.origin} of the group {self.group}"
        yield f"    - name: {_quoted(_clipped(f'{self.group}: {_words(self.when)}'))}"
        yield f"      when: {_quoted(self.when)}"
        yield f"      points: {_points(self.points)}"
        for key, value in self.more.items():
            yield f"      {key}: {_quoted(value)}"


@dataclass(frozen=True, slots=True)
class _Section:
    """One dimension: all groups of one category."""

    category: str
    rules: tuple[_Rule, ...]
    lost: tuple[str, ...]
    most: float | None
    least: float | None

    @classmethod
    def of(cls, category: str, score: Json) -> _Section:
        groups = [each for each in _rows(score, "groupConfigs") if each.get("groupCategory") == category]
        found = [each for group in groups for each in _group(group)]
        lost = [each for each in found if isinstance(each, str)]
        ceilings = [_maybe(score, "maxScorePerCategory"), _maybe(score, "maxScore")]
        least = None
        if len(groups) == 1:
            ceilings.append(_maybe(groups[0], "maxValue"))
            least = _maybe(groups[0], "minValue")
        else:
            lost += [f"the limits of the group {_title(group)}: a dimension has one limit for all its rules"
                     for group in groups if _maybe(group, "maxValue") or _maybe(group, "minValue")]  # fmt: skip
        rules = tuple(_with_own_names([each for each in found if isinstance(each, _Rule)]))
        return cls(category, rules, tuple(lost), min(filter(_limits, ceilings), default=None), least)

    @property
    def reachable(self) -> float:
        most = sum(max(rule.points, 0) for rule in self.rules)
        return min(most, self.most) if self.most else most

    def drawn(self) -> str:
        lines = [f"{_DIMENSIONS[self.category]}:"]
        if self.most is not None:
            lines.append(f"  max: {_points(self.most)}")
        if self.least is not None and self.least <= (self.most or self.least):
            lines.append(f"  min: {_points(self.least)}")
        if self.category == "INTENT":
            lines.append("  fade: none                       # but for the rules that say otherwise")
        return "\n".join([*lines, "  rules:", *(line for rule in self.rules for line in rule.drawn())])


def _with_own_names(rules: Sequence[_Rule]) -> Iterator[_Rule]:
    """Each with an id of its own: names made of conditions may be the same."""
    for place, rule in enumerate(rules, 1):
        origin = re.sub(r"[^A-Za-z0-9_-]+", "-", rule.origin)[:40] or "rule"
        yield replace(rule, more={"id": f"hubspot-{origin}-{place}", **rule.more})


# From HubSpot's rules to ours. What cannot be carried over comes as a text.


def _group(group: Json) -> Iterator[_Rule | str]:
    for each in _rows(group, "ruleConfigurations"):
        origin, title = _line(str(each.get("id"))), _title(group)
        if not each.get("enabled"):
            yield f"rule {origin} of the group {title}: it is switched off"
            continue
        found = list(_calculated(_dict(_dict(each, "configuration"), "calculation")))
        found = [_limited(_faded(one, group), each) if isinstance(one, _Rule) else one for one in found]
        if len(found) > 1 and (_maybe(each, "maxValue") or _maybe(each, "minValue")):
            found.append("the limit of its parts together")
        for one in found:
            if isinstance(one, _Rule):
                yield replace(one, group=title, origin=origin)
            else:
                yield f"rule {origin} of the group {title}: {one}"


def _calculated(calculation: Json) -> Iterator[_Rule | str]:
    """The rules that give the same points, as far as there are any."""
    kind = calculation.get("type")
    if kind == "MULTI":
        for each in _rows(calculation, "calculators"):
            yield from _calculated(each)
    elif kind == "CONDITIONAL":
        yield from _one(lambda: _Rule(condition(_dict(calculation, "whereCondition")), _value(calculation)))
    elif kind == "MATCH":
        yield from _matches(calculation)
    elif kind == "MULTI_UE":
        for each in _rows(calculation, "eventCalculators"):
            yield from _events(each)
    else:
        yield _UNKNOWN.get(str(kind), f"a calculation of the type {kind}")


_UNKNOWN: Mapping[str, str] = {
    "CONSTANT": "points for everybody",
    "SEGMENT_MEMBERSHIP": "membership in segments, which are not read from HubSpot",
    "ASSOCIATIONS": "values of associated records",
    "ASSOCIATION_UE": "events of associated records",
}


def _one(make: Callable[[], _Rule]) -> Iterator[_Rule | str]:
    try:
        rule = make()
    except NotCarried as reason:
        yield str(reason)
        return
    if rule.points:
        yield rule


def _matches(calculation: Json) -> Iterator[_Rule | str]:
    """Each value of a property has points of its own."""
    name = str(calculation.get("property"))
    for each in _rows(calculation, "matchRules"):
        yield from _one(partial(_match, name, each))
    if _maybe(calculation, "defaultValue"):
        yield f"{calculation['defaultValue']:g} points where no value of {calculation.get('property')} fits"


def _match(name: str, rule: Json) -> _Rule:
    return _Rule(test(name, _dict(rule, "operation")), _value(rule))


def _events(entry: Json) -> Iterator[_Rule | str]:
    kind = _KINDS.get(str(entry.get("eventTypeId")))
    given = _dict(entry, "recordCalculation")
    if kind is None:
        yield f"events of the type {entry.get('eventTypeId')}, which have no kind of activity here"
        return
    if given.get("type") != "CONSTANT":
        yield f"{kind}: points by what the event tells"
        return
    try:
        when: Json = {"activity": kind}
        if timeframe := _dict(entry, "eventTimeframe"):
            when["in_last"] = f"{days_back(_dict(timeframe, 'eventFilterOperation'))}d"
        ranges = _rows(_dict(entry, "eventFrequencyCriteria"), "ranges")
        if ranges:
            yield from (_Rule(when, points, {"at_least": count}) for count, points in _steps(ranges) if points)
        else:
            yield from _one(lambda: _Rule(when, _value(given), {"each": True}))
    except NotCarried as reason:
        yield f"{kind}: {reason}"


def _steps(ranges: Sequence[Json]) -> list[tuple[int, float]]:
    """(from how many events on, how many points more) of ranges that follow one another and end open."""
    ordered = sorted(ranges, key=lambda each: number(each.get("from")))
    found, before = [], 0.0
    for each, following in zip(ordered, [*ordered[1:], None], strict=True):
        start = number(each.get("from"))
        end = None if each.get("type") == "AT_LEAST" else start if each.get("type") == "EXACTLY" else _maybe(each, "to")
        reaches = end is None if following is None else end is not None and end + 1 == following.get("from")
        if not reaches or not isinstance(start, int) or start < 1:
            raise NotCarried("points by how often, in ranges that leave gaps or end")
        found.append((start, _value(each) - before))
        before = _value(each)
    return found


def _faded(rule: _Rule, group: Json) -> _Rule:
    """With the group's decay. HubSpot takes a share away after each interval; a half-life does so all the time."""
    decay = _dict(group, "groupDecay")
    percent, days = _maybe(decay, "percentToDecayPerInterval"), _maybe(decay, "decayIntervalDays")
    if "activity" not in rule.when or not percent or not days or percent < _LEAST_DECAY or days < 1:
        return rule
    if percent >= 100:
        return replace(rule, when={**rule.when, "in_last": rule.when.get("in_last") or f"{int(days)}d"})
    hours = round(min(days * 24 * math.log(0.5) / math.log(1 - percent / 100), _MOST_HOURS))
    half_life = f"{max(hours, 1)}h"
    return replace(rule, more={**rule.more, "half_life": half_life, "fade": "exponential"})


def _limited(rule: _Rule, configuration: Json) -> _Rule:
    most = _maybe(configuration, "maxValue")
    return replace(rule, more={**rule.more, "cap": _points(most)}) if rule.points > 0 and _limits(most) else rule


def _limits(most: float | None) -> TypeGuard[float]:
    """Can it be the limit of a model file, which is at least a hundredth of a point?"""
    return most is not None and _points(most) > 0


# The rest of the file.


def _head(score: Json, lost: Iterable[str]) -> str:
    name, status = _line(str(score.get("name"))), _line(str(score.get("scoreStatus")))
    lines = [
        f"# Made from HubSpot's lead score {name} (id {_line(str(score.get('id')))}, {status.lower()}).",
        "# A beginning: read it through, compare with `syncer simulate`, and make it yours.",
        "#",
        "# Names on the left of a condition are HubSpot's properties. A rule pays every lead that meets its condition;",
        "# of several that HubSpot knows as the values of one property, it may pay the first alone.",
    ]
    lines += ["#", "# Not carried over:", *(f"# - {each}" for each in lost)] if lost else []
    return "\n".join([*lines, "", f"name: {_quoted(_slug(name))}"])


def _stages(score: Json, sections: Sequence[_Section]) -> tuple[str, str]:
    """The stages, and where their thresholds come from: THRESHOLD, or why they are a proposal."""
    outputs = _rows(_dict(score, "outputConfiguration"), "outputs")
    tiers = next((_rows(each, "boundaries") for each in outputs if each.get("outputType") == "THRESHOLD"), [])
    found = {number(each["threshold"]): _line(str(each.get("label"))) for each in tiers if _maybe(each, "threshold")}
    named = sorted((limit, label) for limit, label in found.items() if limit > 0)[-len(_SHARES) :]
    top = named[0][0] if named else sum(section.reachable for section in sections) or _FULL
    lower = list(_SHARES)[: len(_SHARES) - len(named)]
    shares = {name: top * _SHARES[name] for name in lower} if not named else _below(top, lower)
    lines = ["stages:                            # coldest first", "  - name: cold"]
    for name, limit in shares.items():
        lines += [f"  - name: {name}", f"    enter: [total >= {_points(limit)}]     # a proposal"]
    for name, (limit, label) in zip(list(_SHARES)[len(lower) :], named, strict=True):
        lines += [f"  - name: {name}", f"    enter: [total >= {_points(limit)}]     # HubSpot: {label}"]
    kinds = {str(each.get("outputType")) for each in outputs}
    why = "HubSpot has a matrix of two scores" if "MATRIX" in kinds else "HubSpot has no thresholds for this score"
    return "\n".join(lines), "THRESHOLD" if named else why


def _below(top: float, names: Sequence[str]) -> dict[str, float]:
    """Thresholds in equal steps below the lowest one that is known."""
    return {name: top * rank / (len(names) + 1) for rank, name in enumerate(names, 1)}


# Texts.


def _points(points: float) -> float:
    """As a model file takes them: at most two decimals."""
    return number(round(points, 2))


def _words(when: Any) -> str:
    """A condition in a few words: "jobtitle contains director"."""
    if isinstance(when, Mapping):
        return " ".join(f"{key} {_words(inner)}".strip() for key, inner in when.items())
    if isinstance(when, list):
        return ", ".join(_words(each) for each in when)
    return str(when)


def _title(group: Json) -> str:
    return _line(str(group.get("groupName") or group.get("id")))


def _line(text: str) -> str:
    """In one line and without control characters: it stands in comments."""
    return " ".join("".join(each if unicodedata.category(each)[0] not in "CZ" else " " for each in text).split())


def _clipped(text: str) -> str:
    line = _line(text)
    return line if len(line) <= _NAME else line[: _NAME - 1].rstrip() + "…"


def _slug(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40] or "hubspot"


def _quoted(value: object) -> str:
    """JSON, which is YAML as well; what YAML does not take as it is, is escaped."""
    written = json.dumps(value, ensure_ascii=False)
    return "".join(f"\\u{ord(each):04x}" if unicodedata.category(each) in _ESCAPED else each for each in written)


_ESCAPED = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


# Reading JSON that may lack anything.


def _dict(given: Json, name: str) -> Json:
    found = given.get(name)
    return found if isinstance(found, dict) else {}


def _rows(given: Json, name: str) -> list[Json]:
    found = given.get(name)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _maybe(given: Json, name: str) -> float | None:
    found = given.get(name)
    return None if isinstance(found, bool) or not isinstance(found, int | float) else found


def _value(given: Json) -> float:
    return _points(number(given.get("value")))
