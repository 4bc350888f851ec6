"""A project's rules as git keeps them: the project file of a commit, with the models and lists it names."""

from __future__ import annotations

import os
import posixpath
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from syncer.errors import ConfigError
from syncer.settings.source import Report, at, read_yaml

_PATIENCE_S = 30.0
_ENVIRONMENT = {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}


@contextmanager
def exported(project: Path, ref: str) -> Iterator[Path]:
    """The project file as it was at `ref`, in a folder of its own that is gone afterwards. ConfigError (SY111) where
    git is missing, the project is in no repository, or there is no such commit, or no such file in it."""
    commit = _commit(project, ref)
    with TemporaryDirectory(prefix="syncer-rules-") as folder:
        root = Path(folder)
        if not commit.copy(project.name, root):
            raise ConfigError(f"{ref} has no file {commit.prefix}{project.name}", code="SY111")
        for model in _models(root / commit.prefix / project.name):
            if commit.copy(model, root):
                for name in _lists(root / commit.prefix / model):
                    commit.copy(posixpath.join(posixpath.dirname(model), name), root)
        yield root / commit.prefix / project.name


@dataclass(frozen=True, slots=True)
class _Commit:
    folder: Path  # where the project is now
    prefix: str  # the way there from the top of the repository: "" or "conf/"
    id: str

    def copy(self, name: str, root: Path) -> bool:
        """Put the file, named as seen from the project, where it belongs under `root`; False where there is none."""
        path = posixpath.normpath(self.prefix + name.replace(os.sep, "/"))
        if path.startswith(("../", "/")):
            return False  # outside of the repository
        done = _git(self.folder, "cat-file", "blob", f"{self.id}:{path}")
        if done.returncode:
            return False
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(done.stdout)
        return True


def _commit(project: Path, ref: str) -> _Commit:
    folder = project.absolute().parent
    inside = _git(folder, "rev-parse", "--show-prefix")
    if inside.returncode:
        said = inside.stderr.decode(errors="replace").strip().partition("\n")[0].removeprefix("fatal: ")
        raise ConfigError(f"git cannot look into the folder of {project.name}: {said}", code="SY111")
    found = _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    if found.returncode:
        raise ConfigError(f"git knows no commit '{ref}' here; name a branch, a tag or a commit", code="SY111")
    return _Commit(folder, os.fsdecode(inside.stdout).removesuffix("\n"), found.stdout.decode().strip())


def _git(folder: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            ["git", "-C", str(folder), *words],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **_ENVIRONMENT},
            timeout=_PATIENCE_S,
            check=False,
        )
    except FileNotFoundError as error:
        raise ConfigError("--against needs git, and it is not installed here", code="SY111") from error
    except subprocess.TimeoutExpired as error:
        raise ConfigError(f"git did not answer within {_PATIENCE_S:g} s; try again", code="SY111") from error


def _models(project: Path) -> list[str]:
    """The model files that the project file names; whatever is wrong with it, its loading will say."""
    source = read_yaml(project, Report(project.parent))
    raw = at(source.value, "models") if source is not None else None
    listed = raw if isinstance(raw, list) else [raw]
    named = [each.get("use") if isinstance(each, Mapping) else each for each in listed]
    return [name for name in named if isinstance(name, str)]


def _lists(model: Path) -> list[str]:
    source = read_yaml(model, Report(model.parent))
    named = at(source.value, "lists") if source is not None else None
    return [name for name in named.values() if isinstance(name, str)] if isinstance(named, Mapping) else []
