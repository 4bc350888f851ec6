"""Searching for what was modified in a fixed window.

Search is an index, not the truth: it lags, shows strangers, and ends at 10,000 results. So it is asked only for ids, in
a window of modified times that ends behind the present, sorted and continued by id; the values are read by id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from connectors.hubspot.client import next_after
from connectors.hubspot.loading import Size
from connectors.hubspot.portal import Portal
from connectors.hubspot.position import Window
from connectors.hubspot.values import Json, epoch_ms, maybe_moment
from syncer.errors import ConfigError, TemporaryError

PAGE = 200  # HubSpot's limit for searches
EARLIEST_MS = 1_000  # HubSpot answers 500 when asked from 1970 on
_PAGES = 5  # gathered before their values are read: as many ids as one question for associations takes


@dataclass(frozen=True, slots=True)
class Gathered:
    """A few pages of one search: each id with the modified time that search shows, None where that cannot be read; what
    is left of the window, None: nothing; and how many search counts in all."""

    shown: Mapping[str, datetime | None]
    rest: Window | None
    total: int | None


@dataclass(frozen=True, slots=True)
class Index:
    """Search over one kind of records; `modified` is the property by which it tells their modified time."""

    portal: Portal
    kind: str
    modified: str

    def hunt(self, window: Window) -> Iterator[Gathered]:
        """Everything search knows to be modified in the window, by id; without a limit. The next pages are asked for
        while those given are read."""
        found = self._gather(window)
        while found.rest is not None:
            ahead = self.portal.client.start(partial(self._gather, found.rest))
            try:
                yield found
            except GeneratorExit:
                ahead.cancel()
                raise
            found = self.portal.client.result(ahead)
        yield found

    def size(self) -> Size:
        """How many records there are, and the highest id; nothing where we may not search."""
        body = self._body([], "DESCENDING") | {"limit": 1}
        try:
            answer = self._ask(f"counting {self.kind}", body)
        except ConfigError:  # the load itself will say what is missing, if it needs it at all
            return Size()
        ids = [int(row["id"]) for row in answer["results"]]
        return Size(_total_of(answer), max(ids, default=None))

    def _gather(self, window: Window) -> Gathered:
        shown: dict[str, datetime | None] = {}
        total: int | None = None
        rest: Window | None = window
        for _ in range(_PAGES):
            if rest is None:
                break
            answer = self._search(rest)
            total = _total_of(answer) if total is None else total
            shown |= {str(row["id"]): _shown(row, self.modified) for row in answer["results"]}
            rest = self._behind(answer, rest)
        return Gathered(shown, rest, total)

    def _behind(self, answer: Json, window: Window) -> Window | None:
        """What the page leaves of the window."""
        if window.after is None and not answer["results"] and _total_of(answer):
            # Rows may leave the window while later pages are asked for, never before the first one.
            raise self._broken(f"tells of {_total_of(answer)} and shows none")
        if not answer["results"] or not _goes_on(answer):
            return None
        last = boundary(answer["results"], self.modified, window)
        if last is None:
            raise self._broken("does not move on")
        return replace(window, after=last)

    def _broken(self, how: str) -> TemporaryError:
        return TemporaryError(f"{self.portal.connection}: searching {self.kind} {how}", code="SY042")

    def _search(self, window: Window) -> Json:
        span = {"operator": "BETWEEN", "value": str(window.since_ms), "highValue": str(window.until_ms)}
        filters: list[dict[str, str]] = [{"propertyName": self.modified, **span}]
        if window.after is not None:
            filters.append({"propertyName": "hs_object_id", "operator": "GT", "value": window.after})
        return self._ask(f"searching {self.kind}", self._body(filters, "ASCENDING"))

    def _body(self, filters: Sequence[Mapping[str, str]], direction: str) -> Json:
        return {
            "filterGroups": [{"filters": list(filters)}] if filters else [],
            "sorts": [{"propertyName": "hs_object_id", "direction": direction}],
            "properties": ["hs_object_id", self.modified],
            "limit": PAGE,
        }

    def _ask(self, what: str, body: Json) -> Json:
        return self.portal.client.post(what, self.portal.client.paths.objects(self.kind, "/search"), body)


def _total_of(answer: Json) -> int | None:
    total = answer.get("total")
    return total if isinstance(total, int) else None


def _goes_on(answer: Json) -> bool:
    return next_after(answer) is not None or (_total_of(answer) or 0) > len(answer["results"])


def boundary(rows: Sequence[Json], modified: str, window: Window) -> str | None:
    """The id to go on after; None where the page does not lead on.

    Rows from outside the window, or out of order, are read (it does no harm) but do not set the boundary: the next page
    begins where the ascending order of the others ends.
    """
    last = int(window.after or 0)
    inside = [row for row in rows if _is_inside(_shown(row, modified), window)]
    ahead = [number for row in (inside or rows) if (number := int(row["id"])) > last]
    fall = next((at for at in range(1, len(ahead)) if ahead[at] < ahead[at - 1]), None)
    last_in_order = None if not ahead else ahead[-1] if fall is None else min(ahead[fall:])
    return None if last_in_order is None else str(last_in_order)


def _shown(row: Json, modified: str) -> datetime | None:
    try:
        return maybe_moment(row.get("properties") or {}, modified)
    except ValueError:
        return None


def _is_inside(at: datetime | None, window: Window) -> bool:
    return at is not None and window.since_ms <= epoch_ms(at) <= window.until_ms
