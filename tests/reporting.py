"""Figures that tests have seen, shown when all is done; also when several processes ran the tests.

A test gives them by `record_property(FIGURES, text)`, `record_property(KILLED, [step, database, counts])`, or the same
with KILLED_TELLING and [place, database, counts], with MANNERS and [channel, trouble, outcome], or with FAILURES and
[what failed, what was seen].
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import pytest

FIGURES, KILLED, KILLED_TELLING, MANNERS = "figures", "killed", "killed while telling", "manners"
FAILURES = "failures"
_COLUMNS = (
    *("kills", "restarts", "lost", "doubled", "tasks lost", "tasks doubled", "mails lost", "mails repeated"),
    "leads that differ",
)
_TELLING = (
    *("kills", "unanswered", "lost", "told twice", "repeats found out"),  # by keys and tasks
    *("repeats marked", "repeats unmarked", "held"),  # where nobody can know news from repeats
)
_TABLES = (
    (KILLED, "processes killed", _COLUMNS),
    (KILLED_TELLING, "processes killed while they tell sales", _TELLING),
)


def show(terminal: pytest.TerminalReporter) -> None:
    """The figures of the tests that passed."""
    told = [given for report in terminal.getreports("passed") for given in report.user_properties]
    figures = [str(value) for name, value in told if name == FIGURES]
    if figures:
        terminal.section("figures")
        for line in figures:
            terminal.write_line(line)
    for kind, title, columns in _TABLES:
        killed = [value for name, value in told if name == kind]
        if killed:
            terminal.section(title)
            for line in _table(killed, columns):
                terminal.write_line(line)
    manners = [value for name, value in told if name == MANNERS]
    if manners:
        terminal.section("what becomes of a message")
        for line in _crossed(manners):
            terminal.write_line(line)
    failures = [value for name, value in told if name == FAILURES]
    if failures:
        terminal.section("what becomes of failures")
        for line in _pairs(failures):
            terminal.write_line(line)


def _pairs(rows: list[object]) -> Iterator[str]:
    for row in rows:
        assert isinstance(row, list)
        yield f"{row[0]:50}{row[1]}"


def _crossed(manners: list[object]) -> Iterator[str]:
    """A line for each channel, a column for each trouble, in the order in which they were told first."""
    outcomes: dict[str, dict[str, str]] = {}
    for row in manners:
        assert isinstance(row, list)
        channel, trouble, outcome = row
        outcomes.setdefault(channel, {})[trouble] = outcome
    troubles = list(dict.fromkeys(trouble for found in outcomes.values() for trouble in found))
    yield f"{'':18}" + "".join(f"{trouble:23}" for trouble in troubles)
    for channel, found in outcomes.items():
        yield f"{channel:18}" + "".join(f"{found.get(trouble, ''):23}" for trouble in troubles)


def _table(killed: list[object], columns: Sequence[str]) -> Iterator[str]:
    sums: dict[tuple[str, str], Counter[str]] = {}
    for row in killed:
        assert isinstance(row, list)
        step, database, counts = row
        sums.setdefault((step, database), Counter()).update(counts)
    wide = 2 + max(4, *(len(step) for step, _ in sums))
    yield f"{'step':{wide}}{'database':12}" + "".join(f"{name:>19}" for name in columns)
    for (step, database), counts in sorted(sums.items()):
        yield f"{step:{wide}}{database:12}" + "".join(f"{counts[name]:>19}" for name in columns)
