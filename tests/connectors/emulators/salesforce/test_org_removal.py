"""Deleting, undeleting, merging, converting, and what /updated and /deleted tell of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.emulators.salesforce.clock import Clock
from connectors.emulators.salesforce.errors import Refusal
from connectors.emulators.salesforce.org import Org

NOW = datetime(2026, 11, 22, 12, 0, 30, tzinfo=UTC)
LEAD = {"LastName": "Doe", "Company": "ACME"}
Row = dict[str, Any]


@pytest.fixture
def org() -> Org:
    return Org.stock(Clock(NOW, frozen=True))


def rows(org: Org, soql: str, *, all_rows: bool = False) -> list[Row]:
    found = org.query(soql, all_rows=all_rows).page(0, 2000)
    return [{name: value for name, value in row.items() if name != "attributes"} for row in found]


def stamp(seconds: int) -> str:
    return (NOW + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def hour(org: Org, words: str) -> Any:
    """What happened to leads in the hour around now."""
    now = org.clock.now()
    span = (now - timedelta(minutes=30), now + timedelta(minutes=30))
    return org.updated("Lead", *span) if words == "updated" else org.deleted("Lead", *span)


def test_a_deleted_record_is_seen_by_query_all_only_with_its_stamp_moved(org: Org) -> None:
    lead = org.create("Lead", LEAD)
    task = org.create("Task", {"Subject": "x", "WhoId": lead})
    org.clock.advance(60)
    org.delete("Lead", lead)
    assert rows(org, "SELECT Id FROM Lead") == []
    assert rows(org, "SELECT Id, IsDeleted, SystemModstamp FROM Lead", all_rows=True) == [
        {"Id": lead, "IsDeleted": True, "SystemModstamp": stamp(60)}
    ]
    assert rows(org, "SELECT Id FROM Task WHERE IsDeleted = true", all_rows=True) == [{"Id": task}]
    assert hour(org, "deleted")["deletedRecords"] == [{"id": lead, "deletedDate": stamp(60)}]
    assert hour(org, "updated")["ids"] == []
    with pytest.raises(Refusal, match="ENTITY_IS_DELETED"):
        org.delete("Lead", lead)


def test_an_undeleted_record_comes_back_with_its_children_and_a_new_stamp(org: Org) -> None:
    lead = org.create("Lead", LEAD)
    org.create("Task", {"Subject": "x", "WhoId": lead})
    other = org.create("Task", {"Subject": "y", "WhoId": lead})
    org.delete("Task", other)
    org.delete("Lead", lead)
    org.clock.advance(60)
    org.undelete(lead)
    assert rows(org, "SELECT Id, SystemModstamp FROM Lead") == [{"Id": lead, "SystemModstamp": stamp(60)}]
    assert rows(org, "SELECT Subject FROM Task") == [{"Subject": "x"}]
    assert hour(org, "deleted")["deletedRecords"] == []
    with pytest.raises(Refusal, match="UNDELETE_FAILED"):
        org.undelete(lead)


def test_what_is_erased_is_known_to_the_delete_log_only(org: Org) -> None:
    lead = org.create("Lead", LEAD)
    org.delete("Lead", lead)
    assert org.empty_recycle_bin() == 1
    assert rows(org, "SELECT Id FROM Lead", all_rows=True) == []
    assert [each["id"] for each in hour(org, "deleted")["deletedRecords"]] == [lead]
    with pytest.raises(Refusal, match="ENTITY_IS_DELETED"):
        org.read("Lead", lead)


def test_the_recycle_bin_is_emptied_after_fifteen_days_and_the_log_forgets_as_told(org: Org) -> None:
    lead = org.create("Lead", LEAD)
    org.delete("Lead", lead)
    org.clock.advance(16 * 86400)
    assert rows(org, "SELECT Id FROM Lead", all_rows=True) == []
    month = (org.clock.now() - timedelta(days=29), org.clock.now())
    assert len(org.deleted("Lead", *month)["deletedRecords"]) == 1  # type: ignore[arg-type]
    org.behave({"delete_log_days": 3})
    answer = org.deleted("Lead", *month)
    assert answer["deletedRecords"] == []
    assert answer["earliestDateAvailable"] == stamp(13 * 86400)


def test_deleting_an_account_takes_its_contacts_along_and_frees_what_only_looked_it_up(org: Org) -> None:
    account = org.create("Account", {"Name": "A"})
    child = org.create("Account", {"Name": "B", "ParentId": account})
    contact = org.create("Contact", {"LastName": "C", "AccountId": account})
    org.delete("Account", account)
    assert rows(org, "SELECT Id FROM Contact WHERE IsDeleted = true", all_rows=True) == [{"Id": contact}]
    assert rows(org, "SELECT Id, ParentId FROM Account") == [{"Id": child, "ParentId": None}]


def test_merge_losers_point_to_the_winner_and_their_children_move(org: Org) -> None:
    first, second, third = (org.create("Contact", {"LastName": name}) for name in "abc")
    task = org.create("Task", {"Subject": "x", "WhoId": first})
    campaign = org.create("Campaign", {"Name": "C"})
    org.create("CampaignMember", {"CampaignId": campaign, "ContactId": first})
    kept = org.create("CampaignMember", {"CampaignId": campaign, "ContactId": second})
    org.clock.advance(60)
    org.merge("Contact", second, [first], {"Title": "Both"})
    org.clock.advance(60)
    org.merge("Contact", third, [second])
    found = rows(org, "SELECT Id, MasterRecordId, IsDeleted FROM Contact ORDER BY Id", all_rows=True)
    assert [(row["MasterRecordId"], row["IsDeleted"]) for row in found] == [
        (second, True),
        (third, True),
        (None, False),
    ]
    assert rows(org, "SELECT Id, WhoId, SystemModstamp, LastModifiedDate FROM Task") == [
        {"Id": task, "WhoId": third, "SystemModstamp": stamp(120), "LastModifiedDate": stamp(0)}
    ]
    assert rows(org, "SELECT Id, ContactId FROM CampaignMember") == [{"Id": kept, "ContactId": third}]
    assert rows(
        org,
        "SELECT Id FROM Contact WHERE IsDeleted = true AND MasterRecordId != null AND SystemModstamp > "
        + stamp(90).replace("+0000", "Z"),
        all_rows=True,
    ) == [{"Id": second}]


def test_a_merge_takes_two_losers_at_most_and_only_kinds_that_merge(org: Org) -> None:
    ids = [org.create("Lead", LEAD) for _ in range(4)]
    with pytest.raises(Refusal, match="INVALID_NUM_RECORDS"):
        org.merge("Lead", ids[0], ids[1:])
    with pytest.raises(Refusal, match="MALFORMED_ID"):
        org.merge("Contact", ids[0], [ids[1]])
    with pytest.raises(Refusal, match="does not support merge"):
        org.merge("Task", ids[0], [ids[1]])
    assert len(rows(org, "SELECT Id FROM Lead")) == 4


def test_a_converted_lead_is_read_only_and_its_activities_are_the_contacts(org: Org) -> None:
    org.add_field("Lead", {"fullName": "Lead_Score__c", "type": "Number", "precision": 5, "scale": 2})
    org.add_field("Contact", {"fullName": "Lead_Score__c", "type": "Number", "precision": 5, "scale": 2})
    lead = org.create(
        "Lead", {**LEAD, "FirstName": "Jane", "Email": "j@x.example", "Lead_Score__c": 12.5, "City": "Bonn"}
    )
    task = org.create("Task", {"Subject": "x", "WhoId": lead, "Status": "Completed"})
    campaign = org.create("Campaign", {"Name": "C"})
    org.create("CampaignMember", {"CampaignId": campaign, "LeadId": lead})
    org.clock.advance(60)
    made = org.convert(lead)
    assert org.read(
        "Lead", lead, ["IsConverted", "ConvertedContactId", "ConvertedDate", "Status", "SystemModstamp"]
    ) == {
        "attributes": {"type": "Lead", "url": f"/services/data/v60.0/sobjects/Lead/{lead}"},
        "Id": lead,
        "IsConverted": True,
        "ConvertedContactId": made["contactId"],
        "ConvertedDate": "2026-11-22",
        "Status": "Closed - Converted",
        "SystemModstamp": stamp(60),
    }
    contact = rows(org, "SELECT Name, Lead_Score__c, MailingCity, Account.Name FROM Contact")[0]
    assert (contact["Name"], contact["Lead_Score__c"], contact["MailingCity"]) == ("Jane Doe", 12.5, "Bonn")
    assert contact["Account"]["Name"] == "ACME"
    assert rows(org, "SELECT Id, WhoId, WhatId, LastModifiedDate FROM Task") == [
        {"Id": task, "WhoId": made["contactId"], "WhatId": made["opportunityId"], "LastModifiedDate": stamp(60)}
    ]
    assert rows(org, "SELECT LeadId, ContactId FROM CampaignMember") == [
        {"LeadId": lead, "ContactId": made["contactId"]}
    ]
    for refused in (
        lambda: org.update("Lead", lead, {"Rating": "Hot"}),
        lambda: org.create("Task", {"Subject": "x", "WhoId": lead}),
        lambda: org.convert(lead),
    ):
        with pytest.raises(Refusal, match="CANNOT_UPDATE_CONVERTED_LEAD: cannot reference converted lead"):
            refused()


def test_two_leads_may_become_one_contact(org: Org) -> None:
    first, second = org.create("Lead", LEAD), org.create("Lead", LEAD)
    made = org.convert(first, {"doNotCreateOpportunity": True})
    again = org.convert(second, {"contactId": made["contactId"], "doNotCreateOpportunity": True})
    assert (again["contactId"], again["accountId"], again["opportunityId"]) == (
        made["contactId"],
        made["accountId"],
        None,
    )
    assert len(rows(org, "SELECT Id FROM Contact")) == 1


def test_a_lead_of_a_queue_converts_only_for_a_user(org: Org) -> None:
    queue = rows(org, "SELECT Id FROM Group")[0]["Id"]
    lead = org.create("Lead", {**LEAD, "OwnerId": queue})
    with pytest.raises(Refusal, match="can't be owned by a queue"):
        org.convert(lead)
    assert rows(org, "SELECT Id FROM Account") == []
    org.convert(lead, {"ownerId": org.admin_id})
    with pytest.raises(Refusal, match="INVALID_STATUS"):
        org.convert(org.create("Lead", LEAD), {"convertedStatus": "Nurture"})


def test_updated_ignores_seconds_and_leaves_out_its_end(org: Org) -> None:
    early = org.create("Lead", LEAD)
    org.clock.advance(60)
    org.create("Lead", LEAD)
    org.clock.advance(300)
    answer = org.updated("Lead", NOW + timedelta(seconds=20), NOW + timedelta(seconds=45))
    assert answer == {"ids": [early], "latestDateCovered": "2026-11-22T12:01:00.000+0000"}


@pytest.mark.parametrize(
    ("object_name", "start_s", "end_s", "code"),
    [
        ("Lead", 0, 20, "INVALID_REPLICATION_DATE"),
        ("Lead", 3600, 0, "INVALID_REPLICATION_DATE"),
        ("Lead", -31 * 86400, 0, "INVALID_REPLICATION_DATE"),
        ("LeadStatus", -3600, 0, "INVALID_TYPE_FOR_OPERATION"),
        ("Nope", -3600, 0, "NOT_FOUND"),
    ],
)
def test_a_span_that_cannot_be_is_refused(org: Org, object_name: str, start_s: int, end_s: int, code: str) -> None:
    span = (NOW + timedelta(seconds=start_s), NOW + timedelta(seconds=end_s))
    with pytest.raises(Refusal, match=code):
        org.updated(object_name, *span)
    with pytest.raises(Refusal, match=code):
        org.deleted(object_name, *span)


def test_latest_date_covered_can_lag(org: Org) -> None:
    org.behave({"covered_lag_s": 1200})
    assert hour(org, "updated")["latestDateCovered"] == stamp(-1200)


def test_a_picklist_edit_moves_the_stamp_of_all_and_nothing_else(org: Org) -> None:
    ids = org.load("Lead", [{**LEAD, "SystemModstamp": "2026-01-01T00:00:00Z"} for _ in range(700)])
    before = rows(org, "SELECT Id, LastModifiedDate, Status FROM Lead")
    assert org.touch("Lead") == 700
    assert rows(org, "SELECT Id, LastModifiedDate, Status FROM Lead") == before
    assert hour(org, "updated")["ids"] == ids
