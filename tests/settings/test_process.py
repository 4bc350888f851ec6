"""Settings of the process."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncer.log import redact
from syncer.settings import SettingsError, process_settings


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "CONFIG", "LOG_LEVEL", "LOG_STYLE", "DRAIN_S", "LANG"):
        monkeypatch.delenv(f"SYNCER_{name}", raising=False)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


def test_everything_has_a_default(tmp_path: Path) -> None:
    settings = process_settings(tmp_path)
    assert settings.database_url.get_secret_value() == f"sqlite:///{tmp_path}/syncer.db"
    assert (settings.config, settings.log_level, settings.log_style) == (Path("syncer.yml"), "info", "console")
    assert (settings.drain_s, settings.lang) == (8.0, None)


def test_flags_win_over_the_environment_that_over_dotenv_that_over_secret_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for name in ("database_url", "log_style", "drain_s", "lang"):
        (secrets / f"syncer_{name}").write_text({"log_style": "json", "drain_s": "1", "lang": "es"}.get(name, "secret"))
    (tmp_path / ".env").write_text("SYNCER_DRAIN_S=2\nSYNCER_LANG=en\nSYNCER_LOG_LEVEL=error\nOTHER=x\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(secrets))
    monkeypatch.setenv("SYNCER_LOG_LEVEL", "DEBUG")
    monkeypatch.setenv("SYNCER_LANG", "es")
    settings = process_settings(tmp_path, lang="en")
    assert settings.database_url.get_secret_value() == "secret"
    assert (settings.log_style, settings.drain_s, settings.log_level, settings.lang) == ("json", 2.0, "debug", "en")


def test_every_wrong_variable_is_named_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCER_LOG_STYLE", "jsn")
    monkeypatch.setenv("SYNCER_DRAIN_S", "soon")
    with pytest.raises(SettingsError) as raised:
        process_settings(tmp_path)
    assert [one.message for one in raised.value.problems] == [
        "SYNCER_LOG_STYLE: 'jsn' is not one of console, json",
        "SYNCER_DRAIN_S: a number is needed here, not 'soon'",
    ]
    assert raised.value.problems[0].help == "did you mean 'json'?"
    assert raised.value.exit_code == 2


def test_the_database_s_password_shows_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCER_DATABASE_URL", "postgresql://syncer:pg-p%40ss@db/leads")
    settings = process_settings(tmp_path)
    assert "pg-p" not in repr(settings)
    assert redact("could not log in with pg-p%40ss or pg-p@ss") == "could not log in with *** or ***"


def test_a_dotenv_file_that_is_no_text_is_one_clear_problem(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"\xff\xfe\x00A")
    with pytest.raises(SettingsError, match="cannot be read"):
        process_settings(tmp_path)


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("sqlite:///state.db", "sqlite:///conf/state.db"),
        ("sqlite:////data/state.db", "sqlite:////data/state.db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("postgresql://host/syncer", "postgresql://host/syncer"),
    ],
)
def test_a_relative_sqlite_file_lies_beside_the_project_file(given: str, used: str) -> None:
    assert process_settings(Path("conf"), database_url=given).database_url.get_secret_value() == used
    assert process_settings(Path(), database_url=given).database_url.get_secret_value() == given
