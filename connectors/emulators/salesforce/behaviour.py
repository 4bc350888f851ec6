"""What Salesforce itself fills in when a record is saved, object by object."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from connectors.emulators.salesforce.clock import moment_of, stamp_from
from connectors.emulators.salesforce.errors import Refusal
from connectors.emulators.salesforce.state import State
from connectors.emulators.salesforce.table import Row

Values = dict[str, object]
_CLOSED_TASKS = frozenset(("Completed", "Closed"))
_STAGES: dict[str, tuple[int, str]] = {  # probability, forecast category
    "Prospecting": (10, "Pipeline"),
    "Qualification": (10, "Pipeline"),
    "Needs Analysis": (20, "Pipeline"),
    "Value Proposition": (50, "Pipeline"),
    "Id. Decision Makers": (60, "Pipeline"),
    "Perception Analysis": (70, "Pipeline"),
    "Proposal/Price Quote": (75, "Pipeline"),
    "Negotiation/Review": (90, "Pipeline"),
    "Closed Won": (100, "Closed"),
    "Closed Lost": (0, "Omitted"),
}
_MEMBER_COPIES = (
    "Salutation", "Name", "FirstName", "LastName", "Title", "Email", "Phone", "Fax", "MobilePhone", "Description",
    "DoNotCall", "HasOptedOutOfEmail", "HasOptedOutOfFax", "LeadSource",
)  # fmt: skip


def filled_in(state: State, row: Row, before: Row | None) -> Values:
    """The fields that follow from others of a row about to be stored."""
    fill = _FILLING.get(str(row["$type"]))
    return fill(state, row, before) if fill else {}


def full_name(first: object, last: object) -> str:
    """As Salesforce writes it."""
    return " ".join(str(each) for each in (first, last) if each)


def _person(state: State, row: Row, before: Row | None) -> Values:
    return {"Name": full_name(row.get("FirstName"), row.get("LastName"))}


def _account(state: State, row: Row, before: Row | None) -> Values:
    return _person(state, row, before) if row.get("IsPersonAccount") else {}


def _task(state: State, row: Row, before: Row | None) -> Values:
    closed = row.get("Status") in _CLOSED_TASKS
    since = before.get("CompletedDateTime") if before is not None and before.get("IsClosed") else None
    return {
        "IsClosed": closed,
        "IsHighPriority": row.get("Priority") == "High",
        "CompletedDateTime": (since or state.stamp()) if closed else None,
        "AccountId": _account_of(state, row),
    }


def _account_of(state: State, row: Row) -> object:
    what = row.get("WhatId")
    if isinstance(what, str) and what.startswith("001"):
        return what
    related = state.row(what) or state.row(row.get("WhoId")) or {}
    return related.get("AccountId")


def _event(state: State, row: Row, before: Row | None) -> Values:
    start = row.get("StartDateTime") or row.get("ActivityDateTime")
    if before is not None and row.get("ActivityDateTime") != before.get("ActivityDateTime"):
        start = row.get("ActivityDateTime")
    if not isinstance(start, str):
        return _all_day(state, row)
    end = _end_of(row, before, moment_of(start))
    minutes = int((end - moment_of(start)).total_seconds() // 60)
    if minutes < 0:
        message = "Start Date Time cannot be after End Date Time"
        raise Refusal(400, "FIELD_INTEGRITY_EXCEPTION", message, ("EndDateTime",))
    return {
        "StartDateTime": start,
        "ActivityDateTime": start,
        "ActivityDate": start[:10],
        "EndDateTime": stamp_from(end),
        "EndDate": stamp_from(end)[:10],
        "DurationInMinutes": minutes,
        "AccountId": _account_of(state, row),
    }


def _all_day(state: State, row: Row) -> Values:
    if not row.get("IsAllDayEvent") or row.get("ActivityDate") is None:
        message = "Required fields are missing: [ActivityDateTime, DurationInMinutes]"
        raise Refusal(400, "REQUIRED_FIELD_MISSING", message, ("ActivityDateTime", "DurationInMinutes"))
    day = str(row["ActivityDate"])
    minutes = row.get("DurationInMinutes") or 1440
    return {"EndDate": day, "DurationInMinutes": minutes, "AccountId": _account_of(state, row)}


def _end_of(row: Row, before: Row | None, start: datetime) -> datetime:
    old = before or {}
    minutes, end = row.get("DurationInMinutes"), row.get("EndDateTime")
    if isinstance(end, str) and (minutes is None or end != old.get("EndDateTime")):
        return moment_of(end)
    if not isinstance(minutes, int):
        message = "Required fields are missing: [DurationInMinutes]"
        raise Refusal(400, "REQUIRED_FIELD_MISSING", message, ("DurationInMinutes",))
    return start + timedelta(minutes=minutes)


def _opportunity(state: State, row: Row, before: Row | None) -> Values:
    stage = str(row.get("StageName"))
    probability, category = _STAGES.get(stage, (10, "Pipeline"))
    given = row.get("Probability")
    kept = given is not None and before is not None and before.get("StageName") == stage
    chance = float(str(given)) if kept or (given is not None and before is None) else float(probability)
    amount = row.get("Amount")
    return {
        "IsClosed": stage.startswith("Closed"),
        "IsWon": stage == "Closed Won",
        "Probability": chance,
        "ForecastCategory": category,
        "ForecastCategoryName": category,
        "ExpectedRevenue": None if amount is None else float(str(amount)) * chance / 100,
    }


def _member(state: State, row: Row, before: Row | None) -> Values:
    person_id = row.get("ContactId") or row.get("LeadId")
    person = state.row(person_id)
    if person is None:
        message = "Required fields are missing: [LeadId, ContactId]"
        raise Refusal(400, "REQUIRED_FIELD_MISSING", message, ("LeadId", "ContactId"))
    statuses = state.children("CampaignMemberStatus", "CampaignId", str(row.get("CampaignId")))
    status, responded = _status_of(row.get("Status"), statuses)
    first = row.get("FirstRespondedDate") or (_local_day(state) if responded else None)
    account = state.row(person.get("AccountId")) or {}
    return {
        **{name: person.get(name) for name in _MEMBER_COPIES},
        "LeadId": row.get("LeadId"),
        "Status": status,
        "HasResponded": responded,
        "FirstRespondedDate": first,
        "Type": person["$type"],
        "CompanyOrAccount": person.get("Company") or account.get("Name"),
        "LeadOrContactId": person_id,
        "LeadOrContactOwnerId": person.get("OwnerId"),
    }


def _status_of(wanted: object, statuses: list[Row]) -> tuple[object, bool]:
    """The label of a member's status as the campaign writes it, and does it count as a response? A label that the
    campaign does not have becomes its default."""
    labels = {str(each["Label"]).lower(): each for each in statuses}
    default = next((each for each in statuses if each["IsDefault"]), None)
    found = labels.get(str(wanted).lower()) or default
    return (wanted, False) if found is None else (found["Label"], bool(found["HasResponded"]))


def _local_day(state: State) -> str:
    return moment_of(state.stamp()).astimezone(ZoneInfo(state.switches.time_zone)).date().isoformat()


def _email_relation(state: State, row: Row, before: Row | None) -> Values:
    related = state.row(row.get("RelationId"))
    return {"RelationObjectType": None if related is None else related["$type"]}


def _permissions(state: State, row: Row, before: Row | None) -> Values:
    """Only fields that have permissions can be given any, and who may edit may read."""
    object_name, _, name = str(row.get("Field")).partition(".")
    kind = state.schema.find(object_name)
    field = kind.find(name) if kind else None
    if kind is None or field is None or not field.permissionable:
        message = f"Field Name: bad value for restricted picklist field: {row.get('Field')}"
        raise Refusal(400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message, ("Field",))
    if row.get("PermissionsEdit") and not row.get("PermissionsRead"):
        message = f"You can't grant edit access without read access: {row.get('Field')}"
        raise Refusal(400, "FIELD_INTEGRITY_EXCEPTION", message, ())
    return {"SobjectType": kind.name, "Field": f"{kind.name}.{field.name}"}


def _contact(state: State, row: Row, before: Row | None) -> Values:
    return {**_person(state, row, before), "IsEmailBounced": row.get("EmailBouncedReason") is not None}


_FILLING: Mapping[str, Callable[[State, Row, Row | None], Values]] = {
    "Lead": _person,
    "User": _person,
    "Individual": _person,
    "Contact": _contact,
    "Account": _account,
    "Task": _task,
    "Event": _event,
    "Opportunity": _opportunity,
    "CampaignMember": _member,
    "EmailMessageRelation": _email_relation,
    "FieldPermissions": _permissions,
}
