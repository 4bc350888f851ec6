"""Who is in the portals of a fleet, and what happens to them: all of it follows from a seed.

Everybody acts once at most, so the end does not depend on how often anybody looked meanwhile; and no rule fades.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Literal

MODEL = """\
name: fleet
fit:
  rules:
    - {name: In a country we sell to, when: {country: [ES, MX]}, points: 40}
engagement:
  max: 60
  rules:
    - {name: Came to a meeting, when: {activity: meeting, outcome: completed, in_last: 90d}, points: 55}
    - {name: Was on the phone, when: {activity: call, in_last: 90d}, points: 25}
need:
  rules:
    - {name: Decides, when: {jobtitle: {contains: [director]}}, points: 10}
stages:
  - {name: cold}
  - {name: iql, enter: [fit >= 40]}
  - {name: mql, enter: [engagement >= 20, need > 0]}
  - {name: sql, enter: [engagement >= 50]}
"""

Kind = Literal["meeting", "call", "arrives", "leaves", "by_hand"]
_FIRST_CONTACT = 1_001
_FIRST_CALL = 900_001
_CALL_TO_CONTACT, _MEETING_TO_CONTACT = 194, 200
_BEFORE: Mapping[Kind, Mapping[str, str]] = {
    "meeting": {"country": "ES", "jobtitle": "Director of sales"},
    "call": {"country": "MX", "jobtitle": "Director of finance"},
    "arrives": {"country": "US", "jobtitle": "Analyst"},
    "leaves": {"country": "ES", "jobtitle": "Analyst"},
    "by_hand": {"country": "US", "jobtitle": "Analyst"},
}
_AFTER: Mapping[Kind, str] = {"meeting": "sql", "call": "mql", "arrives": "iql", "leaves": "cold", "by_hand": "iql"}
_WEIGHTS: Mapping[Kind, int] = {"meeting": 5, "call": 4, "arrives": 3, "leaves": 3, "by_hand": 1}


@dataclass(frozen=True, slots=True)
class Act:
    """Somebody does something, so many seconds after the life began."""

    at_s: float
    portal: str
    contact: int
    kind: Kind

    @property
    def stage(self) -> str:
        """Where it brings the lead."""
        return _AFTER[self.kind]


@dataclass(frozen=True, slots=True)
class Script:
    """A seeded life of some portals. `when`: what happened before it; `share`: of the contacts that act."""

    portals: Sequence[str]
    contacts: int
    seconds: float
    when: datetime
    share: float = 0.5
    seed: int = 8

    def base(self, portal: str) -> dict[str, Any]:
        """What the portal's control plane is to load: contacts, and the calls that some had."""
        at = _text(self.when - timedelta(days=30))
        people = [
            {"id": str(contact), "properties": self._who(portal, contact), "createdAt": at, "updatedAt": at}
            for contact in self._ids
        ]
        known = [contact for contact in self._ids if contact % 10 == 0 and self._kind(portal, contact) is None]
        calls = [
            {
                "id": str(_FIRST_CALL + contact),
                "properties": {"hs_timestamp": at, "hs_call_title": "First call"},
                "createdAt": at,
                "updatedAt": at,
            }
            for contact in known
        ]
        ties = [[_FIRST_CALL + contact, contact] for contact in known]
        tied = {"from": "calls", "to": "contacts", "typeId": _CALL_TO_CONTACT, "pairs": ties}
        return {"objects": {"contacts": people, "calls": calls}, "associations": [tied]}

    def acts(self) -> list[Act]:
        """In the order in which they happen."""
        return sorted(self._acts(), key=lambda act: (act.at_s, act.portal, act.contact))

    def stages(self, portal: str) -> Mapping[str, str]:
        """Where each lead of the portal stands in the end, by the contact's id."""
        return {str(contact): self._end(portal, contact) for contact in self._ids}

    def sold(self, portal: str) -> set[str]:
        """The contacts of whom sales is to be told."""
        return {str(contact) for contact in self._ids if self._kind(portal, contact) == "meeting"}

    def by_hand(self, portal: str) -> set[str]:
        """The contacts whose stage a person sets."""
        return {str(contact) for contact in self._ids if self._kind(portal, contact) == "by_hand"}

    @property
    def _ids(self) -> range:
        return range(_FIRST_CONTACT, _FIRST_CONTACT + self.contacts)

    def _acts(self) -> Iterator[Act]:
        for portal in self.portals:
            for contact in self._ids:
                kind = self._kind(portal, contact)
                if kind is not None:
                    yield Act(self._dice(portal, contact, "at").uniform(0, self.seconds), portal, contact, kind)

    def _kind(self, portal: str, contact: int) -> Kind | None:
        dice = self._dice(portal, contact, "kind")
        return dice.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0] if dice.random() < self.share else None

    def _who(self, portal: str, contact: int) -> dict[str, str]:
        before = self._dice(portal, contact, "who").choice(list(_BEFORE.values()))
        kind = self._kind(portal, contact)
        before = before if kind is None else _BEFORE[kind]
        return {"email": f"person{contact}@{portal}.example", "lastname": f"Person {contact}", **before}

    def _end(self, portal: str, contact: int) -> str:
        kind = self._kind(portal, contact)
        if kind is not None:
            return _AFTER[kind]
        who = self._who(portal, contact)
        if who["country"] == "US":
            return "cold"
        return "mql" if contact % 10 == 0 and "Director" in who["jobtitle"] else "iql"

    def _dice(self, portal: str, contact: int, what: str) -> Random:
        return Random(f"{self.seed}/{portal}/{contact}/{what}")


def deed(act: Act, when: datetime) -> tuple[str, dict[str, Any]]:
    """(path, body) of the request that makes it happen. `when`: the time of the activity."""
    contact = str(act.contact)
    if act.kind in ("meeting", "call"):
        return f"/crm/v3/objects/{act.kind}s", _activity(act.kind, contact, when)
    changes: Mapping[Kind, Mapping[str, str]] = {
        "arrives": {"country": "ES"},
        "leaves": {"country": "US"},
        "by_hand": {"ls_stage": "iql"},
    }
    return "/_emulator/edit", {"id": contact, "properties": dict(changes[act.kind]), "userId": "7"}


def _activity(kind: str, contact: str, when: datetime) -> dict[str, Any]:
    number = _MEETING_TO_CONTACT if kind == "meeting" else _CALL_TO_CONTACT
    tie = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": number}
    told = {"hs_meeting_title": "Demo", "hs_meeting_outcome": "COMPLETED"} if kind == "meeting" else {}
    properties = {"hs_timestamp": str(round(when.timestamp() * 1000)), **told}
    return {"properties": properties, "associations": [{"to": {"id": contact}, "types": [tie]}]}


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
