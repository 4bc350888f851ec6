"""The shelf that holds all records of one kind."""

from bisect import bisect_left, insort
from collections.abc import Iterable
from heapq import heapify, heappop, heappush

from connectors.emulators.hubspot.index import SearchIndex
from connectors.emulators.hubspot.records import Record
from connectors.emulators.hubspot.values import DAY_MS

RECYCLE_BIN_DAYS = 90


class RecycleBin:
    """Archived records by id; each is gone for good 90 days after it was archived."""

    def __init__(self) -> None:
        self.records: dict[int, Record] = {}
        self.ids: list[int] = []  # ascending
        self._due: list[tuple[int, int]] = []  # (archived, id), a heap; may hold pairs of records taken out since

    def get(self, record_id: int) -> Record | None:
        """An archived record; None when there is none, or no longer."""
        return self.records.get(record_id)

    def put(self, record: Record) -> None:
        """Throw a record away, with its `archived_ms` set."""
        if record.id not in self.records:
            insort(self.ids, record.id)
        self.records[record.id] = record
        heappush(self._due, (record.archived_ms or 0, record.id))

    def load(self, records: Iterable[Record]) -> None:
        """Throw away many at once."""
        self.records |= {record.id: record for record in records}
        self.ids = sorted(self.records)
        self._due = [(record.archived_ms or 0, record.id) for record in self.records.values()]
        heapify(self._due)

    def take(self, record_id: int) -> Record | None:
        """Remove a record and hand it over; None when there is none."""
        record = self.records.pop(record_id, None)
        if record is not None:
            del self.ids[bisect_left(self.ids, record_id)]
        return record

    def expire(self, now_ms: int) -> None:
        """Drop what is older than 90 days. Call before reading."""
        oldest = now_ms - RECYCLE_BIN_DAYS * DAY_MS
        while self._due and self._due[0][0] < oldest:
            archived_ms, record_id = heappop(self._due)
            found = self.records.get(record_id)
            if found is not None and found.archived_ms == archived_ms:
                self.take(record_id)


class Shelf:
    """All records of one kind: the live ones by id, the recycle bin, the ids that were merged away, the index."""

    def __init__(self, unique: Iterable[str] = ()) -> None:
        self.live: dict[int, Record] = {}
        self.archived = RecycleBin()
        self.merged_into: dict[int, int] = {}
        self.ids: list[int] = []  # of the live ones, ascending
        self.unique: dict[str, dict[str, int]] = {name: {} for name in unique}
        self.index = SearchIndex()

    def resolve(self, record_id: int) -> int:
        """The id under which a record lives now: follows merges."""
        while record_id in self.merged_into:
            record_id = self.merged_into[record_id]
        return record_id

    def find(self, record_id: int) -> Record | None:
        """The live record of an id, or of the record it was merged into."""
        return self.live.get(record_id) or self.live.get(self.resolve(record_id))

    def find_by(self, name: str, value: str) -> Record | None:
        """The live record that holds a unique value."""
        found = self.unique.get(name, {}).get(value)
        return None if found is None else self.live.get(found)

    def put(self, record: Record, visible_ms: int) -> None:
        """Store a live record; search shows it from `visible_ms` on."""
        before = self.live.get(record.id)
        if before is None:
            if self.ids and record.id < self.ids[-1]:
                insort(self.ids, record.id)
            else:
                self.ids.append(record.id)
        self._note_unique(before, record)
        self.live[record.id] = record
        self.index.put(record.id, record, visible_ms)

    def load(self, records: list[Record]) -> None:
        """Store many at once, in search at once. An id given twice keeps the later one."""
        for record in records:
            self._note_unique(self.live.get(record.id), record)
            self.live[record.id] = record
        self.ids = sorted(self.live)
        self.index.load(records)

    def take(self, record_id: int, visible_ms: int) -> Record | None:
        """Remove a live record and hand it over; None when there is none."""
        record = self.live.pop(record_id, None)
        if record is None:
            return None
        del self.ids[bisect_left(self.ids, record_id)]
        self._note_unique(record, None)
        self.index.put(record_id, None, visible_ms)
        return record

    def make_unique(self, name: str) -> None:
        """From now on the property's values are unique, and records can be found by them."""
        self.unique.setdefault(name, {})

    def _note_unique(self, before: Record | None, after: Record | None) -> None:
        for name, owners in self.unique.items():
            old = before.values.get(name) if before else None
            new = after.values.get(name) if after else None
            if old == new and before is not None and after is not None and before.id == after.id:
                continue
            if old is not None and before is not None and owners.get(old) == before.id:
                del owners[old]
            if new is not None and after is not None:
                owners[new] = after.id
