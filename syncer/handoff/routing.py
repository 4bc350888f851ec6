"""Who hears of a hand-off, and over which channels: pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator

from syncer.handoff.text import is_address
from syncer.model import Handoff, Notice, Signals
from syncer.scoring import passes
from syncer.settings import OWNER, CrmTask, Email, HandoffSettings, Route


def recipients(handoff: Handoff, settings: HandoffSettings) -> tuple[str, ...]:
    """The e-mail addresses of the first route that fits, each once; none where no route fits or leads to anybody."""
    signals = Signals(handoff.lead, handoff.fields)
    for route in settings.routes:
        if route.when is None or passes(route.when, signals, handoff.at):
            return _each_once(_addresses(route, handoff.owner))
    return ()


def notices(handoff: Handoff, settings: HandoffSettings) -> tuple[Notice, ...]:
    """One notice per channel and recipient, all waiting for the CRM to confirm the stage, at most `settings.wait`.

    An e-mail channel whose routes lead to nobody gives one notice that is dead from the start: it shows in `status`,
    where silence would lose the hand-off.
    """
    return tuple(notice for name in settings.notify for notice in _of_channel(handoff, settings, name))


def notice_key(handoff: Handoff, channel: str, recipient: str) -> str:
    """The same for every replay of the same news to the same recipient; 32 hexadecimal digits."""
    told = json.dumps([handoff.key, channel, recipient.lower()])
    return hashlib.sha256(told.encode()).hexdigest()[:32]


def _of_channel(handoff: Handoff, settings: HandoffSettings, name: str) -> Iterator[Notice]:
    latest, notifier = handoff.at + settings.wait, settings.notifiers[name]
    if not isinstance(notifier, Email):
        recipient = str(handoff.record) if isinstance(notifier, CrmTask) else ""
        yield Notice(notice_key(handoff, name, recipient), handoff, name, recipient, not_before=latest)
        return
    addresses = recipients(handoff, settings)
    for address in addresses:
        yield Notice(notice_key(handoff, name, address), handoff, name, address, not_before=latest)
    if not addresses:
        error = "nobody to tell: no route fits, or the lead has no owner with an e-mail address and no fallback"
        yield Notice(notice_key(handoff, name, ""), handoff, name, "", state="dead", error=error)


def _addresses(route: Route, owner: str | None) -> Iterator[str]:
    """An owner without an address is stood in for by the fallback; what the file says was checked when it was read."""
    known = owner if is_address(owner) else route.fallback
    for wanted in route.to:
        address = known if wanted == OWNER else wanted
        if address is not None:
            yield address


def _each_once(addresses: Iterable[str]) -> tuple[str, ...]:
    return tuple({address.lower(): address for address in addresses}.values())
