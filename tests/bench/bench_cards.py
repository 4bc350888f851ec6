"""What it costs that leads can be found by name: the first scoring of a base with and without cards, and another in
which nothing has changed.

python -m tests.bench.bench_cards [--leads N] [--database postgresql|sqlite]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from sqlalchemy import text

from syncer import deciding
from syncer.model import Activity, Cursor, Page, Record
from syncer.store import Store, cards, decisions, footprints, mirror, open_store
from tests.bench.bench_pages import database
from tests.bench.bench_store import POLICY
from tests.bench.large_base import FIRST, LAST, OWNERS
from tests.bench.mirrors import NOW, SEGMENTS, person, record_of

PAGE = 1_000


def load(store: Store, leads: int) -> None:
    for first in range(1, leads + 1, PAGE):
        records: list[Record] = []
        done: list[Activity] = []
        for number in range(first, min(first + PAGE, leads + 1)):
            signals = person(number, 10)
            name = f"{FIRST[number * 31 % len(FIRST)]} {LAST[number * 17 % len(LAST)]}"
            shown = replace(record_of(signals, number), name=name, owner=f"vendedor{number % OWNERS}@us.example")
            records.append(shown)
            done += [
                Activity("crm", f"{number}-{place}", each.kind, each.at, (shown.key,), each.fields)
                for place, each in enumerate(signals.activities)
            ]
        with store.writing() as tx:
            mirror.store_page(tx, "crm", "contacts", Page(Cursor(str(first)), tuple(records), tuple(done)), NOW)


def score(store: Store, *, with_cards: bool) -> tuple[float, float]:
    """(seconds, seconds of this process's processor) until every lead was read, decided and kept as a plan."""
    rules = deciding.fingerprint(SEGMENTS)
    assert rules is not None
    wall, processor = time.perf_counter(), time.process_time()
    for leads in mirror.chunks(store, "crm", which="all", now=NOW):
        decided = deciding.decide(leads, SEGMENTS, POLICY, NOW)
        with store.writing() as tx:
            decisions.save_plan(tx, 1, decided.plans)
            if with_cards:
                cards.keep(tx, leads, "country")
            footprints.keep(tx, leads, decided.footprints, rules)
    return time.perf_counter() - wall, time.process_time() - processor


def clear(store: Store, tables: Sequence[str] = ("decisions", "lead_states", "lead_cards", "lead_words")) -> None:
    with store.writing() as tx:
        for table in tables:
            tx.execute(text(f"DELETE FROM {table}"))


def main(kind: str, leads: int) -> None:
    with tempfile.TemporaryDirectory(prefix="syncer-bench-") as folder:
        Path(folder).chmod(0o755)
        with database(kind, Path(folder)) as url, closing(open_store(url)) as store:
            load(store, leads)
            found: dict[str, list[tuple[float, float]]] = {"without": [], "with": [], "nothing changed": []}
            for _ in range(3):
                clear(store)
                found["without"].append(score(store, with_cards=False))
                clear(store)
                found["with"].append(score(store, with_cards=True))
                clear(store, ("decisions", "lead_states"))
                found["nothing changed"].append(score(store, with_cards=True))
    print(f"{leads:,} leads of 10 activities, {kind}: read whole, decided, planned; the best of 3")
    wall, processor = (min(each) for each in zip(*found["without"], strict=True))
    for name, each in found.items():
        its_wall, its_processor = (min(one) for one in zip(*each, strict=True))
        print(
            f"  {name:<16} {its_wall:6.1f} s ({its_wall / wall:.2f})   of a processor here {its_processor:6.1f} s"
            f" ({its_processor / processor:.2f})"
        )


if __name__ == "__main__":
    words = argparse.ArgumentParser()
    words.add_argument("--leads", type=int, default=50_000)
    words.add_argument("--database", choices=("postgresql", "sqlite"), default="sqlite")
    given = words.parse_args()
    main(given.database, given.leads)
