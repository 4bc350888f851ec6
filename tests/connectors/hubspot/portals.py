"""A HubSpot portal over HTTP and the connector on it, for tests."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, urlencode

import orjson
import pytest
import urllib3
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from connectors.emulators.hubspot import Clock, Limits, Manners, Portal, serve
from connectors.emulators.hubspot.app import create_app
from connectors.emulators.hubspot.server import serve_app
from connectors.emulators.hubspot.tokens import OAuthApp, Token
from connectors.hubspot import HubSpot
from connectors.hubspot.paths import Paths
from connectors.hubspot.settings import Settings
from connectors.hubspot.values import hundredths
from syncer import retry
from syncer.connector import Wanted
from syncer.errors import Stopped
from syncer.model import Activity, Change, Page, Reading, Record, RecordKey, Rejected, Standing

TOKEN = "emulator-token"
NOTHING = Standing()
MANUAL = "ls_manual_stage"
STAGES = ("cold", "mql", "sql")
Json = dict[str, Any]


class Office:
    """A running portal, and what people do in it."""

    field, kind, unknown_id, bad_token = "country", "meeting", "999999999999", "pat-eu1-sesame-open-please"
    api_version = "2026-03"  # of connectors whose test does not choose; see conftest.py

    def __init__(self, url: str, portal: Portal) -> None:
        self.url = url
        self.portal = portal
        self._pool = urllib3.PoolManager(retries=False, timeout=30)
        self._numbers = itertools.count(1)

    # what the conformance suite asks for

    def connect(self, name: str, wanted: Wanted, *, token: str | None = None) -> HubSpot:
        made = {"name": MANUAL, "label": MANUAL, "groupName": "contactinformation", "type": "string"}
        self.control("load", properties={"contacts": [{**made, "fieldType": "text"}]})
        return self.hubspot(wanted, name=name, token=token or TOKEN, manual={"stage": MANUAL})

    def add(self, people: int) -> Sequence[str]:
        rows = [{"email": f"person{next(self._numbers)}@acme.test", "country": "ES"} for _ in range(people)]
        return self.load("contacts", rows)

    def edit(self, person: str, value: str) -> None:
        self.change(person, country=value)

    def remove(self, person: str) -> None:
        self.api("DELETE", f"/crm/v3/objects/contacts/{person}")

    def slip(self, person: str, value: str) -> bool:
        self.control("calculate", objectType="contacts", id=person, properties={"country": value})
        return True

    def erase(self, person: str) -> bool:
        self.api("POST", "/crm/v3/objects/contacts/gdpr-delete", {"objectId": person})
        return True

    def merge(self, person: str, other: str) -> str | None:
        asked = {"primaryObjectId": person, "objectIdToMerge": other}
        kept: str = self.api("POST", "/crm/v3/objects/contacts/merge", asked)["id"]
        return kept

    def act(self, person: str) -> None:
        now = str(self.portal.clock.now_ms())
        meeting = {"hs_timestamp": now, "hs_meeting_title": "Demo", "hs_meeting_outcome": "COMPLETED"}
        (made,) = self.load("meetings", [meeting])
        self.tie("contacts", "meetings", 199, [(person, made)])

    def choose(self, person: str, stage: str | None) -> bool:
        self.change(person, **{MANUAL: stage or ""})
        return True

    def score_shown(self, person: str) -> int | None:
        shown = self.shown(person).get("ls_score")
        return hundredths(shown) if shown else None

    staff = ("anna.berg@example.com", "ben.okoro@example.com")

    def give(self, person: str, owner: str) -> None:
        (found,) = [each.id for each in self.portal.owners.values() if each.email == owner]
        self.change(person, hubspot_owner_id=str(found))

    def settle(self) -> None:
        self.control("clock", advance_s=100)

    # the rest

    def hubspot(self, wanted: Wanted | None = None, *, name: str = "crm", **settings: Any) -> HubSpot:
        """A new connector; without waits for search, which the emulator's lag would not need."""
        chosen = {"token": TOKEN, "base_url": self.url, "search_rate": 100, "api_version": self.api_version, **settings}
        return HubSpot(name, Settings.model_validate(chosen), wanted or Wanted(stages=STAGES))

    @property
    def paths(self) -> Paths:
        """HubSpot's addresses in the version that the connector speaks."""
        return Paths(self.api_version)

    def load(self, kind: str, rows: Sequence[Mapping[str, object]], **stamps: object) -> list[str]:
        """Records that were always there. `stamps`: createdAt, updatedAt."""
        objects = {kind: [{"properties": row, **stamps} for row in rows]}
        ids: list[str] = self.control("load", objects=objects)["ids"][kind]
        return ids

    def tie(self, here: str, there: str, type_id: int, pairs: Sequence[tuple[str, str]]) -> None:
        ties = {"from": here, "to": there, "typeId": type_id, "pairs": pairs}
        self.control("load", associations=[ties])

    def change(self, contact: str, **values: str) -> None:
        """A person edits a contact in HubSpot."""
        self.control("edit", objectType="contacts", id=contact, properties=values)

    def shown(self, contact: str) -> Mapping[str, str]:
        """Everything the contact holds."""
        found: Mapping[str, str] = self.portal.shelves["contacts"].live[int(contact)].values
        return found

    def fault(self, **fault: object) -> None:
        self.control("faults", faults=[fault])

    def calls(self) -> Json:
        found: Json = orjson.loads(self._pool.request("GET", f"{self.url}/_emulator/calls").data)
        return found

    def statuses(self, route: str) -> dict[int, int]:
        """How often a route was answered with each status since the last `forget`."""
        rows = [each for each in self.calls()["routes"] if each["route"].endswith(route)]
        found: dict[int, int] = {}
        for each in rows:
            found[each["status"]] = found.get(each["status"], 0) + each["count"]
        return found

    def forget(self) -> None:
        self.control("reset-calls")

    def control(self, name: str, **body: object) -> Json:
        answer = self._pool.request("POST", f"{self.url}/_emulator/{name}", body=orjson.dumps(body))
        assert answer.status == 200, answer.data
        found: Json = orjson.loads(answer.data)
        return found

    def api(self, method: str, path: str, body: object = None) -> Json:
        """Another program uses the API."""
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        sent = None if body is None else orjson.dumps(body)
        answer = self._pool.request(method, self.url + path, body=sent, headers=headers)
        assert 200 <= answer.status < 300, answer.data
        found: Json = orjson.loads(answer.data) if answer.data else {}
        return found


@contextmanager
def office(
    *,
    limits: Limits | None = None,
    keys: Sequence[Token | OAuthApp] = (Token(TOKEN),),
    clock: Clock | None = None,
    **manners: Any,
) -> Iterator[Office]:
    """A portal with nobody in it; without rate limits unless asked for."""
    portal = Portal(tokens=keys, limits=limits, manners=Manners(**manners), clock=clock)
    with serve(portal) as url:
        yield Office(url, portal)


@contextmanager
def retold(
    portal: Office, path: str, retell: Callable[[Json], Json], after: Callable[[str], str] | None = None
) -> Iterator[Office]:
    """The same portal at a second address, where the answers of paths that end so say something else, and, with
    `after`, the words by which pages are asked for mean something else."""
    with serve_app(_retelling(create_app(portal.portal), path, retell, after or str)) as url:
        yield Office(url, portal.portal)


def _retelling(told: ASGIApp, path: str, retell: Callable[[Json], Json], after: Callable[[str], str]) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if not scope["path"].endswith(path):
            await told(scope, receive, send)
            return
        asked = parse_qsl(scope["query_string"].decode())
        meant = [(name, after(word) if name == "after" else word) for name, word in asked]
        scope = {**scope, "query_string": urlencode(meant).encode()}
        parts: list[Message] = []

        async def keep(part: Message) -> None:
            parts.append(part)

        await told(scope, receive, keep)
        body = orjson.dumps(retell(orjson.loads(b"".join(part.get("body", b"") for part in parts))))
        kept = [pair for pair in parts[0]["headers"] if pair[0].lower() != b"content-length"]
        await send({**parts[0], "headers": [*kept, (b"content-length", str(len(body)).encode())]})
        await send({"type": "http.response.body", "body": body})

    return app


@contextmanager
def overheard(portal: Office, path: str, heard: list[Any]) -> Iterator[Office]:
    """The same portal at a second address, where the bodies sent to paths that end so are kept."""
    told = create_app(portal.portal)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        parts: list[bytes] = []

        async def listen() -> Message:
            part = await receive()
            parts.append(part.get("body", b""))
            return part

        await told(scope, listen, send)
        if scope["path"].endswith(path):
            heard.append(orjson.loads(b"".join(parts)))

    with serve_app(app) as url:
        yield Office(url, portal.portal)


def let_waits_pass(monkeypatch: pytest.MonkeyPatch, portal: Office) -> list[float]:
    """From now on time stands still, and every wait of the connector lets it pass at once, for the portal too. The
    waits so far, in seconds."""
    clock = portal.portal.clock
    waits: list[float] = []

    def wait(seconds: float, stop: threading.Event) -> None:
        if stop.is_set():
            raise Stopped("asked to stop while waiting")
        if seconds > 0:
            waits.append(seconds)
            clock.advance(seconds)

    clock.freeze()
    monkeypatch.setattr(retry, "wait", wait)
    monkeypatch.setattr(retry, "monotonic", lambda: clock.now_ms() / 1000)
    return waits


def records(pages: Sequence[Page]) -> dict[str, Record]:
    return {record.key.id: record for page in pages for record in page.records}


def activities(pages: Sequence[Page]) -> dict[str, Activity]:
    return {activity.id: activity for page in pages for activity in page.activities}


def readings(pages: Sequence[Page]) -> list[Reading]:
    return [reading for page in pages for reading in page.readings]


def rejected(pages: Sequence[Page]) -> list[Rejected]:
    return [each for page in pages for each in page.rejected]


def key(contact: str) -> RecordKey:
    return RecordKey("crm", "contacts", contact)


def change(contact: str, score: int | None = 1234, stage: str | None = "mql", before: Standing = NOTHING) -> Change:
    return Change(key(contact), before, Standing(score=score, stage=stage), "activity")
