"""What can be typed, and what is answered when it is mistyped."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from syncer.cli import cli
from syncer.cli.commands import COMMANDS
from tests.terminal import Terminal, clean_environment

HEAVY = ("hubspot", "sqlalchemy", "numpy", "pydantic", "rich", "structlog", "syncer.app", "syncer.store", "connectors")
_EVERY_HELP = f"""
import sys, time
from click.testing import CliRunner
begun = time.perf_counter()
from syncer.cli import cli
commands = [[name] for name in cli.commands] + [["config", name] for name in cli.commands["config"].commands]
for words in [[], *commands]:
    result = CliRunner().invoke(cli, [*words, "--help"])
    assert result.exit_code == 0 and "Usage:" in result.output, words
took_s = time.perf_counter() - begun
print(len(commands), took_s, *(name for name in {HEAVY!r} if name in sys.modules))
"""


def test_no_help_imports_a_vendor_the_database_or_numpy_and_all_together_are_quick() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _EVERY_HELP],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    commands, took_s, *heavy = done.stdout.split()
    assert heavy == []
    assert int(commands) >= 13
    assert float(took_s) < 1.0  # for more than a dozen of them; a single one has half a second


def test_the_help_names_every_command_and_every_exit_code() -> None:
    text = CliRunner().invoke(cli, ["--help"]).output
    for command in COMMANDS:
        assert f"  {command.name} " in text
    for code in ("0", "1", "2", "4", "6", "70", "130"):
        assert f"\n  {code} " in text.split("Exit codes")[1]
    assert "…" not in text.split("Commands:")[1].split("Exit codes")[0], "no summary is cut"
    assert "..." not in text.split("Commands:")[1], "no summary is cut"


def test_every_command_and_option_says_what_it_is_for() -> None:
    groups = [each for each in COMMANDS if isinstance(each, click.Group)]
    for command in [*COMMANDS, *(inner for group in groups for inner in group.commands.values())]:
        assert command.help, command.name
        for option in (each for each in command.params if isinstance(each, click.Option)):
            assert option.help or option.show_default, (command.name, option.name)


@pytest.mark.parametrize(
    ("words", "meant"),
    [(["chek"], "'check'"), (["demon"], "'daemon'"), (["check", "--jsn"], "'--json'")],
)
def test_a_mistyped_word_is_answered_with_the_nearest(words: list[str], meant: str) -> None:
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 2
    assert f"Did you mean {meant}" in result.stderr


def test_a_word_like_none_gets_no_guess() -> None:
    result = CliRunner().invoke(cli, ["xyzzy"])
    assert result.exit_code == 2
    assert "No such command 'xyzzy'" in result.stderr
    assert "mean" not in result.stderr


@pytest.mark.parametrize("words", [["-c", "other.yml", "status"], ["status", "-c", "other.yml"]])
def test_common_options_are_understood_before_and_after_the_command(words: list[str]) -> None:
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 2
    assert "there is no project file other.yml" in result.stderr


def test_a_folder_without_a_project_says_how_to_begin_and_stays_empty(terminal: Terminal) -> None:
    for command in ("check", "run", "plan", "daemon", "status"):
        done = CliRunner().invoke(cli, ["-c", str(terminal.folder / "syncer.yml"), command])
        assert done.exit_code == 2, command
        assert "`syncer init`" in done.stderr
        assert "`syncer demo`" in done.stderr
        assert done.stdout == ""
    assert list(terminal.folder.iterdir()) == []


def test_the_command_alone_shows_its_help() -> None:
    assert "Commands:" in CliRunner().invoke(cli, []).output


def test_the_version_is_told() -> None:
    assert CliRunner().invoke(cli, ["--version"]).output.startswith("syncer, version ")
