"""Writing back: score, stage and reasons in collections of one object; what the org's rules refuse, apart."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby, takewhile
from types import MappingProxyType
from typing import Any

from connectors.salesforce.batches import MOST_RECORDS, SCHEMA, Delivered, Parcel, Sender, passes, told
from connectors.salesforce.budget import Purpose
from connectors.salesforce.client import Request
from connectors.salesforce.describe import FieldInfo
from connectors.salesforce.org import Org
from connectors.salesforce.refusals import Problem, Refused
from connectors.salesforce.settings import Settings
from connectors.salesforce.values import Json, chunks, moment, quoted_list
from connectors.salesforce.wishes import (
    ACCOUNT,
    CONTACT,
    LEAD,
    STATUS,
    Route,
    Targets,
    Wish,
    missing,
    targets_of,
    wish_of,
)
from syncer.errors import ConfigError, SyncerError, TemporaryError
from syncer.model import Change, Rejected, Standing, Written

_GONE = "it is gone from Salesforce"
_MENDS: Mapping[str, str] = MappingProxyType(
    {
        "FIELD_CUSTOM_VALIDATION_EXCEPTION": "a validation rule of the org is against it: mend the record or the rule",
        "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY": "a trigger or flow of the org failed: show this to its admin",
        "DUPLICATES_DETECTED": "merge the records, exempt syncer's user from the rule, or set `allow_duplicates: true`",
        "INSUFFICIENT_ACCESS_OR_READONLY": "give syncer's user the right to edit the record",
        "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": "let syncer's user edit the record and its parents",
        "INACTIVE_OWNER_OR_USER": "give the record an owner who is active",
    }
)
_MOST_PAUSE_S = 10.0


@dataclass(frozen=True, slots=True)
class Batch:
    """Changes to records of one `kind` that go in one collection."""

    kind: str
    targets: Targets
    wishes: tuple[Wish, ...]
    purpose: Purpose


class Writer:
    """Writes changes."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self._settings: Settings = org.settings
        self._client = org.client

    def write(self, changes: Sequence[Change]) -> Iterator[Written | Rejected]:
        """Send in collections of 200 of one object, which overlap; leads that are handed over to sales go first. A lost
        answer is repeated: the values are absolute. Of two changes to one record the last counts, and both get its
        answer. ConfigError where the field of score or stage is missing or cannot serve, after all that can be written
        has been; before any error comes what the others are answered."""
        answers = Counter(change.record.id for change in changes)
        prepared = list(self._prepared({change.record: change for change in changes}.values()))
        failed = [each for each in prepared if isinstance(each, SyncerError)]
        hopeless = len(failed)  # of these nothing is begun; others may be written all the same
        yield from _counted([each for each in prepared if isinstance(each, Rejected)], answers)
        batches = (each for each in prepared if isinstance(each, Batch))
        calls = (partial(self._tried, each) for each in takewhile(lambda _: len(failed) == hopeless, batches))
        for outcome in self._client.together(calls):
            if isinstance(outcome, SyncerError):
                failed.append(outcome)
            else:
                yield from _counted(outcome, answers)
        if failed:
            raise max(failed, key=_weight)

    def _prepared(self, changes: Iterable[Change]) -> Iterator[Batch | Rejected | SyncerError]:
        """What to send, what cannot be sent, and why a whole object cannot be written."""

        def turn(change: Change) -> tuple[bool, str]:
            return not self._is_urgent(change), change.record.object

        for (later, kind), group in groupby(sorted(changes, key=turn), turn):
            try:
                yield from self._collections(kind, list(group), "write" if later else "qualified")
            except SyncerError as error:
                yield error

    def _is_urgent(self, change: Change) -> bool:
        """Whether a lead is handed over to sales: that is written as long as anything can be."""
        stage = self._org.wanted.handoff
        return stage is not None and change.moves_stage and change.after.stage == stage

    def _collections(self, kind: str, changes: list[Change], purpose: Purpose) -> Iterator[Batch | Rejected]:
        routes = self._routes(kind, [each.record.id for each in changes], purpose)
        yield from (Rejected(each.record.id, _GONE) for each in changes if each.record.id not in routes)
        going = [(routes[each.record.id], each) for each in changes if each.record.id in routes]
        going.sort(key=lambda pair: (pair[0].object, pair[0].near, pair[0].id))
        for target, pairs in groupby(going, lambda pair: pair[0].object):
            targets = self._targets(target)
            made = [wish_of(change, route, targets, self._settings) for route, change in pairs]
            yield from (each for each in made if isinstance(each, Rejected))
            wishes = [each for each in made if isinstance(each, Wish)]
            for start in range(0, len(wishes), MOST_RECORDS):
                yield Batch(kind, targets, tuple(wishes[start : start + MOST_RECORDS]), purpose)

    def _targets(self, kind: str) -> Targets:
        """ConfigError only by what Salesforce says now: somebody may have mended it since it was asked."""
        describes = self._org.describes
        try:
            return targets_of(self._org.connection, self._settings, describes.of(kind))
        except ConfigError:
            describes.anew()
            return targets_of(self._org.connection, self._settings, describes.of(kind))

    def _routes(self, kind: str, ids: Sequence[str], purpose: Purpose) -> Mapping[str, Route]:
        """Contacts are looked at first: whose person account it is, and which account Salesforce locks with it."""
        if kind != CONTACT:
            return {each: Route(kind, each) for each in ids}
        names = ["AccountId"]
        if self._org.describes.of(CONTACT).exists("IsPersonAccount"):
            names.append("IsPersonAccount")
        rows = self._rows(CONTACT, names, ids, purpose)
        return {identity: _route(row) for identity, row in rows.items()}

    def _rows(self, kind: str, names: Sequence[str], ids: Sequence[str], purpose: Purpose) -> Mapping[str, Json]:
        """Records by their ids, those in the recycle bin, too."""
        select = f"SELECT Id, {', '.join(dict.fromkeys(names))} FROM {kind} WHERE Id IN "
        asked = [partial(self._page, kind, select + quoted_list(each), purpose) for each in chunks(ids, MOST_RECORDS)]
        return {str(row["Id"]): row for rows in self._client.together(asked) for row in rows}

    def _page(self, kind: str, soql: str, purpose: Purpose) -> Sequence[Json]:
        """Of at most 200 rows, which is the least that Salesforce puts on a page."""
        what = f"reading what {kind} shows"
        asked = Request(what, "GET", "/queryAll", query={"q": soql}, shape=dict, oddity=_oddity, purpose=purpose)
        rows: list[Json] = self._client.ask(asked).body["records"]
        return rows

    def _tried(self, batch: Batch) -> list[Written | Rejected] | SyncerError:
        """The answers to one batch, or what stopped it."""
        try:
            return self._written(batch)
        except Refused as refusal:  # of the look after it: a field that went, and the describe does not say so yet
            named = {name.lower() for name in refusal.fields}
            lost = [each.name for each in (batch.targets.score, batch.targets.stage) if each.name.lower() in named]
            return missing(self._org.connection, batch.targets.object, lost[0]) if lost else refusal
        except SyncerError as error:
            return error

    def _written(self, batch: Batch) -> list[Written | Rejected]:
        """Salesforce's answers do not show what it keeps, nor when that changed: so it is read after."""
        sender = Sender(partial(self._post, batch), batch.targets.doubtful, self._pause)
        ended = sender.send([each.parcel for each in batch.wishes if each.parcel.values])
        self._insist(batch, ended.values())
        read = self._read_as(batch)
        rows = self._rows(batch.kind, read.names, [each.id for each in batch.wishes], batch.purpose)
        return [read.answer(each, ended.get(each.parcel.id, Delivered()), rows.get(each.id)) for each in batch.wishes]

    def _post(self, batch: Batch, parcels: Sequence[Parcel]) -> Any:
        records = [{"attributes": {"type": each.object}, "id": each.id, **each.values} for each in parcels]
        request = Request(
            what=f"writing to {batch.targets.object}",
            method="PATCH",
            path="/composite/sobjects",
            body={"allOrNone": False, "records": records},
            headers=write_headers(self._settings),
            kind="write",
            shape=list,
            purpose=batch.purpose,
        )
        return self._client.ask(request).body

    def _pause(self, repetition: int) -> None:
        """Whoever holds the lock has 10 s at most; not all who wait shall come back at the same moment."""
        self._client.pause(min(_MOST_PAUSE_S, 2.0 ** (repetition - 1)) * random.uniform(0.7, 1.3))

    def _insist(self, batch: Batch, ended: Iterable[Delivered]) -> None:
        """Where Salesforce condemns the field of score or stage, whatever the value: ConfigError if it says so when it
        is asked for its fields anew; else only these records have no such field."""
        needed = {batch.targets.score.name, batch.targets.stage.name}
        condemned = {name for end in ended for name, problem in end.left_out.items() if problem.code in SCHEMA}
        if needed & condemned:
            self._org.describes.anew()
            self._targets(batch.targets.object)

    def _read_as(self, batch: Batch) -> Reading:
        """A person account's fields are read on its contact."""
        if batch.targets.object != ACCOUNT:
            return Reading(batch.targets, batch.targets)
        shown = self._org.describes.of(CONTACT)
        return Reading(batch.targets, targets_of(self._org.connection, self._settings, shown, written=False))


@dataclass(frozen=True, slots=True)
class Reading:
    """Turns what Salesforce answered, and what it shows since, into our answers. `sent`: the fields as they were
    written, `shown`: as they are read."""

    sent: Targets
    shown: Targets

    @property
    def names(self) -> list[str]:
        """What to ask for."""
        moves = ["IsConverted", "ConvertedContactId"] if self.shown.object == LEAD else []
        results = [shown.name for _, shown in self._pairs]
        return ["SystemModstamp", "IsDeleted", "MasterRecordId", *moves, *results]

    def answer(self, wish: Wish, end: Delivered, row: Json | None) -> Written | Rejected:
        """`row`: what Salesforce shows of the record now; None: nothing."""
        problem = end.left_out.get(self.sent.score.name)
        became = _became(row) if row else None
        if became:
            return Rejected(wish.id, f"{became}; what is to be written goes there once that has been read", retry=True)
        if row is None or row["IsDeleted"] or row.get("IsConverted"):
            return Rejected(wish.id, _GONE)
        if problem is not None:
            return Rejected(wish.id, f"Salesforce did not take the score: {why(problem)}", retry=passes(problem))
        score = self._rewritten(wish, self.sent.score, row.get(self.shown.score.name))
        if score is not None:  # not `refused`, which would keep sales from hearing of a stage that stands
            return Rejected(wish.id, score)
        refused = [*([wish.refused] if wish.refused else []), *self._refusals(wish, end, row)]
        standing = self._standing(wish, end, row)
        return Written(wish.change.record, moment(str(row["SystemModstamp"])), standing, "; ".join(refused) or None)

    def _refusals(self, wish: Wish, end: Delivered, row: Json) -> Iterator[str]:
        """Why stage and Status do not stand as they were sent: refused, or taken and changed again by the org."""
        for sent, shown in self._pairs[1:]:
            if sent.name in end.left_out:
                value = wish.parcel.values[sent.name]
                yield f"Salesforce did not take {sent.name}={value!r}: {why(end.left_out[sent.name])}"
            elif told := self._rewritten(wish, sent, row.get(shown.name)):
                yield told

    def _rewritten(self, wish: Wish, sent: FieldInfo, found: Any) -> str | None:
        value = wish.parcel.values.get(sent.name, found)
        if value == found:
            return None
        return f"Salesforce shows {sent.name}={found!r} instead of {value!r}: {_MEDDLING}"

    @property
    def _pairs(self) -> list[tuple[FieldInfo, FieldInfo]]:
        """As sent and as shown; the score first."""
        pairs = [(self.sent.score, self.shown.score), (self.sent.stage, self.shown.stage)]
        return pairs + ([(self.sent.status, self.shown.status)] if self.sent.status and self.shown.status else [])

    def _standing(self, wish: Wish, end: Delivered, row: Json) -> Standing:
        """What Salesforce shows. Of Status, which is not ours alone, and of reasons only what came of sending them."""
        change, sent, score = wish.change, wish.parcel.values, row.get(self.shown.score.name)
        reasons = self.sent.reasons.name if self.sent.reasons else ""
        return Standing(
            score=round(score * 100) if isinstance(score, int | float) else None,
            stage=row.get(self.shown.stage.name) or None,
            reasons=sent[reasons] if reasons in end.taken else change.before.reasons,
            lifecycle=row.get(STATUS) if STATUS in sent else change.before.lifecycle,
        )


_MEDDLING = "a trigger or flow of the org changes it; exempt syncer's user from it"


def write_headers(settings: Settings) -> Mapping[str, str]:
    """Without the first each write would run the org's assignment rules, which may give a lead to another owner."""
    allow = {"Sforce-Duplicate-Rule-Header": "allowSave=true"} if settings.allow_duplicates else {}
    return {"Sforce-Auto-Assign": "FALSE", **allow}


def why(problem: Problem) -> str:
    """What Salesforce said, and what somebody may do about it."""
    mend = _MENDS.get(problem.code)
    return f"{told(problem)}; {mend}" if mend and not passes(problem) else told(problem)


def _weight(error: SyncerError) -> tuple[bool, float]:
    """Of several errors the heaviest is told: what a person must mend, then a stop, then what lasts longest."""
    lasts_s = (error.retry_after_s or 0.0) if isinstance(error, TemporaryError) else math.inf
    return isinstance(error, ConfigError), lasts_s


def _became(row: Json) -> str | None:
    """What the record was merged or converted into, in words; None: nothing that could be written to."""
    if row["IsDeleted"] and row.get("MasterRecordId"):
        return f"it was merged into {row['MasterRecordId']}"
    if row.get("IsConverted") and row.get("ConvertedContactId"):
        return f"it was converted into the contact {row['ConvertedContactId']}"
    return None


def _route(row: Json) -> Route:
    account = str(row.get("AccountId") or "")
    if row.get("IsPersonAccount") and account:
        return Route(ACCOUNT, account)
    return Route(CONTACT, str(row["Id"]), near=account)


def _oddity(found: Json) -> str | None:
    rows = found.get("records")
    if not isinstance(rows, list) or not all(isinstance(row, dict) and row.get("Id") for row in rows):
        return "it has no `records`"
    return None if found.get("done") is True and len(rows) == found.get("totalSize") else "rows are missing"


def _counted(answers: Iterable[Written | Rejected], counts: Mapping[str, int]) -> Iterator[Written | Rejected]:
    """Each as often as it was asked for."""
    for answer in answers:
        identity = answer.id if isinstance(answer, Rejected) else answer.record.id
        yield from [answer] * counts[identity]
