"""Tables are found and read as people keep them, and broken files are told in a sentence, in bounded memory."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncer.errors import ConfigError
from syncer.sheets.reading import Cell, Habits, Table, field_name, open_table

ROWS = (("Correo", "Ciudad"), ("ana@acme.test", "Málaga"), ("luis@acme.test", "A Coruña"))


def rows(table: Table) -> list[tuple[Cell, ...]]:
    return [cells for _, cells in table.rows()]


def told(path: Path) -> str:
    """How many rows it has, or why it cannot be read."""
    try:
        table = open_table(path)
        return f"rows: {sum(len(cells) >= len(table.headings) for _, cells in table.rows(lambda row, why: None))}"
    except ConfigError as error:
        return error.message


def text(rows: Sequence[Sequence[Any]], separator: str = ",") -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=separator).writerows(rows)
    return out.getvalue()


def workbook(path: Path, **sheets: Sequence[Sequence[Any]]) -> Path:
    """Sheets by name; one that begins with _ is hidden."""
    book = xlsxwriter.Workbook(path, {"default_date_format": "dd/mm/yyyy", "strings_to_formulas": False})
    for name, lines in sheets.items():
        sheet = book.add_worksheet(name)
        for at, line in enumerate(lines):
            sheet.write_row(at, 0, line)
        if name.startswith("_"):
            sheet.hide()
        else:
            sheet.activate()  # an active sheet cannot be hidden
    book.close()
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_encoding_and_separator_are_found_out(tmp_path: Path, encoding: str, separator: str) -> None:
    path = tmp_path / "leads.csv"
    path.write_bytes(text(ROWS, separator).encode(encoding))
    table = open_table(path)
    assert (table.headings, rows(table)) == (ROWS[0], list(ROWS[1:]))
    assert (table.habits.separator, table.habits.decimal) == (separator, "," if separator == ";" else ".")


CELL = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"), exclude_characters="\ufeff"), max_size=12)
LINES = st.lists(st.tuples(CELL, CELL.filter(str.strip), CELL), min_size=1, max_size=8)
SLOW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_a_utf_16_file_that_ends_within_a_letter_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "half.csv"
    path.write_bytes("a;b\n1;2\n3;4".encode("utf-16")[:-1])
    with pytest.raises(ConfigError, match=r"half\.csv:\d: this line is not utf-16; save the table") as told:
        open_table(path)
    assert told.value.code == "SY170"


@SLOW
@given(LINES, st.sampled_from([",", ";", "\t", "|"]), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_any_cells_come_back_as_they_were_written(
    tmp_path: Path, lines: list[tuple[str, ...]], separator: str, encoding: str
) -> None:
    path = tmp_path / "leads.csv"
    path.write_bytes(text([("Correo", "Ciudad", "Nota"), *lines], separator).encode(encoding))
    table = open_table(path, headings=("Correo", "Ciudad", "Nota"))
    assert table.habits.separator == separator
    assert rows(table) == [tuple(cell or None for cell in line) for line in lines]


@SLOW
@given(st.binary(max_size=300), st.sampled_from(["leads.csv", "leads.xlsx", "leads.xls", "leads.ods", "leads.xlsb"]))
def test_rubbish_is_rows_or_one_message(tmp_path: Path, content: bytes, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert told(path).startswith(("rows", name))


def test_the_heading_is_found_below_a_title_by_the_names_looked_for(tmp_path: Path) -> None:
    lines = (("Clientes de España, exportado el 3/11",), (), ("Correo ", "CIUDAD", "Nota"), ("ana@acme.test", "Lima"))
    path = workbook(tmp_path / "leads.xlsx", Hoja1=lines)
    for headings in ((), ("ciudad",)):
        table = open_table(path, headings=headings)
        assert (table.row, table.headings) == (3, ("Correo", "CIUDAD", "Nota"))
        assert list(table.rows()) == [(4, ("ana@acme.test", "Lima", None))]


def test_the_first_visible_sheet_with_the_columns_is_read_and_a_hidden_one_only_by_name(tmp_path: Path) -> None:
    leads = (("Correo", "Ciudad"), ("ana@acme.test", "Lima"))
    path = workbook(tmp_path / "a.xlsx", _old=(*leads[:1], ("old@acme.test", "Roma")), Notas=(("Hola",),), Leads=leads)
    assert open_table(path, headings=("Correo",)).sheet == "Leads"
    assert rows(open_table(path, sheet="_old"))[0][0] == "old@acme.test"
    with pytest.raises(ConfigError, match=r"a.xlsx: there is no sheet 'Lead'; did you mean 'Leads'\?"):
        open_table(path, sheet="Lead")


def test_a_column_that_is_not_there_is_told_with_the_nearest(tmp_path: Path) -> None:
    path = workbook(tmp_path / "leads.xlsx", Hoja1=ROWS)
    with pytest.raises(ConfigError, match=r"leads.xlsx:1: there is no column 'Cuidad' on sheet 'Hoja1'; did you mean"):
        open_table(path, headings=("Cuidad",))


def test_numbers_dates_and_short_rows_come_as_they_lie_there(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", H=(("A", "B", "C"), (1.5, date(2026, 11, 3), "=1+1"), (0, None, None), ("x",)))
    assert rows(open_table(path)) == [(1.5, date(2026, 11, 3), "=1+1"), (0.0, None, None), ("x", None, None)]


def test_a_row_with_more_cells_than_headings_keeps_them_and_excels_first_line_is_no_row(tmp_path: Path) -> None:
    path = tmp_path / "leads.csv"
    path.write_text("sep=;\nA;B\n1;2;3\n4\n;;\n5;6;\n")
    assert list(open_table(path).rows()) == [(3, ("1", "2", "3")), (4, ("4", None)), (6, ("5", "6"))]


def test_a_row_that_cannot_be_read_stops_nothing_where_somebody_is_told(tmp_path: Path) -> None:
    path, faults = tmp_path / "leads.csv", list[tuple[int, str]]()
    path.write_text(f'A,B\n1,2\n"{"x" * 200_000}",3\n4,5\n"6,7\n')
    table = open_table(path)
    assert [cells for _, cells in table.rows(lambda row, why: faults.append((row, why)))] == [("1", "2"), ("4", "5")]
    assert [row for row, _ in faults] == [3, 5]
    with pytest.raises(ConfigError, match=r"leads.csv:3: this row cannot be read as CSV \("):
        rows(table)


def test_a_heading_is_a_field_by_its_letters_and_digits() -> None:
    assert field_name(" Total Time Spent on Website (s)") == "total_time_spent_on_website_s"


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


BROKEN: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "cut.xlsx": (cut, "is damaged"),
    "page.xls": (lambda content: b"<html><table><tr><td>E-mail</td></tr></table></html>", "is a web page"),
    "text.xlsx": (lambda content: b"Email,Name\nana@acme.test,Ana\n", "is no workbook"),
    "empty.ods": (lambda content: b"", "is empty"),
    "flipped.xlsx": (lambda content: content.replace(b"sheet1", b"sheet2"), "damaged"),
    "compound.xls": (lambda content: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(4000), "is damaged"),
    "zeros.csv": (lambda content: bytes(5000), "is no text"),
    "neither.csv": (lambda content: b"Email,Name\nana@acme.test,\x81\n", "neither.csv:2: this line is neither UTF-8"),
    "nothing.csv": (lambda content: b"", "the table is empty"),
    "blank.csv": (lambda content: b"\n,,\n \n", "the table is empty"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_one_message(tmp_path: Path, name: str) -> None:
    good = workbook(tmp_path / "good.xlsx", Hoja1=ROWS).read_bytes()
    breaks, words = BROKEN[name]
    (tmp_path / name).write_bytes(breaks(good))
    with pytest.raises(ConfigError, match=words) as raised:
        open_table(tmp_path / name)
    assert raised.value.message.startswith(name)


@pytest.mark.parametrize("at", range(0, 100, 7))
def test_a_workbook_cut_or_changed_anywhere_is_read_or_is_one_message(tmp_path: Path, at: int) -> None:
    content = bytearray(workbook(tmp_path / "good.xlsx", Hoja1=ROWS * 20).read_bytes())
    place = len(content) * at // 100
    for broken in (content[:place], content[:place] + b"\xff\x00\xff" + content[place + 3 :]):
        (tmp_path / "bad.xlsx").write_bytes(broken)
        assert told(tmp_path / "bad.xlsx").startswith(("rows", "bad.xlsx"))


SHEET = "xl/worksheets/sheet1.xml"
BEGIN = b'<?xml version="1.0"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
END = b"</sheetData></worksheet>"


def with_sheet(good: Path, path: Path, *parts: bytes, times: int = 1) -> Path:
    """A workbook whose sheet is the first part, the second so many times, and the third."""
    with zipfile.ZipFile(good) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            if name != SHEET:
                new.writestr(name, old.read(name))
        with new.open(SHEET, "w", force_zip64=True) as file:
            file.write(BEGIN + parts[0])
            for _ in range(times):
                file.write(parts[1])
            file.write(parts[2] + END)
    return path


def cell(place: str, words: bytes = b"x") -> bytes:
    return b'<c r="%s" t="inlineStr"><is><t>%s</t></is></c>' % (place.encode(), words)


def far(good: Path, path: Path) -> Path:
    first, last = b'<row r="1">' + cell("A1") + b"</row>", b'<row r="1048576">' + cell("XFD1048576") + b"</row>"
    return with_sheet(good, path, first, b"", last)


def bomb(good: Path, path: Path) -> Path:
    return with_sheet(good, path, b"", b" " * (1 << 20), b"", times=300)


def huge_cell(good: Path, path: Path) -> Path:
    return with_sheet(
        good,
        path,
        b'<row r="1">' + cell("A1", b"Email") + b"</row>",
        b"",
        b'<row r="2">' + cell("A2", b"y" * 10_000_000) + b"</row>",
    )


def formatted(good: Path, path: Path) -> Path:
    """Formatted to the last cell, with nothing in it."""
    last = b'<row r="1048576"><c r="XFD1048576" s="0"/></row>'
    return with_sheet(good, path, b'<row r="1">' + cell("A1", b"Email") + b"</row>", b"", last)


CHILD = """
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_AS, (900 << 20, 900 << 20))
from syncer.errors import ConfigError
from syncer.sheets.reading import open_table
try:
    table = open_table(Path(sys.argv[1]))
    told = []
    print(table.headings[0][:9], sum(1 for _ in table.rows(lambda *each: told.append(each))), len(told))
except ConfigError as error:
    print(error.message)
"""


@pytest.mark.parametrize(
    ("lay", "words"),
    [
        (far, "reaches to row 1,048,576 and column 16,384"),
        (bomb, "unpacks to more than any table needs"),
        (huge_cell, "Email 1 0"),
        (formatted, "Email 0 0"),
    ],
)
def test_a_trap_is_sprung_in_bounded_memory(tmp_path: Path, lay: Callable[[Path, Path], Path], words: str) -> None:
    trap = lay(workbook(tmp_path / "good.xlsx", Hoja1=ROWS), tmp_path / "trap.xlsx")
    done = subprocess.run([sys.executable, "-c", CHILD, str(trap)], capture_output=True, text=True, check=False)
    assert words in done.stdout, done.stderr[-500:]


def test_a_line_without_end_is_one_message_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "leads.csv"
    with path.open("wb") as file:
        file.write(b"Email,Name\n")
        for _ in range(600):
            file.write(b"x" * (1 << 20))
    done = subprocess.run([sys.executable, "-c", CHILD, str(path)], capture_output=True, text=True, check=False)
    assert "leads.csv:2: a line of 16 million characters" in done.stdout, done.stderr[-500:]


@pytest.mark.slow
def test_a_sheet_filled_to_its_last_row_is_read(tmp_path: Path) -> None:
    path = tmp_path / "full.xlsx"
    book = xlsxwriter.Workbook(path, {"constant_memory": True})
    sheet = book.add_worksheet()
    for at in range(1_048_576):
        sheet.write(at, 0, at if at else "Email")
    book.close()
    assert sum(1 for _ in open_table(path).rows()) == 1_048_575


def test_the_other_habits_are_as_they_were_given(tmp_path: Path) -> None:
    path = tmp_path / "leads.csv"
    path.write_bytes("Correo|Ciudad\nana@acme.test|Málaga\n".encode("cp850"))
    given_ = Habits(encoding="cp850", separator="|", decimal=",", dates="mdy")
    table = open_table(path, habits=given_)
    assert (table.habits, rows(table)) == (given_, [("ana@acme.test", "Málaga")])
