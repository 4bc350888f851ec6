"""`web:`, where the daemon listens."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncer.settings import Web, json_schema, show
from tests.settings.samples import CONNECTORS, PROJECT, loaded, only, problems
from tests.settings.test_schema import GOOD, Checker


def test_left_out_nothing_listens_and_an_empty_section_listens_at_home(tmp_path: Path) -> None:
    assert loaded(tmp_path).web is None
    assert loaded(tmp_path, PROJECT + "web: {}\n").web == Web(host="127.0.0.1", port=8321)
    assert loaded(tmp_path, PROJECT + "web: {host: '0.0.0.0', port: 80}\n").web == Web(host="0.0.0.0", port=80)


def test_it_is_part_of_the_meaning_and_shown_with_its_places(tmp_path: Path) -> None:
    here, there = (loaded(tmp_path, f"{PROJECT}web: {{port: {port}}}\n") for port in (8321, 8322))
    assert here.fingerprint != there.fingerprint
    assert show(there)["web.port"] == (8322, "syncer.yml:4")
    assert show(there)["web.host"][0] == "127.0.0.1"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("{port: 0}", "web.port"),
        ("{port: 65536}", "web.port"),
        ("{port: eighty}", "web.port"),
        ("{host: ' '}", "web.host"),
        ("{address: 127.0.0.1}", "web.address"),
        ("8321", "web"),
    ],
)
def test_a_mistake_is_told_where_it_stands(tmp_path: Path, text: str, path: str) -> None:
    project = f"{PROJECT}web: {text}\n"
    problem = only(problems(tmp_path, project))
    assert (problem.path, problem.line) == (path, 4)


@pytest.mark.parametrize(
    ("web", "fits"), [({}, True), ({"host": "::1", "port": 8321}, True), ({"port": "x y"}, False), ({"to": 1}, False)]
)
def test_the_schema_knows_it(web: object, fits: bool) -> None:
    project = {**GOOD, "connections": {"a": {"type": "crm", "token": "x"}}, "web": web}
    assert Checker(json_schema(CONNECTORS)).fits(project) is fits
