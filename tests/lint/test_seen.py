"""What the leads of a base meet in a model: counted in chunks, told once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncer.lint import FEWEST, Finding, Seen, count, count_read, seen_findings, unread_findings
from syncer.lint.seen import shape
from syncer.model import ActivitySignal, Reading, RecordKey, Signals, Value
from syncer.rules import (
    ActivityTest,
    All,
    AnyOf,
    Condition,
    Dimension,
    FieldTest,
    Ignore,
    Model,
    NoneOf,
    Rule,
    Stage,
    Veto,
)
from tests.scoring import worlds

AS_OF = worlds.AS_OF
SPAIN = FieldTest("country", "any_of", ("ES",))
RICH = FieldTest("budget", "at_least", 5000)
CALL = ActivityTest("call", in_last_ms=7 * worlds.DAY_MS)


def model(*conditions: Condition, vetoes: tuple[Veto, ...] = ()) -> Model:
    """A rule for each, called Rule 1, Rule 2 ..., on line 1, 2 ... of m.yml."""
    rules = tuple(
        Rule(f"r{line}", f"Rule {line}", when, 100, where=f"m.yml:{line}")
        for line, when in enumerate(conditions, start=1)
    )
    return Model("m", "UTC", (Dimension("fit", rules),), (Stage("cold"),), vetoes)


def base(size: int, **fields: Sequence[Value]) -> list[Signals]:
    """So many leads; of each field the values go round."""
    return [
        Signals(number, {name: values[number % len(values)] for name, values in fields.items()})
        for number in range(size)
    ]


def told(leads: Sequence[Signals], rules: Model, sampled_from: int | None = None) -> list[Finding]:
    return list(seen_findings(count(leads, rules, AS_OF), rules, sampled_from))


def messages(leads: Sequence[Signals], rules: Model) -> list[str]:
    return [each.message for each in told(leads, rules)]


def called(lead: Signals, days_ago: int = 1) -> Signals:
    return replace(lead, activities=(ActivitySignal("call", AS_OF - timedelta(days=days_ago)),))


def test_a_rule_on_a_field_that_nobody_has_cannot_fire_and_says_so_with_its_line() -> None:
    leads = base(1200, country=["ES", "FR"], budget=[None, "", " "])
    (finding,) = told(leads, model(SPAIN, RICH))
    assert finding.message == "'Rule 2' cannot fire: budget is empty in all 1,200 leads"
    assert (finding.level, finding.code, finding.where) == ("warning", "SY095", "m.yml:2")


def test_a_rule_that_only_asks_for_a_field_to_be_filled_cannot_fire_where_it_never_is() -> None:
    filled = FieldTest("budget", "is_set", True)
    assert messages(base(60), model(filled)) == ["'Rule 1' cannot fire: budget is empty in all 60 leads"]


def test_a_rule_on_a_kind_of_activity_that_was_never_seen_cannot_fire() -> None:
    (message,) = messages(base(60, country=["ES", "FR"]), model(SPAIN, CALL))
    assert message == "'Rule 2' cannot fire: no activity 'call' is known of any of 60 leads"


def test_a_counter_that_has_counted_makes_its_kind_known() -> None:
    reading = Reading(RecordKey("crm", "contacts", "1"), "call", 1, None, AS_OF - timedelta(days=60))
    leads = base(60)
    leads[0] = replace(leads[0], readings=(reading,))
    assert messages(leads, model(CALL)) == ["'Rule 1' fires for none of 60 leads"]
    leads[0] = replace(leads[0], readings=(replace(reading, value=0),))
    assert messages(leads, model(CALL)) == ["'Rule 1' cannot fire: no activity 'call' is known of any of 60 leads"]


def test_a_rule_that_fires_for_nobody_though_its_field_is_filled_is_told() -> None:
    assert messages(base(60, country=["FR", "PT"]), model(SPAIN)) == ["'Rule 1' fires for none of 60 leads"]


@pytest.mark.parametrize(("outside", "heard"), [(5, True), (6, False)])
def test_a_rule_that_fires_for_nineteen_in_twenty_tells_nobody_apart(outside: int, heard: bool) -> None:
    leads = base(100, country=["ES"] * (100 - outside) + ["FR"] * outside)
    found = told(leads, model(SPAIN))
    assert [each.code for each in found] == (["SY096"] if heard else [])
    if heard:
        assert found[0].message == "'Rule 1' fires for 95 % of 100 leads: its points hardly tell them apart"


def test_a_sample_is_called_a_sample() -> None:
    (finding,) = told(base(60, country=["FR"]), model(SPAIN), 1_234_567)
    assert finding.message == "'Rule 1' fires for none of 60 leads (in a sample of 1,234,567)"


def test_of_few_leads_nothing_is_said_but_what_cannot_be_read() -> None:
    leads = base(FEWEST - 1, budget=["much"])
    assert [each.code for each in told(leads, model(SPAIN, RICH))] == ["SY097"]
    assert [each.code for each in told([*leads, leads[0]], model(SPAIN, RICH))] == ["SY095", "SY095", "SY097"]


def test_a_rule_that_fires_for_another_reason_still_asks_in_vain_once() -> None:
    leads = base(60, country=["ES", "FR"])
    either = AnyOf((SPAIN, RICH))
    assert messages(leads, model(either, AnyOf((RICH, SPAIN)))) == [
        "'Rule 1' asks for something in vain: budget is empty in all 60 leads"
    ]
    assert messages(leads, model(either, RICH)) == ["'Rule 2' cannot fire: budget is empty in all 60 leads"]


def test_what_a_rule_wants_to_be_absent_may_be_absent() -> None:
    leads = base(60, country=["ES", "FR"])
    absent = (NoneOf((RICH, CALL)), FieldTest("budget", "is_set", False), FieldTest("budget", "is_set", True, True))
    assert messages(leads, model(All((SPAIN, *absent)))) == []


def test_a_rule_that_can_never_fire_is_not_told_of_twice() -> None:
    assert messages(base(60, budget=[1]), model(All((RICH, FieldTest("budget", "under", 10))))) == []


def test_values_that_cannot_be_read_are_counted_per_field_with_a_masked_form() -> None:
    leads = base(90, budget=["6000", "about 5,000 €", "Ana 600-11"], signed=["2025-01-01", "soon"], email=["a@b.es"])
    rules = model(
        RICH, FieldTest("signed", "newer_than", 5 * worlds.DAY_MS), FieldTest("email", "domain_in", ("b.es",))
    )
    found = [each for each in told(leads, rules) if each.code == "SY097"]
    assert [each.message for each in found] == [
        "60 of 90 values of budget cannot be read as numbers and count as not set, for example one of the form "
        "'aaaaa 9,999 ?'",
        "45 of 90 values of signed cannot be read as dates and count as not set, for example one of the form 'aaaa'",
    ]
    assert [each.where for each in found] == ["m.yml:1", "m.yml:2"]


def test_values_of_activities_are_counted_for_their_kind_alone() -> None:
    long = ActivityTest("call", (FieldTest("minutes", "over", 5),))
    leads = [
        replace(lead, activities=(ActivitySignal(kind, AS_OF, {"minutes": "long"}), ActivitySignal("call", AS_OF)))
        for lead, kind in zip(base(60), ["call", "meeting"] * 30, strict=True)
    ]
    assert "30 of 30 values of call.minutes cannot be read as numbers" in messages(leads, model(long))[-1]


def test_a_field_that_only_a_veto_reads_is_counted_too() -> None:
    veto = Veto("v", "V", FieldTest("email", "domain_in", ("rival.es",)), "cold", "m.yml:9")
    (finding,) = told(base(60, email=["nobody", "a@b.es"]), model(vetoes=(veto,)))
    assert (finding.code, finding.where) == ("SY097", "m.yml:9")


def test_what_only_hygiene_reads_of_a_lead_is_counted_too() -> None:
    ignore = Ignore("i", "I", lead=FieldTest("email", "domain_in", ("us.es",)), where="m.yml:7")
    (finding,) = told(base(60, email=["nobody", "a@b.es"]), replace(model(), ignores=(ignore,)))
    assert finding.message.startswith("30 of 60 values of email cannot be read as domains")
    assert (finding.code, finding.where) == ("SY097", "m.yml:7")


@pytest.mark.parametrize(("kinds", "columns"), [(("call",), ["call"]), ((), ["call", "meeting"])])
def test_what_only_hygiene_reads_of_activities_is_counted_for_the_kinds_it_voids(
    kinds: tuple[str, ...], columns: list[str]
) -> None:
    ignores = (Ignore("i", "I", kinds, (FieldTest("minutes", "under", 1),), where="m.yml:8"),)
    done = tuple(ActivitySignal(kind, AS_OF, {"minutes": "short"}) for kind in ("call", "meeting"))
    leads = [replace(lead, activities=done) for lead in base(FEWEST - 1)]
    found = told(leads, replace(model(ActivityTest("call", ignores[0].tests)), ignores=ignores))
    assert [each.message.split(" cannot")[0] for each in found] == [
        f"49 of 49 values of {kind}.minutes" for kind in columns
    ]
    assert [each.where for each in found] == ["m.yml:1", "m.yml:8"][: len(columns)]


def test_what_conditions_alone_cannot_read_is_told_at_their_places() -> None:
    seen = count_read(base(4, budget=["much", "5"]), [RICH, SPAIN])
    (finding,) = unread_findings(seen, [("syncer.yml:3", SPAIN), ("syncer.yml:4", RICH)])
    assert finding.message.startswith("2 of 4 values of budget cannot be read as numbers")
    assert finding.where == "syncer.yml:4"
    assert seen.leads == 0


def test_fields_that_are_compared_as_text_can_always_be_read() -> None:
    assert messages(base(60, country=["ES", "?"]), model(SPAIN)) == []


@pytest.mark.parametrize(
    ("value", "masked"),
    [
        ("50-100", "99-999"),
        ("Ana Ruiz", "aaa aaaa"),
        ("ana@acme.es", "aaa@aaaa.aa"),
        ("½ ٣ Ω 漢", "9 9 a a"),
        ("a\nb\x1b[0m", "a?a?[9a"),
        ("x" * 25, "a" * 24 + "…"),
        ("x" * 24, "a" * 24),
    ],
)
def test_the_form_of_a_value_shows_none_of_its_letters_and_digits(value: str, masked: str) -> None:
    assert shape(value) == masked


@settings(max_examples=25)
@given(rules=worlds.models(), leads=st.lists(worlds.leads, max_size=8), cut=st.integers(0, 8))
def test_chunks_count_what_the_whole_counts(rules: Model, leads: list[Signals], cut: int) -> None:
    whole = count(leads, rules, AS_OF)
    parts = Seen() + count(leads[:cut], rules, AS_OF) + count(leads[cut:], rules, AS_OF)
    assert parts == whole
    assert list(seen_findings(parts, rules)) == list(seen_findings(whole, rules))


@settings(max_examples=25)
@given(rules=worlds.models(), lead=worlds.leads)
def test_no_form_shows_a_letter_or_digit_of_a_value_it_stands_for(rules: Model, lead: Signals) -> None:
    for masked in count([lead], rules, AS_OF).shapes.values():
        assert set(masked) <= set("a9… -:./@,+")


def test_values_that_are_too_much_for_a_pattern_are_counted_with_its_place() -> None:
    endless = FieldTest("title", "matches", "(a+)+$")
    leads = base(60, title=["a" * 60 + "!", "a"])
    found = [each for each in told(leads, model(SPAIN, endless)) if each.code == "SY211"]
    assert [each.message for each in found] == [
        "looking for (a+)+$ is given up over 30 of the values of title: they neither match it nor do not"
    ]
    assert found[0].where == "m.yml:2"
