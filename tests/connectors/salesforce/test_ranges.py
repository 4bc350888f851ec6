"""Everything there is, read by ranges of ids side by side."""

from __future__ import annotations

import random
from collections.abc import Sequence

from connectors.salesforce.people import LEAD
from connectors.salesforce.ranges import Range, _identity, _number
from connectors.salesforce.read import Reader
from connectors.salesforce.values import id18
from syncer.connector import Wanted
from syncer.model import Page
from tests.connectors.salesforce.orgs import House

A_PAGE = 20
FIRST = _number("00Q5f0000000000")


def read_through(there: Sequence[str]) -> tuple[list[str], int]:
    """What the ranges of such an org bring, in their order, and in how many pages."""
    left, read, pages = [Range()], [], 0
    while left:
        some = left.pop(0)
        inside = [each for each in there if some.after < each and (some.until is None or each <= some.until)]
        pages += 1
        read += inside[:A_PAGE]
        if len(inside) > A_PAGE:
            left = [*some.rest([{"Id": each} for each in inside[:A_PAGE]], len(inside) - A_PAGE, 4), *left]
    return read, pages


def test_an_id_is_a_number_and_back() -> None:
    assert _identity(FIRST + 62 + 35) == id18("00Q5f000000001Z")
    assert _identity(FIRST + 61) < _identity(FIRST + 62), "and in the order of numbers"
    assert _number(id18("00Q5f000000001Z")) == FIRST + 97


def test_ids_side_by_side_come_once_each_in_their_order_in_hardly_more_pages_than_they_fill() -> None:
    there = [_identity(FIRST + 3 * each) for each in range(1_000)]
    read, pages = read_through(there)
    assert read == there
    assert pages <= 1_000 / A_PAGE * 1.3


def test_ids_in_clumps_far_from_each_other_come_once_each_in_their_order_too() -> None:
    dice = random.Random(5)
    starts = [FIRST + dice.randrange(62**9) for _ in range(6)] + [_number("00Q7Q0000000000")]
    numbers = {start + step for start in starts for step in dice.sample(range(5_000), 100)}
    there = [_identity(each) for each in sorted(numbers)]
    read, pages = read_through(there)
    assert read == there
    assert pages <= 3 * len(there) / A_PAGE


def pages_of(org: House, since: Page | None = None) -> list[Page]:
    reader = Reader(org.asked(Wanted(), first_load="rest", at_once=3))
    return list(reader.pull(LEAD, since.cursor if since else None))


def ids(pages: Sequence[Page]) -> list[str]:
    return [each.key.id for page in pages for each in page.records]


def test_a_first_load_comes_in_the_order_of_ids_and_goes_on_behind_any_of_its_pages(org: House) -> None:
    made = sorted([*org.leads(230), *org.leads(220)])
    org.let_pass(120)
    org.behave(page_rows=100)
    org.forget()
    pages = pages_of(org)
    assert ids(pages) == made
    assert not [each for each in org.log() if "/query/0r8" in each["url"]], "no locator that could die"
    assert {page.expected for page in pages if page.records} == {450}
    for at, page in enumerate(pages):
        assert ids([*pages[: at + 1], *pages_of(org, page)]) == made


def test_what_one_range_is_too_heavy_for_is_asked_for_in_parts(org: House) -> None:
    made = sorted(org.leads(450))
    org.let_pass(120)
    org.behave(page_rows=100)
    org.fault(path="/queryAll", code="QUERY_TIMEOUT", skip=3, times=1)
    assert sorted(set(ids(pages_of(org)))) == made
