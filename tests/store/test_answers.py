"""What sales has answered, as rows: in order, counted by reason, and without a word once the person is erased."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from syncer.model import Answer, Lead, LeadPlan, Notice
from syncer.store import Store, answers, erasure, handed_over, mirror, outbox
from syncer.store.handed_over import Figures, Spread, Wanted
from syncer.store.tables import handoffs
from tests.store.samples import HOUR, NOW, all_leads, apply, decided, handoff, put, record, settle, the_lead

NOBODY = Spread(0, None, None)


def hand_over(store: Store, *people: str) -> list[str]:
    """These people are read, decided and handed over; the keys."""
    put(store, *(record(each, email=f"{each}@acme.test") for each in people))
    settle(store)
    ready = [the_lead(store, each) for each in people]
    apply(store, *(LeadPlan(decided(lead, "sql"), (), handoff(lead)) for lead in ready))
    return [handoff(lead).key for lead in ready]


def answer(store: Store, key: str, accepted: bool, reason: str = "", author: str = "luis") -> Answer:
    said = Answer(accepted, author, NOW + HOUR, "command", reason)
    with store.writing() as tx:
        answers.keep(tx, key, said)
    return said


def known(store: Store, key: str, **values: Any) -> None:
    with store.writing() as tx:
        tx.execute(update(handoffs).where(handoffs.c.key == key).values(**values))


def erase(store: Store, person: str, minute: int) -> None:
    """It is believed of one who is gone."""
    for _ in range(2):
        put(store, record(person, minute=minute, deleted=True, erased=True))


def reasons(store: Store, **wanted: Any) -> dict[str, int]:
    with store.reading() as tx:
        return answers.by_reason(tx, Wanted(("crm",), NOW, **wanted))


def figures(store: Store) -> Figures:
    with store.reading() as tx:
        return handed_over.figures(tx, Wanted(("crm",), NOW))


def test_answers_come_back_as_they_were_given_the_first_one_first(store: Store) -> None:
    one, two, three = hand_over(store, "1", "2", "3")
    said = [answer(store, one, True), answer(store, one, False, "no budget", "eva")]
    other = answer(store, two, False, "tak \x00 tego")
    with store.reading() as tx:
        found = answers.of(tx, [one, two, three])
    assert found[one] == said
    assert found[two][0].author == other.author
    assert "\x00" not in found[two][0].reason
    assert three not in found


def test_reasons_are_counted_of_what_was_rejected_in_the_connections_and_since_the_time_asked_for(store: Store) -> None:
    keys = hand_over(store, "1", "2", "3", "4")
    for key, why in zip(keys, ("not now", "no budget", "not now", ""), strict=True):
        answer(store, key, True, "a good one")
        answer(store, key, False, why)
    assert list(reasons(store).items()) == [("not now", 2), ("", 1), ("no budget", 1)]
    known(store, keys[0], at=NOW - 48 * HOUR)
    assert reasons(store, since=NOW - HOUR) == {"not now": 1, "no budget": 1, "": 1}
    with store.reading() as tx:
        assert answers.by_reason(tx, Wanted(("other",), NOW)) == {}


def test_delays_are_the_nearest_ranks_of_those_that_are_known(store: Store) -> None:
    assert figures(store) == Figures(0, NOBODY, NOBODY, NOBODY)
    keys = hand_over(store, *map(str, range(11)))
    for rank, key in enumerate(keys[:10]):
        known(store, key, system_ms=1000 * (10 - rank), human_ms=7 if rank == 3 else None)
    assert figures(store) == Figures(0, Spread(10, 5000, 9000), Spread(1, 7, 7), NOBODY)
    known(store, keys[10], system_ms=99_000, human_work_ms=5)
    assert figures(store).system == Spread(11, 6000, 10_000)
    assert figures(store).human_work == Spread(1, 5, 5)


@pytest.mark.parametrize(
    ("times", "counts"),
    [
        ({"due_at": None}, 0),
        ({"due_at": 1}, 0),
        ({"due_at": -1}, 1),
        ({"due_at": 1, "touched_at": -1}, 1),
        ({"due_at": -2, "touched_at": -1}, 1),
        ({"due_at": 1, "closed_at": -1}, 0),
        ({"due_at": -1, "closed_at": -2}, 0),
        ({"due_at": -2, "closed_at": -1}, 1),
        ({"touched_at": -1}, 0),
    ],
)
def test_whose_time_is_over_or_who_was_acted_on_in_it_counts_for_the_share_in_time(
    store: Store, times: dict[str, int | None], counts: int
) -> None:
    (key,) = hand_over(store, "1")
    known(store, key, **{name: None if hours is None else NOW + hours * HOUR for name, hours in times.items()})
    assert figures(store).timed == counts


def test_only_open_hand_offs_of_leads_whose_records_have_changed_may_have_answers(store: Store) -> None:
    keys = hand_over(store, "1", "2", "3", "4", "5")
    with store.reading() as tx:
        assert answers.may_have_answers(tx, "crm") == []
    put(store, *(record(each, minute=5, fields={"answer": "no"}) for each in ("1", "2", "3", "4")))
    answer(store, keys[0], True)
    answer(store, keys[1], False)
    known(store, keys[2], closed_at=NOW)
    with store.reading() as tx:
        found = answers.may_have_answers(tx, "crm")
        assert answers.may_have_answers(tx, "other") == []
        assert answers.modified(tx, [the_lead(store, "1").records[0].key]) == {
            the_lead(store, "1").records[0].key: NOW + timedelta(minutes=5)
        }
    assert {(each.key, each.lead, each.at) for each in found} == {
        (key, the_lead(store, person).id, NOW) for key, person in ((keys[0], "1"), (keys[3], "4"))
    }


def test_what_was_said_of_somebody_who_is_erased_is_forgotten_and_of_others_it_stays(store: Store) -> None:
    one, two = hand_over(store, "1", "2")
    for key in (one, two):
        answer(store, key, True)
        answer(store, key, False, "Zsofia told me so")
    erase(store, "1", 9)
    with store.reading() as tx:
        found = answers.of(tx, [one, two])
    assert [each.reason for each in found[one]] == ["", erasure.REASON]
    assert [each.reason for each in found[two]] == ["", "Zsofia told me so"]
    assert [lead.id for lead in all_leads(store)] == [the_lead(store, "2").id]


def test_what_was_said_of_a_lead_goes_with_its_last_record(store: Store) -> None:
    (one,) = hand_over(store, "1")
    put(store, record("2"))
    put(store, record("1", minute=1, merged_into="2"))
    answer(store, one, False, "no budget")
    survivor: Lead = the_lead(store, "2")
    erase(store, "1", 2)
    with store.reading() as tx:
        assert [each.reason for each in answers.of(tx, [one])[one]] == ["no budget"]
    erase(store, "2", 3)
    with store.reading() as tx:
        assert [each.reason for each in answers.of(tx, [one])[one]] == [erasure.REASON]
        assert mirror.home(tx, survivor.id) == "crm"


def test_what_waits_to_be_told_of_a_hand_off_is_dropped_with_its_reason(store: Store) -> None:
    put(store, record("1"))
    settle(store)
    lead = the_lead(store, "1")
    told = handoff(lead)
    states: tuple[Any, ...] = ("waiting", "ready", "uncertain", "dead", "sending", "sent", "dropped")
    from_all = tuple(Notice(state, told, "mail", state, state) for state in states)
    apply(store, LeadPlan(decided(lead, "sql"), (), told), notices=from_all)
    with store.writing() as tx:
        answers.untell(tx, told.key, "rejected by luis")
        found = {each.key: (each.state, each.error) for each in outbox.named(tx, states)}
    gone = ("dropped", "rejected by luis")
    kept = {"sending": ("sending", None), "sent": ("sent", None), "dropped": ("dropped", None)}
    assert found == {**dict.fromkeys(states[:4], gone), **kept}
