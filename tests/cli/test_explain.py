"""`explain` and `override`: one lead, all reasons, and a person's word on it."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tests.runs.house import House

WARM = "warm@acme.example"


def test_the_lines_of_a_lead_add_up_to_its_total_exactly(base: House) -> None:
    for email in ("stranger@acme.example", "fits@acme.example", WARM):
        explained = base.json("explain", email)
        lines = explained["contributions"]
        assert all({"rule", "name", "dimension", "points", "evidence", "where"} == set(line) for line in lines)
        assert sum(Decimal(str(line["points"])) for line in lines) == Decimal(str(explained["total"]))
        for dimension, sum_ in explained["dimensions"].items():
            mine = [Decimal(str(line["points"])) for line in lines if line["dimension"] == dimension]
            assert sum(mine) == Decimal(str(sum_))


def test_the_ledger_shows_points_rule_evidence_and_line(base: House) -> None:
    text = base.cli("explain", WARM).stdout
    assert f"{WARM} · crm/contacts/" in text
    assert "MQL since" in text
    (line,) = [line for line in text.splitlines() if "In a country we sell to" in line]
    assert line.split()[:2] == ["fit", "+40"]
    assert "country = MX" in line
    assert line.split()[-1] == "5"
    assert "model.yml" in text, "the file of all lines stands in the heading"
    assert "To sql" in text
    assert "engagement >= 50 (now 30.5)" in text or "engagement >= 50 (now 30.4" in text  # it fades by the hour
    assert "new → mql" in text


@pytest.mark.parametrize("of", ["e-mail", "id", "key"])
def test_a_lead_is_found_by_its_email_its_id_and_its_whole_key(base: House, of: str) -> None:
    key = base.json("explain", WARM)["lead"]
    selector = {"e-mail": WARM.upper(), "id": key.rpartition("/")[2], "key": key}[of]
    assert base.json("explain", selector)["lead"] == key


def test_a_lead_that_nobody_knows_is_one_message(base: House) -> None:
    for command in (["explain", "nobody@acme.example"], ["override", "nobody@acme.example", "mql"]):
        result = base.cli(*command)
        assert result.exit_code == 1
        assert "no lead matches 'nobody@acme.example'" in result.stderr
        assert result.stderr.count("\n") == 1
        assert result.stdout == ""


def test_two_leads_with_one_email_are_both_named(base: House) -> None:
    """As two connections, or a CRM that keeps duplicates, have them."""
    first, second = base.json("explain", WARM)["lead"], base.json("explain", "fits@acme.example")["lead"]
    with sqlite3.connect(base.folder / "syncer.db") as database:
        database.execute("UPDATE records SET email_key = 'twin@acme.example'")
    result = base.cli("explain", "twin@acme.example")
    assert result.exit_code == 1
    assert "3 leads match 'twin@acme.example'" in result.stderr
    assert first in result.stderr
    assert second in result.stderr


def test_an_override_says_what_it_does_and_until_when(base: House) -> None:
    result = base.cli("override", WARM, "cold", "--reason", "no budget", "--until", "2199-01-15", "--author", "marta")
    assert result.exit_code == 0, result.output
    assert f"{WARM}: mql → cold until 15 Jan 2199 (by marta, 'no budget')." in result.stdout
    assert "cold, set by marta: from the next run on" in base.cli("explain", WARM).stdout
    base.sync()
    assert "held by marta since" in base.cli("explain", WARM).stdout
    (kept,) = base.json("override", "list", WARM)["overrides"]
    assert (kept["stage"], kept["author"], kept["reason"], kept["source"]) == ("cold", "marta", "no budget", "command")
    cleared = base.cli("override", "clear", WARM)
    assert "the rules decide again" in cleared.stdout
    assert "(over)" in base.cli("override", "list", WARM).stdout
    assert "nothing is set by hand" in base.cli("override", "clear", WARM).stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["hot"], "no stage is called 'hot'; there are: cold, iql, mql, sql"),
        (["mql", "--until", "2020-01-01"], "--until 2020-01-01 is past"),
        (["mql", "--until", "soon"], "does not match the format"),
        ([], "write: override LEAD STAGE"),
    ],
)
def test_an_override_that_makes_no_sense_changes_nothing(base: House, words: list[str], message: str) -> None:
    result = base.cli("override", WARM, *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert base.json("override", "list", WARM)["overrides"] == []


def test_an_override_ends_with_the_day_before_in_the_projects_time_zone(base: House) -> None:
    path = base.folder / "syncer.yml"
    path.write_text(path.read_text().replace("version: 1", "version: 1\ntimezone: America/Mexico_City"))
    day = datetime.now(UTC).date() + timedelta(days=3)
    base.cli("override", WARM, "cold", "--until", str(day))
    (kept,) = base.json("override", "list", WARM)["overrides"]
    assert kept["until"] == f"{day}T06:00:00+00:00"
