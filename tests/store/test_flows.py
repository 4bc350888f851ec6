"""Counts and moves of leads, as the database counts them."""

from __future__ import annotations

import random
import statistics
from collections import Counter
from datetime import timedelta

import pytest

from syncer.store import Store, flows
from syncer.store.flows import Movement, Whose
from tests.store.moves import Base, ago

RANKS = {"cold": 0, "iql": 1, "mql": 2, "sql": 3}
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
ALL = Whose(("crm",))


@pytest.fixture
def base(store: Store) -> Base:
    return Base(store)


def moved(base: Base, days: float = 30, whose: Whose = ALL) -> list[Movement]:
    with base.store.reading() as tx:
        return list(flows.movements(tx, whose, ago(days), HOUR_MS, RANKS))


def stays(base: Base, days: float = 30) -> dict[str, tuple[int, float, float]]:
    """Stage -> (how many, median and p90 in days)."""
    with base.store.reading() as tx:
        found = flows.stays(tx, ALL, ago(days))
    return {
        stage: (each.of, (each.median_ms or 0) / DAY_MS, (each.p90_ms or 0) / DAY_MS) for stage, each in found.items()
    }


def test_only_live_leads_of_these_connections_that_were_decided_are_counted(base: Base) -> None:
    base.lead(("cold", ago(9)))
    base.lead(("cold", ago(9)), live=False)
    base.lead(("sql", ago(9)), connection="other")
    base.lead()
    with base.store.reading() as tx:
        assert flows.stages_now(tx, ALL) == {"cold": 1}
        assert flows.stages_now(tx, Whose(("crm", "other"))) == {"cold": 1, "sql": 1}
        assert flows.stages_now(tx, Whose(())) == {}
    assert sum(each.moves for each in moved(base)) == 1


def test_leads_are_chosen_by_source_and_by_the_name_of_their_model(base: Base) -> None:
    base.lead(("cold", ago(9)), ("sql", ago(1)), source="Webinar'; --", model="b2b@1")
    base.lead(("cold", ago(9)), ("mql", ago(1)), source="Fair", model="b2b@2")
    base.lead(("cold", ago(9)), ("iql", ago(1)), model="b2b-small@1")

    def after(whose: Whose) -> set[str]:
        return {each.after for each in moved(base, 5, whose)}

    assert after(Whose(("crm",), source="Webinar'; --")) == {"sql"}
    assert after(Whose(("crm",), source="webinar'; --")) == set()
    assert after(Whose(("crm",), model="b2b")) == {"sql", "mql"}
    assert after(Whose(("crm",), model="b2")) == set()
    assert after(Whose(("crm",), source="Fair", model="b2b-small")) == set()
    with base.store.reading() as tx:
        assert flows.stages_now(tx, Whose(("crm",), source="Fair")) == {"mql": 1}
        assert flows.stages_now(tx, Whose(("crm",), model="b%")) == {}
        assert flows.stages_now(tx, Whose(("crm",), model="B2B")) == {}


def test_moves_that_are_alike_within_a_slot_are_one_row(base: Base) -> None:
    for minute in (1, 59, 61):
        base.lead(("cold", ago(40)), ("iql", ago(1) + timedelta(minutes=minute)))
    found = sorted((each.at, each.before, each.after, each.cause, each.moves) for each in moved(base))
    assert found == [
        (ago(1), "cold", "iql", "activity", 2),
        (ago(1) + timedelta(hours=1), "cold", "iql", "activity", 1),
    ]


def test_an_entry_counts_each_lead_once_and_goes_on_only_into_a_hotter_stage(base: Base) -> None:
    base.lead(("cold", ago(40)), ("iql", ago(9)), ("cold", ago(8)), ("iql", ago(7)), ("mql", ago(6)))
    base.lead(("cold", ago(40)), ("iql", ago(9)), ("cold", ago(8)))
    base.lead(("cold", ago(40)), ("mql", ago(9)), ("iql", ago(8)))
    base.lead(("cold", ago(40)), ("iql", ago(9)), ("gone", ago(8)))
    base.lead(("cold", ago(40)), ("iql", ago(9)), ("cold", ago(8)), ("iql", ago(7)))
    into_iql = [each for each in moved(base) if each.after == "iql"]
    assert sum(each.moves for each in into_iql) == 7
    assert sum(each.entered for each in into_iql) == 5
    assert sum(each.went_on for each in into_iql) == 1
    into_gone = [each for each in moved(base) if each.after == "gone"]
    assert [(each.entered, each.went_on) for each in into_gone] == [(1, 0)]


def test_what_was_placed_at_the_first_look_is_no_entry(base: Base) -> None:
    base.lead(("iql", ago(9)), ("mql", ago(8)))
    (placed,) = (each for each in moved(base) if each.after == "iql")
    assert (placed.before, placed.cause, placed.moves, placed.entered) == (None, "baseline", 1, 0)
    base.lead(("iql", ago(9), "profile"), ("mql", ago(8)))
    (new,) = (each for each in moved(base) if each.cause == "profile")
    assert (new.before, new.entered, new.went_on) == (None, 1, 1)


def test_who_was_placed_in_a_stage_at_the_first_look_enters_it_when_it_comes_back(base: Base) -> None:
    base.lead(("iql", ago(9)), ("cold", ago(8)), ("iql", ago(7)))
    (back,) = (each for each in moved(base) if each.before == "cold")
    assert back.entered == 1


def test_the_moves_of_a_merged_lead_are_one_way_that_ends_where_it_stands(base: Base) -> None:
    lead = base.lead(("cold", ago(9)), ("mql", ago(3)), stage="iql")
    base.move(lead, None, "iql", ago(6), cause="baseline")
    ways = [(each.stood, each.stands) for each in sorted(moved(base), key=lambda each: each.at)]
    assert ways == [(None, "cold"), ("cold", "iql"), ("iql", "iql")]


def test_a_stay_is_as_long_as_the_lead_was_there_also_from_before_the_period(base: Base) -> None:
    base.lead(("cold", ago(50)), ("iql", ago(5)), ("cold", ago(4)), ("iql", ago(1)))
    assert stays(base) == {"cold": (2, 3.0, 45.0), "iql": (1, 1.0, 1.0)}


def test_a_stay_that_ended_while_the_base_was_read_is_none(base: Base) -> None:
    base.lead(("cold", ago(9)), ("iql", ago(8), "baseline"), ("mql", ago(5)))
    assert stays(base) == {"iql": (1, 3.0, 3.0)}


def test_a_stay_whose_beginning_is_unknown_is_left_out(base: Base) -> None:
    lead = base.lead(stage="sql")
    base.move(lead, "mql", "sql", ago(3))
    assert stays(base) == {}


def test_spans_of_stays_are_the_nearest_ranks(base: Base) -> None:
    lot = random.Random(7)
    spans = [lot.randrange(1, 400) / 24 for _ in range(57)]
    for span in spans:
        base.lead(("cold", ago(2 + span)), ("iql", ago(2)))
    in_order = sorted(spans)
    of, median, p90 = stays(base)["cold"]
    assert of == 57
    assert median == pytest.approx(statistics.median(spans), abs=1e-6)
    assert p90 == pytest.approx(in_order[51], abs=1e-6)  # 0.9 x 57 = 51.3, rounded up: the 52nd


def test_a_stay_in_a_merged_lead_begins_where_its_own_move_says(base: Base) -> None:
    lead = base.lead(("iql", ago(20)), ("mql", ago(2)))
    base.move(lead, None, "cold", ago(10), cause="baseline")
    assert stays(base) == {"iql": (1, 18.0, 18.0)}


def test_groups_tell_the_most_frequent_sources_apart(base: Base) -> None:
    for source, count in (("a", 3), ("b", 2), ("c", 1), ("d", 1)):
        for _ in range(count):
            base.lead(("cold", ago(1)), source=source)
    base.lead(("sql", ago(1)), model="other@9")
    base.lead(("cold", ago(1)), source="a", live=False)
    with base.store.reading() as tx:
        found = {(each.source, each.rest, each.model, each.stage): each.leads for each in flows.groups(tx, ["crm"], 2)}
        assert found == {
            ("a", False, "b2b@1", "cold"): 3,
            ("b", False, "b2b@1", "cold"): 2,
            (None, True, "b2b@1", "cold"): 2,
            (None, False, "other@9", "sql"): 1,
        }
        assert flows.groups(tx, ["nobody"], 2) == []


def test_reasons_are_those_of_the_period_and_of_who_is_asked_about(base: Base) -> None:
    base.hand_over(base.lead(("sql", ago(1))), "+12 Decision maker (jobtitle = CEO)")
    base.hand_over(base.lead(("sql", ago(40))), "+1 Old", at=ago(40))
    base.hand_over(base.lead(("sql", ago(1)), live=False), "+1 Gone")
    base.hand_over(base.lead(("sql", ago(1)), connection="other"), "+1 Theirs")
    base.hand_over(base.lead(("sql", ago(1))), "+1 Elsewhere", stage="mql")
    base.hand_over(base.lead(("sql", ago(1))))
    with base.store.reading() as tx:
        found = Counter(flows.reasons(tx, ALL, "sql", ago(30)))
    assert found == {("+12 Decision maker (jobtitle = CEO)",): 1, (): 1}


def test_first_syncs_are_known_of_connections_that_have_had_one(base: Base) -> None:
    base.synced_first("crm", ago(100))
    with base.store.reading() as tx:
        assert flows.first_syncs(tx, ["crm", "other"]) == {"crm": ago(100)}
