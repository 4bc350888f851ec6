"""What can be typed: every command and its options. What a command does stands in a module of its own, imported when it
runs; so --help needs none of them and is quick."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import click

_PATH = click.Path(path_type=Path)
_FOLDER = click.Path(path_type=Path, file_okay=False)
_CRMS = click.Choice(["hubspot", "salesforce", "spreadsheet"])
_PRESETS = click.Choice(["b2b-saas", "education", "demo"])
_LANGUAGES = click.Choice(["en", "es"])
_LEVELS = click.Choice(["debug", "info", "warning", "error", "critical"], case_sensitive=False)
_FORMATS = click.Choice(["xlsx", "csv", "states"])
_STYLES = click.Choice(["console", "json"], case_sensitive=False)

_ROLES = click.Choice(["viewer", "operator", "admin"])
_role = click.option("--role", type=_ROLES, default="viewer", show_default=True, help="What they may do.")

_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
_connection = click.argument("connection", required=False)
_full = click.option("--full", is_flag=True, help="Read and score every lead again.")


def shared(*, hidden: bool) -> list[click.Option]:
    """The options of every command; they are understood before the command's name and after it."""
    given: dict[str, Any] = {"expose_value": False, "callback": _remember, "hidden": hidden}
    url = "sqlite:///FILE or postgresql://…  [default: sqlite:///syncer.db]"
    return [
        click.Option(["-c", "--config"], type=_PATH, help="The project file.  [default: syncer.yml]", **given),
        click.Option(["--database-url"], metavar="URL", help=url, **given),
        click.Option(["--log-level"], type=_LEVELS, help="[default: warning; of daemon and demo: info]", **given),
        click.Option(["--log-style"], type=_STYLES, help="[default: console]", **given),
        click.Option(["--debug"], is_flag=True, default=None, help="Show tracebacks.", **given),
    ]


def _remember(ctx: click.Context, option: click.Parameter, value: Any) -> None:
    known = ctx.find_root().ensure_object(dict)
    if value is not None:
        known[option.name] = value


def _do(ctx: click.Context, what: str, given: dict[str, Any]) -> None:
    """`what`: "check:setup" is the function `setup` of the module `check` here."""
    module, _, name = what.partition(":")
    getattr(importlib.import_module(f"syncer.cli.{module}"), name)(ctx, **given)


@click.command(short_help="write a first project: connections, rules, lists")
@click.argument("folder", type=_FOLDER, default=".")
@click.option("--crm", type=_CRMS, help="Which CRM, or leads in a file.")
@click.option("--preset", type=_PRESETS, help="The rules to start from.")
@click.option("--language", type=_LANGUAGES, help="Of messages to sales.")
@click.option("--timezone", default="Europe/Madrid", show_default=True, help="Where a day begins.")
@click.option("--yes", is_flag=True, help="Ask nothing: take what is given, and the first choice of the rest.")
@click.pass_context
def init(ctx: click.Context, /, **given: Any) -> None:
    """Write a first project into FOLDER: connections, rules and lists, commented. Overwrites nothing."""
    _do(ctx, "init:init", given)


@click.command(short_help="an embedded CRM with 2,000 leads: see all of it without an account")
@click.option("--once", is_flag=True, help="Leave after the last sync instead of staying as a daemon.")
@click.option("--leads", type=click.IntRange(min=50, max=100_000), default=2000, show_default=True)
@click.option("--weeks", type=click.IntRange(min=0, max=40), default=12, show_default=True, help="Synced before today.")
@click.option(
    "--port", type=click.IntRange(min=1, max=65535), help="Of the pages; left out: 8321, or the next free one."
)
@click.option("--dir", "folder", type=_FOLDER, help="Keep the project here.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object (with --once).")
@click.pass_context
def demo(ctx: click.Context, /, **given: Any) -> None:
    """An embedded CRM with a year of activities: sync it, let some leads act, see whom sales is told of and why."""
    _do(ctx, "demo:demo", given)


@click.command(short_help="is everything in place? files, token, scopes, fields, rules")
@_connection
@click.option("--offline", is_flag=True, help="Look at files and environment only; call no CRM.")
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
@_json
@click.pass_context
def check(ctx: click.Context, /, **given: Any) -> None:
    """Is everything in place? Files, environment, credentials, scopes, fields, limits, rules."""
    _do(ctx, "check:check", given)


@click.command(short_help="rule tests: the leads of tests/*.yml and what must become of them")
@click.option("-k", "words", default="", metavar="WORDS", help="Only cases with all these words in their name or file.")
@click.option("--update", is_flag=True, help="Write what comes out into the files, comments and layout kept.")
@_json
@click.pass_context
def test(ctx: click.Context, /, **given: Any) -> None:
    """Rule tests: score and place the made-up leads of tests/*.yml beside the project file, and compare.

    Needs no CRM, no database and no secret. Exit code 1 where something comes out otherwise than expected.
    """
    _do(ctx, "test:test", given)


@click.command(short_help="the fields syncer needs in the CRM; --apply creates them")
@_connection
@click.option("--apply", "apply_", is_flag=True, help="Create what is missing.")
@_json
@click.pass_context
def setup(ctx: click.Context, /, **given: Any) -> None:
    """The groups and fields syncer needs in the CRM. Creates them only with --apply."""
    _do(ctx, "check:setup", given)


@click.command(short_help="who would change stage and why; writes nothing")
@_connection
@_full
@click.option("--all", "every", is_flag=True, help="List every lead that moves, not only the first 30.")
@click.option("--out", type=_PATH, help="Where to save the plan.  [default: .syncer/plans/]")
@_json
@click.pass_context
def plan(ctx: click.Context, /, **given: Any) -> None:
    """Who would change stage and why, what would be written and who told. Writes nothing to the CRM."""
    _do(ctx, "run:plan", given)


@click.command(short_help="one sync now: pull, score, write back, tell sales")
@_connection
@click.option("--plan", "plan_file", type=_PATH, help="Do exactly what a plan says, or refuse it as stale.")
@_full
@click.option("--yes-really", type=click.IntRange(min=0), metavar="N", help="Let up to N leads move or be handed over.")
@click.option("--no-notify", is_flag=True, help="Tell nobody; qualifications found now are never announced.")
@click.option("--notify-model-changes", is_flag=True, help="Also tell sales of leads that only a new model made SQL.")
@_json
@click.pass_context
def run(ctx: click.Context, /, **given: Any) -> None:
    """One sync now: pull, score, write back, tell sales. All connections, or the one named."""
    _do(ctx, "run:run", given)


@click.command(short_help="sync all connections for ever")
@click.pass_context
def daemon(ctx: click.Context, /, **given: Any) -> None:
    """Sync all connections for ever.

    SIGTERM and Ctrl-C finish what is under way and leave; SIGHUP reads the files again, and so does a change of them.
    """
    _do(ctx, "daemon:daemon", given)


@click.command(short_help="sync all connections for ever, one of many such processes")
@click.option("--places", type=click.IntRange(1, 64), default=8, show_default=True, help="Connections at once.")
@click.option("--no-web", is_flag=True, help="Do not listen, whatever `web` says.")
@click.pass_context
def worker(ctx: click.Context, /, **given: Any) -> None:
    """Sync all connections for ever, together with any number of such processes on any machines that share a
    PostgreSQL database (SYNCER_DATABASE_URL). Extra: cluster.

    Connections, leases, rates and large re-scores are shared out; a process that dies is missed within seconds.
    SIGTERM, Ctrl-C and SIGHUP as for the daemon.
    """
    _do(ctx, "worker:worker", given)


@click.command(short_help="the pages and the API alone: look at everything, sync nothing")
@click.pass_context
def web(ctx: click.Context, /, **given: Any) -> None:
    """The pages, the API and the door for webhooks and answers, where `web` in the project file says; syncs nothing.

    `syncer daemon` has them, too. SIGTERM, Ctrl-C and SIGHUP as for the daemon.
    """
    _do(ctx, "web:web", given)


@click.command(short_help="why a lead has its score and stage, line by line, now or then")
@click.argument("lead")
@click.option("--at", metavar="TIME", help="As it was then, with what was known and by the rules in force.")
@click.option("--from", "start", metavar="TIME", help="What has changed since then, split exactly by cause.")
@click.option("--to", "end", metavar="TIME", help="With --from: until then.  [default: now]")
@_json
@click.pass_context
def explain(ctx: click.Context, /, **given: Any) -> None:
    """Why LEAD (an e-mail, a record's id, or connection/object/id) has its score and stage, line by line.

    TIME is a day (2026-11-22), a day and a time (2026-11-22T09:05), an age (7d) or now. A day means its
    beginning; with --to its end.
    """
    _do(ctx, "explain:explain", given)


@click.command(short_help="what other rules would have done: who moves, hand-offs, a back-test")
@_connection
@click.option("--with", "with_file", type=_PATH, help="A model file instead of the one in force, or a project file.")
@click.option("--set", "sets", multiple=True, metavar="PATH=VALUE", help="One other value: rule.RULE-ID.points=8.")
@click.option("--against", metavar="GITREF", help="Compare today's files with those of a git commit.")
@click.option("--who", is_flag=True, help="List every lead that moves.")
@click.option("--weeks", type=click.IntRange(1, 104), default=8, show_default=True, help="Of hand-offs to replay.")
@click.option("--leads", type=_PATH, metavar="FILE", help="Instead of the CRM's leads those of a CSV table.")
@click.option("--model", type=_PATH, metavar="FILE", help="With --leads: the model that scores them.")
@click.option("--outcome", metavar="COLUMN=VALUE", help="With --leads: what says that a lead was won.")
@click.option("--column", multiple=True, metavar="HEADING=FIELD", help="With --leads: the field a column gives.")
@click.option("--columns", type=_PATH, metavar="FILE", help="With --leads: a YAML file of such columns.")
@_json
@click.pass_context
def simulate(ctx: click.Context, /, **given: Any) -> None:
    """What other rules would have done with the leads as they were known, day by day. Writes nothing anywhere.

    Without --with, --set or --against: the rules as they are, measured by themselves. How leads ended says `outcome:`
    in the project file. PATH is the way to a value in the model file, such as fit.rules[1].points (counted from 0) or
    'stages[2].enter[0]'; with several models MODEL:PATH. --set may be repeated.
    """
    _do(ctx, "simulate:simulate", given)


@click.command(short_help="the leads with scores, stages and reasons as a workbook or CSV")
@_connection
@click.option("--format", "kind", type=_FORMATS, help="[default: what FILE ends in, or xlsx]")
@click.option("--out", type=_PATH, metavar="FILE", help="- is standard output.  [default: leads-YYYY-MM-DD.xlsx]")
@click.option("--stage", "only", multiple=True, metavar="STAGE", help="Only leads in this stage; may be repeated.")
@click.option("--yes", is_flag=True, help="Replace FILE where it exists.")
@click.pass_context
def export(ctx: click.Context, /, **given: Any) -> None:
    """The leads of a connection as one sheet: score, stage, who holds it, and why. Points are as of now, by the rules
    in the files; stages as of the last run.

    `states` is no sheet: what each lead's facts meet, as Parquet without names or addresses, for scoring many
    millions elsewhere by the same code (config/spark).
    """
    _do(ctx, "export:export", given)


@click.command(short_help="set a lead's stage by hand, list or clear such settings")
@click.argument("words", nargs=-1, required=True, metavar="LEAD STAGE | list [LEAD] | clear LEAD")
@click.option("--reason", default="", help="Why; shown in explain.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="The last day on which it holds.")
@click.option("--author", help="Who says so.  [default: the user of this machine]")
@_json
@click.pass_context
def override(ctx: click.Context, /, **given: Any) -> None:
    """Set LEAD's stage by hand; the rules go on computing the stage it would have."""
    _do(ctx, "override:override", given)


@click.command(short_help="erase a person who asks for it, with a proof; syncer stays blind to them")
@click.argument("lead")
@click.option("--reason", default="", help="Why, without naming them: a case number. Stands in the proof.")
@click.option("--author", help="Who does it; kept with the tombstone.  [default: the user of this machine]")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--timeout", type=click.FloatRange(min=0), default=60, help="Seconds to wait for a run.  [default: 60]")
@click.option("--out", type=_PATH, metavar="FILE", help="Write the proof there, as JSON.")
@_json
@click.pass_context
def forget(ctx: click.Context, /, **given: Any) -> None:
    """Erase LEAD (an e-mail, a record's id, or connection/object/id): records, activities, plans, messages, all that
    was known before, in every connection.

    Only the key of each record stays, so that a CRM that still has the person cannot bring them back; erase them there,
    too. The proof says what was erased, that a search for them finds nothing, and where they may be still; it names
    nobody. Exit code 1 where the search finds something.
    """
    _do(ctx, "forget:forget", given)


@click.command(short_help="last and next runs, queues, failures; the health check")
@click.option("--max-age", metavar="AGE", help="Fail where a connection's last good run is older (15m, 1h, 2d).")
@click.option("--quiet", is_flag=True, help="Print nothing; the exit code says it.")
@_json
@click.pass_context
def status(ctx: click.Context, /, **given: Any) -> None:
    """Last and next runs, queues and failures. Exit code 1 where something is stale."""
    _do(ctx, "status:status", given)


@click.command(short_help="whom sales was told of, and what has come of it; accept or reject")
@click.argument("words", nargs=-1, metavar="[CONNECTION] | accept LEAD | reject LEAD")
@click.option("--open", "only_open", is_flag=True, help="Only those on which sales still has to act.")
@click.option("--late", is_flag=True, help="Of these only those that are overdue (handoff.respond_within).")
@click.option("--since", metavar="TIME", help="Only those from then on: a day (2026-11-22) or an age (7d).")
@click.option("--all", "every", is_flag=True, help="List every hand-off, not only the latest 30.")
@click.option("--reason", default="", help="With reject: why the lead is not ready.")
@click.option("--author", help="With accept and reject: who says so.  [default: the user of this machine]")
@_json
@click.pass_context
def handoffs(ctx: click.Context, /, **given: Any) -> None:
    """Who became ready when, to whom it was told over which channel, and what has come of it. The latest first.

    `accept` says that sales has taken LEAD, so nobody is reminded of it any more; `reject` that it is not ready, so it
    goes back where handoff.on_reject says. LEAD is an e-mail, a record's id, connection/object/id, or a hand-off's key.
    """
    _do(ctx, "handoffs:handoffs", given)


@click.command(short_help="messages that were not sent, and why; retry or drop them")
@click.argument("words", nargs=-1, metavar="[CONNECTION] | retry KEY... | drop KEY...")
@click.option("--dead", is_flag=True, help="Only what could not be sent; with retry: all of it.")
@click.option("--waiting", is_flag=True, help="Only what is still to be sent.")
@click.option("--all", "every", is_flag=True, help="Also what was sent or dropped.")
@click.option("--reason", default="", help="With drop: why; kept with the message.")
@click.option("--author", help="With drop: who says so.  [default: the user of this machine]")
@_json
@click.pass_context
def outbox(ctx: click.Context, /, **given: Any) -> None:
    """Messages to sales that were not sent: why, how often it was tried, when it is tried next.

    KEY is the beginning of a message's key. `retry` sends again what is dead, marked as a possible repeat where it may
    have arrived; `drop` ends a message for good.
    """
    _do(ctx, "outbox:outbox", given)


@click.group("import", short_help="a first model file from the CRM's own lead score")
def import_() -> None:
    """Take over what another system has."""


@import_.command("hubspot-model")
@_connection
@click.option("--out", type=_PATH, required=True, metavar="FILE", help="The model file to write.")
@click.option("--score", metavar="NAME", help="Which of the portal's scores, by name or id, where it has several.")
@click.pass_context
def import_hubspot_model(ctx: click.Context, /, **given: Any) -> None:
    """A first model file from the portal's own lead score (HubSpot's Lead Scoring API, beta).

    What could not be carried over is told, and stands in the file. Overwrites nothing. Scope: mh-lead-scoring-view.
    """
    _do(ctx, "import_model:hubspot_model", given)


@click.group(short_help="the effective configuration, or its JSON Schema")
def config() -> None:
    """The effective configuration, or its JSON Schema."""


@config.command("schema")
@click.option("--model", is_flag=True, help="Of a model file instead of the project file.")
@click.option("--tests", is_flag=True, help="Of a file of rule tests instead of the project file.")
@click.pass_context
def config_schema(ctx: click.Context, /, **given: Any) -> None:
    """The JSON Schema of the project file (installed connectors included), of a model or of rule tests."""
    _do(ctx, "config:schema", given)


@config.command("show")
@_json
@click.pass_context
def config_show(ctx: click.Context, /, **given: Any) -> None:
    """Every value in force and where it comes from; secrets are masked."""
    _do(ctx, "config:show", given)


@click.group(short_help="back up, restore or migrate the database")
def db() -> None:
    """The database: SQLite, or PostgreSQL. Needs no project file."""


@db.command("backup")
@click.argument("file", type=_PATH)
@click.pass_context
def db_backup(ctx: click.Context, /, **given: Any) -> None:
    """Write the whole database into FILE (a zip archive), while others work on it. Overwrites nothing.

    The file serves SQLite and PostgreSQL alike. It holds people's data, so only its owner may read it.
    """
    _do(ctx, "db:backup", given)


@db.command("restore")
@click.argument("file", type=_PATH)
@click.option("--replace", is_flag=True, help="Also where the database is not empty: what it holds is lost.")
@click.option("--latest", is_flag=True, help="Nothing has run since the backup: take everything as it stands.")
@click.pass_context
def db_restore(ctx: click.Context, /, **given: Any) -> None:
    """Put a backup into the database, whole or not at all.

    Without --latest the next full run of each connection goes on from what its CRM shows, and announces nobody, for
    sales may have been told since the backup.
    """
    _do(ctx, "db:restore", given)


@db.command("migrate")
@click.option("--check", is_flag=True, help="Change nothing; exit code 1 where there is something to do.")
@click.pass_context
def db_migrate(ctx: click.Context, /, **given: Any) -> None:
    """Bring the database's schema up to date, as every start of syncer does. A SQLite file is copied first."""
    _do(ctx, "db:migrate", given)


@click.group(short_help="who may sign in to the pages; tokens of the API")
def users() -> None:
    """Who may sign in to the pages by a password, and with which role; tokens of the API. See web.sign_in."""


@users.command("list")
@_json
@click.pass_context
def users_list(ctx: click.Context, /, **given: Any) -> None:
    """Who may sign in by a password, and who has come through the identity provider."""
    _do(ctx, "users:listed", given)


@users.command("add")
@click.argument("name")
@_role
@click.pass_context
def users_add(ctx: click.Context, /, **given: Any) -> None:
    """Let NAME sign in. The password is asked for twice, or read from standard input: 12 characters or more."""
    _do(ctx, "users:add", given)


@users.command("password")
@click.argument("name")
@click.pass_context
def users_password(ctx: click.Context, /, **given: Any) -> None:
    """Give NAME a new password, and end all their sessions."""
    _do(ctx, "users:password", given)


@users.command("role")
@click.argument("name")
@click.argument("role", type=_ROLES)
@click.pass_context
def users_role(ctx: click.Context, /, **given: Any) -> None:
    """Give NAME another role, end all their sessions, and revoke tokens of theirs that may do more."""
    _do(ctx, "users:role", given)


@users.command("remove")
@click.argument("name")
@click.pass_context
def users_remove(ctx: click.Context, /, **given: Any) -> None:
    """NAME may sign in no more; all their sessions end, and the tokens that they created are revoked."""
    _do(ctx, "users:remove", given)


@users.group("token")
def users_token() -> None:
    """Tokens with which programs use the API."""


@users_token.command("add")
@click.option("--name", required=True, help="What it is for; the audit log tells it.")
@_role
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="The last day on which it is good.")
@click.pass_context
def users_token_add(ctx: click.Context, /, **given: Any) -> None:
    """Make a token and print it, this one time."""
    _do(ctx, "users:add_token", given)


@users_token.command("list")
@_json
@click.pass_context
def users_token_list(ctx: click.Context, /, **given: Any) -> None:
    """All tokens: what they are for, until when they are good, when they were used last."""
    _do(ctx, "users:tokens", given)


@users_token.command("revoke")
@click.argument("number", type=click.IntRange(min=1))
@click.pass_context
def users_token_revoke(ctx: click.Context, /, **given: Any) -> None:
    """Token NUMBER is good for nothing any more."""
    _do(ctx, "users:revoke", given)


COMMANDS: tuple[click.Command, ...] = (
    init, demo, check, test, setup, plan, run, daemon, worker, web, explain, simulate, export, override, forget, status,
    handoffs, outbox, users, import_, config, db,
)  # fmt: skip
