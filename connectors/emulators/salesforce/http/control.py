"""The control plane under /_emulator: what people, Salesforce itself or a test do to the org. No token, no limits."""

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

from connectors.emulators.salesforce.errors import Refusal
from connectors.emulators.salesforce.http.faults import Chaos, parse_fault, weighed
from connectors.emulators.salesforce.http.instance import Instance
from connectors.emulators.salesforce.http.limits import Limits
from connectors.emulators.salesforce.http.oauth import ConnectedApp, Denied, Session
from connectors.emulators.salesforce.http.wire import Answer, refused, status_rows
from connectors.emulators.salesforce.org import Caller, Org, Write

Json = dict[str, Any]
_VERBS = ("create", "update", "upsert", "delete", "undelete")


def _calls(instance: Instance, body: Json) -> Json:
    return instance.calls.shown()


def _log(instance: Instance, body: Json) -> Json:
    return {"calls": list(instance.calls.log)}


def _writes(instance: Instance, body: Json) -> Json:
    return {"writes": list(instance.calls.writes)}


def _reset_calls(instance: Instance, body: Json) -> Json:
    instance.calls.reset()
    return {}


def _clock(instance: Instance, body: Json) -> Json:
    """{"advance_s"?, "frozen"?}: let time pass, or only when told to from now on; answers {"now", "now_ms"}."""
    clock = instance.org.clock
    if "frozen" in body:
        (clock.freeze if body["frozen"] else clock.thaw)()
    clock.advance(float(body.get("advance_s", 0)))
    return {"now": clock.stamp(), "now_ms": int(clock.now_s() * 1000)}


def _load(instance: Instance, body: Json) -> Json:
    """{"objects"?: [definition], "fields"?: {object: [definition]}, "records"?: {object: [row]}} -> {"ids"}.

    See Org.add_object, Org.add_field and Org.load: rows are stored as they are, past every rule.
    """
    org = instance.org
    for definition in body.get("objects", ()):
        org.add_object(definition)
    for name, definitions in body.get("fields", {}).items():
        for definition in definitions:
            org.add_field(name, definition)
    return {"ids": {name: org.load(name, rows) for name, rows in body.get("records", {}).items()}}


def _edit(instance: Instance, body: Json) -> Json:
    """{"verb"?, "object", "id"?, "values"?, "user_id"?, "auto_assign"?, "started_s_ago"?, "commit_after_s"?}: a person
    writes in the app. With "commit_after_s" the write bears the stamp of its start and is seen when that time has
    passed; answers {"id", "success", "errors", "transaction"}. "verb" is update unless told otherwise."""
    verb = body.get("verb", "update")
    if verb not in _VERBS:
        raise ValueError(f"verb must be one of {', '.join(_VERBS)}")
    transaction = None
    if "commit_after_s" in body or "transaction" in body:
        transaction = body.get("transaction") or _begin(instance, body)["transaction"]
    caller = Caller(body.get("user_id", ""), body.get("auto_assign", True), True, transaction)
    name = instance.org.object_name(body["object"])
    write = Write(verb, name, body.get("id", ""), body.get("values", {}), body.get("key", ""))
    outcome = instance.org.save([write], False, caller)[0]
    errors = status_rows(outcome.refusals)
    return {"id": outcome.id, "success": outcome.success, "errors": errors, "transaction": transaction}


def _begin(instance: Instance, body: Json) -> Json:
    """{"started_s_ago"?, "commit_after_s"?} -> {"transaction"}: give it to `edit`."""
    started = datetime.fromtimestamp(instance.now_s - float(body.get("started_s_ago", 0)), UTC)
    return {"transaction": instance.org.begin(started, body.get("commit_after_s"))}


def _end(instance: Instance, body: Json) -> Json:
    """{"commit": transaction} or {"roll_back": transaction} -> {"open": {transaction: start}}"""
    if "commit" in body:
        instance.org.commit(body["commit"])
    if "roll_back" in body:
        instance.org.roll_back(body["roll_back"])
    return {"open": {name: start.isoformat() for name, start in instance.org.open_transactions().items()}}


def _merge(instance: Instance, body: Json) -> Json:
    """{"object", "winner", "losers", "values"?}"""
    instance.org.merge(body["object"], body["winner"], body["losers"], body.get("values"))
    return {}


def _convert(instance: Instance, body: Json) -> Json:
    """{"lead", "options"?} -> see Org.convert"""
    return dict(instance.org.convert(body["lead"], body.get("options", {})))


def _purge(instance: Instance, body: Json) -> Json:
    """{"ids"} hard-deletes these; {"recycle_bin": true} empties it -> {"gone"}"""
    ids = body.get("ids", [])
    instance.org.hard_delete(ids)
    return {"gone": len(ids) + (instance.org.empty_recycle_bin() if body.get("recycle_bin") else 0)}


def _touch(instance: Instance, body: Json) -> Json:
    """{"object", "ids"?}: the platform bumps SystemModstamp, of all without ids -> {"touched"}"""
    return {"touched": instance.org.touch(body["object"], body.get("ids"))}


def _lock(instance: Instance, body: Json) -> Json:
    """{"ids", "seconds"?} locks rows; {"unlock": [ids] or null for all} frees them"""
    if "ids" in body:
        instance.org.lock(body["ids"], body.get("seconds"))
    if "unlock" in body:
        instance.org.unlock(body["unlock"])
    return {}


def _switches(instance: Instance, body: Json) -> Json:
    """{fields of Switches}: what records do. See Org.behave."""
    instance.org.behave(body)
    return {}


def _access(instance: Instance, body: Json) -> Json:
    """{"object", "field", "access": "hidden", "read" or "edit"}, or {"object", "remove": field}"""
    if "remove" in body:
        instance.org.remove_field(body["object"], body["remove"])
    else:
        instance.org.set_access(body["object"], body["field"], body["access"])
    return {}


def _schema(instance: Instance, body: Json) -> Json:
    """{"picklist": "Lead.Status", "values": [value, a star behind the default], "restricted"?}, {"remove": object}:
    as when its feature is switched off"""
    if "remove" in body:
        instance.org.remove_object(body["remove"])
    if "picklist" in body:
        name, _, field = body["picklist"].partition(".")
        instance.org.set_picklist(name, field, body["values"], bool(body.get("restricted", False)))
    return {}


def _sharing(instance: Instance, body: Json) -> Json:
    """{"hide": [ids]} from everybody who calls; {"share": [ids] or null for all} with them again"""
    if "hide" in body:
        instance.org.hide(body["hide"])
    if "share" in body:
        instance.org.share(body["share"])
    return {}


def _manners(instance: Instance, body: Json) -> Json:
    """{fields of Manners}: what the API does."""
    instance.behave(body)
    return {}


def _limits(instance: Instance, body: Json) -> Json:
    """{fields of Limits, "used"?} or {"off": true} -> {"used", "under_way"}.

    "used" are the API requests of the last 24 hours, "under_way" those that wait for their answer.
    """
    usage = instance.usage
    if body.get("off"):
        usage.limits = None
    changes = {name: value for name, value in body.items() if name in {each.name for each in fields(Limits)}}
    unknown = set(body) - set(changes) - {"used", "off"}
    if unknown:
        raise ValueError(f"unknown limits: {sorted(unknown)}")
    if changes:
        usage.limits = replace(usage.limits or Limits(), **changes)
    if "used" in body:
        usage.requests.add(instance.now_s, int(body["used"]) - usage.requests.used(instance.now_s))
    return {"used": usage.requests.used(instance.now_s), "under_way": usage.under_way}


def _faults(instance: Instance, body: Json) -> Json:
    """{"faults": [Fault's fields, ...]}: switch faults on beside those that are; an empty list switches all off."""
    made = [parse_fault(each) for each in body.get("faults", ())]
    if made:
        instance.faults.add(*made)
    else:
        instance.faults.clear()
    return {}


def _chaos(instance: Instance, body: Json) -> Json:
    """{"share", "seed"?, "kinds"?, "path"?, "hang_s"?, "most_in_a_row"?}: a mix of faults; a share of 0 ends it.

    kinds: [name, ...] or {name: weight}, see faults.MIX.
    """
    instance.faults.mix(Chaos(**{**body, "kinds": weighed(body.get("kinds"))}))
    return {}


def _tokens(instance: Instance, body: Json) -> Json:
    """{"add": token, "user_id"?}, {"revoke": token}, {"expire": true} every session that a login opened,
    {"app": ConnectedApp's fields}, {"password": {username: password}}, {"refuse": {"error", "description", "status"?}}
    every grant (null: no more)."""
    doorman = instance.doorman
    if "add" in body:
        token = str(body["add"])
        doorman.sessions[token] = Session(token, body.get("user_id", instance.org.admin_id))
    if "revoke" in body:
        doorman.sessions.pop(str(body["revoke"]), None)
    if body.get("expire"):
        doorman.expire()
    if "app" in body:
        doorman.install(ConnectedApp(**body["app"]))
    doorman.passwords.update(body.get("password", {}))
    if "refuse" in body:
        told = body["refuse"]
        doorman.refused_with = Denied(told["error"], told["description"], told.get("status", 400)) if told else None
    return {"sessions": len(doorman.sessions)}


def _cursors(instance: Instance, body: Json) -> Json:
    """Every query locator dies -> {"forgotten"}"""
    return {"forgotten": instance.cursors.forget()}


def _dump(instance: Instance, body: Json) -> Json:
    """{"object", "all_rows"?, "fields"?} -> {"results"}: every record, with every field that can be seen."""
    name = instance.org.object_name(body["object"])
    described: Any = instance.org.describe(name)["fields"]
    names = body.get("fields") or [each["name"] for each in described if each["type"] not in ("address", "location")]
    found = instance.org.query(f"SELECT {', '.join(names)} FROM {name}", all_rows=bool(body.get("all_rows")))
    rows = found.page(0, found.total_size)
    return {"results": [{key: value for key, value in row.items() if key != "attributes"} for row in rows]}


def _org(instance: Instance, body: Json) -> Json:
    """{"org_id"?}: which org this is; another id is a refreshed sandbox -> {"org_id", "admin_id", "username"}"""
    org: Org = instance.org
    if "org_id" in body:
        org.rename(str(body["org_id"]))
    return {"org_id": org.org_id, "admin_id": org.admin_id, "username": instance.username(org.admin_id)}


Control = Callable[[Instance, Json], Json]
CONTROLS: Mapping[tuple[str, str], Control] = {
    ("GET", "calls"): _calls,
    ("GET", "log"): _log,
    ("GET", "writes"): _writes,
    ("GET", "org"): _org,
    **{
        ("POST", name): control
        for name, control in {
            "access": _access, "begin": _begin, "chaos": _chaos, "clock": _clock, "convert": _convert,
            "cursors": _cursors, "dump": _dump, "edit": _edit, "end": _end, "faults": _faults, "limits": _limits,
            "load": _load, "lock": _lock, "manners": _manners, "merge": _merge, "org": _org, "purge": _purge,
            "reset-calls": _reset_calls, "schema": _schema, "sharing": _sharing, "switches": _switches,
            "tokens": _tokens, "touch": _touch,
        }.items()
    },
}  # fmt: skip


def answer_control(instance: Instance, method: str, name: str, body: Any) -> Answer:
    """Run one control; 404 when there is none of that name, 400 for what it cannot make sense of."""
    control = CONTROLS.get((method, name))
    if control is None:
        return Answer(404, {"message": f"no control {method} {name}; there are {sorted(CONTROLS)}"})
    try:
        return Answer(200, control(instance, body if isinstance(body, dict) else {}))
    except Refusal as refusal:
        return refused(refusal)
    except (KeyError, TypeError, ValueError) as error:
        return Answer(400, {"message": f"{name}: {type(error).__name__}: {error}"})
