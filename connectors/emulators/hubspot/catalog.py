"""Which kinds of objects a portal has, what they are called, and the types their associations can have.

Type ids and association type ids are HubSpot's published tables; they are the same in every portal.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ObjectType:
    """One kind of CRM object. Scopes are alternatives: any one of them opens the door."""

    plural: str
    singular: str
    type_id: str
    created_property: str
    modified_property: str
    default_properties: tuple[str, ...]  # shown when a request names none
    read_scopes: tuple[str, ...]
    write_scopes: tuple[str, ...]
    searched_by_query: tuple[str, ...] = ()
    required_on_create: tuple[str, ...] = ()

    @property
    def stamps(self) -> tuple[str, str, str]:
        """The three properties every answer carries, asked for or not."""
        return (self.created_property, "hs_object_id", self.modified_property)


@dataclass(frozen=True, slots=True)
class AssociationType:
    """A HUBSPOT_DEFINED or USER_DEFINED way in which one object can be tied to another."""

    category: str
    type_id: int
    label: str | None


def _activity(plural: str, singular: str, type_id: str, read_scope: str = "crm.objects.contacts.read") -> ObjectType:
    return ObjectType(
        plural, singular, type_id, "hs_createdate", "hs_lastmodifieddate", (),
        (read_scope,), ("crm.objects.contacts.write",), required_on_create=("hs_timestamp",),
    )  # fmt: skip


CONTACTS = ObjectType(
    "contacts", "contact", "0-1", "createdate", "lastmodifieddate", ("email", "firstname", "lastname"),
    ("crm.objects.contacts.read",), ("crm.objects.contacts.write",),
    searched_by_query=("email", "firstname", "lastname", "phone", "mobilephone", "company", "hs_additional_emails"),
)  # fmt: skip
COMPANIES = ObjectType(
    "companies", "company", "0-2", "createdate", "hs_lastmodifieddate", ("domain", "name"),
    ("crm.objects.companies.read",), ("crm.objects.companies.write",),
    searched_by_query=("name", "domain", "phone", "website"),
)  # fmt: skip
DEALS = ObjectType(
    "deals", "deal", "0-3", "createdate", "hs_lastmodifieddate",
    ("amount", "closedate", "dealname", "dealstage", "pipeline"),
    ("crm.objects.deals.read",), ("crm.objects.deals.write",), searched_by_query=("dealname",),
)  # fmt: skip
OBJECT_TYPES: tuple[ObjectType, ...] = (
    CONTACTS, COMPANIES, DEALS,
    _activity("communications", "communication", "0-18"),
    _activity("tasks", "task", "0-27"),
    _activity("notes", "note", "0-46"),
    _activity("meetings", "meeting", "0-47"),
    _activity("calls", "call", "0-48"),
    _activity("emails", "email", "0-49", "sales-email-read"),
)  # fmt: skip
_BY_NAME = {name: kind for kind in OBJECT_TYPES for name in (kind.plural, kind.singular, kind.type_id)}


def object_type(name: str) -> ObjectType | None:
    """The kind called `contacts`, `contact`, `CONTACT` or `0-1`; None when there is no such kind."""
    return _BY_NAME.get(name.lower())


COMPANY, PRIMARY_COMPANY = 279, 1  # a contact's tie to a company, and to the one that counts as its own

# from, to, type id there, type id back, label
_PAIRS: tuple[tuple[str, str, int, int, str | None], ...] = (
    ("contacts", "companies", 279, 280, None), ("contacts", "companies", 1, 2, "Primary"),
    ("contacts", "deals", 4, 3, None), ("contacts", "contacts", 449, 449, None),
    ("companies", "deals", 342, 341, None), ("companies", "deals", 6, 5, "Primary"),
    ("companies", "companies", 450, 450, None), ("deals", "deals", 451, 451, None),
    ("contacts", "calls", 193, 194, None), ("companies", "calls", 181, 182, None), ("deals", "calls", 205, 206, None),
    ("contacts", "emails", 197, 198, None), ("companies", "emails", 185, 186, None),
    ("deals", "emails", 209, 210, None),
    ("contacts", "meetings", 199, 200, None), ("companies", "meetings", 187, 188, None),
    ("deals", "meetings", 211, 212, None),
    ("contacts", "notes", 201, 202, None), ("companies", "notes", 189, 190, None), ("deals", "notes", 213, 214, None),
    ("contacts", "tasks", 203, 204, None), ("companies", "tasks", 191, 192, None), ("deals", "tasks", 215, 216, None),
    ("contacts", "communications", 82, 81, None), ("companies", "communications", 88, 87, None),
    ("deals", "communications", 86, 85, None),
)  # fmt: skip


def _association_types() -> dict[tuple[str, str], tuple[AssociationType, ...]]:
    found: dict[tuple[str, str], tuple[AssociationType, ...]] = {}
    for here, there, onward, back, label in _PAIRS:
        for ends, type_id in dict.fromkeys((((here, there), onward), ((there, here), back))):
            found[ends] = (*found.get(ends, ()), AssociationType("HUBSPOT_DEFINED", type_id, label))
    return found


ASSOCIATION_TYPES = _association_types()
INVERSE_TYPE_ID = {onward: back for _, _, onward, back, _ in _PAIRS} | {
    back: onward for _, _, onward, back, _ in _PAIRS
}


def default_association(here: str, there: str) -> AssociationType | None:
    """The unlabelled type between two kinds; None when they cannot be associated."""
    types = ASSOCIATION_TYPES.get((here, there), ())
    return next((each for each in types if each.label is None), None)
