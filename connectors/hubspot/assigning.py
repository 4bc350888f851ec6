"""Giving contacts to owners: to whom was chosen, unless somebody has given them to somebody else meanwhile.

HubSpot knows no condition on a write, so the owner is looked at just before each one; a write whose answer was lost is
not repeated blindly either, but looked for.

SY187 nobody there who can own it · SY188 HubSpot keeps another owner · SY189 queues, which HubSpot does not know
"""

from __future__ import annotations

from connectors.hubspot.client import Request
from connectors.hubspot.lookups import Owner
from connectors.hubspot.people import CONTACTS, OWNER, holder
from connectors.hubspot.portal import Portal
from connectors.hubspot.refusals import Refused
from connectors.hubspot.values import text
from syncer import retry
from syncer.errors import ConfigError, NotFound, TemporaryError
from syncer.model import Assigned, Assignment


class _Unfit(ConfigError):
    """Somebody must name another owner, or change a rule of the portal's; the token is not to blame."""


class Assigning:
    """Assigns the contacts of one portal."""

    def __init__(self, portal: Portal) -> None:
        self._name = portal.connection
        self._portal = portal
        self._client = portal.client.reserved  # it may use the part of the budget that is kept for writing

    def assign(self, assignment: Assignment) -> Assigned:
        """NotFound where the contact is gone, ConfigError where nobody there can own it or HubSpot refuses just this,
        TemporaryError for everything that time or a person's mending of the token settles: a hand-off outlives a scope
        that is missing."""
        if assignment.queue:
            message = f"{self._name}: HubSpot has no queues, so no contact can go to {assignment.to!r}"
            raise ConfigError(f"{message}; take `queue` out of the team, or `assign` out of the route", code="SY189")
        try:
            return retry.once_more(lambda: self._looked(assignment), stop=self._portal.wanted.stop, heeds_wishes=True)
        except (Refused, _Unfit):
            raise
        except ConfigError as error:
            raise TemporaryError(error.message, code=error.code) from error

    def _looked(self, assignment: Assignment) -> Assigned:
        """One look, and the write that it allows. Whose account was made anew is another owner with the same address,
        and the contact goes from the old one to the new."""
        fit = self._portal.candidates(assignment.to)
        contact, owner = holder(self._portal, assignment.record.id)
        if owner in [each.id for each in fit]:
            return "assigned"
        if not self._is_still(assignment.before, owner):
            return "kept"
        if not fit:
            help_ = "name the address of somebody who is an owner there now"
            raise _Unfit(f"{self._name}: no owner in HubSpot has the address {assignment.to}; {help_}", code="SY187")
        return self._give(contact, fit[0])

    def _is_still(self, before: str | None, owner: str | None) -> bool:
        """Whether the owner of that id is whom a record showed before: by their address, or by the id where that was
        not known."""
        if before is None or owner is None:
            return before == owner
        shown = self._portal.owner(owner) or owner
        return before.casefold() in (owner, shown.casefold())

    def _give(self, contact: str, owner: Owner) -> Assigned:
        """Sent once: before a second time it must be looked at anew."""
        body, path = {"properties": {OWNER: owner.id}}, self._client.paths.objects(CONTACTS, f"/{contact}")
        request = Request("assigning a contact", "PATCH", path, body, needs="id", kind="write", again=False)
        try:
            answered = self._client.ask(request).get("properties")
        except Refused as refusal:
            if refusal.problem.status == 404:
                raise NotFound(f"{self._name}: the contact {contact} is gone from HubSpot", code="SY034") from refusal
            if OWNER in (refusal.problem.properties or refusal.problem.message):  # where none are named, the words may
                raise self._not_taken(owner, refusal.problem.message) from refusal
            raise
        if not isinstance(answered, dict) or OWNER not in answered:
            kept = holder(self._portal, contact)[1]
        else:
            kept = text(answered, OWNER)
        if kept != owner.id:
            message = f"{self._name}: HubSpot did not make {owner.email} the owner of the contact {contact}"
            help_ = "see in its history there who or what keeps it: a workflow, or a rule on the property"
            raise _Unfit(f"{message}, and says nothing about it; {help_}", code="SY188")
        return "assigned"

    def _not_taken(self, owner: Owner, why: str) -> _Unfit:
        message = f"{self._name}: HubSpot does not take {owner.email} as an owner: {why}"
        return _Unfit(f"{message}; name somebody who is an owner there now", code="SY187")
