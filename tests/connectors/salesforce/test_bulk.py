"""Everything at once by the Bulk API: the same as by REST, whatever becomes of the job."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from connectors.salesforce import bulk, objects
from connectors.salesforce.client import Answer
from connectors.salesforce.read import Reader
from connectors.salesforce.selection import select
from syncer.connector import Wanted
from syncer.errors import TemporaryError
from syncer.model import Cursor, Page
from tests.connectors.salesforce.orgs import House, let_waits_pass, records
from tests.connectors.salesforce.test_reading import ODD, after, ids, logged

WANTED = Wanted(fields=("country", "annualrevenue", "numberofemployees", "hasoptedoutofemail", "emailbounceddate"))
RESULTS = "/results"


@pytest.fixture(autouse=True)
def no_waits(org: House, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    return let_waits_pass(monkeypatch, org)


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "PAGE", 100)
    monkeypatch.setattr(objects, "_STORED", 40)


def pull(org: House, since: Cursor | None = None, wanted: Wanted = WANTED, **settings: Any) -> Iterator[Page]:
    """By a new connector, with the Bulk API unless told otherwise."""
    return Reader(org.asked(wanted, **{"first_load": "bulk", **settings})).pull("Lead", since)


def jobs(org: House) -> int:
    """Jobs begun since the last `forget`."""
    return sum(each["method"] == "POST" and each["url"].endswith("/jobs/query") for each in org.log())


def test_it_brings_what_rest_brings_type_by_type(org: House) -> None:
    made = org.leads(250, Country="ES", AnnualRevenue=12.5, NumberOfEmployees=7, HasOptedOutOfEmail=True)
    made += org.leads(1, EmailBouncedDate="2026-11-22T01:02:03.000+0000", AnnualRevenue=5_000_000.0)
    (gone,) = org.leads(1)
    org.remove(gone)
    by_rest = records(list(pull(org, first_load="rest")))
    by_bulk = records(list(pull(org)))
    assert by_bulk == by_rest
    assert dict(by_bulk[made[0]].fields) == {
        "country": "ES", "annualrevenue": 12.5, "numberofemployees": 7, "hasoptedoutofemail": True,
    }  # fmt: skip
    assert by_bulk[made[-1]].fields["emailbounceddate"] == "2026-11-22T01:02:03.000Z"
    assert type(by_bulk[made[-1]].fields["annualrevenue"]) is int, "5000000.0 and 5000000 are one number"
    assert by_bulk[gone].deleted
    assert len(by_bulk) == 252


def test_case_20_odd_names_and_long_texts_come_by_csv_as_they_come_by_rest(org: House) -> None:
    wanted = Wanted(fields=("description", "country"))
    text = 'a "quote", a\r\nline\nand ' + "é" * 31_900
    made = org.load("Lead", [{"LastName": each, "Description": text} for each in ODD])
    made += org.load("Lead", [{"LastName": "With\x00NUL", "Description": "x"}])
    by_bulk = records(list(pull(org, wanted=wanted)))
    assert [by_bulk[each].name for each in made] == [*ODD, "With\x00NUL"]
    assert {by_bulk[each].fields["description"] for each in made[:-1]} == {text}
    assert by_bulk == records(list(pull(org, wanted=wanted, first_load="rest")))


def test_a_cell_longer_than_csv_usually_takes_is_read(org: House) -> None:
    org.org.add_field("Lead", {"fullName": "Story__c", "label": "Story", "type": "LongTextArea", "length": 131_072})
    (ana,) = org.leads(1, Story__c="é" * 131_072)
    found = records(list(pull(org, wanted=Wanted(fields=("story__c",)))))
    assert len(str(found[ana].fields["story__c"])) == 131_072


@pytest.mark.parametrize("headers", [True, False])
def test_pages_with_and_without_their_own_header_bring_everybody_once(org: House, headers: bool) -> None:
    made = org.leads(350)
    org.behave(bulk_headers=headers)
    org.let_pass(120)
    pages = list(pull(org))
    found = [page for page in pages if page.records]
    assert sorted(ids(pages)) == sorted(made)
    assert max(len(page.records) for page in found[:-1]) == 40
    assert {page.expected for page in found[:9]} == {350}


def test_small_objects_are_read_by_rest_and_large_ones_by_a_job(org: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "MANY", 200)
    org.leads(200)
    list(pull(org, first_load="auto"))
    assert jobs(org) == 0
    org.leads(1)
    list(pull(org, first_load="auto"))
    assert jobs(org) == 1
    list(pull(org, first_load="rest"))
    assert jobs(org) == 1


def test_a_load_that_dies_goes_on_with_the_same_job_from_its_last_stored_page(org: House) -> None:
    made = org.leads(500)
    org.let_pass(120)
    stored: list[Page] = []
    for page in pull(org):
        stored.append(page)
        if len(ids(stored)) >= 220:
            break
    rest = list(pull(org, stored[-1].cursor))
    assert jobs(org) == 1
    assert set(ids(stored) + ids(rest)) == set(made)
    assert len(ids(rest)) == 300, "a page of results that was stored does not come again"


def test_one_that_dies_before_its_job_is_done_waits_for_that_job(org: House) -> None:
    made = org.leads(50)
    org.behave(bulk_polls=5)
    first = next(pull(org))
    assert (first.records, first.cursor is not None) == ((), True)
    assert set(ids(list(pull(org, first.cursor)))) == set(made)
    assert jobs(org) == 1


def test_a_job_that_is_gone_is_begun_anew(org: House, caplog: pytest.LogCaptureFixture) -> None:
    made = org.leads(50)
    first = next(pull(org))
    org.instance.jobs.clear()
    with caplog.at_level(logging.WARNING):
        assert set(ids(list(pull(org, first.cursor)))) == set(made)
    assert logged(caplog, "job_gone")
    assert jobs(org) == 2


def test_jobs_that_are_lost_each_time_end_as_something_that_patience_may_mend(org: House) -> None:
    org.leads(5)
    org.fault(path="/jobs/query/750", code="NOT_FOUND")
    with pytest.raises(TemporaryError, match="loses its jobs"):
        list(pull(org))


def test_what_changes_while_the_job_runs_is_read_behind_it(org: House) -> None:
    ana, ben = org.leads(2, Country="ES")
    pages = pull(org)
    first = next(pages)
    org.let_pass(60)
    org.change(ana, Country="FR")
    (late,) = org.leads(1, Country="PT")
    found = records([first, *pages])
    assert {each: found[each].fields["country"] for each in found} == {ana: "FR", ben: "ES", late: "PT"}


@pytest.mark.parametrize("how", ["no bulk at all", "job fails", "not supported"])
def test_where_the_bulk_api_does_not_serve_rest_does(org: House, how: str, caplog: pytest.LogCaptureFixture) -> None:
    made = org.leads(300)
    if how == "no bulk at all":
        org.behave(bulk=False)
    elif how == "not supported":
        org.fault(path="/jobs/query$", method="POST", code="API_DISABLED_FOR_ORG")
    with caplog.at_level(logging.WARNING):
        pages = pull(org)
        first = next(pages)
        if how == "job fails":
            (job,) = org.instance.jobs.values()
            job.query = "SELECT Nothing__c FROM Lead"
        found = [first, *pages]
    assert set(ids(found)) == set(made)
    assert logged(caplog, "not_by_bulk")
    assert after(found)


def test_a_page_that_is_cut_off_is_asked_for_again_and_never_taken_for_the_whole(org: House) -> None:
    made = org.leads(250)
    org.fault(path=RESULTS, body="truncated", times=2)
    assert set(ids(list(pull(org)))) == set(made)
    org.fault(path=RESULTS, body="truncated")
    with pytest.raises(TemporaryError):
        list(pull(org))


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ('"Id","SystemModstamp","IsDeleted"\n"1","2","false"\n', "2"),
        ('"Id","SystemModstamp","IsDeleted"\n"1","2","false"\n"1","2"\n', "2"),
        ('"Id","SystemModstamp","IsDeleted"\n"1","2","fal', "1"),
        ("", "1"),
    ],
)
def test_a_page_of_less_than_it_says_is_no_page(org: House, text: str, count: str) -> None:
    chosen = select(org.asked().describes, "Lead", ())
    with pytest.raises(TemporaryError, match=r"^crm: reading Lead: ") as raised:
        bulk._understood(Answer(200, text, {"Sforce-NumberOfRecords": count}), chosen, "crm: reading Lead")
    assert raised.value.code == "SY143"


def test_a_job_that_takes_for_ever_is_left_to_the_next_run(org: House, no_waits: list[float]) -> None:
    org.leads(3)
    org.behave(bulk_polls=100_000)
    pages: list[Page] = []
    with pytest.raises(TemporaryError, match="the next run looks again") as raised:
        pages.extend(pull(org))
    assert raised.value.code == "SY151"
    assert 3_600 <= sum(no_waits) < 4_000
    assert jobs(org) == 1


def test_a_field_that_is_withdrawn_before_the_job_begins_is_left_out(org: House) -> None:
    (ana,) = org.leads(1, Country="ES", NumberOfEmployees=7)
    source = Reader(org.asked(WANTED, first_load="bulk"))
    source._org.describes.of("Lead")
    org.control("access", object="Lead", field="NumberOfEmployees", access="hidden")
    found = records(list(source.pull("Lead", None)))
    assert dict(found[ana].fields) == {"country": "ES", "hasoptedoutofemail": False}


def test_a_pull_gives_its_caller_a_chance_to_leave_while_a_job_is_worked_off(org: House, no_waits: list[float]) -> None:
    org.leads(3)
    org.behave(bulk_polls=4)
    pages = list(pull(org))
    waiting = next(at for at, page in enumerate(pages) if page.records)
    assert waiting == 5, "one when it begins, and one for each wait"
    assert no_waits == [0.5, 1.0, 2.0, 4.0]
    assert all(page.cursor for page in pages)


def test_results_that_cannot_be_had_are_asked_for_as_often_as_anything_and_no_more(org: House) -> None:
    org.leads(3)
    org.fault(path=RESULTS, status=503)
    with pytest.raises(TemporaryError, match="crm: reading Lead by the Bulk API"):
        list(pull(org))
    assert org.statuses(RESULTS) == {503: 6}


def test_a_job_begun_for_other_fields_is_begun_anew(org: House) -> None:
    (ana,) = org.leads(1, Country="ES", NumberOfEmployees=7)
    first = next(pull(org, wanted=Wanted(fields=("country",))))
    found = records(list(pull(org, first.cursor)))
    assert found[ana].fields["numberofemployees"] == 7
    assert jobs(org) == 2
