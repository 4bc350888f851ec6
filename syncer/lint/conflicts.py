"""Can a condition hold for anybody? Two tests may ask more of one field than any value has to give.

A condition holds in one of several *ways*: tests that must pass, and tests that must not. It can never hold where each
way asks for the impossible. What is said to be impossible is; a conflict that is too clever for us stays unsaid.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain, combinations, pairwise, product

from syncer.rules import ActivityTest, All, AnyOf, Condition, FieldTest, NoneOf, duration_text
from syncer.scoring.match import without_booleans
from syncer.scoring.predicates import RELATIVE, predicate
from syncer.scoring.values import domain, fold, number, text

_MOST_WAYS = 1_000
"""Nested alternatives multiply; a condition with more ways than this is believed to be possible."""
_MOST_LISTED = 3


@dataclass(frozen=True, slots=True)
class _Leaf:
    """One test on one way for a condition to hold. `passes` False: it must not pass, be it for want of a value."""

    test: FieldTest | ActivityTest
    passes: bool


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked of one field."""

    test: FieldTest
    passes: bool

    @property
    def answer(self) -> bool:
        """What the operator itself, before `negated`, must say of a value that it can read."""
        return self.passes != self.test.negated


def conflict(condition: Condition) -> str | None:
    """Why no lead can meet the condition, in words; None where one may."""
    if _count(condition, True) > _MOST_WAYS:
        return None
    reason = None
    for way in _ways(condition, True):
        found = _clash(way)
        if found is None:
            return None
        reason = reason or found
    return reason


# Conditions become ways.


def _joint(condition: All | AnyOf | NoneOf, passes: bool) -> bool:
    """Is all of it asked at once? Else one part is enough."""
    return isinstance(condition, AnyOf) != passes


def _inner(condition: All | AnyOf | NoneOf, passes: bool) -> bool:
    return passes != isinstance(condition, NoneOf)


def _count(condition: Condition, passes: bool) -> int:
    if isinstance(condition, FieldTest | ActivityTest):
        return 1
    counts = [_count(part, _inner(condition, passes)) for part in condition.conditions]
    return math.prod(counts) if _joint(condition, passes) else sum(counts)


def _ways(condition: Condition, passes: bool) -> list[tuple[_Leaf, ...]]:
    if isinstance(condition, FieldTest | ActivityTest):
        return [(_Leaf(condition, passes),)]
    parts = [_ways(part, _inner(condition, passes)) for part in condition.conditions]
    if _joint(condition, passes):
        return [tuple(chain.from_iterable(way)) for way in product(*parts)]
    return list(chain.from_iterable(parts))


def _clash(way: Sequence[_Leaf]) -> str | None:
    """The first thing that cannot be on this way."""
    fields = [_Asked(each.test, each.passes) for each in way if isinstance(each.test, FieldTest)]
    wanted = [each.test for each in way if isinstance(each.test, ActivityTest) and each.passes]
    barred = [each.test for each in way if isinstance(each.test, ActivityTest) and not each.passes]
    found = chain(
        _field_clashes(fields, ""),
        *(_field_clashes([_Asked(test, True) for test in one.tests], f"{one.kind}.") for one in wanted),
        (f"it asks for {one.kind} and for no {one.kind}" for one in wanted for other in barred if _bars(other, one)),
    )
    return next(found, None)


def _bars(barred: ActivityTest, wanted: ActivityTest) -> bool:
    """Is every activity that is wanted one that must not be?"""
    if barred.kind != wanted.kind:
        return False
    asked = [(_plain(test), test.negated) for test in wanted.tests]
    within = barred.in_last_ms is None or (wanted.in_last_ms is not None and wanted.in_last_ms <= barred.in_last_ms)
    return within and all((_plain(test), test.negated) in asked for test in barred.tests)


def _field_clashes(asked: Sequence[_Asked], owner: str) -> Iterator[str]:
    """For each field of which too much is asked, the fewest tests that say so; `owner` goes before the field's name."""
    by_field: dict[str, list[_Asked]] = {}
    for each in asked:
        by_field.setdefault(each.test.field, []).append(each)
    for field, tests in by_field.items():
        some = (*((one,) for one in tests), *combinations(tests, 2), tuple(tests))
        tight = next((each for each in some if _impossible(each)), None)
        if tight is not None:
            yield f"{owner}{field} would have to {' and '.join(map(_words, tight))}" + " at once" * (len(tight) > 1)


# What is asked of one field.


def _impossible(asked: Sequence[_Asked]) -> bool:
    """Can no value (none at all included) do all of it?"""
    checks = (_set_and_not, _opposed, _nowhere_on_the_line, _no_choice, _no_domain, _no_part)
    return any(check(asked) for check in checks)


def _set_and_not(asked: Sequence[_Asked]) -> bool:
    wanted = {bool(each.test.argument) == each.answer for each in asked if each.test.operator == "is_set"}
    wanted |= {True for each in asked if each.passes and each.test.operator != "is_set"}
    return len(wanted) == 2


def _opposed(asked: Sequence[_Asked]) -> bool:
    """The same question, with yes and no for an answer; one of the two must be given by a value."""
    return any(
        _plain(one.test) == _plain(other.test) and one.answer != other.answer and (one.passes or other.passes)
        for one, other in combinations(asked, 2)
    )


def _plain(test: FieldTest) -> FieldTest:
    """The question without its negation."""
    return replace(without_booleans(test), negated=False)


_Edge = float | Fraction
_LINE: Mapping[str, Callable[[Fraction, tuple[float, ...]], bool]] = {
    "between": lambda place, edges: edges[0] <= place <= edges[1],
    "at_least": lambda place, edges: place >= edges[0],
    "over": lambda place, edges: place > edges[0],
    "under": lambda place, edges: place < edges[0],
    "at_most": lambda place, edges: place <= edges[0],
    "newer_than": lambda age, edges: edges[0] <= age <= edges[1],
    "older_than": lambda age, edges: age > edges[1],
}
"""Operators on the line of numbers, or of ages in milliseconds (those of dates to come are negative)."""


def _edges(test: FieldTest) -> tuple[float, ...]:
    if test.operator in RELATIVE:
        return 0.0, float(int(float(str(test.argument))))
    bounds = test.argument if isinstance(test.argument, tuple) else (test.argument,)
    return tuple(float(bound) for bound in bounds)


def _nowhere_on_the_line(asked: Sequence[_Asked]) -> bool:
    """Is there no number, or no age, between, on or beyond the edges that all tests of its kind let pass?"""
    numeric = [each for each in asked if each.test.operator in _LINE and each.test.operator not in RELATIVE]
    dated = [each for each in asked if each.test.operator in RELATIVE]
    return any(_no_place(tests) for tests in (numeric, dated))


def _no_place(asked: Sequence[_Asked]) -> bool:
    if not any(each.passes for each in asked):
        return False  # a value that is no number does it
    edges = sorted({Fraction(edge) for each in asked for edge in _edges(each.test)})
    between = [(low + high) / 2 for low, high in pairwise(edges)]
    places = (edges[0] - 1, *edges, *between, edges[-1] + 1)
    return not any(
        all(_LINE[each.test.operator](place, _edges(each.test)) == each.answer for each in asked) for place in places
    )


@dataclass(frozen=True, slots=True)
class _Choice:
    """The values that one entry of an `any_of` lets pass: those spelt alike, or those that are the same number."""

    text: str  # as the test reads it: folded, unless `exact`
    exact: bool = False
    number: float | None = None  # given: whatever is this number, however it is spelt


def _choices(test: FieldTest) -> Iterator[_Choice]:
    for entry in test.argument if isinstance(test.argument, tuple) else (test.argument,):
        yield _Choice(text(entry) if test.exact else fold(text(entry)), test.exact)
        entry_number = None if isinstance(entry, str) else number(entry)
        if entry_number is not None:
            yield _Choice("", number=entry_number)


def _no_choice(asked: Sequence[_Asked]) -> bool:
    """Does every entry of an `any_of` that must pass fail one of the other tests?"""
    anchor = next((each for each in asked if each.passes and each.answer and each.test.operator == "any_of"), None)
    if anchor is None:
        return False
    return not any(all(_may(choice, each) for each in asked) for choice in _choices(anchor.test))


def _may(choice: _Choice, asked: _Asked) -> bool:
    """May a value of this choice do what is asked? No only where none of them can."""
    test = asked.test
    if test.operator in RELATIVE or test.operator == "is_set":
        return True
    if choice.number is not None:
        return _number_may(choice.number, asked)
    if choice.exact:
        return predicate(test)(choice.text) == asked.passes
    return _text_may(choice.text, asked)


def _number_may(value: float, asked: _Asked) -> bool:
    test = asked.test
    if test.operator in _LINE:
        return predicate(test)(value) == asked.passes
    if test.operator != "any_of":
        return True  # 50 may be spelt 50.0, +50 or 5e1
    named = any(choice.number == value for choice in _choices(test))
    return named or any(number(choice.text) == value for choice in _choices(test)) if asked.answer else not named


def _text_may(folded: str, asked: _Asked) -> bool:
    """Spellings that fold alike differ in capitals, accents and blanks: one may read as a number, another may not."""
    test = asked.test
    if test.operator == "domain_in" or (test.operator == "contains" and not test.exact):
        return predicate(test)(folded) == asked.passes
    if test.operator in _LINE:
        return not asked.passes or predicate(test)(folded)
    if test.operator != "any_of":
        return True
    if asked.answer:
        return any(_is_like(choice, folded) for choice in _choices(test))
    return test.exact or all(choice.number is not None or choice.text != folded for choice in _choices(test))


def _is_like(choice: _Choice, folded: str) -> bool:
    return fold(choice.text) == folded if choice.number is None else choice.number == number(folded)


def _no_domain(asked: Sequence[_Asked]) -> bool:
    tests = [each for each in asked if each.test.operator == "domain_in"]
    anchor = next((each for each in tests if each.passes and each.answer), None)
    if anchor is None:
        return False
    allowed = _domains(anchor.test)
    for each in tests:
        allowed = allowed & _domains(each.test) if each.answer else allowed - _domains(each.test)
    return not allowed


def _domains(test: FieldTest) -> set[str]:
    entries = test.argument if isinstance(test.argument, tuple) else (test.argument,)
    return {found for found in (domain(str(entry)) for entry in entries) if found is not None}


def _no_part(asked: Sequence[_Asked]) -> bool:
    """Does each text that may be contained have one in it that must not be?"""
    tests = [each for each in asked if each.test.operator == "contains"]
    anchor = next((each for each in tests if each.passes and each.answer), None)
    if anchor is None:
        return False
    barred = [
        part for each in tests if not each.answer and each.test.exact == anchor.test.exact for part in _parts(each.test)
    ]
    return all(any(part in whole for part in barred) for whole in _parts(anchor.test))


def _parts(test: FieldTest) -> list[str]:
    parts = test.argument if isinstance(test.argument, tuple) else (test.argument,)
    return [text(str(part)) if test.exact else fold(text(str(part))) for part in parts]


# Words.


def _words(asked: _Asked) -> str:
    test = asked.test
    if test.operator == "is_set":
        return "be filled" if bool(test.argument) == asked.answer else "be empty"
    phrase = _PHRASES[test.operator].format(_shown(test))
    return phrase if asked.answer else f"not {phrase}"


_PHRASES: Mapping[str, str] = {
    "any_of": "be {}",
    "contains": "contain {}",
    "matches": "match {}",
    "between": "be between {}",
    "at_least": "be at least {}",
    "over": "be over {}",
    "under": "be under {}",
    "at_most": "be at most {}",
    "domain_in": "have the domain {}",
    "older_than": "be older than {}",
    "newer_than": "be newer than {}",
}


def _shown(test: FieldTest) -> str:
    if test.operator in RELATIVE:
        return duration_text(int(_edges(test)[1]))
    entries = [text(each) for each in (test.argument if isinstance(test.argument, tuple) else (test.argument,))]
    if test.operator == "between":
        return " and ".join(entries)
    more = [f"… ({len(entries)} in all)"] if len(entries) > _MOST_LISTED else []
    return " or ".join([*entries[:_MOST_LISTED], *more]) or "of an empty list"
