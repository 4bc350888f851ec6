"""One person in HubSpot and in Salesforce: one lead under one model, written to both, told once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from syncer.app import App, opened
from syncer.parts import Report
from syncer.run import sync
from syncer.settings import process_settings
from tests.connectors.salesforce import orgs
from tests.connectors.salesforce.orgs import SCORE, STAGE
from tests.runs.house import ENVIRONMENT, HANDOFF, MODEL, House, house_on

pytestmark = pytest.mark.slow  # each lives through several runs of both

ANA = "ana@acme.example"
PROJECT = (
    """\
version: 1
same_person: email
connections:
  marketing:
    type: hubspot
    token: ${{HUBSPOT_TOKEN}}
    base_url: {hubspot}
    lag: 0s
    overlap: 10m
  sales:
    type: salesforce
    token: ${{SALESFORCE_TOKEN}}
    instance_url: {salesforce}
    fields: {{jobtitle: Title, country: {{Lead: Country, Contact: MailingCountry}}}}
models: model.yml
"""
    + HANDOFF
)
# An event of Salesforce has no outcome: whoever was invited came.
RULES = MODEL.replace("{activity: meeting, outcome: completed, in_last: 90d}", "{activity: meeting, in_last: 90d}")


@dataclass
class Both:
    """A portal and an org of one project."""

    hubspot: House
    salesforce: orgs.House

    @contextmanager
    def app(self) -> Iterator[App]:
        house = self.hubspot
        process = process_settings(house.folder, config=house.folder / "syncer.yml", database_url=house.database_url)
        with opened(process, {**ENVIRONMENT, "SALESFORCE_TOKEN": orgs.TOKEN}) as app:
            yield app

    def sync(self, *names: str) -> list[Report]:
        """One run of each, in this order."""
        self.hubspot.pass_time()
        self.salesforce.let_pass(2)
        with self.app() as app:
            return [sync(app.parts(name)) for name in names]

    def shown(self, contact: str, person: str) -> Mapping[str, tuple[object, object]]:
        """Score and stage as each CRM shows them."""
        there, here = self.hubspot.shown(contact), self.salesforce.shown(person)
        score = there["ls_score"]
        return {
            "marketing": (None if score is None else float(score), there["ls_stage"]),
            "sales": (here[SCORE], here[STAGE]),
        }


@pytest.fixture
def both(tmp_path: Path, database_url: str) -> Iterator[Both]:
    with ExitStack() as stack:
        hubspot = stack.enter_context(house_on(tmp_path, database_url))
        hubspot.setup()
        salesforce = stack.enter_context(orgs.house())
        text = PROJECT.format(hubspot=hubspot.url, salesforce=salesforce.url, hook=hubspot.hook.url)
        (hubspot.folder / "syncer.yml").write_text(text)
        (hubspot.folder / "model.yml").write_text(RULES)
        yield Both(hubspot, salesforce)


def test_one_model_gives_one_score_to_a_person_of_two_crms_and_one_hand_off(both: Both) -> None:
    contact = both.hubspot.person(email=ANA, country="ES")
    both.hubspot.person(country="FR")
    (lead,) = both.salesforce.load("Lead", [{"Email": ANA.upper(), "Title": "Directora"}])
    both.salesforce.leads(1, Country="FR")
    both.sync("marketing", "sales", "marketing", "sales")
    assert both.shown(contact, lead) == {"marketing": (50.0, "iql"), "sales": (50.0, "iql")}
    assert both.hubspot.told() == [], "a base that is joined is nobody's news"

    both.hubspot.meeting(contact)
    start = f"{datetime.now(UTC) - timedelta(hours=2):%Y-%m-%dT%H:%M:%SZ}"
    both.salesforce.create("Event", WhoId=lead, Subject="Demo", StartDateTime=start, DurationInMinutes=30)
    both.sync("sales", "marketing", "sales", "marketing")
    assert both.shown(contact, lead) == {"marketing": (110.0, "sql"), "sales": (110.0, "sql")}
    assert [each["lead"]["email"] for each in both.hubspot.told()] == [ANA]
    assert len(both.hubspot.hook.received) == 1


def test_a_lead_that_is_converted_stays_the_person_that_it_was(both: Both) -> None:
    contact = both.hubspot.person(email=ANA, country="ES")
    (lead,) = both.salesforce.load("Lead", [{"Email": ANA, "Title": "Directora"}])
    both.sync("marketing", "sales", "marketing", "sales")
    converted = both.salesforce.convert(lead)["contactId"]
    reports = both.sync("sales", "marketing", "sales", "marketing")
    assert both.shown(contact, converted) == {"marketing": (50.0, "iql"), "sales": (50.0, "iql")}
    assert sum(each.counts["handoffs"] for each in reports) == 0
    explained = both.hubspot.cli("explain", ANA, environment={**ENVIRONMENT, "SALESFORCE_TOKEN": orgs.TOKEN}).stdout
    assert f"sales/Contact/{converted}" in explained
    assert f"marketing/contacts/{contact}" in explained
