"""Messages that a person sends again, or ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from syncer.app import App
from syncer.errors import NotFound, Refused
from syncer.handoff.routing import had_nobody, routed_anew
from syncer.handoff.text import clipped, one_line
from syncer.model import Notice
from syncer.queries.accounts import By
from syncer.queries.handoffs import addressee
from syncer.settings import HandoffSettings
from syncer.store import audit
from syncer.store import outbox as kept
from syncer.store.audit import Entry

STILL_NOBODY = (
    "there is still nobody to send it to: give the lead an owner with an e-mail address in the CRM and let syncer read "
    "that, or write a route that fits or a fallback under handoff.route; then retry it, or drop it"
)
KEY_LENGTH = 12  # of 32 hexadecimal digits


@dataclass(frozen=True, slots=True)
class Retried:
    """What may go out again, and how many stay dead as there is still nobody to send them to."""

    ready: tuple[Notice, ...]
    nobodys: int


def named(tx: Connection, connections: Sequence[str], prefixes: Sequence[str]) -> list[Notice]:
    """The message whose key begins so, of each prefix, each once. NotFound for none (SY195) or several (SY196)."""
    found = {each.key: each for prefix in prefixes for each in [_one(tx, connections, prefix)]}
    return list(found.values())


def _one(tx: Connection, connections: Sequence[str], prefix: str) -> Notice:
    found = kept.beginning_with(tx, connections, prefix.lower()) if prefix else []
    shown = clipped(prefix, KEY_LENGTH * 3)
    if not found:
        raise NotFound(f"no message's key begins with '{shown}'; `syncer outbox --all` shows them", code="SY195")
    if len(found) > 1:
        keys = ", ".join(each.key for each in found)
        raise NotFound(f"several messages' keys begin with '{shown}'; write more of it: {keys}", code="SY196")
    return found[0]


def with_key(tx: Connection, key: str) -> Notice:
    """The message of that very key. NotFound (SY276)."""
    found = kept.named(tx, [key])
    if not found:
        raise NotFound(f"there is no message {clipped(key, KEY_LENGTH * 3)}", code="SY276")
    return found[0]


def retry(tx: Connection, app: App, found: Sequence[Notice], by: By, *, skip_nobodys: bool = False) -> Retried:
    """Make these dead ones ready again; in place of what had nobody to go to, what today's routes lead to. Refused
    (SY197), and nothing is changed, where one is not dead, or has still nobody and may not be skipped."""
    for notice in found:
        _insist(notice.state == "dead", notice, "only what is dead can be tried again")
    again = [(notice, _again(tx, notice, app.project.handoff)) for notice in found]
    for notice, ready in again:
        _insist(skip_nobodys or bool(ready), notice, STILL_NOBODY)
    keys = [each.key for _, ready in again for each in ready]
    kept.make_ready(tx, keys)
    _note(tx, app, [notice for notice, ready in again if ready], by, "message_retry")
    return Retried(tuple(kept.named(tx, keys)), sum(not ready for _, ready in again))


def _again(tx: Connection, notice: Notice, settings: HandoffSettings | None) -> Sequence[Notice]:
    """The message itself, or what is sent in its place."""
    if settings is None or not had_nobody(notice, settings):
        return (notice,)
    return _routed_anew(tx, notice, settings)


def _routed_anew(tx: Connection, notice: Notice, settings: HandoffSettings) -> Sequence[Notice]:
    """What is sent in its place, to whom today's routes and the record's owner lead; none: it stays as it is."""
    anew = routed_anew(kept.renew_owner(tx, notice.handoff), notice.channel, settings)
    if anew:
        kept.queue(tx, anew)
        told = ", ".join(each.recipient for each in anew)
        kept.drop(tx, notice.key, one_line(f"sent to {told} instead (before: {notice.error})"))
    return anew


def drop(tx: Connection, app: App, found: Sequence[Notice], by: By, reason: str) -> list[Notice]:
    """End these: they are never sent. Refused (SY197), and nothing is changed, where one has left."""
    for notice in found:
        said = f"dropped by {by.who}{f': {reason}' if reason else ''}"
        before = f" (before: {notice.error})" if notice.error else ""
        dropped = kept.drop(tx, notice.key, one_line(f"{said}{before}"))
        _insist(dropped, notice, "only what has not left can be dropped")
    _note(tx, app, found, by, "message_drop")
    return kept.named(tx, [each.key for each in found])


def _note(tx: Connection, app: App, notices: Sequence[Notice], by: By, act: audit.Act) -> None:
    """`notices`: as they were before. The reason is a person's own words, and is kept with the message."""
    now = app.clock()
    told = [(each, {"handoff": each.handoff.key, "channel": each.channel, "kind": each.kind}) for each in notices]
    entries = (Entry(now, by.who, act, each.key, by.address, {**of, "was": each.state}) for each, of in told)
    audit.note(tx, *entries)


def _insist(allowed: bool, notice: Notice, rule: str) -> None:
    if not allowed:
        told = f"{notice.key[:KEY_LENGTH]} ({addressee(notice)}) is {notice.state}"
        raise Refused(f"{told}; {rule}. Nothing was changed", code="SY197")
