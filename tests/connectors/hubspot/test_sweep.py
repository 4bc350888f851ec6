"""What no increment shows: the sweep, and asking by id."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import pytest

from connectors.hubspot import HubSpot
from syncer.connector import Wanted
from syncer.model import Page
from tests.connectors.hubspot.portals import (
    Json,
    Office,
    activities,
    key,
    office,
    readings,
    records,
    rejected,
    retold,
)

COUNTRY = Wanted(fields=("country",))
OPENS = Wanted(activities=("email_open", "form_submission"))
CALLS = Wanted(activities=("call",))


def swept(hubspot: HubSpot, stream: str = "contacts") -> list[Page]:
    return list(hubspot.sweep(stream, None))


def fetched(hubspot: HubSpot, *ids: str, stream: str = "contacts", lately: bool = False) -> list[Page]:
    return list(hubspot.fetch(stream, ids, lately=lately))


def erase(portal: Office, contact: str) -> None:
    portal.api("POST", "/crm/v3/objects/contacts/gdpr-delete", {"objectId": contact})


def merge(portal: Office, kept: str, other: str) -> str:
    asked = {"primaryObjectId": kept, "objectIdToMerge": other}
    merged: str = portal.api("POST", "/crm/v3/objects/contacts/merge", asked)["id"]
    return merged


def call_with(portal: Office, *people: str) -> str:
    (call,) = portal.load("calls", [{"hs_timestamp": "2026-11-03T10:00:00Z"}])
    portal.tie("contacts", "calls", 193, [(each, call) for each in people])
    return call


def test_case_07_a_calculated_counter_is_seen_by_the_sweep_alone() -> None:
    with office() as portal:
        (ana,) = portal.add(1)
        portal.control("clock", advance_s=3600)  # she is out of the overlap
        cursor = list(portal.hubspot(OPENS).pull("contacts", None))[-1].cursor
        done = {"num_conversion_events": "1", "recent_conversion_date": "2026-11-03T10:00:00Z"}
        portal.control("calculate", objectType="contacts", id=ana, properties=done)
        portal.settle()
        assert readings(list(portal.hubspot(OPENS).pull("contacts", cursor))) == []
        (found,) = readings(swept(portal.hubspot(OPENS)))
        assert (found.record, found.kind, found.value) == (key(ana), "form_submission", 1)
        assert found.last_at == datetime(2026, 11, 3, 10, tzinfo=UTC)


def test_case_13_an_archived_person_is_told_as_deleted_and_a_restored_one_as_living_and_newer() -> None:
    with office() as portal:
        ana, ben = portal.add(2)
        portal.settle()
        portal.remove(ana)
        hubspot = portal.hubspot(COUNTRY)
        assert set(records(swept(hubspot))) == {ben}
        (gone,) = records(fetched(hubspot, ana)).values()
        assert (gone.deleted, gone.erased, gone.email, gone.fields) == (True, False, None, {})
        portal.control("clock", advance_s=10)
        portal.control("restore", objectType="contacts", id=ana)
        back = records(swept(portal.hubspot(COUNTRY)))[ana]
        assert (back.deleted, back.fields) == (False, {"country": "ES"})
        assert back.modified_at >= gone.modified_at


def test_case_14_an_erased_person_is_told_from_a_deleted_one() -> None:
    with office() as portal:
        erased, archived, there = portal.add(3)
        call = call_with(portal, erased)
        portal.settle()
        cursor = list(portal.hubspot(COUNTRY).pull("contacts", None))[-1].cursor
        erase(portal, erased)
        portal.remove(archived)
        portal.settle()
        hubspot = portal.hubspot(Wanted(fields=("country",), activities=("call",)))
        found = records(fetched(hubspot, erased, archived, there, "4711"))
        told = {each: (found[each].deleted, found[each].erased) for each in found}
        assert told == {erased: (True, True), archived: (True, False), there: (False, False), "4711": (True, True)}
        assert (found[erased].email, found[erased].fields, found[erased].name) == (None, {}, None)
        assert erased not in records(swept(hubspot))
        assert erased not in records(list(hubspot.pull("contacts", cursor)))
        (orphan,) = activities(fetched(hubspot, call, stream="calls")).values()
        assert orphan.records == ()


def test_case_14_an_archived_person_is_gone_for_good_after_ninety_days() -> None:
    with office() as portal:
        (ana,) = portal.add(1)
        portal.remove(ana)
        for days, erased in ((89, False), (2, True)):
            portal.control("clock", advance_s=days * 86_400)
            assert records(fetched(portal.hubspot(COUNTRY), ana))[ana].erased is erased


@pytest.mark.parametrize("keeps", [False, True])
def test_case_15_a_merged_person_is_told_under_every_old_id(keeps: bool) -> None:
    with office(merge_keeps_primary_id=keeps) as portal:
        ana, ben, cleo = portal.add(3)
        portal.settle()
        hubspot = portal.hubspot(COUNTRY)
        cursor = list(hubspot.pull("contacts", None))[-1].cursor
        last = merge(portal, cleo, merge(portal, ana, ben))  # one into another, and that into a third
        portal.settle()
        expected = {each: key(last) for each in (ana, ben, cleo) if each != last}
        ways = {
            "pull": records(list(hubspot.pull("contacts", cursor))),
            "sweep": records(swept(hubspot)),
            "fetch": records(fetched(hubspot, ana, ben, cleo)),
            "read_back": {each.key.id: each for each in hubspot.read_back([key(ana), key(ben), key(cleo)])},
        }
        for way, found in ways.items():
            merged = {each: found[each].merged_into for each in found if found[each].merged_into}
            assert {each: merged[each] for each in expected} == expected, way
            assert set(merged.values()) == {key(last)}, way
            assert found[last].merged_into is None, way


def test_case_15_who_was_merged_into_somebody_that_does_not_say_so_is_asked_alone() -> None:
    def forgetful(answer: Json) -> Json:
        for row in answer["results"]:
            row["properties"].pop("hs_merged_object_ids", None)
        return answer

    with office() as portal:
        ana, ben, cleo = portal.add(3)
        merged = merge(portal, ana, ben)
        with retold(portal, portal.paths.objects("contacts", "/batch/read"), forgetful) as second:
            found = records(fetched(second.hubspot(COUNTRY), ana, ben, cleo))
        assert {each: found[each].merged_into for each in found} == {
            ana: key(merged),
            ben: key(merged),
            merged: None,
            cleo: None,
        }


def test_case_15_a_person_merged_into_one_that_was_deleted_is_deleted() -> None:
    with office() as portal:
        ana, ben = portal.add(2)
        merged = merge(portal, ana, ben)
        portal.remove(merged)
        found = records(fetched(portal.hubspot(COUNTRY), ana, merged))
        assert {each: (found[each].deleted, found[each].erased) for each in (ana, merged)} == {
            ana: (True, False),
            merged: (True, False),
        }


@pytest.mark.parametrize("touches", [True, False])
def test_case_18_a_call_that_goes_over_to_another_person_is_seen_with_both(touches: bool) -> None:
    with office(ties_touch=touches) as portal:
        ana, ben = portal.add(2)
        call = call_with(portal, ana)
        portal.control("clock", advance_s=3600)
        hubspot = portal.hubspot(CALLS)
        cursor = list(hubspot.pull("calls", None))[-1].cursor
        for way, contact in (("archive", ana), ("create", ben)):
            tie = {"from": {"id": call}, "to": {"id": contact}}
            types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 194}]
            given = {**tie, "types": types} if way == "create" else {"from": tie["from"], "to": [tie["to"]]}
            portal.api("POST", f"/crm/v4/associations/calls/contacts/batch/{way}", {"inputs": [given]})
        portal.settle()
        increment = activities(list(portal.hubspot(CALLS).pull("calls", cursor)))
        assert [each.records for each in increment.values()] == ([(key(ben),)] if touches else [])
        assert activities(swept(portal.hubspot(CALLS), "calls"))[f"calls/{call}"].records == (key(ben),)


def test_an_activity_that_is_gone_is_told_as_deleted_and_the_sweep_leaves_it_out() -> None:
    with office() as portal:
        (ana,) = portal.add(1)
        kept, gone = call_with(portal, ana), call_with(portal, ana)
        portal.api("DELETE", f"/crm/v3/objects/calls/{gone}")
        hubspot = portal.hubspot(CALLS)
        assert set(activities(swept(hubspot, "calls"))) == {f"calls/{kept}"}
        found = activities(fetched(hubspot, kept, gone, "4711", stream="calls"))
        told = {each: (found[each].deleted, found[each].records) for each in found}
        assert told == {
            f"calls/{kept}": (False, (key(ana),)),
            f"calls/{gone}": (True, ()),
            "calls/4711": (True, ()),
        }


def test_a_sweep_shows_everything_as_it_is_goes_on_from_any_page_and_ends() -> None:
    def known(stream: str, ids: Sequence[str]) -> Mapping[str, datetime]:
        return dict.fromkeys(ids, datetime.now(UTC))

    with office() as portal:
        people = portal.add(1_300)
        portal.settle()
        hubspot = portal.hubspot(Wanted(fields=("country",), known=known))
        pages = swept(hubspot)
        assert set(records(pages)) == set(people)  # those that are stored as well
        for number, page in enumerate(pages):
            rest = list(portal.hubspot(COUNTRY).sweep("contacts", page.cursor))
            assert {*records(pages[: number + 1]), *records(rest)} == set(people)
        assert records(list(hubspot.sweep("contacts", pages[-1].cursor))) == {}
        assert portal.statuses("/contacts/batch/read") == {}


def test_a_sweep_does_not_move_the_place_of_the_pull() -> None:
    with office() as portal:
        (ana,) = portal.add(1)
        portal.settle()
        hubspot = portal.hubspot(COUNTRY)
        cursor = list(hubspot.pull("contacts", None))[-1].cursor
        portal.change(ana, country="PT")
        portal.settle()
        swept(hubspot)
        assert records(list(portal.hubspot(COUNTRY).pull("contacts", cursor)))[ana].fields == {"country": "PT"}


def test_who_is_asked_for_by_id_comes_as_they_are_now_in_pages_that_are_no_place() -> None:
    with office(index_lag_s=900) as portal:
        people = list(portal.add(1_200))
        portal.change(people[3], country="PT")
        portal.forget()
        pages = fetched(portal.hubspot(COUNTRY), *people, people[0])
        found = records(pages)
        assert set(found) == set(people)
        assert found[people[3]].fields == {"country": "PT"}
        assert [page.cursor for page in pages] == [None, None]
        assert portal.statuses("/contacts/batch/read") == {200: 12}
        assert fetched(portal.hubspot(COUNTRY)) == []


def test_who_gets_no_answer_is_asked_for_again_later() -> None:
    def silent(answer: Json) -> Json:
        return {**answer, "results": [], "errors": []}

    with office() as portal:
        (ana,) = portal.add(1)
        call = call_with(portal, ana)
        with retold(portal, "/batch/read", silent) as second:
            hubspot = second.hubspot(CALLS)
            (person,) = rejected(fetched(hubspot, ana))
            (activity,) = rejected(fetched(hubspot, call, stream="calls"))
        assert (person.id, person.retry) == (ana, True)
        assert (activity.id, activity.retry) == (f"calls/{call}", True)


def test_what_a_person_did_lately_comes_with_them_when_it_is_not_stored_or_little() -> None:
    stored: dict[str, datetime] = {}

    def known(stream: str, ids: Sequence[str]) -> Mapping[str, datetime]:
        return {each: stored[each] for each in ids if each in stored}

    wanted = Wanted(activities=("call", "meeting"), known=known)
    with office() as portal:
        ana, ben = portal.add(2)
        portal.act(ana)
        call, other = call_with(portal, ana, ben), call_with(portal, ben)
        pages = fetched(portal.hubspot(wanted), ana, lately=True)
        found = activities(pages)
        assert set(records(pages)) == {ana}
        assert {each.kind for each in found.values()} == {"call", "meeting"}
        assert set(found[f"calls/{call}"].records) == {key(ana), key(ben)}
        assert f"calls/{other}" not in found
        assert {page.cursor for page in pages} == {None}
        stored[call] = datetime.now(UTC)
        again = activities(fetched(portal.hubspot(wanted), ana, lately=True))
        assert set(again) == set(found)  # it is stored, but who is to say that nobody has edited it since
        many = portal.load("calls", [{"hs_timestamp": "2026-11-03T10:00:00Z"} for _ in range(150)])
        portal.tie("contacts", "calls", 193, [(ana, each) for each in many])
        stored.update(dict.fromkeys([call, *many[1:]], datetime.now(UTC)))
        portal.forget()
        found = activities(fetched(portal.hubspot(wanted), ana, lately=True))
        assert {each for each in found if each.startswith("calls/")} == {f"calls/{many[0]}"}
        assert portal.calls()["total"] == 8  # account, ana, and of her meetings and calls: which, what and whose


def test_a_stream_that_may_not_be_read_does_not_keep_the_person_from_being_read_now() -> None:
    with office() as portal:
        (ana,) = portal.add(1)
        call = call_with(portal, ana)
        portal.fault(path="/contacts/emails/batch/read", status=403)
        hubspot = portal.hubspot(Wanted(activities=("call", "email_received")))
        pages = fetched(hubspot, ana, lately=True)
        assert (set(records(pages)), set(activities(pages))) == ({ana}, {f"calls/{call}"})


def test_somebody_who_is_gone_did_nothing_lately() -> None:
    with office() as portal:
        ana, ben = portal.add(2)
        call_with(portal, ana, ben)
        erase(portal, ana)
        portal.remove(ben)
        portal.forget()
        assert activities(fetched(portal.hubspot(CALLS), ana, ben, lately=True)) == {}
        assert portal.statuses("/associations/contacts/calls/batch/read") == {}


@pytest.mark.parametrize("version", ["v3", "2026-03", "2026-09"])
def test_case_50_every_version_sweeps_and_asks_by_id_alike(version: str) -> None:
    with office() as portal:
        people = list(portal.add(120))
        call = call_with(portal, people[0])
        portal.remove(people[1])
        erase(portal, people[2])
        merged = merge(portal, people[3], people[4])
        portal.settle()
        hubspot = portal.hubspot(Wanted(fields=("country",), activities=("call",)), api_version=version)
        living = [each.key.id for each in records(swept(hubspot)).values() if each.merged_into is None]
        assert sorted(living) == sorted([people[0], *people[5:], merged])
        found = records(fetched(hubspot, *people[:5], lately=False))
        told = {each: (found[each].deleted, found[each].erased, found[each].merged_into) for each in found}
        assert told == {
            people[0]: (False, False, None),
            people[1]: (True, False, None),
            people[2]: (True, True, None),
            people[3]: (False, False, key(merged)),
            people[4]: (False, False, key(merged)),
            merged: (False, False, None),
        }
        ways = itertools.chain(swept(hubspot, "calls"), fetched(hubspot, call, stream="calls"))
        assert [each.records for page in ways for each in page.activities] == [(key(people[0]),)] * 2
