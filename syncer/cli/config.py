"""`config`: what is in force, and the schema that editors complete with."""

from __future__ import annotations

import click
import orjson

from syncer.app import read_project, settings_classes
from syncer.cli.output import print_json, process_of
from syncer.settings import cases_schema, json_schema, model_schema
from syncer.settings import show as effective


def schema(ctx: click.Context, model: bool, tests: bool) -> None:
    content = model_schema() if model else cases_schema() if tests else json_schema(settings_classes())
    click.echo(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode())


def show(ctx: click.Context, as_json: bool) -> None:
    values = effective(read_project(process_of(ctx)))
    if as_json:
        settings = {path: {"value": value, "origin": origin} for path, (value, origin) in values.items()}
        print_json("syncer.config/1", {"settings": settings})
        return
    for path, (value, origin) in values.items():
        click.echo(f"{path} = {orjson.dumps(value, default=str).decode()}  [{origin}]")
