"""A house around an emulated portal, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runs.house import House, house_on


@pytest.fixture
def house(tmp_path: Path, database_url: str) -> Iterator[House]:
    with house_on(tmp_path, database_url) as built:
        yield built
