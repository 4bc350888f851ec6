"""Cutting what lies behind an id into ranges, which can be read side by side.

Ids are numbers to the base of 62, whose digits are in the order in which Salesforce sorts ids. How close they lie
differs from place to place, so what is left is cut by how close those lie that have just come; a range that holds more
than a page after all is cut again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from connectors.salesforce.selection import Row
from connectors.salesforce.values import id18, quoted

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_VALUES = {digit: value for value, digit in enumerate(_DIGITS)}
_BARE = 15  # letters of an id without its checksum
_FILLED = 0.95  # of a page: where ids are strewn, some ranges hold a little more than others


@dataclass(frozen=True, slots=True)
class Range:
    """The ids behind `after` ("": from the first one on) up to and with `until`; None: to the last one."""

    after: str = ""
    until: str | None = None

    @property
    def clauses(self) -> str:
        """Behind FROM."""
        ends = [f"Id > {quoted(self.after)}"] if self.after else []
        ends += [f"Id <= {quoted(self.until)}"] if self.until else []
        where = f"WHERE {' AND '.join(ends)} " if ends else ""
        return f"{where}ORDER BY Id"

    def rest(self, rows: Sequence[Row], left: int, most: int) -> list[Range]:
        """What lies behind its first page, of which so many rows are left, in at most so many ranges."""
        first, last = _number(rows[0]["Id"]), _number(rows[-1]["Id"])
        end = _number(self.until) if self.until else len(_DIGITS) ** _BARE
        step = max(1, int((last - first) * _FILLED))
        pages = min(most, -(-left // len(rows)))
        cuts = [_identity(at) for at in range(last + step, last + step * pages, step) if at < end]
        starts = [str(rows[-1]["Id"]), *cuts]
        return [Range(after, until) for after, until in zip(starts, [*cuts, self.until], strict=True)]


def _number(identity: str) -> int:
    found = 0
    for sign in identity[:_BARE]:
        found = found * len(_DIGITS) + _VALUES.get(sign, 0)
    return found


def _identity(number: int) -> str:
    signs = []
    for _ in range(_BARE):
        number, rest = divmod(number, len(_DIGITS))
        signs.append(_DIGITS[rest])
    return id18("".join(reversed(signs)))
