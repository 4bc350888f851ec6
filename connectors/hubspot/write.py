"""Writing back: score, stage and reasons in one request, HubSpot's own lifecycle stage in a request of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import takewhile

from connectors.hubspot import people
from connectors.hubspot.batches import GONE, Delivered, Doubts, Parcel, send
from connectors.hubspot.client import Client
from connectors.hubspot.lookups import BATCH, Found, Question, chunks, fetch
from connectors.hubspot.people import LIFECYCLE
from connectors.hubspot.read import Reader
from connectors.hubspot.refusals import Refused
from connectors.hubspot.settings import Settings
from connectors.hubspot.setup import targets, unfit
from connectors.hubspot.values import Json, hundredths, moment, points, text
from syncer.connector import Wanted
from syncer.errors import ConfigError, SyncerError, TemporaryError
from syncer.model import Change, Record, RecordKey, Rejected, Standing, Written

_READ_AT_ONCE = 1_000  # read back in overlapping batches, and kept until all of them are there


@dataclass(frozen=True, slots=True)
class Wish:
    """What one change asks HubSpot for. `refused`: why its lifecycle stage is not even tried. `clears`: that stage is
    behind the one HubSpot shows, so that one must be emptied first."""

    change: Change
    values: Mapping[str, str]
    lifecycle: str | None = None
    refused: str | None = None
    clears: bool = False

    @property
    def id(self) -> str:
        return self.change.record.id


@dataclass(frozen=True, slots=True)
class Sent:
    """How the requests for one record ended; None: not sent. `moved` is of the lifecycle stage: where that had to be
    emptied first and could not be, it is the end of that. `restored`: it was emptied in vain, and set as before."""

    wish: Wish
    emptied: Delivered | None
    moved: Delivered | None
    restored: Delivered | None
    scored: Delivered | None

    @property
    def rows(self) -> list[Json]:
        ends = (self.emptied, self.moved, self.restored, self.scored)
        return [end.row for end in ends if end is not None and end.row is not None]

    @property
    def left_out(self) -> Mapping[str, str]:
        return self.scored.left_out if self.scored is not None else {}

    @property
    def is_unsure(self) -> bool:
        """HubSpot's answers do not show everything that it took, or where it has kept the lifecycle stage."""
        asked = {*self.wish.values, *([LIFECYCLE] if self.wish.lifecycle else [])}.difference(self.left_out)
        return not self.rows or not asked.issubset(_values(self.rows))

    @property
    def aftermath(self) -> str:
        """What became of a stage that was emptied in vain."""
        former = self.wish.change.before.lifecycle
        if self.restored is None:
            return ""
        if _shows(self.restored, former):
            return f"; {former!r} was put back"
        return f"; {former!r} could not be put back, it is empty now: {self.restored.reason or 'HubSpot ignored it'}"


@dataclass(frozen=True, slots=True)
class Ladder:
    """The portal's lifecycle stages in order; `problem` where they cannot be read."""

    order: tuple[str, ...]
    problem: str | None = None

    def step(self, before: str | None, target: str) -> tuple[str | None, str | None]:
        """The stage to write, if any, and why it cannot be. Never backward, never away from a stage we do not know."""
        if self.problem:
            return None, self.problem
        if target not in self.order:
            return None, f"lifecycle stage {target!r} does not exist in HubSpot; correct `write.lifecyclestage`"
        if before is None or (before in self.order and self.order.index(target) > self.order.index(before)):
            return target, None
        return None, None

    def is_behind(self, target: str, before: str | None) -> bool:
        """Whether a move from `before` to `target` is one backward; both must be there."""
        known = before in self.order and target in self.order
        return known and self.order.index(target) < self.order.index(str(before))


class Writer:
    """Writes changes, and reads back."""

    def __init__(self, name: str, settings: Settings, wanted: Wanted, client: Client, reader: Reader) -> None:
        self._name = name
        self._settings = settings
        self._wanted = wanted
        self._client = client.reserved  # what it reads, writing needs
        self._reader = reader
        everything, write = targets(settings, wanted), settings.write
        self._needed = [each for each in everything.values() if each.name in (write.score, write.stage)]
        self._is_ready = False
        self._blind: ConfigError | None = None  # why properties cannot be looked at

    def read_back(self, records: Sequence[RecordKey]) -> Iterator[Record]:
        """Each record as it is now. A merged one comes with `merged_into`, and so does what absorbed it. TemporaryError
        where HubSpot neither shows a record nor says that it is gone: who is left out here would be written blindly."""
        if not records:
            return
        names = people.properties(self._settings, self._wanted)
        question = Question(people.CONTACTS, names)
        for ids in chunks(dict.fromkeys(key.id for key in records), _READ_AT_ONCE):
            found = fetch(self._client, question, ids)
            if found.silent:
                message = f"{self._name}: HubSpot gave no answer for {len(found.silent)} of {len(ids)} contacts"
                raise TemporaryError(f"{message} read back; they are read again later", code="SY042")
            lens = self._reader.lens(found.rows.values())
            shown: dict[str, Record] = {}
            for asked, row in found.rows.items():
                mine = str(row["id"])
                shown[mine] = lens.record(row)
                if asked != mine:
                    shown[asked] = lens.absorbed(asked, row)
            yield from shown.values()
            yield from (lens.gone(each) for each in found.gone)

    def stage_authors(self, records: Sequence[RecordKey]) -> Mapping[RecordKey, str]:
        """Who set the stage that each record shows, where it was a person."""
        return self._authors(records, [self._settings.write.stage, LIFECYCLE])

    def manual_authors(self, records: Sequence[RecordKey]) -> Mapping[RecordKey, str]:
        """Who chose a stage by hand, where it was a person."""
        manual = self._settings.manual
        return self._authors(records, [manual.stage]) if manual else {}

    def _authors(self, records: Sequence[RecordKey], names: Sequence[str]) -> Mapping[RecordKey, str]:
        if not records:
            return {}
        lens = self._reader.lens()
        question = Question(people.CONTACTS, [people.MODIFIED], history=names)
        rows = fetch(self._client, question, [key.id for key in records]).rows
        authors = {key: lens.author(rows[key.id], names) for key in records if key.id in rows}
        return {key: author for key, author in authors.items() if author is not None}

    def write(self, changes: Sequence[Change]) -> Iterator[Written | Rejected]:
        """Send in batches of 100, which overlap. A lost answer is repeated: the values are absolute. Of two changes to
        one record the last counts, and both get its answer. ConfigError, before anything is written, where the property
        of the score or the stage cannot take it. Before an error of one batch comes what the others are answered."""
        answers = Counter(change.record.id for change in changes)
        last = {change.record.id: change for change in changes}
        if last:
            self._make_sure()
        ladder = self._ladder() if self._settings.write.lifecyclestage and last else Ladder(())
        failed: list[SyncerError] = []
        batches = ([self._wish(last[each], ladder) for each in ids] for ids in chunks(last, BATCH))
        calls = (partial(self._tried, wishes) for wishes in takewhile(lambda _: not failed, batches))
        for outcome in self._client.together(calls):
            if isinstance(outcome, SyncerError):
                failed.append(outcome)
                continue
            for answer in outcome:
                identity = answer.id if isinstance(answer, Rejected) else answer.record.id
                yield from [answer] * answers[identity]
        if failed:
            raise failed[0]

    def _tried(self, wishes: Sequence[Wish]) -> list[Written | Rejected] | SyncerError:
        """The answers to one batch, or what stopped it."""
        try:
            return list(self._write(wishes))
        except SyncerError as error:
            return error

    def _wish(self, change: Change, ladder: Ladder) -> Wish:
        write, before, after = self._settings.write, change.before, change.after
        values: dict[str, str] = {}
        if write.score and after.score is not None and after.score != before.score:
            values[write.score] = points(after.score)
        if write.stage and after.stage is not None and after.stage != before.stage:
            values[write.stage] = after.stage
        if write.reasons and after.reasons is not None and after.reasons != before.reasons:
            values[write.reasons] = after.reasons
        target = write.lifecyclestage.get(after.stage or "") if change.moves_stage else None
        if target is None or target == before.lifecycle or before.lifecycle in self._settings.protected:
            return Wish(change, values)
        if self._falls(change) and ladder.is_behind(target, before.lifecycle):
            return Wish(change, values, target, clears=True)
        return Wish(change, values, *ladder.step(before.lifecycle, target))

    def _falls(self, change: Change) -> bool:
        """Whether our stage moves down, HubSpot's may follow, and what HubSpot shows is one of those we set."""
        write, order = self._settings.write, self._wanted.stages
        before, after = change.before.stage, change.after.stage
        allowed = write.backward == "clear" and change.before.lifecycle in write.lifecyclestage.values()
        return allowed and before in order and after in order and order.index(after) < order.index(before)

    def _write(self, wishes: Sequence[Wish]) -> Iterator[Written | Rejected]:
        """The lifecycle stage goes first: if we die in between, the rest is still to be written and brings us back. Of
        a batch HubSpot does not keep the order, so what must be emptied first is, in a request of its own."""
        emptied = self._empty([each for each in wishes if each.clears])
        free = {each.id for each in wishes if not each.clears or _is_empty(emptied[each.id])}
        moving = [Parcel(each.id, {LIFECYCLE: each.lifecycle}) for each in wishes if each.lifecycle and each.id in free]
        moved = {**emptied, **self._send("writing lifecycle stages", moving)}
        restored = self._put_back([each for each in wishes if each.clears and each.id in free], moved)
        gone = {identity for identity, end in moved.items() if end.gone}
        parcels = [Parcel(each.id, each.values) for each in wishes if each.values and each.id not in gone]
        scored = self._score(parcels) if parcels else {}
        ends = (emptied, moved, restored, scored)
        sent = [Sent(each, *(end.get(each.id) for end in ends)) for each in wishes]
        read = self._read([each.wish.id for each in sent if not self._failure(each) and each.is_unsure])
        for each in sent:
            yield self._answer(each, read.get(each.wish.id))

    def _empty(self, wishes: Sequence[Wish]) -> Mapping[str, Delivered]:
        """Empty the lifecycle stages that still are what they were: HubSpot holds back a stage that is set behind
        another, and nothing holds back one that is emptied. So they are looked at once more just before."""
        if not wishes:
            return {}
        found = fetch(
            self._client, Question(people.CONTACTS, [LIFECYCLE, people.MODIFIED]), [each.id for each in wishes]
        )
        ended = {each.id: _now(found, each.id) for each in wishes}
        same = [each.id for each in wishes if _shows(ended[each.id], each.change.before.lifecycle)]
        emptying = [Parcel(each, {LIFECYCLE: ""}) for each in same]
        return {**ended, **self._send("emptying lifecycle stages", emptying)}

    def _put_back(self, wishes: Sequence[Wish], moved: Mapping[str, Delivered]) -> Mapping[str, Delivered]:
        """The stages that were emptied in vain, set as they were: HubSpot does not take the new ones, an admin's rule
        may be against it, and would go on showing none."""
        vain = [each for each in wishes if _is_still_empty(moved[each.id])]
        parcels = [Parcel(each.id, {LIFECYCLE: each.change.before.lifecycle or ""}) for each in vain]
        return self._send("putting lifecycle stages back", parcels)

    def _send(self, what: str, parcels: Sequence[Parcel]) -> Mapping[str, Delivered]:
        """Lifecycle stages, each alone in its parcel."""
        doubts = Doubts(LIFECYCLE, readable=self._readable()) if parcels else Doubts(LIFECYCLE)
        return send(self._client, what, parcels, doubts)

    def _readable(self) -> frozenset[str]:
        known = self._definitions()
        return frozenset() if isinstance(known, ConfigError) else frozenset(known)

    def _definitions(self, *, anew: bool = False) -> Mapping[str, Json] | ConfigError:
        """The portal's properties as they were when they were asked for last, or why they cannot be read: that needs a
        scope that writing does not."""
        if self._blind is not None and not anew:
            return self._blind
        try:
            return self._reader.definitions(anew=anew)
        except ConfigError as error:
            self._blind = error
            return error

    def _score(self, parcels: Sequence[Parcel]) -> Mapping[str, Delivered]:
        write = self._settings.write
        doubts = Doubts(write.stage, frozenset({write.score, write.stage}), self._readable())
        try:
            return send(self._client, "writing scores", parcels, doubts)
        except Refused as refusal:  # a property went after we had looked at it, or we may not look
            raise self._lost(refusal) from refusal

    def _failure(self, sent: Sent) -> Delivered | None:
        """What makes the whole change a failure. A stage that was not taken does not, nor do the reasons."""
        write, scored = self._settings.write, sent.scored
        if scored is not None and scored.row is None:
            beside_score = {write.stage, write.reasons}.issuperset(scored.left_out) and bool(scored.left_out)
            if scored.gone or scored.retry or not beside_score:
                return scored
        return sent.moved if sent.moved is not None and sent.moved.gone else None

    def _lost(self, refusal: Refused) -> ConfigError:
        """What to say of a needed property that HubSpot refused whatever its value."""
        self._is_ready = False
        problem = refusal.problem
        if found := self._unfit(anew=True):
            return found
        code = "SY043" if "PROPERTY_DOESNT_EXIST" in problem.codes else "SY044"
        names = ", ".join(problem.condemned)
        message = f"{self._name}: HubSpot takes no value for {names} ({problem.message})"
        return ConfigError(f"{message}; run `syncer setup {self._name} --apply`", code=code)

    def _make_sure(self) -> None:
        """That score and stage can be written, once; ConfigError where not. Costs one request, or none where a pull has
        asked for the properties already; what it saw then is asked again only before it counts as wrong."""
        if self._is_ready:
            return
        old = self._reader.has_definitions
        error = self._unfit(anew=False)
        if error and old:
            error = self._unfit(anew=True)
        if error:
            raise error
        self._is_ready = True

    def _unfit(self, *, anew: bool) -> ConfigError | None:
        known = self._definitions(anew=anew)
        return None if isinstance(known, ConfigError) else unfit(self._name, self._needed, known)

    def _read(self, ids: Sequence[str]) -> Mapping[str, Json]:
        """What HubSpot shows of records whose answers did not show what was sent, or to which nothing was sent."""
        write = self._settings.write
        names = [name for name in (write.score, write.stage, write.reasons, LIFECYCLE, people.MODIFIED) if name]
        return fetch(self._client, Question(people.CONTACTS, names), ids).rows

    def _answer(self, sent: Sent, read: Json | None) -> Written | Rejected:
        wish, failure = sent.wish, self._failure(sent)
        if failure is not None:
            return Rejected(wish.id, failure.reason, retry=failure.retry)
        score_lost = sent.left_out.get(self._settings.write.score or "")
        if score_lost is not None:
            return Rejected(wish.id, f"HubSpot did not take the score: {score_lost}")
        rows = [*sent.rows, *([read] if read else [])]
        at = _modified_at(rows)
        if at is None:
            return Rejected(wish.id, "HubSpot shows nothing of it (gone, or merged into another)")
        values = _values(rows)
        refused = wish.refused or self._refused(sent, values)
        return Written(wish.change.record, at, self._standing(wish, values), refused)

    def _refused(self, sent: Sent, values: Mapping[str, str]) -> str | None:
        """Why the stage did not come to stand as sent, from what HubSpot shows; None: it did."""
        stage, wish = self._settings.write.stage or "", sent.wish
        if stage in sent.left_out:
            return f"HubSpot did not take {stage}={wish.values[stage]!r}: {sent.left_out[stage]}"
        if stage in wish.values and values.get(stage) != wish.values[stage]:
            return f"HubSpot shows {stage}={values.get(stage)!r} instead of {wish.values[stage]!r}"
        if sent.moved is not None and sent.moved.row is None:
            return f"HubSpot did not take {LIFECYCLE}={wish.lifecycle!r}: {sent.moved.reason}{sent.aftermath}"
        if wish.lifecycle and values.get(LIFECYCLE) != wish.lifecycle:
            shown = f"{LIFECYCLE}={values.get(LIFECYCLE)!r}"
            return f"HubSpot shows {shown} instead of {wish.lifecycle!r}{sent.aftermath}"
        return None

    def _standing(self, wish: Wish, values: Mapping[str, str]) -> Standing:
        """What HubSpot shows; where its answers say nothing of a value, what it showed before."""
        write, before = self._settings.write, wish.change.before
        return Standing(
            score=_points_shown(values, write.score, before.score),
            stage=_shown(values, write.stage, before.stage),
            reasons=_shown(values, write.reasons, before.reasons),
            lifecycle=_shown(values, LIFECYCLE, before.lifecycle),
        )

    def _ladder(self) -> Ladder:
        """Of what a pull or the look before the first write has asked for already."""
        known = self._definitions()
        if isinstance(known, ConfigError):
            return Ladder((), f"the order of HubSpot's lifecycle stages cannot be read: {known.message}")
        return Ladder(lifecycle_order(known.get(LIFECYCLE, {})))


def lifecycle_order(definition: Json) -> tuple[str, ...]:
    """The portal's lifecycle stages (internal values) in its own order; admins add, delete and move them."""
    options = [each for each in definition.get("options") or () if isinstance(each, dict) and each.get("value")]
    options.sort(key=lambda each: each["displayOrder"] if isinstance(each.get("displayOrder"), int) else -1)
    return tuple(str(each["value"]) for each in options)


def _now(found: Found, identity: str) -> Delivered:
    """What was found of a record, as if it were the answer to a write."""
    row = found.rows.get(identity)
    if row is not None and str(row["id"]) == identity:
        return Delivered(row)
    if identity in found.gone:
        return Delivered(reason=GONE, gone=True)
    return Delivered(reason="HubSpot gave no answer for it (merged into another?)", retry=True)


def _shows(end: Delivered, lifecycle: str | None) -> bool:
    return end.row is not None and text(end.row.get("properties") or {}, LIFECYCLE) == lifecycle


def _is_empty(end: Delivered) -> bool:
    return _shows(end, None)


def _is_still_empty(end: Delivered) -> bool:
    """Whether an emptied stage was not set: the value was refused, or the answer shows none."""
    if end.row is None:
        return not end.gone
    return LIFECYCLE in (end.row.get("properties") or {}) and _is_empty(end)


def _values(rows: Sequence[Json]) -> dict[str, str]:
    """The properties of several answers about one record, the later ones over the earlier ones."""
    found: dict[str, str] = {}
    for row in rows:
        values = row.get("properties") or {}
        found |= {name: text(values, name) or "" for name in values}
    return found


def _modified_at(rows: Sequence[Json]) -> datetime | None:
    """The latest time of modification that the answers tell."""
    found: list[datetime] = []
    for row in rows:
        for written in (text(row, "updatedAt"), text(row.get("properties") or {}, people.MODIFIED)):
            try:
                found += [moment(written)] if written else []
            except ValueError:  # the other one will do
                continue
    return max(found, default=None)


def _shown(values: Mapping[str, str], name: str | None, before: str | None) -> str | None:
    if name is None or name not in values:
        return before
    return values[name] or None


def _points_shown(values: Mapping[str, str], name: str | None, before: int | None) -> int | None:
    written = _shown(values, name, "")
    if written == "":
        return before
    try:
        return None if written is None else hundredths(written)
    except ValueError:
        return None
