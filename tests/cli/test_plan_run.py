"""`plan`, `run` and `status`: what would happen, what happened, and how things stand."""

from __future__ import annotations

import getpass
import re
from collections import Counter
from typing import Any

import orjson
import pytest

from connectors.emulators.hubspot import Portal, serve
from syncer.cli.run import report_line
from syncer.parts import Report
from tests.runs.house import ENVIRONMENT, House


@pytest.fixture
def moving(base: House) -> House:
    """One lead of the base is about to become SQL."""
    base.meeting(base.json("explain", "warm@acme.example")["lead"].rpartition("/")[2])
    return base


def two_connections(house: House, second: str) -> None:
    path = house.folder / "syncer.yml"
    more = f"  other: {{type: hubspot, token: '${{HUBSPOT_TOKEN}}', base_url: '{second}', lag: 0s}}\n"
    path.write_text(path.read_text().replace("sync: {", f"{more}sync: {{"))


def test_a_run_says_in_how_many_digests_its_messages_went_out_and_what_was_dropped() -> None:
    counts = Counter({"notices_sent": 10_000, "digests_sent": 50, "notices_dropped": 3})
    told = report_line("crm", Report(7, counts))
    assert "10,000 messages sent · 50 digests sent · 3 messages dropped · 0 read" in told


def test_a_plan_shows_who_moves_why_and_how_to_do_it(moving: House) -> None:
    result = moving.cli("plan", "--out", str(moving.folder / "plan.json"))
    assert result.exit_code == 0, result.output
    (row,) = [line for line in result.stdout.splitlines() if line.startswith("warm@acme.example")]
    assert re.search(r"mql → sql +80 → 1[01]\d +tell sales: \+6[01][.\d]* Came to a meeting · \+40 In a country", row)
    table = {cells[0]: cells[1:] for line in result.stdout.splitlines() if len(cells := line.split()) == 5}
    assert table["Stage"] == ["now", "after", "in", "out"]
    assert table["sql"] == ["0", "1", "1", "0"]
    assert table["mql"] == ["1", "0", "0", "1"]
    assert "Plan: 1 leads change stage · 1 records to update · 1 hand-offs" in result.stdout
    command = result.stdout.splitlines()[-1].partition("syncer ")[2]
    done = moving.cli(*command.split())
    assert done.exit_code == 0, done.output
    assert "1 changed stage · 1 handed over · 1 messages sent" in done.stdout


def test_the_plan_of_a_new_base_counts_first_stages(house: House) -> None:
    house.setup()
    house.person(country="ES")
    assert "Plan: 1 leads get their first stage · 0 leads change stage" in house.cli("plan").stdout


def test_a_long_plan_is_cut_unless_all_is_asked_for(base: House) -> None:
    for _ in range(33):
        base.meeting(base.person(country="MX", jobtitle="Directora"))
    base.sync()
    path = base.folder / "model.yml"
    path.write_text(path.read_text().replace("engagement >= 20, need > 0", "engagement >= 20, need > 90"))
    short = base.cli("plan").stdout
    assert "… 4 more: --all" in short
    assert short.count("mql → iql") == 30
    assert base.cli("plan", "--all").stdout.count("mql → iql") == 34


def test_a_plan_that_cannot_be_kept_or_is_none_says_so(moving: House) -> None:
    (moving.folder / "file").write_text("{}")
    kept = moving.cli("plan", "--out", str(moving.folder / "file" / "plan.json"))
    assert kept.exit_code == 2
    assert "cannot be saved" in kept.stderr
    for name in ("file", "missing.json"):
        result = moving.cli("run", "--plan", str(moving.folder / name))
        assert result.exit_code == 2
        assert "this is no saved plan" in result.stderr


def test_a_connection_that_fails_keeps_no_other_from_its_run(base: House, quick_retries: None) -> None:
    with serve(Portal()) as second:
        two_connections(base, second)
        base.control("faults", faults=[{"path": "account-info", "status": 503}])
        base.person(country="ES")
        result = base.cli("run", "--json")
        assert result.exit_code == 4
        told = {each["connection"]: each for each in orjson.loads(result.stdout)["runs"]}
    assert told["crm"]["outcome"] == "failed"
    assert "503" in told["crm"]["error"]
    assert told["other"]["outcome"] == "ok"
    assert result.stderr.count("error SY") == 1


def test_with_several_connections_one_must_be_named_and_a_wrong_name_lists_them(base: House) -> None:
    two_connections(base, base.url)
    for command in ("plan", "setup"):
        result = base.cli(command)
        assert result.exit_code == 1
        assert "there are several connections; name one of: crm, other" in result.stderr
    result = base.cli("run", "crn")
    assert result.exit_code == 1
    assert "no connection is called 'crn'; there are: crm, other" in result.stderr


def test_what_the_crm_did_not_take_is_told_in_run_and_status(base: House) -> None:
    base.api("DELETE", "/crm/v3/properties/contacts/ls_score")
    base.person(country="ES")
    result = base.cli("run")
    told = result.stdout + result.stderr + base.cli("status").stdout
    assert "ls_score" in told


def test_a_full_run_says_how_much_it_has_looked_at_again(base: House) -> None:
    assert " · 4 looked at again · " in base.cli("run", "--full").stdout, "three leads and a meeting"
    assert "looked at again" not in base.cli("run").stdout


def test_the_status_of_a_house_that_never_ran_says_how_to_begin(house: House) -> None:
    result = house.cli("status")
    assert result.exit_code == 0
    assert "none yet: `syncer run`, `syncer daemon`" in result.stdout
    assert house.json("status")["connections"]["crm"]["last_run"] is None
    stale = house.cli("status", "--max-age", "1h")
    assert stale.exit_code == 1
    assert stale.stderr == "stale: crm had no good run for 1h\n"


def test_the_status_counts_leads_by_stage_from_cold_to_hot(base: House) -> None:
    text = base.cli("status", "--max-age", "1h").stdout
    assert "3: cold 1, iql 1, mql 1" in text
    assert re.search(r"last run  1 ok, \d+ s ago \(", text)


def test_the_status_tells_of_the_latest_failure(base: House, quick_retries: None) -> None:
    base.control("faults", faults=[{"path": "search", "status": 502}])
    assert base.cli("run").exit_code == 4
    base.control("faults", faults=[])
    status: dict[str, Any] = base.json("status")["connections"]["crm"]
    assert status["last_run"]["outcome"] in ("failed", "partial")
    assert "502" in status["last_run"]["error"]
    assert "502" in base.cli("status").stdout


def test_a_wrong_age_is_refused(base: House) -> None:
    result = base.cli("status", "--max-age", "soon")
    assert result.exit_code == 2
    assert "--max-age" in result.stderr


def test_quiet_prints_nothing(base: House) -> None:
    for age, code in (("1h", 0), ("0s", 1)):
        result = base.cli("status", "--quiet", "--max-age", age, environment=ENVIRONMENT)
        assert (result.exit_code, result.output) == (code, "")


def test_who_lets_a_run_do_more_than_the_limits_is_noted(base: House) -> None:
    base.cli("run")
    assert base.acts() == []
    assert base.cli("run", "--yes-really", "700").exit_code == 0
    (act,) = base.acts()
    assert (act.who, act.act, act.about, act.address) == (getpass.getuser(), "limits_raised", "crm", None)
    assert act.details["at_most"] == 700
