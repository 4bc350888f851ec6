"""Who judges: only the project's own errors may come out, nothing may take long, no secret may be told, and nothing
may be left behind in the process."""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import io
import os
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from syncer import log
from syncer.errors import SyncerError

SECRET = "planted-7f3ac1-never-to-be-told"
_HANG_S = 60.0  # then all threads' stacks are printed and the process ends
_ROUND = 40  # examples between two looks at the clock
_USUAL_DEPTH = 1_000  # frames: Python's own limit
_MORE_FILES = 8  # that pools of connections may hold at one moment and not at another
_MORE_MB = 32
_SHOWN = 1_500  # characters of an example

Case = Any
Attempt = Callable[[Case], str]


class Broken(Exception):
    """What a target saw that must not be; the message says it."""


@dataclass(frozen=True, slots=True)
class Target:
    """`opened`: in a folder of its own, what tries one case and says how it ended (a code, a status); it lets errors
    through."""

    name: str
    cases: st.SearchStrategy[Case]
    opened: Callable[[Path], AbstractContextManager[Attempt]]
    bound_s: float  # of one case, in seconds of this process's work: other processes may keep it waiting
    secrets: tuple[str, ...] = (SECRET,)


@dataclass(frozen=True, slots=True)
class Finding:
    what: str
    case: str
    details: str

    def __str__(self) -> str:
        return f"{self.what}\n  case: {self.case}\n{self.details}"


@dataclass
class Tally:
    """What came of a target."""

    target: str
    examples: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    findings: dict[str, Finding] = field(default_factory=dict)
    seconds: float = 0.0
    slowest_s: float = 0.0  # of this process's work
    files: tuple[int, int] = (0, 0)  # open file descriptors: after the first round, at the end
    memory_mb: tuple[int, int] = (0, 0)  # resident: after a quarter of the time, at the end


@dataclass
class _Judge:
    target: Target
    attempt: Attempt
    told: io.StringIO
    tally: Tally
    under_way: Path  # holds the case that is tried: what hangs cannot tell it itself

    def __call__(self, case: Case) -> None:
        self.tally.examples += 1
        self.under_way.write_text(repr(case), errors="backslashreplace")
        faulthandler.dump_traceback_later(_HANG_S, exit=True, file=sys.__stderr__ or 2)
        began = time.process_time()
        try:
            with _usual_depth():
                end = self.attempt(case)
        except SyncerError as error:
            end = error.code
            self._no_secret(f"{error}", case)
        except Exception as error:  # noqa: BLE001  # this is what it looks for
            end = "crash"
            self._found(_signature(error), case, traceback.format_exc())
        finally:
            faulthandler.cancel_dump_traceback_later()
        took_s = time.process_time() - began
        self.tally.ends[end] += 1
        self.tally.slowest_s = max(self.tally.slowest_s, took_s)
        if took_s > self.target.bound_s:
            self._found("takes too long", case, f"{took_s:.1f} s")
        self._read_log(case)

    def _read_log(self, case: Case) -> None:
        text = self.told.getvalue()
        self.told.seek(0)
        self.told.truncate()
        if "Traceback (most recent call last)" in text:
            self._found(f"a traceback in the log: {text.strip().splitlines()[-1][-200:]}", case, text[-4_000:])
        self._no_secret(text, case)

    def _no_secret(self, text: str, case: Case) -> None:
        for secret in (each for each in self.target.secrets if each in text):
            place = text.index(secret)
            self._found("a secret is told", case, text[max(place - 300, 0) : place + 300])

    def _found(self, what: str, case: Case, details: str) -> None:
        shown = repr(case)
        self.tally.findings.setdefault(what, Finding(what, shown[:_SHOWN], details))


@contextmanager
def _usual_depth() -> Iterator[None]:
    """Of the stack: hypothesis lets it grow further than any process of ours does."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(_USUAL_DEPTH)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def _signature(error: BaseException) -> str:
    """One for each place in our code that something comes out of."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [each for each in frames if f"{os.sep}syncer{os.sep}" in each.filename or "connectors" in each.filename]
    last = (ours or frames)[-1]
    words = str(error) if isinstance(error, Broken) else ""
    return f"{type(error).__name__} {words[:200]} at {Path(last.filename).name}:{last.lineno}"


def fuzz(target: Target, folder: Path, *, minutes: float = 0.0, examples: int = 0, number: int = 0) -> Tally:
    """Try cases of a target for so long, or so many of them; `number` is the seed of the first round."""
    tally, began = Tally(target.name), time.monotonic()
    told = io.StringIO()
    with _listening(told), _heard_from_threads(told), target.opened(folder) as attempt:
        judge = _Judge(target, attempt, told, tally, folder / "case.txt")
        while tally.examples < examples or time.monotonic() - began < minutes * 60:
            _one_round(target, judge, number, min(_ROUND, examples or _ROUND))
            number += 1
            if tally.files == (0, 0):
                tally.files = (open_files(), 0)
            if tally.memory_mb == (0, 0) and time.monotonic() - began >= minutes * 15:
                tally.memory_mb = (resident_mb(), 0)
        tally.files = (tally.files[0], open_files())
        tally.memory_mb = (tally.memory_mb[0], resident_mb())
    tally.seconds = time.monotonic() - began
    return tally


def _one_round(target: Target, judge: _Judge, number: int, examples: int) -> None:
    @seed(number)
    @settings(
        max_examples=examples, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(target.cases)
    def attempt(case: Case) -> None:
        judge(case)

    attempt()


@contextmanager
def _listening(told: io.StringIO) -> Iterator[None]:
    """Everything that is logged, down to the last detail."""
    before = structlog.get_config()
    log.set_up("DEBUG", style="json", stream=told)
    log.protect(SECRET)
    try:
        yield
    finally:
        structlog.configure(**before)


@contextmanager
def _heard_from_threads(told: io.StringIO) -> Iterator[None]:
    """What ends a thread goes past the log; here it comes into it."""

    def hear(what: threading.ExceptHookArgs) -> None:
        told.writelines(traceback.format_exception(what.exc_type, what.exc_value, what.exc_traceback))

    before, threading.excepthook = threading.excepthook, hear
    try:
        yield
    finally:
        threading.excepthook = before


def leaks(tally: Tally) -> list[str]:
    """What has grown in the time: descriptors, and memory since a quarter of it was over."""
    files, memory = tally.files, tally.memory_mb
    told = [f"open files grew from {files[0]} to {files[1]}"] if files[1] > files[0] + _MORE_FILES else []
    if memory[1] > memory[0] * 1.1 + _MORE_MB:
        told.append(f"memory grew from {memory[0]} to {memory[1]} MB")
    return told


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def resident_mb() -> int:
    """Of what is held: what the allocator keeps for later is given back before."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc alone
    if trim is not None:
        trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20
