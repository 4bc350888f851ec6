"""Showing records: which properties an answer carries, and in what form."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from connectors.emulators.hubspot.answers import Json
from connectors.emulators.hubspot.catalog import ObjectType
from connectors.emulators.hubspot.clock import iso, parse_ms
from connectors.emulators.hubspot.portal import Portal
from connectors.emulators.hubspot.records import Record, Version


@dataclass(frozen=True, slots=True)
class View:
    """What to show of each record of a kind."""

    names: tuple[str, ...]
    with_history: tuple[str, ...]
    nulls: bool  # are empty properties shown as null?
    url: str  # of a record in the browser, without its id


def view(portal: Portal, kind: ObjectType, asked: Sequence[str], with_history: Sequence[str] = ()) -> View:
    """The stamps, and the properties asked for (the defaults when none are); undefined names drop out silently."""
    defined = portal.schema(kind).properties
    wanted = [*(asked or kind.default_properties), *with_history]
    names = sorted({name for name in wanted if name in defined}.union(kind.stamps))
    history = tuple(name for name in dict.fromkeys(with_history) if name in defined)
    return View(tuple(names), history, portal.manners.unset_properties == "null", _url(portal, kind))


def _url(portal: Portal, kind: ObjectType) -> str:
    return f"https://app.hubspot.com/contacts/{portal.manners.portal_id}/record/{kind.type_id}/"


def shown(record: Record, look: View) -> Json:
    """A record as list, get, batch read and search show it."""
    values = record.values
    if look.nulls:
        properties: Json = {name: values.get(name) for name in look.names}
    else:
        properties = {name: values[name] for name in look.names if name in values}
    body = _frame(record, properties, look.url)
    if look.with_history:
        body["propertiesWithHistory"] = {
            name: [_version(each) for each in record.versions(name)] for name in look.with_history
        }
    return body


# What an answer to an update shows besides the properties written (as recorded).
_ALWAYS = (
    "hs_is_unworked", "hs_object_source", "hs_object_source_id", "hs_object_source_label", "hs_pipeline",
    "lifecyclestage",
)  # fmt: skip


def shown_created(portal: Portal, kind: ObjectType, record: Record) -> Json:
    """A record as the answer to its creation shows it: everything that has a value, stage dates as raw milliseconds."""
    properties: Json = {name: record.values[name] for name in sorted(record.values)}
    for name in properties:
        if name.startswith("hs_lifecyclestage_"):
            properties[name] = str(parse_ms(properties[name]))
    return _frame(record, properties, _url(portal, kind))


def shown_updated(portal: Portal, kind: ObjectType, record: Record, written: Iterable[str]) -> Json:
    """A record as the answer to an update shows it: what was written, and a few properties that always come along."""
    names = sorted({*written, *kind.stamps, *_ALWAYS})
    properties: Json = {name: record.values[name] for name in names if name in record.values}
    properties |= {name: None for name in written if name not in record.values}
    return _frame(record, properties, _url(portal, kind))


def _frame(record: Record, properties: Json, url: str) -> Json:
    body: Json = {
        "id": str(record.id),
        "properties": properties,
        "createdAt": iso(record.created_ms),
        "updatedAt": iso(record.modified_ms),
        "archived": record.archived_ms is not None,
        "url": f"{url}{record.id}",
    }
    if record.archived_ms is not None:
        body["archivedAt"] = iso(record.archived_ms)
    return body


def _version(version: Version) -> Json:
    source = version.source
    body: Json = {"value": version.value, "timestamp": iso(version.at_ms), "sourceType": source.type}
    if source.id is not None:
        body["sourceId"] = source.id
    if source.label is not None:
        body["sourceLabel"] = source.label
    if source.user_id is not None:
        body["updatedByUserId"] = source.user_id
    return body
