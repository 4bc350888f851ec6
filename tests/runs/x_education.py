"""The recorded leads of an online education company, as contacts of a HubSpot portal after an import of their table.

The table is not ours to pass on: it is read where it lies, and no row of it stands here. What people wrote into it
once they knew how a lead ended (tags, quality, profile, the company's own scores) is not imported; the outcome is read
by itself, to measure with.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

TABLE = Path(__file__).parents[2].parent / "shared" / "data" / "x_education.csv"
"""Beside the project's folder; absent where nobody has put it there."""

GROUP = "x_education"
GROUP_LABEL = "Education business"
DOMAIN = "leads.example"  # reserved: no mail can ever reach it
_NOT_GIVEN = ("", "Select")  # "Select" is what a form's list shows before anybody chooses


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table and the contact property it is imported into."""

    title: str  # in the table
    name: str
    label: str
    type: Literal["string", "number"] = "string"
    standard: bool = False  # every portal has it already

    def definition(self) -> dict[str, str]:
        """What the properties API takes to create it."""
        field_type = "number" if self.type == "number" else "text"
        return {
            "name": self.name,
            "label": self.label,
            "type": self.type,
            "fieldType": field_type,
            "groupName": GROUP,
        }


COLUMNS = (
    Column("Lead Origin", "lead_origin", "Lead origin"),
    Column("Lead Source", "lead_source", "Lead source"),
    Column("Do Not Email", "do_not_email", "Do not e-mail"),
    Column("Do Not Call", "do_not_call", "Do not call"),
    Column("TotalVisits", "total_visits", "Total visits", "number"),
    Column("Total Time Spent on Website", "total_time_on_website", "Total time on website (s)", "number"),
    Column("Page Views Per Visit", "page_views_per_visit", "Page views per visit", "number"),
    Column("Last Activity", "last_activity", "Last activity"),
    Column("Country", "country", "Country/Region", standard=True),
    Column("City", "city", "City", standard=True),
    Column("Specialization", "specialization", "Specialization"),
    Column("How did you hear about X Education", "how_did_you_hear", "How did you hear about us"),
    Column("What is your current occupation", "current_occupation", "Current occupation"),
    Column("What matters most to you in choosing a course", "what_matters_most", "What matters most in a course"),
    Column("Through Recommendations", "through_recommendations", "Through recommendations"),
    Column("A free copy of Mastering The Interview", "free_copy_of_mastering_the_interview", "Wants the free book"),
)


@dataclass(frozen=True, slots=True)
class StageShare:
    """How the leads of one stage ended."""

    stage: str
    leads: int
    converted: int

    @property
    def share(self) -> float:
        """Converted of all, 0 to 1; 0 where the stage is empty."""
        return self.converted / self.leads if self.leads else 0.0


def definitions() -> tuple[dict[str, str], ...]:
    """The properties to create before the import, as the properties API takes them."""
    return tuple(column.definition() for column in COLUMNS if not column.standard)


def email_of(row: Mapping[str, str]) -> str:
    """One address for each lead, made of its id; KeyError for a row without one."""
    return f"{row['Prospect ID'].strip().lower()}@{DOMAIN}"


def contact_of(row: Mapping[str, str]) -> dict[str, str]:
    """The contact's properties by name, as texts; what was not given is left out."""
    given = {column.name: row.get(column.title, "").strip() for column in COLUMNS}
    return {"email": email_of(row), **{name: value for name, value in given.items() if value not in _NOT_GIVEN}}


def rows(path: Path) -> Iterator[dict[str, str]]:
    """The table's rows by column title."""
    with path.open(encoding="utf-8", newline="") as table:
        yield from csv.DictReader(table)


def outcomes(table: Iterable[Mapping[str, str]]) -> dict[str, bool]:
    """E-mail address -> did the lead convert in the end? Never shown to the CRM."""
    return {email_of(row): row["Converted"] == "1" for row in table}


def converted_share(
    stages: Mapping[str, str], converted: Mapping[str, bool], order: Iterable[str]
) -> tuple[StageShare, ...]:
    """For each stage in the order given: its leads, and how many of them converted.

    Both mappings are keyed by e-mail address. KeyError for a lead without a known outcome; ValueError for a lead in a
    stage that the order does not name, since a share that leaves leads out says nothing.
    """
    named = tuple(order)
    ended: dict[str, list[bool]] = {stage: [] for stage in named}
    for email, stage in stages.items():
        if stage not in ended:
            raise ValueError(f"{email} stands in {stage}, which is none of {', '.join(named)}")
        ended[stage].append(converted[email])
    return tuple(StageShare(stage, len(ended[stage]), sum(ended[stage])) for stage in named)


def base_rate(converted: Mapping[str, bool]) -> float:
    """Converted of all leads, 0 to 1."""
    return sum(converted.values()) / len(converted)
