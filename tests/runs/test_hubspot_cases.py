"""The numbered cases of a real HubSpot that concern a whole run, from the portal to sales and back.

On SQLite they speak API v3, on PostgreSQL 2026-09: the two families, and the two databases.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from syncer.app import App
from syncer.parts import Asked, Report
from syncer.run import sync
from syncer.store import mirror
from syncer.store.tables import metadata
from tests.receivers import Reply
from tests.runs.house import MODEL, House

pytestmark = pytest.mark.slow  # each lives through several runs, some through days

READY = {"country": "ES", "jobtitle": "Director"}


@pytest.fixture
def office(house: House) -> House:
    """The house with nobody in it and all fields in place, in the API family of its database."""
    version = "v3" if house.database_url.startswith("sqlite") else "2026-09"
    path = house.folder / "syncer.yml"
    path.write_text(path.read_text().replace("    lag: 0s\n", f"    lag: 0s\n    api_version: '{version}'\n"))
    house.setup()
    return house


@contextmanager
def opened(house: House, *, days: float = 0) -> Iterator[App]:
    """The app, so many days later."""
    house.pass_time()
    with house.app() as app:
        yield replace(app, clock=lambda: datetime.now(UTC) + timedelta(days=days))


def run(house: House, *, days: float = 0, asked: Asked | None = None) -> Report:
    """One run, so many days later."""
    with opened(house, days=days) as app:
        return sync(app.parts("crm"), asked or Asked())


def leads(house: House) -> int:
    with house.app() as app, app.store.reading() as tx:
        return mirror.count(tx, "crm")


def ready(house: House, *, meetings: int = 2, **properties: str) -> str:
    """Somebody who is SQL, once read."""
    person = house.person(**{**READY, **properties})
    for _ in range(meetings):
        house.meeting(person)
    return person


def points(house: House, person: str) -> float:
    """Its score as HubSpot shows it."""
    return float(house.shown(person)["ls_score"] or 0)


def named(house: House, word: str) -> list[str]:
    """The tables in which the word stands."""
    with house.app() as app, app.store.reading() as tx:
        rows = [(table.name, row) for table in metadata.sorted_tables for row in tx.execute(select(table))]
    return sorted({name for name, row in rows if word in repr(tuple(row))})  # a row itself cuts long texts


def test_case_07_a_calculated_property_that_leaves_no_trace_is_found_by_the_daily_sweep_and_scored(
    office: House,
) -> None:
    told, counted = "when: {jobtitle: {contains: [director]}}", "when: {num_conversion_events: {at_least: 1}}"
    (office.folder / "model.yml").write_text(MODEL.replace(told, counted))
    person = office.person(country="ES")
    run(office)
    run(office)
    assert office.shown(person)["ls_score"] == "40"
    office.control("calculate", objectType="contacts", id=person, properties={"num_conversion_events": "1"})
    assert run(office, days=0.9).counts["swept"] == 0
    assert office.shown(person)["ls_score"] == "40", "no change shows it"
    swept = run(office, days=1.1)
    assert (swept.counts["swept"], swept.rings) == (1, {"crm"}), "the sweep does, and asks for a run at once"
    run(office, days=1.1)
    assert office.shown(person)["ls_score"] == "50"


def test_case_13_an_archived_contact_leaves_scoring_and_comes_back_with_its_past_when_it_is_restored(
    office: House,
) -> None:
    person = ready(office, meetings=1)
    run(office)
    assert office.shown(person)["ls_stage"] == "mql"
    office.api("DELETE", f"/crm/v3/objects/contacts/{person}")
    run(office, days=1.1)
    assert leads(office) == 0
    office.forget_calls()
    run(office, days=1.2)
    assert office.writes() == 0, "nobody writes to it"
    office.control("restore", objectType="contacts", id=person)
    run(office, days=2.3)
    run(office, days=2.3)
    assert leads(office) == 1
    explained = office.json("explain", person)
    assert explained["stage"] == "mql"
    assert any("Came to a meeting" in line["name"] for line in explained["contributions"])
    office.meeting(person)
    run(office, days=2.4)
    assert office.shown(person)["ls_stage"] == "sql"
    assert len(office.told()) == 1


def test_case_14_a_contact_erased_for_privacy_leaves_nothing_personal_and_nobody_is_told_of_it(office: House) -> None:
    office.person(country="FR")
    run(office)
    office.control("faults", faults=[{"path": "/batch/update", "status": 403}])
    erased = ready(office, email="zsofia.varga@acme.example", lastname="Zsofia", jobtitle="Directora Zsofia")
    run(office)
    assert office.json("status")["connections"]["crm"]["notices"] == {"waiting": 1}, "for HubSpot to show the stage"
    office.control("faults", faults=[])
    assert {"records", "handoffs"} <= set(named(office, "sofia"))
    office.api("POST", "/crm/v3/objects/contacts/gdpr-delete", objectId=erased)
    run(office, days=1.1)
    assert leads(office) == 1, "told once, she is as good as deleted"
    run(office, days=1.2)
    assert named(office, "sofia") == [], "told twice, she was never here"
    assert office.told() == []
    assert office.json("status")["connections"]["crm"]["notices"] == {"dropped": 1}
    assert leads(office) == 1
    if office.database_url.startswith("sqlite"):
        file = Path(office.database_url.removeprefix("sqlite:///"))
        assert b"zsofia" not in file.read_bytes().lower()


@pytest.mark.parametrize(("into_the_new", "keeps_primary_id"), [(True, True), (True, False), (False, True)])
def test_case_15_two_merged_contacts_are_one_lead_with_what_both_did_and_sales_is_told_once(
    office: House, into_the_new: bool, keeps_primary_id: bool
) -> None:
    office.control("manners", merge_keeps_primary_id=keeps_primary_id)
    known, new = office.person(**READY), office.person()
    run(office)
    office.meeting(known)
    office.meeting(known)
    run(office)
    assert len(office.told()) == 1
    primary, absorbed = (new, known) if into_the_new else (known, new)
    pair = {"primaryObjectId": primary, "objectIdToMerge": absorbed}
    kept = office.api("POST", "/crm/v3/objects/contacts/merge", **pair)["id"]
    assert (kept == primary) is keeps_primary_id
    office.meeting(kept)
    for days in (0, 0.1, 1.1, 1.2):
        assert run(office, days=days).counts["rejected"] == 0, "nothing is written to a dead id"
        assert leads(office) == 1
        explained = office.json("explain", kept)
        assert (explained["lead"], explained["stage"]) == (f"crm/contacts/{kept}", "sql")
        assert office.shown(kept)["ls_stage"] == "sql"
        assert len(office.told()) == 1, "sales knows of this person"
    assert sum(line["points"] > 0 and "meeting" in line["name"] for line in explained["contributions"]) == 1


def test_case_18_an_activity_that_is_tied_to_somebody_else_changes_both_scores(office: House) -> None:
    one, other = office.person(country="ES"), office.person(country="ES")
    meeting = office.meeting(one)
    run(office)
    assert points(office, one) > 65 > 40 == points(office, other)
    office.api("DELETE", f"/crm/v4/objects/meetings/{meeting}/associations/contacts/{one}")
    office.api("PUT", f"/crm/v4/objects/meetings/{meeting}/associations/default/contacts/{other}")
    office.control("edit", objectType="meetings", id=meeting, properties={"hs_meeting_title": "Moved"})
    run(office)
    assert points(office, one) == 40 < 65 < points(office, other)
    office.control("edit", objectType="meetings", id=meeting, properties={"hs_meeting_outcome": "NO_SHOW"})
    run(office)
    assert points(office, other) == 40, "an edit counts as well"


def test_case_18_ties_that_change_without_a_trace_are_found_by_the_weekly_sweep(office: House) -> None:
    one, other = office.person(country="ES"), office.person(country="ES")
    kept, gone = office.meeting(one), office.meeting(other)
    run(office)
    office.portal.links.untie(("meetings", int(kept)), ("contacts", int(one)))
    office.api("DELETE", f"/crm/v3/objects/meetings/{gone}")
    assert points(office, one) > 65 < points(office, other)
    for _ in range(2):
        run(office, days=7.1)
    assert points(office, one) == points(office, other) == 40


def test_case_32_a_portal_that_always_breaks_off_half_way_is_read_to_its_end_all_the_same(office: House) -> None:
    for _ in range(5):
        office.control("load", objects={"contacts": [{"properties": {"country": "ES"}} for _ in range(300)]})
    outcomes: list[str] = []
    while outcomes[-1:] != ["ok"]:
        office.control("faults", faults=[])
        office.control("faults", faults=[{"path": "/contacts[?]", "skip": 6, "status": 403}])
        outcomes.append(run(office).outcome)
        assert len(outcomes) < 15, "every run ends a little further"
    assert len(outcomes) > 2, "and none comes to the end at once"
    assert leads(office) == 1500


def test_case_40_the_echo_of_our_own_writes_is_read_and_nothing_is_written_again(office: House) -> None:
    office.control("load", objects={"contacts": [{"properties": {"country": "ES"}} for _ in range(250)]})
    assert run(office).counts["written"] == 250
    office.forget_calls()
    for days in (0, 0, 1.1, 1.2):  # with a sweep of everybody
        report = run(office, days=days)
        assert (report.counts["written"], report.counts["stage_changes"]) == (0, 0)
    assert office.writes() == 0


def test_case_45_sales_is_told_once_for_each_time_a_lead_becomes_sql_whatever_happens_in_between(office: House) -> None:
    office.person(country="FR")
    run(office)
    lead = ready(office)
    office.hook.script.extend([Reply(503), Reply(503)])
    office.control("faults", faults=[{"path": "/batch/update", "status": 503, "times": 2}])
    run(office)
    run(office, days=0.1)
    run(office, days=0.2, asked=Asked(full=True))
    run(office, days=1.3)
    assert len(office.told()) == 1
    office.edit(lead, country="FR")
    run(office, days=1.4)
    assert office.shown(lead)["ls_stage"] == "cold"
    office.edit(lead, country="ES")
    run(office, days=1.5)
    run(office, days=1.6)
    assert [each["episode"] for each in office.told()] == [1, 2], "back again is news by policy"
