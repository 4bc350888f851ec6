"""Phrases, numbers and times in the reader's language; templates that name only what is there."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from importlib.resources import files
from string import Formatter
from typing import Any

import pytest
from jinja2 import nodes

from syncer.web import phrases
from syncer.web.rendering import asset, templates

HERE = templates("en", "Europe/Madrid")
NAMES = sorted(name for name in HERE.list_templates() if name.endswith(".html.j2"))


def test_a_number_a_share_and_a_time_are_written_as_each_language_does() -> None:
    at = datetime(2026, 11, 22, 8, 5, tzinfo=UTC)
    text = "{{ 1420|number }} {{ 7850|points }} {{ 0.336|percent }} {{ at|moment }} {{ at|day }} {{ 7200|span }}"
    assert HERE.from_string(text).render(at=at) == "1,420 78.5 33.6 % 22 Nov 2026, 09:05 22 Nov 2026 2 hours"
    spanish = templates("es", "Europe/Madrid").from_string(text).render(at=at)
    assert spanish == "1.420 78,5 33,6 % 22 nov 2026, 09:05 22 nov 2026 2 horas"
    assert HERE.from_string("{{ none|number }} {{ none|moment }} {{ none|span }}").render() == "– – –"


def test_every_phrase_is_said_in_both_languages_with_the_same_facts() -> None:
    for key, both in phrases.PHRASES.items():
        facts = [{name for _, name, _, _ in Formatter().parse(text) if name is not None} for text in both]
        assert facts[0] == facts[1], key
        assert all(text.strip() for text in both), key


def test_no_phrase_is_written_twice() -> None:
    keys = [key for module in phrases._MODULES for key in module.PHRASES]
    assert len(keys) == len(set(keys))


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
