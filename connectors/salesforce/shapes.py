"""What a row of a query must look like for us to read it. Another shape is told at the door, as trouble that may pass:
what reads the row can then rely on it.

Every field that was asked for stands in every row, null where it is empty (Salesforce's REST API guide, "Query"). What
people may put into fields can be anything, and is tolerated where it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from connectors.salesforce.values import Json, id18, moment

Oddity = Callable[[Json], str | None]


def page_oddity(soql: str) -> Oddity:
    """What is wrong with a page of this query's result; None: it can be read. That there is more and nothing says
    where is told here too, so that the page is asked for once more."""
    words = [word.removesuffix(",") for word in soql.split()]
    asked = words[1 : words.index("FROM")]
    fields = tuple(name for name in asked if name.isidentifier())  # not what belongs to a parent: "Owner.Email"

    def oddity(found: Json) -> str | None:
        return _page(found) or _rows(found["records"], fields)

    return oddity


def _page(found: Json) -> str | None:
    rows, total, done = found.get("records"), found.get("totalSize"), found.get("done")
    if not isinstance(rows, list) or not set(map(type, rows)) <= {dict}:
        return "it has no `records`"
    if type(total) is not int or type(done) is not bool:
        return "it does not say how many rows there are"
    following = found.get("nextRecordsUrl")
    if done:
        return None
    if not isinstance(following, str) or not following.startswith("/services/data/"):
        return "there are more rows, and no `nextRecordsUrl`"
    return None if rows else "there are more rows, and this page is empty"


def _rows(rows: Sequence[Json], fields: Sequence[str]) -> str | None:
    for name in fields:
        if not all(name in row for row in rows):
            return f"a row lacks {name}"
        fits = _FITTING.get(name)
        if fits is not None and not all(fits(row[name]) for row in rows):
            return f"a row's {name} has another shape"
    return None


def _is_id(value: Any) -> bool:
    try:
        id18(value)
    except ValueError:
        return False
    return True


def _is_id_or_none(value: Any) -> bool:
    return value is None or _is_id(value)


def _is_time(value: Any) -> bool:
    try:
        moment(value)
    except ValueError:
        return False
    return True


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool)


_TIES = (
    *("OwnerId", "MasterRecordId", "LastModifiedById", "CreatedById", "ConvertedContactId", "AccountId", "ActivityId"),
    *("LeadId", "ContactId", "CampaignId", "WhoId", "RelationId", "EventId", "TaskId", "EmailMessageId", "QueueId"),
)
_FITTING: Mapping[str, Callable[[Any], bool]] = MappingProxyType(
    {
        "Id": _is_id,
        "IsDeleted": _is_truth,
        **dict.fromkeys(("SystemModstamp", "CreatedDate", "LastModifiedDate"), _is_time),
        **dict.fromkeys(_TIES, _is_id_or_none),
    }
)
"""Fields that Salesforce itself fills, and we rely on."""
