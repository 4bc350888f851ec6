"""The memory connector passes the suite: a connector's whole test file can be as short as this."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from pydantic import SecretStr

from connectors.conformance import CHECKS, Check
from syncer.connector import Wanted
from syncer.model import Manual
from tests.connectors.memory import TOKEN, Crm, Memory, MemorySettings


class MemoryAccount:
    field, kind, unknown_id, bad_token = "country", "meeting", "nobody", "sesame-open-please"

    def __init__(self) -> None:
        self.crm = Crm()

    def connect(self, name: str, wanted: Wanted, *, token: str | None = None) -> Memory:
        return Memory(name, MemorySettings(crm=self.crm, token=SecretStr(token or TOKEN)), wanted)

    def add(self, people: int) -> Sequence[str]:
        new = [str(len(self.crm.people) + each) for each in range(people)]
        for each in new:
            self.crm.put(each, email=f"person{each}@acme.test", country="ES")
        return new

    def edit(self, person: str, value: str) -> None:
        self.crm.put(person, country=value)

    def remove(self, person: str) -> None:
        self.crm.delete(person)

    def slip(self, person: str, value: str) -> bool:
        self.crm.slip(person, country=value)
        return True

    def erase(self, person: str) -> bool:
        self.crm.erase(person)
        return True

    def merge(self, person: str, other: str) -> str | None:
        self.crm.merge(other, into=person)
        return person

    def act(self, person: str) -> None:
        self.crm.act(str(len(self.crm.deeds)), "meeting", person)

    def choose(self, person: str, stage: str | None) -> bool:
        self.crm.choose(person, Manual(stage) if stage else None)
        return True

    def score_shown(self, person: str) -> int | None:
        return self.crm.people[person].standing.score

    def settle(self) -> None:
        """Nothing lags here."""


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_it_conforms(check: Check) -> None:
    check(MemoryAccount())
