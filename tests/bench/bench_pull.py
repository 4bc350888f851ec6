"""What a first load of HubSpot's contacts and the cycles after it cost, against a floor that only asks and decodes.

python -m tests.bench.bench_pull [--people N] [--rounds N] [--only PART ...]

The floor is `requests` and orjson: lists of 100 contacts, 20 properties each, decoded and thrown away. Ours is
`run.pull` into a fresh SQLite file. Each is taken in a process of its own, with the emulator in another.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import requests
from pydantic import SecretStr

from connectors.hubspot import people
from connectors.hubspot.settings import Settings
from syncer.connector import Wanted
from tests.bench import pulling
from tests.bench.pulling import AT_ONCE, TOKEN, Crm, Figures, Meter, Part, Project, Task, pairs, show

LIST = "/crm/objects/2026-03/contacts"
PAGE = 100
START_MS = 1_760_000_000_000
FIELDS = (
    *("company", "jobtitle", "phone", "city", "country", "industry", "website", "hs_lead_status"),
    *("state", "zip", "address", "numemployees"),
)  # with those that every contact is read with: 20
apart = partial(pulling.apart, "tests.bench.bench_pull")
freshly = partial(pulling.freshly, "tests.bench.bench_pull")


# The portal.


def portal(*words: str) -> AbstractContextManager[Crm]:
    return pulling.emulator("hubspot", *words)


def load(crm: Crm, contacts: int, at_ms: int = START_MS, apart_ms: int = 1000) -> list[str]:
    """So many contacts, modified from then on, so far apart; their ids."""
    ids: list[str] = []
    for first in range(0, contacts, 20_000):
        rows = [_contact(each, at_ms + each * apart_ms) for each in range(first, min(first + 20_000, contacts))]
        ids += crm.control("load", objects={"contacts": rows})["ids"]["contacts"]
    return ids


def _contact(number: int, modified_ms: int) -> dict[str, Any]:
    values = {name: f"{name} of {number % 977}" for name in FIELDS}
    names = {"firstname": "Anaïs", "lastname": f"Person {number}", "lifecyclestage": "lead"}
    properties = {**values, **names, "email": f"person{number}@acme.example"}
    return {"properties": properties, "createdAt": START_MS, "updatedAt": modified_ms}


# What is measured, each in a process of its own.


def floor(url: str) -> Figures:
    """The list from one end to the other, a page after the other."""
    with Meter() as meter:
        for _ in _decoded(url, "0"):
            pass
    return meter.figures


def floor_at_once(url: str, *starts: str) -> Figures:
    """The list in as many parts at once as there are ids to start from, which nobody knows beforehand in earnest."""
    ends = [*starts[1:], ""]
    return pulling.at_once([partial(_until, url, *bounds) for bounds in zip(starts, ends, strict=True)])


def _until(url: str, first: str, end: str) -> None:
    for after in _decoded(url, first):
        if after == end:
            return


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
    return _project(url, folder).pull()


def cycle(url: str, folder: str) -> Figures:
    """A whole run."""
    return _project(url, folder).cycle()


def _project(url: str, folder: str) -> Project:
    return Project(Path(folder), f'{{type: hubspot, token: {TOKEN}, base_url: "{url}"}}', FIELDS)


TASKS: Mapping[str, Task] = {"floor": floor, "floor_at_once": floor_at_once, "ours": ours, "cycle": cycle}


# The parts of the table.


def processor(contacts: int, rounds: int) -> None:
    with portal("--no-limits") as crm:
        load(crm, contacts)
        found = pairs("cpu_s", rounds, lambda: apart("floor", crm.url), lambda: freshly(crm.url))
        pulling.show_processor("processor", contacts, "2.5", found)


def latency(contacts: int, rounds: int) -> None:
    with portal("--no-limits") as crm:
        ids = load(crm, contacts)
        crm.control("faults", faults=[{"hang_s": 0.05, "path": "^/(crm|account)"}])
        share = len(ids) // PAGE // AT_ONCE * PAGE
        starts = [ids[each * share] for each in range(AT_ONCE)]
        floor = partial(apart, "floor_at_once", crm.url, *starts)
        pulling.show_wall("50 ms a call", contacts, "1.5", pairs("wall_s", rounds, floor, lambda: freshly(crm.url)))


def limits(contacts: int, rounds: int) -> None:
    """190 calls in any ten seconds: the last call of so many can leave no sooner than the windows before it end. So
    many that it leaves soon after one of them."""
    with portal() as crm:
        load(crm, 57_000)
        crm.calls()
        wall_s, calls = freshly(crm.url)["wall_s"], crm.calls()["total"]
        least_s = 10 * ((calls - 1) // 190)
        show("the real limits", f"{calls} calls in {wall_s:.1f} s", "95 %", f"{100 * least_s / wall_s:.0f} %")


def memory(contacts: int, rounds: int) -> None:
    """Four times as many contacts; and what it costs then that 100 of them change."""
    peaks = []
    for number in (contacts, 4 * contacts):
        with portal("--no-limits", "--index-lag", "0") as crm, tempfile.TemporaryDirectory() as folder:
            ids = load(crm, number)
            peaks.append(apart("ours", crm.url, folder)["peak_mb"])
            show("peak memory", f"{number:,} contacts: {peaks[-1]:.0f} MB", "", "")
            if number > contacts:
                _changes(crm, folder, ids)
    show("peak memory", "of four times as many", "0.9 to 1.1", f"{peaks[1] / peaks[0]:.3f}")


def _changes(crm: Crm, folder: str, ids: Sequence[str]) -> None:
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


def _settled(crm: Crm, folder: str, contacts: int) -> None:
    """So many contacts that have been read, scored and written, and whose writing has been read back."""
    load(crm, contacts)
    _project(crm.url, folder).set_up()
    for _ in range(2):
        apart("cycle", crm.url, folder)
        crm.pass_time(3_700)


def one_millisecond(contacts: int, rounds: int) -> None:
    """12,000 contacts modified in one millisecond, after a first load that saw none of them."""
    with portal("--no-limits", "--index-lag", "0") as crm, tempfile.TemporaryDirectory() as folder:
        apart("ours", crm.url, folder)
        load(crm, 12_000, crm.pass_time(3_600), 0)
        crm.pass_time(120)
        crm.calls()
        read, calls = apart("ours", crm.url, folder)["read"], crm.calls()
        told = f"{calls['search']} searches, {calls['total'] - calls['search']} others"
        show("one millisecond", f"{read:,.0f} read", "65 searches", told)


PARTS: Mapping[str, Part] = {
    "processor": processor, "latency": latency, "limits": limits, "memory": memory, "idle": idle,
    "one_millisecond": one_millisecond,
}  # fmt: skip


if __name__ == "__main__":
    pulling.main(sys.argv[1:], __doc__, TASKS, PARTS)
