"""What saving or deleting one record does to others: parents of activities, counts, histories, statuses."""

from connectors.emulators.salesforce.formulas import Summary
from connectors.emulators.salesforce.state import State
from connectors.emulators.salesforce.table import Row

_PARENTS = ("WhoId", "WhatId", "AccountId")
_HISTORIES = {"Lead": "LeadHistory", "Contact": "ContactHistory"}


def after_save(state: State, row: Row, before: Row | None) -> None:
    """Call when a row has been stored (`before` is None for a new one) or deleted (`row` says so)."""
    kind = row["$type"]
    for summary in state.summaries:
        if summary.child == kind:
            roll_up(state, summary, {row.get(summary.foreign_key), (before or {}).get(summary.foreign_key)})
    if kind in ("Task", "Event"):
        _note_activity(state, row, before)
    if kind == "CampaignMember":
        _count_members(state, str(row["CampaignId"]))
    if kind == "Campaign" and before is None:
        _first_statuses(state, row)
    if kind in _HISTORIES and before is not None:
        _write_history(state, row, before)


def roll_up(state: State, summary: Summary, parent_ids: set[object]) -> None:
    """Work a roll-up out anew for some parents; those whose value changes are stamped."""
    for parent_id in parent_ids:
        parent = state.live(parent_id)
        if parent is None or parent["$type"] != summary.parent:
            continue
        value = summary.value(state.children(summary.child, summary.foreign_key, str(parent_id)))
        if parent.get(summary.field) != value:
            state.bump(str(parent_id), {summary.field: value})


def _note_activity(state: State, row: Row, before: Row | None) -> None:
    """LastActivityDate is the day of the latest event or closed task."""
    known = {row.get(name) for name in _PARENTS} | {(before or {}).get(name) for name in _PARENTS}
    day = str(row.get("ActivityDate") or state.today()) if row["$type"] == "Event" or row.get("IsClosed") else ""
    for parent_id in known:
        parent = state.live(parent_id)
        if parent is None or "LastActivityDate" not in parent:
            continue
        latest = max(str(parent["LastActivityDate"] or ""), "" if row.get("IsDeleted") else day) or None
        if state.switches.activity_bumps_parent:
            state.bump(str(parent_id), {"LastActivityDate": latest})
        elif latest != parent["LastActivityDate"]:
            state.change(str(parent_id), {"LastActivityDate": latest})


def _count_members(state: State, campaign_id: str) -> None:
    campaign = state.live(campaign_id)
    if campaign is None or not state.switches.campaign_counts:
        return
    members = state.children("CampaignMember", "CampaignId", campaign_id)
    counts: dict[str, object] = {
        "NumberOfLeads": sum(each["ContactId"] is None for each in members),
        "NumberOfContacts": sum(each["ContactId"] is not None for each in members),
        "NumberOfResponses": sum(bool(each["HasResponded"]) for each in members),
    }
    if any(campaign[name] != value for name, value in counts.items()):
        state.bump(campaign_id, counts)


def _first_statuses(state: State, campaign: Row) -> None:
    kind = state.schema.get("CampaignMemberStatus")
    for order, (label, responded) in enumerate((("Sent", False), ("Responded", True)), 1):
        audit = {name: campaign[name] for name in ("CreatedDate", "CreatedById", "LastModifiedDate")}
        audit |= {name: campaign[name] for name in ("LastModifiedById", "SystemModstamp")}
        values = {"CampaignId": campaign["Id"], "Label": label, "SortOrder": order}
        values |= {"IsDefault": not responded, "HasResponded": responded}
        state.put({**kind.template, **audit, **values, "$type": kind.name, "Id": state.new_id(kind)})


def _write_history(state: State, row: Row, before: Row) -> None:
    kind = state.schema.find(_HISTORIES[str(row["$type"])])
    if kind is None:
        return
    for name in state.switches.tracked_fields:
        if row.get(name) == before.get(name):
            continue
        field = "Owner" if name == "OwnerId" else name
        values = {"Field": field, "DataType": "Text", "OldValue": before.get(name), "NewValue": row.get(name)}
        values |= {f"{row['$type']}Id": row["Id"], "CreatedDate": state.stamp(), "CreatedById": row["LastModifiedById"]}
        state.put({**kind.template, **values, "$type": kind.name, "Id": state.new_id(kind)})
