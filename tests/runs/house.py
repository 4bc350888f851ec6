"""A whole syncer around an emulated portal: project files, database, receivers; for whole runs over HTTP."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import urllib3
from click.testing import CliRunner, Result

from connectors.emulators.hubspot import Limits, Manners, Portal, serve
from syncer.app import App, opened
from syncer.cli import cli
from syncer.parts import Asked, Report
from syncer.run import sync
from syncer.settings import process_settings
from syncer.store import audit
from tests.receivers import HttpReceiver

TOKEN = "emulator-token"
ENVIRONMENT = {"HUBSPOT_TOKEN": TOKEN, "HOOK_SECRET": "a-secret-for-the-hook"}
MODEL = """\
name: small
half_life: 30d
fit:
  rules:
    - {name: In a country we sell to, when: {country: [ES, MX]}, points: 40}
engagement:
  max: 60
  rules:
    - {name: Came to a meeting, when: {activity: meeting, outcome: completed, in_last: 90d}, points: 30.5, each: true}
need:
  rules:
    - {name: Told us the problem, when: {jobtitle: {contains: [director]}}, points: 10}
veto:
  - {name: Opted out, when: {hs_email_optout: "true"}}
stages:
  - {name: cold}
  - {name: iql, enter: [fit >= 40]}
  - {name: mql, enter: [engagement >= 20, need > 0], leave_below: [engagement >= 12]}
  - {name: sql, enter: [engagement >= 50]}
"""
HANDOFF = """\
handoff:
  when: sql
  wait: 1h
  notifiers:
    hook: {{type: webhook, private_addresses: true, url: {hook}, secret: "${{HOOK_SECRET}}"}}
  notify: [hook]
"""
PROJECT = (
    """\
version: 1
connections:
  crm:
    type: hubspot
    token: ${{HUBSPOT_TOKEN}}
    base_url: {url}
    lag: 0s
    overlap: 10m
    write:
      lifecyclestage: {{mql: marketingqualifiedlead, sql: salesqualifiedlead}}
sync: {{max_stage_changes: {limit}}}
models: {models}
"""
    + HANDOFF
)


@dataclass
class House:
    """One project on one portal. `sync()` runs in this process, `cli()` as a person would type it."""

    portal: Portal
    url: str
    folder: Path
    database_url: str
    hook: HttpReceiver
    models: str = "model.yml"
    limit: int = 200
    pool: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(retries=False, timeout=30))
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def write_project(self, model: str | None = MODEL) -> None:
        text = PROJECT.format(url=self.url, hook=self.hook.url, models=self.models, limit=self.limit)
        (self.folder / "syncer.yml").write_text(text)
        if model is not None:
            (self.folder / "model.yml").write_text(model)

    @contextmanager
    def app(self) -> Iterator[App]:
        process = process_settings(self.folder, config=self.folder / "syncer.yml", database_url=self.database_url)
        with opened(process, ENVIRONMENT) as app:
            yield app

    def sync(self, asked: Asked | None = None) -> Report:
        self.pass_time()
        with self.app() as app:
            return sync(app.parts("crm"), asked or Asked())

    def cli(self, *words: str, environment: Mapping[str, str] = ENVIRONMENT) -> Result:
        """One command; its exit code, standard output and standard error."""
        self.pass_time()
        given = ["--config", str(self.folder / "syncer.yml"), "--database-url", self.database_url, *words]
        kept = {name: None for name in os.environ if name.startswith("SYNCER_")}
        return CliRunner().invoke(cli, given, env={**kept, "COLUMNS": "160", **environment}, catch_exceptions=False)

    def pass_time(self) -> None:
        """HubSpot tells its time in whole seconds, so what happened this very second is read a second later."""
        self.control("clock", advance_s=2)

    def json(self, *words: str) -> dict[str, Any]:
        result = self.cli(*words, "--json")
        assert result.exit_code == 0, result.stderr
        content: dict[str, Any] = orjson.loads(result.stdout)
        return content

    def acts(self) -> list[audit.Entry]:
        """The audit log, the first one first."""
        with self.app() as app, app.store.reading() as tx:
            return [each.entry for each in reversed(audit.entries(tx, None, 1_000))]

    # what people and HubSpot do in the portal

    def setup(self) -> None:
        result = self.cli("setup", "--apply")
        assert result.exit_code == 0, result.output

    def api(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        answer = self.pool.request(method, f"{self.url}{path}", json=body or None, headers=headers)
        assert answer.status < 300, answer.data
        content: dict[str, Any] = orjson.loads(answer.data) if answer.data else {}
        return content

    def control(self, action: str, **body: Any) -> dict[str, Any]:
        return self.api("POST", f"/_emulator/{action}", **body)

    def person(self, **properties: str) -> str:
        """A new contact; its id."""
        given = {"email": f"person{next(self.numbers)}@acme.example", **properties}
        identity: str = self.api("POST", "/crm/v3/objects/contacts", properties=given)["id"]
        return identity

    def meeting(self, *people: str, ago_s: int = 3600) -> str:
        """A meeting they came to, so long ago."""
        at = str(self.portal.clock.now_ms() - ago_s * 1000)
        ties = [
            {"to": {"id": each}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 200}]}
            for each in people
        ]
        properties = {"hs_timestamp": at, "hs_meeting_outcome": "COMPLETED", "hs_meeting_title": "Demo"}
        identity: str = self.api("POST", "/crm/v3/objects/meetings", properties=properties, associations=ties)["id"]
        return identity

    def edit(self, person: str, **properties: str) -> None:
        """Somebody changes the contact in HubSpot's own pages."""
        self.control("edit", objectType="contacts", id=person, properties=properties, userId="7")

    def shown(self, person: str) -> dict[str, str | None]:
        names = "ls_score,ls_stage,ls_score_reasons,lifecyclestage"
        properties: dict[str, str | None] = self.api("GET", f"/crm/v3/objects/contacts/{person}?properties={names}")[
            "properties"
        ]
        return properties

    def writes(self) -> int:
        """Write calls that reached the portal since the last `forget_calls`."""
        answer = self.pool.request("GET", f"{self.url}/_emulator/calls")
        count: int = orjson.loads(answer.data)["write"]
        return count

    def forget_calls(self) -> None:
        self.control("reset-calls")

    def told(self) -> Sequence[dict[str, Any]]:
        """What the webhook receiver got, repeats by their key dropped."""
        return [orjson.loads(each.body) for each in self.hook.distinct]


@contextmanager
def house_on(folder: Path, database_url: str, *, limits: Limits | None = None) -> Iterator[House]:
    """A house with nobody in it; search is up to date at once."""
    portal = Portal(manners=Manners(index_lag_s=0), limits=limits)
    with serve(portal) as url, HttpReceiver() as hook:
        house = House(portal, url, folder, database_url, hook)
        try:
            house.write_project()
            yield house
        finally:
            house.pool.clear()
