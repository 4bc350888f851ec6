"""`init`: a first project in an empty folder."""

from __future__ import annotations

import shutil
import sys
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

import click
import orjson

from syncer.app import examples, settings_classes
from syncer.errors import ConfigError
from syncer.settings import json_schema

_QUESTIONS = (
    ("crm", "Which CRM?", "hubspot"),
    ("preset", "Start from?", "b2b-saas"),
    ("language", "Language of messages?", "en"),
)
_PROJECT = """\
# yaml-language-server: $schema=./.syncer/syncer.schema.json
version: 1
timezone: {timezone}
language: {language}

connections:
  crm:
{connection}
sync:
  every: 15m
  max_stage_changes: 200             # the fuse: a run that would move more leads waits for a person
  max_handoffs: 50

models: models/{preset}.yml

# Who is told when a lead becomes SQL. Every key is explained in the documentation's example.
# handoff:
#   when: sql
#   notifiers:
#     team: {{type: slack, url: "${{SLACK_WEBHOOK_URL}}"}}
#   notify: [team]
"""
_CONNECTIONS = {
    "hubspot": """\
    type: hubspot
    token: ${HUBSPOT_TOKEN}          # a service key, or the token of a private app; its place is .env
    write:                           # created by: syncer setup --apply
      score: ls_score
      stage: ls_stage
      reasons: ls_score_reasons
      lifecyclestage:                # HubSpot's own stage, only ever moved forward
        mql: marketingqualifiedlead
        sql: salesqualifiedlead
""",
    "salesforce": """\
    type: salesforce
    instance_url: ${SALESFORCE_URL}  # the My Domain address: https://acme.my.salesforce.com; its place is .env
    client_credentials:              # of an External Client App; other ways in stand in the documentation's example
      client_id: ${SALESFORCE_CLIENT_ID}
      client_secret: ${SALESFORCE_CLIENT_SECRET}
    write:                           # on Lead and Contact; created by: syncer setup --apply, or by your admin
      score: Lead_Score__c
      stage: Lifecycle_Stage__c
      reasons: Lead_Score_Reasons__c
    task:
      external_id: null              # Syncer_Key__c, once a Task has that text field (external id, unique)
""",
    "spreadsheet": """\
    type: spreadsheet
    path: leads.xlsx                 # forty invented people; your own file goes here: .xlsx, .xls, .ods, .csv
    fields:                          # field of the model: heading of its column; others are called like their heading
      jobtitle: Job title
      numemployees: Employees
      recent_conversion_event_name: Last form
      recent_conversion_date: Last form on
      hs_email_optout: Unsubscribed
    activities:                      # what they did, a row each; take it out where nobody keeps that
      deeds:
        path: leads.xlsx
        sheet: Activities
        person: E-mail
        at: When
        kind_column: What
        fields: {outcome: Outcome}
    write: {in_place: false}         # scores go into leads.scored.xlsx beside it; `write: false` writes nothing
""",
}
_SECRETS = {
    "hubspot": "HUBSPOT_TOKEN=\n",
    "salesforce": "SALESFORCE_URL=\nSALESFORCE_CLIENT_ID=\nSALESFORCE_CLIENT_SECRET=\n",
}
_PUT = {"hubspot": "the token", "salesforce": "the org's address and the app's id and secret"}
_SAMPLE = "leads.xlsx"
_ENV = """\
# Copy to .env and fill in; .env never goes into git.
{secrets}# SLACK_WEBHOOK_URL=
# SYNCER_DATABASE_URL=postgresql://user:password@host/syncer
"""
_IGNORE = ".env\n*.db\n*.db-*\n*.db.*\n.syncer/\n"
_IGNORE_LEADS = "*.csv\n*.ods\n*.xls\n*.xlsb\n*.xlsm\n*.xlsx\n"


def init(ctx: click.Context, folder: Path, timezone: str, yes: bool, **given: str | None) -> None:
    if timezone not in available_timezones():
        raise click.BadParameter(f"no time zone is called '{timezone}'; write one like Europe/Madrid")
    chosen = {
        name: given[name] or (first if yes else _ask(ctx, name, question, first))
        for name, question, first in _QUESTIONS
    }
    preset = chosen["preset"]
    crm = chosen["crm"]
    project = _PROJECT.format(timezone=timezone, connection=_CONNECTIONS[crm], **chosen)
    texts = {"syncer.yml": project, ".gitignore": _IGNORE}
    if crm in _SECRETS:
        texts[".env.example"] = _ENV.format(secrets=_SECRETS[crm])
    else:
        texts[".gitignore"] += _IGNORE_LEADS
    copies = {f"models/{preset}.yml": examples() / "models" / f"{preset}.yml"}
    copies["tests/leads.yml"] = examples() / "tests" / f"{preset}.yml"
    copies |= {f"lists/{path.name}": path for path in sorted((examples() / "lists").iterdir())}
    sample = [_SAMPLE] if crm == "spreadsheet" else []
    _refuse_overwriting(folder, [*texts, *copies, *sample])
    _write(folder, texts, copies)
    go = "" if folder == Path() else f"cd {folder} && "
    if sample:
        _write_sample(folder, datetime.now(ZoneInfo(timezone)).date())
        click.echo(
            f"Next:  {go}syncer run   (scores come into leads.scored.xlsx), then name your own file in syncer.yml"
        )
    else:
        click.echo(f"Next:  {go}cp .env.example .env   (put {_PUT[crm]} in it), then   syncer check")


def _write_sample(folder: Path, today: date) -> None:
    """The invented leads, all days moved so that the last is yesterday: what was done long ago gives no points."""
    import openpyxl

    from syncer.sheets.writing import replacing

    book = openpyxl.load_workbook(examples() / "samples" / _SAMPLE)
    boxes = [box for sheet in book for row in sheet.iter_rows() for box in row]
    moments = [(box, moment) for box in boxes if isinstance(moment := box.value, datetime)]
    later = today - timedelta(days=1) - max(moment.date() for _, moment in moments)
    for box, moment in moments:
        box.value = moment + later
    with replacing(folder / _SAMPLE) as file:
        book.save(file)
    click.echo(f"  created {_SAMPLE}")


def _ask(ctx: click.Context, name: str, question: str, first: str) -> str:
    """With the choices as they stand in the command's option."""
    option = next(each for each in ctx.command.params if each.name == name)
    try:
        answer: str = click.prompt(question, type=option.type, default=first)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        click.echo()  # the message does not belong behind the question
        raise ConfigError("nobody can answer: this is not a terminal; give --yes", code="SY090") from None
    return answer


def _refuse_overwriting(folder: Path, names: list[str]) -> None:
    there = [name for name in names if (folder / name).exists() and name != ".gitignore"]
    if there:
        raise ConfigError(f"{folder}: {', '.join(there)} exists already; choose an empty folder", code="SY090")


def _write(folder: Path, texts: dict[str, str], copies: dict[str, Path]) -> None:
    try:
        for name, text in texts.items():
            if not (folder / name).exists():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_text(text, encoding="utf-8")
                click.echo(f"  created {name}")
        for name, source in copies.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            if not (folder / name).exists():
                shutil.copy(source, folder / name)
                click.echo(f"  created {name}")
        schema = folder / ".syncer" / "syncer.schema.json"
        schema.parent.mkdir(exist_ok=True)
        schema.write_bytes(orjson.dumps(json_schema(settings_classes()), option=orjson.OPT_INDENT_2))
    except OSError as error:
        raise ConfigError(
            f"{folder}: cannot be written: {error.strerror}; choose another folder", code="SY090"
        ) from error
