from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.handoff.text import clipped, is_address, one_line, slack_safe, web_link


@given(st.text(st.characters(), max_size=60))
def test_one_line_is_one_line_whatever_comes_in(text: str) -> None:
    line = one_line(text)
    assert len(line.splitlines()) <= 1
    assert not any(unicodedata.category(each) in ("Cc", "Cs", "Zl", "Zp") for each in line)
    line.encode()  # no lone surrogate is left to break an encoder
    assert one_line(line) == line


@given(st.text(max_size=60), st.integers(2, 40))
def test_a_clipped_text_never_exceeds_its_length_and_shows_that_it_was_cut(text: str, length: int) -> None:
    short = clipped(text, length)
    assert len(short) <= length
    assert short == one_line(text) or short.endswith("…")


def test_marks_that_turn_the_reading_direction_are_dropped() -> None:
    assert one_line("invoice\u202efdp.exe") == "invoicefdp.exe"


def test_nothing_slack_would_read_as_a_mention_or_link_survives() -> None:
    assert slack_safe("<!channel> <https://evil.test|ok> &lt;", 400) == (
        "&lt;!channel&gt; &lt;https://evil.test|ok&gt; &amp;lt;"
    )


@given(st.text("&<>a", max_size=60), st.integers(5, 40))
def test_a_text_cut_for_slack_never_ends_within_an_escape(text: str, length: int) -> None:
    safe = slack_safe(text, length)
    assert len(safe) <= length
    shown = safe.removesuffix("…").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    assert text.startswith(shown)


@pytest.mark.parametrize(
    ("url", "link"),
    [
        ("https://crm.test/c/1?a=1&b=2#x", "https://crm.test/c/1?a=1&b=2#x"),
        ("https://crm.test/|x> <!here>", "https://crm.test/%7Cx%3E%20%3C!here%3E"),
        ('https://crm.test/"onclick="x', "https://crm.test/%22onclick=%22x"),
        ("javascript:alert(1)", None),
        ("data:text/html,x", None),
        ("", None),
        (None, None),
    ],
)
def test_only_web_addresses_become_links_and_cannot_end_early(url: str | None, link: str | None) -> None:
    assert web_link(url) == link


@pytest.mark.parametrize("address", ["ana@acme.es", "a.b+c@sub.acme.co.uk"])
def test_plain_addresses_pass(address: str) -> None:
    assert is_address(address)


@pytest.mark.parametrize(
    "address",
    ["", None, "90151", "ana@", "@acme.es", "a@b@c", "ana@acme.es\nBcc: x@evil.test", "ana@acme.es, x@evil.test",
     "Ana <ana@acme.es>", "ana@acme.es ", "aña@acme.es", "a\x00@b.es"],
)  # fmt: skip
def test_what_is_more_or_less_than_one_address_does_not_pass(address: str | None) -> None:
    assert not is_address(address)
