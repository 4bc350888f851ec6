"""One record at a time: by id, by external id, along a relationship; and what changed or went between two times."""

import re
from datetime import UTC, datetime
from typing import Any

from connectors.emulators.salesforce.errors import Refusal, not_found
from connectors.emulators.salesforce.http.rest import Call, Operation, http_date, record_body
from connectors.emulators.salesforce.http.wire import Answer, error_rows, refused
from connectors.emulators.salesforce.ids import full_id
from connectors.emulators.salesforce.org import Outcome, Write

MOST_RELATED = 2000


def create(call: Call) -> Answer:
    name = call.org.object_name(call.path["object"])
    values = record_body(call.json())
    _refuse_own_id(values)
    outcome = call.save([Write("create", name, values=values)])[0]
    return _saved(call, name, outcome, 201)


def _refuse_own_id(values: dict[str, Any], key: str = "") -> None:
    """What the address says may not stand in the body as well."""
    for name in values:
        if name.lower() in ("id", key.lower()):
            message = f"The {name} field should not be specified in the sobject data."
            raise Refusal(400, "INVALID_FIELD", message, (name,))


def _saved(call: Call, name: str, outcome: Outcome, status: int) -> Answer:
    if not outcome.success:
        first = outcome.refusals[0]
        return refused(first) if first.status == 300 else Answer(first.status, error_rows(outcome.refusals))
    if status == 204:
        return Answer(204)
    body: dict[str, Any] = {"id": outcome.id, "success": True, "errors": []}
    return Answer(status, body, {"location": f"{call.root}/sobjects/{name}/{outcome.id}"} if status == 201 else {})


def _read(call: Call) -> Answer:
    name = call.org.object_name(call.path["object"])
    return _row(call, name, _known(call, name, call.path["id"]))


def _known(call: Call, name: str, text: str) -> str:
    """18 characters; 404 for text that is no id of the object."""
    found = full_id(text)
    if found is None:
        raise not_found(f"Provided external ID field does not exist or is not accessible: {text}")
    if call.org.object_of_id(found) != name:
        raise not_found()
    return found


def _row(call: Call, name: str, record_id: str) -> Answer:
    asked = call.words("fields") or None
    row = call.org.read(name, record_id, asked, call.caller, call.version)
    modified = row.get("LastModifiedDate")
    since = call.headers.get("if-modified-since")
    if since and isinstance(modified, str) and _moment(modified) <= http_date(since):
        return Answer(304)
    return Answer(200, row)


def _update(call: Call) -> Answer:
    name = call.org.object_name(call.path["object"])
    values = record_body(call.json())
    _refuse_own_id(values)
    record_id = _known(call, name, call.path["id"])
    _refuse_if_modified(call, name, record_id)
    write = Write("update", name, record_id, values)
    return _saved(call, name, call.save([write])[0], 204)


def _refuse_if_modified(call: Call, name: str, record_id: str) -> None:
    """412 for a record that was changed after If-Unmodified-Since, by its LastModifiedDate. That answer's body is not
    documented: clients should go by the status."""
    since = call.headers.get("if-unmodified-since")
    row = call.org.state.live(record_id)
    modified = row.get("LastModifiedDate") if row else None
    if since and isinstance(modified, str) and _moment(modified) > http_date(since):
        raise Refusal(412, "PRECONDITION_FAILED", "The record was modified after the time given.")


def _delete(call: Call) -> Answer:
    name = call.org.object_name(call.path["object"])
    write = Write("delete", name, _known(call, name, call.path["id"]))
    return _saved(call, name, call.save([write])[0], 204)


def _along(call: Call) -> tuple[str, str] | None:
    """(object, id) when the second part of the path is an id and the third a relationship; None: an external id."""
    name, second = call.org.object_name(call.path["object"]), full_id(call.path["field"])
    return (name, second) if second and call.org.object_of_id(second) == name else None


def _one(call: Call) -> tuple[str, str]:
    """(object, id) of the one record with this external id; 404, or 300 when there are several."""
    name, key = call.org.object_name(call.path["object"]), call.path["field"]
    ids = call.org.find(name, key, call.path["value"])
    if len(ids) > 1:
        addresses = [f"{call.root}/sobjects/{name}/{each}" for each in ids]
        raise Refusal(300, "MULTIPLE_CHOICES", "several records have this external id", extra={"ids": addresses})
    if not ids:
        raise not_found()
    return name, ids[0]


def _read_by_key(call: Call) -> Answer:
    target = _along(call)
    if target is None:
        return _row(call, *_one(call))
    other, ids, is_parent = call.org.related(*target, call.path["value"])
    if is_parent:
        return _row(call, other, ids[0])
    asked = call.words("fields") or None
    rows = [call.org.read(other, each, asked, call.caller, call.version) for each in ids[:MOST_RELATED]]
    return Answer(200, {"totalSize": len(ids), "done": len(ids) <= MOST_RELATED, "records": rows})


def _write_by_key(call: Call) -> Answer:
    target = _along(call)
    if target is not None:
        other, record_id = _parent(call, target)
        return _saved(call, other, call.save([Write("update", other, record_id, record_body(call.json()))])[0], 204)
    name, key, value = call.org.object_name(call.path["object"]), call.path["field"], call.path["value"]
    values = record_body(call.json())
    _refuse_own_id(values, key)
    outcome = call.save([Write("upsert", name, values={**values, key: value}, key=key)])[0]
    return _upserted(call, name, outcome)


def _upserted(call: Call, name: str, outcome: Outcome) -> Answer:
    """201 or 200 with `created`; before version 46 an update is a 204."""
    if outcome.refusals and outcome.refusals[0].status == 300:
        found: Any = outcome.refusals[0].extra.get("ids", ())
        return Answer(300, [each if "/" in each else f"{call.root}/sobjects/{name}/{each}" for each in found])
    if not outcome.success:
        return _saved(call, name, outcome, 400)
    if not outcome.created and float(call.version) < 46:
        return Answer(204)
    body: dict[str, Any] = {"id": outcome.id, "success": True, "errors": [], "created": outcome.created}
    return Answer(201 if outcome.created else 200, body)


def _delete_by_key(call: Call) -> Answer:
    target = _along(call)
    name, record_id = _one(call) if target is None else _parent(call, target)
    return _saved(call, name, call.save([Write("delete", name, record_id)])[0], 204)


def _parent(call: Call, target: tuple[str, str]) -> tuple[str, str]:
    other, ids, is_parent = call.org.related(*target, call.path["value"])
    if not is_parent:
        raise Refusal(405, "METHOD_NOT_ALLOWED", "a relationship to many records can only be read")
    return other, ids[0]


def _insert_by_key(call: Call) -> Answer:
    """POST /sobjects/Account/Id: a create whose address names the id field."""
    if call.path["field"].lower() != "id":
        raise Refusal(405, "METHOD_NOT_ALLOWED", "HTTP Method 'POST' not allowed. Allowed are HEAD,GET,PATCH,DELETE")
    return create(call)


_ZONE = re.compile(r"\s*([+-]\d\d):?(\d\d)$")


def parse_time(text: str) -> datetime:
    """An ISO 8601 time with its zone; 400 for anything else. A `+` may have come as a blank."""
    tidy = re.sub(r"Z$", "+00:00", text.strip())
    tidy = re.sub(r" (?=\d\d:?\d\d$)", "+", tidy)
    try:
        moment = datetime.fromisoformat(_ZONE.sub(r"\1:\2", tidy))
    except ValueError as error:
        raise Refusal(400, "INVALID_REPLICATION_DATE", f"invalid date: {text}") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _moment(stamp: str) -> datetime:
    return datetime.fromisoformat(stamp)


def _span(call: Call) -> tuple[datetime, datetime]:
    for name in ("start", "end"):
        if not call.word(name):
            raise Refusal(400, "MISSING_ARGUMENT", f"Missing required parameter: {name}")
    return parse_time(call.word("start")), parse_time(call.word("end"))


def _updated(call: Call) -> Answer:
    return Answer(200, call.org.updated(call.org.object_name(call.path["object"]), *_span(call)))


def _deleted(call: Call) -> Answer:
    return Answer(200, call.org.deleted(call.org.object_name(call.path["object"]), *_span(call)))


def _password(call: Call) -> Answer:
    """Of a user: has it expired, or a new one."""
    name = str(call.org.read("User", call.path["id"], ["Username"], call.caller)["Username"])
    if call.method != "POST":
        return Answer(200, {"isExpired": False})
    given = call.fields().get("NewPassword")
    if not isinstance(given, str) or not given:
        raise Refusal(400, "INVALID_NEW_PASSWORD", "Your password must be at least 8 characters long.")
    call.instance.doorman.passwords[name] = given
    return Answer(204)


OPERATIONS = (
    Operation("/sobjects/User/{id}/password", {"GET": _password, "POST": _password}),
    Operation("/sobjects/{object}/updated", {"GET": _updated}),
    Operation("/sobjects/{object}/deleted", {"GET": _deleted}),
    Operation("/sobjects/{object}/{id}", {"GET": _read, "PATCH": _update, "DELETE": _delete}),
    Operation(
        "/sobjects/{object}/{field}/{value}",
        {"GET": _read_by_key, "PATCH": _write_by_key, "DELETE": _delete_by_key, "POST": _insert_by_key},
    ),
)
