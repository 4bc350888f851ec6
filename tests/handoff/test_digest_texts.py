"""What a digest says, in the words of each channel and within what each takes."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from syncer.handoff.apprise import AppriseChannel
from syncer.handoff.delivery import Channel, Gathering
from syncer.handoff.mail import EmailChannel, MailServer, digest_envelope
from syncer.handoff.messages import (
    MOST_LEADS,
    Audience,
    Language,
    digest_chat_post,
    digest_letter,
    digest_slack_post,
    fit_into_chat,
    fit_into_slack,
)
from syncer.handoff.slack import SlackChannel
from syncer.handoff.webhook import WebhookChannel
from syncer.model import Handoff, NoticeKind
from tests.handoff.samples import HANDOFF, handoff, notice
from tests.receivers import HttpReceiver

MADRID = Audience("es", "Europe/Madrid")
EVIL = "<b>Eva</b> & <!channel> <https://evil.test|click>\r\nBcc: x@evil.test\u2028{{ 7*7 }}"
TWO = (handoff(total=9_000), handoff(name=None, email=None, url=None, reasons=()))


def _slack_texts(handoffs: Sequence[Handoff], repeat: bool = False) -> list[str]:
    return [block["text"]["text"] for block in digest_slack_post(handoffs, MADRID, repeat).blocks]


def test_the_letter_names_each_lead_with_its_score_its_strongest_reason_and_its_link() -> None:
    told = digest_letter(TWO, MADRID)
    assert told.subject == "2 leads listos para ventas"
    assert told.text == (
        "2 leads listos para ventas\n"
        "\n"
        "Ana Ruiz: SQL, 90 puntos\n"
        "  Decision maker: jobtitle contains 'director'\n"
        "  https://app.crm.test/contacts/2583391/90151?a=1&b=2\n"
        "crm/contacts/90151: SQL, 78 puntos\n"
    )
    assert '<a href="https://app.crm.test/contacts/2583391/90151?a=1&amp;b=2">Ana Ruiz</a>' in told.html
    assert told.html.count("<tr ") == 2


def test_slack_and_chats_have_a_line_for_each_lead() -> None:
    assert _slack_texts(TWO) == [
        "*2 leads listos para ventas*\n"
        "• <https://app.crm.test/contacts/2583391/90151?a=1&amp;b=2|Ana Ruiz>: 90, "
        "Decision maker: jobtitle contains 'director'\n"
        "• crm/contacts/90151: 78"
    ]
    told = digest_chat_post(TWO, Audience("en", "UTC"))
    assert told.title == "2 leads are ready for sales"
    assert told.text == (
        "- Ana Ruiz: 90, Decision maker: jobtitle contains 'director' "
        "https://app.crm.test/contacts/2583391/90151?a=1&b=2\n"
        "- crm/contacts/90151: 78"
    )


@pytest.mark.parametrize("language", ["es", "en"])
@pytest.mark.parametrize("kind", ["handoff", "reminder", "escalation"])
def test_each_kind_and_a_repeat_say_so_everywhere(language: Language, kind: NoticeKind) -> None:
    audience = Audience(language)
    words = {"es": ("Posible", "Recordatorio", "Aviso"), "en": ("Possible", "Reminder", "Escalation")}[language]
    repeat, *kinds = words
    told = digest_letter(TWO, audience, True, kind)
    said = {"reminder": kinds[0], "escalation": kinds[1]}.get(kind, "")
    assert told.subject.startswith(f"[{repeat} ")
    assert said in told.subject
    chat, (block,) = digest_chat_post(TWO, audience, True, kind), digest_slack_post(TWO, audience, True, kind).blocks
    plain = digest_letter(TWO, audience, False, kind)
    for text in (told.text, told.html, chat.text, block["text"]["text"]):
        assert said in text
    assert len(told.text) > len(plain.text)
    assert len(told.html) > len(plain.html)
    assert repeat not in plain.subject


def test_a_digest_of_one_speaks_of_one() -> None:
    assert digest_letter(TWO[:1], Audience("en")).subject == "1 lead is ready for sales"


def test_what_stands_in_the_texts_opens_no_mark_up_and_no_line() -> None:
    told = (handoff(name=EVIL, reasons=(EVIL,), owner=EVIL, email=EVIL, stage=EVIL, url="x:" + EVIL),) * 3
    post = digest_slack_post(told, MADRID)
    shown = json.dumps([post.text, list(post.blocks)])
    assert "<" not in shown
    assert "&lt;!channel&gt;" in shown
    assert all(block["text"]["verbatim"] is True for block in post.blocks)
    written = digest_letter(told, MADRID)
    assert "<b>Eva" not in written.html
    assert "{{ 7*7 }}" in written.html
    assert not any(line.startswith("Bcc") for line in written.text.splitlines())
    assert "<" not in digest_chat_post(told, MADRID).text


def test_without_personal_data_a_digest_says_of_nobody_who_it_is() -> None:
    told = (handoff(reasons=("+30 Asked for a demo (phone = 600123456)",)),) * 2
    nobody = Audience("es", "Europe/Madrid", personal_data=False)
    written, chat = digest_letter(told, nobody), digest_chat_post(told, nobody)
    texts = (written.text, written.html, chat.text, *(str(digest_slack_post(told, nobody).blocks),))
    for text in texts:
        assert not re.search("Ana|Ruiz|clinicanova|luis|600123456", text)
        assert "crm/contacts/90151" in text
        assert "+30 Asked for a demo" in text


# how many fit

PLAIN = tuple(handoff(name=f"Lead {rank}", url=f"https://crm.test/{rank}") for rank in range(500))
LONG = (handoff(name="&" * 999, url="https://crm.test/" + "x" * 300, reasons=("&" * 999,)),) * 500


def _blocks_fit(blocks: Sequence[dict[str, Any]]) -> bool:
    """Slack's limits: 50 blocks, 3,000 characters of text in each; 12,000 of all of them is what it has said once."""
    texts = [len(block["text"]["text"]) for block in blocks]
    return len(blocks) <= 50 and max(texts) <= 3_000 and len(json.dumps(blocks, ensure_ascii=False)) <= 12_000


@pytest.mark.parametrize("leads", [PLAIN, LONG], ids=["plain", "long"])
def test_as_many_go_into_a_slack_message_as_slack_takes_also_when_it_is_repeated(leads: Sequence[Handoff]) -> None:
    count = fit_into_slack(leads, MADRID, "escalation")
    assert 1 < count <= MOST_LEADS
    assert _blocks_fit(digest_slack_post(leads[:count], MADRID, True, "escalation").blocks)
    assert count == MOST_LEADS or len(json.dumps(digest_slack_post(leads[: count + 1], MADRID, True).blocks)) > 9_000
    lines = "\n".join(_slack_texts(leads[:count])).splitlines()
    assert len(lines) == count + 1, "every lead has a line, and no line is cut in half"


def test_a_link_too_long_for_slack_is_left_out_rather_than_cut() -> None:
    (text,) = _slack_texts((handoff(url="https://crm.test/" + "x" * 999),) * 2)
    assert "<" not in text


@pytest.mark.parametrize("longest", [160, 2_000, 4_096, 10_000])
def test_as_many_go_into_a_chat_message_as_its_service_takes(longest: int) -> None:
    count = fit_into_chat(PLAIN, MADRID, "handoff", longest)
    post = digest_chat_post(PLAIN[:count], MADRID, True)
    assert count == 1 or len(post.title) + len(post.text) <= longest
    more = digest_chat_post(PLAIN[: count + 1], MADRID, True)
    assert count == MOST_LEADS or len(more.title) + len(more.text) > longest


def test_a_message_that_holds_nobody_still_goes_out_with_one() -> None:
    assert fit_into_chat(PLAIN, MADRID, "handoff", 1) == 1


def _channel(url: str) -> AppriseChannel:
    return AppriseChannel(url, MADRID, private_addresses=True)


def test_each_service_behind_apprise_takes_as_much_as_it_says() -> None:
    many = [notice(name=f"Lead {rank}", url=f"https://crm.test/{rank}") for rank in range(300)]
    discord = "discord://012345678901234567/" + "a" * 64  # 2,000 characters
    assert 1 < _channel(discord).fit(many) < _channel("json://crm.test/x").fit(many) <= MOST_LEADS


def test_a_digest_goes_out_over_apprise_as_one_message() -> None:
    members = [notice(str(rank), name=f"Lead {rank}") for rank in range(30)]
    with HttpReceiver() as receiver:
        _channel(receiver.url.replace("http://", "json://")).send_digest(members, repeat=False)
        (got,) = receiver.received
    told = json.loads(got.body)
    assert told["title"] == "30 leads listos para ventas"
    assert len(told["message"].splitlines()) == 30


def test_mail_slack_and_apprise_gather_and_a_webhook_does_not() -> None:
    server = MailServer("smtp.test", 25)
    gathering: list[Channel] = [EmailChannel(server, "a@acme.es", MADRID), SlackChannel("https://slack.test", MADRID)]
    assert all(isinstance(each, Gathering) for each in (*gathering, _channel("json://crm.test/x")))
    assert not isinstance(WebhookChannel("https://hook.test"), Gathering)
    assert EmailChannel(server, "a@acme.es", MADRID).fit([notice()] * 300) == MOST_LEADS


def test_an_e_mail_carries_the_name_of_its_digest() -> None:
    members = [replace(notice(key, recipient="luis@acme.es"), digest="d1") for key in ("k1", "k2")]
    message = digest_envelope(members, "syncer@acme.es", MADRID, repeat=True)
    assert (message["Message-ID"], message["X-Syncer-Key"], message["To"]) == ("<d1@acme.es>", "d1", "luis@acme.es")


# templates of a project's own


def test_a_digest_s_template_can_be_another_one(tmp_path: Path) -> None:
    (tmp_path / "digest_subject.txt.j2").write_text("{{ count }}: {{ leads[0].name }}")
    assert digest_letter(TWO, replace(MADRID, templates=tmp_path)).subject == "2: Ana Ruiz"


def test_a_broken_one_is_passed_over_for_ours_and_the_log_says_so(tmp_path: Path) -> None:
    (tmp_path / "digest_slack.txt.j2").write_text("{{ name }}")
    with capture_logs() as logged:
        post = digest_slack_post(TWO, replace(MADRID, templates=tmp_path))
    assert post == digest_slack_post(TWO, MADRID)
    assert {each["event"] for each in logged} == {"template_broken"}


def test_a_line_longer_than_a_block_of_slack_s_is_cut(tmp_path: Path) -> None:
    (tmp_path / "digest_slack.txt.j2").write_text("{% for lead in leads %}{{ 'x' * 5000 }}\n{% endfor %}")
    post = digest_slack_post((HANDOFF, HANDOFF), replace(MADRID, templates=tmp_path))
    assert [len(block["text"]["text"]) for block in post.blocks] == [3_000, 3_000]
