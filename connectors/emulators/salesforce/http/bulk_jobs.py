"""A bulk job, its states, and its rows as CSV."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.emulators.salesforce.errors import Refusal

DELIMITERS: Mapping[str, str] = {
    "BACKQUOTE": "`", "CARET": "^", "COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "TAB": "\t",
}  # fmt: skip
LINE_ENDINGS: Mapping[str, str] = {"LF": "\n", "CRLF": "\r\n"}
csv.field_size_limit(10_000_000)  # a long text area is larger than csv's own default


@dataclass(slots=True)
class Job:
    """One job. `rows` of a query are rendered lines, the header not among them."""

    id: str
    operation: str
    object: str
    version: str
    user_id: str
    created: str
    state: str
    delimiter: str = "COMMA"
    line_ending: str = "LF"
    modified: str = ""
    looks: int = 0  # how often it was asked for since it was handed over
    query: str = ""
    columns: tuple[str, ...] = ()
    rows: list[str] = field(default_factory=list)
    key: str = ""  # externalIdFieldName
    assignment_rule: str = ""
    uploaded: bytes | None = None
    succeeded: list[tuple[str, ...]] = field(default_factory=list)
    failed: list[tuple[str, ...]] = field(default_factory=list)
    unprocessed: list[tuple[str, ...]] = field(default_factory=list)
    error: str = ""

    @property
    def is_query(self) -> bool:
        """Does it read?"""
        return self.operation in ("query", "queryAll")

    def line(self, cells: Iterable[str]) -> str:
        """One line of CSV, every cell in quotes, without its ending."""
        return DELIMITERS[self.delimiter].join(f'"{each.replace(chr(34), chr(34) * 2)}"' for each in cells)

    def text(self, lines: Iterable[str]) -> bytes:
        """Lines as a file."""
        ending = LINE_ENDINGS[self.line_ending]
        return "".join(f"{each}{ending}" for each in lines).encode()

    def shown(self, whole: bool = True) -> dict[str, Any]:
        """The job as the API tells of it; not `whole` as when it was just made."""
        body: dict[str, Any] = {
            "id": self.id, "operation": self.operation, "object": self.object, "createdById": self.user_id,
            "createdDate": self.created, "systemModstamp": self.modified or self.created, "state": self.state,
            "concurrencyMode": "Parallel", "contentType": "CSV", "apiVersion": float(self.version),
            "lineEnding": self.line_ending, "columnDelimiter": self.delimiter,
        }  # fmt: skip
        if not self.is_query:
            body["contentUrl"] = f"services/data/v{self.version}/jobs/ingest/{self.id}/batches"
            body |= {"externalIdFieldName": self.key} if self.key else {}
            body |= {"assignmentRuleId": self.assignment_rule} if self.assignment_rule else {}
        return body | self._progress() if whole else body

    def _progress(self) -> dict[str, Any]:
        done = {"jobType": "V2Query" if self.is_query else "V2Ingest", "retries": 0, "totalProcessingTime": self.looks}
        done["isPkChunkingSupported"] = self.is_query
        done["numberRecordsProcessed"] = len(self.rows) + len(self.succeeded) + len(self.failed)
        if not self.is_query:
            done |= {"numberRecordsFailed": len(self.failed), "apiActiveProcessingTime": 0, "apexProcessingTime": 0}
        return done | {"errorMessage": self.error} if self.error else done


def format_of(body: Mapping[str, Any]) -> tuple[str, str]:
    """(columnDelimiter, lineEnding) of a job's request; 400 for values that are none."""
    delimiter, ending = body.get("columnDelimiter") or "COMMA", body.get("lineEnding") or "LF"
    if delimiter not in DELIMITERS:
        raise Refusal(400, "INVALIDJOB", f"Unsupported columnDelimiter: {delimiter}")
    if ending not in LINE_ENDINGS:
        raise Refusal(400, "INVALIDJOB", f"Unsupported lineEnding: {ending}")
    if str(body.get("contentType") or "CSV").upper() != "CSV":
        raise Refusal(400, "INVALIDJOB", f"Unsupported contentType: {body.get('contentType')}")
    return delimiter, ending


def parse_csv(job: Job, raw: bytes) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """(columns, rows) of an upload; ValueError with the words of a failed job."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError("InvalidBatch : Failed to parse the data: it is not UTF-8") from error
    _refuse_ending(job, text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=DELIMITERS[job.delimiter], strict=True)
    try:
        lines = [tuple(line) for line in reader if line]
    except csv.Error as error:
        raise ValueError(f"InvalidBatch : Failed to parse CSV: {error}") from error
    if not lines:
        return (), []
    columns, rows = lines[0], lines[1:]
    for number, row in enumerate(rows, 2):
        if len(row) > len(columns):
            raise ValueError(f"InvalidBatch : The number of columns does not match the header in line {number}")
    return columns, [row + ("",) * (len(columns) - len(row)) for row in rows]


def _refuse_ending(job: Job, text: str) -> None:
    """The first line must end as the job says."""
    first = text.partition("\n")[0]
    found = "CRLF" if first.endswith("\r") else "LF"
    if "\n" in text and found != job.line_ending:
        message = f"LineEnding is invalid on user data. Current LineEnding setting is {job.line_ending}"
        raise ValueError(f"ClientInputError : {message}")


def page(rows: Sequence[str], start: int, count: int) -> tuple[Sequence[str], str]:
    """(rows of one page, the offset of the next or "null")."""
    end = start + count
    return rows[start:end], str(end) if end < len(rows) else "null"
