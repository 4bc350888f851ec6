"""Each `FieldTest` as a function of one value. None of them depends on the time of scoring.

`older_than` and `newer_than` do, so they are no predicates here: a lead's date is matched as a hit with a window
(see `match`), and an activity's date is compared with the activity's own time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from syncer.model import Value
from syncer.patterns import pattern
from syncer.rules import Argument, FieldTest
from syncer.scoring.values import domain, fold, is_set, moment_ms, number, text

Predicate = Callable[[Value], bool]
RELATIVE = ("older_than", "newer_than")


def predicate(test: FieldTest) -> Predicate:
    """The test as a function of the field's value. A value that is not set passes nothing but `is_set: false`."""
    if test.operator == "is_set":
        return lambda value: is_set(value) == (test.argument != test.negated)
    asked = _ASK[test.operator](test)

    def holds(value: Value) -> bool:
        answer = asked(value) if is_set(value) else None
        return answer is not None and answer != test.negated

    return holds


def holds_at(test: FieldTest, value: Value, as_of_ms: int) -> bool:
    """`older_than` / `newer_than` of a date seen from `as_of_ms`; a date still to come is neither."""
    at = moment_ms(value)
    if at is None:
        return False
    age_ms, span_ms = as_of_ms - at, int(_number(test.argument))
    young = 0 <= age_ms <= span_ms
    answer = young if test.operator == "newer_than" else age_ms > span_ms
    return answer != test.negated


# Each of these answers True or False, or None for a value that cannot be read as the asked type.
_Ask = Callable[[Value], bool | None]


def _texts(argument: Argument) -> tuple[str | float | bool, ...]:
    return argument if isinstance(argument, tuple) else (argument,)


def _number(argument: Argument) -> float:
    if isinstance(argument, tuple | str):
        raise TypeError(f"a number is needed, not {argument!r}")  # settings never builds such a rule
    return float(argument)


def _reader(test: FieldTest) -> Callable[[Value], str]:
    return text if test.exact else lambda value: fold(text(value))


def _any_of(test: FieldTest) -> _Ask:
    read = _reader(test)
    texts = {read(wanted) for wanted in _texts(test.argument)}
    wanted_numbers = (number(wanted) for wanted in _texts(test.argument) if not isinstance(wanted, str))
    numbers = {wanted for wanted in wanted_numbers if wanted is not None}  # a bool is none
    return lambda value: read(value) in texts or (bool(numbers) and number(value) in numbers)


def _contains(test: FieldTest) -> _Ask:
    read = _reader(test)
    parts = [read(str(part)) for part in _texts(test.argument)]
    return lambda value: any(part in read(value) for part in parts)


def _matches(test: FieldTest) -> _Ask:
    """None too of a text over which the search was given up: it neither matches nor does not."""
    written = str(test.argument)
    look = pattern(written, exact=test.exact)

    def asked(value: Value) -> bool | None:
        found = look.found_in(text(value))
        if found is None:
            _given_up.setdefault(written)
        return found

    return asked


_given_up: dict[str, None] = {}


def given_up() -> tuple[str, ...]:
    """The patterns that were given up over some text since this was last asked; whoever asks tells of them. Each comes
    once in the life of a process."""
    fresh = tuple(each for each in _given_up if each not in _told)
    _told.update(dict.fromkeys(fresh))
    return fresh


_told: dict[str, None] = {}


def _between(test: FieldTest) -> _Ask:
    low, high = (_number(bound) for bound in _texts(test.argument))
    return _numeric(lambda read: low <= read <= high)


def _numeric(compare: Callable[[float], bool]) -> _Ask:
    def asked(value: Value) -> bool | None:
        read = number(value)
        return None if read is None else compare(read)

    return asked


def _domain_in(test: FieldTest) -> _Ask:
    domains = {domain(str(wanted)) for wanted in _texts(test.argument)}

    def asked(value: Value) -> bool | None:
        read = domain(value)
        return None if read is None else read in domains

    return asked


_ASK: Mapping[str, Callable[[FieldTest], _Ask]] = {
    "any_of": _any_of,
    "contains": _contains,
    "matches": _matches,
    "between": _between,
    "at_least": lambda test: _numeric(lambda read: read >= _number(test.argument)),
    "over": lambda test: _numeric(lambda read: read > _number(test.argument)),
    "under": lambda test: _numeric(lambda read: read < _number(test.argument)),
    "at_most": lambda test: _numeric(lambda read: read <= _number(test.argument)),
    "domain_in": _domain_in,
}
