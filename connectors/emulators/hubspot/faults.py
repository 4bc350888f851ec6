"""Trouble on demand: which requests fail, and how; by script, by share, or as a mix of everything that can go wrong."""

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from hashlib import blake2b
from typing import Any


@dataclass(frozen=True, slots=True)
class Fault:
    """Trouble for the requests it matches. Which: `method`, `path` (a regular expression, searched in the raw path),
    of those skip the first `skip`, then each `every`-th, at most `times` of them, each with probability `share`.
    What: wait `hang_s`; then drop the connection, refuse by a rate-limit `policy`, or answer `status` and `body`.
    A fault with none of these three is mere latency. `apply` True does the request's work before the trouble begins;
    a drop "after" or "midway" and the bodies that show the real answer always do.

    A hang ends when its seconds have passed by the portal's clock or by this machine's, whichever is first.
    """

    path: str = ""
    method: str | None = None
    skip: int = 0
    every: int = 1
    times: int | None = None  # None: for ever
    share: float = 1.0
    hang_s: float = 0.0
    drop: str | None = None  # "before" the request is applied, "after", or "midway": after half of the answer
    policy: str | None = None  # DAILY, TEN_SECONDLY_ROLLING, SECONDLY
    status: int | None = None
    body: str = "json"  # see BODIES
    headers: Mapping[str, str] = field(default_factory=dict)
    apply: bool = False

    def __post_init__(self) -> None:
        """ValueError for a word that names no fault, or a path that is no regular expression."""
        try:
            re.compile(self.path)
        except re.error as error:
            raise ValueError(f"path {self.path!r}: {error}") from error
        for value, allowed in ((self.drop, DROPS), (self.policy, POLICIES), (self.body, BODIES)):
            if value is not None and value not in allowed:
                raise ValueError(f"{value!r} is none of {sorted(allowed)}")

    @property
    def is_latency(self) -> bool:
        """Only slow; the request is answered as usual."""
        return self.drop is None and self.policy is None and self.status is None and self.body == "json"

    @property
    def applies(self) -> bool:
        """Is the request's work done although its caller cannot know?"""
        return self.apply or self.drop in ("after", "midway") or self.body in ("truncated", "real", "partial")

    @property
    def kind(self) -> str:
        """What it is called in counts and in a mix: `429_daily_retry_after`, `502_html`, `reset_after`, `hang`, ..."""
        later = "_retry_after" if any(name.lower() == "retry-after" for name in self.headers) else ""
        if self.drop is not None:
            return f"{'hang' if self.hang_s else 'reset'}_{self.drop}"
        if self.policy is not None:
            return f"429_{_SHORT[self.policy]}{later}"
        if self.is_latency:
            return "latency"
        if self.body in ("partial", "real", "truncated"):
            return {"partial": "207_partial", "real": "wrong_status", "truncated": "truncated"}[self.body]
        body = "" if self.body == "json" else f"_{self.body}"
        return f"{self.status or 200}{body}{later}"

    def fits(self, path: str) -> bool:
        """Can it strike this request at all? Only a batch can be worked in part."""
        return self.body != "partial" or "/batch/" in path


DROPS = frozenset({"before", "after", "midway"})
POLICIES = frozenset({"DAILY", "TEN_SECONDLY_ROLLING", "SECONDLY"})
_SHORT = {"DAILY": "daily", "TEN_SECONDLY_ROLLING": "ten_secondly", "SECONDLY": "secondly"}
BODIES = frozenset(
    {
        "json",  # an error body as HubSpot words it
        "html",  # a page of the edge
        "truncated",  # the real answer, cut in half
        "not_utf8",
        "empty",
        "no_results",  # {}
        "real",  # the real answer under `status`; without one 201 stands for 200, and 200 for 201, 204 and 207
        "partial",  # every second input of a batch fails, the others are worked: 207
    }
)


def parse_fault(raw: Mapping[str, Any]) -> Fault:
    """A fault from JSON with the names of Fault's fields; ValueError for a name or word that is not known."""
    unknown = set(raw) - {each.name for each in fields(Fault)}
    if unknown:
        raise ValueError(f"unknown fault keys: {sorted(unknown)}")
    return Fault(**raw)


_SOON, _LATER = {"Retry-After": "1"}, {"Retry-After": "10"}
_OF_A_MIX: tuple[tuple[int, Fault], ...] = (
    (3, Fault(policy="SECONDLY")),
    (2, Fault(policy="SECONDLY", headers=_SOON)),
    (3, Fault(policy="TEN_SECONDLY_ROLLING")),
    (2, Fault(policy="TEN_SECONDLY_ROLLING", headers=_LATER)),
    (0, Fault(policy="DAILY")),  # these two stop a client until the portal's midnight: only when they are asked for
    (0, Fault(policy="DAILY", headers={"Retry-After": "3600"})),
    (2, Fault(status=423)),
    (1, Fault(status=477, headers={"Retry-After": "60"})),
    (2, Fault(status=500)),
    (2, Fault(status=500, body="html")),
    (1, Fault(status=500, body="not_utf8")),
    (3, Fault(status=502, body="html")),
    (2, Fault(status=503)),
    (1, Fault(status=503, headers=_SOON)),
    (2, Fault(status=504, body="html")),
    *((1, Fault(status=status, body="html")) for status in range(520, 527)),
    (2, Fault(status=200, body="html")),
    (2, Fault(status=200, body="no_results")),
    (2, Fault(status=200, body="empty", apply=True)),
    (3, Fault(body="truncated")),
    (2, Fault(drop="before")),
    (3, Fault(drop="after")),
    (1, Fault(drop="midway")),
    (1, Fault(drop="before", hang_s=1)),
    (1, Fault(drop="after", hang_s=1)),
    (2, Fault(body="real")),
    (3, Fault(body="partial")),
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
        kinds = {name: weight for name, weight in self._chaos.kinds.items() if weight and MIX[name].fits(path)}
        counts = self._seen.setdefault(_digest(method, path, body), [0, 0])
        counts[0] += 1
        dice = _dice(self._chaos.seed, counts[0], method, path, body)
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


def _dice(seed: int, turn: int, method: str, path: str, body: bytes) -> random.Random:
    # A token request carries secrets that differ from run to run, so its body says nothing.
    told = b"" if path.startswith("/oauth/") else body
    return random.Random(_digest(seed, turn, method, path, told))


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
        if fault.method not in (None, method) or not re.search(fault.path, path) or not fault.fits(path):
            return False
        counts[0] += 1
        turn = counts[0] - fault.skip
        spent = fault.times is not None and counts[1] >= fault.times
        if turn <= 0 or turn % fault.every or spent or self._random.random() >= fault.share:
            return False
        counts[1] += 1
        return True


def split(inputs: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """The inputs of a batch that are worked, and those that fail: every second one, and a single one always."""
    return (list(inputs[::2]), list(inputs[1::2])) if len(inputs) > 1 else ([], list(inputs))
