"""Open transactions: their writes bear an old stamp and are seen late."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.emulators.salesforce.calls import Caller, Write
from connectors.emulators.salesforce.clock import Clock
from connectors.emulators.salesforce.errors import Refusal
from connectors.emulators.salesforce.org import Org

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
LEAD = {"LastName": "Doe", "Company": "ACME"}


@pytest.fixture
def org() -> Org:
    return Org.stock(Clock(NOW, frozen=True))


def stamps(org: Org) -> list[tuple[Any, Any, Any]]:
    rows = org.query("SELECT LastName, Rating, SystemModstamp FROM Lead ORDER BY LastName").page(0, 100)
    return [(row["LastName"], row["Rating"], str(row["SystemModstamp"])[11:19]) for row in rows]


def covered(org: Org) -> object:
    now = org.clock.now()
    return org.updated("Lead", now - timedelta(hours=1), now + timedelta(minutes=1))["latestDateCovered"]


def test_a_late_commit_shows_rows_older_than_what_was_seen_before(org: Org) -> None:
    known = org.create("Lead", {**LEAD, "LastName": "A"})
    org.clock.advance(10)
    transaction = org.begin()
    org.create("Lead", {**LEAD, "LastName": "B"}, Caller(transaction=transaction))
    org.update("Lead", known, {"Rating": "Hot"}, Caller(transaction=transaction))
    org.clock.advance(30)
    org.create("Lead", {**LEAD, "LastName": "C"})
    assert stamps(org) == [("A", None, "12:00:00"), ("C", None, "12:00:40")]
    assert covered(org) == "2026-11-22T12:00:10.000+0000"
    org.clock.advance(20)
    org.commit(transaction)
    assert stamps(org) == [("A", "Hot", "12:00:10"), ("B", None, "12:00:10"), ("C", None, "12:00:40")]
    assert covered(org) == "2026-11-22T12:01:00.000+0000"
    assert org.open_transactions() == {}


def test_a_late_commit_does_not_make_a_row_older_than_it_was(org: Org) -> None:
    lead = org.create("Lead", LEAD)
    transaction = org.begin()
    org.clock.advance(30)
    org.update("Lead", lead, {"City": "Boston"})
    org.clock.advance(30)
    org.update("Lead", lead, {"Rating": "Hot"}, Caller(transaction=transaction))
    org.commit(transaction)
    assert stamps(org) == [("Doe", "Hot", "12:00:30")]


def test_a_transaction_sees_its_own_writes(org: Org) -> None:
    caller = Caller(transaction=org.begin())
    lead = org.create("Lead", LEAD, caller)
    org.update("Lead", lead, {"Rating": "Hot"}, caller)
    org.create("Task", {"Subject": "x", "WhoId": lead}, caller)
    with pytest.raises(Refusal, match="INVALID_CROSS_REFERENCE_KEY"):
        org.create("Task", {"Subject": "x", "WhoId": lead})
    org.commit(caller.transaction or "")
    assert stamps(org) == [("Doe", "Hot", "12:00:00")]
    assert org.query("SELECT COUNT() FROM Task").total_size == 1


def test_what_a_transaction_has_written_is_locked_for_others(org: Org) -> None:
    lead = org.create("Lead", LEAD)
    transaction = org.begin()
    org.update("Lead", lead, {"Rating": "Hot"}, Caller(transaction=transaction))
    with pytest.raises(Refusal, match="UNABLE_TO_LOCK_ROW"):
        org.update("Lead", lead, {"Rating": "Cold"})
    org.roll_back(transaction)
    org.update("Lead", lead, {"Rating": "Cold"})
    assert stamps(org) == [("Doe", "Cold", "12:00:00")]


def test_a_transaction_may_have_begun_long_ago_and_ends_by_itself(org: Org) -> None:
    transaction = org.begin(NOW - timedelta(minutes=20), commit_after_s=60)
    org.create("Lead", LEAD, Caller(transaction=transaction))
    org.clock.advance(59)
    assert stamps(org) == []
    assert covered(org) == "2026-11-22T11:40:00.000+0000"
    org.clock.advance(1)
    assert stamps(org) == [("Doe", None, "11:40:00")]


def test_a_refused_write_leaves_the_transaction_as_it_was(org: Org) -> None:
    caller = Caller(transaction=org.begin())
    outcomes = org.save([Write("create", "Lead", values=LEAD), Write("create", "Lead", values={})], True, caller)
    assert not any(each.success for each in outcomes)
    org.create("Lead", {**LEAD, "LastName": "kept"}, caller)
    with pytest.raises(Refusal):
        org.create("Lead", {}, caller)
    org.commit(caller.transaction or "")
    assert stamps(org) == [("kept", None, "12:00:00")]


def test_a_bump_by_the_platform_meanwhile_is_not_lost_by_the_commit(org: Org) -> None:
    lead = org.create("Lead", LEAD)
    transaction = org.begin()
    org.update("Lead", lead, {"Rating": "Hot"}, Caller(transaction=transaction))
    org.state.change(lead, {"LastActivityDate": "2026-11-21"})
    org.commit(transaction)
    row = org.read("Lead", lead)
    assert (row["Rating"], row["LastActivityDate"]) == ("Hot", "2026-11-21")


def test_deletes_can_be_late_too(org: Org) -> None:
    lead = org.create("Lead", LEAD)
    transaction = org.begin()
    org.delete("Lead", lead, Caller(transaction=transaction))
    org.clock.advance(30)
    assert len(stamps(org)) == 1
    org.commit(transaction)
    assert stamps(org) == []
    found = org.deleted("Lead", NOW - timedelta(minutes=5), NOW + timedelta(minutes=5))["deletedRecords"]
    assert found == [{"id": lead, "deletedDate": "2026-11-22T12:00:00.000+0000"}]


def test_an_unknown_transaction_is_a_mistake_of_the_caller(org: Org) -> None:
    with pytest.raises(ValueError, match="no open transaction"):
        org.create("Lead", LEAD, Caller(transaction="T9"))
    with pytest.raises(KeyError):
        org.commit("T9")
