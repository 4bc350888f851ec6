"""By what leads are found: kept with their scoring, right whatever happens to their records, gone with the person."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event, insert, make_url, select, text

from syncer.model import Cursor, Lead, Page, Record, RecordKey
from syncer.store import Store, cards, erasure, mirror, open_store, schema
from syncer.store.cards import Card, Term
from syncer.store.tables import lead_cards, lead_words
from tests.store.samples import NOW, all_leads, put, record, settle, the_lead

ANA: dict[str, Any] = {"name": "Ana Ruíz", "email": "Ana.Ruiz@mail.acme.es", "owner": "marta@us.es"}


def keep(store: Store, source: str | None = None) -> None:
    with store.writing() as tx:
        cards.keep(tx, all_leads(store), source)


def cards_of(store: Store) -> Mapping[int, Card]:
    with store.reading() as tx:
        return {row.lead_id: Card(*row[1:]) for row in tx.execute(select(lead_cards))}


def words_of(store: Store, lead: int) -> set[str]:
    with store.reading() as tx:
        return set(tx.execute(select(lead_words.c.word).where(lead_words.c.lead_id == lead)).scalars())


def the_card(store: Store) -> Card:
    (card,) = cards_of(store).values()
    return card


@contextmanager
def written(store: Store) -> Iterator[list[str]]:
    """The statements that change cards or words while the block runs."""
    found: list[str] = []

    def see(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.lstrip().upper().startswith("SELECT") and "lead_" in statement:
            found.append(statement)

    engine: Engine = store._writer
    event.listen(engine, "before_cursor_execute", see)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", see)


def test_a_card_says_who_the_lead_is_and_by_which_words_it_is_found(store: Store) -> None:
    put(store, record("1", fields={"utm": "Feria"}, **ANA))
    keep(store, "utm")
    ((lead, card),) = cards_of(store).items()
    assert card[:5] == ("Ana Ruíz", "ana ruiz", "Ana.Ruiz@mail.acme.es", "marta@us.es", "Feria")
    assert words_of(store, lead) == {"ana", "ruiz", "ana.ruiz@mail.acme.es", "mail.acme.es", "acme.es"}
    assert set(card.words.split()) == words_of(store, lead)


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        ({}, set()),
        ({"name": "  "}, set()),
        ({"name": "O’Brien-Straße ŁÓDŹ İx"}, {"o", "brien", "strasse", "łodz", "ix"}),
        ({"name": "山田 太郎"}, {"山田", "太郎"}),
        ({"email": "no-address"}, {"no-address", "no", "address"}),
        ({"email": "a b@x-y.co.uk"}, {"ab@x-y.co.uk", "ab", "x-y.co.uk", "co.uk", "x", "y"}),
        ({"email": "@"}, {"@"}),
        ({"name": "x" * 5_000, "email": "y" * 5_000}, {"x" * 40, "y" * 40}),
        ({"name": "n\x00ul \ud800"}, {"nul"}),
    ],
)
def test_whatever_a_crm_shows_becomes_words_of_bounded_length(
    store: Store, shown: Mapping[str, Any], words: set[str]
) -> None:
    put(store, record("1", **shown))
    keep(store)
    ((lead, card),) = cards_of(store).items()
    assert words_of(store, lead) == words
    assert max(map(len, filter(None, card[:5])), default=0) <= 200


def test_a_lead_has_twelve_words_at_most_and_its_address_is_the_first(store: Store) -> None:
    put(store, record("1", name=" ".join(f"w{number}" for number in range(30)), email="ana@acme.es"))
    keep(store)
    words = the_card(store).words.split()
    assert (len(words), words[0]) == (12, "ana@acme.es")


def test_what_has_not_changed_is_not_written_again(store: Store) -> None:
    put(store, *(record(str(number), name=f"Ana {number}") for number in range(20)))
    keep(store)
    with written(store) as statements:
        keep(store)
    assert statements == []
    put(store, record("7", minute=5, name="Eva 7", fields={"x": "1"}))
    with written(store) as statements:
        keep(store)
    assert len(statements) == 0, "the record itself has brought its new name"
    assert words_of(store, the_lead(store, "7").id) == {"eva", "7"}


def test_a_changed_word_takes_the_place_of_the_old_one_and_the_others_stay(store: Store) -> None:
    put(store, record("1", fields={"f": "1"}, **ANA))
    keep(store)
    put(store, record("1", minute=1, fields={"f": "2"}, **(ANA | {"email": "ana@other.es"})))
    keep(store)
    ((lead, card),) = cards_of(store).items()
    assert card.email == "ana@other.es"
    assert words_of(store, lead) == {"ana", "ruiz", "ana@other.es", "other.es"} == set(card.words.split())


def test_a_new_owner_is_seen_although_no_rule_looks_at_it(store: Store) -> None:
    put(store, record("1", fields={"utm": "Feria"}, **ANA))
    keep(store, "utm")
    settle(store)
    put(store, record("1", minute=1, fields={"utm": "Feria"}, **(ANA | {"owner": "luis@us.es"})))
    assert the_card(store).owner == "luis@us.es"
    assert the_card(store).source == "Feria"
    assert not the_lead(store, "1").state.touched, "nothing is scored because of it"


def test_a_lead_that_was_never_scored_gets_no_card_by_a_change(store: Store) -> None:
    put(store, record("1", **ANA))
    put(store, record("1", minute=1, **(ANA | {"name": "Eva"})))
    assert cards_of(store) == {}


def two_records(store: Store) -> int:
    shown = (
        record("1", name="Ana Ruiz", email="ana@acme.es", owner="marta@us.es"),
        Record(RecordKey("erp", "people", "9"), NOW.replace(hour=23), email="ana@acme.es", name="Anita"),
    )
    with store.writing() as tx:
        for one in shown:
            page = Page(Cursor("c"), (one,))
            mirror.store_page(tx, one.key.connection, one.key.object, page, NOW, same_person=True)
    lead = the_lead(store, "1")
    assert len(lead.records) == 2
    return lead.id


def test_of_several_records_the_newest_speaks_and_all_are_found(store: Store) -> None:
    lead = two_records(store)
    keep(store)
    assert cards_of(store)[lead][:4] == ("Anita", "anita", "ana@acme.es", "marta@us.es")
    assert {"anita", "ruiz", "ana@acme.es"} <= words_of(store, lead)


def test_an_absorbed_lead_leaves_no_card_and_no_word(store: Store) -> None:
    put(store, record("1", **ANA), record("2", name="Eva Sol"))
    keep(store)
    absorbed = the_lead(store, "2").id
    put(store, record("2", minute=1, merged_into="1"))
    keep(store)
    assert list(cards_of(store)) == [the_lead(store, "1").id]
    assert words_of(store, absorbed) == set()


@pytest.mark.parametrize("connection", ["crm", "erp"])
def test_whom_one_crm_erases_is_told_by_what_the_other_one_shows(store: Store, connection: str) -> None:
    lead = two_records(store)
    keep(store)
    gone = {"crm": RecordKey("crm", "contacts", "1"), "erp": RecordKey("erp", "people", "9")}[connection]
    with store.writing() as tx:
        erased = Record(gone, NOW.replace(hour=23, minute=30), deleted=True, erased=True)
        for _ in range(2):  # a CRM is believed when it says so twice
            mirror.store_page(tx, connection, gone.object, Page(None, (erased,)), NOW, same_person=True)
    assert cards_of(store) == {}
    assert words_of(store, lead) == set()
    keep(store)
    assert the_card(store).name == {"crm": "Anita", "erp": "Ana Ruiz"}[connection]


def test_a_lead_gets_its_card_again_where_a_record_is_erased_that_was_deleted_long_before(store: Store) -> None:
    lead = two_records(store)
    gone = RecordKey("erp", "people", "9")
    for erased in (False, True):
        keep(store)
        settle(store)
        with store.writing() as tx:
            shown = Record(gone, NOW.replace(hour=23, minute=30), deleted=True, erased=erased)
            mirror.store_page(tx, "erp", "people", Page(None, (shown,)), NOW, same_person=True)
    assert cards_of(store) == {}
    assert the_lead(store, "1").state.touched, "the next run makes it anew"
    keep(store)
    assert cards_of(store)[lead].name == "Ana Ruiz"
    assert words_of(store, lead) == {"ana", "ruiz", "ana@acme.es", "acme.es"}


@pytest.mark.parametrize("first", ["renamed", "kept"])
def test_a_lead_that_is_renamed_while_its_card_is_kept_is_found_by_its_new_name(store: Store, first: str) -> None:
    put(store, record("1", fields={"utm": "Feria"}, **ANA))
    keep(store)
    leads, begun = all_leads(store), threading.Event()
    shown = Page(None, (record("1", minute=1, fields={"utm": "Feria"}, **(ANA | {"name": "Eva Sol"})),))

    def act(what: str) -> None:
        with store.writing() as tx:
            if what == "renamed":
                mirror.store_page(tx, "crm", "contacts", shown, NOW)
            else:
                cards.keep(tx, leads, "utm")
            if what == first:
                begun.set()
                other.join(0.3)  # it has to wait for us

    def act_meanwhile() -> None:
        begun.wait(10)
        act("kept" if first == "renamed" else "renamed")

    other = threading.Thread(target=act_meanwhile)
    other.start()
    act(first)
    other.join(10)
    ((lead, card),) = cards_of(store).items()
    assert (card.name, card.source) == ("Eva Sol", "Feria")
    assert words_of(store, lead) == {"eva", "sol", "ana", "ruiz", "ana.ruiz@mail.acme.es", "mail.acme.es", "acme.es"}
    assert set(card.words.split()) == words_of(store, lead)


def test_a_word_that_is_there_already_is_no_trouble(store: Store) -> None:
    put(store, record("1", **ANA))
    with store.writing() as tx:
        tx.execute(insert(lead_words), {"word": "ruiz", "lead_id": the_lead(store, "1").id})
    keep(store)
    assert the_card(store).name == "Ana Ruíz"


def test_an_erasure_tells_how_many_rows_went(store: Store) -> None:
    put(store, record("1", **ANA), record("2", name="Eva Sol"))
    keep(store)
    with store.writing() as tx:
        done = erasure.erase(tx, [RecordKey("crm", "contacts", "1")], NOW)
    assert (done["lead_cards"], done["lead_words"]) == (1, 5)
    assert [card.name for card in cards_of(store).values()] == ["Eva Sol"]


def test_who_was_erased_while_a_run_had_them_in_its_memory_does_not_come_back(store: Store) -> None:
    put(store, record("1", **ANA), record("2", name="Eva Sol"))
    leads = all_leads(store)
    for _ in range(2):
        put(store, record("1", minute=1, deleted=True, erased=True))
    with store.writing() as tx:
        cards.keep(tx, leads, None)
    assert [card.name for card in cards_of(store).values()] == ["Eva Sol"]


def test_whoever_is_just_being_erased_is_waited_for(store: Store) -> None:
    put(store, record("1", **ANA))
    leads, erasing = all_leads(store), threading.Event()

    def keep_meanwhile() -> None:
        erasing.wait(10)
        with store.writing() as tx:
            cards.keep(tx, leads, None)

    other = threading.Thread(target=keep_meanwhile)
    other.start()
    with store.writing() as tx:
        page = Page(None, (record("1", minute=1, deleted=True, erased=True),))
        for _ in range(2):
            mirror.store_page(tx, "crm", "contacts", page, NOW)
        erasing.set()
        other.join(0.3)
    other.join(10)
    assert cards_of(store) == {}


def test_the_source_is_a_field_and_may_be_any_value(store: Store) -> None:
    put(store, record("1", fields={"utm": 12}), record("2", fields={"utm": True}), record("3", fields={"utm": ""}))
    keep(store, "utm")
    assert [card.source for card in cards_of(store).values()] == ["12", "True", None]
    keep(store, None)
    assert {card.source for card in cards_of(store).values()} == {None}, "it is no longer asked for"


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", ()),
        ("  Ana  RUÍZ ana", ("ana", "ruiz")),
        ("García-López", ("garcia", "lopez")),
        ("ana.ruiz@acme.es", ("ana.ruiz@acme.es",)),
        ("acme.es,", (Term("acme.es", ("acme", "es")),)),
        ("@acme.es", (Term("acme.es", ("acme", "es")),)),
        ("J.R. Tolkien", (Term("j.r", ("j", "r")), "tolkien")),
        ("a.b.c.d.e", (Term("a.b.c.d.e", ("a", "b", "c")),)),
        ("(Ruiz.)", ("ruiz",)),
        ("1.234", ("1", "234")),
        ("a b c d e f g", ("a", "b", "c", "d", "e")),
        ("%_'\"; DROP", ("drop",)),
        ("x" * 300, ("x" * 40,)),
        ("!!! @ . @.", ()),
    ],
)
def test_a_search_asks_for_the_beginnings_of_words(text: str, terms: tuple[str | Term, ...]) -> None:
    assert cards.sought(text) == tuple(Term(each) if isinstance(each, str) else each for each in terms)


@pytest.mark.parametrize(
    "name", ["J.R. Tolkien", "Dr.Ana Ruiz", "Clínica Nova S.L.", "Mª.Carmen Gil", "Ruiz (acme.es)", "O’Brien-Straße"]
)
def test_a_name_is_found_as_it_is_shown(store: Store, name: str) -> None:
    put(store, record("1", name=name))
    keep(store)
    words = the_card(store).words.split()
    assert all(term.fits(words) for term in cards.sought(name))
    assert not all(term.fits(words) for term in cards.sought(f"{name} S.X.")), "all of it must fit"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ana", True),
        ("Ruíz ana", True),
        ("acme.es", True),
        ("@mail.acm", True),
        ("ANA.marta.ruiz@mail.acme.es", True),
        ("ana acme", True),
        ("ana.ruiz", True),  # words of her name
        ("ana.mar", False),
        ("mart", False),
        ("ana.marta.ruiz@mail.acme.e", False),
        ("ana.marta.ruiz@", False),
        ("bea.w", False),
        ("wolf", False),
    ],
)
def test_who_sees_addresses_in_part_finds_nobody_by_a_part_of_one(store: Store, text: str, found: bool) -> None:
    put(store, record("1", name="Ana Ruíz", email="Ana.Marta.Ruiz@mail.acme.es"), record("2", name="bea.wolf@x.es"))
    with store.reading() as tx:
        each = cards.openly(tx, [the_lead(store, "1").id, the_lead(store, "2").id], cards.sought(text))
    assert each == ({the_lead(store, "1").id} if found else set())


def test_a_database_from_before_gets_the_cards_that_a_run_would_make(empty_database_url: str) -> None:
    url = make_url(empty_database_url)
    engine = create_engine(url if url.get_backend_name() == "sqlite" else url.set(drivername="postgresql+psycopg"))
    with engine.begin() as tx:
        schema.make(tx, "0011")
        _old_rows(tx)
    engine.dispose()
    with closing(open_store(empty_database_url)) as store:
        migrated = cards_of(store)
        words = {lead: words_of(store, lead) for lead in migrated}
        keep(store)
        assert len(migrated) == 3
        assert cards_of(store) == migrated
        assert {lead: words_of(store, lead) for lead in migrated} == words
        assert migrated[1].name == "Ana Ruíz Ñandú"
        assert migrated[2][:3] == ("Anita", "anita", "ana@acme.es")


def _old_rows(tx: Any) -> None:
    """Leads of one and of two records, one whose record is deleted, and one with hostile texts."""
    for number in range(1, 5):
        tx.execute(text("INSERT INTO leads (id, connection) VALUES (:id, 'crm')"), {"id": number})
    insert = text(
        "INSERT INTO records (connection, object, id, lead_id, modified_at, name, email, owner, fields, since, deleted)"
        " VALUES ('crm', 'contacts', :id, :lead, :at, :name, :email, :owner, '{}', 0, :deleted)"
    )
    rows = (
        ("1", 1, 5, "Ana Ruíz Ñandú", "Ana.Ruiz@mail.acme.es", "marta@us.es", False),
        ("2", 2, 5, "Ana Ruiz", "ana@acme.es", "m@us.es", False),
        ("3", 2, 9, "Anita", None, None, False),
        ("4", 3, 5, "Gone", "gone@x.es", None, True),
        ("5", 4, 5, "<b>'; %_ " + "x" * 5_000, "q" * 5_000, "o" * 5_000, False),
    )
    for row in rows:
        names = ("id", "lead", "at", "name", "email", "owner", "deleted")
        tx.execute(insert, dict(zip(names, row, strict=True)))


def test_a_lead_read_in_part_keeps_the_card_it_has(store: Store) -> None:
    put(store, record("1", **ANA))
    keep(store)
    leads: list[Lead] = [replace(each, records=()) for each in all_leads(store)]
    with store.writing() as tx:
        cards.keep(tx, leads, None)
    assert the_card(store).name == "Ana Ruíz"
