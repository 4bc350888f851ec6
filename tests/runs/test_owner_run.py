"""Whole runs whose hand-offs give the record in the CRM to who shall act."""

from __future__ import annotations

from connectors.emulators.hubspot.directory import DEFAULT_OWNERS
from syncer.handoff.routing import OWNER_CHANNEL
from syncer.store import outbox
from tests.runs.house import House

ANNA, BEN, *_ = DEFAULT_OWNERS
TEAM = """\
  people: {{anna: {{email: {anna}}}}}
  teams: {{sales: {{members: [anna]}}}}
  route: [{{to: sales, assign: true}}]
"""


def _ready(house: House) -> str:
    person = house.person(country="ES", jobtitle="Director", hubspot_owner_id=str(BEN.id))
    for _ in range(2):
        house.meeting(person)
    return person


def _owner(house: House, person: str) -> str:
    told = house.api("GET", f"/crm/v3/objects/contacts/{person}?properties=hubspot_owner_id")
    identity: str = told["properties"]["hubspot_owner_id"]
    return identity


def test_a_lead_becomes_the_record_of_who_shall_act_once_and_stays_whoever_s_it_becomes_later(house: House) -> None:
    path = house.folder / "syncer.yml"
    path.write_text(path.read_text() + TEAM.format(anna=ANNA.email))
    house.setup()
    house.sync()
    person = _ready(house)
    report = house.sync()
    assert (report.outcome, report.counts["notices_sent"], _owner(house, person)) == ("ok", 2, str(ANNA.id))
    (told,) = house.told()
    assert told["assigned_to"] == ANNA.email
    house.edit(person, hubspot_owner_id=str(BEN.id))
    house.sync()
    assert _owner(house, person) == str(BEN.id)
    with house.app() as app, app.store.reading() as tx:
        made = outbox.messages(tx, ["crm"], {"sent"})
    assert sorted((each.channel, each.recipient) for each in made) == [(OWNER_CHANNEL, ANNA.email), ("hook", "")]
    shown = house.cli("outbox", "--all").output
    assert f"{OWNER_CHANNEL} {ANNA.email}" in shown
