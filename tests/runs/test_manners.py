"""What each channel does when its receiver delivers, is busy, breaks, refuses, hangs, drops or is gone: a whole project
against real servers on loopback, one message at a time, and a webhook beside it that must never have to wait."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from click.testing import CliRunner

from connectors.emulators.hubspot.directory import DEFAULT_OWNERS
from connectors.hubspot.marks import keys_in
from syncer import retry
from syncer.app import App, opened
from syncer.cli import cli
from syncer.handoff import clock, notices, sending
from syncer.handoff.routing import OWNER_CHANNEL
from syncer.handoff.sending import HELD
from syncer.model import Cursor, Decision, Handoff, LeadPlan, Notice, Page, Record, RecordKey, Score, StageState
from syncer.run import deliver
from syncer.settings import HandoffSettings, process_settings
from syncer.store import mirror, outbox
from tests.connectors.hubspot.portals import Office, office
from tests.connectors.salesforce.orgs import TASK_KEY, House, Json, house
from tests.receivers import DROP, HANG, HttpReceiver, Reply, SmtpReceiver, SmtpReply
from tests.reporting import MANNERS
from tests.runs.house import MODEL

TABLE = """\
| channel          | delivers | busy            | fails         | refuses       | hangs                 | drops                 | gone |
| ---------------- | -------- | --------------- | ------------- | ------------- | --------------------- | --------------------- | ---- |
| webhook          | sent     | again in 120 s  | again in 30 s | again in 30 s | again in 30 s, marked | again in 30 s, marked | dead |
| slack            | sent     | again in 120 s  | again in 30 s | again in 30 s | again in 30 s, marked | again in 30 s, marked | dead |
| apprise          | sent     | again in 120 s  | again in 30 s | again in 30 s | again in 30 s, marked | again in 30 s, marked | dead |
| email            | sent     | again in 30 s   | dead          | again in 30 s | again in 30 s, marked | again in 30 s, marked | dead |
| escalation       | sent     | again in 30 s   | dead          | again in 30 s | again in 30 s, marked | again in 30 s, marked | dead |
| hubspot task     | sent     | again in 300 s  | again in 30 s | again in 30 s | again in 120 s        | again in 120 s        | dead |
| hubspot owner    | sent     | again in 300 s  | again in 30 s | again in 30 s | sent                  | sent                  | dead |
| salesforce task  | sent     | again in 3600 s | again in 30 s | again in 30 s | sent                  | sent                  | dead |
| salesforce owner | sent     | again in 3600 s | again in 30 s | again in 30 s | sent                  | sent                  | dead |
"""  # noqa: E501
"""What becomes of a message whose receiver delivers · answers 429 with Retry-After, Salesforce that its limit is
reached, a mail server 451 (which names no time) · answers 503, a mail server 554 · takes no connection · never answers
· takes it and breaks off without an answer · does not exist: 404, 550, a record that was deleted. Marked: as a possible
repeat. What a CRM was asked for and gave no answer to is looked for before it is asked again."""

TIMEOUT_S = 0.3
TROUBLES = ("delivers", "busy", "fails", "refuses", "hangs", "drops", "gone")
EMAIL = ("email", "escalation")
CRM = ("hubspot", "salesforce")
ENVIRONMENT = {"CRM_TOKEN": "emulator-token"}
ANNA, BEN = "anna.berg@example.com", "ben.okoro@example.com"  # who shall have the lead, and who has it
PROJECT = """\
version: 1
connections:
  crm: {{{crm}, token: "${{CRM_TOKEN}}", timeout_s: {{connect: 1, read: {timeout}}}}}
models: model.yml
handoff:
  when: sql
  wait: 5m
  respond_within: 1h
  escalate_to: [{anna}]
  repeats: {{email: {repeats}, slack: {repeats}, apprise: {repeats}}}
  notifiers:
    webhook: {{type: webhook, private_addresses: true, url: "{http}", timeout_s: {timeout}}}
    slack: {{type: slack, private_addresses: true, url: "{http}", timeout_s: {timeout}}}
    apprise: {{type: apprise, private_addresses: true, url: "{json}", timeout_s: {timeout}}}
    email: {{type: email, host: 127.0.0.1, port: {mail}, security: none, from: us@nimbo.example, timeout_s: {timeout}}}
    task: {{type: task}}
    witness: {{type: webhook, private_addresses: true, url: "{witness}", timeout_s: 5}}
  route: [{{to: [{anna}], assign: true}}]
  notify: [webhook, slack, apprise, email, task, witness]
"""


def cells(table: str) -> dict[tuple[str, str], str]:
    """(row, column) -> what a table in Markdown says there."""
    head, _, *rows = [[cell.strip() for cell in line.strip("| \n").split("|")] for line in table.splitlines()]
    return {(name, column): cell for name, *told in rows for column, cell in zip(head[1:], told, strict=True)}


README = Path(__file__).parents[2] / "README.md"
EXPECTED = cells(TABLE)
CHANNELS = tuple(dict.fromkeys(channel for channel, _ in EXPECTED))
SAID: Mapping[str, str] = {
    "busy": "answered 429",
    "fails": "answered 503",
    "refuses": "no connection",
    "hangs": "no answer",
    "drops": "no answer",
    "gone": "answered 404",
}
SAID_OF_MAIL: Mapping[str, str] = {
    "busy": "answered 451",
    "fails": "answered 554",
    "refuses": "no session",
    "hangs": "connection lost",
    "drops": "connection lost",
    "gone": "answered 550",
}
SAID_BY_CRM: Mapping[str, str] = {
    "busy": "requests",
    "fails": "is unwell (503)",
    "refuses": "it was refused",
    "hangs": "it timed out",
    "drops": "it broke off",
    "gone": "is gone from",
}


class Portal:
    """HubSpot."""

    name = "hubspot"
    writes: ClassVar[Mapping[str, Json]] = {
        "task": {"method": "POST", "path": "/tasks$"},
        "owner": {"method": "PATCH", "path": r"/contacts/\d+$"},
    }
    busy: ClassVar[Json] = {"status": 429, "headers": {"Retry-After": "300"}}

    def __init__(self, there: Office) -> None:
        self._there = there
        self._owners = {each.email: str(each.id) for each in DEFAULT_OWNERS}

    def project(self, url: str) -> str:
        return f'type: hubspot, base_url: "{url}", lag: 0s'

    @property
    def url(self) -> str:
        return self._there.url

    def person(self) -> RecordKey:
        (made,) = self._there.load("contacts", [{"email": "ana@example.com", "hubspot_owner_id": self._owners[BEN]}])
        return RecordKey("crm", "contacts", made)

    def owner(self, person: RecordKey) -> str:
        identity = self._there.shown(person.id)["hubspot_owner_id"]
        return next(email for email, each in self._owners.items() if each == identity)

    def remove(self, person: RecordKey) -> None:
        self._there.remove(person.id)

    def fault(self, **fault: Any) -> None:
        self._there.fault(**fault)

    def mend(self) -> None:
        self._there.control("faults", faults=[])

    def tasks(self, key: str) -> int:
        rows = self._there.control("dump", objectType="tasks")["results"]
        return sum(key in keys_in(row["properties"]["hs_task_body"]) for row in rows)


class Org:
    """Salesforce."""

    name = "salesforce"
    writes: ClassVar[Mapping[str, Json]] = {
        "task": {"method": "PATCH", "path": "/composite/sobjects/Task"},
        "owner": {"method": "PATCH", "path": "/sobjects/Lead/"},
    }
    busy: ClassVar[Json] = {"code": "TOTAL_REQUESTS"}

    def __init__(self, there: House) -> None:
        self._there = there
        user = {"LastName": "Berg", "Alias": "us", "IsActive": True, "UserType": "Standard"}
        users = [{**user, "Username": each, "Email": each} for each in (ANNA, BEN)]
        self._owners = dict(zip((ANNA, BEN), there.load("User", users), strict=True))

    def project(self, url: str) -> str:
        return f'type: salesforce, instance_url: "{url}"'

    @property
    def url(self) -> str:
        return self._there.url

    def person(self) -> RecordKey:
        (made,) = self._there.leads(1, OwnerId=self._owners[BEN])
        return RecordKey("crm", "Lead", made)

    def owner(self, person: RecordKey) -> str:
        identity = self._there.shown(person.id)["OwnerId"]
        return next(email for email, each in self._owners.items() if each == identity)

    def remove(self, person: RecordKey) -> None:
        self._there.purge(person.id)

    def fault(self, **fault: Any) -> None:
        self._there.fault(**fault)

    def mend(self) -> None:
        self._there.no_faults()

    def tasks(self, key: str) -> int:
        rows = self._there.control("dump", object="Task")["results"]
        return sum(row[TASK_KEY] == key for row in rows)


@dataclass
class Scene:
    """One project, everybody whom it tells, and the clock, which stands still while messages go out."""

    folder: Path
    crm: Portal | Org
    http: HttpReceiver
    mail: SmtpReceiver
    witness: HttpReceiver
    closed: int  # a port that takes no connection
    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    app: App = field(init=False)
    news: str = field(init=False)  # the key of the witness's message

    def _write_project(self, refuses: bool, repeats: str) -> None:
        nowhere = f"http://127.0.0.1:{self.closed}"
        url, crm = (f"{nowhere}/T000", nowhere) if refuses else (self.http.url, self.crm.url)
        text = PROJECT.format(
            crm=self.crm.project(crm), http=url, json=url.replace("http:", "json:"), timeout=TIMEOUT_S, anna=ANNA,
            mail=self.closed if refuses else self.mail.port, witness=self.witness.url, repeats=repeats,
        )  # fmt: skip
        (self.folder / "syncer.yml").write_text(text)
        (self.folder / "model.yml").write_text(MODEL)

    @property
    def database_url(self) -> str:
        return f"sqlite:///{self.folder / 'syncer.db'}"

    @contextmanager
    def opened(self, *, refuses: bool = False, repeats: str = "resend") -> Iterator[Scene]:
        """Once its project is written; `refuses`: nobody but the witness takes a connection."""
        self._write_project(refuses, repeats)
        process = process_settings(self.folder, config=self.folder / "syncer.yml", database_url=self.database_url)
        with opened(process, ENVIRONMENT) as app:
            self.app = replace(app, clock=lambda: self.now)
            yield self

    def queue(self, channel: str, person: RecordKey) -> Notice:
        """One hand-off, of which this channel and the witness shall tell."""
        settings = self.app.project.handoff
        assert settings is not None
        with self.app.store.writing() as tx:
            page = Page(Cursor("1"), (Record(person, self.now, email="ana@example.com", owner=BEN),))
            mirror.store_page(tx, "crm", person.object, page, self.now)
            handoff = _handoff(person, mirror.find(tx, person.id)[0], self.now - timedelta(minutes=10))
            made = _notice(channel, handoff, settings)
            self.news = next(each.key for each in notices(handoff, settings) if each.channel == "witness")
            both = [each for each in (made, *notices(handoff, settings)) if each.key in (made.key, self.news)]
            outbox.keep(tx, [LeadPlan(_decision(handoff), handoff=handoff)], both, self.now)
        return made

    def deliver(self) -> float:
        """-> how many seconds it took."""
        began = time.monotonic()
        deliver(self.app.parts("crm"))
        return time.monotonic() - began

    def kept(self, key: str) -> Notice:
        with self.app.store.reading() as tx:
            return outbox.named(tx, [key])[0]

    def shown(self, key: str) -> str:
        """The line of `syncer outbox` about a message; nothing where it has been sent."""
        lines = self._cli("outbox").splitlines()
        return next((line for line in lines if line.strip().startswith(key[:12])), "")

    def _cli(self, *words: str) -> str:
        given = ["--config", str(self.folder / "syncer.yml"), "--database-url", self.database_url, *words]
        kept = {name: None for name in os.environ if name.startswith("SYNCER_")}
        result = CliRunner().invoke(cli, given, env={**kept, "COLUMNS": "300", **ENVIRONMENT}, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout


def _notice(channel: str, handoff: Handoff, settings: HandoffSettings) -> Notice:
    if channel == "escalation":
        return next(clock.escalations(handoff, settings))
    name = {"task": "task", "owner": OWNER_CHANNEL}.get(channel.partition(" ")[2], channel)
    return next(each for each in notices(handoff, settings) if each.channel == name)


def _handoff(person: RecordKey, lead: int, at: datetime) -> Handoff:
    return Handoff(
        key=f"here/{person}#1", lead=lead, record=person, episode=1, stage="sql", total=7000, at=at,
        email="ana@example.com", name="Ana Ruiz", owner=BEN, url=None, assigned_to=ANNA,
    )  # fmt: skip


def _decision(handoff: Handoff) -> Decision:
    score = Score(handoff.lead, handoff.at, "m@1", {}, handoff.total)
    return Decision(handoff.lead, 1, score, None, StageState("sql", "sql", handoff.at, 1), None, None)


@pytest.fixture(scope="module")
def crms() -> Iterator[Mapping[str, Portal | Org]]:
    with office() as portal, house() as org:
        yield {"hubspot": Portal(portal), "salesforce": Org(org)}


@pytest.fixture
def scene_of(
    crms: Mapping[str, Portal | Org], tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], Scene]]:
    _let_waits_pass(monkeypatch)
    (tmp_path / "syncer.db").write_bytes(sqlite_template.read_bytes())
    with ExitStack() as stack:
        http, witness = stack.enter_context(HttpReceiver()), stack.enter_context(HttpReceiver())
        mail = stack.enter_context(SmtpReceiver())
        closed = stack.enter_context(socket.socket())
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        yield lambda channel: Scene(tmp_path, crms[_crm_of(channel)], http, mail, witness, port)
    for crm in crms.values():
        crm.mend()


def _let_waits_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a connector would wait between two tries of one request, and we between two posts to Slack, is over at
    once."""
    passed = 0.0

    def wait(seconds: float, stop: threading.Event) -> None:
        nonlocal passed
        passed += max(seconds, 0.0)

    monkeypatch.setattr(sending, "_SLACK_APART_S", 0.0)
    monkeypatch.setattr(retry, "wait", wait)
    monkeypatch.setattr(retry, "monotonic", lambda: time.monotonic() + passed)


def _crm_of(channel: str) -> str:
    return next((name for name in CRM if channel.startswith(name)), "hubspot")


def _cause(scene: Scene, channel: str, trouble: str, person: RecordKey) -> None:
    if channel in EMAIL:
        _trouble_mail(scene.mail, trouble)
    elif _is_crms(channel):
        _trouble_crm(scene.crm, scene.crm.writes[channel.partition(" ")[2]], trouble, person)
    else:
        _trouble_http(scene.http, trouble)


def _trouble_http(receiver: HttpReceiver, trouble: str) -> None:
    replies = {
        "busy": Reply(429, "slow down", {"Retry-After": "120"}),
        "fails": Reply(503, "broken"),
        "hangs": HANG,
        "drops": DROP,
        "gone": Reply(404, "no_such_channel"),
    }
    receiver.script.extend(reply for name, reply in replies.items() if name == trouble)


def _trouble_mail(receiver: SmtpReceiver, trouble: str) -> None:
    replies = {
        "busy": SmtpReply("RCPT", "451 4.7.1 greylisted"),
        "fails": SmtpReply("DATA", "554 5.6.0 not taken"),
        "hangs": SmtpReply("DATA", "hang"),
        "drops": SmtpReply("DATA", "drop"),
        "gone": SmtpReply("RCPT", "550 5.1.1 no such user"),
    }
    receiver.script.extend(reply for name, reply in replies.items() if name == trouble)


def _trouble_crm(crm: Portal | Org, write: Json, trouble: str, person: RecordKey) -> None:
    if trouble == "busy":
        crm.fault(**crm.busy)
    elif trouble == "fails":
        crm.fault(status=503)
    elif trouble == "hangs":
        crm.fault(**write, hang_s=3 * TIMEOUT_S, times=1)
    elif trouble == "drops":
        crm.fault(**write, drop="after", times=1)
    elif trouble == "gone":
        crm.remove(person)


def _outcome(told: Notice, now: datetime) -> str:
    """In the table's words."""
    if told.state in ("sent", "dead"):
        return told.state
    assert told.not_before is not None
    seconds = round((told.not_before - now).total_seconds())
    return f"again in {seconds} s{', marked' if told.unsure else ''}"


def _is_crms(channel: str) -> bool:
    return channel.startswith(CRM)


def _arrivals(scene: Scene, channel: str, notice: Notice) -> list[bool]:
    """Of each message that came: whether it is marked as a possible repeat."""
    if channel in EMAIL:
        return ["Possible repeat" in str(each.message["Subject"]) for each in scene.mail.received]
    if channel.endswith("task"):
        return [False] * scene.crm.tasks(notice.key)
    if channel.endswith("owner"):
        return [False] if scene.crm.owner(notice.handoff.record) == ANNA else []
    marks = (b"Possible repeat", b'"possible_repeat":true')
    return [any(mark in each.body for mark in marks) for each in scene.http.received]


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("channel", CHANNELS)
def test_each_channel_does_what_the_table_says(
    channel: str, trouble: str, scene_of: Callable[[str], Scene], record_property: Callable[[str, object], None]
) -> None:
    with scene_of(channel).opened(refuses=trouble == "refuses") as scene:
        person = scene.crm.person()
        notice = scene.queue(channel, person)
        _cause(scene, channel, trouble, person)
        took_s = scene.deliver()
        told = scene.kept(notice.key)
        found = _outcome(told, scene.now)
        assert found == EXPECTED[channel, trouble], told.error
        assert took_s < 3, "one message held the others up"
        assert [each.key for each in scene.witness.received] == [scene.news]
        _insist_on_words(scene, channel, trouble, notice.key)
        if trouble not in ("gone", "refuses"):
            _insist_on_second_try(scene, channel, notice, found)
    record_property(MANNERS, [channel, trouble, found])


def _insist_on_words(scene: Scene, channel: str, trouble: str, key: str) -> None:
    """`syncer outbox` shows what has not been sent, with the reason."""
    shown = scene.shown(key)
    if EXPECTED[channel, trouble] == "sent":
        assert shown == ""
        return
    said = SAID_OF_MAIL if channel in EMAIL else SAID_BY_CRM if _is_crms(channel) else SAID
    assert said[trouble] in shown


def _insist_on_second_try(scene: Scene, channel: str, notice: Notice, found: str) -> None:
    """Not before its time; then it arrives, once more at most, and says that it may be a repeat where it may be one."""
    before = _arrivals(scene, channel, notice)
    scene.crm.mend()
    scene.deliver()
    assert _arrivals(scene, channel, notice) == before, "it was tried before its time"
    if found in ("sent", "dead"):
        assert len(before) == (found == "sent")
        return
    scene.now += timedelta(seconds=int(found.split()[2]))
    scene.deliver()
    assert scene.kept(notice.key).state == "sent"
    after = _arrivals(scene, channel, notice)
    assert after == ([False] if _is_crms(channel) else [*before, found.endswith("marked")])


@pytest.mark.parametrize("trouble", ["hangs", "drops"])
@pytest.mark.parametrize("channel", ["slack", "apprise", "email", "escalation"])
def test_what_may_have_arrived_is_left_to_a_person_where_the_project_says_so(
    channel: str, trouble: str, scene_of: Callable[[str], Scene]
) -> None:
    with scene_of(channel).opened(repeats="hold") as scene:
        person = scene.crm.person()
        notice = scene.queue(channel, person)
        _cause(scene, channel, trouble, person)
        scene.deliver()
        scene.now += timedelta(seconds=30)
        scene.deliver()
        told = scene.kept(notice.key)
        assert (told.state, told.error, told.unsure) == ("dead", HELD, True)
        assert "dead, may have arrived" in scene.shown(notice.key)
        assert _arrivals(scene, channel, notice) == [False]


def test_the_readme_says_the_same_of_each_channel_in_fewer_lines() -> None:
    """A line there may name several channels; all of them are named, and all that is said of them is true."""
    text = README.read_text(encoding="utf-8")
    begin = text.find("| Channel | Delivers |")
    assert begin >= 0, "README.md lost its table of what becomes of a message"
    told = cells(text[begin:].partition("\n\n")[0])
    known = {(_plain(channel), trouble): outcome for (channel, trouble), outcome in EXPECTED.items()}
    said = {
        (_plain(name), _plain(trouble)): cell for (names, trouble), cell in told.items() for name in names.split(",")
    }
    assert said == known


def _plain(words: str) -> str:
    """As the table here names it: without capitals, without the hyphen of e-mail."""
    return words.strip().replace("-", "").casefold()
