from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from pydantic import SecretStr

from syncer.handoff.channels import open_channels
from syncer.handoff.delivery import LONGEST_WISH_S, Channel, DeliveryError, Outcome
from syncer.handoff.messages import Audience
from syncer.handoff.slack import SlackChannel
from syncer.handoff.webhook import WebhookChannel, signature
from syncer.settings import HandoffSettings, Slack, Webhook
from tests.handoff.samples import notice
from tests.receivers import DROP, HANG, HttpReceiver, Reply

SECRET = "shared-secret"
FAST_S = 0.4


def _channel(kind: str, url: str, timeout_s: float = 5.0) -> Channel:
    if kind == "slack":
        return SlackChannel(url, Audience("es", "Europe/Madrid"), timeout_s=timeout_s, private_addresses=True)
    return WebhookChannel(url, SECRET, timeout_s=timeout_s, private_addresses=True)


def _failure(channel: Channel) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        channel.send(notice(), False)
    return caught.value


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: refused for sure, and nobody else can take it
        yield unused.getsockname()[1]


def test_slack_takes_the_message_and_its_fallback_text() -> None:
    with HttpReceiver() as receiver:
        _channel("slack", receiver.url).send(notice(), False)
    told = json.loads(receiver.received[0].body)
    assert told["text"] == "Ana Ruiz ya es SQL: 78 puntos"
    assert [block["type"] for block in told["blocks"]] == ["section", "context"]


def test_the_webhook_is_signed_and_carries_its_key() -> None:
    with HttpReceiver(Reply(status=204, body="")) as receiver:
        _channel("webhook", receiver.url).send(notice("k7"), False)
    got = receiver.received[0]
    assert got.key == "k7" == json.loads(got.body)["key"]
    assert got.signed_with(SECRET)
    assert not got.signed_with("another secret")
    age_s = datetime.now(UTC).timestamp() - int(got.headers["x-syncer-timestamp"])
    assert -1 < age_s < 60


def test_each_notifier_says_whether_its_readers_may_know_who_it_is() -> None:
    with HttpReceiver() as receiver:
        settings = HandoffSettings(
            "sql",
            notifiers={
                "told": Webhook(url=receiver.url, private_addresses=True),
                "untold": Webhook(url=receiver.url, private_addresses=True, personal_data=False),
                "slack": Slack(url=SecretStr(receiver.url), private_addresses=True, personal_data=False),
            },
        )
        channels = open_channels(settings, Audience())
        for name in settings.notifiers:
            channels[name].send(notice(), False)
    assert [b"Ana Ruiz" in each.body for each in receiver.received] == [True, False, False]


def test_a_signature_belongs_to_one_body_and_one_time() -> None:
    signed = signature(SECRET, 1_700_000_000, b"{}")
    assert signed != signature(SECRET, 1_700_000_001, b"{}")
    assert signed != signature(SECRET, 1_700_000_000, b"{ }")


def test_a_webhook_without_a_secret_is_not_signed() -> None:
    with HttpReceiver() as receiver:
        WebhookChannel(receiver.url, private_addresses=True).send(notice(), False)
    assert "x-syncer-signature" not in receiver.received[0].headers


@pytest.mark.parametrize("kind", ["slack", "webhook"])
@pytest.mark.parametrize(
    ("status", "outcome"),
    [(400, "permanent"), (403, "permanent"), (404, "permanent"), (410, "permanent"), (408, "temporary"),
     (425, "temporary"), (429, "temporary"), (500, "temporary"), (503, "temporary")],
)  # fmt: skip
def test_a_refusal_says_whether_patience_helps(kind: str, status: int, outcome: Outcome) -> None:
    with HttpReceiver(Reply(status, "channel_is_archived")) as receiver:
        failure = _failure(_channel(kind, receiver.url))
    assert failure.outcome == outcome
    assert failure.message == f'127.0.0.1 answered {status}: "channel_is_archived"'
    assert len(receiver.received) == 1, "a channel never tries again by itself"


@pytest.mark.parametrize("kind", ["slack", "webhook"])
def test_the_receiver_says_how_long_to_wait_in_seconds_or_as_a_date(kind: str) -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)
    said = [Reply(429, "", {"Retry-After": text}) for text in ("90", soon, "whenever", "999999999")]
    with HttpReceiver(*said) as receiver:
        wishes = [_failure(_channel(kind, receiver.url)).retry_after_s for _ in said]
    assert wishes[0] == 90
    assert wishes[1] == pytest.approx(600, abs=5)
    assert wishes[2] is None
    assert wishes[3] == LONGEST_WISH_S


@pytest.mark.parametrize("kind", ["slack", "webhook"])
def test_a_refused_connection_has_certainly_delivered_nothing(kind: str, closed_port: int) -> None:
    assert _failure(_channel(kind, f"http://127.0.0.1:{closed_port}/x")).outcome == "temporary"


@pytest.mark.parametrize("kind", ["slack", "webhook"])
@pytest.mark.parametrize("reply", [HANG, DROP])
def test_a_message_that_got_no_answer_may_have_been_delivered(kind: str, reply: Reply) -> None:
    with HttpReceiver(reply) as receiver:
        failure = _failure(_channel(kind, receiver.url, FAST_S))
        assert failure.outcome == "uncertain"
        assert len(receiver.received) == 1


@pytest.mark.parametrize("body", ["no_service", "<html>a login page</html>", ""])
def test_slack_has_delivered_only_when_it_says_ok(body: str) -> None:
    with HttpReceiver(Reply(200, body)) as receiver:
        failure = _failure(_channel("slack", receiver.url))
    assert failure.outcome == "temporary", "a person mends the address while the message waits"
    assert "answered 200 but not ok" in failure.message


@pytest.mark.parametrize("kind", ["slack", "webhook"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(kind: str, status: int) -> None:
    with HttpReceiver() as elsewhere, HttpReceiver(Reply(status, "", {"Location": elsewhere.url})) as receiver:
        assert _failure(_channel(kind, receiver.url)).outcome == "permanent"
    assert elsewhere.received == []


@pytest.mark.parametrize("kind", ["slack", "webhook"])
@pytest.mark.parametrize("reply", [Reply(500, "you called {url} signed with shared-secret"), HANG, DROP])
def test_no_error_and_no_repr_shows_the_url_or_the_secret(
    kind: str, reply: Reply, capfd: pytest.CaptureFixture[str]
) -> None:
    with HttpReceiver() as receiver:
        receiver.script.append(Reply(reply.status, reply.body.format(url=receiver.url), manner=reply.manner))
        channel = _channel(kind, receiver.url, FAST_S)
        failure = _failure(channel)
    told = f"{failure!r} {channel!r} {capfd.readouterr()}"
    assert "s3cr3tpath" not in told
    assert SECRET not in told or kind == "slack"  # Slack has no secret but its URL
    assert failure.__cause__ is None
    assert failure.__context__ is None or failure.__suppress_context__, "a traceback would show the vendor's error"


def test_nothing_is_logged_since_it_would_show_the_url(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.WARNING, "urllib3")  # as log.set_up does
    with HttpReceiver(Reply(500, "no")) as receiver:
        _failure(_channel("slack", receiver.url))
    assert caplog.text == ""


@pytest.mark.parametrize("kind", ["slack", "webhook"])
def test_an_answer_that_never_ends_in_text_does_no_harm(kind: str) -> None:
    with HttpReceiver(Reply(500, "\r\n\x1b[31m" + "x" * 100_000)) as receiver:
        failure = _failure(_channel(kind, receiver.url))
    assert failure.outcome == "temporary"
    assert len(failure.message) < 300
    assert failure.message.isprintable()
