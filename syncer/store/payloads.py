"""Plans and hand-offs as JSON and back, exactly: times to the microsecond, numbers in their own type."""

from __future__ import annotations

from typing import Generic, TypeVar

from pydantic import TypeAdapter

from syncer.model import Handoff, LeadPlan
from syncer.store.columns import to_json

T = TypeVar("T")


class Payload(Generic[T]):
    """One kind of value as text. A lone surrogate in a text becomes "?", which is all that is lost."""

    def __init__(self, kind: type[T]) -> None:
        self._kind: TypeAdapter[T] = TypeAdapter(kind)

    def text(self, value: T) -> str:
        return to_json(value)

    def value(self, text: str) -> T:
        return self._kind.validate_json(text)


PLAN = Payload(LeadPlan)
HANDOFF = Payload(Handoff)
