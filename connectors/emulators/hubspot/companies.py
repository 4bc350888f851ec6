"""The company that counts as a contact's own: a label on one of its ties, shown in `associatedcompanyid` as well."""

from collections.abc import Iterable
from dataclasses import replace

from connectors.emulators.hubspot.catalog import COMPANIES, COMPANY, CONTACTS, PRIMARY_COMPANY, ObjectType
from connectors.emulators.hubspot.links import End
from connectors.emulators.hubspot.portal import Portal
from connectors.emulators.hubspot.writing import settle_companies, settle_company

_BACK = 2  # the primary label's type id, seen from the company


def tied(portal: Portal, one: End, other: End, type_ids: frozenset[int]) -> None:
    """A tie was made. A new primary company takes the label from the one before; a first company may get it unasked."""
    pair = _pair(one, other)
    if pair is None:
        return
    contact, company = pair
    is_only = len(portal.ties(("contacts", contact), "companies")) == 1
    if type_ids & {PRIMARY_COMPANY, _BACK} or (is_only and portal.manners.first_company_is_primary):
        _promote(portal, contact, company)
    settle_company(portal, contact)


def untied(portal: Portal, one: End, other: End) -> None:
    """A tie was taken away, or its label."""
    pair = _pair(one, other)
    if pair is not None:
        settle_company(portal, pair[0])


def loaded(portal: Portal, contact_ids: Iterable[int]) -> None:
    """Ties were loaded: contacts show their primary companies, and are no more modified by it than by being loaded."""
    shelf, changed = portal.shelf(CONTACTS), []
    for record in (shelf.live[each] for each in dict.fromkeys(contact_ids) if each in shelf.live):
        ties = portal.links.of(("contacts", record.id), "companies")
        primary = next((str(each) for each, types in ties.items() if PRIMARY_COMPANY in types), None)
        if primary is not None and record.values.get("associatedcompanyid") != primary:
            changed.append(replace(record, values={**record.values, "associatedcompanyid": primary}))
    if changed:
        shelf.load(changed)


def merged(portal: Portal, kind: ObjectType, record_id: int) -> None:
    """Two records became this one: of two primary companies a contact keeps the one it shows."""
    if kind is CONTACTS:
        shown = portal.shelves["contacts"].live[record_id].values.get("associatedcompanyid", "")
        if shown and int(shown) in portal.links.of(("contacts", record_id), "companies"):
            _promote(portal, record_id, int(shown))
    if kind in (CONTACTS, COMPANIES):
        settle_companies(portal, kind, record_id)


def _pair(one: End, other: End) -> tuple[int, int] | None:
    """The contact's id and the company's, when it is such a tie."""
    for here, there in ((one, other), (other, one)):
        if here[0] == "contacts" and there[0] == "companies":
            return here[1], there[1]
    return None


def _promote(portal: Portal, contact: int, company: int) -> None:
    here = ("contacts", contact)
    for rival, types in list(portal.links.of(here, "companies").items()):
        if rival != company and PRIMARY_COMPANY in types:
            portal.links.untie(here, ("companies", rival), (PRIMARY_COMPANY,))
    portal.links.tie(here, ("companies", company), (PRIMARY_COMPANY, COMPANY))
