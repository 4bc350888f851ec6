"""Settings of the process: where the database is, how to log. From SYNCER_* variables, `.env` and secret files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import SettingsError as SourceError

from syncer.log import protect
from syncer.settings.checking import mistake_of
from syncer.settings.environment import protect_address
from syncer.settings.problems import Mask, Problem, SettingsError
from syncer.settings.values import Language

PREFIX = "SYNCER_"
_SECRET_FOLDER = "/run/secrets"  # where container engines put them


LogLevel = Literal["debug", "info", "warning", "error", "critical"]


def _lower(raw: Any) -> Any:
    return raw.strip().lower() if isinstance(raw, str) else raw


class ProcessSettings(BaseSettings):
    """Variables win over `.env`, that over files in the secret folders (`syncer_database_url`), these over defaults."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", env_file_encoding="utf-8", env_ignore_empty=True,
        extra="ignore", frozen=True, hide_input_in_errors=True,
    )  # fmt: skip

    database_url: SecretStr = SecretStr("sqlite:///syncer.db")
    config: Path = Path("syncer.yml")
    log_level: Annotated[LogLevel, BeforeValidator(_lower)] = "info"
    log_style: Literal["console", "json"] = "console"
    drain_s: Annotated[float, Field(ge=0, le=3600)] = 8.0
    lang: Language | None = None


def process_settings(folder: Path, **given: Any) -> ProcessSettings:
    """The settings, with the `.env` of `folder`; what is `given` (a command's flags) wins over everything.

    `SettingsError` names each variable that is wrong.
    """
    folders = [Path(name) for name in (_SECRET_FOLDER, os.environ.get("CREDENTIALS_DIRECTORY", "")) if name]
    there = [str(one) for one in folders if one.is_dir()]
    sources: dict[str, Any] = {"_env_file": folder / ".env", "_secrets_dir": there or None}
    try:
        settings = ProcessSettings(**sources, **given)
    except ValidationError as error:
        raise SettingsError([_problem(details) for details in error.errors(include_url=False)]) from None
    except (SourceError, OSError, UnicodeDecodeError) as error:
        message = f"the process settings cannot be read: {type(error).__name__}"
        raise SettingsError([Problem("environment", 0, 0, "", message, f"look at .env and {PREFIX}*")]) from None
    address = _beside(settings.database_url.get_secret_value(), folder)
    _protect(address)
    return settings.model_copy(update={"database_url": SecretStr(address)})


def _beside(database_url: str, folder: Path) -> str:
    """A relative SQLite file lies beside the project file, from whichever folder the command is typed."""
    head = "sqlite:///"
    path = database_url.removeprefix(head)
    if not database_url.startswith(head) or path.startswith(("/", ":")) or folder == Path():
        return database_url
    return f"{head}{folder / path}"


def _protect(database_url: str) -> None:
    """The password must not be logged; nor the whole address, when it holds one."""
    protect_address(database_url)
    if "@" in database_url:
        protect(database_url)


def _problem(details: ErrorDetails) -> Problem:
    name = f"{PREFIX}{details['loc'][0]}".upper()
    mistake = mistake_of(details, (name,), ProcessSettings)
    mask = Mask()
    return Problem("environment", 0, 0, name, mask(f"{name}: {mistake.message}"), mask(mistake.help), mistake.code)
