"""By what people look for a lead in a list: its name, address, owner and source, and the words that it is found by.

Derived from the mirror, so droppable: `syncer run --full` makes all of it anew. Kept where leads are scored, of those
that were read whole, and where a record changes its name or owner, which no rule need look at.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from sqlalchemy import ARRAY, BigInteger, Connection, Select, Text, delete, func, literal, select, tuple_

from syncer.model import Lead
from syncer.store.sql import among, insert, insert_new, upsert
from syncer.store.tables import LIVE, lead_cards, lead_words, records
from syncer.store.tables import leads as leads_table

MOST_WORDS = 12  # of a lead
LONGEST_WORD = 40  # characters
MOST_SOUGHT = 5  # terms of a search
MOST_APART = 3  # pieces of one of them
LONGEST = 200  # characters of what is shown; PostgreSQL indexes no more than some 2,700 bytes

_PIECES = re.compile(r"[^\W_]+")
_AT_ONCE = 500  # words deleted by one statement of SQLite, which binds each of them


class Card(NamedTuple):
    """`name_key`: the name, else the address, as it is sorted by. `words`: separated by blanks."""

    name: str | None
    name_key: str
    email: str | None
    owner: str | None
    source: str | None
    words: str


class Term(NamedTuple):
    """A part of a search. A lead fits in which `whole` begins a word, or else each of the pieces does, if there are
    any."""

    whole: str
    pieces: tuple[str, ...] = ()

    def fits(self, words: Collection[str]) -> bool:
        apart = bool(self.pieces) and all(_begins_one(each, words) for each in self.pieces)
        return apart or _begins_one(self.whole, words)


class Face(Protocol):
    """What a record shows of who it is."""

    @property
    def name(self) -> str | None: ...
    @property
    def email(self) -> str | None: ...
    @property
    def owner(self) -> str | None: ...


def keep(tx: Connection, leads: Sequence[Lead], source_field: str | None) -> None:
    """Keep the cards of leads as they were read whole; `source_field` is the field that says where they came from. Only
    what differs is written; a lead that something has happened to since comes with the next run."""
    made = {lead.id: _made(lead, source_field) for lead in leads if lead.records}
    known = cards(tx, made)
    changed = {lead.id: lead.revision for lead in leads if lead.id in made and made[lead.id] != known.get(lead.id)}
    now = _held(tx, changed)
    as_read = [lead for lead, revision in changed.items() if now.get(lead) == revision]
    # Who was given another name since they were read is of the same revision: no rule looks at names.
    shown = _faces(tx, as_read)
    _write(tx, {lead: card_of(faces, made[lead].source) for lead, faces in shown.items()}, known)


def _made(lead: Lead, source_field: str | None) -> Card:
    return card_of(lead.records, _text(lead.signals.fields.get(source_field)) if source_field else None)


def _held(tx: Connection, lead_ids: Iterable[int]) -> Mapping[int, int]:
    """Lead -> its revision, of those there still are: to the end of the transaction nobody else changes them, or their
    cards. Until then their names may change, of which a card that is made meanwhile would know nothing."""
    theirs = select(leads_table.c.id, leads_table.c.revision).where(among(tx, leads_table.c.id, sorted(lead_ids)))
    return dict(iter(tx.execute(theirs.order_by(leads_table.c.id).with_for_update(key_share=True))))


def retell(tx: Connection, lead_ids: Collection[int]) -> None:
    """The records of these leads have changed. A lead without a card gets one when it is scored."""
    known = cards(tx, _held(tx, lead_ids)) if lead_ids else {}
    if not known:
        return
    made = {lead: card_of(shown, known[lead].source) for lead, shown in _faces(tx, known).items()}
    _write(tx, made, known)


def forget(tx: Connection, lead_ids: Iterable[int]) -> tuple[int, int]:
    """Their cards go, and their words: how many of either."""
    known = cards(tx, lead_ids)
    words = _drop(tx, [(word, lead) for lead, card in known.items() for word in card.words.split()])
    gone = tx.execute(delete(lead_cards).where(among(tx, lead_cards.c.lead_id, sorted(known)))).rowcount
    return gone, words


def cards(tx: Connection, lead_ids: Iterable[int]) -> dict[int, Card]:
    """Lead -> card, of those that have one."""
    asked = sorted(lead_ids)
    if not asked:
        return {}
    columns = (lead_cards.c.lead_id, *(lead_cards.c[name] for name in Card._fields))
    found = tx.execute(select(*columns).where(among(tx, lead_cards.c.lead_id, asked)))
    return {lead: Card(*values) for lead, *values in found}


def card_of(shown: Sequence[Face], source: str | None) -> Card:
    """Of a lead's live records, the newest first. What the newest does not tell an older one may."""
    name, email, owner = (_first(shown, what) for what in ("name", "email", "owner"))
    return Card(name, fold(name or email or "")[:LONGEST], email, owner, source, " ".join(_words_of(shown)))


def fold(text: str) -> str:
    """As texts are compared: in small letters and without accents."""
    if text.isascii():
        return text.lower()
    apart = unicodedata.normalize("NFKD", text.casefold())
    return "".join(each for each in apart if not unicodedata.combining(each)).casefold()


def sought(text: str) -> tuple[Term, ...]:
    """What a search asks for; all of it must fit. What holds an @ is the beginning of an address. What holds a dot may
    be one, or where an address is, or a name as it is written: "J.R. Tolkien", "Nova S.L."."""
    found: dict[Term, None] = {}
    for part in fold(text).split():
        part = part.strip(".,;:<>()\"'").lstrip("@")
        pieces = [each[:LONGEST_WORD] for each in _PIECES.findall(part)]
        if "@" in part:
            found[Term(part[:LONGEST_WORD])] = None
        elif "." in part and len(pieces) > 1 and not part.replace(".", "").isdecimal():
            found[Term(part[:LONGEST_WORD], tuple(pieces[:MOST_APART]))] = None
        else:
            found |= dict.fromkeys(map(Term, pieces))
    return tuple(found)[:MOST_SOUGHT]


def openly(tx: Connection, lead_ids: Collection[int], terms: Sequence[Term]) -> set[int]:
    """Those of the leads that are found without a part of an address: by their names, by where an address is, or by a
    whole one. Who could ask for parts would learn each letter that is not shown."""
    shown = _faces(tx, lead_ids) if lead_ids else {}
    return {lead for lead, faces in shown.items() if all(_is_open(each, faces) for each in terms)}


def _is_open(term: Term, shown: Sequence[Face]) -> bool:
    words = {each[:LONGEST_WORD] for face in shown for each in _open_words(face)}
    return term.fits(words) or any(term.whole == _address(face) for face in shown)


def _open_words(face: Face) -> Iterator[str]:
    name = " ".join(part for part in _name(face).split() if "@" not in part)  # some are called by their address
    yield from _PIECES.findall(name)
    yield from _of_domain(_address(face).partition("@")[2])


def _begins_one(beginning: str, words: Iterable[str]) -> bool:
    return any(word.startswith(beginning) for word in words)


def _words_of(shown: Sequence[Face]) -> list[str]:
    found: dict[str, None] = {}
    for face in shown:
        found |= dict.fromkeys(_of_face(face))
    return list(dict.fromkeys(each[:LONGEST_WORD] for each in found if each))[:MOST_WORDS]


def _of_face(face: Face) -> Iterator[str]:
    """The whole address, the words of name and address, and the domain with what it is a part of."""
    address = _address(face)
    yield address
    yield from _PIECES.findall(_name(face))
    local, _, domain = address.partition("@")
    yield from _PIECES.findall(local)
    yield from _of_domain(domain)


def _of_domain(domain: str) -> Iterator[str]:
    """Down to two names: "mail.acme.es" and "acme.es". A domain is found by how it begins, so its last name alone is no
    word."""
    labels = [each for each in domain.split(".") if each]
    yield from (".".join(labels[first:]) for first in range(max(len(labels) - 1, 0)))
    yield from (piece for label in labels[:-1] for piece in _PIECES.findall(label) if piece != label)


def _name(face: Face) -> str:
    return fold((face.name or "")[:LONGEST])


def _address(face: Face) -> str:
    return "".join(fold((face.email or "")[:LONGEST]).split())


def _first(shown: Sequence[Face], what: str) -> str | None:
    return _text(next((told for face in shown if (told := getattr(face, what))), None))


def _text(value: Any) -> str | None:
    return None if value is None or value == "" else str(value)[:LONGEST]


def _faces(tx: Connection, lead_ids: Iterable[int]) -> Mapping[int, Sequence[Face]]:
    """Lead -> its live records, in the order in which leads are read."""
    columns = [records.c[name] for name in ("lead_id", "name", "email", "owner")]
    newest_first = (records.c.lead_id, records.c.modified_at.desc(), records.c.object, records.c.id)
    shown: Select[Any] = select(*columns).where(among(tx, records.c.lead_id, sorted(lead_ids)), LIVE)
    found: dict[int, list[Any]] = defaultdict(list)
    for row in tx.execute(shown.order_by(*newest_first)):
        found[row.lead_id].append(row)
    return found


def _write(tx: Connection, made: Mapping[int, Card], known: Mapping[int, Card]) -> None:
    changed = {lead: card for lead, card in made.items() if known.get(lead) != card}
    before = {lead: set(known[lead].words.split()) for lead in changed if lead in known}
    after = {lead: card.words.split() for lead, card in changed.items()}
    _drop(tx, [(word, lead) for lead, words in before.items() for word in words.difference(after[lead])])
    new = [(word, lead) for lead, words in after.items() for word in words if word not in before.get(lead, ())]
    upsert(tx, lead_cards, [{"lead_id": lead, **card._asdict()} for lead, card in changed.items()])
    _add(tx, new)


def _add(tx: Connection, words: Sequence[tuple[str, int]]) -> None:
    """In the order of the table: neighbours stand in the same pages."""
    ordered = sorted(words)
    if tx.dialect.name == "postgresql":
        if ordered:  # row by row it would take twenty times as long
            new = insert(tx, lead_words).from_select(["word", "lead_id"], _unnested(ordered))
            tx.execute(new.on_conflict_do_nothing())
        return
    insert_new(tx, lead_words, [{"word": word, "lead_id": lead} for word, lead in ordered])


def _unnested(words: Sequence[tuple[str, int]]) -> Select[Any]:
    texts, leads = (list(each) for each in zip(*words, strict=True))
    pairs = func.unnest(literal(texts, ARRAY(Text())), literal(leads, ARRAY(BigInteger())))
    each = pairs.table_valued("word", "lead_id").render_derived()
    return select(each.c.word, each.c.lead_id)


def _drop(tx: Connection, words: Sequence[tuple[str, int]]) -> int:
    """How many there were."""
    gone = 0
    for first in range(0, len(words), _AT_ONCE):
        these = tuple_(lead_words.c.word, lead_words.c.lead_id).in_(words[first : first + _AT_ONCE])
        gone += tx.execute(delete(lead_words).where(these)).rowcount
    return gone
