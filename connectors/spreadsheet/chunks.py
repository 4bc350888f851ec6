"""Rows of a file, a page at a time, and what is wrong with some of them. They are gone through by columns: a call a row
would cost more than reading the workbook."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Protocol, cast

from syncer.sheets.cells import Cell
from syncer.sheets.reading import Rows, Table

PAGE = 4_000  # rows


@dataclass(frozen=True, slots=True)
class Fault:
    """A row that cannot be read, or not all of it."""

    number: int
    why: str
    cells: Sequence[Cell] = ()
    hides: bool = False  # who is in it, or in rows that it has swallowed


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows that follow each other, understood as far as telling whom or what each is about."""

    numbers: Sequence[int]
    ids: Sequence[str]  # as the CRM would write them
    rows: Rows
    faults: tuple[Fault, ...] = ()  # the rows among them that cannot be understood so far

    @property
    def last(self) -> int:
        """The number of the last row."""
        return max((*self.numbers[-1:], *(fault.number for fault in self.faults)), default=0)

    def only(self, kept: Sequence[bool], *faults: Fault) -> Chunk:
        """Those rows alone, and these faults too."""
        numbers, ids, rows = compress(self.numbers, kept), compress(self.ids, kept), compress(self.rows, kept)
        return Chunk([*numbers], [*ids], [*rows], (*self.faults, *faults))


class Named(Protocol):
    """A table in which every row is about somebody or something."""

    @property
    def table(self) -> Table: ...

    def ids_of(self, rows: Rows) -> Sequence[str | None]:
        """About what each row is; None: it does not say."""
        ...

    def why_nobody(self, cells: Sequence[Cell]) -> str:
        """What to say of a row that does not say."""
        ...


def chunks_of(named: Named) -> Iterator[Chunk]:
    """Every row of the table, once."""
    unreadable: list[Fault] = []
    for numbers, rows in named.table.chunks(PAGE, lambda row, why: unreadable.append(Fault(row, why, hides=True))):
        chunk = _understood(named, numbers, rows)
        yield chunk.only([True] * len(chunk.ids), *unreadable) if unreadable else chunk
        unreadable.clear()
    if unreadable:
        yield Chunk((), (), (), tuple(unreadable))


class Chunks:
    """Those of a table, to be gone through again and again; kept where the table keeps its rows."""

    def __init__(self, named: Named) -> None:
        self._named = named
        self._kept = [*chunks_of(named)] if named.table.kept else None

    def __iter__(self) -> Iterator[Chunk]:
        return iter(self._kept) if self._kept is not None else chunks_of(self._named)

    def keys(self) -> Iterator[tuple[Sequence[int], Sequence[str]]]:
        """(rows, what each is about) of those rows that can be understood."""
        return ((chunk.numbers, chunk.ids) for chunk in self)


def _understood(named: Named, numbers: Sequence[int], rows: Rows) -> Chunk:
    ids, width = named.ids_of(rows), len(named.table.headings)
    chunk = Chunk(numbers, cast(Sequence[str], ids), rows)
    if None not in ids and max(map(len, rows), default=0) <= width:
        return chunk
    why = [_why(named, identity, cells) for identity, cells in zip(ids, rows, strict=True)]
    faults = [
        Fault(number, told, cells, hides=len(cells) > width)
        for number, told, cells in zip(numbers, why, rows, strict=True)
        if told
    ]
    return chunk.only([each is None for each in why], *faults)


def _why(named: Named, identity: str | None, cells: Sequence[Cell]) -> str | None:
    width = len(named.table.headings)
    if len(cells) > width:
        return f"the row has {len(cells)} cells, and the headings {width}; put quotes around cells with the separator"
    return named.why_nobody(cells) if identity is None else None
