"""Phrases, numbers and times in the reader's language; templates that name only what is there."""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from string import Formatter
from typing import Any

import pytest
from jinja2 import nodes

import syncer
from syncer.cli.output import ago
from syncer.web import phrases
from syncer.web.rendering import asset, templates
from tests.web.spans import SPANS

HERE = templates("en", "Europe/Madrid")
NAMES = sorted(name for name in HERE.list_templates() if name.endswith(".html.j2"))
NAMED_BY_NO_TYPE = {"what_if_stages", "runs_reload_config_reloaded"}  # though they are said


def test_a_number_a_share_and_a_time_are_written_as_each_language_does() -> None:
    at = datetime(2026, 11, 22, 8, 5, tzinfo=UTC)
    text = "{{ 1420|number }} {{ 7850|points }} {{ 0.336|percent }} {{ at|moment }} {{ at|day }} {{ 7200|span }}"
    assert HERE.from_string(text).render(at=at) == "1,420 78.5 33.6 % 22 Nov 2026, 09:05 22 Nov 2026 2 hours"
    spanish = templates("es", "Europe/Madrid").from_string(text).render(at=at)
    assert spanish == "1.420 78,5 33,6 % 22 nov 2026, 09:05 22 nov 2026 2 horas"
    assert HERE.from_string("{{ none|number }} {{ none|moment }} {{ none|span }}").render() == "– – –"


@pytest.mark.parametrize(("seconds", "english", "spanish", "short"), SPANS)
def test_a_span_is_told_alike_on_pages_and_on_the_command_line(
    seconds: float, english: str, spanish: str, short: str
) -> None:
    for language, told in (("en", english), ("es", spanish)):
        assert templates(language, "UTC").from_string("{{ it|span }}").render(it=seconds) == told
    now = datetime(2026, 11, 22, tzinfo=UTC)
    assert ago(now - timedelta(seconds=seconds), now) == f"{short} ago"


def test_every_phrase_is_said_in_both_languages_with_the_same_facts() -> None:
    for key, both in phrases.PHRASES.items():
        facts = [{name for _, name, _, _ in Formatter().parse(text) if name is not None} for text in both]
        assert facts[0] == facts[1], key
        assert all(text.strip() for text in both), key


def test_one_thing_is_called_by_one_word() -> None:
    """archivo, línea de comandos, expired or ended, via, audit log."""
    english, spanish = ("\n".join(both[place] for both in phrases.PHRASES.values()) for place in (0, 1))
    assert not re.findall(r"fichero|línea de órdenes|[Rr]egistro de acciones|se olvidó", spanish)
    assert not re.findall(r"[Ll]og of acts|(?:by \{name\}|token|hand) is over|over \{channel\}|in over", english)


def test_no_phrase_is_written_twice() -> None:
    keys = [key for module in phrases._MODULES for key in module.PHRASES]
    assert len(keys) == len(set(keys))


@dataclass
class Said:
    """What templates and modules say: whole keys, and how keys begin that are put together, each with the texts that
    stand in the same file."""

    keys: set[str] = field(default_factory=set)
    begun: list[tuple[str, str, set[str]]] = field(default_factory=list)  # (beginning, end, texts)

    def says(self, key: str, named: set[str]) -> bool:
        """Where whole keys begin alike, too, only what is named in the same file or by a type follows the beginning."""
        if key in self.keys:
            return True
        for start, end, texts in self.begun:
            if key.startswith(start) and key.endswith(end):
                all_of_them = not any(each.startswith(start) for each in self.keys if each in phrases.PHRASES)
                if all_of_them or key[len(start) : len(key) - len(end)] in texts | named:
                    return True
        return False


def _said() -> Said:
    said = Said()
    for name in NAMES:
        tree = HERE.parse(HERE.loader.get_source(HERE, name)[0])  # type: ignore[union-attr]
        texts = {each.value for each in tree.find_all(nodes.Const) if isinstance(each.value, str)}
        said.keys |= texts
        for joined in tree.find_all(nodes.Concat):
            first, last = joined.nodes[0], joined.nodes[-1]
            if isinstance(first, nodes.Const) and first.value:
                said.begun.append((first.value, last.value if isinstance(last, nodes.Const) else "", texts))
    for module in _modules("web"):
        texts = _texts(module)
        said.keys |= texts
        for each in ast.walk(module):
            if isinstance(each, ast.JoinedStr) and (start := _texts_of(each.values[:1])):
                said.begun.append((start.pop(), "", texts))
    return said


def _modules(part: str = "") -> Iterator[ast.AST]:
    """Of a part of syncer, but for the phrases themselves."""
    for path in Path(syncer.__file__).parent.joinpath(part).rglob("*.py"):
        if path.parent.name != "phrases":
            yield ast.parse(path.read_text())


def _texts(tree: ast.AST) -> set[str]:
    return _texts_of(ast.walk(tree))


def _texts_of(found: Any) -> set[str]:
    return {each.value for each in found if isinstance(each, ast.Constant) and isinstance(each.value, str)}


def test_every_phrase_is_said_somewhere() -> None:
    literals = [
        each.slice
        for tree in _modules()
        for each in ast.walk(tree)
        if isinstance(each, ast.Subscript) and getattr(each.value, "id", "") == "Literal"
    ]
    said, named = _said(), {text for each in literals for text in _texts(each)}
    unsaid = {key for key in phrases.PHRASES if not said.says(key, named)}
    assert unsaid - NAMED_BY_NO_TYPE == set()


@pytest.mark.parametrize("name", NAMES)
def test_a_template_says_only_phrases_and_names_only_files_that_there_are(name: str) -> None:
    source, _, _ = HERE.loader.get_source(HERE, name)  # type: ignore[union-attr]
    for call in HERE.parse(source).find_all(nodes.Call):
        called = getattr(call.node, "name", None)
        first: Any = call.args[0] if call.args else None
        if called == "say" and isinstance(first, nodes.Const):
            assert first.value in phrases.PHRASES
        if called == "asset" and isinstance(first, nodes.Const):
            assert asset(first.value).startswith(f"/static/{first.value}?v=")


@pytest.mark.parametrize("name", NAMES)
def test_whoever_reads_that_something_is_counted_may_reload_the_page_without_scripts(name: str) -> None:
    source, _, _ = HERE.loader.get_source(HERE, name)  # type: ignore[union-attr]
    counting = [line for line in source.splitlines() if re.search(r"""say\(['"]counting['"]\)""", line)]
    assert all('{% include "reload.html.j2" %}' in line for line in counting)


@pytest.mark.parametrize("name", NAMES)
def test_a_template_has_nothing_that_the_policy_forbids(name: str) -> None:
    source, _, _ = HERE.loader.get_source(HERE, name)  # type: ignore[union-attr]
    assert "|safe" not in source.replace(" ", "")
    source = re.sub(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", "", source, flags=re.DOTALL)
    if not name.startswith("answer"):  # that page brings its own sheet, and its own policy
        assert not re.search(r"<style|<[a-z][^>]*\s(style|on[a-z]+)=|javascript:|<script(?![^>]*\bsrc=)", source)


def test_what_others_wrote_comes_with_its_licence_and_as_it_was_published() -> None:
    vendor = files("syncer.web").joinpath("static", "vendor")
    lines = [line.split() for line in vendor.joinpath("SHA256SUMS").read_text().splitlines()]
    sums = {name: expected for expected, name in lines}
    there = {each.name for each in vendor.iterdir()} - {"SHA256SUMS"}
    assert there == set(sums)
    for name, expected in sums.items():
        assert hashlib.sha256(vendor.joinpath(name).read_bytes()).hexdigest() == expected, name
    assert {f"{name.split('.')[0]}.LICENSE" for name in there if name.endswith(".js")} <= there
