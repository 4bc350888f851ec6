"""Writing back, over HTTP: what Salesforce takes, what it refuses, and what an org does to it afterwards."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.emulators.salesforce import Limits
from connectors.salesforce.batches import MOST_CALLS, MOST_TRIES, Parcel, Sender
from connectors.salesforce.describe import FieldInfo
from connectors.salesforce.fitting import fitted_score, fitted_text
from connectors.salesforce.refusals import Problem, Refused
from connectors.salesforce.write import Writer
from syncer.connector import Wanted
from syncer.errors import ConfigError, TemporaryError
from syncer.model import Change, Rejected, Standing, Written
from tests.connectors.salesforce.orgs import (
    REASONS,
    SCORE,
    STAGE,
    STAGES,
    House,
    Json,
    change,
    house,
    key,
    let_waits_pass,
    overheard,
)

PATCH = "/composite/sobjects"
UNKNOWN = "00Q5f0000000999EAA"  # nobody has it


def writer(org: House, **settings: Any) -> Writer:
    return Writer(org.asked(**settings))


def send(org: House, changes: Sequence[Change], **settings: Any) -> dict[str, Written | Rejected]:
    """By id; each change must have had its answer."""
    answers = list(writer(org, **settings).write(changes))
    found = {each.id if isinstance(each, Rejected) else each.record.id: each for each in answers}
    assert sorted(found) == sorted(each.record.id for each in changes)
    return found


def only(answers: dict[str, Written | Rejected], kind: type[Any]) -> dict[str, Any]:
    return {identity: each for identity, each in answers.items() if isinstance(each, kind)}


def patches(org: House) -> int:
    return sum(org.statuses(PATCH).values())


def a_field(org: House, kind: str, **definition: object) -> None:
    """One of syncer's fields as an admin has made it."""
    org.org.add_field(kind, {"label": "ours", **definition})


def test_what_is_written_is_read_after_and_told_with_the_orgs_time(org: House) -> None:
    (ana,) = org.leads(1)
    after = Standing(score=1234, stage="mql", reasons="Came to the demo")
    (answer,) = send(org, [Change(key(ana), Standing(), after, "activity")]).values()
    assert isinstance(answer, Written)
    assert (answer.standing, answer.refused) == (after, None)
    shown = org.shown(ana)
    assert [shown[name] for name in (SCORE, STAGE, REASONS)] == [12.34, "mql", "Came to the demo"]
    assert answer.modified_at == datetime.fromisoformat(shown["SystemModstamp"])
    assert answer.modified_at.tzinfo is UTC


def test_a_thousand_leads_cost_five_calls_to_write_and_five_to_look(org: House) -> None:
    people = org.leads(1000)
    asked = org.asked()
    asked.describes.of("Lead")
    org.forget()
    answers = list(Writer(asked).write([change(each) for each in people]))
    assert sum(isinstance(each, Written) for each in answers) == 1000
    assert (patches(org), org.calls()["total"]) == (5, 10)


def test_nothing_to_write_is_answered_with_what_salesforce_shows(org: House) -> None:
    (ana,) = org.leads(1, **{SCORE: 12, STAGE: "mql"})
    before = Standing(score=1200, stage="mql")
    (answer,) = send(org, [Change(key(ana), before, before, "activity")]).values()
    assert isinstance(answer, Written)
    assert (answer.standing, patches(org)) == (before, 0)


def test_of_two_changes_to_one_record_the_last_counts_and_both_are_answered(org: House) -> None:
    (ana,) = org.leads(1)
    answers = list(writer(org).write([change(ana, 100), change(ana, 200)]))
    assert [isinstance(each, Written) and each.standing.score for each in answers] == [200, 200]
    assert org.shown(ana)[SCORE] == 2


def test_case_12_a_person_account_is_written_through_its_account() -> None:
    with house(features={"person_accounts": True}) as org:
        account = org.create("Account", LastName="Person", FirstName="Pia", PersonEmail="pia@acme.test")
        pia = org.shown(account)["PersonContactId"]
        (ben,) = org.contacts(1)
        answers = send(org, [change(pia), change(ben)])
        assert [isinstance(each, Written) and each.refused for each in answers.values()] == [None, None]
        assert {(each["object"], each["id"]) for each in org.writes()} == {("Account", account), ("Contact", ben)}
        assert (org.shown(account)["Lead_Score__pc"], org.shown(pia)[SCORE]) == (12.34, 12.34)


def test_case_29_three_failures_of_two_hundred_are_told_apart_by_their_places(
    org: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_waits_pass(monkeypatch, org)
    people = org.leads(200)
    locked, ruled, converted = people[3], people[77], people[150]
    org.change(ruled, Rating="Cold")
    rule = {"object": "Lead", "when": "Rating = 'Cold'", "message": "Cold leads have no score.", "field": SCORE}
    org.switch(validation_rules=[rule])
    contact = org.convert(converted)["contactId"]
    org.control("lock", ids=[locked], seconds=5)
    answers = send(org, [change(each) for each in people])
    failures = only(answers, Rejected)
    assert len(answers) - len(failures) == 198, "the locked one was tried again and taken, the others at once"
    assert (org.shown(locked)[SCORE], org.shown(people[4])[SCORE]) == (12.34, 12.34)
    assert sorted(failures) == sorted([ruled, converted])
    assert (SCORE in failures[ruled].reason, "Cold leads have no score." in failures[ruled].reason) == (True, True)
    assert not failures[ruled].retry
    assert (contact in failures[converted].reason, failures[converted].retry) == (True, True)


def test_case_29_a_deleted_lead_and_a_merged_one_are_told_apart(org: House) -> None:
    gone, loser, winner, purged = org.leads(4)
    org.remove(gone)
    org.merged(winner, loser)
    org.remove(purged)
    org.purge(purged)
    answers = send(org, [change(each) for each in (gone, loser, winner, purged, UNKNOWN)])
    failures = only(answers, Rejected)
    assert {each: failures[each].retry for each in failures} == {
        gone: False, loser: True, purged: False, UNKNOWN: False
    }  # fmt: skip
    assert winner in failures[loser].reason
    assert isinstance(answers[winner], Written)


@pytest.mark.parametrize("fails_call", [True, False], ids=["whole call", "each record"])
def test_case_30_an_optional_field_that_went_is_left_out(org: House, fails_call: bool) -> None:
    asked = org.asked()
    asked.describes.of("Lead")
    org.behave(bad_field_fails_call=fails_call)
    org.control("access", object="Lead", remove=REASONS)
    people = org.leads(200)
    after = Standing(score=700, stage="mql", reasons="because")
    answers = list(Writer(asked).write([Change(key(each), Standing(), after, "activity") for each in people]))
    told = {(each.refused, each.standing.reasons) for each in answers if isinstance(each, Written)}
    assert (len(answers), told) == (200, {(None, None)})
    assert {org.shown(each)[SCORE] for each in people[:2]} == {7}
    assert patches(org) == 2


@pytest.mark.parametrize("fails_call", [True, False], ids=["whole call", "each record"])
@pytest.mark.parametrize("name", [SCORE, STAGE])
def test_case_30_a_needed_field_that_went_stops_the_writing_with_one_clear_error(
    org: House, name: str, fails_call: bool
) -> None:
    asked = org.asked()
    asked.describes.of("Lead")
    org.behave(bad_field_fails_call=fails_call)
    org.control("access", object="Lead", field=name, access="hidden")
    people = org.leads(3)
    with pytest.raises(ConfigError, match=f"Lead has no field {name}") as caught:
        list(Writer(asked).write([change(each) for each in people]))
    assert (caught.value.code, patches(org) <= 2) == ("SY158", True)


def test_a_field_that_may_only_be_read_stops_the_writing_before_it_begins(org: House) -> None:
    org.control("access", object="Lead", field=SCORE, access="read")
    (ana,) = org.leads(1)
    with pytest.raises(ConfigError, match="may not edit") as caught:
        list(writer(org).write([change(ana)]))
    assert (caught.value.code, patches(org)) == ("SY159", 0)


def test_what_an_admin_mends_is_written_by_the_same_writer(org: House) -> None:
    same, (ana,) = writer(org), org.leads(1)
    org.control("access", object="Lead", field=SCORE, access="hidden")
    with pytest.raises(ConfigError, match="has no field"):
        list(same.write([change(ana)]))
    org.let_pass(2)  # describes tell when they changed, to the second
    org.control("access", object="Lead", field=SCORE, access="edit")
    (answer,) = same.write([change(ana)])
    assert isinstance(answer, Written)


def test_an_object_without_the_field_does_not_keep_the_other_from_being_written(org: House) -> None:
    org.control("access", object="Contact", remove=SCORE)
    (ana,), (ben,) = org.leads(1), org.contacts(1)
    answers: list[Written | Rejected] = []
    with pytest.raises(ConfigError, match="Contact has no field"):
        answers.extend(writer(org).write([change(ben), change(ana)]))
    assert org.shown(ana)[SCORE] == 12.34


# taking a refused collection apart, without the network

A_RULE = Problem("FIELD_CUSTOM_VALIDATION_EXCEPTION", "Not allowed.")
LOCKED = Problem("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record")


class FakeOrg:
    """Answers collections as told; counts them."""

    def __init__(self, refuses: Callable[[Parcel], Problem | None], *, whole: bool = False) -> None:
        self.refuses, self.whole = refuses, whole
        self.sizes: list[int] = []
        self.taken: dict[str, Json] = {}
        self.pauses: list[int] = []

    def post(self, parcels: Sequence[Parcel]) -> list[Json]:
        self.sizes.append(len(parcels))
        problems = [self.refuses(each) for each in parcels]
        refused = [each for each in problems if each is not None]
        if self.whole and refused:
            raise Refused("no", status=400, problems=(refused[0],))
        for parcel, problem in zip(parcels, problems, strict=True):
            if problem is None:
                self.taken.setdefault(parcel.id, {}).update(parcel.values)
        return [
            {"success": True}
            if each is None
            else {
                "success": False,
                "errors": [{"statusCode": each.code, "message": each.message, "fields": list(each.fields)}],
            }
            for each in problems
        ]

    def sender(self) -> Sender:
        return Sender(self.post, (STAGE, "Status"), self.pauses.append)


def parcels(count: int, **values: object) -> list[Parcel]:
    shared = values or {SCORE: 7, STAGE: "mql"}
    return [Parcel("Lead", f"{each:04}", dict(shared)) for each in range(count)]


@pytest.mark.parametrize("culprits", [1, 3])
def test_case_30_whom_a_refused_call_is_about_is_found_by_halving(culprits: int) -> None:
    bad = {f"{10 + 60 * each:04}" for each in range(culprits)}
    org = FakeOrg(lambda each: Problem("JSON_PARSER_ERROR", "no") if each.id in bad else None, whole=True)
    ended = org.sender().send(parcels(200))
    assert {each for each, end in ended.items() if end.left_out} == bad
    assert len(org.taken) == 200 - culprits
    assert len(org.sizes) <= culprits * (2 * math.ceil(math.log2(200)) + 2)


def test_case_30_a_call_that_is_always_refused_ends_after_a_bounded_number_of_calls() -> None:
    org = FakeOrg(lambda each: Problem("JSON_PARSER_ERROR", "no"), whole=True)
    ended = org.sender().send(parcels(200))
    assert len(ended) == 200
    assert not any(each.taken for each in ended.values())
    assert len(org.sizes) == MOST_CALLS


def test_a_rule_against_the_stage_that_names_no_field_does_not_keep_the_score_back() -> None:
    org = FakeOrg(lambda each: A_RULE if STAGE in each.values else None)
    ended = org.sender().send(parcels(200))
    assert {frozenset(each.left_out) for each in ended.values()} == {frozenset({STAGE})}
    assert {each[SCORE] for each in org.taken.values()} == {7}
    assert org.sizes == [200, 200, 200]


def test_a_rule_against_the_status_leaves_score_and_stage() -> None:
    org = FakeOrg(lambda each: A_RULE if "Status" in each.values else None)
    ended = org.sender().send(parcels(2, **{SCORE: 7, STAGE: "mql", "Status": "Working"}))
    assert {frozenset(each.left_out) for each in ended.values()} == {frozenset({"Status"})}
    assert list(org.taken.values()) == [{SCORE: 7, STAGE: "mql"}] * 2


def test_where_the_score_is_refused_the_stage_is_not_written_without_it() -> None:
    org = FakeOrg(lambda each: A_RULE)
    ended = org.sender().send(parcels(3))
    assert {frozenset(each.left_out) for each in ended.values()} == {frozenset({SCORE, STAGE})}
    assert org.sizes == [3, 3]


def test_several_errors_of_one_record_are_all_told() -> None:
    told = [
        {"statusCode": "UNABLE_TO_LOCK_ROW", "message": "locked", "fields": []},
        {"statusCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "message": "one", "fields": [SCORE]},
        {"statusCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "message": "two", "fields": [STAGE]},
    ]
    sender = Sender(lambda sent: [{"success": False, "errors": told}] * len(sent), (STAGE,), lambda _: None)
    (end,) = sender.send(parcels(1)).values()
    problem = end.left_out[SCORE]
    assert (problem.code, problem.message) == ("FIELD_CUSTOM_VALIDATION_EXCEPTION", "one; locked; two")


@pytest.mark.parametrize("answer", [None, [], [{"success": True}] * 3, {"success": True}])
def test_answers_that_cannot_be_matched_to_their_records_count_for_nothing(answer: Any) -> None:
    with pytest.raises(TemporaryError, match="answers for 2 records") as caught:
        Sender(lambda sent: answer, (), lambda _: None).send(parcels(2))
    assert caught.value.code == "SY160"


@given(st.sets(st.integers(0, 39)), st.sets(st.integers(0, 39)), st.sets(st.integers(0, 39)))
def test_whatever_is_refused_everybody_else_is_written(ruled: set[int], named: set[int], locked: set[int]) -> None:
    def refuses(each: Parcel) -> Problem | None:
        at = int(each.id)
        if at in locked:
            return LOCKED
        if at in named and STAGE in each.values:
            return Problem("STRING_TOO_LONG", "too long", (STAGE,))
        return A_RULE if at in ruled else None

    org = FakeOrg(refuses)
    ended = org.sender().send(parcels(40))
    assert sorted(ended) == [f"{each:04}" for each in range(40)]
    for identity, end in ended.items():
        at = int(identity)
        fine = at not in locked and at not in ruled
        assert (SCORE in end.taken, SCORE in org.taken.get(identity, {})) == (fine, fine)
        assert end.taken | end.left_out.keys() == {SCORE, STAGE}


# locks


def test_case_31_locked_records_are_tried_five_times_in_ever_smaller_calls_beside_their_siblings() -> None:
    locked = {f"{each:04}" for each in range(64)}
    org = FakeOrg(lambda each: LOCKED if each.id in locked else None)
    ended = org.sender().send(parcels(200))
    assert {each for each, end in ended.items() if end.left_out} == locked
    assert len(org.taken) == 136
    assert org.pauses == [1, 2, 3, 4]
    assert org.sizes[0] == 200
    assert max(org.sizes[1:]) <= 100
    assert len(org.sizes) <= 1 + 1 + 2 + 4 + 8


def test_case_31_contacts_of_one_account_are_tried_side_by_side(org: House, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = let_waits_pass(monkeypatch, org)
    accounts = org.load("Account", [{"Name": f"Acme {each}"} for each in range(4)])
    people = org.load("Contact", [{"LastName": "Doe", "AccountId": accounts[each % 4]} for each in range(40)])
    org.control("lock", ids=[accounts[1]])
    heard: list[Any] = []
    with overheard(org, PATCH, heard) as second:
        answers = send(second, [change(each) for each in people])
    failures = only(answers, Rejected)
    assert sorted(failures) == sorted(people[1::4])
    assert all(each.retry and "UNABLE_TO_LOCK_ROW" in each.reason for each in failures.values())
    assert len(waits) == 4
    assert waits == sorted(waits), "the pauses grow"
    home = {each: accounts[at % 4] for at, each in enumerate(people)}
    order = [home[each["id"]] for each in heard[0]["records"]]
    assert order == sorted(order)
    assert sum(len(each["records"]) for each in heard) == 40 + 4 * 10, "nobody else was sent twice"


def test_case_31_a_trigger_that_runs_out_of_time_gets_fewer_records_at_once(
    org: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_waits_pass(monkeypatch, org)
    (ana,) = org.leads(1)
    limit = "System.LimitException: Apex CPU time limit exceeded"
    org.switch(triggers=[{"object": "Lead", "error": limit, "on": ["update"]}])
    (answer,) = send(org, [change(ana)]).values()
    assert isinstance(answer, Rejected)
    assert (answer.retry, patches(org)) == (True, MOST_TRIES)


# what an org's rules say


@pytest.mark.parametrize("spelling", ["duplicateResut", "duplicateResult"])
def test_case_32_a_duplicate_rule_is_told_with_whom_it_found(org: House, spelling: str) -> None:
    one, other = org.leads(2, Email="same@acme.test")
    rule = {"object": "Lead", "on_edit": True, "name": "Standard_Lead_Rule"}
    org.switch(duplicate_rules=[rule], duplicate_key=spelling)
    (answer,) = send(org, [change(one)]).values()
    assert isinstance(answer, Rejected)
    assert not answer.retry
    for each in ("DUPLICATES_DETECTED", other, "Standard_Lead_Rule", "allow_duplicates"):
        assert each in answer.reason
    (answer,) = send(org, [change(one)], allow_duplicates=True).values()
    assert isinstance(answer, Written)
    assert org.shown(one)[SCORE] == 12.34


def test_case_33_a_picklist_without_our_stage_does_not_keep_the_score_back() -> None:
    with house(fields=False) as org:
        a_field(org, "Lead", fullName=SCORE, type="Number", precision=5, scale=2)
        choices = {"restricted": True, "valueSetDefinition": {"value": [{"fullName": "cold"}, {"fullName": "mql"}]}}
        a_field(org, "Lead", fullName=STAGE, type="Picklist", valueSet=choices)
        ana, ben = org.leads(2)
        answers = send(org, [change(ana, 500, "sql"), change(ben, 500, "mql")])
        refused = {each: answer.refused for each, answer in only(answers, Written).items()}
        assert refused == {ana: f"Lead.{STAGE} has no value 'sql'; add it to the picklist in Setup", ben: None}
        assert [(org.shown(each)[SCORE], org.shown(each)[STAGE]) for each in (ana, ben)] == [(5, None), (5, "mql")]


def test_case_33_a_score_is_rounded_down_to_what_its_field_keeps() -> None:
    with house(fields=False) as org:
        a_field(org, "Lead", fullName=SCORE, type="Number", precision=3, scale=0)
        a_field(org, "Lead", fullName=STAGE, type="Text", length=3)
        ana, ben, eva = org.leads(3)
        changes = [change(ana, 10170), change(ben, 100_000, "sql"), change(eva, -150, "warm")]
        answers = send(org, changes)
        assert org.shown(ana)[SCORE] == 101
        (told,) = only(answers, Rejected).values()
        assert (told.id, told.retry) == (ben, False)
        assert told.reason == (
            f"Lead {SCORE} takes at most 3 digits before the point, and the score is 1000; "
            "make the field longer in Setup"
        )
        shown = {
            each: (answer.standing.score, answer.refused is None) for each, answer in only(answers, Written).items()
        }
        assert shown == {ana: (10100, True), eva: (-200, False)}, "a stage is never cut"
        assert org.shown(eva)[STAGE] is None


def test_case_33_reasons_that_are_too_long_are_cut_and_show_it() -> None:
    with house(fields=False) as org:
        a_field(org, "Lead", fullName=SCORE, type="Number", precision=5, scale=2)
        a_field(org, "Lead", fullName=STAGE, type="Text", length=80)
        a_field(org, "Lead", fullName=REASONS, type="Text", length=20)
        (ana,) = org.leads(1)
        after = Standing(score=700, stage="mql", reasons="+12 Decision maker (jobtitle = Directora)")
        (answer,) = send(org, [Change(key(ana), Standing(), after, "activity")]).values()
        assert isinstance(answer, Written)
        assert (org.shown(ana)[REASONS], answer.refused) == ("+12 Decision maker…", None)


@given(st.integers(-99_999_999, 99_999_999), st.integers(0, 4))
def test_a_fitted_score_is_never_more_than_the_score_and_less_than_one_step_away(hundredths: int, scale: int) -> None:
    found = fitted_score(FieldInfo(SCORE, "double", precision=18, scale=scale), hundredths)
    assert hundredths / 100 - 10**-scale < found <= hundredths / 100


@given(st.text(max_size=60), st.integers(2, 40))
def test_a_fitted_text_fits_and_begins_as_it_did(text: str, length: int) -> None:
    found = fitted_text(FieldInfo(REASONS, "textarea", length=length), text) or ""
    assert len(found.encode("utf-16-le")) // 2 <= length
    assert text.replace("\0", "").strip().startswith(found.removesuffix("…").strip())


def test_case_34_a_thousand_scores_leave_every_lead_with_its_owner(org: House) -> None:
    boss = org.create("User", **_user("boss"))
    people = org.leads(1000)
    before = {row["Id"]: row["OwnerId"] for row in org.rows("SELECT Id, OwnerId FROM Lead")}
    org.switch(assignment_owner=boss)
    answers = send(org, [change(each) for each in people])
    assert len(only(answers, Written)) == 1000
    assert {row["Id"]: row["OwnerId"] for row in org.rows("SELECT Id, OwnerId FROM Lead")} == before
    assert boss not in before.values()


def _user(name: str) -> Json:
    return {"LastName": name, "Username": f"{name}@acme.test", "Email": f"{name}@acme.test", "Alias": name[:8]}


@pytest.mark.parametrize(
    "trouble",
    [
        {"drop": "after"},
        {"drop": "before"},
        {"body": "truncated"},
        {"status": 200, "body": "empty", "apply": True},
        {"status": 504, "body": "html", "apply": True},
        {"code": "UNABLE_TO_LOCK_ROW"},
        {"body": "partial", "code": "UNABLE_TO_LOCK_ROW"},
    ],
    ids=lambda trouble: "-".join(map(str, trouble.values())),
)
def test_case_35_a_lost_answer_to_a_write_is_asked_for_again(
    org: House, monkeypatch: pytest.MonkeyPatch, trouble: Json
) -> None:
    let_waits_pass(monkeypatch, org)
    people = org.leads(20)
    org.fault(path=PATCH, method="PATCH", times=1, **trouble)
    answers = send(org, [change(each) for each in people])
    assert {isinstance(each, Written) and each.standing.score for each in answers.values()} == {1234}
    assert {org.shown(each)[SCORE] for each in people[:3]} == {12.34}


@pytest.mark.parametrize(("handed", "other"), [("sql", "mql"), ("mql", "sql")])
def test_case_26_a_lead_that_is_handed_over_is_written_although_the_budget_is_short(
    monkeypatch: pytest.MonkeyPatch, handed: str, other: str
) -> None:
    with house(limits=Limits(daily=100)) as org:
        let_waits_pass(monkeypatch, org)
        ana, ben = org.leads(2)
        asked = org.asked(Wanted(stages=STAGES, handoff=handed))
        asked.describes.of("Lead")
        org.control("limits", used=85)
        asked.client.count("counting", "SELECT COUNT() FROM Lead")  # whose answer tells it
        answers: list[Written | Rejected] = []
        with pytest.raises(TemporaryError, match="goes on slowly") as caught:
            answers.extend(Writer(asked).write([change(ana, stage=other), change(ben, stage=handed)]))
        assert caught.value.code == "SY145"
        assert [isinstance(each, Written) and each.record.id for each in answers] == [ben]
        assert (org.shown(ana)[SCORE], org.shown(ben)[SCORE], org.shown(ben)[STAGE]) == (None, 12.34, handed)


def test_of_several_failures_the_one_that_a_person_must_mend_is_told(
    org: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_waits_pass(monkeypatch, org)
    org.control("access", object="Contact", remove=SCORE)
    org.fault(path=PATCH, method="PATCH", status=503)
    (ana,), (ben,) = org.leads(1), org.contacts(1)
    with pytest.raises(ConfigError, match="Contact has no field"):
        list(writer(org).write([change(ben), change(ana)]))
    assert patches(org) > 1, "the lead's failure came after"


def test_of_several_failures_that_pass_the_one_that_lasts_longest_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with house(limits=Limits(daily=100)) as org:
        let_waits_pass(monkeypatch, org)
        (ana,), (ben,) = org.leads(1), org.contacts(1)
        asked = org.asked()
        for kind in ("Lead", "Contact"):
            asked.describes.of(kind)
        org.control("limits", used=85)
        asked.client.count("counting", "SELECT COUNT() FROM Lead")  # whose answer tells it
        org.fault(path=PATCH, method="PATCH", status=503)
        with pytest.raises(TemporaryError) as caught:
            list(Writer(asked).write([change(ana, stage="sql"), change(ben, stage="mql")]))
        assert (caught.value.code, caught.value.retry_after_s) == ("SY145", 900)
        assert patches(org) > 1, "the lead's failure came after"


def test_case_37_what_a_person_writes_right_after_us_is_newer_than_our_answer(org: House) -> None:
    (ana,) = org.leads(1)
    org.control("clock", frozen=True)
    (answer,) = send(org, [change(ana)]).values()
    org.let_pass(1)
    org.change(ana, **{STAGE: "sql"})
    assert isinstance(answer, Written)
    assert answer.modified_at < datetime.fromisoformat(org.shown(ana)["SystemModstamp"])
    assert answer.standing.stage == "mql"


def test_case_37_a_status_that_a_person_changed_meanwhile_is_not_taken_for_ours(org: House) -> None:
    (ana,) = org.leads(1, Status="Open - Not Contacted")
    before = Standing(lifecycle="Open - Not Contacted")
    org.change(ana, Status="Working - Contacted")  # after the look before the write
    (answer,) = send(org, [change(ana, before=before)]).values()
    assert isinstance(answer, Written)
    assert answer.standing.lifecycle == "Open - Not Contacted"


def test_case_40_a_trigger_that_rewrites_the_score_is_told(org: House) -> None:
    org.switch(triggers=[{"object": "Lead", "set": {SCORE: 50}, "on": ["update"]}])
    (ana,) = org.leads(1)
    (answer,) = send(org, [change(ana)]).values()
    assert isinstance(answer, Rejected)
    assert f"Salesforce shows {SCORE}=50 instead of 12.34" in answer.reason
    assert (answer.retry, patches(org)) == (False, 1)


def test_case_41_a_flow_that_resets_the_stage_is_told(org: House) -> None:
    org.switch(triggers=[{"object": "Lead", "when": f"{STAGE} = 'mql'", "set": {STAGE: "cold"}, "on": ["update"]}])
    (ana,) = org.leads(1)
    (answer,) = send(org, [change(ana)]).values()
    assert isinstance(answer, Written)
    assert (answer.standing.score, answer.standing.stage) == (1234, "cold")
    assert f"Salesforce shows {STAGE}='cold' instead of 'mql'" in str(answer.refused)


def test_case_42_reasons_that_are_empty_clear_the_field(org: House) -> None:
    (ana,) = org.leads(1, **{REASONS: "Came to the demo"})
    cleared = Standing(score=0, stage="cold", reasons="")
    (answer,) = send(org, [Change(key(ana), Standing(), cleared, "fading")]).values()
    assert isinstance(answer, Written)
    assert (org.shown(ana)[REASONS], org.shown(ana)[SCORE]) == (None, 0)
    assert org.writes()[-1]["values"][REASONS] is None


def test_case_43_leads_and_contacts_in_turns_are_written_in_calls_of_one_object(org: House) -> None:
    leads, contacts = org.leads(30), org.contacts(30)
    mixed = [each for pair in zip(leads, contacts, strict=True) for each in pair]
    heard: list[Any] = []
    with overheard(org, PATCH, heard) as second:
        answers = send(second, [change(each) for each in mixed])
    assert len(only(answers, Written)) == 60
    kinds = [{each["attributes"]["type"] for each in body["records"]} for body in heard]
    assert sorted(map(sorted, kinds)) == [["Contact"], ["Lead"]]
    assert {body["allOrNone"] for body in heard} == {False}


# the lead's own Status

STATUS = {"write": {"status": {"mql": "Working - Contacted", "sql": "Closed - Not Converted"}}}


@pytest.mark.parametrize(
    ("shows", "becomes"),
    [
        ("Open - Not Contacted", "Working - Contacted"),
        ("Closed - Not Converted", "Closed - Not Converted"),
        ("Nurturing", "Nurturing"),
    ],
)
def test_the_status_moves_forward_and_never_back_nor_away_from_one_it_does_not_know(
    org: House, shows: str, becomes: str
) -> None:
    (ana,) = org.leads(1, Status=shows)
    (answer,) = send(org, [change(ana, before=Standing(lifecycle=shows))], **STATUS).values()
    assert isinstance(answer, Written)
    assert (answer.refused, answer.standing.lifecycle) == (None, becomes)
    assert (org.shown(ana)["Status"], org.shown(ana)[STAGE]) == (becomes, "mql")


def test_a_status_that_belongs_to_others_is_not_moved(org: House) -> None:
    (ana,) = org.leads(1, Status="Open - Not Contacted")
    moved = change(ana, before=Standing(lifecycle="Open - Not Contacted"))
    send(org, [moved], protected=["Open - Not Contacted"], **STATUS)
    assert org.shown(ana)["Status"] == "Open - Not Contacted"


def test_a_rule_against_the_status_leaves_stage_and_score_and_is_told(org: House) -> None:
    rule = {"object": "Lead", "when": "Status = 'Working - Contacted'", "message": "Call them first."}
    org.switch(validation_rules=[rule])
    (ana,) = org.leads(1, Status="Open - Not Contacted")
    (answer,) = send(org, [change(ana, before=Standing(lifecycle="Open - Not Contacted"))], **STATUS).values()
    assert isinstance(answer, Written)
    assert "Call them first." in str(answer.refused)
    assert (answer.standing.stage, answer.standing.lifecycle) == ("mql", "Open - Not Contacted")
    assert (org.shown(ana)[SCORE], org.shown(ana)["Status"]) == (12.34, "Open - Not Contacted")


def test_a_status_that_the_org_does_not_have_is_told_and_the_rest_is_written(org: House) -> None:
    (ana,) = org.leads(1)
    (answer,) = send(org, [change(ana)], write={"status": {"mql": "Hot"}}).values()
    assert isinstance(answer, Written)
    assert answer.refused == "Lead.Status has no value 'Hot'; correct `write.status`"
    assert org.shown(ana)[STAGE] == "mql"
