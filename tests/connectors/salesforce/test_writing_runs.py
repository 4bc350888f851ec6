"""The numbered cases of writing that concern whole runs, from the org to sales and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connectors.emulators.salesforce import Limits
from connectors.salesforce import Salesforce
from syncer import run
from syncer.errors import ShareUsed, TemporaryError
from syncer.model import Change, Rejected, Written
from syncer.parts import Asked, Report
from syncer.run import deliver, sync
from syncer.store import mirror, runs
from tests.connectors.salesforce.orgs import REASONS, SCORE, STAGE, House, Json, Project, house, let_waits_pass

pytestmark = pytest.mark.slow  # whole runs

HANDOFF = "handoff: {when: sql, wait: 15m, notifiers: {todo: {type: task}}, notify: [todo]}\n"


@pytest.fixture
def project(org: House, tmp_path: Path, database_url: str) -> Project:
    return begun(org, tmp_path, database_url)


def begun(org: House, tmp_path: Path, database_url: str) -> Project:
    """After the first run, over somebody who is cold: from now on there is news."""
    built = Project(org, tmp_path, database_url)
    path = tmp_path / "syncer.yml"
    path.write_text(path.read_text() + HANDOFF)
    model = tmp_path / "model.yml"
    model.write_text(model.read_text().replace("- {name: sql, enter", "- {name: sql, dwell: 1d, enter"))
    org.leads(1, Country="FR")
    assert built.sync().outcome == "ok"
    org.forget()
    return built


def ready(org: House, **values: object) -> str:
    """A lead who is SQL, once read."""
    (lead,) = org.leads(1, Country="ES", **values)
    meet(org, lead)
    meet(org, lead)
    return lead


def meet(org: House, person: str) -> str:
    at = (org.org.clock.now() - timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    (made,) = org.load("Event", [
        {"WhoId": person, "Subject": "Demo", "StartDateTime": at, "ActivityDateTime": at, "DurationInMinutes": 30}
    ])  # fmt: skip
    return made


def later(project: Project, days: float) -> Report:
    """One run, so many days later by syncer's own clock."""
    project.org.let_pass(60)
    with project.app() as app:
        moved = replace(app, clock=lambda: datetime.now(UTC) + timedelta(days=days))
        return sync(moved.parts("crm"), Asked())


def tasks(org: House) -> list[Json]:
    return org.rows("SELECT Id, WhoId FROM Task ORDER BY Id")


def updates(org: House, identity: str) -> list[Json]:
    return [each for each in org.writes() if each["id"] == identity and each["verb"] == "update"]


def meanwhile(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Somebody does something between the look at the records and the write to them, once."""
    write, waiting = Salesforce.write, [act]

    def writing(self: Salesforce, changes: Sequence[Change]) -> Iterator[Written | Rejected]:
        while waiting:
            waiting.pop()()
        return write(self, changes)

    monkeypatch.setattr(Salesforce, "write", writing)


def test_case_29_a_lead_converted_just_before_the_write_has_its_score_on_the_contact(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    org = project.org
    (lead,) = org.leads(1, Country="ES")
    found: list[str] = []
    meanwhile(monkeypatch, lambda: found.append(org.convert(lead)["contactId"]))
    first = project.sync()
    (contact,) = found
    assert (first.counts["rejected"], first.counts["written"]) == (1, 0)
    project.sync()
    assert (org.shown(contact)[SCORE], org.shown(contact)[STAGE]) == (40, "mql")
    assert org.shown(lead)[SCORE] is None
    with project.app() as app, app.store.reading() as tx:
        assert mirror.find(tx, lead) == mirror.find(tx, contact), "they are one lead"


@pytest.mark.slow
def test_case_36_fifty_idle_cycles_write_nothing_and_do_not_grow(project: Project) -> None:
    org = project.org
    org.leads(20, Country="ES")
    hot = ready(org)
    assert project.sync().counts["written"] == 21
    assert [each["WhoId"] for each in tasks(org)] == [hot]
    project.sync()
    org.forget()
    spent: list[int] = []
    for _ in range(50):
        before = org.calls()["total"]
        report = project.sync()
        assert (report.counts["written"], report.counts["stage_changes"]) == (0, 0)
        spent.append(org.calls()["total"] - before)
    assert org.writes() == []
    assert spent[-1] <= spent[0]
    assert len(tasks(org)) == 1


def test_case_37_what_a_person_changes_right_after_our_write_is_seen(project: Project) -> None:
    org = project.org
    (lead,) = org.leads(1, Country="ES")
    project.sync()
    assert org.shown(lead)[STAGE] == "mql"
    org.change(lead, Country="FR")
    org.change(lead, **{STAGE: "sql"})
    project.sync()
    assert (org.shown(lead)[STAGE], org.shown(lead)[SCORE]) == ("sql", 0), "their stage stands, and our score follows"
    assert len(updates(org, lead)) == 2


@pytest.mark.parametrize("crash", ["answer lost", "killed after the write"])
def test_case_39_a_lead_that_crosses_drops_and_crosses_again_is_handed_over_once(
    project: Project, monkeypatch: pytest.MonkeyPatch, crash: str
) -> None:
    org = project.org
    let_waits_pass(monkeypatch, org)
    lead = ready(org)
    with monkeypatch.context() as dying:
        if crash == "answer lost":
            org.fault(path="/composite/sobjects", method="PATCH", drop="after")
            assert _fails(project)
            org.no_faults()
        else:
            dying.setattr(run, "hand_off", _killed)
            with pytest.raises(KeyboardInterrupt):
                project.sync()
    assert (org.shown(lead)[STAGE], tasks(org)) == ("sql", [])
    events = [each["Id"] for each in org.rows("SELECT Id FROM Event")]
    org.remove(events[0])
    project.sync()
    org.restore(events[0])
    project.sync()
    meet(org, lead)
    project.sync()
    later(project, 0.1)
    assert [each["WhoId"] for each in tasks(org)] == [lead]
    assert org.shown(lead)[STAGE] == "sql"


def _killed(*_args: object, **_more: object) -> None:
    raise KeyboardInterrupt


def _fails(project: Project) -> bool:
    try:
        return project.sync().outcome != "ok"
    except TemporaryError:
        return True


def test_case_40_a_trigger_that_rewrites_the_score_is_no_ping_pong_and_does_not_keep_sales_waiting_for_ever(
    project: Project,
) -> None:
    org = project.org
    org.switch(triggers=[{"object": "Lead", "set": {SCORE: 7}, "on": ["update"]}])
    lead = ready(org)
    first = project.sync()
    assert (first.counts["rejected"], org.shown(lead)[SCORE]) == (1, 7)
    for _ in range(4):
        project.sync()
    org.change(lead, Title="Director")  # no rule looks at it
    project.sync()
    assert len(updates(org, lead)) == 1
    later(project, 1 / 24)
    assert [each["WhoId"] for each in tasks(org)] == [lead]


def test_case_41_a_flow_that_resets_the_stage_is_not_fought(project: Project) -> None:
    org = project.org
    org.switch(triggers=[{"object": "Lead", "when": f"{STAGE} = 'mql'", "set": {STAGE: "cold"}, "on": ["update"]}])
    (lead,) = org.leads(1, Country="ES")
    assert project.sync().counts["refused"] == 1
    for _ in range(4):
        project.sync()
    assert len(updates(org, lead)) == 1
    assert (org.shown(lead)[STAGE], org.shown(lead)[SCORE]) == ("cold", 40)


def test_case_42_a_stage_that_somebody_clears_is_set_again_by_the_rules(project: Project) -> None:
    org = project.org
    (lead,) = org.leads(1, Country="ES")
    project.sync()
    org.change(lead, **{STAGE: None, REASONS: None})
    project.sync()
    org.change(lead, Country="FR")
    project.sync()
    assert (org.shown(lead)[STAGE], org.shown(lead)[SCORE]) == ("cold", 0)


@pytest.mark.parametrize(("used", "others"), [(750, "mql"), (900, None)])
def test_case_26_where_our_share_is_used_up_reading_rests_and_who_is_handed_over_is_written_and_told(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch, used: int, others: str | None
) -> None:
    """Of 1,000 requests we use 800 at most, and read with 720."""
    with house(limits=Limits(daily=1000)) as org:
        let_waits_pass(monkeypatch, org)
        project = begun(org, tmp_path, database_url)
        (ana,), ben = org.leads(1, Country="ES"), ready(org)
        org.fault(path="/composite/sobjects", method="PATCH", status=503)
        assert isinstance(project.sync().failures["write"], TemporaryError)
        org.no_faults()
        org.control("limits", used=used)
        (cara,) = org.leads(1, Country="ES")
        report = project.sync()
        assert isinstance(report.failures["Lead"], ShareUsed)
        assert (report.counts["read"], "write" in report.failures) == (0, others is None)
        assert (org.shown(ben)[STAGE], org.shown(ana)[STAGE]) == ("sql", others)
        assert [each["WhoId"] for each in tasks(org)] == [ben]
        with project.app() as app:
            before = org.calls()["total"]
            assert deliver(app.parts("crm")) is None
            assert org.calls()["total"] == before, "what is not urgent is left to the next run"
            with app.store.reading() as tx:
                assert runs.parked(tx, "crm", datetime.now(UTC)) is None
        org.control("limits", used=0)
        project.sync()
        assert (org.shown(ana)[STAGE], org.shown(cara)[STAGE]) == ("mql", "mql")
