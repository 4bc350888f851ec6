"""Rules from another file, with single values changed, and from git."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from syncer.errors import ConfigError
from syncer.rules import Gate, Segment
from syncer.settings import Problem, Project, SettingsError, rules_at, rules_set, rules_with
from tests.settings.samples import MODEL, PROJECT, loaded, only

TWO = PROJECT.replace(
    "models: models/b2b.yml", "models:\n  - {use: models/b2b.yml, for: {country: ES}}\n  - models/rest.yml"
)


def points(rules: tuple[tuple[Segment, ...], str]) -> int:
    """Of the first rule of the first model, in hundredths."""
    return rules[0][0].model.rules[0][1].points


def wrong(ask: Callable[[], object]) -> tuple[Problem, ...]:
    with pytest.raises(SettingsError) as caught:
        ask()
    return caught.value.problems


def two_models(folder: Path) -> None:
    (folder / "models").mkdir(exist_ok=True)
    (folder / "models" / "rest.yml").write_text(MODEL.replace("10}", "7}"))


def test_another_file_stands_in_for_the_only_model_whatever_its_name(tmp_path: Path) -> None:
    other = tmp_path / "tighter.yml"
    other.write_text(MODEL.replace("points: 10", "points: 3"))
    segments, handed = rules_with(loaded(tmp_path), other, {})
    assert points((segments, handed)) == 300
    assert handed == "sql"
    assert segments[0].model.rules[0][1].where == "tighter.yml:3"


def test_of_several_models_the_one_of_that_name_is_replaced(tmp_path: Path) -> None:
    two_models(tmp_path)
    other = tmp_path / "rest.yml"
    other.write_text(MODEL.replace("points: 10", "points: 3"))
    segments, _ = rules_with(loaded(tmp_path, TWO), other, {})
    assert [segment.model.rules[0][1].points for segment in segments] == [1000, 300]
    other.rename(tmp_path / "new.yml")
    with pytest.raises(ConfigError, match=r"new\.yml is the model 'new', and the project has b2b, rest") as caught:
        rules_with(loaded(tmp_path, TWO), tmp_path / "new.yml", {})
    assert caught.value.code == "SY110"


def test_a_whole_project_file_brings_its_own_models_and_hand_off(tmp_path: Path) -> None:
    aside = tmp_path / "aside"
    aside.mkdir()
    (aside / "m.yml").write_text(MODEL.replace("points: 10", "points: 3"))
    (aside / "p.yml").write_text(
        'connections: {x: {type: unknown, token: "${NOWHERE}"}}\nmodels: m.yml\nhandoff: {when: iql}\n'
    )
    found = rules_with(loaded(tmp_path), aside / "p.yml", {})
    assert (points(found), found[1]) == (300, "iql")


def test_mistakes_in_the_other_file_are_told_by_their_place(tmp_path: Path) -> None:
    other = tmp_path / "tighter.yml"
    other.write_text(MODEL.replace("points: 10", "pionts: 3"))
    project = loaded(tmp_path)
    assert {(one.file, one.line) for one in wrong(lambda: rules_with(project, other, {}))} == {("tighter.yml", 3)}
    (missing,) = wrong(lambda: rules_with(project, tmp_path / "nowhere.yml", {}))
    assert missing.message == "the file nowhere.yml does not exist"


@pytest.mark.parametrize("path", ["fit.rules[0].points", "rule.target-country.points"])
def test_a_value_is_set_by_its_way_and_by_the_rules_id(tmp_path: Path, path: str) -> None:
    assert points(rules_set(loaded(tmp_path), [f"{path}=2.5"], {})) == 250


def test_a_gate_a_new_key_and_a_list_can_be_set_and_settings_add_up(tmp_path: Path) -> None:
    asked = [
        "stages[2].enter[0]=total >= 30",
        "fit.max=8",
        "fit.rules[0].when={country: [FR]}",
        "rule.target-country.points=9",
    ]
    ((segment,), _) = rules_set(loaded(tmp_path), asked, {})
    assert segment.model.stages[2].enter == (Gate("total", ">=", 3000),)
    assert segment.model.dimensions[0].max == 800
    assert segment.model.rules[0][1].points == 900
    assert "'FR'" in str(segment.model.rules[0][1].when)


def test_of_several_models_the_named_one_is_changed(tmp_path: Path) -> None:
    two_models(tmp_path)
    project = loaded(tmp_path, TWO)
    segments, _ = rules_set(project, ["rest:fit.rules[0].points=3"], {})
    assert [segment.model.rules[0][1].points for segment in segments] == [1000, 300]
    (unnamed,) = wrong(lambda: rules_set(project, ["fit.max=3"], {}))
    assert "MODEL:PATH=VALUE" in unnamed.message
    (unknown,) = wrong(lambda: rules_set(project, ["rets:fit.max=3"], {}))
    assert unknown.help.startswith("did you mean 'rest'?")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fit.rules[0].points=many", "'many' is not a number of points"),
        ("fit.rules[0].pionts=8", "unknown key 'pionts'"),
        ("fit.rules[0].when={activity: }", "an activity is named by text"),
        ("stages[2].enter[0]=total is 5", "cannot read 'total is 5' as a threshold"),
        ("fit.rules[7].points=8", "b2b.yml: there is no fit.rules[7]"),
        ("fitt.rules[0].points=8", "b2b.yml: there is no 'fitt' in the file"),
        ("rule.target-contry.points=8", "b2b.yml: there is no rule 'target-contry'"),
        ("fit.rules.points=8", "b2b.yml: cannot go on to 'points': fit.rules is a list"),
        ("fit[0]=8", "b2b.yml: cannot go on to 0: fit is a mapping"),
        ("fit.rules[0].points.x=8", "b2b.yml: cannot go on to 'x': fit.rules[0].points is a plain value"),
        ("fit..max=8", "b2b.yml: cannot read 'fit..max' as a path"),
        ("fit.max", "cannot read 'fit.max' as PATH=VALUE"),
        ("fit.max={", "cannot be read as YAML"),
    ],
)
def test_a_setting_that_makes_no_sense_is_one_message_with_its_number(tmp_path: Path, text: str, message: str) -> None:
    project = loaded(tmp_path)
    found = wrong(lambda: rules_set(project, ["fit.max=9", text], {}))
    assert [one.file for one in found] == ["--set 2"] * len(found)
    assert message in found[0].message
    assert "--> --set 2" in str(found[0])


def test_a_setting_that_fits_nothing_else_in_the_file_is_told_where_the_file_says_otherwise(tmp_path: Path) -> None:
    project = loaded(tmp_path)
    clash = only(wrong(lambda: rules_set(project, ["stages[1].name=sql"], {})))
    assert clash.message == "there are two stages 'sql'"


def test_no_secret_is_needed_for_rules(tmp_path: Path) -> None:
    project = loaded(tmp_path)
    assert points(rules_set(project, ["fit.max=9"], {})) == 1000  # CRM_TOKEN is not set here


# From git.


def git(folder: Path, *words: str) -> str:
    who = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@acme.es", "GIT_CONFIG_GLOBAL": os.devnull}
    committer = {"GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@acme.es", "GIT_CONFIG_SYSTEM": os.devnull}
    done = subprocess.run(
        ["git", "-C", str(folder), *words], env={**os.environ, **who, **committer}, capture_output=True, check=True
    )  # fmt: skip
    return done.stdout.decode().strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A project below the top of a repository, its list above it; committed once, then changed."""
    folder = tmp_path / "conf"
    folder.mkdir()
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "sold.txt").write_text("acme.es\n")
    rule = "{name: Ours, when: {email: {domain_in: sold}}, points: 4}"
    model = f"lists: {{sold: ../../shared/sold.txt}}\n{MODEL}need:\n  rules:\n    - {rule}\n"
    loaded(folder, model=model)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "first")
    (tmp_path / "shared" / "sold.txt").write_text("other.es\n")
    loaded(folder, model=model.replace("points: 10", "points: 12"))
    return folder


def test_rules_of_a_commit_are_read_with_their_models_and_lists(repository: Path) -> None:
    project = loaded_from(repository)
    found = rules_at(project, "HEAD", {})
    assert points((project.segments, "")) == 1200
    assert points(found) == 1000
    assert found[0][0].model.lists == (("sold", ("acme.es",)),)
    assert found[0][0].model.rules[0][1].where == "models/b2b.yml:4"


def loaded_from(folder: Path) -> Project:
    return loaded(folder, (folder / "syncer.yml").read_text(), (folder / "models" / "b2b.yml").read_text())


def test_mistakes_in_old_files_say_in_which_commit(repository: Path) -> None:
    good = (repository / "models" / "b2b.yml").read_text()
    (repository / "models" / "b2b.yml").write_text(good.replace("points: 12", "points: a lot"))
    git(repository, "commit", "--quiet", "-am", "broken")
    project = loaded(repository, model=good)
    (mistake,) = wrong(lambda: rules_at(project, "HEAD", {}))
    assert (mistake.file, mistake.line) == ("HEAD:models/b2b.yml", 4)
    assert points(rules_at(project, "HEAD~1", {})) == 1000


@pytest.mark.parametrize("ref", ["nowhere", "--upload-pack=touch x", "HEAD:conf", ""])
def test_a_commit_that_git_does_not_know_is_one_message(repository: Path, ref: str) -> None:
    with pytest.raises(ConfigError, match=f"git knows no commit '{ref}' here") as caught:
        rules_at(loaded_from(repository), ref, {})
    assert caught.value.code == "SY111"


def test_a_project_in_no_repository_or_not_yet_committed_says_so(tmp_path: Path, repository: Path) -> None:
    new = repository / "new"
    new.mkdir()
    with pytest.raises(ConfigError, match=r"HEAD has no file conf/new/syncer\.yml"):
        rules_at(loaded(new), "HEAD", {})
    (tmp_path / ".git").rename(tmp_path / "no-git")
    with pytest.raises(ConfigError, match=r"git cannot look into the folder of syncer\.yml: not a git repository"):
        rules_at(loaded_from(repository), "HEAD", {})


def test_without_git_the_message_says_that_it_is_missing(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repository))
    with pytest.raises(ConfigError, match="needs git, and it is not installed"):
        rules_at(loaded_from(repository), "HEAD", {})
