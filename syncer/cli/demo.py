"""`demo`: the whole way of a lead, on an embedded CRM: no account, no network."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import click
from pydantic import SecretStr

from connectors.emulators.hubspot import Manners, Portal, serve
from connectors.emulators.inbox import Inbox, serve_inbox
from connectors.emulators.sample import act, build, load
from syncer import log
from syncer.app import App, examples, opened, utc_now
from syncer.cli.daemon import leave
from syncer.cli.explain import Explanation, explain_lead, explanation_json, ledger
from syncer.cli.output import print_json, process_of, progress, show, stopping
from syncer.cli.run import outcome_json, report_line
from syncer.connector import Destination
from syncer.daemon import Daemon
from syncer.errors import Stopped
from syncer.handoff.text import one_line
from syncer.model import Handoff
from syncer.parts import Report
from syncer.run import sync
from syncer.settings import ProcessSettings
from syncer.store import decisions, outbox

_TOKEN = "emulator-token"
_INDEX_LAG_S = 1.0  # the emulated search is late, as the real one is; the connector stays behind it
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
    write:
      score: ls_score
      stage: ls_stage
      reasons: ls_score_reasons
      lifecyclestage: {{mql: marketingqualifiedlead, sql: salesqualifiedlead}}
sync:
  every: 15s
models: models/demo.yml
handoff:
  when: sql
  wait: 1m
  notifiers:
    sales: {{type: slack, url: {inbox}, private_addresses: true}}
  notify: [sales]
"""


_SLACK_LINK = re.compile(r"<([^|>]+)\|([^>]+)>")

Say = Callable[[str], None]
Told = tuple[Handoff, Explanation]


@dataclass(frozen=True)
class Stage:
    """Where the demo plays: the emulated CRM, the sales team's channel, and the project between them."""

    url: str
    inbox: Inbox
    process: ProcessSettings


def demo(ctx: click.Context, once: bool, leads: int, folder: Path | None, as_json: bool) -> None:
    if as_json and not once:
        raise click.UsageError("--json prints one object at the end, so it goes with --once")
    say: Say = _say_nothing if as_json else click.echo
    drained = True
    with _ended_by_signal(), _stage(ctx, leads, folder, say) as stage:
        with opened(stage.process, {"HUBSPOT_TOKEN": _TOKEN}) as app:
            with stopping(app):
                reports = _play(app, stage, say)
            handed = _handed_over(app)
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
def _stage(ctx: click.Context, leads: int, folder: Path | None, say: Say) -> Iterator[Stage]:
    process = process_of(ctx)
    with ExitStack() as stack:
        say(f"An emulated HubSpot with {leads:,} leads and a year of their activities, on this machine alone.")
        portal = Portal(manners=Manners(index_lag_s=_INDEX_LAG_S))
        load(portal, build(now=utc_now(), leads=leads))
        url = stack.enter_context(serve(portal))
        inbox = stack.enter_context(serve_inbox())
        home = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="syncer-demo-")))
        _write_project(home, _PROJECT.format(url=url, inbox=inbox.url, language=process.lang or "en"))
        for old in home.glob("syncer.db*"):
            old.unlink()  # the emulated CRM is new each time, so what an earlier demo knew of it is wrong
        changed = {"config": home / "syncer.yml", "database_url": SecretStr(f"sqlite:///{home / 'syncer.db'}")}
        yield Stage(url, inbox, process.model_copy(update=changed))


def _write_project(home: Path, text: str) -> None:
    (home / "models").mkdir(parents=True, exist_ok=True)
    (home / "syncer.yml").write_text(text, encoding="utf-8")
    shutil.copy(examples() / "models" / "demo.yml", home / "models" / "demo.yml")
    shutil.copytree(examples() / "lists", home / "lists", dirs_exist_ok=True)


def _play(app: App, stage: Stage, say: Say) -> list[Report]:
    """Create the fields, sync, let leads act, sync again."""
    connector = app.connector(app.connection())
    if isinstance(connector, Destination):
        missing = [change for change in connector.setup() if not change.exists]
        for change in missing:
            connector.create(change)
        say(f"Created in the CRM: {', '.join(change.name for change in missing)}")
    say("\n1. First sync: every lead gets a score and a stage; sales is told of none of them")
    reports = [_sync(app)]
    say(f"   {report_line('crm', reports[0])}")
    say("\n2. Meanwhile in the CRM")
    for happened in act(stage.url, utc_now()):
        say(f"   {happened.told}")
    if app.stop.wait(_INDEX_LAG_S + 2.5):  # the search must have caught up, and the connector's own lag be over
        raise Stopped("asked to stop")
    say("\n3. Second sync: only what changed")
    reports.append(_sync(app))
    say(f"   {report_line('crm', reports[1])}")
    return reports


def _sync(app: App) -> Report:
    with progress("crm") as moves:
        return sync(app.parts("crm", moves))


def _handed_over(app: App) -> list[Told]:
    """The hand-offs, the best first, with their leads' scores."""
    with app.store.reading() as tx:
        handed = [handoff for handoff, _, _ in outbox.handoffs(tx, "crm")]
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
    click.echo(f"\n4. Who became SQL, why, and what sales was told\n   {counts}")
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
    click.echo(f"\nStaying as a daemon; the emulated CRM is at {stage.url}. Ctrl-C ends it.")
    if handed:
        project = f"-c {stage.process.config} --database-url {stage.process.database_url.get_secret_value()}"
        click.echo(f"Meanwhile, elsewhere:  HUBSPOT_TOKEN={_TOKEN} syncer {project} explain {handed[0][0].email}")
    sys.stdout.flush()
    return Daemon(stage.process).run()
