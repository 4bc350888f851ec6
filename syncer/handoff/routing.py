"""Who hears of a hand-off, and over which channels: pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator

from syncer.handoff.text import is_address
from syncer.model import Handoff, Notice, NoticeKind, Signals
from syncer.scoring import passes
from syncer.settings import OWNER, CrmTask, Email, HandoffSettings, Route, Team

OWNER_CHANNEL = "(owner)"  # no notifier is called so: brackets are not allowed in names
"""Over which the record in the CRM goes to who shall act."""
QUEUE = "queue:"  # begins the recipient that is a queue of the CRM; no e-mail address begins so


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
    """One notice per channel and recipient, all waiting for the CRM to confirm the stage, at most `settings.wait`, and
    one that gives the record to its new owner where the route says so.

    An e-mail channel whose routes lead to nobody gives one notice that is dead from the start: it shows in `status`,
    where silence would lose the hand-off.
    """
    told = (notice for name in settings.notify for notice in _of_channel(handoff, settings, name))
    return (*told, *_assignments(handoff, settings))


def new_owner(handoff: Handoff, settings: HandoffSettings) -> str | None:
    """Whom its record shall belong to from now on: an e-mail address, or a queue of the CRM behind `QUEUE`. None where
    it stays with whoever has it."""
    route = route_of(handoff, settings)
    if route is None or not route.assign:
        return None
    team = picking_team(route, settings) or settings.teams.get(route.to[0])
    queue = team.queue if team is not None else None
    shall = queue or handoff.assigned_to
    if shall is None or shall.lower() == (handoff.owner or "").lower():
        return None
    return f"{QUEUE}{queue}" if queue else shall


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


def _assignments(handoff: Handoff, settings: HandoffSettings) -> Iterator[Notice]:
    to = new_owner(handoff, settings)
    if to is not None:
        key, latest = notice_key(handoff, OWNER_CHANNEL, to, "assignment"), handoff.at + settings.wait
        yield Notice(key, handoff, OWNER_CHANNEL, to, not_before=latest, kind="assignment")


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
