"""Whose e-mail address it is: forms and marketing e-mails know people by that alone."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import partial

from connectors.hubspot.client import Client, Request
from connectors.hubspot.lookups import BATCH, chunks
from connectors.hubspot.people import CONTACTS
from connectors.hubspot.refusals import Refused
from connectors.hubspot.values import text

log = logging.getLogger(__name__)

_OTHERS = "hs_additional_emails"
_GOOD = "nobody@example.com"  # nobody will ever have it (RFC 2606)


def plain(address: str | None) -> str | None:
    """The address as HubSpot keeps it, in lower case; None where it is none: HubSpot is not asked for those."""
    written = (address or "").strip().lower()
    name, _, domain = written.rpartition("@")
    return written if name and domain and not any(letter.isspace() for letter in written) else None


def contacts_of(client: Client, addresses: Iterable[str]) -> dict[str, str]:
    """Plain address -> the contact's id, for those that HubSpot knows; a hundred a request, the requests overlap."""
    asked = [partial(_ask_all, client, some) for some in chunks(dict.fromkeys(addresses), BATCH)]
    found: dict[str, str] = {}
    for some in client.together(asked):
        found |= some
    return found


def _ask_all(client: Client, addresses: list[str]) -> dict[str, str]:
    """HubSpot refuses all of them for one that it does not take for an address: that one is found, and left out."""
    try:
        return _ask(client, addresses)
    except Refused as refusal:
        if refusal.problem.status != 400:
            raise
    _ask(client, [_GOOD])  # refused as well: then it is not about the addresses
    return _ask_halves(client, addresses)


def _ask_halves(client: Client, addresses: list[str]) -> dict[str, str]:
    """Of addresses that were refused together."""
    found: dict[str, str] = {}
    if len(addresses) == 1:
        log.info("address_refused", extra={"connection": client.name})
        return found
    middle = len(addresses) // 2
    for some in (addresses[:middle], addresses[middle:]):
        try:
            found |= _ask(client, some)
        except Refused:
            found |= _ask_halves(client, some)
    return found


def _ask(client: Client, addresses: list[str]) -> dict[str, str]:
    body = {
        "idProperty": "email",
        "inputs": [{"id": each} for each in addresses],
        "properties": ["email", _OTHERS],
    }
    path = client.paths.objects(CONTACTS, "/batch/read")
    answer = client.ask(Request("finding contacts by e-mail address", "POST", path, body))
    found: dict[str, str] = {}
    for row in answer["results"]:
        values = row.get("properties") or {}
        others = (text(values, _OTHERS) or "").split(";")
        for address in filter(None, map(plain, (*others, text(values, "email")))):
            found[address] = str(row["id"])
    return {address: found[address] for address in addresses if address in found}
