"""Merging two or three records into one: the losers point to the winner and lie in the bin, children move over."""

from collections.abc import Mapping, Sequence

from connectors.emulators.salesforce.calls import Caller
from connectors.emulators.salesforce.errors import Refusal
from connectors.emulators.salesforce.removal import discard
from connectors.emulators.salesforce.saving import target, update
from connectors.emulators.salesforce.schema import ObjectType
from connectors.emulators.salesforce.state import State
from connectors.emulators.salesforce.table import Row

MOST_LOSERS = 2


def merge(
    state: State, kind: ObjectType, records: tuple[str, Sequence[str]], values: Mapping[str, object], caller: Caller
) -> None:
    """`records`: the winner and at most two losers."""
    winner_id, loser_ids = records
    if not kind.can.mergeable:
        raise Refusal(400, "INVALID_TYPE_FOR_OPERATION", f"entity type {kind.name} does not support merge")
    if not 1 <= len(loser_ids) <= MOST_LOSERS:
        raise Refusal(400, "INVALID_NUM_RECORDS", "Merge request must have one or two records to merge")
    winner = target(state, kind, winner_id)
    losers = [target(state, kind, each) for each in loser_ids]
    if any(each.get("IsConverted") for each in (winner, *losers)):
        raise Refusal(400, "CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead", ())
    if winner in losers:
        raise Refusal(400, "INVALID_CROSS_REFERENCE_KEY", "cannot merge a record with itself", ())
    state.check_lock(str(each["Id"]) for each in (winner, *losers))
    for loser in losers:
        move_children(state, kind, loser, str(winner["Id"]))
        gone = discard(state, loser, caller.user_id or state.admin_id, "")
        state.put({**gone, "MasterRecordId": winner["Id"]})
    update(state, kind, str(winner["Id"]), values, caller)


def move_children(state: State, kind: ObjectType, loser: Row, winner_id: str) -> None:
    """Whatever refers to the loser refers to the winner from now on, stamped anew."""
    for way in state.schema.children(kind.name):
        field = state.schema.get(way.child).fields[way.field]
        if field.name == "MasterRecordId" or not (field.createable or way.cascade):
            continue
        for child in state.children(way.child, way.field, str(loser["Id"])):
            if way.child == "CampaignMember" and _is_member(state, child, way.field, winner_id):
                discard(state, child, state.admin_id, "")
                continue
            moved: dict[str, object] = {way.field: winner_id}
            if way.child == "CampaignMember":
                moved["LeadOrContactId"] = winner_id
            state.bump(str(child["Id"]), moved)


def _is_member(state: State, member: Row, field: str, person_id: str) -> bool:
    others = state.children("CampaignMember", field, person_id)
    return any(each["CampaignId"] == member["CampaignId"] for each in others)
