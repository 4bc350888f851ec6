"""`check`: log in, look at scopes, fields and limits in a few calls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from connectors.hubspot import people
from connectors.hubspot.client import Client
from connectors.hubspot.lookups import definitions
from connectors.hubspot.people import LIFECYCLE
from connectors.hubspot.settings import Settings
from connectors.hubspot.setup import problem_code, targets
from connectors.hubspot.values import Json
from syncer.connector import Finding, Wanted
from syncer.errors import ConfigError

Layer = Literal["credentials", "scopes", "fields", "limits"]
_SKEW_S = 60.0
_SCARCE = 0.1


class Check:
    """Looks at a portal before it is used."""

    def __init__(self, name: str, settings: Settings, wanted: Wanted, client: Client) -> None:
        self._name = name
        self._settings = settings
        self._wanted = wanted
        self._client = client

    def check(self, streams: tuple[str, ...]) -> Iterator[Finding]:
        """Nothing after a refused token: every other answer would only repeat it."""
        try:
            account = self._client.account()
        except ConfigError as error:
            yield _finding("credentials", error)
            return
        found = f"{self._name}: HubSpot portal {account.portal}, time zone {account.time_zone}"
        yield Finding("credentials", "ok", found)
        yield from self._clock()
        yield from self._scopes(streams)
        yield from self._fields()
        yield from self._limits()

    def _clock(self) -> Iterator[Finding]:
        skew_s = self._client.skew_s
        if abs(skew_s) > _SKEW_S:
            message = f"{self._name}: this machine's clock and HubSpot's differ by {abs(skew_s):.0f} seconds"
            yield Finding("credentials", "warning", message, "SY047", "set the machine's clock (NTP)")

    def _scopes(self, streams: tuple[str, ...]) -> Iterator[Finding]:
        for stream in streams:
            yield self._probe(f"reading {stream}", self._client.paths.objects(stream), "error")
        yield self._probe("reading the owners", self._client.paths.owners, "warning")
        if targets(self._settings, self._wanted):
            message = (
                f"{self._name}: whether the token may write (crm.objects.contacts.write; for `setup` also "
                "crm.schemas.contacts.write) shows only when something is written"
            )
            yield Finding("scopes", "ok", message)

    def _probe(self, what: str, path: str, level: Literal["warning", "error"]) -> Finding:
        try:
            self._client.get(what, path, {"limit": "1"})
        except ConfigError as error:
            return _finding("scopes", error, level)
        return Finding("scopes", "ok", f"{self._name}: {what} is allowed")

    def _fields(self) -> Iterator[Finding]:
        try:
            known = definitions(self._client)
        except ConfigError as error:
            yield _finding("scopes", error)
            return
        problems = [*self._unknown(known), *self._unfit(known), *self._unmapped(known)]
        yield from problems
        if not problems:
            names = len(people.properties(self._settings, self._wanted))
            yield Finding("fields", "ok", f"{self._name}: all {names} properties are there")

    def _unknown(self, known: dict[str, Json]) -> Iterator[Finding]:
        for field, name in people.mapped(self._settings, self._wanted).items():
            if name not in known:
                message = f"{self._name}: HubSpot has no contact property {name!r} for {field!r}: it reads as not set"
                help_ = f"map it: fields: {{ {field}: internal_name_in_hubspot }}"
                yield Finding("fields", "warning", message, "SY043", help_)
        for kind, counter in people.wanted_counters(self._settings, self._wanted).items():
            for name in filter(None, (counter.count, counter.last)):
                if name not in known:
                    message = f"{self._name}: HubSpot has no contact property {name!r}, which counts {kind!r}"
                    yield Finding("fields", "warning", message, "SY043", f"correct counters: {{ {kind}: ... }}")

    def _unfit(self, known: dict[str, Json]) -> Iterator[Finding]:
        for target in targets(self._settings, self._wanted).values():
            found = known.get(target.name)
            if found is None:
                message = f"{self._name}: the property {target.name} does not exist in HubSpot yet"
                yield Finding("fields", "warning", message, "SY043", "`syncer setup` creates it")
            elif problem := target.problem(found):
                yield Finding("fields", "error", f"{self._name}: {problem}", problem_code(problem))

    def _unmapped(self, known: dict[str, Json]) -> Iterator[Finding]:
        ours = self._settings.write.lifecyclestage
        there = {str(each.get("value")) for each in (known.get(LIFECYCLE) or {}).get("options") or ()}
        for stage, theirs in ours.items():
            if theirs not in there:
                message = f"{self._name}: HubSpot has no lifecycle stage {theirs!r}, which {stage!r} stands for"
                yield Finding("fields", "error", message, "SY046", f"one of: {', '.join(sorted(there))}")
            elif self._wanted.stages and stage not in self._wanted.stages:
                message = f"{self._name}: `write.lifecyclestage` maps {stage!r}, which is no stage of the model"
                yield Finding("fields", "warning", message, "SY046", f"one of: {', '.join(self._wanted.stages)}")

    def _limits(self) -> Iterator[Finding]:
        if self._client.daily is None:
            return
        left, limit = self._client.daily
        scarce = left < limit * _SCARCE
        message = f"{self._name}: {left:,} of {limit:,} requests left today (all apps of the portal share them)"
        yield Finding("limits", "warning" if scarce else "ok", message, "SY048" if scarce else "SY000")


def _finding(layer: Layer, error: ConfigError, level: Literal["warning", "error"] = "error") -> Finding:
    return Finding(layer, level, error.message, error.code)
