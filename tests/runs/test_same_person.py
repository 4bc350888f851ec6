"""One person in two portals: one lead, decided once, written to both, told once."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from connectors.emulators.hubspot import Manners, Portal, serve
from syncer.parts import Asked, Report
from syncer.run import deliver, sync
from syncer.store import mirror, runs, write_backs
from tests.runs.house import HANDOFF, House, house_on

pytestmark = pytest.mark.slow  # each lives through several runs of two portals

ANA = "ana@acme.example"
CONNECTION = """\
  {name}:
    type: hubspot
    token: ${{HUBSPOT_TOKEN}}
    base_url: {url}
    lag: 0s
    overlap: 10m
"""
PROJECT = (
    """\
version: 1
{same_person}
connections:
{connections}
models: model.yml
"""
    + HANDOFF
)


@dataclass
class Two:
    """Portals a and b of one project."""

    a: House
    b: House

    def write_project(self, *names: str, same_person: str = "same_person: email") -> None:
        urls = {"a": self.a.url, "b": self.b.url}
        connections = "".join(CONNECTION.format(name=name, url=urls[name]) for name in names)
        text = PROJECT.format(same_person=same_person, connections=connections, hook=self.a.hook.url)
        (self.a.folder / "syncer.yml").write_text(text)

    def sync(self, *names: str, full: bool = False) -> list[Report]:
        """One run of each, in this order."""
        self.a.pass_time()
        self.b.pass_time()
        with self.a.app() as app:
            return [sync(app.parts(name), Asked(full=full)) for name in names]

    def leads(self) -> dict[str, int]:
        """Connection -> how many leads it decides."""
        with self.a.app() as app, app.store.reading() as tx:
            return {name: mirror.count(tx, name) for name in ("a", "b")}


@pytest.fixture
def two(tmp_path: Path, database_url: str) -> Iterator[Two]:
    """Ana in both, in no way ready; others in one each. Everything is synced and nothing is left to do."""
    with ExitStack() as stack:
        a = stack.enter_context(house_on(tmp_path, database_url))
        portal = Portal(manners=Manners(index_lag_s=0))
        both = Two(a, replace(a, portal=portal, url=stack.enter_context(serve(portal))))
        both.write_project("a", "b")
        for name in ("a", "b"):
            done = a.cli("setup", name, "--apply")
            assert done.exit_code == 0, done.output
        yield both


@pytest.fixture
def ana(two: Two) -> tuple[str, str]:
    """Her ids in a and b."""
    two.a.person(country="FR")
    in_a = two.a.person(email=ANA, country="ES")
    two.b.person(country="FR")
    in_b = two.b.person(email=ANA.upper(), jobtitle="Directora")
    two.sync("a", "b", "a", "b")
    return in_a, in_b


def test_one_address_in_two_portals_is_one_lead_with_one_score_written_to_both(two: Two, ana: tuple[str, str]) -> None:
    in_a, in_b = ana
    assert two.leads() == {"a": 2, "b": 1}
    assert two.a.shown(in_a)["ls_score"] == two.b.shown(in_b)["ls_score"] == "50"  # 40 of a's country, 10 of b's title
    assert two.a.shown(in_a)["ls_stage"] == two.b.shown(in_b)["ls_stage"] == "iql"
    explained = two.a.json("explain", ANA)
    assert sorted(explained["records"]) == [f"a/contacts/{in_a}", f"b/contacts/{in_b}"]
    text = two.a.cli("explain", ANA).stdout
    assert f"a/contacts/{in_a}" in text
    assert f"b/contacts/{in_b}" in text
    assert two.a.told() == [], "a base that is joined is nobody's news"


def test_what_happens_in_one_portal_qualifies_the_lead_that_the_other_decides_and_sales_hears_once(
    two: Two, ana: tuple[str, str]
) -> None:
    in_a, in_b = ana
    for _ in range(2):
        two.b.meeting(in_b)
    (report,) = two.sync("b")
    assert report.rings == {"a"}
    assert report.counts["scored"] == 0, "its home decides it"
    with two.a.app() as app, app.store.reading() as tx:
        due = runs.due_at(tx, "a")
        assert due is not None
        assert due <= app.clock()
    (decided,) = two.sync("a")
    assert (decided.counts["handoffs"], two.a.shown(in_a)["ls_stage"]) == (1, "sql")
    two.sync("b", "a", "b")
    assert two.b.shown(in_b)["ls_stage"] == "sql"
    assert len(two.a.hook.received) == 1


def test_what_one_connection_decides_for_anothers_record_is_written_by_that_ones_delivery(
    two: Two, ana: tuple[str, str]
) -> None:
    _, in_b = ana
    two.a.edit(ana[0], country="FR")
    two.sync("a")
    assert two.b.shown(in_b)["ls_stage"] == "iql"
    with two.a.app() as app:
        with app.store.reading() as tx:
            waiting = [change.record.id for change in write_backs.pending(tx, "b", app.clock(), order=(), limit=9)]
        assert waiting == [in_b]
        assert deliver(app.parts("b")) is not None
    assert two.b.shown(in_b)["ls_stage"] == "cold"


def test_a_stage_set_by_a_person_in_one_portal_holds_in_both(two: Two, ana: tuple[str, str]) -> None:
    in_a, in_b = ana
    two.a.edit(in_a, lifecyclestage="marketingqualifiedlead")  # a person of a: not who edits b
    two.b.edit(in_b, ls_stage="mql")
    two.sync("b", "a", "b")
    assert two.a.shown(in_a)["ls_stage"] == two.b.shown(in_b)["ls_stage"] == "mql"
    explained = two.a.json("explain", ANA)
    assert (explained["held_by"], explained["automatic_stage"]) == ("person", "iql")
    assert "somebody in b" in explained["held_by_whom"]
    two.b.edit(in_b, ls_stage="")
    two.sync("b", "a", "b")
    assert two.a.shown(in_a)["ls_stage"] == two.b.shown(in_b)["ls_stage"] == "iql"


def test_one_command_runs_both_until_every_record_shows_what_was_decided(two: Two) -> None:
    in_a, in_b = two.a.person(email=ANA, country="ES"), two.b.person(email=ANA, jobtitle="Directora")
    two.b.pass_time()
    done = two.a.json("run")["runs"]
    assert [each["connection"] for each in done] == ["a", "b", "a", "b"]
    assert two.a.shown(in_a)["ls_score"] == two.b.shown(in_b)["ls_score"] == "50"
    assert [each["connection"] for each in two.a.json("run")["runs"]] == ["a", "b"], "nothing was left to do"


def test_history_that_a_second_portal_brings_is_written_and_tells_nobody(two: Two) -> None:
    two.write_project("a")
    in_a = two.a.person(email=ANA, country="ES", jobtitle="Director")
    two.sync("a")
    in_b = two.b.person(email=ANA)
    for _ in range(2):
        two.b.meeting(in_b)
    two.write_project("a", "b")
    two.sync("b", "a", "b")
    assert two.a.shown(in_a)["ls_stage"] == two.b.shown(in_b)["ls_stage"] == "sql"
    assert two.a.json("explain", ANA)["cause"] == "baseline"
    assert two.a.told() == []


def test_somebody_who_comes_into_the_second_portal_by_news_is_told_of_once(two: Two, ana: tuple[str, str]) -> None:
    known = two.a.person(country="ES", jobtitle="Director", email="ben@acme.example")
    two.sync("a", "b")
    new = two.b.person(email="ben@acme.example")
    for _ in range(2):
        two.b.meeting(new)
    two.sync("b", "a", "b", "a")
    assert two.a.shown(known)["ls_stage"] == two.b.shown(new)["ls_stage"] == "sql"
    assert len(two.a.hook.received) == 1


def test_when_the_home_leaves_the_project_the_other_portal_goes_on_with_the_lead(
    two: Two, ana: tuple[str, str]
) -> None:
    two.write_project("b")
    two.b.meeting(ana[1])
    two.sync("b")
    assert two.leads() == {"a": 1, "b": 2}
    assert two.b.shown(ana[1])["ls_stage"] == "mql"


def test_turning_it_on_joins_with_the_next_whole_run_and_tells_nobody(two: Two) -> None:
    two.write_project("a", "b", same_person="")
    in_a, in_b = two.a.person(email=ANA, country="ES"), two.b.person(email=ANA, jobtitle="Directora")
    for _ in range(2):
        two.b.meeting(in_b)
    two.sync("a", "b")
    assert (two.a.shown(in_a)["ls_stage"], two.b.shown(in_b)["ls_stage"]) == ("iql", "cold")
    two.write_project("a", "b")
    assert two.leads() == {"a": 1, "b": 1}
    two.sync("a", "b", full=True)
    two.sync("a", "b")
    assert two.leads() == {"a": 1, "b": 0}
    assert two.a.shown(in_a)["ls_stage"] == two.b.shown(in_b)["ls_stage"] == "sql"
    assert two.a.told() == []


def test_without_the_setting_the_next_whole_run_makes_them_two_again(two: Two, ana: tuple[str, str]) -> None:
    two.write_project("a", "b", same_person="")
    two.sync("a", "b", full=True)
    assert two.leads() == {"a": 2, "b": 2}
    assert two.a.shown(ana[0])["ls_score"] == "40"
    assert two.b.shown(ana[1])["ls_score"] == "10"
    assert two.a.told() == []


def test_an_export_lists_whoever_the_connection_shows_no_matter_which_one_decides_them(
    two: Two, ana: tuple[str, str]
) -> None:
    for name, house, record in (("a", two.a, ana[0]), ("b", two.b, ana[1])):
        done = two.a.cli("export", name, "--format", "csv", "--out", "-")
        assert done.exit_code == 0, done.output
        rows = list(csv.DictReader(io.StringIO(done.stdout.removeprefix("\ufeff"))))
        assert len(rows) == len(house.control("dump", objectType="contacts")["results"])
        (row,) = [each for each in rows if each["E-mail"].lower() == ANA]
        assert record in row["Link"]


def test_who_chose_a_stage_is_asked_of_the_crm_in_which_it_was_chosen(two: Two, ana: tuple[str, str]) -> None:
    path = two.a.folder / "syncer.yml"
    path.write_text(path.read_text().replace("    lag: 0s\n", "    lag: 0s\n    manual: {stage: ls_manual_stage}\n"))
    for name in ("a", "b"):
        assert two.a.cli("setup", name, "--apply").exit_code == 0
    two.sync("a", "b")
    chosen = {"ls_manual_stage": "sql"}
    two.b.control("edit", objectType="contacts", id=ana[1], properties=chosen, userId=9586505)
    two.sync("b", "a")
    (word,) = two.a.json("explain", ANA)["overrides"]
    assert (word["stage"], word["author"]) == ("sql", "ben.okoro@example.com")
    assert two.a.shown(ana[0])["ls_stage"] == "sql"
