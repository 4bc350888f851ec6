"""The description of the API: sound in itself, whole, and true of what is answered."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
from jsonschema import Draft202012Validator

from syncer.web.pages import ACTIONS, DOWNLOADS, VIEWS
from tests.web.pages import Pages


@pytest.fixture(scope="module")
def document(lasting_pages: Pages) -> dict[str, Any]:
    told: dict[str, Any] = lasting_pages.api("/openapi.json")
    return told


def validator(document: dict[str, Any], schema: Any) -> Draft202012Validator:
    """OpenAPI 3.1 has JSON Schema 2020-12, with its parts where the document has them."""
    return Draft202012Validator({**schema, "components": document["components"]})


def test_every_view_action_and_download_is_described_with_its_role(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    told = {
        (method, path, operation["description"].removeprefix("Role: ").split(".")[0])
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert told == {("get", f"/api{each.path}".rstrip("/"), each.role) for each in VIEWS} | {
        ("post", f"/api{each.path}", each.role) for each in ACTIONS
    } | {("get", each.path, each.role) for each in DOWNLOADS}


def test_names_of_operations_are_their_own_and_what_stands_in_a_path_is_a_parameter(document: dict[str, Any]) -> None:
    operations = [(path, each) for path, kinds in document["paths"].items() for each in kinds.values()]
    names = [each["operationId"] for _, each in operations]
    assert sorted(names) == sorted(set(names))
    for path, each in operations:
        asked = {name.strip("{}") for name in path.split("/") if name.startswith("{")}
        assert asked == {one["name"] for one in each["parameters"] if one["in"] == "path"}, path
        assert all(one["required"] for one in each["parameters"] if one["in"] == "path")


def test_every_schema_is_one_and_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    Draft202012Validator.check_schema({"$defs": document["components"]["schemas"]})
    for schema in _schemas(document["paths"]):
        Draft202012Validator.check_schema(schema)
        for name in _references(schema):
            assert name in document["components"]["schemas"], name
    for schema in document["components"]["schemas"].values():
        assert set(_references(schema)) <= document["components"]["schemas"].keys()


def _schemas(inside: Any) -> list[Any]:
    if isinstance(inside, list):
        return [found for each in inside for found in _schemas(each)]
    if not isinstance(inside, dict):
        return []
    return [*([inside["schema"]] if "schema" in inside else []), *_schemas(list(inside.values()))]


def _references(inside: Any) -> list[str]:
    if isinstance(inside, list):
        return [found for each in inside for found in _references(each)]
    if not isinstance(inside, dict):
        return []
    own = [inside["$ref"].removeprefix("#/components/schemas/")] if isinstance(inside.get("$ref"), str) else []
    return [*own, *_references(list(inside.values()))]


def _sample(pages: Pages, view: Any) -> str:
    """An address of the view about what there is in the demo's base."""
    with pages.app.store.reading() as tx:
        lead = tx.exec_driver_sql("SELECT max(id) FROM leads WHERE stage IS NOT NULL").scalar_one()
        run = tx.exec_driver_sql("SELECT max(id) FROM runs").scalar_one()
        record = tx.exec_driver_sql(f"SELECT connection, object, id FROM records WHERE lead_id = {lead}").first()
    known = {"lead": str(lead), "run": str(run), "connection": "crm", "record": "/".join(record or ())}
    path = re.sub(r"\{(\w+)(:\w+)?\}", lambda found: known[found[1]], f"/api{view.path}".rstrip("/"))
    needed = [name for name, field in view.asked.model_fields.items() if field.is_required()]
    query = {name: known[name] for name in needed if f"{{{name}" not in view.path}
    return f"{path}?{urlencode(query)}"


@pytest.mark.parametrize("view", VIEWS, ids=lambda each: each.name)
def test_what_is_answered_is_what_is_described(lasting_pages: Pages, document: dict[str, Any], view: Any) -> None:
    answer = lasting_pages.caller.ask("GET", _sample(lasting_pages, view))
    assert answer.status == 200 or (view.name, answer.status) == ("plan", 404), answer.data[:500]
    assert answer.headers["content-type"] == "application/json"
    path = re.sub(r":\w+\}", "}", f"/api{view.path}".rstrip("/"))
    content = document["paths"][path]["get"]["responses"][str(answer.status)]["content"]["application/json"]
    assert list(validator(document, content["schema"]).iter_errors(orjson.loads(answer.data))) == []


@pytest.mark.parametrize("download", DOWNLOADS, ids=lambda each: each.path)
def test_a_file_is_of_the_kind_and_for_whom_it_is_described(
    lasting_pages: Pages, document: dict[str, Any], download: Any
) -> None:
    told = document["paths"][download.path]["get"]
    assert told["security"] == [{"session": []}], "tokens open the API alone"
    assert {each["name"] for each in told["parameters"]} == download.asked.model_fields.keys()
    answer = lasting_pages.caller.ask("GET", download.path)
    assert (answer.status, [answer.headers["content-type"].partition(";")[0]]) == (
        200, [each.partition(";")[0] for each in told["responses"]["200"]["content"]],
    )  # fmt: skip


def test_an_error_is_what_is_described(lasting_pages: Pages, document: dict[str, Any]) -> None:
    for path in ("/api/audit?before=x", "/api/audit?nothing=1"):
        answer = lasting_pages.caller.ask("GET", path)
        assert answer.status == 400
        schema = document["paths"]["/api/audit"]["get"]["responses"]["400"]["content"]["application/json"]["schema"]
        assert list(validator(document, schema).iter_errors(orjson.loads(answer.data))) == []


def test_what_an_action_takes_is_described_without_what_stands_in_its_path(document: dict[str, Any]) -> None:
    body = document["paths"]["/api/users/add"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert sorted(body["properties"]) == ["name", "password", "role"]
    assert body["required"] == ["name", "password"]
    assert body["properties"]["password"]["writeOnly"]
    check = validator(document, body)
    assert check.is_valid({"name": "ana", "password": "correct horse battery", "role": "admin"})
    assert not check.is_valid({"name": "ana", "password": "x", "role": "boss"})
    assert not check.is_valid({"name": "ana", "password": "x", "more": 1})
