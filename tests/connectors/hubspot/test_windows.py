"""What was modified since the last pull: few calls, nothing read twice, nothing lost that search shows late."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from syncer.connector import Wanted
from syncer.model import Cursor, Page
from tests.connectors.hubspot.portals import Json, Office, activities, office, records, retold

COUNTRY = Wanted(fields=("country",))
THREE = Wanted(fields=("country",), activities=("meeting", "call", "note"))
OWNED = {"email": "ana@acme.test", "hubspot_owner_id": "41629779"}


class Mirror:
    """What syncer would have stored, as `Wanted.known` tells it."""

    def __init__(self) -> None:
        self.seen: dict[tuple[str, str], datetime] = {}
        self.asked: list[str] = []

    def store(self, pages: Sequence[Page]) -> Cursor:
        for page in pages:
            for record in page.records:
                self.seen[record.key.object, record.key.id] = record.modified_at
            for activity in page.activities:
                stream, _, identity = activity.id.partition("/")
                self.seen[stream, identity] = activity.modified_at or activity.at
        cursor = pages[-1].cursor
        assert cursor is not None
        return cursor

    def known(self, stream: str, ids: Sequence[str]) -> Mapping[str, datetime]:
        self.asked += ids
        return {each: self.seen[stream, each] for each in ids if (stream, each) in self.seen}

    def wanted(self, like: Wanted = COUNTRY) -> Wanted:
        return Wanted(fields=like.fields, activities=like.activities, known=self.known)


def one_run(portal: Office, wanted: Wanted, cursors: dict[str, Cursor], **settings: str) -> dict[str, list[Page]]:
    """Every stream pulled by a new connector; the requests since the last `forget` are this run's."""
    hubspot = portal.hubspot(wanted, **settings)
    portal.forget()
    hubspot.account()
    pages = {stream: list(hubspot.pull(stream, cursors.get(stream))) for stream in hubspot.streams}
    for stream, pulled in pages.items():
        cursor = pulled[-1].cursor
        assert cursor is not None
        cursors[stream] = cursor
    return pages


def a_while_later(portal: Office, seconds: float = 300) -> None:
    portal.control("clock", advance_s=seconds)


def test_a_quiet_run_asks_for_the_account_and_searches_each_stream_once() -> None:
    with office() as portal:
        portal.load("contacts", [OWNED for _ in range(3)], updatedAt="2026-01-01T00:00:00Z")
        cursors: dict[str, Cursor] = {}
        one_run(portal, THREE, cursors)
        a_while_later(portal)
        pages = one_run(portal, THREE, cursors)
        assert [len(page.records) for page in itertools.chain(*pages.values())] == [0, 0, 0, 0]
        assert sorted((each["route"], each["count"]) for each in portal.calls()["routes"]) == [
            ("/account-info/details", 1),
            *((f"/objects/{kind}/search", 1) for kind in ("calls", "contacts", "meetings", "notes")),
        ]


def test_a_hundred_changes_among_many_cost_a_handful_of_calls() -> None:
    with office() as portal:
        cursors: dict[str, Cursor] = {}
        one_run(portal, THREE, cursors)
        people = portal.load("contacts", [OWNED for _ in range(20_000)], updatedAt="2026-01-01T00:00:00Z")
        for each in people[::200]:
            portal.change(each, country="PT")
        a_while_later(portal)
        pages = one_run(portal, COUNTRY, cursors)
        assert len(records(pages["contacts"])) == 100
        assert portal.calls()["total"] == 4  # account, search, the hundred, the owners


def test_what_is_stored_is_not_read_again_and_what_changed_since_is() -> None:
    with office() as portal:
        people = portal.add(300)
        mirror = Mirror()
        cursor = mirror.store(list(portal.hubspot(COUNTRY).pull("contacts", None)))
        portal.change(people[7], country="PT")
        a_while_later(portal, 100)
        found = list(portal.hubspot(mirror.wanted()).pull("contacts", cursor))
        assert set(mirror.asked) == set(people)  # all of them are within the overlap
        assert list(records(found)) == [people[7]]
        assert found[0].expected == 300


def test_what_search_shows_without_a_readable_time_is_always_read() -> None:
    def timeless(answer: Json) -> Json:
        rows = [{**row, "properties": {"lastmodifieddate": "soon"}} for row in answer["results"]]
        return {**answer, "results": rows}

    with office() as portal:
        people = portal.add(3)
        mirror = Mirror()
        cursor = mirror.store(list(portal.hubspot(COUNTRY).pull("contacts", None)))
        a_while_later(portal, 100)
        with retold(portal, "/search", timeless) as second:
            assert set(records(list(second.hubspot(mirror.wanted()).pull("contacts", cursor)))) == set(people)


def test_stored_activities_are_not_read_again_either() -> None:
    with office() as portal:
        (ana,) = portal.add(1)
        portal.act(ana)
        portal.act(ana)
        mirror, wanted = Mirror(), Wanted(activities=("meeting",))
        cursor = mirror.store(list(portal.hubspot(wanted).pull("meetings", None)))
        a_while_later(portal, 100)
        portal.forget()
        assert activities(list(portal.hubspot(mirror.wanted(wanted)).pull("meetings", cursor))) == {}
        assert portal.calls()["total"] == 2


def late(portal: Office, second_look: str) -> list[str | None]:
    """Ana's country as runs every five minutes see it, for an hour and a half, where search is a quarter of an hour
    late."""
    (ana,) = portal.add(1)
    mirror, cursors, seen = Mirror(), dict[str, Cursor](), list[str | None]()
    mirror.store(one_run(portal, mirror.wanted(), cursors)["contacts"])
    a_while_later(portal)
    portal.change(ana, country="PT")
    for _ in range(18):
        a_while_later(portal)
        pages = one_run(portal, mirror.wanted(), cursors, second_look=second_look)["contacts"]
        mirror.store(pages)
        seen += [str(each.fields.get("country")) for each in records(pages).values()]
    return seen


@pytest.mark.parametrize(("second_look", "expected"), [("1h", ["PT"]), ("0s", [])])
def test_case_03_what_search_shows_very_late_is_found_by_the_second_look(second_look: str, expected: list[str]) -> None:
    with office(index_lag_s=900) as portal:
        assert late(portal, second_look) == expected


def test_the_second_look_costs_one_search_in_a_quarter_of_an_hour() -> None:
    with office() as portal:
        cursors: dict[str, Cursor] = {}
        one_run(portal, COUNTRY, cursors)
        a_while_later(portal, 7200)
        one_run(portal, COUNTRY, cursors)
        searches = []
        for _ in range(12):
            a_while_later(portal)
            one_run(portal, COUNTRY, cursors)
            searches.append(sum(portal.statuses("/contacts/search").values()))
        assert sorted(searches) == [1] * 8 + [2] * 4


def test_a_second_look_that_ends_half_way_goes_on_where_it_was() -> None:
    with office() as portal:
        cursors: dict[str, Cursor] = {}
        one_run(portal, COUNTRY, cursors)
        a_while_later(portal)
        people = portal.load("contacts", [{} for _ in range(1_100)])
        for _ in range(3):
            a_while_later(portal, 1200)
            one_run(portal, COUNTRY, cursors)
        a_while_later(portal, 1200)
        pages = list(portal.hubspot(COUNTRY).pull("contacts", cursors["contacts"]))
        window, first, second = pages
        assert (len(window.records), len(first.records), len(second.records)) == (0, 1000, 100)
        rest = list(portal.hubspot(COUNTRY).pull("contacts", first.cursor))
        assert set(records(rest)) == set(people[1000:])
        assert len(rest) == 2  # the rest of it, and what was modified meanwhile; it does not look a third time


def test_owners_are_asked_for_when_somebody_has_one_and_those_who_left_only_then_when_needed() -> None:
    with office() as portal:
        hubspot = portal.hubspot(COUNTRY)
        portal.load("contacts", [{}])
        list(hubspot.pull("contacts", None))
        assert portal.statuses("/owners") == {}
        portal.load("contacts", [OWNED, {**OWNED, "email": "b@acme.test"}])
        found = records(list(hubspot.pull("contacts", None)))
        assert {each.owner for each in found.values()} == {None, "anna.berg@example.com"}
        assert portal.statuses("/owners") == {200: 1}
        portal.load("contacts", [{"hubspot_owner_id": "41629781"}, {"hubspot_owner_id": "99999"}])
        found = records(list(portal.hubspot(COUNTRY).pull("contacts", None)))
        left = {each.owner for each in found.values()} - {None, "anna.berg@example.com"}
        assert left == {"chris.gone@example.com", "99999"}
        assert portal.statuses("/owners") == {200: 3}


def test_owners_that_may_not_be_read_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    with office() as portal, caplog.at_level(logging.WARNING):
        portal.load("contacts", [OWNED, {**OWNED, "email": "b@acme.test"}])
        portal.control("tokens", add="narrow", scopes=["crm.objects.contacts.read", "crm.schemas.contacts.read"])
        found = records(list(portal.hubspot(COUNTRY, token="narrow").pull("contacts", None)))
        assert {each.owner for each in found.values()} == {"41629779"}
        assert [each.getMessage() for each in caplog.records].count("owners_not_readable") == 1


def test_a_window_reads_its_people_in_overlapping_batches_and_their_ties_in_one_question() -> None:
    with office() as portal:
        (ana,) = portal.add(1)
        wanted = Wanted(activities=("call",))
        cursor = list(portal.hubspot(wanted).pull("calls", None))[-1].cursor
        calls = portal.load("calls", [{"hs_timestamp": "2026-11-03T10:00:00Z"} for _ in range(1_500)])
        portal.tie("contacts", "calls", 193, [(ana, each) for each in calls])
        portal.settle()
        portal.forget()
        pages = list(portal.hubspot(wanted).pull("calls", cursor))
        assert [len(page.activities) for page in pages] == [1000, 500]
        assert all(len(each.records) == 1 for each in activities(pages).values())
        assert portal.statuses("/associations/calls/contacts/batch/read") == {200: 2}
        assert portal.statuses("/calls/batch/read") == {200: 15}
        assert portal.statuses("/calls/search") == {200: 8}


def test_case_06_a_person_deleted_between_search_and_reading_is_told_as_deleted_and_may_come_back() -> None:
    with office() as portal:
        ana, ben = portal.add(2)
        portal.settle()
        cursor = list(portal.hubspot(COUNTRY).pull("contacts", None))[-1].cursor

        def delete(answer: Json) -> Json:
            portal.remove(ben)
            return answer

        with retold(portal, "/search", delete) as second:
            found = records(list(second.hubspot(COUNTRY).pull("contacts", cursor)))
        assert (found[ana].deleted, found[ben].deleted, found[ben].erased) == (False, True, False)
        archived = portal.portal.shelves["contacts"].archived.get(int(ben))
        assert archived is not None
        modified = datetime.fromtimestamp(archived.modified_ms / 1000, UTC)
        assert abs(found[ben].modified_at - modified) < timedelta(milliseconds=1)  # not newer than HubSpot has it
