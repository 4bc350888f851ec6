"""What `check` says of an org before anything is read, and to which org a state belongs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from syncer.connector import Finding, Wanted
from syncer.errors import ConfigError, TemporaryError
from syncer.store import leases
from tests.connectors.salesforce.orgs import SCORE, STAGES, House, Project, house, let_waits_pass


def found(org: House, words: str, *, asks: tuple[str, ...] = (), **settings: Any) -> list[Finding]:
    """Those whose message has these words."""
    wish = Wanted(fields=asks, activities=("meeting", "campaign_member"), stages=STAGES)
    return [each for each in org.salesforce(wish, **settings).check() if words in each.message]


def test_a_good_org_is_told_with_its_name_zone_and_allowance(org: House) -> None:
    told = list(org.salesforce(Wanted(fields=("country",), stages=STAGES)).check())
    assert {each.level for each in told} == {"ok"}
    assert {each.layer for each in told} == {"credentials", "scopes", "fields", "limits"}
    text = " ".join(each.message for each in told)
    assert org.org.org_id in text
    assert "time zone America/Los_Angeles" in text
    assert "5,000,000 requests" in text


def test_after_a_refused_session_nothing_else_is_told(org: House) -> None:
    (told,) = found(org, "", token="00Dxx!wrong")
    assert (told.layer, told.level, told.code) == ("credentials", "error", "SY140")


def test_a_field_that_only_one_object_has_is_told_for_the_other(org: House) -> None:
    org.org.add_field("Lead", {"fullName": "Level__c", "label": "Level", "type": "Text", "length": 40})
    (told,) = found(org, "'seniority'", asks=("seniority",), fields={"seniority": "Level__c"})
    assert "Contact has no field 'Level__c'" in told.message
    assert (told.level, told.code) == ("warning", "SY149")


def test_the_usual_words_of_models_are_found_without_a_mapping(org: House) -> None:
    usual = ("country", "jobtitle", "company", "industry", "city", "website", "numberofemployees", "email", "phone")
    assert found(org, "has no field", asks=usual) == []


def test_a_field_of_the_account_is_reached_from_the_contact(org: House) -> None:
    mapped = {"branch": {"Contact": "Account.Industry"}, "odd": {"Contact": "Account.Odd"}}
    told = found(org, "has no field", asks=("branch", "odd"), objects=["Contact"], fields=mapped)
    assert [each.message.partition(": ")[2] for each in told] == [
        "Contact has no field 'Account.Odd' for 'odd': it reads as not set"
    ]


def test_more_fields_than_a_query_can_ask_for_are_an_error_and_reading_says_the_same(org: House) -> None:
    names = tuple(f"A_Field_With_A_Long_Name_Number_{number:03}__c" for number in range(300))
    for name in names:
        org.org.add_field("Lead", {"fullName": name, "label": name, "type": "Text", "length": 40})
    (told,) = found(org, "letters long", asks=names)
    assert (told.level, told.code) == ("error", "SY149")
    assert "reading Lead: the query is" in told.message
    assert found(org, "letters long", asks=names[:150]) == []
    crm = org.salesforce(Wanted(fields=names, stages=STAGES))
    with pytest.raises(ConfigError, match="too many fields are asked for; let the models look at fewer"):
        list(crm.fetch("Lead", org.leads(200)))
    crm = org.salesforce(Wanted(fields=names[:150], stages=STAGES))
    assert sum(len(page.records) for page in crm.fetch("Lead", org.leads(200))) == 200


def test_an_activity_that_the_org_has_not_is_a_warning() -> None:
    with house(features={"campaigns": False}) as org:
        told = found(org, "CampaignMember")
    assert [(each.level, each.code) for each in told] == [("warning", "SY142")]
    assert "leave it out of the connection's `activities`" in told[0].help


def test_results_that_cannot_be_written_are_told_with_the_way_out() -> None:
    with house(fields=False) as org:
        missing = found(org, "does not exist")
        assert len(missing) == 7
        assert {(each.level, each.help) for each in missing} == {
            (
                "warning",
                "`syncer setup crm` shows what an admin has to create; assign the permission set Lead_Scoring to the "
                "user syncer runs as",
            )
        }
    with house() as org:
        org.control("access", object="Lead", field=SCORE, access="read")
        (told,) = found(org, "read-only")
        assert (told.level, told.code) == ("error", "SY149")


def test_a_status_must_be_there_and_not_be_a_converted_one(org: House) -> None:
    status = {"mql": "Working - Contacted", "sql": "Closed - Converted"}
    (told,) = found(org, "status", write={"status": status})
    assert "'Closed - Converted', which 'sql' stands for, is a converted status" in told.message
    (told,) = found(org, "status", write={"status": {"sql": "Working Hard"}})
    assert "no status 'Working Hard'" in told.message
    assert "Working - Contacted" in told.help
    (told,) = found(org, "status", protected=["Nobody's"])
    assert told.level == "error"


def test_the_fallback_owner_must_be_a_user_who_is_still_there(org: House) -> None:
    org.load("User", [_user("ben@example.com", True), _user("chris@example.com", False)])
    for email in ("ben@example.com", "BEN@example.com"):
        assert found(org, "fallback_owner", task={"fallback_owner": email}) == []
    (gone,) = found(org, "fallback_owner", task={"fallback_owner": "chris@example.com"})
    (stranger,) = found(org, "fallback_owner", task={"fallback_owner": "nobody@example.com"})
    assert "chris@example.com has left" in gone.message
    assert "nobody@example.com is no user" in stranger.message


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("FROM.LeadStatus", "reading the statuses of leads"),
        ("FROM.User", "looking for a user"),
        ("sobjects/Task/describe", "describing Task"),
        ("sobjects/Lead/describe", "describing Lead"),
        ("FROM.Lead.WHERE", "reading Lead"),
    ],
)
def test_what_the_user_may_not_look_at_is_a_finding_and_the_rest_is_told(org: House, path: str, told: str) -> None:
    org.fault(path=path, code="INSUFFICIENT_ACCESS")
    chosen: dict[str, Any] = {"protected": ["Nobody's"], "task": {"fallback_owner": "ben@example.com"}}
    everything = found(org, "", **chosen)
    denied = [each for each in everything if told in each.message]
    assert {(each.layer, each.level, each.code) for each in denied} == {("scopes", "error", "SY142")}
    assert everything[-1].layer == "limits"


def test_users_who_could_not_be_asked_for_are_asked_for_once_more(org: House, monkeypatch: pytest.MonkeyPatch) -> None:
    let_waits_pass(monkeypatch, org)
    view = org.asked()
    org.fault(path="FROM.User", status=503, body="html")
    with pytest.raises(TemporaryError):
        view.owner(org.org.admin_id)
    org.no_faults()
    owner = view.owner(org.org.admin_id)
    assert owner is not None
    assert owner.id == org.org.admin_id


def _user(email: str, active: bool) -> dict[str, Any]:
    return {
        "LastName": "X",
        "Username": f"x.{email}",
        "Email": email,
        "IsActive": active,
        "Alias": email[:3],
        "UserType": "Standard",
    }


def test_an_allowance_that_runs_low_is_told(org: House) -> None:
    org.control("limits", daily=1000, used=700)
    (told,) = found(org, "of 1,000 requests")
    assert told.level == "ok"
    org.control("limits", used=790)
    (told,) = found(org, "of 1,000 requests")
    assert (told.level, told.code) == ("warning", "SY145")


def test_case_27_an_api_version_that_is_too_new_is_one_finding(org: House) -> None:
    (told,) = found(org, "", api_version="99.0")
    assert (told.layer, told.code) == ("credentials", "SY148")
    assert "31.0 to 66.0" in told.message


def test_case_44_a_refreshed_sandbox_is_another_account(org: House) -> None:
    before = org.salesforce().account()
    assert before == f"salesforce:{org.org.org_id}"
    org.control("org", org_id="00D9f000000ZZzzEAG")
    assert org.salesforce().account() not in ("", before)


def test_case_44_the_old_state_is_not_used_against_a_refreshed_sandbox(
    org: House, tmp_path: Path, database_url: str
) -> None:
    (lead,) = org.leads(1, Country="ES")
    project = Project(org, tmp_path, database_url)
    project.sync()
    assert org.shown(lead)[SCORE] == 40
    org.control("org", org_id="00D9f000000ZZzzEAG")
    org.change(lead, Country="FR")
    org.forget()
    with pytest.raises(ConfigError, match=r"belongs to salesforce:\w+, but the token opens salesforce:00D9f000000ZZzz"):
        project.sync()
    assert org.writes() == []


def test_case_45_a_second_daemon_leaves_the_connection_to_the_first(
    org: House, tmp_path: Path, database_url: str
) -> None:
    (lead,) = org.leads(1, Country="ES")
    project = Project(org, tmp_path, database_url)
    with project.app() as app:
        held = leases.take(app.store, "crm", holder="the first daemon", ttl_s=60)
        assert held is not None
        with pytest.raises(TemporaryError, match="another process"):
            project.sync()
        assert (org.writes(), org.calls()["total"]) == ([], 0)
        leases.release(app.store, held)
    project.sync()
    assert org.shown(lead)[SCORE] == 40
