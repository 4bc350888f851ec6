"""DISTANCE(address, GEOLOCATION(latitude, longitude), 'mi'): how far an address is, along the great circle."""

from collections.abc import Callable
from math import asin, cos, radians, sin, sqrt

from connectors.emulators.salesforce.soql.ast import Argument, Call, Literal
from connectors.emulators.salesforce.table import Row

Point = tuple[float, float]  # latitude, longitude in degrees
_RADIUS = {"mi": 3958.8, "km": 6371.0}


def is_distance(expression: Call) -> bool:
    """Is it a well-formed DISTANCE?"""
    if expression.function != "distance" or len(expression.arguments) != 3:
        return False
    unit = expression.arguments[2]
    there = expression.arguments[1]
    return (
        isinstance(unit, Literal)
        and str(unit.value).lower() in _RADIUS
        and isinstance(there, Call)
        and there.function == "geolocation"
        and len(there.arguments) == 2
        and all(isinstance(each, Literal) and each.kind == "number" for each in there.arguments)
    )


def distance(expression: Call, address: Callable[[Row], object]) -> Callable[[Row], object]:
    """Reads the distance of a row's address; None when it has no place on the map."""
    there, unit = expression.arguments[1], expression.arguments[2]
    assert isinstance(there, Call)
    latitude, longitude = (_degrees(each) for each in there.arguments)
    radius = _RADIUS[str(unit.value).lower()] if isinstance(unit, Literal) else _RADIUS["mi"]

    def read(row: Row) -> object:
        here = address(row)
        if not isinstance(here, dict) or here.get("latitude") is None or here.get("longitude") is None:
            return None
        return radius * _angle((float(here["latitude"]), float(here["longitude"])), (latitude, longitude))

    return read


def _degrees(expression: Argument) -> float:
    assert isinstance(expression, Literal)
    return float(str(expression.value))


def _angle(one: Point, other: Point) -> float:
    """The angle between two points seen from the centre of the Earth (haversine formula)."""
    (latitude, longitude), (latitude2, longitude2) = (tuple(map(radians, each)) for each in (one, other))
    inner = sin((latitude2 - latitude) / 2) ** 2
    inner += cos(latitude) * cos(latitude2) * sin((longitude2 - longitude) / 2) ** 2
    return 2 * asin(min(1.0, sqrt(inner)))
