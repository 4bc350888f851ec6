"""JSON Schemas of the project file, of model files and of rule tests, for editors."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, Field, create_model

from syncer.rules import Operator
from syncer.settings.cases import CasesFile
from syncer.settings.models import ModelFile
from syncer.settings.shapes import HandoffFile, Notifier, ProjectFile, SegmentFile
from syncer.settings.values import DURATION_SCHEMA

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE: Mapping[str, Any] = {"type": "string", "pattern": r"\$\{.+\}"}

_SCALAR = {"type": ["string", "number", "boolean"]}
_NUMBER = {"type": "number"}
_ONE_OR_MORE_VALUES = {"anyOf": [_SCALAR, {"type": "array", "items": _SCALAR, "minItems": 1}]}
_ONE_OR_MORE_TEXTS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
_ASKED: Mapping[Operator, Any] = {
    "any_of": _ONE_OR_MORE_VALUES,
    "contains": _ONE_OR_MORE_TEXTS,
    "matches": {"type": "string", "format": "regex"},
    "between": {"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2},
    "at_least": _NUMBER,
    "over": _NUMBER,
    "under": _NUMBER,
    "at_most": _NUMBER,
    "is_set": {"type": "boolean"},
    "domain_in": _ONE_OR_MORE_TEXTS,
    "older_than": DURATION_SCHEMA,
    "newer_than": DURATION_SCHEMA,
}


def json_schema(connectors: Mapping[str, type[BaseModel]]) -> dict[str, Any]:
    """Of the project file; a connection is one of the installed connectors, told apart by `type`."""
    handoff = create_model("Handoff", __base__=HandoffFile, notifiers=(dict[str, Notifier], {}))
    named: dict[str, Any] = {
        "connections": (dict[str, _connection(connectors)] | str, ...),  # type: ignore[misc]
        "models": (str | list[str | SegmentFile], ...),
        "handoff": (handoff, None),
    }
    return _finished(create_model("Project", __base__=ProjectFile, **named), references=True)


def model_schema() -> dict[str, Any]:
    """Of a model file."""
    return _finished(ModelFile, references=False)


def cases_schema() -> dict[str, Any]:
    """Of a file of rule tests."""
    return _finished(CasesFile, references=False)


def _connection(connectors: Mapping[str, type[BaseModel]]) -> Any:
    """The connectors' own settings, each with its `type` beside them."""
    shapes = [_told_apart(kind, shape) for kind, shape in sorted(connectors.items())]
    if len(shapes) < 2:
        return shapes[0] if shapes else dict[str, Any]
    return Annotated[reduce(or_, shapes), Field(discriminator="type")]


def _told_apart(kind: str, shape: type[BaseModel]) -> Any:
    tag: dict[str, Any] = {"type": (Literal[kind], ...)}
    return create_model(f"{kind}_connection", __base__=shape, **tag)


def _finished(shape: type[BaseModel], *, references: bool) -> dict[str, Any]:
    schema = _completed(shape.model_json_schema(by_alias=True), references)
    schema["$defs"] = {**schema.get("$defs", {}), **_CONDITIONS}
    return {"$schema": _DIALECT, **schema}


def _completed(part: Any, references: bool) -> Any:
    """Conditions get their schema; numbers and choices may also be written as `${NAME}`."""
    if isinstance(part, list):
        return [_completed(inner, references) for inner in part]
    if not isinstance(part, dict):
        return part
    if part.get("$comment") == "Condition":
        return {"$ref": "#/$defs/Condition", **{key: value for key, value in part.items() if key == "description"}}
    whole = {key: _completed(inner, references) for key, inner in part.items()}
    if references and (whole.get("type") in ("integer", "number", "boolean") or "enum" in whole):
        kept = {key: whole.pop(key) for key in ("default", "description", "title") if key in whole}
        return {"anyOf": [whole, dict(_REFERENCE)], **kept}
    return whole


def _operators() -> dict[str, Any]:
    asked = {name: _ASKED[name] for name in get_args(Operator)}
    asked["is"] = _ASKED["any_of"]
    negated = {f"not_{name}": schema for name, schema in asked.items()}
    return {**asked, **negated, "not": {"$ref": "#/$defs/FieldTest"}, "exact": {"type": "boolean"}}


def _conditions() -> dict[str, Any]:
    several = {"type": "array", "items": {"$ref": "#/$defs/Condition"}, "minItems": 1}
    groups = {"all": several, "any": several, "none": several}
    activity = {"activity": _ONE_OR_MORE_TEXTS, "in_last": DURATION_SCHEMA}
    test = {"$ref": "#/$defs/FieldTest"}
    return {
        "Condition": {
            "description": "field: value, a list of values or {operator: ...}; or activity: kind and its own fields",
            "type": "object",
            "minProperties": 1,
            "properties": {**groups, **activity},
            "additionalProperties": test,
        },
        "FieldTest": {"anyOf": [*_ONE_OR_MORE_VALUES["anyOf"], {"$ref": "#/$defs/Operators"}]},
        "Operators": {
            "type": "object",
            "minProperties": 1,
            "properties": _operators(),
            "additionalProperties": False,
        },
    }


_CONDITIONS = _conditions()
