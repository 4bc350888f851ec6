"""`handoff`: when nobody is disturbed, when many messages become one, what sales may answer, whom a record goes to."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from syncer.log import redact
from syncer.settings import Answers, Digest, HandoffSettings, OnReject, Quiet, json_schema, show
from tests.settings.samples import CONNECTORS, PROJECT, loaded, only, problems
from tests.settings.test_schema import GOOD, Checker

TELLING = """\
timezone: Europe/Madrid
handoff:
  quiet_hours: {from: "21:00", to: "07:30", at_most: 12h}
  digest: {above: 5, per: 30m}
  on_reject: {to: iql, hold: 30d}
  answers: {reasons: not now, field: sales_answer, reason_field: why, accepted: [yes, taken], rejected: "no"}
  people: {ana: {email: ana@acme.es}, luis: {email: luis@acme.es}}
  teams:
    latam: {members: [luis, ana], pick: all, queue: LatAm}
    spain: {members: [luis, ana]}
  route:
    - {if: {country: MX}, to: latam, assign: true}
    - {to: spain, assign: true}
"""


def handoff_of(folder: Path, text: str) -> HandoffSettings:
    handoff = loaded(folder, PROJECT + text).handoff
    assert handoff is not None
    return handoff


def test_they_are_read_as_they_stand(tmp_path: Path) -> None:
    handoff = handoff_of(tmp_path, TELLING)
    assert handoff.quiet == Quiet(21 * 60, 7 * 60 + 30, timedelta(hours=12), "Europe/Madrid")
    assert handoff.digest == Digest(5, timedelta(minutes=30))
    assert handoff.on_reject == OnReject("iql", timedelta(days=30))
    assert handoff.answers == Answers(("not now",), "sales_answer", "why", ("yes", "taken"), ("no",))
    assert (handoff.teams["latam"].queue, handoff.teams["spain"].queue) == ("LatAm", None)
    assert [each.assign for each in handoff.routes] == [True, True]


def test_left_out_it_is_never_quiet_and_a_lead_that_is_not_ready_stays_where_it_is(tmp_path: Path) -> None:
    handoff = handoff_of(tmp_path, "handoff: {route: [{to: owner}]}\n")
    assert (handoff.quiet, handoff.on_reject) == (None, None)
    assert handoff.digest == Digest(20, timedelta(minutes=10))
    assert (handoff.answers, handoff.routes[0].assign) == (Answers(), False)
    assert "not now" in handoff.answers.reasons


def test_it_is_quiet_by_the_clock_of_those_who_work(tmp_path: Path) -> None:
    quiet = handoff_of(tmp_path, TELLING + "  hours: {timezone: America/Lima}\n").quiet
    assert quiet is not None
    assert quiet.timezone == "America/Lima"


def test_midnight_may_be_written_as_the_end_of_a_day(tmp_path: Path) -> None:
    quiet = handoff_of(tmp_path, TELLING.replace('from: "21:00"', 'from: "24:00"')).quiet
    assert quiet is not None
    assert quiet.start == 0
    ends = handoff_of(tmp_path, TELLING.replace('to: "07:30"', 'to: "24:00"')).quiet
    assert ends is not None
    assert ends.end == 0


def test_the_fields_of_an_answer_are_read_from_the_crm(tmp_path: Path) -> None:
    assert {"sales_answer", "why"} <= set(loaded(tmp_path, PROJECT + TELLING).needed_fields)


@pytest.mark.parametrize(
    ("old", "new", "path", "says"),
    [
        ('to: "07:30"', 'to: "21:00"', "handoff.quiet_hours.to", "are the same time"),
        (", at_most: 12h", "", "handoff.quiet_hours.at_most", "is missing"),
        ("above: 5", "above: 0", "handoff.digest.above", "must be at least 1"),
        ("per: 30m", "per: 0m", "handoff.digest.per", "0"),
        ("to: iql,", "to: iqll,", "handoff.on_reject.to", "there is no stage 'iqll'"),
        ("to: iql,", "to: sql,", "handoff.on_reject.to", "'sql' is no colder than 'sql'"),
        ("reasons: not now", "reasons: []", "handoff.answers.reasons", "the list is empty"),
        ("reasons: not now", f"reasons: {'x' * 76}", "handoff.answers.reasons", "75"),
        ("reasons: not now", f"reasons: {[*map(str, range(21))]}", "handoff.answers.reasons", "20"),
        ('rejected: "no"', "rejected: [taken]", "handoff.answers.rejected", "stands under `accepted`, too"),
        ('rejected: "no"', "rejected: [Taken]", "handoff.answers.rejected", "stands under `accepted`, too"),
        ("hold: 30d}", "hold: 6d}\n  cool_down: 7d", "handoff.on_reject.hold", "shorter than 'cool_down'"),
        ("field: sales_answer, reason_field", "reason_field", "handoff.answers.accepted", "needs a field"),
        (", queue: LatAm", "", "handoff.route[0].assign", "there is nobody to give the record to"),
        ("assign: true}\n    - {to", "assign: maybe}\n    - {to", "handoff.route[0].assign", "maybe"),
    ],
)
def test_what_is_wrong_is_said_at_its_place(tmp_path: Path, old: str, new: str, path: str, says: str) -> None:
    assert TELLING.count(old) == 1
    found = problems(tmp_path, PROJECT + TELLING.replace(old, new))
    first = next(each for each in found if each.path == path)
    assert says in first.message


def test_a_lead_goes_back_below_the_stage_that_is_handed_over(tmp_path: Path) -> None:
    text = TELLING.replace("handoff:\n", "handoff:\n  when: iql\n")
    assert "'iql' is no colder than 'iql'" in only(problems(tmp_path, PROJECT + text)).message
    on_reject = handoff_of(tmp_path, text.replace("to: iql,", "to: cold,")).on_reject
    assert on_reject == OnReject("cold", timedelta(days=30))


def test_they_are_shown_with_where_they_come_from(tmp_path: Path) -> None:
    shown = show(loaded(tmp_path, PROJECT + TELLING))
    assert shown["handoff.quiet_hours.to"] == ("07:30", "syncer.yml:6")
    assert shown["handoff.digest.per"] == ("30m", "syncer.yml:7")
    assert shown["handoff.on_reject.hold"] == ("30d", "syncer.yml:8")
    assert shown["handoff.answers.rejected"] == (["no"], "syncer.yml:9")
    assert shown["handoff.teams.latam.queue"] == ("LatAm", "syncer.yml:12")
    assert shown["handoff.route[1].assign"] == (True, "syncer.yml:16")


def test_they_are_part_of_the_meaning(tmp_path: Path) -> None:
    one, other = (loaded(tmp_path, PROJECT + text) for text in (TELLING, TELLING.replace("30d", "31d")))
    assert one.fingerprint != other.fingerprint


def test_a_lead_may_be_told_of_anew_as_soon_as_nothing_holds_it(tmp_path: Path) -> None:
    handoff = handoff_of(tmp_path, TELLING.replace("hold: 30d}", "hold: 7d}\n  cool_down: 7d"))
    assert handoff.on_reject == OnReject("iql", handoff.cool_down)


BUTTONS = "handoff: {notifiers: {team: {type: slack, url: 'https://hooks.slack.test/x', signing_secret: '${SLACK}'}}}\n"


def test_buttons_under_a_message_need_somebody_who_hears_them(tmp_path: Path) -> None:
    found = only(problems(tmp_path, PROJECT + BUTTONS, SLACK="signs-it"))
    assert (found.path, found.code) == ("handoff.notifiers.team.signing_secret", "SY010")
    assert "heard by nobody" in found.message
    assert loaded(tmp_path, f"{PROJECT}{BUTTONS}web: {{}}\n", SLACK="signs-it").handoff is not None
    assert loaded(tmp_path, PROJECT + BUTTONS.replace(", signing_secret: '${SLACK}'", "")).handoff is not None


WEB = "web: {public_url: https://syncer.acme.es, secret: '${WEB_SECRET}'}\n"


def test_links_need_both_an_address_and_what_signs_them(tmp_path: Path) -> None:
    web = loaded(tmp_path, PROJECT + WEB, WEB_SECRET="0123456789abcdef").web
    assert web is not None
    assert web.secret is not None
    assert web.secret.get_secret_value() == "0123456789abcdef"
    assert show(loaded(tmp_path, PROJECT + WEB, WEB_SECRET="0123456789abcdef"))["web.secret"] == (
        "***",
        "env WEB_SECRET",
    )
    for left_out, path in (
        (", secret: '${WEB_SECRET}'", "web.public_url"),
        ("public_url: https://syncer.acme.es, ", "web.secret"),
    ):
        found = only(problems(tmp_path, PROJECT + WEB.replace(left_out, ""), WEB_SECRET="0123456789abcdef"))
        assert (found.path, found.code) == (path, "SY010")


def test_what_signs_links_and_presses_is_blotted_out_wherever_it_turns_up(tmp_path: Path) -> None:
    text = PROJECT + WEB + BUTTONS
    loaded(tmp_path, text, WEB_SECRET="signs-all-our-links", SLACK="signs-all-presses")
    assert redact("a signs-all-our-links b signs-all-presses") == "a *** b ***"
    loaded(tmp_path, PROJECT + WEB.replace("${WEB_SECRET}", "signs-from-the-file"))
    assert redact("signs-from-the-file") == "***"


def test_what_signs_links_cannot_be_guessed_from_its_length_and_is_never_shown(tmp_path: Path) -> None:
    found = only(problems(tmp_path, PROJECT + WEB, WEB_SECRET="sh0rt-secret"))
    assert found.path == "web.secret"
    assert "sh0rt-secret" not in f"{found}"
    assert "16 characters" in found.message


def test_the_schema_knows_them() -> None:
    checker = Checker(json_schema(CONNECTORS))
    project = {**GOOD, "connections": {"a": {"type": "crm", "token": "x"}}}
    good = {"on_reject": {"to": "iql"}, "digest": {"above": 3}, "answers": {"field": "f", "accepted": [True, "yes"]}}
    assert checker.fits({**project, "handoff": good})
    bad_ones: list[dict[str, Any]] = [
        {"on_reject": {}}, {"digest": {"above": "many"}}, {"answers": {"reasons": 5}}, {"quiet_hours": {}},
    ]  # fmt: skip
    for bad in bad_ones:
        assert not checker.fits({**project, "handoff": bad})
