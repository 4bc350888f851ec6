"""The page of one lead says what its API says, in both languages, and hostile texts stay texts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, get_args

import pytest
from sqlalchemy import select, update

from syncer.model import Cause, HeldBy, NoticeKind, NoticeState, Override
from syncer.queries.lead import Silence, show
from syncer.queries.timelines import Kind
from syncer.rules import Measure
from syncer.store import decisions
from syncer.store.tables import activities, audit, handoffs, leads, records
from syncer.web.masking import masked
from syncer.web.phrases import PHRASES
from tests.web.pages import Pages

SPANISH = {"Cookie": "syncer_language=es"}
EVIL = "<script>alert('x')</script>{{ 7*7 }}\"' onmouseover=x"


def text_of(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def numbers(pages: Pages, stage: str) -> list[int]:
    with pages.app.store.reading() as tx:
        return list(tx.execute(select(leads.c.id).where(leads.c.stage == stage).order_by(leads.c.id)).scalars())


def points(hundredths: int) -> str:
    return f"{hundredths / 100:,.2f}".rstrip("0").rstrip(".")


def test_the_page_shows_the_ledger_of_the_api_and_it_adds_up(lasting_pages: Pages) -> None:
    for lead in [numbers(lasting_pages, stage)[0] for stage in ("cold", "iql", "mql", "sql")]:
        told, text = lasting_pages.api(f"/leads/{lead}"), text_of(lasting_pages.page(f"/leads/{lead}"))
        score = told["score"]
        lines = [line for each in score["dimensions"] for line in each["lines"]]
        assert sum(line["hundredths"] for line in lines) == score["total_hundredths"]
        assert f"{points(score['total_hundredths'])} points" in text
        assert told["who"]["email"] in text
        for line in lines:
            assert line["where"] in text
            assert f"{line['hundredths'] / 100:+g}" in text


def test_every_stage_reads_well_in_both_languages(lasting_pages: Pages) -> None:
    for lead in [number for stage in ("cold", "iql", "mql", "sql") for number in numbers(lasting_pages, stage)[:5]]:
        english, spanish = (lasting_pages.page(f"/leads/{lead}", headers) for headers in ({}, SPANISH))
        assert "Where the points come from" in english
        assert "De dónde salen los puntos" in spanish
        assert len(re.findall("<h1", english)) == 1
        assert not re.search(r"<[^>]+\s(style|on\w+)=", english), "the policy of the pages forbids both"


def test_numbers_are_written_as_the_reader_writes_them(lasting_pages: Pages) -> None:
    lead = numbers(lasting_pages, "sql")[0]
    total = lasting_pages.api(f"/leads/{lead}")["score"]["total_hundredths"]
    assert f"{points(total).replace('.', ',')} puntos" in text_of(lasting_pages.page(f"/leads/{lead}", SPANISH))


def test_a_record_leads_to_its_lead(lasting_pages: Pages) -> None:
    lead = numbers(lasting_pages, "mql")[0]
    key = lasting_pages.api(f"/leads/{lead}")["who"]["records"][0]["key"]
    assert lasting_pages.api(f"/leads/by?record={key}")["lead"] == lead
    assert f'href="/leads/{lead}/course"' in lasting_pages.page(f"/leads/by?record={key}")


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/leads/999999", 404, "there is no lead 999999"),
        ("/leads/999999/timeline", 404, "there is no lead 999999"),
        ("/leads/999999/course", 404, "there is no lead 999999"),
        ("/leads/by?record=crm/contacts/none", 404, "no lead matches"),
        ("/leads/ana", 400, "lead: a whole number is needed here"),
        ("/leads/0", 400, "lead"),
        ("/leads/99999999999999999999", 400, "lead"),
        ("/leads/1?at=2199-01-01", 409, "lies ahead"),
        ("/leads/1?at=soon", 409, "is no time"),
        ("/leads/1?colour=red", 400, "colour"),
        ("/leads/1/timeline?before=yesterday", 400, "this is no place in a timeline"),
        ("/leads/1/timeline?before=999999999999999999.1", 400, "this is no time"),
    ],
)
def test_what_makes_no_sense_is_one_clear_message(lasting_pages: Pages, path: str, status: int, message: str) -> None:
    for address in (path, f"/api{path}"):
        answer = lasting_pages.caller.ask("GET", address)
        assert (answer.status, message in answer.data.decode()) == (status, True), answer.data[:1000]


def test_a_past_day_is_shown_as_it_was(lasting_pages: Pages) -> None:
    lead = numbers(lasting_pages, "sql")[0]
    then = lasting_pages.api(f"/leads/{lead}")["who"]["records"][0]["modified_at"]
    told = lasting_pages.api(f"/leads/{lead}?at=1m")
    assert told["past"] is True
    assert told["as_of"] < then or told["score"] is not None
    text = text_of(lasting_pages.page(f"/leads/{lead}?at=1m"))
    assert "with what was known by then" in text
    assert "Set the stage" not in text.replace("Set the stage by hand", ""), "the past is not changed"
    never = text_of(lasting_pages.page(f"/leads/{lead}?at=1990-05-01"))
    assert "At that time there was no such lead." in never


def test_the_course_is_counted_and_then_drawn(lasting_pages: Pages) -> None:
    lead = numbers(lasting_pages, "sql")[0]
    stands: Any = None
    for _ in range(50):
        counted = lasting_pages.api(f"/leads/{lead}/course")["counted"]
        if counted["value"] is not None:
            stands = counted["value"]["stands"]
            break
    assert stands
    page = lasting_pages.page(f"/leads/{lead}/course")
    assert page.count("<tr>") - 1 == len(stands)
    assert "hx-trigger" not in page, "what is known is not asked for again"


def test_hostile_texts_stay_texts(pages: Pages) -> None:
    lead = numbers(pages, "sql")[0]
    with pages.app.store.writing() as tx:
        named = {"name": EVIL, "owner": EVIL, "email": EVIL, "url": "javascript:alert(1)"}
        tx.execute(update(records).where(records.c.lead_id == lead).values(fields={"jobtitle": EVIL}, **named))
        tx.execute(update(activities).values(fields={"subject": EVIL}, kind=EVIL))
        said = Override("cold", EVIL, EVIL, "command", pages.app.clock())
        decisions.set_override(tx, lead, said)
    for path in (f"/leads/{lead}", f"/leads/{lead}/timeline"):
        html = pages.page(path)
        assert "<script>alert" not in html
        assert "&lt;script&gt;" in html
        assert "javascript:" not in html
        assert not re.search(r"<[^>]+\sonmouseover=", html)


def test_addresses_are_shown_in_part_to_whom_they_are_masked(lasting_pages: Pages) -> None:
    found = show(lasting_pages.app, numbers(lasting_pages, "sql")[0])
    assert found.who.email is not None
    assert found.who.email in repr(found)
    assert found.who.email not in repr(masked(found))


def test_a_stage_set_on_the_page_holds_and_is_let_go_again(pages: Pages) -> None:
    lead = numbers(pages, "sql")[0]
    form = {"stage": "cold", "reason": "sin presupuesto <b>", "until": "2199-01-15"}
    answer = pages.submit(f"/leads/{lead}/override", form)
    assert (answer.status, answer.headers["Location"]) == (303, f"/leads/{lead}")
    cookie = answer.headers["Set-Cookie"].partition(";")[0]
    text = text_of(pages.page(f"/leads/{lead}", {"Cookie": cookie}))
    assert "The stage is COLD, set by" in text
    assert "counts from the next run on" in text
    (word,) = pages.api(f"/leads/{lead}")["words"]
    assert (word["stage"], word["reason"], word["source"], word["is_open"]) == (
        "cold", "sin presupuesto <b>", "page", True,
    )  # fmt: skip
    answer = pages.submit(f"/leads/{lead}/override/end", {})
    assert answer.status == 303
    assert [each["is_open"] for each in pages.api(f"/leads/{lead}")["words"]] == [False]
    assert "Let the rules decide again" not in text_of(pages.page(f"/leads/{lead}"))
    with pages.app.store.reading() as tx:
        acts = [(row.act, row.about) for row in tx.execute(select(audit).order_by(audit.c.id))]
    key = pages.api(f"/leads/{lead}")["who"]["records"][0]["key"]
    assert acts == [("override", key), ("override_ended", key)]


@pytest.mark.parametrize(
    ("known", "english", "spanish"),
    [
        ({"protected": True}, "belongs to others and is not touched", "es de otros y no se toca"),
        ({"deleted": True}, "counts if it comes back", "cuenta si vuelve"),
    ],
)
def test_a_word_that_cannot_count_yet_is_not_promised_to_the_crm(
    pages: Pages, known: Mapping[str, bool], english: str, spanish: str
) -> None:
    lead = numbers(pages, "sql")[0]
    with pages.app.store.writing() as tx:
        tx.execute(update(records).where(records.c.lead_id == lead).values(known))
    answer = pages.submit(f"/leads/{lead}/override", {"stage": "cold"})
    assert answer.status == 303
    cookie = answer.headers["Set-Cookie"].partition(";")[0]
    for language, said in (("en", english), ("es", spanish)):
        text = text_of(pages.page(f"/leads/{lead}", {"Cookie": f"{cookie}; syncer_language={language}"}))
        assert said in text
        assert "next run" not in text
        assert "próxima ejecución" not in text


@pytest.mark.parametrize(
    ("stage", "held_by", "sentence"),
    [
        ("sql", "rules", "Its points no longer reach SQL. It stays: only sales moves a lead down from there."),
        ("cold", "protected", "By the rules alone it would be in the last stage."),
    ],
)
def test_a_stage_that_the_points_do_not_give_is_accounted_for(
    pages: Pages, stage: str, held_by: str, sentence: str
) -> None:
    lead = numbers(pages, "cold")[0]
    with pages.app.store.writing() as tx:
        told = {"stage": stage, "automatic": "sql", "held_by": held_by}
        tx.execute(update(leads).values(told).where(leads.c.id == lead))
    html = text_of(pages.page(f"/leads/{lead}"))
    assert sentence in html
    assert ("It is in the last stage." in html) == (stage == "sql")


def test_a_shortcut_that_would_do_is_told_beside_what_is_missing(lasting_pages: Pages) -> None:
    lead = numbers(lasting_pages, "mql")[0]
    score = lasting_pages.api(f"/leads/{lead}")["score"]
    assert (score["next_stage"], score["skip_gates"]) == ("sql", False)
    assert score["or_any"] == ["all(recent_conversion_event_name contains demo; recent_conversion_date newer_than 7d)"]
    for headers, said in (({}, "instead of SQL's own"), (SPANISH, "en lugar de los umbrales propios de SQL")):
        text = text_of(lasting_pages.page(f"/leads/{lead}", headers)).replace("&#39;", "'")
        assert said in text
        assert score["or_any"][0] in text


@pytest.mark.parametrize(
    ("form", "status", "message"),
    [
        ({"stage": "hot"}, 409, "no stage is called 'hot'"),
        ({}, 400, "stage"),
        ({"stage": "cold", "until": "2020-01-01"}, 409, "until 2020-01-01 is past"),
        ({"stage": "cold", "until": "9999-12-31"}, 409, "lies too far ahead"),
        ({"stage": "cold", "until": "soon"}, 400, "should be a valid date"),
        ({"stage": "cold", "reason": "x" * 1001}, 400, "Reason: string should have at most"),
        ({"stage": "cold", "author": "somebody else"}, 400, "author"),
    ],
)
def test_a_form_that_makes_no_sense_changes_nothing(
    lasting_pages: Pages, form: Mapping[str, str], status: int, message: str
) -> None:
    answer = lasting_pages.submit("/leads/1/override", form)
    assert (answer.status, message in answer.data.decode().replace("&#39;", "'")) == (status, True), answer.data[:1500]
    assert lasting_pages.api("/leads/1")["words"] == []


def test_a_lead_that_is_gone_says_so(pages: Pages) -> None:
    first, second = numbers(pages, "sql")[:2]
    with pages.app.store.writing() as tx:
        named = select(records.c.name, records.c.email).where(records.c.lead_id == second)
        (secrets,) = tx.execute(named).all()
        tx.execute(update(records).where(records.c.lead_id == first).values(deleted=True))
        tx.execute(update(records).where(records.c.lead_id == second).values(deleted=True, erased=True))
    assert "This lead was deleted in the CRM." in text_of(pages.page(f"/leads/{first}"))
    for headers, said in (({}, "This person was erased in the CRM."), (SPANISH, "Esta persona se eliminó del todo")):
        text = text_of(pages.page(f"/leads/{second}", headers))
        assert said in text
        assert not any(secret in text for secret in secrets)
        assert "crm/contacts" not in text


def test_its_hand_offs_are_told(lasting_pages: Pages) -> None:
    with lasting_pages.app.store.reading() as tx:
        row = tx.execute(select(handoffs.c.lead_id, handoffs.c.stage).limit(1)).one()
    (told, *_) = lasting_pages.api(f"/leads/{row.lead_id}")["handoffs"]
    assert told["stage"] == row.stage
    for headers, said in (({}, "Hand-offs"), (SPANISH, "Entregas")):
        assert said in text_of(lasting_pages.page(f"/leads/{row.lead_id}", headers))


def test_there_is_a_phrase_for_whatever_may_stand_there() -> None:
    wanted = {
        "lead_cause_": get_args(Cause),
        "lead_held_": get_args(HeldBy),
        "lead_event_": get_args(Kind),
        "lead_": get_args(Silence),
        "lead_dimension_": get_args(Measure),
        "lead_kind_": get_args(NoticeKind),
        "lead_message_": get_args(NoticeKind),
        "lead_state_": get_args(NoticeState),
    }
    assert [f"{start}{end}" for start, ends in wanted.items() for end in ends if f"{start}{end}" not in PHRASES] == []
