"""Reading: which streams there are, and how each is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace

from connectors.salesforce import people
from connectors.salesforce.activities import KINDS
from connectors.salesforce.deeds import Deeds
from connectors.salesforce.objects import Objects, Stream
from connectors.salesforce.org import Org
from connectors.salesforce.people import People
from connectors.salesforce.settings import ACTIVITIES, PEOPLE, Settings
from syncer.connector import Wanted
from syncer.errors import ConfigError
from syncer.model import Cursor, Page, Record, RecordKey


class Reader:
    """Pulls streams."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self._deeds = Deeds(org)
        self._begun: set[str] = set()
        settings, wanted = org.settings, org.wanted
        self.people: tuple[str, ...] = tuple(each for each in PEOPLE if each in settings.objects)
        self.streams = (*self.people, *_activities(settings, wanted))
        self.swept = self.streams
        self.reads = people.reads(settings, wanted)

    def pull(self, name: str, since: Cursor | None) -> Iterator[Page]:
        """The stream's pages. A second pull of it is a new run: the org is asked anew then, and its clock."""
        self._org.organization(anew=name in self._begun)
        self._begun = (set() if name in self._begun else self._begun) | {name}
        yield from self._stream(name).pull(since)

    def sweep(self, name: str, since: Cursor | None) -> Iterator[Page]:
        self._org.organization()
        yield from self._stream(name).sweep(since)

    def fetch(self, name: str, ids: Sequence[str], *, lately: bool) -> Iterator[Page]:
        """By id; of people also what absorbed them or they became. `lately`: and what they have done lately."""
        self._org.organization()
        persons: list[str] = []
        for page in self._with_survivors(self._org, name, ids):
            persons += [each.key.id for each in page.records if not (each.deleted or each.merged_into)]
            yield page
        if lately and persons and name in self.people:
            for stream in self.streams[len(self.people) :]:
                yield from self._lately(stream, persons)

    def read_back(self, keys: Iterable[RecordKey]) -> Iterator[Record]:
        """People as they are now; with who was absorbed comes what absorbed them. Only Salesforce itself stops it."""
        org = copy(self._org)
        org.client = self._org.client.reserved
        org.organization()
        by_object: dict[str, list[str]] = {}
        for key in keys:
            by_object.setdefault(key.object, []).append(key.id)
        for name, ids in by_object.items():
            for page in self._with_survivors(org, name, ids):
                yield from (replace(each, erased=False) for each in page.records)

    def authors(self, keys: Sequence[RecordKey]) -> Mapping[RecordKey, str]:
        """Who set the stage that each record shows, where it was a person."""
        return people.stage_authors(self._org, keys) if keys else {}

    def manual_authors(self, keys: Sequence[RecordKey]) -> Mapping[RecordKey, str]:
        """Who chose a stage by hand, where it was a person."""
        return people.manual_authors(self._org, keys) if keys else {}

    def _with_survivors(self, org: Org, name: str, ids: Sequence[str]) -> Iterator[Page]:
        """Of each once: what is absorbed by one of these is not read again."""
        read = set(ids)
        survivors: dict[str, dict[str, None]] = {}
        for page in self._stream(name, org).fetch(ids):
            read |= {each.key.id for each in page.records}
            for each in page.records:
                if each.merged_into is not None:
                    survivors.setdefault(each.merged_into.object, {})[each.merged_into.id] = None
            yield page
        for kind, found in survivors.items():
            wanted = [each for each in found if kind != name or each not in read]
            if wanted and kind in self.people:
                yield from self._stream(kind, org).fetch(wanted)

    def _lately(self, stream: str, persons: Sequence[str]) -> Iterator[Page]:
        try:
            yield from self._stream(stream).lately(persons)
        except ConfigError:  # its own pull tells that the stream may not be read, and the others go on
            return

    def _stream(self, name: str, org: Org | None = None) -> Stream:
        if name in self.people:
            return Objects(org or self._org, People(org or self._org, name))
        if name in self.streams:
            return self._deeds.stream(name)
        known = ", ".join(self.streams)
        raise ConfigError(
            f"{self._org.connection}: Salesforce has no stream {name!r} here; there are {known}", code="SY152"
        )


def _activities(settings: Settings, wanted: Wanted) -> tuple[str, ...]:
    """What the settings name, or what the rules ask for."""
    if settings.activities is not None:
        return tuple(each for each in ACTIVITIES if each in settings.activities)
    return tuple(each for each in ACTIVITIES if set(KINDS[each]).intersection(wanted.activities))
