"""Keeping below HubSpot's limits instead of running into them.

HubSpot counts an app's requests in a rolling window (10 s) and tells of it in the headers of most answers. Searches it
counts by the second, for all apps of the portal together, and tells of them nowhere.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from syncer import retry
from syncer.connector import Pace, at_once

_FULL_SHARE = 0.99  # of the window; what is left is for clocks that differ
_LEAST_SHARE = 0.5
_LEFT_BY_A_REFUSAL = 0.9  # of the share that was too much
_RECOVERY = 0.03  # of the window, more in each window without a refusal
_LEAST_OF_SEARCHES = 0.1
_SEARCH_RECOVERY = 0.005  # for each search that is answered
_CALM_S = 30.0  # how long fewer requests are under way after the portal was locked
_SHORTEST_S = 0.001  # of all waits: the clocks of tests know no less
_LOOK_S = 0.25  # how often a thread that waits for another one looks whether to stop
_FOREIGN_LOOK_S = 0.1  # how often to look again while others fill the window
_SHARED_RATE = 0.90  # of the window, for all processes together
_SHARED_BURST = 0.05  # of it besides, at once after a pause; the rest is for requests that overtake one another


class Searches:
    """How fast a portal is searched. Half as fast after a refusal (others search too), then faster little by little."""

    def __init__(self, name: str = "searches") -> None:
        self.name = name  # among processes
        self.turn = threading.Lock()
        self._lock = threading.Lock()
        self._share = 1.0
        self._next = 0.0
        self._held_until = 0.0

    @property
    def share(self) -> float:
        """Of the rate that the settings allow."""
        return self._share

    def pause_s(self) -> float:
        with self._lock:
            return max(self._next, self._held_until) - retry.monotonic()

    def leaves(self, rate: float) -> None:
        """A search is sent now; `rate`: searches a second when nobody else searches."""
        with self._lock:
            self._next = retry.monotonic() + 1 / (rate * self._share)

    def answered(self) -> None:
        with self._lock:
            self._share = min(1.0, self._share + _SEARCH_RECOVERY)

    def refused(self, wish_s: float) -> None:
        """Several that were under way together are one refusal."""
        with self._lock:
            now = retry.monotonic()
            if now >= self._held_until:
                self._share = max(_LEAST_OF_SEARCHES, self._share / 2)
            self._held_until = max(self._held_until, now + wish_s)


class Allowance:
    """How many requests may still leave. Not thread-safe.

    Ours count from their sending until ten seconds after their answer: HubSpot counted them somewhere in between. What
    HubSpot has counted beyond these are requests of others, believed to leave the window evenly.
    """

    def __init__(self) -> None:
        self.under_way = 0
        self._answered: deque[float] = deque()  # monotonic times, kept a little longer than the window is
        self._limit: int | None = None
        self._span_s = 10.0
        self._foreign, self._foreign_at = 0, 0.0
        self._share, self._share_at = _FULL_SHARE, 0.0

    @property
    def rate(self) -> tuple[float, int] | None:
        """Requests a second, and how many at once after a pause, for all processes that use the same app; None: no
        answer has told of a limit."""
        if self._limit is None:
            return None
        return _SHARED_RATE * self._limit / self._span_s, max(1, int(_SHARED_BURST * self._limit))

    @property
    def full_of_ours(self) -> bool:
        """Nothing can leave before an answer comes."""
        return self._limit is not None and self.under_way >= self._most(retry.monotonic())

    def answered(self) -> None:
        now = retry.monotonic()
        self.under_way -= 1
        self._answered.append(now)
        while self._answered[0] < now - 2 * self._span_s:
            self._answered.popleft()

    def pause_s(self, now: float) -> float:
        """Seconds until one more may leave, or until it is worth asking again."""
        if self._limit is None:
            return 0.0
        since = now - self._span_s
        recent = [at for at in self._answered if at > since]
        foreign = self._foreign * max(0.0, 1 - (now - self._foreign_at) / self._span_s)
        if self.under_way + len(recent) + foreign + 1 <= self._most(now):
            return 0.0
        oldest_s = recent[0] - since + 0.005 if recent else _FOREIGN_LOOK_S
        return min(oldest_s, _FOREIGN_LOOK_S) if foreign else oldest_s

    def note(self, headers: Mapping[str, str], sent_at: float) -> None:
        """Learn from the answer to a request, which is still counted as under way, that was sent at that time."""
        try:
            limit = int(headers["X-HubSpot-RateLimit-Max"])
            remaining = int(headers["X-HubSpot-RateLimit-Remaining"])
            span_ms = int(headers.get("X-HubSpot-RateLimit-Interval-Milliseconds", "10000"))
        except (KeyError, ValueError):  # answers to searches carry none
            return
        self._limit = limit if limit > 0 else None
        self._span_s = span_ms / 1000 if span_ms > 0 else self._span_s
        ours = self.under_way + sum(1 for at in self._answered if at > sent_at - self._span_s)
        self._foreign, self._foreign_at = max(0, limit - remaining - ours), retry.monotonic()

    def refused(self, now: float) -> None:
        """It was too much, whatever the headers said: use less of the window for a while."""
        self._share, self._share_at = max(_LEAST_SHARE, self._share_now(now) * _LEFT_BY_A_REFUSAL), now

    def _most(self, now: float) -> int:
        return max(1, int((self._limit or 1) * self._share_now(now)))

    def _share_now(self, now: float) -> float:
        return min(_FULL_SHARE, self._share + _RECOVERY * (now - self._share_at) / self._span_s)


class Governor:
    """When the next request may leave, for everyone in this process who uses the same app of the same portal: its
    connections, their runs one after the other, and their threads. Also keeps what HubSpot has told about both.

    One thread at a time waits for time to pass, and the others wait for it: a pause is a pause of all, once.
    """

    def __init__(self, name: str = "app") -> None:
        self._name = name  # among processes
        self._changed = threading.Condition()  # guards everything below
        self._turn = threading.Lock()  # held by the one whose turn is next
        self._window = Allowance()
        self._under_way = 0
        self._held_until = 0.0
        self._most, self._most_until = 0, 0.0  # requests under way, after the portal was locked
        self._seen: tuple[datetime, float, float] | None = None  # HubSpot's clock, monotonic: when told, when asked
        self.searches = Searches(f"{name} searches")
        self.daily: tuple[int, int] | None = None  # requests left today, of how many; never told to OAuth apps
        self.skew_s = 0.0  # HubSpot's clock minus ours, at the last answer
        self.time_zone: str | None = None  # the portal's

    @contextmanager
    def turn(self, stop: threading.Event, *, search_rate: float | None, pace: Pace = at_once) -> Iterator[float]:
        """Send one request inside; gives the monotonic time at which it leaves. `search_rate`: it is a search, and so
        many may leave in a second. `pace`: keeps step with other processes. Raises `Stopped` when asked to stop."""
        with ExitStack() as held:
            retry.wait(0, stop)
            if search_rate is not None:
                searches = self.searches
                held.enter_context(retry.holding(searches.turn, stop))
                self._wait(searches.pause_s, stop)
            held.enter_context(retry.holding(self._turn, stop))
            self._wait_for_answers(stop, counted=search_rate is None)
            self._wait(lambda: self._pause_s(counted=search_rate is None), stop)
            retry.wait(self._shared_pause_s(pace, search_rate), stop)
            if search_rate is not None:
                searches.leaves(search_rate)
            self._leaves(counted=search_rate is None)
        try:
            yield retry.monotonic()
        finally:
            self._answered(counted=search_rate is None)

    def note(self, headers: Mapping[str, str], sent_at: float) -> None:
        """Learn from the headers of an answer, inside its `turn`."""
        with self._changed:
            self._window.note(headers, sent_at)
            self._note_clock(headers, sent_at)
            try:
                left, limit = headers["X-HubSpot-RateLimit-Daily-Remaining"], headers["X-HubSpot-RateLimit-Daily"]
                self.daily = (int(left), int(limit))
            except (KeyError, ValueError):  # not with OAuth, not on searches
                return

    def refused(self, status: int, policy: str, wish_s: float | None, *, searching: bool) -> None:
        """Take an error answer to heart. Hold everybody back for `wish_s` seconds, but only the searches where those
        alone were too many; what is longer than patience is not waited for here."""
        if wish_s is None or wish_s > retry.PATIENCE_S:
            return
        if searching and policy == "SECONDLY":
            self.searches.refused(wish_s)
            return
        with self._changed:
            now = retry.monotonic()
            if now >= self._held_until:  # several that were under way together are one refusal
                if policy == "TEN_SECONDLY_ROLLING":
                    self._window.refused(now)
                if status == 423:
                    self._most, self._most_until = max(1, self._under_way // 2), now + wish_s + _CALM_S
            self._held_until = max(self._held_until, now + wish_s)

    def now(self) -> datetime:
        """HubSpot's clock, as far as its answers told it (to the second, never ahead); ours while it told none."""
        seen = self._seen
        if seen is None:
            return datetime.now(UTC)
        return seen[0] + timedelta(seconds=retry.monotonic() - seen[1])

    def _wait(self, pause_s: Callable[[], float], stop: threading.Event) -> None:
        while (seconds := pause_s()) > 0:
            retry.wait(max(seconds, _SHORTEST_S), stop)

    def _wait_for_answers(self, stop: threading.Event, *, counted: bool) -> None:
        with self._changed:
            while self._crowded() or (counted and self._window.full_of_ours):
                self._changed.wait(_LOOK_S)
                retry.wait(0, stop)

    def _crowded(self) -> bool:
        return self._under_way >= self._most and retry.monotonic() < self._most_until

    def _pause_s(self, *, counted: bool) -> float:
        with self._changed:
            now = retry.monotonic()
            held_s = self._held_until - now
            return max(held_s, self._window.pause_s(now)) if counted else held_s

    def _shared_pause_s(self, pace: Pace, search_rate: float | None) -> float:
        """Until other processes that ask the same let one more of ours leave. Its turn is taken by asking."""
        if search_rate is not None:
            return pace(self.searches.name, search_rate * self.searches.share, 1)
        with self._changed:
            rate = self._window.rate
        return 0.0 if rate is None else pace(self._name, *rate)

    def _leaves(self, *, counted: bool) -> None:
        with self._changed:
            self._under_way += 1
            self._window.under_way += counted

    def _answered(self, *, counted: bool) -> None:
        with self._changed:
            self._under_way -= 1
            if counted:
                self._window.answered()
            self._changed.notify_all()

    def _note_clock(self, headers: Mapping[str, str], sent_at: float) -> None:
        try:
            at = parsedate_to_datetime(headers["Date"])
        except (KeyError, ValueError, OverflowError):
            return
        if at.tzinfo is not None and (self._seen is None or sent_at >= self._seen[2]):
            self._seen = (at.astimezone(UTC), retry.monotonic(), sent_at)
            self.skew_s = (at - datetime.now(UTC)).total_seconds()


_known = threading.Lock()
_governors: dict[tuple[str, str], Governor] = {}
_searches: dict[tuple[str, str], Searches] = {}


def governor_of(base_url: str, credential: str) -> Governor:
    """The one governor of an app at an address; `credential` is a digest."""
    with _known:
        return _governors.setdefault((base_url, credential), Governor(f"hubspot {base_url} app {credential}"))


def belongs_to(governor: Governor, base_url: str, portal: str) -> None:
    """From now on it searches in turns with every other governor of that portal."""
    with _known:
        known = _searches.setdefault((base_url, portal), governor.searches)
        known.name = f"hubspot {base_url} portal {portal} searches"
        governor.searches = known
