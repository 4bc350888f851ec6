"""A day in which every tenth answer of an org fails, in every way there is, beside the same day undisturbed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import pytest

from connectors.emulators.salesforce.clock import moment_of, stamp_from
from connectors.emulators.salesforce.table import Row
from tests import reporting
from tests.runs.living import disagreeing
from tests.runs.org_day import BEGIN, EVERY, OrgDay, an_org_day

SEED = 20_261_103
DAY_IS_USED_UP = {"code": "TOTAL_REQUESTS", "times": 1, "path": "^/services/data/v"}
LONG_PAUSES = (36, 64)
"""Quarters of an hour in which Salesforce says that no requests are left: it has asked for an hour's patience then."""
PEOPLE = ("Lead", "Contact")
DEEDS = ("Task", "Event", "EmailMessage", "CampaignMember")
STREAMS = (*PEOPLE, *DEEDS)
FIELDS: Mapping[str, Mapping[str, str]] = {
    "Lead": {"country": "Country", "jobtitle": "Title", "numberofemployees": "NumberOfEmployees"},
    "Contact": {"country": "MailingCountry", "jobtitle": "Title"},
}
PAGE, RESULTS, COLLECTION, IDS = 2_000, 50_000, 200, 500
"""Rows of a query's page, and of a page of bulk results; records that may be written at once, and looked at by id; ids
that fit into an address (27 letters each of 16 kB, less the headers), to ask what another object tells of them."""


@dataclass
class Minimum:
    """How many requests a day needs at least, as page sizes have it: counted from the org's own tables. Each run has
    the memory of a process that has just begun."""

    day: OrgDay
    requests: int = 1  # a login
    read_until: str = ""  # before this stamp all was read
    gone: set[str] = field(default_factory=set)  # deleted or purged, and read as such
    purged: set[str] = field(default_factory=set)

    def with_a_run(self) -> Minimum:
        """With one that begins now and comes to its end."""
        longer = replace(self)
        if longer.read_until:
            longer.increment()
        else:
            longer.first_load()
        return longer

    def begins(self) -> None:
        """What each run asks: which org it is, and the fields of eight objects: the streams', and the accounts and
        campaigns that paths lead to."""
        self.requests += 1 + len(STREAMS) + 2

    def first_load(self) -> None:
        """Of each stream: from when on changes count, how many rows there are, a job, the looks at it that the org
        wants, its results, and what was changed meanwhile."""
        self.begins()
        looks = self.day.org.instance.manners.bulk_polls + 1
        for stream in STREAMS:
            rows = len(self._table(stream))
            self.requests += 2 + 1 + looks + math.ceil(rows / RESULTS) + 2
            self.requests += self._stand_elsewhere(stream, self._table(stream).values())
        self.requests += 1  # who the owners are
        self._read()

    def increment(self) -> None:
        """What was changed since the last run, and what hangs on it."""
        self.begins()
        people = 0
        for stream in STREAMS:
            rows = [row for row in self._table(stream).values() if self._is_new(row)]
            self.requests += 2 + max(1, math.ceil(len(rows) / PAGE))  # up to when all is there; what was deleted
            self.requests += self._stand_elsewhere(stream, rows)
            self.requests += self._departures(stream, rows)
            people += sum(not row["IsDeleted"] for row in rows) if stream in PEOPLE else 0
        self.requests += people > 0  # who the owners are
        self.requests += self._authors()
        self._read()

    def _authors(self) -> int:
        """Who set a stage: of each object the last editors, whether a history is kept, and what it says; who we are
        ourselves, and what users are called."""
        objects = len(self.day.people.moved)
        return 3 * objects + 2 if objects else 0

    def sweeps(self, numbers: Mapping[str, int]) -> None:
        for stream, number in numbers.items():
            rows = self._table(stream)
            there = self._stand_elsewhere(stream, rows.values())
            self.requests += number * (math.ceil(len(rows) / PAGE) + there)

    def writes(self) -> None:
        """Of the run that just was. Who moves is read before; values go in collections of one object, and what stands
        then is read. The account of a contact must be known before. Who is ready for sales now goes in collections of
        their own, ahead of the others."""
        told = self.day.told.values()
        for (kind, _), count in Counter((each.object, each.stage == "sql") for each in told).items():
            self.requests += (3 if kind == "Contact" else 2) * math.ceil(count / COLLECTION)
        moved = Counter(each.object for each in told if each.stage is not None)
        self.requests += sum(math.ceil(count / COLLECTION) for count in moved.values())

    def _departures(self, stream: str, rows: Sequence[Row]) -> int:
        """Who was absorbed is followed to what is left of them; deleted people are asked for by id, lest they are
        erased; so is whatever only the log of deletions names."""
        if stream not in PEOPLE:
            return self._purged_now(stream) > 0
        absorbed = any(row.get("MasterRecordId") for row in rows)
        deleted = any(row["IsDeleted"] and not row.get("MasterRecordId") and row["Id"] not in self.gone for row in rows)
        return absorbed + deleted + 2 * (self._purged_now(stream) > 0)  # and once more, before all of them is erased

    def _purged_now(self, stream: str) -> int:
        """How many the log of deletions names now that we believe to be there."""
        prefix = self.day.org.org.state.schema.get(stream).prefix
        return sum(each.startswith(prefix) for each in self._log() - self.purged - self.gone)

    def _log(self) -> set[str]:
        return {each for each, stamp in self.day.org.org.state.purged.items() if stamp < stamp_from(self._minute())}

    def _minute(self) -> datetime:
        return moment_of(self.day.org.org.clock.stamp()).replace(second=0)

    def _stand_elsewhere(self, stream: str, rows: Iterable[Row]) -> int:
        """Who else was at a meeting, and to whom an e-mail went, stands in another object, whose fields must be known;
        for tasks it is asked whether there is such an object."""
        alive = sum(not row["IsDeleted"] for row in rows)
        if stream == "Task":
            return alive > 0
        return 1 + math.ceil(alive / IDS) if alive and stream in ("Event", "EmailMessage") else 0

    def _is_new(self, row: Row) -> bool:
        return str(row["SystemModstamp"]) >= self.read_until

    def _read(self) -> None:
        """Salesforce tells up to when all is there by the minute, and no further than the oldest open transaction."""
        state = self.day.org.org.state
        state.commit_due()
        self.read_until = stamp_from(min(self._minute(), state.covered_until()))
        binned = (row for stream in STREAMS for row in self._table(stream).values() if row["IsDeleted"])
        self.gone = {str(row["Id"]) for row in binned}
        self.purged = self._log()

    def _table(self, stream: str) -> Mapping[str, Row]:
        return self.day.org.org.state.tables[stream].rows


@dataclass
class Lived:
    """What is left of a day."""

    day: OrgDay
    minimum: int
    requests: int  # without those that a fault has struck
    errors: int  # of these, those that were answered with an error
    struck: Counter[str]


@dataclass(frozen=True)
class Size:
    leads: int
    contacts: int
    activities: int
    ticks: int = 110
    pauses: tuple[int, ...] = LONG_PAUSES


def live(day: OrgDay, size: Size, share: float) -> Lived:
    """From the empty org to an evening on which everybody has gone home and all is settled."""
    day.people.fill(size.leads, size.contacts, size.activities)
    day.org.forget()
    minimum = Minimum(day)
    day.disturb(share, SEED)
    for tick in range(size.ticks):
        day.until(BEGIN + tick * EVERY)
        if share and tick in size.pauses:
            day.org.fault(**DAY_IS_USED_UP)
        if 0 < tick < size.ticks - 16:
            day.people.act(tick)
        if tick == size.ticks - 16:
            day.people.end()
        after = minimum.with_a_run()
        if day.sync() is not None:
            minimum = after
        minimum.writes()
    day.disturb(0.0, SEED)
    counted = day.org.calls()
    minimum.sweeps(day.syncer.sweeps_done())
    struck: Counter[str] = Counter(counted["faulted"])
    minimum.requests += struck["expired"]  # each takes another login
    return Lived(day, minimum.requests, counted["total"] - struck.total(), counted["errors"], struck)


def in_org(day: OrgDay) -> Mapping[str, Mapping[str, object]]:
    """What the model looks at, of all who live."""
    found: dict[str, Mapping[str, object]] = {}
    accounts = day.org.org.state.tables["Account"].rows
    for identity, row in day.living().items():
        names = FIELDS[str(row["$type"])]
        fields = {ours: row[theirs] for ours, theirs in names.items()}
        if row["$type"] == "Contact":
            fields["numberofemployees"] = accounts[str(row["AccountId"])]["NumberOfEmployees"]
        found[identity] = {name: value for name, value in fields.items() if value is not None}
    return found


def ties_in_org(day: OrgDay) -> set[tuple[str, str]]:
    """(activity, person) as the org has them, of people who live."""
    state = day.org.org.state
    alive = {kind: [row for row in state.tables[kind].rows.values() if not row["IsDeleted"]] for kind in DEEDS}
    letters = {row["Id"] for row in alive["EmailMessage"]}
    ties = [(f"Event/{row['Id']}", row["WhoId"]) for row in alive["Event"]]
    ties += [(f"Task/{row['Id']}", row["WhoId"]) for row in alive["Task"] if row["IsClosed"]]
    for row in state.tables["EmailMessageRelation"].rows.values():
        if not row["IsDeleted"] and row["EmailMessageId"] in letters:
            ties.append((f"EmailMessage/{row['EmailMessageId']}", row["RelationId"]))
    for row in alive["CampaignMember"]:
        person = row["ContactId"] or row["LeadId"]
        ties.append((f"CampaignMember/{row['Id']}", person))
        if row["HasResponded"]:
            ties.append((f"CampaignMember/{row['Id']}/response", person))
    living = day.living()
    return {(activity, str(person)) for activity, person in ties if person in living}


def assert_true_to_the_org(lived: Lived) -> None:
    day, syncer = lived.day, lived.day.syncer
    assert syncer.mirrored() == in_org(day)
    assert syncer.ties() == ties_in_org(day)
    decided, shown = syncer.decided(), day.shown()
    assert decided.keys() == shown.keys()
    assert disagreeing(decided, shown, syncer.held_by_people()) == []


def assert_written_once(lived: Lived) -> None:
    """Who is locked by a person's open transaction cannot be written to, and may be decided anew before that ends: then
    the change that waited is never sent, and no other is lost."""
    day, reports = lived.day, lived.day.syncer.reports
    assert day.writes_seen == sum(report.counts["written"] for report in reports)
    superseded = day.syncer.changes_decided - day.writes_seen
    assert 0 <= superseded <= sum(report.counts["rejected"] for report in reports) < 0.005 * day.writes_seen


def figures(name: str, size: Size, lived: Lived) -> str:
    syncer = lived.day.syncer
    return (
        f"a day of {size.leads:,} leads and {size.contacts:,} contacts, {name}: {lived.requests:,} requests, "
        f"{lived.requests / lived.minimum:.3f} of the least possible; {lived.struck.total()} more struck in "
        f"{len(lived.struck)} ways; {lived.errors} other errors; runs that failed: {dict(syncer.failures)}; "
        f"written {lived.day.writes_seen:,}; told {len(syncer.told)}"
    )


@dataclass(frozen=True)
class Evening:
    """What two days are compared by."""

    stages: Mapping[str, str]  # scores fade, and are told again only where it matters: they depend on the minute
    told: Sequence[str]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("database", "size"),
    [("sqlite", Size(20_000, 5_000, 60_000)), ("postgresql", Size(2_000, 500, 6_000))],
)
def test_a_day_of_faults_in_an_org_ends_where_an_undisturbed_one_does(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: str, size: Size
) -> None:
    evenings: dict[str, Evening] = {}
    for name, share in (("calm", 0.0), ("wild", 0.1)):
        url = f"sqlite:///{tmp_path / name}.db"
        if database == "postgresql":
            url = request.getfixturevalue("postgresql").new_database()
        with monkeypatch.context() as patch, an_org_day(tmp_path / name, url, patch, seed=SEED) as day:
            lived = live(day, size, share)
            request.node.user_properties.append((reporting.FIGURES, figures(f"{name}, {database}", size, lived)))
            assert_true_to_the_org(lived)
            assert_written_once(lived)
            assert lived.errors <= 0.05 * lived.requests
            assert lived.requests <= 1.1 * lived.minimum
            if share:
                assert lived.struck.total() >= 0.08 * lived.requests
                assert day.syncer.failures["parked"] >= 3 * len(size.pauses)
            else:
                assert day.repeats == 0
            stages = {each: stage for each, (stage, _) in day.syncer.decided().items()}
            evenings[name] = Evening(stages, day.syncer.told)
    calm, wild = evenings["calm"], evenings["wild"]
    assert wild.stages == calm.stages
    assert wild.told == calm.told
    assert len(set(wild.told)) == len(wild.told) > 20
