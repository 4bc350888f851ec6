"""Short forms of what `python -m tests.fleet` does at length."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

import pytest

from tests.fleet import chaos, soak
from tests.fleet.life import Script
from tests.fleet.moving import move
from tests.fleet.outcome import astray

WHEN = datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where the server's own user may go, too: pytest's folders are for us alone."""
    path = Path(mkdtemp(prefix="fleet-"))
    path.chmod(0o755)
    yield path
    rmtree(path, ignore_errors=True)


def test_a_life_is_the_same_whenever_it_is_told_and_nobody_acts_twice() -> None:
    script = Script(["p00", "p01"], 40, 30.0, WHEN)
    acts = script.acts()
    assert acts == Script(["p00", "p01"], 40, 30.0, WHEN + timedelta(days=1)).acts()
    assert len({(act.portal, act.contact) for act in acts}) == len(acts)
    assert {act.kind for act in acts} == {"meeting", "call", "arrives", "leaves", "by_hand"}
    assert all(script.stages(act.portal)[str(act.contact)] == act.stage for act in acts)


@pytest.mark.slow
def test_a_fleet_that_is_killed_and_frozen_ends_as_one_that_is_left_alone(folder: Path) -> None:
    asked = chaos.Asked(seconds=10, workers=2, connections=4, contacts=15, every="2s")
    lines = {line.what: line for line in chaos.chaos(folder, asked)}
    wrong = [f"{line.what}: {line.found}" for line in lines.values() if line.right is False]
    assert not wrong, chaos.table(list(lines.values()))
    assert lines["kill -9 / SIGSTOP past the lease"].found == "2 / 1"


@pytest.mark.slow
def test_state_and_configuration_move_from_a_daemon_to_workers_and_nobody_is_told_twice(folder: Path) -> None:
    moved = move(folder, connections=3, contacts=20)
    assert moved.cursors_kept
    assert 0 < moved.told_before < len(moved.ended.told)
    assert set(moved.received.values()) == {1}
    assert len(moved.received) == len(moved.ended.told)
    assert not any(astray(moved.farm, moved.ended).values()), astray(moved.farm, moved.ended)
    assert not moved.ended.unwritten()
    assert all(0 <= read < 20 for read in moved.read_first.values()), "of 20 contacts only those that have changed"


@pytest.mark.slow
def test_a_daemon_in_trouble_of_every_kind_loses_nothing(folder: Path) -> None:
    asked = soak.Asked(minutes=0.15, connections=3, contacts=15, every="2s", sample_s=1.0, restarts=1)
    lines = {line.what: line for line in soak.soak(folder, asked)}
    lasting = {"memory", "open files"}  # half an hour shows these
    wrong = [f"{what}: {line.found}" for what, line in lines.items() if line.right is False and what not in lasting]
    assert not wrong
