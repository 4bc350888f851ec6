"""Somebody in sales: gets a hand-off over real channels, and answers it at the door over real HTTP."""

from __future__ import annotations

import hashlib
import hmac
import re
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit
from zoneinfo import ZoneInfo

import orjson
import urllib3

from syncer.app import App, settings_classes
from syncer.handoff import Delivery, drain, links_of, notices
from syncer.model import Answer, Cursor, Decision, Handoff, LeadPlan, Page, Record, RecordKey, Score, StageState
from syncer.settings import HandoffSettings, load_project, process_settings
from syncer.store import Lease, Store, answers, audit, erasure, leases, mirror, open_store, outbox, words
from syncer.web import serve
from tests.receivers import HttpReceiver, SmtpReceiver
from tests.runs.house import MODEL
from tests.web.calling import Caller, free_port

SECRET, SIGNING_SECRET = "0123456789abcdef-of-links", "8f742231b10e8888abcd99yyyzzz85a5"
OWNER = "luis@acme.es"
PERSON = RecordKey("crm", "contacts", "90151")
PROJECT = """\
version: 1
language: {language}
timezone: Europe/Madrid
connections: {{crm: {{type: hubspot, token: "${{TOKEN}}"}}}}
models: model.yml
web: {{port: {port}, public_url: "http://127.0.0.1:{port}", secret: "${{SECRET}}"}}
handoff:
  when: sql
  notifiers:
    mail: {{type: email, host: 127.0.0.1, port: {smtp}, from: syncer@acme.es, security: none}}
    anonymous:
      {{type: email, host: 127.0.0.1, port: {smtp}, from: syncer@acme.es, security: none, personal_data: false}}
    team: {{type: slack, private_addresses: true, url: "{slack}", signing_secret: "${{SIGNING_SECRET}}"}}
    channel: {{type: slack, private_addresses: true, url: "{slack}"}}
    bosses:
      {{type: slack, private_addresses: true, url: "{slack}", personal_data: false,
        signing_secret: "${{SIGNING_SECRET}}"}}
    others: {{type: slack, private_addresses: true, url: "{slack}", signing_secret: another-app-of-slack}}
  notify: [mail]
  route: [{{to: [owner]}}]
  {more}
"""
BACK = "on_reject: {to: mql, hold: 30d}"


@dataclass
class Sales:
    """The app behind the door, who calls at it, and what the receivers got."""

    app: App
    caller: Caller
    slack: HttpReceiver
    mail: SmtpReceiver
    handoff: Handoff
    lease: Lease
    later: timedelta = field(default_factory=timedelta)

    @property
    def settings(self) -> HandoffSettings:
        assert self.app.project.handoff is not None
        return self.app.project.handoff

    def clock(self) -> datetime:
        return datetime.now(UTC) + self.later

    def is_told(self, *notify: str, **changes: Any) -> None:
        """A lead is handed over, and every message of it goes out."""
        self.handoff = replace(self.handoff, **changes)
        told = notices(self.handoff, replace(self.settings, notify=notify))
        score = Score(self.handoff.lead, self.handoff.at, "m@1", {}, self.handoff.total)
        state = StageState("sql", "sql", self.handoff.at, 1)
        decision = Decision(self.handoff.lead, 1, score, None, state, None, None)
        with self.app.store.writing(self.lease) as tx:
            outbox.keep(tx, [LeadPlan(decision, handoff=self.handoff)], told, self.handoff.at)
        project, store = self.app.project, self.app.store
        delivery = Delivery(
            store, "crm", self.settings, self.clock, threading.Event(), self.lease, project.language, project.timezone,
            links=links_of(project.web),
        )  # fmt: skip
        assert drain(delivery)["notices_sent"] == len(notify)

    def links(self) -> tuple[str, str]:
        """Where the links of the last mail lead: (it is taken, it is not ready), as paths."""
        body = self.mail.received[-1].message.get_body(("plain",))
        assert body is not None
        found = re.findall(r"https?://\S+/answers/\S+", body.get_content())
        accept, not_ready = (urlsplit(each).path for each in found)
        return accept, not_ready

    def look(self, path: str, method: str = "GET") -> urllib3.BaseHTTPResponse:
        return self.caller.ask(method, path)

    def send(self, path: str, **form: str) -> urllib3.BaseHTTPResponse:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.caller.ask("POST", path, urlencode(form).encode(), headers)

    def answers(self) -> list[Answer]:
        with self.app.store.reading() as tx:
            return answers.of(tx, [self.handoff.key]).get(self.handoff.key, [])

    def acts(self) -> list[audit.Entry]:
        """The audit log."""
        with self.app.store.reading() as tx:
            return [each.entry for each in audit.entries(tx, None, 1_000)]

    def word(self) -> tuple[str, str, str] | None:
        """(stage, by whom, why) of what a person has said of the lead."""
        with self.app.store.reading() as tx:
            said = words.newest(tx, [self.handoff.lead], self.clock()).get(self.handoff.lead)
        return None if said is None else (said.stage, said.author, said.reason)

    def leaves_the_stage(self) -> None:
        score = Score(self.handoff.lead, self.clock(), "m@1", {}, 10)
        before, after = (StageState(each, each, self.clock(), 1) for each in ("sql", "iql"))
        decision = Decision(self.handoff.lead, 1, score, before, after, None, None)
        with self.app.store.writing(self.lease) as tx:
            outbox.keep(tx, [LeadPlan(decision)], [], self.clock())

    def is_erased(self) -> None:
        with self.app.store.writing() as tx:
            erasure.erase(tx, [PERSON], self.clock())

    def press(self, body: bytes, name: str = "team", **headers: str) -> int:
        given = {**pressed(body), **headers}
        return self.caller.ask("POST", f"/slack/{name}", body, given).status

    def posted(self, place: int = 0) -> dict[str, Any]:
        """What the Slack-shaped receiver got."""
        told: dict[str, Any] = orjson.loads(self.slack.received[place].body)
        return told

    def update(self, place: int = 1) -> dict[str, Any]:
        """What was sent back to it, as soon as it is there."""
        deadline = time.monotonic() + 5
        while len(self.slack.received) <= place and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.posted(place)

    def payload(self, posted: Mapping[str, Any], reason: str | None = None, **changes: Any) -> bytes:
        """What Slack sends when Eva presses Accept under this message, or chooses a reason."""
        block: Mapping[str, Any] = next((each for each in posted["blocks"] if each["type"] == "actions"), {})
        action: dict[str, Any] = {"type": "button", "action_id": "accept", "block_id": block.get("block_id")}
        if reason is not None:
            chosen = {"text": {"type": "plain_text", "text": reason}, "value": reason}
            action = {**action, "type": "static_select", "action_id": "not_ready", "selected_option": chosen}
        payload = {
            "type": "block_actions", "token": "old", "trigger_id": "1.2.3",
            "user": {"id": "U1", "username": "eva", "name": "eva", "team_id": "T1"},
            "message": {"type": "message", "ts": "1.1", "text": posted["text"], "blocks": posted["blocks"]},
            "response_url": self.slack.url.replace("services", "actions"), "actions": [action], **changes,
        }  # fmt: skip
        return f"payload={quote_plus(orjson.dumps(payload).decode())}".encode()


def pressed(body: bytes, *, secret: str = SIGNING_SECRET, ago_s: int = 0) -> dict[str, str]:
    """The headers with which Slack signs a request, as its guide describes them."""
    timestamp = str(int(time.time()) - ago_s)
    told = hmac.new(secret.encode(), b"v0:" + timestamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": timestamp, "X-Slack-Signature": f"v0={told}"}


@contextmanager
def opened_sales(folder: Path, database_url: str, *, language: str = "en", more: str = BACK) -> Iterator[Sales]:
    with HttpReceiver() as slack, SmtpReceiver() as mail:
        port = free_port()
        text = PROJECT.format(language=language, port=port, smtp=mail.port, slack=slack.url, more=more)
        (folder / "syncer.yml").write_text(text)
        (folder / "model.yml").write_text(MODEL)
        environ = {"SECRET": SECRET, "SIGNING_SECRET": SIGNING_SECRET, "TOKEN": "pat-eu1-some-token"}
        project = load_project(folder / "syncer.yml", settings_classes(), environ)
        process = process_settings(folder, config=folder / "syncer.yml", database_url=database_url)
        store = open_store(database_url)
        lease = leases.take(store, "crm", holder="this-process", ttl_s=60)
        assert lease is not None
        sales = Sales(App(process, project, store, "this-process"), Caller(port), slack, mail, _handoff(store), lease)
        sales.app = replace(sales.app, clock=sales.clock)
        try:
            with serve(lambda: sales.app, lambda: None):
                yield sales
        finally:
            sales.caller.pool.clear()
            store.close()


def _handoff(store: Store) -> Handoff:
    """Of a lead that the store knows."""
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    with store.writing() as tx:
        mirror.store_page(tx, "crm", "contacts", Page(Cursor("1"), (Record(PERSON, at, email="ana.ruiz@nova.es"),)), at)
        (lead,) = mirror.find(tx, str(PERSON))
    return Handoff(
        key="here/crm/contacts/90151#1", lead=lead, record=PERSON, episode=1, stage="sql", total=7899, at=at,
        email="ana.ruiz@nova.es", name="Ana Ruiz", owner=OWNER, url="https://app.crm.test/contacts/1",
        fields={"country": "ES"}, reasons=("+30 Asked for a demo (phone = 600123456)",),
    )  # fmt: skip


@contextmanager
def on_sqlite(folder: Path, template: Path, **how: str) -> Iterator[Sales]:
    shutil.copy(template, folder / "syncer.db")
    with opened_sales(folder, f"sqlite:///{folder / 'syncer.db'}", **how) as opened:
        yield opened


def day_there(at: datetime) -> str:
    """By the clock of the project, where it may be tomorrow already."""
    return f"{at.astimezone(ZoneInfo('Europe/Madrid')):%Y-%m-%d}"
