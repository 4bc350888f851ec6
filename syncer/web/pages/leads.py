"""The list of leads, and the same as a file."""

from __future__ import annotations

import base64
import codecs
import csv
import io
import tempfile
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import orjson
from pydantic import AfterValidator, Field, StringConstraints, model_validator

from syncer.app import App
from syncer.handoff.text import one_line
from syncer.queries import leads
from syncer.queries.leads import LeadRow, Wish
from syncer.settings.values import Language
from syncer.sheets.cells import Cell
from syncer.sheets.writing import DIALECTS, Column, csv_text, write_table
from syncer.store.cards import LONGEST
from syncer.store.listing import UNSCORED, Place
from syncer.web.masking import masked
from syncer.web.phrases import phrase
from syncer.web.rendering import templates
from syncer.web.views import Asked, Asking, Beat, Download, View

MOST_IN_A_BOOK = 100_000  # leads of a workbook; one of them takes a processor a quarter of a minute

Sort = Literal["score", "since", "name"]
Text = Annotated[str, StringConstraints(max_length=LONGEST)]
Points = Annotated[float, Field(ge=-1e9, le=1e9, allow_inf_nan=False)]

_LARGEST = -UNSCORED  # number of a place
_PART_BYTES = 1 << 16
_HELD = ("person", "protected", "veto")  # beside "rules"


def _is_cursor(text: str) -> str:
    _cursor(text)
    return text


def _cursor(text: str) -> tuple[Sort, list[int]]:
    """The order that it belongs to, and the place: key, lead, and 1 where that lead is met, too. There is no key by
    name: it may be an address, so the lead alone stands for it. ValueError."""
    try:
        sort, *numbers = orjson.loads(base64.urlsafe_b64decode(text))
        fits = sort in get_args(Sort) and len(numbers) == (2 if sort == "name" else 3)
        fits = fits and all(type(each) is int and abs(each) <= _LARGEST for each in numbers)
    except (ValueError, TypeError):
        fits = False
    if not fits:
        raise ValueError("this is no place in a list: take it as an answer gives it, or leave it out")
    return sort, numbers


def _told(sort: Sort, place: Place | None) -> str | None:
    if place is None:
        return None
    key = () if sort == "name" else (place.key,)
    return base64.urlsafe_b64encode(orjson.dumps([sort, *key, place.lead, int(place.included)])).decode()


def _place(app: App, cursor: str) -> Place | None:
    """None: the lead that stood for it is gone."""
    _, (*key, lead, included) = _cursor(cursor)
    place = Place(key[0], lead) if key else leads.place_by_name(app, lead)
    return place and replace(place, included=bool(included))


Cursor = Annotated[str, StringConstraints(max_length=2_000), AfterValidator(_is_cursor)]


class Filters(Asked):
    """Which leads, in which order."""

    q: Text = ""  # beginnings of words of names and addresses; a domain; a whole address; a record's id
    connection: Text | None = None
    stage: tuple[Text, ...] = Field(default=(), max_length=20)
    owner: Text | None = None
    source: Text | None = None
    score_from: Points | None = None
    score_to: Points | None = None
    moved: Annotated[int, Field(ge=1, le=36_500)] | None = None  # within so many days
    sort: Sort = "score"

    def address(self, path: str = "/leads", **changes: Any) -> str:
        """Where the same is shown but for these changes, from its first page on."""
        asked = self.model_dump(exclude={"after", "before"}, exclude_defaults=True) | changes
        query = urlencode({name: value for name, value in asked.items() if value not in (None, "")}, doseq=True)
        return f"{path}?{query}" if query else path

    @property
    def any(self) -> bool:
        """Whether anything but the order is asked for."""
        return bool(self.model_dump(exclude={"after", "before", "sort"}, exclude_defaults=True))


class AskedLeads(Filters):
    """A page of them: the one behind `after`, or before `before`, as the answer before has told it."""

    after: Cursor | None = None
    before: Cursor | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.after and self.before:
            raise ValueError("'after' and 'before' are two pages: give one of them")
        if (place := self.after or self.before) and _cursor(place)[0] != self.sort:
            raise ValueError(f"this place belongs to another order than 'sort={self.sort}'")
        return self


@dataclass(frozen=True, slots=True)
class Leads:
    """`count`: of all that fit, where it is known; `at_least`: there may be more. `passed_over`: so many were looked at
    before it was given up to fill the page, and `after` goes on from there."""

    rows: tuple[LeadRow, ...]
    count: int | None
    at_least: bool
    before: str | None
    after: str | None
    passed_over: int | None
    stages: tuple[str, ...]
    owners: tuple[str, ...]
    sources: tuple[str, ...]
    most_in_a_book: int = MOST_IN_A_BOOK


def _show(asking: Asking, asked: AskedLeads) -> Leads:
    owners, sources = leads.owners(asking.app), leads.sources(asking.app)
    given = asked.before or asked.after
    place = _place(asking.app, given) if given else None  # gone: the list begins anew
    back = asked.before is not None and place is not None
    found = leads.page(asking.app, _wish(asking, asked, owners), asked.sort, place, back=back)
    return Leads(
        rows=found.rows,
        count=found.count,
        at_least=found.count == leads.COUNTED,
        before=_told(asked.sort, found.before),
        after=_told(asked.sort, found.behind),
        passed_over=found.passed_over,
        stages=asking.app.project.stages,
        owners=owners,
        sources=sources,
    )


def _wish(asking: Asking, asked: Filters, owners: Sequence[str]) -> Wish:
    """Who sees addresses in part chooses an owner by what is shown of it, and finds nobody by what is not."""
    chosen: tuple[str, ...] = () if asked.owner is None else (asked.owner,)
    if asking.who.masked and chosen:
        chosen = (*chosen, *(each for each in owners if masked(each) == asked.owner))
    return Wish(
        text=asked.q,
        connection=asked.connection,
        stages=asked.stage,
        owners=chosen,
        source=asked.source,
        least_hundredths=_hundredths(asked.score_from),
        most_hundredths=_hundredths(asked.score_to),
        moved_within=timedelta(days=asked.moved) if asked.moved is not None else None,
        openly=asking.who.masked,
    )


def _hundredths(points: float | None) -> int | None:
    return None if points is None else round(points * 100)


# As a file


def _name(ending: str) -> Any:
    def named(asking: Asking) -> str:
        day = asking.app.clock().astimezone(ZoneInfo(asking.app.project.timezone))
        return f"leads-{day:%Y-%m-%d}.{ending}"

    return named


def _as_csv(asking: Asking, asked: Filters, language: Language, beat: Beat) -> Generator[bytes, None, None]:
    """In the order in which leads came, so that nobody is missing who moves meanwhile."""
    return _parts_of_csv(_every(asking, asked, beat, in_order=False), asking, language)


def _parts_of_csv(
    found: Iterator[tuple[LeadRow, ...]], asking: Asking, language: Language
) -> Generator[bytes, None, None]:
    dialect = DIALECTS[language]
    encode = codecs.getincrementalencoder(dialect.encoding)("replace").encode
    text = io.StringIO(newline="")
    table = csv.writer(text, delimiter=dialect.separator, lineterminator="\r\n")
    table.writerow([csv_text(each.heading) for each in _columns(language)])
    for rows in found:
        table.writerows([csv_text(cell, dialect.decimal) for cell in _cells(row, asking, language)] for row in rows)
        if text.tell() >= _PART_BYTES:
            yield encode(text.getvalue())
            text.seek(0)
            text.truncate()
    yield encode(text.getvalue())


def _as_workbook(asking: Asking, asked: Filters, language: Language, beat: Beat) -> Generator[bytes, None, None]:
    """In the order that was asked for: of too many the first ones are there, and the last row says so."""
    rows = _rows_of_a_book(_every(asking, asked, beat, in_order=True), asking, language)
    return _parts_of_book(rows, language)


def _parts_of_book(rows: Iterator[list[Cell]], language: Language) -> Generator[bytes, None, None]:
    with tempfile.TemporaryDirectory(prefix="syncer-") as folder:
        path = Path(folder) / "leads.xlsx"
        write_table(path, _columns(language), rows, language=language)
        with path.open("rb") as book:
            while part := book.read(_PART_BYTES):
                yield part


def _rows_of_a_book(found: Iterator[tuple[LeadRow, ...]], asking: Asking, language: Language) -> Iterator[list[Cell]]:
    seen: set[int] = set()  # who has moved meanwhile may be met again
    for rows in found:
        for row in rows:
            if row.lead in seen:
                continue
            if len(seen) == MOST_IN_A_BOOK:
                number = templates(language, asking.app.project.timezone).filters["number"]
                said = phrase(language, "leads_cut", count=number(MOST_IN_A_BOOK))
                yield [said, *[None] * (len(_columns(language)) - 1)]
                return
            seen.add(row.lead)
            yield _cells(row, asking, language)


def _every(asking: Asking, asked: Filters, beat: Beat, *, in_order: bool) -> Iterator[tuple[LeadRow, ...]]:
    wish = _wish(asking, asked, leads.owners(asking.app))
    found = leads.every(asking.app, wish, asked.sort if in_order else "number", beat)
    return map(masked, found) if asking.who.masked else found


def _columns(language: Language) -> list[Column]:
    names = ("name", "email", "stage", "held_by", "score", "owner", "since", "source", "connection", "number")
    return [Column(phrase(language, f"leads_{name}"), "points" if name == "score" else "plain") for name in names]


def _cells(row: LeadRow, asking: Asking, language: Language) -> list[Cell]:
    held = phrase(language, f"leads_held_{row.held_by}") if row.held_by in _HELD else None
    return [
        *(_plain(each) for each in (row.name, row.email, row.stage)),
        held,
        None if row.total_hundredths is None else row.total_hundredths / 100,
        _plain(row.owner),
        _local(row.since, asking.app.project.timezone),
        *(_plain(each) for each in (row.source, row.connection)),
        row.lead,
    ]


def _plain(text: str | None) -> str | None:
    return one_line(text) if text else None


def _local(moment: datetime | None, timezone: str) -> datetime | None:
    """As a clock on the wall shows it: spreadsheets know no time zones."""
    return None if moment is None else moment.astimezone(ZoneInfo(timezone)).replace(tzinfo=None, microsecond=0)


_TYPES: Mapping[str, str] = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
VIEWS = (View("/leads", "leads", AskedLeads, Leads, _show),)
DOWNLOADS = (
    Download("/leads.csv", _name("csv"), _TYPES["csv"], Filters, _as_csv),
    Download("/leads.xlsx", _name("xlsx"), _TYPES["xlsx"], Filters, _as_workbook),
)
