"""What rules look for with regular expressions: found as `re` finds it, at a cost that no text can drive up."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from syncer.patterns import LONGEST_PATTERN, LONGEST_TEXT, BadPattern, pattern, unaccented

PATTERNS = (
    r"^dir", r"dir$", r"dir\Z", r"\Adir", r"\bdue[ñn]o\b", r"\Bx\B", r"i", r"(?P<a>x)(?P=a)", r"(a)|b\1",
    r"(a)?(?(1)b|c)", r"(?:(x)y)?(a)(b)\3\2", r"[^\W\d_]+x", r"[\W]", r"[^\S]", r"[\S\W]", r"[^\Sa]", r"\W", r"\S",
    r"\D", r"\d{2}", r"a{,2}b", r"a{2}", r"x{}", r"x{ 1}", r".+foo", r".*?foo.*", r"(?:.*)*foo", r"(?:ab)*+c",
    r"a*+ab", r"(?>a+)b", r"(?s).\n", r"(?m)^b", r"(?m)a$", "(?x) a b # c [", r"(?a:\w)é", r"(?a)\bdue", r"(?i:É)",
    r"(?-i:a)B", r"\N{LATIN SMALL LETTER E WITH ACUTE}", r"\U0001F600", r"\u00e9", r"\x41", r"\101", r"\0",
    r"[a[:alpha:]]", r"[]a]", r"[^]a]", r"a|b|", r"(?<=a)b", r"(?<!a)b", r"(?=a)a", r"(?!a).", r"\.", r"\v", r"\s",
    r"[\b]", r"a\nb", "a\nb", r"(a+)+$", r"#x", "a b", r"ß", r"ſ", r"[a-z]", r"[^a-z]", r"K", r"σ", r"(?#c)a",
    r"(ab|a)(c|bcd)(d*)x", r"\Qa", r"\R", r"(a*)*b",
)  # fmt: skip
TEXTS = (
    "", "director", "subdir", "dir", "dir\n", "DIR", "dueño", "duen\u0303o", "x", "axxb", "xx", "aa", "ab", "ac", "c",
    "b", "abab", "abba", "xyabba", "é", "É", "e\u0301", "İ", "ı", "I", "12", "١٢", "²", "a1x", "_", "a_x", " ",
    "\x1c", "\x85", "\u180e", "\u200b", "aab", "aaab", "x{}", "x{ 1}", "afoo", "foo bar", "\nfoo", "ababc", "a\n",
    "b\na", "a\nb", "😀", "A", "\0", "[", "a:]", "]", "a]", "^", "a.b", "\x0b", "\n", "\u2028", "\b", "#x", "aB", "ß",
    "ẞ", "ſ", "s", "K", "k", "σ", "ς", "Σ", "xabcdx", "Ⅷ", "中文", "‿", "ab\n\n", "x\nb\ny", "Dirección General",
)  # fmt: skip


def _as_re_does(written: str, text: str, *, exact: bool) -> bool | None:
    """None: `re` does not take it, or warns of it."""
    try:
        if exact:
            return re.search(written, text) is not None
        return re.search(unaccented(written), unaccented(text), re.IGNORECASE) is not None
    except (re.error, FutureWarning):
        return None


@pytest.mark.parametrize("written", PATTERNS)
@pytest.mark.parametrize("exact", [True, False])
def test_a_pattern_finds_what_re_finds_and_is_refused_where_re_refuses_it(written: str, exact: bool) -> None:
    for text in TEXTS:
        asked = _as_re_does(written, text, exact=exact)
        if asked is None:
            with pytest.raises(BadPattern):
                pattern(written, exact=exact)
        else:
            assert pattern(written, exact=exact).found_in(text) is asked, text


_ATOMS = st.sampled_from(
    ("a", "b", "ñ", "Ñ", "I", ".", r"\w", r"\W", r"\d", r"\s", r"\b", "^", "$", "[ab]", "[^añ]", r"[^\W_]")
)
_SIMPLE = st.recursive(
    _ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(("", "+", "*", "?", "{2}", "{1,2}", "*?"))).map(
            lambda told: f"(?:{told[0]}){told[1]}"
        ),
        st.lists(inner, min_size=2, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=2).map(lambda told: f"({'|'.join(told)})"),
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(_SIMPLE, st.text("abñÑIı1_ \n\u0301", max_size=6), st.booleans())
@example("(?:.*)*", "a", True)
def test_whatever_is_put_together_finds_what_re_finds(written: str, text: str, exact: bool) -> None:
    assert pattern(written, exact=exact).found_in(text) is _as_re_does(written, text, exact=exact)


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (r"(a+)+$", "a" * 60_000 + "!"),
        (r"^(\w+\s?)*$", "word " * 12_000 + "!"),
        (r"x\s+$", "x" + " x" * 20_000 + " " * 2_000 + "y"),
        (r"(a|a)*b", "a" * 60_000),
        (r"a.*b.*c.*d", "abc" * 10_000),
        (r"([a-z]+)*@", "abc" * 20_000),
    ],
)
def test_a_text_that_would_take_a_lifetime_is_given_up_after_so_many_steps(written: str, text: str) -> None:
    """Were it not, this test would not end. The steps are the machine's no more than the answer is."""
    assert [pattern(written).found_in(text) for _ in range(2)] in ([None, None], [False, False])


def test_the_search_is_given_up_by_its_steps_alone_and_not_before() -> None:
    """1,400 letters of which each is tried with each that follows: a million steps."""
    slow = pattern(r"a\w*\d\w*@", exact=True)
    assert slow.found_in("a" * 1_000) is False
    assert slow.found_in("a" * 3_000) is None


def test_what_people_write_is_found_in_the_longest_text_of_a_crm() -> None:
    text = "el perro come " * ((LONGEST_TEXT - 20) // 14) + "precio: 12"
    for written in (r"\bprecio\b", r".*precio.*", r".*\d+$", r"(?i)PRECIO:?\s*\d+", r"^el.*precio", r"\w+:"):
        assert pattern(written).found_in(text) is True, written
    assert pattern(r".*presupuesto.*").found_in(text) is False
    assert pattern("precio").found_in(text + "x" * 40) is None, "longer than any CRM's text"


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("(", "missing )"),
        ("(*ACCEPT)", "nothing to repeat"),
        ("(*LIMIT_MATCH=1)a", "nothing to repeat"),
        ("(?C1)a", "unknown extension"),
        (r"a\Cb", r"bad escape \C"),
        (r"\p{L}", r"bad escape \p"),
        (r"\K", "bad escape"),
        ("(?R)", "unknown extension"),
        ("[[a]", "nested set"),
        ("a" * (LONGEST_PATTERN + 1), "1,001 characters"),
        ("(" * 60 + "a" + ")" * 60, "nested too deeply"),
        ("(" * 900, "nested too deeply"),
        ("(((a{900}){900}){900}){900}", "bounded cost"),
        ("(?<=a+)b", "fixed-width"),
    ],
)
def test_what_has_no_place_in_a_rule_is_refused(written: str, says: str) -> None:
    with pytest.raises(BadPattern) as caught:
        pattern(written, exact=True)
    assert says in str(caught.value)


def test_a_range_that_loses_its_sense_without_accents_is_a_mistake_only_where_they_do_not_count() -> None:
    assert pattern("[z-é]", exact=True).found_in("à") is True
    with pytest.raises(BadPattern, match="bad character range"):
        pattern("[z-é]")


def test_half_a_character_hurts_nobody() -> None:
    assert pattern("b$").found_in("a\ud800b") is True
