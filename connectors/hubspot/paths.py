"""HubSpot's addresses, by API version: `v3` (with v4 for associations) or a date such as `2026-03`."""

from __future__ import annotations

from dataclasses import dataclass


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
    def owners(self) -> str:
        return "/crm/v3/owners" if self._old else f"/crm/owners/{self.version}"

    @property
    def account(self) -> str:
        return f"/account-info/{self.version}/details"

    @property
    def _old(self) -> bool:
        return self.version == "v3"
