"""Writing back: the scored workbook beside the user's file, and the columns in the user's own table."""

from __future__ import annotations

import csv
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from openpyxl.chart import BarChart
from openpyxl.styles import Font
from openpyxl.worksheet.worksheet import Worksheet

from connectors.spreadsheet import in_place, scored, write
from connectors.spreadsheet.write import Desk, LeadFile
from syncer.errors import ConfigError, TemporaryError
from syncer.model import Change, RecordKey, Rejected, Standing, Written
from syncer.sheets.cells import Cell
from syncer.sheets.reading import open_table
from syncer.sheets.writing import WORDS, version, write_table
from tests.connectors.spreadsheet.accounts import save

STAGES = ("cold", "mql", "sql")
PEOPLE: list[list[Cell]] = [
    ["ana@acme.example", "=Ana+1", 5, date(2026, 11, 3), "08001"],
    ["luis@acme.example", "Luis", -5.5, None, "28001"],
    [None, "nobody", 1, None, None],
]
HEADINGS = ("Correo", "Nombre", "Empleados", "Alta", "CP")


def workbook(folder: Path, name: str = "leads.xlsx") -> Path:
    write_table(folder / name, HEADINGS, PEOPLE)
    return folder / name


def text_at(column: int, cells: Sequence[Cell]) -> str | None:
    return str(cells[column]) if cells[column] else None


def desk_of(*paths: Path, language: str = "en", in_place: bool = False, manual: bool = False) -> Desk:
    def files() -> Iterator[LeadFile]:
        for path in paths:
            table = open_table(path, headings=("Correo",))
            yield LeadFile(table, partial(text_at, table.column("Correo")), manual)

    return Desk("crm", language, STAGES, in_place, files)


def change(person: str, score: int | None, stage: str | None, reasons: str | None = None) -> Change:
    return Change(RecordKey("crm", "leads", person), Standing(), Standing(score, stage, reasons), "activity")


def sheet_of(path: Path) -> Worksheet:
    found = openpyxl.load_workbook(path).worksheets[0]
    assert isinstance(found, Worksheet)
    return found


def shown(path: Path) -> list[dict[str, Any]]:
    rows = [[cell.value for cell in row] for row in sheet_of(path).iter_rows()]
    head = next(number for number, row in enumerate(rows) if "Correo" in row)
    return [dict(zip(map(str, rows[head]), row, strict=True)) for row in rows[head + 1 :]]


def type_in(path: Path, row: int, by: str = "Marta", **cells: Cell) -> None:
    """What a person does in a spreadsheet program: fill in cells by their heading ("Manual_stage") and save."""
    book = openpyxl.load_workbook(path)
    sheet = book.worksheets[0]
    names = [str(cell.value) for cell in sheet[1]]
    for heading, cell in cells.items():
        sheet.cell(row, names.index(heading.replace("_", " ")) + 1).value = cell
    book.properties.lastModifiedBy = by
    book.save(path)


def test_the_scored_workbook_shows_the_source_and_what_is_said_of_it(tmp_path: Path) -> None:
    source = workbook(tmp_path)
    before = source.read_bytes()
    answers = list(write.write(desk_of(source), [change("ana@acme.example", 4200, "mql", "MQL\n+42 =Sly")]))
    (written,) = answers
    assert isinstance(written, Written)
    assert (written.standing, written.refused) == (Standing(4200, "mql", "MQL\n+42 =Sly"), None)
    ana, luis, nobody = shown(tmp_path / "leads.scored.xlsx")
    assert [ana[name] for name in HEADINGS[1:3]] == ["=Ana+1", 5]
    assert (ana["Alta"].date(), ana["CP"]) == (date(2026, 11, 3), "08001")
    assert [ana[name] for name in ("Score", "Stage", "Why")] == [42, "mql", "MQL\n+42 =Sly"]
    assert [luis[name] for name in ("Empleados", "Score", "Stage", "Why")] == [-5.5, None, None, None]
    assert nobody["Nombre"] == "nobody"
    assert not any(
        cell.data_type == "f" for row in sheet_of(tmp_path / "leads.scored.xlsx").iter_rows() for cell in row
    )
    assert source.read_bytes() == before


def test_every_change_has_one_answer_and_only_touched_files_are_rewritten(tmp_path: Path) -> None:
    first, second = workbook(tmp_path), tmp_path / "more.csv"
    second.write_text("Correo;Nombre\nrosa@acme.example;Rosa\n")
    changes = [change(f"{name}@acme.example", 100, "cold") for name in ("ana", "gone", "luis")]
    answers = list(write.write(desk_of(first, second), changes))
    assert sorted(each.record.id for each in answers if isinstance(each, Written)) == [
        "ana@acme.example",
        "luis@acme.example",
    ]
    (rejected,) = [each for each in answers if isinstance(each, Rejected)]
    assert (rejected.id, rejected.retry) == ("gone@acme.example", False)
    assert not (tmp_path / "more.scored.xlsx").exists()


def test_only_what_is_asked_for_is_written_and_the_rest_stays(tmp_path: Path) -> None:
    source = workbook(tmp_path)
    list(write.write(desk_of(source), [change("ana@acme.example", 4250, "mql", "why")]))
    list(write.write(desk_of(source), [change("luis@acme.example", 100, "cold")]))
    (written,) = write.write(desk_of(source), [change("ana@acme.example", 700, None)])
    assert isinstance(written, Written)
    assert written.standing == Standing(700, "mql", "why")
    (written,) = write.write(desk_of(source), [change("ana@acme.example", None, "sql")])
    assert isinstance(written, Written)
    assert written.standing == Standing(700, "sql", "why")
    assert [row["Score"] for row in shown(tmp_path / "leads.scored.xlsx")] == [7, 1, None]


def test_what_people_typed_survives_sorting_new_rows_and_a_change_of_language(tmp_path: Path) -> None:
    source = tmp_path / "leads.csv"
    source.write_text("Correo,CP\nana@acme.example,08001\nluis@acme.example,28001\n")
    beside = tmp_path / "leads.scored.xlsx"
    list(write.write(desk_of(source), [change("ana@acme.example", 100, "cold"), change("luis@acme.example", 1, "mql")]))
    type_in(beside, 2, Manual_stage="sql", Manual_reason="=called us", Manual_until=date(2027, 1, 31), Stage="mql")
    rows = [[cell.value for cell in row] for row in sheet_of(beside).iter_rows()]
    write_table(beside, [str(each) for each in rows[0]], [rows[2], rows[1]])  # type: ignore[list-item]
    type_in(beside, 2, by="Marta")
    source.write_text("Correo,CP\nrosa@acme.example,1\nluis@acme.example,28001\nana@acme.example,08001\n")
    list(write.write(desk_of(source, language="es"), [change("rosa@acme.example", 200, "cold")]))
    _, luis, ana = shown(beside)
    manual = [ana[name] for name in ("Etapa", "Etapa manual", "Motivo", "Por")]
    assert manual == ["mql", "sql", "=called us", "Marta"]
    assert ana["Hasta"].date() == date(2027, 1, 31)
    assert (luis["Etapa"], luis["Etapa manual"], luis["Por"]) == ("mql", None, None)
    kept = dict(scored.rows(beside))["ana@acme.example"]
    assert (kept.stage, kept.manual.stage, kept.manual.author) == ("mql", "sql", "Marta")
    assert scored.last_saved_by(beside) is None


def test_where_the_users_own_file_has_the_manual_column_the_scored_one_offers_none(tmp_path: Path) -> None:
    source = tmp_path / "leads.csv"
    source.write_text("Correo,Etapa manual\nana@acme.example,sql\n")
    list(write.write(desk_of(source, language="es", manual=True), [change("ana@acme.example", 100, "sql")]))
    sheet = sheet_of(tmp_path / "leads.scored.xlsx")
    assert [cell.value for cell in sheet[1]] == ["Correo", "Etapa manual", "Puntuación", "Etapa", "Por qué", "syncer"]
    (offer,) = sheet.data_validations.dataValidation
    assert (str(offer.sqref), offer.formula1) == ("D2", '"cold,mql,sql"')


def test_an_open_workbook_waits_while_the_other_files_are_written(tmp_path: Path) -> None:
    first, second = workbook(tmp_path), tmp_path / "more.csv"
    second.write_text("Correo;Nombre\nrosa@acme.example;Rosa\n")
    (tmp_path / "~$leads.scored.xlsx").write_bytes(bytes([3]) + b"Ana")
    answers = write.write(
        desk_of(first, second), [change("rosa@acme.example", 100, "cold"), change("ana@acme.example", 100, "cold")]
    )
    written = next(answers)
    assert isinstance(written, Written)
    assert written.record.id == "rosa@acme.example"
    with pytest.raises(TemporaryError, match=r"leads\.scored\.xlsx is open in a spreadsheet program by Ana") as told:
        next(answers)
    assert told.value.code == "SY180"
    assert not (tmp_path / "leads.scored.xlsx").exists()


def test_a_workbook_that_is_none_of_ours_is_never_written_over(tmp_path: Path) -> None:
    source, beside = workbook(tmp_path), tmp_path / "leads.scored.xlsx"
    write_table(beside, ["Mine"], [["precious"]])
    before = beside.read_bytes()
    (field,) = write.setup(desk_of(source))
    assert field.problem is not None
    assert "is no scored workbook of syncer any more" in field.problem
    with pytest.raises(ConfigError, match="give it another name") as told:
        list(write.write(desk_of(source), [change("ana@acme.example", 100, "cold")]))
    assert told.value.code == "SY183"
    assert beside.read_bytes() == before


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    first, second = workbook(tmp_path), tmp_path / "leads.csv"
    second.write_text("Correo\nrosa@acme.example\n")
    with pytest.raises(ConfigError, match=r"leads\.xlsx and leads\.csv would both be written to leads\.scored\.xlsx"):
        list(write.write(desk_of(first, second), [change("ana@acme.example", 100, "cold")]))


def test_who_saved_the_workbook_last_is_taken_for_whoever_set_a_stage(tmp_path: Path) -> None:
    source, beside = workbook(tmp_path), tmp_path / "leads.scored.xlsx"
    key = RecordKey("crm", "leads", "ana@acme.example")
    list(write.write(desk_of(source), [change(key.id, 100, "cold")]))
    assert write.stage_authors(desk_of(source), [key]) == {}
    type_in(beside, 2, by="Marta", Stage="sql")
    assert write.stage_authors(desk_of(source), [key]) == {key: "Marta"}


def test_set_up_finds_nothing_missing_and_tells_what_is_in_the_way(tmp_path: Path) -> None:
    source = workbook(tmp_path)
    (field,) = write.setup(desk_of(source))
    assert (field.name, field.label, field.exists, field.problem) == (
        "leads.scored.xlsx",
        "Score, Stage, Why",
        True,
        None,
    )
    (field,) = write.setup(desk_of(workbook(tmp_path, "old.xlsm"), in_place=True))
    assert field.problem is not None
    assert "a .xlsm file cannot be written in place; save it as .xlsx" in field.problem


# ---- in place ----


def own_workbook(folder: Path, extra: Callable[[Any, Any], None] = lambda book, sheet: None) -> Path:
    """As a person keeps it: a title above, bold headings, a number format, a list."""
    book = openpyxl.Workbook()
    sheet = book.active
    assert isinstance(sheet, Worksheet)
    sheet.append(["Our leads"])
    sheet.append(list(HEADINGS))
    for row in PEOPLE:
        sheet.append([each if not str(each).startswith("=") else None for each in row])
    sheet["A2"].font = Font(bold=True)
    sheet["C3"].number_format = "#,##0.00 €"
    extra(book, sheet)
    book.save(folder / "leads.xlsx")
    return folder / "leads.xlsx"


def test_in_place_the_users_own_workbook_gets_the_columns_and_keeps_its_looks(tmp_path: Path) -> None:
    source = own_workbook(tmp_path)
    desk = desk_of(source, in_place=True)
    assert [field.problem for field in write.setup(desk)] == [None]
    (written,) = write.write(desk, [change("ana@acme.example", 4200, "mql", "=why")])
    assert isinstance(written, Written)
    assert written.standing == Standing(4200, "mql", "=why")
    list(write.write(desk, [change("luis@acme.example", 100, "cold")]))
    sheet = sheet_of(source)
    assert [cell.value for cell in sheet[2]][5:] == list(in_place.Wording("en", STAGES, False).headings)
    assert [[cell.value for cell in row][5:8] for row in sheet.iter_rows(min_row=3)] == [
        [42, "mql", "=why"],
        [1, "cold", None],
        [None, None, None],
    ]
    assert sheet["H3"].data_type == "s"
    assert (sheet["A1"].value, sheet["F2"].font.bold, sheet["C3"].number_format) == ("Our leads", False, "#,##0.00 €")
    assert [str(offer.sqref)[:4] for offer in sheet.data_validations.dataValidation] == ["G3:G", "I3:I"]
    assert [each.name for each in tmp_path.iterdir()] == ["leads.xlsx"]


def chart(book: Any, sheet: Any) -> None:
    sheet.add_chart(BarChart(), "H9")


def formula(book: Any, sheet: Any) -> None:
    sheet["H3"] = "=C3*2"


@pytest.mark.parametrize(("extra", "what"), [(chart, "its charts"), (formula, "its results of formulas")])
def test_in_place_a_workbook_that_would_lose_something_is_refused(
    tmp_path: Path, extra: Callable[[Any, Any], None], what: str
) -> None:
    source = own_workbook(tmp_path, extra)
    before = source.read_bytes()
    with pytest.raises(ConfigError, match=f"would lose .*{what}") as told:
        list(write.write(desk_of(source, in_place=True), [change("ana@acme.example", 100, "cold")]))
    assert told.value.code == "SY184"
    assert source.read_bytes() == before


@pytest.mark.parametrize("part", ["[Content_Types].xml", "xl/styles.xml", "xl/workbook.xml"])
def test_in_place_a_workbook_with_a_damaged_part_is_refused_and_stays_as_it_was(tmp_path: Path, part: str) -> None:
    source = workbook(tmp_path)
    table = open_table(source, headings=("Correo",))
    with zipfile.ZipFile(source) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(source, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content[:40] if name == part else content)
    before = source.read_bytes()
    wording = in_place.Wording("en", STAGES, False)
    with pytest.raises(ConfigError, match="so it cannot be changed in place; save it anew in Excel, or leave") as told:
        in_place.rewrite(table, partial(text_at, 0), {"ana@acme.example": Standing(100, "cold")}, wording)
    assert told.value.code == "SY184"
    assert source.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == [source.name]


def test_in_place_a_large_workbook_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_place, "MOST_ROWS", 2)
    why = in_place.obstacle(open_table(workbook(tmp_path), headings=("Correo",)))
    assert why is not None
    assert "more than 2 rows, too many to be written in place; leave `in_place` out" in why


@pytest.mark.parametrize(("encoding", "separator", "end"), [("cp1252", ";", "\r\n"), ("utf-8-sig", ",", "\n")])
def test_in_place_a_csv_file_keeps_its_encoding_its_separator_and_every_cell(
    tmp_path: Path, encoding: str, separator: str, end: str
) -> None:
    source = tmp_path / "leads.csv"
    people = ['ana@acme.example,=1+1,"a,\nb"', "luis@acme.example,-5", ",x,y"]
    lines = ["Leads de España", "Correo,Importe,Nota", *people]
    text = end.join(line.replace(",", separator) for line in lines) + end
    source.write_bytes(text.encode(encoding))
    desk = desk_of(source, in_place=True, language="es", manual=True)
    for _ in range(2):
        (written,) = write.write(desk, [change("luis@acme.example", 4250, "mql", "=why")])
        assert isinstance(written, Written)
    after = source.read_bytes().decode(encoding)
    assert after.split(end)[0].rstrip(separator) == "Leads de España"
    headings = ["Correo", "Importe", "Nota", "Puntuación", "Etapa", "Por qué"]
    assert after.split(end)[1] == separator.join(headings)
    luis = next(line for line in after.split(end) if line.startswith("luis"))
    score = "42,5" if separator == ";" else "42.5"
    assert luis == separator.join(["luis@acme.example", "-5", "", score, "mql", "'=why"])
    assert f"ana@acme.example{separator}=1+1{separator}" in after


def test_in_place_each_of_several_files_is_answered_by_what_it_shows_itself(tmp_path: Path) -> None:
    names = ("rosa", "pablo")
    for each in names:
        (tmp_path / f"{each}.csv").write_text(f"Correo,Nombre\n{each}@acme.example,{each}\n")
    desk = desk_of(*(tmp_path / f"{each}.csv" for each in names), in_place=True)
    answers = list(write.write(desk, [change(f"{each}@acme.example", 100, "cold") for each in names]))
    assert {each.record.id: each.standing.stage for each in answers if isinstance(each, Written)} == {
        "rosa@acme.example": "cold",
        "pablo@acme.example": "cold",
    }


@pytest.mark.parametrize("name", ["leads.csv", "leads.xlsx"])
def test_in_place_a_file_that_somebody_saves_after_it_was_read_stays_as_they_saved_it(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    save(path, [("Correo", "Nombre"), ("ana@acme.example", "Ana")])
    since = version(path)
    table = open_table(path, headings=("Correo",))
    save(path, [("Correo", "Nombre"), ("rosa@acme.example", "Rosa"), ("ana@acme.example", "Ana")])
    theirs = path.read_bytes()
    file = LeadFile(table, partial(text_at, 0), False, since)
    desk = Desk("crm", "en", STAGES, True, lambda: [file])
    with pytest.raises(TemporaryError, match="was changed while it was being written"):
        list(write.write(desk, [change("ana@acme.example", 100, "cold")]))
    assert path.read_bytes() == theirs


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")
def test_libreoffice_opens_the_scored_workbook_and_shows_what_was_written(tmp_path: Path) -> None:
    source = workbook(tmp_path)
    list(write.write(desk_of(source, language="es"), [change("ana@acme.example", 4200, "mql", "MQL · 42\n+42 Ad")]))
    profile = f"-env:UserInstallation=file://{tmp_path / 'profile'}"
    words = ["soffice", profile, "--headless", "--convert-to", "csv:Text - txt - csv (StarCalc):59,34,76,1"]
    subprocess.run(
        [*words, "--outdir", str(tmp_path), str(tmp_path / "leads.scored.xlsx")],
        check=True,
        capture_output=True,
        timeout=120,
    )
    with (tmp_path / "leads.scored.csv").open(encoding="utf-8", newline="") as file:
        headings, ana, *others = csv.reader(file, delimiter=";")
    assert headings == [*HEADINGS, *astuple(WORDS["es"]), scored.KEY]
    shown_of_ana = ["ana@acme.example", "=Ana+1", "5", "03/11/2026", "08001", "42", "mql", "MQL · 42\n+42 Ad"]
    assert ana == [*shown_of_ana, "", "", "", "", "ana@acme.example"]
    assert len(others) == 2
