"""Whose turn it is in each team, and how much of their day is taken."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import Connection, func, select, text

from syncer.store.payloads import HANDOFF
from syncer.store.sql import among, upsert
from syncer.store.tables import handoffs
from syncer.store.tables import turns as kept

Turns = Mapping[str, tuple[int, int]]
"""Of one team: member -> (weight, credit), as `handoff.routing` counts them."""


_PATIENCE_S = 900


def hold(tx: Connection) -> None:
    """To the end of the transaction nobody else chooses. On SQLite nobody else writes anyway. Applying a large plan may
    hold it for minutes."""
    if tx.dialect.name == "postgresql":
        tx.execute(text(f"SET LOCAL lock_timeout = '{_PATIENCE_S}s'"))
        tx.execute(text("LOCK TABLE turns IN EXCLUSIVE MODE"))


def given(tx: Connection, keys: Iterable[str]) -> dict[str, str | None]:
    """Key of each hand-off of these that is kept already -> whom it was given to."""
    found = tx.execute(select(handoffs.c.key, handoffs.c.payload).where(among(tx, handoffs.c.key, keys)))
    return {key: HANDOFF.value(payload).assigned_to for key, payload in found}


def loads(tx: Connection, since: Mapping[str, datetime]) -> dict[str, int]:
    """Address in lower case -> the hand-offs that were given to it from its moment in `since` on; absent: none."""
    at_once: dict[datetime, list[str]] = defaultdict(list)
    for address, moment in since.items():
        at_once[moment].append(address)
    counted: dict[str, int] = {}
    for moment, addresses in at_once.items():
        theirs = among(tx, handoffs.c.assigned_to, addresses) & (handoffs.c.assigned_at >= moment)
        found = select(handoffs.c.assigned_to, func.count()).where(theirs).group_by(handoffs.c.assigned_to)
        counted.update((address, count) for address, count in tx.execute(found))
    return counted


def all_turns(tx: Connection) -> dict[str, Turns]:
    """Team -> its turns; a team that has never been chosen from is absent."""
    found = tx.execute(select(kept.c.team, kept.c.standing))
    return {team: {member: (weight, credit) for member, (weight, credit) in raw.items()} for team, raw in found}


def keep(tx: Connection, turns: Mapping[str, Turns]) -> None:
    upsert(tx, kept, [{"team": team, "standing": dict(standing)} for team, standing in sorted(turns.items())])
