"""A backup is older than the CRM. What the first run on it does, and does not do; and a move that loses nothing.

SYNCER_BACKUPS=10 takes ten backups under load, and tries everything on both databases:
SYNCER_BACKUPS=10 python -m pytest -m slow tests/runs/test_restored.py
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from connectors.emulators.hubspot import Fault
from connectors.hubspot.marks import keys_in
from syncer import retry
from syncer.handoff.routing import notice_key
from syncer.store import open_store, runs, tables
from tests.conftest import PostgreSQL
from tests.handoff.samples import handoff
from tests.receivers import Reply, SmtpReceiver, SmtpReply
from tests.runs.house import ENVIRONMENT, House
from tests.terminal import Process

pytestmark = pytest.mark.slow

BACKUPS = int(os.environ.get("SYNCER_BACKUPS", "1"))
LONG = "SYNCER_BACKUPS" in os.environ
_MORE = """\
    mail: {{type: email, host: 127.0.0.1, port: {port}, security: none, from: syncer@acme.example}}
    todo: {{type: task, due_in: 1d}}
  repeats: {{email: resend}}
  route: [{{to: sales@acme.example}}]
  notify: [hook, mail, todo]
"""


def on(kind: str) -> pytest.MarkDecorator:
    """What is stored is alike on both (`tests/store/test_backups.py`), so one will do."""
    return pytest.mark.parametrize("database_url", ["sqlite", "postgresql"] if LONG else [kind], indirect=True)


@dataclass
class Told:
    """A house whose sales is told by webhook, mail and task."""

    house: House
    mail: SmtpReceiver
    named: dict[str, str] = field(default_factory=dict)  # what a lead is here for -> its id

    def __post_init__(self) -> None:
        project = self.house.folder / "syncer.yml"
        text = project.read_text()
        project.write_text(text.replace("  notify: [hook]\n", _MORE.format(port=self.mail.port)))

    def meets(self, name: str) -> None:
        self.house.meeting(self.named[name])

    def hooks(self) -> Counter[str]:
        return self._leads("hook", [str(each.key) for each in self.house.hook.received])

    def mails(self) -> Counter[str]:
        return self._leads("mail", [each.key for each in self.mail.received])

    def tasks(self) -> Counter[str]:
        rows = self.house.control("dump", objectType="tasks")["results"]
        return self._leads("todo", [key for row in rows for key in keys_in(row["properties"]["hs_task_body"])])

    def _leads(self, channel: str, keys: Sequence[str]) -> Counter[str]:
        """Who they are of, by the keys that each lead's first hand-off has over the channel."""
        with closing(open_store(self.house.database_url)) as store, store.reading() as tx:
            here = runs.installation(tx)
        known: dict[str, str] = {}
        for name, identity in self.named.items():
            record = f"crm/contacts/{identity}"
            to = {"hook": "", "mail": "sales@acme.example", "todo": record}[channel]
            known[notice_key(handoff(key=f"{here}/{record}#1"), channel, to)] = name
        return Counter([known[key] for key in keys])

    def stands(self) -> dict[str, tuple[Any, Any, Any]]:
        """Lead -> (what the CRM shows, what is decided, who holds it)."""
        columns = (tables.records.c.id, tables.leads.c.stage, tables.leads.c.held_by)
        found = select(*columns).join(tables.leads, tables.leads.c.id == tables.records.c.lead_id)
        with closing(open_store(self.house.database_url)) as store, store.reading() as tx:
            decided = {row.id: (row.stage, row.held_by) for row in tx.execute(found)}
        return {name: (self.house.shown(each)["ls_stage"], *decided[each]) for name, each in self.named.items()}

    def overrides(self) -> list[str]:
        """Who set the stages that were set by hand."""
        with closing(open_store(self.house.database_url)) as store, store.reading() as tx:
            return list(tx.execute(select(tables.overrides.c.source)).scalars())

    def wait_no_longer(self) -> None:
        """The pause after a message that failed is over."""
        with closing(open_store(self.house.database_url)) as store, store.writing() as tx:
            tx.execute(update(tables.notices).values(not_before=None))

    def db(self, *words: str) -> str:
        result = self.house.cli("db", *words)
        assert result.exit_code == 0, result.output
        return result.stdout


@pytest.fixture
def told(house: House) -> Iterator[Told]:
    with SmtpReceiver() as mail:
        built = Told(house, mail)
        house.setup()
        for name in ("told before", "told after", "failed", "moved", "by hand", "quiet"):
            built.named[name] = house.person(country="MX", jobtitle="Directora")
        for name in built.named.keys() - {"moved"}:
            built.meets(name)
        house.sync()
        yield built


def before_the_backup(told: Told) -> None:
    """One lead is told of, one is to be told of again, one was moved by hand."""
    told.meets("told before")
    told.house.edit(told.named["by hand"], ls_stage="iql")
    told.house.sync()
    told.house.hook.script.append(Reply(503))
    told.mail.script.append(SmtpReply("DATA", "451 later"))
    told.meets("failed")
    told.house.sync()


def after_the_backup(told: Told) -> None:
    """What failed gets through, one becomes ready and is told of, one moves on, one comes in."""
    told.wait_no_longer()
    told.meets("told after")
    told.meets("moved")
    told.named["new"] = told.house.person(country="MX", jobtitle="Directora")
    told.meets("new")
    told.house.sync()
    told.house.sync()


@on("postgresql")
def test_the_first_run_on_an_older_backup_takes_none_of_our_stages_for_a_persons_and_tells_nobody_anew(
    told: Told,
) -> None:
    before_the_backup(told)
    file = str(told.house.folder / "backup.zip")
    told.db("backup", file)
    after_the_backup(told)
    stood, tasks, mails, hooks = told.stands(), told.tasks(), told.mails(), told.hooks()
    assert {name: stage for name, (stage, _, _) in stood.items()} == {
        "told before": "sql", "told after": "sql", "failed": "sql", "moved": "mql", "by hand": "iql", "quiet": "mql",
        "new": "mql",
    }  # fmt: skip
    assert set(tasks) == set(mails) == {"told before", "told after", "failed"}
    assert "announces nobody" in told.db("restore", file, "--replace")
    told.wait_no_longer()
    told.house.sync()
    told.house.sync()
    assert told.stands() == stood
    assert told.overrides() == ["crm"], "the person's, which the backup knew"
    assert told.tasks() == tasks
    assert told.hooks() == hooks + Counter(["failed"]), "under the same key"
    assert told.mails() == mails + Counter(["failed"])
    assert "Possible repeat" in str(told.mail.received[-1].message["Subject"])
    told.meets("quiet")
    told.house.sync()
    assert told.tasks() == tasks + Counter(["quiet"]), "of whom a later run finds ready sales is told as ever"
    assert told.hooks() == hooks + Counter(["failed", "quiet"])
    assert told.mails() == mails + Counter(["failed", "quiet"])


@on("sqlite")
def test_a_write_that_waited_at_the_backup_is_made_but_does_not_undo_what_was_written_since(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "wait", lambda seconds, stop: None)
    told.house.portal.faults.add(Fault(path="batch/update", status=500))
    told.meets("told after")
    told.house.cli("run")
    told.house.portal.faults.clear()
    file = str(told.house.folder / "backup.zip")
    told.db("backup", file)
    told.db("restore", file, "--replace")
    assert told.stands()["told after"][:2] == ("mql", "sql")
    told.house.sync()
    assert told.stands()["told after"] == ("sql", "sql", "rules")
    told.house.edit(told.named["told after"], country="FR")
    told.house.sync()
    assert told.stands()["told after"][:2] == ("cold", "cold")
    told.db("restore", file, "--replace")
    told.house.sync()
    assert told.stands()["told after"] == ("cold", "cold", "rules")


@on("sqlite")
def test_a_move_to_another_database_goes_on_as_if_nothing_had_happened(
    told: Told, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    before_the_backup(told)
    stood = told.stands()
    file = str(told.house.folder / "backup.zip")
    told.db("backup", file)
    there: PostgreSQL | None = None
    if told.house.database_url.startswith("sqlite"):
        there = request.getfixturevalue("postgresql")
        told.house.database_url = there.new_database()
    else:
        told.house.database_url = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    told.db("restore", file, "--latest")
    assert told.stands() == stood
    told.house.forget_calls()
    told.house.sync()
    assert told.house.writes() == 0
    told.wait_no_longer()
    told.meets("told after")
    told.house.sync()
    assert told.tasks() == told.mails() == Counter(["told before", "told after", "failed"])
    assert told.hooks() == Counter(["told before", "told after", "failed", "failed"])
    if there is not None:
        there.drop(told.house.database_url)


@on("sqlite")
def test_backups_under_load_are_consistent_and_lead_to_the_same_end(
    house: House, request: pytest.FixtureRequest
) -> None:
    """While a daemon syncs every second and people change things."""
    server: PostgreSQL = request.getfixturevalue("postgresql")
    files = [house.folder / f"{number}.zip" for number in range(BACKUPS)]
    house.setup()
    project = house.folder / "syncer.yml"
    project.write_text(project.read_text().replace("sync: {", "sync: {every: 1s, "))
    words = ["-m", "syncer.cli", "--config", str(project), "--database-url", house.database_url, "daemon"]
    with Process(words, house.folder, ENVIRONMENT) as process:
        process.until(lambda: _syncs(house.database_url), "the daemon syncs")
        for file in files:
            _much_happens(house)
            assert house.cli("db", "backup", str(file)).exit_code == 0
            _much_happens(house)
        assert process.stop() == 0, process.stderr
    house.sync()
    house.sync()
    original, end = house.database_url, _end(house)
    assert len({stage for stage, _ in end.values()}) == 4, "there is one in each stage"
    for number, file in enumerate(files):
        sqlite = f"sqlite:///{house.folder / f'{number}.db'}"
        house.database_url = sqlite if number % 2 else server.new_database()
        assert house.cli("db", "restore", str(file)).exit_code == 0
        _insist_on_consistency(house.database_url)
        house.sync()
        house.sync()
        assert _end(house) == end, f"of backup {number}, taken of {original}"
        if house.database_url != sqlite:
            server.drop(house.database_url)


def _syncs(url: str) -> bool:
    with closing(open_store(url, migrate=False)) as store, store.reading() as tx:
        return tx.execute(select(tables.runs.c.id)).first() is not None


def _much_happens(house: House) -> None:
    """A few people come in, meet us, change; for a moment, or a little longer than the daemon's interval."""
    until = time.monotonic() + (1.2 if LONG else 0.4)
    while time.monotonic() < until:
        house.pass_time()
        house.person(country="FR")
        fits = house.person(country="ES", jobtitle="Directora")
        ready = house.person(country="MX", jobtitle="Directora")
        house.meeting(ready)
        time.sleep(0.1)
        house.meeting(ready, fits)
        house.edit(house.person(country="MX"), city="Toledo")


def _end(house: House) -> dict[str, tuple[Any, Any]]:
    """Record -> (stage that the CRM shows, stage that is decided), everybody held by the rules."""
    rows = house.control("dump", objectType="contacts")["results"]
    columns = (tables.records.c.id, tables.leads.c.stage, tables.leads.c.held_by)
    found = select(*columns).join(tables.leads, tables.leads.c.id == tables.records.c.lead_id)
    with closing(open_store(house.database_url)) as store, store.reading() as tx:
        decided = {row.id: row for row in tx.execute(found)}
    assert decided.keys() == {row["id"] for row in rows}, "the cursors of a backup were not ahead of its rows"
    assert {row.held_by for row in decided.values()} == {"rules"}
    return {row["id"]: (row["properties"].get("ls_stage"), decided[row["id"]].stage) for row in rows}


_NEVER = {
    "a lead without a record": "SELECT id FROM leads WHERE live AND id NOT IN (SELECT lead_id FROM records)",
    "a link to no activity, though its page was stored whole": (
        "SELECT activity_id FROM activity_links WHERE activity_id NOT IN (SELECT id FROM activities)"
    ),
    "a message of no hand-off": "SELECT key FROM notices WHERE handoff_key NOT IN (SELECT key FROM handoffs)",
    "a message that is neither to be sent nor done": (
        "SELECT key FROM notices WHERE state NOT IN ('uncertain', 'sent', 'dead', 'dropped')"
    ),
    "a hand-off whose lead never moved": (
        "SELECT key FROM handoffs WHERE lead_id NOT IN (SELECT lead_id FROM transitions)"
    ),
    "a stage without its transition": (
        "SELECT id FROM leads WHERE stage IS NOT NULL AND id NOT IN (SELECT lead_id FROM transitions)"
    ),
    "a plan of no run": "SELECT run_id FROM decisions WHERE run_id NOT IN (SELECT id FROM runs)",
    "records and no cursor": (
        "SELECT 1 FROM records WHERE NOT EXISTS (SELECT 1 FROM cursors WHERE stream = records.object)"
    ),
}


def _insist_on_consistency(url: str) -> None:
    with closing(open_store(url)) as store, store.reading() as tx:
        for what, question in _NEVER.items():
            assert tx.exec_driver_sql(question).all() == [], what
        if store.dialect == "sqlite":  # PostgreSQL has looked at each row as it came
            assert tx.exec_driver_sql("PRAGMA foreign_key_check").all() == []
            assert tx.exec_driver_sql("PRAGMA integrity_check").all() == [("ok",)]
