"""How many requests a second the HubSpot emulator answers with 50,000 contacts, on one core.

Run as a script: python tests/bench/bench_emulator.py [--contacts 50000] [--rounds 200]
The server is pinned to the first core, this client to the last. Target: 100 requests/s of the mix.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson
import urllib3

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "bench"
START_MS = 1_760_000_000_000
NAMES = (
    *("email", "firstname", "lastname", "company", "jobtitle", "phone", "city", "country", "industry", "website"),
    *("lifecyclestage", "hs_lead_status", "hs_email_open", "hs_email_click", "hs_email_delivered"),
    *("num_conversion_events", "hs_analytics_num_visits", "hs_analytics_num_page_views"),
    *("hs_analytics_last_timestamp", "notes_last_updated"),
)


class Bench:
    """A client with one kept connection."""

    def __init__(self, url: str) -> None:
        self._pool = urllib3.PoolManager(headers={"Authorization": f"Bearer {TOKEN}"})
        self._url = url

    def post(self, path: str, body: Any) -> Any:
        """The decoded answer; AssertionError unless 2xx."""
        answer = self._pool.request("POST", self._url + path, body=orjson.dumps(body), timeout=120)
        assert 200 <= answer.status < 300, (answer.status, answer.data[:500])
        return orjson.loads(answer.data)

    def close(self) -> None:
        """Close the connection."""
        self._pool.clear()


def contacts(count: int) -> list[dict[str, Any]]:
    """Made-up contacts with 20 properties, modified one second apart."""
    return [
        {
            "properties": dict.fromkeys(NAMES, str(each % 97))
            | {"email": f"person{each}@example.com", "lifecyclestage": "lead"},
            "createdAt": START_MS,
            "updatedAt": START_MS + each * 1000,
        }
        for each in range(count)
    ]


def search_pages(bench: Bench) -> Iterator[list[str]]:
    """All contacts of a window, page by page, by the keyset on the id; then the next, slightly wider window."""
    width = 10**9
    while True:
        last, width = "0", width + 1
        while last:
            window = {
                "propertyName": "lastmodifieddate",
                "operator": "BETWEEN",
                "value": str(START_MS),
                "highValue": str(START_MS + width),
            }
            after = {"propertyName": "hs_object_id", "operator": "GT", "value": last}
            body = {
                "filterGroups": [{"filters": [window, after]}],
                "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
                "properties": ["hs_object_id"],
                "limit": 200,
            }
            ids = [each["id"] for each in bench.post("/crm/v3/objects/contacts/search", body)["results"]]
            yield ids
            last = ids[-1] if len(ids) == 200 else ""


def read(bench: Bench, ids: list[str]) -> int:
    """batch/read of 100 contacts with 20 properties; how many came."""
    body = {"inputs": [{"id": each} for each in ids], "properties": NAMES}
    return len(bench.post("/crm/v3/objects/contacts/batch/read", body)["results"])


def update(bench: Bench, ids: list[str], value: int) -> int:
    """batch/update of 100 contacts with two properties; how many were written."""
    inputs = [
        {"id": each, "properties": {"city": str(value), "hs_lead_status": "NEW" if value % 2 else "OPEN"}}
        for each in ids
    ]
    return len(bench.post("/crm/v3/objects/contacts/batch/update", {"inputs": inputs})["results"])


def cpu_s(pid: int) -> float:
    """Seconds of processor time a process has used (Linux)."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def rate(name: str, pid: int, requests: int, work: Iterable[object]) -> None:
    """Print requests per second by the clock, and per second of the server's processor time."""
    began, used = time.perf_counter(), cpu_s(pid)
    for _ in work:
        pass
    clock, cpu = time.perf_counter() - began, cpu_s(pid) - used
    print(f"{name:<26}{requests / clock:>8.0f} requests/s{requests / cpu:>8.0f} per CPU-second")


def mixed(bench: Bench, pages: Iterator[list[str]], hundreds: list[list[str]], rounds: int) -> Iterator[int]:
    """A page of search, its first 100 read, and 100 others written, which keeps the index moving."""
    for each in range(rounds):
        found = next(pages)
        yield read(bench, found[:100] or hundreds[0]) + update(bench, hundreds[7 * each % len(hundreds)], each + rounds)


def measure(bench: Bench, pid: int, ids: list[str], rounds: int) -> None:
    """Each kind alone, then the mix of all three."""
    pages = search_pages(bench)
    hundreds = [ids[at : at + 100] for at in range(0, len(ids) - 99, 100)]
    turns = [(each, hundreds[each % len(hundreds)]) for each in range(rounds)]
    rate("search 200 ids, keyset", pid, rounds, (next(pages) for _ in turns))
    rate("batch/read 100 x 20", pid, rounds, (read(bench, hundred) for _, hundred in turns))
    rate("batch/update 100", pid, rounds, (update(bench, hundred, each) for each, hundred in turns))
    rate("mix of the three", pid, 3 * rounds, mixed(bench, pages, hundreds, rounds))


def main() -> None:
    """Start a server, fill it, measure, stop it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contacts", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=300)
    asked = parser.parse_args()
    command = [
        sys.executable,
        "-m",
        "connectors.emulators.hubspot",
        "--token",
        TOKEN,
        "--no-limits",
        "--index-lag",
        "0",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as server:
        try:
            cores = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(server.pid, {cores[0]})
            os.sched_setaffinity(0, {cores[-1]})
            assert server.stdout is not None
            bench = Bench(json.loads(server.stdout.readline())["url"])
            began = time.perf_counter()
            ids = bench.post("/_emulator/load", {"objects": {"contacts": contacts(asked.contacts)}})["ids"]["contacts"]
            print(f"{asked.contacts} contacts loaded in {time.perf_counter() - began:.1f} s, making them included")
            measure(bench, server.pid, ids, asked.rounds)
            bench.close()
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
