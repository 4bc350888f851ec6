"""One record at a time: list, create, read, change, archive, merge, erase, and search."""

from bisect import bisect_left
from collections.abc import Sequence

from connectors.emulators.hubspot import merging, search, writing
from connectors.emulators.hubspot.answers import Answer, Json, invalid, not_found, refusal
from connectors.emulators.hubspot.catalog import ObjectType
from connectors.emulators.hubspot.checking import checked, refuse_against, refuse_missing, refuse_problems
from connectors.emulators.hubspot.operations import Call, Operation, record_id
from connectors.emulators.hubspot.portal import Portal, known_type
from connectors.emulators.hubspot.records import Record
from connectors.emulators.hubspot.routes.conflicts import conflict
from connectors.emulators.hubspot.routes.ties import parse_ties, tie_all, tied_ids
from connectors.emulators.hubspot.views import shown, shown_created, shown_updated, view

MAX_PAGE, MAX_PAGE_WITH_HISTORY = 100, 50


def reading(call: Call) -> tuple[str, ...]:
    """Scopes for looking at records of the path's kind."""
    return call.kind.read_scopes


def writing_scopes(call: Call) -> tuple[str, ...]:
    """Scopes for changing records of the path's kind."""
    return call.kind.write_scopes


def _list(call: Call) -> Answer:
    portal, kind, history = call.portal, call.kind, call.words("propertiesWithHistory")
    limit = call.number("limit", 10, MAX_PAGE_WITH_HISTORY if history else MAX_PAGE)
    records, following = _page(portal, kind, call, limit)
    look, others = view(portal, kind, call.words("properties"), history), _kinds(call)
    body: Json = {"results": [_with_ties(portal, kind, each, shown(each, look), others) for each in records]}
    if following is not None:
        link = f"{call.base_url}?limit={limit}&after={following}"
        body["paging"] = {"next": {"after": str(following), "link": link}}
    return Answer(200, body)


def _page(portal: Portal, kind: ObjectType, call: Call, limit: int) -> tuple[list[Record], int | None]:
    """Records from the id `after` on, and the id of the first one left over."""
    shelf, start = portal.shelf(kind), record_id(call.word("after", "0"))
    if start is None:
        raise invalid("after is not a valid paging cursor")
    if call.flag("archived"):
        shelf.archived.expire(portal.clock.now_ms())
        records, ids = shelf.archived.records, shelf.archived.ids
    else:
        records, ids = shelf.live, shelf.ids
    first = bisect_left(ids, start)
    window = ids[first : first + limit + 1]
    return [records[each] for each in window[:limit]], window[limit] if len(window) > limit else None


def _kinds(call: Call) -> tuple[ObjectType, ...]:
    return tuple(known_type(name) for name in call.words("associations"))


def _with_ties(portal: Portal, kind: ObjectType, record: Record, body: Json, others: Sequence[ObjectType]) -> Json:
    shown = {other.plural: tied_ids(portal, record.id, (kind, other)) for other in others}
    ties = {name: found for name, found in shown.items() if found["results"]}
    if ties:
        body["associations"] = ties
    return body


def _create(call: Call) -> Answer:
    portal, kind = call.portal, call.kind
    clean, problems = checked(portal, kind, call.body.get("properties", {}))
    refuse_problems(problems)
    refuse_missing(kind, clean)
    refuse_against(portal, None, clean, call.version)
    ties = parse_ties(portal, kind, call.body.get("associations"))
    held = conflict(portal, kind, clean)
    if held is not None:
        raise refusal(409, f"{kind.singular.capitalize()} already exists. Existing ID: {held.id}", "CONFLICT")
    record = writing.create(portal, kind, clean, call.source)
    tie_all(portal, (kind.plural, record.id), ties)
    return Answer(201, shown_created(portal, kind, portal.shelf(kind).live[record.id]))


def located(call: Call) -> Record:
    """The live record a path names by id, or by the unique property `idProperty`; else 404."""
    shelf, name = call.portal.shelf(call.kind), call.word("idProperty")
    found = _by_unique(call, name) if name and name != "hs_object_id" else shelf.find(record_id(call.path["id"]) or -1)
    if found is None:
        raise not_found()
    return found


def _by_unique(call: Call, name: str) -> Record | None:
    shelf = call.portal.shelf(call.kind)
    if name not in shelf.unique:
        raise invalid(f"Property {name} is not a unique identifier of {call.kind.plural}")
    return shelf.find_by(name, call.path["id"].lower() if name == "email" else call.path["id"])


def _binned(call: Call) -> Record:
    """The archived record a path names; else 404."""
    archived, name = call.portal.shelf(call.kind).archived, call.word("idProperty")
    archived.expire(call.portal.clock.now_ms())
    if name and name != "hs_object_id":
        found = next((each for each in archived.records.values() if each.values.get(name) == call.path["id"]), None)
    else:
        found = archived.get(record_id(call.path["id"]) or -1)
    if found is None:
        raise not_found()
    return found


def _read(call: Call) -> Answer:
    portal, kind = call.portal, call.kind
    found = _binned(call) if call.flag("archived") else located(call)
    look = view(portal, kind, call.words("properties"), call.words("propertiesWithHistory"))
    return Answer(200, _with_ties(portal, kind, found, shown(found, look), _kinds(call)))


def _update(call: Call) -> Answer:
    portal, kind, record = call.portal, call.kind, located(call)
    clean, problems = checked(portal, kind, call.body.get("properties"))
    refuse_problems(problems)
    refuse_against(portal, record, clean, call.version)
    held = conflict(portal, kind, clean, record)
    if held is not None:
        raise refusal(409, f"{kind.singular.capitalize()} already exists. Existing ID: {held.id}", "CONFLICT")
    after = writing.update(portal, kind, record, clean, call.source)
    return Answer(200, shown_updated(portal, kind, after, clean))


def _archive(call: Call) -> Answer:
    found = record_id(call.path["id"])
    if found is not None:
        writing.archive(call.portal, call.kind, found)
    return Answer(204)


def _merge(call: Call) -> Answer:
    shelf = call.portal.shelf(call.kind)
    both = [shelf.find(record_id(call.body.get(key)) or -1) for key in ("primaryObjectId", "objectIdToMerge")]
    primary, other = both
    if primary is None or other is None:
        raise not_found("One of the objects to merge does not exist")
    if primary.id == other.id:
        raise invalid("Cannot merge an object with itself")
    merged = merging.merge(call.portal, call.kind, primary, other)
    return Answer(200, shown(merged, view(call.portal, call.kind, tuple(merged.values))))


def _erase(call: Call) -> Answer:
    shelf, name = call.portal.shelf(call.kind), call.body.get("idProperty")
    wanted = str(call.body.get("objectId", ""))
    if name and name not in shelf.unique:
        raise invalid(f"Property {name} is not a unique identifier of {call.kind.plural}")
    held = shelf.find_by(str(name), wanted.lower()) if name else None
    found = (held.id if held else None) if name else record_id(wanted)
    if found is None and not name:
        raise invalid(f"{wanted} is not a valid objectId")
    if found is not None:
        writing.erase(call.portal, call.kind, found)
    return Answer(204)


def _search(call: Call) -> Answer:
    portal, kind = call.portal, call.kind
    request = search.parse_request(call.body, call.body_size, portal.manners)
    total, records, after = search.run(portal, kind, request)
    look = view(portal, kind, request.properties)
    body: Json = {"total": total, "results": [shown(each, look) for each in records]}
    if after is not None:
        body["paging"] = {"next": {"after": after}}
    return Answer(200, body)


OPERATIONS = (
    Operation("POST", "/objects/{objectType}/search", _search, "search", reading),
    Operation("POST", "/objects/{objectType}/merge", _merge, "write", writing_scopes),
    Operation("POST", "/objects/{objectType}/gdpr-delete", _erase, "write", writing_scopes),
    Operation("GET", "/objects/{objectType}", _list, "read", reading),
    Operation("POST", "/objects/{objectType}", _create, "write", writing_scopes),
    Operation("GET", "/objects/{objectType}/{id}", _read, "read", reading),
    Operation("PATCH", "/objects/{objectType}/{id}", _update, "write", writing_scopes),
    Operation("DELETE", "/objects/{objectType}/{id}", _archive, "write", writing_scopes),
)
