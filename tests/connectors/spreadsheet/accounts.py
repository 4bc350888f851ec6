"""A folder of tables as an account: people edit rows and save the file."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import xlsxwriter

from connectors.spreadsheet import Spreadsheet, scored
from connectors.spreadsheet.settings import Settings
from syncer.connector import Wanted

HEADINGS = ("ID", "Correo", "Ciudad", "Etapa manual")
DEEDS = ("Fecha", "Quién", "N.º")


def save(path: Path, rows: Sequence[Sequence[Any]]) -> None:
    """A CSV as Spanish Excel saves it, or a workbook."""
    if path.suffix == ".csv":
        with path.open("w", encoding="cp1252", newline="") as file:
            csv.writer(file, delimiter=";").writerows(rows)
        return
    book = xlsxwriter.Workbook(path)
    sheet = book.add_worksheet("Hoja1")
    for at, row in enumerate(rows):
        sheet.write_row(at, 0, row)
    book.close()


class FolderAccount:
    """Leads and meetings in two files, `kind` of file as its ending says."""

    field, kind, unknown_id, bad_token = "city", "meeting", "nobody", None

    def __init__(self, folder: Path, ending: str, **settings: Any) -> None:
        self.folder, self.leads, self.meetings = folder, folder / f"leads{ending}", folder / f"meetings{ending}"
        self._people: dict[str, list[str]] = {}
        self._deeds: list[tuple[str, str, str]] = []
        meetings = {"path": self.meetings.name, "kind": "meeting", "at": "Fecha", "person": "Quién", "id": "N.º"}
        given = {"path": self.leads.name, "key": "ID", "fields": {"city": "Ciudad"}, "missing": "deleted"}
        self.settings = Settings.model_validate({**given, "activities": {"meetings": meetings}, **settings})
        self._made = 0
        self._save()

    def connect(self, name: str, wanted: Wanted, *, token: str | None = None) -> Spreadsheet:
        return Spreadsheet(name, self.settings, replace(wanted, folder=self.folder, timezone="Europe/Madrid"))

    def add(self, people: int) -> Sequence[str]:
        new = [f"L{self._made + each}" for each in range(people)]
        self._made += people
        self._people |= {each: [f"person.{each}@acme.test", "Madrid", ""] for each in new}
        self._save()
        return new

    def edit(self, person: str, value: str) -> None:
        self._people[person][1] = value
        self._save()

    def remove(self, person: str) -> None:
        del self._people[person]
        self._save()

    def slip(self, person: str, value: str) -> bool:
        """A file does not change without a trace."""
        return False

    def erase(self, person: str) -> bool:
        return False

    def merge(self, person: str, other: str) -> str | None:
        return None

    def choose(self, person: str, stage: str | None) -> bool:
        self._people[person][2] = (stage or "").upper()
        self._save()
        return True

    def act(self, person: str) -> None:
        self._deeds.append(("03/11/2026 10:00", self._people[person][0], str(len(self._deeds) + 1)))
        self._save()

    def score_shown(self, person: str) -> int | None:
        return dict(scored.rows(scored.beside(self.leads)))[person].score

    def settle(self) -> None:
        """Nothing lags here."""

    def _save(self) -> None:
        save(self.leads, [("Clientes de España",), (), HEADINGS, *((key, *row) for key, row in self._people.items())])
        save(self.meetings, [DEEDS, *self._deeds])
