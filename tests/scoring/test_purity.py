"""The deciding half knows no I/O, no clock and no chance: read from the source, not from what happens to run."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "syncer"
DECIDING = [
    *sorted((ROOT / "scoring").glob("*.py")), *sorted((ROOT / "lint").glob("*.py")),
    *(ROOT / f"{name}.py" for name in ("deciding", "differences", "history", "measures", "model", "planning", "rules",
                                       "patterns", "simulation", "stages")),
]  # fmt: skip
PURE = {
    "__future__", "bisect", "collections", "dataclasses", "datetime", "decimal", "fractions", "functools", "hashlib",
    "importlib", "itertools", "json", "math", "numpy", "pcre2", "re", "types",
    "typing", "unicodedata", "warnings", "zoneinfo",
    "syncer.errors", "syncer.history", "syncer.lint", "syncer.measures", "syncer.model", "syncer.patterns",
    "syncer.planning", "syncer.rules", "syncer.scoring", "syncer.stages",
}  # fmt: skip
FORBIDDEN_CALLS = {"open", "input", "print", "exec", "eval", "__import__", "id", "hash"}  # hash() of a text is salted
FORBIDDEN_PARTS = {"now", "today", "utcnow", "fromtimestamp", "random", "monotonic", "environ", "getenv", "urandom"}
names = [str(path.relative_to(ROOT)) for path in DECIDING]


def imported(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found |= {f"syncer.{each.name}" for each in node.names} if node.module == "syncer" else {str(node.module)}
    return found


def impure(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN_CALLS:
            found.add(node.func.id)
        if isinstance(node, ast.Attribute) and node.attr in FORBIDDEN_PARTS:
            found.add(node.attr)
    return found


def test_the_deciding_half_is_where_we_look_for_it() -> None:
    assert {"scoring/evaluate.py", "scoring/match.py", "stages.py", "planning.py", "rules.py", "model.py"} <= set(names)


@pytest.mark.parametrize("path", DECIDING, ids=names)
def test_a_deciding_module_imports_nothing_of_the_world(path: Path) -> None:
    for module in imported(ast.parse(path.read_text("utf-8"))):
        parts = module.split(".")
        assert parts[0] in PURE or ".".join(parts[:2]) in PURE, f"{path.name} imports {module}"


@pytest.mark.parametrize("path", DECIDING, ids=names)
def test_a_deciding_module_asks_no_clock_no_dice_and_no_file(path: Path) -> None:
    assert impure(ast.parse(path.read_text("utf-8"))) == set()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("datetime.now(UTC)", {"now"}),
        ("import time", set()),
        ("open('x')", {"open"}),
        ("numpy.random.rand()", {"random"}),
    ],
)
def test_the_look_out_sees_what_it_should(source: str, found: set[str]) -> None:
    tree = ast.parse(source)
    assert impure(tree) == found
    assert found or imported(tree) - PURE == {"time"}
