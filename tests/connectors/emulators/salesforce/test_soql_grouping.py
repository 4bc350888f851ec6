"""Aggregates, groups, HAVING."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.emulators.salesforce.clock import Clock
from connectors.emulators.salesforce.org import Org

Row = dict[str, Any]
STATUSES = ["Open - Not Contacted", "Working - Contacted", "Nurture"]
ROWS: list[Row] = [
    {
        "LastName": f"L{n}",
        "Company": "C",
        "Status": STATUSES[n % 3],
        "Rating": [None, "Hot", "Cold"][n % 7 % 3],
        "AnnualRevenue": None if n % 4 == 0 else float(n),
        "NumberOfEmployees": n,
        "CreatedDate": f"202{n % 3 + 4}-{n % 12 + 1:02d}-03T23:30:00.000+0000",
    }
    for n in range(40)
]


@pytest.fixture(scope="module")
def org() -> Org:
    made = Org.stock(Clock(datetime(2026, 11, 22, 12, tzinfo=UTC), frozen=True))
    made.load("Lead", ROWS)
    return made


def rows(org: Org, soql: str) -> list[Row]:
    result = org.query(soql)
    assert result.kind == "aggregate"
    found = result.page(0, 2000)
    assert all(row["attributes"] == {"type": "AggregateResult"} for row in found)
    return [{name: value for name, value in row.items() if name != "attributes"} for row in found]


def test_a_bare_count_has_no_rows(org: Org) -> None:
    result = org.query("SELECT COUNT() FROM Lead WHERE Status = 'Nurture'")
    assert (result.kind, result.total_size, result.page(0, 10)) == ("count", 13, [])


def test_aggregates_over_everything_leave_out_empty_values(org: Org) -> None:
    revenues = [row["AnnualRevenue"] for row in ROWS if row["AnnualRevenue"] is not None]
    found = rows(
        org,
        "SELECT COUNT(Id), COUNT(AnnualRevenue) filled, COUNT_DISTINCT(Status), SUM(AnnualRevenue), "
        "AVG(AnnualRevenue) mean, MIN(LastName), MAX(NumberOfEmployees), SUM(NumberOfEmployees) FROM Lead",
    )
    assert found == [
        {
            "expr0": 40,
            "filled": 30,
            "expr1": 3,
            "expr2": sum(revenues),
            "mean": sum(revenues) / 30,
            "expr3": "L0",
            "expr4": 39,
            "expr5": sum(range(40)),
        }
    ]


def test_a_function_that_only_changes_the_look_may_stand_around_an_aggregate(org: Org) -> None:
    assert rows(org, "SELECT FORMAT(MIN(LastName)) first FROM Lead") == [{"first": "L0"}]


def test_aggregates_of_nothing_are_zero_or_null(org: Org) -> None:
    found = rows(org, "SELECT COUNT(Id) n, SUM(AnnualRevenue) s, MAX(Name) m FROM Lead WHERE Name = 'nobody'")
    assert found == [{"n": 0, "s": None, "m": None}]
    assert rows(org, "SELECT Status, COUNT(Id) FROM Lead WHERE Name = 'nobody' GROUP BY Status") == []


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    keys=st.lists(st.sampled_from(["Status", "Rating", "Company"]), min_size=1, unique=True), least=st.integers(0, 8)
)
def test_groups_and_having_count_as_python_does(org: Org, keys: list[str], least: int) -> None:
    counted = Counter(tuple(row[key] for key in keys) for row in ROWS)
    names = ", ".join(keys)
    found = rows(org, f"SELECT {names}, COUNT(Id) n FROM Lead GROUP BY {names} HAVING COUNT(Id) >= {least}")
    assert {tuple(row[key] for key in keys): row["n"] for row in found} == {
        key: number for key, number in counted.items() if number >= least
    }


def test_groups_can_be_ordered_by_an_aggregate_or_its_alias_and_cut(org: Org) -> None:
    by_function = rows(
        org, "SELECT Status, SUM(NumberOfEmployees) s FROM Lead GROUP BY Status ORDER BY SUM(NumberOfEmployees) DESC"
    )
    by_alias = rows(
        org, "SELECT Status, SUM(NumberOfEmployees) s FROM Lead GROUP BY Status ORDER BY s LIMIT 2 OFFSET 1"
    )
    assert [row["s"] for row in by_function] == [273, 260, 247]
    assert [row["s"] for row in by_alias] == [260, 273]


def test_conditions_of_having_can_be_combined(org: Org) -> None:
    found = rows(
        org,
        "SELECT Status FROM Lead GROUP BY Status "
        "HAVING (COUNT(Id) > 13 OR MAX(NumberOfEmployees) = 38) AND Status != ''",
    )
    assert [row["Status"] for row in found] == ["Nurture", "Open - Not Contacted"]


def test_dates_are_grouped_by_their_parts_in_utc_or_in_the_users_zone(org: Org) -> None:
    found = rows(org, "SELECT CALENDAR_YEAR(CreatedDate) y, COUNT(Id) n FROM Lead GROUP BY CALENDAR_YEAR(CreatedDate)")
    assert [(row["y"], row["n"]) for row in found] == [(2024, 14), (2025, 13), (2026, 13)]
    hours = "SELECT HOUR_IN_DAY(convertTimezone(CreatedDate)) h FROM Lead WHERE CALENDAR_MONTH(CreatedDate) = {} "
    winter = rows(org, hours.format(1) + "GROUP BY HOUR_IN_DAY(convertTimezone(CreatedDate))")
    summer = rows(org, hours.format(7) + "GROUP BY HOUR_IN_DAY(convertTimezone(CreatedDate))")
    assert (winter, summer) == ([{"h": 15}], [{"h": 16}])


def test_a_group_by_a_parents_field_is_named_after_the_field(org: Org) -> None:
    assert rows(org, "SELECT Owner.Name, COUNT(Id) n FROM Lead GROUP BY Owner.Name") == [{"Name": "Ada Admin", "n": 40}]


def test_rollup_and_cube_add_subtotals_with_empty_keys(org: Org) -> None:
    rolled = rows(org, "SELECT Status, Rating, COUNT(Id) n FROM Lead GROUP BY ROLLUP(Status, Rating)")
    totals = [row for row in rolled if row["Status"] is None]
    assert totals == [{"Status": None, "Rating": None, "n": 40}]
    cube = rows(org, "SELECT Status, Company, COUNT(Id) n FROM Lead GROUP BY CUBE(Status, Company)")
    assert {"Status": None, "Company": "C", "n": 40} in cube
    assert len(cube) == 3 + 3 + 1 + 1
