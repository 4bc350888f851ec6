"""What the crash tests share: a world and its scenes for each kind of database, made once; and the table at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.world import Files, Server, Undisturbed, built

COLUMNS = ("kills", "restarts", "lost", "doubled", "mails lost", "mails repeated", "leads that differ")
TALLIES = pytest.StashKey[dict[tuple[str, str], Counter[str]]]()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def undisturbed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Undisturbed]:
    folder = tmp_path_factory.mktemp(f"crash-{request.param}")
    yield from _undisturbed(request, folder, request.param)


@pytest.fixture(scope="module")
def on_sqlite(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Undisturbed]:
    yield from _undisturbed(request, tmp_path_factory.mktemp("crash-random"), "sqlite")


def _undisturbed(request: pytest.FixtureRequest, folder: Path, name: str) -> Iterator[Undisturbed]:
    databases = Files(folder) if name == "sqlite" else Server(request.getfixturevalue("postgresql"))
    with built(folder, databases) as world:
        fresh = world.scene(databases.empty())
        database = world.go_back(fresh)
        assert world.finish(world.order(database, world.times.baseline)) == 1
        world.act()
        acted = world.scene(database)
        database = world.go_back(acted)
        for now in (world.times.second, world.times.later):
            assert world.finish(world.order(database, now)) == 1
        end = world.end_state(database)
        databases.drop(database)
        yield Undisturbed(world, name, fresh, acted, end)
        for scene in (fresh, acted):
            databases.drop(scene.database)


@pytest.fixture(scope="session")
def tallies(pytestconfig: pytest.Config) -> dict[tuple[str, str], Counter[str]]:
    """(step, database) -> what was counted; shown when all is done."""
    return pytestconfig.stash.setdefault(TALLIES, {})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    tallies = config.stash.get(TALLIES, {})
    if not tallies:
        return
    terminalreporter.section("processes killed")
    terminalreporter.write_line(f"{'step':8}{'database':12}" + "".join(f"{name:>19}" for name in COLUMNS))
    for (step, database), counts in tallies.items():
        shown = "".join(f"{counts[name]:>19}" for name in COLUMNS)
        terminalreporter.write_line(f"{step:8}{database:12}{shown}")
