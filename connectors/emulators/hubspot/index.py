"""The search index: a late copy of the truth, and the sorted answers to the questions asked lately.

A question's matching ids are computed once and then kept up to date record by record, so that paging through 50,000
contacts by id costs one scan, not one scan a page.
"""

from bisect import bisect_left, bisect_right
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field

from connectors.emulators.hubspot.records import Record

KEPT_QUESTIONS = 32


@dataclass(frozen=True, slots=True)
class Question:
    """A filter. `modified` is a window (first, last) that every match lies in, when one is known."""

    key: Hashable
    matches: Callable[[Record], bool]
    modified: tuple[int, int] | None = None


@dataclass(slots=True)
class Found:
    """The ids that answer a question, ascending, and the same ids in other orders asked for."""

    question: Question
    ids: list[int]
    orders: dict[Hashable, list[int]] = field(default_factory=dict)


class SearchIndex:
    """Rows as search sees them; changes wait in a queue until they are due."""

    def __init__(self) -> None:
        self.rows: dict[int, Record] = {}
        self._waiting: deque[tuple[int, int, Record | None]] = deque()
        self._found: OrderedDict[Hashable, Found] = OrderedDict()
        self._log: list[tuple[int, int]] = []  # (modified, id), ascending; may hold outdated pairs
        self._log_in_order = True

    def put(self, record_id: int, row: Record | None, due_ms: int) -> None:
        """Let a change (None: a removal) be seen from `due_ms` on."""
        self._waiting.append((due_ms, record_id, row))

    def load(self, rows: Iterable[Record]) -> None:
        """Let rows be seen at once."""
        self.rows.update((row.id, row) for row in rows)
        self._found.clear()
        self._log_in_order = False

    def catch_up(self, now_ms: int) -> None:
        """Take in what is due. Call before asking."""
        while self._waiting and self._waiting[0][0] <= now_ms:
            _, record_id, row = self._waiting.popleft()
            self._take_in(record_id, row)

    def answer(self, question: Question) -> Found:
        """The matching ids; from memory when the question was asked before."""
        found = self._found.get(question.key)
        if found is None:
            found = self._found[question.key] = Found(question, self._scan(question))
            if len(self._found) > KEPT_QUESTIONS:
                self._found.popitem(last=False)
        else:
            self._found.move_to_end(question.key)
        return found

    def _scan(self, question: Question) -> list[int]:
        matches, rows = question.matches, self.rows
        return sorted(record_id for record_id in self._candidates(question) if matches(rows[record_id]))

    def _candidates(self, question: Question) -> Sequence[int]:
        if question.modified is None:
            return list(self.rows)
        first, last = question.modified
        log = self._ordered_log()
        within = log[bisect_left(log, (first, -1)) : bisect_right(log, (last, 1 << 80))]
        rows = self.rows
        return [i for i in {i for _, i in within} if i in rows]

    def _ordered_log(self) -> list[tuple[int, int]]:
        if not self._log_in_order or len(self._log) > 2 * len(self.rows) + 10_000:
            self._log = sorted((row.modified_ms, row.id) for row in self.rows.values())
            self._log_in_order = True
        return self._log

    def _take_in(self, record_id: int, row: Record | None) -> None:
        if row is None:
            self.rows.pop(record_id, None)
        else:
            self.rows[record_id] = row
            self._note_modified(row)
        for found in self._found.values():
            _update(found, record_id, row)

    def _note_modified(self, row: Record) -> None:
        pair = (row.modified_ms, row.id)
        if self._log_in_order and (not self._log or self._log[-1] <= pair):
            self._log.append(pair)
        else:
            self._log_in_order = False


def _update(found: Found, record_id: int, row: Record | None) -> None:
    at = bisect_left(found.ids, record_id)
    was_in = at < len(found.ids) and found.ids[at] == record_id
    is_in = row is not None and found.question.matches(row)
    if was_in and not is_in:
        del found.ids[at]
    elif is_in and not was_in:
        found.ids.insert(at, record_id)
    if was_in or is_in:
        found.orders.clear()
