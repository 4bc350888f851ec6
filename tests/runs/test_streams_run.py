"""Whole runs with rules on forms and on companies."""

from __future__ import annotations

from tests.runs.house import House

MODEL = """\
name: streams
fit:
  rules:
    - {name: In retail, when: {company.industry: [retail]}, points: 40}
    - {name: Large, when: {company_size: {at_least: 100}}, points: 10}
engagement:
  rules:
    - name: Asked for a demo
      when: {activity: form_submission, form: {contains: demo}, in_last: 30d}
      points: 20
      each: true
stages:
  - {name: cold}
  - {name: mql, enter: [fit >= 40]}
  - {name: sql, enter: [engagement >= 40]}
"""
SETTINGS = """\
    lag: 0s
    activities: [forms]
    fields: {company_size: company.numberofemployees}
"""


def prepared(house: House, version: str) -> tuple[str, str, str]:
    """The project, and two people of one company: their ids and its."""
    house.write_project(MODEL)
    path = house.folder / "syncer.yml"
    path.write_text(path.read_text().replace("    lag: 0s\n", f"{SETTINGS}    api_version: '{version}'\n"))
    house.control("load", forms=[{"id": "f1", "name": "Demo request"}, {"id": "f2", "name": "Newsletter"}])
    ana, ben = house.person(email="ana@acme.example"), house.person()
    acme = house.api("POST", "/crm/v3/objects/companies", properties={"name": "Acme", "industry": "RETAIL"})["id"]
    ties = {"from": "contacts", "to": "companies", "typeId": 1, "pairs": [[ana, acme], [ben, acme]]}
    house.control("load", associations=[ties])
    house.setup()
    return ana, ben, acme


def submit(house: House, form: str, email: str) -> None:
    at_ms = house.portal.clock.now_ms() - 60_000  # the portal's clock is ahead of ours
    house.control("submit", form=form, values={"email": email}, at_ms=at_ms)


def version_of(house: House) -> str:
    """One family of the API on each database."""
    return "v3" if house.database_url.startswith("sqlite") else "2026-09"


def test_who_asks_for_a_demo_twice_is_handed_over_once_and_other_forms_count_for_nothing(house: House) -> None:
    ana, ben, _ = prepared(house, version_of(house))
    submit(house, "f1", "ana@acme.example")
    assert house.sync().failures == {}
    assert house.shown(ana)["ls_score"] == "60"
    submit(house, "f2", "ana@acme.example")
    house.sync()
    assert house.shown(ana)["ls_stage"] == "mql"
    submit(house, "f1", "ana@acme.example")
    house.sync()
    assert (house.shown(ana)["ls_score"], house.shown(ana)["ls_stage"]) == ("80", "sql")
    house.sync()
    assert [told["lead"]["email"] for told in house.told()] == ["ana@acme.example"]
    assert house.shown(ben)["ls_score"] == "40"


def test_a_company_that_changes_moves_all_its_people_and_an_idle_run_writes_nothing(house: House) -> None:
    ana, ben, acme = prepared(house, version_of(house))
    house.sync()
    assert {house.shown(each)["ls_stage"] for each in (ana, ben)} == {"mql"}
    house.control(
        "edit", objectType="companies", id=acme, properties={"industry": "BANKING", "numberofemployees": "120"}
    )
    house.sync()
    assert [house.shown(each)["ls_score"] for each in (ana, ben)] == ["10", "10"]
    assert {house.shown(each)["ls_stage"] for each in (ana, ben)} == {"cold"}
    house.forget_calls()
    house.sync()
    assert house.writes() == 0


def test_people_are_read_anew_where_the_settings_give_a_field_another_name(house: House) -> None:
    ana, ben, _ = prepared(house, version_of(house))
    house.edit(ana, jobtitle="900")
    for _ in range(3):  # the echo of what was written is over
        house.sync()
    assert [house.shown(each)["ls_score"] for each in (ana, ben)] == ["40", "40"]
    path = house.folder / "syncer.yml"
    path.write_text(path.read_text().replace("company.numberofemployees", "jobtitle"))
    house.sync()
    assert [house.shown(each)["ls_score"] for each in (ana, ben)] == ["50", "40"]


def test_a_company_field_is_understood_by_check_and_explain(house: House) -> None:
    ana, *_ = prepared(house, version_of(house))
    house.sync()
    checked = house.cli("check")
    assert checked.exit_code == 0, checked.output
    assert "companies" in checked.stdout
    explained = house.cli("explain", ana)
    assert explained.exit_code == 0, explained.output
    assert "In retail" in explained.stdout
    assert "company.industry" in explained.stdout


def test_case_19_a_token_without_the_scope_for_forms_says_so_once_and_contacts_are_scored_all_the_same(
    house: House,
) -> None:
    ana, *_ = prepared(house, version_of(house))
    submit(house, "f1", "ana@acme.example")
    fault = {"status": 403, "path": "/marketing/.*forms"}
    house.control("faults", faults=[fault])
    report = house.sync()
    assert list(report.failures) == ["forms"]
    assert house.shown(ana)["ls_score"] == "40"
    house.control("faults", faults=[])
    assert house.sync().failures == {}
    assert house.shown(ana)["ls_score"] == "60"


def test_what_was_counted_does_not_count_again_once_each_is_told(house: House) -> None:
    ana, _, _ = prepared(house, version_of(house))
    path = house.folder / "syncer.yml"
    chosen = path.read_text()
    path.write_text(chosen.replace("    activities: [forms]\n", ""))
    submit(house, "f1", "ana@acme.example")
    (house.folder / "model.yml").write_text(MODEL.replace(", form: {contains: demo}", ""))
    house.sync()
    assert house.shown(ana)["ls_score"] == "60"
    path.write_text(chosen)
    for _ in range(2):
        house.sync()
    assert house.shown(ana)["ls_score"] == "60"
    assert house.told() == []
