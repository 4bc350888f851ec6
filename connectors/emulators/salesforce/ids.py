"""Salesforce ids: three characters name the object, twelve the record; three more make case unnecessary to keep."""

import re
from functools import lru_cache

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECK = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_FORM = re.compile(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?")
_POD = "5f0"  # of this emulator's ids: the characters after the prefix


@lru_cache(maxsize=262_144)
def checksum(first15: str) -> str:
    """The three characters that tell which of the fifteen are capitals."""
    bits = [
        sum(1 << at for at, sign in enumerate(first15[start : start + 5]) if sign.isupper()) for start in (0, 5, 10)
    ]
    return "".join(_CHECK[each] for each in bits)


def full_id(text: str) -> str | None:
    """18 characters from 15 or 18; None for text that is no id. Of 18, the last three may mend the case."""
    if not _FORM.fullmatch(text):
        return None
    if len(text) == 15:
        return text + checksum(text)
    return text if checksum(text[:15]) == text[15:] else _mended(text)


def new_id(prefix: str, number: int) -> str:
    """The id of the record with this number."""
    signs = []
    for _ in range(9):
        number, rest = divmod(number, 62)
        signs.append(_DIGITS[rest])
    first15 = prefix + _POD + "".join(reversed(signs))
    return first15 + checksum(first15)


def _mended(text: str) -> str | None:
    """The id whose capitals the checksum names, as after a trip through a program that lost the case."""
    first15, check = text[:15], text[15:].upper()
    if any(sign not in _CHECK for sign in check):
        return None
    bits = [bool(_CHECK.index(check[at // 5]) >> (at % 5) & 1) for at in range(15)]
    mended = "".join(sign.upper() if high else sign.lower() for sign, high in zip(first15, bits, strict=True))
    return mended + check if checksum(mended) == check else None
