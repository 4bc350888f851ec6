"""Other rules on the leads of a store: samples, moves that are kept, counts that are ended; numbers that are tried, and
kept as proposals."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from syncer.app import App
from syncer.errors import ConfigError, NotFound, Stopped
from syncer.model import Cursor, Page, Record, RecordKey
from syncer.queries import trying
from syncer.queries.simulating import Simulation, sides_of, simulation
from syncer.queries.tallying import Task, sampled, tallied
from syncer.rules import rules_version
from syncer.settings import Project, process_settings, rules_with
from syncer.simulation import days_until
from syncer.store import Store, mirror
from tests.settings.samples import MODEL, PROJECT, loaded

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TWO_CRMS = PROJECT.replace("models:", '  other: {type: crm, token: "${CRM_TOKEN}"}\nmodels:')
TWO_MODELS = PROJECT.replace(
    "models: models/b2b.yml", "models:\n  - {use: models/b2b.yml, for: {country: ES}}\n  - models/Rest.yml"
)
COMMENTED = """\
# Ours. Mind the commas.
half_life: 30d   # of all
lists: {free: ../lists/free.txt, own: [acme.example]}
fit:
  max: 20
  rules:
    - name: Target country   # "the" rule
      when: {country: [ES, MX]}
      points: 10.50  # ten and a half
    - {name: Free mail, when: {email: {domain_in: free}}, points: -5}
stages:
  - {name: cold}
  - {name: iql, enter: fit >= 5}
  - name: sql
    enter: [fit >= 10,  'total >= 10']   # both
"""


def app_over(store: Store, folder: Path, project: str = PROJECT, model: str = MODEL) -> App:
    return App(process_settings(folder), loaded(folder, project, model), store, "test", clock=lambda: NOW)


def put(store: Store, connection: str, *countries: str) -> None:
    """So many people of these countries, as they were a month ago."""
    at = NOW - timedelta(days=30)
    records = tuple(
        Record(RecordKey(connection, "contacts", str(number)), at, email=f"p{number}@{connection}.example",
               fields={"country": country})
        for number, country in enumerate(countries)
    )  # fmt: skip
    with store.writing() as tx:
        mirror.store_page(tx, connection, "contacts", Page(Cursor("c"), records), at)


def task_of(app: App, *sets: str, **more: Any) -> Task:
    return Task(sides_of(app.project, None, sets, None), days_until(NOW, 2), None, **{"most_moves": 0, **more})


def counted(app: App, *sets: str, **more: Any) -> Simulation:
    task = task_of(app, *sets, **more)
    return simulation(tallied(app, None, task), task)


def test_a_sample_takes_of_each_connection_as_many_of_a_hundred(store: Store, tmp_path: Path) -> None:
    app = app_over(store, tmp_path, TWO_CRMS)
    put(store, "main", *["ES"] * 30)
    put(store, "other", *["FR"] * 10)
    some, leads = sampled(app, None, 20)
    assert some is not None
    assert ({name: len(ids) for name, ids in some.items()}, leads) == ({"main": 15, "other": 5}, 40)
    assert sampled(app, None, 20)[0] == some, "the same ones each time"
    found = counted(app, "rule.target-country.points=4", only=some)
    assert (found.leads, found.down) == (20, 15)
    assert found.stages == ("cold", "iql", "sql")
    assert found.matrix == ((5, 0, 0), (0, 0, 0), (15, 0, 0))


def test_few_leads_are_counted_whole(store: Store, tmp_path: Path) -> None:
    app = app_over(store, tmp_path, TWO_CRMS)
    put(store, "main", "ES", "MX")
    put(store, "other", "FR")
    assert sampled(app, None, 3) == (None, 3)
    assert sampled(app, "other", 1) == (None, 1)
    assert counted(app).sides[0].leads == {"sql": 2, "cold": 1}


def test_of_each_move_some_leads_are_kept_and_all_are_counted(store: Store, tmp_path: Path) -> None:
    app = app_over(store, tmp_path)
    put(store, "main", *["ES"] * 5, "FR")
    found = counted(app, "rule.target-country.points=6", most_moves=2)
    assert (found.up, found.down, len(found.moves)) == (0, 5, 2)
    everybody = counted(app, "rule.target-country.points=6", most_moves=None)
    assert [each.email for each in everybody.moves] == [f"p{number}@main.example" for number in range(5)]
    move = everybody.moves[0]
    assert (move.stages, move.totals_hundredths, move.up) == (("sql", "iql"), (1000, 600), False)


def test_a_process_that_is_told_to_stop_counts_no_further(store: Store, tmp_path: Path) -> None:
    app = replace(app_over(store, tmp_path), stop=threading.Event())
    put(store, "main", "ES")
    app.stop.set()
    with pytest.raises(Stopped):
        tallied(app, None, task_of(app))


def test_what_shows_the_progress_can_end_the_count(store: Store, tmp_path: Path) -> None:
    app = app_over(store, tmp_path)
    put(store, "main", "ES", "FR")
    told: list[int] = []

    @contextmanager
    def showing(_connection: str) -> Iterator[Callable[..., None]]:
        def moves(_step: str, _what: str, done: int, _of: int | None) -> None:
            told.append(done)
            raise Stopped("nobody waits for it")

        yield moves

    with pytest.raises(Stopped):
        tallied(app, None, task_of(app), showing)
    assert told == [2]


def test_without_leads_there_is_nothing_to_count(store: Store, tmp_path: Path) -> None:
    app = app_over(store, tmp_path)
    assert sampled(app, None, 10) == (None, 0)
    with pytest.raises(NotFound, match="no lead is known yet"):
        counted(app)


# Numbers that are tried.


@pytest.fixture
def app(tmp_path: Path) -> App:
    """One that never asks its store."""
    store: Any = None
    return app_over(store, tmp_path)


def commented(folder: Path) -> App:
    (folder / "lists").mkdir()
    (folder / "lists" / "free.txt").write_text("mail.example\n")
    return app_over(None, folder, model=COMMENTED)  # type: ignore[arg-type]


def test_every_number_has_a_name_that_simulate_understands(tmp_path: Path) -> None:
    app = commented(tmp_path)
    found = trying.tried(app, {})
    assert {name: dial.number for name, dial in found.dials.items()} == {
        "half_life": "30",
        "stages[1].enter": "5",
        "stages[2].enter[0]": "10",
        "stages[2].enter[1]": "10",
        "fit.max": "20",
        "rule.target-country.points": "10.5",
        "rule.free-mail.points": "-5",
    }
    assert (len(found.sides), found.changed, found.settings) == (1, {}, ())
    for name, dial in found.dials.items():
        again = trying.tried(app, {name: "7"})
        assert (again.problems, again.mistakes) == ({}, ()), name
        assert again.changed == {name: "7"}
        assert again.sides[1].rules != again.sides[0].rules or name == "half_life", dial


def test_a_number_that_is_in_force_changes_nothing(app: App) -> None:
    found = trying.tried(app, {"rule.target-country.points": "10.00", "stages[1].enter[0]": "5"})
    assert (found.changed, len(found.sides)) == ({}, 1)


def test_a_threshold_and_a_half_life_keep_what_stands_around_the_number(tmp_path: Path) -> None:
    found = trying.tried(commented(tmp_path), {"stages[2].enter[1]": "12.5", "half_life": "7"})
    assert set(found.settings) == {"stages[2].enter[1]=total >= 12.5", "half_life=7d"}


@pytest.mark.parametrize(
    ("name", "number", "message"),
    [
        ("rule.target-country.points", "lots", "'lots' is not a number of points"),
        ("rule.target-country.points", "1.234", "1.234 has more than two decimals"),
        ("rule.target-country.points", "{a: 1}", "a mapping is not a number of points"),
        ("rule.target-country.points", "[", "cannot be read as YAML"),
        ("rule.target-country.points", "08", "08 would lose its leading zero"),
        ("stages[1].enter[0]", "x", "cannot read 'fit >= x' as a threshold"),
    ],
)
def test_what_is_wrong_with_a_number_stands_beside_it(app: App, name: str, number: str, message: str) -> None:
    found = trying.tried(app, {"stages[2].enter[0]": "12", name: number})
    assert found.sides == ()
    assert list(found.problems) == [name]
    assert message in found.problems[name]


def test_a_number_that_no_longer_fits_another_one_is_told_at_that_one(tmp_path: Path) -> None:
    model = MODEL.replace("[total >= 10]", "[total >= 10], leave_below: [total >= 8]")
    store: Any = None
    found = trying.tried(app_over(store, tmp_path, model=model), {"stages[2].enter[0]": "7"})
    assert list(found.problems) == ["stages[2].leave_below[0]"]
    assert "leads would flap" in found.problems["stages[2].leave_below[0]"]


def test_a_number_that_the_rules_no_longer_have_is_told(app: App) -> None:
    found = trying.tried(app, {"rule.gone.points": "3", "stages[1].enter[0]": "6"})
    assert found.sides == ()
    assert found.mistakes == ("rule.gone.points: there is no such number in the rules any more",)


def test_a_file_that_was_edited_meanwhile_is_read_again(app: App) -> None:
    name = "rule.target-country.points"
    assert trying.tried(app, {}).dials[name].number == "10"
    model = app.project.path.parent / "models" / "b2b.yml"
    model.write_text(MODEL.replace("points: 10", "points: 12"))
    assert trying.tried(app, {}).dials[name].number == "12"


def two_models(folder: Path) -> App:
    (folder / "models").mkdir(exist_ok=True)
    (folder / "models" / "Rest.yml").write_text(MODEL.replace("points: 10", "points: 3"))
    store: Any = None
    return app_over(store, folder, TWO_MODELS)


def test_of_several_models_the_name_says_which(tmp_path: Path) -> None:
    found = trying.tried(two_models(tmp_path), {"Rest:rule.target-country.points": "4"})
    assert found.dials["b2b:rule.target-country.points"].number == "10"
    present, other = found.sides
    ours = [[segment.model.rules[0][1].points for segment in side.rules.segments] for side in (present, other)]
    assert ours == [[1000, 300], [1000, 400]]


# Proposals.


def rules_of(project: Project, path: Path) -> str:
    return rules_version(rules_with(project, path, os.environ)[0])


def test_a_proposal_is_the_model_with_other_numbers_and_every_comment(tmp_path: Path) -> None:
    app = commented(tmp_path)
    tried = {"stages[2].enter[0]": "12", "rule.target-country.points": "8", "half_life": "45", "stages[1].enter": "4"}
    found = trying.save(app, tried, "Tighter-1")
    path = tmp_path / "proposals" / "Tighter-1.yml"
    assert path.read_text() == COMMENTED.replace("fit >= 10, ", "fit >= 12, ").replace("10.50", "8").replace(
        "30d", "45d"
    ).replace("fit >= 5", "fit >= 4") + ("name: b2b\n")
    assert (tmp_path / "models" / "b2b.yml").read_text() == COMMENTED
    assert rules_of(app.project, path) == rules_version(found.sides[1].rules.segments)
    assert [each.name for each in trying.proposals(app)] == ["Tighter-1"]
    assert sorted(each.name for each in path.parent.iterdir()) == ["Tighter-1.yml"]


def test_a_list_beside_the_model_is_found_from_the_proposal(tmp_path: Path) -> None:
    model = COMMENTED.replace("../lists/free.txt", "free.txt")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "free.txt").write_text("mail.example\n")
    store: Any = None
    app = app_over(store, tmp_path, model=model)
    trying.save(app, {"fit.max": "15"}, "lower")
    text = (tmp_path / "proposals" / "lower.yml").read_text()
    assert '{free: "../models/free.txt", own: [acme.example]}' in text
    (rules, *_) = rules_with(app.project, tmp_path / "proposals" / "lower.yml", os.environ)
    assert dict(rules[0].model.lists)["free"] == ("mail.example",)


def test_a_proposal_that_is_shown_says_what_it_changes(tmp_path: Path) -> None:
    app = commented(tmp_path)
    trying.save(app, {"fit.max": "15"}, "lower")
    found = trying.proposed(app, "lower")
    assert (found.changed, found.more, found.sides[1].name) == ({"fit.max": "15"}, False, "proposals/lower.yml")
    path = tmp_path / "proposals" / "lower.yml"
    path.write_text(path.read_text().replace("[ES, MX]", "[ES]"))
    assert trying.proposed(app, "lower").more, "numbers alone do not say that"
    path.write_text("fit: [")
    broken = trying.proposed(app, "lower")
    assert broken.sides == ()
    assert "proposals/lower.yml" in broken.mistakes[0]


def test_of_several_models_a_proposal_is_the_file_of_one(tmp_path: Path) -> None:
    app = two_models(tmp_path)
    one, other = "b2b:rule.target-country.points", "Rest:rule.target-country.points"
    with pytest.raises(ConfigError, match="these values belong to Rest and b2b") as raised:
        trying.save(app, {one: "8", other: "4"}, "both")
    assert raised.value.code == "SY283"
    assert not (tmp_path / "proposals").exists()
    found = trying.save(app, {other: "4"}, "rest-only")
    assert rules_of(app.project, tmp_path / "proposals" / "rest-only.yml") == rules_version(
        found.sides[1].rules.segments
    )
    assert trying.proposed(app, "rest-only").changed == {other: "4"}


def test_a_proposal_never_takes_the_place_of_another_file(app: App) -> None:
    trying.save(app, {"stages[1].enter[0]": "6"}, "mine")
    path = app.project.path.parent / "proposals" / "mine.yml"
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"there is a mine\.yml already") as raised:
        trying.save(app, {"stages[1].enter[0]": "7"}, "mine")
    assert raised.value.code == "SY280"
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == ["mine.yml"]


def test_nothing_new_is_nothing_to_propose(app: App) -> None:
    with pytest.raises(ConfigError, match="no number differs") as raised:
        trying.save(app, {"stages[1].enter[0]": "5.0"}, "same")
    assert raised.value.code == "SY282"
    with pytest.raises(ConfigError, match="no such number"):
        trying.save(app, {"rule.gone.points": "5"}, "gone")


def test_a_number_that_two_rules_share_is_left_to_a_person(tmp_path: Path) -> None:
    rule = "    - {name: Target country, when: {country: [ES, MX]}, points: 10}\n"
    shared = rule.replace("10", "&p 10") + rule.replace("Target", "Other").replace("10", "*p")
    store: Any = None
    app = app_over(store, tmp_path, model=MODEL.replace(rule, shared))
    with pytest.raises(ConfigError, match=r"models/b2b\.yml: no new file can be made of it.*by hand") as raised:
        trying.save(app, {"rule.target-country.points": "8"}, "shared")
    assert raised.value.code == "SY123"
    assert list((tmp_path / "proposals").glob("*") if (tmp_path / "proposals").exists() else ()) == []


def test_proposals_stay_beside_the_project(app: App, tmp_path_factory: pytest.TempPathFactory) -> None:
    home, elsewhere = app.project.path.parent, tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "x.yml").write_text("fit: {}")
    (home / "proposals").symlink_to(elsewhere)
    assert trying.proposals(app) == ()
    with pytest.raises(ConfigError, match="no folder of its own") as raised:
        trying.save(app, {"stages[1].enter[0]": "6"}, "out")
    assert raised.value.code == "SY281"
    with pytest.raises(ConfigError, match="no folder of its own"):
        trying.proposed(app, "x")
    assert [each.name for each in elsewhere.iterdir()] == ["x.yml"]


@pytest.mark.parametrize("name", ["../models/b2b", "..", "", "a/b", "no-such", "x.yml", "b2b\n"])
def test_a_proposal_that_is_none_is_not_found(app: App, name: str) -> None:
    with pytest.raises(NotFound):
        trying.proposed(app, name)


@pytest.mark.parametrize("is_folder", [True, False])
def test_a_folder_that_cannot_be_written_to_is_one_clear_message(
    app: App, monkeypatch: pytest.MonkeyPatch, *, is_folder: bool
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    if is_folder:
        monkeypatch.setattr("tempfile.mkstemp", refuse)
    else:
        (app.project.path.parent / "proposals").write_text("a file")
    with pytest.raises(ConfigError) as raised:
        trying.save(app, {"stages[1].enter[0]": "6"}, "mine")
    assert raised.value.code == "SY281"


def test_only_files_that_can_be_proposals_are_listed_the_newest_first(app: App) -> None:
    folder = app.project.path.parent / "proposals"
    folder.mkdir()
    for rank, name in enumerate(("old.yml", "new.yml", ".hidden.yml", "two words.yml", "notes.txt")):
        (folder / name).write_text("x")
        os.utime(folder / name, (rank, rank))
    assert [(each.name, each.at.timestamp()) for each in trying.proposals(app)] == [("new", 1), ("old", 0)]
