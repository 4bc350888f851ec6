"""Converting a lead: it becomes a contact, an account and perhaps an opportunity, and is read-only from then on."""

from collections.abc import Mapping

from connectors.emulators.salesforce.calls import Caller
from connectors.emulators.salesforce.errors import Json, Refusal
from connectors.emulators.salesforce.ids import full_id
from connectors.emulators.salesforce.saving import create, target
from connectors.emulators.salesforce.state import State
from connectors.emulators.salesforce.table import Row

Values = dict[str, object]
_TO_CONTACT = {
    "Street": "MailingStreet",
    "City": "MailingCity",
    "State": "MailingState",
    "PostalCode": "MailingPostalCode",
    "Country": "MailingCountry",
    **{name: name for name in ("Salutation", "FirstName", "LastName", "Title", "Phone", "MobilePhone", "Fax", "Email")},
    **{name: name for name in ("LeadSource", "Description", "HasOptedOutOfEmail", "HasOptedOutOfFax", "DoNotCall")},
}
_TO_ACCOUNT = {"Company": "Name", "Website": "Website", "Industry": "Industry", "Phone": "Phone", "Fax": "Fax"}


def convert(state: State, lead_id: str, options: Mapping[str, object], caller: Caller) -> Json:
    """The ids made. Options: contactId, accountId, convertedStatus, doNotCreateOpportunity,
    opportunityName, ownerId."""
    lead = target(state, state.schema.get("Lead"), lead_id)
    if lead["IsConverted"]:
        raise Refusal(400, "CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead", ())
    status = _status(state, options)
    owner = full_id(str(options.get("ownerId") or lead["OwnerId"])) or ""
    if not owner.startswith("005"):
        raise Refusal(400, "INVALID_OPERATION", "converted objects can't be owned by a queue", ("OwnerId",))
    state.check_lock([str(lead["Id"])])
    plain = Caller(caller.user_id, auto_assign=False, allow_duplicates=True, transaction=caller.transaction)
    contact_id, account_id = _contact_and_account(state, lead, options, owner, plain)
    opportunity_id = _opportunity(state, lead, account_id, options, plain)
    _move_activities(state, lead, contact_id, opportunity_id or account_id)
    _move_memberships(state, str(lead["Id"]), contact_id)
    _close(state, lead, {"ConvertedContactId": contact_id, "ConvertedAccountId": account_id,
                         "ConvertedOpportunityId": opportunity_id, "Status": status}, caller)  # fmt: skip
    ids = {"leadId": lead["Id"], "contactId": contact_id, "accountId": account_id, "opportunityId": opportunity_id}
    return {**ids, "success": True, "errors": []}


def _status(state: State, options: Mapping[str, object]) -> object:
    wanted = options.get("convertedStatus") or state.switches.convert_status
    statuses = state.tables["LeadStatus"].rows.values()
    if not any(each["MasterLabel"] == wanted and each["IsConverted"] for each in statuses):
        raise Refusal(400, "INVALID_STATUS", f"invalid convertedStatus: {wanted}", ())
    return wanted


def _contact_and_account(
    state: State, lead: Row, options: Mapping[str, object], owner: str, caller: Caller
) -> tuple[str, str]:
    contact_kind, account_kind = state.schema.get("Contact"), state.schema.get("Account")
    contact_id, account_id = options.get("contactId"), options.get("accountId")
    if contact_id:
        contact = target(state, contact_kind, str(contact_id))
        if account_id and full_id(str(account_id)) != contact["AccountId"]:
            raise Refusal(400, "INVALID_CROSS_REFERENCE_KEY", "contact is not of that account", ())
        found = contact["AccountId"]
        if not isinstance(found, str):
            raise Refusal(400, "INVALID_CROSS_REFERENCE_KEY", "the contact has no account", ())
        return str(contact["Id"]), found
    if account_id:
        account_id = target(state, account_kind, str(account_id))["Id"]
    else:
        values = {there: lead[here] for here, there in _TO_ACCOUNT.items() if lead.get(here) is not None}
        account_id = create(state, account_kind, {**values, "OwnerId": owner}, caller)
    mapped = dict(_TO_CONTACT)
    mapped |= {name: name for name in lead if name.endswith("__c") and _writable(state, name)}
    values = {there: lead[here] for here, there in mapped.items() if lead.get(here) is not None}
    return create(state, contact_kind, {**values, "AccountId": account_id, "OwnerId": owner}, caller), str(account_id)


def _writable(state: State, name: str) -> bool:
    """Custom fields of the same name are mapped."""
    field = state.schema.get("Contact").find(name)
    return field is not None and field.createable and ("Contact", field.name) not in state.restricted


def _opportunity(state: State, lead: Row, account_id: str, options: Mapping[str, object], caller: Caller) -> str | None:
    if options.get("doNotCreateOpportunity"):
        return None
    values = {
        "Name": options.get("opportunityName") or lead["Company"],
        "AccountId": account_id,
        "StageName": "Prospecting",
        "CloseDate": state.today(),
        "LeadSource": lead.get("LeadSource"),
    }
    return create(state, state.schema.get("Opportunity"), values, caller)


def _move_activities(state: State, lead: Row, contact_id: str, what_id: str) -> None:
    """Open and closed activities go to the contact; their own stamps move, also LastModifiedDate."""
    stamp = state.stamp()
    contact = state.row(contact_id) or {}
    for kind in ("Task", "Event"):
        for activity in state.children(kind, "WhoId", str(lead["Id"])):
            moved = {
                "WhoId": contact_id,
                "WhatId": activity["WhatId"] or what_id,
                "AccountId": contact.get("AccountId"),
            }
            state.bump(str(activity["Id"]), {**moved, "LastModifiedDate": stamp})
    for kind in ("EventRelation", "EmailMessageRelation"):
        for relation in state.children(kind, "RelationId", str(lead["Id"])):
            state.bump(str(relation["Id"]), {"RelationId": contact_id})
    days = [str(each) for each in (lead["LastActivityDate"], contact.get("LastActivityDate")) if each]
    if days:
        state.change(contact_id, {"LastActivityDate": max(days)})


def _move_memberships(state: State, lead_id: str, contact_id: str) -> None:
    for member in state.children("CampaignMember", "LeadId", lead_id):
        moved = {"ContactId": contact_id, "LeadOrContactId": contact_id, "Type": "Contact"}
        state.bump(str(member["Id"]), moved)


def _close(state: State, lead: Row, converted: Values, caller: Caller) -> None:
    stamp = state.stamp()
    audit = {"LastModifiedDate": stamp, "SystemModstamp": stamp, "LastModifiedById": caller.user_id or state.admin_id}
    now = state.row(lead["Id"]) or lead
    state.put({**now, **converted, **audit, "IsConverted": True, "ConvertedDate": stamp[:10], "IsUnreadByOwner": False})
