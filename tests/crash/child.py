"""The processes that are killed.

Started once, it imports everything (which costs more than a run) and then forks one process for every order on its
standard input. Each of them opens the real project and the real database, runs `syncer.run.sync` once, and kills
itself with SIGKILL exactly where its order says. Production code knows nothing of it: the places are reached by
wrapping what a run works with. One line of JSON comes back for each order, once its process is dead.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from pydantic import SecretStr

import connectors.hubspot.write as hubspot_write
from connectors.hubspot import HubSpot, loading, objects, ranges, windows
from connectors.hubspot.client import Request
from syncer import log, run
from syncer.app import opened
from syncer.connector import HandoffTarget
from syncer.handoff import sending
from syncer.handoff.channels import open_channels
from syncer.handoff.delivery import Channel, Repeats
from syncer.handoff.messages import Audience
from syncer.model import Notice
from syncer.parts import Asked, Parts
from syncer.settings import HandoffSettings, ProcessSettings
from syncer.store import Lease, Store, decisions

TOKEN = "emulator-token"
STEPS = {
    "pull": "pull",
    "sweep_whole": "sweep",
    "decide": "plan",
    "apply": "apply",
    "write_back": "write",
    "hand_off": "send",
}
_LONGEST_S = 90
_LIST_PAGE, _SEARCH_PAGE, _BATCH, _PLANS = 40, 40, 25, 40  # small, so that few leads make many pages and batches


@dataclass(frozen=True, slots=True)
class Order:
    """One run. `place` None and `after_s` None: it is left alone."""

    config: str
    database_url: str
    now: str  # ISO 8601; the run's clock stands still
    place: str | None = None  # where to die: "write: after request"
    nth: int = 1  # the how-manieth time it gets there
    after_s: float | None = None  # die so many seconds after the run began
    full: bool = False  # with a sweep of everything


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run's process ended: killed by `signal`, or with `code`."""

    signal: int
    code: int


class Trap:
    """Kills this process the `nth` time that it gets to `place`."""

    def __init__(self, place: str | None, nth: int) -> None:
        self._place = place
        self._left = nth
        self._step = ""  # the step of the run that is on

    def reach(self, place: str) -> None:
        if f"{self._step}: {place}" == self._place:
            self._left -= 1
            if self._left == 0:
                die()

    def around_step(self, step: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def working(*given: Any, **named: Any) -> Any:
            self._step = step
            try:
                return work(*given, **named)
            finally:
                self._step = ""

        return working

    def around_pages(self, pull: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        def pulling(*given: Any) -> Iterator[Any]:
            for page in pull(*given):
                self.reach("page came")
                yield page

        return pulling

    def around_request(self, ask: Callable[..., Any]) -> Callable[..., Any]:
        """`after`: the CRM has done it and said so, and nobody has heard it."""

        def asking(*given: Any, **named: Any) -> Any:
            self.reach("before request")
            answer = ask(*given, **named)
            self.reach("after request")
            return answer

        return asking

    def around_creation(self, ask: Callable[..., Any]) -> Callable[..., Any]:
        """Of a task; looking for it is no place to die that matters."""

        def asking(request: Request) -> Any:
            if request.kind == "write":
                self.reach("before task created")
            answer = ask(request)
            if request.kind == "write":
                self.reach("after task created")
            return answer

        return asking

    def around_part(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def working(*given: Any) -> Any:
            work(*given)
            self.reach("part done")

        return working


@dataclass(frozen=True)
class TrappedStore(Store):
    """The store, with a trap on both sides of every commit."""

    trap: Trap

    @contextmanager
    def writing(self, lease: Lease | None = None) -> Iterator[Any]:
        with super().writing(lease) as tx:
            yield tx
            self.trap.reach("before commit")
        self.trap.reach("after commit")


@dataclass(frozen=True)
class TrappedChannel:
    """A channel, with a trap before the first byte leaves and one after the receiver's answer."""

    channel: Channel
    trap: Trap

    @property
    def repeats(self) -> Repeats:
        return self.channel.repeats

    def send(self, notice: Notice, repeat: bool) -> None:
        self.trap.reach(f"before {notice.channel} left")
        self.channel.send(notice, repeat)
        self.trap.reach(f"after {notice.channel} arrived")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def run_once(order: Order) -> None:
    """Open everything anew and run once, as a process that starts does."""
    process = ProcessSettings(config=Path(order.config), database_url=SecretStr(order.database_url))
    now = datetime.fromisoformat(order.now)
    trap = Trap(order.place, order.nth)
    with opened(process, {"HUBSPOT_TOKEN": TOKEN}) as app:
        store = TrappedStore(app.store.name, app.store._reader, app.store._writer, trap)
        app = replace(app, store=store, clock=lambda: now)
        parts = app.parts()
        _make_small()
        _set_traps(parts, trap)
        if order.after_s is not None:
            timer = threading.Timer(order.after_s, die)
            timer.daemon = True
            timer.start()
        run.sync(parts, Asked(full=order.full))


def _make_small() -> None:
    for module in (ranges, objects):
        _replace(module, PAGE=_LIST_PAGE)
    _replace(loading, _MERGED=_LIST_PAGE)
    _replace(windows, PAGE=_SEARCH_PAGE)
    _replace(hubspot_write, BATCH=_BATCH)
    _replace(run, _ANSWERS=_BATCH)
    _replace(decisions, plan_of=functools.partial(decisions.plan_of, size=_PLANS))


def _set_traps(parts: Parts, trap: Trap) -> None:
    connector = parts.source
    assert isinstance(connector, HubSpot)
    _replace(run, **{name: trap.around_step(step, getattr(run, name)) for name, step in STEPS.items()})
    _replace(connector, pull=trap.around_pages(connector.pull), sweep=trap.around_pages(connector.sweep))
    writing, tasks = connector._writer._client, connector._tasks._client
    _replace(writing, write=trap.around_request(writing.write))
    _replace(tasks, ask=trap.around_creation(tasks.ask))
    _replace(decisions, apply=trap.around_part(decisions.apply))

    def opening(settings: HandoffSettings, audience: Audience, target: HandoffTarget | None) -> Mapping[str, Channel]:
        return {name: TrappedChannel(each, trap) for name, each in open_channels(settings, audience, target).items()}

    _replace(sending, open_channels=opening)


def _replace(owner: Any, **parts: Any) -> None:
    for name, part in parts.items():
        assert hasattr(owner, name), f"{owner} has no {name} any more"
        setattr(owner, name, part)


def _told(order: Order) -> int:
    try:
        run_once(order)
    except Exception:  # noqa: BLE001  # nothing above would print it
        traceback.print_exc()
        return 1
    finally:
        sys.stderr.flush()
    return 0


def _fork(order: Order) -> Ending:
    pid = os.fork()
    if pid == 0:
        signal.alarm(_LONGEST_S)  # a process that hangs is a failure, too
        os._exit(_told(order))  # what the parent's exit would tidy up is not this process's
    _, status = os.waitpid(pid, 0)
    killed = os.WIFSIGNALED(status)
    return Ending(os.WTERMSIG(status) if killed else 0, 0 if killed else os.WEXITSTATUS(status))


def main() -> None:
    log.set_up("ERROR", stream=sys.stderr)
    for line in sys.stdin.buffer:
        ending = _fork(Order(**orjson.loads(line)))
        sys.stdout.buffer.write(orjson.dumps(asdict(ending)) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
