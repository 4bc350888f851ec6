"""Several requests in one call: composite with references, batch, graph, and trees of records."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from urllib.parse import parse_qs, quote

from connectors.emulators.salesforce.errors import Refusal
from connectors.emulators.salesforce.http.rest import Call, Operation, Router, work_of
from connectors.emulators.salesforce.http.wire import Answer, error_rows, refused, status_rows
from connectors.emulators.salesforce.org import Outcome, Write

MOST_REQUESTS, MOST_NODES, MOST_GRAPHS, MOST_TREE, MOST_LEVELS = 25, 500, 75, 200, 5
_REFERENCE = re.compile(r"@\{([^}]+)\}")
_PART = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
_VERSIONED = re.compile(r"(?:/services/data)?/?v(\d+\.\d)(/.*)?")
_ALLOWED = re.compile(r"/(sobjects|query|queryAll|composite/sobjects|limits|search|parameterizedSearch)\b", re.I)
_UNDONE = "The transaction was rolled back since another operation in the same transaction failed."
T = TypeVar("T")
Find = Callable[[], Router]


def operations(find: Find) -> tuple[Operation, ...]:
    """The resources; `find` gives the router by which subrequests are carried out."""
    return (
        Operation("/composite", {"GET": _index, "POST": lambda call: _composite(call, find())}),
        Operation("/composite/batch", {"POST": lambda call: _batch(call, find())}),
        Operation("/composite/graph", {"POST": lambda call: _graph(call, find())}),
        Operation("/composite/tree/{object}", {"POST": _tree}),
    )


def _index(call: Call) -> Answer:
    names = ("batch", "graph", "sobjects", "tree")
    return Answer(200, {name: f"{call.root}/composite/{name}" for name in names})


def carry_out(call: Call, router: Router, request: Mapping[str, Any]) -> Answer:
    """One subrequest: {"method", "url", "body"?, "httpHeaders"?}, its address with or without /services/data."""
    try:
        target, _, query = str(request.get("url", "")).partition("?")
        matched = _VERSIONED.fullmatch(target)
        if matched is None:
            raise Refusal(400, "INVALID_URL", f"The url of a subrequest must name a version: {target}")
        if not _ALLOWED.match(matched[2] or ""):
            raise Refusal(400, "PROCESSING_HALTED", f"The resource is not supported in a subrequest: {target}")
        method = str(request.get("method", "GET")).upper()
        operation, path = router.find(quote(matched[2], safe="/%:@$&'()*+,;=~!-._"))
        given = {str(name).lower(): str(value) for name, value in dict(request.get("httpHeaders") or {}).items()}
        inner = replace(
            call, method=method, version=matched[1], path=path, raw=b"", given=request.get("body"),
            query={name: tuple(each) for name, each in parse_qs(query, keep_blank_values=True).items()},
            headers={**call.headers, **given},
        )  # fmt: skip
        return work_of(operation, method)(inner)
    except Refusal as refusal:
        return refused(refusal)


def _composite(call: Call, router: Router) -> Answer:
    body = call.fields()
    requests = _requests(body, "compositeRequest", MOST_REQUESTS)
    return Answer(200, {"compositeResponse": _series(call, router, requests, body.get("allOrNone") is True)[0]})


def _requests(body: Mapping[str, Any], name: str, most: int) -> list[Any]:
    requests = body.get(name)
    if not isinstance(requests, list) or not all(isinstance(each, dict) for each in requests):
        raise Refusal(400, "JSON_PARSER_ERROR", f"{name} is required and must be a list of objects")
    if len(requests) > most:
        raise Refusal(400, "LIMIT_EXCEEDED", f"Limit exceeded: at most {most} subrequests are allowed")
    references = [each.get("referenceId") for each in requests if "referenceId" in each]
    if len(set(references)) < len(references):
        raise Refusal(400, "DUPLICATE_VALUE", "Duplicate referenceId in the request")
    return requests


def _series(call: Call, router: Router, requests: list[Any], all_or_none: bool) -> tuple[list[Any], bool]:
    """(what the subrequests answered, did all succeed?); with `all_or_none` a failure undoes all."""
    if not all_or_none:
        answers, succeeded = _answers(call, router, requests, False)
    else:
        answers, succeeded = together(call, lambda: _answers(call, router, requests, True))
        if not succeeded:
            answers = {name: each if each.status >= 400 else _undone() for name, each in answers.items()}
    return [_shown(name, each) for name, each in answers.items()], succeeded


def together(call: Call, work: Callable[[], tuple[T, bool]]) -> tuple[T, bool]:
    """Do some work that tells whether it succeeded; if not, nothing of it has happened."""
    done: tuple[T, bool] | None = None
    written = call.instance.calls.written
    try:
        with call.org.state.atomic():
            done = work()
            if not done[1]:
                raise Refusal(400, "PROCESSING_HALTED", _UNDONE)
    except Refusal:
        call.instance.calls.undo(written)
        if done is None:
            raise
    return done


def _answers(call: Call, router: Router, requests: list[Any], all_or_none: bool) -> tuple[dict[str, Answer], bool]:
    answers: dict[str, Answer] = {}
    for each in requests:
        reference = str(each.get("referenceId") or "")
        if not reference:
            raise Refusal(400, "JSON_PARSER_ERROR", "Every subrequest needs a referenceId")
        halted = all_or_none and any(done.status >= 400 for done in answers.values())
        answers[reference] = _undone() if halted else _resolved(call, router, each, answers)
    return answers, all(each.status < 400 for each in answers.values())


def _undone() -> Answer:
    return Answer(400, error_rows((Refusal(400, "PROCESSING_HALTED", _UNDONE),)))


def _shown(reference: str, answer: Answer) -> dict[str, Any]:
    named = {"location": "Location", "etag": "ETag", "last-modified": "Last-Modified"}
    headers = {named[name.lower()]: value for name, value in answer.headers.items() if name.lower() in named}
    return {
        "body": answer.body, "httpHeaders": headers, "httpStatusCode": answer.status, "referenceId": reference,
    }  # fmt: skip


def _resolved(call: Call, router: Router, request: Mapping[str, Any], answers: Mapping[str, Answer]) -> Answer:
    try:
        return carry_out(call, router, _filled(dict(request), answers))
    except Refusal as refusal:
        return refused(refusal)


def _filled(value: Any, answers: Mapping[str, Answer]) -> Any:
    """Every @{reference.path} replaced by what that answer holds."""
    if isinstance(value, dict):
        return {name: _filled(each, answers) for name, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, answers) for each in value]
    if not isinstance(value, str):
        return value
    whole = _REFERENCE.fullmatch(value)
    if whole:
        return _looked_up(whole[1], answers)
    return _REFERENCE.sub(lambda each: str(_looked_up(each[1], answers)), value)


def _looked_up(path: str, answers: Mapping[str, Answer]) -> Any:
    parts = [name or int(number) for name, number in _PART.findall(path)]
    found: Any = answers[str(parts[0])].body if parts and parts[0] in answers else None
    for each in parts[1:]:
        try:
            found = found[each]
        except (KeyError, IndexError, TypeError):
            found = None
    if found is None or len(parts) < 2:
        name = parts[0] if parts else path
        message = f"Invalid reference specified. No value for {path} found in {name}"
        raise Refusal(400, "PROCESSING_HALTED", message)
    return found


def _batch(call: Call, router: Router) -> Answer:
    body = call.fields()
    requests = _requests(body, "batchRequests", MOST_REQUESTS)
    results: list[dict[str, Any]] = []
    for each in requests:
        failed = any(done["statusCode"] >= 400 for done in results)
        if failed and body.get("haltOnError") is True:
            halted = Refusal(412, "BATCH_PROCESSING_HALTED", "Batch processing halted per request")
            results.append({"statusCode": 412, "result": error_rows((halted,))})
            continue
        answer = carry_out(call, router, {**each, "url": _rooted(each), "body": each.get("richInput")})
        results.append({"statusCode": answer.status, "result": answer.body})
    return Answer(200, {"hasErrors": any(each["statusCode"] >= 400 for each in results), "results": results})


def _rooted(request: Mapping[str, Any]) -> str:
    url = str(request.get("url", "")).lstrip("/")
    return f"/{url}" if url.startswith("services") else f"/services/data/{url}"


def _graph(call: Call, router: Router) -> Answer:
    graphs = _requests(call.fields(), "graphs", MOST_GRAPHS)
    if sum(len(each.get("compositeRequest", ())) for each in graphs) > MOST_NODES:
        raise Refusal(400, "LIMIT_EXCEEDED", f"Limit exceeded: at most {MOST_NODES} nodes are allowed")
    shown = []
    for each in graphs:
        requests = _requests(each, "compositeRequest", MOST_NODES)
        responses, succeeded = _series(call, router, requests, all_or_none=True)
        graph = {"graphId": each.get("graphId"), "graphResponse": {"compositeResponse": responses}}
        shown.append(graph | {"isSuccessful": succeeded})
    return Answer(200, {"graphs": shown})


def _tree(call: Call) -> Answer:
    name = call.org.object_name(call.path["object"])
    records = call.fields().get("records")
    if not isinstance(records, list) or not records:
        raise Refusal(400, "INVALID_INPUT", "records is required and must be a list of objects")
    if _size(records) > MOST_TREE:
        raise Refusal(400, "INVALID_INPUT", f"Include at most {MOST_TREE} records in a tree")
    made = together(call, lambda: _planted(call, name, records))[0]
    failed = [(reference, each) for reference, each in made if not each.success]
    if failed:
        errors = [{"referenceId": name, "errors": status_rows(each.refusals)} for name, each in failed]
        return Answer(400, {"hasErrors": True, "results": errors})
    results = [{"referenceId": reference, "id": each.id} for reference, each in made]
    return Answer(201, {"hasErrors": False, "results": results})


def _planted(call: Call, name: str, records: list[Any]) -> tuple[list[tuple[str, Outcome]], bool]:
    planting = _Planting(call)
    planting.plant(name, records, {})
    return planting.made, all(each.success for _, each in planting.made)


def _size(records: list[Any]) -> int:
    """How many records a tree has."""
    below = [each["records"] for one in records for each in one.values() if _is_branch(each)]
    return len(records) + sum(_size(each) for each in below)


def _is_branch(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("records"), list)


@dataclass(frozen=True, slots=True)
class _Planting:
    """Creates the records of a tree from the top; what became of each is kept by its reference."""

    call: Call
    made: list[tuple[str, Outcome]] = field(default_factory=list)

    def plant(self, name: str, records: list[Any], parent: Mapping[str, Any], depth: int = 1) -> None:
        """Records of one object below one parent, then those below them."""
        if depth > MOST_LEVELS:
            raise Refusal(400, "INVALID_INPUT", f"A tree has at most {MOST_LEVELS} levels")
        for each in records:
            values = {field: value for field, value in each.items() if field != "attributes" and not _is_branch(value)}
            outcome = self.call.save([Write("create", name, values={**values, **parent})])[0]
            self.made.append((str(each.get("attributes", {}).get("referenceId", "")), outcome))
            for relationship, value in each.items():
                if _is_branch(value) and outcome.success:
                    child, key = _branch(self.call, name, relationship)
                    self.plant(child, value["records"], {key: outcome.id}, depth + 1)


def _branch(call: Call, name: str, relationship: str) -> tuple[str, str]:
    """(the object of a child relationship, its field that names the parent)."""
    described: Any = call.org.describe(name, call.version, call.caller)["childRelationships"]
    for each in described:
        if str(each["relationshipName"]).lower() == relationship.lower():
            return str(each["childSObject"]), str(each["field"])
    raise Refusal(400, "INVALID_FIELD", f"No such relation '{relationship}' on entity '{name}'")
