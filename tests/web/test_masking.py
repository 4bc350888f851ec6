"""What a viewer sees of e-mail addresses where they are masked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

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


def test_what_is_no_address_stays_as_it_is() -> None:
    for text in ("Ana Ruiz", "2 @ 3", "@acme", "ana@", "cost @home"):
        assert masked(text) == text
    assert masked(None) is None


@given(st.emails(), st.text(alphabet='abc ,;()<>"\n'), st.text(alphabet=' ,;()<>"\n'))
def test_no_address_that_people_have_passes(email: str, before: str, after: str) -> None:
    local, _, _ = email.rpartition("@")
    if len(local) > 1 and all(each.isalnum() or each in ".+%'-_" for each in local):
        assert email not in masked(f"{before} {email}{after}")
