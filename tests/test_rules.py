from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncer.rules import (
    ActivityTest,
    All,
    AnyOf,
    Condition,
    Dimension,
    Fade,
    FieldTest,
    Frequency,
    Gate,
    Model,
    NoneOf,
    Rule,
    Segment,
    Stage,
    Veto,
    leaves,
    segments_of,
    segments_text,
    version_of,
)
from tests.scoring import worlds

ES = FieldTest("country", "any_of", ("ES",))
OPEN = ActivityTest("open", in_last_ms=5)
RULE = Rule("r", "Opens", OPEN, 100, where="m.yml:3")
MODEL = Model(
    "b2b",
    "UTC",
    (Dimension("fit", (replace(RULE, id="f", when=ES),)), Dimension("engagement", (RULE,), where="m.yml:1")),
    (Stage("cold", where="m.yml:9"), Stage("sql", enter=(Gate("fit", ">=", 100),), or_any=(OPEN,))),
    vetoes=(Veto("v", "V", ES, "cold", where="m.yml:20"),),
)


def changed(rule: Rule) -> Model:
    return replace(MODEL, dimensions=(MODEL.dimensions[0], replace(MODEL.dimensions[1], rules=(rule,))))


def test_a_version_is_the_name_and_a_hash_of_the_meaning() -> None:
    name, _, digest = version_of(MODEL).partition("@")
    assert name == "b2b"
    assert len(digest) == 12
    assert set(digest) <= set("0123456789abcdef")


def test_where_a_thing_is_written_is_no_part_of_the_meaning() -> None:
    moved = changed(replace(RULE, where="other.yml:7"))
    moved = replace(moved, stages=(Stage("cold"), *moved.stages[1:]), vetoes=(replace(moved.vetoes[0], where="x:1"),))
    assert version_of(moved) == version_of(MODEL)
    assert version_of(replace(MODEL, version="b2b@whatever")) == version_of(MODEL)


@pytest.mark.parametrize(
    "other",
    [
        replace(MODEL, name="b2c"),
        replace(MODEL, timezone="Europe/Madrid"),
        replace(MODEL, first_reading="all"),
        replace(MODEL, vetoes=()),
        replace(MODEL, vetoes=(replace(MODEL.vetoes[0], hold_at="sql"),)),
        replace(MODEL, stages=MODEL.stages[::-1]),
        replace(MODEL, stages=(Stage("cold", dwell_ms=1), MODEL.stages[1])),
        replace(MODEL, dimensions=(replace(MODEL.dimensions[0], max=1), MODEL.dimensions[1])),
        replace(MODEL, dimensions=MODEL.dimensions[:1]),
        changed(replace(RULE, points=101)),
        changed(replace(RULE, points=-100)),
        changed(replace(RULE, each=True)),
        changed(replace(RULE, at_least=2)),
        changed(replace(RULE, cap=5)),
        changed(replace(RULE, fade=Fade("step", 1))),
        changed(replace(RULE, frequency=Frequency(1, 5))),
        changed(replace(RULE, when=ActivityTest("open", in_last_ms=6))),
        changed(replace(RULE, when=ActivityTest("click", in_last_ms=5))),
        changed(replace(RULE, when=replace(ES, exact=True))),
        changed(replace(RULE, when=replace(ES, negated=True))),
        changed(replace(RULE, when=All((OPEN,)))),
        changed(replace(RULE, when=AnyOf((OPEN,)))),
        changed(replace(RULE, when=FieldTest("f", "any_of", (True,)))),
        changed(replace(RULE, when=FieldTest("f", "any_of", (1,)))),
        changed(replace(RULE, when=FieldTest("f", "any_of", ("1",)))),
    ],
)
def test_another_meaning_is_another_version(other: Model) -> None:
    assert version_of(other) != version_of(MODEL)


def test_all_and_any_and_true_and_one_have_versions_of_their_own() -> None:
    groups: list[Condition] = [All((OPEN,)), AnyOf((OPEN,)), NoneOf((OPEN,)), OPEN]
    tests: list[Condition] = [FieldTest("f", "any_of", (value,)) for value in (True, 1, "1", "true")]
    versions = {version_of(changed(replace(RULE, when=when))) for when in groups + tests}
    assert len(versions) == 8


def test_leaves_are_read_left_to_right_however_deep() -> None:
    other = FieldTest("size", "over", 5)
    assert list(leaves(All((ES, AnyOf((OPEN, NoneOf((other,)))), ES)))) == [ES, OPEN, other, ES]


@pytest.mark.parametrize(
    ("when", "counted"),
    [
        (OPEN, OPEN),
        (All((ES, OPEN)), OPEN),
        (ES, None),
        (AnyOf((OPEN,)), None),
        (NoneOf((OPEN,)), None),
        (All((ES, AnyOf((OPEN,)))), None),
    ],
)
def test_the_counted_activity_stands_alone_or_directly_in_an_all(when: Condition, counted: ActivityTest | None) -> None:
    assert replace(RULE, when=when).counted == counted


def test_rules_come_by_dimension_and_conditions_from_everywhere() -> None:
    assert [(dimension.name, rule.id) for dimension, rule in MODEL.rules] == [("fit", "f"), ("engagement", "r")]
    assert list(MODEL.conditions()) == [ES, OPEN, ES, OPEN]


def test_ranks_count_from_the_coldest() -> None:
    assert [MODEL.stage_rank(name) for name in ("cold", "sql")] == [0, 1]
    with pytest.raises(KeyError):
        MODEL.stage_rank("hot")


def test_a_gate_reads_as_it_is_written() -> None:
    assert str(Gate("engagement", ">=", 2050)) == "engagement >= 20.5"
    assert str(Gate("need", ">", 0)) == "need > 0"


segments = st.builds(Segment, worlds.models(), st.none() | worlds.conditions)


@settings(max_examples=50, deadline=None)
@given(rules=st.lists(segments, min_size=1, max_size=3).map(tuple))
def test_rules_come_back_whole_from_their_text(rules: tuple[Segment, ...]) -> None:
    again = segments_of(segments_text(rules))
    assert again == rules
    assert repr(again) == repr(rules)  # which also tells 1, 1.0 and true apart, and names places and versions
    assert [version_of(each.model) for each in again] == [version_of(each.model) for each in rules]
