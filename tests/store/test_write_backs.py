"""What is still to be written, in which order, and what becomes of it."""

from __future__ import annotations

from dataclasses import replace

from syncer.model import Change, Standing, WriteState, Written
from syncer.store import Store, mirror, write_backs
from tests.store.samples import HOUR, NOW, all_leads, apply, key, planned, put, record, the_lead

ORDER = ["sql", "mql", "cold"]


def waiting(store: Store, limit: int = 100, later: int = 0) -> list[Change]:
    with store.reading() as tx:
        return write_backs.pending(tx, "crm", NOW + later * HOUR, order=ORDER, limit=limit)


def queued(store: Store, **stages: str) -> None:
    """One record a stage: r1="sql"."""
    put(store, *(record(each) for each in stages))
    apply(store, *(planned(lead, stages[lead.records[0].key.id]) for lead in all_leads(store)))


def answer(change: Change, **values: object) -> Written:
    given = {"record": change.record, "modified_at": NOW + HOUR, "standing": change.after}
    return Written(**(given | values))  # type: ignore[arg-type]


def test_the_hottest_go_first_unknown_stages_last_and_records_in_order(store: Store) -> None:
    queued(store, d="other", a="cold", e="sql", b="sql", c="mql")
    assert [change.record.id for change in waiting(store)] == ["b", "e", "c", "a", "d"]
    assert [change.record.id for change in waiting(store, limit=3)] == ["b", "e", "c"]
    assert [change.record.id for change in waiting(store, limit=2)] == ["b", "e"]


def test_what_was_confirmed_drops_out_and_asking_again_goes_on(store: Store) -> None:
    queued(store, **{f"r{number}": "sql" for number in range(5)})
    done: list[str] = []
    while changes := waiting(store, limit=2):
        done += [change.record.id for change in changes]
        with store.writing() as tx:
            write_backs.confirm(tx, [(change, answer(change)) for change in changes], NOW)
    assert done == ["r0", "r1", "r2", "r3", "r4"]


def test_a_confirmed_change_is_what_the_record_shows(store: Store) -> None:
    queued(store, a="sql")
    (change,) = waiting(store)
    shows = Standing(1100, "sql", "text", "lead")
    with store.writing() as tx:
        write_backs.confirm(tx, [(change, answer(change, standing=shows))], NOW)
    lead = the_lead(store, "a")
    assert lead.writes[key("a")] == WriteState(shows, None, NOW + HOUR, seen=True)
    assert lead.records[0].stage == "sql"


def test_a_change_queued_while_another_was_on_its_way_stays(store: Store) -> None:
    queued(store, a="sql")
    (sent,) = waiting(store)
    apply(store, planned(the_lead(store, "a"), "mql", at=NOW + HOUR))
    with store.writing() as tx:
        write_backs.confirm(tx, [(sent, answer(sent))], NOW)
    assert [change.after.stage for change in waiting(store)] == ["mql"]


def test_a_stage_that_the_crm_refused_is_kept_with_its_reason(store: Store) -> None:
    queued(store, a="sql")
    (change,) = waiting(store)
    refused = answer(change, standing=Standing(1100, "mql"), refused="the pipeline is closed")
    with store.writing() as tx:
        write_backs.confirm(tx, [(change, refused)], NOW)
        assert [each.reason for each in write_backs.troubles(tx, "crm")] == ["the pipeline is closed"]
    assert waiting(store) == []
    assert the_lead(store, "a").writes[key("a")].confirmed.stage == "mql"


def test_what_was_put_off_waits_and_counts_its_attempts(store: Store) -> None:
    queued(store, a="sql", b="sql")
    with store.writing() as tx:
        for _ in range(2):
            write_backs.put_off(tx, key("a"), "429", NOW + HOUR)
        assert write_backs.attempts(tx, key("a")) == 2
        assert write_backs.attempts(tx, key("unknown")) == 0
        assert write_backs.counts(tx, "crm") == {"pending": 2, "put_off": 1, "given_up": 0}
    assert [change.record.id for change in waiting(store)] == ["b"]
    assert [change.record.id for change in waiting(store, later=1)] == ["a", "b"]


def test_what_was_given_up_is_shown_and_not_sent_until_another_change_is_planned(store: Store) -> None:
    queued(store, a="sql")
    with store.writing() as tx:
        write_backs.give_up(tx, key("a"), "no such property")
        assert write_backs.counts(tx, "crm") == {"pending": 0, "put_off": 0, "given_up": 1}
        (trouble,) = write_backs.troubles(tx, "crm")
    assert (trouble.record, trouble.reason, trouble.given_up) == (key("a"), "no such property", True)
    apply(store, planned(the_lead(store, "a"), "sql", at=NOW))
    assert waiting(store) == []
    apply(store, planned(the_lead(store, "a"), "mql", at=NOW + HOUR))
    assert [change.after.stage for change in waiting(store)] == ["mql"]
    with store.reading() as tx:
        assert write_backs.attempts(tx, key("a")) == 0
        assert write_backs.troubles(tx, "crm") == []


def test_a_dropped_change_is_gone(store: Store) -> None:
    queued(store, a="sql")
    with store.writing() as tx:
        write_backs.put_off(tx, key("a"), "429", NOW)
        write_backs.drop(tx, key("a"))
        assert write_backs.attempts(tx, key("a")) == 0
    assert waiting(store, later=9) == []
    assert the_lead(store, "a").writes[key("a")].seen


def test_nothing_is_sent_to_a_deleted_record(store: Store) -> None:
    queued(store, a="sql")
    put(store, record("a", minute=1, deleted=True))
    assert waiting(store) == []
    with store.reading() as tx:
        assert write_backs.counts(tx, "crm")["pending"] == 0


def test_states_are_known_of_every_record_asked_for(store: Store) -> None:
    queued(store, a="sql")
    with store.reading() as tx:
        found = write_backs.states(tx, [key("a"), key("b")])
    pending = found[key("a")].pending
    assert pending is not None
    assert pending.stage == "sql"
    assert found[key("b")] == WriteState(Standing())


def test_a_read_back_does_not_disturb_what_is_pending(store: Store) -> None:
    queued(store, a="sql")
    with store.writing() as tx:
        mirror.put_back(tx, "crm", [record("a", minute=1)], NOW)
    assert [change.record.id for change in waiting(store)] == ["a"]


def test_the_mirror_shows_at_once_what_the_crm_confirmed_its_own_stage_included(store: Store) -> None:
    put(store, record("a", lifecycle="lead"), record("b", lifecycle="marketingqualifiedlead", lifecycle_stage="mql"))
    apply(store, *(planned(lead, "sql") for lead in all_leads(store)))
    first, second = waiting(store)
    moved = replace(first.after, lifecycle="salesqualifiedlead")
    kept = replace(second.after, lifecycle="marketingqualifiedlead")
    with store.writing() as tx:
        pairs = [(first, answer(first, standing=moved)), (second, answer(second, standing=kept))]
        write_backs.confirm(tx, pairs, NOW)
    (a,), (b,) = the_lead(store, "a").records, the_lead(store, "b").records
    assert (a.stage, a.lifecycle, a.lifecycle_stage) == ("sql", "salesqualifiedlead", "sql")
    assert (b.stage, b.lifecycle, b.lifecycle_stage) == ("sql", "marketingqualifiedlead", "mql")


def test_a_stage_the_crm_refuses_for_now_stays_pending_and_given_up_changes_can_be_tried_again(store: Store) -> None:
    queued(store, a="sql")
    (change,) = waiting(store)
    no = answer(change, standing=replace(change.after, lifecycle="lead"), refused="a required field is empty")
    with store.writing() as tx:
        write_backs.refused(tx, change, no, NOW + HOUR)
    assert waiting(store) == []
    (again,) = waiting(store, later=1)
    assert (again.after, again.before.score, again.before.stage) == (change.after, change.after.score, None)
    with store.writing() as tx:
        write_backs.refused(tx, again, no, None)
        assert write_backs.counts(tx, "crm")["given_up"] == 1
        write_backs.try_again(tx, "crm")
    assert waiting(store) == [again]


def test_a_stage_of_ours_that_landed_unheard_is_nobodys_edit_and_what_else_landed_is_not_taken_for_known(
    store: Store,
) -> None:
    put(store, record("a", stage="mql"))
    apply(store, planned(the_lead(store, "a"), "mql"))
    (first,) = waiting(store)
    with store.writing() as tx:
        write_backs.confirm(tx, [(first, answer(first))], NOW)
    apply(store, planned(the_lead(store, "a"), "sql", at=NOW + HOUR))  # this write lands, and its answer is lost
    put(store, record("a", minute=120, stage="sql"))
    assert the_lead(store, "a").state.touched == frozenset()
    apply(store, planned(the_lead(store, "a"), "mql", at=NOW + 2 * HOUR))
    (back,) = waiting(store)
    assert (back.before.stage, back.before.score, back.before.reasons) == ("sql", None, None), "100 need not be 40 now"
    assert back.after.score == first.after.score


def test_a_landed_stage_that_is_planned_once_more_keeps_what_was_confirmed_before(store: Store) -> None:
    put(store, record("a", stage="cold"))
    apply(store, planned(the_lead(store, "a"), "sql"))
    put(store, record("a", minute=1, stage="sql"))
    before = the_lead(store, "a").writes[key("a")].confirmed
    apply(store, planned(the_lead(store, "a"), "sql", at=NOW + HOUR))
    assert the_lead(store, "a").writes[key("a")].confirmed == before
