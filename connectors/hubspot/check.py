"""`check`: log in, look at scopes, fields and limits in a few calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Literal

from connectors.hubspot import behavioural_events, forms, marketing_emails, people
from connectors.hubspot.client import Client
from connectors.hubspot.companies import mapped_companies
from connectors.hubspot.lookups import company_properties, definitions, owners
from connectors.hubspot.people import LIFECYCLE
from connectors.hubspot.settings import ACTIVITY_STREAMS, EVENT_STREAMS, Settings
from connectors.hubspot.setup import manual_targets, targets
from connectors.hubspot.values import Json, epoch_ms
from syncer.connector import Finding, Wanted
from syncer.errors import ConfigError

Layer = Literal["credentials", "scopes", "fields", "limits"]
_SKEW_S = 60.0
_SCARCE = 0.1
_ONE: Mapping[str, str] = MappingProxyType({"limit": "1"})


class Check:
    """Looks at a portal before it is used."""

    def __init__(self, name: str, settings: Settings, wanted: Wanted, client: Client) -> None:
        self._name = name
        self._settings = settings
        self._wanted = wanted
        self._client = client.reserved  # it asks little, and must answer when nothing may be pulled any more

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
        yield from self._hooks()
        yield from self._scopes(streams)
        yield from self._fields()
        yield from self._limits()

    def _clock(self) -> Iterator[Finding]:
        skew_s = self._client.skew_s
        if abs(skew_s) > _SKEW_S:
            message = f"{self._name}: this machine's clock and HubSpot's differ by {abs(skew_s):.0f} seconds"
            yield Finding("credentials", "warning", message, "SY047", "set the machine's clock (NTP)")

    def _hooks(self) -> Iterator[Finding]:
        """The daemon listens at /hooks/NAME; a proxy may put something before it, and HubSpot signs the whole."""
        hooks, path = self._settings.webhooks, f"/hooks/{self._name}"
        if hooks is not None and not hooks.url.partition("?")[0].endswith(path):
            message = f"{self._name}: `webhooks.url` does not end in {path}, where the daemon listens"
            help_ = f"write it so here and as the target URL in the app's settings: https://your.host{path}"
            yield Finding("fields", "warning", message, "SY099", help_)

    def _scopes(self, streams: tuple[str, ...]) -> Iterator[Finding]:
        yield from self._events(streams)
        for stream in streams:
            yield self._probe_of(stream)
        may_read = self._probe("reading the owners", self._client.paths.owners, "warning")
        yield may_read
        if may_read.level == "ok":
            yield from self._fallback()
        if targets(self._settings, self._wanted):
            message = (
                f"{self._name}: whether the token may write (crm.objects.contacts.write; for `setup` also "
                "crm.schemas.contacts.write) shows only when something is written"
            )
            yield Finding("scopes", "note", message)

    def _fallback(self) -> Iterator[Finding]:
        """Who gets the tasks of contacts without an owner must be an owner, and still there."""
        email = self._settings.fallback_owner
        if email is None or owners(self._client, left=False).of(email):
            return
        why = "has left" if owners(self._client, left=True).of(email) else "is no owner in HubSpot"
        message = f"{self._name}: `fallback_owner` {email} {why}: tasks of contacts without an owner are nobody's"
        yield Finding("fields", "warning", message, "SY043", "name the e-mail of somebody who is an owner there now")

    def _events(self, streams: tuple[str, ...]) -> Iterator[Finding]:
        """Streams of events that bring nothing, and counters in whose place they could stand."""
        chosen = [each for each in EVENT_STREAMS if each in (self._settings.activities or ())]
        for stream in chosen:
            if stream == behavioural_events.NAME and not self._settings.events:
                message = f"{self._name}: which behavioural events shall be read is not said"
                yield Finding("fields", "warning", message, "SY043", "name them under `events`, like e_visited_page")
            elif not set(self._settings.told(stream)).intersection(self._wanted.activities):
                kinds = ", ".join(self._settings.told(stream))
                message = f"{self._name}: {stream!r} is read, but the model asks for nothing it tells of ({kinds})"
                yield Finding("fields", "warning", message, "SY043", "take it out of the connection's `activities`")
        if self._settings.events and behavioural_events.NAME not in chosen:
            message = f"{self._name}: `events` names events, but behavioural_events are not read"
            help_ = "add behavioural_events to the connection's `activities`"
            yield Finding("fields", "warning", message, "SY043", help_)
        if forms.KIND in people.wanted_counters(self._settings, self._wanted):
            message = (
                f"{self._name}: {forms.KIND} is counted by a property that HubSpot calculates without saying when it "
                "does: only a sweep sees it change, and none does where `sync.sweep` is off"
            )
            read = [each for each in streams if each in (*ACTIVITY_STREAMS, *EVENT_STREAMS)]
            line = f"activities: [{', '.join((*read, forms.NAME))}]"
            help_ = f"read each one (scope forms) by this line in the connection: {line}"
            yield Finding("fields", "warning", message, "SY043", help_)

    def _probe_of(self, stream: str) -> Finding:
        paths, what = self._client.paths, f"reading {stream}"
        if stream == forms.NAME:
            return self._probe(what, paths.forms, "error")
        if stream == marketing_emails.NAME:
            query = {"limit": "10", "startTimestamp": str(epoch_ms(self._client.now()))}
            return self._probe(what, paths.email_events, "error", query, needs="events")
        if stream != behavioural_events.NAME:
            return self._probe(what, paths.objects(stream), "error")
        try:
            with behavioural_events.explained(self._name):
                self._client.get(what, paths.event_occurrences, {"limit": "1", "objectType": "contact"})
        except ConfigError as error:
            return _finding("scopes", error)
        return Finding("scopes", "ok", f"{self._name}: {what} is allowed")

    def _probe(
        self,
        what: str,
        path: str,
        level: Literal["warning", "error"],
        query: Mapping[str, str] = _ONE,
        needs: str = "results",
    ) -> Finding:
        try:
            self._client.get(what, path, query, needs=needs)
        except ConfigError as error:
            return _finding("scopes", error, level)
        return Finding("scopes", "ok", f"{self._name}: {what} is allowed")

    def _fields(self) -> Iterator[Finding]:
        try:
            known = definitions(self._client)
        except ConfigError as error:
            yield _finding("scopes", error)
            return
        problems = [*self._unknown(known), *self._unknown_of_company(), *self._unfit(known), *self._unmapped(known)]
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

    def _unknown_of_company(self) -> Iterator[Finding]:
        asked = mapped_companies(self._settings, self._wanted)
        if not asked:
            return
        try:
            known = company_properties(self._client)
        except ConfigError as error:
            yield _finding("scopes", error)
            return
        for field, name in asked.items():
            if name not in known:
                message = f"{self._name}: HubSpot has no company property {name!r} for {field!r}: it reads as not set"
                help_ = f"map it: fields: {{ {field}: company.internal_name_in_hubspot }}"
                yield Finding("fields", "warning", message, "SY043", help_)

    def _unfit(self, known: dict[str, Json]) -> Iterator[Finding]:
        both = (targets(self._settings, self._wanted), manual_targets(self._settings, self._wanted))
        for target in (each for some in both for each in some.values()):
            found = known.get(target.name)
            if found is None:
                message = f"{self._name}: the property {target.name} does not exist in HubSpot yet"
                help_ = "`syncer setup` creates it"
                if target.manual:  # without it people are not read: see `people.lens`
                    yield Finding("fields", "error", message, "SY186", help_)
                else:
                    yield Finding("fields", "warning", message, "SY043", help_)
            elif lack := target.lack(found):
                yield Finding("fields", "error", f"{self._name}: {lack.text}", lack.code)

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
        share = self._settings.use_at_most
        if self._client.daily is None:
            if self._client.renews and share < 1:
                message = f"{self._name}: HubSpot does not tell OAuth apps the portal's daily limit"
                help_ = "`use_at_most` has no effect here; it has with a service key"
                yield Finding("limits", "warning", message, "SY029", help_)
            return
        left, limit = self._client.daily
        scarce = left < limit * _SCARCE
        message = f"{self._name}: {left:,} of {limit:,} requests left today (all apps of the portal share them)"
        yield Finding("limits", "warning" if scarce else "ok", message, "SY048" if scarce else "SY000")
        if share < 1:
            budget = self._client.budget
            used, ours = budget.used(self._client.local_now()), budget.allowed(limit)
            message = f"{self._name}: {used:,} used of the {ours:,} requests a day ({share:.0%}) that are ours"
            spent = used >= budget.allowed(limit, pulling=True)
            yield Finding("limits", "warning" if spent else "ok", message, "SY029" if spent else "SY000")


def _finding(layer: Layer, error: ConfigError, level: Literal["warning", "error"] = "error") -> Finding:
    return Finding(layer, level, error.message, error.code)
