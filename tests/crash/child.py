"""The processes that are killed.

Started once, it imports everything (which costs more than a run) and then forks one process for every order on its
standard input. Each of them opens the real project and the real database, runs `syncer.run.sync` or `deliver` once,
and kills itself with SIGKILL exactly where its order says; or it is the daemon, and gets SIGTERM there. Production code
knows nothing of it: the places are reached by wrapping what a run works with. One line of JSON comes back for each
order, once its process is dead.
"""

from __future__ import annotations

import functools
import gc
import os
import signal
import ssl
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import orjson
from pydantic import SecretStr

import connectors.hubspot.write as hubspot_write
import syncer.handoff.apprise  # noqa: F401  # before the first process forks: it takes 0.1 s
from connectors.hubspot import HubSpot, loading, objects, ranges, windows
from connectors.hubspot.client import Request
from syncer import log, retry, run, service
from syncer.app import App, Progress, opened, quiet, read_project, settings_classes
from syncer.daemon import Daemon
from syncer.handoff import lanes, sending, wording
from syncer.handoff.channels import open_channels
from syncer.handoff.delivery import Channel, Gathering, Repeats
from syncer.model import Notice
from syncer.parts import Asked, Parts
from syncer.settings import ProcessSettings, Project
from syncer.store import Lease, Store, clocks, decisions, leases, open_store, outbox, schema

TOKEN = "emulator-token"
STEPS = {
    "pull": "pull",
    "sweep_whole": "sweep",
    "sweep": "sweep",
    "decide": "plan",
    "apply": "apply",
    "write_back": "write",
    "hand_off": "send",
}
KEPT: tuple[tuple[Any, str, str], ...] = (
    (outbox, "recover", "recovery"),
    (outbox, "mark_sending", "claim"),
    (outbox, "mark_sent", "sent"),
    (outbox, "mark_failed", "failure"),
    (outbox, "mark_uncertain", "failure"),
    (clocks, "tell", "clock"),
    (clocks, "reminded", "reminder"),
    (clocks, "escalated", "escalation"),
)
"""What the outbox's transactions keep, and what a place to die calls it: "send: before claim kept"."""
_asked_at = -1  # where a daemon writes when it was asked to leave
_AGAIN_S = 0.2
_DOUBLE = 8  # bytes
_projects: dict[str, Project] = {}  # by the name of the file
_LONGEST_S = 90
_HASTE = 50  # how much shorter than in life a pause is between two tries of one request, or two posts to Slack
_IN_A_DIGEST = 2
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
    work: Literal["sync", "deliver", "daemon"] = "sync"


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run's process ended: killed by `signal`, or with `code`."""

    signal: int
    code: int
    took_s: float = 0.0  # of a daemon: from its SIGTERM to its end


class Trap:
    """Kills this process the `nth` time that it gets to `place`."""

    def __init__(self, place: str | None, nth: int, end: Callable[[], None] | None = None) -> None:
        self._place = place
        self._left = nth
        self._end = end or die
        self._step = ""  # the step of the run that is on
        self._kept: dict[str, None] = {}  # by the transaction that is open

    def reach(self, place: str) -> None:
        if f"{self._step}: {place}" == self._place:
            self._left -= 1
            if self._left == 0:
                self._end()

    def around_step(self, step: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def working(*given: Any, **named: Any) -> Any:
            self._step = step
            try:
                return work(*given, **named)
            finally:
                self._step = ""

        return working

    def around_keeping(self, what: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def keeping(*given: Any, **named: Any) -> Any:
            self._kept[what] = None
            return work(*given, **named)

        return keeping

    def begin(self) -> None:
        """A transaction."""
        self._kept.clear()

    def reach_commit(self, side: Literal["before", "after"]) -> None:
        self.reach(f"{side} commit")
        for what in self._kept:
            self.reach(f"{side} {what} kept")

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

    def around_one_write(self, ask: Callable[..., Any], what: str) -> Callable[..., Any]:
        """Looking whether there is anything to write is no place to die that matters."""

        def asking(request: Request) -> Any:
            if request.kind == "write":
                self.reach(f"before {what}")
            answer = ask(request)
            if request.kind == "write":
                self.reach(f"after {what}")
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
        self.trap.begin()
        with super().writing(lease) as tx:
            yield tx
            self.trap.reach_commit("before")
        self.trap.reach_commit("after")


@dataclass(frozen=True)
class TrappedChannel:
    """A channel, with a trap before the first byte leaves and one after the receiver's answer."""

    channel: Channel
    trap: Trap

    @property
    def repeats(self) -> Repeats:
        return self.channel.repeats

    def send(self, notice: Notice, repeat: bool) -> None:
        with self._around(notice.channel):
            self.channel.send(notice, repeat)

    @contextmanager
    def _around(self, name: str) -> Iterator[None]:
        self.trap.reach(f"before {name} left")
        yield
        self.trap.reach(f"after {name} arrived")


@dataclass(frozen=True)
class TrappedGathering(TrappedChannel):
    """The same of a channel that can tell of many leads in one message."""

    channel: Gathering

    def fit(self, notices: Sequence[Notice]) -> int:
        return self.channel.fit(notices)

    def send_digest(self, notices: Sequence[Notice], repeat: bool) -> None:
        with self._around(notices[0].channel):
            self.channel.send_digest(notices, repeat)


def _trapped(channel: Channel, trap: Trap) -> Channel:
    return TrappedGathering(channel, trap) if isinstance(channel, Gathering) else TrappedChannel(channel, trap)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def ask_to_leave() -> None:
    """As a supervisor does, and again a moment later, as one does who is in a hurry."""
    os.write(_asked_at, struct.pack("d", time.monotonic()))
    os.kill(os.getpid(), signal.SIGTERM)
    again = threading.Timer(_AGAIN_S, os.kill, (os.getpid(), signal.SIGTERM))
    again.daemon = True
    again.start()


@dataclass(frozen=True)
class TrappedApp(App):
    """An app whose first run has traps."""

    trap: Trap | None = None
    trapped: list[Parts] = field(default_factory=list)

    def parts(self, name: str | None = None, progress: Progress = quiet) -> Parts:
        parts = super().parts(name, progress)
        if not self.trapped and self.trap is not None:
            self.trapped.append(parts)
            _set_traps(parts, self.trap)
        return parts


def be_the_daemon(order: Order) -> None:
    """Until SIGTERM, which comes where or when the order says."""
    trap = Trap(order.place, order.nth, ask_to_leave)
    _make_small()
    upgrade = schema._upgrade

    def upgrading(*given: Any) -> None:
        upgrade(*given)
        trap.reach("migrated")

    _replace(schema, _upgrade=upgrading)

    @contextmanager
    def opened_with_traps(_process: ProcessSettings) -> Iterator[App]:
        with _opened(order) as app:
            store = TrappedStore(app.store.name, app.store._reader, app.store._writer, trap)
            now = datetime.fromisoformat(order.now)
            given = {each.name: getattr(app, each.name) for each in fields(app)}
            _later(order.after_s, ask_to_leave)  # a process that is still starting dies of the signal, as it may
            yield TrappedApp(**{**given, "store": store, "clock": lambda: now}, trap=trap)

    _replace(service, opened=opened_with_traps)
    _later(_LONGEST_S, die)
    Daemon(_process(order)).run()


def _later(seconds: float | None, what: Callable[[], None]) -> None:
    if seconds is not None:
        timer = threading.Timer(seconds, what)
        timer.daemon = True
        timer.start()


def run_once(order: Order) -> None:
    """Open everything anew and run once, as a process that starts does."""
    now = datetime.fromisoformat(order.now)
    trap = Trap(order.place, order.nth)
    with _opened(order) as app:
        store = TrappedStore(app.store.name, app.store._reader, app.store._writer, trap)
        app = replace(app, store=store, clock=lambda: now)
        parts = app.parts()
        _make_small()
        _set_traps(parts, trap)
        _later(order.after_s, die)
        if order.work == "deliver":
            _hurry()
            run.deliver(parts)
        else:
            run.sync(parts, Asked(full=order.full))


@contextmanager
def _opened(order: Order) -> Iterator[App]:
    """Reading a project takes three times as long as a death while it is told, so then it has been read before."""
    if order.work == "deliver":
        with closing(open_store(order.database_url)) as store:
            yield App(_process(order), _project(order), store, leases.this_process())
        return
    with opened(_process(order), {"HUBSPOT_TOKEN": TOKEN}) as app:
        yield app


def _process(order: Order) -> ProcessSettings:
    return ProcessSettings(config=Path(order.config), database_url=SecretStr(order.database_url))


def _project(order: Order) -> Project:
    if order.config not in _projects:
        _projects[order.config] = read_project(_process(order), {"HUBSPOT_TOKEN": TOKEN})
    return _projects[order.config]


def _make_small() -> None:
    for module in (ranges, objects):
        _replace(module, PAGE=_LIST_PAGE)
    _replace(loading, _MERGED=_LIST_PAGE)
    _replace(windows, PAGE=_SEARCH_PAGE)
    _replace(hubspot_write, BATCH=_BATCH)
    _replace(run, _ANSWERS=_BATCH)
    _replace(decisions, plan_of=functools.partial(decisions.plan_of, size=_PLANS))


def _hurry() -> None:
    waiting = retry.wait
    _replace(retry, wait=lambda seconds, stop: waiting(seconds / _HASTE, stop))
    _replace(sending, _SLACK_APART_S=1 / _HASTE)
    _replace(lanes, MOST_LEADS=_IN_A_DIGEST)


def _set_traps(parts: Parts, trap: Trap) -> None:
    connector = parts.source
    assert isinstance(connector, HubSpot)
    _replace(run, **{name: trap.around_step(step, getattr(run, name)) for name, step in STEPS.items()})
    _replace(connector, pull=trap.around_pages(connector.pull), sweep=trap.around_pages(connector.sweep))
    writing, tasks, owners = connector._writer._client, connector._tasks._client, connector._assigning._client
    _replace(writing, write=trap.around_request(writing.write))
    _replace(tasks, ask=trap.around_one_write(tasks.ask, "task created"))
    _replace(owners, ask=trap.around_one_write(owners.ask, "owner written"))
    _replace(decisions, apply=trap.around_part(decisions.apply))
    for module, name, what in KEPT:
        _replace(module, **{name: trap.around_keeping(what, getattr(module, name))})

    def opening(*given: Any) -> Mapping[str, Channel]:
        return {name: _trapped(each, trap) for name, each in open_channels(*given).items()}

    _replace(sending, open_channels=opening)


def _replace(owner: Any, **parts: Any) -> None:
    for name, part in parts.items():
        assert hasattr(owner, name), f"{owner} has no {name} any more"
        setattr(owner, name, part)


def _told(order: Order) -> int:
    try:
        (be_the_daemon if order.work == "daemon" else run_once)(order)
    except Exception:  # noqa: BLE001  # nothing above would print it
        traceback.print_exc()
        return 1
    finally:
        sys.stderr.flush()
    return 0


def _fork(order: Order) -> Ending:
    if order.work == "deliver":
        _project(order)
    global _asked_at  # of the process that is born here
    hears, _asked_at = os.pipe()
    pid = os.fork()
    if pid == 0:
        if order.work != "daemon":  # which sets an alarm of its own once it is to leave
            signal.alarm(_LONGEST_S)  # a process that hangs is a failure, too
        os._exit(_told(order))  # what the parent's exit would tidy up is not this process's
    _, status = os.waitpid(pid, 0)
    ended = time.monotonic()
    os.close(_asked_at)
    asked = os.read(hears, _DOUBLE)
    os.close(hears)
    took_s = ended - struct.unpack("d", asked)[0] if asked else 0.0
    killed = os.WIFSIGNALED(status)
    return Ending(os.WTERMSIG(status) if killed else 0, 0 if killed else os.WEXITSTATUS(status), took_s)


def _warm_up() -> None:
    """What each process would otherwise do anew, and copy: compiling templates, importing, counting references."""
    for name in wording.NAMES:
        wording._ours().get_template(name)
    settings_classes()
    trusted = ssl.create_default_context()
    _replace(ssl, create_default_context=lambda: trusted)
    gc.freeze()


def main() -> None:
    log.set_up("ERROR", stream=sys.stderr)
    _warm_up()
    for line in sys.stdin.buffer:
        ending = _fork(Order(**orjson.loads(line)))
        sys.stdout.buffer.write(orjson.dumps(asdict(ending)) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
