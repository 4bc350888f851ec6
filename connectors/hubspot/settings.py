"""The HubSpot section of a project file, as values."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator

ActivityStream = Literal["emails", "calls", "meetings", "notes", "tasks"]
ACTIVITY_STREAMS: tuple[ActivityStream, ...] = ("emails", "calls", "meetings", "notes", "tasks")

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _duration(value: Any) -> Any:
    """Of "15s", "5m", "2h", "1d" or a number of seconds."""
    if isinstance(value, bool):
        raise ValueError("is not a duration; write 15s, 5m or a number of seconds")
    if isinstance(value, int | float):
        return timedelta(seconds=value)
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd]?)\s*", value)
    if found is None:
        raise ValueError("is not a duration; write 15s, 5m or a number of seconds")
    return timedelta(**{_UNITS[found[2] or "s"]: float(found[1])})


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration, json_schema_input_type=str | float),
    Field(ge=timedelta(0), le=timedelta(days=1)),
]


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
        description="Also move HubSpot's own lifecycle stage forward, never back: our stage -> HubSpot's internal "
        "value, for instance mql: marketingqualifiedlead",
    )

    @field_validator("lifecyclestage", mode="before")
    @classmethod
    def _off(cls, value: Any) -> Any:
        return {} if value is None else value


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


class Settings(_Section):
    """One HubSpot portal."""

    type: Literal["hubspot"] = Field(default="hubspot", description="The kind of CRM")
    token: SecretStr = Field(
        description="Access token: a service key, or the token of an existing private app. Write ${HUBSPOT_TOKEN} here "
        "and keep the token in the environment"
    )
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
    activities: tuple[ActivityStream, ...] | None = Field(
        default=None, description="Activities to read. Empty: those the scoring model asks for"
    )
    counters: dict[str, Counter] = Field(
        default_factory=lambda: dict(COUNTERS),
        description="Kinds of activities that HubSpot only counts on the contact -> the properties that count them. "
        "What is written here is added to the usual ones",
    )
    write: Write = Field(default_factory=Write, description="Properties that receive score, stage and reasons")
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
    timeout_s: Timeouts = Field(default_factory=Timeouts, description="How long one request may take, in seconds")

    def problems(self, stages: Collection[str]) -> Iterator[tuple[tuple[str, ...], str]]:
        """What does not fit the scoring model: (the way to the value, why), for each."""
        for stage in self.write.lifecyclestage:
            if stage not in stages:
                known = ", ".join(stages)
                yield ("write", "lifecyclestage", stage), f"the model has no stage '{stage}'; it has: {known}"

    @field_validator("token", mode="after")
    @classmethod
    def _one_line(cls, value: SecretStr) -> SecretStr:
        text = value.get_secret_value().strip()
        if not text:
            raise ValueError("the access token is empty")
        if not text.isascii() or any(letter.isspace() or not letter.isprintable() for letter in text):
            raise ValueError("the access token holds spaces, line breaks or letters that no token has")
        return SecretStr(text)

    @field_validator("base_url", mode="after")
    @classmethod
    def _address(cls, value: str) -> str:
        if not re.fullmatch(r"https?://[^\s/]+(/\S*)?", value):
            raise ValueError("is not an address like https://api.hubapi.com")
        return value.rstrip("/")

    @field_validator("counters", mode="after")
    @classmethod
    def _with_the_usual(cls, value: dict[str, Counter]) -> dict[str, Counter]:
        return {**COUNTERS, **value}
