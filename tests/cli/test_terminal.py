"""What a terminal, a pipe and a program get to see."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from syncer.cli.output import ago
from tests.runs.house import ENVIRONMENT, House
from tests.terminal import Terminal, clean_environment

ESCAPE = "\x1b["
READING = (
    ("check", "syncer.check/1"),
    ("setup", "syncer.setup/1"),
    ("plan", "syncer.plan/1"),
    ("run", "syncer.run/1"),
    ("explain warm@acme.example", "syncer.explain/1"),
    ("override list warm@acme.example", "syncer.overrides/1"),
    ("status", "syncer.status/1"),
    ("config show", "syncer.config/1"),
)


def seen_on_a_terminal(house: House, *words: str, **more: str) -> str:
    """What somebody sees whose terminal is 80 columns wide."""
    screen, door = pty.openpty()
    environment = clean_environment(**ENVIRONMENT, TERM="xterm-256color", COLUMNS="80", **more)
    arguments = [sys.executable, "-m", "syncer.cli", *words]
    with subprocess.Popen(arguments, cwd=house.folder, env=environment, stdin=door, stdout=door, stderr=door) as shown:
        os.close(door)
        parts: list[bytes] = []
        while True:
            try:
                part = os.read(screen, 65536)
            except OSError:  # how Linux says that nobody holds the other end any more
                break
            if not part:
                break
            parts.append(part)
        os.close(screen)
        assert shown.wait(30) == 0
    return b"".join(parts).decode()


@pytest.mark.parametrize(("command", "schema"), READING)
def test_json_is_exactly_one_object_that_names_its_shape(base: House, command: str, schema: str) -> None:
    result = base.cli(*command.split(), "--json")
    assert result.exit_code == 0, result.output
    content: dict[str, Any] = orjson.loads(result.stdout)
    assert content["schema"] == schema
    assert result.stderr == ""


def test_a_pipe_gets_no_escapes_no_blanks_at_line_ends_and_no_progress(base: House, terminal: Terminal) -> None:
    base.meeting(base.person(country="ES", jobtitle="Directora"))
    for words in (["plan"], ["explain", "warm@acme.example"]):
        done = terminal(*words)
        assert done.returncode == 0, done.stderr
        assert ESCAPE not in done.stdout + done.stderr
        assert done.stderr == ""
        assert [line for line in done.stdout.splitlines() if line != line.rstrip()] == []


@pytest.mark.slow
def test_a_terminal_gets_colours_and_a_bar_and_with_no_color_no_colours(base: House) -> None:
    base.meeting(base.person(country="ES", jobtitle="Directora"))
    checked = seen_on_a_terminal(base, "check")
    assert f"{ESCAPE}32m✓" in checked
    assert f"{ESCAPE}32m" not in seen_on_a_terminal(base, "check", NO_COLOR="1")
    planned = seen_on_a_terminal(base, "plan")
    assert "crm · reading contacts" in planned
    assert "━" in planned


@pytest.mark.slow
@pytest.mark.parametrize("variables", [{"PYTHONIOENCODING": "ascii"}, {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0"}])
def test_a_terminal_that_knows_no_unicode_gets_something_readable(
    base: House, terminal: Terminal, variables: dict[str, str]
) -> None:
    base.edit(base.person(country="ES", email="nunez@acme.example"), firstname="Núñez", lastname="日本 🚀")
    assert terminal("run", **variables).returncode == 0
    done = terminal("explain", "nunez@acme.example", **variables)
    assert done.returncode == 0, done.stderr
    assert "nunez@acme.example" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_reader_that_leaves_early_is_no_error(base: House) -> None:
    command = f"{sys.executable} -m syncer.cli config schema | head -1"
    environment = clean_environment(**ENVIRONMENT)
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=base.folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout == "{\n"
    assert done.stderr == ""


def test_what_the_crm_holds_cannot_steer_the_terminal(base: House) -> None:
    base.person(country="ES", email="evil@acme.example", firstname="Eve\x1b[31m\x1b]0;owned\x07", lastname="[bold]x[/]")
    base.sync()
    for words in (["explain", "evil@acme.example"], ["plan", "--full"], ["status"]):
        result = base.cli(*words)
        assert result.exit_code == 0, result.output
        assert "\x1b" not in result.stdout
        assert "\x07" not in result.stdout
    assert "[bold]x[/]" in base.cli("explain", "evil@acme.example").stdout


def test_tables_fold_into_the_width_that_is_told(base: House) -> None:
    for columns in (60, 80, 120):
        told = {**ENVIRONMENT, "COLUMNS": str(columns)}
        for words in (["explain", "warm@acme.example"], ["check"], ["setup"], ["status"]):
            lines = base.cli(*words, environment=told).stdout.splitlines()
            assert max(map(len, lines)) <= columns, words


def test_an_age_is_told_in_one_number() -> None:
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    spans = {"0 s ago": 0, "59 s ago": 59, "3 min ago": 190, "119 min ago": 7199, "2 h ago": 7200, "2 d ago": 172800}
    for text, seconds in spans.items():
        assert ago(now - timedelta(seconds=seconds), now) == text
    assert ago(now + timedelta(minutes=12), now) == "in 12 min"
