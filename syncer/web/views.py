"""What pages and API share: a view shows something, an action does something, each asked for with checked values.

`/PATH` is the page and `/api/PATH` the same as JSON, so neither can tell what the other does not.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, model_validator

from syncer.app import App
from syncer.settings.sign_in import Role as Role
from syncer.settings.values import Language
from syncer.store.columns import clean
from syncer.web.counting import Counting

A = TypeVar("A", bound="Asked")
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who asks."""

    name: str  # as the audit log tells it
    role: Role
    source: Literal["here", "password", "oidc", "token"]  # here: at this machine, where nobody signs in
    masked: bool = False  # e-mail addresses are shown in part

    def may(self, role: Role) -> bool:
        roles = get_args(Role)
        return roles.index(self.role) >= roles.index(role)


@dataclass(frozen=True, slots=True)
class Asking:
    """What a query or an act works with."""

    app: App
    who: Viewer
    counting: Counting
    address: str | None = None  # where the request came from


class Asked(BaseModel):
    """Base of what can be asked: names in the path, then in the query or in the form. Whatever else is sent is refused;
    what is empty counts as not sent. Texts are as the database can hold them."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    @model_validator(mode="before")
    @classmethod
    def _cleaned(cls, sent: Any) -> Any:
        return {clean(name): _clean(value) for name, value in sent.items()} if isinstance(sent, Mapping) else sent


def _clean(value: Any) -> Any:
    """A text, or a list of them. What lies deeper is asked for nowhere, and refused."""
    if isinstance(value, list):
        return [clean(each) if isinstance(each, str) else each for each in value]
    return clean(value) if isinstance(value, str) else value


@dataclass(frozen=True)
class View(Generic[A, S]):
    """`query` is called in a thread; what it gives is a frozen dataclass: the template's `it`, and the API's answer.

    SyncerError becomes an answer that says so: NotFound 404, TemporaryError 503, any other 409.
    """

    path: str  # "/leads/{lead}"
    name: str  # of the template pages/NAME.html.j2, in which `asked` and `who` are known, too
    asked: type[A]
    shows: type[S]
    query: Callable[[Asking, A], S]
    role: Role = "viewer"


@dataclass(frozen=True, slots=True)
class Done:
    """What an action has done: `said` names a phrase, filled with `facts`; `to` is the page to go back to."""

    said: str
    to: str
    facts: dict[str, Any]
    once: str = ""  # a secret that was made: told in the answer itself, and nowhere ever again


Beat = Callable[[], None]
"""Says that something goes on; raises where nobody waits for it any more."""


@dataclass(frozen=True)
class Download(Generic[A]):
    """A file that is made while it is sent. `parts` is gone through in threads, one at a time; it does without long
    transactions, and calls the beat it is given once in a few seconds."""

    path: str
    name: Callable[[Asking], str]  # "leads-2026-11-22.csv"
    media_type: str
    asked: type[A]
    parts: Callable[[Asking, A, Language, Beat], Generator[bytes, None, None]]
    role: Role = "viewer"


@dataclass(frozen=True)
class Action(Generic[A]):
    """`POST`, as a form or, under /api/, as JSON. Whatever it changes, it notes in the audit log."""

    path: str
    name: str
    asked: type[A]
    do: Callable[[Asking, A], Done]
    role: Role = "operator"
