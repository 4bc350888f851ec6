"""What a spreadsheet costs to read, beside python-calamine alone, as a ratio in one run; and memory by rows.

python -m tests.bench.bench_spreadsheet [ROWS]
"""

from __future__ import annotations

import csv
import gc
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import xlsxwriter
from python_calamine import CalamineWorkbook

from connectors.spreadsheet import Spreadsheet
from connectors.spreadsheet.settings import Settings
from syncer.connector import Wanted
from syncer.sheets.reading import open_table

HEADINGS = ("Email", "Name", "Country", "Company", "Title", "Visits", "Revenue", "Score", "Created", "City")
FIELDS = tuple(heading.lower() for heading in HEADINGS[2:])
REPEATS = 15
ROWS = 20_000
LINES = (250_000, 1_000_000)


def row(number: int) -> tuple[str | int | float | date, ...]:
    company, created = number % 500, date(2026, 1, 1) + timedelta(days=number % 300)
    person = (f"person{number}@acme{company}.test", f"Ana Person{number}", "Spain", f"Acme {company}", "Head of sales")
    return (*person, number % 90, number * 13.5, number % 100, created, "Madrid")


def workbook(path: Path, rows: int) -> None:
    book = xlsxwriter.Workbook(path, {"constant_memory": True, "default_date_format": "dd/mm/yyyy"})
    sheet = book.add_worksheet("Leads")
    sheet.write_row(0, 0, HEADINGS)
    for number in range(1, rows + 1):
        sheet.write_row(number, 0, row(number))
    book.close()


def text(path: Path, rows: int) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADINGS)
        writer.writerows(row(number) for number in range(rows))


def pulled(path: Path) -> int:
    """Records, of all pages."""
    wanted = Wanted(FIELDS, folder=path.parent)
    source = Spreadsheet("sheet", Settings(path=(path.name,), write=False), wanted)
    return sum(len(page.records) for page in source.pull("leads", None))


def alone(path: Path) -> int:
    return len(CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0).to_python())


def in_turn(*works: Callable[[], object]) -> list[float]:
    """Processor seconds of the best of a few runs of each, one after the other so that all meet the same machine."""
    taken: list[list[float]] = [[] for _ in works]
    for _ in range(REPEATS):
        for work, seconds in zip(works, taken, strict=True):
            before = time.process_time()
            work()
            seconds.append(time.process_time() - before)
    return [min(seconds) for seconds in taken]


def peak_mb(path: Path) -> float:
    """Of a process of its own that pulls the file."""
    done = subprocess.run([sys.executable, "-m", __spec__.name, str(path)], capture_output=True, text=True, check=True)
    return float(done.stdout)


def main(rows: int, folder: Path) -> None:
    gc.set_threshold(50_000)  # as a run does
    book = folder / "leads.xlsx"
    workbook(book, rows)
    floor, table, pull = in_turn(
        lambda: alone(book), lambda: sum(1 for _ in open_table(book).rows()), lambda: pulled(book)
    )
    print(f"{rows} rows x {len(HEADINGS)} columns of .xlsx, best of {REPEATS}, processor time")
    for name, seconds in (("calamine alone", floor), ("rows of a table", table), ("pull", pull)):
        print(f"  {name:<16} {seconds / rows * 1e6:6.1f} µs a row   {seconds / floor:5.2f} x")
    peaks = []
    for lines in LINES:
        text(folder / "leads.csv", lines)
        peaks.append(peak_mb(folder / "leads.csv"))
        print(f"  peak memory of a pull of {lines:>9,} rows of CSV: {peaks[-1]:.0f} MB")
    print(f"  the last / the first: {peaks[-1] / peaks[0]:.3f}")


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1].endswith(".csv"):
        pulled(Path(sys.argv[1]))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    else:
        with tempfile.TemporaryDirectory() as made:
            main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS, Path(made))
