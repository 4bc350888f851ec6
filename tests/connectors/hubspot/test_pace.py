"""Keeping step with other processes that ask the same portal."""

from __future__ import annotations

import threading
import time

import pytest

from connectors.hubspot.governor import Governor, belongs_to, governor_of
from syncer.errors import Stopped

NEVER = threading.Event()
HEADERS = {
    "X-HubSpot-RateLimit-Max": "100",
    "X-HubSpot-RateLimit-Remaining": "99",
    "X-HubSpot-RateLimit-Interval-Milliseconds": "10000",
}


class Others:
    """Keeps what it was asked, and lets each request leave after so many seconds."""

    def __init__(self, wait_s: float = 0.0) -> None:
        self.asked: list[tuple[str, float, int]] = []
        self._wait_s = wait_s

    def __call__(self, what: str, rate: float, burst: int) -> float:
        self.asked.append((what, rate, burst))
        return self._wait_s


def test_requests_are_shared_out_once_it_is_known_how_many_there_may_be() -> None:
    governor, others = Governor("app 7"), Others()
    with governor.turn(NEVER, search_rate=None, pace=others) as sent_at:
        governor.note(HEADERS, sent_at)
    assert others.asked == []
    with governor.turn(NEVER, search_rate=None, pace=others):
        assert others.asked == [("app 7", 9.0, 5)]


def test_searches_are_shared_out_by_portal_whoever_searches() -> None:
    one, another, others = governor_of("http://hub", "one"), governor_of("http://hub", "another"), Others()
    for governor in (one, another):
        belongs_to(governor, "http://hub", "77")
        with governor.turn(NEVER, search_rate=4.0, pace=others):
            pass
    assert others.asked == [("hubspot http://hub portal 77 searches", 4.0, 1)] * 2


def test_a_search_that_was_refused_slows_down_what_is_asked_of_the_others() -> None:
    governor, others = Governor("app 7"), Others()
    governor.refused(429, "SECONDLY", 0.01, searching=True)
    with governor.turn(NEVER, search_rate=4.0, pace=others):
        assert others.asked == [("app 7 searches", 2.0, 1)]


def test_a_request_waits_as_long_as_the_others_need() -> None:
    governor, began = Governor(), time.monotonic()
    with governor.turn(NEVER, search_rate=1000.0, pace=Others(0.2)):
        assert time.monotonic() - began >= 0.2


def test_who_is_told_to_stop_does_not_wait_for_the_others() -> None:
    governor, stop = Governor(), threading.Event()
    threading.Timer(0.1, stop.set).start()
    with pytest.raises(Stopped), governor.turn(stop, search_rate=1.0, pace=Others(60)):
        raise AssertionError("it was sent")
