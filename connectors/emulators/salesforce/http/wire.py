"""Answers as bytes on the wire, requests that are read twice, and the shapes in which a refusal is told."""

import gzip
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

import orjson
from starlette.responses import Response
from starlette.types import Message, Receive

from connectors.emulators.salesforce.errors import Refusal

JSON_TYPE = "application/json;charset=UTF-8"
CSV_TYPE = "text/csv"
XML_TYPE = "text/xml; charset=utf-8"
WORTH_ZIPPING = 512  # bytes; smaller answers go out plain


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back; `body` None is an empty body, bytes go out as they are, all else as JSON.

    `gzip_alone`: zipped only for `Accept-Encoding: gzip` and nothing beside it, as the results of bulk queries are.
    """

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    gzip_alone: bool = False


def respond(answer: Answer, asked: Mapping[str, str], headers: Mapping[str, str] | None = None) -> Response:
    """The response for an answer, as the request's headers `asked` want it (X-PrettyPrint, Accept-Encoding)."""
    pretty = asked.get("x-prettyprint", "") in ("1", "true", "True")
    body = encoded(answer.body, pretty)
    shown = {"content-type": JSON_TYPE} if answer.body is not None else {}
    shown = {**shown, **(headers or {}), **{name.lower(): value for name, value in answer.headers.items()}}
    if len(body) >= WORTH_ZIPPING and _zips(answer, asked.get("accept-encoding", "")):
        body = gzip.compress(body, compresslevel=1, mtime=0)
        shown |= {"content-encoding": "gzip", "vary": "Accept-Encoding"}
    return Response(body, answer.status, shown)


def encoded(body: Any, pretty: bool = False) -> bytes:
    """A body as bytes."""
    if body is None:
        return b""
    if isinstance(body, bytes):
        return body
    return orjson.dumps(body, option=orjson.OPT_INDENT_2 if pretty else None)


def _zips(answer: Answer, accepted: str) -> bool:
    if answer.gzip_alone:
        return accepted.strip().lower() == "gzip"
    return any(each.strip().split(";")[0].lower() == "gzip" for each in accepted.split(","))


def unzipped(raw: bytes, encoding: str) -> bytes:
    """A request's body without its Content-Encoding; 400 when it is not what it says."""
    if encoding.lower() not in ("gzip", "deflate") or not raw:
        return raw
    try:
        return gzip.decompress(raw) if encoding.lower() == "gzip" else zlib.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise Refusal(400, "JSON_PARSER_ERROR", f"The request body is not valid {encoding}.") from error


def parsed(raw: bytes) -> Any:
    """A JSON body; None when there is none. 400 JSON_PARSER_ERROR with the place where it breaks."""
    if not raw.strip():
        return None
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        where = f"at [line:{error.lineno}, column:{error.colno}]"
        raise Refusal(400, "JSON_PARSER_ERROR", f"{error.msg[:1].upper()}{error.msg[1:]} {where}") from error


def again(raw: bytes, receive: Receive) -> Receive:
    """Hand out a body that was read already, then whatever comes after it."""
    waiting = [raw]

    async def replay() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return replay


def error_rows(refusals: Iterable[Refusal]) -> list[dict[str, Any]]:
    """The body of a refused call: [{"message", "errorCode", "fields"?, ...}]."""
    return [_error_row(each) for each in refusals]


def _error_row(refused: Refusal) -> dict[str, Any]:
    row: dict[str, Any] = {"message": refused.message, "errorCode": refused.code}
    if refused.fields is not None:
        row["fields"] = list(refused.fields)
    return row | {name: value for name, value in refused.extra.items() if name != "ids"}


def status_rows(refusals: Iterable[Refusal]) -> list[dict[str, Any]]:
    """The errors of one record of a collection: `statusCode` where a single call says `errorCode`."""
    rows = []
    for each in refusals:
        row = {"statusCode": each.code, "message": each.message, "fields": list(each.fields or ())}
        rows.append(row | {name: value for name, value in each.extra.items() if name != "ids"})
    return rows


def refused(refusal: Refusal) -> Answer:
    """The answer of a refused call; a 300 lists the records that share the external id."""
    if refusal.status == 300:
        return Answer(300, list(_ids(refusal)))
    return Answer(refusal.status, error_rows((refusal,)))


def _ids(refusal: Refusal) -> Iterable[object]:
    found = refusal.extra.get("ids", ())
    return found if isinstance(found, list | tuple) else ()


def html_page(status: int, title: str) -> Answer:
    """What stands in front of Salesforce answers by itself: a page, not JSON."""
    page = f"<html><head><title>{status} {escape(title)}</title></head><body><h1>{escape(title)}</h1></body></html>\n"
    return Answer(status, page.encode(), {"content-type": "text/html; charset=UTF-8"})


def bad_message(reason: str = "Request Header Fields Too Large") -> Answer:
    """431 of the server's own front, for a request line and headers that are too long together."""
    page = f"<h1>Bad Message 431</h1><pre>reason: {escape(reason)}</pre>"
    return Answer(431, page.encode(), {"content-type": "text/html;charset=iso-8859-1"})
