"""Ties between records: in batches, one by one, and in the v3 form with names instead of type ids."""

from collections.abc import Callable, Mapping, Sequence

from connectors.emulators.hubspot import companies
from connectors.emulators.hubspot.answers import Answer, Json, batch, invalid, not_found
from connectors.emulators.hubspot.catalog import ASSOCIATION_TYPES, PRIMARY_COMPANY, ObjectType, default_association
from connectors.emulators.hubspot.links import described
from connectors.emulators.hubspot.operations import Call, Operation, parse_inputs, record_id
from connectors.emulators.hubspot.portal import Portal, known_type
from connectors.emulators.hubspot.records import Record
from connectors.emulators.hubspot.routes.ties import tied_ids
from connectors.emulators.hubspot.writing import note_activity, tie_changed

MAX_READ, MAX_CREATE, MAX_ARCHIVE, MAX_PAGE = 1000, 2000, 100, 500


def _ends(call: Call) -> tuple[ObjectType, ObjectType]:
    return known_type(call.path["fromObjectType"]), known_type(call.path["toObjectType"])


def reading(call: Call) -> tuple[str, ...]:
    """Reading one of the two kinds is enough."""
    here, there = _ends(call)
    return tuple(dict.fromkeys((*here.read_scopes, *there.read_scopes)))


def changing(call: Call) -> tuple[str, ...]:
    """Writing one of the two kinds is enough."""
    here, there = _ends(call)
    return tuple(dict.fromkeys((*here.write_scopes, *there.write_scopes)))


def _described(here: ObjectType, there: ObjectType, their_id: int, type_ids: frozenset[int]) -> Json:
    types = [
        {"category": each.category, "typeId": each.type_id, "label": each.label}
        for each in described(here.plural, there.plural, type_ids)
    ]
    return {"toObjectId": their_id, "associationTypes": types}


def _page(ties: Mapping[int, frozenset[int]], after: str, size: int) -> tuple[list[int], Json]:
    """Ids of one page in ascending order, and its `paging` ({} on the last); `after` is the last id already seen."""
    start = record_id(after or "0")
    if start is None:
        raise invalid(f"{after} is not a valid paging cursor")
    ids = [each for each in sorted(ties) if each > start]
    more = len(ids) > size
    cursor = str(ids[size - 1]) if more else ""
    return ids[:size], {"paging": {"next": {"after": cursor, "link": f"?after={cursor}"}}} if more else {}


def _read(call: Call) -> Answer:
    here, there = _ends(call)
    results, errors = [], []
    for each in parse_inputs(call.body, MAX_READ):
        found, problem = _read_one(call.portal, here, there, each)
        results += found
        errors += problem
    now_ms = call.portal.clock.now_ms()
    return Answer(207 if errors else 200, batch(call.started_ms, now_ms, results, errors))


def _read_one(portal: Portal, here: ObjectType, there: ObjectType, given: Json) -> tuple[list[Json], list[Json]]:
    text = str(given.get("id", ""))
    number = record_id(text)
    if number is None:
        return [], [_bad_id(text)]
    ties = portal.ties((here.plural, portal.shelf(here).resolve(number)), there.plural)
    if not ties:
        return [], [_untied(here, there, text)] if portal.manners.missing_associations == "errors" else []
    ids, paging = _page(ties, str(given.get("after") or ""), portal.manners.association_page)
    return [{"from": {"id": text}, "to": [_described(here, there, each, ties[each]) for each in ids], **paging}], []


def _bad_id(text: str) -> Json:
    return {
        "status": "error",
        "category": "VALIDATION_ERROR",
        "subCategory": "crm.associations.INVALID_IDENTIFIER",
        "message": f"{text} is not a valid ID",
        "context": {"id": [text]},
    }


def _untied(here: ObjectType, there: ObjectType, text: str) -> Json:
    return {
        "status": "error",
        "category": "OBJECT_NOT_FOUND",
        "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND",
        "message": f"No {there.singular} is associated with {here.singular} {text}.",
        "context": {"fromObjectId": [text], "fromObjectType": [here.singular], "toObjectType": [there.singular]},
    }


def _gone(kind: ObjectType, text: str) -> Json:
    message = f"No {kind.singular} with ID {text} exists"
    return {"status": "error", "category": "OBJECT_NOT_FOUND", "message": message, "context": {"id": [text]}}


def _end(portal: Portal, kind: ObjectType, raw: object) -> Record | Json:
    """The record an input names, or the error entry saying why there is none."""
    text = str(raw.get("id", "")) if isinstance(raw, dict) else str(raw)
    number = record_id(text)
    if number is None:
        return _bad_id(text)
    return portal.shelf(kind).find(number) or _gone(kind, text)


def _pair(call: Call, given: Json) -> tuple[Record, Record] | Json:
    here, there = _ends(call)
    one, other = _end(call.portal, here, given.get("from")), _end(call.portal, there, given.get("to"))
    for each in (one, other):
        if isinstance(each, dict):
            return each
    assert isinstance(one, Record)
    assert isinstance(other, Record)
    if here is there and one.id == other.id:
        message = f"Object {one.id} cannot be associated to itself ({other.id})"
        return {"status": "error", "category": "VALIDATION_ERROR", "message": message}
    return one, other


def _type_ids(here: ObjectType, there: ObjectType, raw: object) -> list[int]:
    known = {each.type_id for each in ASSOCIATION_TYPES.get((here.plural, there.plural), ())}
    specs = raw if isinstance(raw, list) else []
    wanted = [record_id(each.get("associationTypeId")) or 0 for each in specs if isinstance(each, dict)]
    if not wanted or not known.issuperset(wanted):
        raise invalid(f"Association types {wanted} do not exist between {here.singular} and {there.singular}")
    return wanted


def _tie(call: Call, pair: tuple[Record, Record], type_ids: Sequence[int]) -> Json:
    here, there = _ends(call)
    ends = (here.plural, pair[0].id), (there.plural, pair[1].id)
    before = call.portal.links.of(ends[0], there.plural).get(pair[1].id, frozenset())
    call.portal.links.tie(*ends, type_ids)
    if not before:
        note_activity(call.portal, ends)
    if not before.issuperset(type_ids):
        tie_changed(call.portal, ends)
        call.portal.webhooks.tied(ends, primary=PRIMARY_COMPANY in type_ids)
    companies.tied(call.portal, *ends, frozenset(type_ids))
    labels = [each.label for each in described(here.plural, there.plural, type_ids) if each.label]
    return {
        "fromObjectTypeId": here.type_id,
        "fromObjectId": pair[0].id,
        "toObjectTypeId": there.type_id,
        "toObjectId": pair[1].id,
        "labels": labels,
    }


Make = Callable[[Call, Json, tuple[Record, Record]], Json]


def _batch_of_pairs(call: Call, make: Make, status: int) -> Answer:
    results, errors = [], []
    for each in parse_inputs(call.body, MAX_CREATE):
        pair = _pair(call, each)
        if isinstance(pair, dict):
            errors.append(pair)
        else:
            results.append(make(call, each, pair))
    now_ms = call.portal.clock.now_ms()
    return Answer(207 if errors else status, batch(call.started_ms, now_ms, results, errors))


def _labelled(call: Call, given: Json, pair: tuple[Record, Record]) -> Json:
    return _tie(call, pair, _type_ids(*_ends(call), given.get("types")))


def _default_spec(call: Call) -> Json:
    here, there = _ends(call)
    found = default_association(here.plural, there.plural)
    if found is None:
        raise invalid(f"{here.plural} and {there.plural} cannot be associated")
    return {"associationCategory": found.category, "associationTypeId": found.type_id}


def _unlabelled(call: Call, given: Json, pair: tuple[Record, Record]) -> Json:
    spec = _default_spec(call)
    _tie(call, pair, [spec["associationTypeId"]])
    return {"from": {"id": str(pair[0].id)}, "to": {"id": str(pair[1].id)}, "associationSpec": spec}


def _create(call: Call) -> Answer:
    for each in parse_inputs(call.body, MAX_CREATE):
        _type_ids(*_ends(call), each.get("types"))
    return _batch_of_pairs(call, _labelled, 200 if call.dated else 201)


def _create_default(call: Call) -> Answer:
    return _batch_of_pairs(call, _unlabelled, 200)


def _untie(call: Call, one: object, other: object, type_ids: Sequence[int] | None = None) -> None:
    here, there = _ends(call)
    ids = [record_id(each.get("id")) if isinstance(each, dict) else record_id(each) for each in (one, other)]
    if ids[0] is None or ids[1] is None:
        return
    ends = (here.plural, ids[0]), (there.plural, ids[1])
    if ids[1] in call.portal.links.of(ends[0], there.plural):
        call.portal.links.untie(*ends, type_ids)
        tie_changed(call.portal, ends)
        call.portal.webhooks.tied(ends, removed=True)
        companies.untied(call.portal, *ends)


def _archive(call: Call) -> Answer:
    for each in parse_inputs(call.body, MAX_ARCHIVE):
        others = each.get("to")
        for other in others if isinstance(others, list) else [others]:
            _untie(call, each.get("from"), other)
    return Answer(204)


def _archive_labels(call: Call) -> Answer:
    for each in parse_inputs(call.body, MAX_ARCHIVE):
        _untie(call, each.get("from"), each.get("to"), _type_ids(*_ends(call), each.get("types")))
    return Answer(204)


def _labels(call: Call) -> Answer:
    here, there = _ends(call)
    types = ASSOCIATION_TYPES.get((here.plural, there.plural), ())
    shown = [{"category": each.category, "typeId": each.type_id, "label": each.label} for each in types]
    return Answer(200, {"results": shown})


def _list(call: Call) -> Answer:
    here, there = _ends(call)
    found = _end(call.portal, here, call.path["fromObjectId"])
    if isinstance(found, dict) or (call.dated and not call.portal.manners.dated_association_list):
        raise not_found()
    if call.version == "v3":
        return Answer(200, tied_ids(call.portal, found.id, (here, there), call.word("after")))
    ties = call.portal.ties((here.plural, found.id), there.plural)
    ids, paging = _page(ties, call.word("after"), call.number("limit", MAX_PAGE, MAX_PAGE))
    return Answer(200, {"results": [_described(here, there, each, ties[each]) for each in ids], **paging})


def _path_pair(call: Call) -> tuple[Record, Record]:
    pair = _pair(call, {"from": {"id": call.path["fromObjectId"]}, "to": {"id": call.path["toObjectId"]}})
    if isinstance(pair, dict):
        raise invalid(pair["message"]) if pair["category"] == "VALIDATION_ERROR" else not_found(pair["message"])
    return pair


def _put(call: Call) -> Answer:
    return Answer(
        200 if call.dated else 201, _tie(call, _path_pair(call), _type_ids(*_ends(call), call.body.get("inputs")))
    )


def _put_default(call: Call) -> Answer:
    result = _unlabelled(call, {}, _path_pair(call))
    return Answer(200, batch(call.started_ms, call.portal.clock.now_ms(), [result]))


def _delete(call: Call) -> Answer:
    _untie(call, call.path["fromObjectId"], call.path["toObjectId"])
    return Answer(204)


def _v3_word(call: Call) -> str:
    here, there = _ends(call)
    return f"{here.singular}_to_{there.singular}"


def _v3_read(call: Call) -> Answer:
    here, there = _ends(call)
    results, errors = [], []
    for each in parse_inputs(call.body, MAX_READ):
        text = str(each.get("id", ""))
        shown = tied_ids(call.portal, call.portal.shelf(here).resolve(record_id(text) or -1), (here, there))
        if shown["results"]:
            results.append({"from": {"id": text}, "to": shown.pop("results"), **shown})
        else:
            errors.append(_untied(here, there, text))
    return Answer(207 if errors else 200, batch(call.started_ms, call.portal.clock.now_ms(), results, errors))


def _v3_create(call: Call) -> Answer:
    def make(call: Call, given: Json, pair: tuple[Record, Record]) -> Json:
        made = _unlabelled(call, given, pair)
        return {"from": made["from"], "to": made["to"], "type": str(given.get("type") or _v3_word(call))}

    return _batch_of_pairs(call, make, 201)


def _v3_types(call: Call) -> Answer:
    here, there = _ends(call)
    types = ASSOCIATION_TYPES.get((here.plural, there.plural), ())
    return Answer(200, {"results": [{"id": str(each.type_id), "name": _v3_word(call)} for each in types]})


_PAIR = "/associations/{fromObjectType}/{toObjectType}"
_V3 = "/associations-v3/{fromObjectType}/{toObjectType}"
_ONE = "/objects/{fromObjectType}/{fromObjectId}/associations"
OPERATIONS = (
    Operation("POST", f"{_PAIR}/batch/read", _read, "read", reading),
    Operation("POST", f"{_PAIR}/batch/create", _create, "write", changing),
    Operation("POST", f"{_PAIR}/batch/associate/default", _create_default, "write", changing),
    Operation("POST", f"{_PAIR}/batch/archive", _archive, "write", changing),
    Operation("POST", f"{_PAIR}/batch/labels/archive", _archive_labels, "write", changing),
    Operation("GET", f"{_PAIR}/labels", _labels, "read", reading),
    Operation("PUT", f"{_ONE}/default/{{toObjectType}}/{{toObjectId}}", _put_default, "write", changing),
    Operation("GET", f"{_ONE}/{{toObjectType}}", _list, "read", reading),
    Operation("PUT", f"{_ONE}/{{toObjectType}}/{{toObjectId}}", _put, "write", changing),
    Operation("DELETE", f"{_ONE}/{{toObjectType}}/{{toObjectId}}", _delete, "write", changing),
    Operation("POST", f"{_V3}/batch/read", _v3_read, "read", reading),
    Operation("POST", f"{_V3}/batch/create", _v3_create, "write", changing),
    Operation("POST", f"{_V3}/batch/archive", _archive, "write", changing),
    Operation("GET", f"{_V3}/types", _v3_types, "read", reading),
)
