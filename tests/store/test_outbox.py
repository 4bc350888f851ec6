"""Hand-offs and their notices: a row before a message, and what a crash leaves is never forgotten."""

from __future__ import annotations

from syncer.model import LeadPlan, Notice, NoticeState
from syncer.store import Store, outbox
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


def test_a_withheld_notice_is_dead_and_says_why(store: Store) -> None:
    alert(store)
    with store.writing() as tx:
        outbox.withhold(tx, key("1"), "somebody moved the lead")
    assert due_keys(store, hours=9) == []
    with store.reading() as tx:
        ((_, _, (notice,)),) = outbox.handoffs(tx, "crm")
    assert (notice.state, notice.error) == ("dead", "somebody moved the lead")


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
            assert [(each.key, each.state) for each in outbox.recover(tx, "crm", NOW)] == [(notice.key, "uncertain")]
    with store.writing() as tx:
        assert outbox.mark_sending(tx, notice.key)
        outbox.mark_uncertain(tx, notice.key, "broke off", NOW + HOUR)
        assert outbox.recover(tx, "crm", NOW) == []
        assert not outbox.anything_due(tx, "crm", NOW)
        assert outbox.anything_due(tx, "crm", NOW + HOUR)
        assert [each.attempts for each in outbox.recover(tx, "crm", NOW + HOUR)] == [1]
        assert outbox.recover(tx, "other", NOW + HOUR) == []


def test_what_a_receiver_may_still_be_at_work_on_rests_until_that_is_settled(store: Store) -> None:
    notice = alert(store, state="ready", not_before=None)
    with store.writing() as tx:
        assert outbox.mark_sending(tx, notice.key, NOW + HOUR)
        assert outbox.recover(tx, "crm", NOW) == []
        assert not outbox.anything_due(tx, "crm", NOW)
        assert outbox.anything_due(tx, "crm", NOW + HOUR)
        assert [each.key for each in outbox.recover(tx, "crm", NOW + HOUR)] == [notice.key]


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
    assert states(store) == {"dead": 1}
    assert due_keys(store, hours=9) == []
