"""A long quiet life with trouble of every kind, while memory and open files are watched."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from statistics import fmean, linear_regression

import psycopg

from tests.fleet.chaos import TOLD_LATE, Line, complaints_of, running, told_by, wait_until_settled
from tests.fleet.crew import Place, Program, busy_s, crew, memory_kb, open_files
from tests.fleet.farm import Farm, Server, farm, seats
from tests.fleet.life import Script
from tests.fleet.outcome import Outcome, astray, outcome, runs_of
from tests.receivers import DROP, HANG, HttpReceiver, Received, Reply

TROUBLE = 0.05
_MOODS = 0.2  # of the receiver, which is asked seldom
_HANG_S = 8.0  # longer than the project's timeouts
_NOT_OF_PEOPLE = r"^(?!/crm/v3/objects/(meetings|calls)$)"  # what the life itself asks for is spared
_LEAST_S = 60.0  # of quiet after the last act: what was put off comes later, and is waited for
_FLAT = 1.05


@dataclass(frozen=True, slots=True)
class Asked:
    """How long, how large. `words`: what each process runs."""

    minutes: float = 30.0
    workers: int = 1
    connections: int = 20
    contacts: int = 100
    every: str = "15s"
    words: tuple[str, ...] = ("daemon",)
    seed: int = 8
    sample_s: float = 10.0
    restarts: int = 2  # of the database


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at everything. `at_s`: since the start; the database in bytes."""

    at_s: float
    memory_kb: int
    files: int
    database: int


class Moody(HttpReceiver):
    """Fails one request in five, in one way or another."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._dice = Random(seed)
        self.failed = 0
        self.calm = False

    def reply_to(self, received: Received) -> Reply:
        if self.calm or self._dice.random() >= _MOODS:
            return Reply()
        self.failed += 1
        return self._dice.choice((Reply(503), Reply(429, headers={"Retry-After": "5"}), Reply(500), DROP, HANG))


def soak(folder: Path, asked: Asked) -> list[Line]:
    """The table; the samples stand in `samples.csv` of the folder."""
    seated = seats(asked.connections)
    portals = list(dict.fromkeys(seat.portal for seat in seated))
    when = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    seconds = asked.minutes * 60
    script = Script(portals, asked.contacts, max(seconds - _LEAST_S, seconds / 2), when, seed=asked.seed)
    with ExitStack() as stack:
        server = stack.enter_context(Server(folder))
        hook = Moody(asked.seed)
        built = stack.enter_context(farm(folder / "farm", script, seated, hook))
        built.write_project(asked.every)
        database = server.new_database()
        built.set_up(database)
        places = crew(built, Program(asked.words, database), asked.workers)
        with running(places):
            samples = _lived(built, database, places, server, asked)
            hook.calm = True
            troubles = built.faulted()
            built.control("chaos", share=0)
            wait_until_settled(built, database, datetime.now(UTC) + TOLD_LATE, places, patience_s=1500)
            cpu_s = sum(busy_s(place.pid) for place in places)
        ended = outcome(built, database)
        return list(_lines(_Seen(built, ended, samples, troubles, cpu_s), hook, database, places))


def _lived(built: Farm, database: str, places: Sequence[Place], server: Server, asked: Asked) -> Sequence[Sample]:
    wait_until_settled(built, database, datetime.now(UTC), places)
    built.control("chaos", share=TROUBLE, seed=asked.seed, hang_s=_HANG_S, path=_NOT_OF_PEOPLE)
    began, samples = time.monotonic(), []
    seconds = asked.minutes * 60
    restarts = [seconds * (number + 1) / (asked.restarts + 1) for number in range(asked.restarts)]
    with told_by(built, 1.0), (built.folder / "samples.csv").open("w") as lines:
        lines.write("seconds,memory_kb,files,database\n")
        while (at_s := time.monotonic() - began) < seconds:
            if restarts and at_s >= restarts[0]:
                restarts.pop(0)
                server.restart()
            samples.append(_sample(at_s, database, places))
            each = samples[-1]
            lines.write(f"{each.at_s:.0f},{each.memory_kb},{each.files},{each.database}\n")
            lines.flush()
            time.sleep(asked.sample_s)
    return samples


def _sample(at_s: float, database: str, places: Sequence[Place]) -> Sample:
    dead = [place.name for place in places if place.died()]
    assert not dead, f"{dead} ended by themselves: {places[0].log[-3000:]}"
    pids = [place.pid for place in places]
    with psycopg.connect(database) as connection:
        (size,) = connection.execute("SELECT pg_database_size(current_database())").fetchone() or (0,)
    return Sample(at_s, sum(map(memory_kb, pids)), sum(map(open_files, pids)), size)


# the table


@dataclass(frozen=True, slots=True)
class _Seen:
    built: Farm
    ended: Outcome
    samples: Sequence[Sample]
    troubles: Mapping[str, int]
    cpu_s: float


def _lines(seen: _Seen, hook: Moody, database: str, places: Sequence[Place]) -> Iterator[Line]:
    yield from _flatness(seen.samples)
    yield Line("processor time", f"{seen.cpu_s:.0f} s in {seen.samples[-1].at_s:.0f} s")
    runs = [run for each in runs_of(database).values() for run in each]
    outcomes = Counter(run[2] for run in runs)
    yield Line("runs", f"{len(runs)}: " + ", ".join(f"{name} {count}" for name, count in outcomes.most_common()))
    struck = Counter(seen.troubles)
    yield Line("faults of the portals", f"{struck.total()}: " + ", ".join(f"{a} {b}" for a, b in struck.most_common(6)))
    yield Line("faults of the receiver", str(hook.failed))
    acts = len(seen.built.script.acts())
    yield Line("acts of the life", f"{acts:,} in {len(seen.built.urls)} portals")
    for what, leads in astray(seen.built, seen.ended).items():
        yield Line(what, f"{len(leads)} {leads[:5] or ''}", "0", not leads)
    keys = Counter(str(each.key) for each in hook.received)
    found = f"{len(seen.ended.told)}; {len(keys)} keys received, {keys.total() - len(keys)} repeats of a key"
    yield Line("hand-offs told", found, "one key each", len(keys) == len(seen.ended.told) and not seen.ended.unsent)
    wrong = seen.ended.unwritten()
    yield Line("leads that the CRM shows otherwise", str(len(wrong)), "0", not wrong)
    complaints = complaints_of(places)
    yield Line("unexpected in the logs", str(dict(complaints) or 0), "0", not complaints)


def _flatness(samples: Sequence[Sample]) -> Iterator[Line]:
    """The first third warms up; the last one is compared with the second."""
    third = max(1, len(samples) // 3)
    thirds = [samples[:third], samples[third : 2 * third], samples[2 * third :]]
    memory = [fmean(each.memory_kb for each in part) / 1024 for part in thirds]
    later = [each for part in thirds[1:] for each in part]
    slope = linear_regression([each.at_s / 60 for each in later], [each.memory_kb for each in later]).slope
    found = f"{memory[0]:.1f}, {memory[1]:.1f}, {memory[2]:.1f} MB by thirds; {slope:+.1f} KB a minute since the second"
    yield Line("memory", found, "flat", memory[2] <= memory[1] * _FLAT)
    files = [max(each.files for each in part) for part in thirds]
    means = [fmean(each.files for each in part) for part in thirds]
    found = f"{means[0]:.1f}, {means[1]:.1f}, {means[2]:.1f} by thirds; at most {files[0]}, {files[1]}, {files[2]}"
    yield Line("open files", found, "flat", means[2] <= max(means[:2]) * _FLAT + 2)
    sizes = [part[-1].database / 2**20 for part in thirds]
    yield Line("database", f"{sizes[0]:.1f}, {sizes[1]:.1f}, {sizes[2]:.1f} MB at the end of each third")
