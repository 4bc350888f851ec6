"""Increments: what was changed since the cursor, whatever happens on the way."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.salesforce.position import Position
from connectors.salesforce.read import Reader
from connectors.salesforce.refusals import Problem, Refused, TooHeavy
from connectors.salesforce.selection import select
from connectors.salesforce.values import id18
from connectors.salesforce.walks import Changes
from syncer.connector import Wanted
from syncer.errors import ConfigError, TemporaryError
from syncer.model import Cursor, Page
from tests.connectors.salesforce.orgs import STAGE, House, house, key, let_waits_pass, records, rejected

COUNTRY = Wanted(fields=("country",))
LEAD, CONTACT = "Lead", "Contact"


def reader(org: House, wanted: Wanted = COUNTRY, **settings: Any) -> Reader:
    """A new one: it remembers nothing."""
    return Reader(org.asked(wanted, **settings))


def pulled(org: House, since: Cursor | None = None, stream: str = LEAD, **settings: Any) -> list[Page]:
    return list(reader(org, **settings).pull(stream, since))


def read(org: House, stream: str = LEAD, **settings: Any) -> Cursor:
    """Everything is read, and settled: where the stream stands then."""
    org.let_pass(120)
    return after(pulled(org, stream=stream, **settings))


def after(pages: Sequence[Page]) -> Cursor:
    cursor = pages[-1].cursor
    assert cursor is not None
    return cursor


def ids(pages: Sequence[Page]) -> list[str]:
    """As they came."""
    return [record.key.id for page in pages for record in page.records]


def countries(pages: Sequence[Page]) -> dict[str, object]:
    return {each: record.fields.get("country") for each, record in records(pages).items()}


def logged(caplog: pytest.LogCaptureFixture, event: str) -> list[Any]:
    return [each for each in caplog.records if each.message == event]


def queries(org: House) -> list[str]:
    """The statements asked of queryAll since the last `forget`."""
    return [each["url"] for each in org.log() if "/queryAll" in each["url"]]


def test_case_01_two_hundred_of_one_second_are_read_once_each_across_pages_and_across_a_crash(org: House) -> None:
    since = read(org)
    org.control("clock", frozen=True)
    made = org.leads(450)
    org.behave(page_rows=150)
    org.let_pass(300)
    assert len({org.shown(each)["SystemModstamp"] for each in made[::100]}) == 1
    first = next(iter(reader(org).pull(LEAD, since)))
    rest = pulled(org, first.cursor)
    assert len(first.records) == 150
    assert sorted(ids([first]) + ids(rest)) == sorted(made), "each once"
    assert ids(pulled(org, after(rest))) == []


def test_case_02_what_is_committed_late_with_an_early_stamp_is_found_by_the_next_poll(org: House) -> None:
    slow, quick = org.leads(2, Country="ES")
    since = read(org)
    begun = org.control("begin", started_s_ago=0)["transaction"]
    org.control("edit", object=LEAD, id=slow, values={"Country": "PT"}, transaction=begun)
    org.let_pass(90)
    org.change(quick, Country="FR")
    org.let_pass(90)
    first = pulled(org, since)
    assert countries(first) == {quick: "FR"}, "what can be seen is not kept back"
    org.control("end", commit=begun)
    second = pulled(org, after(first))
    assert countries(second)[slow] == "PT"
    stamps = records([*first, *second])
    assert stamps[slow].modified_at < stamps[quick].modified_at
    org.let_pass(120)
    third = pulled(org, after(second))
    assert ids(pulled(org, after(third))) == [], "and then all is quiet"


def test_case_03_a_log_that_is_twenty_minutes_behind_holds_the_watermark_back_and_no_more_than_that(
    org: House,
) -> None:
    old, new = org.leads(2, Country="ES")
    since = read(org)
    org.switch(covered_lag_s=1200)
    org.change(old, Country="FR")
    org.let_pass(1800)
    org.change(new, Country="IT")
    org.let_pass(60)
    first = pulled(org, since)
    assert countries(first) == {old: "FR", new: "IT"}
    second = pulled(org, after(first))
    assert countries(second) == {new: "IT"}, "of the last twenty minutes only"
    late = {"started_s_ago": 600, "commit_after_s": 1}
    org.control("edit", object=LEAD, id=old, values={"Country": "PT"}, **late)
    org.let_pass(1)
    seen = records(pulled(org, after(second)))[old]
    assert seen.fields["country"] == "PT"
    assert org.org.clock.now() - seen.modified_at > timedelta(minutes=9), "stamped long ago, and seen now"


def test_case_05_when_a_locator_dies_reading_goes_on_from_the_last_record_and_brings_none_twice(org: House) -> None:
    since = read(org)
    org.control("clock", frozen=True)
    made = org.leads(450)
    org.behave(page_rows=100)
    org.let_pass(120)
    org.forget()
    org.fault(path="/query/0r8", code="INVALID_QUERY_LOCATOR", skip=1, times=1)
    pages = pulled(org, since)
    assert sorted(ids(pages)) == sorted(made)
    assert len(ids(pages)) == len(set(ids(pages)))
    last = sorted(made)[199]
    assert [each for each in queries(org) if last in each], "it was asked for what comes behind the second page"


def test_case_05_a_locator_that_dies_among_changes_costs_nothing_either(org: House) -> None:
    since = read(org)
    made = []
    for _ in range(4):
        made += org.leads(60)
        org.let_pass(5)
    org.behave(page_rows=100)
    org.let_pass(120)
    org.fault(path="/query/0r8", code="INVALID_QUERY_LOCATOR", times=1)
    assert sorted(ids(pulled(org, since))) == sorted(made)


def test_a_locator_that_dies_each_time_ends_the_pull_as_something_that_patience_may_mend(
    org: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    since = read(org)
    let_waits_pass(monkeypatch, org)
    org.leads(250)
    org.behave(page_rows=200)
    org.fault(path="/query/0r8", code="INVALID_QUERY_LOCATOR")
    with pytest.raises(TemporaryError):
        pulled(org, since)


@pytest.mark.parametrize("body", ["short_page", "empty_page", "no_next_url"])
def test_case_06_pages_that_are_short_empty_or_lead_nowhere_lose_nobody(
    org: House, body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_waits_pass(monkeypatch, org)
    made = org.leads(1_700)
    org.let_pass(120)
    org.fault(path="/query", body=body, times=2)
    assert sorted(ids(pulled(org))) == sorted(made)


@pytest.mark.parametrize("body", ["empty_page", "no_next_url"])
def test_case_06_pages_that_never_get_whole_are_an_error_and_no_end_of_the_list(
    org: House, body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_waits_pass(monkeypatch, org)
    org.leads(300)
    org.behave(page_rows=200)
    org.fault(path="/query(All)?/?[0?]", body=body)
    with pytest.raises(TemporaryError) as raised:
        pulled(org)
    assert raised.value.code == "SY143"


def test_case_07_what_moves_while_pages_are_read_is_seen_in_its_newest_state_and_nobody_is_skipped(
    org: House,
) -> None:
    made = org.leads(450, Country="ES")
    since = read(org)
    for each in made:
        org.org.update(LEAD, each, {"Country": "FR"})
    org.behave(page_rows=150)
    org.let_pass(120)
    pages, seen = reader(org).pull(LEAD, since), []
    for page in pages:
        seen.append(page)
        if len(seen) == 1:
            org.change(made[-1], Country="PT")  # from the last page to behind the end
            org.change(made[0], Country="IT")  # it was read already
    again = pulled(org, after(seen))
    final = countries([*seen, *again])
    assert final == {**dict.fromkeys(made, "FR"), made[0]: "IT", made[-1]: "PT"}
    assert set(ids(again)) <= {made[0], made[-1]}
    assert records(seen)[made[1]].fields["country"] == "FR"


def test_case_07_a_row_that_moves_away_from_the_end_of_a_page_does_not_take_the_cursor_with_it(org: House) -> None:
    made = org.leads(400, Country="ES")
    since = read(org)
    for each in made:
        org.org.update(LEAD, each, {"Country": "FR"})
    org.behave(page_rows=100)
    org.let_pass(120)
    seen = []
    for page in reader(org).pull(LEAD, since):
        seen.append(page)
        if len(seen) == 1:
            org.change(made[299], Country="PT")  # the last of the third page, which is not asked for yet
        if len(seen) == 3:
            break
    assert seen[2].records[-1].fields["country"] == "PT"
    assert set(made[300:]) <= set(ids(pulled(org, after(seen)))), "a pull that dies there goes on with the fourth page"


def test_a_transaction_that_began_before_the_watermark_moves_it_back(org: House) -> None:
    (ana,) = org.leads(1, Country="ES")
    since = read(org)
    begun = org.control("begin", started_s_ago=600)["transaction"]
    org.control("edit", object=LEAD, id=ana, values={"Country": "FR"}, transaction=begun)
    held = after(pulled(org, since))
    org.control("end", commit=begun)
    assert countries(pulled(org, held)) == {ana: "FR"}


def test_case_08_one_who_is_deleted_between_two_polls_is_told_as_deleted(org: House) -> None:
    ana, ben = org.leads(2)
    since = read(org)
    org.remove(ana)
    org.let_pass(120)
    (gone,) = records(pulled(org, since)).values()
    assert (gone.key, gone.deleted, gone.erased, gone.email) == (key(ana), True, False, None)
    assert ben not in ids(pulled(org, since))


def test_case_08_one_who_was_deleted_past_the_recycle_bin_is_told_by_the_log_of_deletions(org: House) -> None:
    ana, ben, eva = org.leads(3)
    since = read(org)
    org.purge(ana)
    org.let_pass(1200)
    known = Wanted(known=lambda stream, asked: {each: org.org.clock.now() for each in asked if each != eva})
    pages = list(Reader(org.asked(known)).pull(LEAD, since))
    (gone,) = records(pages).values()
    assert (gone.key, gone.deleted, gone.erased) == (key(ana), True, False)
    org.purge(eva)
    org.let_pass(1200)
    assert ids(list(Reader(org.asked(known)).pull(LEAD, after(pages)))) == [], "who was never here is not looked for"
    assert ben in ids(list(reader(org).sweep(LEAD, None)))


def test_case_08_an_outage_longer_than_the_log_of_deletions_is_said_and_asking_by_id_tells_the_truth(
    org: House, caplog: pytest.LogCaptureFixture
) -> None:
    ana, ben = org.leads(2)
    since = read(org)
    org.switch(delete_log_days=1)
    org.purge(ana)
    org.let_pass(3 * 86_400)
    with caplog.at_level(logging.WARNING):
        assert ids(pulled(org, since)) == []
    assert logged(caplog, "deletions_forgotten")
    assert ids(list(reader(org).sweep(LEAD, None))) == [ben]
    (gone,) = records(list(reader(org).fetch(LEAD, [ana], lately=False))).values()
    assert (gone.deleted, gone.erased) == (True, True)


def test_case_09_one_who_is_taken_out_of_the_recycle_bin_comes_back_newer_and_alive(org: House) -> None:
    (ana,) = org.leads(1, Country="ES")
    org.let_pass(10)
    org.remove(ana)
    since = read(org)
    org.restore(ana)
    org.let_pass(120)
    back = records(pulled(org, since))[ana]
    assert (back.deleted, back.merged_into, back.fields["country"]) == (False, None, "ES")


def test_case_12_a_person_account_is_one_person_and_a_change_of_either_side_tells_of_them() -> None:
    with house(features={"person_accounts": True}) as org:
        account = org.create("Account", FirstName="Ana", LastName="Sol", PersonEmail="ana@acme.test")
        since = read(org, CONTACT)
        found = org.rows("SELECT PersonContactId FROM Account")[0]["PersonContactId"]
        assert "Account" not in reader(org).streams
        org.change(account, PersonMailingCountry="ES")
        org.let_pass(120)
        (person,) = records(pulled(org, since, CONTACT)).values()
        assert (person.key, person.email, person.name) == (key(found), "ana@acme.test", "Ana Sol")
        assert person.fields["country"] == "ES"


def test_case_17_a_field_that_is_withdrawn_between_describe_and_query_is_left_out_and_the_rest_goes_on(
    org: House, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = Wanted(fields=("country", "industry"))
    (ana,) = org.leads(1, Country="ES", Industry="Media")
    org.let_pass(120)
    pages = []
    with caplog.at_level(logging.WARNING):
        for page in Reader(org.asked(wanted)).pull(LEAD, None):
            pages.append(page)
            if len(pages) == 1:
                org.control("access", object=LEAD, field="Industry", access="hidden")
                (ben,) = org.leads(1, Country="FR", Industry="Media")
    assert countries(pages) == {ana: "ES", ben: "FR"}
    assert dict(records(pages)[ben].fields) == {"country": "FR"}
    (told,) = logged(caplog, "fields_withdrawn")
    assert (told.stream, told.fields) == (LEAD, ["industry"])
    assert "with the next sweep" in told.mend


def test_case_17_queries_that_are_under_way_at_once_all_go_on_without_a_withdrawn_field(org: House) -> None:
    made = org.leads(900, Country="ES", Industry="Media")
    crm = reader(org, Wanted(fields=("country", "industry")))
    list(crm.fetch(LEAD, made[:1], lately=False))
    org.control("access", object=LEAD, field="Industry", access="hidden")
    found = records(list(crm.fetch(LEAD, made, lately=False)))
    assert len(found) == 900
    assert {tuple(each.fields.items()) for each in found.values()} == {(("country", "ES"),)}


def test_case_17_a_parents_field_that_is_withdrawn_hides_no_field_of_that_name_of_others(org: House) -> None:
    (account,) = org.load("Account", [{"Name": "Acme", "Description": "Large", "Industry": "Media"}])
    (ana,) = org.contacts(1, AccountId=account, Description="Kind")
    wanted = Wanted(fields=("text", "account", "of_account"))
    fields = {"text": "Description", "account": "Account.Name", "of_account": "Account.Description"}
    crm = reader(org, wanted, fields=fields)
    seen = records(list(crm.fetch(CONTACT, [ana], lately=False)))[ana]
    assert dict(seen.fields) == {"text": "Kind", "account": "Acme", "of_account": "Large"}
    org.control("access", object="Account", field="Description", access="hidden")
    seen = records(list(crm.fetch(CONTACT, [ana], lately=False)))[ana]
    assert dict(seen.fields) == {"text": "Kind", "account": "Acme"}


@pytest.mark.parametrize(
    ("message", "hidden"),
    [
        ("No such column 'Name' on entity 'Account'. If you are", {"Account.Name"}),
        ("No such column 'name' on entity 'user'", {"Owner.Name"}),
        ("No such column 'Name' on sobject of type Contact", {"Name"}),
        ("No such column 'Name' on entity 'Name'", {"Who.Name"}),
        ("No such column 'Name' on entity 'Campaign'", set()),
        ("field 'Name' can not be filtered in a query call", {"Name", "Account.Name", "Owner.Name", "Who.Name"}),
        ("Didn't understand relationship 'Owner' in field path", {"Owner.Name"}),
    ],
)
def test_case_17_a_refusal_hides_the_field_of_the_object_it_names(org: House, message: str, hidden: set[str]) -> None:
    describes = org.asked().describes
    of_contacts = select(describes, CONTACT, ("Name", "Account.Name", "Owner.Name"))
    of_tasks = select(describes, "Task", ("Who.Name", "Subject"))
    assert (of_contacts.missing, of_tasks.missing) == ((), ())
    refused = Refused("no", status=400, problems=(Problem("INVALID_FIELD", message),))
    assert of_contacts.without(refused) | of_tasks.without(refused) == hidden


def test_case_17_without_a_field_that_is_needed_that_object_stops_and_the_other_goes_on(org: House) -> None:
    org.leads(1)
    (ana,) = org.contacts(1)
    org.let_pass(120)
    crm = reader(org)
    org.control("access", object=LEAD, field=STAGE, access="hidden")
    with pytest.raises(ConfigError, match=f"Lead has no field {STAGE}.*permission") as raised:
        list(crm.pull(LEAD, None))
    assert raised.value.code == "SY150"
    assert ids(list(crm.pull(CONTACT, None))) == [ana]


def test_case_17_a_needed_field_that_is_withdrawn_on_the_way_stops_the_object_too(org: House) -> None:
    org.leads(1)
    org.let_pass(120)
    pages = reader(org).pull(LEAD, None)
    next(pages)
    org.control("access", object=LEAD, field=STAGE, access="hidden")
    with pytest.raises(ConfigError, match=STAGE):
        list(pages)


def test_case_18_a_query_that_times_out_is_asked_in_parts_by_id_and_by_time(org: House) -> None:
    made = org.leads(900)
    org.behave(query_timeout_rows=300)
    org.let_pass(120)
    pages = pulled(org, first_load="rest")
    assert sorted(ids(pages)) == sorted(made)
    since = after(pages)
    for start in range(0, 900, 150):
        for each in made[start : start + 150]:
            org.org.update(LEAD, each, {"Country": "FR"})
        org.let_pass(600)
    found = pulled(org, since)
    assert countries(found) == dict.fromkeys(made, "FR")
    assert ids(pulled(org, after(found))) == []


def test_case_18_no_part_leads_beyond_what_is_complete() -> None:
    bound = datetime(2026, 11, 22, 12, tzinfo=UTC)
    position = Position("00D", LEAD, bound - timedelta(seconds=30), bound)
    part = Changes(bound).part(position, 1)
    assert part.until == bound
    assert Changes(bound).ended(position, part, 0) == (position.caught_up(bound), False)


def test_case_18_what_is_too_heavy_in_the_smallest_part_fails_and_does_not_end_green(
    org: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_waits_pass(monkeypatch, org)
    org.leads(500)
    org.behave(query_timeout_rows=100)
    org.let_pass(120)
    with pytest.raises(TooHeavy, match="QUERY_TIMEOUT"):
        pulled(org, first_load="rest")
    org.behave(query_timeout_rows=0)
    with pytest.raises(TemporaryError):
        pulled(org, first_load="rest")


def test_case_18_tasks_of_too_many_people_are_asked_in_parts(org: House) -> None:
    (ana,) = org.leads(1)
    made = org.load("Task", [{"WhoId": ana, "Subject": "Call", "TaskSubtype": "Call"} for _ in range(700)])
    org.behave(too_large_rows=300)
    org.let_pass(120)
    calls = Wanted(activities=("call",))
    pages = list(Reader(org.asked(calls, first_load="rest")).pull("Task", None))
    assert {each.id for page in pages for each in page.activities} == {f"Task/{each}" for each in made}


ODD = (
    "Null",
    "NA",
    "N/A",
    "None",
    'O\'Hara "Bob"',
    "two\nlines\r\nor three",
    "U\u2028S",
    "a,b;c\td",
    "😀 Ñandú",
    "\\'",
)


def test_case_20_odd_names_and_long_texts_come_as_they_are(org: House) -> None:
    wanted = Wanted(fields=("description", "country"))
    text = "x\x00y" + "é" * 31_990
    made = org.load(LEAD, [{"LastName": each, "Description": text} for each in ODD])
    org.let_pass(120)
    found = records(list(Reader(org.asked(wanted)).pull(LEAD, None)))
    assert [found[each].name for each in made] == list(ODD)
    assert {found[each].fields["description"] for each in made} == {text}


def test_case_37_an_edit_one_second_after_our_own_write_is_seen_with_it(org: House) -> None:
    (ana,) = org.leads(1, Country="ES")
    since = read(org)
    org.api("PATCH", f"/sobjects/Lead/{ana}", {STAGE: "mql"})
    org.let_pass(1)
    org.change(ana, Country="FR")
    (seen,) = records(pulled(org, since)).values()
    assert (seen.stage, seen.fields["country"]) == ("mql", "FR")


def test_case_44_a_cursor_of_another_org_is_not_used(org: House, caplog: pytest.LogCaptureFixture) -> None:
    (ana,) = org.leads(1)
    since = read(org)
    org.control("org", org_id=id18("00D5f0000000099"))
    with caplog.at_level(logging.WARNING):
        assert ids(pulled(org, since)) == [ana], "everything is read anew"
    assert logged(caplog, "cursor_not_ours")


@pytest.mark.parametrize("cursor", ["", "x", "[]", "[1]", '[1,2,3,"x",null,"y",null]', "[2,3]"])
def test_a_cursor_that_is_none_of_ours_begins_anew(org: House, cursor: str) -> None:
    (ana,) = org.leads(1)
    assert ids(pulled(org, Cursor(cursor)))[:1] == [ana]


def test_where_salesforce_does_not_tell_up_to_when_it_is_complete_the_watermark_stays_the_lag_behind(
    org: House,
) -> None:
    (ana,) = org.leads(1)
    org.fault(path="/updated", code="INSUFFICIENT_ACCESS")
    since = read(org, lag="30m")
    org.let_pass(20 * 60)
    found = pulled(org, since, lag="30m")
    assert ids(found) == [ana], "still within the half hour"
    org.let_pass(20 * 60)
    assert ids(pulled(org, after(pulled(org, after(found), lag="30m")), lag="30m")) == []


@pytest.mark.parametrize("fault", [{"code": "INSUFFICIENT_ACCESS"}, {"code": "INVALID_FIELD"}])
def test_who_may_not_ask_for_deletions_reads_on_and_is_told_of_them_once_it_may(
    org: House, fault: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    ana, ben = org.leads(2, Country="ES")
    since = read(org)
    org.purge(ana)
    org.change(ben, Country="FR")
    org.let_pass(1200)
    org.fault(path="/deleted", **fault)
    with caplog.at_level(logging.WARNING):
        first = pulled(org, since)
    assert countries(first) == {ben: "FR"}
    assert logged(caplog, "deletions_unknown")
    org.no_faults()
    known = Wanted(known=lambda _, asked: dict.fromkeys(asked, org.org.clock.now()))
    (gone,) = records(list(Reader(org.asked(known)).pull(LEAD, after(first)))).values()
    assert (gone.key, gone.deleted) == (key(ana), True), "what was deleted meanwhile was not skipped"


def test_an_outage_costs_a_small_query_no_more_requests_than_any_other(
    org: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_waits_pass(monkeypatch, org)
    org.fault(path="/queryAll", status=503)
    with pytest.raises(TemporaryError):
        org.client().query_all_rows("reading Lead", "SELECT Id FROM Lead")
    assert org.statuses("/queryAll") == {503: 6}


def test_a_small_query_whose_pages_are_lost_is_asked_again_whole(org: House, monkeypatch: pytest.MonkeyPatch) -> None:
    let_waits_pass(monkeypatch, org)
    org.leads(450)
    org.behave(page_rows=200)
    org.fault(path="/query/0r8", code="INVALID_QUERY_LOCATOR", times=2)
    assert len(org.client().query_all_rows("reading Lead", "SELECT Id FROM Lead")) == 450
    org.fault(path="/query/0r8", code="INVALID_QUERY_LOCATOR")
    with pytest.raises(TemporaryError, match="INVALID_QUERY_LOCATOR"):
        org.client().query_all_rows("reading Lead", "SELECT Id FROM Lead")


def test_a_load_that_is_broken_off_goes_on_where_it_was_and_tells_of_changes_since_it_began(org: House) -> None:
    made = sorted(org.leads(500, Country="ES"))
    org.behave(page_rows=200)
    org.let_pass(120)
    first = next(iter(reader(org).pull(LEAD, None)))
    org.change(made[0], Country="FR")
    org.let_pass(120)
    rest = pulled(org, first.cursor)
    assert sorted(ids([first]) + ids(rest)) == sorted([*made, made[0]])
    assert countries([first, *rest])[made[0]] == "FR"


def test_fields_are_read_by_type_through_parents_and_by_the_usual_names(org: House) -> None:
    wanted = Wanted(fields=("company", "annualrevenue", "optout", "birth", "nothing_like_it"))
    (account,) = org.load("Account", [{"Name": "Acme", "AnnualRevenue": 5_000_000}])
    (ana,) = org.contacts(1, AccountId=account, HasOptedOutOfEmail=True, Birthdate="1980-02-03")
    fields = {"optout": "hasoptedoutofemail", "birth": "Birthdate"}
    (found,) = records(list(Reader(org.asked(wanted, fields=fields)).pull(CONTACT, None))).values()
    assert found.key == key(ana)
    assert dict(found.fields) == {
        "company": "Acme", "annualrevenue": 5_000_000, "optout": True, "birth": "1980-02-03",
    }  # fmt: skip


def test_a_lead_shows_its_status_its_owner_and_whose_it_is(org: House) -> None:
    status: dict[str, Any] = {
        "write": {"status": {"sql": "Working - Contacted"}},
        "protected": ("Closed - Not Converted",),
    }
    queue = org.load("Group", [{"Name": "Inbound", "Type": "Queue"}])[0]
    rows: list[dict[str, object]] = [
        {"Status": "Working - Contacted"},
        {"Status": "Closed - Not Converted", "OwnerId": queue},
        {"Email": None},
    ]
    ana, ben, eva = org.load(LEAD, [{"FirstName": "Ana", **each} for each in rows])
    found = records(pulled(org, **status))
    assert (found[ana].lifecycle, found[ana].lifecycle_stage) == ("Working - Contacted", "sql")
    assert (found[ana].protected, found[ben].protected) == (False, True)
    assert (found[ana].owner, found[ben].owner) == ("admin@emulated.example", queue)
    assert (found[ana].name, found[ana].url) == ("Ana Doe", f"{org.url}/{ana}")
    assert found[eva].email is None


def test_a_person_is_asked_for_by_id_with_what_they_did_lately(org: House) -> None:
    wanted = Wanted(activities=("call", "meeting"))
    (ana,) = org.leads(1)
    calls = {"Subject": "Call", "TaskSubtype": "Call", "Status": "Completed"}
    (call,) = org.load("Task", [{"WhoId": ana, **calls}])
    org.let_pass(120)
    pages = list(Reader(org.asked(wanted)).fetch(LEAD, [ana[:15], "junk", "00Q000000000999AAA"], lately=True))
    found = records(pages)
    assert found[ana].deleted is False
    assert (found["junk"].erased, found["00Q000000000999AAA"].erased) == (True, True)
    assert [each.id for page in pages for each in page.activities] == [f"Task/{call}"]
    assert {page.cursor for page in pages} == {None}
    assert rejected(pages) == []


def test_what_is_quiet_costs_few_requests_and_does_not_grow(org: House) -> None:
    org.leads(10)
    since = read(org)
    counts = []
    for _ in range(3):
        org.let_pass(300)
        org.forget()
        pages = pulled(org, since)
        since = after(pages)
        counts.append(len(org.log()))
        assert ids(pages) == []
    assert max(counts) <= 6, counts


def test_the_author_of_a_stage_is_who_moved_it_last_and_never_ourselves(org: House) -> None:
    kim = org.create("User", Username="kim@acme.test", LastName="Kim", Email="kim@acme.test", Alias="kim")
    ana, ben, eva, leo = org.leads(4)
    by_kim = {"object": LEAD, "user_id": kim}
    org.control("edit", **by_kim, id=ana, values={STAGE: "sql"})
    org.api("PATCH", f"/sobjects/Lead/{ben}", {STAGE: "sql"})
    assert reader(org).authors([key(ana), key(ben)]) == {key(ana): "kim@acme.test"}, "who changed it last"
    org.switch(tracked_fields=[STAGE, "Status"])
    org.control("edit", **by_kim, id=eva, values={STAGE: "mql"})
    org.api("PATCH", f"/sobjects/Lead/{eva}", {"Country": "ES"})
    org.control("edit", **by_kim, id=leo, values={STAGE: "mql"})
    org.let_pass(1)
    org.api("PATCH", f"/sobjects/Lead/{leo}", {STAGE: "sql"})
    assert reader(org).authors([key(eva), key(leo)]) == {key(eva): "kim@acme.test"}, "the history knows better"
