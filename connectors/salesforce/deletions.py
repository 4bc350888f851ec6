"""What of an object is complete, what was deleted for good, and who absorbed whom."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from connectors.salesforce.client import Client, Refused
from connectors.salesforce.org import Org
from connectors.salesforce.values import Json, chunks, id18, instant, moment, quoted_list
from syncer.errors import ConfigError

log = logging.getLogger(__name__)

T = TypeVar("T")

_SPAN = timedelta(minutes=5)  # only up to when /updated knows matters, so it shall list few
_REMEMBERED = timedelta(days=29)  # /deleted may be asked 30 days back
_AT_ONCE = 200  # ids in one query
_LONGEST_CHAIN = 20
_NOT_ALLOWED = "SY142"


@dataclass(frozen=True, slots=True)
class Deleted:
    """Ids that the log of deletions names, and up to when it does."""

    ids: tuple[str, ...]
    until: datetime


def covered(org: Org, kind: str) -> datetime:
    """Up to when everything of an object that was changed can be seen: whatever is committed later bears a later
    SystemModstamp, or the very same. While a long transaction runs, that is when it began."""
    now = org.client.now()
    until = _told(org, kind, "updated", (now - _SPAN, now), lambda answer: moment(answer["latestDateCovered"]))
    return now - org.settings.lag if until is None else min(until, now)


def deleted(org: Org, kind: str, since: datetime) -> Deleted:
    """What was deleted from `since` on, in the recycle bin or past it. What Salesforce cannot tell any more is told in
    the log; the next sweep finds it. Where it tells nothing at all, it is still to be asked from `since` on."""
    now = org.client.now().replace(second=0, microsecond=0)  # seconds are ignored there
    since = min(since, now - timedelta(minutes=1))
    begin = max(since, now - _REMEMBERED)
    told = _told(org, kind, "deleted", (begin, now), _deletions)
    if told is None:
        return Deleted((), since)
    found, known_from = told
    if max(begin, known_from.replace(second=0, microsecond=0)) > since:
        extra = {
            "connection": org.connection,
            "stream": kind,
            "since": instant(since),
            "known_from": instant(known_from),
        }
        log.warning("deletions_forgotten", extra=extra)
    return Deleted(found.ids, min(found.until, now))


def survivors(client: Client, kind: str, absorbed: Mapping[str, str]) -> dict[str, str]:
    """Absorbed id -> what remains of it in the end: what absorbed it may have been absorbed as well."""
    masters = dict(absorbed)
    unknown = set(masters.values()) - masters.keys()
    for _ in range(_LONGEST_CHAIN):
        if not unknown:
            break
        found = _masters(client, kind, unknown)
        masters |= found
        unknown = set(found.values()) - masters.keys()
    return {each: _end(masters, each) for each in absorbed}


def _masters(client: Client, kind: str, ids: Collection[str]) -> dict[str, str]:
    """Of these ids those that were absorbed, with what absorbed them."""
    found: dict[str, str] = {}
    for some in chunks(sorted(ids), _AT_ONCE):
        soql = f"SELECT Id, MasterRecordId FROM {kind} WHERE Id IN {quoted_list(some)} AND MasterRecordId != null"
        rows = client.query_all_rows(f"looking what {kind} was merged into", soql)
        found |= {id18(row["Id"]): id18(row["MasterRecordId"]) for row in rows}
    return found


def _end(masters: Mapping[str, str], identity: str) -> str:
    """The last of a chain; of a circle the last before it closes."""
    been = {identity}
    while (following := masters.get(identity)) is not None and following not in been:
        been.add(following)
        identity = following
    return identity


def _told(org: Org, kind: str, which: str, span: tuple[datetime, datetime], read: Callable[[Json], T]) -> T | None:
    """What Salesforce's log tells of what was "updated" or "deleted" in a span of time. None where it may not be asked
    or cannot be read, which is told in ours: nothing stops for it."""
    query = {"start": instant(span[0]), "end": instant(span[1])}
    try:
        return read(org.client.get(f"asking what of {kind} was {which}", f"/sobjects/{kind}/{which}/", query))
    except ConfigError as error:
        if not isinstance(error, Refused) and error.code != _NOT_ALLOWED:
            raise
        reason = error.message
    except (KeyError, TypeError, ValueError) as error:
        reason = f"its answer has another shape: {error}"
    extra = {"connection": org.connection, "stream": kind, "reason": reason}
    if which == "deleted":
        log.warning("deletions_unknown", extra=extra)
    else:
        log.info("coverage_unknown", extra=extra)
    return None


def _deletions(answer: Json) -> tuple[Deleted, datetime]:
    """What was deleted, and since when that is known."""
    ids = tuple(dict.fromkeys(id18(row["id"]) for row in answer["deletedRecords"]))
    return Deleted(ids, moment(answer["latestDateCovered"])), moment(answer["earliestDateAvailable"])
