"""E-mail addresses shown in part, wherever they stand in what a page shows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, cast

T = TypeVar("T")

_ADDRESS = re.compile(r"([\w.+%'-])[\w.+%'-]*@([\w-]+(?:\.[\w-]+)+)")


def masked(shown: T) -> T:
    """The same value, with "a…@acme.es" in place of "ana.ruiz@acme.es" in each of its texts: what it is called by and
    why it was decided may name an address, too."""
    return cast(T, _masked(shown))


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return _ADDRESS.sub(r"\1…@\2", value) if "@" in value else value
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{each.name: _masked(getattr(value, each.name)) for each in fields(value) if each.init})
    if isinstance(value, Mapping):
        return {_masked(key): _masked(inner) for key, inner in value.items()}
    if isinstance(value, tuple):
        inner = [_masked(part) for part in value]
        return type(value)(*inner) if hasattr(value, "_fields") else tuple(inner)
    if isinstance(value, list):
        return [_masked(part) for part in value]
    return value
