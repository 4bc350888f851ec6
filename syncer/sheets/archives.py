"""Whether an archive that claims to be a workbook can be opened in bounded memory: how much it unpacks to, and how far
its cells spread. The formats: ECMA-376 (.xlsx), [MS-XLSB] (.xlsb), OpenDocument 1.3 (.ods)."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from syncer.errors import ConfigError

_CHUNK = 1 << 20  # bytes
_MOST_UNPACKED = 3 << 30  # bytes, of all parts together
_MOST_CELLS = 40_000_000  # of a sheet, as a rectangle; calamine takes about 30 bytes for each
_LONGEST_TEXT = 64 << 20  # bytes between two tags; a cell's text has 32,767 characters at most
_LARGEST_BINARY = 512 << 20  # bytes of a sheet of .xlsb, which is held to be looked through
_SUSPECT = 32 << 20  # bytes, from which on a part that is packed
_PACKED = 300  # times smaller is no table
_READ_PARTS = (".xml", ".bin", ".rels")

_WIDE = re.compile(rb' r="([A-Z]{2,3})[0-9]')
_WIDE_OTHERWISE = re.compile(rb"""\sr\s*=\s*["']([A-Z]{2,3})[0-9]""")
_ROW = re.compile(rb"""<(?:\w+:)?row\b[^<>]*?\sr=["'](\d{1,7})""")
_VALUED = re.compile(rb"""<(?:\w+:)?c\b([^<>]*[^<>/])>(?!</)""")  # up to the tag's end alone: over many it takes long
_PLACE = re.compile(rb"""\sr=["']([A-Z]{1,3})(\d{1,7})["']""")
_ODS_PART = re.compile(rb"<table:(table-row|table-cell|covered-table-cell|table)\b([^<>]*)>")
_ODS_REPEATED = re.compile(rb'number-(?:rows|columns)-repeated="(\d{1,9})"')


def insist_bounded(path: Path) -> None:
    """ConfigError (SY170) for an archive that is damaged, or that is a trap whether anybody laid it or not."""
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            if sum(part.file_size for part in parts) > _MOST_UNPACKED:
                raise _too_large(path)
            for part in parts:
                if part.filename.lower().endswith(_READ_PARTS):
                    _walk(path, archive, part)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise ConfigError(
            f"{path.name}: the workbook is damaged ({str(error)[:120]}); was it copied or sent whole?", code="SY170"
        ) from error
    except OSError as error:
        raise ConfigError(f"{path.name}: the workbook cannot be read: {error.strerror}", code="SY170") from error


def _walk(path: Path, archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> None:
    if part.file_size > max(_SUSPECT, _PACKED * part.compress_size):
        raise _too_large(path)
    name = part.filename.lower()
    with archive.open(part) as file:
        if re.search(r"sheets/[^/]+\.xml$", name):
            rows, columns = _spread(file, path)
            if rows * columns <= _MOST_CELLS:
                return
            with archive.open(part) as again:
                rows, columns = _valued_spread(again, path)
        elif re.search(r"sheets/[^/]+\.bin$", name):
            if part.file_size > _LARGEST_BINARY:
                raise _too_large(path)
            rows, columns = _binary_spread(file)
        elif name == "content.xml":
            rows, columns = _ods_spread(file, path)
        else:
            rows, columns = sum(0 for _ in _pieces(file, path)), 0
    if rows * columns > _MOST_CELLS:
        raise ConfigError(
            f"{path.name}: a sheet reaches to row {rows:,} and column {columns:,}, too much to hold; delete what "
            "stands far from the table, or save the sheet as CSV",
            code="SY170",
        )


def _pieces(file: IO[bytes], path: Path) -> Iterator[bytes]:
    """The part as it is unpacked, cut between tags."""
    left = b""
    while chunk := file.read(_CHUNK):
        piece = left + chunk if left else chunk
        end = piece.rfind(b"<", len(left))
        if end <= 0:
            left = piece
            if len(left) > _LONGEST_TEXT:
                raise _too_large(path)
            continue
        yield piece[:end]
        left = piece[end:]
    yield left


def _spread(file: IO[bytes], path: Path) -> tuple[int, int]:
    """(last row, last column) that the sheet speaks of; 26 columns where there are no more."""
    rows, columns, tags = 0, 26, 0
    for piece in _pieces(file, path):
        begins = piece.rfind(b"row ")
        if begins > 0 and (found := _ROW.match(piece, piece.rfind(b"<", 0, begins))):
            rows = max(rows, int(found[1]))
        elif begins > 0:
            tags += piece.count(b"row>") + piece.count(b"row ")
        wide = _WIDE if b' r="' in piece else _WIDE_OTHERWISE  # the first at a tenth of the cost
        if wide.search(piece):
            columns = max(columns, *(_column(each) for each in set(wide.findall(piece))))
    return max(rows, tags), columns


def _valued_spread(file: IO[bytes], path: Path) -> tuple[int, int]:
    """The same of cells with something in them: many a sheet is formatted down to its last row."""
    rows = columns = 0
    for piece in _pieces(file, path):
        for attributes in _VALUED.findall(piece):
            if found := _PLACE.search(attributes):
                rows, columns = max(rows, int(found[2])), max(columns, _column(found[1]))
    return rows, columns


def _column(letters: bytes) -> int:
    """ "A" -> 1, "XFD" -> 16384."""
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number


def _binary_spread(file: IO[bytes]) -> tuple[int, int]:
    """Of .xlsb: a record is its type, its length, and so many bytes; type 0 begins with the row's number, types 1 to 11
    are cells with something in them and begin with the column's."""
    content = file.read()
    at, row, rows, columns = 0, 0, 0, 0
    while at < len(content):
        kind, at = _varying(content, at, 2)
        length, at = _varying(content, at, 4)
        first = int.from_bytes(content[at : at + 4], "little")
        if kind == 0:
            row = first + 1
        elif 2 <= kind <= 11:
            rows, columns = max(rows, row), max(columns, first + 1)
        at += length
    return rows, columns


def _varying(content: bytes, at: int, most: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where it ends."""
    number = 0
    for place in range(most):
        byte = content[at + place] if at + place < len(content) else 0
        number |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            break
    return number, at + place + 1


def _ods_spread(file: IO[bytes], path: Path) -> tuple[int, int]:
    """Of the largest sheet. Rows and cells may be repeated; empty ones at the end do not count."""
    most, rows, columns, row, column = (0, 0), 0, 0, 0, 0
    for piece in _pieces(file, path):
        for kind, attributes in _ODS_PART.findall(piece):
            times = int(found[1]) if (found := _ODS_REPEATED.search(attributes)) else 1
            if kind == b"table":
                rows = columns = row = 0
            elif kind == b"table-row":
                row, column = row + times, 0
            else:
                column += times
                if b"value-type" in attributes:
                    rows, columns = max(rows, row), max(columns, column)
                    most = max(most, (rows, columns), key=lambda each: each[0] * each[1])
    return most


def _too_large(path: Path) -> ConfigError:
    return ConfigError(
        f"{path.name}: the workbook unpacks to more than any table needs; it is not opened", code="SY170"
    )
