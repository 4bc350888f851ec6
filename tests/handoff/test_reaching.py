"""No message leaves for an address that is not meant, however its receiver is named and whichever library sends it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from syncer.handoff.apprise import AppriseChannel
from syncer.handoff.delivery import Channel, DeliveryError
from syncer.handoff.mail import EmailChannel, MailServer
from syncer.handoff.messages import Audience
from syncer.handoff.reaching import RefusedAddress, reaching
from syncer.handoff.slack import SlackChannel
from syncer.handoff.webhook import WebhookChannel
from syncer.settings.addresses import standing, standing_as_written
from tests.handoff.samples import notice
from tests.receivers import HttpReceiver, SmtpReceiver

AUDIENCE = Audience("en", "UTC")
KINDS: Mapping[str, Callable[[str, int, bool], Channel]] = {
    "webhook": lambda host, port, private: WebhookChannel(f"http://{host}:{port}/x", private_addresses=private),
    "slack": lambda host, port, private: SlackChannel(
        f"http://{host}:{port}/x", AUDIENCE, timeout_s=2, private_addresses=private
    ),
    "apprise": lambda host, port, private: AppriseChannel(
        f"json://{host}:{port}/x", AUDIENCE, timeout_s=2, private_addresses=private
    ),
}
every_kind = pytest.mark.parametrize("kind", KINDS)
Resolver = Callable[..., None]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    """`names(host, *addresses)`: what the host resolves to, one look after the other; the last one stays."""
    known: dict[str, list[str]] = {}
    really = socket.getaddrinfo

    def resolve(host: Any, port: Any, *how: Any, **more: Any) -> Any:
        addresses = known.get(host, [str(host)])
        address = addresses.pop(0) if len(addresses) > 1 else addresses[0]
        return really(address, port, *how, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return lambda host, *addresses: known.update({host: list(addresses)})


def _port(receiver: HttpReceiver) -> int:
    return int(receiver.url.split(":")[2].partition("/")[0])


def _failure(channel: Channel) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        channel.send(notice(), False)
    assert caught.value.outcome == "temporary", "it can be mended, and certainly nothing was delivered"
    return caught.value


@every_kind
def test_this_machine_is_reached_only_where_the_notifier_says_so(kind: str) -> None:
    with HttpReceiver() as receiver:
        failure = _failure(KINDS[kind]("127.0.0.1", _port(receiver), False))
        assert receiver.received == []
        KINDS[kind]("127.0.0.1", _port(receiver), True).send(notice(), False)
        assert len(receiver.received) == 1
    assert "127.0.0.1 is an address of this machine or of the local network" in failure.message
    assert "write private_addresses: true" in failure.message


@every_kind
@pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:127.0.0.1", "10.0.0.5"])
def test_a_name_is_judged_by_the_address_that_is_connected_to(kind: str, address: str, names: Resolver) -> None:
    names("hooks.test", address)
    with HttpReceiver() as receiver:
        failure = _failure(KINDS[kind]("hooks.test", _port(receiver), False))
        assert receiver.received == []
    assert address in failure.message


@every_kind
def test_a_name_that_was_looked_up_before_deceives_nobody(kind: str, names: Resolver) -> None:
    """The first look shows a public address, the one that is connected to is another."""
    names("hooks.test", "203.0.113.5", "127.0.0.1")
    socket.getaddrinfo("hooks.test", 80)
    with HttpReceiver() as receiver:
        _failure(KINDS[kind]("hooks.test", _port(receiver), False))
        assert receiver.received == []


@every_kind
def test_where_a_cloud_keeps_its_secrets_nothing_goes_even_if_private_addresses_are_allowed(kind: str) -> None:
    failure = _failure(KINDS[kind]("169.254.169.254", 80, True))
    assert "169.254.169.254 is an address to which nothing is sent" in failure.message
    assert "private_addresses" not in failure.message, "it would not help"


@pytest.mark.parametrize("kind", ["webhook", "slack", "apprise"])
def test_a_number_that_stands_for_an_address_is_that_address(kind: str) -> None:
    """2130706433 is how some write 127.0.0.1 to get past those who only look at the text."""
    with HttpReceiver() as receiver:
        failure = _failure(KINDS[kind]("2130706433", _port(receiver), False))
        assert receiver.received == []
    assert "127.0.0.1" in failure.message


def test_a_mail_server_may_stand_in_the_local_network_and_nowhere_worse(names: Resolver) -> None:
    to = notice(recipient="sales@acme.test")
    with SmtpReceiver() as receiver:
        names("mail.test", receiver.host)
        server = MailServer("mail.test", receiver.port, "none")
        EmailChannel(server, "us@acme.test", AUDIENCE).send(to, False)
        assert len(receiver.received) == 1
    names("mail.test", "169.254.169.254")
    with pytest.raises(DeliveryError, match=r"mail\.test: 169\.254\.169\.254 is an address to which nothing is sent"):
        EmailChannel(MailServer("mail.test", 25, "none"), "us@acme.test", AUDIENCE).send(to, False)


@every_kind
def test_a_proxy_of_the_environment_may_stand_anywhere_and_resolves_by_itself(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HttpReceiver() as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{_port(proxy)}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        KINDS[kind]("a-name-that-only-the-proxy-knows.test", 80, False).send(notice(), False)
        (asked,) = [urlsplit(each.path) for each in proxy.received]
        assert (asked.hostname, asked.path) == ("a-name-that-only-the-proxy-knows.test", "/x")
        failure = _failure(KINDS[kind]("10.0.0.5", 80, False))
        assert len(proxy.received) == 1
    assert "10.0.0.5 is an address of this machine or of the local network" in failure.message


@pytest.mark.parametrize("proxy", ["socks5://u:secret@127.0.0.1:1", "http://h:port", "http://[::1"])
def test_a_proxy_that_is_none_buries_no_message(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", proxy)
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    failure = _failure(KINDS["webhook"]("hooks.test", 80, False))
    assert "HTTP_PROXY or ALL_PROXY) is no http(s):// address; correct or unset it" in failure.message
    assert "secret" not in failure.message


def test_what_is_sent_outside_of_a_notifier_goes_where_it_likes() -> None:
    with HttpReceiver() as receiver:
        with reaching("x", private=False), pytest.raises(requests.ConnectionError):
            requests.post(receiver.url, timeout=2)
        assert requests.post(receiver.url, timeout=2).ok
        assert len(receiver.received) == 1


def test_a_library_that_connects_by_name_is_refused_since_nobody_can_judge_it() -> None:
    with (
        reaching("growl", private=True),
        socket.socket() as raw,
        pytest.raises(RefusedAddress, match="cannot be judged"),
    ):
        raw.connect(("localhost", 9))


def test_text_over_udp_is_judged_too() -> None:
    with reaching("syslog", private=False), socket.socket(type=socket.SOCK_DGRAM) as raw:
        with pytest.raises(RefusedAddress):
            raw.sendto(b"x", ("127.0.0.1", 9))
        with pytest.raises(RefusedAddress):
            raw.sendto(b"x", 0, ("127.0.0.1", 9))


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("8.8.8.8", "public"), ("2606:4700::1", "public"), ("64:ff9b::808:808", "public"),
        ("10.1.2.3", "private"), ("172.16.0.1", "private"), ("192.168.1.1", "private"), ("127.8.8.8", "private"),
        ("::1", "private"), ("fd00::1", "private"), ("fec0::1", "private"), ("100.64.0.1", "private"),
        ("::ffff:192.168.0.1", "private"), ("64:ff9b::a00:1", "private"), ("2002:a00:1::", "private"),
        ("0.1.2.3", "private"),
        ("169.254.169.254", "never"), ("fe80::1%eth0", "never"), ("::ffff:169.254.169.254", "never"),
        ("fd00:ec2::254", "never"), ("100.100.100.200", "never"), ("168.63.129.16", "never"),
        ("0.0.0.0", "never"), ("::", "never"), ("224.0.0.1", "never"), ("ff02::1", "never"),
        ("255.255.255.255", "never"),
    ],
)  # fmt: skip
def test_every_address_is_public_private_or_nobody_s(address: str, found: str) -> None:
    assert standing(address) == found


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("localhost", "private"), ("LOCALHOST.", "private"), ("a.localhost", "private"), ("10.0.0.1", "private"),
        ("169.254.169.254", "never"), ("hooks.slack.com", "public"), ("localhost.example.com", "public"),
        ("127.1", "private"), ("2130706433", "private"), ("0x7f.1", "private"), ("0xa9fea9fe", "never"),
        ("::1", "private"), ("10.example.com", "public"), ("8.8.8.8", "public"), ("bücher.example", "public"),
    ],
)  # fmt: skip
def test_a_host_as_it_is_written_is_judged_where_it_shows_its_address(host: str, found: str) -> None:
    assert standing_as_written(host) == found
