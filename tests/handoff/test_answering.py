"""What sales answers is kept once, moves the lead where the project says, and silences reminders; on both databases."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import select
from sqlalchemy import text as sql_text

from syncer.errors import SyncerError
from syncer.handoff import Taken, take
from syncer.model import Answer, Override
from syncer.parts import Asked, Report
from syncer.run import _answered_in, apply, deliver, leased, look
from syncer.store import Store, answers, decisions, handed_over, words
from syncer.store.handed_over import HandedOver, Wanted
from syncer.store.tables import handoffs
from tests.receivers import HttpReceiver, Reply
from tests.runs.test_sweep import World

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
MORNING = datetime(2026, 11, 5, 9, 0, tzinfo=UTC)
SETTINGS = """
handoff:
  notifiers: {{team: {{type: slack, private_addresses: true, url: {url}, timeout_s: 2}}}}
  notify: [team]
  respond_within: 1h
  {more}
  answers: {{field: answer, reason_field: why, accepted: [accepted, sí], rejected: [Not ready, "no"]}}
"""
BACK = "on_reject: {to: warm, hold: 30d}"


@dataclass
class Sales:
    """A CRM in memory, a lead that becomes hot in the morning, and a team that is told of it."""

    world: World
    slack: HttpReceiver

    def become_hot(self, **fields: Any) -> None:
        self.world.crm.put("1", email="ana@nova.es", forms=1, name="Ana", **fields)
        self.world.sync()
        self.at(MORNING - 5 * MINUTE)
        self.world.crm.act("m", "meeting", "1")
        self.at(MORNING)
        self.world.sync()

    def at(self, moment: datetime) -> None:
        self.world.now = self.world.crm.now = moment

    def says(self, moment: datetime, person: str = "1", **fields: Any) -> None:
        """Somebody fills the fields in the CRM, and the next run reads that ten minutes later."""
        self.at(moment)
        self.world.crm.put(person, **fields)
        self.world.now = moment + 10 * MINUTE
        self.world.sync()

    def run(self, moment: datetime) -> None:
        self.at(moment)
        self.world.sync()

    def handed(self) -> list[HandedOver]:
        """The earliest first."""
        with self.world.store.reading() as tx:
            return handed_over.listed(tx, Wanted(("crm",), self.world.now))[::-1]

    @property
    def key(self) -> str:
        return self.handed()[-1].handoff.key

    def answers(self) -> list[Answer]:
        with self.world.store.reading() as tx:
            return answers.of(tx, [self.key]).get(self.key, [])

    def take(self, accepted: bool, at: datetime, author: str = "luis", reason: str = "") -> Taken:
        self.at(at)
        settings = self.world.parts().project.handoff
        assert settings is not None
        with self.world.store.writing() as tx:
            return take(tx, self.key, Answer(accepted, author, at, "link", reason), settings)

    def reminders(self, moment: datetime) -> int:
        self.at(moment)
        before = len(self.slack.received)
        deliver(self.world.parts())
        return len(self.slack.received) - before

    def stage(self) -> tuple[str, str]:
        state = self.world.lead("1").state.stage
        assert state is not None
        return state.stage, state.automatic

    def shown(self) -> str | None:
        return self.world.crm.people["1"].standing.stage


@pytest.fixture
def slack() -> Iterator[HttpReceiver]:
    with HttpReceiver() as receiver:
        yield receiver


@pytest.fixture
def sales(store: Store, tmp_path: Path, slack: HttpReceiver) -> Sales:
    return Sales(World(tmp_path, store, more=SETTINGS.format(url=slack.url, more=BACK)), slack)


def test_a_rejected_lead_goes_back_is_left_there_for_the_hold_and_is_then_handed_over_anew(sales: Sales) -> None:
    sales.become_hot()
    taken = sales.take(False, MORNING + 30 * MINUTE, reason="no budget")
    assert (taken.result, taken.goes_to, taken.handoff) == ("taken", "warm", sales.handed()[0].handoff)
    assert sales.reminders(MORNING + 2 * HOUR) == 0
    sales.run(MORNING + 3 * HOUR)
    assert (sales.stage(), sales.shown()) == (("warm", "hot"), "warm")
    with sales.world.store.reading() as tx:
        (word,) = decisions.overrides(tx, sales.world.lead("1").id)
    since = MORNING + 30 * MINUTE
    assert word == Override("warm", "luis", "no budget", "answer", since, since + 30 * DAY)
    sales.run(MORNING + 30 * DAY)
    assert (sales.stage(), len(sales.slack.received)) == (("warm", "hot"), 1)
    sales.run(MORNING + 30 * DAY + HOUR)
    assert (sales.stage(), sales.shown(), len(sales.slack.received)) == (("hot", "hot"), "hot", 2)
    first, second = sales.handed()
    assert (first.closed_at, first.touched_by, first.touched_at) == (MORNING + 3 * HOUR, "rejected", since)
    assert (second.handoff.episode, second.closed_at, second.touched_at) == (2, None, None)
    assert sales.answers() == []


def test_an_accepted_lead_stays_and_nobody_is_reminded_of_it(sales: Sales) -> None:
    sales.become_hot()
    assert sales.take(True, MORNING + 24 * MINUTE).result == "taken"
    assert sales.reminders(MORNING + 5 * HOUR) == 0
    sales.run(MORNING + 6 * HOUR)
    assert sales.stage() == ("hot", "hot")
    (handed,) = sales.handed()
    assert (handed.touched_by, handed.human_ms, handed.human_work_ms) == ("accepted", 24 * 60_000, 24 * 60_000)
    assert sales.answers() == [Answer(True, "luis", MORNING + 24 * MINUTE, "link")]


def test_an_acceptance_may_be_followed_by_a_rejection_and_a_rejection_by_nothing(sales: Sales) -> None:
    sales.become_hot()
    assert sales.take(True, MORNING + MINUTE).result == "taken"
    again = sales.take(True, MORNING + 2 * MINUTE, "eva")
    assert (again.result, again.earlier) == ("already", Answer(True, "luis", MORNING + MINUTE, "link"))
    assert sales.take(False, MORNING + 3 * MINUTE, "eva", "moved on").goes_to == "warm"
    for accepted in (True, False):
        final = sales.take(accepted, MORNING + 4 * MINUTE, "luis", "other")
        assert final.result == "already"
        assert final.earlier == Answer(False, "eva", MORNING + 3 * MINUTE, "link", "moved on")
    assert [each.author for each in sales.answers()] == ["luis", "eva"]
    (handed,) = sales.handed()
    assert (handed.touched_by, handed.touched_at) == ("accepted", MORNING + MINUTE), "who acted first acted first"
    sales.run(MORNING + HOUR)
    assert sales.take(True, MORNING + 2 * HOUR).result == "already", "it is said why, also once the lead has left"


def test_what_sales_did_before_it_answered_stays_its_first_deed(sales: Sales) -> None:
    sales.become_hot()
    sales.at(MORNING + 5 * MINUTE)
    sales.world.crm.act("c", "call", "1")
    sales.run(MORNING + 10 * MINUTE)
    sales.take(True, MORNING + 20 * MINUTE)
    (handed,) = sales.handed()
    assert (handed.touched_by, round((handed.human_ms or 0) / 60_000)) == ("call", 5)


def test_who_answers_too_late_or_to_nothing_is_told_so_and_nothing_changes(sales: Sales) -> None:
    sales.become_hot()
    sales.at(MORNING + HOUR)
    sales.world.crm.put("1", forms=0)
    sales.run(MORNING + HOUR)
    late = sales.take(False, MORNING + 2 * HOUR)
    assert (late.result, late.handoff, late.goes_to) == ("over", sales.handed()[0].handoff, None)
    settings = sales.world.parts().project.handoff
    assert settings is not None
    with sales.world.store.writing() as tx:
        assert take(tx, "nobody#1", Answer(True, "luis", MORNING, "link"), settings) == Taken("unknown")
    assert sales.answers() == []
    with sales.world.store.reading() as tx:
        assert decisions.overrides(tx, sales.world.lead("1").id) == []


@pytest.mark.parametrize(("accepted", "state"), [(False, "dropped"), (True, "ready")])
def test_what_was_still_to_be_told_of_a_rejected_lead_is_not_told(sales: Sales, accepted: bool, state: str) -> None:
    sales.slack.script.append(Reply(503))
    sales.become_hot()
    sales.take(accepted, MORNING + MINUTE, reason="a\ncompetitor")
    (notice,) = sales.handed()[0].notices
    assert notice.state == state
    if not accepted:
        assert notice.error == "rejected by luis: a competitor"
    assert sales.reminders(MORNING + HOUR) == int(accepted)


def test_without_on_reject_only_the_answer_is_kept(store: Store, tmp_path: Path, slack: HttpReceiver) -> None:
    sales = Sales(World(tmp_path, store, more=SETTINGS.format(url=slack.url, more="")), slack)
    sales.become_hot()
    taken = sales.take(False, MORNING + MINUTE, reason="x" * 1000)
    assert (taken.result, taken.goes_to) == ("taken", None)
    assert len(sales.answers()[0].reason) == 300
    sales.run(MORNING + HOUR)
    assert sales.stage() == ("hot", "hot")
    assert sales.reminders(MORNING + 2 * HOUR) == 0


def test_of_two_answers_at_once_exactly_one_is_taken(sales: Sales) -> None:
    sales.become_hot()
    settings, key, store = sales.world.parts().project.handoff, sales.key, sales.world.store
    assert settings is not None
    results: list[str] = []
    start = threading.Barrier(4)

    def answer(accepted: bool, author: str) -> None:
        start.wait(10)
        with store.writing() as tx:
            results.append(take(tx, key, Answer(accepted, author, MORNING, "slack"), settings).result)

    clicks = [threading.Thread(target=answer, args=(False, each)) for each in ("ana", "eva", "luis", "zoe")]
    for each in clicks:
        each.start()
    for each in clicks:
        each.join(20)
    assert sorted(results) == ["already", "already", "already", "taken"]
    assert len(sales.answers()) == 1
    with store.reading() as tx:
        assert len(decisions.overrides(tx, sales.world.lead("1").id)) == 1


@pytest.mark.parametrize("first", ["the lead", "the answer"])
def test_an_answer_that_comes_while_a_plan_is_carried_out_is_taken_and_the_plan_leaves_its_lead_out(
    sales: Sales, first: str
) -> None:
    """`first`: what is locked before the plan wants to have it, which has found a call that touches the hand-off."""
    sales.become_hot()
    sales.at(MORNING + 5 * MINUTE)
    sales.world.crm.act("c", "call", "1")
    parts, store, lead = sales.world.parts(), sales.world.store, sales.world.lead("1").id
    said, failures = Answer(False, "luis", MORNING + 6 * MINUTE, "link", "no budget"), list[BaseException]()
    assert parts.project.handoff is not None
    with leased(parts) as lease:
        report = look(parts, lease, Asked(full=True))
        work = lambda: apply(parts, lease, report, Asked())  # noqa: E731
        carrying_out = threading.Thread(target=_failing_into, args=(failures, work))
        with store.writing() as tx:
            if first == "the lead":
                words.lock(tx, [lead])
                carrying_out.start()
                _until_it_waits(store)
            assert take(tx, sales.key, said, parts.project.handoff).result == "taken"
            if first == "the answer":
                carrying_out.start()
                _until_it_waits(store)
        carrying_out.join(30)
    assert failures == []
    assert sales.stage() == ("hot", "hot")
    sales.run(MORNING + 20 * MINUTE)
    assert sales.stage() == ("warm", "hot")


def _failing_into(failures: list[BaseException], work: Callable[[], None]) -> None:
    try:
        work()
    except SyncerError as failure:
        failures.append(failure)


def _until_it_waits(store: Store) -> None:
    """On SQLite whoever writes has locked all others out."""
    deadline = time.monotonic() + 10
    waiting = sql_text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    while store.dialect == "postgresql" and time.monotonic() < deadline:
        with store.reading() as tx:
            if tx.execute(waiting).scalar_one():
                return
        time.sleep(0.02)


def test_the_answer_to_a_merged_lead_moves_what_is_left_of_it(sales: Sales) -> None:
    sales.become_hot()
    sales.world.crm.put("2", email="ana.r@nova.es", forms=1)
    sales.at(MORNING + 5 * MINUTE)
    sales.world.crm.merge("1", into="2")
    sales.run(MORNING + 10 * MINUTE)
    assert sales.take(False, MORNING + 20 * MINUTE).goes_to == "warm"
    sales.run(MORNING + HOUR)
    state = sales.world.lead("2").state.stage
    assert state is not None
    assert (state.stage, state.automatic) == ("warm", "hot")


# In a field of the CRM.


def test_a_field_that_is_filled_in_the_crm_is_an_answer_and_the_lead_goes_back_in_the_same_run(sales: Sales) -> None:
    sales.become_hot()
    sales.says(MORNING + 20 * MINUTE, answer="NOT  READY", why="no budget")
    (said,) = sales.answers()
    assert (said.accepted, said.author, said.source, said.reason) == (False, "somebody in crm", "field", "no budget")
    assert said.at - (MORNING + 20 * MINUTE) < timedelta(seconds=1), "when the CRM says, not when it was read"
    assert (sales.stage(), sales.shown()) == (("warm", "hot"), "warm")
    sales.run(MORNING + 2 * HOUR)
    assert len(sales.answers()) == 1
    assert sales.reminders(MORNING + 2 * HOUR) == 0


def test_accepting_in_the_crm_counts_whatever_the_accent_and_may_be_taken_back(sales: Sales) -> None:
    sales.become_hot()
    sales.says(MORNING + 20 * MINUTE, answer="Si", why="old words")
    sales.says(MORNING + 40 * MINUTE, forms=2)
    assert [(each.accepted, each.reason) for each in sales.answers()] == [(True, "")]
    sales.says(MORNING + 60 * MINUTE, answer="no")
    sales.says(MORNING + 80 * MINUTE, answer="accepted")
    assert [each.accepted for each in sales.answers()] == [True, False]


def test_what_stood_in_the_field_before_is_no_answer_but_a_new_reason_or_writing_it_anew_is(sales: Sales) -> None:
    sales.become_hot(answer="no", why="last year")
    sales.says(MORNING + 20 * MINUTE, forms=2)
    sales.says(MORNING + 40 * MINUTE, answer="")
    sales.says(MORNING + 60 * MINUTE, answer="perhaps", why="")
    assert (sales.answers(), sales.stage()) == ([], ("hot", "hot"))
    sales.says(MORNING + 80 * MINUTE, answer="no")
    assert [each.reason for each in sales.answers()] == [""]


def test_a_new_reason_beside_an_old_rejection_rejects_anew(sales: Sales) -> None:
    sales.become_hot(answer="no", why="last year")
    sales.says(MORNING + 20 * MINUTE, why="nor this year")
    assert [(each.accepted, each.reason) for each in sales.answers()] == [(False, "nor this year")]


def test_an_answer_by_a_crm_whose_clock_is_ahead_was_given_by_now(sales: Sales) -> None:
    sales.become_hot()
    sales.world.crm.now = MORNING + 2 * HOUR
    sales.world.crm.put("1", answer="no")
    sales.world.now = MORNING + 20 * MINUTE
    sales.world.sync()
    assert [each.at for each in sales.answers()] == [MORNING + 20 * MINUTE]


def test_an_answer_by_a_crm_whose_clock_is_behind_was_given_after_the_hand_off(sales: Sales) -> None:
    sales.world.crm.put("1", email="ana@nova.es", forms=1)
    sales.world.sync()
    sales.world.now, sales.world.crm.now = MORNING, MORNING - HOUR
    sales.world.crm.act("m", "meeting", "1")
    sales.world.sync()
    sales.world.now, sales.world.crm.now = MORNING + 15 * MINUTE, MORNING - 50 * MINUTE
    sales.world.crm.put("1", answer="no")
    sales.world.sync()
    assert [each.at for each in sales.answers()] == [MORNING]


def test_an_author_s_name_is_one_line(sales: Sales) -> None:
    sales.become_hot()
    sales.take(False, MORNING + MINUTE, "lu\nis\x1b[31m", "a\nb")
    assert [(each.author, each.reason) for each in sales.answers()] == [("lu is [31m", "a b")]


def test_a_word_that_was_said_after_the_field_was_filled_stands(sales: Sales) -> None:
    sales.become_hot()
    sales.at(MORNING + 20 * MINUTE)
    sales.world.crm.put("1", answer="no")
    with sales.world.store.writing() as tx:
        word = Override("hot", "boss", "call them", "command", MORNING + 25 * MINUTE)
        decisions.set_override(tx, sales.world.lead("1").id, word)
    sales.world.now = MORNING + 30 * MINUTE
    sales.world.sync()
    assert [each.accepted for each in sales.answers()] == [False]
    assert sales.stage() == ("hot", "hot")
    with sales.world.store.reading() as tx:
        assert decisions.overrides(tx, sales.world.lead("1").id) == [word]


def test_a_record_that_joins_brings_no_answer_that_is_older_than_the_hand_off(sales: Sales) -> None:
    sales.world.crm.put("2", email="ana.r@nova.es", forms=1, answer="no")
    sales.become_hot()
    sales.at(MORNING + 5 * MINUTE)
    sales.world.crm.merge("1", into="2")
    sales.run(MORNING + 10 * MINUTE)
    assert (sales.answers(), sales.world.stage("2")) == ([], "hot")
    sales.says(MORNING + 20 * MINUTE, "2", why="they said so")
    assert [each.accepted for each in sales.answers()] == [False]


def test_a_record_that_joins_brings_the_answer_that_it_was_given_since(sales: Sales) -> None:
    sales.world.crm.put("2", email="ana.r@nova.es", forms=1)
    sales.become_hot()
    sales.says(MORNING + 5 * MINUTE, "2", answer="no")
    assert sales.answers() == []
    sales.at(MORNING + 20 * MINUTE)
    sales.world.crm.merge("1", into="2")
    sales.run(MORNING + 30 * MINUTE)
    assert [each.accepted for each in sales.answers()] == [False]
    assert sales.world.stage("2") == "warm"


def test_what_stood_in_a_field_that_is_only_now_read_is_no_answer(
    store: Store, tmp_path: Path, slack: HttpReceiver
) -> None:
    settings = SETTINGS.format(url=slack.url, more=BACK)
    sales = Sales(World(tmp_path, store, more=settings.partition("  answers:")[0]), slack)
    sales.become_hot(answer="no", why="last year")
    sales.world.more = settings.replace(" reason_field: why,", "")
    sales.run(MORNING + HOUR)
    sales.says(MORNING + 2 * HOUR, forms=2)
    assert (sales.answers(), sales.stage()) == ([], ("hot", "hot"))
    sales.says(MORNING + 3 * HOUR, forms=0)
    sales.says(MORNING + 4 * HOUR, forms=1)
    assert sales.handed()[-1].handoff.episode == 2
    sales.world.more = settings
    sales.run(MORNING + 5 * HOUR)
    assert sales.answers() == [], "nor is a reason that is only now read"
    sales.says(MORNING + 6 * HOUR, answer="")
    sales.says(MORNING + 7 * HOUR, answer="no")
    assert [(each.accepted, each.reason) for each in sales.answers()] == [(False, "last year")]


def test_while_not_everybody_was_read_with_the_field_a_new_hand_off_is_not_answered_in_it(
    store: Store, tmp_path: Path, slack: HttpReceiver
) -> None:
    sales = Sales(World(tmp_path, store, more=SETTINGS.format(url=slack.url, more=BACK)), slack)
    report = Report(1, history={"people"})
    assert _answered_in(sales.world.parts(), report) == ()
    report.read_whole.add("people")
    assert _answered_in(sales.world.parts(), report) == ("answer", "why")
    assert _answered_in(sales.world.parts(), Report(1, history={"deeds"})) == ("answer", "why")


def test_a_lead_on_which_nobody_is_asked_costs_no_look(sales: Sales) -> None:
    sales.become_hot()
    with sales.world.store.reading() as tx:
        assert answers.may_have_answers(tx, "crm") == []
    sales.world.crm.put("2", answer="no")
    sales.run(MORNING + HOUR)
    with sales.world.store.reading() as tx:
        assert tx.execute(select(handoffs.c.key)).scalars().all() == [sales.key]
        assert answers.of(tx, [sales.key]) == {}
    assert orjson.loads(sales.slack.received[0].body)["text"].startswith("Ana")
