"""What somebody did: the counters HubSpot keeps on the contact, and the activities sales logged."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from connectors.emulators.hubspot.clock import iso, to_ms
from connectors.emulators.sample import words
from connectors.emulators.sample.personas import Persona
from connectors.emulators.sample.times import Span, fading_back, in_the_office

CONNECTED = "f240bbac-87c9-4f6e-bf70-924b57d47db7"
NO_ANSWER = "73a0d17f-1163-4015-bdd5-ec830791da20"
VOICEMAIL = "b2cf5968-551e-4856-9783-52b3da59a7d0"
"""HubSpot's ids of call outcomes; the same in every portal."""

SUBJECTS = ("Your expense reports", "Nimbo and your month-end", "Ten minutes this week?", "Savings for your team")
_NOTES = (
    "Uses spreadsheets, closes late every month.",
    "Asked for references in the sector.",
    "Wants to involve finance.",
    "Budget is decided in spring.",
    "Likes the approval flow.",
)
_PAGES = ("/", "/precios", "/blog", "/producto", "/casos")


@dataclass(frozen=True, slots=True)
class Activity:
    """One engagement of one contact. `kind` is the object's plural name: emails, calls, meetings, notes, tasks."""

    kind: str
    at: datetime
    properties: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Contacted:
    """The two ends of a conversation."""

    email: str
    owner_id: str
    owner_email: str


def moment_text(moment: datetime) -> str:
    """A time as HubSpot stores it."""
    return iso(to_ms(moment))


# Counters: HubSpot only says how many, and when the last one was.


def counters(rng: Random, persona: Persona, span: Span) -> dict[str, str]:
    """E-mail, web and form counters of a contact, in line with each other."""
    found = {**_mail(rng, persona, span), **_web(rng, persona, span), **_forms(rng, persona, span)}
    if persona.opted_out and rng.random() < persona.opted_out:
        found["hs_email_optout"] = "true"
    return found


def _last(rng: Random, span: Span) -> datetime:
    """The last time of one habit: the nearer to the last sign of life, the likelier."""
    return span.clipped(span.last - timedelta(days=rng.expovariate(1 / 2)))


def _mail(rng: Random, persona: Persona, span: Span) -> dict[str, str]:
    opens = rng.randint(*persona.opens)
    clicks = min(opens, sum(rng.random() < 0.3 for _ in range(opens)))
    found = {"hs_email_delivered": str(opens + rng.randint(1, 25))}
    if opens:
        last = _last(rng, span)
        first = span.clipped(span.first + (last - span.first) * rng.random())
        found |= {"hs_email_open": str(opens), "hs_email_last_open_date": moment_text(last)}
        found |= {"hs_email_first_open_date": moment_text(first)}
        if clicks:
            clicked = span.clipped(last - timedelta(days=rng.choice((0, 0, 3))))
            found |= {"hs_email_click": str(clicks), "hs_email_last_click_date": moment_text(clicked)}
    return found


def _web(rng: Random, persona: Persona, span: Span) -> dict[str, str]:
    visits = rng.randint(*persona.visits)
    last = moment_text(_last(rng, span))
    return {
        "hs_analytics_num_visits": str(visits),
        "hs_analytics_num_page_views": str(visits + sum(rng.randint(0, 4) for _ in range(visits))),
        "hs_analytics_first_timestamp": moment_text(span.first),
        "hs_analytics_last_timestamp": last,
        "hs_analytics_last_visit_timestamp": last,
        "hs_analytics_last_url": "https://nimbo.example" + rng.choice(_PAGES),
    }


def _forms(rng: Random, persona: Persona, span: Span) -> dict[str, str]:
    forms = rng.randint(*persona.forms)
    if not forms:
        return {}
    chance = rng.random()
    if chance < persona.asks_for_demo:
        recent = words.DEMO
    elif chance < persona.asks_for_demo + persona.asks_for_prices:
        recent = rng.choice(words.SERIOUS_FORMS)
    else:
        recent = rng.choice(words.LIGHT_FORMS)
    first, last = span.first, span.first if forms == 1 and persona.asks_for_demo == 0 else _last(rng, span)
    return {
        "num_conversion_events": str(forms),
        "num_unique_conversion_events": str(min(forms, rng.randint(1, 3))),
        "first_conversion_date": moment_text(first),
        "first_conversion_event_name": recent if forms == 1 else rng.choice(words.LIGHT_FORMS),
        "recent_conversion_date": moment_text(last),
        "recent_conversion_event_name": recent,
    }


def answers(rng: Random, persona: Persona) -> dict[str, str]:
    """What they said in forms and on the phone about their problem and their plans."""
    found: dict[str, str] = {}
    if rng.random() < persona.need:
        found["main_challenge"] = rng.choice(words.CHALLENGES)
    if rng.random() < 0.2 + persona.need / 2:
        replaceable = rng.random() < persona.need
        found["current_tool"] = rng.choice(words.TOOLS_WE_REPLACE if replaceable else words.OTHER_TOOLS)
    if rng.random() < persona.ready:
        found |= {"timeline": rng.choice(words.SOON), "budget": rng.choice(words.BUDGETS)}
    elif rng.random() < 0.3:
        found["timeline"] = rng.choice((*words.LATER, words.JUST_LOOKING))
    return found


# Activities: what sales and the lead did together.


def activities(rng: Random, persona: Persona, span: Span, ends: Contacted) -> Iterator[Activity]:
    """E-mails both ways, calls, meetings, and what sales noted about them."""
    for at in fading_back(rng, span, rng.randint(*persona.replies), 9):
        yield from _exchange(rng, span, at, ends)
    for at in _scattered(rng, span, rng.randint(*persona.unanswered)):
        yield email(in_the_office(rng, span, at), rng.choice(SUBJECTS), ends)
    yield from _calls(rng, persona, span, ends)
    yield from _meetings(rng, persona, span, ends)


def _scattered(rng: Random, span: Span, count: int) -> Iterator[datetime]:
    for _ in range(count):
        yield span.first + (span.last - span.first) * rng.random()


def _exchange(rng: Random, span: Span, answered: datetime, ends: Contacted) -> Iterator[Activity]:
    subject = rng.choice(SUBJECTS)
    at = in_the_office(rng, span, answered)
    yield email(span.clipped(at - timedelta(hours=rng.uniform(1, 30))), subject, ends)
    yield email(at, f"Re: {subject}", ends, incoming=True)


def _calls(rng: Random, persona: Persona, span: Span, ends: Contacted) -> Iterator[Activity]:
    for moment in fading_back(rng, span, rng.randint(*persona.calls), 12):
        at = in_the_office(rng, span, moment)
        yield call(at, CONNECTED, rng.randint(90, 1500), ends)
        if rng.random() < 0.6:
            yield note(span.clipped(at + timedelta(minutes=5)), rng.choice(_NOTES), ends)
    if rng.random() < persona.missed:
        at = in_the_office(rng, span, next(_scattered(rng, span, 1)))
        yield call(at, rng.choice((NO_ANSWER, NO_ANSWER, VOICEMAIL)), rng.randint(5, 40), ends)
        yield task(at + timedelta(days=2), "Call again", "COMPLETED" if rng.random() < 0.7 else "NOT_STARTED", ends)


def _meetings(rng: Random, persona: Persona, span: Span, ends: Contacted) -> Iterator[Activity]:
    for moment in fading_back(rng, span, rng.randint(*persona.meetings), 12):
        yield meeting(in_the_office(rng, span, moment), "COMPLETED", ends)
    if rng.random() < persona.missed / 10:
        yield meeting(in_the_office(rng, span, next(_scattered(rng, span, 1))), "NO_SHOW", ends)


def email(at: datetime, subject: str, ends: Contacted, incoming: bool = False) -> Activity:
    """A one-to-one e-mail, from sales to the lead or back."""
    sender, receiver = (ends.email, ends.owner_email) if incoming else (ends.owner_email, ends.email)
    properties = {
        "hs_timestamp": moment_text(at),
        "hs_email_direction": "INCOMING_EMAIL" if incoming else "EMAIL",
        "hs_email_status": "SENT",
        "hs_email_subject": subject,
        "hs_email_from_email": sender,
        "hs_email_to_email": receiver,
        "hubspot_owner_id": ends.owner_id,
    }
    return Activity("emails", at, {name: value for name, value in properties.items() if value})


def call(at: datetime, outcome: str, seconds: int, ends: Contacted) -> Activity:
    """An outbound call; `outcome` is HubSpot's id."""
    return Activity("calls", at, {
        "hs_timestamp": moment_text(at), "hs_call_title": "Qualification call", "hs_call_direction": "OUTBOUND",
        "hs_call_disposition": outcome, "hs_call_status": "COMPLETED" if outcome == CONNECTED else "NO_ANSWER",
        "hs_call_duration": str(seconds * 1000), "hubspot_owner_id": ends.owner_id,
    })  # fmt: skip


def meeting(at: datetime, outcome: str, ends: Contacted) -> Activity:
    """Half an hour together, or what became of it."""
    return Activity("meetings", at, {
        "hs_timestamp": moment_text(at), "hs_meeting_title": "Product demo", "hs_meeting_outcome": outcome,
        "hs_meeting_start_time": moment_text(at), "hs_meeting_end_time": moment_text(at + timedelta(minutes=30)),
        "hubspot_owner_id": ends.owner_id,
    })  # fmt: skip


def note(at: datetime, text: str, ends: Contacted) -> Activity:
    """What sales wrote down."""
    return Activity("notes", at, {
        "hs_timestamp": moment_text(at), "hs_note_body": text, "hubspot_owner_id": ends.owner_id,
    })  # fmt: skip


def task(at: datetime, subject: str, status: str, ends: Contacted) -> Activity:
    """What sales means to do; `at` is when it is due."""
    return Activity("tasks", at, {
        "hs_timestamp": moment_text(at), "hs_task_subject": subject, "hs_task_status": status, "hs_task_type": "CALL",
        "hs_task_priority": "MEDIUM", "hubspot_owner_id": ends.owner_id,
    })  # fmt: skip
