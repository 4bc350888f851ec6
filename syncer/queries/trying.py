"""Other numbers in the rules, tried before anybody puts them in force: checked as `simulate --set` checks them, and
kept as proposals, files beside the project's that nothing reads by itself."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from syncer.app import App
from syncer.errors import ConfigError, NotFound
from syncer.queries.simulating import sides_of
from syncer.queries.tallying import Side
from syncer.rules import rules_version
from syncer.settings import Problem, Project, SettingsError, digest
from syncer.settings.dials import Dial, dials, proposed_dials
from syncer.settings.problems import path_text
from syncer.settings.proposals import propose

FOLDER = "proposals"
NAME = r"[A-Za-z0-9][A-Za-z0-9-]{0,63}"
_MOST_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Proposal:
    name: str
    at: datetime  # when it was written


@dataclass(frozen=True)
class Tried:
    """What is tried, by the names of the dials: their paths, after "MODEL:" where there are several models."""

    dials: Mapping[str, Dial]
    changed: Mapping[str, str]  # other numbers than those in force, as they were given
    sides: tuple[Side, ...]  # the rules in force, and those tried where they are others; none: there are problems
    problems: Mapping[str, str] = field(default_factory=dict)  # what is wrong with a number
    mistakes: tuple[str, ...] = ()  # what is wrong besides
    more: bool = False  # a proposal differs in more than these numbers

    @property
    def settings(self) -> tuple[str, ...]:
        """As `simulate --set` takes them."""
        return _settings(self.dials, self.changed)


@dataclass(frozen=True, slots=True)
class _Question:
    """Numbers tried on the files as they are; the same one has the same answer."""

    stamp: str  # of the settings in force, and of the files
    given: tuple[tuple[str, str], ...]
    project: Project = field(compare=False)


def tried(app: App, given: Mapping[str, str]) -> Tried:
    """Numbers by the names of the dials; those that are in force already change nothing. SettingsError where the files
    themselves are wrong."""
    return _answer(_Question(_stamp(app.project), tuple(sorted(given.items())), app.project))


@lru_cache(maxsize=64)  # a page that waits for its figures asks every second
def _answer(question: _Question) -> Tried:
    known, given = _dials(replace(question, given=())), dict(question.given)
    changed = {name: given[name] for name, dial in known.items() if name in given and not dial.is_at(given[name])}
    mistakes = tuple(f"{name}: there is no such number in the rules any more" for name in given if name not in known)
    try:
        sides = sides_of(question.project, None, _settings(known, changed), None)
    except SettingsError as wrong:
        beside, others = _placed(wrong.problems, known, tuple(changed))
        return Tried(known, changed, (), beside, (*mistakes, *others))
    return Tried(known, changed, () if mistakes else sides, mistakes=mistakes)


@lru_cache(maxsize=4)
def _dials(question: _Question) -> dict[str, Dial]:
    """By their names."""
    return _named(question.project, dials(question.project, os.environ))


def _stamp(project: Project) -> str:
    return f"{project.fingerprint} {digest(project.files)}"


def proposed(app: App, name: str) -> Tried:
    """What a proposal says. NotFound (SY284)."""
    project, file = app.project, _existing(app, name)
    known = _dials(_Question(_stamp(project), (), project))
    try:
        present, other = sides_of(project, file, (), None)
        there = _named(project, proposed_dials(project, file))
        changed = {key: there[key].number for key in there if key in known and not known[key].is_at(there[key].number)}
        only = sides_of(project, None, _settings(known, changed), None)
    except SettingsError as wrong:
        return Tried(known, {}, (), mistakes=tuple(_told(each) for each in wrong.problems))
    except ConfigError as wrong:
        return Tried(known, {}, (), mistakes=(wrong.message,))
    more = rules_version(only[-1].rules.segments) != rules_version(other.rules.segments)
    return Tried(known, changed, (present, replace(other, name=f"{FOLDER}/{name}.yml")), more=more)


def save(app: App, given: Mapping[str, str], name: str) -> Tried:
    """Write what is tried as the proposal of that name: the model's file with these numbers. SettingsError; ConfigError
    where there is nothing to write (SY282), as of `propose`, and where the folder is none of ours (SY281)."""
    found = tried(app, given)
    if found.mistakes:
        raise ConfigError("; ".join(found.mistakes), code="SY282")
    if not found.changed:
        raise ConfigError("no number differs from the rules in force: there is nothing to propose", code="SY282")
    propose(app.project, found.settings, _folder(app) / f"{name}.yml", os.environ)
    return found


def take_back(app: App, name: str) -> None:
    """The proposal that was just saved is none."""
    (_folder(app) / f"{name}.yml").unlink(missing_ok=True)


def proposals(app: App) -> tuple[Proposal, ...]:
    """The newest first; not all of very many."""
    try:
        found = [_proposal(path) for path in _folder(app).glob("*.yml") if re.fullmatch(NAME, path.stem)]
    except (OSError, ConfigError):
        return ()  # there are none that could be read
    latest = sorted((each for each in found if each is not None), key=lambda each: (each.at, each.name), reverse=True)
    return tuple(latest[:_MOST_SHOWN])


def _proposal(path: Path) -> Proposal | None:
    """None: it has just gone."""
    try:
        return Proposal(path.stem, datetime.fromtimestamp(path.stat().st_mtime, UTC))
    except OSError:
        return None


def _folder(app: App) -> Path:
    """Beside the project file, and nowhere else."""
    home = app.project.path.parent
    folder = home / FOLDER
    if folder.resolve() != home.resolve() / FOLDER or (folder.exists() and not folder.is_dir()):
        raise ConfigError(f"{FOLDER}/ beside the project file is no folder of its own; move it away", code="SY281")
    return folder


def _existing(app: App, name: str) -> Path:
    path = _folder(app) / f"{name}.yml"
    if not re.fullmatch(NAME, name) or not path.is_file():
        raise NotFound(f"there is no proposal {name}", code="SY284")
    return path


def _named(project: Project, found: Sequence[Dial]) -> dict[str, Dial]:
    several = len({segment.model.name for segment in project.segments}) > 1
    return {f"{dial.model}:{dial.path}" if several else dial.path: dial for dial in found}


def _settings(known: Mapping[str, Dial], changed: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(f"{name}={known[name].turned(number)}" for name, number in changed.items())


def _placed(
    problems: Sequence[Problem], known: Mapping[str, Dial], changed: Sequence[str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """(what is wrong with single numbers, what is wrong besides)."""
    by_place = {f"--set {rank}": name for rank, name in enumerate(changed, start=1)}
    by_place |= {f"{dial.file} {path_text(dial.steps)}": name for name, dial in known.items()}
    beside: dict[str, str] = {}
    others: list[str] = []
    for each in problems:
        name = by_place.get(each.file) or by_place.get(f"{each.file} {each.path}")
        if name is None:
            others.append(_told(each))
        else:
            beside.setdefault(name, _said(each))
    return beside, tuple(others)


def _said(problem: Problem) -> str:
    return f"{problem.message}; {problem.help}" if problem.help else problem.message


def _told(problem: Problem) -> str:
    return f"{problem.place}: {_said(problem)}"
