"""Lists of what a portal shows beside its CRM, and what it says of its kinds of objects."""

import re
from collections.abc import Callable, Sequence

from connectors.emulators.hubspot.answers import Answer, Json, batch, invalid, not_found
from connectors.emulators.hubspot.catalog import ASSOCIATION_TYPES, OBJECT_TYPES, ObjectType
from connectors.emulators.hubspot.clock import iso
from connectors.emulators.hubspot.cursors import opened, sealed
from connectors.emulators.hubspot.operations import Call, Operation, parse_inputs
from connectors.emulators.hubspot.routes.properties import reading as reading_schema

MAX_PAGE, MAX_LISTS, MAX_INPUTS = 100, 500, 50
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NOT_LISTED = frozenset({"assets", "contacts"})  # of a campaign: each has an address of its own


def _scoped(*scopes: str) -> Callable[[Call], tuple[str, ...]]:
    return lambda call: scopes


def _entries(call: Call, kind: str) -> list[Json]:
    """All of a kind, sorted as asked: by `sort=name` or `-name`."""
    found, sort = list(call.portal.library.shelves[kind].values()), call.word("sort")
    if sort:
        name = sort.removeprefix("-")
        found.sort(key=lambda each: str(each.get(name, "")), reverse=sort.startswith("-"))
    return found


def _offset(cursor: str) -> int:
    text = opened(cursor) if cursor else "0"
    if not text.isdigit():
        raise invalid("after is not a valid paging cursor")
    return int(text)


def _page(call: Call, found: Sequence[Json], total: bool) -> Answer:
    """A slice by an offset that hides in the cursor; some APIs tell the total as well."""
    limit, start = call.number("limit", 10, MAX_PAGE), _offset(call.word("after"))
    body: Json = {"total": len(found)} if total else {}
    body["results"] = list(found[start : start + limit])
    if start + limit < len(found):
        cursor = sealed(str(start + limit))
        body["paging"] = {"next": {"after": cursor, "link": f"{call.base_url}?limit={limit}&after={cursor}"}}
    return Answer(200, body)


def _campaigns(call: Call) -> Answer:
    return _page(call, [_campaign(call, each) for each in _entries(call, "campaigns")], total=True)


def _campaign(call: Call, entry: Json, names: Sequence[str] = ()) -> Json:
    """A campaign with those of the properties asked for that have a value."""
    wanted = set(names or call.words("properties"))
    values = {name: value for name, value in entry["properties"].items() if name in wanted}
    return {**{key: each for key, each in entry.items() if key not in _NOT_LISTED}, "properties": values}


def _read_campaigns(call: Call) -> Answer:
    shelf, names = call.portal.library.shelves["campaigns"], call.body.get("properties") or call.words("properties")
    results, errors = [], []
    for each in parse_inputs(call.body, MAX_INPUTS):
        text = str(each.get("id", ""))
        if not _GUID.fullmatch(text):
            errors.append(_bad_guid(text))
        elif text in shelf:
            results.append(_campaign(call, shelf[text], names) | {"assets": _assets(shelf[text])})
    now_ms = call.portal.clock.now_ms()
    return Answer(207 if errors else 200, batch(call.started_ms, now_ms, results, errors))


def _bad_guid(text: str) -> Json:
    message = f"Invalid campaign GUID format: {text}"
    return {
        "status": "error",
        "category": "VALIDATION_ERROR",
        "subCategory": "CampaignApiError.INVALID_REQUEST",
        "message": f"Invalid request: '{message}'",
        "context": {"message": [message]},
    }


def _assets(entry: Json) -> Json:
    return {kind: {"results": list(each)} for kind, each in entry.get("assets", {}).items()}


def _found_campaign(call: Call) -> Json:
    found = call.portal.library.shelves["campaigns"].get(call.path["campaignId"])
    if found is None:
        raise not_found()
    return found


def _campaign_assets(call: Call) -> Answer:
    return _page(call, _found_campaign(call).get("assets", {}).get(call.path["assetType"], ()), total=False)


def _campaign_contacts(call: Call) -> Answer:
    ids = _found_campaign(call).get("contacts", ())
    return _page(call, [{"id": str(each)} for each in ids], total=False)


def _marketing_emails(call: Call) -> Answer:
    return _page(call, _entries(call, "marketing-emails"), total=True)


def _marketing_events(call: Call) -> Answer:
    return _page(call, _entries(call, "marketing-events"), total=False)


def _meeting_links(call: Call) -> Answer:
    return _page(call, _entries(call, "meeting-links"), total=True)


def _search_lists(call: Call) -> Answer:
    """{"query"?, "offset"?, "count"?}: names that contain the query."""
    query, start, count = str(call.body.get("query") or "").lower(), call.body.get("offset"), call.body.get("count")
    first, size = int(start or 0), int(count or 20)
    if first < 0 or not 0 < size <= MAX_LISTS:
        raise invalid(f"count must be between 1 and {MAX_LISTS}, and offset not negative")
    found = [each for each in call.portal.library.shelves["lists"].values() if query in each["name"].lower()]
    end = min(first + size, len(found))
    shown = found[first : first + size]
    return Answer(200, {"offset": end, "hasMore": end < len(found), "lists": shown, "total": len(found)})


def _schema(call: Call) -> Answer:
    kind, schema = call.kind, call.portal.schema(call.kind)
    label = kind.plural.capitalize()
    body: Json = {
        "labels": {"singular": kind.singular.capitalize(), "plural": label},
        "requiredProperties": list(kind.required_on_create),
        "searchableProperties": list(kind.searched_by_query),
        "primaryDisplayProperty": kind.default_properties[0] if kind.default_properties else "hs_object_id",
        "secondaryDisplayProperties": [],
        "description": label,
        "allowsSensitiveProperties": True,
        "archived": False,
        "restorable": True,
        "metaType": "HUBSPOT",
        "id": kind.type_id.rpartition("-")[2],
        "fullyQualifiedName": kind.singular.upper(),
        "createdAt": iso(0),
        "updatedAt": iso(max(each.updated_ms for each in schema.properties.values())),
        "createdByUserId": None,
        "updatedByUserId": None,
        "objectTypeId": kind.type_id,
        "properties": [each.shown() for each in schema.properties.values()],
        "associations": [way for other in OBJECT_TYPES for way in _ways(kind, other)],
        "name": kind.singular.upper(),
    }
    return Answer(200, body)


def _ways(here: ObjectType, there: ObjectType) -> list[Json]:
    """The ways in which two kinds can be tied. The numbers are those of a tie between contact and company."""
    word, types = f"{here.singular}_to_{there.singular}".upper(), ASSOCIATION_TYPES.get((here.plural, there.plural), ())
    plain = f"{word}_UNLABELED" if any(each.label for each in types) else word
    return [
        {
            "fromObjectTypeId": here.type_id,
            "toObjectTypeId": there.type_id,
            "name": f"{each.label.upper()}_{word}" if each.label else plain,
            "cardinality": "ONE_TO_MANY",
            "inverseCardinality": "ONE_TO_MANY",
            "hasUserEnforcedMaxToObjectIds": False,
            "hasUserEnforcedMaxFromObjectIds": False,
            "maxToObjectIds": 10_000,
            "maxFromObjectIds": 10_000,
            "id": str(each.type_id),
            "createdAt": None,
            "updatedAt": None,
        }
        for each in types
    ]


_CAMPAIGNS = _scoped("marketing.campaigns.read")
OPERATIONS = (
    Operation("GET", "/marketing/campaigns", _campaigns, "read", _CAMPAIGNS),
    Operation("POST", "/marketing/campaigns/batch/read", _read_campaigns, "read", _CAMPAIGNS),
    Operation("GET", "/marketing/campaigns/{campaignId}/assets/{assetType}", _campaign_assets, "read", _CAMPAIGNS),
    Operation("GET", "/marketing/campaigns/{campaignId}/reports/contacts/{contactType}", _campaign_contacts, "read",
              _CAMPAIGNS),
    Operation("GET", "/marketing/emails", _marketing_emails, "read", _scoped("content", "marketing-email")),
    Operation("GET", "/marketing/marketing-events", _marketing_events, "read",
              _scoped("crm.objects.marketing_events.read")),
    Operation("GET", "/scheduler/meetings/meeting-links", _meeting_links, "read",
              _scoped("scheduler.meetings.meeting-link.read")),
    Operation("POST", "/lists/search", _search_lists, "read", _scoped("crm.lists.read")),
    Operation("GET", "/schemas/{objectType}", _schema, "read", reading_schema),
)  # fmt: skip
