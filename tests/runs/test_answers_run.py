"""Sales answers in a field of its CRM: the lead goes back or stays, nobody is reminded, and later it is news again."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from syncer.app import App, opened
from syncer.model import Answer, RecordKey
from syncer.parts import Asked
from syncer.run import deliver, follow, sync
from syncer.settings import process_settings
from syncer.store import answers, handed_over, hints, open_store
from tests.receivers import HttpReceiver
from tests.runs.house import House
from tests.runs.test_same_person import Two, two

__all__ = ["two"]  # a fixture

ANA = "ana@acme.example"
ANSWERS = """
  respond_within: 1h
  on_reject: {to: mql, hold: 1d}
  answers: {field: hs_lead_status, accepted: [connected], rejected: [unqualified, bad_timing]}
"""


@dataclass
class Sales:
    """A portal in which sales answers, and a chat that is told and reminded."""

    house: House
    chat: HttpReceiver
    ana: str

    def sync(self, days: float = 0) -> None:
        self.house.pass_time()
        with self.house.app() as app:
            sync(self._later(app, days), Asked())

    def reminded(self, hours: int) -> int:
        """How many messages go out between two runs, so many hours from now."""
        before = len(self.chat.received)
        with self.house.app() as app:
            deliver(self._later(app, hours / 24))
        return len(self.chat.received) - before

    def _later(self, app: App, days: float) -> Any:
        return replace(app.parts("crm"), clock=lambda: datetime.now(UTC) + timedelta(days=days))

    def answers(self) -> list[tuple[bool, str, str]]:
        """The earliest first."""
        with closing(open_store(self.house.database_url)) as store, store.reading() as tx:
            handed = handed_over.listed(tx, handed_over.Wanted(("crm",), datetime.now(UTC)))
            found = answers.of(tx, [each.handoff.key for each in handed])
        said: list[Answer] = [answer for each in reversed(handed) for answer in found.get(each.handoff.key, ())]
        return [(each.accepted, each.author, each.source) for each in said]


@pytest.fixture
def sales(house: House) -> Iterator[Sales]:
    """Ana has just become ready, and the chat was told so."""
    with HttpReceiver() as chat:
        path = house.folder / "syncer.yml"
        text = path.read_text().replace("notify: [hook]\n", f"notify: [chat]{ANSWERS}")
        notifier = f"chat: {{type: slack, private_addresses: true, url: {chat.url}}}"
        path.write_text(text.replace("  notifiers:\n", f"  notifiers:\n    {notifier}\n"))
        house.setup()
        ana = house.person(country="MX", jobtitle="Directora", email=ANA, hs_lead_status="OPEN")
        house.sync()
        for _ in range(2):
            house.meeting(ana)
        house.sync()
        assert house.shown(ana)["ls_stage"] == "sql"
        yield Sales(house, chat, ana)


def test_a_lead_that_is_rejected_in_the_crm_goes_back_is_held_and_is_told_of_anew_when_the_hold_ends(
    sales: Sales,
) -> None:
    assert len(sales.chat.received) == 1
    sales.house.edit(sales.ana, hs_lead_status="UNQUALIFIED")
    sales.sync()
    assert sales.answers() == [(False, "somebody in crm", "field")]
    assert sales.house.shown(sales.ana)["ls_stage"] == "mql"
    assert sales.reminded(hours=5) == 0
    sales.sync(days=0.9)
    assert sales.house.shown(sales.ana)["ls_stage"] == "mql", "the rules leave it there"
    assert len(sales.chat.received) == 1
    sales.sync(days=1.1)
    assert sales.house.shown(sales.ana)["ls_stage"] == "sql"
    assert len(sales.chat.received) == 2
    assert sales.answers() == [(False, "somebody in crm", "field")], "what stands in the field still is an old answer"
    history = sales.house.json("explain", ANA)["history"]
    assert [(each["to"], each["cause"]) for each in history[-3:]] == [
        *[("sql", "activity"), ("mql", "override"), ("sql", "override")]
    ]


@pytest.mark.slow  # in memory: tests/handoff/test_answering.py
def test_nobody_is_reminded_of_a_lead_that_was_accepted_in_the_crm(sales: Sales) -> None:
    sales.house.edit(sales.ana, hs_lead_status="CONNECTED")
    sales.sync()
    assert sales.answers() == [(True, "somebody in crm", "field")]
    assert sales.reminded(hours=5) == 0
    sales.sync(days=0.5)
    assert sales.house.shown(sales.ana)["ls_stage"] == "sql"
    (handed,) = sales.house.json("handoffs")["handoffs"]
    assert (handed["touched_by"], handed["open"], handed["human_ms"] >= 0) == ("accepted", False, True)


@pytest.mark.slow  # in memory: tests/handoff/test_answering.py
def test_without_an_answer_there_is_a_reminder(sales: Sales) -> None:
    sales.house.edit(sales.ana, hs_lead_status="IN_PROGRESS")
    sales.sync()
    assert sales.answers() == []
    assert sales.reminded(hours=5) == 1


@pytest.mark.slow
def test_a_quick_run_hears_the_answer_too(sales: Sales) -> None:
    sales.house.edit(sales.ana, hs_lead_status="BAD_TIMING")
    sales.house.pass_time()
    with sales.house.app() as app:
        with app.store.writing() as tx:
            hints.hint(tx, [RecordKey("crm", "contacts", sales.ana)], app.clock())
        assert follow(app.parts("crm")).run > 0
    assert sales.answers() == [(False, "somebody in crm", "field")]
    assert sales.house.shown(sales.ana)["ls_stage"] == "mql"


@pytest.mark.slow
def test_whoever_is_one_person_in_two_portals_may_be_rejected_in_either(two: Two) -> None:
    path = two.a.folder / "syncer.yml"
    path.write_text(path.read_text().rstrip() + ANSWERS.replace("  respond_within: 1h\n", ""))
    in_a = two.a.person(email=ANA, country="ES", jobtitle="Directora")
    in_b = two.b.person(email=ANA, country="ES", jobtitle="Directora")
    two.sync("a", "b", "a")
    for _ in range(2):
        two.b.meeting(in_b)
    two.sync("b", "a", "b")
    assert two.a.shown(in_a)["ls_stage"] == "sql"
    two.b.edit(in_b, hs_lead_status="UNQUALIFIED")
    two.sync("b", "a", "b")
    (handed,) = two.a.json("handoffs", "a")["handoffs"]
    assert [(each["accepted"], each["author"]) for each in handed["answers"]] == [(False, "somebody in b")]
    assert two.a.shown(in_a)["ls_stage"] == two.b.shown(in_b)["ls_stage"] == "mql"


MODEL = """\
name: small
fit:
  rules:
    - {name: In a city we sell to, when: {city: [Madrid, Lima]}, points: 40}
    - {name: Wants it, when: {wants: "yes"}, points: 40}
stages:
  - {name: cold}
  - {name: warm, enter: [total >= 30]}
  - {name: hot, enter: [total >= 70]}
"""
SHEET = """\
version: 1
connections:
  sheet: {{type: spreadsheet, path: leads.csv, key: Email}}
models: model.yml
handoff:
  notifiers: {{chat: {{type: slack, private_addresses: true, url: {url}}}}}
  notify: [chat]
  on_reject: {{to: warm}}
  answers: {{field: respuesta, rejected: ["no está listo"], reason_field: motivo}}
"""


def test_in_a_spreadsheet_sales_answers_in_a_column(tmp_path: Path, database_url: str) -> None:
    def save(wants: str, answer: str = "", why: str = "") -> None:
        with (tmp_path / "leads.csv").open("w", newline="") as file:
            rows = [("Email", "City", "Wants", "Respuesta", "Motivo"), (ANA, "Lima", wants, answer, why)]
            csv.writer(file).writerows([*rows, ("x@acme.example", "Lima", "", "No esta listo", "")])

    def run() -> None:
        process = process_settings(tmp_path, config=tmp_path / "syncer.yml", database_url=database_url)
        with opened(process, {}) as app:
            sync(app.parts("sheet"), Asked())

    with HttpReceiver() as chat:
        (tmp_path / "model.yml").write_text(MODEL)
        (tmp_path / "syncer.yml").write_text(SHEET.format(url=chat.url))
        for values in (("",), ("yes",), ("yes", "No  esta Listo", "no budget")):
            save(*values)
            run()
        assert len(chat.received) == 1
    with closing(open_store(database_url)) as store, store.reading() as tx:
        (handed,) = handed_over.listed(tx, handed_over.Wanted(("sheet",), datetime.now(UTC)))
        (said,) = answers.of(tx, [handed.handoff.key])[handed.handoff.key]
    assert (said.accepted, said.author, said.reason) == (False, "somebody in sheet", "no budget")
    assert handed.closed_at is not None, "the lead went back in the same run"
