"""Everything that belongs to one served org beside its records: who may come in, allowances, faults, cursors, jobs."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from itertools import count
from typing import Any

from connectors.emulators.salesforce.http.bulk_jobs import Job
from connectors.emulators.salesforce.http.calls import Calls
from connectors.emulators.salesforce.http.cursors import Cursors
from connectors.emulators.salesforce.http.faults import Faults
from connectors.emulators.salesforce.http.limits import Limits, Usage
from connectors.emulators.salesforce.http.oauth import SESSION_S, ConnectedApp, Doorman
from connectors.emulators.salesforce.org import Org

TOKEN = "emulator-token"
PASSWORD = "emulator-password"  # of the admin, security token included
RECENT = 200


@dataclass(frozen=True, slots=True)
class Manners:
    """Switches for what differs between orgs, or is reported both ways. What records do is set by `Org.behave`."""

    session_s: float = SESSION_S  # how long a session lasts unused
    session: str = "ok"  # "expired": every call is 401, whatever its token; "not_for_rest": 401 of the other wording
    instance_url: str | None = None  # where the org lives now; calls to another host are 401. None: wherever asked
    oldest: int = 31  # API versions; older ones are gone
    newest: int = 66
    bad_field_fails_call: bool = False  # one unknown field: 400 of a whole collection, or an error of its row
    page_rows: int | None = None  # no page of a query has more rows
    child_rows: int = 200  # rows of a subquery that come inline
    cursor_s: float = 172_800.0  # how long a query locator lives
    cursors: int | None = None  # the newest so many of a user live (10 in older orgs)
    query_timeout_rows: int | None = None  # a query that selects more times out
    too_large_rows: int | None = None  # a query of Task or Event that selects more is OPERATION_TOO_LARGE
    max_head: int = 16_384  # bytes of a request's line and headers; more is 431
    bulk: bool = True  # False: the org has no Bulk API
    bulk_polls: int = 2  # looks at a bulk job before it is complete
    bulk_chunk: int = 500  # rows of a bulk query that stay together; the chunks come in any order
    bulk_page: int = 50_000  # rows of a result page when none were asked for
    bulk_headers: bool = True  # every result page begins with the header row; False: the first only


@dataclass(frozen=True, slots=True)
class Access:
    """Who may come in: `tokens` are sessions of the admin that never end by themselves; `passwords` by username."""

    tokens: tuple[str, ...] = (TOKEN,)
    apps: tuple[ConnectedApp, ...] = ()
    passwords: Mapping[str, str] | None = None  # None: the admin's is PASSWORD


class Instance:
    """An org with all that its HTTP side needs."""

    def __init__(
        self,
        org: Org | None = None,
        access: Access = Access(),
        limits: Limits | None = None,
        manners: Manners | None = None,
        faults: Faults | None = None,
    ) -> None:
        self.org = Org.stock() if org is None else org
        self.usage = Usage(limits)
        self.faults = faults or Faults()
        self.calls = Calls()
        self.cursors = Cursors()
        self.jobs: dict[str, Job] = {}
        self.job_numbers = count(1)
        self.field_ids: dict[str, str] = {}  # of custom fields, by "lead.score__c"
        self.viewed: deque[tuple[str, str]] = deque(maxlen=RECENT)  # (object, id), newest first
        admin = {self.username(self.org.admin_id): PASSWORD}
        passwords = admin if access.passwords is None else access.passwords
        self.doorman = Doorman(self.org, access.tokens, access.apps, passwords)
        self._manners = Manners()
        self.behave(manners or Manners())

    @property
    def now_s(self) -> float:
        """The org's present."""
        return self.org.clock.now_s()

    @property
    def manners(self) -> Manners:
        """The switches as they are."""
        return self._manners

    def behave(self, manners: Manners | Mapping[str, Any]) -> None:
        """Set all switches, or change some; ValueError for a name that is none."""
        if isinstance(manners, Mapping):
            unknown = set(manners) - {each.name for each in fields(Manners)}
            if unknown:
                raise ValueError(f"unknown manners: {sorted(unknown)}")
            manners = replace(self._manners, **manners)
        self._manners = manners
        self.doorman.lifetime_s = manners.session_s
        self.cursors.keep(manners.cursor_s, manners.cursors)

    def username(self, user_id: str) -> str:
        """A user's name to log in with."""
        return str(self.org.read("User", user_id, ["Username"])["Username"])

    def view(self, object_name: str, record_id: str) -> None:
        """The record was looked at: it is the most recent item."""
        if (object_name, record_id) in self.viewed:
            self.viewed.remove((object_name, record_id))
        self.viewed.appendleft((object_name, record_id))
