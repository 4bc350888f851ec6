"""Leads side by side: by where they came from, and by the model that scores them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from syncer.app import App
from syncer.queries.funnel import Stage, models, ready_stage, stages_of
from syncer.store import flows
from syncer.store.flows import Group

_MOST_SOURCES = 20  # told apart; the others are summed up

_Key = tuple[Literal["named", "unknown", "rest"], str | None]


@dataclass(frozen=True, slots=True)
class Part:
    """The leads of one source, or of one model."""

    name: str | None  # None: see `kind`
    kind: Literal["named", "unknown", "rest"]
    counts: tuple[int, ...]  # in the order of Comparison.stages
    leads: int
    ready: float | None  # 0 to 1: the share in the stage that is handed over


@dataclass(frozen=True, slots=True)
class Comparison:
    """All leads, whatever else was asked: by where they came from, and by the model that scores them."""

    stages: tuple[Stage, ...]
    sources: tuple[Part, ...]  # the most leads first; empty where no source is known
    models: tuple[Part, ...]


def comparison(app: App, names: Sequence[str]) -> Comparison:
    """Of all leads of these connections."""
    project = app.project
    with app.store.reading() as tx:
        found = flows.groups(tx, names, _MOST_SOURCES)
    stages = stages_of(project, {each.stage if each.stage in project.stages else None for each in found})
    known = frozenset(models(project))

    def source_of(each: Group) -> _Key:
        return ("named", each.source) if each.source is not None else ("rest" if each.rest else "unknown", None)

    def model_of(each: Group) -> _Key:
        name = (each.model or "").rpartition("@")[0]
        return ("named", name) if name in known else ("rest", None)

    sources = _parts(((source_of(each), each) for each in found), stages, ready_stage(project))
    scored = _parts(((model_of(each), each) for each in found), stages, ready_stage(project))
    has_sources = any(part.kind == "named" for part in sources)
    return Comparison(stages, sources if has_sources else (), scored)


def _parts(keyed: Iterable[tuple[_Key, Group]], stages: Sequence[Stage], ready: str) -> tuple[Part, ...]:
    """The named ones first, the most leads first."""
    sums: dict[_Key, Counter[Stage]] = defaultdict(Counter)
    for key, group in keyed:
        sums[key][group.stage if group.stage in stages else None] += group.leads
    order = ("named", "rest", "unknown")
    ranked = sorted(sums, key=lambda key: (order.index(key[0]), -sums[key].total(), key[1] or ""))
    return tuple(_part(key, sums[key], stages, ready) for key in ranked)


def _part(key: _Key, counts: Counter[Stage], stages: Sequence[Stage], ready: str) -> Part:
    kind, name = key
    leads = counts.total()
    return Part(name, kind, tuple(counts[stage] for stage in stages), leads, counts[ready] / leads if leads else None)


def sources_of(found: Comparison) -> tuple[str, ...]:
    """Those that can be asked for, in the order of the alphabet."""
    return tuple(sorted((each.name for each in found.sources if each.name is not None), key=str.casefold))
