"""The store keeps what was known before."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from syncer.errors import NotFound
from syncer.history import History, signals_at
from syncer.model import Activity, Cursor, Page, Reading, Record
from syncer.store import Store, histories, mirror
from syncer.store.tables import past_activities, past_versions
from tests.store.samples import HOUR, NOW, activity, all_leads, apply, key, planned, put, record, settle, the_lead

MILLISECOND = timedelta(milliseconds=1)
ANA = record("1", email="ana@x.es", fields={"title": "CTO", "city": "Bilbao"})


def put_at(store: Store, at: datetime, *values: Record | Activity | Reading, stream: str = "contacts") -> None:
    page = Page(
        Cursor("c"),
        tuple(each for each in values if isinstance(each, Record)),
        tuple(each for each in values if isinstance(each, Activity)),
        tuple(each for each in values if isinstance(each, Reading)),
    )
    with store.writing() as tx:
        mirror.store_page(tx, "crm", stream, page, at)


def later(of: Record, **values: Any) -> Record:
    return replace(of, modified_at=of.modified_at + HOUR, **values)


def known(store: Store, record_id: str = "1") -> History:
    return histories.history(store, the_lead(store, record_id).id)


def rows(store: Store) -> tuple[int, int]:
    """How many past versions and past activities are kept."""
    with store.reading() as tx:
        versions = tx.execute(select(func.count()).select_from(past_versions)).scalar_one()
        return versions, tx.execute(select(func.count()).select_from(past_activities)).scalar_one()


def test_what_a_record_showed_before_it_changed_is_known(store: Store) -> None:
    put_at(store, NOW, ANA)
    put_at(store, NOW + HOUR, later(ANA, email=None, fields={"title": "CEO", "size": 5}))
    old, new = known(store).versions
    assert (old.since, old.fields) == (NOW, {"title": "CTO", "city": "Bilbao", "email": "ana@x.es"})
    assert (new.since, new.fields) == (NOW + HOUR, {"title": "CEO", "size": 5})


def test_of_a_change_only_what_changed_is_kept(store: Store) -> None:
    put_at(store, NOW, ANA)
    put_at(store, NOW + HOUR, later(ANA, fields={"title": "CEO", "city": "Bilbao", "size": 5}))
    with store.reading() as tx:
        (row,) = tx.execute(select(past_versions)).all()
    assert (row.until, row.fields, row.live, row.counts) == (NOW + HOUR, {"title": "CTO", "size": None}, True, True)


def test_a_number_that_becomes_a_text_or_a_yes_has_changed(store: Store) -> None:
    put_at(store, NOW, replace(ANA, fields={"size": 1}))
    settle(store)
    put_at(store, NOW + HOUR, later(ANA, fields={"size": True}))
    assert [each.fields["size"] for each in known(store).versions] == [1, True]
    assert the_lead(store, "1").state.touched == {"profile"}


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"stage": "sql", "owner": "b@us.com", "name": "Anna", "protected": True},
        {"fields": {**ANA.fields, "empty": "", "none": None, "nan": float("nan")}},
    ],
)
def test_a_record_seen_again_with_what_the_rules_look_at_unchanged_costs_no_row(
    store: Store, values: dict[str, Any]
) -> None:
    put_at(store, NOW, ANA)
    apply(store, planned(the_lead(store, "1"), "sql"))
    put_at(store, NOW + HOUR, later(ANA, **values))
    assert rows(store) == (0, 0)
    assert [each.since for each in known(store).versions] == [NOW]


def test_when_a_record_was_deleted_and_came_back_is_known(store: Store) -> None:
    put_at(store, NOW, ANA, activity("a", "1"))
    put_at(store, NOW + HOUR, later(ANA, deleted=True))
    put_at(store, NOW + 2 * HOUR, later(later(ANA)))
    assert [(each.live, each.counts) for each in known(store).versions] == [(True, True), (False, False), (True, True)]
    seen = [signals_at(known(store), NOW + hours * HOUR) for hours in range(3)]
    assert [len(each.activities) for each in seen] == [1, 0, 1]
    assert [len(each.fields) for each in seen] == [3, 0, 3]


@pytest.mark.parametrize("gone_first", [False, True])
def test_of_two_changes_in_one_millisecond_what_was_true_before_both_is_kept(store: Store, gone_first: bool) -> None:
    put_at(store, NOW, ANA)
    put_at(store, NOW + HOUR, later(ANA, fields={"title": "CEO", "city": "Bilbao"}, deleted=gone_first))
    put_at(store, NOW + HOUR, later(ANA, fields={"title": "Boss"}, deleted=not gone_first))
    old, new = known(store).versions
    assert (old.fields, old.live, old.counts) == ({**ANA.fields, "email": "ana@x.es"}, True, True)
    assert (new.since, new.fields, new.live) == (NOW + HOUR, {"title": "Boss", "email": "ana@x.es"}, gone_first)


def test_a_clock_that_was_set_back_does_not_shuffle_versions(store: Store) -> None:
    titles = ("CTO", "CEO", "Boss")
    for title, at in zip(titles, (NOW, NOW + 2 * HOUR, NOW + HOUR), strict=True):
        put_at(store, at, later(ANA, fields={"title": title}))
    assert [each.fields["title"] for each in known(store).versions] == ["CTO", "Boss"]


def test_a_record_that_is_news_is_known_since_it_was_stored(store: Store) -> None:
    put_at(store, NOW + 5 * HOUR, ANA)
    assert [each.since for each in known(store).versions] == [NOW + 5 * HOUR]


def test_a_record_that_was_there_before_we_looked_is_known_since_the_crm_last_changed_it(store: Store) -> None:
    with store.writing() as tx:
        mirror.begin(tx, "crm", "contacts", ())
    put_at(store, NOW + 5 * HOUR, ANA, replace(record("2"), modified_at=NOW + 9 * HOUR))
    assert [each.since for each in known(store, "1").versions] == [NOW]
    assert [each.since for each in known(store, "2").versions] == [NOW + 5 * HOUR]
    put_at(store, NOW + 6 * HOUR, later(ANA, fields={"title": "CEO"}))
    assert [each.since for each in known(store, "1").versions] == [NOW, NOW + 6 * HOUR]


def test_what_an_activity_was_before_it_changed_is_known(store: Store) -> None:
    call = activity("a", "1")
    put_at(store, NOW, ANA, call)
    put_at(store, NOW + HOUR, replace(call, fields={"outcome": "held"}))
    put_at(store, NOW + 2 * HOUR, replace(call, deleted=True))
    replayed = [signals_at(known(store), NOW + hours * HOUR).activities for hours in range(3)]
    assert [[dict(each.fields) for each in seen] for seen in replayed] == [[{}], [{"outcome": "held"}], []]
    assert [each.until for each in known(store).activities] == [NOW + HOUR, NOW + 2 * HOUR]


def test_whose_an_activity_was_before_it_was_tied_to_somebody_else_is_known(store: Store) -> None:
    put_at(store, NOW, *(record(each) for each in "123"), activity("a", "1", "3"))
    put_at(store, NOW + HOUR, activity("a", "2", "3"))
    counted = [
        [len(signals_at(known(store, each), NOW + hours * HOUR).activities) for hours in (0, 1)] for each in "123"
    ]
    assert counted == [[1, 0], [0, 1], [1, 1]]
    assert rows(store) == (0, 2)


def test_an_activity_seen_again_or_never_believed_costs_no_row(store: Store) -> None:
    call = activity("a", "1")
    put_at(store, NOW, ANA, call)
    put_at(store, NOW + HOUR, call)
    put_at(store, NOW + HOUR, activity("b", "1"))
    put_at(store, NOW + HOUR, activity("b", "1", fields={"outcome": "held"}))
    assert rows(store) == (0, 0)


def test_an_activity_shared_by_records_of_one_lead_is_known_once(store: Store) -> None:
    put_at(store, NOW, record("1"), record("2"), activity("a", "1", "2"))
    put_at(store, NOW + HOUR, activity("a", "1", "2", kind="meeting"))
    put_at(store, NOW + 2 * HOUR, record("1", minute=1, merged_into="2"))
    told = known(store).activities
    assert [(each.signal.kind, each.records, each.until) for each in told] == [
        ("call", (key("1"), key("2")), NOW + HOUR),
        ("meeting", (key("1"), key("2")), None),
    ]


def test_what_a_record_brings_by_a_merge_is_known_of_the_lead_since_the_merge(store: Store) -> None:
    opened = Reading(key("1"), "open", 3, None, NOW)
    put_at(store, NOW, ANA, record("2", fields={"city": "Vigo"}), activity("a", "1"), opened)
    put_at(store, NOW + HOUR, later(ANA, merged_into=key("2")))
    seen = [signals_at(known(store, "2"), NOW + HOUR - back) for back in (MILLISECOND, timedelta(0))]
    assert [(len(each.activities), len(each.readings)) for each in seen] == [(0, 0), (1, 1)]
    assert [each.fields for each in seen] == [{"city": "Vigo"}] * 2
    flags = [(each.record.id, each.since, each.live, each.joined) for each in known(store, "2").versions]
    assert flags == [("1", NOW + HOUR, True, True), ("1", NOW + HOUR, False, True), ("2", NOW, True, False)]


def test_a_record_that_joined_stays_joined_since_then_when_it_is_seen_again(store: Store) -> None:
    put_at(store, NOW, ANA, record("2"), activity("a", "1"))
    put_at(store, NOW + HOUR, later(ANA, merged_into=key("2")))
    put_at(store, NOW + 2 * HOUR, later(later(ANA), merged_into=key("2"), fields={}))
    assert [each.joined for each in known(store, "2").versions] == [True, True, False, False]
    assert signals_at(known(store, "2"), NOW).activities == ()


def test_a_record_absorbed_before_we_looked_has_always_been_its_survivors(store: Store) -> None:
    with store.writing() as tx:
        mirror.begin(tx, "crm", "contacts", ())
    call = activity("a", "1", hour=1)
    put_at(store, NOW + 9 * HOUR, record("2"), replace(ANA, merged_into=key("2")), call)
    assert [each.joined for each in known(store, "2").versions] == [False, False]
    assert len(signals_at(known(store, "2"), NOW + HOUR).activities) == 1


def test_a_record_that_was_somebody_until_history_told_of_its_merge_joined_then(store: Store) -> None:
    with store.writing() as tx:
        mirror.begin(tx, "crm", "contacts", ())
    put_at(store, NOW + 8 * HOUR, ANA, record("2"), activity("a", "1"))
    put_at(store, NOW + 9 * HOUR, later(ANA, merged_into=key("2")))
    assert signals_at(known(store, "2"), NOW + 9 * HOUR - MILLISECOND).activities == ()
    assert len(signals_at(known(store, "2"), NOW + 9 * HOUR).activities) == 1


def test_a_merge_does_not_let_old_values_win_over_newer_ones(store: Store) -> None:
    put_at(store, NOW, ANA)
    put_at(store, NOW + HOUR, record("2", fields={"city": "Vigo"}))
    put_at(store, NOW + 2 * HOUR, later(ANA, merged_into=key("2")))
    put_at(store, NOW + 3 * HOUR, later(later(ANA)))  # the merge is undone in the CRM: both are live
    (lead,) = all_leads(store)
    assert len(lead.records) == 2
    assert lead.signals.fields == {"city": "Vigo", "title": "CTO", "email": "ana@x.es"}


def test_of_two_live_records_the_value_that_changed_last_counts_however_new_the_record_is(store: Store) -> None:
    put_at(store, NOW, ANA, record("2", merged_into="1"))
    put_at(store, NOW + HOUR, record("2", minute=1, fields={"city": "Vigo", "title": "Boss"}))
    put_at(store, NOW + 2 * HOUR, later(ANA, fields={"city": "Lugo", "title": "CTO"}))
    put_at(store, NOW + 3 * HOUR, record("2", minute=999, fields={"city": "Vigo", "title": "Boss", "size": 5}))
    (lead,) = all_leads(store)
    assert lead.signals.fields == {"city": "Lugo", "title": "Boss", "size": 5, "email": "ana@x.es"}
    assert signals_at(known(store), NOW + 3 * HOUR).fields == lead.signals.fields


def test_histories_come_by_id_each_once_and_those_of_nobody_are_left_out(store: Store) -> None:
    put(store, *(record(f"{number:02}") for number in range(7)))
    ids = [lead.id for lead in all_leads(store)]
    found = [each.lead for each in histories.histories(store, [*reversed(ids), ids[0], 4711], size=3)]
    assert found == ids
    assert list(histories.histories(store, [])) == []


def test_the_history_of_a_lead_that_does_not_exist_is_said_to_be_missing(store: Store) -> None:
    with pytest.raises(NotFound) as missing:
        histories.history(store, 4711)
    assert missing.value.code == "SY067"


def test_a_lead_whose_records_are_all_gone_has_a_history_still(store: Store) -> None:
    put_at(store, NOW, ANA)
    put_at(store, NOW + HOUR, later(ANA, deleted=True))
    assert signals_at(known(store), NOW).fields["title"] == "CTO"


def test_reading_histories_leaves_no_transaction_open(store: Store) -> None:
    put(store, record("1"), record("2"))
    for each in histories.histories(store, [lead.id for lead in all_leads(store)], size=1):
        put_at(store, NOW + HOUR, activity(f"of {each.lead}", "1"))  # on SQLite this waits for a reader that holds on
    assert len(known(store).activities) == 2
