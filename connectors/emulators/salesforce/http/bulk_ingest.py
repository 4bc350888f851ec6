"""Bulk ingest jobs: uploads, how they are carried out in chunks of 200, and what became of each row."""

from collections.abc import Iterable, Mapping
from email import message_from_bytes
from email.policy import HTTP
from typing import Any

from connectors.emulators.salesforce.errors import Refusal
from connectors.emulators.salesforce.http.bulk_jobs import Job, format_of, parse_csv
from connectors.emulators.salesforce.http.instance import Instance
from connectors.emulators.salesforce.http.rest import Call
from connectors.emulators.salesforce.http.wire import CSV_TYPE, Answer, parsed
from connectors.emulators.salesforce.ids import new_id
from connectors.emulators.salesforce.org import Caller, Outcome, Write

OPERATIONS = ("insert", "update", "upsert", "delete", "hardDelete")
CHUNK = 200  # rows that triggers see at once
BATCH = 10_000  # rows that count as one batch
_VERBS = {"insert": "create", "update": "update", "upsert": "upsert", "delete": "delete", "hardDelete": "hard_delete"}
_NUMBERS = frozenset({"double", "currency", "percent"})


def create(call: Call) -> Answer:
    """POST /jobs/ingest, as JSON, or as a form with the parts `job` and `content`."""
    kind = call.headers.get("content-type", "")
    if kind.lower().startswith("multipart/form-data"):
        parts = _parts(kind, call.raw)
        body, content = parsed(parts.get("job", b"")), parts.get("content")
    else:
        body, content = call.fields(), None
    job = _made(call, body if isinstance(body, dict) else {})
    if content is not None:
        job.uploaded, job.state = content, "UploadComplete"
    call.instance.jobs[job.id] = job
    return Answer(200, job.shown(whole=False))


def _parts(kind: str, raw: bytes) -> dict[str, bytes]:
    """A form's parts by name."""
    message = message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + raw, policy=HTTP)
    found = {}
    for part in message.walk():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(payload, bytes):
            found[name] = payload
    return found


def _made(call: Call, body: Mapping[str, Any]) -> Job:
    operation, name = body.get("operation"), str(body.get("object") or "")
    if operation not in OPERATIONS:
        raise Refusal(400, "INVALIDJOB", f"InvalidJob : {operation} is not a valid operation of an ingest job")
    try:
        name = call.org.object_name(name)
    except Refusal as error:
        raise Refusal(400, "INVALIDJOB", f"InvalidJob : Unable to find object: {name}") from error
    key = str(body.get("externalIdFieldName") or "")
    if operation == "upsert" and not key:
        raise Refusal(400, "INVALIDJOB", "InvalidJob : Upsert operation requires an externalIdFieldName")
    delimiter, ending = format_of(body)
    return Job(
        new_id("750", next(call.instance.job_numbers)), operation, name, call.version, call.session.user_id,
        call.org.clock.stamp(), "Open", delimiter, ending, key=key,
        assignment_rule=str(body.get("assignmentRuleId") or ""),
    )  # fmt: skip


def upload(call: Call, job: Job) -> Answer:
    """PUT .../batches: once, while the job is open."""
    if job.state != "Open" or job.uploaded is not None:
        raise Refusal(400, "INVALIDJOBSTATE", f"Data cannot be uploaded to a job in the state {job.state}")
    job.uploaded = call.raw
    return Answer(201)


def change(call: Call, job: Job) -> Answer:
    """PATCH of the state: UploadComplete or Aborted."""
    state = call.fields().get("state")
    before = {"Aborted": ("Open", "UploadComplete", "InProgress"), "UploadComplete": ("Open",)}
    if job.state not in before.get(str(state), ()):
        raise Refusal(400, "INVALIDJOBSTATE", f"The job cannot go from the state {job.state} to {state}")
    job.state, job.modified = str(state), call.org.clock.stamp()
    return Answer(200, job.shown(whole=False))


def carry_out(instance: Instance, job: Job) -> None:
    """Write what was uploaded."""
    try:
        job.columns, rows = parse_csv(job, job.uploaded or b"")
        names = _named(instance, job)
    except ValueError as error:
        job.state, job.error = "Failed", str(error)
        return
    caller = Caller(user_id=job.user_id, auto_assign=bool(job.assignment_rule))
    instance.usage.batches.add(instance.now_s, -(-len(rows) // BATCH))
    for at in range(0, len(rows), CHUNK):
        _write(instance, job, names, rows[at : at + CHUNK], caller)
    job.state = "JobComplete"


def _named(instance: Instance, job: Job) -> tuple[tuple[str, Mapping[str, Any]], ...]:
    """(name, the field's describe) of each column; ValueError for a column that is no field."""
    described: Any = instance.org.describe(job.object, job.version)["fields"]
    fields = {each["name"].lower(): each for each in described}
    relationships = {str(each["relationshipName"]).lower() for each in described if each["relationshipName"]}
    found = []
    for each in job.columns:
        parent, dot, _ = each.partition(".")
        if dot and parent.lower() in relationships:
            found.append((each, {"type": "string"}))
        elif each.lower() in fields:
            found.append((fields[each.lower()]["name"], fields[each.lower()]))
        else:
            raise ValueError(f"InvalidBatch : Field name not found : {each}")
    return tuple(found)


def _write(
    instance: Instance,
    job: Job,
    names: tuple[tuple[str, Mapping[str, Any]], ...],
    rows: list[tuple[str, ...]],
    caller: Caller,
) -> None:
    writes = [_write_of(job, names, row) for row in rows]
    outcomes = instance.org.save(writes, False, caller)
    for row, write, outcome in zip(rows, writes, outcomes, strict=True):
        _keep(job, row, write, outcome)
        instance.calls.wrote(instance.org.clock.stamp(), write, outcome, caller)


def _write_of(job: Job, names: tuple[tuple[str, Mapping[str, Any]], ...], row: tuple[str, ...]) -> Write:
    values: dict[str, Any] = {}
    for (name, field), text in zip(names, row, strict=True):
        if not text:
            continue  # an empty cell leaves the field as it is
        parent, dot, key = name.partition(".")
        if dot:
            values[parent] = {key: text}
        else:
            values[name] = None if text == "#N/A" else _value(field, text)
    verb = _VERBS[job.operation]
    record_id = "" if verb in ("create", "upsert") else str(values.pop("Id", ""))
    return Write(verb, job.object, record_id, values, job.key)


def _value(field: Mapping[str, Any], text: str) -> object:
    """A cell as the field's type; text that does not fit stays text, and the org refuses it."""
    kind = field["type"]
    try:
        if kind == "boolean":
            return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)
        if kind == "int":
            return int(float(text))
        return float(text) if kind in _NUMBERS else text
    except ValueError:
        return text


def _keep(job: Job, row: tuple[str, ...], write: Write, outcome: Outcome) -> None:
    if outcome.success:
        created = outcome.created or write.verb == "create"
        job.succeeded.append((str(outcome.id or write.id), "true" if created else "false", *row))
    else:
        told = ";".join(_told(each) for each in outcome.refusals)
        job.failed.append((outcome.id or write.id or "", told, *row))


def _told(refusal: Refusal) -> str:
    """`REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --`"""
    named = f"{','.join(refusal.fields)} " if refusal.fields else ""
    return f"{refusal.code}:{refusal.message}:{named}--"


def successful(call: Call, job: Job) -> Answer:
    """GET .../successfulResults"""
    return _results(job, ("sf__Id", "sf__Created"), job.succeeded)


def failed(call: Call, job: Job) -> Answer:
    """GET .../failedResults"""
    return _results(job, ("sf__Id", "sf__Error"), job.failed)


def unprocessed(call: Call, job: Job) -> Answer:
    """GET .../unprocessedrecords: what a failed or aborted job never looked at."""
    rows = job.unprocessed
    if job.state in ("Failed", "Aborted") and job.uploaded:
        try:
            job.columns, rows = parse_csv(job, job.uploaded)
        except ValueError:
            return Answer(200, job.uploaded, {"content-type": CSV_TYPE})
    return _results(job, (), rows)


def _results(job: Job, heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Answer:
    if job.state not in ("JobComplete", "Failed", "Aborted"):
        raise Refusal(400, "INVALIDJOBSTATE", f"Results are not available: the job is in the state {job.state}")
    lines = [job.line((*heads, *job.columns)), *(job.line(each) for each in rows)] if (heads or job.columns) else []
    return Answer(200, job.text(lines), {"content-type": CSV_TYPE})
