"""Giving a record to a user or a queue, unless somebody else has given it away since that was decided.

The owner is looked at just before. What is changed after that look Salesforce itself refuses to write over, by the
header If-Unmodified-Since, which goes by whole seconds: then it is looked at again. So a repeated request whose first
answer was lost does not take a record back from whom somebody has given it to in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from email.utils import format_datetime
from types import MappingProxyType

from connectors.salesforce.batches import BY_RIGHTS, one, passes, told
from connectors.salesforce.client import Request
from connectors.salesforce.following import MOVED, Person, person_now
from connectors.salesforce.org import Org, Owner, Queue
from connectors.salesforce.refusals import Problem, Refused
from connectors.salesforce.values import id18, quoted
from connectors.salesforce.wishes import ACCOUNT, CONTACT
from connectors.salesforce.write import why, write_headers
from syncer.errors import ConfigError, SyncerError, TemporaryError
from syncer.model import Assigned, Assignment

_MOST_LOOKS = 4  # at one who is changed by somebody each time before we can write
_A_SECOND_S = 1.0  # Salesforce's times have no fractions, so one who was changed in this second may seem to be later
_CHANGED = 412
_LATER = MOVED | {"ENTITY_IS_LOCKED"}  # the latter: until somebody has approved it
_TRANSFER = "give syncer's user the permission Transfer Leads, for contacts Transfer Record, and to edit the record"
_MENDS: Mapping[str, str] = MappingProxyType(
    {
        "INSUFFICIENT_ACCESS_OR_READONLY": _TRANSFER,
        "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": _TRANSFER,
        "INACTIVE_OWNER_OR_USER": "let the route name somebody who is still there",
        "TRANSFER_REQUIRES_READ": "let the new owner read such records, by profile or permission set",
    }
)


class Unfit(ConfigError):
    """Who shall own the record is not there, or cannot own it."""


class Assigning:
    """Changes owners in one org."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self._name = org.connection
        self._client = org.client.reserved  # it asks little, and for leads that wait for somebody

    def assign(self, assignment: Assignment) -> Assigned:
        """NotFound (SY161) where the record is gone, ConfigError where who shall own it cannot (SY167) or the org's
        rules are against it (SY168), TemporaryError for everything that time or somebody's mending of rights settles.
        """
        try:
            self._org.organization()  # which forgets what was asked before, where this is the beginning
            return self._assign(assignment)
        except Unfit:
            raise
        except ConfigError as error:
            raise TemporaryError(error.message, code=error.code) from error

    def _assign(self, assignment: Assignment) -> Assigned:
        for look in range(_MOST_LOOKS):
            if look:
                self._client.pause(_A_SECOND_S)
            began = self._client.now()
            person = person_now(self._org, assignment.record)
            owner = self._org.owner(person.owner) if person.owner else None
            if owner is not None and _is_meant(owner, assignment):
                return "assigned"
            if not _is_still(assignment.before, _shown(person, owner)):
                return "kept"
            if self._gave(person, self._wanted(assignment, person), max(began, person.modified_at), assignment):
                return "assigned"
        message = f"{self._name}: {assignment.record.object} {assignment.record.id} changes all the time"
        raise TemporaryError(f"{message}; its owner is set later", code="SY166")

    def _wanted(self, assignment: Assignment, person: Person) -> str:
        """The id of who shall own the record."""
        if assignment.queue:
            return self._queue(assignment.to, person.object).id
        user = self._org.user_by_email(assignment.to)
        if user is None or not user.active:
            why_not = "is no user of Salesforce" if user is None else "has left Salesforce"
            message = f"{self._name}: {assignment.to} {why_not} and can own no record"
            raise Unfit(f"{message}; let the route name the address of somebody who is an active user", code="SY167")
        return user.id

    def _queue(self, name: str, kind: str) -> Queue:
        if kind == CONTACT:
            message = f"{self._name}: a contact cannot belong to a queue of Salesforce, which {name!r} is"
            raise Unfit(f"{message}; let a route that assigns contacts name people", code="SY167")
        called = self._org.queues_called(name)
        fit = [each for each in called if kind in each.objects]
        by_developer_name = [each for each in fit if _is(each.developer_name, name)]
        if len(found := by_developer_name or fit) == 1:
            return found[0]
        if fit:
            names = ", ".join(sorted(str(each.developer_name) for each in fit))
            reason = f"several queues of Salesforce are called {name!r}; write the API name of one: {names}"
        elif called:
            reason = f"the queue {name!r} of Salesforce does not take {kind}; add {kind} to its objects in Setup"
        else:
            reason = f"Salesforce has no queue {name!r}; correct the team's `queue`"
        raise Unfit(f"{self._name}: {reason}", code="SY167")

    def _gave(self, person: Person, owner: str, unless_since: datetime, assignment: Assignment) -> bool:
        """False: somebody has changed the record after that time, and nothing was written."""
        guard = {"If-Unmodified-Since": format_datetime(unless_since.replace(microsecond=0), usegmt=True)}
        request = Request(
            what="setting an owner",
            method="PATCH",
            path=self._address(person),
            body={"OwnerId": owner},
            headers={**write_headers(self._org.settings), **guard},
            kind="write",
            purpose="qualified",
        )
        try:
            self._client.ask(request)
        except Refused as refusal:
            if refusal.status == _CHANGED:
                return False
            raise self._judged(one(refusal.problems), assignment) from refusal
        return True

    def _address(self, person: Person) -> str:
        """A person account's owner is set on the account."""
        if person.object == CONTACT and self._org.describes.of(CONTACT).exists("IsPersonAccount"):
            soql = f"SELECT AccountId, IsPersonAccount FROM {CONTACT} WHERE Id = {quoted(person.id)}"
            for row in self._client.query_all_rows("reading whose account a contact is", soql):
                if row.get("IsPersonAccount") and row.get("AccountId"):
                    return f"/sobjects/{ACCOUNT}/{id18(row['AccountId'])}"
        return f"/sobjects/{person.object}/{person.id}"

    def _judged(self, problem: Problem, assignment: Assignment) -> SyncerError:
        """What a refusal means: patience, somebody's mending of rights, or that this owner cannot be."""
        mend = _MENDS.get(problem.code)
        said = f"{told(problem)}; {mend}" if mend else why(problem)
        record = assignment.record
        message = f"{self._name}: Salesforce did not give {record.object} {record.id} to {assignment.to}: {said}"
        if passes(problem) or problem.code in _LATER:
            return TemporaryError(message, code="SY166")
        if problem.code in BY_RIGHTS:
            self._org.describes.anew()
            return TemporaryError(message, code="SY166")
        return Unfit(message, code="SY168")


def _is_meant(owner: Owner, assignment: Assignment) -> bool:
    """Whether the record belongs already to who shall own it. Several users may have one address: each will do."""
    if assignment.queue:
        return owner.queue and (_is(owner.name, assignment.to) or _is(owner.developer_name, assignment.to))
    return owner.active and not owner.queue and _is(owner.email, assignment.to)


def _is(name: str | None, other: str) -> bool:
    return name is not None and name.lower() == other.lower()


def _is_still(before: str | None, now: str | None) -> bool:
    return now is None if before is None else _is(now, before)


def _shown(person: Person, owner: Owner | None) -> str | None:
    """As `Record.owner` shows it."""
    return owner.email if owner is not None and owner.email else person.owner
