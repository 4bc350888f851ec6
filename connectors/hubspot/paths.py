"""HubSpot's addresses, by API version: `v3` (with v4 for associations) or a date such as `2026-03`."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Paths:
    """Where things are. `tail` begins with a slash: "/search", "/batch/read", "/groups"."""

    version: str

    def objects(self, kind: str, tail: str = "") -> str:
        return (f"/crm/v3/objects/{kind}" if self._old else f"/crm/objects/{self.version}/{kind}") + tail

    def associations(self, here: str, there: str) -> str:
        head = "/crm/v4/associations" if self._old else f"/crm/associations/{self.version}"
        return f"{head}/{here}/{there}/batch/read"

    def properties(self, tail: str = "") -> str:
        return ("/crm/v3/properties/contacts" if self._old else f"/crm/properties/{self.version}/contacts") + tail

    @property
    def company_properties(self) -> str:
        return "/crm/v3/properties/companies" if self._old else f"/crm/properties/{self.version}/companies"

    @property
    def forms(self) -> str:
        """Of the dated versions there is so far but a beta."""
        return "/marketing/forms/2026-09-beta" if self.version == "2026-09" else "/marketing/v3/forms"

    def submissions(self, form: str) -> str:
        """v1 has no successor yet, nor has that of e-mail events."""
        return f"/form-integrations/v1/submissions/forms/{quote(form, safe='')}"

    @property
    def email_events(self) -> str:
        return "/email/public/v1/events"

    @property
    def event_occurrences(self) -> str:
        return "/events/v3/events" if self._old else f"/events/event-occurrences/{self.version}"

    @property
    def owners(self) -> str:
        return "/crm/v3/owners" if self._old else f"/crm/owners/{self.version}"

    @property
    def account(self) -> str:
        return f"/account-info/{self.version}/details"

    @property
    def token(self) -> str:
        """v3 and not v1, which ends on 16 February 2027 (HubSpot's changelog)."""
        return f"/oauth/{self.version}/token"

    @property
    def _old(self) -> bool:
        return self.version == "v3"
