"""Links that say which message they came with and which answer they stand for, and that only we can make."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from syncer.handoff.delivery import DeliveryError, quoted
from syncer.handoff.links import GOOD_FOR, Link, Links, links_of
from syncer.handoff.mail import EmailChannel, MailServer
from syncer.handoff.messages import ACCEPT, NOT_READY, Audience, chat_post, letter, slack_post
from syncer.settings import Web
from tests.handoff.samples import handoff, notice
from tests.receivers import SmtpReceiver, SmtpReply

KEY = "0f" * 16
LINKS = Links("https://syncer.acme.es/", "a-secret-of-many-letters")
MADRID = Audience("es", "Europe/Madrid", links=LINKS)


def _token(url: str) -> str:
    return url.rpartition("/")[2]


@pytest.mark.parametrize("accepted", [True, False])
def test_a_link_leads_back_to_its_message_and_its_answer(accepted: bool) -> None:
    url = LINKS.to_answer(KEY, accepted)
    assert url.startswith("https://syncer.acme.es/answers/")
    link = LINKS.read(_token(url))
    assert link is not None
    assert (link.notice_key, link.accepted) == (KEY, accepted)
    assert abs(datetime.now(UTC) - link.signed_at) < timedelta(minutes=1)


def test_another_secret_reads_nothing_and_no_repr_shows_ours() -> None:
    token = _token(LINKS.to_answer(KEY, True))
    assert Links(LINKS.public_url, "another-secret-of-letters").read(token) is None
    assert all(LINKS.read(each) is None for each in ("", ".", "..", token[:-2], token + "x", f"{token}.x", "\x00", "ñ"))
    assert LINKS.secret not in repr(MADRID)


def test_a_link_is_old_after_thirty_days() -> None:
    at = datetime(2026, 11, 1, tzinfo=UTC)
    link = Link(KEY, True, at)
    assert not link.is_old(at + GOOD_FOR)
    assert link.is_old(at + GOOD_FOR + timedelta(seconds=1))


def test_links_need_an_address_and_a_secret() -> None:
    assert links_of(None) is None
    assert links_of(Web()) is None
    web = Web(public_url="https://s.acme.es", secret=SecretStr("0123456789abcdef"))
    assert links_of(web) == Links("https://s.acme.es", "0123456789abcdef")


def test_messages_to_people_carry_both_links_in_their_language() -> None:
    written, chat = letter(handoff(), MADRID, key=KEY), chat_post(handoff(), MADRID, key=KEY)
    for text in (written.text, chat.text):
        *_, accept, not_ready = text.strip().splitlines()
        assert accept.startswith("Aceptar: https://syncer.acme.es/answers/")
        assert not_ready.startswith("No está listo: https://syncer.acme.es/answers/")
        links = [LINKS.read(_token(each)) for each in (accept, not_ready)]
        assert [(each.notice_key, each.accepted) for each in links if each] == [(KEY, True), (KEY, False)]
    assert written.html.count('<a href="https://syncer.acme.es/answers/') == 2
    english = letter(handoff(), Audience("en", links=LINKS), key=KEY)
    assert "\nAccept: https://" in english.text
    assert "\nNot ready: https://" in english.text


def test_without_links_or_without_a_message_nothing_speaks_of_them() -> None:
    for told in (letter(handoff(), MADRID), letter(handoff(), Audience("es"), key=KEY)):
        assert "/answers/" not in told.text + told.html
        assert "Aceptar" not in told.text + told.html
    assert len(slack_post(handoff(), Audience("es"), key=KEY).blocks) == 2
    assert len(slack_post(handoff(), MADRID).blocks) == 2


def test_slack_shows_the_links_in_a_block_of_their_own() -> None:
    _, block, _ = slack_post(handoff(), MADRID, key=KEY).blocks
    told = block["text"]["text"]
    assert told.startswith("<https://syncer.acme.es/answers/")
    assert "|Aceptar> · <https://syncer.acme.es/answers/" in told
    assert told.endswith("|No está listo>")
    long = Audience("es", links=Links("https://s.es/?" + "&" * 900, LINKS.secret))
    assert len(slack_post(handoff(), long, key=KEY).blocks) == 2, "a link that was cut short leads elsewhere"


def test_buttons_stand_in_for_the_links_and_offer_each_reason_once() -> None:
    readers = Audience("es", reasons=("no budget", "sin <stock>", "no budget"))
    _, block, _ = slack_post(handoff(), readers, key=KEY).blocks
    button, menu = block["elements"]
    assert (block["type"], block["block_id"]) == ("actions", KEY)
    assert (button["type"], button["action_id"], button["text"]["text"]) == ("button", ACCEPT, "Aceptar")
    assert (menu["type"], menu["action_id"], menu["placeholder"]["text"]) == (
        "static_select", NOT_READY, "No está listo…",
    )  # fmt: skip
    assert [(each["text"]["text"], each["value"]) for each in menu["options"]] == [
        ("sin presupuesto", "no budget"),
        ("sin <stock>", "sin <stock>"),
    ]
    assert all(each["text"]["type"] == "plain_text" for each in (button, *menu["options"]))


def test_buttons_stay_within_slacks_limits(tmp_path: Path) -> None:
    (tmp_path / "es").mkdir()
    (tmp_path / "es" / "words.j2").write_text(f"{{% set accept = '{'a' * 200}' %}}{{% set not_ready = '' %}}")
    readers = Audience("es", templates=tmp_path, reasons=tuple(f"{number} {'x' * 70}"[:75] for number in range(50)))
    button, menu = slack_post(handoff(), readers, key=KEY).blocks[1]["elements"]
    assert len(button["text"]["text"]) == 75
    assert menu["placeholder"]["text"] == "No está listo…", "an empty word is none"
    assert len(menu["options"]) == 20
    assert all(len(each["text"]["text"]) <= 75 and len(each["value"]) <= 75 for each in menu["options"])


def test_a_broken_file_of_words_costs_no_button(tmp_path: Path) -> None:
    (tmp_path / "es").mkdir()
    (tmp_path / "es" / "words.j2").write_text("{% set accept = %}")
    readers = Audience("es", templates=tmp_path, reasons=("other",))
    button, _ = slack_post(handoff(), readers, key=KEY).blocks[1]["elements"]
    assert button["text"]["text"] == "Aceptar"


def test_what_is_kept_of_a_refusal_has_no_token() -> None:
    """A server may repeat what it got."""
    url = LINKS.to_answer(KEY, True)
    assert quoted(f"spam: {url} it says", ()) == ': "spam: https://syncer.acme.es/answers/*** it says"'
    with SmtpReceiver(SmtpReply("DATA", f"554 no {url}")) as server:
        channel = EmailChannel(MailServer(server.host, server.port, "none"), "a@acme.es", MADRID)
        with pytest.raises(DeliveryError) as caught:
            channel.send(notice(recipient="luis@acme.es"), False)
    assert _token(url) not in caught.value.message
    assert "/answers/***" in caught.value.message


def test_no_button_s_json_holds_more_than_the_message_s_key() -> None:
    block = slack_post(handoff(), Audience("en", reasons=("other",)), key=KEY).blocks[1]
    assert not any(word in json.dumps(block) for word in ("Ana", "90151", "luis", "clinicanova"))
