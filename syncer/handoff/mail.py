"""E-mail over SMTP, one message per recipient and connection."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP as WIRE
from email.utils import formatdate
from typing import Literal

from syncer.handoff.alerts import Alert, alert_letter
from syncer.handoff.delivery import TIMEOUT_S, DeliveryError, Outcome, Repeats, quoted
from syncer.handoff.messages import MOST_LEADS, Audience, Letter, digest_letter, letter
from syncer.handoff.reaching import reaching
from syncer.handoff.text import is_address
from syncer.model import Notice

Security = Literal["starttls", "tls", "none"]


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail is handed in. `tls` None: the system's trusted authorities."""

    host: str
    port: int
    security: Security = "starttls"
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = None
    timeout_s: float = TIMEOUT_S


@dataclass(frozen=True, slots=True)
class EmailChannel:
    server: MailServer
    sender: str
    audience: Audience
    repeats: Repeats = "resend"

    def send(self, notice: Notice, repeat: bool) -> None:
        if not is_address(notice.recipient):
            raise DeliveryError("the recipient is not an e-mail address", "permanent")
        self._mail(notice.recipient, envelope(notice, self.sender, self.audience, repeat))

    def fit(self, notices: Sequence[Notice]) -> int:
        return min(len(notices), MOST_LEADS)

    def send_digest(self, notices: Sequence[Notice], repeat: bool) -> None:
        recipient = notices[0].recipient
        if not is_address(recipient):
            raise DeliveryError("the recipient is not an e-mail address", "permanent")
        self._mail(recipient, digest_envelope(notices, self.sender, self.audience, repeat))

    def announce(self, alert: Alert, recipient: str) -> None:
        self._mail(recipient, _enveloped(alert_letter(alert), self.sender, recipient, alert.key))

    def _mail(self, recipient: str, message: EmailMessage) -> None:
        written = message.as_bytes(policy=WIRE)
        # A company's mail server stands in its own network as a rule, and nobody else's text is sent to it.
        with reaching(self.server.host, private=True), _session(self.server) as session:
            self._hand_in(session, recipient, written)

    def _hand_in(self, session: smtplib.SMTP, recipient: str, message: bytes) -> None:
        """Until the message itself is on its way nothing can have been delivered; afterwards only its answer knows."""
        try:
            self._check(session.mail(self.sender))
            self._check(session.rcpt(recipient))
        except OSError as failure:  # smtplib's own are OSErrors too
            raise self._lost(failure, "temporary") from None
        try:
            self._check(session.data(message))
        except smtplib.SMTPResponseException as refused:
            self._check((refused.smtp_code, _bytes(refused.smtp_error)))
        except OSError as failure:
            raise self._lost(failure, "uncertain") from None

    def _check(self, answer: tuple[int, bytes]) -> None:
        code, text = answer
        if not 200 <= code < 300:
            told = quoted(text.decode("utf-8", "replace"), (self.server.password or "",))
            outcome: Outcome = "permanent" if code >= 500 else "temporary"
            raise DeliveryError(f"{self.server.host} answered {code}{told}", outcome)

    def _lost(self, failure: Exception, outcome: Outcome) -> DeliveryError:
        ending = "; it may have been delivered" if outcome == "uncertain" else ""
        return DeliveryError(f"{self.server.host}: connection lost ({type(failure).__name__}){ending}", outcome)


def envelope(notice: Notice, sender: str, audience: Audience, repeat: bool = False) -> EmailMessage:
    """The message as it is sent. A repeat carries the same Message-ID, by which many mailboxes drop it."""
    written = letter(notice.handoff, audience, repeat, notice.kind, notice.key)
    return _enveloped(written, sender, notice.recipient, notice.key)


def digest_envelope(notices: Sequence[Notice], sender: str, audience: Audience, repeat: bool = False) -> EmailMessage:
    """As above, of many leads, under the name of their digest."""
    written = digest_letter([each.handoff for each in notices], audience, repeat, notices[0].kind)
    return _enveloped(written, sender, notices[0].recipient, notices[0].digest or notices[0].key)


def _enveloped(written: Letter, sender: str, recipient: str, key: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = sender
    message["To"] = recipient
    message["Subject"] = written.subject
    message["Date"] = formatdate(localtime=False)
    message["Message-ID"] = f"<{key}@{sender.rpartition('@')[2].rstrip('>')}>"
    message["Auto-Submitted"] = "auto-generated"
    message["X-Syncer-Key"] = key
    message.set_content(written.text, cte="quoted-printable")  # a server need not take 8-bit mail
    message.add_alternative(written.html, subtype="html", cte="quoted-printable")
    return message


@contextmanager
def _session(server: MailServer) -> Iterator[smtplib.SMTP]:
    """A session ready for mail. What fails before is the set-up's fault, not the message's (a wrong password would
    bury every hand-off at its first try): always temporary."""
    try:
        session = _connected(server)
    except (OSError, UnicodeError) as failure:  # smtplib logs in with ASCII only
        raise DeliveryError(f"{server.host}: no session{_why(failure, server)}", "temporary") from None
    try:
        yield session
    finally:
        with suppress(OSError):
            session.quit()  # a courtesy: what was accepted stays accepted
        session.close()


def _tls(server: MailServer) -> ssl.SSLContext:
    """Made only where it is needed: reading the trusted certificates takes 30 ms."""
    return server.tls or ssl.create_default_context()


def _connected(server: MailServer) -> smtplib.SMTP:
    session: smtplib.SMTP
    if server.security == "tls":
        session = smtplib.SMTP_SSL(server.host, server.port, timeout=server.timeout_s, context=_tls(server))
    else:
        session = smtplib.SMTP(server.host, server.port, timeout=server.timeout_s)
    try:
        if server.security == "starttls":
            session.starttls(context=_tls(server))
        if server.user is not None:
            session.login(server.user, server.password or "")
        session.ehlo_or_helo_if_needed()
    except BaseException:
        session.close()
        raise
    return session


def _why(failure: Exception, server: MailServer) -> str:
    if isinstance(failure, smtplib.SMTPResponseException):
        text = _bytes(failure.smtp_error).decode("utf-8", "replace")
        return f", it answered {failure.smtp_code}{quoted(text, (server.password or '',))}"
    told = str(failure) if isinstance(failure, smtplib.SMTPNotSupportedError) else type(failure).__name__
    return f" ({told})"


def _bytes(text: bytes | str) -> bytes:
    return text if isinstance(text, bytes) else text.encode()
