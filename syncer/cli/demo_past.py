"""The weeks before the demo: an emulated CRM that begins in the past, with what leads and sales did there since.

Nothing of syncer knows that it is not so: it runs once a week by the CRM's clock, over HTTP, as it would have then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from connectors.emulators.hubspot import Clock, Manners, Portal, serve
from connectors.emulators.sample import Sales, SampleBase, build, load, unfold
from syncer.app import App, utc_now
from syncer.errors import Stopped
from syncer.handoff import take
from syncer.model import Answer, Handoff
from syncer.parts import Report
from syncer.store import outbox

INDEX_LAG_S = 1.0  # the emulated search is late, as the real one is; the connector stays behind it
_SEEN_S = 5  # after which search shows what happened, and the connector looks at it
_WEEK = timedelta(days=7)


@dataclass(frozen=True)
class Crm:
    """The emulated CRM, its own time, and the people in it."""

    url: str
    clock: Clock
    base: SampleBase
    sales: Sales
    begins: datetime

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.clock.now_ms() / 1000, UTC)


@contextmanager
def emulated(leads: int, weeks: int) -> Iterator[Crm]:
    """A CRM that is served, as of so many weeks ago; it holds nobody who came later."""
    now = utc_now()
    begins = now - weeks * _WEEK
    base = build(now=now, leads=leads, spread=now - begins)
    # Requests of weeks pass within seconds, so there are no limits to keep.
    portal = Portal(manners=Manners(index_lag_s=INDEX_LAG_S), limits=None, clock=Clock(begins))
    load(portal, base, begins if weeks else None)
    with serve(portal) as url:
        yield Crm(url, portal.clock, base, Sales(base), begins)


def live_through(app: App, crm: Crm, sync: Callable[[App], Report]) -> Iterator[tuple[datetime, Report]]:
    """Sync as of the beginning, then once after each week up to the present; when, and what came of it."""
    then = replace(app, clock=crm.now)
    yield crm.begins, sync(then)
    since, known = crm.begins, 0
    while since < crm.base.now:
        if app.stop.is_set():
            raise Stopped("asked to stop")
        until = min(since + _WEEK, crm.base.now)
        crm.clock.advance((until - crm.now()).total_seconds())
        unfold(crm.url, crm.base, crm.sales, (since, until))
        _answer(app, crm, until)
        crm.clock.advance(_SEEN_S)
        report = sync(then)
        known = _tell_sales(then, crm, known)
        yield until, report
        since = until


def _answer(app: App, crm: Crm, until: datetime) -> None:
    """Keep what sales has said up to then, as `syncer handoffs accept` and `reject` do."""
    settings, keys = app.project.handoff, {each.email: each.key for each in _handed(app)}
    if settings is None:
        return
    for said in crm.sales.says(until):
        with app.store.writing() as tx:
            take(tx, keys[said.email], Answer(not said.reason, said.author, said.at, "command", said.reason), settings)


def _handed(app: App) -> list[Handoff]:
    """All hand-offs, oldest first."""
    with app.store.reading() as tx:
        return sorted((each for each, _, _ in outbox.handoffs(tx, "crm")), key=lambda each: (each.at, each.key))


def _tell_sales(app: App, crm: Crm, known: int) -> int:
    """The team hears of the hand-offs that are new; how many there are now."""
    handed = _handed(app)
    for handoff in handed[known:]:
        if handoff.email:
            crm.sales.told(handoff.email, handoff.at)
    return len(handed)
