"""Whole runs over files: what goes in as a table comes out scored, and what is in no file any more goes."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import openpyxl
import orjson
import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from connectors.spreadsheet import scored
from syncer.app import App, opened
from syncer.cli import cli
from syncer.model import Lead
from syncer.parts import Asked, Report
from syncer.run import sync
from syncer.settings import process_settings
from syncer.store import mirror
from tests.connectors.spreadsheet.accounts import save
from tests.reporting import FIGURES
from tests.runs import x_education
from tests.runs.house import House, house_on

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config"
MODEL = """\
name: small
fit:
  rules:
    - {name: In a city we sell to, when: {city: [Madrid, Lima]}, points: 40}
engagement:
  rules:
    - {name: Came to a meeting, when: {activity: meeting}, points: 30}
stages:
  - {name: cold}
  - {name: warm, enter: [total >= 30]}
  - {name: hot, enter: [total >= 70]}
"""
PROJECT = """\
version: 1
timezone: Europe/Madrid
connections:
  sheet: {{type: spreadsheet, path: leads.csv, {more}}}
sync: {{max_stage_changes: 10000}}
models: model.yml
"""
HEADINGS = ("Correo", "Ciudad")


@dataclass
class Desk:
    """A project over files, and its database."""

    folder: Path
    database_url: str

    def project(self, more: str, model: str = MODEL) -> None:
        (self.folder / "model.yml").write_text(model)
        (self.folder / "syncer.yml").write_text(PROJECT.format(more=more))

    def save(self, *rows: Sequence[Any]) -> None:
        save(self.folder / "leads.csv", [HEADINGS, *rows])

    @contextmanager
    def app(self) -> Iterator[App]:
        process = process_settings(self.folder, config=self.folder / "syncer.yml", database_url=self.database_url)
        with opened(process, {}) as app:
            yield app

    def sync(self, asked: Asked | None = None) -> Report:
        with self.app() as app:
            return sync(app.parts("sheet"), asked or Asked())

    def leads(self) -> dict[str, str]:
        """Lead -> stage, of those who live."""
        with self.app() as app:
            found = [lead for chunk in _chunks(app) for lead in chunk]
        return {lead.records[0].key.id: lead.state.stage.stage for lead in found if lead.state.stage is not None}


def _chunks(app: App) -> Iterator[list[Lead]]:
    return mirror.chunks(app.store, "sheet", which="all", now=datetime.now(UTC))


@pytest.fixture
def desk(tmp_path: Path, database_url: str) -> Desk:
    return Desk(tmp_path, database_url)


def test_leads_and_what_they_did_come_out_scored_and_a_second_run_writes_nothing(desk: Desk) -> None:
    desk.project(
        "fields: {city: Ciudad}, activities: {visits: {path: visits.csv, kind: meeting, at: Fecha, person: Quien}}"
    )
    desk.save(("ana@acme.test", "Madrid"), ("LUIS@acme.test ", "Roma"), ("", "Lima"))
    save(desk.folder / "visits.csv", [("Fecha", "Quien"), ("03/11/2026", "Ana@acme.test"), ("nunca", "ana@acme.test")])
    report = desk.sync()
    assert report.counts["unreadable"] == 2
    assert desk.leads() == {"ana@acme.test": "hot", "luis@acme.test": "cold"}
    shown = dict(scored.rows(desk.folder / "leads.scored.xlsx"))
    assert {key: (row.score, row.stage) for key, row in shown.items()} == {
        "ana@acme.test": (7000, "hot"),
        "luis@acme.test": (0, "cold"),
    }
    assert desk.sync().counts["written"] == 0


@pytest.mark.parametrize(("missing", "left"), [("kept", 2), ("deleted", 1)])
def test_a_row_that_is_gone_is_kept_unless_the_settings_say_otherwise(desk: Desk, missing: str, left: int) -> None:
    desk.project(f"fields: {{city: Ciudad}}, missing: {missing}")
    desk.save(("ana@acme.test", "Madrid"), ("luis@acme.test", "Roma"))
    desk.sync()
    desk.save(("ana@acme.test", "Madrid"))
    desk.sync()
    assert len(desk.leads()) == left


def test_what_could_not_be_read_is_forgotten_once_it_is_right_or_gone(desk: Desk) -> None:
    visits = "{path: visits.csv, kind: meeting, at: Fecha, person: Quien}"
    desk.project(f"fields: {{city: Ciudad}}, activities: {{visits: {visits}}}")
    for email, day, left in (("ana", "nunca", {"leads.csv:2", "visits.csv:2"}), ("ana@acme.test", "03/11/2026", set())):
        desk.save((email, "Madrid"))
        save(desk.folder / "visits.csv", [("Fecha", "Quien"), (day, "ana@acme.test")])
        desk.sync()
        with desk.app() as app, app.store.reading() as tx:
            assert {each.rejected.id for each in mirror.rejections(tx, "sheet")} == left
    assert desk.leads() == {"ana@acme.test": "hot"}


def test_a_file_with_nearly_nobody_left_deletes_nobody(desk: Desk) -> None:
    desk.project("fields: {city: Ciudad}, missing: deleted")
    people = [(f"person{each}@acme.test", "Madrid") for each in range(120)]
    desk.save(*people)
    desk.sync()
    desk.save(*people[:10])
    report = desk.sync()
    assert "does not show 110 of 120 people any more" in report.failures["sweep"].message
    assert len(desk.leads()) == 120


def test_a_row_that_is_spoilt_deletes_nobody_and_is_told_once(desk: Desk) -> None:
    desk.project("fields: {city: Ciudad}, missing: deleted")
    desk.save(("ana@acme.test", "Madrid"), ("luis@acme.test", "Roma"))
    desk.sync()
    desk.save(("ana@acme.test", "Madrid", "more"), ("luis@acme.test", "Roma"))
    report = desk.sync()
    assert "leads.csv:2: the row has 3 cells" in report.failures["sweep"].message
    assert "nobody who is missing is taken for gone" in report.failures["sweep"].message
    assert set(desk.leads()) == {"ana@acme.test", "luis@acme.test"}
    desk.save(("", "Madrid"), ("luis@acme.test", "Roma"))
    assert desk.sync().counts["unreadable"] == 1
    assert set(desk.leads()) == {"luis@acme.test"}


def test_what_people_choose_for_a_lead_of_two_files_counts_in_whichever_workbook_they_choose(desk: Desk) -> None:
    desk.project("fields: {city: Ciudad}")
    config = desk.folder / "syncer.yml"
    config.write_text(config.read_text().replace("path: leads.csv", 'path: "*.csv"'))
    for name in ("a", "b"):
        save(desk.folder / f"{name}.csv", [HEADINGS, ("ana@acme.test", "Madrid")])
    desk.sync()
    choices = (("Stage", "Cold", "cold"), ("Manual stage", "HOT", "hot"), ("Manual stage", "", "warm"))
    for heading, stage, after in choices:
        _type_in(desk.folder / "a.scored.xlsx", heading, stage)
        for _ in range(2):
            desk.sync()
            assert desk.leads() == {"ana@acme.test": after}


def _type_in(path: Path, heading: str, text: str) -> None:
    """What a person does with the first row, in a spreadsheet program."""
    book = openpyxl.load_workbook(path)
    sheet = book.worksheets[0]
    column = next(number for number, cell in enumerate(sheet[1], start=1) if cell.value == heading)
    sheet.cell(2, column).value = text or None
    book.properties.lastModifiedBy = "Marta"
    book.save(path)


def test_an_older_file_that_is_copied_back_is_read(desk: Desk) -> None:
    desk.project("fields: {city: Ciudad}")
    desk.save(("ana@acme.test", "Madrid"))
    desk.sync()
    desk.save(("ana@acme.test", "Roma"))
    os.utime(desk.folder / "leads.csv", (1_700_000_000, 1_700_000_000))
    desk.sync()
    assert desk.leads() == {"ana@acme.test": "cold"}


def _of_real_leads(folder: Path, database_url: str) -> Desk:
    """Their table as a plain file, and the shipped model: each lead is known by the prospect's id, as over HubSpot."""
    desk = Desk(folder, database_url)
    shutil.copy(x_education.TABLE, folder / "leads.csv")
    columns = YAML(typ="safe").load(CONFIG / "columns" / "x_education.yml")
    fields = {name: heading for heading, name in columns["columns"].items()}
    more = f"key: Prospect ID, not_given: Select, fields: {orjson.dumps(fields).decode()}"
    desk.project(more, (CONFIG / "models" / "education.yml").read_text())
    return desk


@pytest.mark.slow
@pytest.mark.skipif(not x_education.TABLE.is_file(), reason="the real leads are not here")
def test_real_leads_as_a_plain_file_get_the_stages_that_the_rules_give_them(desk: Desk) -> None:
    desk = _of_real_leads(desk.folder, desk.database_url)
    report = desk.sync()
    assert report.counts["scored"] == report.counts["written"] == 6468
    told = _simulated(desk.folder)
    stages = desk.leads()
    assert Counter(stages.values()) == told
    shown = {key: row.stage for key, row in dict(scored.rows(desk.folder / "leads.scored.xlsx")).items()}
    assert shown == stages


@pytest.mark.slow
@pytest.mark.skipif(not x_education.TABLE.is_file(), reason="the real leads are not here")
def test_real_leads_get_the_same_stages_as_a_plain_file_and_over_hubspot(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    for name in ("portal", "desk"):
        (tmp_path / name).mkdir()
    with house_on(tmp_path / "portal", f"sqlite:///{tmp_path}/portal/syncer.db") as house:
        house.write_project((CONFIG / "models" / "education.yml").read_text())
        _import(house)
        house.setup()
        house.sync()
        people = house.control("dump", objectType="contacts")["results"]
        over_hubspot = {each["properties"]["email"]: each["properties"]["ls_stage"] for each in people}
    desk = _of_real_leads(tmp_path / "desk", f"sqlite:///{tmp_path}/desk/syncer.db")
    words = ["--config", str(desk.folder / "syncer.yml"), "--database-url", desk.database_url, "run"]
    assert CliRunner().invoke(cli, words, catch_exceptions=False).exit_code == 0
    as_a_file = {key: row.stage for key, row in dict(scored.rows(desk.folder / "leads.scored.xlsx")).items()}
    counts = Counter(as_a_file.values())
    record_property(FIGURES, f"as a file and over HubSpot alike: {dict(sorted(counts.items()))}")
    assert counts == Counter(over_hubspot.values())
    assert {f"{key.lower()}@{x_education.DOMAIN}": stage for key, stage in as_a_file.items()} == over_hubspot
    if shutil.which("soffice") is not None:
        assert Counter(row["Stage"] for row in _shown_by_libreoffice(desk.folder / "leads.scored.xlsx")) == counts


def _import(house: House) -> None:
    """Into the portal, as contacts."""
    group = {"name": x_education.GROUP, "label": x_education.GROUP_LABEL}
    house.api("POST", "/crm/v3/properties/contacts/groups", **group)
    house.api("POST", "/crm/v3/properties/contacts/batch/create", inputs=list(x_education.definitions()))
    people = [{"properties": x_education.contact_of(row)} for row in x_education.rows(x_education.TABLE)]
    for first in range(0, len(people), 100):
        house.api("POST", "/crm/v3/objects/contacts/batch/create", inputs=people[first : first + 100])


def _shown_by_libreoffice(path: Path) -> list[dict[str, str]]:
    """The rows by heading, after it has opened the workbook and saved it as CSV."""
    profile = f"-env:UserInstallation=file://{path.parent / 'profile'}"
    words = ["soffice", profile, "--headless", "--convert-to", "csv:Text - txt - csv (StarCalc):59,34,76,1"]
    words += ["--outdir", str(path.parent), str(path)]
    subprocess.run(words, check=True, capture_output=True, timeout=180)
    with path.with_suffix(".csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=";"))


def _simulated(folder: Path) -> Counter[str]:
    """Stage -> leads, of the table without any run."""
    columns = str(CONFIG / "columns" / "x_education.yml")
    words = ["--leads", str(folder / "leads.csv"), "--model", str(folder / "model.yml"), "--columns", columns, "--json"]
    told = orjson.loads(CliRunner().invoke(cli, ["simulate", *words], catch_exceptions=False).stdout)
    return Counter({each["stage"]: each["leads"] for each in told["stages"] if each["leads"]})
