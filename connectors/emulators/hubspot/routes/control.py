"""The control plane under /_emulator: what people, HubSpot itself or a test do to the portal. No token, no limits."""

from collections.abc import Callable, Mapping
from typing import Any

from connectors.emulators.hubspot import companies, writing
from connectors.emulators.hubspot.answers import Answer, Json, Refusal, invalid, not_found
from connectors.emulators.hubspot.catalog import ObjectType
from connectors.emulators.hubspot.checking import checked, refuse_problems
from connectors.emulators.hubspot.definitions import Group, parse_property
from connectors.emulators.hubspot.directory import Owner
from connectors.emulators.hubspot.faults import Chaos, parse_fault, weighed
from connectors.emulators.hubspot.operations import record_id
from connectors.emulators.hubspot.portal import Portal, Requirement, known_type
from connectors.emulators.hubspot.records import Record, Source
from connectors.emulators.hubspot.routes.visitors import CONTROLS as VISITORS
from connectors.emulators.hubspot.routes.visitors import load_conduct
from connectors.emulators.hubspot.tokens import Token
from connectors.emulators.hubspot.views import shown, view
from connectors.emulators.hubspot.webhooks import parse_subscriber


def _target(portal: Portal, body: Json) -> tuple[ObjectType, Record]:
    kind = known_type(str(body.get("objectType", "contacts")))
    found = portal.shelf(kind).find(record_id(body.get("id")) or -1)
    if found is None:
        raise not_found(f"no {kind.singular} has the id {body.get('id')}")
    return kind, found


def _whole(portal: Portal, kind: ObjectType, record: Record) -> Json:
    return shown(record, view(portal, kind, tuple(record.values)))


def _calls(portal: Portal, body: Json) -> Json:
    return portal.calls.shown() | portal.windows.shown()


def _reset_calls(portal: Portal, body: Json) -> Json:
    portal.calls.reset()
    portal.windows.reset()
    return {}


def _edit(portal: Portal, body: Json) -> Json:
    """{"objectType", "id", "properties", "userId"}: a person edits in the app, where any stage may be chosen."""
    kind, record = _target(portal, body)
    clean, problems = checked(portal, kind, body.get("properties"))
    refuse_problems(problems)
    user_id = int(body.get("userId", 9586504))
    after = writing.update(portal, kind, record, clean, Source("CRM_UI", f"userId:{user_id}", None, user_id))
    return _whole(portal, kind, after)


def _calculate(portal: Portal, body: Json) -> Json:
    """{"objectType", "id", "properties"}: HubSpot sets any property itself, read-only ones too; answers the record.
    Of many: {"objectType", "records": {id: properties}}; answers {"records": how many}."""
    if "records" in body:
        for identity, values in body["records"].items():
            _calculate_one(portal, {**body, "id": identity, "properties": values})
        return {"records": len(body["records"])}
    return _whole(portal, *_calculate_one(portal, body))


def _calculate_one(portal: Portal, body: Json) -> tuple[ObjectType, Record]:
    kind, record = _target(portal, body)
    values = {name: str(value) for name, value in body.get("properties", {}).items()}
    return kind, writing.recalculate(portal, kind, record, values)


def _clock(portal: Portal, body: Json) -> Json:
    """{"advance_s"?, "frozen"?}: let time pass, or only when told to from now on; answers {"now_ms"}."""
    if "frozen" in body:
        (portal.clock.freeze if body["frozen"] else portal.clock.thaw)()
    portal.clock.advance(float(body.get("advance_s", 0)))
    return {"now_ms": portal.clock.now_ms()}


def _load(portal: Portal, body: Json) -> Json:
    """{"properties"?, "owners"?, "objects"?, "associations"?, ...}: fill the portal at once; {"ids": {kind: [...]}}.

    properties: {kind: [a create's body, ...]}, groups are made as needed. owners: [Owner's fields]. objects: see
    writing.load. associations: [{"from": kind, "to": kind, "typeId": number, "pairs": [[id, id], ...]}]. forms,
    emailEvents, events, leadScores: see visitors.load_conduct. library: see Library.load.
    """
    for name, definitions in body.get("properties", {}).items():
        _load_properties(portal, known_type(name), definitions)
    for each in body.get("owners", ()):
        portal.owners[int(each["id"])] = Owner(**{**each, "id": int(each["id"])})
    ids = {name: writing.load(portal, name, rows) for name, rows in body.get("objects", {}).items()}
    for each in body.get("associations", ()):
        here, there = known_type(each["from"]).plural, known_type(each["to"]).plural
        pairs = [(int(one), int(other)) for one, other in each["pairs"]]
        portal.links.load(here, there, pairs, int(each["typeId"]))
        if {here, there} == {"contacts", "companies"}:
            companies.loaded(portal, (pair[here != "contacts"] for pair in pairs))
    load_conduct(portal, body)
    try:
        portal.library.load(body.get("library", {}), portal.clock.now_ms())
    except ValueError as error:
        raise invalid(str(error)) from error
    return {"ids": {name: [str(each) for each in found] for name, found in ids.items()}}


def _load_properties(portal: Portal, kind: ObjectType, definitions: list[Json]) -> None:
    schema = portal.schema(kind)
    for raw in definitions:
        made = parse_property(raw, portal.clock.now_ms(), "0")
        schema.groups.setdefault(made.group, Group(made.group, made.group, len(schema.groups)))
        schema.properties[made.name] = made
        if made.has_unique_value:
            portal.shelf(kind).make_unique(made.name)


def _restore(portal: Portal, body: Json) -> Json:
    """{"objectType", "id"}: a person takes a record out of the recycle bin."""
    kind = known_type(str(body.get("objectType", "contacts")))
    back = writing.restore(portal, kind, record_id(body.get("id")) or -1)
    if back is None:
        raise not_found(f"no archived {kind.singular} has the id {body.get('id')}")
    return _whole(portal, kind, back)


def _faults(portal: Portal, body: Json) -> Json:
    """{"faults": [Fault's fields, ...]}: switch faults on beside those that are; an empty list switches all off."""
    try:
        made = [parse_fault(each) for each in body.get("faults", ())]
    except (TypeError, ValueError) as error:
        raise invalid(str(error)) from error
    if made:
        portal.faults.add(*made)
    else:
        portal.faults.clear()
    return {}


def _chaos(portal: Portal, body: Json) -> Json:
    """{"share", "seed"?, "kinds"?, "path"?, "hang_s"?, "most_in_a_row"?}: a mix of faults; a share of 0 ends it.

    kinds: [name, ...] or {name: weight}, see faults.MIX.
    """
    try:
        portal.faults.mix(Chaos(**{**body, "kinds": weighed(body.get("kinds"))}))
    except (TypeError, ValueError) as error:
        raise invalid(str(error)) from error
    return {}


def _webhooks(portal: Portal, body: Json) -> Json:
    """{"url", "secret", "subscriptions", fields of Subscriber?}: tell of changes; a url of null ends it."""
    try:
        portal.webhooks.subscribe(parse_subscriber(body))
    except (TypeError, ValueError) as error:
        raise invalid(str(error)) from error
    return {}


def _flush_webhooks(portal: Portal, body: Json) -> Json:
    """Wait until all that is queued was delivered or given up; answers the counts, see Webhooks.flush."""
    return portal.webhooks.flush()


def _manners(portal: Portal, body: Json) -> Json:
    """{Manners' fields}: change the portal's switches. stages: [[name, label], ...]; requirements: [{its fields}]."""
    changes = dict(body)
    try:
        if "stages" in body:
            changes["stages"] = tuple((str(name), str(label)) for name, label in body["stages"])
        if "requirements" in body:
            rules = [{**each, "needs": tuple(each["needs"])} for each in body["requirements"]]
            changes["requirements"] = tuple(Requirement(**each) for each in rules)
        portal.behave(changes)
    except (KeyError, TypeError, ValueError) as error:
        raise invalid(str(error)) from error
    return {}


def _tokens(portal: Portal, body: Json) -> Json:
    """{"add": token, "scopes"?: [...]}, {"revoke": token}, {"expire": true}, or {"closed": true or false}.

    expire: every OAuth access token, now. closed: the account is shut, and refreshes answer BAD_HUB.
    """
    if "revoke" in body:
        portal.doorman.revoke(str(body["revoke"]))
    if body.get("expire"):
        portal.doorman.expire(portal.clock.now_ms())
    if "closed" in body:
        portal.doorman.closed = bool(body["closed"])
    if "add" in body:
        token = Token(str(body["add"]))
        if "scopes" in body:
            token = Token(token.value, frozenset(body["scopes"]))
        portal.doorman.tokens[token.value] = token
    return {}


def _dump(portal: Portal, body: Json) -> Json:
    """{"objectType"}: every live record, for tests that compare end states."""
    kind = known_type(str(body.get("objectType", "contacts")))
    return {"results": [_whole(portal, kind, each) for each in portal.shelf(kind).live.values()]}


Control = Callable[[Portal, Json], Json]
CONTROLS: Mapping[tuple[str, str], Control] = {
    ("GET", "calls"): _calls,
    ("POST", "reset-calls"): _reset_calls,
    ("POST", "edit"): _edit,
    ("POST", "calculate"): _calculate,
    ("POST", "clock"): _clock,
    ("POST", "load"): _load,
    ("POST", "restore"): _restore,
    ("POST", "faults"): _faults,
    ("POST", "chaos"): _chaos,
    ("POST", "webhooks"): _webhooks,
    ("POST", "webhooks-flush"): _flush_webhooks,
    ("POST", "manners"): _manners,
    ("POST", "tokens"): _tokens,
    ("POST", "dump"): _dump,
    **{("POST", name): control for name, control in VISITORS},
}


SLOW_CONTROLS = frozenset({"webhooks-flush"})


def answer_control(portal: Portal, method: str, name: str, body: Any) -> Answer:
    """Run one control; 404 when there is none of that name."""
    control = CONTROLS.get((method, name))
    if control is None:
        return Answer(404, {"message": f"no control {method} {name}; there are {sorted(CONTROLS)}"})
    try:
        return Answer(200, control(portal, body if isinstance(body, dict) else {}))
    except Refusal as refused:
        return refused.answer
