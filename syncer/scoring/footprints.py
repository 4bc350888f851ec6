"""A lead's matches as few bytes, and back: what is kept in the store so that a lead that nothing happened to can be
evaluated at any time without reading its facts again.

bits: one bit for each plain test · hits: 8 bytes each, test and time in one integer, sorted.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from syncer.model import Footprint
from syncer.rules import Model
from syncer.scoring.match import Matched, leaves_of

_TIME_BITS = 49  # milliseconds of ten thousand years
_YEAR_1_MS = 62_135_596_800_000 + 2 * 86_400_000  # from the year 1 to 1970; clocks east of UTC begin a day before
_TIME = (1 << _TIME_BITS) - 1
MOST_LEAVES = 1 << (63 - _TIME_BITS)
"""A model of more tests than this is matched anew each time."""


def packed(matched: Matched, model: Model) -> list[Footprint]:
    """One footprint for each row; empty for a model with too many tests."""
    if len(matched.hit_leaf) and int(matched.hit_leaf[-1]) >= MOST_LEAVES:
        return []
    order = np.argsort(matched.hit_lead, kind="stable")  # so far by (leaf, lead, time)
    whole = (matched.hit_leaf[order] << _TIME_BITS) | (matched.hit_at[order] + _YEAR_1_MS)
    ends = np.searchsorted(matched.hit_lead[order], np.arange(matched.leads + 1))
    bits = np.packbits(matched.bits, axis=1)
    return [
        Footprint(model.version, bits[row].tobytes(), whole[ends[row] : ends[row + 1]].astype("<i8").tobytes())
        for row in range(matched.leads)
    ]


def unpacked(footprints: Sequence[Footprint], model: Model) -> Matched:
    """What `match` said of the leads when their footprints were packed, under the same model."""
    width = len(leaves_of(model).bits)
    stored = np.frombuffer(b"".join(each.bits for each in footprints), dtype=np.uint8)
    bits = np.unpackbits(stored.reshape(len(footprints), (width + 7) // 8), axis=1, count=width).astype(np.bool_)
    whole = np.frombuffer(b"".join(each.hits for each in footprints), dtype="<i8").astype(np.int64)
    lead = np.repeat(np.arange(len(footprints)), [len(each.hits) // 8 for each in footprints])
    leaf = whole >> _TIME_BITS
    order = np.argsort(leaf.astype(np.int16), kind="stable")  # of 16 bits it is a radix sort
    return Matched(bits, leaf[order], lead[order], (whole[order] & _TIME) - _YEAR_1_MS)
