"""`status`: what counts as a good run, and what stands beside it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from sqlalchemy import update

from syncer.store import open_store, runs, workers
from syncer.store.tables import workers as workers_table
from tests.runs.house import House


def quick_run(house: House, *, days_ago: int = 0, outcome: str = "ok") -> None:
    """The daemon has followed hints."""
    store, at = open_store(house.database_url), datetime.now(UTC) - timedelta(days=days_ago)
    try:
        with store.writing() as tx:
            runs.finish(tx, runs.start(tx, "crm", at, "quick"), outcome, {"hints": 1}, None, at)
    finally:
        store.close()


def test_quick_runs_make_no_connection_healthy_and_are_shown_apart(house: House) -> None:
    assert "quick runs" not in house.cli("status").stdout
    quick_run(house, days_ago=2)
    quick_run(house)
    result = house.cli("status", "--max-age", "1h")
    assert (result.exit_code, result.stderr) == (1, "stale: crm had no good run for 1h\n")
    assert "none yet: `syncer run`, `syncer daemon`" in result.stdout
    assert re.search(r"quick runs  1 today, the last 2 ok, \d+ s ago", result.stdout)
    shown = house.json("status")["connections"]["crm"]
    assert (shown["last_run"], shown["last_good"], shown["runs"], shown["failed_runs"]) == (None, None, 0, 0)
    assert (shown["quick_runs"]["today"], shown["quick_runs"]["last"]["outcome"]) == (1, "ok")


def test_a_good_full_run_is_found_behind_any_number_of_quick_ones(base: House) -> None:
    for _ in range(97):
        quick_run(base, outcome="failed")
    assert base.cli("status", "--max-age", "1h", "--quiet").exit_code == 0
    shown = base.json("status")["connections"]["crm"]
    assert (shown["last_run"]["outcome"], shown["failed_runs"], shown["quick_runs"]["today"]) == ("ok", 0, 97)


def test_without_workers_nothing_is_said_of_a_fleet(base: House) -> None:
    assert base.json("status")["fleet"] is None
    assert "workers" not in base.cli("status").stdout


def test_workers_are_shown_with_what_they_do_and_who_is_gone_or_runs_by_other_files(base: House) -> None:
    store = open_store(base.database_url)
    with store.writing() as tx:
        for number, version in enumerate(("0.1.0+aaaaaaaa", "0.1.0+bbbbbbbb", "0.1.0+aaaaaaaa")):
            workers.seen(tx, f"host{number}/boot/{number}00/lot", version=version, places=8, busy=number)
        dead = workers_table.c.holder.startswith("host2/")
        hour_ago = datetime.now(UTC) - timedelta(hours=1)
        tx.execute(update(workers_table).where(dead).values(seen_at=hour_ago, started_at=hour_ago))
        runs.set_due(tx, "crm", datetime.now(UTC) - timedelta(seconds=100))
    store.close()
    shown = base.cli("status").stdout
    assert re.search(r"host0 process 0+ +0 of 8 places busy +since .* 0\.1\.0\+aaaaaaaa\n", shown)
    assert re.search(r"host2 process 200 +2 of 8 places busy +since .* gone: last seen 60 min ago\n", shown)
    assert "they run by different versions or files" in shown
    fleet = base.json("status")["fleet"]
    assert [(each["holder"].split("/")[0], each["busy"], each["alive"]) for each in fleet["workers"]] == [
        ("host2", 2, False),
        ("host0", 0, True),
        ("host1", 1, True),
    ]
    assert 95 < fleet["lag_s"] < 160
