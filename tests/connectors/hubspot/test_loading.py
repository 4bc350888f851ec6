"""The list of all records, read in several places at once."""

from __future__ import annotations

import itertools
import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import pytest

from connectors.hubspot import HubSpot, loading
from connectors.hubspot.position import Position, Range, Window, resumed
from connectors.hubspot.ranges import PAGE, Rest, cut, in_order
from connectors.hubspot.refusals import Refused
from syncer.circles import Trail
from syncer.connector import Wanted
from syncer.errors import ConfigError, Stopped, TemporaryError
from syncer.model import Cursor, Page
from tests.connectors.hubspot.portals import Json, Office, activities, key, let_waits_pass, office, records, retold

pytestmark = pytest.mark.slow  # first loads of thousands

COUNTRY = Wanted(fields=("country",))
_NEW = 171_590_000_001


def at_ids(portal: Office, ids: Sequence[int]) -> set[str]:
    rows = [{"id": each, "properties": {"country": "ES"}} for each in ids]
    portal.control("load", objects={"contacts": rows})
    portal.settle()
    return {str(each) for each in ids}


def ids_of(pages: Sequence[Page]) -> list[str]:
    return [record.key.id for page in pages for record in page.records]


def old_and_new(count: int) -> list[int]:
    return [*range(1, count // 2 + 1), *range(_NEW, _NEW + count - count // 2)]


SHAPES: dict[str, Callable[[int], list[int]]] = {
    "side by side": lambda count: list(range(_NEW, _NEW + count)),
    "old and new": old_and_new,
    "anywhere": lambda count: sorted(random.Random(7).sample(range(1, 10**12), count)),
    "ever sparser": lambda count: [5 * each * each + each + 1 for each in range(count)],
    "ever denser": lambda count: [10**12 - 5 * each * each - each for each in reversed(range(count))],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_everybody_is_loaded_once_with_hardly_more_calls_than_pages_wherever_the_ids_lie(shape: str) -> None:
    count = 6_000
    with office() as portal:
        expected = at_ids(portal, SHAPES[shape](count))
        pages = list(portal.hubspot(COUNTRY).pull("contacts", None))
        found = ids_of(pages)
        assert (set(found), len(found)) == (expected, count)
        assert portal.statuses("/objects/contacts")[200] <= count / PAGE * 1.05 + 6
        assert len(pages) <= count / 500 + 4  # pages are merged, but for the first
        assert len(pages[0].records) == PAGE
        assert pages[0].expected == count


@pytest.fixture
def unmerged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every page of HubSpot's is handed on by itself, so that others wait meanwhile."""
    monkeypatch.setattr(loading, "_MERGED", PAGE)


@pytest.mark.usefixtures("unmerged")
@pytest.mark.parametrize("at_once", [1, 4])
def test_a_load_goes_on_from_any_of_its_pages_without_reading_much_twice(at_once: int) -> None:
    def pull(since: Cursor | None, at_once: int) -> list[Page]:
        found = []
        for page in portal.hubspot(COUNTRY, at_once=at_once, overlap=0, lag=0).pull("contacts", since):
            found.append(page)
            time.sleep(0.02)  # as storing takes its time
        return found

    with office() as portal:
        expected = at_ids(portal, old_and_new(1_000))
        pages = pull(None, at_once)
        for number, page in enumerate(pages[:-1]):
            stored = pages[: number + 1]
            rest = pull(page.cursor, 5 - at_once)
            assert set(ids_of(stored)) | set(ids_of(rest)) == expected
            assert len(ids_of(stored)) + len(ids_of(rest)) <= len(expected) + 4  # the id before a cut may come twice
            last = pull(rest[0].cursor, 1)
            assert set(ids_of(stored)) | set(ids_of(rest[:1])) | set(ids_of(last)) == expected
        assert ids_of(pull(rest[-1].cursor, 1)) == []


def test_the_pages_are_asked_for_while_others_are_under_way() -> None:
    with office() as portal:
        expected = at_ids(portal, SHAPES["side by side"](2_400))
        portal.fault(path="/objects/.*contacts", method="GET", hang_s=0.1)
        took: dict[int, float] = {}
        for at_once in (1, 4):
            began = time.monotonic()
            assert set(ids_of(list(portal.hubspot(COUNTRY, at_once=at_once).pull("contacts", None)))) == expected
            took[at_once] = time.monotonic() - began
        assert took[1] > 2.4  # each of 24 pages takes 0.1 s
        assert took[4] < took[1] / 2


@pytest.mark.usefixtures("unmerged")
def test_only_a_few_pages_are_read_ahead_of_who_stores_them() -> None:
    with office() as portal:
        at_ids(portal, SHAPES["side by side"](6_000))
        pages, stored = portal.hubspot(COUNTRY, at_once=4).pull("contacts", None), 0
        for _ in range(15):
            stored += len(next(pages).records)
            time.sleep(0.05)
        asked = portal.statuses("/objects/contacts")[200]
        assert asked - stored / PAGE <= 3 * 4 + 3  # of each of four two wait and one is under way; and a cut costs one
        pages.close()  # type: ignore[attr-defined]  # it is a generator


@pytest.mark.parametrize("names", [300, 1])
def test_an_error_in_one_place_loses_nothing_that_came_before(names: int) -> None:
    wanted = Wanted(fields=tuple(f"a_custom_property_with_a_long_name_{number}" for number in range(names)))
    with office() as portal:
        expected = at_ids(portal, SHAPES["side by side"](3_000))
        hubspot = portal.hubspot(wanted)
        portal.fault(path="/objects/.*contacts\\?.*after", method="GET", skip=6, times=1, status=403)
        pages: list[Page] = []
        with pytest.raises(ConfigError):
            pages.extend(hubspot.pull("contacts", None))
        assert len(ids_of(pages)) >= 3 * PAGE  # what had come is handed on first
        rest = list(portal.hubspot(wanted).pull("contacts", pages[-1].cursor))
        assert set(ids_of(pages)) | set(ids_of(rest)) == expected


def test_a_stop_ends_a_load_whose_answers_do_not_come() -> None:
    stop = threading.Event()
    with office() as portal:
        at_ids(portal, SHAPES["side by side"](600))
        pages = portal.hubspot(Wanted(stop=stop)).pull("contacts", None)
        portal.fault(path="/objects/.*contacts", method="GET", skip=1, hang_s=30)
        next(pages)
        threading.Timer(0.3, stop.set).start()
        began = time.monotonic()
        with pytest.raises(Stopped):
            list(pages)
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("way", ["words", "numbers of pages"])
def test_a_list_whose_cursors_are_no_ids_is_read_page_by_page(way: str, caplog: pytest.LogCaptureFixture) -> None:
    meant: dict[str, str] = {}

    def seal(answer: Json) -> Json:
        if "paging" not in answer:
            return answer
        word = f"w{len(meant)}" if way == "words" else str(len(meant) + 1)
        meant[word] = answer["paging"]["next"]["after"]
        return {**answer, "paging": {"next": {"after": word}}}

    with office() as portal, caplog.at_level(logging.WARNING):
        expected = at_ids(portal, SHAPES["side by side"](1_150))
        with retold(portal, portal.paths.objects("contacts"), seal, lambda word: meant.get(word, word)) as second:
            pages = list(second.hubspot(COUNTRY).pull("contacts", None))
            assert set(ids_of(pages)) == expected
            assert "list_not_by_id" in caplog.text
            caplog.clear()
            half = len(pages) // 2
            rest = list(second.hubspot(COUNTRY, overlap=0, lag=0).pull("contacts", pages[half].cursor))
            assert sorted(ids_of(pages[: half + 1]) + ids_of(rest)) == sorted(expected)
            assert "list_not_by_id" not in caplog.text  # the cursor knows it


@pytest.mark.parametrize("resumed", [False, True])
def test_a_list_that_takes_no_words_but_its_own_is_read_page_by_page(
    resumed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with office() as portal, caplog.at_level(logging.WARNING):
        expected = at_ids(portal, SHAPES["side by side"](3_000))  # its own words end with 01
        portal.fault(path=r"contacts\?.*after=\d*(?!01)\d\d(&|$)", method="GET", status=400)
        now_ms, ranges = portal.portal.clock.now_ms(), (Range(str(_NEW + 100), _NEW + 1_450), Range(str(_NEW + 1_449)))
        cut_badly = Position("44237313", "contacts", now_ms, now_ms, ranges).cursor() if resumed else None
        pages = list(portal.hubspot(COUNTRY).pull("contacts", cut_badly))
        assert set(ids_of(pages)) == expected
        assert "list_not_by_id" in caplog.text
        assert [each for each in portal.statuses("/objects/contacts") if each >= 400] == [400]


def test_a_list_that_is_refused_for_another_reason_is_not_asked_for_ever() -> None:
    with office() as portal:
        at_ids(portal, SHAPES["side by side"](300))
        portal.fault(path="contacts\\?", method="GET", status=400, skip=1)
        with pytest.raises(Refused):
            list(portal.hubspot(COUNTRY).pull("contacts", None))
        assert portal.statuses("/objects/contacts")[400] <= 5


def test_a_list_in_turn_whose_word_is_forgotten_begins_again() -> None:
    with office() as portal:
        expected = at_ids(portal, SHAPES["side by side"](250))
        portal.fault(path="contacts\\?.*after=worn-out", method="GET", status=400)
        position = Position("44237313", "contacts", 5_000, 5_000, (Range("worn-out"),), in_turn=True)
        assert set(ids_of(list(portal.hubspot(COUNTRY).pull("contacts", position.cursor())))) == expected


@pytest.mark.parametrize("policy", ["TEN_SECONDLY_ROLLING", "DAILY"])
def test_case_32_a_load_that_always_meets_too_many_requests_keeps_what_came_before(
    monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    with office() as portal:
        expected = at_ids(portal, SHAPES["side by side"](2_000))
        let_waits_pass(monkeypatch, portal)
        cursor, found, pulls = None, set[str](), 0
        while found != expected:
            portal.control("faults", faults=[])
            portal.fault(path="contacts\\?", method="GET", skip=6, policy=policy)
            pulls += 1
            with suppress(TemporaryError):
                for page in portal.hubspot(COUNTRY, overlap=0).pull("contacts", cursor):
                    found, cursor = found | set(ids_of([page])), page.cursor
            assert pulls < 8, "each gets six pages further, not only the one that is handed on at once"
        assert pulls > 2


@pytest.mark.parametrize("size", [2, 3, 7])
def test_a_circle_of_any_size_is_found_and_no_straight_way_is_one(size: int) -> None:
    way = [*(f"before {step}" for step in range(5)), *itertools.islice(itertools.cycle(range(size)), 30)]
    trail = Trail()
    assert any(trail.comes_back_to(word) for word in way)
    straight = Trail()
    assert not any(straight.comes_back_to(step) for step in range(1_000))


@pytest.mark.parametrize("words", ["ab", "abc"])
def test_a_list_that_goes_round_over_several_pages_is_an_error(words: str) -> None:
    told = itertools.cycle(words)
    with office() as portal:
        at_ids(portal, SHAPES["side by side"](250))

        def round_(answer: Json) -> Json:
            return {**answer, "paging": {"next": {"after": next(told)}}}

        lists = (portal.paths.objects("contacts"), portal.paths.owners)
        for path, read in zip(lists, (_contacts, _owners), strict=True):
            with (
                retold(portal, path, round_, lambda _: str(_NEW)) as second,
                pytest.raises(TemporaryError, match="in a circle"),
            ):
                read(second.hubspot(COUNTRY))
        assert sum(portal.statuses("/objects/contacts").values()) < 40


def _contacts(crm: HubSpot) -> object:
    return list(crm.pull("contacts", None))


def _owners(crm: HubSpot) -> object:
    return list(crm._client.pages("reading the owners", crm._client.paths.owners, {"limit": "100"}))


def test_a_list_that_goes_round_in_a_circle_is_an_error() -> None:
    with office() as portal:
        at_ids(portal, SHAPES["side by side"](250))
        stuck = {"next": {"after": str(_NEW + 100)}}
        with (
            retold(portal, portal.paths.objects("contacts"), lambda answer: {**answer, "paging": stuck}) as second,
            pytest.raises(TemporaryError, match="round in a circle") as caught,
        ):
            list(second.hubspot(COUNTRY).pull("contacts", None))
        assert caught.value.code == "SY042"


def test_without_search_the_list_is_read_all_the_same() -> None:
    with office() as portal:
        expected = at_ids(portal, SHAPES["old and new"](1_000))
        portal.fault(path="/search", status=403)
        pages = list(portal.hubspot(COUNTRY).pull("contacts", None))
        assert (set(ids_of(pages)), pages[0].expected) == (expected, None)
        assert portal.statuses("/objects/contacts") == {200: 10}


@pytest.mark.parametrize("version", ["v3", "2026-03", "2026-09"])
def test_the_list_brings_the_people_of_activities_without_a_call_a_page(version: str) -> None:
    with office(inline_associations=3) as portal:
        ana, ben, *many = portal.add(8)
        calls = portal.load("calls", [{"hs_timestamp": "2026-11-03T10:00:00Z"} for _ in range(700)])
        portal.tie("contacts", "calls", 193, [(ana, each) for each in calls[:600]])
        portal.tie("contacts", "calls", 193, [(ben, calls[0]), *((each, calls[5]) for each in many)])
        portal.settle()
        hubspot = portal.hubspot(Wanted(activities=("call",)), api_version=version)
        found = activities(list(hubspot.pull("calls", None)))
        assert set(found) == {f"calls/{each}" for each in calls}
        assert set(found[f"calls/{calls[0]}"].records) == {key(ana), key(ben)}
        assert set(found[f"calls/{calls[5]}"].records) == {key(each) for each in (ana, *many)}  # more than it shows
        assert found[f"calls/{calls[699]}"].records == ()
        assert all(each.modified_at is not None for each in found.values())
        asked = portal.statuses("/associations/calls/contacts/batch/read")
        assert sum(asked.values()) <= 3  # for the one that shows a part only; for a page of which nobody is tied


def test_a_list_that_tells_no_ties_at_all_is_not_believed() -> None:
    def untold(answer: Json) -> Json:
        return {
            **answer,
            "results": [{k: v for k, v in row.items() if k != "associations"} for row in answer["results"]],
        }

    with office() as portal:
        (ana,) = portal.add(1)
        portal.act(ana)
        portal.settle()
        with retold(portal, portal.paths.objects("meetings"), untold) as second:
            (found,) = activities(list(second.hubspot(Wanted(activities=("meeting",))).pull("meetings", None))).values()
        assert found.records == (key(ana),)


def whole(hubspot: HubSpot, since: Cursor | None) -> set[str]:
    return set(records(list(hubspot.pull("contacts", since))))


def test_cursors_of_the_first_format_are_understood() -> None:
    with office() as portal:
        people = list(portal.add(350))
        portal.settle()
        until_ms, hubspot = portal.portal.clock.now_ms() - 60_000, portal.hubspot(COUNTRY)
        loading = Cursor(f'[1,"44237313","contacts",{until_ms},null,"{people[100]}"]')
        assert whole(hubspot, loading) >= set(people[100:])
        searching = Cursor(f'[1,"44237313","contacts",{until_ms},{until_ms - 600_000},"{people[200]}"]')
        assert whole(hubspot, searching) >= set(people[201:])
        done = Cursor(f'[1,"44237313","contacts",{until_ms},null,null]')
        assert resumed("crm", "44237313", "contacts", done) == Position("44237313", "contacts", until_ms, until_ms)
        assert whole(hubspot, done) == set(people)  # all of them within the overlap


@pytest.mark.parametrize(
    "parts",
    [
        '[2,"1","contacts",5,5,[["7"]],null,false]',
        '[2,"1","contacts",5,5,[[7,null]],null,false]',
        '[2,"1","contacts",5,"5",[],null,false]',
        '[2,"1","contacts",5,5,[],[1,2],false]',
        '[2,"1","contacts",5,5,7,null,false]',
        '[2,"1","contacts",5]',
        '[3,"1","contacts",5,5,[],null,false]',
        '{"a":1}',
        "7",
        "not json",
    ],
)
def test_a_cursor_that_is_not_ours_begins_anew(parts: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert resumed("crm", "1", "contacts", Cursor(parts)) is None
    assert "cursor_not_ours" in caplog.text


def test_a_cursor_says_all_that_is_left() -> None:
    ranges = (Range("12", 40), Range(None, 7), Range("99"))
    position = Position("1", "contacts", 5, 4, ranges, Window(1, 2, "3"), in_turn=True)
    assert resumed("crm", "1", "contacts", position.cursor()) == position


def test_the_widest_rest_is_cut_in_its_middle_and_a_small_one_never() -> None:
    dense, sparse = Rest(0, 2_000, 1.0), Rest(5_000, 9_000, 0.1)
    assert cut([(0, sparse), (1, dense)], left=10_000) == (1, 1_050)  # behind the page that is being read
    assert cut([(0, sparse)], left=10_000) is None  # 400 records
    assert cut([(1, dense)], left=500) is None  # the guess knows how many are left at all
    assert cut([(0, Rest(0, 10**12, 1.0))], left=1_000) == (0, 550)  # and does not look for them in a gap
    assert cut([], left=10_000) is None


@pytest.mark.parametrize(
    ("asked", "ids", "after", "holds"),
    [
        (None, ["1", "5", "9"], "12", True),
        ("5", ["5", "9"], None, True),
        ("5", ["7"], "8", True),
        ("5", [], None, True),
        ("5", [], "9", True),
        (None, ["9", "12"], "12", True),  # as if `after` were the last one shown
        (None, ["10", "9"], "12", False),
        ("5", ["4", "9"], "12", False),
        (None, ["1", "9"], "2", False),
        (None, ["1"], "Mg==", False),
        (None, ["a"], None, False),
    ],
)
def test_a_list_is_cut_only_while_it_shows_ids_in_their_order(
    asked: str | None, ids: list[str], after: str | None, holds: bool
) -> None:
    assert in_order(asked, ids, after) is holds
