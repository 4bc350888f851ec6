"""A project in a folder, with a connector made up for the tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from syncer.rules import Model
from syncer.settings import Problem, Project, SettingsError, load_model, load_project


class Write(BaseModel):
    model_config = ConfigDict(extra="forbid")

    score: str = "ls_score"
    stage: str = "ls_stage"
    lifecyclestage: dict[str, str] = Field(default_factory=dict)


class CrmSettings(BaseModel):
    """Has what real connectors have: a secret, a section, a number, and a look at the stages."""

    model_config = ConfigDict(extra="forbid")

    token: SecretStr
    port: int = 443
    write: Write = Write()

    def problems(self, stages: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
        for stage in self.write.lifecyclestage:
            if stage not in stages:
                yield ("write", "lifecyclestage", stage), f"there is no stage '{stage}'"


CONNECTORS: Mapping[str, type[BaseModel]] = {"crm": CrmSettings}
ENVIRON = {"CRM_TOKEN": "token-of-the-crm"}

PROJECT = """\
connections:
  main: {type: crm, token: "${CRM_TOKEN}"}
models: models/b2b.yml
"""
MODEL = """\
fit:
  rules:
    - {name: Target country, when: {country: [ES, MX]}, points: 10}
stages:
  - {name: cold}
  - {name: iql, enter: [fit >= 5]}
  - {name: sql, enter: [total >= 10]}
"""


def project_folder(folder: Path, project: str = PROJECT, model: str = MODEL) -> Path:
    """The path of a project file with a model file beside it."""
    (folder / "models").mkdir(exist_ok=True)
    (folder / "models" / "b2b.yml").write_text(model, encoding="utf-8")
    path = folder / "syncer.yml"
    path.write_text(project, encoding="utf-8")
    return path


def loaded(folder: Path, project: str = PROJECT, model: str = MODEL, **environ: str) -> Project:
    return load_project(project_folder(folder, project, model), CONNECTORS, {**ENVIRON, **environ})


def problems(folder: Path, project: str = PROJECT, model: str = MODEL, **environ: str) -> tuple[Problem, ...]:
    """Everything that is wrong with the project; none when it loads."""
    try:
        loaded(folder, project, model, **environ)
    except SettingsError as error:
        return error.problems
    return ()


def with_rule(rule: str, dimension: str = "fit") -> str:
    """A model with one rule, written as a flow mapping on line 3."""
    return f"{dimension}:\n  rules:\n    - {rule}\nstages:\n  - {{name: cold}}\n"


def model_of(folder: Path, text: str) -> Model:
    path = folder / "b2b.yml"
    path.write_text(text, encoding="utf-8")
    return load_model(path)


def model_problems(folder: Path, text: str) -> tuple[Problem, ...]:
    try:
        model_of(folder, text)
    except SettingsError as error:
        return error.problems
    return ()


def places(found: tuple[Problem, ...]) -> list[tuple[str, int, int, str]]:
    return [(one.file, one.line, one.column, one.path) for one in found]


def only(found: tuple[Any, ...]) -> Any:
    assert len(found) == 1, [str(one) for one in found]
    return found[0]
