"""Counting requests, for tests that state how many calls a job may take."""

from collections import Counter
from typing import Literal

from connectors.emulators.hubspot.answers import Json

Kind = Literal["read", "write", "search"]


class Calls:
    """Requests by method, route and status, by kind, the fullest second, and what was struck by a fault."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start again from nothing."""
        self._routes: Counter[tuple[str, str, int]] = Counter()
        self._kinds: Counter[str] = Counter()
        self._seconds: dict[str, Counter[int]] = {"all": Counter(), "search": Counter()}
        self._faulted: Counter[str] = Counter()
        self._errors = 0

    def note(self, method: str, route: str, status: int, kind: Kind, now_ms: int) -> None:
        """One request was answered; status 0 when its connection was dropped."""
        self._routes[method, route, status] += 1
        self._kinds[kind] += 1
        self._errors += status >= 400
        self._seconds["all"][now_ms // 1000] += 1
        if kind == "search":
            self._seconds["search"][now_ms // 1000] += 1

    def strike(self, kind: str, status: int | None) -> None:
        """A fault of this kind struck. `status`: under which `note` counted the request although it earned none."""
        self._faulted[kind] += 1
        self._errors -= status is not None and status >= 400

    def shown(self) -> Json:
        """{"total", "read", "write", "search", "peak_per_second", "peak_search_per_second", "errors", "faulted",
        "routes": [...]}. `errors`: answers of 400 and more that clients earned by themselves, faults left out."""
        return {
            "total": self._kinds.total(),
            **{kind: self._kinds[kind] for kind in ("read", "write", "search")},
            "peak_per_second": max(self._seconds["all"].values(), default=0),
            "peak_search_per_second": max(self._seconds["search"].values(), default=0),
            "errors": self._errors,
            "faulted": dict(self._faulted),
            "routes": [
                {"method": method, "route": route, "status": status, "count": count}
                for (method, route, status), count in sorted(self._routes.items())
            ],
        }
