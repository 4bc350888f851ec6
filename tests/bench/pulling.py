"""What the benches of a first load share: the emulator in one process, what is measured in another, and their lines.

A bench has *tasks*, each taken in a process of its own that answers its `Figures`, and *parts*, which order tasks and
print lines of the table. What it takes to start, to import and to migrate is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import urllib3

from syncer import log, run
from syncer.app import App, opened
from syncer.parts import Report
from syncer.reading import pull
from syncer.settings import process_settings

ROOT = Path(__file__).parents[2]
TOKEN = "emulator-token"
AT_ONCE = 4  # connections of a floor that has several
RULE = "    - {{name: Knows {field}, when: {{{field}: {{contains: [e]}}}}, points: 1}}\n"
MODEL = """\
name: bench
fit:
  rules:
{rules}stages:
  - {{name: cold}}
  - {{name: sql, enter: [fit >= 1000]}}
"""
PROJECT = """\
version: 1
connections:
  crm: {connection}
models: model.yml
"""
Figures = dict[str, float]
Task = Callable[..., Figures]
Part = Callable[[int, int], None]
"""Takes how many people, and how many rounds."""


# The CRM: an emulator in a process of its own.


@dataclass(frozen=True, slots=True)
class Crm:
    """A running emulator."""

    url: str
    pool: urllib3.PoolManager

    def control(self, name: str, **body: object) -> Any:
        answer = self.pool.request("POST", f"{self.url}/_emulator/{name}", body=orjson.dumps(body), timeout=300)
        assert answer.status == 200, answer.data
        return orjson.loads(answer.data)

    def pass_time(self, seconds: float) -> int:
        """Its clock then, in milliseconds."""
        now_ms: int = self.control("clock", advance_s=seconds)["now_ms"]
        return now_ms

    def calls(self) -> dict[str, int]:
        """Requests since this was asked last: {"total", "write", ...}."""
        found = orjson.loads(self.pool.request("GET", f"{self.url}/_emulator/calls").data)
        self.control("reset-calls")
        return {name: count for name, count in found.items() if isinstance(count, int)}


@contextmanager
def emulator(name: str, *words: str) -> Iterator[Crm]:
    """One of `connectors.emulators`, on the first core."""
    command = [sys.executable, "-m", f"connectors.emulators.{name}", "--token", TOKEN, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as server:
        assert server.stdout is not None
        os.sched_setaffinity(server.pid, {min(os.sched_getaffinity(0))})
        try:
            yield Crm(json.loads(server.stdout.readline())["url"], urllib3.PoolManager())
        finally:
            server.terminate()


# Tasks.


@dataclass(frozen=True, slots=True)
class Project:
    """A syncer with its files and its database in a folder. `connection` as YAML; a rule for each of the fields."""

    folder: Path
    connection: str
    fields: Sequence[str]

    @contextmanager
    def app(self) -> Iterator[App]:
        log.set_up("WARNING")
        rules = "".join(RULE.format(field=each) for each in self.fields)
        (self.folder / "model.yml").write_text(MODEL.format(rules=rules))
        (self.folder / "syncer.yml").write_text(PROJECT.format(connection=self.connection))
        database = f"sqlite:///{self.folder / 'syncer.db'}"
        process = process_settings(self.folder, config=self.folder / "syncer.yml", database_url=database)
        with opened(process, {}) as app:
            yield app

    def pull(self) -> Figures:
        """The pull of a run."""
        with self.app() as app:
            parts = app.parts("crm")
            with run.leased(parts) as lease, Meter() as meter:
                report = Report(0)
                pull(parts, lease, report)
        return _read(meter, report)

    def cycle(self) -> Figures:
        """A whole run."""
        with self.app() as app, Meter() as meter:
            report = run.sync(app.parts("crm"))
        return _read(meter, report)

    def set_up(self) -> None:
        """What the CRM lacks to be written to."""
        with self.app() as app:
            destination = app.parts("crm").destination
            assert destination is not None
            for change in destination.setup():
                destination.create(change)


def _read(meter: Meter, report: Report) -> Figures:
    assert not report.failures, report.failures
    return {**meter.figures, "read": report.counts["read"]}


class Meter:
    """Processor and wall seconds of a block, of all threads of this process."""

    def __enter__(self) -> Meter:
        self._cpu, self._wall = time.process_time(), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        cpu_s, wall_s = time.process_time() - self._cpu, time.perf_counter() - self._wall
        self.figures: Figures = {"cpu_s": cpu_s, "wall_s": wall_s}


def at_once(works: Sequence[Callable[[], object]]) -> Figures:
    """All of them, each in a thread."""
    with Meter() as meter, ThreadPoolExecutor(len(works)) as pool:
        for each in [pool.submit(work) for work in works]:
            each.result()
    return meter.figures


def apart(module: str, task: str, *arguments: object) -> Figures:
    """One task of a bench in a process of its own, with its peak memory."""
    words = [sys.executable, "-m", module, "--task", task, *map(str, arguments)]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    found: Figures = json.loads(done.stdout)
    return found


def freshly(module: str, url: str, *arguments: object) -> Figures:
    """A bench's task "ours", into a database that is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        return apart(module, "ours", url, folder, *arguments)


def _peak_mb() -> float:
    """Of this process (Linux). What `getrusage` tells begins with the peak of the process that started this one."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 1024


# The table.


@dataclass(frozen=True, slots=True)
class Pairs:
    """The same figure of the floor and of ours, round by round."""

    rounds: Sequence[tuple[float, float]]

    @property
    def medians(self) -> tuple[float, float]:
        floor, ours = (statistics.median(each) for each in zip(*self.rounds, strict=True))
        return floor, ours

    @property
    def ratio(self) -> str:
        """The median, and between which two the others lie: on a busy machine they differ."""
        ratios = sorted(ours / floor for floor, ours in self.rounds)
        return f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"


def pairs(figure: str, rounds: int, floor: Callable[[], Figures], ours: Callable[[], Figures]) -> Pairs:
    """One after the other, so that what else the machine does strikes both."""
    return Pairs([(floor()[figure], ours()[figure]) for _ in range(rounds)])


def show(part: str, what: str, wanted: str, found: str) -> None:
    print(f"{part:<20}{what:<60}{wanted:<22}{found}", flush=True)


def show_processor(part: str, people: int, wanted: str, found: Pairs) -> None:
    floor, ours = (seconds / people * 1e6 for seconds in found.medians)
    show(part, f"{people:,} people: floor {floor:.1f} µs, ours {ours:.1f} µs each", wanted, found.ratio)


def show_wall(part: str, people: int, wanted: str, found: Pairs) -> None:
    floor, ours = found.medians
    show(part, f"{people:,} people: floor {floor:.1f} s, ours {ours:.1f} s", wanted, found.ratio)


def main(words: Sequence[str], about: str | None, tasks: Mapping[str, Task], parts: Mapping[str, Part]) -> None:
    """Show these parts; or, where a process was started for one task, print its figures."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=parts, default=tuple(parts))
    parser.add_argument("--task", nargs="+")
    asked = parser.parse_args(words)
    if asked.task:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # away from the emulator, and always on one core
        found = tasks[asked.task[0]](*asked.task[1:])
        found["peak_mb"] = _peak_mb()
        print(json.dumps(found))
        return
    show("part", "", "wanted", "found")
    for part in asked.only:
        parts[part](asked.people, asked.rounds)
