from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from syncer.handoff.delivery import DeliveryError
from syncer.handoff.mail import EmailChannel, MailServer, envelope
from syncer.handoff.messages import Audience
from tests.handoff.samples import notice
from tests.receivers import SmtpReceiver, SmtpReply

MADRID = Audience("es", "Europe/Madrid")
SENDER = "syncer@acme.es"


def _channel(receiver: SmtpReceiver, **server: Any) -> EmailChannel:
    options: dict[str, Any] = {"security": "none", "timeout_s": 5.0, **server}
    return EmailChannel(MailServer(receiver.host, receiver.port, **options), SENDER, MADRID)


def _failure(channel: EmailChannel, recipient: str = "ana@acme.es") -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        channel.send(notice("k1", "correo", recipient), False)
    return caught.value


def test_a_letter_arrives_whole_with_its_key() -> None:
    with SmtpReceiver() as receiver:
        _channel(receiver).send(notice("k1", "correo", "luis@acme.es", name="Begoña Ñúñez"), False)
    mail = receiver.received[0]
    assert (mail.sender, mail.recipient, mail.key) == (SENDER, "luis@acme.es", "k1")
    assert mail.message["Subject"] == "Begoña Ñúñez ya es SQL: 78 puntos"
    assert mail.message["To"] == "luis@acme.es"
    text, html = mail.message.get_body(("plain",)), mail.message.get_body(("html",))
    assert text is not None
    assert html is not None
    assert "Abrir en el CRM: https://app.crm.test/" in text.get_content()
    assert "<h1" in html.get_content()


def test_a_repeat_is_marked_and_keeps_its_message_id() -> None:
    with SmtpReceiver() as receiver:
        for repeat in (False, True):
            _channel(receiver).send(notice("k1", "correo", "luis@acme.es"), repeat)
    first, second = (mail.message for mail in receiver.received)
    assert first["Message-ID"] == second["Message-ID"] == "<k1@acme.es>"
    assert second["Subject"].startswith("[Posible repetición]")


@pytest.mark.parametrize("reason", ["ñ", "ñ" * 2000, "n" * 2000])
def test_a_letter_needs_no_server_that_takes_8_bit_mail_or_long_lines(reason: str) -> None:
    raw = envelope(notice(recipient="luis@acme.es", reasons=(reason,) * 8), SENDER, MADRID).as_bytes()
    assert raw.isascii()
    assert max(map(len, raw.splitlines())) <= 998


def test_line_breaks_in_a_name_add_no_header() -> None:
    evil = notice(recipient="luis@acme.es", name="Eva\r\nBcc: x@evil.test\r\n\r\nhello")
    message = envelope(evil, SENDER, MADRID)
    assert "Bcc" not in message
    assert message["Subject"].startswith("Eva Bcc: x@evil.test hello")


@pytest.mark.parametrize("recipient", ["x@a.es\r\nDATA", "a@b.es, c@d.es", "", "90151"])
def test_what_is_no_single_address_is_never_handed_to_the_server(recipient: str) -> None:
    with SmtpReceiver() as receiver:
        assert _failure(_channel(receiver), recipient).outcome == "permanent"
    assert receiver.received == []


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize(
    ("answer", "outcome"), [("550 no such user here", "permanent"), ("451 greylisted", "temporary")]
)
def test_a_refusal_says_whether_patience_helps(command: Any, answer: str, outcome: str) -> None:
    with SmtpReceiver(SmtpReply(command, answer)) as receiver:
        failure = _failure(_channel(receiver))
    assert failure.outcome == outcome
    assert failure.message == f'127.0.0.1 answered {answer[:3]}: "{answer[4:]}"'
    assert receiver.received == []


@pytest.mark.parametrize("manner", ["hang", "drop"])
@pytest.mark.parametrize(("command", "outcome"), [("MAIL", "temporary"), ("RCPT", "temporary"), ("DATA", "uncertain")])
def test_a_connection_lost_leaves_doubt_only_once_the_message_was_on_its_way(
    command: Any, manner: str, outcome: str
) -> None:
    with SmtpReceiver(SmtpReply(command, manner)) as receiver:
        assert _failure(_channel(receiver, timeout_s=0.5)).outcome == outcome
        assert len(receiver.received) == (outcome == "uncertain")


def test_a_server_that_is_not_there_has_certainly_delivered_nothing() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        server = MailServer("127.0.0.1", unused.getsockname()[1], "none", timeout_s=2)
        assert _failure(EmailChannel(server, SENDER, MADRID)).outcome == "temporary"


def test_a_server_that_says_nothing_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        server = MailServer("127.0.0.1", mute.getsockname()[1], "none", timeout_s=0.4)
        assert _failure(EmailChannel(server, SENDER, MADRID)).outcome == "temporary"


def test_a_login_opens_the_server() -> None:
    with SmtpReceiver(login=("syncer", "s3cr3t-password")) as receiver:
        _channel(receiver, user="syncer", password="s3cr3t-password").send(notice(recipient="luis@acme.es"), False)
    assert len(receiver.received) == 1


def test_a_wrong_password_waits_for_a_person_and_is_never_shown() -> None:
    with SmtpReceiver(login=("syncer", "s3cr3t-password")) as receiver:
        channel = _channel(receiver, user="syncer", password="wr0ng-password")
        failure = _failure(channel)
    assert failure.outcome == "temporary"
    assert "535" in failure.message
    assert "wr0ng" not in f"{failure!r} {channel!r}"


def test_starttls_is_never_silently_left_out() -> None:
    with SmtpReceiver() as receiver:
        failure = _failure(_channel(receiver, security="starttls"))
    assert failure.outcome == "temporary"
    assert "STARTTLS" in failure.message
    assert receiver.received == []


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that is its own authority, and its key."""
    tool = shutil.which("openssl")
    if tool is None:
        pytest.skip("needs the openssl command to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    public, private = folder / "cert.pem", folder / "key.pem"
    made = [tool, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-subj", "/CN=receiver.test", "-addext", "subjectAltName=IP:127.0.0.1",
            "-keyout", str(private), "-out", str(public)]  # fmt: skip
    subprocess.run(made, check=True, capture_output=True, timeout=30)
    return public, private


def test_starttls_checks_the_certificate_before_anything_is_said(certificate: tuple[Path, Path]) -> None:
    offered = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    offered.load_cert_chain(*map(str, certificate))
    trusting = ssl.create_default_context(cafile=str(certificate[0]))
    with SmtpReceiver(tls=offered) as receiver:
        failure = _failure(_channel(receiver, security="starttls"))
        _channel(receiver, security="starttls", tls=trusting).send(notice(recipient="luis@acme.es"), False)
    assert failure.outcome == "temporary"
    assert "SSLCertVerificationError" in failure.message
    assert [mail.recipient for mail in receiver.received] == ["luis@acme.es"]
