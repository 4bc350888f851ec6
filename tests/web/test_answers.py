"""The page behind a link in a message, over real HTTP: from the mail that was sent to what the answer does."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest
import structlog
from itsdangerous import TimestampSigner

from syncer.errors import TemporaryError
from syncer.handoff.links import GOOD_FOR, Links
from syncer.store import Store, open_store, outbox
from syncer.web import desk
from tests.receivers import HttpReceiver
from tests.runs.test_sweep import World
from tests.web.calling import DeadStore
from tests.web.sales import OWNER, SECRET, Sales, day_there, on_sqlite, opened_sales

GOES_BACK = "on_reject: {to: mql}"
EVIL = "<script>alert(1)</script>\"' onload=x \r\nX-Evil: 1"


def _text(page: bytes) -> str:
    """What is read of it."""
    shown = re.sub(r"<style>.*?</style>|<title>.*?</title>", "", page.decode(), flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", shown).split())


def test_who_has_the_mail_accepts_the_lead_with_one_click_more(tmp_path: Path, database_url: str) -> None:
    with opened_sales(tmp_path, database_url) as sales:
        sales.is_told("mail")
        accept, _ = sales.links()
        asked = sales.look(accept)
        assert (asked.status, _text(asked.data)) == (200, "Ana Ruiz is SQL: 78 points I accept this lead")
        assert sales.answers() == []
        said = sales.send(accept)
        assert (said.status, _text(said.data)) == (
            200, "Ana Ruiz is SQL: 78 points luis@acme.es has accepted this lead.",
        )  # fmt: skip
        (answer,) = sales.answers()
        assert (answer.accepted, answer.author, answer.source, answer.reason) == (True, OWNER, "link", "")
        sales.send(accept)
        (act,) = sales.acts()
        assert (act.who, act.act, act.about, act.address) == (OWNER, "handoff_accept", sales.handoff.key, "127.0.0.1")
        assert act.details["source"] == "link"
        assert sales.word() is None


def test_who_calls_it_not_ready_says_why_and_reads_where_it_goes(tmp_path: Path, database_url: str) -> None:
    with opened_sales(tmp_path, database_url) as sales:
        sales.is_told("mail")
        _, not_ready = sales.links()
        asked = _text(sales.look(not_ready).data)
        assert "Why is it not ready? no budget not now not a fit cannot be reached" in asked
        said = sales.send(not_ready, reason="not now", note="after the summer\r\n")
        (answer,) = sales.answers()
        assert (answer.accepted, answer.author, answer.reason) == (False, OWNER, "not now: after the summer")
        until = day_there(answer.at + timedelta(days=30))
        assert "luis@acme.es says that this lead is not ready: not now: after the summer." in _text(said.data)
        assert f"It goes back to MQL until {until}" in _text(said.data)
        assert sales.word() == ("mql", OWNER, "not now: after the summer")


def _everything_in(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / "syncer.db")) as database:
        return list(database.iterdump())


def test_a_scanner_that_follows_every_link_changes_nothing(sales: Sales, tmp_path: Path) -> None:
    sales.is_told("mail")
    before = _everything_in(tmp_path)
    for path in sales.links():
        for method in ("GET", "HEAD", "GET"):
            assert sales.look(path, method).status == 200
        for method in ("OPTIONS", "PUT", "DELETE", "PATCH"):
            assert sales.look(path, method).status == 405
    assert _everything_in(tmp_path) == before
    sales.send(sales.links()[0])
    assert _everything_in(tmp_path) != before


def test_a_link_answers_once_and_a_rejection_is_final(sales: Sales) -> None:
    sales.is_told("mail")
    accept, not_ready = sales.links()
    sales.send(accept)
    assert "It was accepted before: by luis@acme.es, " in _text(sales.send(accept).data)
    assert "accepted before" in _text(sales.look(accept).data)
    sales.send(not_ready, reason="other")
    for path in (accept, not_ready):
        for answer in (sales.look(path), sales.send(path, reason="not now")):
            assert "It was called not ready before: by luis@acme.es, " in _text(answer.data)
            assert b"<form" not in answer.data
    assert [(each.accepted, each.reason) for each in sales.answers()] == [(True, ""), (False, "other")]


def test_of_many_who_answer_at_once_one_is_taken(tmp_path: Path, database_url: str) -> None:
    with opened_sales(tmp_path, database_url) as sales:
        sales.is_told("mail")
        _, not_ready = sales.links()
        with ThreadPoolExecutor(4) as callers:
            pages = list(callers.map(lambda _: _text(sales.send(not_ready, reason="not now").data), range(4)))
        assert len(sales.answers()) == 1
        assert sum("says that this lead is not ready" in each for each in pages) <= 1
        assert all("says that" in each or "before" in each or "try again" in each for each in pages)


def test_an_answer_without_a_reason_asks_for_one_and_keeps_nothing(sales: Sales) -> None:
    sales.is_told("mail")
    _, not_ready = sales.links()
    for form in ({}, {"reason": "a reason that nobody offers"}, {"note": " \r\n "}):
        said = sales.send(not_ready, **form)
        assert (said.status, "Please choose a reason or write one." in _text(said.data)) == (400, True)
        assert b"<form" in said.data
    assert sales.answers() == []
    sales.send(not_ready, note="in my own words")
    assert sales.answers()[0].reason == "in my own words"


def test_a_lead_that_has_left_the_stage_is_no_longer_asked_about(sales: Sales) -> None:
    sales.is_told("mail")
    accept, _ = sales.links()
    sales.leaves_the_stage()
    for answer in (sales.look(accept), sales.send(accept)):
        assert "This lead has left SQL meanwhile" in _text(answer.data)
        assert b"<form" not in answer.data
    assert sales.answers() == []


def test_of_who_was_erased_nothing_is_shown_any_more(sales: Sales) -> None:
    sales.is_told("mail")
    accept, not_ready = sales.links()
    sales.is_erased()
    for answer in (sales.look(accept), sales.send(accept), sales.send(not_ready, reason="other")):
        assert "This lead has left SQL meanwhile" in _text(answer.data)
        assert not re.search(rb"Ana|Ruiz|nova|600123456", answer.data)
    assert sales.answers() == []


def test_a_link_that_is_forged_old_or_of_nothing_says_one_sentence(sales: Sales) -> None:
    sales.is_told("mail")
    accept, _ = sales.links()
    token = accept.rpartition("/")[2]
    payload, signed_at, signature = token.split(".")
    another = Links(sales.caller.origin, SECRET).to_answer("f" * 32, True).rpartition("/")[2]
    forged = Links(sales.caller.origin, "another secret altogether").to_answer("f" * 32, True).rpartition("/")[2]
    changed = base64.urlsafe_b64encode(b'["' + b"f" * 32 + b'",true]').decode().rstrip("=")
    wrong = [token[:-1], f"{payload}.{signed_at}.{'A' * len(signature)}", f"{changed}.{signed_at}.{signature}",
             f"{payload}.AAAAAA.{signature}", f".{token}", another, forged, "x", "%00", "é", "a" * 9_000]  # fmt: skip
    for each in wrong:
        for answer in (sales.look(f"/answers/{each}"), sales.send(f"/answers/{each}", reason="other")):
            assert (answer.status, _text(answer.data)) == (404, "This link leads nowhere."), each
    sales.later = GOOD_FOR + timedelta(minutes=1)
    for answer in (sales.look(accept), sales.send(accept)):
        assert (answer.status, _text(answer.data)) == (410, "This link has expired.")
    assert sales.answers() == []


def test_what_is_signed_for_another_purpose_is_no_link(sales: Sales) -> None:
    sales.is_told("mail")
    payload = sales.links()[0].rpartition("/")[2].split(".")[0]
    other = TimestampSigner(SECRET, salt="another purpose", digest_method=hashlib.sha256, key_derivation="hmac")
    assert sales.send(f"/answers/{other.sign(payload).decode()}").status == 404


def test_the_link_says_nothing_of_anybody(sales: Sales) -> None:
    sales.is_told("mail")
    payload = sales.links()[0].rpartition("/")[2].split(".")[0]
    told = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).decode()
    assert re.fullmatch(r'\["[0-9a-f]{32}",true\]', told)


def test_a_page_runs_nothing_and_is_shown_nowhere_else(sales: Sales) -> None:
    sales.is_told("mail")
    accept, not_ready = sales.links()
    pages = [sales.look(accept), sales.look(not_ready), sales.send(accept), sales.look("/answers/x")]
    for page in pages:
        style = re.search(r"<style>(.*?)</style>", page.data.decode(), re.DOTALL)
        assert style is not None
        digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
        policy = page.headers["content-security-policy"]
        assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'; ")
        assert "frame-ancestors 'none'" in policy
        assert "form-action 'self'" in policy
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert page.headers["x-frame-options"] == "DENY"
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["cache-control"] == "no-store"
        assert not re.search(rb"<script|<link|<img|https?://| style=| on\w+=", page.data)
        assert b"width=device-width" in page.data


def test_what_stands_in_a_name_or_is_written_stays_text(tmp_path: Path, sqlite_template: Path) -> None:
    more = f"{GOES_BACK}\n  answers: {{reasons: ['<b>no</b> budget', other]}}"
    with on_sqlite(tmp_path, sqlite_template, more=more) as sales:
        sales.is_told("mail", name=EVIL)
        _, not_ready = sales.links()
        pages = [sales.look(not_ready), sales.send(not_ready, reason="<b>no</b> budget", note=EVIL)]
        for page in pages:
            assert not re.search(rb"<script|<b>|\" onload", page.data)
            assert b"&lt;script&gt;" in page.data
            assert "x-evil" not in page.headers
        assert b"&lt;b&gt;no&lt;/b&gt; budget" in pages[0].data
        assert sales.answers()[0].reason.startswith("<b>no</b> budget: <script>alert(1)</script>")
        assert "\n" not in sales.answers()[0].reason


def test_in_spanish_everything_is_in_spanish(tmp_path: Path, sqlite_template: Path) -> None:
    with on_sqlite(tmp_path, sqlite_template, language="es", more=GOES_BACK) as sales:
        sales.is_told("mail")
        accept, not_ready = sales.links()
        asked = sales.look(not_ready)
        assert b'<html lang="es">' in asked.data
        assert "Ana Ruiz está en SQL: 78 puntos ¿Por qué no está listo? sin presupuesto ahora no" in _text(asked.data)
        said = _text(sales.send(not_ready, reason="no budget").data)
        assert said.endswith("luis@acme.es dice que este lead no está listo: sin presupuesto. Vuelve a MQL.")
        assert sales.answers()[0].reason == "no budget", "kept as the project has it, so that it can be counted"
        assert "Ya se había dicho que no está listo: luis@acme.es, " in _text(sales.send(accept).data)


def test_the_page_tells_no_more_of_the_lead_than_the_message_did(sales: Sales) -> None:
    sales.is_told("anonymous")
    accept, _ = sales.links()
    parts = [each.get_content() for each in sales.mail.received[0].message.iter_parts()]
    assert "+30 Asked for a demo\r\n" in parts[0]
    assert _text(sales.look(accept).data).startswith("crm/contacts/90151 is SQL")
    pages = sales.look(accept).data + sales.send(accept).data + sales.send(accept).data
    assert not re.search(r"Ana|Ruiz|nova|600123456", "".join(parts) + str(sales.mail.received[0].message["Subject"]))
    assert not re.search(rb"Ana|Ruiz|nova|600123456", pages)
    assert b"before: by somebody, " in pages


WITH_WEB = """
web: {{public_url: "https://syncer.acme.es", secret: 0123456789abcdef}}
handoff: {{notifiers: {{team: {{type: slack, private_addresses: true, url: {url}}}}}, notify: [team]}}
"""


def test_what_a_run_sends_carries_the_links_of_its_project(tmp_path: Path, sqlite_template: Path) -> None:
    shutil.copy(sqlite_template, tmp_path / "syncer.db")
    with HttpReceiver() as slack, closing(open_store(f"sqlite:///{tmp_path / 'syncer.db'}")) as store:
        world = World(tmp_path, store, more=WITH_WEB.format(url=slack.url))
        world.crm.put("1", email="ana@nova.es", forms=1)
        world.sync()
        world.now += timedelta(days=3)
        world.crm.now = world.now - timedelta(minutes=5)
        world.crm.act("m", "meeting", "1")
        world.sync()
    (told,) = slack.received
    assert told.body.count(b"<https://syncer.acme.es/answers/") == 2


def test_a_chat_s_links_answer_in_the_name_of_whoever_reads_there(sales: Sales) -> None:
    sales.is_told("channel")
    (block,) = [each for each in sales.posted()["blocks"] if "/answers/" in str(each)]
    accept, not_ready = re.findall(rf"<{re.escape(sales.caller.origin)}(/answers/[\w.-]+)\|", block["text"]["text"])
    assert sales.look(not_ready).status == 200
    sales.send(accept)
    assert [(each.accepted, each.author) for each in sales.answers()] == [(True, "somebody in channel")]


def test_without_an_address_of_its_own_the_door_knows_no_links(sales: Sales) -> None:
    sales.is_told("mail")
    accept, _ = sales.links()
    web = sales.app.project.web
    assert web is not None
    without = web.model_copy(update={"public_url": None, "secret": None})
    sales.app = replace(sales.app, project=replace(sales.app.project, web=without))
    assert sales.look(accept).status == 404
    assert sales.send(accept).status == 404
    assert sales.answers() == []


def test_whatever_goes_wrong_one_sentence_is_shown_and_no_log_knows_the_token(sales: Sales) -> None:
    sales.is_told("mail")
    accept, _ = sales.links()
    token = accept.rpartition("/")[2]
    alive = sales.app
    outage = TemporaryError("the database did not do its part", code="SY066")
    with structlog.testing.capture_logs() as told:
        for error, status in ((outage, 503), (RuntimeError("a planted bug"), 500)):
            sales.app = replace(alive, store=cast("Store", DeadStore(error)))
            for answer in (sales.look(accept), sales.send(accept)):
                assert (answer.status, _text(answer.data)) == (
                    status, "That did not work just now. Please try again in a minute.",
                )  # fmt: skip
    sales.app = alive
    assert [each["event"] for each in told] == ["answer_failed"] * 2 + ["answer_crashed"] * 2
    assert token not in str(told)
    assert sales.send(accept).status == 200


def test_a_form_that_is_none_is_refused(sales: Sales, monkeypatch: pytest.MonkeyPatch) -> None:
    sales.is_told("mail")
    _, not_ready = sales.links()
    for body in (b"reason=\xff\xfe", b"&".join(b"a=1" for _ in range(50))):
        assert sales.caller.ask("POST", not_ready, body).status == 400
    assert sales.caller.ask("POST", not_ready, b"note=" + b"a" * desk.MOST_BYTES).status == 413
    monkeypatch.setattr(desk, "BODY_S", 0.2)
    unended = f"POST {not_ready} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n[".encode()
    assert sales.caller.raw(unended, within_s=2)[9:12] == b"408"
    assert sales.answers() == []


def test_a_message_key_alone_is_no_link(sales: Sales) -> None:
    sales.is_told("mail")
    with sales.app.store.reading() as tx:
        ((_, _, told),) = outbox.handoffs(tx, "crm")
    assert sales.send(f"/answers/{told[0].key}").status == 404
