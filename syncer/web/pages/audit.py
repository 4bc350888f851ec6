"""The audit log, the latest first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, get_args

from pydantic import Field

from syncer.store import audit
from syncer.web.views import Action, Asked, Asking, View

ON_A_PAGE = 100


class Before(Asked):
    """`before`: the number of an entry; what was done before it."""

    before: Annotated[int, Field(ge=1, le=2**62)] | None = None


@dataclass(frozen=True, slots=True)
class Act:
    id: int
    at: datetime
    who: str
    act: str  # see `store.audit.Act`
    about: str
    address: str | None
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Acts:
    """`older`: what to ask for as `before` to see more; None: that is all."""

    entries: tuple[Act, ...]
    older: int | None

    @property
    def known(self) -> tuple[str, ...]:
        """Acts that have words."""
        return get_args(audit.Act)


def _acts(asking: Asking, asked: Before) -> Acts:
    with asking.app.store.reading() as tx:
        found = audit.entries(tx, asked.before, ON_A_PAGE + 1)
    shown = tuple(
        Act(number, each.at, each.who, each.act, each.about, each.address, each.details)
        for number, each in found[:ON_A_PAGE]
    )
    return Acts(shown, shown[-1].id if len(found) > ON_A_PAGE else None)


VIEWS: tuple[View[Any, Any], ...] = (View("/audit", "audit", Before, Acts, _acts, "admin"),)
ACTIONS: tuple[Action[Any], ...] = ()
