"""`explain` and `override`: one lead, all reasons, and a person's word on it."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from syncer.errors import ConfigError
from syncer.parts import Asked
from syncer.queries.replay import moment
from tests.runs.house import MODEL, House

WARM = "warm@acme.example"
LATE = "late@acme.example"
DAY_MS = 86_400_000


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
    ("known", "why"), [("protected", "counts once they let go of it"), ("deleted", "counts if it comes back")]
)
def test_an_override_that_cannot_count_yet_is_not_promised(base: House, known: str, why: str) -> None:
    with sqlite3.connect(base.folder / "syncer.db") as database:
        database.execute(f"UPDATE records SET {known} = 1")
    text = base.cli("override", WARM, "cold", "--author", "marta").stdout
    assert f"{WARM}: cold is kept (by marta)." in text
    assert why in text
    assert "next run" not in text
    if known == "protected":
        assert "cold, set by marta: once others let go of the stage" in base.cli("explain", WARM).stdout


def test_the_shortcut_to_the_next_stage_is_named(base: House) -> None:
    model = base.folder / "model.yml"
    text = model.read_text()
    (sql,) = [line for line in text.splitlines() if "name: sql" in line]
    model.write_text(text.replace(sql, sql.replace("}", ", or_any: [{activity: demo_request, in_last: 7d}]}")))
    assert "or, instead of sql's own: activity demo_request in_last 7d" in base.cli("explain", WARM).stdout
    told = base.json("explain", WARM)
    assert (told["or_any"], told["skip_gates"]) == (["activity demo_request in_last 7d"], False)


def test_all_who_are_held_are_listed_by_when_that_ends(base: House) -> None:
    assert "nobody's stage is set by hand" in base.cli("override", "list").stdout
    base.cli("override", "fits@acme.example", "sql", "--author", "luis")
    base.cli("override", WARM, "cold", "--reason", "no budget", "--until", "2199-01-15", "--author", "marta")
    base.cli("override", "stranger@acme.example", "mql")
    base.cli("override", "clear", "stranger@acme.example")
    held = base.json("override", "list")["overrides"]
    assert [(each["email"], each["stage"], each["automatic_stage"], each["author"]) for each in held] == [
        (WARM, "cold", "mql", "marta"),
        ("fits@acme.example", "sql", "iql", "luis"),
    ]
    rows = [line for line in base.cli("override", "list").stdout.splitlines() if "@" in line]
    assert rows[0].split()[:4] == [WARM, "cold", "mql", "marta"]
    assert "15 Jan 2199" in rows[0]


def test_a_lead_that_a_person_holds_is_shown_so_in_the_plan(base: House) -> None:
    base.cli("override", WARM, "cold", "--until", "2199-01-15", "--author", "marta")
    assert "held by marta until 15 Jan 2199 (rules: mql)" in base.cli("plan").stdout
    (planned,) = base.json("plan")["leads"]
    assert (planned["to"], planned["automatic"], planned["override"]["author"]) == ("cold", "mql", "marta")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["list", WARM, "sql"], "write: override LEAD STAGE"),
        (["clear"], "write: override LEAD STAGE"),
        (["clear", WARM, "--reason", "over"], "override clear takes no --reason"),
        (["list", "--until", "2199-01-15"], "override list takes no --until"),
    ],
)
def test_words_that_do_not_go_together_are_one_message(base: House, words: list[str], message: str) -> None:
    result = base.cli("override", *words)
    assert result.exit_code == 2
    assert message in result.stderr


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


def test_an_override_ends_with_its_day_in_the_projects_time_zone(base: House) -> None:
    path = base.folder / "syncer.yml"
    path.write_text(path.read_text().replace("version: 1", "version: 1\ntimezone: America/Mexico_City"))
    day = datetime.now(UTC).date() + timedelta(days=3)
    base.cli("override", WARM, "cold", "--until", str(day))
    (kept,) = base.json("override", "list", WARM)["overrides"]
    assert kept["until"] == f"{day + timedelta(days=1)}T05:59:59.999000+00:00"


@pytest.fixture
def lived(house: House) -> House:
    """A lead synced 30 days ago who came to a meeting 20 days ago; today they came again and told us their job. The
    meetings are half an hour off the whole hours at which points fade."""
    house.setup()
    late = house.person(country="ES", email=LATE)
    house.meeting(late, ago_s=20 * 86_400 + 1800)
    house.sync()
    house.cli("override", LATE, "cold", "--reason", "no budget", "--author", "marta")
    _age(house.folder, 30)
    house.cli("override", "clear", LATE)
    house.edit(late, jobtitle="Directora")
    house.meeting(late, ago_s=1800)
    house.sync()
    return house


def _age(folder: Path, days: int) -> None:
    """What syncer has seen and done so far was so many days ago."""
    columns = {"records": "since", "rules_in_force": "since", "transitions": "at", "overrides": "since"}
    with sqlite3.connect(folder / "syncer.db") as database:
        for table, column in columns.items():
            assert database.execute(f"UPDATE {table} SET {column} = {column} - {days * DAY_MS}").rowcount


def test_a_lead_is_explained_as_it_was_with_nothing_that_was_learned_later(lived: House) -> None:
    then = lived.json("explain", LATE, "--at", "7d")
    assert then["dimensions"] == {"fit": 40, "engagement": 22.59, "need": 0}  # 13 days old: 30.5 x 0.5^(312 h / 720 h)
    assert then["total"] == 62.59
    assert [line["name"] for line in then["not_given"]] == ["Told us the problem"]
    assert then["not_given"][0]["why"] == "jobtitle is empty"
    assert [move["to"] for move in then["history"]] == ["iql"]
    assert datetime.now(UTC) - datetime.fromisoformat(then["as_of"]) >= timedelta(days=7)
    assert then["rules_known"] is True
    assert lived.json("explain", LATE, "--at", "25d")["dimensions"]["engagement"] == 0, "the meeting was still to come"


def test_who_held_the_stage_then_is_told_and_where_the_rules_would_have_had_it(lived: House) -> None:
    """The run that would have obeyed the override never came, so the stage itself stood where the rules put it."""
    then = lived.json("explain", LATE, "--at", "7d")
    assert [each["author"] for each in then["overrides"]] == ["marta"]
    text = lived.cli("explain", LATE, "--at", "7d").stdout
    assert "IQL since" in text
    assert "cold, set by marta: from the next run on" in text
    with sqlite3.connect(lived.folder / "syncer.db") as database:
        database.execute("UPDATE transitions SET after = 'cold', cause = 'override' WHERE \"before\" IS NULL")
    then = lived.json("explain", LATE, "--at", "7d")
    assert (then["stage"], then["held_by"], then["automatic_stage"]) == ("cold", "person", "iql")
    assert then["held_by_whom"].startswith("held by marta since")
    assert lived.json("explain", LATE)["overrides"][0]["until"] is not None, "today it is over"


def test_a_past_day_is_shown_as_people_read_it(lived: House) -> None:
    text = lived.cli("explain", LATE, "--at", "7d").stdout
    assert "with what was known by then" in text
    (line,) = [line for line in text.splitlines() if "Told us the problem" in line]
    assert line.split()[:3] == ["not", "given", "(10)"]
    assert "jobtitle is empty" in line
    assert "need > 0 (then 0)" in text


def test_a_difference_adds_up_visibly_and_agrees_with_both_ends(lived: House) -> None:
    way = lived.json("explain", LATE, "--from", "25d", "--to", "0s")
    before, after = way["from"], way["to"]
    assert before["total"] == lived.json("explain", LATE, "--at", "25d")["total"] == 40
    assert after["dimensions"] == lived.json("explain", LATE)["dimensions"]
    parts = {cause: part["total"] for cause, part in way["parts"].items()}
    assert parts == {"activity": 61, "profile": 10, "fading": parts["fading"], "model": 0, "override": 0, "merge": 0}
    assert parts["fading"] < -11
    assert Decimal(str(before["total"])) + _sum(parts.values()) == Decimal(str(after["total"]))
    for name, start in before["dimensions"].items():
        moved = _sum(part["dimensions"][name] for part in way["parts"].values())
        assert Decimal(str(start)) + moved == Decimal(str(after["dimensions"][name]))
    assert _sum(line["points"] for step in way["steps"] for line in step["lines"]) == _sum(parts.values())
    assert [(move["from"], move["to"]) for move in way["moves"]] == [("iql", "mql")]
    assert [each["author"] for each in way["overrides"]] == ["marta"]


def _sum(amounts: Any) -> Decimal:
    return sum((Decimal(str(each)) for each in amounts), Decimal(0))


def test_the_table_of_a_difference_names_the_strongest_rules_of_each_cause(lived: House) -> None:
    text = lived.cli("explain", LATE, "--from", "25d").stdout
    assert "IQL → MQL · 40 →" in text
    rows = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    assert "+61 Came to a meeting (" in rows["activity"]
    assert "+10 Told us the problem (" in rows["profile"]
    assert rows["fading"].rstrip().endswith("Came to a meeting")
    assert rows["override"].split() == ["override", "·", "·", "·", "0"]
    assert "iql → mql" in rows["History"]
    assert "no budget" in text


def test_changed_rules_are_model_and_rules_never_kept_are_said_to_be_others(lived: House) -> None:
    lived.write_project(MODEL.replace("points: 40", "points: 44"))
    way = lived.json("explain", LATE, "--from", "25d")
    assert (way["parts"]["model"]["total"], way["rules_unused"]) == (4, True)
    assert "no run has used them yet" in lived.cli("explain", LATE, "--from", "25d").stdout
    assert lived.json("explain", LATE, "--at", "7d")["dimensions"]["fit"] == 40, "by the rules of then"
    assert lived.json("explain", LATE)["rules_unused"] is True
    assert "no run has used them yet" in lived.cli("explain", LATE).stdout
    lived.sync()
    assert lived.json("explain", LATE)["rules_unused"] is False
    assert lived.json("explain", LATE, "--from", "25d")["rules_unused"] is False
    with sqlite3.connect(lived.folder / "syncer.db") as database:
        database.execute("DELETE FROM rules_in_force WHERE since < (SELECT max(since) FROM rules_in_force)")
    assert "These are the oldest known" in lived.cli("explain", LATE, "--at", "7d").stdout
    with sqlite3.connect(lived.folder / "syncer.db") as database:
        database.execute("DELETE FROM rules_in_force")
    then = lived.json("explain", LATE, "--at", "7d")
    assert (then["rules_known"], then["dimensions"]["fit"]) == (False, 44)
    assert "These are the rules in the files now" in lived.cli("explain", LATE, "--from", "7d").stdout


def test_a_merge_in_the_crm_is_told_as_merge(base: House) -> None:
    people = [base.json("explain", email)["lead"].rpartition("/")[2] for email in (WARM, "fits@acme.example")]
    before = datetime.now(UTC)
    path = "/crm/v3/objects/contacts/merge"
    merged = base.api("POST", path, primaryObjectId=people[1], objectIdToMerge=people[0])["id"]
    base.sync()
    way = base.json("explain", merged, "--from", before.isoformat())
    moved = {cause for cause, part in way["parts"].items() if part["total"]}
    assert moved - {"fading"} == {"merge"}, "the meeting may have got an hour old since"
    assert way["parts"]["merge"]["total"] >= 80
    assert "comes with the merge" in base.cli("explain", merged, "--from", before.isoformat()).stdout


def test_a_deleted_lead_can_still_be_explained_as_it_was(lived: House) -> None:
    late = lived.json("explain", LATE)["lead"].rpartition("/")[2]
    lived.api("DELETE", f"/crm/v3/objects/contacts/{late}")
    lived.sync(Asked(full=True))
    assert "--at DAY shows it as it was" in lived.cli("explain", late).stderr
    assert lived.json("explain", late, "--at", "7d")["total"] == 62.59
    assert "deleted in the CRM since" in lived.cli("explain", late, "--at", "7d").stdout
    gone = lived.cli("explain", late, "--at", "0s")
    assert (gone.exit_code, "had been deleted by" in gone.stderr) == (1, True)


def test_a_time_that_makes_no_sense_is_one_message(base: House) -> None:
    cases = [
        (["--at", "soon"], 2, "--at: 'soon' is no time; write a day"),
        (["--at", "2199-01-01"], 2, "--at: 2199-01-01 lies ahead"),
        (["--from", "0001-01-01", "--to", "9999-12-31"], 2, "--from: 0001-01-01 lies before 1970"),
        (["--from", "1d", "--to", "9999-12-31"], 2, "--to: '9999-12-31' is no time"),
        (["--from", "1d", "--to", "2d"], 2, "--to must be after --from"),
        (["--to", "2d"], 2, "--to needs --from"),
        (["--at", "2d", "--from", "3d"], 2, "give one of them"),
        (["--at", "2000-01-01"], 1, f"nothing was known of '{WARM}' on 01 Jan 2000 00:00; it is known since"),
    ]
    for words, code, message in cases:
        result = base.cli("explain", WARM, *words)
        assert (result.exit_code, result.stdout) == (code, ""), words
        assert message in result.stderr
        assert "Traceback" not in result.stderr


def test_a_day_begins_and_ends_in_the_projects_time_zone() -> None:
    now, mexico = datetime(2026, 11, 22, 12, tzinfo=UTC), "America/Mexico_City"
    assert moment("--at", "2026-11-20", now, mexico) == datetime(2026, 11, 20, 6, tzinfo=UTC)
    last = datetime(2026, 11, 21, 6, tzinfo=UTC) - timedelta(milliseconds=1)
    assert moment("--to", "2026-11-20", now, mexico, ends=True) == last
    assert moment("--at", "2026-11-20T09:05", now, mexico) == datetime(2026, 11, 20, 15, 5, tzinfo=UTC)
    assert moment("--at", "2026-11-20T09:05+01:00", now, mexico) == datetime(2026, 11, 20, 8, 5, tzinfo=UTC)
    assert moment("--at", "36h", now, mexico) == now - timedelta(hours=36)


def test_a_day_that_has_begun_ends_now_and_one_to_come_is_refused() -> None:
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    assert moment("--to", "2026-11-22", now, "UTC", ends=True) == now
    with pytest.raises(ConfigError, match="lies ahead"):
        moment("--to", "2026-11-23", now, "UTC", ends=True)


def test_now_is_a_time() -> None:
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    assert moment("--at", "now", now, "UTC") == moment("--to", " Now", now, "UTC", ends=True) == now


def test_a_time_that_the_clocks_skip_is_refused_and_of_one_shown_twice_the_first_is_meant() -> None:
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    with pytest.raises(ConfigError, match="there was no 2026-03-29T02:30 in Europe/Madrid"):
        moment("--at", "2026-03-29T02:30", now, "Europe/Madrid")
    utc = datetime(2026, 3, 29, 2, 30, tzinfo=UTC)
    assert moment("--at", "2026-03-29T02:30Z", now, "Europe/Madrid") == utc
    assert moment("--at", "2026-10-25T02:30", now, "Europe/Madrid") == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    skipped_midnight = moment("--at", "2024-09-08", now, "America/Santiago")
    assert skipped_midnight == datetime(2024, 9, 8, 4, tzinfo=UTC)


@pytest.mark.parametrize("text", ["1969-12-31", "0099-01-01", "1900-05-05T10:00Z", "30000d"])
def test_a_time_before_1970_is_refused(text: str) -> None:
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    with pytest.raises(ConfigError, match="lies before 1970") as refused:
        moment("--at", text, now, "Europe/Madrid")
    assert refused.value.code == "SY100"
    assert moment("--at", "1970-01-01", now, "Europe/Madrid").year == 1969  # in UTC


def test_what_hygiene_voids_is_shown_as_ignored_with_its_line(house: House) -> None:
    ignore = "ignore:\n  - {name: Own people, when: {activity: meeting}, for: {email: {domain_in: [acme.example]}}}\n"
    house.write_project(MODEL + ignore)
    house.setup()
    house.meeting(house.person(country="ES", email=LATE))
    house.sync()
    (ignored,) = house.json("explain", LATE)["ignored"]
    assert (ignored["name"], ignored["evidence"].split()[0]) == ("Own people", "meeting")
    (line,) = [line for line in house.cli("explain", LATE).stdout.splitlines() if "Own people" in line]
    assert line.split()[0] == "ignored"
    assert line.split()[-1] == str(len(MODEL.splitlines()) + 2)
    assert [each["why"] for each in house.json("explain", LATE)["not_given"]] == ["no meeting", "jobtitle is empty"]
