"""A task on the lead's own record in the CRM, through its connector."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import ClassVar

from syncer.connector import HandoffTarget
from syncer.handoff.delivery import DeliveryError, Repeats, asking_the_crm
from syncer.handoff.messages import Audience, letter
from syncer.handoff.routing import recipients
from syncer.model import Handoff, Notice, Task
from syncer.settings import HandoffSettings


@dataclass(frozen=True, slots=True)
class CrmTaskChannel:
    """`target` None: the connector of the lead's connection knows no tasks."""

    target: HandoffTarget | None
    due_in: timedelta
    audience: Audience
    settings: HandoffSettings  # of which the routes say who stands in for a missing owner
    repeats: ClassVar[Repeats] = "safe"

    def send(self, notice: Notice, repeat: bool) -> None:
        """The connector looks for the notice's key before it creates anything, so a repeat needs no mark."""
        if self.target is None:
            connection = notice.handoff.record.connection
            raise DeliveryError(
                f"{connection}: its connector cannot create tasks; use a notifier of another type", "permanent"
            )
        with asking_the_crm():
            self.target.create_task(self._task(notice))

    def _task(self, notice: Notice) -> Task:
        handoff = notice.handoff
        written = letter(handoff, self.audience)
        return Task(
            key=notice.key,
            record=handoff.record,
            subject=written.subject,
            body=written.text.strip(),
            due_at=handoff.at + self.due_in,
            owner=_beside_the_owner(handoff),
            fallback_owner=_stand_in(handoff, self.settings),
        )


def _beside_the_owner(handoff: Handoff) -> str | None:
    """Whom it was given to, where that is not whoever owns the record: who does by then gets the task unasked."""
    given, owner = handoff.assigned_to or "", handoff.owner or ""
    return handoff.assigned_to if given.lower() != owner.lower() else None


def _stand_in(handoff: Handoff, settings: HandoffSettings) -> str | None:
    """Who the routes name for such a lead without an owner."""
    return next(iter(recipients(replace(handoff, owner=None), settings)), None)
