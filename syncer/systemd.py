"""What a service tells systemd: sd_notify(3) and sd_watchdog_enabled(3), as far as a `Type=notify` unit needs it.

Our own, because it is a datagram to a socket, and the libraries that send it are either a binding to systemd's own or
no longer kept.
"""

from __future__ import annotations

import os
import socket
import time

import structlog

log = structlog.get_logger(__name__)

_SEND_S = 1.0  # a supervisor that does not read must not hold up the work


def notify(*lines: str) -> None:
    """Say, for example, `notify("READY=1", "STATUS=40 connections")`; to nobody where systemd has not started us.

    "RELOADING=1" goes with the time that systemd asks for beside it. That nobody hears is no reason to stop, so it
    raises nothing.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    said = "\n".join([*lines, *([_monotonic()] if "RELOADING=1" in lines else [])])
    place = "\0" + address[1:] if address.startswith("@") else address  # an abstract socket, or a file
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.settimeout(_SEND_S)
            channel.sendto(said.encode(), place)
    except OSError as failure:
        log.debug("systemd_not_told", reason=type(failure).__name__)


def _monotonic() -> str:
    return f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}"


def watchdog_s() -> float | None:
    """How often to say "WATCHDOG=1", in seconds: twice as often as systemd insists on. None: it does not ask us."""
    wanted, whose = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", str(os.getpid()))
    if not wanted.isdecimal() or int(wanted) == 0 or whose != str(os.getpid()):
        return None
    return int(wanted) / 2_000_000
