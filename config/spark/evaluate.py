"""Scores the leads of `syncer export --format states` under Spark, by the very code that `syncer run` scores with:

    spark-submit evaluate.py --config syncer.yml --as-of 2026-11-22T09:00:00+00:00 states.parquet scores.parquet

Nothing of the rules is written a second time: Spark hands over the states, a batch of Arrow at a time, and `scored`
calls `scoring.evaluate`. Ray, Dask or a plain loop over the file's batches can call it as well.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from syncer import scoring
from syncer.app import read_rules
from syncer.errors import ConfigError
from syncer.model import Footprint
from syncer.rules import DIMENSIONS, Model
from syncer.settings import process_settings

# Points are whole hundredths, as they are inside syncer; a dimension that the lead's model does not have is null.
SCORES = pa.schema(
    [("lead", pa.int64()), ("model", pa.string())]
    + [(name, pa.int64()) for name in (*DIMENSIONS, "total")]
    + [("as_of", pa.timestamp("us", tz="UTC"))]
)
FOR_SPARK = ", ".join(["lead bigint", "model string", *(f"{name} bigint" for name in (*DIMENSIONS, "total"))])
FOR_SPARK += ", as_of timestamp"


def models_of(config: Path) -> dict[str, Model]:
    """Version -> model, of a project file; its connections and secrets are not looked at."""
    segments = read_rules(process_settings(config.parent, config=config))
    return {segment.model.version: segment.model for segment in segments}


def scored(batches: Iterable[pa.RecordBatch], models: Mapping[str, Model], as_of: datetime) -> Iterator[pa.RecordBatch]:
    """The scores as of a time, of states in batches; rows of one model stand together."""
    for batch in batches:
        for version in pc.unique(batch["model"]).to_pylist():
            yield _scored(batch.filter(pc.equal(batch["model"], version)), models[version], as_of)


def _scored(batch: pa.RecordBatch, model: Model, as_of: datetime) -> pa.RecordBatch:
    stored = zip(batch["bits"].to_pylist(), batch["hits"].to_pylist(), strict=True)
    footprints = [Footprint(model.version, bits, hits) for bits, hits in stored]
    points = scoring.evaluate(scoring.unpacked(footprints, model), model, as_of)
    place = {dimension.name: column for column, dimension in enumerate(model.dimensions)}
    none = pa.nulls(len(footprints), pa.int64())
    return pa.record_batch(
        [
            batch["lead"],
            batch["model"],
            *(pa.array(points.dimensions[:, place[name]]) if name in place else none for name in DIMENSIONS),
            pa.array(points.total),
            pa.array([as_of] * len(footprints), SCORES.field("as_of").type),
        ],
        schema=SCORES,
    )


def main() -> None:
    from pyspark.sql import SparkSession  # noqa: PLC0415  # the rest of this file needs no Spark

    asked = _asked()
    as_of = asked.as_of if asked.as_of.tzinfo else asked.as_of.replace(tzinfo=UTC)
    models = models_of(asked.config)
    spark = SparkSession.builder.appName("syncer").config("spark.sql.session.timeZone", "UTC").getOrCreate()
    states = spark.read.parquet(asked.states)
    unknown = {row.model for row in states.select("model").distinct().collect()} - models.keys()
    if unknown:  # their bits would be read as answers to other questions
        sys.exit(f"{asked.states} was made under other rules ({', '.join(sorted(unknown))}); export it again")
    states.mapInArrow(lambda batches: scored(batches, models, as_of), FOR_SPARK).write.parquet(asked.scores)
    spark.stop()


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Scores exported states under Spark.")
    parser.add_argument("--config", type=Path, default=Path("syncer.yml"), help="the project file of the export")
    parser.add_argument(
        "--as-of", type=datetime.fromisoformat, default=datetime.now(UTC), help="a time; UTC by default"
    )
    parser.add_argument("states", help="what `syncer export --format states` wrote; any path that Spark reads")
    parser.add_argument("scores", help="the folder to write, as Parquet")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main()
    except ConfigError as error:
        sys.exit(error.message)
