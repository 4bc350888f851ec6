"""Whoever is erased in the CRM leaves the database: no table, and no byte of the file, says who it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from syncer.model import (
    Activity,
    Change,
    Contribution,
    Cursor,
    Did,
    Lead,
    LeadPlan,
    Notice,
    Override,
    Page,
    Reading,
    Record,
    Rejected,
    Score,
    Standing,
)
from syncer.store import Store, decisions, hints, mirror, open_store, outbox, runs, write_backs
from syncer.store.tables import metadata, records
from tests.store.samples import (
    HOUR,
    NOW,
    activity,
    all_leads,
    apply,
    decided,
    handoff,
    key,
    planned,
    put,
    record,
    the_lead,
)

WORD = "Zsofia"
"""Stands in everything that is known of her, and nowhere else."""
ERASED = record("1", minute=60 * 24, deleted=True, erased=True)


def erase(store: Store, *values: Record) -> None:
    """The CRM says so twice; see the test of it."""
    for _ in range(2):
        put(store, *values or (ERASED,))


def told_of(store: Store) -> list[tuple[str, object]]:
    """(table, row) of every row in which she is named."""
    with store.reading() as tx:
        rows = [(table.name, row) for table in metadata.sorted_tables for row in tx.execute(select(table))]
    return [(name, row) for name, row in rows if WORD.lower() in repr(row).lower()]


def zsofia(record_id: str = "1", minute: int = 0, **values: object) -> Record:
    shown = {
        "email": f"{WORD}@acme.es",
        "name": f"{WORD} Varga",
        "owner": f"{WORD}s-rep@us.com",
        "url": f"https://crm/{WORD}",
        "fields": {"title": f"{WORD}, CEO", "staff": 12},
        "stage": "mql",
        "stage_by": f"{WORD}@acme.es",
        "lifecycle": f"{WORD}'s own",
    }
    return record(record_id, minute=minute, **{**shown, **values})


def live_through(store: Store) -> None:
    """Everything that a lead may leave in the database: changes, deeds, counters, a hand-off, words of people, a plan
    that waits, a write that was refused."""
    put(store, zsofia(fields={"title": f"{WORD}, CTO"}), record("2", email="ben@acme.es"))
    put(store, activity("calls/1", "1", fields={"title": f"With {WORD}"}), activity("calls/2", "1", "2"))
    edited = activity("calls/1", "1", fields={"title": f"Without {WORD}"})
    with store.writing() as tx:
        mirror.store_page(tx, "crm", "calls", Page(Cursor("c"), activities=(edited,)), NOW + HOUR)
    put(store, readings=(Reading(key("1"), "open", 5, None, NOW),))
    put(store, zsofia(minute=1), rejected=(Rejected("calls/1", f"{WORD} is no date"), Rejected("1", f"what {WORD} is")))
    lead = the_lead(store, "1")
    told = replace(
        handoff(lead), reasons=(f"{WORD} asked",), fields={"title": WORD}, email=f"{WORD}@acme.es", name=WORD
    )
    notices = [Notice(f"n{state}", told, "hook", "", state=state) for state in ("waiting", "uncertain", "sent")]
    apply(store, LeadPlan(decided(lead, "sql"), handoff=told), notices=tuple(notices))
    word = Override("cold", "marta", f"{WORD} told me so", "cli", NOW)
    reason = Contribution("fit.1", "Is a CEO", "fit", 1000, f"{WORD}, CEO", "m.yml:1")
    with store.writing() as tx:
        decisions.set_override(tx, lead.id, word)
        change = Change(key("1"), Standing(), Standing(1, "sql", f"{WORD} asked"), "activity")
        plan = decided(lead, "sql", score=Score(lead.id, NOW, "m", {}, 0, (reason,)))
        decisions.save_plan(tx, runs.start(tx, "crm", NOW), [LeadPlan(plan, (change,), told)])
        write_backs.keep(tx, [LeadPlan(decided(lead, "sql"), (change,))])
        write_backs.put_off(tx, key("1"), f"no {WORD} here", NOW)
        hints.hint(tx, [key("1")], NOW)


def states(store: Store) -> dict[str, str]:
    with store.reading() as tx:
        ((_, _, notices),) = outbox.handoffs(tx, "crm")
    return {each.key: each.state for each in notices}


def test_nothing_personal_is_left_in_any_table(store: Store) -> None:
    live_through(store)
    tables = {name for name, _ in told_of(store)}
    assert tables >= {
        *("records", "past_versions", "activities", "past_activities", "rejected"),
        *("handoffs", "overrides", "decisions", "write_backs"),
    }, "the test looks at what it should"
    erase(store)
    assert told_of(store) == []
    with store.reading() as tx:
        left = {row.id: row.erased for row in tx.execute(select(records))}
        assert left == {"1": True, "2": False}
        assert hints.waiting(tx, "crm", 10) == []
        assert tx.execute(select(metadata.tables["readings"])).all() == []
    assert states(store) == {"nwaiting": "dropped", "nuncertain": "dropped", "nsent": "sent"}


def test_no_byte_of_the_database_file_says_who_it_was(sqlite_template: Path, tmp_path: Path) -> None:
    path = tmp_path / "syncer.db"
    path.write_bytes(sqlite_template.read_bytes())
    store = open_store(f"sqlite:///{path}")
    live_through(store)
    filler = [record(f"9{each}", fields={"text": "x" * 700}) for each in range(60)]  # so that pages are split
    put(store, *filler, *(zsofia(f"8{each}", fields={"text": f"{WORD} " * 90}) for each in range(40)))
    erase(store, ERASED, *(record(f"8{each}", minute=2, deleted=True, erased=True) for each in range(40)))
    files = {each.name: each.read_bytes().lower() for each in tmp_path.glob("syncer.db*")}
    assert "syncer.db-wal" in files, "the store is open still"
    assert [name for name, content in files.items() if WORD.lower().encode() in content] == []
    store.close()
    assert list(tmp_path.glob("syncer.db*")) == [path]
    assert WORD.lower().encode() not in path.read_bytes().lower()


def test_what_belongs_to_others_stays(store: Store) -> None:
    live_through(store)
    erase(store)
    (call,) = the_lead(store, "2").signals.activities
    assert call.kind == "call"
    assert [lead.records[0].email for lead in all_leads(store)] == ["ben@acme.es"]


def test_whoever_was_merged_into_them_is_the_same_person(store: Store) -> None:
    put(store, zsofia("1"), zsofia("3", merged_into="4"), zsofia("4", merged_into="1"), record("2"))
    put(store, activity("a", "3", fields={"title": WORD}))
    erase(store)
    assert told_of(store) == []


def test_an_absorbed_record_that_is_erased_leaves_its_survivor_alone(store: Store) -> None:
    put(store, record("2", email="ben@acme.es"), zsofia("1", merged_into="2"), activity("a", "2"), activity("b", "1"))
    erase(store)
    assert told_of(store) == []
    lead = the_lead(store, "2")
    assert (lead.records[0].email, len(lead.signals.activities)) == ("ben@acme.es", 1)
    assert lead.state.touched


def told(store: Store, each: Record, way: str, *deeds: Activity) -> None:
    page = Page(Cursor("c") if way in ("pull", "sweep") else None, (each,), deeds)
    with store.writing() as tx:
        if way == "read_back":
            mirror.put_back(tx, "crm", [each], NOW + HOUR)
        else:
            mirror.store_page(tx, "crm", "contacts", page, NOW + HOUR, sweep=1 if way == "sweep" else None)


WAYS = ("pull", "sweep", "fetch", "read_back")


@pytest.mark.parametrize("way", WAYS)
def test_that_somebody_was_erased_is_believed_when_it_is_said_of_one_who_is_gone(store: Store, way: str) -> None:
    put(store, zsofia(minute=60 * 48), activity("calls/1", "1", fields={"title": f"With {WORD}"}))
    told(store, ERASED, way)
    assert all_leads(store) == [], "it counts as a deletion however old it says it is"
    with store.reading() as tx:
        assert tx.execute(select(records.c.erased, records.c.modified_at)).all() == [(False, NOW + 48 * HOUR)]
    told(store, zsofia(minute=60 * 48), way)
    assert [lead.records[0] for lead in all_leads(store)] == [zsofia(minute=60 * 48)], "the CRM had stumbled"
    assert len(the_lead(store, "1").signals.activities) == 1
    told(store, ERASED, way)
    told(store, ERASED, way)
    assert told_of(store) == []


@pytest.mark.parametrize("way", WAYS)
def test_who_was_erased_and_is_shown_alive_again_is_a_new_record(store: Store, way: str) -> None:
    put(store, zsofia(), activity("calls/1", "1"))
    erase(store)
    shown = record("1", email="ana@acme.es", fields={"title": "CTO"})
    told(store, shown, way, activity("calls/2", "1"))
    (lead,) = all_leads(store)
    assert lead.records == (shown,)
    assert len(lead.signals.activities) == (0 if way == "read_back" else 1), "what was done then, and nothing before"
    assert told_of(store) == []


def test_an_older_page_of_a_pull_brings_nobody_back_and_says_nothing_of_them(store: Store) -> None:
    put(store, zsofia(minute=5))
    erase(store)
    deeds = (activity("calls/1", "1", fields={"title": WORD}), activity("calls/2", "1", "2"))
    put(store, zsofia(minute=4), *deeds, readings=(Reading(key("1"), "open", 5, None, NOW),))
    assert told_of(store) == []
    assert all_leads(store) == []


@pytest.mark.parametrize("way", WAYS)
def test_one_who_is_gone_and_was_never_stored_leaves_no_trace(store: Store, way: str) -> None:
    for gone in (replace(zsofia(minute=5), erased=True, deleted=True), zsofia(minute=5, deleted=True)):
        told(store, gone, way)
    with store.reading() as tx:
        assert tx.execute(select(records)).all() == []
        assert tx.execute(select(metadata.tables["leads"])).all() == []
        assert hints.waiting(tx, "crm", 10) == []
    put(store, zsofia())
    assert [lead.records[0].name for lead in all_leads(store)] == [f"{WORD} Varga"], "the CRM had not shown them yet"


def test_what_people_said_of_a_lead_stays_with_its_other_record(store: Store) -> None:
    for name, each in (("crm", zsofia()), ("other", replace(zsofia(), key=key("1")._replace(connection="other")))):
        with store.writing() as tx:
            mirror.store_page(tx, name, "contacts", Page(Cursor("c"), (each,)), NOW, same_person=True)
    lead = the_lead(store, "1")
    assert len(lead.records) == 2
    apply(store, planned(lead, "cold"))
    with store.writing() as tx:
        decisions.set_override(tx, lead.id, Override("cold", "marta", "a competitor", "cli", NOW))
        for _ in range(2):
            mirror.store_page(tx, "crm", "contacts", Page(Cursor("c"), (ERASED,)), NOW, same_person=True)
    after = the_lead(store, "1")
    assert [each.key.connection for each in mirror.lead(store, lead.id).records] == ["other"]
    assert after.state.override is not None
    assert after.state.override.reason == "a competitor"


def both_of(store: Store) -> Lead:
    """Two records of one connection that show one address are one lead."""
    told = (zsofia(), record("2", email=f"{WORD}@acme.es".upper(), name="Z. V.", owner="ben@us.com", url="u2"))
    with store.writing() as tx:
        mirror.store_page(tx, "crm", "contacts", Page(Cursor("c"), told), NOW, same_person=True)
    lead = the_lead(store, "1")
    assert len(lead.records) == 2
    return lead


@pytest.mark.parametrize("named", ["1", "2"])
def test_a_queued_message_tells_of_the_other_record_that_lives_and_that_the_rest_was_erased(
    store: Store, named: str
) -> None:
    lead = both_of(store)
    (first,) = [each for each in lead.records if each.key.id == named]
    queued = replace(
        handoff(lead), record=first.key, email=first.email, name=first.name, owner=first.owner, url=first.url,
        fields={"title": f"{WORD}, CEO"}, reasons=(f"{WORD} asked",), did=(Did("call", NOW),), missing=(WORD,),
    )  # fmt: skip
    notices = (Notice("n1", queued, "hook", "", state="ready"), Notice("n2", queued, "hook", "", state="waiting"))
    apply(store, LeadPlan(decided(lead, "sql"), handoff=queued), notices=notices)
    with store.writing() as tx:
        for _ in range(2):
            mirror.store_page(tx, "crm", "contacts", Page(None, (ERASED,)), NOW, same_person=True)
        outbox.release(tx, [key("2")])
    assert states(store) == {"n1": "ready", "n2": "ready"}
    with store.reading() as tx:
        ((told, closed_at, _),) = outbox.handoffs(tx, "crm")
    assert closed_at is None
    assert (told.record, told.name, told.owner, told.url) == (key("2"), "Z. V.", "ben@us.com", "u2")
    assert (told.stage, told.total, dict(told.fields)) == ("sql", 5000, {})
    assert told.reasons == ("what else was known was erased in the CRM",)
    assert (told.did, told.missing) == ((), ())
