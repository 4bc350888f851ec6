"""The Salesforce section of a project file, as values."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from syncer.by_hand import fields_of
from syncer.quantities import Duration, Share

PersonObject = Literal["Lead", "Contact"]
ActivityObject = Literal["Task", "Event", "EmailMessage", "CampaignMember"]
PEOPLE: tuple[PersonObject, ...] = get_args(PersonObject)
ACTIVITIES: tuple[ActivityObject, ...] = get_args(ActivityObject)

_LOOPBACK = re.compile(r"localhost|127(\.\d{1,3}){3}|\[::1\]")
_NAME = re.compile(r"[A-Za-z](?:\w*[A-Za-z0-9])?", re.ASCII)
_PATH = re.compile(r"[A-Za-z]\w*(\.[A-Za-z]\w*){0,4}", re.ASCII)
_OURS = frozenset({"id", "ownerid", "status", "systemmodstamp", "lastmodifieddate", "email", "firstname", "lastname"})

_USUAL: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "Lead": MappingProxyType({"jobtitle": "Title", "mobilephone": "MobilePhone", "zip": "PostalCode"}),
        "Contact": MappingProxyType(
            {
                "jobtitle": "Title",
                "company": "Account.Name",
                "country": "MailingCountry",
                "state": "MailingState",
                "city": "MailingCity",
                "zip": "MailingPostalCode",
                "industry": "Account.Industry",
                "website": "Account.Website",
                "numberofemployees": "Account.NumberOfEmployees",
                "annualrevenue": "Account.AnnualRevenue",
            }
        ),
    }
)
"""Where the usual words of models stand, beside fields that are called so (SOQL's names have no case)."""


def api_name(value: str) -> str:
    """The API name of a field."""
    if not _NAME.fullmatch(value):
        raise ValueError(f"{value!r} is not the API name of a field, like Lead_Score__c")
    return value


def _target(value: str) -> str:
    if api_name(value).lower() in _OURS:
        raise ValueError(f"{value} is Salesforce's own; name a field that is for syncer alone, like Lead_Score__c")
    return value


def _path(value: str) -> str:
    if not _PATH.fullmatch(value):
        raise ValueError(f"{value!r} is not a field of Salesforce, like Title or Account.Industry")
    return value


def _address(value: str) -> str:
    if value is not None and not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", value):
        raise ValueError("is not the e-mail address of a user, like sales@example.com")
    return value


def _secret(value: SecretStr) -> SecretStr:
    text = value.get_secret_value().strip()
    if not text:
        raise ValueError("is empty")
    if not text.isascii() or any(letter.isspace() or not letter.isprintable() for letter in text):
        raise ValueError("holds spaces, line breaks or letters that no secret of Salesforce's has")
    return SecretStr(text)


Target = Annotated[str, AfterValidator(_target)]
FieldPath = Annotated[str, AfterValidator(_path)]
Address = Annotated[str, AfterValidator(_address)]
Secret = Annotated[SecretStr, AfterValidator(_secret)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class ClientCredentials(_Section):
    """An external client app that speaks for its run-as user: what a daemon needs, and no more."""

    client_id: str = Field(min_length=1, description="The app's consumer key")
    client_secret: Secret = Field(description="The app's consumer secret")


class Jwt(_Section):
    """An external client app that trusts a certificate of yours; the user must be pre-authorised."""

    client_id: str = Field(min_length=1, description="The app's consumer key")
    username: str = Field(min_length=1, description="The Salesforce user to work as, as it logs in")
    private_key: SecretStr | None = Field(
        default=None, description="The private key as PEM text, for instance ${file:/run/secrets/sf.pem}"
    )
    private_key_file: Path | None = Field(default=None, description="Or the file that holds it")
    audience: str | None = Field(
        default=None,
        description="Whom the assertion is for. Left out: https://test.salesforce.com for a sandbox's address, "
        "https://login.salesforce.com for any other",
    )

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if (self.private_key is None) == (self.private_key_file is None):
            raise ValueError("either `private_key` or `private_key_file` is needed, and not both")
        if self.private_key is not None and "PRIVATE KEY-----" not in self.private_key.get_secret_value():
            raise ValueError("`private_key` is not a private key in PEM form (-----BEGIN PRIVATE KEY-----)")
        return self


class Refresh(_Section):
    """The refresh token that somebody's login through the browser gave."""

    client_id: str = Field(min_length=1, description="The app's consumer key")
    client_secret: Secret | None = Field(default=None, description="The app's consumer secret, where it asks for it")
    refresh_token: Secret = Field(description="The refresh token that the login gave")
    token_file: Path | None = Field(
        default=None,
        description="Where refresh tokens that Salesforce rotates are kept, readable by the owner alone, on a disk "
        "that outlives the process. Left out: .syncer/salesforce-NAME.json beside the project file. Connections with "
        "the same refresh token need the same file",
    )


class Write(_Section):
    """Where the results go, on each object that is read. What they show is also how an edit by a person is found, so
    two of them must be there."""

    score: Target = Field(default="Lead_Score__c", description="Number field that receives the score")
    stage: Target = Field(default="Lifecycle_Stage__c", description="Picklist or text field that receives the stage")
    reasons: Target | None = Field(
        default="Lead_Score_Reasons__c",
        description="Long text area that receives the strongest reasons; null switches it off",
    )
    status: dict[str, str] = Field(
        default_factory=dict,
        description="Also move a lead's Status forward: our stage -> value of Status, for instance "
        "sql: Working - Contacted. A converted status cannot be set",
    )

    @field_validator("status", mode="before")
    @classmethod
    def _off(cls, value: Any) -> Any:
        return {} if value is None else value

    @model_validator(mode="after")
    def _apart(self) -> Self:
        names = [name.lower() for name in (self.score, self.stage, self.reasons) if name]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"score, stage and reasons need a field each, and {twice} is named twice")
        return self


class Manual(_Section):
    """Fields in which people choose a stage by hand, on each object that is read. syncer reads them and writes none of
    them."""

    stage: Target = Field(
        description="Picklist or text field that holds the stage people have chosen, for instance Manual_Stage__c; "
        "while it is filled it stands over the rules"
    )
    reason: Target | None = Field(default=None, description="Text field that says why")
    until: Target | None = Field(default=None, description="Date field: the last day on which the choice holds")


class TaskSettings(_Section):
    """The tasks by which leads are handed to sales."""

    external_id: Target | None = Field(
        default="Syncer_Key__c",
        description="Text field of Task, marked as external id and unique, by which a task is made only once. null: "
        "syncer searches for its own mark in the task's text instead, which is slower",
    )
    fallback_owner: Address | None = Field(
        default=None,
        description="E-mail of the user who gets the tasks of leads that belong to a queue or to somebody who has left",
    )


class Timeouts(_Section):
    """How long one request may take, in seconds."""

    connect: float = Field(default=10, gt=0, le=60, description="Seconds to wait for a connection")
    read: float = Field(
        default=130, gt=0, le=300, description="Seconds to wait for more of an answer; Salesforce ends queries at 120"
    )


class Settings(_Section):
    """One Salesforce org."""

    type: Literal["salesforce"] = Field(default="salesforce", description="The kind of CRM")
    instance_url: str = Field(
        description="The org's My Domain address, like https://acme.my.salesforce.com or, for a sandbox, "
        "https://acme--test.sandbox.my.salesforce.com"
    )
    client_credentials: ClientCredentials | None = Field(
        default=None, description="Access by an app with its secret (the client credentials flow)"
    )
    jwt: Jwt | None = Field(default=None, description="Access by an app with a certificate (the JWT bearer flow)")
    refresh: Refresh | None = Field(default=None, description="Access by a refresh token")
    token: Secret | None = Field(
        default=None, description="A session id, for trying things out: it ends after some hours, and nothing renews it"
    )
    api_version: str = Field(
        default="60.0", pattern=r"^[1-9]\d\.0$", description="The version of Salesforce's API; it never changes alone"
    )
    objects: tuple[PersonObject, ...] = Field(
        default=PEOPLE, min_length=1, description="Which objects are people: Lead, Contact or both"
    )
    fields: dict[str, FieldPath | dict[PersonObject, FieldPath]] = Field(
        default_factory=dict,
        description="Field name in the scoring model -> field of Salesforce where they differ, for instance "
        "seniority: Level__c, or by object: country: {Lead: Country, Contact: MailingCountry}. Parents are reached by "
        "a dot: account.industry: {Contact: Account.Industry}",
    )
    activities: tuple[ActivityObject, ...] | None = Field(
        default=None,
        description="What people do, to be read one by one. Left out: those that the scoring model asks for",
    )
    write: Write = Field(default_factory=Write, description="Fields that receive score, stage and reasons")
    manual: Manual | None = Field(
        default=None, description="Fields in which people choose a stage by hand; left out: none is read"
    )
    task: TaskSettings = Field(default_factory=TaskSettings, description="The tasks that hand leads to sales")
    protected: tuple[str, ...] = Field(
        default=(),
        description="Values of a lead's Status that belong to other teams: such leads are never moved. Converted "
        "statuses always do",
    )
    allow_duplicates: bool = Field(
        default=False, description="Write although a duplicate rule of the org would only warn (never one that blocks)"
    )
    first_load: Literal["auto", "bulk", "rest"] = Field(
        default="auto", description="How everything is read at once: auto takes the Bulk API above 20,000 records"
    )
    lag: Duration = Field(
        default=timedelta(minutes=10),
        description="How far behind the present changes are read where Salesforce does not tell up to when it has "
        "shown all of them (10m)",
    )
    at_once: int = Field(default=4, ge=1, le=16, description="Requests under way at the same time")
    use_at_most: Share = Field(
        default=0.8,
        description="How full the org's allowance of requests in 24 hours may get, by whomever, before syncer waits "
        "(80%); the last tenth of it is kept for writing, and leads that reach the hand-off stage are still written",
    )
    timeout_s: Timeouts = Field(default_factory=Timeouts, description="How long one request may take, in seconds")

    def path(self, kind: str, field: str) -> str | None:
        """Where a field of the model stands on an object; None: this object has none, by what the settings say."""
        told = self.fields.get(field)
        if isinstance(told, str):
            return told
        if told is not None:
            return dict[str, str](told).get(kind)  # type: ignore[arg-type]  # its keys are names of objects
        found = _USUAL.get(kind, {}).get(field.lower(), field)
        return found if _PATH.fullmatch(found) else None

    def problems(self, stages: Collection[str]) -> Iterator[tuple[tuple[str, ...], str]]:
        """What does not fit the scoring model: (the way to the value, why), for each."""
        for stage in self.write.status:
            if stage not in stages:
                known = ", ".join(stages)
                yield ("write", "status", stage), f"the model has no stage '{stage}'; it has: {known}"

    @property
    def sandbox(self) -> bool:
        """By its address."""
        return "--" in self.instance_url or ".sandbox." in self.instance_url

    @model_validator(mode="after")
    def _of_people(self) -> Self:
        """What we write there ourselves would pass for people's word."""
        ours = {name.lower() for name in (self.write.score, self.write.stage, self.write.reasons) if name}
        names = [name.lower() for name in fields_of(self.manual).values()]
        if found := next((each for each in names if each in ours or names.count(each) > 1), None):
            raise ValueError(f"`manual` needs fields of its own for people to fill, and {found} is used already")
        return self

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        ways = [name for name in ("client_credentials", "jwt", "refresh", "token") if getattr(self, name) is not None]
        if len(ways) != 1:
            told = f"there are {' and '.join(ways)}" if ways else "there is none"
            raise ValueError(f"one of `client_credentials`, `jwt`, `refresh` and `token` is needed; {told}")
        return self

    @field_validator("instance_url", mode="after")
    @classmethod
    def _my_domain(cls, value: str) -> str:
        return origin(value)


def origin(address: str) -> str:
    """Scheme and host of an org's address, in small letters; ValueError for one that cannot be an org's."""
    found = re.fullmatch(r"(https?)://([^\s/@?#]+)(/[^\s?#]*)?", address.strip(), re.IGNORECASE)
    if found is None:
        raise ValueError("is not an address like https://acme.my.salesforce.com")
    scheme, host = found[1].lower(), found[2].lower()
    bare = re.sub(r":\d*$", "", host)
    if bare.endswith(("lightning.force.com", "salesforce-setup.com")):
        raise ValueError("is the address of the user interface; use the My Domain one, https://acme.my.salesforce.com")
    if bare in ("login.salesforce.com", "test.salesforce.com"):
        raise ValueError("is where everybody logs in; use the org's My Domain one, https://acme.my.salesforce.com")
    if scheme == "http" and not _LOOPBACK.fullmatch(bare):
        raise ValueError("must start with https://")
    return f"{scheme}://{host}"
