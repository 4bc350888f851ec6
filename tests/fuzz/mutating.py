"""Valid texts and trees with a few things wrong with them, drawn by hypothesis: an edit says where and how, so what
makes trouble can be read off the example."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

_DEEP = 600  # brackets within brackets: more than some parsers take
_MANY = 300
_MOST_PARTS = 10_000  # that copies may add to a tree
_LONG = "ñ" * 70_000
JUNK: Sequence[Any] = (
    None, True, False, 0, -1, 7, 1.5, -0.0, 1e308, float("inf"), float("nan"), 2**31, 2**63, 10**30, -(10**30),
    "", " ", "x", "0", "-1", "1e999", "9" * 30, "²", "٣", "NaN", "null", "no", "\x00", "\ufeff", "\u202e", "\ud800",
    "é́" * 9, "2026-13-45T99:99:99Z", "9999-12-31T23:59:59.999Z", "0001-01-01T00:00:00+14:00", "2026-11-03",
    "24:00", _LONG, 253_402_300_800_000, -62_135_596_800_001, "=1+1", "<b>", "../../etc/hosts", "https://[", "a@b@c",
    "${CRM_TOKEN}", "${", "${file:/dev/zero}", "(a+)+$", "[" * 99, "{{ 7 }}", "%s", "\r\nX: y", [], {}, [[]], [None],
    [7], ["x"], [{}], {"": ""}, {"id": []}, {"x": None}, {"results": 5}, [[[[[[[]]]]]]],
)  # fmt: skip
PIECES: Sequence[bytes] = (
    b"", b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"\xed\xa0\x80", b"\xc3", b"\n", b"\r", b"\t", b" ", b'"',
    b"'", b"[", b"]", b"{", b"}", b":", b",", b";", b"-", b"&a ", b"*a", b"<<: *a", b"!!python/object:os.system ",
    b"!!binary ",
    b"%YAML 1.1\n---\n", b"---\n", b"...\n", b"? ", b"| \n", b">", b"#", b"@", b"`", b"\\", b"\\u0000", b"\\ud800",
    b"%00", b"NaN", b"1e999", b"0x7", b"012:30", b"9" * 400, b"(" * 200, b"[" * _DEEP, b"{a: " * _DEEP,
    b'{"a":' * _DEEP, b"<!DOCTYPE x [<!ENTITY a 'b'>]>", b"${CRM_TOKEN}", b"${", b"\xe2\x80\xae", b"=1+1", b"\x1b[2J",
    b"a" * 70_000,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Edit:
    """One thing that is done to a text or a tree; `place` is counted round and round."""

    deed: str
    place: int
    piece: int

    def __repr__(self) -> str:
        return f"{self.deed}@{self.place}#{self.piece}"


Edits = tuple[Edit, ...]


def edits_of(deeds: Mapping[str, Any], most: int = 3) -> st.SearchStrategy[Edits]:
    numbers = st.integers(0, 100_000)
    return st.lists(st.builds(Edit, st.sampled_from(sorted(deeds)), numbers, numbers), min_size=1, max_size=most).map(
        tuple
    )


# Texts, as bytes.


def _cut(raw: bytes, at: int, _piece: int) -> bytes:
    return raw[:at]


def _drop(raw: bytes, at: int, piece: int) -> bytes:
    return raw[:at] + raw[at + 1 + piece % 40 :]


def _put(raw: bytes, at: int, piece: int) -> bytes:
    return raw[:at] + PIECES[piece % len(PIECES)] + raw[at:]


def _instead(raw: bytes, at: int, piece: int) -> bytes:
    new = PIECES[piece % len(PIECES)]
    return raw[:at] + new + raw[at + max(len(new), 1) :]


def _flip(raw: bytes, at: int, piece: int) -> bytes:
    return raw[:at] + bytes([raw[at] ^ (1 << piece % 8)]) + raw[at + 1 :] if at < len(raw) else raw


def _again(raw: bytes, at: int, piece: int) -> bytes:
    end = at + 1 + piece % 80
    return raw[:end] + raw[at:end] * (piece % _MANY) + raw[end:]


def _elsewhere(raw: bytes, at: int, piece: int) -> bytes:
    end, there = at + 1 + piece % 80, piece % (len(raw) + 1)
    return raw[:there] + raw[at:end] + raw[there:]


def _recoded(raw: bytes, _at: int, piece: int) -> bytes:
    name = ("utf-16", "utf-32-be", "cp1252", "utf-7", "utf-8-sig")[piece % 5]
    return raw.decode("utf-8", "replace").encode(name, "replace")


TEXT_DEEDS: Mapping[str, Callable[[bytes, int, int], bytes]] = {
    "cut": _cut, "drop": _drop, "put": _put, "instead": _instead, "flip": _flip, "again": _again,
    "elsewhere": _elsewhere, "recoded": _recoded,
}  # fmt: skip
TEXT_EDITS = edits_of(TEXT_DEEDS)


def bent_text(raw: bytes, edits: Edits) -> bytes:
    for edit in edits:
        raw = TEXT_DEEDS[edit.deed](raw, edit.place % (len(raw) + 1), edit.piece)
    return raw


# Trees of what JSON and YAML have.


def _gone(holder: Any, name: Any, _piece: int) -> None:
    del holder[name]


def _other(holder: Any, name: Any, piece: int) -> None:
    holder[name] = copy.deepcopy(JUNK[piece % len(JUNK)])


def _nested(holder: Any, name: Any, piece: int) -> None:
    for _ in range((1, 2, 30, _DEEP)[piece % 4]):
        holder[name] = [holder[name]] if piece % 8 < 4 else {"a": holder[name]}


def _many(holder: Any, name: Any, piece: int) -> None:
    copies = min(piece % _MANY, _MOST_PARTS // (1 + sum(1 for _ in _places([holder[name]]))))
    if isinstance(holder, list):
        holder.extend([holder[name]] * copies)
    else:
        holder.update({f"{name}{number}": holder[name] for number in range(copies)})


def _renamed(holder: Any, name: Any, piece: int) -> None:
    if isinstance(holder, dict):
        holder[f"{JUNK[piece % len(JUNK)]}"[:99]] = holder.pop(name)
    else:
        holder.reverse()


def _as_text(holder: Any, name: Any, _piece: int) -> None:
    holder[name] = str(holder[name])


def _neighbour(holder: Any, name: Any, piece: int) -> None:
    others = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
    holder[name] = copy.deepcopy(holder[others[piece % len(others)]])


TREE_DEEDS: Mapping[str, Callable[[Any, Any, int], None]] = {
    "gone": _gone, "other": _other, "nested": _nested, "many": _many, "renamed": _renamed, "as text": _as_text,
    "neighbour": _neighbour,
}  # fmt: skip
TREE_EDITS = edits_of(TREE_DEEDS)


def bent_tree(tree: Any, edits: Edits) -> Any:
    whole = [copy.deepcopy(tree)]
    with _room_for_depth():
        for edit in edits:
            if not whole:
                break
            places = list(_places(whole))
            holder, name = places[edit.place % len(places)]
            TREE_DEEDS[edit.deed](holder, name, edit.piece)
    return whole[0] if whole else None


@contextmanager
def _room_for_depth() -> Iterator[None]:
    """To copy and to write what is nested more deeply than anybody else may need to read it."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every part: what holds it, and under which name or number. Without recursion: edits make trees deep."""
    waiting = [tree]
    while waiting:
        holder = waiting.pop()
        for name in list(holder) if isinstance(holder, dict) else range(len(holder)):
            yield holder, name
            if isinstance(holder[name], dict | list):
                waiting.append(holder[name])


def as_json(tree: Any) -> bytes:
    """Also of what JSON does not have: numbers of any size, and no number at all."""
    with _room_for_depth():
        return json.dumps(tree, default=str, skipkeys=True).encode()
