"""Tables out: what a spreadsheet program makes of them, and what a crash or an open file leaves behind."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.errors import ConfigError, TemporaryError
from syncer.sheets import writing
from syncer.sheets.cells import Cell
from syncer.sheets.writing import DIALECTS, Column, Dialect, csv_text, write_csv, write_table

SLY = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "＝1+1", "{=1}", "http://a.example", "0012"]


def cells_of(path: Path) -> list[list[object]]:
    book = openpyxl.load_workbook(path)
    try:
        return [[cell.value for cell in row] for row in book.worksheets[0].iter_rows()]
    finally:
        book.close()


def test_values_keep_their_kind_and_no_text_becomes_a_formula_a_link_or_a_number(tmp_path: Path) -> None:
    path = tmp_path / "out.xlsx"
    moments = [datetime.fromisoformat(each) for each in ("2026-11-03", "2026-11-03T09:05")]
    row: list[Cell] = [*SLY, -5, 1.5, True, moments[0].date(), moments[1], 10**20, float("nan"), None]
    write_table(path, [f"c{number}" for number in range(len(row))], [row])
    book = openpyxl.load_workbook(path)
    kinds = [cell.data_type for cell in book.worksheets[0][2]]
    assert kinds[: len(SLY)] == ["s"] * len(SLY)
    shown = cells_of(path)[1]
    assert shown[: len(SLY)] == [each.replace("\r", "_x000D_") for each in SLY]
    assert shown[len(SLY) :] == [-5, 1.5, True, *moments, str(10**20), "nan", None]
    with zipfile.ZipFile(path) as parts:
        sheet = parts.read("xl/worksheets/sheet1.xml").decode()
    assert "<f>" not in sheet
    assert "hyperlink" not in sheet


def test_days_before_the_calendar_of_spreadsheets_and_what_xml_cannot_hold_are_texts(tmp_path: Path) -> None:
    path = tmp_path / "out.xlsx"
    write_table(path, ["a", "b", "c"], [[date(1850, 1, 1), "a\ud800b\uffff", "x" * 40_000]])
    _, (day, broken, long) = cells_of(path)
    assert (day, broken) == ("1850-01-01", "a�b�")
    assert isinstance(long, str)
    assert (len(long), long[-5:]) == (writing.LONGEST_TEXT, "[cut]")


def test_the_sheet_is_frozen_filtered_coloured_and_offers_the_stages(tmp_path: Path) -> None:
    path = tmp_path / "out.xlsx"
    stages = ("cold", "mql", "sql")
    columns = [Column("Stage", tones=stages), Column("Manual", "typed", choices=stages), Column("key", hidden=True)]
    write_table(path, columns, [["sql", None, "1"], ["cold", None, "2"]], language="es")
    sheet = openpyxl.load_workbook(path).worksheets[0]
    assert (sheet.freeze_panes, sheet.auto_filter.ref) == ("A2", "A1:C3")
    (offer,) = sheet.data_validations.dataValidation
    assert (offer.formula1, str(offer.sqref)) == ('"cold,mql,sql"', "B2:B3")
    assert sorted(rule.formula[0] for area in sheet.conditional_formatting for rule in area.rules) == [
        '"cold"',
        '"mql"',
        '"sql"',
    ]
    assert sheet.column_dimensions["C"].hidden
    assert (sheet.column_dimensions["A"].width or 0) >= 9


def test_a_text_of_several_lines_makes_no_row_higher(tmp_path: Path) -> None:
    path = tmp_path / "out.xlsx"
    write_table(path, [Column("Why", "text")], [["first\nsecond\nthird"]])
    sheet = openpyxl.load_workbook(path).worksheets[0]
    form = sheet.sheet_format
    assert (form.defaultRowHeight, form.customHeight, sheet["A2"].alignment.wrap_text) == (15.75, True, True)


def test_whoever_has_the_file_open_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "leads.xlsx"
    path.write_bytes(b"old")
    for lock, content in (
        ("~$leads.xlsx", bytes([3]) + b"Ana" + b" " * 51 + b"A\0n\0a\0"),
        (".~lock.leads.xlsx#", b",Ana,desk,22.11.2026 10:00,file:///x;"),
    ):
        (tmp_path / lock).write_bytes(content)
        with pytest.raises(TemporaryError, match=r"leads\.xlsx is open in a spreadsheet program by Ana; close it"):
            write_table(path, ["a"], [["1"]])
        (tmp_path / lock).unlink()
    assert path.read_bytes() == b"old"
    write_table(path, ["a"], [["1"]])
    assert cells_of(path) == [["a"], ["1"]]


def test_a_file_saved_by_somebody_while_it_is_written_stays_theirs(tmp_path: Path) -> None:
    path = tmp_path / "leads.xlsx"
    write_table(path, ["a"], [["1"]])

    def rows() -> Iterator[Sequence[Cell]]:
        yield ["2"]
        path.write_bytes(b"saved by Ana just now")

    with pytest.raises(TemporaryError, match="was changed while it was being written"):
        write_table(path, ["a"], rows())
    assert path.read_bytes() == b"saved by Ana just now"


def test_an_error_in_the_middle_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "leads.xlsx"
    path.write_bytes(b"old")

    def rows() -> Iterator[Sequence[Cell]]:
        yield ["1"]
        raise ValueError("the source broke")

    with pytest.raises(ValueError, match="the source broke"):
        write_table(path, ["a"], rows())
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["leads.xlsx"]


_WRITES_FOR_EVER = """
import sys
from pathlib import Path
from syncer.sheets.writing import write_table
number = 0
while True:
    number += 1
    write_table(Path(sys.argv[1]), ["number"], [[number]] * 300)
    print(number, flush=True)
"""


@pytest.mark.parametrize("after_s", [0.01, 0.035])
def test_a_process_killed_while_it_writes_leaves_a_whole_file(tmp_path: Path, after_s: float) -> None:
    path = tmp_path / "leads.xlsx"
    process = subprocess.Popen([sys.executable, "-c", _WRITES_FOR_EVER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = process.stdout.readline()
    time.sleep(after_s)
    process.kill()
    told += process.communicate(timeout=30)[0]
    last = int(told.split()[-1])
    rows = cells_of(path)
    assert len(rows) == 301
    assert {row[0] for row in rows[1:]} in ({last}, {last + 1})


def test_what_a_killed_process_left_is_swept_once_it_is_old(tmp_path: Path) -> None:
    old, fresh, other = (tmp_path / f".{name}.tmp" for name in ("out[1].xlsx.aa", "out[1].xlsx.bb", "out1.xlsx.aa"))
    for each in (old, fresh, other):
        each.write_bytes(b"half")
    for each in (old, other):
        os.utime(each, (time.time() - 7200, time.time() - 7200))
    write_table(tmp_path / "out[1].xlsx", ["a"], [["1"]])
    assert sorted(each.name for each in tmp_path.iterdir()) == [other.name, fresh.name, "out[1].xlsx"]


def test_a_written_file_keeps_its_rights_and_a_link_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real.xlsx", tmp_path / "link.xlsx"
    real.write_bytes(b"old")
    real.chmod(0o640)
    link.symlink_to(real)
    write_table(link, ["a"], [["1"]])
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert cells_of(real) == [["a"], ["1"]]


def test_more_rows_than_a_sheet_has_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "MOST_ROWS", 3)
    write_table(tmp_path / "out.xlsx", ["a"], [["1"], ["2"]])
    with pytest.raises(ConfigError, match="a sheet has 3 rows at most, and there are more leads; use CSV") as told:
        write_table(tmp_path / "out.xlsx", ["a"], [["1"], ["2"], ["3"]])
    assert told.value.code == "SY182"
    assert cells_of(tmp_path / "out.xlsx") == [["a"], ["1"], ["2"]]


def test_a_folder_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written: No such file or directory") as told:
        write_table(tmp_path / "missing" / "out.xlsx", ["a"], [["1"]])
    assert told.value.code == "SY181"


def written(rows: Sequence[Sequence[Cell]], dialect: Dialect) -> bytes:
    file = io.BytesIO()
    write_csv(file, ["a", "b"], rows, dialect)
    return file.getvalue()


def test_csv_is_what_excel_reads_right_in_either_language() -> None:
    rows: list[list[Cell]] = [[1.5, "Peña; S.L."], [-5, None], [True, date(2026, 11, 3)]]
    assert written(rows, DIALECTS["es"]).decode() == '\ufeffa;b\r\n1,5;"Peña; S.L."\r\n-5;\r\nTRUE;2026-11-03\r\n'
    assert written(rows, DIALECTS["en"]).decode() == "\ufeffa,b\r\n1.5,Peña; S.L.\r\n-5,\r\nTRUE,2026-11-03\r\n"


def test_in_csv_formulas_are_disarmed_and_numbers_are_not() -> None:
    assert [csv_text(each) for each in SLY[:7]] == [f"'{each}" for each in SLY[:7]]
    assert [csv_text(each) for each in ("-5", "+34600111222", "-1,5", -5, -1.5)] == [
        "-5", "+34600111222", "-1,5", "-5", "-1.5",
    ]  # fmt: skip


@given(st.lists(st.text(), min_size=1, max_size=3))
def test_no_text_in_csv_begins_as_a_formula_does_and_all_of_it_is_there(texts: list[str]) -> None:
    rows = [[text, "end"] for text in texts]
    readable = [text.encode("utf-8", "replace").decode() for text in texts]
    shown = list(csv.reader(io.StringIO(written(rows, DIALECTS["en"]).decode("utf-8-sig"), newline="")))[1:]
    for text, (cell, _) in zip(readable, shown, strict=True):
        assert cell.removeprefix("'") == text.removeprefix("'")
        assert cell[:1] not in tuple("=@\t\r\n") or not cell
        assert cell[:1] not in ("+", "-") or cell[1:].replace(",", "").replace(".", "").isdecimal()
