"""A whole run against a CRM whose answers are bent, then one against the CRM as it is: that one must mend everything.

The CRMs are the emulators, behind a server that does to some of their answers what networks, proxies and vendors do.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pytest
from hypothesis import strategies as st
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from connectors.emulators.hubspot import Manners, Portal, Token
from connectors.emulators.hubspot import create_app as hubspot_app
from connectors.emulators.hubspot.server import serve_app
from connectors.emulators.salesforce import Access, Instance, Org
from connectors.emulators.salesforce import Manners as OrgManners
from connectors.emulators.salesforce import create_app as salesforce_app
from connectors.hubspot import governor
from connectors.salesforce import budget as salesforce_budget
from connectors.salesforce import tokens as salesforce_tokens
from syncer import retry
from syncer.app import App, settings_classes
from syncer.errors import Stopped, SyncerError
from syncer.parts import Asked
from syncer.run import sync
from syncer.settings import load_project, process_settings
from syncer.store import Store, mirror, open_store
from tests.connectors.hubspot.portals import Office
from tests.connectors.salesforce.orgs import KEY_FIELD, RESULT_FIELDS, House
from tests.fuzz.judging import SECRET, Attempt, Broken, Target
from tests.fuzz.mutating import TEXT_EDITS, TREE_EDITS, Edits, as_json, bent_text, bent_tree

_MODEL = """\
name: small
half_life: 30d
fit:
  rules:
    - {name: In a country we sell to, when: {country: [ES, MX]}, points: 40}
engagement:
  max: 60
  rules:
    - {name: Came to a meeting, when: {activity: meeting, in_last: 90d}, points: 30.5, each: true}
    - {name: Filled in a form, when: {activity: form_submission}, points: 5}
    - {name: Opened, when: {activity: email_open}, points: 1, each: true, cap: 3}
    - {name: Visited, when: {activity: page_view}, points: 1, each: true, cap: 3}
stages:
  - {name: cold}
  - {name: mql, enter: [fit >= 40]}
  - {name: sql, enter: [engagement >= 30]}
"""
_HUBSPOT = """\
version: 1
connections:
  crm:
    type: hubspot
    token: "${{SECRET}}"
    base_url: "{url}"
    lag: 0s
    search_rate: 100
    timeout_s: {{connect: 2, read: 1}}
    activities: [meetings, forms, marketing_emails, behavioural_events]
    events: [e_visited_page]
    write: {{lifecyclestage: {{mql: marketingqualifiedlead, sql: salesqualifiedlead}}}}
sync: {{max_stage_changes: 1000000, max_handoffs: 1000000}}
models: model.yml
"""
_SALESFORCE = """\
version: 1
connections:
  crm: {{type: salesforce, token: "${{SECRET}}", instance_url: "{url}", timeout_s: {{connect: 2, read: 1}}}}
sync: {{max_stage_changes: 1000000, max_handoffs: 1000000}}
models: model.yml
"""
_STATUSES = (200, 201, 204, 206, 301, 304, 400, 401, 403, 404, 409, 413, 414, 423, 429, 431, 477, 500, 502, 503, 504)
_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"retry-after", b"0"), (b"retry-after", b"-7"), (b"retry-after", b"soon"), (b"retry-after", b"9" * 20),
    (b"retry-after", b"Wed, 99 Xxx 2026"), (b"content-encoding", b"gzip"), (b"content-encoding", b"deflate"),
    (b"content-type", b"text/html; charset=utf-16"), (b"date", b"never"), (b"date", b"Thu, 01 Jan 1970 00:00:00 GMT"),
    (b"date", b"Fri, 31 Dec 9999 23:59:59 GMT"), (b"x-hubspot-ratelimit-daily-remaining", b"0"),
    (b"x-hubspot-ratelimit-daily", b"-5"), (b"x-hubspot-ratelimit-remaining", b"x"),
    (b"x-hubspot-ratelimit-interval-milliseconds", b"1e400"), (b"x-hubspot-ratelimit-max", b"0"),
    (b"sforce-limit-info", b"api-usage=99999999999999999999999/1"), (b"sforce-limit-info", b"\xff"),
    (b"sforce-locator", b"null"), (b"sforce-numberofrecords", b"many"), (b"location", b"http://[::1"),
    (b"set-cookie", b"a=b; expires=never"), (b"x-empty", b""),
)  # fmt: skip
_ALIKE = ("tree", "text", "tree", "text", "tree")  # most answers are bent in what they say
_KINDS = (*_ALIKE, "status", "header", "page", "empty", "cut", "round", "drip", "deep", "huge", "twice", "utf-16")


@dataclass(frozen=True, slots=True)
class Blow:
    """What is done to the n-th answer, or to all from there on."""

    nth: int
    kind: str
    edits: Edits
    piece: int
    lasting: bool


@dataclass(frozen=True, slots=True)
class Trial:
    """`later`: a good run stands before the bent one."""

    blows: tuple[Blow, ...]
    later: bool


def _trials() -> st.SearchStrategy[Trial]:
    rarely = st.sampled_from((False, False, False, True))
    edits = {"tree": TREE_EDITS, "text": TEXT_EDITS}

    def blow(kind: str) -> st.SearchStrategy[Blow]:
        numbers = st.integers(0, 10_000)
        return st.builds(Blow, st.integers(0, 40), st.just(kind), edits.get(kind, st.just(())), numbers, rarely)

    blows = st.lists(st.sampled_from(_KINDS).flatmap(blow), min_size=1, max_size=4).map(tuple)
    return st.builds(Trial, blows, st.booleans())


@dataclass
class Bender:
    """An ASGI application before another one, that bends its answers. What people do in the CRM goes by untouched."""

    told: ASGIApp | None = None
    blows: tuple[Blow, ...] = ()
    answered: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.told is not None
        if scope["path"].startswith("/_emulator") or not self.blows:
            await self.told(scope, receive, send)
            return
        number, parts = self.answered, list[Message]()
        self.answered += 1

        async def keep(part: Message) -> None:
            parts.append(part)

        await self.told(scope, receive, keep)
        blow = next((each for each in self.blows if each.nth == number or (each.lasting and each.nth < number)), None)
        body = b"".join(part.get("body", b"") for part in parts)
        await _give(parts[0], body, blow, send)


async def _give(head: Message, body: bytes, blow: Blow | None, send: Send) -> None:
    status, headers = head["status"], [pair for pair in head["headers"] if pair[0].lower() != b"content-length"]
    drips = blow is not None and blow.kind == "drip"
    if blow is not None:
        status, headers, body = _struck(blow, status, headers, body)
    length = len(body) + (7 if blow is not None and blow.kind == "cut" else 0)
    if status not in (204, 304):
        headers.append((b"content-length", str(length).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    step = max(len(body) // 8, 1) if drips else len(body) or 1
    for at in range(0, len(body), step):
        await send({"type": "http.response.body", "body": body[at : at + step], "more_body": True})
        if drips:
            await asyncio.sleep(0.02)
    await send({"type": "http.response.body", "body": b""})


_Headers = list[tuple[bytes, bytes]]


def _struck(blow: Blow, status: int, headers: _Headers, body: bytes) -> tuple[int, _Headers, bytes]:
    if blow.kind == "tree":
        return status, headers, _bent_json(body, blow.edits)
    if blow.kind == "text":
        return status, headers, bent_text(body, blow.edits)
    if blow.kind == "status":
        return _STATUSES[blow.piece % len(_STATUSES)], headers, body
    if blow.kind == "header":
        pair = _HEADERS[blow.piece % len(_HEADERS)]
        return status, [*(each for each in headers if each[0].lower() != pair[0]), pair], body
    if blow.kind == "round":
        return 302, [*headers, (b"location", b"/again")], b""
    return status, headers, _BODIES[blow.kind](body)


def _bent_json(body: bytes, edits: Edits) -> bytes:
    try:
        tree = json.loads(body)
    except ValueError:  # CSV, or nothing
        return bent_text(body, ())[: len(body) // 2]
    return as_json(bent_tree(tree, edits))


_BODIES: dict[str, Callable[[bytes], bytes]] = {
    "page": lambda _body: b"<html><title>502 Bad Gateway</title>\xff</html>",
    "empty": lambda _body: b"",
    "cut": lambda body: body[: len(body) // 2],
    "drip": lambda body: body,
    "deep": lambda _body: b'{"results":' + b"[" * 100_000,
    "huge": lambda body: body.rstrip()[:-1] + b" " * 8_000_000 + body.rstrip()[-1:],
    "twice": lambda body: body + body,
    "utf-16": lambda body: body.decode("utf-8", "replace").encode("utf-16"),
}


class Crm(Protocol):
    """A CRM with somebody in it, new for each trial."""

    project: str

    def made(self, bender: Bender, url: str) -> Callable[[], None]:
        """Puts it behind the bender. What it gives lets people do something there."""
        ...

    def clock(self) -> Any: ...


@dataclass
class _HubSpot:
    project: str = _HUBSPOT
    portal: Portal | None = None

    def made(self, bender: Bender, url: str) -> Callable[[], None]:
        self.portal = Portal(tokens=(Token(SECRET),), limits=None, manners=Manners(tier="enterprise", index_lag_s=0))
        bender.told = hubspot_app(self.portal)
        office = Office(url, self.portal)
        rows = [{"email": f"p{n}@acme.test", "country": ("ES", "FR")[n % 2]} for n in range(4)]
        people = office.load("contacts", rows)
        office.act(people[0])
        sent = [{"submittedAt": self.portal.clock.now_ms() - 90_000, "values": {"email": "p1@acme.test"}}]
        office.control(
            "load",
            forms=[{"id": "f1", "name": "Demo", "submissions": sent}],
            emailEvents=[{"recipient": "p1@acme.test", "type": "OPEN"}],
            events=[{"eventType": "e_visited_page", "objectId": people[2], "properties": {"hs_url": "https://a.test"}}],
        )
        office.settle()

        def act() -> None:
            office.change(people[1], country="MX")
            office.act(people[1])
            office.control("edit", objectType="contacts", id=people[3], properties={"email": "other@acme.test"})
            office.settle()

        return act

    def clock(self) -> Any:
        assert self.portal is not None
        return self.portal.clock


@dataclass
class _Salesforce:
    project: str = _SALESFORCE
    instance: Instance | None = None

    def made(self, bender: Bender, url: str) -> Callable[[], None]:
        self.instance = Instance(Org.stock(), Access((SECRET,), ()), None, OrgManners())
        for kind in ("Lead", "Contact"):
            for each in RESULT_FIELDS:
                self.instance.org.add_field(kind, each)
        self.instance.org.add_field("Task", KEY_FIELD)
        bender.told = salesforce_app(self.instance)
        house = House(url, self.instance)
        people = [*house.leads(2, Country="ES"), *house.leads(1, Country="FR"), *house.contacts(1, MailingCountry="MX")]
        house.load("Event", [{"WhoId": people[0], "Subject": "Demo", **_YESTERDAY}])
        house.let_pass(300)

        def act() -> None:
            house.change(people[1], Country="MX")
            house.remove(people[2])
            house.let_pass(300)

        return act

    def clock(self) -> Any:
        assert self.instance is not None
        return self.instance.org.clock


_YESTERDAY = {"StartDateTime": "2026-11-02T10:00:00.000+0000", "EndDateTime": "2026-11-02T11:00:00.000+0000"}


@dataclass
class _Bench:
    """One CRM after the other behind one address, and one database after the other."""

    crm: Crm
    bender: Bender
    url: str
    app: App
    folder: Path
    template: Path
    healed: list[bool] = field(default_factory=list)

    def attempt(self, trial: Trial) -> str:
        self.bender.blows = ()
        act = self.crm.made(self.bender, self.url)
        path = self.folder / "syncer.db"
        shutil.copy(self.template, path)
        store = open_store(f"sqlite:///{path}")
        try:
            with _time_of(self.crm.clock()) as now:
                return self._runs(replace(self.app, store=store, clock=now), trial, act)
        finally:
            store.close()
            for each in self.folder.glob("syncer.db*"):
                each.unlink()

    def _runs(self, app: App, trial: Trial, act: Callable[[], None]) -> str:
        with _going_well("before"):
            _set_up(app)
            if trial.later:
                _run(app)
            act()
        self.bender.blows, self.bender.answered = trial.blows, 0
        try:
            end = _run(app)
        except SyncerError as error:
            end = error.code
            if SECRET in str(error):
                raise Broken("a secret stands in a message") from error
        finally:
            self.bender.blows = ()
        self.crm.clock().advance(7200)
        with _going_well("afterwards"):  # whatever was read: the CRM as it is mends it
            _run(app)
            if (failed := _run(app)) != "done":
                raise Broken(f"afterwards a run fails: {failed}")
        _insist_on_whole(app.store, app.clock())
        return end


@contextmanager
def _going_well(when: str) -> Iterator[None]:
    """With the CRM as it is, nothing is refused."""
    try:
        yield
    except SyncerError as error:
        raise Broken(f"{when} a run fails: {error.code} {error}") from error


def _set_up(app: App) -> None:
    destination = app.parts("crm").destination
    assert destination is not None
    for change in destination.setup():
        destination.create(change)


def _run(app: App) -> str:
    """One run of a process that remembers nothing of the CRM; the first failure of a stream, else "done"."""
    for module, names in _MEMORIES:
        for name in names:
            setattr(module, name, {})
    report = sync(app.parts("crm"), Asked())
    return min((each.code for each in report.failures.values()), default="done")


_MEMORIES = (
    (governor, ("_governors", "_searches")),
    (salesforce_budget, ("_governors",)),
    (salesforce_tokens, ("_renewed",)),
)


def _insist_on_whole(store: Store, now: datetime) -> None:
    """Everything that is stored can be read, and nothing hangs in the air."""
    for _ in mirror.chunks(store, "crm", which="all", now=now):
        pass
    with store.reading() as tx:
        loose = tx.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
        broken = tx.exec_driver_sql("PRAGMA integrity_check").scalar()
    if loose or broken != "ok":
        raise Broken(f"the database is not whole: {loose} {broken}")


@contextmanager
def _time_of(clock: Any) -> Iterator[Callable[[], datetime]]:
    """The CRM's, which stands still but for waits."""

    def wait(seconds: float, stop: threading.Event) -> None:
        if stop.is_set():
            raise Stopped("asked to stop while waiting")
        clock.advance(max(seconds, 0.0))

    def now_s() -> float:
        return float(clock.now_s() if hasattr(clock, "now_s") else clock.now_ms() / 1000)

    clock.freeze()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retry, "wait", wait)
        patch.setattr(retry, "monotonic", now_s)
        yield lambda: datetime.fromtimestamp(now_s(), UTC)


def _target(name: str, crm: Crm) -> Target:
    @contextmanager
    def opened(folder: Path) -> Iterator[Attempt]:
        template = folder / "template.db"
        open_store(f"sqlite:///{template}").close()
        bender, work = Bender(), folder / "work"
        work.mkdir()
        (folder / "model.yml").write_text(_MODEL)
        with serve_app(bender) as url:
            (folder / "syncer.yml").write_text(crm.project.format(url=url))
            project = load_project(folder / "syncer.yml", settings_classes(), {"SECRET": SECRET})
            process = process_settings(folder, config=folder / "syncer.yml")
            store = open_store(f"sqlite:///{folder / 'unused.db'}")
            try:
                yield _Bench(crm, bender, url, App(process, project, store, "this-process"), work, template).attempt
            finally:
                store.close()

    return Target(name, _trials(), opened, bound_s=20.0)


HUBSPOT = _target("hubspot", _HubSpot())
SALESFORCE = _target("salesforce", _Salesforce())
