"""Fields of a contact that are those of its company: `company.NAME`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from connectors.emulators.hubspot import Token
from connectors.hubspot import HubSpot, company_changes
from syncer.connector import Wanted
from syncer.errors import ConfigError, TemporaryError
from syncer.model import Cursor, Page
from tests.connectors.hubspot.portals import TOKEN, Json, Office, key, office, records, retold

WANTED = Wanted(fields=("country", "company.industry", "headcount"), stages=("cold", "mql"))
FIELDS = {"headcount": "company.numberofemployees"}
CONTACTS_ONLY = frozenset({"crm.objects.contacts.read", "crm.schemas.contacts.read", "crm.objects.owners.read"})
LATER_S = 3 * 86_400


class Firm(Office):
    """A company, its people and somebody without one."""

    ana = ben = cleo = acme = other = ""

    def settled(self) -> None:
        self.ana, self.ben, self.cleo = self.add(3)
        self.acme, self.other = self.load(
            "companies",
            [
                {"name": "Acme", "industry": "RETAIL", "numberofemployees": "40"},
                {"name": "Other", "industry": "BANKING"},
            ],
        )
        self.tie("contacts", "companies", 1, [(self.ana, self.acme), (self.ben, self.acme)])

    def connector(self, wanted: Wanted = WANTED) -> HubSpot:
        return self.hubspot(wanted, fields=FIELDS)

    def moves_to(self, contact: str, company: str) -> None:
        """Its primary company is another one from now on."""
        path = f"/crm/v4/objects/contacts/{contact}/associations/companies/{company}"
        self.api("PUT", path, [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 1}])

    def company(self, company: str, **values: str) -> None:
        self.control("edit", objectType="companies", id=company, properties=values)


@pytest.fixture
def firm() -> Iterator[Firm]:
    with office(index_lag_s=0) as portal:
        portal.control("clock", frozen=True)
        made = Firm(portal.url, portal.portal)
        made.settled()
        made.control("clock", advance_s=LATER_S)
        yield made


def pull(hubspot: HubSpot, stream: str, since: Cursor | None = None) -> list[Page]:
    return list(hubspot.pull(stream, since))


def last(pages: Sequence[Page]) -> Cursor:
    found = [page.cursor for page in pages if page.cursor is not None]
    return found[-1]


def test_a_contact_shows_what_the_rules_ask_of_its_primary_company_whichever_way_it_is_read(firm: Firm) -> None:
    expected = {"country": "ES", "company.industry": "RETAIL", "headcount": "40"}
    first = pull(firm.connector(), "contacts")
    found = records(first)
    assert found[firm.ana].fields == found[firm.ben].fields == expected
    assert found[firm.cleo].fields == {"country": "ES"}

    firm.edit(firm.ana, "MX")
    firm.settle()
    changed = {**expected, "country": "MX"}
    assert records(pull(firm.connector(), "contacts", last(first)))[firm.ana].fields == changed
    assert records(list(firm.connector().sweep("contacts", None)))[firm.ana].fields == changed
    assert records(list(firm.connector().fetch("contacts", [firm.ana])))[firm.ana].fields == changed
    assert [each.fields for each in firm.connector().read_back([key(firm.ana)])] == [changed]


def test_a_company_is_read_once_for_all_its_people(firm: Firm) -> None:
    crowd = firm.add(250)
    firm.tie("contacts", "companies", 1, [(each, firm.acme) for each in crowd])
    firm.forget()
    assert len(records(pull(firm.connector(), "contacts"))) == 253
    assert firm.statuses("/objects/companies/batch/read") == {200: 1}


def test_whose_company_changes_is_read_again_and_nobody_else(firm: Firm) -> None:
    begun = pull(firm.connector(), "companies")
    assert records(begun) == {}, "the contacts have just been read with their companies"
    firm.control("clock", advance_s=LATER_S)
    firm.company(firm.acme, industry="BANKING")
    firm.company(firm.other, industry="RETAIL")
    firm.settle()
    pages = pull(firm.connector(), "companies", last(begun))
    assert {each.key.id: each.fields["company.industry"] for each in records(pages).values()} == {
        firm.ana: "BANKING",
        firm.ben: "BANKING",
    }


def test_a_change_of_a_company_is_told_once_although_the_last_hour_is_looked_at_again(firm: Firm) -> None:
    cursor = last(pull(firm.connector(), "companies"))
    firm.control("clock", advance_s=LATER_S)
    firm.company(firm.acme, industry="BANKING")
    told: list[set[str]] = []
    for number in range(5):
        firm.control("clock", advance_s=900)
        if number == 2:
            firm.company(firm.acme, phone="+34 600 000 000")  # nothing that the rules look at
        if number == 3:
            firm.company(firm.acme, industry="RETAIL")
        firm.settle()
        pages = pull(firm.connector(), "companies", cursor)
        told, cursor = [*told, set(records(pages))], last(pages)
    assert told == [{firm.ana, firm.ben}, set(), set(), {firm.ana, firm.ben}, set()]


def test_companies_that_are_too_many_to_remember_are_told_again_and_none_is_lost(
    firm: Firm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(company_changes, "_REMEMBERED", 1)
    firm.tie("contacts", "companies", 1, [(firm.cleo, firm.other)])
    cursor = last(pull(firm.connector(), "companies"))
    firm.control("clock", advance_s=LATER_S)
    firm.company(firm.acme, industry="BANKING")
    firm.control("clock", advance_s=1)
    firm.company(firm.other, industry="RETAIL")
    firm.settle()
    first = pull(firm.connector(), "companies", cursor)
    assert set(records(first)) == {firm.ana, firm.ben, firm.cleo}
    assert set(records(pull(firm.connector(), "companies", last(first)))) == {firm.ana, firm.ben}


def test_a_company_of_which_hubspot_says_nothing_is_looked_for_again_and_not_passed_over(firm: Firm) -> None:
    cursor = last(pull(firm.connector(), "companies"))
    firm.control("clock", advance_s=LATER_S)
    firm.company(firm.acme, industry="BANKING")
    firm.settle()

    def silent(answer: Json) -> Json:
        return {**answer, "results": []}

    with (
        retold(firm, firm.paths.objects("companies", "/batch/read"), silent) as second,
        pytest.raises(TemporaryError, match="no answer for 1 companies"),
    ):
        list(second.hubspot(WANTED, fields=FIELDS).pull("companies", cursor))
    assert set(records(pull(firm.connector(), "companies", cursor))) == {firm.ana, firm.ben}


def test_a_company_that_changes_in_nothing_the_rules_look_at_costs_its_people_nothing(firm: Firm) -> None:
    begun = pull(firm.connector(), "companies")
    firm.control("clock", advance_s=LATER_S)
    firm.company(firm.acme, phone="+34 600 000 000")
    firm.settle()
    firm.forget()
    assert records(pull(firm.connector(), "companies", last(begun))) == {}
    assert firm.statuses("/objects/contacts/batch/read") == {}


def test_a_connector_that_lives_on_sees_the_company_anew_in_its_next_run(firm: Firm) -> None:
    hubspot = firm.connector()
    first = pull(hubspot, "contacts")
    firm.company(firm.acme, industry="BANKING")
    firm.edit(firm.ana, "MX")
    firm.settle()
    found = records(pull(hubspot, "contacts", last(first)))[firm.ana]
    assert found.fields["company.industry"] == "BANKING"


def test_a_contact_that_changes_its_company_is_modified_itself(firm: Firm) -> None:
    first = pull(firm.connector(), "contacts")
    firm.control("clock", advance_s=LATER_S)
    firm.moves_to(firm.ana, firm.other)
    firm.settle()
    (found,) = records(pull(firm.connector(), "contacts", last(first))).values()
    assert (found.key.id, found.fields) == (firm.ana, {"country": "ES", "company.industry": "BANKING"})


def test_a_company_that_is_gone_leaves_its_fields_unset(firm: Firm) -> None:
    firm.api("DELETE", f"/crm/v3/objects/companies/{firm.acme}")
    firm.control("calculate", objectType="contacts", id=firm.ana, properties={"associatedcompanyid": firm.acme})
    found = records(pull(firm.connector(), "contacts"))
    assert firm.shown(firm.ana)["associatedcompanyid"] == firm.acme
    assert found[firm.ana].fields == {"country": "ES"}


def test_a_company_with_more_people_than_one_answer_shows_is_followed_to_all_of_them(firm: Firm) -> None:
    crowd = firm.add(620)
    firm.tie("contacts", "companies", 1, [(each, firm.other) for each in crowd])
    begun = pull(firm.connector(), "companies")
    firm.control("clock", advance_s=LATER_S)
    firm.company(firm.other, industry="RETAIL")
    firm.settle()
    found = records(pull(firm.connector(), "companies", last(begun)))
    assert set(found) == set(crowd)
    assert {each.fields["company.industry"] for each in found.values()} == {"RETAIL"}


def test_many_changed_companies_are_told_in_parts_each_of_which_is_a_place_to_go_on_from(firm: Firm) -> None:
    companies = firm.load("companies", [{"name": f"Firm {number}", "industry": "RETAIL"} for number in range(250)])
    crowd = firm.add(250)
    firm.tie("contacts", "companies", 1, list(zip(crowd, companies, strict=True)))
    begun = last(pull(firm.connector(), "companies"))
    firm.control("clock", advance_s=LATER_S)
    for company in companies:
        firm.company(company, industry="BANKING")
    firm.settle()
    found: set[str] = set()
    cursor, pulls = begun, 0
    while found != set(crowd) and pulls < 10:
        pulls += 1
        for page in firm.connector().pull("companies", cursor):
            fresh = set(records([page]))
            assert not fresh & found
            found |= fresh
            if page.cursor is not None:
                cursor = page.cursor
                break
    assert (len(found), pulls) == (250, 3)


def test_there_is_no_stream_of_companies_where_no_rule_looks_at_them(firm: Firm) -> None:
    hubspot = firm.connector(Wanted(fields=("country",)))
    assert "companies" not in hubspot.streams
    firm.forget()
    pull(hubspot, "contacts")
    assert firm.statuses("/objects/companies/batch/read") == {}
    assert firm.connector().streams[:2] == ("contacts", "companies")


def test_without_the_right_to_read_companies_nobody_is_told_as_if_they_had_none() -> None:
    with office(keys=[Token(TOKEN, CONTACTS_ONLY)]) as portal:
        firm = Firm(portal.url, portal.portal)
        firm.settled()
        with pytest.raises(ConfigError, match=r"lacks the scope crm\.objects\.companies\.read"):
            pull(firm.connector(), "contacts")
        told = [each for each in firm.connector().check() if each.level == "error"]
        assert any("crm.objects.companies.read" in each.message for each in told)


def test_check_names_properties_that_the_company_does_not_have(firm: Firm) -> None:
    hubspot = firm.connector(Wanted(fields=("company.industry", "company.mood")))
    told = [each for each in hubspot.check() if each.code == "SY043" and "company" in each.message]
    assert [each.message for each in told] == [
        "crm: HubSpot has no company property 'mood' for 'company.mood': it reads as not set"
    ]
