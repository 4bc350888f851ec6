"""For which connections the fleet's bell shall ring. One statement looks at all of them.

A connection that is rung for bears the time of it, by the database's clock: so of many workers that look at once one
rings, and it rings again where nobody took up the work within a few seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Connection, and_, exists, func, literal, or_, select, update
from sqlalchemy.sql.selectable import Select

from syncer.store.columns import EPOCH
from syncer.store.hints import LATER
from syncer.store.leases import is_dead
from syncer.store.outbox import UNSENT
from syncer.store.queues import Call, Queue
from syncer.store.runs import is_parked
from syncer.store.sql import among, now_ms
from syncer.store.tables import connections, handoffs, hints, leases, notices, score_ranges, write_backs

AGAIN_S = 3.0  # after which it rings again where nobody took up the work
DELIVER_S = 30.0  # how often messages that could not be sent are tried again
SYNC: Call = "sync"
RESUME: Call = "resume"  # the same for a connection whose run was cut off: it has waited already
FOLLOW: Call = "follow"

_name = connections.c.name


@dataclass(frozen=True, slots=True)
class Look:
    """Who looks: at which connections, when by its own clock (which due times are kept by), and which queue it rings
    through; None: one that nothing waits in."""

    names: Sequence[str]
    now: datetime
    queue: Queue | None = None

    def waits(self, call: Call) -> ColumnElement[bool]:
        return literal(False) if self.queue is None else self.queue.waits(call, _name)


def due(tx: Connection, look: Look) -> list[tuple[str, Call]]:
    """Connections whose time has come ("resume" where whoever was at work on it is gone, else "sync"), the longest due
    first, and then those whose CRM has spoken of leads ("follow"). Whoever is told of one must ring."""
    to_run = or_(connections.c.due_at.is_(None), connections.c.due_at <= look.now)
    spoken = exists().where(hints.c.connection == _name, or_(hints.c.at <= look.now, hints.c.at > look.now + LATER))
    wanted = or_(and_(to_run, ~look.waits("sync"), ~look.waits("resume")), and_(~to_run, spoken, ~look.waits("follow")))
    found = _ring(tx, _free(tx, look, AGAIN_S).where(wanted))
    never = datetime.min.replace(tzinfo=UTC)
    late = sorted((due_at or never, name) for name, due_at in found if due_at is None or due_at <= look.now)
    hinted = sorted(name for name, due_at in found if due_at is not None and due_at > look.now)
    left = _left_at_work(tx, [name for _, name in late])
    calls: dict[str, Call] = {name: RESUME if name in left else SYNC for _, name in late}
    return [*calls.items(), *((name, FOLLOW) for name in hinted)]


def _left_at_work(tx: Connection, names: Sequence[str]) -> set[str]:
    """Of connections that nobody works on, those whose lease was never given back: their run was cut off."""
    never_given_back = (among(tx, leases.c.connection, names), leases.c.expires_at > 0)
    return set(tx.execute(select(leases.c.connection).where(*never_given_back)).scalars())


def answered(tx: Connection, name: str) -> None:
    """The connection has run: it may be rung for again as soon as it is due."""
    tx.execute(update(connections).where(_name == name).values(rung_at=None))


def undelivered(tx: Connection, look: Look) -> list[str]:
    """Connections with something to write or to send, which no run has taken along for half a minute."""
    wanted = or_(_unwritten(look.now), _unsent(look.now), _to_remind(look.now), _owed())
    return sorted(name for name, _ in _ring(tx, _free(tx, look, DELIVER_S).where(wanted, ~look.waits("deliver"))))


def to_help(tx: Connection, look: Look) -> list[tuple[str, int]]:
    """Connections whose leads are being scored in ranges of which some are free, each with how many."""
    free = (
        select(score_ranges.c.connection, func.count().label("ranges"))
        .where(score_ranges.c.done.is_(False), score_ranges.c.taken_until <= now_ms(tx))
        .group_by(score_ranges.c.connection)
        .cte("free")
    )
    which = (
        select(_name)
        .where(_name.in_(select(free.c.connection)), among(tx, _name, look.names))
        .where(_not_rung(tx, AGAIN_S), ~look.waits("score"))
        .with_for_update(skip_locked=True)
    )
    rung = update(connections).where(_name.in_(which)).values(rung_at=now_ms(tx))
    names = tx.execute(rung.returning(_name)).scalars().all()
    found = select(free.c.connection, free.c.ranges).where(among(tx, free.c.connection, names))
    return [(row.connection, row.ranges) for row in tx.execute(found)] if names else []


def _not_rung(tx: Connection, again_s: float) -> ColumnElement[bool]:
    """Nobody has rung for it lately. A ring that is to come was of a clock that has been set back."""
    now, again_ms, rung = now_ms(tx), round(again_s * 1000), connections.c.rung_at
    return or_(rung.is_(None), rung <= now - again_ms, rung > now + again_ms)


def _free(tx: Connection, look: Look, again_s: float) -> Select[tuple[str]]:
    """Those that nobody is at work on, whose CRM may be asked, and that nobody has rung for lately."""
    held = (leases.c.connection == _name, leases.c.expires_at > now_ms(tx))
    at_work = exists().where(*held, ~among(tx, leases.c.holder, _dead(tx)))
    return (
        select(_name)
        .where(among(tx, _name, look.names), ~at_work, _not_rung(tx, again_s), ~is_parked(look.now))
        .with_for_update(skip_locked=True)
    )


def _dead(tx: Connection) -> list[str]:
    """Holders of leases that were processes of this machine, and are no more."""
    holders = select(leases.c.holder).where(leases.c.expires_at > now_ms(tx)).distinct()
    return [each for each in tx.execute(holders).scalars() if is_dead(each)]


def _ring(tx: Connection, which: Select[tuple[str]]) -> list[tuple[str, datetime | None]]:
    rung = update(connections).where(_name.in_(which)).values(rung_at=now_ms(tx))
    return [(row.name, row.due_at) for row in tx.execute(rung.returning(_name, connections.c.due_at))]


def _unwritten(now: datetime) -> ColumnElement[bool]:
    waits = write_backs.c.pending.is_not(None) & write_backs.c.given_up.is_(False)
    come = or_(write_backs.c.next_at.is_(None), write_backs.c.next_at <= now)
    return exists().where(write_backs.c.connection == _name, waits, come)


def _unsent(now: datetime) -> ColumnElement[bool]:
    wanted = notices.c.state.in_((*UNSENT, "sending"))
    come = or_(notices.c.not_before.is_(None) & (notices.c.state != "waiting"), notices.c.not_before <= now)
    return exists().where(notices.c.connection == _name, wanted, come)


def _to_remind(now: datetime) -> ColumnElement[bool]:
    come = handoffs.c.look_at.is_not(None) & handoffs.c.closed_at.is_(None) & (handoffs.c.look_at <= now)
    return exists().where(handoffs.c.connection == _name, come)


def _owed() -> ColumnElement[bool]:
    """A message was sent, and the clock of its hand-off has not been started."""
    return exists().where(notices.c.connection == _name, notices.c.state == "sent", notices.c.not_before >= EPOCH)
