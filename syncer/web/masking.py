"""E-mail addresses shown in part, wherever they stand in what a page shows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, cast

T = TypeVar("T")

# What stands before an "@" is anything but blanks and what RFC 5322 keeps for other uses, or is quoted. A "/" would be
# allowed there and is in no mailbox that people have, but in the keys of records: "crm/contacts/ana@acme.es". Each run
# of such characters is gone through once, however long a text is.
_LOCAL, _IN_ADDRESS = r'[^\s()<>\[\]:;@\\,"/]', r"[\w.+%!$'*~^`{|}-]"
_DOMAIN = r"(?:[\w-]+(?:\.[\w-]+)+|localhost\b|\[[^\]\s]*\])"  # "demo@12f070ea6b30" is a model
_ADDRESS = re.compile(rf'(?:(?<!{_LOCAL}){_LOCAL}++|"(?:[^"\\\n]|\\.)++")(?=@{_DOMAIN})')
# As it stands in an address of the web.
_ENCODED = re.compile(rf"(?<!{_IN_ADDRESS})({_IN_ADDRESS}){_IN_ADDRESS}*?(?=%40{_DOMAIN})")


def masked(shown: T) -> T:
    """The same value, with "a…@acme.es" in place of "ana.ruiz@acme.es" in each of its texts: what it is called by and
    why it was decided may name an address, too."""
    return cast(T, _masked(shown))


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return _masked_text(value)
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


def _masked_text(text: str) -> str:
    if "@" in text:
        text = _ADDRESS.sub(lambda found: found[0].lstrip('"')[:1] + "…", text)
    return _ENCODED.sub(r"\1…", text) if "%40" in text else text
