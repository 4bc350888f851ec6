"""Figures that tests have seen, shown when all is done; also when several processes ran the tests.

A test gives them by `record_property(FIGURES, text)` or `record_property(KILLED, [step, database, counts])`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

FIGURES, KILLED = "figures", "killed"
_COLUMNS = (
    *("kills", "restarts", "lost", "doubled", "tasks lost", "tasks doubled", "mails lost", "mails repeated"),
    "leads that differ",
)


def show(terminal: pytest.TerminalReporter) -> None:
    """The figures of the tests that passed."""
    told = [given for report in terminal.getreports("passed") for given in report.user_properties]
    figures = [str(value) for name, value in told if name == FIGURES]
    killed = [value for name, value in told if name == KILLED]
    if figures:
        terminal.section("figures")
        for line in figures:
            terminal.write_line(line)
    if killed:
        terminal.section("processes killed")
        for line in _table(killed):
            terminal.write_line(line)


def _table(killed: list[object]) -> Iterator[str]:
    sums: dict[tuple[str, str], Counter[str]] = {}
    for row in killed:
        assert isinstance(row, list)
        step, database, counts = row
        sums.setdefault((step, database), Counter()).update(counts)
    yield f"{'step':8}{'database':12}" + "".join(f"{name:>19}" for name in _COLUMNS)
    for (step, database), counts in sorted(sums.items()):
        yield f"{step:8}{database:12}" + "".join(f"{counts[name]:>19}" for name in _COLUMNS)
