"""The whole way of a lead, over HTTP, with a real database and a real receiver."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import orjson
import pytest

from connectors.hubspot.write import Writer
from syncer.connector import Destination
from syncer.errors import ConfigError, TemporaryError
from syncer.parts import Asked
from syncer.run import deliver, sync
from syncer.store import decisions, leases, mirror
from tests.runs.house import MODEL, House


@pytest.fixture
def base(house: House) -> House:
    """Four leads of all kinds, synced once."""
    house.setup()
    house.person(country="FR")
    house.person(country="ES")
    warm = house.person(country="MX", jobtitle="Directora de compras")
    house.meeting(warm)
    house.person(country="MX", jobtitle="Director", lifecyclestage="customer")
    house.sync()
    return house


def stages(house: House) -> dict[str, str | None]:
    people = house.control("dump", objectType="contacts")["results"]
    return {each["id"]: each["properties"].get("ls_stage") for each in people}


def ids(house: House) -> list[str]:
    return sorted(stages(house), key=int)


def test_the_first_run_writes_every_lead_and_alerts_nobody(base: House) -> None:
    stranger, fitting, warm, customer = ids(base)
    assert stages(base) == {stranger: "cold", fitting: "iql", warm: "mql", customer: None}
    assert base.shown(warm)["lifecyclestage"] == "marketingqualifiedlead"
    assert base.shown(warm)["ls_score"] == "80"  # 40 + 30.46 + 10, rounded down
    assert base.shown(customer)["ls_score"] == "50"
    assert base.shown(customer)["lifecyclestage"] == "customer"
    assert "Came to a meeting" in str(base.shown(warm)["ls_score_reasons"])
    assert base.told() == []


def test_a_second_run_makes_no_write_call(base: House) -> None:
    base.forget_calls()
    report = base.sync()
    assert base.writes() == 0
    assert report.counts["write_calls"] == 0
    assert report.counts["scored"] == 0, "the echo of our own writes touches nobody"


def test_a_lead_that_becomes_sql_is_told_once_and_only_once(base: House) -> None:
    warm = ids(base)[2]
    base.meeting(warm)
    report = base.sync()
    assert report.counts["handoffs"] == 1
    assert base.shown(warm)["ls_stage"] == "sql"
    assert base.shown(warm)["lifecyclestage"] == "salesqualifiedlead"
    (message,) = base.told()
    assert message["lead"]["record"] == f"crm/contacts/{warm}"
    base.sync()
    base.meeting(warm)
    base.sync()
    assert len(base.hook.received) == 1


def test_who_leaves_sql_and_comes_back_is_told_again(base: House) -> None:
    warm = ids(base)[2]
    base.meeting(warm)
    base.sync()
    base.edit(warm, country="FR")
    base.sync()
    assert base.shown(warm)["ls_stage"] == "cold"
    base.edit(warm, country="MX")
    base.sync()
    assert base.shown(warm)["ls_stage"] == "sql"
    first, second = base.told()
    assert (first["episode"], second["episode"]) == (1, 2)


def test_interest_without_profile_never_passes(base: House) -> None:
    stranger = ids(base)[0]
    for _ in range(4):
        base.meeting(stranger)
    base.sync()
    assert base.shown(stranger)["ls_stage"] == "cold"


def test_a_veto_holds_a_lead_at_cold(base: House) -> None:
    warm = ids(base)[2]
    base.control("calculate", objectType="contacts", id=warm, properties={"hs_email_optout": "true"})
    base.edit(warm, city="Toledo")
    base.sync()
    assert base.shown(warm)["ls_stage"] == "cold"
    assert base.json("explain", warm)["vetoes"] == ["Opted out"]


def test_a_stage_edited_by_a_person_is_not_overwritten_and_explain_says_who_holds_it(base: House) -> None:
    warm = ids(base)[2]
    marta = {"id": 70, "user_id": 7, "email": "marta@acme.example", "first_name": "Marta", "last_name": "Gil"}
    base.control("load", owners=[marta])
    base.edit(warm, ls_stage="iql")
    base.sync()
    base.meeting(warm)  # the rules would say sql now
    base.sync()
    assert base.shown(warm)["ls_stage"] == "iql"
    explained = base.json("explain", warm)
    assert explained["held_by"] == "person"
    assert explained["automatic_stage"] == "sql"
    assert "marta@acme.example" in explained["held_by_whom"]
    assert base.told() == []


def test_a_person_who_puts_the_stage_back_gives_the_lead_back_to_the_rules(base: House) -> None:
    warm = ids(base)[2]
    base.edit(warm, ls_stage="cold")
    base.sync()
    base.edit(warm, ls_stage="mql")
    base.sync()
    assert base.json("explain", warm)["held_by"] == "rules"
    base.meeting(warm)
    base.sync()
    assert base.shown(warm)["ls_stage"] == "sql"


def test_a_person_moving_hubspots_own_stage_counts_as_an_edit(base: House) -> None:
    fitting = ids(base)[1]
    base.edit(fitting, lifecyclestage="salesqualifiedlead")
    base.sync()
    assert base.json("explain", fitting)["stage"] == "sql"
    assert base.json("explain", fitting)["held_by"] == "person"


def test_an_edit_between_our_reading_and_our_writing_wins(base: House, monkeypatch: pytest.MonkeyPatch) -> None:
    warm = ids(base)[2]
    base.meeting(warm)
    read_back = Writer.read_back

    def edited_first(self: Writer, records: object) -> object:
        base.edit(warm, ls_stage="cold")
        return read_back(self, records)  # type: ignore[arg-type]

    monkeypatch.setattr(Writer, "read_back", edited_first)
    report = base.sync()
    monkeypatch.undo()
    assert report.counts["kept_by_people"] == 1
    assert base.shown(warm)["ls_stage"] == "cold"
    base.sync()
    assert base.shown(warm)["ls_stage"] == "cold"
    assert base.json("explain", warm)["held_by"] == "person"
    assert base.told() == [], "sales is not told of a stage that a person has taken back"


def test_an_override_by_command_is_written_and_ends(base: House) -> None:
    warm = ids(base)[2]
    result = base.cli("override", warm, "cold", "--reason", "budget frozen", "--author", "marta")
    assert result.exit_code == 0, result.output
    base.sync()
    assert base.shown(warm)["ls_stage"] == "cold"
    assert "marta" in base.json("explain", warm)["held_by_whom"]
    base.cli("override", "clear", warm)
    base.sync()
    assert base.shown(warm)["ls_stage"] == "mql"


def test_a_stage_that_only_a_new_model_gives_is_written_but_tells_nobody(base: House) -> None:
    warm = ids(base)[2]
    base.write_project(MODEL.replace("engagement >= 50", "engagement >= 30"))
    base.sync()
    assert base.shown(warm)["ls_stage"] == "sql"
    assert base.json("explain", warm)["cause"] == "model"
    assert base.told() == []


def test_who_acts_in_the_very_run_of_a_new_model_is_told_all_the_same(base: House) -> None:
    warm = ids(base)[2]
    base.write_project(MODEL.replace("points: 10}", "points: 11}"))
    base.meeting(warm)
    base.sync()
    assert len(base.told()) == 1


def test_a_new_lead_that_arrives_ready_is_told(base: House) -> None:
    ready = base.person(country="ES", jobtitle="Director")
    base.meeting(ready)
    base.meeting(ready)
    base.sync()
    assert len(base.told()) == 1


def test_plan_writes_nothing_and_run_plan_does_exactly_that(base: House) -> None:
    warm = ids(base)[2]
    base.meeting(warm)
    base.forget_calls()
    planned = base.json("plan", "--out", str(base.folder / "plan.json"))
    assert base.writes() == 0
    assert [(each["from"], each["to"], each["handoff"]) for each in planned["leads"]] == [("mql", "sql", True)]
    assert base.shown(warm)["ls_stage"] == "mql"
    done = base.cli("run", "--plan", str(base.folder / "plan.json"))
    assert done.exit_code == 0, done.output
    assert base.shown(warm)["ls_stage"] == "sql"
    assert len(base.told()) == 1


def test_a_saved_plan_is_refused_once_a_lead_changed(base: House) -> None:
    warm = ids(base)[2]
    base.meeting(warm)
    base.json("plan", "--out", str(base.folder / "old.json"))
    base.edit(warm, country="FR")
    base.json("plan", "--out", str(base.folder / "new.json"))
    refused = base.cli("run", "--plan", str(base.folder / "old.json"))
    assert refused.exit_code == 1
    assert "plan again" in refused.stderr
    assert base.shown(warm)["ls_stage"] == "mql"


def test_a_saved_plan_is_refused_once_the_rules_changed(base: House) -> None:
    base.meeting(ids(base)[2])
    base.json("plan", "--out", str(base.folder / "plan.json"))
    base.write_project(MODEL.replace("points: 40", "points: 41"))
    refused = base.cli("run", "--plan", str(base.folder / "plan.json"))
    assert refused.exit_code == 1
    assert "configuration changed" in refused.stderr


def test_the_fuse_stops_a_run_that_moves_too_many_and_a_person_can_let_it_go(base: House) -> None:
    base.limit = 0
    base.write_project()
    warm = ids(base)[2]
    base.meeting(warm)
    base.forget_calls()
    stopped = base.cli("run")
    assert stopped.exit_code == 6
    assert "max_stage_changes" in stopped.stderr
    assert base.writes() == 0
    assert base.told() == []
    assert base.cli("run", "--yes-really", "1").exit_code == 0
    assert base.shown(warm)["ls_stage"] == "sql"
    assert len(base.told()) == 1


def test_two_merged_contacts_are_one_lead_and_nothing_is_written_to_the_dead_id(base: House) -> None:
    _, fitting, warm, _ = ids(base)
    merged = base.api("POST", "/crm/v3/objects/contacts/merge", primaryObjectId=warm, objectIdToMerge=fitting)["id"]
    base.sync()
    explained = base.json("explain", merged)
    assert explained["stage"] == "mql"
    assert explained["lead"] == f"crm/contacts/{merged}"
    assert base.shown(merged)["ls_stage"] == "mql"


def test_a_deleted_contact_leaves_scoring_with_the_next_whole_sweep(base: House) -> None:
    warm = ids(base)[2]
    base.api("DELETE", f"/crm/v3/objects/contacts/{warm}")
    assert base.sync(Asked(full=True)).counts["reconciled"] == 1
    assert base.json("status")["connections"]["crm"]["leads"] == 3


def test_a_stream_without_its_scope_is_named_and_the_others_go_on(base: House) -> None:
    scopes = ["crm.objects.contacts.read", "crm.objects.contacts.write", "crm.schemas.contacts.read"]
    base.control("tokens", add="poor-token", scopes=scopes)
    base.write_project(MODEL.replace("activity: meeting, outcome: completed", "activity: email_received"))
    person = base.person(country="ES")
    result = base.cli("run", environment={"HUBSPOT_TOKEN": "poor-token", "HOOK_SECRET": "x" * 20})
    assert result.exit_code == ConfigError.exit_code
    assert "sales-email-read" in result.stderr
    assert base.shown(person)["ls_stage"] == "iql"


def test_another_portal_behind_the_same_database_is_refused(base: House) -> None:
    base.control("manners", portal_id=999)
    result = base.cli("run")
    assert result.exit_code == ConfigError.exit_code
    assert "belongs to hubspot:" in result.stderr


def test_a_run_while_another_process_holds_the_connection_says_so(base: House) -> None:
    with base.app() as app:
        assert leases.take(app.store, "crm", holder="somebody", ttl_s=60) is not None
        with pytest.raises(TemporaryError, match="another process"):
            sync(app.parts("crm"), Asked())


def test_explain_adds_up_for_every_lead_and_names_rule_evidence_and_line(base: House) -> None:
    for identity in ids(base):
        explained = base.json("explain", f"crm/contacts/{identity}")
        lines = explained["contributions"]
        assert sum(Decimal(str(line["points"])) for line in lines) == Decimal(str(explained["total"]))
        for line in lines:
            assert line["rule"]
            assert line["evidence"]
            file, _, number = line["where"].rpartition(":")
            assert (base.folder / file).read_text().splitlines()[int(number) - 1].strip()


def test_status_shows_runs_and_fails_where_the_last_good_one_is_too_old(base: House) -> None:
    status = base.json("status", "--max-age", "1h")
    assert status["healthy"] is True
    assert status["connections"]["crm"]["stages"] == {"cold": 2, "iql": 1, "mql": 1}
    assert base.cli("status", "--quiet", "--max-age", "0s").exit_code == 1


def test_the_writing_side_satisfies_the_contract(base: House) -> None:
    with base.app() as app:
        assert isinstance(app.connector(app.connection()), Destination)


def test_no_secret_appears_in_any_output(base: House) -> None:
    told = [base.cli(*words) for words in (["check"], ["status"], ["config", "show"], ["run"], ["config", "schema"])]
    every = "".join(each.output + each.stderr for each in told)
    for secret in ("emulator-token", "a-secret-for-the-hook"):
        assert secret not in every, secret
    assert orjson.loads(told[-1].stdout)["title"]


def test_a_new_lead_that_comes_with_a_stage_keeps_it(base: House) -> None:
    newcomer = base.person(country="FR", ls_stage="mql")
    base.sync()
    assert base.shown(newcomer)["ls_stage"] == "mql"
    with base.app() as app, app.store.reading() as tx:
        (lead,) = mirror.find(tx, newcomer)
        assert decisions.lead_state(tx, lead).stage.held_by == "person"  # type: ignore[union-attr]


def test_until_the_whole_base_is_read_nobody_is_told_of_what_was_there(house: House) -> None:
    house.setup()
    for _ in range(120):
        house.person(country="FR")
    ready = house.person(country="ES", jobtitle="Director")  # on the second page of the first load
    house.meeting(ready)
    house.meeting(ready)
    forbidden = {"method": "GET", "status": 403, "path": "/objects/.*/contacts[?].*after="}
    house.control("faults", faults=[forbidden])
    assert house.sync().outcome == "partial"
    house.control("faults", faults=[])
    assert house.sync().outcome == "ok"
    assert house.shown(ready)["ls_stage"] == "sql"
    assert house.told() == []
    late = house.person(country="ES", jobtitle="Director")
    house.meeting(late)
    house.meeting(late)
    house.sync()
    assert len(house.told()) == 1


MEETINGS = "activity: meeting, outcome: completed, in_last: 90d"
PATIENCE = {"status": 477, "headers": {"Retry-After": "86400"}}  # HubSpot moves the portal; for a day


def test_history_that_is_read_late_is_written_and_tells_nobody(house: House) -> None:
    house.setup()
    ready = house.person(country="ES", jobtitle="Director")
    house.meeting(ready)
    house.meeting(ready)
    house.control("faults", faults=[{"path": "/meetings", "status": 403}])
    assert house.sync().outcome == "partial"
    assert house.shown(ready)["ls_stage"] == "iql"
    house.control("faults", faults=[])
    house.sync()
    assert house.shown(ready)["ls_stage"] == "sql"
    assert house.told() == []


def test_a_model_that_begins_to_look_at_an_activity_tells_nobody_of_its_past(house: House) -> None:
    house.write_project(MODEL.replace(MEETINGS, "activity: call"))
    house.setup()
    ready = house.person(country="ES", jobtitle="Director")
    house.meeting(ready)
    house.meeting(ready)
    house.sync()
    house.write_project()
    house.sync()
    assert house.shown(ready)["ls_stage"] == "sql"
    assert house.told() == []
    house.meeting(ready)
    later = house.person(country="ES", jobtitle="Director")
    house.meeting(later)
    house.meeting(later)
    house.sync()
    assert [each["lead"]["record"] for each in house.told()] == [f"crm/contacts/{later}"]


def test_a_field_that_a_new_rule_looks_at_is_read_of_everybody(base: House) -> None:
    fitting = ids(base)[1]
    base.edit(fitting, city="Toledo")
    base.control("clock", advance_s=7200)
    base.sync()
    rule = "    - {name: In town, when: {city: Toledo}, points: 5}\n"
    base.write_project(MODEL.replace("fit:\n  rules:\n", "fit:\n  rules:\n" + rule))
    base.control("clock", advance_s=7200)
    base.sync()
    assert base.shown(fitting)["ls_score"] == "45"


def test_a_stage_that_gets_another_name_in_the_model_moves_its_leads(base: House) -> None:
    base.write_project(MODEL.replace("name: iql", "name: fits"))
    fitting = ids(base)[1]
    made = {"label": "fits", "value": "fits", "displayOrder": 9}
    options = base.api("GET", "/crm/v3/properties/contacts/ls_stage")["options"]
    base.api("PATCH", "/crm/v3/properties/contacts/ls_stage", options=[*options, made])
    base.sync()
    assert base.shown(fitting)["ls_stage"] == "fits"


def test_sales_is_not_told_twice_of_a_person_whose_record_is_merged_away(base: House) -> None:
    _, fitting, warm, _ = ids(base)
    base.meeting(warm)
    base.sync()
    base.api("POST", "/crm/v3/objects/contacts/merge", primaryObjectId=fitting, objectIdToMerge=warm)
    base.sync()
    base.sync()
    assert len(base.told()) == 1


def test_who_became_a_customer_or_was_merged_before_the_write_is_left_alone(
    base: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, fitting, warm, _ = ids(base)
    base.meeting(warm)
    other = base.person(country="ES", jobtitle="Director")
    base.meeting(other)
    base.meeting(other)
    read_back = Writer.read_back

    def changed_first(self: Writer, records: object) -> object:
        monkeypatch.undo()
        base.edit(warm, lifecyclestage="customer")
        base.api("POST", "/crm/v3/objects/contacts/merge", primaryObjectId=fitting, objectIdToMerge=other)
        return read_back(self, records)  # type: ignore[arg-type]

    monkeypatch.setattr(Writer, "read_back", changed_first)
    assert base.sync().counts["rejected"] == 0
    assert base.shown(warm)["ls_stage"] == "mql"
    assert base.shown(warm)["lifecyclestage"] == "customer"
    assert base.shown(other)["ls_stage"] == "iql", "it answers as the survivor, which has not moved"
    assert base.told() == []


def test_sales_is_told_after_the_wait_although_the_crm_takes_nothing(base: House) -> None:
    warm = ids(base)[2]
    base.meeting(warm)
    base.control("faults", faults=[{"path": "/batch/update", **PATIENCE}])
    assert base.sync().outcome == "partial"
    assert base.told() == []
    with base.app() as app:
        later = replace(app.parts("crm"), clock=lambda: datetime.now(UTC) + timedelta(hours=2))
        assert deliver(later) is not None
    assert len(base.told()) == 1


def test_sales_is_told_of_our_stage_although_hubspots_own_is_refused_and_that_one_is_tried_again(base: House) -> None:
    warm = ids(base)[2]
    base.meeting(warm)
    refusal = {"path": "crm/properties/", "status": 403}
    base.control("faults", faults=[refusal])
    assert base.sync().counts["refused"] == 1
    assert (base.shown(warm)["ls_stage"], base.shown(warm)["lifecyclestage"]) == ("sql", "marketingqualifiedlead")
    assert len(base.told()) == 1
    (reason,) = base.json("status")["connections"]["crm"]["refused"]
    assert "lifecycle stages cannot be read" in reason
    base.control("faults", faults=[])
    base.sync(Asked(full=True))
    assert base.shown(warm)["lifecyclestage"] == "salesqualifiedlead"
    assert len(base.told()) == 1
    assert base.json("status")["connections"]["crm"]["refused"] == {}


def test_what_could_not_be_written_before_setup_is_written_after_it(house: House) -> None:
    person = house.person(country="ES")
    stopped = house.cli("run")
    assert stopped.exit_code == ConfigError.exit_code
    assert "setup" in stopped.stderr
    house.setup()
    house.sync()
    assert house.shown(person)["ls_stage"] == "iql"


def test_a_wrong_token_leaves_a_failed_run_that_status_shows(base: House) -> None:
    result = base.cli("run", environment={"HUBSPOT_TOKEN": "wrong-token", "HOOK_SECRET": "x" * 20})
    assert result.exit_code == ConfigError.exit_code
    assert "wrong-token" not in result.output
    assert base.json("status")["connections"]["crm"]["last_run"]["outcome"] == "failed"
