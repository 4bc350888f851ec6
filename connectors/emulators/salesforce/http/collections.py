"""Up to 200 records in one call: create, update, upsert, delete and retrieve, results in the order of the request."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from connectors.emulators.salesforce.errors import Refusal
from connectors.emulators.salesforce.http.faults import refusal_of
from connectors.emulators.salesforce.http.rest import Call, Operation, record_body
from connectors.emulators.salesforce.http.wire import Answer, status_rows
from connectors.emulators.salesforce.ids import full_id
from connectors.emulators.salesforce.org import Outcome, Write

MOST_RECORDS, MOST_RETRIEVED, MOST_CHUNKS = 200, 2000, 10


def _create(call: Call) -> Answer:
    body, records = _records(call)
    writes = [Write("create", _type(call, each), values=record_body(each)) for each in records]
    return _save(call, writes, body.get("allOrNone") is True)


def _update(call: Call) -> Answer:
    body, records = _records(call)
    return _save(call, [_updating(call, each) for each in records], body.get("allOrNone") is True)


def _updating(call: Call, record: Any) -> Write:
    values = record_body(record)
    name = next((each for each in values if each.lower() == "id"), None)
    record_id = str(values.pop(name)) if name else ""
    return Write("update", _type(call, record), record_id, values)


def _upsert(call: Call) -> Answer:
    body, records = _records(call)
    name, key = call.org.object_name(call.path["object"]), call.path["field"]
    for each in records:
        if _type(call, each) != name:
            raise Refusal(400, "INVALID_INPUT", f"All records must be of the type in the address: {name}")
    writes = [Write("upsert", name, values=record_body(each), key=key) for each in records]
    return _save(call, writes, body.get("allOrNone") is True)


def _delete(call: Call) -> Answer:
    ids = call.words("ids")
    if not ids:
        raise Refusal(400, "INVALID_INPUT", "The ids parameter is required")
    _refuse_many(len(ids))
    names = [call.org.object_of_id(full_id(each) or "") or "" for each in ids]
    _refuse_chunks(names)
    writes = [Write("delete", name, each) for name, each in zip(names, ids, strict=True)]
    return _save(call, writes, call.flag("allOrNone"))


def _records(call: Call) -> tuple[dict[str, Any], list[Any]]:
    """(the body, its records); 400 of the whole call when it is not well formed."""
    body = call.fields()
    records = body.get("records")
    if not isinstance(records, list):
        raise Refusal(400, "INVALID_INPUT", "The records property is required and must be a list")
    _refuse_many(len(records))
    _refuse_chunks([_type(call, each) for each in records])
    if call.instance.manners.bad_field_fails_call:
        for each in records:
            _refuse_unknown_fields(call, each)
    return body, records


def _refuse_many(count: int, most: int = MOST_RECORDS) -> None:
    if count > most:
        message = f"record limit reached. cannot submit more than {most} records into this call"
        raise Refusal(400, "EXCEEDED_ID_LIMIT", message)


def _refuse_chunks(names: Sequence[str]) -> None:
    if sum(1 for _ in groupby(names)) > MOST_CHUNKS:
        message = "Cannot have more than 10 chunks in a single operation. Please rearrange the data to reduce chunking."
        raise Refusal(400, "LIMIT_EXCEEDED", message)


def _type(call: Call, record: Any) -> str:
    attributes = record.get("attributes") if isinstance(record, dict) else None
    name = attributes.get("type") if isinstance(attributes, dict) else None
    if not isinstance(name, str):
        raise Refusal(400, "INVALID_INPUT", "An attributes map with a type is required for every record")
    try:
        return call.org.object_name(name)
    except Refusal as error:
        message = f"sObject type '{name}' is not supported."
        raise Refusal(400, "INVALID_TYPE", message) from error


def _refuse_unknown_fields(call: Call, record: Any) -> None:
    name = _type(call, record)
    described: Any = call.org.describe(name, call.version, call.caller)
    known = {each["name"].lower() for each in described["fields"]}
    known |= {str(each["relationshipName"]).lower() for each in described["fields"] if each.get("relationshipName")}
    for each in record_body(record):
        if each.lower() not in known:
            raise Refusal(400, "INVALID_FIELD", f"No such column '{each}' on sobject of type {name}")


def _save(call: Call, writes: list[Write], all_or_none: bool) -> Answer:
    if call.quirk and call.quirk.body == "partial" and not all_or_none:
        outcomes = _save_in_part(call, writes)
    else:
        outcomes = call.save(writes, all_or_none)
    shown = [_shown(write, outcome) for write, outcome in zip(writes, outcomes, strict=True)]
    return Answer(200, shown)


def _save_in_part(call: Call, writes: list[Write]) -> list[Outcome]:
    """Every second record fails with the fault's code, and a single one always."""
    code = (call.quirk.code if call.quirk else None) or "UNABLE_TO_LOCK_ROW"
    lost = Outcome(False, refusals=(refusal_of(code),))
    kept = iter(call.save(writes[::2] if len(writes) > 1 else []))
    return [next(kept) if len(writes) > 1 and at % 2 == 0 else lost for at in range(len(writes))]


def _shown(write: Write, outcome: Outcome) -> dict[str, Any]:
    row: dict[str, Any] = {} if outcome.id is None else {"id": outcome.id}
    row |= {"success": outcome.success, "errors": status_rows(outcome.refusals)}
    return row | {"created": outcome.created} if write.verb == "upsert" else row


def _retrieve(call: Call) -> Answer:
    """Records in the order of the ids, null where there is none."""
    given = call.fields() if call.method == "POST" else {}
    ids = given.get("ids") if call.method == "POST" else call.words("ids")
    fields = given.get("fields") if call.method == "POST" else call.words("fields")
    if not isinstance(ids, list) or not isinstance(fields, list) or not ids or not fields:
        raise Refusal(400, "INVALID_INPUT", "ids and fields are required, as lists")
    _refuse_many(len(ids), MOST_RETRIEVED)
    name = call.org.object_name(call.path["object"])
    found: dict[str, Any] = {}
    for at in range(0, len(ids), MOST_RECORDS):
        wanted = ", ".join(f"'{each}'" for each in (full_id(str(one)) for one in ids[at : at + MOST_RECORDS]) if each)
        soql = f"SELECT Id, {', '.join(str(each) for each in fields if str(each).lower() != 'id')}".rstrip(", ")
        soql = f"{soql} FROM {name} WHERE Id IN ({wanted})" if wanted else ""
        rows = call.org.query(soql, caller=call.caller, version=call.version).page(0, MOST_RECORDS) if soql else []
        found |= {str(each["Id"]): each for each in rows}
    return Answer(200, [found.get(full_id(str(each)) or "") for each in ids])


OPERATIONS = (
    Operation("/composite/sobjects", {"POST": _create, "PATCH": _update, "DELETE": _delete}),
    Operation("/composite/sobjects/{object}", {"GET": _retrieve, "POST": _retrieve}),
    Operation("/composite/sobjects/{object}/{field}", {"PATCH": _upsert}),
)
