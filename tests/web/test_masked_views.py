"""Who sees addresses in part sees no whole one, wherever one stands: every view is walked on a base whose keys are made
of addresses, as those of spreadsheets are, and every answer is read to its last token."""

from __future__ import annotations

import base64
import binascii
import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import pytest

from syncer.model import Answer, Override, Page, Reading, Record, Rejected
from syncer.store import Store, cards, decisions, mirror, runs, write_backs
from syncer.web.pages import DOWNLOADS, VIEWS
from tests.handed import Desk
from tests.store.samples import HOUR, NOW, activity, all_leads, apply, handoff, key, planned, put
from tests.web.guests import SIGN_IN, Browser, Inn, inn_on_sqlite

MANY = 105  # more than any page shows
WHOLE = re.compile(r"ruiz\w*@")  # of an address in part nothing but its first letter is left
pytestmark = pytest.mark.usefixtures("quick_hashes")


def people() -> Iterator[Record]:
    """Of some nothing is known but the key or the address."""
    for number in range(MANY):
        address = f"ana.ruiz{number}@acme.es"
        url, owner = f"https://crm.es/people/{address.replace('@', '%40')}", f"luis.ruiz{number % 9}@us.es"
        email, fields = address if number % 2 else None, {"country": "ES"}
        yield Record(key(address), NOW, email=email, fields=fields, owner=owner, url=url)


def laid(store: Store) -> None:
    put(store, *people())
    leads = all_leads(store)
    apply(store, *(planned(lead, "mql") for lead in leads))
    with store.writing() as tx:
        cards.keep(tx, all_leads(store), None)
    of_first(store)
    refused(store)
    handed(store)
    fused(store)


def of_first(store: Store) -> None:
    """So much has happened with one lead that it takes several parts."""
    (lead, *_) = all_leads(store)
    hers = lead.records[0].key.id
    subject = {"subject": "Re: to luis.ruiz@us.es"}
    put(store, *(activity(f"{hers}/{number}", hers, fields=subject) for number in range(MANY)))
    put(store, *(activity(f"{hers}/later{number}", hers, hour=-number) for number in range(MANY)))
    for count in (1, 2):
        put(store, readings=(Reading(key(hers), "email_open", count, NOW, NOW + count * HOUR),))
    with store.writing() as tx:
        word = Override("sql", "marta.ruiz@acme.es", "asked by luis.ruiz@us.es", "command", NOW)
        decisions.set_override(tx, lead.id, word)


def refused(store: Store) -> None:
    both = [lead.records[0].key for lead in all_leads(store)]
    wrong = tuple(Rejected(f"eva.ruiz{number}@acme.es", "no date: luis.ruiz@us.es") for number in range(MANY))
    with store.writing() as tx:
        mirror.store_page(tx, "crm", "contacts", Page(None, rejected=wrong), NOW)
        for each in both:
            write_backs.give_up(tx, each, f"{each.id} is archived")


def handed(store: Store) -> None:
    for number, lead in enumerate(all_leads(store)):
        desk, name = Desk(store, lead.id), lead.records[0].key.id
        made = desk.put(name, NOW - number // 9 * HOUR, email=None, name=None, assigned_to="luis.ruiz@us.es")
        desk.tell(made, "mail", recipient="luis.ruiz@us.es", state="dead", error=f"550 no {name}")
        if number % 3 == 0:
            desk.say(made, Answer(False, "luis.ruiz@us.es", NOW, "link", "ask eva.ruiz@us.es"))


def fused(store: Store) -> None:
    plans = [replace(planned(lead, "sql"), handoff=handoff(lead)) for lead in all_leads(store)]
    with store.writing() as tx:
        run = runs.start(tx, "crm", NOW, "full", "fp")
        decisions.save_plan(tx, run, plans)
        runs.finish(tx, run, "waiting", {"stage_changes": MANY, "handoffs": MANY}, "for luis.ruiz@us.es", NOW)


def ways_to_read(text: str) -> Iterator[str]:
    """The text as it is, and whatever is written in other letters within it."""
    plain = unquote(unquote(unescape(text)))
    yield plain
    for token in set(re.findall(r"[\w+/=-]{8,}", plain)):
        for decode in (base64.urlsafe_b64decode, base64.b64decode):
            for padded in (token, token.rstrip("=") + "=" * (-len(token.rstrip("=")) % 4)):
                try:
                    yield decode(padded).decode("utf-8", "replace")
                except (binascii.Error, ValueError):
                    continue


def read_through(text: str) -> str:
    return "\n".join(ways_to_read(text))


def contents(body: bytes) -> str:
    if body.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(body)) as book:
            return " ".join(book.read(name).decode("utf-8", "replace") for name in book.namelist())
    return body.decode("utf-8", "replace")


def addresses(page: str, seen: set[str]) -> Iterator[str]:
    """Where the page leads to, each kind a few times: one lead's page is as another's."""
    for found in re.findall(r'(?:href|hx-get)="(/[^"#]*)', page):
        kind = re.sub(r"\d+", "9", unescape(found))
        kind = kind if "after" in kind or "before" in kind else kind.partition("?")[0]
        if kind not in seen and not kind.startswith("/static"):
            seen.add(kind)
            yield unescape(found)


@pytest.fixture
def masking(tmp_path: Path, sqlite_template: Path) -> Iterator[Inn]:
    with inn_on_sqlite(tmp_path, sqlite_template, f"mask_emails: true\n  {SIGN_IN}") as inn:
        laid(inn.app.store)
        yield inn


def walked(vera: Browser, starts: list[str]) -> Iterator[tuple[str, str]]:
    """(address, what it answered) of each page and what the API says of the same."""
    seen: set[str] = set()
    to_see = list(starts)
    while to_see and len(seen) < 400:
        path = to_see.pop(0)
        shown = contents(vera.get(path).data)
        to_see += addresses(shown, seen)
        yield path, shown
        yield f"/api{path}", contents(vera.get(f"/api{path}").data)


def test_who_sees_addresses_in_part_is_told_no_whole_one_anywhere(masking: Inn) -> None:
    paths = [*(each.path for each in VIEWS), *(each.path for each in DOWNLOADS)]
    starts = [re.sub(r"\{connection\}", "crm", re.sub(r"\{(lead|run)\}", "1", path)) for path in paths]
    starts += ["/leads?sort=name", "/leads?sort=since", "/handoffs?only=all", "/rejected?what=untaken",
               "/leads/by?record=ana.ruiz", "/leads/99999", "/handoffs?only=unsent"]  # fmt: skip
    vera = masking.user("vera")
    answered = dict(walked(vera, starts))
    leaks = {path: found[0] for path, answer in answered.items() if (found := re.findall(WHOLE, read_through(answer)))}
    assert leaks == {}
    further = [path for path in answered if re.search("[?&](after|before)", path)]
    assert {path.removeprefix("/api").partition("?")[0] for path in further} >= {
        "/leads", "/handoffs", "/rejected", "/plans/crm", "/leads/1/timeline",
    }  # fmt: skip


def test_nothing_is_missing_or_twice_on_the_parts_of_who_sees_addresses_in_part(masking: Inn) -> None:
    vera, otto = masking.user("vera"), masking.user("otto", "operator")

    def timeline(reader: Browser) -> list[str]:
        told, events = reader.get("/api/leads/1/timeline").json()["timeline"], []
        while True:
            events += [f"{each['at']} {each['kind']}" for each in told["events"]]
            if told["earlier"] is None:
                return events
            told = reader.get(f"/api/leads/1/timeline?before={told['earlier']}").json()["timeline"]

    def handoffs(reader: Browser) -> list[int]:
        told, leads = reader.get("/api/handoffs?only=all").json(), []
        while True:
            leads += [each["lead"] for each in told["rows"]]
            if told["next"] is None:
                return leads
            told = reader.get(f"/api/handoffs?only=all&after={told['next']}").json()

    assert timeline(vera) == timeline(otto)
    assert len(timeline(vera)) > 2 * MANY
    assert handoffs(vera) == handoffs(otto)
    assert sorted(handoffs(vera)) == list(range(1, MANY + 1))
