"""Keeping below Salesforce's limits: requests in any 24 hours, and long requests under way at once.

Each answer tells how much of the 24 hours' allowance everybody together has used. There is no limit by the second.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Literal

from connectors.salesforce.session import usage_told
from syncer import retry
from syncer.errors import ShareUsed

Purpose = Literal["pull", "write", "qualified"]
"""What a request is for: bringing records; writing results; writing a lead that reaches sales, its task, and the
little that is looked up for any of this."""

_FOR_READING = 0.9  # of our share; the rest is kept for writing
_AGAIN_S = 900.0  # how soon a reader looks whether some of the allowance has come back: it is that of rolling 24 hours
_STALE_S = 300.0  # what was told longer ago is asked anew, by the next request
_CALM_S = 60.0  # how long fewer requests are under way after too many were
_LOOK_S = 0.25  # how often a thread that waits for another one looks whether to stop


class Governor:
    """Lets requests leave. One for everybody in this process who is the same app in the same org; from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._under_way = 0
        self._most, self._most_until = 0, 0.0
        self._held_until = 0.0
        self._seen: tuple[datetime, float, float] | None = None  # Salesforce's clock, monotonic: when told, when asked
        self._told_at = 0.0
        self._usage: tuple[int, int] | None = None
        self.skew_s = 0.0  # Salesforce's clock minus ours, at the last answer

    @property
    def usage(self) -> tuple[int, int] | None:
        """Requests that were used in 24 hours, of how many, as told last; None: not told yet."""
        return self._usage

    @property
    def most(self) -> int | None:
        """How many requests may be under way; None: as many as the settings say."""
        return self._most if retry.monotonic() < self._most_until else None

    def insist(self, what: str, share: float, purpose: Purpose) -> None:
        """ShareUsed (SY145) where no more may be used for that purpose. What leads to sales is only stopped by
        Salesforce itself. Old news stop nobody: the next answer brings better."""
        usage = self._usage
        if usage is None or purpose == "qualified" or retry.monotonic() - self._told_at > _STALE_S:
            return
        used, limit = usage
        if used < limit * share * (_FOR_READING if purpose == "pull" else 1):
            return
        kept = " (the last tenth of it kept for writing)" if purpose == "pull" else ""
        message = (
            f"{what}: {used:,} of the {limit:,} requests that Salesforce allows in 24 hours are used, and "
            f"`use_at_most` is {share:.0%}{kept}; goes on slowly"
        )
        raise ShareUsed(message, code="SY145", retry_after_s=_AGAIN_S)

    @contextmanager
    def turn(self, stop: threading.Event) -> Iterator[float]:
        """Send one request inside; gives the monotonic time at which it leaves. Raises `Stopped`."""
        retry.wait(0, stop)
        self._enter(stop)
        try:
            yield retry.monotonic()
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    def note(self, headers: Mapping[str, str], sent_at: float) -> None:
        """Learn from an answer's headers, whatever its status."""
        with self._changed:
            self._note_clock(headers, sent_at)
            usage = usage_told(headers.get("Sforce-Limit-Info") or "")
            if usage is not None and (self._usage is None or sent_at >= self._told_at):
                self._usage, self._told_at = usage, sent_at

    def crowded(self, wish_s: float) -> None:
        """Too many were under way: everybody waits so long, and then half as many go. Several that were refused
        together are one refusal."""
        with self._changed:
            now = retry.monotonic()
            if now >= self._held_until:
                before = self.most or self._under_way
                self._most, self._most_until = max(1, min(before, self._under_way) // 2), now + wish_s + _CALM_S
            self._held_until = max(self._held_until, now + wish_s)

    @property
    def knows_time(self) -> bool:
        """Has an answer told Salesforce's clock?"""
        return self._seen is not None

    def now(self) -> datetime:
        """Salesforce's clock, as far as its answers told it (to the second, never ahead); ours while they did not."""
        seen = self._seen
        if seen is None:
            return datetime.now(UTC)
        return seen[0] + timedelta(seconds=retry.monotonic() - seen[1])

    def _enter(self, stop: threading.Event) -> None:
        while True:
            with self._changed:
                wait_s = self._held_until - retry.monotonic()
                if wait_s <= 0 and not self._is_full():
                    self._under_way += 1
                    return
                if wait_s <= 0:
                    self._changed.wait(_LOOK_S)
            retry.wait(max(wait_s, 0.0), stop)

    def _is_full(self) -> bool:
        most = self.most
        return most is not None and self._under_way >= most

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


def governor_of(instance_url: str, identity: str) -> Governor:
    """The one governor of an app in an org; `identity` is a digest of who we are there."""
    with _known:
        return _governors.setdefault((instance_url, identity), Governor())
