"""Where a pull of files stands: what of which file is read, as a cursor."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import orjson

from syncer.model import Cursor


@dataclass(frozen=True, slots=True)
class Begun:
    """A file that is read in part."""

    name: str
    hash: str
    row: int  # the last that was read

    def row_of(self, name: str, hash: str) -> int:
        """The same of any file; 0: from its beginning."""
        return self.row if (self.name, self.hash) == (name, hash) else 0


@dataclass(frozen=True, slots=True)
class Position:
    """`means` says under which settings the files were understood; under others all is read again."""

    means: str
    read: Mapping[str, str] = field(default_factory=dict)  # file -> hash
    faulty: Mapping[str, Sequence[str]] = field(default_factory=dict)  # file -> what was told as unreadable, by its ids
    begun: Begun | None = None

    def only(self, names: Collection[str]) -> Position:
        """With nothing of other files, and nothing begun."""
        read = {name: hash for name, hash in self.read.items() if name in names}
        return Position(self.means, read, {name: ids for name, ids in self.faulty.items() if name in names})

    def after(self, name: str, hash: str, faulty: Sequence[str] = ()) -> Position:
        """When that file is read to its end."""
        told = {**self.faulty, name: faulty}
        return Position(self.means, {**self.read, name: hash}, {each: ids for each, ids in told.items() if ids})

    def cursor(self) -> Cursor:
        begun = self.begun and [self.begun.name, self.begun.hash, self.begun.row]
        shape = {"means": self.means, "read": self.read, "faulty": self.faulty, "begun": begun}
        return Cursor(orjson.dumps(shape, option=orjson.OPT_SORT_KEYS).decode())


def position(cursor: Cursor | None, means: str) -> Position:
    """The beginning where the cursor is none of ours, or was made under other settings."""
    try:
        shape = orjson.loads(cursor or "")
        begun = shape["begun"] and Begun(*shape["begun"])
        same = shape["means"] == means
        return Position(means, shape["read"], shape["faulty"], begun) if same else Position(means, {}, shape["faulty"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return Position(means)


def told_at(file_modified: datetime, known: datetime | None, now: datetime) -> datetime:
    """The `modified_at` of what a changed file says. A file may be an older one that was copied back, whose words would
    be taken for old news then, or bear a time to come, which nothing could follow."""
    if known is not None and known > file_modified:
        return now
    return min(file_modified, now)
