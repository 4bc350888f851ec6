"""Reading: which streams there are, and how each is read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from connectors.hubspot import people
from connectors.hubspot.activities import KINDS
from connectors.hubspot.behavioural_events import behavioural_events
from connectors.hubspot.client import Account
from connectors.hubspot.companies import COMPANIES, mapped_companies
from connectors.hubspot.company_changes import CompanyChanges
from connectors.hubspot.forms import Forms
from connectors.hubspot.lookups import associations
from connectors.hubspot.marketing_emails import marketing_emails
from connectors.hubspot.objects import Objects
from connectors.hubspot.portal import Portal
from connectors.hubspot.rows import Activities, Contacts
from connectors.hubspot.settings import ACTIVITY_STREAMS, EVENT_STREAMS, Settings
from connectors.hubspot.streams import Stream
from connectors.hubspot.values import Json
from syncer.connector import Wanted
from syncer.errors import ConfigError
from syncer.model import Cursor, Page

log = logging.getLogger(__name__)

_FEW = 100  # activities of hinted people that are read anew whether they are stored or not: one request
_OTHERS: Mapping[str, Callable[[Portal], Stream]] = {
    COMPANIES: CompanyChanges,
    "forms": Forms,
    "marketing_emails": marketing_emails,
    "behavioural_events": behavioural_events,
}
"""How streams are made that are no lists of CRM objects, by name."""


class Reader:
    """Pulls streams."""

    def __init__(self, portal: Portal) -> None:
        self._portal = portal
        self._begun: set[str] = set()
        self._checked_fields = False
        self.streams = _streams(portal.settings, portal.wanted)
        self.swept = tuple(each for each in self.streams if each == people.CONTACTS or each in ACTIVITY_STREAMS)

    def pull(self, name: str, since: Cursor | None) -> Iterator[Page]:
        """The stream's pages. A second pull of it is a new run: the account is asked anew then, and its clock."""
        self._portal.account(anew=name in self._begun)
        self._begun = (set() if name in self._begun else self._begun) | {name}
        if since is None:
            self._warn_of_unknown_fields(name)
        yield from self._stream(name).pull(since)

    def sweep(self, name: str, since: Cursor | None) -> Iterator[Page]:
        self._portal.account()
        self._warn_of_unknown_fields(name)
        yield from self._stream(name).sweep(since)

    def fetch(self, name: str, ids: Sequence[str], *, lately: bool) -> Iterator[Page]:
        """By id. `lately`: of contacts, also the activities that were not known to be theirs."""
        self._portal.account()
        persons: list[str] = []
        for page in self._stream(name).fetch(ids):
            persons += [record.key.id for record in page.records if not (record.deleted or record.merged_into)]
            yield page
        if not (lately and persons and name == people.CONTACTS):
            return
        for kind in self.streams:
            if kind in ACTIVITY_STREAMS:
                yield from self._lately(kind, persons)

    def lens(self, rows: Iterable[Json] = ()) -> people.Lens:
        """For reading contacts now: `rows`."""
        self._portal.account()
        return people.lens(self._portal, rows)

    @property
    def has_definitions(self) -> bool:
        return self._portal.has_definitions

    def definitions(self, *, anew: bool = False) -> Mapping[str, Json]:
        """The contact's properties by name, as they were when this connector asked last; `anew` asks now."""
        return self._portal.definitions(anew=anew)

    def account(self) -> Account:
        return self._portal.account()

    def _lately(self, kind: str, persons: Sequence[str]) -> Iterator[Page]:
        """The persons' activities of one kind that are not stored yet; all of them where they are few."""
        try:
            tied = associations(self._portal.client, people.CONTACTS, kind, persons)
        except ConfigError:  # its own pull tells that the stream may not be read, and the others go on
            return
        ids = list(dict.fromkeys(each for some in tied.values() for each in some))
        known = self._portal.wanted.known(kind, ids) if len(ids) > _FEW else {}
        if fresh := [each for each in ids if each not in known]:
            yield from self._stream(kind).fetch(fresh)

    def _stream(self, name: str) -> Stream:
        if name == people.CONTACTS:
            return Objects(self._portal, Contacts(self._portal))
        if name in ACTIVITY_STREAMS:
            return Objects(self._portal, Activities(self._portal, name))
        if name in _OTHERS:
            return _OTHERS[name](self._portal)
        known = ", ".join(self.streams)
        raise ConfigError(
            f"{self._portal.connection}: HubSpot has no stream {name!r} here; there are {known}", code="SY034"
        )

    def _warn_of_unknown_fields(self, stream: str) -> None:
        """HubSpot leaves out a property it does not know without a word; say so once."""
        if stream != people.CONTACTS or self._checked_fields:
            return
        self._checked_fields = True
        try:
            known = self.definitions()
        except ConfigError:  # the scope to look at properties is not needed to read them
            return
        names = people.mapped(self._portal.settings, self._portal.wanted)
        if missing := sorted(field for field, name in names.items() if name not in known):
            log.warning("fields_unknown", extra={"connection": self._portal.connection, "fields": missing})


def _streams(settings: Settings, wanted: Wanted) -> tuple[str, ...]:
    """The people, then what they do."""
    persons = (people.CONTACTS, *([COMPANIES] if mapped_companies(settings, wanted) else []))
    named = settings.activities
    if named is None:
        asked = [each for each in ACTIVITY_STREAMS if set(KINDS[each].kinds).intersection(wanted.activities)]
        return (*persons, *asked)
    return (*persons, *(each for each in (*ACTIVITY_STREAMS, *EVENT_STREAMS) if each in named))
