"""Runs drop what is too old, and neither a pull nor a whole look brings it back."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from syncer.parts import Asked
from syncer.store import audit
from tests.runs.house import House, house_on

DAY_S = 86_400


@pytest.fixture
def house(tmp_path: Path, sqlite_template: Path) -> Iterator[House]:
    shutil.copy(sqlite_template, tmp_path / "syncer.db")
    with house_on(tmp_path, f"sqlite:///{tmp_path / 'syncer.db'}") as built:
        yield built


def meetings(house: House) -> list[int]:
    """How many days ago they were, as far as they are kept."""
    with sqlite3.connect(house.folder / "syncer.db") as database:
        found = database.execute("SELECT at FROM activities ORDER BY at DESC").fetchall()
    return [round((house.portal.clock.now_ms() - at) / DAY_S / 1000) for (at,) in found]


def test_what_the_log_of_acts_has_kept_for_long_is_dropped_by_a_run(house: House) -> None:
    house.setup()
    with house.app() as app, app.store.writing() as tx:
        for name, days in (("ana", 399), ("ben", 401)):
            audit.note(tx, audit.Entry(app.clock() - timedelta(days=days), name, "override", "crm/contacts/1"))
    house.sync()
    assert [each.who for each in house.acts()] == ["ana"]


@pytest.mark.slow
def test_old_activities_are_dropped_once_and_for_all_and_no_score_moves(house: House) -> None:
    house.setup()
    warm = house.person(country="ES", email="warm@acme.example")
    house.meeting(warm, ago_s=20 * DAY_S)
    house.meeting(warm, ago_s=300 * DAY_S)
    house.sync()
    before = house.json("explain", "warm@acme.example")
    assert meetings(house) == [20, 300]
    path = house.folder / "syncer.yml"
    path.write_text(path.read_text().replace("sync: {", "sync: {keep_activities: 90d, "))
    assert house.sync().counts["dropped"] == 1
    assert meetings(house) == [20]
    late = house.meeting(warm, ago_s=95 * DAY_S)
    for asked in (Asked(), Asked(full=True)):
        assert house.sync(asked).counts["dropped"] == 0
        assert meetings(house) == [20], late
    after = house.json("explain", "warm@acme.example")
    assert [line["rule"] for line in after["contributions"]] == [line["rule"] for line in before["contributions"]]
    assert abs(after["total"] - before["total"]) < 0.1, "it fades by the hour"
