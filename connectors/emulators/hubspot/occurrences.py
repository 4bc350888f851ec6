"""Event occurrences: what records did, as the events API shows it."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from connectors.emulators.hubspot.links import End
from connectors.emulators.hubspot.timeline import END_OF_TIME, Position, Timeline

# The event types HubSpot itself defines, a few of them; custom ones are called pe{portal}_{name}.
STANDARD_TYPES = (
    "e_visited_page", "e_form_submitted", "e_clicked_link_in_email_v2", "e_opened_email_v2", "e_meeting_booked",
    "e_deal_closed", "e_document_shared_v2",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One event. `record` is who did it, by the id it had then."""

    id: str
    record: End
    event_type: str
    at_ms: int
    properties: dict[str, str]


@dataclass(frozen=True, slots=True)
class Span:
    """Times between two moments in epoch ms, neither of them included, and the order in which to read them."""

    after_ms: int = -1
    before_ms: int = END_OF_TIME
    newest_first: bool = False


@dataclass(slots=True)
class Occurrences:
    """All events, by time and by the record that did them."""

    _all: Timeline[Occurrence] = field(default_factory=Timeline)
    _by_record: dict[End, Timeline[Occurrence]] = field(default_factory=dict)
    _types: dict[str, None] = field(default_factory=lambda: dict.fromkeys(STANDARD_TYPES))

    @property
    def types(self) -> list[str]:
        """The names of all event types there are."""
        return sorted(self._types)

    def add(self, event: Occurrence) -> None:
        """Note an event."""
        self._types.setdefault(event.event_type)
        self._all.add(event.at_ms, event)
        self._by_record.setdefault(event.record, Timeline()).add(event.at_ms, event)

    def move(self, old: End, new: End) -> None:
        """A record was merged into another: its events are the other's."""
        for (at_ms, _), event in self._by_record.pop(old, ()):
            self._by_record.setdefault(new, Timeline()).add(at_ms, event)

    def forget(self, record: End) -> None:
        """A record was erased."""
        gone = {event.id for _, event in self._by_record.pop(record, ())}
        if gone:
            self._all.drop(lambda event: event.id in gone)

    def walk(self, span: Span, record: End | None, start: Position | None) -> Iterator[tuple[Position, Occurrence]]:
        """Events of a span, of one record or of all, from where a page ended."""
        log = self._all if record is None else self._by_record.get(record, Timeline())
        read = log.newest_first if span.newest_first else log.oldest_first
        return read(span.after_ms + 1, span.before_ms - 1, start)
