"""Field-level security: which fields a user does not see, or may only read."""

from dataclasses import dataclass

from connectors.emulators.salesforce.state import State


@dataclass(frozen=True, slots=True)
class Access:
    """(object, field)s that are `hidden`, and those that are `read_only` by permission though the field is not."""

    hidden: frozenset[tuple[str, str]]
    read_only: frozenset[tuple[str, str]]


def access_of(state: State, user_id: str) -> Access:
    """What a user sees. A restricted field can be opened by FieldPermissions of a permission set given to the user."""
    if not state.restricted:
        return Access(frozenset(), frozenset())
    granted = _granted(state, user_id)
    hidden, read_only = set(), set()
    for place, level in state.restricted.items():
        grant = granted.get(place, "")
        if level == "hidden" and not grant:
            hidden.add(place)
        elif grant != "edit" and (level == "read" or grant == "read"):
            read_only.add(place)
    return Access(frozenset(hidden), frozenset(read_only | hidden))


def _granted(state: State, user_id: str) -> dict[tuple[str, str], str]:
    assignments = state.tables["PermissionSetAssignment"]
    sets = {assignments.rows[each]["PermissionSetId"] for each in assignments.holding("AssigneeId", user_id)}
    user = state.row(user_id) or {}
    sets |= {
        each["Id"]
        for each in state.tables["PermissionSet"].rows.values()
        if each["IsOwnedByProfile"] and each["ProfileId"] == user.get("ProfileId")
    }
    granted: dict[tuple[str, str], str] = {}
    for row in state.tables["FieldPermissions"].rows.values():
        if row["ParentId"] in sets and row["PermissionsRead"]:
            place = (str(row["SobjectType"]), str(row["Field"]).partition(".")[2])
            if granted.get(place) != "edit":
                granted[place] = "edit" if row["PermissionsEdit"] else "read"
    return granted
