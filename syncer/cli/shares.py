"""Shares of leads, as they are shown."""

from __future__ import annotations

from typing import Any

from syncer.measures import Share


def share_json(share: Share) -> dict[str, Any]:
    low, high = share.interval
    value = None if share.value is None else round(share.value, 4)
    return {"part": share.part, "of": share.of, "share": value, "interval": [round(low, 4), round(high, 4)]}


def percent(share: Share) -> str:
    return "–" if share.value is None else f"{share.value * 100:.1f} %"


def interval(share: Share) -> str:
    """ "37.2 to 44.9", in percent."""
    low, high = share.interval
    return "–" if share.value is None else f"{low * 100:.1f} to {high * 100:.1f}"


def counted(leads: int) -> str:
    """ "1 lead", "2,140 leads"."""
    return f"{leads:,} lead{'s' * (leads != 1)}"
