"""Rules as they might be, or as they were, for `simulate`: from another file, with single values changed, from git; and
proposals: files that hold such rules until somebody puts them in force."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from syncer.errors import ConfigError
from syncer.rules import DIMENSIONS, Segment
from syncer.settings.commits import exported
from syncer.settings.environment import variables
from syncer.settings.loading import load_rules
from syncer.settings.models import name_of, slug
from syncer.settings.problems import SettingsError, Steps, did_you_mean, path_text, quoted
from syncer.settings.project import Project
from syncer.settings.rewriting import rewrite_as
from syncer.settings.source import Report, Source, at, entries, read_yaml, yaml_of

Rules = tuple[tuple[Segment, ...], str]
"""The segments, and the stage that is handed to sales."""

_SET = re.compile(r"(?:([A-Za-z0-9][A-Za-z0-9_-]*):)?([^=]+?)\s*=(.*)", re.DOTALL)
_STEP = re.compile(r"\.?([\w-]+)|\[(\d{1,6})\]")
_SET_HELP = "write for example fit.rules[1].points=8, rule.RULE-ID.points=8 or 'stages[2].enter[0]=engagement >= 30'"


def rules_with(project: Project, file: Path, environ: Mapping[str, str]) -> Rules:
    """The project's rules with another model file in the place of the model of that name (of the only one, whatever its
    name); or those of another project file. `SettingsError`, or ConfigError (SY110) where it replaces none."""
    report = Report(project.path.parent)
    proposed, told = _read(file, report), variables(project.path.parent, environ, report)
    if isinstance(proposed.value, Mapping) and not proposed.value.keys().isdisjoint(("models", "connections")):
        return load_rules(proposed, told, report)
    names, name = _names(project), _name(proposed)
    alone = len(names) == 1
    if not alone and name not in names:
        raise ConfigError(
            f"{proposed.name} is the model '{name}', and the project has {', '.join(names)}; "
            "its `name:` says which one it would replace",
            code="SY110",
        )

    def read(path: Path, aside: Report) -> Source | None:
        current = read_yaml(path, aside)
        return proposed if current is not None and (alone or _name(current) == name) else current

    return load_rules(_read(project.path, report), told, report, read)


def rules_set(project: Project, settings: Sequence[str], environ: Mapping[str, str]) -> Rules:
    """The project's rules with single values changed: PATH=VALUE, or MODEL:PATH=VALUE where there are several models.
    `SettingsError` names mistakes by their place: "--set 1"."""
    report = Report(project.path.parent)
    told, names = variables(project.path.parent, environ, report), _names(project)
    edits = [_edit(text, f"--set {number}", names, report) for number, text in enumerate(settings, start=1)]
    report.raise_if_any()

    def read(path: Path, aside: Report) -> Source | None:
        source = read_yaml(path, aside)
        for edit in edits:
            if source is not None and edit is not None and edit.model in (None, _name(source)):
                source = _edited(source, edit, aside)
        return source

    return load_rules(_read(project.path, report), told, report, read)


def rules_at(project: Project, ref: str, environ: Mapping[str, str]) -> Rules:
    """The project's rules as of a git commit. `SettingsError` with places like "HEAD~3:models/b2b.yml"."""
    with exported(project.path, ref) as path:
        report = Report(path.parent)
        told = variables(project.path.parent, environ, report)
        try:
            return load_rules(_read(path, report), told, report)
        except SettingsError as wrong:
            raise SettingsError([replace(each, file=f"{ref}:{each.file}") for each in wrong.problems]) from None


def model_files(project: Project, environ: Mapping[str, str]) -> dict[str, Source]:
    """The model files as they are now, by the models' names, in the order of the segments. SettingsError."""
    report, found = Report(project.path.parent), dict[str, Source]()

    def read(path: Path, aside: Report) -> Source | None:
        source = read_yaml(path, aside)
        if source is not None:
            found.setdefault(_name(source), source)
        return source

    load_rules(_read(project.path, report), variables(project.path.parent, environ, report), report, read)
    return found


def proposed_file(project: Project, file: Path) -> tuple[str, Source]:
    """A file that stands in for a model, and the name of that model. SettingsError."""
    source, names = _read(file, Report(project.path.parent)), _names(project)
    return names[0] if len(names) == 1 else _name(source), source


def propose(project: Project, settings: Sequence[str], path: Path, environ: Mapping[str, str]) -> Rules:
    """Write the model's file with single values changed, as `rules_set` takes them, as a new file; whatever else stands
    there stays as it is written. What `rules_with` makes of it is what this gives. SettingsError; ConfigError as of
    `rewrite_as`, and where the values belong to several models (SY283)."""
    rules, report, names = rules_set(project, settings, environ), Report(project.path.parent), _names(project)
    edits = [_edit(text, f"--set {number}", names, report) for number, text in enumerate(settings, start=1)]
    changed = sorted({edit.model or names[0] for edit in edits if edit is not None})
    if len(changed) != 1:
        models = " and ".join(changed) or "no model"
        raise ConfigError(f"a proposal is the file of one model, and these values belong to {models}", code="SY283")
    source = model_files(project, environ)[changed[0]]
    values = {_steps(edit.path, source.value): edit.value for edit in edits if edit is not None}
    rewrite_as(path, source, {**values, **_moved(source, path)})
    return rules


def _moved(source: Source, path: Path) -> dict[Steps, str]:
    """What must be written differently at `path` to mean the same: names that come of the file's, and of files."""
    changed: dict[Steps, str] = {} if isinstance(at(source.value, "name"), str) else {("name",): _name(source)}
    lists = at(source.value, "lists")
    for name, file in lists.items() if isinstance(lists, Mapping) else ():
        there = source.path.parent / file if isinstance(file, str) else None
        if there is not None and there.resolve() != (path.parent / file).resolve():
            changed["lists", name] = Path(os.path.relpath(there, path.parent)).as_posix()
    return changed


def _read(path: Path, report: Report) -> Source:
    source = read_yaml(path, report)
    report.raise_if_any()
    if source is None:
        raise AssertionError("a file without problems was read")
    return source


def _names(project: Project) -> list[str]:
    return sorted({segment.model.name for segment in project.segments})


def _name(source: Source) -> str:
    """The model's name as its file or its file's name says."""
    named = at(source.value, "name")
    return named if isinstance(named, str) else name_of(source.path)


# Single values.


@dataclass(frozen=True, slots=True)
class _Edit:
    place: str  # "--set 1"
    model: str | None  # None: the only one
    path: str
    value: Any


def _edit(text: str, place: str, models: Sequence[str], report: Report) -> _Edit | None:
    """What one `--set` says; None, and a problem, where it says nothing that can be understood."""
    found = _SET.fullmatch(text.strip())
    if found is None:
        report.add_plain(place, f"cannot read {quoted(text)} as PATH=VALUE", _SET_HELP, "SY006")
        return None
    model, path, raw = found.groups()
    if (model is None and len(models) > 1) or (model is not None and model not in models):
        help = did_you_mean(model or "", models, known_as="models")
        message = f"there is no model '{model}'" if model else "there are several models: write MODEL:PATH=VALUE"
        report.add_plain(place, message, help, "SY007")
        return None
    value = yaml_of(raw.strip(), Source(place, Path()), report)
    return None if value is None else _Edit(place, model, path, value.value)


def _edited(source: Source, edit: _Edit, report: Report) -> Source:
    """The file with the value put in; as it is, and a problem, where there is no such place in it."""
    try:
        steps = _steps(edit.path, source.value)
        value = _put(source.value, steps, (), edit.value)
    except _NoPlace as no_place:
        report.add_plain(edit.place, f"{source.name}: {no_place}", no_place.help, "SY007")
        return source
    return replace(source, value=value, given=(*source.given, (steps, edit.place)))


class _NoPlace(Exception):
    def __init__(self, message: str, help: str = "") -> None:
        super().__init__(message)
        self.help = help


def _steps(path: str, tree: Any) -> Steps:
    """ "stages[2].enter[0]" -> ("stages", 2, "enter", 0); "rule.ID" is wherever that rule stands."""
    steps: list[str | int] = []
    position = 0
    while position < len(path):
        found = _STEP.match(path, position)
        if found is None:
            raise _NoPlace(f"cannot read {quoted(path)} as a path", _SET_HELP)
        steps.append(found[1] if found[2] is None else int(found[2]))
        position = found.end()
    if len(steps) < 2 or steps[0] != "rule":
        return tuple(steps)
    rule, known = str(steps[1]), _rules(tree)
    if rule not in known:
        raise _NoPlace(f"there is no rule {quoted(rule)}", did_you_mean(rule, known))
    return (*known[rule], *steps[2:])


def _rules(tree: Any) -> dict[str, Steps]:
    """The id of each rule, and where it stands."""
    parts = [*((dimension, "rules") for dimension in DIMENSIONS), ("ignore",), ("veto",)]
    return {
        str(rule.get("id") or slug(str(rule.get("name", "")))): steps
        for part in parts
        for steps, rule in entries(tree, *part)
    }


def _put(tree: Any, steps: Steps, gone: Steps, value: Any) -> Any:
    """A copy of the tree with the value at `steps`; `gone` is the way so far. A mapping may get a new key."""
    if not steps:
        return value
    step, *rest = steps
    here = path_text(gone) or "the file"
    if isinstance(tree, Mapping) and isinstance(step, str):
        if rest and step not in tree:
            raise _NoPlace(f"there is no {quoted(step)} in {here}", did_you_mean(step, tree, known_as="it has"))
        return {**tree, step: _put(tree.get(step), tuple(rest), (*gone, step), value)}
    if isinstance(tree, list) and isinstance(step, int):
        if step >= len(tree):
            raise _NoPlace(f"there is no {path_text((*gone, step))}", f"{here} has {len(tree)}, counted from 0")
        inner = _put(tree[step], tuple(rest), (*gone, step), value)
        return [*tree[:step], inner, *tree[step + 1 :]]
    kind = "a mapping: name a key" if isinstance(tree, Mapping) else "a list: write [0] for its first"
    plain = "a plain value" if not isinstance(tree, Mapping | list) else kind
    raise _NoPlace(f"cannot go on to {quoted(step)}: {here} is {plain}", _SET_HELP)
