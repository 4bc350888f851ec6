from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send

from connectors.emulators.hubspot import Requirement
from connectors.emulators.hubspot.app import create_app
from connectors.emulators.hubspot.server import serve_app
from connectors.hubspot import HubSpot
from connectors.hubspot.batches import MOST_REQUESTS
from syncer.connector import Wanted
from syncer.errors import ConfigError, TemporaryError
from syncer.model import Change, Rejected, Standing, Written
from tests.connectors.hubspot.portals import STAGES, Office, change, key, office, overheard, retold

LIFECYCLE = {"lifecyclestage": {"mql": "marketingqualifiedlead", "sql": "salesqualifiedlead"}}


def ready(portal: Office, **settings: Any) -> HubSpot:
    """A connector whose fields are in place."""
    hubspot = portal.hubspot(Wanted(stages=STAGES), **settings)
    for each in hubspot.setup():
        if not each.exists:
            hubspot.create(each)
    portal.forget()
    return hubspot


def by_id(answers: list[Written | Rejected]) -> dict[str, Written | Rejected]:
    return {each.id if isinstance(each, Rejected) else each.record.id: each for each in answers}


def written(answers: list[Written | Rejected]) -> list[Written]:
    return [each for each in answers if isinstance(each, Written)]


def requests(portal: Office) -> int:
    return sum(portal.statuses("/batch/update").values())


def test_case_36_one_deleted_person_of_a_hundred_fails_alone() -> None:
    with office() as portal:
        hubspot = ready(portal)
        people = portal.add(100)
        portal.remove(people[41])
        answers = by_id(list(hubspot.write([change(each) for each in people])))
        gone = answers.pop(people[41])
        assert isinstance(gone, Rejected)
        assert (gone.reason, gone.retry) == ("it is gone from HubSpot", False)
        assert len(written([*answers.values()])) == 99
        assert requests(portal) == 1


def test_case_36_records_that_fail_for_a_moment_are_to_be_written_again_and_those_with_bad_values_not() -> None:
    def two_fail(answer: dict[str, Any]) -> dict[str, Any]:
        told = zip(people[:2], ("INTERNAL_ERROR", "VALIDATION_ERROR"), strict=True)
        errors = [{"category": category, "message": "no", "context": {"ids": [each]}} for each, category in told]
        return {
            **answer,
            "results": [row for row in answer["results"] if row["id"] not in people[:2]],
            "errors": errors,
        }

    with office() as portal:
        ready(portal)
        people = list(portal.add(3))
        with retold(portal, "/contacts/batch/update", two_fail) as second:
            answers = by_id(list(second.hubspot().write([change(each) for each in people])))
        assert [isinstance(found := answers[each], Rejected) and found.retry for each in people] == [True, False, False]
        assert isinstance(answers[people[2]], Written)


@pytest.mark.parametrize("culprits", [1, 3])
def test_case_37_a_value_that_hubspot_refuses_is_found_in_few_requests(culprits: int) -> None:
    need_city = Requirement("country", "XX", ("city",))
    with office(requirements=(need_city,)) as portal:
        hubspot = ready(portal)
        people = portal.add(100)
        bad = people[10 : 10 + 30 * culprits : 30]
        changes = [
            Change(
                key(each), Standing(), Standing(score=700, reasons="x" * 70_000 if each in bad else "ok"), "activity"
            )
            for each in people
        ]
        answers = by_id(list(hubspot.write(changes)))
        assert all(portal.shown(each)["ls_score"] == "7" for each in people)  # the reasons alone were left out
        assert [each for each in people if portal.shown(each).get("ls_score_reasons") != "ok"] == bad
        assert all(isinstance(each, Written) for each in answers.values())
        assert requests(portal) <= culprits * (2 * math.ceil(math.log2(100)) + 2)


def test_case_37_a_stage_that_the_portal_lacks_is_left_out_and_the_score_is_written() -> None:
    with office() as portal:
        hubspot = ready(portal)
        people = portal.add(100)
        answers = by_id(
            list(hubspot.write([change(each, 500, "hot" if at % 2 else "mql") for at, each in enumerate(people)]))
        )
        assert all(portal.shown(each)["ls_score"] == "5" for each in people)
        refused = [each for each in people if isinstance(found := answers[each], Written) and found.refused]
        assert refused == people[1::2]
        assert requests(portal) <= 5


def test_case_37_a_batch_full_of_culprits_ends_after_a_bounded_number_of_requests() -> None:
    with office() as portal:
        hubspot = ready(portal)
        people = portal.add(100)
        portal.fault(path="/batch/update", status=400)
        answers = list(hubspot.write([change(each) for each in people]))
        assert sorted(by_id(answers)) == sorted(people)
        assert {isinstance(each, Rejected) for each in answers} == {True}
        assert requests(portal) == MOST_REQUESTS


def test_case_09_a_property_deleted_meanwhile_is_left_out_at_once_and_the_others_are_written() -> None:
    with office() as portal:
        hubspot = ready(portal)
        people = portal.add(100)
        portal.api("DELETE", "/crm/v3/properties/contacts/ls_score_reasons")
        after = Standing(score=700, stage="mql", reasons="because")
        answers = list(hubspot.write([Change(key(each), Standing(), after, "activity") for each in people]))
        shown = {(each.standing.score, each.standing.stage, each.standing.reasons) for each in written(answers)}
        assert (len(written(answers)), shown) == (100, {(700, "mql", None)})
        assert requests(portal) == 2


PROPERTIES = "/crm/v3/properties/contacts"
A_TEXT = {"type": "string", "fieldType": "text"}
TWO_STAGES = {"options": [{"label": each, "value": each} for each in ("cold", "mql")]}


@pytest.mark.parametrize("lost", [["ls_score"], ["ls_stage"], ["ls_score", "ls_stage"]], ids=str)
def test_case_09_without_score_or_stage_nothing_is_written_and_one_error_names_all(lost: list[str]) -> None:
    with office() as portal:
        hubspot = ready(portal, write=LIFECYCLE)
        people = portal.add(3)
        for each in lost:
            portal.api("DELETE", f"{PROPERTIES}/{each}")
        for _ in range(2):  # it is told again until somebody mends it
            with pytest.raises(ConfigError, match="run `syncer setup crm --apply`") as caught:
                list(hubspot.write([change(each) for each in people]))
            assert caught.value.code == "SY043"
            assert [name for name in ("ls_score", "ls_stage") if name in caught.value.message] == lost
        assert (requests(portal), hubspot.calls["write"]) == (0, 4)  # the four of `setup`
        assert all("ls_score" not in portal.shown(each) for each in people)


@pytest.mark.parametrize(
    ("name", "wrong", "code", "told"),
    [
        ("ls_score", A_TEXT, "SY044", "ls_score is of type 'string'"),
        ("ls_stage", A_TEXT, "SY044", "ls_stage is of type 'string'"),
        ("ls_stage", TWO_STAGES, "SY045", "ls_stage lacks the options sql"),
    ],
)
def test_case_39_a_property_that_cannot_hold_the_value_stops_the_writing_at_once(
    name: str, wrong: dict[str, Any], code: str, told: str
) -> None:
    with office() as portal:
        hubspot = ready(portal)
        (ana,) = portal.add(1)
        portal.api("PATCH", f"{PROPERTIES}/{name}", wrong)
        with pytest.raises(ConfigError, match=told) as caught:
            list(hubspot.write([change(ana)]))
        assert (caught.value.code, requests(portal)) == (code, 0)


def test_case_39_a_calculated_property_stops_the_writing_at_once() -> None:
    with office() as portal:
        hubspot = ready(portal, write={"score": "hubspotscore"})
        (ana,) = portal.add(1)
        with pytest.raises(ConfigError, match="hubspotscore is read-only") as caught:
            list(hubspot.write([change(ana)]))
        assert (caught.value.code, requests(portal)) == ("SY044", 0)


def test_case_39_what_setup_mends_is_written_by_the_same_connector() -> None:
    with office() as portal:
        hubspot = portal.hubspot()
        (ana,) = portal.add(1)
        with pytest.raises(ConfigError, match="ls_score"):
            list(hubspot.write([change(ana)]))
        for each in hubspot.setup():
            hubspot.create(each)
        assert len(written(list(hubspot.write([change(ana)])))) == 1


@pytest.mark.parametrize("lost", ["ls_score", "ls_stage"])
def test_case_09_a_property_lost_between_two_writes_is_the_same_error(lost: str) -> None:
    with office() as portal:
        hubspot = ready(portal)
        people = portal.add(100)
        list(hubspot.write([change(people[0])]))
        portal.api("DELETE", f"{PROPERTIES}/{lost}")
        portal.forget()
        with pytest.raises(ConfigError, match=f"{lost} does not exist.*run `syncer setup crm --apply`") as caught:
            list(hubspot.write([change(each, 77, "sql") for each in people]))
        assert (caught.value.code, portal.statuses("/batch/update")) == ("SY043", {400: 1})
        assert all(portal.shown(each).get("ls_score") != "0.77" for each in people)


def test_case_09_lost_reasons_beside_a_stage_unknown_to_hubspot_blame_neither_score_nor_stage() -> None:
    with office() as portal:
        hubspot = ready(portal)
        ana, ben = portal.add(2)
        portal.api("DELETE", f"{PROPERTIES}/ls_score_reasons")
        wishes = {
            ana: Standing(score=700, stage="mql", reasons="a"),
            ben: Standing(score=700, stage="hot", reasons="b"),
        }
        changes = [Change(key(each), Standing(), after, "activity") for each, after in wishes.items()]
        answers = by_id(list(hubspot.write(changes)))
        assert [portal.shown(each).get("ls_stage") for each in (ana, ben)] == ["mql", None]
        assert [portal.shown(each)["ls_score"] for each in (ana, ben)] == ["7", "7"]
        assert "ls_stage" in str(answers[ben])


def test_the_first_write_costs_one_look_at_the_properties_and_none_after_a_pull() -> None:
    with office() as portal:
        ready(portal)
        ana, ben = portal.add(2)
        alone, pulling = portal.hubspot(), portal.hubspot()
        list(alone.write([]))
        assert alone.calls["read"] == 0
        list(alone.write([change(ana)]))
        list(alone.write([change(ben)]))
        assert alone.calls == {"read": 1, "write": 2}
        list(pulling.pull("contacts", None))
        before = pulling.calls["read"]
        list(pulling.write([change(ana, 200)]))
        assert pulling.calls["read"] == before


def test_without_the_scope_to_look_at_properties_the_write_itself_tells_what_is_lost() -> None:
    with office() as portal:
        ready(portal)
        ana, ben = portal.add(2)
        portal.control("tokens", add="narrow-token", scopes=["crm.objects.contacts.write"])
        assert len(written(list(portal.hubspot(token="narrow-token").write([change(ana)])))) == 1
        portal.api("DELETE", f"{PROPERTIES}/ls_score")
        with pytest.raises(ConfigError, match=r"ls_score.*run `syncer setup crm --apply`") as caught:
            list(portal.hubspot(token="narrow-token").write([change(ben)]))
        assert caught.value.code == "SY043"


def test_a_person_whom_hubspot_neither_shows_nor_calls_missing_is_not_passed_over() -> None:
    def hide(answer: dict[str, Any]) -> dict[str, Any]:
        return {**answer, "results": [row for row in answer["results"] if row["id"] != people[1]]}

    with office() as portal:
        people = portal.add(3)
        with retold(portal, "/contacts/batch/read", hide) as second:
            with pytest.raises(TemporaryError, match="no answer for 1 of 3 contacts") as caught:
                list(second.hubspot().read_back([key(each) for each in people]))
            assert caught.value.code == "SY042"
        assert len(list(portal.hubspot().read_back([key(each) for each in people]))) == 3


def test_case_38_two_changes_of_one_record_are_sent_as_one() -> None:
    with office() as portal:
        hubspot = ready(portal)
        (ana,) = portal.add(1)
        answers = list(hubspot.write([change(ana, 100), change(ana, 200)]))
        assert [each.standing.score for each in written(answers)] == [200, 200]
        assert portal.shown(ana)["ls_score"] == "2"
        assert requests(portal) == 1


def test_case_40_what_is_shown_already_is_not_written_again() -> None:
    with office() as portal:
        hubspot = ready(portal)
        (ana,) = portal.add(1)
        (first,) = written(list(hubspot.write([change(ana)])))
        portal.forget()
        (again,) = written(list(hubspot.write([change(ana, before=first.standing)])))
        assert requests(portal) == 0
        assert again.modified_at == first.modified_at


@pytest.mark.parametrize("before", ["customer", "opportunity", "other"])
def test_case_41_a_customer_is_never_moved(before: str) -> None:
    with office() as portal:
        hubspot = ready(portal, write=LIFECYCLE)
        (ana,) = portal.load("contacts", [{"lifecyclestage": before}])
        (answer,) = written(list(hubspot.write([change(ana, stage="sql", before=Standing(lifecycle=before))])))
        assert (answer.refused, answer.standing.stage) == (None, "sql")
        assert portal.shown(ana)["lifecyclestage"] == before
        assert requests(portal) == 1


def test_case_41_a_stage_that_the_settings_protect_is_not_moved_though_it_is_behind() -> None:
    with office() as portal:
        hubspot = ready(portal, write=LIFECYCLE, protected=["lead"])
        (ana,) = portal.load("contacts", [{"lifecyclestage": "lead"}])
        (answer,) = written(list(hubspot.write([change(ana, before=Standing(lifecycle="lead"))])))
        assert (answer.refused, portal.shown(ana)["lifecyclestage"]) == (None, "lead")


def test_case_41_the_lifecycle_moves_forward_in_a_request_of_its_own() -> None:
    with office() as portal:
        hubspot = ready(portal, write=LIFECYCLE)
        (ana,) = portal.load("contacts", [{"lifecyclestage": "lead"}])
        (answer,) = written(list(hubspot.write([change(ana, before=Standing(lifecycle="lead"))])))
        assert answer.refused is None
        assert answer.standing == Standing(1234, "mql", None, "marketingqualifiedlead")
        assert requests(portal) == 2
        (back,) = written(list(hubspot.write([change(ana, 900, "cold", before=answer.standing)])))
        assert back.standing.lifecycle == portal.shown(ana)["lifecyclestage"] == "marketingqualifiedlead"


@pytest.mark.parametrize("manner", ["ignore", "refuse"])
def test_case_41_a_backward_move_that_hubspot_does_not_take_is_found_out(manner: str) -> None:
    with office(backward_lifecycle=manner) as portal:
        hubspot = ready(portal, write=LIFECYCLE)
        (ana,) = portal.load("contacts", [{"lifecyclestage": "salesqualifiedlead"}])
        stale = Standing(lifecycle="lead")  # somebody moved her since
        (answer,) = written(list(hubspot.write([change(ana, before=stale)])))
        assert answer.refused is not None
        assert "lifecyclestage" in answer.refused
        assert portal.shown(ana)["ls_score"] == "12.34"


def test_case_42_the_order_of_the_stages_is_the_portals_own() -> None:
    stages = (("123456789", "Ours"), ("lead", "Lead"), ("customer", "Customer"))
    with office(stages=stages) as portal:
        hubspot = ready(portal, write={"lifecyclestage": {"mql": "123456789", "sql": "salesqualifiedlead"}})
        new, lead, sold = portal.load("contacts", [{}, {"lifecyclestage": "lead"}, {"lifecyclestage": "lead"}])
        seen = Standing(lifecycle="lead")
        changes = [change(new), change(lead, before=seen), change(sold, stage="sql", before=seen)]
        answers = by_id(list(hubspot.write(changes)))
        shown = [portal.shown(each).get("lifecyclestage") for each in (new, lead, sold)]
        assert shown == ["123456789", "lead", "lead"]
        refused = [found.refused for each in (new, lead, sold) if isinstance(found := answers[each], Written)]
        assert refused[:2] == [None, None]
        assert "does not exist" in str(refused[2])
        kept = [(portal.shown(each)["ls_score"], portal.shown(each)["ls_stage"]) for each in (new, lead, sold)]
        assert kept == [("12.34", "mql"), ("12.34", "mql"), ("12.34", "sql")]
        codes = [finding.code for finding in hubspot.check() if finding.level == "error"]
        assert codes == ["SY046"]


@pytest.mark.parametrize(("version", "refused"), [("2026-03", False), ("2026-09", True)])
def test_case_44_a_stage_that_the_admins_rules_forbid_does_not_hold_up_the_score(version: str, refused: bool) -> None:
    rule = Requirement("lifecyclestage", "marketingqualifiedlead", ("hs_lead_status",))
    with office(requirements=(rule,)) as portal:
        hubspot = ready(portal, write=LIFECYCLE, api_version=version)
        people = portal.load("contacts", [{"lifecyclestage": "lead"} for _ in range(5)])
        answers = written(list(hubspot.write([change(each, before=Standing(lifecycle="lead")) for each in people])))
        assert [portal.shown(each)["ls_score"] for each in people] == ["12.34"] * 5
        assert [bool(each.refused) for each in answers] == [refused] * 5
        assert all("hs_lead_status" in str(each.refused) for each in answers if each.refused)


@pytest.mark.parametrize("version", ["v3", "2026-03", "2026-09"])
def test_case_50_every_version_writes_alike(version: str) -> None:
    with office() as portal:
        hubspot = ready(portal, api_version=version)
        ana, ben = portal.add(2)
        portal.remove(ben)
        changes = [change(each, -150) for each in (ana, ben)]
        answers = by_id(list(hubspot.write(changes)))
        assert isinstance(answers[ben], Rejected)
        assert portal.shown(ana)["ls_score"] == "-1.50"
        assert [finding.message for finding in hubspot.check() if finding.level == "error"] == []


def test_a_person_merged_meanwhile_is_not_said_to_be_written() -> None:
    with office() as portal:
        hubspot = ready(portal)
        ana, ben = portal.add(2)
        merged = portal.api("POST", "/crm/v3/objects/contacts/merge", {"primaryObjectId": ana, "objectIdToMerge": ben})
        (answer,) = hubspot.write([change(ben)])
        assert merged["id"] != ben
        assert isinstance(answer, Rejected)


def test_a_role_that_is_switched_off_is_not_written() -> None:
    with office() as portal:
        hubspot = ready(portal, write={"reasons": None})
        assert [each.name for each in hubspot.setup()] == ["ls_score", "ls_stage"]
        (ana,) = portal.add(1)
        (answer,) = written(list(hubspot.write([change(ana)])))
        assert (answer.standing.score, answer.standing.reasons, answer.refused) == (1234, None, None)


@contextmanager
def crowded(portal: Office, path: str, at_once: int) -> Iterator[Office]:
    """The same portal at a second address, where requests to paths that end so are answered only when so many of them
    are there at once."""
    told, there, full = create_app(portal.portal), 0, False

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal there, full
        if scope["path"].endswith(path):
            there += 1
            for _ in range(300):
                full = full or there >= at_once
                if full:
                    break
                await asyncio.sleep(0.01)
            there -= 1
            assert full, f"fewer than {at_once} came"
        await told(scope, receive, send)

    with serve_app(app) as url:
        yield Office(url, portal.portal)


def test_batches_overlap_when_they_are_read_back_and_when_they_are_written() -> None:
    with office() as portal:
        ready(portal)
        people = portal.add(400)
        with crowded(portal, "/batch/read", 4) as second:
            assert len(list(second.hubspot().read_back([key(each) for each in people]))) == 400
        with crowded(portal, "/batch/update", 4) as second:
            answers = list(second.hubspot().write([change(each) for each in people]))
        assert sorted(each.record.id for each in written(answers)) == sorted(people)
        assert {portal.shown(each)["ls_score"] for each in people} == {"12.34"}


def test_what_other_batches_were_answered_comes_before_the_error_of_one_and_no_more_are_begun() -> None:
    with office() as portal:
        hubspot = ready(portal)
        people = portal.add(1200)
        portal.fault(path="/batch/update", status=403, skip=1, times=1)
        answers: list[Written | Rejected] = []

        def keep_answers() -> None:
            for each in hubspot.write([change(each) for each in people]):
                answers.append(each)  # one by one: what came before the error counts

        with pytest.raises(ConfigError, match="403"):
            keep_answers()
        shown = {each for each in people if "ls_score" in portal.shown(each)}
        assert {each.record.id for each in written(answers)} == shown
        assert 300 <= len(answers) == len(shown) < 1000


def test_lead_by_lead_the_lifecycle_stage_goes_before_the_score_though_batches_overlap() -> None:
    with office() as portal:
        ready(portal)
        people = portal.load("contacts", [{"lifecyclestage": "lead"}] * 300)
        sent: list[Any] = []
        with overheard(portal, "/contacts/batch/update", sent) as second:
            list(
                second.hubspot(write=LIFECYCLE).write(
                    [change(each, before=Standing(lifecycle="lead")) for each in people]
                )
            )
        of: dict[str, list[str]] = {each: [] for each in people}
        for body in sent:
            for each in body["inputs"]:
                of[each["id"]] += sorted(each["properties"])
        assert {tuple(names) for names in of.values()} == {("lifecyclestage", "ls_score", "ls_stage")}


CLEAR = {**LIFECYCLE, "backward": "clear"}
SQL = Standing(score=5000, stage="sql", lifecycle="salesqualifiedlead")


def falling(contact: str, before: Standing = SQL) -> Change:
    """A lead that is an SQL no more."""
    return Change(key(contact), before, Standing(score=2000, stage="mql"), "fading")


def all_sql(portal: Office, count: int) -> list[str]:
    shown = {"ls_score": "50", "ls_stage": "sql", "lifecyclestage": "salesqualifiedlead"}
    return portal.load("contacts", [shown] * count)


def test_case_41_a_lead_that_falls_back_is_emptied_and_set_again_where_the_settings_say_so() -> None:
    with office(backward_lifecycle="refuse") as portal:
        hubspot = ready(portal, write=CLEAR)
        people = all_sql(portal, 90)
        rising = portal.load("contacts", [{"lifecyclestage": "lead"}] * 10)
        changes = [change(each, before=Standing(lifecycle="lead")) for each in rising]
        before = dict(hubspot.calls)
        answers = written(list(hubspot.write([*map(falling, people), *changes])))
        assert [each.refused for each in answers] == [None] * 100
        assert {each.standing.lifecycle for each in answers} == {"marketingqualifiedlead"}
        assert {portal.shown(each)["lifecyclestage"] for each in people + rising} == {"marketingqualifiedlead"}
        assert hubspot.calls["write"] - before["write"] == 3  # emptied; set, the rising ones too; scores
        assert hubspot.calls["read"] - before["read"] <= 2  # what is emptied is looked at just before; properties once


def test_case_41_without_that_setting_a_lead_that_falls_back_stays_where_it_is() -> None:
    with office() as portal:
        hubspot = ready(portal, write=LIFECYCLE)
        (ana,) = all_sql(portal, 1)
        (answer,) = written(list(hubspot.write([falling(ana)])))
        assert (answer.refused, portal.shown(ana)["lifecyclestage"]) == (None, "salesqualifiedlead")


@pytest.mark.parametrize(
    ("shown", "our_stage"),
    [
        ("customer", "sql"),  # protected
        ("evangelist", "sql"),
        ("subscriber", "sql"),  # behind already, and none of ours: the way is forward
        ("salesqualifiedlead", None),  # somebody else's word before we ever gave her a stage
        ("salesqualifiedlead", "cold"),  # we move her up
    ],
)
def test_case_41_what_is_not_ours_is_never_emptied(shown: str, our_stage: str | None) -> None:
    with office() as portal:
        hubspot = ready(portal, write=CLEAR)
        (ana,) = portal.load("contacts", [{"lifecyclestage": shown}])
        list(hubspot.write([falling(ana, Standing(stage=our_stage, lifecycle=shown))]))
        assert portal.shown(ana)["lifecyclestage"] == ("marketingqualifiedlead" if shown == "subscriber" else shown)
        assert all(
            version.value for version in portal.portal.shelves["contacts"].live[int(ana)].versions("lifecyclestage")
        )


def test_case_41_a_stage_between_ours_that_only_people_set_is_never_emptied() -> None:
    with office() as portal:
        hubspot = ready(portal, write=CLEAR, protected=[])
        (ana,) = portal.load("contacts", [{"lifecyclestage": "evangelist"}])
        (answer,) = written(list(hubspot.write([falling(ana, Standing(stage="sql", lifecycle="evangelist"))])))
        assert (answer.refused, portal.shown(ana)["lifecyclestage"]) == (None, "evangelist")


def test_case_43_a_lead_that_sales_moves_between_our_look_and_our_write_is_not_emptied() -> None:
    with office() as portal:
        ready(portal)
        ana, ben = all_sql(portal, 2)
        portal.change(ana, lifecyclestage="customer")
        sent: list[Any] = []
        with overheard(portal, "/contacts/batch/update", sent) as second:
            answers = by_id(list(second.hubspot(write=CLEAR).write([falling(ana), falling(ben)])))
        assert [[each["id"] for each in body["inputs"]] for body in sent] == [[ben], [ben], [ana, ben]]
        assert [portal.shown(each)["lifecyclestage"] for each in (ana, ben)] == ["customer", "marketingqualifiedlead"]
        assert "'customer'" in str(answers[ana])
        assert isinstance(found := answers[ben], Written)
        assert found.refused is None


def test_case_43_what_a_person_changed_is_seen_before_the_search_shows_it_and_what_is_written_heeds_it() -> None:
    with office(index_lag_s=3600) as portal:
        hubspot = ready(portal, write=LIFECYCLE)
        ana, ben = portal.load("contacts", [{"lifecyclestage": "lead", "ls_stage": "cold"}] * 2)
        list(hubspot.pull("contacts", None))
        portal.change(ana, ls_stage="sql", lifecyclestage="opportunity", hubspot_owner_id="41629780")
        seen = {record.key.id: record for record in hubspot.read_back([key(ana), key(ben)])}
        assert (seen[ana].stage, seen[ana].protected, seen[ana].owner) == ("sql", True, "ben.okoro@example.com")
        shown = [Standing(stage=seen[each].stage, lifecycle=seen[each].lifecycle) for each in (ana, ben)]
        list(hubspot.write([change(each, before=before) for each, before in zip((ana, ben), shown, strict=True)]))
        stages = [portal.shown(each)["lifecyclestage"] for each in (ana, ben)]
        assert stages == ["opportunity", "marketingqualifiedlead"]


def test_case_41_a_stage_that_was_emptied_in_vain_is_put_back_and_the_next_try_mends_it() -> None:
    with office() as portal:
        hubspot = ready(portal, write=CLEAR)
        (ana,) = all_sql(portal, 1)
        portal.fault(path="contacts/batch/update", status=400, skip=1, times=1)
        (answer,) = written(list(hubspot.write([falling(ana)])))
        assert str(answer.refused).endswith("; 'salesqualifiedlead' was put back")
        assert (answer.standing.lifecycle, answer.standing.score) == ("salesqualifiedlead", 2000)
        assert portal.shown(ana)["lifecyclestage"] == "salesqualifiedlead"
        (mended,) = written(list(hubspot.write([falling(ana)])))
        assert (mended.refused, portal.shown(ana)["lifecyclestage"]) == (None, "marketingqualifiedlead")


def test_case_41_a_stage_that_can_neither_be_set_nor_put_back_is_told_as_empty() -> None:
    with office() as portal:
        hubspot = ready(portal, write=CLEAR)
        (ana,) = all_sql(portal, 1)
        portal.fault(path="contacts/batch/update", status=400, skip=1, times=2)
        (answer,) = written(list(hubspot.write([falling(ana)])))
        assert "'salesqualifiedlead' could not be put back, it is empty now" in str(answer.refused)
        assert (answer.standing.lifecycle, answer.standing.score) == (None, 2000)
        again = Change(key(ana), Standing(score=2000, stage="sql"), Standing(score=2000, stage="mql"), "fading")
        (mended,) = written(list(hubspot.write([again])))
        assert (mended.refused, portal.shown(ana)["lifecyclestage"]) == (None, "marketingqualifiedlead")


def test_case_41_a_stage_that_hubspot_leaves_empty_without_a_word_is_put_back() -> None:
    def unset(answer: dict[str, Any]) -> dict[str, Any]:
        return orjson.loads(orjson.dumps(answer).replace(b'"marketingqualifiedlead"', b'""'))  # type: ignore[no-any-return]

    with office() as portal:
        ready(portal)
        (ana,) = all_sql(portal, 1)
        with retold(portal, "/contacts/batch/update", unset) as second:
            (answer,) = written(list(second.hubspot(write=CLEAR).write([falling(ana)])))
        assert "'salesqualifiedlead' was put back" in str(answer.refused)
        assert answer.standing.lifecycle == portal.shown(ana)["lifecyclestage"] == "salesqualifiedlead"


@pytest.mark.parametrize(("version", "refused"), [("v3", False), ("2026-09", True)])
def test_case_44_a_rule_against_the_stage_behind_leaves_nobody_without_a_stage(version: str, refused: bool) -> None:
    rule = Requirement("lifecyclestage", "marketingqualifiedlead", ("hs_lead_status",))
    with office(requirements=(rule,)) as portal:
        hubspot = ready(portal, write=CLEAR, api_version=version)
        people = all_sql(portal, 5)
        portal.change(people[0], hs_lead_status="NEW")
        answers = by_id(list(hubspot.write([falling(each) for each in people])))
        stages = [portal.shown(each)["lifecyclestage"] for each in people]
        behind, former = "marketingqualifiedlead", "salesqualifiedlead"
        assert stages == [behind, *([former] * 4 if refused else [behind] * 4)]
        told = [str(answers[each]) for each in people[1:]]
        assert [("hs_lead_status" in each, "was put back" in each) for each in told] == [(refused, refused)] * 4
        assert {portal.shown(each)["ls_score"] for each in people} == {"20"}


def test_case_41_a_portal_that_ignores_the_emptying_is_found_out() -> None:
    def as_before(answer: dict[str, Any]) -> dict[str, Any]:
        shown = {"lifecyclestage": "salesqualifiedlead"}
        rows = [
            {**row, "properties": {**row["properties"], **shown}} if "lifecyclestage" in row["properties"] else row
            for row in answer["results"]
        ]
        return {**answer, "results": rows}

    with office() as portal:
        ready(portal)
        (ana,) = all_sql(portal, 1)
        with retold(portal, "/contacts/batch/update", as_before) as second:
            (answer,) = written(list(second.hubspot(write=CLEAR).write([falling(ana)])))
        assert "lifecyclestage='salesqualifiedlead' instead of 'marketingqualifiedlead'" in str(answer.refused)
        assert portal.shown(ana)["ls_score"] == "20"


def test_case_41_stages_of_the_portals_own_are_emptied_in_the_portals_own_order() -> None:
    stages = (("lead", "Lead"), ("77", "Ripe"), ("123456789", "Ready"), ("customer", "Customer"), ("other", "Other"))
    with office(stages=stages) as portal:
        hubspot = ready(portal, write={"lifecyclestage": {"mql": "77", "sql": "123456789"}, "backward": "clear"})
        ana, ben = portal.load("contacts", [{"lifecyclestage": "123456789"}, {"lifecyclestage": "other"}])
        changes = [
            falling(ana, Standing(stage="sql", lifecycle="123456789")),
            falling(ben, Standing(lifecycle="other")),
        ]
        assert [each.refused for each in written(list(hubspot.write(changes)))] == [None, None]
        assert [portal.shown(each)["lifecyclestage"] for each in (ana, ben)] == ["77", "other"]


@pytest.mark.parametrize(("lacking", "version"), [(1, "2026-09"), (40, "2026-09"), (100, "2026-09")])
def test_case_44_a_rule_about_our_own_stage_costs_nobody_the_score(lacking: int, version: str) -> None:
    rule = Requirement("ls_stage", "sql", ("hs_lead_status",))
    with office(requirements=(rule,)) as portal:
        hubspot = ready(portal, api_version=version)
        lack: dict[str, str] = {}
        people = portal.load("contacts", [lack] * lacking + [{"hs_lead_status": "NEW"}] * (100 - lacking))
        changes = [change(each, 5000, "mql" if at % 10 == 1 else "sql") for at, each in enumerate(people)]
        answers = by_id(list(hubspot.write(changes)))
        assert all(portal.shown(each)["ls_score"] == "50" for each in people)
        refused = [each for each in people if isinstance(found := answers[each], Written) and found.refused]
        assert refused == [each for at, each in enumerate(people[:lacking]) if at % 10 != 1]
        assert all("hs_lead_status" in str(answers[each]) for each in refused)
        assert [portal.shown(each).get("ls_stage") for each in refused] == [None] * len(refused)
        assert requests(portal) <= 7


@pytest.mark.parametrize("version", ["2026-09"])
def test_case_44_where_nobody_may_look_who_is_to_blame_is_searched_for_and_the_score_does_not_wait(
    version: str,
) -> None:
    rule = Requirement("ls_stage", "sql", ("hs_lead_status",))
    with office(requirements=(rule,)) as portal:
        ready(portal)
        people = portal.load("contacts", [{"hs_lead_status": "" if at == 61 else "NEW"} for at in range(100)])
        portal.control("tokens", add="narrow-token", scopes=["crm.objects.contacts.write"])  # cannot look who lacks it
        hubspot = portal.hubspot(api_version=version, token="narrow-token")
        answers = by_id(list(hubspot.write([change(each, 5000, "sql") for each in people])))
        assert [each for each in people if portal.shown(each).get("ls_stage") != "sql"] == [people[61]]
        assert "hs_lead_status" in str(answers[people[61]])
        assert requests(portal) <= 2 * math.ceil(math.log2(100)) + 2


@pytest.mark.parametrize("version", ["2026-09"])
def test_case_44_a_stage_refused_alone_is_kept_for_another_try(version: str) -> None:
    rule = Requirement("ls_stage", "sql", ("hs_lead_status",))
    with office(requirements=(rule,)) as portal:
        hubspot = ready(portal, api_version=version)
        (ana,) = portal.load("contacts", [{"ls_score": "50"}])
        after = Standing(score=5000, stage="sql")
        (answer,) = written(list(hubspot.write([Change(key(ana), Standing(score=5000), after, "activity")])))
        assert "hs_lead_status" in str(answer.refused)
        portal.change(ana, hs_lead_status="NEW")
        (mended,) = written(list(hubspot.write([Change(key(ana), Standing(score=5000), after, "activity")])))
        assert (mended.refused, portal.shown(ana)["ls_stage"]) == (None, "sql")


@pytest.mark.parametrize(("write", "calls"), [({}, 1), (LIFECYCLE, 2)], ids=["score", "lifecycle"])
def test_a_hundred_changed_leads_cost_one_write_and_one_more_for_the_lifecycle(
    write: dict[str, Any], calls: int
) -> None:
    with office() as portal:
        ready(portal)
        people = portal.load("contacts", [{"lifecyclestage": "lead"}] * 100)
        hubspot = portal.hubspot(write=write)
        list(hubspot.pull("contacts", None))
        before = dict(hubspot.calls)
        list(hubspot.write([change(each, before=Standing(lifecycle="lead")) for each in people]))
        assert {name: hubspot.calls[name] - before[name] for name in before} == {"read": 0, "write": calls}


def test_case_40_a_hundred_echoes_of_our_own_write_cause_no_other() -> None:
    with office(index_lag_s=0) as portal:
        hubspot = ready(portal, write=LIFECYCLE, lag=0)
        people = portal.add(100)
        *_, first = hubspot.pull("contacts", None)
        answers = written(list(hubspot.write([change(each) for each in people])))
        portal.control("clock", advance_s=2)
        pages = list(hubspot.pull("contacts", first.cursor))
        seen = {record.key: record.stage for page in pages for record in page.records}
        assert seen == {answer.record: "mql" for answer in answers}
        portal.forget()
        list(hubspot.write([change(answer.record.id, before=answer.standing) for answer in answers]))
        assert requests(portal) == 0


_ODD = st.sampled_from(["1,234", "12.5", "", "0", "1e3", "٣", "MQL", "Marketing Qualified Lead", "2026-11-22", "\x00"])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    scores=st.lists(st.none() | st.integers(-10_000_000, 10_000_000), min_size=1, max_size=3),
    stage=st.sampled_from(STAGES) | _ODD,
    reasons=st.none() | st.text(max_size=30) | _ODD,
    before=st.sampled_from([None, "lead", "subscriber", "salesqualifiedlead", "customer"]),
)
def test_case_48_every_value_goes_out_as_a_text_that_hubspot_takes(
    wire: tuple[HubSpot, list[Any], list[str]],
    scores: list[int | None],
    stage: str,
    reasons: str | None,
    before: str | None,
) -> None:
    hubspot, sent, people = wire
    sent.clear()
    after = [Standing(score=score, stage=stage, reasons=reasons) for score in scores]
    shown = Standing(stage="sql", lifecycle=before)
    list(hubspot.write([Change(key(each), shown, wish, "profile") for each, wish in zip(people, after, strict=False)]))
    values = [pair for body in sent for each in body["inputs"] for pair in each["properties"].items()]
    assert all(isinstance(value, str) for _, value in values)
    assert all(re.fullmatch(r"-?\d+(\.\d\d)?", value) for name, value in values if name == "ls_score")
    assert {value for name, value in values if name == "lifecyclestage"} <= {"", *LIFECYCLE["lifecyclestage"].values()}


@pytest.fixture
def wire() -> Iterator[tuple[HubSpot, list[Any], list[str]]]:
    """A connector, the bodies of its batch updates as they come in, and three people."""
    sent: list[Any] = []
    with office() as portal:
        ready(portal)
        with overheard(portal, "/contacts/batch/update", sent) as second:
            yield second.hubspot(write=CLEAR), sent, list(portal.add(3))


def test_case_48_a_label_in_the_settings_is_told_and_never_sent() -> None:
    with office() as portal:
        hubspot = ready(portal, write={"lifecyclestage": {"mql": "Marketing Qualified Lead"}})
        (ana,) = portal.load("contacts", [{"lifecyclestage": "lead"}])
        (answer,) = written(list(hubspot.write([change(ana, before=Standing(lifecycle="lead"))])))
        assert "'Marketing Qualified Lead' does not exist" in str(answer.refused)
        assert (portal.shown(ana)["lifecyclestage"], portal.shown(ana)["ls_score"]) == ("lead", "12.34")
        assert portal.statuses("/batch/update") == {200: 1}
