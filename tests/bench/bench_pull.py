"""What a first load and the cycles after it cost, against a floor that only asks and decodes. Ratios in one run.

python -m tests.bench.bench_pull [--contacts N] [--rounds N] [--only PART ...]

The floor is `requests` and orjson: lists of 100 contacts, 20 properties each, decoded and thrown away. Ours is
`run.pull` into a fresh SQLite file. Each is taken in a process of its own, with the emulator in another; what it takes
to start, to import and to migrate is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import requests
import urllib3
from pydantic import SecretStr

from connectors.hubspot import people
from connectors.hubspot.settings import Settings
from syncer import log, run
from syncer.app import App, opened
from syncer.connector import Wanted
from syncer.parts import Report
from syncer.reading import pull
from syncer.settings import process_settings

ROOT = Path(__file__).parents[2]
TOKEN = "emulator-token"
LIST = "/crm/objects/2026-03/contacts"
PAGE = 100
AT_ONCE = 4
START_MS = 1_760_000_000_000
FIELDS = (
    *("company", "jobtitle", "phone", "city", "country", "industry", "website", "hs_lead_status"),
    *("state", "zip", "address", "numemployees"),
)  # with those that every contact is read with: 20
RULE = "    - {{name: Knows {field}, when: {{{field}: {{contains: [e]}}}}, points: 1}}\n"
MODEL = (
    "name: bench\nfit:\n  rules:\n"
    + "".join(RULE.format(field=each) for each in FIELDS)
    + "stages:\n  - {name: cold}\n  - {name: sql, enter: [fit >= 1000]}\n"
)
PROJECT = """\
version: 1
connections:
  crm: {{type: hubspot, token: {token}, base_url: "{url}"}}
models: model.yml
"""
Figures = dict[str, float]


# The portal: the emulator in a process of its own.


@dataclass(frozen=True, slots=True)
class Portal:
    """A running emulator."""

    url: str
    pool: urllib3.PoolManager

    def control(self, name: str, **body: object) -> Any:
        answer = self.pool.request("POST", f"{self.url}/_emulator/{name}", body=orjson.dumps(body), timeout=300)
        assert answer.status == 200, answer.data
        return orjson.loads(answer.data)

    def load(self, contacts: int, at_ms: int = START_MS, apart_ms: int = 1000) -> list[str]:
        """So many contacts, modified from then on, so far apart; their ids."""
        ids: list[str] = []
        for first in range(0, contacts, 20_000):
            rows = [_contact(each, at_ms + each * apart_ms) for each in range(first, min(first + 20_000, contacts))]
            ids += self.control("load", objects={"contacts": rows})["ids"]["contacts"]
        return ids

    def pass_time(self, seconds: float) -> int:
        """Its clock then, in milliseconds."""
        now_ms: int = self.control("clock", advance_s=seconds)["now_ms"]
        return now_ms

    def calls(self) -> dict[str, int]:
        """Requests since this was asked last, searches among them."""
        found = orjson.loads(self.pool.request("GET", f"{self.url}/_emulator/calls").data)
        self.control("reset-calls")
        return {name: found[name] for name in ("total", "search", "write")}


def _contact(number: int, modified_ms: int) -> dict[str, Any]:
    values = {name: f"{name} of {number % 977}" for name in FIELDS}
    names = {"firstname": "Anaïs", "lastname": f"Person {number}", "lifecyclestage": "lead"}
    properties = {**values, **names, "email": f"person{number}@acme.example"}
    return {"properties": properties, "createdAt": START_MS, "updatedAt": modified_ms}


@contextmanager
def portal(*words: str) -> Iterator[Portal]:
    command = [sys.executable, "-m", "connectors.emulators.hubspot", "--token", TOKEN, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as server:
        assert server.stdout is not None
        os.sched_setaffinity(server.pid, {min(os.sched_getaffinity(0))})
        try:
            yield Portal(json.loads(server.stdout.readline())["url"], urllib3.PoolManager())
        finally:
            server.terminate()


# What is measured, each in a process of its own.


def floor(url: str) -> Figures:
    """The list from one end to the other, a page after the other."""
    with _Meter() as meter:
        for _ in _decoded(url, "0"):
            pass
    return meter.figures


def floor_at_once(url: str, *starts: str) -> Figures:
    """The list in as many parts at once as there are ids to start from, which nobody knows beforehand in earnest."""
    parts = [
        threading.Thread(target=lambda first, end: list(_until(url, first, end)), args=bounds)
        for bounds in zip(starts, [*starts[1:], ""], strict=True)
    ]
    with _Meter() as meter:
        for each in parts:
            each.start()
        for each in parts:
            each.join()
    return meter.figures


def _until(url: str, first: str, end: str) -> Iterator[int]:
    for after in _decoded(url, first):
        if after == end:
            return
        yield 1


def _decoded(url: str, after: str) -> Iterator[str]:
    """Where each next page begins; "" after the last."""
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {TOKEN}"
    names = people.properties(Settings(token=SecretStr(TOKEN)), Wanted(fields=FIELDS))
    query = {"limit": str(PAGE), "properties": ",".join(names)}
    while True:
        answer = session.get(url + LIST, params={**query, "after": after}, timeout=60)
        page = orjson.loads(answer.content)
        assert answer.status_code == 200
        assert page["results"]
        after = page.get("paging", {}).get("next", {}).get("after", "")
        yield after
        if not after:
            return


def ours(url: str, folder: str) -> Figures:
    """The pull of a run, into the folder's database."""
    with _app(url, Path(folder)) as app:
        parts = app.parts("crm")
        with run.leased(parts) as lease, _Meter() as meter:
            report = Report(0)
            pull(parts, lease, report)
        assert not report.failures, report.failures
        return {**meter.figures, "read": report.counts["read"]}


def cycle(url: str, folder: str) -> Figures:
    """A whole run."""
    with _app(url, Path(folder)) as app, _Meter() as meter:
        report = run.sync(app.parts("crm"))
    assert not report.failures, report.failures
    return {**meter.figures, "read": report.counts["read"]}


@contextmanager
def _app(url: str, folder: Path) -> Iterator[App]:
    log.set_up("WARNING")
    (folder / "model.yml").write_text(MODEL)
    (folder / "syncer.yml").write_text(PROJECT.format(token=TOKEN, url=url))
    database = f"sqlite:///{folder / 'syncer.db'}"
    with opened(process_settings(folder, config=folder / "syncer.yml", database_url=database), {}) as app:
        yield app


class _Meter:
    """Processor and wall seconds of a block, of all threads of this process."""

    def __enter__(self) -> _Meter:
        self._cpu, self._wall = time.process_time(), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        cpu_s, wall_s = time.process_time() - self._cpu, time.perf_counter() - self._wall
        self.figures: Figures = {"cpu_s": cpu_s, "wall_s": wall_s}


TASKS: dict[str, Callable[..., Figures]] = {
    "floor": floor, "floor_at_once": floor_at_once, "ours": ours, "cycle": cycle,
}  # fmt: skip


def _peak_mb() -> float:
    """Of this process (Linux). What `getrusage` tells begins with the peak of the process that started this one."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 1024


def apart(task: str, *arguments: object) -> Figures:
    """One task in a process of its own, with its peak memory."""
    words = [sys.executable, "-m", "tests.bench.bench_pull", "--task", task, *map(str, arguments)]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    found: Figures = json.loads(done.stdout)
    return found


def freshly(url: str) -> Figures:
    """Ours, into a database that is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        return apart("ours", url, folder)


# The parts of the table.


def processor(contacts: int, rounds: int) -> None:
    with portal("--no-limits") as crm:
        crm.load(contacts)
        pairs = [(apart("floor", crm.url)["cpu_s"], freshly(crm.url)["cpu_s"]) for _ in range(rounds)]
        us = [statistics.median(each) / contacts * 1e6 for each in zip(*pairs, strict=True)]
        told = f"{contacts:,} contacts: floor {us[0]:.1f} µs, ours {us[1]:.1f} µs each"
        show("processor", told, "2.5", _ratios(pairs))


def latency(contacts: int, rounds: int) -> None:
    with portal("--no-limits") as crm:
        ids = crm.load(contacts)
        crm.control("faults", faults=[{"hang_s": 0.05, "path": "^/(crm|account)"}])
        share = len(ids) // PAGE // AT_ONCE * PAGE
        starts = [ids[each * share] for each in range(AT_ONCE)]
        pairs = [
            (apart("floor_at_once", crm.url, *starts)["wall_s"], freshly(crm.url)["wall_s"]) for _ in range(rounds)
        ]
        wall_s = [statistics.median(each) for each in zip(*pairs, strict=True)]
        told = f"{contacts:,} contacts: floor {wall_s[0]:.1f} s, ours {wall_s[1]:.1f} s"
        show("50 ms a call", told, "1.5", _ratios(pairs))


def _ratios(pairs: Sequence[tuple[float, float]]) -> str:
    """The median, and between which two the others lie: on a busy machine they differ."""
    ratios = sorted(own / below for below, own in pairs)
    return f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"


def limits(contacts: int, rounds: int) -> None:
    """190 calls in any ten seconds: the last call of so many can leave no sooner than the windows before it end. So
    many that it leaves soon after one of them."""
    with portal() as crm:
        crm.load(57_000)
        crm.calls()
        wall_s, calls = freshly(crm.url)["wall_s"], crm.calls()["total"]
        least_s = 10 * ((calls - 1) // 190)
        show("the real limits", f"{calls} calls in {wall_s:.1f} s", "95 %", f"{100 * least_s / wall_s:.0f} %")


def memory(contacts: int, rounds: int) -> None:
    """Four times as many contacts; and what it costs then that 100 of them change."""
    peaks = []
    for number in (contacts, 4 * contacts):
        with portal("--no-limits", "--index-lag", "0") as crm, tempfile.TemporaryDirectory() as folder:
            ids = crm.load(number)
            peaks.append(apart("ours", crm.url, folder)["peak_mb"])
            show("peak memory", f"{number:,} contacts: {peaks[-1]:.0f} MB", "", "")
            if number > contacts:
                _changes(crm, folder, ids)
    show("peak memory", "of four times as many", "0.9 to 1.1", f"{peaks[1] / peaks[0]:.3f}")


def _changes(crm: Portal, folder: str, ids: Sequence[str]) -> None:
    for each in islice(ids, 0, None, len(ids) // 100):
        crm.control("edit", objectType="contacts", id=each, properties={"city": "Huesca"})
    crm.pass_time(120)
    crm.calls()
    read, calls = apart("ours", crm.url, folder)["read"], crm.calls()["total"]
    show("100 of them change", f"{read:.0f} read", "12 calls", f"{calls} calls")


def idle(contacts: int, rounds: int) -> None:
    """Whole runs in which nothing has happened, over few contacts and many."""
    for number in (200, 5_000):
        with portal("--no-limits", "--index-lag", "0") as crm, tempfile.TemporaryDirectory() as folder:
            _settled(crm, folder, number)
            apart("cycle", crm.url, folder)
            crm.calls()
            apart("cycle", crm.url, folder)
            calls = crm.calls()
            told = f"{calls['total']} calls, {calls['write']} writes"
            show("idle", f"a run over {number:,} contacts", "a handful, 0 writes", told)


def _settled(crm: Portal, folder: str, contacts: int) -> None:
    """So many contacts that have been read, scored and written, and whose writing has been read back."""
    crm.load(contacts)
    with _app(crm.url, Path(folder)) as app:
        parts = app.parts("crm")
        assert parts.destination is not None
        for change in parts.destination.setup():
            parts.destination.create(change)
    for _ in range(2):
        apart("cycle", crm.url, folder)
        crm.pass_time(3_700)


def one_millisecond(contacts: int, rounds: int) -> None:
    """12,000 contacts modified in one millisecond, after a first load that saw none of them."""
    with portal("--no-limits", "--index-lag", "0") as crm, tempfile.TemporaryDirectory() as folder:
        apart("ours", crm.url, folder)
        crm.load(12_000, crm.pass_time(3_600), 0)
        crm.pass_time(120)
        crm.calls()
        read, calls = apart("ours", crm.url, folder)["read"], crm.calls()
        told = f"{calls['search']} searches, {calls['total'] - calls['search']} others"
        show("one millisecond", f"{read:,.0f} read", "65 searches", told)


PARTS: dict[str, Callable[[int, int], None]] = {
    "processor": processor, "latency": latency, "limits": limits, "memory": memory, "idle": idle,
    "one_millisecond": one_millisecond,
}  # fmt: skip


def show(part: str, what: str, wanted: str, found: str) -> None:
    print(f"{part:<20}{what:<60}{wanted:<22}{found}", flush=True)


def main(words: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contacts", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=tuple(PARTS))
    parser.add_argument("--task", nargs="+")
    asked = parser.parse_args(words)
    if asked.task:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # away from the emulator, and always on one core
        found = TASKS[asked.task[0]](*asked.task[1:])
        found["peak_mb"] = _peak_mb()
        print(json.dumps(found))
        return
    show("part", "", "wanted", "found")
    for part in asked.only:
        PARTS[part](asked.contacts, asked.rounds)


if __name__ == "__main__":
    main(sys.argv[1:])
