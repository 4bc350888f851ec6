"""First step of the kernel: which test does each fact meet? It does not depend on time.

A model's tests are its *leaves*, each kept once however often it is written. A leaf on a plain field gives a bit per
lead; a leaf on activities, or on a date seen from now, gives *hits*: (lead, leaf, time).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from syncer.model import ActivitySignal, Signals
from syncer.rules import ActivityTest, FieldTest, Model, leaves
from syncer.scoring.hygiene import meets, remembered, sieve
from syncer.scoring.predicates import RELATIVE, predicate
from syncer.scoring.values import epoch_ms, moment_ms, text

Leaf = FieldTest | ActivityTest
T = TypeVar("T")


@dataclass(frozen=True)
class Leaves:
    """A model's tests, numbered."""

    bits: tuple[FieldTest, ...]  # answered once per lead
    dates: tuple[str, ...]  # the fields that newer_than and older_than look at: a hit at the date
    activities: tuple[ActivityTest, ...]  # a hit for each activity that passes

    def number(self, leaf: Leaf) -> int:
        """The leaf's column among bits, or its number among hits (dates first, then activities)."""
        if isinstance(leaf, ActivityTest):
            return len(self.dates) + self.activities.index(untimed(leaf))
        return self.dates.index(leaf.field) if leaf.operator in RELATIVE else self.bits.index(without_booleans(leaf))


@dataclass(frozen=True)
class Matched:
    """What the facts of n leads meet: bits[n, leaf], and hits sorted by (leaf, lead, time)."""

    bits: NDArray[np.bool_]
    hit_leaf: NDArray[np.int64]
    hit_lead: NDArray[np.int64]  # 0 .. n-1
    hit_at: NDArray[np.int64]  # epoch milliseconds

    @property
    def leads(self) -> int:
        return len(self.bits)

    def hits(self, leaf: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(lead, time) of one leaf's hits, by lead, then oldest first."""
        first, last = np.searchsorted(self.hit_leaf, [leaf, leaf + 1])
        return self.hit_lead[first:last], self.hit_at[first:last]


def untimed(test: ActivityTest) -> ActivityTest:
    """The test without its window: windows are looked at in the second step, so they share hits."""
    return ActivityTest(test.kind, tuple(without_booleans(each) for each in test.tests))


def without_booleans(test: FieldTest) -> FieldTest:
    """The test with true and false as texts: True == 1 in Python, but not in a rule, so they must not be one leaf."""
    if not isinstance(test.argument, tuple):
        return test
    return replace(test, argument=tuple(text(each) if isinstance(each, bool) else each for each in test.argument))


def leaves_of(model: Model) -> Leaves:
    """The model's tests, each once, in the order they are first written.

    Not remembered: models that differ only in true and 1 are equal to Python, and hashing one takes as long as this.
    """
    every = [leaf for condition in model.conditions() for leaf in leaves(condition)]
    plain = [leaf for leaf in every if isinstance(leaf, FieldTest)]
    return Leaves(
        bits=_once(without_booleans(leaf) for leaf in plain if leaf.operator not in RELATIVE),
        dates=_once(leaf.field for leaf in plain if leaf.operator in RELATIVE),
        activities=_once(untimed(leaf) for leaf in every if isinstance(leaf, ActivityTest)),
    )


def _once(every: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(every))


def match(leads: Sequence[Signals], model: Model) -> Matched:
    """Every test of the model against every fact of the leads; each distinct value is looked at once per test."""
    known = leaves_of(model)
    bits = np.zeros((len(leads), len(known.bits)), dtype=np.bool_)
    for column, test in enumerate(known.bits):
        holds = remembered(predicate(test))
        bits[:, column] = [holds(lead.fields.get(test.field)) for lead in leads]
    hits = list(_hits(leads, known, model))
    found = np.array(hits, dtype=np.int64).reshape(len(hits), 3)
    order = np.lexsort((found[:, 2], found[:, 1], found[:, 0]))
    ordered = found[order]
    return Matched(bits, ordered[:, 0], ordered[:, 1], ordered[:, 2])


def _hits(leads: Sequence[Signals], known: Leaves, model: Model) -> Iterator[tuple[int, int, int]]:
    """(leaf, lead, time) of everything that has a time."""
    for leaf, name in enumerate(known.dates):
        for lead, signals in enumerate(leads):
            at = moment_ms(signals.fields.get(name))
            if at is not None:
                yield leaf, lead, at
    matchers, sift = _matchers(known), sieve(model)
    for lead, signals in enumerate(leads):
        for activity in sift(signals).kept:
            for leaf, passes in matchers.get(activity.kind, ()):
                if passes(activity):
                    yield leaf, lead, epoch_ms(activity.at)


def _matchers(known: Leaves) -> dict[str, list[tuple[int, Callable[[ActivitySignal], bool]]]]:
    """Kind of activity -> the (number, test) of each leaf that looks at it."""
    by_kind: dict[str, list[tuple[int, Callable[[ActivitySignal], bool]]]] = {}
    for number, test in enumerate(known.activities, start=len(known.dates)):
        by_kind.setdefault(test.kind, []).append((number, meets(test.tests)))
    return by_kind
