"""The shapes of the project file's sections, and the notifiers as settings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    PlainValidator,
    SecretStr,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from syncer.rules import ActivityTest, Condition, leaves
from syncer.settings.addresses import refusal_of, standing_as_written
from syncer.settings.conditions import read_condition
from syncer.settings.models import CONDITION_SCHEMA, Section
from syncer.settings.problems import Mistake, Wrong, did_you_mean, quoted, wrong
from syncer.settings.services import service
from syncer.settings.sign_in import SignIn
from syncer.settings.values import (
    Day,
    Interval,
    IntervalOrOff,
    Language,
    Points,
    TimeOfDay,
    Timezone,
    Wait,
    span_ms,
)
from syncer.worktime import DAY_M

_ADDRESS = re.compile(r"[^@\s,;<>\"]+@[^@\s,;<>\"]+\.[^@\s,;<>\"]+")
OWNER = "owner"
"""Among a route's recipients: whoever owns the record in the CRM."""
TOUCHES = ("call", "meeting", "email_sent", "email", "task")
"""The kinds of activities by which sales acts on a lead, as the connectors for CRMs call them."""


def _manual_change(raw: Any) -> Any:
    """`respect`, `overwrite` or {respect_for: 30d} -> what to do and for how long."""
    if raw in ("respect", "overwrite"):
        return ManualChange(raw)
    if isinstance(raw, Mapping) and set(raw) == {"respect_for"}:
        return ManualChange("respect_for", timedelta(milliseconds=span_ms(raw["respect_for"])))
    names = ("respect", "overwrite", "respect_for")
    raise wrong(f"{quoted(raw)} is not one of respect, overwrite, {{respect_for: 30d}}", did_you_mean(raw, names))


@dataclass(frozen=True, slots=True)
class ManualChange:
    """What becomes of a stage that somebody changed in the CRM."""

    policy: Literal["respect", "overwrite", "respect_for"] = "respect"
    span: timedelta | None = None  # with respect_for


_MANUAL_SCHEMA = {
    "anyOf": [
        {"enum": ["respect", "overwrite"]},
        {
            "type": "object",
            "properties": {"respect_for": {"type": "string"}},
            "required": ["respect_for"],
            "additionalProperties": False,
        },
    ]
}


class SyncFile(Section):
    every: Interval = Field(default="15m", validate_default=True)
    max_stage_changes: Annotated[int, Field(ge=0)] = 200
    max_handoffs: Annotated[int, Field(ge=0)] = 50
    min_step: Points = Field(default=1, validate_default=True)
    sweep: IntervalOrOff = Field(default="1d", validate_default=True)
    sweep_activities: IntervalOrOff = Field(default="7d", validate_default=True)
    keep_activities: IntervalOrOff = None
    keep_handoffs: IntervalOrOff = None
    manual_change: Annotated[ManualChange, PlainValidator(_manual_change), WithJsonSchema(_MANUAL_SCHEMA)] = Field(
        default="respect", validate_default=True
    )

    @field_validator("min_step")
    @classmethod
    def _not_negative(cls, step: int) -> int:
        if step < 0:
            raise wrong("'min_step' cannot be negative")
        return step


def _web_address(raw: Any) -> Any:
    text = raw.get_secret_value() if isinstance(raw, SecretStr) else raw
    if isinstance(text, str) and not (re.fullmatch(r"https?://[^\s/]+\S*", text) and _host(text)):
        raise wrong("must be a web address that starts with https://")
    return raw


def _host(url: str) -> str:
    """The host as the URL writes it; "" where it has none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # a bracket without its other half
        return ""


def _refuse_private(host: str, private: bool, key: str = "url") -> None:
    """Every message to it would be refused: better told now. A name is judged when it is connected to."""
    refusal = refusal_of("this", standing_as_written(host), private)
    if refusal is not None:
        raise Wrong(Mistake((key,), *refusal, "SY210"))


def _mail_address(raw: Any) -> Any:
    if isinstance(raw, str) and not _ADDRESS.fullmatch(raw):
        raise wrong(f"{quoted(raw)} is not an e-mail address")
    return raw


Seconds = Annotated[float, Field(gt=0, le=120)]
MailAddress = Annotated[str, BeforeValidator(_mail_address)]


class Slack(Section):
    """A Slack incoming webhook, or anything that takes the same JSON."""

    type: Literal["slack"] = "slack"
    url: Annotated[SecretStr, BeforeValidator(_web_address)]
    signing_secret: SecretStr | None = None
    personal_data: bool = True
    private_addresses: bool = False
    timeout_s: Seconds = 10.0

    @model_validator(mode="after")
    def _stays_outside(self) -> Self:
        _refuse_private(_host(self.url.get_secret_value()), self.private_addresses)
        return self


class Email(Section):
    """A mail server that takes messages for sales."""

    type: Literal["email"] = "email"
    host: Annotated[str, StringConstraints(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    user: str | None = None
    password: SecretStr | None = None
    sender: Annotated[MailAddress, Field(alias="from")]
    security: Literal["starttls", "tls", "none"] = "starttls"
    personal_data: bool = True
    timeout_s: Seconds = 10.0

    @model_validator(mode="after")
    def _is_a_mail_servers(self) -> Self:
        _refuse_private(self.host, private=True, key="host")
        return self


class Webhook(Section):
    """Any receiver of signed JSON; with a `secret` each message carries its signature."""

    type: Literal["webhook"] = "webhook"
    url: Annotated[str, BeforeValidator(_web_address)]
    secret: SecretStr | None = None
    personal_data: bool = True
    private_addresses: bool = False
    timeout_s: Seconds = 10.0

    @model_validator(mode="after")
    def _stays_outside(self) -> Self:
        _refuse_private(_host(self.url), self.private_addresses)
        return self


class CrmTask(Section):
    """A task on the lead's own record in the CRM, for who shall act, else for whoever owns the record."""

    type: Literal["task"] = "task"
    due_in: Interval = Field(default="1d", validate_default=True)


def _one_recipient(url: SecretStr) -> SecretStr:
    service(url.get_secret_value(), timeout_s=1)
    return url


class Apprise(Section):
    """One recipient at one of the services that Apprise speaks to: Teams, Telegram, ntfy, Mattermost and many more."""

    type: Literal["apprise"] = "apprise"
    url: Annotated[SecretStr, AfterValidator(_one_recipient)]
    personal_data: bool = True
    private_addresses: bool = False
    timeout_s: Seconds = 10.0

    @model_validator(mode="after")
    def _stays_outside(self) -> Self:
        """Of services at home in the cloud the host is no host but a token: it is no address either."""
        host = service(self.url.get_secret_value(), timeout_s=1).host
        _refuse_private(str(host or ""), self.private_addresses)
        return self


Notifier = Annotated[Slack | Email | Webhook | CrmTask | Apprise, Field(discriminator="type")]
NOTIFIERS: Mapping[str, type[BaseModel]] = {
    "slack": Slack,
    "email": Email,
    "webhook": Webhook,
    "task": CrmTask,
    "apprise": Apprise,
}


class Repeats(Section):
    """What becomes of a message that may have been sent already when the process died. A webhook's receiver knows
    repeats by their key, so it always gets them; a task is looked up in the CRM first."""

    slack: Literal["resend", "hold"] = "resend"
    email: Literal["resend", "hold"] = "hold"
    apprise: Literal["resend", "hold"] = "resend"


def _route_condition(raw: Any) -> Condition:
    condition = read_condition(raw, {})
    if any(isinstance(leaf, ActivityTest) for leaf in leaves(condition)):
        raise wrong("a route looks at the lead's fields, not at activities")
    return condition


def _recipients(raw: Any) -> Any:
    recipients = [raw] if isinstance(raw, str) else raw
    if not isinstance(recipients, list) or not recipients:
        raise wrong(f"a list of e-mail addresses is needed here, not {quoted(raw)}", "or owner: the record's owner")
    mistakes = [
        Mistake((rank,) if recipients is raw else (), f"{quoted(one)} is not an e-mail address")
        for rank, one in enumerate(recipients)
        if not isinstance(one, str) or ("@" in one and not _ADDRESS.fullmatch(one))
    ]
    if mistakes:
        raise Wrong(*mistakes)
    return tuple(recipients)


def _one_or_more(raw: Any) -> Any:
    """One entry may stand without brackets."""
    return _filled([raw] if isinstance(raw, str) else raw)


def _filled(raw: Any) -> Any:
    if isinstance(raw, list | tuple) and not raw:
        raise wrong("the list is empty; it needs at least one entry")
    return raw


Kind = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
_SCALARS = ["string", "number", "boolean"]
_TEXTS = WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]})


class RouteFile(Section):
    when: Annotated[Condition | None, PlainValidator(_route_condition), CONDITION_SCHEMA, Field(alias="if")] = None
    to: Annotated[tuple[str, ...], PlainValidator(_recipients), _TEXTS]
    fallback: MailAddress | None = None
    assign: bool = False


DayName = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[DayName, ...] = get_args(DayName)


class SpanFile(Section):
    """Working hours of some days. Those over midnight are two: until 24:00, and from 00:00 on the days after."""

    days: Annotated[tuple[DayName, ...], BeforeValidator(_filled)] = DAYS[:5]
    start: Annotated[TimeOfDay, Field(alias="from", default="09:00", validate_default=True)]
    end: Annotated[TimeOfDay, Field(alias="to", default="18:00", validate_default=True)]

    @model_validator(mode="after")
    def _has_time(self) -> Self:
        if self.start >= self.end:
            help = 'hours over midnight are two: to: "24:00", and under `also` from: "00:00" on the days after'
            raise Wrong(Mistake(("to",), "'to' is not later than 'from'", help, "SY010"))
        return self


class HoursFile(SpanFile):
    """When sales works."""

    also: tuple[SpanFile, ...] = ()
    timezone: Timezone | None = None
    holidays: tuple[Day, ...] = ()


class AwayFile(Section):
    """Days on which somebody gets nothing: from the first to the last one, both included."""

    first: Annotated[Day, Field(alias="from")]
    last: Annotated[Day | None, Field(alias="to")] = None

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> Self:
        if self.last is not None and self.last < self.first:
            raise Wrong(Mistake(("to",), "'to' is before 'from'", "both are days away; one day needs no 'to'", "SY010"))
        return self


class PersonFile(Section):
    """Somebody in sales, as routes and teams name them."""

    email: MailAddress
    per_day: Annotated[int, Field(ge=1)] | None = None
    weight: Annotated[int, Field(ge=1, le=100)] = 1
    away: tuple[AwayFile, ...] = ()
    hours: HoursFile | None = None


Pick = Literal["round_robin", "weighted", "all"]


class TeamFile(Section):
    """People who share the hand-offs of a route."""

    members: Annotated[tuple[str, ...], BeforeValidator(_one_or_more)]
    pick: Pick = "round_robin"
    queue: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)] | None = None


_LONGEST_CLOCK = timedelta(days=30)


def _soon(span: timedelta) -> timedelta:
    if span > _LONGEST_CLOCK:
        raise wrong("is longer than 30d of working time", "1d is 24 working hours; write for example 4h")
    return span


WorkingTime = Annotated[Interval, AfterValidator(_soon)]


def _values(raw: Any) -> Any:
    values = raw if isinstance(raw, list) else [raw]
    if not values or not all(isinstance(one, str | int | float) and str(one).strip() for one in values):
        raise wrong(f"a value of the field or a list of them is needed here, not {quoted(raw)}")
    return tuple(values)


Values = Annotated[
    tuple[str | float | bool, ...],
    PlainValidator(_values),
    WithJsonSchema({"anyOf": [{"type": _SCALARS}, {"type": "array", "items": {"type": _SCALARS}, "minItems": 1}]}),
]
FieldName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


_SLACK_OPTION = 75  # characters that Slack takes (its reference "Option object")
ReasonText = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=75)
]  # as long as Slack takes
MOST_REASONS = 20  # more than that nobody reads, and a Slack message with its menu has to stay short
REASONS = ("no budget", "not now", "not a fit", "cannot be reached", "already a customer", "other")
_SHORTEST_SECRET = 16


class QuietFile(Section):
    """When nobody shall be disturbed. From an evening to a morning goes over midnight."""

    start: Annotated[TimeOfDay, Field(alias="from")]
    end: Annotated[TimeOfDay, Field(alias="to")]
    at_most: Interval

    @model_validator(mode="after")
    def _is_a_part_of_the_day(self) -> Self:
        if self.start % DAY_M == self.end % DAY_M:
            raise Wrong(Mistake(("to",), "'from' and 'to' are the same time", "it would be quiet all day", "SY010"))
        return self


class DigestFile(Section):
    """Above how many messages within which time the further ones go out as one."""

    above: Annotated[int, Field(ge=1)] = 20
    per: Interval = Field(default="10m", validate_default=True)


class RejectFile(Section):
    """Where a lead goes that sales calls not ready, and for how long the rules leave it there."""

    to: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
    hold: Interval | None = None


class AnswersFile(Section):
    """How sales answers."""

    reasons: Annotated[tuple[ReasonText, ...], BeforeValidator(_one_or_more), Field(max_length=MOST_REASONS)] = REASONS
    field: FieldName | None = None
    reason_field: FieldName | None = None
    accepted: Values = ("accepted",)
    rejected: Values = ("rejected",)

    @model_validator(mode="after")
    def _tell_apart(self) -> Self:
        accepted = {str(one).casefold() for one in self.accepted}  # case does not count where it is read either
        both = [one for one in self.rejected if str(one).casefold() in accepted]
        if both:
            message = f"{quoted(both[0])} stands under `accepted`, too"
            raise Wrong(Mistake(("rejected",), message, "each value is one or the other", "SY010"))
        if self.field is None:
            for key in sorted({"reason_field", "accepted", "rejected"} & self.model_fields_set):
                message = f"'{key}' needs a field in which sales answers"
                raise Wrong(Mistake((key,), message, "write for example field: sales_answer", "SY010", at_key=True))
        return self


class HandoffFile(Section):
    when: str | None = None
    wait: Wait = Field(default="15m", validate_default=True)
    cool_down: Wait = Field(default="0d", validate_default=True)
    notifiers: dict[str, Any] = Field(default_factory=dict)  # each is checked by its own `type`
    repeats: Repeats = Field(default_factory=Repeats)
    people: dict[str, PersonFile] = Field(default_factory=dict)
    teams: dict[str, TeamFile] = Field(default_factory=dict)
    route: tuple[RouteFile, ...] = ()
    notify: Annotated[tuple[str, ...], BeforeValidator(lambda raw: [raw] if isinstance(raw, str) else raw)] = ()
    hours: HoursFile | None = None
    respond_within: WorkingTime | None = None
    remind_after: WorkingTime | None = None
    escalate_after: WorkingTime | None = None
    escalate_to: Annotated[tuple[MailAddress, ...], BeforeValidator(_one_or_more)] = ()
    touched_by: Annotated[tuple[Kind, ...], BeforeValidator(_one_or_more)] = TOUCHES
    templates: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)] | None = None
    quiet_hours: QuietFile | None = None
    digest: DigestFile = Field(default_factory=DigestFile)
    on_reject: RejectFile | None = None
    answers: AnswersFile = Field(default_factory=AnswersFile)

    @model_validator(mode="after")
    def _times_fit_together(self) -> Self:
        mistakes = [*_clock_mistakes(self), *_hold_mistakes(self)]
        if mistakes:
            raise Wrong(*mistakes)
        return self


def _clock_mistakes(handoff: HandoffFile) -> Iterator[Mistake]:
    """Steps after the hand-off need something they are steps of, and come one after the other."""
    if handoff.respond_within is None:
        for key in {"remind_after", "escalate_after", "escalate_to"} & handoff.model_fields_set:
            message = f"'{key}' needs a time within which sales shall act, and there is none"
            yield Mistake((key,), message, "write for example respond_within: 1h", "SY010", at_key=True)
        return
    if handoff.escalate_after is not None and not handoff.escalate_to:
        message = "'escalate_after' does not say to whom"
        yield Mistake(("escalate_after",), message, "write escalate_to: [boss@...]", "SY010", at_key=True)
    reminded = handoff.remind_after or handoff.respond_within
    if handoff.escalate_after is not None and handoff.escalate_after <= reminded:
        message = "'escalate_after' must be longer than what sales is reminded after"
        yield Mistake(("escalate_after",), message, "both begin when sales is told", "SY010")


def _hold_mistakes(handoff: HandoffFile) -> Iterator[Mistake]:
    """Who is ready again within the cool-down is not told of anew, and what was rejected cannot be answered again."""
    hold = handoff.on_reject.hold if handoff.on_reject is not None else None
    if hold is not None and hold < handoff.cool_down:
        message = "'hold' is shorter than 'cool_down': a lead that is ready again in between would be told to nobody"
        yield Mistake(("on_reject", "hold"), message, "make it as long as handoff.cool_down, or longer", "SY010")


class OutcomeFile(Section):
    """How a lead's end is told: `simulate` measures with it, and no rule looks at it."""

    field: FieldName
    won: Values
    lost: Values = ()
    at: FieldName | None = None

    @field_validator("lost")
    @classmethod
    def _are_others(cls, lost: tuple[Any, ...], info: ValidationInfo) -> tuple[Any, ...]:
        both = [one for one in lost if one in info.data.get("won", ())]
        if both:
            raise wrong(f"{quoted(both[0])} stands under `won`, too", "each value is one or the other", "SY010")
        return lost


def _long_enough(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value()) < _SHORTEST_SECRET:
        raise wrong(f"is shorter than {_SHORTEST_SECRET} characters", "make one, for example: openssl rand -hex 32")
    return secret


class Web(Section):
    """Where the daemon listens: for what a CRM tells by itself, for what sales answers, and for whoever watches over
    the process."""

    host: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)] = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8321
    public_url: Annotated[str, BeforeValidator(_web_address)] | None = None
    secret: Annotated[SecretStr, AfterValidator(_long_enough)] | None = None
    source: FieldName | None = None
    mask_emails: bool = False
    sign_in: SignIn | None = None

    @model_validator(mode="after")
    def _is_reached(self) -> Self:
        """A provider sends people back to where they came from."""
        if self.sign_in is not None and self.sign_in.oidc is not None and self.public_url is None:
            message = "'oidc' needs 'public_url': the provider sends people back there"
            help = "web.public_url is where these pages are reached, such as https://syncer.example.com"
            raise Wrong(Mistake(("sign_in", "oidc"), message, help, "SY252", at_key=True))
        return self

    @model_validator(mode="after")
    def _can_make_links(self) -> Self:
        if self.secret is None and self.sign_in is not None:
            return self  # its cookies are for that address
        if (self.public_url is None) != (self.secret is None):
            key, other = ("secret", "public_url") if self.public_url is None else ("public_url", "secret")
            message = f"'{key}' does nothing without '{other}'"
            help = "links in messages are made of both: where the daemon is reached from outside, and what signs them"
            raise Wrong(Mistake((key,), message, help, "SY010", at_key=True))
        return self


class AlertsFile(Section):
    """Who is told when only a person can mend a connection."""

    notify: Annotated[tuple[str, ...], BeforeValidator(_one_or_more)]
    to: Annotated[tuple[MailAddress, ...], BeforeValidator(_one_or_more)] = ()


class ProjectFile(Section):
    """The whole file; connections, models and notifiers are looked at one by one beside it."""

    version: Literal[1] = 1
    timezone: Timezone = "UTC"
    language: Language = "en"
    connections: Any = None
    same_person: Literal["email"] | None = None
    sync: SyncFile = Field(default_factory=SyncFile)
    models: Any = None
    handoff: HandoffFile | None = None
    outcome: OutcomeFile | None = None
    web: Web | None = None
    alerts: AlertsFile | None = None


def _plain_condition(raw: Any) -> Condition:
    return read_condition(raw, {})


class SegmentFile(Section):
    use: str
    when: Annotated[Condition | None, PlainValidator(_plain_condition), CONDITION_SCHEMA] = Field(
        default=None, alias="for"
    )
