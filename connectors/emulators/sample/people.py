"""Who somebody is: name, e-mail, job, company. Decided by the profile of their persona, then by chance."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from random import Random

from connectors.emulators.sample import words
from connectors.emulators.sample.personas import Persona
from connectors.emulators.sample.words import Country

RIGHT_SIZE = (20, 1000)  # employees
_BRACKETS = ((5, "1-5"), (25, "5-25"), (50, "25-50"), (100, "50-100"), (500, "100-500"), (1000, "500-1000"))


@dataclass(frozen=True, slots=True)
class Company:
    name: str
    domain: str
    industry: str
    country: Country
    size: int | None

    @property
    def right_size(self) -> bool:
        return self.size is not None and RIGHT_SIZE[0] <= self.size <= RIGHT_SIZE[1]


@dataclass(frozen=True, slots=True)
class Person:
    """`properties` are HubSpot's, by internal name."""

    properties: Mapping[str, str]
    utc_offset: timedelta


@dataclass(frozen=True, slots=True)
class Traits:
    """What makes somebody our kind of customer, or not."""

    in_market: bool
    right_size: bool
    title: str
    free_mail: bool


def slug(text: str) -> str:
    """Words joined by hyphens: Grupo Gastronómico Ombú becomes grupo-gastronomico-ombu."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


Companies = Mapping[tuple[bool, bool], Sequence[Company]]
"""(in one of our markets, of the right size) -> companies."""


def companies(rng: Random) -> Companies:
    """Every company of the base: each trade in each place once."""
    found: dict[tuple[bool, bool], list[Company]] = {}
    for trade, industry in words.TRADES:
        for place in words.PLACES:
            made = _company(rng, trade, industry, place)
            found.setdefault((made.country in words.MARKETS, made.right_size), []).append(made)
    return found


def _company(rng: Random, trade: str, industry: str, place: str) -> Company:
    name = f"{trade} {place}"
    country = _one_country(rng, words.MARKETS if rng.random() < 0.72 else words.ELSEWHERE)
    small, huge = rng.randrange(2, 20), rng.randrange(1200, 20_000)
    size = round(RIGHT_SIZE[0] * 45 ** rng.random()) if rng.random() < 0.65 else small if rng.random() < 0.8 else huge
    return Company(name, f"{slug(name)}.example", industry, country, size)


def _one_country(rng: Random, countries: Sequence[Country]) -> Country:
    return rng.choices(countries, [each.weight for each in countries])[0]


def person(rng: Random, persona: Persona, number: int, known: Companies) -> Person:
    """Somebody of that kind. `number` keeps their e-mail address apart from all others."""
    if persona.profile == "student":
        return _student(rng, number)
    if persona.profile == "rival":
        name, domain = rng.choice(words.RIVALS)
        company = Company(name, domain, "Software", _one_country(rng, words.MARKETS), rng.randrange(20, 300))
        return _described(rng, company, rng.choice((*words.OTHERS, *words.LEADERS)), number)
    traits = _traits(rng, persona)
    if traits.free_mail:
        return _at_home(rng, traits, number)
    company = rng.choice(known[traits.in_market, traits.right_size])
    return _described(rng, company, traits.title, number)


def _traits(rng: Random, persona: Persona) -> Traits:
    fit = persona.profile == "fit" or (persona.profile == "any" and rng.random() < 0.4)
    if not fit and rng.random() < 0.55:
        title = rng.choice(words.LEADERS) if rng.random() < 0.2 else rng.choice(("", *words.OTHERS))
        return Traits(rng.random() < 0.75, False, title, free_mail=True)
    # A customer of ours lacks at most one of three traits, the others lack two or three.
    missing = rng.choice((0, 0, 0, 1, 1)) if fit else rng.choice((2, 2, 3))
    lacking = set(rng.sample(("market", "size", "title"), missing))
    title = rng.choice((*words.DOERS, *words.OTHERS) if "title" in lacking else words.LEADERS)
    return Traits("market" not in lacking, "size" not in lacking, title, free_mail=False)


def _student(rng: Random, number: int) -> Person:
    school = rng.choice(words.UNIVERSITIES)
    company = Company(school, f"alumnos.{slug(school)}.example", "Education", _one_country(rng, words.MARKETS), None)
    return _described(rng, company, rng.choice(words.STUDIES), number)


def _at_home(rng: Random, traits: Traits, number: int) -> Person:
    country = _one_country(rng, words.MARKETS if traits.in_market else words.ELSEWHERE)
    name = f"{rng.choice(words.TRADES)[0]} {rng.choice(words.PLACES)}" if rng.random() < 0.4 else ""
    return _described(rng, Company(name, rng.choice(words.FREE_MAIL), "", country, None), traits.title, number)


def _described(rng: Random, company: Company, title: str, number: int) -> Person:
    tongue = company.country.tongue
    first, last = rng.choice(words.FIRST_NAMES[tongue]), rng.choice(words.LAST_NAMES[tongue])
    if tongue == "es" and rng.random() < 0.25:
        last = f"{last} {rng.choice(words.LAST_NAMES['es'])}"
    name = _as_typed(rng, first, last)
    return introduced(name, _address(first, last, company.domain, number), title, company, rng)


def introduced(name: tuple[str, str], email: str, title: str, company: Company, rng: Random) -> Person:
    """The person as HubSpot's properties; what is not known is left out."""
    said = {
        "firstname": name[0],
        "lastname": name[1],
        "email": email,
        "hs_email_domain": email.partition("@")[2],
        "hs_full_name_or_email": " ".join(part for part in name if part),
        "jobtitle": title,
        "company": company.name,
        "industry": company.industry,
        "country": rng.choice(company.country.written),
        "company_size": _size_as_typed(rng, company),
        "numemployees": _bracket(company.size),
        "hs_analytics_source": rng.choice(words.SOURCES),
    }
    known = {key: value for key, value in said.items() if value}
    return Person(known, timedelta(hours=company.country.utc_offset_h))


def _as_typed(rng: Random, first: str, last: str) -> tuple[str, str]:
    """People fill in forms in a hurry."""
    chance = rng.random()
    if chance < 0.03:
        return first.upper(), last.upper()
    if chance < 0.06:
        return first.lower(), ""
    return first, last


def _size_as_typed(rng: Random, company: Company) -> str:
    """Most people type a number; a few of those whom it costs nothing do not."""
    if company.size is None:
        return ""
    return str(company.size) if company.right_size or rng.random() < 0.9 else f"approx. {company.size}"


def _address(first: str, last: str, domain: str, number: int) -> str:
    # At a real free-mail provider the address must be nobody's: it says that it is made up.
    local = f"{slug(first)}.{slug(last.split()[-1])}"
    return f"{local}.made-up-{number:05d}@{domain}" if domain in words.FREE_MAIL else f"{local}{number}@{domain}"


def _bracket(size: int | None) -> str:
    if size is None:
        return ""
    return next((label for most, label in _BRACKETS if size <= most), "1000+")
