"""What systemd hears, on a real datagram socket."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncer.systemd import notify, watchdog_s


@pytest.fixture(params=["a file", "an abstract name"])
def supervisor(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    named = "@syncer-" + secrets.token_hex(8) if request.param == "an abstract name" else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.settimeout(5)
        heard.bind(named.replace("@", "\0", 1))
        monkeypatch.setenv("NOTIFY_SOCKET", named)
        yield heard


def test_what_is_said_arrives_as_one_message_of_lines(supervisor: socket.socket) -> None:
    notify("READY=1", "STATUS=40 connections, añadida")
    assert supervisor.recv(1000).decode() == "READY=1\nSTATUS=40 connections, añadida"


def test_a_reload_tells_the_monotonic_time_of_its_beginning(supervisor: socket.socket) -> None:
    before = time.monotonic_ns() // 1000
    notify("RELOADING=1")
    first, second = supervisor.recv(1000).decode().split("\n")
    name, _, value = second.partition("=")
    assert (first, name) == ("RELOADING=1", "MONOTONIC_USEC")
    assert before <= int(value) <= time.monotonic_ns() // 1000


@pytest.mark.parametrize("address", [None, "", "relative/path", "vsock:2:1234"])
def test_without_an_address_of_ours_nothing_is_sent(address: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []
    monkeypatch.setattr(socket, "socket", lambda *given: opened.append(given))
    if address is None:
        monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    else:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    notify("READY=1")
    assert opened == []


def test_a_supervisor_that_is_gone_or_does_not_read_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    notify("WATCHDOG=1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(tmp_path / "deaf"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "deaf"))
        monkeypatch.setattr("syncer.systemd._SEND_S", 0.05)
        begun = time.monotonic()
        for _ in range(20):  # more than the kernel keeps for who does not read
            notify("WATCHDOG=1")
        assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    ("wanted", "whose", "every_s"),
    [
        ("30000000", "us", 15.0),
        ("3000000", None, 1.5),
        ("30000000", "another", None),
        ("0", None, None),
        ("soon", None, None),
        (None, None, None),
    ],
)
def test_the_watchdog_is_fed_twice_as_often_as_it_insists_on_and_only_if_it_is_ours(
    wanted: str | None, whose: str | None, every_s: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = {"us": str(os.getpid()), "another": str(os.getppid()), None: None}[whose]
    for name, value in (("WATCHDOG_USEC", wanted), ("WATCHDOG_PID", process)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert watchdog_s() == every_s
