"""Quiet hours: when a message that disturbs somebody may leave. Pure."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

from syncer.settings import Quiet
from syncer.worktime import DAY_M, Calendar, next_open


def ends(quiet: Quiet, at: datetime) -> datetime:
    """When it is not quiet any more; `at` itself where it is not quiet then. By the clock on the wall there, so that a
    night on which it is changed is as long as it really is."""
    return next_open(at, _awake(quiet))


@lru_cache(maxsize=16)
def _awake(quiet: Quiet) -> Calendar:
    """The rest of every day."""
    over_midnight = quiet.start > quiet.end
    day = [(quiet.end, quiet.start)] if over_midnight else [(0, quiet.start), (quiet.end, DAY_M)]
    return Calendar(quiet.timezone, (tuple(day),) * 7)
