"""What a daemon and a worker share, with a bell that can be silenced and a systemd that listens."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import structlog

from syncer import service
from syncer.app import opened
from syncer.daemon import Alarms
from syncer.ringing import Ringing
from syncer.service import Service, served_by_nobody
from syncer.settings import ProcessSettings, process_settings
from tests.runs.house import ENVIRONMENT, MODEL

PROJECT = """\
version: 1
connections: {sheet: {type: spreadsheet, path: nobody.csv}}
models: model.yml
"""


@pytest.fixture
def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ProcessSettings:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "syncer.yml").write_text(PROJECT)
    (tmp_path / "model.yml").write_text(MODEL)
    return process_settings(tmp_path, config=tmp_path / "syncer.yml")


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[str]]]:
    """What it was told, line by line."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        heard: list[str] = []

        def lines() -> list[str]:
            while True:
                try:
                    heard.extend(listening.recv(4096).decode().splitlines())
                except BlockingIOError:
                    return heard

        yield lines


class Bell:
    """Rings as long as it is told to."""

    def __init__(self) -> None:
        self.works = True
        self.rearmed = 0

    def begin(self) -> None: ...

    def rearm(self) -> None:
        self.rearmed += 1

    def look(self) -> None: ...

    def hear(self) -> None: ...

    def rings(self) -> bool:
        return self.works

    def end(self, within_s: float) -> bool:
        return True


def served(process: ProcessSettings, bell: Bell, meanwhile: Callable[[], None]) -> None:
    """Run a service until that is through."""
    built = Service("daemon", process, served_by_nobody)

    def do() -> None:
        try:
            meanwhile()
        finally:
            built.stop()

    doing = threading.Thread(target=do)
    doing.start()
    built.run(lambda _ringing, _wake: bell)
    doing.join()


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_systemd_hears_that_we_live_only_as_long_as_the_bell_rings(
    process: ProcessSettings, systemd: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "WATCH_S", 0.05)
    bell = Bell()

    def falls_silent() -> None:
        until(lambda: systemd().count("WATCHDOG=1") >= 2)
        bell.works = False
        time.sleep(0.2)
        before = systemd().count("WATCHDOG=1")
        time.sleep(0.3)
        assert systemd().count("WATCHDOG=1") == before

    with structlog.testing.capture_logs() as told:
        served(process, bell, falls_silent)
    assert [each["event"] for each in told].count("bell_stopped") == 1
    assert systemd()[0] == "READY=1"
    assert "STATUS=1 of 1 connections well" in systemd()
    assert systemd()[-1] == "STOPPING=1"


def test_a_bug_in_reading_the_files_again_keeps_the_old_ones(
    process: ProcessSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(service, "WATCH_S", 0.05)
    bell = Bell()

    def broken(_ringing: Ringing, _process: ProcessSettings) -> None:
        raise RuntimeError("a planted bug")

    def changes() -> None:
        until(lambda: any(each["event"] == "daemon_started" for each in told))
        time.sleep(0.1)  # the files as they were have been looked at by then
        (tmp_path / "model.yml").write_text(MODEL + "# another\n")
        until(lambda: any(each["event"] == "reload_crashed" for each in told))

    monkeypatch.setattr(Ringing, "read_again", broken)
    with structlog.testing.capture_logs() as told:
        served(process, bell, changes)
    assert bell.rearmed == 0


def test_the_alarms_of_a_daemon_ring_only_while_their_thread_lives(process: ProcessSettings) -> None:
    with opened(process) as app:
        app.stop.set()  # nothing is to be run
        alarms = Alarms(Ringing(app), lambda: None)
        assert not alarms.rings()
        alarms.begin()
        assert alarms.rings()
        assert alarms.end(1)
        assert not alarms.rings()
