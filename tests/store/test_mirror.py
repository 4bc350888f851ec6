"""Pages go in, whole leads come out, and a lead is touched exactly when something that matters happened to it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest

from syncer.errors import NotFound
from syncer.model import Cause, Cursor, Override, Page, Reading, Record, Rejected, Standing, Written
from syncer.store import Store, decisions, mirror, sweeps, write_backs
from tests.store.samples import (
    HOUR,
    NOW,
    activity,
    all_leads,
    apply,
    due_ids,
    key,
    planned,
    put,
    record,
    settle,
    the_lead,
)

FULL = record(
    "1",
    email="Ana@Acme.es",
    fields={"title": "CEO", "staff": 12, "ratio": 0.5, "vip": True, "empty": None},
    stage="mql",
    stage_by="marta@acme.es",
    lifecycle="lead",
    lifecycle_stage="iql",
    protected=True,
    owner="rep@us.com",
    name="Ana",
    url="https://crm/1",
)


def touched(store: Store, record_id: str = "1") -> frozenset[Cause]:
    return the_lead(store, record_id).state.touched


def test_a_record_comes_back_as_it_went_in(store: Store) -> None:
    put(store, FULL)
    (lead,) = all_leads(store)
    assert lead.records == (FULL,)
    assert lead.signals.fields == {"title": "CEO", "staff": 12, "ratio": 0.5, "vip": True, "email": "Ana@Acme.es"}
    assert lead.signals.lead == lead.id
    assert lead.state.stage is None
    assert lead.writes[key("1")].confirmed == Standing()


def test_the_page_and_its_cursor_are_one_transaction(store: Store) -> None:
    def broken() -> None:
        with store.writing() as tx:
            mirror.store_page(tx, "crm", "contacts", Page(Cursor("7"), (FULL,)), NOW)
            raise OSError("the machine stumbles")

    with pytest.raises(OSError, match="stumbles"):
        broken()
    with store.reading() as tx:
        assert mirror.cursor(tx, "crm", "contacts") is None
    assert all_leads(store) == []
    put(store, FULL)
    with store.writing() as tx:
        assert mirror.cursor(tx, "crm", "contacts") == "c"
        mirror.store_page(tx, "crm", "contacts", Page(None, (FULL,)), NOW)
        assert mirror.cursor(tx, "crm", "contacts") == "c", "a page that is no place in the stream"


def test_an_older_version_of_a_record_is_ignored_and_an_equally_old_one_is_not(store: Store) -> None:
    put(store, record("1", minute=5, name="new"))
    put(store, record("1", minute=4, name="older"))
    assert the_lead(store, "1").records[0].name == "new"
    put(store, record("1", minute=5, name="same minute"))
    assert the_lead(store, "1").records[0].name == "same minute"


def test_of_two_versions_in_one_page_the_newer_counts(store: Store) -> None:
    put(store, record("1", minute=5, name="new"), record("1", minute=1, name="old"))
    assert the_lead(store, "1").records[0].name == "new"


@pytest.mark.parametrize(
    ("values", "cause"),
    [
        ({"fields": {"title": "CTO"}}, "profile"),
        ({"email": "other@acme.es"}, "profile"),
        ({"protected": False}, "profile"),
        ({"deleted": True}, "profile"),
        ({"stage": "sql"}, "override"),
        ({"stage": None}, "override"),
        ({"lifecycle": "customer"}, "override"),
        ({"lifecycle_stage": "sql"}, "override"),
        ({"owner": "b@us.com", "name": "Anna", "url": None}, None),
        ({"fields": {**FULL.fields, "other": "", "more": None}}, None),
        ({}, None),
    ],
)
def test_only_what_matters_touches_a_lead(store: Store, values: dict[str, object], cause: Cause | None) -> None:
    put(store, FULL)
    settle(store)
    before = the_lead(store, "1")
    assert before.state.touched == frozenset()
    put(store, replace(FULL, modified_at=NOW + HOUR, **values))  # type: ignore[arg-type]
    after = the_lead(store, "1")
    assert after.state.touched == ({cause} if cause else frozenset())
    assert after.revision == before.revision + (1 if cause else 0)


def test_the_echo_of_a_write_touches_nothing(store: Store) -> None:
    put(store, FULL)
    apply(store, planned(the_lead(store, "1"), "sql"))
    put(store, replace(FULL, modified_at=NOW + HOUR, stage="sql"))
    assert touched(store) == frozenset()
    put(store, replace(FULL, modified_at=NOW + 2 * HOUR, stage="mql"))
    assert touched(store) == {"override"}


def test_the_echo_of_a_confirmed_write_touches_nothing_and_a_move_back_does(store: Store) -> None:
    put(store, FULL)
    apply(store, planned(the_lead(store, "1"), "sql"))
    with store.writing() as tx:
        (change,) = write_backs.pending(tx, "crm", NOW, order=["sql"], limit=9)
        answer = Written(change.record, NOW + HOUR, Standing(1100, "sql", "r", "lead"))
        write_backs.confirm(tx, [(change, answer)], NOW)
    put(store, replace(FULL, modified_at=NOW + HOUR, stage="sql"))
    assert touched(store) == frozenset()
    put(store, replace(FULL, modified_at=NOW + 2 * HOUR, stage="mql"))
    assert touched(store) == {"override"}


def test_what_an_index_says_of_the_stage_before_our_confirmed_write_is_not_believed(store: Store) -> None:
    put(store, FULL)
    apply(store, planned(the_lead(store, "1"), "sql"))
    with store.writing() as tx:
        (change,) = write_backs.pending(tx, "crm", NOW, order=["sql"], limit=9)
        answer = Written(change.record, NOW + 2 * HOUR, Standing(1100, "sql", "r", "lead"))
        write_backs.confirm(tx, [(change, answer)], NOW)
    put(store, replace(FULL, modified_at=NOW + HOUR, fields={"title": "CTO"}))  # lags: still shows mql
    lead = the_lead(store, "1")
    assert lead.records[0].stage == "sql"
    assert lead.state.touched == {"profile"}
    assert lead.signals.fields["title"] == "CTO"


def test_what_is_read_back_is_the_truth_of_now_however_old_it_says_it_is(store: Store) -> None:
    put(store, FULL)
    settle(store)
    gone = Record(FULL.key, datetime(2000, 1, 1, tzinfo=UTC), deleted=True)
    with store.writing() as tx:
        mirror.put_back(tx, "crm", [gone], NOW)
    assert all_leads(store) == []


def test_a_lead_whose_records_are_all_deleted_is_scored_no_longer_until_one_comes_back(store: Store) -> None:
    put(store, record("1"), record("2"))
    put(store, record("1", minute=1, deleted=True))
    assert [lead.records[0].key.id for lead in all_leads(store)] == ["2"]
    assert len(due_ids(store)) == 1
    with store.reading() as tx:
        assert mirror.count(tx, "crm") == 1
        assert mirror.touched_count(tx, "crm") == 1
    put(store, record("1", minute=2))
    assert [lead.records[0].key.id for lead in all_leads(store)] == ["1", "2"]


@pytest.mark.parametrize("way", ["pull", "fetch", "read_back", "sweep"])
def test_that_one_is_gone_counts_whatever_time_it_bears_and_they_may_come_back_as_they_were(
    store: Store, way: str
) -> None:
    shown = record("1", minute=5, email="ana@acme.es")
    for minute in (1, 5, 9):
        put(store, shown)
        gone = record("1", minute=minute, deleted=True)
        with store.writing() as tx:
            if way == "read_back":
                mirror.put_back(tx, "crm", [gone], NOW)
            else:
                cursor, sweep = None if way == "fetch" else Cursor("c"), 1 if way == "sweep" else None
                mirror.store_page(tx, "crm", "contacts", Page(cursor, (gone,)), NOW, sweep=sweep)
        assert all_leads(store) == []
        put(store, record("1", minute=4, email="old@acme.es"))
        assert all_leads(store) == [], "what is older than what was known is older"
        put(store, shown)
        assert [lead.records for lead in all_leads(store)] == [(shown,)]


def test_who_was_absorbed_as_was_seen_now_is_absorbed_however_old_it_says_it_is(store: Store) -> None:
    put(store, record("1", minute=5), record("2"))
    absorbed = record("1", merged_into="2")
    put(store, absorbed)
    assert len(all_leads(store)) == 2, "a pull's page may be old"
    with store.writing() as tx:
        mirror.store_page(tx, "crm", "contacts", Page(None, (absorbed,)), NOW)
    (lead,) = all_leads(store)
    assert [each.key.id for each in lead.records] == ["2"]
    put(store, record("1", minute=4))
    assert len(all_leads(store)) == 1, "and it is not undone by what is older than what was known"


def test_activities_come_back_oldest_first_with_their_fields(store: Store) -> None:
    put(store, record("1"), activity("b", "1", hour=2, kind="meeting", fields={"outcome": "held"}))
    put(store, activity("a", "1", hour=1))
    (lead,) = all_leads(store)
    assert [(each.kind, each.at, dict(each.fields)) for each in lead.signals.activities] == [
        ("call", NOW + HOUR, {}),
        ("meeting", NOW + 2 * HOUR, {"outcome": "held"}),
    ]


def test_an_activity_shared_by_two_records_of_a_lead_counts_once(store: Store) -> None:
    put(store, record("1"), record("2"), activity("a", "1", "2"))
    assert [len(lead.signals.activities) for lead in all_leads(store)] == [1, 1]
    put(store, record("2", minute=1, merged_into="1"))
    (lead,) = all_leads(store)
    assert len(lead.signals.activities) == 1


def test_an_activity_that_moves_touches_the_old_lead_and_the_new_one_and_no_other(store: Store) -> None:
    put(store, record("1"), record("2"), record("3"), activity("a", "1", "3"))
    settle(store)
    put(store, activity("a", "2", "3"))
    assert [touched(store, each) for each in "123"] == [{"activity"}, {"activity"}, frozenset()]
    assert [len(lead.signals.activities) for lead in all_leads(store)] == [0, 1, 1]


def test_an_activity_seen_again_as_it_was_touches_nothing_and_a_changed_one_does(store: Store) -> None:
    first = activity("a", "1", fields={"outcome": None})
    put(store, record("1"), first)
    settle(store)
    put(store, first)
    assert touched(store) == frozenset()
    put(store, replace(first, fields={"outcome": "held"}))
    assert touched(store) == {"activity"}


def test_a_deleted_activity_is_gone_and_touches_its_lead(store: Store) -> None:
    put(store, record("1"), activity("a", "1"))
    settle(store)
    put(store, activity("a", "1", deleted=True))
    assert touched(store) == {"activity"}
    assert the_lead(store, "1").signals.activities == ()
    settle(store)
    put(store, activity("a", "1", deleted=True))
    assert touched(store) == frozenset()


def test_an_activity_that_comes_before_its_record_waits_for_it(store: Store) -> None:
    put(store, activity("a", "1"), readings=(Reading(key("1"), "email_open", 3, None, NOW),))
    assert all_leads(store) == []
    put(store, record("1"))
    (lead,) = all_leads(store)
    assert [each.kind for each in lead.signals.activities] == ["call"]
    assert [each.value for each in lead.signals.readings] == [3]
    assert due_ids(store) == [lead.id]


def test_activities_of_a_deleted_record_do_not_count_for_the_lead(store: Store) -> None:
    put(store, record("1"), record("2"), activity("a", "2"))
    put(store, record("2", minute=1, merged_into="1"))
    assert len(the_lead(store, "1").signals.activities) == 1
    put(store, record("2", minute=2, deleted=True))
    assert len(the_lead(store, "1").signals.activities) == 0


def test_a_reading_is_kept_only_when_it_shows_something_else_than_the_one_before(store: Store) -> None:
    def seen(minutes: int, value: int, last_at: datetime | None = None) -> Reading:
        return Reading(key("1"), "email_open", value, last_at, NOW + timedelta(minutes=minutes))

    put(store, record("1"), readings=(seen(0, 1), seen(1, 1)))
    settle(store)
    put(store, readings=(seen(2, 1),))
    assert touched(store) == frozenset()
    put(store, readings=(seen(4, 2), seen(3, 1)))
    assert touched(store) == {"activity"}
    put(store, readings=(seen(5, 2, NOW), seen(1, 9)))
    kept = the_lead(store, "1").signals.readings
    assert [(each.value, each.last_at) for each in kept] == [(1, None), (2, None), (2, NOW)]


def test_the_newest_record_wins_field_by_field_where_it_has_one_set(store: Store) -> None:
    put(
        store,
        record("1", minute=1, fields={"a": 1, "b": 1, "c": 1}, email="old@x.es"),
        record("2", minute=2, fields={"a": 2, "b": None, "c": ""}),
    )
    _join_by_hand(store)
    (lead,) = all_leads(store)
    assert [each.key.id for each in lead.records] == ["2", "1"]
    assert lead.signals.fields == {"a": 2, "b": 1, "c": 1, "email": "old@x.es"}


def _join_by_hand(store: Store) -> None:
    """Record 1 belongs to record 2's lead, and both are live (as when one person is two objects of a CRM)."""
    put(store, record("1", minute=4, merged_into="2"))
    put(store, record("1", minute=4, fields={"a": 1, "b": 1, "c": 1}, email="old@x.es"))
    put(store, record("2", minute=5, fields={"a": 2, "b": None, "c": ""}))


def test_what_could_not_be_read_is_kept_counted_and_forgotten_when_it_arrives(store: Store) -> None:
    put(store, rejected=(Rejected("1", "no date"), Rejected("calls/9", "no owner")))
    put(store, rejected=(Rejected("1", "no e-mail", retry=True),))
    with store.reading() as tx:
        kept = {each.rejected.id: each for each in mirror.rejections(tx, "crm")}
    assert (kept["1"].rejected, kept["1"].count) == (Rejected("1", "no e-mail", retry=True), 2)
    assert kept["calls/9"].count == 1
    put(store, record("1"), activity("calls/9", "1"))
    with store.reading() as tx:
        assert mirror.rejections(tx, "crm") == []


def test_a_lead_is_found_by_e_mail_id_key_and_connection(store: Store) -> None:
    put(store, record("17", email="Ana.Müller@Acme.es"), record("18"))
    lead = the_lead(store, "17").id
    with store.reading() as tx:
        for selector in ("ana.müller@acme.ES", "17", "crm/contacts/17", "crm:17"):
            assert mirror.find(tx, selector) == [lead]
        for selector in ("ana", "other:17", "crm/leads/17", "19", "\x00", "\ud800"):
            assert mirror.find(tx, selector) == []


def test_a_lead_that_does_not_exist_is_said_to_be_missing(store: Store) -> None:
    with pytest.raises(NotFound):
        mirror.lead(store, 4711)


def test_texts_that_a_database_refuses_are_cleaned(store: Store) -> None:
    put(store, record("1\x00", name="A\x00na \ud800", fields={"t\x00": "x\x00\udfff", "n": 10**30, "f": float("nan")}))
    settle(store)
    (lead,) = all_leads(store)
    assert lead.records[0].key == key("1")
    assert lead.records[0].name == "Ana ?"
    assert lead.signals.fields == {"t": "x?", "n": str(10**30)}
    put(store, record("1\x00", name="A\x00na \ud800", fields={"t\x00": "x\x00\udfff", "n": 10**30, "f": float("nan")}))
    assert touched(store) == frozenset()


def test_a_naive_time_is_refused(store: Store) -> None:
    with pytest.raises(Exception, match="without a time zone"):
        put(store, Record(key("1"), datetime(2026, 3, 1)))  # noqa: DTZ001


def test_leads_come_in_chunks_each_once(store: Store) -> None:
    put(store, *(record(f"{number:03}") for number in range(25)))
    ways: tuple[Literal["all", "due"], ...] = ("all", "due")
    for which in ways:
        found = [[lead.id for lead in chunk] for chunk in mirror.chunks(store, "crm", which=which, now=NOW, size=10)]
        assert [len(chunk) for chunk in found] == [10, 10, 5]
        assert len({lead for chunk in found for lead in chunk}) == 25
    some = [lead.id for lead in all_leads(store)][3:20]
    chosen = list(mirror.chunks(store, "crm", which=some, now=NOW, size=10))
    assert [lead.id for chunk in chosen for lead in chunk] == some
    assert list(mirror.chunks(store, "other", which="all", now=NOW)) == []
    assert list(mirror.chunks(store, "other", which=some, now=NOW)) == []


def test_a_lead_is_due_when_touched_or_when_its_time_has_come(store: Store) -> None:
    put(store, *(record(each) for each in "1234"))
    one, two, three, four = all_leads(store)
    soon, later = NOW + HOUR, NOW + 2 * HOUR
    until = Override("sql", "marta", "knows them", "command", NOW, until=later)
    apply(
        store,
        planned(one, "cold", next_look=soon),
        planned(two, "cold", override=until),
        planned(three, "cold", next_look=later + HOUR, override=until),
    )
    assert due_ids(store) == [four.id]
    assert due_ids(store, soon) == [four.id, one.id]
    assert due_ids(store, later) == [four.id, one.id, two.id, three.id]
    put(store, activity("a", "2"))
    assert due_ids(store) == [two.id, four.id]


def test_reading_chunks_leaves_no_transaction_open(store: Store) -> None:
    put(store, record("1"), record("2"))
    for chunk in mirror.chunks(store, "crm", which="all", now=NOW, size=1):
        with store.writing() as tx:  # on SQLite this would wait for a reader that holds on
            decisions.set_override(tx, chunk[0].id, Override("sql", "m", "r", "command", NOW))
    assert all(lead.state.override is not None for lead in all_leads(store))


def test_an_activity_is_known_since_it_was_stored_as_it_is_now(store: Store) -> None:
    def seen_at() -> datetime | None:
        (lead,) = all_leads(store)
        return lead.signals.activities[0].seen_at

    first, later = activity("a", "1"), NOW + HOUR
    put(store, record("1"), first)
    assert seen_at() == NOW
    for again, known in ((first, NOW), (replace(first, fields={"outcome": "held"}), later)):
        with store.writing() as tx:
            mirror.store_page(tx, "crm", "contacts", Page(Cursor("c"), activities=(again,)), later)
        assert seen_at() == known


def begun(store: Store, *wanted: str) -> tuple[Cursor | None, bool]:
    with store.writing() as tx:
        return mirror.begin(tx, "crm", "contacts", wanted)


def test_until_a_stream_was_read_to_its_end_once_its_activities_count_as_known_since_they_happened(
    store: Store,
) -> None:
    assert begun(store) == (None, True)
    put(store, record("1"), activity("old", "1", hour=-5))
    assert begun(store) == (Cursor("c"), True)
    with store.writing() as tx:
        mirror.end(tx, "crm", "contacts", NOW)
    put(store, activity("new", "1", hour=-4))
    assert begun(store) == (Cursor("c"), False)
    (lead,) = all_leads(store)
    assert [each.seen_at for each in lead.signals.activities] == [NOW - 5 * HOUR, NOW]


def test_a_stream_of_which_more_is_wanted_begins_again_and_its_sweep_as_well(store: Store) -> None:
    begun(store, "country")
    put(store, record("1"))
    with store.writing() as tx:
        mirror.end(tx, "crm", "contacts", NOW)
    assert begun(store, "country") == (Cursor("c"), False)
    assert begun(store) == (Cursor("c"), False)
    with store.writing() as tx:
        sweeps.begin(tx, "crm", "contacts", NOW)
        mirror.store_page(tx, "crm", "contacts", Page(Cursor("s")), NOW, sweep=1)
        assert sweeps.begin(tx, "crm", "contacts", NOW) == sweeps.Sweep(1, Cursor("s"))
    assert begun(store, "city", "country") == (None, True)
    with store.writing() as tx:
        assert mirror.telling_history(tx, "crm") == {"contacts"}
        assert sweeps.begin(tx, "crm", "contacts", NOW) == sweeps.Sweep(2, None)


def test_who_could_not_be_read_is_asked_for_again_until_settled(store: Store) -> None:
    put(store, rejected=(Rejected("9", "no answer", retry=True), Rejected("8", "no date")))
    with store.writing() as tx:
        assert mirror.unread(tx, "crm", "contacts") == ["9"]
        mirror.settle(tx, "crm", "contacts", ["9"])
        assert mirror.unread(tx, "crm", "contacts") == []
        assert [each.rejected.id for each in mirror.rejections(tx, "crm")] == ["8"]


def test_an_activity_is_asked_for_again_by_the_id_the_crm_gave_it_and_those_longest_unasked_come_first(
    store: Store,
) -> None:
    for minute, each in enumerate(("calls/2", "1", "calls/3")):
        with store.writing() as tx:
            page = Page(None, rejected=(Rejected(each, "no answer", retry=True),))
            mirror.store_page(tx, "crm", "calls", page, NOW + timedelta(minutes=minute))
    with store.writing() as tx:
        assert mirror.unread(tx, "crm", "calls") == ["2", "1", "3"]
        mirror.settle(tx, "crm", "calls", ["2"])
        mirror.store_page(tx, "crm", "calls", Page(None, activities=(activity("calls/1"),)), NOW)
        assert mirror.unread(tx, "crm", "calls") == ["3"]


def test_a_person_of_the_same_id_as_an_activity_that_arrives_is_still_asked_for(store: Store) -> None:
    put(store, rejected=(Rejected("1", "no answer", retry=True),))
    put(store, record("5"), activity("calls/1", "5"))
    with store.reading() as tx:
        assert mirror.unread(tx, "crm", "contacts") == ["1"]


def known(store: Store, stream: str, *ids: str) -> dict[str, datetime]:
    with store.reading() as tx:
        return mirror.known(tx, "crm", stream, ids)


def test_known_are_people_who_are_live_and_activities_whose_time_the_crm_tells(store: Store) -> None:
    put(store, record("1", minute=3), record("2"), record("3", merged_into="1"), record("4"))
    for erased in (False, True):
        put(store, record("2", deleted=True), record("4", deleted=True, erased=erased))
    assert known(store, "contacts", "1", "2", "3", "4", "5") == {"1": NOW + timedelta(minutes=3)}
    put(store, activity("calls/1", "1", modified_at=NOW), activity("calls/2", "1"), activity("notes/3", "1"))
    assert known(store, "calls", "1", "2", "3") == {"1": NOW}


def test_what_could_not_be_read_last_is_not_known(store: Store) -> None:
    put(store, record("1"), record("2"), activity("calls/1", "1", modified_at=NOW))
    with store.writing() as tx:
        for stream, each in (("contacts", "1"), ("calls", "calls/1")):
            mirror.store_page(tx, "crm", stream, Page(None, rejected=(Rejected(each, "no date"),)), NOW)
    assert known(store, "contacts", "1", "2") == {"2": NOW}
    assert known(store, "calls", "1") == {}


def test_an_older_version_of_an_activity_is_ignored(store: Store) -> None:
    put(store, record("1"), record("2"), activity("a", "1", modified_at=NOW + HOUR))
    put(store, activity("a", "2", modified_at=NOW))
    assert the_lead(store, "1").signals.activities
    assert not the_lead(store, "2").signals.activities
    put(store, activity("a", "2", modified_at=NOW + HOUR))
    assert the_lead(store, "2").signals.activities, "as old: whose it is may be new"


def test_of_two_versions_of_an_activity_in_one_page_the_newer_counts(store: Store) -> None:
    new, old = activity("a", "1", kind="meeting", modified_at=NOW), activity("a", "1", modified_at=NOW - HOUR)
    put(store, record("1"), new, old)
    assert [each.kind for each in the_lead(store, "1").signals.activities] == ["meeting"]


def test_an_activity_modified_in_nothing_we_look_at_touches_nobody_and_is_known_as_modified(store: Store) -> None:
    put(store, record("1"), activity("calls/1", "1", modified_at=NOW))
    settle(store)
    put(store, activity("calls/1", "1", modified_at=NOW + HOUR))
    assert known(store, "calls", "1") == {"1": NOW + HOUR}
    assert touched(store) == frozenset()
    put(store, activity("calls/1", "1"))
    assert known(store, "calls", "1") == {"1": NOW + HOUR}, "a page that does not tell the time takes nothing away"
