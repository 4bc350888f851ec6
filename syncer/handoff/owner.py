"""Giving the lead's record in the CRM to who shall act, through its connector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from syncer.connector import Assigner
from syncer.handoff.delivery import DeliveryError, Repeats, asking_the_crm
from syncer.handoff.routing import QUEUE
from syncer.model import Assignment, Notice


@dataclass(frozen=True, slots=True)
class OwnerChannel:
    """`target` None: the records of the lead's connection belong to nobody, as far as its connector knows."""

    target: Assigner | None
    repeats: ClassVar[Repeats] = "safe"

    def send(self, notice: Notice, repeat: bool) -> None:
        """What it is asked for is absolute, so a repeat needs no mark."""
        if self.target is None:
            connection = notice.handoff.record.connection
            raise DeliveryError(
                f"{connection}: its connector cannot give records to anybody; take `assign` out of the route",
                "permanent",
            )
        with asking_the_crm():
            done = self.target.assign(_assignment(notice))
        if done == "kept":
            raise DeliveryError("somebody has given the record to somebody else meanwhile; it was left so", "moot")


def _assignment(notice: Notice) -> Assignment:
    to, handoff = notice.recipient, notice.handoff
    return Assignment(handoff.record, to.removeprefix(QUEUE), to.startswith(QUEUE), before=handoff.owner)
