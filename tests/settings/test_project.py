"""The project file and what it names -> a project."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from datetime import timedelta
from pathlib import Path

import pytest

from syncer.rules import FieldTest
from syncer.settings import CrmTask, Email, Slack, Sync, Webhook, digest, load_project
from tests.settings.samples import CONNECTORS, ENVIRON, MODEL, PROJECT, loaded, only, places, problems, project_folder

HANDOFF = """\
handoff:
  when: iql
  wait: 5m
  notifiers:
    ventas: {type: slack, private_addresses: true, url: "http://127.0.0.1:9/hook"}
    correo: {type: email, host: localhost, port: 25, from: a@acme.es, security: none}
    hook: {type: webhook, private_addresses: true, url: "http://127.0.0.1:9/", secret: s3cr3t-of-the-hook}
    todo: {type: task, due_in: 4h}
  repeats: {slack: hold, email: resend}
  route:
    - {if: {country: [MX, CO]}, to: [latam@acme.es]}
    - {to: owner, fallback: ventas@acme.es}
  notify: [ventas, correo, hook]
"""


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    project = loaded(tmp_path)
    assert (project.timezone, project.language, project.sync) == ("UTC", "en", Sync())
    assert project.sync == Sync(timedelta(minutes=15), 200, 50, 100, "respect", None)
    assert project.handoff is None
    assert project.stages == ("cold", "iql", "sql")


def test_sweeps_have_their_times_or_are_off(tmp_path: Path) -> None:
    sync = loaded(tmp_path, PROJECT + "sync: {sweep: 12h, sweep_activities: off}\n").sync
    assert (sync.sweep, sync.sweep_activities) == (timedelta(hours=12), None)


def test_a_sweep_every_no_time_is_none(tmp_path: Path) -> None:
    sync = loaded(tmp_path, PROJECT + "sync: {sweep: 0, sweep_activities: 0d}\n").sync
    assert (sync.sweep, sync.sweep_activities) == (None, None)
    problem = only(problems(tmp_path, PROJECT + "sync: {sweep: 12 hours}\n"))
    assert "off switches it off" in problem.help


def test_what_makes_two_records_one_person_is_told_by_one_word(tmp_path: Path) -> None:
    alone, together = loaded(tmp_path), loaded(tmp_path, f"same_person: email\n{PROJECT}")
    assert (alone.same_person, together.same_person) == (None, "email")
    assert alone.fingerprint != together.fingerprint
    (problem,) = problems(tmp_path, f"same_person: e-mail\n{PROJECT}")
    assert (problem.line, problem.column, problem.path) == (1, 14, "same_person")
    assert "email" in f"{problem.message} {problem.help}"


def test_connections_carry_their_connector_s_own_settings(tmp_path: Path) -> None:
    connection = only(loaded(tmp_path).connections)
    assert (connection.name, connection.type, connection.where) == ("main", "crm", "syncer.yml:2")
    assert type(connection.settings) is CONNECTORS["crm"]


def test_connections_may_live_in_a_file_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "crms.yml").write_text('main: {type: crm, token: "${CRM_TOKEN}"}\nother: {type: crm, tokn: x}\n')
    project = "connections: crms.yml\nmodels: models/b2b.yml\n"
    found = problems(tmp_path, project)
    assert places(found) == [
        ("crms.yml", 2, 1, "other.token"),
        ("crms.yml", 2, 20, "other.tokn"),
    ]
    (tmp_path / "crms.yml").write_text('main: {type: crm, token: "${CRM_TOKEN}"}\n')
    fixed = loaded(tmp_path, project)
    assert only(fixed.connections).where == "crms.yml:1"
    assert tmp_path / "crms.yml" in fixed.files


@pytest.mark.parametrize(
    ("written", "policy", "span", "respects"),
    [
        ("respect", "respect", None, True),
        ("overwrite", "overwrite", None, False),
        ("{respect_for: 30d}", "respect_for", timedelta(days=30), True),
    ],
)
def test_what_a_change_by_hand_means(
    tmp_path: Path, written: str, policy: str, span: timedelta | None, respects: bool
) -> None:
    sync = loaded(tmp_path, PROJECT + f"sync: {{manual_change: {written}, min_step: 0.5}}\n").sync
    assert (sync.manual_change, sync.respect_for, sync.respect_edits, sync.min_step) == (policy, span, respects, 50)


def test_the_hand_off_is_read_whole(tmp_path: Path) -> None:
    handoff = loaded(tmp_path, PROJECT + HANDOFF).handoff
    assert handoff is not None
    assert (handoff.when, handoff.wait, handoff.notify) == ("iql", timedelta(minutes=5), ("ventas", "correo", "hook"))
    assert (handoff.slack_repeats, handoff.email_repeats) == ("hold", "resend")
    first, second = handoff.routes
    assert (first.when, first.to) == (FieldTest("country", "any_of", ("MX", "CO")), ("latam@acme.es",))
    assert (second.when, second.to, second.fallback) == (None, ("owner",), "ventas@acme.es")
    assert [type(notifier) for notifier in handoff.notifiers.values()] == [Slack, Email, Webhook, CrmTask]
    assert handoff.notifiers["todo"] == CrmTask.model_validate({"due_in": "4h"})
    mail = handoff.notifiers["correo"]
    assert isinstance(mail, Email)
    assert (mail.sender, mail.port, mail.security) == ("a@acme.es", 25, "none")


def test_the_last_stage_is_handed_over_by_default(tmp_path: Path) -> None:
    handoff = loaded(tmp_path, PROJECT + "handoff: {}\n").handoff
    assert handoff is not None
    assert (handoff.when, handoff.cool_down) == ("sql", timedelta(0))
    cooler = loaded(tmp_path, PROJECT + "handoff: {cool_down: 7d}\n").handoff
    assert cooler is not None
    assert cooler.cool_down == timedelta(days=7)


@pytest.mark.parametrize(
    ("handoff", "path", "message"),
    [
        ("{when: sq1}", "handoff.when", "there is no stage 'sq1'"),
        ("{notify: x}", "handoff.notify", "there is no notifier 'x'"),
        ("{notifiers: {a: {type: slak}}}", "handoff.notifiers.a.type", "no notifier called 'slak'"),
        ("{notifiers: {a: {}}}", "handoff.notifiers.a.type", "the key 'type' is missing"),
        ("{notifiers: {a: x}}", "handoff.notifiers.a", "a mapping with a `type` is needed here"),
        ("{notifiers: {a: {type: slack}}}", "handoff.notifiers.a.url", "the key 'url' is missing"),
        ("{notifiers: {a: {type: slack, url: x}}}", "handoff.notifiers.a.url", "must be a web address"),
        ("{notifiers: {a: {type: task, due_in: 0d}}}", "handoff.notifiers.a.due_in", "is no time at all"),
        ("{notifiers: [a]}", "handoff.notifiers", "a mapping is needed here, not a list"),
        ("{route: [{to: sales}]}", "handoff.route[0].to", "neither an e-mail address nor 'owner'"),
        ("{route: [{to: [a@acme.es, sales]}]}", "handoff.route[0].to[1]", "neither an e-mail address nor 'owner'"),
        ("{route: [{to: []}]}", "handoff.route[0].to", "a list of e-mail addresses is needed"),
        ("{route: [{if: {activity: call}, to: owner}]}", "handoff.route[0].if", "not at activities"),
        ("{route: [{to: a@acme.es, fallback: b@acme.es}]}", "handoff.route[0].fallback", "nobody asks for the owner"),
        ("{route: [{to: owner, fallback: owner}]}", "handoff.route[0].fallback", "is not an e-mail address"),
        ("{wait: soon}", "handoff.wait", "'soon' is not a duration"),
        ("{cool_down: 7}", "handoff.cool_down", "7 is not a duration"),
        ("{repeats: {webhook: hold}}", "handoff.repeats.webhook", "unknown key 'webhook'"),
        (
            "{notifiers: {m: {type: email, host: h, from: a@acme.es}}, notify: [m]}",
            "handoff.route",
            "no route says to whom",
        ),
    ],
)
def test_a_wrong_hand_off_says_where_and_what(tmp_path: Path, handoff: str, path: str, message: str) -> None:
    found = only(problems(tmp_path, PROJECT + f"handoff: {handoff}\n"))
    assert (found.path, found.line) == (path, 4)
    assert message in found.message


@pytest.mark.parametrize(
    ("project", "path", "message"),
    [
        ("models: models/b2b.yml\n", "connections", "no connection is named"),
        (PROJECT.replace("models: models/b2b.yml", "language: es"), "models", "no model is named"),
        (PROJECT.replace("main:", "ma/in:"), "connections.ma/in", "cannot be a name here"),
        (PROJECT.replace("models/b2b.yml", "[{use: models/b2b.yml, fr: {}}]"), "models[0].fr", "unknown key 'fr'"),
        (PROJECT + "sync: {max_handoffs: -1}\n", "sync.max_handoffs", "must be at least 0, not -1"),
        (PROJECT + "sync: {sweep: never}\n", "sync.sweep", "'never' is neither a duration nor off"),
        (PROJECT + "sync: {sweep_activities: false}\n", "sync.sweep_activities", "is neither a duration nor off"),
        (PROJECT + "sync: {min_step: -1}\n", "sync.min_step", "cannot be negative"),
        (PROJECT + "sync: {manual_change: never}\n", "sync.manual_change", "is not one of respect, overwrite"),
        (PROJECT + "version: 2\n", "version", "2 is not one of 1"),
        (PROJECT + "language: fr\n", "language", "'fr' is not one of en, es"),
        (PROJECT.replace("type: crm", "type: crm, port: x"), "connections.main.port", "a whole number is needed here"),
        (
            PROJECT.replace("type: crm", "type: crm, write: {lifecyclestage: {hot: x}}"),
            "connections.main.write.lifecyclestage.hot",
            "there is no stage 'hot'",
        ),
    ],
)
def test_a_wrong_project_says_where_and_what(tmp_path: Path, project: str, path: str, message: str) -> None:
    found = only(problems(tmp_path, project))
    assert found.path == path
    assert message in found.message


def test_segments_are_tried_in_order_and_share_their_stages(tmp_path: Path) -> None:
    project_folder(tmp_path)
    (tmp_path / "models" / "es.yml").write_text(MODEL)
    project = PROJECT.replace("models/b2b.yml", "[{use: models/es.yml, for: {country: [ES]}}, {use: models/b2b.yml}]")
    segments = loaded(tmp_path, project + "timezone: Europe/Madrid\n").segments
    assert [(one.model.name, one.when) for one in segments] == [
        ("es", FieldTest("country", "any_of", ("ES",))),
        ("b2b", None),
    ]
    assert {one.model.timezone for one in segments} == {"Europe/Madrid"}
    (tmp_path / "models" / "es.yml").write_text(MODEL.replace("iql", "hot"))
    assert "models/b2b.yml has the stages cold, iql, sql" in only(problems(tmp_path, project)).message


def test_a_model_that_no_lead_can_reach_is_refused(tmp_path: Path) -> None:
    project = PROJECT.replace("models/b2b.yml", "[models/b2b.yml, {use: models/b2b.yml, for: {a: 1}}]")
    assert only(problems(tmp_path, project)).path == "models[0]"


def test_what_connectors_must_fetch_is_known(tmp_path: Path) -> None:
    model = (
        "fit:\n  rules:\n    - {name: A, points: 1, when: {country: ES, any: [{size: 1}, {activity: call, to: x}]}}\n"
        "veto:\n  - {name: V, when: {unsubscribed: true}}\n"
        "stages:\n  - {name: cold}\n  - {name: sql, or_any: [{activity: demo_request}]}\n"
    )
    project = PROJECT + "handoff: {route: [{if: {region: x}, to: owner}]}\n"
    found = loaded(tmp_path, project.replace("models/b2b.yml", "[{use: models/b2b.yml, for: {lang: es}}]"), model)
    assert found.needed_fields == ("country", "lang", "region", "size", "unsubscribed")
    assert found.needed_activities == ("call", "demo_request")


def test_the_fingerprint_is_of_the_meaning(tmp_path: Path) -> None:
    first = loaded(tmp_path, PROJECT + HANDOFF).fingerprint
    assert loaded(tmp_path, "# a comment\n" + HANDOFF + PROJECT, "# here too\n" + MODEL).fingerprint == first
    assert loaded(tmp_path, PROJECT + HANDOFF.replace("5m", "6m")).fingerprint != first
    assert loaded(tmp_path, PROJECT + HANDOFF, MODEL.replace("10", "11")).fingerprint != first


def test_a_project_does_not_change(tmp_path: Path) -> None:
    project = loaded(tmp_path)
    with pytest.raises(FrozenInstanceError):
        project.timezone = "UTC"  # type: ignore[misc]


def test_the_digest_changes_with_any_file_that_was_read(tmp_path: Path) -> None:
    path = project_folder(tmp_path)
    (tmp_path / ".env").write_text("CRM_TOKEN=x\n")
    (tmp_path / "free.txt").write_text("gmail.com\n")
    (tmp_path / "models" / "b2b.yml").write_text("lists: {free: ../free.txt}\n" + MODEL)
    files = load_project(path, CONNECTORS, ENVIRON).files
    seen = {digest(files)}
    for file in files:
        file.write_text(file.read_text() + "\n# more\n")
        seen.add(digest(files))
    (tmp_path / "free.txt").unlink()
    seen.add(digest(files))
    assert len(files) == 4
    assert len(seen) == 6
