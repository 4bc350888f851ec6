"""The spreadsheet connector passes the suite, on CSV files and on workbooks."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.conformance import CHECKS, Check
from tests.connectors.spreadsheet.accounts import FolderAccount


@pytest.mark.parametrize("ending", [".csv", ".xlsx"])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_it_conforms(check: Check, ending: str, tmp_path: Path) -> None:
    check(FolderAccount(tmp_path, ending))
