"""A case is scored and placed as a real lead is, and compared with what must come out."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncer import scoring
from syncer.rule_tests import Verdict, judge
from syncer.rules import Segment
from syncer.settings.cases import load_cases
from syncer.settings.conditions import read_condition
from tests.settings.samples import model_of
from tests.settings.test_cases import book_of, written

MODEL = """\
timezone: Europe/Madrid
fit:
  max: 40
  rules:
    - {name: Target country, when: {country: [ES, MX]}, points: 10}
    - {name: Decides, id: decision-maker, when: {jobtitle: {contains: director}}, points: 40}
engagement:
  rules:
    - {name: Came to a meeting, when: {activity: meeting, outcome: completed}, points: 12.5, each: true, cap: 30}
    - {name: Opened a mail, when: {activity: email_open}, points: 1, each: true}
ignore:
  - {name: Robots, when: {activity: meeting}, for: {email: robot@b.es}}
veto:
  - {name: Opted out, when: {opted_out: true}}
  - {name: Competitor, when: {email: {domain_in: [rival.es]}}, hold_at: mql}
stages:
  - {name: cold}
  - {name: mql, enter: [engagement >= 20], leave_below: [engagement >= 10], dwell: 24h}
  - {name: sql, enter: [engagement >= 20, fit >= 40], owned_by: sales}
"""
MEETING = "{activity: meeting, outcome: completed, ago: 1d}"
MEETINGS = "{activity: meeting, outcome: completed, ago: 1d, times: 3}"


def verdict_of(folder: Path, keys: str) -> Verdict:
    book = book_of(folder, f"cases:\n  - {{name: A case, {keys}}}\n", MODEL)
    (verdict,) = judge(book, [Segment(model_of(folder, MODEL))])
    return verdict


@pytest.mark.parametrize(
    "keys",
    [
        "lead: {country: es}, expect: {fit: 10, total: 10, need: 0, stage: cold}",
        "lead: {country: es, jobtitle: Directora}, expect: {fit: 40, rules: {decision-maker: 40, Target country: 10}}",
        "lead: {country: FR}, expect: {rules: {target-country: 0, Decides: 0}, veto: none}",
        f"activities: [{MEETING}], expect: {{engagement: 12.5, stage: cold}}",
        f"activities: [{MEETINGS}], expect: {{rules: {{came-to-a-meeting: 30}}, engagement: 30, stage: mql}}",
        f"activities: [{MEETING}], was: mql, expect: {{stage: mql}}",
        "was: mql, expect: {stage: cold}",
        "was: mql, since: 23h, expect: {stage: mql}",
        "was: sql, expect: {stage: sql, engagement: 0}",
        f"lead: {{opted_out: true}}, activities: [{MEETINGS}], expect: {{stage: cold, veto: opted-out}}",
        f"lead: {{email: a@rival.es}}, activities: [{MEETINGS}], expect: {{stage: mql, veto: Competitor}}",
        "lead: {email: a@rival.es, opted_out: true}, expect: {veto: competitor}",
        f"lead: {{email: robot@b.es}}, activities: [{MEETINGS}], expect: {{engagement: 0}}",
        "activities: [{activity: meeting, outcome: completed, at: 2026-01-16}], expect: {engagement: 0}",
        "counters: [{activity: email_open, value: 7, ago: 9d}], expect: {rules: {Opened a mail: 1}}",
        "counters: [{activity: email_open, value: 7, ago: 9d}, {activity: email_open, value: 9, ago: 1d}],"
        " expect: {rules: {Opened a mail: 3}}",
    ],
)
def test_what_comes_out_as_expected_passes(tmp_path: Path, keys: str) -> None:
    verdict = verdict_of(tmp_path, keys)
    assert verdict.passed, verdict.seen
    assert verdict.wrong == ()


@pytest.mark.parametrize(
    ("keys", "got"),
    [
        ("expect: {stage: mql, total: 0}", {"stage": "cold"}),
        ("lead: {country: ES}, expect: {total: 10.01, fit: 9.99}", {"total": 1000, "fit": 1000}),
        (f"activities: [{MEETINGS}], expect: {{rules: {{came-to-a-meeting: 37.5}}}}", {"came-to-a-meeting": 3000}),
        ("expect: {veto: opted-out}", {"veto": "none"}),
        ("lead: {opted_out: true}, expect: {veto: none}", {"veto": "opted-out"}),
        ("lead: {opted_out: true}, expect: {veto: competitor}", {"veto": "opted-out"}),
    ],
)
def test_what_comes_out_otherwise_is_told_with_what_came(tmp_path: Path, keys: str, got: dict[str, str | int]) -> None:
    verdict = verdict_of(tmp_path, keys)
    assert not verdict.passed
    assert {each.of[-1]: verdict.seen[each.of] for each in verdict.wrong} == got


def test_a_case_that_expects_nothing_does_not_pass(tmp_path: Path) -> None:
    verdict = verdict_of(tmp_path, "lead: {country: ES}")
    assert not verdict.passed
    assert verdict.seen == {("stage",): "cold", ("total",): 1000}


def test_the_score_has_every_line_and_is_the_kernels(tmp_path: Path) -> None:
    verdict = verdict_of(tmp_path, f"lead: {{country: ES}}, activities: [{MEETINGS}], expect: {{total: 40}}")
    model = model_of(tmp_path, MODEL)
    assert verdict.score is not None
    assert verdict.score == scoring.score(verdict.case.signals, model, verdict.score.as_of)
    assert sum(line.hundredths for line in verdict.score.contributions) == verdict.score.total == 4000


def test_each_lead_is_judged_by_the_first_model_it_fits(tmp_path: Path) -> None:
    spain = model_of(tmp_path, MODEL.replace("points: 10}", "points: 11}"))
    mexico = model_of(tmp_path, MODEL.replace("Target country", "Home market"))
    segments = [
        Segment(spain, read_condition({"country": "ES"}, {})),
        Segment(mexico, read_condition({"country": "MX"}, {})),
    ]
    text = """\
cases:
  - {name: Spain, lead: {country: ES}, expect: {rules: {Target country: 11}}}
  - {name: Mexico, lead: {country: MX}, expect: {rules: {Home market: 10, Target country: 0}}}
  - {name: France, lead: {country: FR}, expect: {stage: cold}}
"""
    (book,) = load_cases(written(tmp_path, text), segments)
    first, second, third = judge(book, segments)
    assert first.passed
    assert {each.of[-1]: second.seen[each.of] for each in second.wrong} == {"Target country": None}
    assert (third.passed, third.score, third.state) == (False, None, None)
