"""What a first load of Salesforce's leads and the cycles after it cost, against floors that only ask and decode.

python -m tests.bench.bench_salesforce [--people N] [--rounds N] [--only PART ...]

By REST the floor is `requests` and orjson: pages of 2,000 leads with 20 fields beside their ids, decoded and thrown
away. By the Bulk API it is `requests` and csv: a job, its pages of 5,000, read and thrown away. Ours is `run.pull`
into a fresh SQLite file. Each is taken in a process of its own, with the emulator in another. *Storing* is what SQLite
alone takes for the very rows that ours stores.
"""

from __future__ import annotations

import csv
import io
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import requests
import simple_salesforce.api  # noqa: F401  # imported with the first request otherwise, and counted
from pydantic import SecretStr

from connectors.salesforce import bulk
from connectors.salesforce.client import Client
from connectors.salesforce.org import Org
from connectors.salesforce.people import LEAD, People
from connectors.salesforce.selection import SYSTEM
from connectors.salesforce.settings import Settings
from connectors.salesforce.values import instant
from syncer.connector import Wanted
from syncer.store import open_store
from tests.bench import pulling
from tests.bench.pulling import AT_ONCE, TOKEN, Crm, Figures, Meter, Part, Project, Task, pairs, show

API = "/services/data/v60.0"
PAGE = 2_000
START = datetime(2025, 10, 9, tzinfo=UTC)
FIELDS = ("company", "jobtitle", "phone", "city", "country", "industry", "website", "state", "zip")
STANDARD = ("Company", "Title", "Phone", "City", "Country", "Industry", "Website", "State", "PostalCode")
WAYS = ("rest", "bulk")
apart = partial(pulling.apart, "tests.bench.bench_salesforce")
freshly = partial(pulling.freshly, "tests.bench.bench_salesforce")


# The org.


@contextmanager
def org() -> Iterator[Crm]:
    """One with the fields for the results, and nobody in it."""
    with pulling.emulator("salesforce", "--no-limits") as crm, tempfile.TemporaryDirectory() as folder:
        _project(crm.url, folder).set_up()
        yield crm


def load(crm: Crm, leads: int) -> list[str]:
    """So many, modified long ago, a second apart; their ids."""
    ids: list[str] = []
    for first in range(0, leads, 20_000):
        rows = [_lead(each) for each in range(first, min(first + 20_000, leads))]
        ids += crm.control("load", records={LEAD: rows})["ids"][LEAD]
    return ids


def _lead(number: int) -> dict[str, Any]:
    values = {name: f"{name} of {number % 977}" for name in STANDARD}
    names = {"FirstName": "Anaïs", "LastName": f"Person {number}", "Email": f"person{number}@acme.example"}
    return {**values, **names, "SystemModstamp": instant(START + timedelta(seconds=number))}


# What is measured, each in a process of its own.


def floor_rest(url: str) -> Figures:
    """The query from one end to the other, a page after the other."""
    with Meter() as meter:
        _read_through(url, "")
    return meter.figures


def floor_rest_at_once(url: str, *starts: str) -> Figures:
    """The query in as many parts at once as there are ids to start from, which nobody knows beforehand in earnest."""
    ends = [*(f" AND Id < '{each}'" for each in starts[1:]), ""]
    parts = [f"WHERE Id >= '{first}'{end}" for first, end in zip(starts, ends, strict=True)]
    return pulling.at_once([partial(_read_through, url, each) for each in parts])


def _read_through(url: str, where: str) -> None:
    session = _session()
    path = f"{API}/queryAll"
    query = {"q": f"{_select(url)} {where} ORDER BY Id"}
    while path:
        answer = session.get(url + path, params=query, timeout=60)
        page = orjson.loads(answer.content)
        assert answer.status_code == 200, page
        assert page["records"]
        path, query = page.get("nextRecordsUrl", ""), {}


def floor_bulk(url: str) -> Figures:
    """A job, and its results from one end to the other."""
    with Meter() as meter:
        session = _session()
        address, query = f"{_finished(url, session)}/results", {"maxRecords": str(bulk.PAGE)}
        while query.get("locator") != "null":
            query["locator"] = _read(session, address, query)
    return meter.figures


def floor_bulk_at_once(url: str) -> Figures:
    """A job, and the pages of its results that the job itself tells, several at once."""
    with Meter() as meter:
        session = _session()
        told = session.get(f"{_finished(url, session)}/resultPages", timeout=60).json()
        assert told["done"], "more pages than it tells at a time"
        addresses = [f"{url}{each['resultUrl']}" for each in told["resultPages"]]
        shares = [addresses[each::AT_ONCE] for each in range(AT_ONCE)]
        pulling.at_once([partial(_read_each, share) for share in shares])
    return meter.figures


def _finished(url: str, session: requests.Session) -> str:
    """The address of a job that is done; Salesforce is asked about it without a pause."""
    body = {"operation": "queryAll", "query": _select(url)}
    address = f"{url}{API}/jobs/query"
    address += f"/{session.post(address, json=body, timeout=60).json()['id']}"
    while session.get(address, timeout=60).json()["state"] != "JobComplete":
        pass
    return address


def _read_each(addresses: Sequence[str]) -> None:
    session = _session()
    for each in addresses:
        _read(session, each, {})


def _read(session: requests.Session, address: str, query: Mapping[str, str]) -> str:
    """A page of results; where the next one is."""
    answer = session.get(address, params=query, timeout=60)
    lines = list(csv.reader(io.StringIO(answer.content.decode(), newline="")))
    assert len(lines) == int(answer.headers["Sforce-NumberOfRecords"]) + 1, answer.status_code
    return answer.headers["Sforce-Locator"]


def _session() -> requests.Session:
    session = requests.Session()
    session.headers.update({"Authorization": f"Bearer {TOKEN}", "Accept-Encoding": "gzip"})
    return session


def _select(url: str) -> str:
    """What ours asks for."""
    settings, wanted = Settings(token=SecretStr(TOKEN), instance_url=url), Wanted(fields=FIELDS)
    fields = People(Org("crm", settings, wanted, Client("crm", settings, wanted)), LEAD).fields
    return f"SELECT {', '.join((*SYSTEM, *fields))} FROM {LEAD}"


def ours(url: str, folder: str, way: str = "auto") -> Figures:
    """The pull of a run, into the folder's database."""
    return _project(url, folder, way).pull()


def cycle(url: str, folder: str) -> Figures:
    """A whole run."""
    return _project(url, folder).cycle()


def storing(folder: str) -> Figures:
    """The rows of the folder's database, ready as they are, into fresh tables: a page in a transaction."""
    with closing(sqlite3.connect(Path(folder) / "syncer.db")) as known:
        rows = {
            f"INSERT INTO {table} ({columns}) VALUES ({', '.join('?' * len(columns.split(', ')))})": known.execute(
                f"SELECT {columns} FROM {table} ORDER BY rowid"
            ).fetchall()
            for table in ("leads", "records")
            if (columns := ", ".join(row[1] for row in known.execute(f"PRAGMA table_info({table})")))
        }
    fresh = Path(folder) / "fresh.db"
    open_store(f"sqlite:///{fresh}").close()
    with closing(sqlite3.connect(fresh, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        with Meter() as meter:
            for first in range(0, max(map(len, rows.values())), PAGE):
                database.execute("BEGIN IMMEDIATE")
                for insert, every in rows.items():
                    database.executemany(insert, every[first : first + PAGE])
                database.execute("COMMIT")
    return meter.figures


def _project(url: str, folder: str, way: str = "auto") -> Project:
    connection = f'{{type: salesforce, token: {TOKEN}, instance_url: "{url}", first_load: {way}}}'
    return Project(Path(folder), connection, FIELDS)


TASKS: Mapping[str, Task] = {
    "floor_rest": floor_rest, "floor_rest_at_once": floor_rest_at_once, "floor_bulk": floor_bulk,
    "floor_bulk_at_once": floor_bulk_at_once, "ours": ours, "cycle": cycle, "storing": storing,
}  # fmt: skip


# The parts of the table.


def processor(people: int, rounds: int) -> None:
    with org() as crm:
        load(crm, people)
        for way in WAYS:
            floor, own = partial(apart, f"floor_{way}", crm.url), partial(freshly, crm.url, way)
            pulling.show_processor(f"processor, {way}", people, "2.5", pairs("cpu_s", rounds, floor, own))


def store(people: int, rounds: int) -> None:
    """What no connector can save: the floor's part, and SQLite's."""
    with org() as crm, tempfile.TemporaryDirectory() as folder:
        load(crm, people)
        apart("ours", crm.url, folder, "rest")
        found = pairs("cpu_s", rounds, partial(apart, "floor_rest", crm.url), partial(_stored, folder))
        floor, alone = (seconds / people * 1e6 for seconds in found.medians)
        told = f"{people:,} people: floor {floor:.1f} µs, SQLite alone {alone:.1f} µs each"
        show("storing", told, "both: 2.5", f"both: {(floor + alone) / floor:.2f}")


def _stored(folder: str) -> Figures:
    (Path(folder) / "fresh.db").unlink(missing_ok=True)
    return apart("storing", folder)


def latency(people: int, rounds: int) -> None:
    """How long Salesforce works at a job is not ours: here it is done at the first look."""
    with org() as crm:
        ids = load(crm, people)
        crm.control("manners", bulk_polls=0, bulk_page=people // 5)  # it tells of five pages at a time
        crm.control("faults", faults=[{"hang_s": 0.05, "path": "^/services"}])
        share = len(ids) // PAGE // AT_ONCE * PAGE or len(ids) // AT_ONCE
        floors: Mapping[str, Callable[[], Figures]] = {
            "rest": partial(apart, "floor_rest_at_once", crm.url, *(ids[each * share] for each in range(AT_ONCE))),
            "bulk": partial(apart, "floor_bulk_at_once", crm.url),
        }
        for way in WAYS:
            found = pairs("wall_s", rounds, floors[way], partial(freshly, crm.url, way))
            pulling.show_wall(f"50 ms a call, {way}", people, "1.5", found)


def memory(people: int, rounds: int) -> None:
    """Four times as many leads; and what it costs then that 100 of them change."""
    peaks: dict[str, list[float]] = {way: [] for way in WAYS}
    for number in (people, 4 * people):
        with org() as crm:
            ids = load(crm, number)
            for way in WAYS:
                with tempfile.TemporaryDirectory() as folder:
                    peaks[way].append(apart("ours", crm.url, folder, way)["peak_mb"])
                    if number > people:
                        _changes(crm, folder, ids)
    for way, (few, many) in peaks.items():
        told = f"{people:,} leads: {few:.0f} MB, {4 * people:,}: {many:.0f} MB"
        show(f"peak memory, {way}", told, "0.9 to 1.1", f"{many / few:.3f}")


def _changes(crm: Crm, folder: str, ids: Sequence[str]) -> None:
    for each in islice(ids, 0, None, len(ids) // 100):
        crm.control("edit", object=LEAD, id=each, values={"City": "Huesca"})
    crm.pass_time(120)
    crm.calls()
    read, calls = apart("ours", crm.url, folder)["read"], crm.calls()["total"]
    show("100 of them change", f"{read:.0f} of {len(ids):,} read", "12 calls", f"{calls} calls")


def idle(people: int, rounds: int) -> None:
    """Whole runs in which nothing has happened, over few leads and many: one soon after another, and one so much later
    that it also asks for what was deleted."""
    for number in (200, 5_000):
        with org() as crm, tempfile.TemporaryDirectory() as folder:
            load(crm, number)
            for _ in range(3):  # read, scored and written; and what was written is read back
                apart("cycle", crm.url, folder)
                crm.pass_time(3_700)
            apart("cycle", crm.url, folder)
            for seconds in (60, 3_700):
                crm.pass_time(seconds)
                crm.calls()
                apart("cycle", crm.url, folder)
                calls = crm.calls()
                told = f"{calls['total']} calls, {calls['write']} writes"
                show(f"idle, {seconds} s later", f"a run over {number:,} leads", "a handful, 0 writes", told)


PARTS: Mapping[str, Part] = {
    "processor": processor, "storing": store, "latency": latency, "memory": memory, "idle": idle,
}  # fmt: skip


if __name__ == "__main__":
    pulling.main(sys.argv[1:], __doc__, TASKS, PARTS)
