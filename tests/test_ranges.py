"""A base that several workers score together comes out as one process alone would have decided it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text, update

from syncer import ranges
from syncer.app import App, opened
from syncer.errors import LeaseLost
from syncer.parts import Parts, Report
from syncer.run import help_score, plan, sync
from syncer.settings import process_settings
from syncer.store import Store, workers
from syncer.store import ranges as kept
from syncer.store.tables import decisions, lead_cards, lead_states, lead_words, leases, score_ranges
from tests.bench.bench_sharing import write_base

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
LEADS = 260


@pytest.fixture(autouse=True)
def soon_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "CUT_FROM", 100)
    monkeypatch.setattr(ranges, "SIZE", 30)
    monkeypatch.setattr(ranges, "_LOOK_S", 0.02)


@contextmanager
def process(folder: Path, database_url: str) -> Iterator[App]:
    """As good as a process of its own: another holder, at a clock that stands."""
    settings = process_settings(folder, config=folder / "syncer.yml", database_url=database_url)
    with opened(settings, {}) as app:
        yield replace(app, clock=lambda: NOW)


@pytest.fixture
def holder(tmp_path: Path, database_url: str) -> Iterator[App]:
    """Its base is there and decided once; the rules have changed since."""
    write_base(tmp_path, LEADS)
    with process(tmp_path, database_url) as app:
        sync(app.parts("sheet"))
    write_base(tmp_path, LEADS, points=25)
    with process(tmp_path, database_url) as app:
        yield app


@pytest.fixture
def helper(holder: App, tmp_path: Path, database_url: str) -> Iterator[App]:
    with process(tmp_path, database_url) as app:
        app = replace(app, holder="another/machine/1/x")
        live(app)
        yield app


def live(app: App) -> None:
    with app.store.writing() as tx:
        workers.seen(tx, app.holder, version="1", places=4, busy=0)


def decided(store: Store, run: int) -> Mapping[int, Any]:
    with store.reading() as tx:
        rows = tx.execute(select(decisions).where(decisions.c.run_id == run))
        return {row.lead_id: (row.revision, row.before_stage, row.before_since, row.payload) for row in rows}


def footprints(store: Store) -> Mapping[int, Any]:
    with store.reading() as tx:
        return {row.lead_id: tuple(row) for row in tx.execute(select(lead_states))}


def planned(app: App) -> Report:
    return plan(app.parts("sheet"))


@contextmanager
def helping(app: App) -> Iterator[list[int]]:
    """Help as soon as help is wanted, until the block ends; how many ranges were done each time."""
    over, done = threading.Event(), []

    def help_on() -> None:
        while not over.wait(0.01):
            with app.store.reading() as tx:
                run = kept.run_of(tx, "sheet")
            if run is not None:
                done.append(help_score(app.parts("sheet"), run))

    thread = threading.Thread(target=help_on)
    thread.start()
    try:
        yield done
    finally:
        over.set()
        thread.join()


def test_what_two_decide_together_is_what_one_decides_alone(holder: App, helper: App) -> None:
    with holder.store.writing() as tx:
        workers.left(tx, helper.holder)
    alone = planned(holder)
    made_alone = footprints(holder.store)
    with holder.store.writing() as tx:
        tx.execute(text("DELETE FROM lead_states"))
    live(helper)
    with helping(helper) as done:
        together = planned(holder)
    assert sum(done) > 0, "the other one has helped"
    assert decided(holder.store, together.run) == decided(holder.store, alone.run)
    assert len(decided(holder.store, alone.run)) == LEADS
    assert footprints(holder.store) == made_alone
    assert (together.counts, together.moves) == (alone.counts, alone.moves)
    assert together.counts["scored"] == LEADS
    with holder.store.reading() as tx:
        assert tx.execute(select(score_ranges)).all() == [], "nothing is left behind"


def test_ranges_of_a_helper_that_died_are_done_by_others(
    holder: App, helper: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "_TAKEN_S", 0.5)
    dead = threading.Event()

    def take_and_die() -> None:
        while not dead.is_set():
            with helper.store.writing() as tx:
                run = kept.run_of(tx, "sheet")
                if run is not None and kept.claim(tx, run, helper.holder) is not None:
                    dead.set()

    thread = threading.Thread(target=take_and_die)
    thread.start()
    report = planned(holder)
    thread.join()
    assert report.counts["scored"] == LEADS
    assert len(decided(holder.store, report.run)) == LEADS


def test_a_helper_by_other_rules_declines(holder: App, helper: App, tmp_path: Path, database_url: str) -> None:
    write_base(tmp_path, LEADS, points=13)
    with process(tmp_path, database_url) as stranger, helping(replace(stranger, holder=helper.holder)) as done:
        report = planned(holder)
    assert sum(done) == 0
    assert report.counts["scored"] == LEADS


def test_nothing_is_kept_for_a_run_that_another_process_has_taken_over(
    holder: App, helper: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[str] = []

    def meanwhile(parts: Parts, *_: object) -> Report:
        """In place of the holder's own share."""
        with holder.store.writing() as tx:
            run = kept.run_of(tx, "sheet") or 0
            tx.execute(update(leases).values(epoch=leases.c.epoch + 1))
        with pytest.raises(LeaseLost, match="the run that wanted help is over") as raised:
            help_score(helper.parts("sheet"), run)
        refused.append(raised.value.message)
        assert decided(holder.store, run) == {}
        with holder.store.writing() as tx:
            assert kept.claim(tx, run, "anybody") is not None, "what was begun is given back at once"
        return Report(run)

    monkeypatch.setattr(ranges, "share", meanwhile)
    with pytest.raises(LeaseLost):
        planned(holder)
    assert len(refused) == 1


def test_without_other_workers_or_for_few_leads_nothing_is_cut(
    holder: App, helper: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> Report:
        raise AssertionError("it was cut")

    monkeypatch.setattr(ranges, "share", never)
    monkeypatch.setattr(ranges, "CUT_FROM", LEADS + 1)
    assert planned(holder).counts["scored"] == LEADS
    monkeypatch.setattr(ranges, "CUT_FROM", LEADS)
    with holder.store.writing() as tx:
        workers.left(tx, helper.holder)
    assert planned(holder).counts["scored"] == LEADS


def test_leads_that_are_due_are_shared_as_well_as_whole_bases(holder: App, helper: App) -> None:
    sync(holder.parts("sheet"))
    with holder.store.writing() as tx:
        tx.execute(text("UPDATE leads SET touched = 1 WHERE id % 2 = 0"))
    with helping(helper) as done:
        report = planned(holder)
    assert sum(done) > 0
    assert report.counts["scored"] == LEADS // 2


def test_leads_scored_together_get_the_cards_that_one_alone_would_give_them(holder: App, helper: App) -> None:
    def kept_cards() -> list[Any]:
        with holder.store.reading() as tx:
            words = tx.execute(select(lead_words).order_by(*lead_words.c)).all()
            return [*tx.execute(select(lead_cards).order_by(lead_cards.c.lead_id)), *words]

    alone = kept_cards()
    assert len(alone) > LEADS, "the run before has made them"
    with holder.store.writing() as tx:
        tx.execute(text("DELETE FROM lead_cards"))
        tx.execute(text("DELETE FROM lead_words"))
        tx.execute(text("DELETE FROM lead_states"))  # so that all are read whole
    with helping(helper) as done:
        planned(holder)
    assert sum(done) > 0
    assert kept_cards() == alone, "although it was only planned"
