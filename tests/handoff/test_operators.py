"""An alert about a connection, over every channel that can tell one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import orjson
import pytest
from pydantic import SecretStr

from syncer import log
from syncer.handoff import Alert, announce
from syncer.settings import Alerts, Apprise, CrmTask, Email, HandoffSettings, Slack, Webhook
from tests.receivers import HttpReceiver, Reply, SmtpReceiver

NOW = datetime(2026, 11, 2, 10, 0, tzinfo=UTC)
ALERT = Alert("needs_a_person", "crm", "SY100", NOW, "crm: the token <x> is\nrefused", "`syncer run crm` tries at once")
OPS, BOSS = "ops@acme.es", "boss@acme.es"


def settings(http: HttpReceiver, mail: SmtpReceiver) -> HandoffSettings:
    named: dict[str, Slack | Email | Webhook | CrmTask | Apprise] = {
        "chat": Slack(url=SecretStr(http.url), private_addresses=True),
        "hook": Webhook(url=http.url, secret=SecretStr("a-secret-of-ours"), private_addresses=True),
        "other": Apprise(url=SecretStr(http.url.replace("http:", "json:")), private_addresses=True),
        "mail": Email.model_validate({"host": mail.host, "port": mail.port, "security": "none", "from": "us@acme.es"}),
    }
    return HandoffSettings("sql", notifiers=named)


def test_each_channel_tells_which_connection_since_when_why_and_what_to_do() -> None:
    with HttpReceiver() as http, SmtpReceiver() as mail:
        told = announce(ALERT, Alerts(("chat", "hook", "other", "mail"), (OPS, BOSS)), settings(http, mail))
        assert told == dict.fromkeys(["chat", "hook", "other", f"mail {OPS}", f"mail {BOSS}"])
        chat, hook, other = http.received
        plain = "crm: the token <x> is refused"
        text = orjson.loads(chat.body)["text"]
        assert "crm needs a person" in text
        assert plain.replace("<", "&lt;").replace(">", "&gt;") in text
        body = orjson.loads(hook.body)
        assert (body["schema"], body["state"], body["reason"]) == ("syncer.alert/1", "needs_a_person", plain)
        assert hook.key == ALERT.key
        assert hook.signed_with("a-secret-of-ours")
        assert "‹x›" in orjson.loads(other.body)["message"]
        assert [each.recipient for each in mail.received] == [OPS, BOSS]
        letter = mail.received[0].message
        assert letter["Subject"] == "syncer: crm needs a person"
        written = letter.get_body(("plain",))
        assert written is not None
        for said in ("2026-11-02 10:00 UTC", plain, ALERT.help):
            assert said in written.get_content()


def test_who_could_not_be_reached_is_told_with_the_reason_and_keeps_nobody_else_from_it() -> None:
    with HttpReceiver(Reply(503, "busy")) as http, SmtpReceiver() as mail:
        told = announce(ALERT, Alerts(("chat", "mail"), (OPS,)), settings(http, mail))
        assert str(told["chat"]).startswith("127.0.0.1 answered 503")
        assert told[f"mail {OPS}"] is None


def test_an_alert_holds_no_secret_and_its_end_is_another_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_secrets", {"pat-eu1-secret"})
    leaking = replace(ALERT, reason="crm: pat-eu1-secret is refused")
    assert "pat-eu1-secret" not in leaking.text
    over = replace(ALERT, state="recovered", reason="", help="")
    assert over.text == "syncer: crm works again\nAt 2026-11-02 10:00 UTC."
    assert over.key != ALERT.key
