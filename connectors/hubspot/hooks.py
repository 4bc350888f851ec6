"""What HubSpot's webhooks say: whose record has changed. Nothing else of an event is used, its values least of all:
events come late, twice, in any order, and their `eventId` is not unique.

Request and signature: HubSpot's guides "Validating requests" (version 3) and "Webhooks". The vendor package can check
signatures, too, but its `Signature.is_valid` takes timestamps of any future, does not decode the address as the guide
demands, and turns to an older version of the signature, which no time is part of, where it is not told otherwise.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import orjson

from connectors.hubspot.settings import Settings, Webhooks
from syncer.connector import Knock
from syncer.model import RecordKey

OLDEST = timedelta(minutes=5)  # the guide's
NEWEST = timedelta(minutes=1)  # clocks differ; a signature from further ahead would be good for longer than OLDEST
_CONTACT_TYPE = "0-1"
_EPOCH = datetime.fromtimestamp(0, UTC)
_DECODED = re.compile(r"%(3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)", re.IGNORECASE)  # those that the guide lists
_TIMESTAMP = re.compile(r"[0-9]{1,15}", re.ASCII)  # milliseconds
_ID = re.compile(r"[0-9]{1,20}", re.ASCII)


def heard(settings: Settings, name: str, knock: Knock) -> Sequence[RecordKey] | None:
    """The contacts that a request of HubSpot speaks of, each once. None: it is not HubSpot's, or too old or new."""
    if settings.webhooks is None or not _genuine(settings.webhooks, knock):
        return None
    contacts = (identity for event in _events(knock.body) for identity in _contacts(event))
    return tuple(RecordKey(name, "contacts", identity) for identity in dict.fromkeys(contacts))


def _genuine(webhooks: Webhooks, knock: Knock) -> bool:
    """Signed with the secret, for this address, a moment ago. All is looked at, whatever is found wrong first, so the
    time it takes tells nothing."""
    timestamp = knock.headers.get("x-hubspot-request-timestamp", "")
    address = _signed_address(webhooks.url, knock.path)
    signed = f"{knock.method}{address}".encode(errors="replace") + knock.body + timestamp.encode(errors="replace")
    digest = hmac.digest(webhooks.secret.get_secret_value().encode(), signed, "sha256")
    given = knock.headers.get("x-hubspot-signature-v3", "").encode(errors="replace")
    same = hmac.compare_digest(base64.b64encode(digest), given)
    return same & _timely(timestamp, knock.at) & (address is not None)


def _timely(timestamp: str, now: datetime) -> bool:
    if not _TIMESTAMP.fullmatch(timestamp):
        return False
    age = (now - _EPOCH) - timedelta(milliseconds=int(timestamp))
    return -NEWEST <= age <= OLDEST


def _signed_address(public: str, path: str) -> str | None:
    """The address that HubSpot signed; None where it cannot have called this path.

    It signs the public one, of which a proxy may have taken away the beginning of the path. That the rest is compared
    keeps a signed request from being sent elsewhere.
    """
    parts = urlsplit(public)
    origin = f"{parts.scheme}://{parts.netloc}"
    known, called = _decoded(public.removeprefix(origin)), _decoded(path)
    if known in ("", "/"):
        return origin + called  # nothing but the host is known
    return origin + known if called.startswith("/") and known.endswith(called) else None


def _decoded(address: str) -> str:
    return _DECODED.sub(lambda found: chr(int(found[1], 16)), address)


def _events(body: bytes) -> Iterator[Mapping[str, Any]]:
    """The events of a list or of one object; none of what is neither."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return
    for event in content if isinstance(content, list) else [content]:
        if isinstance(event, Mapping):
            yield event


def _contacts(event: Mapping[str, Any]) -> Iterator[str]:
    """Ids of the contacts that it names. Subscriptions are called "contact.merge", or "object.merge" with a type."""
    subject, _, what = str(event.get("subscriptionType") or event.get("eventType")).partition(".")
    if subject not in ("contact", "object"):
        return
    if what == "associationChange":
        found = [event.get(f"{end}ObjectId") for end in ("from", "to") if _is_contact(event, end)]
    elif subject == "contact" or event.get("objectTypeId") == _CONTACT_TYPE:
        merged = event.get("mergedObjectIds")
        found = [event.get(name) for name in ("objectId", "primaryObjectId", "newObjectId")]
        found += merged if isinstance(merged, list) else []
    else:
        return
    yield from (str(each) for each in found if _is_id(each))


def _is_contact(event: Mapping[str, Any], end: str) -> bool:
    """Is that end ("from", "to") of an association a contact? Its type says it, or else "CONTACT_TO_COMPANY"."""
    type_id = event.get(f"{end}ObjectTypeId")
    if type_id is not None:
        return bool(type_id == _CONTACT_TYPE)
    here, _, there = str(event.get("associationType")).upper().partition("_TO_")
    return (here if end == "from" else there) == "CONTACT"


def _is_id(value: object) -> bool:
    return isinstance(value, int | str) and _ID.fullmatch(str(value)) is not None
