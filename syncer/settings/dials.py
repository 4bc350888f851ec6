"""The numbers in a model file that people try out: points, thresholds, bounds and half-lives, and what `--set` calls
each of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from syncer.rules import DIMENSIONS
from syncer.settings.models import slug
from syncer.settings.problems import Steps, path_text
from syncer.settings.project import Project
from syncer.settings.proposals import model_files, proposed_file
from syncer.settings.rewriting import number_text
from syncer.settings.source import Source, at, entries

Kind = Literal["points", "cap", "max", "min", "half_life", "enter", "leave_below"]

_GATE = re.compile(r"(\s*(\w+)\s*(>=|<=|>|<)\s*)([-+]?[0-9.]+)(\s*)")
_SPAN = re.compile(r"(\s*)([0-9]+)(\s*[smhdw]\s*)")
_PLAIN = re.compile(r"(\s*)([-+]?[0-9.]+)(\s*)")


@dataclass(frozen=True, slots=True)
class Dial:
    """One number as its file has it."""

    model: str
    group: str  # a dimension, "stages", or "" for the model itself
    kind: Kind
    about: str  # the name of the rule or the stage; "" for the dimension or the model itself
    path: str  # as `--set` takes it: "rule.target-country.points", "stages[2].enter[0]"
    steps: Steps  # where it stands in the file
    file: str  # as messages show it
    text: str  # what stands there, whole: "engagement >= 20", "30d", "10"
    number: str  # the number alone, without a digit too many: "20", "30", "10"

    before: str  # and what stands around it: "engagement >= "
    after: str  # "d"

    @property
    def gate(self) -> tuple[str, str]:
        """What is compared, and how: ("engagement", ">="); ("", "") of what is no threshold."""
        found = _GATE.fullmatch(self.text)
        return ("", "") if found is None else (found[2], found[3])

    def turned(self, number: str) -> str:
        """The text with another number, or with whatever is given for one."""
        return f"{self.before}{number}{self.after}"

    def is_at(self, number: str) -> bool:
        """Does it say this already?"""
        return _bare(number) == self.number


def dials(project: Project, environ: Mapping[str, str]) -> tuple[Dial, ...]:
    """Of all models as their files are now, in the order of the file. SettingsError."""
    return tuple(dial for model, source in model_files(project, environ).items() for dial in _of_model(model, source))


def proposed_dials(project: Project, file: Path) -> tuple[Dial, ...]:
    """Of a file that stands in for one of the project's models. SettingsError."""
    model, source = proposed_file(project, file)
    return tuple(_of_model(model, source))


def _of_model(model: str, source: Source) -> Iterator[Dial]:
    tree = source.value
    places = [("", "half_life", "", "half_life", ("half_life",)), *_of_stages(tree)]
    for dimension in DIMENSIONS:
        places += _of_dimension(tree, dimension)
    for group, kind, about, path, steps in places:
        raw = at(tree, *steps)
        text = number_text(raw) if isinstance(raw, int | float) and not isinstance(raw, bool) else raw
        found = _pattern(kind).fullmatch(text) if isinstance(text, str) else None
        if found is not None and isinstance(text, str):
            before, number, after = found[1], found[found.re.groups - 1], found[found.re.groups]
            yield Dial(model, group, kind, about, path, steps, source.name, text, _bare(number), before, after)


_Place = tuple[str, Kind, str, str, Steps]  # group, kind, about, path, steps


def _of_stages(tree: Any) -> Iterator[_Place]:
    kinds: tuple[Kind, ...] = ("enter", "leave_below")
    for steps, stage in entries(tree, "stages"):
        for kind in kinds:
            gates = stage.get(kind)
            ways = [(*steps, kind, rank) for rank in range(len(gates))] if isinstance(gates, list) else [(*steps, kind)]
            yield from (("stages", kind, str(stage.get("name")), path_text(way), way) for way in ways)


def _of_dimension(tree: Any, dimension: str) -> Iterator[_Place]:
    of_all: tuple[Kind, ...] = ("max", "min", "half_life")
    of_rule: tuple[Kind, ...] = ("points", "cap", "half_life")
    for kind in of_all:
        yield dimension, kind, "", f"{dimension}.{kind}", (dimension, kind)
    for steps, rule in entries(tree, dimension, "rules"):
        name = str(rule.get("name", ""))
        for kind in of_rule:
            yield dimension, kind, name, f"rule.{rule.get('id') or slug(name)}.{kind}", (*steps, kind)


def _pattern(kind: Kind) -> re.Pattern[str]:
    return _GATE if kind in ("enter", "leave_below") else _SPAN if kind == "half_life" else _PLAIN


def _bare(number: str) -> str:
    """ "8.50" -> "8.5"; what is no number stays as it is."""
    try:
        return number_text(float(number))
    except (ValueError, OverflowError):
        return number
