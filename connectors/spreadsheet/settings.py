"""The spreadsheet section of a project file, as values."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from pathlib import PurePath
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from syncer.sheets.cells import Habits

_STREAM = re.compile(r"[a-z][a-z0-9_]{0,39}")
PEOPLE = "leads"


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Texts = Annotated[tuple[str, ...], BeforeValidator(_listed, json_schema_input_type=str | tuple[str, ...])]

USUAL: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "email": (
            *("E-mail", "Email", "Mail", "E-mail address", "Email address", "Work email", "Business email"),
            *("Correo", "Correo electrónico", "Correo electronico", "Correo-e", "Dirección de correo electrónico"),
            *("Dirección de correo", "Correo corporativo", "Email corporativo", "Email de contacto"),
        ),
        "name": ("Name", "Full name", "Contact name", "Contact", "Nombre", "Nombre completo", "Nombre y apellidos"),
        "owner": ("Owner", "Lead owner", "Contact owner", "Sales rep", "Propietario", "Comercial", "Responsable"),
        "manual_stage": ("Manual stage", "Etapa manual"),
        "manual_reason": ("Manual reason", "Motivo", "Motivo manual"),
        "manual_author": ("Manual author", "Por", "Autor manual"),
        "manual_until": ("Manual until", "Hasta", "Hasta (manual)"),
    }
)
"""Under which headings a column is taken where the settings name none; case does not matter, the first one counts. The
last three only beside a column of the fourth."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Write(_Section):
    """Where score, stage and reasons go."""

    in_place: bool = Field(
        default=False,
        description="true: into columns of the file itself (CSV, and .xlsx of up to 5,000 rows); false: into a copy "
        "beside it, leads.scored.xlsx for leads.xlsx",
    )


class ManualColumns(_Section):
    """Columns in which people choose a stage by hand, which then stands over the rules."""

    stage: str | None = Field(
        default=None, description="Heading of the stage chosen by hand; left out: 'Etapa manual' or 'Manual stage'"
    )
    reason: str | None = Field(default=None, description="Heading of why; left out: 'Motivo' or 'Manual reason'")
    author: str | None = Field(
        default=None,
        description="Heading of by whom; left out: 'Por' or 'Manual author', else who saved the workbook last",
    )
    until: str | None = Field(
        default=None,
        description="Heading of the last day on which it holds; left out: 'Hasta' or 'Manual until'",
    )


class ActivityTable(_Section):
    """A table in which every row is something that a person did."""

    path: Texts = Field(min_length=1, description="File or files, as for the leads; calls-*.csv takes several")
    sheet: str | None = Field(
        default=None, description="Sheet of the workbook; left out: the first that has the columns"
    )
    kind: str | None = Field(default=None, description="What every row is, as the rules call it: call, meeting, visit")
    kind_column: str | None = Field(default=None, description="Heading of the column that says what each row is")
    at: str = Field(min_length=1, description="Heading of the column with the date, or date and time")
    person: str = Field(min_length=1, description="Heading of the column with the person's key or e-mail")
    id: str | None = Field(
        default=None,
        description="Heading of a column that names each row for good; left out, an edited row counts as another",
    )
    fields: dict[str, str] = Field(
        default_factory=dict, description="Field of the activity in the scoring model -> heading of its column"
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.kind is None) == (self.kind_column is None):
            raise ValueError("either `kind` or `kind_column` is needed, and not both")
        return self


class Settings(_Section):
    """Leads in CSV files and workbooks."""

    type: Literal["spreadsheet"] = Field(default="spreadsheet", description="The kind of CRM")
    path: Texts = Field(
        default=(),
        description="File or files with the leads, from the project file's folder: leads.xlsx, or exports/*.csv, or a "
        "list. Left out: the people of the activities are the leads",
    )
    sheet: str | None = Field(
        default=None, description="Sheet of the workbook; left out: the first that has the columns"
    )
    key: str | None = Field(
        default=None, description="Heading of the column that names each lead for good; left out: the e-mail"
    )
    email: str | None = Field(default=None, description="Heading of the e-mail; left out: found by its usual names")
    name: str | None = Field(default=None, description="Heading of the person's name; left out: found likewise")
    owner: str | None = Field(default=None, description="Heading of the salesperson's e-mail; left out: found likewise")
    fields: dict[str, str] = Field(
        default_factory=dict,
        description="Field in the scoring model -> heading of its column. Left out: the column whose heading is the "
        "field's name but for case, spaces and signs ('Total visits' is total_visits)",
    )
    not_given: Texts = Field(default=(), description="Texts that mean an empty cell, for instance Select or N/A")
    encoding: str | None = Field(
        default=None, description="Encoding of CSV files, for instance cp1252; left out: found out"
    )
    separator: str | None = Field(default=None, description="Separator of CSV files; left out: found out")
    decimal: Literal[",", "."] | None = Field(
        default=None,
        description="Decimal sign in numbers that are text; left out: a comma where ; separates, else a point",
    )
    date_format: Literal["dmy", "mdy", "ymd"] = Field(
        default="dmy",
        description="Order of day, month and year in dates that are text: dmy reads 03/11/2026 as 3 November",
    )
    missing: Literal["kept", "deleted"] = Field(
        default="kept",
        description="What becomes of a lead whose row is not in the files any more: kept: nothing; deleted: it is gone",
    )
    manual: ManualColumns = Field(
        default_factory=ManualColumns, description="Columns in which people choose a stage by hand"
    )
    write: Write | Literal[False] = Field(
        default_factory=Write, description="Where score, stage and reasons go; false: nowhere"
    )
    activities: dict[str, ActivityTable] = Field(
        default_factory=dict, description="Tables of what people did, each under a name of your choice"
    )

    @property
    def writes(self) -> bool:
        """Whether anything may be written; it needs rows of leads to be written to."""
        return self.write is not False and bool(self.path)

    @property
    def habits(self) -> Habits:
        return Habits(self.encoding, self.separator, self.decimal, self.date_format)

    @field_validator("encoding", mode="after")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        try:
            return value if value is None else codecs.lookup(value).name
        except LookupError as error:
            raise ValueError("is no encoding; usual ones are utf-8, cp1252 and utf-16") from error

    @field_validator("separator", mode="before")
    @classmethod
    def _one_sign(cls, value: Any) -> Any:
        named = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";"}.get(value, value) if value else value
        if isinstance(named, str) and (len(named) != 1 or named in '"\r\n'):
            raise ValueError("is no separator; write one sign, for instance ';', or tab")
        return named

    @field_validator("activities", mode="after")
    @classmethod
    def _named(cls, value: dict[str, ActivityTable]) -> dict[str, ActivityTable]:
        for name in value:
            if name == PEOPLE or not _STREAM.fullmatch(name):
                raise ValueError(f"'{name}' is no name for a table; use small letters, digits and _, and not {PEOPLE}")
        return value

    @field_validator("path", mode="after")
    @classmethod
    def _sayable(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(not each.strip() or not PurePath(each).name for each in value):
            raise ValueError("names no file; write for instance leads.xlsx or exports/*.csv")
        return value

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.path and not self.activities:
            raise ValueError("`path` is needed: the file with the leads, for instance leads.xlsx")
        return self
