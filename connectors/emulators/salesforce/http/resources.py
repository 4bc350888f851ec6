"""Everything below /services/data: versions, who calls and how often, and the resource that answers."""

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

from starlette.requests import Request

from connectors.emulators.salesforce.errors import Refusal, not_found
from connectors.emulators.salesforce.http import bulk, composite, tooling
from connectors.emulators.salesforce.http import collections as rest_collections
from connectors.emulators.salesforce.http import describe as rest_describe
from connectors.emulators.salesforce.http import query as rest_query
from connectors.emulators.salesforce.http import records as rest_records
from connectors.emulators.salesforce.http.describe import versions
from connectors.emulators.salesforce.http.faults import PAGES
from connectors.emulators.salesforce.http.instance import Instance
from connectors.emulators.salesforce.http.oauth import Session
from connectors.emulators.salesforce.http.rest import Call, Router, work_of
from connectors.emulators.salesforce.http.wire import Answer, refused, unzipped

DATA = "/services/data"


def _router() -> Router:
    """Every resource. Longer routes first: /sobjects/Lead/describe is not a record called "describe"."""
    operations = [*tooling.OPERATIONS, *bulk.OPERATIONS, *composite.operations(lambda: ROUTER)]
    operations += [*rest_collections.OPERATIONS, *rest_query.OPERATIONS]
    operations += [*rest_describe.OPERATIONS, *rest_records.OPERATIONS]
    return Router(operations)


ROUTER = _router()


class Resources:
    """Answers the calls of one instance."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance

    def answer(self, request: Request, raw: bytes) -> tuple[Answer, Mapping[str, str]]:
        """(the answer, the headers that tell of allowances)."""
        headers: dict[str, str] = {}
        try:
            version, path = self._versioned(_raw_path(request))
            if not version:
                return self._all_versions(request), headers
            session = self._session(request)
            try:
                self._count(session)
            finally:
                headers["sforce-limit-info"] = self._allowances(session)
            operation, parts = ROUTER.find(path)
            call = replace(self._call(request, raw, session, version), path=parts)
            return work_of(operation, call.method)(call), headers
        except Refusal as refusal:
            return refused(refusal), headers

    def _versioned(self, path: str) -> tuple[str, str]:
        """(version, the rest) of a raw path; an empty version for the list of them. 404 and 410."""
        version, slash, below = path.partition(DATA)[2].lstrip("/").partition("/")
        if not version:
            return "", ""
        number = version.removeprefix("v").removesuffix(".0")
        manners = self.instance.manners
        if version != f"v{number}.0" or not number.isdigit() or int(number) > manners.newest:
            raise not_found()
        if int(number) < manners.oldest:
            message = f"The requested resource is no longer available: API version {number}.0 has been retired."
            raise Refusal(410, "GONE", message)
        return f"{number}.0", f"{slash}{below}" or "/"

    def _all_versions(self, request: Request) -> Answer:
        if request.method not in ("GET", "HEAD"):
            message = f"HTTP Method '{request.method}' not allowed. Allowed are HEAD,GET"
            raise Refusal(405, "METHOD_NOT_ALLOWED", message)
        return Answer(200, versions(self.instance.manners.oldest, self.instance.manners.newest))

    def _session(self, request: Request) -> Session:
        """The session, if it is valid here and for this API."""
        manners = self.instance.manners
        session = self.instance.doorman.admit(request.headers.get("authorization"), self.instance.now_s)
        home = manners.instance_url
        moved = home is not None and urlsplit(home).netloc != request.headers.get("host")
        if manners.session == "expired" or moved:
            raise Refusal(401, "INVALID_SESSION_ID", "Session expired or invalid")
        if manners.session == "not_for_rest":
            raise Refusal(401, "INVALID_SESSION_ID", "This session is not valid for use with the REST API")
        return session

    def _count(self, session: Session) -> None:
        """One more call; 403 when the org or the app has used up its share."""
        app = session.app
        self.instance.usage.admit(self.instance.now_s, app.name if app else None, app.quota if app else None)

    def _allowances(self, session: Session) -> str:
        app = session.app
        return self.instance.usage.header(self.instance.now_s, app.name if app else None, app.quota if app else None)

    def _call(self, request: Request, raw: bytes, session: Session, version: str) -> Call:
        query = parse_qs(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
        wanted = query.get("_HttpMethod", [""])[0].upper() if request.method == "POST" else ""
        quirk = request.scope.get("quirk")
        return Call(
            instance=self.instance, session=session, method=wanted or request.method, version=version, path={},
            query={name: tuple(values) for name, values in query.items()},
            raw=unzipped(raw, request.headers.get("content-encoding", "")),
            headers={name.lower(): value for name, value in request.headers.items()},
            base_url=f"http://{request.headers.get('host', request.url.netloc)}",
            quirk=quirk if quirk is not None and (quirk.body in PAGES or quirk.body == "partial") else None,
        )  # fmt: skip


def _raw_path(request: Request) -> str:
    """The path as it came, still quoted: an external id may hold a slash."""
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    return raw.partition(b"?")[0].decode("latin-1")
