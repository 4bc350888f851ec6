"""Rate limits: ten seconds rolling per app, one second of search per account, a day per account; and write locks."""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from connectors.emulators.hubspot.tokens import Token

INTERVAL_MS = 10_000
LOCK_MS = 2_000  # how long a lock lasts (error guide)


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes of the windows; the defaults are those of a Professional portal (usage guidelines)."""

    ten_secondly: int = 190  # requests per service key or private app in any 10 s
    search_per_second: int = 5  # per account, shared by every token
    daily: int = 625_000  # per account, until midnight in the portal's time zone; OAuth apps have none
    ten_secondly_oauth: int = 110  # requests per OAuth app in any 10 s


class RateWindows:
    """Counts what was let through. With `limits` None everything passes and no headers are shown."""

    def __init__(self, limits: Limits | None, time_zone: str) -> None:
        self.limits = limits
        self.used_today = 0
        self.zone = ZoneInfo(time_zone)
        self._day = ""
        self._recent: dict[str, deque[int]] = {}
        self._searches: deque[int] = deque()
        self._writes: deque[int] = deque()
        self._locked_until_ms = 0
        self.reset()

    def reset(self) -> None:
        """Forget peaks and refusals; the windows stay as full as they are."""
        self._peaks: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()

    def shown(self) -> dict[str, Any]:
        """{"peak_per_10_seconds": {token or OAuth app: count}, "refused": {policy or LOCKED: count}}.

        Searches have a window of their own and are not in the peaks; faults are not in the refusals.
        """
        return {"peak_per_10_seconds": dict(self._peaks), "refused": dict(self._refused)}

    def refuse(self, token: Token, is_search: bool, now_ms: int) -> str | None:
        """The policy that forbids this request, or None after counting it as used."""
        if self.limits is None:
            return None
        policy = self._policy(token, is_search, now_ms, self.limits)
        if policy is not None:
            self._refused[policy] += 1
            return policy
        self.used_today += not token.oauth
        return None

    def wait_s(self, policy: str, token: Token, now_ms: int) -> int:
        """Whole seconds until the window that refused has room again, for a Retry-After."""
        if policy == "DAILY":
            return -(-(self.next_midnight_ms(now_ms) - now_ms) // 1000)
        window, span_ms = self._searches, 1000
        if policy == "TEN_SECONDLY_ROLLING":
            window, span_ms = self._recent.get(token.counts_as, deque()), INTERVAL_MS
        return max(1, -(-(window[0] + span_ms - now_ms) // 1000)) if window else 1

    def next_midnight_ms(self, now_ms: int) -> int:
        """When the portal's day ends."""
        today = datetime.fromtimestamp(now_ms / 1000, self.zone).date()
        return int(datetime.combine(today + timedelta(days=1), time(), self.zone).timestamp() * 1000)

    def locks(self, most_a_second: int, now_ms: int) -> bool:
        """Is this write refused by a lock? More than so many writes in a second make one; 0 means never."""
        if not most_a_second:
            return False
        if now_ms < self._locked_until_ms:
            self._refused["LOCKED"] += 1
            return True
        _forget(self._writes, now_ms - 1000)
        self._writes.append(now_ms)
        if len(self._writes) > most_a_second:
            self._locked_until_ms = now_ms + LOCK_MS
            self._writes.clear()
        return False

    def headers(self, token: Token) -> Mapping[str, str]:
        """What an answer tells about the windows. Search answers carry none of it; OAuth tokens see no daily ones."""
        if self.limits is None:
            return {}
        size = self._size(token, self.limits)
        left = size - len(self._recent.get(token.counts_as, ()))
        shown = {
            "X-HubSpot-RateLimit-Max": str(size),
            "X-HubSpot-RateLimit-Remaining": str(left),
            "X-HubSpot-RateLimit-Interval-Milliseconds": str(INTERVAL_MS),
            "X-HubSpot-RateLimit-Secondly": str(max(1, size // 10)),
            "X-HubSpot-RateLimit-Secondly-Remaining": str(min(left, max(0, size // 10 - 1))),
        }
        if not token.oauth:
            shown["X-HubSpot-RateLimit-Daily"] = str(self.limits.daily)
            shown["X-HubSpot-RateLimit-Daily-Remaining"] = str(max(0, self.limits.daily - self.used_today))
        return shown

    def _policy(self, token: Token, is_search: bool, now_ms: int, limits: Limits) -> str | None:
        self._turn_day(now_ms)
        if self.used_today >= limits.daily and not token.oauth:
            return "DAILY"
        if is_search:
            return None if _admit(self._searches, limits.search_per_second, now_ms - 1000, now_ms) else "SECONDLY"
        recent = self._recent.setdefault(token.counts_as, deque())
        if not _admit(recent, self._size(token, limits), now_ms - INTERVAL_MS, now_ms):
            return "TEN_SECONDLY_ROLLING"
        self._peaks[token.counts_as] = max(self._peaks[token.counts_as], len(recent))
        return None

    def _size(self, token: Token, limits: Limits) -> int:
        return limits.ten_secondly_oauth if token.oauth else limits.ten_secondly

    def _turn_day(self, now_ms: int) -> None:
        day = datetime.fromtimestamp(now_ms / 1000, self.zone).date().isoformat()
        if day != self._day:
            self._day, self.used_today = day, 0


def _admit(window: deque[int], size: int, until_ms: int, now_ms: int) -> bool:
    _forget(window, until_ms)
    if len(window) >= size:
        return False
    window.append(now_ms)
    return True


def _forget(window: deque[int], until_ms: int) -> None:
    while window and window[0] <= until_ms:
        window.popleft()
