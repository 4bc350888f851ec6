"""Whatever is in the files: a project, or a list of problems, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncer.rules import leaves
from syncer.settings import Problem, Project, SettingsError, load_project
from syncer.settings.conditions import OPERATORS, RULE_KEYS, read_condition
from syncer.settings.problems import Wrong
from tests.settings.samples import CONNECTORS, ENVIRON, MODEL, PROJECT

quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

WORDS = [
    *OPERATORS, *RULE_KEYS, "not", "not_contains", "is", "exact", "all", "any", "none", "activity", "in_last", "when",
    "country", "name", "id", "points", "rules", "fit", "engagement", "stages", "enter", "leave_below", "or_any", "veto",
    "lists", "max", "min", "fade", "half_life", "type", "token", "crm", "use", "for", "models", "connections", "sync",
    "every", "handoff", "notifiers", "route", "to", "if", "notify", "owner", "slack", "email", "webhook", "url",
    "write", "lifecyclestage", "manual_change", "respect_for", "version", "timezone", "language", "per", "dwell",
]  # fmt: skip
TEXTS = st.one_of(
    st.sampled_from([*WORDS, "30d", "fit >= 1", "a@b.es", "${CRM_TOKEN}", "${X", "${file:/}", "a.b", "models/b2b.yml"]),
    st.text(max_size=8),
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.one_of(st.sampled_from(WORDS), TEXTS), inner, max_size=4)
    ),
    max_leaves=12,
)
YAML_LIKE = st.text(alphabet=st.sampled_from(list("ab1: -[]{}&*!|>'\"%@`#,?\n\t<.0xo_~$")), max_size=60)


def _outcome(folder: Path, project: bytes, model: bytes) -> tuple[tuple[Problem, ...], str]:
    (folder / "models").mkdir(exist_ok=True)
    (folder / "models" / "b2b.yml").write_bytes(model)
    path = folder / "syncer.yml"
    path.write_bytes(project)
    try:
        assert isinstance(load_project(path, CONNECTORS, ENVIRON), Project)
    except SettingsError as error:
        return error.problems, str(error)
    return (), ""


def _load(folder: Path, project: bytes, model: bytes) -> str:
    found, text = _outcome(folder, project, model)
    assert bool(found) == bool(text)
    assert ENVIRON["CRM_TOKEN"] not in text
    return "refused" if found else "loaded"


def _text(tree: Any) -> bytes:
    return json.dumps(tree, ensure_ascii=False).encode("utf-8", "surrogatepass")


@quick
@given(st.one_of(st.binary(max_size=60), YAML_LIKE.map(str.encode)))
def test_any_bytes_as_either_file(tmp_path: Path, content: bytes) -> None:
    _load(tmp_path, content, MODEL.encode())
    _load(tmp_path, PROJECT.encode(), content)


@quick
@given(st.dictionaries(st.sampled_from(WORDS), TREES, max_size=5))
def test_any_structure_as_either_file(tmp_path: Path, tree: Any) -> None:
    _load(tmp_path, _text(tree), MODEL.encode())
    _load(tmp_path, PROJECT.encode(), _text(tree))


@quick
@given(st.sampled_from(["sync", "handoff", "connections", "models", "timezone"]), TREES)
def test_any_structure_as_a_section_of_the_project(tmp_path: Path, section: str, tree: Any) -> None:
    whole = {"connections": {"main": {"type": "crm", "token": "${CRM_TOKEN}"}}, "models": "models/b2b.yml"}
    _load(tmp_path, _text({**whole, section: tree}), MODEL.encode())


@quick
@given(st.sampled_from(["when", "points", "name", "per", "fade", "each", "cap"]), TREES, TREES)
def test_any_structure_as_a_part_of_a_model(tmp_path: Path, key: str, tree: Any, other: Any) -> None:
    rule = {"name": "A", "when": {"activity": "call"}, "points": 1, key: tree}
    whole = {"fit": {"rules": [rule]}, "stages": [{"name": "cold"}, {"name": "sql", "or_any": [other]}]}
    _load(tmp_path, PROJECT.encode(), _text(whole))


@quick
@given(TREES)
def test_any_structure_as_a_condition(tree: Any) -> None:
    try:
        found: list[Any] = list(leaves(read_condition(tree, {"free": ("gmail.com",)})))
    except Wrong as error:
        found = list(error.mistakes)
    assert found


@pytest.mark.parametrize(
    "content",
    ["a: 1_\n", "a: 0x\n", "a: +.inf\n", "a: 0o9\n", "a: 1:2\n", "%YAML 1.1\n---\na: 012:30\nb: 0777\n", "? a\n"],
)
def test_odd_numbers_and_directives_are_read_or_refused(tmp_path: Path, content: str) -> None:
    assert _load(tmp_path, content.encode(), MODEL.encode()) == "refused"
