"""A part of some leads as people are told of it: with what is known of the share from so many."""

from __future__ import annotations

from dataclasses import dataclass

from syncer.measures import Share


@dataclass(frozen=True, slots=True)
class Part:
    """`part` of `of` leads. `share` is None where there is nobody to count; with 95 % it lies from `low` to `high`."""

    part: int
    of: int
    share: float | None  # 0 to 1, as the ends
    low: float
    high: float


def part_of(share: Share) -> Part:
    low, high = share.interval
    value = None if share.value is None else round(share.value, 4)
    return Part(share.part, share.of, value, round(low, 4), round(high, 4))
