"""The list of leads shows what fits and nothing else, in order, page after page, whatever way it is looked up."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast, get_args

import pytest
from sqlalchemy import event, insert

from syncer.app import App
from syncer.errors import NotFound
from syncer.queries import leads as query
from syncer.queries.leads import Found, LeadRow, Wish
from syncer.store import Store, cards, listing, open_store
from syncer.store.listing import Order, Place
from syncer.store.tables import cursors, lead_cards, lead_words, leads, records
from tests.conftest import PostgreSQL

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
DAY = timedelta(days=1)
FIRST = ("Ana", "Ángel", "Eva", "Zoë", "Íñigo", "luis", "O'Hara", "李")
LAST = ("Ruiz", "García", "de la O", "Sánchez-López", "Núñez")
STAGES = ("cold", "iql", "mql", "sql", "a stage of old rules")
ORDERS: tuple[Order, ...] = get_args(Order)
SIZE = 150


class _App:
    """An app over a store, with connections of these names."""

    def __init__(self, store: Store, *names: str) -> None:
        self.store, self.names = store, names

    def clock(self) -> datetime:
        return NOW

    def chosen(self, name: str | None) -> tuple[Any, ...]:
        if name is not None and name not in self.names:
            raise NotFound(f"no connection is called '{name}'", code="SY080")
        return tuple(_Named(each) for each in self.names if name in (None, each))


class _Named:
    def __init__(self, name: str) -> None:
        self.name = name


class _Shown:
    def __init__(self, name: str | None, email: str | None, owner: str | None) -> None:
        self.name, self.email, self.owner = name, email, owner


def person(number: int) -> LeadRow:
    lot = random.Random(number)
    name = f"{lot.choice(FIRST)} {lot.choice(LAST)}" if lot.random() < 0.95 else None
    decided = lot.random() < 0.97
    return LeadRow(
        lead=number,
        name=name,
        email=f"p{number}@acme{number % 7}.example" if lot.random() < 0.95 else None,
        stage=lot.choice(STAGES) if decided else None,
        held_by="rules" if decided else None,
        total_hundredths=lot.randrange(-500, 10_000, 250) if decided else None,  # many are alike
        owner=lot.choice((None, "marta@us.es", "luis@us.es")),
        since=NOW - lot.randrange(60) * DAY if decided else None,
        source=lot.choice((None, "Web", "Feria")),
        connection=lot.choice(("crm", "crm", "erp", "no longer in the project")),
    )


def fill(store: Store, people: Sequence[LeadRow], gone: Sequence[int] = ()) -> None:
    """`gone`: the leads that have no live record any more."""
    with store.writing() as tx:
        tx.execute(insert(cursors), [{"connection": "crm", "stream": "contacts", "history": False}])
        stand = ("connection", "stage", "held_by", "since")
        tx.execute(
            insert(leads),
            [
                {"id": each.lead, "live": each.lead not in gone, "total": each.total_hundredths}
                | {name: getattr(each, name) for name in stand}
                for each in people
            ],
        )
        made = {each.lead: cards.card_of([_Shown(each.name, each.email, each.owner)], each.source) for each in people}
        tx.execute(insert(lead_cards), [{"lead_id": lead, **card._asdict()} for lead, card in made.items()])
        words = [{"word": word, "lead_id": lead} for lead, card in made.items() for word in card.words.split()]
        tx.execute(insert(lead_words), words)
        rows: list[dict[str, Any]] = [
            {"connection": "crm", "object": "contacts", "id": f"R{each.lead}", "lead_id": each.lead, "fields": {},
             "modified_at": NOW, "since": NOW, "name": each.name, "email": each.email,
             "email_key": f"second{each.lead}@x.example"} for each in people
        ]  # fmt: skip
        if rows:
            tx.execute(insert(records), rows)


PEOPLE = [person(number) for number in range(1, SIZE + 1)]
GONE = tuple(range(5, SIZE, 37))
HERE = {"crm", "erp"}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def lasting_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Filled once: what looks at it leaves it as it is."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('leads') / 'syncer.db'}"
    else:
        server: PostgreSQL = request.getfixturevalue("postgresql")
        url = server.new_database()
    with closing(open_store(url)) as opened:
        fill(opened, PEOPLE, GONE)
        yield opened


@pytest.fixture
def app(lasting_store: Store) -> App:
    return cast("App", _App(lasting_store, "crm", "erp"))


@pytest.fixture(params=["few", "walked", "given up"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The way in which leads are looked up: all that come into question, or by a walk in the list's order, or by one
    that soon gives up."""
    chosen: str = request.param
    monkeypatch.setattr(query, "PAGE", 23)
    monkeypatch.setattr(query, "_FIRST", 10)
    monkeypatch.setattr(query, "_MOST", 40)
    monkeypatch.setattr(listing, "_FIRST_STEP", 8)
    monkeypatch.setattr(listing, "_LONGEST_STEP", 30)
    if chosen != "few":
        monkeypatch.setattr(listing, "FEW", 0)
        monkeypatch.setattr(listing, "MANY", 0)
    monkeypatch.setattr(query, "LOOK_S", 60.0)
    if chosen == "given up":
        monkeypatch.setattr(query, "LOOKED_AT", 30)
    return chosen


WISHES: Mapping[str, Wish] = {
    "everything": Wish(),
    "connection": Wish(connection="erp"),
    "stages": Wish(stages=("sql", "mql")),
    "an old stage": Wish(stages=("a stage of old rules",)),
    "no such stage": Wish(stages=("<b>",)),
    "owner": Wish(owners=("marta@us.es",)),
    "owners": Wish(owners=("marta@us.es", "luis@us.es")),
    "source": Wish(source="Feria"),
    "score": Wish(least_hundredths=2_000, most_hundredths=7_500),
    "from a score": Wish(least_hundredths=9_000),
    "moved": Wish(moved_within=timedelta(days=9)),
    "all at once": Wish("", "crm", ("cold", "sql"), ("luis@us.es",), "Web", 0, 9_000, timedelta(days=50)),
    "a word": Wish("RUI"),
    "words": Wish("garcia an"),
    "words and more": Wish("ana", stages=("sql",), moved_within=timedelta(days=40)),
    "an address": Wish("P17@ACME3.example"),
    "a company": Wish("acme3.ex"),
    "a name with a dot": Wish("An.Rui"),
    "nobody": Wish("nobody-is-called-so"),
}  # fmt: skip


def fits(each: LeadRow, wish: Wish) -> bool:
    """The same in plain words."""
    if each.lead in GONE or each.connection not in HERE:
        return False
    if wish.text:
        words = [cards.fold(word) for word in wish.text.replace("-", " ").split()]
        card = cards.card_of([_Shown(each.name, each.email, None)], None)
        if not all(begins_some(word, card.words.split()) for word in words):
            return False
    elif each.stage is None:
        return False
    return (
        (wish.connection in (None, each.connection))
        and (not wish.stages or each.stage in wish.stages)
        and (not wish.owners or each.owner in wish.owners)
        and (wish.source in (None, each.source))
        and (wish.least_hundredths is None or (each.total_hundredths or 0) >= wish.least_hundredths)
        and (wish.most_hundredths is None or (each.total_hundredths or 0) <= wish.most_hundredths)
        and (wish.moved_within is None or (each.since is not None and each.since >= NOW - wish.moved_within))
    )


def begins_some(word: str, own: Sequence[str]) -> bool:
    apart = word.split(".") if "." in word and "@" not in word else [word]
    return any(each.startswith(word) for each in own) or all(
        any(each.startswith(part) for each in own) for part in apart
    )


def rank(each: LeadRow, order: Order) -> tuple[Any, int]:
    since = each.since or datetime.min.replace(tzinfo=UTC)
    total = each.total_hundredths if each.total_hundredths is not None else -(10**9)
    keys: dict[Order, Any] = {
        "score": total, "since": since, "name": cards.fold(each.name or each.email or ""), "number": each.lead,
    }  # fmt: skip
    return keys[order], each.lead


def expected(wish: Wish, order: Order, way: str) -> list[int]:
    found = [each for each in PEOPLE if fits(each, wish)]
    if way != "few" and order in ("score", "since"):
        found = [each for each in found if each.stage is not None]  # whom such an index does not know
    ranked = sorted(found, key=lambda each: rank(each, order), reverse=order in ("score", "since"))
    return [each.lead for each in ranked]


def pages(app: App, wish: Wish, order: Order) -> list[Found]:
    """From the first to the last, and all the way back: the same ones."""
    found = [query.page(app, wish, order)]
    while (place := found[-1].behind) is not None:
        found.append(query.page(app, wish, order, place))
        assert len(found) < SIZE
    return found


@pytest.mark.parametrize("name", WISHES)
def test_every_page_together_is_what_fits_in_order(app: App, way: str, name: str) -> None:
    for order in ORDERS:
        look_through(app, way, name, order)


def look_through(app: App, way: str, name: str, order: Order) -> None:
    wanted = expected(WISHES[name], order, way)
    found = pages(app, WISHES[name], order)
    assert [row.lead for each in found for row in each.rows] == wanted
    if way != "given up":
        assert [len(each.rows) for each in found[:-1]] == [query.PAGE] * (len(found) - 1)
        assert all(each.passed_over is None for each in found)
    counts = {each.count for each in found}
    assert counts == {None} or (counts == {len(wanted)})
    back, place = [row.lead for row in found[-1].rows], found[-1].before
    while place is not None:
        earlier = query.page(app, WISHES[name], order, place, back=True)
        shown = [row.lead for row in earlier.rows]
        back = shown + [each for each in back if each not in shown]  # the first page is whole, however little is before
        place = earlier.before
    assert back == wanted


def test_a_row_says_what_is_known_of_the_lead(app: App) -> None:
    rows = {row.lead: row for each in pages(app, Wish(), "number") for row in each.rows}
    assert rows == {each.lead: each for each in PEOPLE if fits(each, Wish())}


@pytest.mark.parametrize("text", ["R7", "crm/contacts/R7", "crm:R7", "SECOND7@x.example"])
def test_a_records_id_or_any_of_its_addresses_finds_the_lead(app: App, text: str) -> None:
    assert [row.lead for row in query.page(app, Wish(text), "score").rows] == [7]


def test_a_lead_that_was_never_decided_is_found_by_name_and_not_listed(store: Store) -> None:
    nobody = replace(person(1), stage=None, total_hundredths=None, since=None, held_by=None, connection="crm")
    fill(store, [replace(nobody, name="Ana Ruiz")])
    app: Any = _App(store, "crm")
    assert query.page(app, Wish(), "score").rows == ()
    assert [row.stage for row in query.page(app, Wish("ana"), "score").rows] == [None]


def test_who_sees_addresses_in_part_finds_by_names_domains_and_whole_addresses(app: App, way: str) -> None:
    def found(text: str, *, openly: bool) -> list[int]:
        return [row.lead for each in pages(app, Wish(text, openly=openly), "score") for row in each.rows]

    lead = next(each for each in PEOPLE if each.lead > 20 and each.email and each.stage and fits(each, Wish()))
    email = str(lead.email)
    for part in (f"p{lead.lead}", f"p{lead.lead}@acme", email[:-1]):
        assert lead.lead in found(part, openly=False)
        assert found(part, openly=True) == []
    assert found(email, openly=True) == [lead.lead]
    for text in (email.partition("@")[2], "@acme3.ex", "rui", "garcia an", "An.Rui"):
        assert found(text, openly=True) == found(text, openly=False) != []


def test_a_list_of_many_connections_is_asked_for_by_a_few_statements(store: Store) -> None:
    names = [f"crm{number}" for number in range(40)]
    fill(store, [replace(person(number + 1), connection=names[number % 40]) for number in range(400)])
    app: Any = _App(store, *names)
    asked: list[str] = []
    event.listen(store._reader, "before_cursor_execute", lambda *told: asked.append(told[2]))
    for order in ORDERS:
        asked.clear()
        assert len(query.page(app, Wish(), order).rows) == query.PAGE
        assert len(asked) < 20, order


def test_text_that_is_no_word_finds_nobody(app: App) -> None:
    assert query.page(app, Wish("%_!"), "score").rows == ()


def test_an_unknown_connection_is_not_found(app: App) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        query.page(app, Wish(connection="nowhere"), "score")


def test_a_walk_that_finds_too_little_says_how_far_it_came_and_goes_on_from_there(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    rare = Wish(source="Feria", least_hundredths=9_000, moved_within=timedelta(days=30))
    monkeypatch.setattr(listing, "FEW", 0)
    monkeypatch.setattr(query, "_FIRST", 30)
    monkeypatch.setattr(query, "LOOKED_AT", 30)
    found = pages(app, rare, "name")
    assert {each.passed_over for each in found[:-1]} == {30}
    assert [row.lead for each in found for row in each.rows] == expected(rare, "name", "walked")


def test_nor_does_it_look_for_longer_than_a_page_may_take(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = Wish(source="Feria", least_hundredths=99_999, moved_within=timedelta(days=30))
    monkeypatch.setattr(listing, "FEW", -1)
    monkeypatch.setattr(query, "_FIRST", 20)
    passing = listing.passing

    def slow(*given: Any) -> set[int]:
        time.sleep(0.05)
        return passing(*given)

    monkeypatch.setattr(listing, "passing", slow)
    monkeypatch.setattr(query, "LOOK_S", 0.02)
    found = query.page(app, nobody, "name")
    assert (found.rows, found.passed_over) == ((), 20)
    assert found.behind is not None


def test_large_counts_are_not_counted_to_their_end(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "COUNTED", 50)
    assert query.page(app, Wish(), "score").count == 50


@pytest.mark.parametrize("order", ORDERS)
def test_a_place_may_include_the_lead_that_stands_there(app: App, way: str, order: Order) -> None:
    rows = [row.lead for each in pages(app, WISHES["score"], order) for row in each.rows]
    place = next(each.before for each in pages(app, WISHES["score"], order) if each.before and each.rows)
    for back in (False, True):
        ahead = rows[: rows.index(place.lead) + 1][::-1] if back else rows[rows.index(place.lead) :]
        here = query.page(app, WISHES["score"], order, replace(place, included=True), back=back)
        shown = [row.lead for row in here.rows]
        assert place.lead in shown
        assert set(shown) <= set(ahead)


@pytest.mark.parametrize("place", [Place(0, 0), Place(2**62, 2**62), Place(-(2**62), -1)])
@pytest.mark.parametrize("back", [False, True])
def test_a_place_where_no_lead_stands_is_as_good_as_any(app: App, place: Place, back: bool) -> None:
    rows = query.page(app, Wish(), "score", place, back=back).rows
    assert rows or place != Place(0, 0)


def test_an_empty_base_has_an_empty_list(store: Store) -> None:
    app: Any = _App(store, "crm")
    for order in ORDERS:
        assert query.page(app, Wish(), order) == Found((), 0, None, None)
    assert query.page(app, Wish("ana"), "score") == Found((), 0, None, None)
    assert list(query.every(app, Wish(), "number", lambda: None)) == []
    assert (query.owners(app), query.sources(app)) == ((), ())


def test_owners_and_sources_are_told_once_each_and_not_without_end(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    assert query.owners(app) == ("luis@us.es", "marta@us.es")
    assert query.sources(app) == ("Feria", "Web")
    monkeypatch.setattr(query, "MOST_TOLD", 1)
    assert query.owners(app) == ("luis@us.es",)


@pytest.mark.parametrize("order", ["number", "score"])
@pytest.mark.parametrize("name", ["everything", "all at once", "a word"])
def test_an_export_has_all_that_fits_whatever_its_chunks(
    app: App, way: str, name: str, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query, "_CHUNK", 9)
    heeded = []
    chunks = list(query.every(app, WISHES[name], order, lambda: heeded.append(1)))
    assert [row.lead for chunk in chunks for row in chunk] == expected(WISHES[name], order, way)
    assert all(0 < len(chunk) <= 9 for chunk in chunks)
    assert len(heeded) >= len(chunks)


def test_who_moves_while_leads_are_exported_is_there_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store, PEOPLE, GONE)
    app: Any = _App(store, "crm", "erp")
    monkeypatch.setattr(query, "_CHUNK", 9)
    found: list[int] = []
    for chunk in query.every(app, Wish(), "number", lambda: None):
        found += [row.lead for row in chunk]
        with app.store.writing() as tx:
            tx.execute(leads.update().values(total=leads.c.total + 1_000, since=NOW))
    assert found == expected(Wish(), "number", "walked")
