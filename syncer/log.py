"""Structured logs, set up once. A secret never passes: whatever was named to `protect` is blotted out last of all."""

from __future__ import annotations

import logging
import os
import sys
from collections import deque
from collections.abc import Mapping, MutableMapping
from typing import Any, Literal, TextIO

import structlog

BLOT = "***"
_SHORTEST_SECRET = 4  # blotting out "1" or "no" would hide the log, not the secret
_secrets: set[str] = set()
_passing: deque[str] = deque(maxlen=256)


def protect(secret: str, *, passing: bool = False) -> None:
    """From now on this text is blotted out of every log line and of everything that `redact` is asked about. `passing`:
    until hundreds of others have followed it, for tokens that live an hour in a process that lives for years."""
    text = secret.strip()
    if len(text) < _SHORTEST_SECRET or text in _passing:
        return
    if passing:
        _passing.append(text)
    else:
        _secrets.add(text)


def redact(text: str) -> str:
    """The text without any protected secret."""
    for secret in sorted({*_secrets, *_passing}, key=len, reverse=True):
        text = text.replace(secret, BLOT)
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
        colourful = target.isatty() and not os.environ.get("NO_COLOR")  # the custom of no-color.org
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
