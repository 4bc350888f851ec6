"""Tasks for sales on a contact: one for each key."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.hubspot.marks import keys_in
from connectors.hubspot.tasks import body_of
from syncer import workers
from syncer.connector import HandoffTarget, Wanted
from syncer.errors import ConfigError, NotFound, Stopped, TemporaryError
from syncer.handoff import Delivery, drain, notices
from syncer.model import Cursor, Decision, LeadPlan, Page, Record, Score, StageState, Task
from syncer.settings import CrmTask, HandoffSettings
from syncer.store import Store, leases, mirror, outbox
from tests.connectors.hubspot.portals import STAGES, Json, Office, activities, key, let_waits_pass, office, retold
from tests.handoff.samples import HANDOFF

DUE = datetime(2026, 11, 23, 8, 5, tzinfo=UTC)
ANNA, BEN, GONE = "41629779", "41629780", "41629781"  # owners of every emulated portal; the last has left
BENS_USER = "9586505"
BOSS = "Ben.Okoro@example.com"


def task(contact: str, marker: str = "k1", **changes: Any) -> Task:
    given_ = {"subject": "Ana is now SQL", "body": "Why:\n  - <b>Demo</b> & more", "due_at": DUE, **changes}
    return Task(marker, key(contact), **given_)


def tasks(portal: Office) -> list[Json]:
    found: list[Json] = portal.control("dump", objectType="tasks")["results"]
    return found


def the_task(portal: Office) -> Mapping[str, str]:
    (only,) = tasks(portal)
    found: Mapping[str, str] = only["properties"]
    return found


def contacts_of(portal: Office, made: str) -> list[str]:
    asked = {"inputs": [{"id": made}]}
    rows = portal.api("POST", "/crm/v4/associations/tasks/contacts/batch/read", asked)["results"]
    return [str(tie["toObjectId"]) for row in rows for tie in row["to"]]


def created(portal: Office) -> dict[int, int]:
    return portal.statuses("/objects/tasks")


def test_a_task_says_what_to_do_until_when_and_hangs_on_the_contact() -> None:
    with office() as portal:
        hubspot = portal.hubspot()
        assert isinstance(hubspot, HandoffTarget)
        (ana,) = portal.load("contacts", [{"hubspot_owner_id": ANNA}])
        made = hubspot.create_task(task(ana))
        shown = the_task(portal)
        assert contacts_of(portal, made) == [ana]
        assert shown["hs_timestamp"] == "2026-11-23T08:05:00Z"
        assert shown["hs_task_body"] == "Why:<br>  - &lt;b&gt;Demo&lt;/b&gt; &amp; more<br><br>syncer: k1"
        names = ("hs_task_subject", "hs_task_status", "hs_task_priority", "hs_task_type", "hubspot_owner_id")
        assert [shown[name] for name in names] == ["Ana is now SQL", "NOT_STARTED", "HIGH", "TODO", ANNA]


def test_a_task_costs_few_calls() -> None:
    with office() as portal:
        hubspot = portal.hubspot()
        ana, ben = portal.load("contacts", [{"hubspot_owner_id": ANNA}] * 2)
        hubspot.create_task(task(ana))
        assert hubspot.calls == {"read": 3, "write": 1}  # the contact, its tasks, the owners
        hubspot.create_task(task(ben))
        assert hubspot.calls == {"read": 5, "write": 2}


@pytest.mark.parametrize(
    "trouble",
    [{"drop": "after"}, {"body": "truncated"}, {"status": 504, "body": "html", "apply": True}],
    ids=lambda trouble: str(next(iter(trouble.values()))),
)
def test_case_46_a_task_whose_answer_was_lost_is_not_created_again(trouble: dict[str, Any]) -> None:
    with office(index_lag_s=3600) as portal:
        hubspot = portal.hubspot()
        (ana,) = portal.add(1)
        portal.fault(path="tasks$", method="POST", times=1, **trouble)
        with pytest.raises(TemporaryError) as caught:
            hubspot.create_task(task(ana))
        assert (caught.value.retry_after_s or 0) > 100, "HubSpot may still be at work on it"
        assert len(tasks(portal)) == 1
        again = portal.hubspot().create_task(task(ana))
        assert [each["id"] for each in tasks(portal)] == [again]
        assert sum(created(portal).values()) == 1


def test_case_28_a_task_and_a_field_are_created_where_hubspot_says_200_for_201() -> None:
    with office() as portal:
        (ana,) = portal.add(1)
        portal.fault(method="POST", path="tasks$|/properties/", body="real")
        hubspot = portal.hubspot()
        made = hubspot.create_task(task(ana))
        assert ([each["id"] for each in tasks(portal)], sum(created(portal).values())) == ([made], 1)
        for each in hubspot.setup():
            hubspot.create(each)
        assert all(each.exists for each in hubspot.setup())
        assert portal.calls()["faulted"]["wrong_status"] == 5


def test_case_46_a_request_that_never_arrived_is_made_at_the_next_try_and_not_by_itself() -> None:
    with office() as portal:
        hubspot = portal.hubspot()
        (ana,) = portal.add(1)
        portal.fault(path="tasks$", method="POST", times=1, drop="before")
        with pytest.raises(TemporaryError):
            hubspot.create_task(task(ana))
        assert (tasks(portal), sum(created(portal).values())) == ([], 1)
        hubspot.create_task(task(ana))
        assert len(tasks(portal)) == 1


def test_case_46_a_process_that_looked_long_ago_creates_nothing_for_another_may_have_done_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with office() as portal:
        (ana,) = portal.add(1)
        let_waits_pass(monkeypatch, portal)
        portal.fault(path="contacts/tasks/batch/read", status=503, times=4, headers={"Retry-After": "9"})
        hubspot = portal.hubspot()
        with pytest.raises(TemporaryError, match="took HubSpot too long"):
            hubspot.create_task(task(ana))
        assert tasks(portal) == []
        hubspot.create_task(task(ana))
        assert len(tasks(portal)) == 1


@pytest.mark.parametrize(
    "kept",
    [
        "<p>Why:</p><ul><li>Demo</li></ul><p>syncer:&nbsp;k1</p>",
        '<div dir="auto"><p style="margin:0;">called her, no answer</p><p>syncer: <strong>k1</strong></p></div>',
        "syncer: k1",
    ],
)
def test_case_46_a_key_is_found_in_whatever_hubspot_or_people_make_of_the_text(kept: str) -> None:
    with office() as portal:
        hubspot = portal.hubspot()
        (ana,) = portal.add(1)
        made = hubspot.create_task(task(ana))
        portal.control("edit", objectType="tasks", id=made, properties={"hs_task_body": kept})
        portal.control("edit", objectType="tasks", id=made, properties={"hs_task_status": "COMPLETED"})
        assert hubspot.create_task(task(ana)) == made
        assert len(tasks(portal)) == 1


def test_case_46_the_key_is_found_among_many_tasks_of_one_contact() -> None:
    with office() as portal:
        hubspot = portal.hubspot()
        (ana,) = portal.add(1)
        first = hubspot.create_task(task(ana))
        rows = [{"hs_timestamp": "1", "hs_task_body": f"syncer: k{each}"} for each in range(2, 620)]
        others = portal.load("tasks", rows)
        portal.tie("contacts", "tasks", 203, [(ana, each) for each in others])
        assert hubspot.create_task(task(ana)) == first
        assert hubspot.create_task(task(ana, "k619")) in others


def test_what_we_told_sales_is_no_activity_of_the_person() -> None:
    with office() as portal:
        hubspot = portal.hubspot(Wanted(activities=("task",), stages=STAGES))
        (ana,) = portal.add(1)
        ours = hubspot.create_task(task(ana))
        (theirs,) = portal.load("tasks", [{"hs_timestamp": "1790000000000", "hs_task_body": "Ask about syncer"}])
        portal.tie("contacts", "tasks", 203, [(ana, ours), (ana, theirs)])
        portal.settle()
        told = [
            hubspot.pull("tasks", None),
            hubspot.sweep("tasks", None),
            hubspot.fetch("contacts", [ana], lately=True),
        ]
        for pages in told:
            found = activities(list(pages))
            assert [name for name, each in found.items() if not each.deleted] == [f"tasks/{theirs}"]


def test_keys_that_begin_alike_are_two_tasks() -> None:
    with office() as portal:
        hubspot = portal.hubspot()
        (ana,) = portal.add(1)
        assert hubspot.create_task(task(ana, "k10")) != hubspot.create_task(task(ana, "k1"))
        assert len(tasks(portal)) == 2


@pytest.mark.parametrize(
    ("owner", "fallback", "theirs"),
    [
        (ANNA, BOSS, ANNA),
        (None, BOSS, BEN),
        (None, None, None),
        (GONE, BOSS, BEN),
        (GONE, None, None),
        (BENS_USER, None, BEN),  # somebody took the user's number for the owner's
        ("4242", BOSS, BEN),
        ("4242", None, None),
        (None, "nobody@example.com", None),
        (GONE, "chris.gone@example.com", None),  # the stand-in has left, too
    ],
)
def test_case_47_a_task_goes_to_the_owner_the_stand_in_or_nobody(
    owner: str | None, fallback: str | None, theirs: str | None
) -> None:
    with office() as portal:
        (ana,) = portal.load("contacts", [{"hubspot_owner_id": owner}])
        portal.hubspot(fallback_owner=fallback).create_task(task(ana))
        assert the_task(portal).get("hubspot_owner_id") == theirs
        assert created(portal).get(400, 0) == (owner == "4242")


def test_case_47_the_stand_in_of_the_hand_off_comes_before_the_portals() -> None:
    with office() as portal:
        (ana,) = portal.add(1)
        hubspot = portal.hubspot(fallback_owner="anna.berg@example.com")
        hubspot.create_task(task(ana, fallback_owner=BOSS))
        assert the_task(portal)["hubspot_owner_id"] == BEN


@pytest.mark.parametrize(
    ("wished", "owner", "theirs"),
    [
        ("BEN.okoro@example.com", ANNA, BEN),
        (BOSS, None, BEN),
        (None, ANNA, ANNA),
        ("nobody@example.com", ANNA, ANNA),
        ("chris.gone@example.com", ANNA, ANNA),
        ("chris.gone@example.com", GONE, BEN),
        ("nobody@example.com", None, BEN),
    ],
)
def test_case_47_who_shall_act_gets_the_task_before_the_records_owner_and_the_stand_in(
    wished: str | None, owner: str | None, theirs: str
) -> None:
    with office() as portal:
        (ana,) = portal.load("contacts", [{"hubspot_owner_id": owner}])
        portal.hubspot().create_task(task(ana, owner=wished, fallback_owner=BOSS))
        assert the_task(portal)["hubspot_owner_id"] == theirs
        assert created(portal) == {201: 1}


def test_case_47_where_who_shall_act_left_a_moment_ago_the_records_owner_gets_the_task() -> None:
    with office() as portal:
        hubspot = portal.hubspot()
        ana, ben = portal.load("contacts", [{"hubspot_owner_id": ANNA}] * 2)
        hubspot.create_task(task(ana, owner=BOSS))
        left = {"id": int(BEN), "email": BOSS.lower(), "first_name": "", "last_name": "", "user_id": 1}
        portal.control("load", owners=[{**left, "archived": True}])
        hubspot.create_task(task(ben, "k2", owner=BOSS))
        owners = [each["properties"]["hubspot_owner_id"] for each in tasks(portal)]
        assert (owners, created(portal)) == ([BEN, ANNA], {201: 2, 400: 1})


def test_case_47_an_owner_who_left_a_moment_ago_makes_one_more_try_and_no_more() -> None:
    with office() as portal:
        hubspot = portal.hubspot()
        ana, ben = portal.load("contacts", [{"hubspot_owner_id": ANNA}] * 2)
        hubspot.create_task(task(ana))
        left = {"id": int(ANNA), "email": "anna.berg@example.com", "first_name": "", "last_name": "", "user_id": 1}
        portal.control("load", owners=[{**left, "archived": True}])
        hubspot.create_task(task(ben))
        assert created(portal) == {201: 2, 400: 1}


def test_case_47_without_the_scope_for_owners_the_record_owner_is_taken_at_hubspots_word() -> None:
    with office() as portal:
        scopes = ["crm.objects.contacts.read", "crm.objects.contacts.write"]
        portal.control("tokens", add="narrow-token", scopes=scopes)
        hubspot = portal.hubspot(token="narrow-token")
        ana, ben = portal.load("contacts", [{"hubspot_owner_id": ANNA}, {"hubspot_owner_id": GONE}])
        for each in (ana, ben):
            hubspot.create_task(task(each))
        assert [each["properties"].get("hubspot_owner_id") for each in tasks(portal)] == [ANNA, None]


def test_a_task_of_a_merged_contact_goes_to_what_absorbed_it_and_only_once() -> None:
    with office() as portal:
        hubspot = portal.hubspot()
        ana, ben = portal.add(2)
        made = hubspot.create_task(task(ben))
        merged = portal.api("POST", "/crm/v3/objects/contacts/merge", {"primaryObjectId": ana, "objectIdToMerge": ben})
        assert hubspot.create_task(task(ben)) == made
        assert contacts_of(portal, hubspot.create_task(task(ben, "k2"))) == [merged["id"]]


def test_nobody_is_given_a_task_about_a_contact_who_is_gone() -> None:
    with office() as portal:
        (ana,) = portal.add(1)
        portal.remove(ana)
        with pytest.raises(NotFound, match=f"the contact {ana} is gone"):
            portal.hubspot().create_task(task(ana))
        assert tasks(portal) == []


def test_a_missing_scope_is_named_and_the_task_waits_for_it() -> None:
    with office() as portal:
        (ana,) = portal.add(1)
        portal.control("tokens", add="narrow-token", scopes=["crm.objects.contacts.read"])
        hubspot = portal.hubspot(token="narrow-token")
        with pytest.raises(TemporaryError, match=r"crm\.objects\.contacts\.write"):
            hubspot.create_task(task(ana))
        portal.control("tokens", add="narrow-token", scopes=["crm.objects.contacts.read", "crm.objects.contacts.write"])
        hubspot.create_task(task(ana))
        assert len(tasks(portal)) == 1


def test_a_task_that_hubspot_refuses_for_good_is_not_sent_again_and_again() -> None:
    with office() as portal:
        (ana,) = portal.load("contacts", [{"hubspot_owner_id": ANNA}])
        with pytest.raises(ConfigError, match="too long"):
            portal.hubspot().create_task(task(ana, subject="x" * 70_000))
        assert created(portal) == {400: 1}


def test_where_hubspot_hides_a_task_none_is_created() -> None:
    def only_ties(answer: Json) -> Json:
        return {**answer, "results": [row for row in answer["results"] if "from" in row]}

    with office() as portal:
        (ana,) = portal.add(1)
        portal.hubspot().create_task(task(ana))
        with (
            retold(portal, "/tasks/batch/read", only_ties) as second,
            pytest.raises(TemporaryError, match="one of them may be the one"),
        ):
            second.hubspot().create_task(task(ana))
        assert len(tasks(portal)) == 1


# Of a hand-off, through the outbox.

QUALIFIED = datetime(2026, 11, 22, 8, 5, tzinfo=UTC)


@dataclass
class Sales:
    """An outbox whose hand-offs become tasks in a portal; each `send` is a process of its own."""

    portal: Office
    store: Store
    now: datetime = QUALIFIED + timedelta(hours=1)

    def qualified(self, contact: str, episode: int) -> None:
        with self.store.writing() as tx:
            page = Page(Cursor("1"), (Record(key(contact), QUALIFIED),))
            mirror.store_page(tx, "crm", "contacts", page, QUALIFIED)
            (lead,) = mirror.find(tx, contact)
            news = replace(
                HANDOFF, key=f"here/{key(contact)}#{episode}", record=key(contact), lead=lead, episode=episode
            )
            score = Score(lead, QUALIFIED, "m@1", {}, 5000)
            decision = Decision(lead, 1, score, None, StageState("sql", "sql", QUALIFIED, episode), None, None)
            outbox.keep(tx, [LeadPlan(decision, handoff=news)], notices(news, TO_TASKS), QUALIFIED)

    def send(self, stop: threading.Event | None = None) -> Mapping[str, int]:
        stop = stop or threading.Event()
        lease = leases.take(self.store, "crm", holder="this", ttl_s=60)
        assert lease is not None
        told = Delivery(
            store=self.store,
            connection="crm",
            settings=TO_TASKS,
            clock=lambda: self.now,
            stop=stop,
            lease=lease,
            language="en",
            timezone="UTC",
            target=self.portal.hubspot(Wanted(stages=STAGES, stop=stop)),
        )
        try:
            counts = drain(told)
        finally:
            leases.release(self.store, lease)
        self.now += timedelta(minutes=10)
        return {name: count for name, count in counts.items() if count}


TO_TASKS = HandoffSettings("sql", notifiers={"todo": CrmTask()}, notify=("todo",))


def test_case_45_one_hand_off_is_one_task_through_lost_answers_restarts_and_merges(store: Store) -> None:
    with office(index_lag_s=3600) as portal:
        sales = Sales(portal, store)
        ana, ben = portal.add(2)
        sales.qualified(ana, 1)
        portal.fault(path="tasks$", method="POST", times=1, drop="after")
        assert sales.send() == {"notices_postponed": 1}
        portal.merge(ben, ana)
        sales.qualified(ana, 1)  # planned once more, by a process that had not seen it committed
        assert sales.send() == {"notices_sent": 1}
        assert sales.send() == {}
        assert len(tasks(portal)) == 1


def test_case_46_a_process_stopped_while_hubspot_makes_the_task_leaves_it_to_be_found(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_GRACE_S", 0.25)
    with office(index_lag_s=3600) as portal:
        sales = Sales(portal, store)
        (ana,) = portal.add(1)
        sales.qualified(ana, 1)
        portal.fault(path="tasks$", method="POST", times=1, hang_s=100)  # and then it is made
        stop = threading.Event()
        threading.Timer(1.5, stop.set).start()  # by then it has been asked, on a busy machine, too
        with pytest.raises(Stopped):
            sales.send(stop)
        assert tasks(portal) == []
        sales.now += timedelta(minutes=1)
        assert sales.send() == {}, "nothing to be found yet, and a second request would make a second task"
        portal.control("clock", advance_s=100)
        until = time.monotonic() + 20
        while not tasks(portal):
            assert time.monotonic() < until, "HubSpot never made it"
            time.sleep(0.02)
        assert sales.send() == {"notices_sent": 1, "notices_repeated": 1}
        assert len(tasks(portal)) == 1


def test_case_45_who_qualifies_again_is_a_task_again(store: Store) -> None:
    with office() as portal:
        sales = Sales(portal, store)
        (ana,) = portal.add(1)
        for episode in (1, 2):
            sales.qualified(ana, episode)
            assert sales.send() == {"notices_sent": 1}
        assert len(tasks(portal)) == 2


def test_case_45_a_notice_about_somebody_who_is_gone_is_shown_to_people(store: Store) -> None:
    with office() as portal:
        sales = Sales(portal, store)
        (ana,) = portal.add(1)
        sales.qualified(ana, 1)
        portal.remove(ana)
        assert sales.send() == {"notices_dead": 1}
        with store.reading() as tx:
            ((_, _, (told,)),) = outbox.handoffs(tx, "crm")
        assert told.error == f"crm: the contact {ana} is gone from HubSpot"


_KEYS = st.text(st.characters(codec="utf-8", exclude_categories=("Z", "C")), min_size=1, max_size=40)


@given(_KEYS, st.lists(st.sampled_from(["<p>", "</p>", "a < b", "&nbsp;", "syncer:", "<br>"]), max_size=4))
def test_any_key_is_found_in_a_text_of_ours(marker: str, around: list[str]) -> None:
    sent = body_of(task("1", marker, body="\n".join(around)), "1", None)
    assert marker in keys_in(sent["properties"]["hs_task_body"])
