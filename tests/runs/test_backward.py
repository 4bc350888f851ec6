"""HubSpot's own lifecycle stage on the way back, through whole runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from connectors.hubspot import HubSpot
from syncer.parts import Asked
from syncer.run import sync
from syncer.store import write_backs
from tests.runs.house import House

pytestmark = pytest.mark.slow  # many whole runs each

TWICE_FELL = ("salesqualifiedlead", "", "marketingqualifiedlead")


class Died(BaseException):
    """The process is gone; nothing that comes after is done."""


@pytest.fixture
def fallen(house: House) -> str:
    """A lead that was SQL at the last run, and that is to be MQL at the next."""
    path = Path(house.folder / "syncer.yml")
    mapped = "lifecyclestage: {mql: marketingqualifiedlead, sql: salesqualifiedlead}"
    path.write_text(path.read_text().replace(mapped, f"{mapped}\n      backward: clear"))
    house.setup()
    warm = house.person(country="MX", jobtitle="Directora de compras")
    first, _ = house.meeting(warm), house.meeting(warm)
    house.sync()
    assert house.shown(warm)["lifecyclestage"] == "salesqualifiedlead"
    house.api("DELETE", f"/crm/v3/objects/meetings/{first}")
    house.edit(warm, city="Toledo")
    return warm


def values(house: House, person: str) -> list[str]:
    """Every lifecycle stage the contact has had since it was sales qualified, the oldest first."""
    versions = house.portal.shelves["contacts"].live[int(person)].versions("lifecyclestage")
    found = [version.value for version in reversed(versions)]
    return found[found.index("salesqualifiedlead") :]


def test_a_lead_that_falls_back_takes_hubspots_stage_with_it_and_stays_ours(house: House, fallen: str) -> None:
    house.sync(Asked(full=True))
    assert (house.shown(fallen)["ls_stage"], values(house, fallen)) == ("mql", list(TWICE_FELL))
    house.sync()
    assert house.json("explain", fallen)["held_by"] == "rules", "our own emptying was taken for a person's word"
    assert house.told() == []
    house.forget_calls()
    house.sync(Asked(full=True))
    assert house.writes() == 0


@pytest.mark.parametrize("writes", [1, 2])
def test_a_process_that_dies_between_emptying_and_setting_is_made_good(house: House, fallen: str, writes: int) -> None:
    house.pass_time()
    with house.app() as app:
        parts = app.parts("crm")
        assert isinstance(parts.source, HubSpot)
        client = parts.source._writer._client
        client.write = _dying_after(writes, client.write)  # type: ignore[method-assign]
        with pytest.raises(Died):
            sync(parts, Asked(full=True))
    assert tuple(values(house, fallen)) == TWICE_FELL[: 1 + writes]
    house.sync()
    house.sync()
    assert (house.shown(fallen)["ls_stage"], tuple(values(house, fallen))) == ("mql", TWICE_FELL)
    assert house.json("explain", fallen)["held_by"] == "rules"
    with house.app() as app, app.store.reading() as tx:
        assert write_backs.counts(tx, "crm")["pending"] == 0


def test_a_portal_that_refuses_the_stage_after_the_emptying_is_asked_again(house: House, fallen: str) -> None:
    house.control("faults", faults=[{"path": "contacts/batch/update", "status": 400, "skip": 1, "times": 1}])
    report = house.sync(Asked(full=True))
    assert report.counts["refused"] == 1
    assert house.shown(fallen)["lifecyclestage"] == "salesqualifiedlead"  # put back: empty would be worse
    house.sync(Asked(full=True))
    assert house.shown(fallen)["ls_stage"] == "mql"
    assert house.shown(fallen)["lifecyclestage"] == "marketingqualifiedlead"
    assert house.told() == []


def _dying_after(requests: int, write: Callable[..., Any]) -> Callable[..., Any]:
    left = [requests]

    def writing(*given: Any, **named: Any) -> Any:
        answer = write(*given, **named)
        left[0] -= 1
        if not left[0]:
            raise Died
        return answer

    return writing
