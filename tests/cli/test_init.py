"""`init` and `config`: a first project, and what is in force in it."""

from __future__ import annotations

import os
import re
import subprocess
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import openpyxl
import orjson
import pytest
from click.testing import CliRunner, Result
from ruamel.yaml import YAML

from syncer.cli import cli
from tests import sample_leads
from tests.runs.house import ENVIRONMENT, House
from tests.settings.test_schema import Checker

TOKEN = {"HUBSPOT_TOKEN": "a-token-of-some-length"}
SALESFORCE = {
    "SALESFORCE_URL": "https://acme.my.salesforce.com",
    "SALESFORCE_CLIENT_ID": "an-id-of-some-length",
    "SALESFORCE_CLIENT_SECRET": "a-secret-of-some-length",
}
PRESETS = ("b2b-saas", "education", "demo")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def typed(*words: str, text: str = "") -> Result:
    kept = {name: None for name in os.environ if name.startswith("SYNCER_")}
    return CliRunner().invoke(cli, words, input=text, env={**kept, **TOKEN, **SALESFORCE}, catch_exceptions=False)


@pytest.mark.parametrize(
    ("crm", "preset"),
    [*(("hubspot", each) for each in PRESETS), ("salesforce", "b2b-saas"), ("spreadsheet", "b2b-saas")],
)
def test_what_init_writes_passes_check_and_its_own_schema(here: Path, crm: str, preset: str) -> None:
    made = typed("init", "--yes", "--crm", crm, "--preset", preset)
    assert made.exit_code == 0, made.output
    checked = typed("check", "--offline")
    assert checked.exit_code == 0, checked.output
    assert "no errors" in checked.stdout
    project = YAML(typ="safe").load((here / "syncer.yml").read_text())
    schema = orjson.loads((here / ".syncer" / "syncer.schema.json").read_bytes())
    assert Checker(schema).fits(project)
    assert not Checker(schema).fits({**project, "lenguage": "es"})
    assert typed("config", "schema").stdout.strip() == orjson.dumps(schema, option=orjson.OPT_INDENT_2).decode()


def test_init_asks_for_what_is_not_given(here: Path) -> None:
    made = typed("init", "here", "--preset", "demo", text="hubspot\nes\n")
    assert made.exit_code == 0, made.output
    assert "Which CRM? (hubspot, salesforce, spreadsheet) [hubspot]" in made.stdout
    assert "Language of messages? (en, es) [en]" in made.stdout
    assert "Start from?" not in made.stdout
    assert "language: es" in (here / "here" / "syncer.yml").read_text()
    assert "Next:  cd here && cp .env.example .env" in made.stdout


def test_init_puts_no_secret_into_what_goes_into_git(here: Path) -> None:
    typed("init", "--yes")
    assert "token: ${HUBSPOT_TOKEN}" in (here / "syncer.yml").read_text()
    assert (here / ".gitignore").read_text().splitlines()[0] == ".env"
    assert "HUBSPOT_TOKEN=\n" in (here / ".env.example").read_text()


def test_init_for_salesforce_names_every_secret_it_asks_for(here: Path) -> None:
    made = typed("init", "--yes", "--crm", "salesforce")
    assert "put the org's address and the app's id and secret in it" in made.stdout
    asked = re.findall(r"\$\{([A-Z_]+)\}", re.sub(r"(?m)^ *#.*$", "", (here / "syncer.yml").read_text()))
    assert asked == list(SALESFORCE)
    assert all(f"{name}=\n" in (here / ".env.example").read_text() for name in asked)
    assert "HUBSPOT" not in (here / ".env.example").read_text()


def test_init_for_a_spreadsheet_needs_no_account_and_scores_the_leads_it_brings(here: Path) -> None:
    made = typed("init", "--yes", "--crm", "spreadsheet", "--language", "es")
    assert made.exit_code == 0, made.output
    assert "Next:  syncer run   (scores come into leads.scored.xlsx)" in made.stdout
    assert not (here / ".env.example").exists()
    deeds = openpyxl.load_workbook(here / "leads.xlsx")["Activities"]
    moments = [row[1].value for row in deeds.iter_rows(min_row=2)]
    days = [moment.date() for moment in moments if isinstance(moment, datetime)]
    assert len(days) == len(moments)
    today = datetime.now(ZoneInfo("Europe/Madrid")).date()
    assert timedelta(0) < today - max(days) <= timedelta(days=2)
    run = typed("run")
    assert run.exit_code == 0, run.output
    sheet = openpyxl.load_workbook(here / "leads.scored.xlsx").worksheets[0]
    headings, *rows = ([cell.value for cell in row] for row in sheet.iter_rows())
    stages = Counter(row[headings.index("Etapa")] for row in rows)
    assert sum(stages.values()) == 40
    assert min(stages[each] for each in ("cold", "iql", "mql", "sql")) >= 5
    (spy,) = [row for row in rows if row[0] == "kike.bueno@rival.example"]
    assert spy[headings.index("Etapa")] == "cold"
    again = typed("run")
    assert again.exit_code == 0, again.output


def test_the_sample_is_what_its_maker_makes(tmp_path: Path) -> None:
    sample_leads.write(tmp_path / "made.xlsx")
    made, kept = (openpyxl.load_workbook(path) for path in (tmp_path / "made.xlsx", sample_leads.PATH))
    assert made.sheetnames == kept.sheetnames == ["Leads", "Activities"]
    for one, other in zip(made, kept, strict=True):
        assert list(one.values) == list(other.values)
    assert len(list(kept["Leads"].values)) == 41


def test_init_overwrites_nothing(here: Path) -> None:
    (here / "syncer.yml").write_text("mine\n")
    refused = typed("init", "--yes")
    assert refused.exit_code == 2
    assert "syncer.yml exists already" in refused.stderr
    assert (here / "syncer.yml").read_text() == "mine\n"
    assert [path.name for path in here.iterdir()] == ["syncer.yml"]


def test_a_time_zone_that_is_none_is_refused_before_anything_is_written(here: Path) -> None:
    refused = typed("init", "--yes", "--timezone", "Mars/Base")
    assert refused.exit_code == 2
    assert "no time zone is called 'Mars/Base'" in refused.stderr
    assert list(here.iterdir()) == []


def test_without_anybody_to_answer_init_says_so_and_leaves_nothing_behind(here: Path) -> None:
    refused = typed("init", text="")
    assert refused.exit_code == 2
    assert "this is not a terminal; give --yes" in refused.stderr
    assert list(here.iterdir()) == []


def test_git_sees_nothing_of_what_syncer_keeps(here: Path) -> None:
    typed("init", "--yes")
    subprocess.run(["git", "init", "-q"], check=True, cwd=here)
    kept = [".env", "syncer.db", "syncer.db-wal", "syncer.db.migrating", "syncer.db.bak", ".syncer/hubspot-crm.json"]
    told = subprocess.run(["git", "check-ignore", *kept], cwd=here, capture_output=True, text=True, check=False)
    assert told.stdout.split() == kept


def test_config_show_masks_secrets_and_says_where_each_value_comes_from(house: House) -> None:
    result = house.cli("config", "show")
    assert result.exit_code == 0, result.output
    assert 'connections.crm.token = "***"  [env HUBSPOT_TOKEN]' in result.stdout
    lines = (house.folder / "syncer.yml").read_text().splitlines()
    line = 1 + next(number for number, text in enumerate(lines) if "max_stage_changes" in text)
    assert f"sync.max_stage_changes = 200  [syncer.yml:{line}]" in result.stdout
    assert 'sync.every = "15m"  [default]' in result.stdout
    settings = house.json("config", "show")["settings"]
    assert settings["connections.crm.token"] == {"value": "***", "origin": "env HUBSPOT_TOKEN"}
    for secret in ENVIRONMENT.values():
        assert secret not in result.output


def test_the_schema_of_a_model_fits_the_examples() -> None:
    schema = Checker(orjson.loads(typed("config", "schema", "--model").stdout))
    models = Path(__file__).parents[2] / "config" / "models"
    for path in models.glob("*.yml"):
        assert schema.fits(YAML(typ="safe").load(path.read_text())), path.name
    assert not schema.fits({"fit": {"rules": "none"}})
