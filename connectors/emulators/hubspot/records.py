"""Records, their sources and their past values, as frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Source:
    """Who set a value: `INTEGRATION` with the app's id, `CRM_UI` with a user's, `CALCULATED`, `MERGE_OBJECTS`, ..."""

    type: str
    id: str | None = None
    label: str | None = None
    user_id: int | None = None


@dataclass(frozen=True, slots=True)
class Version:
    """One value a property had, from `at_ms` on."""

    value: str
    at_ms: int
    source: Source


@dataclass(frozen=True, slots=True)
class Record:
    """One object at one moment. Cleared properties are absent from `values`; `history` starts with a first change."""

    id: int
    values: Mapping[str, str]
    created_ms: int
    modified_ms: int
    source: Source
    history: Mapping[str, tuple[Version, ...]] = field(default_factory=dict)  # newest first
    archived_ms: int | None = None

    def versions(self, name: str) -> tuple[Version, ...]:
        """All values a property had, newest first; empty when it never had one."""
        if name in self.history:
            return self.history[name]
        value = self.values.get(name)
        return () if value is None else (Version(value, self.created_ms, self.source),)
