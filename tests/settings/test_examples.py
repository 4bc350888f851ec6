"""The commented examples load as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openpyxl
import pytest
from pydantic import BaseModel, SecretStr

from connectors.spreadsheet.settings import ActivityTable, ManualColumns, Settings, Write
from syncer.settings import load_model, load_project
from syncer.settings.models import (
    BurstFile,
    DimensionFile,
    FollowsFile,
    IgnoreFile,
    ModelFile,
    RuleFile,
    StageFile,
    VetoFile,
)
from syncer.settings.shapes import (
    AlertsFile,
    AwayFile,
    HandoffFile,
    OutcomeFile,
    PersonFile,
    ProjectFile,
    Repeats,
    RouteFile,
    SyncFile,
    TeamFile,
    Web,
)
from syncer.settings.sign_in import Oidc, Roles, SignIn

CONFIG = Path(__file__).parents[2] / "config"
ENVIRON = {name: f"example-{name.lower()}" for name in ("HUBSPOT_TOKEN", "SMTP_PASSWORD", "HOOK_SECRET")} | {
    "SLACK_WEBHOOK_URL": "https://hooks.slack.test/hook"
}


class HubSpotSettings(BaseModel):
    token: SecretStr
    fields: dict[str, str]
    write: dict[str, Any]


def test_the_commented_project_loads() -> None:
    project = load_project(CONFIG / "syncer.yml", {"hubspot": HubSpotSettings}, ENVIRON)
    assert project.stages == ("cold", "iql", "mql", "sql")
    assert project.outcome is not None
    assert project.handoff is not None
    assert sorted(project.handoff.notifiers) == ["hook", "mail", "team", "todo"]
    assert "jobtitle" in project.needed_fields
    assert "email_received" in project.needed_activities


def test_the_commented_project_on_spreadsheets_needs_no_secret() -> None:
    project = load_project(CONFIG / "spreadsheet.yml", {"spreadsheet": Settings}, {})
    (settings,) = [each.settings for each in project.connections]
    assert isinstance(settings, Settings)
    assert settings.writes
    assert sorted(settings.activities) == ["calls", "deeds"]
    sample = openpyxl.load_workbook(CONFIG / "samples" / "leads.xlsx")
    headings = {str(cell.value) for sheet in sample for cell in sheet[1]}
    assert {*settings.fields.values(), settings.key, settings.owner, settings.activities["deeds"].at} <= headings
    assert settings.activities["deeds"].sheet in sample.sheetnames


@pytest.mark.parametrize("path", sorted((CONFIG / "models").glob("*.yml")), ids=lambda path: path.name)
def test_every_model_file_loads_and_can_reach_its_last_stage(path: Path) -> None:
    model = load_model(path)
    best = {one.name: one.max or sum(max(rule.points, 0) for rule in one.rules) for one in model.dimensions}
    best["total"] = sum(best.values())
    unreachable = [
        str(gate)
        for stage in model.stages
        for gate in stage.enter
        if gate.comparison in (">", ">=") and best.get(gate.measure, 0) < gate.threshold
    ]
    assert unreachable == []


def test_the_list_of_free_mail_providers_holds_domains_once_each() -> None:
    lines = (CONFIG / "lists" / "free_email_domains.txt").read_text(encoding="utf-8").splitlines()
    domains = [line for line in lines if line and not line.startswith("#")]
    assert len(domains) > 50
    assert len(domains) == len(set(domains))
    assert [one for one in domains if "." not in one or one != one.strip().lower()] == []


def _keys(*shapes: type[BaseModel]) -> set[str]:
    return {info.alias or name for shape in shapes for name, info in shape.model_fields.items()}


@pytest.mark.parametrize(
    ("file", "shapes"),
    [
        (
            "syncer.yml",
            (
                *(
                    ProjectFile,
                    SyncFile,
                    OutcomeFile,
                    HandoffFile,
                    Repeats,
                    PersonFile,
                    AwayFile,
                    TeamFile,
                    RouteFile,
                    Web,
                    SignIn,
                    Oidc,
                    Roles,
                ),
                AlertsFile,
            ),
        ),
        ("spreadsheet.yml", (Settings, ManualColumns, ActivityTable, Write)),
        (
            "models/b2b-saas.yml",
            (ModelFile, DimensionFile, RuleFile, StageFile, VetoFile, IgnoreFile, FollowsFile, BurstFile),
        ),
    ],
)
def test_the_examples_show_every_key(file: str, shapes: tuple[type[BaseModel], ...]) -> None:
    text = (CONFIG / file).read_text(encoding="utf-8")
    assert [key for key in sorted(_keys(*shapes)) if f"{key}:" not in text] == []
