"""What the tests of the door share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web.sales import Sales, on_sqlite


@pytest.fixture
def sales(tmp_path: Path, sqlite_template: Path) -> Iterator[Sales]:
    with on_sqlite(tmp_path, sqlite_template) as opened:
        yield opened
