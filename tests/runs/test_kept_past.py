"""Whole runs leave behind what a replay needs, and nothing where nothing happened."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import func, select

from syncer.store import runs
from syncer.store.tables import past_activities, past_versions
from tests.runs.house import MODEL, House

LONG_AGO, LATER = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def test_each_run_keeps_the_rules_it_decided_by_once(house: House) -> None:
    house.setup()
    house.person(country="ES")
    house.sync()
    house.sync()
    house.write_project(MODEL.replace("points: 10}", "points: 11}"))
    house.sync()
    with house.app() as app, app.store.reading() as tx:
        kept = [rules for _, rules in runs.rules_between(tx, "crm", LONG_AGO, LATER)]
        assert kept[-1] == app.parts("crm").project.segments
    assert [rules[0].model.dimensions[2].rules[0].points for rules in kept] == [1000, 1100]


def test_the_echo_of_our_own_writes_costs_no_row_of_the_past_and_an_edit_costs_one(house: House) -> None:
    def rows() -> list[int]:
        counted = [select(func.count()).select_from(table) for table in (past_versions, past_activities)]
        with house.app() as app, app.store.reading() as tx:
            return [tx.execute(each).scalar_one() for each in counted]

    house.setup()
    person = house.person(country="ES")
    house.meeting(person)
    house.sync()
    house.sync()
    assert rows() == [0, 0]
    house.edit(person, country="MX")
    house.sync()
    assert rows() == [1, 0]
