"""The buttons under a Slack message, over real HTTP: from the message that was posted to the one that replaces it."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import orjson
import pytest
import structlog

from syncer.store import outbox
from syncer.web.slack import _may_call
from tests.receivers import HttpReceiver, Reply
from tests.web.sales import Sales, day_there, on_sqlite, opened_sales, pressed


def _line(update: dict[str, Any]) -> str:
    text: str = update["blocks"][-1]["elements"][0]["text"]
    return text


def test_accept_is_heard_and_takes_the_place_of_the_buttons(tmp_path: Path, database_url: str) -> None:
    with opened_sales(tmp_path, database_url) as sales:
        sales.is_told("team")
        posted = sales.posted()
        assert [each["type"] for each in posted["blocks"]] == ["section", "actions", "context"]
        assert sales.press(sales.payload(posted)) == 200
        (answer,) = sales.answers()
        assert (answer.accepted, answer.author, answer.source, answer.reason) == (True, "eva (Slack)", "slack", "")
        update = sales.update()
        assert update["replace_original"] is True
        assert update["text"] == posted["text"]
        assert update["blocks"][:-1] == [posted["blocks"][0], posted["blocks"][2]]
        assert _line(update) == "eva (Slack) has accepted this lead."


def test_a_reason_is_heard_and_the_message_says_where_the_lead_goes(tmp_path: Path, database_url: str) -> None:
    with opened_sales(tmp_path, database_url) as sales:
        sales.is_told("team")
        assert sales.press(sales.payload(sales.posted(), "not a fit")) == 200
        (answer,) = sales.answers()
        assert (answer.accepted, answer.author, answer.reason) == (False, "eva (Slack)", "not a fit")
        (act,) = sales.acts()
        assert (act.who, act.act, act.about) == ("eva (Slack)", "handoff_reject", sales.handoff.key)
        assert dict(act.details) == {"source": "slack", "goes_to": "mql"}
        assert sales.word() == ("mql", "eva (Slack)", "not a fit")
        until = day_there(answer.at + timedelta(days=30))
        assert _line(sales.update()).startswith(
            f"eva (Slack) says that this lead is not ready: not a fit. It goes back to MQL until {until}"
        )


def test_a_press_that_comes_again_or_too_late_changes_nothing_and_says_so(sales: Sales) -> None:
    sales.is_told("team")
    posted = sales.posted()
    for _ in range(2):
        assert sales.press(sales.payload(posted, "other")) == 200
    assert "It was called not ready before: by eva (Slack), " in _line(sales.update(2))
    assert len(sales.answers()) == 1


def test_a_press_after_the_lead_has_left_the_stage_says_so(sales: Sales) -> None:
    sales.is_told("team")
    sales.leaves_the_stage()
    assert sales.press(sales.payload(sales.posted())) == 200
    assert _line(sales.update()).startswith("This lead has left SQL meanwhile")
    assert sales.answers() == []


def test_what_slack_has_not_signed_just_now_is_refused_and_told_once(sales: Sales) -> None:
    sales.is_told("team")
    body = sales.payload(sales.posted())
    right = pressed(body)
    forged: list[dict[str, str]] = [
        {},
        pressed(body, secret="another"),
        pressed(body, ago_s=302),
        pressed(body, ago_s=-310),
        pressed(body + b"&a=1"),
        {**right, "X-Slack-Signature": "v0=é"},
        {**right, "X-Slack-Signature": right["X-Slack-Signature"][:-1]},
        {**right, "X-Slack-Request-Timestamp": "now"},
        {"X-Slack-Signature": right["X-Slack-Signature"]},
    ]
    with structlog.testing.capture_logs() as told:
        answers = [sales.caller.ask("POST", "/slack/team", body, headers) for headers in forged]
        no_text = sales.caller.ask("POST", "/slack/team", b"\xff", pressed(body))
    assert [(each.status, each.data) for each in (*answers, no_text)] == [(401, b"")] * (len(forged) + 1)
    assert [(each["event"], each["notifier"]) for each in told] == [("slack_refused", "team")]
    assert sales.answers() == []
    assert sales.press(body) == 200, "the same, signed"


def test_a_message_of_another_notifier_or_of_nobody_is_not_answered(sales: Sales) -> None:
    sales.is_told("team", "mail")
    posted = sales.posted()
    block = next(each for each in posted["blocks"] if each["type"] == "actions")
    for key in (sales.mail.received[0].key, "f" * 32, "", sales.handoff.key):
        other = {**posted, "blocks": [{**block, "block_id": key}]}
        assert sales.press(sales.payload(other)) == 404
    assert sales.answers() == []


def test_a_slack_app_has_one_address_for_all_of_its_channels(sales: Sales) -> None:
    sales.is_told("bosses", "others")
    by_block = {_button(each)["block_id"]: each for each in (sales.posted(0), sales.posted(1))}
    with sales.app.store.reading() as tx:
        told = {each.channel: by_block[each.key] for each in outbox.named(tx, by_block)}
    assert sales.press(sales.payload(told["others"])) == 404, "what another app's channel got"
    assert sales.answers() == []
    assert sales.press(sales.payload(told["bosses"])) == 200
    assert [each.author for each in sales.answers()] == ["eva (Slack)"]
    assert _line(sales.update(2)) == "eva (Slack) has accepted this lead."
    assert sales.press(sales.payload(told["bosses"])) == 200
    assert _line(sales.update(3)).startswith("It was accepted before: by somebody, "), "they read of no people"


def _button(posted: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in posted["blocks"] if each["type"] == "actions")
    return found


@pytest.mark.parametrize("name", ["channel", "mail", "nobody", "", "team/", "x%2Fy"])
def test_a_notifier_without_buttons_is_not_found(sales: Sales, name: str) -> None:
    body = b"payload={}"
    assert sales.press(body, name) == 404


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_a_press_is_a_post_and_nothing_else(sales: Sales, method: str) -> None:
    assert sales.caller.ask(method, "/slack/team").status == 405


def test_whatever_else_is_done_in_slack_is_taken_and_ignored(sales: Sales) -> None:
    sales.is_told("team")
    posted = sales.posted()
    block = next(each for each in posted["blocks"] if each["type"] == "actions")["block_id"]
    nothing_chosen = {"type": "static_select", "action_id": "not_ready", "block_id": block, "selected_option": None}
    others = [
        sales.payload(posted, type="view_submission"),
        sales.payload(posted, type="message_action", actions=None),
        sales.payload(posted, actions=[]),
        sales.payload(posted, actions=[nothing_chosen]),
        sales.payload(posted, actions=[{"action_id": "somebody_else_s", "block_id": block}]),
        b"payload=" + quote_plus("[1]").encode(),
    ]
    with structlog.testing.capture_logs() as told:
        assert [sales.press(each) for each in others] == [200] * len(others)
    assert [each for each in told if each["log_level"] == "warning"] == []
    assert (sales.answers(), len(sales.slack.received)) == ([], 1)


def test_what_cannot_be_understood_is_told_once_and_shows_nothing_of_it(sales: Sales) -> None:
    sales.is_told("team")
    strange = [b"payload=no+json", b"", sales.payload(sales.posted(), actions="Ana Ruiz")]
    with structlog.testing.capture_logs() as told:
        assert [sales.press(each) for each in (strange[2], strange[2], *strange)] == [200] * 5
    reasons = ["ValidationError", "JSONDecodeError", "ValidationError"]
    assert [(each["event"], each["reason"]) for each in told] == [("slack_not_understood", each) for each in reasons]
    assert "Ana" not in str(told)


def test_who_has_no_name_is_named_by_what_slack_tells_and_breaks_no_line(sales: Sales) -> None:
    sales.is_told("team")
    body = sales.payload(sales.posted(), user={"id": "U7", "name": "<!channel>\r\n*Eva*", "username": ""})
    sales.press(body)
    assert sales.answers()[0].author == "<!channel> *Eva* (Slack)"
    assert _line(sales.update()).startswith("&lt;!channel&gt; *Eva* (Slack) has accepted")
    assert sales.update()["blocks"][-1]["elements"][0]["verbatim"] is True


def test_the_message_is_updated_at_slack_s_address_and_nowhere_else(sales: Sales) -> None:
    sales.is_told("team")
    with HttpReceiver() as elsewhere, structlog.testing.capture_logs() as told:
        for url in (
            elsewhere.url,
            elsewhere.url.replace("http://", "http://hooks.slack.com@"),
            "file:///etc/passwd",
            None,
        ):
            assert sales.press(sales.payload(sales.posted(), response_url=url)) == 200
        time.sleep(0.2)
        assert elsewhere.received == []
    assert [each["event"] for each in told] == ["slack_message_not_updated"]
    assert len(sales.answers()) == 1, "the answer itself is kept"
    assert len(sales.slack.received) == 1


@pytest.mark.parametrize(
    ("url", "may"),
    [
        ("https://hooks.slack.com/actions/T1/2/x", True),
        ("https://hooks.slack.com:443/actions/T1/2/x", True),
        ("https://chat.acme.es/hooks/1", True),
        ("http://hooks.slack.com/actions/T1/2/x", False),
        ("https://hooks.slack.com:8080/x", False),
        ("https://hooks.slack.com.evil.test/x", False),
        ("https://evil.test/hooks.slack.com", False),
        ("https://hooks.slack.com@evil.test/x", False),
        ("https://user@hooks.slack.com/x", False),
        ("https://chat.acme.es:8443/hooks/1", False),
        ("https://hooks.slack.com:x/", False),
        ("//hooks.slack.com/x", False),
        ("https://[::1", False),
        ("", False),
    ],
)
def test_only_two_houses_are_entered(url: str, may: bool) -> None:
    assert _may_call(url, "https://chat.acme.es/services/T0/B0/s3cr3t") is may


@pytest.mark.parametrize("reply", [Reply(500, "no"), Reply(manner="drop")])
def test_a_message_that_cannot_be_updated_is_told_once_without_its_address(sales: Sales, reply: Reply) -> None:
    sales.is_told("team")
    sales.slack.script.extend([reply, reply])
    with structlog.testing.capture_logs() as told:
        for place in (1, 2):
            assert sales.press(sales.payload(sales.posted())) == 200
            sales.update(place)
        deadline = time.monotonic() + 3
        while not told and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.1)
    assert [(each["event"], each["log_level"]) for each in told] == [("slack_message_not_updated", "warning")]
    assert "s3cr3tpath" not in str(told)
    assert len(sales.answers()) == 1


def test_where_the_update_is_sent_on_to_is_not_gone_to(sales: Sales) -> None:
    sales.is_told("team")
    with HttpReceiver() as elsewhere, structlog.testing.capture_logs() as told:
        sales.slack.script.append(Reply(307, "", {"Location": elsewhere.url}))
        sales.press(sales.payload(sales.posted()))
        deadline = time.monotonic() + 3
        while not told and time.monotonic() < deadline:
            time.sleep(0.01)
        assert elsewhere.received == []
    assert [each["reason"] for each in told] == ["127.0.0.1 answered 307"]


def test_slack_is_answered_while_its_own_server_hangs(sales: Sales) -> None:
    sales.is_told("team")
    sales.slack.script.append(Reply(manner="hang"))
    begun = time.monotonic()
    assert sales.press(sales.payload(sales.posted())) == 200
    assert time.monotonic() - begun < 2


def test_a_message_that_is_nested_too_deeply_to_be_sent_back_is_told(sales: Sales) -> None:
    sales.is_told("team")
    body, mark = sales.payload(sales.posted()), b"%22blocks%22%3A%5B"
    deep = quote_plus('{"in":' * 300 + "{}" + "}" * 300 + ",").encode()
    with structlog.testing.capture_logs() as told:
        assert sales.press(body.replace(mark, mark + deep, 1)) == 200
        deadline = time.monotonic() + 3
        while not told and time.monotonic() < deadline:
            time.sleep(0.01)
    assert [each["reason"] for each in told] == ["the message is nested too deeply"]
    assert len(sales.answers()) == 1


def test_a_message_without_its_blocks_is_replaced_by_the_line_alone(sales: Sales) -> None:
    sales.is_told("team")
    sales.press(sales.payload(sales.posted(), message=None))
    update = sales.update()
    assert update["text"] == _line(update) == "eva (Slack) has accepted this lead."
    assert len(update["blocks"]) == 1


def test_in_spanish_the_line_is_in_spanish(tmp_path: Path, sqlite_template: Path) -> None:
    with on_sqlite(tmp_path, sqlite_template, language="es") as sales:
        sales.is_told("team")
        assert "No está listo…" in orjson.dumps(sales.posted()).decode()
        sales.press(sales.payload(sales.posted(), "already a customer"))
        told = _line(sales.update())
        assert told.startswith("eva (Slack) dice que este lead no está listo: ya es cliente. Vuelve a MQL hasta el ")
        assert sales.answers()[0].reason == "already a customer"


def test_a_reload_without_the_secret_ends_the_buttons(sales: Sales) -> None:
    sales.is_told("team")
    body = sales.payload(sales.posted())
    settings = sales.settings
    team = settings.notifiers["team"].model_copy(update={"signing_secret": None})
    without = replace(settings, notifiers={**settings.notifiers, "team": team})
    sales.app = replace(sales.app, project=replace(sales.app.project, handoff=without))
    assert sales.press(body) == 404
    assert sales.answers() == []
