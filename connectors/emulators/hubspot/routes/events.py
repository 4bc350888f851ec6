"""Event occurrences, which only an Enterprise portal shows."""

from connectors.emulators.hubspot.answers import Answer, Json, invalid, refusal
from connectors.emulators.hubspot.clock import iso, parse_ms
from connectors.emulators.hubspot.cursors import opened_position, sealed_position
from connectors.emulators.hubspot.links import End
from connectors.emulators.hubspot.occurrences import Occurrence, Span
from connectors.emulators.hubspot.operations import Call, Operation, no_scopes, record_id
from connectors.emulators.hubspot.portal import known_type
from connectors.emulators.hubspot.timeline import END_OF_TIME, page

MAX_PAGE = 100
_BY_PROPERTY = "objectProperty."


def _refuse_lesser_tiers(call: Call) -> None:
    """The API asks for no scope of its own: what a lesser portal lacks is reported as one all the same."""
    if call.portal.manners.tier != "enterprise":
        message = (
            "Your app doesn't the have scopes needed to make this call. Do you have access to the "
            "'business-intelligence' scope?  Missing auth details: event-detail-read,web-analytics-api-access"
        )
        raise refusal(403, message, "MISSING_SCOPES", links={"scopes": "https://developers.hubspot.com/scopes"})


def _list(call: Call) -> Answer:
    _refuse_lesser_tiers(call)
    limit, ids, record = call.number("limit", 20, MAX_PAGE), call.query.get("id", ()), _record(call)
    kind = known_type(call.word("objectType")).plural if call.word("objectType") else None
    event_type = call.word("eventType")
    if ids and not event_type:
        raise invalid("id requires eventType")
    walk = call.portal.occurrences.walk(_span(call), record, opened_position(call.word("after")))
    wanted = (
        row
        for row in walk
        if event_type in ("", row[1].event_type) and kind in (None, row[1].record[0]) and (not ids or row[1].id in ids)
    )
    shown, last = page(wanted, limit)
    body: Json = {"results": [_shown(call, each) for each in shown]}
    if last is not None:
        cursor = sealed_position(last)
        body["paging"] = {"next": {"after": cursor, "link": f"{call.base_url}/?{_asked(call)}after={cursor}"}}
    return Answer(200, body)


def _asked(call: Call) -> str:
    """The question again, for the link to its next page."""
    return "".join(f"{name}={each}&" for name, values in call.query.items() if name != "after" for each in values)


def _record(call: Call) -> End | None:
    """Whose events are asked for: by objectType and objectId or objectProperty.{name}; None for everybody's."""
    by_property = next((name for name in call.query if name.startswith(_BY_PROPERTY)), None)
    if not call.word("objectId") and by_property is None:
        return None
    if not call.word("objectType"):
        raise invalid("objectType is required together with objectId or objectProperty")
    kind = known_type(call.word("objectType"))
    shelf = call.portal.shelf(kind)
    if by_property is None:
        return kind.plural, shelf.resolve(record_id(call.word("objectId")) or -1)
    found = shelf.find_by(by_property.removeprefix(_BY_PROPERTY), call.word(by_property).lower())
    return kind.plural, found.id if found else -1


def _span(call: Call) -> Span:
    """`occurredAfter` and `occurredBefore` are ISO 8601; `sort` is ASCENDING (as when absent) or DESCENDING."""
    try:
        after_ms = parse_ms(call.word("occurredAfter", "-1"))
        before_ms = parse_ms(call.word("occurredBefore", str(END_OF_TIME)))
    except ValueError as error:
        raise invalid("occurredAfter and occurredBefore must be ISO 8601 timestamps") from error
    sort = call.word("sort", "ASCENDING").upper()
    return Span(after_ms, before_ms, newest_first=sort.startswith(("DESC", "-")))


def _shown(call: Call, event: Occurrence) -> Json:
    kind = known_type(event.record[0])
    wanted = call.words("properties")
    return {
        "objectType": kind.singular.upper(),
        "objectId": str(call.portal.shelf(kind).resolve(event.record[1])),
        "eventType": event.event_type,
        "occurredAt": iso(event.at_ms),
        "id": event.id,
        "properties": {name: value for name, value in event.properties.items() if not wanted or name in wanted},
    }


def _types(call: Call) -> Answer:
    _refuse_lesser_tiers(call)
    return Answer(200, {"eventTypes": call.portal.occurrences.types})


OPERATIONS = (
    Operation("GET", "/events/event-occurrences", _list, "read", no_scopes),
    Operation("GET", "/events/event-occurrences/event-types", _types, "read", no_scopes),
)
