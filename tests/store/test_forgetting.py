"""Whoever asks to be forgotten leaves the database, and their CRM, which still has them, brings nothing back."""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select, text

from syncer.errors import LeaseLost, TemporaryError
from syncer.model import Cursor, LeadPlan, Page, Reading, Rejected
from syncer.store import Lease, Store, erasure, forgetting, hints, leases, mirror, open_store, people, sweeps, traces
from syncer.store.forgetting import Held
from syncer.store.records import Forgotten
from syncer.store.tables import leads, metadata, records, rejected
from syncer.store.traces import Trace
from tests.store.samples import (
    HOUR,
    NOW,
    activity,
    all_leads,
    apply,
    decided,
    due_ids,
    handoff,
    key,
    put,
    record,
    the_lead,
)
from tests.store.test_erasure import WAYS, WORD, live_through, states, told, told_of, zsofia

BY = Forgotten(NOW, "privacy desk")


def person(store: Store, *lead_ids: int) -> Held:
    with store.reading() as tx:
        return forgetting.held(tx, lead_ids)


@contextmanager
def taken(store: Store, *connections: str) -> Iterator[list[Lease]]:
    with forgetting.leased(store, connections, "desk", 0, lambda name: None) as held:
        yield held


def forget(store: Store, record_id: str = "1") -> Held:
    them = person(store, the_lead(store, record_id).id)
    with taken(store, *them.connections) as held:
        forgetting.forget(store, held, them, BY)
    return them


def test_nothing_of_them_is_left_but_who_asked_for_it_and_when(store: Store) -> None:
    live_through(store)
    lead_id = the_lead(store, "1").id
    them = forget(store)
    assert told_of(store) == []
    assert [lead.records[0].email for lead in all_leads(store)] == ["ben@acme.es"]
    with store.reading() as tx:
        assert erasure.forgotten(tx, lead_id) == BY
        assert erasure.forgotten(tx, the_lead(store, "2").id) is None
        assert mirror.find(tx, f"{WORD}@acme.es") == []
        assert mirror.find(tx, "crm/contacts/1") == [lead_id]
        searched = traces.search(tx, traces.needles(them.traces), them.keys)
    assert (searched.found, searched.keys) == ((), 0)
    assert searched.cells > 20
    assert states(store) == {"nwaiting": "dropped", "nuncertain": "dropped", "nsent": "sent"}
    assert lead_id not in due_ids(store)


def test_what_is_held_is_counted_and_known_by_values_that_name_one_person(store: Store) -> None:
    live_through(store)
    them = person(store, the_lead(store, "1").id)
    assert them.keys == (key("1"),)
    assert them.emails == (f"{WORD}@acme.es".lower(),)
    assert {Trace("name", f"{WORD} Varga"), Trace("page in the CRM", f"https://crm/{WORD}")} < set(them.traces)
    assert (them.rows["records"], them.rows["handoffs"], them.rows["notices"], them.rows["overrides"]) == (1, 1, 3, 1)
    assert them.rows["past_versions"] >= 1
    assert them.connections == ("crm",)


@pytest.mark.parametrize("way", WAYS)
def test_a_crm_that_goes_on_showing_them_brings_nothing_back(store: Store, way: str) -> None:
    live_through(store)
    forget(store)
    for minute in (1, 60 * 48):
        told(store, zsofia(minute=minute), way, activity("calls/9", "1", fields={"title": WORD}))
    told(store, replace(zsofia(minute=60 * 72), deleted=True), way)
    told(store, record("1", minute=60 * 72, deleted=True, erased=True), way)
    assert told_of(store) == []
    assert [lead.records[0].email for lead in all_leads(store)] == ["ben@acme.es"]
    with store.reading() as tx:
        assert hints.waiting(tx, "crm", 10) == []
        assert erasure.forgotten(tx, mirror.find(tx, "crm/contacts/1")[0]) == BY


def test_neither_do_counters_nor_what_could_not_be_read_of_them(store: Store) -> None:
    live_through(store)
    forget(store)
    put(store, readings=(Reading(key("1"), "open", 9, None, NOW + HOUR),))
    put(store, zsofia(minute=9), rejected=(Rejected("1", f"{WORD} is no number"), Rejected("2", "no number")))
    assert told_of(store) == []
    with store.reading() as tx:
        assert tx.execute(select(rejected.c.id)).scalars().all() == ["2"], "others' are told of"


def test_a_sweep_does_not_ask_for_them(store: Store) -> None:
    live_through(store)
    with store.writing() as tx:
        mirror.end(tx, "crm", "contacts", NOW)
    forget(store)
    with store.writing() as tx:
        number = sweeps.begin(tx, "crm", "contacts", NOW).number
        assert sweeps.unswept(tx, "crm", "contacts", number, None, 10, people=True) == ["2"]


def test_a_new_record_with_their_address_is_a_new_person(store: Store) -> None:
    live_through(store)
    forget(store)
    with store.writing() as tx:
        mirror.store_page(tx, "crm", "contacts", Page(Cursor("c"), (zsofia("7"),)), NOW, same_person=True)
    assert [each.key.id for lead in all_leads(store) for each in lead.records] == ["2", "7"]


def test_who_is_merged_into_them_later_is_forgotten_with_them(store: Store) -> None:
    put(store, zsofia(), zsofia("7"), zsofia("8"))
    put(store, activity("a", "7", fields={"title": WORD}))
    forget(store)
    put(store, zsofia("7", minute=5, merged_into="1"))
    put(store, zsofia("8", minute=5, merged_into="7"))
    assert told_of(store) == []
    with store.reading() as tx:
        assert set(tx.execute(select(records.c.erased)).scalars()) == {True}


def test_their_records_of_all_connections_go_together(store: Store) -> None:
    for name, each in (("crm", zsofia()), ("other", replace(zsofia(), key=key("1")._replace(connection="other")))):
        with store.writing() as tx:
            mirror.store_page(tx, name, "contacts", Page(Cursor("c"), (each,)), NOW, same_person=True)
    them = forget(store)
    assert them.connections == ("crm", "other")
    assert told_of(store) == []


def test_while_a_run_is_at_work_nothing_is_erased(store: Store) -> None:
    live_through(store)
    them = person(store, the_lead(store, "1").id)
    lease = leases.take(store, "crm", holder="a run", ttl_s=60)
    assert lease is not None
    refused = pytest.raises(TemporaryError, match=r"crm: a run is at work.*nothing was erased")
    with refused as error, taken(store, *them.connections):
        raise AssertionError("it is held")
    assert error.value.code == "SY221"
    assert told_of(store) != []


def test_it_waits_for_a_run_to_end(store: Store) -> None:
    lease = leases.take(store, "crm", holder="a run", ttl_s=60)
    assert lease is not None
    told: list[str] = []
    ends = threading.Timer(0.4, leases.release, [store, lease])

    def waiting(name: str) -> None:
        told.append(name)
        ends.start()

    with forgetting.leased(store, ["crm"], "desk", 30, waiting) as held:
        assert [each.connection for each in held] == ["crm"]
    ends.join()
    assert told == ["crm"]


def test_a_lease_lasts_while_another_one_is_waited_for(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "ttl_s", lambda store: 0.6)
    lease = leases.take(store, "other", holder="a run", ttl_s=60)
    assert lease is not None
    ends = threading.Timer(1.2, leases.release, [store, lease])
    with forgetting.leased(store, ["crm", "other"], "desk", 30, lambda name: ends.start()) as held:
        assert leases.take(store, "crm", holder="another run", ttl_s=60) is None
    ends.join()
    assert [each.connection for each in held] == ["crm", "other"]


def test_what_a_run_has_changed_while_it_was_waited_for_is_searched_for_too(store: Store) -> None:
    put(store, zsofia())
    them = person(store, the_lead(store, "1").id)
    put(store, replace(zsofia(minute=1), name="Zsofia Nagy"))
    with taken(store, "crm") as held:
        found, _ = forgetting.forget(store, held, them, BY)
    assert Trace("name", "Zsofia Nagy") in found.traces


def test_a_run_that_was_frozen_meanwhile_writes_nothing_of_them(store: Store) -> None:
    live_through(store)
    frozen = leases.take(store, "crm", holder="frozen", ttl_s=0)
    assert frozen is not None
    forget(store)
    with pytest.raises(LeaseLost), store.writing(frozen) as tx:
        mirror.store_page(tx, "crm", "contacts", Page(Cursor("c"), (zsofia("1", minute=9),)), NOW)
    assert told_of(store) == []


def test_a_record_that_joins_them_while_we_ask_is_not_overlooked(store: Store) -> None:
    live_through(store)
    them = person(store, the_lead(store, "1").id)
    with store.writing() as tx:
        people.lock(tx)
        put_in = records.insert().values(
            connection="crm", object="contacts", id="5", lead_id=them.leads[0], modified_at=NOW, fields={}, since=NOW
        )
        tx.execute(put_in)
    with taken(store, "crm") as held, pytest.raises(TemporaryError, match="changed just now, and nothing was erased"):
        forgetting.forget(store, held, them, BY)
    assert told_of(store) != []


def test_a_plan_that_somebody_still_holds_of_them_is_stale(store: Store) -> None:
    put(store, zsofia())
    before = the_lead(store, "1").revision
    forget(store)
    with store.reading() as tx:
        assert tx.execute(select(leads.c.revision, leads.c.live)).one() == (before + 1, False)


def test_the_search_finds_values_in_every_way_of_writing_them(store: Store) -> None:
    put(store, record("1", email="josé@acme.es", name='Ñuño "El Rápido" Pérez', fields={"phone": "+34 600 111 222"}))
    put(store, record("2", fields={"note": "wrote JOSÉ@ACME.ES about +34 600 111 222"}, name='ÑUÑO "EL RÁPIDO" PÉREZ'))
    with store.reading() as tx:
        known = traces.of_leads(tx, [the_lead(store, "1").id])
        assert {each.kind for each in known} == {"e-mail address", "name", "phone number"}
        for each in known:
            found = {(hit.table, hit.column): hit.cells for hit in traces.search(tx, traces.needles([each])).found}
            assert sum(count for (table, _), count in found.items() if table == "records") >= 2, each.kind


def test_what_stands_within_somebody_elses_is_not_theirs(store: Store) -> None:
    """Colleagues whose address or page ends or goes on as theirs, and namesakes."""
    put(store, record("5", email="ana@acme.es", name="Ana Ruiz", url="https://crm/5", fields={"phone": "600111222"}))
    with store.reading() as tx:
        known = traces.of_leads(tx, [the_lead(store, "5").id])
    put(store, record("5", minute=1, fields={}))
    put(store, record("51", email="mariana@acme.es", name="Mariana Ruiz", url="https://crm/51"))
    with store.reading() as tx:
        searched = traces.search(tx, traces.needles(known))
        assert traces.borne_by_others(tx, known) == {}
    assert [(each.table, each.column) for each in searched.found] == [("past_versions", "fields")], "what was before"
    assert {"ana@acme.es", "ana ruiz", "https://crm/5"} <= searched.within
    put(store, record("52", name="Ana Ruiz Gil"), record("53", name="ANA RUIZ"))
    with store.reading() as tx:
        assert traces.borne_by_others(tx, known) == {Trace("name", "Ana Ruiz"): 2}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("ask ANA@acme.es.", True),
        ("first line\nana@acme.es\tand more", True),
        ("<ana@acme.es>,\x1bana", True),
        ("call +34600111222 now", True),
        ("luz.ana@acme.es", False),
        ("ana@acme.esp", False),
    ],
)
def test_a_word_of_its_own_is_known_in_whatever_stands_round_it(store: Store, text: str, named: bool) -> None:
    put(store, record("1", email=None, fields={"note": text}))
    known = [Trace("e-mail address", "ana@acme.es"), Trace("phone number", "600111222")]
    with store.reading() as tx:
        assert bool(traces.search(tx, traces.needles(known)).found) is named


@pytest.mark.parametrize("email", ["-", "n/a", "  ", "@", "x"])
def test_what_is_no_address_is_not_searched_for(store: Store, email: str) -> None:
    put(store, record("1", email=email, name="Ana"))
    with store.reading() as tx:
        assert traces.of_leads(tx, [the_lead(store, "1").id]) == ()


def test_a_key_that_names_them_stays_and_is_told_apart(store: Store) -> None:
    """As a table of leads has it whose only key is the e-mail address."""
    address = f"{WORD}@acme.es".lower()
    put(store, zsofia(address))
    apply(store, LeadPlan(decided(lead := the_lead(store, address), "sql"), handoff=handoff(lead)))
    them = forget(store, address)
    with store.reading() as tx:
        searched = traces.search(tx, traces.needles(them.traces), them.keys)
    assert searched.found == ()
    assert searched.keys >= 2
    left = traces.apart_from_keys(them.traces, them.keys)
    assert not traces.names(address, left)
    assert traces.names(f"{WORD} Varga", left)


def test_the_search_looks_into_binary_columns(store: Store) -> None:
    put(store, record("1"))
    row = {
        "lead_id": 1,
        "revision": 1,
        "rules": "r",
        "model": "m",
        "bits": b"\x00\xff",
        "hits": b"\x00zsofia varga\xff",
    }
    with store.writing() as tx:
        tx.execute(metadata.tables["lead_states"].insert(), [row])
        found = traces.search(tx, traces.needles([Trace("name", "Zsofia Varga")])).found
    assert [(each.table, each.column, each.cells) for each in found] == [("lead_states", "hits", 1)]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"phone": "600 111 222"}, True),
        ({"hs_whatsapp_phone_number": "+34600111222"}, True),
        ({"Teléfono": "+34 600 111 222"}, True),
        ({"work_email": "other@acme.es"}, True),
        ({"company": "Acme SL"}, False),
        ({"created": "2026-03-01"}, False),
        ({"staff": 12_000_000}, False),
        ({"owner_email": "rep@us.com"}, False),
    ],
)
def test_only_what_names_one_person_is_searched_for(store: Store, fields: dict[str, str | int], named: bool) -> None:
    put(store, record("1", fields=fields, owner="rep@us.com", name="Ana"))
    with store.reading() as tx:
        known = traces.of_leads(tx, [the_lead(store, "1").id])
    assert [each.value for each in known] == [str(each) for each in fields.values() if named]


def test_no_byte_of_a_sqlite_file_names_them_and_a_reader_is_waited_for(sqlite_template: Path, tmp_path: Path) -> None:
    path = tmp_path / "syncer.db"
    path.write_bytes(sqlite_template.read_bytes())
    store = open_store(f"sqlite:///{path}")
    live_through(store)
    sought = traces.needles(person(store, the_lead(store, "1").id).traces)
    assert any(traces.in_file(each, sought) for each in forgetting.database_files(store)), "the search can find"
    reads, ends = threading.Event(), threading.Event()
    reader = threading.Thread(target=read_until, args=(store, reads, ends))
    reader.start()
    assert reads.wait(10)
    forget(store)
    assert any(traces.in_file(each, sought) for each in forgetting.database_files(store)), (
        "somebody reads the old state"
    )
    threading.Timer(0.3, ends.set).start()
    files = forgetting.search_files(store, sought)
    reader.join()
    assert {each.name for each in files} >= {"syncer.db", "syncer.db-wal"}
    assert all(each.clean for each in files)
    store.close()


def read_until(store: Store, reads: threading.Event, ends: threading.Event) -> None:
    with store.reading() as tx:
        tx.execute(text("SELECT count(*) FROM records")).scalar()
        reads.set()
        ends.wait(10)


def test_a_workbook_is_looked_into(tmp_path: Path) -> None:
    path = tmp_path / "leads.scored.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/sharedStrings.xml", "<t>" + "x" * 5000 + "ANA@acme.es</t>")
    assert traces.in_file(path, traces.needles([Trace("e-mail address", "ana@acme.es")]))
    assert not traces.in_file(path, traces.needles([Trace("e-mail address", "ben@acme.es")]))


def test_a_broken_archive_cannot_be_looked_into(tmp_path: Path) -> None:
    path = tmp_path / "leads.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.xml", "".join(f"<t>{each}</t>" for each in range(3000)))
    whole = path.read_bytes()
    path.write_bytes(whole[:60] + b"\xff" * 40 + whole[100:])
    with pytest.raises(OSError, match="not a whole archive"):
        traces.in_file(path, ("ana@acme.es",))


def test_a_table_that_excel_wrote_is_looked_into(tmp_path: Path) -> None:
    path = tmp_path / "leads.csv"
    path.write_bytes("Nombre\nÑuño Pérez\n".encode("cp1252"))
    assert traces.in_file(path, traces.needles([Trace("name", "Ñuño Pérez")]))
    assert not traces.in_file(path, traces.needles([Trace("name", "李 小龙")]))


def test_a_server_that_speaks_another_language_is_not_taken_for_one_that_has_done_it() -> None:
    told = forgetting._trouble([("INFO", "tuplas: 0 eliminadas, 3 permanecen, 1 están muertas pero aún no se quitan")])
    assert told == "the server does not say in English how many old row versions are left"
    refused = forgetting._trouble([("WARNING", "se omite «records»: sin permiso"), ("INFO", "x")])
    assert refused == "se omite «records»: sin permiso"


def test_old_versions_of_rows_are_vacuumed_or_told_of(store: Store) -> None:
    live_through(store)
    forget(store)
    if store.dialect == "sqlite":
        assert forgetting.vacuum(store, ["records"]) == {}
        return
    assert forgetting.vacuum(store, ["records", "activities"]) == {}
    with store.reading() as tx:
        tx.execute(text("SELECT count(*) FROM records")).scalar()
        put(store, record("2", minute=9, email="new@acme.es"))
        assert "old row versions are still seen" in forgetting.vacuum(store, ["records"])["records"]
    assert forgetting.vacuum(store, ["records"]) == {}
