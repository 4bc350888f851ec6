"""States taken out of the database are scored to the same digit: by a loop over the file's batches, and by Spark."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import delete, select, update

from syncer import scoring
from syncer.cli import cli, export_states
from syncer.errors import ConfigError
from syncer.rules import DIMENSIONS
from syncer.store import Store, mirror, open_store
from syncer.store.tables import lead_states, leads, records
from tests.bench import mirrors
from tests.terminal import PATIENCE_S, clean_environment

parquet = pytest.importorskip("pyarrow.parquet", reason="the extra `parquet` is not installed")
pyarrow = pytest.importorskip("pyarrow")

EXAMPLE = Path(__file__).parents[1] / "config" / "spark" / "evaluate.py"
PROJECT = """\
version: 1
timezone: Europe/Madrid
connections:
  crm: {{type: spreadsheet, path: leads.csv}}
models: {models}
"""
LATER = mirrors.NOW + timedelta(days=10)
Scores = dict[int, tuple[int | None, ...]]


@dataclass(frozen=True, slots=True)
class House:
    """A project whose leads were exported."""

    folder: Path
    leads: int

    @property
    def states(self) -> Path:
        return self.folder / "states.parquet"

    @contextmanager
    def store(self) -> Iterator[Store]:
        store = open_store(f"sqlite:///{self.folder / 'syncer.db'}")
        try:
            yield store
        finally:
            store.close()

    def wanted(self) -> Scores:
        """By the store's facts alone, no state looked at."""
        with self.store() as store:
            return dict(_from_facts(store, LATER))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return _exported(House(tmp_path_factory.mktemp("states"), 2_000))


def _exported(house: House) -> House:
    """Every fifth lead's state is older than what is known of the lead, every seventh has none; the facts of both have
    changed since."""
    (house.folder / "syncer.yml").write_text(PROJECT.format(models=EXAMPLE.parents[1] / "models" / "demo.yml"))
    mirrors.build(house.folder / "syncer.db", house.leads)
    with house.store() as store, store.writing() as tx:
        tx.execute(update(leads).where(leads.c.id % 5 == 0).values(revision=leads.c.revision + 1))
        tx.execute(delete(lead_states).where(lead_states.c.lead_id % 7 == 0))
        changed = (records.c.lead_id % 5 == 0) | (records.c.lead_id % 7 == 0)
        tx.execute(update(records).where(changed).values(fields={"country": "Spain", "jobtitle": "CEO"}))
    told = _typed(house.folder, "export", "--out", str(house.states))
    assert told.exit_code == 0, told.stderr
    anew = sum(lead % 5 == 0 or lead % 7 == 0 for lead in range(1, house.leads + 1))
    assert told.stdout == f"{house.leads:,} leads in {house.states}, {anew:,} of them matched anew\n"
    return house


def _from_facts(store: Store, as_of: datetime) -> Iterator[tuple[int, tuple[int | None, ...]]]:
    for chunk in mirror.chunks(store, "crm", which="all", now=as_of):
        signals = [lead.signals for lead in chunk]
        points = scoring.evaluate(scoring.match(signals, mirrors.MODEL), mirrors.MODEL, as_of)
        names = [dimension.name for dimension in mirrors.MODEL.dimensions]
        for row, lead in enumerate(chunk):
            by_name = dict(zip(names, map(int, points.dimensions[row]), strict=True))
            yield lead.id, (*(by_name.get(name) for name in DIMENSIONS), int(points.total[row]))


def _typed(folder: Path, *words: str) -> Result:
    kept = {name: None for name in os.environ if name.startswith("SYNCER_")}
    database = f"sqlite:///{folder / 'syncer.db'}"
    given = ["--config", str(folder / "syncer.yml"), "--database-url", database, *words]
    return CliRunner().invoke(cli, given, env={**kept, "COLUMNS": "160"}, catch_exceptions=False)


def _example() -> Any:
    spec = importlib.util.spec_from_file_location("evaluate", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _scores(table: Any) -> Scores:
    columns = [table[name].to_pylist() for name in ("lead", *DIMENSIONS, "total")]
    return {lead: tuple(points) for lead, *points in zip(*columns, strict=True)}


def test_states_read_back_and_scored_batch_by_batch_give_what_the_facts_give(house: House) -> None:
    example, wanted = _example(), house.wanted()
    models = example.models_of(house.folder / "syncer.yml")
    batches = parquet.ParquetFile(house.states).iter_batches(batch_size=300)
    found = pyarrow.Table.from_batches(example.scored(batches, models, LATER), example.SCORES)
    assert set(found["as_of"].to_pylist()) == {LATER}
    assert _scores(found) == wanted
    assert len({total for *_, total in wanted.values()}) > 50, "the leads differ"


@pytest.mark.slow
def test_spark_gives_what_the_facts_give(tmp_path: Path) -> None:
    pytest.importorskip("pyspark", reason="Spark is not installed")
    house = _exported(House(tmp_path, 20_000))
    done = _spark(house)
    assert done.returncode == 0, done.stderr
    found = parquet.read_table(house.folder / "scores")
    assert found.num_rows == house.leads
    assert _scores(found) == house.wanted()
    other = (house.folder / "syncer.yml").read_text().replace("demo.yml", "b2b-saas.yml")
    (house.folder / "other.yml").write_text(other)
    refused = _spark(house, "--config", "other.yml")
    assert refused.returncode == 1
    assert "states.parquet was made under other rules" in refused.stderr.splitlines()[-1]


def _spark(house: House, *options: str) -> subprocess.CompletedProcess[str]:
    words = ["--as-of", LATER.isoformat(), *options, house.states.name, "scores"]
    return subprocess.run(
        [sys.executable, str(EXAMPLE), *words],
        cwd=house.folder,
        env=clean_environment(SPARK_LOCAL_IP="127.0.0.1", PYSPARK_PYTHON=sys.executable),
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE_S * 6,
        check=False,
    )


def test_the_file_names_nobody_and_tells_each_leads_revision(house: House) -> None:
    table = parquet.read_table(house.states)
    assert table.column_names == ["lead", "connection", "rules", "model", "revision", "bits", "hits"]
    raw = b"".join(each for name in ("bits", "hits") for each in table[name].to_pylist())
    assert not any(word in raw for word in (b"example", b"Directora", b"Spain"))
    assert set(table["connection"].to_pylist()) == {"crm"}
    with house.store() as store, store.reading() as tx:
        known = {row.id: row.revision for row in tx.execute(select(leads.c.id, leads.c.revision))}
    assert dict(zip(table["lead"].to_pylist(), table["revision"].to_pylist(), strict=True)) == known


def test_models_chosen_by_dates_are_refused_and_so_is_a_choice_of_stages(tmp_path: Path) -> None:
    project = PROJECT.format(models="[{use: MODEL, for: {createdate: {newer_than: 30d}}}, {use: MODEL}]")
    model = str(EXAMPLE.parents[1] / "models" / "demo.yml")
    (tmp_path / "syncer.yml").write_text(project.replace("MODEL", model))
    states = str(tmp_path / "states.parquet")
    refused = _typed(tmp_path, "export", "--out", states)
    assert refused.exit_code == 2
    assert "SY239" in refused.stderr
    assert "are chosen by dates" in refused.stderr
    assert not list(tmp_path.glob("*.parquet*")), "nothing half written"
    picky = _typed(tmp_path, "export", "--format", "states", "--out", states, "--stage", "sql")
    assert "states are of every lead" in picky.stderr


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"pip install 'syncer\[parquet\]'") as refused:
        export_states.library("pyarrow")
    assert refused.value.code == "SY238"
