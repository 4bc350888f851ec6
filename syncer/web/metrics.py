"""What Prometheus reads at `/metrics`: how every connection stands, the fleet, and this process.

Figures of connections come from the database, so every process of a fleet tells the same ones: take `max by
(connection)` of them, never a sum. What is read from tables goes up and down, so all are gauges. Labels name
connections and states, never a person.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import get_args
from zoneinfo import ZoneInfo

import structlog
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from syncer import __version__
from syncer.app import App
from syncer.errors import SyncerError
from syncer.model import NoticeState
from syncer.settings import Project
from syncer.store import vitals

log = structlog.get_logger(__name__)

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
FRESH_S = 5.0  # how long what was read is told again: several may scrape
REST = 10  # and so many times as long as reading took: a first load of a million may make that seconds
DAY = timedelta(days=1)
WEEK = timedelta(days=7)
_WRITE_BACKS = ("waiting", "put_off", "given_up")

Sample = tuple[str, tuple[str, ...], float]
"""A metric's name, the values of its labels, and its own."""


@dataclass(frozen=True, slots=True)
class Meaning:
    help: str
    labels: tuple[str, ...] = ("connection",)


METRICS: Mapping[str, Meaning] = MappingProxyType(
    {
        "syncer_build_info": Meaning("1; the label is the version that runs", ("version",)),
        "syncer_database_up": Meaning("1: the database answers; 0: it does not, and what stands in it is absent", ()),
        "syncer_run_interval_seconds": Meaning("How often each connection shall run: `sync.every`", ()),
        "syncer_last_run_timestamp_seconds": Meaning("When the last full run ended"),
        "syncer_last_good_run_timestamp_seconds": Meaning("When the last full run ended that got what it asked for"),
        "syncer_last_run_duration_seconds": Meaning("How long the last full run took"),
        "syncer_last_run_outcome": Meaning("1; the label is how the last full run ended", ("connection", "outcome")),
        "syncer_next_run_timestamp_seconds": Meaning("When the next full run is due, or the CRM may be asked again"),
        "syncer_run_lag_seconds": Meaning("How long a run has been due with nobody at work on it; 0: it is not"),
        "syncer_at_work": Meaning("1: a process holds the connection's lease"),
        "syncer_consecutive_failures": Meaning("Full runs in a row that got nothing from the CRM"),
        "syncer_left_alone_until_timestamp_seconds": Meaning("The CRM is asked nothing until then; 0: it is asked"),
        "syncer_runs_last_day": Meaning("Runs that began within 24 hours", ("connection", "kind", "outcome")),
        "syncer_crm_calls_today": Meaning("Requests sent to the CRM by the runs that began since midnight"),
        "syncer_unread_hints": Meaning("Records that the CRM has spoken of and that were not read again yet"),
        "syncer_unreadable_records": Meaning("What the CRM has sent and could not be read"),
        "syncer_leads": Meaning("Leads in each stage, without those never scored", ("connection", "stage")),
        "syncer_write_backs": Meaning("Records of which the CRM has yet to be told", ("connection", "state")),
        "syncer_notices": Meaning("Messages to sales", ("connection", "state")),
        "syncer_open_handoffs": Meaning("Hand-offs on which sales still has to act"),
        "syncer_late_handoffs": Meaning("Of these, those whose time is over"),
        "syncer_handoff_delay_seconds": Meaning(
            "How long hand-offs of the last 7 days took to be told (system), and then to be acted on (human): half of "
            "them (median) and nine in ten (p90) no longer than this",
            ("connection", "by", "rank"),
        ),
        "syncer_workers": Meaning("Workers of the fleet that are alive", ()),
        "syncer_worker_places": Meaning("How many connections they can work on at once", ()),
        "syncer_worker_places_busy": Meaning("How many of these places are taken", ()),
    }
)  # fmt: skip


class Metrics(Collector):
    """Asked from any thread. `now` is the app as it is after the latest reload."""

    def __init__(self, now: Callable[[], App]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._fresh_until, self._read = -math.inf, list[Sample]()  # by the monotonic clock
        self._registry = CollectorRegistry()  # our own: what a library adds to the global one is not ours to tell
        self._registry.register(self)
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._registry)

    def text(self) -> bytes | None:
        """All there is to tell, in Prometheus' text format; None: we have a bug, which is logged."""
        try:
            return generate_latest(self._registry)
        except Exception:
            log.exception("metrics_crashed")
            return None

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Names alone, so that registering reads no database."""
        return _families([])

    def collect(self) -> Iterable[GaugeMetricFamily]:
        return _families(self._samples())

    def _samples(self) -> Sequence[Sample]:
        """Who comes while somebody reads waits for what that one finds, and finds it even after it has given up."""
        with self._lock:
            begun = time.monotonic()
            if begun >= self._fresh_until:
                self._read = list(_samples(self._now()))
                ended = time.monotonic()
                self._fresh_until = ended + max(FRESH_S, REST * (ended - begun))
            return self._read


def _families(samples: Iterable[Sample]) -> list[GaugeMetricFamily]:
    families = {name: GaugeMetricFamily(name, each.help, labels=each.labels) for name, each in METRICS.items()}
    for name, labels, value in samples:
        families[name].add_metric(labels, value)
    return list(families.values())


def _samples(app: App) -> Iterator[Sample]:
    yield "syncer_build_info", (__version__,), 1
    yield "syncer_run_interval_seconds", (), app.project.sync.every.total_seconds()
    try:
        with app.store.reading() as tx:
            stored = list(_stored(_Here(tx, app.project, app.clock())))
    except (SyncerError, SQLAlchemyError):
        stored = [("syncer_database_up", (), 0)]  # the runs tell of the outage
    yield from stored


@dataclass(frozen=True, slots=True)
class _Here:
    """One state of the database, of the connections that the project has."""

    tx: Connection
    project: Project
    now: datetime

    @property
    def names(self) -> Sequence[str]:
        return [each.name for each in self.project.connections]

    @property
    def midnight(self) -> datetime:
        here = self.now.astimezone(ZoneInfo(self.project.timezone))
        return here.replace(hour=0, minute=0, second=0, microsecond=0)


def _stored(here: _Here) -> Iterator[Sample]:
    yield "syncer_database_up", (), 1
    for pulse in vitals.pulses(here.tx, here.names, here.now):
        yield from _of_runs(pulse, here.now)
    for read in (_of_counts, _of_states, _of_handoffs, _of_fleet):
        yield from read(here)


def _of_runs(pulse: vitals.Pulse, now: datetime) -> Iterator[Sample]:
    """`status` and the daemon alike: a connection that is left alone is not late."""
    its = (pulse.connection,)
    due = max(filter(None, (pulse.due_at or now, pulse.rests_until)))
    lag_s = 0.0 if pulse.at_work else max((now - due).total_seconds(), 0.0)
    yield "syncer_next_run_timestamp_seconds", its, due.timestamp()
    yield "syncer_run_lag_seconds", its, lag_s
    yield "syncer_at_work", its, pulse.at_work
    yield "syncer_consecutive_failures", its, pulse.failures
    rests_until = pulse.rests_until.timestamp() if pulse.rests_until else 0
    yield "syncer_left_alone_until_timestamp_seconds", its, rests_until
    if pulse.good_at is not None:
        yield "syncer_last_good_run_timestamp_seconds", its, pulse.good_at.timestamp()
    if pulse.began_at is not None and pulse.ended_at is not None:
        yield "syncer_last_run_timestamp_seconds", its, pulse.ended_at.timestamp()
        yield "syncer_last_run_duration_seconds", its, (pulse.ended_at - pulse.began_at).total_seconds()
        yield "syncer_last_run_outcome", (pulse.connection, str(pulse.outcome)), 1


def _of_counts(here: _Here) -> Iterator[Sample]:
    """Whoever has none is told as 0: a line that comes and goes cannot be alerted on."""
    counted = {
        "syncer_crm_calls_today": vitals.calls_since(here.tx, here.names, here.midnight),
        "syncer_unread_hints": vitals.unread_hints(here.tx, here.names),
        "syncer_unreadable_records": vitals.unreadable(here.tx, here.names),
    }
    for metric, counts in counted.items():
        yield from ((metric, (name,), counts.get((name,), 0)) for name in here.names)


def _of_states(here: _Here) -> Iterator[Sample]:
    counted = {
        "syncer_leads": (vitals.stages(here.tx, here.names), here.project.stages),
        "syncer_write_backs": (vitals.unwritten(here.tx, here.names), _WRITE_BACKS),
        "syncer_notices": (vitals.notices_by_state(here.tx, here.names), get_args(NoticeState)),
    }
    for metric, (counts, states) in counted.items():
        yield from ((metric, (name, state), counts.get((name, state), 0)) for name in here.names for state in states)
    for labels, count in vitals.runs_since(here.tx, here.names, here.now - DAY).items():
        yield "syncer_runs_last_day", labels, count


def _of_handoffs(here: _Here) -> Iterator[Sample]:
    waiting = vitals.waiting_handoffs(here.tx, here.names, here.now)
    for name in here.names:
        its = waiting.get(name, vitals.Waiting(0, 0))
        yield "syncer_open_handoffs", (name,), its.open
        yield "syncer_late_handoffs", (name,), its.late
    for (name, by), ranks in vitals.delays(here.tx, here.names, here.now - WEEK).items():
        for rank, delay in ranks.items():
            yield "syncer_handoff_delay_seconds", (name, by, rank), delay.total_seconds()


def _of_fleet(here: _Here) -> Iterator[Sample]:
    fleet = vitals.fleet(here.tx)
    yield "syncer_workers", (), fleet.workers
    yield "syncer_worker_places", (), fleet.places
    yield "syncer_worker_places_busy", (), fleet.busy
