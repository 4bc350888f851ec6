"""`export --format states`: what each lead's facts meet, as Parquet, so that the kernel can score them wherever the
file is. The extra `parquet` brings what writes it.

A row is a lead: its id in this database (bigint), the connection that decides it, the fingerprint of the rules, the
version of the model that scores it, the lead's revision, and its footprint's bits and hits (binary; what they mean
stands in `syncer.scoring.footprints`). No name, no address and no field is in it.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from syncer import deciding, scoring
from syncer.app import App
from syncer.cli.output import counted, progress
from syncer.errors import ConfigError
from syncer.model import Footprint, Lead
from syncer.rules import Segment
from syncer.sheets.writing import replacing
from syncer.store import footprints, mirror

_PAGE = 50_000  # leads in memory, their footprints alone: a row group of the file
_CHUNK = 2_000  # leads in memory, with all they did
_Row = tuple[int, int, Footprint]  # lead, revision, footprint


@dataclass
class Written:
    leads: int = 0
    anew: int = 0  # of these, matched for the export: their footprint was missing or stale


def told(written: Written, target: Path) -> str:
    return f"{counted(written.leads, 'lead')} in {target}, {written.anew:,} of them matched anew"


def write(app: App, connection: str, target: Path) -> Written:
    """The footprints of all leads that the connection decides, each as of its revision, in bounded memory. One that is
    missing or stale is made anew, and not kept. A lead that fits no model is left out: nothing scores it.

    ConfigError: SY238 without the extra `parquet`, SY239 where footprints do not say enough, SY181 where the file
    cannot be written."""
    arrow, parquet = library("pyarrow"), library("pyarrow.parquet")
    rules, written = _rules(app), Written()
    schema = arrow.schema(
        [arrow.field("lead", arrow.int64(), nullable=False)]
        + [arrow.field(name, arrow.string(), nullable=False) for name in ("connection", "rules", "model")]
        + [arrow.field("revision", arrow.int64(), nullable=False)]
        + [arrow.field(name, arrow.binary(), nullable=False) for name in ("bits", "hits")]
    )
    with replacing(target) as file, parquet.ParquetWriter(file, schema, compression="zstd") as out:
        for rows in _pages(app, connection, rules, written):
            columns = _columns(rows, connection, rules)
            out.write_batch(arrow.record_batch(columns, schema=schema))
    return written


def library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(
            "Parquet needs more than is installed; pip install 'syncer[parquet]'", code="SY238"
        ) from error


def _rules(app: App) -> str:
    rules = deciding.fingerprint(app.project.segments)
    if rules is None:
        raise ConfigError(
            "the project's models are chosen by dates (models: for:), so which one scores a lead changes with time and "
            "an exported state cannot say it; choose them by plain fields",
            code="SY239",
        )
    return rules


def _pages(app: App, connection: str, rules: str, written: Written) -> Iterator[list[_Row]]:
    last = 0
    with app.store.reading() as tx:
        of = mirror.count(tx, connection)
    with progress(connection) as tell:
        while True:
            with app.store.reading() as tx:
                found = footprints.page(tx, connection, rules, after=last, size=_PAGE)
            if not found:
                return
            kept = [(lead, revision, its) for lead, revision, its in found if its is not None]
            anew = _anew(app, connection, [lead for lead, _, its in found if its is None])
            written.leads, written.anew = written.leads + len(kept) + len(anew), written.anew + len(anew)
            yield sorted([*kept, *anew], key=lambda row: row[0])
            last = found[-1][0]
            tell("score", "leads", written.leads, of)


def _anew(app: App, connection: str, stale: Sequence[int]) -> list[_Row]:
    now, rows = app.clock(), list[_Row]()
    for leads in mirror.chunks(app.store, connection, which=stale, now=now, size=_CHUNK):
        made = _matched(leads, app.project.segments, now)
        rows += [(lead.id, lead.revision, made[lead.id]) for lead in leads if lead.id in made]
    return rows


def _matched(leads: Sequence[Lead], segments: Sequence[Segment], now: datetime) -> Mapping[int, Footprint]:
    """Lead -> its footprint; one that fits no model has none."""
    made: dict[int, Footprint] = {}
    chosen = scoring.first_passed([segment.when for segment in segments], [lead.signals for lead in leads], now)
    for number, segment in enumerate(segments):
        mine = [lead for lead, its in zip(leads, chosen, strict=True) if its == number]
        packed = scoring.packed(scoring.match([lead.signals for lead in mine], segment.model), segment.model)
        if len(packed) < len(mine):
            message = f"the model '{segment.model.name}' has too many tests for its states to be kept; split it up"
            raise ConfigError(message, code="SY239")
        made |= {lead.id: its for lead, its in zip(mine, packed, strict=True)}
    return made


def _columns(rows: Sequence[_Row], connection: str, rules: str) -> list[list[Any]]:
    return [
        [lead for lead, _, _ in rows],
        [connection] * len(rows),
        [rules] * len(rows),
        [its.model for _, _, its in rows],
        [revision for _, revision, _ in rows],
        [its.bits for _, _, its in rows],
        [its.hits for _, _, its in rows],
    ]
