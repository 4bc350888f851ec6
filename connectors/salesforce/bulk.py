"""The Bulk API 2.0, for the first load of an object: a job that Salesforce works off, and its pages of CSV.

The results come in no order that we could rely on, and stay for a week.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from connectors.salesforce.client import Answer, Client, Incomplete, Request
from connectors.salesforce.position import Load
from connectors.salesforce.refusals import Refused
from connectors.salesforce.selection import SYSTEM, Row, Selection
from syncer.errors import ConfigError, TemporaryError

csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # a long text area may hold 131,072 letters, which is csv's limit

PAGE = 5_000  # records asked for in one page of results
_LAST = "null"  # what Salesforce says in place of the last page's locator, as a text
_GONE = frozenset({"NOT_FOUND", "INVALID_ID_FIELD", "INVALIDJOBID", "INVALID_QUERY_LOCATOR", "ENTITY_IS_DELETED"})
_OVER = frozenset({"Failed", "Aborted"})


class NotByBulk(Exception):
    """The Bulk API does not read this; REST may."""


class JobGone(Exception):
    """The job, or its place, is not known any more: it must be begun anew."""


@dataclass(frozen=True, slots=True)
class Results:
    """One page of a job's results, and where the next one is; None: it was the last."""

    rows: Sequence[Row]
    following: str | None


def begin(client: Client, what: str, soql: str) -> str:
    """The id of a new job. `Refused` where a field cannot be read, `NotByBulk` where it is about something else."""
    body = {
        "operation": "queryAll",
        "query": soql,
        "contentType": "CSV",
        "columnDelimiter": "COMMA",
        "lineEnding": "LF",
    }
    try:
        answer = client.ask(Request(f"{what} by the Bulk API", "POST", "/jobs/query", body=body))
    except Refused as refused:
        if "INVALID_FIELD" in refused.codes:
            raise
        raise NotByBulk(refused.message) from refused
    except ConfigError as error:
        if error.code != "SY142":
            raise
        raise NotByBulk(error.message) from error
    identity = answer.body.get("id") if isinstance(answer.body, dict) else None
    if not identity:
        raise TemporaryError(f"{client.name}: {what}: Salesforce tells no id of the job", code="SY143")
    return str(identity)


def is_ready(client: Client, what: str, job: str) -> bool:
    """Whether its results are there. `NotByBulk` where it has failed, `JobGone`."""
    try:
        answer = client.ask(Request(f"looking at the job for {what}", "GET", f"/jobs/query/{job}"))
    except Refused as refused:
        raise _gone(refused) from refused
    told = answer.body if isinstance(answer.body, dict) else {}
    if told.get("state") in _OVER:
        raise NotByBulk(f"the job is {told['state']}: {str(told.get('errorMessage') or 'it does not say why')[:200]}")
    return told.get("state") == "JobComplete"


def results(client: Client, what: str, selection: Selection, place: Load) -> Results:
    """The page of results at this place. `JobGone`; TemporaryError where it is broken off again and again."""
    job, locator = str(place.job), place.locator
    query = {"maxRecords": str(PAGE), **({"locator": locator} if locator else {})}
    request = Request(
        f"{what} by the Bulk API", "GET", f"/jobs/query/{job}/results", query=query, wants="text",
        headers={"Accept-Encoding": "gzip"},  # anything beside gzip and it is not compressed
    )  # fmt: skip

    def once() -> Results:
        try:
            answer = client.ask(request)
        except Refused as refused:
            raise _gone(refused) from refused
        return _understood(answer, selection, f"{client.name}: {what}")

    return client.anew(once)


def _gone(refused: Refused) -> Exception:
    return JobGone(refused.message) if refused.status == 404 or refused.codes & _GONE else refused


def _understood(answer: Answer, selection: Selection, what: str) -> Results:
    """Each page begins with the names of its columns, or does not: then they are as they were asked for."""
    text, asked = str(answer.body or ""), selection.names
    try:
        lines = [line for line in csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True) if line]
    except csv.Error as error:
        raise Incomplete(f"{what}: the results of a bulk job are broken off: {error}", code="SY143") from error
    if lines and set(SYSTEM) <= set(lines[0]):
        asked, lines = tuple(lines[0]), lines[1:]
    told = answer.headers.get("Sforce-NumberOfRecords")
    if told is not None and told.isdecimal() and int(told) != len(lines):
        raise Incomplete(f"{what}: a page of a bulk job holds {len(lines)} of {told} records", code="SY143")
    if (lines and len(lines[0]) != len(asked)) or not selection.fits(asked):
        raise JobGone("the job was begun for other fields")
    if not set(map(len, lines)) <= {len(asked)}:
        raise Incomplete(f"{what}: the results of a bulk job are broken off: a line lacks cells", code="SY143")
    following = answer.headers.get("Sforce-Locator") or _LAST
    return Results(selection.cells(asked, lines), None if following == _LAST else following)
