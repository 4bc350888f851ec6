"""Scoring out of the store: against the naive reference, with the size of the base, and in memory. Ratios in one run.

python -m tests.bench.bench_store [--large LEADS]

Every figure is taken in a process of its own, so that peak memory is that figure's alone.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from syncer import deciding, scoring
from syncer.model import Cursor, Footprint, Page
from syncer.planning import Policy
from syncer.store import Store, decisions, footprints, mirror, open_store
from tests.bench.mirrors import MODEL, NOW, SEGMENTS, build, person, record_of
from tests.scoring import reference

CHUNK = 50_000
REFERENCE_LEADS = 1_000
CHANGED = (1, 100, 500)
ROUNDS = 9
POLICY = Policy(installation="bench", min_step=100, handoff_stage="sql", writable=frozenset({"crm"}))


def chunks_of_footprints(store: Store, leads: int) -> Iterator[list[Footprint]]:
    rules = deciding.fingerprint(SEGMENTS)
    assert rules is not None
    for first in range(1, leads + 1, CHUNK):
        with store.reading() as tx:
            yield list(footprints.fresh(tx, range(first, min(first + CHUNK, leads + 1)), rules).values())


def evaluated(path: Path, leads: int) -> dict[str, float]:
    """Every lead out of the store: read, unpack, evaluate."""
    store = open_store(f"sqlite:///{path}")
    before, count = time.process_time(), 0
    for some in chunks_of_footprints(store, leads):
        found = scoring.evaluate(scoring.unpacked(some, MODEL), MODEL, NOW)
        count += len(found.total)
    assert count == leads
    return {"cpu_us": (time.process_time() - before) / leads * 1e6}


def naively(leads: int) -> dict[str, float]:
    """The reference of the tests, on signals that are in memory already."""
    people = [person(number, 3) for number in range(leads)]
    before = time.process_time()
    for each in people:
        reference.told(each, MODEL, NOW)
    return {"cpu_us": (time.process_time() - before) / leads * 1e6}


def changed(path: Path, leads: int) -> dict[str, float]:
    """So many leads change spread over the base: stored, scored, planned, applied."""
    store = open_store(f"sqlite:///{path}")
    taken: dict[str, float] = {}
    for turn in range(ROUNDS):
        for number in CHANGED:
            before = time.process_time()
            _one_round(store, leads, number, turn)
            spent = (time.process_time() - before) * 1e3
            taken[str(number)] = min(taken.get(str(number), spent), spent)
    return taken


def _one_round(store: Store, leads: int, number: int, turn: int) -> None:
    at = NOW + timedelta(hours=turn + 1, minutes=number)
    who = range(1 + turn, leads, max(1, leads // number))[:number]
    fresh = [record_of(person(each), each, at) for each in who]
    records = tuple(replace(each, fields={**each.fields, "jobtitle": f"CEO {at}"}) for each in fresh)
    with store.writing() as tx:
        mirror.store_page(tx, "crm", "contacts", Page(Cursor(str(at)), records=records), at)
    done = 0
    for some in mirror.chunks(store, "crm", which="due", now=at, rules=deciding.fingerprint(SEGMENTS)):
        plans = deciding.decide(some, SEGMENTS, POLICY, at).plans
        with store.writing() as tx:
            decisions.apply(tx, 1, plans, [], at)
        done += len(some)
    assert done >= number


def swept(path: Path, leads: int) -> dict[str, float]:
    """A sweep over leads that nothing happened to: records and write-backs read as well, planned, nothing to write."""
    store = open_store(f"sqlite:///{path}")
    before, quiet, seen = time.process_time(), 0, 0
    for some in mirror.chunks(store, "crm", which="all", now=NOW, rules=deciding.fingerprint(SEGMENTS)):
        quiet += len(deciding.unmoved(some, SEGMENTS, POLICY, NOW))
        seen += len(some)
        if seen >= CHUNK:
            break
    return {"cpu_us": (time.process_time() - before) / seen * 1e6, "quiet": quiet / seen}


TASKS: dict[str, Callable[..., dict[str, float]]] = {
    "evaluated": evaluated, "naively": naively, "changed": changed, "swept": swept,
}  # fmt: skip


def apart(task: str, *arguments: object) -> dict[str, Any]:
    """One figure in a process of its own, with its peak memory in MB."""
    words = [sys.executable, "-m", "tests.bench.bench_store", "--task", task, *map(str, arguments)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main(large: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        naive = apart("naively", REFERENCE_LEADS)["cpu_us"]
        print(f"naive reference, signals in memory: {naive:.1f} µs a lead")
        whole = {leads: Path(folder) / f"whole{leads}.db" for leads in (10_000, large)}
        for leads, path in whole.items():
            build(path, leads)
        against_the_reference(whole, naive)
        with_the_size_of_the_base(whole)
        bare = {leads: Path(folder) / f"bare{leads}.db" for leads in (large, 4 * large)}
        for leads, path in bare.items():
            build(path, leads, facts=False)
        in_memory(bare)


def against_the_reference(bases: Mapping[int, Path], naive: float) -> None:
    for leads, path in bases.items():
        for task, what in (("evaluated", "read and evaluated"), ("swept", "swept: planned, too")):
            us = apart(task, path, leads)["cpu_us"]
            print(f"{what}, of {leads:,} leads: {us:.1f} µs a lead, naive / this = {naive / us:.1f}")


def with_the_size_of_the_base(bases: Mapping[int, Path]) -> None:
    small, big = (apart("changed", path, leads) for leads, path in bases.items())
    for number in map(str, CHANGED):
        ratio = big[number] / small[number]
        print(f"{number} leads changed: {small[number]:.0f} ms of few, {big[number]:.0f} ms of many, ratio {ratio:.2f}")


def in_memory(bases: Mapping[int, Path]) -> None:
    small, big = (apart("evaluated", path, leads)["peak_mb"] for leads, path in bases.items())
    print(f"peak memory: {small:.0f} MB, of four times as many leads {big:.0f} MB, ratio {big / small:.3f}")


def one(task: str, arguments: list[str]) -> None:
    given = [Path(each) if each.endswith(".db") else int(each) for each in arguments]
    found = TASKS[task](*given)
    found["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(found))


if __name__ == "__main__":
    words = argparse.ArgumentParser()
    words.add_argument("--large", type=int, default=1_000_000)
    words.add_argument("--task", nargs="+")
    asked = words.parse_args()
    if asked.task:
        one(asked.task[0], asked.task[1:])
    else:
        main(asked.large)
