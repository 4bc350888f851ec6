"""A file takes as long as it needs while it is made and taken, and no longer: nobody holds a connection for ever."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from syncer.settings.values import Language
from syncer.store import audit
from syncer.web import downloading, routes, server
from syncer.web.views import Asked, Asking, Beat, Download
from tests.web.pages import Pages
from tests.web.test_serve import Door, opened_door

PART = b"x" * 65_536


@dataclass
class File:
    """What is sent, and what becomes of it."""

    make: Callable[[Beat], Generator[bytes, None, None]]
    ended: threading.Event = field(default_factory=threading.Event)

    def parts(self, _asking: Asking, _asked: Asked, _language: Language, beat: Beat) -> Generator[bytes, None, None]:
        try:
            yield from self.make(beat)
        finally:
            self.ended.set()


@contextmanager
def serving(folder: Path, monkeypatch: pytest.MonkeyPatch, file: File) -> Iterator[Door]:
    download = Download("/file", lambda _asking: "file.bin", "application/octet-stream", Asked, file.parts)
    monkeypatch.setattr(routes, "DOWNLOADS", (download,))
    monkeypatch.setattr(server, "LIFE_S", 0.3)
    monkeypatch.setattr(server, "STILL_S", 0.6)
    with opened_door(folder, f"sqlite:///{folder / 'syncer.db'}") as door:
        yield door


def taken(door: Door, within_s: float = 20) -> bytes:
    return door.caller.raw(b"GET /file HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", within_s)


def calling(door: Door) -> socket.socket:
    return socket.create_connection(("127.0.0.1", door.caller.port), timeout=10)


def is_whole(answer: bytes) -> bool:
    return answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"\r\n0\r\n\r\n")


def steadily(_beat: Beat) -> Generator[bytes, None, None]:
    for _ in range(30):
        time.sleep(0.05)
        yield PART


def endlessly(_beat: Beat) -> Generator[bytes, None, None]:
    while True:
        time.sleep(0.002)
        yield PART


def test_a_file_may_take_longer_than_any_page_while_it_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path, monkeypatch, File(steadily)) as door:
        begun = time.monotonic()
        answer = taken(door)
        assert time.monotonic() - begun > 3 * server.LIFE_S
        assert is_whole(answer)
        assert answer.count(b"x") >= 30 * len(PART)


def test_a_file_that_takes_long_to_make_is_waited_for_as_long_as_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(beat: Beat) -> Generator[bytes, None, None]:
        for _ in range(20):
            time.sleep(0.1)
            beat()
        yield b"made"

    with serving(tmp_path, monkeypatch, File(slowly)) as door:
        answer = taken(door)
        assert b"made" in answer
        assert is_whole(answer)


def test_a_file_that_hangs_while_it_is_made_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    woken = threading.Event()

    def hanging(beat: Beat) -> Generator[bytes, None, None]:
        yield b"begun"
        woken.wait(20)
        beat()
        yield b"made"

    file = File(hanging)
    with serving(tmp_path, monkeypatch, file) as door:
        begun = time.monotonic()
        assert not is_whole(taken(door))
        assert time.monotonic() - begun < 5
        woken.set()
        assert file.ended.wait(5), "its beat has told that nobody waits"


def test_who_does_not_read_is_let_go_and_the_place_is_anothers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloading, "AT_ONCE", 1)
    file = File(endlessly)
    with (
        serving(tmp_path, monkeypatch, file) as door,
        socket.create_connection(("127.0.0.1", door.caller.port)) as idle,
    ):
        idle.sendall(b"GET /file HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        idle.recv(100)
        assert file.ended.wait(10)
        file.make, file.ended = steadily, threading.Event()
        deadline = time.monotonic() + 5
        while not is_whole(answer := taken(door)) and time.monotonic() < deadline:
            assert answer.startswith(b"HTTP/1.1 503")
        assert is_whole(answer)


def test_who_goes_away_gives_the_place_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = File(endlessly)
    with serving(tmp_path, monkeypatch, file) as door:
        with calling(door) as hasty:
            hasty.sendall(b"GET /file HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            hasty.recv(1_000)
        assert file.ended.wait(10)
        assert door.caller.ask("GET", "/livez").status == 200


def test_no_file_takes_longer_than_the_longest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "FILE_S", 1.5)
    with serving(tmp_path, monkeypatch, File(endlessly)) as door:
        begun = time.monotonic()
        assert not is_whole(taken(door))
        assert 1 < time.monotonic() - begun < 10


def test_an_ordinary_answer_gets_no_more_time_by_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path, monkeypatch, File(steadily)) as door:
        begun = time.monotonic()
        assert door.caller.raw(b"GET /livez HTTP/1.1\r\nHost: ", 5) == b""
        assert time.monotonic() - begun < 2


def test_a_file_ends_with_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, got = File(endlessly), []

    def take(door: Door) -> None:
        got.append(taken(door))

    with serving(tmp_path, monkeypatch, file) as door:
        reader = threading.Thread(target=take, args=(door,))
        reader.start()
        time.sleep(0.5)
        begun = time.monotonic()
    assert time.monotonic() - begun < 4
    reader.join(10)
    assert not is_whole(got[0])
    assert file.ended.wait(5)


def test_who_takes_the_leads_home_is_noted_but_not_whom_they_sought(pages: Pages) -> None:
    for path in ("/leads.csv?q=ana", "/leads.xlsx?q=ana"):
        assert pages.caller.ask("GET", path).status == 200
    assert pages.caller.ask("HEAD", "/leads.csv").status == 200
    assert pages.caller.ask("GET", "/leads.csv?stage=").status == 200
    with pages.app.store.reading() as tx:
        acts = [each.entry for each in audit.entries(tx, None, 9)]
    assert [(each.act, each.about, each.address) for each in reversed(acts)] == [
        ("export", name, "127.0.0.1") for name in ("leads.csv", "leads.xlsx", "leads.csv")
    ]
    assert all(not each.details for each in acts)
