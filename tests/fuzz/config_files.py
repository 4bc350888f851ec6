"""The project file, model files, rule tests and lists, each of them bent: a project or a list of problems comes out."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import strategies as st
from pydantic import BaseModel
from ruamel.yaml import YAML

from syncer.app import examples, settings_classes
from syncer.cli.test import judge_all
from syncer.errors import SyncerError
from syncer.settings import load_project
from tests.fuzz.judging import SECRET, Attempt, Broken, Target
from tests.fuzz.mutating import TEXT_EDITS, TREE_EDITS, Edits, as_json, bent_text, bent_tree

_NAMES = ("HUBSPOT_TOKEN", "SALESFORCE_CLIENT_ID", "SALESFORCE_CLIENT_SECRET", "SMTP_PASSWORD", "HOOK_SECRET")
_ENVIRON = {**dict.fromkeys(_NAMES, SECRET), "SLACK_WEBHOOK_URL": f"https://hooks.slack.com/services/{SECRET}"}
_LONGEST = 200_000  # bytes of a file: ten times the longest of the examples
_SMALL = """\
version: 1
timezone: Europe/Madrid
connections:
  sheet: {type: spreadsheet, path: leads.xlsx, write: {in_place: true}}
models: models/PRESET.yml
"""
_PRESETS = {"b2b-saas": ("syncer.yml", "salesforce.yml", "spreadsheet.yml"), "demo": (), "education": ()}
"""Preset -> the project files of the examples that use its model; each gets a small one, too."""


@dataclass(frozen=True, slots=True)
class Bent:
    """A project, one of its files, and what is done to that: to its text, or to what it says."""

    project: str
    file: str
    edits: Edits
    as_tree: bool


def _built(folder: Path) -> list[tuple[str, str]]:
    """The examples as projects in folders of their own; (project file, file of it)."""
    found: list[tuple[str, str]] = []
    for preset, examples_of in _PRESETS.items():
        home = folder / preset
        for part in ("models", "tests"):
            (home / part).mkdir(parents=True)
            shutil.copy(examples() / part / f"{preset}.yml", home / part)
        shutil.copytree(examples() / "lists", home / "lists")
        (home / "small.yml").write_text(_SMALL.replace("PRESET", preset))
        for each in examples_of:
            shutil.copy(examples() / each, home)
        parts = [f"models/{preset}.yml", f"tests/{preset}.yml", *(f"lists/{each.name}" for each in _lists(home))]
        for project in (*examples_of, "small.yml"):
            found += [(f"{preset}/{project}", f"{preset}/{each}") for each in (project, *parts)]
    return found


def _lists(home: Path) -> list[Path]:
    return sorted((home / "lists").iterdir())


def _files() -> list[tuple[str, str]]:
    with TemporaryDirectory() as folder:
        return _built(Path(folder))


def _cases() -> st.SearchStrategy[Bent]:
    files = _files()
    trees = [each for each in files if each[1].endswith(".yml")]

    def bent(which: list[tuple[str, str]], edits: st.SearchStrategy[Edits], as_tree: bool) -> st.SearchStrategy[Bent]:
        return st.builds(lambda file, how: Bent(file[0], file[1], how, as_tree), st.sampled_from(which), edits)

    return st.one_of(bent(trees, TREE_EDITS, True), bent(files, TEXT_EDITS, False))


@contextmanager
def _opened(folder: Path) -> Iterator[Attempt]:
    projects = sorted({project for project, _ in _built(folder)})
    known = settings_classes()
    unbent = {each: _loaded(folder / each, known) for each in projects}
    if set(unbent.values()) != {"read"}:
        raise Broken(f"the examples themselves are refused: {unbent}")

    def attempt(case: Bent) -> str:
        path = folder / case.file
        original = path.read_bytes()
        path.write_bytes(_bent(original, case))
        try:
            return _loaded(folder / case.project, known)
        finally:
            path.write_bytes(original)

    yield attempt


def _bent(original: bytes, case: Bent) -> bytes:
    if not case.as_tree:
        return bent_text(original, case.edits)[:_LONGEST]
    return as_json(bent_tree(YAML(typ="safe", pure=True).load(original), case.edits))[:_LONGEST]


def _loaded(path: Path, known: Mapping[str, type[BaseModel]]) -> str:
    """How it ended. What could be read scores the leads of its rule tests, too."""
    try:
        judge_all(path, load_project(path, known, _ENVIRON).segments)
    except SyncerError as error:
        if SECRET in str(error):
            raise Broken("a secret stands in a message") from error
        return error.code
    return "read"


CONFIG = Target("config", _cases(), _opened, bound_s=8.0)
