"""Sending values in batches, and finding out which record a refusal is about.

HubSpot refuses a whole batch for one bad value or one unknown property, and does not say whose value it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from connectors.hubspot.client import Client
from connectors.hubspot.lookups import not_found
from connectors.hubspot.refusals import Problem, Refused
from connectors.hubspot.values import Json

MOST_REQUESTS = 64  # for one batch of 100; a single culprit needs 15
GONE = "it is gone from HubSpot"


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


@dataclass(frozen=True, slots=True)
class Delivered:
    """How one parcel ended: HubSpot's `row`, or why there is none."""

    row: Json | None = None
    reason: str = ""
    retry: bool = False
    gone: bool = False
    left_out: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def send(
    client: Client,
    what: str,
    parcels: Iterable[Parcel],
    *,
    split_by: str | None = None,
    needed: frozenset[str] = frozenset(),
) -> dict[str, Delivered]:
    """Write parcels (at most 100, one for a record) and say how each ended. `split_by` names a property with few
    values: a refusal of it is searched value by value, not record by record. `Refused` where a property of `needed` is
    missing or read-only: no record is to blame for that."""
    ended: dict[str, Delivered] = {}
    waiting = [list(parcels)]
    for _ in range(MOST_REQUESTS):
        batch = waiting.pop() if waiting else []
        if not batch:
            break
        try:
            answer = _update(client, what, batch)
        except Refused as refusal:
            if needed.intersection(refusal.problem.condemned):
                raise
            if not _one_more_try(batch, refusal.problem, split_by, waiting):
                ended |= _culprit(batch[0], refusal.problem)
        else:
            ended |= _understood(batch, answer)
        waiting = [rest for rest in waiting if rest]
    for batch in waiting:
        ended |= {each.id: Delivered(reason="HubSpot refused its batch too often", retry=True) for each in batch}
    return ended


def _update(client: Client, what: str, batch: list[Parcel]) -> Json:
    sent = [each for each in batch if each.values]
    if not sent:
        return {"results": []}
    inputs = [{"id": each.id, "properties": dict(each.values)} for each in sent]
    return client.write(what, client.paths.objects("contacts", "/batch/update"), {"inputs": inputs})


def _one_more_try(batch: list[Parcel], problem: Problem, split_by: str | None, waiting: list[list[Parcel]]) -> bool:
    """Queue smaller or repaired batches; False where the batch is one record and nothing is left to try."""
    named = {name for name in problem.properties if any(name in each.values for each in batch)}
    hopeless = named.intersection(problem.condemned) or (named if len(batch) == 1 else set())
    if hopeless:
        repaired = [each.without(hopeless, problem.message) for each in batch]
        if len(batch) > 1 or repaired[0].values:
            waiting.append(repaired)
            return True
    if len(batch) == 1:
        return False
    if split_by in named:
        by_value: dict[str, list[Parcel]] = {}
        for each in batch:
            by_value.setdefault(each.values.get(str(split_by), ""), []).append(each)
        if len(by_value) > 1:
            waiting.extend(by_value.values())
        else:
            waiting.append([each.without({str(split_by)}, problem.message) for each in batch])
        return True
    half = len(batch) // 2
    waiting.extend([batch[:half], batch[half:]])
    return True


def _culprit(parcel: Parcel, problem: Problem) -> dict[str, Delivered]:
    gone = problem.status == 404
    reason = GONE if gone else problem.message
    return {parcel.id: Delivered(reason=reason, gone=gone, left_out=dict(parcel.left_out))}


def _understood(batch: list[Parcel], answer: Json) -> dict[str, Delivered]:
    rows = {str(row.get("id")): row for row in answer["results"]}
    gone = not_found(answer)
    reasons = _reasons(answer)
    ended: dict[str, Delivered] = {}
    for each in batch:
        left_out = dict(each.left_out)
        if each.id in rows:
            ended[each.id] = Delivered(rows[each.id], left_out=left_out)
        elif each.id in gone:
            ended[each.id] = Delivered(reason=GONE, gone=True)
        elif each.id in reasons:
            ended[each.id] = Delivered(reason=reasons[each.id])
        elif not each.values:
            ended[each.id] = Delivered(reason="; ".join(sorted(set(left_out.values()))), left_out=left_out)
        else:
            ended[each.id] = Delivered(reason="HubSpot gave no answer for it (merged into another?)", retry=True)
    return ended


def _reasons(answer: Json) -> dict[str, str]:
    """Errors of a 207 that name their records."""
    found: dict[str, str] = {}
    for error in answer.get("errors") or ():
        for each in (error.get("context") or {}).get("ids") or () if isinstance(error, dict) else ():
            found[str(each)] = str(error.get("message") or "refused")
    return found
