from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.model import Value
from syncer.patterns import unaccented
from syncer.scoring.values import domain, epoch_ms, fold, is_set, moment_ms, number, text


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, False), ("", False), ("  \t", False), (0, True), (False, True), (0.0, True), ("0", True)],
)
def test_only_none_and_blank_text_are_not_set(value: Value, expected: bool) -> None:
    assert is_set(value) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(True, "true"), (False, "false"), (140.0, "140"), (140.5, "140.5"), (7, "7"), (" a b ", "a b"), (None, "")],
)
def test_a_value_reads_as_people_write_it(value: Value, expected: str) -> None:
    assert text(value) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Dirección  General", "direccion general"), ("DIRECCIÓN", "direccion"), ("Straße", "strasse"),
        ("İstanbul", "istanbul"), ("Ａｃｍｅ™", "acmetm"), ("Acme\u00a0Corp", "acme corp"), ("Peña", "pena"),
    ],
)  # fmt: skip
def test_folding_takes_case_accents_and_doubled_blanks_away(raw: str, expected: str) -> None:
    assert fold(raw) == expected


def test_folding_twice_is_folding_once_for_every_character_there_is() -> None:
    unstable = [hex(code) for code in range(sys.maxunicode + 1) if fold(fold(chr(code))) != fold(chr(code))]
    fold.cache_clear()
    assert unstable == []


@given(st.text())
def test_case_never_matters_after_folding(raw: str) -> None:
    assert fold(raw.casefold()) == fold(raw)


def test_without_accents_a_regular_expression_stays_one() -> None:
    assert unaccented(r"^[á-ú]+\S\d{2}(?i:Ñ)$") == r"^[a-u]+\S\d{2}(?i:N)$"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (7, 7.0), (0.5, 0.5), ("7", 7.0), (" -7.5 ", -7.5), ("1e3", 1000.0), (".5", 0.5), ("5.", 5.0), ("+2", 2.0),
        ("1,234", None), ("1.234,5", None), ("1;2", None), ("12 people", None), ("0x1f", None), ("1_000", None),
        ("nan", None), ("inf", None), ("1e999", None), ("", None), (None, None), (True, None), (False, None),
        (float("nan"), None), (float("inf"), None), (10**400, None),
    ],
)  # fmt: skip
def test_only_plain_finite_numbers_are_numbers(value: Value, expected: float | None) -> None:
    assert number(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2025-03-30", datetime(2025, 3, 30, tzinfo=UTC)),
        ("2025-03-30T01:00:00", datetime(2025, 3, 30, 1, tzinfo=UTC)),
        ("2025-03-30T01:00:00+02:00", datetime(2025, 3, 29, 23, tzinfo=UTC)),
        (" 2025-03-30T01:00:00.250Z ", datetime(2025, 3, 30, 1, 0, 0, 250_000, tzinfo=UTC)),
        (1_743_296_400_000, datetime(2025, 3, 30, 1, tzinfo=UTC)),
        (10_000_000_000, datetime(1970, 4, 26, 17, 46, 40, tzinfo=UTC)),
        ("1743296400000", datetime(2025, 3, 30, 1, tzinfo=UTC)),
    ],
)
def test_moments_are_read_from_iso_text_and_epoch_milliseconds(value: Value, expected: datetime) -> None:
    assert moment_ms(value) == epoch_ms(expected)


@pytest.mark.parametrize(
    "value",
    ["30/03/2025", "yesterday", 2025, "20250330", 9_999_999_999, True, None, "", 1e300, 10**19, 253_402_300_800_000],
)
def test_what_is_no_moment_is_none(value: Value) -> None:
    assert moment_ms(value) is None


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45))])))
def test_epoch_milliseconds_are_exact_and_rounded_down(moment: datetime) -> None:
    ms = epoch_ms(moment)
    start = datetime(1970, 1, 1, tzinfo=UTC)
    assert start + timedelta(milliseconds=ms) <= moment < start + timedelta(milliseconds=ms + 1)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Ana@Gmail.COM", "gmail.com"), ("gmail.com", "gmail.com"), ("a@b@acme.es", "acme.es"),
        (" x@acme.es ", "acme.es"), ("ana@", None), ("n/a", None), ("none", None), ("ana@localhost", None), (7, None),
        ("a@b. c", None),
    ],
)  # fmt: skip
def test_a_domain_is_what_follows_the_last_at(value: Value, expected: str | None) -> None:
    assert domain(value) == expected
