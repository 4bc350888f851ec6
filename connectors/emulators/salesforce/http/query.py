"""Queries: pages and their locators, subqueries, explain, and a plain SOSL."""

import re
from typing import Any

from connectors.emulators.salesforce.errors import Refusal
from connectors.emulators.salesforce.http.cursors import Cursor
from connectors.emulators.salesforce.http.rest import Call, Operation
from connectors.emulators.salesforce.http.wire import Answer
from connectors.emulators.salesforce.org import Result

LEAST_ROWS, MOST_ROWS = 200, 2000  # of a page, as Sforce-Query-Options may ask
SHORT_ROWS = 750  # of a page that a fault cuts short
_BATCH = re.compile(r"batchSize\s*=\s*(\d+)", re.IGNORECASE)
_FOR_VIEW = re.compile(r"\bFOR\s+(VIEW|REFERENCE)\b", re.IGNORECASE)


def _query(call: Call) -> Answer:
    if call.word("explain"):
        return _explain(call, call.word("explain"))
    return _run(call, all_rows=False)


def _query_all(call: Call) -> Answer:
    return _run(call, all_rows=True)


def _run(call: Call, all_rows: bool) -> Answer:
    soql = call.word("q")
    if not soql.strip():
        raise Refusal(400, "MALFORMED_QUERY", "A query string has to be specified")
    result = call.org.query(soql, all_rows=all_rows, caller=call.caller, version=call.version)
    _refuse_large(call, result)
    answer = first_page(call, result, page_rows(call))
    if _FOR_VIEW.search(soql):
        for row in answer["records"]:
            call.instance.view(result.object, str(row["Id"]))
    return Answer(200, answer)


def _refuse_large(call: Call, result: Result) -> None:
    manners = call.instance.manners
    if manners.query_timeout_rows is not None and result.total_size > manners.query_timeout_rows:
        raise Refusal(400, "QUERY_TIMEOUT", "Your query request was running for too long.")
    activities = result.object in ("Task", "Event")
    if activities and manners.too_large_rows is not None and result.total_size > manners.too_large_rows:
        raise Refusal(400, "OPERATION_TOO_LARGE", "exceeded 100000 distinct who/what's")


def page_rows(call: Call) -> int:
    """How many rows a page shall have."""
    found = _BATCH.search(call.headers.get("sforce-query-options", ""))
    rows = min(max(int(found[1]), LEAST_ROWS), MOST_ROWS) if found else MOST_ROWS
    most = call.instance.manners.page_rows
    return min(rows, most) if most else rows


def first_page(call: Call, result: Result, rows: int) -> dict[str, Any]:
    """The answer with a result's first page; a locator is made when there are more."""
    if result.kind == "count" or (result.total_size <= rows and not _quirk(call)):
        records = result.page(0, rows) if result.kind != "count" else []
        return {"totalSize": result.total_size, "done": True, "records": _shown(call, result, records)}
    cursor = call.instance.cursors.open(result, rows, call.session.user_id, call.now_s)
    return _page(call, cursor, 0, rows)


def _more(call: Call) -> Answer:
    cursor, start = call.instance.cursors.find(call.path["locator"], call.now_s)
    if cursor.user_id != call.session.user_id:
        raise Refusal(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
    asked = "sforce-query-options" in call.headers
    return Answer(200, _page(call, cursor, start, page_rows(call) if asked else cursor.rows))


def _page(call: Call, cursor: Cursor, start: int, rows: int) -> dict[str, Any]:
    quirk = _quirk(call)
    if quirk == "short_page":
        rows = min(rows, SHORT_ROWS)
    if quirk == "empty_page":
        rows = 0
    result, end = cursor.result, start + rows
    body: dict[str, Any] = {"totalSize": result.total_size, "done": end >= result.total_size}
    if not body["done"] and quirk != "no_next_url":
        body["nextRecordsUrl"] = _next_url(call, cursor, end)
    body["records"] = _shown(call, result, result.page(start, rows) if rows else [])
    return body


def _next_url(call: Call, cursor: Cursor, start: int) -> str:
    return f"{call.root}/query/{cursor.locator}-{start}"


def _quirk(call: Call) -> str | None:
    return call.quirk.body if call.quirk else None


def _shown(call: Call, result: Result, records: list[dict[str, object]]) -> list[dict[str, object]]:
    if not result.has_children:
        return records
    return [{name: _child(call, value) for name, value in row.items()} for row in records]


def _child(call: Call, value: object) -> object:
    """A subquery's rows inside a record, with a locator of their own when they are many."""
    if not isinstance(value, Result):
        return value
    rows = call.instance.manners.child_rows
    body: dict[str, Any] = {"totalSize": value.total_size, "done": value.total_size <= rows}
    if not body["done"]:
        cursor = call.instance.cursors.open(value, page_rows(call), call.session.user_id, call.now_s)
        body["nextRecordsUrl"] = _next_url(call, cursor, rows)
    body["records"] = _shown(call, value, value.page(0, rows))
    return body


def _explain(call: Call, soql: str) -> Answer:
    """Plans as the query planner shows them; the costs are the emulator's own."""
    result = call.org.query(soql, caller=call.caller, version=call.version)
    every = call.org.query(f"SELECT COUNT() FROM {result.object}", caller=call.caller).total_size
    indexed = [name for name in ("Id", "SystemModstamp", "CreatedDate") if re.search(rf"WHERE.*\b{name}\b", soql, re.I)]
    plan = {
        "cardinality": result.total_size,
        "fields": indexed,
        "leadingOperationType": "Index" if indexed else "TableScan",
        "notes": [],
        "relativeCost": round(result.total_size / max(every, 1), 3),
        "sobjectCardinality": every,
        "sobjectType": result.object,
    }
    return Answer(200, {"plans": [plan], "sourceQuery": soql})


_FIND = re.compile(r"\s*FIND\s*\{((?:[^{}\\]|\\.)*)\}\s*(?:IN\s+(\w+)\s+FIELDS)?\s*(?:RETURNING\s+(.*?))?"
                   r"(?:\s+LIMIT\s+(\d+))?\s*", re.IGNORECASE | re.DOTALL)  # fmt: skip
_RETURNED = re.compile(r"(\w+)\s*(?:\(([^()]*(?:\([^()]*\)[^()]*)*)\))?")
_SEARCHED = {"NAME": ("string",), "EMAIL": ("email",), "PHONE": ("phone",), "ALL": ("string", "email", "phone")}
_EVERYWHERE = "Account(Id), Contact(Id), Lead(Id)"


def _search(call: Call) -> Answer:
    matched = _FIND.fullmatch(call.word("q"))
    if matched is None:
        raise Refusal(400, "MALFORMED_SEARCH", "A search string has to be specified in the form FIND {text}")
    words, group, returning, limit = matched[1], matched[2] or "ALL", matched[3] or _EVERYWHERE, matched[4]
    targets = [(name, fields or "Id") for name, fields in _RETURNED.findall(returning)]
    return Answer(200, {"searchRecords": _found(call, words, group, targets)[: int(limit) if limit else MOST_ROWS]})


def _found(call: Call, words: str, group: str, targets: list[tuple[str, str]]) -> list[Any]:
    if len(re.sub(r"[*?\\\"\s]", "", words)) < 2:
        raise Refusal(400, "MALFORMED_SEARCH", "search term must be longer than one character: " + words)
    rows: list[Any] = []
    for name, returned in targets:
        where, selected = _condition(call, name, words, group), returned
        if " WHERE " in selected.upper():
            selected, own = re.split(r"\s+WHERE\s+", selected, maxsplit=1, flags=re.IGNORECASE)
            where = f"({where}) AND ({own})"
        soql = f"SELECT {selected} FROM {name} WHERE {where} LIMIT 2000"
        rows.extend(call.org.query(soql, caller=call.caller, version=call.version).page(0, MOST_ROWS))
    return rows


def _condition(call: Call, name: str, words: str, group: str) -> str:
    types = _SEARCHED.get(group.upper(), _SEARCHED["ALL"])
    described: Any = call.org.describe(name, call.version, call.caller)["fields"]
    plain = words.strip().strip('"').replace("\\", "").replace("'", "\\'").replace("*", "%").replace("?", "_")
    names = [each["name"] for each in described if each["filterable"] and each["type"] in types]
    return " OR ".join(f"{each} LIKE '%{plain}%'" for each in names)


def _parameterized(call: Call) -> Answer:
    given = call.fields() if call.method == "POST" else {}
    words = str(given.get("q", call.word("q")))
    if call.method == "POST":
        targets = [(str(each["name"]), ",".join(each.get("fields", ["Id"]))) for each in given.get("sobjects", ())]
    else:
        names = call.words("sobject")
        targets = [(name, call.word(f"{name}.fields") or call.word("fields") or "Id") for name in names]
    group = str(given.get("in", call.word("in", "ALL")))
    return Answer(200, {"searchRecords": _found(call, words, group, targets or [("Lead", "Id"), ("Contact", "Id")])})


OPERATIONS = (
    Operation("/query", {"GET": _query}),
    Operation("/queryAll", {"GET": _query_all}),
    Operation("/query/{locator}", {"GET": _more}),
    Operation("/queryAll/{locator}", {"GET": _more}),
    Operation("/search", {"GET": _search}),
    Operation("/parameterizedSearch", {"GET": _parameterized, "POST": _parameterized}),
)
