from __future__ import annotations

import itertools
import logging
from datetime import UTC, datetime, timedelta

import pytest

from connectors.emulators.hubspot import Clock
from connectors.hubspot import HubSpot
from connectors.hubspot.client import Client, next_after
from connectors.hubspot.lookups import associations
from connectors.hubspot.position import Position, Window
from connectors.hubspot.settings import Settings
from connectors.hubspot.windows import boundary
from syncer.connector import Wanted
from syncer.errors import ConfigError, TemporaryError
from syncer.model import Cursor, Page, RecordKey
from tests.connectors.hubspot.portals import (
    STAGES,
    TOKEN,
    Json,
    Office,
    activities,
    change,
    key,
    office,
    overheard,
    readings,
    records,
    rejected,
    retold,
)

COUNTRY = Wanted(fields=("country",), stages=STAGES)
OPENS = Wanted(activities=("email_open", "form_submission"))


def pulled(hubspot: HubSpot, since: Cursor | None = None, stream: str = "contacts") -> list[Page]:
    return list(hubspot.pull(stream, since))


def ids_in_order(pages: list[Page]) -> list[str]:
    return [record.key.id for page in pages for record in page.records]


@pytest.mark.parametrize(
    ("people", "same_millisecond"), [pytest.param(25_000, False, marks=pytest.mark.slow), (12_000, True)]
)
def test_cases_01_and_02_more_than_ten_thousand_changes_are_read_once_each(people: int, same_millisecond: bool) -> None:
    with office() as portal:
        cursor = pulled(portal.hubspot(COUNTRY))[-1].cursor
        now_ms = portal.portal.clock.now_ms()
        rows = [{"properties": {}, "updatedAt": now_ms + (0 if same_millisecond else at)} for at in range(people)]
        loaded = portal.control("load", objects={"contacts": rows})["ids"]["contacts"]
        portal.settle()
        searches = portal.statuses("/search")[200]
        pages = pulled(portal.hubspot(COUNTRY), cursor)
        assert ids_in_order(pages) == loaded  # all of them, none twice
        assert portal.statuses("/search") == {200: people // 200 + searches}
        assert portal.statuses("/batch/read") == {200: people // 100}
        assert pages[0].expected == people
        assert max(len(page.records) for page in pages) <= 1000


@pytest.mark.parametrize(("lag", "overlap"), [("60s", 0), (0, "2m")])
def test_case_03_what_search_shows_late_is_read_by_a_later_pull(lag: object, overlap: object) -> None:
    with office(index_lag_s=45) as portal:
        (ana,) = portal.add(1)
        portal.settle()
        hubspot = portal.hubspot(COUNTRY, lag=lag, overlap=overlap)
        cursor = pulled(hubspot)[-1].cursor
        portal.control("clock", advance_s=200)
        portal.change(ana, country="PT")
        seen = []
        for _ in range(6):
            portal.control("clock", advance_s=20)
            pages = pulled(hubspot, cursor)
            cursor = pages[-1].cursor
            seen += [record.fields.get("country") for record in records(pages).values()]
        assert "PT" in seen


def test_case_04_strangers_in_search_neither_harm_nor_move_the_cursor() -> None:
    with office() as portal:
        old = portal.load("contacts", [{} for _ in range(50)], updatedAt="2026-01-01T00:00:00Z")
        portal.settle()
        cursor = pulled(portal.hubspot(COUNTRY))[-1].cursor
        new = portal.add(450)
        portal.settle()
        portal.control("manners", stray_search_rows=5)
        pages = pulled(portal.hubspot(COUNTRY), cursor)
        assert set(new) <= set(records(pages)) <= {*old, *new}


@pytest.mark.parametrize(
    ("rows", "after", "expected"),
    [
        ([(1, 5), (2, 5), (3, 5)], None, "3"),
        ([(4, 5), (5, 5), (900, 99)], "3", "5"),  # a stranger from outside the window at the end
        ([(1, 5), (900, 5), (3, 5), (4, 5)], None, "3"),  # out of order: nothing behind the break is skipped
        ([(2, 5), (4, 5)], "3", "4"),  # one from before the boundary
        ([(2, 5), (3, 5)], "3", None),
        ([(8, 99), (9, 99)], "3", "9"),
        ([], None, None),
    ],
)
def test_case_04_the_next_page_begins_where_order_ends(
    rows: list[tuple[int, int]], after: str | None, expected: str | None
) -> None:
    window = Window(since_ms=100_000_000, until_ms=100_000_010, after=after)
    page = [{"id": str(each), "properties": {"lastmodifieddate": str(100_000_000 + second)}} for each, second in rows]
    found = boundary(page, "lastmodifieddate", window)
    assert found == expected


def test_case_05_a_person_changed_between_search_and_reading_comes_once_and_as_they_are_now() -> None:
    with office() as portal:
        ana, ben = portal.add(2)
        portal.settle()
        hubspot = portal.hubspot(COUNTRY)
        cursor = pulled(hubspot)[-1].cursor

        def change_ana(answer: dict[str, object]) -> dict[str, object]:
            portal.change(ana, country="PT")
            return answer

        with retold(portal, "/search", change_ana) as second:
            pages = pulled(second.hubspot(COUNTRY), cursor)
        assert ids_in_order(pages) == [ana, ben]
        assert records(pages)[ana].fields == {"country": "PT"}
        portal.settle()
        assert records(pulled(portal.hubspot(COUNTRY), pages[-1].cursor))[ana].fields == {"country": "PT"}


def test_case_06_a_person_changed_while_pages_are_read_comes_with_the_next_pull() -> None:
    with office() as portal:
        people = portal.add(450)
        portal.settle()
        start = pulled(portal.hubspot(COUNTRY))[-1].cursor
        for each in people:
            portal.change(each, country="IT")
        portal.settle()
        pages = portal.hubspot(COUNTRY).pull("contacts", start)
        first = next(pages)
        portal.change(people[-1], country="PT")  # leaves the window upward, before its page is asked for
        rest = [first, *pages]
        portal.settle()
        again = records(pulled(portal.hubspot(COUNTRY), rest[-1].cursor))
        assert again[people[-1]].fields["country"] == "PT"
        assert set(records(rest)) | set(again) == set(people)


def test_case_08_three_hundred_mapped_properties_are_read_without_a_refusal() -> None:
    names = [f"a_custom_property_with_a_long_name_{number}" for number in range(300)]
    made = [
        {"name": name, "label": name, "type": "string", "fieldType": "text", "groupName": "contactinformation"}
        for name in names
    ]
    with office() as portal:
        portal.control("load", properties={"contacts": made})
        (ana,) = portal.load("contacts", [dict.fromkeys(names, "x")])
        portal.settle()
        hubspot = portal.hubspot(Wanted(fields=tuple(names)))
        first = pulled(hubspot)
        assert records(first)[ana].fields == dict.fromkeys(names, "x")
        assert ana in records(pulled(hubspot, first[-1].cursor))
        assert {each["status"] for each in portal.calls()["routes"]} == {200}


def test_case_09_an_unknown_property_is_told_once_and_the_others_are_read(caplog: pytest.LogCaptureFixture) -> None:
    wanted = Wanted(fields=("country", "deleted_by_admin"))
    with office() as portal, caplog.at_level(logging.WARNING, logger="connectors.hubspot"):
        (ana,) = portal.add(1)
        portal.settle()
        hubspot = portal.hubspot(wanted)
        for _ in range(2):
            assert records(pulled(hubspot))[ana].fields == {"country": "ES"}
        told = [each for each in caplog.records if each.getMessage() == "fields_unknown"]
        assert [vars(each)["fields"] for each in told] == [["deleted_by_admin"]]
        codes = {finding.code for finding in hubspot.check() if "deleted_by_admin" in finding.message}
        assert codes == {"SY043"}


@pytest.mark.parametrize("unset", ["null", "absent"])
def test_case_10_nothing_is_not_zero(unset: str) -> None:
    with office(unset_properties=unset) as portal:
        none, zero = portal.load("contacts", [{"email": "a@b.test"}, {"email": "c@d.test", "numemployees": "0"}])
        portal.settle()
        found = records(pulled(portal.hubspot(Wanted(fields=("numemployees",)))))
        assert (found[none].fields, found[zero].fields) == ({}, {"numemployees": "0"})


def test_case_10_nothing_may_also_be_an_empty_text() -> None:
    def emptied(answer: Json) -> Json:
        for row in answer["results"]:
            row["properties"] = {name: value or "" for name, value in row["properties"].items()}
        return answer

    with office() as portal:
        (none,) = portal.load("contacts", [{"firstname": "Ana"}])
        portal.settle()
        with retold(portal, portal.paths.objects("contacts"), emptied) as second:
            wanted = Wanted(("numemployees",), ("email_open",), STAGES)
            pages = pulled(second.hubspot(wanted))
            found = records(pages)[none]
        shown = (found.fields, found.email, found.owner, found.stage, found.lifecycle, found.name, found.merged_into)
        assert shown == ({}, None, None, None, None, "Ana", None)
        assert (readings(pages), rejected(pages)) == ([], [])


def test_case_11_junk_in_counters_is_rejected_and_the_person_is_read() -> None:
    junk = ["N/A", "1;2", "3.5"]
    good = {"7": 7, "1,234": 1234, "7.0": 7}
    with office() as portal:
        rows = [{"hs_email_open": value} for value in [*junk, *good]]
        late = [
            {"hs_email_open": "2", "hs_email_last_open_date": at}
            for at in ("1762212973632", "1762212973632.0", "2025-11-03T23:36:13.632Z", "yesterday")
        ]
        people = portal.load("contacts", [*rows, *late])
        portal.settle()
        pages = pulled(portal.hubspot(OPENS))
        found = {each.record.id: each for each in readings(pages)}
        assert set(records(pages)) == set(people)
        assert [found[each].value for each in people[3:6]] == list(good.values())
        times = {found[each].last_at for each in people[6:9]}
        assert [str(at) for at in times] == ["2025-11-03 23:36:13.632000+00:00"]
        assert {each.id for each in rejected(pages)} == {*people[:3], people[-1]}


@pytest.mark.parametrize("people", [0, 1, 100, 200, 201])
def test_case_12_a_pull_ends_whether_its_last_page_is_full_or_not(people: int) -> None:
    with office() as portal:
        portal.add(people)
        portal.settle()
        first = pulled(portal.hubspot(COUNTRY))
        assert len(records(first)) == people
        assert len(records(pulled(portal.hubspot(COUNTRY), first[-1].cursor))) == people  # within the overlap


@pytest.mark.parametrize("answer", [{}, {"paging": None}, {"paging": {}}, {"paging": {"next": {}}}, {"paging": []}])
def test_case_12_paging_in_any_shape_may_say_that_it_ends(answer: dict[str, object]) -> None:
    assert next_after(answer) is None


def test_case_12_a_page_of_search_without_paging_goes_on_while_more_were_counted() -> None:
    def unpaged(answer: Json) -> Json:
        return {name: part for name, part in answer.items() if name != "paging"}

    with office() as portal:
        cursor = pulled(portal.hubspot(COUNTRY))[-1].cursor
        people = portal.add(450)
        portal.settle()
        with retold(portal, "/search", unpaged) as second:
            assert ids_in_order(pulled(second.hubspot(COUNTRY), cursor)) == people


@pytest.mark.parametrize("stream", ["contacts", "companies"])
def test_search_is_never_asked_from_1970_on_which_hubspot_answers_with_500(stream: str) -> None:
    heard: list[Json] = []
    wanted = Wanted(("company.industry",), (), STAGES)
    with office() as portal:
        people = portal.add(1)
        portal.settle()
        early = Position("44237313", stream, 5, 5).cursor()
        with overheard(portal, "/search", heard) as second:
            pages = pulled(second.hubspot(wanted), early, stream)
        assert set(records(pages)) == (set(people) if stream == "contacts" else set())
        asked = [each["value"] for body in heard for group in body["filterGroups"] for each in group["filters"]]
        assert asked[0] == "1000"
        assert all(int(each) >= 1000 for each in asked)


def test_case_16_people_are_told_apart_by_their_ids_alone() -> None:
    with office() as portal:
        rows = [
            {"country": "ES"},
            {"country": "PT"},
            {"email": "ana@acme.test", "hs_additional_emails": "office@acme.test"},
            {"email": "ben@acme.test", "hs_additional_emails": "office@acme.test;ana@acme.test"},
        ]
        people = portal.load("contacts", rows)
        portal.settle()
        first = pulled(portal.hubspot(COUNTRY))
        for pages in (first, pulled(portal.hubspot(COUNTRY), first[-1].cursor)):
            assert ids_in_order(pages) == people
            emails = [records(pages)[each].email for each in people]
            assert emails == [None, None, "ana@acme.test", "ben@acme.test"]
            assert {record.merged_into for record in records(pages).values()} == {None}


def calls_of(portal: Office, number: int, people: int) -> tuple[list[str], list[str]]:
    calls = portal.load("calls", [{"hs_timestamp": "2026-11-03T10:00:00Z"} for _ in range(number)])
    persons = list(portal.add(people))
    portal.tie("contacts", "calls", 193, [*itertools.product(persons, calls)])
    return calls, persons


def test_case_17_associations_are_read_to_their_last_page_both_ways() -> None:
    with office() as portal:
        calls, (ana,) = calls_of(portal, 1200, 1)
        (alone,) = portal.add(1)
        given = {"token": TOKEN, "base_url": portal.url, "api_version": portal.api_version}
        settings = Settings.model_validate(given)
        client = Client("crm", settings, Wanted())
        found = associations(client, "contacts", "calls", [ana, alone])
        assert (set(found[ana]), found[alone]) == (set(calls), ())
        assert associations(client, "calls", "contacts", calls) == dict.fromkeys(calls, (ana,))


@pytest.mark.parametrize(
    ("error", "is_untied"),
    [
        ({"category": "OBJECT_NOT_FOUND", "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND"}, True),
        ({"category": "OBJECT_NOT_FOUND", "message": "No call with ID 7 exists"}, True),
        ({"category": "VALIDATION_ERROR", "message": "not now"}, False),
        ({"category": "INTERNAL_ERROR"}, False),
        ({}, False),
    ],
    ids=str,
)
def test_case_17_an_activity_is_untied_only_where_hubspot_says_so(error: dict[str, str], is_untied: bool) -> None:
    def lose(answer: dict[str, object]) -> dict[str, object]:
        return {**answer, "results": [], "errors": [{"status": "error", **error}], "numErrors": 1}

    with office() as portal:
        (call,), _ = calls_of(portal, 1, 1)
        portal.settle()
        with retold(portal, portal.paths.associations("calls", "contacts"), lose) as second:
            hubspot = second.hubspot(Wanted(activities=("call",)))
            if is_untied:
                (found,) = activities(list(hubspot.fetch("calls", [call]))).values()
                assert found.records == ()
                return
            with pytest.raises(TemporaryError, match="could not tell for some") as caught:
                list(hubspot.fetch("calls", [call]))
            assert caught.value.code == "SY042"


def test_case_17_a_meeting_of_many_people_belongs_to_all_of_them() -> None:
    with office(association_page=50) as portal:
        (call,), people = calls_of(portal, 1, 120)
        portal.settle()
        (found,) = activities(pulled(portal.hubspot(Wanted(activities=("call",))), None, "calls")).values()
        assert found.id == f"calls/{call}"
        assert {each.id for each in found.records} == set(people)


def test_case_19_one_forbidden_stream_names_its_scope_and_the_people_go_on() -> None:
    scopes = ["crm.objects.contacts.read", "crm.schemas.contacts.read"]
    with office() as portal:
        (ana,) = portal.add(1)
        portal.settle()
        portal.control("tokens", add="narrow-token", scopes=scopes)
        hubspot = portal.hubspot(Wanted(activities=("email_received",)), token="narrow-token")
        assert hubspot.streams == ("contacts", "emails")
        with pytest.raises(ConfigError, match="sales-email-read") as caught:
            pulled(hubspot, None, "emails")
        assert caught.value.code == "SY031"
        assert list(records(pulled(hubspot))) == [ana]  # without the owners' scope, too
        told = [finding.message for finding in hubspot.check() if finding.level == "error"]
        assert len(told) == 1
        assert "sales-email-read" in told[0]


def test_case_28_an_empty_answer_is_an_error_and_never_no_people() -> None:
    for body in ("html", "truncated", "no_results", "empty"):
        with office() as portal:
            people = portal.add(3)
            portal.settle()
            portal.fault(path="/objects/.*/contacts", method="GET", times=1, status=200, body=body)
            assert set(records(pulled(portal.hubspot(COUNTRY)))) == set(people), body
            assert len(portal.statuses("/objects/contacts")) >= 1


def test_case_28_a_search_that_counts_people_and_shows_none_is_not_the_end() -> None:
    with office() as portal:
        people = portal.add(3)
        portal.settle()
        cursor = pulled(portal.hubspot(COUNTRY))[-1].cursor
        with (
            retold(portal, "/search", lambda answer: {**answer, "results": []}) as second,
            pytest.raises(TemporaryError, match="tells of 3 and shows none") as caught,
        ):
            pulled(second.hubspot(COUNTRY), cursor)
        assert caught.value.code == "SY042"
        assert set(records(pulled(portal.hubspot(COUNTRY), cursor))) == set(people)


def test_case_12_rows_that_leave_the_window_after_the_first_page_end_it() -> None:
    pages = itertools.count()

    def only_the_first(answer: dict[str, object]) -> dict[str, object]:
        return answer if next(pages) == 0 else {**answer, "results": [], "paging": None}

    with office() as portal:
        people = portal.add(250)
        portal.settle()
        cursor = pulled(portal.hubspot(COUNTRY))[-1].cursor
        with retold(portal, "/search", only_the_first) as second:
            assert ids_in_order(pulled(second.hubspot(COUNTRY), cursor)) == people[:200]
        assert next(pages) == 2


def told_by(version: str) -> list[object]:
    """What one portal tells of a first pull, of writing, and of the pull after that."""
    clock = Clock(datetime(2026, 11, 1, tzinfo=UTC), frozen=True)
    with office(clock=clock) as portal:
        people = portal.load("contacts", [{"country": "ES", "hs_email_open": "7"} for _ in range(130)])
        portal.act(people[0])
        wanted = Wanted(("country",), ("meeting", "email_open"), STAGES)
        hubspot = portal.hubspot(wanted, api_version=version)
        for each in hubspot.setup():
            hubspot.create(each)
        first = {stream: pulled(hubspot, None, stream) for stream in hubspot.streams}
        clock.advance(60)
        written = list(hubspot.write([change(each) for each in people]))
        clock.advance(600)
        second = {stream: pulled(hubspot, pages[-1].cursor, stream) for stream, pages in first.items()}
        shown = [portal.shown(each)["ls_score"] for each in people]
    return [plain(first), written, plain(second), shown]


def plain(streams: dict[str, list[Page]]) -> list[object]:
    """What the pages say, without how it was cut into pages and the seconds at which it was seen."""
    pages = [page for pages in streams.values() for page in pages]
    seen = sorted((each.record, each.kind, each.value) for each in readings(pages))
    return [records(pages), activities(pages), seen, rejected(pages)]


@pytest.mark.parametrize("version", ["v3", "2026-09"])
def test_case_50_every_version_tells_and_writes_the_same(version: str) -> None:
    assert told_by(version) == told_by("2026-03")


@pytest.mark.parametrize("version", ["v3", "2026-03", "2026-09"])
def test_case_50_every_version_reads_alike(version: str) -> None:
    with office() as portal:
        (ana,) = portal.load("contacts", [{"email": "a@b.test", "country": "ES", "hubspot_owner_id": "41629779"}])
        portal.act(ana)
        portal.settle()
        hubspot = portal.hubspot(Wanted(fields=("country",), activities=("meeting",)), api_version=version)
        found = records(pulled(hubspot))[ana]
        assert (found.fields, found.owner) == ({"country": "ES"}, "anna.berg@example.com")
        assert found.url == f"https://app.hubspot.com/contacts/44237313/record/0-1/{ana}"
        (meeting,) = activities(pulled(hubspot, None, "meetings")).values()
        assert meeting.records == (key(ana),)
        assert dict(meeting.fields) == {"outcome": "completed", "title": "Demo"}
        assert hubspot.account() == "hubspot:44237313"


def test_activities_are_told_in_the_words_of_the_rules() -> None:
    at = "2026-11-03T10:00:00Z"
    rows = {
        "emails": {"hs_timestamp": at, "hs_email_direction": "INCOMING_EMAIL", "hs_email_subject": "Precio"},
        "calls": {
            "hs_timestamp": at,
            "hs_call_direction": "OUTBOUND",
            "hs_call_disposition": "73a0d17f-1163-4015-bdd5-ec830791da20",
            "hs_call_status": "COMPLETED",
            "hs_call_duration": "65000",
        },
        "meetings": {
            "hs_timestamp": at,
            "hs_meeting_start_time": "2026-11-04T10:00:00Z",
            "hs_meeting_outcome": "NO_SHOW",
        },
        "notes": {"hs_timestamp": at, "hs_note_body": "hello"},
        "tasks": {
            "hs_timestamp": at,
            "hs_task_subject": "Call",
            "hs_task_status": "NOT_STARTED",
            "hs_task_type": "CALL",
        },
        "communications": {"hs_timestamp": at, "hs_communication_channel_type": "WHATS_APP"},
    }
    expected = {
        "email_received": {"direction": "incoming", "subject": "Precio"},
        "call": {"direction": "outbound", "outcome": "no_answer", "status": "completed", "duration_s": 65},
        "meeting": {"outcome": "no_show"},
        "note": {},
        "task": {"status": "not_started", "type": "call", "subject": "Call"},
        "communication": {"channel": "whats_app"},
    }
    with office() as portal:
        for kind, row in rows.items():
            portal.load(kind, [row])
        portal.settle()
        hubspot = portal.hubspot(Wanted(), activities=list(rows))
        found = {each.kind: each for kind in rows for each in activities(pulled(hubspot, None, kind)).values()}
        assert {kind: dict(each.fields) for kind, each in found.items()} == expected
        assert found["meeting"].at - found["call"].at == timedelta(days=1)


def test_an_edited_and_retied_activity_comes_again_with_its_new_people() -> None:
    with office() as portal:
        (call,), (ana,) = calls_of(portal, 1, 1)
        portal.settle()
        hubspot = portal.hubspot(Wanted(activities=("call",)))
        cursor = pulled(hubspot, None, "calls")[-1].cursor
        (ben,) = portal.add(1)
        portal.tie("contacts", "calls", 193, [(ben, call)])
        portal.api("PATCH", f"/crm/v3/objects/calls/{call}", {"properties": {"hs_call_status": "COMPLETED"}})
        portal.settle()
        (found,) = activities(pulled(hubspot, cursor, "calls")).values()
        assert set(found.records) == {key(ana), key(ben)}


def test_only_the_streams_that_the_rules_ask_for_are_read_unless_the_settings_say_otherwise() -> None:
    with office() as portal:
        assert portal.hubspot(Wanted(activities=("call", "email_open"))).streams == ("contacts", "calls")
        assert portal.hubspot(Wanted(), activities=["tasks", "emails"]).streams == ("contacts", "emails", "tasks")
        with pytest.raises(ConfigError, match="no stream 'deals'"):
            pulled(portal.hubspot(), None, "deals")


def test_the_author_of_a_stage_is_a_person_and_never_a_program() -> None:
    with office() as portal:
        hubspot = portal.hubspot()
        for each in hubspot.setup():
            hubspot.create(each)
        by_hand, by_program, unknown_user = portal.add(3)
        portal.control("edit", objectType="contacts", id=by_hand, properties={"ls_stage": "sql"}, userId=9586505)
        portal.control("edit", objectType="contacts", id=unknown_user, properties={"ls_stage": "sql"}, userId=12)
        portal.api("PATCH", f"/crm/v3/objects/contacts/{by_program}", {"properties": {"ls_stage": "mql"}})
        authors = hubspot.stage_authors([key(by_hand), key(by_program), key(unknown_user)])
        assert authors == {key(by_hand): "ben.okoro@example.com", key(unknown_user): "HubSpot user 12"}


def test_the_author_is_who_moved_hubspots_own_stage_when_that_came_later() -> None:
    with office() as portal:
        hubspot = portal.hubspot()
        for each in hubspot.setup():
            hubspot.create(each)
        (person,) = portal.add(1)
        portal.control("edit", objectType="contacts", id=person, properties={"ls_stage": "mql"}, userId=12)
        portal.control("clock", advance_s=1)
        portal.control("edit", objectType="contacts", id=person, properties={"lifecyclestage": "other"}, userId=9586505)
        assert hubspot.stage_authors([key(person)]) == {key(person): "ben.okoro@example.com"}


def test_the_lifecycle_says_our_stage_and_whose_the_lead_is() -> None:
    wanted, write = Wanted(stages=STAGES), {"lifecyclestage": {"mql": "marketingqualifiedlead"}}
    with office() as portal:
        ours, theirs = portal.load(
            "contacts", [{"lifecyclestage": "marketingqualifiedlead"}, {"lifecyclestage": "customer"}]
        )
        portal.settle()
        found = records(pulled(portal.hubspot(wanted, write=write)))
        assert (found[ours].lifecycle_stage, found[ours].protected) == ("mql", False)
        assert (found[theirs].lifecycle_stage, found[theirs].protected) == (None, True)
        assert found[theirs].key == RecordKey("crm", "contacts", theirs)


def test_a_cursor_of_another_portal_is_told_and_begins_anew(caplog: pytest.LogCaptureFixture) -> None:
    with office(portal_id=1) as one, office(portal_id=2) as other, caplog.at_level(logging.WARNING):
        cursor = pulled(one.hubspot(COUNTRY))[-1].cursor
        people = other.load("contacts", [{}, {}], updatedAt="2026-01-01T00:00:00Z")
        other.settle()
        assert set(records(pulled(other.hubspot(COUNTRY), cursor))) == set(people)
        assert "cursor_not_ours" in caplog.text
