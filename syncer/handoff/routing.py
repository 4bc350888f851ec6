"""Who hears of a hand-off, and over which channels: pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator

from syncer.handoff.text import is_address
from syncer.model import Handoff, Notice, NoticeKind, Signals
from syncer.scoring import passes
from syncer.settings import OWNER, CrmTask, Email, HandoffSettings, Route, Team


def recipients(handoff: Handoff, settings: HandoffSettings) -> tuple[str, ...]:
    """The e-mail addresses of the first route that fits, each once; none where no route fits or leads to anybody."""
    route = route_of(handoff, settings)
    if route is None:
        return ()
    return _each_once(address for wanted in route.to for address in _addresses(wanted, route, handoff, settings))


def route_of(handoff: Handoff, settings: HandoffSettings) -> Route | None:
    """The first that fits."""
    signals = Signals(handoff.lead, handoff.fields)
    fitting = (each for each in settings.routes if each.when is None or passes(each.when, signals, handoff.at))
    return next(fitting, None)


def picking_team(route: Route, settings: HandoffSettings) -> Team | None:
    """The team one of whose members gets what takes this route; the file has at most one for each."""
    teams = (settings.teams[name] for name in route.to if name in settings.teams)
    return next((each for each in teams if each.pick != "all"), None)


def first_recipient(handoff: Handoff, settings: HandoffSettings) -> str | None:
    """Who comes first on the route of what no team's member gets; None where that is nobody, or a whole team."""
    route = route_of(handoff, settings)
    if route is None:
        return None
    found = (list(_addresses(wanted, route, handoff, settings)) for wanted in route.to)
    first = next(filter(None, found), [])
    return first[0] if len(first) == 1 else None


def notices(handoff: Handoff, settings: HandoffSettings) -> tuple[Notice, ...]:
    """One notice per channel and recipient, all waiting for the CRM to confirm the stage, at most `settings.wait`.

    An e-mail channel whose routes lead to nobody gives one notice that is dead from the start: it shows in `status`,
    where silence would lose the hand-off.
    """
    return tuple(notice for name in settings.notify for notice in _of_channel(handoff, settings, name))


def had_nobody(notice: Notice, settings: HandoffSettings) -> bool:
    """Whether it stands for an e-mail that had no address to go to; sending it again can never work."""
    return not notice.recipient and isinstance(settings.notifiers.get(notice.channel), Email)


def routed_anew(handoff: Handoff, channel: str, settings: HandoffSettings) -> tuple[Notice, ...]:
    """What goes out over the e-mail channel in place of one that had nobody: by today's routes, at once. None where
    there is still nobody."""
    return tuple(
        Notice(notice_key(handoff, channel, address), handoff, channel, address, "ready")
        for address in recipients(handoff, settings)
    )


def notice_key(handoff: Handoff, channel: str, recipient: str, kind: NoticeKind = "handoff") -> str:
    """The same for every replay of the same news to the same recipient; 32 hexadecimal digits."""
    told = json.dumps([handoff.key, channel, recipient.lower(), *((kind,) if kind != "handoff" else ())])
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


def _addresses(wanted: str, route: Route, handoff: Handoff, settings: HandoffSettings) -> Iterator[str]:
    """An owner without an address is stood in for by the fallback; what the file says was checked when it was read. Of
    what was handed over before its route led to a team, the whole team hears."""
    if wanted in settings.teams:
        team = settings.teams[wanted]
        if team.pick != "all" and handoff.assigned_to is not None:
            yield handoff.assigned_to
        else:
            yield from (each.email for each in team.members)
    elif wanted in settings.people:
        yield settings.people[wanted].email
    elif wanted != OWNER:
        yield wanted
    elif is_address(handoff.owner):
        yield handoff.owner
    elif route.fallback is not None:
        yield route.fallback


def _each_once(addresses: Iterable[str]) -> tuple[str, ...]:
    return tuple({address.lower(): address for address in addresses}.values())
