"""No message leaves for an address that is not meant: this machine, the local network, where a cloud keeps its secrets.

It is judged where a socket connects, by the address that it connects to: a name that pointed elsewhere when the
settings were read, or at the last look, deceives nobody. Python announces every connection to its audit hooks before it
is made, whichever library makes it; what is not within `reaching` is let pass.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from syncer.handoff.delivery import DeliveryError
from syncer.settings.addresses import refusal_of, standing, standing_as_written

_EVENTS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_FAMILIES = frozenset({socket.AF_INET, socket.AF_INET6})


class RefusedAddress(OSError):
    """Raised instead of a connection. An OSError, which every library takes for a connection that failed."""


@dataclass(slots=True)
class _Reach:
    """What one message may connect to, and what became of it so far."""

    private: bool
    reached: bool = False
    refused: str = ""

    def look_at(self, address: str, *, written: bool = False) -> None:
        """RefusedAddress where it may not be. `written`: a host as it stands in a URL, not where a socket goes."""
        try:
            found = standing_as_written(address) if written else standing(address)
        except ValueError:
            self.refused = f"it connects to {address} by its name, so that its address cannot be judged"
            raise RefusedAddress(self.refused) from None
        refusal = refusal_of(address, found, self.private)
        if refusal is not None:
            self.refused = "; ".join(filter(None, refusal))
            raise RefusedAddress(self.refused)


_reach: ContextVar[_Reach | None] = ContextVar("reach_of_this_message", default=None)


@contextmanager
def reaching(name: str, private: bool) -> Iterator[None]:
    """What this thread sends within goes to public addresses only, and with `private` to private ones too. Where that
    kept the message from leaving at all, the DeliveryError says so, of `name`, and that it can be mended."""
    reach = _Reach(private)
    token = _reach.set(reach)
    try:
        yield
    except DeliveryError:
        if not reach.refused or reach.reached:
            raise
        raise DeliveryError(f"{name}: {reach.refused}", "temporary") from None
    finally:
        _reach.reset(token)


@contextmanager
def by_proxy(host: str) -> Iterator[None]:
    """Within `reaching`, one request that the environment's proxy makes for us. The proxy is the operator's, so it may
    stand in the local network; the name of `host` it resolves by itself, so only an address written out is judged."""
    reach = _reach.get()
    if reach is None:
        yield
        return
    reach.look_at(host, written=True)
    token = _reach.set(_Reach(private=True))
    try:
        yield
    finally:
        reach.reached = True
        _reach.reset(token)


def _judge(event: str, told: tuple[Any, ...]) -> None:
    if event not in _EVENTS:
        return
    reach = _reach.get()
    if reach is not None and told[0].family in _FAMILIES and told[1] is not None:
        reach.look_at(str(told[1][0]))
        reach.reached = True


sys.addaudithook(_judge)
