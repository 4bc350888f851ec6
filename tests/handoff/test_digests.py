"""Many leads at once: who hears of them in one message, and that each is told of once whatever happens to it; what
quiet hours hold back; and how fast Slack is told."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from syncer.handoff import clock
from syncer.handoff.sending import HELD
from syncer.model import Notice
from syncer.settings import Clock, Digest, Quiet, Webhook
from syncer.store import handed_over, outbox
from syncer.store.clocks import Touch
from syncer.store.handed_over import Wanted
from tests.handoff.house import LATER, House
from tests.handoff.samples import AT
from tests.receivers import DROP, Mail, Reply, SmtpReply

MINUTE = timedelta(minutes=1)
ABOVE_TWO = {"digest": Digest(2, 10 * MINUTE)}


def _tell(house: House, *channels: str, leads: Iterable[int], **changes: object) -> list[Notice]:
    """One hand-off for each number, which is its score and in its name."""
    made = [
        house.tell(*channels, key=f"here/crm/contacts/90151#{lead}", name=f"Lead {lead}", total=lead * 100, **changes)
        for lead in leads
    ]
    return [notice for each in made for notice in each]


def _leads(mail: Mail) -> list[int]:
    """In the order in which it names them, in its text; the same as in its HTML."""
    text, html = (mail.message.get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None
    assert html is not None
    named = [int(each) for each in re.findall(r"^Lead (\d+)", text.get_content(), re.MULTILINE)]
    assert named == [int(each) for each in re.findall(r"<(?:h1|a)\b[^>]*>Lead (\d+)", html.get_content())]
    return named


def _told(house: House) -> list[list[int]]:
    return [_leads(each) for each in house.mail.received]


@pytest.fixture
def crowd(house: House) -> House:
    """A house in which more than two messages within ten minutes become one."""
    house.changes |= ABOVE_TWO
    return house


def test_as_many_messages_as_are_allowed_go_out_one_by_one(crowd: House) -> None:
    _tell(crowd, "correo", leads=(1, 2))
    assert crowd.drain() == {"notices_sent": 2}
    assert len(crowd.mail.received) == 2
    assert {each.digest for each in crowd.every()} == {None}


def test_what_is_more_goes_out_as_one_message_that_names_all_the_strongest_first(crowd: House) -> None:
    made = _tell(crowd, "correo", leads=(10, 30, 20))
    assert crowd.drain() == {"notices_sent": 3, "digests_sent": 1}
    (mail,) = crowd.mail.received
    assert mail.message["Subject"] == "3 leads listos para ventas"
    assert _leads(mail) == [30, 20, 10]
    text = mail.message.get_body(("plain",))
    assert text is not None
    for said in ("Lead 30: SQL, 30 puntos", made[0].handoff.reasons[0], made[0].handoff.url or ""):
        assert said in text.get_content()
    assert crowd.states() == {"sent": 3}
    assert {each.digest for each in crowd.every()} == {mail.key}
    assert mail.message["Message-ID"] == f"<{mail.key}@example.com>".replace("example.com", "acme.es")


def test_every_lead_of_a_digest_starts_its_clock(crowd: House) -> None:
    crowd.changes["clock"] = Clock(respond_within=timedelta(hours=1))
    _tell(crowd, "correo", leads=(1, 2, 3))
    crowd.drain()
    with crowd.store.reading() as tx:
        found = handed_over.listed(tx, Wanted(("crm",), crowd.now))
    assert [(each.told_at, each.due_at) for each in found] == [(crowd.now, crowd.now + timedelta(hours=1))] * 3


def test_what_was_sent_lately_counts_a_digest_as_one_message(crowd: House) -> None:
    _tell(crowd, "correo", leads=(1, 2, 3))
    crowd.drain()
    _tell(crowd, "correo", leads=(4,))
    assert crowd.drain() == {"notices_sent": 1}, "the digest and this one are two"
    _tell(crowd, "correo", leads=(5, 6))
    assert crowd.drain() == {"notices_sent": 2, "digests_sent": 1}
    crowd.now += 11 * MINUTE
    _tell(crowd, "correo", leads=(7, 8))
    assert crowd.drain() == {"notices_sent": 2}, "what was sent before the ten minutes does not count"
    assert _told(crowd) == [[3, 2, 1], [4], [6, 5], [7], [8]]


def test_who_gets_few_messages_gets_them_one_by_one_beside_who_gets_many(crowd: House) -> None:
    _tell(crowd, "correo", leads=(1, 2, 3))
    _tell(crowd, "correo", leads=(4, 5), owner="ana@acme.es")
    assert crowd.drain() == {"notices_sent": 5, "digests_sent": 1}
    to = [each.recipient for each in crowd.mail.received]
    assert sorted(to) == ["ana@acme.es", "ana@acme.es", "luis@acme.es"]


def test_a_webhook_hears_of_each_lead_by_itself_and_slack_of_all_in_one_message_without_buttons(crowd: House) -> None:
    _tell(crowd, "ventas", "hook", leads=(1, 2, 3))
    assert crowd.drain() == {"notices_sent": 6, "digests_sent": 1}
    assert len(crowd.hook.distinct) == 3
    (post,) = (json.loads(each.body) for each in crowd.slack.received)
    assert post["text"] == "3 leads listos para ventas"
    (block,) = post["blocks"]
    lines = block["text"]["text"].splitlines()
    assert lines[0] == "*3 leads listos para ventas*"
    assert [re.search(r"\|Lead (\d)>: (\d)", line).groups() for line in lines[1:]] == [  # type: ignore[union-attr]
        ("3", "3"), ("2", "2"), ("1", "1")
    ]  # fmt: skip


def test_a_digest_that_certainly_did_not_arrive_goes_out_again_with_whatever_is_due_then(crowd: House) -> None:
    _tell(crowd, "correo", leads=(1, 2, 3))
    crowd.mail.script.append(SmtpReply("DATA", "451 busy"))
    assert crowd.drain() == {"notices_postponed": 3}
    kept = crowd.every()
    assert {(each.state, each.attempts, each.not_before, each.digest) for each in kept} == {
        ("ready", 1, crowd.now + timedelta(seconds=30), None)
    }
    _tell(crowd, "correo", leads=(4,))
    crowd.now += MINUTE
    assert crowd.drain() == {"notices_sent": 4, "digests_sent": 1}
    assert _told(crowd) == [[4, 3, 2, 1]]


def test_a_digest_that_may_have_arrived_is_repeated_with_the_same_leads_under_the_same_name_and_marked(
    crowd: House,
) -> None:
    _tell(crowd, "correo", leads=(1, 2, 3))
    crowd.mail.script.append(SmtpReply("DATA", "drop"))
    assert crowd.drain() == {"notices_uncertain": 3}
    _tell(crowd, "correo", leads=(4, 5, 6))
    crowd.now += MINUTE
    assert crowd.drain() == {"notices_sent": 6, "notices_repeated": 3, "digests_sent": 2}
    assert _told(crowd) == [[3, 2, 1], [3, 2, 1], [6, 5, 4]]
    first, again, other = crowd.mail.received
    assert first.key == again.key != other.key
    assert first.message["Message-ID"] == again.message["Message-ID"]
    assert again.message["Subject"] == "[Posible repetición] 3 leads listos para ventas"
    assert "[" not in first.message["Subject"] + other.message["Subject"]


def test_the_leads_of_a_digest_that_a_process_died_with_go_out_together(crowd: House) -> None:
    made = _tell(crowd, "correo", leads=(1, 2, 3))
    with crowd.store.writing(crowd.lease) as tx:
        for each in made[:2]:
            assert outbox.mark_sending(tx, each.key, None, "d" * 32)
    assert crowd.drain() == {"notices_sent": 3, "notices_repeated": 2, "digests_sent": 1}
    assert _told(crowd) == [[2, 1], [3]]
    assert [each.key for each in crowd.mail.received] == ["d" * 32, made[2].key]


def test_a_digest_is_held_for_a_person_who_may_have_one_of_it_sent_again(crowd: House) -> None:
    crowd.repeats = "hold"
    _tell(crowd, "correo", leads=(1, 2, 3))
    crowd.mail.script.append(SmtpReply("DATA", "drop"))
    crowd.drain()
    crowd.now += MINUTE
    assert crowd.drain() == {"notices_held": 3, "notices_dead": 3}
    held = crowd.every()
    assert {(each.state, each.error) for each in held} == {("dead", HELD)}
    with crowd.store.writing() as tx:
        assert outbox.make_ready(tx, [held[0].key]) == 1
    assert crowd.drain() == {"notices_sent": 1, "notices_repeated": 1}
    assert crowd.mail.received[-1].key == held[0].key
    assert crowd.mail.received[-1].message["Subject"].startswith("[Posible repetición] Lead ")


def test_what_is_sent_again_by_a_person_makes_no_repeat_of_what_is_news(crowd: House) -> None:
    crowd.repeats = "hold"
    (held,) = _tell(crowd, "correo", leads=(9,))
    crowd.mail.script.append(SmtpReply("DATA", "drop"))
    crowd.drain()
    crowd.now += MINUTE
    crowd.drain()
    with crowd.store.writing() as tx:
        assert outbox.make_ready(tx, [held.key]) == 1
    _tell(crowd, "correo", leads=(1, 2, 3))
    assert crowd.drain() == {"notices_sent": 4, "notices_repeated": 1, "digests_sent": 1}
    assert [each.message["Subject"].partition(" Lead 9")[0] for each in crowd.mail.received[1:]] == [
        "3 leads listos para ventas", "[Posible repetición]"
    ]  # fmt: skip


def test_what_was_a_digest_goes_out_one_by_one_where_its_notifier_tells_of_each_lead_by_itself(crowd: House) -> None:
    _tell(crowd, "correo", leads=(1, 2, 3))
    crowd.mail.script.append(SmtpReply("DATA", "drop"))
    crowd.drain()
    crowd.now += MINUTE
    hook = Webhook(url=crowd.hook.url, private_addresses=True)
    crowd.changes["notifiers"] = {**crowd.settings().notifiers, "correo": hook}
    assert crowd.drain() == {"notices_sent": 3, "notices_repeated": 3}
    assert len(crowd.hook.distinct) == 3


def test_a_refusal_for_good_is_kept_of_every_lead(crowd: House) -> None:
    _tell(crowd, "correo", leads=(1, 2, 3))
    crowd.mail.script.append(SmtpReply("RCPT", "550 no such user"))
    assert crowd.drain() == {"notices_dead": 3}
    assert {each.error for each in crowd.every()} == {'127.0.0.1 answered 550: "no such user"'}


def test_what_was_dropped_is_in_no_digest_and_in_no_repeat_of_one(crowd: House) -> None:
    made = _tell(crowd, "correo", leads=(1, 2, 3, 4))
    with crowd.store.writing() as tx:
        assert outbox.drop(tx, made[0].key, "by ana")
    crowd.mail.script.append(SmtpReply("DATA", "drop"))
    crowd.drain()
    with crowd.store.writing() as tx:
        assert outbox.drop(tx, made[1].key, "by ana")
    crowd.now += MINUTE
    crowd.drain()
    assert _told(crowd) == [[4, 3, 2], [4, 3]]
    assert crowd.states() == {"sent": 2, "dropped": 2}


def test_a_digest_keeps_its_name_though_the_first_of_it_is_dropped_just_before_it_is_repeated(crowd: House) -> None:
    made = _tell(crowd, "ventas", leads=(1, 2, 3))
    _tell(crowd, "hook", leads=(4,))
    with crowd.store.writing(crowd.lease) as tx:
        for each in made:
            assert outbox.mark_sending(tx, each.key, None, "d" * 32)

    def drop() -> None:
        with crowd.store.writing() as tx:
            assert outbox.drop(tx, made[2].key, "by ana")

    crowd.hook.heard = drop  # it is told before Slack, whose message the drain has in its hand by then
    assert crowd.drain() == {"notices_sent": 3, "notices_repeated": 2, "digests_sent": 1}
    assert [each.digest for each in crowd.every() if each.channel == "ventas" and each.state == "sent"] == [
        "d" * 32
    ] * 2


def test_many_reminders_become_one_that_leaves_out_whom_sales_has_acted_on(crowd: House) -> None:
    crowd.changes["clock"] = Clock(respond_within=MINUTE, remind_after=MINUTE)
    made = _tell(crowd, "correo", leads=(1, 2, 3, 4))
    crowd.drain()
    with crowd.store.writing() as tx:
        for notice in made:
            told = replace(notice, key=f"r{notice.key}", state="ready", not_before=None, kind="reminder")
            outbox.queue(tx, [told])
        clock.answered(tx, made[2].handoff, Touch(crowd.now, "accepted"), Clock())
    assert crowd.drain() == {"notices_sent": 3, "notices_dropped": 1, "digests_sent": 1}
    assert _told(crowd)[1] == [4, 2, 1]
    assert crowd.mail.received[1].message["Subject"] == "Recordatorio: 3 leads listos para ventas"


def test_where_sales_has_acted_on_all_but_one_it_is_told_of_that_one_alone(crowd: House) -> None:
    crowd.changes["clock"] = Clock(respond_within=MINUTE, remind_after=MINUTE)
    made = _tell(crowd, "correo", leads=(1, 2, 3))
    crowd.drain()
    with crowd.store.writing() as tx:
        for notice in made:
            told = replace(notice, key=f"r{notice.key}", state="ready", not_before=None, kind="reminder")
            outbox.queue(tx, [told])
        for notice in made[1:]:
            clock.answered(tx, notice.handoff, Touch(crowd.now, "accepted"), Clock())
    assert crowd.drain() == {"notices_sent": 1, "notices_dropped": 2}
    assert crowd.mail.received[1].message["Subject"].startswith("Recordatorio: Lead 1 ")


def test_no_digest_names_more_than_two_hundred(crowd: House) -> None:
    _tell(crowd, "correo", leads=range(1, 204))
    assert crowd.drain() == {"notices_sent": 203, "digests_sent": 2}
    assert _told(crowd) == [list(range(203, 3, -1)), [3, 2, 1]]


# quiet hours: the house's clock stands at 08:25 UTC, 09:25 in Madrid


def _quiet(until: str, at_most: timedelta = timedelta(hours=12)) -> dict[str, Quiet]:
    hour, minute = map(int, until.split(":"))
    return {"quiet": Quiet(21 * 60, hour * 60 + minute, at_most, "Europe/Madrid")}


def _next(house: House) -> dict[str, datetime | None]:
    return {channel: each.not_before for channel, each in house.kept().items() if each.state != "sent"}


def test_in_quiet_hours_nobody_is_disturbed_and_machines_hear_at_once(house: House) -> None:
    house.changes |= _quiet("10:00")
    house.tell("ventas", "correo", "hook", "todo")
    assert house.drain() == {"notices_sent": 2}
    ends = AT.replace(hour=9, minute=0)
    assert _next(house) == {"ventas": ends, "correo": ends}
    assert {each.attempts for each in house.every() if each.state != "sent"} == {0}
    with house.store.reading() as tx:
        assert not outbox.anything_due(tx, "crm", house.now), "it would be looked at again and again"
    house.now = ends
    assert house.drain() == {"notices_sent": 2}


def test_a_hot_lead_is_held_no_longer_than_was_said(house: House) -> None:
    house.changes |= _quiet("12:00", at_most=timedelta(minutes=30))
    house.tell("correo")
    assert house.drain() == {}
    assert _next(house) == {"correo": AT + timedelta(minutes=30)}
    house.now = AT + timedelta(minutes=30)
    assert house.drain() == {"notices_sent": 1}, "it is quiet, and has been waited for long enough"


def test_reminders_wait_until_it_is_not_quiet_any_more(house: House) -> None:
    house.changes |= _quiet("12:00", at_most=timedelta(minutes=1))
    (made,) = house.tell("correo")
    house.drain()
    with house.store.writing() as tx:
        outbox.queue(tx, [replace(made, key="r1", state="ready", not_before=None, kind="reminder")])
    assert house.drain() == {}
    assert {each.key: each.not_before for each in house.every()}["r1"] == AT.replace(hour=11, minute=0)


def test_what_the_crm_confirms_in_quiet_hours_waits_all_the_same(house: House) -> None:
    house.changes |= _quiet("10:00")
    (made,) = house.tell("correo")
    with house.store.writing() as tx:
        outbox.release(tx, [made.handoff.record])
    assert house.drain() == {}
    assert house.kept()["correo"].state == "ready"
    assert _next(house) == {"correo": AT.replace(hour=9, minute=0)}


def test_a_repeat_waits_in_quiet_hours_as_well_and_stays_marked(house: House) -> None:
    house.tell("correo")
    house.mail.script.append(SmtpReply("DATA", "drop"))
    house.drain()
    house.changes |= _quiet("10:00")
    house.now += MINUTE
    assert house.drain() == {}
    house.now = AT.replace(hour=9, minute=0)
    assert house.drain() == {"notices_sent": 1, "notices_repeated": 1}


def test_what_quiet_hours_have_held_back_goes_out_as_a_digest(crowd: House) -> None:
    crowd.changes |= _quiet("10:00")
    _tell(crowd, "correo", leads=(1, 2, 3))
    assert crowd.drain() == {}
    crowd.now = AT.replace(hour=9, minute=0)
    assert crowd.drain() == {"notices_sent": 3, "digests_sent": 1}


def test_quiet_hours_that_begin_during_a_drain_hold_back_what_has_not_left(house: House) -> None:
    house.changes |= _quiet("08:00")
    for lead in (1, 2):
        house.tell("correo", key=f"here/crm/contacts/90151#{lead}")
    night = LATER.replace(hour=20, minute=0)

    def evening() -> datetime:
        """It becomes nine in the evening when the first message has left."""
        return night if house.mail.received else night - MINUTE

    assert house.drain(clock=evening) == {"notices_sent": 1}
    house.now = night
    assert house.drain() == {}
    assert _next(house) == {"correo": AT.replace(hour=20, minute=5)}, "twelve hours after it became ready"


# pace


def test_slack_is_told_once_a_second_and_delays_nobody_else(house: House) -> None:
    for lead in (1, 2, 3):
        house.tell("ventas", "hook", key=f"here/crm/contacts/90151#{lead}")
    assert house.drain() == {"notices_sent": 6}
    first, second, third = house.slack.times
    assert min(second - first, third - second) >= 0.99
    assert house.hook.times[-1] < second


def test_a_drain_that_waits_for_slack_stops_at_once_when_asked_to(house: House) -> None:
    for lead in (1, 2):
        house.tell("ventas", key=f"here/crm/contacts/90151#{lead}")
    house.slack.heard = house.stop.set
    began = time.monotonic()
    assert house.drain() == {"notices_sent": 1}
    assert time.monotonic() - began < 0.9
    assert house.states() == {"sent": 1, "waiting": 1}


def test_slack_s_wish_for_patience_puts_a_whole_digest_off(crowd: House) -> None:
    _tell(crowd, "ventas", leads=(1, 2, 3))
    crowd.slack.script.append(Reply(429, "", {"Retry-After": "120"}))
    assert crowd.drain() == {"notices_postponed": 3}
    assert {each.not_before for each in crowd.every()} == {crowd.now + timedelta(seconds=120)}
    crowd.slack.script.append(DROP)
    crowd.now += 2 * MINUTE
    assert crowd.drain() == {"notices_uncertain": 3}
