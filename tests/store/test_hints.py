"""What a CRM speaks of waits until it was read again, and is never lost to a hint that comes while it is read."""

from __future__ import annotations

from syncer.model import Page, RecordKey
from syncer.store import Store, hints, mirror
from syncer.store.hints import Hint
from tests.store.samples import HOUR, NOW, key, put, record

OTHER = RecordKey("other", "contacts", "1")


def waiting(store: Store, limit: int = 100, after: RecordKey | None = None) -> list[Hint]:
    with store.reading() as tx:
        return hints.waiting(tx, "crm", limit, after)


def test_whoever_is_spoken_of_waits_once_by_key_and_connection(store: Store) -> None:
    with store.writing() as tx:
        hints.hint(tx, [key("2"), key("1"), key("2"), OTHER], NOW)
        hints.hint(tx, [], NOW)
    assert [each.key for each in waiting(store)] == [key("1"), key("2")]
    assert [each.key for each in waiting(store, 1)] == [key("1")]
    assert [each.key for each in waiting(store, 5, key("1"))] == [key("2")]


def test_what_was_read_waits_no_more(store: Store) -> None:
    with store.writing() as tx:
        hints.hint(tx, [key("1"), key("2"), OTHER], NOW)
        hints.settle(tx, hints.waiting(tx, "crm", 1))
        hints.settle(tx, [])
    assert [each.key for each in waiting(store)] == [key("2")]


def test_whoever_is_found_deleted_is_asked_for_by_name_since_they_may_be_erased(store: Store) -> None:
    put(store, record("1"), record("2"), record("3"))
    put(store, record("1", minute=1, deleted=True), record("2", minute=1, deleted=True, erased=True))
    with store.writing() as tx:
        mirror.put_back(tx, "crm", [record("3", minute=1, deleted=True)], NOW)
    assert [each.key for each in waiting(store)] == [key("1"), key("2"), key("3")], "and that they were may be wrong"
    with store.writing() as tx:
        hints.settle(tx, hints.waiting(tx, "crm", 10))
        mirror.store_page(tx, "crm", "contacts", Page(None, (record("1", minute=2, deleted=True),)), NOW)
    assert waiting(store) == [], "the answer to that very question asks nothing"


def test_what_is_spoken_of_again_while_it_is_read_waits_on(store: Store) -> None:
    for again in (NOW, NOW - HOUR, NOW + HOUR):  # the same millisecond, another machine's clock, and as it should be
        with store.writing() as tx:
            hints.hint(tx, [key("1")], NOW)
        read = waiting(store)
        with store.writing() as tx:
            hints.hint(tx, [key("1")], again)
            hints.settle(tx, read)
        left = waiting(store)
        assert [each.key for each in left] == [key("1")]
        with store.writing() as tx:
            hints.settle(tx, left)
        assert waiting(store) == []
