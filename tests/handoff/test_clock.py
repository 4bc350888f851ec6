"""The clock of a hand-off: reminded, escalated, and silent once somebody has acted, on both databases."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from alembic import command
from sqlalchemy import create_engine, make_url, select, text, update

from syncer.handoff import clock
from syncer.handoff.clock import first_touch
from syncer.handoff.messages import Audience, Language, letter, slack_post
from syncer.model import ActivitySignal, NoticeKind, NoticeState, Value
from syncer.run import deliver
from syncer.store import Store, clocks, database, handed_over, mirror, open_store, outbox, schema
from syncer.store.clocks import Deed, Touch
from syncer.store.columns import from_ms
from syncer.store.tables import handoffs, notices
from tests.handoff.samples import AT, HANDOFF
from tests.receivers import DROP, HttpReceiver, Reply, SmtpReceiver, SmtpReply
from tests.runs.test_sweep import World

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
MORNING = datetime(2026, 11, 5, 9, 0, tzinfo=UTC)  # a Thursday, ten o'clock in Madrid
SETTINGS = """
handoff:
  notifiers:
    mail: {{type: email, host: {mail.host}, port: {mail.port}, from: syncer@acme.es, security: none, timeout_s: 2}}
    team: {{type: slack, private_addresses: true, url: {slack.url}, timeout_s: 2}}
  route: [{{to: [owner]}}]
  notify: [mail, team]
  hours: {{timezone: Europe/Madrid, holidays: [2026-11-06]}}
  respond_within: 1h
  escalate_after: 2h
  escalate_to: [boss@acme.es]
"""


pytestmark = pytest.mark.slow  # weeks of working time


@dataclass
class Sales:
    """A CRM in memory, one lead that becomes hot at ten in the morning, and what sales gets of that."""

    world: World
    mail: SmtpReceiver
    slack: HttpReceiver

    def become_hot(self, owner: str = "luis@acme.es") -> None:
        self.world.crm.put("1", email="ana@nova.es", forms=1, owner=owner, name="Ana")
        self.world.sync()
        self.at(MORNING - 5 * MINUTE)
        self.world.crm.act("m", "meeting", "1")
        self.at(MORNING)
        self.world.sync()

    def at(self, moment: datetime) -> None:
        self.world.now = self.world.crm.now = moment

    def acts(self, kind: str, **fields: Value) -> None:
        self.world.crm.act(f"{kind}/{self.world.now:%H%M}", kind, "1", **fields)

    def deliver(self, moment: datetime) -> list[str]:
        """What a look between two runs sends: to whom, and the first word of its subject."""
        self.at(moment)
        before = len(self.mail.received), len(self.slack.received)
        deliver(self.world.parts())
        return self.told(*before)

    def told(self, mails: int = 0, posts: int = 0) -> list[str]:
        sent = [(each.recipient, str(each.message["Subject"])) for each in self.mail.received[mails:]]
        sent += [("slack", orjson.loads(each.body)["text"]) for each in self.slack.received[posts:]]
        return sorted(f"{to}: {said.split()[0]}" for to, said in sent)

    def states(self) -> dict[NoticeState, int]:
        with self.world.store.reading() as tx:
            return outbox.counts(tx, "crm")

    def row(self) -> Any:
        with self.world.store.reading() as tx:
            return tx.execute(select(handoffs)).one()


def about(span_ms: int) -> timedelta:
    """To the second: each change takes the CRM a millisecond."""
    return timedelta(seconds=round(span_ms / 1000))


@pytest.fixture
def sales(store: Store, tmp_path: Path) -> Iterator[Sales]:
    with SmtpReceiver() as mail, HttpReceiver() as slack:
        world = World(tmp_path, store, more=SETTINGS.format(mail=mail, slack=slack))
        yield Sales(world, mail, slack)


def test_a_lead_on_which_nobody_acts_is_reminded_of_once_and_escalated_once(sales: Sales) -> None:
    sales.become_hot()
    assert sales.told() == ["luis@acme.es: Ana", "slack: Ana"]
    assert sales.deliver(MORNING + 59 * MINUTE) == []
    assert sales.deliver(MORNING + HOUR) == ["luis@acme.es: Reminder:", "slack: Reminder:"]
    assert sales.deliver(MORNING + HOUR + MINUTE) == []
    assert sales.deliver(MORNING + 2 * HOUR) == ["boss@acme.es: Escalation:"]
    assert sales.deliver(MORNING + 3 * HOUR) == []
    sales.world.sync()
    assert len(sales.told()) == 5
    row = sales.row()
    assert (row.told_at, row.due_at) == (MORNING, MORNING + HOUR)
    assert (row.reminded_at, row.escalated_at) == (MORNING + HOUR, MORNING + 2 * HOUR)
    assert (row.look_at, row.touched_at) == (None, None)


def test_after_a_call_nothing_is_sent_and_both_delays_are_kept_apart(sales: Sales) -> None:
    sales.become_hot()
    sales.deliver(MORNING + HOUR)
    sales.at(MORNING + 4 * DAY + HOUR)  # over a holiday and a weekend
    sales.acts("call")
    sales.at(MORNING + 4 * DAY + 2 * HOUR)
    sales.world.sync()
    assert sales.deliver(MORNING + 4 * DAY + 3 * HOUR) == []
    row = sales.row()
    acted = sales.world.crm.deeds[f"call/{MORNING + HOUR:%H%M}"].at
    assert (row.touched_at, row.touched_by) == (acted, "call")
    assert about(row.system_ms) == 5 * MINUTE
    assert about(row.human_ms) == 4 * DAY + HOUR
    assert about(row.human_work_ms) == 10 * HOUR, "from ten to six, and from nine to eleven on Monday"
    assert row.look_at is None


def test_a_call_that_only_the_mirror_knows_of_silences_what_is_due(sales: Sales) -> None:
    sales.become_hot()
    sales.at(MORNING + 30 * MINUTE)
    sales.acts("call")
    page = next(sales.world.parts().source.pull("deeds", None))
    with sales.world.store.writing() as tx:  # the run died before it could apply anything
        mirror.store_page(tx, "crm", "deeds", page, sales.world.now)
    assert sales.deliver(MORNING + HOUR) == []
    assert sales.row().touched_by == "call"
    assert sales.states() == {"sent": 2}, "no reminder was even queued"


def test_a_reminder_that_could_not_be_sent_is_dropped_once_somebody_has_acted(sales: Sales) -> None:
    sales.become_hot()
    sales.slack.script.append(Reply(503, "busy"))
    assert sales.deliver(MORNING + HOUR)[0] == "luis@acme.es: Reminder:"
    sales.at(MORNING + HOUR + 10 * MINUTE)
    sales.acts("email_sent")
    sales.world.sync()
    assert len(sales.slack.received) == 2, "the hand-off itself, and the try that failed"
    assert sales.states() == {"sent": 3, "dropped": 1}


def test_whoever_is_away_is_reminded_when_work_begins_again(sales: Sales) -> None:
    sales.become_hot()
    friday, monday = MORNING + DAY, MORNING + 4 * DAY
    assert sales.deliver(MORNING.replace(hour=17, minute=30)) == [], "half past six in the evening"
    assert sales.deliver(friday) == [], "a holiday"
    sales.world.sync()
    assert len(sales.told()) == 2, "nor does a run remind anybody then"
    assert sales.deliver(monday - 61 * MINUTE) == []
    assert sales.deliver(monday - HOUR) == ["luis@acme.es: Reminder:", "slack: Reminder:"]
    assert sales.deliver(monday - MINUTE) == [], "who was reminded late has as long to act as anybody else"
    assert sales.deliver(monday) == ["boss@acme.es: Escalation:"]


def test_a_lead_that_has_left_the_stage_is_not_reminded_of(sales: Sales) -> None:
    sales.become_hot()
    sales.at(MORNING + 30 * MINUTE)
    sales.world.crm.put("1", forms=0)
    sales.world.sync()
    assert sales.world.stage("1") == "warm"
    assert sales.deliver(MORNING + HOUR) == []
    row = sales.row()
    assert (row.touched_at, row.reminded_at) == (None, None), "the rules have moved it, and nobody else"


@pytest.mark.parametrize("how", ["by hand", "protected"])
def test_a_lead_that_sales_has_moved_is_touched(sales: Sales, how: str) -> None:
    sales.become_hot()
    sales.at(MORNING + 30 * MINUTE)
    if how == "by hand":
        sales.world.crm.set_stage("1", "warm", "luis@acme.es")
    else:
        sales.world.crm.put("1", protected=True)
    sales.world.sync()
    assert sales.deliver(MORNING + HOUR) == []
    row = sales.row()
    assert row.touched_by == "stage"
    assert row.human_ms == row.human_work_ms == 30 * 60_000


def test_the_clock_starts_with_the_first_message_whenever_the_others_go_out(sales: Sales) -> None:
    sales.slack.script.append(Reply(503, "busy"))
    sales.become_hot()
    assert sales.deliver(MORNING + 20 * MINUTE) == ["slack: Ana"]
    row = sales.row()
    assert (row.told_at, row.due_at, row.look_at) == (MORNING, MORNING + HOUR, MORNING + HOUR)


def test_a_lead_that_no_activity_made_ready_has_no_delay_of_ours(sales: Sales) -> None:
    sales.world.crm.put("1", email="ana@nova.es", owner="luis@acme.es")
    sales.world.crm.act("m", "meeting", "1")
    sales.world.sync()
    sales.at(MORNING)
    sales.world.crm.put("1", forms=1)
    sales.world.sync()
    row = sales.row()
    assert (row.told_at, row.system_ms) == (MORNING, None)


def test_a_replayed_step_makes_no_second_reminder(sales: Sales) -> None:
    sales.become_hot()
    assert len(sales.deliver(MORNING + HOUR)) == 2
    with sales.world.store.writing() as tx:
        tx.execute(handoffs.update().values(reminded_at=None, look_at=MORNING))
    assert sales.deliver(MORNING + HOUR + MINUTE) == []


def test_without_a_time_to_act_in_the_delays_are_kept_and_nobody_is_reminded(sales: Sales) -> None:
    sales.world.more = sales.world.more.partition("  respond_within")[0]
    sales.become_hot()
    sales.at(MORNING + 3 * HOUR)
    sales.acts("meeting")
    sales.world.sync()
    assert len(sales.told()) == 2
    row = sales.row()
    assert (row.due_at, row.look_at, row.told_at) == (None, None, MORNING)
    assert (row.touched_by, about(row.human_work_ms)) == ("meeting", 3 * HOUR)


def test_who_acted_before_the_message_went_out_took_no_time(sales: Sales) -> None:
    sales.slack.script.append(Reply(503, "busy"))
    sales.world.more = sales.world.more.replace("notify: [mail, team]", "notify: [team]").partition("  escalate")[0]
    sales.become_hot()
    sales.at(MORNING + 10 * MINUTE)
    sales.acts("call")
    sales.at(MORNING + 20 * MINUTE)
    sales.world.sync()
    row = sales.row()
    assert (row.told_at, row.touched_by) == (MORNING + 20 * MINUTE, "call")
    assert (row.human_ms, row.human_work_ms, row.look_at) == (0, 0, None)
    assert sales.deliver(MORNING + 3 * HOUR) == []


@pytest.fixture
def on_postgresql(database_url: str) -> None:
    if not database_url.startswith("postgresql"):
        pytest.skip("SQLite has one writer at a time, and no locks on rows")


UNTOLD = dict.fromkeys(("told_at", "due_at", "look_at"))


def test_a_message_that_left_is_kept_as_sent_while_another_run_has_the_hand_off(
    sales: Sales, on_postgresql: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "LOCK_TIMEOUT_S", 1)
    sales.slack.script.append(Reply(503, "busy"))
    sales.become_hot()
    with sales.world.store.writing() as tx:
        tx.execute(update(handoffs).values(UNTOLD))
    with sales.world.store.writing() as tx:
        tx.execute(update(handoffs).values(touched_by=None))
        assert sales.deliver(MORNING + 20 * MINUTE) == ["slack: Ana"]
        assert sales.states() == {"sent": 2}
    assert sales.row().told_at is None
    assert sales.deliver(MORNING + 30 * MINUTE) == [], "it is not sent again"
    row = sales.row()
    assert (row.told_at, row.due_at) == (MORNING + 20 * MINUTE, MORNING + 80 * MINUTE)
    assert (row.look_at, about(row.system_ms)) == (MORNING + 80 * MINUTE, 25 * MINUTE)


def test_a_process_that_died_between_the_message_and_its_clock_is_made_good_by_the_next_look(
    sales: Sales, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException): ...

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as dying:
        dying.setattr(clock, "tell", die)
        with pytest.raises(Killed):
            sales.become_hot()
    assert sales.row().told_at is None
    assert sales.states()["sent"] == 1
    sales.deliver(MORNING + 10 * MINUTE)
    assert (sales.row().told_at, sales.row().look_at) == (MORNING, MORNING + HOUR)
    assert sales.told() == ["luis@acme.es: Ana", "slack: Ana"]
    with sales.world.store.reading() as tx:
        assert not clocks.anything_owed(tx, "crm")


def test_a_touch_that_another_run_keeps_meanwhile_is_not_looked_at_again(sales: Sales, on_postgresql: None) -> None:
    sales.become_hot()
    called = MORNING + 10 * MINUTE
    with sales.world.store.writing() as tx:
        tx.execute(update(handoffs).values(UNTOLD))
    with sales.world.store.reading() as tx:
        each = clocks.named(tx, sales.row().key)
    assert each is not None

    def remind() -> None:
        with sales.world.store.writing() as tx:
            assert not clocks.reminded(tx, each.handoff.key, MORNING + HOUR, MORNING + 2 * HOUR)
            clocks.tell(tx, each.handoff.key, MORNING, MORNING + HOUR, MORNING + HOUR)

    reminder = threading.Thread(target=remind)
    with sales.world.store.writing() as tx:
        clocks.touch(tx, each, Touch(called, "call"), None)
        reminder.start()
        time.sleep(0.3)
    reminder.join()
    row = sales.row()
    assert (row.touched_at, row.look_at, row.reminded_at, row.human_ms) == (called, None, None, 0)


def test_what_is_written_of_a_touched_hand_off_changes_nothing(sales: Sales) -> None:
    sales.become_hot()
    key = sales.row().key
    with sales.world.store.writing() as tx:
        tx.execute(update(handoffs).values(touched_at=MORNING, look_at=MORNING))
    before = sales.row()
    with sales.world.store.writing() as tx:
        assert clocks.due(tx, "crm", MORNING + HOUR, 10) == []
        assert not clocks.anything_due(tx, "crm", MORNING + HOUR)
        assert not clocks.reminded(tx, key, MORNING, MORNING)
        assert not clocks.escalated(tx, key, MORNING)
        clocks.rest(tx, key)
    assert sales.row() == before


def test_a_hand_off_that_no_step_moves_on_is_looked_at_twice_and_no_more(
    sales: Sales, monkeypatch: pytest.MonkeyPatch
) -> None:
    sales.become_hot()
    rounds: list[int] = []

    def stuck(tx: object, key: str, at: datetime, look_at: datetime | None) -> bool:
        rounds.append(1)
        assert len(rounds) < 10, "it spins"
        return False

    monkeypatch.setattr(clocks, "reminded", stuck)
    assert sales.deliver(MORNING + HOUR) == []
    assert len(rounds) == 2


@pytest.mark.parametrize("how", ["refused", "held", "nobody"])
def test_what_nobody_could_be_told_of_is_late_and_escalated_all_the_same(sales: Sales, how: str) -> None:
    if how == "nobody":
        sales.world.more = sales.world.more.replace("[mail, team]", "[mail]")
    elif how == "refused":
        sales.mail.script.append(SmtpReply("RCPT", "550 no such user"))
        sales.slack.script.append(Reply(410, "archived"))
    else:
        sales.world.more += "  repeats: {slack: hold, email: hold}\n"
        sales.mail.script.append(SmtpReply("DATA", "drop"))
        sales.slack.script.append(DROP)
    sales.become_hot(owner="" if how == "nobody" else "luis@acme.es")
    sales.deliver(MORNING + 5 * MINUTE)
    assert sales.states() == {"dead": 1 if how == "nobody" else 2}
    mails, posts = len(sales.mail.received), len(sales.slack.received)
    row = sales.row()
    assert (row.told_at, row.due_at, row.look_at) == (None, MORNING + HOUR, MORNING + HOUR)
    assert sales.deliver(MORNING + HOUR) == [], "there is nobody to remind"
    with sales.world.store.reading() as tx:
        assert handed_over.tally(tx, handed_over.Wanted(("crm",), MORNING + HOUR + MINUTE)).late == 1
    assert sales.deliver(MORNING + 2 * HOUR) == ["boss@acme.es: Escalation:"]
    assert sales.deliver(MORNING + 3 * HOUR) == []
    assert (len(sales.mail.received), len(sales.slack.received)) == (mails + 1, posts)
    assert sales.row().told_at is None, "an escalation tells somebody else"


def test_a_message_that_a_person_sends_again_is_told_then_and_due_as_before(sales: Sales) -> None:
    sales.mail.script.append(SmtpReply("RCPT", "550 no such user"))
    sales.slack.script.append(Reply(410, "archived"))
    sales.become_hot()
    with sales.world.store.writing() as tx:
        keys = tx.execute(select(notices.c.key).where(notices.c.channel == "team")).scalars().all()
        assert outbox.make_ready(tx, keys) == 1
    assert sales.deliver(MORNING + 20 * MINUTE) == ["slack: Ana"]
    row = sales.row()
    assert (row.told_at, row.due_at) == (MORNING + 20 * MINUTE, MORNING + HOUR)
    assert sales.deliver(MORNING + HOUR) == ["slack: Reminder:"], "the e-mail never reached anybody"


def test_reminders_go_to_who_was_told_wherever_the_route_leads_by_now(sales: Sales) -> None:
    sales.become_hot()
    sales.world.more = sales.world.more.replace("to: [owner]", "to: [new@acme.es]")
    assert sales.deliver(MORNING + HOUR) == ["luis@acme.es: Reminder:", "slack: Reminder:"]


def deed(kind: str, at: timedelta, seen: timedelta, modified: timedelta | None = None, **fields: Value) -> Deed:
    """Minutes after the hand-off."""
    activity = ActivitySignal(kind, AT + at, fields, seen_at=AT + seen)
    return Deed(activity, None if modified is None else AT + modified)


M = MINUTE


@pytest.mark.parametrize(
    ("deeds", "touch"),
    [
        ([deed("call", 5 * M, 9 * M)], Touch(AT + 5 * M, "call")),
        ([deed("call", 7 * M, 9 * M), deed("email_sent", 5 * M, 9 * M)], Touch(AT + 5 * M, "email_sent")),
        ([deed("call", -5 * M, 9 * M)], None),
        ([deed("call", 5 * M, 9 * M, status="missed")], None),
        ([deed("call", 5 * M, 9 * M, status="no_answer")], Touch(AT + 5 * M, "call")),
        ([deed("email", 5 * M, 9 * M, direction="incoming")], None),
        ([deed("email", 5 * M, 9 * M, direction="outgoing")], Touch(AT + 5 * M, "email")),
        ([deed("meeting", 3 * DAY, 9 * M)], Touch(AT + 9 * M, "meeting")),
        ([deed("meeting", 3 * DAY, -9 * M)], None),
        ([deed("meeting", 3 * DAY, 9 * M, outcome="canceled")], None),
        ([deed("task", 3 * DAY, 9 * M, 8 * M, status="completed")], Touch(AT + 8 * M, "task")),
        ([deed("task", -3 * DAY, 9 * M, 8 * M, status="completed")], Touch(AT + 8 * M, "task")),
        ([deed("task", -3 * DAY, 9 * M, -8 * M, status="completed")], None),
        ([deed("task", 3 * DAY, 9 * M, 8 * M, status="not_started")], None),
        ([], None),
    ],
)
def test_what_counts_as_acting_and_when_it_was(deeds: list[Deed], touch: Touch | None) -> None:
    assert first_touch(HANDOFF, deeds) == touch


@pytest.mark.parametrize(
    ("language", "kind", "word", "note"),
    [
        ("en", "reminder", "Reminder", "nobody in sales has acted on this lead yet"),
        ("en", "escalation", "Escalation", "sales was reminded of this lead"),
        ("es", "reminder", "Recordatorio", "nadie de ventas ha atendido"),
        ("es", "escalation", "Aviso a dirección", "se recordó a ventas"),
    ],
)
def test_a_message_says_what_it_is_in_every_form(language: Language, kind: NoticeKind, word: str, note: str) -> None:
    audience = Audience(language, "Europe/Madrid")
    written, post = letter(HANDOFF, audience, kind=kind), slack_post(HANDOFF, audience, kind=kind)
    assert written.subject.startswith(f"{word}: Ana Ruiz")
    assert post.text.startswith(f"{word}: Ana Ruiz")
    assert all(note in each for each in (written.text, written.html, str(post.blocks)))
    first = letter(HANDOFF, audience)
    assert word not in first.subject + first.text + first.html


FROM_BEFORE = (
    "INSERT INTO leads (id, connection) VALUES (1, 'crm')",
    "INSERT INTO handoffs (key, lead_id, connection, object, record_id, stage, at, payload) VALUES"
    " ('told', 1, 'crm', 'people', '1', 'hot', 1000, '{}'), ('untold', 1, 'crm', 'people', '2', 'hot', 1000, '{}')",
    "INSERT INTO notices (key, handoff_key, connection, channel, recipient, state, sent_at) VALUES"
    " ('1', 'told', 'crm', 'mail', '', 'sent', 3000), ('2', 'told', 'crm', 'team', '', 'sent', 2000),"
    " ('3', 'untold', 'crm', 'mail', '', 'dead', NULL)",
)


def test_what_was_handed_over_before_is_told_since_its_first_message_and_never_due(empty_database_url: str) -> None:
    url = make_url(empty_database_url)
    engine = create_engine(url if url.get_backend_name() == "sqlite" else url.set(drivername="postgresql+psycopg"))
    config = schema.alembic_config()
    with engine.begin() as tx:
        config.attributes["connection"] = tx
        command.upgrade(config, "0005")
        for statement in FROM_BEFORE:
            tx.execute(text(statement))
    engine.dispose()
    store = open_store(empty_database_url)
    with store.reading() as tx:
        found = tx.execute(select(handoffs.c.key, handoffs.c.told_at, handoffs.c.look_at).order_by(handoffs.c.key))
        assert found.all() == [("told", from_ms(2000), None), ("untold", None, None)]
        kinds = tx.execute(select(notices.c.kind).distinct()).scalars().all()
    store.close()
    assert kinds == ["handoff"]
