"""A plan saved as a file: which run of which database it is, and what it was made with.

The decisions themselves stay in the database under the run's number; the file is the permission to carry out exactly
these, and is refused once the rules, the database or any planned lead have changed.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from syncer.app import App
from syncer.errors import ConfigError, StalePlanError
from syncer.store import decisions, runs

_SCHEMA = "syncer.saved-plan/1"


@dataclass(frozen=True, slots=True)
class SavedPlan:
    connection: str
    run: int
    installation: str
    fingerprint: str  # of the project's meaning

    @classmethod
    def of(cls, app: App, connection: str, run: int) -> SavedPlan:
        with app.store.reading() as tx:
            return cls(connection, run, runs.installation(tx), app.project.fingerprint)

    @classmethod
    def read(cls, path: Path, app: App) -> SavedPlan:
        """The plan of a file, if it may still be carried out."""
        try:
            content = orjson.loads(path.read_bytes())
            if content.pop("schema") != _SCHEMA:
                raise ValueError("it has another schema")
            saved = cls(**content)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ConfigError(
                f"{path}: this is no saved plan ({error}); make one with `syncer plan`", code="SY054"
            ) from error
        saved._check(app)
        return saved

    def write(self, path: Path | None, home: Path) -> Path:
        """Where it was kept: at `path`, or among the plans of the project whose folder is `home`."""
        target = path or home / ".syncer" / "plans" / f"{self.connection}-{self.run}.json"
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(orjson.dumps({"schema": _SCHEMA, **asdict(self)}, option=orjson.OPT_INDENT_2) + b"\n")
        except OSError as error:
            raise ConfigError(
                f"{target}: the plan cannot be saved: {error.strerror}; name a place with --out", code="SY055"
            ) from error
        return target

    def _check(self, app: App) -> None:
        with app.store.reading() as tx:
            if runs.installation(tx) != self.installation:
                raise StalePlanError("the plan was made with another database; plan again", code="SY053")
            kept = next(iter(decisions.plan_of(tx, self.run)), None)
            changed = decisions.stale(tx, self.run)
        if app.project.fingerprint != self.fingerprint:
            raise StalePlanError("the configuration changed since the plan was made; plan again", code="SY053")
        if kept is None:
            raise StalePlanError(f"plan {self.run} was carried out already or replaced; plan again", code="SY053")
        if changed:
            raise StalePlanError(f"{changed} leads changed since the plan was made; plan again", code="SY053")
