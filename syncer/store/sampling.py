"""A sample of a base: some of its leads, from all over it, and the same ones each time."""

from __future__ import annotations

from sqlalchemy import Connection, select

from syncer.store.tables import leads

_PRIME, _FACTOR = 1_000_003, 618_034  # ids that follow each other land far apart


def sample(tx: Connection, connection: str, most: int) -> list[int]:
    """The ids of at most so many leads with a live record, old and new alike; sorted."""
    live = select(leads.c.id).where(leads.c.connection == connection, leads.c.live.is_(True))
    scattered = live.order_by(leads.c.id % _PRIME * _FACTOR % _PRIME, leads.c.id).limit(most)
    return sorted(tx.execute(scattered).scalars())
