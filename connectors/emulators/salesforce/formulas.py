"""Formula fields and roll-up summaries: values that the platform works out.

A formula may name fields of its record, numbers and "texts", join them with + - * / & and parentheses. It is worked out
whenever the record is saved; no stamp moves because of it. A roll-up stamps its parent anew.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from connectors.emulators.salesforce.errors import Refusal
from connectors.emulators.salesforce.schema import ObjectType
from connectors.emulators.salesforce.table import Row

Reader = Callable[[Row], object]
_TOKEN = re.compile(r'\s*(?:(\d+(?:\.\d+)?)|"([^"]*)"|(\w+)|([-+*/&()]))')


@dataclass(frozen=True, slots=True)
class Summary:
    """Field `field` of `parent` holds the count (or sum, min, max of `summarized`) of its children."""

    parent: str
    field: str
    child: str
    foreign_key: str
    operation: str
    summarized: str = ""

    def value(self, children: list[Row]) -> object:
        """Of the live children. A minimum or maximum of none is empty."""
        numbers = [float(str(value)) for row in children if (value := row.get(self.summarized)) is not None]
        if self.operation == "count":
            return float(len(children))
        if self.operation == "sum":
            return float(sum(numbers))
        return (min if self.operation == "min" else max)(numbers, default=None)


def formula(kind: ObjectType, text: str) -> Reader:
    """What works a formula out; Refusal for one that cannot be read."""
    parts = _Parts(kind, _tokens(text))
    read = _sum(parts)
    if parts.left:
        raise _unreadable(parts.left[0])
    return read


def formula_values(kind: ObjectType, row: Row) -> dict[str, object]:
    """All formula fields of a row."""
    found = [each for each in kind.fields.values() if each.formula]
    values: dict[str, object] = {}
    for field in found:
        value = formula(kind, field.formula)({**row, **values})
        values[field.name] = value if field.type != "string" or value is None else _as_text(value)
    return values


@dataclass(slots=True)
class _Parts:
    kind: ObjectType
    left: list[str]

    def accept(self, *signs: str) -> str:
        """The next part if it is one of these signs."""
        return self.left.pop(0) if self.left and self.left[0] in signs else ""


def _tokens(text: str) -> list[str]:
    tokens, at = [], 0
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _unreadable(text[at:])
        number, quoted, name, sign = match.groups()
        tokens.append(number or name or sign or f'"{quoted}')
        at = match.end()
    return tokens


def _unreadable(part: str) -> Refusal:
    return Refusal(400, "FIELD_INTEGRITY_EXCEPTION", f"Formula: syntax error near {part!r}", ("Formula",))


def _sum(parts: _Parts) -> Reader:
    read = _product(parts)
    while sign := parts.accept("+", "-", "&"):
        read = _joined(sign, read, _product(parts))
    return read


def _product(parts: _Parts) -> Reader:
    read = _single(parts)
    while sign := parts.accept("*", "/"):
        read = _joined(sign, read, _single(parts))
    return read


def _single(parts: _Parts) -> Reader:
    if parts.accept("("):
        inner = _sum(parts)
        if not parts.accept(")"):
            raise _unreadable(")")
        return inner
    if not parts.left:
        raise _unreadable("end")
    part = parts.left.pop(0)
    if part[0].isdigit():
        number = float(part)
        return lambda row: number
    if part.startswith('"'):
        return lambda row: part[1:]
    field = parts.kind.find(part)
    if field is None:
        raise Refusal(400, "FIELD_INTEGRITY_EXCEPTION", f"Formula: Field {part} does not exist.", ("Formula",))
    name = field.name
    return lambda row: row.get(name)


def _joined(sign: str, left: Reader, right: Reader) -> Reader:
    def read(row: Row) -> object:
        one, other = left(row), right(row)
        if sign == "&" or (sign == "+" and (isinstance(one, str) or isinstance(other, str))):
            return _as_text(one) + _as_text(other) or None
        if not isinstance(one, int | float) or not isinstance(other, int | float) or (sign == "/" and not other):
            return None
        return {"+": one + other, "-": one - other, "*": one * other, "/": one / (other or 1)}[sign]

    return read


def _as_text(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)
