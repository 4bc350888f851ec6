"""The record in the CRM goes to who shall act: when it is asked for, of whom, and what becomes of the answers."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from syncer.errors import ConfigError, NotFound, SyncerError, TemporaryError
from syncer.handoff import notices
from syncer.handoff.delivery import LONGEST_WISH_S, DeliveryError
from syncer.handoff.owner import OwnerChannel
from syncer.handoff.routing import OWNER_CHANNEL
from syncer.model import Assignment, Notice
from syncer.settings import Clock, HandoffSettings, Person, Route, Team
from syncer.store import handed_over, outbox
from syncer.store.handed_over import Wanted
from tests.handoff.house import House
from tests.handoff.samples import AT, HANDOFF, Desk, handoff, notice

ANA, LUIS = Person("ana", "ana@acme.es"), Person("luis", "luis@acme.es")
TEAMS = {
    "latam": Team("latam", (ANA, LUIS)),
    "queued": Team("queued", (ANA, LUIS), queue="LatAm"),
    "all": Team("all", (ANA, LUIS), "all", "Everybody's"),
}


def _assigned(*to: str, assign: bool = True, **changes: Any) -> tuple[str, ...]:
    """Whom the record of a hand-off on such a route goes to."""
    routes = (Route(None, to, "sales@acme.es", assign=assign),)
    settings = HandoffSettings("sql", routes=routes, people={"ana": ANA, "luis": LUIS}, teams=TEAMS)
    made = notices(handoff(**changes), settings)
    assert {(each.channel, each.state, each.kind) for each in made} <= {(OWNER_CHANNEL, "waiting", "assignment")}
    return tuple(each.recipient for each in made)


def test_the_record_goes_to_whom_it_was_given_to_where_the_route_says_so() -> None:
    assert _assigned("latam", assigned_to="ana@acme.es") == ("ana@acme.es",)
    assert _assigned("latam", assigned_to="ana@acme.es", assign=False) == ()
    assert _assigned("owner", owner=None, assigned_to="sales@acme.es") == ("sales@acme.es",)


def test_a_record_that_is_theirs_already_stays_as_it_is() -> None:
    assert _assigned("latam", assigned_to="LUIS@acme.es") == ()
    assert _assigned("queued", assigned_to="ana@acme.es", owner="latam") == ()


def test_the_record_of_a_team_with_a_queue_goes_there_whoever_was_picked() -> None:
    assert _assigned("queued", assigned_to="ana@acme.es") == ("queue:LatAm",)
    assert _assigned("all", assigned_to=None) == ("queue:Everybody's",)


def test_where_nobody_in_particular_shall_act_the_record_stays_with_whoever_has_it() -> None:
    assert _assigned("latam", assigned_to=None) == ()


def test_the_key_is_the_same_in_every_replay_and_another_one_for_somebody_else() -> None:
    settings = HandoffSettings("sql", routes=(Route(None, ("latam",), assign=True),), teams=TEAMS)
    keys = [
        [each.key for each in notices(handoff(assigned_to=to), settings)]
        for to in ("ana@acme.es", "Ana@acme.es", "eva@acme.es")
    ]
    assert keys[0] == keys[1] != keys[2]


def _to(recipient: str, key: str = "k1") -> Notice:
    return replace(notice(key, OWNER_CHANNEL, recipient), kind="assignment")


def test_the_connector_is_asked_for_whom_where_and_who_had_it_before() -> None:
    desk = Desk()
    OwnerChannel(desk).send(_to("ana@acme.es"), repeat=False)
    desk.owners.clear()
    OwnerChannel(desk).send(_to("queue:LatAm"), repeat=True)
    assert desk.assignments == [
        Assignment(HANDOFF.record, "ana@acme.es", before="luis@acme.es"),
        Assignment(HANDOFF.record, "LatAm", queue=True, before="luis@acme.es"),
    ]


def _failure(error: SyncerError) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        OwnerChannel(Desk(script=[error])).send(_to("ana@acme.es"), repeat=False)
    return caught.value


def test_what_time_settles_is_tried_again_when_the_crm_wishes() -> None:
    told = _failure(TemporaryError("crm: busy", retry_after_s=120))
    assert (told.outcome, told.retry_after_s, told.message) == ("temporary", 120, "crm: busy")
    assert _failure(TemporaryError("crm: tomorrow", retry_after_s=10**6)).retry_after_s == LONGEST_WISH_S


@pytest.mark.parametrize("error", [ConfigError("crm: no such user"), NotFound("crm: the contact is gone")], ids=str)
def test_what_the_crm_refuses_for_good_is_not_tried_again(error: SyncerError) -> None:
    assert (_failure(error).outcome, _failure(error).message) == ("permanent", error.message)


def test_a_connector_that_gives_nothing_away_is_told_with_a_way_out() -> None:
    with pytest.raises(DeliveryError, match="crm: its connector cannot give records to anybody; take `assign` out"):
        OwnerChannel(None).send(_to("ana@acme.es"), repeat=False)


@pytest.fixture
def team(house: House) -> House:
    """A house whose hand-offs go to Ana by e-mail, and whose records become hers."""
    routes = (Route(None, ("ana",), assign=True),)
    house.changes |= {"routes": routes, "people": {"ana": ANA}, "clock": Clock(respond_within=timedelta(hours=1))}
    return house


def test_the_record_changes_hands_once_and_the_clock_begins_when_somebody_is_told(team: House) -> None:
    team.tell("todo", assigned_to="ana@acme.es")
    team.desk.script.append(TemporaryError("crm: busy"))  # for one of the two, whichever comes first
    assert team.drain() == {"notices_sent": 1, "notices_postponed": 1}
    team.now += timedelta(minutes=1)
    assert team.drain() == {"notices_sent": 1}
    assert team.desk.owners == {HANDOFF.record: "ana@acme.es"}
    assert team.drain() == {}


def test_giving_the_record_away_tells_nobody(team: House) -> None:
    (_, assignment) = team.tell("hook", assigned_to="ana@acme.es")
    with team.store.writing() as tx:
        assert outbox.drop(tx, team.kept()["hook"].key, "by ana")
        assert outbox.last_told(tx, [assignment.handoff.lead]) == {}
    assert team.drain() == {"notices_sent": 1}
    with team.store.reading() as tx:
        (found,) = handed_over.listed(tx, Wanted(("crm",), team.now))
    assert (found.told_at, found.due_at) == (None, None)
    assert team.desk.owners == {HANDOFF.record: "ana@acme.es"}


def test_whom_somebody_else_has_given_the_record_to_keeps_it_and_the_outbox_says_so(team: House) -> None:
    team.desk.owners[HANDOFF.record] = "eva@acme.es"
    team.tell("hook", assigned_to="ana@acme.es")
    assert team.drain() == {"notices_sent": 1, "notices_dropped": 1}
    kept = team.kept()[OWNER_CHANNEL]
    assert (kept.state, kept.attempts) == ("dropped", 1)
    assert kept.error == "somebody has given the record to somebody else meanwhile; it was left so"
    assert team.desk.owners[HANDOFF.record] == "eva@acme.es"


def test_a_record_goes_to_whom_the_latest_hand_off_names_though_an_earlier_one_is_late(team: House) -> None:
    team.tell("hook", assigned_to="ana@acme.es")
    team.tell("hook", key="here/crm/contacts/90151#2", at=AT + timedelta(minutes=1), assigned_to="eva@acme.es")
    assert team.drain() == {"notices_sent": 3, "notices_dropped": 1}
    assert team.desk.owners[HANDOFF.record] == "eva@acme.es"
    (late,) = (each for each in team.every() if each.state == "dropped")
    assert (late.recipient, late.error) == (
        "ana@acme.es", "the lead was handed over again before this could go out"
    )  # fmt: skip


def test_while_the_crm_rests_the_record_stays_where_it_is_and_others_are_told(team: House) -> None:
    team.tell("hook", assigned_to="ana@acme.es")
    assert team.drain(crm_rests=True) == {"notices_sent": 1}
    assert (team.desk.assignments, team.kept()[OWNER_CHANNEL].state) == ([], "waiting")
    assert team.drain() == {"notices_sent": 1}


def test_after_a_crash_it_is_asked_for_again_without_a_doubt(team: House) -> None:
    (made,) = (each for each in team.tell("hook", assigned_to="ana@acme.es") if each.channel == OWNER_CHANNEL)
    with team.store.writing(team.lease) as tx:
        assert outbox.mark_sending(tx, made.key)
    team.desk.owners[HANDOFF.record] = "ana@acme.es"  # it had got so far
    assert team.drain() == {"notices_sent": 2, "notices_repeated": 1}
    assert team.states() == {"sent": 2}


def test_nobody_is_reminded_over_the_owner_channel(team: House) -> None:
    team.tell("hook", assigned_to="ana@acme.es")
    team.drain()
    team.now += timedelta(hours=2)
    assert team.drain() == {}, "there is nobody to remind: a webhook takes no reminders"
