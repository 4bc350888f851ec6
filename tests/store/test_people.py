"""`same_person: email`: whose records are whose, over all connections."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncer.history import signals_at
from syncer.model import Activity, Cursor, Lead, LeadPlan, Override, Page, Record, RecordKey, StageState
from syncer.store import Store, decisions, histories, mirror, outbox, people, runs
from tests.store.samples import HOUR, NOW, apply, decided, handoff

ANA, BEN = "ana@acme.es", "ben@acme.es"


def of(connection: str, record_id: str, email: str | None = ANA, *, minute: int = 0, **values: Any) -> Record:
    return Record(RecordKey(connection, "contacts", record_id), NOW + timedelta(minutes=minute), email, **values)


def key(connection: str, record_id: str) -> RecordKey:
    return RecordKey(connection, "contacts", record_id)


def put(store: Store, *values: Record | Activity, same_person: bool = True) -> frozenset[str]:
    """Store one page of these, all of one connection; the connections that must look at their leads."""
    told = tuple(each for each in values if isinstance(each, Record))
    done = tuple(each for each in values if isinstance(each, Activity))
    name = told[0].key.connection if told else done[0].connection
    with store.writing() as tx:
        page = Page(Cursor("c"), told, done)
        return mirror.store_page(tx, name, "contacts", page, NOW, same_person=same_person)


def tells_history(store: Store, connection: str) -> None:
    """From now on its pages tell what was there before we looked."""
    with store.writing() as tx:
        mirror.begin(tx, connection, "contacts", ("country",))


def lead_of(store: Store, connection: str, record_id: str) -> Lead:
    with store.reading() as tx:
        (lead_id,) = mirror.find(tx, f"{connection}/contacts/{record_id}")
    return mirror.lead(store, lead_id)


def leads_at(store: Store, connection: str) -> list[Lead]:
    """Those that the connection is the home of."""
    return [lead for chunk in mirror.chunks(store, connection, which="all", now=NOW) for lead in chunk]


def due_at(store: Store, connection: str) -> list[int]:
    return [lead.id for chunk in mirror.chunks(store, connection, which="due", now=NOW) for lead in chunk]


def settle(store: Store, stage: str = "cold") -> None:
    """Decide every lead of both connections."""
    apply(store, *(LeadPlan(decided(lead, stage)) for name in ("a", "b") for lead in leads_at(store, name)))


def keys(lead: Lead) -> list[str]:
    return sorted(f"{each.key.connection}{each.key.id}" for each in lead.records)


@pytest.mark.parametrize("written", [ANA, "ANA@Acme.es", "  ana@acme.es "])
def test_records_of_two_connections_with_the_same_address_are_one_lead_of_the_first(store: Store, written: str) -> None:
    put(store, of("a", "1"))
    home = lead_of(store, "a", "1").id
    put(store, of("b", "1", written))
    (lead,) = leads_at(store, "a")
    assert (lead.id, keys(lead)) == (home, ["a1", "b1"])
    assert leads_at(store, "b") == []


def test_without_the_setting_each_record_is_its_own_lead(store: Store) -> None:
    put(store, of("a", "1"), of("a", "2"), same_person=False)
    put(store, of("b", "1"), same_person=False)
    assert [keys(lead) for lead in [*leads_at(store, "a"), *leads_at(store, "b")]] == [["a1"], ["a2"], ["b1"]]


@pytest.mark.parametrize("nothing", [None, "", "  "])
def test_records_without_an_address_stay_alone(store: Store, nothing: str | None) -> None:
    put(store, of("a", "1", nothing), of("a", "2", nothing))
    put(store, of("b", "1", nothing))
    assert [keys(lead) for lead in leads_at(store, "a")] == [["a1"], ["a2"]]
    assert [keys(lead) for lead in leads_at(store, "b")] == [["b1"]]


def test_two_records_of_one_connection_with_the_same_address_are_one_lead_too(store: Store) -> None:
    put(store, of("a", "1"), of("a", "2"))
    assert [keys(lead) for lead in leads_at(store, "a")] == [["a1", "a2"]]


def test_the_lead_that_joins_by_news_is_touched_as_merged_and_its_home_is_told(store: Store) -> None:
    put(store, of("a", "1"))
    settle(store)
    before = lead_of(store, "a", "1")
    assert put(store, of("b", "1")) == {"a"}
    after = lead_of(store, "a", "1")
    assert after.state.touched == {"merge"}
    assert after.revision == before.revision + 1
    assert (due_at(store, "a"), due_at(store, "b")) == ([after.id], [])


def test_what_joins_while_its_connection_tells_its_history_is_nobodys_news(store: Store) -> None:
    put(store, of("a", "1"))
    settle(store)
    tells_history(store, "b")
    call = Activity("b", "calls/1", "call", NOW - HOUR, (RecordKey("b", "contacts", "1"),))
    assert put(store, of("b", "1"), call) == {"a"}
    assert lead_of(store, "a", "1").state.touched == {"baseline", "activity"}
    settle(store)
    later = replace(call, id="calls/2")
    assert put(store, later) == {"a"}
    assert lead_of(store, "a", "1").state.touched == {"baseline", "activity"}, "the next page tells history, too"


def test_what_only_the_setting_joins_is_nobodys_news_either(store: Store) -> None:
    put(store, of("a", "1"), same_person=False)
    put(store, of("b", "1"), same_person=False)
    settle(store)
    put(store, of("b", "1"))
    assert lead_of(store, "a", "1").state.touched == {"baseline"}


def test_an_address_that_a_known_record_has_got_is_news(store: Store) -> None:
    put(store, of("a", "1"))
    put(store, of("b", "1", BEN))
    settle(store)
    put(store, of("b", "1", minute=1))
    assert lead_of(store, "a", "1").state.touched == {"merge"}


def test_history_of_a_lead_that_lives_here_is_told_by_this_connections_own_run(store: Store) -> None:
    tells_history(store, "a")
    assert put(store, of("a", "1")) == frozenset()
    assert lead_of(store, "a", "1").state.touched == {"profile"}


def test_activities_of_two_connections_with_the_same_id_both_count(store: Store) -> None:
    for name in ("a", "b"):
        call = Activity(name, "calls/1", "call", NOW, (RecordKey(name, "contacts", "1"),))
        put(store, of(name, "1"), call)
    assert len(lead_of(store, "a", "1").signals.activities) == 2


def test_storing_the_same_pages_again_touches_nobody(store: Store) -> None:
    pages = ([of("a", "1"), of("a", "2", BEN)], [of("b", "1"), of("b", "2", None)])
    for page in pages:
        put(store, *page)
    settle(store)
    for page in pages:
        assert put(store, *page) == frozenset()
    assert (due_at(store, "a"), due_at(store, "b")) == ([], [])


def test_a_record_whose_address_changes_becomes_a_lead_of_its_own_and_both_are_looked_at(store: Store) -> None:
    put(store, of("a", "1"))
    put(store, of("b", "1"))
    settle(store, "mql")
    whole = lead_of(store, "a", "1")
    assert put(store, of("b", "1", BEN, minute=1)) == {"a"}
    one, other = lead_of(store, "a", "1"), lead_of(store, "b", "1")
    assert (one.id, keys(one), keys(other)) == (whole.id, ["a1"], ["b1"])
    assert [each.id for each in leads_at(store, "b")] == [other.id], "its home is its own connection"
    assert one.state.stage == other.state.stage == whole.state.stage, "both go on from where they stood"
    assert one.state.touched == other.state.touched == {"profile"}


def test_the_half_that_the_home_shows_keeps_the_lead_whichever_record_changed(store: Store) -> None:
    put(store, of("a", "1"))
    put(store, of("b", "1"), of("b", "2"))
    whole = lead_of(store, "a", "1")
    put(store, of("a", "1", BEN, minute=1))
    assert keys(lead_of(store, "a", "1")) == ["a1"]
    assert lead_of(store, "a", "1").id == whole.id
    assert keys(lead_of(store, "b", "1")) == ["b1", "b2"]


@pytest.mark.parametrize("now_shows", [None, BEN])
def test_a_record_that_takes_anothers_address_leaves_one_lead_for_the_other(
    store: Store, now_shows: str | None
) -> None:
    put(store, of("a", "1"), of("a", "2", BEN))
    put(store, of("b", "1"))
    put(store, of("b", "1", now_shows, minute=1))
    expected = [["a1"], ["a2", "b1"]] if now_shows else [["a1"], ["a2"]]
    assert [keys(lead) for lead in leads_at(store, "a")] == expected


def test_a_record_held_by_a_merge_in_its_crm_is_not_split_off(store: Store) -> None:
    absorber = RecordKey("a", "contacts", "1")
    put(store, of("a", "1"), of("a", "2", BEN))
    put(store, of("a", "2", BEN, minute=1, merged_into=absorber))
    put(store, of("a", "1", "third@acme.es", minute=2))
    assert lead_of(store, "a", "1").id == lead_of(store, "a", "2").id


def test_an_absorbed_records_address_ties_nobody(store: Store) -> None:
    put(store, of("a", "1"), of("a", "2", BEN, merged_into=RecordKey("a", "contacts", "1")))
    put(store, of("b", "1", BEN))
    assert keys(lead_of(store, "b", "1")) == ["b1"]
    put(store, of("b", "1", minute=1))
    put(store, of("b", "1", BEN, minute=2))
    assert keys(lead_of(store, "b", "1")) == ["b1"], "nor does it hold anybody"


def test_what_was_merged_into_a_record_goes_with_it(store: Store) -> None:
    put(store, of("a", "1"))
    put(store, of("b", "1"), of("b", "2", None, merged_into=RecordKey("b", "contacts", "1")))
    put(store, of("b", "1", BEN, minute=1))
    assert lead_of(store, "b", "2").id == lead_of(store, "b", "1").id != lead_of(store, "a", "1").id


def test_a_deleted_record_stays_with_the_lead_whose_past_it_is(store: Store) -> None:
    put(store, of("a", "1"))
    put(store, of("b", "1"))
    put(store, of("b", "1", None, minute=1, deleted=True))
    assert lead_of(store, "b", "1").id == lead_of(store, "a", "1").id
    put(store, of("b", "1", BEN, minute=2))
    assert lead_of(store, "b", "1").id != lead_of(store, "a", "1").id


def test_who_was_handed_to_sales_stays_so_when_an_older_lead_takes_them_in(store: Store) -> None:
    put(store, of("a", "1", BEN))
    put(store, of("b", "1"))
    stage = StageState("sql", "sql", NOW, episode=2)
    told = lead_of(store, "b", "1")
    apply(store, LeadPlan(decided(told, "sql", after=stage), handoff=handoff(told)))
    apply(store, LeadPlan(decided(lead_of(store, "a", "1"), "cold")))
    put(store, of("a", "1", minute=1))
    (lead,) = leads_at(store, "a")
    assert lead.state.stage == stage


def test_a_persons_word_holds_for_both_halves_and_the_hand_off_goes_with_its_record(store: Store) -> None:
    put(store, of("a", "1"))
    put(store, of("b", "1", minute=1))  # the newest: the hand-off names it
    whole = lead_of(store, "a", "1")
    word = Override("sql", "marta", "knows them", "command", NOW)
    apply(store, LeadPlan(decided(whole, "sql", override=word), handoff=handoff(whole)))
    put(store, of("b", "1", BEN, minute=2))
    one, other = lead_of(store, "a", "1"), lead_of(store, "b", "1")
    assert one.state.override == other.state.override == word
    with store.writing() as tx:
        decisions.apply(tx, 1, [LeadPlan(decided(other, "cold"))], (), NOW)
        ((told, closed_at, _),) = outbox.handoffs(tx, "b")
    assert told.record == RecordKey("b", "contacts", "1")
    assert closed_at is not None, "it belongs to the half that has just left the stage"


def test_a_lead_whose_home_has_left_the_project_moves_to_where_it_lives_on(store: Store) -> None:
    put(store, of("a", "1"), of("a", "2", BEN))
    put(store, of("b", "1"))
    with store.writing() as tx:
        assert people.rehome(tx, "b", ["a", "b"]) == 0
        assert people.rehome(tx, "b", ["b", "c"]) == 1
        assert people.rehome(tx, "b", ["b", "c"]) == 0
    assert [keys(lead) for lead in leads_at(store, "b")] == [["a1", "b1"]]
    assert [keys(lead) for lead in leads_at(store, "a")] == [["a2"]], "nobody else shows it"


def test_a_plan_made_at_the_old_home_is_stale_after_the_move(store: Store) -> None:
    put(store, of("a", "1"))
    put(store, of("b", "1"))
    with store.writing() as tx:
        decisions.save_plan(tx, 1, [LeadPlan(decided(lead_of(store, "a", "1"), "cold"))])
        people.rehome(tx, "b", ["b"])
        assert decisions.stale(tx, 1) == 1


def test_when_addresses_tie_nothing_any_more_every_record_is_its_own_lead_again(store: Store) -> None:
    put(store, of("a", "1"), of("a", "2"), of("a", "3", BEN, merged_into=RecordKey("a", "contacts", "1")))
    put(store, of("b", "1"))
    settle(store, "mql")
    with store.writing() as tx:
        people.separate(tx, NOW)
    assert [keys(lead) for lead in leads_at(store, "a")] == [["a1"], ["a2"]]
    assert [keys(lead) for lead in leads_at(store, "b")] == [["b1"]]
    assert lead_of(store, "a", "3").id == lead_of(store, "a", "1").id, "a merge is the CRM's own word"
    assert lead_of(store, "b", "1").state.touched == {"profile", "baseline"}
    settle(store)
    with store.writing() as tx:
        people.separate(tx, NOW)
    assert (due_at(store, "a"), due_at(store, "b")) == ([], [])


def test_a_record_that_left_its_lead_is_the_new_ones_from_then_on(store: Store) -> None:
    put(store, of("a", "1", fields={"x": "from a"}))
    put(store, of("b", "1", fields={"y": "from b"}), Activity("b", "calls/1", "call", NOW, (key("b", "1"),)))
    later = NOW + HOUR
    with store.writing() as tx:
        page = Page(Cursor("c"), (of("b", "1", BEN, minute=9, fields={"y": "from b"}),))
        mirror.store_page(tx, "b", "contacts", page, later, same_person=True)
    alone = histories.history(store, lead_of(store, "b", "1").id)
    assert signals_at(alone, later).fields == {"y": "from b", "email": BEN}
    assert signals_at(alone, later - HOUR / 2).fields == {}, "it stood with another lead then"
    left = histories.history(store, lead_of(store, "a", "1").id)
    before, after = signals_at(left, later - HOUR / 2), signals_at(left, later)
    assert (before.fields, len(before.activities)) == ({"x": "from a", "y": "from b", "email": ANA}, 1)
    assert (after.fields, after.activities) == ({"x": "from a", "email": ANA}, ())


def test_a_record_that_comes_back_to_its_lead_was_away_in_between(store: Store) -> None:
    put(store, of("a", "1"), of("a", "2", fields={"y": 2}))
    for hours, email in ((1, BEN), (2, ANA)):
        with store.writing() as tx:
            page = Page(Cursor("c"), (of("a", "2", email, minute=hours, fields={"y": 2}),))
            mirror.store_page(tx, "a", "contacts", page, NOW + hours * HOUR, same_person=True)
    whole = histories.history(store, lead_of(store, "a", "1").id)
    assert [signals_at(whole, NOW + hours * HOUR).fields.get("y") for hours in (0, 1, 2)] == [2, None, 2]


def test_a_word_in_force_on_one_half_outlives_one_that_was_taken_back_on_the_other(store: Store) -> None:
    put(store, of("a", "1", ANA), of("a", "2", BEN))
    first, second = lead_of(store, "a", "1"), lead_of(store, "a", "2")
    kept = Override("hot", "marta", "knows her", "command", since=NOW)
    with store.writing() as tx:
        decisions.set_override(tx, first.id, kept)
        decisions.set_override(tx, second.id, replace(kept, stage="cold", author="luis"))
        decisions.end_override(tx, second.id, NOW + HOUR)
    with store.writing() as tx:
        later = NOW + 2 * HOUR
        page = Page(Cursor("c"), (of("a", "2", ANA, minute=9),))
        mirror.store_page(tx, "a", "contacts", page, later, same_person=True)
    assert lead_of(store, "a", "1").state.override == kept


def test_somebody_read_back_while_a_connection_tells_its_history_is_nobodys_news(store: Store) -> None:
    put(store, of("a", "1"))
    settle(store)
    tells_history(store, "b")
    with store.writing() as tx:
        mirror.begin(tx, "b", "contacts", ("country",))
        mirror.put_back(tx, "b", [of("b", "1")], NOW, same_person=True)
    assert lead_of(store, "a", "1").state.touched == {"baseline"}


def test_a_ring_makes_the_named_connection_due_now(store: Store) -> None:
    with store.writing() as tx:
        for name in ("a", "b"):
            runs.set_due(tx, name, NOW + HOUR)
        runs.ring(tx, "a", NOW)
        runs.ring(tx, "never ran", NOW)
        assert (runs.due_at(tx, "a"), runs.due_at(tx, "b")) == (NOW, NOW + HOUR)


def test_two_connections_that_bring_one_person_at_the_same_moment_make_one_lead(store: Store) -> None:
    started = threading.Event()

    def second() -> None:
        started.set()
        put(store, of("b", "1"))

    with store.writing() as tx:
        mirror.store_page(tx, "a", "contacts", Page(Cursor("c"), (of("a", "1"),)), NOW, same_person=True)
        other = threading.Thread(target=second)
        other.start()
        started.wait()
        other.join(0.2)  # long enough for it to look, had nothing held it
    other.join(30)
    assert [keys(lead) for lead in leads_at(store, "a")] == [["a1", "b1"]]


# ---- any order ----

_numbers = itertools.count(1)
RECORDS = [("a", "1"), ("a", "2"), ("b", "1"), ("b", "2"), ("b", "3")]


@st.composite
def versions(draw: st.DrawFn) -> list[tuple[str, str, dict[str, Any]]]:
    """(connection, id, what it shows), in the order it happened; of each record up to four versions."""
    told = []
    for connection, record_id in RECORDS:
        merged_from, absorber = draw(st.integers(1, 6)), draw(st.sampled_from(RECORDS))
        last = draw(st.integers(0, 3))
        for minute in range(last + 1):
            merged = minute >= merged_from and absorber[0] == connection and absorber[1] != record_id
            shown = {
                "email": draw(st.sampled_from([None, ANA, "ANA@acme.es", BEN])),
                "minute": minute,
                "deleted": minute == last and draw(st.integers(0, 3)) == 0 and not merged,
                "merged_into": absorber[1] if merged else None,
            }
            told.append((connection, record_id, shown))
    return told


def grouped(store: Store, told: Sequence[tuple[str, str, dict[str, Any]]]) -> list[list[str]]:
    """Store each as a page, in connections and under addresses of their own; who is together in the end."""
    tag = f".{next(_numbers)}"
    for connection, record_id, shown in told:
        absorber = shown["merged_into"]
        named = {
            **shown,
            "email": shown["email"] and shown["email"] + tag,
            "merged_into": absorber and RecordKey(connection + tag, "contacts", absorber),
        }
        put(store, of(connection + tag, record_id, **named))
    found = [keys(lead) for name in ("a", "b") for lead in leads_at(store, name + tag)]
    return sorted([each.replace(tag, "") for each in lead] for lead in found)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(told=versions(), order=st.randoms(use_true_random=False))
def test_pages_in_any_order_and_repeated_give_the_same_people(
    store: Store, told: list[tuple[str, str, dict[str, Any]]], order: Any
) -> None:
    shuffled = told + [each for each in told if order.random() < 0.3]
    order.shuffle(shuffled)
    shuffled.sort(key=lambda each: each[2]["deleted"])  # that one is gone bears no time: it is told when all is told
    straight = grouped(store, told)
    assert grouped(store, shuffled) == straight
    assert straight == _expected(told)


def _expected(told: Sequence[tuple[str, str, dict[str, Any]]]) -> list[list[str]]:
    """Live records by address; those without one alone."""
    last = {(connection, record_id): shown for connection, record_id, shown in told}
    people_: dict[str, list[str]] = {}
    for (connection, record_id), shown in last.items():
        if not shown["deleted"] and shown["merged_into"] is None:
            name = f"{connection}{record_id}"
            people_.setdefault((shown["email"] or name).casefold(), []).append(name)
    return sorted(sorted(each) for each in people_.values())
