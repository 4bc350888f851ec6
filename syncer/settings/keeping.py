"""Whether activities are kept for as long as the rules look back: what has been dropped cannot be counted any more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta

from syncer.rules import ActivityTest, Fade, Model, Segment, duration_text, leaves

_HALF_LIVES = 7
"""After so many less than a hundredth of the points is left, which moves no whole point of a rule worth up to 50."""
_HOUR_MS = 3_600_000
_WAY_OUT = "keep them longer, or give it a shorter `in_last`"


def too_short(segments: Iterable[Segment], keep: timedelta) -> Iterator[tuple[str, str]]:
    """(what is wrong, what to do) for each place of the models that looks further back than activities are kept."""
    keep_ms = keep // timedelta(milliseconds=1)
    for name, where, span_ms in sorted(set(_looks(segments)), key=lambda each: (each[1], each[0])):
        kept = f"and they are kept for {duration_text(keep_ms)}"
        if span_ms is None:
            yield f"{name} ({where}) counts activities of any age, {kept}", _WAY_OUT
        elif span_ms > keep_ms:
            yield f"{name} ({where}) counts activities of the last {duration_text(span_ms)}, {kept}", _WAY_OUT


_Look = tuple[str, str, int | None]
"""Whose, where it stands, how far back in milliseconds; None: without end."""


def _looks(segments: Iterable[Segment]) -> Iterator[_Look]:
    for segment in segments:
        yield from _of_model(segment.model)
        if segment.when is not None:
            for leaf in leaves(segment.when):
                if isinstance(leaf, ActivityTest):
                    yield "the condition of a model", segment.model.name, leaf.in_last_ms


def _of_model(model: Model) -> Iterator[_Look]:
    for _, rule in model.rules:
        for leaf in leaves(rule.when):
            if isinstance(leaf, ActivityTest):
                fades = leaf == rule.counted and rule.at_least == 1
                span_ms = _faded_ms(rule.fade) if leaf.in_last_ms is None and fades else leaf.in_last_ms
                yield f"the rule '{rule.name}'", rule.where, span_ms
    places = [(f"the veto '{veto.name}'", veto.where, veto.when) for veto in model.vetoes]
    places += [(f"the stage '{stage.name}'", stage.where, one) for stage in model.stages for one in stage.or_any]
    for name, where, condition in places:
        for leaf in leaves(condition):
            if isinstance(leaf, ActivityTest):
                yield name, where, leaf.in_last_ms


def _faded_ms(fade: Fade) -> int | None:
    """How old an activity is when it is worth next to nothing. None: it is worth the same for ever."""
    if fade.curve == "none" or not fade.half_life_hours:
        return None
    return fade.half_life_hours * _HOUR_MS * (2 if fade.curve == "linear" else _HALF_LIVES)
