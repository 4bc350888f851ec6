"""Whole runs over what the platform does to records: bumps, undeletes, merges and conversions; in both databases."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.salesforce.read import Reader
from syncer.connector import Wanted
from syncer.model import RecordKey
from syncer.parts import Report
from syncer.store import mirror
from tests.connectors.salesforce.orgs import SCORE, STAGE, House, Project, house, key, records

pytestmark = pytest.mark.slow  # whole runs over a life of merges

CALLS = Wanted(activities=("meeting",))


@pytest.fixture
def project(org: House, tmp_path: Path, database_url: str) -> Project:
    return Project(org, tmp_path, database_url)


def meet(org: House, person: str) -> str:
    at = (org.org.clock.now() - timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    times = {"StartDateTime": at, "ActivityDateTime": at, "DurationInMinutes": 30}
    return org.create("Event", Subject="Demo", WhoId=person, **times)


def run(project: Project, times: int = 1) -> Report:
    for _ in range(times):
        report = project.sync()
        assert report.outcome == "ok", report.failures
    return report


def leads(project: Project) -> int:
    with project.app() as app, app.store.reading() as tx:
        return mirror.count(tx, "crm")


def written(org: House) -> set[str]:
    """Whom the connector has written to since the last `forget`."""
    return {each["id"] for each in org.writes()}


def shown(org: House, person: str) -> tuple[Any, Any]:
    found: Mapping[str, Any] = org.shown(person)
    return found[SCORE], found[STAGE]


def test_case_04_a_change_in_setup_that_stamps_every_lead_anew_rescores_and_writes_nothing(
    org: House, project: Project
) -> None:
    made = org.leads(120, Country="ES")
    run(project, 2)
    assert {shown(org, each) for each in made} == {(40.0, "mql")}
    org.forget()
    org.let_pass(300)
    org.control("touch", object="Lead")
    report = run(project)
    assert report.counts["read"] >= 120
    assert report.counts["scored"] == 0, dict(report.counts)
    assert written(org) == set()
    org.let_pass(300)
    assert run(project).counts["read"] == 0
    assert written(org) == set()


def test_case_09_a_lead_taken_out_of_the_recycle_bin_has_its_past_again(org: House, project: Project) -> None:
    (ana,) = org.leads(1, Country="ES")
    meet(org, ana)
    run(project, 2)
    before = shown(org, ana)
    assert before[1] == "mql"
    org.remove(ana)
    run(project)
    assert leads(project) == 0
    org.forget()
    run(project)
    assert written(org) == set(), "nobody writes to it"
    org.restore(ana)
    run(project, 2)
    assert leads(project) == 1
    assert shown(org, ana) == before
    (other,) = org.leads(1, Country="ES")
    meet(org, other)
    run(project, 2)
    assert shown(org, ana)[0] == pytest.approx(shown(org, other)[0], abs=0.5), "its meeting still counts"


def test_case_10_of_a_chain_of_merges_one_person_remains_and_everything_counts_once(
    org: House, project: Project
) -> None:
    one, two, three, like = org.contacts(4, MailingCountry="ES")
    meet(org, one)
    meet(org, like)
    run(project, 2)
    org.forget()
    org.merged(two, one)
    org.merged(three, two)
    run(project, 2)
    assert leads(project) == 2
    assert shown(org, three) == shown(org, like)
    assert shown(org, three)[0] > 60, "with the meeting of the first"
    assert written(org) <= {three}
    org.forget()
    run(project, 3)
    assert written(org) == set()


def test_case_10_what_was_absorbed_points_at_the_end_of_the_chain_however_it_is_asked_for(org: House) -> None:
    one, two, three = org.contacts(3)
    org.let_pass(120)
    crm = Reader(org.asked())
    since = list(crm.pull("Contact", None))[-1].cursor
    org.merged(two, one)
    org.merged(three, two)
    org.let_pass(120)
    for pages in (list(crm.pull("Contact", since)), list(crm.fetch("Contact", [one, two], lately=False))):
        found = records(pages)
        assert {found[one].merged_into, found[two].merged_into} == {key(three)}
        assert (found[one].deleted, found[three].merged_into, found[three].deleted) == (False, None, False)
    org.purge(two)
    (lost,) = (each for each in crm.read_back([key(one)]) if each.key.id == one)
    assert lost.merged_into == key(two), "as far as the chain is still known"


def test_case_11_two_leads_become_one_contact_with_their_score_and_nothing_counts_twice(
    org: House, project: Project
) -> None:
    ana, twin, like = org.leads(3, Country="ES")
    meet(org, ana)
    meet(org, like)
    run(project, 2)
    assert shown(org, ana)[1] == "mql"
    org.let_pass(300)
    contact = org.convert(ana)["contactId"]
    org.convert(twin, contactId=contact)
    org.forget()
    run(project, 2)
    assert leads(project) == 2
    assert shown(org, contact) == shown(org, like)
    assert written(org) <= {contact}, "a converted lead is read-only"
    meet(org, contact)
    run(project, 2)
    assert shown(org, contact)[1] == "sql", "and goes on from there"
    org.forget()
    run(project, 3)
    assert written(org) == set()


def test_case_11_a_converted_lead_is_told_as_what_it_became_and_so_is_who_asks_by_id(org: House) -> None:
    (ana,) = org.leads(1, Country="ES")
    contact = org.convert(ana)["contactId"]
    org.let_pass(120)
    crm = Reader(org.asked(CALLS))
    (seen,) = records(list(crm.pull("Lead", None))).values()
    assert (seen.merged_into, seen.deleted) == (RecordKey("crm", "Contact", contact), False)
    fetched = records(list(crm.fetch("Lead", [ana], lately=False)))
    assert fetched[ana].merged_into == key(contact)
    assert fetched[contact].key == key(contact)
    assert {each.key.id for each in crm.read_back([key(ana)])} == {ana, contact}


def test_case_12_the_account_and_the_contact_of_a_person_are_scored_as_one(tmp_path: Path, database_url: str) -> None:
    with house(features={"person_accounts": True}) as org:
        project = Project(org, tmp_path, database_url)
        account = org.create("Account", FirstName="Ana", LastName="Sol", PersonMailingCountry="ES")
        run(project)
        org.change(account, PersonMailingCountry="MX")
        run(project, 2)
        contact = org.shown(account)["PersonContactId"]
        assert leads(project) == 1
        assert shown(org, contact) == (40.0, "mql")
