"""Ten thousand leads become ready in one run: a person must allow it, and then sales hears of all of them within what
each channel takes, each once, by a process that needs no more memory for them than for two thousand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from syncer.app import App, opened
from syncer.errors import UnsafePlanError
from syncer.model import Cursor, Decision, LeadPlan, Notice, Page, Record, RecordKey, Score, StageState
from syncer.parts import Asked
from syncer.planning import Limits
from syncer.run import sync
from syncer.settings import process_settings
from syncer.store import mirror, open_store, outbox
from tests.connectors.spreadsheet.accounts import save
from tests.handoff.samples import AT, handoff
from tests.receivers import HttpReceiver, Received, Reply, SmtpReceiver
from tests.reporting import FIGURES

pytestmark = pytest.mark.slow

MANY, FEWER = 10_000, 2_000
MODEL = """\
name: small
fit:
  rules:
    - {name: In a city we sell to, when: {city: [Madrid]}, points: 40}
stages:
  - {name: cold}
  - {name: hot, enter: [total >= 30]}
"""
PROJECT = """\
version: 1
connections:
  sheet: {{type: spreadsheet, path: leads.csv, fields: {{city: Ciudad}}}}
sync: {{max_stage_changes: 10000}}
models: model.yml
handoff:
  when: hot
  notifiers:
    mail: {{type: email, host: 127.0.0.1, port: {port}, security: none, from: syncer@acme.test}}
  route:
    - {{to: sales@acme.test}}
  notify: mail
"""


def _leads_named(text: str) -> list[int]:
    return [int(each) for each in re.findall(r"\bl(\d+)@acme\.test", text)]


def _leads_told(mail: SmtpReceiver) -> list[int]:
    bodies = (each.message.get_body(("plain",)) for each in mail.received)
    return [lead for body in bodies if body is not None for lead in _leads_named(body.get_content())]


def _write(folder: Path, city: str) -> None:
    save(folder / "leads.csv", [("Correo", "Ciudad"), *((f"l{lead}@acme.test", city) for lead in range(MANY))])


def test_ten_thousand_leads_at_once_wait_for_a_person_who_has_them_told_in_fifty_messages(
    tmp_path: Path, record_property: Any
) -> None:
    with SmtpReceiver() as mail:
        (tmp_path / "model.yml").write_text(MODEL)
        (tmp_path / "syncer.yml").write_text(PROJECT.format(port=mail.port))
        database_url = f"sqlite:///{tmp_path / 'syncer.db'}"
        process = process_settings(tmp_path, config=tmp_path / "syncer.yml", database_url=database_url)
        with opened(process, {}) as app:
            _write(tmp_path, "Roma")
            sync(app.parts("sheet"))
            _write(tmp_path, "Madrid")
            with pytest.raises(UnsafePlanError, match=r"hands 10000 leads to sales, more than sync.max_handoffs: 50"):
                sync(app.parts("sheet"))
            assert (mail.received, _notices(app)) == ([], {})
            began = time.monotonic()
            report = sync(app.parts("sheet"), Asked(limits=Limits(MANY, MANY)))
            took_s = time.monotonic() - began
            assert _notices(app) == {"sent": MANY}
        assert (report.counts["notices_sent"], report.counts["digests_sent"]) == (MANY, MANY / 200)
        assert len(mail.received) == MANY / 200
        assert sorted(_leads_told(mail)) == list(range(MANY))
    record_property(
        FIGURES, f"{MANY:,} leads ready in one run: told in {MANY // 200} e-mails, the run took {took_s:.0f} s"
    )


def _notices(app: App) -> dict[Any, int]:
    with app.store.reading() as tx:
        return dict(outbox.counts(tx, "sheet"))


class Slack(HttpReceiver):
    """Refuses what Slack does: more than one message a second, and what is too long for it."""

    def __init__(self) -> None:
        super().__init__()
        self.told: Counter[int] = Counter()
        self.refused: Counter[str] = Counter()
        self._last = 0.0

    def reply_to(self, received: Received) -> Reply:
        now, post = time.monotonic(), orjson.loads(received.body)
        too_soon, self._last = now - self._last < 0.99, now
        if too_soon:
            self.refused["too soon"] += 1
            return Reply(429, "", {"Retry-After": "1"})
        texts = [block["text"]["text"] for block in post["blocks"]]
        if len(texts) > 50 or max(map(len, texts)) > 3_000 or sum(map(len, texts)) > 12_000:
            self.refused["too long"] += 1
            return Reply(400, "invalid_blocks")
        self.told.update(_leads_named("\n".join(texts)))
        return super().reply_to(received)


_DRAINER = """
import re, sys, threading, time
from datetime import datetime
import orjson
from pydantic import SecretStr
from syncer.handoff import Delivery, drain
from syncer.settings import Email, HandoffSettings, Route, Slack, Webhook
from syncer.store import leases, open_store
url, slack, hook, port, now = sys.argv[1:]
store = open_store(url)
lease = leases.take(store, "crm", holder="drainer", ttl_s=120)
mail = {"host": "127.0.0.1", "port": int(port), "from": "syncer@acme.test", "security": "none"}
near = {"private_addresses": True}
team, hook = Slack(url=SecretStr(slack), **near), Webhook(url=hook, **near)
notifiers = {"team": team, "hook": hook, "mail": Email.model_validate(mail)}
settings = HandoffSettings("sql", notifiers=notifiers, notify=tuple(notifiers))
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
def drained():
    clock = lambda: datetime.fromisoformat(now)
    return drain(Delivery(store, "crm", settings, clock, threading.Event(), lease, "en", "UTC"))
before, began = peak(), time.monotonic()
counts = drained()
print(orjson.dumps({"counts": counts, "before": before, "peak": peak(), "s": time.monotonic() - began}).decode())
"""


class Place:
    """A database in which so many hand-offs are ready, and who hears of them."""

    def __init__(self, folder: Path, leads: int) -> None:
        self.url, self.leads = f"sqlite:///{folder / f'{leads}.db'}", leads
        self.slack, self.hook, self.mail = Slack(), HttpReceiver(), SmtpReceiver()
        _fill(self.url, leads)

    def start(self) -> subprocess.Popen[str]:
        root = Path(__file__).parents[2]
        arguments = [self.url, self.slack.url, self.hook.url, str(self.mail.port), AT.isoformat()]
        environment = {**os.environ, "PYTHONPATH": str(root)}
        command = [sys.executable, "-c", _DRAINER, *arguments]
        return subprocess.Popen(command, cwd=root, env=environment, stdout=subprocess.PIPE, text=True)


def _fill(url: str, leads: int) -> None:
    store = open_store(url)
    keys = [RecordKey("crm", "contacts", str(lead)) for lead in range(leads)]
    with store.writing() as tx:
        told = tuple(Record(key, AT, email=f"l{key.id}@acme.test") for key in keys)
        mirror.store_page(tx, "crm", "contacts", Page(Cursor("1"), told), AT)
    for found in mirror.chunks(store, "crm", which="all", now=AT):
        plans = [_plan(each.id, each.records[0].key) for each in found]
        new = [notice for plan in plans for notice in _ready(plan)]
        with store.writing() as tx:
            outbox.keep(tx, plans, new, AT)
    store.close()


def _plan(lead: int, key: RecordKey) -> LeadPlan:
    """As large as a hand-off is: with fields, reasons and a link."""
    told = handoff(
        key=f"here/{key}#1", lead=lead, record=key, name=None, email=f"l{key.id}@acme.test", total=int(key.id) % 9_000,
        url=f"https://crm.test/{key.id}", fields={f"field_{rank}": "x" * 40 for rank in range(30)},
        reasons=("+30 Asked for a demo", "+20 Decision maker (jobtitle = Director)", "+10 Webinar"),
    )  # fmt: skip
    score = Score(lead, AT, "m@1", {}, told.total)
    return LeadPlan(Decision(lead, 1, score, None, StageState("sql", "sql", AT, 1), None, None), handoff=told)


def _ready(plan: LeadPlan) -> Iterator[Notice]:
    assert plan.handoff is not None
    for channel, recipient in (("team", ""), ("hook", ""), ("mail", "sales@acme.test")):
        yield Notice(f"{channel}/{plan.handoff.key}", plan.handoff, channel, recipient, "ready")


def _insist_on_each_once(place: Place, counts: dict[str, int]) -> None:
    assert counts["notices_sent"] == 3 * place.leads
    assert not place.slack.refused
    assert place.slack.told == Counter(range(place.leads))
    assert sorted(_leads_told(place.mail)) == list(range(place.leads))
    assert len(place.hook.distinct) == len(place.hook.received) == place.leads
    for mail in place.mail.received:
        body = mail.message.get_body(("plain",))
        assert body is not None
        scores = [int(each) for each in re.findall(r", (\d+) points", body.get_content())]
        assert scores == sorted(scores, reverse=True)


def _drained(places: Sequence[Place]) -> list[dict[str, Any]]:
    running = [place.start() for place in places]
    told = [each.communicate(timeout=240)[0] for each in running]
    assert [each.returncode for each in running] == [0] * len(running)
    return [orjson.loads(each) for each in told]


def test_they_are_told_within_what_each_channel_takes_and_in_no_more_memory_than_fewer(
    tmp_path: Path, record_property: Any
) -> None:
    many, fewer = (Place(tmp_path, leads) for leads in (MANY, FEWER))
    with many.slack, many.hook, many.mail, fewer.slack, fewer.hook, fewer.mail:
        large, small = _drained([many, fewer])
    _insist_on_each_once(many, large["counts"])
    _insist_on_each_once(fewer, small["counts"])
    grown = [(each["peak"] - each["before"]) / 1024 for each in (large, small)]
    record_property(
        FIGURES,
        f"{MANY:,} leads told: {len(many.slack.received)} Slack messages, {len(many.mail.received)} e-mails, "
        f"{len(many.hook.received):,} webhooks in {large['s']:.0f} s; memory grew by {grown[0]:.1f} MB, "
        f"with {FEWER:,} leads by {grown[1]:.1f} MB: {grown[0] / grown[1]:.2f} times",
    )
    assert grown[0] < grown[1] * 1.5 + 8, "memory grows with the number of leads"
