"""In a large mirror, daily work finds its rows by index: no statement reads a large table from end to end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from syncer.model import Answer, Cursor, Handoff, LeadPlan, Notice, Page, Reading
from syncer.store import (
    Store,
    answers,
    clocks,
    decisions,
    handed_over,
    hints,
    histories,
    leases,
    mirror,
    outbox,
    runs,
    sweeps,
    turns,
    write_backs,
)
from syncer.store.columns import from_ms
from syncer.store.payloads import HANDOFF
from syncer.store.tables import handoffs
from tests.store.samples import HOUR, NOW, activity, decided, handoff, key, planned, record

pytestmark = pytest.mark.slow  # a large mirror is built anew for each

LEADS = 20_000
LARGE = (
    "leads", "records", "activities", "activity_links", "readings", "write_backs", "transitions", "handoffs",
    "past_versions", "past_activities", "past_members", "lead_states", "decisions", "overrides", "rejected", "hints",
    "notices", "runs", "answers",
)  # fmt: skip
Seen = list[tuple[str, Any]]


@pytest.fixture
def large(store: Store) -> Store:
    """So many leads of "crm" that are decided and not due, each with a record, an activity and a write-back."""
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {LEADS})"
    yes = "true" if store.dialect == "postgresql" else "1"
    rows = {
        "leads (connection, stage, automatic, since, held_by, cause, next_look)": (
            "'crm', 'cold', 'cold', 0, 'rules', 'baseline', 9999999900000 + i"
        ),
        "records (connection, object, id, lead_id, modified_at, since, fields, email_key)": (
            "'crm', 'contacts', 'x' || i, i, 0, 0, '{}', i || '@acme.es'"
        ),
        "past_versions (connection, object, record_id, until, fields, live, counts)": (
            f"'crm', 'contacts', 'x' || i, i, '{{}}', {yes}, {yes}"
        ),
        "past_activities (connection, object, record_id, activity_id, until, kind, at, seen_at)": (
            "'crm', 'contacts', 'x' || i, 'p' || i, i, 'call', 0, 0"
        ),
        "past_members (connection, object, record_id, until, lead_id)": f"'crm', 'contacts', 'x' || i, i, i + {LEADS}",
        "activities (connection, id, kind, at, seen_at)": "'crm', 'calls/' || i, 'call', 0, 0",
        "activity_links (connection, object, record_id, activity_id)": "'crm', 'contacts', 'x' || i, 'calls/' || i",
        "lead_states (lead_id, revision, rules, model, bits, hits)": "i, 1, 'r', 'm', 'b', 'h'",
        "decisions (run_id, lead_id, revision, payload)": "1, i, 1, '{}'",
        "overrides (lead_id, stage, author, reason, source, since)": "i, 'cold', 'marta', 'so', 'cli', 0",
        "rejected (connection, stream, id, reason, first_seen, last_seen)": (
            "'c' || (i % 50), 'contacts', i, 'so', 0, 0"
        ),
        "hints (connection, object, id, at)": "'crm', 'contacts', 'x' || i, 0",
        "runs (connection, kind, started_at, outcome, counts)": "'crm', 'quick', i * 1000, 'ok', '{}'",
        "readings (connection, object, record_id, kind, seen_at, value)": "'crm', 'contacts', 'x' || i, 'open', 0, 1",
        "transitions (lead_id, at, after, cause, total, model, episode)": "i, 0, 'cold', 'baseline', 0, 'm', 0",
        "handoffs (key, lead_id, connection, object, record_id, stage, at, payload)": (
            "'h' || i, i, 'crm', 'contacts', 'x' || i, 'sql', 0, '{}'"
        ),
        "notices (key, handoff_key, connection, channel, recipient, state)": (
            "i, 'h' || i, 'c' || (i % 50), 'x', '', 'sent'"
        ),
        "write_backs (connection, object, id, seen, confirmed)": f"'crm', 'contacts', 'x' || i, {yes}, '{{}}'",
    }
    with store.writing() as tx:
        for into, values in rows.items():
            if store.dialect == "postgresql":
                tx.execute(text(f"INSERT INTO {into} {numbers} SELECT {values} FROM n"))
            else:
                tx.execute(text(f"{numbers} INSERT INTO {into} SELECT {values} FROM n"))
        tx.execute(text("ANALYZE"))
    return store


@contextmanager
def statements(store: Store) -> Iterator[Seen]:
    """Everything that is sent to the database meanwhile, each with one set of its parameters."""
    seen: Seen = []

    def note(_conn: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        seen.append((statement, parameters[0] if many and isinstance(parameters, list) else parameters))

    for engine in (store._reader, store._writer):
        event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        for engine in (store._reader, store._writer):
            event.remove(engine, "before_cursor_execute", note)


def insist_on_indexes(store: Store, seen: Seen) -> None:
    explain = "EXPLAIN" if store.dialect == "postgresql" else "EXPLAIN QUERY PLAN"
    with store.writing() as tx:
        for statement, parameters in seen:
            if statement.startswith(("SELECT", "UPDATE", "DELETE", "WITH")):
                plan = "\n".join(str(tuple(row)) for row in tx.exec_driver_sql(f"{explain} {statement}", parameters))
                scanned = [table for table in LARGE if _scans(plan, table)]
                assert scanned == [], f"{statement}\n{plan}"


def _scans(plan: str, table: str) -> bool:
    """An index that is read from end to end is no better than a table."""
    lines = plan.splitlines()
    return any(
        f"SCAN {table}" in line
        or f"Seq Scan on {table} " in line
        or (re.search(rf"Index (Only )?Scan.* on {table} ", line) is not None and "Index Cond" not in following)
        for line, following in zip(lines, [*lines[1:], ""], strict=True)
    )


def test_a_scan_is_noticed(large: Store) -> None:
    with large.reading() as tx:
        with pytest.raises(AssertionError):
            insist_on_indexes(large, [("SELECT * FROM records WHERE name = 'Ana'", ())])
        with pytest.raises(AssertionError):
            insist_on_indexes(large, [("SELECT revision FROM leads WHERE live ORDER BY id LIMIT 10", ())])
        with pytest.raises(AssertionError):
            insist_on_indexes(large, [("SELECT handoff_key FROM notices ORDER BY handoff_key LIMIT 10", ())])
        assert mirror.count(tx, "crm") == LEADS


def test_storing_a_page_scans_nothing(large: Store) -> None:
    page = Page(
        Cursor("c"),
        records=(
            record("x1", fields={"title": "CEO"}),
            record("x2", merged_into="x3"),
            record("new", merged_into="new2"),
        ),
        activities=(activity("calls/4", "x5"), activity("new", "x6"), activity("calls/7", "x7", deleted=True)),
        readings=(Reading(key("x8"), "open", 5, None, NOW),),
    )
    for same_person in (False, True):
        with statements(large) as seen, large.writing() as tx:
            mirror.store_page(tx, "crm", "contacts", page, NOW + HOUR, same_person=same_person)
        insist_on_indexes(large, seen)


def test_a_page_of_activities_reads_no_links_but_theirs_in_a_database_that_was_never_analysed(store: Store) -> None:
    if store.dialect == "postgresql":
        pytest.skip("PostgreSQL analyses by itself")
    with store.writing() as tx:
        mirror.store_page(tx, "crm", "contacts", Page(Cursor("c"), (record("x1"),)), NOW)
    with statements(store) as seen, store.writing() as tx:
        mirror.store_page(tx, "crm", "calls", Page(Cursor("c"), (), (activity("calls/4", "x1"),)), NOW)
    asked = [each for each in seen if each[0].startswith("SELECT") and "FROM activity_links" in each[0]]
    with store.reading() as tx:
        plans = [str(tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {asking}", bound).all()) for asking, bound in asked]
    assert plans
    assert all("activity_id=?" in plan or "record_id=?" in plan for plan in plans), plans


def test_sweeping_and_asking_what_is_known_scan_nothing_but_for_what_is_missing(large: Store) -> None:
    with large.writing() as tx:
        mirror.begin(tx, "crm", "contacts", ())
    page = Page(Cursor("c"), (record("x1"), record("x2")), (activity("calls/4", "x5"),))
    with statements(large) as seen, large.writing() as tx:
        going = sweeps.begin(tx, "crm", "contacts", NOW)
        mirror.store_page(tx, "crm", "contacts", page, NOW, sweep=going.number)
        assert mirror.known(tx, "crm", "contacts", ["x1", "x3", "new"]).keys() == {"x1", "x3"}
        hints.hint(tx, [key("x1"), key("x2")], NOW)
        hints.settle(tx, hints.waiting(tx, "crm", 10))
        hints.waiting(tx, "crm", 10, key("x15"))
        sweeps.due(tx, "crm", {"contacts": HOUR, "calls": HOUR}, NOW)
        assert len(sweeps.unswept(tx, "crm", "contacts", going.number, None, 1000, people=True)) == 1000
        assert len(sweeps.unswept(tx, "crm", "contacts", going.number, "x15", 1000, people=True)) == 1000
        assert len(sweeps.unswept(tx, "crm", "calls", 1, None, 1000, people=False)) == 1000
        assert len(sweeps.unswept(tx, "crm", "calls", 1, "15", 1000, people=False)) == 1000
        mirror.settle(tx, "crm", "contacts", ["x1"])
    insist_on_indexes(large, seen)


def test_what_a_run_looks_up_before_it_begins_scans_nothing(large: Store) -> None:
    long_ago = from_ms((LEADS - 50) * 1000)
    with statements(large) as seen, large.writing() as tx:
        assert runs.spent(tx, "crm", long_ago) == 0
        assert runs.parked(tx, "crm", NOW) is None
        assert runs.last(tx, "crm", 3, "quick")
        runs.start(tx, "crm", long_ago)
        outbox.anything_due(tx, "crm", NOW)
        decisions.drop_old_plans(tx, "crm", from_ms(0))
    insist_on_indexes(large, seen)


def test_what_is_due_is_found_without_reading_all_that_was_ever_sent(large: Store) -> None:
    with large.writing() as tx:
        tx.execute(text("UPDATE notices SET connection = 'crm', channel = 'mail', sent_at = 0"))
        if large.dialect == "sqlite":  # as it is with us: it has never been told how many rows there are of what
            tx.execute(text("DELETE FROM sqlite_stat1"))
        tx.execute(text("ANALYZE sqlite_schema" if large.dialect == "sqlite" else "ANALYZE"))
    with statements(large) as seen, large.writing() as tx:
        outbox.anything_due(tx, "crm", NOW)
        outbox.due_over(tx, "crm", NOW)
        outbox.due(tx, "crm", NOW, 10, outbox.Which("mail", unsure=False))
        outbox.due_to(tx, "crm", "mail", NOW)
        outbox.sent_to(tx, "crm", "mail", NOW)
        outbox.uncertain_digests(tx, "crm", "mail", NOW)
        outbox.of_digest(tx, "crm", "mail", "d1")
        outbox.rest(tx, "crm", "mail", NOW, outbox.Rest(NOW + HOUR, HOUR))
        outbox.rest(tx, "crm", "mail", NOW, outbox.Rest(NOW + HOUR))
        outbox.recover(tx, "crm")
        clocks.anything_owed(tx, "crm")
        outbox.is_followed(tx, _AN_ALERT)
    insist_on_indexes(large, seen)
    with large.reading() as tx:
        for statement, parameters in seen if large.dialect == "sqlite" else ():
            plan = "\n".join(str(row) for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters))
            assert "(connection=?)" not in plan, f"all of a connection's messages are read: {statement}\n{plan}"


def test_choosing_who_gets_a_hand_off_scans_nothing(large: Store) -> None:
    with large.writing() as tx:
        tx.execute(text("UPDATE handoffs SET assigned_to = 'p' || (lead_id % 50) || '@acme.es', assigned_at = lead_id"))
        tx.execute(text("ANALYZE"))
    with statements(large) as seen, large.writing() as tx:
        assert turns.loads(tx, {"p1@acme.es": from_ms(0), "p2@acme.es": from_ms(LEADS - 100)})["p2@acme.es"] == 2
        turns.all_turns(tx)
    insist_on_indexes(large, seen)


def test_a_page_of_hand_offs_reads_no_more_than_it_shows(large: Store) -> None:
    with large.writing() as tx:
        told = {"payload": _A_HANDOFF}
        tx.execute(text("UPDATE handoffs SET payload = :payload, at = lead_id, for_whom = 'p' || (lead_id % 50)"), told)
        tx.execute(text("UPDATE handoffs SET touched_at = lead_id WHERE lead_id > 9000"))
        tx.execute(text("UPDATE handoffs SET due_at = lead_id WHERE lead_id > 5000"))
        tx.execute(text("UPDATE notices SET connection = 'crm', state = 'dead' WHERE key IN ('1', '9', '12')"))
        tx.execute(text("ANALYZE"))
    wanted, some = handed_over.Wanted(("crm",), NOW), handed_over.Place(from_ms(8_000), "h9", from_ms(8_000))
    sizes: dict[handed_over.Only | None, tuple[int, int]] = {
        None: (50, 50), "open": (50, 50), "late": (50, 20), "unsent": (3, 0),
    }  # fmt: skip
    with statements(large) as seen, large.reading() as tx:
        for only, size in sizes.items():
            chosen = replace(wanted, only=only)
            hers = handed_over.after(tx, replace(chosen, person="p7"), some, 50)
            assert (len(handed_over.after(tx, chosen, None, 50)), len(hers)) == size
        assert len(handed_over.after(tx, replace(wanted, only="open"), handed_over.Place(from_ms(30), "h"), 50)) == 29
        handed_over.kept_by_route(tx, replace(wanted, since=from_ms(LEADS - 50)))
    insist_on_indexes(large, seen)
    explain = "EXPLAIN" if large.dialect == "postgresql" else "EXPLAIN QUERY PLAN"
    with large.reading() as tx:
        walks = [each for each in seen if re.match(r'SELECT handoffs\."?key"? \nFROM', each[0])]
        assert len(walks) == 10
        for statement, bound in walks:
            plan = "\n".join(str(tuple(row)) for row in tx.exec_driver_sql(f"{explain} {statement}", bound))
            along = any(name in plan for name in ("ix_handoffs_at", "ix_handoffs_open", "notices"))
            assert along, f"not along the list: {statement}\n{plan}"


def test_erasing_people_scans_nothing(large: Store) -> None:
    gone = tuple(record(each, minute=1, deleted=True, erased=True) for each in ("x1", "x2"))
    with large.writing() as tx:
        told = {"payload": HANDOFF.text(handoff(mirror.lead(large, 1)))}
        tx.execute(text("UPDATE handoffs SET payload = :payload WHERE key IN ('h1', 'h2')"), told)
    with statements(large) as seen, large.writing() as tx:
        mirror.store_page(tx, "crm", "contacts", Page(None, gone), NOW + HOUR)
    insist_on_indexes(large, seen)


def test_splitting_and_joining_leads_by_their_address_scans_nothing(large: Store) -> None:
    for minute, email in enumerate(("ana@acme.es", None, "ana@acme.es")):
        told = tuple(record(each, minute=minute, email=email) for each in ("x1", "x2", "x3"))
        with statements(large) as seen, large.writing() as tx:
            mirror.store_page(tx, "crm", "contacts", Page(Cursor("c"), told), NOW, same_person=True)
        insist_on_indexes(large, seen)


def test_finding_and_reading_due_leads_scans_nothing(large: Store) -> None:
    with large.writing() as tx:
        touched = tuple(activity(f"n{number}", f"x{number}") for number in range(1, 101))
        mirror.store_page(tx, "crm", "contacts", Page(Cursor("c"), activities=touched), NOW)
    with statements(large) as seen:
        found = [lead for chunk in mirror.chunks(large, "crm", which="due", now=NOW, size=60) for lead in chunk]
    assert len(found) == 100
    assert all(len(lead.signals.activities) == 2 for lead in found)
    insist_on_indexes(large, seen)


def test_reading_histories_scans_nothing(large: Store) -> None:
    with statements(large) as seen:
        found = list(histories.histories(large, range(1, 101), size=60))
    assert [(len(each.versions), len(each.activities), len(each.readings)) for each in found] == [(2, 2, 1)] * 100
    assert len([statement for statement, _ in seen if statement.startswith("SELECT")]) == 2 * 6
    insist_on_indexes(large, seen)


def test_the_past_of_a_record_is_asked_only_where_two_may_disagree(large: Store) -> None:
    with large.writing() as tx:
        tx.execute(text("UPDATE records SET lead_id = 2 WHERE id = 'x1'"))
    with statements(large) as seen:
        mirror.lead(large, 3)
        assert not [statement for statement, _ in seen if "past_versions" in statement]
        mirror.lead(large, 2)
    assert [statement for statement, _ in seen if "past_versions" in statement]
    insist_on_indexes(large, seen)


def test_the_number_of_statements_of_a_chunk_does_not_depend_on_its_size(large: Store) -> None:
    def needed(size: int) -> int:
        with statements(large) as seen:
            next(mirror.chunks(large, "crm", which="all", now=NOW, size=size))
        return len([statement for statement, _ in seen if statement.startswith("SELECT")])

    assert needed(1) == needed(1000) == 5


def test_deciding_writing_and_telling_scan_nothing(large: Store) -> None:
    (leads,) = mirror.chunks(large, "crm", which=range(1, 41), now=NOW)
    told = handoff(leads[0])
    plans = [*(planned(lead, "sql") for lead in leads[:20]), *(LeadPlan(decided(lead, "mql")) for lead in leads[20:])]
    plans[0] = LeadPlan(plans[0].decision, plans[0].changes, told)
    with statements(large) as seen:
        lease = leases.take(large, "crm", holder="a", ttl_s=60)
        with large.writing(lease) as tx:
            _daily_work(tx, plans)
    insist_on_indexes(large, seen)


def test_looking_who_has_acted_on_a_hand_off_scans_nothing(large: Store) -> None:
    with large.writing() as tx:
        tx.execute(handoffs.update().where(handoffs.c.lead_id < 9).values(payload=_A_HANDOFF, look_at=NOW))
    with statements(large) as seen, large.writing() as tx:
        waiting = clocks.due(tx, "crm", NOW, 100)
        assert len(waiting) == 8
        assert clocks.anything_due(tx, "crm", NOW)
        assert len(clocks.waiting(tx, range(1, 5))) == 4
        assert set(clocks.deeds(tx, [1, 2, 3], ["call"], from_ms(-1))) == {1, 2, 3}
        for each in waiting[:2]:
            clocks.tell(tx, f"h{each.lead}", NOW, NOW, NOW)
            clocks.reminded(tx, f"h{each.lead}", NOW, NOW)
            clocks.touch(tx, each, clocks.Touch(NOW, "call"), None)
    insist_on_indexes(large, seen)


def test_hearing_what_sales_has_answered_scans_nothing(large: Store) -> None:
    told = tuple(record(f"x{number}", minute=number, fields={"answer": "no"}) for number in range(1, 61))
    with large.writing() as tx:
        mirror.store_page(tx, "crm", "contacts", Page(Cursor("c"), told), NOW)
        tx.execute(handoffs.update().where(handoffs.c.lead_id > 10).values(closed_at=NOW))
        tx.execute(handoffs.update().where(handoffs.c.lead_id <= 10).values(payload=_A_HANDOFF))
        for number in range(5, 1000):
            answers.keep(tx, f"h{number}", Answer(number > 6, "luis", NOW, "link"))
        tx.execute(text("ANALYZE"))
    with statements(large) as seen, large.writing() as tx:
        asked = answers.may_have_answers(tx, "crm")
        assert sorted(each.lead for each in asked) == [1, 2, 3, 4, 7, 8, 9, 10]
        assert answers.of(tx, [each.key for each in asked]).keys() == {"h7", "h8", "h9", "h10"}
        assert len(answers.modified(tx, [key("x1"), key("x2")])) == 2
        assert answers.lock(tx, "nobody") is None
        answers.untell(tx, "h1", "rejected")
    insist_on_indexes(large, seen)


_AN_ALERT = Handoff("h", 1, key("x1"), 1, "sql", 0, NOW, None, None, None, None)
_A_HANDOFF = HANDOFF.text(_AN_ALERT)


def _daily_work(tx: Connection, plans: list[LeadPlan]) -> None:
    run = runs.start(tx, "crm", NOW)
    decisions.save_plan(tx, run, plans)
    decisions.apply(tx, run, plans, (), NOW + HOUR)
    decisions.transitions(tx, plans[0].decision.lead)
    for change in write_backs.pending(tx, "crm", NOW, order=["sql", "mql", "cold"], limit=20):
        write_backs.put_off(tx, change.record, "later", NOW)
        outbox.withhold(tx, change.record, "not now")
    outbox.recover(tx, "crm")
    outbox.due(tx, "crm", NOW)
    last = Notice("k1", _AN_ALERT, "mail", "ana@acme.es")
    outbox.due(tx, "crm", NOW, 10, outbox.Which("mail", "ana@acme.es", "handoff", last))
    outbox.due_over(tx, "crm", NOW)
    outbox.due_to(tx, "crm", "mail", NOW)
    outbox.sent_to(tx, "crm", "mail", NOW)
    outbox.uncertain_digests(tx, "crm", "mail", NOW)
    outbox.of_digest(tx, "crm", "mail", "d1")
    outbox.rest(tx, "crm", "mail", NOW, outbox.Rest(NOW + HOUR, HOUR))
    mirror.find(tx, "ana@acme.es")
    mirror.find(tx, "crm/contacts/x9")
    mirror.touched_count(tx, "crm")
