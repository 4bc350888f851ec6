"""Why something was not done, in the words of whoever asked: a program reads English and the names of fields, a person
their own language and what the page calls a field."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from syncer.log import BLOT
from syncer.settings.checking import mistake_of
from syncer.settings.values import Language
from syncer.web.phrases import phrase
from syncer.web.phrases.errors import FIELDS, SENTENCES
from syncer.web.views import Asked


class Reader(NamedTuple):
    language: Language
    is_program: bool


def in_words(reader: Reader, english: str) -> str:
    """A sentence of ours, which nobody has translated for what is met seldom."""
    if reader.language == "en":
        return english
    for pattern, spanish in _sentences():
        if found := pattern.fullmatch(english):
            return spanish.format(**found.groupdict())
    return f"{phrase(reader.language, 'lead_exactly')}: {english}"


@cache
def _sentences() -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((_pattern(english), spanish) for english, spanish in SENTENCES)


def _pattern(english: str) -> re.Pattern[str]:
    """What fits the sentence, with the names in it as groups."""
    return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>.*?)", re.escape(english)), re.DOTALL)


def mistakes(reader: Reader, error: ValidationError, asked: type[Asked]) -> str:
    """For each value that makes no sense: its name, what is wrong, what may stand there."""
    return "; ".join(_mistake(reader, _unsaid(each, asked), asked) for each in error.errors(include_url=False))


def _mistake(reader: Reader, details: ErrorDetails, asked: type[Asked]) -> str:
    steps = tuple(map(str, details["loc"]))
    found = mistake_of(details, steps, asked)
    said = " ".join(in_words(reader, each) for each in (found.message, found.help) if each)
    named = ".".join(steps)
    if not reader.is_program and steps and steps[0] in FIELDS:
        named = phrase(reader.language, FIELDS[steps[0]])
    return f"{named}: {said}" if named else said


def _unsaid(details: ErrorDetails, asked: type[Asked]) -> ErrorDetails:
    """Without the value where that is a secret of whatever shape."""
    field = asked.model_fields.get(str(details["loc"][0])) if details["loc"] else None
    is_secret = field is not None and "Secret" in str(field.annotation)
    return {**details, "input": BLOT} if is_secret else details
