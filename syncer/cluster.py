"""Procrastinate rings the bell on many machines.

The database is the truth: every worker looks about once a second for which connections something is to be done, and of
all that look one puts a job into the queue. Whoever has a free place takes the job, and does nothing where the
connection is not due any more or somebody is at work on it. So a job that is lost, or the whole queue, loses nothing:
a few seconds later somebody rings again. Nor does a job need a lock of the queue's: our leases exclude overlap, and the
lock of a job whose worker died would hold up its connection until that worker is missed.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import version
from typing import Any

import procrastinate
import psycopg
import structlog
from procrastinate.exceptions import ConnectorException
from procrastinate.schema import SchemaManager
from sqlalchemy import Connection, make_url
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import ArgumentError, ProgrammingError

from syncer.errors import ConfigError, SyncerError
from syncer.ringing import Ringing
from syncer.run import help_score
from syncer.service import Serve, Service, served_by_nobody
from syncer.settings import ProcessSettings
from syncer.store import Store, hints, leases, queues, ranges, rates, rings, workers
from syncer.store.database import CONNECT_TIMEOUT_S, KEPT_ALIVE
from syncer.store.queues import Call, Queue
from syncer.store.rings import Look

log = structlog.get_logger(__name__)
for talkative in ("procrastinate", "psycopg.pool"):
    logging.getLogger(talkative).setLevel(logging.CRITICAL)  # what goes wrong is told here, once

LOOK_S = 1.0  # how often to look for which connections something is to be done
SEEN_S = 4.0  # how often a worker says that it lives
UNDELIVERED_S = 10.0  # how often to look for what is to be written or sent between runs
TIDY_S = 60.0
HINTS_S = 3.0  # a connection's hints are followed no sooner than so long after the last time
_QUEUE = "syncer"
_URGENCY: Mapping[Call, int] = {"resume": 3, "follow": 2, "score": 2, "deliver": 1, "sync": 0}
"""What has waited already goes first, then what is soon done."""
_PATIENCE_S = 5.0  # of who needs one of the queue's connections
_PAUSE_S = 1.0  # before the queue is asked again after it could not be
_POLL_S = 5.0  # how often to look for jobs that nobody was told of
_GRACE_S = 2.0  # for the queue to be told what is done, once all is

Job = Callable[..., None]


class Worker:
    """One of many processes that run the project's connections, until it is told to stop. ConfigError (SY240) where
    the database is not PostgreSQL."""

    def __init__(self, process: ProcessSettings, places: int, serve: Serve = served_by_nobody) -> None:
        _insist_on_postgresql(process)
        self._service = Service("worker", process, serve)
        self._places = places
        self.stop = self._service.stop
        self.wake = self._service.wake

    def run(self) -> bool:
        """Until SIGTERM or Ctrl-C; whether what was under way could finish in time.

        A configuration that is wrong at the start is a ConfigError; a later one is not taken.
        """
        return self._service.run(lambda ringing, _wake: Rota(ringing, self._places))


def _insist_on_postgresql(process: ProcessSettings) -> None:
    try:
        known = make_url(process.database_url.get_secret_value()).get_backend_name() in ("postgresql", "postgres")
    except ArgumentError:
        known = True  # `open_store` says what is wrong with it
    if not known:
        raise ConfigError(
            "workers share a PostgreSQL database; set SYNCER_DATABASE_URL=postgresql://user:password@host/name, or use "
            "`syncer daemon` with this one",
            code="SY240",
        )


def its_queue() -> Queue:
    """One for each version of the library whose tables may differ."""
    parts = re.findall(r"\d+", version("procrastinate"))[:2]
    return Queue(queues.PREFIX + "_".join(parts))


class Rota:
    """A bell that many processes ring, each for whoever of them has a place free."""

    def __init__(self, ringing: Ringing, places: int) -> None:
        ringing.app = replace(ringing.app, pace=partial(_paced, ringing.app.store))
        self._ringing = ringing
        self._store = ringing.app.store
        self._holder = ringing.app.holder
        self._places = places
        self._queue = its_queue()
        jobs: dict[Call, Job] = {
            "sync": self._sync,
            "resume": self._sync,
            "follow": self._follow,
            "deliver": self._deliver,
            "score": self._score,
        }
        self._engine = Engine(ringing.app.process, self._queue, places, jobs)
        self._helping = threading.Lock()
        self._poked = threading.Event()
        self._leaving = threading.Event()
        self._anew = True  # due times may have to be set for a project that is new
        self._differs = False  # other workers run by other files
        self._strange: set[str] = set()  # connections that only other workers know
        self._rests: dict[str, datetime] = {}  # connection -> until when, where the database could not keep it
        self._turns = {self._say_seen: SEEN_S, self._deliver_what_waits: UNDELIVERED_S, self._tidy: TIDY_S}
        self._next = dict.fromkeys(self._turns, 0.0)  # monotonic
        self._looker = threading.Thread(target=self._look_on, name="look", daemon=True)

    # from the service's thread

    def begin(self) -> None:
        self._first()
        queues.make(self._store, self._queue, SchemaManager.get_schema())
        self._say_seen()
        self._engine.start()
        self._looker.start()

    def rearm(self) -> None:
        self._anew = True
        self._rests.clear()
        self._poked.set()

    def look(self) -> None:
        self._poked.set()

    def hear(self) -> None:
        """Every look reads the due times."""

    def rings(self) -> bool:
        return self._looker.is_alive() and self._engine.is_alive

    def end(self, within_s: float) -> bool:
        self._leaving.set()
        self._poked.set()
        finished = self._engine.stop(within_s)
        self._looker.join(_GRACE_S)
        try:
            with self._store.writing() as tx:
                workers.left(tx, self._holder)
        except SyncerError as failure:
            log.debug("leaving_untold", reason=failure.message)  # a day later somebody forgets us
        return finished

    # looking

    def _look_on(self) -> None:
        while not self._leaving.is_set():
            self._poked.wait(LOOK_S * random.uniform(0.8, 1.2))
            self._poked.clear()
            if not self._leaving.is_set():
                _telling_bugs(self._look_once)

    def _look_once(self) -> None:
        if self._anew:
            self._first()
        try:
            with self._store.writing() as tx:
                calls = rings.due(tx, self._look())
                for call in (rings.RESUME, rings.SYNC, rings.FOLLOW):
                    _defer(tx, self._queue, call, [{"name": name} for name, its_call in calls if its_call == call])
                for name, free in rings.to_help(tx, self._look()):
                    helpers = min(free, workers.others(tx, self._holder))
                    _defer(tx, self._queue, "score", [{"name": name}] * helpers)
        except (ProgrammingError, ConnectorException) as failure:
            log.debug("queue_made_again", reason=type(failure).__name__)  # somebody has dropped it
            queues.make(self._store, self._queue, SchemaManager.get_schema())
            return
        now = time.monotonic()
        for turn, every_s in self._turns.items():
            if now >= self._next[turn]:
                self._next[turn] = now + every_s * random.uniform(0.8, 1.2)
                turn()

    def _look(self) -> Look:
        return Look(self._ringing.names, self._ringing.app.clock(), self._queue)

    def _first(self) -> None:
        self._anew = False
        try:
            for name in self._ringing.names:
                self._ringing.first(name)
        except SyncerError:
            self._anew = True
            raise

    def _deliver_what_waits(self) -> None:
        with self._store.writing() as tx:
            waiting = rings.undelivered(tx, self._look())
            _defer(tx, self._queue, "deliver", [{"name": name} for name in waiting])

    def _say_seen(self) -> None:
        project = self._ringing.app.project.fingerprint
        ours = f"{version('syncer')}+{project[:8]}"
        with self._store.writing() as tx:
            workers.seen(tx, self._holder, version=ours, places=self._places, busy=self._engine.busy)
            others = workers.versions(tx) - {ours}
        if others and not self._differs:
            log.warning("workers_differ", this=ours, others=sorted(others), help="give all workers the same files")
        self._differs = bool(others)

    def _tidy(self) -> None:
        with self._store.writing() as tx:
            workers.forget_dead(tx)
        with self._store.writing() as tx:
            queues.drop_left(tx, self._queue)
        queues.make(self._store, self._queue, SchemaManager.get_schema())  # says that it is used

    # what

    def _sync(self, name: str) -> None:
        now = self._ringing.app.clock()
        if not self._knows(name) or self._rests.get(name, now) > now:
            return
        rung = self._ringing.run(name)
        if not rung.kept:
            self._rests[name] = rung.again
        if rung.well:
            with self._store.writing() as tx:
                rings.answered(tx, name)
                queues.forget(tx, self._queue, "follow", name)  # what was to be tried later, for it failed, works now
        self._poked.set()

    def _follow(self, name: str, failures: int = 0) -> None:
        """A quick run. Where none could be followed it is tried again after a moment, then after twice as long, at most
        an interval, unless the CRM asked for more."""
        if not self._knows(name):
            return
        followed, app = self._ringing.follow(name), self._ringing.app
        if followed.hints or app.stop.is_set():
            self._poked.set()
            return
        pause_s = min(HINTS_S * 2 ** min(failures + 1, 20), app.project.sync.every.total_seconds())
        later = timedelta(seconds=max(pause_s, followed.patience_s))
        with self._store.writing() as tx:
            if hints.waiting(tx, name, 1, now=app.clock()):
                given = {"name": name, "failures": failures + 1}
                _defer(tx, self._queue, "follow", [given], not_before=datetime.now(UTC) + later)

    def _deliver(self, name: str) -> None:
        if self._knows(name):
            self._ringing.deliver(name)

    def _score(self, name: str) -> None:
        """Help with a run of another worker's; each process once, for more threads of it would score no faster."""
        with self._store.reading() as tx:
            run, held = ranges.run_of(tx, name), leases.holder_of(tx, name)
        if run is None or held is None or held[0] == self._holder or not self._knows(name):
            return
        if not self._helping.acquire(blocking=False):
            return
        try:
            done = help_score(self._ringing.app.parts(name), run)
            log.info("helped", connection=name, run=run, ranges=done)
        finally:
            self._helping.release()

    def _knows(self, name: str) -> bool:
        """Another worker with other files may have rung for a connection that is not in ours; it is left to it."""
        known = name in self._ringing.names
        if not known and name not in self._strange:
            self._strange.add(name)
            log.warning("connection_unknown", connection=name, help="give all workers the same files")
        return known and not self._ringing.app.stop.is_set()


def _defer(
    tx: Connection, queue: Queue, call: Call, given: Sequence[Mapping[str, Any]], *, not_before: datetime | None = None
) -> None:
    """Put jobs into the queue, in this transaction."""
    if given:
        job = _ringer.configure_task(
            call, queue=_QUEUE, priority=_URGENCY[call], schedule_at=not_before, connection=queues.driver(tx)
        )
        with queues.inside(tx, queue):
            job.batch_defer(*map(dict, given))


_ringer = procrastinate.App(connector=procrastinate.SyncPsycopgConnector())  # never opened: it uses our connections


def _telling_bugs(what: Callable[[], None]) -> None:
    """Whatever happens, the thread goes on. That the database is away is told by whoever waits for jobs."""
    try:
        what()
    except (SyncerError, ConnectorException) as failure:
        log.debug("queue_not_reached", reason=str(failure))
    except Exception:
        log.exception("worker_crashed")


def _paced(store: Store, what: str, rate: float, burst: int) -> float:
    with store.writing() as tx:
        return rates.take(tx, what, rate, burst)


class Engine:
    """Takes jobs out of the queue, as many at once as there are places, and does each in a thread. Where the queue
    cannot be reached it goes on trying; what is under way goes on meanwhile."""

    def __init__(self, process: ProcessSettings, queue: Queue, places: int, jobs: Mapping[Call, Job]) -> None:
        self._address = _address(process, queue)
        self._places = places
        self._grace_s = min(process.drain_s, CONNECT_TIMEOUT_S)
        self._jobs = jobs
        self._under_way: set[Future[None]] = set()
        self._threads = ThreadPoolExecutor(places, "job")
        self._loop = asyncio.new_event_loop()
        self._leave = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="queue", daemon=True)
        self._failing = False

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def busy(self) -> int:
        return min(len(self._under_way), self._places)

    def start(self) -> None:
        self._thread.start()

    def stop(self, within_s: float) -> bool:
        """Take no more; whether all that was under way ended in time."""
        self._loop.call_soon_threadsafe(self._leave.set)
        finished = not wait(tuple(self._under_way), within_s).not_done
        self._thread.join(_GRACE_S)
        self._threads.shutdown(wait=False, cancel_futures=True)
        return finished

    def _run(self) -> None:
        self._loop.set_exception_handler(_untold)
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._work_on())

    async def _work_on(self) -> None:
        while not self._leave.is_set():
            try:
                await self._session()
            except (ConnectorException, psycopg.Error, OSError, TimeoutError) as failure:
                self._tell(failure)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._leave.wait(), _PAUSE_S)

    async def _session(self) -> None:
        """Work until told to leave, or until the connection breaks. Each has connections of its own."""
        app = self._app()
        try:
            await asyncio.wait_for(app.connector.open_async(), CONNECT_TIMEOUT_S)
            self._tell(None)
            working = asyncio.create_task(self._worker_of(app))
            leaving = asyncio.create_task(self._leave.wait())
            await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
            leaving.cancel()
            working.cancel()
            with suppress(asyncio.CancelledError):
                await working
        finally:
            await app.connector.close_async()

    async def _worker_of(self, app: procrastinate.App) -> None:
        await app.run_worker_async(
            queues=[_QUEUE],
            concurrency=self._places,
            fetch_job_polling_interval=_POLL_S,
            shutdown_graceful_timeout=self._grace_s,
            delete_jobs="always",
            install_signal_handlers=False,
        )

    def _app(self) -> procrastinate.App:
        connector = procrastinate.PsycopgConnector(min_size=1, max_size=4, timeout=_PATIENCE_S, kwargs=self._address)
        app = procrastinate.App(connector=connector)
        for call, job in self._jobs.items():
            app.task(name=call, queue=_QUEUE)(partial(self._do, job))
        return app

    async def _do(self, job: Job, **given: Any) -> None:
        """Who waits for the thread may be told to stop waiting; the thread goes on to its end."""
        doing = self._threads.submit(_telling_bugs, partial(job, **given))
        self._under_way.add(doing)
        doing.add_done_callback(self._under_way.discard)
        await asyncio.wrap_future(doing)

    def _tell(self, failure: BaseException | None) -> None:
        """Once when the queue cannot be reached, and once when it can be again."""
        if failure is not None and not self._failing:
            log.error("queue_failing", reason=_in_words(failure))
        if failure is None and self._failing:
            log.info("queue_recovered")
        self._failing = failure is not None


def _address(process: ProcessSettings, queue: Queue) -> dict[str, Any]:
    """What the driver is given to be in the queue's schema, and to miss a database that is gone within seconds."""
    url = make_url(process.database_url.get_secret_value()).set(drivername="postgresql+psycopg")
    dialect: Any = PGDialect_psycopg  # its constructor is untyped
    _, given = dialect().create_connect_args(url)
    options = f"{given.get('options', '')} -c search_path={queue.schema}".strip()
    return {"connect_timeout": CONNECT_TIMEOUT_S, **KEPT_ALIVE, **given, "options": options}


def _in_words(failure: BaseException) -> str:
    """The first of its causes that says something."""
    told: BaseException | None = failure
    while told is not None and (isinstance(told, ConnectorException) or not str(told)):
        told = told.__cause__
    return " ".join(str(told or type(failure).__name__).split())


def _untold(_loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
    """A job whose end the queue could not be told of is forgotten there a little later."""
    log.debug("queue_unanswered", reason=str(context.get("exception") or context.get("message")))
