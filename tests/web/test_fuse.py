"""The plan that waits at the fuse: looked at on its page, approved by a person, carried out once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import delete, update

from syncer import run as running
from syncer.app import App
from syncer.errors import StalePlanError, TemporaryError, UnsafePlanError
from syncer.model import RecordKey
from syncer.parts import Report
from syncer.queries import fuse
from syncer.queries.accounts import By
from syncer.run import follow, sync
from syncer.store import audit, decisions, hints, runs, tables
from syncer.web import serve
from tests.runs.house import MODEL, House, house_on
from tests.web.calling import Caller, free_port
from tests.web.pages import Pages

ANA = By("ana", "203.0.113.7")
PUBLIC = "public_url: https://syncer.acme.es/, secret: 0123456789abcdef"
HASTY = MODEL.replace("enter: [engagement >= 50]", "enter: [engagement >= 20]")  # who came to one meeting is ready


@dataclass
class Fuse:
    """Three leads who came to a meeting, and a project that moves one lead at most."""

    house: House
    people: list[str]

    def meets_fuse(self) -> int:
        """A run that waits; its number."""
        with pytest.raises(UnsafePlanError):
            self.house.sync()
        return self.waiting().run

    def waiting(self) -> fuse.Waiting:
        with self.house.app() as app:
            found = fuse.waiting(app, "crm")
        assert found is not None
        return found

    def approve(self, number: int | None = None) -> fuse.Word:
        with self.house.app() as app:
            return fuse.approve(app, "crm", number or self.waiting().run, ANA)

    def stages(self) -> list[str | None]:
        return [self.house.shown(each)["ls_stage"] for each in self.people]

    def told_of_acts(self) -> list[tuple[str, str, object]]:
        with self.house.app() as app, app.store.reading() as tx:
            entries = [each.entry for each in reversed(audit.entries(tx, None, 100))]
        return [(each.who, each.act, each.details.get("run")) for each in entries]


@contextmanager
def made(folder: Path, database_url: str) -> Iterator[Fuse]:
    with house_on(folder, database_url) as house:
        house.setup()
        people = [house.person(country="MX", jobtitle="Directora de compras") for _ in range(3)]
        house.meeting(*people)
        house.sync()
        house.limit = 1
        house.write_project(HASTY)
        yield Fuse(house, people)


@pytest.fixture
def hasty(tmp_path: Path, database_url: str) -> Iterator[Fuse]:
    with made(tmp_path, database_url) as built:
        assert built.stages() == ["mql"] * 3
        yield built


@pytest.fixture
def small(tmp_path: Path, sqlite_template: Path) -> Iterator[Fuse]:
    """On SQLite alone, where the statements are those of other tests."""
    shutil.copy(sqlite_template, tmp_path / "syncer.db")
    with made(tmp_path, f"sqlite:///{tmp_path / 'syncer.db'}") as built:
        yield built


def with_pages(house: House, web: str = "") -> None:
    path = house.folder / "syncer.yml"
    path.write_text(f"{path.read_text()}web: {{{web}}}\n")


def hint_at(app: App, people: list[str]) -> None:
    """The CRM speaks of them."""
    with app.store.writing() as tx:
        hints.hint(tx, [RecordKey("crm", "contacts", each) for each in people], app.clock())


def test_a_plan_that_waits_tells_what_it_would_do_and_which_rule_made_it(hasty: Fuse) -> None:
    number = hasty.meets_fuse()
    waits = hasty.waiting()
    assert (waits.run, waits.scored, waits.records) == (number, 3, 3)
    assert [(each.what, each.planned, each.limit, each.over, each.allowed) for each in waits.limits] == [
        ("stage_changes", 3, 1, 2, 4),
        ("handoffs", 0, 50, 0, 50),  # changed rules alert nobody
    ]
    assert [(each.before, each.after, each.leads) for each in waits.moves] == [("mql", "sql", 3)]
    assert (waits.same_settings, waits.kept, waits.approved) == (True, True, None)
    with hasty.house.app() as app:
        leads, more = fuse.moved(app, number, None, None)
        changes = fuse.rule_changes(app, "crm") or ()
    assert more is None
    told = [(each.before, each.after, each.cause, each.handed_over) for each in leads]
    assert told == [("mql", "sql", "model", False)] * 3
    assert all(each.name.endswith("@acme.example") for each in leads)
    assert all(each.reasons[0] == "+40 In a country we sell to" for each in leads)
    assert [(each.what, each.name, each.before, each.after) for each in changes] == [
        ("stage", "sql", "enter: engagement >= 50", "enter: engagement >= 20")
    ]


def test_an_approved_plan_is_carried_out_by_the_next_run_and_by_no_other(hasty: Fuse) -> None:
    number = hasty.meets_fuse()
    word = hasty.approve()
    assert (word.by, word.stage_changes, word.handoffs) == ("ana", 4, 50)
    approved = hasty.waiting().approved
    assert approved is not None
    assert approved.by == "ana"
    assert hasty.house.sync().outcome == "ok"
    assert hasty.stages() == ["sql"] * 3
    assert hasty.told_of_acts() == [("ana", "plan_approved", number)]
    hasty.house.write_project(HASTY.replace("points: 30.5", "points: 3.5"))  # all fall back to iql
    hasty.meets_fuse()
    hasty.meets_fuse()
    assert hasty.stages() == ["sql"] * 3, "the word on the first plan is used up"


def test_the_word_of_a_person_brings_the_run_at_once(small: Fuse) -> None:
    small.meets_fuse()
    with small.house.app() as app:
        with app.store.writing() as tx:
            runs.set_due(tx, "crm", app.clock() + 10 * app.project.sync.every)
        small.approve()
        with app.store.reading() as tx:
            due = runs.due_at(tx, "crm")
        assert due is not None
        assert due <= app.clock()


@pytest.mark.parametrize(("more", "carried_out"), [(1, True), (2, False)])
def test_who_comes_after_the_word_moves_within_its_slack_and_more_of_them_wait_again(
    small: Fuse, more: int, carried_out: bool
) -> None:
    house = small.house
    house.limit = 200
    house.write_project(MODEL)
    late = [house.person(country="MX", jobtitle="Directora general") for _ in range(more)]
    house.sync()
    house.limit = 1
    house.write_project(HASTY)
    small.meets_fuse()
    small.approve()
    house.meeting(*late)
    if carried_out:
        assert house.sync().counts["stage_changes"] == 4
    else:
        small.meets_fuse()
        assert small.waiting().approved is None, "the word is used up"
        assert small.waiting().limits[0].planned == 5
        small.meets_fuse()
    assert small.stages() == ["sql" if carried_out else "mql"] * 3


@pytest.mark.parametrize(
    ("planned", "limit", "allowed"),
    [(9_000, 200, 9_450), (201, 200, 212), (20, 10, 21), (1, 0, 2), (0, 0, 0), (10, 50, 50), (50, 50, 53)],
)
def test_an_approval_allows_what_was_planned_and_a_twentieth_more_and_never_less_than_any_run(
    planned: int, limit: int, allowed: int
) -> None:
    assert fuse.limited("handoffs", planned, limit).allowed == allowed


def test_settings_that_changed_after_the_word_wait_again(small: Fuse) -> None:
    small.meets_fuse()
    small.approve()
    small.house.write_project(HASTY.replace("points: 40", "points: 41"))
    small.meets_fuse()
    assert small.stages() == ["mql"] * 3


def test_settings_that_changed_before_the_word_refuse_it(small: Fuse) -> None:
    small.meets_fuse()
    small.house.write_project(HASTY.replace("points: 40", "points: 41"))
    assert not small.waiting().same_settings
    with pytest.raises(StalePlanError, match="the settings have changed since plan"):
        small.approve()
    assert small.told_of_acts() == []


def test_a_word_that_is_taken_back_allows_nothing(hasty: Fuse) -> None:
    number = hasty.meets_fuse()
    hasty.approve()
    with hasty.house.app() as app:
        fuse.refuse(app, "crm", number, By("eva"))
        with pytest.raises(StalePlanError, match="no approval of plan"):
            fuse.refuse(app, "crm", number, By("eva"))
    hasty.meets_fuse()
    assert hasty.stages() == ["mql"] * 3
    assert hasty.told_of_acts() == [("ana", "plan_approved", number), ("eva", "plan_refused", number)]


def test_a_plan_that_waits_no_more_cannot_be_approved(small: Fuse) -> None:
    old = small.meets_fuse()
    new = small.meets_fuse()
    with pytest.raises(StalePlanError, match=f"plan {old} waits no more: plan {new} waits now"):
        small.approve(old)
    small.house.cli("run", "--yes-really", "3")
    with pytest.raises(StalePlanError, match="none waits now"):
        small.approve(new)


def test_a_process_that_dies_before_the_run_leaves_the_word_and_one_in_its_middle_uses_it_up(
    hasty: Fuse, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """As SIGKILL: nothing is closed."""

    def die(*_: object) -> None:
        raise Killed

    hasty.meets_fuse()
    hasty.approve()
    with monkeypatch.context() as patched:
        patched.setattr(running, "_start", die)
        with pytest.raises(Killed):
            hasty.house.sync()
    assert hasty.waiting().approved is not None
    with monkeypatch.context() as patched:
        patched.setattr(running, "decide", die)
        with pytest.raises(Killed):
            hasty.house.sync()
    hasty.meets_fuse()
    assert hasty.stages() == ["mql"] * 3


def test_a_run_that_fails_uses_the_word_up(small: Fuse, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise TemporaryError("crm: unwell", code="SY101")

    small.meets_fuse()
    small.approve()
    with monkeypatch.context() as patched:
        patched.setattr(running, "decide", fail)
        with pytest.raises(TemporaryError):
            small.house.sync()
    small.meets_fuse()


def test_a_plan_alone_leaves_the_plan_that_waits(hasty: Fuse) -> None:
    number = hasty.meets_fuse()
    assert hasty.house.cli("plan").exit_code == 0
    assert hasty.house.cli("plan").exit_code == 0
    assert (hasty.waiting().run, hasty.waiting().kept) == (number, True)
    with hasty.house.app() as app:
        assert len(fuse.moved(app, number, None, None)[0]) == 3
    hasty.approve(number)
    assert hasty.house.sync().outcome == "ok"
    assert hasty.stages() == ["sql"] * 3
    assert hasty.house.cli("plan").exit_code == 0
    with hasty.house.app() as app, app.store.reading() as tx:
        assert not decisions.has_plan(tx, number), "once it waits no more it is not kept"


@pytest.mark.parametrize("quick", [False, True])
def test_while_a_person_must_look_no_quick_run_begins_also_after_a_plan_alone(small: Fuse, quick: bool) -> None:
    house = small.house
    house.write_project(MODEL)  # the rules that decided last: else a full run would be due
    with_pages(house)
    house.meeting(*small.people)
    with house.app() as app:
        hint_at(app, small.people)
        house.pass_time()
        with pytest.raises(UnsafePlanError, match="syncer plan crm") as met:
            follow(app.parts("crm")) if quick else sync(app.parts("crm"))
        assert ("/plans/crm" in met.value.message) != quick, "that page shows the plans of full runs"
    for _ in range(2):
        with house.app() as app:
            hint_at(app, small.people)
            assert follow(app.parts("crm")) == Report(0)
        assert house.cli("plan").exit_code == 0


def test_a_plan_alone_leaves_the_word_for_the_run(small: Fuse) -> None:
    small.meets_fuse()
    small.approve()
    assert small.house.cli("plan").exit_code == 0
    assert small.house.sync().outcome == "ok"
    assert small.stages() == ["sql"] * 3


def test_a_quick_run_never_uses_the_word(small: Fuse) -> None:
    small.meets_fuse()
    small.approve()
    with small.house.app() as app:
        hint_at(app, small.people)
        assert follow(app.parts("crm")) == Report(0)
    assert small.stages() == ["mql"] * 3
    assert small.waiting().approved is not None


def test_yes_really_needs_no_word_and_a_smaller_one_is_not_raised_by_it(small: Fuse) -> None:
    small.meets_fuse()
    small.approve()
    assert small.house.cli("run", "--yes-really", "2").exit_code == UnsafePlanError.exit_code
    assert small.house.cli("run", "--yes-really", "3").exit_code == 0
    assert small.stages() == ["sql"] * 3


# the pages


@contextmanager
def pages_of(built: Fuse) -> Iterator[Pages]:
    """Over a plan that waits."""
    port = free_port()
    with_pages(built.house, f"port: {port}")
    with pytest.raises(UnsafePlanError):
        built.house.sync()
    with built.house.app() as app, serve(lambda: app, lambda: None):
        yield Pages(app, Caller(port))


def test_a_plan_is_read_and_approved_on_its_page(small: Fuse) -> None:
    with pages_of(small) as pages:
        shown = pages.api("/plans/crm")
        number, html = shown["waiting"]["run"], pages.page("/plans/crm")
        assert [(each["stage"], each["enter"], each["leave"]) for each in shown["stages"]][:2] == [
            ("sql", 3, 0),
            ("mql", 0, 3),
        ]
        assert {each["stage"]: (each["now"], each["after"]) for each in shown["stages"]} == {
            "sql": (0, 3), "mql": (3, 0), "iql": (0, 0), "cold": (0, 0),
        }  # fmt: skip
        for lead in shown["leads"]:
            assert f'<a href="/leads/{lead["lead"]}">{lead["name"]}</a>' in html
        assert "enter: engagement &gt;= 20" in html
        assert "up to 4 stage changes and 50 hand-offs" in html
        assert "the leads, or only the time" not in html
        assert pages.api("/runs")["connections"][0]["waiting"] == number
        assert f"The plan of run {number} moves or hands over more" in pages.page("/runs")
        answer = pages.submit("/plans/crm/approve", {"run": str(number)})
        assert (answer.status, answer.headers["Location"]) == (303, "/plans/crm")
        assert "Approved by" in pages.page("/plans/crm")
        assert pages.api("/plans/crm")["waiting"]["approved"]["stage_changes"] == 4
        assert pages.submit("/plans/crm/refuse", {"run": str(number)}).status == 303
        assert pages.submit("/plans/crm/refuse", {"run": str(number)}).status == 409
        assert pages.submit("/plans/crm/approve", {"run": str(number + 1)}).status == 409
        assert pages.submit("/plans/crm/approve", {}).status == 400
        assert pages.submit("/plans/nobody/approve", {"run": "1"}).status == 404
        assert pages.submit("/plans/crm/approve", {"run": str(number)}).status == 303
    assert small.house.sync().outcome == "ok"
    assert small.stages() == ["sql"] * 3
    assert [each[1] for each in small.told_of_acts()] == ["plan_approved", "plan_refused", "plan_approved"]


def test_the_leads_of_a_plan_are_shown_page_by_page_and_by_move(small: Fuse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuse, "_PAGE", 2)
    with pages_of(small) as pages:
        first = pages.api("/plans/crm")
        second = pages.api(first["next"])
        assert (len(first["leads"]), len(second["leads"]), second["next"]) == (2, 1, None)
        assert len({each["lead"] for each in first["leads"] + second["leads"]}) == 3
        assert len(pages.api("/plans/crm?move=mql%3Esql")["leads"]) == 2
        assert pages.api("/plans/crm?move=cold%3Esql")["leads"] == []
        assert "Only from mql to sql" in pages.page("/plans/crm?move=mql%3Esql")
        assert "El plan de crm en espera" in pages.page("/plans/crm", headers={"Cookie": "syncer_language=es"})


def test_a_plan_that_only_another_maximum_has_made_is_not_said_to_come_of_the_leads(small: Fuse) -> None:
    small.house.write_project(MODEL.replace("max: 60", "max: 10"))
    with pages_of(small) as pages:
        html = pages.page("/plans/crm")
        assert "what has changed are the leads" not in html
        assert ("max: 60" in html, "max: 10" in html) == (True, True)


def test_a_plan_that_the_leads_have_made_is_said_to_come_of_them_while_its_rules_are_those_of_now(small: Fuse) -> None:
    small.house.write_project(MODEL)
    small.house.meeting(*small.people)
    with pages_of(small) as pages:
        assert "what has changed are the leads" in pages.page("/plans/crm")
        with pages.app.store.writing() as tx:
            tx.execute(update(tables.runs).values(project="another"))
        html = pages.page("/plans/crm")
        assert "what has changed are the leads" not in html
        assert "those of the plan may have been others" in html


def test_where_the_rules_before_are_not_known_nothing_is_said_of_them(small: Fuse) -> None:
    with pages_of(small) as pages:
        with pages.app.store.writing() as tx:
            tx.execute(delete(tables.rules_in_force))
        html = pages.page("/plans/crm")
        assert pages.api("/plans/crm")["changes"] is None
        assert "is not known" in html
        assert "what has changed are the leads" not in html


@pytest.mark.parametrize(
    ("web", "page"), [("", "/plans/crm"), (PUBLIC, "https://syncer.acme.es/plans/crm"), (None, None)]
)
def test_what_tells_of_a_plan_that_waits_names_its_page(small: Fuse, web: str | None, page: str | None) -> None:
    if web is not None:
        with_pages(small.house, web)
    with pytest.raises(UnsafePlanError) as met:
        small.house.sync()
    assert "`syncer plan crm`, then run `syncer run crm --yes-really 3`" in met.value.message
    assert ("approve it" in met.value.message) == (page is not None)
    if page is not None:
        assert met.value.message.endswith(f", on the page {page}")
