"""A stage chosen by hand: one mechanism, wherever people choose it."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter

from syncer.errors import ConfigError
from syncer.model import Manual, Record, RecordKey
from syncer.parts import Asked, Report
from syncer.run import sync
from syncer.store import Store, outbox
from tests.connectors.memory import Memory
from tests.runs.house import ENVIRONMENT, House
from tests.runs.test_sweep import World

pytestmark = pytest.mark.slow  # each lives through several runs

ANA = "ana@acme.example"
WHO = "ben.okoro@example.com"  # user 9586505 of the emulator
HEADINGS = ("Manual stage", "Manual reason", "Manual author", "Manual until")
FIELDS = "    manual: {stage: ls_manual_stage, reason: ls_manual_reason, until: ls_manual_until}\n"
LAST_DAY = datetime.now(UTC).date() + timedelta(days=29)


def allow_fields(house: House) -> None:
    """The project is told of the properties that people choose in, and they are there."""
    path = house.folder / "syncer.yml"
    text = path.read_text().replace("    overlap: 10m\n", f"    overlap: 10m\n{FIELDS}")
    path.write_text(text.replace("sync: {", "sync: {manual_change: {respect_for: 30d}, "))
    house.setup()


class InCrm:
    """Her CRM is HubSpot. She fits and the rules have her at iql; somebody else is there, too."""

    def __init__(self, house: House) -> None:
        self.house = house
        allow_fields(house)
        house.person(country="FR")
        self.ana = house.person(country="ES", email=ANA)
        house.sync()

    def by_property(self) -> None:
        self._edit({"ls_manual_stage": "sql", "ls_manual_reason": "knows them", "ls_manual_until": str(LAST_DAY)})

    def by_command(self) -> None:
        words = ("--reason", "knows them", "--until", str(LAST_DAY), "--author", WHO)
        assert self.house.cli("override", ANA, "sql", *words).exit_code == 0

    def by_stage(self) -> None:
        self._edit({"ls_stage": "sql"})

    def _edit(self, properties: dict[str, str]) -> None:
        self.house.control("edit", objectType="contacts", id=self.ana, properties=properties, userId=9586505)

    def scores_again(self) -> None:
        self.house.meeting(self.ana)

    def shows(self) -> str | None:
        return self.house.shown(self.ana)["ls_stage"]


class InWorkbook:
    """The same two people in a workbook with columns for what people choose."""

    def __init__(self, house: House) -> None:
        self.house = house
        text = house.folder.joinpath("syncer.yml").read_text()
        before, rest = text.split("    type: hubspot\n")
        after = rest.partition("sync: {")[2]
        sheet = "    type: spreadsheet\n    path: leads.xlsx\n    date_format: ymd\n"
        house.folder.joinpath("syncer.yml").write_text(f"{before}{sheet}sync: {{{after}")
        self._save("")
        house.sync()

    def by_column(self) -> None:
        self._save("Director", "sql", "knows them", WHO, str(LAST_DAY))

    def scores_again(self) -> None:
        self._save("Intern", "sql", "knows them", WHO, str(LAST_DAY))

    def _save(self, jobtitle: str, *chosen: str) -> None:
        with xlsxwriter.Workbook(self.house.folder / "leads.xlsx") as workbook:
            sheet = workbook.add_worksheet()
            sheet.write_row(0, 0, ("Email", "Country", "Jobtitle", *HEADINGS))
            sheet.write_row(1, 0, ("stranger@acme.example", "FR"))
            sheet.write_row(2, 0, (ANA, "ES", jobtitle, *chosen))

    def shows(self) -> str | None:
        return next(row["Stage"] for row in _exported(self.house) if row["E-mail"] == ANA)


Choose = Callable[[Any], None]
PLACES: dict[str, tuple[type[InCrm | InWorkbook], Choose]] = {
    "a property": (InCrm, InCrm.by_property),
    "a command": (InCrm, InCrm.by_command),
    "the stage field": (InCrm, InCrm.by_stage),
    "a column": (InWorkbook, InWorkbook.by_column),
}


def sync_in(house: House, days: int) -> Report:
    """A run of a day to come."""
    house.pass_time()
    with house.app() as app:
        return sync(replace(app.parts("crm"), clock=lambda: datetime.now(UTC) + timedelta(days=days)), Asked())


@pytest.mark.parametrize("place", PLACES)
def test_a_stage_chosen_by_hand_holds_beside_the_rules_and_ends_on_its_date(house: House, place: str) -> None:
    where, choose = PLACES[place]
    scene = where(house)
    choose(scene)
    (planned,) = house.json("plan")["leads"]
    assert (planned["from"], planned["to"], planned["automatic"]) == ("iql", "sql", "iql")
    assert f"held by {WHO} until" in house.cli("plan").stdout
    report = house.sync()
    assert scene.shows() == "sql"
    assert report.counts["handoffs"] == 1
    assert house.told()[0]["reasons"][0].startswith(f"Set to sql by {WHO}")

    scene.scores_again()
    house.sync()
    house.sync(Asked(full=True))
    assert scene.shows() == "sql"
    told = house.json("explain", ANA)
    assert (told["stage"], told["automatic_stage"], told["held_by"]) == ("sql", "iql", "person")
    assert WHO in told["held_by_whom"]
    (word,) = told["overrides"]
    assert (word["author"], datetime.fromisoformat(word["until"]).date() >= LAST_DAY) == (WHO, True)
    assert "the rules would say iql" in house.cli("explain", ANA).stdout
    assert [each["email"] for each in house.json("override", "list")["overrides"]] == [ANA]
    exported = next(row for row in _exported(house) if row["E-mail"] == ANA)
    assert (exported["Stage"], exported["Automatic stage"], exported["Manual author"]) == ("sql", "iql", WHO)
    assert len(house.told()) == 1

    sync_in(house, 28)
    assert scene.shows() == "sql"
    for _ in range(2):
        sync_in(house, 31)
        assert scene.shows() == "iql"
    assert house.json("explain", ANA)["held_by"] == "rules"


def _exported(house: House) -> list[dict[str, str]]:
    done = house.cli("export", "--format", "csv", "--out", "-")
    assert done.exit_code == 0, done.stderr
    return list(csv.DictReader(io.StringIO(done.stdout.removeprefix("\ufeff"))))


@pytest.fixture
def ana(house: House) -> str:
    """Her id."""
    return InCrm(house).ana


def test_a_choice_is_taken_back_by_emptying_its_field_or_by_a_later_word(house: House, ana: str) -> None:
    house.edit(ana, ls_manual_stage="sql")
    house.sync()
    house.cli("override", ANA, "cold", "--author", "marta")
    house.sync()
    house.sync(Asked(full=True))
    assert house.shown(ana)["ls_stage"] == "cold", "the old text in the field is no new word"
    house.edit(ana, ls_stage="mql")
    house.sync()
    assert house.shown(ana)["ls_stage"] == "mql"
    house.edit(ana, ls_manual_stage="")
    house.sync()
    assert house.shown(ana)["ls_stage"] == "mql", "what was said elsewhere stays"
    house.edit(ana, ls_manual_stage="sql")
    house.sync()
    assert house.shown(ana)["ls_stage"] == "sql"
    house.edit(ana, ls_manual_stage="")
    house.sync()
    assert house.shown(ana)["ls_stage"] == "iql"
    assert [each["source"] for each in house.json("explain", ANA)["overrides"]] == ["field", "command", "crm", "field"]


def test_fields_that_were_filled_before_we_looked_are_obeyed_and_tell_nobody(house: House) -> None:
    house.setup()
    house.person(country="FR")
    ana = house.person(country="ES", email=ANA)
    house.sync()
    allow_fields(house)
    house.edit(ana, ls_manual_stage="sql")
    house.sync()
    assert house.shown(ana)["ls_stage"] == "sql"
    assert house.told() == []
    house.edit(house.person(country="ES"), ls_manual_stage="sql")
    house.sync()
    assert len(house.told()) == 1, "what is chosen from now on is news"


def test_the_first_load_obeys_filled_fields_and_tells_nobody(house: House) -> None:
    allow_fields(house)
    ana = house.person(country="ES", email=ANA, ls_manual_stage="sql")
    house.sync()
    assert house.shown(ana)["ls_stage"] == "sql"
    assert house.told() == []


def test_a_field_that_is_filled_still_is_obeyed_again_when_a_later_word_ends(house: House, ana: str) -> None:
    house.control("edit", objectType="contacts", id=ana, properties={"ls_manual_stage": "sql"}, userId=9586505)
    house.sync()
    house.cli("override", ANA, "cold", "--author", "marta", "--until", str(LAST_DAY))
    house.sync()
    assert house.shown(ana)["ls_stage"] == "cold"
    for _ in range(2):
        sync_in(house, 31)
        assert house.shown(ana)["ls_stage"] == "sql"
    said = house.json("explain", ANA)["overrides"]
    assert [(each["source"], each["author"]) for each in said] == [("field", WHO), ("command", "marta"), ("field", WHO)]
    cleared = house.cli("override", "clear", ANA)
    assert "What stands in the field for it in crm counts again once it is written anew" in cleared.stdout
    for _ in range(2):
        sync_in(house, 31)
        assert house.shown(ana)["ls_stage"] == "iql"
    assert "nothing is set by hand" in house.cli("override", "clear", ANA).stdout


def test_a_lead_that_is_put_back_to_where_the_rules_have_it_is_held_by_the_rules(house: House, ana: str) -> None:
    house.edit(ana, ls_manual_stage="sql")
    house.sync()
    house.edit(ana, ls_stage="iql")
    for _ in range(2):
        house.sync(Asked(full=True))
        assert house.shown(ana)["ls_stage"] == "iql"
    assert house.json("explain", ANA)["held_by"] == "rules"


def test_a_choice_that_is_not_obeyed_is_seen(house: House) -> None:
    text = {"groupName": "contactinformation", "type": "string", "fieldType": "text"}
    names = ("ls_manual_stage", "ls_manual_reason", "ls_manual_until")
    house.control("load", properties={"contacts": [{"name": name, "label": name, **text} for name in names]})
    ana = InCrm(house).ana
    house.edit(ana, ls_manual_stage="warm")
    assert house.sync().counts["unreadable"] == 0
    assert "crm: the stage chosen by hand, 'warm', is none of: " in house.cli("explain", ANA).stdout
    (told,) = house.json("explain", ANA)["makes_no_sense"]
    assert "'warm'" in told
    state = house.json("status")["connections"]["crm"]
    assert (state["rejected"], list(state["makes_no_sense"].values())) == (0, [1])
    assert "'warm'" in house.cli("status").stdout
    house.edit(ana, ls_manual_stage="sql")
    house.sync()
    assert house.json("explain", ANA)["makes_no_sense"] == []
    assert house.shown(ana)["ls_stage"] == "sql"


def test_a_property_that_is_gone_moves_nobody(house: House, ana: str) -> None:
    house.edit(ana, ls_manual_stage="sql")
    house.sync()
    bearer = {"Authorization": f"Bearer {ENVIRONMENT['HUBSPOT_TOKEN']}"}
    house.pool.request("DELETE", f"{house.url}/crm/v3/properties/contacts/ls_manual_stage", headers=bearer)
    report = house.sync(Asked(full=True))
    assert isinstance(report.failures["contacts"], ConfigError)
    assert house.shown(ana)["ls_stage"] == "sql"
    checked = house.cli("check")
    assert checked.exit_code != 0
    assert "ls_manual_stage does not exist in HubSpot yet" in checked.output
    house.setup()
    house.edit(ana, ls_manual_stage="sql")
    house.sync(Asked(full=True))
    assert house.shown(ana)["ls_stage"] == "sql"
    assert len(house.told()) == 1


# ---- beside a CRM in memory ----


@pytest.fixture
def world(tmp_path: Path, store: Store) -> World:
    """A cold person, written; who is warm is told of."""
    handed = "handoff: {when: warm, wait: 1h, notifiers: {todo: {type: task}}, notify: [todo]}\n"
    made = World(tmp_path, store, more=handed)
    made.crm.put("1", email="person1@acme.test", forms=0)
    made.sync()
    made.sync()
    return made


@pytest.mark.parametrize(
    ("chosen", "shown"), [(Manual("cold", "a competitor"), "cold"), (Manual("warm", "knows them"), "warm")]
)
def test_a_stage_chosen_while_another_one_is_on_its_way_stops_it_and_its_alert(
    world: World, monkeypatch: pytest.MonkeyPatch, chosen: Manual, shown: str
) -> None:
    read_back = Memory.read_back

    def meanwhile(memory: Memory, keys: Sequence[RecordKey]) -> Iterator[Record]:
        world.crm.choose("1", chosen)
        return read_back(memory, keys)

    monkeypatch.setattr(Memory, "read_back", meanwhile)
    world.crm.put("1", forms=1)
    world.sync()
    assert world.crm.people["1"].standing.stage == shown
    with world.store.reading() as tx:
        assert ("dropped" in outbox.counts(tx, "crm")) is (shown == "cold")
    world.sync()
    assert world.stage("1") == shown
