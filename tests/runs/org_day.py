"""One day in a large org of Salesforce, and a syncer that lives through it; for tests of what holds whatever happens.

Time is the org's frozen clock: pauses advance it, so a day passes in minutes. Everything that people do there is drawn
by lot from a seed and goes round the faults, so two days of the same seed are the same day.
"""

from __future__ import annotations

import itertools
import random
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connectors.emulators.salesforce import Clock, ConnectedApp, Limits
from connectors.emulators.salesforce.table import Row
from syncer.parts import Report
from tests.connectors.salesforce.orgs import SCORE, STAGE, House, Json, house, let_waits_pass
from tests.receivers import HttpReceiver
from tests.runs.house import HANDOFF
from tests.runs.living import Syncer

BEGIN = datetime(2026, 11, 3, 6, tzinfo=UTC)
EVERY = timedelta(minutes=15)
KIM = "kim@acme.test"
ENVIRONMENT = {"SECRET": "the-apps-secret", "HOOK_SECRET": "a-secret-for-the-hook"}
MODEL = """\
name: day
half_life: 30d
fit:
  rules:
    - {name: In a country we sell to, when: {country: [ES, MX]}, points: 40}
engagement:
  max: 60
  rules:
    - {name: Came to a meeting, when: {activity: meeting, in_last: 90d}, points: 30.5, each: true}
    - {name: Was reached by phone, when: {activity: call, outcome: connected}, points: 1, each: true, cap: 4}
    - {name: Wrote to us, when: {activity: email, direction: incoming}, points: 1, each: true, cap: 4}
    - {name: Answered a campaign, when: {activity: campaign_response}, points: 1, each: true, cap: 2}
need:
  rules:
    - {name: Told us the problem, when: {jobtitle: {contains: [director]}}, points: 10}
    - {name: Is large, when: {numberofemployees: {at_least: 1000}}, points: 1}
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
    type: salesforce
    instance_url: {url}
    client_credentials: {{client_id: day, client_secret: "${{SECRET}}"}}
    first_load: bulk
sync: {{every: 15m, sweep: 12h, sweep_activities: 12h, max_stage_changes: 1000000, max_handoffs: 1000000}}
models: model.yml
"""
    + HANDOFF
)


@dataclass
class People:
    """Those in the org: what they have, and what they do. Each does only one kind of thing in a day, so that a stage
    never depends on which moments a syncer has seen."""

    org: House
    chance: random.Random
    kim: str = ""
    groups: dict[str, list[str]] = field(default_factory=dict)
    meetings: dict[str, str] = field(default_factory=dict)  # person -> the meeting that makes them warm
    accounts: dict[str, str] = field(default_factory=dict)  # contact -> account
    bin: list[str] = field(default_factory=list)
    transaction: str | None = None  # one that is open for longer
    moved: set[str] = field(default_factory=set)  # objects of those whose stage was set, as no run knows yet
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1_000_000))

    KINDS = ("meet", "meet", "meet", "cool", "edit", "leave", "merge", "convert", "employees", "stage", "late", "rest")
    WARM = ("cool", "merge", "convert", "late")

    def fill(self, leads: int, contacts: int, activities: int) -> None:
        """The org as it is found in the morning."""
        self.kim = self.org.create("User", Username=KIM, LastName="Kim", Email=KIM, Alias="kim")
        old = self._ago(200)
        made = self.org.load("Lead", [{**self._lead(n), **old} for n in range(leads)])
        self._group(made, "Lead ")
        made += self._contacts(range(leads, leads + contacts))
        self._group(made[leads:], "Contact ")
        warm = [each for name, ids in self.groups.items() if name.split()[1] in self.WARM for each in ids]
        events = self.org.load("Event", [{"WhoId": each, **self._meeting(5), **self._ago(5)} for each in warm])
        self.meetings = dict(zip(warm, events, strict=True))
        rest = activities - len(warm)
        self.org.load("Task", [self._call(self.chance.choice(made)) for _ in range(rest * 5 // 10)])
        self.org.load("Event", [self._old_meeting(self.chance.choice(made)) for _ in range(rest * 2 // 10)])
        self._letters(made, rest * 2 // 10)
        self._members(made, rest // 10)

    def act(self, tick: int) -> None:
        """A quarter of an hour of their work."""
        for kind, share in (("Lead ", 1), ("Contact ", 0)):
            for person in self._pick(f"{kind}meet", 2 + 8 * share, forget=False):
                self.org.create("Event", WhoId=person, **self._meeting(0))
            for person in self._pick(f"{kind}cool", 2 + 3 * share):
                self._change_meeting(person)
            country = "Country" if share else "MailingCountry"
            for person in self._pick(f"{kind}edit", 2 + 6 * share):
                self._edit(person, **{country: "US"})
            self._leave(kind, tick)
            if len(pair := self._pick(f"{kind}merge", 2)) == 2:
                self.org.merged(*pair)
                self.groups[f"{kind}rest"].append(pair[0])
        for person in self._pick("Contact employees", 2):
            self.org.change(self.accounts[person], NumberOfEmployees=5000)  # nothing of the contact tells that
        for person in self._pick("Lead employees", 2):
            self._edit(person, NumberOfEmployees=5000)
        for person in self._pick("Lead stage" if tick % 2 else "Contact stage", 1):
            self._edit(person, **{STAGE: "mql"})
            self.moved.add(self.org.kind_of(person))
        self._convert(tick)
        self._commit_late(tick)
        self.groups["Lead rest"] += self.org.load("Lead", [self._lead(next(self.numbers)) for _ in range(3)])
        if tick % 32 == 9:  # the platform touches thousands in one second, and changes nothing
            self.org.control("touch", object="Lead", ids=self.groups["Lead rest"][:1500])

    def _group(self, ids: Sequence[str], kind: str) -> None:
        for identity, name in zip(ids, itertools.cycle(self.KINDS), strict=False):
            self.groups.setdefault(kind + name, []).append(identity)

    def _leave(self, kind: str, tick: int) -> None:
        for person in self._pick(f"{kind}leave", 1):
            self.org.remove(person)
            self.bin.append(person)
        if tick % 4 == 3 and self.bin:
            self.org.restore(self.bin.pop(0))
        if tick % 8 == 5:
            self.org.purge(*self._pick(f"{kind}leave", 1))

    def _change_meeting(self, person: str) -> None:
        """A meeting was entered by mistake, or was somebody else's; or it is wiped out without a trace in the bin."""
        meeting, way = self.meetings[person], self.chance.randrange(3)
        if way == 0:
            self.org.remove(meeting)
        elif way == 1:
            self.org.purge(meeting)
        else:
            self._edit(meeting, WhoId=self.chance.choice(self.groups["Lead rest"][:200]))

    def _convert(self, tick: int) -> None:
        """Into a new contact, or into one that was there: with a meeting each, that makes them ready for sales."""
        for person in self._pick("Lead convert", 2):
            self.org.convert(person)
        for person in self._pick("Lead convert", 1):
            for contact in self._pick("Contact convert", 1):
                self.org.convert(person, contactId=contact, doNotCreateOpportunity=True)

    def _commit_late(self, tick: int) -> None:
        """A second meeting whose stamp is older than when it can be seen first; and transactions that stay open over
        several runs."""
        for person in self._pick("Lead late" if tick % 2 else "Contact late", 1):
            late: Json = {"commit_after_s": self.chance.randint(60, 2400)}
            self._edit_late("create", "Event", {"WhoId": person, **self._meeting(0)}, **late)
        if self.transaction is not None and tick % 8 == 0:
            self.org.control("end", commit=self.transaction)
            self.transaction = None
        if tick % 8 == 5:
            self.transaction = self.org.control("begin")["transaction"]
        if self.transaction is not None:
            for person in self._pick("Lead late", 1):
                self._edit_late("update", "Lead", {"Country": "US"}, id=person, transaction=self.transaction)

    def end(self) -> None:
        """Nobody keeps anything open over night."""
        if self.transaction is not None:
            self.org.control("end", commit=self.transaction)
            self.transaction = None

    def _edit(self, identity: str, **values: object) -> None:
        kind = self.org.kind_of(identity)
        told = self.org.control("edit", object=kind, id=identity, user_id=self.kim, values=values)
        assert told["success"], told["errors"]

    def _edit_late(self, verb: str, kind: str, values: Json, **more: object) -> None:
        told = self.org.control("edit", verb=verb, object=kind, values=values, user_id=self.kim, **more)
        assert told["success"], told["errors"]

    def _pick(self, group: str, count: int, *, forget: bool = True) -> list[str]:
        there = self.groups[group]
        chosen = self.chance.sample(there[:400], min(count, len(there[:400])))
        if forget:
            self.groups[group] = [each for each in there if each not in chosen]
        return chosen

    # rows

    def _lead(self, number: int) -> Json:
        return {**_person(number), "Country": _country(number), "NumberOfEmployees": 10}

    def _contacts(self, numbers: range) -> list[str]:
        """Each with an account of their own."""
        old = self._ago(200)
        accounts = self.org.load("Account", [{"Name": f"Firm {n}", "NumberOfEmployees": 10, **old} for n in numbers])
        rows = [
            {**_person(number), "MailingCountry": _country(number), "AccountId": account, **old}
            for number, account in zip(numbers, accounts, strict=True)
        ]
        ids = self.org.load("Contact", rows)
        self.accounts = dict(zip(ids, accounts, strict=True))
        return ids

    def _meeting(self, days_ago: int) -> Json:
        return {"Subject": "Demo", "StartDateTime": self._stamp(days_ago), "DurationInMinutes": 30}

    def _old_meeting(self, person: str) -> Json:
        return {"WhoId": person, **self._meeting(self.chance.randint(100, 300)), **self._ago(90)}

    def _call(self, person: str) -> Json:
        day = self._stamp(self.chance.randint(100, 300))
        how = {"Status": "Completed", "TaskSubtype": "Call", "CallDisposition": "Connected"}
        return {"WhoId": person, **how, "ActivityDate": day[:10], "CompletedDateTime": day, **self._ago(90)}

    def _letters(self, people: Sequence[str], count: int) -> None:
        rows = [
            {"Incoming": True, "Status": "1", "Subject": "Hello", "MessageDate": self._stamp(100), **self._ago(90)}
            for _ in range(count)
        ]
        relations = [
            {"EmailMessageId": each, "RelationId": self.chance.choice(people), "RelationType": "FromAddress"}
            for each in self.org.load("EmailMessage", rows)
        ]
        self.org.load("EmailMessageRelation", relations)

    def _members(self, people: Sequence[str], count: int) -> None:
        campaigns = [self.org.create("Campaign", Name=f"Fair {n}") for n in range(5)]
        rows: list[Json] = []
        for person in self.chance.sample(people, count):
            whose = {"LeadId" if person.startswith("00Q") else "ContactId": person}
            status = self.chance.choice(("Sent", "Responded"))
            rows.append({"CampaignId": self.chance.choice(campaigns), "Status": status, **whose, **self._ago(90)})
        self.org.load("CampaignMember", rows)

    def _ago(self, days: int) -> Json:
        stamp = self._stamp(days)
        return {"CreatedDate": stamp, "SystemModstamp": stamp}

    def _stamp(self, days_ago: int) -> str:
        return f"{self.org.org.clock.now() - timedelta(days=days_ago):%Y-%m-%dT%H:%M:%S.000+0000}"


def _person(number: int) -> Json:
    title = "Director of operations" if number % 2 else "Analyst"
    return {"FirstName": "Jo", "LastName": f"Doe {number}", "Email": f"p{number}@acme.example", "Title": title}


def _country(number: int) -> str:
    return ("ES", "MX", "PT")[number % 3]


@dataclass(frozen=True, slots=True)
class Told:
    """What a run told of one record: its object, and the stage if that moved."""

    object: str
    stage: str | None


@dataclass
class OrgDay:
    """The org, its people, and the syncer."""

    people: People
    syncer: Syncer
    told: Mapping[str, Told] = field(default_factory=dict)  # of the last run, by record
    writes_seen: int = 0  # how often the org saw a run write to somebody
    repeats: int = 0  # how often it told somebody once more in one run

    @property
    def org(self) -> House:
        return self.people.org

    def now(self) -> datetime:
        return self.org.org.clock.now()

    def sync(self) -> Report | None:
        """One run. Whom it wrote to more than once, after a lost answer or a lock, it has told the same."""
        calls = self.org.instance.calls
        calls.writes = deque()  # without the limit of what an emulator keeps: the first run writes to everybody
        try:
            report = self.syncer.sync()
            if report is not None:
                self.people.moved.clear()
            return report
        finally:
            writes = [each for each in calls.writes if each["success"]]
            self.told = {str(each["id"]): Told(str(each["object"]), each["values"].get(STAGE)) for each in writes}
            self.writes_seen += len(self.told)
            self.repeats += len(writes) - len(self.told)
            self.org.let_pass(1)

    def shown(self) -> Mapping[str, tuple[object, object]]:
        """What people see of the results, of everybody who lives."""
        return {each: (row[SCORE], row[STAGE]) for each, row in self.living().items()}

    def living(self) -> Mapping[str, Row]:
        """Every lead and contact that is neither deleted nor converted, with all its fields."""
        tables = self.org.org.state.tables
        rows = itertools.chain(tables["Lead"].rows.items(), tables["Contact"].rows.items())
        return {each: row for each, row in rows if not (row["IsDeleted"] or row.get("IsConverted"))}

    def until(self, at: datetime) -> None:
        self.org.let_pass(max(0.0, (at - self.now()).total_seconds()))

    def disturb(self, share: float, seed: int) -> None:
        """From now on this share of syncer's requests fails, in every way there is."""
        self.org.control("chaos", share=share, seed=seed, hang_s=0.05)


@contextmanager
def an_org_day(folder: Path, database_url: str, patch: pytest.MonkeyPatch, *, seed: int) -> Iterator[OrgDay]:
    """An empty org in the morning, under its real limits; nobody waits in vain."""
    app = ConnectedApp("day", ENVIRONMENT["SECRET"], run_as="admin@emulated.example")
    clock = Clock(BEGIN, frozen=True)
    folder.mkdir(exist_ok=True)
    with house(limits=Limits(), apps=[app], clock=clock) as org, HttpReceiver() as hook:
        let_waits_pass(patch, org)
        (folder / "syncer.yml").write_text(PROJECT.format(url=org.url, hook=hook.url))
        (folder / "model.yml").write_text(MODEL)
        syncer = Syncer(folder, database_url, ENVIRONMENT, clock.now, hook)
        yield OrgDay(People(org, random.Random(seed)), syncer)
