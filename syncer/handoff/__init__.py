"""Telling sales of a qualified lead: who (routing), what (messages), over what (channels), exactly as often as can be
promised (sending).

Nothing is lost. Nothing is sent twice where the receiver can drop repeats by their key; Slack, e-mail and the services
behind Apprise cannot.
"""

from syncer.handoff.alerts import Alert
from syncer.handoff.answering import Taken, foreseen, hear, take
from syncer.handoff.assigning import assign
from syncer.handoff.clock import anything_due, heed
from syncer.handoff.links import links_of
from syncer.handoff.messages import Audience
from syncer.handoff.operators import announce
from syncer.handoff.routing import notices, recipients
from syncer.handoff.sending import Delivery, drain
from syncer.model import Notice

__all__ = [
    "Alert",
    "Audience",
    "Delivery",
    "Notice",
    "Taken",
    "announce",
    "anything_due",
    "assign",
    "drain",
    "foreseen",
    "hear",
    "heed",
    "links_of",
    "notices",
    "recipients",
    "take",
]
