"""What is around the processes that die while sales is told: a portal, five receivers, and hand-offs that are ready.

The receivers keep what they are sent, as a person or a program behind them would see it, and fail as often as they are
told to. Every lead has a name of its own, so whatever a message looks like, one sees whom it is about.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
from pydantic import SecretStr
from sqlalchemy import delete, func, or_, select

from connectors.emulators.hubspot import Clock, Fault, Faults, Portal, serve
from connectors.emulators.hubspot.directory import DEFAULT_OWNERS
from connectors.emulators.hubspot.routes.control import answer_control
from connectors.hubspot.marks import keys_in
from syncer.app import read_project
from syncer.handoff import notices
from syncer.model import Cursor, Decision, Handoff, LeadPlan, Page, Record, RecordKey, Score, StageState
from syncer.settings import HandoffSettings, ProcessSettings
from syncer.store import Store, mirror, open_store, outbox, tables
from tests.crash.child import TOKEN, Ending, Order
from tests.crash.world import Children, Shelved
from tests.receivers import DROP, HANG, HttpReceiver, Mail, Received, Reply, SmtpReceiver
from tests.runs.house import MODEL

PEOPLE = 4
READY_AT = datetime(2026, 11, 22, 8, 5, tzinfo=UTC)
SINGLY, HELD, DIGESTS = "singly", "held", "digests"
REMINDER = " (reminder)"
SHARE = 0.1  # how much of everything fails where receivers are fickle
MESSAGES = ("mail", "chat", "post")  # over which a repeat cannot be told from news
_FAILING = (Reply(503, "busy"), Reply(429, "", {"Retry-After": "40"}), DROP, DROP, HANG)
_BUSY_CRM = ({"status": 503}, {"drop": "before"}, {"drop": "after"}, {"body": "truncated", "apply": True})
_ANNA, _BEN = DEFAULT_OWNERS[:2]  # who shall have the leads, and who has them
_NAME = re.compile(r"Person [A-Z]{2}")
_PROJECT = """\
version: 1
connections:
  crm: {{type: hubspot, token: "${{HUBSPOT_TOKEN}}", base_url: {crm}, lag: 0s}}
models: model.yml
handoff:
  when: sql
  wait: 5m
  respond_within: 20d
  notifiers:
    hook: {{type: webhook, private_addresses: true, url: {hook}, timeout_s: 0.3}}
    mail: {{type: email, host: 127.0.0.1, port: {mail}, security: none, from: syncer@nimbo.example, timeout_s: 0.3}}
    chat: {{type: slack, private_addresses: true, url: {chat}, timeout_s: 0.3}}
    post: {{type: apprise, private_addresses: true, url: {post}, timeout_s: 0.3}}
    todo: {{type: task}}
  repeats: {{email: {repeats}, slack: {repeats}, apprise: {repeats}}}
  digest: {{above: {above}}}
  route:
    - {{to: [{anna}], assign: true}}
  notify: [hook, mail, chat, post, todo]
"""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message that its receiver has kept."""

    about: frozenset[str]  # the names, with " (reminder)" where it is one
    marked: bool  # as a possible repeat
    key: str = ""  # where it came with one


class Fickle(HttpReceiver):
    """Fails with a share of all requests once it has dice."""

    def __init__(self) -> None:
        super().__init__()
        self.dice: random.Random | None = None
        self.answered: list[tuple[Received, Reply]] = []

    def reply_to(self, received: Received) -> Reply:
        reply = super().reply_to(received)
        if self.dice is not None and self.dice.random() < SHARE:
            reply = self.dice.choice(_FAILING)
        self.answered.append((received, reply))
        return reply

    @property
    def kept(self) -> list[Received]:
        """What was refused is not; nor what broke off as its sender died."""
        return [each for each, reply in self.answered if reply.status == 200 and _is_whole(each)]

    @property
    def unanswered(self) -> int:
        return sum(reply.manner != "answer" for _, reply in self.answered)

    def forget(self) -> None:
        self.dice = None
        self.script.clear()
        self.received.clear()
        self.answered.clear()


class FickleMail(SmtpReceiver):
    """Fails with a share of all messages once it has dice."""

    def __init__(self) -> None:
        super().__init__()
        self.dice: random.Random | None = None
        self.unanswered = 0

    def reply_on(self, command: str) -> str | None:
        if command != "DATA" or self.dice is None or self.dice.random() >= SHARE:
            return None
        reply = self.dice.choice(("451 busy", "drop"))
        self.unanswered += reply == "drop"
        return reply

    def forget(self) -> None:
        self.dice = None
        self.unanswered = 0
        self.received.clear()


@dataclass(repr=False)
class Sales:
    """Everybody who is told, and the database of what to tell them."""

    portal: Portal
    crm: str
    hook: Fickle
    chat: Fickle
    post: Fickle
    mail: FickleMail
    folder: Path
    children: Children
    database: str
    kind: str  # of database
    store: Store
    people: Mapping[str, RecordKey] = field(init=False)  # by name
    new_owner: str = _ANNA.email
    now: datetime = READY_AT
    kills: int = 0  # in the scene that is on

    def __post_init__(self) -> None:
        (self.folder / "model.yml").write_text(MODEL)
        for name, repeats, above in ((SINGLY, "resend", 1000), (HELD, "hold", 1000), (DIGESTS, "resend", 2)):
            self._write_project(name, repeats, above)
        self.people = self._load_people()
        self._settings = {name: self._read_settings(name) for name in (SINGLY, HELD, DIGESTS)}
        self._untold = Shelved.of(self.portal)

    def _write_project(self, name: str, repeats: str, above: int) -> None:
        given = {"repeats": repeats, "above": above, "crm": self.crm, "hook": self.hook.url, "chat": self.chat.url}
        post = self.post.url.replace("http://", "json://")
        text = _PROJECT.format(**given, post=post, mail=self.mail.port, anna=_ANNA.email)
        (self.folder / f"{name}.yml").write_text(text)

    def _load_people(self) -> Mapping[str, RecordKey]:
        """Everybody belongs to Ben."""
        values = ({"email": f"{number}@example.com", "hubspot_owner_id": str(_BEN.id)} for number in range(PEOPLE))
        rows = [{"properties": each} for each in values]
        answer = answer_control(self.portal, "POST", "load", {"objects": {"contacts": rows}})
        assert isinstance(answer.body, dict), answer
        ids = answer.body["ids"]["contacts"]
        return {f"Person {chr(65 + rank)}X": RecordKey("crm", "contacts", each) for rank, each in enumerate(ids)}

    def _read_settings(self, project: str) -> HandoffSettings:
        process = ProcessSettings(config=self.folder / f"{project}.yml", database_url=SecretStr(self.database))
        found = read_project(process, {"HUBSPOT_TOKEN": TOKEN}).handoff
        assert found is not None
        return found

    # scenes

    def begin(self, project: str, *, failing: random.Random | None = None) -> None:
        """Nobody was told anything, and every hand-off is ready. `failing`: a tenth of all requests fails."""
        self._untold.bring_back(self.portal)
        self.now, self.kills, self.project = READY_AT + timedelta(minutes=10), 0, project
        for receiver in (self.hook, self.chat, self.post, self.mail):
            receiver.forget()
            receiver.dice = failing
        if failing is not None:
            seed = failing.getrandbits(32)
            self.portal.faults = Faults(*(Fault(share=SHARE / 4, **each) for each in _BUSY_CRM), seed=seed)
        self._fill(self._settings[project])

    def _fill(self, settings: HandoffSettings) -> None:
        rows = [Record(key, READY_AT, owner=_BEN.email) for key in self.people.values()]
        with self.store.writing() as tx:
            for table in (tables.notices, tables.handoffs):
                tx.execute(delete(table))
            mirror.store_page(tx, "crm", "contacts", Page(Cursor("1"), tuple(rows)), READY_AT)
        with self.store.writing() as tx:
            for name, key in self.people.items():
                handoff = _handoff(name, key, mirror.find(tx, key.id)[0])
                outbox.keep(tx, [LeadPlan(_decision(handoff), handoff=handoff)], notices(handoff, settings), READY_AT)

    # processes

    def start(self, place: str | None = None, nth: int = 1, after_s: float | None = None) -> Ending:
        """Start a process some time after the last one died, and wait until it is dead."""
        self.now += timedelta(minutes=10)
        order = Order(
            str(self.folder / f"{self.project}.yml"), self.database, self.now.isoformat(), place, nth, after_s,
            work="deliver",
        )  # fmt: skip
        ending = self.children.run(order)
        assert ending.signal or not ending.code, self.children.complaints
        self.kills += bool(ending.signal)
        return ending

    def wait_for_reminders(self) -> None:
        """Nobody acts in time."""
        self.now += timedelta(days=30)

    def finish(self, most: int = 40) -> None:
        """Let processes go on until nothing is left to send."""
        for _ in range(most):
            assert not self.start().signal
            if not self.unsent():
                return
            self.now += timedelta(hours=1)
        raise AssertionError(f"never sent: {self.unsent()}\n{self.children.complaints}")

    def unsent(self) -> list[tuple[str, str, str | None]]:
        return [each for each in self.kept() if each[1] not in ("sent", "dead")]

    def kept(self) -> list[tuple[str, str, str | None]]:
        """(channel, state, error) of each notice."""
        wanted = select(tables.notices.c.channel, tables.notices.c.state, tables.notices.c.error)
        with self.store.reading() as tx:
            return [(channel, state, error) for channel, state, error in tx.execute(wanted)]

    def wrong_clocks(self) -> list[str]:
        """Hand-offs whose clock does not run from the first message that was sent."""
        kept, told = tables.handoffs.c, tables.notices.c
        first = select(func.min(told.sent_at)).where(told.handoff_key == kept.key, told.kind == "handoff")
        wanted = select(kept.key).where(
            or_(kept.told_at.is_(None), kept.told_at != first.scalar_subquery(), kept.due_at.is_(None))
        )
        with self.store.reading() as tx:
            return list(tx.execute(wanted).scalars())

    # what they have been told

    def arrivals(self, channel: str) -> Sequence[Arrival]:
        if channel == "mail":
            return [_letter(each) for each in self.mail.received]
        if channel == "hook":
            return [_call(each) for each in self.hook.kept]
        return [_post(each) for each in {"chat": self.chat, "post": self.post}[channel].kept]

    @property
    def unanswered(self) -> int:
        """Messages that came and were not answered, where a repeat cannot be told from news."""
        return self.mail.unanswered + self.chat.unanswered + self.post.unanswered

    def tasks(self) -> Counter[str]:
        """By key."""
        tasks = self.portal.shelves["tasks"].live.values()
        return Counter(key for each in tasks for key in keys_in(each.values.get("hs_task_body", "")))

    def owners(self) -> Counter[str]:
        """Whose the records are in the CRM."""
        shown = self.portal.shelves["contacts"].live
        emails = {str(each.id): each.email for each in DEFAULT_OWNERS}
        ids = (shown[int(key.id)].values.get("hubspot_owner_id", "") for key in self.people.values())
        return Counter(emails[each] for each in ids)


def _is_whole(received: Received) -> bool:
    return len(received.body) == int(received.headers.get("content-length", 0))


def _letter(mail: Mail) -> Arrival:
    text = mail.message.get_body(("plain",))
    assert text is not None
    subject = str(mail.message["Subject"])
    return _arrival(f"{subject} {text.get_content()}", mail.key)


def _call(received: Received) -> Arrival:
    told = orjson.loads(received.body)
    return Arrival(frozenset([told["lead"]["name"]]), told["possible_repeat"], str(received.key))


def _post(received: Received) -> Arrival:
    return _arrival(orjson.dumps(orjson.loads(received.body)).decode())


def _arrival(text: str, key: str = "") -> Arrival:
    ending = REMINDER if "Reminder" in text else ""
    return Arrival(frozenset(name + ending for name in _NAME.findall(text)), "Possible repeat" in text, key)


def _handoff(name: str, record: RecordKey, lead: int) -> Handoff:
    return Handoff(
        key=f"here/{record}#1", lead=lead, record=record, episode=1, stage="sql", total=7000, at=READY_AT,
        email=None, name=name, owner=_BEN.email, url=None, reasons=("+40 Asked for a demo",), assigned_to=_ANNA.email,
    )  # fmt: skip


def _decision(handoff: Handoff) -> Decision:
    score = Score(handoff.lead, READY_AT, "m@1", {}, handoff.total)
    return Decision(handoff.lead, 1, score, None, StageState("sql", "sql", READY_AT, 1), None, None)


@contextmanager
def sales(folder: Path, database: str, kind: str) -> Iterator[Sales]:
    """`database`: the URL of one of this kind with our schema, and nothing in it."""
    portal = Portal(limits=None, clock=Clock(READY_AT))
    with ExitStack() as stack:
        url = stack.enter_context(serve(portal))
        hook, chat, post = (stack.enter_context(Fickle()) for _ in range(3))
        mail = stack.enter_context(FickleMail())
        children = stack.enter_context(Children(folder / "complaints.txt"))
        store = stack.enter_context(closing(open_store(database)))
        yield Sales(portal, url, hook, chat, post, mail, folder, children, database, kind, store)
