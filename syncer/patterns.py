"""The regular expressions that rules ask with: what Python's `re` says they mean, at a cost that is bounded.

A lead's text comes from strangers, and some patterns take a lifetime over a text that is made for it. So PCRE2 looks,
which counts its steps and gives up at a limit. Steps and not seconds: a score must not depend on the machine, nor on
what else it does. To the same end the compiler that only some machines have (JIT) is left off.

Python parses the pattern, and what it parsed is written out anew for PCRE2: so what `re` refuses is refused, and the
many signs that mean something else there (`\\Z`, `\\v`, `{,3}`, `[[:alpha:]]`, verbs, callouts) never reach it.
"""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any

import pcre2

LONGEST_PATTERN = 1_000
"""Characters. A longer list of words is a list: `contains` and `is` take any number."""

LONGEST_TEXT = 65_536
"""Characters; HubSpot's longest text. Nothing is found in a longer one."""

_DEEPEST = 30  # groups in groups
_parser: Any = import_module("re._parser")  # has no public name since sre_parse is deprecated; 3.11 to 3.14 have it
_Node = tuple[Any, Any]

# A million steps are 15 ms. The limit holds for one place at which the search begins, unless it is made to begin at
# the first one only, and the engine's own short cuts would not be counted: hence the rest.
_LIMITS = "(*LIMIT_MATCH=1000000)(*LIMIT_HEAP=131072)(*NO_AUTO_POSSESS)(*NO_START_OPT)(*LF)"
_START = r"\A"
_ANYWHERE = rf"{_START}(?s:.)*?"
_GAVE_UP = (-47, -53, -63)  # PCRE2_ERROR_MATCHLIMIT, _DEPTHLIMIT, _HEAPLIMIT


class BadPattern(ValueError):
    """The text is no regular expression, or not one that is taken here."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """One regular expression, ready to look for."""

    exact: bool
    _compiled: Any

    def found_in(self, text: str) -> bool | None:
        """Whether it stands anywhere in the text; None where the search was given up."""
        return None if len(text) > LONGEST_TEXT else self._search(text if self.exact else unaccented(text))

    def _search(self, text: str) -> bool | None:
        try:
            return self._compiled.search(text) is not None
        except UnicodeEncodeError:  # a lone surrogate, which PCRE2 does not take
            return self._search(text.encode("utf-8", "replace").decode())
        except pcre2.LibraryError as failure:
            if failure.code not in _GAVE_UP:
                raise
            return None


@lru_cache(maxsize=1024)
def pattern(written: str, *, exact: bool = False) -> Pattern:
    """Unless `exact`, neither case nor accents count, in the pattern nor in the text. BadPattern says what is wrong."""
    if len(written) > LONGEST_PATTERN:
        raise BadPattern(f"it has {len(written):,} characters, and {LONGEST_PATTERN:,} are the most")
    tree = _parsed(written, 0) if exact else _parsed(unaccented(written), re.IGNORECASE)
    if _deeper(tree, _DEEPEST):
        raise BadPattern("it is nested too deeply")
    flags = int(tree.state.flags)
    kept = frozenset(_referred(tree))
    parts = [_Written(flags, kept).of(node) for node in _begun_late(list(tree))]
    where = "" if parts[:1] == [_START] else _ANYWHERE
    translated = f"{_LIMITS}{where}(?:{'(?i)' if flags & re.IGNORECASE else ''}{''.join(parts)})"
    try:
        return Pattern(exact, pcre2.compile(translated, jit=False))
    except pcre2.LibraryError as failure:
        told = str(failure).rpartition("; ")[2]
        raise BadPattern(f"it cannot be looked for at a bounded cost: {told}") from None


def unaccented(raw: str) -> str:
    """Without accents, case kept; nothing else changes, so a regular expression stays one."""
    return without_marks(unicodedata.normalize("NFD", raw))


def without_marks(decomposed: str) -> str:
    """What is left of decomposed text when its combining marks are gone."""
    return "".join(char for char in decomposed if not unicodedata.combining(char))


def _parsed(written: str, flags: int) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what will mean something else in a later Python is refused today
            re.compile(written, flags)  # finds more than the parser: a look back at something of no fixed length
            return _parser.parse(written, flags)
    except RecursionError:
        raise BadPattern("it is nested too deeply") from None
    except (re.error, OverflowError, Warning) as failure:
        raise BadPattern(str(failure)) from None


def _deeper(nodes: Iterable[_Node], levels: int) -> bool:
    return levels < 0 or any(_deeper(inner, levels - 1) for _, told in nodes for inner in _inner(told))


def _referred(nodes: Iterable[_Node]) -> Iterator[int]:
    """The groups that the pattern itself refers to; the others need not be kept, which saves memory."""
    for name, told in nodes:
        if str(name) == "GROUPREF":
            yield told
        if str(name) == "GROUPREF_EXISTS":
            yield told[0]
        for inner in _inner(told):
            yield from _referred(inner)


def _inner(told: Any) -> Iterator[Any]:
    if isinstance(told, _parser.SubPattern):
        yield told
    elif isinstance(told, list | tuple):
        for part in told:
            yield from _inner(part)


def _begun_late(nodes: list[_Node]) -> list[_Node]:
    """`.*x` is found where `x` is: what may repeat at the very beginning need not, and looking for it at every place is
    what takes long."""
    if nodes and str(nodes[0][0]) in ("MAX_REPEAT", "MIN_REPEAT"):
        name, (least, _, inner) = nodes[0]
        if not _groups(inner):
            first = [(name, (least, least, inner))] if least else []
            return first + nodes[1:] if least else _begun_late(nodes[1:])
    return nodes


def _groups(nodes: Iterable[_Node]) -> bool:
    return any(
        (str(name) == "SUBPATTERN" and told[0] is not None) or any(_groups(inner) for inner in _inner(told))
        for name, told in nodes
    )


_WORD, _ASCII_WORD = r"\p{L}\p{N}_", "A-Za-z0-9_"
_SPACE = r"\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"  # as str.isspace
_ASCII_SPACE = r"\t-\r\x20"
_CLASSES: Mapping[str, tuple[str, str]] = {  # (of Unicode, of ASCII)
    "WORD": (_WORD, _ASCII_WORD),
    "SPACE": (_SPACE, _ASCII_SPACE),
    "DIGIT": (r"\p{Nd}", "0-9"),
}
_DOTTED = frozenset(map(ord, "iIıİ"))  # one letter to Python where case does not count, and four to PCRE2


@dataclass(frozen=True, slots=True)
class _Written:
    """What Python parsed, as PCRE2 reads it. `flags`: those in force, as `re` numbers them."""

    flags: int
    kept: frozenset[int]  # the groups that are referred to

    def of(self, node: _Node) -> str:
        name, told = node
        return _WRITERS[str(name)](self, told)

    def all(self, nodes: Iterable[_Node]) -> str:
        return "".join(self.of(node) for node in nodes)

    def class_of(self, category: str) -> str:
        unicode, ascii_only = _CLASSES[category]
        return ascii_only if self.flags & re.ASCII else unicode

    def literal(self, code: int) -> str:
        return self.one_of([("LITERAL", code)]) if self._dotted(code, code) else _char(code)

    def _dotted(self, low: int, high: int) -> bool:
        folds = self.flags & re.IGNORECASE and not self.flags & re.ASCII
        return bool(folds) and any(low <= each <= high for each in _DOTTED)

    def one_of(self, told: Iterable[_Node]) -> str:
        """A set. What is not of a class (`\\W`) cannot stand in one, so then it is an alternative."""
        members: list[str] = []
        others: list[str] = []
        negated = False
        for name, value in ((str(name), value) for name, value in told):
            if name == "NEGATE":
                negated = True
            elif name == "CATEGORY":
                _, _, category = str(value).rpartition("CATEGORY_")
                plain = self.class_of(category.removeprefix("NOT_"))
                (others if category.startswith("NOT_") else members).append(plain)
            else:
                low, high = (value, value) if name == "LITERAL" else value
                members.append(_char(low) if low == high else f"{_char(low)}-{_char(high)}")
                members += ["iIıİ"] if self._dotted(low, high) else []
        alone = f"[{'^' * (negated and not others)}{''.join(members)}]" if members else ""
        if not others:
            return alone
        either = f"(?:{'|'.join([*([alone] if alone else []), *(f'[^{each}]' for each in others)])})"
        return f"(?:(?!{either})(?s:.))" if negated else either

    def group(self, told: Any) -> str:
        number, added, removed, nodes = told
        inner = _Written(self.flags & ~removed | added, self.kept)
        case = "" if not (added | removed) & re.IGNORECASE else "i:" if added & re.IGNORECASE else "-i:"
        body = f"(?{case}{inner.all(nodes)})" if case else f"(?:{inner.all(nodes)})"
        return f"({body})" if number in self.kept else body

    def renumbered(self, number: int) -> int:
        """The others do not count any more."""
        return sorted(self.kept).index(number) + 1

    def edge(self, told: Any) -> str:
        word, where, many = self.class_of("WORD"), str(told), bool(self.flags & re.MULTILINE)
        if where == "AT_BEGINNING_STRING" or (where == "AT_BEGINNING" and not many):
            return _START
        if where == "AT_BEGINNING":
            return r"(?:\A|(?<=\n))"
        if where == "AT_END":
            return r"(?=\n|\z)" if many else r"(?=\n?\z)"
        if where == "AT_END_STRING":
            return r"\z"
        same = f"(?:(?<=[{word}])(?=[{word}])|(?<![{word}])(?![{word}]))"
        other = f"(?:(?<=[{word}])(?![{word}])|(?<![{word}])(?=[{word}]))"
        return same if where == "AT_NON_BOUNDARY" else other

    def repeated(self, told: Any, manner: str) -> str:
        least, most, nodes = told
        upper = "" if most is _parser.MAXREPEAT else int(most)
        return f"(?:{self.all(nodes)}){{{int(least)},{upper}}}{manner}"

    def look(self, told: Any, sign: str) -> str:
        way, nodes = told
        return f"(?{'<' * (way < 0)}{sign}{self.all(nodes)})"

    def choice(self, told: Any) -> str:
        number, yes, no = told
        return f"(?({self.renumbered(number)}){self.all(yes)}|{self.all(no or ())})"


def _char(code: int) -> str:
    char = chr(code)
    return f"\\{char}" if char.isascii() and char.isprintable() and not char.isalnum() else char


_WRITERS: Mapping[str, Callable[[_Written, Any], str]] = {
    "LITERAL": lambda to, code: to.literal(code),
    "NOT_LITERAL": lambda to, code: to.one_of([("NEGATE", None), ("LITERAL", code)]),
    "ANY": lambda to, _: r"(?s:.)" if to.flags & re.DOTALL else r"[^\n]",
    "IN": lambda to, told: to.one_of(told),
    "AT": lambda to, told: to.edge(told),
    "BRANCH": lambda to, told: f"(?:{'|'.join(to.all(branch) for branch in told[1])})",
    "SUBPATTERN": lambda to, told: to.group(told),
    "ATOMIC_GROUP": lambda to, nodes: f"(?>{to.all(nodes)})",
    "MAX_REPEAT": lambda to, told: to.repeated(told, ""),
    "MIN_REPEAT": lambda to, told: to.repeated(told, "?"),
    "POSSESSIVE_REPEAT": lambda to, told: to.repeated(told, "+"),
    "ASSERT": lambda to, told: to.look(told, "="),
    "ASSERT_NOT": lambda to, told: to.look(told, "!"),
    "GROUPREF": lambda to, number: f"(?:\\g{{{to.renumbered(number)}}})",
    "GROUPREF_EXISTS": lambda to, told: to.choice(told),
    "FAILURE": lambda to, _: "(?!)",
}
