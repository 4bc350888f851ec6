"""Sending values in batches, and finding out which record a refusal is about.

HubSpot refuses a whole batch for one bad value or one unknown property, and does not say whose value it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from connectors.hubspot.client import Client
from connectors.hubspot.lookups import Question, fetch, not_found
from connectors.hubspot.people import CONTACTS
from connectors.hubspot.refusals import Problem, Refused
from connectors.hubspot.values import Json, text

MOST_REQUESTS = 64  # for one batch of 100; a single culprit needs at most 16
GONE = "it is gone from HubSpot"
_WRONG_VALUE = frozenset({"INVALID_OPTION"})
"""Codes that condemn a value, whosever it is."""
_FOR_GOOD = frozenset({"VALIDATION_ERROR", "CONFLICT"})
"""Categories of a record's error in a 207 that no patience mends."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """What shall be written to one record; `left_out` are properties that HubSpot would not take, and why."""

    id: str
    values: Mapping[str, str]
    left_out: tuple[tuple[str, str], ...] = ()

    def without(self, names: Iterable[str], reason: str) -> Parcel:
        dropped = {name for name in names if name in self.values}
        kept = {name: value for name, value in self.values.items() if name not in dropped}
        return replace(self, values=kept, left_out=(*self.left_out, *((name, reason) for name in sorted(dropped))))

    def only(self, names: Iterable[str]) -> Parcel:
        """The part of it that has these values."""
        wanted = set(names)
        return replace(self, values={name: value for name, value in self.values.items() if name in wanted})


@dataclass(frozen=True, slots=True)
class Delivered:
    """How one parcel ended: HubSpot's `row`, or why there is none; `left_out` are values it did not take, and why."""

    row: Json | None = None
    reason: str = ""
    retry: bool = False
    gone: bool = False
    left_out: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def joined(self, later: Delivered) -> Delivered:
        """Of a parcel that was sent in parts."""
        return Delivered(
            row=_both(self.row, later.row),
            reason=self.reason or later.reason,
            retry=self.retry or later.retry,
            gone=self.gone or later.gone,
            left_out={**self.left_out, **later.left_out},
        )


def _both(one: Json | None, later: Json | None) -> Json | None:
    if one is None or later is None:
        return one or later
    return {**one, **later, "properties": {**(one.get("properties") or {}), **(later.get("properties") or {})}}


@dataclass(frozen=True, slots=True)
class Doubts:
    """What is known of refusals before they come."""

    of: str  # the property that an admin's rules may forbid: the others do not wait for it
    needed: frozenset[str] = frozenset()  # without these nothing can be written
    readable: frozenset[str] = frozenset()  # properties of the portal that can be asked for


def send(client: Client, what: str, parcels: Iterable[Parcel], doubts: Doubts) -> dict[str, Delivered]:
    """Write parcels (at most 100, one for a record) and say how each ended. `Refused` where a needed property is
    missing or read-only: no record is to blame for that."""
    ended: dict[str, Delivered] = {}
    waiting = [list(parcels)]
    search = _Search(client, doubts, [each.id for each in waiting[0]])
    for _ in range(MOST_REQUESTS):
        batch = waiting.pop() if waiting else []
        if not batch:
            break
        try:
            found = _understood(batch, _update(client, what, batch))
        except Refused as refusal:
            if doubts.needed.intersection(refusal.problem.condemned):
                raise
            smaller = search.smaller(batch, refusal.problem)
            waiting += smaller
            found = {} if smaller else _culprit(batch[0], refusal.problem)
        _keep(ended, found)
        waiting = [rest for rest in waiting if rest]
    for batch in waiting:
        _keep(ended, {each.id: _failed(each, "HubSpot refused its batch too often", retry=True) for each in batch})
    return ended


def _update(client: Client, what: str, batch: list[Parcel]) -> Json:
    sent = [each for each in batch if each.values]
    if not sent:
        return {"results": []}
    inputs = [{"id": each.id, "properties": dict(each.values)} for each in sent]
    return client.write(what, client.paths.objects(CONTACTS, "/batch/update"), {"inputs": inputs})


class _Search:
    """The search for whom HubSpot's refusals of one batch are about."""

    def __init__(self, client: Client, doubts: Doubts, ids: list[str]) -> None:
        self._client = client
        self._doubts = doubts
        self._ids = ids
        self._lacks: dict[tuple[str, ...], frozenset[str]] = {}

    def smaller(self, batch: list[Parcel], problem: Problem) -> list[list[Parcel]]:
        """Smaller or repaired batches to try instead, the one to be tried first at the end; none where the batch is
        one record and nothing is left to try."""
        alone, doubtful = len(batch) == 1, self._doubts.of
        named = {name for name in problem.properties if any(name in each.values for each in batch)}
        hopeless = named.intersection(problem.condemned) or (named if alone else set())
        if hopeless:
            repaired = [each.without(hopeless, why(problem)) for each in batch]
            return [] if alone and not repaired[0].values else [repaired]
        if any(doubtful in each.values for each in batch):
            wrong_value = doubtful in named and _WRONG_VALUE.intersection(problem.codes)
            suspects = frozenset(self._ids) if wrong_value else self._lacking(problem) if not alone else frozenset()
            if blamed := self._blamed(batch, problem, suspects):
                return blamed
            if any(doubtful in each.values and len(each.values) > 1 for each in batch):
                return _aside(batch, doubtful, why(problem))
        half = len(batch) // 2
        return [] if alone else [batch[:half], batch[half:]]

    def _blamed(self, batch: list[Parcel], problem: Problem, suspects: frozenset[str]) -> list[list[Parcel]]:
        """Apart by the doubtful value and by suspicion; suspects who have one value and are refused together are all to
        blame. Empty where that leads nowhere."""
        found: dict[tuple[str | None, bool], list[Parcel]] = {}
        for each in batch:
            found.setdefault((each.values.get(self._doubts.of), each.id in suspects), []).append(each)
        if len(found) > 1 and suspects:
            return list(found.values())
        value, suspected = next(iter(found))
        if value is None or not suspected:
            return []
        return [[each.without({self._doubts.of}, why(problem)) for each in batch]]

    def _lacking(self, problem: Problem) -> frozenset[str]:
        """Who lacks a property that an admin's rule asks for, where the refusal names it: to read it once costs less
        than to search for them."""
        names = tuple(name for name in problem.properties if name in self._doubts.readable)
        if not names or any(name in (self._doubts.of, *self._doubts.needed) for name in names):
            return frozenset()
        if names not in self._lacks:
            rows = fetch(self._client, Question(CONTACTS, names), self._ids).rows
            self._lacks[names] = frozenset(each for each, row in rows.items() if _lacks(row, names))
        return self._lacks[names]


def _lacks(row: Json, names: tuple[str, ...]) -> bool:
    return any(text(row.get("properties") or {}, name) is None for name in names)


def _aside(batch: list[Parcel], doubtful: str, reason: str) -> list[list[Parcel]]:
    """The other values first, and the doubtful ones in batches of their own. Of one record alone it is clear who is to
    blame once the others are taken."""
    if len(batch) == 1:
        return [[batch[0].without({doubtful}, reason)]]
    others = [each.only({name for name in each.values if name != doubtful}) for each in batch]
    doubted = [each.only({doubtful}) for each in batch if doubtful in each.values]
    half = len(doubted) // 2
    return [doubted[:half], doubted[half:], [each for each in others if each.values]]


def _culprit(parcel: Parcel, problem: Problem) -> dict[str, Delivered]:
    gone = problem.status == 404
    return {parcel.id: _failed(parcel, GONE if gone else why(problem), gone=gone)}


def _failed(parcel: Parcel, reason: str, *, retry: bool = False, gone: bool = False) -> Delivered:
    left_out = {**dict(parcel.left_out), **dict.fromkeys(parcel.values, reason)}
    return Delivered(reason=reason, retry=retry, gone=gone, left_out=left_out)


def _keep(ended: dict[str, Delivered], found: Mapping[str, Delivered]) -> None:
    for identity, end in found.items():
        ended[identity] = ended[identity].joined(end) if identity in ended else end


def why(problem: Problem) -> str:
    """HubSpot's words, with the properties it names: an admin's rule may ask for one that we never write."""
    unsaid = [name for name in problem.properties if name not in problem.message]
    return f"{problem.message} ({', '.join(unsaid)})" if unsaid else problem.message


def _understood(batch: list[Parcel], answer: Json) -> dict[str, Delivered]:
    rows = {str(row.get("id")): row for row in answer["results"]}
    gone, reasons = not_found(answer), _reasons(answer)
    ended: dict[str, Delivered] = {}
    for each in batch:
        if each.id in rows:
            ended[each.id] = Delivered(rows[each.id], left_out=dict(each.left_out))
        elif each.id in gone:
            ended[each.id] = _failed(each, GONE, gone=True)
        elif each.id in reasons:
            message, passing = reasons[each.id]
            ended[each.id] = _failed(each, message, retry=passing)
        elif not each.values:
            ended[each.id] = _failed(each, "; ".join(sorted({reason for _, reason in each.left_out})))
        else:
            ended[each.id] = _failed(each, "HubSpot gave no answer for it (merged into another?)", retry=True)
    return ended


def _reasons(answer: Json) -> dict[str, tuple[str, bool]]:
    """Errors of a 207 that name their records, and whether they may pass: all but those about values."""
    found: dict[str, tuple[str, bool]] = {}
    for error in answer.get("errors") or ():
        for each in (error.get("context") or {}).get("ids") or () if isinstance(error, dict) else ():
            found[str(each)] = (str(error.get("message") or "refused"), error.get("category") not in _FOR_GOOD)
    return found
