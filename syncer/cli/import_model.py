"""`import`: a first model file from what the CRM has already."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from syncer.cli.output import app_of, counted
from syncer.connector import ModelSource, NativeModel
from syncer.errors import ConfigError, NotFound
from syncer.handoff.text import one_line
from syncer.settings import load_model


def hubspot_model(ctx: click.Context, connection: str | None, out: Path, score: str | None) -> None:
    if out.exists():
        raise ConfigError(f"{out} exists already; name another file with --out", code="SY090")
    with app_of(ctx) as app:
        chosen = app.connection(connection)
        connector = app.connector(chosen)
        if not isinstance(connector, ModelSource):
            raise ConfigError(f"{chosen.name}: '{chosen.type}' has no lead scores of its own", code="SY131")
        found = _chosen(chosen.name, connector.native_models(), score)
        _write(out, found, app.project.timezone)
    click.echo(f"Wrote {out}: {counted(found.rules, 'rule')} of the score {one_line(found.name)}.")
    click.echo(f"Next:  name it under `models` in {app.project.path.name}, then   syncer check, syncer simulate")
    for line in found.left_out:
        click.echo(f"not carried over: {one_line(line)}", err=True)


def _chosen(connection: str, scores: Sequence[NativeModel], wanted: str | None) -> NativeModel:
    """The only score, or the one that is asked for."""
    names = ", ".join(f"{one_line(each.name)} ({each.id})" for each in scores) or "none"
    fitting = [each for each in scores if wanted is None or wanted in (each.id, each.name)]
    if not fitting:
        raise NotFound(f"{connection}: there is no such lead score of contacts; there are: {names}", code="SY131")
    if len(fitting) > 1:
        raise NotFound(f"{connection}: there are several lead scores; choose one with --score: {names}", code="SY131")
    if not fitting[0].text:
        reasons = "; ".join(one_line(each) for each in fitting[0].left_out)
        raise NotFound(f"{connection}: no rule of the score can be carried over: {reasons}", code="SY131")
    return fitting[0]


def _write(out: Path, found: NativeModel, timezone: str) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(found.text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{out}: cannot be written: {error.strerror}; name another --out", code="SY090") from error
    load_model(out, timezone=timezone)
