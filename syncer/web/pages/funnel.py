"""The first page: where leads stand, how they move, what makes them ready."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Literal, TypeVar

from pydantic import BeforeValidator, StringConstraints

from syncer.queries import comparison as comparing
from syncer.queries import funnel
from syncer.queries.comparison import Comparison
from syncer.queries.funnel import Period, Standing, Sync
from syncer.web.counting import Counted
from syncer.web.views import Action, Asked, Asking, View

T = TypeVar("T")

_FRESH, _FRESH_OF_LONG = timedelta(minutes=1), timedelta(minutes=10)
_LONG = 30  # days: of what is older little changes, and a year of a large base takes seconds to count
_Named = Annotated[str, StringConstraints(max_length=500)]


def _number(given: object) -> object:
    return int(given) if isinstance(given, str) and given.isascii() and given.isdecimal() else given


class FunnelAsked(Asked):
    days: Annotated[Literal[7, 30, 90, 365], BeforeValidator(_number)] = 30  # today is one of them
    connection: _Named | None = None
    source: _Named | None = None  # the comparison shows the leads of all
    segment: _Named | None = None  # the name of the model that scores it; likewise


@dataclass(frozen=True, slots=True)
class Funnel:
    """What is still being counted is None."""

    now: datetime
    ready: str  # the stage that is handed over
    days: int
    syncs: tuple[Sync, ...]
    standing: Standing | None
    period: Period | None
    comparison: Comparison | None
    counted_at: datetime | None  # what is shown of the period
    counting: bool  # asked again in a moment, it tells more
    failed: str  # why something could not be counted
    sources: tuple[str, ...]  # by which it can be asked
    segments: tuple[str, ...]


def _funnel(asking: Asking, asked: FunnelAsked) -> Funnel:
    app = asking.app
    whose = funnel.whose(app, asked.connection, asked.source, asked.segment)
    names = whose.connections
    standing = _counted(asking, ("standing", whose), partial(funnel.standing, app, whose))
    # Each waits a moment for what was never counted, so none is asked for while the one before is not known: the page
    # is to come at once.
    period: Counted[Period] = Counted()
    comparison: Counted[Comparison] = Counted()
    if standing.value is not None:
        fresh_for = _FRESH if asked.days <= _LONG else _FRESH_OF_LONG
        count = partial(funnel.period, app, whose, asked.days)
        period = _counted(asking, ("period", whose, asked.days), count, fresh_for)
    if period.value is not None:
        comparison = _counted(asking, ("comparison", names), partial(comparing.comparison, app, names))
    each: tuple[Counted[Standing] | Counted[Period] | Counted[Comparison], ...] = (standing, period, comparison)
    failed = next((one.failed for one in each if one.failed), "")
    return Funnel(
        now=app.clock(),
        ready=funnel.ready_stage(app.project),
        days=asked.days,
        syncs=funnel.syncs(app, names),
        standing=standing.value,
        period=period.value,
        comparison=comparison.value,
        counted_at=period.at or standing.at,
        counting=any(one.running for one in each) or (comparison.value is None and not failed),
        failed=failed,
        sources=comparing.sources_of(comparison.value) if comparison.value is not None else (),
        segments=funnel.models(app.project),
    )


def _counted(
    asking: Asking, figure: tuple[object, ...], work: Callable[[], T], fresh_for: timedelta = _FRESH
) -> Counted[T]:
    """By the project as it is now: a reload may have brought other stages."""
    return asking.counting.ask(("funnel", asking.app.project.fingerprint, *figure), work, fresh_for)


VIEWS = (View("/", "funnel", FunnelAsked, Funnel, _funnel),)
ACTIONS: tuple[Action[Asked], ...] = ()
