"""The drain against real servers and both databases."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest
from pydantic import SecretStr
from sqlalchemy import Connection, update

from syncer.errors import LeaseLost, Stopped, TemporaryError
from syncer.handoff import Delivery, drain, notices
from syncer.handoff.sending import HELD, MOST_ATTEMPTS, pause_s
from syncer.model import Cursor, Decision, LeadPlan, Notice, NoticeState, Page, Record, Score, StageState
from syncer.settings import CrmTask, Email, HandoffSettings, Notifier, Route, Slack, Webhook
from syncer.store import Lease, Store, leases, mirror, outbox
from syncer.store.tables import notices as notice_rows
from tests.handoff.samples import AT, HANDOFF, Desk
from tests.receivers import DROP, HANG, HttpReceiver, Reply, SmtpReceiver, SmtpReply

SECRET = "shared-secret"
LATER = AT + timedelta(minutes=20)  # past what a notice waits for the CRM


@dataclass
class House:
    """A store with a lease, three receivers, a CRM that takes tasks, and a clock that the test turns."""

    store: Store
    lease: Lease
    slack: HttpReceiver
    hook: HttpReceiver
    mail: SmtpReceiver
    now: datetime = LATER
    stop: threading.Event = field(default_factory=threading.Event)
    repeats: Literal["resend", "hold"] = "resend"
    desk: Desk = field(default_factory=Desk)

    def settings(self, *notify: str) -> HandoffSettings:
        notifiers: dict[str, Notifier] = {
            "ventas": Slack(url=SecretStr(self.slack.url), timeout_s=0.4),
            "hook": Webhook(url=self.hook.url, secret=SecretStr(SECRET), timeout_s=0.5),
            "correo": Email.model_validate(
                {"host": self.mail.host, "port": self.mail.port, "from": "syncer@acme.es", "security": "none",
                 "timeout_s": 0.5}
            ),
            "todo": CrmTask(),
        }  # fmt: skip
        return HandoffSettings(
            "sql",
            notifiers=notifiers,
            slack_repeats=self.repeats,
            email_repeats=self.repeats,
            routes=(Route(None, ("owner",)),),
            notify=notify or ("ventas", "hook", "correo"),
        )

    def tell(self, *notify: str, key: str = HANDOFF.key) -> list[Notice]:
        """Queue one hand-off."""
        handoff = replace(HANDOFF, key=key, lead=_lead(self.store))
        made = notices(handoff, self.settings(*notify))
        score = Score(handoff.lead, AT, "m@1", {}, handoff.total)
        decision = Decision(handoff.lead, 1, score, None, StageState("sql", "sql", AT, 1), None, None)
        with self.store.writing(self.lease) as tx:
            outbox.keep(tx, [LeadPlan(decision, handoff=handoff)], made, AT)
        return list(made)

    def drain(self, *notify: str, crm_rests: bool = False) -> dict[str, int]:
        counts = drain(
            Delivery(
                store=self.store,
                connection="crm",
                settings=self.settings(*notify),
                clock=lambda: self.now,
                stop=self.stop,
                lease=self.lease,
                language="es",
                timezone="Europe/Madrid",
                target=self.desk,
                crm_rests=crm_rests,
            )
        )
        return {name: count for name, count in counts.items() if count}

    def kept(self) -> dict[str, Notice]:
        """By channel."""
        with self.store.reading() as tx:
            return {each.channel: each for _, _, told in outbox.handoffs(tx, "crm") for each in told}

    def states(self) -> dict[NoticeState, int]:
        with self.store.reading() as tx:
            return outbox.counts(tx, "crm")


def _lead(store: Store) -> int:
    page = Page(Cursor("1"), (Record(HANDOFF.record, AT, email=HANDOFF.email),))
    with store.writing() as tx:
        mirror.store_page(tx, "crm", "contacts", page, AT)
        return mirror.find(tx, HANDOFF.record.id)[0]


@pytest.fixture
def house(store: Store) -> Iterator[House]:
    lease = leases.take(store, "crm", holder="test", ttl_s=60)
    assert lease is not None
    with HttpReceiver() as slack, HttpReceiver() as hook, SmtpReceiver() as mail:
        yield House(store, lease, slack, hook, mail)


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


def test_a_dead_channel_is_tried_three_times_a_drain_and_delays_no_other(house: House) -> None:
    for number in range(8):
        house.tell("ventas", "hook", key=f"here/crm/contacts/90151#{number}")
    house.slack.script.extend([HANG] * 8)
    started = time.monotonic()
    assert house.drain() == {"notices_uncertain": 3, "notices_sent": 8}
    assert time.monotonic() - started < 3, "eight time-outs were waited for"
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
    claim = outbox.mark_sending

    def claim_and_freeze(tx: Connection, key: str, settled_at: datetime | None) -> bool:
        claimed = claim(tx, key, settled_at)
        time.sleep(0.4)
        return claimed

    monkeypatch.setattr(outbox, "mark_sending", claim_and_freeze)
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
notifiers = {"ventas": Slack(url=SecretStr(slack)), "hook": Webhook(url=hook, secret=SecretStr("shared-secret"))}
settings = HandoffSettings("sql", notifiers=notifiers, notify=tuple(notifiers))
clock = lambda: datetime.fromisoformat(now)
drain(Delivery(store, "crm", settings, clock, threading.Event(), lease, "es", "Europe/Madrid"))
"""


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
