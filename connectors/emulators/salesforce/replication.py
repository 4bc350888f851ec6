"""/updated and /deleted: which ids changed in a span, and up to when the answer is sure."""

from datetime import UTC, datetime, timedelta

from connectors.emulators.salesforce.clock import moment_of, stamp_from
from connectors.emulators.salesforce.errors import Json, Refusal
from connectors.emulators.salesforce.schema import ObjectType
from connectors.emulators.salesforce.state import State

MAX_IDS = 600_000
MAX_DAYS = 30


def updated(state: State, kind: ObjectType, start: datetime, end: datetime) -> Json:
    """Live records whose SystemModstamp lies from `start` to before `end`; seconds of both are ignored."""
    first, after = _span(state, kind, start, end)
    table = state.tables[kind.name]
    rows = table.rows
    ids = [
        record_id
        for record_id in table.stamped_between(first, after)
        if rows[record_id]["SystemModstamp"] != after
        and not rows[record_id].get("IsDeleted")
        and record_id not in state.unseen
    ]
    if len(ids) > MAX_IDS:
        raise Refusal(400, "EXCEEDED_ID_LIMIT", f"getUpdated() would return more than {MAX_IDS} ids")
    return {"ids": ids, "latestDateCovered": covered(state, after)}


def deleted(state: State, kind: ObjectType, start: datetime, end: datetime) -> Json:
    """Records thrown away or erased in the span, as far back as the delete log remembers."""
    first, after = _span(state, kind, start, end)
    earliest = stamp_from(moment_of(state.clock.stamp()) - timedelta(days=state.switches.delete_log_days))
    prefix = kind.prefix
    binned = {i: str(row["$deleted"]) for i, row in state.tables[kind.name].rows.items() if row.get("$deleted")}
    purged = {record_id: stamp for record_id, stamp in state.purged.items() if record_id[:3] == prefix}
    found = sorted(
        (stamp, record_id) for record_id, stamp in {**binned, **purged}.items() if max(first, earliest) <= stamp < after
    )
    if len(found) > MAX_IDS:
        raise Refusal(400, "EXCEEDED_ID_LIMIT", f"getDeleted() would return more than {MAX_IDS} ids")
    return {
        "deletedRecords": [{"id": record_id, "deletedDate": stamp} for stamp, record_id in found],
        "earliestDateAvailable": earliest,
        "latestDateCovered": covered(state, after),
    }


def covered(state: State, after: str) -> str:
    """The end asked for, or less: the start of the oldest open transaction, or a lag."""
    sure = state.covered_until() - timedelta(seconds=state.switches.covered_lag_s)
    return min(after, stamp_from(sure))


def _span(state: State, kind: ObjectType, start: datetime, end: datetime) -> tuple[str, str]:
    if not kind.can.replicateable:
        raise Refusal(400, "INVALID_TYPE_FOR_OPERATION", f"entity type {kind.name} does not support replication")
    first, after = (each.astimezone(UTC).replace(second=0, microsecond=0) for each in (start, end))
    now = moment_of(state.clock.stamp())
    if first >= after:
        raise _invalid("startDate must precede endDate by at least one minute")
    if first < now - timedelta(days=MAX_DAYS, minutes=1):
        raise _invalid("startDate cannot be more than 30 days ago")
    return stamp_from(first), stamp_from(after)


def _invalid(message: str) -> Refusal:
    return Refusal(400, "INVALID_REPLICATION_DATE", message)
