"""The stream `companies`: contacts whose company has changed in what the rules look at, told anew.

HubSpot notes a company as modified whenever anything happens to one of its people; so it is asked, too, when each of
the values last changed, and nobody is read again for another reason.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from connectors.hubspot import people
from connectors.hubspot.companies import COMPANIES, MODIFIED, insist_on_answers, mapped_companies
from connectors.hubspot.events import behind_ms, horizon_ms
from connectors.hubspot.lookups import BATCH, Question, associations, chunks, fetch
from connectors.hubspot.objects import Objects
from connectors.hubspot.portal import Portal
from connectors.hubspot.position import Position, Window, resumed
from connectors.hubspot.rows import Contacts
from connectors.hubspot.values import A_MS, Json, epoch_ms, moment
from connectors.hubspot.windows import EARLIEST_MS, Gathered, Index
from syncer.model import Cursor, Page

_REMEMBERED = 1_000  # companies that were told, in a cursor
_FIRST = timedelta(days=1)  # the contacts have just been read with their companies, when this stream begins


@dataclass(frozen=True, slots=True)
class CompanyChanges:
    """It satisfies `Stream`; what it tells of are contacts, by whose ids it fetches as well."""

    portal: Portal
    name: str = COMPANIES

    def pull(self, since: Cursor | None) -> Iterator[Page]:
        account, until_ms = self.portal.account().portal, horizon_ms(self.portal)
        position = resumed(self.portal.connection, account, self.name, since)
        if position is None:
            begin_ms = until_ms - _FIRST // A_MS
            position = Position(account, self.name, begin_ms, begin_ms)
        if position.window:
            position = yield from self._search(position, position.window)
        since_ms = max(EARLIEST_MS, position.until_ms - behind_ms(self.portal))
        until_ms = max(until_ms, position.until_ms)
        window = Window(since_ms, until_ms)
        yield from self._search(replace(position, until_ms=until_ms, looked_ms=until_ms, window=window), window)

    def sweep(self, since: Cursor | None) -> Iterator[Page]:
        """Nothing: the sweep of the contacts reads their companies as well."""
        return iter(())

    def fetch(self, ids: Sequence[str]) -> Iterator[Page]:
        return Objects(self.portal, Contacts(self.portal)).fetch(ids)

    def _search(self, position: Position, window: Window) -> Generator[Page, None, Position]:
        """Each that has changed since the window began is told once, however many windows find it."""
        told = {each: at for each, at in position.told.items() if at >= window.since_ms}
        for gathered in Index(self.portal, COMPANIES, MODIFIED).hunt(window):
            for some, rest in _in_parts(window, gathered):
                changed = {each: at for each, at in self._changed(some).items() if at >= window.since_ms}
                yield from self.fetch(self._people_of([each for each, at in changed.items() if told.get(each) != at]))
                told = _latest(told | changed)
                position = replace(position, window=rest, told=told)
                yield Page(position.cursor())
        return position

    def _changed(self, companies: Sequence[str]) -> dict[str, int]:
        """When each was last changed in what the rules look at, as epoch milliseconds."""
        wanted = mapped_companies(self.portal.settings, self.portal.wanted)
        names, now_ms = tuple(dict.fromkeys(wanted.values())), epoch_ms(self.portal.client.now())
        found = fetch(self.portal.client, Question(COMPANIES, names, history=names), companies)
        insist_on_answers(self.portal.connection, found)
        self.portal.companies.note(found.rows)
        return {each: _changed_ms(row, now_ms) for each, row in found.rows.items()}

    def _people_of(self, companies: Sequence[str]) -> list[str]:
        tied = associations(self.portal.client, COMPANIES, people.CONTACTS, companies) if companies else {}
        return list(dict.fromkeys(each for some in tied.values() for each in some))


def _latest(told: Mapping[str, int]) -> dict[str, int]:
    """Of too many those that will be met again for the longest time. Whoever is forgotten is told twice."""
    if len(told) <= _REMEMBERED:
        return dict(told)
    return dict(sorted(told.items(), key=lambda each: each[1])[-_REMEMBERED:])


def _in_parts(window: Window, gathered: Gathered) -> Iterator[tuple[list[str], Window | None]]:
    """A hundred companies at a time, in the order of their ids, and what is left of the window behind them."""
    parts = list(chunks(sorted(gathered.shown, key=int), BATCH)) or [[]]
    for part in parts[:-1]:
        last = min(int(part[-1]), int(gathered.rest.after or 0) if gathered.rest else int(part[-1]))
        yield part, replace(window, after=str(last))
    yield parts[-1], gathered.rest


def _changed_ms(row: Json, now_ms: int) -> int:
    """When the last of its values was changed; now where HubSpot does not tell."""
    histories = row.get("propertiesWithHistory")
    if not isinstance(histories, dict):
        return now_ms
    try:
        versions = [each for some in histories.values() for each in some or ()]
        return max((epoch_ms(moment(str(each["timestamp"]))) for each in versions), default=0)
    except (KeyError, ValueError):
        return now_ms
