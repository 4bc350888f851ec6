"""Mistakes in settings: found all in one pass, each with its place in a file, never with a secret.

| code  | what is wrong                                     |
|-------|---------------------------------------------------|
| SY001 | a file cannot be read                             |
| SY002 | a file is not YAML as it is read here             |
| SY003 | a key stands twice                                |
| SY004 | an unknown key                                    |
| SY005 | a missing key                                     |
| SY006 | a wrong value                                     |
| SY007 | a name that nothing has (connector, stage, list)  |
| SY008 | a secret or variable that is not set              |
| SY009 | a secret written into a file                      |
| SY010 | parts that do not fit together                    |
| SY210 | an address to which nothing is sent               |
| SY211 | a pattern that is given up over real values       |
| SY212 | a file that is too large, or grows too large      |
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from syncer.errors import ConfigError
from syncer.log import BLOT, redact

Steps = tuple[str | int, ...]
"""The way to a value inside a file: ("stages", 1, "enter")."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake and its place. Line and column count from 1; line 0: the mistake has no place in a text."""

    file: str
    line: int
    column: int
    path: str  # "connections.crm.type"
    message: str
    help: str = ""
    code: str = "SY006"
    source: tuple[tuple[int, str], ...] = ()  # the numbered lines to show, the mistake in the last one

    @property
    def place(self) -> str:
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part)

    def __str__(self) -> str:
        lines = [f"error: {self.message}", f"  --> {self.place}" + (f"  ({self.path})" if self.path else "")]
        width = max((len(str(number)) for number, _ in self.source), default=0)
        lines += [f"  {number:>{width}} | {text}".rstrip() for number, text in self.source]
        if self.source:
            lines.append(f"  {' ' * width} | {' ' * (self.column - 1)}^")
        return "\n".join([*lines, *([f"  help: {self.help}"] if self.help else [])])


class SettingsError(ConfigError):
    """Everything that is wrong with the settings. `files` are those read so far, so that a reload can watch them."""

    def __init__(self, problems: Sequence[Problem], files: Sequence[Path] = ()) -> None:
        self.problems = tuple(problems)
        self.files = tuple(files)
        count = f"{len(self.problems)} problem{'s' if len(self.problems) != 1 else ''}"
        places = {problem.file for problem in self.problems}
        summary = f"{count} in {len(places)} file{'s' if len(places) != 1 else ''}"
        code = self.problems[0].code if self.problems else "SY000"
        super().__init__("\n\n".join([*map(str, self.problems), summary]), code=code)


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong with one value, before it is known where the value stands. `steps` lead on from the value."""

    steps: Steps
    message: str
    help: str = ""
    code: str = "SY006"
    at_key: bool = False  # the key is wrong, not its value


class Wrong(ValueError):
    """One or more mistakes within one value; raised by validators, unfolded by `checking`."""

    def __init__(self, *mistakes: Mistake) -> None:
        super().__init__("; ".join(mistake.message for mistake in mistakes))
        self.mistakes = mistakes


def wrong(message: str, help: str = "", code: str = "SY006") -> Wrong:
    """One mistake about the value as a whole."""
    return Wrong(Mistake((), message, help, code))


def did_you_mean(word: object, names: Iterable[str], *, known_as: str = "") -> str:
    """The help for a misspelt name: the nearest one, and all of them where `known_as` says what they are."""
    all_names = sorted(set(names))
    folded = {name.casefold(): name for name in reversed(all_names)}
    near = difflib.get_close_matches(str(word).casefold(), list(folded), n=1, cutoff=0.6)
    hints = [f"did you mean '{folded[near[0]]}'?"] if near else []
    if known_as:
        hints.append(f"{known_as}: {', '.join(all_names) or 'none'}")
    return " ".join(hints)


def path_text(steps: Steps) -> str:
    """("stages", 1, "enter") -> "stages[1].enter"."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return text.removeprefix(".")


TOKENS = re.compile(
    r"pat-[a-z]{2,4}\d?-[A-Za-z0-9-]{8,}"  # HubSpot: private app or service key
    r"|00D[A-Za-z0-9]{9,15}![A-Za-z0-9._]{8,}"  # Salesforce: session id
    r"|xox[a-z]-[A-Za-z0-9-]{8,}"  # Slack: token
    r"|hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/_-]{8,}"  # Slack: the address is the secret
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)
"""What real credentials look like."""

_PLAIN_WORDS = ("null", "true", "false")
_SHORTEST = 4  # shorter texts are no secrets, and blotting them out would make messages unreadable


class Mask:
    """The texts that must not be shown in this load's messages. Source lines and messages all pass through it."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()

    def hide(self, secret: str) -> None:
        for line in secret.splitlines():
            text = line.strip()
            if len(text) >= _SHORTEST and text.lower() not in _PLAIN_WORDS:
                self._secrets.add(text)

    def __call__(self, text: str) -> str:
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, BLOT)
        return redact(TOKENS.sub(BLOT, text))


def quoted(value: Any) -> str:
    """A value as an error message shows it: in the file's words, and short."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = str(value) if isinstance(value, int | float) else f"'{value}'"
    return text if len(text) <= 80 else f"{text[:76]}..."
