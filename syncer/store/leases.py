"""Who may work on a connection. A lease is a row: a holder, an epoch that only grows, a time it ends.

The epoch fences: every transaction of a run begins by renewing its lease under its epoch, so a process that was frozen
while another took over finds no row and writes nothing. The renewed row stays locked until that transaction ends.
"""

from __future__ import annotations

import hashlib
import os
import socket
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, case, literal, select, update
from sqlalchemy.sql.elements import ColumnElement

from syncer.errors import LeaseLost
from syncer.store.columns import from_ms
from syncer.store.sql import insert, now_ms
from syncer.store.tables import leases

if TYPE_CHECKING:
    from datetime import datetime

    from syncer.store.database import Store


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

    The lease of a process that certainly died has ended.
    """
    with store.writing() as tx:
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


def renew(tx: Connection, lease: Lease) -> None:
    """The lease lasts its whole `ttl_s` from now; LeaseLost (SY064) if it is not ours any more."""
    renewed = update(leases).where(_ours(lease)).values(expires_at=now_ms(tx) + _ms(lease.ttl_s))
    if tx.execute(renewed).rowcount == 0:
        raise LeaseLost(
            f"{lease.connection}: another process took over while this one stood still; nothing was written",
            code="SY064",
        )


def release(store: Store, lease: Lease) -> None:
    """Give it back. Somebody else's is left alone; the epoch stays."""
    with store.writing() as tx:
        tx.execute(update(leases).where(_ours(lease)).values(expires_at=0))


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


def _ours(lease: Lease) -> ColumnElement[bool]:
    return (
        (leases.c.connection == lease.connection) & (leases.c.holder == lease.holder) & (leases.c.epoch == lease.epoch)
    )


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
