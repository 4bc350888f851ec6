"""Query locators: which results are still open, and where their next page begins."""

import re
from dataclasses import dataclass

from connectors.emulators.salesforce.errors import Refusal
from connectors.emulators.salesforce.ids import full_id, new_id
from connectors.emulators.salesforce.org import Result

MOST_OPEN = 500  # of all users together, so that a long run does not fill the memory
_LOCATOR = re.compile(r"(0r8\w{12}(?:\w{3})?)-(\d+)")


@dataclass(frozen=True, slots=True)
class Cursor:
    """An open result."""

    locator: str
    result: Result
    rows: int  # a page's size
    user_id: str
    opened_s: float


class Cursors:
    """Every open result of every user."""

    def __init__(self) -> None:
        self._open: dict[str, Cursor] = {}
        self._made = 0
        self.keep(172_800.0, None)

    def keep(self, seconds: float, most: int | None) -> None:
        """How long a locator lives, and how many of one user."""
        self._seconds, self._most = seconds, most

    def open(self, result: Result, rows: int, user_id: str, now_s: float) -> Cursor:
        """Keep a result for later pages."""
        self._made += 1
        cursor = Cursor(new_id("0r8", self._made), result, rows, user_id, now_s)
        self._open[cursor.locator] = cursor
        mine = [each.locator for each in self._open.values() if each.user_id == user_id]
        for locator in mine[: -self._most] if self._most else ():
            del self._open[locator]
        living = [each for each in self._open.values() if now_s - each.opened_s < self._seconds]
        self._open = {each.locator: each for each in living[-MOST_OPEN:]}
        return cursor

    def find(self, text: str, now_s: float) -> tuple[Cursor, int]:
        """The result and the row at which a page begins; 400 INVALID_QUERY_LOCATOR."""
        matched = _LOCATOR.fullmatch(text)
        cursor = self._open.get(full_id(matched[1]) or "") if matched else None
        if matched is None or cursor is None or now_s - cursor.opened_s >= self._seconds:
            raise Refusal(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        start = int(matched[2])
        if start > cursor.result.total_size:
            raise Refusal(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        return cursor, start

    def forget(self) -> int:
        """Every locator dies; how many did."""
        count = len(self._open)
        self._open.clear()
        return count
