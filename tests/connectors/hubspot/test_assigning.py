"""Giving contacts to owners, and leaving those alone whom somebody else has given away meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from syncer import retry
from syncer.connector import Assigner
from syncer.errors import ConfigError, NotFound, TemporaryError
from syncer.model import Assignment
from tests.connectors.hubspot.portals import Json, Office, key, let_waits_pass, office, overheard, retold

ANNA, BEN, GONE = "41629779", "41629780", "41629781"  # owners of every emulated portal; the last has left
ANNAS, BENS, GONES = "anna.berg@example.com", "ben.okoro@example.com", "chris.gone@example.com"
BENS_USER = "9586505"
READ, WRITE, OWNERS = "crm.objects.contacts.read", "crm.objects.contacts.write", "crm.objects.owners.read"


def contact(portal: Office, owner: str | None = None) -> str:
    (made,) = portal.load("contacts", [{"hubspot_owner_id": owner, "city": "Kiel"}])
    return made


def wish(person: str, to: str = ANNAS, before: str | None = None, *, queue: bool = False) -> Assignment:
    return Assignment(key(person), to, queue, before)


def owner_of(portal: Office, person: str) -> str | None:
    return portal.shown(person).get("hubspot_owner_id")


def tries(portal: Office) -> dict[int, int]:
    """How often an owner was sent, by how HubSpot answered."""
    found: dict[int, int] = {}
    for each in portal.calls()["routes"]:
        if each["method"] == "PATCH":
            found[each["status"]] = found.get(each["status"], 0) + each["count"]
    return found


def meanwhile(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Something happens whenever the connector waits before it tries again; no time passes."""

    def wait(seconds: float, stop: threading.Event) -> None:
        if seconds > 0:
            act()

    monkeypatch.setattr(retry, "wait", wait)


@pytest.mark.parametrize(
    ("owner", "before"),
    [(None, None), (BEN, BENS), (BEN, "Ben.Okoro@Example.com"), (GONE, GONES), ("4242", "4242"), (BEN, BEN)],
)
def test_case_47_a_contact_goes_to_who_was_named_from_nobody_somebody_or_who_has_left(
    owner: str | None, before: str | None
) -> None:
    heard: list[Any] = []
    with office() as portal:
        ana = contact(portal, owner)
        with overheard(portal, f"/contacts/{ana}", heard) as second:
            hubspot = second.hubspot()
            assert isinstance(hubspot, Assigner)
            assert hubspot.assign(wish(ana, "Anna.Berg@example.com", before)) == "assigned"
        assert owner_of(portal, ana) == ANNA
        assert heard == [{"properties": {"hubspot_owner_id": ANNA}}]


def test_an_assignment_costs_few_calls_and_none_to_write_what_is_so() -> None:
    with office() as portal:
        hubspot = portal.hubspot()
        hubspot.assign(wish(contact(portal)))
        assert hubspot.calls == {"read": 2, "write": 1}  # the owners, the contact
        hubspot.assign(wish(contact(portal)))
        assert hubspot.calls == {"read": 3, "write": 2}
        assert hubspot.assign(wish(contact(portal, ANNA))) == "assigned"
        assert hubspot.calls == {"read": 4, "write": 2}


@pytest.mark.parametrize(
    ("now", "before"),
    [(BEN, None), (BEN, ANNAS), (BEN, GONES), (GONE, BENS), (None, BENS), ("4242", BENS), (BENS_USER, BENS)],
)
def test_case_43_whom_somebody_else_owns_meanwhile_stays_with_them(now: str | None, before: str | None) -> None:
    with office() as portal:
        ana = contact(portal, now)
        assert portal.hubspot().assign(wish(ana, "anna.berg@example.com" if now else BENS, before)) == "kept"
        assert (owner_of(portal, ana), tries(portal)) == (now, {})


def test_case_43_what_was_given_away_during_a_pause_is_not_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    with office() as portal:
        for drop in ("before", "after"):  # the first try never arrives; or it does, and nobody learns of it
            ana = contact(portal)
            portal.fault(path=f"contacts/{ana}$", method="PATCH", times=1, drop=drop)
            meanwhile(monkeypatch, partial(portal.give, ana, BENS))
            assert portal.hubspot().assign(wish(ana)) == "kept"
            assert owner_of(portal, ana) == BEN


@pytest.mark.parametrize(
    "trouble",
    [
        {"drop": "before"},
        {"drop": "after"},
        {"drop": "midway"},
        {"body": "truncated"},
        {"status": 200, "body": "no_results"},
        {"status": 503},
        {"status": 502, "body": "html"},
        {"status": 504, "body": "html", "apply": True},
        {"status": 503, "headers": {"Retry-After": "7"}},
        {"status": 423},
        {"policy": "SECONDLY"},
        {"policy": "TEN_SECONDLY_ROLLING", "headers": {"Retry-After": "3"}},
    ],
    ids=lambda trouble: "-".join(str(each) for each in trouble.values()),
)
def test_case_46_trouble_that_passes_ends_with_one_owner_set_once(
    trouble: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with office() as portal:
        let_waits_pass(monkeypatch, portal)
        ana = contact(portal, BEN)
        portal.fault(path="contacts/", method="PATCH", times=1, **trouble)
        assert portal.hubspot().assign(wish(ana, before=BENS)) == "assigned"
        past = portal.portal.shelves["contacts"].live[int(ana)].versions("hubspot_owner_id")
        assert [each.value for each in past] == [ANNA, BEN]


def test_trouble_that_lasts_is_left_to_the_next_round(monkeypatch: pytest.MonkeyPatch) -> None:
    with office() as portal:
        waits = let_waits_pass(monkeypatch, portal)
        ana = contact(portal)
        portal.fault(path="contacts/", method="PATCH", status=503)
        with pytest.raises(TemporaryError):
            portal.hubspot().assign(wish(ana))
        assert sum(waits) < 150
        assert (owner_of(portal, ana), max(tries(portal).values()) <= 6) == (None, True)


def test_a_day_that_is_used_up_is_waited_for_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    with office() as portal:
        let_waits_pass(monkeypatch, portal)
        ana = contact(portal)
        portal.fault(path="contacts/", method="PATCH", policy="DAILY", headers={"Retry-After": "5000"})
        with pytest.raises(TemporaryError) as caught:
            portal.hubspot().assign(wish(ana))
        assert (caught.value.retry_after_s, sum(tries(portal).values())) == (5000, 1)


@pytest.mark.parametrize("to", ["nobody@example.com", GONES, ANNA, BENS_USER])
def test_case_47_who_is_unknown_or_has_left_is_told_and_not_tried(to: str) -> None:
    with office() as portal:
        ana = contact(portal, BEN)
        with pytest.raises(ConfigError, match="an owner there now") as caught:
            portal.hubspot().assign(wish(ana, to, BENS))
        assert (caught.value.code, to in caught.value.message) == ("SY187", True)
        assert (owner_of(portal, ana), tries(portal)) == (BEN, {})


def _owner(identity: str, email: str, **more: Any) -> Json:
    return {"id": identity, "email": email, "first_name": "", "last_name": "", "user_id": 77, **more}


def test_case_47_who_came_a_moment_ago_is_known_and_who_left_then_is_told() -> None:
    with office() as portal:
        hubspot = portal.hubspot()
        hubspot.assign(wish(contact(portal)))
        portal.control("load", owners=[_owner("555", "dana@example.com")])
        ana, ben = contact(portal), contact(portal)
        assert hubspot.assign(wish(ana, "dana@example.com")) == "assigned"
        portal.control("load", owners=[_owner("555", "dana@example.com", archived=True)])
        with pytest.raises(ConfigError, match=r"does not take dana@example\.com") as caught:
            hubspot.assign(wish(ben, "dana@example.com"))
        assert caught.value.code == "SY187"
        assert (owner_of(portal, ana), owner_of(portal, ben), tries(portal)[400]) == ("555", None, 1)


def test_case_47_from_an_account_that_has_left_a_contact_goes_to_the_same_persons_new_one() -> None:
    with office() as portal:
        portal.control("load", owners=[_owner("555", GONES)])
        ana = contact(portal, GONE)
        assert portal.hubspot().assign(wish(ana, GONES, GONES)) == "assigned"
        assert owner_of(portal, ana) == "555"


def test_a_queue_is_refused_without_asking_hubspot() -> None:
    with office() as portal:
        hubspot = portal.hubspot()
        with pytest.raises(ConfigError, match="has no queues, so no contact can go to 'LatAm'") as caught:
            hubspot.assign(wish("1", "LatAm", queue=True))
        assert (caught.value.code, hubspot.calls) == ("SY189", {"read": 0, "write": 0})


def test_who_is_gone_is_said_to_be_even_where_they_went_after_the_look() -> None:
    with office() as portal:
        ana, ben = contact(portal), contact(portal)
        portal.remove(ana)
        portal.fault(path=f"contacts/{ben}$", method="PATCH", status=404)
        for each in (ana, ben):
            with pytest.raises(NotFound, match=f"the contact {each} is gone"):
                portal.hubspot().assign(wish(each))


def test_a_contact_that_was_merged_is_assigned_as_what_absorbed_it() -> None:
    with office() as portal:
        ana, ben = contact(portal, BEN), contact(portal, BEN)
        kept = portal.merge(ana, ben)
        assert portal.hubspot().assign(wish(ben, before=BENS)) == "assigned"
        assert owner_of(portal, str(kept)) == ANNA


@pytest.mark.parametrize(("lacks", "has"), [(WRITE, [READ, OWNERS]), (OWNERS, [READ, WRITE]), (READ, [WRITE, OWNERS])])
def test_a_missing_scope_is_named_and_the_assignment_waits_for_it(lacks: str, has: list[str]) -> None:
    with office() as portal:
        ana = contact(portal)
        portal.control("tokens", add="narrow-token", scopes=has)
        hubspot = portal.hubspot(token="narrow-token")
        with pytest.raises(TemporaryError, match=lacks.replace(".", r"\.")):
            hubspot.assign(wish(ana))
        assert owner_of(portal, ana) is None
        portal.control("tokens", add="narrow-token", scopes=[*has, lacks])
        assert hubspot.assign(wish(ana)) == "assigned"


def test_a_refused_token_is_waited_for_and_not_shown() -> None:
    with office() as portal:
        ana = contact(portal)
        with pytest.raises(TemporaryError, match="does not accept the access token") as caught:
            portal.hubspot(token=portal.bad_token).assign(wish(ana))
        assert portal.bad_token not in repr(caught.value)


@pytest.mark.parametrize("told", [True, False])
def test_an_owner_that_hubspot_silently_does_not_take_is_found_out(told: bool) -> None:
    with office() as portal:
        ana = contact(portal, BEN)

        def undone(answer: Json) -> Json:  # by a workflow; the answer shows it, or nothing of the owner
            portal.change(ana, hubspot_owner_id=BEN)
            shown = {name: value for name, value in answer["properties"].items() if name != "hubspot_owner_id"}
            return {**answer, "properties": {**shown, **({"hubspot_owner_id": BEN} if told else {})}}

        with (
            retold(portal, f"/contacts/{ana}", undone) as second,
            pytest.raises(ConfigError, match=f"did not make {ANNAS} the owner of the contact {ana}") as caught,
        ):
            second.hubspot().assign(wish(ana, before=BENS))
        assert (caught.value.code, sum(tries(portal).values())) == ("SY188", 1)


@pytest.mark.parametrize("properties", [{}, None, "strange"])
def test_an_answer_that_does_not_show_the_owner_makes_it_look_again(properties: object) -> None:
    with office() as portal:
        ana = contact(portal)
        with retold(portal, f"/contacts/{ana}", lambda answer: {**answer, "properties": properties}) as second:
            assert second.hubspot().assign(wish(ana)) == "assigned"
        assert owner_of(portal, ana) == ANNA


def test_what_a_portals_rules_forbid_is_told_in_hubspots_words_and_not_sent_again() -> None:
    with office() as portal:
        rule = {"name": "hubspot_owner_id", "value": ANNA, "needs": ["phone"]}
        portal.control("manners", requirements=[rule])
        ana = contact(portal)
        with pytest.raises(ConfigError, match="phone") as caught:
            portal.hubspot(api_version="2026-09").assign(wish(ana))
        assert (caught.value.code, owner_of(portal, ana), tries(portal)) == ("SY033", None, {400: 1})
