"""Counting and logging requests, and what they wrote, for tests that state how many calls a job may take."""

from collections import Counter, deque
from typing import Any

from connectors.emulators.salesforce.org import Caller, Outcome, Write

LOGGED = 10_000  # requests and writes kept; older ones are forgotten


class Calls:
    """Requests by method, route and status, by kind, the fullest second, and what was struck by a fault."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start again from nothing."""
        self._routes: Counter[tuple[str, str, int]] = Counter()
        self._kinds: Counter[str] = Counter()
        self._seconds: Counter[int] = Counter()
        self._faulted: Counter[str] = Counter()
        self._errors = 0
        self.log: deque[dict[str, Any]] = deque(maxlen=LOGGED)
        self.writes: deque[dict[str, Any]] = deque(maxlen=LOGGED)
        self.written = 0

    def note(self, method: str, route: str, status: int, now_s: float) -> None:
        """One request was answered; status 0 when its connection was dropped."""
        self._routes[method, route, status] += 1
        self._kinds[kind_of(method, route)] += 1
        self._errors += status >= 400
        self._seconds[int(now_s)] += 1

    def strike(self, kind: str, status: int | None) -> None:
        """A fault of this kind struck. `status`: under which `note` counted the request although it earned none."""
        self._faulted[kind] += 1
        self._errors -= status is not None and status >= 400

    def wrote(self, stamp: str, write: Write, outcome: Outcome, caller: Caller) -> None:
        """Keep what was written, or tried to, for the control plane."""
        self.written += 1
        self.writes.append(
            {
                "at": stamp,
                "verb": write.verb,
                "object": write.object,
                "id": outcome.id or write.id or None,
                "values": dict(write.values),
                "auto_assign": caller.auto_assign,
                "success": outcome.success,
                "code": outcome.refusals[0].code if outcome.refusals else None,
            }
        )

    def undo(self, written: int) -> None:
        """What was written since there were so many writes was rolled back."""
        for each in list(self.writes)[len(self.writes) - (self.written - written) :]:
            each.update(success=False, code=each["code"] or "PROCESSING_HALTED")

    def shown(self) -> dict[str, Any]:
        """{"total", "read", "write", "query", "bulk", "login", "peak_per_second", "errors", "faulted", "routes"}.

        `errors`: answers of 400 and more that clients earned by themselves, faults left out.
        """
        return {
            "total": self._kinds.total(),
            **{kind: self._kinds[kind] for kind in ("read", "write", "query", "bulk", "login")},
            "peak_per_second": max(self._seconds.values(), default=0),
            "errors": self._errors,
            "faulted": dict(self._faulted),
            "routes": [
                {"method": method, "route": route, "status": status, "count": count}
                for (method, route, status), count in sorted(self._routes.items())
            ],
        }


def kind_of(method: str, route: str) -> str:
    """read, write, query, bulk or login."""
    if route.startswith(("/services/oauth2", "/services/Soap", "/id/")):
        return "login"
    if route.startswith("/jobs/"):
        return "bulk"
    if route.startswith(("/query", "/tooling/query", "/search", "/parameterizedSearch")):
        return "query"
    return "read" if method in ("GET", "HEAD") else "write"
