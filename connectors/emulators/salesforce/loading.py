"""Storing many records as they are, past every rule."""

from collections.abc import Callable, Iterable, Mapping

from connectors.emulators.salesforce.behaviour import filled_in
from connectors.emulators.salesforce.errors import Refusal
from connectors.emulators.salesforce.formulas import formula_values
from connectors.emulators.salesforce.ids import full_id
from connectors.emulators.salesforce.person_accounts import mirror_contact
from connectors.emulators.salesforce.schema import ObjectType
from connectors.emulators.salesforce.state import State
from connectors.emulators.salesforce.values import canonical

Values = dict[str, object]
_SHAPED = frozenset(("datetime", "date", "reference", "id", "double", "currency", "percent"))


def load(state: State, kind: ObjectType, rows: Iterable[Mapping[str, object]]) -> list[str]:
    """The ids, in the order of the rows. ValueError for a field that the object does not have."""
    stamp, admin = state.clock.stamp(), state.admin_id
    audit: Values = {"CreatedDate": stamp, "CreatedById": admin, "LastModifiedById": admin, "OwnerId": admin}
    base = {**kind.template, **{name: value for name, value in audit.items() if name in kind.fields}}
    named = _namer(kind)
    made = [_row(state, kind, base, named(each)) for each in rows]
    state.tables[kind.name].load(made)
    if kind.name == "Account":
        for row in made:
            mirror_contact(state, row, None)
    return [str(row["Id"]) for row in made]


def _namer(kind: ObjectType) -> Callable[[Mapping[str, object]], Values]:
    """Reads a row: canonical names, canonical values."""
    known = {name: (field.name, field if field.type in _SHAPED else None) for name, field in kind.by_lower.items()}
    exact = {field.name: known[name] for name, field in kind.by_lower.items()}

    def read(given: Mapping[str, object]) -> Values:
        values: Values = {}
        for name, value in given.items():
            found = exact.get(name) or known.get(name.lower())
            if found is None:
                raise ValueError(f"{kind.name} has no field {name}")
            field = found[1]
            values[found[0]] = value if field is None else canonical(field, value)
        return values

    return read


def _row(state: State, kind: ObjectType, base: Values, given: Values) -> Values:
    row = {**base, **given}
    if "CreatedDate" in kind.fields:
        row.setdefault("LastModifiedDate", None)
        row["LastModifiedDate"] = row["LastModifiedDate"] or given.get("SystemModstamp") or row["CreatedDate"]
    if "SystemModstamp" in kind.fields and row["SystemModstamp"] is None:
        row["SystemModstamp"] = row.get("LastModifiedDate") or state.clock.stamp()
    row["Id"] = full_id(str(given["Id"])) if given.get("Id") else state.new_id(kind)
    if "LastModifiedDate" not in kind.fields:
        row.pop("LastModifiedDate", None)
    row |= {name: value for name, value in _filling(state, row).items() if given.get(name) is None}
    row |= formula_values(kind, row)
    if row.get("IsClosed") and kind.name == "Task" and "CompletedDateTime" not in given:
        row["CompletedDateTime"] = row["LastModifiedDate"]
    return row


def _filling(state: State, row: Values) -> Values:
    """What follows from other fields; nothing where a loaded row is too bare for that."""
    try:
        return filled_in(state, row, None)
    except Refusal:
        return {}
