"""What of an object is complete, what was deleted for good, and who absorbed whom."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from connectors.salesforce.client import Client, Refused
from connectors.salesforce.org import Org
from connectors.salesforce.values import Json, chunks, id18, instant, moment, quoted_list
from syncer.errors import ConfigError

log = logging.getLogger(__name__)

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
    try:
        answer = _log(org.client, kind, "updated", now - _SPAN, now)
        return min(moment(answer["latestDateCovered"]), now)
    except Refused as refused:
        reason = refused.message
    except ConfigError as error:
        if error.code != _NOT_ALLOWED:
            raise
        reason = error.message
    except (KeyError, ValueError):
        reason = "it does not tell up to when"
    log.info("coverage_unknown", extra={"connection": org.connection, "stream": kind, "reason": reason})
    return now - org.settings.lag


def deleted(org: Org, kind: str, since: datetime) -> Deleted:
    """What was deleted from `since` on, in the recycle bin or past it. What Salesforce cannot tell any more is told in
    the log; the next sweep finds it."""
    now = org.client.now().replace(second=0, microsecond=0)  # seconds are ignored there
    since = min(since, now - timedelta(minutes=1))
    begin = max(since, now - _REMEMBERED)
    try:
        answer = _log(org.client, kind, "deleted", begin, now)
        rows = answer["deletedRecords"]
        known_from, until = moment(answer["earliestDateAvailable"]), moment(answer["latestDateCovered"])
        ids = tuple(dict.fromkeys(id18(row["id"]) for row in rows))
    except (Refused, KeyError, TypeError, ValueError) as error:
        extra = {"connection": org.connection, "stream": kind, "reason": str(error)}
        log.warning("deletions_unknown", extra=extra)
        return Deleted((), now)
    if max(begin, known_from.replace(second=0, microsecond=0)) > since:
        extra = {
            "connection": org.connection,
            "stream": kind,
            "since": instant(since),
            "known_from": instant(known_from),
        }
        log.warning("deletions_forgotten", extra=extra)
    return Deleted(ids, min(until, now))


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


def _log(client: Client, kind: str, which: str, since: datetime, until: datetime) -> Json:
    query = {"start": instant(since), "end": instant(until)}
    answer: Json = client.get(f"asking what of {kind} was {which}", f"/sobjects/{kind}/{which}/", query)
    return answer
