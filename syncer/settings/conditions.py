"""`when:` as written in YAML -> `rules.Condition`. What the conditions mean is said in `rules` and `scoring`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, cast, get_args

from syncer.patterns import BadPattern, pattern
from syncer.rules import ActivityTest, All, AnyOf, Argument, Condition, FieldTest, NoneOf, Operator
from syncer.settings.problems import Mistake, Steps, Wrong, did_you_mean, quoted, wrong
from syncer.settings.values import span_ms

Lists = Mapping[str, tuple[str, ...]]

OPERATORS: tuple[str, ...] = get_args(Operator)
_ALIASES = {"is": "any_of"}
_TEXTUAL = ("any_of", "contains", "matches", "domain_in")
_WORDS = (*OPERATORS, *_ALIASES, *(f"not_{name}" for name in (*OPERATORS, *_ALIASES)), "not", "exact")
_GROUPS: Mapping[str, Callable[[tuple[Condition, ...]], Condition]] = {"any": AnyOf, "none": NoneOf}
RULE_KEYS = ("points", "each", "at_least", "per_day", "per", "cap", "half_life", "fade", "hold_at")
"""Keys of a rule that people put into its `when` by mistake."""
_MISPLACED = "'{}' belongs to the rule: beside `when`, not in it"


def read_condition(raw: Any, lists: Lists) -> Condition:
    """The condition; `Wrong` with every mistake in it."""
    reader = _Reader(lists)
    condition = reader.condition(raw, ())
    if reader.mistakes or condition is None:
        raise Wrong(*(reader.mistakes or [Mistake((), "says nothing")]))
    return condition


class _Reader:
    """Reads on after a mistake: what cannot be read becomes None, and the mistake is kept."""

    def __init__(self, lists: Lists) -> None:
        self.lists = lists
        self.mistakes: list[Mistake] = []

    def _no(self, steps: Steps, message: str, help: str = "", code: str = "SY006") -> None:
        self.mistakes.append(Mistake(steps, message, help, code))

    def _no_key(self, steps: Steps, message: str, help: str = "", code: str = "SY004") -> None:
        self.mistakes.append(Mistake(steps, message, help, code, at_key=True))

    def condition(self, raw: Any, steps: Steps) -> Condition | None:
        if not isinstance(raw, Mapping) or not raw:
            self._no(steps, f"a condition is a mapping, not {quoted(raw)}", "write for example {country: [ES, MX]}")
            return None
        if "activity" in raw:
            return self._activity(raw, steps)
        parts: list[Condition | None] = []
        for name, inner in raw.items():
            parts += self._part(str(name), inner, (*steps, str(name)))
        return _joined(parts)

    def _part(self, name: str, raw: Any, steps: Steps) -> list[Condition | None]:
        if name == "all":
            return self._list(raw, steps)
        if name in _GROUPS:
            parts = [part for part in self._list(raw, steps) if part is not None]
            return [_GROUPS[name](tuple(parts))]
        if name == "in_last":
            self._no_key(steps, "'in_last' stands beside `activity`", "for a date field write {newer_than: 30d}")
            return [None]
        if not self._is_field(name, steps):
            return [None]
        return self._joined_tests(name, raw, steps)

    def _list(self, raw: Any, steps: Steps) -> list[Condition | None]:
        if not isinstance(raw, list) or not raw:
            self._no(steps, f"'{steps[-1]}' takes a list of conditions, not {quoted(raw)}")
            return [None]
        return [self.condition(inner, (*steps, index)) for index, inner in enumerate(raw)]

    def _is_field(self, name: str, steps: Steps) -> bool:
        if name in RULE_KEYS and name not in OPERATORS:
            self._no_key(steps, _MISPLACED.format(name))
        elif name in _WORDS:
            self._no_key(steps, f"'{name}' asks something of a field", f"write field: {{{name}: ...}}")
        elif not name.strip():
            self._no_key(steps, "a field needs a name")
        else:
            return True
        return False

    def _activity(self, raw: Mapping[str, Any], steps: Steps) -> Condition | None:
        kinds = self._kinds(raw["activity"], (*steps, "activity"))
        in_last_ms = self._try(lambda: span_ms(raw["in_last"]), (*steps, "in_last")) if "in_last" in raw else None
        tests: list[FieldTest] = []
        for name, inner in raw.items():
            if name not in ("activity", "in_last"):
                tests += self._activity_field(str(name), inner, (*steps, str(name)))
        found = tuple(ActivityTest(kind, tuple(tests), in_last_ms) for kind in kinds)
        return None if not found else found[0] if len(found) == 1 else AnyOf(found)

    def _kinds(self, raw: Any, steps: Steps) -> list[str]:
        kinds = raw if isinstance(raw, list) and raw else [raw]
        for index, kind in enumerate(kinds):
            if not isinstance(kind, str) or not kind.strip():
                where = (*steps, index) if kinds is raw else steps
                self._no(where, f"an activity is named by text, not {quoted(kind)}", "for example page_view")
        return [kind for kind in kinds if isinstance(kind, str) and kind.strip()]

    def _activity_field(self, name: str, raw: Any, steps: Steps) -> list[FieldTest]:
        if name in ("all", "any", "none"):
            help = f"put the activity into a list of its own: all: [{{activity: ...}}, {{{name}: ...}}]"
            self._no_key(steps, f"beside `activity` stand its own fields, not '{name}'", help)
            return []
        if name == "at_least":
            self._no_key(steps, _MISPLACED.format(name))
            return []
        if not self._is_field(name, steps):
            return []
        tests: list[FieldTest] = []
        for test in self._joined_tests(name, raw, steps):
            if isinstance(test, FieldTest):
                tests.append(test)
            elif test is not None:
                self._no(steps, "within an activity `not` takes one operator", "write the operators with not_")
        return tests

    def _joined_tests(self, name: str, raw: Any, steps: Steps) -> list[Condition | None]:
        """Everything asked of one field; all of it must hold."""
        if not isinstance(raw, Mapping):
            return [self._test(FieldTest(name, "any_of", ()), raw, steps)]
        exact = raw.get("exact", False)
        if not isinstance(exact, bool):
            self._no((*steps, "exact"), f"'exact' is true or false, not {quoted(exact)}")
            return [None]
        if not set(raw) - {"exact"}:
            self._no(steps, f"asks nothing of '{name}'", "write for example {contains: director}")
            return [None]
        found: list[Condition | None] = []
        for word, inner in raw.items():
            if word != "exact":
                found.append(self._operator(name, str(word), (inner, exact), (*steps, str(word))))
        return found

    def _operator(self, name: str, word: str, asked: tuple[Any, bool], steps: Steps) -> Condition | None:
        raw, exact = asked
        if word == "not":
            inner = (
                {**raw, "exact": raw.get("exact", exact)} if isinstance(raw, Mapping) else {"is": raw, "exact": exact}
            )
            return self._negated(self._joined_tests(name, inner, steps))
        plain = word.removeprefix("not_")
        plain = _ALIASES.get(plain, plain)
        if plain not in OPERATORS:
            self._no_key(steps, f"there is no operator '{word}'", did_you_mean(word, _WORDS), "SY007")
            return None
        if exact and plain not in _TEXTUAL:
            self._no((*steps[:-1], "exact"), f"'exact' is for texts, not for '{plain}'")
            return None
        operator = cast(Operator, plain)
        return self._test(FieldTest(name, operator, (), word.startswith("not_"), exact), raw, steps)

    def _negated(self, tests: list[Condition | None]) -> Condition | None:
        """not (a and b) is (not a) or (not b)."""
        turned = [_turned(test) for test in tests if test is not None]
        if not turned or len(turned) < len(tests):
            return None
        return turned[0] if len(turned) == 1 else AnyOf(tuple(turned))

    def _test(self, test: FieldTest, raw: Any, steps: Steps) -> FieldTest | None:
        argument = self._try(lambda: _ARGUMENTS[test.operator](raw, self.lists), steps)
        if test.operator == "matches" and argument is not None and not test.exact:  # its accents go: [z-é] is no range
            argument = self._try(lambda: _checked(argument, exact=False), steps)
        if argument is None:
            return None
        negated = test.negated
        if test.operator == "is_set" and negated:
            argument, negated = not argument, False  # one meaning, one spelling
        return FieldTest(test.field, test.operator, argument, negated, test.exact)

    def _try(self, read: Callable[[], Any], steps: Steps) -> Any:
        try:
            return read()
        except Wrong as error:
            for mistake in error.mistakes:
                self._no((*steps, *mistake.steps), mistake.message, mistake.help, mistake.code)
            return None


def _joined(parts: list[Condition | None]) -> Condition | None:
    whole = [part for part in parts if part is not None]
    if not whole or len(whole) < len(parts):
        return None
    return whole[0] if len(whole) == 1 else All(tuple(whole))


def _turned(test: Condition) -> Condition:
    if isinstance(test, AnyOf):
        return All(tuple(_turned(inner) for inner in test.conditions))
    if isinstance(test, All):
        return AnyOf(tuple(_turned(inner) for inner in test.conditions))
    if not isinstance(test, FieldTest):
        raise TypeError(f"only tests of one field are turned round, not {test!r}")
    if test.operator == "is_set":
        return FieldTest(test.field, "is_set", not test.argument, False, test.exact)
    return FieldTest(test.field, test.operator, test.argument, not test.negated, test.exact)


# Each of these reads what stands behind one operator, or raises `Wrong`.


def _number(raw: Any) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not math.isfinite(_float(raw)):
        help = "write a number without quotes; for dates use older_than or newer_than"
        raise wrong(f"{quoted(raw)} is not a number", help)
    return int(raw) if float(raw).is_integer() else float(raw)


def _float(raw: float) -> float:
    try:
        return float(raw)
    except OverflowError:
        return math.inf


def _value(raw: Any) -> str | float | bool:
    if raw is None:
        raise wrong("stands here without a value", "to ask for a field that is not set, write {is_set: false}")
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, int | float):
        return _number(raw)
    if not isinstance(raw, str):
        raise wrong(f"a value is text, a number, true or false, not {quoted(raw)}")
    return raw


def _text(raw: Any) -> str:
    if isinstance(raw, str) and raw.strip():
        return raw
    if isinstance(raw, int | float) and not isinstance(raw, bool):
        raise wrong(f"{quoted(raw)} is a number; text is looked for here", f'write it in quotes: "{raw}"')
    raise wrong(f"text is looked for here, not {quoted(raw)}")


def _many(read: Callable[[Any], Any]) -> Callable[[Any, Lists], tuple[Any, ...]]:
    def many(raw: Any, _lists: Lists) -> tuple[Any, ...]:
        if not isinstance(raw, list):
            return (read(raw),)
        if not raw:
            raise wrong("an empty list never fits")
        return tuple(_each(read, raw))

    return many


def _each(read: Callable[[Any], Any], raw: list[Any]) -> list[Any]:
    found, mistakes = [], []
    for index, inner in enumerate(raw):
        try:
            found.append(read(inner))
        except Wrong as error:
            mistakes += [Mistake((index, *one.steps), one.message, one.help, one.code) for one in error.mistakes]
    if mistakes:
        raise Wrong(*mistakes)
    return found


def _pattern(raw: Any, _lists: Lists) -> str:
    text = _text(raw)
    return _checked(text, exact=True)


def _checked(written: str, *, exact: bool) -> str:
    try:
        pattern(written, exact=exact)
    except BadPattern as error:
        raise wrong(f"{quoted(written)} is not a regular expression: {error}") from None
    return written


def _between(raw: Any, _lists: Lists) -> tuple[float, float]:
    if not isinstance(raw, list) or len(raw) != 2:
        raise wrong(f"'between' takes two numbers, not {quoted(raw)}", "write for example {between: [50, 1000]}")
    low, high = _each(_number, raw)
    if low > high:
        raise wrong(f"nothing is between {quoted(low)} and {quoted(high)}", "write the smaller number first")
    return low, high


def _flag(raw: Any, _lists: Lists) -> bool:
    if not isinstance(raw, bool):
        raise wrong(f"'is_set' is true or false, not {quoted(raw)}")
    return raw


def _domains(raw: Any, lists: Lists) -> tuple[str, ...]:
    if isinstance(raw, str) and "." not in raw:
        if raw not in lists:
            help = did_you_mean(raw, lists, known_as="lists of this file")
            raise wrong(f"there is no list {quoted(raw)}", help, "SY007")
        return lists[raw]
    texts: tuple[str, ...] = _many(_text)(raw, lists)
    return tuple(text.strip().lower().removeprefix("@") for text in texts)


_ARGUMENTS: Mapping[Operator, Callable[[Any, Lists], Argument]] = {
    "any_of": _many(_value),
    "contains": _many(_text),
    "matches": _pattern,
    "between": _between,
    "at_least": lambda raw, _: _number(raw),
    "over": lambda raw, _: _number(raw),
    "under": lambda raw, _: _number(raw),
    "at_most": lambda raw, _: _number(raw),
    "is_set": _flag,
    "domain_in": _domains,
    "older_than": lambda raw, _: span_ms(raw),
    "newer_than": lambda raw, _: span_ms(raw),
}
