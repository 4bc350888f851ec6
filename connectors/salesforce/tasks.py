"""Tasks for sales: one for each key, whatever happens to the answers.

Where Task has a unique external id field for it, the key stands there, and Salesforce makes no second task of one key.
Where not, a request whose answer was lost may have made one. Before one is made it is looked for by the field, then in
the texts of the person's newest tasks: there the key stands in both cases, also in tasks from before the field.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain
from types import MappingProxyType
from typing import Any, Literal

from connectors.salesforce.batches import BY_RIGHTS, one, passes, problem_of, told
from connectors.salesforce.client import Request
from connectors.salesforce.describe import FieldInfo, ObjectInfo
from connectors.salesforce.fitting import cut, fitted_text
from connectors.salesforce.following import MOVED, Person, person_now
from connectors.salesforce.marks import key_field, keys_in, mark
from connectors.salesforce.org import Org, Owner
from connectors.salesforce.refusals import Problem, Refused
from connectors.salesforce.values import Json, quoted
from connectors.salesforce.write import why, write_headers
from syncer import retry
from syncer.errors import ConfigError, TemporaryError
from syncer.model import Task

log = logging.getLogger(__name__)

TASK = "Task"
_QUEUE = "00G"
_LONGEST_TEXT = 30_000  # of 32,000; the mark comes after it
_MOST_READ = 2000  # of a person's tasks, the newest: a key is looked for soon after its task was made, or never
_WORKS_ON_S = 150.0  # Salesforce gives a request up after 120 s; until then it may still make the task
_IN_TIME_S = 30.0  # what was looked for longer ago may be there by now: another process may have taken over
_NOT_TAKEN = frozenset({"SY141", "SY145", "SY146", "SY164"})
"""Codes of answers that say that nothing was made, and no longer will be."""
_OF_OWNERS = frozenset({"INACTIVE_OWNER_OR_USER", "INVALID_OPERATION"})


@dataclass(frozen=True, slots=True)
class Form:
    """How tasks are made in this org. `key`: the external id field that holds the key."""

    info: ObjectInfo
    key: FieldInfo | None

    def key_of(self, task: Task) -> str:
        """The key as the field holds it: where it is too long, something as unmistakable stands for it."""
        length = self.key.length if self.key else 0
        return task.key if not length or len(task.key) <= length else sha256(task.key.encode()).hexdigest()[:length]


class NotThisOwner(Exception):
    """Salesforce does not take the owner of a new task."""


class Tasks:
    """Creates tasks in one org."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self._name = org.connection
        self._client = org.client.reserved  # what it reads, writing needs

    def create_task(self, task: Task) -> str:
        """The task's id; of the one that is there already, in the recycle bin even, where its key is found. NotFound
        where the person is gone, ConfigError where Salesforce refuses this very task, TemporaryError for everything
        that time or somebody's mending of rights settles: a hand-off outlives a permission that is missing."""
        began = retry.monotonic()
        try:
            self._org.organization()  # which forgets what was asked before, where this is the beginning
            info = self._org.describes.of(TASK)
            form = Form(info, key_field(self._org.settings, info))
            person = person_now(self._org, task.record)
            found = self._found(task, form, person)
            if found is not None:
                return found
            return self._create(task, form, person, began)
        except Refused:
            raise
        except ConfigError as error:
            raise TemporaryError(error.message, code=error.code) from error

    def _found(self, task: Task, form: Form, person: Person) -> str | None:
        """The task that carries the key."""
        if form.key is not None:
            soql = f"SELECT Id FROM Task WHERE {form.key.name} = {quoted(form.key_of(task))} ORDER BY Id"
            rows = self._client.query_all_rows("looking for a task", soql)
            if rows:
                return str(rows[0]["Id"])
        if form.info.field("Description") is None:  # then none was made, nor can be until somebody mends that
            return None
        who = f"WhoId = {quoted(person.id)}"
        soql = f"SELECT Id, Description FROM Task WHERE {who} ORDER BY CreatedDate DESC, Id LIMIT {_MOST_READ}"
        for page in self._client.query("looking for a task", soql):
            for row in page.rows:
                if task.key in keys_in(row.get("Description") or ""):
                    return str(row["Id"])
        return None

    def _create(self, task: Task, form: Form, person: Person, began: float) -> str:
        """An owner that Salesforce does not take is stood in for by the next best, in the end by syncer's own user."""
        for owner in chain(self._candidates(task, person), (None,)):
            try:
                return self._send(form, self.values(task, form, person, owner), began)
            except NotThisOwner as refusal:
                self._alarm(task, owner, str(refusal))
        message = f"{self._name}: Salesforce takes no owner for a task, not even syncer's own user"
        raise TemporaryError(message, code="SY162")

    def _candidates(self, task: Task, person: Person) -> Iterator[str]:
        """Ids of users who may have the task, each once, the best first."""
        stand_ins = (task.fallback_owner, self._org.settings.task.fallback_owner)
        tried = (self._by_email(task, task.owner), self._owner_of(task, person))
        later = (self._by_email(task, each) for each in stand_ins)
        seen: set[str] = set()
        for owner in chain.from_iterable(chain(tried, later)):
            if owner not in seen:
                seen.add(owner)
                yield owner

    def _owner_of(self, task: Task, person: Person) -> Iterator[str]:
        """Whoever owns the person. A queue cannot be given a task, nor who has left."""
        owner = person.owner
        known = self._org.owner(owner) if owner else None
        if owner and not owner.startswith(_QUEUE) and (known is None or known.active):
            yield owner
        elif owner:
            self._alarm(task, owner, _unfit(known))

    def _by_email(self, task: Task, email: str | None) -> Iterator[str]:
        user = self._org.user_by_email(email) if email else None
        if user is not None and user.active:
            yield user.id
        elif email:
            self._alarm(task, email, "there is no active user of that address")

    def _alarm(self, task: Task, owner: str | None, reason: str) -> None:
        about = {"connection": self._name, "record": str(task.record), "owner": owner or "", "reason": reason}
        log.warning("task_owner_replaced", extra=about)

    def values(self, task: Task, form: Form, person: Person, owner: str | None) -> Mapping[str, Any]:
        """What the task says. Its status is the org's default."""
        zone = self._org.organization().zone
        subject, priority = form.info.field("Subject"), form.info.field("Priority")
        return MappingProxyType(
            {
                "WhoId": person.id,
                "Subject": fitted_text(subject, task.subject) if subject else task.subject,
                "Description": text_of(task),
                "ActivityDate": task.due_at.astimezone(zone).date().isoformat(),
                **({"Priority": "High"} if priority and "High" in priority.values else {}),
                **({"OwnerId": owner} if owner else {}),
                **({form.key.name: form.key_of(task)} if form.key else {}),
            }
        )

    def _send(self, form: Form, values: Mapping[str, Any], began: float) -> str:
        """Where Salesforce keeps the key unique, as often as it takes: a second request finds the task of the first.
        Else once, and a lost answer must be settled by a look."""
        again = form.key is not None and form.key.unique
        if not again and retry.monotonic() - began > _IN_TIME_S:
            message = f"{self._name}: looking for the task took Salesforce too long; it is not created yet"
            raise TemporaryError(message, code="SY163")
        try:
            return self._upsert(form.key, values, again=again) if form.key else self._insert(values)
        except TemporaryError as failure:
            if again or failure.code in _NOT_TAKEN:
                raise
            wish_s = max(_WORKS_ON_S, failure.retry_after_s or 0.0)
            raise TemporaryError(failure.message, code=failure.code, retry_after_s=wish_s) from failure

    def _upsert(self, key: FieldInfo, values: Mapping[str, Any], *, again: bool) -> str:
        """As a collection of one: there the key stands in the body, where no sign of it has a meaning."""
        body: Json = {"allOrNone": False, "records": [{"attributes": {"type": TASK}, **values}]}
        path = f"/composite/sobjects/{TASK}/{key.name}"
        answer = self._client.ask(self._request("PATCH", path, body, again=again)).body[0]
        if answer.get("success") is True and answer.get("id"):
            return str(answer["id"])
        raise self._judged(problem_of(answer))

    def _insert(self, values: Mapping[str, Any]) -> str:
        try:
            made: Json = self._client.ask(self._request("POST", f"/sobjects/{TASK}", dict(values), again=False)).body
        except Refused as refusal:
            raise self._judged(one(refusal.problems)) from refusal
        return str(made["id"])

    def _request(self, method: Literal["PATCH", "POST"], path: str, body: Json, *, again: bool) -> Request:
        return Request(
            what="creating a task",
            method=method,
            path=path,
            body=body,
            headers=write_headers(self._org.settings),
            kind="write",
            again=again,
            shape=list if method == "PATCH" else dict,
            oddity=_oddity,
            purpose="qualified",
        )

    def _judged(self, problem: Problem) -> Exception:
        """What a refusal means: another owner, patience, somebody's mending, or that this very task cannot be made."""
        if problem.code in _OF_OWNERS or any(name.lower() == "ownerid" for name in problem.fields):
            return NotThisOwner(told(problem))
        message = f"{self._name}: Salesforce did not make the task: {why(problem)}"
        if passes(problem) or problem.code in MOVED or problem.code == "DUPLICATE_VALUE":
            return TemporaryError(message, code="SY164")  # somebody else made it, or the person moved: look again
        if problem.code in BY_RIGHTS:
            self._org.describes.anew()
            return TemporaryError(message, code="SY164")
        return Refused(message, status=400, problems=(problem,), code="SY165")


def text_of(task: Task) -> str:
    """What stands in the task, the mark last."""
    body = cut(task.body.replace("\0", ""), _LONGEST_TEXT)
    return f"{body}\n\n{mark(task.key)}"


def _unfit(owner: Owner | None) -> str:
    return f"{owner.name} has left" if owner and not owner.queue else "a queue can have no task"


def _oddity(answer: Any) -> str | None:
    if isinstance(answer, list):
        return None if len(answer) == 1 and isinstance(answer[0], dict) else "it does not tell of one task"
    return None if answer.get("id") else "it has no `id`"
