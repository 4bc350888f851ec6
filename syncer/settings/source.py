"""A YAML file as plain values, with the place of every key and value in the text.

Read with ruamel's composer, which keeps `NO` and `on` as text. Beyond that: dates stay the text that was written,
a whole number with a leading zero is refused (08001 would become 8001), all duplicate keys are reported instead of
the first, and aliases and merge keys work as long as they do not make the file explode.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from syncer.settings.problems import Mask, Mistake, Problem, SettingsError, Steps, path_text, quoted

_TAG = "tag:yaml.org,2002:"
_DEEPEST = 40  # levels once aliases are expanded; a hand-written file has fewer than ten
_LARGEST = 200_000  # values once aliases are expanded
_LINE_BREAKS = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
_HALF = re.compile("[\ud800-\udfff]")  # no text: it cannot be written or compared
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+")
_LONGEST_NUMBER = 40  # digits; more is no whole number anybody means
_LARGEST_FILE = 5_000_000  # bytes; of a list of domains or the like
_LARGEST_YAML = 2_000_000  # bytes, for which a machine takes half a minute


@dataclass(frozen=True, slots=True)
class Source:
    """One file that was read: `name` as messages show it, its lines, and its values as plain Python."""

    name: str
    path: Path
    lines: tuple[str, ...] = ()
    root: Node | None = None
    value: Any = None
    given: tuple[tuple[Steps, str], ...] = ()  # values that were put in from elsewhere, and what to call that place

    def origin(self, steps: Steps) -> str | None:
        """The place outside the file from which the value at `steps`, or what it stands in, was given."""
        return next((name for way, name in reversed(self.given) if steps[: len(way)] == way), None)

    def place(self, steps: Steps, *, key: bool = False) -> tuple[int, int]:
        """Line and column (from 1) of the value at `steps`, or of its key.

        Steps that are not in the file are passed over: pydantic puts the tag of a union into its locations. A value
        that is missing is shown at the key of the mapping that lacks it.
        """
        node, named, lost = self.root, None, False
        for step in steps:
            found = _child(node, step)
            lost = found is None
            if found is not None:
                named, node = found
        shown = named if named is not None and (key or lost) else node
        return (shown.start_mark.line + 1, shown.start_mark.column + 1) if shown is not None else (1, 1)

    def node(self, steps: Steps) -> Node | None:
        """What stands at `steps` in the text, an alias as what it stands for; None where nothing does."""
        node = self.root
        for step in steps:
            found = _child(node, step)
            node = found[1] if found is not None else None
        return node

    def line_of(self, steps: Steps) -> int:
        return self.place(steps)[0]

    def excerpt(self, line: int) -> tuple[tuple[int, str], ...]:
        """The numbered line, and the one before it where that says more than nothing."""
        shown = [number for number in (line - 1, line) if 0 < number <= len(self.lines)]
        texts = [(number, self.lines[number - 1].replace("\t", " ")) for number in shown]
        return tuple((number, text) for number, text in texts if number == line or text.strip(" #"))


def _child(node: Node | None, step: str | int) -> tuple[Node | None, Node] | None:
    """(key, value) of one step; entries of a list have no key."""
    if isinstance(node, MappingNode):
        return _pairs(node).get(str(step))
    if isinstance(node, SequenceNode) and isinstance(step, int) and 0 <= step < len(node.value):
        return None, node.value[step]
    return None


@lru_cache(maxsize=256)  # each of thousands of mistakes in one mapping looks for its place
def _pairs(node: MappingNode) -> dict[str, tuple[Node | None, Node]]:
    """Key text -> (key, value). Keys written here win over merged ones; of duplicates the first counts."""
    found: dict[str, tuple[Node | None, Node]] = {}
    merged: list[MappingNode] = []
    for key, value in node.value:
        if str(key.tag) == f"{_TAG}merge":
            merged += _merged(value)
        elif isinstance(key, ScalarNode):
            found.setdefault(key.value, (key, value))
    for other in merged:
        for name, pair in _pairs(other).items():
            found.setdefault(name, pair)
    return found


def _merged(value: Node) -> list[MappingNode]:
    many = value.value if isinstance(value, SequenceNode) else [value]
    return [one for one in many if isinstance(one, MappingNode)]


@dataclass(slots=True)
class Report:
    """Collects what is wrong during one load. `root` is the folder that file names are shown relative to."""

    root: Path
    problems: list[Problem] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    mask: Mask = field(default_factory=Mask)
    spoiled: set[tuple[str, Steps]] = field(default_factory=set)
    _placed: set[Problem] = field(default_factory=set)

    def name_of(self, path: Path) -> str:
        """The path as messages show it: from the project's folder, with forward slashes."""
        try:
            return Path(os.path.relpath(path, self.root)).as_posix()
        except ValueError:  # another drive, or no path at all
            return path.as_posix()

    def spoil(self, source: Source, steps: Steps) -> None:
        """What is wrong with this value is known: later complaints about it would only confuse."""
        self.spoiled.add((source.name, steps))

    def spoiled_in(self, source: Source) -> bool:
        return any(name == source.name for name, _ in self.spoiled)

    def add(self, source: Source, mistake: Mistake) -> None:
        steps = mistake.steps
        if any((source.name, steps[:length]) in self.spoiled for length in range(len(steps) + 1)):
            return
        origin = source.origin(steps)
        if origin is not None:
            self.problems.append(Problem(origin, 0, 0, path_text(steps), mistake.message, mistake.help, mistake.code))
            return
        line, column = source.place(steps, key=mistake.at_key)
        self.add_at(source, (line, column), mistake)

    def add_at(self, source: Source, place: tuple[int, int], mistake: Mistake) -> None:
        line, column = place
        problem = Problem(
            source.name, line, column, path_text(mistake.steps),
            mistake.message, mistake.help, mistake.code, source.excerpt(line),
        )  # fmt: skip
        if problem not in self._placed:
            self._placed.add(problem)
            self.problems.append(problem)

    def add_plain(self, file: str, message: str, help: str = "", code: str = "SY001") -> None:
        """A problem without a place in a text."""
        self.problems.append(Problem(file, 0, 0, "", message, help, code))

    def watch(self, path: Path) -> None:
        if path not in self.files:
            self.files.append(path)

    def raise_if_any(self) -> None:
        """All problems by file and line; secrets are blotted out last, when all of them are known."""
        if self.problems:
            order = {self.name_of(path): rank for rank, path in enumerate(self.files)}
            ordered = sorted(self.problems, key=lambda one: (order.get(one.file, -1), one.line, one.column))
            raise SettingsError([self._masked(problem) for problem in ordered], self.files)

    def _masked(self, problem: Problem) -> Problem:
        mask = self.mask
        shown = tuple((number, mask(text)) for number, text in problem.source)
        path, message, help = mask(problem.path), mask(problem.message), mask(problem.help)
        return replace(problem, path=path, message=message, help=help, source=shown)


def read_text(path: Path, report: Report, largest: int = _LARGEST_FILE) -> str | None:
    """The file's text, UTF-8 with or without a mark; None, and a problem, where it cannot be read."""
    name = report.name_of(path)
    report.watch(path)
    try:
        with path.open("rb") as file:
            raw = file.read(largest + 1)
    except FileNotFoundError:
        report.add_plain(name, f"the file {name} does not exist")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        report.add_plain(name, f"the file {name} cannot be read: {reason}")
    else:
        if len(raw) <= largest:
            return _decoded(raw, name, report)
        report.add_plain(name, f"the file {name} is larger than {largest // 1_000_000} MB", code="SY212")
    return None


def _decoded(raw: bytes, name: str, report: Report) -> str | None:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        message = f"line {line} of {name} is not UTF-8"
        report.add_plain(name, message, "save the file as UTF-8", "SY002")
        return None


def read_yaml(path: Path, report: Report) -> Source | None:
    """The file as plain values with places; None, and a problem, where it is not YAML at all."""
    text = read_text(path, report, _LARGEST_YAML)
    return None if text is None else yaml_of(text, Source(report.name_of(path), path), report)


def yaml_of(text: str, empty: Source, report: Report) -> Source | None:
    """The text as plain values with places; None, and a problem, where it is not YAML at all. `empty` has its name."""
    bare = replace(empty, lines=tuple(_LINE_BREAKS.split(text)))
    for secret in _likely_secrets(bare.lines):
        report.mask.hide(secret)
    try:
        root = _composed(text)
        if root is None:
            return bare
        source = replace(bare, root=root)
    except _Unreadable as error:
        help = _BRACES_HELP if any("${" in text for _, text in bare.excerpt(error.line)) else ""
        report.add_at(bare, (error.line, error.column), Mistake((), str(error), help, error.code))
        return None
    return replace(source, value=_Plain(source, report).value(root, ()))


ReadYaml = Callable[[Path, Report], Source | None]
"""`read_yaml`, or what puts other values in the place of those it reads."""

_SECRET_LINE = re.compile(
    r"""(?i)(?:password|passwd|secret|token|api_?key|private_key|credential)[\w-]{0,64}["']?\s{0,64}:\s{0,64}"""
    r"""(?:"([^"]*)"|'([^']*)'|([^\s,}#][^,}#]*))"""
)


def _likely_secrets(lines: tuple[str, ...]) -> Iterator[str]:
    """What stands behind a key like `password:`, so that it is hidden even where the file is broken."""
    for line in lines:
        for groups in _SECRET_LINE.findall(line):
            yield from (text for text in groups if text and not text.lstrip().startswith("${"))


_BRACES_HELP = 'between { and } a reference needs quotes: token: "${NAME}"'


class _Unreadable(Exception):
    """The text is not YAML as it is read here; where, from 1."""

    def __init__(self, message: str, line: int = 1, column: int = 1, code: str = "SY002") -> None:
        super().__init__(message)
        self.line = line
        self.column = column
        self.code = code


def _composed(text: str) -> Node | None:
    """The tree of nodes; None for an empty document."""
    reader = YAML(typ="rt", pure=True)
    reader.Composer = _Bounded
    try:
        root: Node | None = reader.compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = " ".join(str(part).strip() for part in (error.context, error.problem) if part)
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        raise _Unreadable(f"cannot be read as YAML: {said}", line, column) from error
    except ReaderError as error:
        line = len(_LINE_BREAKS.findall(text[: error.position or 0])) + 1
        raise _Unreadable("contains a character that YAML does not allow", line) from error
    except RecursionError as error:
        raise _Unreadable("is nested too deeply") from error
    except (YAMLError, ValueError, TypeError, LookupError, AttributeError, AssertionError) as error:
        # ruamel lets some of Python's own errors escape on broken input.
        raise _Unreadable(f"cannot be read as YAML ({type(error).__name__})") from error
    return root


class _Bounded(Composer):
    """Weighs each node as soon as it is whole, with what its aliases stand for, and stops at the first that is too
    much: neither a bomb nor a tower is ever built."""

    def __init__(self, loader: Any = None) -> None:
        super().__init__(loader)
        self.warn_double_anchors = False  # a name that is given again means the new one from there on, as YAML says
        self._levels = self._nodes = 0
        self._weights: dict[int, tuple[int, int]] = {}  # id of a whole node -> (values, levels) in it

    def compose_node(self, parent: Any, index: Any) -> Any:
        mark = self.parser.peek_event().start_mark
        self._levels, self._nodes = self._levels + 1, self._nodes + 1
        if self._levels > _DEEPEST or self._nodes > _LARGEST:
            raise _too_much(mark, deep=self._levels > _DEEPEST)
        node = super().compose_node(parent, index)
        self._levels -= 1
        if isinstance(node, ScalarNode) and _HALF.search(node.value):
            message = "contains half a character, as \\ud83d in \\ud83d\\ude00; write the character itself"
            raise _Unreadable(message, mark.line + 1, mark.column + 1)
        if id(node) not in self._weights:
            if not isinstance(node, ScalarNode) and node.end_mark is None:
                raise _too_much(mark, "contains itself")  # it is not whole yet
            self._weights[id(node)] = self._weight(node)
        values, levels = self._weights[id(node)]
        if values > _LARGEST or self._levels + levels > _DEEPEST:
            raise _too_much(mark, deep=values <= _LARGEST)
        return node

    def _weight(self, node: Node) -> tuple[int, int]:
        inner = node.value if isinstance(node, SequenceNode) else []
        if isinstance(node, MappingNode):
            inner = [part for pair in node.value for part in pair]
        weights = [self._weights[id(each)] for each in inner]
        return 1 + sum(values for values, _ in weights), 1 + max((levels for _, levels in weights), default=0)


def _too_much(mark: Any, message: str = "", *, deep: bool = False) -> _Unreadable:
    large = f"holds more than {_LARGEST:,} values once its aliases are expanded"
    told = message or (f"is nested too deeply: more than {_DEEPEST} levels" if deep else large)
    return _Unreadable(told, mark.line + 1, mark.column + 1, "SY212")


class _Plain:
    """Turns nodes into plain values and reports what is wrong with the text itself."""

    def __init__(self, source: Source, report: Report) -> None:
        self._source = source
        self._report = report

    def value(self, node: Node, steps: Steps) -> Any:
        if isinstance(node, MappingNode):
            self._look_at_keys(node, steps)
            return {name: self.value(inner, (*steps, name)) for name, (_, inner) in _pairs(node).items()}
        if isinstance(node, SequenceNode):
            return [self.value(inner, (*steps, index)) for index, inner in enumerate(node.value)]
        return self._scalar(node, steps)

    def _look_at_keys(self, node: MappingNode, steps: Steps) -> None:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, ScalarNode):
                self._report_at(key, Mistake(steps, "a key must be plain text", code="SY002"))
            elif str(key.tag) != f"{_TAG}merge" and key.value in seen:
                message, help = f"the key {quoted(key.value)} stands here twice", "remove or rename one of the two"
                self._report_at(key, Mistake((*steps, key.value), message, help, "SY003"))
            else:
                seen.add(key.value)

    def _scalar(self, node: Node, steps: Steps) -> Any:
        tag, text = str(node.tag).removeprefix(_TAG), node.value
        if tag == "null":
            return None
        if tag == "bool":
            return text.lower() in ("true", "yes", "on", "y")
        if tag == "int":
            return self._whole(node, steps)
        if tag == "float":
            return self._decimal(node, steps)
        if tag not in ("str", "timestamp"):
            return self._refuse(node, steps, "YAML tags are not used here; write the plain value", code="SY002")
        return text

    def _whole(self, node: Node, steps: Steps) -> Any:
        text = node.value
        if _LEADING_ZERO.fullmatch(text):
            help = f'write it in quotes to keep it as text: "{text}"'
            return self._refuse(node, steps, f"{text} would lose its leading zero as a number", help)
        return self._number(node, steps, lambda plain: int(plain, 0))

    def _decimal(self, node: Node, steps: Steps) -> Any:
        return self._number(node, steps, lambda plain: float(plain.replace(".inf", "inf").replace(".nan", "nan")))

    def _number(self, node: Node, steps: Steps, read: Callable[[str], float]) -> Any:
        plain = node.value.replace("_", "").lower()
        try:
            if len(plain) > _LONGEST_NUMBER:
                raise ValueError("too long for a number anybody means")
            return read(plain)
        except ValueError:
            return self._refuse(node, steps, f"cannot read {quoted(node.value)} as a number", "write text in quotes")

    def _refuse(self, node: Node, steps: Steps, message: str, help: str = "", code: str = "SY006") -> None:
        self._report_at(node, Mistake(steps, message, help, code))
        self._report.spoil(self._source, steps)

    def _report_at(self, node: Node, mistake: Mistake) -> None:
        mark = node.start_mark
        self._report.add_at(self._source, (mark.line + 1, mark.column + 1), mistake)


def at(tree: Any, *steps: str | int) -> Any:
    """The value at `steps` of a tree that may have any shape; None where there is none."""
    for step in steps:
        if isinstance(tree, Mapping):
            tree = tree.get(step)
        elif isinstance(tree, list) and isinstance(step, int) and step < len(tree):
            tree = tree[step]
        else:
            return None
    return tree


def entries(tree: Any, *steps: str | int) -> Iterator[tuple[Steps, Mapping[str, Any]]]:
    """Those values of the mapping or list at `steps` that are mappings themselves, with the way to them."""
    inside = at(tree, *steps)
    pairs: Any = (
        inside.items() if isinstance(inside, Mapping) else enumerate(inside) if isinstance(inside, list) else ()
    )
    for step, value in pairs:
        if isinstance(value, Mapping):
            yield (*steps, step), value
