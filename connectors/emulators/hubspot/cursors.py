"""Paging cursors as HubSpot writes them where they are no plain ids: base64, escaped for a URL (`MQ%3D%3D`)."""

import binascii
from base64 import b64decode, b64encode
from urllib.parse import quote, unquote

from connectors.emulators.hubspot.answers import invalid
from connectors.emulators.hubspot.timeline import Position


def sealed(text: str) -> str:
    """A cursor that stands for a short ASCII text."""
    return quote(b64encode(text.encode()).decode(), safe="")


def opened(cursor: str) -> str:
    """The text of a cursor, whether the client escaped it once more or sent it as it was; 400 when it is none."""
    try:
        return b64decode(unquote(cursor), validate=True).decode("ascii")
    except (binascii.Error, ValueError) as error:
        raise invalid("after is not a valid paging cursor") from error


def sealed_position(position: Position) -> str:
    """A cursor for a place in a timeline."""
    return sealed(f"{position[0]}|{position[1]}")


def opened_position(cursor: str) -> Position | None:
    """The place in a timeline; None for the empty cursor of a first page, 400 when it is none."""
    if not cursor:
        return None
    at_ms, _, serial = opened(cursor).partition("|")
    if not (at_ms.isdigit() and serial.isdigit()):
        raise invalid("after is not a valid paging cursor")
    return int(at_ms), int(serial)
