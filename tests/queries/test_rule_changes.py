"""No change of the rules goes untold, and what is the same is not told as another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest

from syncer.queries.rule_changes import RuleChange, changes
from syncer.rules import (
    ActivityTest,
    All,
    AnyOf,
    Burst,
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
    Segment,
    Stage,
    Veto,
    rules_version,
    segments_of,
    segments_text,
)

DAY_MS = 86_400_000
PRICING = Rule(
    "pricing", "Saw the prices", All((ActivityTest("page_view", (FieldTest("url", "contains", ("price",)),), DAY_MS),)),
    500, True, 2, Frequency(3, DAY_MS), 2000, Fade("exponential", 720), where="model.yml:3",
)  # fmt: skip
HERE = Rule("here", "Where we sell", AnyOf((FieldTest("country", "any_of", ("ES", 5, True), exact=True),)), 1200)
STAGES = (
    Stage("cold"),
    Stage("mql", (("es", "Maduro"),), (Gate("fit", ">=", 4000),), (Gate("fit", ">=", 3000),), dwell_ms=DAY_MS),
    Stage("sql", (), (Gate("total", ">", 9000),), (), (NoneOf((FieldTest("age", "between", (1, 2.5)),)),), True, "us"),
)
LINKS = Ignore(
    "links", "Machines", ("click",), (FieldTest("url", "is_set", True),), FieldTest("role", "matches", "^info"),
    Follows("sent", 5_000, "mail"), Burst(10, 60_000, "mail", "url"),
)  # fmt: skip
MODEL = Model(
    "b2b", "Europe/Madrid",
    (
        Dimension("fit", (HERE, replace(HERE, id="there", name="Next door")), 6000, -2000),
        Dimension("engagement", (PRICING,)),
    ),
    STAGES, (Veto("rival", "A rival", FieldTest("domain", "domain_in", ("a.es",)), "cold"),),
    (("free", ("gmail.com", "gmx.de", "web.de")), ("vip", ("acme.es",))), "once", (LINKS, Ignore("own", "Ours")),
)  # fmt: skip
RULES = (Segment(MODEL, FieldTest("country", "any_of", ("ES",))), Segment(Model("rest", "UTC", (), STAGES[:1])))


def otherwise(value: Any) -> Iterator[Any]:
    """The value with one thing in it changed, in every way that there is."""
    if is_dataclass(value) and not isinstance(value, type):
        for each in fields(value):
            for other in otherwise(getattr(value, each.name)):
                yield replace(value, **{each.name: other})
            if "None" in str(each.type) and getattr(value, each.name) is not None:
                yield replace(value, **{each.name: None})
    elif isinstance(value, tuple):
        for rank, inner in enumerate(value):
            yield from ((*value[:rank], other, *value[rank + 1 :]) for other in otherwise(inner))
            if not _is_pair(value):
                yield (*value[:rank], *value[rank + 1 :])
        if len(value) > 1 and not _is_pair(value):
            yield value[::-1]
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield value + 1
    elif isinstance(value, str):
        yield f"{value}x"


def _is_pair(value: tuple[Any, ...]) -> bool:
    """A name and what has it."""
    return len(value) == 2 and isinstance(value[0], str)


def test_every_single_change_of_the_meaning_is_told_and_no_other() -> None:
    seen = 0
    for other in otherwise(RULES):
        same = rules_version(other) == rules_version(RULES)
        for before, after in ((RULES, other), (other, RULES)):
            found = changes(before, after)
            assert bool(found) != same, (before, after)
            assert all(each.before != each.after for each in found)
        seen += 1
    assert seen > 100


def test_what_is_kept_of_the_rules_says_the_same() -> None:
    assert changes(segments_of(segments_text(RULES)), RULES) == ()
    assert changes(RULES, (replace(RULES[0], model=replace(MODEL, version="b2b@1")), RULES[1])) == ()


def with_model(**parts: Any) -> tuple[Segment, ...]:
    return (replace(RULES[0], model=replace(MODEL, **parts)), RULES[1])


def with_rule(rule: Rule) -> tuple[Segment, ...]:
    return with_model(dimensions=(MODEL.dimensions[0], Dimension("engagement", (rule,))))


PAYS = "engagement: +5 · all(activity page_view with url contains price in_last 1d) · each · at_least: 2"


@pytest.mark.parametrize(
    ("after", "told"),
    [
        (
            with_model(dimensions=(replace(MODEL.dimensions[0], max=10000), MODEL.dimensions[1])),
            RuleChange("b2b", "dimension", "fit", "max: 60 · min: -20", "max: 100 · min: -20"),
        ),
        (
            with_rule(replace(PRICING, frequency=None, fade=Fade("linear", 24))),
            RuleChange(
                "b2b", "rule", "Saw the prices", f"{PAYS} · per 1d: 3 · cap: 20 · fade: exponential 720h",
                f"{PAYS} · cap: 20 · fade: linear 24h",
            ),
        ),
        (
            with_model(stages=(*STAGES[:2], replace(STAGES[2], skip_gates=False, owned_by=None, falls_back=False))),
            RuleChange(
                "b2b", "stage", "sql",
                "enter: total > 90 · or_any: none(age between 1, 2.5) · skip_gates · owned_by: us",
                "enter: total > 90 · or_any: none(age between 1, 2.5) · falls_back: false",
            ),
        ),
        (
            with_model(stages=(STAGES[1], STAGES[0], STAGES[2])),
            RuleChange("b2b", "stages", "", "cold, mql, sql", "mql, cold, sql"),
        ),
        (
            with_model(first_reading="all"),
            RuleChange(
                "b2b", "model", "", "timezone: Europe/Madrid · first_reading: once",
                "timezone: Europe/Madrid · first_reading: all",
            ),
        ),
        (
            with_model(lists=(("free", ("gmail.com", "aol.com")), MODEL.lists[1])),
            RuleChange("b2b", "list", "free", "(3) gmx.de, web.de, …", "(2) aol.com, …"),
        ),
        (
            with_model(ignores=(replace(LINKS, tests=(), lead=None, burst=None), MODEL.ignores[1])),
            RuleChange(
                "b2b", "ignore", "Machines",
                "click · url is_set True · for: role matches ^info · follows: sent within 5s same mail · "
                "burst: more_than 10 within 1m same mail distinct url",
                "click · follows: sent within 5s same mail",
            ),
        ),
        (
            RULES[::-1],
            RuleChange("", "models", "", "b2b for country any_of ES · rest", "rest · b2b for country any_of ES"),
        ),
    ],
)  # fmt: skip
def test_what_has_changed_is_told_in_the_words_of_the_file(after: tuple[Segment, ...], told: RuleChange) -> None:
    assert changes(RULES, after) == (told,)


def test_what_no_text_tells_is_told_by_the_versions_beside_what_one_does() -> None:
    reordered = MODEL.dimensions[0].rules[::-1]
    found = changes(
        RULES, with_model(dimensions=(replace(MODEL.dimensions[0], rules=reordered), Dimension("engagement", ())))
    )
    assert [(each.what, each.name) for each in found] == [("rule", "Saw the prices"), ("other", "")]
    assert found[1].before is not None
    assert found[1].before.startswith("b2b@")


def test_of_two_models_of_one_name_a_change_is_told_too() -> None:
    before, after = ((Segment(each, FieldTest("vip", "is_set", True)), RULES[0]) for each in (MODEL, _cheaper(MODEL)))
    assert [each.what for each in changes(before, after)] == ["other"]


def _cheaper(model: Model) -> Model:
    return replace(model, dimensions=(Dimension("fit", (replace(HERE, points=1),)),))


def test_a_long_list_is_told_by_what_is_new_in_it() -> None:
    many = tuple(f"d{number}.es" for number in range(5_000))
    before, after = (with_model(lists=(("free", each),)) for each in (many, (*many, "new.es")))
    (found,) = changes(before, after)
    assert (found.before, found.after) == ("(5000) …", "(5001) new.es, …")
