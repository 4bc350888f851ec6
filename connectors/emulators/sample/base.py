"""A believable year in the portal of Nimbo, an invented company that sells software to companies."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from connectors.emulators.sample import words
from connectors.emulators.sample.behaviour import Activity, Contacted, activities, answers, counters, moment_text
from connectors.emulators.sample.cast import CAST, Actor, history
from connectors.emulators.sample.people import Companies, companies, person
from connectors.emulators.sample.personas import COLD, PERSONAS, Persona
from connectors.emulators.sample.times import FRESHEST, Span, arrival

Json = dict[str, Any]

_FIRST_CONTACT = 90_151_000_001
_FIRST_ACTIVITY = 61_480_000_001
TO_CONTACT = {"emails": 198, "calls": 194, "meetings": 200, "notes": 202, "tasks": 204}
"""HubSpot's association type from each kind of activity to the contact."""

_CONTACTING = ("emails", "calls", "meetings")


@dataclass(frozen=True, slots=True)
class Contact:
    """One lead with all that happened. `persona` is what they were meant to be, for tests and the curious."""

    persona: str
    created_at: datetime
    modified_at: datetime
    properties: Mapping[str, str]  # HubSpot's, by internal name
    activities: tuple[Activity, ...]  # oldest first


@dataclass(frozen=True, slots=True)
class SampleBase:
    """Everything in the portal as of `now`; contacts in the order in which they came."""

    now: datetime
    contacts: tuple[Contact, ...]

    def body(self) -> Json:
        """What the control plane's `load` takes."""
        people, objects, ties = [], _empty_kinds(), _empty_kinds()
        for contact_id, contact in enumerate(self.contacts, start=_FIRST_CONTACT):
            people.append(_row(contact_id, contact.properties, contact.created_at, contact.modified_at))
            for activity in contact.activities:
                activity_id = _FIRST_ACTIVITY + sum(map(len, objects.values()))
                logged_at = min(activity.at, self.now - FRESHEST)  # a task may be due tomorrow
                objects[activity.kind].append(_row(activity_id, activity.properties, logged_at, logged_at))
                ties[activity.kind].append([activity_id, contact_id])
        return {
            "properties": {"contacts": CUSTOM_PROPERTIES},
            "owners": [asdict(owner) for owner in words.OWNERS],
            "objects": {"contacts": people, **objects},
            "associations": [
                {"from": kind, "to": "contacts", "typeId": TO_CONTACT[kind], "pairs": pairs}
                for kind, pairs in ties.items()
            ],
        }


def _empty_kinds() -> dict[str, list[Any]]:
    return {kind: [] for kind in TO_CONTACT}


def _row(record_id: int, properties: Mapping[str, str], created_at: datetime, modified_at: datetime) -> Json:
    times = {"createdAt": moment_text(created_at), "updatedAt": moment_text(modified_at)}
    return {"id": str(record_id), "properties": dict(properties), **times}


def _choice(name: str, label: str, options: Sequence[str]) -> Json:
    shown = [{"label": each, "value": each} for each in options]
    kind = {"type": "enumeration", "fieldType": "select"}
    return {"name": name, "label": label, **kind, "groupName": "nimbo", "options": shown}


CUSTOM_PROPERTIES: list[Json] = [
    _choice("main_challenge", "Main challenge", words.CHALLENGES),
    _choice("current_tool", "Tool in use today", (*words.TOOLS_WE_REPLACE, *words.OTHER_TOOLS)),
    _choice("timeline", "Wants to start", (*words.SOON, *words.LATER, words.JUST_LOOKING)),
    {"name": "budget", "label": "Yearly budget (EUR)", "type": "number", "fieldType": "number", "groupName": "nimbo"},
]


def build(*, now: datetime, seed: int = 2026, leads: int = 2000) -> SampleBase:
    """The base as of `now` (aware); the same arguments give the same base. `leads` includes the cast of the demo."""
    if now.tzinfo is None:
        raise ValueError("the base needs an aware time")
    if leads < len(CAST):
        raise ValueError(f"the base needs at least {len(CAST)} leads")
    known = companies(Random(f"{seed}/companies"))
    kinds = _kinds(leads - len(CAST), Random(f"{seed}/kinds"))
    contacts = [_actor(Random(f"{seed}/{actor.role}"), actor, now) for actor in CAST]
    for number, kind in enumerate(kinds, start=1):
        contacts.append(_contact(Random(f"{seed}/{number}"), kind, (number, now), known))
    return SampleBase(now, tuple(sorted(contacts, key=lambda each: (each.created_at, each.properties["email"]))))


def _kinds(count: int, rng: Random) -> list[Persona]:
    """Exact shares in a random order."""
    found = [persona for persona in PERSONAS for _ in range(round(persona.share * count))][:count]
    found += [COLD] * (count - len(found))
    rng.shuffle(found)
    return found


def _contact(rng: Random, persona: Persona, place: tuple[int, datetime], known: Companies) -> Contact:
    number, now = place
    who = person(rng, persona, number, known)
    created_at = arrival(rng, now, persona.older_than_days)
    active = now - timedelta(days=rng.uniform(*persona.quiet_days))
    span = Span(created_at, max(created_at, min(active, now - FRESHEST)), who.utc_offset)
    owner = _owner(rng, persona, who.utc_offset)
    ends = Contacted(who.properties["email"], *owner)
    done = sorted(activities(rng, persona, span, ends), key=lambda each: each.at)
    properties = {
        **who.properties,
        **counters(rng, persona, span),
        **answers(rng, persona),
        "lifecyclestage": rng.choices(*zip(*persona.lifecycles, strict=True))[0],
        **({"hubspot_owner_id": owner[0]} if owner[0] else {}),
    }
    return _finished(persona.name, created_at, properties, done, now)


def _owner(rng: Random, persona: Persona, utc_offset: timedelta) -> tuple[str, str]:
    """(id, e-mail) of who in sales looks after them; a third of the cold ones has nobody."""
    if persona is COLD and rng.random() < 0.35:
        return "", "sales@nimbo.example"
    iberia, latam, gone = words.OWNERS[:2], words.OWNERS[2:4], words.OWNERS[4]
    owner = gone if rng.random() < 0.04 else rng.choice(latam if utc_offset < timedelta(0) else iberia)
    return str(owner.id), owner.email


def _actor(rng: Random, actor: Actor, now: datetime) -> Contact:
    properties, done = history(actor, rng, now)
    created_at = (now - timedelta(days=200 if actor.asleep else 45 + rng.randrange(30))).replace(microsecond=0)
    known = {**actor.person(rng).properties, "lifecyclestage": "lead", "hubspot_owner_id": actor.ends.owner_id}
    return _finished(f"cast: {actor.role}", created_at, {**known, **properties}, done, now)


def _finished(
    persona: str, created_at: datetime, properties: Mapping[str, str], done: Sequence[Activity], now: datetime
) -> Contact:
    """With the sums HubSpot keeps of the activities, and the time of the last change."""
    whole = {**properties, **_sums(done), "hs_lead_status": _lead_status(done)}
    past = [activity.at for activity in done if activity.at <= now - FRESHEST]
    seen = [datetime.fromisoformat(value) for name, value in properties.items() if name in _SIGNS_OF_LIFE]
    return Contact(persona, created_at, max([created_at, *past, *seen]), whole, tuple(done))


_SIGNS_OF_LIFE = ("hs_email_last_open_date", "hs_analytics_last_timestamp", "recent_conversion_date")


def _sums(done: Sequence[Activity]) -> dict[str, str]:
    logged = [activity for activity in done if activity.kind != "tasks"]
    contacting = [activity for activity in logged if activity.kind in _CONTACTING]
    found = {"num_notes": str(len(logged)), "num_contacted_notes": str(len(contacting))}
    found |= {"notes_last_updated": moment_text(logged[-1].at)} if logged else {}
    found |= {"notes_last_contacted": moment_text(contacting[-1].at)} if contacting else {}
    return found


def _lead_status(done: Sequence[Activity]) -> str:
    kinds = Counter(activity.kind for activity in done)
    if kinds["meetings"] or any(each.properties.get("hs_email_direction") == "INCOMING_EMAIL" for each in done):
        return "CONNECTED"
    return "ATTEMPTED_TO_CONTACT" if kinds["emails"] or kinds["calls"] else "NEW"
