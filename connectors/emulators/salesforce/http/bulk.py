"""Bulk API 2.0: the jobs, how they come along, and what may be done with one in each state."""

from collections.abc import Callable
from typing import Any

from connectors.emulators.salesforce.errors import Refusal, not_found
from connectors.emulators.salesforce.http import bulk_ingest, bulk_query
from connectors.emulators.salesforce.http.bulk_jobs import Job
from connectors.emulators.salesforce.http.rest import Call, Operation, Work
from connectors.emulators.salesforce.http.wire import Answer
from connectors.emulators.salesforce.ids import full_id

_LISTED = 1000
OfJob = Callable[[Call, Job], Answer]


def _open(work: Work) -> Work:
    """The work, unless the org has no Bulk API."""

    def done(call: Call) -> Answer:
        if not call.instance.manners.bulk:
            raise Refusal(400, "FEATURENOTENABLED", "Async API not enabled")
        return work(call)

    return done


def _of(is_query: bool, work: OfJob) -> Work:
    """The work on the job that the path names, which comes along when it is looked at."""

    def done(call: Call) -> Answer:
        job = call.instance.jobs.get(full_id(call.path["id"]) or "")
        if job is None or job.is_query is not is_query:
            raise not_found()
        return work(call, job)

    return _open(done)


def _look(call: Call, job: Job) -> Answer:
    """GET of a job. With each look it comes nearer to its end."""
    if job.state in ("UploadComplete", "InProgress"):
        job.looks += 1
        job.modified = call.org.clock.stamp()
        if job.looks <= call.instance.manners.bulk_polls:
            job.state = "InProgress" if job.looks > 1 else "UploadComplete"
        elif job.is_query:
            bulk_query.carry_out(call.instance, job)
        else:
            bulk_ingest.carry_out(call.instance, job)
    return Answer(200, job.shown())


def _abort(call: Call, job: Job) -> Answer:
    state = call.fields().get("state")
    if state != "Aborted" or job.state not in ("UploadComplete", "InProgress"):
        raise Refusal(400, "INVALIDJOBSTATE", f"The job cannot go from the state {job.state} to {state}")
    job.state, job.modified = "Aborted", call.org.clock.stamp()
    return Answer(200, job.shown(whole=False))


def _delete(call: Call, job: Job) -> Answer:
    if job.state in ("Open", "InProgress") or (job.is_query and job.state == "UploadComplete"):
        raise Refusal(400, "INVALIDJOBSTATE", f"A job in the state {job.state} cannot be deleted")
    del call.instance.jobs[job.id]
    return Answer(204)


def _list(is_query: bool) -> Work:
    def listed(call: Call) -> Answer:
        jobs: list[Any] = [each.shown() for each in call.instance.jobs.values() if each.is_query is is_query]
        start = int(call.word("queryLocator") or 0) if call.word("queryLocator", "0").isdigit() else 0
        more = len(jobs) > start + _LISTED
        kind = "query" if is_query else "ingest"
        url = f"{call.root}/jobs/{kind}?queryLocator={start + _LISTED}" if more else None
        return Answer(200, {"done": not more, "records": jobs[start : start + _LISTED], "nextRecordsUrl": url})

    return _open(listed)


OPERATIONS = (
    Operation("/jobs/query", {"GET": _list(True), "POST": _open(bulk_query.create)}),
    Operation("/jobs/query/{id}", {"GET": _of(True, _look), "PATCH": _of(True, _abort), "DELETE": _of(True, _delete)}),
    Operation("/jobs/query/{id}/results", {"GET": _of(True, bulk_query.results)}),
    Operation("/jobs/query/{id}/resultPages", {"GET": _of(True, bulk_query.result_pages)}),
    Operation("/jobs/ingest", {"GET": _list(False), "POST": _open(bulk_ingest.create)}),
    Operation(
        "/jobs/ingest/{id}",
        {"GET": _of(False, _look), "PATCH": _of(False, bulk_ingest.change), "DELETE": _of(False, _delete)},
    ),
    Operation("/jobs/ingest/{id}/batches", {"PUT": _of(False, bulk_ingest.upload)}),
    Operation("/jobs/ingest/{id}/successfulResults", {"GET": _of(False, bulk_ingest.successful)}),
    Operation("/jobs/ingest/{id}/failedResults", {"GET": _of(False, bulk_ingest.failed)}),
    Operation("/jobs/ingest/{id}/unprocessedrecords", {"GET": _of(False, bulk_ingest.unprocessed)}),
)
