"""New values in a YAML file: nothing else of it changes, or nothing at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from syncer.errors import ConfigError
from syncer.settings.problems import Steps
from syncer.settings.rewriting import Scalar, disputed, number_text, rewrite
from syncer.settings.source import Report, Source, read_yaml

EXPECT = ("cases", 0, "expect")
Values = Mapping[Steps, Scalar | Mapping[str, Scalar]]


def source_of(folder: Path, text: str | bytes) -> Source:
    path = folder / "leads.yml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_again(path)


def read_again(path: Path) -> Source:
    report = Report(path.parent)
    source = read_yaml(path, report)
    report.raise_if_any()
    assert source is not None
    return source


def rewritten(folder: Path, text: str | bytes, values: Values) -> str:
    source = source_of(folder, text)
    rewrite(source, values)
    assert [path.name for path in folder.iterdir()] == ["leads.yml"]
    return source.path.read_bytes().decode()


def refused(folder: Path, text: str, values: Values) -> str:
    source = source_of(folder, text)
    with pytest.raises(ConfigError) as raised:
        rewrite(source, values)
    assert source.path.read_bytes().decode() == text
    assert [path.name for path in folder.iterdir()] == ["leads.yml"]
    return raised.value.message


@pytest.mark.parametrize(
    ("before", "value", "after"),
    [
        ("total: 7.50   # exact", 8.25, "total: 8.25   # exact"),
        ("total: 7", -0.5, "total: -0.5"),
        ("total: 7", 1000000.0, "total: 1000000"),
        ("total: mql", "sql", "total: sql"),
        ("total: 'mql'  # ñ", "sql", "total: 'sql'  # ñ"),
        ('total: "mql"', "sql", 'total: "sql"'),
        ("total: mql", "no", 'total: "no"'),
        ("total: mql", "1e3", 'total: "1e3"'),
        ("total: &t 7 # t", 8.0, "total: &t 8 # t"),
    ],
)
def test_a_scalar_is_replaced_in_its_own_way_of_writing(tmp_path: Path, before: str, value: Scalar, after: str) -> None:
    text = "# é 😀\ncases:\n  - name: A   # first\n    expect:\n      {}\n\n# end\n"
    values: Values = {(*EXPECT, "total"): value}
    assert rewritten(tmp_path, text.format(before).replace("{}", before), values) == text.replace("{}", after)


def test_only_the_characters_of_the_values_change(tmp_path: Path) -> None:
    text = "cases:\n- {name: A,expect: {stage: mql , total: 7,   fit: 1,},}  # x\n- {name: B, expect: {total: 3}}"
    values: Values = {(*EXPECT, "stage"): "sql", (*EXPECT, "fit"): 22.75, ("cases", 1, "expect", "total"): 4.0}
    assert rewritten(tmp_path, text, values) == text.replace("mql", "sql").replace("fit: 1", "fit: 22.75").replace(
        "total: 3", "total: 4"
    )


def test_line_ends_and_a_byte_order_mark_are_kept(tmp_path: Path) -> None:
    text = "\ufeffcases:\r\n  - name: A\r\n    # c\r\n    expect: {total: 1}\r\n  - name: B # b\r\n"
    values: Values = {(*EXPECT, "total"): 2.0, ("cases", 1, "expect"): {"stage": "mql"}}
    after = text.replace("total: 1", "total: 2").replace("B # b\r\n", "B # b\r\n    expect: {stage: mql}\r\n")
    assert rewritten(tmp_path, text.encode(), values) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("- name: A\n  x: 1 # l\n\n# next\n- name: B\n", "- name: A\n  x: 1 # l\n  {}\n\n# next\n- name: B\n"),
        ("- name: A\n  lead:\n    x: 1", "- name: A\n  lead:\n    x: 1\n  {}"),
        ("- {name: A}\n", "- {name: A, {}}\n"),
        ("- { name: A, lead: {x: 1}, }  # a\n", "- { name: A, lead: {x: 1}, {} }  # a\n"),
        ("-\n    name: A\n    note: |\n      text\n", "-\n    name: A\n    note: |\n      text\n    {}\n"),
    ],
)  # fmt: skip
def test_a_new_key_stands_last_in_the_style_of_its_mapping(tmp_path: Path, before: str, after: str) -> None:
    entry = "expect: {stage: cold, total: 0}"
    values: Values = {EXPECT: {"stage": "cold", "total": 0.0}}
    assert rewritten(tmp_path, f"cases:\n{before}", values) == f"cases:\n{after}".replace("{}", entry)


def test_an_alias_is_changed_where_it_is_written_if_all_agree(tmp_path: Path) -> None:
    text = "cases:\n  - expect: {stage: &s mql}\n  - expect: {stage: *s}\n"
    values: Values = {(*EXPECT, "stage"): "sql", ("cases", 1, "expect", "stage"): "sql"}
    assert rewritten(tmp_path, text, values) == text.replace("mql", "sql")


def test_values_that_share_a_place_and_differ_are_disputed(tmp_path: Path) -> None:
    source = source_of(tmp_path, "cases:\n  - expect: &e {stage: mql, total: 1}\n  - expect: {<<: *e, total: 2}\n")
    other = ("cases", 1, "expect")
    values: Mapping[Steps, Scalar] = {
        (*EXPECT, "stage"): "sql", (*other, "stage"): "mql", (*EXPECT, "total"): 3.0, (*other, "total"): 4.0
    }  # fmt: skip
    assert disputed(source, values) == {(*EXPECT, "stage"), (*other, "stage")}


def test_a_value_that_others_share_is_not_changed_behind_their_back(tmp_path: Path) -> None:
    text = "cases:\n  - expect: {total: &n 7}\n    lead: {n: *n}\n"
    assert "do it by hand" in refused(tmp_path, text, {(*EXPECT, "total"): 8.0})


@pytest.mark.parametrize("total", [">-\n        mql\n      fit: 1", "[1, 2]", "{a: 1}"])
def test_what_is_no_single_value_is_refused(tmp_path: Path, total: str) -> None:
    text = f"cases:\n  - expect:\n      total: {total}\n"
    assert "by hand" in refused(tmp_path, text, {(*EXPECT, "total"): 8.0})


def test_a_file_that_was_changed_meanwhile_stays_as_it_is_now(tmp_path: Path) -> None:
    source = source_of(tmp_path, "cases:\n  - expect: {total: 7}\n")
    now = "cases:\n  - expect: {total: 7}\n  - expect: {total: 9}\n"
    source.path.write_text(now)
    with pytest.raises(ConfigError):
        rewrite(source, {(*EXPECT, "total"): 8.0})
    assert source.path.read_text() == now


def test_the_files_rights_stay_and_a_link_stays_a_link(tmp_path: Path) -> None:
    target = tmp_path / "real" / "leads.yml"
    target.parent.mkdir()
    target.write_text("total: 1\n")
    target.chmod(0o640)
    link = tmp_path / "leads.yml"
    os.symlink(target, link)
    rewrite(read_again(link), {("total",): 2.0})
    assert link.is_symlink()
    assert target.read_text() == "total: 2\n"
    assert target.stat().st_mode & 0o777 == 0o640


def test_a_file_that_is_read_only_stays_as_it_is(tmp_path: Path) -> None:
    source = source_of(tmp_path, "total: 1\n")
    source.path.chmod(0o444)
    with pytest.raises(ConfigError, match=r"leads\.yml: cannot be rewritten"):
        rewrite(source, {("total",): 2.0})
    assert source.path.read_text() == "total: 1\n"


def test_a_file_that_is_gone_is_one_clear_message(tmp_path: Path) -> None:
    source = source_of(tmp_path, "total: 1\n")
    source.path.unlink()
    with pytest.raises(ConfigError, match=r"leads\.yml: cannot be rewritten"):
        rewrite(source, {("total",): 2.0})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("number", "text"), [(78.0, "78"), (-0.25, "-0.25"), (123456.78, "123456.78"), (0.0, "0")])
def test_a_number_is_written_without_losing_a_digit(number: float, text: str) -> None:
    assert number_text(number) == text
