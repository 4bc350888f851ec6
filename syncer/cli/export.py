"""`export`: the leads of a connection as a workbook or as CSV, for whoever works in a spreadsheet."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from syncer import planning, scoring
from syncer.app import App
from syncer.cli import export_states
from syncer.cli.output import app_of, counted, progress
from syncer.errors import ConfigError
from syncer.handoff.text import one_line, web_link
from syncer.model import Lead, Record, Score
from syncer.queries.explaining import in_force
from syncer.rules import DIMENSIONS, Segment
from syncer.sheets.cells import Cell
from syncer.sheets.writing import DIALECTS, WORDS, Column, replacing, write_csv, write_table
from syncer.store import mirror

_CHUNK = 2_000  # leads in memory, with all they did
_KINDS: Mapping[str, str] = {".csv": "csv", ".parquet": "states"}
_ENDINGS: Mapping[str, str] = {"states": "parquet"}
_HEADINGS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "email": "E-mail", "name": "Name", "owner": "Owner", "automatic": "Automatic stage", "since": "Since",
        "link": "Link", "fit": "Fit", "engagement": "Engagement", "need": "Need", "readiness": "Readiness",
    },
    "es": {
        "email": "Correo", "name": "Nombre", "owner": "Propietario", "automatic": "Etapa automática", "since": "Desde",
        "link": "Enlace", "fit": "Perfil", "engagement": "Interacción", "need": "Necesidad", "readiness": "Disposición",
    },
}  # fmt: skip
"""Beside those that a scored workbook has, too."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """What every row of an export is made with."""

    fields: tuple[str, ...]
    stages: tuple[str, ...]
    dimensions: tuple[str, ...]
    language: str
    timezone: str
    now: datetime


def export(  # what was typed, option by option
    ctx: click.Context, connection: str | None, kind: str | None, out: Path | None, only: tuple[str, ...], yes: bool
) -> None:
    kind = kind or _KINDS.get(out.suffix.lower() if out is not None else "", "xlsx")
    to_screen = out == Path("-")
    if to_screen and kind != "csv":
        raise click.UsageError("only CSV can go to standard output; give --format csv, or --out FILE")
    if only and kind == "states":
        raise click.UsageError("states are of every lead; leave out --stage")
    with app_of(ctx) as app:
        name = app.connection(connection).name
        _insist_on_stages(only, app.project.stages)
        shape = _shape(app)
        day = shape.now.astimezone(ZoneInfo(shape.timezone))
        target = out or Path(f"leads-{day:%Y-%m-%d}.{_ENDINGS.get(kind, kind)}")
        if not to_screen and not yes and target.exists():
            raise ConfigError(f"{target} exists already; --yes replaces it, --out names another file", code="SY181")
        if kind == "states":
            click.echo(export_states.told(export_states.write(app, name, target), target))
            return
        tally = _Tally()
        rows = tally.counting(_rows(app, name, shape, frozenset(only)))
        if to_screen:
            write_csv(sys.stdout.buffer, _columns(shape), rows, DIALECTS[shape.language])
        else:
            _write(target, kind, shape, rows)
            click.echo(f"{counted(tally.rows, 'lead')} in {target}")


def _insist_on_stages(only: Sequence[str], stages: Sequence[str]) -> None:
    unknown = next((each for each in only if each not in stages), None)
    if unknown is not None:
        raise ConfigError(f"no stage is called '{one_line(unknown)}'; there are: {', '.join(stages)}", code="SY088")


def _shape(app: App) -> _Shape:
    project = app.project
    used = {dimension.name for segment in project.segments for dimension in segment.model.dimensions}
    return _Shape(
        fields=tuple(name for name in project.needed_fields if name != "email"),  # it has a column of its own
        stages=project.stages,
        dimensions=tuple(name for name in DIMENSIONS if name in used),
        language=project.language,
        timezone=project.timezone,
        now=app.clock(),
    )


def _write(target: Path, kind: str, shape: _Shape, rows: Iterable[Sequence[Cell]]) -> None:
    if kind == "xlsx":
        write_table(target, _columns(shape), rows, language=shape.language)
        return
    with replacing(target) as file:
        write_csv(file, _columns(shape), rows, DIALECTS[shape.language])


@dataclass
class _Tally:
    rows: int = 0

    def counting(self, rows: Iterator[Sequence[Cell]]) -> Iterator[Sequence[Cell]]:
        for row in rows:
            self.rows += 1
            yield row


def _columns(shape: _Shape) -> list[Column]:
    words, stages = {**_HEADINGS[shape.language], **asdict(WORDS[shape.language])}, shape.stages
    return [
        *(Column(words[name]) for name in ("email", "name", "owner")),
        *(Column(name) for name in shape.fields),
        *(Column(words.get(name, name), "points") for name in ("score", *shape.dimensions)),
        *(Column(words[name], tones=stages) for name in ("stage", "automatic", "manual_stage")),
        *(Column(words[name]) for name in ("manual_reason", "manual_author", "manual_until")),
        Column(words["reasons"], "text"),
        *(Column(words[name]) for name in ("since", "link")),
    ]


def _rows(app: App, connection: str, shape: _Shape, only: Collection[str]) -> Iterator[list[Cell]]:
    """A row a lead, chunk after chunk."""
    with app.store.reading() as tx:
        of = mirror.count_shown(tx, connection)
    done = 0
    with progress(connection) as tell:
        for leads in mirror.chunks(app.store, connection, which="shown", now=shape.now, size=_CHUNK):
            wanted = [lead for lead in leads if not only or _stage(lead) in only]
            scores = _scores(wanted, app.project.segments, shape.now)
            yield from (_row(lead, _record(lead, connection), scores.get(lead.id), shape) for lead in wanted)
            done += len(leads)
            tell("score", "leads", done, of)


def _scores(leads: Sequence[Lead], segments: Sequence[Segment], now: datetime) -> Mapping[int, Score]:
    """As `explain` gives them, lead by lead; one that fits no segment has none."""
    found: dict[int, Score] = {}
    chosen = scoring.first_passed([segment.when for segment in segments], [lead.signals for lead in leads], now)
    for number, segment in enumerate(segments):
        mine = [lead.signals for lead, its in zip(leads, chosen, strict=True) if its == number]
        evaluation = scoring.evaluate(scoring.match(mine, segment.model), segment.model, now)
        for row, signals in enumerate(mine):
            found[signals.lead] = scoring.score_of(signals, segment.model, now, evaluation, row)
    return found


def _stage(lead: Lead) -> str | None:
    return lead.state.stage.stage if lead.state.stage else None


def _record(lead: Lead, connection: str) -> Record:
    """As the connection shows the lead, whichever other ones show it, too."""
    return next(each for each in lead.records if each.key.connection == connection)


def _row(lead: Lead, record: Record, score: Score | None, shape: _Shape) -> list[Cell]:
    state, word = lead.state.stage, lead.state.override
    stage = _stage(lead)
    said = word if in_force(word, shape.now) else None
    points = [score.total, *(score.dimensions.get(name, 0) for name in shape.dimensions)] if score else None
    return [
        *(_plain(each) for each in (record.email, record.name, record.owner)),
        *(_plain(lead.signals.fields.get(name)) for name in shape.fields),
        *([each / 100 for each in points] if points else [None] * (1 + len(shape.dimensions))),
        stage,
        state.automatic if state is not None and state.automatic != stage else None,
        *([said.stage, _plain(said.reason), _plain(said.author)] if said else [None] * 3),
        _local(said.until if said else None, shape),
        planning.reasons_of(score, stage or "") if score else None,
        _local(state.since if state else None, shape),
        web_link(record.url),
    ]


def _plain(cell: Cell) -> Cell:
    return one_line(cell) if isinstance(cell, str) else cell


def _local(moment: datetime | None, shape: _Shape) -> datetime | None:
    """As a clock on the wall shows it: spreadsheets know no time zones."""
    return None if moment is None else moment.astimezone(ZoneInfo(shape.timezone)).replace(tzinfo=None, microsecond=0)
