"""`export`: the leads as a sheet."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from tests.runs.house import House


def sheet(path: Path) -> list[dict[str, Any]]:
    rows = [[cell.value for cell in row] for row in openpyxl.load_workbook(path).worksheets[0].iter_rows()]
    return [dict(zip(map(str, rows[0]), row, strict=True)) for row in rows[1:]]


def by_email(path: Path) -> dict[str, dict[str, Any]]:
    return {row["E-mail"]: row for row in sheet(path)}


@pytest.fixture
def here(base: House, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.chdir(base.folder)
    return base


def test_the_workbook_has_the_points_and_the_words_of_explain(here: House) -> None:
    told = here.cli("export")
    assert told.exit_code == 0, told.output
    name = re.fullmatch(r"3 leads in (leads-\d{4}-\d\d-\d\d\.xlsx)\n", told.stdout)
    assert name is not None
    rows = by_email(here.folder / name[1])
    assert sorted(rows) == ["fits@acme.example", "stranger@acme.example", "warm@acme.example"]
    for email, row in rows.items():
        explained = here.json("explain", email)
        assert row["Stage"] == explained["stage"]
        assert (row["Automatic stage"], row["Manual stage"]) == (None, None)
        fading = 0.1  # a lead has grown a little older between the two commands
        assert row["Score"] == pytest.approx(explained["total"], abs=fading)
        for dimension, points in explained["dimensions"].items():
            assert row[dimension.title()] == pytest.approx(points, abs=fading)
        assert row["Score"] == pytest.approx(row["Fit"] + row["Engagement"] + row["Need"])
        for line in explained["contributions"]:
            assert line["name"] in row["Why"]
    warm = rows["warm@acme.example"]
    assert (warm["country"], warm["jobtitle"]) == ("MX", "Directora de compras")
    assert warm["Why"].startswith("MQL · ")
    assert "email" not in warm


def test_a_stage_set_by_hand_stands_beside_the_one_of_the_rules(here: House) -> None:
    words = ("--reason", "no budget", "--until", "2099-01-31", "--author", "Marta")
    assert here.cli("override", "warm@acme.example", "cold", *words).exit_code == 0
    here.sync()
    assert here.cli("export", "--out", "out.xlsx").exit_code == 0
    row = by_email(here.folder / "out.xlsx")["warm@acme.example"]
    shown = [row[name] for name in ("Stage", "Automatic stage", "Manual stage", "Manual reason", "Manual author")]
    assert shown == ["cold", "mql", "cold", "no budget", "Marta"]
    assert f"{row['Manual until']:%Y-%m-%d}" == "2099-01-31"


def test_only_the_stages_that_are_asked_for_come(here: House) -> None:
    assert here.cli("export", "--stage", "mql", "--stage", "iql", "--out", "some.xlsx").stdout.startswith("2 leads in")
    assert sorted(by_email(here.folder / "some.xlsx")) == ["fits@acme.example", "warm@acme.example"]
    refused = here.cli("export", "--stage", "hot")
    assert refused.exit_code == 2
    assert "no stage is called 'hot'; there are: cold, iql, mql, sql" in refused.stderr


def test_csv_goes_to_standard_output_with_formulas_disarmed(here: House) -> None:
    here.person(country="ES", email="sly@acme.example", jobtitle="=HYPERLINK(A1)\nDirector")
    here.sync()
    told = here.cli("export", "--format", "csv", "--out", "-")
    assert told.exit_code == 0, told.output
    rows = list(csv.DictReader(io.StringIO(told.stdout_bytes.decode("utf-8-sig"), newline="")))
    assert len(rows) == 4
    assert {row["jobtitle"] for row in rows} == {"", "Directora de compras", "'=HYPERLINK(A1) Director"}
    refused = here.cli("export", "--out", "-")
    assert refused.exit_code == 2
    assert "give --format csv" in refused.stderr


def test_in_spanish_the_headings_the_separator_and_the_decimal_sign_are(here: House) -> None:
    path = here.folder / "syncer.yml"
    path.write_text(path.read_text() + "language: es\n")
    assert here.cli("export", "--out", "leads.csv").exit_code == 0
    with (here.folder / "leads.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = {row["Correo"]: row for row in csv.DictReader(file, delimiter=";")}
    assert rows["fits@acme.example"]["Etapa"] == "iql"
    assert rows["fits@acme.example"]["Puntuación"] == "40"
    assert "," in rows["warm@acme.example"]["Interacción"]


def test_a_file_that_is_there_is_replaced_only_when_told(here: House) -> None:
    (here.folder / "mine.xlsx").write_bytes(b"mine")
    refused = here.cli("export", "--out", "mine.xlsx")
    assert refused.exit_code == 2
    assert "mine.xlsx exists already; --yes replaces it" in refused.stderr
    assert (here.folder / "mine.xlsx").read_bytes() == b"mine"
    assert here.cli("export", "--out", "mine.xlsx", "--yes").exit_code == 0
    assert len(sheet(here.folder / "mine.xlsx")) == 3
