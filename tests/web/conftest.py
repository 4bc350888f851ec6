"""What the tests of the door share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from syncer.queries import passwords
from tests.web.guests import Inn, inn_on_sqlite
from tests.web.pages import Pages, demo_folder, pages_over
from tests.web.sales import Sales, on_sqlite


@pytest.fixture
def sales(tmp_path: Path, sqlite_template: Path) -> Iterator[Sales]:
    with on_sqlite(tmp_path, sqlite_template) as opened:
        yield opened


@pytest.fixture(scope="session")
def demo_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's project and database; never opened itself."""
    return demo_folder(tmp_path_factory.mktemp("demo"))


@pytest.fixture
def pages(tmp_path: Path, demo_template: Path) -> Iterator[Pages]:
    with pages_over(demo_template, tmp_path / "pages") as opened:
        yield opened


@pytest.fixture(scope="module")
def lasting_pages(tmp_path_factory: pytest.TempPathFactory, demo_template: Path) -> Iterator[Pages]:
    """For tests that leave nothing behind."""
    with pages_over(demo_template, tmp_path_factory.mktemp("pages") / "pages") as opened:
        yield opened


@pytest.fixture
def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords are hashed in no time."""
    monkeypatch.setattr(passwords, "_HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    passwords._nobody.cache_clear()


@pytest.fixture
def inn(tmp_path: Path, sqlite_template: Path) -> Iterator[Inn]:
    with inn_on_sqlite(tmp_path, sqlite_template) as opened:
        yield opened
