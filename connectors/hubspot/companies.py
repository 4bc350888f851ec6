"""Companies, for the fields of their contacts that are called `company.NAME`. Scope: crm.objects.companies.read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from connectors.hubspot.client import Client
from connectors.hubspot.lookups import Found, Question, fetch
from connectors.hubspot.settings import Settings
from connectors.hubspot.values import Json
from syncer.connector import Wanted
from syncer.errors import TemporaryError

COMPANIES = "companies"
MODIFIED = "hs_lastmodifieddate"
OF_COMPANY = "company."
_KEPT = 20_000  # companies; those of one page of contacts are a thousand at the most


def mapped_companies(settings: Settings, wanted: Wanted) -> dict[str, str]:
    """Field name in the rules -> property of the contact's primary company: company.industry -> industry."""
    names = {field: settings.fields.get(field, field) for field in wanted.fields}
    return {field: name.removeprefix(OF_COMPANY) for field, name in names.items() if name.startswith(OF_COMPANY)}


def insist_on_answers(connection: str, found: Found) -> None:
    """TemporaryError where HubSpot has neither answered for a company nor said that it is gone."""
    if found.silent:
        message = f"{connection}: HubSpot gave no answer for {len(found.silent)} companies; they are read again later"
        raise TemporaryError(message, code="SY042")


class Companies:
    """What the rules look at of companies, as it was when it was read last in this run.

    Where it cannot be read, contacts cannot either: told without their company's fields they would lose points.
    """

    def __init__(self, connection: str, client: Client, properties: Iterable[str]) -> None:
        self._connection = connection
        self._client = client
        self._question = Question(COMPANIES, tuple(dict.fromkeys(properties)))
        self._known: dict[str, Json] = {}

    def read(self, ids: Iterable[str]) -> Mapping[str, Json]:
        """Company id -> its properties, none for one that is gone. Those that are not known yet are asked for."""
        wanted = dict.fromkeys(ids)
        if missing := [each for each in wanted if each not in self._known]:
            found = fetch(self._client, self._question, missing)
            insist_on_answers(self._connection, found)
            self._keep(wanted, {each: found.rows.get(each, {}) for each in missing})
        return {each: self._known[each] for each in wanted}

    def note(self, rows: Mapping[str, Json]) -> None:
        """They were read just now."""
        self._keep(rows, rows)

    def forget(self) -> None:
        """A new run begins."""
        self._known.clear()

    def _keep(self, wanted: Iterable[str], rows: Mapping[str, Json]) -> None:
        if len(self._known) + len(rows) > _KEPT:
            self._known = {each: self._known[each] for each in wanted if each in self._known}
        self._known |= {each: row.get("properties") or {} for each, row in rows.items()}
