"""Real leads through the whole chain: into the emulated portal over its API, scored, written back, told to nobody."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from connectors.emulators.hubspot import Limits
from tests.reporting import FIGURES
from tests.runs import x_education
from tests.runs.house import House, house_on

ROOT = Path(__file__).parents[2]
TABLE = ROOT / ".." / "shared" / "data" / "x_education.csv"
PAGE, BATCH, SEARCH_PAGE = 100, 100, 200  # HubSpot's limits: list, batch read and update, search
ONCE_A_RUN = 1  # whose portal it is
ONCE_A_FIRST_RUN = 6  # at most: how many there are, the properties, and pages cut where the list is walked at once
HOT = ("mql", "sql")  # the stages that stand for one of HubSpot's own

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not TABLE.is_file(), reason="the real leads are not here")]


@pytest.fixture
def education(tmp_path: Path, database_url: str) -> Iterator[House]:
    """The real leads in a portal with no limits but its page sizes, and the shipped model."""
    with house_on(tmp_path, database_url) as house:
        shutil.copy(ROOT / "config" / "models" / "education.yml", tmp_path / "model.yml")
        house.write_project(model=None)
        _import(house)
        house.setup()
        house.forget_calls()
        yield house


def _import(house: House) -> None:
    group = {"name": x_education.GROUP, "label": x_education.GROUP_LABEL}
    house.api("POST", "/crm/v3/properties/contacts/groups", **group)
    house.api("POST", "/crm/v3/properties/contacts/batch/create", inputs=list(x_education.definitions()))
    people = [{"properties": x_education.contact_of(row)} for row in x_education.rows(TABLE)]
    for first in range(0, len(people), BATCH):
        house.api("POST", "/crm/v3/objects/contacts/batch/create", inputs=people[first : first + BATCH])


def _shown(house: House) -> Mapping[str, str]:
    """E-mail -> stage, as the portal shows them."""
    people = house.control("dump", objectType="contacts")["results"]
    return {each["properties"]["email"]: each["properties"]["ls_stage"] for each in people}


def test_every_real_lead_is_scored_and_written_and_the_stages_tell_who_converts(
    education: House, record_property: Callable[[str, object], None]
) -> None:
    report = education.sync()
    shown = _shown(education)
    converted = x_education.outcomes(x_education.rows(TABLE))
    assert report.counts["scored"] == report.counts["written"] == len(shown) == len(converted) == 6468
    assert education.told() == []
    shares = x_education.converted_share(shown, converted, ("cold", "iql", "mql", "sql"))
    base = x_education.base_rate(converted)
    told = ", ".join(f"{each.stage}: {each.leads} leads, {each.share:.1%} converted" for each in shares)
    record_property(FIGURES, f"{len(shown)} real leads, {base:.1%} converted; {told}")
    record_property(FIGURES, f"first run: {_calls(report.counts)}")
    rising = [share.share for share in shares]
    assert rising == sorted(set(rising))
    assert rising[-1] >= 2 * base
    _assert_calls_are_what_the_batches_demand(report.counts, shown)


def _assert_calls_are_what_the_batches_demand(counts: Mapping[str, int], shown: Mapping[str, str]) -> None:
    leads, hot = len(shown), sum(stage in HOT for stage in shown.values())
    pages, batches = math.ceil(leads / PAGE), math.ceil(leads / BATCH)
    assert counts["write_calls"] == batches + math.ceil(hot / BATCH)  # scores; HubSpot's own stage by itself
    # The list, and every lead read back before its stage is written.
    assert 0 <= counts["read_calls"] - pages - batches - ONCE_A_RUN <= ONCE_A_FIRST_RUN


def _calls(counts: Mapping[str, int]) -> str:
    return f"{counts['read_calls']} read calls, {counts['write_calls']} write calls"


def test_a_second_run_over_real_leads_makes_no_write_call(
    education: House, record_property: Callable[[str, object], None]
) -> None:
    education.sync()
    education.forget_calls()
    report = education.sync()
    assert education.writes() == 0
    assert report.counts["write_calls"] == 0
    searched, echoed = math.ceil(6468 / SEARCH_PAGE), math.ceil(6468 / BATCH)  # our own writes come back
    record_property(FIGURES, f"second run: {_calls(report.counts)}")
    assert report.counts["read_calls"] == searched + echoed + ONCE_A_RUN


def test_real_limits_slow_the_run_down_but_lose_nothing(tmp_path: Path, database_url: str) -> None:
    if not database_url.startswith("sqlite"):
        pytest.skip("the limits are the portal's; one database shows it")
    with house_on(tmp_path, database_url, limits=Limits()) as house:
        house.setup()
        people = [{"properties": {"email": f"p{n}@acme.example", "country": "ES"}} for n in range(1500)]
        for first in range(0, len(people), BATCH):
            house.api("POST", "/crm/v3/objects/contacts/batch/create", inputs=people[first : first + BATCH])
        assert house.sync().counts["written"] == 1500
        assert house.sync().counts["write_calls"] == 0
