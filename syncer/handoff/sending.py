"""The outbox, drained: what is due goes out once, and what became of it is kept before the next one is touched.

A notice is `sending` in a committed row before its first byte leaves, so a process that dies leaves a trace: whoever
comes next calls it uncertain and does what the channel allows with a message that may have arrived. The notices of a
digest fare alike: they are claimed together, under its name, and whatever becomes of it is kept of all in one.

The channels take turns, so that one that must not send too fast delays no other.
"""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection

from syncer.connector import Assigner, HandoffTarget
from syncer.errors import LeaseLost
from syncer.handoff import clock, pace, quiet
from syncer.handoff.channels import open_channels
from syncer.handoff.delivery import Channel, DeliveryError, Gathering
from syncer.handoff.lanes import Lane, Message
from syncer.handoff.links import Links
from syncer.handoff.messages import Audience, Language
from syncer.handoff.routing import OWNER_CHANNEL
from syncer.model import Notice
from syncer.settings import Apprise, CrmTask, Email, HandoffSettings, Slack
from syncer.store import Lease, Store, clocks, leases, outbox

log = structlog.get_logger(__name__)

MOST_ATTEMPTS = 80  # over three days: a CRM or a mailbox may be down from Friday to Monday
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 30.0, 3600.0
_PATIENCE = 3  # failures in a row after which a channel rests until the next drain, so that it delays no other
_TASK_SETTLES = timedelta(seconds=150)
"""How long after its claim a CRM may still make a task: looking for it takes 30 s at most, and a request that a proxy
gave up after 100 s, or that a process did not live to hear of, may be worked all the same."""
_SLACK_APART_S = 1.0  # Slack takes one message a second over a webhook (its guide "Rate limits")
_SEND_S = 30.0  # what a send may take: to connect, to write, to be answered
_LONGEST = timedelta(minutes=10)
"""After which a drain leaves the rest to the next: nothing else is done for the connection meanwhile, and whoever
becomes ready next must not wait for hours until slow receivers have heard of ten thousand."""
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
    assigner: Assigner | None = None  # the same, where its records belong to somebody
    crm_rests: bool = False  # the CRM has asked for patience: its tasks wait, other messages go out
    links: Links | None = None  # by which those who are told answer


@dataclass(slots=True)
class _Round:
    """One drain as it goes."""

    delivery: Delivery
    channels: Mapping[str, Channel]
    counts: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)  # by channel, since it last worked


@dataclass(frozen=True, slots=True)
class _Turn:
    """A channel that has something to send. `place`: where its messages must not arrive too fast; None: anywhere."""

    name: str
    messages: Iterator[Message]
    place: str | None


def drain(delivery: Delivery) -> Counter[str]:
    """Send what is due, over each channel digests that may have been sent before first. Leaves early, and quietly, when
    asked to stop; the rest stays due, also where there is more than `_LONGEST` allows.

    -> notices_sent, of these notices_repeated, notices_postponed, notices_uncertain, notices_dropped, notices_dead, of
    these notices_held; and digests_sent. LeaseLost where another process took over.
    """
    audience = Audience(delivery.language, delivery.timezone, delivery.settings.templates, links=delivery.links)
    channels = open_channels(delivery.settings, audience, delivery.target, delivery.assigner)
    going = _Round(delivery, channels)
    with delivery.store.writing(delivery.lease) as tx:
        outbox.recover(tx, delivery.connection)
    _catch_up(delivery)
    _remind(going)
    _take_turns(going)
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


def _take_turns(going: _Round) -> None:
    """One message each, first those who need not wait; a channel that fails again and again is done for now."""
    stop, now = going.delivery.stop, going.delivery.clock
    until, turns = now() + _LONGEST, {each.name: each for each in _turns(going)}
    following = {name: message for name, turn in turns.items() if (message := next(turn.messages, None)) is not None}
    while following and not stop.is_set() and now() < until:
        turn = min((turns[name] for name in following), key=lambda each: pace.wait_s(each.place))
        if stop.wait(pace.wait_s(turn.place)):
            return
        _deliver(going, turn, following.pop(turn.name))
        if going.failures[turn.name] < _PATIENCE and (message := next(turn.messages, None)) is not None:
            following[turn.name] = message


def _turns(going: _Round) -> Iterator[_Turn]:
    delivery, now = going.delivery, going.delivery.clock()
    _hush(delivery, now)
    with delivery.store.reading() as tx:
        names = outbox.due_over(tx, delivery.connection, now)
    for name in names:
        if not (delivery.crm_rests and _is_the_crms(delivery.settings, name)):
            channel = going.channels.get(name)
            gathers = channel if isinstance(channel, Gathering) else None
            lane = Lane(delivery.store, delivery.connection, name, now, delivery.settings.digest, gathers)
            yield _Turn(name, lane.messages(), _place(delivery.settings, name))


def _place(settings: HandoffSettings, name: str) -> str | None:
    notifier = settings.notifiers.get(name)
    return notifier.url.get_secret_value() if isinstance(notifier, Slack) else None


def _hush(delivery: Delivery, now: datetime) -> None:
    """In quiet hours what disturbs people is put off in one go, so that it is not looked at again and again."""
    hours = delivery.settings.quiet
    if hours is None or quiet.ends(hours, now) == now:
        return
    until = outbox.Rest(quiet.ends(hours, now), hours.at_most)
    with delivery.store.writing(delivery.lease) as tx:
        for name in delivery.settings.notifiers:
            if _disturbs(delivery.settings, name):
                outbox.rest(tx, delivery.connection, name, now, until)


def _disturbs(settings: HandoffSettings, name: str) -> bool:
    return isinstance(settings.notifiers.get(name), Email | Slack | Apprise)


def _is_too_early(delivery: Delivery, turn: _Turn, message: Message) -> bool:
    """Quiet hours have begun since the drain did."""
    hours, now = delivery.settings.quiet, delivery.clock()
    if hours is None or not _disturbs(delivery.settings, turn.name) or quiet.ends(hours, now) == now:
        return False
    return not any(each.kind == "handoff" and each.handoff.at + hours.at_most <= now for each in message)


def _deliver(going: _Round, turn: _Turn, message: Message) -> None:
    channel = going.channels.get(turn.name)
    if channel is None:
        _bury(going, message, f"the project file no longer has a notifier {turn.name!r}")
    elif message[0].state == "uncertain" and channel.repeats == "hold":
        going.counts["notices_held"] += len(message)
        _bury(going, message, HELD)
    elif not _is_too_early(going.delivery, turn, message):
        _send(going, channel, turn, message)


def _is_the_crms(settings: HandoffSettings, name: str) -> bool:
    return name == OWNER_CHANNEL or _is_task(settings, name)


def _send(going: _Round, channel: Channel, turn: _Turn, message: Message) -> None:
    delivery = going.delivery
    if delivery.stop.wait(pace.take(turn.place, _SLACK_APART_S)):
        return
    claimed = _claimed(going, message)
    if not claimed:
        return
    repeat = any(each.state == "uncertain" or each.unsure for each in claimed)
    _enough_time(delivery)
    try:
        _hand_in(channel, claimed, repeat)
    except DeliveryError as failure:
        _keep_failure(going, claimed, failure)
        return
    finally:
        pace.done(turn.place, _SLACK_APART_S)
    _keep_sent(delivery, claimed)
    going.failures[turn.name] = 0
    going.counts["notices_sent"] += len(claimed)
    going.counts["notices_repeated"] += len(claimed) if repeat else 0
    going.counts["digests_sent"] += _is_digest(channel, claimed)


def _claimed(going: _Round, message: Message) -> list[Notice]:
    """What of the message is ours to send now, as it is by now, all in one transaction; of a digest each knows its
    name."""
    delivery = going.delivery
    settled_at = delivery.clock() + _TASK_SETTLES if _is_task(delivery.settings, message[0].channel) else None
    with delivery.store.writing(delivery.lease) as tx:
        wanted = _wanted(going, tx, message)
        name = _digest_name(wanted)
        claimed = [each for each in wanted if outbox.mark_sending(tx, each.key, settled_at, name)]
    return [replace(each, digest=name) for each in claimed]


def _wanted(going: _Round, tx: Connection, message: Message) -> list[Notice]:
    """Read again, for a person may have been erased since the lane looked; what nobody wants any more is dropped. All
    hand-offs are looked at before any message is written, the order in which others lock them."""
    named = {each.key: each for each in outbox.named(tx, [each.key for each in message])}
    left = [named[each.key] for each in message if named[each.key].state in outbox.UNSENT]
    reasons = clock.no_longer_wanted(tx, left, going.delivery.settings)
    for key, why in reasons.items():
        going.counts["notices_dropped"] += outbox.drop(tx, key, why)
    return [each for each in left if each.key not in reasons]


def _is_task(settings: HandoffSettings, name: str) -> bool:
    return isinstance(settings.notifiers.get(name), CrmTask)


def _digest_name(message: Message) -> str | None:
    """A digest that may have arrived keeps its name, by which its receiver may know it again; 32 hexadecimal digits."""
    if message and message[0].state == "uncertain":
        return message[0].digest
    if len(message) < 2:
        return None
    return hashlib.sha256(" ".join(sorted(each.key for each in message)).encode()).hexdigest()[:32]


def _hand_in(channel: Channel, message: Message, repeat: bool) -> None:
    if isinstance(channel, Gathering) and _is_digest(channel, message):
        channel.send_digest(message, repeat)
    else:
        channel.send(message[0], repeat)


def _is_digest(channel: Channel, message: Message) -> bool:
    return message[0].digest is not None and isinstance(channel, Gathering)


def _keep_sent(delivery: Delivery, message: Message) -> None:
    """That it was sent is kept by itself, for nothing that fails afterwards may have it sent again. An escalation tells
    somebody else, and an assignment nobody, so they start no clock."""
    sent_at, starts = delivery.clock(), message[0].kind in ("handoff", "reminder")
    with delivery.store.writing(delivery.lease) as tx:
        for notice in message:
            outbox.mark_sent(tx, notice.key, sent_at)
            if starts:
                clocks.owe(tx, notice.key)
    if starts:
        with delivery.store.writing(delivery.lease) as tx:
            for notice in message:
                clock.tell(tx, notice.handoff, delivery.settings, sent_at)


def _enough_time(delivery: Delivery) -> None:
    """A process that slept between its claim and the send must not send: another may be doing it."""
    if leases.time_left(delivery.store, delivery.lease) < min(_SEND_S, delivery.lease.ttl_s / 2):
        raise LeaseLost(
            f"{delivery.connection}: this process stood still just before a message went out; it was not sent",
            code="SY064",
        )


def _keep_failure(going: _Round, message: Message, failure: DeliveryError) -> None:
    if failure.outcome == "permanent":
        _bury(going, message, failure.message)
        return
    if failure.outcome == "moot":
        _let_go(going, message, failure.message)
        return
    # A receiver that names a time has spoken for the whole channel.
    going.failures[message[0].channel] += _PATIENCE if failure.retry_after_s is not None else 1
    spent = [each for each in message if each.attempts + 1 >= MOST_ATTEMPTS]
    if spent:
        _bury(going, spent, f"given up after {MOST_ATTEMPTS} attempts: {failure.message}")
    left = [each for each in message if each.attempts + 1 < MOST_ATTEMPTS]
    if left:
        with going.delivery.store.writing(going.delivery.lease) as tx:
            _put_off(going, tx, left, failure)


def _put_off(going: _Round, tx: Connection, message: Message, failure: DeliveryError) -> None:
    """What may have arrived once stays uncertain however its repeats fail, so that the next one is marked as well; but
    for one that a person wants to be repeated, which stays marked and is not held again."""
    attempts = max(each.attempts for each in message) + 1
    next_at = going.delivery.clock() + timedelta(seconds=pause_s(attempts, failure.retry_after_s))
    uncertain = failure.outcome == "uncertain" or message[0].state == "uncertain"
    going.counts["notices_uncertain" if uncertain else "notices_postponed"] += len(message)
    keep = outbox.mark_uncertain if uncertain else outbox.mark_failed
    for notice in message:
        keep(tx, notice.key, failure.message, next_at)
    if failure.retry_after_s is not None:
        delivery, now = going.delivery, going.delivery.clock()
        outbox.rest(tx, delivery.connection, message[0].channel, now, outbox.Rest(next_at))


def _let_go(going: _Round, message: Message, why: str) -> None:
    with going.delivery.store.writing(going.delivery.lease) as tx:
        for notice in message:
            outbox.mark_dropped(tx, notice.key, why)
    going.counts["notices_dropped"] += len(message)


def _bury(going: _Round, message: Message, error: str) -> None:
    """Not sent any more; shown to people instead."""
    delivery, first = going.delivery, message[0]
    with delivery.store.writing(delivery.lease) as tx:
        for notice in message:
            outbox.mark_dead(tx, notice.key, error)
    going.counts["notices_dead"] += len(message)
    told = {"connection": delivery.connection, "channel": first.channel, "reason": error}
    log.warning("notice_dead", key=first.digest or first.key, messages=len(message), **told)
