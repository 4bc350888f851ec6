"""Webhooks: what happens to records is told to a subscriber by signed POSTs, as HubSpot's webhooks guide has it."""

import base64
import hashlib
import hmac
import http.client
import ipaddress
import json
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from urllib.parse import urlsplit

from connectors.emulators.hubspot.answers import Json
from connectors.emulators.hubspot.catalog import ObjectType, object_type
from connectors.emulators.hubspot.clock import Clock
from connectors.emulators.hubspot.links import End
from connectors.emulators.hubspot.records import Record, Source

MOST_EVENTS = 100  # in one request
RETRIES_AFTER_S = (60, 300, 600, 1800, 3600, 7200, 10_800, 14_400, 21_600, 25_200)  # ten times within 24 h
_ALWAYS_DECODED = {f"%{ord(each):02X}": each for each in ":/?@!$'()*,;"}
_POLL_S = 0.01


@dataclass(frozen=True, slots=True)
class Subscriber:
    """Who is told what, and how badly.

    `subscriptions`: as `contact.creation`, `contact.propertyChange` (every property) or `contact.propertyChange:email`;
    `object.` in place of `contact.` gives the generic form. ValueError for an address that is not on this machine.
    """

    url: str
    secret: str
    subscriptions: tuple[str, ...]
    app_id: int = 19083857
    duplicates: float = 0.0  # share of events that are sent twice
    disorder: bool = False  # sent in any order
    repeated_ids: bool = False  # several events share one eventId
    delay_s: float = 0.0  # of the portal's time, until an event is sent
    answer_within_s: float = 5.0  # of this machine's time; a slower answer is a failure
    seed: int = 0

    def __post_init__(self) -> None:
        """ValueError unless the address is one of plain HTTP on this machine."""
        parts = urlsplit(self.url)
        if parts.scheme != "http" or not _is_loopback(parts.hostname or ""):
            raise ValueError("webhooks are sent to plain http addresses of this machine only")
        unknown = {each.partition(":")[0].partition(".")[2] for each in self.subscriptions} - _EVENTS
        if unknown:
            raise ValueError(f"unknown events: {sorted(unknown)}; there are {sorted(_EVENTS)}")


_EVENTS = frozenset(
    {"propertyChange", "creation", "deletion", "merge", "privacyDeletion", "restore", "associationChange"}
)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class _Parcel:
    """Events that travel together; `due_ms` by the portal's clock."""

    events: tuple[Json, ...]
    due_ms: int
    attempt: int = 0


class Webhooks:
    """Tells of changes while there is a subscriber: the portal queues events, a thread of their own sends them."""

    def __init__(self, clock: Clock, portal_id: int) -> None:
        self._clock, self._portal_id = clock, portal_id
        self._subscriber: Subscriber | None = None
        self._queue: deque[_Parcel] = deque()
        self._lock = threading.Lock()  # of all that is below
        self._turn = threading.Lock()  # held by the one who sends
        self._counts: Counter[str] = Counter()
        self._ids = count(1)
        self._dice = random.Random(0)
        self._sender: threading.Thread | None = None

    def subscribe(self, subscriber: Subscriber | None) -> None:
        """Tell this one from now on, or nobody; what is queued is forgotten."""
        with self._lock:
            self._subscriber = subscriber
            self._queue.clear()
            self._counts.clear()
            self._dice = random.Random(subscriber.seed if subscriber else 0)

    def flush(self) -> Json:
        """Send all that is queued, as if the time for it had come, until it is delivered or given up.

        {"events", "delivered", "given_up", "requests", "failed"}: `events` as queued, duplicates included.
        """
        while True:
            with self._turn:
                parcel = self._take(None)
                if parcel is None:
                    return self._shown()
                self._send(parcel)

    def created(self, kind: ObjectType, record: Record) -> None:
        """A record was made."""
        self._tell(kind, "creation", record.source, {"objectId": record.id, "changeFlag": "CREATED"})

    def changed(self, kind: ObjectType, before: Record, after: Record) -> None:
        """Values of a record changed: one event a property."""
        if self._subscriber is None:
            return
        for name in sorted(after.values.keys() | before.values.keys()):
            value = after.values.get(name, "")
            if value != before.values.get(name, "") and name not in kind.stamps:
                versions = after.versions(name)
                source = versions[0].source if versions else after.source
                about = {"objectId": after.id, "propertyName": name, "propertyValue": value}
                self._tell(kind, "propertyChange", source, about, name)

    def deleted(self, kind: ObjectType, record: Record) -> None:
        """A record went to the recycle bin."""
        self._tell(kind, "deletion", record.source, {"objectId": record.id, "changeFlag": "DELETED"})

    def restored(self, kind: ObjectType, record: Record) -> None:
        """A record came back from it."""
        self._tell(kind, "restore", record.source, {"objectId": record.id, "changeFlag": "RESTORED"})

    def erased(self, kind: ObjectType, record_id: int, record: Record | None) -> None:
        """A record was deleted for good. The guide: the event of a deletion comes as well, in no certain order."""
        source = record.source if record else Source("CRM_UI")
        self._tell(kind, "privacyDeletion", source, {"objectId": record_id})
        if record is not None:
            self.deleted(kind, record)

    def merged(self, kind: ObjectType, primary: Record, other: Record, merged: Record) -> None:
        """Two records became one."""
        about = {
            "objectId": merged.id,
            "primaryObjectId": primary.id,
            "mergedObjectIds": [other.id],
            "newObjectId": merged.id,
            "numberOfPropertiesMoved": len(other.values.keys() - primary.values.keys()),
        }
        self._tell(kind, "merge", merged.source, about)

    def tied(self, ends: tuple[End, End], *, removed: bool = False, primary: bool = False) -> None:
        """Two records were tied or untied: an event for each end."""
        for one, other in (ends, ends[::-1]):
            here, there = object_type(one[0]), object_type(other[0])
            if here is None or there is None:
                continue
            about = {
                "associationType": f"{here.singular}_to_{there.singular}".upper(),
                "fromObjectId": one[1],
                "toObjectId": other[1],
                "associationRemoved": removed,
                "isPrimaryAssociation": primary,
            }
            self._tell(here, "associationChange", Source("INTEGRATION"), about)

    def _tell(self, kind: ObjectType, what: str, source: Source, about: Json, name: str = "") -> None:
        with self._lock:
            subscriber = self._subscriber
            for number, each in enumerate(subscriber.subscriptions if subscriber else ()):
                wanted, _, only = each.partition(":")
                if wanted not in (f"{kind.singular}.{what}", f"object.{what}") or only not in ("", name):
                    continue
                generic = {"objectTypeId": kind.type_id} if wanted.startswith("object.") else {}
                event = self._event(wanted, number, source) | generic | about
                self._put(event)

    def _event(self, wanted: str, number: int, source: Source) -> Json:
        subscriber, serial = self._told(), next(self._ids)
        event: Json = {
            "appId": subscriber.app_id,
            "eventId": 100 + (serial // 3 if subscriber.repeated_ids else serial),
            "subscriptionId": 1_000_000 + number,
            "portalId": self._portal_id,
            "occurredAt": self._clock.now_ms(),
            "subscriptionType": wanted,
            "attemptNumber": 0,
            "changeSource": source.type,
        }
        return event | ({"sourceId": source.id} if source.id else {})

    def _told(self) -> Subscriber:
        assert self._subscriber is not None
        return self._subscriber

    def _put(self, event: Json) -> None:
        subscriber = self._told()
        times = 2 if self._dice.random() < subscriber.duplicates else 1
        due_ms = event["occurredAt"] + int(subscriber.delay_s * 1000)
        self._queue.extend(_Parcel((event,), due_ms) for _ in range(times))
        self._counts["events"] += times
        if self._sender is None:
            self._sender = threading.Thread(target=self._work, name="hubspot-webhooks", daemon=True)
            self._sender.start()

    def _work(self) -> None:
        """Send what is due until nothing is queued."""
        while True:
            time.sleep(_POLL_S)  # what happens together travels together
            with self._turn:
                parcel = self._take(self._clock.now_ms())
                if parcel is not None:
                    self._send(parcel)
            with self._lock:
                if not self._queue:
                    self._sender = None
                    return

    def _take(self, now_ms: int | None) -> _Parcel | None:
        """The next parcel, of up to 100 fresh events that are due; None when there is none. No time: all are due."""
        with self._lock:
            due = [each for each in self._queue if now_ms is None or each.due_ms <= now_ms]
            if self._subscriber is not None and self._subscriber.disorder:
                self._dice.shuffle(due)
            if not due:
                return None
            chosen = due[:1] if due[0].attempt else [each for each in due if not each.attempt][:MOST_EVENTS]
            taken = set(map(id, chosen))
            self._queue = deque(each for each in self._queue if id(each) not in taken)
        first = chosen[0]
        return replace(first, events=tuple(event for each in chosen for event in each.events))

    def _send(self, parcel: _Parcel) -> None:
        with self._lock:
            subscriber = self._subscriber
        if subscriber is None:
            return
        events = [each | {"attemptNumber": parcel.attempt} for each in parcel.events]
        delivered = _post(subscriber, events, self._clock.now_ms())
        with self._lock:
            self._counts["requests"] += 1
            self._counts["failed"] += not delivered
            if delivered:
                self._counts["delivered"] += len(events)
            elif parcel.attempt >= len(RETRIES_AFTER_S):
                self._counts["given_up"] += len(events)
            elif self._subscriber is subscriber:
                due_ms = self._clock.now_ms() + RETRIES_AFTER_S[parcel.attempt] * 1000
                self._queue.append(replace(parcel, due_ms=due_ms, attempt=parcel.attempt + 1))

    def _shown(self) -> Json:
        with self._lock:
            return {each: self._counts[each] for each in ("events", "delivered", "given_up", "requests", "failed")}


def _post(subscriber: Subscriber, events: Sequence[Json], now_ms: int) -> bool:
    """Was the request answered with 2xx in time?"""
    parts, body = urlsplit(subscriber.url), json.dumps(events).encode()
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=subscriber.answer_within_s)
    began = time.monotonic()
    try:
        connection.request("POST", target, body, signed(subscriber.url, subscriber.secret, body, now_ms))
        answer = connection.getresponse()
        answer.read()
        return 200 <= answer.status < 300 and time.monotonic() - began < subscriber.answer_within_s
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def signed(url: str, secret: str, body: bytes, now_ms: int) -> Mapping[str, str]:
    """The headers of one POST: version 3 of the signature, and version 1 beside it as for every CRM event."""
    source = b"POST" + decoded(url).encode() + body + str(now_ms).encode()
    third = hmac.new(secret.encode(), source, hashlib.sha256).digest()
    return {
        "Content-Type": "application/json",
        "User-Agent": "HubSpot Connect 2.0 (http://dev.hubspot.com/) (namespace: webhooks-nio-http-client)",
        "X-HubSpot-Signature": hashlib.sha256(secret.encode() + body).hexdigest(),
        "X-HubSpot-Signature-Version": "v1",
        "X-HubSpot-Signature-v3": base64.b64encode(third).decode(),
        "X-HubSpot-Request-Timestamp": str(now_ms),
    }


def decoded(url: str) -> str:
    """An address as it is signed: some characters are never left percent-encoded."""
    for code, each in _ALWAYS_DECODED.items():
        url = url.replace(code, each).replace(code.lower(), each)
    return url


def parse_subscriber(raw: Mapping[str, object]) -> Subscriber | None:
    """A subscriber from JSON with the names of its fields; None when its url is null; ValueError or TypeError else."""
    if raw.get("url") is None:
        return None
    wanted = raw.get("subscriptions", ())
    if not isinstance(wanted, Iterable) or isinstance(wanted, str):
        raise ValueError("subscriptions must be a list")
    return Subscriber(**{**raw, "subscriptions": tuple(str(each) for each in wanted)})  # type: ignore[arg-type]
