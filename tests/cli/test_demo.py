"""`demo`: the whole way of a lead, without an account, leaving nothing behind."""

from __future__ import annotations

import signal
import time
from decimal import Decimal
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from syncer.cli import cli
from tests.terminal import Process, Terminal
from tests.web.calling import Caller, free_port


@pytest.fixture
def places(tmp_path: Path) -> Path:
    """Where the demo puts its temporary folder."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


@pytest.mark.slow
def test_the_whole_demo_is_one_json_object(terminal: Terminal, places: Path) -> None:
    done = terminal("demo", "--once", "--json", "--leads", "500", TMPDIR=str(places))
    assert done.returncode == 0, done.stderr
    told = orjson.loads(done.stdout)
    assert told["schema"] == "syncer.demo/1"
    assert told["leads"] == 500
    assert list(told["stages"]) == ["cold", "iql", "mql", "sql"]
    assert sum(told["stages"].values()) == 500
    assert told["runs"] == len(told["reports"]) == 14  # the first, twelve weeks, and today's
    assert told["written"] >= 500
    assert told["handoffs"] == len(told["handed_over"]) == len(told["messages"]) >= 1
    handed = [report["counts"].get("handoffs", 0) for report in told["reports"]]
    assert handed[0] == 0
    assert sum(1 for week in handed[1:-1] if week) >= 5
    assert handed[-1] == told["handoffs"]
    for each in told["handed_over"]:
        points = [Decimal(str(line["points"])) for line in each["contributions"]]
        assert sum(points) == Decimal(str(each["total"]))
        (message,) = [text for text in told["messages"] if each["email"] in text]
        assert f"{each['name']} is now SQL" in message
        assert message.count("• +") >= 1
    assert list(places.iterdir()) == []
    assert list(terminal.folder.iterdir()) == [places]


def test_json_needs_an_end() -> None:
    done = CliRunner().invoke(cli, ["demo", "--json"])
    assert done.exit_code == 2
    assert "--once" in done.stderr


@pytest.mark.slow
def test_a_demo_without_a_past_begins_today(places: Path) -> None:
    words = ["-m", "syncer.cli", "demo", "--once", "--leads", "60", "--weeks", "0"]
    with Process(words, places.parent, {"TMPDIR": str(places)}) as demo:
        assert demo.ends() == 0, demo.stderr
        assert "1. First sync: every lead gets a score" in demo.stdout
        assert "run 2 ok" in demo.stdout
    assert list(places.iterdir()) == []


@pytest.mark.slow
def test_the_demo_shows_who_why_and_the_message_then_stays_as_a_daemon_and_ends_cleanly(places: Path) -> None:
    port = free_port()
    words = ["-m", "syncer.cli", "demo", "--leads", "60", "--weeks", "2", "--port", str(port)]
    with Process(words, places.parent, {"TMPDIR": str(places)}) as demo:
        demo.until(lambda: "run_finished" in demo.stderr, "the daemon ran once")
        assert "Funnel" in Caller(port).ask("GET", "/").data.decode()
        assert f"http://127.0.0.1:{port}/" in demo.stdout
        story = demo.stdout.partition("Who became SQL")[2]
        parts = ("mql → sql", "models/demo.yml", "│ Ximena Valdés is now SQL: ", "│ • +", "│ Open in the CRM: https://")
        for part in (*parts, "· Owner: ", "Ctrl-C ends it"):
            assert part in story, part
        begun = time.monotonic()
        demo.signal(signal.SIGINT)
        assert demo.ends() == 0
        assert time.monotonic() - begun < 10
        assert "Traceback" not in demo.stderr
    assert list(places.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("weeks", ["0", "12"])
def test_a_demo_that_is_stopped_in_the_middle_leaves_nothing_behind(places: Path, weeks: str) -> None:
    words = ["-m", "syncer.cli", "demo", "--leads", "1000", "--weeks", weeks]
    with Process(words, places.parent, {"TMPDIR": str(places), "PYTHONUNBUFFERED": "1"}) as demo:
        demo.until(lambda: "1. " in demo.stdout, "the first sync began")
        begun = time.monotonic()
        assert demo.stop() == 130
        assert time.monotonic() - begun < 5
        assert "stopped" in demo.stderr
        assert "Traceback" not in demo.stderr
    assert list(places.iterdir()) == []
