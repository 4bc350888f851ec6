"""New values for a YAML file, in it or in a new one beside it, written by replacing the characters of the old ones:
comments and layout stay.

A file is never dumped anew. The new text is read before it takes the place of the old: where anything but the values
asked for would differ, nothing is written.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

from syncer.errors import ConfigError
from syncer.settings.problems import Steps
from syncer.settings.source import Report, Source, yaml_of

Scalar = str | float
Edit = tuple[int, int, str]  # from, to, the new characters; positions in the text

_MARK = b"\xef\xbb\xbf"
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]*|[0-9]+[smhdw]|[a-z]+ [<>]=? -?[0-9]+(?:\.[0-9]+)?")
_SPECIAL = ("null", "true", "false", "yes", "no", "on", "off", "y", "n")
_ANCHOR = re.compile(r"(?:[&!]\S+\s+)*")


def rewrite(source: Source, values: Mapping[Steps, Scalar | Mapping[str, Scalar]]) -> None:
    """Put the values into the file. A scalar stands in for the one at its steps; a mapping, and a scalar where there
    is none, is a new last key of the mapping it belongs to. ConfigError, and an unchanged file, where that cannot be
    done."""
    path = source.path.resolve()
    try:
        _replace(path, _content(source, path, values))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(f"{source.name}: cannot be rewritten, and is unchanged: {reason}", code="SY123") from error


def rewrite_as(path: Path, source: Source, values: Mapping[Steps, Scalar | Mapping[str, Scalar]]) -> None:
    """The file with the values, as a new file; itself it stays as it is. ConfigError where that cannot be done (SY123),
    where there is one of that name (SY280), and where it cannot be written (SY281)."""
    try:
        content = _content(source, source.path, values)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(f"{source.name}: no new file can be made of it: {reason}", code="SY123") from error
    try:
        path.parent.mkdir(exist_ok=True)
        _create(path, content, source.path)
    except FileExistsError as error:
        raise ConfigError(f"there is a {path.name} already; choose another name", code="SY280") from error
    except OSError as error:
        help = f"syncer must be able to write into the folder {path.parent.name}/ beside the project file"
        raise ConfigError(f"{path.name} cannot be written: {error.strerror}; {help}", code="SY281") from error


def number_text(number: float) -> str:
    """78.0 -> "78": as people write it, without losing a digit."""
    return str(int(number)) if number == int(number) else repr(number)


def _content(source: Source, path: Path, values: Mapping[Steps, Scalar | Mapping[str, Scalar]]) -> bytes:
    """What stands at `path` with the values put in. OSError; ValueError where they cannot be."""
    raw = path.read_bytes()
    text = _rewritten(source, raw.decode("utf-8-sig"), values)
    _insist(text, source, _with_values(source.value, values))
    return (_MARK if raw.startswith(_MARK) else b"") + text.encode()


def _rewritten(source: Source, text: str, values: Mapping[Steps, Scalar | Mapping[str, Scalar]]) -> str:
    edits = {_edit(source, text, steps, value) for steps, value in values.items()}  # aliases share one place
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _edit(source: Source, text: str, steps: Steps, value: Scalar | Mapping[str, Scalar]) -> Edit:
    node = source.node(steps)
    if isinstance(node, ScalarNode) and not isinstance(value, Mapping):
        start, end = node.start_mark.index, node.end_mark.index
        return start, end, _spelled(value, node, text[start:end])
    parent = source.node(steps[:-1])
    if node is None and isinstance(parent, MappingNode):
        return _addition(parent, text, f"{steps[-1]}: {_flow(value) if isinstance(value, Mapping) else _plain(value)}")
    line, column = source.place(steps)
    raise ValueError(f"line {line}, column {column} is not a single value; change it by hand")


def _spelled(value: Scalar, node: ScalarNode, old: str) -> str:
    """With the old one's quotes and anchor."""
    anchor = _ANCHOR.match(old)
    quote = node.style if node.style in ("'", '"') and isinstance(value, str) else ""
    return (anchor[0] if anchor else "") + (f"{quote}{value}{quote}" if quote else _plain(value))


def _plain(value: Scalar) -> str:
    if not isinstance(value, str):
        return number_text(value)
    return value if _PLAIN.fullmatch(value) and value.lower() not in _SPECIAL else f'"{value}"'


def _flow(values: Mapping[str, Scalar]) -> str:
    return "{" + ", ".join(f"{key}: {_plain(value)}" for key, value in values.items()) + "}"


def _addition(parent: MappingNode, text: str, entry: str) -> Edit:
    """A last key, in the style of its mapping."""
    start, end = parent.start_mark.index, parent.end_mark.index
    if parent.flow_style:
        inside = text[start : end - 1].rstrip()
        place = start + len(inside)
        return place, place, f" {entry}" if inside.endswith((",", "{")) else f", {entry}"
    lines = text[start:end].splitlines(keepends=True)
    while lines and (not lines[-1].strip() or lines[-1].lstrip().startswith("#")):
        lines.pop()  # what stands below the mapping
    place = start + len("".join(lines).rstrip("\r\n"))
    newline = "\r\n" if "\r\n" in text else "\n"
    return place, place, newline + " " * _column(parent) + entry


def _column(parent: MappingNode) -> int:
    first: Node = parent.value[0][0]
    return int(first.start_mark.column)


def _with_values(tree: Any, values: Mapping[Steps, Scalar | Mapping[str, Scalar]]) -> Any:
    changed = deepcopy(tree)
    for steps, value in values.items():
        inside = changed
        for step in steps[:-1]:
            inside = inside[step]
        inside[steps[-1]] = dict(value) if isinstance(value, Mapping) else value
    return changed


def _insist(text: str, source: Source, meant: Any) -> None:
    """The text must say what is meant, and everything else as before."""
    report = Report(source.path.parent)
    written = yaml_of(text, Source(source.name, source.path), report)
    if written is None or report.problems or written.value != meant:
        raise ValueError("values cannot be replaced in what is written there (an alias, a block text); do it by hand")


def _replace(path: Path, content: bytes) -> None:
    """In one step: whoever reads sees the old file or the new one. PermissionError for one that is read-only."""
    if not path.stat().st_mode & 0o222 or not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    with _aside(path, content, path) as aside:
        aside.replace(path)


def _create(path: Path, content: bytes, like: Path) -> None:
    """In one step, with the rights of the file `like`. FileExistsError: what is there stays, whoever was first."""
    with _aside(path, content, like) as aside:
        os.link(aside, path)


@contextmanager
def _aside(path: Path, content: bytes, like: Path) -> Iterator[Path]:
    """The content in a file of its own beside `path`, gone in the end where it has not taken another place."""
    number, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".new", dir=path.parent)
    aside = Path(name)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        shutil.copymode(like, aside)
        yield aside
    finally:
        aside.unlink(missing_ok=True)


def disputed(source: Source, values: Mapping[Steps, Scalar]) -> frozenset[Steps]:
    """The steps whose value stands in one place of the text (an alias, a merged mapping) for several, which differ."""
    places = {steps: node.start_mark.index for steps in values if (node := source.node(steps)) is not None}
    wanted: dict[int, set[Scalar]] = {}
    for steps, place in places.items():
        wanted.setdefault(place, set()).add(values[steps])
    return frozenset(steps for steps, place in places.items() if len(wanted[place]) > 1)
