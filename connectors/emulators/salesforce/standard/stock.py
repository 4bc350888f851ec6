"""A fresh org: its objects, its admin, a queue for leads, the statuses."""

from collections.abc import Sequence

from connectors.emulators.salesforce.clock import Clock
from connectors.emulators.salesforce.ids import new_id
from connectors.emulators.salesforce.schema import ObjectType, Schema
from connectors.emulators.salesforce.standard.activities import activities, campaigns, history
from connectors.emulators.salesforce.standard.people import people, person_account_fields, person_contact_fields
from connectors.emulators.salesforce.standard.picklists import PICKLISTS
from connectors.emulators.salesforce.standard.setup import setup
from connectors.emulators.salesforce.state import State

ORG_NUMBER = 4_404_040
FEATURES = {"person_accounts": False, "campaigns": True, "history": True}
_CLOSED_LEADS = ("Closed - Converted",)
_CLOSED_TASKS = ("Completed",)


def stock_state(clock: Clock, features: dict[str, bool], org_number: int = ORG_NUMBER) -> State:
    """Schema and first records; ValueError for a feature that is none."""
    unknown = set(features) - set(FEATURES)
    if unknown:
        raise ValueError(f"no feature {', '.join(sorted(unknown))}; there are {', '.join(FEATURES)}")
    has = FEATURES | features
    state = State(stock_schema(has), clock)
    _people_of_the_org(state, org_number)
    _statuses(state)
    _put(state, "Group", {"Name": "Web Leads", "DeveloperName": "Web_Leads", "Type": "Queue", "OwnerId": state.org_id})
    queue = next(iter(state.tables["Group"].rows))
    _put(state, "QueueSobject", {"QueueId": queue, "SobjectType": "Lead"})
    if has["person_accounts"]:
        values = {"Name": "Person Account", "DeveloperName": "PersonAccount", "SobjectType": "Account"}
        _put(state, "RecordType", {**values, "IsActive": True, "IsPersonType": True})
    return state


def stock_schema(has: dict[str, bool]) -> Schema:
    """The objects of an org with these features."""
    kinds: list[ObjectType] = [*people(), *activities(), *setup()]
    if has["campaigns"]:
        kinds += campaigns()
    if has["history"]:
        kinds += [history("Lead", "017"), history("Contact", "03j")]
    schema = Schema(kinds)
    if has["person_accounts"]:
        for field in person_account_fields():
            schema.get("Account").put(field)
        for field in person_contact_fields():
            schema.get("Contact").put(field)
        schema.changed()
    return schema


def _put(state: State, object_name: str, values: dict[str, object]) -> str:
    kind = state.schema.get(object_name)
    stamp, admin = state.clock.stamp(), state.admin_id
    audit = {"CreatedDate": stamp, "CreatedById": admin, "LastModifiedDate": stamp, "LastModifiedById": admin}
    audit = {name: value for name, value in {**audit, "SystemModstamp": stamp}.items() if name in kind.fields}
    row = {**kind.template, **audit, "Id": state.new_id(kind), **values}
    state.put(row)
    return str(row["Id"])


def _people_of_the_org(state: State, org_number: int) -> None:
    state.admin_id = new_id("005", 1)
    organization = {
        "Name": "Emulated Org", "OrganizationType": "Developer Edition", "IsSandbox": False, "InstanceName": "EM1",
        "TimeZoneSidKey": state.switches.time_zone, "FiscalYearStartMonth": 1, "DefaultLocaleSidKey": "en_US",
        "LanguageLocaleKey": "en_US", "Id": new_id("00D", org_number),
    }  # fmt: skip
    state.org_id = _put(state, "Organization", organization)
    profile = _put(state, "Profile", {"Name": "System Administrator", "UserType": "Standard"})
    user = {
        "Username": "admin@emulated.example", "FirstName": "Ada", "LastName": "Admin", "Name": "Ada Admin",
        "Email": "admin@emulated.example", "Alias": "aadmin", "CommunityNickname": "ada", "IsActive": True,
        "ProfileId": profile, "UserType": "Standard", "TimeZoneSidKey": state.switches.time_zone,
        "LocaleSidKey": "en_US", "LanguageLocaleKey": "en_US", "EmailEncodingKey": "UTF-8",
    }  # fmt: skip
    _put(state, "User", user)
    owned = {"Name": "X00ex00000018ozh", "Label": "System Administrator", "ProfileId": profile}
    _put(state, "PermissionSet", {**owned, "IsOwnedByProfile": True, "PermissionsApiEnabled": True, "Type": "Profile"})


def _statuses(state: State) -> None:
    lists = (
        ("LeadStatus", "lead_status", "IsConverted", _CLOSED_LEADS),
        ("TaskStatus", "task_status", "IsClosed", _CLOSED_TASKS),
        ("TaskPriority", "task_priority", "IsHighPriority", ("High",)),
    )
    for object_name, values, flag, flagged in lists:
        put_statuses(state, object_name, PICKLISTS[values], (flag, flagged))


def put_statuses(state: State, object_name: str, labels: Sequence[str], flags: tuple[str, Sequence[str]]) -> None:
    """Make the rows of a status object anew; a star marks the default. `flags`: a box, and the labels that tick it."""
    for record_id in list(state.tables[object_name].rows):
        state.tables[object_name].take(record_id)
    flag, flagged = flags
    for order, label in enumerate(labels, 1):
        name = label.rstrip("*")
        row = {"MasterLabel": name, "ApiName": name, "SortOrder": order, "IsDefault": label.endswith("*")}
        _put(state, object_name, {**row, flag: name in flagged})
