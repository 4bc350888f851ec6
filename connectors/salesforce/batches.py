"""Sending values in collections, and finding out what of them Salesforce takes.

A collection is up to 200 records of one object. Each fails alone, and the answers stand in the order of the request;
but an org may also refuse the whole call for one bad field. What is refused is taken apart: the values that Salesforce
names are left out, then those that an org's own rules may be against go in calls of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from connectors.salesforce.refusals import Problem, Refused, problems_of
from syncer.errors import TemporaryError

MOST_RECORDS = 200  # of one call: Salesforce's limit for collections
MOST_TRIES = 5  # of one record that is locked, in calls half as large each time
MOST_CALLS = 64  # to take one collection apart; a single culprit needs at most 16
UNANSWERED = "UNANSWERED"  # our own word among Salesforce's codes: the search for culprits was given up

_LOCKED = frozenset({"UNABLE_TO_LOCK_ROW", "REQUEST_RUNNING_TOO_LONG", "SERVER_UNAVAILABLE", "UNKNOWN_EXCEPTION"})
_HEAVY = ("cpu time limit", "unable_to_lock_row", "limitexception", "too many soql", "too many dml")
"""What the text of a failed trigger says where the batch was too much for it, and fewer records at once may do."""
_RULES = frozenset(
    {
        "FIELD_CUSTOM_VALIDATION_EXCEPTION",
        "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
        "CANNOT_EXECUTE_FLOW_TRIGGER",
        "FIELD_FILTER_VALIDATION_EXCEPTION",
        "FIELD_INTEGRITY_EXCEPTION",
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
    }
)
"""Codes of what an org's own rules say, which may be about one value and name none."""
SCHEMA = frozenset({"INVALID_FIELD", "INVALID_FIELD_FOR_INSERT_UPDATE"})
"""Codes that condemn a field, whatever its value."""
BY_RIGHTS = frozenset({"INSUFFICIENT_ACCESS_OR_READONLY", "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", *SCHEMA})
"""Codes of what somebody settles who gives our user more rights."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """What shall be written to one row. `near`: the parent that Salesforce locks along with it."""

    object: str
    id: str
    values: Mapping[str, Any]
    near: str = ""

    def only(self, names: Iterable[str]) -> Parcel:
        """The part of it that has these values."""
        wanted = frozenset(names)
        return replace(self, values={name: value for name, value in self.values.items() if name in wanted})

    def without(self, names: Iterable[str]) -> Parcel:
        return self.only(self.values.keys() - frozenset(names))


@dataclass(frozen=True, slots=True)
class Delivered:
    """How one parcel ended: the fields Salesforce has taken, and those that it has not, with what it said."""

    taken: frozenset[str] = frozenset()
    left_out: Mapping[str, Problem] = field(default_factory=lambda: MappingProxyType({}))

    def joined(self, later: Delivered) -> Delivered:
        """Of a parcel that was sent in parts."""
        return Delivered(self.taken | later.taken, {**self.left_out, **later.left_out})


Post = Callable[[Sequence[Parcel]], Any]
"""Sends one collection and gives the answer's body; raises `Refused` where Salesforce refuses the whole call."""
End = tuple[Parcel, Problem | None]
"""What was tried of a record together, and why Salesforce did not take it."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Delivers parcels of one object. `doubtful`: the fields that an org's rules may be against, in the order in which
    they are tried alone; `pause`: waits before the n-th repetition."""

    post: Post
    doubtful: tuple[str, ...]
    pause: Callable[[int], None]

    def send(self, parcels: Sequence[Parcel]) -> dict[str, Delivered]:
        """How each ended, by its id. Who is locked is tried again in ever smaller calls, side by side with those who
        share their parent: in calls of their own these would lock each other."""
        ended: dict[str, Delivered] = {}
        waiting, size = list(parcels), MOST_RECORDS
        for repetition in range(MOST_TRIES):
            if repetition:
                self.pause(repetition)
            locked: dict[str, Parcel] = {}
            last = repetition + 1 == MOST_TRIES
            for batch in _side_by_side(waiting, size):
                for parcel, problem in self._settled(batch):
                    if problem is not None and _is_locked(problem) and not last:
                        locked[parcel.id] = _both(locked.get(parcel.id), parcel)
                    else:
                        _keep(ended, parcel, problem)
            if not locked:
                break
            waiting, size = list(locked.values()), max(1, min(size, len(waiting)) // 2)
        return ended

    def _settled(self, batch: Sequence[Parcel]) -> Iterator[End]:
        """Every value of every parcel once, in bounded many calls."""
        calls: list[list[Parcel]] = [list(batch)]
        failed: dict[str, Problem] = {}  # whose values beside the doubtful ones were refused
        for _ in range(MOST_CALLS):
            if not calls:
                return
            part = calls.pop()
            yield from ((each, failed[each.id]) for each in part if each.id in failed)
            part = [each for each in part if each.values and each.id not in failed]
            if part:
                yield from self._tried(part, calls, failed)
        problem = Problem(UNANSWERED, "Salesforce refused its collection too often")
        yield from ((each, problem) for part in calls for each in part)

    def _tried(self, part: list[Parcel], calls: list[list[Parcel]], failed: dict[str, Problem]) -> Iterator[End]:
        """One call. What is to be tried after it is put on top of `calls`."""
        try:
            results = _results(part, self.post(part))
        except Refused as refusal:
            yield from _refused(part, one(refusal.problems), calls)
            return
        again: dict[int, list[Parcel]] = {}  # 0: at once, 1: after those, 2: last
        for parcel, problem in zip(part, results, strict=True):
            named = _named(parcel, problem)
            parts = self._parts(parcel, problem)
            if problem is not None and named:
                yield parcel.only(named), problem
                again.setdefault(0, []).append(parcel.without(named))
            elif len(parts) > 1:
                for turn, each in enumerate(parts):
                    again.setdefault(turn, []).append(each)
            else:
                if problem is not None and not self._is_doubtful(parcel):
                    failed[parcel.id] = problem
                yield parcel, problem
        calls += [again[turn] for turn in sorted(again, reverse=True)]

    def _parts(self, parcel: Parcel, problem: Problem | None) -> list[Parcel]:
        """A parcel that a rule has refused without a word on the field: first what nobody minds, then the others."""
        if problem is None or problem.code not in _RULES or passes(problem):
            return [parcel]
        parts = [parcel.without(self.doubtful), *(parcel.only([name]) for name in self.doubtful)]
        return [each for each in parts if each.values]

    def _is_doubtful(self, parcel: Parcel) -> bool:
        return parcel.values.keys() <= set(self.doubtful)


def passes(problem: Problem) -> bool:
    """Whether the same may be taken later without anybody's help."""
    return _is_locked(problem) or problem.code == UNANSWERED


def _is_locked(problem: Problem) -> bool:
    """Whether it may be taken in a moment, in a smaller call."""
    heavy = problem.code in _RULES and any(each in problem.message.lower() for each in _HEAVY)
    return heavy or problem.code in _LOCKED


def told(problem: Problem) -> str:
    """Salesforce's words, with the code that its people look for and the fields that they leave out."""
    unsaid = [name for name in problem.fields if name not in problem.message]
    return f"{problem.message} ({', '.join([problem.code, *unsaid])})"


def _side_by_side(parcels: list[Parcel], size: int) -> Iterator[list[Parcel]]:
    ordered = sorted(parcels, key=lambda each: (each.near, each.id))
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]


def _both(one: Parcel | None, other: Parcel) -> Parcel:
    return other if one is None else replace(one, values={**one.values, **other.values})


def _keep(ended: dict[str, Delivered], parcel: Parcel, problem: Problem | None) -> None:
    names = frozenset(parcel.values)
    end = Delivered(taken=names) if problem is None else Delivered(left_out=dict.fromkeys(names, problem))
    ended[parcel.id] = ended[parcel.id].joined(end) if parcel.id in ended else end


def _refused(part: list[Parcel], problem: Problem, calls: list[list[Parcel]]) -> Iterator[End]:
    """Of a whole call: without the fields that it names, else in halves."""
    named = frozenset(name for each in part for name in _named(each, problem))
    if named:
        yield from ((each.only(named), problem) for each in part if named.intersection(each.values))
        calls.append([each.without(named) for each in part])
    elif len(part) == 1:
        yield part[0], problem
    else:
        half = len(part) // 2
        calls += [part[half:], part[:half]]


def _named(parcel: Parcel, problem: Problem | None) -> frozenset[str]:
    """Those of its fields that a problem names as wrong; a lock may name a row's fields, too, and means none."""
    if problem is None or passes(problem):
        return frozenset()
    names = {name.lower() for name in (*problem.fields, problem.column) if name}
    return frozenset(name for name in parcel.values if name.lower() in names)


def _results(part: Sequence[Parcel], body: Any) -> list[Problem | None]:
    """By position: an answer that tells of a failure need not name the record."""
    if not isinstance(body, list) or len(body) != len(part):
        count = len(body) if isinstance(body, list) else "no"
        message = f"Salesforce gave {count} answers for {len(part)} records of {part[0].object}"
        raise TemporaryError(f"{message}; they are written again later", code="SY160")
    return [None if isinstance(each, dict) and each.get("success") is True else problem_of(each) for each in body]


def problem_of(answer: Any) -> Problem:
    """Why one record of a collection failed."""
    errors = answer.get("errors") if isinstance(answer, dict) else None
    rows = [each for each in errors if isinstance(each, dict)] if isinstance(errors, list) else []
    problem = one(problems_of(rows))
    matches = [text for row in rows if (text := _duplicates(row))]
    return replace(problem, message="; ".join([problem.message, *matches])) if matches else problem


def one(problems: Sequence[Problem]) -> Problem:
    """Several errors of one record as one: what does not pass decides."""
    if not problems:
        return Problem(UNANSWERED, "Salesforce did not say why")
    first = next((each for each in problems if not passes(each)), problems[0])
    messages = dict.fromkeys([first.message, *(each.message for each in problems)])
    names = dict.fromkeys(name for each in problems for name in (*each.fields, each.column) if name)
    return Problem(first.code, "; ".join(messages), tuple(names))


def _duplicates(row: Mapping[str, Any]) -> str:
    """Whom a duplicate rule has found. Salesforce has misspelt the key for years: `duplicateResut`."""
    found = row.get("duplicateResut") or row.get("duplicateResult")
    if not isinstance(found, dict):
        return ""
    ids = [str(each["Id"]) for each in _records(found.get("matchResults")) if each.get("Id")]
    rule = found.get("duplicateRule")
    by = f" by the rule {rule}" if rule else ""
    return f"taken for {', '.join(ids[:3]) or 'another record'}{by}"


def _records(results: Any) -> Iterator[Mapping[str, Any]]:
    for result in results if isinstance(results, list) else ():
        matches = result.get("matchRecords") if isinstance(result, dict) else None
        for match in matches if isinstance(matches, list) else ():
            record = match.get("record") if isinstance(match, dict) else None
            if isinstance(record, dict):
                yield record
