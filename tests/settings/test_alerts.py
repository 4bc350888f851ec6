"""The section `alerts`: who is told that a connection needs a person."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncer.settings import Alerts
from tests.settings.samples import PROJECT, loaded, only, problems

HANDOFF = """\
handoff:
  notifiers:
    chat: {type: slack, private_addresses: true, url: "http://127.0.0.1:9/hook"}
    mail: {type: email, host: localhost, port: 25, from: a@acme.es, security: none}
    todo: {type: task}
"""


def test_alerts_name_notifiers_of_the_hand_off_and_the_addresses_for_e_mail(tmp_path: Path) -> None:
    project = loaded(tmp_path, PROJECT + HANDOFF + "alerts: {notify: [chat, mail], to: ops@acme.es}\n")
    assert project.alerts == Alerts(("chat", "mail"), ("ops@acme.es",))
    assert loaded(tmp_path, PROJECT + HANDOFF).alerts is None
    assert loaded(tmp_path, PROJECT + HANDOFF).fingerprint != project.fingerprint


@pytest.mark.parametrize(
    ("alerts", "said", "column"),
    [
        ("{notify: [chta]}", "there is no notifier 'chta' under `handoff`; did you mean 'chat'?", 19),
        ("{notify: todo}", "'todo' makes tasks on leads in the CRM, and an alert is about no lead", 18),
        ("{notify: [mail]}", "mail sends e-mail, and nothing says to whom", 10),
        ("{notify: []}", "the list is empty", 18),
        ("{notify: [mail], to: nobody}", "'nobody' is not an e-mail address", 30),
    ],
)
def test_an_alert_that_could_reach_nobody_is_refused_where_it_stands(
    alerts: str, said: str, column: int, tmp_path: Path
) -> None:
    problem = only(problems(tmp_path, PROJECT + HANDOFF + f"alerts: {alerts}\n"))
    assert said.startswith(problem.message) or problem.message.startswith(said.partition(";")[0])
    assert problem.line == (PROJECT + HANDOFF).count("\n") + 1
    assert problem.column == column
