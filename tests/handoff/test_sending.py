"""The drain against real servers and both databases."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from syncer.errors import LeaseLost, Stopped, TemporaryError
from syncer.handoff import Delivery, drain, take
from syncer.handoff.sending import HELD, MOST_ATTEMPTS, pause_s
from syncer.model import Answer, Cursor, Page, Record, RecordKey
from syncer.settings import HandoffSettings
from syncer.store import Lease, Store, erasure, leases, mirror, outbox
from syncer.store.tables import notices as notice_rows
from tests.handoff.house import LATER, SECRET, House
from tests.handoff.samples import AT, HANDOFF
from tests.receivers import DROP, HANG, Reply, SmtpReply


def test_every_channel_hears_once_of_a_hand_off_and_never_again(house: House) -> None:
    made = house.tell()
    assert house.drain() == {"notices_sent": 3}
    assert house.drain() == {}
    assert (len(house.slack.received), len(house.hook.received), len(house.mail.received)) == (1, 1, 1)
    assert house.hook.received[0].signed_with(SECRET)
    told = {"hook": house.hook.received[0].key, "correo": house.mail.received[0].key}
    assert told == {each.channel: each.key for each in made if each.channel != "ventas"}
    assert house.states() == {"sent": 3}


def test_a_notice_waits_for_the_crm_until_its_time_is_up(house: House) -> None:
    house.tell("hook")
    house.now = AT + timedelta(minutes=14, seconds=59)
    assert house.drain() == {}
    house.now = AT + timedelta(minutes=15)
    assert house.drain() == {"notices_sent": 1}


def test_a_notice_goes_at_once_when_the_crm_shows_the_stage(house: House) -> None:
    house.tell("hook")
    house.now = AT
    with house.store.writing(house.lease) as tx:
        outbox.release(tx, [HANDOFF.record])
    assert house.drain() == {"notices_sent": 1}


def test_what_a_receiver_cannot_take_now_is_sent_later_and_not_before(house: House) -> None:
    house.tell("hook")
    house.hook.script.append(Reply(503))
    assert house.drain() == {"notices_postponed": 1}
    assert house.kept()["hook"].not_before == house.now + timedelta(seconds=30)
    assert house.drain() == {}
    house.now += timedelta(seconds=30)
    assert house.drain() == {"notices_sent": 1}
    assert house.states() == {"sent": 1}


def test_a_receivers_wish_for_patience_is_kept(house: House) -> None:
    house.tell("ventas")
    house.slack.script.append(Reply(429, "", {"Retry-After": "120"}))
    house.drain()
    assert house.kept()["ventas"].not_before == house.now + timedelta(seconds=120)


def test_a_channel_that_asked_for_patience_is_left_alone_and_the_others_go_on(house: House) -> None:
    for number in range(4):
        house.tell("ventas", "hook", key=f"here/crm/contacts/90151#{number}")
    house.slack.script.append(Reply(429, "", {"Retry-After": "120"}))
    assert house.drain() == {"notices_postponed": 1, "notices_sent": 4}
    assert len(house.slack.received) == 1


def test_all_that_was_to_go_to_who_asked_for_patience_waits_as_long(house: House) -> None:
    for lead in (1, 2, 3):
        house.tell("hook", "correo", key=f"here/crm/contacts/90151#{lead}")
    house.hook.script.append(Reply(429, "", {"Retry-After": "120"}))
    assert house.drain() == {"notices_sent": 3, "notices_postponed": 1}
    with house.store.reading() as tx:
        assert not outbox.anything_due(tx, "crm", house.now)
    house.now += timedelta(seconds=119)
    assert house.drain() == {}
    house.now += timedelta(seconds=1)
    assert house.drain() == {"notices_sent": 3}
    assert sorted(each.attempts for each in house.every() if each.channel == "hook") == [1, 1, 2]


def test_a_drain_leaves_to_the_next_what_would_keep_it_for_too_long(house: House) -> None:
    for lead in (1, 2):
        house.tell("hook", key=f"here/crm/contacts/90151#{lead}")
    later = house.now + timedelta(minutes=11)
    assert house.drain(clock=lambda: later if house.hook.received else house.now) == {"notices_sent": 1}
    assert house.drain() == {"notices_sent": 1}


def test_who_is_rejected_or_erased_while_a_message_fails_is_not_told_of_again(house: House) -> None:
    (first,) = house.tell("hook", key="here/crm/contacts/90151#1")
    rejection = Answer(False, "luis", house.now, "link", "no budget")

    def reject() -> None:
        with house.store.writing() as tx:
            take(tx, first.handoff.key, rejection, house.settings())

    def erase() -> None:
        with house.store.writing() as tx:
            erasure.erase(tx, [HANDOFF.record], house.now)

    for number, meanwhile in enumerate((reject, erase), start=1):
        house.tell("hook", key=f"here/crm/contacts/90151#{number}")
        house.hook.heard = meanwhile
        house.hook.script.append(Reply(503))
        house.drain()
        house.hook.heard = list
        house.now += timedelta(minutes=1)
        assert "notices_sent" not in house.drain()
    assert (len(house.hook.received), house.states()) == (2, {"dropped": 2})


def test_who_is_erased_while_messages_go_out_is_named_in_none_that_follows(house: House) -> None:
    heir = Record(RecordKey("crm", "contacts", "7"), AT, email=HANDOFF.email, name="Eva Soler")
    for number in (1, 2):
        house.tell("hook", key=f"here/crm/contacts/90151#{number}")
    with house.store.writing() as tx:
        mirror.store_page(tx, "crm", "contacts", Page(Cursor("2"), (heir,)), AT, same_person=True)

    def erase() -> None:
        with house.store.writing() as tx:
            erasure.erase(tx, [HANDOFF.record], house.now)

    house.hook.heard = erase
    assert house.drain() == {"notices_sent": 2}
    assert [json.loads(each.body)["lead"]["name"] for each in house.hook.received] == ["Ana Ruiz", "Eva Soler"]


@pytest.mark.slow
def test_a_dead_channel_is_tried_three_times_a_drain_and_delays_no_other(house: House) -> None:
    for number in range(8):
        house.tell("ventas", "hook", key=f"here/crm/contacts/90151#{number}")
    house.slack.script.extend([HANG] * 8)
    started = time.monotonic()
    assert house.drain() == {"notices_uncertain": 3, "notices_sent": 8}
    assert time.monotonic() - started < 4.5, "eight time-outs were waited for, or whole pauses beside them"
    assert len(house.slack.received) == 3


def test_a_refusal_for_good_is_kept_with_its_reason_and_not_repeated(house: House) -> None:
    house.tell()
    house.slack.script.append(Reply(410, "channel_is_archived"))
    house.hook.script.append(Reply(400, "no"))
    house.mail.script.append(SmtpReply("RCPT", "550 no such user"))
    assert house.drain() == {"notices_dead": 3}
    assert house.drain() == {}
    reasons = {channel: each.error for channel, each in house.kept().items()}
    assert reasons == {
        "ventas": '127.0.0.1 answered 410: "channel_is_archived"',
        "hook": '127.0.0.1 answered 400: "no"',
        "correo": '127.0.0.1 answered 550: "no such user"',
    }


def test_what_fails_is_tried_for_three_days_and_then_given_up(house: House) -> None:
    house.tell("hook")
    house.hook.script.extend([Reply(500, "broken")] * 2 * MOST_ATTEMPTS)
    began, last = house.now, house.now
    while house.states() != {"dead": 1}:
        assert house.drain(), "it is not dead, so it is tried"
        last = house.now
        house.now += timedelta(hours=1)
    assert len(house.hook.received) == MOST_ATTEMPTS
    assert house.kept()["hook"].error == f'given up after {MOST_ATTEMPTS} attempts: 127.0.0.1 answered 500: "broken"'
    assert timedelta(days=3) < last - began < timedelta(days=3.5)
    house.now += timedelta(days=1)
    assert house.drain() == {}


def test_the_pauses_of_all_attempts_are_three_days() -> None:
    whole = sum(pause_s(attempts, None) for attempts in range(1, MOST_ATTEMPTS))
    assert 3 <= whole / 86_400 <= 3.2


def test_doubtful_failures_are_enough_as_well(house: House) -> None:
    house.tell("hook")
    house.hook.script.extend([DROP] * 2)
    with house.store.writing() as tx:
        tx.execute(update(notice_rows).values(attempts=MOST_ATTEMPTS - 2))
    house.drain()
    assert house.drain() == {}, "a doubtful message rests as well"
    assert house.states() == {"uncertain": 1}
    house.now += timedelta(hours=2)
    house.drain()
    assert house.states() == {"dead": 1}
    assert len(house.hook.received) == 2


def test_pauses_grow_from_half_a_minute_to_an_hour() -> None:
    assert [pause_s(attempts, None) for attempts in (1, 2, 3, 7, 8, 12)] == [30, 60, 120, 1920, 3600, 3600]
    assert pause_s(5, 7.0) == 7
    assert pause_s(5, 0.0) == 1


def _breaking_off(house: House) -> None:
    """Every channel takes its message and loses the connection before it answers."""
    house.slack.script.append(DROP)
    house.hook.script.append(DROP)
    house.mail.script.append(SmtpReply("DATA", "drop"))


def test_what_may_have_arrived_is_repeated_under_its_key_and_marked(house: House) -> None:
    house.tell()
    _breaking_off(house)
    assert house.drain() == {"notices_uncertain": 3}
    house.now += timedelta(minutes=1)
    assert house.drain() == {"notices_sent": 3, "notices_repeated": 3}
    first, again = house.hook.received
    assert first.key == again.key
    assert len(house.hook.distinct) == 1
    assert (b'"possible_repeat":false' in first.body, b'"possible_repeat":true' in again.body) == (True, True)
    assert b"Posible repetici" in house.slack.received[1].body
    assert b"Posible repetici" not in house.slack.received[0].body
    assert house.mail.received[1].message["Subject"].startswith("[Posible repetición]")
    assert house.states() == {"sent": 3}


def test_a_repeat_that_fails_is_still_marked_when_it_gets_through(house: House) -> None:
    house.tell("ventas")
    house.slack.script.extend([DROP, Reply(503), Reply()])
    for _ in range(3):
        house.drain()
        house.now += timedelta(minutes=5)
    assert [b"Posible repetici" in got.body for got in house.slack.received] == [False, True, True]
    assert house.states() == {"sent": 1}


def test_what_may_have_arrived_is_held_for_a_person_where_the_project_says_so(house: House) -> None:
    house.repeats = "hold"
    house.tell()
    _breaking_off(house)
    house.drain()
    house.now += timedelta(minutes=1)
    assert house.drain() == {"notices_sent": 1, "notices_repeated": 1, "notices_held": 2, "notices_dead": 2}
    kept = house.kept()
    assert (kept["ventas"].state, kept["ventas"].error) == ("dead", HELD)
    assert (kept["correo"].state, kept["correo"].error) == ("dead", HELD)
    assert kept["hook"].state == "sent", "its receiver knows repeats by their key"
    assert (len(house.slack.received), len(house.mail.received)) == (1, 1)


def test_a_notifier_that_left_the_project_file_takes_its_notices_with_it_visibly(house: House) -> None:
    house.tell("hook")
    delivery = Delivery(
        house.store, "crm", HandoffSettings("sql"), lambda: LATER, house.stop, house.lease, "es", "Europe/Madrid"
    )
    assert drain(delivery)["notices_dead"] == 1
    assert house.kept()["hook"].error == "the project file no longer has a notifier 'hook'"


def test_a_drain_asked_to_stop_sends_nothing_more_and_leaves_the_rest_due(house: House) -> None:
    house.tell("hook")
    house.stop.set()
    assert house.drain() == {}
    house.stop.clear()
    assert house.drain() == {"notices_sent": 1}


def test_a_process_that_lost_its_lease_sends_nothing(house: House) -> None:
    house.tell("hook")
    leases.release(house.store, house.lease)
    taken_over = leases.take(house.store, "crm", holder="other", ttl_s=60)
    with pytest.raises(LeaseLost):
        house.drain()
    assert house.hook.received == []
    assert taken_over is not None
    house.lease = taken_over
    assert house.drain() == {"notices_sent": 1}


def test_a_process_that_stood_still_between_claim_and_send_sends_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.tell("hook")
    time_left = leases.time_left

    def frozen_time_left(store: Store, lease: Lease) -> float:
        time.sleep(0.4)
        return time_left(store, lease)

    monkeypatch.setattr(leases, "time_left", frozen_time_left)  # it is asked between the claim and the send
    house.lease = replace(house.lease, ttl_s=0.3)
    with pytest.raises(LeaseLost, match="stood still"):
        house.drain()
    assert house.hook.received == []
    assert house.states() == {"sending": 1}


_SENDER = """
import sys, threading
from datetime import datetime, timedelta
from pydantic import SecretStr
from syncer.handoff import Delivery, drain
from syncer.settings import HandoffSettings, Slack, Webhook
from syncer.store import leases, open_store
url, slack, hook, now = sys.argv[1:]
store = open_store(url)
lease = leases.take(store, "crm", holder="doomed", ttl_s=1)
near = {"private_addresses": True}
notifiers = {
    "ventas": Slack(url=SecretStr(slack), **near),
    "hook": Webhook(url=hook, secret=SecretStr("shared-secret"), **near),
}
settings = HandoffSettings("sql", notifiers=notifiers, notify=tuple(notifiers))
clock = lambda: datetime.fromisoformat(now)
drain(Delivery(store, "crm", settings, clock, threading.Event(), lease, "es", "Europe/Madrid"))
"""


@pytest.mark.slow
@pytest.mark.parametrize("channel", ["ventas", "hook"])
def test_a_process_killed_while_it_sends_leaves_a_trace_and_nothing_is_lost(
    house: House, database_url: str, channel: str
) -> None:
    house.tell(channel)
    leases.release(house.store, house.lease)
    receiver = {"ventas": house.slack, "hook": house.hook}[channel]
    receiver.script.append(HANG)
    root = Path(__file__).parents[2]
    arguments = [database_url, house.slack.url, house.hook.url, LATER.isoformat()]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    with subprocess.Popen([sys.executable, "-c", _SENDER, *arguments], cwd=root, env=environment) as doomed:
        _wait_for(lambda: bool(receiver.received), 20)
        doomed.send_signal(signal.SIGKILL)
    assert house.states() == {"sending": 1}
    _wait_for(lambda: _taken_over(house), 10)
    assert house.drain() == {"notices_sent": 1, "notices_repeated": 1}
    assert len(receiver.received) == 2
    assert house.states() == {"sent": 1}
    assert channel == "ventas" or len(house.hook.distinct) == 1


def _taken_over(house: House) -> bool:
    lease = leases.take(house.store, "crm", holder="next", ttl_s=60)
    house.lease = lease or house.lease
    return lease is not None


def _wait_for(condition: Callable[[], bool], most_s: float) -> None:
    until = time.monotonic() + most_s
    while not condition():
        assert time.monotonic() < until, "nothing happened"
        time.sleep(0.05)


def test_a_task_is_asked_for_again_until_the_crm_has_it_and_never_afterwards(house: House) -> None:
    (made,) = house.tell("todo")
    house.desk.script += [TemporaryError("crm: no answer", retry_after_s=120), TemporaryError("crm: no answer")]
    assert house.drain() == {"notices_postponed": 1}
    assert house.kept()["todo"].not_before == house.now + timedelta(seconds=120)
    for _ in range(3):
        house.now += timedelta(minutes=5)
        house.drain()
    assert (list(house.desk.tasks), house.desk.asked, house.states()) == ([made.key], 3, {"sent": 1})


def test_while_the_crm_rests_its_tasks_wait_and_other_messages_go_out(house: House) -> None:
    house.tell("todo", "hook")
    assert house.drain(crm_rests=True) == {"notices_sent": 1}
    assert (house.desk.asked, len(house.hook.received), house.kept()["todo"].state) == (0, 1, "waiting")
    assert house.drain() == {"notices_sent": 1}
    assert len(house.desk.tasks) == 1


def test_a_task_that_a_dying_process_may_have_made_waits_too_while_the_crm_rests(house: House) -> None:
    (made,) = house.tell("todo")
    with house.store.writing(house.lease) as tx:
        assert outbox.mark_sending(tx, made.key)
    assert house.drain(crm_rests=True) == {}
    assert house.states() == {"uncertain": 1}
    assert house.drain() == {"notices_sent": 1, "notices_repeated": 1}


def test_a_process_told_to_stop_while_it_asks_the_crm_leaves_a_task_that_is_asked_for_again(house: House) -> None:
    house.tell("todo")
    house.desk.script.append(Stopped("asked to stop while waiting"))
    with pytest.raises(Stopped):
        house.drain()
    assert house.states() == {"sending": 1}
    house.now += timedelta(seconds=149)
    assert (house.drain(), house.desk.asked) == ({}, 1), "the CRM may still be making it, where no look would find it"
    house.now += timedelta(seconds=1)
    assert house.drain() == {"notices_sent": 1, "notices_repeated": 1}
    assert len(house.desk.tasks) == 1
