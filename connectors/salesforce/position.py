"""Where a stream of sObjects stands: what is written into its cursors."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson

from connectors.salesforce.values import instant, moment
from syncer.model import Cursor

log = logging.getLogger(__name__)
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Load:
    """Everything of an object, on its way. `after`: up to this id by REST, "" at the beginning; or `job`: by this job
    of the Bulk API, whose next page of results is at `locator`, None: at the first."""

    after: str = ""
    job: str | None = None
    locator: str | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """What was changed before `stamp` is read, and of what bears that stamp itself whatever has an id up to `after`;
    but for what `load` leaves. Deletions were asked for up to `gone`. Times are the org's."""

    org: str
    stream: str
    stamp: datetime
    gone: datetime
    after: str | None = None
    load: Load | None = None

    def cursor(self) -> Cursor:
        load = self.load and [self.load.after, self.load.job, self.load.locator]
        at = [instant(self.stamp), self.after, instant(self.gone)]
        return Cursor(orjson.dumps([_FORMAT, self.org, self.stream, *at, load]).decode())

    def behind(self, rows: Sequence[Any], bound: datetime) -> Position:
        """After these rows, which come by stamp and id. What is stamped at the bound or later does not move it: others
        with such a stamp may appear yet, and a row that was changed while we read has left its place."""
        limit = instant(bound)
        settled = [row for row in rows if row["SystemModstamp"] < limit]
        if not settled:
            return self
        last = settled[-1]
        return replace(self, stamp=moment(last["SystemModstamp"]), after=last["Id"])

    def caught_up(self, bound: datetime) -> Position:
        """Everything before the bound is read. It may lie before where this one stands: that was too early then."""
        return replace(self, stamp=bound, after=None)


def resumed(connection: str, org: str, stream: str, cursor: Cursor | None) -> Position | None:
    """What a cursor says; None: from the beginning. One that is not ours, or not of this org and stream, is told in the
    log and begins anew: that may repeat, and loses nothing."""
    if cursor is None:
        return None
    found = _parsed(cursor)
    if found is not None and (found.org, found.stream) == (org, stream):
        return found
    log.warning("cursor_not_ours", extra={"connection": connection, "stream": stream, "org": org})
    return None


def _parsed(cursor: str) -> Position | None:
    try:
        version, org, stream, stamp, after, gone, load = orjson.loads(cursor)
        if version != _FORMAT or not _texts(org, stream):
            return None
        _insist(after is None or _texts(after))
        return Position(org, stream, moment(stamp), moment(gone), after, load and _load(load))
    except (TypeError, ValueError):  # orjson's error is a ValueError
        return None


def _load(parts: Any) -> Load:
    after, job, locator = parts
    _insist(_texts(after), job is None or _texts(job), locator is None or _texts(locator))
    return Load(after, job, locator)


def _texts(*values: object) -> bool:
    return all(isinstance(each, str) for each in values)


def _insist(*holds: bool) -> None:
    if not all(holds):
        raise ValueError("it is not a cursor of ours")
