"""Why there is no connection, in words for people: libraries wrap the reason in words of their own. And answers that
never end, which libraries wait for."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Iterator
from http.client import HTTPException

from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError, NameResolutionError, ProtocolError
from urllib3.exceptions import TimeoutError as Urllib3Timeout

from syncer.log import redact

_LONGEST = 200  # letters of what nobody here has words for
_LARGEST = 200_000_000  # bytes of an answer; a page of 5,000 records with long texts has a tenth of that
_PART = 1 << 16
_UNREACHABLE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN})
_WORDS: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    ((socket.gaierror, NameResolutionError), "its name is not known here; look at the address and at the network"),
    ((ConnectionRefusedError,), "it was refused: nothing listens at the address"),
    ((TimeoutError, Urllib3Timeout), "it timed out"),
    ((ConnectionError, ProtocolError, HTTPException), "it broke off"),
)


def in_words(error: BaseException) -> str:
    """What to say behind "no connection: ". Of what is none of these, the error's own first words, without secrets."""
    reasons = list(_reasons(error))
    if any(isinstance(each, OSError) and each.errno in _UNREACHABLE for each in reasons):
        return "no way leads to the address; look at the network"
    for kinds, words in _WORDS:
        if any(isinstance(each, kinds) for each in reasons):
            return words
    return redact(" ".join(f"{type(error).__name__}: {error}".split()))[:_LONGEST]


def _reasons(error: BaseException) -> Iterator[BaseException]:
    """The error and everything wrapped in it, each once."""
    waiting, seen = [error], set[int]()
    while waiting:
        each = waiting.pop()
        if id(each) not in seen:
            seen.add(id(each))
            yield each
            inner = (getattr(each, "reason", None), each.__cause__, *each.args)
            waiting += [one for one in inner if isinstance(one, BaseException)]


def whole(answer: BaseHTTPResponse, within_s: float) -> bytes:
    """The body of an answer that was not read yet, decompressed; urllib3's errors where it is broken off, is not whole
    in so many seconds, or has no end. A timeout of urllib3's is about the time between two parts of it."""
    parts, size, until = list[bytes](), 0, time.monotonic() + within_s  # what is on the wire lasts as long as it lasts
    while part := answer.read1(_PART, decode_content=True):
        parts.append(part)
        size += len(part)
        if size > _LARGEST or time.monotonic() > until:
            answer.close()
            if size > _LARGEST:
                raise HTTPError(f"the answer is larger than {_LARGEST // 1_000_000} MB")
            raise Urllib3Timeout(f"the answer is not whole after {within_s:g} s")
    return b"".join(parts)
