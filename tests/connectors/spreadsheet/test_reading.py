"""What files say: which rows are whom, what cannot be read and stops nothing, and what is read again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from pydantic import ValidationError

from connectors.spreadsheet import Spreadsheet
from connectors.spreadsheet.chunks import PAGE
from connectors.spreadsheet.position import told_at
from connectors.spreadsheet.repeats import Repeats
from connectors.spreadsheet.settings import Settings
from syncer.connector import Wanted
from syncer.errors import ConfigError, TemporaryError
from syncer.model import Change, Cursor, Manual, Page, Record, RecordKey, Standing
from syncer.sheets.reading import open_table
from tests.connectors.spreadsheet.accounts import save

STAGES = ("cold", "cálido", "hot")


def connect(folder: Path, **given: Any) -> Spreadsheet:
    wanted = Wanted(("city", "revenue"), (), STAGES, folder=folder, timezone="Europe/Madrid")
    return Spreadsheet("sheet", Settings.model_validate({"path": "leads.csv", **given}), wanted)


def pulled(source: Spreadsheet, stream: str = "leads", since: Cursor | None = None) -> list[Page]:
    return list(source.pull(stream, since))


def records(pages: Sequence[Page]) -> dict[str, Record]:
    return {record.key.id: record for page in pages for record in page.records}


def reasons(pages: Sequence[Page]) -> list[str]:
    return [rejected.reason for page in pages for rejected in page.rejected]


def last(pages: Sequence[Page]) -> Cursor:
    cursor = pages[-1].cursor
    assert cursor is not None
    return cursor


def test_columns_are_found_by_their_usual_names_and_fields_by_their_headings(tmp_path: Path) -> None:
    headings = ("Correo electrónico", "Nombre", "Comercial", "City", "Facturación")
    save(tmp_path / "leads.csv", [headings, (" Ana@Acme.test ", "Ana", "rep@acme.test", "Select", "1.234,50 €")])
    source = connect(tmp_path, fields={"revenue": "Facturación"}, not_given="Select")
    (record,) = records(pulled(source)).values()
    assert (record.key.id, record.email, record.name, record.owner) == (
        *("ana@acme.test", "ana@acme.test"),
        *("Ana", "rep@acme.test"),
    )
    assert record.fields == {"revenue": 1234.5}


def test_a_key_names_a_lead_also_without_an_email(tmp_path: Path) -> None:
    save(tmp_path / "leads.xlsx", [("Teléfono", "Email", "City"), (34600111222.0, "n/a", "Lima")])
    (record,) = records(pulled(connect(tmp_path, path="leads.xlsx", key="Teléfono"))).values()
    assert (record.key.id, record.email) == ("34600111222", None)


def test_rows_that_cannot_be_read_are_listed_beside_the_file_until_they_are_right(tmp_path: Path) -> None:
    good = ("luis@acme.test", "Roma")
    wrong = [("", "Lima"), ("ana@acme.test", "Lima"), ("nobody", "Lima"), (*good, "more"), ("ana@acme.test", "Quito")]
    save(tmp_path / "leads.csv", [("Email", "City"), *wrong, good])
    source = connect(tmp_path)
    first = pulled(source)
    assert {key: each.fields["city"] for key, each in records(first).items()} == {
        "ana@acme.test": "Quito",
        "luis@acme.test": "Roma",
    }
    assert reasons(first) == [
        "leads.csv:2: there is nothing under 'Email'",
        "leads.csv:3: 'ana@acme.test' stands again in row 6, which counts",
        "leads.csv:4: 'nobody' under 'Email' is no e-mail address",
        "leads.csv:5: the row has 3 cells, and the headings 2; put quotes around cells with the separator",
    ]
    listed = open_table(tmp_path / "leads.errors.xlsx")
    assert listed.headings[:4] == ("Row", "Reason", "Email", "City")
    assert [cells[0] for _, cells in listed.rows()] == [2, 3, 4, 5]
    assert [page.cursor for page in pulled(source, since=last(first))] == [last(first)]
    save(tmp_path / "leads.csv", [("Email", "City"), wrong[0], good])
    second = pulled(source, since=last(first))
    taken_back = {key for key, record in records(second).items() if record.deleted}
    assert taken_back == {"leads.csv:3", "leads.csv:4", "leads.csv:5"}
    save(tmp_path / "leads.csv", [("Email", "City"), good])
    assert "leads.csv:2" in records(pulled(source, since=last(second)))
    assert not (tmp_path / "leads.errors.xlsx").exists()


def test_a_list_of_errors_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    save(tmp_path / "leads.csv", [("Email", "City"), ("", "Lima"), ("ana@acme.test", "Lima")])
    (tmp_path / "~$leads.errors.xlsx").write_bytes(b"\x03ana")
    first = pulled(connect(tmp_path))
    assert list(records(first)) == ["ana@acme.test"]
    assert "leads.errors.xlsx is open in a spreadsheet program by ana" in reasons(first)[-1]


@pytest.mark.parametrize(
    ("chosen", "until", "manual", "reason"),
    [
        (
            " CALIDO ",
            "31/12/2026",
            Manual("cálido", "knows us", "Eva", datetime(2026, 12, 31, 22, 59, 59, tzinfo=UTC)),
            "",
        ),
        ("hot", "", Manual("hot", "knows us", "Eva"), ""),
        ("", "31/12/2026", None, ""),
        ("lukewarm", "", None, "no stage is called 'lukewarm', so it is not obeyed; there are: cold, cálido, hot"),
        ("hot", "tomorrow", None, "the stage chosen by hand is not obeyed: 'tomorrow' is no date"),
    ],
)
def test_a_stage_chosen_by_hand_comes_with_reason_author_and_last_day(
    tmp_path: Path, chosen: str, until: str, manual: Manual | None, reason: str
) -> None:
    headings = ("Email", "Etapa manual", "Motivo", "Por", "Hasta")
    save(tmp_path / "leads.csv", [headings, ("ana@acme.test", chosen, "knows us", "Eva", until)])
    first = pulled(connect(tmp_path))
    assert records(first)["ana@acme.test"].manual == manual
    assert reasons(first) == ([f"leads.csv:2: {reason}"] if reason else [])


def test_a_stage_that_somebody_types_in_the_scored_workbook_is_that_stage_in_any_case(tmp_path: Path) -> None:
    save(tmp_path / "leads.csv", [("Email", "City"), *((f"{name}@acme.test", "Lima") for name in ("ana", "eva"))])
    source = connect(tmp_path)
    keys = [RecordKey("sheet", "leads", f"{name}@acme.test") for name in ("ana", "eva")]
    list(source.write([Change(key, Standing(), Standing(100, "cold"), "baseline") for key in keys]))
    path = tmp_path / "leads.scored.xlsx"
    book = openpyxl.load_workbook(path)
    sheet = book.worksheets[0]
    column = next(cell.column for cell in sheet[1] if cell.value == "Stage")
    for row, typed in ((2, " CALIDO "), (3, "Warmish")):
        sheet.cell(row, column).value = typed
    book.save(path)
    assert [each.stage for each in records(pulled(source)).values()] == ["cálido", "Warmish"]


def test_a_changed_file_is_read_again_whole_and_the_others_are_not(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save(tmp_path / f"{name}.csv", [("Email", "City"), (f"{name}@acme.test", "Lima")])
    for generated in ("a.scored.xlsx", "a.errors.xlsx", "~$b.xlsx"):
        (tmp_path / generated).write_bytes(b"nothing to read")
    source = connect(tmp_path, path="*.*", write=False)
    first = pulled(source)
    assert set(records(first)) == {"a@acme.test", "b@acme.test"}
    save(tmp_path / "b.csv", [("Email", "City"), ("b@acme.test", "Roma"), ("c@acme.test", "Roma")])
    assert set(records(pulled(source, since=last(first)))) == {"b@acme.test", "c@acme.test"}
    again = connect(tmp_path, path="*.*", write=False, not_given="Roma")
    assert len(records(pulled(again, since=last(first)))) == 3


def test_a_file_that_is_saved_while_it_is_swept_takes_nobody_away(tmp_path: Path) -> None:
    people = [(f"person{each}@acme.test", "Lima") for each in range(PAGE + 1)]
    save(tmp_path / "leads.csv", [("Email", "City"), *people])
    sweep = connect(tmp_path, missing="deleted").sweep("leads", None)
    assert len(next(sweep).records) == PAGE
    save(tmp_path / "leads.csv", [("Email", "City"), *people, ("new@acme.test", "Lima")])
    with pytest.raises(TemporaryError, match=r"leads\.csv was saved while it was read"):
        list(sweep)


def test_a_file_that_vanishes_while_others_are_read_is_one_message(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save(tmp_path / f"{name}.csv", [("Email", "City"), (f"{name}@acme.test", "Lima")])
    pull = connect(tmp_path, path="*.csv").pull("leads", None)
    assert next(pull).records
    (tmp_path / "b.csv").unlink()
    with pytest.raises(ConfigError, match=r"b\.csv: the table cannot be read: No such file"):
        list(pull)


def test_people_are_those_of_the_activities_where_there_is_no_other_file(tmp_path: Path) -> None:
    deeds = ("03/11/2026 10:00", " Ana@acme.test", "Page view", "/pricing")
    save(tmp_path / "visits.csv", [("When", "Who", "What", "Page"), deeds, deeds, ("", "ana@acme.test", "x", "")])
    visits = {"path": "visits.csv", "at": "When", "person": "Who", "kind_column": "What"}
    source = connect(tmp_path, path=[], activities={"visits": visits})
    assert {key: each.email for key, each in records(pulled(source)).items()} == {"ana@acme.test": "ana@acme.test"}
    told = pulled(source, "visits")
    found = [each for page in told for each in page.activities]
    assert [(each.kind, each.fields) for each in found] == [("page_view", {"page": "/pricing"})] * 2
    assert found[0].at == datetime(2026, 11, 3, 9, 0, tzinfo=UTC)
    assert found[1].id == f"{found[0].id}-2"
    assert reasons(told) == ["visits.csv:4: there is no date"]
    assert (tmp_path / "visits.visits.errors.xlsx").exists()


def test_an_activity_finds_its_lead_by_the_email_when_leads_have_keys(tmp_path: Path) -> None:
    save(tmp_path / "leads.csv", [("ID", "Email"), ("L1", "ana@acme.test")])
    save(
        tmp_path / "calls.csv",
        [("When", "Who"), ("03/11/2026", "ANA@acme.test"), ("03/11/2026", "L2"), ("3/11/2026", "x@y.z")],
    )
    calls = {"path": "calls.csv", "at": "When", "person": "Who", "kind": "call"}
    told = pulled(connect(tmp_path, key="ID", activities={"calls": calls}), "calls")
    assert [each.records[0].id for page in told for each in page.activities] == ["L1", "L2"]
    assert reasons(told) == ["calls.csv:4: no lead has the e-mail 'x@y.z'"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"path": "lead.csv"}, "sheet: the file 'lead.csv' is not there; did you mean 'leads.csv'?"),
        ({"path": "exports/*.csv"}, "the file 'exports/*.csv' matches no file, and its folder is not there"),
        ({"key": "Id"}, "leads.csv:1: there is no column 'Id'"),
        ({"fields": {"city": "Cty"}}, "leads.csv:1: there is no column 'Cty'; did you mean 'City'?"),
        ({"path": "bare.csv"}, "bare.csv:1: no column is headed like an e-mail; say which it is"),
    ],
)
def test_files_and_columns_that_are_not_there_are_one_message(
    tmp_path: Path, given: dict[str, Any], words: str
) -> None:
    save(tmp_path / "leads.csv", [("Email", "City"), ("ana@acme.test", "Lima")])
    save(tmp_path / "bare.csv", [("Phone", "Town"), ("600", "Lima")])
    with pytest.raises(ConfigError) as raised:
        pulled(connect(tmp_path, **given))
    assert words in raised.value.message
    (error,) = [each for each in connect(tmp_path, **given).check() if each.level == "error"]
    assert words in error.message


def test_check_tells_how_the_columns_are_understood(tmp_path: Path) -> None:
    save(tmp_path / "leads.csv", [("Email", "City", "Etapa manual"), *[("ana@acme.test", "Lima", "")] * 2])
    told = [(each.level, each.message) for each in connect(tmp_path).check()]
    assert told == [
        ("ok", "leads.csv, utf-8, separated by ';': headings in row 1, 2 rows with a lead"),
        ("ok", "leads.csv: a lead is known by the e-mail; e-mail is 'Email'"),
        ("ok", "leads.csv: city from 'City'"),
        ("warning", "leads.csv: no column gives revenue; rules that look there give nothing"),
        ("ok", "leads.csv: a stage chosen by hand stands under 'Etapa manual'"),
        ("warning", "leads.csv: 1 rows name a lead that stands again below; the last row counts"),
    ]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "`path` is needed"),
        ({"path": "a.csv", "encoding": "utf-9"}, "is no encoding"),
        ({"path": "a.csv", "separator": ";;"}, "is no separator"),
        (
            {"path": "a.csv", "activities": {"leads": {"path": "b.csv", "kind": "call", "at": "A", "person": "B"}}},
            "is no name",
        ),
        ({"path": "a.csv", "activities": {"calls": {"path": "b.csv", "at": "A", "person": "B"}}}, "either `kind` or"),
    ],
)
def test_settings_that_make_no_sense_are_told(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Settings.model_validate(given)


def test_what_an_older_or_a_future_file_says_is_still_news() -> None:
    early, late, now = (datetime(2026, 11, day, tzinfo=UTC) for day in (1, 2, 3))
    assert told_at(late, early, now) == late
    assert told_at(early, late, now) == now
    assert told_at(now, None, late) == late


def test_the_last_of_many_rows_counts_and_unlike_keys_never_meet() -> None:
    keys = [*map(str, range(60_000)), "7", "x", "8", "7"]
    found = Repeats(lambda: iter([(range(60_000), keys[:60_000]), (range(60_000, len(keys)), keys[60_000:])]))
    assert (found.last("7", 7), found.last("8", 8), found.last("9", 9)) == (60_003, 60_002, 9)
    assert (found.more, found.count) == (3, 60_004)
