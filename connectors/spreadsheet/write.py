"""Writing scores and stages back: into the scored workbook beside each file of leads, or into the file itself.

A file is rewritten once a call, however much has changed in it, so a call had best bring much: see `BATCH`.
"""

from __future__ import annotations

import os
import pickle
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import astuple, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from connectors.spreadsheet import in_place, scored
from connectors.spreadsheet.scored import ScoredRow
from syncer.connector import FieldChange
from syncer.errors import ConfigError, TemporaryError
from syncer.model import Change, RecordKey, Rejected, Standing, Written
from syncer.sheets.cells import Cell
from syncer.sheets.reading import Table
from syncer.sheets.writing import WORDS, Column, Version, write_table

BATCH = 100_000


@dataclass(frozen=True, slots=True)
class LeadFile:
    """One file of leads, as the reading side understands it."""

    table: Table
    id_of: Callable[[Sequence[Cell]], str | None]  # the lead that a row is about; None: it names nobody
    manual: bool  # it has a column for the manual stage itself: people write there, and only there
    since: Version | None = None  # of the file when the table was opened


@dataclass(frozen=True, slots=True)
class Desk:
    """What writing works with."""

    connection: str
    language: str
    stages: tuple[str, ...]  # coldest first
    in_place: bool  # into the user's own files
    files: Callable[[], Iterable[LeadFile]]  # those with leads, opened anew each time
    fence: Callable[[], None] = lambda: None  # raises where another process may be at work by now


def setup(desk: Desk) -> Iterator[FieldChange]:
    """One line for each file that is written. The columns come with the first write, so there is nothing to create;
    what would hinder that is a problem."""
    words = WORDS[desk.language]
    label = ", ".join((words.score, words.stage, words.reasons))
    for file in desk.files():
        target = _target(desk, file)
        yield FieldChange("field", target.name, label, "columns of a table", True, _obstacle(desk, file, target))


def stage_authors(desk: Desk, records: Sequence[RecordKey]) -> Mapping[RecordKey, str]:
    """A workbook names only who saved it last."""
    asked = {key.id: key for key in records}
    found: dict[RecordKey, str] = {}
    for file in desk.files():
        author = scored.last_saved_by(_target(desk, file))
        if author is not None:
            found |= {asked[each]: author for each in _ids(file, asked)}
    return found


def write(desk: Desk, changes: Sequence[Change]) -> Iterator[Written | Rejected]:
    """One rewrite of each file in which any of them is; the answers are what the files show then. TemporaryError for
    what somebody has open, once all else is written and answered."""
    wanted = {change.record.id: change for change in changes}
    answers: dict[str, Written] = {}
    blocked: set[str] = set()
    late: TemporaryError | None = None
    for file in _apart(desk):
        here = _ids(file, wanted)
        try:
            if here:
                answers |= _written(desk, file, {each: wanted[each] for each in here})
        except TemporaryError as failure:
            late, blocked = failure, blocked | here
    for each in wanted.keys() - blocked:
        yield answers.get(each) or Rejected(each, "no row of the files names this lead any more")
    if late is not None:
        raise late


def _written(desk: Desk, file: LeadFile, changes: Mapping[str, Change]) -> dict[str, Written]:
    """The file written, and what it shows of these leads now."""
    desk.fence()
    standings = {each: change.after for each, change in changes.items()}
    target = _target(desk, file)
    if desk.in_place:
        wording = in_place.Wording(desk.language, desk.stages, file.manual)
        in_place.rewrite(file.table, file.id_of, standings, wording, file.since)
        shown = _rows_in_place(desk, file)
    else:
        columns = _columns(desk, file)
        write_table(target, columns, _merged(desk, file, target, standings), language=desk.language)
        shown = scored.rows(target)
    at = datetime.fromtimestamp(target.stat().st_mtime, UTC)
    return {each: _answer(changes[each], row, at, target) for each, row in shown if each in changes}


def _answer(change: Change, row: ScoredRow, at: datetime, target: Path) -> Written:
    kept = change.after.stage is not None and row.stage != change.after.stage
    refused = f"{target.name} shows {row.stage!r}" if kept else None
    return Written(change.record, at, Standing(row.score, row.stage, row.reasons), refused)


def _rows_in_place(desk: Desk, file: LeadFile) -> Iterator[tuple[str, ScoredRow]]:
    """Of the user's own file as it is now; those behind it are not opened."""
    again = next((each for each in desk.files() if each.table.path == file.table.path), None)
    ours = scored.places(again.table.headings) if again is not None else None
    if again is None or ours is None:
        return
    for _, cells in again.table.rows():
        if (identity := again.id_of(cells)) is not None:
            yield identity, ours.row(cells)


def _apart(desk: Desk) -> list[LeadFile]:
    """The files. ConfigError (SY183) where two would be written to one place."""
    files, taken = list(desk.files()), dict[Path, Path]()
    for file in files:
        target, source = _target(desk, file), file.table.path
        other = taken.setdefault(target, source)
        if other != source:
            raise ConfigError(
                f"{desk.connection}: {other.name} and {source.name} would both be written to {target.name}; rename one "
                "of them",
                code="SY183",
            )
    return files


def _target(desk: Desk, file: LeadFile) -> Path:
    return file.table.path if desk.in_place else scored.beside(file.table.path)


def _obstacle(desk: Desk, file: LeadFile, target: Path) -> str | None:
    if not os.access(target.parent, os.W_OK):
        return f"nothing can be written to the folder {target.parent}"
    if desk.in_place:
        return in_place.obstacle(file.table)
    try:
        next(scored.rows(target), None)
    except ConfigError as error:
        return error.message
    return None


def _ids(file: LeadFile, asked: Collection[str]) -> set[str]:
    """Those of the asked leads that the file has a row of."""
    rows = file.table.rows(_left_out)
    return {each for _, cells in rows if (each := file.id_of(cells)) is not None and each in asked}


def _left_out(row: int, why: str) -> None:
    """What is no row of the table has been told by the pull."""


def _columns(desk: Desk, file: LeadFile) -> list[Column]:
    words, stages = WORDS[desk.language], desk.stages
    columns = [Column(heading) for heading in file.table.headings]
    columns += [Column(words.score), Column(words.stage, choices=stages, tones=stages), Column(words.reasons, "text")]
    if not file.manual:
        columns.append(Column(words.manual_stage, "typed", choices=stages, tones=stages))
        columns += [Column(each, "typed") for each in astuple(words)[4:]]
    return [*columns, Column(scored.KEY, hidden=True)]


def _merged(desk: Desk, file: LeadFile, target: Path, standings: Mapping[str, Standing]) -> Iterator[list[Cell]]:
    """Every row of the source with what is to stand beside it. What stood there is read when the first row is asked
    for, so that nothing that people have typed comes in between."""
    author = scored.last_saved_by(target)
    with closing(_Shown()) as shown:
        shown.keep(scored.rows(target))
        width = len(file.table.headings)
        for _, cells in file.table.rows(_left_out):
            identity = file.id_of(cells)
            row = shown.of(identity) if identity is not None else ScoredRow()
            yield [*cells[:width], *_ours(_updated(row, standings.get(identity or "")), author, file.manual), identity]


def _updated(row: ScoredRow, after: Standing | None) -> ScoredRow:
    """Only what is asked for is written."""
    if after is None:
        return row
    return replace(
        row,
        score=row.score if after.score is None else after.score,
        stage=row.stage if after.stage is None else after.stage,
        reasons=row.reasons if after.reasons is None else after.reasons,
    )


def _ours(row: ScoredRow, author: str | None, own_manual: bool) -> list[Cell]:
    typed = row.manual
    if typed.stage is not None and typed.author is None:
        typed = replace(typed, author=author)  # from here on it is syncer who has saved the workbook last
    said: tuple[Cell, ...] = () if own_manual else (typed.stage, typed.reason, typed.author, typed.until)
    return [in_place.points(row.score), row.stage, row.reasons, *said]


class _Shown:
    """What a scored workbook shows by lead, in a temporary database: a million rows need no memory."""

    def __init__(self) -> None:
        self._rows = sqlite3.connect("")
        self._rows.execute("CREATE TABLE rows (id TEXT PRIMARY KEY, shown BLOB) WITHOUT ROWID")

    def keep(self, rows: Iterable[tuple[str, ScoredRow]]) -> None:
        packed = ((identity, pickle.dumps(row)) for identity, row in rows)
        self._rows.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?)", packed)

    def of(self, identity: str) -> ScoredRow:
        found = self._rows.execute("SELECT shown FROM rows WHERE id = ?", (identity,)).fetchone()
        row: ScoredRow = pickle.loads(found[0]) if found else ScoredRow()
        return row

    def close(self) -> None:
        self._rows.close()
