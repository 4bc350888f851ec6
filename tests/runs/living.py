"""A syncer that lives through a CRM's day by the CRM's clock, and what it has made of it by the evening."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import orjson
from sqlalchemy import select

from syncer.app import App, opened
from syncer.errors import TemporaryError
from syncer.parts import Report
from syncer.run import sync
from syncer.settings import process_settings
from syncer.store import runs
from syncer.store.tables import activities, activity_links, cursors, leads, records
from tests.receivers import HttpReceiver


@dataclass
class Syncer:
    """One project with the connection `crm`, of which each run has a process's memory of its own."""

    folder: Path
    database_url: str
    environment: Mapping[str, str]
    now: Callable[[], datetime]
    hook: HttpReceiver
    failures: Counter[str] = field(default_factory=Counter)
    reports: list[Report] = field(default_factory=list)

    @contextmanager
    def app(self) -> Iterator[App]:
        process = process_settings(self.folder, config=self.folder / "syncer.yml", database_url=self.database_url)
        with opened(process, self.environment) as app:
            yield replace(app, clock=self.now)

    def sync(self) -> Report | None:
        """One run, as the daemon would do it: not while the CRM has asked for patience. None where it failed."""
        with self.app() as app:
            with app.store.reading() as tx:
                parked = runs.parked(tx, "crm", self.now())
            if parked is not None:
                self.failures["parked"] += 1
                return None
            try:
                report = sync(app.parts("crm"))
            except TemporaryError as failure:
                self.failures[failure.code] += 1
                return None
        self.failures.update(each.code for each in report.failures.values())
        self.reports.append(report)
        return report

    def setup(self) -> None:
        with self.app() as app:
            destination = app.parts("crm").destination
            assert destination is not None
            for change in destination.setup():
                destination.create(change)

    # what there is in the evening

    @property
    def changes_decided(self) -> int:
        """Leads whose score or stage was to change in the CRM, run by run."""
        return sum(report.counts["changes"] for report in self.reports)

    @property
    def told(self) -> list[str]:
        """The e-mail addresses that sales was told of, each as often as it was."""
        return sorted(orjson.loads(each.body)["lead"]["email"] for each in self.hook.distinct)

    def sweeps_done(self) -> Mapping[str, int]:
        with self.app() as app, app.store.reading() as tx:
            return {row.stream: row.sweep for row in tx.execute(select(cursors.c.stream, cursors.c.sweep))}

    def decided(self) -> Mapping[str, tuple[str, int]]:
        """Record -> (stage, score in hundredths), of those that live."""
        joined = select(records.c.id, leads.c.stage, leads.c.total).join(leads, leads.c.id == records.c.lead_id)
        with self.app() as app, app.store.reading() as tx:
            return {row.id: (row.stage, row.total) for row in tx.execute(joined.where(*_ALIVE))}

    def mirrored(self) -> Mapping[str, Mapping[str, object]]:
        """What the mirror has of those who live, by the fields that the model looks at."""
        asked = select(records.c.id, records.c.fields).where(*_ALIVE)
        with self.app() as app, app.store.reading() as tx:
            return {row.id: row.fields for row in tx.execute(asked)}

    def held_by_people(self) -> set[str]:
        joined = select(records.c.id).join(leads, leads.c.id == records.c.lead_id)
        with self.app() as app, app.store.reading() as tx:
            return {row.id for row in tx.execute(joined.where(leads.c.held_by != "rules"))}

    def ties(self) -> set[tuple[str, str]]:
        """(activity, record) for all that count: those of people who live."""
        with self.app() as app, app.store.reading() as tx:
            living = {row.id for row in tx.execute(select(records.c.id).where(*_ALIVE))}
            heirs = {row.id: row.merged_into for row in tx.execute(select(records.c.id, records.c.merged_into))}
            kept = {row.id for row in tx.execute(select(activities.c.id))}
            found = tx.execute(select(activity_links.c.activity_id, activity_links.c.record_id))
            ties = [(each, _heir(person, heirs)) for each, person in found]
        return {(each, person) for each, person in ties if each in kept and person in living}


_ALIVE = (records.c.deleted.is_(False), records.c.merged_into.is_(None))


def _heir(person: str, heirs: Mapping[str, str | None]) -> str:
    while (following := heirs.get(person)) is not None:
        person = following
    return person


def disagreeing(
    decided: Mapping[str, tuple[str, int]], shown: Mapping[str, tuple[object, object]], held: set[str]
) -> Sequence[tuple[str, object, object]]:
    """Who is decided otherwise than the CRM shows (score, stage), where no person has a word in it. A score that moved
    by less than a point is not written again."""
    return [
        (each, decided[each], shown[each])
        for each in decided
        if each not in held and not _agree(decided[each], shown[each])
    ]


def _agree(decided: tuple[str, int], shown: tuple[object, object]) -> bool:
    points, stage = shown
    return stage == decided[0] and points is not None and abs(float(str(points)) * 100 - decided[1]) < 100
