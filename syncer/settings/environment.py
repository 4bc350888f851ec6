"""`${NAME}`, `${NAME:-default}` and `${file:/run/secrets/x}` in the texts of the project file.

They are put in after the YAML was parsed, so what they hold is never read as YAML. What comes from outside may be a
secret: none of it appears in a message, and it is blotted out of the logs where its place or name says that it is one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from dotenv import dotenv_values
from pydantic import BaseModel, SecretBytes, SecretStr

from syncer.log import protect
from syncer.settings.checking import models_in
from syncer.settings.problems import TOKENS, Mistake, Steps, did_you_mean, quoted
from syncer.settings.source import Report, Source

_REFERENCE = re.compile(r"\$\$\{|\$\{([^{}]*)\}")
_NAME = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
_SECRET_NAME = re.compile(r"(?i)pass|secret|token|key|credential|dsn|auth")
_USER_INFO = re.compile(r"://[^/\s:@]*:([^/\s@]+)@")
_LARGEST_SECRET = 100_000  # characters


def variables(folder: Path, environ: Mapping[str, str], report: Report) -> dict[str, str]:
    """`environ` over what the `.env` in the project's folder says. The process's own environment stays as it is."""
    path = folder / ".env"
    if not path.is_file():
        return dict(environ)
    report.watch(path)
    try:
        told = dotenv_values(path, interpolate=False, encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        report.add_plain(".env", f"cannot be read: {type(error).__name__}", "save it as UTF-8, readable for this user")
        return dict(environ)
    return {**{name: value for name, value in told.items() if value is not None}, **environ}


@dataclass(slots=True)
class Expansion:
    """Puts values from outside into one file's tree; `origins` says which texts came from where."""

    source: Source
    variables: Mapping[str, str]
    report: Report
    origins: dict[Steps, str] = field(default_factory=dict)  # "env HUBSPOT_TOKEN", "file /run/secrets/x"

    def tree(self, value: Any, steps: Steps = ()) -> Any:
        if isinstance(value, Mapping):
            return {name: self.tree(inner, (*steps, name)) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.tree(inner, (*steps, index)) for index, inner in enumerate(value)]
        return self._text(value, steps) if isinstance(value, str) else value

    def _text(self, text: str, steps: Steps) -> str:
        if "${" not in text:
            return text
        return _REFERENCE.sub(lambda found: self._reference(found, steps), text)

    def _reference(self, found: re.Match[str], steps: Steps) -> str:
        inside = found[1]
        if inside is None:
            return "${"  # $${ stands for itself
        if inside.startswith("file:"):
            return self._from_file(Path(inside.removeprefix("file:").strip()), steps)
        named = _NAME.fullmatch(inside)
        if named is None:
            help = "write ${NAME}, ${NAME:-default} or ${file:/run/secrets/name}; $${ stands for a plain ${"
            return self._refuse(steps, f"cannot read {quoted(found[0])}", help)
        return self._from_variable(named[1], named[2], steps)

    def _from_variable(self, name: str, default: str | None, steps: Steps) -> str:
        value = self.variables.get(name, "")
        if value:
            self._took(value, f"env {name}", steps)
            return value
        if default is not None:
            return default
        how = "is empty" if name in self.variables else "is not set"
        near = did_you_mean(name, (other for other, told in self.variables.items() if told))
        help = f"export {name}=... or put it in .env" + (f"; {near}" if near else "")
        return self._refuse(steps, f"environment variable {name} {how}", help)

    def _from_file(self, path: Path, steps: Steps) -> str:
        path = path if path.is_absolute() else self.source.path.parent / path
        self.report.watch(path)
        try:
            value = path.read_bytes()[: _LARGEST_SECRET * 4].decode("utf-8-sig").strip()
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            return self._refuse(steps, f"the secret file {path} cannot be read: {why}")
        if not value:
            return self._refuse(steps, f"the secret file {path} is empty")
        self._took(value, f"file {path}", steps)
        return value

    def _took(self, value: str, origin: str, steps: Steps) -> None:
        before = self.origins.get(steps)
        self.origins[steps] = f"{before}, {origin}" if before else origin
        self.report.mask.hide(value)
        if _SECRET_NAME.search(f"{origin} {steps[-1] if steps else ''}"):
            protect(value)
        protect_address(value)

    def _refuse(self, steps: Steps, message: str, help: str = "") -> str:
        self.report.add(self.source, Mistake(steps, message, help, "SY008"))
        self.report.spoil(self.source, steps)
        return ""


def refuse_tokens(source: Source, report: Report, value: Any = None, steps: Steps = ()) -> None:
    """A text that looks like real credentials has no place in a file of a repository."""
    value = source.value if not steps else value
    if isinstance(value, Mapping):
        for name, inner in value.items():
            refuse_tokens(source, report, inner, (*steps, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            refuse_tokens(source, report, inner, (*steps, index))
    elif isinstance(value, str) and TOKENS.search(value):
        report.mask.hide(value)
        help = "take it back in the CRM, it may be known by now; write ${NAME} here and put the value in .env"
        report.add(source, Mistake(steps, "this looks like a real secret", help, "SY009"))
        report.spoil(source, steps)


def secret_keys(shape: type[BaseModel], seen: frozenset[type[BaseModel]] = frozenset()) -> set[str]:
    """The names of the fields that hold secrets, anywhere in the model."""
    if shape in seen:
        return set()
    found: set[str] = set()
    for name, info in shape.model_fields.items():
        text = str(info.annotation)
        if SecretStr.__name__ in text or SecretBytes.__name__ in text:
            found.add(info.alias or name)
        for inner in models_in(info.annotation):
            found |= secret_keys(inner, seen | {shape})
    return found


def hide_values(raw: Any, keys: set[str], report: Report) -> None:
    """Nothing that stands behind one of these keys is shown in messages."""
    if isinstance(raw, Mapping):
        for name, inner in raw.items():
            if name in keys and isinstance(inner, str):
                report.mask.hide(inner)
            hide_values(inner, keys, report)
    elif isinstance(raw, list):
        for inner in raw:
            hide_values(inner, keys, report)


def protect_address(address: str) -> None:
    """Tell the log about the password inside an address: postgresql://user:password@host."""
    for password in _USER_INFO.findall(address):
        protect(password)
        protect(unquote(password))


def protect_secrets(settings: Any) -> None:
    """Tell the log about every secret inside validated settings."""
    if isinstance(settings, SecretStr):
        protect(settings.get_secret_value())
    elif isinstance(settings, BaseModel):
        for name in type(settings).model_fields:
            protect_secrets(getattr(settings, name))
    elif isinstance(settings, Mapping):
        for inner in settings.values():
            protect_secrets(inner)
    elif isinstance(settings, list | tuple | set | frozenset):
        for inner in settings:
            protect_secrets(inner)
