"""`status`: what counts as a good run, and what stands beside it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from syncer.store import open_store, runs
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
