"""The composition root: from files and environment to the parts of a run."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import BaseModel

import connectors
from connectors.hubspot import HubSpot
from syncer import app as root
from syncer.app import connector_class, examples, opened, read_project, registry, settings_classes
from syncer.connector import Finding, Wanted
from syncer.errors import ConfigError, NotFound
from syncer.model import Cursor, Page, Record, RecordKey
from syncer.settings import process_settings
from syncer.store import mirror, runs
from tests.runs.house import ENVIRONMENT, House, house_on


@pytest.fixture
def house(tmp_path: Path, sqlite_template: Path) -> Iterator[House]:
    shutil.copy(sqlite_template, tmp_path / "syncer.db")
    with house_on(tmp_path, f"sqlite:///{tmp_path / 'syncer.db'}") as built:
        yield built


def plug_in(monkeypatch: pytest.MonkeyPatch, **types: str) -> None:
    """Pretend that packages with these entry points are installed."""
    points = [EntryPoint(name, target, "syncer.connectors") for name, target in types.items()]
    monkeypatch.setattr(root, "entry_points", lambda *, group: [each for each in points if each.group == group])


def test_an_installed_package_adds_its_connector_and_replaces_none_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(monkeypatch, memory="tests.connectors.memory:Memory", hubspot="somewhere.else:HubSpot")
    assert registry() == {"memory": "tests.connectors.memory.Memory", **connectors.REGISTRY}
    assert connector_class("hubspot") is HubSpot
    assert set(settings_classes()) == {"memory", *connectors.REGISTRY}


def test_a_broken_package_of_somebody_else_breaks_only_those_who_use_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    plug_in(monkeypatch, broken="no.such.package:Connector")
    assert "broken" not in settings_classes()
    with pytest.raises(ConfigError, match="connector 'broken' cannot be loaded"):
        connector_class("broken")
    with house.app() as app:
        assert app.connection().type == "hubspot"


def test_the_only_connection_needs_no_name_and_a_wrong_name_lists_the_right_ones(house: House) -> None:
    with house.app() as app:
        assert app.connection().name == "crm"
        assert app.chosen(None) == app.chosen("crm") == (app.connection(),)
        with pytest.raises(NotFound, match="no connection is called 'crn'; there are: crm"):
            app.connection("crn")


def test_while_an_app_is_open_garbage_is_looked_for_seldom_and_afterwards_as_before(house: House) -> None:
    before = gc.get_threshold()
    with house.app():
        assert gc.get_threshold()[0] >= 20_000
        assert gc.isenabled()
    assert gc.get_threshold() == before


def test_a_project_file_that_is_not_there_says_how_to_begin(tmp_path: Path) -> None:
    process = process_settings(tmp_path, config=tmp_path / "syncer.yml")
    with pytest.raises(ConfigError, match="`syncer init`"):
        read_project(process, ENVIRONMENT)


def test_a_project_that_is_wrong_touches_no_database(house: House, tmp_path: Path) -> None:
    (house.folder / "syncer.yml").write_text("version: 2\n")
    new = tmp_path / "new.db"
    process = process_settings(tmp_path, config=house.folder / "syncer.yml", database_url=f"sqlite:///{new}")
    with pytest.raises(ConfigError), opened(process, ENVIRONMENT):
        raise AssertionError("it must not open")
    assert not new.exists()


def test_every_opening_is_another_holder_so_that_leases_tell_them_apart(house: House) -> None:
    with house.app() as first, house.app() as second:
        assert first.holder != second.holder


class SheetSettings(BaseModel):
    """Nothing to set."""


class Sheet:
    """A connector that only reads."""

    Settings: ClassVar[type[BaseModel]] = SheetSettings
    streams = ("people",)
    people = ("people",)
    swept = ("people",)

    def __init__(self, name: str, settings: SheetSettings, wanted: Wanted) -> None:
        self._name, self.wanted = name, wanted

    def check(self) -> Iterator[Finding]:
        yield Finding("credentials", "ok", self._name)

    def account(self) -> str:
        return f"sheet:{self._name}"

    def pull(self, stream: str, since: Cursor | None) -> Iterator[Page]:
        yield Page(Cursor(""))

    def sweep(self, stream: str, since: Cursor | None) -> Iterator[Page]:
        yield from ()

    def fetch(self, stream: str, ids: Sequence[str], *, lately: bool = False) -> Iterator[Page]:
        yield from ()


def test_every_run_knows_which_connections_of_the_project_can_be_written_to(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    plug_in(monkeypatch, sheet="tests.test_app:Sheet")
    path = house.folder / "syncer.yml"
    path.write_text(path.read_text().replace("connections:\n", "connections:\n  rows: {type: sheet}\n"))
    with house.app() as app:
        rows, crm = app.parts("rows"), app.parts("crm")
        assert rows.writable == crm.writable == {"crm"}
        assert rows.destination is None
        assert crm.destination is not None


def test_a_connector_may_ask_what_is_stored_and_what_its_runs_have_spent_even_while_a_page_is_pulled(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    plug_in(monkeypatch, sheet="tests.test_app:Sheet")
    path = house.folder / "syncer.yml"
    path.write_text(path.read_text().replace("connections:\n", "connections:\n  rows: {type: sheet}\n"))
    now = datetime(2026, 3, 1, tzinfo=UTC)
    with house.app() as app:
        sheet = app.parts("rows").source
        assert isinstance(sheet, Sheet)
        assert (sheet.wanted.known("people", ["1"]), sheet.wanted.spent(now)) == ({}, 0)
        with app.store.writing() as tx:
            page = Page(Cursor("c"), (Record(RecordKey("rows", "people", "1"), now),))
            mirror.store_page(tx, "rows", "people", page, now)
            for hour in range(3):
                run = runs.start(tx, "rows", now + timedelta(hours=hour))
                runs.finish(tx, run, "ok", {"read_calls": 5, "write_calls": 1, "read": 100}, None, now)
            runs.start(tx, "crm", now)
        assert sheet.wanted.known("people", ["1", "2"]) == {"1": now}
        assert sheet.wanted.spent(now + timedelta(hours=1)) == 12


def test_the_examples_are_found() -> None:
    assert (examples() / "models" / "demo.yml").is_file()
