"""A Salesforce org in memory: everything its API reads and writes, and the switches that set its manners. No HTTP.

Every name of an object or field may be given in any case, every id in 15 or 18 characters; answers have canonical
names and 18 characters. Whatever the org refuses is raised as `Refusal`. Not thread-safe.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime

from connectors.emulators.salesforce.access import access_of
from connectors.emulators.salesforce.archiving import archive
from connectors.emulators.salesforce.calls import ADMIN, Caller, Outcome, Write
from connectors.emulators.salesforce.clock import Clock
from connectors.emulators.salesforce.conversion import convert
from connectors.emulators.salesforce.definitions import custom_field, custom_object, summary_of
from connectors.emulators.salesforce.describing import described, described_brief, described_global
from connectors.emulators.salesforce.effects import roll_up
from connectors.emulators.salesforce.errors import Json, Refusal, not_found
from connectors.emulators.salesforce.fields import Field, choices_of
from connectors.emulators.salesforce.formulas import Summary, formula
from connectors.emulators.salesforce.ids import full_id
from connectors.emulators.salesforce.loading import load
from connectors.emulators.salesforce.merging import merge
from connectors.emulators.salesforce.parents import find_by_key
from connectors.emulators.salesforce.reading import read_row
from connectors.emulators.salesforce.removal import delete, empty_bin, expire_bin, hard_delete, undelete
from connectors.emulators.salesforce.replication import deleted, updated
from connectors.emulators.salesforce.saving import create, update
from connectors.emulators.salesforce.schema import ObjectType, Schema
from connectors.emulators.salesforce.soql.query import Result, run
from connectors.emulators.salesforce.soql.worlds import world_of
from connectors.emulators.salesforce.standard.stock import put_statuses, stock_state
from connectors.emulators.salesforce.state import State
from connectors.emulators.salesforce.switches import Switches, changed
from connectors.emulators.salesforce.upserting import repeated, upsert, upsert_values

__all__ = ["ADMIN", "Caller", "Org", "Outcome", "Refusal", "Result", "Write"]

Row = dict[str, object]
_ROLLED_BACK = "Record rolled back because not all records were valid and the request was using AllOrNone header"
_MANY = 500  # rows from which a change of all is cheaper by making the orders anew


class Org:
    """One org. Attributes for reading: `state`, `clock`, and those below."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.clock = state.clock
        self.schema_changed = state.clock.stamp()  # of the last change of the schema: Last-Modified of describes
        self._day = ""

    @classmethod
    def stock(cls, clock: Clock | None = None, org_number: int = 4_404_040, **features: bool) -> "Org":
        """A fresh Developer Edition org. Features: person_accounts (False), campaigns (True), history (True).

        `org_number` makes Organization.Id: another number is another org, as after a sandbox refresh.
        """
        return cls(stock_state(clock or Clock(), features, org_number))

    @property
    def schema(self) -> Schema:
        """Objects and fields, for reading."""
        return self.state.schema

    @property
    def org_id(self) -> str:
        """Organization.Id."""
        return self.state.org_id

    @property
    def admin_id(self) -> str:
        """The admin's user id."""
        return self.state.admin_id

    @property
    def switches(self) -> Switches:
        """The manners now; change them with `behave`."""
        return self.state.switches

    # What there is

    def object_name(self, name: str) -> str:
        """The canonical name, found by name in any case, or 404 NOT_FOUND."""
        return self.state.schema.get(name).name

    def object_of_id(self, record_id: str) -> str | None:
        """The object whose prefix the id has."""
        kind = self.state.schema.kind_of_id(record_id)
        return None if kind is None else kind.name

    def describe(self, object_name: str, version: str = "60.0", caller: Caller = ADMIN) -> Json:
        """Full sObject describe. 404 NOT_FOUND for an unknown object."""
        kind = self.state.schema.get(object_name)
        types = self.state.tables["RecordType"]
        record_types = [types.rows[each] for each in sorted(types.holding("SobjectType", kind.name))]
        access = access_of(self.state, self._user(caller))
        return described(self.state.schema, kind, access, record_types, version)

    def describe_global(self, version: str = "60.0", caller: Caller = ADMIN) -> Json:
        """{"encoding", "maxBatchSize", "sobjects": [...]}."""
        return described_global(self.state.schema, version)

    def describe_brief(self, object_name: str, version: str = "60.0") -> Json:
        """The entry of describe_global for one object (`objectDescribe` of basic info)."""
        return described_brief(self.state.schema.get(object_name), version)

    # Reading

    def query(self, soql: str, *, all_rows: bool = False, caller: Caller = ADMIN, version: str = "60.0") -> Result:
        """Run SOQL. Refusals: MALFORMED_QUERY, INVALID_FIELD, INVALID_TYPE, ... with Salesforce's wording."""
        self._catch_up()
        return run(world_of(self.state, self._user(caller), all_rows=all_rows), soql, version)

    def read(
        self,
        object_name: str,
        record_id: str,
        fields: Sequence[str] | None = None,
        caller: Caller = ADMIN,
        version: str = "60.0",
    ) -> Row:
        """One record with attributes, every visible field (or those named).

        404 NOT_FOUND for one that never was, 404 ENTITY_IS_DELETED for one that is deleted.
        """
        self._catch_up()
        kind = self.state.schema.get(object_name)
        access = access_of(self.state, self._user(caller))
        return read_row(self.state, kind, record_id, fields, (access, version))

    def find(self, object_name: str, field_name: str, value: str) -> list[str]:
        """Ids of live records with this external id (or idLookup field, or Id). 404 when the field is no such."""
        self._catch_up()
        return find_by_key(self.state, self.state.schema.get(object_name), field_name, value)

    def related(self, object_name: str, record_id: str, relationship: str) -> tuple[str, list[str], bool]:
        """For /Lead/ID/Owner: (object, ids, is it a parent?); 404 for an unknown relationship or empty parent."""
        kind = self.state.schema.get(object_name)
        row = self.state.live(full_id(record_id))
        if row is None:
            raise not_found()
        parent = kind.parent_field(relationship)
        if parent is not None:
            found = self.state.live(row[parent.name])
            if found is None:
                raise not_found("The requested resource does not exist")
            return str(found["$type"]), [str(found["Id"])], True
        way = self.state.schema.child(kind.name, relationship)
        if way is None:
            raise not_found()
        return way.child, [str(each["Id"]) for each in self.state.children(way.child, way.field, str(row["Id"]))], False

    def updated(self, object_name: str, start: datetime, end: datetime) -> Json:
        """{"ids": [...], "latestDateCovered": stamp}. INVALID_REPLICATION_DATE, EXCEEDED_ID_LIMIT, ..."""
        self._catch_up()
        return updated(self.state, self.state.schema.get(object_name), start, end)

    def deleted(self, object_name: str, start: datetime, end: datetime) -> Json:
        """{"deletedRecords": [{"id", "deletedDate"}], "earliestDateAvailable", "latestDateCovered"}."""
        self._catch_up()
        return deleted(self.state, self.state.schema.get(object_name), start, end)

    # Writing (all raise Refusal and then change nothing; `save` never raises one)

    def create(self, object_name: str, values: Mapping[str, object], caller: Caller = ADMIN) -> str:
        """The new id."""
        kind = self.state.schema.get(object_name)
        with self._writing(caller):
            return create(self.state, kind, values, caller)

    def update(self, object_name: str, record_id: str, values: Mapping[str, object], caller: Caller = ADMIN) -> None:
        """Change one record."""
        kind = self.state.schema.get(object_name)
        with self._writing(caller):
            update(self.state, kind, record_id, values, caller)

    def upsert(
        self, object_name: str, key: tuple[str, str], values: Mapping[str, object], caller: Caller = ADMIN
    ) -> tuple[str, bool]:
        """(id, created?) by (external id field, value). Refusal 300 DUPLICATE_EXTERNAL_ID with extra["ids"]."""
        kind = self.state.schema.get(object_name)
        with self._writing(caller):
            return upsert(self.state, kind, key, values, caller)

    def delete(self, object_name: str, record_id: str, caller: Caller = ADMIN) -> None:
        """Into the recycle bin, with what belongs to it."""
        kind = self.state.schema.get(object_name)
        with self._writing(caller):
            delete(self.state, kind, record_id, caller)

    def undelete(self, record_id: str, caller: Caller = ADMIN) -> None:
        """Out of the recycle bin. UNDELETE_FAILED."""
        with self._writing(caller):
            undelete(self.state, record_id, caller)

    def hard_delete(self, record_ids: Iterable[str]) -> None:
        """Past the recycle bin; also for records that lie in it."""
        with self._writing(ADMIN):
            hard_delete(self.state, record_ids)

    def empty_recycle_bin(self) -> int:
        """How many records went."""
        with self._writing(ADMIN):
            return empty_bin(self.state)

    def save(self, writes: Sequence[Write], all_or_none: bool = False, caller: Caller = ADMIN) -> list[Outcome]:
        """Many writes, results by position. With `all_or_none` a failure undoes all; the others then have the refusal
        ALL_OR_NONE_OPERATION_ROLLED_BACK and keep no id."""
        outcomes: list[Outcome] = []
        try:
            with self._within(caller), self.state.atomic():
                twice = repeated(writes)
                outcomes = [twice.get(at) or self._one(each, caller) for at, each in enumerate(writes)]
                if all_or_none and not all(each.success for each in outcomes):
                    raise Refusal(400, "ALL_OR_NONE_OPERATION_ROLLED_BACK", _ROLLED_BACK, ())
        except Refusal as refusal:
            return [replace(each, success=False, id=None, created=False, refusals=each.refusals or (refusal,))
                    for each in outcomes]  # fmt: skip
        return outcomes

    def merge(
        self,
        object_name: str,
        winner: str,
        losers: Sequence[str],
        values: Mapping[str, object] | None = None,
        caller: Caller = ADMIN,
    ) -> None:
        """At most two losers; Lead, Contact, Account."""
        kind = self.state.schema.get(object_name)
        with self._writing(caller):
            merge(self.state, kind, (winner, losers), values or {}, caller)

    def convert(self, lead_id: str, options: Mapping[str, object] | None = None, caller: Caller = ADMIN) -> Json:
        """Options: contactId, accountId, convertedStatus, doNotCreateOpportunity, opportunityName, ownerId. Answers
        {"leadId", "contactId", "accountId", "opportunityId", "success", "errors"}."""
        with self._writing(caller):
            return convert(self.state, lead_id, options or {}, caller)

    # The world around the API

    def load(self, object_name: str, rows: Iterable[Mapping[str, object]]) -> list[str]:
        """Store rows as they are, past every rule; system fields may be given. The ids. Load parents first."""
        self._day = ""
        return load(self.state, self.state.schema.get(object_name), rows)

    def touch(self, object_name: str, record_ids: Iterable[str] | None = None) -> int:
        """The platform bumps SystemModstamp (of all) without any field changing, as after a picklist edit."""
        table = self.state.tables[self.object_name(object_name)]
        ids = list(table.rows) if record_ids is None else [full_id(each) or each for each in record_ids]
        if len(ids) > _MANY:
            stamp = self.state.stamp()
            table.load([{**table.rows[each], "SystemModstamp": stamp} for each in ids])
        else:
            for each in ids:
                self.state.bump(each)
        return len(ids)

    def begin(self, started: datetime | None = None, commit_after_s: float | None = None) -> str:
        """Open a transaction (give its name to `Caller`). What it writes bears the stamp `started` (now), is invisible
        and locked for others until `commit`, and holds `latestDateCovered` back. Commits by itself if told to."""
        due_s = None if commit_after_s is None else self.clock.now_s() + commit_after_s
        return self.state.begin((started or self.clock.now()).astimezone(UTC), due_s)

    def commit(self, transaction: str) -> None:
        """Its writes are seen from now on. KeyError for a name that is no open transaction."""
        self.state.commit(transaction)

    def roll_back(self, transaction: str) -> None:
        """Its writes never happened. KeyError likewise."""
        del self.state.open[transaction]

    def open_transactions(self) -> dict[str, datetime]:
        """Start of each."""
        return {name: each.started for name, each in self.state.open.items()}

    def lock(self, record_ids: Iterable[str], seconds: float | None = None) -> None:
        """Writes of these records, or of children of these, are refused with UNABLE_TO_LOCK_ROW."""
        until = None if seconds is None else self.clock.now_s() + seconds
        self.state.locks.update(dict.fromkeys((full_id(each) or each for each in record_ids), until))

    def unlock(self, record_ids: Iterable[str] | None = None) -> None:
        """All, without ids."""
        for each in list(self.state.locks) if record_ids is None else list(record_ids):
            self.state.locks.pop(full_id(each) or each, None)

    def hide(self, record_ids: Iterable[str]) -> None:
        """From now on these records are shared with nobody who calls: not queried, not written, not referred to."""
        self.state.unseen.update(full_id(each) or each for each in record_ids)

    def share(self, record_ids: Iterable[str] | None = None) -> None:
        """Hidden records (all, without ids) are seen again."""
        known = list(self.state.unseen) if record_ids is None else [full_id(each) or each for each in record_ids]
        self.state.unseen.difference_update(known)

    def behave(self, changes: Mapping[str, object]) -> None:
        """Change switches (see switches.py) from JSON; ValueError for a name or value that is none."""
        self.state.switches = changed(self.state.switches, changes)
        zone, month = self.switches.time_zone, self.switches.fiscal_month
        self.state.change(self.org_id, {"TimeZoneSidKey": zone, "FiscalYearStartMonth": month})

    # The schema

    def add_object(self, definition: Mapping[str, object]) -> str:
        """A custom object from data: {"name": "Visit__c", "label", "fields": [...]}; its name."""
        customs = sum(kind.can.custom for kind in self.state.schema)
        kind = custom_object(definition, f"a{customs:02d}")
        self._check_new(self.state.schema.find(kind.name))
        self.state.schema.add(kind)
        self.state.tables[kind.name] = type(self.state.tables["Lead"])()
        self._schema_changes()
        return kind.name

    def add_field(self, object_name: str, definition: Mapping[str, object], visible: bool = True) -> str:
        """A custom field in the words of the Metadata API: {"fullName": "Lead_Score__c" or "Lead.Lead_Score__c",
        "label", "type": "Number", "precision", "scale", "length", "externalId", "unique", "required", "formula",
        "referenceTo", "relationshipName", "valueSet": [values], "restricted" ...}, formulas and roll-ups as in
        formulas.py. Not visible: nobody sees it until FieldPermissions are given (create a FieldPermissions record, as
        REST does). DUPLICATE_DEVELOPER_NAME."""
        kind, field = self.state.schema.get(object_name), custom_field(definition)
        self._check_new(kind.find(field.name))
        work_out = formula(kind, field.formula) if field.formula else None
        self._put_field(kind, field)
        if definition.get("type") == "Summary":
            self._roll_up(kind, summary_of(kind.name, field, definition))
        if work_out is not None:
            table = self.state.tables[kind.name]
            table.load([{**row, field.name: work_out(row)} for row in table.rows.values()])
        if kind.name == "Contact" and "IsPersonAccount" in kind.fields:
            twin = replace(field, name=f"{field.name.removesuffix('__c')}__pc", unique=False)
            self._put_field(self.state.schema.get("Account"), twin)
        if not visible:
            self.state.restricted[kind.name, field.name] = "hidden"
        return field.name

    def remove_field(self, object_name: str, field_name: str) -> None:
        """A field and its values go. 404 NOT_FOUND."""
        kind = self.state.schema.get(object_name)
        field = self._field(kind, field_name)
        kind.drop(field.name)
        self.state.tables[kind.name].drop_column(field.name)
        self.state.restricted.pop((kind.name, field.name), None)
        self._schema_changes()

    def remove_object(self, object_name: str) -> None:
        """An object goes, as when its feature is switched off."""
        self.state.schema.remove(self.object_name(object_name))
        self._schema_changes()

    def set_picklist(self, object_name: str, field_name: str, values: Sequence[str], restricted: bool) -> None:
        """Other values for a picklist; a star at the end marks the default. Those of Lead.Status are LeadStatus too."""
        kind = self.state.schema.get(object_name)
        changes = {"choices": choices_of(tuple(values)), "restricted": restricted}
        name = self._field(kind, field_name).name
        self.state.schema.replace_field(kind, name, changes)
        if (kind.name, name) == ("Lead", "Status"):
            put_statuses(self.state, "LeadStatus", values, ("IsConverted", (self.switches.convert_status,)))
        self._schema_changes()

    def set_access(self, object_name: str, field_name: str, access: str) -> None:
        """Field-level security for everybody without FieldPermissions: "hidden", "read" or "edit"."""
        if access not in ("hidden", "read", "edit"):
            raise ValueError(f"access is hidden, read or edit, not {access}")
        kind = self.state.schema.get(object_name)
        place = (kind.name, self._field(kind, field_name).name)
        self.state.restricted.pop(place, None)
        if access != "edit":
            self.state.restricted[place] = access
        self._schema_changes()

    def rename(self, org_id: str) -> None:
        """Become another org with the same records, as after a sandbox refresh: Organization.Id changes."""
        row = self.state.row(self.state.org_id) or {}
        found = full_id(org_id)
        if found is None or not found.startswith("00D"):
            raise ValueError(f"no organization id: {org_id}")
        self.state.tables["Organization"].take(self.state.org_id)
        self.state.put({**row, "Id": found})
        self.state.org_id = found

    # Within

    def _user(self, caller: Caller) -> str:
        return caller.user_id or self.state.admin_id

    def _roll_up(self, kind: ObjectType, summary: Summary) -> None:
        self.state.summaries.append(summary)
        roll_up(self.state, summary, set(self.state.tables[kind.name].rows))

    def _put_field(self, kind: ObjectType, field: Field) -> None:
        kind.put(field)
        self.state.tables[kind.name].add_column(field.name, kind.template[field.name])
        self._schema_changes()

    def _schema_changes(self) -> None:
        self.state.schema.changed()
        self.schema_changed = self.clock.stamp()

    def _field(self, kind: ObjectType, name: str) -> Field:
        field = kind.find(name)
        if field is None:
            raise not_found(f"{kind.name} has no field {name}")
        return field

    def _check_new(self, existing: ObjectType | Field | None) -> None:
        if existing is not None:
            message = f"There is already a field or object named {existing.name}."
            raise Refusal(400, "DUPLICATE_DEVELOPER_NAME", message, ("DeveloperName",))

    @contextmanager
    def _writing(self, caller: Caller) -> Iterator[None]:
        """All or nothing, and in the caller's transaction if it has one."""
        with self._within(caller), self.state.atomic():
            yield

    def _within(self, caller: Caller) -> AbstractContextManager[None]:
        self._catch_up()
        return nullcontext() if caller.transaction is None else self.state.inside(caller.transaction)

    def _one(self, write: Write, caller: Caller) -> Outcome:
        try:
            with self.state.atomic():
                return _VERBS[write.verb](self.state, write, caller)
        except Refusal as refusal:
            return Outcome(False, None, False, (refusal, *refusal.more))

    def _catch_up(self) -> None:
        """What happens by itself as time passes."""
        self.state.commit_due()
        day = self.clock.stamp()[:10]
        if day != self._day:
            self._day = day
            expire_bin(self.state)
            if self.state.switches.archiving:
                archive(self.state)


def _create(state: State, write: Write, caller: Caller) -> Outcome:
    return Outcome(True, create(state, _kind(state, write), write.values, caller), created=True)


def _update(state: State, write: Write, caller: Caller) -> Outcome:
    update(state, _kind(state, write), write.id, write.values, caller)
    return Outcome(True, full_id(write.id))


def _upsert(state: State, write: Write, caller: Caller) -> Outcome:
    record_id, is_new = upsert_values(state, _kind(state, write), write.key, write.values, caller)
    return Outcome(True, record_id, created=is_new)


def _delete(state: State, write: Write, caller: Caller) -> Outcome:
    kind = state.schema.get(write.object) if write.object else state.schema.kind_of_id(write.id)
    if kind is None:
        raise Refusal(400, "MALFORMED_ID", f"malformed id {write.id}", ())
    delete(state, kind, write.id, caller)
    return Outcome(True, full_id(write.id))


def _hard_delete(state: State, write: Write, caller: Caller) -> Outcome:
    hard_delete(state, [write.id])
    return Outcome(True, full_id(write.id))


def _undelete(state: State, write: Write, caller: Caller) -> Outcome:
    undelete(state, write.id, caller)
    return Outcome(True, full_id(write.id))


def _kind(state: State, write: Write) -> ObjectType:
    kind = state.schema.find(write.object)
    if kind is None:
        raise Refusal(400, "INVALID_TYPE", f"sObject type '{write.object}' is not supported.", ())
    return kind


_VERBS: dict[str, Callable[[State, Write, Caller], Outcome]] = {
    "create": _create,
    "update": _update,
    "upsert": _upsert,
    "delete": _delete,
    "hard_delete": _hard_delete,
    "undelete": _undelete,
}
