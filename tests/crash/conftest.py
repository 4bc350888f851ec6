"""What the crash tests share: a world and its scenes for each kind of database, made once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.telling import Sales, sales
from tests.crash.world import Files, Server, Undisturbed, built


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def undisturbed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Undisturbed]:
    folder = tmp_path_factory.mktemp(f"crash-{request.param}")
    yield from _undisturbed(request, folder, request.param)


@pytest.fixture(scope="module")
def on_sqlite(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Undisturbed]:
    yield from _undisturbed(request, tmp_path_factory.mktemp("crash-random"), "sqlite")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sales]:
    folder = tmp_path_factory.mktemp(f"telling-{request.param}")
    databases = Files(folder) if request.param == "sqlite" else Server(request.getfixturevalue("postgresql"))
    database = databases.empty()
    with sales(folder, database, request.param) as everybody:
        yield everybody
    databases.drop(database)


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


_BOTH = ["sqlite", "postgresql"]


@pytest.fixture(scope="module", params=_BOTH if os.environ.get("SYNCER_TEST_SIGTERM") else _BOTH[:1])
def sigterm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Undisturbed]:
    """By hand on both kinds."""
    folder = tmp_path_factory.mktemp(f"sigterm-{request.param}")
    yield from _undisturbed(request, folder, request.param)
