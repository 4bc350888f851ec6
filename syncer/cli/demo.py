"""`demo`: the whole way of a lead, on an embedded CRM: no account, no network."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from html import unescape
from pathlib import Path
from typing import Any

import click
from pydantic import SecretStr

from connectors.emulators.inbox import Inbox, serve_inbox
from connectors.emulators.sample import act
from syncer import log, web
from syncer.app import App, examples, opened, utc_now
from syncer.cli.daemon import leave
from syncer.cli.demo_past import INDEX_LAG_S, Crm, emulated, live_through
from syncer.cli.explain import ledger
from syncer.cli.output import print_json, process_of, progress, show, stopping
from syncer.cli.run import outcome_json, report_line
from syncer.connector import Destination
from syncer.daemon import Daemon
from syncer.errors import ConfigError, Stopped
from syncer.handoff.text import one_line
from syncer.model import Handoff
from syncer.parts import Report
from syncer.queries.explaining import Explanation, explain_lead, explanation_json
from syncer.run import sync
from syncer.settings import ProcessSettings
from syncer.store import decisions, outbox

_TOKEN = "emulator-token"
_FIRST_PORT, _PORTS = 8321, 20
_PROJECT = """\
version: 1
timezone: Europe/Madrid
language: {language}
connections:
  crm:
    type: hubspot
    token: ${{HUBSPOT_TOKEN}}
    base_url: {url}
    lag: 2s
    search_rate: 100 # the emulated portal has no limits
    write:
      score: ls_score
      stage: ls_stage
      reasons: ls_score_reasons
      lifecyclestage: {{mql: marketingqualifiedlead, sql: salesqualifiedlead}}
sync: {{every: 15s, min_step: 5, sweep: off, sweep_activities: off}} # nothing is hidden in the emulated portal
web: {{port: {port}, source: hs_analytics_source}}
models: models/demo.yml
outcome: {{field: lifecyclestage, won: [customer, evangelist], lost: [other]}}
handoff:
  when: sql
  wait: 1m
  notifiers:
    sales: {sales}
  route:
    - {{to: [owner], fallback: sales@nimbo.example}}
  notify: [sales]
  hours: {{days: [mon, tue, wed, thu, fri], from: "09:00", to: "18:00"}}
  respond_within: 4h
  remind_after: 1d
  on_reject: {{to: mql, hold: 30d}}
"""


_SLACK_LINK = re.compile(r"<([^|>]+)\|([^>]+)>")

Say = Callable[[str], None]
Told = tuple[Handoff, Explanation]


@dataclass(frozen=True)
class Stage:
    """Where the demo plays: the emulated CRM, the sales team's channel, and the project between them."""

    crm: Crm
    inbox: Inbox
    process: ProcessSettings
    port: int

    def write_project(self, notifier: str) -> None:
        """`notifier`: over what sales is told."""
        text = _PROJECT.format(url=self.crm.url, port=self.port, language=self.process.lang or "en", sales=notifier)
        self.process.config.write_text(text, encoding="utf-8")


def demo(
    ctx: click.Context, once: bool, leads: int, weeks: int, port: int | None, folder: Path | None, as_json: bool
) -> None:
    if as_json and not once:
        raise click.UsageError("--json prints one object at the end, so it goes with --once")
    say: Say = _say_nothing if as_json else click.echo
    drained = True
    with _ended_by_signal(), _stage(ctx, leads, weeks, folder, port) as stage:
        say(f"An emulated HubSpot with {leads:,} leads and a year of their activities, on this machine alone.")
        reports = _play_past(stage, weeks, say) if weeks else []
        with _opened(stage, f"{{type: slack, url: {stage.inbox.url}, private_addresses: true}}") as app:
            begun = app.clock()
            reports += _play(app, stage, not weeks, say)
            handed = _handed_over(app, begun)
            if as_json:
                print_json("syncer.demo/1", _result(app, reports, stage.inbox, handed))
            else:
                _show(app, stage, handed)
        if not once:
            drained = _stay(stage, handed)
    leave(drained)


def _say_nothing(_line: str) -> None:
    """With --json only the object is printed."""


@contextmanager
def _ended_by_signal() -> Iterator[None]:
    """SIGTERM unwinds the stack, so that the temporary folder goes too."""

    def end(_number: int, _frame: Any) -> None:
        raise Stopped("asked to stop")

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _stage(ctx: click.Context, leads: int, weeks: int, folder: Path | None, port: int | None) -> Iterator[Stage]:
    process = process_of(ctx)
    with ExitStack() as stack:
        crm = stack.enter_context(emulated(leads, weeks))
        inbox = stack.enter_context(serve_inbox())
        home = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="syncer-demo-")))
        (home / "models").mkdir(parents=True, exist_ok=True)
        shutil.copy(examples() / "models" / "demo.yml", home / "models" / "demo.yml")
        shutil.copytree(examples() / "lists", home / "lists", dirs_exist_ok=True)
        for old in home.glob("syncer.db*"):
            old.unlink()  # the emulated CRM is new each time, so what an earlier demo knew of it is wrong
        changed = {"config": home / "syncer.yml", "database_url": SecretStr(f"sqlite:///{home / 'syncer.db'}")}
        yield Stage(crm, inbox, process.model_copy(update=changed), port or _free_port())


def _free_port() -> int:
    """The usual one of the pages, else the next one that nobody listens at."""
    for port in range(_FIRST_PORT, _FIRST_PORT + _PORTS):
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ConfigError(
        f"the ports {_FIRST_PORT} to {_FIRST_PORT + _PORTS - 1} are all taken; name a free one: --port", code="SY130"
    )


@contextmanager
def _opened(stage: Stage, notifier: str) -> Iterator[App]:
    stage.write_project(notifier)
    with opened(stage.process, {"HUBSPOT_TOKEN": _TOKEN}) as app, stopping(app):
        yield app


def _play_past(stage: Stage, weeks: int, say: Say) -> list[Report]:
    """What has been until today. Slack takes one message a second, so sales was told over something else."""
    reports: list[Report] = []
    with serve_inbox() as chat:
        address = chat.url.replace("http://", "json://")
        with _opened(stage, f"{{type: apprise, url: '{address}', private_addresses: true}}") as app:
            _create_fields(app, say)
            say(f"\n1. {weeks} weeks ago, the first sync: every lead gets a score and a stage; sales is told of none")
            for at, report in live_through(app, stage.crm, _sync):
                if not reports:
                    say(f"   {report_line('crm', report)}")
                    say("\n2. The weeks since, one sync each: leads come, act and fade; sales calls, takes and rejects")
                else:
                    say(f"   {_week(at, report)}")
                reports.append(report)
    return reports


def _week(at: datetime, report: Report) -> str:
    new = sum(count for (before, _), count in report.moves.items() if before is None)
    moved, handed = report.counts["stage_changes"], report.counts["handoffs"]
    return f"{at:%d %b}  {new:>4} new leads · {moved:>3} changed stage · {handed:>2} handed over"


def _create_fields(app: App, say: Say) -> None:
    connector = app.connector(app.connection())
    if isinstance(connector, Destination):
        missing = [change for change in connector.setup() if not change.exists]
        for change in missing:
            connector.create(change)
        say(f"Created in the CRM: {', '.join(change.name for change in missing)}")


def _play(app: App, stage: Stage, first: bool, say: Say) -> list[Report]:
    """Let leads act and sync; before that, where it is the first time, create the fields and sync."""
    reports, number = [], 3
    if first:
        _create_fields(app, say)
        say("\n1. First sync: every lead gets a score and a stage; sales is told of none of them")
        reports, number = [_sync(app)], 2
        say(f"   {report_line('crm', reports[0])}")
    say(f"\n{number}. {'Meanwhile' if first else 'Today'} in the CRM")
    for happened in act(stage.crm.url, utc_now()):
        say(f"   {happened.told}")
    if app.stop.wait(INDEX_LAG_S + 2.5):  # the search must have caught up, and the connector's own lag be over
        raise Stopped("asked to stop")
    say(f"\n{number + 1}. {'Second' if first else 'Next'} sync: only what changed")
    reports.append(_sync(app))
    say(f"   {report_line('crm', reports[-1])}")
    return reports


def _sync(app: App) -> Report:
    with progress("crm") as moves:
        return sync(app.parts("crm", moves))


def _handed_over(app: App, since: datetime) -> list[Told]:
    """The hand-offs of today, the best first, with their leads' scores."""
    with app.store.reading() as tx:
        handed = [handoff for handoff, _, _ in outbox.handoffs(tx, "crm") if handoff.at >= since]
    handed.sort(key=lambda handoff: -handoff.total)
    return [(handoff, explain_lead(app, str(handoff.record))) for handoff in handed]


def _result(app: App, reports: Sequence[Report], inbox: Inbox, handed: Sequence[Told]) -> dict[str, Any]:
    counts: Counter[str] = sum((report.counts for report in reports), Counter())
    stages = _stages(app)
    return {
        "leads": sum(stages.values()),
        "stages": stages,
        "written": counts["written"],
        "handoffs": len(handed),
        "runs": len(reports),
        "handed_over": [_told_json(handoff, explanation_json(found)) for handoff, found in handed],
        "messages": [_as_read(message) for message in inbox.messages],
        "reports": [outcome_json("crm", report) for report in reports],
    }


def _stages(app: App) -> dict[str, int]:
    with app.store.reading() as tx:
        counts = decisions.stage_counts(tx, "crm")
    return {stage: counts.get(stage, 0) for stage in app.project.stages}


def _told_json(handoff: Handoff, explained: dict[str, Any]) -> dict[str, Any]:
    kept = ("lead", "email", "name", "stage", "total", "dimensions", "contributions", "cause")
    return {"key": handoff.key, "at": handoff.at, **{name: explained[name] for name in kept}}


def _as_read(message: dict[str, Any]) -> str:
    """The text of a Slack message as people read it in the channel."""
    parts = [part for block in message.get("blocks", ()) for part in (block.get("text"), *block.get("elements", ()))]
    lines = "\n".join(part["text"] for part in parts if part).splitlines()
    plain = [_SLACK_LINK.sub(r"\2: \1", line.strip("*")) for line in lines]
    return unescape("\n".join(plain)) or str(message.get("text", ""))


def _show(app: App, stage: Stage, handed: Sequence[Told]) -> None:
    counts = " · ".join(f"{name} {count:,}" for name, count in _stages(app).items())
    click.echo(f"\nWho became SQL just now, why, and what sales was told\n   {counts}")
    messages = [_as_read(message) for message in stage.inbox.messages]
    for handoff, found in handed:
        known = [handoff.name, handoff.email, f"{found.history[-1].before or 'new'} → {handoff.stage}"]
        click.echo()
        show(one_line(" · ".join(filter(None, known))), indent=3, style="bold")
        show(ledger(found.score), indent=3)
        for message in (each for each in messages if handoff.email and handoff.email in each):
            click.echo("\n   In the sales channel")
            for line in message.splitlines():
                show(f"│ {one_line(line)}", indent=3)


def _stay(stage: Stage, handed: Sequence[Told]) -> bool:
    """Go on as a daemon until Ctrl-C, the emulated CRM beside it; whether everything under way could finish."""
    os.environ["HUBSPOT_TOKEN"] = _TOKEN
    log.set_up("INFO", style=stage.process.log_style, stream=sys.stderr)
    click.echo(f"\nThe pages: http://127.0.0.1:{stage.port}/")
    click.echo(f"Staying as a daemon; the emulated CRM is at {stage.crm.url}. Ctrl-C ends it.")
    if handed:
        project = f"-c {stage.process.config} --database-url {stage.process.database_url.get_secret_value()}"
        click.echo(f"Meanwhile, elsewhere:  HUBSPOT_TOKEN={_TOKEN} syncer {project} explain {handed[0][0].email}")
    sys.stdout.flush()
    return Daemon(stage.process, web.serve).run()
