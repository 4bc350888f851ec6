"""`simulate --leads`: a model on a table of leads that come from no CRM, measured against how they ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import click

from syncer.cli.lead_table import LeadTable, lead_table
from syncer.cli.output import counted, interval, percent, points, print_json, share_json, show, table
from syncer.errors import ConfigError
from syncer.history import History, Version
from syncer.measures import Share, auc, top_decile_lift
from syncer.model import RecordKey, Value
from syncer.rules import ActivityTest, FieldTest, Model, Segment, leaves
from syncer.scoring.predicates import predicate
from syncer.scoring.values import number
from syncer.settings import Columns, load_columns, load_model
from syncer.simulation import FEWEST, RuleSet, replay

_CHUNK = 5000
_SHOWN_FIELDS = 8


@dataclass
class Measured:
    """The scored rows, as they are read."""

    stages: list[str] = field(default_factory=list)
    totals: list[int] = field(default_factory=list)
    won: list[bool | None] = field(default_factory=list)  # None: the row does not say


def simulate_table(leads: Path, model: Path | None, as_json: bool, **asked: Any) -> None:
    """`asked`: outcome, column, columns as they were typed."""
    if model is None:
        raise click.UsageError("--leads needs the model to score them with: --model FILE")
    rules, columns = load_model(model), _columns(asked["columns"], asked["column"])
    source = lead_table(leads, columns)
    ended = _outcome(source, asked["outcome"])
    _insist_on_fields(source, rules)
    as_of = datetime.now(UTC)
    found = _measured(source, rules, ended, as_of)
    if not found.stages:
        raise ConfigError(f"{leads.name}: the table has a heading and no rows; write a lead a line", code="SY112")
    if ended is not None and True not in found.won:
        raise ConfigError(f"{leads.name}: no lead has {asked['outcome']}, so there is nothing to measure", code="SY112")
    if as_json:
        print_json("syncer.simulate.leads/1", _json(found, rules, as_of))
    else:
        _print(found, source, rules)


def _columns(file: Path | None, given: Sequence[str]) -> Columns:
    """The mapping file's, and over them those typed as HEADING=FIELD."""
    columns = load_columns(file) if file is not None else Columns()
    pairs = [each.rpartition("=") for each in given]
    for heading, sign, name in pairs:
        if not sign or not heading.strip() or not name.strip():
            raise click.UsageError("--column is HEADING=FIELD, for example 'Lead Source=lead_source'")
    return replace(columns, fields={**columns.fields, **{head.strip(): name.strip() for head, _, name in pairs}})


def _outcome(source: LeadTable, asked: str | None) -> FieldTest | None:
    """COLUMN=VALUE as a test on the column's field."""
    if asked is None:
        return None
    column, sign, value = (part.strip() for part in asked.partition("="))
    if not column or not sign or not value:
        raise click.UsageError("--outcome is COLUMN=VALUE, for example 'Converted=1'")
    as_number = number(value)
    wanted = (value,) if as_number is None else (value, as_number)
    return FieldTest(source.field(column), "any_of", wanted)


def _insist_on_fields(source: LeadTable, model: Model) -> None:
    """What the model looks at and the table does not have is told; a table with none of it has other headings."""
    tests = [leaf for condition in model.conditions() for leaf in leaves(condition)]
    needed = sorted({test.field for test in tests if isinstance(test, FieldTest)})
    absent = [name for name in needed if name not in source.fields]
    names = ", ".join(absent[:_SHOWN_FIELDS]) + (" …" if len(absent) > _SHOWN_FIELDS else "")
    if needed and len(absent) == len(needed):
        raise ConfigError(
            f"{source.path.name}: no column gives a field of the model ({names}); "
            "say which do with --column 'HEADING=FIELD' or a file: --columns FILE",
            code="SY112",
        )
    if absent:
        click.echo(f"no column gives {names}: rules that look at it give nothing", err=True)
    if any(isinstance(test, ActivityTest) for test in tests):
        click.echo("a table has no activities: rules that count them give nothing", err=True)


def _measured(source: LeadTable, model: Model, ended: FieldTest | None, as_of: datetime) -> Measured:
    book = RuleSet((Segment(model),), model.stages[-1].name)
    won = predicate(ended) if ended is not None else None
    found, rows = Measured(), source.rows()
    while chunk := list(islice(rows, _CHUNK)):
        placed = replay(list(_histories(chunk, as_of)), book, [as_of], [None] * len(chunk))
        found.stages += [stage or model.stages[0].name for stage in placed.stages]
        found.totals += placed.totals
        for fields in chunk:
            told = ended is not None and ended.field in fields
            found.won.append(won(fields[ended.field]) if won and ended and told else None)
    return found


def _histories(rows: Sequence[Mapping[str, Value]], as_of: datetime) -> Iterator[History]:
    """Leads of which everything became known just now."""
    for place, fields in enumerate(rows):
        yield History(place, (Version(RecordKey("table", "rows", str(place)), as_of, fields),))


def _shares(found: Measured, model: Model) -> list[tuple[str, int, Share]]:
    """(stage, its leads, how many of those with an outcome were won), the coldest first."""
    shares = []
    for stage in model.stages:
        ended = [won for name, won in zip(found.stages, found.won, strict=True) if name == stage.name]
        said = [won for won in ended if won is not None]
        shares.append((stage.name, len(ended), Share(sum(said), len(said))))
    return shares


def _whole(found: Measured) -> tuple[Share, float | None, float | None]:
    """(the share won of all, AUC, top-decile lift) of the leads with an outcome."""
    known = [(total, won) for total, won in zip(found.totals, found.won, strict=True) if won is not None]
    totals, won = [total for total, _ in known], [won for _, won in known]
    return Share(sum(won), len(won)), auc(totals, won), top_decile_lift(totals, won) if not all(won) else None


def _json(found: Measured, model: Model, as_of: datetime) -> dict[str, Any]:
    won, area, lift = _whole(found)
    stages = [{"stage": name, "leads": leads, "won": share_json(share)} for name, leads, share in _shares(found, model)]
    mean = points(round(sum(found.totals) / len(found.totals))) if found.totals else None
    return {
        "model": model.version,
        "as_of": as_of.isoformat(),
        "leads": len(found.stages),
        "without_outcome": found.won.count(None),
        "mean_total": mean,
        "won": share_json(won),
        "auc": area,
        "top_decile_lift": lift,
        "too_few_to_tell": bool(why_too_few(won)),
        "stages": stages,
    }


def why_too_few(won: Share) -> str:
    """Why the leads with an outcome are too few to tell anything from; "" where they are enough."""
    if won.of < FEWEST:
        return f"{counted(won.of, 'lead')} with an outcome, and {FEWEST} are the least"
    return "the interval of the share won reaches more than 15 points to each side" if won.vague else ""


def _print(found: Measured, source: LeadTable, model: Model) -> None:
    won, area, lift = _whole(found)
    ended = f": {won.part:,} won ({percent(won)})" if won.of else ""
    click.echo(f"{counted(len(found.stages), 'lead')} of {source.path.name} by {model.version}{ended}")
    rows = [
        [name, f"{leads:,}", *([f"{share.part:,}", percent(share), interval(share)] if won.of else [])]
        for name, leads, share in _shares(found, model)
    ]
    measured: list[Any] = [("Won", "right"), ("Share", "right"), ("95 % interval", "right")] if won.of else []
    show(table([("Stage", "left"), ("Leads", "right"), *measured], rows))
    if area is not None and lift is not None:
        often = f"the tenth with most points was won {lift:.2f} times as often as all"
        click.echo(f"AUC of the total {area:.3f} (0.5 is chance); {often}")
    elif won.of:
        click.echo("Every lead was won, so there is nothing to tell them from: no AUC, no lift.")
    if won.of and why_too_few(won):
        click.echo(f"Too few to tell: {why_too_few(won)}.")
    if won.of and found.won.count(None):
        click.echo(f"{counted(found.won.count(None), 'lead')} without an outcome: counted under Leads alone.")
