"""The HubSpot section of a project file, as values."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from syncer.by_hand import fields_of
from syncer.quantities import Duration, DurationOrOff, Share

ActivityStream = Literal["emails", "calls", "meetings", "notes", "tasks", "communications"]
ACTIVITY_STREAMS: tuple[ActivityStream, ...] = ("emails", "calls", "meetings", "notes", "tasks", "communications")
EventStream = Literal["forms", "marketing_emails", "behavioural_events"]
EVENT_STREAMS: tuple[EventStream, ...] = ("forms", "marketing_emails", "behavioural_events")
_AnyStream = Literal[ActivityStream, EventStream]  # one list of names, so that a misspelt one gets one message

_LIFECYCLE = "lifecyclestage"
_LOOPBACK = re.compile(r"localhost|127(\.\d{1,3}){3}|\[::1\]")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Counter(_Section):
    """Two properties of a contact that sum up one kind of activity."""

    count: str = Field(description="Internal name of the property that counts: how many so far")
    last: str | None = Field(default=None, description="Internal name of the property with the date of the last one")


class Write(_Section):
    """Where the results go. What they show is also how an edit by a person is found, so two of them must be there."""

    score: str = Field(default="ls_score", min_length=1, description="Number property that receives the score")
    stage: str = Field(default="ls_stage", min_length=1, description="Drop-down property that receives the stage")
    reasons: str | None = Field(
        default="ls_score_reasons",
        description="Multi-line text property that receives the strongest reasons; null switches it off",
    )
    lifecyclestage: dict[str, str] = Field(
        default_factory=dict,
        description="Also move HubSpot's own lifecycle stage forward (for the way back see `backward`): our stage -> "
        "HubSpot's internal value, for instance mql: marketingqualifiedlead",
    )

    backward: Literal["never", "clear"] = Field(
        default="never",
        description="What becomes of HubSpot's own lifecycle stage when a lead falls back: never: it stays; clear: it "
        "is emptied and set again, the only way HubSpot allows, and only from a stage that `lifecyclestage` names",
    )

    @field_validator("lifecyclestage", mode="before")
    @classmethod
    def _off(cls, value: Any) -> Any:
        return {} if value is None else value

    @model_validator(mode="after")
    def _apart(self) -> Self:
        """Each result would overwrite the other, and HubSpot's own stage has an order and rules of its own."""
        names = [name for name in (self.score, self.stage, self.reasons) if name]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"score, stage and reasons need a property each, and {twice} is named twice")
        if _LIFECYCLE in names:
            raise ValueError(f"{_LIFECYCLE} is HubSpot's own; map stages to it under `write.{_LIFECYCLE}` instead")
        if self.backward == "clear" and not self.lifecyclestage:
            raise ValueError(
                f"`backward: clear` has nothing to clear; map stages under `write.{_LIFECYCLE}`, or take it out"
            )
        return self


class Manual(_Section):
    """Properties in which people choose a lead's stage by hand. syncer reads them and writes none of them."""

    stage: str = Field(
        min_length=1,
        description="Property that holds the stage people have chosen, for instance "
        "ls_manual_stage; while it is filled it stands over the rules",
    )
    reason: str | None = Field(default=None, description="Property that says why")
    until: str | None = Field(default=None, description="Date property: the last day on which the choice holds")


class OAuth(_Section):
    """An OAuth app's access to the portal, in place of `token`."""

    client_id: str = Field(min_length=1, description="The app's client id")
    client_secret: SecretStr = Field(description="The app's client secret")
    refresh_token: SecretStr = Field(description="The refresh token that installing the app gave")
    token_file: Path | None = Field(
        default=None,
        description="Where tokens that HubSpot renews are kept, readable by the owner alone, on a disk that outlives "
        "the process. Left out: .syncer/hubspot-NAME.json beside the project file. Connections with the same refresh "
        "token need the same file",
    )


class Webhooks(_Section):
    """HubSpot tells of changes itself (needs an app of yours, and the section `web`); they only make leads be read
    again at once, so nothing is lost where one does not come."""

    secret: SecretStr = Field(description="The app's client secret, which signs the requests")
    url: str = Field(description="The public address that HubSpot calls, as it stands in the app's settings")

    @field_validator("secret", mode="after")
    @classmethod
    def _not_empty(cls, value: SecretStr) -> SecretStr:
        text = value.get_secret_value().strip()
        if not text:
            raise ValueError("the secret is empty, so anybody could sign")
        return SecretStr(text)

    @field_validator("url", mode="after")
    @classmethod
    def _called(cls, value: str) -> str:
        if not re.fullmatch(r"https?://[^\s/]+(/\S*)?", value):
            raise ValueError("is not an address like https://syncer.example.com/hooks/crm")
        if value.startswith("http:") and not _LOOPBACK.fullmatch(_host(value)):
            raise ValueError("must start with https://: HubSpot calls nothing else; put a proxy before syncer")
        return value


def _host(address: str) -> str:
    """Of "http://127.0.0.1:8321/hooks/crm": 127.0.0.1. `urlsplit` would raise for some of what people write."""
    return re.sub(r":\d*$", "", address.partition("://")[2].partition("/")[0])


class Timeouts(_Section):
    """How long one request may take, in seconds."""

    connect: float = Field(default=5, gt=0, le=60, description="Seconds to wait for a connection")
    read: float = Field(default=60, gt=0, le=300, description="Seconds to wait for an answer")


COUNTERS: Mapping[str, Counter] = MappingProxyType(
    {
        "email_open": Counter(count="hs_email_open", last="hs_email_last_open_date"),
        "email_click": Counter(count="hs_email_click", last="hs_email_last_click_date"),
        "email_reply": Counter(count="hs_email_replied", last="hs_email_last_reply_date"),
        "page_view": Counter(count="hs_analytics_num_page_views", last="hs_analytics_last_timestamp"),
        "visit": Counter(count="hs_analytics_num_visits", last="hs_analytics_last_visit_timestamp"),
        "form_submission": Counter(count="num_conversion_events", last="recent_conversion_date"),
    }
)
"""Which contact properties count what, in a portal as it is born."""


EVENT_KINDS: Mapping[EventStream, tuple[str, ...]] = MappingProxyType(
    {
        "forms": ("form_submission",),
        "marketing_emails": ("email_open", "email_click", "email_delivered", "email_bounce", "email_unsubscribe"),
    }
)
"""What streams of events tell of, but for behavioural_events."""


def event_kind(event: str) -> str:
    """The kind of activity that a behavioural event is to the rules."""
    return "page_view" if event == "e_visited_page" else event


class Settings(_Section):
    """One HubSpot portal."""

    type: Literal["hubspot"] = Field(default="hubspot", description="The kind of CRM")
    token: SecretStr | None = Field(
        default=None,
        description="Access token: a service key, or the token of an existing private app. Write ${HUBSPOT_TOKEN} here "
        "and keep the token in the environment",
    )
    oauth: OAuth | None = Field(default=None, description="Access by an OAuth app, in place of `token`")
    api_version: Literal["v3", "2026-03", "2026-09"] = Field(
        default="2026-03",
        description="HubSpot's API version. 2026-09 also applies the portal's own validation rules to what we write",
    )
    base_url: str = Field(
        default="https://api.hubapi.com", description="Address of the API; change it for a proxy or a test"
    )
    fields: dict[str, str] = Field(
        default_factory=dict,
        description="Field name in the scoring model -> internal name of the HubSpot property, where they differ",
    )
    activities: tuple[_AnyStream, ...] | None = Field(
        default=None,
        description="What people do, to be read one by one. Left out: the emails, calls, meetings, notes, tasks and "
        "communications that the scoring model asks for. forms, marketing_emails and behavioural_events are read only "
        "where they stand here (scopes forms, content; the last needs Enterprise), and then take the place of the "
        "counters of the same kinds",
    )
    events: tuple[str, ...] = Field(
        default=(), description="Behavioural events to read, by HubSpot's names, for instance e_visited_page"
    )
    counters: dict[str, Counter] = Field(
        default_factory=lambda: dict(COUNTERS),
        description="Kinds of activities that HubSpot only counts on the contact -> the properties that count them. "
        "What is written here is added to the usual ones",
    )
    write: Write = Field(default_factory=Write, description="Properties that receive score, stage and reasons")
    manual: Manual | None = Field(
        default=None, description="Properties in which people choose a stage by hand; left out: none is read"
    )
    protected: tuple[str, ...] = Field(
        default=("opportunity", "customer", "evangelist", "other"),
        description="Lifecycle stages (internal values) that belong to other teams: such leads are never moved",
    )
    lag: Duration = Field(
        default=timedelta(seconds=60),
        description="How far behind the present changes are read: HubSpot's search shows them late (60s)",
    )
    overlap: Duration = Field(
        default=timedelta(minutes=5), description="How much of the last period is read again, to miss nothing (5m)"
    )
    search_rate: float = Field(
        default=4, gt=0, le=100, description="Searches a second; HubSpot allows 5 to all apps of the portal together"
    )
    second_look: DurationOrOff = Field(
        default=timedelta(hours=1),
        description="How far behind the present changes are looked for once more, for those that search showed very "
        "late (1h); off: never",
    )
    at_once: int = Field(default=4, ge=1, le=16, description="Requests under way at the same time")
    use_at_most: Share = Field(
        default=1.0,
        description="Share of the portal's daily requests that this connection may use (20%); the last tenth of it is "
        "kept for writing",
    )
    fallback_owner: str | None = Field(
        default=None, description="E-mail of the HubSpot owner who gets the tasks of contacts without one"
    )
    webhooks: Webhooks | None = Field(default=None, description="Let HubSpot tell of changes at once")
    timeout_s: Timeouts = Field(default_factory=Timeouts, description="How long one request may take, in seconds")

    def told(self, stream: EventStream) -> tuple[str, ...]:
        """The kinds of activities that a stream of events tells of."""
        return EVENT_KINDS.get(stream) or tuple(map(event_kind, self.events))

    def told_singly(self) -> frozenset[str]:
        """The kinds that chosen streams of events tell of, so that their counters would count them twice."""
        return frozenset().union(*self.single().values())

    def single(self) -> Mapping[str, frozenset[str]]:
        """Those kinds by the stream that tells of them."""
        return {each: frozenset(self.told(each)) for each in EVENT_STREAMS if each in (self.activities or ())}

    def problems(self, stages: Collection[str]) -> Iterator[tuple[tuple[str, ...], str]]:
        """What does not fit the scoring model: (the way to the value, why), for each."""
        for stage in self.write.lifecyclestage:
            if stage not in stages:
                known = ", ".join(stages)
                yield ("write", "lifecyclestage", stage), f"the model has no stage '{stage}'; it has: {known}"

    @model_validator(mode="after")
    def _of_people(self) -> Self:
        """What we write there ourselves would pass for people's word."""
        ours = (self.write.score, self.write.stage, self.write.reasons, _LIFECYCLE)
        names = list(fields_of(self.manual).values())
        if found := next((each for each in names if each in ours or names.count(each) > 1), None):
            raise ValueError(f"`manual` needs properties of its own for people to fill, and {found} is used already")
        return self

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if (self.token is None) == (self.oauth is None):
            raise ValueError("either `token` or `oauth` is needed, and not both")
        return self

    @field_validator("token", mode="after")
    @classmethod
    def _one_line(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        text = value.get_secret_value().strip()
        if not text:
            raise ValueError("the access token is empty")
        if not text.isascii() or any(letter.isspace() or not letter.isprintable() for letter in text):
            raise ValueError("the access token holds spaces, line breaks or letters that no token has")
        return SecretStr(text)

    @field_validator("fallback_owner", mode="after")
    @classmethod
    def _an_address(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", value):
            raise ValueError("is not the e-mail address of an owner, like sales@example.com")
        return value

    @field_validator("base_url", mode="after")
    @classmethod
    def _address(cls, value: str) -> str:
        if not re.fullmatch(r"https?://[^\s/]+(/\S*)?", value):
            raise ValueError("is not an address like https://api.hubapi.com")
        if value.startswith("http:") and not _LOOPBACK.fullmatch(_host(value)):
            raise ValueError("must start with https://: the token goes there with every request")
        return value.rstrip("/")

    @field_validator("counters", mode="after")
    @classmethod
    def _with_the_usual(cls, value: dict[str, Counter]) -> dict[str, Counter]:
        return {**COUNTERS, **value}
