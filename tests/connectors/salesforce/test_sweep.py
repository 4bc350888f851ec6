"""What no change tells of: the sweep, and asking by id."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from connectors.salesforce import objects
from connectors.salesforce.read import Reader
from syncer.connector import Wanted
from syncer.model import Cursor, Page
from tests.connectors.salesforce.orgs import House, activities, let_waits_pass, records
from tests.connectors.salesforce.test_reading import after, ids

COUNTRY = Wanted(fields=("country",))
MEETINGS = Wanted(activities=("meeting", "campaign_member"))


def swept(org: House, since: Cursor | None = None, stream: str = "Lead", **settings: Any) -> list[Page]:
    return list(Reader(org.asked(COUNTRY, **settings)).sweep(stream, since))


def quietly(org: House, identity: str, **values: object) -> None:
    """As a formula's value changes: the record bears the stamp it bore before."""
    org.load(org.kind_of(identity), [{**org.shown(identity), **values}])


def test_a_value_that_changes_without_a_trace_is_seen_by_the_sweep_alone(org: House) -> None:
    (ana,) = org.leads(1, Country="ES")
    org.let_pass(120)
    since = after(list(Reader(org.asked(COUNTRY)).pull("Lead", None)))
    quietly(org, ana, Country="FR")
    assert ids(list(Reader(org.asked(COUNTRY)).pull("Lead", since))) == []
    assert records(swept(org))[ana].fields["country"] == "FR"


def test_a_sweep_shows_everything_once_goes_on_where_it_was_and_ends(org: House) -> None:
    org.behave(page_rows=200)
    made = org.leads(450)
    first = next(iter(Reader(org.asked(COUNTRY)).sweep("Lead", None)))
    rest = swept(org, first.cursor)
    assert sorted(ids([first]) + ids(rest)) == sorted(made)
    over = swept(org, after(rest))
    assert (ids(over), len(over)) == ([], 1)


def test_a_sweep_does_not_move_where_the_pull_stands(org: House) -> None:
    (ana,) = org.leads(1, Country="ES")
    org.let_pass(120)
    since = after(list(Reader(org.asked(COUNTRY)).pull("Lead", None)))
    org.change(ana, Country="FR")
    end = after(swept(org))
    assert end != since
    assert ids(list(Reader(org.asked(COUNTRY)).pull("Lead", since))) == [ana]


@pytest.mark.parametrize("way", ["rest", "bulk"])
def test_who_is_deleted_between_two_slices_of_a_sweep_is_not_shown_alive(
    org: House, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_waits_pass(monkeypatch, org)
    monkeypatch.setattr(objects, "_STORED", 100)
    org.behave(page_rows=200)
    made = sorted(org.leads(450))
    pages = Reader(org.asked(COUNTRY, first_load=way)).sweep("Lead", None)
    first = next(page for page in pages if page.records)
    pages.close()  # type: ignore[attr-defined]
    last = made[-1]
    assert last not in ids([first])
    org.remove(last)
    org.let_pass(120)
    assert records(swept(org, first.cursor, first_load=way))[last].deleted


@pytest.mark.parametrize("way", ["auto", "bulk"])
def test_however_large_an_object_is_it_is_swept_by_queries_of_now(
    org: House, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_waits_pass(monkeypatch, org)
    monkeypatch.setattr(objects, "MANY", 100)
    made = org.leads(101)
    org.forget()
    pages = swept(org, first_load=way)
    assert set(ids(pages)) == set(made)
    assert not any("/jobs/query" in each["url"] for each in org.log())
    assert {page.expected for page in pages} == {101}


def test_case_08_one_who_is_in_the_recycle_bin_is_deleted_and_one_who_is_past_it_erased(org: House) -> None:
    ana, ben = org.leads(2)
    org.remove(ana)
    org.purge(ben)
    found = records(list(Reader(org.asked(COUNTRY)).fetch("Lead", [ana, ben], lately=False)))
    assert (found[ana].deleted, found[ana].erased) == (True, False)
    assert (found[ben].deleted, found[ben].erased) == (True, True)


def test_many_are_asked_for_by_id_two_hundred_at_a_time_and_each_once(org: House) -> None:
    made = org.leads(450)
    org.forget()
    pages = list(Reader(org.asked(COUNTRY)).fetch("Lead", [*made, *made], lately=False))
    assert sorted(ids(pages)) == sorted(made)
    assert len([each for each in org.log() if "WHERE+Id+IN" in each["url"] and "FROM+Lead" in each["url"]]) == 3


def test_what_somebody_did_lately_is_asked_for_by_person_for_every_stream_that_can(org: House) -> None:
    (ana, ben), at = org.leads(2), org.org.clock.stamp()
    times = {"StartDateTime": at, "ActivityDateTime": at, "DurationInMinutes": 30}
    (demo,) = org.load("Event", [{"WhoId": ana, "Subject": "Demo", **times}])
    org.load("Event", [{"WhoId": ben, "Subject": "Demo", **times}])
    (campaign,) = org.load("Campaign", [{"Name": "Webinar"}])
    (member,) = org.load("CampaignMember", [{"CampaignId": campaign, "LeadId": ana}])
    org.let_pass(60)
    pages = list(Reader(org.asked(MEETINGS)).fetch("Lead", [ana], lately=True))
    found = {each.id for each in activities(pages).values() if not each.deleted}
    assert found == {f"Event/{demo}", f"CampaignMember/{member}"}


def test_what_cannot_be_asked_for_lately_keeps_nobody_from_being_read(
    org: House, caplog: pytest.LogCaptureFixture
) -> None:
    (ana,) = org.leads(1)
    org.fault(path="FROM.Event|sobjects/Event", code="INSUFFICIENT_ACCESS")
    with caplog.at_level(logging.DEBUG):
        pages = list(Reader(org.asked(MEETINGS)).fetch("Lead", [ana], lately=True))
    assert ids(pages) == [ana]
