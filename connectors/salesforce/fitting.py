"""Values as a field can hold them, by what the org says of it; ValueError for one that it cannot."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal

from connectors.salesforce.describe import FieldInfo

NUMBERS = frozenset({"double", "int", "currency", "percent"})
CHOICES = frozenset({"picklist", "combobox"})
TEXTS = frozenset({"string", "textarea"})
_CUT = "…"


def fitted_score(field: FieldInfo, hundredths: int) -> float | int:
    """Points in as many decimals as the field keeps, rounded down: nobody shall cross a threshold by rounding."""
    places = 0 if field.type == "int" else field.scale
    points = (Decimal(hundredths) / 100).quantize(Decimal(1).scaleb(-places), ROUND_FLOOR)
    digits = field.precision - places
    if field.precision and abs(points) >= Decimal(10) ** digits:
        size = f"at most {digits} digits before the point"
        raise ValueError(f"{field.name} takes {size}, and the score is {points}; make the field longer in Setup")
    return int(points) if points == points.to_integral_value() else float(points)


def fitted_stage(field: FieldInfo, stage: str) -> str:
    """Never cut, and never one of another spelling: what stands there is compared with what was written."""
    if field.type in CHOICES and field.restricted and stage not in field.values:
        raise ValueError(f"{field.name} has no value {stage!r}; add it to the picklist in Setup")
    if 0 < field.length < len(stage):
        raise ValueError(f"{field.name} takes {field.length} characters, {stage!r} has more; make it longer in Setup")
    return stage


def fitted_text(field: FieldInfo, text: str) -> str | None:
    """Cut to the field's length, which shows; "" is None: it clears the field."""
    kept = text.replace("\0", "").strip()
    if field.length and _width(kept) > field.length:
        kept = cut(kept, field.length - len(_CUT)).rstrip() + _CUT
    return kept or None


def cut(text: str, width: int) -> str:
    """The longest beginning that Salesforce counts as no wider than `width`."""
    used = 0
    for at, sign in enumerate(text):
        used += _width(sign)
        if used > width:
            return text[:at]
    return text


def _width(text: str) -> int:
    """Salesforce counts as Java does, 2 for an emoji, and may keep a line break as two characters."""
    return len(text) + text.count("\n") + sum(sign > "\uffff" for sign in text)
