"""Files that would fill the memory or never be read to their end: refused at their first line too many."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from syncer.settings import source
from syncer.settings.problems import Problem
from syncer.settings.source import Report, Source, read_text, read_yaml
from tests.settings.samples import PROJECT, only, problems


def _read(folder: Path, text: str) -> tuple[Source | None, tuple[Problem, ...]]:
    path = folder / "a.yml"
    path.write_text(text)
    report = Report(folder)
    return read_yaml(path, report), tuple(report.problems)


def _laughs(levels: int, times: int = 10) -> str:
    """Each list holds the one before it so often: `times` to the power of `levels`."""
    lists = [f"l{level}: &l{level} [{', '.join([f'*l{level - 1}'] * times)}]" for level in range(1, levels)]
    return "\n".join(["l0: &l0 [" + ", ".join(["lol"] * times) + "]", *lists])


def _merges(levels: int) -> str:
    return "\n".join(
        ["m0: &m0 {a: 1, b: 2}", *(f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 9)}]}}" for n in range(1, levels))]
    )


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (_laughs(9), 6, "holds more than 200,000 values once its aliases are expanded"),
        (_merges(9), 6, "holds more than 200,000 values once its aliases are expanded"),
        ("a: 1\nb: " + "[" * 5_000, 2, "is nested too deeply: more than 40 levels"),
        ("a: 1\nb: " + "{a: " * 5_000, 2, "is nested too deeply: more than 40 levels"),
        ("- " * 5_000, 1, "is nested too deeply: more than 40 levels"),
        ("? " * 5_000, 1, "is nested too deeply: more than 40 levels"),
        ("\n".join(f"{' ' * level}a{level}:" for level in range(300)), 40, "is nested too deeply: more than 40 levels"),
        (
            "\n".join(["x0: &x0 [1]", *(f"x{n}: &x{n} [*x{n - 1}]" for n in range(1, 5_000))]),
            39,
            "is nested too deeply",
        ),
        ("a: &a\n  b: [1, *a]", 2, "contains itself"),
        ("a: &a {<<: *a}", 1, "contains itself"),
    ],
)
def test_what_grows_beyond_all_bounds_is_refused_where_it_begins_to(
    tmp_path: Path, text: str, line: int, says: str
) -> None:
    read, found = _read(tmp_path, text)
    problem = only(found)
    assert read is None
    assert (problem.code, problem.line) == ("SY212", line)
    assert says in problem.message


def test_so_is_what_is_simply_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "_LARGEST", 1_000)
    problem = only(_read(tmp_path, "\n".join(["- 1"] * 5_000))[1])
    assert (problem.line, problem.code) == (1_000, "SY212")
    assert _read(tmp_path, "\n".join(["- 1"] * 999))[1] == ()


def test_nothing_more_is_built_than_the_bounds_allow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in nodes: a clock would say something about the machine."""
    built = 0
    weigh = source._Bounded._weight

    def counted(self: source._Bounded, node: object) -> tuple[int, int]:
        nonlocal built
        built += 1
        return weigh(self, node)  # type: ignore[arg-type]  # a node, whatever its kind

    monkeypatch.setattr(source._Bounded, "_weight", counted)
    assert only(_read(tmp_path, _laughs(60))[1]).code == "SY212"
    assert built < 100


def test_aliases_and_names_that_are_given_twice_go_on_working_within_the_bounds(tmp_path: Path) -> None:
    read, found = _read(tmp_path, f"{_laughs(4)}\nn: &n [1]\nm: *n\no: &n [2]\np: *n\nq: {{<<: &z {{a: 1}}, b: 2}}\n")
    assert found == ()
    assert read is not None
    assert read.value["l3"] == [[[["lol"] * 10] * 10] * 10] * 10
    assert (read.value["m"], read.value["p"], read.value["q"]) == ([1], [2], {"a": 1, "b": 2})


@pytest.mark.parametrize(
    ("look", "largest"), [(read_yaml, source._LARGEST_YAML), (read_text, source._LARGEST_FILE)], ids=["yaml", "list"]
)
def test_a_file_is_not_read_beyond_its_largest_size(
    tmp_path: Path, look: Callable[[Path, Report], object], largest: int
) -> None:
    path, report = tmp_path / "large", Report(tmp_path)
    with path.open("wb") as file:
        file.truncate(2**40)  # a terabyte of nothing
    assert look(path, report) is None
    (problem,) = report.problems
    assert (problem.message, problem.code) == (f"the file large is larger than {largest // 1_000_000} MB", "SY212")


def test_a_bomb_in_any_file_of_a_project_is_one_clear_message(tmp_path: Path) -> None:
    project = PROJECT.replace("models: models/b2b.yml", "models: bomb.yml")
    (tmp_path / "bomb.yml").write_text(_laughs(9))
    problem = next(each for each in problems(tmp_path, project) if each.code == "SY212")
    assert (problem.file, problem.line) == ("bomb.yml", 6)


def test_mistakes_by_the_thousand_are_not_each_compared_with_all_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really, compared = Problem.__eq__, []

    def equal(one: Problem, other: object) -> bool:
        compared.append(one)
        return really(one, other)

    monkeypatch.setattr(Problem, "__eq__", equal)
    _, found = _read(tmp_path, "a: 1\n" * 300)
    assert len(found) == 299
    assert len(compared) < 300
