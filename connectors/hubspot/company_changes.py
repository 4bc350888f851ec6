"""The stream `companies`: contacts whose company has changed in what the rules look at, told anew.

HubSpot notes a company as modified whenever anything happens to one of its people; so it is asked, too, when each of
the values last changed, and nobody is read again for another reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from connectors.hubspot import people
from connectors.hubspot.companies import COMPANIES, MODIFIED, mapped_companies
from connectors.hubspot.events import behind_ms, horizon_ms
from connectors.hubspot.lookups import BATCH, Question, associations, chunks, fetch
from connectors.hubspot.objects import Objects
from connectors.hubspot.portal import Portal
from connectors.hubspot.position import Position, Window, resumed
from connectors.hubspot.rows import Contacts
from connectors.hubspot.values import Json, epoch_ms, moment
from connectors.hubspot.windows import Gathered, Index
from syncer.model import Cursor, Page

_FIRST = timedelta(days=1)  # the contacts have just been read with their companies, when this stream begins
_A_MS = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class CompanyChanges:
    """It satisfies `Stream`; what it tells of are contacts, by whose ids it fetches as well."""

    portal: Portal
    name: str = COMPANIES

    def pull(self, since: Cursor | None) -> Iterator[Page]:
        account, until_ms = self.portal.account().portal, horizon_ms(self.portal)
        position = resumed(self.portal.connection, account, self.name, since)
        if position is None:
            begin_ms = until_ms - _FIRST // _A_MS
            position = Position(account, self.name, begin_ms, begin_ms)
        if position.window:
            yield from self._search(position, position.window)
        since_ms = max(1_000, position.until_ms - behind_ms(self.portal))
        until_ms = max(until_ms, position.until_ms)
        window = Window(since_ms, until_ms)
        yield from self._search(replace(position, until_ms=until_ms, looked_ms=until_ms, window=window), window)

    def sweep(self, since: Cursor | None) -> Iterator[Page]:
        """Nothing: the sweep of the contacts reads their companies as well."""
        return iter(())

    def fetch(self, ids: Sequence[str]) -> Iterator[Page]:
        names = people.properties(self.portal.settings, self.portal.wanted)
        return Objects(self.portal, Contacts(self.portal, names)).fetch(ids)

    def _search(self, position: Position, window: Window) -> Iterator[Page]:
        for gathered in Index(self.portal, COMPANIES, MODIFIED).hunt(window):
            for some, rest in _in_parts(window, gathered):
                yield from self.fetch(self._people_of(some, window.since_ms))
                yield Page(position.at(rest).cursor())

    def _people_of(self, companies: Sequence[str], since_ms: int) -> list[str]:
        """The contacts of those that have changed since then in what the rules look at."""
        client, wanted = self.portal.client, mapped_companies(self.portal.settings, self.portal.wanted)
        names = tuple(dict.fromkeys(wanted.values()))
        rows = fetch(client, Question(COMPANIES, names, history=names), companies).rows
        self.portal.companies.note(rows)
        changed = [each for each, row in rows.items() if _has_changed(row, since_ms)]
        tied = associations(client, COMPANIES, people.CONTACTS, changed) if changed else {}
        return list(dict.fromkeys(each for some in tied.values() for each in some))


def _in_parts(window: Window, gathered: Gathered) -> Iterator[tuple[list[str], Window | None]]:
    """A hundred companies at a time, in the order of their ids, and what is left of the window behind them."""
    parts = list(chunks(sorted(gathered.shown, key=int), BATCH)) or [[]]
    for part in parts[:-1]:
        last = min(int(part[-1]), int(gathered.rest.after or 0) if gathered.rest else int(part[-1]))
        yield part, replace(window, after=str(last))
    yield parts[-1], gathered.rest


def _has_changed(row: Json, since_ms: int) -> bool:
    """Whether any value did; also where HubSpot does not tell when."""
    histories = row.get("propertiesWithHistory")
    if not isinstance(histories, dict):
        return True
    try:
        times = [epoch_ms(moment(str(version["timestamp"]))) for versions in histories.values() for version in versions]
    except (KeyError, TypeError, ValueError):
        return True
    return any(at >= since_ms for at in times)
