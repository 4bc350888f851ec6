"""The templates that messages are made from: ours, and those that a project puts in their place.

A file in the project's folder `handoff.templates` stands in for ours of the same name. It runs in Jinja's sandbox, and
whatever is wrong with it, the message still goes out: in our words, and the log says so.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import structlog
from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    PackageLoader,
    StrictUndefined,
    TemplateSyntaxError,
    select_autoescape,
)
from jinja2.sandbox import ImmutableSandboxedEnvironment

log = structlog.get_logger(__name__)

Facts = Mapping[str, Any]

LONGEST: Mapping[str, int] = MappingProxyType(
    {
        "subject.txt.j2": 1_000,
        "email.txt.j2": 100_000,
        "email.html.j2": 200_000,
        "slack.txt.j2": 3_000,  # what Slack takes in one block (its reference "Section block")
        "slack_more.txt.j2": 3_000,
        "slack_context.txt.j2": 3_000,
        "chat.txt.j2": 10_000,
        "digest_subject.txt.j2": 1_000,
        "digest_email.txt.j2": 400_000,
        "digest_email.html.j2": 800_000,
        "digest_slack.txt.j2": 400_000,  # of as many leads as are tried; it is sent with as many as fit
        "digest_chat.txt.j2": 400_000,
    }
)
"""The templates of messages, and how many characters each may come to."""
_MAY_BE_EMPTY = "slack_more.txt.j2"  # then its block is left out
_WORDS = ("es/words.j2", "en/words.j2")
NAMES = (*LONGEST, *_WORDS)


@dataclass(frozen=True, slots=True)
class Broken:
    """What is wrong with one of the project's templates. `where`: "messages/slack.txt.j2:7"."""

    where: str
    why: str


def rendered(name: str, facts: Facts, folder: Path | None = None) -> str:
    """The template's text. A broken one of the project's own is passed over for ours."""
    if folder is None:
        return _ours().get_template(name).render(facts)
    try:
        return _text(_theirs(folder), name, facts)
    except Exception as failure:  # noqa: BLE001  # whatever other people's templates raise, sales is told
        log.warning("template_broken", template=_line(failure, folder, name), reason=_why(failure))
    return _ours().get_template(name).render(facts)


def words(language: str, folder: Path | None = None) -> Mapping[str, Any]:
    """What the templates call `words`, for what is no template. Of a project's own words those count that are of the
    same kind as ours and not empty."""
    name = f"{language}/words.j2"
    ours = {word: said for word, said in vars(_ours().get_template(name).module).items() if not word.startswith("_")}
    if folder is None:
        return ours
    try:
        theirs = vars(_theirs(folder).get_template(name).module)
    except Exception as failure:  # noqa: BLE001  # as in rendered
        log.warning("template_broken", template=_line(failure, folder, name), reason=_why(failure))
        return ours
    return {word: _of_its_kind(theirs.get(word), said) for word, said in ours.items()}


def _of_its_kind(theirs: Any, ours: Any) -> Any:
    return theirs if theirs and isinstance(theirs, type(ours)) else ours


def broken(folder: Path, samples: Iterable[Facts]) -> Iterator[Broken]:
    """Each thing that is wrong with the project's templates, once; found by making messages of the samples."""
    tried, seen = list(samples), set[Broken]()
    for name in (name for name in NAMES if (folder / name).is_file()):
        for facts in [{}] if name in _WORDS else [each for each in tried if _is_of(each, name)]:
            found = _doubt(folder, name, facts)
            if found is not None and found not in seen:
                seen.add(found)
                yield found


def _is_of(sample: Facts, name: str) -> bool:
    """Digests tell of other things than the messages about one lead."""
    return ("leads" in sample) == name.startswith("digest_")


def strangers(folder: Path) -> list[str]:
    """Names of templates in the folder that stand in for none of ours."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*.j2"))
    return sorted(name for name in found if name not in NAMES)


def _doubt(folder: Path, name: str, facts: Facts) -> Broken | None:
    try:
        if name in _WORDS:
            _has_all_words(folder, name)
        else:
            _text(_theirs(folder), name, facts)
    except Exception as failure:  # noqa: BLE001  # see rendered
        return Broken(_line(failure, folder, name), _why(failure))
    return None


def _has_all_words(folder: Path, name: str) -> None:
    """Ours may ask for any of them."""
    theirs, ours = (vars(each.get_template(name).module) for each in (_theirs(folder), _ours()))
    lacking = sorted(word for word in ours if not word.startswith("_") and word not in theirs)
    if lacking:
        raise ValueError(f"it does not set {', '.join(lacking)}")


def _text(templates: Environment, name: str, facts: Facts) -> str:
    text = templates.get_template(name).render(facts)
    if not text.strip() and name != _MAY_BE_EMPTY:
        raise ValueError("it comes to no text at all")
    if len(text) > LONGEST[name]:
        raise ValueError(f"it comes to more than {LONGEST[name]:,} characters")
    return text


@cache
def _ours() -> Environment:
    return _environment(Environment, PackageLoader("syncer.handoff"))


@cache
def _theirs(folder: Path) -> Environment:
    """A file that changes is read again."""
    both = ChoiceLoader([FileSystemLoader(folder), PackageLoader("syncer.handoff")])
    return _environment(ImmutableSandboxedEnvironment, both)


def _environment(kind: Callable[..., Environment], loader: BaseLoader) -> Environment:
    return kind(
        loader=loader,
        undefined=StrictUndefined,
        autoescape=select_autoescape(enabled_extensions=("html.j2",)),
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _line(failure: Exception, folder: Path, name: str) -> str:
    """Where in the project's templates it went wrong: Jinja puts their lines into the traceback."""
    if isinstance(failure, TemplateSyntaxError) and failure.filename:
        return _shown(Path(failure.filename), failure.lineno, folder)
    frames = traceback.extract_tb(failure.__traceback__)
    theirs = [frame for frame in frames if Path(frame.filename).is_relative_to(folder)]
    if not theirs:
        return _shown(folder / name, None, folder)
    return _shown(Path(theirs[-1].filename), theirs[-1].lineno, folder)


def _shown(path: Path, line: int | None, folder: Path) -> str:
    named = path.relative_to(folder.parent).as_posix() if path.is_relative_to(folder) else path.name
    return f"{named}:{line}" if line else named


def _why(failure: Exception) -> str:
    return f"{type(failure).__name__}: {failure}" if str(failure) else type(failure).__name__
