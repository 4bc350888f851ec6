"""A Salesforce org over HTTP and the connector on it, for tests."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest
import urllib3
from starlette.types import Receive, Scope, Send

from connectors.emulators.salesforce import (
    Access,
    Clock,
    ConnectedApp,
    Instance,
    Limits,
    Manners,
    Org,
    create_app,
)
from connectors.emulators.salesforce.http.server import serve_app
from connectors.salesforce import Salesforce
from connectors.salesforce.client import Client
from connectors.salesforce.org import Org as View
from connectors.salesforce.settings import Settings
from syncer import retry
from syncer.app import App, opened
from syncer.connector import Wanted
from syncer.errors import Stopped
from syncer.model import Activity, Change, Page, Record, RecordKey, Rejected, Standing
from syncer.parts import Asked, Report
from syncer.run import sync
from syncer.settings import process_settings

TOKEN = "emulator-token"
NOTHING = Standing()
STAGES = ("cold", "mql", "sql")
WANTED = Wanted(stages=STAGES, handoff="sql")
ROOT = "/services/data/v60.0"
Json = dict[str, Any]

SCORE, STAGE, REASONS, TASK_KEY = "Lead_Score__c", "Lifecycle_Stage__c", "Lead_Score_Reasons__c", "Syncer_Key__c"
RESULT_FIELDS: tuple[Json, ...] = (
    {"fullName": SCORE, "label": "Lead score", "type": "Number", "precision": 7, "scale": 2},
    {"fullName": STAGE, "label": "Lead stage", "type": "Text", "length": 80},
    {"fullName": REASONS, "label": "Lead score reasons", "type": "LongTextArea", "length": 32768},
)
KEY_FIELD: Json = {
    "fullName": TASK_KEY, "label": "syncer key", "type": "Text", "length": 255, "externalId": True, "unique": True,
}  # fmt: skip


class House:
    """A running org, and what people do in it. Times are the org's clock's."""

    def __init__(self, url: str, instance: Instance) -> None:
        self.url = url
        self.instance = instance
        self._pool = urllib3.PoolManager(retries=False, timeout=30)
        self._numbers = itertools.count(1)

    @property
    def org(self) -> Org:
        """The emulator's records and rules."""
        return self.instance.org

    # the connector's parts

    def settings(self, **settings: Any) -> Settings:
        """With `TOKEN`, unless another way in is given."""
        chosen: Json = {"instance_url": self.url, **settings}
        if not {"token", "jwt", "refresh", "client_credentials"}.intersection(chosen):
            chosen["token"] = TOKEN
        return Settings.model_validate(chosen)

    def client(self, wanted: Wanted | None = None, *, name: str = "crm", **settings: Any) -> Client:
        """A new client."""
        return Client(name, self.settings(**settings), wanted or WANTED)

    def asked(self, wanted: Wanted | None = None, *, name: str = "crm", **settings: Any) -> View:
        """The connector's view of the org (`connectors.salesforce.org.Org`), with a client of its own."""
        wish = wanted or WANTED
        return View(name, self.settings(**settings), wish, self.client(wish, name=name, **settings))

    def salesforce(self, wanted: Wanted | None = None, *, name: str = "crm", **settings: Any) -> Salesforce:
        """A new connector."""
        return Salesforce(name, self.settings(**settings), wanted or WANTED)

    # what people and time do

    def load(self, kind: str, rows: Sequence[Mapping[str, object]]) -> list[str]:
        """Records that were always there, past every rule; their ids. People get the names they need."""
        ids: list[str] = self.control("load", records={kind: [{**_needed(kind), **row} for row in rows]})["ids"][kind]
        return ids

    def leads(self, count: int, **shared: object) -> list[str]:
        """Leads with e-mail addresses of their own."""
        return self.load("Lead", [{"Email": self._address(), **shared} for _ in range(count)])

    def contacts(self, count: int, **shared: object) -> list[str]:
        """Contacts with e-mail addresses of their own, without an account."""
        return self.load("Contact", [{"Email": self._address(), **shared} for _ in range(count)])

    def create(self, kind: str, **values: object) -> str:
        """A person makes a record in the app."""
        return self._edited(kind, "create", None, {**_needed(kind), **values})

    def change(self, identity: str, /, **values: object) -> None:
        """A person edits a record in the app."""
        self._edited(self.kind_of(identity), "update", identity, values)

    def remove(self, identity: str) -> None:
        """Into the recycle bin."""
        self._edited(self.kind_of(identity), "delete", identity, {})

    def restore(self, identity: str) -> None:
        """Out of the recycle bin."""
        self._edited(self.kind_of(identity), "undelete", identity, {})

    def purge(self, *ids: str) -> None:
        """Gone for good."""
        self.control("purge", ids=ids)

    def merged(self, winner: str, *losers: str) -> None:
        self.control("merge", object=self.kind_of(winner), winner=winner, losers=losers)

    def convert(self, lead: str, **options: object) -> Json:
        """See `Org.convert`: {"contactId", "accountId", ...}."""
        return self.control("convert", lead=lead, options=options)

    def shown(self, identity: str) -> Mapping[str, Any]:
        """Everything a record holds now, deleted or not."""
        rows = self.control("dump", object=self.kind_of(identity), all_rows=True)["results"]
        found: Mapping[str, Any] = next(row for row in rows if row["Id"] == identity)
        return found

    def kind_of(self, identity: str) -> str:
        found = self.org.object_of_id(identity)
        assert found is not None, identity
        return found

    def let_pass(self, seconds: float) -> None:
        """Time passes in the org."""
        self.control("clock", advance_s=seconds)

    def switch(self, **switches: object) -> None:
        """What records do: see the emulator's `Switches`."""
        self.control("switches", **switches)

    def behave(self, **manners: object) -> None:
        """What the API does: see the emulator's `Manners`."""
        self.control("manners", **manners)

    def fault(self, **fault: object) -> None:
        """See the emulator's `Fault`."""
        self.control("faults", faults=[fault])

    def no_faults(self) -> None:
        self.control("faults", faults=[])

    # what was asked of it

    def calls(self) -> Json:
        found: Json = orjson.loads(self._pool.request("GET", f"{self.url}/_emulator/calls").data)
        return found

    def log(self) -> list[Json]:
        """{"at", "method", "url", "status"} of each request since the last `forget`."""
        found: list[Json] = orjson.loads(self._pool.request("GET", f"{self.url}/_emulator/log").data)["calls"]
        return found

    def writes(self) -> list[Json]:
        """What the API wrote or tried to: {"verb", "object", "id", "values", "auto_assign", "success", "code"}."""
        found: list[Json] = orjson.loads(self._pool.request("GET", f"{self.url}/_emulator/writes").data)["writes"]
        return found

    def statuses(self, route: str) -> dict[int, int]:
        """How often routes that end so were answered with each status since the last `forget`."""
        found: dict[int, int] = {}
        for each in self.calls()["routes"]:
            if each["route"].endswith(route):
                found[each["status"]] = found.get(each["status"], 0) + each["count"]
        return found

    def forget(self) -> None:
        self.control("reset-calls")

    def control(self, name: str, **body: object) -> Json:
        answer = self._pool.request("POST", f"{self.url}/_emulator/{name}", body=orjson.dumps(body))
        assert answer.status == 200, answer.data
        found: Json = orjson.loads(answer.data)
        return found

    def api(self, method: str, path: str, body: object = None) -> Any:
        """Another program uses the API; `path` as in "/sobjects/Lead"."""
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        sent = None if body is None else orjson.dumps(body)
        answer = self._pool.request(method, self.url + ROOT + path, body=sent, headers=headers)
        assert 200 <= answer.status < 300, answer.data
        return orjson.loads(answer.data) if answer.data else {}

    def rows(self, soql: str) -> list[Json]:
        """Another program's query."""
        found: list[Json] = self.api("GET", f"/queryAll?q={quote(soql)}")["records"]
        return found

    def _address(self) -> str:
        return f"person{next(self._numbers)}@acme.test"

    def _edited(self, kind: str, verb: str, identity: str | None, values: Mapping[str, object]) -> str:
        known = {} if identity is None else {"id": identity}
        told = self.control("edit", object=kind, verb=verb, values=values, **known)
        assert told["success"], told["errors"]
        return str(told["id"])


def _needed(kind: str) -> Json:
    if kind == "Lead":
        return {"LastName": "Doe", "Company": "Acme"}
    return {"LastName": "Doe"} if kind == "Contact" else {}


@contextmanager
def house(
    *,
    limits: Limits | None = None,
    apps: Sequence[ConnectedApp] = (),
    clock: Clock | None = None,
    features: Mapping[str, bool] | None = None,
    fields: bool = True,
    **manners: Any,
) -> Iterator[House]:
    """An org with nobody in it; without limits unless asked for. `features`: of `Org.stock`. `fields`: syncer's own
    are there, on Lead, Contact and Task."""
    instance = Instance(Org.stock(clock, **(features or {})), Access((TOKEN,), tuple(apps)), limits, Manners(**manners))
    if fields:
        for each in RESULT_FIELDS:
            instance.org.add_field("Lead", each)
            instance.org.add_field("Contact", each)
        instance.org.add_field("Task", KEY_FIELD)
    with serve_app(create_app(instance)) as url:
        yield House(url, instance)


MODEL = """\
name: small
half_life: 30d
fit:
  rules:
    - {name: In a country we sell to, when: {country: [ES, MX]}, points: 40}
engagement:
  max: 60
  rules:
    - {name: Came to a meeting, when: {activity: meeting, in_last: 90d}, points: 30.5, each: true}
stages:
  - {name: cold}
  - {name: mql, enter: [fit >= 40]}
  - {name: sql, enter: [engagement >= 50]}
"""
PROJECT = """\
version: 1
connections:
  crm: {{type: salesforce, token: "${{SALESFORCE_TOKEN}}", instance_url: "{url}"{more}}}
models: model.yml
"""


@dataclass(frozen=True, slots=True)
class Project:
    """A whole syncer on an org: project files and a database. `more`: further keys of the connection, like ", a: b"."""

    org: House
    folder: Path
    database_url: str
    more: str = ""

    def __post_init__(self) -> None:
        (self.folder / "syncer.yml").write_text(PROJECT.format(url=self.org.url, more=self.more))
        (self.folder / "model.yml").write_text(MODEL)

    @contextmanager
    def app(self) -> Iterator[App]:
        process = process_settings(self.folder, config=self.folder / "syncer.yml", database_url=self.database_url)
        with opened(process, {"SALESFORCE_TOKEN": TOKEN}) as app:
            yield app

    def sync(self, asked: Asked | None = None) -> Report:
        """One run, a minute later."""
        self.org.let_pass(60)
        with self.app() as app:
            return sync(app.parts("crm"), asked or Asked())


@contextmanager
def overheard(org: House, path: str, heard: list[Any]) -> Iterator[House]:
    """The same org at a second address, where the bodies sent to paths that end so are kept."""
    told = create_app(org.instance)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        parts: list[bytes] = []

        async def listen() -> Any:
            part = await receive()
            parts.append(part.get("body", b""))
            return part

        await told(scope, listen, send)
        if scope["path"].endswith(path):
            heard.append(orjson.loads(b"".join(parts)))

    with serve_app(app) as url:
        yield House(url, org.instance)


def let_waits_pass(monkeypatch: pytest.MonkeyPatch, org: House) -> list[float]:
    """From now on time stands still, and every wait of the connector lets it pass at once, for the org too. The waits
    so far, in seconds."""
    clock = org.org.clock
    waits: list[float] = []

    def wait(seconds: float, stop: threading.Event) -> None:
        if stop.is_set():
            raise Stopped("asked to stop while waiting")
        if seconds > 0:
            waits.append(seconds)
            clock.advance(seconds)

    clock.freeze()
    monkeypatch.setattr(retry, "wait", wait)
    monkeypatch.setattr(retry, "monotonic", clock.now_s)
    return waits


def records(pages: Sequence[Page]) -> dict[str, Record]:
    """By id; of one that came twice, the last."""
    return {record.key.id: record for page in pages for record in page.records}


def activities(pages: Sequence[Page]) -> dict[str, Activity]:
    return {activity.id: activity for page in pages for activity in page.activities}


def rejected(pages: Sequence[Page]) -> list[Rejected]:
    return [each for page in pages for each in page.rejected]


def key(identity: str) -> RecordKey:
    """Of a Lead or a Contact, by its prefix."""
    return RecordKey("crm", "Contact" if identity.startswith("003") else "Lead", identity)


def change(identity: str, score: int | None = 1234, stage: str | None = "mql", before: Standing = NOTHING) -> Change:
    return Change(key(identity), before, Standing(score=score, stage=stage), "activity")
