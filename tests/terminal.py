"""The command line as a person or a supervisor meets it: a real process in a folder, with an environment of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import orjson

ROOT = Path(__file__).parent.parent
PATIENCE_S = 30.0
"""How long anything may take before a test gives up on it; what is promised to be quick is asserted by itself."""


def clean_environment(**more: str) -> dict[str, str]:
    """Ours without what steers syncer or a terminal."""
    steering = ("COLUMNS", "FORCE_COLOR", "HOOK_SECRET", "HUBSPOT_TOKEN", "LANG", "LC_ALL", "NO_COLOR", "PYTHONUTF8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SYNCER_")}
    kept = {name: value for name, value in kept.items() if name not in steering}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", **more}


@dataclass(frozen=True)
class Terminal:
    """Types commands in a folder."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, *words: str, text: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        """One command to its end; `text` is what stands on its standard input, `more` are variables."""
        return subprocess.run(
            [sys.executable, "-m", "syncer.cli", *words],
            cwd=self.folder,
            env=clean_environment(**self.environment, **more),
            input=text,
            capture_output=True,
            encoding="utf-8",
            timeout=PATIENCE_S * 2,
            check=False,
        )


class Process:
    """A command that stays. Use as a context: what has not ended by then is killed."""

    def __init__(self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        self._paths = [folder / f"process-{id(self)}.{name}" for name in ("out", "err")]
        self._files: list[IO[bytes]] = [path.open("wb") for path in self._paths]
        self._popen = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=folder,
            env=clean_environment(**environment),
            stdin=subprocess.DEVNULL,
            stdout=self._files[0],
            stderr=self._files[1],
        )

    def __enter__(self) -> Process:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._popen.poll() is None:
            self._popen.kill()
            self._popen.wait(PATIENCE_S)
        for file in self._files:
            file.close()
        if error is not None:
            error.add_note(f"standard error of the process:\n{self.stderr[-4000:]}")

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def stdout(self) -> str:
        return self._paths[0].read_text(encoding="utf-8")

    @property
    def stderr(self) -> str:
        return self._paths[1].read_text(encoding="utf-8")

    def events(self, name: str) -> list[dict[str, Any]]:
        """The lines of a JSON log with that event."""
        lines = [line for line in self.stderr.splitlines() if line.startswith("{") and line.endswith("}")]
        return [event for event in map(orjson.loads, lines) if event.get("event") == name]

    def signal(self, number: signal.Signals) -> None:
        self._popen.send_signal(number)

    def ends(self, within_s: float = PATIENCE_S) -> int:
        """The exit code; an AssertionError if it has not ended by then."""
        try:
            return self._popen.wait(within_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the process has not ended within {within_s:g} s") from None

    def stop(self, within_s: float = PATIENCE_S) -> int:
        """SIGTERM; the exit code."""
        self.signal(signal.SIGTERM)
        return self.ends(within_s)

    def until(self, holds: Callable[[], Any], what: str, within_s: float = PATIENCE_S) -> None:
        """Wait for something; an AssertionError if the process ends before, or it takes too long."""
        deadline = time.monotonic() + within_s
        while not holds():
            assert self._popen.poll() is None, f"the process ended while waiting until {what}"
            assert time.monotonic() < deadline, f"waited {within_s:g} s in vain until {what}"
            time.sleep(0.03)
