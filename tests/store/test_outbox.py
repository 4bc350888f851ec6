"""Hand-offs and their notices: a row before a message, and what a crash leaves is never forgotten."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import event, update

from syncer.model import LeadPlan, Notice, NoticeState, Told
from syncer.store import Store, handed_over, outbox
from syncer.store.tables import handoffs as handoff_rows
from tests.store.samples import HOUR, NOW, apply, decided, handoff, key, put, record, the_lead


def alert(store: Store, record_id: str = "1", **values: object) -> Notice:
    """A hand-off of the record's lead with one notice to one recipient."""
    put(store, record(record_id, name="Ana", owner="rep@us.com"))
    lead = the_lead(store, record_id)
    told = handoff(lead)
    given = {"key": f"{told.key}/mail/rep", "handoff": told, "channel": "mail", "recipient": "rep"}
    given |= {"not_before": NOW + HOUR}
    notice = Notice(**(given | values))  # type: ignore[arg-type]
    apply(store, LeadPlan(decided(lead, "sql"), (), told), notices=(notice,))
    return notice


def due_keys(store: Store, hours: int = 0) -> list[str]:
    with store.reading() as tx:
        return [notice.key for notice in outbox.due(tx, "crm", NOW + hours * HOUR)]


def states(store: Store) -> dict[NoticeState, int]:
    with store.reading() as tx:
        return outbox.counts(tx, "crm")


def test_a_notice_comes_back_as_it_went_in(store: Store) -> None:
    notice = alert(store, state="ready", not_before=None)
    with store.reading() as tx:
        assert outbox.due(tx, "crm", NOW) == [notice]
        assert outbox.handoffs(tx, "crm") == [(notice.handoff, None, [notice])]


def test_a_notice_waits_for_the_crm_but_not_for_ever(store: Store) -> None:
    notice = alert(store)
    assert due_keys(store) == []
    assert due_keys(store, hours=1) == [notice.key]


def test_a_confirmed_stage_lets_its_notices_go(store: Store) -> None:
    one, other = alert(store, "1"), alert(store, "2")
    with store.writing() as tx:
        outbox.release(tx, [key("1"), key("3")])
        outbox.release(tx, [])
    assert due_keys(store) == [one.key]
    assert due_keys(store, hours=1) == [one.key, other.key]


def test_a_withheld_notice_is_dropped_and_says_why(store: Store) -> None:
    alert(store)
    with store.writing() as tx:
        outbox.withhold(tx, key("1"), "somebody moved the lead")
    assert due_keys(store, hours=9) == []
    with store.reading() as tx:
        ((_, _, (notice,)),) = outbox.handoffs(tx, "crm")
    assert (notice.state, notice.error) == ("dropped", "somebody moved the lead")


def test_one_process_claims_a_notice(store: Store) -> None:
    notice = alert(store, state="ready", not_before=None)
    with store.writing() as tx:
        assert outbox.mark_sending(tx, notice.key)
        assert not outbox.mark_sending(tx, notice.key)
        assert not outbox.mark_sending(tx, "unknown")
    assert due_keys(store) == []
    with store.writing() as tx:
        outbox.mark_sent(tx, notice.key, NOW)
        assert not outbox.mark_sending(tx, notice.key)
    assert states(store) == {"sent": 1}


def test_a_failed_notice_is_ready_again_later(store: Store) -> None:
    notice = alert(store)
    with store.writing() as tx:
        assert outbox.mark_sending(tx, notice.key)
        outbox.mark_failed(tx, notice.key, "503", NOW + HOUR)
    assert due_keys(store) == []
    with store.reading() as tx:
        (again,) = outbox.due(tx, "crm", NOW + HOUR)
    assert (again.state, again.attempts, again.error) == ("ready", 1, "503")
    with store.writing() as tx:
        outbox.mark_dead(tx, notice.key, "no such channel")
    assert states(store) == {"dead": 1}


def test_what_was_on_its_way_at_a_crash_is_uncertain_until_somebody_decides(store: Store) -> None:
    notice = alert(store, state="ready", not_before=None)
    with store.writing() as tx:
        outbox.mark_sending(tx, notice.key)
    for _ in range(2):  # a second crash before anybody looked loses nothing
        with store.writing() as tx:
            outbox.recover(tx, "crm")
            assert [(each.key, each.state) for each in outbox.due(tx, "crm", NOW)] == [(notice.key, "uncertain")]
    with store.writing() as tx:
        assert outbox.mark_sending(tx, notice.key)
        outbox.mark_uncertain(tx, notice.key, "broke off", NOW + HOUR)
        outbox.recover(tx, "crm")
        assert outbox.due(tx, "crm", NOW) == []
        assert not outbox.anything_due(tx, "crm", NOW)
        assert outbox.anything_due(tx, "crm", NOW + HOUR)
        assert [each.attempts for each in outbox.due(tx, "crm", NOW + HOUR)] == [1]
        assert outbox.due(tx, "other", NOW + HOUR) == []


def test_what_a_receiver_may_still_be_at_work_on_rests_until_that_is_settled(store: Store) -> None:
    notice = alert(store, state="ready", not_before=None)
    with store.writing() as tx:
        assert outbox.mark_sending(tx, notice.key, NOW + HOUR)
        assert not outbox.anything_due(tx, "crm", NOW)
        assert outbox.anything_due(tx, "crm", NOW + HOUR)
        outbox.recover(tx, "crm")
        assert outbox.due(tx, "crm", NOW) == []
        assert not outbox.anything_due(tx, "crm", NOW)
        assert [each.key for each in outbox.due(tx, "crm", NOW + HOUR)] == [notice.key]


def test_the_same_hand_off_and_notice_again_change_nothing(store: Store) -> None:
    notice = alert(store, state="ready", not_before=None)
    with store.writing() as tx:
        outbox.mark_sending(tx, notice.key)
        outbox.mark_sent(tx, notice.key, NOW)
    lead = the_lead(store, "1")
    apply(store, LeadPlan(decided(lead, "sql"), (), notice.handoff), notices=(notice,))
    assert states(store) == {"sent": 1}


def test_a_hand_off_is_closed_when_its_lead_leaves_the_stage(store: Store) -> None:
    notice = alert(store)
    apply(store, LeadPlan(decided(the_lead(store, "1"), "sql")), at=NOW + HOUR)
    with store.reading() as tx:
        assert [closed for _, closed, _ in outbox.handoffs(tx, "crm", open_only=True)] == [None]
    apply(store, LeadPlan(decided(the_lead(store, "1"), "mql", at=NOW + HOUR)), at=NOW + 2 * HOUR)
    with store.reading() as tx:
        assert outbox.handoffs(tx, "crm", open_only=True) == []
        assert [(found.key, closed) for found, closed, _ in outbox.handoffs(tx, "crm")] == [
            (notice.handoff.key, NOW + 2 * HOUR)
        ]


def test_a_notice_that_still_waits_when_its_lead_leaves_the_stage_is_never_sent(store: Store) -> None:
    alert(store)
    apply(store, LeadPlan(decided(the_lead(store, "1"), "sql")), at=NOW + HOUR)
    apply(store, LeadPlan(decided(the_lead(store, "1"), "mql", at=NOW + HOUR)), at=NOW + 2 * HOUR)
    assert states(store) == {"dropped": 1}
    assert due_keys(store, hours=9) == []


def test_what_is_dead_may_be_made_ready_again_and_nothing_else(store: Store) -> None:
    one, other = alert(store, "1", state="ready", not_before=None), alert(store, "2", state="ready", not_before=None)
    with store.writing() as tx:
        outbox.mark_sending(tx, one.key)
        outbox.mark_uncertain(tx, one.key, "broke off")
        outbox.mark_dead(tx, one.key, "held")
        assert outbox.make_ready(tx, [one.key, other.key, "unknown"]) == 1
        assert outbox.make_ready(tx, [one.key]) == 0
    with store.reading() as tx:
        again, untouched = outbox.due(tx, "crm", NOW)
    assert (again.state, again.attempts, again.unsure, again.error) == ("ready", 0, True, "held")
    assert untouched == other


def test_what_is_dropped_stays_so_whoever_is_about_to_send_or_to_bury_it(store: Store) -> None:
    notice = alert(store, state="ready", not_before=None)
    with store.writing() as tx:
        assert outbox.drop(tx, notice.key, "by ana")
        assert not outbox.drop(tx, notice.key, "by ben")
        assert not outbox.mark_sending(tx, notice.key)
        outbox.mark_dead(tx, notice.key, "refused")
        assert outbox.make_ready(tx, [notice.key]) == 0
        assert [(each.state, each.error) for each in outbox.messages(tx, ["crm"], {"dropped"})] == [
            ("dropped", "by ana")
        ]
        assert outbox.messages(tx, ["other"], {"dropped"}) == outbox.messages(tx, ["crm"], {"dead", "ready"}) == []


def test_what_is_being_sent_or_was_sent_is_not_dropped(store: Store) -> None:
    notice = alert(store, state="ready", not_before=None)
    with store.writing() as tx:
        outbox.mark_sending(tx, notice.key)
        assert not outbox.drop(tx, notice.key, "too late")
        outbox.mark_sent(tx, notice.key, NOW)
        assert not outbox.drop(tx, notice.key, "too late")


def test_a_key_is_found_by_how_it_begins_and_no_pattern_is(store: Store) -> None:
    one, other = alert(store, "1"), alert(store, "2")
    with store.reading() as tx:
        assert outbox.beginning_with(tx, ["crm"], one.key[:-6]) == [one]
        assert outbox.beginning_with(tx, ["crm"], "test/") == [one, other]
        assert outbox.beginning_with(tx, ["crm"], "test/", 1) == [one]
        assert outbox.beginning_with(tx, ["other"], "test/") == []
        assert outbox.beginning_with(tx, ["crm"], "%") == outbox.beginning_with(tx, ["crm"], "_") == []


def test_the_last_hand_off_of_a_lead_is_one_that_somebody_heard_of_or_will(store: Store) -> None:
    told = alert(store, state="ready", not_before=None)
    lead = told.handoff.lead
    later = replace(told.handoff, key="test/later", episode=2, at=NOW + HOUR)
    lost = replace(told, key="lost", handoff=later, state="dead")
    with store.writing() as tx:
        outbox.keep(tx, [LeadPlan(decided(the_lead(store, "1"), "sql"), (), later)], [lost], NOW + HOUR)
        assert outbox.last_told(tx, [lead, lead + 1]) == {lead: Told(told.handoff.key, "sql", NOW)}
        outbox.make_ready(tx, ["lost"])
        assert outbox.last_told(tx, [lead]) == {lead: Told("test/later", "sql", NOW + HOUR)}
        assert outbox.last_told(tx, []) == {}
        assert [each.key for each in handed_over.of_lead(tx, lead)] == [told.handoff.key, "test/later"]


def test_a_hand_off_that_is_resumed_is_open_again(store: Store) -> None:
    notice = alert(store, state="ready", not_before=None)
    apply(store, LeadPlan(decided(the_lead(store, "1"), "sql")))
    apply(store, LeadPlan(decided(the_lead(store, "1"), "mql", at=NOW + HOUR)), at=NOW + HOUR)
    back = LeadPlan(decided(the_lead(store, "1"), "sql", at=NOW + 2 * HOUR), resumes=notice.handoff.key)
    apply(store, back, at=NOW + 2 * HOUR)
    with store.reading() as tx:
        assert [(each.key, closed) for each, closed, _ in outbox.handoffs(tx, "crm")] == [(notice.handoff.key, None)]
    assert states(store) == {"ready": 1}


def test_what_was_dropped_as_its_lead_left_waits_again_when_the_hand_off_is_resumed(store: Store) -> None:
    """The mail had gone out, and the CRM rested before it could take its task."""
    mail = alert(store)
    names = {"task": "crm/contacts/1", "hook": "", "gone": ""}
    task, hook, gone = (replace(mail, key=name, channel=name, recipient=to) for name, to in names.items())
    with store.writing() as tx:
        outbox.queue(tx, [task, hook, gone])
        assert outbox.mark_sending(tx, mail.key)
        outbox.mark_sent(tx, mail.key, NOW + HOUR)
        assert outbox.drop(tx, "gone", "by ana")
    apply(store, LeadPlan(decided(the_lead(store, "1"), "mql", at=NOW + HOUR)), at=NOW + HOUR)
    assert states(store) == {"sent": 1, "dropped": 3}
    back = LeadPlan(decided(the_lead(store, "1"), "sql", at=NOW + 2 * HOUR), resumes=mail.handoff.key)
    apply(store, back, at=NOW + 2 * HOUR)
    with store.reading() as tx:
        assert outbox.messages(tx, ["crm"], {"waiting"}) == [hook, task]
        assert [each.error for each in outbox.messages(tx, ["crm"], {"dropped"})] == ["by ana"]
    assert due_keys(store, hours=2) == ["hook", "task"]


def test_a_hand_off_takes_over_who_owns_its_record_by_now_and_never_loses_an_owner(store: Store) -> None:
    told = alert(store).handoff
    put(store, record("1", name="Ana", owner="luis@acme.es", minute=5))
    with store.writing() as tx:
        assert outbox.renew_owner(tx, told).owner == "luis@acme.es"
        ((kept, _, _),) = outbox.handoffs(tx, "crm")
        assert kept == replace(told, owner="luis@acme.es")
    put(store, record("1", name="Ana", minute=9))
    with store.writing() as tx:
        assert outbox.renew_owner(tx, kept) == kept


def test_messages_are_found_by_their_keys_in_one_statement_and_by_a_beginning_without_reading_all(store: Store) -> None:
    one, other = alert(store, "1"), alert(store, "2")
    asked: list[str] = []
    with store.reading() as tx:
        event.listen(tx, "before_cursor_execute", lambda *told: asked.append(told[2]))
        assert outbox.named(tx, [other.key, one.key, "unknown"]) == [one, other]
        assert len(asked) == 1
        outbox.beginning_with(tx, ["crm"], "abc")
        if store.dialect == "sqlite":
            plan = tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked[1]}", ("", "[]", "abc", "abc~", 5, 0)).all()
            assert any("autoindex_notices_1 (key>? AND key<?)" in row[3] for row in plan)


@pytest.mark.parametrize(
    ("known", "counted"),
    [
        ({"due_at": None}, (1, 0, 0)),
        ({"due_at": NOW + HOUR}, (1, 0, 0)),
        ({"due_at": NOW - HOUR}, (1, 1, 0)),
        ({"due_at": NOW, "touched_at": NOW, "touched_by": "call"}, (0, 0, 1)),
        ({"due_at": NOW - HOUR, "touched_at": NOW, "touched_by": "call"}, (0, 0, 0)),
        ({"due_at": NOW - HOUR, "closed_at": NOW}, (0, 0, 0)),
    ],
)
def test_hand_offs_are_counted_as_they_are_listed(
    store: Store, known: dict[str, object], counted: tuple[int, int, int]
) -> None:
    notice = alert(store)
    with store.writing() as tx:
        tx.execute(update(handoff_rows).values(**known))
        asked = handed_over.Wanted(("crm",), NOW)
        (found,) = handed_over.listed(tx, asked)
        assert (found.handoff, found.notices) == (notice.handoff, (notice,))
        assert handed_over.tally(tx, asked) == handed_over.Tally(1, *counted)
        assert (found.is_open(), found.is_late(NOW)) == (bool(counted[0]), bool(counted[1]))
        narrowed: dict[handed_over.Only, int] = {"open": counted[0], "late": counted[1], "unsent": 0}
        for only, count in narrowed.items():
            assert len(handed_over.listed(tx, replace(asked, only=only))) == count
        assert handed_over.listed(tx, replace(asked, since=NOW + HOUR)) == []
        assert handed_over.listed(tx, replace(asked, connections=("other",))) == []
