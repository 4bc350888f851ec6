"""The channel for a hundred services, against loopback servers that speak like some of them."""

from __future__ import annotations

import json
import logging
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from urllib3.exceptions import MaxRetryError
from urllib3.exceptions import SSLError as TlsError

from syncer.handoff import apprise
from syncer.handoff.apprise import AppriseChannel
from syncer.handoff.channels import open_channels
from syncer.handoff.delivery import DeliveryError, Outcome
from syncer.handoff.messages import Audience
from syncer.settings import Apprise, HandoffSettings
from tests.handoff.samples import notice
from tests.receivers import DROP, HANG, HttpReceiver, Reply, SmtpReceiver

MADRID = Audience("es", "Europe/Madrid")
TOKEN = "s3cr3t-t0ken-of-the-url"
SHAPES = {"json": "json://{address}/{token}", "ntfy": "ntfy://{address}/{token}", "mmost": "mmost://{address}/{token}"}
SHORT = "rocket://abcd12345/efgh12345678901234@{address}/"  # takes 1,000 characters
EVIL = "<!channel> @everyone [click](https://evil.test) <b>Eva</b>"


def _url(shape: str, receiver: HttpReceiver, rest: str = "") -> str:
    address = receiver.url.removeprefix("http://").partition("/")[0]
    return SHAPES[shape].format(address=address, token=TOKEN) + rest


def _failure(url: str, timeout_s: float = 5) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        AppriseChannel(url, MADRID, timeout_s=timeout_s, private_addresses=True).send(notice(), False)
    return caught.value


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: refused for sure
        yield unused.getsockname()[1]


@pytest.mark.parametrize(("shape", "title", "text"), [("json", "title", "message"), ("ntfy", "title", "message")])
def test_a_message_arrives_once_with_its_title_and_its_text(shape: str, title: str, text: str) -> None:
    with HttpReceiver() as receiver:
        AppriseChannel(_url(shape, receiver), MADRID, private_addresses=True).send(notice(), False)
        (got,) = receiver.received
    told = json.loads(got.body)
    assert told[title] == "Ana Ruiz ya es SQL: 78 puntos"
    assert "- Decision maker: jobtitle contains 'director'" in told[text]
    assert "https://app.crm.test/contacts/2583391/90151?a=1&b=2" in told[text]


def test_a_repeat_is_marked() -> None:
    with HttpReceiver() as receiver:
        AppriseChannel(_url("json", receiver), MADRID, private_addresses=True).send(notice(), True)
        told = json.loads(receiver.received[0].body)
    assert told["title"].startswith("[Posible repetición] ")
    assert "no hubo confirmación de entrega" in told["message"]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("status", "outcome"),
    [(400, "permanent"), (404, "permanent"), (429, "temporary"), (500, "temporary"), (503, "temporary"),
     (307, "permanent")],
)  # fmt: skip
def test_a_refusal_says_whether_patience_helps(shape: str, status: int, outcome: Outcome) -> None:
    headers = {"Retry-After": "90", "Location": "http://127.0.0.1:9/elsewhere"}
    with HttpReceiver(Reply(status, f"no such room {TOKEN}", headers)) as receiver:
        failure = _failure(_url(shape, receiver, "?retry=2&wait=9"))
        assert len(receiver.received) == 1, "nobody tries again but the outbox, whatever the URL says"
    assert failure.outcome == outcome
    assert failure.message.endswith(f'answered {status}: "no such room ***"')
    assert failure.retry_after_s == (90 if outcome == "temporary" else None)


class _BusyMatrix(BaseHTTPRequestHandler):
    """Lets everybody in and takes no message for now."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        busy = "/send/" in self.path
        let_in = {"room_id": "!r:localhost", "user_id": "@a:localhost", "access_token": "t", "device_id": "D"}
        answer = json.dumps({"retry_after_ms": 3_000} if busy else let_in | {"joined_rooms": ["!r:localhost"]}).encode()
        self.send_response(429 if busy else 200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_PUT = do_POST

    def log_message(self, *_: object) -> None:
        """The tests' output is no place for it."""


@pytest.fixture
def busy_matrix() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _BusyMatrix) as server:
        server.asked = []  # type: ignore[attr-defined]
        serving = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        serving.start()
        yield server
        server.shutdown()
        serving.join(timeout=5)


def test_a_service_that_tries_again_by_itself_neither_sleeps_nor_sends_twice(busy_matrix: ThreadingHTTPServer) -> None:
    url = f"matrix://user:pass1234@127.0.0.1:{busy_matrix.server_port}/!r:localhost?e2ee=no"
    began = time.monotonic()
    failure = _failure(url)
    assert time.monotonic() - began < 2, "the server says 3 s"
    sent = [path for path in busy_matrix.asked if "/send/" in path]  # type: ignore[attr-defined]
    assert len(sent) == 1
    assert busy_matrix.asked[-1] == sent[0], "nothing at all after it"  # type: ignore[attr-defined]
    assert (failure.outcome, "answered 429" in failure.message) == ("temporary", True)


def test_after_a_plea_for_patience_no_further_request_goes_out() -> None:
    with HttpReceiver(Reply(429, "")) as receiver, apprise._requests_watched() as seen:
        assert requests.post(receiver.url, data="x", timeout=5).status_code == 429
        with pytest.raises(requests.RequestException, match="patience"):
            requests.post(receiver.url, data="x", timeout=5)
        assert (len(receiver.received), len(seen)) == (1, 1)


def test_a_failure_that_the_url_calls_optional_is_a_failure() -> None:
    with HttpReceiver(Reply(500, "")) as receiver:
        assert _failure(_url("json", receiver, "?optional=yes")).outcome == "temporary"


def test_a_refused_connection_has_certainly_delivered_nothing(closed_port: int) -> None:
    failure = _failure(f"json://127.0.0.1:{closed_port}/{TOKEN}")
    assert (failure.message, failure.outcome) == ("JSON: no connection (ConnectionError)", "temporary")


def test_over_a_certificate_that_is_not_trusted_nothing_goes_out() -> None:
    untrusted = MaxRetryError(None, "/", TlsError(ssl.SSLCertVerificationError("self-signed")))  # type: ignore[arg-type]
    broken_off = MaxRetryError(None, "/", TlsError(ssl.SSLEOFError("broke off")))  # type: ignore[arg-type]
    assert apprise._never_left(requests.exceptions.SSLError(untrusted))
    assert not apprise._never_left(requests.exceptions.SSLError(broken_off))


@pytest.mark.parametrize("reply", [HANG, DROP])
def test_a_message_that_got_no_answer_may_have_been_delivered(reply: Reply) -> None:
    with HttpReceiver(reply) as receiver:
        failure = _failure(_url("json", receiver, "?rto=30"), timeout_s=0.3)
        assert len(receiver.received) == 1
    assert failure.outcome == "uncertain"
    assert failure.message.endswith("it may have been delivered")


def test_of_a_service_without_http_nothing_is_claimed() -> None:
    with SmtpReceiver() as receiver:
        url = f"mailto://{receiver.host}:{receiver.port}?from=a@acme.es&to=b@acme.es&mode=insecure&smtp=127.0.0.1"
        AppriseChannel(url, MADRID, private_addresses=True).send(notice(), False)
        assert [mail.recipient for mail in receiver.received] == ["b@acme.es"]
    failure = _failure(url, timeout_s=1)
    assert (failure.outcome, failure.retry_after_s) == ("uncertain", None)
    assert "Apprise does not say how" in failure.message


def test_an_error_in_a_service_s_own_code_is_a_failure_and_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError(TOKEN)

    monkeypatch.setattr(smtplib.SMTP, "__init__", broken)
    failure = _failure(f"mailto://a:{TOKEN}@127.0.0.1?to=b@acme.es&from=a@acme.es&smtp=127.0.0.1")
    assert (failure.outcome, "KeyError" in failure.message, TOKEN in failure.message) == ("uncertain", True, False)


def test_neither_an_error_nor_the_log_nor_a_repr_shows_a_part_of_the_url(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("urllib3").setLevel(logging.WARNING)  # as log.set_up does
    with HttpReceiver(Reply(500, f"you sent it to {TOKEN}")) as receiver:
        url = _url("json", receiver)
        failure = _failure(url)
    assert TOKEN not in f"{failure!r} {caplog.text} {AppriseChannel(url, MADRID)!r}"
    assert failure.__cause__ is None
    assert failure.__context__ is None or failure.__suppress_context__


def test_nothing_in_a_name_calls_everybody_or_hides_a_link() -> None:
    with HttpReceiver() as receiver:
        AppriseChannel(_url("mmost", receiver), MADRID, private_addresses=True).send(
            notice(name=EVIL, reasons=(EVIL,)), False
        )
        told = json.loads(receiver.received[0].body)["text"]
    assert "<" not in told
    assert "](" not in told
    assert "@everyone" not in told
    assert "Eva" in told
    assert "ana.ruiz@clinicanova.es" in told, "an address is no call"


def test_requests_of_others_are_not_taken_for_ours() -> None:
    """Several connections send at once, and a CRM's client may use the same library."""
    with HttpReceiver(HANG) as slow, HttpReceiver(Reply(404, "")) as other:
        failures: list[DeliveryError] = []
        sending = threading.Thread(target=lambda: failures.append(_failure(_url("json", slow), timeout_s=0.5)))
        sending.start()
        assert requests.post(other.url, data="x", timeout=5).status_code == 404
        sending.join()
    assert [failure.outcome for failure in failures] == ["uncertain"]


def test_a_long_message_stays_one_message() -> None:
    long = "very long " * 4_000
    with HttpReceiver() as receiver:
        url = SHORT.format(address=receiver.url.removeprefix("http://").partition("/")[0]) + "?overflow=split"
        AppriseChannel(url, MADRID, private_addresses=True).send(
            notice(reasons=(long,) * 3, missing=(long,) * 3), False
        )
        assert len(receiver.received) == 1


def test_a_notifier_of_the_project_file_becomes_this_channel() -> None:
    settings = HandoffSettings(
        "sql", notifiers={"chat": Apprise.model_validate({"url": f"ntfy://ntfy.test/{TOKEN}"})}, apprise_repeats="hold"
    )
    channel = open_channels(settings, MADRID)["chat"]
    assert isinstance(channel, AppriseChannel)
    assert (channel.repeats, channel.timeout_s) == ("hold", 10)
