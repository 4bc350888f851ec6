"""What an org holds, and how a write is undone: rows in tables, the bin, locks, transactions under way."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count

from connectors.emulators.salesforce.clock import Clock, moment_of, stamp_from
from connectors.emulators.salesforce.errors import Refusal
from connectors.emulators.salesforce.formulas import Summary
from connectors.emulators.salesforce.ids import new_id
from connectors.emulators.salesforce.schema import ObjectType, Schema
from connectors.emulators.salesforce.switches import Switches
from connectors.emulators.salesforce.table import Row, Table

Before = dict[str, Row | None]  # rows as they were, by id; None: there was none


@dataclass(slots=True)
class Transaction:
    """Writes that nobody else sees yet. Its rows bear `stamp`; `due_s`: when it commits by itself."""

    started: datetime
    stamp: str
    due_s: float | None
    before: Before = field(default_factory=dict)
    after: Before = field(default_factory=dict)


class State:
    """Tables and what surrounds them. All writes go through `put` and `erase`, so that they can be undone."""

    def __init__(self, schema: Schema, clock: Clock) -> None:
        self.schema = schema
        self.clock = clock
        self.switches = Switches()
        self.org_id = self.admin_id = ""
        self.tables: dict[str, Table] = {kind.name: Table() for kind in schema}
        self.purged: dict[str, str] = {}  # stamp of deletion of ids that are past the recycle bin
        self.locks: dict[str, float | None] = {}  # when the lock of an id ends; None: it does not
        self.open: dict[str, Transaction] = {}
        self.summaries: list[Summary] = []
        self.unseen: set[str] = set()  # ids of records that are shared with nobody who calls
        self.restricted: dict[tuple[str, str], str] = {}  # (object, field): "hidden" or "read" for everybody
        self._journal: Before | None = None
        self._writing: Transaction | None = None  # the open one that is written in now
        self._numbers: dict[str, Iterator[int]] = {}
        self._transactions = count(1)

    # Rows

    def stamp(self) -> str:
        """The time that a write made now bears."""
        return self._writing.stamp if self._writing else self.clock.stamp()

    def today(self) -> str:
        """The day of `stamp` in UTC."""
        return self.stamp()[:10]

    def row(self, record_id: object) -> Row | None:
        """The record of an id, deleted or not."""
        if not isinstance(record_id, str):
            return None
        table = self.tables.get(self.schema.prefixes.get(record_id[:3], ""))
        return None if table is None else table.rows.get(record_id)

    def live(self, record_id: object) -> Row | None:
        """The record of an id, if it is not deleted."""
        row = self.row(record_id)
        return None if row is None or row.get("IsDeleted") else row

    def new_id(self, kind: ObjectType) -> str:
        """The next free id of an object."""
        numbers = self._numbers.setdefault(kind.name, count(1))
        rows = self.tables[kind.name].rows
        return next(each for number in numbers if (each := new_id(kind.prefix, number)) not in rows)

    def put(self, row: Row) -> None:
        """Store a row in place of the one with its id."""
        table = self.tables[str(row["$type"])]
        self._note(str(row["Id"]), table.rows.get(str(row["Id"])))
        table.put(row)

    def erase(self, record_id: str) -> None:
        """A row goes past the bin; only the delete log knows it still."""
        row = self.row(record_id)
        if row is not None:
            self._note(record_id, row)
            self.tables[str(row["$type"])].take(record_id)
            self.purged[record_id] = str(row.get("$deleted") or self.stamp())

    def change(self, record_id: str, changes: Mapping[str, object]) -> Row:
        """Change fields of a row as they stand, without rules and without a stamp; the row after."""
        row = {**(self.row(record_id) or {}), **changes}
        self.put(row)
        return row

    def bump(self, record_id: str, changes: Mapping[str, object] | None = None) -> None:
        """The platform changes a row: SystemModstamp moves, LastModifiedDate and By stay."""
        if self.row(record_id) is not None:
            self.change(record_id, {**(changes or {}), "SystemModstamp": self.stamp()})

    def children(self, kind: str, name: str, parent_id: str) -> list[Row]:
        """Live records of an object that refer to a parent."""
        table = self.tables.get(kind)
        if table is None:
            return []
        rows = (table.rows[each] for each in sorted(table.holding(name, parent_id)))
        return [row for row in rows if not row.get("IsDeleted")]

    # Undoing

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """All of it happens, or (on an exception) nothing."""
        outer, self._journal = self._journal, {}
        try:
            yield
        except BaseException:
            self._restore(self._journal)
            self._journal = outer
            raise
        inner, self._journal = self._journal, outer
        if outer is not None:
            self._journal = {**inner, **outer}

    def _note(self, record_id: str, before: Row | None) -> None:
        if self._journal is not None:
            self._journal.setdefault(record_id, before)

    def _restore(self, rows: Before) -> None:
        for record_id, row in rows.items():
            if row is None:
                self.tables[self.schema.prefixes[record_id[:3]]].take(record_id)
            else:
                self.tables[str(row["$type"])].put(row)
            self.purged.pop(record_id, None)

    # Locks and transactions

    def check_lock(self, record_ids: Iterable[str]) -> None:
        """UNABLE_TO_LOCK_ROW when one of the records is locked, or being written by an open transaction."""
        for record_id in record_ids:
            if record_id in self.locks or any(each.before.get(record_id) is not None for each in self._others()):
                until = self.locks.get(record_id)
                if until is not None and until <= self.clock.now_s():
                    del self.locks[record_id]
                    continue
                message = f"unable to obtain exclusive access to this record or 1 records: {record_id}"
                raise Refusal(400, "UNABLE_TO_LOCK_ROW", message, ())

    def _others(self) -> list[Transaction]:
        return [each for each in self.open.values() if each is not self._writing]

    def begin(self, started: datetime, due_s: float | None) -> str:
        """A new transaction's name."""
        name = f"T{next(self._transactions)}"
        began = started.replace(microsecond=0)
        self.open[name] = Transaction(began, stamp_from(began), due_s)
        return name

    @contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """Write within an open transaction: what it wrote is there meanwhile, and gone again afterwards."""
        transaction = self.open.get(name)
        if transaction is None:
            raise ValueError(f"no open transaction {name}")
        self._show(transaction.after)
        outer, self._journal, self._writing = self._journal, {}, transaction
        try:
            yield
        finally:
            journal, self._journal, self._writing = self._journal, outer, None
            for record_id, row in journal.items():
                transaction.before.setdefault(record_id, row)
            transaction.after = {each: self.row(each) for each in transaction.before}
            self._restore(transaction.before)

    def commit(self, name: str) -> None:
        """What a transaction wrote is seen from now on, with its old stamps; but no row's stamp goes back."""
        transaction = self.open.pop(name)
        for record_id, after in transaction.after.items():
            before, present = transaction.before[record_id], self.row(record_id)
            if after is None:
                self.erase(record_id)
            elif before is None or present is None or "SystemModstamp" not in after:
                self.put(after)
            else:
                changed = {key: value for key, value in after.items() if before.get(key) != value}
                latest = max(str(present.get("SystemModstamp") or ""), str(after.get("SystemModstamp") or ""))
                self.put({**present, **changed, "SystemModstamp": latest})

    def commit_due(self) -> None:
        """Commit those whose time has come."""
        if not self.open:
            return
        now = self.clock.now_s()
        for name in [name for name, each in self.open.items() if each.due_s is not None and each.due_s <= now]:
            self.commit(name)

    def _show(self, rows: Before) -> None:
        for record_id, row in rows.items():
            if row is None:
                self.tables[self.schema.prefixes[record_id[:3]]].take(record_id)
            else:
                self.tables[str(row["$type"])].put(row)

    def covered_until(self) -> datetime:
        """Up to when nothing can still appear: now, or when the oldest open transaction began."""
        now = moment_of(self.clock.stamp())
        return min([now, *(each.started for each in self.open.values())])
