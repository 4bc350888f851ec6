"""What there is: versions, resources, describes, allowances, recent items."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from connectors.emulators.salesforce.errors import Refusal
from connectors.emulators.salesforce.http.records import create
from connectors.emulators.salesforce.http.rest import Call, Operation, http_date
from connectors.emulators.salesforce.http.wire import Answer

_SEASONS = ("Summer", "Winter", "Spring")  # of version 31 and those after it
_SERVED = (
    "composite", "jobs", "limits", "parameterizedSearch", "query", "queryAll", "recent", "search", "sobjects", "tabs",
    "theme", "tooling",
)  # fmt: skip


def versions(oldest: int, newest: int) -> list[dict[str, str]]:
    """The list at /services/data."""
    return [
        {"label": _label(each), "url": f"/services/data/v{each}.0", "version": f"{each}.0"}
        for each in range(oldest, newest + 1)
    ]


def _label(version: int) -> str:
    return f"{_SEASONS[(version - 31) % 3]} '{14 + (version - 29) // 3:02d}"


def _resources(call: Call) -> Answer:
    shown = {name: f"{call.root}/{name}" for name in _SERVED}
    shown["identity"] = f"{call.base_url}/id/{call.org.org_id}/{call.session.user_id}"
    return Answer(200, shown)


def _global(call: Call) -> Answer:
    return _unless_unchanged(call, call.org.describe_global(call.version, call.caller))


def _describe(call: Call) -> Answer:
    name = call.org.object_name(call.path["object"])
    return _unless_unchanged(call, call.org.describe(name, call.version, call.caller))


def _unless_unchanged(call: Call, body: Mapping[str, Any]) -> Answer:
    """The describe with its ETag and Last-Modified, or 304 for a caller that has it already."""
    changed = datetime.fromisoformat(call.org.schema_changed).astimezone(UTC)
    tag = f'"{int(changed.timestamp()):x}{len(body.get("fields", body.get("sobjects", ()))):x}"'
    headers = {"etag": f'{tag[:-1]}--gzip"', "last-modified": format_datetime(changed, usegmt=True)}
    known = call.headers.get("if-none-match", "")
    if known:
        same = headers["etag"] in known or tag in known
    else:
        since = call.headers.get("if-modified-since")
        same = since is not None and changed.replace(microsecond=0) <= http_date(since)
    return Answer(304, None, headers) if same else Answer(200, body, headers)


def _basic(call: Call) -> Answer:
    name = call.org.object_name(call.path["object"])
    recent = _items(call, [each for each in call.instance.viewed if each[0] == name])
    return Answer(200, {"objectDescribe": call.org.describe_brief(name, call.version), "recentItems": recent})


def _recent(call: Call) -> Answer:
    limit = call.word("limit", "200")
    if not limit.isdigit():
        raise Refusal(400, "INVALID_QUERY_VALUE", f"limit must be a number: {limit}")
    return Answer(200, _items(call, list(call.instance.viewed))[: int(limit)])


def _items(call: Call, viewed: list[tuple[str, str]]) -> list[Any]:
    """Those that still are: {"attributes", "Id", "Name"}; objects without a name show their id alone."""
    shown = []
    for name, record_id in viewed:
        described: Any = call.org.describe(name, call.version, call.caller)["fields"]
        fields = ["Id", *(each["name"] for each in described if each["name"] == "Name")]
        quoted = ", ".join(fields)
        found = call.org.query(f"SELECT {quoted} FROM {name} WHERE Id = '{record_id}'", caller=call.caller)
        shown.extend(found.page(0, 1))
    return shown


def _limits(call: Call) -> Answer:
    return Answer(200, call.instance.usage.resource(call.now_s))


def _counts(call: Call) -> Answer:
    names = [call.org.object_name(each) for each in call.words("sObjects")]
    counted = [(each, call.org.query(f"SELECT COUNT() FROM {each}").total_size) for each in names]
    return Answer(200, {"sObjects": [{"count": count, "name": name} for name, count in counted]})


def _tabs(call: Call) -> Answer:
    return Answer(200, [])


def _theme(call: Call) -> Answer:
    return Answer(200, {"themeItems": []})


OPERATIONS = (
    Operation("/", {"GET": _resources}),
    Operation("/sobjects", {"GET": _global}),
    Operation("/sobjects/{object}", {"GET": _basic, "POST": create}),
    Operation("/sobjects/{object}/describe", {"GET": _describe}),
    Operation("/recent", {"GET": _recent}),
    Operation("/limits", {"GET": _limits}),
    Operation("/limits/recordCount", {"GET": _counts}),
    Operation("/tabs", {"GET": _tabs}),
    Operation("/theme", {"GET": _theme}),
)
