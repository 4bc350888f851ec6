"""Who may work on a connection. A lease is a row: a holder, an epoch that only grows, a time it ends.

The epoch fences: every transaction of a run begins by renewing its lease under its epoch, so a process that was frozen
while another took over finds no row and writes nothing. The renewed row stays locked until that transaction ends.

While its run works a lease is renewed in the background (`kept`), so it may be short: a machine that is gone is missed
for seconds. Before each write to the outside its fence is asked, which costs nothing while the lease is fresh.
"""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from sqlalchemy import Connection, case, literal, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.elements import ColumnElement

from syncer.errors import LeaseLost, TemporaryError
from syncer.store.columns import from_ms
from syncer.store.sql import insert, now_ms
from syncer.store.tables import leases

if TYPE_CHECKING:
    from datetime import datetime

    from syncer.store.database import Store


_TTL_S = {"postgresql": 10.0}  # processes of other machines can only be missed; one of this machine is seen to be dead
_LONG_TTL_S = 120.0
_WAIT_S = 1  # for the row, which whoever works on the connection locks while it writes
_MARGIN_S = 1.0  # of a fence: a request that leaves now is still under way in a moment
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # a machine that slept has lost its leases meanwhile


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on one connection, as long as nobody raised the epoch."""

    connection: str
    holder: str
    epoch: int
    ttl_s: float


def this_process() -> str:
    """A name for this process as a holder, by which another process of this machine can tell that it has died."""
    return "/".join((socket.gethostname(), _place(), str(os.getpid()), uuid.uuid4().hex[:8]))


def is_dead(holder: str) -> bool:
    """Whether the holder was a process of this machine, since it started, that is no more. In doubt: no."""
    parts = holder.split("/")
    if len(parts) != 4 or parts[1] != _place() or not parts[1] or not parts[2].isdecimal():
        return False
    try:
        os.kill(int(parts[2]), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False  # it lives, and belongs to somebody else
    return False


def _place() -> str:
    """Where process numbers mean the same: this start of this machine, and this container on it. "": not known."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
    return hashlib.sha256(f"{boot} {space}".encode()).hexdigest()[:12]


def take(store: Store, connection: str, *, holder: str, ttl_s: float) -> Lease | None:
    """The lease, or None while an earlier one (whoever holds it) has not ended. Every lease has an epoch of its own.

    The lease of a process that certainly died has ended. One whose row is locked is held: its holder writes.
    """
    try:
        return _take(store, connection, holder, ttl_s)
    except TemporaryError as error:
        if isinstance(error.__cause__, DBAPIError) and isinstance(
            error.__cause__.orig, psycopg.errors.LockNotAvailable
        ):
            return None
        raise


def _take(store: Store, connection: str, holder: str, ttl_s: float) -> Lease | None:
    with store.writing() as tx:
        if tx.dialect.name == "postgresql":
            tx.execute(text(f"SET LOCAL lock_timeout = '{_WAIT_S}s'"))
        now = now_ms(tx)
        held = holder_of(tx, connection)
        ended = leases.c.expires_at <= now
        if held is not None and is_dead(held[0]):
            ended |= leases.c.holder == held[0]
        new = insert(tx, leases).values(connection=connection, holder=holder, epoch=1, expires_at=now + _ms(ttl_s))
        taken = new.on_conflict_do_update(
            index_elements=["connection"],
            set_={"holder": holder, "epoch": leases.c.epoch + 1, "expires_at": now + _ms(ttl_s)},
            where=ended,
        ).returning(leases.c.epoch)
        epoch = tx.execute(taken).scalar()
    return None if epoch is None else Lease(connection, holder, epoch, ttl_s)


def ttl_s(store: Store) -> float:
    """How long a lease lasts that nobody renews."""
    return _TTL_S.get(store.dialect, _LONG_TTL_S)


class Fence:
    """Stands between a run and the outside. Where no lease is held (a person's `setup`) it lets everything pass."""

    def __init__(self) -> None:
        self._held: tuple[Store, Lease] | None = None
        self._fresh_until = 0.0  # by `_CLOCK`

    def insist(self) -> None:
        """LeaseLost (SY064) where another process may be at work on the connection by now. Asked before each request
        that writes; looks into the database only where the lease has not been renewed for a while."""
        if self._held is not None and time.clock_gettime(_CLOCK) > self._fresh_until - _MARGIN_S:
            self.renew()

    def renew(self) -> None:
        held = self._held
        if held is None:
            return
        store, lease = held
        began = time.clock_gettime(_CLOCK)
        with store.writing(lease):
            pass
        self._fresh_until = began + lease.ttl_s

    @contextmanager
    def kept(self, store: Store, lease: Lease) -> Iterator[None]:
        """Renew the lease again and again while the block runs."""
        ended = threading.Event()
        self._held, self._fresh_until = (store, lease), 0.0  # who knows how long ago it was taken
        beat = threading.Thread(target=self._beat, args=(ended, lease.ttl_s / 3), name="lease", daemon=True)
        beat.start()
        try:
            yield
        finally:
            ended.set()
            self._held = None
            beat.join(_WAIT_S)  # whose connection would be left open by whoever closes the database next

    def _beat(self, ended: threading.Event, every_s: float) -> None:
        while not ended.wait(every_s):
            try:
                self.renew()
            except LeaseLost:
                return  # the run finds out by itself at its next transaction
            except TemporaryError:
                continue  # so does it where the database is gone for good


def renew(tx: Connection, lease: Lease) -> None:
    """The lease lasts its whole `ttl_s` from now; LeaseLost (SY064) if it is not ours any more."""
    renewed = update(leases).where(_ours(lease)).values(expires_at=now_ms(tx) + _ms(lease.ttl_s))
    if tx.execute(renewed).rowcount == 0:
        raise LeaseLost(
            f"{lease.connection}: another process took over while this one stood still; nothing was written",
            code="SY064",
        )


def release(store: Store, lease: Lease) -> None:
    """Give it back. Somebody else's is left alone; the epoch stays. Who held it cannot renew it any more."""
    with store.writing() as tx:
        tx.execute(update(leases).where(_ours(lease)).values(holder="", expires_at=0))


def time_left(store: Store, lease: Lease) -> float:
    """Seconds until the lease ends; 0 if it ended or is not ours any more. Look before each write to the outside."""
    with store.reading() as tx:
        left = leases.c.expires_at - now_ms(tx)
        found = tx.execute(select(case((left > 0, left), else_=literal(0))).where(_ours(lease))).scalar()
    return (found or 0) / 1000


def holder_of(tx: Connection, connection: str) -> tuple[str, datetime] | None:
    """(holder, when its lease ends or ended); None: never held, or given back."""
    found = tx.execute(
        select(leases.c.holder, leases.c.expires_at).where(leases.c.connection == connection, leases.c.expires_at > 0)
    ).first()
    return None if found is None else (found.holder, from_ms(found.expires_at))


def epoch_of(tx: Connection, connection: str) -> int | None:
    """Of its latest lease; None: never held."""
    return tx.execute(select(leases.c.epoch).where(leases.c.connection == connection)).scalar()


def _ours(lease: Lease) -> ColumnElement[bool]:
    return (
        (leases.c.connection == lease.connection) & (leases.c.holder == lease.holder) & (leases.c.epoch == lease.epoch)
    )


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
