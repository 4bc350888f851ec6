"""The few leads the demo follows: written out by hand, so that what they do next tells a story.

Each of them but the last begins as an MQL: a good profile, a problem we solve, some interest.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from types import MappingProxyType

from connectors.emulators.sample import words
from connectors.emulators.sample.behaviour import (
    CONNECTED,
    Activity,
    Contacted,
    call,
    email,
    meeting,
    moment_text,
    note,
)
from connectors.emulators.sample.people import Company, Person, introduced, slug
from connectors.emulators.sample.times import Span, in_the_office

SPAIN, MEXICO, COLOMBIA, CHILE = words.MARKETS[:4]
_SOON = MappingProxyType({"timeline": "1-3 months", "budget": "12000"})


@dataclass(frozen=True, slots=True)
class Actor:
    """One of the cast. `role` says what they will do; `asleep`: nothing happened for months."""

    role: str
    name: tuple[str, str]
    title: str
    company: str
    country: words.Country
    size: int
    owner: int  # which of words.OWNERS
    said: Mapping[str, str] = field(default_factory=dict)  # beyond their problem
    asleep: bool = False

    @property
    def email(self) -> str:
        """Where they can be found in the portal."""
        return f"{slug(self.name[0])}.{slug(self.name[1])}@{slug(self.company)}.example"

    @property
    def ends(self) -> Contacted:
        owner = words.OWNERS[self.owner]
        return Contacted(self.email, str(owner.id), owner.email)

    def person(self, rng: Random) -> Person:
        company = Company(self.company, f"{slug(self.company)}.example", "Logistics", self.country, self.size)
        return introduced(self.name, self.email, self.title, company, rng)


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happens to a lead: what HubSpot counts, what people type in, what sales logs."""

    email: str  # of the lead
    role: str
    told: str  # in a sentence, for the demo's reader
    counted: Mapping[str, str] = field(default_factory=dict)  # properties HubSpot sets by itself
    typed: Mapping[str, str] = field(default_factory=dict)  # properties a person sets
    activities: tuple[Activity, ...] = ()
    owner: int = 0


CAST: tuple[Actor, ...] = (
    Actor("replies", ("Lucía", "Escalante"), "Directora financiera", "Transportes Peñalba", SPAIN, 240, 0, _SOON),
    Actor("meets", ("Rodrigo", "Arriaga"), "Gerente general", "Hoteles Costaluz", MEXICO, 410, 2, _SOON),
    Actor("asks", ("Camila", "Ocampo"), "CFO", "Clínicas Montejo", COLOMBIA, 130, 3),
    Actor("talks", ("Héctor", "Salvatierra"), "Director de operaciones", "Conservas Marisma", SPAIN, 85, 1),
    Actor("browses", ("Ximena", "Valdés"), "Jefa de compras", "Industrias Altavista", CHILE, 620, 2, _SOON),
    Actor("hesitates", ("Gonzalo", "Bermejo"), "Head of Finance", "Editorial Ventisca", SPAIN, 60, 0, _SOON),
    Actor("leaves", ("Adriana", "Téllez"), "Gerente de administración", "Viveros Tierralba", MEXICO, 95, 3),
    Actor("wakes", ("Julián", "Quintana"), "CEO", "Ingeniería Puentealto", COLOMBIA, 180, 2, asleep=True),
)

_BEFORE = MappingProxyType({
    "hs_email_delivered": "18", "hs_email_open": "7", "hs_email_click": "2", "hs_analytics_num_visits": "5",
    "hs_analytics_num_page_views": "14", "num_conversion_events": "1", "num_unique_conversion_events": "1",
})  # fmt: skip


def history(actor: Actor, rng: Random, now: datetime) -> tuple[dict[str, str], tuple[Activity, ...]]:
    """Properties and activities of one of the cast, up to now."""
    ages_days = (160, 150, 170, 165) if actor.asleep else (4, 6, 20, 4)
    opened, clicked, converted, visited = (moment_text(_ago(now, days)) for days in ages_days)
    properties = {
        **_BEFORE,
        "hs_email_last_open_date": opened,
        "hs_email_last_click_date": clicked,
        "hs_analytics_last_timestamp": visited,
        "hs_analytics_last_visit_timestamp": visited,
        "first_conversion_date": converted,
        "first_conversion_event_name": words.GUIDE,
        "recent_conversion_date": converted,
        "recent_conversion_event_name": words.GUIDE,
        **actor.said,
    }
    if actor.asleep:
        return properties, ()
    span = Span(now - timedelta(days=30), now - timedelta(days=1), timedelta(hours=actor.country.utc_offset_h))
    answered = in_the_office(rng, span, now - timedelta(days=9))
    subject = "Your expense reports"
    return {**properties, "main_challenge": "expense reporting"}, (
        email(answered - timedelta(hours=4), subject, actor.ends),
        email(answered, f"Re: {subject}", actor.ends, incoming=True),
    )


def _ago(now: datetime, days: float) -> datetime:
    return (now - timedelta(days=days)).replace(microsecond=0)


def happenings(now: datetime) -> tuple[Happening, ...]:
    """What the cast does in the hour before `now`, in the order of CAST."""
    by_role = {actor.role: actor for actor in CAST}
    return tuple(
        tell(by_role[role], now)
        for role, tell in {
            "replies": _replies, "meets": _meets, "asks": _asks, "talks": _talks,
            "browses": _browses, "hesitates": _hesitates, "leaves": _leaves, "wakes": _wakes,
        }.items()
    )  # fmt: skip


def _minutes_ago(now: datetime, minutes: int) -> datetime:
    return (now - timedelta(minutes=minutes)).replace(microsecond=0)


def _seen(now: datetime, visits: int, opens: int = 0, clicks: int = 0) -> dict[str, str]:
    """The counters after a few more visits, opens and clicks just now."""
    last = moment_text(_minutes_ago(now, 6))
    found = {
        "hs_analytics_num_visits": str(int(_BEFORE["hs_analytics_num_visits"]) + visits),
        "hs_analytics_num_page_views": str(int(_BEFORE["hs_analytics_num_page_views"]) + 3 * visits),
        "hs_analytics_last_timestamp": last,
        "hs_analytics_last_visit_timestamp": last,
    }
    for name, more in (("open", opens), ("click", clicks)):
        if more:
            found[f"hs_email_{name}"] = str(int(_BEFORE[f"hs_email_{name}"]) + more)
            found[f"hs_email_last_{name}_date"] = last
    return found


def _filled_in(now: datetime, form: str) -> dict[str, str]:
    return {
        "num_conversion_events": str(int(_BEFORE["num_conversion_events"]) + 1),
        "recent_conversion_date": moment_text(_minutes_ago(now, 7)),
        "recent_conversion_event_name": form,
    }


def _told(actor: Actor, sentence: str) -> tuple[str, str, str]:
    return actor.email, actor.role, f"{' '.join(actor.name)} ({actor.company}) {sentence}"


def _replies(actor: Actor, now: datetime) -> Happening:
    answer = email(_minutes_ago(now, 12), "Re: Your expense reports", actor.ends, incoming=True)
    return Happening(*_told(actor, "answered an e-mail"), activities=(answer,))


def _meets(actor: Actor, now: datetime) -> Happening:
    held = meeting(_minutes_ago(now, 50), "COMPLETED", actor.ends)
    return Happening(*_told(actor, "came to a meeting"), activities=(held,))


def _asks(actor: Actor, now: datetime) -> Happening:
    counted = {**_seen(now, visits=1), **_filled_in(now, words.DEMO)}
    return Happening(*_told(actor, "asked for a demo on the website"), counted=counted)


def _talks(actor: Actor, now: datetime) -> Happening:
    logged = (
        call(_minutes_ago(now, 25), CONNECTED, 780, actor.ends),
        note(_minutes_ago(now, 10), "Closes the month by hand. Wants to start next month.", actor.ends),
    )
    sentence = "told sales on the phone about time and budget"
    return Happening(*_told(actor, sentence), typed=_SOON, activities=logged, owner=actor.owner)


def _browses(actor: Actor, now: datetime) -> Happening:
    counted = {**_seen(now, visits=2, opens=2, clicks=2), **_filled_in(now, words.CALCULATOR)}
    return Happening(*_told(actor, "came back, clicked twice and tried the savings calculator"), counted=counted)


def _hesitates(actor: Actor, now: datetime) -> Happening:
    return Happening(*_told(actor, "opened an e-mail and looked at one page"), counted=_seen(now, visits=1, opens=1))


def _leaves(actor: Actor, now: datetime) -> Happening:
    return Happening(*_told(actor, "unsubscribed"), counted={"hs_email_optout": "true"})


def _wakes(actor: Actor, now: datetime) -> Happening:
    counted = {**_seen(now, visits=1, opens=1, clicks=2), **_filled_in(now, words.GUIDE)}
    typed = {"main_challenge": "month-end closing"}
    sentence = "came back after months and named a problem"
    return Happening(*_told(actor, sentence), counted=counted, typed=typed, owner=actor.owner)
