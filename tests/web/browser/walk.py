"""The way through all pages: for each view the addresses that are looked at, filled from what is in the base."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import quote

from sqlalchemy import select

from syncer.store import tables
from tests.web.pages import Pages

ADDRESSES: Mapping[str, tuple[tuple[str, str], ...]] = MappingProxyType({
    "/": (("funnel", "/"), ("funnel-quarter", "/?days=90"), ("funnel-source", "/?days=90&source=ORGANIC_SEARCH")),
    "/leads": (("leads", "/leads"), ("leads-found", "/leads?q=valdes"), ("leads-none", "/leads?q=nobody-is-called-so")),
    "/leads/by": (("lead-by", "/leads/by?record={record}"),),
    "/leads/{lead}": (("lead", "/leads/{sql_lead}"), ("lead-warm", "/leads/{mql_lead}")),
    "/leads/{lead}/timeline": (("lead-timeline", "/leads/{sql_lead}/timeline"),),
    "/leads/{lead}/course": (("lead-course", "/leads/{sql_lead}/course"),),
    "/handoffs": (("handoffs", "/handoffs"),),
    "/what-if": (("what-if", "/what-if"),),
    "/runs": (("runs", "/runs"),),
    "/runs/counts": (("run-counts", "/runs/counts"),),
    "/runs/rules": (("run-rules", "/runs/rules"),),
    "/runs/{run}": (("run", "/runs/{run}"),),
    "/rejected": (("rejected", "/rejected"),),
    "/plans/{connection}": (("plan", "/plans/crm"),),
    "/account": (("account", "/account"),),
    "/audit": (("audit", "/audit"),),
    "/users": (("users", "/users"),),
})  # fmt: skip
"""Path of a view -> (name of the picture, address)."""

TROUBLED = (
    ("plan-waiting", "/plans/crm"), ("plan-move", "/plans/crm?move=mql%3Esql"), ("runs-waiting", "/runs"),
    ("run-waiting", "/runs/{run}"), ("rejected-some", "/rejected"), ("rejected-untaken", "/rejected?what=untaken"),
    ("leads-hostile", "/leads"), ("lead-overridden", "/leads/1"), ("account-signed-in", "/account"),
    ("users-some", "/users"), ("audit-some", "/audit"),
)  # fmt: skip
"""What is looked at where something is wrong, by somebody who has signed in."""
STRANGER = (("sign-in", "/sign-in?to=%2Fleads"), ("sign-in-wanted", "/"))
"""What is looked at there by somebody who has not."""


@dataclass(frozen=True, slots=True)
class Walk:
    """Where it goes, what stands in the addresses, and the cookie of who walks."""

    origin: str
    known: Mapping[str, object]
    cookie: tuple[str, str] | None = None

    def address(self, text: str) -> str:
        return text.format_map(self.known)


@dataclass(frozen=True, slots=True)
class Stop:
    """`walk`: the fixture in whose base it is."""

    name: str
    address: str
    walk: str = "walk"


def walk_of(pages: Pages) -> Walk:
    with pages.app.store.reading() as tx:
        hottest = select(tables.leads.c.id).where(tables.leads.c.stage == "sql").order_by(tables.leads.c.total.desc())
        warm = select(tables.leads.c.id).where(tables.leads.c.stage == "mql").order_by(tables.leads.c.total.desc())
        known = {"sql_lead": tx.scalar(hottest), "mql_lead": tx.scalar(warm)}
        columns = tables.handoffs.c.connection, tables.handoffs.c.object, tables.handoffs.c.record_id
        record = tx.execute(select(*columns)).first() or ()
        run = tx.scalar(select(tables.runs.c.id).order_by(tables.runs.c.id.desc()))
    return Walk(pages.caller.origin, {**known, "record": quote("/".join(record)), "run": run})


def troubled_walk_of(pages: Pages, cookie: tuple[str, str] | None) -> Walk:
    with pages.app.store.reading() as tx:
        run = tx.scalar(select(tables.runs.c.id).order_by(tables.runs.c.id.desc()))
    return Walk(pages.caller.origin, {"run": run}, cookie)


def stops() -> list[Stop]:
    found = [Stop(*each) for of_view in ADDRESSES.values() for each in of_view]
    found += [Stop(*each, walk="troubled_walk") for each in TROUBLED]
    return found + [Stop(*each, walk="strangers_walk") for each in STRANGER]
