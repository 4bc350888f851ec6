"""The streams of events: form submissions, marketing e-mails, behavioural events."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from connectors.emulators.hubspot import Token
from connectors.emulators.hubspot.app import create_app
from connectors.emulators.hubspot.server import serve_app
from connectors.hubspot import HubSpot
from connectors.hubspot.refusals import Refused
from syncer.connector import Wanted
from syncer.errors import ConfigError, TemporaryError
from syncer.model import Activity, Cursor, Page
from tests.connectors.hubspot.portals import (
    TOKEN,
    Json,
    Office,
    activities,
    key,
    let_waits_pass,
    office,
    readings,
    rejected,
    retold,
)

WEBINAR, DEMO = "0a1b2c3d-0000-4000-8000-00000000000a", "0a1b2c3d-0000-4000-8000-00000000000b"
A_DAY_MS = 86_400_000
CONTACTS_ONLY = frozenset({"crm.objects.contacts.read", "crm.schemas.contacts.read", "crm.objects.owners.read"})


class Shop(Office):
    """What visitors of the website do."""

    def form(self, identity: str, name: str, submissions: Sequence[Json] = (), **more: Any) -> None:
        self.control("load", forms=[{"id": identity, "name": name, "submissions": list(submissions), **more}])

    def submit(self, form: str, address: str, **more: Any) -> str:
        told = self.control("submit", form=form, values={"email": address, "message": "secret wishes"}, **more)
        return f"forms/{form}/{told['id']}"

    def opened(self, address: str, **more: Any) -> str:
        told = self.control("email-event", **{"recipient": address, "type": "OPEN", "campaign": 7, **more})
        return f"marketing_emails/{told['id']}"

    def visited(self, contact: str, url: str, **more: Any) -> str:
        event = {
            "eventType": "e_visited_page",
            "objectId": contact,
            "properties": {"hs_url": url, "hs_title": "Prices"},
        }
        return f"behavioural_events/{self.control('event', **{**event, **more})['id']}"

    def now_ms(self) -> int:
        return self.portal.clock.now_ms()

    def person(self, address: str) -> str:
        return self.load("contacts", [{"email": address}])[0]


@pytest.fixture
def shop() -> Iterator[Shop]:
    with office(tier="enterprise", index_lag_s=0) as portal:
        portal.control("clock", frozen=True)
        yield Shop(portal.url, portal.portal)


class Memory:
    """What is stored, as syncer tells it to a connector."""

    def __init__(self, *kinds: str) -> None:
        self.kinds = kinds
        self.stored: dict[str, Activity] = {}
        self.cursor: Cursor | None = None

    def wanted(self) -> Wanted:
        return Wanted(activities=self.kinds, known=self._known)

    def _known(self, stream: str, ids: Sequence[str]) -> Mapping[str, datetime]:
        found = {each: self.stored.get(f"{stream}/{each}") for each in ids}
        return {each: one.modified_at for each, one in found.items() if one is not None and one.modified_at}

    def take(self, hubspot: HubSpot, stream: str) -> list[Page]:
        """A pull, stored page by page; what came before a failure is kept."""
        pages: list[Page] = []
        for page in hubspot.pull(stream, self.cursor):
            self.stored |= activities([page])
            self.cursor = page.cursor or self.cursor
            pages.append(page)
        return pages


def pull(shop: Office, memory: Memory, stream: str, **settings: Any) -> list[Page]:
    chosen = {"activities": [stream], "events": ["e_visited_page"], **settings}
    return memory.take(shop.hubspot(memory.wanted(), **chosen), stream)


def submissions(count: int, shop: Shop, *, apart_ms: int = 60_000) -> list[Json]:
    """Of one person, the last one just now."""
    now_ms = shop.now_ms() - 120_000
    return [
        {"submittedAt": now_ms - number * apart_ms, "conversionId": f"c{number}", "values": {"email": "ana@acme.test"}}
        for number in range(count)
    ]


def test_a_form_submission_is_an_activity_of_whoever_has_the_address_and_keeps_no_answers(shop: Shop) -> None:
    shop.form(WEBINAR, "Webinar")
    ana = shop.person("ana@acme.test")
    sent = shop.submit(WEBINAR, "Ana@Acme.test", pageUrl="https://acme.test/webinar?email=ana@acme.test")
    at = datetime.fromtimestamp(shop.now_ms() / 1000, UTC)
    shop.settle()
    (found,) = activities(pull(shop, Memory("form_submission"), "forms")).values()
    assert (found.id, found.kind, found.records, found.at) == (sent, "form_submission", (key(ana),), at)
    assert found.fields == {"form": "Webinar", "form_id": WEBINAR, "page_url": "https://acme.test/webinar"}


def test_every_submission_of_every_form_is_told_once_however_many_there_are(shop: Shop) -> None:
    shop.person("ana@acme.test")
    shop.form(WEBINAR, "Webinar", submissions(1_230, shop, apart_ms=120_000))
    for number in range(30):
        shop.form(f"{DEMO[:-2]}{number:02}", f"Form {number}", submissions(number % 3, shop))
    memory = Memory("form_submission")
    first = pull(shop, memory, "forms")
    assert len(memory.stored) == 1_230 + 30
    assert sum(len(page.activities) for page in first) == len(memory.stored)

    shop.control("clock", advance_s=7200)
    new = shop.submit(WEBINAR, "ana@acme.test")
    shop.settle()
    shop.forget()
    assert list(activities(pull(shop, memory, "forms"))) == [new]
    asked = shop.statuses("/submissions/forms/{formId}")
    assert asked == {200: 31}, "one page of each form tells that the rest is known"
    assert pull(shop, memory, "forms")[-1].activities == ()


def test_a_form_with_many_submissions_makes_progress_through_failures_and_loses_none(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_waits_pass(monkeypatch, shop)
    shop.person("ana@acme.test")
    shop.form(WEBINAR, "Webinar", submissions(900, shop))
    memory = Memory("form_submission")
    failures = 0
    for _ in range(10):
        shop.fault(status=502, path="/submissions/forms/", skip=5, times=6)
        try:
            pull(shop, memory, "forms", at_once=1)
            break
        except TemporaryError:
            failures += 1
            shop.control("faults", faults=[])
    assert failures >= 2
    assert len(memory.stored) == 900


def test_what_is_sent_while_a_form_is_read_down_is_told_too(shop: Shop) -> None:
    shop.person("ana@acme.test")
    shop.form(WEBINAR, "Webinar", submissions(500, shop))
    memory = Memory("form_submission")
    first = next(shop.hubspot(memory.wanted(), activities=["forms"]).pull("forms", None))
    memory.stored, memory.cursor = activities([first]), first.cursor
    new = shop.submit(WEBINAR, "ana@acme.test")
    shop.settle()
    pull(shop, memory, "forms")
    assert new in memory.stored
    assert len(memory.stored) == 501


def test_a_submission_whose_contact_is_not_there_yet_is_told_by_a_later_pull_for_an_hour(shop: Shop) -> None:
    at_ms = shop.now_ms()
    sent = {"submittedAt": at_ms, "conversionId": "c1", "values": {"email": "late@acme.test"}}
    shop.form(WEBINAR, "Webinar", [sent])
    shop.settle()
    memory = Memory("form_submission")
    assert activities(pull(shop, memory, "forms")) == {}
    late = shop.person("late@acme.test")
    shop.control("clock", advance_s=1800)
    (found,) = activities(pull(shop, memory, "forms")).values()
    assert found.records == (key(late),)


def test_a_form_that_is_new_to_us_is_read_from_as_far_back_as_syncer_remembers(shop: Shop) -> None:
    shop.person("ana@acme.test")
    shop.form(WEBINAR, "Webinar")
    memory = Memory("form_submission")
    pull(shop, memory, "forms")
    shop.form(DEMO, "Demo", submissions(5, shop, apart_ms=A_DAY_MS * 120))
    pull(shop, memory, "forms")
    assert sorted(memory.stored) == [f"forms/{DEMO}/c{number}" for number in range(4)]


def test_a_submission_without_a_number_of_its_own_is_the_same_one_every_time(shop: Shop) -> None:
    shop.person("ana@acme.test")
    shop.form(WEBINAR, "Webinar", submissions(2, shop))

    def without(answer: Json) -> Json:
        for row in answer["results"]:
            row.pop("conversionId", None)
        return answer

    with retold(shop, f"/forms/{WEBINAR}", without) as other:
        one, another = (activities(pull(other, Memory("form_submission"), "forms")) for _ in range(2))
    assert len(one) == 2
    assert one == another


def test_case_20_a_form_for_comments_has_no_submissions_and_is_skipped(shop: Shop) -> None:
    ana = shop.person("ana@acme.test")
    shop.form(DEMO, "Comments", formType="blog_comment")
    shop.form(f"{DEMO}c", "Old", submissions(1, shop), archived=True)
    shop.form(WEBINAR, "Webinar", submissions(1, shop), formType="captured")
    pages = pull(shop, Memory("form_submission"), "forms")
    (found,) = activities(pages).values()
    assert found.records == (key(ana),)
    assert rejected(pages) == []
    assert shop.statuses("/submissions/forms/{formId}") == {200: 1}


def test_case_20_a_form_that_is_refused_although_its_type_does_not_tell_so_stops_no_other(shop: Shop) -> None:
    shop.person("ana@acme.test")
    shop.form(DEMO, "Comments", formType="blog_comment")
    shop.form(WEBINAR, "Webinar", submissions(1, shop))

    def plainly(answer: Json) -> Json:
        for row in answer["results"]:
            row["formType"] = "hubspot"
        return answer

    listed = "/marketing/v3/forms" if Office.api_version == "v3" else "/marketing/forms/2026-09-beta"
    with retold(shop, listed, plainly) as other:
        pages = pull(other, Memory("form_submission"), "forms")
    assert len(activities(pages)) == 1
    assert rejected(pages) == []
    assert shop.statuses("/submissions/forms/{formId}") == {200: 1, 400: 1}


@pytest.mark.parametrize(
    ("stream", "scope", "kind"),
    [("forms", "forms", "form_submission"), ("marketing_emails", "content", "email_open")],
)
def test_case_19_a_stream_of_events_that_may_not_be_read_names_its_scope_and_the_contacts_go_on(
    stream: str, scope: str, kind: str
) -> None:
    with office(keys=[Token(TOKEN, CONTACTS_ONLY)]) as portal:
        (ana,) = portal.add(1)
        hubspot = portal.hubspot(Wanted(activities=(kind,)), activities=[stream])
        assert [record.key.id for page in hubspot.pull("contacts", None) for record in page.records] == [ana]
        with pytest.raises(ConfigError, match=f"lacks the scope {scope}"):
            list(hubspot.pull(stream, None))
        told = [each.message for each in hubspot.check() if each.level == "error" and each.layer == "scopes"]
        assert len(told) == 1
        assert f"scope {scope}" in told[0]


def test_case_19_behavioural_events_of_a_portal_that_is_not_enterprise_say_so(shop: Shop) -> None:
    shop.control("manners", tier="professional")
    hubspot = shop.hubspot(
        Wanted(activities=("page_view",)), activities=["behavioural_events"], events=["e_visited_page"]
    )
    with pytest.raises(ConfigError, match="Enterprise"):
        list(hubspot.pull("behavioural_events", None))
    assert any("Enterprise" in each.message + each.help for each in hubspot.check() if each.level == "error")


def test_events_of_marketing_emails_belong_to_whoever_has_the_address(shop: Shop) -> None:
    ana = shop.person("ana@acme.test")
    opened = shop.opened("ana@acme.test")
    shop.opened("nobody@acme.test")
    clicked = shop.opened("ana@acme.test", type="CLICK", url="https://acme.test/offer?who=ana", filteredEvent=True)
    left = shop.opened("ana@acme.test", type="STATUSCHANGE")
    shop.opened("ana@acme.test", type="STATUSCHANGE", portalSubscriptionStatus="SUBSCRIBED")
    shop.opened("ana@acme.test", type="DELIVERED")
    shop.settle()
    memory = Memory("email_open", "email_click", "email_unsubscribe")
    pages = pull(shop, memory, "marketing_emails")
    found = activities(pages)
    assert {each.id: each.kind for each in found.values()} == {
        opened: "email_open",
        clicked: "email_click",
        left: "email_unsubscribe",
    }
    assert {each.records for each in found.values()} == {(key(ana),)}
    assert found[clicked].fields == {"campaign": "7", "url": "https://acme.test/offer", "filtered": True}
    assert found[opened].fields == {"campaign": "7"}


def test_an_old_portals_emails_are_read_a_month_at_a_time_and_every_event_comes_once(shop: Shop) -> None:
    shop.person("ana@acme.test")
    now_ms = shop.now_ms()
    days = [*range(0, 440, 21), *[5] * 1_100]
    rows = [{"recipient": "ana@acme.test", "type": "OPEN", "at_ms": now_ms - 120_000 - day * A_DAY_MS} for day in days]
    shop.control("load", emailEvents=rows)
    memory = Memory("email_open")
    pages = pull(shop, memory, "marketing_emails")
    assert len(memory.stored) == sum(day < 400 for day in days)
    assert sum(len(page.activities) for page in pages) == len(memory.stored)
    shop.control("clock", advance_s=4 * 3600)
    new = shop.opened("ana@acme.test")
    shop.settle()
    shop.forget()
    assert list(activities(pull(shop, memory, "marketing_emails"))) == [new]
    assert shop.calls()["total"] <= 3, "the account, one page, whose address it is"


def test_events_that_show_late_or_whose_contact_does_are_told_by_a_later_pull(shop: Shop) -> None:
    ana, at_ms = shop.person("ana@acme.test"), shop.now_ms()
    first = shop.opened("late@acme.test")
    shop.settle()
    emails, visits = Memory("email_open"), Memory("page_view")
    assert activities(pull(shop, emails, "marketing_emails")) == {}
    assert activities(pull(shop, visits, "behavioural_events")) == {}
    shop.person("late@acme.test")
    second = shop.opened("ana@acme.test", at_ms=at_ms)
    visited = shop.visited(ana, "https://acme.test/", at_ms=at_ms)
    shop.control("clock", advance_s=1800)
    assert set(activities(pull(shop, emails, "marketing_emails"))) == {first, second}
    assert set(activities(pull(shop, visits, "behavioural_events"))) == {visited}


def test_a_pull_of_emails_goes_on_from_any_page_it_has_stored(shop: Shop) -> None:
    shop.person("ana@acme.test")
    now_ms = shop.now_ms()
    kinds = ("OPEN", "CLICK")
    rows = [
        {"recipient": "ana@acme.test", "type": kinds[number % 2], "at_ms": now_ms - 120_000 - number * A_DAY_MS // 40}
        for number in range(2_600)
    ]
    shop.control("load", emailEvents=rows)
    memory = Memory("email_open", "email_click")
    pulls = 0
    while len(memory.stored) < 2_600 and pulls < 40:
        pulls += 1
        page = next(
            shop.hubspot(memory.wanted(), activities=["marketing_emails"]).pull("marketing_emails", memory.cursor)
        )
        assert not set(activities([page])) & set(memory.stored)
        memory.stored, memory.cursor = memory.stored | activities([page]), page.cursor
    assert len(memory.stored) == 2_600


def test_a_kind_of_events_that_the_rules_ask_for_later_is_read_from_the_beginning(shop: Shop) -> None:
    shop.person("ana@acme.test")
    clicked = shop.opened("ana@acme.test", type="CLICK", at_ms=shop.now_ms() - 90 * A_DAY_MS)
    memory = Memory("email_open")
    pull(shop, memory, "marketing_emails")
    memory.kinds = ("email_click", "email_open")
    pull(shop, memory, "marketing_emails")
    assert list(memory.stored) == [clicked]


def test_a_visited_page_is_a_page_view_and_events_of_the_portals_own_keep_their_name(shop: Shop) -> None:
    ana = shop.person("ana@acme.test")
    visited = shop.visited(ana, "https://acme.test/prices?utm_source=x")
    own = shop.visited(ana, "", eventType="pe44237313_trial", properties={})
    shop.visited(ana, "", eventType="pe44237313_other", properties={})
    shop.settle()
    memory = Memory("page_view", "pe44237313_trial")
    found = activities(pull(shop, memory, "behavioural_events", events=["e_visited_page", "pe44237313_trial"]))
    assert {each.id: each.kind for each in found.values()} == {visited: "page_view", own: "pe44237313_trial"}
    assert found[visited].records == (key(ana),)
    assert found[visited].fields == {"url": "https://acme.test/prices", "title": "Prices"}


def test_all_pages_of_behavioural_events_are_read_and_an_idle_pull_costs_two_requests(shop: Shop) -> None:
    people = [shop.person(f"p{number}@acme.test") for number in range(3)]
    base_ms = shop.now_ms() - 5 * A_DAY_MS
    rows = [
        {"eventType": "e_visited_page", "objectId": people[number % 3], "at_ms": base_ms + number // 2}
        for number in range(350)
    ]
    shop.control("load", events=rows)
    memory = Memory("page_view")
    pages = pull(shop, memory, "behavioural_events")
    assert sum(len(page.activities) for page in pages) == len(memory.stored) == 350
    shop.control("clock", advance_s=900)
    shop.forget()
    assert activities(pull(shop, memory, "behavioural_events")) == {}
    assert shop.calls()["total"] == 2


def test_what_a_stream_tells_singly_is_not_counted_as_well(shop: Shop) -> None:
    counted = {
        "hs_email_open": "3",
        "hs_email_replied": "1",
        "num_conversion_events": "2",
        "hs_analytics_num_visits": "4",
    }
    shop.load("contacts", [{"email": "ana@acme.test", **counted}])
    wanted = Wanted(activities=("email_open", "email_reply", "form_submission", "page_view", "visit"))
    chosen = ["forms", "marketing_emails", "behavioural_events"]
    pages = list(shop.hubspot(wanted, activities=chosen, events=["e_visited_page"]).pull("contacts", None))
    assert {each.kind for each in readings(pages)} == {"email_reply", "visit"}
    pages = list(shop.hubspot(wanted).pull("contacts", None))
    assert {each.kind for each in readings(pages)} == {"email_open", "email_reply", "form_submission", "visit"}


def test_check_warns_of_streams_that_bring_nothing_and_of_counts_that_only_the_sweep_sees(shop: Shop) -> None:
    def told(kinds: Sequence[str], **settings: Any) -> str:
        found = shop.hubspot(Wanted(activities=tuple(kinds)), **settings).check()
        return "\n".join(f"{each.message} {each.help}" for each in found if each.level == "warning")

    assert "calculates" in told(["form_submission"])
    assert "activities: [" in told(["form_submission"])
    assert "forms" not in told(["form_submission"], activities=["forms"])
    assert "'forms'" in told(["meeting"], activities=["meetings", "forms"])
    assert "`events`" in told(["page_view"], activities=["behavioural_events"])
    assert "are not read" in told(["page_view"], events=["e_visited_page"])


@pytest.mark.parametrize("stream", ["forms", "marketing_emails", "behavioural_events"])
def test_through_trouble_of_every_kind_no_event_is_lost_or_told_wrongly(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, stream: str
) -> None:
    ana = shop.person("ana@acme.test")
    base_ms = shop.now_ms() - 40 * A_DAY_MS
    times = [base_ms + number * 3_600_000 for number in range(700)]
    shop.form(WEBINAR, "Webinar", [{"submittedAt": at, "values": {"email": "ana@acme.test"}} for at in times])
    opens = [{"recipient": "ana@acme.test", "type": "OPEN", "at_ms": at} for at in times]
    visits = [{"eventType": "e_visited_page", "objectId": ana, "at_ms": at} for at in times]
    shop.control("load", emailEvents=opens, events=visits)
    let_waits_pass(monkeypatch, shop)
    shop.control("chaos", share=0.3, seed=11, hang_s=0.05)
    memory = Memory("form_submission", "email_open", "page_view")
    failures = 0
    for _ in range(30):
        try:
            pull(shop, memory, stream, timeout_s={"connect": 1, "read": 1})
            break
        except (ConfigError, TemporaryError):
            failures += 1
    assert shop.calls()["faulted"], "there was trouble"
    assert failures < 30
    assert sorted(int(each.at.timestamp() * 1000 + 0.5) for each in memory.stored.values()) == times
    assert {each.records for each in memory.stored.values()} == {(key(ana),)}


@pytest.mark.parametrize("stream", ["forms", "marketing_emails", "behavioural_events"])
def test_a_pull_survives_that_hubspot_forgets_its_own_words_for_the_next_page(shop: Shop, stream: str) -> None:
    ana = shop.person("ana@acme.test")
    times = [shop.now_ms() - 40 * A_DAY_MS - number for number in range(1_300)]
    shop.form(WEBINAR, "Webinar", [{"submittedAt": at, "values": {"email": "ana@acme.test"}} for at in times])
    opens = [{"recipient": "ana@acme.test", "type": "OPEN", "at_ms": at} for at in times]
    visits = [{"eventType": "e_visited_page", "objectId": ana, "at_ms": at} for at in times]
    shop.control("load", emailEvents=opens, events=visits)
    memory = Memory("form_submission", "email_open", "page_view")
    hubspot = shop.hubspot(memory.wanted(), activities=[stream], events=["e_visited_page"])
    for page in hubspot.pull(stream, None):
        if page.activities:
            memory.stored, memory.cursor = activities([page]), page.cursor
            break
    assert 0 < len(memory.stored) < len(times)
    words = re.findall(r'"(MTc[^"]+)"', str(memory.cursor))  # base64 of a time
    assert len(words) == 1, "HubSpot's word stands in the cursor"
    memory.cursor = Cursor(str(memory.cursor).replace(words[0], "worn-out"))
    pull(shop, memory, stream)
    assert len(memory.stored) == len(times)


@pytest.mark.parametrize("stream", ["forms", "marketing_emails", "behavioural_events"])
def test_a_stream_whose_pages_go_round_in_a_circle_is_an_error(
    shop: Shop, stream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_waits_pass(monkeypatch, shop)
    ana = shop.person("ana@acme.test")
    shop.form(WEBINAR, "Webinar", submissions(60, shop))
    shop.opened("ana@acme.test", at_ms=shop.now_ms() - A_DAY_MS)
    shop.visited(ana, "https://acme.test", at_ms=shop.now_ms() - A_DAY_MS)
    words = itertools.cycle(("one", "two"))

    def round_(answer: Json) -> Json:
        word = next(words)
        return {**answer, "paging": {"next": {"after": word}}, "hasMore": True, "offset": word}

    path = {
        "forms": f"/forms/{WEBINAR}",
        "marketing_emails": shop.paths.email_events,
        "behavioural_events": shop.paths.event_occurrences,
    }[stream]
    first = "" if stream == "forms" else "x"
    memory = Memory("form_submission", "email_open", "page_view")
    with (
        retold(shop, path, round_, lambda _: first) as other,
        pytest.raises(TemporaryError, match="in a circle") as caught,
    ):
        pull(other, memory, stream)
    assert caught.value.code == "SY042"


def test_a_page_of_emails_that_goes_on_and_does_not_say_where_is_not_the_last(shop: Shop) -> None:
    shop.person("ana@acme.test")
    shop.opened("ana@acme.test", at_ms=shop.now_ms() - A_DAY_MS)

    def nowhere(answer: Json) -> Json:
        return {**answer, "hasMore": True, "offset": None}

    with retold(shop, shop.paths.email_events, nowhere) as other, pytest.raises(TemporaryError) as caught:
        next(other.hubspot(Memory("email_open").wanted(), activities=["marketing_emails"]).pull(
            "marketing_emails", None
        ))  # fmt: skip
    assert caught.value.code == "SY042"


def test_a_form_that_is_quiet_for_a_day_is_read_once_an_hour_and_for_a_month_once_a_day(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_waits_pass(monkeypatch, shop)
    hour_ms = A_DAY_MS // 24
    for name, quiet_days in (("busy", 0.5), ("calm", 3), ("dead", 60)):
        old = {"createdAt": shop.now_ms() - 90 * A_DAY_MS, "updatedAt": shop.now_ms() - 90 * A_DAY_MS}
        sent = [{"submittedAt": shop.now_ms() - int(quiet_days * A_DAY_MS), "values": {"email": "ana@acme.test"}}]
        shop.form(name, name, sent, **old)
    shop.form("unborn", "unborn", createdAt=shop.now_ms() - 90 * A_DAY_MS)
    shop.person("ana@acme.test")
    memory = Memory("form_submission")

    def asked(pulls: int, apart_ms: int) -> int:
        shop.forget()
        for _ in range(pulls):
            shop.control("clock", advance_s=apart_ms / 1000)
            pull(shop, memory, "forms")
        return sum(shop.statuses("/submissions/forms/{formId}").values())

    assert asked(1, 0) == 4
    assert asked(8, hour_ms // 4) == 8 + 2  # the busy one each time, the calm one each hour
    new = shop.submit("dead", "ana@acme.test")
    assert new not in memory.stored
    assert asked(22, hour_ms) <= 22 + 22 + 1 + 1
    assert new in memory.stored, "a day later at the latest"
    assert asked(4, hour_ms // 4) == 4 + 1 + 1  # it is awake again; the others are calm by now


def test_a_form_that_was_made_or_edited_today_is_read_each_time_though_nobody_has_sent_it_yet(shop: Shop) -> None:
    shop.form(WEBINAR, "Webinar")
    memory = Memory("form_submission")
    for _ in range(3):
        shop.control("clock", advance_s=900)
        pull(shop, memory, "forms")
    assert shop.statuses("/submissions/forms/{formId}") == {200: 3}


@pytest.mark.parametrize("stream", ["forms", "marketing_emails"])
def test_an_address_that_hubspot_does_not_take_leaves_the_others_found(shop: Shop, stream: str) -> None:
    people = {f"person{number}@acme.test": shop.person(f"person{number}@acme.test") for number in range(30)}
    bad = "poison@acme..test"
    sent = [*people, bad]
    times = [shop.now_ms() - A_DAY_MS + number for number in range(len(sent))]
    rows = [{"submittedAt": at, "values": {"email": each}} for at, each in zip(times, sent, strict=True)]
    shop.form(WEBINAR, "Webinar", rows)
    opens = [{"recipient": to, "type": "OPEN", "at_ms": at} for at, to in zip(times, sent, strict=True)]
    shop.control("load", emailEvents=opens)
    told = create_app(shop.portal)

    async def strict(scope: Scope, receive: Receive, send: Send) -> None:
        body = (await receive()).get("body", b"")
        if bad.encode() in body:
            await send({"type": "http.response.start", "status": 400, "headers": []})
            await send({"type": "http.response.body", "body": b'{"category": "VALIDATION_ERROR", "message": "no"}'})
            return
        await told(scope, partial(_said, body), send)

    memory = Memory("form_submission", "email_open")
    with serve_app(strict) as url:
        pull(Office(url, shop.portal), memory, stream)
    assert {each.records for each in memory.stored.values()} == {(key(each),) for each in people.values()}
    assert shop.statuses("/batch/read")[200] <= 2 * 5 + 2


async def _said(body: bytes) -> Message:
    return {"type": "http.request", "body": body, "more_body": False}


def test_a_refusal_that_is_not_about_addresses_is_told_after_one_more_request(shop: Shop) -> None:
    shop.person("ana@acme.test")
    shop.form(WEBINAR, "Webinar", submissions(1, shop))
    shop.fault(status=400, path="/batch/read")
    with pytest.raises(Refused):
        pull(shop, Memory("form_submission"), "forms")
    assert shop.statuses("/batch/read") == {400: 2}


def test_a_form_that_was_refused_is_read_from_its_beginning_when_it_is_not_any_more(shop: Shop) -> None:
    shop.person("ana@acme.test")
    shop.form(DEMO, "Demo", submissions(3, shop, apart_ms=A_DAY_MS))
    shop.form(WEBINAR, "Webinar", submissions(2, shop, apart_ms=A_DAY_MS))
    shop.fault(status=400, path=DEMO)
    memory = Memory("form_submission")
    refused = rejected(pull(shop, memory, "forms"))
    assert [each.id for each in refused] == [f"forms/{DEMO}"]
    assert len(memory.stored) == 2
    shop.control("faults", faults=[])
    shop.control("clock", advance_s=900)
    assert rejected(pull(shop, memory, "forms")) == []
    assert len(memory.stored) == 5


def test_a_cursor_of_another_portal_or_stream_begins_anew(shop: Shop) -> None:
    shop.person("ana@acme.test")
    shop.opened("ana@acme.test", at_ms=shop.now_ms() - 30 * A_DAY_MS)
    shop.form(WEBINAR, "Webinar", submissions(1, shop))
    for stream, kind in (("marketing_emails", "email_open"), ("forms", "form_submission")):
        for strange in ("nonsense", '[1,"999",5,[],null,{},[]]', '[1,"999","marketing_emails",["OPEN"],5,null]'):
            memory = Memory(kind)
            memory.cursor = Cursor(strange)
            assert len(activities(pull(shop, memory, stream))) == 1


def test_events_take_no_part_in_sweeps_and_are_not_asked_for_by_id(shop: Shop) -> None:
    hubspot = shop.hubspot(
        Wanted(activities=("form_submission", "email_open")), activities=["forms", "marketing_emails"]
    )
    for stream in ("forms", "marketing_emails"):
        assert list(hubspot.sweep(stream, None)) == []
        assert list(hubspot.fetch(stream, ["1"])) == []
