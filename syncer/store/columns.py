"""How the values of the trade become columns: instants, clean texts, JSON.

Both databases store the same: BIGINT milliseconds, TEXT without what PostgreSQL refuses, and JSON as TEXT.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from operator import attrgetter
from types import MappingProxyType
from typing import Any, TypeVar, cast

import orjson
from sqlalchemy import BigInteger, Boolean, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

from syncer.connector import PackedFields
from syncer.log import redact
from syncer.model import RecordKey

T = TypeVar("T")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_LARGEST = 2**63  # what JSON readers and BIGINT take


def to_ms(at: datetime) -> int:
    """Whole milliseconds since 1970, rounded down; ValueError for a naive time."""
    if at.tzinfo is None:
        raise ValueError(f"a time without a time zone cannot be stored: {at.isoformat()}")
    return (at - EPOCH) // _MILLISECOND


def from_ms(ms: int) -> datetime:
    return EPOCH + timedelta(milliseconds=ms)


def clean(value: T) -> T:
    """The same value as both databases can hold it; itself where nothing has to change.

    NUL bytes go, lone surrogates become "?", numbers that JSON cannot carry become texts (too large) or None (NaN,
    infinity). Looks into dataclasses, mappings, tuples and frozen sets.
    """
    return value if _is_clean(value) else cast(T, _clean(value))


def _is_clean(value: Any) -> bool:
    """Asked of nearly every value and nearly always true, so the looking is left to orjson. NaN and infinity pass:
    they become null when they are stored, and count as not set."""
    try:
        return b"\\u0000" not in orjson.dumps(value, default=_bare, option=orjson.OPT_PASSTHROUGH_DATACLASS)
    except TypeError:  # a lone surrogate or a number beyond 64 bits
        return False


def _bare(value: Any) -> Any:
    return _bared(value.__class__)(value)


@cache
def _bared(kind: type[Any]) -> Callable[[Any], Any]:
    """Of a dataclass its values alone, which takes half the time of naming them."""
    if is_dataclass(kind):
        return attrgetter(*(name for each in fields(kind) for name in _parts(each)))
    if kind is PackedFields:
        return attrgetter("text")
    return list if issubclass(kind, tuple) else _plain


def _parts(field: Field[Any]) -> tuple[str, ...]:
    """A key by its parts, which spares asking about the key."""
    of_key = tuple(f"{field.name}.{part}" for part in RecordKey._fields)
    return of_key if field.type == "RecordKey" else (field.name,)


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return _clean_text(value)
    if value is None or isinstance(value, bool | datetime):
        return value
    if isinstance(value, int):
        return value if -_LARGEST <= value < _LARGEST else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return _clean_compound(value)


def _clean_text(text: str) -> str:
    if text.isascii():
        return text.replace("\x00", "") if "\x00" in text else text
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def _clean_compound(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_clean_text(key): _clean(inner) for key, inner in value.items()} if value else value
    if isinstance(value, tuple):
        inner = tuple(_clean(part) for part in value)
        return value._make(inner) if hasattr(value, "_make") else inner
    if isinstance(value, frozenset):
        return frozenset(_clean(part) for part in value)
    if is_dataclass(value) and not isinstance(value, type):
        before = {each.name: getattr(value, each.name) for each in fields(value) if each.init}
        after = {name: _clean(inner) for name, inner in before.items()}
        changed = {name: inner for name, inner in after.items() if inner is not before[name]}
        return replace(value, **changed) if changed else value
    return value


def to_json(value: Any) -> str:
    """Values of the trade as JSON: dataclasses as objects by field, tuples and frozen sets as lists."""
    if value.__class__ is PackedFields:
        return value.text
    try:
        return orjson.dumps(value, default=_plain).decode()
    except TypeError:  # a lone surrogate or a number beyond 64 bits
        return orjson.dumps(_clean(value), default=_plain).decode()


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):  # a named one: orjson knows the others
        return list(value)
    if isinstance(value, MappingProxyType | Mapping):
        return dict(value)
    if isinstance(value, frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} cannot be stored as JSON")


class Instant(TypeDecorator[datetime]):
    """An aware datetime, kept as milliseconds since 1970; comes back in UTC. A naive one is refused."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else to_ms(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else from_ms(value)

    @staticmethod
    def encoded(values: Sequence[datetime | None]) -> Sequence[int | None]:
        return [None if value is None else to_ms(value) for value in values]


class CleanText(TypeDecorator[str]):
    """Text without NUL bytes and lone surrogates, which PostgreSQL refuses."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else _clean_text(value)

    @staticmethod
    def encoded(values: Sequence[str | None]) -> Sequence[str | None]:
        return list(clean(tuple(values)))


class PlainText(CleanText):
    """Compared and sorted by its characters' numbers on both databases, so that a prefix is a range."""

    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return Text(collation="C" if dialect.name == "postgresql" else None)


class Told(CleanText):
    """What others have said of a failure, or a person in their own words: it may repeat a secret, which is not kept."""

    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else redact(_clean_text(value))

    @staticmethod
    def encoded(values: Sequence[str | None]) -> Sequence[str | None]:
        return [None if value is None else redact(value) for value in CleanText.encoded(values)]


class Json(TypeDecorator[Any]):
    """Anything `to_json` takes; comes back as plain dicts and lists."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else to_json(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else orjson.loads(value)

    @staticmethod
    def encoded(values: Sequence[Any]) -> Sequence[str | None]:
        return [None if value is None else to_json(value) for value in values]


def encoder(kind: TypeEngine[Any], dialect: str) -> Callable[[Sequence[Any]], Sequence[Any]] | None:
    """How a whole column of this type becomes what the driver takes, which is what binding value by value does; None:
    as it is."""
    if isinstance(kind, Boolean) and dialect == "sqlite":
        return _whole
    return kind.encoded if isinstance(kind, Instant | CleanText | Json) else None


def _whole(values: Sequence[bool | None]) -> Sequence[int | None]:
    """SQLite's driver takes a number at once, and looks for a way to take a bool."""
    return [None if value is None else int(value) for value in values]
