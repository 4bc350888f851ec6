"""The buttons under a Slack message: who pressed one is heard, and the message says so from then on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import structlog
from pydantic import BaseModel, Field
from slack_sdk.signature import SignatureVerifier
from urllib3 import PoolManager, Timeout
from urllib3.exceptions import HTTPError

from syncer.app import App
from syncer.errors import SyncerError
from syncer.handoff.delivery import host
from syncer.handoff.messages import ACCEPT, NOT_READY
from syncer.handoff.text import clipped, slack_safe
from syncer.model import Answer
from syncer.queries.handoffs import Spoken, heard
from syncer.settings import HandoffSettings, Slack
from syncer.store import outbox
from syncer.web.hooks import BROKEN, NOT_GENUINE, UNABLE, UNKNOWN
from syncer.web.wording import became, readers_of

log = structlog.get_logger(__name__)

_HEARD = 200  # with an empty body: Slack shows anything else as a failure, or instead of the message
_MOST_UPDATES = 4  # under way at a time; another message keeps its buttons, and a second press of one does no harm
_UPDATE_S = 5.0
_MOST_FIELDS = 10
_MOST_BLOCKS, _LONGEST_TEXT = 50, 3_000  # that Slack takes in a message, in a text
_SLACKS_OWN = "https://hooks.slack.com"


class _User(BaseModel):
    id: str = ""
    name: str = ""
    username: str = ""


class _Option(BaseModel):
    value: str


class _Action(BaseModel):
    action_id: str = ""
    block_id: str = ""
    selected_option: _Option | None = None  # null where the one chosen before is chosen again

    @property
    def is_ours(self) -> bool:
        return self.action_id == ACCEPT or (self.action_id == NOT_READY and self.selected_option is not None)

    @property
    def reason(self) -> str:
        return self.selected_option.value if self.selected_option is not None else ""


class _Message(BaseModel):
    text: str | None = None
    blocks: list[dict[str, Any]] = Field(default_factory=list)


class _Press(BaseModel):
    """Slack's `block_actions` (its reference "Interaction payloads"), what we need of it."""

    user: _User
    actions: list[_Action]
    message: _Message | None = None
    response_url: str | None = None

    @property
    def ours(self) -> _Action | None:
        return next((each for each in self.actions if each.is_ours), None)

    @property
    def author(self) -> str:
        name = self.user.name or self.user.username or self.user.id
        return f"{clipped(name, 80)} (Slack)" if name else "Slack"


@dataclass(frozen=True, slots=True)
class _Asked:
    """Whom a request is for, as the project is now."""

    name: str
    app: App
    settings: HandoffSettings
    notifier: Slack
    signing_secret: str


class Buttons:
    """Takes one request after the other, from any thread. `now` is the app as it is after the latest reload."""

    def __init__(self, now: Callable[[], App]) -> None:
        self._now = now
        self._told: dict[tuple[str, str], str] = {}  # (event, notifier) -> the reason with which it was told
        self._updates = threading.BoundedSemaphore(_MOST_UPDATES)

    def press(self, name: str, headers: Mapping[str, str], body: bytes) -> int:
        """The HTTP status to answer with."""
        try:
            return self._press(name, headers, body)
        except SyncerError as failure:
            self._tell("slack_answer_failed", name, failure.message)
            return UNABLE
        except Exception:
            log.exception("slack_answer_crashed", notifier=name)
            return BROKEN

    def _press(self, name: str, headers: Mapping[str, str], body: bytes) -> int:
        asked = _asked(self._now(), name)
        if asked is None:
            return UNKNOWN
        if not _is_genuine(asked.signing_secret, headers, body):
            self._tell("slack_refused", name, "not signed by Slack, or not just now; is the signing secret right?")
            return NOT_GENUINE
        self._told.pop(("slack_refused", name), None)
        try:
            press = _read(body)
        except ValueError as failure:
            self._tell("slack_not_understood", name, type(failure).__name__)
            return _HEARD
        action = press.ours if press is not None else None
        return _HEARD if press is None or action is None else self._take(asked, press, action)

    def _take(self, asked: _Asked, press: _Press, action: _Action) -> int:
        """The message has to be one that this notifier sent, or another one of the same Slack app, which has one
        address for all of its channels: another app's secret signs nothing for it."""
        app, store = asked.app, asked.app.store
        with store.reading() as tx:
            found = [each for each in outbox.named(tx, [action.block_id]) if _is_of_the_same_app(each.channel, asked)]
        if not found:
            return UNKNOWN
        answer = Answer(action.action_id == ACCEPT, press.author, app.clock(), "slack", action.reason)
        with store.writing() as tx:
            taken = heard(tx, found[0].handoff.key, Spoken(answer), asked.settings)
        self._told.pop(("slack_answer_failed", asked.name), None)
        readers = readers_of(app.project, asked.settings, found[0].channel)
        line = " ".join(became(taken, answer, readers, asked.settings.on_reject))
        self._update(asked, press, line)
        return _HEARD

    def _update(self, asked: _Asked, press: _Press, line: str) -> None:
        """In a thread of its own: Slack waits three seconds for the answer to a press. The address is Slack's own word,
        and nobody else's house is entered on it."""
        url = press.response_url
        if url is None or not _may_call(url, asked.notifier.url.get_secret_value()):
            self._tell("slack_message_not_updated", asked.name, "the address to answer to is not Slack's")
        elif self._updates.acquire(blocking=False):
            work = (asked.name, url, _answered(press, line))
            threading.Thread(target=self._replace, args=work, daemon=True).start()

    def _replace(self, name: str, url: str, message: Mapping[str, Any]) -> None:
        try:
            failed = _post(url, message)
        finally:
            self._updates.release()
        if failed is None:
            self._told.pop(("slack_message_not_updated", name), None)
        else:
            self._tell("slack_message_not_updated", name, failed)

    def _tell(self, event: str, name: str, reason: str) -> None:
        """Once, until it goes well again: whoever knocks at a public door must not fill the log."""
        if self._told.get((event, name)) != reason:
            self._told[event, name] = reason
            log.warning(event, notifier=name, reason=reason)


def _asked(app: App, name: str) -> _Asked | None:
    settings = app.project.handoff
    notifier = settings.notifiers.get(name) if settings is not None else None
    if settings is None or not isinstance(notifier, Slack) or notifier.signing_secret is None:
        return None
    return _Asked(name, app, settings, notifier, notifier.signing_secret.get_secret_value())


def _is_of_the_same_app(channel: str, asked: _Asked) -> bool:
    other = _asked(asked.app, channel)
    return other is not None and other.signing_secret == asked.signing_secret


def _is_genuine(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Signed with the secret at most five minutes ago (Slack's guide "Verifying requests from Slack")."""
    try:
        return SignatureVerifier(secret).is_valid_request(body, dict(headers))
    except (TypeError, ValueError):  # a time that is no number, a signature or a body that is no text
        return False


def _read(body: bytes) -> _Press | None:
    """None: something else was done in Slack. ValueError where it cannot be read."""
    payload = orjson.loads(parse_qs(body.decode(), max_num_fields=_MOST_FIELDS).get("payload", [""])[0])
    is_press = isinstance(payload, dict) and payload.get("type") == "block_actions"
    return _Press.model_validate(payload) if is_press else None


def _may_call(url: str, notifier_url: str) -> bool:
    origin = _origin(url)
    return origin is not None and origin in (_origin(_SLACKS_OWN), _origin(notifier_url))


def _origin(url: str) -> tuple[str, str, int | None] | None:
    """None: it is no web address, or names a user."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None
    return (parts.scheme, parts.hostname, port) if parts.hostname and port and "@" not in parts.netloc else None


def _answered(press: _Press, line: str) -> Mapping[str, Any]:
    """The message as it was, with what was answered in place of the buttons."""
    shown = press.message or _Message()
    kept = [each for each in shown.blocks if each.get("type") != "actions"][: _MOST_BLOCKS - 1]
    told = {"type": "mrkdwn", "text": slack_safe(line, _LONGEST_TEXT), "verbatim": True}
    blocks = [*kept, {"type": "context", "elements": [told]}]
    return {"replace_original": True, "text": shown.text or told["text"], "blocks": blocks}


def _post(url: str, message: Mapping[str, Any]) -> str | None:
    """Why it failed; None: it did not. Where it is sent on to, nobody knows whose it is."""
    timeout = Timeout(total=_UPDATE_S)
    headers = {"Content-Type": "application/json", "User-Agent": "syncer"}
    try:
        body = orjson.dumps(message)
    except orjson.JSONEncodeError:  # it reads what is nested deeper than what it writes
        return "the message is nested too deeply"
    try:
        with PoolManager(timeout=timeout, retries=False) as pool:
            answer = pool.urlopen("POST", url, redirect=False, body=body, headers=headers)
    except (HTTPError, OSError) as failure:
        return f"{host(url)}: no answer ({type(failure).__name__})"
    return None if answer.status == _HEARD else f"{host(url)} answered {answer.status}"
