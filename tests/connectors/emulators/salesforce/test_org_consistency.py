"""Whatever is done to an org, its orders and indexes stay true and refused writes leave no trace."""

import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from connectors.emulators.salesforce.calls import Caller, Write
from connectors.emulators.salesforce.clock import Clock
from connectors.emulators.salesforce.errors import Refusal
from connectors.emulators.salesforce.org import Org
from connectors.emulators.salesforce.table import Table

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def check_table(table: Table) -> None:
    """The sorted orders and each index, made anew, are what is kept."""
    assert table.by_id == sorted(table.rows)
    assert table.by_stamp == sorted((str(row.get("SystemModstamp") or ""), i) for i, row in table.rows.items())
    for name, index in table._indexes.items():
        fresh = table._made_index(name)
        assert {value: ids for value, ids in index.items() if ids} == fresh


def snapshot(org: Org) -> dict[str, dict[str, Mapping[str, object]]]:
    return {name: dict(table.rows) for name, table in org.state.tables.items()}


class Life:
    """Random doings in an org, some of which it refuses."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.org = Org.stock(Clock(NOW, frozen=True))
        self.org.add_field("Lead", {"fullName": "Ext__c", "type": "Text", "externalId": True, "unique": True})
        self.refusals = 0

    def some(self, object_name: str) -> str:
        rows = sorted(self.org.state.tables[object_name].rows)
        return self.random.choice(rows) if rows else "00Q5f000000zzzzEAA"

    def caller(self) -> Caller:
        names = sorted(self.org.open_transactions())
        return Caller(transaction=self.random.choice(names)) if names and self.random.random() < 0.5 else Caller()

    def end(self, how: Callable[[str], None]) -> None:
        for name in list(self.org.open_transactions()):
            how(name)

    def step(self) -> None:
        org, pick = self.org, self.random
        lead = {
            "LastName": "L",
            "Company": "C",
            "Ext__c": str(pick.randrange(30)),
            "Email": f"{pick.randrange(9)}@x.de",
        }
        task = {"Subject": "t", "WhoId": self.some("Lead"), "Status": pick.choice(["Completed", "Not Started"])}
        values = {"Rating": pick.choice(["Hot", None]), "Email": pick.choice(["a@x.de", "bad"])}
        writes = [Write("create", "Lead", values=lead), Write("delete", "", self.some("Lead"))]
        doings: list[Callable[[], Any]] = [
            lambda: org.create("Lead", lead, self.caller()),
            lambda: org.create("Task", task, self.caller()),
            lambda: org.create("Task", {**task, "WhoId": self.some("Contact")}, self.caller()),
            lambda: org.update("Lead", self.some("Lead"), values, self.caller()),
            lambda: org.update("Task", self.some("Task"), {"WhoId": self.some("Lead")}, self.caller()),
            lambda: org.upsert("Lead", ("Ext__c", lead["Ext__c"]), {**lead, **values}, self.caller()),
            lambda: org.delete("Lead", self.some("Lead"), self.caller()),
            lambda: org.undelete(self.some("Lead"), self.caller()),
            lambda: org.merge("Lead", self.some("Lead"), [self.some("Lead")], {}, self.caller()),
            lambda: org.convert(self.some("Lead"), {}, self.caller()),
            lambda: org.save(writes, all_or_none=True, caller=self.caller()),
            lambda: org.hard_delete([self.some("Lead")]),
            lambda: org.touch("Lead", [self.some("Lead")]),
            lambda: org.begin(commit_after_s=pick.choice([None, 3])),
            lambda: self.end(org.commit),
            lambda: self.end(org.roll_back),
            lambda: org.clock.advance(pick.choice([0, 1, 2, 90000])),
            lambda: org.query("SELECT Id FROM Lead WHERE Email = 'a@x.de' AND OwnerId != null"),
        ]
        self.attempt(pick.choice(doings))

    def attempt(self, doing: Callable[[], Any]) -> None:
        self.org.query("SELECT Id FROM Lead LIMIT 1")  # what is due happens before, not within
        before = snapshot(self.org)
        try:
            doing()
        except Refusal:
            self.refusals += 1
            assert snapshot(self.org) == before


@pytest.mark.parametrize("seed", range(6))
def test_a_random_life_leaves_every_order_and_index_true(seed: int) -> None:
    life = Life(seed)
    for _ in range(250):
        life.step()
    for name in sorted(life.org.open_transactions()):
        life.org.commit(name)
    for table in life.org.state.tables.values():
        check_table(table)
    assert life.refusals > 10
    live = life.org.query("SELECT Id FROM Lead").total_size
    stored = [row for row in life.org.state.tables["Lead"].rows.values() if not row["IsDeleted"]]
    assert live == len(stored) > 0
