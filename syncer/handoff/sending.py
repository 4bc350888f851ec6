"""The outbox, drained: what is due goes out once, and what became of it is kept before the next one is touched.

A notice is `sending` in a committed row before its first byte leaves, so a process that dies leaves a trace: whoever
comes next calls it uncertain and does what the channel allows with a message that may have arrived.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain

import structlog
from sqlalchemy import Connection

from syncer.connector import HandoffTarget
from syncer.errors import LeaseLost
from syncer.handoff import clock
from syncer.handoff.channels import open_channels
from syncer.handoff.delivery import Channel, DeliveryError
from syncer.handoff.messages import Audience, Language
from syncer.model import Notice
from syncer.settings import CrmTask, HandoffSettings
from syncer.store import Lease, Store, clocks, leases, outbox

log = structlog.get_logger(__name__)

MOST_ATTEMPTS = 80  # over three days: a CRM or a mailbox may be down from Friday to Monday
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 30.0, 3600.0
_BATCH = 500
_PATIENCE = 3  # failures in a row after which a channel rests until the next drain, so that it delays no other
_TASK_SETTLES = timedelta(seconds=150)
"""How long after its claim a CRM may still make a task: looking for it takes 30 s at most, and a request that a proxy
gave up after 100 s, or that a process did not live to hear of, may be worked all the same."""
_SEND_S = 30.0  # what a send may take: to connect, to write, to be answered
HELD = "held: may have been delivered"


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one drain works with. Its caller holds the lease, so nobody else sends for this connection."""

    store: Store
    connection: str
    settings: HandoffSettings
    clock: Callable[[], datetime]
    stop: threading.Event
    lease: Lease
    language: Language
    timezone: str
    target: HandoffTarget | None = None  # the connection's connector, where it can create tasks
    crm_rests: bool = False  # the CRM has asked for patience: its tasks wait, other messages go out


@dataclass(slots=True)
class _Round:
    """One drain as it goes."""

    delivery: Delivery
    channels: Mapping[str, Channel]
    counts: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)  # by channel, since it last worked


def drain(delivery: Delivery) -> Counter[str]:
    """Send what is due, what may have been sent before first. Leaves early, and quietly, when asked to stop.

    -> notices_sent, of these notices_repeated, notices_postponed, notices_uncertain, notices_dead, of these
    notices_held. LeaseLost where another process took over.
    """
    audience = Audience(delivery.language, delivery.timezone, delivery.settings.templates)
    going = _Round(delivery, open_channels(delivery.settings, audience, delivery.target))
    with delivery.store.writing(delivery.lease) as tx:
        uncertain = outbox.recover(tx, delivery.connection, delivery.clock())
    _catch_up(delivery)
    _remind(going)
    for notice in chain(uncertain, _due(delivery, {notice.key for notice in uncertain})):
        if delivery.stop.is_set():
            break
        _deliver(going, notice)
    if going.counts["notices_dead"]:
        _catch_up(delivery)
    return going.counts


def _catch_up(delivery: Delivery) -> None:
    with delivery.store.writing(delivery.lease) as tx:
        clock.catch_up(tx, delivery.connection, delivery.settings, delivery.clock())


def _remind(going: _Round) -> None:
    """Queue what is due of hand-offs on which nobody has acted."""
    delivery, seen = going.delivery, frozenset[str]()
    while not delivery.stop.is_set():
        with delivery.store.writing(delivery.lease) as tx:
            looked = clock.remind(tx, delivery.connection, delivery.settings, delivery.clock())
        if looked <= seen:  # none, or none that a step has moved on
            return
        seen |= looked


def pause_s(attempts: int, wish_s: float | None) -> float:
    """Seconds to wait after so many attempts: the receiver's wish, or 30 doubling to an hour."""
    if wish_s is not None:
        return max(wish_s, 1.0)
    return min(_FIRST_PAUSE_S * 2.0 ** (attempts - 1), _LONGEST_PAUSE_S)


def _due(delivery: Delivery, seen: set[str]) -> Iterator[Notice]:
    """Each once. No transaction stays open while they are sent; what rests at the front never hides the rest."""
    while True:
        with delivery.store.reading() as tx:
            found = outbox.due(tx, delivery.connection, delivery.clock(), _BATCH + len(seen))
        fresh = [notice for notice in found if notice.key not in seen]
        if not fresh:
            return
        seen.update(notice.key for notice in fresh)
        yield from fresh


def _deliver(going: _Round, notice: Notice) -> None:
    if going.delivery.crm_rests and _is_task(going, notice):
        return
    channel = going.channels.get(notice.channel)
    if channel is None:
        _bury(going, notice, f"the project file no longer has a notifier {notice.channel!r}")
    elif notice.state == "uncertain" and channel.repeats == "hold":
        going.counts["notices_held"] += 1
        _bury(going, notice, HELD)
    elif going.failures[notice.channel] < _PATIENCE:
        _send(going, channel, notice)


def _is_task(going: _Round, notice: Notice) -> bool:
    return isinstance(going.delivery.settings.notifiers.get(notice.channel), CrmTask)


def _send(going: _Round, channel: Channel, notice: Notice) -> None:
    delivery, repeat = going.delivery, notice.state == "uncertain" or notice.unsure
    settled_at = delivery.clock() + _TASK_SETTLES if _is_task(going, notice) else None
    with delivery.store.writing(delivery.lease) as tx:
        if not clock.still_wanted(tx, notice, delivery.settings):
            outbox.drop(tx, notice.key, "sales had acted, or the lead had left the stage, before this could go out")
            return
        if not outbox.mark_sending(tx, notice.key, settled_at):
            return
    _enough_time(delivery)
    try:
        channel.send(notice, repeat)
    except DeliveryError as failure:
        _keep_failure(going, notice, failure)
        return
    _keep_sent(delivery, notice)
    going.failures[notice.channel] = 0
    going.counts["notices_sent"] += 1
    going.counts["notices_repeated"] += repeat


def _keep_sent(delivery: Delivery, notice: Notice) -> None:
    """That it was sent is kept by itself, for nothing that fails afterwards may have it sent again. An escalation tells
    somebody else, so it starts no clock."""
    sent_at, starts = delivery.clock(), notice.kind != "escalation"
    with delivery.store.writing(delivery.lease) as tx:
        outbox.mark_sent(tx, notice.key, sent_at)
        if starts:
            clocks.owe(tx, notice.key)
    if starts:
        with delivery.store.writing(delivery.lease) as tx:
            clock.tell(tx, notice.handoff, delivery.settings, sent_at)


def _enough_time(delivery: Delivery) -> None:
    """A process that slept between its claim and the send must not send: another may be doing it."""
    if leases.time_left(delivery.store, delivery.lease) < min(_SEND_S, delivery.lease.ttl_s / 2):
        raise LeaseLost(
            f"{delivery.connection}: this process stood still just before a message went out; it was not sent",
            code="SY064",
        )


def _keep_failure(going: _Round, notice: Notice, failure: DeliveryError) -> None:
    attempts = notice.attempts + 1
    if failure.outcome == "permanent":
        _bury(going, notice, failure.message)
        return
    # A receiver that names a time has spoken for the whole channel.
    going.failures[notice.channel] += _PATIENCE if failure.retry_after_s is not None else 1
    if attempts >= MOST_ATTEMPTS:
        _bury(going, notice, f"given up after {attempts} attempts: {failure.message}")
        return
    with going.delivery.store.writing(going.delivery.lease) as tx:
        _put_off(going, tx, notice, failure)


def _put_off(going: _Round, tx: Connection, notice: Notice, failure: DeliveryError) -> None:
    """What may have arrived once stays uncertain however its repeats fail, so that the next one is marked as well; but
    for one that a person wants to be repeated, which stays marked and is not held again."""
    next_at = going.delivery.clock() + timedelta(seconds=pause_s(notice.attempts + 1, failure.retry_after_s))
    if failure.outcome == "uncertain" or notice.state == "uncertain":
        going.counts["notices_uncertain"] += 1
        outbox.mark_uncertain(tx, notice.key, failure.message, next_at)
        return
    going.counts["notices_postponed"] += 1
    outbox.mark_failed(tx, notice.key, failure.message, next_at)


def _bury(going: _Round, notice: Notice, error: str) -> None:
    """Not sent any more; shown to people instead."""
    delivery = going.delivery
    with delivery.store.writing(delivery.lease) as tx:
        outbox.mark_dead(tx, notice.key, error)
    going.counts["notices_dead"] += 1
    log.warning("notice_dead", connection=delivery.connection, channel=notice.channel, key=notice.key, reason=error)
