"""Random models, leads and times that often meet an edge: whole hours, window ends, halves, clock changes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from syncer.model import ActivitySignal, Reading, RecordKey, Signals, Value
from syncer.rules import (
    DIMENSIONS,
    ActivityTest,
    All,
    AnyOf,
    Burst,
    Condition,
    Dimension,
    Fade,
    FieldTest,
    Follows,
    Frequency,
    Gate,
    Ignore,
    Model,
    NoneOf,
    Rule,
    Stage,
    Veto,
)

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
AS_OF = datetime(2025, 4, 6, 2, 40, 0, 500_000, tzinfo=UTC)  # a week after Europe changed its clocks
KINDS = ("open", "click", "demo")
NAMES = ("country", "size", "email", "signed", "score")
ZONES = ("UTC", "Europe/Madrid", "America/St_Johns", "Australia/Adelaide", "Asia/Kolkata", "America/Havana")

TEXTS = ("Dirección", "direccion", "DIRECCION  general", "ES", "es", "true", "1", "1.0", "50", "Ana@Gmail.com",
         "Straße", "n/a", " ", "1,5", "STRASSE")  # fmt: skip
DATES = (
    "2025-03-30",
    "2025-03-30T01:00:00+02:00",
    "2025-04-06T02:40:00.500Z",
    "2026-01-01",
    "1743907200500",
    "31/12/2024",
)

values: SearchStrategy[Value] = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, 1, 49, 50, 51, 100, -3]),
    st.sampled_from([0.1, 1.0, 49.5, 50.0, 0.30000000000000004]),
    st.sampled_from(TEXTS),
    st.sampled_from(DATES),
)
fields = st.dictionaries(st.sampled_from(NAMES), values, max_size=5)


def ages_ms() -> SearchStrategy[int]:
    """How long before AS_OF: around whole hours and days, exactly on edges, a little in the future."""
    near = st.integers(-30, 24 * 70).map(lambda hours: hours * HOUR_MS)
    return st.one_of(
        st.builds(lambda base, off: base + off, near, st.sampled_from([-1, 0, 1, 17 * 60_000, 1_799_999])),
        st.integers(-2 * HOUR_MS, 70 * DAY_MS),
    )


moments = ages_ms().map(lambda age: AS_OF - timedelta(milliseconds=age))
activities = st.builds(
    ActivitySignal,
    kind=st.sampled_from(KINDS),
    at=moments,
    fields=st.dictionaries(st.sampled_from(("country", "size", "signed")), values, max_size=2),
)


@st.composite
def _readings(draw: st.DrawFn) -> tuple[Reading, ...]:
    """By record and kind, oldest first."""
    found: list[Reading] = []
    for kind in draw(st.lists(st.sampled_from(KINDS), unique=True, max_size=2)):
        seen = AS_OF - timedelta(days=50)
        for value in draw(st.lists(st.sampled_from([0, 1, 2, 5, 7, 4, 2_000]), min_size=1, max_size=3)):
            seen += timedelta(days=3)
            last = draw(st.one_of(st.none(), st.just(seen - timedelta(hours=5))))
            found.append(Reading(RecordKey("crm", "contacts", "1"), kind, value, last, seen))
    return tuple(found)


leads = st.builds(
    Signals,
    lead=st.integers(1, 10**6),
    fields=fields,
    activities=st.lists(activities, max_size=12).map(tuple),
    readings=st.one_of(st.just(()), _readings()),
)

_words = st.lists(st.sampled_from((*TEXTS, 1, 50, 49.5, True, False)), min_size=1, max_size=3).map(tuple)
_parts = st.lists(st.sampled_from(("cion", "ECCIÓN", "e", "gmail", "1", "ss")), min_size=1, max_size=2).map(tuple)
_numbers = st.sampled_from((0, 1, 49.5, 50, 0.1, 0.3, -3))
_spans = st.sampled_from((0, HOUR_MS, 7 * DAY_MS, 30 * DAY_MS, 5 * DAY_MS + 1))
_ARGUMENTS: dict[str, SearchStrategy[Any]] = {
    "any_of": _words,
    "contains": _parts,
    "matches": st.sampled_from((r"^dire", r"ción\b", r"\d{2}", r"^[a-z]+$", r"^ES$")),
    "between": st.tuples(_numbers, _numbers).map(lambda pair: tuple(sorted(pair))),
    "at_least": _numbers,
    "over": _numbers,
    "under": _numbers,
    "at_most": _numbers,
    "is_set": st.booleans(),
    "domain_in": st.just(("gmail.com", "acme.es")),
    "older_than": _spans,
    "newer_than": _spans,
}


@st.composite
def field_tests(draw: st.DrawFn, names: tuple[str, ...] = NAMES) -> FieldTest:
    operator: Any = draw(st.sampled_from(sorted(_ARGUMENTS)))
    argument = draw(_ARGUMENTS[operator])
    return FieldTest(draw(st.sampled_from(names)), operator, argument, draw(st.booleans()), draw(st.booleans()))


activity_tests = st.builds(
    ActivityTest,
    kind=st.sampled_from(KINDS),
    tests=st.one_of(st.just(()), st.lists(field_tests(("country", "size", "signed")), max_size=2).map(tuple)),
    in_last_ms=st.one_of(st.none(), st.sampled_from((HOUR_MS, 7 * DAY_MS, 30 * DAY_MS, 5 * DAY_MS + 1))),
)


def _groups(inner: SearchStrategy[Condition]) -> SearchStrategy[Condition]:
    kinds: tuple[Callable[..., Condition], ...] = (All, AnyOf, NoneOf)
    parts = st.lists(inner, min_size=1, max_size=3).map(tuple)
    return st.one_of(*(st.builds(kind, parts) for kind in kinds))


conditions: SearchStrategy[Condition] = st.recursive(st.one_of(field_tests(), activity_tests), _groups, max_leaves=4)
_counting = st.one_of(activity_tests, st.builds(lambda test, rest: All((rest, test)), activity_tests, conditions))
whens: SearchStrategy[Condition] = st.one_of(_counting, _counting, conditions)
frequencies = st.builds(
    Frequency, count=st.integers(1, 2), every_ms=st.sampled_from((DAY_MS, 7 * DAY_MS, HOUR_MS, HOUR_MS // 2))
)
fades = st.builds(
    Fade,
    curve=st.sampled_from(("exponential", "linear", "step", "none")),
    half_life_hours=st.sampled_from((1, 2, 5, 24, 24 * 7, 24 * 30)),
)
caps = st.one_of(st.none(), st.sampled_from((1, 333, 1500)))
points = st.one_of(st.sampled_from((1, -1, 5, 100, 250, -1250, 3333)), st.integers(-10_000, 10_000))


@st.composite
def dimensions(draw: st.DrawFn, name: str) -> Dimension:
    rules = []
    for number in range(draw(st.integers(1, 3))):
        rules.append(
            Rule(
                id=f"{name}-{number}",
                name=f"{name} {number}",
                when=draw(whens),
                points=draw(points),
                each=draw(st.booleans()),
                at_least=draw(st.sampled_from((1, 1, 2, 3))),
                frequency=draw(st.one_of(st.none(), frequencies)),
                cap=draw(caps),
                fade=draw(fades),
                where=f"models/m.yml:{number + 2}",
            )
        )
    low, high = draw(st.sampled_from(((None, None), (None, 2000), (-500, None), (-100, 1500), (0, 0))))
    return Dimension(name, tuple(rules), max=high, min=low, where="models/m.yml:1")


def _plain_tests() -> SearchStrategy[FieldTest]:
    return field_tests().filter(lambda test: test.operator not in ("older_than", "newer_than"))


ignores = st.builds(
    Ignore,
    id=st.just("void"),
    name=st.just("Void"),
    kinds=st.sampled_from(((), ("open",), ("open", "click"))),
    tests=st.one_of(st.just(()), st.lists(field_tests(("country", "size", "signed")), max_size=1).map(tuple)),
    lead=st.one_of(st.none(), st.recursive(_plain_tests(), _groups, max_leaves=2)),
    follows=st.one_of(
        st.none(),
        st.builds(
            Follows,
            st.sampled_from(KINDS),
            st.sampled_from((0, HOUR_MS, 20 * DAY_MS)),
            st.sampled_from((None, "country")),
        ),
    ),
    burst=st.one_of(
        st.none(),
        st.builds(
            Burst,
            st.sampled_from((1, 2)),
            st.sampled_from((HOUR_MS, 20 * DAY_MS)),
            st.sampled_from((None, "country")),
            st.sampled_from((None, "size")),
        ),
    ),
    where=st.just("models/m.yml:9"),
)
FirstReading = Literal["ignore", "once", "all"]


@st.composite
def models(draw: st.DrawFn) -> Model:
    named = draw(st.lists(st.sampled_from(DIMENSIONS), min_size=1, max_size=3, unique=True))
    or_any = draw(st.lists(conditions, max_size=2).map(tuple))
    first: FirstReading = draw(st.sampled_from(("ignore", "once", "all")))
    gates = draw(st.lists(st.builds(Gate, st.just("total"), st.just(">="), st.integers(-500, 3000)), max_size=2))
    return Model(
        name="random",
        timezone=draw(st.sampled_from(ZONES)),
        dimensions=tuple(draw(dimensions(name)) for name in DIMENSIONS if name in named),
        stages=(Stage("cold"), Stage("iql", enter=tuple(gates)), Stage("sql", or_any=or_any)),
        vetoes=tuple(Veto("v", "V", when, "cold") for when in draw(st.lists(conditions, max_size=1))),
        first_reading=first,
        ignores=tuple(draw(st.lists(ignores, max_size=1))),
        version="random@0",
    )
