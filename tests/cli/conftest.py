"""A house on SQLite, and a terminal in its folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncer import retry
from tests.runs.house import ENVIRONMENT, House, house_on
from tests.terminal import Terminal


@pytest.fixture
def house(tmp_path: Path, sqlite_template: Path) -> Iterator[House]:
    shutil.copy(sqlite_template, tmp_path / "syncer.db")
    with house_on(tmp_path, f"sqlite:///{tmp_path / 'syncer.db'}") as built:
        yield built


@pytest.fixture
def base(house: House) -> House:
    """Three leads, synced once: a stranger, one who fits, and one who is interested as well."""
    house.setup()
    house.person(country="FR", email="stranger@acme.example")
    house.person(country="ES", email="fits@acme.example")
    warm = house.person(country="MX", jobtitle="Directora de compras", email="warm@acme.example")
    house.meeting(warm)
    house.sync()
    return house


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    """In the folder of the test, where `house` has its project; with the house's secrets."""
    return Terminal(tmp_path, ENVIRONMENT)


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses between the tries of one request last no time."""
    monkeypatch.setattr(retry, "wait", lambda seconds, stop: None)
