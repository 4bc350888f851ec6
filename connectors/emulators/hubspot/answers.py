"""Answers as HubSpot words them: error bodies, envelopes of batches, records."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.emulators.hubspot.clock import iso

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back over the wire; `body` None is an empty body, bytes go out as they are."""

    status: int
    body: Json | list[Any] | bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Refusal(Exception):
    """The portal says no; `answer` is what the caller gets."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"{answer.status}: {answer.body!r}")
        self.answer = answer


def correlation_id() -> str:
    """A fresh id such as every error body carries."""
    return str(uuid.uuid4())


def refusal(status: int, message: str, category: str | None = None, **extra: object) -> Refusal:
    """A refusal with HubSpot's error body; `extra` adds keys (errors, context, subCategory); no category when None."""
    body: Json = {"status": "error", "message": message, "correlationId": correlation_id(), **extra}
    if category is not None:
        body["category"] = category
    return Refusal(Answer(status, body))


def invalid(message: str, **extra: object) -> Refusal:
    """The usual 400."""
    return refusal(400, message, "VALIDATION_ERROR", **extra)


def not_found(message: str = "resource not found") -> Refusal:
    """The usual 404 for one object."""
    return refusal(404, message, "OBJECT_NOT_FOUND")


def missing_objects(singular: str, ids: Sequence[str]) -> Json:
    """The entry in a 207 for ids that do not exist or were deleted."""
    message = (
        f"Could not get some {singular.upper()} objects, they may be deleted or not exist. Check that ids are valid."
    )
    return {"status": "error", "category": "OBJECT_NOT_FOUND", "message": message, "context": {"ids": list(ids)}}


def batch(
    started_ms: int, now_ms: int, results: Iterable[Json], errors: Sequence[Json] = (), count: int | None = None
) -> Json:
    """The envelope of a finished batch. `count` when one entry in `errors` speaks for several inputs."""
    body: Json = {
        "completedAt": iso(now_ms),
        "status": "COMPLETE",
        "startedAt": iso(started_ms),
        "results": list(results),
    }
    if errors:
        body["errors"] = list(errors)
        body["numErrors"] = len(errors) if count is None else count
    return body


def html_page(status: int, title: str) -> Answer:
    """What the edge in front of HubSpot answers by itself: a page, not JSON."""
    head, body = f"<title>{status} {title}</title>", f"<center><h1>{status} {title}</h1></center>"
    page = f"<html>\n<head>{head}</head>\n<body>{body}</body>\n</html>\n"
    return Answer(status, page.encode(), {"content-type": "text/html; charset=utf-8"})


_POLICY_WORDS = {"SECONDLY": "secondly", "TEN_SECONDLY_ROLLING": "ten_secondly_rolling", "DAILY": "daily"}


def rate_limited(policy: str) -> Answer:
    """429 of one policy: SECONDLY, TEN_SECONDLY_ROLLING or DAILY. No category, no Retry-After, as recorded."""
    return Answer(
        429,
        {
            "status": "error",
            "message": f"You have reached your {_POLICY_WORDS[policy]} limit.",
            "errorType": "RATE_LIMIT",
            "correlationId": correlation_id(),
            "policyName": policy,
            "groupName": "publicapi:private-apps:oauth-or-key",
        },
    )
