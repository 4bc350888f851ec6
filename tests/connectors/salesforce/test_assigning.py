"""Owners of leads and contacts: given to a user or a queue, unless somebody was faster."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from connectors.emulators.salesforce import Limits, create_app
from connectors.emulators.salesforce.http.faults import CODES
from connectors.emulators.salesforce.http.server import serve_app
from connectors.salesforce.assigning import Assigning
from connectors.salesforce.client import Request
from syncer.connector import Assigner, Wanted
from syncer.errors import ConfigError, NotFound, Stopped, TemporaryError
from syncer.model import Assignment
from tests.connectors.salesforce.orgs import STAGES, House, Json, house, key, let_waits_pass

OWNER = r"/sobjects/(Lead|Contact|Account)/\w+$"
ADMIN = "admin@acme.test"  # who owns what nobody else was given


@pytest.fixture
def org(org: House) -> House:
    org.org.state.change(org.org.admin_id, {"Email": ADMIN})
    return org


def assigning(org: House, **settings: Any) -> Assigning:
    return Assigning(org.asked(**settings))


def to(person: str, whom: str = "anna@acme.test", before: str | None = ADMIN) -> Assignment:
    return Assignment(key(person), whom, before=before)


def to_queue(person: str, name: str, before: str | None = ADMIN) -> Assignment:
    return Assignment(key(person), name, queue=True, before=before)


def user(org: House, name: str, *, active: bool = True) -> str:
    address = f"{name}@acme.test"
    shown = {"LastName": name, "Username": f"{name}.{org.org.clock.now_s()}", "Email": address, "Alias": name[:8]}
    (made,) = org.load("User", [{**shown, "IsActive": active, "UserType": "Standard"}])
    return made


def queue(org: House, name: str, *objects: str, developer_name: str | None = None, kind: str = "Queue") -> str:
    (made,) = org.load("Group", [{"Name": name, "DeveloperName": developer_name, "Type": kind}])
    for each in objects:
        org.load("QueueSobject", [{"QueueId": made, "SobjectType": each}])
    return made


def owner(org: House, person: str) -> str:
    return str(org.shown(person)["OwnerId"])


@contextmanager
def meanwhile(org: House, does: Callable[[], object], *, times: int = 1) -> Iterator[House]:
    """The same org at a second address, where somebody does something as each of the first requests that set an owner
    comes in, a moment later."""
    told = create_app(org.instance)
    left = iter(range(times))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("method") == "PATCH" and next(left, None) is not None:
            org.let_pass(3)
            does()
        await told(scope, receive, send)

    with serve_app(app) as url:
        yield House(url, org.instance)


def test_it_is_an_assigner(org: House) -> None:
    anna = user(org, "anna")
    (ben,) = org.contacts(1)
    salesforce = org.salesforce(Wanted(stages=STAGES))
    assert isinstance(salesforce, Assigner)
    assert salesforce.assign(to(ben)) == "assigned"
    assert owner(org, ben) == anna


def test_a_lead_goes_to_who_shall_have_it_in_one_write_of_its_owner_alone(org: House) -> None:
    anna = user(org, "anna")
    (ana,) = org.leads(1, Country="ES")
    assert assigning(org).assign(to(ana, "Anna@ACME.test")) == "assigned"
    assert owner(org, ana) == anna
    (write,) = org.writes()
    assert (write["verb"], write["object"], write["id"]) == ("update", "Lead", ana)
    assert (write["values"], write["auto_assign"]) == ({"OwnerId": anna}, False)


def test_the_orgs_own_assignment_rules_do_not_give_it_to_another(org: House) -> None:
    anna, ben = user(org, "anna"), user(org, "ben")
    org.switch(assignment_owner=ben)
    ana, eva = org.leads(2)
    assigning(org).assign(to(ana))
    assert owner(org, ana) == anna
    org.api("PATCH", f"/sobjects/Lead/{eva}", {"OwnerId": anna})
    assert owner(org, eva) == ben, "without the header the rule decides"


def test_an_assignment_costs_four_calls_and_the_next_ones_fewer(org: House) -> None:
    user(org, "anna")
    view = org.asked()
    view.organization()
    ana, eva = org.leads(2)
    spent: list[int] = []
    for each in (ana, eva):
        before = sum(view.client.calls.values())
        assert Assigning(view).assign(to(each)) == "assigned"
        spent.append(sum(view.client.calls.values()) - before)
    assert spent == [4, 2]


def test_asking_twice_is_asking_once(org: House) -> None:
    user(org, "anna")
    (ana,) = org.leads(1)
    assert assigning(org).assign(to(ana)) == "assigned"
    stamp = org.shown(ana)["SystemModstamp"]
    org.let_pass(60)
    assert assigning(org).assign(to(ana)) == "assigned"
    assert len(org.writes()) == 1
    assert org.shown(ana)["SystemModstamp"] == stamp


def test_of_two_users_of_one_address_whoever_has_the_lead_keeps_it(org: House) -> None:
    user(org, "anna")
    other = user(org, "anna")
    (ana,) = org.leads(1, OwnerId=other)
    assert assigning(org).assign(to(ana)) == "assigned"
    assert (owner(org, ana), org.writes()) == (other, [])


def test_whom_somebody_has_put_there_since_stays(org: House) -> None:
    user(org, "anna")
    carl, inbound = user(org, "carl"), queue(org, "Inbound", "Lead")
    ana, eva, ben = *org.leads(2), *org.contacts(1)
    for person, whom in ((ana, carl), (eva, inbound), (ben, carl)):
        org.change(person, OwnerId=whom)
        assert assigning(org).assign(to(person)) == "kept"
        assert owner(org, person) == whom
    assert org.writes() == []


def test_who_is_known_by_no_address_is_compared_by_id(org: House) -> None:
    anna, inbound = user(org, "anna"), queue(org, "Inbound", "Lead")
    (ana,) = org.leads(1, OwnerId=inbound)
    assert assigning(org).assign(to(ana, before="00G5f0000000999EAA")) == "kept"
    assert assigning(org).assign(to(ana, before=inbound)) == "assigned"
    assert owner(org, ana) == anna


def test_who_puts_somebody_there_between_the_look_and_the_write_wins(
    org: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_waits_pass(monkeypatch, org)
    user(org, "anna")
    carl = user(org, "carl")
    (ana,) = org.leads(1)
    with meanwhile(org, lambda: org.change(ana, OwnerId=carl)) as there:
        assert assigning(there).assign(to(ana)) == "kept"
    assert owner(org, ana) == carl


def test_who_changes_something_else_in_between_does_not_keep_the_lead_from_its_owner(
    org: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = let_waits_pass(monkeypatch, org)
    anna = user(org, "anna")
    (ana,) = org.leads(1)
    with meanwhile(org, lambda: org.change(ana, City="Sevilla")) as there:
        assert assigning(there).assign(to(ana)) == "assigned"
    assert (owner(org, ana), org.shown(ana)["City"], waits) == (anna, "Sevilla", [1.0])


def test_a_lead_that_never_rests_is_given_away_later(org: House, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = let_waits_pass(monkeypatch, org)
    user(org, "anna")
    (ana,) = org.leads(1)
    cities = iter("ABCDEF")
    with (
        meanwhile(org, lambda: org.change(ana, City=next(cities)), times=9) as there,
        pytest.raises(TemporaryError, match="changes all the time") as caught,
    ):
        assigning(there).assign(to(ana))
    assert (caught.value.code, len(waits), owner(org, ana)) == ("SY166", 3, org.org.admin_id)


def test_a_lead_written_to_a_moment_ago_is_given_away_at_once(org: House, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = let_waits_pass(monkeypatch, org)
    anna = user(org, "anna")
    (ana,) = org.leads(1)
    org.change(ana, City="Sevilla")
    assert assigning(org).assign(to(ana)) == "assigned"
    assert (owner(org, ana), waits) == (anna, [])


def test_a_lead_written_to_after_the_last_answer_is_given_away_at_once(
    org: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Salesforce's clock is told without fractions, so it seems to be late."""
    waits = let_waits_pass(monkeypatch, org)
    clock = org.org.clock
    anna = user(org, "anna")
    (ana,) = org.leads(1)
    clock.advance(1.9 - clock.now_s() % 1)
    view = org.asked()
    view.organization()
    clock.advance(0.2)
    org.change(ana, City="Sevilla")
    assert Assigning(view).assign(to(ana)) == "assigned"
    assert (owner(org, ana), waits) == (anna, [])


def test_fractions_of_a_second_do_not_keep_a_lead_from_its_owner(org: House) -> None:
    anna = user(org, "anna")
    (ana,) = org.leads(1)
    org.org.state.change(ana, {"LastModifiedDate": "2026-01-01T00:00:00.900+0000"})
    assert assigning(org).assign(to(ana)) == "assigned"
    assert owner(org, ana) == anna


@pytest.mark.parametrize("body", ["json", "empty", "html"])
def test_whatever_salesforce_says_with_412_the_record_is_looked_at_again(
    org: House, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    let_waits_pass(monkeypatch, org)
    anna = user(org, "anna")
    (ana,) = org.leads(1)
    org.fault(path=OWNER, method="PATCH", times=1, status=412, body=body)
    assert assigning(org).assign(to(ana)) == "assigned"
    assert owner(org, ana) == anna


@pytest.mark.parametrize(
    "trouble",
    [
        {"drop": "after"},
        {"drop": "before"},
        {"status": 504, "body": "html", "apply": True},
        {"status": 503, "body": "html"},
        {"code": "UNABLE_TO_LOCK_ROW"},
        {"code": "CONCURRENT_REQUESTS"},
    ],
    ids=lambda trouble: "-".join(map(str, trouble.values())),
)
def test_a_lost_or_passing_answer_does_not_stop_it(org: House, monkeypatch: pytest.MonkeyPatch, trouble: Json) -> None:
    let_waits_pass(monkeypatch, org)
    anna = user(org, "anna")
    (ana,) = org.leads(1)
    org.fault(path=OWNER, method="PATCH", times=1, **trouble)
    assert assigning(org).assign(to(ana)) == "assigned"
    assert owner(org, ana) == anna


def test_a_repeated_request_does_not_take_the_lead_back_from_whom_somebody_gave_it_to(
    org: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_waits_pass(monkeypatch, org)
    user(org, "anna")
    carl = user(org, "carl")
    (ana,) = org.leads(1)
    org.fault(path=OWNER, method="PATCH", times=1, drop="after")
    requests = iter((lambda: None, lambda: org.change(ana, OwnerId=carl)))
    with meanwhile(org, lambda: next(requests)(), times=2) as there:
        assert assigning(there).assign(to(ana)) == "kept"
    assert (owner(org, ana), len(org.writes())) == (carl, 1)


def test_a_locked_lead_gets_its_owner_later(org: House, monkeypatch: pytest.MonkeyPatch) -> None:
    let_waits_pass(monkeypatch, org)
    anna = user(org, "anna")
    (ana,) = org.leads(1)
    org.control("lock", ids=[ana], seconds=600)
    with pytest.raises(TemporaryError, match="UNABLE_TO_LOCK_ROW"):
        assigning(org).assign(to(ana))
    org.let_pass(600)
    assert assigning(org).assign(to(ana)) == "assigned"
    assert owner(org, ana) == anna


def test_who_was_merged_and_converted_is_given_away_as_what_they_became(org: House) -> None:
    anna = user(org, "anna")
    loser, winner = org.leads(2)
    (other,) = org.contacts(1)
    org.merged(winner, loser)
    contact = org.convert(winner)["contactId"]
    org.merged(other, contact)
    assert assigning(org).assign(to(loser)) == "assigned"
    assert owner(org, other) == anna


def test_who_is_converted_as_the_owner_is_set_is_given_away_later(org: House, monkeypatch: pytest.MonkeyPatch) -> None:
    let_waits_pass(monkeypatch, org)
    anna = user(org, "anna")
    (ana,) = org.leads(1)
    converted: list[str] = []
    with meanwhile(org, lambda: converted.append(org.convert(ana)["contactId"])) as there:
        assert assigning(there).assign(to(ana)) == "assigned"
    assert owner(org, converted[0]) == anna


@pytest.mark.parametrize("code", ["CANNOT_UPDATE_CONVERTED_LEAD", "ENTITY_IS_DELETED", "ENTITY_IS_LOCKED"])
def test_what_says_that_a_record_has_moved_or_is_shut_is_patience(
    org: House, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    monkeypatch.setitem(CODES, code, (400, code, "It cannot be written to."))
    user(org, "anna")
    (ana,) = org.leads(1)
    org.fault(path=OWNER, method="PATCH", code=code)
    with pytest.raises(TemporaryError, match=code) as caught:
        assigning(org).assign(to(ana))
    assert caught.value.code == "SY166"


@pytest.mark.parametrize("how", ["deleted", "purged", "unknown"])
def test_who_is_gone_belongs_to_nobody(org: House, how: str) -> None:
    user(org, "anna")
    (ana,) = org.leads(1)
    if how == "unknown":
        ana = "00Q5f0000000999EAA"
    else:
        org.remove(ana)
    if how == "purged":
        org.purge(ana)
    with pytest.raises(NotFound, match=f"the Lead {ana} is gone from Salesforce"):
        assigning(org).assign(to(ana))
    assert org.writes() == []


@pytest.mark.parametrize(
    ("whom", "told"), [("nobody@acme.test", "is no user of Salesforce"), ("gone@acme.test", "has left Salesforce")]
)
def test_who_is_no_active_user_can_own_nothing(org: House, whom: str, told: str) -> None:
    user(org, "gone", active=False)
    (ana,) = org.leads(1)
    with pytest.raises(ConfigError, match=f"{whom} {told}") as caught:
        assigning(org).assign(to(ana, whom))
    assert (caught.value.code, org.writes()) == ("SY167", [])


def test_who_leaves_after_the_look_can_own_nothing_either(org: House) -> None:
    anna = user(org, "anna")
    ana, eva = org.leads(2)
    target = assigning(org)
    assert target.assign(to(ana)) == "assigned"
    org.change(anna, IsActive=False)
    with pytest.raises(ConfigError, match=r"INACTIVE_OWNER_OR_USER.*let the route name") as caught:
        target.assign(to(eva))
    assert (caught.value.code, owner(org, eva)) == ("SY168", org.org.admin_id)


def test_a_new_owner_who_may_not_read_leads_is_told_with_the_way_out(org: House) -> None:
    user(org, "anna")
    (ana,) = org.leads(1)
    org.fault(path=OWNER, method="PATCH", code="TRANSFER_REQUIRES_READ")
    with pytest.raises(ConfigError, match="let the new owner read such records") as caught:
        assigning(org).assign(to(ana))
    assert caught.value.code == "SY168"


def test_a_rule_of_the_org_is_told_and_not_asked_twice(org: House) -> None:
    user(org, "anna")
    org.switch(validation_rules=[{"object": "Lead", "when": "City = null", "message": "First the city."}])
    (ana,) = org.leads(1)
    with pytest.raises(ConfigError, match=r"First the city\.") as caught:
        assigning(org).assign(to(ana))
    assert (caught.value.code, len(org.writes())) == ("SY168", 1)


def test_rights_that_are_missing_are_waited_for(org: House) -> None:
    anna = user(org, "anna")
    (ana,) = org.leads(1)
    refused = {
        "INSUFFICIENT_ACCESS_OR_READONLY": "Transfer Leads",
        "INSUFFICIENT_ACCESS": "not allow it",
        "INVALID_SESSION_ID": "does not accept the session",
    }
    for code, told in refused.items():
        org.fault(path=OWNER, method="PATCH", code=code)
        with pytest.raises(TemporaryError, match=told):
            assigning(org).assign(to(ana))
        org.no_faults()
    org.control("access", object="Lead", field="OwnerId", access="read")
    with pytest.raises(TemporaryError, match="INVALID_FIELD_FOR_INSERT_UPDATE"):
        assigning(org).assign(to(ana))
    org.control("access", object="Lead", field="OwnerId", access="edit")
    assert assigning(org).assign(to(ana)) == "assigned"
    assert owner(org, ana) == anna


def test_what_cannot_be_looked_at_is_waited_for(org: House) -> None:
    queue(org, "Inbound", "Lead")
    (ana,) = org.leads(1)
    org.fault(path="FROM.QueueSobject", code="INSUFFICIENT_ACCESS")
    with pytest.raises(TemporaryError, match="reading what queues may hold"):
        assigning(org).assign(to_queue(ana, "Inbound"))
    org.no_faults()
    assert assigning(org).assign(to_queue(ana, "Inbound")) == "assigned"


def test_when_asked_to_stop_it_does(org: House) -> None:
    user(org, "anna")
    (ana,) = org.leads(1)
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        Assigning(org.asked(Wanted(stages=STAGES, stop=stop))).assign(to(ana))
    assert org.writes() == []


def test_where_our_share_of_the_requests_is_used_up_owners_are_set_all_the_same() -> None:
    with house(limits=Limits(daily=1000)) as org:
        org.org.state.change(org.org.admin_id, {"Email": ADMIN})
        anna = user(org, "anna")
        (ana,) = org.leads(1)
        view = org.asked(use_at_most="80%")
        org.control("limits", used=900)
        view.organization()
        with pytest.raises(TemporaryError, match="`use_at_most` is 80%"):
            view.client.ask(Request("writing", "PATCH", f"/sobjects/Lead/{ana}", {"City": "Sevilla"}, kind="write"))
        assert Assigning(view).assign(to(ana)) == "assigned"
        assert owner(org, ana) == anna


# Queues.


@pytest.mark.parametrize("name", ["LatAm leads", "latam LEADS", "LatAm_Leads"])
def test_a_lead_goes_to_a_queue_by_its_name_or_its_api_name(org: House, name: str) -> None:
    latam = queue(org, "LatAm leads", "Lead", "Case", developer_name="LatAm_Leads")
    (ana,) = org.leads(1)
    assert assigning(org).assign(to_queue(ana, name)) == "assigned"
    assert owner(org, ana) == latam
    assert assigning(org).assign(to_queue(ana, name)) == "assigned"
    assert len(org.writes()) == 1


def test_a_queue_that_does_not_take_leads_is_told_with_the_way_out(org: House) -> None:
    queue(org, "Support", "Case")
    (ana,) = org.leads(1)
    with pytest.raises(ConfigError, match="'Support' of Salesforce does not take Lead; add Lead") as caught:
        assigning(org).assign(to_queue(ana, "Support"))
    assert (caught.value.code, org.writes()) == ("SY167", [])


def test_a_queue_that_stops_taking_leads_after_the_look_is_told(org: House) -> None:
    support = queue(org, "Support", "Lead")
    ana, eva = org.leads(2)
    target = assigning(org)
    assert target.assign(to_queue(ana, "Support")) == "assigned"
    taken = next(iter(org.org.state.tables["QueueSobject"].holding("QueueId", support)))
    org.org.state.erase(taken)
    with pytest.raises(ConfigError, match="Queue not associated with this SObject type") as caught:
        target.assign(to_queue(eva, "Support"))
    assert caught.value.code == "SY168"


def test_of_two_queues_of_one_name_that_take_leads_none_is_guessed(org: House) -> None:
    for each in ("Inbound_A", "Inbound_B"):
        queue(org, "Inbound", "Lead", developer_name=each)
    queue(org, "Inbound", "Case", developer_name="Inbound_C")
    (ana,) = org.leads(1)
    with pytest.raises(ConfigError, match=r"write the API name of one: Inbound_A, Inbound_B$"):
        assigning(org).assign(to_queue(ana, "Inbound"))
    assert assigning(org).assign(to_queue(ana, "Inbound_B")) == "assigned"


def test_a_user_is_no_queue_of_the_same_name(org: House) -> None:
    inbound = queue(org, "inbound", "Lead")
    (ana,) = org.leads(1, OwnerId=user(org, "inbound"))
    assert assigning(org).assign(to_queue(ana, "inbound", before="inbound@acme.test")) == "assigned"
    assert owner(org, ana) == inbound


def test_a_queue_that_is_not_there_is_told(org: House) -> None:
    queue(org, "Imbound", kind="Regular")  # a public group, which owns nothing
    (ana,) = org.leads(1)
    with pytest.raises(ConfigError, match="Salesforce has no queue 'Imbound'"):
        assigning(org).assign(to_queue(ana, "Imbound"))


def test_a_contact_cannot_be_given_to_a_queue(org: House) -> None:
    queue(org, "Inbound", "Lead")
    (ben,) = org.contacts(1)
    with pytest.raises(ConfigError, match="a contact cannot belong to a queue of Salesforce") as caught:
        assigning(org).assign(to_queue(ben, "Inbound"))
    assert (caught.value.code, org.writes()) == ("SY167", [])


def test_a_lead_leaves_its_queue_for_a_user_who_is_told_as_its_owner(org: House) -> None:
    anna, inbound = user(org, "anna"), queue(org, "Inbound", "Lead")
    org.org.state.change(inbound, {"Email": "inbound@acme.test"})
    (ana,) = org.leads(1, OwnerId=inbound)
    salesforce = org.salesforce(Wanted(stages=STAGES))
    (before,) = salesforce.read_back([key(ana)])
    assert salesforce.assign(to(ana, before=before.owner)) == "assigned"
    (after,) = salesforce.read_back([key(ana)])
    assert (before.owner, after.owner, owner(org, ana)) == ("inbound@acme.test", "anna@acme.test", anna)


# Person accounts.


def test_of_a_person_account_the_accounts_owner_is_set() -> None:
    with house(features={"person_accounts": True}) as org:
        org.org.state.change(org.org.admin_id, {"Email": ADMIN})
        anna = user(org, "anna")
        account = org.create("Account", LastName="Sol", FirstName="Ana", PersonEmail="ana@acme.test")
        contact = str(org.shown(account)["PersonContactId"])
        (ben,) = org.contacts(1)
        assert [assigning(org).assign(to(each)) for each in (contact, ben)] == ["assigned", "assigned"]
        assert (owner(org, account), owner(org, contact), owner(org, ben)) == (anna, anna, anna)
        assert [(each["object"], each["id"]) for each in org.writes()] == [("Account", account), ("Contact", ben)]
