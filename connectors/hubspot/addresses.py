"""Whose e-mail address it is: forms and marketing e-mails know people by that alone."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from connectors.hubspot.client import Client, Request
from connectors.hubspot.lookups import BATCH, chunks
from connectors.hubspot.people import CONTACTS
from connectors.hubspot.values import text

_OTHERS = "hs_additional_emails"


def plain(address: str | None) -> str | None:
    """The address as HubSpot keeps it, in lower case; None where it is none: HubSpot is not asked for those."""
    written = (address or "").strip().lower()
    name, _, domain = written.rpartition("@")
    return written if name and domain and not any(letter.isspace() for letter in written) else None


def contacts_of(client: Client, addresses: Iterable[str]) -> dict[str, str]:
    """Plain address -> the contact's id, for those that HubSpot knows; a hundred a request, the requests overlap."""
    asked = [partial(_ask, client, some) for some in chunks(dict.fromkeys(addresses), BATCH)]
    found: dict[str, str] = {}
    for some in client.together(asked):
        found |= some
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
