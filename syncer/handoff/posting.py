"""One POST of one message. A redirect is not followed: it would carry the message elsewhere.

The environment's proxy (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY) makes the request where one is named.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from urllib3 import BaseHTTPResponse, PoolManager, ProxyManager, Timeout, make_headers
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationValueError,
    NewConnectionError,
    ProxyError,
    SSLError,
)

from syncer.handoff.delivery import DeliveryError, Outcome, host
from syncer.handoff.reaching import RefusedAddress, by_proxy, reaching

_READ = 500  # bytes of an answer; nobody says more that matters


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    retry_after: str | None
    text: str | None  # its beginning; None where it broke off

    @property
    def said(self) -> str:
        return self.text or ""


def post(url: str, body: bytes, headers: Mapping[str, str], timeout_s: float, private: bool) -> Answer:
    """What the receiver answers, whatever its status; DeliveryError where it does not. `private`: whether it may stand
    at a private address."""
    name = host(url)
    with reaching(name, private):
        try:
            proxy = _proxy(url)
            with _pool(proxy, timeout_s) as pool, _asking(proxy, name):
                return _answer(
                    pool.urlopen(
                        "POST", url, redirect=False, body=body, headers=headers, preload_content=False, retries=False
                    )
                )
        except (HTTPError, RefusedAddress, UnicodeError) as failure:
            # From None: urllib3's texts hold the URL, and that may be the secret.
            raise DeliveryError(*_reading(failure, name)) from None


def _answer(answer: BaseHTTPResponse) -> Answer:
    try:
        return Answer(answer.status, answer.headers.get("Retry-After"), _beginning(answer))
    finally:
        answer.close()


def _beginning(answer: BaseHTTPResponse) -> str | None:
    try:
        return answer.read(_READ).decode("utf-8", "replace")
    except HTTPError:
        return None


def _proxy(url: str) -> str | None:
    parts, proxies = urlsplit(url), getproxies()
    named = proxies.get(parts.scheme) or proxies.get("all")
    if not named or proxy_bypass(parts.hostname or ""):
        return None
    return named if "://" in named else f"http://{named}"


def _pool(proxy: str | None, timeout_s: float) -> PoolManager:
    timeout = Timeout(connect=timeout_s, read=timeout_s)
    if proxy is None:
        return PoolManager(timeout=timeout)
    try:
        parts = urlsplit(proxy)
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else None
        return ProxyManager(proxy, timeout=timeout, proxy_headers=make_headers(proxy_basic_auth=login))
    except ValueError:  # urllib3's own for such are ValueErrors, too; its text may hold the password
        message = "the proxy that the environment names (HTTPS_PROXY, HTTP_PROXY or ALL_PROXY) is no http(s):// address"
        raise DeliveryError(f"{message}; correct or unset it", "temporary") from None


def _asking(proxy: str | None, name: str) -> AbstractContextManager[None]:
    return by_proxy(name) if proxy is not None else nullcontext()


def _reading(failure: Exception, name: str) -> tuple[str, Outcome]:
    if isinstance(failure, NewConnectionError | ConnectTimeoutError | ProxyError | RefusedAddress):
        return f"{name}: no connection ({type(failure).__name__})", "temporary"
    if isinstance(failure, SSLError) and isinstance(failure.args[0], ssl.SSLCertVerificationError):
        return f"{name}: its certificate is not trusted", "temporary"
    if isinstance(failure, LocationValueError | UnicodeError):
        return "the URL is not one", "permanent"
    return f"{name}: no answer ({type(failure).__name__}); it may have been delivered", "uncertain"
