"""Form submissions: kind `form_submission` with the fields form (its name), form_id and page_url. Scope: forms.

HubSpot shows the submissions of one form at a time, the newest first, and takes no times: each form is read down to
where it was read before, a little further, and forms that are new to us as far as syncer remembers. What people have
written into a form stays there but for the e-mail address, by which the contact is found.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from itertools import islice

import orjson

from connectors.hubspot.addresses import contacts_of, plain
from connectors.hubspot.client import next_after
from connectors.hubspot.events import bare, beginning_ms, behind_ms, horizon_ms, placed, unknown
from connectors.hubspot.people import CONTACTS
from connectors.hubspot.portal import Portal
from connectors.hubspot.refusals import Refused
from connectors.hubspot.values import Json, epoch_ms, moment, text
from syncer.errors import SyncerError, TemporaryError
from syncer.model import Activity, Cursor, Page, RecordKey, Rejected, Value

log = logging.getLogger(__name__)

NAME = "forms"
KIND = "form_submission"
_FORMAT = 1
_PAGE = 50  # HubSpot's limit for submissions
_PAGES = 4  # of one form, for one page of ours: as many submissions as two questions for contacts take
_TOGETHER = 16  # forms
_WITHOUT_SUBMISSIONS = frozenset({"blog_comment"})


@dataclass(frozen=True, slots=True)
class Position:
    """The submissions of `forms` up to `until_ms` are read. A walk under way goes down from `begun_ms`; `left` are the
    forms that it has not ended, with HubSpot's word for the next page of each."""

    portal: str
    until_ms: int = 0
    forms: tuple[str, ...] = ()
    begun_ms: int | None = None
    left: Mapping[str, str | None] = field(default_factory=dict)
    walked: tuple[str, ...] = ()  # those that the walk has ended

    def cursor(self) -> Cursor:
        parts = [_FORMAT, self.portal, self.until_ms, self.forms, self.begun_ms, dict(self.left), self.walked]
        return Cursor(orjson.dumps(parts).decode())

    def after(self, read: Sequence[Read]) -> Position:
        """Once these are stored. Forms that HubSpot does not have any more are forgotten at the end of a walk."""
        left = dict(self.left)
        for each in read:
            left[each.form] = each.after
            if each.after is None:
                del left[each.form]
        walked = (*self.walked, *(each.form for each in read if each.after is None and not each.refused))
        if left:
            return replace(self, left=left, walked=walked)
        return Position(self.portal, self.until_ms if self.begun_ms is None else self.begun_ms, walked)


@dataclass(frozen=True, slots=True)
class Read:
    """Some submissions of one form; `after` None: it is read to its end."""

    form: str
    rows: Sequence[Json]
    after: str | None
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Submission:
    """One form, sent once."""

    form: str
    row: Json
    at: datetime
    address: str | None

    @property
    def id(self) -> str:
        """HubSpot's own number of it; where there is none, what makes it different from others."""
        own = text(self.row, "conversionId")
        told = f"{self.form} {epoch_ms(self.at)} {self.address}".encode()
        return f"{self.form}/{own or hashlib.sha256(told).hexdigest()[:32]}"


@dataclass(frozen=True, slots=True)
class Forms:
    """It satisfies `Stream`."""

    portal: Portal
    name: str = NAME

    def pull(self, since: Cursor | None) -> Iterator[Page]:
        names = self._names() if KIND in self.portal.wanted.activities else {}
        position = self._resumed(since)
        if position.left:
            left = {each: after for each, after in position.left.items() if each in names}
            position = yield from self._down(replace(position, left=left), names)
        begun_ms = max(horizon_ms(self.portal), position.until_ms)
        yield from self._down(replace(position, begun_ms=begun_ms, left=dict.fromkeys(names)), names)

    def sweep(self, since: Cursor | None) -> Iterator[Page]:
        """Nothing: what was sent does not change."""
        return iter(())

    def fetch(self, ids: Sequence[str]) -> Iterator[Page]:
        """Nothing: HubSpot cannot be asked for single submissions, and they are not deleted."""
        return iter(())

    def _down(self, position: Position, names: Mapping[str, str]) -> Generator[Page, None, Position]:
        """The walk, a few pages of a few forms at a time, at least once. What was read before a failure is told."""
        while True:
            some = dict(islice(position.left.items(), _TOGETHER))
            read, failure = self._read(position, some)
            position = position.after(read)
            if read or failure is None:
                yield self._page(read, position.cursor(), names)
            if failure is not None:
                raise failure
            if not position.left:
                return position

    def _read(self, position: Position, some: Mapping[str, str | None]) -> tuple[list[Read], SyncerError | None]:
        floors = {each: self._floor_ms(position, each) for each in some}
        asked = [partial(self._read_form, form, after, floors[form]) for form, after in some.items()]
        read: list[Read] = []
        try:
            for each in self.portal.client.together(asked):
                read.append(each)
        except SyncerError as failure:
            return read, failure
        return read, None

    def _floor_ms(self, position: Position, form: str) -> int:
        """How far down a form is read."""
        if form in position.forms:
            return position.until_ms - behind_ms(self.portal)
        return beginning_ms(position.begun_ms or position.until_ms)

    def _read_form(self, form: str, after: str | None, floor_ms: int) -> Read:
        """In a worker: a few pages, or as many as there are above the floor."""
        rows: list[Json] = []
        for _ in range(_PAGES):
            try:
                answer = self._ask(form, after)
            except Refused as refusal:
                if after is not None and refusal.problem.status != 404:  # it has forgotten what its own word meant
                    return self._read_form(form, None, floor_ms)
                return Read(form, rows, None, "" if _has_none(refusal) else refusal.message)
            found, before, after = answer["results"], after, next_after(answer)
            rows += [row for row in found if (_ms(row) or floor_ms) >= floor_ms]
            if after is None or (found and (_ms(found[-1]) or floor_ms) < floor_ms):
                return Read(form, rows, None)
            if after == before:
                raise TemporaryError(f"{self.portal.connection}: a form's pages go round in a circle", code="SY042")
        return Read(form, rows, after)

    def _ask(self, form: str, after: str | None) -> Json:
        query = {"limit": str(_PAGE), **({} if after is None else {"after": after})}
        client = self.portal.client
        return client.get("reading form submissions", client.paths.submissions(form), query)

    def _names(self) -> dict[str, str]:
        """The forms that have submissions: id -> name."""
        client, query = self.portal.client, {"limit": "100", "formTypes": "all", "archived": "false"}
        return {
            str(row["id"]): text(row, "name") or str(row["id"])
            for answer in client.pages("reading the forms", client.paths.forms, query)
            for row in answer["results"]
            if row.get("formType") not in _WITHOUT_SUBMISSIONS and not row.get("archived")
        }

    def _page(self, read: Sequence[Read], cursor: Cursor, names: Mapping[str, str]) -> Page:
        rejected = [Rejected(f"{NAME}/{each.form}", each.refused) for each in read if each.refused]
        sent: dict[str, Submission] = {}
        for form, row in [(each.form, row) for each in read for row in each.rows]:
            try:
                one = _submission(form, row)
            except ValueError as error:
                rejected.append(Rejected(f"{NAME}/{form}/{row.get('conversionId')}", str(error)))
                continue
            sent[one.id] = one
        fresh = unknown(self.portal, NAME, [(identity, one.at) for identity, one in sent.items()])
        found = [one for identity, one in sent.items() if identity in fresh]
        contacts = contacts_of(self.portal.client, filter(None, (one.address for one in found)))
        told = [self._activity(one, contacts.get(one.address or ""), names) for one in found]
        return Page(cursor, (), placed(told), (), tuple(rejected))

    def _activity(self, sent: Submission, contact: str | None, names: Mapping[str, str]) -> Activity:
        connection = self.portal.connection
        page_url = bare(text(sent.row, "pageUrl"))
        fields: dict[str, Value] = {"form": names.get(sent.form, sent.form), "form_id": sent.form}
        return Activity(
            connection=connection,
            id=f"{NAME}/{sent.id}",
            kind=KIND,
            at=sent.at,
            records=(RecordKey(connection, CONTACTS, contact),) if contact else (),
            fields=fields | ({"page_url": page_url} if page_url else {}),
            modified_at=sent.at,
        )

    def _resumed(self, since: Cursor | None) -> Position:
        portal = self.portal.account().portal
        found = None if since is None else _parsed(since)
        if found is not None and found.portal == portal:
            return found
        if since is not None:
            log.warning("cursor_not_ours", extra={"connection": self.portal.connection, "stream": NAME})
        return Position(portal)


def _submission(form: str, row: Json) -> Submission:
    """ValueError where it does not say when it was sent."""
    written = text(row, "submittedAt")
    if written is None:
        raise ValueError("it lacks submittedAt")
    values = [each for each in row.get("values") or () if isinstance(each, dict) and each.get("name") == "email"]
    address = next(filter(None, (plain(text(each, "value")) for each in values)), None)
    return Submission(form, row, moment(written), address)


def _ms(row: Json) -> int | None:
    """When it was sent; None where it does not say."""
    try:
        written = text(row, "submittedAt")
        return None if written is None else epoch_ms(moment(written))
    except ValueError:
        return None


def _has_none(refusal: Refused) -> bool:
    """The form is of a kind without submissions, or it was deleted meanwhile."""
    return refusal.problem.status == 404 or "FORM_TYPE_NOT_ALLOWED" in refusal.problem.codes


def _parsed(cursor: str) -> Position | None:
    try:
        version, portal, until_ms, forms, begun_ms, left, walked = orjson.loads(cursor)
        if version != _FORMAT or not isinstance(until_ms, int) or not isinstance(left, dict):
            return None
        return Position(str(portal), until_ms, tuple(forms), begun_ms, left, tuple(walked))
    except (TypeError, ValueError):  # orjson's error is a ValueError
        return None
