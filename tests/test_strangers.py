"""Texts of strangers, made to take long: whatever looks at them is done in a moment."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from connectors.hubspot import marks as hubspot_marks
from connectors.salesforce import marks as salesforce_marks
from syncer.errors import ConfigError
from syncer.handoff.text import chat_safe, clipped, is_address, slack_safe, web_link
from syncer.scoring.values import domain, fold, moment_ms, number
from syncer.settings import Problem, SettingsError
from syncer.settings.source import Report, read_yaml
from syncer.sheets.archives import insist_bounded

LONG = 100_000
_PATIENCE_S = 3.0  # on a busy machine; a cost that grows with the square of the length is ten times as long


@contextmanager
def in_a_moment() -> Iterator[None]:
    began = time.process_time()
    yield
    assert time.process_time() - began < _PATIENCE_S


@pytest.mark.parametrize("keys_in", [hubspot_marks.keys_in, salesforce_marks.keys_in])
@pytest.mark.parametrize("piece", ["\n", " ", "<", "<a ", "syncer:", "syncer: ", "\nsyncer:", "syncer:\n", "&", "&amp"])
def test_the_text_of_a_task(keys_in: Callable[[str], frozenset[str]], piece: str) -> None:
    with in_a_moment():
        found = keys_in(piece * (LONG // len(piece)) + "\nsyncer: here/crm/1#1\n")
    assert "here/crm/1#1" in found


@pytest.mark.parametrize("piece", ["a", "a.", "@", "a@", "1", "1.", "&", "<", " ", "\u0301", "é", "2026-01-01T", "e1"])
def test_the_value_of_a_field(piece: str) -> None:
    text = piece * (LONG // len(piece))
    with in_a_moment():
        for look in (domain, number, moment_ms, fold, is_address, chat_safe, web_link):
            look(text)
            look(f"a@{text} !")
        assert len(slack_safe(text, 300)) <= 300
        assert len(clipped(text, 300)) <= 300


@pytest.mark.parametrize("name", ["xl/worksheets/sheet1.xml", "content.xml"])
@pytest.mark.parametrize(
    "piece",
    ['<c r="A1" ', '<row r="1" ', "<c>", '<c r="A1"', ' r="A1"', "<table:table-row ", "<table:table x='1'", "<a:"],
)
def test_a_workbook(tmp_path: Path, name: str, piece: str) -> None:
    path = tmp_path / "long.xlsx"
    far = '<c r="XFD1048576"><v>1</v></c><c r="XFD1048576" />'  # so that each cell is looked at
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(name, f"{far}<c {piece * (LONG * 2 // len(piece))}")
    with in_a_moment():
        try:
            insist_bounded(path)
        except ConfigError:
            return  # that it is a trap has been told


@pytest.mark.parametrize(
    "piece", ["a", "password", "password ", "password:", "token: '", "secret-", ": ", "{", "${", "[", "&a "]
)
def test_a_settings_file(tmp_path: Path, piece: str) -> None:
    path = tmp_path / "syncer.yml"
    path.write_text(piece * (LONG // len(piece)))
    report = Report(tmp_path)
    with in_a_moment():
        read_yaml(path, report)
        if report.problems:
            with pytest.raises(SettingsError) as told:
                report.raise_if_any()
            assert all(isinstance(each, Problem) for each in told.value.problems)
