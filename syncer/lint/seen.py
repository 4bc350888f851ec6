"""What real leads meet in a model: counted chunk by chunk, then told.

A count of a chunk is a value, and counts add up, so a base of any size is looked at in the memory of one chunk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from syncer.lint.findings import Finding
from syncer.lint.reach import never
from syncer.model import Signals, Value
from syncer.patterns import pattern
from syncer.rules import ActivityTest, Condition, FieldTest, Ignore, Model, NoneOf, Rule, leaves
from syncer.scoring import evaluate, match
from syncer.scoring.predicates import RELATIVE
from syncer.scoring.values import domain, is_set, moment_ms, number, text

FEWEST = 50
"""Of fewer leads than these, what nobody has says little: with 50 it may still be one in 17."""
_NEARLY_ALL = 95  # per cent
_LONGEST_SHAPE = 24

_EVERY_KIND = "*"  # of activities

Kind = Literal["number", "date", "domain", "text"]
_READERS: Mapping[str, Callable[[Value], object]] = {"number": number, "date": moment_ms, "domain": domain}
_KINDS: Mapping[str, Kind] = {"domain_in": "domain", "matches": "text"}
_NUMERIC = ("between", "at_least", "over", "under", "at_most")


@dataclass(frozen=True, slots=True, order=True)
class Column:
    """A field that a rule reads as something: of the leads, or of the activities of one kind."""

    activity: str  # "" for a lead's own
    field: str
    kind: Kind
    pattern: str = ""  # of a text: what is looked for in it
    exact: bool = False

    def read(self, value: Value) -> object:
        """None where it cannot be read as what is asked for; of a text, where looking for it is given up."""
        if self.kind == "text":
            return pattern(self.pattern, exact=self.exact).found_in(text(value))
        return _READERS[self.kind](value)

    def __str__(self) -> str:
        return f"{self.activity}.{self.field}" if self.activity else self.field


@dataclass(frozen=True, slots=True)
class Seen:
    """What some leads met. `shapes` shows one unreadable value of each column, with its letters and digits masked."""

    leads: int = 0
    filled: Counter[str] = field(default_factory=Counter)  # field -> leads that have it
    kinds: Counter[str] = field(default_factory=Counter)  # kind of activity -> leads with one
    fired: Counter[str] = field(default_factory=Counter)  # rule's id -> leads it pays for now
    values: Counter[Column] = field(default_factory=Counter)  # how many are set
    unread: Counter[Column] = field(default_factory=Counter)  # of these, how many cannot be read
    shapes: Mapping[Column, str] = field(default_factory=dict)

    def __add__(self, other: Seen) -> Seen:
        return Seen(
            self.leads + other.leads,
            self.filled + other.filled,
            self.kinds + other.kinds,
            self.fired + other.fired,
            self.values + other.values,
            self.unread + other.unread,
            {**other.shapes, **self.shapes},
        )


def count(leads: Sequence[Signals], model: Model, as_of: datetime) -> Seen:
    """What these leads meet in the model as of then."""
    paid = (evaluate(match(leads, model), model, as_of).matches > 0).sum(axis=0)
    seen = Seen(
        leads=len(leads),
        filled=Counter(name for lead in leads for name, value in lead.fields.items() if is_set(value)),
        kinds=Counter(kind for lead in leads for kind in _kinds_of(lead)),
        fired=Counter({rule.id: int(paid[place]) for place, (_, rule) in enumerate(model.rules)}),
    )
    return seen + count_read(leads, (condition for _, condition in _places(model)))


def count_read(leads: Iterable[Signals], conditions: Iterable[Condition]) -> Seen:
    """How many of the values that the conditions look at can be read as what they ask for, and nothing else."""
    values: Counter[Column] = Counter()
    unread: Counter[Column] = Counter()
    shapes: dict[Column, str] = {}
    columns = _columns(conditions)
    for lead in leads:
        for column, value in _cells(lead, columns):
            values[column] += 1
            if column.read(value) is None:
                unread[column] += 1
                shapes.setdefault(column, shape(text(value)))
    return Seen(values=values, unread=unread, shapes=shapes)


def seen_findings(seen: Seen, model: Model, sampled_from: int | None = None) -> Iterator[Finding]:
    """What the count says of the model. `sampled_from`: how many leads there are, where not all were looked at."""
    if seen.leads >= FEWEST:
        sampled = "" if sampled_from is None else f" (in a sample of {sampled_from:,})"
        yield from _of_rules(seen, model, f"{seen.leads:,} leads{sampled}")
    yield from unread_findings(seen, _places(model))


def unread_findings(seen: Seen, asking: Iterable[tuple[str, Condition]]) -> Iterator[Finding]:
    """The columns with values that cannot be read. `asking`: conditions, each with its place."""
    places = {column: where for where, condition in reversed(list(asking)) for column in _columns_of(condition)}
    for column, unread in sorted(seen.unread.items()):
        where = places.get(column) or places.get(replace(column, activity=_EVERY_KIND), "")
        if column.kind == "text":
            yield _too_much(column, unread, where)
            continue
        what = f"{unread:,} of {seen.values[column]:,} values of {column} cannot be read as {column.kind}s"
        message = f"{what} and count as not set, for example one of the form '{seen.shapes[column]}'"
        help_ = "correct them in the CRM, or compare them as text"
        yield Finding("warning", message, "SY097", where, help_)


def _too_much(column: Column, unread: int, where: str) -> Finding:
    what = f"looking for {column.pattern} is given up over {unread:,} of the values of {column}"
    help_ = "no value needs so many steps of a pattern without repeats inside of repeats, as in (a+)+"
    return Finding("warning", f"{what}: they neither match it nor do not", "SY211", where, help_)


def _kinds_of(lead: Signals) -> set[str]:
    return {each.kind for each in lead.activities} | {each.kind for each in lead.readings if each.value}


def _cells(lead: Signals, columns: Mapping[str, Sequence[Column]]) -> Iterator[tuple[Column, Value]]:
    """Everything of the lead that is set and stands in one of the columns; these are by their activity."""
    for column in columns.get("", ()):
        if is_set(lead.fields.get(column.field)):
            yield column, lead.fields[column.field]
    for activity in lead.activities:
        everywhere = (replace(column, activity=activity.kind) for column in columns.get(_EVERY_KIND, ()))
        for column in dict.fromkeys([*columns.get(activity.kind, ()), *everywhere]):
            if is_set(activity.fields.get(column.field)):
                yield column, activity.fields[column.field]


def _columns(conditions: Iterable[Condition]) -> Mapping[str, Sequence[Column]]:
    """By their activity."""
    found: dict[str, list[Column]] = {}
    for column in dict.fromkeys(column for condition in conditions for column in _columns_of(condition)):
        found.setdefault(column.activity, []).append(column)
    return found


def _columns_of(condition: Condition) -> Iterator[Column]:
    for leaf in leaves(condition):
        activity, tests = (leaf.kind, leaf.tests) if isinstance(leaf, ActivityTest) else ("", (leaf,))
        for test in tests:
            kind = _kind(test)
            if kind == "text":
                yield Column(activity, test.field, kind, str(test.argument), test.exact)
            elif kind is not None:
                yield Column(activity, test.field, kind)


def _kind(test: FieldTest) -> Kind | None:
    if test.operator in RELATIVE:
        return "date"
    return "number" if test.operator in _NUMERIC else _KINDS.get(test.operator)


def shape(value: str) -> str:
    """What a value looks like, without what it says: "+34 600-SALES" -> "+99 999-aaaaa"."""
    masked = "".join(_mask(char) for char in value[:_LONGEST_SHAPE])
    return masked + "…" * (len(value) > _LONGEST_SHAPE)


def _mask(char: str) -> str:
    if char.isnumeric():
        return "9"
    return "a" if char.isalpha() else char if char.isascii() and char.isprintable() else "?"


# What is told.


def _of_rules(seen: Seen, model: Model, who: str) -> Iterator[Finding]:
    """Rules that no facts could move are not told again: `findings` has done so."""
    rules = [rule for _, rule in model.rules if never(rule, model.timezone) is None]
    idle = [rule for rule in rules if not seen.fired[rule.id]]
    told: set[str] = set()
    for rule in idle:
        reasons = list(_lacks(rule.when, seen, who))
        told.update(reasons)
        yield _idle(rule, reasons, who)
    for rule in (rule for rule in rules if rule not in idle):
        for reason in _lacks(rule.when, seen, who):
            if reason not in told:
                message = f"'{rule.name}' asks for something in vain: {reason}"
                yield Finding("warning", message, "SY095", rule.where, _LACKS_HELP)
            told.add(reason)
        if seen.fired[rule.id] * 100 >= seen.leads * _NEARLY_ALL:
            yield _everybody(rule, seen, who)


_LACKS_HELP = "correct the name, map it in the connection, or see that it gets filled"


def _idle(rule: Rule, reasons: Sequence[str], who: str) -> Finding:
    if reasons:
        return Finding("warning", f"'{rule.name}' cannot fire: {'; '.join(reasons)}", "SY095", rule.where, _LACKS_HELP)
    help_ = "compare what it asks for with what the CRM shows"
    return Finding("warning", f"'{rule.name}' fires for none of {who}", "SY095", rule.where, help_)


def _everybody(rule: Rule, seen: Seen, who: str) -> Finding:
    share = seen.fired[rule.id] * 100 // seen.leads
    message = f"'{rule.name}' fires for {share} % of {who}: its points hardly tell them apart"
    return Finding("warning", message, "SY096", rule.where, "ask for more, or take it out and lower the thresholds")


def _lacks(condition: Condition, seen: Seen, who: str) -> Iterator[str]:
    """Fields and kinds of activities that the condition asks for and no lead has."""
    for leaf in dict.fromkeys(_wanted(condition)):
        if isinstance(leaf, ActivityTest):
            if not seen.kinds[leaf.kind]:
                yield f"no activity '{leaf.kind}' is known of any of {who}"
        elif not seen.filled[leaf.field]:
            yield f"{leaf.field} is empty in all {who}"


def _wanted(condition: Condition) -> Iterator[FieldTest | ActivityTest]:
    """The tests that only something can pass; of what must not be, nothing need be there."""
    if isinstance(condition, ActivityTest):
        yield condition
    elif isinstance(condition, FieldTest):
        if condition.operator != "is_set" or bool(condition.argument) != condition.negated:
            yield condition
    elif not isinstance(condition, NoneOf):
        for part in condition.conditions:
            yield from _wanted(part)


# Everything that is asked.


def _places(model: Model) -> Iterator[tuple[str, Condition]]:
    """Each condition with its place, those of hygiene included."""
    yield from ((rule.where, rule.when) for _, rule in model.rules)
    yield from ((veto.where, veto.when) for veto in model.vetoes)
    yield from ((stage.where, condition) for stage in model.stages for condition in stage.or_any)
    yield from ((ignore.where, condition) for ignore in model.ignores for condition in _of_ignore(ignore))


def _of_ignore(ignore: Ignore) -> Iterator[Condition]:
    if ignore.lead is not None:
        yield ignore.lead
    if ignore.tests:
        yield from (ActivityTest(kind, ignore.tests) for kind in ignore.kinds or (_EVERY_KIND,))
