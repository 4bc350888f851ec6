"""Tasks for sales: one for each key, whatever happens to the answers.

HubSpot creates a task for every request, and a request whose answer was lost may have made one. So each task carries
its key, and those of the contact are read before one is made: by their associations, since search lags.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from connectors.hubspot.client import Request
from connectors.hubspot.lookups import BATCH, Question, associations, chunks, fetch
from connectors.hubspot.marks import TASK_BODY, keys_in, mark
from connectors.hubspot.people import CONTACTS, OWNER, holder
from connectors.hubspot.portal import Portal
from connectors.hubspot.refusals import Refused
from connectors.hubspot.values import Json, epoch_ms, text
from syncer import retry
from syncer.errors import ConfigError, TemporaryError
from syncer.model import Task

TASKS = "tasks"
_TO_CONTACT = 204  # HubSpot's association type task -> contact
_LONGEST_BODY = 60_000  # HubSpot takes 65,536 characters
_WORKS_ON_S = 120.0  # HubSpot gives a request up after 100 s (its 524); until then it may still make the task
_IN_TIME_S = 30.0  # what was looked for longer ago may be there by now: another process may have taken over
_NOT_TAKEN = frozenset({"SY035", "SY036", "SY037", "SY038"})
"""Codes of answers that say that a request was not even begun: too many, locked, moving."""


class Tasks:
    """Creates tasks in one portal."""

    def __init__(self, portal: Portal) -> None:
        self._name = portal.connection
        self._settings = portal.settings
        self._portal = portal
        self._client = portal.client.reserved  # what it reads, writing needs

    def create_task(self, task: Task) -> str:
        """The task's id; of the one that is there already, where its key is found. NotFound where the contact is gone,
        ConfigError where HubSpot refuses this very task, TemporaryError for everything that time or a person's mending
        of the token settles: a hand-off outlives a scope that is missing."""
        began = retry.monotonic()
        try:
            contact, owner = holder(self._portal, task.record.id)
            found = self._found(task, contact)
            if found is not None:
                return found
            candidates = self._candidates(task, owner)
            return self._create([body_of(task, contact, each) for each in (*candidates, None)], began)
        except Refused:
            raise
        except ConfigError as error:
            raise TemporaryError(error.message, code=error.code) from error

    def _found(self, task: Task, contact: str) -> str | None:
        """The contact's task that carries the key; the youngest are looked at first."""
        tied = associations(self._client, CONTACTS, TASKS, [contact])[contact]
        for ids in chunks(sorted(tied, key=int, reverse=True), BATCH):
            there = fetch(self._client, Question(TASKS, [TASK_BODY]), ids)
            for identity, row in there.rows.items():
                if task.key in keys_in(text(row.get("properties") or {}, TASK_BODY) or ""):
                    return identity
            if there.silent:
                message = f"{self._name}: HubSpot gave no answer for {len(there.silent)} tasks of contact {contact}"
                raise TemporaryError(f"{message}; one of them may be the one to be made", code="SY042")
        return None

    def _create(self, bodies: Sequence[Json], began: float) -> str:
        """An owner that HubSpot does not take is stood in for by the next best, in the end by nobody."""
        *better, last = bodies
        for body in better:
            try:
                return self._send(body, began)
            except Refused as refusal:
                if OWNER not in refusal.problem.properties and OWNER not in refusal.problem.message:
                    raise
        return self._send(last, began)

    def _send(self, body: Json, began: float) -> str:
        """Sent once: a lost answer must be settled by a look."""
        if retry.monotonic() - began > _IN_TIME_S:
            message = f"{self._name}: looking for the task took HubSpot too long; it is not created yet"
            raise TemporaryError(message, code="SY039")
        path, what = self._client.paths.objects(TASKS), "creating a task"
        try:
            made = self._client.ask(Request(what, "POST", path, body, needs="id", kind="write", again=False))
        except TemporaryError as failure:
            if failure.code in _NOT_TAKEN:
                raise
            wish_s = max(_WORKS_ON_S, failure.retry_after_s or 0.0)
            raise TemporaryError(failure.message, code=failure.code, retry_after_s=wish_s) from failure
        return str(made["id"])

    def _candidates(self, task: Task, owner: str | None) -> list[str]:
        """Ids of owners who may have the task, the best first; `owner` is the contact's."""
        theirs = self._active(owner) if owner else None
        stand_ins = [each for email in (task.fallback_owner, self._settings.fallback_owner) for each in self._of(email)]
        return list(dict.fromkeys([*self._of(task.owner), *([theirs] if theirs else []), *stand_ins]))

    def _of(self, email: str | None) -> list[str]:
        """Ids of the owners of that address who are there."""
        return [each.id for each in self._portal.owners(left=False).of(email)] if email else []

    def _active(self, owner: str) -> str | None:
        """The id to write for a record's owner; None for one who has left. One who is in no list (or where the lists
        may not be read) is tried as it is."""
        here = self._portal.owners(left=False)
        if owner in here.by_id:
            return owner
        if owner in self._portal.owners(left=True).by_id:
            return None
        mistaken = here.by_user.get(owner)  # a user's number, taken for the owner's
        return owner if mistaken is None else mistaken.id


def body_of(task: Task, contact: str, owner: str | None) -> Json:
    """The request that creates it."""
    lines = [*task.body[:_LONGEST_BODY].splitlines(), "", mark(task.key)]
    values = {
        "hs_timestamp": str(epoch_ms(task.due_at)),
        "hs_task_subject": task.subject,
        TASK_BODY: "<br>".join(escape(line, quote=False) for line in lines),  # HubSpot shows it as HTML
        "hs_task_status": "NOT_STARTED",
        "hs_task_priority": "HIGH",
        "hs_task_type": "TODO",
        **({OWNER: owner} if owner else {}),
    }
    tie = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": _TO_CONTACT}
    return {"properties": values, "associations": [{"to": {"id": contact}, "types": [tie]}]}
