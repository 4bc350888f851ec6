"""Rows of a query as Salesforce never writes them are told at the door, as trouble that may pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from connectors.salesforce.shapes import page_oddity
from connectors.salesforce.values import moment
from syncer.errors import TemporaryError
from tests.connectors.salesforce.orgs import house, let_waits_pass

SOQL = "SELECT Id, OwnerId, SystemModstamp, IsDeleted, Title, Owner.Email FROM Lead WHERE Id = 'x'"
ROW = {
    "Id": "00Q000000000001AAA", "OwnerId": None, "SystemModstamp": "2026-11-03T10:00:00.000+0000", "IsDeleted": False,
    "Title": [7],
}  # fmt: skip


def oddity(**changes: Any) -> str | None:
    rows = [ROW, {name: value for name, value in {**ROW, **changes}.items() if value != "gone"}]
    return page_oddity(SOQL)({"totalSize": 2, "done": True, "records": rows})


def test_what_people_fill_in_may_be_anything_and_a_tie_may_be_empty() -> None:
    assert oddity() is None
    assert oddity(OwnerId="005000000000001", Title=None) is None


WRONG: Mapping[str, Sequence[Any]] = {
    "Id": (None, 7, ["00Q000000000001AAA"], "", "x", "00Q00000000000"),
    "OwnerId": (7, {}, "me"),
    "SystemModstamp": (None, 7, "never", "0001-01-01T00:00:00+14:00"),
    "IsDeleted": (None, 0, "false"),
}


@pytest.mark.parametrize(("field", "value"), [(name, each) for name, wrong in WRONG.items() for each in wrong], ids=str)
def test_what_salesforce_fills_in_has_a_shape(field: str, value: Any) -> None:
    assert oddity(**{field: value}) == f"a row's {field} has another shape"


def test_every_field_that_was_asked_for_stands_in_every_row() -> None:
    assert oddity(Title="gone") == "a row lacks Title"


def test_a_time_before_all_time_is_no_time() -> None:
    with pytest.raises(ValueError, match="is not a time"):
        moment("0001-01-01T00:00:00+14:00")


def test_an_empty_answer_to_a_query_is_trouble_that_may_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    with house() as org:
        let_waits_pass(monkeypatch, org)
        org.fault(path="/query", status=204, body="empty")
        with pytest.raises(TemporaryError):
            org.client().query_all_rows("asking", "SELECT Id FROM Lead", all_rows=False)
