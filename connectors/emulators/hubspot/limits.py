"""Rate limits: ten seconds rolling per token, one second of search per account, a day per account."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

INTERVAL_MS = 10_000


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes of the windows; the defaults are those of a Professional portal (usage guidelines)."""

    ten_secondly: int = 190  # requests per token in any 10 s; 110 for OAuth apps
    search_per_second: int = 5  # per account, shared by every token
    daily: int = 625_000  # per account, until midnight in the portal's time zone


class RateWindows:
    """Counts what was let through. With `limits` None everything passes and no headers are shown."""

    def __init__(self, limits: Limits | None, time_zone: str) -> None:
        self.limits = limits
        self.used_today = 0
        self._zone = ZoneInfo(time_zone)
        self._day = ""
        self._recent: dict[str, deque[int]] = {}
        self._searches: deque[int] = deque()

    def refuse(self, token: str, is_search: bool, now_ms: int) -> str | None:
        """The policy that forbids this request, or None after counting it as used."""
        if self.limits is None:
            return None
        self._turn_day(now_ms)
        if self.used_today >= self.limits.daily:
            return "DAILY"
        window, size, span_ms, policy = self._window(token, is_search, self.limits)
        _forget(window, now_ms - span_ms)
        if len(window) >= size:
            return policy
        window.append(now_ms)
        self.used_today += 1
        return None

    def headers(self, token: str, is_oauth: bool) -> Mapping[str, str]:
        """What an answer tells about the windows. Search answers carry none of it; OAuth tokens see no daily ones."""
        if self.limits is None:
            return {}
        size = self.limits.ten_secondly
        left = size - len(self._recent.get(token, ()))
        shown = {
            "X-HubSpot-RateLimit-Max": str(size),
            "X-HubSpot-RateLimit-Remaining": str(left),
            "X-HubSpot-RateLimit-Interval-Milliseconds": str(INTERVAL_MS),
            "X-HubSpot-RateLimit-Secondly": str(max(1, size // 10)),
            "X-HubSpot-RateLimit-Secondly-Remaining": str(min(left, max(0, size // 10 - 1))),
        }
        if not is_oauth:
            shown["X-HubSpot-RateLimit-Daily"] = str(self.limits.daily)
            shown["X-HubSpot-RateLimit-Daily-Remaining"] = str(max(0, self.limits.daily - self.used_today))
        return shown

    def _window(self, token: str, is_search: bool, limits: Limits) -> tuple[deque[int], int, int, str]:
        if is_search:
            return self._searches, limits.search_per_second, 1000, "SECONDLY"
        recent = self._recent.setdefault(token, deque())
        return recent, limits.ten_secondly, INTERVAL_MS, "TEN_SECONDLY_ROLLING"

    def _turn_day(self, now_ms: int) -> None:
        day = datetime.fromtimestamp(now_ms / 1000, self._zone).date().isoformat()
        if day != self._day:
            self._day, self.used_today = day, 0


def _forget(window: deque[int], until_ms: int) -> None:
    while window and window[0] <= until_ms:
        window.popleft()
