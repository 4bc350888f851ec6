"""What people did: tasks, events, e-mails, campaigns."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.emulators.salesforce import Clock
from connectors.emulators.salesforce.schema import AUDIT, stock_object
from connectors.emulators.salesforce.table import Table
from connectors.salesforce.activities import KINDS, word
from connectors.salesforce.deeds import Deeds
from connectors.salesforce.marks import keys_in, mark
from connectors.salesforce.org import Org
from connectors.salesforce.tasks import Tasks
from connectors.salesforce.values import id18
from syncer.connector import Wanted
from syncer.errors import ConfigError
from syncer.model import Activity, Cursor, Lead, Page, Record, RecordKey, Task
from syncer.store import Store, mirror
from tests.connectors.salesforce.orgs import TASK_KEY, House, activities, house, key, let_waits_pass, rejected
from tests.store.samples import all_leads, settle

NOW = datetime(2026, 11, 22, 18, tzinfo=UTC)
A_DAY_S = 86_400.0
BOTH_WAYS = pytest.mark.parametrize("way", ["rest", "bulk"])
CALL = {"TaskSubtype": "Call", "Status": "Completed"}
SENT = {"TaskSubtype": "Email", "Status": "Completed"}


class Reading:
    """The streams of one connector, each going on where it was."""

    def __init__(self, org: House, **settings: Any) -> None:
        self.org: Org = org.asked(Wanted(), **settings)
        self.deeds = Deeds(self.org)
        self.cursors: dict[str, Cursor | None] = {}

    def pages(self, stream: str) -> list[Page]:
        found = list(self.deeds.stream(stream).pull(self.cursors.get(stream)))
        self.cursors[stream] = found[-1].cursor
        return found

    def told(self, stream: str) -> dict[str, Activity]:
        """What counts of what its pull tells now, by id."""
        return living(activities(self.pages(stream)))


def living(told: Mapping[str, Activity]) -> dict[str, Activity]:
    return {each.id: each for each in told.values() if not each.deleted}


def told(org: House, stream: str, **settings: Any) -> dict[str, Activity]:
    return Reading(org, **settings).told(stream)


def the_one(org: House, stream: str) -> Activity:
    (found,) = told(org, stream).values()
    return found


def keep(store: Store, pages: Mapping[str, Iterable[Page]], *records: Record) -> None:
    """As a run stores them."""
    with store.writing() as tx:
        mirror.store_page(tx, "crm", "Lead", Page(Cursor("c"), records), NOW)
        for stream, each in pages.items():
            for page in each:
                mirror.store_page(tx, "crm", stream, page, NOW)


def shown(identity: str, into: str | None = None) -> Record:
    """A person, or one that has become somebody else since."""
    absorber = key(into) if into else None
    return Record(key(identity), NOW + timedelta(minutes=1 if into else 0), merged_into=absorber)


def kinds(lead: Lead) -> list[str]:
    return sorted(each.kind for each in lead.signals.activities)


def letter(org: House, *people: str, by: str | None = None, **values: object) -> str:
    """An e-mail to these people with its relations."""
    made = org.create("EmailMessage", **{"Subject": "Hello", "Status": "3", **values})
    for each, kind in (*((each, "ToAddress") for each in people), *([(by, "FromAddress")] if by else [])):
        org.create("EmailMessageRelation", EmailMessageId=made, RelationId=each, RelationType=kind)
    return made


def everything(org: House, lead: str) -> None:
    """One deed of each kind; the e-mail with its task."""
    org.create("Task", WhoId=lead, Subject="Rang", **CALL)
    org.create("Event", WhoId=lead, Subject="Demo", StartDateTime="2026-11-20T10:00:00Z", DurationInMinutes=30)
    letter(org, lead, ActivityId=org.create("Task", WhoId=lead, Subject="Email: Hello", **SENT))
    letter(org, lead, Incoming=True)
    campaign = org.create("Campaign", Name="Fair")
    org.create("CampaignMember", CampaignId=campaign, LeadId=lead, Status="Responded")


EVERY_KIND = ["call", "campaign_member", "campaign_response", "email", "email", "meeting"]


def test_case_11_what_converted_leads_did_is_counted_once_and_for_their_contact(org: House, store: Store) -> None:
    leads = org.leads(2)
    for lead in leads:
        everything(org, lead)
    reading = Reading(org)
    keep(store, {stream: reading.pages(stream) for stream in KINDS}, *map(shown, leads))
    assert [kinds(each) for each in all_leads(store)] == [EVERY_KIND, EVERY_KIND]
    org.let_pass(600)
    before = {each.id for stream in KINDS for each in told(org, stream).values()}
    for stream in KINDS:
        reading.pages(stream)

    contact = org.convert(leads[0])["contactId"]
    org.convert(leads[1], contactId=contact)
    again = {stream: reading.pages(stream) for stream in KINDS}
    keep(store, again, shown(contact), *(shown(lead, into=contact) for lead in leads))
    (person,) = all_leads(store)
    assert kinds(person) == sorted(EVERY_KIND * 2)
    moved = {each.id: each for pages in again.values() for each in living(activities(pages)).values()}
    assert set(moved) < before  # the e-mail without a task has not changed itself
    assert {each.records for each in moved.values()} == {(key(contact),)}


def test_case_13_a_task_about_nobody_is_nobodys(org: House) -> None:
    account = org.create("Account", Name="Acme")
    org.create("Task", WhatId=account, **CALL)
    assert the_one(org, "Task").records == ()


def test_case_13_a_task_about_a_lead_that_is_not_shown_waits_for_it(org: House, store: Store) -> None:
    hidden = id18("00Q0000000009ZZ")
    org.load("Task", [{"WhoId": hidden, "IsClosed": True, **CALL}])
    keep(store, {"Task": Reading(org).pages("Task")})
    assert all_leads(store) == []
    keep(store, {}, shown(hidden))
    (lead,) = all_leads(store)
    assert kinds(lead) == ["call"]


def test_case_13_an_id_of_15_characters_is_that_of_18(org: House) -> None:
    (lead,) = org.leads(1)
    task = org.create("Task", WhoId=lead, **CALL)
    state = org.org.state
    state.put({**(state.row(task) or {}), "WhoId": lead[:15]})
    assert org.shown(task)["WhoId"] == lead[:15]
    assert the_one(org, "Task").records == (key(lead),)


def test_case_13_both_leads_are_scored_anew_when_a_task_goes_from_one_to_the_other(org: House, store: Store) -> None:
    mine, yours, nobodys = org.leads(3)
    task = org.create("Task", WhoId=mine, **CALL)
    reading = Reading(org)
    keep(store, {"Task": reading.pages("Task")}, *map(shown, (mine, yours, nobodys)))
    settle(store)
    org.let_pass(60)
    org.change(task, WhoId=yours)
    keep(store, {"Task": reading.pages("Task")})
    leads = {lead.records[0].key.id: lead for lead in all_leads(store)}
    assert {each: lead.state.touched for each, lead in leads.items()} == {
        mine: {"activity"},
        yours: {"activity"},
        nobodys: frozenset(),
    }
    assert {each: kinds(lead) for each, lead in leads.items()} == {mine: [], yours: ["call"], nobodys: []}


@pytest.mark.parametrize("stream", ["Task", "Event"])
def test_case_14_what_is_archived_after_a_year_still_counts(
    stream: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = {"StartDateTime": "2026-11-22T10:00:00Z", "DurationInMinutes": 30} if stream == "Event" else CALL
    with house(clock=Clock(NOW, frozen=True)) as org:
        let_waits_pass(monkeypatch, org)
        (lead,) = org.leads(1)
        made = org.create(stream, WhoId=lead, **day)
        reading = Reading(org)
        keep(store, {stream: reading.pages(stream)}, shown(lead))
        org.let_pass(366 * A_DAY_S)
        assert org.api("GET", f"/query?q=SELECT+Id+FROM+{stream}")["records"] == []
        assert org.shown(made)["IsArchived"] is True

        anew = Reading(org)
        anew.cursors = dict(reading.cursors)
        swept = list(anew.deeds.stream(stream).sweep(None))
        fetched = list(anew.deeds.stream(stream).fetch([made]))
        for pages in (anew.pages(stream), swept, fetched):
            assert not any(each.deleted for page in pages for each in page.activities)
            keep(store, {stream: pages})
        assert set(activities(swept)) == set(activities(fetched)) == {f"{stream}/{made}"}
        (person,) = all_leads(store)
        assert len(person.signals.activities) == 1
        assert list(told(org, stream, first_load="bulk")) == [f"{stream}/{made}"]


@pytest.mark.parametrize(("way", "order"), [("rest", ("Task", "EmailMessage")), ("bulk", ("EmailMessage", "Task"))])
def test_case_15_an_email_and_its_task_are_one_event(
    way: str, order: Sequence[str], org: House, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_waits_pass(monkeypatch, org)
    lead, copied = org.leads(2)
    task = org.create("Task", WhoId=lead, Subject="Email: Hello", ActivityDate="2026-11-20", **SENT)
    made = letter(org, lead, copied, ActivityId=task, MessageDate="2026-11-20T10:00:00Z", Incoming=False)
    reading = Reading(org, first_load=way)
    pages = {stream: reading.pages(stream) for stream in order}
    keep(store, pages, shown(lead), shown(copied))
    both = [activities(each)[f"Task/{task}"] for each in pages.values()]
    assert both[0] == both[1]
    assert both[0].at == datetime(2026, 11, 20, 10, tzinfo=UTC)
    assert both[0].fields == {"subject": "Hello", "status": "sent", "direction": "outgoing"}
    assert both[0].records == (key(lead), key(copied))
    assert [kinds(each) for each in all_leads(store)] == [["email"], ["email"]]
    assert activities(pages["EmailMessage"])[f"EmailMessage/{made}"].deleted


def test_case_15_an_email_is_still_one_event_when_its_task_comes_later(org: House, store: Store) -> None:
    (lead,) = org.leads(1)
    made = letter(org, lead)
    reading = Reading(org)
    keep(store, {stream: reading.pages(stream) for stream in ("Task", "EmailMessage")}, shown(lead))
    (alone,) = all_leads(store)
    org.let_pass(60)
    task = org.create("Task", WhoId=lead, **SENT)
    org.change(made, ActivityId=task)
    for stream in ("Task", "EmailMessage"):
        keep(store, {stream: reading.pages(stream)})
        (together,) = all_leads(store)
        assert kinds(alone) == kinds(together) == ["email"]


def test_case_15_what_is_learnt_of_an_email_later_stands_whatever_is_stored_last(org: House, store: Store) -> None:
    (lead,) = org.leads(1)
    made = letter(org, lead, ActivityId=org.create("Task", WhoId=lead, **SENT), Incoming=False)
    reading = Reading(org)
    earlier = reading.pages("Task")
    org.let_pass(60)
    org.change(made, Status="2")
    keep(store, {"EmailMessage": reading.pages("EmailMessage")}, shown(lead))
    keep(store, {"Task": earlier})
    (person,) = all_leads(store)
    assert [each.fields["status"] for each in person.signals.activities] == ["replied"]


@pytest.mark.parametrize("task_first", [True, False])
def test_case_15_an_email_goes_when_both_its_rows_are_deleted(task_first: bool, org: House, store: Store) -> None:
    (lead,) = org.leads(1)
    task = org.create("Task", WhoId=lead, Subject="Email: Hello", **SENT)
    made = letter(org, lead, ActivityId=task)
    reading = Reading(org)
    left: list[list[object]] = []
    for row in (None, *((task, made) if task_first else (made, task))):
        org.let_pass(60)
        if row:
            org.remove(row)
        keep(store, {stream: reading.pages(stream) for stream in ("Task", "EmailMessage")}, shown(lead))
        (person,) = all_leads(store)
        left.append([each.fields["subject"] for each in person.signals.activities])
    assert left == [["Hello"], [] if task_first else ["Email: Hello"], []]


def test_case_15_an_email_that_was_told_alone_is_withdrawn_when_it_was_deleted_beside_its_task(org: House) -> None:
    (lead,) = org.leads(1)
    made = letter(org, lead)
    reading = Reading(org)
    assert list(reading.told("EmailMessage")) == [f"EmailMessage/{made}"]
    org.let_pass(60)
    task = org.create("Task", WhoId=lead, **SENT)
    org.change(made, ActivityId=task)
    org.remove(made)
    found = activities(reading.pages("EmailMessage"))
    assert {each: activity.deleted for each, activity in found.items()} == {
        f"EmailMessage/{made}": True,
        f"Task/{task}": False,
    }


@BOTH_WAYS
def test_case_16_a_response_is_of_the_orgs_day_and_is_taken_back_with_the_status(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with house(clock=Clock(datetime(2026, 11, 22, 3, tzinfo=UTC), frozen=True)) as org:  # still the 21st in California
        let_waits_pass(monkeypatch, org)
        (lead,) = org.leads(1)
        campaign = org.create("Campaign", Name="Autumn Fair", Type="Trade Show")
        member = org.create("CampaignMember", CampaignId=campaign, LeadId=lead, Status="Sent")
        reading = Reading(org, first_load=way)
        added, answer = f"CampaignMember/{member}", f"CampaignMember/{member}/response"
        first = reading.told("CampaignMember")
        assert list(first) == [added]
        assert (first[added].kind, first[added].at) == ("campaign_member", datetime(2026, 11, 22, 3, tzinfo=UTC))

        org.let_pass(3600)
        org.change(member, Status="Responded")
        assert org.shown(member)["FirstRespondedDate"] == "2026-11-21"
        found = reading.told("CampaignMember")[answer]
        assert (found.kind, found.records) == ("campaign_response", (key(lead),))
        assert found.at == datetime(2026, 11, 21, 8, tzinfo=UTC)  # midnight in California
        assert found.fields == {"campaign": "Autumn Fair", "campaign_type": "trade_show", "status": "responded"}

        org.let_pass(3600)
        org.change(member, Status="Sent")
        back = activities(reading.pages("CampaignMember"))
        assert back[answer].deleted
        assert not back[added].deleted


def test_case_16_a_member_that_is_asked_for_by_the_id_of_its_response_is_found(org: House) -> None:
    (lead,) = org.leads(1)
    member = org.create(
        "CampaignMember", CampaignId=org.create("Campaign", Name="Fair"), LeadId=lead, Status="Responded"
    )
    stream = Deeds(org.asked()).stream("CampaignMember")
    names = [f"CampaignMember/{member}", f"CampaignMember/{member}/response"]
    assert list(living(activities(list(stream.fetch([f"{member}/response", member]))))) == names
    org.purge(member)
    gone = activities(list(stream.fetch([f"{member}/response"])))
    assert list(gone) == names
    assert all(each.deleted for each in gone.values())


def test_case_16_an_org_without_campaigns_is_told_of_once_and_the_other_streams_go_on(
    caplog: pytest.LogCaptureFixture, store: Store
) -> None:
    with house(features={"campaigns": False}) as org:
        (lead,) = org.leads(1)
        org.create("Task", WhoId=lead, **CALL)
        reading = Reading(org)
        with caplog.at_level(logging.WARNING):
            for _ in range(2):
                keep(store, {stream: reading.pages(stream) for stream in KINDS}, shown(lead))
            assert list(reading.deeds.stream("CampaignMember").fetch(["00v5f0000000001AAA"])) == []
            assert activities(list(reading.deeds.stream("CampaignMember").sweep(None))) == {}
        assert [each.message for each in caplog.records].count("object_absent") == 1
        (person,) = all_leads(store)
        assert kinds(person) == ["call"]


def test_case_16_campaigns_that_the_settings_name_must_be_there() -> None:
    with house(features={"campaigns": False}) as org:
        reading = Reading(org, activities=["Task", "CampaignMember"])
        with pytest.raises(
            ConfigError, match=r"crm: Salesforce shows no CampaignMember here; switch on Campaigns"
        ) as no:
            reading.pages("CampaignMember")
        assert no.value.code == "SY155"
        assert reading.told("Task") == {}


def test_case_16_a_member_that_is_lead_and_contact_counts_for_the_contact(org: House) -> None:
    (lead,), (contact,) = org.leads(1), org.contacts(1)
    campaign = org.create("Campaign", Name="Fair")
    org.load("CampaignMember", [{"CampaignId": campaign, "LeadId": lead, "ContactId": contact, "Status": "Sent"}])
    assert the_one(org, "CampaignMember").records == (key(contact),)


ODD = (
    "NA", "null", "None", "#N/A", '"', "it's; a, 'test'", "two\nlines\r\nand more", "\u2028split\u2029", "🦜 zażółć",
    "\\n \\u0041", " padded ", "=1+1", "a,b\n\"c\",d",
)  # fmt: skip


@BOTH_WAYS
def test_case_20_odd_texts_arrive_as_they_are(way: str, org: House, monkeypatch: pytest.MonkeyPatch) -> None:
    let_waits_pass(monkeypatch, org)
    (lead,) = org.leads(1)
    org.load("Task", [{"WhoId": lead, "Subject": each, **CALL} for each in ODD])
    assert [each.fields["subject"] for each in told(org, "Task", first_load=way).values()] == list(ODD)


@BOTH_WAYS
def test_case_20_a_null_byte_and_a_very_long_text_break_nothing(
    way: str, org: House, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_waits_pass(monkeypatch, org)
    (lead,) = org.leads(1)
    long = "ünï\n" * 8_000
    org.load("Task", [{"WhoId": lead, "Subject": "a\x00b", "Description": long, **CALL}])
    keep(store, {"Task": Reading(org, first_load=way, task={"external_id": None}).pages("Task")}, shown(lead))
    (person,) = all_leads(store)
    assert [each.fields["subject"] for each in person.signals.activities] == ["ab"]


@BOTH_WAYS
def test_case_36_our_own_tasks_are_nothing_that_a_person_did(
    way: str, org: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_waits_pass(monkeypatch, org)
    (lead,) = org.leads(1)
    ours = org.create("Task", WhoId=lead, Subject="Call Doe", Status="Completed", **{TASK_KEY: "crm/Lead/1#1"})
    theirs = org.create("Task", WhoId=lead, Subject="Sent a letter", Status="Completed")
    reading = Reading(org, first_load=way)
    found = activities(reading.pages("Task"))
    assert {each: activity.deleted for each, activity in found.items()} == {
        f"Task/{ours}": True,
        f"Task/{theirs}": False,
    }
    org.let_pass(60)
    org.change(ours, Subject="Called Doe")
    assert reading.told("Task").keys() <= {f"Task/{theirs}"}


@pytest.mark.parametrize("field", ["absent", "switched off", "read-only"])
def test_case_36_our_tasks_are_known_by_the_mark_in_their_text_where_no_field_can_hold_the_key(field: str) -> None:
    settings: dict[str, Any] = {"task": {"external_id": None}} if field == "switched off" else {}
    with house(fields=field != "absent") as org:
        if field == "read-only":
            org.control("access", object="Task", field=TASK_KEY, access="read")
        (lead,) = org.leads(1)
        text = f"Strongest reasons: ...\n\n{mark('crm/Lead/1#1')}"
        org.create("Task", WhoId=lead, Description=text, Status="Completed")
        theirs = org.create("Task", WhoId=lead, Description="They call syncer: a scorer", **CALL)
        assert list(told(org, "Task", **settings)) == [f"Task/{theirs}"]


@BOTH_WAYS
def test_case_36_our_tasks_from_before_the_field_are_known_by_the_mark_in_their_text(
    way: str, org: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_waits_pass(monkeypatch, org)
    (lead,) = org.leads(1)
    older = Tasks(org.asked(task={"external_id": None})).create_task(
        Task("b2b/crm/Lead/1#1", key(lead), "Call Doe", "Score 80", datetime.now(UTC))
    )
    org.change(older, Status="Completed")
    theirs = org.create("Task", WhoId=lead, Description="Rang twice", **CALL)
    assert list(told(org, "Task", first_load=way)) == [f"Task/{theirs}"]


def test_case_36_a_task_that_the_connector_itself_has_made_is_no_activity_even_when_it_is_done(org: House) -> None:
    (lead,) = org.leads(1)
    about = Task("b2b/crm/Lead/1#1", key(lead), "Call Doe", "Score 80", datetime.now(UTC))
    ways: tuple[dict[str, Any], ...] = ({}, {"task": {"external_id": None}})
    for settings in ways:
        made = Tasks(org.asked(**settings)).create_task(about)
        org.change(made, Status="Completed")
        assert told(org, "Task", **settings) == {}


@pytest.mark.parametrize("text", ["{}", "{}\n", "Reasons\n\n{}\n-- edited by Ben", "  {} \r\nsyncer: another"])
def test_a_mark_is_found_whatever_lines_stand_around_it(text: str) -> None:
    assert "crm/Lead/1#1" in keys_in(text.format(mark("crm/Lead/1#1")))


# the rest of what the table says


def test_calls_tell_how_they_went(org: House) -> None:
    (lead,) = org.leads(1)
    how = {"CallType": "Inbound", "CallDisposition": "Left voice-mail", "CallDurationInSeconds": 61}
    org.create("Task", WhoId=lead, Subject="Rang", **CALL, **how)
    call = the_one(org, "Task")
    assert (call.kind, call.records) == ("call", (key(lead),))
    assert call.fields == {
        "subject": "Rang",
        "status": "completed",
        "direction": "inbound",
        "outcome": "left_voice_mail",
        "duration_s": 61,
    }


@pytest.mark.parametrize(
    ("subtype", "status", "kind"),
    [
        ("Call", "Completed", "call"),
        ("Email", "Completed", "email"),
        ("ListEmail", "Completed", "email"),
        ("Task", "Completed", "task"),
        ("Cadence", "Completed", "task"),
        ("Task", "Waiting on someone else", None),
        ("Call", "Not Started", None),  # who is to be called was not
        ("Email", "Not Started", "email"),  # one that came in, as a reminder
    ],
)
def test_a_task_is_of_the_kind_of_its_subtype(subtype: str, status: str, kind: str | None, org: House) -> None:
    (lead,) = org.leads(1)
    org.create("Task", WhoId=lead, TaskSubtype=subtype, Status=status)
    assert [each.kind for each in told(org, "Task").values()] == ([kind] if kind else [])


def test_a_task_that_is_opened_again_counts_no_longer(org: House) -> None:
    (lead,) = org.leads(1)
    task = org.create("Task", WhoId=lead, Status="Completed")
    reading = Reading(org)
    assert list(reading.told("Task")) == [f"Task/{task}"]
    org.let_pass(60)
    org.change(task, Status="In Progress")
    assert activities(reading.pages("Task"))[f"Task/{task}"].deleted


@pytest.mark.parametrize(
    ("day", "at"),
    [
        (None, NOW),
        ("2026-11-22", NOW),  # that day
        ("2026-12-24", NOW),  # closed before it was due
        ("2026-11-20", datetime(2026, 11, 20, 8, tzinfo=UTC)),  # logged later: midnight in California
    ],
)
def test_a_task_happened_when_it_was_closed_or_on_its_day_before(day: str | None, at: datetime) -> None:
    with house(clock=Clock(NOW, frozen=True)) as org:
        (lead,) = org.leads(1)
        org.create("Task", WhoId=lead, ActivityDate=day, **CALL)
        assert the_one(org, "Task").at == at


def test_an_imported_task_that_does_not_say_when_it_was_closed_happened_on_its_day(org: House) -> None:
    (lead,) = org.leads(1)
    loaded = {"WhoId": lead, "IsClosed": True, "CreatedDate": "2020-02-02T02:02:02.000+0000"}
    org.load("Task", [loaded, {**loaded, "ActivityDate": "2019-07-01"}])
    found = [each.at for each in told(org, "Task").values()]
    assert found == [datetime(2020, 2, 2, 2, 2, 2, tzinfo=UTC), datetime(2019, 7, 1, 7, tzinfo=UTC)]


def test_a_meeting_is_everybodys_who_has_not_declined(org: House) -> None:
    (lead,), (first, declined, taken_off) = org.leads(1), org.contacts(3)
    meeting = org.create(
        "Event", WhoId=lead, StartDateTime="2026-11-20T10:00:00Z", DurationInMinutes=30, Subject="Demo"
    )
    for each, status in ((first, "Accepted"), (declined, "Declined"), (taken_off, "New"), (org.org.admin_id, "New")):
        made = org.create("EventRelation", EventId=meeting, RelationId=each, Status=status)
        if each == taken_off:
            org.remove(made)
    found = the_one(org, "Event")
    assert found.records == (key(lead), key(first))
    assert (found.kind, found.at) == ("meeting", datetime(2026, 11, 20, 10, tzinfo=UTC))
    assert found.fields == {"title": "Demo", "duration_s": 1800}


@pytest.mark.parametrize(("status", "comes"), [("Accepted", True), ("Declined", False), ("Uninvited", False)])
def test_a_meeting_is_not_that_of_its_main_invitee_who_has_declined(status: str, comes: bool, org: House) -> None:
    (lead,), (guest,) = org.leads(1), org.contacts(1)
    meeting = org.create("Event", WhoId=lead, StartDateTime="2026-11-20T10:00:00Z", DurationInMinutes=30)
    for each, answer in ((lead, status), (guest, "Accepted")):
        org.create("EventRelation", EventId=meeting, RelationId=each, Status=answer)
    assert the_one(org, "Event").records == ((key(lead), key(guest)) if comes else (key(guest),))


@pytest.mark.parametrize(
    ("kind", "mark_of_it"), [("Event", "IsChild"), ("Event", "IsRecurrence"), ("Task", "IsRecurrence")]
)
def test_copies_and_patterns_of_series_are_no_activities(kind: str, mark_of_it: str, org: House) -> None:
    (lead,) = org.leads(1)
    row = (
        {"WhoId": lead, "StartDateTime": "2026-11-20T10:00:00.000+0000"} if kind == "Event" else {"WhoId": lead, **CALL}
    )
    org.load(kind, [row, {**row, mark_of_it: True}])
    assert len(told(org, kind)) == 1


def test_a_meeting_of_a_whole_day_begins_with_that_day_in_the_org(org: House) -> None:
    (lead,) = org.leads(1)
    org.create("Event", WhoId=lead, IsAllDayEvent=True, ActivityDate="2026-11-20")
    assert the_one(org, "Event").at == datetime(2026, 11, 20, 8, tzinfo=UTC)


def test_an_event_without_a_time_is_rejected_alone(org: House) -> None:
    (lead,) = org.leads(1)
    good, bad = org.load("Event", [{"WhoId": lead, "StartDateTime": each} for each in ("2026-11-20T10:00:00Z", None)])
    pages = Reading(org).pages("Event")
    assert list(activities(pages)) == [f"Event/{good}"]
    assert {(each.id, each.reason, each.retry) for each in rejected(pages)} == {
        (f"Event/{bad}", "it lacks StartDateTime", False)
    }


def test_an_email_without_a_task_is_that_of_those_its_relations_name(org: House) -> None:
    (lead,), (contact,) = org.leads(1), org.contacts(1)
    made = letter(org, lead, contact, org.org.admin_id, Incoming=True, Status="0", MessageDate="2026-11-20T10:00:00Z")
    org.load("EmailMessage", [{"Subject": "To nobody", "MessageDate": "2026-11-20T10:00:00.000+0000"}])
    first, second = told(org, "EmailMessage").values()
    assert (first.id, first.kind) == (f"EmailMessage/{made}", "email")
    assert set(first.records) == {key(lead), key(contact)}
    assert first.at == datetime(2026, 11, 20, 10, tzinfo=UTC)
    assert first.fields == {"direction": "incoming", "status": "new", "subject": "Hello"}
    assert second.records == ()


@pytest.mark.parametrize("with_task", [True, False])
def test_an_email_that_came_in_is_that_of_who_wrote_it(with_task: bool, org: House) -> None:
    (lead,), (copied, first) = org.leads(1), org.contacts(2)
    tie = {"ActivityId": org.create("Task", WhoId=copied, **SENT)} if with_task else {}
    letter(org, copied, first, by=lead, Incoming=True, **tie)
    for stream in ("Task", "EmailMessage") if with_task else ("EmailMessage",):
        assert the_one(org, stream).records == (key(lead),)


def test_an_email_of_a_colleague_that_came_in_is_nothing_that_who_had_a_copy_has_done(org: House) -> None:
    (copied,) = org.contacts(1)
    letter(org, copied, by=org.org.admin_id, Incoming=True)
    assert the_one(org, "EmailMessage").records == ()


def test_an_email_that_went_out_is_everybodys_it_went_to(org: House) -> None:
    people = org.contacts(2)
    letter(org, *people, by=org.org.admin_id, Incoming=False)
    assert set(the_one(org, "EmailMessage").records) == set(map(key, people))


def test_an_email_tells_that_it_was_opened_where_the_org_tracks_that(org: House) -> None:
    org.load("EmailMessage", [{"IsOpened": True, "IsBounced": True, "Status": "3"}])
    reading = Reading(org)
    (found,) = reading.told("EmailMessage").values()
    assert (found.fields["opened"], found.fields["bounced"]) == (True, True)
    org.control("access", object="EmailMessage", field="IsOpened", access="hidden")
    (found,) = told(org, "EmailMessage").values()
    assert "opened" not in found.fields
    assert found.fields["bounced"] is True


@pytest.mark.parametrize("with_task", [True, False])
def test_a_draft_is_no_email_yet(with_task: bool, org: House) -> None:
    (lead,) = org.leads(1)
    tie = {"ActivityId": org.create("Task", WhoId=lead, TaskSubtype="Email")} if with_task else {}
    made = letter(org, lead, Status="5", **tie)
    reading = Reading(org)
    assert [reading.told(stream) for stream in ("Task", "EmailMessage")] == [{}, {}]
    org.let_pass(60)
    org.change(made, Status="3")
    assert len(reading.told("EmailMessage")) == 1


def test_a_field_that_is_hidden_between_two_questions_is_done_without(org: House) -> None:
    (lead,) = org.leads(1)
    letter(org, lead, ActivityId=org.create("Task", WhoId=lead, **SENT), Incoming=True)
    reading = Reading(org)
    reading.org.organization()
    assert reading.org.describes.has("EmailMessage")  # and knows its fields now
    org.control("access", object="EmailMessage", field="Incoming", access="hidden")
    (found,) = reading.told("Task").values()
    assert found.fields == {"subject": "Hello", "status": "sent"}


def test_a_task_that_an_org_shares_is_everybodys_it_is_about(org: House) -> None:
    first, second = org.contacts(2)
    task = org.create("Task", WhoId=first, **CALL)
    relation = stock_object(
        "TaskRelation | Task Relation | Task Relations",
        "0RT",
        f"TaskId | Task ID | reference(Task) rel=Task\nRelationId | Relation ID | reference(Contact, Lead)\n{AUDIT}",
    )
    state = org.org.state
    state.schema.add(relation)
    state.tables["TaskRelation"] = Table()
    org.load("TaskRelation", [{"TaskId": task, "RelationId": each} for each in (first, second)])
    assert the_one(org, "Task").records == (key(first), key(second))


def test_many_ids_are_asked_for_in_several_questions(org: House) -> None:
    (lead,) = org.leads(1)
    tasks = org.load("Task", [{"WhoId": lead, "IsClosed": True, **SENT} for _ in range(401)])
    letters = org.load("EmailMessage", [{"ActivityId": each, "Status": "3", "Incoming": True} for each in tasks])
    org.load("EmailMessageRelation", [{"EmailMessageId": letters[-1], "RelationId": org.contacts(1)[0]}])
    org.forget()
    found = told(org, "Task")
    assert [each.fields["direction"] for each in found.values()] == ["incoming"] * 401
    assert [len(each.records) for each in found.values()] == [1] * 400 + [2]
    assert max(len(each["url"]) for each in org.log()) < 14_000
    assert sum("FROM+EmailMessage+WHERE" in each["url"] for each in org.log()) == 2 * 2  # and once more what is recent


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Waiting on someone else", "waiting_on_someone_else"),
        ("Closed - Won!", "closed_won"),
        ("é/ß", "é_ß"),
        ("–", None),
    ],
)
def test_words_are_as_rules_write_them(written: str, read: str | None) -> None:
    assert word(written) == read
    assert word(None) is None


def test_the_people_of_an_activity_are_leads_and_contacts_alone(org: House) -> None:
    (lead,) = org.leads(1)
    org.create("Task", WhoId=lead, WhatId=org.create("Account", Name="Acme"), **CALL)
    assert the_one(org, "Task").records == (RecordKey("crm", "Lead", lead),)
