"""Tables on narrow terminals."""

from __future__ import annotations

import pytest

from syncer.cli.output import show, table

ROWS = [
    ["25 Jan 2026 12:00", "10", "30.25", "1,040.25", ""],
    ["activities", "·", "-12.25", "-1,012.25", "-12.25 Came to a meeting (20 Nov 2026)"],
]


@pytest.mark.parametrize("width", [1, 10, 40, 60, 200])
def test_on_any_terminal_numbers_stay_whole_and_labels_stay_words(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    show(table([("", "left"), ("fit", "right"), ("engagement", "right"), ("total", "right"), ("Mostly", "left")], ROWS))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1:4] for line in lines if line.startswith("activities")] == [["·", "-12.25", "-1,012.25"]]
    assert any({"10", "30.25", "1,040.25"} <= set(line.split()) for line in lines)


def test_a_table_is_as_narrow_as_the_terminal_where_its_words_allow_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "45")
    show(table([("", "left"), ("fit", "right"), ("engagement", "right"), ("total", "right"), ("Mostly", "left")], ROWS))
    assert max(map(len, capsys.readouterr().out.splitlines())) == 45
