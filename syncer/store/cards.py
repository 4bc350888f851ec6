"""By what people look for a lead in a list: its name, address, owner and source, and the words that it is found by.

Derived from the mirror, so droppable: `syncer run --full` makes all of it anew. Kept where leads are scored, of those
that were read whole, and where a record changes its name or owner, which no rule need look at.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from sqlalchemy import ARRAY, BigInteger, Connection, Select, Text, delete, func, insert, literal, select, tuple_

from syncer.model import Lead
from syncer.store.sql import among, insert_new, upsert
from syncer.store.tables import LIVE, lead_cards, lead_words, records
from syncer.store.tables import leads as leads_table

MOST_WORDS = 12  # of a lead
LONGEST_WORD = 40  # characters
MOST_SOUGHT = 5  # words of a search
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
    _write(tx, {lead: made[lead] for lead in _as_read(tx, changed)}, known)


def _made(lead: Lead, source_field: str | None) -> Card:
    return card_of(lead.records, _text(lead.signals.fields.get(source_field)) if source_field else None)


def _as_read(tx: Connection, revisions: Mapping[int, int]) -> list[int]:
    """The leads that are still of these revisions, and stay so to the end of the transaction: somebody who has been
    erased meanwhile does not come back."""
    if not revisions:
        return []
    theirs = select(leads_table.c.id, leads_table.c.revision).where(among(tx, leads_table.c.id, sorted(revisions)))
    found = tx.execute(theirs.order_by(leads_table.c.id).with_for_update(read=True))
    return [lead for lead, revision in found if revision == revisions[lead]]


def retell(tx: Connection, lead_ids: Iterable[int]) -> None:
    """The records of these leads have changed. A lead without a card gets one when it is scored."""
    known = cards(tx, lead_ids)
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


def sought(text: str) -> tuple[str, ...]:
    """The beginnings of words that a search asks for; all of them must fit. What holds a dot or an @ stands for an
    address or for where it is."""
    found: dict[str, None] = {}
    for part in fold(text).split():
        part = part.strip(".,;:<>()\"'")
        whole = "@" in part or ("." in part and not part.replace(".", "").isdecimal())
        found |= dict.fromkeys([part] if whole else _PIECES.findall(part))
    return tuple(each[:LONGEST_WORD] for each in found)[:MOST_SOUGHT]


def _words_of(shown: Sequence[Face]) -> list[str]:
    found: dict[str, None] = {}
    for face in shown:
        found |= dict.fromkeys(_of_face(fold((face.name or "")[:LONGEST]), fold((face.email or "")[:LONGEST])))
    return list(dict.fromkeys(each[:LONGEST_WORD] for each in found if each))[:MOST_WORDS]


def _of_face(name: str, email: str) -> Iterator[str]:
    """The whole address, the words of name and address, and the domain with what it is a part of, down to two names:
    "mail.acme.es" and "acme.es". A domain is found by how it begins, so its last name alone is no word."""
    address = "".join(email.split())
    yield address
    yield from _PIECES.findall(name)
    local, _, domain = address.partition("@")
    yield from _PIECES.findall(local)
    labels = [each for each in domain.split(".") if each]
    yield from (".".join(labels[first:]) for first in range(max(len(labels) - 1, 0)))
    yield from (piece for label in labels[:-1] for piece in _PIECES.findall(label) if piece != label)


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
            tx.execute(insert(lead_words).from_select(["word", "lead_id"], _unnested(ordered)))
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
