"""All records of one object, and the orders in which queries look for them."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Mapping

Row = Mapping[str, object]
HIGHEST = "\uffff"


class Table:
    """Rows by id, deleted ones among them (IsDeleted). Rows are never changed in place but replaced.

    `by_id` is ascending; `by_stamp` holds (SystemModstamp, Id) ascending. An index of a field is made when it is first
    asked for and kept from then on.
    """

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.by_id: list[str] = []
        self.by_stamp: list[tuple[str, str]] = []
        self._indexes: dict[str, dict[str, set[str]]] = {}

    def put(self, row: Row) -> None:
        """Store a row in place of the one with its id."""
        record_id = str(row["Id"])
        before = self.rows.get(record_id)
        if before is None:
            insort(self.by_id, record_id)
        elif before.get("SystemModstamp") != row.get("SystemModstamp"):
            self._forget_stamp(before)
        if before is None or before.get("SystemModstamp") != row.get("SystemModstamp"):
            insort(self.by_stamp, (_stamp(row), record_id))
        self.rows[record_id] = row
        self._reindex(record_id, before, row)

    def take(self, record_id: str) -> None:
        """A row goes for good; nothing happens when there is none."""
        before = self.rows.pop(record_id, None)
        if before is None:
            return
        del self.by_id[bisect_left(self.by_id, record_id)]
        self._forget_stamp(before)
        self._reindex(record_id, before, None)

    def load(self, rows: Iterable[Row]) -> None:
        """Store many rows at once."""
        self.rows.update((str(row["Id"]), row) for row in rows)
        self.by_id = sorted(self.rows)
        self.by_stamp = sorted((_stamp(row), record_id) for record_id, row in self.rows.items())
        self._indexes = {}

    def add_column(self, name: str, value: object) -> None:
        """Give every row a new field."""
        self.rows = {record_id: {**row, name: value} for record_id, row in self.rows.items()}

    def drop_column(self, name: str) -> None:
        """Take a field from every row."""
        self.rows = {i: {key: value for key, value in row.items() if key != name} for i, row in self.rows.items()}
        self._indexes.pop(name, None)

    def holding(self, name: str, value: str) -> set[str]:
        """Ids of the rows whose field has this value (text in any case)."""
        index = self._indexes.get(name)
        if index is None:
            index = self._indexes[name] = self._made_index(name)
        return index.get(value.casefold(), set())

    def ids_between(self, low: str, high: str) -> list[str]:
        """Ids from `low` to `high`, both included."""
        return self.by_id[bisect_left(self.by_id, low) : bisect_right(self.by_id, high)]

    def stamped_between(self, low: str, high: str) -> list[str]:
        """Ids of rows with a SystemModstamp from `low` to `high`, both included, by stamp and id."""
        first, last = bisect_left(self.by_stamp, (low, "")), bisect_right(self.by_stamp, (high, HIGHEST))
        return [record_id for _, record_id in self.by_stamp[first:last]]

    def _made_index(self, name: str) -> dict[str, set[str]]:
        index: dict[str, set[str]] = {}
        for record_id, row in self.rows.items():
            value = row.get(name)
            if value is not None:
                index.setdefault(str(value).casefold(), set()).add(record_id)
        return index

    def _reindex(self, record_id: str, before: Row | None, after: Row | None) -> None:
        for name, index in self._indexes.items():
            old = before.get(name) if before else None
            new = after.get(name) if after else None
            if old == new:
                continue
            if old is not None:
                index.get(str(old).casefold(), set()).discard(record_id)
            if new is not None:
                index.setdefault(str(new).casefold(), set()).add(record_id)

    def _forget_stamp(self, row: Row) -> None:
        pair = (_stamp(row), str(row["Id"]))
        at = bisect_left(self.by_stamp, pair)
        if at < len(self.by_stamp) and self.by_stamp[at] == pair:
            del self.by_stamp[at]


def _stamp(row: Row) -> str:
    return str(row.get("SystemModstamp") or "")
