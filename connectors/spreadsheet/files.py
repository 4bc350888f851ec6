"""Which files are read, and whether they have changed."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from syncer.errors import ConfigError
from syncer.sheets.reading import FORMATS, nearest

ERRORS = ".errors.xlsx"
GENERATED = (".scored.xlsx", ERRORS)


@dataclass(frozen=True, slots=True)
class File:
    """One file as it lies there now."""

    path: Path
    name: str  # as it is spoken of: relative to the project where it lies there
    hash: str
    modified_at: datetime
    saved_at: int = 0  # the file alone, as `saved_at` tells it


def found(folder: Path, patterns: Sequence[str], name: str) -> list[Path]:
    """The files that these mean, those changed first first: where a lead stands in two of them, the last word counts.
    Not what was generated, nor what Excel and LibreOffice leave beside an open file. ConfigError (SY173) where one
    means none."""
    paths: dict[Path, None] = {}
    for pattern in patterns:
        whole = os.path.join(folder, os.path.expanduser(pattern))
        if Path(whole).is_file():
            paths[Path(whole)] = None
            continue
        matched = [Path(each) for each in glob.glob(whole, recursive=True)]
        some = [each for each in matched if each.is_file() and _is_source(each)]
        if not some:
            raise _none(name, pattern, Path(whole))
        paths |= dict.fromkeys(some)
    return sorted(paths, key=lambda each: (saved_at(each), str(each)))


def saved_at(path: Path) -> int:
    """In nanoseconds since 1970; 0: it is not there any more."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def look(path: Path, folder: Path, beside: Iterable[Path] = ()) -> File:
    """`beside`: what belongs to it, and changes it when it changes; need not be there."""
    digest, modified, saved = hashlib.sha256(), 0.0, saved_at(path)
    for each in (path, *beside):
        try:
            with each.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
                modified = max(modified, os.fstat(file.fileno()).st_mtime)
        except FileNotFoundError as error:
            if each == path:
                raise ConfigError(f"{path.name}: the file is gone", code="SY173") from error
            digest.update(b"absent")
        except OSError as error:
            raise ConfigError(f"{each.name}: cannot be read: {error.strerror}", code="SY173") from error
    return File(path, spoken(path, folder), digest.hexdigest()[:32], datetime.fromtimestamp(modified, UTC), saved)


def spoken(path: Path, folder: Path) -> str:
    """How people would name it."""
    try:
        return path.resolve().relative_to(folder.resolve()).as_posix()
    except ValueError:
        return path.name


def _is_source(path: Path) -> bool:
    name = path.name.lower()
    return path.suffix.lower() in FORMATS and not name.startswith(("~$", ".")) and not name.endswith(GENERATED)


def _none(name: str, pattern: str, whole: Path) -> ConfigError:
    """What is there instead is told."""
    folder = whole.parent
    there = [each.name for each in folder.iterdir() if _is_source(each)] if folder.is_dir() else []
    if glob.has_magic(pattern):
        what = "matches no file" if folder.is_dir() else "matches no file, and its folder is not there"
    else:
        what = "is not there" if folder.is_dir() else "is not there, nor is its folder"
    help = nearest(whole.name, there) or (f"there are: {', '.join(sorted(there)[:5])}" if there else "")
    return ConfigError(f"{name}: the file '{pattern}' {what}{'; ' if help else ''}{help}", code="SY173")
