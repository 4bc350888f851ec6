"""Trouble on demand: which requests fail, and how; by script, by share, or as a mix of everything that can go wrong."""

import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from hashlib import blake2b
from typing import Any

from connectors.emulators.salesforce.errors import Refusal
from connectors.emulators.salesforce.http.limits import CONCURRENT, LONG_TRANSACTIONS, TOTAL

# What a fault's `code` answers: status, errorCode, message.
CODES: Mapping[str, tuple[int, str, str]] = {
    "UNABLE_TO_LOCK_ROW": (400, "UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record or 1 records"),
    "QUERY_TIMEOUT": (400, "QUERY_TIMEOUT", "Your query request was running for too long."),
    "OPERATION_TOO_LARGE": (400, "OPERATION_TOO_LARGE", "exceeded 100000 distinct who/what's"),
    "INVALID_QUERY_LOCATOR": (400, "INVALID_QUERY_LOCATOR", "invalid query locator"),
    "UNKNOWN_EXCEPTION": (
        500,
        "UNKNOWN_EXCEPTION",
        "An unexpected error occurred. Please include this ErrorId if you contact support: 1044731442-7 (-1413498017)",
    ),
    "SERVER_UNAVAILABLE": (503, "SERVER_UNAVAILABLE", "Server Unavailable"),
    "INVALID_SESSION_ID": (401, "INVALID_SESSION_ID", "Session expired or invalid"),
    "NOT_FOR_REST": (401, "INVALID_SESSION_ID", "This session is not valid for use with the REST API"),
    "INVALID_AUTH_HEADER": (401, "INVALID_AUTH_HEADER", "INVALID_JWT_FORMAT"),
    "TOTAL_REQUESTS": (403, "REQUEST_LIMIT_EXCEEDED", TOTAL),
    "CONCURRENT_REQUESTS": (403, "REQUEST_LIMIT_EXCEEDED", CONCURRENT),
    "CONCURRENT_LONG_TXN": (403, "REQUEST_LIMIT_EXCEEDED", LONG_TRANSACTIONS),
    "INSUFFICIENT_ACCESS": (403, "INSUFFICIENT_ACCESS", "insufficient access rights on object id"),
    "API_DISABLED_FOR_ORG": (403, "API_DISABLED_FOR_ORG", "API is not enabled for this Organization or Partner"),
    "INSUFFICIENT_ACCESS_OR_READONLY": (
        400,
        "INSUFFICIENT_ACCESS_OR_READONLY",
        "insufficient access rights on object id",
    ),
    "TRANSFER_REQUIRES_READ": (400, "TRANSFER_REQUIRES_READ", "The new owner must have read permission"),
    "NOT_FOUND": (404, "NOT_FOUND", "The requested resource does not exist"),
    "INVALID_FIELD": (400, "INVALID_FIELD", "No such column 'Broken__c' on sobject of type Lead"),
}
DROPS = frozenset({"before", "after", "midway", "stalled"})
BODIES = frozenset(
    {
        "json",  # an error body as Salesforce words it
        "html",  # a page of whatever stands in front; 431 has its own
        "truncated",  # the real answer, cut in half
        "not_utf8",
        "empty",
        "real",  # the real answer under `status`; without one 201 stands for 200, and 200 for 201 and 204
        "partial",  # every second record of a collection fails with `code`, the others are worked
        "short_page",  # of a query: 750 records although more were asked for
        "empty_page",  # of a query: no record, and yet more to come
        "no_next_url",  # of a query: the address of the next page is missing although records are
    }
)
PAGES = frozenset({"short_page", "empty_page", "no_next_url"})


@dataclass(frozen=True, slots=True)
class Fault:
    """Trouble for the requests it matches. Which: `method`, `path` (a regular expression, searched in the raw path),
    of those skip the first `skip`, then each `every`-th, at most `times` of them, each with probability `share`.
    What: wait `hang_s`; then drop the connection, refuse with a `code`, answer `status` and `body`, or `expire` the
    caller's session (one that no login opened lives on). A fault with none of these is mere latency. `apply` True does
    the request's work before the trouble begins; every drop but "before" and the bodies that show the real answer
    always do.

    A hang ends when its seconds have passed by the org's clock or by this machine's, whichever is first. "stalled"
    sends the head of the answer and half of its body, hangs, and drops the connection.
    """

    path: str = ""
    method: str | None = None
    skip: int = 0
    every: int = 1
    times: int | None = None  # None: for ever
    share: float = 1.0
    hang_s: float = 0.0
    drop: str | None = None  # see DROPS
    code: str | None = None  # see CODES
    status: int | None = None
    body: str = "json"  # see BODIES
    headers: Mapping[str, str] = field(default_factory=dict)
    apply: bool = False
    expire: bool = False

    def __post_init__(self) -> None:
        """ValueError for a word that names no fault, or a path that is no regular expression."""
        try:
            re.compile(self.path)
        except re.error as error:
            raise ValueError(f"path {self.path!r}: {error}") from error
        for value, allowed in ((self.drop, DROPS), (self.code, CODES.keys()), (self.body, BODIES)):
            if value is not None and value not in allowed:
                raise ValueError(f"{value!r} is none of {sorted(allowed)}")

    @property
    def passes(self) -> bool:
        """Does the request go its usual way afterwards (mere latency, another cut of a page)?"""
        plain = self.drop is None and self.code is None and self.status is None and not self.expire
        return plain and (self.body == "json" or self.body in PAGES)

    @property
    def applies(self) -> bool:
        """Is the request's work done although its caller cannot know?"""
        return self.apply or self.drop in ("after", "midway", "stalled") or self.body in ("truncated", "real")

    @property
    def kind(self) -> str:
        """What it is called in counts and in a mix: `UNABLE_TO_LOCK_ROW`, `502_html`, `reset_after`, `hang_after`..."""
        if self.drop is not None:
            return f"{'hang' if self.hang_s else 'reset'}_{self.drop}"
        if self.expire:
            return "expired"
        if self.body in PAGES or self.body in ("partial", "truncated"):
            return self.body
        if self.body == "real":
            return "wrong_status"
        if self.code is not None:
            return self.code
        if self.passes:
            return "latency"
        return str(self.status or 200) if self.body == "json" else f"{self.status or 200}_{self.body}"

    def fits(self, method: str, path: str) -> bool:
        """Can it strike this request at all? A page's faults need a query, a lock a write, and so on."""
        if (self.expire or self.code is not None) and not path.startswith("/services/data/"):
            return False
        if self.body in PAGES or self.code in ("QUERY_TIMEOUT", "OPERATION_TOO_LARGE"):
            return method == "GET" and bool(re.search(r"/query(All)?/?(\?|0r8|/0r8|$)", path))
        if self.code == "INVALID_QUERY_LOCATOR":
            return "/0r8" in path
        if self.body == "partial":
            return method != "GET" and bool(re.search(r"/composite/sobjects(?!/\w+\?ids)", path))
        if self.code == "UNABLE_TO_LOCK_ROW":
            return method in ("POST", "PATCH", "DELETE") and "sobjects" in path
        return True


def parse_fault(raw: Mapping[str, Any]) -> Fault:
    """A fault from JSON with the names of Fault's fields; ValueError for a name or word that is not known."""
    unknown = set(raw) - {each.name for each in fields(Fault)}
    if unknown:
        raise ValueError(f"unknown fault keys: {sorted(unknown)}")
    return Fault(**raw)


def refusal_of(code: str) -> Refusal:
    """The refusal of a fault's code."""
    status, error_code, message = CODES[code]
    return Refusal(status, error_code, message)


_OF_A_MIX: tuple[tuple[int, Fault], ...] = (
    (4, Fault(code="UNABLE_TO_LOCK_ROW")),
    (3, Fault(body="partial", code="UNABLE_TO_LOCK_ROW")),
    (2, Fault(code="QUERY_TIMEOUT")),
    (0, Fault(code="OPERATION_TOO_LARGE")),
    (2, Fault(code="INVALID_QUERY_LOCATOR")),
    (3, Fault(code="UNKNOWN_EXCEPTION")),
    (2, Fault(code="SERVER_UNAVAILABLE")),
    (2, Fault(code="CONCURRENT_REQUESTS")),
    (1, Fault(code="CONCURRENT_LONG_TXN")),
    (0, Fault(code="TOTAL_REQUESTS")),  # stops a client for hours: only when it is asked for
    (2, Fault(expire=True)),
    (2, Fault(status=500, body="html")),
    (1, Fault(status=500, body="not_utf8")),
    (3, Fault(status=502, body="html")),
    (2, Fault(status=503, body="html")),
    (1, Fault(status=504, body="html")),
    (2, Fault(status=406, body="empty")),
    (2, Fault(status=420, body="empty")),
    (2, Fault(status=429, body="html")),
    (1, Fault(status=431, body="html")),
    (1, Fault(status=200, body="empty", apply=True)),
    (3, Fault(body="truncated")),
    (2, Fault(body="real")),
    (2, Fault(body="short_page")),
    (1, Fault(body="empty_page")),
    (1, Fault(body="no_next_url")),
    (2, Fault(drop="before")),
    (3, Fault(drop="after")),
    (1, Fault(drop="midway")),
    (1, Fault(drop="before", hang_s=1)),
    (1, Fault(drop="after", hang_s=1)),
    (1, Fault(drop="stalled", hang_s=1)),
)
MIX: Mapping[str, Fault] = {fault.kind: fault for _, fault in _OF_A_MIX}
WEIGHTS: Mapping[str, int] = {fault.kind: weight for weight, fault in _OF_A_MIX}


@dataclass(frozen=True, slots=True)
class Chaos:
    """Trouble of every kind for a share of the requests whose path matches.

    Whether and how a request is struck is decided by its method, path and body and by how often this very request has
    been made, not by what others are sent in between: two runs that ask the same meet the same faults in any order.
    After `most_in_a_row` faults the same request goes through. `kinds`: weights by the names of MIX.
    """

    share: float
    seed: int = 0
    kinds: Mapping[str, int] = field(default_factory=lambda: WEIGHTS)
    path: str = ""
    hang_s: float = 0.5
    most_in_a_row: int = 3

    def __post_init__(self) -> None:
        """ValueError for a kind that MIX does not hold, a share outside 0..1, or a path that is no expression."""
        unknown = set(self.kinds) - set(MIX)
        if unknown or not any(self.kinds.values()):
            raise ValueError(f"unknown kinds of faults: {sorted(unknown)}; there are {sorted(MIX)}")
        if not 0 <= self.share <= 1:
            raise ValueError(f"the share must be between 0 and 1, was {self.share}")
        Fault(path=self.path)


def chaos(share: float, seed: int = 0, kinds: Iterable[str] | Mapping[str, int] | None = None) -> "Faults":
    """A mix that strikes this share of all requests; `kinds` are names of MIX, with weights or all alike."""
    return Faults(chaos=Chaos(share, seed, weighed(kinds)))


def weighed(kinds: Iterable[str] | Mapping[str, int] | None) -> Mapping[str, int]:
    """Weights by kind; None means the usual mix."""
    if kinds is None:
        return WEIGHTS
    return dict(kinds) if isinstance(kinds, Mapping) else dict.fromkeys(kinds, 1)


class Mixer:
    """Carries out one Chaos: remembers how often each request was made and how often it failed in a row."""

    def __init__(self, chaos: Chaos) -> None:
        self._chaos = chaos
        self._path = re.compile(chaos.path)
        self._seen: dict[bytes, list[int]] = {}  # request -> [made, faults in a row]

    def pick(self, method: str, path: str, body: bytes) -> Fault | None:
        """The fault that strikes this request; each call counts as one more making of it."""
        if not self._path.search(path):
            return None
        kinds = {name: weight for name, weight in self._chaos.kinds.items() if weight and MIX[name].fits(method, path)}
        # A token request carries secrets that differ from run to run, so its body says nothing.
        told = b"" if path.startswith("/services/oauth2") else body
        counts = self._seen.setdefault(_digest(method, path, told), [0, 0])
        counts[0] += 1
        dice = random.Random(_digest(self._chaos.seed, counts[0], method, path, told))
        if not kinds or counts[1] >= self._chaos.most_in_a_row or dice.random() >= self._chaos.share:
            counts[1] = 0
            return None
        counts[1] += 1
        chosen = MIX[dice.choices(list(kinds), list(kinds.values()))[0]]
        return replace(chosen, hang_s=self._chaos.hang_s) if chosen.hang_s else chosen


def _digest(*parts: object) -> bytes:
    digest = blake2b(digest_size=8)
    for part in parts:
        digest.update(part if isinstance(part, bytes) else str(part).encode())
        digest.update(b"\0")
    return digest.digest()


class Faults:
    """The switches that are on; the first that strikes decides, then the mix. The seed makes shares repeatable."""

    def __init__(self, *faults: Fault, seed: int = 0, chaos: Chaos | None = None) -> None:
        self._random = random.Random(seed)
        self._switches: list[tuple[Fault, list[int]]] = []  # the fault, [seen, struck]
        self._mixer: Mixer | None = None
        self.add(*faults)
        self.mix(chaos)

    @property
    def on(self) -> bool:
        """Is any switch on?"""
        return bool(self._switches) or self._mixer is not None

    def add(self, *faults: Fault) -> None:
        """Switch them on."""
        self._switches.extend((fault, [0, 0]) for fault in faults)

    def mix(self, chaos: Chaos | None) -> None:
        """Begin a mix in place of the one that is on; None ends it."""
        self._mixer = None if chaos is None or not chaos.share else Mixer(chaos)

    def clear(self) -> None:
        """Switch all off, the mix as well."""
        self._switches.clear()
        self._mixer = None

    def pick(self, method: str, path: str, body: bytes = b"") -> Fault | None:
        """The fault that strikes this request."""
        for fault, counts in self._switches:
            if self._strikes(fault, counts, method, path):
                return fault
        return self._mixer.pick(method, path, body) if self._mixer else None

    def _strikes(self, fault: Fault, counts: list[int], method: str, path: str) -> bool:
        if fault.method not in (None, method) or not re.search(fault.path, path) or not fault.fits(method, path):
            return False
        counts[0] += 1
        turn = counts[0] - fault.skip
        spent = fault.times is not None and counts[1] >= fault.times
        if turn <= 0 or turn % fault.every or spent or self._random.random() >= fault.share:
            return False
        counts[1] += 1
        return True
