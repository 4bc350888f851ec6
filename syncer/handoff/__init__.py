"""Telling sales of a qualified lead: who (routing), what (messages), over what (channels), exactly as often as can be
promised (sending).

Nothing is lost. Nothing is sent twice where the receiver can drop repeats by their key; Slack and e-mail cannot.
"""

from syncer.handoff.messages import Audience
from syncer.handoff.routing import notices, recipients
from syncer.handoff.sending import Delivery, drain
from syncer.model import Notice

__all__ = ["Audience", "Delivery", "Notice", "drain", "notices", "recipients"]
