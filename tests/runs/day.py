"""One day in a large portal, and a syncer that lives through it; for tests of what holds whatever happens.

Time is the portal's frozen clock: pauses advance it, so a day passes in minutes. Everything that people do there is
drawn by lot from a seed and goes round the faults, so two days of the same seed are the same day.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
import urllib3

from connectors.emulators.hubspot import Clock, Limits, Manners, Portal, Token, serve
from syncer import retry
from syncer.parts import Report
from tests.receivers import HttpReceiver
from tests.runs.house import HANDOFF
from tests.runs.living import Syncer

BEGIN = datetime(2026, 11, 3, 6, tzinfo=UTC)
EVERY = timedelta(minutes=15)
DAY_MS = 86_400_000
OURS = ("ls_score", "ls_stage")
SPARED = "spared=1"
"""Requests with this in their address meet no faults: people in the portal, not syncer."""

ENVIRONMENT = {"HUBSPOT_TOKEN": "syncers-token", "HOOK_SECRET": "a-secret-for-the-hook"}
MODEL = """\
name: day
half_life: 30d
fit:
  rules:
    - {name: In a country we sell to, when: {country: [ES, MX]}, points: 40}
engagement:
  max: 60
  rules:
    - {name: Came to a meeting, when: {activity: meeting, outcome: completed, in_last: 90d}, points: 30.5, each: true}
    - {name: Was reached by phone, when: {activity: call, outcome: connected}, points: 1, each: true, cap: 4}
    - {name: Wrote to us, when: {activity: email_received}, points: 1, each: true, cap: 5}
need:
  rules:
    - {name: Told us the problem, when: {jobtitle: {contains: [director]}}, points: 10}
    - {name: Filled in a form, when: {num_conversion_events: {at_least: 1}}, points: 1}
stages:
  - {name: cold}
  - {name: iql, enter: [fit >= 40]}
  - {name: mql, enter: [engagement >= 20, need > 0], leave_below: [engagement >= 12]}
  - {name: sql, enter: [engagement >= 50]}
"""
PROJECT = (
    """\
version: 1
connections:
  crm:
    type: hubspot
    token: ${{HUBSPOT_TOKEN}}
    base_url: {url}
    api_version: {version}
    write:
      lifecyclestage: {{mql: marketingqualifiedlead, sql: salesqualifiedlead}}
sync: {{every: 15m, sweep: 12h, sweep_activities: 12h, max_stage_changes: 1000000, max_handoffs: 1000000}}
models: model.yml
"""
    + HANDOFF
)


@dataclass
class People:
    """Those in the portal: what they have, and what they do. Each does only one kind of thing in a day, so that a
    stage never depends on which moments a syncer has seen."""

    portal: Portal
    url: str
    chance: random.Random
    pool: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(retries=False, timeout=60))
    groups: dict[str, list[str]] = field(default_factory=dict)
    meetings: dict[str, str] = field(default_factory=dict)  # contact -> the meeting that makes them warm
    bin: list[str] = field(default_factory=list)
    erased: list[str] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    edits: int = 0  # quarters of an hour in which somebody set a stage by hand
    asked: int = 0  # requests of theirs that the emulator counts

    KINDS = ("meet", "meet", "meet", "cool", "edit", "leave", "merge", "count", "stage", "rest")

    def fill(self, contacts: int, activities: int) -> None:
        """The portal as it is found in the morning."""
        ids = self._load("contacts", [self._person(n) for n in range(contacts)], self._ago(200))
        for identity, kind in zip(ids, itertools.cycle(self.KINDS), strict=False):
            self.groups.setdefault(kind, []).append(identity)
        warm = self.groups["cool"] + self.groups["merge"]
        self.meetings = dict(
            zip(warm, self._load("meetings", [self._meeting(5)] * len(warm), self._ago(5)), strict=True)
        )
        self._tie("meetings", 200, [(made, person) for person, made in self.meetings.items()])
        rest = activities - len(warm)
        for kind, type_id, share, row in (
            ("emails", 198, 0.6, {"hs_email_direction": "INCOMING_EMAIL"}),
            ("calls", 194, 0.3, {"hs_call_disposition": "f240bbac-87c9-4f6e-bf70-924b57d47db7"}),
            ("meetings", 200, 0.1, {"hs_meeting_outcome": "COMPLETED"}),
        ):
            rows = [{**row, "hs_timestamp": self._ago(self.chance.randint(100, 300))} for _ in range(int(rest * share))]
            made = self._load(kind, rows, self._ago(90))
            self._tie(kind, type_id, [(each, self.chance.choice(ids)) for each in made])

    def act(self, tick: int) -> None:
        """A quarter of an hour of their work."""
        pick = self._picker()
        for person in pick("meet", 12):
            self._meet(person)
        for person in pick("cool", 6, forget=True):
            self._change_meeting(person)
        for person in pick("edit", 10, forget=True):
            self._control("edit", objectType="contacts", id=person, properties={"country": "US", "city": "Boston"})
        for person in pick("count", 5, forget=True):
            self._control("calculate", objectType="contacts", id=person, properties={"num_conversion_events": "1"})
        self.edits += 1
        for person in pick("stage", 1, forget=True):
            self._control("edit", objectType="contacts", id=person, properties={"ls_stage": "mql"}, userId="7")
        self._leave(pick, tick)
        one, other = pick("merge", 2, forget=True)
        merged = {"primaryObjectId": one, "objectIdToMerge": other}
        self.groups["rest"].append(self._api("POST", "/crm/v3/objects/contacts/merge", merged)["id"])
        new = self._load("contacts", [self._person(next(self.numbers) + 1_000_000) for _ in range(3)])
        self.groups["rest"] += new
        if tick % 32 == 9:  # somebody imports a file: thousands of changes in one millisecond
            for person in self.groups["rest"][:1500]:
                self._control("edit", objectType="contacts", id=person, properties={"city": f"Town {tick}"})

    def _leave(self, pick: Callable[..., list[str]], tick: int) -> None:
        for person in pick("leave", 2, forget=True):
            self._api("DELETE", f"/crm/v3/objects/contacts/{person}")
            self.bin.append(person)
        if tick % 4 == 3 and self.bin:
            back = self.bin.pop(0)
            self._control("restore", objectType="contacts", id=back)
        if tick % 8 == 5:
            (person,) = pick("leave", 1, forget=True)
            self._api("POST", "/crm/v3/objects/contacts/gdpr-delete", {"objectId": person})
            self.erased.append(person)

    def _meet(self, person: str) -> None:
        """Two meetings make a lead ready: the second comes hours after the first."""
        (made,) = self._load("meetings", [self._meeting(0)])
        self._tie("meetings", 200, [(made, person)])

    def _change_meeting(self, person: str) -> None:
        """A meeting did not take place, was entered by mistake, or was somebody else's."""
        meeting, way = self.meetings[person], self.chance.randrange(3)
        if way == 0:
            self._control("edit", objectType="meetings", id=meeting, properties={"hs_meeting_outcome": "NO_SHOW"})
        elif way == 1:
            self._api("DELETE", f"/crm/v3/objects/meetings/{meeting}")
        else:
            other = self.groups["rest"][self.chance.randrange(500)]
            path = f"/crm/v4/objects/meetings/{meeting}/associations/contacts"
            self._api("DELETE", f"{path}/{person}")
            types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 200}]
            self._api("PUT", f"{path}/{other}", types)

    def _picker(self) -> Callable[..., list[str]]:
        def pick(group: str, count: int, *, forget: bool = False) -> list[str]:
            there = self.groups[group]
            chosen = self.chance.sample(there[:400], count)
            if forget:
                self.groups[group] = [each for each in there if each not in chosen]
            return chosen

        return pick

    def _person(self, number: int) -> Mapping[str, str]:
        country = ("ES", "MX", "PT")[number % 3]
        title = "Director of operations" if number % 2 else "Analyst"
        return {"email": f"p{number}@acme.example", "country": country, "jobtitle": title, "lifecyclestage": "lead"}

    def _meeting(self, days_ago: int) -> Mapping[str, str]:
        return {"hs_timestamp": self._ago(days_ago), "hs_meeting_outcome": "COMPLETED"}

    def _ago(self, days: int) -> str:
        return str(self.portal.clock.now_ms() - days * DAY_MS)

    def _load(self, kind: str, rows: Sequence[Mapping[str, str]], at: str | None = None) -> list[str]:
        stamps = {"createdAt": int(at), "updatedAt": int(at)} if at else {}
        objects = {kind: [{"properties": row, **stamps} for row in rows]}
        found: list[str] = self._control("load", objects=objects)["ids"][kind]
        return found

    def _tie(self, kind: str, type_id: int, pairs: Sequence[tuple[str, str]]) -> None:
        ties = {"from": kind, "to": "contacts", "typeId": type_id, "pairs": pairs}
        self._control("load", associations=[ties])

    def _control(self, action: str, **body: Any) -> dict[str, Any]:
        return self._api("POST", f"/_emulator/{action}", body)

    def _api(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        headers = {"Authorization": "Bearer peoples-token", "Content-Type": "application/json"}
        sent = None if body is None else orjson.dumps(body)
        answer = self.pool.request(method, f"{self.url}{path}?{SPARED}", body=sent, headers=headers)
        assert answer.status < 300, (method, path, answer.data)
        self.portal.clock.advance(0.05)
        self.asked += not path.startswith("/_emulator/")
        told: dict[str, Any] = orjson.loads(answer.data) if answer.data else {}
        return told


@dataclass
class Day:
    """The portal, its people, and the syncer."""

    people: People
    syncer: Syncer
    writes_seen: int = 0  # how often the portal saw syncer change a contact

    @property
    def portal(self) -> Portal:
        return self.people.portal

    def sync(self) -> Report | None:
        """One run."""
        began_ms = self.portal.clock.now_ms()
        try:
            return self.syncer.sync()
        finally:
            self.writes_seen += self._writes_since(began_ms)
            self.portal.clock.advance(1)

    def _writes_since(self, began_ms: int) -> int:
        """Contacts and moments at which something of ours changed: one request changes score and stage at once."""
        moments = {
            (number, version.at_ms)
            for number, each in self.portal.shelves["contacts"].live.items()
            if each.modified_ms >= began_ms
            for name in OURS
            for version in each.versions(name)
            if version.at_ms >= began_ms
        }
        return len(moments)

    def until(self, at: datetime) -> None:
        self.portal.clock.advance(max(0.0, (at - self.syncer.now()).total_seconds()))

    def calls(self) -> dict[str, Any]:
        """What the emulator has counted."""
        answer = self.people.pool.request("GET", f"{self.people.url}/_emulator/calls?{SPARED}")
        told: dict[str, Any] = orjson.loads(answer.data)
        return told

    def disturb(self, share: float, seed: int) -> None:
        """From now on this share of syncer's requests fails, in every way there is."""
        self.people._control("chaos", share=share, seed=seed, path=f"^(?!.*{SPARED})", hang_s=0.05)

    def refuse(self, **fault: Any) -> None:
        """The next request of syncer's is refused so."""
        self.people._control("faults", faults=[{"path": f"^(?!.*{SPARED})", "times": 1, **fault}])


@contextmanager
def a_day(
    folder: Path, database_url: str, patch: pytest.MonkeyPatch, *, seed: int, version: str = "2026-03"
) -> Iterator[Day]:
    """An empty portal in the morning, under its real limits, with a search that lags; nobody waits in vain."""
    portal = Portal(
        tokens=[Token(ENVIRONMENT["HUBSPOT_TOKEN"]), Token("peoples-token")],
        limits=Limits(),
        manners=Manners(index_lag_s=20, time_zone="Europe/Madrid"),
        clock=Clock(BEGIN, frozen=True),
    )

    def wait(seconds: float, stop: Any) -> None:
        portal.clock.advance(max(0.0, seconds))

    def now() -> datetime:
        return datetime.fromtimestamp(portal.clock.now_ms() / 1000, UTC)

    patch.setattr(retry, "wait", wait)
    patch.setattr(retry, "monotonic", lambda: portal.clock.now_ms() / 1000)
    folder.mkdir(exist_ok=True)
    with serve(portal) as url, HttpReceiver() as hook:
        (folder / "syncer.yml").write_text(PROJECT.format(url=url, hook=hook.url, version=version))
        (folder / "model.yml").write_text(MODEL)
        people = People(portal, url, random.Random(seed))
        try:
            yield Day(people, Syncer(folder, database_url, ENVIRONMENT, now, hook))
        finally:
            people.pool.clear()
