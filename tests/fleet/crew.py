"""The processes of a fleet as an operating system meets them: started, killed, frozen, started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tests.fleet.farm import ENVIRONMENT, Farm
from tests.terminal import clean_environment

_APART = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


@dataclass(frozen=True, slots=True)
class Program:
    """What each process runs. `words`: such as ("worker", "--places", "4")."""

    words: tuple[str, ...]
    database: str


@dataclass(slots=True)
class Place:
    """Where one process runs at a time; `apart`: as on a machine of its own, so that nobody sees it die."""

    farm: Farm
    program: Program
    name: str
    apart: bool = False
    frozen: bool = False
    lives: int = 0
    _started: subprocess.Popen[bytes] | None = None
    _pid: int = 0
    _logs: list[IO[bytes]] = field(default_factory=list)

    @property
    def who(self) -> str:
        """This life of the place: what the database calls its sessions by."""
        return f"{self.name}.{self.lives}"

    @property
    def pid(self) -> int:
        return self._pid

    @property
    def log(self) -> str:
        """What all its lives have said."""
        paths = sorted(self.farm.folder.glob(f"{self.name}-*.log"))
        return "".join(path.read_text(encoding="utf-8", errors="replace") for path in paths)

    def start(self) -> None:
        self.lives += 1
        self.frozen = False
        log = (self.farm.folder / f"{self.name}-{self.lives:03}.log").open("wb")
        self._logs.append(log)
        separator = "&" if "?" in self.program.database else "?"
        told = {"SYNCER_DATABASE_URL": f"{self.program.database}{separator}application_name={self.who}"}
        told |= {"SYNCER_CONFIG": str(self.farm.project), "SYNCER_LOG_STYLE": "json"}
        command = [*(_APART if self.apart else ()), sys.executable, "-m", "syncer.cli", *self.program.words]
        environment = clean_environment(**ENVIRONMENT, **told)
        self._started = subprocess.Popen(
            command, cwd=self.farm.folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        self._pid = _child(self._started.pid) if self.apart else self._started.pid
        (self.farm.processes / str(self._pid)).write_text(self.who)

    def kill(self) -> None:
        """As if its machine was gone."""
        os.kill(self._pid, signal.SIGKILL)
        self._gone()

    def freeze(self) -> None:
        self.frozen = True
        os.kill(self._pid, signal.SIGSTOP)

    def thaw(self) -> None:
        self.frozen = False
        os.kill(self._pid, signal.SIGCONT)

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        if self._started is None:
            return 0
        if self.frozen:
            self.thaw()
        os.kill(self._pid, signal.SIGTERM)
        return self._gone()

    @property
    def down(self) -> bool:
        """Killed, and not started again yet."""
        return self._started is None

    def died(self) -> bool:
        """By itself."""
        return self._started is not None and self._started.poll() is not None

    def discard(self) -> None:
        """Whatever state it is in."""
        if self._started is not None:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            self._gone()
        for log in self._logs:
            log.close()

    def _gone(self) -> int:
        assert self._started is not None
        code = self._started.wait(60)
        (self.farm.processes / str(self._pid)).unlink(missing_ok=True)
        self._started = None
        return code


def _child(parent: int) -> int:
    """The one process that `unshare` has started."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        if children:
            return int(children[0])
        time.sleep(0.005)
    raise AssertionError("unshare has started nothing")


def can_be_apart() -> bool:
    """Whether this machine lets us start a process as if on another one."""
    try:
        return subprocess.run([*_APART, "true"], capture_output=True, check=False, timeout=10).returncode == 0
    except OSError:
        return False


def memory_kb(pid: int) -> int:
    """What of it stands in memory."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("the process is no more")


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def busy_s(pid: int) -> float:
    """Processor time it has used so far."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def crew(farm: Farm, program: Program, count: int, *, apart: Sequence[int] = ()) -> list[Place]:
    """So many places, nothing started yet; those of these numbers as if on machines of their own."""
    return [Place(farm, program, f"w{each}", each in apart) for each in range(count)]
