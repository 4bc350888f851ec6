"""Why there is no connection: the words are the same whichever library met it, and name no class of Python's."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import requests
import urllib3

from syncer import log
from syncer.outages import in_words

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
