"""What touched a lead since it was decided: bits of one column, set together with a new revision."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from sqlalchemy import Connection, update

from syncer.model import Cause
from syncer.store.sql import among
from syncer.store.tables import leads

BITS: Mapping[Cause, int] = {"profile": 1, "activity": 2, "merge": 4, "override": 8, "baseline": 16}
"""`baseline`: another connection of the lead is still telling what was there before we looked."""

Touches = defaultdict[int, int]
"""Lead -> the bits of what touched it."""


def no_touches() -> Touches:
    return defaultdict(int)


def touch(tx: Connection, touches: Mapping[int, int]) -> None:
    """Set the bits and raise the revision, once for each lead; a lead with no bit is not touched."""
    by_bits: dict[int, list[int]] = {}
    for lead, bits in touches.items():
        by_bits.setdefault(bits, []).append(lead)
    for bits, touched in sorted(by_bits.items()):
        if bits:
            tx.execute(
                update(leads)
                .where(among(tx, leads.c.id, sorted(touched)))
                .values(touched=leads.c.touched.bitwise_or(bits), revision=leads.c.revision + 1)
            )


def causes_of(bits: int) -> frozenset[Cause]:
    return _CAUSES[bits]


_CAUSES = [frozenset(cause for cause, bit in BITS.items() if bits & bit) for bits in range(32)]
