"""Bringing the sample base into a portal, and letting its cast act there."""

from datetime import datetime
from typing import Any
from urllib.parse import quote

import orjson
import urllib3

from connectors.emulators.hubspot.portal import Portal
from connectors.emulators.hubspot.routes.control import answer_control
from connectors.emulators.sample import words
from connectors.emulators.sample.base import TO_CONTACT, Json, SampleBase
from connectors.emulators.sample.behaviour import Activity
from connectors.emulators.sample.cast import Happening, happenings
from connectors.emulators.sample.selling import Sales

TIMEOUT_S = 10.0
_OWN_TOKEN = "nimbo-people"  # the portal's own people: they do not use up the rate limit of the client under test


def load(portal: Portal, base: SampleBase, until: datetime | None = None) -> None:
    """Put the base, whole or as of then, into a portal that is not being served yet. RuntimeError when the portal
    refuses it."""
    answer = answer_control(portal, "POST", "load", base.body(until))
    if answer.status != 200:
        raise RuntimeError(f"the portal refused the sample base: {answer.body!r}")


def load_over_http(url: str, base: SampleBase) -> None:
    """The same for a portal that is being served, through its control plane."""
    _Door(url).control("load", base.body())


def unfold(url: str, base: SampleBase, sales: Sales, span: tuple[datetime, datetime]) -> None:
    """Let happen in the portal served at `url` what happened after the first moment, up to the second: what
    leads did, and sales. RuntimeError when the portal refuses something."""
    door, (since, until) = _Door(url), span
    for loaded, changed in (base.news(since, until), sales.acts(until)):
        door.control("load", loaded)
        door.control("calculate", changed)


def act(url: str, now: datetime) -> list[Happening]:
    """Let the cast act in the portal served at `url`, within the hour before `now`; answers what happened, in order.

    Counters move as HubSpot moves them, answers are typed in the app, activities are logged through the API. Like
    real ones they reach search late. RuntimeError when the portal refuses something, or does not hold the sample base.
    """
    door = _Door(url)
    door.control("tokens", {"add": _OWN_TOKEN})
    told = list(happenings(now))
    for happening in told:
        _happen(door, happening)
    return told


def _happen(door: "_Door", happening: Happening) -> None:
    contact = str(door.api("GET", f"contacts/{quote(happening.email)}?idProperty=email")["id"])
    for activity in happening.activities:
        door.api("POST", activity.kind, _logged(activity, contact))
    if happening.counted:
        door.control("calculate", {"id": contact, "properties": dict(happening.counted)})
    if happening.typed:
        user = words.OWNERS[happening.owner].user_id
        door.control("edit", {"id": contact, "properties": dict(happening.typed), "userId": user})


def _logged(activity: Activity, contact: str) -> Json:
    """The body that creates an activity tied to a contact; HubSpot fills in the read-only addresses itself."""
    tie = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": TO_CONTACT[activity.kind]}
    sent = {name: value for name, value in activity.properties.items() if name not in _FILLED_IN_BY_HUBSPOT}
    return {"properties": sent, "associations": [{"to": {"id": contact}, "types": [tie]}]}


_FILLED_IN_BY_HUBSPOT = ("hs_email_from_email", "hs_email_to_email")


class _Door:
    """HTTP to one served portal: its API, and the control plane beside it."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._pool = urllib3.PoolManager(timeout=TIMEOUT_S, retries=False)

    def api(self, method: str, path: str, body: Json | None = None) -> Json:
        return self._ask(method, f"/crm/v3/objects/{path}", body)

    def control(self, name: str, body: Json) -> Json:
        return self._ask("POST", f"/_emulator/{name}", body)

    def _ask(self, method: str, path: str, body: Json | None) -> Json:
        headers = {"authorization": f"Bearer {_OWN_TOKEN}", "content-type": "application/json"}
        sent = None if body is None else orjson.dumps(body)
        answer = self._pool.request(method, self._url + path, body=sent, headers=headers)
        if answer.status >= 300:
            raise RuntimeError(f"the portal refused {method} {path}: {answer.status} {answer.data[:500]!r}")
        found: dict[str, Any] = orjson.loads(answer.data)
        return found
