"""Up to 100 records at a time."""

from collections.abc import Callable, Sequence

from connectors.emulators.hubspot import writing
from connectors.emulators.hubspot.answers import Answer, Json, batch, invalid, missing_objects, refusal
from connectors.emulators.hubspot.catalog import CONTACTS
from connectors.emulators.hubspot.checking import checked, refuse_against, refuse_missing, refuse_problems
from connectors.emulators.hubspot.operations import Call, Operation, parse_inputs, record_id
from connectors.emulators.hubspot.records import Record
from connectors.emulators.hubspot.routes.conflicts import conflict
from connectors.emulators.hubspot.routes.objects import reading, writing_scopes
from connectors.emulators.hubspot.routes.ties import Tie, parse_ties, tie_all
from connectors.emulators.hubspot.views import shown, shown_created, shown_updated, view

MAX_INPUTS = 100


def _finished(call: Call, results: Sequence[Json], errors: Sequence[Json], status: int) -> Answer:
    now_ms = call.portal.clock.now_ms()
    return Answer(207 if errors else status, batch(call.started_ms, now_ms, results, errors))


def _refuse_duplicates(ids: Sequence[str]) -> None:
    doubled = sorted({each for each in ids if ids.count(each) > 1}) if len(set(ids)) < len(ids) else []
    if doubled:
        message = f"Duplicate IDs found in batch input: [{', '.join(doubled)}]. IDs must be unique"
        raise invalid(message, context={"ids": doubled})


def _ids(inputs: Sequence[Json]) -> list[str]:
    if any("id" not in each for each in inputs):
        raise invalid("Invalid input JSON: every input needs an 'id'")
    return [str(each["id"]) for each in inputs]


def _finder(call: Call, id_property: str | None) -> Callable[[str], Record | None]:
    """How the ids of a batch are to be read: as record ids, or as values of a unique property."""
    shelf = call.portal.shelf(call.kind)
    if not id_property or id_property == "hs_object_id":
        return lambda text: shelf.find(record_id(text) or -1)
    if id_property not in shelf.unique:
        raise invalid(f"Property {id_property} is not a unique identifier of {call.kind.plural}")
    return lambda text: shelf.find_by(id_property, text.lower() if id_property == "email" else text)


def _binned(call: Call, id_property: str) -> Callable[[str], Record | None]:
    archived = call.portal.shelf(call.kind).archived
    archived.expire(call.portal.clock.now_ms())
    if id_property == "hs_object_id":
        return lambda text: archived.get(record_id(text) or -1)
    by_value = {each.values[id_property]: each for each in archived.records.values() if id_property in each.values}
    return by_value.get


def _names(body: Json, key: str) -> tuple[str, ...]:
    found = body.get(key) or ()
    if not isinstance(found, list | tuple):
        raise invalid(f"Invalid input JSON: '{key}' must be a list")
    return tuple(str(each) for each in found)


def _read(call: Call) -> Answer:
    portal, kind = call.portal, call.kind
    history = _names(call.body, "propertiesWithHistory")
    inputs = parse_inputs(call.body, 50 if history else MAX_INPUTS)
    ids, key = _ids(inputs), call.body.get("idProperty")
    find = _binned(call, key or "hs_object_id") if call.flag("archived") else _finder(call, key)
    found = [find(each) for each in ids]
    look = view(portal, kind, _names(call.body, "properties"), history)
    unique = {each.id: each for each in found if each is not None}
    missing = [text for text, each in zip(ids, found, strict=True) if each is None]
    errors = [missing_objects(kind.singular, list(dict.fromkeys(missing)))] if missing else []
    return _finished(call, [shown(each, look) for each in unique.values()], errors, 200)


def _checked_all(call: Call, inputs: Sequence[Json]) -> list[dict[str, str]]:
    """The values of every input, or 400 for all because of one."""
    judged = [checked(call.portal, call.kind, each.get("properties")) for each in inputs]
    refuse_problems([problem for _, problems in judged for problem in problems])
    return [clean for clean, _ in judged]


def _update(call: Call) -> Answer:
    portal, kind = call.portal, call.kind
    inputs = parse_inputs(call.body, MAX_INPUTS)
    ids = _ids(inputs)
    _refuse_duplicates(ids)
    finders = [_finder(call, _update_key(call, each)) for each in inputs]
    cleans = _checked_all(call, inputs)
    records = [find(text) for find, text in zip(finders, ids, strict=True)]
    for record, clean in zip(records, cleans, strict=True):
        _refuse_update(call, record, clean)
    results = []
    for record, clean in zip(records, cleans, strict=True):
        if record is not None:
            now = portal.shelf(kind).live[record.id]  # an earlier input may have named it by an id merged away
            results.append(shown_updated(portal, kind, writing.update(portal, kind, now, clean, call.source), clean))
    missing = [text for text, each in zip(ids, records, strict=True) if each is None]
    return _finished(call, results, [missing_objects(kind.singular, missing)] if missing else [], 200)


def _update_key(call: Call, given: Json) -> str | None:
    key = given.get("idProperty")
    if key == "email" and call.kind is CONTACTS:
        raise invalid("Contacts are updated by record id; email cannot be the idProperty of a batch update")
    return None if key is None else str(key)


def _refuse_update(call: Call, record: Record | None, clean: dict[str, str]) -> None:
    if record is None:
        return
    refuse_against(call.portal, record, clean, call.version)
    if conflict(call.portal, call.kind, clean, record) is not None:
        raise refusal(409, f"{call.kind.singular.capitalize()} already exists", "CONFLICT")


def _create(call: Call) -> Answer:
    inputs = parse_inputs(call.body, MAX_INPUTS)
    cleans = _checked_all(call, inputs)
    for clean in cleans:
        refuse_missing(call.kind, clean)
        refuse_against(call.portal, None, clean, call.version)
    ties = [parse_ties(call.portal, call.kind, each.get("associations")) for each in inputs]
    traces = [each.get("objectWriteTraceId") for each in inputs]
    held = _taken(call, cleans)
    if any(held) and None in traces:
        # Without a trace id on every input one conflict fails them all, and only the first is named.
        raise refusal(409, f"{call.kind.singular.capitalize()} already exists", "CONFLICT")
    results = [
        _created(call, clean, tied) for clean, tied, taken in zip(cleans, ties, held, strict=True) if taken is None
    ]
    errors = [_conflict_entry(call, str(trace), taken) for trace, taken in zip(traces, held, strict=True) if taken]
    return _finished(call, results, errors, 201)


def _taken(call: Call, cleans: Sequence[dict[str, str]]) -> list[str | None]:
    """Per input the id of the record that has its e-mail address; "0" when an earlier input of the batch has it."""
    seen: set[str] = set()
    taken: list[str | None] = []
    for clean in cleans:
        held = conflict(call.portal, call.kind, clean)
        email = clean.get("email", "") if call.kind is CONTACTS else ""
        taken.append(str(held.id) if held else ("0" if email and email in seen else None))
        seen.add(email)
    return taken


def _conflict_entry(call: Call, trace: str, existing: str) -> Json:
    message = f"{call.kind.singular.capitalize()} already exists. Existing ID: {existing}"
    context = {"objectWriteTraceId": [trace], "existingId": [existing]}
    return {"status": "error", "category": "CONFLICT", "message": message, "context": context}


def _created(call: Call, clean: dict[str, str], ties: Sequence[Tie]) -> Json:
    portal, kind = call.portal, call.kind
    record = writing.create(portal, kind, clean, call.source)
    tie_all(portal, (kind.plural, record.id), ties)
    return shown_created(portal, kind, portal.shelf(kind).live[record.id])


def _upsert(call: Call) -> Answer:
    inputs = parse_inputs(call.body, MAX_INPUTS)
    ids = _ids(inputs)
    _refuse_duplicates(ids)
    keys = [each.get("idProperty") for each in inputs]
    if None in keys:
        raise invalid("Every input of an upsert needs an idProperty")
    finders = [_finder(call, str(key)) for key in keys]
    keyed = [
        {"properties": {str(key): text, **(each.get("properties") or {})}}
        for each, key, text in zip(inputs, keys, ids, strict=True)
    ]
    cleans = _checked_all(call, keyed)
    found = [find(text) for find, text in zip(finders, ids, strict=True)]
    for record, clean in zip(found, cleans, strict=True):
        _refuse_update(call, record, clean)
    return _finished(call, [_upserted(call, each, clean) for each, clean in zip(found, cleans, strict=True)], [], 200)


def _upserted(call: Call, record: Record | None, clean: dict[str, str]) -> Json:
    if record is None:
        return {**_created(call, clean, ()), "new": True}
    after = writing.update(call.portal, call.kind, record, clean, call.source)
    return {**shown_updated(call.portal, call.kind, after, clean), "new": False}


def _archive(call: Call) -> Answer:
    for text in _ids(parse_inputs(call.body, MAX_INPUTS)):
        found = record_id(text)
        if found is not None:
            writing.archive(call.portal, call.kind, found)
    return Answer(204)


OPERATIONS = (
    Operation("POST", "/objects/{objectType}/batch/read", _read, "read", reading),
    Operation("POST", "/objects/{objectType}/batch/update", _update, "write", writing_scopes),
    Operation("POST", "/objects/{objectType}/batch/create", _create, "write", writing_scopes),
    Operation("POST", "/objects/{objectType}/batch/upsert", _upsert, "write", writing_scopes),
    Operation("POST", "/objects/{objectType}/batch/archive", _archive, "write", writing_scopes),
)
