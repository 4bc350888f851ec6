"""`handoff.people` and `handoff.teams`: who they are, and whether routes lead to them."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from syncer.settings import HandoffSettings, Person, Team, show
from syncer.worktime import Calendar
from tests.settings.samples import PROJECT, loaded, only, problems

PEOPLE = """\
timezone: Europe/Madrid
handoff:
  people:
    ana: {email: ana@acme.es, per_day: 10, weight: 2, away: [{from: 2026-12-01, to: 2026-12-10}, {from: 2027-01-05}]}
    luis:
      email: luis@acme.es
      hours: {timezone: America/Bogota, days: [sat], from: "08:00", to: "12:00"}
  teams:
    latam: {members: [luis, ana], pick: weighted}
    everybody: {members: [ana], pick: all}
  route:
    - {if: {country: MX}, to: [latam, boss@acme.es], fallback: sales@acme.es}
    - {to: ana}
"""


def handoff_of(folder: Path, text: str) -> HandoffSettings:
    handoff = loaded(folder, PROJECT + text).handoff
    assert handoff is not None
    return handoff


def test_people_and_teams_are_read_as_they_stand(tmp_path: Path) -> None:
    handoff = handoff_of(tmp_path, PEOPLE)
    away = ((date(2026, 12, 1), date(2026, 12, 10)), (date(2027, 1, 5), date(2027, 1, 5)))
    ana = Person("ana", "ana@acme.es", 10, 2, away, Calendar("Europe/Madrid"))
    saturdays = Calendar("America/Bogota", (*((),) * 5, ((480, 720),), ()))
    luis = Person("luis", "luis@acme.es", calendar=saturdays)
    assert handoff.people == {"ana": ana, "luis": luis}
    assert handoff.teams == {
        "latam": Team("latam", (luis, ana), "weighted"),
        "everybody": Team("everybody", (ana,), "all"),
    }
    assert [each.to for each in handoff.routes] == [("latam", "boss@acme.es"), ("ana",)]


def test_people_work_when_sales_does_but_for_what_is_said_of_them(tmp_path: Path) -> None:
    hours = '  hours: {timezone: America/Lima, to: "17:00", holidays: [2026-12-25]}\n'
    people = handoff_of(tmp_path, PEOPLE + hours).people
    assert people["ana"].calendar == Calendar(
        "America/Lima", (*(((540, 1020),),) * 5, (), ()), frozenset({date(2026, 12, 25)})
    )
    assert people["luis"].calendar.timezone == "America/Bogota"
    assert people["luis"].calendar.holidays == {date(2026, 12, 25)}
    own = PEOPLE.replace('to: "12:00"}', 'to: "12:00", holidays: []}').replace("timezone: America/Bogota, ", "")
    luis = handoff_of(tmp_path, own + hours).people["luis"].calendar
    assert (luis.timezone, luis.holidays) == ("America/Lima", frozenset())


@pytest.mark.parametrize(
    ("old", "new", "where", "says"),
    [
        ("to: ana}", "to: anna}", (16, 12), "'anna' is neither an e-mail address nor 'owner' nor the name of a person"),
        ("to: ana}", "to: [owner, latm]}", (16, 20), "'latm' is neither an e-mail address"),
        ("to: ana}", "to: ana@acme}", (16, 12), "'ana@acme' is not an e-mail address"),
        ("to: ana}", "to: ana, fallback: sales@acme.es}", (16, 27), "nobody asks for the owner or for one of a team"),
        ("boss@acme.es]", "two]", (15, 39), "a second team"),
        ("[luis, ana]", "[luis, luis]", (12, 29), "'luis' stands twice"),
        ("[luis, ana]", "[luis, marta]", (12, 29), "there is no person 'marta'"),
        ("[luis, ana]", "[]", (12, 22), "the list is empty"),
        ("pick: all", "pick: each", (13, 39), "'each' is not one of round_robin, weighted, all"),
        ("email: luis@acme.es", "email: ANA@acme.es", (9, 14), "is the address of 'ana', too"),
        ("email: luis@acme.es", "email: luis", (9, 14), "is not an e-mail address"),
        ("per_day: 10", "per_day: 0", (7, 40), "must be at least 1"),
        ("weight: 2", "weight: 2.5", (7, 52), "whole number"),
        ("to: 2026-12-10", "to: 2026-11-30", (7, 85), "'to' is before 'from'"),
        ("    everybody:", "    ana:", (13, 5), "'ana' is a person, too"),
        ("    everybody:", "    owner:", (13, 5), "'owner' cannot be a name here"),
        ("    everybody:", "    a b:", (13, 5), "'a b' cannot be a name here"),
        ('to: "12:00"', 'to: "07:00"', (10, 73), "'to' is not later than 'from'"),
    ],
)
def test_what_is_wrong_with_people_and_teams_is_said_at_its_place(
    tmp_path: Path, old: str, new: str, where: tuple[int, int], says: str
) -> None:
    text = PEOPLE.replace("[ana], pick: all}", "[ana], pick: all}\n    two: {members: ana}", int(new == "two]"))
    assert text.count(old) == 1
    found = only(problems(tmp_path, PROJECT + text.replace(old, new)))
    assert says in found.message
    assert (found.line - int(new == "two]"), found.column) == where


def test_a_misspelt_name_is_told_from_the_nearest_one(tmp_path: Path) -> None:
    found = only(problems(tmp_path, PROJECT + PEOPLE.replace("to: ana}", "to: latm}")))
    assert found.help == "did you mean 'latam'? people and teams: ana, everybody, latam, luis, owner"
    assert found.code == "SY007"


def test_people_and_teams_are_shown_with_where_they_come_from(tmp_path: Path) -> None:
    shown = show(loaded(tmp_path, PROJECT + PEOPLE))
    assert shown["handoff.people.ana.per_day"] == (10, "syncer.yml:7")
    assert shown["handoff.people.ana.away[0].to"] == ("2026-12-10", "syncer.yml:7")
    assert shown["handoff.people.luis.weight"] == (1, "default")
    assert shown["handoff.people.luis.hours.sat"][0] == ["08:00-12:00"]
    assert shown["handoff.people.luis.hours.timezone"] == ("America/Bogota", "syncer.yml:10")
    assert shown["handoff.teams.latam.members"] == (["luis", "ana"], "syncer.yml:12")
    assert shown["handoff.teams.everybody.pick"] == ("all", "syncer.yml:13")
