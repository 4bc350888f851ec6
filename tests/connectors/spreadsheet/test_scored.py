"""The scored workbook as it is read back, whatever people have done to it meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import openpyxl
import pytest

from connectors.spreadsheet import scored
from connectors.spreadsheet.scored import KEY, ScoredRow, Typed
from syncer.errors import ConfigError
from syncer.sheets.cells import Cell
from syncer.sheets.writing import WRITER, write_table


def workbook(path: Path, headings: Sequence[str], *rows: Sequence[Cell]) -> Path:
    write_table(path, headings, rows)
    return path


def test_a_file_that_is_not_there_yet_shows_nothing(tmp_path: Path) -> None:
    assert dict(scored.rows(tmp_path / "leads.scored.xlsx")) == {}
    assert scored.last_saved_by(tmp_path / "leads.scored.xlsx") is None


def test_columns_of_the_users_own_that_are_called_like_ours_are_not_ours(tmp_path: Path) -> None:
    headings = ("Stage", "Score", "Why", "Score", "Stage", "Why", KEY)
    path = workbook(tmp_path / "a.xlsx", headings, ("theirs", 1, "theirs", 42.5, "mql", "ours", "ana"))
    assert dict(scored.rows(path)) == {"ana": ScoredRow(4250, "mql", "ours")}
    assert scored.places(("Stage", "Reason")) is None
    assert scored.places(("Score", "Stage")) is None


def test_people_may_move_the_manual_columns_and_put_others_between_them(tmp_path: Path) -> None:
    headings = ("Etapa manual", "Notas", KEY, "Hasta", "Puntuación", "Etapa", "Por qué", "Motivo")
    path = workbook(tmp_path / "a.xlsx", headings, ("sql", "x", "ana", "31/01/2027", 7, None, None, "=called"))
    assert dict(scored.rows(path)) == {"ana": ScoredRow(700, None, None, Typed("sql", "=called", None, "31/01/2027"))}


def test_what_stands_in_the_score_may_be_anything_and_rows_without_a_name_are_left_out(tmp_path: Path) -> None:
    headings = ("Score", "Stage", "Why", KEY)
    rows: list[Sequence[Cell]] = [("high", " mql ", None, "ana"), (True, None, None, "luis"), (-3, "", "", "rosa")]
    rows.append((9, "sql", None, None))
    path = workbook(tmp_path / "a.xlsx", headings, *rows)
    assert dict(scored.rows(path)) == {
        "ana": ScoredRow(None, "mql"),
        "luis": ScoredRow(),
        "rosa": ScoredRow(-300),
    }


@pytest.mark.parametrize("headings", [("Score", "Stage", "Why"), ("Score", "Stage", KEY), ("Mine", KEY)])
def test_a_workbook_that_lost_one_of_our_columns_is_refused_in_words(tmp_path: Path, headings: tuple[str, ...]) -> None:
    path = workbook(tmp_path / "leads.scored.xlsx", headings, headings)
    with pytest.raises(
        ConfigError, match=r"^leads\.scored\.xlsx: .* lacks one of the columns Score, Stage, Why"
    ) as told:
        dict(scored.rows(path))
    assert told.value.code == "SY183"


def test_who_saved_a_workbook_last_is_a_person_or_nobody(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", ("a",), (1,))
    book = openpyxl.load_workbook(path)
    assert book.properties.lastModifiedBy == WRITER
    assert scored.last_saved_by(path) is None
    book.properties.lastModifiedBy = " Marta Gil "
    book.save(path)
    assert scored.last_saved_by(path) == "Marta Gil"
    path.write_bytes(path.read_bytes()[:300])
    assert scored.last_saved_by(path) is None
