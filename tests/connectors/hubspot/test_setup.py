from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors.hubspot import HubSpot
from connectors.hubspot.settings import Settings
from connectors.hubspot.values import count, hundredths, moment, points
from syncer.connector import FieldChange, Wanted
from syncer.errors import ConfigError
from syncer.log import redact
from tests.connectors.hubspot.portals import TOKEN, Office, office

OURS = ["ls_score", "ls_stage", "ls_score_reasons"]


def define(portal: Office, name: str, **definition: object) -> None:
    made = {"name": name, "label": name, "groupName": "contactinformation", **definition}
    portal.control("load", properties={"contacts": [made]})


def test_case_39_what_is_missing_is_named_created_with_its_group_and_serves() -> None:
    with office() as portal:
        hubspot = portal.hubspot()
        plan = list(hubspot.setup())
        assert [(each.kind, each.name, each.exists) for each in plan] == [
            ("group", "lead_scoring", False),
            *(("field", name, False) for name in OURS),
        ]
        assert [each.type for each in plan[1:]] == ["number", "enumeration: cold, mql, sql", "string"]
        missing = {finding.code for finding in hubspot.check() if finding.layer == "fields"}
        assert missing == {"SY043"}
        for each in plan:
            hubspot.create(each)
        assert [(each.exists, each.problem) for each in hubspot.setup()] == [(True, None)] * 3
        made = portal.portal.schemas["contacts"].properties["ls_stage"]
        assert [(option.value, option.label) for option in made.options] == [
            ("cold", "Cold"),
            ("mql", "MQL"),
            ("sql", "SQL"),
        ]
        assert made.group == "lead_scoring"


@pytest.mark.parametrize(
    ("name", "definition", "problem"),
    [
        ("ls_score", {"type": "string", "fieldType": "text"}, "of type 'string'"),
        (
            "ls_stage",
            {"type": "enumeration", "fieldType": "select", "options": [{"label": "MQL", "value": "mql"}]},
            "cold, sql",
        ),
    ],
)
def test_case_39_a_property_that_cannot_serve_is_told_before_anything_is_written(
    name: str, definition: dict[str, Any], problem: str
) -> None:
    with office() as portal:
        define(portal, name, **definition)
        hubspot = portal.hubspot()
        found = {each.name: each.problem for each in hubspot.setup()}
        assert problem in str(found[name])
        assert any(problem in finding.message for finding in hubspot.check() if finding.level == "error")


def test_case_39_a_calculated_property_cannot_serve() -> None:
    with office() as portal:
        found = list(portal.hubspot(write={"score": "hubspotscore"}).setup())
        (score,) = [each for each in found if each.name == "hubspotscore"]
        assert "read-only" in str(score.problem)


@pytest.mark.parametrize("conflict", ["category", "bare"])
def test_case_39_what_somebody_created_meanwhile_is_fine_if_it_can_serve(conflict: str) -> None:
    with office(property_conflict=conflict) as portal:
        one, other = portal.hubspot(), portal.hubspot()
        plan = list(one.setup())
        for hubspot in (one, other):
            for each in plan:
                hubspot.create(each)
        define(portal, "taken", type="string", fieldType="text")
        late = portal.hubspot(write={"score": "taken"})
        with pytest.raises(ConfigError, match="of type 'string'"):
            late.create(FieldChange("field", "taken", "Lead score", "number", exists=False))


@pytest.mark.parametrize("conflict", ["category", "bare"])
def test_case_39_ten_processes_that_set_up_at_once_all_end_well(conflict: str) -> None:
    with office(property_conflict=conflict) as portal:
        plan = list(portal.hubspot().setup())
        with ThreadPoolExecutor(10) as crowd:
            for done in [crowd.submit(_create_all, portal.hubspot(), plan) for _ in range(10)]:
                done.result()
        assert [(each.exists, each.problem) for each in portal.hubspot().setup()] == [(True, None)] * 3


def _create_all(hubspot: HubSpot, plan: Sequence[FieldChange]) -> None:
    for each in plan:
        hubspot.create(each)


def test_case_39_the_name_of_a_deleted_property_serves_again_where_the_portal_allows_it() -> None:
    with office() as portal:
        hubspot = portal.hubspot()
        _create_all(hubspot, list(hubspot.setup()))
        portal.api("DELETE", "/crm/v3/properties/contacts/ls_score")
        group, score, *_ = hubspot.setup()
        assert (group.exists, score.name, score.exists) == (True, "ls_score", False)
        hubspot.create(score)
        assert all(each.exists for each in hubspot.setup())


def test_case_39_the_name_of_a_deleted_property_is_told_with_a_way_out() -> None:
    with office(archived_names_block=True) as portal:
        hubspot = portal.hubspot()
        plan = list(hubspot.setup())
        for each in plan:
            hubspot.create(each)
        portal.api("DELETE", "/crm/v3/properties/contacts/ls_score")
        with pytest.raises(ConfigError, match="ls_score"):
            hubspot.create(plan[1])


def test_a_token_without_the_scope_to_create_is_told_which_one() -> None:
    with office() as portal:
        scopes = ["crm.objects.contacts.read", "crm.schemas.contacts.read", "crm.objects.contacts.write"]
        portal.control("tokens", add="narrow-token", scopes=scopes)
        hubspot = portal.hubspot(token="narrow-token")
        with pytest.raises(ConfigError, match=r"crm\.schemas\.contacts\.write"):
            hubspot.create(next(hubspot.setup()))


def test_check_tells_a_clock_that_differs() -> None:
    with office() as portal:
        portal.control("clock", advance_s=7200)
        (told,) = [finding for finding in portal.hubspot().check() if finding.code == "SY047"]
        assert told.level == "warning"
        assert 7190 < float(told.message.split()[-2]) <= 7200


def test_settings_are_believed_as_written_and_never_show_the_token() -> None:
    settings = Settings.model_validate({"token": " pat-secret-1\n", "lag": "15s", "overlap": 90, "counters": {}})
    assert settings.token is not None
    assert settings.token.get_secret_value() == "pat-secret-1"
    assert (settings.lag, settings.overlap) == (timedelta(seconds=15), timedelta(seconds=90))
    assert settings.counters["email_open"].count == "hs_email_open"
    assert "pat-secret" not in repr(settings)


@pytest.mark.parametrize(
    "wrong",
    [
        {"token": "two words here"},
        {"token": ""},
        {"lag": "soon"},
        {"base_url": "hubapi"},
        {"api_version": "v4"},
        {"colour": 1},
        {"write": {"score": "ls_stage"}},
        {"write": {"stage": "ours", "reasons": "ours"}},
        {"write": {"stage": "lifecyclestage"}},
    ],
    ids=str,
)
def test_settings_that_cannot_be_are_refused_without_showing_them(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({"token": TOKEN, **wrong})
    assert TOKEN not in str(caught.value)
    assert "two words here" not in str(caught.value)


def test_the_secret_that_signs_webhooks_is_blotted_out_wherever_it_turns_up() -> None:
    hooks = {"secret": "client-secret-of-the-app", "url": "https://syncer.example.com/hooks/crm"}
    HubSpot("crm", Settings.model_validate({"token": TOKEN, "webhooks": hooks}), Wanted())
    assert redact("signed with client-secret-of-the-app") == "signed with ***"


def test_every_setting_is_described_for_people() -> None:
    schema = Settings.model_json_schema()
    for section in (schema, *schema["$defs"].values()):
        for name, field in section["properties"].items():
            assert len(field.get("description", "")) > 10, name


@given(st.integers(min_value=-(10**9), max_value=10**9))
def test_points_come_back_as_they_were_sent(value: int) -> None:
    assert hundredths(points(value)) == value
    assert "e" not in points(value)


@pytest.mark.parametrize("junk", ["", "N/A", "1;2", "3.5", "1,2,3", "--1", "٣.٥", "1e3"])
def test_what_is_no_whole_number_is_no_count(junk: str) -> None:
    with pytest.raises(ValueError, match="whole number"):
        count(junk)


@given(st.text(max_size=20))
def test_any_text_is_a_time_or_a_value_error(written: str) -> None:
    try:
        found = moment(written)
    except ValueError:
        return
    assert found.utcoffset() == timedelta(0)


def test_a_connector_has_no_need_of_stages_to_read() -> None:
    with office() as portal:
        portal.add(1)
        assert [each.name for each in portal.hubspot(Wanted()).setup() if each.kind == "field"] == [
            "ls_score",
            "ls_score_reasons",
        ]
