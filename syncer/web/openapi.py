"""The description of the API, made of the same registry as its routes, so that it cannot tell of another one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import orjson
from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from syncer.web.site import adapter
from syncer.web.views import Action, Done, Download, View

_REF = "#/components/schemas/{model}"
_IN_PATH = re.compile(r"\{(\w+)(?::\w+)?\}")
_ERRORS: Mapping[int, str] = {
    400: "a value makes no sense; the message says which",
    401: "no sign-in, or no good token",
    403: "the role does not allow it, or the pages are not open to this address",
    404: "there is no such thing",
    409: "it cannot be done as things are; the message says why and what to do",
    500: "a fault of ours; the log says what",
    503: "not just now; try again in a minute",
}
_ERROR = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
            "required": ["code", "message"],
        }
    },
    "required": ["error"],
}
_SCHEMES = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "`Authorization: Bearer syncer_…`; an admin makes tokens under /users.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "syncer_session",
        "description": "Of a browser that has signed in; `__Host-syncer_session` where it is reached over HTTPS.",
    },
}


def described(
    views: Sequence[View[Any, Any]], actions: Sequence[Action[Any]], downloads: Sequence[Download[Any]]
) -> bytes:
    """OpenAPI 3.1, as JSON."""
    schemas, parts = _schemas(views, [*actions, *downloads])
    paths: dict[str, dict[str, Any]] = {}
    for view in views:
        paths.setdefault(_path(view.path), {})["get"] = _look(view, schemas)
    for action in actions:
        paths.setdefault(_path(action.path), {})["post"] = _act(action, schemas)
    for download in downloads:
        paths.setdefault(download.path, {})["get"] = _give(download, schemas)
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "syncer",
            "version": version("syncer"),
            "description": "All that the pages show and do. `_hundredths` are hundredths of a point; times are in UTC.",
        },
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": {**parts, "Error": _ERROR}, "securitySchemes": _SCHEMES},
        "security": [{"token": []}, {"session": []}],
    }
    return orjson.dumps(document)


_Key = tuple[Any, JsonSchemaMode]


def _schemas(
    views: Sequence[View[Any, Any]], others: Sequence[Action[Any] | Download[Any]]
) -> tuple[dict[_Key, dict[str, Any]], dict[str, Any]]:
    """(shape and how it is used -> its schema, the parts that these refer to by name)."""
    wanted: list[tuple[Any, JsonSchemaMode, TypeAdapter[Any]]] = [(Done, "serialization", adapter(Done))]
    for view in views:
        wanted += [(view.asked, "validation", adapter(view.asked)), (view.shows, "serialization", adapter(view.shows))]
    wanted += [(each.asked, "validation", adapter(each.asked)) for each in others]
    distinct = list({(key, mode): (key, mode, each) for key, mode, each in wanted}.values())
    schemas, rest = TypeAdapter.json_schemas(distinct, ref_template=_REF)
    parts = rest.get("$defs", {})
    return {(key, mode): _whole(schema, mode, parts) for (key, mode), schema in schemas.items()}, parts


def _whole(schema: dict[str, Any], mode: JsonSchemaMode, parts: Mapping[str, Any]) -> dict[str, Any]:
    """What is asked for is taken apart, so it does not stand elsewhere."""
    name = schema.get("$ref", "").removeprefix(_REF.format(model=""))
    return parts[name] if name and mode == "validation" else schema


def _path(path: str) -> str:
    plain = _IN_PATH.sub(r"{\1}", path)
    return f"/api{plain}".rstrip("/")


def _look(view: View[Any, Any], schemas: Mapping[_Key, Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "operationId": view.name,
        "description": f"Role: {view.role}.",
        "parameters": list(_parameters(view.path, schemas[view.asked, "validation"])),
        "responses": {"200": _json("what the page shows", schemas[view.shows, "serialization"]), **_errors()},
    }


def _parameters(path: str, schema: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    in_path = set(_IN_PATH.findall(path))
    for name, each in schema.get("properties", {}).items():
        place = "path" if name in in_path else "query"
        needed = name in in_path or name in schema.get("required", ())
        yield {"name": name, "in": place, "required": needed, "schema": each}


def _give(download: Download[Any], schemas: Mapping[_Key, Mapping[str, Any]]) -> dict[str, Any]:
    """A file is for people, as a page is: it stands beside the pages, and what is wrong is told as a page."""
    file = {"description": "the file", "content": {download.media_type: {"schema": {"type": "string"}}}}
    wrong = {str(status): {"description": _ERRORS[status]} for status in (400, 403, 500, 503)}
    return {
        "operationId": download.path.strip("/").replace("/", "_").replace(".", "_"),
        "description": f"Role: {download.role}. A file, for a browser that has signed in.",
        "parameters": list(_parameters(download.path, schemas[download.asked, "validation"])),
        "responses": {"200": file, "303": {"description": "to the sign-in"}, **wrong},
        "security": [{"session": []}],
    }


def _act(action: Action[Any], schemas: Mapping[_Key, Mapping[str, Any]]) -> dict[str, Any]:
    schema, in_path = schemas[action.asked, "validation"], set(_IN_PATH.findall(action.path))
    properties = schema.get("properties", {})
    body = {
        **schema,
        "properties": {name: each for name, each in properties.items() if name not in in_path},
        "required": [name for name in schema.get("required", ()) if name not in in_path],
    }
    return {
        "operationId": action.name,
        "description": f"Role: {action.role}. What it changes stands in the audit log.",
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": properties[name]} for name in sorted(in_path)
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {"200": _json("it is done", schemas[Done, "serialization"]), **_errors()},
    }


def _json(what: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": what, "content": {"application/json": {"schema": schema}}}


def _errors() -> dict[str, Any]:
    return {str(status): _json(what, {"$ref": _REF.format(model="Error")}) for status, what in _ERRORS.items()}
