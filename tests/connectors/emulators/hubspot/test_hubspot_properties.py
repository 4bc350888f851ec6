"""Fields and groups."""

from typing import Any

import pytest

from tests.connectors.emulators.hubspot.portals import Client

PROPERTIES = "/crm/v3/properties/contacts"
SCORE = {"name": "ls_score", "label": "Score", "type": "number", "fieldType": "number", "groupName": "lead_scoring"}


@pytest.fixture
def grouped(crm: Client) -> Client:
    assert crm.post(f"{PROPERTIES}/groups", {"name": "lead_scoring", "label": "Lead scoring"}).status == 201
    return crm


def test_a_field_is_made_read_written_and_deleted(grouped: Client) -> None:
    made = grouped.post(PROPERTIES, SCORE)
    assert (made.status, made.body["archived"], made.body["modificationMetadata"]["readOnlyValue"]) == (
        201,
        False,
        False,
    )
    assert grouped.get(f"{PROPERTIES}/ls_score").body == made.body
    record_id = grouped.create(ls_score="5")
    assert grouped.ask("DELETE", f"{PROPERTIES}/ls_score").status == 204
    assert grouped.get(f"{PROPERTIES}/ls_score").status == 404
    assert grouped.get(f"{PROPERTIES}/ls_score?archived=true").body["archived"] is True
    assert grouped.properties(record_id, "ls_score") == {"ls_score": None}
    refused = grouped.ask("PATCH", f"/crm/v3/objects/contacts/{record_id}", {"properties": {"ls_score": "6"}})
    assert refused.body["errors"][0]["code"] == "PROPERTY_DOESNT_EXIST"
    assert grouped.post(PROPERTIES, SCORE).status == 201


def test_a_field_or_group_that_exists_is_a_conflict(grouped: Client) -> None:
    grouped.post(PROPERTIES, SCORE)
    again = grouped.post(PROPERTIES, SCORE)
    assert (again.status, again.body["subCategory"]) == (409, "Properties.PROPERTY_WITH_NAME_EXISTS")
    assert grouped.post(PROPERTIES, SCORE | {"name": "email"}).status == 409
    assert grouped.post(f"{PROPERTIES}/groups", {"name": "lead_scoring", "label": "x"}).status == 409


def test_a_deleted_name_may_stay_blocked(grouped: Client) -> None:
    grouped.control("manners", archived_names_block=True)
    grouped.post(PROPERTIES, SCORE)
    grouped.ask("DELETE", f"{PROPERTIES}/ls_score")
    assert grouped.post(PROPERTIES, SCORE).status == 409


@pytest.mark.parametrize(
    "change",
    [
        {"fieldType": "text"},
        {"type": "datetime", "fieldType": "datetime"},
        {"type": "money"},
        {"type": "enumeration", "fieldType": "select"},
        {"groupName": "no_such"},
        {"name": "Score"},
        {"name": "1score"},
        {"label": ""},
        {"groupName": None},
    ],
    ids=str,
)
def test_a_field_that_does_not_fit_together_is_refused(grouped: Client, change: dict[str, Any]) -> None:
    assert grouped.post(PROPERTIES, SCORE | change).status == 400


@pytest.mark.parametrize(
    ("kind", "field"),
    [("datetime", "date"), ("date", "date"), ("string", "textarea"), ("bool", "booleancheckbox"), ("number", "number")],
)
def test_the_documented_pairs_of_types_are_taken(grouped: Client, kind: str, field: str) -> None:
    assert grouped.post(PROPERTIES, SCORE | {"type": kind, "fieldType": field}).status == 201


def test_making_many_says_201_in_v3_and_200_by_date(grouped: Client) -> None:
    assert grouped.post(f"{PROPERTIES}/batch/create", {"inputs": [SCORE]}).status == 201
    other = SCORE | {"name": "ls_grade", "type": "string", "fieldType": "text"}
    assert grouped.post("/crm/properties/2026-03/contacts/batch/create", {"inputs": [other]}).status == 200
    reply = grouped.post(f"{PROPERTIES}/batch/read", {"inputs": [{"name": "ls_score"}, {"name": "no_such"}]})
    assert (reply.status, [each["name"] for each in reply.body["results"]]) == (207, ["ls_score"])
    assert grouped.post(f"{PROPERTIES}/batch/archive", {"inputs": [{"name": "ls_score"}]}).status == 204
    assert grouped.get(f"{PROPERTIES}/ls_score").status == 404


def test_what_hubspot_defined_cannot_be_redefined_or_deleted(crm: Client) -> None:
    assert crm.ask("DELETE", f"{PROPERTIES}/email").status == 400
    assert crm.ask("PATCH", f"{PROPERTIES}/email", {"label": "x"}).status == 400
    options = [{"label": "Hot", "value": "HOT"}]
    assert crm.ask("PATCH", f"{PROPERTIES}/hs_lead_status", {"options": options}).status == 200
    assert crm.create(hs_lead_status="HOT")


def test_a_group_is_renamed_and_deleted_when_empty(grouped: Client) -> None:
    path = f"{PROPERTIES}/groups/lead_scoring"
    assert grouped.ask("PATCH", path, {"label": "Scores"}).body["label"] == "Scores"
    assert grouped.get(path).body["label"] == "Scores"
    grouped.post(PROPERTIES, SCORE)
    assert grouped.ask("DELETE", path).status == 400
    grouped.ask("DELETE", f"{PROPERTIES}/ls_score")
    assert grouped.ask("DELETE", path).status == 204
    assert grouped.get(path).status == 404
    assert "lead_scoring" not in [each["name"] for each in grouped.get(f"{PROPERTIES}/groups").body["results"]]


def test_the_fields_a_scoring_client_needs_are_there_with_their_choices(crm: Client) -> None:
    found = {each["name"]: each for each in crm.get(PROPERTIES).body["results"]}
    stages = [each["value"] for each in found["lifecyclestage"]["options"]]
    assert stages == [
        "subscriber",
        "lead",
        "marketingqualifiedlead",
        "salesqualifiedlead",
        "opportunity",
        "customer",
        "evangelist",
        "other",
    ]
    assert "BAD_TIMING" in [each["value"] for each in found["hs_lead_status"]["options"]]
    calculated = {name for name, each in found.items() if each["calculated"]}
    assert {"num_conversion_events", "recent_conversion_date", "hs_calculated_form_submissions"} <= calculated
    assert not calculated & {"hs_email_open", "hs_analytics_num_visits", "notes_last_updated"}
    assert all(found[name]["modificationMetadata"]["readOnlyValue"] for name in calculated)


def test_limits_of_custom_fields_are_shown(grouped: Client) -> None:
    grouped.post(PROPERTIES, SCORE)
    contacts = grouped.get("/crm/v3/limits/custom-properties").body["byObjectType"][0]
    assert (contacts["objectTypeId"], contacts["usage"], contacts["limit"]) == ("0-1", 1, 1000)
