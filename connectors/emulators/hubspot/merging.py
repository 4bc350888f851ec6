"""Merging two records into one, which gets an id of its own while the old ids keep leading to it."""

from connectors.emulators.hubspot import companies
from connectors.emulators.hubspot.catalog import CONTACTS, ObjectType
from connectors.emulators.hubspot.clock import iso
from connectors.emulators.hubspot.portal import Portal
from connectors.emulators.hubspot.records import Record, Source


def merge(portal: Portal, kind: ObjectType, primary: Record, other: Record) -> Record:
    """The merged record: the primary's values, filled up from the other; the farther lifecycle stage; ties of both."""
    shelf, now_ms = portal.shelf(kind), portal.clock.now_ms()
    visible_ms = portal.visible_ms(now_ms)
    keeps = portal.manners.merge_keeps_primary_id
    merged_id = primary.id if keeps else portal.new_id(kind)
    values = _merged_values(portal, kind, primary, other, merged_id)
    for old in (primary, other):
        shelf.take(old.id, visible_ms)
        if old.id != merged_id:
            shelf.merged_into[old.id] = merged_id
            portal.links.move((kind.plural, old.id), (kind.plural, merged_id))
            portal.occurrences.move((kind.plural, old.id), (kind.plural, merged_id))
    merged = Record(
        merged_id, values, min(primary.created_ms, other.created_ms), now_ms,
        Source("MERGE_OBJECTS", f"{primary.id}:{other.id}"), primary.history,
    )  # fmt: skip
    shelf.put(merged, visible_ms)
    portal.webhooks.merged(kind, primary, other, merged)
    companies.merged(portal, kind, merged_id)
    return shelf.live[merged_id]


def _merged_values(portal: Portal, kind: ObjectType, primary: Record, other: Record, merged_id: int) -> dict[str, str]:
    now = iso(portal.clock.now_ms())
    values = {**other.values, **primary.values}
    absorbed = (
        _absorbed(primary) + _absorbed(other) + [str(each.id) for each in (primary, other) if each.id != merged_id]
    )
    values |= {
        "hs_object_id": str(merged_id),
        "hs_merged_object_ids": ";".join(dict.fromkeys(absorbed)),
        kind.created_property: iso(min(primary.created_ms, other.created_ms)),
        kind.modified_property: now,
    }
    if kind is CONTACTS:
        values |= _contact_values(portal, primary, other, [str(merged_id), *absorbed])
    return values


def _absorbed(record: Record) -> list[str]:
    return [each for each in record.values.get("hs_merged_object_ids", "").split(";") if each]


def _contact_values(portal: Portal, primary: Record, other: Record, vids: list[str]) -> dict[str, str]:
    now_ms = portal.clock.now_ms()
    found = {
        "hs_all_contact_vids": ";".join(dict.fromkeys(vids)),
        "hs_calculated_merged_vids": ";".join(f"{vid}:{now_ms}" for vid in dict.fromkeys(vids[1:])),
    }
    order = [stage for stage, _ in portal.manners.stages]
    stages = [each.values.get("lifecyclestage", "") for each in (primary, other)]
    known = [stage for stage in stages if stage in order]
    if known:
        found["lifecyclestage"] = max(known, key=order.index)
    emails = [each.values.get("hs_additional_emails", "") for each in (primary, other)]
    if primary.values.get("email") and other.values.get("email"):
        emails.append(other.values["email"])
    if any(emails):
        found["hs_additional_emails"] = ";".join(each for each in emails if each)
    return found
