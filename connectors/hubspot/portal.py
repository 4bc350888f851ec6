"""One portal during one run: what is asked of it once and kept."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from connectors.hubspot.client import Account, Client
from connectors.hubspot.companies import Companies, mapped_companies
from connectors.hubspot.lookups import Owner, Owners, definitions, owners
from connectors.hubspot.settings import Settings
from connectors.hubspot.values import Json
from syncer.connector import Wanted
from syncer.errors import ConfigError

log = logging.getLogger(__name__)


class Portal:
    """A connection's settings and client, and what HubSpot has told of the portal since the run began.

    Owners are asked for only when a record names one, those who left only when the others do not have them: most runs
    of a quiet portal need neither.
    """

    def __init__(self, connection: str, settings: Settings, wanted: Wanted, client: Client) -> None:
        self.connection = connection
        self.settings = settings
        self.wanted = wanted
        self.client = client
        self.companies = Companies(connection, client.reserved, mapped_companies(settings, wanted).values())
        self._account: Account | None = None
        self._owners: dict[bool, Owners] = {}  # of those who left (True) or not
        self._definitions: Mapping[str, Json] | None = None
        self._told_owners = False

    def account(self, *, anew: bool = False) -> Account:
        """Which portal this is; the first answer also tells HubSpot's clock. `anew`: a new run begins."""
        if anew or self._account is None:
            self._owners.clear()
            self.companies.forget()
            self._account = self.client.account()
        return self._account

    def owner(self, identity: str) -> str | None:
        """The e-mail of the owner of that id; None where nobody is known by it."""
        found = (self.owners(left=left).by_id.get(identity) for left in (False, True))
        return next((each.email for each in found if each and each.email), None)

    def user(self, identity: str) -> str | None:
        """The e-mail of the owner whose user has that id; None where nobody is known by it."""
        found = (self.owners(left=left).by_user.get(identity) for left in (False, True))
        return next((each.email for each in found if each and each.email), None)

    @property
    def has_definitions(self) -> bool:
        return self._definitions is not None

    def definitions(self, *, anew: bool = False) -> Mapping[str, Json]:
        """The contact's properties by name, as they were when this connector asked last; `anew` asks now."""
        if anew or self._definitions is None:
            self._definitions = definitions(self.client)
        return self._definitions

    def owners(self, *, left: bool) -> Owners:
        """Those who left, or those who did not; nobody where the token may not read them."""
        if left not in self._owners:
            try:
                self._owners[left] = owners(self.client, left=left)
            except ConfigError as error:
                self._owners[left] = Owners()
                self._warn(error)
        return self._owners[left]

    def candidates(self, email: str) -> tuple[Owner, ...]:
        """Who has that address and has not left; asked anew before it is said that nobody has. ConfigError where the
        token may not read the owners."""
        known = self._owners.get(False, Owners()).of(email)
        if known:
            return known
        self._owners = {False: owners(self.client, left=False)}  # who has left meanwhile is asked for anew, too
        return self._owners[False].of(email)

    def _warn(self, error: ConfigError) -> None:
        if not self._told_owners:
            log.warning("owners_not_readable", extra={"connection": self.connection, "error": error.message})
        self._told_owners = True
