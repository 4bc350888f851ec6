"""One org during one run: what is asked of it once and kept."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from functools import partial
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from connectors.salesforce.client import Client, Refused
from connectors.salesforce.describe import Describes
from connectors.salesforce.settings import Settings
from connectors.salesforce.values import Json, chunks, id18, quoted, quoted_list
from syncer.connector import Wanted
from syncer.errors import ConfigError, TemporaryError

log = logging.getLogger(__name__)

PERSONS = ("Standard", "PowerPartner", "CsnOnly")
"""UserTypes of people who sell; others are processes of Salesforce's own, guests, customers and integrations."""
_AT_ONCE = 200  # ids in one query: 4 KB of the 16 that an address may have
_NO_SUCH_ADDRESS = "SY148"


@dataclass(frozen=True, slots=True)
class Organization:
    """Which org this is."""

    id: str  # 18 letters
    time_zone: str  # the org's default
    is_sandbox: bool

    @property
    def zone(self) -> tzinfo:
        """UTC where the machine does not know the name."""
        try:
            return ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):  # the last: the name of a folder of zones
            return UTC


@dataclass(frozen=True, slots=True)
class Owner:
    """Somebody to whom records belong: a user, or a queue."""

    id: str
    name: str
    email: str | None = None
    active: bool = True
    queue: bool = False
    developer_name: str | None = None  # of a queue: unlike its name it is the same in every language


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue, and the records that may belong to it."""

    id: str
    name: str
    developer_name: str | None
    objects: frozenset[str]


class Org:
    """A connection's settings and client, and what Salesforce has told of the org since the run began."""

    def __init__(self, connection: str, settings: Settings, wanted: Wanted, client: Client) -> None:
        self.connection = connection
        self.settings = settings
        self.wanted = wanted
        self.client = client
        self.describes = Describes(client)
        self._organization: Organization | None = None
        self._owners: dict[str, Owner | None] = {}
        self._by_email: dict[str, Owner | None] = {}
        self._by_name: dict[str, Sequence[Queue]] = {}

    def organization(self, *, anew: bool = False) -> Organization:
        """Which org this is; the first answer also tells Salesforce's clock. `anew`: a new run begins.
        ConfigError (SY148) where it does not speak the API version."""
        if anew or self._organization is None:
            self._owners.clear()
            self._by_email.clear()
            self._by_name.clear()
            self.describes.anew()
            self._organization = self._asked_organization()
        return self._organization

    def owner(self, identity: str) -> Owner | None:
        """The user or queue of that id (18 letters); None where nobody is known by it."""
        return self.owners([identity])[identity]

    def owners(self, ids: Iterable[str]) -> Mapping[str, Owner | None]:
        """Users and queues by their ids (18 letters), those not known yet in as few queries as they fit in."""
        asked = dict.fromkeys(ids)
        new = [each for each in asked if each not in self._owners]
        users = [each for each in new if each.startswith("005")]
        queues = [each for each in new if each.startswith("00G")]
        found = (*self._users(users), *self._queues(queues))
        self._owners |= {**dict.fromkeys(new), **{each.id: each for each in found}}
        return {each: self._owners[each] for each in asked}

    def user_by_email(self, email: str) -> Owner | None:
        """The person of that e-mail address, one who is active before one who has left; None: there is none."""
        key = email.lower()
        if key not in self._by_email:
            of_person = f"Email = {quoted(email)} AND UserType IN {quoted_list(PERSONS)}"
            soql = f"{_USERS} WHERE {of_person} ORDER BY IsActive DESC, Id LIMIT 1"
            rows = self._client_rows("looking for a user", soql)
            self._by_email[key] = _user(rows[0]) if rows else None
        return self._by_email[key]

    def queues_called(self, name: str) -> Sequence[Queue]:
        """Those of that name or developer name, in any case: names may repeat, developer names do not."""
        key = name.lower()
        if key not in self._by_name:
            called = f"(Name = {quoted(name)} OR DeveloperName = {quoted(name)})"
            soql = f"{_GROUPS} WHERE Type = 'Queue' AND {called} ORDER BY Id"
            found = {str(row["Id"]): row for row in self._client_rows("looking for a queue", soql)}
            held = self._held_by(found)
            self._by_name[key] = [_queue(row, held[identity]) for identity, row in found.items()]
        return self._by_name[key]

    def _held_by(self, queues: Iterable[str]) -> Mapping[str, frozenset[str]]:
        """Id of a queue -> the objects that may belong to it."""
        held: dict[str, set[str]] = {each: set() for each in queues}
        if held:
            soql = f"SELECT QueueId, SobjectType FROM QueueSobject WHERE QueueId IN {quoted_list(held)}"
            for row in self._client_rows("reading what queues may hold", soql):
                held[id18(row["QueueId"])].add(str(row["SobjectType"]))
        return {each: frozenset(objects) for each, objects in held.items()}

    def _asked_organization(self) -> Organization:
        soql = "SELECT Id, TimeZoneSidKey, IsSandbox FROM Organization LIMIT 1"
        try:
            rows = self._client_rows("reading the organization", soql)
        except ConfigError as error:
            if error.code == _NO_SUCH_ADDRESS or (isinstance(error, Refused) and error.status == 404):
                self.client.insist_on_version()
            raise
        if not rows:
            raise TemporaryError(f"{self.connection}: Salesforce does not tell which org it is", code="SY143")
        row = rows[0]
        return Organization(str(row["Id"]), str(row.get("TimeZoneSidKey") or "UTC"), bool(row.get("IsSandbox")))

    def _users(self, ids: list[str]) -> Iterator[Owner]:
        return map(_user, self._by_ids("reading users", _USERS, ids))

    def _queues(self, ids: list[str]) -> Iterator[Owner]:
        for row in self._by_ids("reading queues", _GROUPS, ids):
            name, developer_name = str(row.get("Name") or ""), row.get("DeveloperName")
            yield Owner(str(row["Id"]), name, row.get("Email") or None, queue=True, developer_name=developer_name)

    def _by_ids(self, what: str, select: str, ids: list[str]) -> list[Json]:
        """Nothing where the user may not read them: names are a kindness, no need."""
        asked = [
            partial(self._client_rows, what, f"{select} WHERE Id IN {quoted_list(each)}")
            for each in chunks(ids, _AT_ONCE)
        ]
        try:
            return [row for rows in self.client.together(asked) for row in rows]
        except ConfigError as error:
            log.warning("names_not_readable", extra={"connection": self.connection, "error": error.message})
            return []

    def _client_rows(self, what: str, soql: str) -> list[Json]:
        return self.client.reserved.query_all_rows(what, soql, all_rows=False)


_USERS = "SELECT Id, Name, Email, IsActive FROM User"
_GROUPS = "SELECT Id, Name, DeveloperName, Email FROM Group"


def _user(row: Json) -> Owner:
    return Owner(str(row["Id"]), str(row.get("Name") or ""), row.get("Email") or None, bool(row.get("IsActive", True)))


def _queue(row: Json, objects: frozenset[str]) -> Queue:
    return Queue(str(row["Id"]), str(row.get("Name") or ""), row.get("DeveloperName"), objects)
