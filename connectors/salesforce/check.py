"""`check`: log in, look at objects, fields and limits in a few calls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal
from urllib.parse import quote_plus

from connectors.salesforce.client import LONGEST_ADDRESS, too_long
from connectors.salesforce.objects import AT_ONCE
from connectors.salesforce.org import Org
from connectors.salesforce.people import People
from connectors.salesforce.selection import select
from connectors.salesforce.settings import ACTIVITIES
from connectors.salesforce.setup import ASSIGN, problem_of, targets
from connectors.salesforce.values import quoted_list
from syncer.connector import Finding
from syncer.errors import ConfigError

Layer = Literal["credentials", "scopes", "fields", "limits"]
_SKEW_S = 60.0
_SCARCE = 0.9  # of the org's allowance
_AROUND = 100  # letters of a query's address beside the names and the ids


class Check:
    """Looks at an org before it is used."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self._name = org.connection
        self._settings = org.settings
        self._client = org.client.reserved  # it asks little, and must answer when nothing may be pulled any more

    def check(self, streams: Iterable[str]) -> Iterator[Finding]:
        """Nothing after a refused login: every other answer would only repeat it."""
        try:
            found = self._org.organization(anew=True)
        except ConfigError as error:
            yield _finding("credentials", error)
            return
        kind = "sandbox" if found.is_sandbox else "org"
        message = f"{self._name}: Salesforce {kind} {found.id}, time zone {found.time_zone}, API {self._client.version}"
        yield Finding("credentials", "ok", message)
        yield from self._clock()
        for stream in streams:
            yield from _told(self._object(stream))
        for findings in (self._targets(), self._statuses(), self._fallback()):
            yield from _told(findings)
        yield from self._limits()

    def _clock(self) -> Iterator[Finding]:
        skew_s = self._client.skew_s
        if abs(skew_s) > _SKEW_S:
            message = f"{self._name}: this machine's clock and Salesforce's differ by {abs(skew_s):.0f} seconds"
            yield Finding("credentials", "warning", message, "SY140", "set the machine's clock (NTP)")

    def _object(self, stream: str) -> Iterator[Finding]:
        """May it be read, and does it have what the model asks for?"""
        if not self._org.describes.has(stream):
            activity = stream in ACTIVITIES
            help_ = "let the user read it" + (", or leave it out of the connection's `activities`" if activity else "")
            message = f"{self._name}: this org has no {stream}, or its user may not read it"
            yield Finding("scopes", "warning" if activity else "error", message, "SY142", help_)
            return
        self._client.count(f"reading {stream}", f"SELECT COUNT() FROM {stream} WHERE Id = null")
        yield Finding("scopes", "ok", f"{self._name}: reading {stream} is allowed")
        if stream in self._settings.objects:
            yield from self._unknown(stream)
            yield from self._length(stream)

    def _unknown(self, kind: str) -> Iterator[Finding]:
        asked = {field: self._settings.path(kind, field) for field in self._org.wanted.fields}
        missing = select(self._org.describes, kind, filter(None, asked.values())).missing
        for field, path in asked.items():
            if path is None or path in missing:
                message = f"{self._name}: {kind} has no field {path or field!r} for {field!r}: it reads as not set"
                help_ = f"map it: fields: {{ {field}: {{ {kind}: Its_Name__c }} }}"
                yield Finding("fields", "warning", message, "SY149", help_)

    def _length(self, kind: str) -> Iterator[Finding]:
        """Whether the longest question about these people fits into an address: that for some by their ids."""
        names = select(self._org.describes, kind, People(self._org, kind).fields).names
        letters = len(quote_plus(", ".join(names))) + len(quote_plus(quoted_list(["0" * 18] * AT_ONCE))) + _AROUND
        if letters > LONGEST_ADDRESS:
            yield Finding("fields", "error", f"{self._name}: reading {kind}: {too_long(letters)}", "SY149")

    def _targets(self) -> Iterator[Finding]:
        needed = targets(self._settings, self._org.wanted)
        problems = [(each, text) for each in needed if (text := problem_of(each, self._org.describes))]
        for target, text in problems:
            missing = target.object in ("Lead", "Contact", "Task") and not self._seen(target.object, target.name)
            help_ = f"`syncer setup {self._name}` shows what an admin has to create; {ASSIGN}" if missing else ""
            yield Finding("fields", "warning" if missing else "error", f"{self._name}: {text}", "SY149", help_)
        if not problems:
            names = ", ".join(each.full_name for each in needed if not each.manual)
            yield Finding("fields", "ok", f"{self._name}: can be written to: {names}")

    def _seen(self, kind: str, name: str) -> bool:
        return self._org.describes.has(kind) and self._org.describes.of(kind).exists(name)

    def _statuses(self) -> Iterator[Finding]:
        """The values of Lead.Status that are set, or stand for other teams."""
        chosen = {*self._settings.write.status.values(), *self._settings.protected}
        if not chosen or "Lead" not in self._settings.objects:
            return
        soql = "SELECT ApiName, IsConverted FROM LeadStatus ORDER BY SortOrder"
        rows = self._client.query_all_rows("reading the statuses of leads", soql, all_rows=False)
        there = {str(row["ApiName"]): bool(row.get("IsConverted")) for row in rows}
        for stage, status in self._settings.write.status.items():
            if there.get(status):
                message = (
                    f"{self._name}: {status!r}, which {stage!r} stands for, is a converted status: it cannot be set"
                )
                yield Finding("fields", "error", message, "SY149", "name one that is not")
        for status in sorted(chosen.difference(there)):
            message = f"{self._name}: leads have no status {status!r}"
            yield Finding("fields", "error", message, "SY149", f"one of: {', '.join(there)}")

    def _fallback(self) -> Iterator[Finding]:
        """Who gets the tasks of leads that belong to a queue must be a user, and still there."""
        email = self._settings.task.fallback_owner
        if email is None:
            return
        found = self._org.user_by_email(email)
        if found is not None and found.active:
            return
        why = "is no user of Salesforce" if found is None else "has left"
        message = f"{self._name}: `task.fallback_owner` {email} {why}: tasks of leads in queues are nobody's"
        yield Finding("fields", "warning", message, "SY149", "name the e-mail of somebody who is an active user")

    def _limits(self) -> Iterator[Finding]:
        usage = self._client.usage
        if usage is None:
            yield Finding("limits", "note", f"{self._name}: Salesforce did not tell how many requests are left")
            return
        used, limit = usage
        share = self._settings.use_at_most
        message = f"{self._name}: {used:,} of {limit:,} requests of the last 24 hours used (all apps share them)"
        scarce = used >= limit * share * _SCARCE
        help_ = f"syncer waits at {share:.0%} (`use_at_most`)" if scarce else ""
        yield Finding("limits", "warning" if scarce else "ok", message, "SY145" if scarce else "SY000", help_)


def _told(findings: Iterator[Finding]) -> Iterator[Finding]:
    """These, and what the user may not look at: the rest is looked at all the same."""
    try:
        yield from findings
    except ConfigError as error:
        yield _finding("scopes", error)


def _finding(layer: Layer, error: ConfigError) -> Finding:
    return Finding(layer, "error", error.message, error.code)
