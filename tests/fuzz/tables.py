"""CSV files and workbooks, bent: a whole run over them, into a scored workbook or into the file itself, and one more
over the file as it was. What stands in a file that could be written stays whole."""

from __future__ import annotations

import csv
import io
import shutil
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import openpyxl
import xlsxwriter
from hypothesis import strategies as st

from syncer.app import App, settings_classes
from syncer.errors import SyncerError
from syncer.parts import Asked
from syncer.run import sync
from syncer.settings import load_project, process_settings
from syncer.sheets.reading import open_table
from syncer.store import open_store
from tests.fuzz.judging import Attempt, Broken, Target
from tests.fuzz.mutating import TEXT_EDITS, TREE_EDITS, Edits, bent_text, bent_tree

_MODEL = """\
name: small
fit:
  rules:
    - {name: In a city we sell to, when: {city: [Madrid, Lima]}, points: 40}
    - {name: Is large, when: {size: {at_least: 10}}, points: 5}
    - {name: Is new, when: {since: {newer_than: 900d}}, points: 5}
engagement:
  rules:
    - {name: Came to a meeting, when: {activity: meeting}, points: 30}
stages:
  - {name: cold}
  - {name: warm, enter: [total >= 30]}
  - {name: hot, enter: [total >= 70]}
"""
_PROJECT = """\
version: 1
timezone: Europe/Madrid
connections:
  sheet:
    type: spreadsheet
    path: leads{ending}
    key: ID
    fields: {{city: Ciudad, size: Tamaño, since: Alta}}
    missing: deleted
    write: {{in_place: {in_place}}}
    activities:
      meetings: {{path: deeds.csv, kind: meeting, at: Fecha, person: Quién, id: "N.º"}}
sync: {{max_stage_changes: 1000000, max_handoffs: 1000000}}
models: model.yml
"""
_LEADS: list[list[Any]] = [
    ["Clientes de España"],
    [],
    ["ID", "Correo", "Ciudad", "Tamaño", "Alta", "Etapa manual", "Motivo", "Por", "Hasta"],
    ["L1", "ana@acme.test", "Madrid", 12, "03/11/2026", "", "", "", ""],
    ["L2", "ben@acme.test", "Lima", "1.234,50", "2026-11-03 10:00", "WARM", "said so", "Eva", "31/12/2099"],
    ["L3", "eva@acme.test", "Ávila; o no", 0.5, "", "cold", "", "", "2020-01-01"],
    ["L4", "", "=1+1", "muchos", "nunca", "hot", "", "", ""],
]
_DEEDS: list[list[Any]] = [
    ["Fecha", "Quién", "N.º"],
    ["03/11/2026 10:00", "ana@acme.test", "1"],
    ["04/11/2026 11:30", "L2", "2"],
]


@dataclass(frozen=True, slots=True)
class Bent:
    """`as_tree`: the cells are bent, else the bytes; of a workbook, those of its `member`-th part, or its own."""

    ending: str
    in_place: bool
    deeds: bool  # the other file is bent
    as_tree: bool
    member: int
    edits: Edits


def _cases() -> st.SearchStrategy[Bent]:
    how = st.one_of(st.tuples(st.just(True), TREE_EDITS), st.tuples(st.just(False), TEXT_EDITS))
    rarely = st.sampled_from((False, False, False, True))
    return st.builds(
        lambda ending, in_place, deeds, member, how: Bent(ending, in_place, deeds, how[0], member, how[1]),
        st.sampled_from((".csv", ".xlsx")), st.booleans(), rarely, st.integers(0, 30), how,
    )  # fmt: skip


def _csv(rows: Sequence[Any]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=";").writerows(_rows(rows))
    return out.getvalue().encode("cp1252", "replace")


def _book(rows: Sequence[Any]) -> bytes:
    out = io.BytesIO()
    plainly = {"nan_inf_to_errors": True, "strings_to_formulas": False, "strings_to_urls": False}
    book = xlsxwriter.Workbook(out, plainly)
    sheet = book.add_worksheet("Hoja1")
    for at, row in enumerate(_rows(rows)):
        for column, cell in enumerate(row[:300]):
            number = isinstance(cell, bool | int | float) and abs(cell) < 1e300
            sheet.write(at, column, cell if number else str(cell)[:32_000].replace("\ud800", ""))
    book.close()
    return out.getvalue()


def _rows(tree: Any) -> list[list[Any]]:
    """As far as what is left of them are rows."""
    rows = tree if isinstance(tree, list) else list(tree.values()) if isinstance(tree, dict) else [tree]
    return [row if isinstance(row, list) else [row] for row in rows]


def _bent_member(raw: bytes, case: Bent) -> bytes:
    """A workbook with one of its parts bent; now and then the bytes of the file itself."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        parts = [(each, archive.read(each)) for each in archive.namelist()]
    if case.member >= len(parts) + 3:
        return bent_text(raw, case.edits)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, (name, content) in enumerate(parts):
            archive.writestr(name, bent_text(content, case.edits) if number == case.member % len(parts) else content)
    return out.getvalue()


@dataclass(frozen=True, slots=True)
class _Bench:
    """Two files that are written anew for each case, and a database that is new each time."""

    folder: Path
    apps: dict[tuple[str, bool], App]
    template: Path

    def attempt(self, case: Bent) -> str:
        path = self.folder / f"leads{case.ending}"
        good = _csv(_LEADS) if case.ending == ".csv" else _book(_LEADS)
        path.write_bytes(good)
        (self.folder / "deeds.csv").write_bytes(_csv(_DEEDS))
        self._bend(case, path)
        shutil.copy(self.template, self.folder / "syncer.db")
        store = open_store(f"sqlite:///{self.folder / 'syncer.db'}")
        try:
            app = replace(self.apps[case.ending, case.in_place], store=store)
            end = _first(app)
            if end == "done" and case.in_place:
                _insist_readable(path)
            path.write_bytes(good)
            (self.folder / "deeds.csv").write_bytes(_csv(_DEEDS))
            _mended(app)
            return end
        finally:
            store.close()
            for each in [*self.folder.glob("syncer.db*"), *self.folder.glob("*leads*"), *self.folder.glob("deeds*")]:
                each.unlink()

    def _bend(self, case: Bent, path: Path) -> None:
        if case.deeds:
            (self.folder / "deeds.csv").write_bytes(_bent(_DEEDS, case, _csv))
        elif case.ending == ".csv":
            path.write_bytes(_bent(_LEADS, case, _csv))
        elif case.as_tree:
            path.write_bytes(_book(bent_tree(_LEADS, case.edits)))
        else:
            path.write_bytes(_bent_member(path.read_bytes(), case))


def _bent(rows: Sequence[Any], case: Bent, write: Callable[[Sequence[Any]], bytes]) -> bytes:
    return write(bent_tree(rows, case.edits)) if case.as_tree else bent_text(write(rows), case.edits)


def _first(app: App) -> str:
    try:
        report = sync(app.parts("sheet"), Asked())
    except SyncerError as error:
        return error.code
    return min((each.code for each in report.failures.values()), default="done")


def _mended(app: App) -> None:
    """The files are good again: two runs later all of it is read and written."""
    try:
        sync(app.parts("sheet"), Asked())
        report = sync(app.parts("sheet"), Asked())
    except SyncerError as error:
        raise Broken(f"good files are refused: {error.code} {error}") from error
    if report.failures:
        raise Broken(f"good files are not read: {report.failures}")


def _insist_readable(path: Path) -> None:
    """What was written in place is a whole file, with our columns in it."""
    table = open_table(path, headings=["ID"])
    if path.suffix == ".xlsx":
        openpyxl.load_workbook(path).close()
    if not list(table.rows()):
        raise Broken("the file has lost its rows")


@contextmanager
def _opened(folder: Path) -> Iterator[Attempt]:
    template, apps = folder / "template.db", dict[tuple[str, bool], App]()
    open_store(f"sqlite:///{template}").close()
    work = folder / "work"
    work.mkdir()
    (work / "model.yml").write_text(_MODEL)
    store = open_store(f"sqlite:///{folder / 'unused.db'}")
    for ending in (".csv", ".xlsx"):
        for in_place in (False, True):
            path = work / f"project{ending}.{in_place}.yml"
            path.write_text(_PROJECT.format(ending=ending, in_place=str(in_place).lower()))
            project = load_project(path, settings_classes(), {})
            apps[ending, in_place] = App(process_settings(work, config=path), project, store, "this-process")
    try:
        yield _Bench(work, apps, template).attempt
    finally:
        store.close()


CSV = Target("csv", _cases(), _opened, bound_s=10.0)
