"""Creating and updating records: what is filled in, and what is refused with which words."""

from datetime import UTC, datetime
from typing import Any

import pytest

from connectors.emulators.salesforce.calls import ADMIN, Caller, Write
from connectors.emulators.salesforce.clock import Clock
from connectors.emulators.salesforce.errors import Refusal
from connectors.emulators.salesforce.org import Org

NOW = datetime(2026, 11, 22, 12, 0, 0, 700_000, tzinfo=UTC)
STAMP = "2026-11-22T12:00:00.000+0000"
LEAD = {"LastName": "Doe", "Company": "ACME"}
Row = dict[str, Any]


@pytest.fixture
def org() -> Org:
    made = Org.stock(Clock(NOW, frozen=True))
    made.add_field("Lead", {"fullName": "Lead_Score__c", "type": "Number", "precision": 3, "scale": 0})
    made.add_field("Lead", {"fullName": "Ext__c", "type": "Text", "length": 20, "externalId": True})
    made.add_field("Contact", {"fullName": "Npi__c", "type": "Text", "length": 20, "externalId": True, "unique": True})
    return made


def refused(org: Org, object_name: str, values: Row, record_id: str = "", caller: Caller = ADMIN) -> Refusal:
    """What a create, or an update of a record, was refused with."""
    try:
        if record_id:
            org.update(object_name, record_id, values, caller)
        else:
            org.create(object_name, values, caller)
    except Refusal as refusal:
        return refusal
    raise AssertionError("it was not refused")


def queue(org: Org) -> str:
    return str(org.query("SELECT Id FROM Group WHERE Type = 'Queue'").page(0, 1)[0]["Id"])


def test_a_new_record_has_an_id_of_eighteen_characters_an_owner_defaults_and_stamps_to_the_second(org: Org) -> None:
    record_id = org.create("lead", {"lastname": "Doe", "FirstName": "Jane", "Company": "ACME"})
    row = org.read("Lead", record_id[:15])
    assert len(record_id) == 18
    assert record_id.startswith("00Q")
    expected = {
        "Id": record_id,
        "Name": "Jane Doe",
        "OwnerId": org.admin_id,
        "Status": "Open - Not Contacted",
        "IsConverted": False,
        "IsUnreadByOwner": True,
        "CreatedDate": STAMP,
        "LastModifiedDate": STAMP,
        "SystemModstamp": STAMP,
        "CreatedById": org.admin_id,
        "Email": None,
    }
    assert {name: row[name] for name in expected} == expected


def test_an_update_moves_the_stamps_but_not_those_of_creation(org: Org) -> None:
    record_id = org.create("Lead", LEAD)
    org.clock.advance(90)
    org.update("Lead", record_id, {"FirstName": "Joe", "Title": ""})
    row = org.read("Lead", record_id)
    assert (row["Name"], row["Title"], row["CreatedDate"]) == ("Joe Doe", None, STAMP)
    assert row["SystemModstamp"] == row["LastModifiedDate"] == "2026-11-22T12:01:30.000+0000"


UNREADABLE = "or request may be missing a required field at [line:1, column:1]"
TOO_LONG = "x" * 81
MISFITS: list[tuple[Row, str, str, tuple[str, ...] | None]] = [
    (
        {"FirstName": "x"},
        "REQUIRED_FIELD_MISSING",
        "Required fields are missing: [LastName, Company]",
        ("LastName", "Company"),
    ),
    (
        {**LEAD, "LastName": TOO_LONG},
        "STRING_TOO_LONG",
        f"Last Name: data value too large: {TOO_LONG} (max length=80)",
        ("LastName",),
    ),
    ({**LEAD, "Email": "badone"}, "INVALID_EMAIL_ADDRESS", "Email: invalid email address: badone", ("Email",)),
    (
        {**LEAD, "CleanStatus": "Dirty"},
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
        "Clean Status: bad value for restricted picklist field: Dirty",
        ("CleanStatus",),
    ),
    (
        {**LEAD, "Lead_Score__c": 1000},
        "NUMBER_OUTSIDE_VALID_RANGE",
        "Lead_Score: value outside of valid range on numeric field: 1000",
        ("Lead_Score__c",),
    ),
    ({**LEAD, "OwnerId": "none"}, "MALFORMED_ID", "Owner ID: id value of incorrect type: none", ("OwnerId",)),
    ({**LEAD, "OwnerId": "0055f00000zzzzzAAA"}, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", ()),
    ({**LEAD, "Nope__c": 1}, "INVALID_FIELD", "No such column 'Nope__c' on sobject of type Lead", None),
    (
        {**LEAD, "Id": "00Q5f0000000009EAA"},
        "INVALID_FIELD_FOR_INSERT_UPDATE",
        "cannot specify Id in an insert call",
        ("Id",),
    ),
    (
        {**LEAD, "NumberOfEmployees": 1.5},
        "JSON_PARSER_ERROR",
        f"Cannot deserialize instance of int from VALUE_NUMBER_FLOAT value 1.5 {UNREADABLE}",
        None,
    ),
    (
        {**LEAD, "LastName": 5},
        "JSON_PARSER_ERROR",
        f"Cannot deserialize instance of string from VALUE_NUMBER_INT value 5 {UNREADABLE}",
        None,
    ),
]


@pytest.mark.parametrize(("values", "code", "message", "fields"), MISFITS)
def test_a_value_that_does_not_fit_is_refused(
    org: Org, values: Row, code: str, message: str, fields: tuple[str, ...] | None
) -> None:
    refusal = refused(org, "Lead", values)
    assert (refusal.status, refusal.code, refusal.message, refusal.fields) == (400, code, message, fields)
    assert org.query("SELECT COUNT() FROM Lead").total_size == 0


def test_fields_that_only_the_platform_writes_are_named_all_at_once(org: Org) -> None:
    record_id = org.create("Lead", LEAD)
    refusal = refused(org, "Lead", {"IsDeleted": True, "Rating": "Hot", "ConvertedDate": "2026-01-01"}, record_id)
    assert refusal.code == "INVALID_FIELD_FOR_INSERT_UPDATE"
    assert refusal.message == (
        "Unable to create/update fields: IsDeleted, ConvertedDate. Please check the security settings of this field "
        "and verify that it is read/write for your profile or permission set."
    )
    assert refusal.fields == ("IsDeleted", "ConvertedDate")


@pytest.mark.parametrize(
    ("sent", "stored"),
    [(101.7, 102.0), (101.5, 102.0), (-1.5, -2.0), ("7", 7.0), (None, None), ("", None), (999, 999.0)],
)
def test_a_number_is_rounded_to_the_scale_of_its_field(org: Org, sent: object, stored: object) -> None:
    record_id = org.create("Lead", {**LEAD, "Lead_Score__c": sent})
    assert org.read("Lead", record_id)["Lead_Score__c"] == stored


@pytest.mark.parametrize(
    ("name", "sent", "stored"),
    [
        ("HasOptedOutOfEmail", "true", True),
        ("HasOptedOutOfEmail", None, False),
        ("Title", "  padded ", "padded"),
        ("Rating", "hot", "Hot"),
        ("Rating", "Tepid", "Tepid"),
        ("Description", " kept \n", " kept \n"),
        ("EmailBouncedDate", "2026-01-01T10:00:00+02:00", "2026-01-01T08:00:00.000+0000"),
        ("AnnualRevenue", 5, 5.0),
        ("NumberOfEmployees", "12", 12),
    ],
)
def test_values_are_stored_in_the_form_of_their_field(org: Org, name: str, sent: object, stored: object) -> None:
    record_id = org.create("Lead", LEAD)
    org.update("Lead", record_id, {name: sent})
    assert org.read("Lead", record_id)[name] == stored


@pytest.mark.parametrize(
    ("kind", "sent", "stored"),
    [
        ("Date", "2026-01-02T23:00:00Z", "2026-01-02"),
        ("Date", "tomorrow", None),
        ("DateTime", "2026-01-02T23:00:00", "2026-01-02T23:00:00.000+0000"),
        ("DateTime", "noon", None),
        ("Time", "10:30:00.5", "10:30:00.500Z"),
        ("Time", "late", None),
        ("Checkbox", "maybe", None),
        ("Number", True, None),
        ("Number", "many", None),
        ("Lookup", 5, None),
        ("Text", {"a": 1}, None),
    ],
)
def test_dates_times_and_nonsense(org: Org, kind: str, sent: object, stored: object) -> None:
    org.add_field("Lead", {"fullName": "X__c", "type": kind, "referenceTo": "Account"})
    if stored is None:
        assert refused(org, "Lead", {**LEAD, "X__c": sent}).code == "JSON_PARSER_ERROR"
    else:
        assert org.read("Lead", org.create("Lead", {**LEAD, "X__c": sent}))["X__c"] == stored


def test_some_objects_are_not_for_writing(org: Org) -> None:
    status = str(org.query("SELECT Id FROM LeadStatus").page(0, 1)[0]["Id"])
    assert refused(org, "LeadStatus", {}).message == "entity type cannot be inserted: Lead Status Value"
    assert refused(org, "LeadStatus", {}, status).message == "entity type cannot be updated: Lead Status Value"
    with pytest.raises(Refusal, match="entity type cannot be deleted: Lead Status Value"):
        org.delete("LeadStatus", status)


def test_a_parent_must_be_named_by_one_key_that_is_one(org: Org) -> None:
    message = refused(org, "Contact", {"LastName": "x", "Account": {"Name": "a", "Site": "b"}}).message
    assert message == "Account: a parent must be named by exactly one external id field"
    refusal = refused(org, "Contact", {"LastName": "x", "Account": {"Name": "a"}})
    assert (refusal.status, refusal.code) == (404, "NOT_FOUND")
    owner = {"attributes": {"type": "User"}, "Username": "admin@emulated.example"}
    lead = org.create("Lead", {**LEAD, "Owner": owner})
    assert org.read("Lead", lead)["OwnerId"] == org.admin_id


@pytest.mark.parametrize("text", ["(LastName", "LastName &", "5 5", "Nope", "LastName ? 1"])
def test_a_formula_that_cannot_be_read_makes_no_field(org: Org, text: str) -> None:
    with pytest.raises(Refusal, match="FIELD_INTEGRITY_EXCEPTION: Formula"):
        org.add_field("Lead", {"fullName": "F__c", "type": "Text", "formula": text})
    assert "F__c" not in org.schema.get("Lead").fields


def test_a_multipicklist_keeps_each_value_once_in_the_order_of_the_list(org: Org) -> None:
    choices = ["red", "green", "blue"]
    org.add_field(
        "Lead", {"fullName": "Colours__c", "type": "MultiselectPicklist", "valueSet": choices, "restricted": True}
    )
    record_id = org.create("Lead", {**LEAD, "Colours__c": "blue;red;blue"})
    assert org.read("Lead", record_id)["Colours__c"] == "red;blue"
    assert refused(org, "Lead", {"Colours__c": "red;pink"}, record_id).message.endswith("picklist field: pink")


def test_a_record_that_is_not_there_is_told_from_one_that_is_deleted_and_from_nonsense(org: Org) -> None:
    record_id = org.create("Lead", LEAD)
    org.delete("Lead", record_id)
    assert (refused(org, "Lead", {}, record_id).status, refused(org, "Lead", {}, record_id).code) == (
        404,
        "ENTITY_IS_DELETED",
    )
    assert refused(org, "Lead", {}, "00Q5f000000zzzzEAA").code == "INVALID_CROSS_REFERENCE_KEY"
    assert refused(org, "Lead", {}, "short").code == "MALFORMED_ID"
    assert refused(org, "Contact", {}, record_id).code == "MALFORMED_ID"


def test_a_lead_may_belong_to_its_queue_but_a_contact_to_none(org: Org) -> None:
    lead = org.create("Lead", {**LEAD, "OwnerId": queue(org)})
    owner: Any = org.query("SELECT Owner.Name, Owner.Type FROM Lead WHERE Owner.Type = 'Queue'").page(0, 1)[0]["Owner"]
    assert (owner["Name"], owner["Type"]) == ("Web Leads", "Queue")
    refusal = refused(org, "Contact", {"LastName": "x", "OwnerId": queue(org)})
    assert (refusal.code, refusal.fields) == ("FIELD_INTEGRITY_EXCEPTION", ("OwnerId",))
    refusal = refused(org, "Task", {"Subject": "x", "WhoId": lead, "OwnerId": queue(org)})
    assert (refusal.code, refusal.message) == ("INVALID_OPERATION", "Queue not associated with this SObject type")


def test_an_inactive_user_cannot_own(org: Org) -> None:
    gone = org.load(
        "User", [{"Username": "g@x.example", "LastName": "Gone", "Email": "g@x.example", "IsActive": False}]
    )[0]
    refusal = refused(org, "Contact", {"LastName": "x", "OwnerId": gone})
    assert refusal.code == "INACTIVE_OWNER_OR_USER"
    assert refusal.message == f"operation performed with inactive user [{gone[:15]}] as owner of contact"


def test_a_unique_value_is_held_once_in_any_case(org: Org) -> None:
    first = org.create("Contact", {"LastName": "a", "Npi__c": "X1"})
    second = org.create("Contact", {"LastName": "b", "Npi__c": "X2"})
    refusal = refused(org, "Contact", {"Npi__c": "x1"}, second)
    assert refusal.code == "DUPLICATE_VALUE"
    assert refusal.message == f"duplicate value found: Npi__c duplicates value on record with id: {first[:15]}"
    org.update("Contact", first, {"Npi__c": "X1"})
    org.delete("Contact", first)
    org.update("Contact", second, {"Npi__c": "X1"})


def test_a_validation_rule_refuses_with_its_message_and_field_and_several_rules_each_speak(org: Org) -> None:
    org.behave(
        {
            "validation_rules": [
                {"object": "Lead", "when": "Status = 'Nurture' AND Email = null", "message": "Who?", "field": "Email"},
                {"object": "Lead", "when": "Status LIKE 'Nurt%'", "message": "No."},
            ]
        }
    )
    record_id = org.create("Lead", LEAD)
    refusal = refused(org, "Lead", {"Status": "Nurture"}, record_id)
    assert (refusal.code, refusal.message, refusal.fields) == ("FIELD_CUSTOM_VALIDATION_EXCEPTION", "Who?", ("Email",))
    assert [(each.message, each.fields) for each in refusal.more] == [("No.", ())]
    assert org.read("Lead", record_id)["Status"] == "Open - Not Contacted"


def test_a_trigger_rewrites_fields_or_throws(org: Org) -> None:
    org.behave({"triggers": [{"object": "Lead", "when": "Lead_Score__c > 50", "set": {"Lead_Score__c": 50.0}}]})
    record_id = org.create("Lead", {**LEAD, "Lead_Score__c": 80})
    assert org.read("Lead", record_id)["Lead_Score__c"] == 50.0
    org.behave({"triggers": [{"object": "Lead", "error": "System.LimitException: Apex CPU time limit exceeded"}]})
    refusal = refused(org, "Lead", {"Rating": "Hot"}, record_id)
    assert refusal.code == "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"
    assert "BeforeUpdate" in refusal.message
    assert refusal.message.endswith("Apex CPU time limit exceeded")


@pytest.mark.parametrize("key", ["duplicateResut", "duplicateResult"])
def test_a_duplicate_rule_lists_its_matches_under_the_key_of_the_version(org: Org, key: str) -> None:
    first = org.create("Lead", {**LEAD, "Email": "a@x.example"})
    other = org.create("Lead", {**LEAD, "Email": "b@x.example"})
    org.behave({"duplicate_rules": [{"object": "Lead", "on_edit": True}], "duplicate_key": key})
    refusal = refused(org, "Lead", {"Email": "A@x.example"}, other)
    found: Any = refusal.extra[key]
    assert refusal.code == "DUPLICATES_DETECTED"
    assert [each["record"]["Id"] for each in found["matchResults"][0]["matchRecords"]] == [first]
    assert found["allowSave"] is True
    org.update("Lead", other, {"Email": "a@x.example"}, Caller(allow_duplicates=True))


def test_allow_save_does_not_override_a_rule_that_blocks_nor_do_rules_run_on_edit_unless_told(org: Org) -> None:
    record_id = org.create("Lead", {**LEAD, "Email": "a@x.example"})
    org.behave({"duplicate_rules": [{"object": "Lead", "block": True}]})
    caller = Caller(allow_duplicates=True)
    assert refused(org, "Lead", {**LEAD, "Email": "a@x.example"}, "", caller).code == "DUPLICATES_DETECTED"
    org.update("Lead", record_id, {"Rating": "Hot"})


def test_the_assignment_rule_takes_leads_on_every_save_unless_switched_off_by_the_caller(org: Org) -> None:
    record_id = org.create("Lead", LEAD)
    org.behave({"assignment_owner": queue(org)})
    org.update("Lead", record_id, {"Rating": "Hot"}, Caller(auto_assign=False))
    assert org.read("Lead", record_id)["OwnerId"] == org.admin_id
    org.update("Lead", record_id, {"Rating": "Hot"})
    assert org.read("Lead", record_id)["OwnerId"] == queue(org)


def test_a_locked_record_and_the_children_of_one_cannot_be_written(org: Org) -> None:
    record_id = org.create("Lead", LEAD)
    org.lock([record_id], seconds=10)
    refusal = refused(org, "Lead", {"Rating": "Hot"}, record_id)
    assert refusal.code == "UNABLE_TO_LOCK_ROW"
    assert refusal.message == f"unable to obtain exclusive access to this record or 1 records: {record_id}"
    assert refused(org, "Task", {"Subject": "x", "WhoId": record_id}).code == "UNABLE_TO_LOCK_ROW"
    org.clock.advance(11)
    org.update("Lead", record_id, {"Rating": "Hot"})


def test_upsert_creates_updates_and_refuses_to_choose_among_several(org: Org) -> None:
    record_id, is_new = org.upsert("Lead", ("Ext__c", "7"), LEAD)
    assert is_new
    assert org.upsert("Lead", ("ext__C", "7"), {"Rating": "Hot"}) == (record_id, False)
    assert org.read("Lead", record_id)["Rating"] == "Hot"
    twin = org.create("Lead", {**LEAD, "Ext__c": "7"})
    with pytest.raises(Refusal) as caught:
        org.upsert("Lead", ("Ext__c", "7"), {"Rating": "Cold"})
    assert (caught.value.status, caught.value.extra["ids"]) == (300, [record_id, twin])
    with pytest.raises(Refusal) as caught:
        org.upsert("Lead", ("Title", "7"), {})
    assert caught.value.status == 404


def test_a_parent_can_be_named_by_its_external_id(org: Org) -> None:
    org.add_field("Account", {"fullName": "Ext__c", "type": "Text", "externalId": True})
    account = org.create("Account", {"Name": "ACME", "Ext__c": "a-1"})
    contact = org.create("Contact", {"LastName": "x", "Account": {"Ext__c": "a-1"}})
    assert org.read("Contact", contact)["AccountId"] == account
    refusal = refused(org, "Contact", {"LastName": "x", "Account": {"Ext__c": "a-2"}})
    assert refusal.message == "Foreign key external ID: a-2 not found for field Ext__c in entity Account"


def test_many_writes_answer_by_position_and_one_failure_leaves_the_others_done(org: Org) -> None:
    first = org.create("Lead", LEAD)
    outcomes = org.save(
        [
            Write("create", "Lead", values=LEAD),
            Write("update", "Lead", first, {"Email": "bad"}),
            Write("upsert", "Lead", values={**LEAD, "Ext__c": "9"}, key="Ext__c"),
            Write("delete", "", first),
            Write("update", "Nope", first, {}),
        ]
    )
    assert [(each.success, each.created) for each in outcomes] == [
        (True, True), (False, False), (True, True), (True, False), (False, False),
    ]  # fmt: skip
    assert [each.refusals[0].code for each in outcomes if each.refusals] == ["INVALID_EMAIL_ADDRESS", "INVALID_TYPE"]
    assert outcomes[1].id is None
    assert org.query("SELECT COUNT() FROM Lead").total_size == 2


def test_a_record_may_be_written_once_in_a_call(org: Org) -> None:
    lead = org.create("Lead", LEAD)
    outcomes = org.save(
        [
            Write("update", "Lead", lead, {"Rating": "Hot"}),
            Write("update", "lead", lead[:15], {"Rating": "Cold"}),
            Write("upsert", "Lead", values={**LEAD, "Ext__c": "1"}, key="Ext__c"),
            Write("upsert", "Lead", values={**LEAD, "Ext__c": "2"}, key="Ext__c"),
            Write("upsert", "Lead", values={**LEAD, "ext__c": "1"}, key="ext__c"),
        ]
    )
    twice = [f"Duplicate id specified: {lead}"] * 2 + ["Duplicate external id specified: 1"] * 2
    assert [each.refusals[0].message for each in outcomes if not each.success] == twice
    assert [each.success for each in outcomes] == [False, False, False, True, False]
    assert org.read("Lead", lead)["Rating"] is None


def test_all_or_none_undoes_what_succeeded(org: Org) -> None:
    first = org.create("Lead", LEAD)
    outcomes = org.save(
        [
            Write("create", "Lead", values=LEAD),
            Write("update", "Lead", first, {"Rating": "Hot"}),
            Write("create", "Task", values={"Subject": "x", "WhoId": first}),
            Write("create", "Lead", values={}),
        ],
        all_or_none=True,
    )
    codes = [each.refusals[0].code for each in outcomes]
    assert codes == ["ALL_OR_NONE_OPERATION_ROLLED_BACK"] * 3 + ["REQUIRED_FIELD_MISSING"]
    assert all(each.id is None and not each.success for each in outcomes)
    rows = org.query("SELECT Id, Rating FROM Lead").page(0, 9)
    assert [(row["Id"], row["Rating"]) for row in rows] == [(first, None)]
    assert org.query("SELECT COUNT() FROM Task", all_rows=True).total_size == 0


def test_a_change_of_a_tracked_field_is_written_to_the_history(org: Org) -> None:
    record_id = org.create("Lead", LEAD)
    org.update("Lead", record_id, {"Status": "Working - Contacted", "Title": "CEO"})
    rows = org.query("SELECT Field, OldValue, NewValue, Lead.Name FROM LeadHistory").page(0, 9)
    assert [(row["Field"], row["OldValue"], row["NewValue"]) for row in rows] == [
        ("Status", "Open - Not Contacted", "Working - Contacted")
    ]


def test_a_custom_object_is_created_queried_and_related_like_any_other(org: Org) -> None:
    name = org.add_object(
        {
            "name": "Visit__c",
            "label": "Visit",
            "fields": [
                {"fullName": "Lead__c", "type": "Lookup", "referenceTo": "Lead", "relationshipName": "Visits"},
                {"fullName": "Pages__c", "type": "Number", "precision": 4, "scale": 0},
            ],
        }
    )
    lead = org.create("Lead", LEAD)
    org.create(name, {"Name": "first", "Lead__c": lead, "Pages__c": 3})
    row = org.query("SELECT Name, Lead__r.Company, Pages__c FROM Visit__c").page(0, 1)[0]
    assert (row["Lead__r"]["Company"], row["Pages__c"]) == ("ACME", 3.0)  # type: ignore[index]
    parent = org.query("SELECT Id, (SELECT Name FROM Visits__r) FROM Lead").page(0, 1)[0]
    assert parent["Visits__r"].page(0, 1)[0]["Name"] == "first"  # type: ignore[attr-defined]


def test_formulas_follow_their_fields_and_roll_ups_stamp_their_parents(org: Org) -> None:
    org.add_field("Lead", {"fullName": "Tag__c", "type": "Text", "formula": 'Company & ": " & LastName'})
    org.add_field("Lead", {"fullName": "Twice__c", "type": "Number", "formula": "(Lead_Score__c + 1) * 2"})
    count = {"fullName": "Calls__c", "type": "Summary", "summaryForeignKey": "Task.WhoId"}
    org.add_field("Lead", count)
    org.behave({"activity_bumps_parent": False})
    lead = org.create("Lead", {**LEAD, "Lead_Score__c": 4})
    row = org.query("SELECT Tag__c, Twice__c, Calls__c FROM Lead WHERE Twice__c = 10").page(0, 1)[0]
    assert (row["Tag__c"], row["Twice__c"], row["Calls__c"]) == ("ACME: Doe", 10.0, None)
    org.clock.advance(60)
    org.create("Task", {"Subject": "x", "WhoId": lead})
    row = org.read("Lead", lead)
    assert (row["Calls__c"], row["SystemModstamp"]) == (1.0, "2026-11-22T12:01:00.000+0000")
    assert row["LastModifiedDate"] == STAMP
    assert refused(org, "Lead", {"Tag__c": "x"}, lead).code == "INVALID_FIELD_FOR_INSERT_UPDATE"
