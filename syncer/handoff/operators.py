"""Telling the operators: a short text over the notifiers that `alerts` names.

Not through the outbox: that belongs to hand-offs, and drains with the runs of a connection, which is what may be
broken. Whether somebody was told is kept by the caller, who tries again where nobody was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from syncer.handoff.alerts import Alert
from syncer.handoff.channels import open_channels
from syncer.handoff.delivery import Announcing, DeliveryError
from syncer.handoff.messages import Audience
from syncer.settings import Alerts, Email, HandoffSettings


def announce(alert: Alert, alerts: Alerts, settings: HandoffSettings) -> Mapping[str, str | None]:
    """Tell everybody; "notifier" or "notifier recipient" -> why it was not delivered, None where it was."""
    channels = open_channels(settings, Audience())
    told: dict[str, str | None] = {}
    for name, recipient in _recipients(alerts, settings):
        channel = channels[name]
        try:
            if isinstance(channel, Announcing):
                channel.announce(alert, recipient)
                told[f"{name} {recipient}".strip()] = None
        except DeliveryError as failure:
            told[f"{name} {recipient}".strip()] = failure.message
    return told


def _recipients(alerts: Alerts, settings: HandoffSettings) -> Iterator[tuple[str, str]]:
    for name in alerts.notify:
        for recipient in alerts.to if isinstance(settings.notifiers[name], Email) else ("",):
            yield name, recipient
