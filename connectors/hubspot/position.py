"""Where a pull stands: what is written into a cursor."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import orjson

from syncer.model import Cursor

log = logging.getLogger(__name__)
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Position:
    """Everything up to `until_ms` is read, or being read.

    `after` None: it is read. Else the page after that id comes next: of the list of all records (`since_ms` None), or
    of the search for those modified from `since_ms` to `until_ms`. Times are epoch milliseconds of HubSpot's clock.
    """

    portal: str
    stream: str
    until_ms: int
    since_ms: int | None = None
    after: str | None = None

    def cursor(self) -> Cursor:
        parts = [_FORMAT, self.portal, self.stream, self.until_ms, self.since_ms, self.after]
        return Cursor(orjson.dumps(parts).decode())


def resumed(connection: str, portal: str, stream: str, cursor: Cursor | None) -> Position | None:
    """Where to go on; None: from the beginning. A cursor that is not ours, or not of this portal and stream, is told in
    the log and begins anew: that may repeat, and loses nothing."""
    if cursor is None:
        return None
    found = _parsed(cursor)
    if found is not None and (found.portal, found.stream) == (portal, stream):
        return found
    log.warning("cursor_not_ours", extra={"connection": connection, "stream": stream, "portal": portal})
    return None


def _parsed(cursor: str) -> Position | None:
    try:
        version, portal, stream, until_ms, since_ms, after = orjson.loads(cursor)
    except (orjson.JSONDecodeError, ValueError, TypeError):
        return None
    whole = isinstance(until_ms, int) and isinstance(since_ms, int | None) and isinstance(after, str | None)
    return Position(portal, stream, until_ms, since_ms, after) if version == _FORMAT and whole else None
