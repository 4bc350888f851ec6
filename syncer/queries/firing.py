"""How often each rule fires, and which never do: counted over all leads by what their facts meet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from syncer import deciding, lint, scoring
from syncer.app import App
from syncer.errors import Stopped
from syncer.model import Footprint
from syncer.rules import Model, Segment
from syncer.store import footprints, mirror, sampling

_CHUNK = 5_000  # leads whose footprints are in memory at once
_WHOLE = 1_000  # leads that are read whole at once
_SAMPLE = 5_000  # leads of each connection that are looked at where there are no footprints


@dataclass(frozen=True, slots=True)
class RuleFired:
    """A rule, and how many of the leads that its model scores it pays for now."""

    model: str
    dimension: str
    name: str
    where: str  # the line of the project's files
    points_hundredths: int
    leads: int
    of: int

    @property
    def share(self) -> float | None:
        return self.leads / self.of if self.of else None


@dataclass(frozen=True, slots=True)
class Firing:
    """`sampled`: some leads of each connection were looked at, for which model is for a lead depends on the time."""

    rules: tuple[RuleFired, ...]  # those that fire for the fewest first
    leads: int  # that were looked at
    unknown: int  # that changed since they were scored last, and were not looked at
    sampled: bool

    @property
    def never(self) -> tuple[RuleFired, ...]:
        return tuple(rule for rule in self.rules if not rule.leads)


@dataclass
class _Tally:
    fired: Counter[tuple[str, str]]  # (model's version, rule's id) -> leads
    scored: Counter[str]  # model's version -> leads
    unknown: int = 0


def count(app: App) -> Firing:
    """Of all leads of all connections, in flat memory; of a million leads it takes some seconds."""
    segments, now, tally = app.project.segments, app.clock(), _Tally(Counter(), Counter())
    rules = deciding.fingerprint(segments)
    for connection in app.project.connections:
        if rules is None:
            _count_sample(app, connection.name, now, tally)
        else:
            _count_all(app, connection.name, rules, now, tally)
    models = {segment.model.version: segment.model for segment in segments}
    told = sorted(_told(models.values(), tally), key=lambda each: (each.leads, each.model, each.name))
    return Firing(tuple(told), sum(tally.scored.values()), tally.unknown, sampled=rules is None)


def _told(models: Iterable[Model], tally: _Tally) -> Iterator[RuleFired]:
    for model in models:
        for dimension, rule in model.rules:
            fired, of = tally.fired[model.version, rule.id], tally.scored[model.version]
            yield RuleFired(model.name, dimension.name, rule.name, rule.where, rule.points, fired, of)


def _count_all(app: App, connection: str, rules: str, now: datetime, tally: _Tally) -> None:
    models, last = {segment.model.version: segment.model for segment in app.project.segments}, 0
    while True:
        if app.stop.is_set():
            raise Stopped("asked to stop")
        with app.store.reading() as tx:
            page = footprints.page(tx, connection, rules, after=last, size=_CHUNK)
        if not page:
            return
        last = page[-1][0]
        known = [footprint for _, _, footprint in page if footprint is not None]
        tally.unknown += len(page) - len(known)
        for version, model in models.items():
            _add([each for each in known if each.model == version], model, now, tally)


def _add(some: Sequence[Footprint], model: Model, now: datetime, tally: _Tally) -> None:
    if not some:
        return
    paid = (scoring.evaluate(scoring.unpacked(some, model), model, now).matches > 0).sum(axis=0)
    tally.scored[model.version] += len(some)
    for place, (_, rule) in enumerate(model.rules):
        tally.fired[model.version, rule.id] += int(paid[place])


def _count_sample(app: App, connection: str, now: datetime, tally: _Tally) -> None:
    with app.store.reading() as tx:
        ids = sampling.sample(tx, connection, _SAMPLE)
    segments: Sequence[Segment] = app.project.segments
    for leads in mirror.chunks(app.store, connection, which=ids, now=now, size=_WHOLE):
        signals = [lead.signals for lead in leads]
        chosen = scoring.first_passed([segment.when for segment in segments], signals, now)
        for number, segment in enumerate(segments):
            mine = [lead for lead, its_own in zip(signals, chosen, strict=True) if its_own == number]
            seen, version = lint.count(mine, segment.model, now), segment.model.version
            tally.scored[version] += seen.leads
            tally.fired.update({(version, rule): fired for rule, fired in seen.fired.items()})
