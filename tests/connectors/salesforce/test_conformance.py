"""What every connector must do, by an org in which leads are people, and by one in which contacts are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from connectors.conformance import ASSIGNING, CHECKS, Check, StaffedCheck
from connectors.salesforce import Salesforce
from syncer.connector import Wanted
from tests.connectors.salesforce.orgs import SCORE, TOKEN, House, house

MANUAL = "Manual_Stage__c"


@dataclass(frozen=True, slots=True)
class Account:
    """An empty org in which only one object is people."""

    org: House
    object: str
    column: str  # of Salesforce's, which `field` stands for
    unknown_id: str
    field: str = "country"
    kind: str | None = "meeting"
    bad_token: str = "00Dxx0000001gPL!sesame.open.please"

    def connect(self, name: str, wanted: Wanted, *, token: str | None = None) -> Salesforce:
        settings = {"objects": (self.object,), "manual": {"stage": MANUAL}, "token": token or TOKEN}
        return self.org.salesforce(wanted, name=name, **settings)

    def add(self, people: int) -> Sequence[str]:
        return self.org.leads(people) if self.object == "Lead" else self.org.contacts(people)

    def edit(self, person: str, value: str) -> None:
        self.org.change(person, **{self.column: value})

    def remove(self, person: str) -> None:
        self.org.remove(person)

    def slip(self, person: str, value: str) -> bool:
        """As what formulas show changes: the record bears the stamp it bore before."""
        self.org.load(self.object, [{**self.org.shown(person), self.column: value}])
        return True

    def erase(self, person: str) -> bool:
        self.org.purge(person)
        return True

    def merge(self, person: str, other: str) -> str | None:
        self.org.merged(person, other)
        return person

    def act(self, person: str) -> None:
        at = self.org.org.clock.stamp()
        self.org.create("Event", Subject="Demo", WhoId=person, ActivityDateTime=at, DurationInMinutes=30)

    def choose(self, person: str, stage: str | None) -> bool:
        self.org.change(person, **{MANUAL: stage})
        return True

    def score_shown(self, person: str) -> int | None:
        shown = self.org.shown(person).get(SCORE)
        return None if shown is None else round(float(shown) * 100)

    def settle(self) -> None:
        self.org.let_pass(120)

    @property
    def staff(self) -> tuple[str, str]:
        return "anna@acme.test", "Ben@acme.test"

    def give(self, person: str, owner: str) -> None:
        users = self.org.org.state.tables["User"].rows.values()
        self.org.change(person, OwnerId=next(each["Id"] for each in users if each["Email"] == owner))

    def hire(self) -> None:
        """The staff begins to work there."""
        for name, address in zip(("anna", "ben"), self.staff, strict=True):
            self.org.create("User", LastName=name, Username=address, Email=address, Alias=name)


PEOPLE = pytest.mark.parametrize(
    ("kind", "column", "unknown_id"),
    [("Lead", "Country", "00Q5f00000Zzzz1EAB"), ("Contact", "MailingCountry", "0035f00000Zzzz1AAB")],
)


@pytest.mark.parametrize("check", ASSIGNING, ids=lambda check: check.__name__)
@PEOPLE
def test_it_assigns_as_it_must(kind: str, column: str, unknown_id: str, check: StaffedCheck) -> None:
    with house() as org:
        org.org.add_field(kind, {"fullName": MANUAL, "label": "Manual stage", "type": "Text", "length": 80})
        account = Account(org, kind, column, unknown_id)
        account.hire()
        check(account)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@PEOPLE
def test_it_conforms(kind: str, column: str, unknown_id: str, check: Check) -> None:
    with house() as org:
        org.org.add_field(kind, {"fullName": MANUAL, "label": "Manual stage", "type": "Text", "length": 80})
        check(Account(org, kind, column, unknown_id))
