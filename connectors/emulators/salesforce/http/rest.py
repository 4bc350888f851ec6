"""What one resource is, and how a path finds it. Routes are those below /services/data/vXX.X."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import unquote

from starlette.routing import compile_path

from connectors.emulators.salesforce.errors import Refusal, not_found
from connectors.emulators.salesforce.http.faults import Fault
from connectors.emulators.salesforce.http.instance import Instance
from connectors.emulators.salesforce.http.oauth import Session
from connectors.emulators.salesforce.http.wire import Answer, parsed
from connectors.emulators.salesforce.org import Caller, Org, Outcome, Write


@dataclass(frozen=True, slots=True)
class Call:
    """One request that was let in, or one of a composite's subrequests. `version` is like `60.0`."""

    instance: Instance
    session: Session
    method: str
    version: str
    path: Mapping[str, str]
    query: Mapping[str, tuple[str, ...]]
    raw: bytes  # the body, unzipped
    headers: Mapping[str, str]  # names in lower case
    base_url: str  # http://host:port
    quirk: Fault | None = None  # a fault that changes what the resource says
    given: Any = None  # a subrequest's body

    @property
    def org(self) -> Org:
        """The org."""
        return self.instance.org

    @property
    def caller(self) -> Caller:
        """Who calls, and what the headers say about writing."""
        rules = self.headers.get("sforce-duplicate-rule-header", "").replace(" ", "").lower()
        assign = self.headers.get("sforce-auto-assign", "true").strip().lower()
        return Caller(
            user_id=self.session.user_id,
            auto_assign=assign not in ("false", "0"),
            allow_duplicates="allowsave=true" in rules,
        )

    @property
    def root(self) -> str:
        """/services/data/v60.0"""
        return f"/services/data/v{self.version}"

    @property
    def now_s(self) -> float:
        """The org's present."""
        return self.instance.now_s

    def word(self, name: str, default: str = "") -> str:
        """A query parameter's (last) value; names in any case."""
        for each, values in self.query.items():
            if each.lower() == name.lower():
                return values[-1]
        return default

    def words(self, name: str) -> list[str]:
        """A list parameter, comma-separated."""
        return [each.strip() for each in self.word(name).split(",") if each.strip()]

    def flag(self, name: str) -> bool:
        """A boolean parameter."""
        return self.word(name, "false").lower() == "true"

    def json(self) -> Any:
        """The body, whatever it is; None without one."""
        return self.given if self.given is not None else parsed(self.raw)

    def fields(self) -> dict[str, Any]:
        """The body as an object; 400 when it is none."""
        body = self.json()
        if not isinstance(body, dict):
            raise Refusal(400, "JSON_PARSER_ERROR", "The HTTP entity body is required, but this request has none.")
        return body

    def save(self, writes: list[Write], all_or_none: bool = False) -> list[Outcome]:
        """Carry out writes and note them."""
        outcomes = self.org.save(writes, all_or_none, self.caller)
        for write, outcome in zip(writes, outcomes, strict=True):
            self.instance.calls.wrote(self.org.clock.stamp(), write, outcome, self.caller)
        return outcomes


Work = Callable[[Call], Answer]


@dataclass(frozen=True, slots=True)
class Operation:
    """One resource and what each method does with it. HEAD is GET without the body."""

    route: str
    works: Mapping[str, Work]
    pattern: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        """Literal parts of a path fit in any case."""
        object.__setattr__(self, "pattern", re.compile(compile_path(self.route)[0].pattern, re.IGNORECASE))

    def allows(self) -> list[str]:
        """The methods, HEAD among them where GET is."""
        return ["HEAD", *self.works] if "GET" in self.works else list(self.works)


class Router:
    """Finds the operation for a path; the first that fits has it."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._operations = tuple(operations)

    def find(self, path: str) -> tuple[Operation, dict[str, str]]:
        """(operation, the path's parts, unquoted) for a raw path below the version; 404."""
        bare = re.sub(r"/{2,}", "/", path).rstrip("/") or "/"
        for operation in self._operations:
            matched = operation.pattern.match(bare)
            if matched:
                return operation, {name: unquote(value) for name, value in matched.groupdict().items()}
        raise not_found()


def work_of(operation: Operation, method: str) -> Work:
    """What a method does with a resource; 405."""
    work = operation.works.get("GET" if method == "HEAD" else method)
    if work is None:
        allowed = ",".join(operation.allows())
        message = f"HTTP Method '{method}' not allowed. Allowed are {allowed}"
        raise Refusal(405, "METHOD_NOT_ALLOWED", message)
    return work


def record_body(body: Any) -> dict[str, Any]:
    """The fields of one record without `attributes`; 400 for what is no object."""
    if not isinstance(body, dict):
        message = (
            "Json Deserialization failed on token 'null' and has left off in the middle of parsing a row. "
            "Will go to end of row to begin parsing the next row"
        )
        raise Refusal(400, "INVALID_FIELD", message)
    return {name: value for name, value in body.items() if name != "attributes"}


def http_date(text: str) -> datetime:
    """A time as HTTP headers write it; 400 for what is none."""
    try:
        moment = parsedate_to_datetime(text)
    except ValueError as error:
        raise Refusal(400, "INVALID_HEADER", f"no HTTP date: {text}") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
