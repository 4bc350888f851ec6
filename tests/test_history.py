"""What was known of a lead at a time, out of everything that was ever known."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from syncer.history import History, KnownActivity, Version, merged_fields, same_value, signals_at
from syncer.model import ActivitySignal, Reading, RecordKey, Signals, Value

ONE, TWO = RecordKey("crm", "contacts", "1"), RecordKey("crm", "contacts", "2")


def day(number: int) -> datetime:
    return datetime(2026, 3, 1, tzinfo=UTC) + timedelta(days=number)


def version(since: int, record: RecordKey = ONE, **fields: Value) -> Version:
    return Version(record, day(since), fields)


def activity(seen: int | None, until: int | None = None, *, at: int = 0, kind: str = "call") -> KnownActivity:
    signal = ActivitySignal(kind, day(at), seen_at=None if seen is None else day(seen))
    return KnownActivity("crm/a", (ONE,), signal, None if until is None else day(until))


def kinds(history: History, number: int) -> list[str]:
    return [each.kind for each in signals_at(history, day(number)).activities]


def test_before_anything_was_known_there_is_nothing_to_see() -> None:
    reading = Reading(ONE, "open", 1, None, day(1))
    known = History(7, (version(1, title="CEO"),), (activity(1),), (reading,))
    assert signals_at(known, day(0)) == Signals(7)
    assert signals_at(known, day(1)) == Signals(7, {"title": "CEO"}, (activity(1).signal,), (reading,))


def test_a_version_counts_from_the_moment_it_was_known_until_the_next() -> None:
    known = History(1, (version(1, title="CTO", city="Bilbao"), version(3, title="CEO")))
    assert signals_at(known, day(3) - timedelta(milliseconds=1)).fields == {"title": "CTO", "city": "Bilbao"}
    assert signals_at(known, day(3)).fields == {"title": "CEO"}


def test_an_activity_is_believed_from_when_it_was_seen_until_it_changed() -> None:
    known = History(1, (version(0),), (activity(1, 3), activity(3, 5, kind="meeting")))
    assert [kinds(known, each) for each in range(6)] == [[], ["call"], ["call"], ["meeting"], ["meeting"], []]


def test_a_counter_shows_what_had_been_read_of_it_by_then() -> None:
    shown = tuple(Reading(ONE, "open", value, None, day(value)) for value in (1, 3))
    known = History(1, (version(0),), (), shown)
    assert [len(signals_at(known, day(each)).readings) for each in range(4)] == [0, 1, 1, 2]


def test_an_activity_of_which_nobody_noted_when_it_was_seen_is_known_since_it_happened() -> None:
    known = History(1, (version(0),), (activity(None, at=2),))
    assert [kinds(known, each) for each in (1, 2)] == [[], ["call"]]


def test_history_told_later_does_not_change_what_had_been_known_of_the_same_activity() -> None:
    known = History(1, (version(0),), (activity(1, 3), activity(0, kind="meeting")))
    assert [kinds(known, each) for each in range(4)] == [["meeting"], ["call"], ["call"], ["meeting"]]


def test_activities_come_by_time_and_then_by_id() -> None:
    early, late = activity(0, at=1, kind="early"), activity(0, at=2, kind="late")
    twin = replace(early, id="crm/b", signal=replace(early.signal, kind="twin"))
    known = History(1, (version(0),), (replace(late, id="crm/0"), twin, early))
    assert kinds(known, 3) == ["early", "twin", "late"]


def test_what_an_absorbed_record_did_counts_and_what_it_shows_does_not() -> None:
    reading = Reading(ONE, "open", 1, None, day(0))
    absorbed = replace(version(2, title="CEO"), live=False)
    known = History(1, (version(0, title="CEO"), absorbed, version(0, TWO, city="Bilbao")), (activity(0),), (reading,))
    seen = signals_at(known, day(2))
    assert (seen.fields, len(seen.activities), seen.readings) == ({"city": "Bilbao"}, 1, (reading,))


def test_of_a_deleted_record_nothing_counts() -> None:
    reading = Reading(ONE, "open", 1, None, day(0))
    gone = replace(version(2, title="CEO"), live=False, counts=False)
    known = History(1, (version(0, title="CEO"), gone), (activity(0),), (reading,))
    assert len(signals_at(known, day(1)).activities) == 1
    assert signals_at(known, day(2)) == Signals(1)


def test_an_activity_shared_with_a_record_that_still_counts_goes_on_counting() -> None:
    gone = replace(version(2), live=False, counts=False)
    shared = replace(activity(0), records=(ONE, TWO))
    known = History(1, (version(0), gone, version(0, TWO)), (shared,))
    assert kinds(known, 2) == ["call"]


def test_what_a_record_brings_by_a_merge_counts_only_from_the_merge_on() -> None:
    reading = Reading(ONE, "open", 1, None, day(0))
    joined = Version(ONE, day(3), {"title": "CEO"}, joined=True, true_since=day(0))
    known = History(1, (joined, version(0, TWO)), (activity(0),), (reading,))
    assert signals_at(known, day(2)) == Signals(1)
    assert signals_at(known, day(3)) == Signals(1, {"title": "CEO"}, (activity(0).signal,), (reading,))


def test_where_two_records_disagree_the_value_that_changed_last_counts() -> None:
    one = [version(0, title="CTO", city="Bilbao"), version(4, title="CEO", city="Bilbao")]
    two = [version(2, TWO, title="Boss", city="Vigo")]
    assert merged_fields([one, two]) == merged_fields([two, one]) == {"title": "CEO", "city": "Vigo"}


def test_a_value_that_was_cleared_leaves_the_word_to_the_other_record() -> None:
    assert merged_fields([[version(0, city="Bilbao"), version(4)], [version(2, TWO, city="Vigo")]]) == {"city": "Vigo"}


def test_a_value_that_came_back_counts_from_its_return() -> None:
    one = [version(0, city="Bilbao"), version(2, city="Lugo"), version(4, city="Bilbao")]
    assert merged_fields([one, [version(3, TWO, city="Vigo")]]) == {"city": "Bilbao"}


def test_a_merge_does_not_make_old_values_new() -> None:
    joined = Version(ONE, day(9), {"city": "Bilbao"}, joined=True, true_since=day(0))
    assert merged_fields([[joined], [version(3, TWO, city="Vigo")]]) == {"city": "Vigo"}


def test_of_two_values_as_old_as_each_other_always_the_same_counts() -> None:
    pair = [[version(0, city="Bilbao")], [version(0, TWO, city="Vigo")]]
    assert merged_fields(pair) == merged_fields(pair[::-1]) == {"city": "Vigo"}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("a", "a", True), ("a", "A", False), (1, 1, True), (1, 1.0, False), (1, True, False), (0, None, False)],
)
def test_values_are_the_same_only_if_no_rule_can_tell_them_apart(one: Value, other: Value, same: bool) -> None:
    assert same_value(one, other) is same
