"""`simulate`: other rules on the leads of the store, and a model on a table of leads."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

from syncer.cli import cli
from syncer.queries import tallying
from syncer.settings import load_columns
from syncer.sheets.writing import write_table
from tests.runs import x_education
from tests.runs.house import MODEL, House
from tests.settings.test_proposals import git

ROOT = Path(__file__).parents[2]
STAGES = ["cold", "iql", "mql", "sql"]
OUTCOME = "outcome: {field: lifecyclestage, won: [customer], lost: [other]}\n"


def outcome(house: House, text: str = OUTCOME) -> None:
    path = house.folder / "syncer.yml"
    path.write_text(path.read_text() + text)


def test_the_rules_as_they_are_are_a_table_of_stages(base: House) -> None:
    told = base.json("simulate")
    assert told["schema"] == "syncer.simulate/1"
    assert told["from"]["leads"] == {"cold": 1, "iql": 1, "mql": 1}
    assert (told["leads"], told["protected"]) == (3, 0)
    assert "to" not in told
    text = base.cli("simulate").stdout
    assert "3 leads as of" in text
    assert re.search(r"^mql +1 +33\.3 %$", text, re.MULTILINE)
    assert "No back-test: `outcome:` in the project file" in text


def test_the_matrix_says_who_stands_where_under_both_and_who_lists_them(base: House) -> None:
    proposal = base.folder / "generous.yml"
    proposal.write_text(MODEL.replace("engagement >= 50", "engagement >= 20"))
    told = base.json("simulate", "--with", str(proposal), "--who")
    assert told["moved"] == {"up": 1, "down": 0}
    assert told["matrix"]["mql"] == {"cold": 0, "iql": 0, "mql": 0, "sql": 1}
    assert told["matrix"]["cold"]["cold"] == told["matrix"]["iql"]["iql"] == 1
    (move,) = told["moves"]
    assert (move["email"], move["from"]["stage"], move["to"]["stage"]) == ("warm@acme.example", "mql", "sql")
    assert move["from"]["total"] == move["to"]["total"] > 80
    text = base.cli("simulate", "--with", str(proposal), "--who").stdout
    assert "rows = stage with syncer.yml, columns = with" in text
    assert re.search(r"^mql +· +· +· +1 +1$", text, re.MULTILINE)
    assert "0 leads down, 1 up." in text
    assert re.search(r"^warm@acme\.example +mql → sql", text, re.MULTILINE)


def test_the_matrix_holds_every_lead_once_and_rules_against_themselves_move_nobody(base: House) -> None:
    told = base.json("simulate", "--set", "rule.in-a-country-we-sell-to.points=40")
    assert told["moved"] == {"up": 0, "down": 0}
    assert sum(sum(row.values()) for row in told["matrix"].values()) == told["leads"] == 3
    assert told["from"]["handoffs"] == told["to"]["handoffs"]
    assert "Nobody moves." in base.cli("simulate", "--set", "rule.in-a-country-we-sell-to.points=40").stdout


def test_nothing_is_written_to_the_crm_or_to_the_store(base: House) -> None:
    base.forget_calls()
    before, shown = (base.folder / "syncer.db").read_bytes(), base.json("status")["connections"]
    base.cli("simulate", "--set", "rule.in-a-country-we-sell-to.points=1")
    assert base.writes() == 0
    assert (base.folder / "syncer.db").read_bytes() == before
    assert base.json("status")["connections"] == shown


def test_hand_offs_are_counted_in_the_week_they_would_have_happened(base: House) -> None:
    told = base.json("simulate", "--set", "stages[3].enter[0]=engagement >= 20", "--weeks", "2")
    assert len(told["weeks"]) == len(told["from"]["handoffs"]) == 2
    assert (told["from"]["handoffs"], told["to"]["handoffs"]) == ([0, 0], [0, 1])
    text = base.cli("simulate", "--set", "stages[3].enter[0]=engagement >= 20", "--weeks", "2").stdout
    assert "Handed to sales in each of the last 2 weeks" in text
    assert re.search(r"engagement >= 20 +0\.50 +0 1$", text, re.MULTILINE)


def test_a_lead_whose_stage_belongs_to_others_is_counted_apart(base: House) -> None:
    before = base.json("simulate")["from"]
    person = base.person(country="ES", lifecyclestage="customer", jobtitle="director")
    base.meeting(person, person, ago_s=4000)
    base.meeting(person, ago_s=8000)
    base.sync()
    told = base.json("simulate")
    assert (told["leads"], told["protected"]) == (3, 1)
    for name in ("handoffs", "qualified_unknown_when"):
        assert told["from"][name] == before[name], "what others own is handed to nobody"
    assert "1 lead left out: the stage belongs to others." in base.cli("simulate").stdout


def test_the_back_test_looks_at_leads_before_their_end_and_owns_up_to_too_few(base: House) -> None:
    outcome(base)
    base.person(country="ES", lifecyclestage="customer", email="at-once@acme.example")
    base.sync()
    found = base.json("simulate")["from"]["back_test"]
    assert (found["leads"], found["unknown_before"]) == (0, 1)
    assert found["too_few_to_tell"] is True
    text = base.cli("simulate").stdout
    assert "1 lead left out: the end came before anything was known." in text
    assert "Too few to tell, syncer.yml: 0 leads with an outcome, and 30 are the least." in text


def test_an_outcome_that_no_lead_has_is_told(base: House) -> None:
    outcome(base)
    text = base.cli("simulate").stdout
    assert "Nobody's lifecyclestage says so." in text
    assert "Activities from before the first sync" not in text
    assert "Too few" not in text


def test_leads_are_tried_as_the_store_knew_them_before_their_end(base: House) -> None:
    outcome(base)
    with sqlite3.connect(base.folder / "syncer.db") as database:
        database.execute("UPDATE records SET since = since - ?", [40 * 86_400_000])
    for email, end in (("fits@acme.example", "customer"), ("warm@acme.example", "other")):
        base.edit(base.json("explain", email)["lead"].rpartition("/")[2], lifecyclestage=end)
    base.sync()
    fit_is_enough = ["stages[2]={name: mql, enter: fit >= 40}", "stages[3]={name: sql, enter: fit >= 40}"]
    told = base.json("simulate", *(word for text in fit_is_enough for word in ("--set", text)))
    now, then = (told[side]["back_test"] for side in ("from", "to"))
    assert (now["leads"], now["unknown_before"]) == (then["leads"], then["unknown_before"]) == (2, 0)
    assert (now["won_that_qualified"]["part"], now["won_that_qualified"]["of"]) == (0, 1)
    assert (then["won_that_qualified"]["part"], then["qualified_that_won"]["of"]) == (1, 2)
    text = base.cli("simulate").stdout
    assert re.search(r"^syncer\.yml +0 of 1 +0\.0 % +0\.0 to 79\.3 +0 of 0 +– +– +0\.00 +0\.0 ×$", text, re.MULTILINE)
    assert "Activities from before the first sync are taken as they were read then." in text


def test_how_many_leads_are_read_at_a_time_changes_nothing(base: House, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("simulate", "--set", "stages[3].enter[0]=engagement >= 20", "--who")
    whole = base.json(*words)
    monkeypatch.setattr(tallying, "_CHUNK", 1)
    by_one = base.json(*words)
    for told in (whole, by_one):
        del told["as_of"], told["weeks"]
    assert by_one == whole


def test_against_compares_todays_rules_with_those_of_a_commit(base: House) -> None:
    git(base.folder, "init", "--quiet")
    git(base.folder, "add", "syncer.yml", "model.yml")
    git(base.folder, "commit", "--quiet", "-m", "first")
    (base.folder / "model.yml").write_text(MODEL.replace("engagement >= 50", "engagement >= 20"))
    told = base.json("simulate", "--against", "HEAD")
    assert (told["from"]["rules"], told["to"]["rules"]) == ("HEAD", "syncer.yml")
    assert (told["from"]["leads"]["mql"], told["to"]["leads"]["sql"]) == (1, 1)
    assert told["moved"] == {"up": 1, "down": 0}


def test_against_without_a_repository_is_one_message(base: House) -> None:
    result = base.cli("simulate", "--against", "HEAD")
    assert result.exit_code == 2
    assert "error SY111: git cannot look into the folder of syncer.yml" in result.stderr
    assert result.stdout == ""


def test_a_setting_with_a_mistake_is_told_by_its_number(base: House) -> None:
    result = base.cli("simulate", "--set", "fit.rules[0].points=lots")
    assert result.exit_code == 2
    assert "error: 'lots' is not a number of points\n  --> --set 1  (fit.rules[0].points)" in result.stderr
    assert "Traceback" not in result.output


def test_without_any_lead_the_next_step_is_told(house: House) -> None:
    result = house.cli("simulate")
    assert result.exit_code == 1
    assert "no lead is known yet; `syncer plan` reads them" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--with", "a.yml", "--set", "a=1"], "give one of --with, --set and --against"),
        (["--model", "m.yml"], "--model belongs to --leads"),
        (["--leads", "t.csv"], "--leads needs the model to score them with"),
        (["--leads", "t.csv", "--model", "m.yml", "--against", "HEAD"], "--leads takes one --model"),
    ],
)
def test_options_that_do_not_go_together_are_refused(words: list[str], message: str) -> None:
    result = CliRunner().invoke(cli, ["simulate", *words])
    assert result.exit_code == 2
    assert message in result.stderr


# Tables of leads.

TABLE_MODEL = """\
name: tiny
fit:
  rules:
    - {name: Country, when: {country: ES}, points: 10}
    - {name: Size, when: {company_size: {at_least: 50}}, points: 5}
stages:
  - {name: cold}
  - {name: sql, enter: [fit >= 10]}
"""
HEADING = "Country,Company size,Won?"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    (tmp_path / "tiny.yml").write_text(TABLE_MODEL)
    return tmp_path / "leads.csv"


def measured(table: Path, text: str | bytes, *words: str) -> Result:
    table.write_bytes(text if isinstance(text, bytes) else text.encode())
    given = ["simulate", "--leads", str(table), "--model", str(table.parent / "tiny.yml"), *words]
    return CliRunner().invoke(cli, given, env={"COLUMNS": "120"}, catch_exceptions=False)


def as_json(table: Path, text: str, *words: str) -> dict[str, Any]:
    result = measured(table, text, *words, "--json")
    assert result.exit_code == 0, result.stderr
    content: dict[str, Any] = orjson.loads(result.stdout)
    return content


GOOD = f"{HEADING}\nES,80,1\nES,2,yes\nFR,80,0\nSelect,,1\nFR,,\n"


def test_every_row_is_a_lead_and_the_outcome_measures_its_points(table: Path) -> None:
    told = as_json(table, GOOD, "--outcome", "Won?=1")
    assert told["schema"] == "syncer.simulate.leads/1"
    assert (told["leads"], told["without_outcome"], told["won"]["part"], told["won"]["of"]) == (5, 1, 2, 4)
    assert [(each["stage"], each["leads"], each["won"]["part"]) for each in told["stages"]] == [
        ("cold", 3, 1),
        ("sql", 2, 1),
    ]
    assert told["auc"] == 0.5  # 15 and 0 points against 10 and 5
    assert told["top_decile_lift"] == 2
    assert told["mean_total"] == 6


def test_the_table_of_stages_is_drawn(table: Path) -> None:
    result = measured(table, GOOD, "--outcome", "Won?=1")
    assert result.stdout.startswith("5 leads of leads.csv by tiny@")
    assert re.search(r"^sql +2 +1 +50\.0 % +9\.5 to 90\.5$", result.stdout, re.MULTILINE)
    assert "AUC of the total 0.500" in result.stdout
    assert "1 lead without an outcome" in result.stdout


def test_few_leads_with_an_outcome_are_said_to_be_too_few(table: Path) -> None:
    few, even, many = GOOD, f"{HEADING}\n" + "ES,80,1\nFR,80,0\n" * 17, f"{HEADING}\n" + "ES,80,1\nFR,80,0\n" * 30
    for text, why in (
        (few, "Too few to tell: 4 leads with an outcome, and 30 are the least."),
        (even, "Too few to tell: the interval of the share won reaches more than 15 points to each side."),
    ):
        assert why in measured(table, text, "--outcome", "Won?=1").stdout
        assert as_json(table, text, "--outcome", "Won?=1")["too_few_to_tell"] is True
    assert "Too few" not in measured(table, many, "--outcome", "Won?=1").stdout
    assert as_json(table, many, "--outcome", "Won?=1")["too_few_to_tell"] is False


def test_without_an_outcome_only_the_stages_are_told(table: Path) -> None:
    text = measured(table, GOOD).stdout
    assert re.search(r"^sql +2$", text, re.MULTILINE)
    assert "AUC" not in text
    assert "Too few" not in text


def test_columns_are_named_by_option_and_by_file_and_the_option_wins(table: Path) -> None:
    (table.parent / "columns.yml").write_text("columns: {Land: country, Heads: wrong}\nnot_given: [ES]\n")
    text = "Land,Heads,Won?\nES,80,1\nMX,80,0\n"
    file = ("--columns", str(table.parent / "columns.yml"))
    assert as_json(table, text, *file, "--column", "Heads=company_size")["mean_total"] == 5
    assert as_json(table, text, "--column", "Land=country", "--column", "Heads=company_size")["mean_total"] == 10


def test_a_spreadsheets_semicolons_quotes_and_byte_mark_are_understood(table: Path) -> None:
    text = b'\xef\xbb\xbf"Country";Company size;Won?\r\n"ES";"8\n0";1\r\n\r\nFR;90;0\r\n'
    result = measured(table, text, "--json")
    assert orjson.loads(result.stdout)["mean_total"] == 7.5


def test_a_workbook_is_read_as_a_table_is(table: Path) -> None:
    workbook = table.with_name("leads.xlsx")
    write_table(workbook, ["Country", "Company size"], [["ES", 80.0], ["FR", 90], [None, None]])
    given = ["simulate", "--leads", str(workbook), "--model", str(table.parent / "tiny.yml"), "--json"]
    (table.parent / "tiny.yml").write_text(TABLE_MODEL)
    assert orjson.loads(CliRunner().invoke(cli, given, catch_exceptions=False).stdout)["mean_total"] == 10


def test_what_excel_saves_in_spain_is_understood(table: Path) -> None:
    text = "Country;Company size;Won?\nES;1.080,5;1\nEspaña;49,5;0\n".encode("cp1252")
    assert orjson.loads(measured(table, text, "--json").stdout)["mean_total"] == 7.5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "leads.csv:1: the table is empty"),
        (f"{HEADING}\nES,80,1\nES,80\n", "leads.csv:3: this row has 2 cells, and the heading 3 cells"),
        (f'{HEADING}\n"E\nS",80,1\nES,80,1,1\n', "leads.csv:3: this row has 4 cells, and the heading 3 cells"),
        ("Country,country ,Won?\nES,80,1\n", "columns 1 'Country' and 2 'country' both give the field country"),
        ("Country,Country,Won?\nES,80,1\n", "both give the field country; rename one of them in the table\n"),
        (f"{HEADING}\n\n", "leads.csv: the table has a heading and no rows"),
        ("Country,,Won?\nES,80,1\n", "leads.csv:1: column 2 has no heading"),
        (f"{HEADING}\nES,80,1\n".encode() + b"Espa\x81a,80,1\n", "leads.csv:3: this line is neither UTF-8"),
        (f'{HEADING}\nES,"80,1\nES,80,1\n', "leads.csv:2: this row cannot be read as CSV"),
        (f"{HEADING}\nES,80,0\n", "leads.csv: no lead has Won?=1"),
        ("Land,Won?\nES,1\n", "leads.csv: no column gives a field of the model (company_size, country)"),
        ("Country,Won\nES,1\n", "leads.csv:1: there is no column 'Won?'; did you mean 'Won'?"),
    ],
)
def test_a_table_that_cannot_be_used_is_one_message_with_its_line(table: Path, text: str | bytes, message: str) -> None:
    result = measured(table, text, "--outcome", "Won?=1")
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1 + result.stderr.startswith("no column gives")
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--column", "Land=country"], "leads.csv:1: there is no column 'Land'"),
        (["--column", "Land"], "--column is HEADING=FIELD"),
        (["--outcome", "Won?"], "--outcome is COLUMN=VALUE"),
        (["--column", "Won?=country"], "columns 1 'Country' and 3 'Won?' both give the field country"),
    ],
)
def test_a_column_that_is_not_there_is_one_message(table: Path, words: list[str], message: str) -> None:
    result = measured(table, GOOD, *words)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_table_that_is_no_file_is_one_message(table: Path) -> None:
    given = ["simulate", "--leads", str(table.parent), "--model", str(table.parent / "tiny.yml")]
    assert "the table cannot be read: Is a directory" in CliRunner().invoke(cli, given).stderr


def test_fields_that_no_column_gives_are_told(table: Path) -> None:
    (table.parent / "tiny.yml").write_text(TABLE_MODEL + "veto:\n  - {name: V, when: {activity: unsubscribed}}\n")
    result = measured(table, "Country,Won?\nES,1\nFR,0\n", "--outcome", "Won?=1")
    assert result.exit_code == 0
    assert "no column gives company_size: rules that look at it give nothing" in result.stderr
    assert "a table has no activities" in result.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colums: {}", "columns.yml:1:1  (colums)"),
        ("columns: {A: x, B: x}", "'A' gives x already"),
        ("columns: [A]", "a mapping is needed here"),
    ],
)
def test_mistakes_in_a_columns_file_are_told_by_their_place(table: Path, text: str, message: str) -> None:
    (table.parent / "columns.yml").write_text(text)
    result = measured(table, GOOD, "--columns", str(table.parent / "columns.yml"))
    assert result.exit_code == 2
    assert message in result.stderr


def test_the_shipped_columns_are_those_that_the_import_of_the_table_uses() -> None:
    columns = load_columns(ROOT / "config" / "columns" / "x_education.yml")
    assert columns.fields == {column.title: column.name for column in x_education.COLUMNS}
    assert columns.not_given == {"Select"}


@pytest.mark.skipif(not x_education.TABLE.is_file(), reason="the real leads are not here")
def test_the_documented_command_tells_who_converts_among_real_leads() -> None:
    (command,) = re.findall(r"```sh\n(syncer simulate --leads .*?)\n```", (ROOT / "README.md").read_text(), re.DOTALL)
    words = command.replace("\\\n", " ").split()[1:]
    there = [str(x_education.TABLE) if each == "x_education.csv" else each for each in words]
    told = orjson.loads(
        CliRunner()
        .invoke(cli, [*(str(ROOT / each) if each.startswith("config/") else each for each in there), "--json"])
        .stdout
    )
    assert (told["leads"], told["won"]["part"]) == (6468, 2493)
    assert [each["leads"] for each in told["stages"]] == [1951, 2237, 1008, 1272]
    shares = [each["won"]["share"] for each in told["stages"]]
    assert shares == pytest.approx([0.107, 0.232, 0.616, 0.899], abs=0.001)
    assert told["auc"] == pytest.approx(0.878, abs=0.001)
    assert told["top_decile_lift"] == pytest.approx(2.379, abs=0.001)
