"""A day in which every tenth answer of the portal fails, in every way there is, beside the same day undisturbed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests import reporting
from tests.runs.day import BEGIN, EVERY, OURS, Day, a_day
from tests.runs.living import disagreeing

SEED = 20_261_103
LONG_PAUSES: Mapping[int, Mapping[str, Any]] = {
    36: {"status": 477, "headers": {"Retry-After": "2400"}},
    52: {"policy": "DAILY", "headers": {"Retry-After": "3600"}},
    64: {"policy": "DAILY"},  # an hour before the portal's midnight
}
"""Quarters of an hour in which the portal asks for more patience than a run has."""
ENGAGEMENTS = ("calls", "emails", "meetings")
STREAMS = ("contacts", *ENGAGEMENTS)
LAG_MS, OVERLAP_MS, SECOND_LOOK_MS = 60_000, 300_000, 3_600_000


@dataclass
class Minimum:
    """How many requests a day needs at least, as page sizes have it: counted from the portal's own shelves."""

    day: Day
    requests: int = 0
    until_ms: int = 0
    second_ms: int = 0

    def first_load(self) -> None:
        self.until_ms = self.day.portal.clock.now_ms() - LAG_MS
        self.second_ms = self.until_ms
        self.requests += 2  # who the portal is, and its lifecycle stages
        self.requests += sum(self._pages(len(self._shelf(each))) for each in STREAMS)

    def increment(self) -> None:
        """Of a run that begins now."""
        until_ms = self.day.portal.clock.now_ms() - LAG_MS
        self.requests += 1
        for stream in STREAMS:
            shown, new = self._modified(stream, self.until_ms - OVERLAP_MS, until_ms), 0
            new = self._modified(stream, self.until_ms, until_ms)
            self.requests += max(1, math.ceil(shown / 200)) + self._pages(new)
            self.requests += math.ceil(new / 1000) if stream != "contacts" else 0
        self.until_ms = until_ms
        later_ms = until_ms - SECOND_LOOK_MS
        if later_ms - self.second_ms >= SECOND_LOOK_MS:
            looked = (self._modified(each, self.second_ms, later_ms) for each in STREAMS)
            self.requests += sum(max(1, math.ceil(each / 200)) for each in looked)
            self.second_ms = later_ms

    def sweeps(self, numbers: Mapping[str, int]) -> None:
        self.requests += sum(number * self._pages(len(self._shelf(each))) for each, number in numbers.items())

    def writes(self) -> None:
        """Scores and lifecycle stages go in requests of their own. Before, the properties are looked at, and who moves
        is read; and who edited a stage is asked for, with the owners' names, twice a page of those."""
        for report in self.day.syncer.reports:
            moved, written = report.counts["stage_changes"], report.counts["written"]
            self.requests += self._pages(written) + 2 * self._pages(moved) + (written > 0)
        self.requests += 3 * self.day.people.edits

    def _modified(self, stream: str, after_ms: int, until_ms: int) -> int:
        return sum(after_ms < each.modified_ms <= until_ms for each in self._shelf(stream).values())

    def _shelf(self, stream: str) -> Mapping[int, Any]:
        return self.day.portal.shelves[stream].live

    def _pages(self, rows: int) -> int:
        return math.ceil(rows / 100)


@dataclass
class Lived:
    """What is left of a day."""

    day: Day
    minimum: int
    requests: int  # without those that a fault has struck
    errors: int  # of these, those that were answered with an error
    struck: Counter[str] = field(default_factory=Counter)


def live(day: Day, *, contacts: int, engagements: int, ticks: int, share: float) -> Lived:
    """From the empty portal to an evening on which everybody has gone home and all is settled."""
    day.people.fill(contacts, engagements)
    day.syncer.setup()
    minimum = Minimum(day)
    minimum.first_load()
    day.disturb(share, SEED)
    for tick in range(ticks):
        day.until(BEGIN + tick * EVERY)
        if share and tick in LONG_PAUSES:
            day.refuse(**LONG_PAUSES[tick])
        if tick and tick < ticks - 16:
            day.people.act(tick)
        if tick and day.syncer.reports:
            minimum.increment()
        day.sync()
    day.disturb(0.0, SEED)
    counted = day.calls()
    minimum.sweeps(day.syncer.sweeps_done())
    minimum.writes()
    struck = Counter(counted["faulted"])
    requests = counted["total"] - day.people.asked - struck.total()
    return Lived(day, minimum.requests, requests, counted["errors"], struck)


def in_portal(day: Day) -> Mapping[str, Mapping[str, str]]:
    names = ("country", "jobtitle", "num_conversion_events")
    shelf = day.portal.shelves["contacts"].live
    return {str(n): {name: each.values[name] for name in names if each.values.get(name)} for n, each in shelf.items()}


def ties_in_portal(day: Day) -> set[tuple[str, str]]:
    living = day.portal.shelves["contacts"].live
    return {
        (f"{kind}/{number}", str(person))
        for kind in ENGAGEMENTS
        for number in day.portal.shelves[kind].live
        for person in day.portal.links.of((kind, number), "contacts")
        if person in living
    }


def shown(day: Day) -> Mapping[str, tuple[object, object]]:
    """What people see of the results in the portal."""
    score, stage = OURS
    live = day.portal.shelves["contacts"].live.items()
    return {str(number): (each.values.get(score), each.values.get(stage)) for number, each in live}


def assert_true_to_the_portal(lived: Lived) -> None:
    day, syncer = lived.day, lived.day.syncer
    assert syncer.mirrored() == in_portal(day)
    assert syncer.ties() == ties_in_portal(day)
    decided, visible = syncer.decided(), shown(day)
    assert decided.keys() == visible.keys()
    assert disagreeing(decided, visible, syncer.held_by_people()) == []


def figures(name: str, lived: Lived) -> str:
    ratio = lived.requests / lived.minimum
    return (
        f"a day of 20,000 contacts, {name}: {lived.requests:,} requests, {ratio:.3f} of the least possible; "
        f"{lived.struck.total()} more struck in {len(lived.struck)} ways; {lived.errors} other errors; "
        f"runs that failed: {dict(lived.day.syncer.failures)}; told {len(lived.day.syncer.told)}"
    )


@dataclass(frozen=True)
class Evening:
    """What two days are compared by."""

    stages: Mapping[str, str]  # scores fade, and are told again only where it matters: they depend on the minute
    told: Sequence[str]
    writes: tuple[int, int]  # as the portal saw them, as the runs decided them


@pytest.mark.slow
def test_a_day_of_faults_ends_where_an_undisturbed_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    lives: dict[str, Lived] = {}
    evenings: dict[str, Evening] = {}
    for name, share in (("calm", 0.0), ("wild", 0.1)):
        url = f"sqlite:///{tmp_path / name}.db"
        with monkeypatch.context() as patch, a_day(tmp_path / name, url, patch, seed=SEED) as day:
            lives[name] = lived = live(day, contacts=20_000, engagements=100_000, ticks=110, share=share)
            record_property(reporting.FIGURES, figures(name, lived))
            assert_true_to_the_portal(lived)
            evenings[name] = Evening(
                {each: stage for each, (stage, _) in day.syncer.decided().items()},
                day.syncer.told,
                (day.writes_seen, day.syncer.changes_decided),
            )
    calm, wild = evenings["calm"], evenings["wild"]
    assert wild.stages == calm.stages
    assert wild.told == calm.told
    assert len(set(wild.told)) == len(wild.told) > 50
    for evening in (calm, wild):
        assert evening.writes[0] == evening.writes[1]
    assert lives["wild"].day.syncer.failures["parked"] >= 6
    for lived in lives.values():
        assert lived.errors <= 0.05 * lived.requests
        assert lived.requests <= 1.1 * lived.minimum
    assert lives["wild"].struck.total() >= 0.08 * lives["wild"].requests
