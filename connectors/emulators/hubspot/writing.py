"""Changing records. What arrives here has been judged; this is where it takes effect."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from connectors.emulators.hubspot.catalog import COMPANIES, CONTACTS, PRIMARY_COMPANY, ObjectType, object_type
from connectors.emulators.hubspot.checking import moves_backward
from connectors.emulators.hubspot.clock import iso, parse_ms
from connectors.emulators.hubspot.defaults import stage_date_names
from connectors.emulators.hubspot.links import End
from connectors.emulators.hubspot.portal import Portal
from connectors.emulators.hubspot.records import Record, Source, Version

ACTIVITIES_THAT_CONTACT = frozenset({"calls", "emails", "meetings", "communications"})
ACTIVITIES = ACTIVITIES_THAT_CONTACT | {"notes"}
ENGAGEMENTS = ACTIVITIES | {"tasks"}
CALCULATED = Source("CALCULATED")


def create(portal: Portal, kind: ObjectType, clean: Mapping[str, str], source: Source) -> Record:
    """A new record; HubSpot adds what it fills in by itself."""
    now_ms, record_id = portal.clock.now_ms(), portal.new_id(kind)
    values = {name: value for name, value in clean.items() if value}
    if kind is CONTACTS:
        values = _born(portal, record_id) | values
    values |= {
        "hs_object_source": source.type,
        "hs_object_source_id": source.id or "",
        "hs_object_source_label": source.label or source.type,
    } if "hs_object_source" in portal.schema(kind).properties else {}  # fmt: skip
    values |= _derived(kind, {}, values, now_ms) | _stamps(kind, record_id, now_ms, now_ms)
    if clean.get(kind.created_property):
        values[kind.created_property] = clean[kind.created_property]
    record = Record(record_id, values, now_ms, now_ms, source)
    portal.shelf(kind).put(record, portal.visible_ms(now_ms))
    portal.webhooks.created(kind, record)
    return record


def update(portal: Portal, kind: ObjectType, record: Record, clean: Mapping[str, str], source: Source) -> Record:
    """The record after a write. A stage set backward through the API is dropped without a word (see Manners)."""
    wanted = dict(clean)
    if source.type == "INTEGRATION" and moves_backward(portal, record, clean):
        del wanted["lifecyclestage"]
    changed = {name: value for name, value in wanted.items() if record.values.get(name, "") != value}
    if not changed and not (wanted and portal.manners.touch_on_same_value):
        return record
    now_ms = portal.clock.now_ms()
    changed |= _derived(kind, record.values, changed, now_ms)
    changed[kind.modified_property] = iso(now_ms)
    after = replace(_with(record, changed, source, now_ms), modified_ms=now_ms)
    portal.shelf(kind).put(after, portal.visible_ms(now_ms))
    portal.webhooks.changed(kind, record, after)
    return after


def recalculate(portal: Portal, kind: ObjectType, record: Record, values: Mapping[str, str]) -> Record:
    """HubSpot itself sets properties. The modified time moves unless all of them are calculated ones."""
    now_ms, changed, defined = portal.clock.now_ms(), dict(values), portal.schema(kind).properties
    touches = any(name not in defined or not defined[name].calculated for name in values)
    if touches:
        changed[kind.modified_property] = iso(now_ms)
    after = _with(record, changed, CALCULATED, now_ms)
    after = replace(after, modified_ms=now_ms) if touches else after
    portal.shelf(kind).put(after, portal.visible_ms(now_ms))
    portal.webhooks.changed(kind, record, after)
    return after


def archive(portal: Portal, kind: ObjectType, record_id: int) -> None:
    """Move a record to the recycle bin; nothing happens when there is none."""
    shelf, now_ms = portal.shelf(kind), portal.clock.now_ms()
    record = shelf.take(shelf.resolve(record_id), portal.visible_ms(now_ms))
    if record is not None:
        shelf.archived.put(replace(record, archived_ms=now_ms))
        portal.webhooks.deleted(kind, record)
        settle_companies(portal, kind, record.id)


def restore(portal: Portal, kind: ObjectType, record_id: int) -> Record | None:
    """Bring a record back from the recycle bin; None when it is not there."""
    shelf, now_ms = portal.shelf(kind), portal.clock.now_ms()
    shelf.archived.expire(now_ms)
    record = shelf.archived.take(record_id)
    if record is None:
        return None
    values = {**record.values, kind.modified_property: iso(now_ms)}
    back = replace(record, archived_ms=None, modified_ms=now_ms, values=values)
    shelf.put(back, portal.visible_ms(now_ms))
    portal.webhooks.restored(kind, back)
    settle_companies(portal, kind, record_id)
    return shelf.live[record_id]


def erase(portal: Portal, kind: ObjectType, record_id: int) -> None:
    """Remove a record and every trace of it, as the law demands: from both lists, ties, forms, e-mail and events."""
    shelf, now_ms = portal.shelf(kind), portal.clock.now_ms()
    living = shelf.resolve(record_id)
    record = shelf.take(living, portal.visible_ms(now_ms)) or shelf.archived.take(living)
    shelf.merged_into = {old: new for old, new in shelf.merged_into.items() if new != living}
    settled = _contacts_at(portal, kind, living)
    portal.links.forget((kind.plural, living))
    portal.occurrences.forget((kind.plural, living))
    portal.webhooks.erased(kind, living, record)
    for each in settled:
        settle_company(portal, each)
    if kind is CONTACTS and record is not None:
        _erase_conduct(portal, record)


def _erase_conduct(portal: Portal, contact: Record) -> None:
    addresses = {contact.values.get("email", ""), *contact.values.get("hs_additional_emails", "").split(";")} - {""}
    portal.mailings.forget(addresses)
    for form in portal.forms.values():
        form.submissions.drop(lambda each: each.contact_id == contact.id)


def settle_company(portal: Portal, contact_id: int) -> None:
    """Bring a contact's `associatedcompanyid` in line with its tie to the primary company."""
    contact = portal.shelves["contacts"].live.get(contact_id)
    if contact is None:
        return
    ties = portal.ties(("contacts", contact_id), "companies")
    primary = next((str(each) for each, types in ties.items() if PRIMARY_COMPANY in types), "")
    if contact.values.get("associatedcompanyid", "") != primary:
        recalculate(portal, CONTACTS, contact, {"associatedcompanyid": primary})


def settle_companies(portal: Portal, kind: ObjectType, record_id: int) -> None:
    """A record came or went: contacts may have got or lost their primary company."""
    for each in [record_id] if kind is CONTACTS else _contacts_at(portal, kind, record_id):
        settle_company(portal, each)


def _contacts_at(portal: Portal, kind: ObjectType, company_id: int) -> list[int]:
    return list(portal.links.of(("companies", company_id), "contacts")) if kind is COMPANIES else []


def tie_changed(portal: Portal, ends: tuple[End, End]) -> None:
    """An activity was tied to something or untied, which may count as a change of the activity (see Manners)."""
    for kind_name, record_id in ends if portal.manners.ties_touch else ():
        kind, record = object_type(kind_name), portal.shelves[kind_name].live.get(record_id)
        if kind is not None and record is not None and kind_name in ENGAGEMENTS:
            touch(portal, kind, record)


def touch(portal: Portal, kind: ObjectType, record: Record) -> Record:
    """Move a record's modified time and nothing else."""
    now_ms = portal.clock.now_ms()
    after = replace(_with(record, {kind.modified_property: iso(now_ms)}, CALCULATED, now_ms), modified_ms=now_ms)
    portal.shelf(kind).put(after, portal.visible_ms(now_ms))
    return after


def note_activity(portal: Portal, ends: tuple[End, End]) -> None:
    """An activity was tied to a contact: HubSpot counts it on the contact, which thereby is modified."""
    for (here, activity_id), (there, contact_id) in (ends, ends[::-1]):
        if not portal.manners.activity_counters or here not in ACTIVITIES or there != "contacts":
            continue
        contact = portal.shelves["contacts"].find(contact_id)
        activity = portal.shelves[here].find(activity_id)
        if contact is not None and activity is not None:
            recalculate(portal, CONTACTS, contact, _counted(contact, activity, here))


def _counted(contact: Record, activity: Record, kind: str) -> dict[str, str]:
    at = max(activity.values.get("hs_timestamp", ""), contact.values.get("notes_last_updated", ""))
    counted = {"notes_last_updated": at, "num_notes": _plus_one(contact, "num_notes")}
    if kind in ACTIVITIES_THAT_CONTACT:
        counted["notes_last_contacted"] = at
        counted["num_contacted_notes"] = _plus_one(contact, "num_contacted_notes")
    return counted


def _plus_one(contact: Record, name: str) -> str:
    return str(int(contact.values.get(name, "0")) + 1)


def load(portal: Portal, kind_name: str, rows: Iterable[Mapping[str, Any]]) -> list[int]:
    """Put many records there at once, unjudged and in search at once, and return their ids.

    A row is {"id"?, "properties": {...}, "createdAt"?, "updatedAt"?, "archived"?, "archivedAt"?}; times are ISO or
    milliseconds and default to now; nothing is filled in but the stamps.
    """
    kind = object_type(kind_name)
    if kind is None:
        raise ValueError(f"no kind of object is called {kind_name!r}")
    records: list[Record] = []
    archived: list[Record] = []
    for row in rows:
        record = _loaded(portal, kind, row)
        if row.get("archived") or row.get("archivedAt"):
            at_ms = parse_ms(str(row.get("archivedAt") or portal.clock.now_ms()))
            archived.append(replace(record, archived_ms=at_ms))
        else:
            records.append(record)
    shelf = portal.shelf(kind)
    shelf.load(records)
    shelf.archived.load(archived)
    return [record.id for record in (*records, *archived)]


def _loaded(portal: Portal, kind: ObjectType, row: Mapping[str, Any]) -> Record:
    now = portal.clock.now_ms()
    values = {
        name: str(value) for name, value in row.get("properties", {}).items() if value is not None and value != ""
    }
    created_ms = parse_ms(str(row.get("createdAt") or values.get(kind.created_property) or now))
    modified_ms = parse_ms(str(row.get("updatedAt") or values.get(kind.modified_property) or created_ms))
    record_id = int(row["id"]) if row.get("id") else portal.new_id(kind)
    values |= _stamps(kind, record_id, created_ms, modified_ms)
    return Record(record_id, values, created_ms, modified_ms, Source("IMPORT"))


def _stamps(kind: ObjectType, record_id: int, created_ms: int, modified_ms: int) -> dict[str, str]:
    return {
        "hs_object_id": str(record_id),
        kind.created_property: iso(created_ms),
        kind.modified_property: iso(modified_ms),
    }


def _born(portal: Portal, record_id: int) -> dict[str, str]:
    stage = portal.manners.default_lifecyclestage
    return {
        "hs_all_contact_vids": str(record_id),
        "hs_associated_target_accounts": "0",
        "hs_is_contact": "true",
        "hs_is_unworked": "true",
        "hs_pipeline": "contacts-lifecycle-pipeline",
        "hs_sequences_actively_enrolled_count": "0",
        "num_notes": "0",
    } | ({"lifecyclestage": stage} if stage else {})


def _derived(kind: ObjectType, before: Mapping[str, str], changed: Mapping[str, str], now_ms: int) -> dict[str, str]:
    if kind is not CONTACTS:
        return {}
    found: dict[str, str] = {}
    if "email" in changed:
        found["hs_email_domain"] = changed["email"].partition("@")[2]
    if {"email", "firstname", "lastname"} & changed.keys():
        after = {**before, **changed}
        name = f"{after.get('firstname', '')} {after.get('lastname', '')}".strip()
        found["hs_full_name_or_email"] = name or after.get("email", "")
    if changed.get("lifecyclestage"):
        found |= dict.fromkeys(stage_date_names(changed["lifecyclestage"]), iso(now_ms))
    if changed.get("hubspot_owner_id"):
        found["hubspot_owner_assigneddate"] = iso(now_ms)
    return found


def _with(record: Record, changed: Mapping[str, str], source: Source, now_ms: int) -> Record:
    history = dict(record.history)
    for name, value in changed.items():
        if record.values.get(name, "") != value:
            history[name] = (Version(value, now_ms, source), *record.versions(name))
    values = {name: value for name, value in {**record.values, **changed}.items() if value}
    return replace(record, values=values, history=history)
