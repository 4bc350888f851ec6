"""Trouble on demand: which requests fail, and how."""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Fault:
    """Trouble for the requests it matches. Which: `method`, `path` (a regular expression, searched in the raw path),
    of those skip the first `skip`, then each `every`-th, at most `times` of them, each with probability `share`.
    What: wait `hang_s` first; then drop the connection, refuse by a rate-limit `policy`, or answer `status` and `body`.
    A fault with none of these three is mere latency. `apply` True does the request's work before failing."""

    path: str = ""
    method: str | None = None
    skip: int = 0
    every: int = 1
    times: int | None = None  # None: for ever
    share: float = 1.0
    hang_s: float = 0.0
    drop: str | None = None  # "before" or "after" the request was applied
    policy: str | None = None  # DAILY, TEN_SECONDLY_ROLLING, SECONDLY
    status: int | None = None
    body: str = "json"  # json, html, truncated (the real answer, cut in half), not_utf8, empty, no_results ({})
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


DROPS = frozenset({"before", "after"})
POLICIES = frozenset({"DAILY", "TEN_SECONDLY_ROLLING", "SECONDLY"})
BODIES = frozenset({"json", "html", "truncated", "not_utf8", "empty", "no_results"})


def parse_fault(raw: Mapping[str, Any]) -> Fault:
    """A fault from JSON with the names of Fault's fields; ValueError for a name or word that is not known."""
    unknown = set(raw) - {each.name for each in fields(Fault)}
    if unknown:
        raise ValueError(f"unknown fault keys: {sorted(unknown)}")
    return Fault(**raw)


class Faults:
    """The switches that are on; the first that strikes decides. The seed makes shares repeatable."""

    def __init__(self, *faults: Fault, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self._switches: list[tuple[Fault, list[int]]] = []  # the fault, [seen, struck]
        self.add(*faults)

    def add(self, *faults: Fault) -> None:
        """Switch them on."""
        self._switches.extend((fault, [0, 0]) for fault in faults)

    def clear(self) -> None:
        """Switch all off."""
        self._switches.clear()

    def pick(self, method: str, path: str) -> Fault | None:
        """The fault that strikes this request."""
        for fault, counts in self._switches:
            if self._strikes(fault, counts, method, path):
                return fault
        return None

    def _strikes(self, fault: Fault, counts: list[int], method: str, path: str) -> bool:
        if fault.method not in (None, method) or not re.search(fault.path, path):
            return False
        counts[0] += 1
        turn = counts[0] - fault.skip
        spent = fault.times is not None and counts[1] >= fault.times
        if turn <= 0 or turn % fault.every or spent or self._random.random() >= fault.share:
            return False
        counts[1] += 1
        return True
