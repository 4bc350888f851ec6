"""Form submissions: kind `form_submission` with the fields form (its name), form_id and page_url. Scope: forms.

HubSpot shows the submissions of one form at a time, the newest first, and takes no times: each form is read down to
where it was read before, a little further, and forms that are new to us as far as syncer remembers. Nothing tells which
forms have news, so each costs a request; those that have been quiet for long are read more rarely. What people have
written into a form stays there but for the e-mail address, by which the contact is found.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import ClassVar

import orjson

from connectors.hubspot.addresses import contacts_of, plain
from connectors.hubspot.client import next_after
from connectors.hubspot.events import bare, beginning_ms, behind_ms, horizon_ms, placed, unknown
from connectors.hubspot.people import CONTACTS
from connectors.hubspot.portal import Portal
from connectors.hubspot.position import taken_up
from connectors.hubspot.refusals import Refused
from connectors.hubspot.values import A_MS, Json, epoch_ms, moment, text
from syncer.circles import Trail
from syncer.errors import SyncerError, TemporaryError
from syncer.model import Activity, Cursor, Page, RecordKey, Rejected, Value

NAME = "forms"
KIND = "form_submission"
_FORMAT = 2
_PAGE = 50  # HubSpot's limit for submissions
_PAGES = 4  # of one form, for one page of ours: as many submissions as two questions for contacts take
_TOGETHER = 16  # forms
_A_DAY_MS = timedelta(days=1) // A_MS
_RESTS = ((30 * _A_DAY_MS, _A_DAY_MS), (_A_DAY_MS, _A_DAY_MS // 24))
"""(quiet for so long, read so rarely), in milliseconds, the longest first."""
_WITHOUT_SUBMISSIONS = frozenset({"blog_comment"})


@dataclass(frozen=True, slots=True)
class Form:
    """One form as HubSpot lists it; `touched_ms`: when it was made or edited last."""

    name: str
    touched_ms: int


@dataclass(frozen=True, slots=True)
class Standing:
    """One form's submissions up to `read_ms` are read, and the last of them was sent at `newest_ms` (0: none)."""

    read_ms: int
    newest_ms: int = 0

    def is_due(self, form: Form, now_ms: int) -> bool:
        quiet_ms = now_ms - max(self.newest_ms, form.touched_ms)
        rest_ms = next((rest for silence, rest in _RESTS if quiet_ms > silence), 0)
        return now_ms - self.read_ms >= rest_ms


@dataclass(frozen=True, slots=True)
class Position:
    """How far each form is read. A walk under way goes down from `begun_ms`; `left` are the forms it has not ended,
    with HubSpot's word for the next page of each."""

    portal: str
    forms: Mapping[str, Standing] = field(default_factory=dict)
    begun_ms: int = 0
    left: Mapping[str, str | None] = field(default_factory=dict)
    stream: ClassVar[str] = NAME

    def cursor(self) -> Cursor:
        forms = {form: [each.read_ms, each.newest_ms] for form, each in self.forms.items()}
        return Cursor(orjson.dumps([_FORMAT, self.portal, forms, self.begun_ms, dict(self.left)]).decode())

    def begun(self, names: Mapping[str, Form], now_ms: int) -> Position:
        """A walk to the forms that are due. Those that HubSpot does not have any more are forgotten."""
        known = {form: each for form, each in self.forms.items() if form in names}
        due = [each for each, form in names.items() if each not in known or known[each].is_due(form, now_ms)]
        return Position(self.portal, known, now_ms, dict.fromkeys(due))

    def after(self, read: Sequence[Read]) -> Position:
        """Once these are stored. A form on its way keeps where it was read to before: that is how far down it goes."""
        left, forms = dict(self.left), dict(self.forms)
        for each in read:
            known, newest_ms = forms.get(each.form), max(filter(None, map(_ms, each.rows)), default=0)
            newest_ms = max(newest_ms, known.newest_ms if known else 0)
            left[each.form] = each.after
            if each.after is None:
                del left[each.form]
                if not each.refused:
                    forms[each.form] = Standing(self.begun_ms, newest_ms)
            elif known:
                forms[each.form] = replace(known, newest_ms=newest_ms)
        return replace(self, forms=forms, left=left)


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
        now_ms = max(horizon_ms(self.portal), *(each.read_ms for each in position.forms.values()), 0)
        yield from self._down(position.begun(names, now_ms), names)

    def sweep(self, since: Cursor | None) -> Iterator[Page]:
        """Nothing: what was sent does not change."""
        return iter(())

    def fetch(self, ids: Sequence[str]) -> Iterator[Page]:
        """Nothing: HubSpot cannot be asked for single submissions, and they are not deleted."""
        return iter(())

    def _down(self, position: Position, names: Mapping[str, Form]) -> Generator[Page, None, Position]:
        """The walk, a few pages of a few forms at a time, at least once. What was read before a failure is told."""
        trails: dict[str, Trail] = defaultdict(Trail)
        while True:
            some = dict(islice(position.left.items(), _TOGETHER))
            read, failure = self._read(position, some, trails)
            position = position.after(read)
            if read or failure is None:
                yield self._page(read, position.cursor(), names)
            if failure is not None:
                raise failure
            if not position.left:
                return position

    def _read(
        self, position: Position, some: Mapping[str, str | None], trails: Mapping[str, Trail]
    ) -> tuple[list[Read], SyncerError | None]:
        floors = {each: self._floor_ms(position, each) for each in some}
        asked = [partial(self._read_form, form, after, floors[form], trails[form]) for form, after in some.items()]
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
            return position.forms[form].read_ms - behind_ms(self.portal)
        return beginning_ms(position.begun_ms)

    def _read_form(self, form: str, after: str | None, floor_ms: int, trail: Trail) -> Read:
        """In a worker: a few pages, or as many as there are above the floor."""
        rows: list[Json] = []
        for _ in range(_PAGES):
            try:
                answer = self._ask(form, after)
            except Refused as refusal:
                if after is not None and refusal.problem.status != 404:  # it has forgotten what its own word meant
                    return self._read_form(form, None, floor_ms, Trail())
                return Read(form, rows, None, "" if _has_none(refusal) else refusal.message)
            found, after = answer["results"], next_after(answer)
            rows += [row for row in found if (_ms(row) or floor_ms) >= floor_ms]
            if after is None or (found and (_ms(found[-1]) or floor_ms) < floor_ms):
                return Read(form, rows, None)
            if trail.comes_back_to(after):
                raise TemporaryError(f"{self.portal.connection}: a form's pages go round in a circle", code="SY042")
        return Read(form, rows, after)

    def _ask(self, form: str, after: str | None) -> Json:
        query = {"limit": str(_PAGE), **({} if after is None else {"after": after})}
        client = self.portal.client
        return client.get("reading form submissions", client.paths.submissions(form), query)

    def _names(self) -> dict[str, Form]:
        """The forms that have submissions, by their ids."""
        client, query = self.portal.client, {"limit": "100", "formTypes": "all", "archived": "false"}
        return {
            str(row["id"]): Form(text(row, "name") or str(row["id"]), _touched_ms(row))
            for answer in client.pages("reading the forms", client.paths.forms, query)
            for row in answer["results"]
            if str(row.get("formType")) not in _WITHOUT_SUBMISSIONS and not row.get("archived")
        }

    def _page(self, read: Sequence[Read], cursor: Cursor, names: Mapping[str, Form]) -> Page:
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

    def _activity(self, sent: Submission, contact: str | None, names: Mapping[str, Form]) -> Activity:
        connection = self.portal.connection
        page_url = bare(text(sent.row, "pageUrl"))
        fields: dict[str, Value] = {"form": names[sent.form].name, "form_id": sent.form}
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
        return taken_up(self.portal.connection, portal, NAME, since, _parsed) or Position(portal)


def _submission(form: str, row: Json) -> Submission:
    """ValueError where it does not say when it was sent."""
    written = text(row, "submittedAt")
    if written is None:
        raise ValueError("it lacks submittedAt")
    values = [each for each in row.get("values") or () if isinstance(each, dict) and each.get("name") == "email"]
    address = next(filter(None, (plain(text(each, "value")) for each in values)), None)
    return Submission(form, row, moment(written), address)


def _touched_ms(row: Json) -> int:
    return max(filter(None, (_ms(row, name) for name in ("createdAt", "updatedAt"))), default=0)


def _ms(row: Json, name: str = "submittedAt") -> int | None:
    """When that happened; None where it does not say."""
    try:
        written = text(row, name)
        return None if written is None else epoch_ms(moment(written))
    except ValueError:
        return None


def _has_none(refusal: Refused) -> bool:
    """The form is of a kind without submissions, or it was deleted meanwhile."""
    return refusal.problem.status == 404 or "FORM_TYPE_NOT_ALLOWED" in refusal.problem.codes


def _parsed(cursor: str) -> Position | None:
    try:
        version, portal, forms, begun_ms, left = orjson.loads(cursor)
        if version != _FORMAT or not isinstance(left, dict):
            return None
        standings = {form: Standing(int(read), int(newest)) for form, (read, newest) in forms.items()}
        return Position(str(portal), standings, int(begun_ms), left)
    except (AttributeError, TypeError, ValueError):  # orjson's error is a ValueError
        return None
