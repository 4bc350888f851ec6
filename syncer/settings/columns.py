"""Which column of a table gives which field of the model, for tables of leads that come from no CRM."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator

from syncer.settings.checking import validated
from syncer.settings.models import Section
from syncer.settings.problems import Mistake
from syncer.settings.shapes import FieldName
from syncer.settings.source import Report, read_yaml


@dataclass(frozen=True, slots=True)
class Columns:
    """A column that is not named gives the field called like its heading, in lower case and with _ for the rest."""

    fields: Mapping[str, str] = field(default_factory=dict)  # heading -> field
    not_given: frozenset[str] = frozenset()  # texts that mean an empty cell, beside the empty one


class _ColumnsFile(Section):
    columns: dict[str, FieldName] = {}  # noqa: RUF012  # pydantic copies it
    not_given: Annotated[tuple[str, ...], BeforeValidator(lambda raw: [raw] if isinstance(raw, str) else raw)] = ()


def load_columns(path: Path) -> Columns:
    """A mapping file; `SettingsError` with everything that is wrong with it."""
    report = Report(path.parent)
    source = read_yaml(path, report)
    shape = validated(_ColumnsFile, source.value, (report, source, ())) if source is not None else None
    seen: dict[str, str] = {}
    for heading, name in (shape.columns if shape is not None else {}).items():
        if name in seen and source is not None:
            report.add(source, Mistake(("columns", heading), f"'{seen[name]}' gives {name} already", code="SY010"))
        seen.setdefault(name, heading)
    report.raise_if_any()
    if shape is None:
        raise AssertionError("a file without problems gives columns")
    return Columns(shape.columns, frozenset(shape.not_given))
