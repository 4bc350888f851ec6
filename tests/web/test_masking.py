"""What a viewer sees of e-mail addresses where they are masked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.web.masking import masked


class Pair(NamedTuple):
    one: str
    other: int


@dataclass(frozen=True)
class Inner:
    evidence: str


@dataclass(frozen=True)
class Shown:
    email: str | None
    count: int
    inner: tuple[Inner, ...]
    by: dict[str, list[str]]
    pair: Pair


def test_addresses_are_shown_in_part_wherever_they_stand() -> None:
    shown = Shown(
        "ana.ruiz@acme.es", 3, (Inner("answered by luis+crm@mail.acme.co.uk, twice"),), {"o'hara@acme.es": ["a@b.cd"]},
        Pair("crm/contacts/x@y.es", 4),
    )  # fmt: skip
    assert masked(shown) == Shown(
        "a…@acme.es", 3, (Inner("answered by l…@mail.acme.co.uk, twice"),), {"o…@acme.es": ["a…@b.cd"]},
        Pair("crm/contacts/x…@y.es", 4),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("o!brien@acme.es", "o…@acme.es"),
        ("ana&co@acme.es, {ana}@acme.es", "a…@acme.es, {…@acme.es"),
        ("write to <ana.ruiz@localhost>", "write to <a…@localhost>"),
        ("ana@[192.0.2.1]", "a…@[192.0.2.1]"),
        ('"ana ruiz"@acme.es or "ana" luis@acme.es', 'a…@acme.es or "ana" l…@acme.es'),
        ('"a\\"b@c"@acme.es', "a…@acme.es"),
        ("jose\u0301@peñalara.es, 用户@例子.广告", "j…@peñalara.es, 用…@例子.广告"),
        ("here/crm/contacts/ana.ruiz@acme.es#1", "here/crm/contacts/a…@acme.es#1"),
        ("https://crm.es/ana.ruiz%40acme.es?x=b%40c.de", "https://crm.es/a…%40acme.es?x=b…%40c.de"),
        ("a…@acme.es", "a…@acme.es"),
        ("b2b-saas@e15ff598ec83", "b2b-saas@e15ff598ec83"),  # a model
    ],
)
def test_whatever_a_mailbox_is_called_its_name_is_not_shown_whole(text: str, shown: str) -> None:
    assert masked(text) == shown


def test_a_long_text_is_gone_through_once() -> None:
    """Else this takes minutes."""
    for text in ("a" * 200_000 + " @x", "%" * 200_000 + "%40", '"' * 200_000 + "@"):
        assert len(masked(text)) > 100_000


def test_what_is_no_address_stays_as_it_is() -> None:
    for text in ("Ana Ruiz", "2 @ 3", "@acme", "ana@", "cost @home"):
        assert masked(text) == text
    assert masked(None) is None


_MAILBOXES = st.emails().filter(lambda email: "/" not in email)  # which ends the key of a record's stream


@given(_MAILBOXES, st.text(alphabet='abc ,;()<>"\n'), st.text(alphabet=' ,;()<>"\n'))
def test_no_address_that_people_have_passes(email: str, before: str, after: str) -> None:
    local, _, domain = email.rpartition("@")
    shown = masked(f"{before} {email}{after}")
    assert email not in shown
    assert f"{local[-1]}@{domain}" not in shown
