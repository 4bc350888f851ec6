"""Notifiers of type apprise: their one URL is looked at when the file is read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from syncer.settings import Apprise, show
from tests.settings.samples import PROJECT, loaded, only, problems

TOKEN = "s3cr3t-t0ken"


def _project(url: str, more: str = "") -> str:
    notifier = f'    chat:\n      type: apprise\n      url: "{url}"\n{more}'
    return f"{PROJECT}handoff:\n  notifiers:\n{notifier}  notify: [chat]\n"


def test_a_url_is_a_secret_and_repeats_are_sent_again_unless_told_otherwise(tmp_path: Path) -> None:
    project = loaded(tmp_path, _project("${CHAT_URL}", "      timeout_s: 5\n"), CHAT_URL=f"ntfy://chat.test/{TOKEN}")
    assert project.handoff is not None
    notifier = project.handoff.notifiers["chat"]
    assert isinstance(notifier, Apprise)
    assert (notifier.timeout_s, project.handoff.apprise_repeats) == (5, "resend")
    assert show(project)["handoff.notifiers.chat.url"] == ("***", "env CHAT_URL")
    assert TOKEN not in repr(project)
    held = loaded(tmp_path, _project(f"ntfy://chat.test/{TOKEN}") + "  repeats: {apprise: hold}\n")
    assert held.handoff is not None
    assert held.handoff.apprise_repeats == "hold"


@pytest.mark.parametrize(
    ("url", "message", "help"),
    [
        (TOKEN, "no address as Apprise writes them", "appriseit.com/services"),
        (f"ntyf://chat.test/{TOKEN}", "Apprise knows no service", "did you mean 'ntfy'?"),
        (f"tgram://{TOKEN}", "cannot use this address of Telegram", "appriseit.com/services"),
        (f"ntfy://chat.test/{TOKEN}/second", "this address of ntfy names 2 recipients", "one for each"),
        (f"http://chat.test/{TOKEN}", "Apprise knows no service", "appriseit.com/services"),
    ],
)
def test_a_url_that_names_no_single_recipient_is_a_mistake_with_its_place_and_without_its_text(
    tmp_path: Path, url: str, message: str, help: str
) -> None:
    problem = only(problems(tmp_path, _project(url)))
    assert (problem.file, problem.line, problem.column) == ("syncer.yml", 8, 12)
    assert message in problem.message
    assert help in problem.help
    assert TOKEN not in str(problem)


def test_what_a_url_asks_of_retries_does_not_count_as_recipients(tmp_path: Path) -> None:
    assert problems(tmp_path, _project("json://chat.test/x?retry=3")) == ()


def test_apprise_is_loaded_only_where_a_notifier_needs_it() -> None:
    told = "import sys, syncer.settings, syncer.handoff; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    loaded_modules = run.stdout.split()
    assert "syncer.handoff.channels" in loaded_modules
    assert not {"apprise", "requests"} & set(loaded_modules)


def test_a_folder_of_templates_must_be_there(tmp_path: Path) -> None:
    project = f"{PROJECT}handoff:\n  templates: messages\n"
    problem = only(problems(tmp_path, project))
    assert (problem.line, problem.column, problem.code) == (5, 14, "SY001")
    (tmp_path / "messages").mkdir()
    settings = loaded(tmp_path, project).handoff
    assert settings is not None
    assert settings.templates == tmp_path / "messages"
