"""A lead earlier in its life: what HubSpot had counted by then, and what the lead had said.

HubSpot keeps of a habit only how often and when first and last, so the times between are drawn along a line that grows
denser towards the last one. All of it follows from the lead alone: the same moment always shows the same lead.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from connectors.emulators.sample.behaviour import Activity, moment_text
from connectors.emulators.sample.contacts import Contact, finished

_ABOUT_THEM = ("main_challenge", "current_tool")  # said in the first form
_ABOUT_PLANS = ("timeline", "budget")  # said in the last one
_LAST_SEEN = ("hs_email_last_open_date", "hs_analytics_last_visit_timestamp", "recent_conversion_date")
_DENSER = 0.6


def as_of(contact: Contact, moment: datetime) -> Contact | None:
    """The lead as of a moment; None before it came."""
    if contact.created_at > moment:
        return None
    known = contact.properties
    gone = {name for name, since in _said(contact) if since > moment}
    values = {name: value for name, value in known.items() if name not in gone and name not in _COUNTED}
    values |= _mail(contact, moment) | _web(contact, moment) | _forms(contact, moment)
    done = tuple(activity for activity in contact.activities if logged_at(activity) <= moment)
    return finished(contact.persona, contact.created_at, values, done, moment)


def logged_at(activity: Activity) -> datetime:
    """When it came into the portal: a task is written down two days before it is due."""
    return activity.at - timedelta(days=2) if activity.kind == "tasks" else activity.at


def _said(contact: Contact) -> Iterator[tuple[str, datetime]]:
    known = contact.properties
    first = _time(known, "first_conversion_date") or contact.created_at
    last = _time(known, "recent_conversion_date") or first
    yield from ((name, first) for name in _ABOUT_THEM)
    yield from ((name, last) for name in _ABOUT_PLANS)
    yield "hs_email_optout", max([contact.created_at, *(at for name in _LAST_SEEN if (at := _time(known, name)))])


def _mail(contact: Contact, moment: datetime) -> dict[str, str]:
    first = _time(contact.properties, "hs_email_first_open_date") or contact.created_at
    opens = _habit(contact, ("hs_email_open", "hs_email_last_open_date"), first, moment)
    opened = {"hs_email_first_open_date": moment_text(first)} if opens else {}
    return opened | opens | _habit(contact, ("hs_email_click", "hs_email_last_click_date"), first, moment)


def _web(contact: Contact, moment: datetime) -> dict[str, str]:
    known = contact.properties
    first = _time(known, "hs_analytics_first_timestamp") or contact.created_at
    visits = _habit(contact, ("hs_analytics_num_visits", "hs_analytics_last_visit_timestamp"), first, moment)
    if not visits:
        return {}
    share = int(visits["hs_analytics_num_visits"]) / _count(known, "hs_analytics_num_visits")
    pages = str(round(_count(known, "hs_analytics_num_page_views") * share))
    last = visits["hs_analytics_last_visit_timestamp"]
    kept = {name: known[name] for name in ("hs_analytics_first_timestamp", "hs_analytics_last_url") if name in known}
    return {**kept, **visits, "hs_analytics_num_page_views": pages, "hs_analytics_last_timestamp": last}


def _forms(contact: Contact, moment: datetime) -> dict[str, str]:
    known = contact.properties
    first = _time(known, "first_conversion_date") or contact.created_at
    sent = _habit(contact, ("num_conversion_events", "recent_conversion_date"), first, moment)
    if not sent:
        return {}
    whole = sent["num_conversion_events"] == known["num_conversion_events"]
    name = known["recent_conversion_event_name" if whole else "first_conversion_event_name"]
    kinds = min(int(sent["num_conversion_events"]), _count(known, "num_unique_conversion_events"))
    kept = {each: known[each] for each in ("first_conversion_date", "first_conversion_event_name") if each in known}
    return {**kept, **sent, "num_unique_conversion_events": str(kinds), "recent_conversion_event_name": name}


def _habit(contact: Contact, names: tuple[str, str], first: datetime, moment: datetime) -> dict[str, str]:
    """The counter and the date of the last time; empty before the first."""
    counter, last = names[0], _time(contact.properties, names[1])
    if last is None:
        return {}
    times = _so_far(_count(contact.properties, counter), (min(first, last), last), moment)
    return {counter: str(len(times)), names[1]: moment_text(times[-1])} if times else {}


def _so_far(count: int, ends: tuple[datetime, datetime], moment: datetime) -> list[datetime]:
    first, last = ends
    shares = [(number / (count - 1)) ** _DENSER if count > 1 else 1.0 for number in range(count)]
    times = [(first + (last - first) * share).replace(microsecond=0) for share in shares[:-1]] + [last] * bool(count)
    return [at for at in times if at <= moment]


def _time(known: Mapping[str, str], name: str) -> datetime | None:
    return datetime.fromisoformat(known[name]) if name in known else None


def _count(known: Mapping[str, str], name: str) -> int:
    return int(known.get(name, "0"))


_COUNTED = frozenset({
    "hs_email_open", "hs_email_first_open_date", "hs_email_last_open_date", "hs_email_click",
    "hs_email_last_click_date", "hs_analytics_num_visits", "hs_analytics_num_page_views",
    "hs_analytics_first_timestamp", "hs_analytics_last_timestamp", "hs_analytics_last_visit_timestamp",
    "hs_analytics_last_url", "num_conversion_events", "num_unique_conversion_events", "first_conversion_date",
    "first_conversion_event_name", "recent_conversion_date", "recent_conversion_event_name", "num_notes",
    "num_contacted_notes", "notes_last_updated", "notes_last_contacted", "hs_lead_status",
})  # fmt: skip
