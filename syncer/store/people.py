"""`same_person: email`: records that show one e-mail address, in whatever connection, are one lead.

Two records of a lead belong together where one was merged into the other, or where both are live and show the same
address. A record that nothing ties to its lead any more gets a lead of its own; leads that show one address are joined,
and the oldest remains, with its home: the connection whose runs decide it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, exists, func, insert, literal, select, text, update

from syncer.model import Cause, Record, RecordKey
from syncer.store import words
from syncer.store.arrivals import Arrival
from syncer.store.columns import Instant
from syncer.store.merging import DECIDED, join, roots
from syncer.store.records import leads_of
from syncer.store.sql import among, keys_among
from syncer.store.sql import insert as insert_or
from syncer.store.tables import LIVE, RECORD_KEY, connections, handoffs, installations, leads, past_members, records
from syncer.store.touching import BITS, Touches, no_touches, touch

_PATIENCE_S = 900
_STANDING = (*DECIDED, "episode", "override_until")
"""What both halves of a lead that was split go on from."""


@dataclass(frozen=True, slots=True)
class _Face:
    """What of a record tells whose it is."""

    key: RecordKey
    lead: int
    live: bool
    email: str | None  # as it is compared; None: it shows none, or is not live
    absorber: RecordKey | None


@dataclass(frozen=True, slots=True)
class _Leaving:
    """Records that leave their lead together, and what stands of it."""

    lead: Any  # its row
    faces: Sequence[_Face]

    @property
    def home(self) -> str:
        return min(face.key.connection for face in self.faces if face.live)


def lock(tx: Connection) -> None:
    """Hold everybody's leads to the end of the transaction: runs of several connections join and decide the same ones,
    on PostgreSQL at the same time. Applying the first plan of a large base may hold it for minutes."""
    if tx.dialect.name == "postgresql":
        tx.execute(text(f"SET LOCAL lock_timeout = '{_PATIENCE_S}s'"))
    tx.execute(select(installations.c.id).with_for_update())


Addresses = Mapping[RecordKey, str]
"""Record -> its address as it is compared; records that are not live, or show none, are absent."""


def addresses(tx: Connection, keys: Iterable[RecordKey]) -> Addresses:
    """Of the records that are mirrored."""
    shown = select(*RECORD_KEY, records.c.email_key).where(LIVE, records.c.email_key.is_not(None))
    return {RecordKey(*row[:3]): row.email_key for row in tx.execute(shown.where(keys_among(tx, RECORD_KEY, keys)))}


def gather(tx: Connection, before: Addresses, stored: Sequence[Record], arrival: Arrival, touches: Touches) -> None:
    """Split and join the leads of the records just stored, until each shows one address at most, and each address is
    shown by one lead. What they showed `before`, and what is history, is nobody's news."""
    if not stored:
        return
    faces = _faces(tx, set(leads_of(tx, [record.key for record in stored]).values()))
    _split(tx, faces, touches, BITS["profile"] | (BITS["baseline"] if arrival.history else 0), arrival.at)
    same_address = _leads_showing(tx, {face.email for face in faces if face.email is not None})
    joins = roots((lead, min(same)) for same in same_address.values() for lead in sorted(same)[1:])
    brought = {record.key for record in stored if not arrival.history}
    new = {face.email for face in faces if face.key in brought and face.email != before.get(face.key)}
    news = {lead for email, same in same_address.items() if email in new for lead in same}
    _join(tx, {lead: remaining for lead, remaining in joins.items() if lead in news}, arrival, touches, "merge")
    _join(tx, {lead: remaining for lead, remaining in joins.items() if lead not in news}, arrival, touches, "baseline")


def _leads_showing(tx: Connection, emails: Collection[str]) -> Mapping[str, Sequence[int]]:
    if not emails:
        return {}
    showing = select(records.c.email_key, records.c.lead_id).where(among(tx, records.c.email_key, emails), LIVE)
    found: dict[str, list[int]] = defaultdict(list)
    for email, lead in tx.execute(showing.distinct()):
        found[email].append(lead)
    return found


def _join(tx: Connection, joins: Mapping[int, int], arrival: Arrival, touches: Touches, cause: Cause) -> None:
    if joins:
        join(tx, joins, touches, literal(arrival.at, Instant), cause)
        words.settle(tx, set(joins.values()), arrival.at)


def separate(tx: Connection, at: datetime) -> None:
    """Where addresses tie nothing together any more: every record that no merge holds is a lead of its own again. That
    is the project file's doing, so nobody is told of what follows from it alone."""
    several = select(records.c.lead_id).where(LIVE).group_by(records.c.lead_id).having(func.count() > 1)
    faces = _faces(tx, set(tx.execute(several).scalars()))
    touches = no_touches()
    _split(tx, [replace(face, email=None) for face in faces], touches, BITS["profile"] | BITS["baseline"], at)
    touch(tx, touches)


def rehome(tx: Connection, connection: str, project: Collection[str]) -> int:
    """Take over the leads whose home has left the project and of which `connection` has a live record; how many."""
    gone = set(tx.execute(select(connections.c.name)).scalars()) - set(project)
    if not gone:
        return 0
    ours = exists().where(records.c.lead_id == leads.c.id, records.c.connection == connection, LIVE)
    homeless = update(leads).where(among(tx, leads.c.connection, sorted(gone)), leads.c.live.is_(True), ours)
    return tx.execute(homeless.values(connection=connection, revision=leads.c.revision + 1)).rowcount


def living_elsewhere(tx: Connection, connection: str, touches: Touches) -> dict[int, str]:
    """Lead -> its home, of the touched ones whose home is another connection."""
    touched = sorted(lead for lead, bits in touches.items() if bits)
    if not touched:
        return {}
    homes = select(leads.c.id, leads.c.connection).where(among(tx, leads.c.id, touched))
    return dict(iter(tx.execute(homes.where(leads.c.connection != connection))))


def _faces(tx: Connection, lead_ids: Collection[int]) -> list[_Face]:
    """Of all records of these leads."""
    found = tx.execute(
        select(
            *(*RECORD_KEY, records.c.lead_id, records.c.deleted),
            *(records.c.email_key, records.c.merged_object, records.c.merged_into),
        )
        .where(among(tx, records.c.lead_id, sorted(lead_ids)))
        .order_by(records.c.lead_id, *RECORD_KEY)
    )
    return [_face(*row) for row in found]


def _face(*row: Any) -> _Face:
    connection, kind, record_id, lead, deleted, email, merged_object, merged_into = row
    absorber = None if merged_into is None else RecordKey(connection, merged_object, merged_into)
    live = not deleted and absorber is None
    return _Face(RecordKey(connection, kind, record_id), lead, live, email if live else None, absorber)


def _split(tx: Connection, faces: Iterable[_Face], touches: Touches, bits: int, at: datetime) -> None:
    """Give whatever nothing ties to its lead any more a lead of its own, which goes on from where the lead stood."""
    by_lead: dict[int, list[_Face]] = defaultdict(list)
    for face in faces:
        by_lead[face.lead].append(face)
    apart = {lead: pieces for lead, theirs in by_lead.items() if len(pieces := _pieces(theirs)) > 1}
    if not apart:
        return
    rows = tx.execute(select(leads).where(among(tx, leads.c.id, sorted(apart))).order_by(leads.c.id).with_for_update())
    leaving = [_Leaving(row, piece) for row in rows for piece in _after_the_first(apart[row.id], row.connection)]
    for each, lead in zip(leaving, _new_leads(tx, leaving), strict=True):
        _move(tx, each, lead, at)
        touches[each.lead.id] |= bits
        touches[lead] |= bits


def _pieces(faces: Sequence[_Face]) -> list[list[_Face]]:
    """The records of one lead, those that belong together side by side; what has no live record stays where it is."""
    merged = [(face.key, face.absorber) for face in faces if face.absorber is not None]
    alike = [(face.key, RecordKey("", "", face.email)) for face in faces if face.email is not None]
    root_of = roots([*merged, *alike])
    pieces: dict[RecordKey, list[_Face]] = defaultdict(list)
    for face in faces:
        pieces[root_of.get(face.key, face.key)].append(face)
    return [piece for piece in pieces.values() if any(face.live for face in piece)]


def _after_the_first(pieces: Sequence[list[_Face]], home: str) -> list[list[_Face]]:
    """All but the one that keeps the lead: one that the home shows, the largest of these."""

    def rank(piece: list[_Face]) -> tuple[bool, int, RecordKey]:
        return all(face.key.connection != home for face in piece if face.live), -len(piece), piece[0].key

    return sorted(pieces, key=rank)[1:]


def _new_leads(tx: Connection, leaving: Sequence[_Leaving]) -> list[int]:
    rows = [{"connection": each.home, **{name: getattr(each.lead, name) for name in _STANDING}} for each in leaving]
    made = insert(leads).returning(leads.c.id, sort_by_parameter_order=True)
    return list(tx.execute(made, rows).scalars())


def _move(tx: Connection, leaving: _Leaving, lead: int, at: datetime) -> None:
    """From now on the records are another lead's, and so are the hand-offs in which they were named; a person's last
    word on the lead holds for both halves. The moves of the past stay with the lead that made them."""
    for face in leaving.faces:
        connection, kind, record_id = face.key
        its_row = (records.c.connection == connection, records.c.object == kind, records.c.id == record_id)
        left = select(*RECORD_KEY, literal(at, Instant), records.c.lead_id, records.c.joined_at).where(*its_row)
        names = ("connection", "object", "record_id", "until", "lead_id", "joined_at")
        tx.execute(insert_or(tx, past_members).from_select(names, left).on_conflict_do_nothing())
        tx.execute(update(records).where(*its_row).values(lead_id=lead, joined_at=at))
        named = (handoffs.c.connection == connection, handoffs.c.object == kind, handoffs.c.record_id == record_id)
        tx.execute(update(handoffs).where(handoffs.c.lead_id == leaving.lead.id, *named).values(lead_id=lead))
    words.share(tx, leaving.lead.id, lead, [face.key for face in leaving.faces], at)
