"""Values as they come in: made into what a field stores, or refused as Salesforce refuses them."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

from connectors.emulators.salesforce.clock import stamp_from
from connectors.emulators.salesforce.errors import Refusal
from connectors.emulators.salesforce.fields import NUMBERS, Field
from connectors.emulators.salesforce.ids import full_id

_EMAIL = re.compile(r"[^\s@<>()\[\]\\,;:\"]+@[^\s@<>()\[\]\\,;:\".]+(?:\.[^\s@<>()\[\]\\,;:\".]+)+")
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000")
_KEEP_SPACE = frozenset(("textarea", "anyType"))


def converted(field: Field, value: object) -> object:
    """What the field stores for a value of JSON; Refusal when it cannot."""
    if value is None or value == "":
        return False if field.type == "boolean" else None
    return _CONVERTERS.get(field.type, _text)(field, value)


def canonical(field: Field, value: object) -> object:
    """For rows loaded past the rules: dates, times, ids and numbers in the form in which they are stored."""
    if value is None:
        return None
    if field.type == "datetime" and not (isinstance(value, str) and _STAMP.fullmatch(value)):
        return _moment(field, value)
    if field.type in ("reference", "id") and isinstance(value, str) and len(value) == 15:
        return full_id(value) or value
    if field.type in ("double", "currency", "percent") and isinstance(value, int):
        return float(value)
    return value.isoformat() if isinstance(value, date) else value


def _unreadable(field: Field, value: object) -> Refusal:
    kind = {bool: "VALUE_TRUE", int: "VALUE_NUMBER_INT", float: "VALUE_NUMBER_FLOAT"}.get(type(value), "VALUE_STRING")
    if isinstance(value, dict | list):
        kind = "START_OBJECT" if isinstance(value, dict) else "START_ARRAY"
    shown = str(value).lower() if isinstance(value, bool) else value
    wanted = "string" if field.soap_type == "xsd:string" else field.type
    message = (
        f"Cannot deserialize instance of {wanted} from {kind} value {shown} "
        "or request may be missing a required field at [line:1, column:1]"
    )
    return Refusal(400, "JSON_PARSER_ERROR", message)


def _text(field: Field, value: object) -> object:
    if not isinstance(value, str):
        raise _unreadable(field, value)
    text = value if field.type in _KEEP_SPACE else value.strip()
    if len(text) > field.length > 0:
        message = f"{field.label}: data value too large: {text} (max length={field.length})"
        raise Refusal(400, "STRING_TOO_LONG", message, (field.name,))
    return text or None


def _email(field: Field, value: object) -> object:
    text = _text(field, value)
    if isinstance(text, str) and not _EMAIL.fullmatch(text):
        raise Refusal(400, "INVALID_EMAIL_ADDRESS", f"{field.label}: invalid email address: {text}", (field.name,))
    return text


def _picklist(field: Field, value: object) -> object:
    text = _text(field, value)
    known = {each.value.lower(): each.value for each in field.choices if each.active}
    if isinstance(text, str) and field.restricted and text.lower() not in known:
        raise _bad_choice(field, text)
    return known.get(text.lower(), text) if isinstance(text, str) else None


def _multipicklist(field: Field, value: object) -> object:
    text = _text(field, value)
    chosen = list(dict.fromkeys(each.strip() for each in str(text or "").split(";") if each.strip()))
    known = [each.value for each in field.choices]
    if field.restricted:
        for each in chosen:
            if each not in known:
                raise _bad_choice(field, each)
    ordered = sorted(chosen, key=lambda each: known.index(each) if each in known else len(known))
    return ";".join(ordered) or None


def _bad_choice(field: Field, value: str) -> Refusal:
    message = f"{field.label}: bad value for restricted picklist field: {value}"
    return Refusal(400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message, (field.name,))


def _boolean(field: Field, value: object) -> object:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false", "1", "0"):
        return value.lower() in ("true", "1")
    raise _unreadable(field, value)


def _number(field: Field, value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _unreadable(field, value)
    try:
        exact = Decimal(str(value).strip())
    except InvalidOperation:
        raise _unreadable(field, value) from None
    if not exact.is_finite() or (field.type == "int" and exact != exact.to_integral_value()):
        raise _unreadable(field, value)
    digits = field.digits if field.type == "int" else field.precision - field.scale
    if abs(exact) >= 10 ** (digits or 18):
        message = f"{field.label}: value outside of valid range on numeric field: {value}"
        raise Refusal(400, "NUMBER_OUTSIDE_VALID_RANGE", message, (field.name,))
    if field.type == "int":
        return int(exact)
    return float(exact.quantize(Decimal(1).scaleb(-field.scale), ROUND_HALF_UP)) + 0.0  # never a negative zero


def _date(field: Field, value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    try:
        return date.fromisoformat(str(value)[:10]).isoformat()
    except ValueError:
        raise _unreadable(field, value) from None


def _moment(field: Field, value: object) -> object:
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        raise _unreadable(field, value) from None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return stamp_from(aware.astimezone(UTC))


def _time(field: Field, value: object) -> object:
    try:
        moment = time.fromisoformat(str(value))
    except ValueError:
        raise _unreadable(field, value) from None
    return f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def _reference(field: Field, value: object) -> object:
    if not isinstance(value, str):
        raise _unreadable(field, value)
    found = full_id(value)
    if found is None:
        message = f"{field.label}: id value of incorrect type: {value}"
        raise Refusal(400, "MALFORMED_ID", message, (field.name,))
    return found


_CONVERTERS: dict[str, Callable[[Field, object], object]] = {
    "email": _email,
    "picklist": _picklist,
    "multipicklist": _multipicklist,
    "boolean": _boolean,
    "date": _date,
    "datetime": _moment,
    "time": _time,
    "reference": _reference,
    "id": _reference,
    **dict.fromkeys(NUMBERS, _number),
}
