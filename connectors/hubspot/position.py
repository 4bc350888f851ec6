"""Where a stream of CRM objects stands: what is written into its cursors."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

import orjson

from syncer.model import Cursor

log = logging.getLogger(__name__)
_FORMAT = 2
_ALONE = 1  # one range or window at a time, no second look


@dataclass(frozen=True, slots=True)
class Range:
    """A part of the list that is still to be read: from `after` (None: from the first) up to the id before `end` (None:
    to the last). `after` is HubSpot's own word, the id of the next record."""

    after: str | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """A search that is not over: for those modified from `since_ms` to `until_ms` whose ids come behind `after`."""

    since_ms: int
    until_ms: int
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """Everything up to `until_ms` is read, and everything up to `looked_ms` was looked for a second time, but for what
    `ranges` and `window` leave. Times are epoch milliseconds of HubSpot's clock."""

    portal: str
    stream: str
    until_ms: int
    looked_ms: int
    ranges: tuple[Range, ...] = ()
    window: Window | None = None
    in_turn: bool = False  # the list's `after` is no id: it is read page by page
    told: Mapping[str, int] = field(default_factory=dict)  # of the stream `companies`: when each told last had changed

    def cursor(self) -> Cursor:
        ranges = [[each.after, each.end] for each in self.ranges]
        window = None if self.window is None else [self.window.since_ms, self.window.until_ms, self.window.after]
        parts = [_FORMAT, self.portal, self.stream, self.until_ms, self.looked_ms, ranges, window, self.in_turn]
        parts += [dict(self.told)] if self.told else []
        return Cursor(orjson.dumps(parts).decode())

    def at(self, window: Window | None) -> Position:
        """The same with the window that is searched now; None: it is over."""
        return replace(self, window=window)


class Placed(Protocol):
    """What any cursor of ours says."""

    @property
    def portal(self) -> str: ...

    @property
    def stream(self) -> str: ...


P = TypeVar("P", bound=Placed)


def resumed(connection: str, portal: str, stream: str, cursor: Cursor | None) -> Position | None:
    """Where a stream of CRM objects goes on; None: from the beginning."""
    return taken_up(connection, portal, stream, cursor, _parsed)


def taken_up(
    connection: str, portal: str, stream: str, cursor: Cursor | None, parsed: Callable[[str], P | None]
) -> P | None:
    """What a cursor says; None: nothing. One that is not ours, or not of this portal and stream, is told in the log and
    begins anew: that may repeat, and loses nothing."""
    if cursor is None:
        return None
    found = parsed(cursor)
    if found is not None and (found.portal, found.stream) == (portal, stream):
        return found
    log.warning("cursor_not_ours", extra={"connection": connection, "stream": stream, "portal": portal})
    return None


def _parsed(cursor: str) -> Position | None:
    try:
        version, *parts = orjson.loads(cursor)
        return _of_old(parts) if version == _ALONE else _of(parts) if version == _FORMAT else None
    except (TypeError, ValueError):  # orjson's error is a ValueError
        return None


def _of(parts: Any) -> Position:
    """TypeError or ValueError where the parts are not what `Position.cursor` writes."""
    portal, stream, until_ms, looked_ms, ranges, window, in_turn, *more = parts
    told = dict(more[0]) if more else {}
    _insist(all(map(_whole, told.values())), len(more) < 2)
    _insist(isinstance(portal, str), isinstance(stream, str), _whole(until_ms), _whole(looked_ms))
    left = tuple(_range(each) for each in ranges)
    return Position(portal, stream, until_ms, looked_ms, left, window and _window(window), bool(in_turn), told)


def _of_old(parts: Any) -> Position:
    portal, stream, until_ms, since_ms, after = parts
    _insist(isinstance(portal, str), isinstance(stream, str), _whole(until_ms))
    position = Position(portal, stream, until_ms, until_ms)
    if after is None:
        return position
    if since_ms is None:
        return replace(position, ranges=(_range([after, None]),))
    return position.at(_window([since_ms, until_ms, after]))


def _range(parts: Any) -> Range:
    after, end = parts
    _insist(isinstance(after, str | None), end is None or _whole(end))
    return Range(after, end)


def _window(parts: Any) -> Window:
    since_ms, until_ms, after = parts
    _insist(_whole(since_ms), _whole(until_ms), isinstance(after, str | None))
    return Window(since_ms, until_ms, after)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _insist(*holds: bool) -> None:
    if not all(holds):
        raise ValueError("it is not a cursor of ours")
