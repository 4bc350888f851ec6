"""Compound addresses: read only, made of their parts."""

from collections.abc import Callable

from connectors.emulators.salesforce.schema import ObjectType
from connectors.emulators.salesforce.table import Row

_PARTS = ("City", "Country", "GeocodeAccuracy", "Latitude", "Longitude", "PostalCode", "State", "Street")


def compound_getter(kind: ObjectType, name: str) -> Callable[[Row], object]:
    """Reads the address of a row: an object of eight keys, or None when all its parts are empty."""
    prefix = name.removesuffix("Address")
    parts = [(part[0].lower() + part[1:], prefix + part) for part in _PARTS if prefix + part in kind.fields]

    def read(row: Row) -> object:
        whole = {key: row.get(field) for key, field in parts}
        return whole if any(value is not None for value in whole.values()) else None

    return read
