"""Describes, field-level security, custom fields, ids."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.emulators.salesforce.calls import Caller
from connectors.emulators.salesforce.clock import Clock
from connectors.emulators.salesforce.errors import Refusal
from connectors.emulators.salesforce.ids import full_id, new_id
from connectors.emulators.salesforce.org import Org

Row = dict[str, Any]
LEAD = {"LastName": "Doe", "Company": "ACME"}
RECORDED = Path(__file__).parents[4] / ".." / "shared" / "recorded" / "salesforce" / "describe"
SCORE = {"fullName": "Lead.Lead_Score__c", "label": "Lead Score", "type": "Number", "precision": 5, "scale": 2}
LATER = {"JigsawContactId", "DandbCompanyId", "IndividualId"}  # features of other clouds, left out or plain here


@pytest.fixture
def org() -> Org:
    return Org.stock(Clock(datetime(2026, 11, 22, 12, tzinfo=UTC), frozen=True))


def fields(org: Org, object_name: str, caller: Caller = Caller()) -> dict[str, Any]:  # noqa: B008  (a frozen value)
    described: Any = org.describe(object_name, caller=caller)["fields"]
    return {each["name"]: each for each in described}


@pytest.mark.skipif(not RECORDED.exists(), reason="the recordings of real orgs are not here")
@pytest.mark.parametrize("object_name", ["Lead", "Contact", "Event"])
def test_a_describe_has_the_keys_and_the_fields_a_real_org_has(org: Org, object_name: str) -> None:
    real = json.loads((RECORDED / f"{object_name}.cumulusci.json").read_text())
    mine: Any = org.describe(object_name)
    assert set(mine) == set(real)
    assert set(mine["fields"][0]) == set(real["fields"][0])
    ours = fields(org, object_name)
    wrong = [
        (field["name"], key, field[key], ours[field["name"]][key])
        for field in real["fields"]
        if field["name"] in ours and field["name"] not in LATER and object_name == "Lead"
        for key in field
        if key not in ("label", "picklistValues", "defaultValue") and field[key] != ours[field["name"]][key]
    ]
    assert wrong == []


def test_every_object_of_the_global_describe_can_be_described(org: Org) -> None:
    found: Any = org.describe_global()
    names = [each["name"] for each in found["sobjects"]]
    assert names == sorted(names)
    assert {"Lead", "Contact", "Account", "Task", "Event", "CampaignMember", "LeadHistory", "FieldPermissions"} <= set(
        names
    )
    for brief in found["sobjects"]:
        whole = org.describe(brief["name"])
        assert {name: whole[name] for name in brief if name != "urls"} == {
            name: brief[name] for name in brief if name != "urls"
        }
    history = next(each for each in found["sobjects"] if each["name"] == "ActivityHistory")
    assert (history["queryable"], history["replicateable"]) == (False, False)


def test_a_path_to_no_object_is_not_found(org: Org) -> None:
    with pytest.raises(Refusal) as caught:
        org.describe("Nope")
    assert (caught.value.status, caught.value.code) == (404, "NOT_FOUND")


def test_a_field_made_by_an_admin_is_invisible_until_permissions_are_given(org: Org) -> None:
    org.add_field("Lead", SCORE, visible=False)
    lead = org.create("Lead", LEAD)
    assert "Lead_Score__c" not in fields(org, "Lead")
    with pytest.raises(Refusal, match="No such column 'Lead_Score__c'"):
        org.update("Lead", lead, {"Lead_Score__c": 5})
    granted = org.create("PermissionSet", {"Name": "Syncer", "Label": "Syncer"})
    permission = {"ParentId": granted, "SobjectType": "Lead", "Field": "Lead.Lead_Score__c", "PermissionsRead": True}
    given_id = org.create("FieldPermissions", permission)
    assert "Lead_Score__c" not in fields(org, "Lead")
    org.create("PermissionSetAssignment", {"PermissionSetId": granted, "AssigneeId": org.admin_id})
    assert fields(org, "Lead")["Lead_Score__c"]["updateable"] is False
    with pytest.raises(Refusal, match="INVALID_FIELD_FOR_INSERT_UPDATE"):
        org.update("Lead", lead, {"Lead_Score__c": 5})
    org.update("FieldPermissions", given_id, {"PermissionsEdit": True})
    org.update("Lead", lead, {"Lead_Score__c": 5.125})
    assert org.read("Lead", lead)["Lead_Score__c"] == 5.13
    other = org.load("User", [{"Username": "o@x.example", "LastName": "Other", "IsActive": True}])[0]
    assert "Lead_Score__c" not in fields(org, "Lead", Caller(other))


def test_permissions_are_for_fields_that_have_them_and_given_once(org: Org) -> None:
    granted = org.create("PermissionSet", {"Name": "Syncer", "Label": "Syncer"})
    base = {"ParentId": granted, "SobjectType": "Lead", "PermissionsRead": True}
    with pytest.raises(Refusal, match=r"bad value for restricted picklist field: Lead\.Nope__c"):
        org.create("FieldPermissions", {**base, "Field": "Lead.Nope__c"})
    with pytest.raises(Refusal, match=r"bad value for restricted picklist field: Lead\.Company"):
        org.create("FieldPermissions", {**base, "Field": "Lead.Company"})
    with pytest.raises(Refusal, match="without read access"):
        org.create(
            "FieldPermissions", {**base, "Field": "Lead.Rating", "PermissionsRead": False, "PermissionsEdit": True}
        )
    org.create("FieldPermissions", {**base, "Field": "Lead.Rating"})
    with pytest.raises(Refusal, match="DUPLICATE_VALUE"):
        org.create("FieldPermissions", {**base, "Field": "Lead.Rating"})


_FORMULA = {"calculated": True, "createable": False, "updateable": False, "calculatedFormula": "LastName"}
_VALUES = {"restricted": True, "valueSetDefinition": {"value": [{"fullName": "A", "default": True}]}}
_LOOKUP = {"type": "reference", "referenceTo": ["Campaign"], "relationshipName": "X__r"}
_KEY = {"type": "string", "length": 30, "externalId": True, "idLookup": True, "unique": True, "byteLength": 90}


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        ({"type": "Number", "precision": 5, "scale": 2}, {"type": "double", "precision": 5, "scale": 2}),
        ({"type": "Text", "length": 30, "externalId": True, "unique": True}, _KEY),
        ({"type": "LongTextArea", "length": 5000}, {"type": "textarea", "filterable": False, "sortable": False}),
        ({"type": "Checkbox", "defaultValue": "true"}, {"type": "boolean", "nillable": False, "defaultValue": True}),
        ({"type": "DateTime"}, {"type": "datetime", "soapType": "xsd:dateTime", "groupable": False}),
        ({"type": "Lookup", "referenceTo": "Campaign", "relationshipName": "Sourced"}, _LOOKUP),
        ({"type": "Picklist", "valueSet": _VALUES}, {"restrictedPicklist": True, "defaultValue": "A"}),
        ({"type": "MultiselectPicklist", "valueSet": ["a"]}, {"sortable": False, "groupable": False}),
        ({"type": "Text", "formula": "LastName"}, _FORMULA),
    ],
)
def test_a_custom_field_is_described_by_its_type(
    org: Org, definition: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert org.add_field("Lead", {"fullName": "X__c", "label": "X", **definition}) == "X__c"
    found = fields(org, "Lead")["X__c"]
    assert {name: found[name] for name in expected} == expected
    assert (found["custom"], found["label"]) == (True, "X")


def test_a_field_can_be_made_once_and_taken_away(org: Org) -> None:
    org.add_field("Lead", SCORE)
    with pytest.raises(Refusal, match="DUPLICATE_DEVELOPER_NAME"):
        org.add_field("Lead", SCORE)
    org.remove_field("Lead", "lead_score__c")
    assert "Lead_Score__c" not in fields(org, "Lead")
    with pytest.raises(Refusal, match="unknown field type"):
        org.add_field("Lead", {"fullName": "Y__c", "type": "Colour"})


def test_a_feature_can_be_taken_away_while_running(org: Org) -> None:
    org.remove_object("CampaignMember")
    with pytest.raises(Refusal, match="sObject type 'CampaignMember' is not supported"):
        org.query("SELECT Id FROM CampaignMember")
    org.delete("Lead", org.create("Lead", LEAD))


def test_a_custom_object_is_made_once(org: Org) -> None:
    org.add_object({"name": "Visit__c"})
    with pytest.raises(Refusal, match="DUPLICATE_DEVELOPER_NAME"):
        org.add_object({"name": "visit"})
    with pytest.raises(Refusal, match="a summary needs"):
        org.add_field("Lead", {"fullName": "S__c", "type": "Summary"})
    with pytest.raises(ValueError, match="access is hidden, read or edit"):
        org.set_access("Lead", "Rating", "write")


def test_the_time_of_the_last_change_of_the_schema_moves(org: Org) -> None:
    before = org.schema_changed
    org.clock.advance(60)
    org.set_picklist("Lead", "Status", ["New*", "SQL"], restricted=True)
    assert org.schema_changed > before
    assert [each["value"] for each in fields(org, "Lead")["Status"]["picklistValues"]] == ["New", "SQL"]
    assert org.read("Lead", org.create("Lead", LEAD))["Status"] == "New"
    statuses = org.query("SELECT MasterLabel, IsDefault FROM LeadStatus ORDER BY SortOrder").page(0, 9)
    assert [(each["MasterLabel"], each["IsDefault"]) for each in statuses] == [("New", True), ("SQL", False)]
    with pytest.raises(Refusal, match="bad value for restricted picklist field: Gone"):
        org.create("Lead", {**LEAD, "Status": "Gone"})


def test_switches_and_features_that_are_none_are_named(org: Org) -> None:
    with pytest.raises(ValueError, match="no switch nope"):
        org.behave({"nope": 1})
    with pytest.raises(ValueError, match="must be a bool"):
        org.behave({"archiving": "yes"})
    with pytest.raises(ValueError, match="a rule has"):
        org.behave({"triggers": [{"object": "Lead", "nope": 1}]})
    with pytest.raises(ValueError, match="no feature nope"):
        Org.stock(nope=True)


def test_another_org_has_another_id(org: Org) -> None:
    assert org.org_id != Org.stock(org_number=5).org_id
    org.behave({"time_zone": "Europe/Berlin", "fiscal_month": 4})
    shown = org.query("SELECT TimeZoneSidKey, FiscalYearStartMonth FROM Organization").page(0, 1)[0]
    assert (shown["TimeZoneSidKey"], shown["FiscalYearStartMonth"]) == ("Europe/Berlin", 4)
    org.rename("00D000000000001")
    assert org.query("SELECT Id FROM Organization").page(0, 1)[0]["Id"] == org.org_id == "00D000000000001EAA"


@pytest.mark.parametrize(
    ("short", "whole"), [("001D000000JoRbe", "001D000000JoRbeIAF"), ("0031i000013x2TE", "0031i000013x2TEAAY")]
)
def test_known_ids_have_their_known_checksum(short: str, whole: str) -> None:
    assert full_id(short) == full_id(whole) == whole


@given(number=st.integers(0, 62**9 - 1))
def test_an_id_survives_the_loss_of_its_case_by_its_checksum(number: int) -> None:
    made = new_id("00Q", number)
    assert full_id(made) == full_id(made[:15]) == full_id(made.upper()) == full_id(made.lower()) == made


@pytest.mark.parametrize("text", ["", "00Q", "00Q5f0000000001EA", "00Q5f00000-0001", "00Q5f0000000001999"])
def test_what_is_no_id_is_none(text: str) -> None:
    assert full_id(text) is None
