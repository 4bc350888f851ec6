"""What people write wrong in a HubSpot section, and what they are told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.hubspot.settings import ACTIVITY_STREAMS, EVENT_STREAMS, Settings
from syncer.settings.checking import mistake_of

SECRET = "signing-secret-1"


def read(**written: Any) -> Settings:
    return Settings.model_validate({"token": "pat-x", **written})


def told(**written: Any) -> str:
    """The one message, in the words that people see."""
    with pytest.raises(ValidationError) as raised:
        read(**written)
    (details,) = raised.value.errors()
    mistake = mistake_of(details, details["loc"], Settings)
    return f"{mistake.message} {mistake.help}"


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (20, "write 20%"),
        ("20", "write 20%"),
        (1, "write 100% or 1%"),
        ("200%", "at most 100%, not 200%; write for example 20%"),
        ("0%", "more than 0%"),
        (True, "is not a share"),
        ("a lot", "is not a share; write for example 20%"),
    ],
)
def test_a_share_without_its_sign_or_of_more_than_all_says_what_to_write(written: object, message: str) -> None:
    assert message in told(use_at_most=written)


@pytest.mark.parametrize(("written", "share"), [("20%", 0.2), ("1%", 0.01), ("100 %", 1.0), (0.2, 0.2), (1.0, 1.0)])
def test_a_share_is_a_percentage_or_a_fraction(written: object, share: float) -> None:
    assert read(use_at_most=written).use_at_most == share


@pytest.mark.parametrize("written", ["2d", "25h", 90_000, "9" * 400])
def test_a_duration_over_a_day_is_refused_in_the_words_of_the_file(written: object) -> None:
    assert "must be at most 1d" in told(lag=written)
    message = told(second_look=written)
    assert "must be at most 1d" in message
    assert "off switches it off" in message
    assert "timedelta" not in message


@pytest.mark.parametrize("written", ["off", 0, "0s"])
def test_the_second_look_can_be_switched_off(written: object) -> None:
    assert read(second_look=written).second_look == timedelta(0)
    assert read(lag="90s").lag == timedelta(seconds=90)


def test_off_is_no_duration_where_nothing_can_be_switched_off() -> None:
    assert "is not a duration" in told(lag="off")
    assert "is not a duration" in told(lag=False)


def test_a_misspelt_activity_gets_one_message_with_all_names() -> None:
    message = told(activities=["meetings", "form"])
    assert ", ".join((*ACTIVITY_STREAMS, *EVENT_STREAMS)) in message
    assert "did you mean 'forms'?" in message
    assert len({*ACTIVITY_STREAMS, *EVENT_STREAMS}) == 9


@pytest.mark.parametrize(
    ("write", "message"),
    [
        ({"backward": "clear"}, "map stages under `write.lifecyclestage`"),
        ({"score": "ls_stage"}, "ls_stage is named twice"),
        ({"stage": "lifecyclestage"}, "map stages to it under `write.lifecyclestage`"),
    ],
)
def test_results_that_overwrite_each_other_or_do_nothing_are_refused(write: dict[str, str], message: str) -> None:
    assert message in told(write=write)


def test_clearing_is_taken_where_stages_are_mapped() -> None:
    mapped = {"backward": "clear", "lifecyclestage": {"mql": "marketingqualifiedlead"}}
    assert read(write=mapped).write.backward == "clear"


@pytest.mark.parametrize(
    "url", ["http://syncer.example.com/hooks/crm", "http://127.0.0.1@example.com/", "http://127.0.0.1.example.com/"]
)
def test_webhooks_come_over_https(url: str) -> None:
    assert "must start with https://" in told(webhooks={"secret": SECRET, "url": url})


@pytest.mark.parametrize(
    "url",
    ["https://syncer.example.com/hooks/crm", "http://localhost:80/hooks/crm", "http://127.0.0.1", "http://[::1]:80/"],
)
def test_on_this_machine_webhooks_may_come_without(url: str) -> None:
    hooks = read(webhooks={"secret": SECRET, "url": url}).webhooks
    assert hooks is not None
    assert hooks.url == url


@pytest.mark.parametrize("url", ["http://hubspot.example.com", "http://10.0.0.7:8080", "http://127.0.0.1.example.com"])
def test_a_token_leaves_this_machine_over_https_alone(url: str) -> None:
    assert "must start with https://" in told(base_url=url)
    assert read(base_url="http://127.0.0.1:8080/").base_url == "http://127.0.0.1:8080"


def test_the_fallback_owner_is_an_email_address() -> None:
    assert "is not the e-mail address" in told(fallback_owner="Anna Berg")
    assert read(fallback_owner="anna.berg@example.com").fallback_owner == "anna.berg@example.com"
