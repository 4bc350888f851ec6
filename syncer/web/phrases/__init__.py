"""What the pages say, in each language: one module for each page, each with its PHRASES: key -> (English, Spanish).

A phrase may hold names in braces, which are filled by str.format.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from syncer.settings.values import Language
from syncer.web.phrases import common, funnel, handoffs, lead, leads, runs, signing, what_if

_MODULES = (common, funnel, handoffs, lead, leads, runs, signing, what_if)
PHRASES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {key: both for module in _MODULES for key, both in module.PHRASES.items()}
)
_LANGUAGES: tuple[Language, ...] = ("en", "es")


def phrase(language: Language, key: str, **facts: Any) -> str:
    """KeyError for a phrase that nobody has written: a test asks for each one that a template uses."""
    return PHRASES[key][_LANGUAGES.index(language)].format(**facts)
