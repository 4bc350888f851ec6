"""The ways in: token endpoint, revocation, user info, identity, and SOAP's login and logout."""

import base64
import binascii
import hmac
import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from html import escape
from typing import Any
from urllib.parse import parse_qsl, unquote_plus
from xml.etree import ElementTree

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.emulators.salesforce.errors import Refusal, not_found
from connectors.emulators.salesforce.http.instance import Instance
from connectors.emulators.salesforce.http.oauth import SCOPES, Denied, Session
from connectors.emulators.salesforce.http.wire import XML_TYPE, Answer, refused, respond

NO_SOAP_LOGIN = 65  # from this version on
_ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
_PARTNER = "urn:partner.soap.sforce.com"
_FAULT = "urn:fault.partner.soap.sforce.com"


def login_routes(instance: Instance) -> list[Route]:
    """The routes outside /services/data."""
    return [
        _route(instance, "/services/oauth2/token", _token, ["POST"]),
        _route(instance, "/services/oauth2/token", _not_posted, ["GET", "PUT", "PATCH", "DELETE"]),
        _route(instance, "/services/oauth2/revoke", _revoke, ["GET", "POST"]),
        _route(instance, "/services/oauth2/userinfo", _userinfo, ["GET", "POST"]),
        _route(instance, "/services/oauth2/introspect", _introspect, ["POST"]),
        _route(instance, "/id/{org_id}/{user_id}", _identity, ["GET", "POST"]),
        _route(instance, "/services/Soap/u/{version}", _soap, ["POST"]),
        _route(instance, "/services/Soap/u/{version}/{org_id}", _soap, ["POST"]),
        _route(instance, "/services/Soap/c/{version}", _soap, ["POST"]),
        _route(instance, "/services/Soap/c/{version}/{org_id}", _soap, ["POST"]),
        _route(instance, "/{path:path}", _nothing, ["GET", "POST", "PUT", "PATCH", "DELETE"]),
    ]


Work = Callable[[Instance, Request, bytes], Answer]


def _route(instance: Instance, path: str, work: Work, methods: list[str]) -> Route:
    async def endpoint(request: Request) -> Response:
        try:
            answer = work(instance, request, await request.body())
        except Denied as denied:
            answer = Answer(denied.status, denied.body)
        except Refusal as refusal:
            answer = refused(refusal)
        instance.calls.note(request.method, path, answer.status, instance.now_s)
        return respond(answer, request.headers)

    return Route(path, endpoint, methods=methods)


def _not_posted(instance: Instance, request: Request, raw: bytes) -> Answer:
    raise Denied("invalid_request", "must use HTTP POST")


def _nothing(instance: Instance, request: Request, raw: bytes) -> Answer:
    raise not_found()


def base_url(instance: Instance, request: Request) -> str:
    """Where the org lives: what the manners say, else where it was asked."""
    return instance.manners.instance_url or f"http://{request.headers.get('host', request.url.netloc)}"


def _form(request: Request, raw: bytes) -> dict[str, str]:
    """Fields of the body; those of the address count as well."""
    fields = dict(parse_qsl(request.url.query, keep_blank_values=True))
    return fields | dict(parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True))


def _basic(request: Request) -> tuple[str, str] | None:
    scheme, _, packed = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, _, secret = base64.b64decode(packed, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Denied("invalid_client", "invalid client credentials") from error
    return unquote_plus(name), unquote_plus(secret)


def _token(instance: Instance, request: Request, raw: bytes) -> Answer:
    form, host = _form(request, raw), request.headers.get("host", "")
    session, fresh = instance.doorman.grant(form, _basic(request), host, instance.now_s)
    issued = str(int(instance.now_s * 1000))
    here = base_url(instance, request)
    identity = f"{here}/id/{instance.org.org_id}/{session.user_id}"
    secret = session.app.client_secret if session.app else ""
    signature = base64.b64encode(hmac.digest(secret.encode(), (identity + issued).encode(), sha256)).decode()
    body = {
        "access_token": session.token, "signature": signature, "scope": SCOPES, "instance_url": here, "id": identity,
        "token_type": "Bearer", "issued_at": issued, "api_instance_url": here,
    }  # fmt: skip
    if fresh:
        body["refresh_token"] = fresh
    return Answer(200, body, {"cache-control": "no-cache, no-store"})


def _revoke(instance: Instance, request: Request, raw: bytes) -> Answer:
    instance.doorman.revoke(_form(request, raw).get("token", ""))
    return Answer(200)


def _introspect(instance: Instance, request: Request, raw: bytes) -> Answer:
    session = instance.doorman.sessions.get(_form(request, raw).get("token", ""))
    if session is None or (session.ends_s is not None and session.ends_s <= instance.now_s):
        return Answer(200, {"active": False})
    name = instance.username(session.user_id)
    client = session.app.client_id if session.app else None
    told = {"active": True, "scope": SCOPES, "client_id": client, "username": name, "token_type": "access_token"}
    return Answer(200, told)


def _admitted(instance: Instance, request: Request, raw: bytes) -> Session:
    header = request.headers.get("authorization")
    given = _form(request, raw).get("oauth_token") or _form(request, raw).get("access_token")
    return instance.doorman.admit(header or (f"Bearer {given}" if given else None), instance.now_s)


def _user(instance: Instance, user_id: str) -> Mapping[str, Any]:
    return instance.org.read("User", user_id)


def _userinfo(instance: Instance, request: Request, raw: bytes) -> Answer:
    session = _admitted(instance, request, raw)
    user, here = _user(instance, session.user_id), base_url(instance, request)
    org_id = instance.org.org_id
    body = {
        "sub": f"{here}/id/{org_id}/{session.user_id}", "user_id": session.user_id, "organization_id": org_id,
        "preferred_username": user.get("Username"), "nickname": user.get("CommunityNickname"), "name": user.get("Name"),
        "email": user.get("Email"), "email_verified": True, "given_name": user.get("FirstName"),
        "family_name": user.get("LastName"), "zoneinfo": user.get("TimeZoneSidKey"), "photos": _photos(here),
        "profile": f"{here}/{session.user_id}", "picture": _photos(here)["picture"], "urls": _urls(here),
        "active": user.get("IsActive"), "user_type": "STANDARD", "language": user.get("LanguageLocaleKey"),
        "locale": user.get("LocaleSidKey"), "utcOffset": 0, "updated_at": user.get("LastModifiedDate"),
    }  # fmt: skip
    return Answer(200, body)


def _photos(here: str) -> dict[str, str]:
    return {"picture": f"{here}/profilephoto/005/F", "thumbnail": f"{here}/profilephoto/005/T"}


def _urls(here: str) -> dict[str, str]:
    data = f"{here}/services/data/v{{version}}/"
    return {
        "rest": data, "sobjects": f"{data}sobjects/", "search": f"{data}search/", "query": f"{data}query/",
        "recent": f"{data}recent/", "tooling_rest": f"{data}tooling/", "partner": f"{here}/services/Soap/u/{{version}}",
    }  # fmt: skip


def _identity(instance: Instance, request: Request, raw: bytes) -> Answer:
    session = _admitted(instance, request, raw)
    if request.path_params["user_id"][:15] != session.user_id[:15]:
        raise not_found()
    user, here, org_id = _user(instance, session.user_id), base_url(instance, request), instance.org.org_id
    body = {
        "id": f"https://login.salesforce.com/id/{org_id}/{session.user_id}", "asserted_user": True,
        "user_id": session.user_id, "organization_id": org_id, "username": user.get("Username"),
        "nick_name": user.get("CommunityNickname"), "display_name": user.get("Name"), "email": user.get("Email"),
        "email_verified": True, "first_name": user.get("FirstName"), "last_name": user.get("LastName"),
        "timezone": user.get("TimeZoneSidKey"), "photos": _photos(here), "urls": _urls(here),
        "active": user.get("IsActive"), "user_type": "STANDARD", "language": user.get("LanguageLocaleKey"),
        "locale": user.get("LocaleSidKey"), "utcOffset": 0, "is_app_installed": True,
        "last_modified_date": user.get("LastModifiedDate"),
    }  # fmt: skip
    return Answer(200, body)


def _soap(instance: Instance, request: Request, raw: bytes) -> Answer:
    """login and logout; a version from 65 on has no login any more."""
    try:
        root = ElementTree.fromstring(raw)
    except ElementTree.ParseError as error:
        return _fault("UNKNOWN_EXCEPTION", f"the envelope is no XML: {error}")
    asked = [each.tag.rpartition("}")[2] for each in root.iterfind(f"{{{_ENVELOPE}}}Body/*")]
    version = request.path_params["version"]
    if asked == ["logout"]:
        return _soap_logout(instance, root)
    if asked != ["login"]:
        return _fault("INVALID_OPERATION", f"not an operation of this emulator: {' '.join(asked) or 'none'}")
    if not re.fullmatch(r"\d+\.0", version) or not instance.manners.oldest <= float(version) < NO_SOAP_LOGIN:
        return _fault("UNSUPPORTED_API_VERSION", f"Invalid Api version specified on URL: login() in {version}")
    return _soap_login(instance, request, root)


def _soap_login(instance: Instance, request: Request, root: ElementTree.Element) -> Answer:
    given = {each.tag.rpartition("}")[2]: each.text or "" for each in root.iter()}
    if instance.doorman.refused_with is not None:
        return _fault("INVALID_LOGIN", "Invalid username, password, security token; or user locked out.")
    try:
        user_id = instance.doorman.login(given.get("username", ""), given.get("password", ""))
    except Denied:
        return _fault("INVALID_LOGIN", "Invalid username, password, security token; or user locked out.")
    session = instance.doorman.open(user_id, None, instance.now_s)
    return _soap_answer("loginResponse", _login_result(instance, request, session))


def _login_result(instance: Instance, request: Request, session: Session) -> str:
    here, org_id = base_url(instance, request), instance.org.org_id
    user = _user(instance, session.user_id)
    version = escape(request.path_params["version"])
    named = {
        "organizationId": org_id, "organizationName": "Emulated org", "userEmail": user.get("Email"),
        "userFullName": user.get("Name"), "userId": session.user_id, "userName": user.get("Username"),
        "userTimeZone": user.get("TimeZoneSidKey"), "sessionSecondsValid": int(instance.doorman.lifetime_s),
    }  # fmt: skip
    info = "".join(_element(name, value) for name, value in named.items())
    return "<result>" + "".join(
        (
            _element("metadataServerUrl", f"{here}/services/Soap/m/{version}/{org_id}"),
            _element("passwordExpired", "false"),
            _element("sandbox", "false"),
            _element("serverUrl", f"{here}/services/Soap/u/{version}/{org_id}"),
            _element("sessionId", session.token),
            _element("userId", session.user_id),
            f"<userInfo>{info}</userInfo></result>",
        )
    )


def _element(name: str, value: object) -> str:
    return f"<{name}>{escape(str(value if value is not None else ''))}</{name}>"


def _soap_logout(instance: Instance, root: ElementTree.Element) -> Answer:
    token = next((each.text for each in root.iter() if each.tag.endswith("}sessionId")), None) or ""
    if instance.doorman.sessions.pop(token, None) is None:
        return _fault("INVALID_SESSION_ID", "Invalid Session ID found in SessionHeader")
    return _soap_answer("logoutResponse", "")


def _soap_answer(name: str, content: str) -> Answer:
    return Answer(200, _envelope(f'<{name} xmlns="{_PARTNER}">{content}</{name}>'), {"content-type": XML_TYPE})


def _fault(code: str, message: str) -> Answer:
    shown = escape(message)
    body = (
        f"<soapenv:Fault><faultcode>sf:{code}</faultcode><faultstring>{code}: {shown}</faultstring><detail>"
        f'<sf:LoginFault xmlns:sf="{_FAULT}"><sf:exceptionCode>{code}</sf:exceptionCode>'
        f"<sf:exceptionMessage>{shown}</sf:exceptionMessage></sf:LoginFault></detail></soapenv:Fault>"
    )
    return Answer(500, _envelope(body), {"content-type": XML_TYPE})


def _envelope(body: str) -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="{_ENVELOPE}" xmlns:sf="{_FAULT}">'
        f"<soapenv:Body>{body}</soapenv:Body></soapenv:Envelope>"
    ).encode()
