"""A believable year in the portal of Nimbo, an invented company that sells software to companies."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from connectors.emulators.sample import words
from connectors.emulators.sample.behaviour import Activity, Contacted, activities, answers, counters, moment_text
from connectors.emulators.sample.cast import CAST, Actor, history
from connectors.emulators.sample.contacts import Contact, finished
from connectors.emulators.sample.past import as_of, logged_at
from connectors.emulators.sample.people import Companies, companies, person
from connectors.emulators.sample.personas import COLD, PERSONAS, Persona
from connectors.emulators.sample.times import FRESHEST, Span, arrival

Json = dict[str, Any]

_KEEN_DAYS = 12  # who was quiet for no longer is interested now
_EARLIER_SHARE = 0.8
_FIRST_CONTACT = 90_151_000_001
_FIRST_ACTIVITY = 61_480_000_001
TO_CONTACT = {"emails": 198, "calls": 194, "meetings": 200, "notes": 202, "tasks": 204}
"""HubSpot's association type from each kind of activity to the contact."""


@dataclass(frozen=True, slots=True)
class SampleBase:
    """Everything in the portal as of `now`; contacts in the order in which they came."""

    now: datetime
    contacts: tuple[Contact, ...]

    def find(self, email: str) -> tuple[str, Contact]:
        """The lead and its id in the portal. KeyError for nobody."""
        for contact_id, contact, _ in self._numbered():
            if contact.properties["email"] == email:
                return str(contact_id), contact
        raise KeyError(email)

    def body(self, until: datetime | None = None) -> Json:
        """What the control plane's `load` takes: everything, or what there was by then."""
        whole = {"properties": {"contacts": CUSTOM_PROPERTIES}, "owners": [asdict(owner) for owner in words.OWNERS]}
        return {**whole, **self._objects(datetime.min.replace(tzinfo=UTC), until or self.now)}

    def news(self, since: datetime, until: datetime) -> tuple[Json, Json]:
        """What came after `since`, up to `until`: what `load` takes, and what `calculate` takes of earlier leads."""
        changed: Json = {}
        for contact_id, contact, _ in self._numbered():
            if contact.modified_at <= since:
                continue
            before, after = as_of(contact, since), as_of(contact, until)
            if before is not None and after is not None and before.properties != after.properties:
                known = before.properties
                changed[str(contact_id)] = {k: v for k, v in after.properties.items() if known.get(k) != v}
        return self._objects(since, until), {"objectType": "contacts", "records": changed}

    def _objects(self, since: datetime, until: datetime) -> Json:
        people, objects, ties = [], _empty_kinds(), _empty_kinds()
        for contact_id, contact, numbered in self._numbered():
            seen = as_of(contact, until) if since < contact.created_at <= until else None
            if seen is not None:
                people.append(row(contact_id, seen.properties, seen.created_at, seen.modified_at))
            for activity_id, activity in numbered:
                at = min(logged_at(activity), self.now - FRESHEST)
                if since < at <= until:
                    objects[activity.kind].append(row(activity_id, activity.properties, at, at))
                    ties[activity.kind].append([activity_id, contact_id])
        return {
            "objects": {"contacts": people, **objects},
            "associations": [
                {"from": kind, "to": "contacts", "typeId": TO_CONTACT[kind], "pairs": pairs}
                for kind, pairs in ties.items()
            ],
        }

    def _numbered(self) -> Iterator[tuple[int, Contact, list[tuple[int, Activity]]]]:
        """Contacts and their activities with the ids they have whenever they are looked at."""
        first = _FIRST_ACTIVITY
        for contact_id, contact in enumerate(self.contacts, start=_FIRST_CONTACT):
            yield contact_id, contact, list(enumerate(contact.activities, start=first))
            first += len(contact.activities)


def _empty_kinds() -> dict[str, list[Any]]:
    return {kind: [] for kind in TO_CONTACT}


def row(record_id: int, properties: Mapping[str, str], created_at: datetime, modified_at: datetime) -> Json:
    """A record as `load` takes it."""
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


def build(*, now: datetime, seed: int = 2026, leads: int = 2000, spread: timedelta = timedelta()) -> SampleBase:
    """The base as of `now` (aware); the same arguments give the same base. `leads` includes the cast of the demo.

    Those who are interested are so at `now`; with a spread, most of them were so at some time within it.
    """
    if now.tzinfo is None:
        raise ValueError("the base needs an aware time")
    if leads < len(CAST):
        raise ValueError(f"the base needs at least {len(CAST)} leads")
    known = companies(Random(f"{seed}/companies"))
    kinds = _kinds(leads - len(CAST), Random(f"{seed}/kinds"))
    contacts = [_actor(Random(f"{seed}/{actor.role}"), actor, now) for actor in CAST]
    for number, kind in enumerate(kinds, start=1):
        place = number, now, _earlier(Random(f"{seed}/{number}/earlier"), kind, spread)
        contacts.append(_contact(Random(f"{seed}/{number}"), kind, place, known))
    return SampleBase(now, tuple(sorted(contacts, key=lambda each: (each.created_at, each.properties["email"]))))


def _kinds(count: int, rng: Random) -> list[Persona]:
    """Exact shares in a random order."""
    found = [persona for persona in PERSONAS for _ in range(round(persona.share * count))][:count]
    found += [COLD] * (count - len(found))
    rng.shuffle(found)
    return found


def _earlier(rng: Random, persona: Persona, spread: timedelta) -> timedelta:
    """By how much their interest lies further back."""
    keen = persona.quiet_days[1] <= _KEEN_DAYS
    return spread * rng.random() if keen and rng.random() < _EARLIER_SHARE else timedelta()


def _contact(rng: Random, persona: Persona, place: tuple[int, datetime, timedelta], known: Companies) -> Contact:
    number, now, earlier = place
    who = person(rng, persona, number, known)
    created_at = arrival(rng, now - earlier, persona.older_than_days)
    active = now - earlier - timedelta(days=rng.uniform(*persona.quiet_days))
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
    return finished(persona.name, created_at, properties, done, now)


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
    return finished(f"cast: {actor.role}", created_at, {**known, **properties}, done, now)
