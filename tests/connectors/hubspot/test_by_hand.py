"""Properties in which people choose a stage: read, told where they make no sense, set up, and whose hand it was."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.hubspot import HubSpot
from connectors.hubspot.settings import Settings
from syncer.connector import Wanted
from syncer.errors import ConfigError
from syncer.model import Manual
from tests.connectors.hubspot.portals import STAGES, TOKEN, Office, key, office, records, rejected

MANUAL = {"stage": "ls_manual_stage", "reason": "ls_manual_reason", "until": "ls_manual_until"}
WANTED = Wanted(stages=STAGES, timezone="Europe/Madrid")


@pytest.fixture
def portal() -> Iterator[Office]:
    """With the properties in place."""
    with office() as opened:
        crm = connected(opened)
        for each in crm.setup():
            crm.create(each)
        yield opened


def connected(portal: Office, **settings: Any) -> HubSpot:
    return portal.hubspot(WANTED, manual=MANUAL, **settings)


def test_what_people_have_chosen_is_read_with_its_reason_and_its_end(portal: Office) -> None:
    rows = [
        {"ls_manual_stage": "sql", "ls_manual_reason": "knows them", "ls_manual_until": "2027-01-15"},
        {"ls_manual_stage": "mql"},
        {"ls_manual_reason": "left over"},
    ]
    whole, bare, none = portal.load("contacts", rows)
    portal.settle()
    found = records(list(connected(portal).pull("contacts", None)))
    end = datetime(2027, 1, 15, 22, 59, 59, 999_000, UTC)
    assert found[whole].manual == Manual("sql", "knows them", until=end)
    assert (found[bare].manual, found[none].manual) == (Manual("mql"), None)
    assert records(list(portal.hubspot(WANTED).pull("contacts", None)))[whole].manual is None, "nothing is asked of it"


def test_a_choice_that_makes_no_sense_is_told_and_the_person_comes_all_the_same() -> None:
    with office() as portal:
        made = {"label": "x", "groupName": "contactinformation", "type": "string", "fieldType": "text"}
        portal.control("load", properties={"contacts": [{"name": name, **made} for name in MANUAL.values()]})
        rows = [{"ls_manual_stage": "warm"}, {"ls_manual_stage": "SQL", "ls_manual_until": "soon"}]
        strange, endless = portal.load("contacts", rows)
        portal.settle()
        pages = list(connected(portal).pull("contacts", None))
        assert {each.key.id: each.manual for each in records(pages).values()} == {strange: None, endless: None}
        told = {each.id: each.reason for each in rejected(pages)}
        assert "'warm', is none of: cold, mql, sql" in told[strange]
        assert "'soon' is no end" in told[endless]


def test_the_properties_are_shown_and_created_for_people_to_fill() -> None:
    with office() as portal:
        crm = connected(portal)
        plan = {each.name: each for each in crm.setup() if each.name in MANUAL.values()}
        assert [each.type for each in plan.values()] == ["enumeration: cold, mql, sql", "string", "date"]
        assert not any(each.exists for each in plan.values())
        assert {name for name in MANUAL.values() if any(name in each.message for each in crm.check())} == set(plan)
        for each in crm.setup():
            crm.create(each)
        assert all(each.exists and not each.problem for each in crm.setup())
        assert [each.message for each in crm.check() if each.layer == "fields" and each.level != "ok"] == []


@pytest.mark.parametrize("gone", MANUAL.values())
def test_a_property_that_is_gone_does_not_look_like_one_that_everybody_emptied(portal: Office, gone: str) -> None:
    (person,) = portal.load("contacts", [{"ls_manual_stage": "sql"}])
    portal.settle()
    portal.api("DELETE", f"/crm/v3/properties/contacts/{gone}")
    crm = connected(portal)
    with pytest.raises(ConfigError, match=f"no contact property {gone}"):
        list(crm.pull("contacts", None))
    with pytest.raises(ConfigError, match=gone):
        list(crm.fetch("contacts", [person]))
    with pytest.raises(ConfigError, match=gone):
        list(crm.read_back([key(person)]))
    assert [(each.level, gone in each.message) for each in crm.check() if each.code == "SY186"] == [("error", True)]


def test_a_property_that_holds_no_stage_is_told(portal: Office) -> None:
    crm = portal.hubspot(WANTED, manual={"stage": "num_notes"})
    made = {"name": "num_notes", "label": "n", "groupName": "contactinformation", "type": "number"}
    portal.control("load", properties={"contacts": [{**made, "fieldType": "number"}]})
    (found,) = [each for each in crm.check() if each.code == "SY185"]
    assert found.level == "error"
    assert "num_notes is of type 'number'" in found.message


def test_whose_hand_it_was_is_told_by_the_history_of_the_property_alone(portal: Office) -> None:
    by_hand, by_program = portal.add(2)
    chosen = {"ls_manual_stage": "sql"}
    portal.control("edit", objectType="contacts", id=by_hand, properties=chosen, userId=9586505)
    portal.control("clock", advance_s=1)
    portal.control("edit", objectType="contacts", id=by_hand, properties={"ls_stage": "mql"}, userId=12)
    portal.api("PATCH", f"/crm/v3/objects/contacts/{by_program}", {"properties": chosen})
    authors = connected(portal).manual_authors([key(by_hand), key(by_program)])
    assert authors == {key(by_hand): "ben.okoro@example.com"}


def test_other_properties_are_other_names_to_be_read_by() -> None:
    with office() as portal:
        without = portal.hubspot(WANTED).reads
        assert set(without) < set(connected(portal).reads)
        assert connected(portal).reads != portal.hubspot(WANTED, manual={"stage": "other"}).reads


@pytest.mark.parametrize(
    "manual",
    [{"stage": "ls_stage"}, {"stage": "a", "reason": "a"}, {"stage": "lifecyclestage"}, {"reason": "a"}, {"stage": ""}],
)
def test_what_syncer_writes_itself_can_be_nobodys_word(manual: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({"token": TOKEN, "manual": manual})
