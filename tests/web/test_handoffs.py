"""The page of hand-offs: whoever shall act sees what is late, and answers there; what did not go out goes again."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import orjson
import pytest
import urllib3
from sqlalchemy import select

from syncer.model import Answer
from syncer.store import audit
from syncer.store.tables import answers
from syncer.web.counting import Counting
from syncer.web.masking import masked
from syncer.web.pages import handoffs as page
from syncer.web.rendering import html
from syncer.web.site import FLASH_COOKIE, LANGUAGE_COOKIE
from syncer.web.views import Asking, Viewer
from tests.handed import Desk, desk
from tests.web.pages import Pages, pages_over

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
EVIL = "<script>alert(1)</script>\" onclick='x'"
SPANISH = {"Cookie": f"{LANGUAGE_COOKIE}=es"}


@pytest.fixture
def put(lasting_pages: Pages) -> Iterator[Desk]:
    found = desk(lasting_pages.app.store)
    yield found
    found.clear()


def now() -> datetime:
    return datetime.now(UTC)


def text_of(shown: str) -> str:
    """What is read, in one line."""
    return unescape(" ".join(re.sub(r"<[^>]+>", " ", shown.partition("<main")[2]).split()))


def names(found: Any) -> list[str]:
    return [each["name"].partition("@")[0] for each in found["rows"]]


def counted(pages: Pages, path: str) -> Any:
    """The figures, as soon as they are counted."""
    for _ in range(100):
        figures = pages.api(path)["figures"]
        if figures["value"] is not None and not figures["running"]:
            return figures["value"]
        time.sleep(0.05)
    raise AssertionError(figures)


def flash_of(answer: urllib3.BaseHTTPResponse, pages: Pages, to: str = "/handoffs") -> str:
    """What the next page says of what was done."""
    (cookie,) = (each for each in answer.headers.getlist("set-cookie") if each.startswith(FLASH_COOKIE))
    shown = pages.page(to, {"Cookie": cookie.partition(";")[0]})
    found = re.search(r'class="flash"[^>]*>(.*?)</p>', shown)
    return unescape(found[1]) if found else ""


def acts(pages: Pages) -> list[audit.Entry]:
    with pages.app.store.reading() as tx:
        return [each.entry for each in audit.entries(tx, None, 100)]


def error_of(answer: urllib3.BaseHTTPResponse) -> tuple[int, str]:
    return answer.status, text_of(answer.data.decode())


def test_an_open_one_says_who_shall_act_by_when_and_whom_it_was_told(lasting_pages: Pages, put: Desk) -> None:
    at = now() - 5 * HOUR
    late = put.put("eva", at, assigned_to="luis@acme.es", route="owner", told_at=at, due_at=now() - 3 * HOUR)
    put.tell(late, "mail", recipient="luis@acme.es", state="sent")
    put.tell(late, "hook", state="dead", error="410 gone")
    put.tell(late, "team", state="uncertain", unsure=True)
    put.put("zoe", at, due_at=now() + 2.5 * HOUR)
    shown = lasting_pages.page("/handoffs")
    text = text_of(shown)
    assert f'href="/leads/{put.lead}">eva@acme.es</a>' in shown
    assert "eva@acme.es Late: was due 3 hours ago Shall act luis@acme.es" in text
    assert "SQL 78.99 points" in text
    assert "mail → luis@acme.es: sent" in text
    assert "hook: dead: it was not sent 410 gone Send again" in text
    assert "team: uncertain: it may have arrived" in text
    assert "zoe@acme.es Due in 2 hours Shall act Nobody in particular" in text
    assert text.index("eva@acme.es Late") < text.index("zoe@acme.es Due"), "what is late comes first"
    told = lasting_pages.api("/handoffs")
    assert names(told) == ["eva", "zoe"]
    assert [(each["is_late"], each["person"], each["route"]) for each in told["rows"]] == [
        (True, "luis@acme.es", "owner"),
        (False, None, None),
    ]
    assert {each["channel"]: each["state"] for each in told["rows"][0]["messages"]} == {
        "mail": "sent", "hook": "dead", "team": "uncertain",
    }  # fmt: skip


def test_the_same_in_spanish(lasting_pages: Pages, put: Desk) -> None:
    put.put("eva", now() - 5 * HOUR, due_at=now() - 3 * HOUR)
    shown = lasting_pages.page("/handoffs", SPANISH)
    assert "Con retraso: venció hace 3 horas" in text_of(shown)
    assert "sin presupuesto" in shown


def test_only_what_is_asked_for_is_shown(lasting_pages: Pages, put: Desk) -> None:
    at = now() - 2 * DAY
    put.put("late", at, due_at=now() - HOUR, owner="Ana@acme.es")
    put.put("open", now() - HOUR, due_at=now() + HOUR)
    put.put("done", at - DAY, touched_at=now(), touched_by="call")
    put.put("left", at - 2 * DAY, closed_at=now())
    put.put("theirs", now(), "another")
    put.tell(put.put("lost", at - 9 * DAY, closed_at=now()), "mail", state="dead")
    for query, expected in (
        ("", ["late", "open"]),
        ("?only=late", ["late"]),
        ("?only=all", ["open", "late", "done", "left", "lost"]),
        ("?only=all&days=3", ["open", "late"]),
        ("?only=unsent", ["lost"]),
        ("?person=ANA@acme.es", ["late"]),
        ("?person=-&connection=crm", ["open"]),
        ("?person=&days=&connection=", ["late", "open"]),
    ):
        assert names(lasting_pages.api(f"/handoffs{query}")) == expected, query
        assert [each for each in expected if f"{each}@acme.es" not in lasting_pages.page(f"/handoffs{query}")] == []
    done = text_of(lasting_pages.page("/handoffs?only=all"))
    assert "Done: call" in done
    assert "Left the stage" in done


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ("connection=crn", 404, "no connection is called 'crn'"),
        ("only=soon", 400, "'soon' is not one of open, late"),
        ("days=0", 400, "must be at least 1"),
        ("days=many", 400, "a whole number is needed"),
        ("after=WzEsMiwzXQ==", 400, "begin with the first page"),
        ("after=%F0%9F%98%80", 400, "begin with the first page"),
        ("nonsense=1", 400, "nonsense"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_sentence(
    lasting_pages: Pages, query: str, status: int, says: str
) -> None:
    for prefix in ("", "/api"):
        answer = lasting_pages.caller.ask("GET", f"{prefix}/handoffs?{query}")
        assert (answer.status, says in unescape(answer.data.decode())) == (status, True), answer.data


def test_the_next_page_begins_where_this_one_ends(lasting_pages: Pages, put: Desk) -> None:
    at = now()
    for number in range(page.AT_ONCE + 3):
        put.put(f"n{number:02}", at - number * HOUR)
    for query in ("only=all", "only=open&person=-"):
        first = lasting_pages.api(f"/handoffs?{query}")
        shown = lasting_pages.page(f"/handoffs?{query}")
        (following,) = re.findall(r'class="button" href="/handoffs\?([^"]+)"', shown)
        last = lasting_pages.api(f"/handoffs?{unescape(following)}")
        assert [*names(first), *names(last)] == [f"n{number:02}" for number in range(page.AT_ONCE + 3)]
        assert (len(first["rows"]), last["next"]) == (page.AT_ONCE, None)
        end = lasting_pages.page(f"/handoffs?{unescape(following)}")
        assert "Back to the first ones" in end
        assert 'class="button"' not in end


def test_accepting_one_keeps_who_did_it_and_comes_back_to_the_same_list(lasting_pages: Pages, put: Desk) -> None:
    handoff = put.put("eva", now() - HOUR, told_at=now() - HOUR, due_at=now() + HOUR)
    shown = lasting_pages.page("/handoffs?only=open&days=90")
    forms = re.findall(r'action="/handoffs/accept">(.*?)</form>', shown, re.DOTALL)
    form = {name: unescape(value) for name, value in re.findall(r'name="(\w+)" value="([^"]*)"', forms[0])}
    assert (len(forms), form["handoff"]) == (1, handoff.key)
    answer = lasting_pages.submit("/handoffs/accept", form)
    assert (answer.status, answer.headers["location"]) == (303, "/handoffs?only=open&days=90")
    assert flash_of(answer, lasting_pages) == "eva@acme.es: accepted. Nobody is reminded of it any more."
    (said,) = put.said_of(handoff)
    (entry, *_) = acts(lasting_pages)
    assert (said.accepted, said.source, said.author) == (True, "page", entry.who)
    assert (entry.act, entry.about, entry.address) == ("handoff_accept", handoff.key, "127.0.0.1")
    assert "eva" not in str(entry.details)
    assert names(lasting_pages.api("/handoffs")) == []
    row = lasting_pages.api("/handoffs?only=all")["rows"][0]
    assert (row["touched_by"], row["may_accept"], row["may_reject"]) == ("accepted", False, True)
    again = lasting_pages.submit("/handoffs/accept", form)
    assert (again.status, "was accepted by" in again.data.decode()) == (409, True)
    assert len(put.said_of(handoff)) == 1


def test_what_is_refused_is_not_noted(lasting_pages: Pages, put: Desk) -> None:
    gone = put.put("gone", now() - DAY, closed_at=now())
    before = len(acts(lasting_pages))
    left = lasting_pages.submit("/handoffs/accept", {"handoff": gone.key})
    assert (left.status, "has left the stage" in left.data.decode()) == (409, True)
    unknown = lasting_pages.submit("/handoffs/accept", {"handoff": "nobody"})
    assert (unknown.status, "there is no hand-off nobody" in unknown.data.decode()) == (404, True)
    assert lasting_pages.submit("/handoffs/accept", {}).status == 400
    assert len(acts(lasting_pages)) == before


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ({"reason": "no budget"}, "no budget"),
        ({"note": " bought  elsewhere\n"}, "bought elsewhere"),
        ({"reason": "other", "note": "moved"}, "other: moved"),
    ],
)
def test_a_lead_that_is_not_ready_goes_back_with_the_reason(
    lasting_pages: Pages, put: Desk, form: dict[str, str], why: str
) -> None:
    handoff = put.put("eva", now() - HOUR)
    message = put.tell(handoff, "mail", state="ready")
    answer = lasting_pages.submit("/handoffs/reject", {"handoff": handoff.key, **form})
    assert answer.headers["location"] == "/handoffs"
    assert flash_of(answer, lasting_pages) == "eva@acme.es: rejected. The next run takes the lead to MQL."
    assert [(each.accepted, each.reason) for each in put.said_of(handoff)] == [(False, why)]
    assert put.state_of(message) == "dropped", "nobody is told of it any more"
    (entry, *_) = acts(lasting_pages)
    assert (entry.act, dict(entry.details)) == ("handoff_reject", {"source": "page", "goes_to": "mql"})


def test_whoever_rejects_says_why(lasting_pages: Pages, put: Desk) -> None:
    handoff = put.put("eva", now() - HOUR)
    for form in ({}, {"reason": " ", "note": "\n"}):
        answer = lasting_pages.submit("/handoffs/reject", {"handoff": handoff.key, **form})
        assert (answer.status, "say why the lead is not ready" in answer.data.decode()) == (400, True), form
    assert lasting_pages.submit("/handoffs/reject", {"handoff": handoff.key, "note": "x" * 201}).status == 400
    assert put.said_of(handoff) == []


def test_a_program_answers_by_json(lasting_pages: Pages, put: Desk) -> None:
    handoff = put.put("eva", now() - HOUR)
    sent = orjson.dumps({"handoff": handoff.key, "reason": "not now"})
    answer = lasting_pages.caller.ask(
        "POST", "/api/handoffs/reject", sent, {"Content-Type": "application/json", "Sec-Fetch-Site": "same-origin"}
    )
    assert (answer.status, orjson.loads(answer.data)["said"]) == (200, "handoffs_done_rejected_goes")
    again = lasting_pages.caller.ask(
        "POST", "/api/handoffs/reject", sent, {"Content-Type": "application/json", "Sec-Fetch-Site": "same-origin"}
    )
    error = orjson.loads(again.data)["error"]
    assert (again.status, error["code"], "a rejection is final" in error["message"]) == (409, "SY207", True)


@pytest.mark.parametrize(
    "back", ["//evil.example", "https://evil.example/", "/\\evil.example", "/x\r\nSet-Cookie: a=b"]
)
def test_nobody_is_sent_to_another_site_afterwards(lasting_pages: Pages, put: Desk, back: str) -> None:
    handoff = put.put("eva", now() - HOUR)
    answer = lasting_pages.submit("/handoffs/accept", {"handoff": handoff.key, "back": back})
    assert (answer.status, answer.headers["location"]) == (303, "/handoffs")


def test_a_dead_message_is_sent_again_and_an_uncertain_one_dropped(lasting_pages: Pages, put: Desk) -> None:
    handoff = put.put("eva", now() - HOUR)
    dead = put.tell(handoff, "sales", state="dead", error="410 gone", unsure=True)
    unsure = put.tell(handoff, "mail", state="uncertain")
    sent = put.tell(handoff, "hook", state="sent")
    shown = lasting_pages.page("/handoffs?only=unsent")
    assert (shown.count('action="/handoffs/messages/retry"'), shown.count('action="/handoffs/messages/drop"')) == (1, 2)
    again = lasting_pages.submit("/handoffs/messages/retry", {"message": dead.key, "back": "/handoffs?only=unsent"})
    assert (again.status, again.headers["location"]) == (303, "/handoffs?only=unsent")
    assert "via sales about eva@acme.es will be sent again. It may have arrived" in flash_of(again, lasting_pages)
    dropped = lasting_pages.submit("/handoffs/messages/drop", {"message": unsure.key, "reason": "told by phone"})
    assert flash_of(dropped, lasting_pages).endswith("is dropped. It will never be sent.")
    assert [put.state_of(each) for each in (dead, unsure, sent)] == ["ready", "dropped", "sent"]
    (last, before, *_) = acts(lasting_pages)
    assert [(each.act, each.about, each.details["was"]) for each in (before, last)] == [
        ("message_retry", dead.key, "dead"),
        ("message_drop", unsure.key, "uncertain"),
    ]
    for path, message, says in (
        ("retry", sent, "only what is dead can be tried again"),
        ("retry", unsure, "only what is dead"),
        ("drop", sent, "only what has not left can be dropped"),
    ):
        refused = lasting_pages.submit(f"/handoffs/messages/{path}", {"message": message.key})
        assert (refused.status, says in refused.data.decode()) == (409, True)
    assert [put.state_of(each) for each in (unsure, sent)] == ["dropped", "sent"]
    assert names(lasting_pages.api("/handoffs?only=unsent")) == []


def test_a_message_of_nobody_here_is_not_touched(lasting_pages: Pages, put: Desk) -> None:
    theirs = put.tell(put.put("eva", now(), "another"), "mail", state="dead")
    for key in (theirs.key, theirs.key[:8], "0" * 32):
        refused = lasting_pages.submit("/handoffs/messages/retry", {"message": key})
        assert (refused.status, "there is no message" in refused.data.decode()) == (404, True)
    assert put.state_of(theirs) == "dead"


def test_what_a_crm_says_is_text_and_leads_nowhere_it_should_not(lasting_pages: Pages, put: Desk) -> None:
    handoff = put.put(
        "x", now() - HOUR, email=None, name=f"Eve {EVIL}\x1b[2J\nsecond", owner=EVIL, url="javascript:alert(1)",
        route=EVIL, told_at=now(), due_at=now(),
    )  # fmt: skip
    put.tell(handoff, EVIL, recipient=EVIL, state="dead", error=EVIL)
    put.say(handoff, Answer(True, EVIL, now(), "field"))
    for query in ("?only=all&days=21", f"?only=all&days=21&person={EVIL}"):
        shown = lasting_pages.page(f"/handoffs{query}")
        assert "<script>alert" not in shown
        assert not re.search(r"""<[^>]*\sonclick=""", re.sub(r'"[^"]*"', '""', shown))
        assert "javascript:" not in shown
        assert "\x1b" not in shown
    counted(lasting_pages, "/handoffs?only=all&days=21")
    assert "<script>alert" not in lasting_pages.page("/handoffs?only=all&days=21")


def test_the_figures_are_counted_beside_and_shown_on_the_page(lasting_pages: Pages, put: Desk) -> None:
    at = now() - 2 * HOUR
    for number, (touched, system) in enumerate(((1, 60_000), (2, 120_000), (30, 240_000))):
        handoff = put.put(
            f"n{number}", at, route="latam", due_at=at + 10 * timedelta(minutes=1), system_ms=system,
            touched_at=at + touched * timedelta(minutes=1), human_ms=touched * 60_000, human_work_ms=touched * 30_000,
        )  # fmt: skip
        put.say(handoff, Answer(number > 0, "luis", at, "slack", "" if number else "no budget"))
    put.put("open", at, owner="luis@acme.es", due_at=now() - HOUR)
    put.put("old", at - 40 * DAY, system_ms=1)
    found = counted(lasting_pages, "/handoffs?days=33")
    assert (found["handoffs"], found["timed"], found["in_time"], found["in_time_share"]) == (4, 4, 2, 0.5)
    assert found["system"] == {"of": 3, "median_ms": 120_000, "p90_ms": 240_000}
    assert found["human"] == {"of": 3, "median_ms": 120_000, "p90_ms": 1_800_000}
    assert (found["accepted"], found["rejected"], found["rejected_for"]) == (
        2,
        1,
        [{"reason": "no budget", "count": 1}],
    )
    assert (found["open"], found["late"]) == (2, 1)
    assert [(each["person"], each["open"], each["late"]) for each in found["loads"]] == [
        ("luis@acme.es", 1, 1),
        (None, 1, 0),
    ]
    levels = found["levels"]
    assert [(each["route"], each["whole"]) for each in levels["routes"]] == [
        ("latam", {"of": 3, "in_time": 2}),
        (None, {"of": 1, "in_time": 0}),
    ]
    text = text_of(lasting_pages.page("/handoffs?days=33"))
    assert "2 open 1 late" in text
    assert "Until sales acted 2 minutes 30 minutes 3" in text
    assert "66.7 % of 3 answered were accepted" in text
    assert "All routes" in text
    assert "50 % 2 of 4" in text
    spanish = text_of(lasting_pages.page("/handoffs?days=33", SPANISH))
    assert "66,7 % de 3 respondidas se aceptaron" in spanish
    assert "sin presupuesto" in spanish


def test_the_picture_of_delays_keeps_to_its_axis() -> None:
    minute, hour, week = 60_000, 3_600_000, 604_800_000
    assert page.Delay(2, minute, hour).begins == pytest.approx(20)
    assert page.Delay(2, minute, hour).ends == pytest.approx(40)
    assert page.Delay(2, week * 99, week * 999).begins == 100
    assert (page.Delay(1, 0, 0).begins, page.Delay(1, 0, 0).ends) == (0, 1)


def test_who_may_only_look_is_offered_nothing_and_sees_no_whole_address(lasting_pages: Pages, put: Desk) -> None:
    app = lasting_pages.app
    put.tell(put.put("eva", now(), owner="luis@acme.es"), "mail", recipient="luis@acme.es", state="dead")
    who = Viewer("vera", "viewer", "password", masked=True)
    counting = Counting(app.clock)
    asked = page.AskedHandoffs()
    shown = masked(page.show(Asking(app, who, counting), asked))
    for _ in range(100):
        if shown.figures.value is not None:
            break
        time.sleep(0.05)
        shown = masked(page.show(Asking(app, who, counting), asked))
    facts = {"who": who, "here": "handoffs", "flash": "", "address": "/handoffs", "connections": ["crm", "b"]}
    text = html("pages/handoffs.html.j2", "en", "UTC", {**facts, "it": shown, "asked": asked})
    assert "e…@acme.es" in text
    assert "l…@acme.es" in text
    assert "eva@acme.es" not in text
    assert "luis@acme.es" not in text
    assert "person=l" not in text
    assert not re.search(r'action="/handoffs/', text)
    assert {each.role for each in page.ACTIONS} == {"operator"}


def test_an_empty_base_says_so(lasting_pages: Pages, put: Desk) -> None:
    assert lasting_pages.api("/handoffs?days=17")["rows"] == []
    found = counted(lasting_pages, "/handoffs?days=17")
    assert (found["handoffs"], found["accepted_share"], found["loads"]) == (0, None, [])
    text = text_of(lasting_pages.page("/handoffs?days=17"))
    assert "There are none like that." in text
    assert "Nothing is open" in text
    assert "Sales has answered none of them." in text
    assert put.lead


def test_a_project_that_hands_nothing_over_is_told_what_to_write(demo_template: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pages"
    folder.mkdir()
    template = tmp_path / "template"
    template.mkdir()
    for each in demo_template.iterdir():
        (template / each.name).symlink_to(each)
    (template / "syncer.yml").unlink()
    own = (demo_template / "syncer.yml").read_text()
    (template / "syncer.yml").write_text(re.sub(r"(?ms)^handoff:\n(  .*\n|\n)*", "", own))
    with pages_over(template, folder) as pages:
        shown = pages.page("/handoffs")
        assert "has no section `handoff`" in text_of(shown)
        assert 'action="/handoffs/accept"' not in shown
        told = pages.api("/handoffs?only=all")
        assert told["configured"] is False
        refused = pages.submit("/handoffs/accept", {"handoff": told["rows"][0]["key"]})
        assert (refused.status, "no section" in refused.data.decode()) == (409, True)
        with pages.app.store.reading() as tx:
            said = tx.execute(select(answers.c.id).where(answers.c.source == "page")).all()
        assert said == []


def test_what_the_demo_has_handed_over_is_there(pages: Pages) -> None:
    told = pages.api("/handoffs?only=all")
    assert told["rows"]
    assert {each["route"] for each in told["rows"]} == {"owner"}
