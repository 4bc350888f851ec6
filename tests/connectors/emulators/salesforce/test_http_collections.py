"""Collections of records in one call."""

from typing import Any

import pytest

from connectors.emulators.salesforce import Fault, Faults, Instance, Manners
from tests.connectors.emulators.salesforce.orgs import Client, served

PATH = "/composite/sobjects"


def lead(**values: Any) -> dict[str, Any]:
    return {"attributes": {"type": "Lead"}, "LastName": "Doe", "Company": "Acme", **values}


def change(record_id: str, kind: str = "Lead", **values: Any) -> dict[str, Any]:
    return {"attributes": {"type": kind}, "id": record_id, **values}


def test_results_come_in_the_order_of_the_records_and_failures_without_an_id(crm: Client) -> None:
    reply = crm.post(PATH, {"allOrNone": False, "records": [lead(), lead(LastName=None), lead(LastName="Last")]})
    assert reply.status == 200
    first, second, third = reply.body
    assert (first["success"], first["errors"], third["success"]) == (True, [], True)
    assert "id" not in second
    error = second["errors"][0]
    assert (second["success"], error["statusCode"], error["fields"]) == (False, "REQUIRED_FIELD_MISSING", ["LastName"])
    assert "errorCode" not in error
    assert sorted(each["LastName"] for each in crm.rows("SELECT LastName FROM Lead")) == ["Doe", "Last"]


def test_all_or_none_undoes_what_went_well(crm: Client) -> None:
    reply = crm.post(PATH, {"allOrNone": True, "records": [lead(), lead(LastName=None)]})
    codes = [each["errors"][0]["statusCode"] for each in reply.body]
    assert codes == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "REQUIRED_FIELD_MISSING"]
    assert not any("id" in each for each in reply.body)
    assert crm.rows("SELECT Id FROM Lead") == []


def test_an_update_takes_the_id_of_each_record(crm: Client) -> None:
    one, two = crm.create(), crm.create()
    reply = crm.patch(PATH, {"records": [change(two[:15], Company="B"), change(one, Company="A"), change("00Q")]})
    assert [each.get("id") for each in reply.body[:2]] == [two, one]
    assert reply.body[2]["success"] is False
    assert {each["Id"]: each["Company"] for each in crm.rows("SELECT Id, Company FROM Lead")} == {one: "A", two: "B"}


def test_the_assignment_rule_runs_unless_it_is_told_not_to(crm: Client) -> None:
    queue = crm.load("Group", [{"Name": "New leads", "Type": "Queue", "DeveloperName": "New_leads"}])[0]
    crm.load("QueueSobject", [{"QueueId": queue, "SobjectType": "Lead"}])
    quiet, loud = crm.create(), crm.create()
    crm.control("switches", assignment_owner=queue)
    crm.patch(PATH, {"records": [change(quiet, Company="X")]}, Sforce_Auto_Assign="FALSE")
    crm.patch(PATH, {"records": [change(loud, Company="X")]})
    owners = {each["Id"]: each["OwnerId"] for each in crm.rows("SELECT Id, OwnerId FROM Lead")}
    assert (owners[loud], owners[quiet] != queue) == (queue, True)


def test_a_call_has_at_most_200_records_and_ten_chunks_of_types(crm: Client) -> None:
    many = crm.post(PATH, {"records": [lead() for _ in range(201)]})
    assert (many.status, many.code) == (400, "EXCEEDED_ID_LIMIT")
    contact = {"attributes": {"type": "Contact"}, "LastName": "Doe"}
    eleven = crm.post(PATH, {"records": ([lead(), contact] * 6)[:11]})
    assert eleven.status == 400
    assert "10 chunks" in eleven.message
    ten = crm.post(PATH, {"records": [lead(), contact] * 5})
    assert [each["success"] for each in ten.body] == [True] * 10


@pytest.mark.parametrize("body", [{}, {"records": {}}, {"records": [{"LastName": "x"}]}, {"records": ["x"]}])
def test_what_is_not_well_formed_fails_as_a_whole(crm: Client, body: dict[str, Any]) -> None:
    assert crm.post(PATH, body).status == 400


def test_one_unknown_field_fails_its_row_or_the_whole_call(stage: None) -> None:
    records = [lead(), lead(Nope__c=1)]
    with served(Instance()) as crm:
        reply = crm.post(PATH, {"records": records})
        assert [each["success"] for each in reply.body] == [True, False]
        assert reply.body[1]["errors"][0]["statusCode"] == "INVALID_FIELD"
    with served(Instance(manners=Manners(bad_field_fails_call=True))) as crm:
        whole = crm.post(PATH, {"records": records})
        assert (whole.status, whole.code) == (400, "INVALID_FIELD")
        assert "Nope__c" in whole.message
        assert crm.rows("SELECT Id FROM Lead") == []


def test_many_are_deleted_by_their_ids(crm: Client) -> None:
    one, two, three = crm.create(), crm.create(), crm.create()
    reply = crm.delete(f"{PATH}?ids={one},{two},00Q000000000000&allOrNone=false")
    assert [each["success"] for each in reply.body] == [True, True, False]
    assert reply.body[0] == {"id": one, "success": True, "errors": []}
    assert crm.rows("SELECT Id FROM Lead") == [{"Id": three}]
    undone = crm.delete(f"{PATH}?ids={three},{one}&allOrNone=true")
    assert undone.body[0]["errors"][0]["statusCode"] == "ALL_OR_NONE_OPERATION_ROLLED_BACK"
    assert crm.rows("SELECT Id FROM Lead") == [{"Id": three}]


def test_an_upsert_says_which_were_created(crm: Client) -> None:
    field = {"fullName": "Key__c", "type": "Text", "length": 20, "label": "Key", "externalId": True}
    crm.control("load", fields={"Lead": [field]})
    records = [lead(Key__c="a"), lead(Key__c="b")]
    made = crm.patch(f"{PATH}/Lead/Key__c", {"records": records}).body
    assert [each["created"] for each in made] == [True, True]
    again = crm.patch(f"{PATH}/Lead/Key__c", {"records": [*records, lead(Key__c="c")]}).body
    assert [each["created"] for each in again] == [False, False, True]
    assert [each["id"] for each in again[:2]] == [each["id"] for each in made]


def test_retrieving_keeps_the_order_and_leaves_a_gap_for_what_is_not_there(crm: Client) -> None:
    one, gone, two = crm.create(LastName="One"), crm.create(), crm.create(LastName="Two")
    crm.delete(f"/sobjects/Lead/{gone}")
    found = crm.post(f"{PATH}/Lead", {"ids": [two, gone, one], "fields": ["LastName", "Id"]}).body
    assert [each and each["LastName"] for each in found] == ["Two", None, "One"]
    assert crm.get(f"{PATH}/Lead?ids={one}&fields=LastName").body[0]["LastName"] == "One"
    assert crm.post(f"{PATH}/Lead", {"ids": [one]}).status == 400


@pytest.mark.parametrize("key", ["duplicateResut", "duplicateResult"])
def test_a_duplicate_is_told_with_what_it_matches_and_may_be_saved_all_the_same(crm: Client, key: str) -> None:
    known = crm.create(Email="a@example.com")
    crm.control("switches", duplicate_rules=[{"object": "Lead"}], duplicate_key=key)
    records = [lead(Email="a@example.com")]
    error = crm.post(PATH, {"records": records}).body[0]["errors"][0]
    assert error["statusCode"] == "DUPLICATES_DETECTED"
    match = error[key]["matchResults"][0]["matchRecords"][0]["record"]
    assert match["Id"] == known
    saved = crm.post(PATH, {"records": records}, Sforce_Duplicate_Rule_Header="allowSave=true")
    assert saved.body[0]["success"] is True
    single = crm.post("/sobjects/Lead", {"LastName": "Doe", "Company": "Acme", "Email": "a@example.com"})
    assert (single.status, single.code, key in single.body[0]) == (400, "DUPLICATES_DETECTED", True)


def test_rules_and_triggers_of_an_org_speak_in_the_rows(crm: Client) -> None:
    one, two, three = crm.create(Company="One"), crm.create(Company="Two"), crm.create(Company="Three")
    crm.control(
        "switches",
        validation_rules=[{"object": "Lead", "when": "Company = 'Bad'", "message": "Not so.", "field": "Company"}],
        triggers=[{"object": "Lead", "when": "Company = 'Boom'", "error": "Apex CPU time limit exceeded"}],
    )
    records = [change(one, Company="Bad"), change(two, Company="Boom"), change(three, Company="Good")]
    rows = crm.patch(PATH, {"records": records}).body
    codes = [each["errors"][0]["statusCode"] if each["errors"] else None for each in rows]
    assert codes == ["FIELD_CUSTOM_VALIDATION_EXCEPTION", "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", None]
    assert rows[0]["errors"][0]["message"] == "Not so."


def test_a_converted_lead_refuses_and_the_merged_one_is_gone(crm: Client) -> None:
    converted, winner, loser = crm.create(), crm.create(), crm.create()
    made = crm.control("convert", lead=converted)
    crm.control("merge", object="Lead", winner=winner, losers=[loser])
    rows = crm.patch(PATH, {"records": [change(each, Company="X") for each in (converted, loser, winner)]}).body
    assert rows[0] == {
        "success": False,
        "errors": [
            {"statusCode": "CANNOT_UPDATE_CONVERTED_LEAD", "message": "cannot reference converted lead", "fields": []}
        ],
    }
    assert (rows[1]["errors"][0]["statusCode"], rows[2]["success"]) == ("ENTITY_IS_DELETED", True)
    soql = "SELECT Id, MasterRecordId, ConvertedContactId FROM Lead WHERE Company = 'Acme' ORDER BY Id"
    found = {each["Id"]: each for each in crm.rows(soql, "queryAll")}
    assert found[loser]["MasterRecordId"] == winner
    assert found[converted]["ConvertedContactId"] == made["contactId"]


def test_a_fault_may_fail_every_second_record(stage: None) -> None:
    faults = Faults(Fault(path="composite/sobjects", body="partial", code="UNABLE_TO_LOCK_ROW", times=1))
    with served(Instance(faults=faults)) as crm:
        reply = crm.post(PATH, {"records": [lead(LastName=str(each)) for each in range(5)]})
        assert [each["success"] for each in reply.body] == [True, False, True, False, True]
        assert reply.body[1]["errors"][0]["statusCode"] == "UNABLE_TO_LOCK_ROW"
        assert sorted(each["LastName"] for each in crm.rows("SELECT LastName FROM Lead")) == ["0", "2", "4"]
        assert crm.seen("calls")["faulted"] == {"partial": 1}


def test_locked_rows_are_refused_until_they_are_free(crm: Client) -> None:
    one, two = crm.create(), crm.create()
    crm.control("lock", ids=[one])
    body = crm.patch(PATH, {"records": [change(one, Company="X"), change(two, Company="X")]}).body
    assert body[0]["errors"][0]["statusCode"] == "UNABLE_TO_LOCK_ROW"
    assert body[1]["success"] is True
    crm.control("lock", unlock=None)
    assert crm.patch(PATH, {"records": [change(one, Company="X")]}).body[0]["success"] is True
