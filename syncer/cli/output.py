"""How commands read their options, draw tables and print JSON."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import click
import orjson
import structlog
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from syncer import log
from syncer.app import App, Progress, opened
from syncer.handoff.text import one_line
from syncer.measures import Share
from syncer.parts import Step
from syncer.queries.shares import part_of
from syncer.queries.texts import day as day
from syncer.queries.texts import day_and_time as day_and_time
from syncer.queries.texts import points as points
from syncer.settings import ProcessSettings, process_settings

logger = structlog.get_logger(__name__)

_STEPS = {"pull": "reading", "sweep": "sweeping", "score": "scoring", "write": "writing", "send": "telling sales"}
Align = Literal["left", "right"]
_TELL_S = 10.0  # between two lines of log where no bar can be shown
_GAP = 2  # columns between those of a table
_LABEL = 10  # columns that a text keeps on the narrowest terminal, so that its words are not one letter a line
_WIDE = 160  # columns where nobody is looking, so that tables are not folded in files
_AGES = ((timedelta(days=2), timedelta(days=1), "d"), (timedelta(hours=2), timedelta(hours=1), "h"),
         (timedelta(minutes=2), timedelta(minutes=1), "min"), (timedelta(0), timedelta(seconds=1), "s"))  # fmt: skip


def process_of(ctx: click.Context, log_level: str = "WARNING") -> ProcessSettings:
    """The process's settings: flags over environment over the `.env` beside the project file; logs set up."""
    given = {name: value for name, value in ctx.obj.items() if name != "debug"}
    folder = Path(given.get("config") or os.environ.get("SYNCER_CONFIG") or ".").parent
    process = process_settings(folder, **given)
    level = process.log_level if "log_level" in process.model_fields_set else log_level
    log.set_up(level, style=process.log_style)
    return process


@contextmanager
def app_of(ctx: click.Context) -> Iterator[App]:
    """The loaded project with its database."""
    with opened(process_of(ctx)) as app:
        yield app


@contextmanager
def stopping(app: App) -> Iterator[None]:
    """SIGTERM and Ctrl-C end the work at its next safe place instead of in the middle of a page; the second one ends it
    at once."""
    before: dict[int, Any] = {}

    def stop(_number: int, _frame: Any) -> None:
        _restore(before)
        # Not here: the interrupted line may hold the lock of this very event.
        threading.Thread(target=app.stop.set, daemon=True).start()

    before |= {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        _restore(before)


def _restore(handlers: Mapping[int, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


def print_json(schema: str, content: Mapping[str, Any]) -> None:
    """One JSON object on standard output; `schema` names its shape and version."""
    raw = orjson.dumps({"schema": schema, **content}, option=orjson.OPT_INDENT_2, default=_plain)
    click.echo(raw.decode())


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    return str(value)


def signed(hundredths: int) -> str:
    return f"{hundredths / 100:+g}"


def counted(count: int, what: str, *, none: str = "0") -> str:
    """ "1 lead", "2,140 leads"."""
    number = f"{count:,}" if count else none
    return f"{number} {what}{'s' * (count != 1)}"


def share_json(share: Share) -> dict[str, Any]:
    told = part_of(share)
    return {"part": told.part, "of": told.of, "share": told.share, "interval": [told.low, told.high]}


def percent(share: Share) -> str:
    return "–" if share.value is None else f"{share.value * 100:.1f} %"


def interval(share: Share) -> str:
    """ "37.2 to 44.9", in percent."""
    low, high = share.interval
    return "–" if share.value is None else f"{low * 100:.1f} to {high * 100:.1f}"


def ago(moment: datetime, now: datetime) -> str:
    """ "3 min ago", "in 12 min", "2 d ago"; one number is enough to see how things stand."""
    apart = abs(moment - now)
    unit, name = next((unit, name) for from_, unit, name in _AGES if apart >= from_)
    length = f"{apart // unit} {name}"
    return f"in {length}" if moment > now else f"{length} ago"


def show(drawn: RenderableType, *, indent: int = 0, style: str | None = None) -> None:
    """On standard output, without blanks at the ends of lines. COLUMNS says how wide; a terminal knows that itself.
    What cannot be made narrow enough goes on over the edge: a number cut off would be another number."""
    known = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit()
    out = Console(width=None if known else _WIDE, highlight=False, markup=False, emoji=False)
    out.width -= indent
    if isinstance(drawn, Table):
        _fit(drawn, out)
    with out.capture() as captured:
        out.print(drawn, style=style)
    for line in captured.get().splitlines():
        click.echo(" " * indent + line.rstrip() if line.strip() else "")


def table(columns: Sequence[tuple[str, Align]], rows: Sequence[Sequence[str]], *, headed: bool = True) -> Table:
    """Lines of aligned cells; `columns` are (heading, alignment). What is too long goes on in the next line, within its
    column; numbers (what is aligned on the right) neither fold nor are cut, only their headings fold."""
    looks: Any = {"box": SIMPLE_HEAD if headed else None, "padding": (0, 1 if headed else 2, 0, 0)}
    drawn = Table(pad_edge=False, show_edge=False, show_header=headed, **looks)
    for place, (heading, align) in enumerate(columns):
        narrowest = _narrowest(heading, [one_line(row[place]) for row in rows], align)
        drawn.add_column(Text(heading, "bold"), justify=align, overflow="fold", min_width=narrowest)
    for row in rows:
        drawn.add_row(*(Text(one_line(cell)) for cell in row))
    return drawn


def _narrowest(heading: str, cells: Sequence[str], align: Align) -> int:
    """The width below which a number would be cut, or a text be broken into letters."""
    if align == "right":
        return max(map(cell_len, cells), default=0)
    return min(_LABEL, max((cell_len(word) for text in (heading, *cells) for word in text.split()), default=0))


def _fit(drawn: Table, out: Console) -> None:
    """Take from the widest columns what the terminal lacks, from none below its least. Left to itself, the library
    takes from all evenly, down to nothing; where the least of all is too wide, the terminal wraps the lines."""
    least = [column.min_width or 0 for column in drawn.columns]
    widths = [
        max(low, 1, *(out.measure(cell).maximum for cell in (column.header, *column.cells)))
        for low, column in zip(least, drawn.columns, strict=True)
    ]
    gaps = _GAP * (len(widths) - 1)
    while sum(widths) + gaps > out.width and (wide := [at for at, low in enumerate(least) if widths[at] > low]):
        widths[max(wide, key=widths.__getitem__)] -= 1
    for column, width in zip(drawn.columns, widths, strict=True):
        column.width = width
    out.width = max(out.width, sum(widths) + gaps)


@contextmanager
def progress(connection: str) -> Iterator[Progress]:
    """A bar per step on standard error if somebody is looking at it; else a line of log now and then."""
    if not sys.stderr.isatty():
        yield _lines(connection)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    looks = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*looks, console=Console(stderr=True)) as bars:
        yield _moves(bars, connection)


def _lines(connection: str) -> Progress:
    told_at = time.monotonic()

    def move(step: Step, what: str, done: int, of: int | None) -> None:
        nonlocal told_at
        if time.monotonic() - told_at >= _TELL_S:
            told_at = time.monotonic()
            logger.info("still_working", connection=connection, step=step, what=what, done=done, of=of)

    return move


def _moves(bars: Any, connection: str) -> Progress:
    tasks: dict[tuple[Step, str], Any] = {}

    def move(step: Step, what: str, done: int, of: int | None) -> None:
        if (step, what) not in tasks:
            tasks[step, what] = bars.add_task(f"{connection} · {_STEPS[step]} {what}", total=of)
        bars.update(tasks[step, what], completed=done, total=of if of is not None else max(done, 1))

    return move
