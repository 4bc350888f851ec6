"""The schemas that editors complete and check with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from pydantic import BaseModel, ConfigDict
from ruamel.yaml import YAML

from syncer.settings import json_schema, model_schema
from tests.settings.samples import CONNECTORS, CrmSettings

CONFIG = Path(__file__).parents[2] / "config"


class SheetSettings(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    path: str
    mode: Literal["read", "write"] = "read"
    rows: int = 1


class Checker:
    """Enough of JSON Schema for what our schemas say; a keyword it does not know is an error."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._root = schema

    def fits(self, value: Any, schema: Mapping[str, Any] | None = None) -> bool:
        whole = self._root if schema is None else schema
        return all(getattr(self, f"_{key.strip('$')}")(value, asked, whole) for key, asked in whole.items())

    def _ref(self, value: Any, asked: str, _: Any) -> bool:
        return self.fits(value, self._root["$defs"][asked.removeprefix("#/$defs/")])

    def _type(self, value: Any, asked: str | list[str], _: Any) -> bool:
        kinds = {"object": Mapping, "array": list, "string": str, "boolean": bool, "null": type(None)}
        names = [asked] if isinstance(asked, str) else asked
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return any(number if name in ("number", "integer") else isinstance(value, kinds[name]) for name in names)

    def _properties(self, value: Any, asked: Mapping[str, Any], _: Any) -> bool:
        return not isinstance(value, Mapping) or all(self.fits(value[key], asked[key]) for key in value if key in asked)

    def _additionalProperties(self, value: Any, asked: Any, whole: Mapping[str, Any]) -> bool:
        more = (
            [value[key] for key in value if key not in whole.get("properties", {})]
            if isinstance(value, Mapping)
            else []
        )
        if isinstance(asked, bool):
            return asked or not more
        return all(self.fits(one, asked) for one in more)

    def _required(self, value: Any, asked: list[str], _: Any) -> bool:
        return not isinstance(value, Mapping) or set(asked) <= set(value)

    def _items(self, value: Any, asked: Mapping[str, Any], _: Any) -> bool:
        return not isinstance(value, list) or all(self.fits(one, asked) for one in value)

    def _anyOf(self, value: Any, asked: list[Mapping[str, Any]], _: Any) -> bool:
        return any(self.fits(value, one) for one in asked)

    def _oneOf(self, value: Any, asked: list[Mapping[str, Any]], _: Any) -> bool:
        return sum(self.fits(value, one) for one in asked) == 1

    def _propertyNames(self, value: Any, asked: Mapping[str, Any], _: Any) -> bool:
        return not isinstance(value, Mapping) or all(self.fits(key, asked) for key in value)

    def _enum(self, value: Any, asked: list[Any], _: Any) -> bool:
        return value in asked

    def _const(self, value: Any, asked: Any, _: Any) -> bool:
        return bool(value == asked)

    def _pattern(self, value: Any, asked: str, _: Any) -> bool:
        return not isinstance(value, str) or re.search(asked, value) is not None

    def _minItems(self, value: Any, asked: int, _: Any) -> bool:
        return not isinstance(value, list) or len(value) >= asked

    def _minimum(self, value: Any, asked: float, _: Any) -> bool:
        return not isinstance(value, int | float) or value >= asked

    def _unasked(self, *_: Any) -> bool:
        return True

    _schema = _defs = _title = _description = _default = _examples = _discriminator = _unasked
    _format = _writeOnly = _minLength = _maxLength = _maxItems = _minProperties = _maximum = _unasked
    _exclusiveMinimum = _multipleOf = _unasked


def _read(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))


class OpenSettings(BaseModel):
    """Takes whatever the example says of its connection; its own connector has a test of its own."""

    token: str
    fields: dict[str, str]
    write: dict[str, Any]


def test_the_commented_project_file_fits_its_schema() -> None:
    assert Checker(json_schema({"hubspot": OpenSettings})).fits(_read(CONFIG / "syncer.yml"))


def test_the_commented_model_files_fit_their_schema() -> None:
    paths = sorted((CONFIG / "models").glob("*.yml"))
    assert CONFIG / "models" / "b2b-saas.yml" in paths
    assert [path.name for path in paths if not Checker(model_schema()).fits(_read(path))] == []


GOOD: dict[str, Any] = {
    "connections": {"a": {"type": "crm", "token": "x"}, "b": {"type": "sheet", "path": "x", "rows": "${ROWS}"}},
    "models": [{"use": "m.yml", "for": {"country": {"not_contains": ["x"]}}}],
    "sync": {"manual_change": {"respect_for": "30d"}},
}


@pytest.mark.parametrize(
    ("change", "fits"),
    [
        ({}, True),
        ({"connections": "crms.yml"}, True),
        ({"connections": {"a": {"type": "crm"}}}, False),
        ({"connections": {"a": {"type": "sheet", "path": "x", "rows": "many"}}}, False),
        ({"connections": {"a": {"type": "sheet", "path": "x", "mode": "${MODE}"}}}, True),
        ({"connections": {"a": {"type": "other"}}}, False),
        ({"connections": {"a": {"token": "x"}}}, False),
        ({"models": [{"use": "m.yml", "for": {"country": {"contians": "x"}}}]}, False),
        ({"models": [{"for": {"country": "ES"}}]}, False),
        ({"sync": {"every": "15 minutes"}}, False),
        ({"sync": {"evry": "15m"}}, False),
        ({"handoff": {"notifiers": {"a": {"type": "slack", "url": "http://x"}}}}, True),
        ({"handoff": {"notifiers": {"a": {"type": "email", "host": "h"}}}}, False),
        ({"handoff": {"route": [{"if": {"country": "ES"}, "to": "owner"}]}}, True),
        ({"surprise": 1}, False),
    ],
)
def test_the_project_schema_tells_right_from_wrong(change: dict[str, Any], fits: bool) -> None:
    schema = json_schema({**CONNECTORS, "sheet": SheetSettings})
    assert Checker(schema).fits({**GOOD, **change}) is fits


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        ({"name": "A", "when": {"a": 1}, "points": 2.5}, True),
        ({"name": "A", "when": {"any": [{"activity": "call", "in_last": "3d"}]}, "points": 1, "each": True}, True),
        ({"name": "A", "when": {"any": [{"activity": "call", "in_last": 3}]}, "points": 1}, False),
        ({"name": "A", "when": {"a": {"between": [1]}}, "points": 1}, False),
        ({"name": "A", "when": {}, "pionts": 1}, False),
        ({"name": "A", "points": 1}, False),
    ],
)
def test_the_model_schema_tells_right_from_wrong(rule: Any, fits: bool) -> None:
    model = {"fit": {"rules": [rule]}, "stages": [{"name": "cold"}, {"name": "sql", "enter": ["total >= 5"]}]}
    assert Checker(model_schema()).fits(model) is fits


def test_a_schema_without_connectors_still_describes_the_rest() -> None:
    schema = json_schema({})
    assert Checker(schema).fits({"connections": {}, "models": "m.yml", "language": "es"})
    assert not Checker(schema).fits({"connections": {}, "models": "m.yml", "language": "fr"})


def test_secrets_are_marked_in_the_schema() -> None:
    assert '"writeOnly": true' in str(json_schema({"crm": CrmSettings})).replace("'", '"').replace("True", "true")
