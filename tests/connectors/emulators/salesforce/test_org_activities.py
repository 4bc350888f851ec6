"""Tasks, events, campaigns and person accounts: what the platform does by itself."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.emulators.salesforce.clock import Clock
from connectors.emulators.salesforce.errors import Refusal
from connectors.emulators.salesforce.org import Org

NOW = datetime(2026, 11, 22, 2, 0, 0, tzinfo=UTC)  # still the 21st in Los Angeles
LEAD = {"LastName": "Doe", "Company": "ACME"}
Row = dict[str, Any]


@pytest.fixture
def org() -> Org:
    return Org.stock(Clock(NOW, frozen=True))


def row(org: Org, object_name: str, record_id: str, *names: str) -> tuple[Any, ...]:
    shown = org.read(object_name, record_id, names)
    return tuple(shown[name] for name in names)


def test_an_activity_moves_the_stamp_of_the_person_but_not_who_modified_it(org: Org) -> None:
    lead = org.create("Lead", LEAD)
    org.clock.advance(60)
    org.create("Task", {"Subject": "open", "WhoId": lead, "ActivityDate": "2026-12-24"})
    names = ("LastActivityDate", "SystemModstamp", "LastModifiedDate")
    assert row(org, "Lead", lead, *names) == (None, "2026-11-22T02:01:00.000+0000", "2026-11-22T02:00:00.000+0000")
    org.create("Task", {"Subject": "done", "WhoId": lead, "Status": "Completed", "ActivityDate": "2026-11-20"})
    assert row(org, "Lead", lead, "LastActivityDate") == ("2026-11-20",)
    org.behave({"activity_bumps_parent": False})
    org.clock.advance(60)
    meeting = {"Subject": "m", "WhoId": lead, "StartDateTime": "2026-11-25T10:00:00Z", "DurationInMinutes": 30}
    org.create("Event", meeting)
    assert row(org, "Lead", lead, *names[:2]) == ("2026-11-25", "2026-11-22T02:01:00.000+0000")


def test_closing_a_task_tells_when_and_reopening_forgets(org: Org) -> None:
    account = org.create("Account", {"Name": "A"})
    contact = org.create("Contact", {"LastName": "C", "AccountId": account})
    task = org.create("Task", {"Subject": "x", "WhoId": contact, "Priority": "High"})
    names = ("IsClosed", "CompletedDateTime", "IsHighPriority", "AccountId", "TaskSubtype")
    assert row(org, "Task", task, *names) == (False, None, True, account, "Task")
    org.update("Task", task, {"Status": "Completed"})
    org.clock.advance(60)
    org.update("Task", task, {"Description": "later"})
    assert row(org, "Task", task, *names[:2]) == (True, "2026-11-22T02:00:00.000+0000")
    org.update("Task", task, {"Status": "In Progress"})
    assert row(org, "Task", task, *names[:2]) == (False, None)


def test_an_event_works_out_its_end_or_its_length(org: Org) -> None:
    start = {"Subject": "m", "StartDateTime": "2026-11-25T23:45:00Z"}
    event = org.create("Event", {**start, "DurationInMinutes": 30})
    names = ("EndDateTime", "DurationInMinutes", "ActivityDate", "EndDate")
    assert row(org, "Event", event, *names) == ("2026-11-26T00:15:00.000+0000", 30, "2026-11-25", "2026-11-26")
    org.update("Event", event, {"EndDateTime": "2026-11-26T00:45:00Z"})
    assert row(org, "Event", event, "DurationInMinutes") == (60,)
    with pytest.raises(Refusal, match="REQUIRED_FIELD_MISSING"):
        org.create("Event", start)
    with pytest.raises(Refusal, match="cannot be after End"):
        org.create("Event", {**start, "EndDateTime": "2026-11-25T00:00:00Z"})


def test_an_event_of_a_whole_day_needs_only_its_day(org: Org) -> None:
    event = org.create("Event", {"Subject": "fair", "IsAllDayEvent": True, "ActivityDate": "2026-12-01"})
    assert row(org, "Event", event, "EndDate", "DurationInMinutes", "StartDateTime") == ("2026-12-01", 1440, None)


def test_a_relation_of_an_email_knows_what_it_leads_to(org: Org) -> None:
    lead = org.create("Lead", LEAD)
    task = org.create("Task", {"Subject": "Email: hi", "WhoId": lead, "TaskSubtype": "Email"})
    mail = org.create("EmailMessage", {"Subject": "hi", "ActivityId": task, "Incoming": False})
    org.create("EmailMessageRelation", {"EmailMessageId": mail, "RelationId": lead, "RelationType": "ToAddress"})
    shown = org.query(
        "SELECT RelationObjectType, Relation.Name, EmailMessage.Activity.WhoId FROM EmailMessageRelation"
    ).page(0, 1)[0]
    assert (shown["RelationObjectType"], shown["Relation"]["Name"]) == ("Lead", "Doe")  # type: ignore[index]
    assert shown["EmailMessage"]["Activity"]["WhoId"] == lead  # type: ignore[index]


def test_old_activities_leave_query_but_not_query_all(org: Org) -> None:
    days = {"edge": 365, "young": 364}
    for name, age in days.items():
        day = (NOW - timedelta(days=age)).date().isoformat()
        org.load("Task", [{"Subject": f"{name} task", "Status": "Completed", "ActivityDate": day}])
        org.load("Event", [{"Subject": f"{name} event", "ActivityDate": day}])
        org.load("Task", [{"Subject": f"{name} undated", "Status": "Completed", "CreatedDate": f"{day}T00:00:00Z"}])
        org.load("Task", [{"Subject": f"{name} open", "Status": "Not Started", "ActivityDate": day}])
    seen = {
        each["Subject"] for kind in ("Task", "Event") for each in org.query(f"SELECT Subject FROM {kind}").page(0, 9)
    }
    assert seen == {"young task", "young event", "young undated", "young open", "edge open"}
    assert org.query("SELECT COUNT() FROM Task WHERE IsArchived = true", all_rows=True).total_size == 2
    org.clock.advance(86400)
    assert org.query("SELECT COUNT() FROM Task").total_size == 2


def test_a_member_responds_by_its_status_and_the_first_response_is_a_day_of_the_users_zone(org: Org) -> None:
    campaign = org.create("Campaign", {"Name": "C"})
    lead = org.create("Lead", {**LEAD, "Email": "j@x.example"})
    member = org.create("CampaignMember", {"CampaignId": campaign, "LeadId": lead, "Status": "sent"})
    names = ("Status", "HasResponded", "FirstRespondedDate", "Email", "CompanyOrAccount", "Type")
    assert row(org, "CampaignMember", member, *names) == ("Sent", False, None, "j@x.example", "ACME", "Lead")
    org.update("CampaignMember", member, {"Status": "Responded"})
    assert row(org, "CampaignMember", member, *names[:3]) == ("Responded", True, "2026-11-21")
    assert row(org, "Campaign", campaign, "NumberOfLeads", "NumberOfResponses") == (1, 1)
    org.update("CampaignMember", member, {"Status": "Sent"})
    assert row(org, "CampaignMember", member, *names[:3]) == ("Sent", False, "2026-11-21")
    org.update("CampaignMember", member, {"Status": "Not a status"})
    assert row(org, "CampaignMember", member, "Status") == ("Sent",)
    with pytest.raises(Refusal, match=r"DUPLICATE_VALUE: Already a campaign member\."):
        org.create("CampaignMember", {"CampaignId": campaign, "LeadId": lead})
    with pytest.raises(Refusal, match="REQUIRED_FIELD_MISSING"):
        org.create("CampaignMember", {"CampaignId": campaign})
    with pytest.raises(Refusal, match="INVALID_FIELD_FOR_INSERT_UPDATE"):
        org.update("CampaignMember", member, {"LeadId": lead})
    org.delete("CampaignMember", member)
    assert row(org, "Campaign", campaign, "NumberOfLeads") == (0,)


def test_of_two_people_in_one_membership_the_contact_counts(org: Org) -> None:
    campaign = org.create("Campaign", {"Name": "C"})
    lead, contact = org.create("Lead", LEAD), org.create("Contact", {"LastName": "Con"})
    member = org.create("CampaignMember", {"CampaignId": campaign, "LeadId": lead, "ContactId": contact})
    assert row(org, "CampaignMember", member, "LeadOrContactId", "Type", "LastName") == (contact, "Contact", "Con")


def test_an_opportunity_follows_its_stage(org: Org) -> None:
    values = {"Name": "O", "StageName": "Qualification", "CloseDate": "2026-12-31", "Amount": 1000}
    opportunity = org.create("Opportunity", values)
    names = ("Probability", "IsClosed", "IsWon", "ExpectedRevenue")
    assert row(org, "Opportunity", opportunity, *names) == (10.0, False, False, 100.0)
    org.update("Opportunity", opportunity, {"StageName": "Closed Won"})
    assert row(org, "Opportunity", opportunity, *names) == (100.0, True, True, 1000.0)


def test_activity_histories_and_open_activities_are_seen_below_a_parent_only(org: Org) -> None:
    lead = org.create("Lead", LEAD)
    for subject, status, day in (("a", "Completed", "2026-11-01"), ("b", "Completed", "2026-11-09"), ("c", None, None)):
        status = status or "Not Started"
        org.create("Task", {"Subject": subject, "WhoId": lead, "Status": status, "ActivityDate": day})
    org.load("Event", [{"Subject": "past", "WhoId": lead, "ActivityDate": "2026-11-05", "EndDate": "2026-11-05"}])
    shown: Any = org.query(
        "SELECT Id, (SELECT Subject, IsTask, Who.Type FROM ActivityHistories WHERE ActivityDate != null), "
        "(SELECT Subject FROM OpenActivities ORDER BY Subject LIMIT 5) FROM Lead"
    ).page(0, 1)[0]
    done = shown["ActivityHistories"].page(0, 9)
    assert [(each["Subject"], each["IsTask"], each["Who"]["Type"]) for each in done] == [
        ("b", True, "Lead"), ("past", False, "Lead"), ("a", True, "Lead"),
    ]  # fmt: skip
    assert done[0]["attributes"]["type"] == "ActivityHistory"
    assert [each["Subject"] for each in shown["OpenActivities"].page(0, 9)] == ["c"]


def test_a_record_that_is_not_shared_is_not_queried_and_cannot_be_referred_to(org: Org) -> None:
    seen, hidden = org.create("Lead", LEAD), org.create("Lead", LEAD)
    task = org.create("Task", {"Subject": "x", "WhoId": hidden})
    org.hide([hidden[:15]])
    assert [each["Id"] for each in org.query("SELECT Id FROM Lead").page(0, 9)] == [seen]
    assert org.query("SELECT WhoId, Who.Name FROM Task").page(0, 1)[0]["Who"] is None
    with pytest.raises(Refusal, match="NOT_FOUND"):
        org.read("Lead", hidden)
    for refused in (
        lambda: org.update("Lead", hidden, {"Rating": "Hot"}),
        lambda: org.create("Task", {"Subject": "y", "WhoId": hidden}),
    ):
        with pytest.raises(Refusal, match=f"insufficient access rights on cross-reference id: {hidden[:15]}"):
            refused()
    org.share()
    org.update("Task", task, {"WhoId": seen})
    assert org.query("SELECT COUNT() FROM Lead").total_size == 2


@pytest.fixture
def people() -> Org:
    made = Org.stock(Clock(NOW, frozen=True), person_accounts=True)
    made.add_field("Contact", {"fullName": "Lead_Score__c", "type": "Number", "precision": 5, "scale": 2})
    return made


def test_a_person_account_is_an_account_and_a_contact_with_equal_stamps(people: Org) -> None:
    values = {"LastName": "Son", "FirstName": "Per", "PersonEmail": "p@x.example", "Phone": "1"}
    account = people.create("Account", values)
    name, contact_id, is_person = row(people, "Account", account, "Name", "PersonContactId", "IsPersonAccount")
    assert (name, is_person) == ("Per Son", True)
    names = ("Name", "Email", "Phone", "AccountId", "IsPersonAccount")
    assert row(people, "Contact", contact_id, *names) == ("Per Son", "p@x.example", "1", account, True)
    people.clock.advance(60)
    people.update("Account", account, {"Lead_Score__pc": 7.5, "PersonTitle": "CEO"})
    assert row(people, "Contact", contact_id, "Lead_Score__c", "Title") == (7.5, "CEO")
    stamps = (row(people, "Account", account, "SystemModstamp"), row(people, "Contact", contact_id, "SystemModstamp"))
    assert stamps == (("2026-11-22T02:01:00.000+0000",),) * 2
    people.delete("Account", account)
    assert people.query("SELECT COUNT() FROM Contact").total_size == 0


def test_the_contact_of_a_person_account_is_written_through_the_account_only(people: Org) -> None:
    account = people.create("Account", {"LastName": "Son"})
    contact_id = row(people, "Account", account, "PersonContactId")[0]
    with pytest.raises(Refusal, match="INSUFFICIENT_ACCESS_OR_READONLY"):
        people.update("Contact", contact_id, {"Title": "x"})
    with pytest.raises(Refusal, match="Account Name cannot be specified"):
        people.create("Account", {"LastName": "Son", "Name": "x"})
    business = people.create("Account", {"Name": "Firm"})
    assert row(people, "Account", business, "IsPersonAccount", "PersonContactId") == (False, None)


def test_person_accounts_are_loaded_with_their_contacts(people: Org) -> None:
    record_type = people.query("SELECT Id FROM RecordType WHERE IsPersonType = true").page(0, 1)[0]["Id"]
    people.load("Account", [{"LastName": "Son", "IsPersonAccount": True, "RecordTypeId": record_type}])
    rows = people.query("SELECT Name, PersonContact.LastName FROM Account").page(0, 9)
    assert [(each["Name"], each["PersonContact"]["LastName"]) for each in rows] == [("Son", "Son")]  # type: ignore[index]


def test_loading_keeps_what_is_given_and_fills_the_rest(org: Org) -> None:
    created = datetime(2026, 1, 1, tzinfo=UTC)
    first, second = org.load(
        "Lead", [{"LastName": "A", "Id": "00Q000000000001", "CreatedDate": created, "AnnualRevenue": 5}, LEAD]
    )
    names = ("Name", "CreatedDate", "LastModifiedDate", "SystemModstamp", "AnnualRevenue", "OwnerId")
    stamp = "2026-01-01T00:00:00.000+0000"
    assert row(org, "Lead", first, *names) == ("A", stamp, stamp, stamp, 5.0, org.admin_id)
    assert first == "00Q000000000001EAA"
    assert row(org, "Lead", second, "SystemModstamp") == ("2026-11-22T02:00:00.000+0000",)
    with pytest.raises(ValueError, match="Lead has no field Nope"):
        org.load("Lead", [{"Nope": 1}])


def test_relationships_are_followed_from_a_record(org: Org) -> None:
    lead = org.create("Lead", LEAD)
    task = org.create("Task", {"Subject": "x", "WhoId": lead})
    assert org.related("Lead", lead, "owner") == ("User", [org.admin_id], True)
    assert org.related("Lead", lead, "Tasks") == ("Task", [task], False)
    for wrong in ("Nope", "ConvertedContact"):
        with pytest.raises(Refusal, match="NOT_FOUND"):
            org.related("Lead", lead, wrong)
