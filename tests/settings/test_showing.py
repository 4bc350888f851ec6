"""The settings in force and where each comes from."""

from __future__ import annotations

from pathlib import Path

from syncer.rules import FieldTest
from syncer.settings import show
from syncer.settings.showing import condition_text
from tests.settings.samples import PROJECT, loaded, project_folder


def test_every_value_tells_where_it_comes_from(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of-a-file")
    project = (
        'connections:\n  main: {type: crm, token: "${file:secret}", port: "${CRM_PORT}"}\nmodels: models/b2b.yml\n'
        "sync:\n  every: 90m\n  min_step: 0.5\n"
        "handoff:\n  route:\n    - {if: {country: {not_contains: [x, y]}}, to: [owner, a@acme.es]}\n"
    )
    shown = dict(show(loaded(tmp_path, project, CRM_PORT="8443")))
    assert shown["connections.main.token"] == ("***", f"file {tmp_path / 'secret'}")
    assert shown["connections.main.port"] == (8443, "env CRM_PORT")
    assert shown["connections.main.write.score"] == ("ls_score", "default")
    assert shown["sync.every"] == ("90m", "syncer.yml:5")
    assert shown["sync.min_step"] == (0.5, "syncer.yml:6")
    assert shown["sync.max_handoffs"] == (50, "default")
    assert (shown["sync.sweep"], shown["sync.sweep_activities"]) == (("1d", "default"), ("7d", "default"))
    assert shown["handoff.wait"] == ("15m", "default")
    assert shown["handoff.route[0].if"] == ("country not_contains x, y", "syncer.yml:9")
    assert shown["handoff.route[0].to"] == (["owner", "a@acme.es"], "syncer.yml:9")
    assert shown["timezone"] == ("UTC", "default")


def test_an_age_in_a_condition_is_shown_as_it_is_written() -> None:
    assert condition_text(FieldTest("created", "newer_than", 7 * 86_400_000)) == "created newer_than 7d"


def test_segments_are_shown_with_the_version_of_their_model(tmp_path: Path) -> None:
    project_folder(tmp_path)
    when = "{all: [{country: ES}, {none: [{activity: [call, mail], in_last: 3d, to: x}]}]}"
    project = PROJECT.replace("models/b2b.yml", f"[{{use: models/b2b.yml, for: {when}}}]")
    found = loaded(tmp_path, project)
    shown = show(found)
    assert shown["models[0].use"] == (found.segments[0].model.version, "syncer.yml:3")
    condition = (
        "all(country any_of ES; none(any(activity call with to any_of x in_last 3d; "
        "activity mail with to any_of x in_last 3d)))"
    )
    assert shown["models[0].for"] == (condition, "syncer.yml:3")


def test_values_in_a_file_of_connections_name_that_file(tmp_path: Path) -> None:
    (tmp_path / "crms.yml").write_text('main:\n  type: crm\n  token: "${CRM_TOKEN}"\n  port: 1\n')
    shown = show(loaded(tmp_path, "connections: crms.yml\nmodels: models/b2b.yml\n"))
    assert shown["connections.main.port"] == (1, "crms.yml:4")
    assert shown["connections.main.token"] == ("***", "env CRM_TOKEN")
