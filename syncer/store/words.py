"""What people say of a lead's stage, as rows: at most one word of a lead is open, the one that was spoken last.

A word in a field of the CRM is heard when the field comes to say something else than was stored of it. The same text
seen again is no new word, so what people have said otherwise since stands over it. When that has ended, the field
speaks again (see `planning.hands_on`), unless somebody has given the lead back to the rules: `silence`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, exists, insert, or_, select, update

from syncer.model import Manual, Override, Record, RecordKey, somebody_in
from syncer.store.arrivals import Arrival
from syncer.store.sql import among, keys_among
from syncer.store.tables import LIVE, RECORD_KEY, leads, overrides, records
from syncer.store.touching import BITS, Touches

_NAMES = tuple(each.name for each in fields(Override))


@dataclass(frozen=True, slots=True)
class Spoken:
    """A field of a record that says something new. `manual` None: it says nothing any more."""

    record: RecordKey
    manual: Manual | None
    at: datetime  # by the CRM's clock: said no later than this


@dataclass(frozen=True, slots=True)
class Held:
    """A lead that a person holds."""

    lead: int
    automatic: str | None  # where the rules would have it; None: not decided yet
    word: Override


@dataclass(frozen=True, slots=True)
class _Open:
    """An open word as it is stored."""

    row: int
    said: Override
    record: str | None  # in whose field it was said; None: elsewhere


def manual_of(stored: Mapping[str, Any] | None) -> Manual | None:
    """Of a record's column `manual`."""
    if stored is None:
        return None
    until = stored["until"]
    return Manual(**{**stored, "until": datetime.fromisoformat(until) if until else None})


def same_text(one: Manual, other: Manual) -> bool:
    """Whether they say the same, by whomever: a CRM may not tell that every time, and whoever saves a workbook signs
    all of it."""
    return replace(one, author=None, cleared=False) == replace(other, author=None, cleared=False)


def spoken(before: Record | None, after: Record) -> Spoken | None:
    """What the record's field says that it did not say before. One that another record absorbed goes on saying what it
    said: it is the same person's. One that is gone says nothing, but its text is known should it come back."""
    if after.merged_into is not None:
        return None
    known = before.manual if before is not None and before.merged_into is None else None
    if after.deleted:
        was_said = before is not None and not before.deleted and known is not None
        return Spoken(after.key, None, after.modified_at) if was_said else None
    return None if known == after.manual else Spoken(after.key, after.manual, after.modified_at)


def is_open(now: datetime) -> ColumnElement[bool]:
    """The words that have not ended by then."""
    return or_(overrides.c.until.is_(None), overrides.c.until > now)


def spoken_last(now: datetime) -> tuple[ColumnElement[Any], ...]:
    """The order in which the word that counts comes last: an open one after those that have ended, then the latest."""
    return is_open(now), overrides.c.since, overrides.c.id


def newest(tx: Connection, of: Iterable[int], now: datetime) -> dict[int, Override]:
    """Lead -> the last word anybody said on its stage, whether or not it has ended by then."""
    found = tx.execute(
        select(overrides).where(among(tx, overrides.c.lead_id, of)).order_by(overrides.c.lead_id, *spoken_last(now))
    )
    return {row.lead_id: _override(row) for row in found}


def lock(tx: Connection, of: Iterable[int]) -> None:
    """Nobody else speaks on these leads to the end of the transaction: two words at once would both stay open."""
    tx.execute(select(leads.c.id).where(among(tx, leads.c.id, of)).order_by(leads.c.id).with_for_update()).all()


def hear(
    tx: Connection, told: Sequence[Spoken], lead_of: Mapping[RecordKey, int], arrival: Arrival, touches: Touches
) -> None:
    """Make what fields say the leads' words. What was said before a word that is open already has ended as that one
    began; a date that is past ends what the field said before."""
    if not told:
        return
    lock(tx, {lead_of[each.record] for each in told if each.record in lead_of})
    repeated = _repeated(tx, told)
    for record, manual in repeated.items():
        _keep(tx, record, manual)
    fresh = [each for each in told if each.record in lead_of and each.record not in repeated]
    for turn in _turns(sorted(fresh, key=lambda each: (each.at, each.record)), lead_of):
        for lead in _hear_one_of_each(tx, turn, arrival):
            touches[lead] |= BITS["override"] | (BITS["baseline"] if arrival.history else 0)


def _turns(told: Sequence[Spoken], lead_of: Mapping[RecordKey, int]) -> Iterator[dict[int, Spoken]]:
    """Of each lead one after the other."""
    rest = list(told)
    while rest:
        turn: dict[int, Spoken] = {}
        for each in rest:
            turn.setdefault(lead_of[each.record], each)
        yield turn
        heard = {each.record for each in turn.values()}
        rest = [each for each in rest if each.record not in heard]


def _hear_one_of_each(tx: Connection, turn: Mapping[int, Spoken], arrival: Arrival) -> list[int]:
    """The leads that somebody else decides now."""
    last = _last_open(tx, turn, arrival.at)
    living = _living(tx, last.values())
    new: list[dict[str, Any]] = []
    ends: list[tuple[int, datetime]] = []
    for lead, each in turn.items():
        word, before = _word(each, arrival.at), last.get(lead)
        if word is None:
            if before is not None and _was_said_in(before, each.record, living):
                ends.append((lead, arrival.at))
        elif before is not None and before.said.since > word.since:
            new.append(_row(lead, word, str(each.record), over_at=before.said.since))
        else:
            new.append(_row(lead, word, str(each.record)))
            ends.append((lead, word.since))
    end(tx, ends)
    _insert(tx, new)
    return [lead for lead, _ in ends]


def _word(each: Spoken, now: datetime) -> Override | None:
    """None: it has ended, or never was one."""
    manual = each.manual
    if manual is None or (manual.until is not None and manual.until <= now):
        return None
    author = manual.author or somebody_in(each.record.connection)
    return Override(manual.stage, author, manual.reason, "field", min(each.at, now), manual.until)


def _was_said_in(word: _Open, record: RecordKey, living: Collection[str]) -> bool:
    """Emptying a field takes back what was said there, or in a record that this one has taken the place of."""
    return word.record is not None and (word.record == str(record) or word.record not in living)


def _last_open(tx: Connection, of: Iterable[int], now: datetime) -> dict[int, _Open]:
    """Lead -> the word spoken last of those that are open."""
    found = tx.execute(
        select(overrides)
        .where(among(tx, overrides.c.lead_id, sorted(of)), is_open(now))
        .order_by(overrides.c.lead_id, *spoken_last(now))
    )
    return {row.lead_id: _Open(row.id, _override(row), row.record) for row in found}


def _override(row: Any) -> Override:
    return Override(**{name: getattr(row, name) for name in _NAMES})


def _living(tx: Connection, words: Iterable[_Open]) -> set[str]:
    """Those of the records, by name, that are live."""
    keys = [RecordKey(*each.record.split("/", 2)) for each in words if each.record is not None]
    if not keys:
        return set()
    living = select(*RECORD_KEY).where(keys_among(tx, RECORD_KEY, keys), LIVE)
    return {str(RecordKey(*row)) for row in tx.execute(living)}


def _repeated(tx: Connection, told: Iterable[Spoken]) -> dict[RecordKey, Manual]:
    """Records that say only what another one said that they have absorbed, as that one is known to have said it: a
    CRM's merge copies its fields."""
    says = {each.record: each.manual for each in told if each.manual is not None}
    if not says:
        return {}
    absorber = (records.c.connection, records.c.merged_object, records.c.merged_into)
    absorbed = select(*absorber, records.c.manual).where(
        records.c.merged_into.is_not(None), records.c.manual.is_not(None), keys_among(tx, absorber, says)
    )
    found: dict[RecordKey, Manual] = {}
    for connection, kind, identity, stored in tx.execute(absorbed):
        key, manual = RecordKey(connection, kind, identity), manual_of(stored)
        if manual is not None and same_text(manual, says[key]):
            found[key] = manual
    return found


def forget_absorbed(tx: Connection, absorbed: Collection[RecordKey]) -> None:
    """What these said is no longer compared with, once what absorbed them was seen as it is since the merge: when it
    says the same later, somebody has chosen that anew."""
    if not absorbed:
        return
    survivor = records.alias()
    its_survivor = (
        (survivor.c.connection == records.c.connection)
        & (survivor.c.object == records.c.merged_object)
        & (survivor.c.id == records.c.merged_into)
    )
    is_new = exists().where(its_survivor, survivor.c.modified_at >= records.c.modified_at)
    theirs = (keys_among(tx, RECORD_KEY, absorbed), records.c.manual.is_not(None))
    tx.execute(update(records).where(*theirs, is_new).values(manual=None))


def silence(tx: Connection, of: Iterable[int]) -> list[RecordKey]:
    """The rules were given these leads back: what stands in fields of theirs says nothing until it is written anew.
    Returns the records of those fields."""
    silenced = [(key, manual) for _, key, manual in _filled(tx, of) if not manual.cleared]
    for key, manual in silenced:
        _keep(tx, key, replace(manual, cleared=True))
    return [key for key, _ in silenced]


def _filled(tx: Connection, of: Iterable[int]) -> list[tuple[int, RecordKey, Manual]]:
    """(lead, record, what its field says) of the leads' live records."""
    leads = sorted(of)
    if not leads:
        return []
    filled = (among(tx, records.c.lead_id, leads), LIVE, records.c.manual.is_not(None))
    found = tx.execute(select(records.c.lead_id, *RECORD_KEY, records.c.manual).where(*filled).order_by(*RECORD_KEY))
    stored = [(row[0], RecordKey(*row[1:4]), manual_of(row.manual)) for row in found]
    return [(lead, key, manual) for lead, key, manual in stored if manual is not None]


def _keep(tx: Connection, record: RecordKey, manual: Manual) -> None:
    tx.execute(update(records).where(keys_among(tx, RECORD_KEY, [record])).values(manual=manual))


def end(tx: Connection, ends: Sequence[tuple[int, datetime]]) -> None:
    """Of each lead whatever is open ends then."""
    if ends:
        lead: Any = bindparam("lead")
        at: Any = bindparam("at", type_=overrides.c.until.type)
        ended = update(overrides).where(overrides.c.lead_id == lead, is_open(at)).values(until=at)
        tx.execute(ended, [{"lead": its_lead, "at": its_end} for its_lead, its_end in ends])


def add(tx: Connection, new: Sequence[tuple[int, Override]]) -> None:
    """Words as they are decided: said elsewhere than in a field, or in a field that speaks again."""
    filled = _filled(tx, [lead for lead, word in new if word.source == "field"])
    _insert(tx, [_row(lead, word, _record_of(lead, word, filled)) for lead, word in new])


def _record_of(lead: int, word: Override, filled: Iterable[tuple[int, RecordKey, Manual]]) -> str | None:
    if word.source != "field":
        return None
    text = Manual(word.stage, word.reason, until=word.until)
    return next((str(key) for its_lead, key, manual in filled if its_lead == lead and same_text(manual, text)), None)


def _row(lead: int, word: Override, record: str | None, over_at: datetime | None = None) -> dict[str, Any]:
    """over_at: when it ended, if it was over before it was heard."""
    ends = [at for at in (word.until, over_at) if at is not None]
    said = {name: getattr(word, name) for name in _NAMES}
    return {"lead_id": lead, "record": record, **said, "until": min(ends, default=None), "planned_until": word.until}


def _insert(tx: Connection, new: Sequence[Mapping[str, Any]]) -> None:
    if new:
        tx.execute(insert(overrides), list(new))


def name_author(tx: Connection, lead: int, word: Override) -> None:
    """Who said this word of the lead, now that it is known."""
    this_one = (overrides.c.lead_id == lead, overrides.c.source == word.source, overrides.c.since == word.since)
    tx.execute(update(overrides).where(*this_one, overrides.c.stage == word.stage).values(author=word.author))
    filled = _filled(tx, [lead])
    record = _record_of(lead, word, filled)
    for _, key, manual in filled:
        if str(key) == record:
            _keep(tx, key, replace(manual, author=word.author))


def nameless_elsewhere(tx: Connection, connection: str, now: datetime) -> list[tuple[int, Override, RecordKey]]:
    """(lead, word, record) of words just said in the connection's fields, nobody knows by whom, on leads that another
    connection decides: that one cannot ask."""
    nameless = (overrides.c.author == somebody_in(connection), overrides.c.record.is_not(None), is_open(now))
    theirs = (leads.c.connection != connection, leads.c.touched.bitwise_and(BITS["override"]) != 0)
    found = tx.execute(select(overrides).join(leads, leads.c.id == overrides.c.lead_id).where(*nameless, *theirs))
    return [(row.lead_id, _override(row), RecordKey(*row.record.split("/", 2))) for row in found]


def settle(tx: Connection, joined: Collection[int], at: datetime) -> None:
    """Of leads that were joined the word spoken last stays open; the others end where it began."""
    for lead, word in _last_open(tx, joined, at).items():
        others = (overrides.c.lead_id == lead, overrides.c.id != word.row)
        tx.execute(update(overrides).where(*others, is_open(at)).values(until=word.said.since))


def share(tx: Connection, lead: int, other: int, leaving: Collection[RecordKey], at: datetime) -> None:
    """Records leave the lead for another one. The last word holds for both halves; one that stands in a field goes
    where the field is."""
    latest = [each.desc() for each in spoken_last(at)]
    row = tx.execute(select(overrides).where(overrides.c.lead_id == lead).order_by(*latest).limit(1)).first()
    if row is None:
        return
    word = _Open(row.id, _override(row), row.record)
    goes = word.record in {str(key) for key in leaving}
    if goes or word.record not in _living(tx, [word]):
        _insert(tx, [{**{name: value for name, value in row._mapping.items() if name != "id"}, "lead_id": other}])
    if goes:
        end(tx, [(lead, at)])


def erase(tx: Connection, keys: Iterable[RecordKey], reason: str, at: datetime) -> None:
    """What stood in the fields of these records is over, and nobody knows any more why it was said."""
    theirs = among(tx, overrides.c.record, [str(key) for key in keys])
    tx.execute(update(overrides).where(theirs).values(reason=reason))
    tx.execute(update(overrides).where(theirs, is_open(at)).values(until=at))


def all_of(tx: Connection, lead: int) -> list[Override]:
    """The oldest first."""
    found = tx.execute(select(overrides).where(overrides.c.lead_id == lead).order_by(overrides.c.id))
    return [_override(row) for row in found]


def known_at(tx: Connection, lead: int, at: datetime) -> list[Override]:
    """What had been said by then, the oldest first, with the ends that were known then: a word that was taken back
    later was to hold for longer."""
    said = (overrides.c.lead_id == lead, overrides.c.since <= at)
    return [
        replace(_override(row), until=row.until if row.until is not None and row.until <= at else row.planned_until)
        for row in tx.execute(select(overrides).where(*said).order_by(overrides.c.id))
    ]


def in_force(tx: Connection, now: datetime) -> list[Held]:
    """Every lead that a person holds; those of whom that ends first come first."""
    rows = tx.execute(
        select(overrides, leads.c.automatic)
        .join(leads, leads.c.id == overrides.c.lead_id)
        .where(leads.c.live.is_(True), is_open(now))
        .order_by(overrides.c.lead_id, *spoken_last(now))
    )
    last = {row.lead_id: Held(row.lead_id, row.automatic, _override(row)) for row in rows}
    return sorted(last.values(), key=lambda held: (held.word.until is None, held.word.until or now, held.lead))
