"""Owners, pipelines, and what the account says about itself and its limits."""

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from connectors.emulators.hubspot.answers import Answer, Json, invalid, not_found
from connectors.emulators.hubspot.catalog import CONTACTS, OBJECT_TYPES
from connectors.emulators.hubspot.clock import iso
from connectors.emulators.hubspot.directory import Owner, deal_pipeline, lifecycle_pipeline
from connectors.emulators.hubspot.operations import Call, Operation, no_scopes, record_id
from connectors.emulators.hubspot.routes.properties import MAX_CUSTOM_PROPERTIES
from connectors.emulators.hubspot.routes.properties import reading as reading_schema

MAX_OWNERS = 500


def _owners_scope(call: Call) -> tuple[str, ...]:
    return ("crm.objects.owners.read",)


def _list_owners(call: Call) -> Answer:
    limit, after = call.number("limit", 100, MAX_OWNERS), record_id(call.word("after", "0"))
    if after is None:
        raise invalid("after is not a valid paging cursor")
    archived, email = call.flag("archived"), call.word("email").lower()
    ids = [
        each.id
        for each in sorted(call.portal.owners.values(), key=lambda owner: owner.id)
        if each.archived is archived and each.id > after and (not email or each.email.lower() == email)
    ]
    body: Json = {"results": [call.portal.owners[each].shown() for each in ids[:limit]]}
    if len(ids) > limit:
        cursor = str(ids[limit - 1])
        body["paging"] = {"next": {"after": cursor, "link": f"{call.base_url}?limit={limit}&after={cursor}"}}
    return Answer(200, body)


def _read_owner(call: Call) -> Answer:
    wanted, archived = record_id(call.path["id"]), call.flag("archived")
    for owner in call.portal.owners.values():
        if owner.archived is archived and _owner_key(owner, call.word("idProperty", "id")) == wanted:
            return Answer(200, owner.shown())
    raise not_found()


def _owner_key(owner: Owner, name: str) -> int:
    if name not in ("id", "userId"):
        raise invalid("idProperty must be id or userId")
    return owner.user_id if name == "userId" else owner.id


def _pipelines(call: Call) -> list[Json]:
    if call.kind is CONTACTS:
        return [lifecycle_pipeline(call.portal.manners.stages)]
    return [deal_pipeline()] if call.kind.plural == "deals" else []


def _list_pipelines(call: Call) -> Answer:
    return Answer(200, {"results": _pipelines(call)})


def _pick(shown: Sequence[Json], wanted: str) -> Json:
    for each in shown:
        if each["id"] == wanted:
            return each
    raise not_found()


def _read_pipeline(call: Call) -> Answer:
    return Answer(200, _pick(_pipelines(call), call.path["pipelineId"]))


def _list_stages(call: Call) -> Answer:
    return Answer(200, {"results": _pick(_pipelines(call), call.path["pipelineId"])["stages"]})


def _read_stage(call: Call) -> Answer:
    return Answer(200, _pick(_pick(_pipelines(call), call.path["pipelineId"])["stages"], call.path["stageId"]))


def _details(call: Call) -> Answer:
    manners = call.portal.manners
    now = datetime.fromtimestamp(call.portal.clock.now_ms() / 1000, ZoneInfo(manners.time_zone))
    offset_s = int((now.utcoffset() or now - now).total_seconds())
    sign, minutes = "-" if offset_s < 0 else "+", abs(offset_s) // 60
    return Answer(
        200,
        {
            "portalId": manners.portal_id,
            "accountType": "STANDARD",
            "timeZone": manners.time_zone,
            "companyCurrency": "USD",
            "additionalCurrencies": [],
            "utcOffset": f"{sign}{minutes // 60:02d}:{minutes % 60:02d}",
            "utcOffsetMilliseconds": offset_s * 1000,
            "uiDomain": "app.hubspot.com",
            "dataHostingLocation": "na1",
        },
    )


def _usage(call: Call) -> Answer:
    windows, now_ms = call.portal.windows, call.portal.clock.now_ms()
    shown = {
        "name": "private-apps-api-calls-daily",
        "usageLimit": windows.limits.daily if windows.limits else 0,
        "currentUsage": windows.used_today,
        "collectedAt": iso(now_ms),
        "fetchStatus": "SUCCESS",
        "resetsAt": iso(windows.next_midnight_ms(now_ms)),
    }
    return Answer(200, {"results": [shown]})


def _custom_properties(call: Call) -> Answer:
    by_type = []
    for kind in OBJECT_TYPES:
        usage = sum(not each.hubspot_defined for each in call.portal.schema(kind).properties.values())
        by_type.append(
            {
                "objectTypeId": kind.type_id,
                "singularLabel": kind.singular.capitalize(),
                "pluralLabel": kind.plural.capitalize(),
                "limit": MAX_CUSTOM_PROPERTIES,
                "usage": usage,
                "percentage": 100 * usage / MAX_CUSTOM_PROPERTIES,
            }
        )
    return Answer(200, {"byObjectType": by_type})


OPERATIONS = (
    Operation("GET", "/owners", _list_owners, "read", _owners_scope),
    Operation("GET", "/owners/{id}", _read_owner, "read", _owners_scope),
    Operation("GET", "/pipelines/{objectType}", _list_pipelines, "read", reading_schema),
    Operation("GET", "/pipelines/{objectType}/{pipelineId}", _read_pipeline, "read", reading_schema),
    Operation("GET", "/pipelines/{objectType}/{pipelineId}/stages", _list_stages, "read", reading_schema),
    Operation("GET", "/pipelines/{objectType}/{pipelineId}/stages/{stageId}", _read_stage, "read", reading_schema),
    Operation("GET", "/account-info/details", _details, "read", no_scopes),
    Operation("GET", "/account-info/api-usage/daily", _usage, "read", no_scopes),
    Operation("GET", "/account-info/api-usage/daily/private-apps", _usage, "read", no_scopes),
    Operation("GET", "/limits/custom-properties", _custom_properties, "read", no_scopes),
)
