"""Bulk query jobs: what they refuse, how they are carried out, and their pages of results."""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from connectors.emulators.salesforce.errors import Refusal
from connectors.emulators.salesforce.http.bulk_jobs import Job, format_of, page
from connectors.emulators.salesforce.http.instance import Instance
from connectors.emulators.salesforce.http.rest import Call
from connectors.emulators.salesforce.http.wire import CSV_TYPE, Answer
from connectors.emulators.salesforce.ids import new_id
from connectors.emulators.salesforce.org import Caller, Result
from connectors.emulators.salesforce.soql.ast import Name, Query, Selected, TypeOf
from connectors.emulators.salesforce.soql.parser import parse

MOST_PARALLEL = 5  # addresses of result pages at once
UNSUPPORTED = frozenset(("ActivityHistory", "OpenActivity", "CampaignMemberStatus", "CaseStatus", "LeadStatus"))
_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})\+0000")


def create(call: Call) -> Answer:
    """POST /jobs/query."""
    body = call.fields()
    operation, soql = body.get("operation"), body.get("query")
    if operation not in ("query", "queryAll"):
        raise Refusal(400, "INVALIDJOB", f"InvalidJob : {operation} is not a valid operation of a query job")
    if not isinstance(soql, str) or not soql.strip():
        raise Refusal(400, "INVALIDJOB", "InvalidJob : No query was given")
    delimiter, ending = format_of(body)
    result = _run(call.instance, soql, operation == "queryAll", call.caller, call.version)
    query = parse(soql)[0]
    _refuse_unsupported(call, query, result)
    call.instance.usage.use_query_job(call.now_s)
    columns = tuple(_columns(call, query, result.object))
    job = Job(
        new_id("750", next(call.instance.job_numbers)), operation, result.object, call.version, call.session.user_id,
        call.org.clock.stamp(), "UploadComplete", delimiter, ending, query=soql, columns=columns,
    )  # fmt: skip
    call.instance.jobs[job.id] = job
    return Answer(200, job.shown(whole=False))


def _run(instance: Instance, soql: str, all_rows: bool, caller: Caller, version: str) -> Result:
    return instance.org.query(soql, all_rows=all_rows, caller=caller, version=version)


def _refuse_unsupported(call: Call, query: Query, result: Result) -> None:
    """What a bulk query may not contain."""
    if result.object in UNSUPPORTED:
        raise Refusal(400, "INVALIDENTITY", f"Entity '{result.object}' is not supported by the Bulk API.")
    if any(isinstance(each, Query) for each in query.select):
        raise Refusal(400, "API_ERROR", "Aggregate Relationships not supported in Bulk Query")
    if any(isinstance(each, TypeOf) for each in query.select):
        raise Refusal(400, "API_ERROR", "TYPEOF not supported in Bulk Query")
    if result.kind != "records" or query.group is not None:
        raise Refusal(400, "API_ERROR", "Grouped and aggregate queries not supported in Bulk Query")
    if query.offset:
        raise Refusal(400, "API_ERROR", "OFFSET not supported in Bulk Query")
    _refuse_compound(call, query, result.object)


def _refuse_compound(call: Call, query: Query, name: str) -> None:
    fields = _fields(call, name)
    compound = {each["name"].lower() for each in fields if each["type"] in ("address", "location")}
    for each in query.select:
        expression = each.expression if isinstance(each, Selected) else None
        if isinstance(expression, Name) and expression.path[-1].lower() in compound:
            raise Refusal(400, "API_ERROR", "Selecting compound data not supported in Bulk Query")


def _fields(call: Call, name: str) -> list[Mapping[str, Any]]:
    described: Any = call.org.describe(name, call.version, call.caller)["fields"]
    return list(described)


def _columns(call: Call, query: Query, name: str) -> Iterator[str]:
    """The header, in canonical names; FIELDS(...) is spelt out."""
    fields = _fields(call, name)
    for each in query.select:
        expression = each.expression if isinstance(each, Selected) else None
        if isinstance(expression, Name):
            path = expression.path
            aliased = path[0].lower() in (query.source.alias.lower(), query.source.name.lower()) and len(path) > 1
            yield _canonical(call, fields, path[1:] if aliased else path)
        elif expression is not None and isinstance(expression.arguments[0], Name):
            yield from _kind(fields, expression.arguments[0].text.upper())


def _kind(fields: list[Mapping[str, Any]], kind: str) -> Iterator[str]:
    for each in fields:
        if kind == "ALL" or each["custom"] is (kind == "CUSTOM"):
            yield each["name"]


def _canonical(call: Call, fields: list[Mapping[str, Any]], path: tuple[str, ...]) -> str:
    """A path with the names that describes give; what they do not know stays as it was written."""
    if len(path) == 1:
        return next((str(each["name"]) for each in fields if each["name"].lower() == path[0].lower()), path[0])
    for each in fields:
        relationship = each.get("relationshipName")
        if relationship and str(relationship).lower() == path[0].lower():
            there = _fields(call, each["referenceTo"][0])
            return f"{relationship}.{_canonical(call, there, path[1:])}"
    return ".".join(path)


def carry_out(instance: Instance, job: Job) -> None:
    """Run the query and keep its lines, in chunks of any order unless the query orders them itself."""
    caller = Caller(user_id=job.user_id)
    try:
        result = _run(instance, job.query, job.operation == "queryAll", caller, job.version)
    except Refusal as refusal:  # a field may have gone since the job was made
        job.state, job.error = "Failed", f"{refusal.code}: {refusal.message}"
        return
    paths = [each.split(".") for each in job.columns]
    records = result.page(0, result.total_size)
    job.rows = [job.line(_cell(row, path) for path in paths) for row in records]
    if not parse(job.query)[0].order:
        job.rows = _shuffled(job.rows, instance.manners.bulk_chunk, job.id)
    job.state = "JobComplete"


def _shuffled(rows: list[str], size: int, seed: str) -> list[str]:
    chunks = [rows[at : at + size] for at in range(0, len(rows), size)]
    Random(seed).shuffle(chunks)
    return [row for chunk in chunks for row in chunk]


def _cell(row: Mapping[str, Any], path: list[str]) -> str:
    """A value as Bulk writes it: nothing for null, times with a Z."""
    value: Any = row
    for each in path:
        value = value.get(each) if isinstance(value, Mapping) else None
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        matched = _STAMP.fullmatch(value)
        return f"{matched[1]}Z" if matched else value
    return str(value)


def results(call: Call, job: Job) -> Answer:
    """GET .../results?maxRecords=&locator="""
    _refuse_unfinished(job)
    most = call.word("maxRecords") or str(call.instance.manners.bulk_page)
    if not most.isdigit() or int(most) < 1:
        raise Refusal(400, "INVALIDJOB", f"maxRecords must be a positive number: {most}")
    start = _offset(call.word("locator"), len(job.rows))
    rows, following = page(job.rows, start, int(most))
    heads = [job.line(job.columns)] if call.instance.manners.bulk_headers or start == 0 else []
    headers = {
        "content-type": CSV_TYPE, "sforce-locator": _locator(following), "sforce-numberofrecords": str(len(rows)),
    }  # fmt: skip
    return Answer(200, job.text([*heads, *rows]), headers, gzip_alone=True)


def _refuse_unfinished(job: Job) -> None:
    if job.state != "JobComplete":
        raise Refusal(400, "INVALIDJOBSTATE", f"Results are not available: the job is in the state {job.state}")


def _locator(offset: str) -> str:
    return offset if offset == "null" else base64.b64encode(offset.encode()).decode()


def _offset(locator: str, total: int) -> int:
    if not locator:
        return 0
    try:
        offset = int(base64.b64decode(locator, validate=True))
    except (binascii.Error, ValueError) as error:
        raise Refusal(400, "INVALID_QUERY_LOCATOR", f"invalid query locator: {locator}") from error
    if not 0 <= offset < total:
        raise Refusal(400, "INVALID_QUERY_LOCATOR", f"invalid query locator: {locator}")
    return offset


def result_pages(call: Call, job: Job) -> Answer:
    """GET .../resultPages: up to five addresses that may be read side by side."""
    _refuse_unfinished(job)
    if call.version != job.version:
        raise Refusal(409, "API_VERSION_MISMATCH", f"The job was created in API version {job.version}")
    size, start = call.instance.manners.bulk_page, _offset(call.word("locator"), max(len(job.rows), 1))
    starts = range(start, max(len(job.rows), 1), size)
    here = f"{call.root}/jobs/query/{job.id}"
    pages = [{"resultUrl": f"{here}/results?locator={_locator(str(at))}"} for at in starts[:MOST_PARALLEL]]
    following = starts[MOST_PARALLEL] if len(starts) > MOST_PARALLEL else None
    body: dict[str, Any] = {"resultPages": pages, "done": following is None}
    if following is not None:
        body["nextRecordsUrl"] = f"{here}/resultPages?locator={_locator(str(following))}"
    return Answer(200, body)
