"""Fields in which people choose a stage: read, told where they make no sense, set up, and whose hand it was."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.salesforce import Salesforce
from syncer.connector import Wanted
from syncer.errors import ConfigError
from syncer.model import Manual
from tests.connectors.salesforce.orgs import STAGE, STAGES, House, house, key, records, rejected

MANUAL = {"stage": "Manual_Stage__c", "reason": "Manual_Reason__c", "until": "Manual_Until__c"}
TYPES: dict[str, dict[str, Any]] = {
    "Manual_Stage__c": {"type": "Text", "length": 80},
    "Manual_Reason__c": {"type": "Text", "length": 255},
    "Manual_Until__c": {"type": "Date"},
}
WANTED = Wanted(stages=STAGES, timezone="Europe/Madrid")


@pytest.fixture
def org() -> Iterator[House]:
    """With the fields on leads and contacts."""
    with house() as opened:
        for kind in ("Lead", "Contact"):
            for name, made in TYPES.items():
                opened.org.add_field(kind, {"fullName": name, "label": name, **made})
        yield opened


def connected(org: House) -> Salesforce:
    return org.salesforce(WANTED, manual=MANUAL)


@pytest.mark.parametrize("kind", ["Lead", "Contact"])
def test_what_people_have_chosen_is_read_with_its_reason_and_its_end(org: House, kind: str) -> None:
    rows = [
        {"Manual_Stage__c": "SQL", "Manual_Reason__c": "knows them", "Manual_Until__c": "2027-01-15"},
        {"Manual_Reason__c": "left over"},
        {"Manual_Stage__c": "warm"},
    ]
    whole, none, strange = org.load(kind, rows)
    org.let_pass(60)
    pages = list(connected(org).pull(kind, None))
    found = {identity: each.manual for identity, each in records(pages).items()}
    end = datetime(2027, 1, 15, 22, 59, 59, 999_000, UTC)
    assert found == {whole: Manual("sql", "knows them", until=end), none: None, strange: None}
    ((who, why),) = [(each.id, each.reason) for each in rejected(pages)]
    assert who == strange
    assert "'warm', is none of: cold, mql, sql" in why


def test_a_lead_that_is_gone_or_converted_chooses_nothing(org: House) -> None:
    gone, became = org.load("Lead", [{"Manual_Stage__c": "warm"}] * 2)
    org.remove(gone)
    org.convert(became)
    org.let_pass(60)
    assert rejected(list(connected(org).pull("Lead", None))) == []


def test_a_field_that_is_not_shown_does_not_look_like_one_that_was_emptied(org: House) -> None:
    org.org.remove_field("Contact", "Manual_Stage__c")
    with pytest.raises(ConfigError, match="Manual_Stage__c"):
        list(connected(org).pull("Contact", None))


def test_the_fields_are_shown_and_created_for_people_to_fill() -> None:
    with house() as org:
        crm = connected(org)
        plan = {each.name: each for each in crm.setup() if ".Manual" in each.name}
        assert list(plan) == [f"{kind}.{name}" for kind in ("Lead", "Contact") for name in TYPES]
        assert plan["Lead.Manual_Stage__c"].type == "Picklist: cold, mql, sql"
        told = " ".join(each.message for each in crm.check())
        assert all(name in told for name in plan)
        for each in list(crm.setup()):
            crm.create(each)
        assert all(each.exists and not each.problem for each in crm.setup())
        assert [each.message for each in crm.check() if each.layer == "fields" and each.level != "ok"] == []


def test_whose_hand_it_was_is_told_where_it_was_a_person(org: House) -> None:
    (lead,) = org.leads(1)
    kim, ann = (
        org.create("User", LastName=name, Username=f"{name}@a.test", Email=f"{name}@a.test", Alias=name)
        for name in ("kim", "ann")
    )
    org.control("edit", object="Lead", user_id=kim, id=lead, values={"Manual_Stage__c": "sql"})
    assert connected(org).manual_authors([key(lead)]) == {key(lead): "kim@a.test"}
    org.control("edit", object="Lead", user_id=ann, id=lead, values={STAGE: "mql"})
    assert connected(org).stage_authors([key(lead)]) == {key(lead): "ann@a.test"}


@pytest.mark.parametrize(
    "manual", [{"stage": STAGE.upper()}, {"stage": "A__c", "until": "a__c"}, {"stage": "Status"}, {"reason": "A__c"}]
)
def test_what_syncer_writes_itself_can_be_nobodys_word(manual: dict[str, str]) -> None:
    with house() as org, pytest.raises(ValidationError):
        org.settings(manual=manual)
