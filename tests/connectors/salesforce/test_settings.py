"""What people write wrong in a Salesforce section, and what they are told."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.salesforce.settings import ClientCredentials, Jwt, Refresh, Settings, TaskSettings, Timeouts, Write
from syncer.settings import load_project
from syncer.settings.checking import mistake_of

HOME = "https://acme.my.salesforce.com"
CONFIG = Path(__file__).parents[3] / "config"
PEM = "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----"


def read(**written: Any) -> Settings:
    ways = {"token", "jwt", "refresh", "client_credentials"}
    given = {} if ways.intersection(written) else {"token": "00Dxx!abc"}
    return Settings.model_validate({"instance_url": HOME, **given, **written})


def told(**written: Any) -> str:
    """The one message, in the words that people see."""
    with pytest.raises(ValidationError) as raised:
        read(**written)
    (details,) = raised.value.errors()
    mistake = mistake_of(details, details["loc"], Settings)
    return f"{mistake.message} {mistake.help}"


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("https://Acme.my.salesforce.com/", HOME),
        ("https://acme.my.salesforce.com/services/data", HOME),
        ("https://acme--dev.sandbox.my.salesforce.com", "https://acme--dev.sandbox.my.salesforce.com"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://localhost", "http://localhost"),
    ],
)
def test_the_address_is_the_orgs_own(url: str, meant: str) -> None:
    assert read(instance_url=url).instance_url == meant


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://acme.lightning.force.com", "use the My Domain one"),
        ("https://acme.lightning.force.com/lightning/page/home", "use the My Domain one"),
        ("https://login.salesforce.com", "the org's My Domain one"),
        ("https://test.salesforce.com/", "the org's My Domain one"),
        ("http://acme.my.salesforce.com", "must start with https://"),
        ("http://127.0.0.1.example.com", "must start with https://"),
        ("http://127.0.0.1@example.com", "is not an address"),
        ("acme.my.salesforce.com", "is not an address"),
        ("https://", "is not an address"),
    ],
)
def test_an_address_that_cannot_work_is_told_with_the_right_one(url: str, message: str) -> None:
    assert message in told(instance_url=url)


def test_exactly_one_way_in_is_needed() -> None:
    app = {"client_id": "3MVG9", "client_secret": "s3cret"}
    assert "there are client_credentials and token" in told(token="00D!x", client_credentials=app)
    with pytest.raises(ValidationError, match="there is none"):
        Settings.model_validate({"instance_url": HOME})
    assert read(client_credentials=app).token is None


@pytest.mark.parametrize(
    ("jwt", "message"),
    [
        ({}, "either `private_key` or `private_key_file`"),
        ({"private_key": PEM, "private_key_file": "x.pem"}, "and not both"),
        ({"private_key": "MIIEvQ"}, "PEM form"),
    ],
)
def test_a_certificate_needs_its_key(jwt: dict[str, str], message: str) -> None:
    text = told(jwt={"client_id": "3MVG9", "username": "a@b.c", **jwt})
    assert message in text
    assert "MIIEvQ" not in text


@pytest.mark.parametrize("secret", ["", " ", "two words", "línea"])
def test_a_secret_that_cannot_be_one_is_refused_without_showing_it(secret: str) -> None:
    message = told(token=secret)
    assert "is empty" in message or "holds spaces" in message
    assert not secret.strip() or secret not in message


def test_a_refresh_token_may_come_without_a_client_secret() -> None:
    settings = read(refresh={"client_id": "3MVG9", "refresh_token": "5Aep861"})
    assert settings.refresh is not None
    assert settings.refresh.client_secret is None


@pytest.mark.parametrize("version", ["60", "v60.0", "7.0", "60.5", 60])
def test_an_api_version_is_written_as_salesforce_does(version: object) -> None:
    with pytest.raises(ValidationError):
        read(api_version=version)
    assert read(api_version="66.0").api_version == "66.0"


def test_a_field_may_be_called_otherwise_on_each_object() -> None:
    settings = read(
        fields={
            "seniority": "Level__c",
            "branch": {"Lead": "Industry", "Contact": "Account.Industry"},
            "x": {"Lead": "X"},
        }
    )
    assert [settings.path(kind, "seniority") for kind in ("Lead", "Contact")] == ["Level__c", "Level__c"]
    assert [settings.path(kind, "branch") for kind in ("Lead", "Contact")] == ["Industry", "Account.Industry"]
    assert [settings.path(kind, "x") for kind in ("Lead", "Contact")] == ["X", None]
    assert [settings.path(kind, "jobtitle") for kind in ("Lead", "Contact")] == ["Title", "Title"]
    assert [settings.path(kind, "country") for kind in ("Lead", "Contact")] == ["country", "MailingCountry"]
    assert settings.path("Contact", "account.industry") == "account.industry"


@pytest.mark.parametrize("path", ["Title FROM User --", "Title'", "1st", "A.B.C.D.E.F", "", "Naïve", "A..B", "A b"])
def test_nothing_but_a_field_can_be_asked_for(path: str) -> None:
    with pytest.raises(ValidationError, match="is not a field of Salesforce"):
        read(fields={"x": path})
    assert read().path("Lead", path) is None


@pytest.mark.parametrize(
    ("write", "message"),
    [
        ({"score": "lifecycle_stage__C"}, "is named twice"),
        ({"score": "Status"}, "Salesforce's own"),
        ({"stage": "OwnerId"}, "Salesforce's own"),
        ({"reasons": "Reasons; DROP"}, "is not the API name"),
    ],
)
def test_results_that_would_overwrite_each_other_or_salesforces_own_are_refused(
    write: dict[str, str], message: str
) -> None:
    assert message in told(write=write)


def test_what_may_be_left_out_is_left_out() -> None:
    settings = read(write={"reasons": None, "status": None}, task={"external_id": None})
    assert (settings.write.reasons, settings.write.status, settings.task.external_id) == (None, {}, None)
    assert settings.lag == timedelta(minutes=10)
    assert settings.use_at_most == 0.8


def test_a_status_for_a_stage_that_the_model_has_not_is_told() -> None:
    settings = read(write={"status": {"hot": "Working - Contacted"}})
    (problem,) = settings.problems(("cold", "sql"))
    assert problem[0] == ("write", "status", "hot")
    assert "has no stage 'hot'" in problem[1]


def test_the_fallback_owner_is_an_email_address() -> None:
    assert "is not the e-mail address" in told(task={"fallback_owner": "Anna Berg"})


@pytest.mark.parametrize("share", [20, 1, "200%"])
def test_a_share_without_its_sign_is_refused(share: object) -> None:
    assert "write" in told(use_at_most=share)


def test_the_commented_example_loads_and_shows_every_key() -> None:
    environment = {"SALESFORCE_CLIENT_ID": "3MVG9", "SALESFORCE_CLIENT_SECRET": "s3cret"}
    project = load_project(CONFIG / "salesforce.yml", {"salesforce": Settings}, environment)
    (settings,) = [each.settings for each in project.connections]
    assert isinstance(settings, Settings)
    assert settings.client_credentials is not None
    text = (CONFIG / "salesforce.yml").read_text(encoding="utf-8")
    assert [name for name in _names() if f"{name}:" not in text] == []


def _names() -> set[str]:
    return {
        name
        for each in (Settings, Write, TaskSettings, ClientCredentials, Jwt, Refresh, Timeouts)
        for name in each.model_fields
    }
