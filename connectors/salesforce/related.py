"""What stands in other objects of what people did: who else was there, and the rows of an e-mail."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType

from connectors.salesforce.activities import EMAIL, EVENT, TASK, Lens, Letter
from connectors.salesforce.org import Org
from connectors.salesforce.refusals import Refused
from connectors.salesforce.selection import Row, Selection, select
from connectors.salesforce.values import chunks, quoted_list

_AT_ONCE = 400  # ids in one query: 11 of the 16 kB that an address and its headers may have
_RELATIONS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        TASK: ("TaskRelation", "TaskId"),  # there only where an org shares activities
        EVENT: ("EventRelation", "EventId"),
        EMAIL: ("EmailMessageRelation", "EmailMessageId"),
    }
)
"""Stream -> where further people of its rows stand, and by which field they are tied to them."""
EMAIL_PATHS = (
    *("ActivityId", "MessageDate", "CreatedDate", "Incoming", "Status", "IsPrivateDraft", "Subject"),
    *("IsOpened", "IsBounced"),
)


def lens(org: Org) -> Lens:
    return Lens(org.connection, org.organization().zone)


def relations(org: Org, stream: str, ids: Iterable[str]) -> Mapping[str, Sequence[Row]]:
    """What ties people (RelationId) to these rows of the stream, by row: of invitees with their Status, of e-mails with
    the RelationType. Nothing where the org has no such relations."""
    kind, field = _RELATIONS[stream]
    found: dict[str, list[Row]] = {}
    for row in related(org, kind, (field, "RelationId", "Status", "RelationType"), field, ids):
        if not row.get("IsDeleted"):
            found.setdefault(str(row[field]), []).append(row)
    return {each: sorted(rows, key=lambda row: str(row.get("RelationId"))) for each, rows in found.items()}


def letters(org: Org, tasks: Iterable[str]) -> Mapping[str, Sequence[Letter]]:
    """The e-mails that these tasks stand for, by task."""
    rows = [each for each in related(org, EMAIL, EMAIL_PATHS, "ActivityId", tasks) if not each.get("IsDeleted")]
    tied = relations(org, EMAIL, [str(row["Id"]) for row in rows])
    found: dict[str, list[Letter]] = {}
    for row in rows:
        found.setdefault(str(row["ActivityId"]), []).append(Letter(row, tied.get(str(row["Id"]), ())))
    return found


def related(org: Org, kind: str, paths: Sequence[str], field: str, ids: Iterable[str]) -> list[Row]:
    """The rows of an object whose field is one of these ids, deleted and archived ones as well; none where the org
    does not have the object or the field. What of the paths it does not have is not asked for."""
    wanted, hidden = list(dict.fromkeys(ids)), frozenset[str]()
    while wanted and org.describes.has(kind):
        selection = select(org.describes, kind, (field, *paths), hidden)
        if field in selection.missing:
            break
        try:
            return _rows(org, kind, selection, field, wanted)
        except Refused as refused:  # something was hidden from us since it was described
            more = selection.without(refused) - hidden
            if not more:
                raise
            hidden |= more
    return []


def _rows(org: Org, kind: str, selection: Selection, field: str, ids: Sequence[str]) -> list[Row]:
    asked = f"SELECT {', '.join(selection.names)} FROM {kind} WHERE {field} IN"
    soql = (f"{asked} {quoted_list(some)}" for some in chunks(ids, _AT_ONCE))
    calls = (partial(org.client.query_all_rows, f"reading {kind}", each) for each in soql)
    return [row for told in org.client.together(calls) for row in selection.rows(told)]
