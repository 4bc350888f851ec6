from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from jinja2 import UndefinedError

from syncer.handoff import messages
from syncer.handoff.messages import Audience, Language, chat_post, letter, slack_post, webhook_body, without_person
from syncer.handoff.wording import rendered
from syncer.model import Did, RecordKey
from tests.handoff.samples import handoff, notice

MADRID = Audience("es", "Europe/Madrid")
LATELY = (
    Did("email_click", datetime(2026, 11, 22, 8, 1, tzinfo=UTC)),
    Did("demo_video", datetime(2026, 11, 20, 17, 30, tzinfo=UTC)),
)
MISSING = ("Has a budget (budget is empty)", "Buys within three months (no timeline)")
EVIL = "<b>Eva</b> & <!channel> <https://evil.test|click>\r\nBcc: x@evil.test\u2028{{ 7*7 }}"


def _slack_text(post: messages.SlackPost) -> str:
    return json.dumps([post.text, list(post.blocks)])


def test_the_spanish_letter_says_who_what_why_and_where_in_local_time() -> None:
    told = letter(handoff(), MADRID)
    assert told.subject == "Ana Ruiz ya es SQL: 78 puntos"
    assert told.text == (
        "Ana Ruiz ya es SQL: 78 puntos\n"
        "\n"
        "Por qué:\n"
        "  - Decision maker: jobtitle contains 'director'\n"
        "  - Target country: country = ES\n"
        "  - Webinar\n"
        "  - Corporate\n"
        "\n"
        "Correo: ana.ruiz@clinicanova.es\n"
        "Responsable: luis@acme.es\n"
        "Registro: crm/contacts/90151\n"
        "Desde: 22/11/2026 09:05 (Europe/Madrid)\n"
        "Abrir en el CRM: https://app.crm.test/contacts/2583391/90151?a=1&b=2\n"
    )
    assert '<a href="https://app.crm.test/contacts/2583391/90151?a=1&amp;b=2">Abrir en el CRM</a>' in told.html


def test_the_english_letter_leaves_out_what_is_not_known() -> None:
    told = letter(handoff(name=None, owner=None, url=None, email=None, reasons=()), Audience("en", "UTC"))
    assert told.subject == "crm/contacts/90151 is now SQL: 78 points"
    assert told.text == (
        "crm/contacts/90151 is now SQL: 78 points\n\nWhy:\n  The model gives no reasons.\n\n"
        "Record: crm/contacts/90151\nSince: 2026-11-22 08:05 (UTC)\n"
    )
    assert "href" not in told.html
    assert "Owner" not in told.html


@pytest.mark.parametrize("language", ["es", "en"])
def test_a_repeat_says_so_everywhere(language: Language) -> None:
    mark = {"es": "Posible repetición", "en": "Possible repeat"}[language]
    audience = Audience(language)
    told, post = letter(handoff(), audience, repeat=True), slack_post(handoff(), audience, repeat=True)
    assert told.subject.startswith(f"[{mark}] ")
    assert post.text.startswith(f"[{mark}] ")
    first, again = letter(handoff(), audience), slack_post(handoff(), audience)
    assert told.text != first.text
    assert told.html != first.html
    assert post.blocks != again.blocks
    assert mark not in first.subject + again.text
    assert json.loads(webhook_body(notice(), repeat=True))["possible_repeat"] is True


def test_slack_shows_score_stage_the_three_strongest_reasons_and_the_link() -> None:
    post = slack_post(handoff(), MADRID)
    section, context = post.blocks
    assert section["text"]["text"] == (
        "*Ana Ruiz ya es SQL: 78 puntos*\n"
        "• Decision maker: jobtitle contains 'director'\n"
        "• Target country: country = ES\n"
        "• Webinar\n"
        "<https://app.crm.test/contacts/2583391/90151?a=1&amp;b=2|Abrir en el CRM>"
    )
    assert context["elements"][0]["text"] == (
        "Correo: ana.ruiz@clinicanova.es · Responsable: luis@acme.es · Desde: 22/11/2026 09:05 (Europe/Madrid)"
    )


def test_every_channel_says_what_the_lead_did_lately_and_what_nobody_knows_yet() -> None:
    told = handoff(did=LATELY, missing=MISSING)
    lines = ["hizo clic en un correo, 22/11/2026 09:01", "demo_video, 20/11/2026 18:30", *MISSING]
    written, section = letter(told, MADRID), slack_post(told, MADRID).blocks[1]
    assert section["text"]["text"] == (
        f"*Últimos pasos*\n• {lines[0]}\n• {lines[1]}\n*Por saber*\n• {lines[2]}\n• {lines[3]}"
    )
    assert f"\nÚltimos pasos:\n  - {lines[0]}\n  - {lines[1]}\n\nPor saber:\n  - {lines[2]}\n" in written.text
    assert all(f"<li>{line}</li>" in written.html for line in lines)
    assert f"\nÚltimos pasos:\n- {lines[0]}\n" in chat_post(told, MADRID).text
    english = chat_post(told, Audience("en", "UTC")).text
    assert "Lately:\n- clicked in an e-mail, 2026-11-22 08:01\n" in english
    assert "Not known yet:\n- Has a budget (budget is empty)\n" in english


def test_the_webhook_tells_of_both_only_where_there_is_something() -> None:
    told = json.loads(webhook_body(notice(did=LATELY[:1], missing=MISSING)))
    assert told["did"] == [{"kind": "email_click", "at": "2026-11-22T08:01:00+00:00"}]
    assert told["missing"] == list(MISSING)
    assert not {"did", "missing"} & set(json.loads(webhook_body(notice())))


def test_what_stands_in_a_kind_or_in_a_rule_s_name_is_made_safe_too() -> None:
    told = handoff(did=(Did(EVIL, LATELY[0].at),), missing=(EVIL,) * 3)
    assert "<" not in _slack_text(slack_post(told, MADRID)).replace("<https://app.crm.test", "")
    assert "<b>" not in letter(told, MADRID).html
    assert "<" not in chat_post(told, MADRID).text
    long = handoff(did=(Did("&" * 999, LATELY[0].at),) * 3, missing=("&" * 999,) * 5)
    assert len(slack_post(long, MADRID).blocks[1]["text"]["text"]) <= 3000


def test_a_chat_message_says_what_kind_it_is_of() -> None:
    reminder, escalation = (chat_post(handoff(), MADRID, kind=kind) for kind in ("reminder", "escalation"))
    assert (reminder.title, reminder.text.partition(":")[0]) == (
        "Recordatorio: Ana Ruiz ya es SQL: 78 puntos",
        "Recordatorio",
    )
    assert escalation.text.startswith("Aviso a dirección: se recordó a ventas")
    assert "Recordatorio" not in chat_post(handoff(), MADRID).title


def test_a_link_stays_as_it_is_also_where_texts_are_made_safe() -> None:
    assert "https://crm.test/@ana/1" in chat_post(handoff(url="https://crm.test/@ana/1"), MADRID).text


def test_slack_makes_nothing_of_what_stands_in_the_texts() -> None:
    post = slack_post(handoff(name=EVIL, owner=EVIL, reasons=(EVIL,), email=EVIL, stage=EVIL, url="x:" + EVIL), MADRID)
    told = _slack_text(post)
    assert "<" not in told
    assert ">" not in told
    assert "&lt;!channel&gt;" in told
    assert all(text["verbatim"] is True for text in _mrkdwn_texts(post))


def _mrkdwn_texts(post: messages.SlackPost) -> list[dict[str, Any]]:
    section, context = post.blocks
    return [section["text"], *context["elements"]]


def test_slack_texts_stay_within_slacks_limits() -> None:
    long = "&" * 10_000
    told = handoff(name=long, owner=long, email=long, reasons=(long,) * 20, stage=long, url="https://" + long)
    post = slack_post(told, MADRID)
    assert all(len(text["text"]) <= 3000 for text in _mrkdwn_texts(post))
    assert not re.search(r"&(?!amp;)", post.text), "an escape was cut in half"


def test_html_shows_mark_up_in_the_texts_as_text() -> None:
    html = letter(handoff(name=EVIL, reasons=(EVIL,), owner=EVIL, email=EVIL), MADRID).html
    assert "<b>Eva" not in html
    assert "&lt;b&gt;Eva&lt;/b&gt; &amp; &lt;!channel&gt;" in html
    assert "{{ 7*7 }}" in html, "a template in a name must stay text"


def test_a_line_break_in_a_name_opens_no_new_line() -> None:
    told = letter(handoff(name=EVIL), MADRID)
    assert "\n" not in told.subject
    assert not any(line.startswith("Bcc") for line in told.text.splitlines())


def test_the_webhook_body_has_its_documented_shape() -> None:
    assert json.loads(webhook_body(notice("k9"))) == {
        "schema": "syncer.handoff/1",
        "key": "k9",
        "lead": {
            "email": "ana.ruiz@clinicanova.es",
            "name": "Ana Ruiz",
            "record": "crm/contacts/90151",
            "url": "https://app.crm.test/contacts/2583391/90151?a=1&b=2",
            "owner": "luis@acme.es",
        },
        "assigned_to": None,
        "stage": "sql",
        "score": 78.99,
        "reasons": list(handoff().reasons),
        "episode": 1,
        "at": "2026-11-22T08:05:00+00:00",
        "possible_repeat": False,
    }


def test_every_channel_names_who_it_was_given_to_beside_another_owner() -> None:
    given = handoff(assigned_to="marta@acme.es")
    written = letter(given, MADRID)
    for text in (written.text, written.html, str(slack_post(given, MADRID).blocks)):
        assert "Asignado a: marta@acme.es" in text
    assert json.loads(webhook_body(notice(assigned_to="marta@acme.es")))["assigned_to"] == "marta@acme.es"
    assert "Asignado a" not in letter(handoff(assigned_to="LUIS@acme.es"), MADRID).text, "it is the owner's anyway"


def test_the_webhook_body_survives_texts_that_are_no_unicode() -> None:
    assert json.loads(webhook_body(notice(name="a\ud800b")))["lead"]["name"] == "a\ud800b"


def test_a_score_is_rounded_down_also_below_zero() -> None:
    assert letter(handoff(total=-50), Audience()).subject.endswith(": -1 points")


def test_both_languages_have_the_same_words() -> None:
    words = {path.parent.name: _defined(path) for path in _templates().glob("*/words.j2")}
    assert set(words) == {"es", "en"}
    assert words["es"] == words["en"] != set()


def _defined(path: Path) -> set[str]:
    return set(re.findall(r"{% (?:set|macro) (\w+)", path.read_text("utf-8")))


def test_a_word_that_a_template_misspells_is_an_error() -> None:
    facts = dict(messages._facts(handoff(), MADRID, False))
    del facts["score"]
    with pytest.raises(UndefinedError, match="score"):
        rendered("email.txt.j2", facts)


def _templates() -> Path:
    return Path(messages.__file__).parent / "templates"


NOBODY = Audience("es", "Europe/Madrid", personal_data=False)
TELLING: dict[str, Any] = {
    "reasons": (
        "chosen by hand by Marta: Ana asked for it",
        "+30 Asked for a demo (phone = 600123456 (mobile))",
        "-5 Is far away (city = Vigo)",
    ),
    "missing": ("Has a budget (budget is empty)", "Buys soon (timeline = maybe of Ana)"),
    "did": LATELY,
    "assigned_to": "marta@acme.es",
}
PERSONAL = re.compile(r"Ana|Ruiz|clinicanova|luis|[Mm]arta|600123456|Vigo|budget is|maybe", re.ASCII)


def test_without_personal_data_no_channel_says_who_it_is_or_what_stands_in_its_fields() -> None:
    told = handoff(**TELLING)
    written, chat = letter(told, NOBODY), chat_post(told, NOBODY)
    body = webhook_body(notice(**TELLING), personal_data=False).decode()
    slack = _slack_text(slack_post(told, NOBODY))
    texts = (written.subject, written.text, written.html, chat.title, chat.text, slack, body)
    assert [PERSONAL.findall(text) for text in texts] == [[]] * len(texts)
    assert written.subject == chat.title == "crm/contacts/90151 ya es SQL: 78 puntos"
    assert "  - +30 Asked for a demo\n  - -5 Is far away\n" in written.text
    assert "  - hizo clic en un correo, 22/11/2026 09:01\n" in written.text
    assert "Por saber:\n  - Has a budget\n  - Buys soon\n" in written.text
    assert "https://app.crm.test/contacts/2583391/90151" in written.text


def test_a_webhook_without_personal_data_keeps_its_shape_and_says_nothing_of_people() -> None:
    full, bare = (json.loads(webhook_body(notice(**TELLING), personal_data=each)) for each in (True, False))
    assert set(bare) == set(full)
    assert bare["lead"] == {
        "email": None, "name": None, "owner": None, "record": "crm/contacts/90151", "url": full["lead"]["url"],
    }  # fmt: skip
    assert bare["assigned_to"] is None
    assert bare["reasons"] == ["+30 Asked for a demo", "-5 Is far away"]
    assert (bare["score"], bare["stage"], bare["did"]) == (full["score"], full["stage"], full["did"])


def test_a_record_that_is_called_by_its_address_is_not_called_so() -> None:
    told = handoff(record=RecordKey("sheet", "people", "ana.ruiz@clinicanova.es"), **TELLING)
    assert letter(told, NOBODY).subject == "sheet/people/*** ya es SQL: 78 puntos"
    assert not PERSONAL.search(letter(told, NOBODY).text)


def test_who_has_personal_data_has_all_of_it() -> None:
    told = handoff(**TELLING)
    assert "600123456" in letter(told, MADRID).text
    assert without_person(told) == without_person(without_person(told)) != told
