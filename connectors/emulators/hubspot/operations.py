"""What one endpoint is: its route, the scopes it wants, and the function that answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from connectors.emulators.hubspot.answers import Answer, Json, invalid
from connectors.emulators.hubspot.calls import Kind
from connectors.emulators.hubspot.catalog import ObjectType
from connectors.emulators.hubspot.portal import Portal, known_type
from connectors.emulators.hubspot.records import Source
from connectors.emulators.hubspot.tokens import Token


@dataclass(frozen=True, slots=True)
class Call:
    """One request that was let in. `version` is `v3`, `v4` or a date; `body` is {} when none was sent."""

    portal: Portal
    token: Token
    version: str
    path: Mapping[str, str]
    query: Mapping[str, tuple[str, ...]]  # a name may be given several times
    body: Json
    body_size: int  # characters as sent
    base_url: str
    started_ms: int

    @property
    def kind(self) -> ObjectType:
        """The kind of object the path names; 400 when there is none."""
        return known_type(self.path["objectType"])

    @property
    def dated(self) -> bool:
        """Is this one of the date-based versions, whose status codes differ?"""
        return self.version[0].isdigit()

    @property
    def source(self) -> Source:
        """Whom the history names as author of what this request writes."""
        return Source("INTEGRATION", self.token.app_id, "INTEGRATION", self.token.user_id)

    def word(self, name: str, default: str = "") -> str:
        """A query parameter's (last) value."""
        return self.query.get(name, (default,))[-1]

    def words(self, name: str) -> tuple[str, ...]:
        """A list parameter: comma-separated, repeated, or both."""
        return tuple(word.strip() for value in self.query.get(name, ()) for word in value.split(",") if word.strip())

    def flag(self, name: str) -> bool:
        """A boolean parameter in any capitalisation (a Python client sends `False`)."""
        value = self.word(name, "false").lower()
        if value not in ("true", "false"):
            raise invalid(f"{name} must be true or false")
        return value == "true"

    def number(self, name: str, default: int, most: int) -> int:
        """A whole number of a query; 400 outside 1..most."""
        raw = self.word(name, str(default))
        if not raw.isdigit() or not 0 < int(raw) <= most:
            raise invalid(f"{name} must be a number between 1 and {most}, was {raw}")
        return int(raw)


Scopes = Callable[[Call], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One endpoint. `route` is free of versions; `scopes` are alternatives, empty for none."""

    method: str
    route: str
    answer: Callable[[Call], Answer]
    kind: Kind
    scopes: Scopes


def no_scopes(call: Call) -> tuple[str, ...]:
    """Any valid token will do."""
    return ()


def parse_inputs(body: Json, most: int) -> list[Json]:
    """The `inputs` of a batch; 400 when there are none or too many."""
    inputs = body.get("inputs")
    if not isinstance(inputs, list) or not all(isinstance(each, dict) for each in inputs):
        raise invalid("Invalid input JSON: 'inputs' must be a list of objects")
    if not inputs:
        raise invalid("No inputs were given")
    if len(inputs) > most:
        raise invalid(f"The maximum number of inputs supported in a batch request is {most}, got {len(inputs)}")
    return inputs


def record_id(raw: object) -> int | None:
    """A record id from JSON or a path; None when it cannot be one (which then is simply not found)."""
    text = str(raw)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
