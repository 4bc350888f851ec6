"""Why there is no connection: the words are the same whichever library met it, and name no class of Python's."""

from __future__ import annotations

import errno
import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import requests
import urllib3

from syncer import log, outages
from syncer.outages import in_words, whole

Ask = Callable[[str], object]


def by_urllib3(url: str) -> object:
    return urllib3.PoolManager(retries=False).request("GET", url, timeout=0.3)


def by_requests(url: str) -> object:
    with requests.Session() as session:
        session.trust_env = False
        return session.get(url, timeout=0.3)


@contextmanager
def listening(answer: bytes | None) -> Iterator[str]:
    """An address where a connection is taken; the answer breaks off, or (None) never comes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def talk() -> None:
            taken, _ = server.accept()
            with taken:
                taken.recv(10_000)
                taken.sendall(answer or b"")

        thread = threading.Thread(target=talk)
        if answer is not None:
            thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        if answer is not None:
            thread.join()


def told(ask: Ask, url: str) -> str:
    with pytest.raises((requests.RequestException, urllib3.exceptions.HTTPError)) as caught:
        ask(url)
    return in_words(caught.value)


@pytest.fixture(params=[by_urllib3, by_requests])
def ask(request: pytest.FixtureRequest) -> Ask:
    found: Ask = request.param
    return found


def test_a_refused_connection_says_so(ask: Ask) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        assert told(ask, url) == "it was refused: nothing listens at the address"


def test_a_host_that_nobody_knows_is_told(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert told(ask, "http://acme.invalid/") == "its name is not known here; look at the address and at the network"


def test_an_answer_that_does_not_come_has_timed_out(ask: Ask) -> None:
    with listening(None) as url:
        assert told(ask, url) == "it timed out"


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"], ids=["none", "half"])
def test_an_answer_that_is_cut_is_told(ask: Ask, answer: bytes) -> None:
    with listening(answer) as url:
        assert told(ask, url) == "it broke off"


def test_a_network_that_is_down_is_told() -> None:
    assert "look at the network" in in_words(OSError(errno.ENETUNREACH, "Network is unreachable"))


def test_what_has_no_words_here_says_what_it_says_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_secrets", {"s3cr3t"})
    assert in_words(ValueError("no\n key s3cr3t")) == "ValueError: no key ***"


def read_whole(parts: Iterator[bytes], within_s: float) -> bytes:
    """Of an answer that comes in these parts."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def give() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                try:
                    for part in parts:
                        connection.sendall(part)
                except ConnectionError:  # nobody listens any more
                    return

        threading.Thread(target=give, daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with urllib3.PoolManager(retries=False, timeout=5) as pool:
            return whole(pool.request("GET", url, preload_content=False, decode_content=False), within_s)


def in_drips(every_s: float) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    while True:
        time.sleep(every_s)
        yield b"1\r\n \r\n"


def test_an_answer_that_never_ends_is_given_up_however_often_another_part_of_it_comes() -> None:
    began = time.monotonic()
    with pytest.raises(urllib3.exceptions.TimeoutError) as caught:
        read_whole(in_drips(0.02), 0.3)
    assert 0.3 <= time.monotonic() - began < 3
    assert in_words(caught.value) == "it timed out"


def test_an_answer_without_bounds_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outages, "_LARGEST", 2_000_000)
    head, bomb = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", gzip.compress(b" " * 9_000_000)
    with pytest.raises(urllib3.exceptions.HTTPError, match="larger than 2 MB"):
        read_whole(iter([head, bomb]), 5)


def test_an_answer_of_few_parts_is_whole_and_unpacked() -> None:
    text = gzip.compress(b"one and two")
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(text)
    assert read_whole(iter([head, text[:7], text[7:]]), 5) == b"one and two"


def test_an_answer_that_ends_before_it_should_is_broken_off() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
    with pytest.raises(urllib3.exceptions.ProtocolError):
        read_whole(iter([head, b"half"]), 5)
