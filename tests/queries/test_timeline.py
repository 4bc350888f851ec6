"""What happened with a lead is told once and in order, on both databases; and how its points went."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from syncer.app import App
from syncer.model import Answer, Notice, Override, Page, Reading
from syncer.queries.course import course
from syncer.queries.explaining import explain_one, explain_one_then
from syncer.queries.lead import show
from syncer.queries.timelines import Event, Place, place_of, timeline
from syncer.store import Store, answers, decisions, mirror
from syncer.store.tables import notices
from tests.queries.small import DAY, seen, small_app, standing, warm
from tests.store.samples import HOUR, NOW, activity, apply, handoff, key, planned, put, record, the_lead


@pytest.fixture
def app(tmp_path: Path, store: Store) -> App:
    return small_app(tmp_path, store)


# What happened


def whole(app: App, lead: int) -> list[Event]:
    """Part after part, as somebody follows the link."""
    part = timeline(app, lead)
    events = list(part.events)
    while part.earlier is not None:
        part = timeline(app, lead, before=place_of(part.earlier))
        assert part.events
        events += part.events
    return events


def test_every_event_is_told_once_and_the_latest_first_however_many_there_are(app: App, store: Store) -> None:
    """Hundreds at the same moment: an import knows days only."""
    put(store, record("1"))
    lead = the_lead(store, "1").id
    ids = [f"{name}/{number}" for name in ("Z", "a", "é", "_") for number in range(65)]
    put(store, *(activity(each, "1", at=NOW - 3 * DAY) for each in ids))
    put(store, *(activity(f"late/{number}", "1", at=NOW - number * HOUR) for number in range(150)))
    for number, stage in enumerate(["iql", "cold"] * 30):
        standing(store, lead, stage, at=NOW - 3 * DAY if number % 3 else NOW - number * DAY)
    found = whole(app, lead)
    assert [each.at for each in found] == sorted((each.at for each in found), reverse=True)
    told = [each.key for each in found if each.kind == "activity"]
    assert len(told) == len(set(told))
    assert set(told) == {f"crm/{each}" for each in ids} | {f"crm/late/{number}" for number in range(150)}
    assert sum(each.kind == "move" for each in found) == 60


def test_an_activity_of_two_records_of_the_lead_is_told_once(app: App, store: Store) -> None:
    with store.writing() as tx:
        both = record("1", email="ana@acme.example"), record("2", email="ana@acme.example")
        shared = activity("call", "1", "2")
        mirror.store_page(tx, "crm", "contacts", Page(None, both, (shared,)), NOW, same_person=True)
    assert [each.kind for each in whole(app, the_lead(store, "1").id)] == ["activity"]


def test_what_counters_rose_by_is_told(app: App, store: Store) -> None:
    put(store, record("1"))
    seen = ((0, 5), (2, 4), (2, 3), (9, 1), (3, 0))  # (value, days ago)
    rises = [Reading(key("1"), "email_open", value, NOW - days * DAY, NOW - days * DAY) for value, days in seen]
    for each in rises:
        put(store, readings=(each,))
    events = timeline(app, the_lead(store, "1").id).events
    assert [(each.what, each.count, each.more, each.named) for each in events if each.kind == "counter"][:2] == [
        ("email_open", 9, 7, True),
        ("email_open", 2, 2, True),
    ]


def test_words_hand_offs_messages_and_answers_stand_among_what_it_did(app: App, store: Store) -> None:
    lead = warm(store)
    alert = handoff(mirror.lead(store, lead, NOW))
    planned_ = replace(planned(mirror.lead(store, lead, NOW), "sql"), handoff=alert)
    apply(store, planned_, notices=(Notice("n1", alert, "sales", "luis@us.example", "ready"),))
    with store.writing() as tx:
        tx.execute(notices.update().values(state="sent", sent_at=NOW + HOUR))
        answers.keep(tx, alert.key, Answer(False, "luis", NOW + 2 * HOUR, "link", "no budget"))
        decisions.set_override(tx, lead, Override("cold", "marta", "why not", "command", NOW + 3 * HOUR))
        decisions.end_override(tx, lead, NOW + 4 * HOUR)
    later = replace(app, clock=lambda: NOW + DAY)
    found = timeline(later, lead).events
    assert [(each.kind, each.what) for each in found] == [
        ("word_ended", "cold"),
        ("word", "cold"),
        ("answer", "rejected"),
        ("message", "handoff"),
        ("handoff", "sql"),
        ("move", "sql"),
        ("activity", "meeting"),
        ("activity", "meeting"),
    ]
    (shown,) = show(later, lead).handoffs
    assert [(each.channel, each.state) for each in shown.messages] == [("sales", "sent")]
    assert [each.reason for each in shown.answers] == ["no budget"]


def test_what_is_planned_stands_on_top_but_not_in_the_past(app: App, store: Store) -> None:
    lead = warm(store)
    put(store, activity("to come", "1", kind="meeting", hour=48))
    assert timeline(app, lead).events[0].at == NOW + 2 * DAY
    assert {each.key for each in timeline(app, lead, by=NOW - 40 * DAY).events} == {"crm/m60"}


def test_the_fields_that_say_most_come_first_and_are_cut(app: App, store: Store) -> None:
    said = {"a": "1", "b": "2", "c": 3, "d": "4", "empty": "", "subject": "x" * 999}
    put(store, record("1"), activity("mail", "1", fields=said))
    (event,) = timeline(app, the_lead(store, "1").id).events
    assert [name for name, _ in event.facts] == ["subject", "a", "b", "c"]
    assert len(event.facts[0][1]) == 120


@pytest.mark.parametrize(
    "text", ["", "1", "1.2.3", "1.", ".1", "1.x", "x.1", "-1.1", "1.-1", "9" * 40 + ".1", "1." + "9" * 10, "1.\u0661"]
)
def test_a_place_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="this is no"):
        place_of(text)


def test_a_place_is_read_as_it_was_written() -> None:
    place = Place(NOW, 17)
    assert place_of(str(place)) == place


def test_a_place_says_nothing_of_what_happened_there(app: App, store: Store) -> None:
    """The key of a record may be an address."""
    put(store, record("ana.ruiz@acme.example"))
    lead = the_lead(store, "ana.ruiz@acme.example").id
    put(store, *(activity(f"ana.ruiz@acme.example/{number}", "ana.ruiz@acme.example") for number in range(101)))
    earlier = timeline(app, lead).earlier
    assert earlier is not None
    assert "ana" not in earlier


def test_a_place_that_there_is_no_more_is_gone_on_from(app: App, store: Store) -> None:
    lead = warm(store)
    assert timeline(app, lead, before=Place(NOW - DAY, 400)).events == timeline(app, lead, by=NOW - DAY - HOUR).events


# Over time


def test_the_course_says_of_each_time_what_explain_says_of_it(app: App, store: Store) -> None:
    lead = warm(store)
    for number, stage in enumerate(["iql", "mql", "iql"]):
        standing(store, lead, stage, at=NOW - (50 - 20 * number) * DAY)
    found = course(app, lead)
    assert 40 < len(found.stands) <= 60
    assert [each.at for each in found.stands] == sorted(each.at for each in found.stands)
    assert [each.stage for each in found.stands if each.moved] == ["iql", "mql", "iql"]
    for each in found.stands[::7]:
        assert each.total_hundredths == explain_one_then(app, lead, "x", each.at).score.total
    assert found.stands[-1].at == NOW
    assert found.stands[-1].total_hundredths == explain_one(app, lead, "x").score.total


def test_the_course_leaves_out_when_it_was_not_there(app: App, store: Store) -> None:
    seen(store, NOW - 10 * DAY, record("1", minute=-60 * 24 * 10, fields={"country": "ES"}))
    lead = the_lead(store, "1").id
    assert course(app, lead).stands[0].at == NOW - 10 * DAY
    put(store, record("1", deleted=True))
    stands = course(replace(app, clock=lambda: NOW + DAY), lead).stands
    assert stands
    assert max(each.at for each in stands) < NOW


def test_many_moves_are_no_more_than_sixty_points(app: App, store: Store) -> None:
    lead = warm(store)
    for number in range(25):
        standing(store, lead, ("iql", "cold")[number % 2], at=NOW - (25 - number) * HOUR)
    found = course(app, lead).stands
    assert len(found) <= 60
    assert sum(each.moved for each in found) == 19
