"""The section `alerts` of the project file: who is told that a connection needs a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from syncer.settings.problems import Mistake, Steps, did_you_mean, quoted
from syncer.settings.shapes import AlertsFile
from syncer.settings.source import at


@dataclass(frozen=True, slots=True)
class Alerts:
    notify: tuple[str, ...]  # names of notifiers of `handoff`
    to: tuple[str, ...] = ()  # e-mail addresses, for those of them that send e-mail


def alerts_of(shape: AlertsFile) -> Alerts:
    return Alerts(shape.notify, shape.to)


def alert_mistakes(raw: Any) -> Iterator[Mistake]:
    """What alerts name must be there, and able to tell a text; looks at whatever has the right shape."""
    notifiers, notify = at(raw, "handoff", "notifiers"), at(raw, "alerts", "notify")
    known = notifiers if isinstance(notifiers, Mapping) else {}
    named = [notify] if isinstance(notify, str) else notify if isinstance(notify, list) else []
    for rank, name in enumerate(named):
        steps: Steps = ("alerts", "notify", rank) if isinstance(notify, list) else ("alerts", "notify")
        if isinstance(name, str) and name not in known:
            help = did_you_mean(name, known, known_as="notifiers")
            yield Mistake(steps, f"there is no notifier {quoted(name)} under `handoff`", help, "SY007")
        elif isinstance(name, str) and at(known, name, "type") == "task":
            message = f"{quoted(name)} makes tasks on leads in the CRM, and an alert is about no lead"
            yield Mistake(steps, message, "name one of type slack, email, webhook or apprise", "SY010")
    mailed = [name for name in named if isinstance(name, str) and at(known, name, "type") == "email"]
    if mailed and not at(raw, "alerts", "to"):
        message = f"{mailed[0]} sends e-mail, and nothing says to whom"
        yield Mistake(("alerts", "notify"), message, "write for example to: [ops@...]", "SY010", at_key=True)
