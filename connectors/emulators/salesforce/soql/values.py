"""Constants of SOQL: texts with their escapes, numbers, dates, times with zones."""

import re
from datetime import UTC, date, datetime

from connectors.emulators.salesforce.clock import stamp_from
from connectors.emulators.salesforce.errors import Refusal
from connectors.emulators.salesforce.soql.ast import Literal
from connectors.emulators.salesforce.soql.tokens import Source, Token

_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", '"': '"', "'": "'", "\\": "\\"}
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_MONEY = re.compile(r"[A-Za-z]{3}\d+(?:\.\d+)?")
_CONSTANTS: dict[str, tuple[str, object]] = {
    "true": ("boolean", True),
    "false": ("boolean", False),
    "null": ("null", None),
}
# Escapes that only mean something in LIKE stay as they are, with their backslash, until the pattern is read.
LIKE_ESCAPES = "%_"


def literal_of(source: Source, token: Token) -> Literal | None:
    """The constant a token is; None when it is none."""
    if token.kind == "text":
        return Literal("text", _unescaped(source, token), token.at)
    if token.kind == "number":
        return Literal("number", float(token.text) if _is_fraction(token.text) else int(token.text), token.at)
    if token.kind == "moment":
        return _moment(source, token)
    if token.kind == "clock":
        return Literal("time", token.text, token.at)
    if token.kind == "name" and token.lower in _CONSTANTS:
        kind, value = _CONSTANTS[token.lower]
        return Literal(kind, value, token.at)
    if token.kind == "name" and _MONEY.fullmatch(token.text):
        return Literal("money", float(token.text[3:]), token.at)
    return None


def _is_fraction(text: str) -> bool:
    return any(sign in text for sign in ".eE")


def _unescaped(source: Source, token: Token) -> str:
    def meaning(match: re.Match[str]) -> str:
        sign = match.group(1)
        if sign[0] == "u" and len(sign) == 5:
            return chr(int(sign[1:], 16))
        if sign in LIKE_ESCAPES:
            return match.group()
        plain = _ESCAPES.get(sign) or _ESCAPES.get(sign.lower())
        if plain is None:
            message = f"Illegal string literal: invalid escape sequence '{match.group()}'"
            raise source.refusal("MALFORMED_QUERY", message, token.at)
        return "\\\\" if plain == "\\" else plain

    return _ESCAPE.sub(meaning, token.text[1:-1])


def plain_text(raw: str) -> str:
    """A text constant outside LIKE: a doubled backslash is one, and `\\%` is what it says."""
    return raw.replace("\\\\", "\\") if "\\" in raw else raw


def _moment(source: Source, token: Token) -> Literal:
    text = token.text.upper()
    try:
        if "T" not in text:
            return Literal("date", date.fromisoformat(text).isoformat(), token.at)
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _invalid_moment(text) from None
    if moment.tzinfo is None:
        message = f"line 1:{token.at} no viable alternative at character '<EOF>'"
        raise source.refusal("MALFORMED_QUERY", message, token.at)
    try:
        return Literal("datetime", stamp_from(moment.astimezone(UTC)), token.at)
    except OverflowError:
        raise _invalid_moment(text) from None


def _invalid_moment(text: str) -> Refusal:
    return Refusal(400, "MALFORMED_QUERY", f"Invalid {'datetime' if 'T' in text else 'date'}: {text}")
