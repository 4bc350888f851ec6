"""Whole runs that hand over to a team: whoever is chosen stays chosen, wherever a process dies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from syncer import run
from syncer.parts import Asked
from syncer.run import deliver
from syncer.store import Store, handed_over, outbox, runs
from tests.receivers import HttpReceiver, SmtpReceiver
from tests.runs.test_sweep import HOUR, World

TEAM = """\
handoff:
  when: warm
  people:
    ana: {{email: ana@acme.es}}
    luis: {{email: luis@acme.es}}
    eva: {{email: eva@acme.es, away: [{{from: 2026-11-01, to: 2026-11-30}}]}}
  teams: {{latam: {{members: [ana, luis, eva]}}}}
  route: [{{to: [latam, boss@acme.es]}}]
  notifiers:
    hook: {{type: webhook, private_addresses: true, url: "{url}"}}
    mail: {{type: email, host: 127.0.0.1, port: {port}, security: none, from: syncer@acme.es}}
  notify: [hook, mail]
"""
PEOPLE = tuple(map(str, range(6)))


class DiedError(BaseException):
    """The process ends here."""


def die(*_: object, **__: object) -> None:
    raise DiedError


@pytest.fixture
def hook() -> Iterator[HttpReceiver]:
    with HttpReceiver() as receiver:
        yield receiver


@pytest.fixture
def mailbox() -> Iterator[SmtpReceiver]:
    with SmtpReceiver() as receiver:
        yield receiver


@pytest.fixture
def world(tmp_path: Path, store: Store, hook: HttpReceiver, mailbox: SmtpReceiver) -> World:
    """Six people who were cold and have just asked for a demo."""
    made = World(tmp_path, store, more=TEAM.format(url=hook.url, port=mailbox.port))
    for each in PEOPLE:
        made.crm.put(each, forms=0)
    made.sync()
    for each in PEOPLE:
        made.crm.put(each, forms=1)
    return made


def given(world: World) -> dict[str, str | None]:
    """Record -> whom it was given to, as the database has it."""
    with world.store.reading() as tx:
        found = handed_over.listed(tx, handed_over.Wanted(("crm",), world.now))
    return {str(each.handoff.record): each.handoff.assigned_to for each in found}


def dies(world: World, monkeypatch: pytest.MonkeyPatch, where: object, name: str) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(where, name, die)
        with pytest.raises(DiedError):
            world.sync()


def test_the_choice_of_a_run_that_died_stays_and_each_is_told_once(
    world: World, hook: HttpReceiver, mailbox: SmtpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    dies(world, monkeypatch, runs, "keep_rules")
    assert given(world) == {}, "it died in the transaction that chooses"
    dies(world, monkeypatch, run, "send")
    chosen = given(world)
    assert Counter(chosen.values()) == {"ana@acme.es": 3, "luis@acme.es": 3}
    world.now += HOUR
    world.sync()
    world.sync(Asked(full=True))
    deliver(world.parts())
    assert given(world) == chosen
    told = [orjson.loads(each.body) for each in hook.received]
    assert {each["lead"]["record"]: each["assigned_to"] for each in told} == chosen
    assert len(told) == len(PEOPLE)
    recipients = Counter(each.recipient for each in mailbox.received)
    assert recipients == {"ana@acme.es": 3, "luis@acme.es": 3, "boss@acme.es": 6}


def test_who_is_told_of_nothing_is_given_nothing(world: World) -> None:
    world.sync(Asked(notify=False))
    assert set(given(world).values()) == {None}
    with world.store.reading() as tx:
        assert outbox.counts(tx, "crm") == {}
