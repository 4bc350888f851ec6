"""Activities may be dropped only when no rule looks back as far."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.settings.samples import PROJECT, loaded, problems

MODEL = """\
half_life: 30d
engagement:
  rules:
    - {name: Came to a meeting, when: {activity: meeting, in_last: 90d}, points: 10}
    - {name: Opened a mail, when: {activity: email_open}, points: 1, each: true}
stages:
  - {name: cold}
  - {name: sql, enter: [total >= 10], or_any: [{activity: demo_request, in_last: 7d}]}
"""


def with_rule(rule: str) -> str:
    return MODEL.replace("    - {name: Opened a mail", f"    - {rule}\n    - {{name: Opened a mail")


def test_spans_are_read_and_off_is_the_default(tmp_path: Path) -> None:
    assert loaded(tmp_path, PROJECT, MODEL).sync.keep_activities is None
    sync = loaded(tmp_path, PROJECT + "sync: {keep_activities: 210d, keep_handoffs: 730d}\n", MODEL).sync
    assert (sync.keep_activities, sync.keep_handoffs) == (timedelta(days=210), timedelta(days=730))


@pytest.mark.parametrize(
    ("keep", "model", "message"),
    [
        ("89d", MODEL, "the rule 'Came to a meeting' (models/b2b.yml:4) counts activities of the last 90d"),
        ("209d", MODEL, "the rule 'Opened a mail' (models/b2b.yml:5) counts activities of the last 210d"),
        (
            "400d",
            MODEL.replace("half_life: 30d\n", ""),
            "'Opened a mail' (models/b2b.yml:4) counts activities of any age",
        ),
        (
            "400d",
            with_rule("{name: Thrice, when: {activity: visit}, at_least: 3, points: 5}"),
            "'Thrice' (models/b2b.yml:5) counts activities of any age",
        ),
        ("400d", MODEL.replace(", in_last: 7d", ""), "the stage 'sql' (models/b2b.yml:8) counts activities of any age"),
        (
            "400d",
            MODEL + "veto:\n  - {name: Left, when: {activity: unsubscribe}}\n",
            "the veto 'Left' (models/b2b.yml:10) counts activities of any age",
        ),
    ],
)
def test_a_rule_that_looks_back_further_is_named_with_its_place(
    tmp_path: Path, keep: str, model: str, message: str
) -> None:
    found = problems(tmp_path, PROJECT + f"sync: {{keep_activities: {keep}}}\n", model)
    told = [each for each in found if each.code == "SY223"]
    assert any(message in each.message for each in told), [each.message for each in found]
    assert all(f"they are kept for {keep}" in each.message for each in told)
    assert {(each.file, each.line) for each in told} == {("syncer.yml", 4)}


def test_a_linear_fade_is_over_after_two_half_lives(tmp_path: Path) -> None:
    model = MODEL.replace("30d", "50d").replace("engagement:\n", "engagement:\n  fade: linear\n")
    found = problems(tmp_path, PROJECT + "sync: {keep_activities: 99d}\n", model)
    assert "counts activities of the last 100d" in found[0].message
    assert loaded(tmp_path, PROJECT + "sync: {keep_activities: 100d}\n", model).sync.keep_activities
