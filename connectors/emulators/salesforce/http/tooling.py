"""Tooling API, the part that makes custom fields and tells of objects and fields. Nobody sees a new field until
FieldPermissions are given through the other API."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from connectors.emulators.salesforce.errors import Refusal, not_found
from connectors.emulators.salesforce.fields import Field
from connectors.emulators.salesforce.http.rest import Call, Operation, record_body
from connectors.emulators.salesforce.http.wire import Answer
from connectors.emulators.salesforce.ids import full_id, new_id
from connectors.emulators.salesforce.schema import ObjectType
from connectors.emulators.salesforce.soql.ast import Call as Function
from connectors.emulators.salesforce.soql.ast import (
    Comparison,
    Condition,
    Expression,
    Junction,
    Literal,
    Membership,
    Name,
    Negation,
    Ordering,
    Query,
    Selected,
)
from connectors.emulators.salesforce.soql.parser import parse

Row = dict[str, Any]
_TYPES = {
    "string": "Text", "textarea": "LongTextArea", "double": "Number", "int": "Number", "currency": "Currency",
    "percent": "Percent", "boolean": "Checkbox", "date": "Date", "datetime": "DateTime", "picklist": "Picklist",
    "multipicklist": "MultiselectPicklist", "reference": "Lookup", "email": "Email", "phone": "Phone", "url": "Url",
}  # fmt: skip


def _field_id(call: Call, object_name: str, field_name: str) -> str:
    """The id of a custom field, given when it is first spoken of."""
    known = call.instance.field_ids
    return known.setdefault(f"{object_name}.{field_name}".lower(), new_id("00N", len(known) + 1))


def _custom_fields(call: Call) -> Iterator[Row]:
    for kind in call.org.schema:
        for field in kind.fields.values():
            if field.custom:
                yield _custom_field(call, kind, field)


def _custom_field(call: Call, kind: ObjectType, field: Field) -> Row:
    record_id = _field_id(call, kind.name, field.name)
    return {
        "Id": record_id, "DeveloperName": re.sub(r"__\w+$", "", field.name), "FullName": f"{kind.name}.{field.name}",
        "TableEnumOrId": kind.name, "NamespacePrefix": None, "ManageableState": "unmanaged", "Length": field.length,
        "Precision": field.precision, "Scale": field.scale, "InlineHelpText": field.help or None,
        "EntityDefinitionId": kind.name, "EntityDefinition": {"QualifiedApiName": kind.name, "Label": kind.label},
        "Metadata": _metadata(field),
    }  # fmt: skip


def _metadata(field: Field) -> Row:
    return {
        "type": _TYPES.get(field.type, "Text"), "label": field.label, "length": field.length or None,
        "precision": field.precision or None, "scale": field.scale if field.precision else None,
        "externalId": field.external_id, "unique": field.unique, "required": not field.nillable,
    }  # fmt: skip


def _field_definitions(call: Call) -> Iterator[Row]:
    for kind in call.org.schema:
        for field in kind.fields.values():
            yield {
                "DurableId": f"{kind.name}.{field.name}", "QualifiedApiName": field.name, "Label": field.label,
                "DeveloperName": re.sub(r"__\w+$", "", field.name), "DataType": _data_type(field),
                "EntityDefinitionId": kind.name, "Length": field.length, "Precision": field.precision,
                "Scale": field.scale, "IsNillable": field.nillable, "IsCalculated": field.calculated,
                "EntityDefinition": {"QualifiedApiName": kind.name, "Label": kind.label}, "NamespacePrefix": None,
            }  # fmt: skip


def _data_type(field: Field) -> str:
    name = _TYPES.get(field.type, field.type)
    if field.precision:
        return f"{name}({field.precision - field.scale}, {field.scale})"
    return f"{name}({field.length})" if field.type in ("string", "textarea") else name


def _entities(call: Call) -> Iterator[Row]:
    for kind in call.org.schema:
        custom = kind.name.endswith("__c")
        yield {
            "Id": f"000000000000000{kind.prefix or 'AAA'}", "DurableId": kind.name, "QualifiedApiName": kind.name,
            "DeveloperName": re.sub(r"__\w+$", "", kind.name), "Label": kind.label, "PluralLabel": kind.label_plural,
            "KeyPrefix": kind.prefix or None, "NamespacePrefix": None, "IsCustomizable": True, "IsCustom": custom,
            "IsQueryable": kind.can.queryable, "IsTriggerable": kind.can.triggerable,
        }  # fmt: skip


_SOURCES: Mapping[str, tuple[str, Callable[[Call], Iterator[Row]]]] = {
    "customfield": ("CustomField", _custom_fields),
    "fielddefinition": ("FieldDefinition", _field_definitions),
    "entitydefinition": ("EntityDefinition", _entities),
}


def _query(call: Call) -> Answer:
    soql = call.word("q")
    if not soql.strip():
        raise Refusal(400, "MALFORMED_QUERY", "A query string has to be specified")
    query = parse(soql)[0]
    found = _SOURCES.get(query.source.name.lower())
    if found is None:
        message = f"sObject type '{query.source.name}' is not supported."
        raise Refusal(400, "INVALID_TYPE", message)
    name, source = found
    rows = [row for row in source(call) if query.where is None or _holds(row, query.where)]
    for each in reversed(query.order):
        rows.sort(key=partial(_sort_key, each), reverse=each.descending)
    rows = rows[query.offset : query.offset + query.limit if query.limit is not None else None]
    if _is_count(query):
        return Answer(200, {"size": 0, "totalSize": len(rows), "done": True, "entityTypeName": name, "records": []})
    shown = [_selected(call, name, row, query) for row in rows]
    body = {"size": len(shown), "totalSize": len(shown), "done": True, "queryLocator": None, "entityTypeName": name}
    return Answer(200, {**body, "records": shown})


def _is_count(query: Query) -> bool:
    first = query.select[0]
    return isinstance(first, Selected) and isinstance(first.expression, Function) and not first.expression.arguments


def _sort_key(by: Ordering, row: Row) -> tuple[bool, str]:
    value = _value(row, by.expression)
    return value is not None, str(value or "").lower()


def _value(row: Row, expression: Expression) -> Any:
    """What a path leads to; 400 for a name that is none."""
    if not isinstance(expression, Name):
        raise Refusal(400, "MALFORMED_QUERY", f"function {expression.function} is not supported by this object")
    value: Any = row
    for part in expression.path:
        if not isinstance(value, dict):
            return None
        name = next((each for each in value if each.lower() == part.lower()), None)
        if name is None:
            raise Refusal(400, "INVALID_FIELD", f"No such column '{expression.text}' on the entity of the query")
        value = value[name]
    return value


def _holds(row: Row, condition: Condition) -> bool:
    if isinstance(condition, Junction):
        holds = (_holds(row, each) for each in condition.terms)
        return all(holds) if condition.operator == "and" else any(holds)
    if isinstance(condition, Negation):
        return not _holds(row, condition.term)
    if isinstance(condition, Comparison):
        return _compares(_value(row, condition.left), condition.operator, condition.right)
    if isinstance(condition, Membership) and isinstance(condition.values, tuple):
        found = any(_compares(_value(row, condition.left), "=", each) for each in condition.values)
        return found is not condition.negated
    raise Refusal(400, "MALFORMED_QUERY", "this condition is not supported by Tooling objects here")


def _compares(value: Any, operator: str, literal: Literal) -> bool:
    wanted = literal.value
    if isinstance(value, str) and isinstance(wanted, str):
        value, wanted = value.lower(), wanted.lower()
        if full_id(value) and literal.value:
            wanted = (full_id(str(literal.value)) or wanted).lower()
    if operator == "like":
        pattern = "".join({"%": ".*", "_": "."}.get(sign, re.escape(sign)) for sign in str(wanted))
        return re.fullmatch(pattern, str(value or ""), re.DOTALL) is not None
    if operator in ("=", "!="):
        return (value == wanted) is (operator == "=")
    if value is None or wanted is None:
        return False
    return bool({"<": value < wanted, "<=": value <= wanted, ">": value > wanted, ">=": value >= wanted}[operator])


def _selected(call: Call, name: str, row: Row, query: Query) -> Row:
    address = f"{call.root}/tooling/sobjects/{name}/{row.get('Id') or row['DurableId']}"
    shown: Row = {"attributes": {"type": name, "url": address}}
    for each in query.select:
        if not isinstance(each, Selected) or not isinstance(each.expression, Name):
            raise Refusal(400, "MALFORMED_QUERY", "only fields can be selected from Tooling objects here")
        value, path = _value(row, each.expression), each.expression.path
        canonical = [next((key for key in row if key.lower() == path[0].lower()), path[0]), *path[1:]]
        inner = shown
        for part in canonical[:-1]:
            inner = inner.setdefault(part, {"attributes": {"type": part}})
        inner[canonical[-1]] = value
    return shown


def _create(call: Call) -> Answer:
    _refuse_other(call)
    body = record_body(call.json())
    object_name, field_name = _full_name(call, body)
    metadata = body.get("Metadata")
    if not isinstance(metadata, dict) or not metadata.get("type"):
        raise Refusal(400, "REQUIRED_FIELD_MISSING", "Required fields are missing: [Metadata]", ("Metadata",))
    made = call.org.add_field(object_name, {**metadata, "fullName": field_name}, visible=False)
    body = {"id": _field_id(call, object_name, made), "success": True, "errors": [], "warnings": [], "infos": []}
    return Answer(201, body)


def _refuse_other(call: Call) -> None:
    if call.path["object"].lower() != "customfield":
        raise not_found()


def _full_name(call: Call, body: Mapping[str, Any]) -> tuple[str, str]:
    """(object, field) of `Lead.Lead_Score__c`; 400 for a name that is none."""
    object_name, dot, field_name = str(body.get("FullName") or "").partition(".")
    if not dot:
        raise Refusal(400, "REQUIRED_FIELD_MISSING", "Required fields are missing: [FullName]", ("FullName",))
    if not re.fullmatch(r"(?!\w*__\w*__c)[A-Za-z](?:\w*[A-Za-z0-9])?__c", field_name):
        message = (
            "Custom field name: The name can only contain letters, numbers and underscores, must begin with a letter, "
            f"and end with __c: {field_name}"
        )
        raise Refusal(400, "FIELD_INTEGRITY_EXCEPTION", message, ("FullName",))
    return call.org.object_name(object_name), field_name


def _target(call: Call) -> tuple[ObjectType, Field]:
    _refuse_other(call)
    wanted = full_id(call.path["id"])
    for kind in call.org.schema:
        for field in kind.fields.values():
            if field.custom and _field_id(call, kind.name, field.name) == wanted:
                return kind, field
    raise not_found()


def _read(call: Call) -> Answer:
    kind, field = _target(call)
    row = _custom_field(call, kind, field)
    address = f"{call.root}/tooling/sobjects/CustomField/{row['Id']}"
    return Answer(200, {"attributes": {"type": "CustomField", "url": address}, **row})


def _delete(call: Call) -> Answer:
    kind, field = _target(call)
    call.org.remove_field(kind.name, field.name)
    return Answer(204)


def _index(call: Call) -> Answer:
    shown = [{"name": name, "label": name, "queryable": True} for name, _ in _SOURCES.values()]
    return Answer(200, {"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": shown})


OPERATIONS = (
    Operation("/tooling/query", {"GET": _query}),
    Operation("/tooling/sobjects", {"GET": _index}),
    Operation("/tooling/sobjects/{object}", {"POST": _create}),
    Operation("/tooling/sobjects/{object}/{id}", {"GET": _read, "DELETE": _delete}),
)
