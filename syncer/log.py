"""Structured logs, set up once. A secret never passes: whatever was named to `protect` is blotted out last of all."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections import deque
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, Literal, TextIO
from urllib.parse import quote, quote_plus

import structlog

BLOT = "***"
_SHORTEST_SECRET = 4  # blotting out "1" or "no" would hide the log, not the secret
_BEGINNING = 12  # characters by which a secret that was cut is known
_LINE_OF_A_KEY = 32
_PART_OF_A_PATH = 16
_secrets: set[str] = set()
_passing: deque[str] = deque(maxlen=256)


def protect(secret: str, *, passing: bool = False) -> None:
    """From now on this text is blotted out of every log line and of everything that `redact` is asked about. `passing`:
    until hundreds of others have followed it, for tokens that live an hour in a process that lives for years."""
    for text in dict.fromkeys(_as_written(secret.strip())):
        if len(text) < _SHORTEST_SECRET or text in _passing:
            continue
        if passing:
            _passing.append(text)
        else:
            _secrets.add(text)


def _as_written(secret: str) -> Iterator[str]:
    """The secret, also as a URL, a form or JSON writes it, as whoever refuses it may repeat it; each line of a key that
    has several, which may come back as one; and of an address that is a secret the path, with its long parts."""
    yield from (secret, quote(secret), quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1])
    yield from (line for line in map(str.strip, secret.splitlines()) if len(line) >= _LINE_OF_A_KEY and " " not in line)
    path = secret.partition("://")[2].partition("/")[2]
    yield from (part for part in (path, *path.split("/")) if len(part) >= _PART_OF_A_PATH)


def redact(text: str) -> str:
    """The text without any protected secret, nor the beginning of one at its end, where it may have been cut."""
    for secret in sorted({*_secrets, *_passing}, key=len, reverse=True):
        text = text.replace(secret, BLOT)
        begun = text.find(secret[:_BEGINNING], max(len(text) - len(secret), 0)) if len(secret) > _BEGINNING else -1
        if begun >= 0 and secret.startswith(text[begun:]):
            text = text[:begun] + BLOT
    return text


def _redact_value(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {redact(str(key)): _redact_value(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redact_value(inner) for inner in value]
    shown = redact(str(value))
    if value is None or isinstance(value, bool | int | float):
        return value if shown == str(value) else shown  # a secret may be a number
    return shown


def _redact_event(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    own = {key: event[key] for key in ("_record", "_from_structlog") if key in event}
    return {redact(key): own[key] if key in own else _redact_value(value) for key, value in event.items()}


def set_up(level: str = "INFO", *, style: Literal["console", "json"] = "console", stream: TextIO | None = None) -> None:
    """Send structlog's and the standard library's records to `stream` (standard error) in one shape.

    Redaction runs after exceptions became text, and tracebacks carry no local variables.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,  # plain text, no locals
        _redact_event,
    ]
    target = stream or sys.stderr
    drawn: Any = structlog.processors.JSONRenderer()
    if style == "console":
        is_closed = target is None  # as Python has it where standard error is closed
        colourful = not is_closed and target.isatty() and not os.environ.get("NO_COLOR")  # the custom of no-color.org
        drawn = structlog.dev.ConsoleRenderer(colors=colourful)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(target)
    finish = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, drawn]
    # The standard library's %-arguments are joined into the message before it is redacted.
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=finish, foreign_pre_chain=shared))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("apscheduler", "alembic", "urllib3", "uvicorn"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
