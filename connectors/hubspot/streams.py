"""What a stream of a portal is: the contacts, one kind of activities, one kind of events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from syncer.model import Cursor, Page


class Stream(Protocol):
    """One stream, as `syncer.connector.Source` explains its three ways to be read; `Reader` chooses it by name.

    A stream is made once for each of them, after HubSpot's clock is known. Its cursors are its own: only what
    `Position` cannot say needs another form. Pages of `fetch` have no cursor.
    """

    @property
    def name(self) -> str: ...

    def pull(self, since: Cursor | None) -> Iterator[Page]: ...

    def sweep(self, since: Cursor | None) -> Iterator[Page]: ...

    def fetch(self, ids: Sequence[str]) -> Iterator[Page]:
        """By HubSpot's own ids: "123", where pages tell of the activity "calls/123"."""
        ...
