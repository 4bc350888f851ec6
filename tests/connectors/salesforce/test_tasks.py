"""Tasks for sales on a lead or contact: one for each key."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.salesforce import Salesforce
from connectors.salesforce.marks import keys_in
from connectors.salesforce.tasks import Tasks, text_of
from syncer.connector import HandoffTarget, Wanted
from syncer.errors import ConfigError, NotFound, TemporaryError
from syncer.handoff import Delivery, drain, notices
from syncer.model import Cursor, Decision, LeadPlan, Page, Record, Score, StageState, Task
from syncer.settings import CrmTask, HandoffSettings
from syncer.store import Store, leases, mirror, outbox
from tests.connectors.salesforce.orgs import STAGES, TASK_KEY, House, Json, house, key, let_waits_pass
from tests.handoff.samples import HANDOFF

DUE = datetime(2026, 11, 24, 4, 5, tzinfo=UTC)
BY_MARK: Json = {"task": {"external_id": None}}
WAYS = [pytest.param({}, id="external id"), pytest.param(BY_MARK, id="mark")]
UPSERT, INSERT = f"/composite/sobjects/Task/{TASK_KEY}", "/sobjects/Task$"


def tasks(org: House, wanted: Wanted | None = None, **settings: Any) -> Tasks:
    return Tasks(org.asked(wanted, **settings))


def task(person: str, marker: str = "here/crm/Lead/00Q#1", **changes: Any) -> Task:
    given_ = {"subject": "Ana is now SQL", "body": "Why:\n  - Demo & more", "due_at": DUE, **changes}
    return Task(marker, key(person), **given_)


def made(org: House) -> list[Json]:
    return org.rows(
        "SELECT Id, WhoId, OwnerId, Subject, Description, Status, Priority, ActivityDate, "
        f"{TASK_KEY}, IsDeleted FROM Task ORDER BY Id"
    )


def the_task(org: House) -> Json:
    (only,) = made(org)
    return only


def user(org: House, name: str, *, active: bool = True, kind: str = "Standard") -> str:
    address = f"{name}@acme.test"
    shown = {"LastName": name, "Username": f"{kind}.{address}", "Email": address, "Alias": name[:8]}
    (made_,) = org.load("User", [{**shown, "IsActive": active, "UserType": kind}])
    return made_


def queue(org: House) -> str:
    (found,) = org.load("Group", [{"Name": "New leads", "Type": "Queue"}])
    org.load("QueueSobject", [{"QueueId": found, "SobjectType": "Lead"}])
    return found


@pytest.mark.parametrize("way", WAYS)
def test_a_task_says_what_to_do_until_when_and_hangs_on_the_person(org: House, way: Json) -> None:
    anna = user(org, "anna")
    (ana,) = org.leads(1, OwnerId=anna)
    found = tasks(org, **way).create_task(task(ana))
    shown = the_task(org)
    assert (shown["Id"], shown["WhoId"], shown["OwnerId"]) == (found, ana, anna)
    assert shown["Description"] == "Why:\n  - Demo & more\n\nsyncer: here/crm/Lead/00Q#1"
    assert [shown[name] for name in ("Subject", "Status", "Priority")] == ["Ana is now SQL", "Not Started", "High"]
    assert shown["ActivityDate"] == "2026-11-23", "the day it is then where the org is"
    assert shown[TASK_KEY] == (None if way else "here/crm/Lead/00Q#1")


def test_it_is_a_target_of_hand_offs(org: House) -> None:
    salesforce = Salesforce("crm", org.settings(), Wanted(stages=STAGES))
    assert isinstance(salesforce, HandoffTarget)
    (ben,) = org.contacts(1)
    assert salesforce.create_task(task(ben)) == the_task(org)["Id"]


def test_a_task_costs_few_calls(org: House) -> None:
    asked = org.asked()
    target = Tasks(asked)
    ana, ben = org.leads(2, OwnerId=user(org, "anna"))
    target.create_task(task(ana, "k1"))
    assert asked.client.calls["write"] == 1
    before = asked.client.calls["read"]
    target.create_task(task(ben, "k2"))
    assert (asked.client.calls["read"] - before, asked.client.calls["write"]) == (3, 2)


@pytest.mark.parametrize("way", WAYS)
def test_asking_twice_makes_one_task_whatever_became_of_it(org: House, way: Json) -> None:
    (ana,) = org.leads(1)
    first = tasks(org, **way).create_task(task(ana))
    org.change(first, Status="Completed", Subject="Called her")
    assert tasks(org, **way).create_task(task(ana)) == first
    assert (the_task(org)["Status"], the_task(org)["Subject"]) == ("Completed", "Called her")
    org.remove(first)
    assert tasks(org, **way).create_task(task(ana)) == first
    assert [each["IsDeleted"] for each in made(org)] == [True], "who has deleted it does not want another"


@pytest.mark.parametrize("way", WAYS)
def test_another_key_is_another_task(org: House, way: Json) -> None:
    (ana,) = org.leads(1)
    target = tasks(org, **way)
    ids = {target.create_task(task(ana, marker)) for marker in ("k#1", "k#11", "k#2", "k#1")}
    assert (len(ids), len(made(org))) == (3, 3)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "trouble",
    [
        {"drop": "after"},
        {"body": "truncated"},
        {"status": 504, "body": "html", "apply": True},
        {"status": 200, "body": "empty", "apply": True},
        {"drop": "before"},
    ],
    ids=lambda trouble: "-".join(map(str, trouble.values())),
)
def test_case_35_a_lost_answer_makes_no_second_task(
    org: House, monkeypatch: pytest.MonkeyPatch, trouble: Json, way: Json
) -> None:
    waits = let_waits_pass(monkeypatch, org)
    (ana,) = org.leads(1)
    path = INSERT if way else UPSERT
    org.fault(path=path, times=1, **trouble)
    if way:
        with pytest.raises(TemporaryError) as caught:
            tasks(org, **way).create_task(task(ana))
        assert (caught.value.retry_after_s or 0) >= 120, "Salesforce may work on at it so long"
        assert waits == []
    tasks(org, **way).create_task(task(ana))
    assert len(made(org)) == 1


def test_case_35_where_the_key_is_not_unique_a_lost_answer_is_settled_by_a_look() -> None:
    with house(fields=False) as org:
        field = {"fullName": TASK_KEY, "label": "key", "type": "Text", "length": 255, "externalId": True}
        org.org.add_field("Task", field)
        (ana,) = org.leads(1)
        org.fault(path=UPSERT, times=1, drop="after")
        with pytest.raises(TemporaryError) as caught:
            tasks(org).create_task(task(ana))
        assert (caught.value.retry_after_s or 0) >= 120
        tasks(org).create_task(task(ana))
        assert len(made(org)) == 1
        assert len(org.writes()) == 1


def test_case_35_two_processes_that_ask_at_once_make_one_task(org: House) -> None:
    (ana,) = org.leads(1)
    org.fault(path=UPSERT, hang_s=0.3)
    found: list[str] = []

    def ask() -> None:
        try:
            found.append(tasks(org).create_task(task(ana)))
        except TemporaryError:
            found.append("later")

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(made(org)) == 1
    assert set(found) <= {the_task(org)["Id"], "later"}


def alarms(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Of which record, and why, each owner was replaced."""
    told = [each.__dict__ for each in caplog.records if each.message == "task_owner_replaced"]
    return [(each["record"], each["reason"]) for each in told]


def test_case_38_a_lead_of_a_queue_is_a_task_of_whoever_stands_in(org: House, caplog: pytest.LogCaptureFixture) -> None:
    boss = user(org, "boss")
    (ana,) = org.leads(1, OwnerId=queue(org))
    tasks(org).create_task(task(ana, fallback_owner="boss@acme.test"))
    assert the_task(org)["OwnerId"] == boss
    assert alarms(caplog) == [(f"crm/Lead/{ana}", "a queue can have no task")]


def test_case_38_the_connections_own_stand_in_comes_after_the_routes(org: House) -> None:
    boss = user(org, "boss")
    user(org, "left", active=False)
    (ana,) = org.leads(1, OwnerId=queue(org))
    tasks(org, task={"fallback_owner": "boss@acme.test"}).create_task(task(ana, fallback_owner="left@acme.test"))
    assert the_task(org)["OwnerId"] == boss


@pytest.mark.parametrize("way", WAYS)
def test_case_38_an_owner_who_has_left_is_stood_in_for_with_an_alarm(
    org: House, caplog: pytest.LogCaptureFixture, way: Json
) -> None:
    boss = user(org, "boss")
    (ana,) = org.leads(1, OwnerId=user(org, "gone", active=False))
    tasks(org, **way).create_task(task(ana, fallback_owner="boss@acme.test"))
    assert the_task(org)["OwnerId"] == boss
    assert alarms(caplog) == [(f"crm/Lead/{ana}", "gone has left")]


@pytest.mark.parametrize("way", WAYS)
def test_case_38_an_owner_who_leaves_after_the_look_is_stood_in_for(
    org: House, caplog: pytest.LogCaptureFixture, way: Json
) -> None:
    boss, anna = user(org, "boss"), user(org, "anna")
    ana, ben = org.leads(2, OwnerId=anna)
    target = tasks(org, **way)
    target.create_task(task(ana, "k1", fallback_owner="boss@acme.test"))
    org.change(anna, IsActive=False)
    target.create_task(task(ben, "k2", fallback_owner="boss@acme.test"))
    assert [each["OwnerId"] for each in made(org)] == [anna, boss]
    ((record, reason),) = alarms(caplog)
    assert (record, "INACTIVE_OWNER_OR_USER" in reason) == (f"crm/Lead/{ben}", True)


@pytest.mark.parametrize("way", WAYS)
def test_who_shall_have_the_task_gets_it_before_whoever_owns_the_lead(
    org: House, caplog: pytest.LogCaptureFixture, way: Json
) -> None:
    anna, ben = user(org, "anna"), user(org, "ben")
    ana, eva = *org.leads(1, OwnerId=anna), *org.leads(1, OwnerId=queue(org))
    target = tasks(org, **way)
    for number, each in enumerate((ana, eva)):
        target.create_task(task(each, f"k{number}", owner="Ben@acme.test", fallback_owner="anna@acme.test"))
    assert [each["OwnerId"] for each in made(org)] == [ben, ben]
    assert alarms(caplog) == []


def test_who_shall_have_the_task_and_owns_the_lead_is_asked_once(org: House) -> None:
    anna = user(org, "anna")
    org.switch(validation_rules=[{"object": "Task", "when": f"OwnerId = '{anna}'", "field": "OwnerId"}])
    (ana,) = org.leads(1, OwnerId=anna)
    tasks(org).create_task(task(ana, owner="anna@acme.test", fallback_owner="anna@acme.test"))
    assert [each["values"].get("OwnerId") for each in org.writes()] == [anna, None]


def test_where_who_shall_have_the_task_has_left_whoever_owns_the_lead_gets_it_with_an_alarm(
    org: House, caplog: pytest.LogCaptureFixture
) -> None:
    anna = user(org, "anna")
    user(org, "left", active=False)
    (inbound,) = org.load("Group", [{"Name": "Inbound", "Type": "Queue", "Email": "inbound@acme.test"}])
    org.load("QueueSobject", [{"QueueId": inbound, "SobjectType": each} for each in ("Lead", "Task")])
    people = org.leads(3, OwnerId=anna)
    asked = ("left@acme.test", "nobody@acme.test", "inbound@acme.test")
    for person, email in zip(people, asked, strict=True):
        tasks(org).create_task(task(person, email, owner=email))
    assert [each["OwnerId"] for each in made(org)] == [anna] * 3
    assert alarms(caplog) == [(f"crm/Lead/{each}", "there is no active user of that address") for each in people]


def test_case_38_who_stands_in_is_a_person_not_a_process_or_customer_of_that_address(org: House) -> None:
    for kind in ("AutomatedProcess", "CSPLitePortal"):
        user(org, "boss", kind=kind)
    boss = user(org, "boss", active=False)
    view = org.asked()
    assert (found := view.user_by_email("boss@acme.test")) is not None
    assert (found.id, found.active) == (boss, False)


def test_case_38_where_nobody_stands_in_it_is_a_task_of_syncers_own_user(org: House) -> None:
    (ana,) = org.leads(1, OwnerId=queue(org))
    tasks(org).create_task(task(ana))
    assert the_task(org)["OwnerId"] == org.org.admin_id


@pytest.mark.parametrize("way", WAYS)
def test_case_38_a_contact_has_an_owner_who_gets_the_task(org: House, way: Json) -> None:
    anna = user(org, "anna")
    (ben,) = org.contacts(1, OwnerId=anna)
    tasks(org, **way).create_task(task(ben))
    assert (the_task(org)["WhoId"], the_task(org)["OwnerId"]) == (ben, anna)


@pytest.mark.parametrize("way", WAYS)
def test_a_task_for_who_was_merged_and_converted_hangs_on_what_they_became(org: House, way: Json) -> None:
    loser, winner = org.leads(2)
    (other,) = org.contacts(1)
    org.merged(winner, loser)
    contact = org.convert(winner)["contactId"]
    org.merged(other, contact)
    first = tasks(org, **way).create_task(task(loser))
    assert the_task(org)["WhoId"] == other
    assert tasks(org, **way).create_task(task(loser)) == first


@pytest.mark.parametrize("way", WAYS)
def test_a_task_that_moved_along_with_a_conversion_is_found(org: House, way: Json) -> None:
    (ana,) = org.leads(1)
    first = tasks(org, **way).create_task(task(ana))
    org.convert(ana)
    assert tasks(org, **way).create_task(task(ana)) == first


@pytest.mark.parametrize("how", ["deleted", "purged", "unknown"])
def test_who_is_gone_gets_no_task(org: House, how: str) -> None:
    (ana,) = org.leads(1)
    if how == "unknown":
        ana = "00Q5f0000000999EAA"
    else:
        org.remove(ana)
    if how == "purged":
        org.purge(ana)
    with pytest.raises(NotFound, match=f"the Lead {ana} is gone from Salesforce"):
        tasks(org).create_task(task(ana))
    assert made(org) == []


@pytest.mark.parametrize("way", WAYS)
def test_a_task_that_a_rule_of_the_org_refuses_is_not_asked_for_again(org: House, way: Json) -> None:
    rule = {"object": "Task", "when": "Priority = 'High'", "message": "Nothing is urgent."}
    org.switch(validation_rules=[rule])
    (ana,) = org.leads(1)
    with pytest.raises(ConfigError, match=r"Nothing is urgent\.") as caught:
        tasks(org, **way).create_task(task(ana))
    assert (caught.value.code, len(org.writes())) == ("SY165", 1)


@pytest.mark.parametrize("way", WAYS)
def test_a_locked_lead_gets_its_task_later(org: House, monkeypatch: pytest.MonkeyPatch, way: Json) -> None:
    let_waits_pass(monkeypatch, org)
    (ana,) = org.leads(1)
    org.control("lock", ids=[ana], seconds=60)
    with pytest.raises(TemporaryError, match="UNABLE_TO_LOCK_ROW"):
        tasks(org, **way).create_task(task(ana))
    org.let_pass(60)
    tasks(org, **way).create_task(task(ana))
    assert len(made(org)) == 1


def test_where_the_field_is_missing_the_mark_serves() -> None:
    with house(fields=False) as org:
        (ana,) = org.leads(1)
        first = tasks(org).create_task(task(ana))
        assert tasks(org).create_task(task(ana)) == first
        assert len(org.rows("SELECT Id FROM Task")) == 1


def test_a_task_from_before_the_field_is_found_by_its_mark(org: House) -> None:
    (ana,) = org.leads(1)
    first = tasks(org, **BY_MARK).create_task(task(ana))
    assert tasks(org).create_task(task(ana)) == first
    assert tasks(org).create_task(task(ana, "another")) != first
    assert len(made(org)) == 2


def test_of_a_person_with_very_many_tasks_the_newest_are_looked_at_in_one_call(org: House) -> None:
    (ana,) = org.leads(1)
    old = [{"WhoId": ana, "CreatedDate": f"20{20 + each % 5}-01-01T00:00:00.000+0000"} for each in range(2001)]
    org.load("Task", old)
    target = tasks(org, **BY_MARK)
    first = target.create_task(task(ana))
    org.forget()
    assert target.create_task(task(ana)) == first
    assert len([each for each in org.log() if "FROM+Task" in each["url"] or "/query/" in each["url"]]) == 1
    assert target.create_task(task(ana, "another")) != first
    assert [each["url"] for each in org.log() if "/queryAll/" in each["url"] or "/query/" in each["url"]] == []


@pytest.mark.parametrize("way", WAYS)
def test_where_the_text_of_tasks_is_hidden_the_task_is_made_once_that_is_mended(org: House, way: Json) -> None:
    (ana,) = org.leads(1)
    org.control("access", object="Task", field="Description", access="hidden")
    with pytest.raises(TemporaryError, match="Description"):
        tasks(org, **way).create_task(task(ana))
    org.control("access", object="Task", field="Description", access="edit")
    assert tasks(org, **way).create_task(task(ana)) == the_task(org)["Id"]


def test_a_key_too_long_for_its_field_is_one_task_all_the_same() -> None:
    with house(fields=False) as org:
        short = {"fullName": TASK_KEY, "label": "key", "type": "Text", "length": 40, "externalId": True, "unique": True}
        org.org.add_field("Task", short)
        (ana,) = org.leads(1)
        long = "a-rather-long-name-of-an-installation/crm/Lead/00Q5f0000000001EAA#"
        target = tasks(org)
        first, second = (target.create_task(task(ana, f"{long}{each}")) for each in (1, 2))
        assert first != second
        assert target.create_task(task(ana, f"{long}1")) == first


def test_a_task_longer_than_salesforce_takes_is_cut_and_keeps_its_mark(org: House) -> None:
    (ana,) = org.leads(1)
    tasks(org, **BY_MARK).create_task(task(ana, "k9", subject="Ä" * 400, body="€\n" * 40_000))
    shown = the_task(org)
    assert shown["Subject"].endswith("…")
    assert keys_in(shown["Description"]) == {"k9"}


_WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Z", "C")), min_size=1, max_size=40)


@given(_WORDS, st.lists(st.sampled_from(["syncer:", "syncer: ", "\n", "k", ":"]), max_size=6))
def test_any_key_is_found_in_a_text_of_ours(marker: str, around: list[str]) -> None:
    assert marker in keys_in(text_of(task("00Q5f0000000001EAA", marker, body="".join(around))))


# Of a hand-off, through the outbox.

QUALIFIED = datetime(2026, 11, 22, 8, 5, tzinfo=UTC)
TO_TASKS = HandoffSettings("sql", notifiers={"todo": CrmTask()}, notify=("todo",))


@dataclass
class Sales:
    """An outbox whose hand-offs become tasks in an org; each `send` is a process of its own."""

    org: House
    store: Store
    way: Json
    now: datetime = QUALIFIED + timedelta(hours=1)

    def qualified(self, person: str, episode: int) -> None:
        with self.store.writing() as tx:
            page = Page(Cursor("1"), (Record(key(person), QUALIFIED),))
            mirror.store_page(tx, "crm", "Lead", page, QUALIFIED)
            (lead,) = mirror.find(tx, person)
            news = replace(HANDOFF, key=f"here/{key(person)}#{episode}", record=key(person), lead=lead, episode=episode)
            score = Score(lead, QUALIFIED, "m@1", {}, 5000)
            decision = Decision(lead, 1, score, None, StageState("sql", "sql", QUALIFIED, episode), None, None)
            outbox.keep(tx, [LeadPlan(decision, handoff=news)], notices(news, TO_TASKS), QUALIFIED)

    def send(self) -> Mapping[str, int]:
        lease = leases.take(self.store, "crm", holder="this", ttl_s=60)
        assert lease is not None
        told = Delivery(
            store=self.store,
            connection="crm",
            settings=TO_TASKS,
            clock=lambda: self.now,
            stop=threading.Event(),
            lease=lease,
            language="en",
            timezone="UTC",
            target=tasks(self.org, **self.way),
        )
        try:
            counts = drain(told)
        finally:
            leases.release(self.store, lease)
        self.now += timedelta(minutes=10)
        return {name: count for name, count in counts.items() if count}


def test_case_35_one_hand_off_is_one_task_through_lost_answers_restarts_and_conversion(
    store: Store, org: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_waits_pass(monkeypatch, org)
    sales = Sales(org, store, BY_MARK)
    (ana,) = org.leads(1)
    sales.qualified(ana, 1)
    org.fault(path=INSERT, method="POST", times=1, drop="after")
    assert sales.send() == {"notices_postponed": 1}
    org.convert(ana)
    sales.qualified(ana, 1)  # planned once more, by a process that had not seen it committed
    assert sales.send() == {"notices_sent": 1}
    assert sales.send() == {}
    assert len(made(org)) == 1


def test_who_qualifies_again_is_a_task_again(store: Store, org: House) -> None:
    sales = Sales(org, store, {})
    (ana,) = org.leads(1)
    for episode in (1, 2):
        sales.qualified(ana, episode)
        assert sales.send() == {"notices_sent": 1}
    assert len(made(org)) == 2
