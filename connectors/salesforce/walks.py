"""Two ways through an object, each by a key that tells where to go on: by the time of change, and by id.

A query that is too heavy for Salesforce is asked in parts, each time a quarter of what it was, down to a floor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from connectors.salesforce.position import Load, Position
from connectors.salesforce.ranges import Range
from connectors.salesforce.selection import Row
from connectors.salesforce.values import instant, quoted

_QUARTERS = 2  # as a power of two
_FLOOR = timedelta(minutes=1)
_MOST_ROWS = 2**16
_FEWEST_ROWS = 200


@dataclass(frozen=True, slots=True)
class Part:
    """One query: its clauses behind FROM. It asks for what was changed before `until`, or for so many rows; None: for
    all there are. With a `range` it is all of that, and may be cut into smaller ones."""

    clauses: str
    until: datetime | None = None
    limit: int | None = None
    range: Range | None = None


class Walk(Protocol):
    """A way through an object; `narrowed` says how often a part was too heavy."""

    def part(self, position: Position, narrowed: int) -> Part: ...

    def may_narrow(self, position: Position, narrowed: int) -> bool:
        """Whether a part narrowed so often is worth asking for."""
        ...

    def after(self, position: Position, rows: Sequence[Row]) -> Position:
        """Where some rows of a part lead to."""
        ...

    def ended(self, position: Position, part: Part, count: int) -> tuple[Position, bool]:
        """Where a part leads to of which so many rows came, all it has; whether that was the last one."""
        ...


@dataclass(frozen=True, slots=True)
class Changes:
    """What was changed since, by SystemModstamp and id. Before `bound` all can be seen; what is later is read as well,
    and again next time."""

    bound: datetime

    def part(self, position: Position, narrowed: int) -> Part:
        since = instant(position.stamp)
        where = f"SystemModstamp >= {since}"
        if position.after is not None:
            where += f" AND (SystemModstamp > {since} OR Id > {quoted(position.after)})"
        until = None
        if narrowed and position.stamp < self.bound:
            until = position.stamp + max(self._span(position, narrowed), _FLOOR)
            until = min(until, self.bound)
            where += f" AND SystemModstamp < {instant(until)}"
        return Part(f"WHERE {where} ORDER BY SystemModstamp, Id", until)

    def may_narrow(self, position: Position, narrowed: int) -> bool:
        return self._span(position, narrowed - 1) > _FLOOR

    def after(self, position: Position, rows: Sequence[Row]) -> Position:
        return position.behind(rows, self.bound)

    def ended(self, position: Position, part: Part, count: int) -> tuple[Position, bool]:
        return position.caught_up(part.until or self.bound), part.until is None

    def _span(self, position: Position, narrowed: int) -> timedelta:
        return (self.bound - position.stamp) / (1 << _QUARTERS * narrowed)


@dataclass(frozen=True, slots=True)
class Everything:
    """All there is, by id."""

    def part(self, position: Position, narrowed: int) -> Part:
        rest = Range(position.load.after if position.load else "")
        if not narrowed:
            return Part(rest.clauses, range=rest)
        limit = _MOST_ROWS >> (_QUARTERS * (narrowed - 1))
        return Part(f"{rest.clauses} LIMIT {limit}", limit=limit)

    def may_narrow(self, position: Position, narrowed: int) -> bool:
        return _MOST_ROWS >> (_QUARTERS * (narrowed - 1)) >= _FEWEST_ROWS

    def after(self, position: Position, rows: Sequence[Row]) -> Position:
        return replace(position, load=Load(rows[-1]["Id"])) if rows else position

    def ended(self, position: Position, part: Part, count: int) -> tuple[Position, bool]:
        over = part.limit is None or count < part.limit
        return (replace(position, load=None) if over else position), over
