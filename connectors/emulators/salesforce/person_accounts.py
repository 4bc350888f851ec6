"""Person accounts: an Account and its shadow Contact are one human, and a change of one stamps both."""

from collections.abc import Mapping

from connectors.emulators.salesforce.behaviour import full_name
from connectors.emulators.salesforce.errors import Refusal
from connectors.emulators.salesforce.schema import ObjectType
from connectors.emulators.salesforce.state import State
from connectors.emulators.salesforce.table import Row

Values = dict[str, object]
_SAME = ("LastName", "FirstName", "Salutation", "OwnerId", "Description")
_AUDIT = ("CreatedDate", "CreatedById", "LastModifiedDate", "LastModifiedById", "SystemModstamp")
_NOT_ON_BUSINESS = "INVALID_FIELD_FOR_INSERT_UPDATE"


def person_defaults(state: State, kind: ObjectType, given: Mapping[str, object]) -> Values:
    """A new account with a LastName, or of the person record type, is a person."""
    if kind.name != "Account" or "IsPersonAccount" not in kind.fields:
        return {}
    record_type = state.row(given.get("RecordTypeId"))
    is_person = bool(record_type and record_type["IsPersonType"]) or given.get("LastName") is not None
    if not is_person:
        return {}
    if given.get("Name") is not None:
        message = "Account Name cannot be specified for a person account; use FirstName and LastName"
        raise Refusal(400, _NOT_ON_BUSINESS, message, ("Name",))
    if given.get("LastName") is None:
        raise Refusal(400, "REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName]", ("LastName",))
    found = given.get("RecordTypeId") or _person_record_type(state)
    return {
        "IsPersonAccount": True,
        "RecordTypeId": found,
        "Name": full_name(given.get("FirstName"), given["LastName"]),
    }


def _person_record_type(state: State) -> object:
    types = state.tables["RecordType"].rows.values()
    return next((each["Id"] for each in types if each["IsPersonType"]), None)


def check_person_side(state: State, kind: ObjectType, before: Row | None) -> None:
    """INSUFFICIENT_ACCESS_OR_READONLY: the shadow contact is written through its account only."""
    if kind.name == "Contact" and before is not None and before.get("IsPersonAccount"):
        message = "insufficient access rights on object id"
        raise Refusal(400, "INSUFFICIENT_ACCESS_OR_READONLY", message, ())


def mirror_contact(state: State, account: Row, before: Row | None) -> None:
    """Make or change the shadow contact of a stored person account."""
    if not account.get("IsPersonAccount"):
        return
    kind = state.schema.get("Contact")
    contact = state.row(account.get("PersonContactId"))
    values = _mirrored(kind, account)
    if contact is not None:
        state.put({**contact, **values})
        return
    contact_id = state.new_id(kind)
    state.put({**kind.template, **values, "Id": contact_id})
    state.put({**account, "PersonContactId": contact_id})


def _mirrored(kind: ObjectType, account: Row) -> Values:
    values: Values = {name: account.get(name) for name in (*_SAME, *_AUDIT)}
    for name in kind.fields:
        twin = f"{name.removesuffix('__c')}__pc" if name.endswith("__c") else f"Person{name}"
        if twin in account and name not in ("ContactId",):
            values[name] = account[twin]
    for name in ("Phone", "Fax"):
        values[name] = account.get(name)
    name = full_name(account.get("FirstName"), account.get("LastName"))
    deleted = bool(account.get("IsDeleted"))
    return {**values, "Name": name, "AccountId": account["Id"], "IsPersonAccount": True, "IsDeleted": deleted}
