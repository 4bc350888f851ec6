"""Tasks in the CRM as a channel: what is asked of the connector, and what becomes of its answers."""

from __future__ import annotations

from datetime import timedelta

import pytest

from syncer.connector import HandoffTarget
from syncer.errors import ConfigError, NotFound, SyncerError, TemporaryError
from syncer.handoff import Audience, notices
from syncer.handoff.crm_task import CrmTaskChannel
from syncer.handoff.delivery import LONGEST_WISH_S, DeliveryError
from syncer.settings import CrmTask, HandoffSettings, Route
from tests.handoff.samples import AT, Desk, handoff, notice

ROUTES = (Route(None, ("owner",), fallback="sales@acme.es"),)


def channel(target: HandoffTarget | None) -> CrmTaskChannel:
    told = HandoffSettings("sql", routes=ROUTES)
    return CrmTaskChannel(target, timedelta(days=1), Audience("es", "Europe/Madrid"), told)


def failure(error: SyncerError) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        channel(Desk(script=[error])).send(notice(), repeat=False)
    return caught.value


def test_a_task_has_the_subject_the_reasons_and_the_link_and_is_due_in_time() -> None:
    desk = Desk()
    channel(desk).send(notice("k1"), repeat=False)
    task = desk.tasks["k1"]
    assert (task.record, task.due_at, task.fallback_owner) == (
        handoff().record,
        AT + timedelta(days=1),
        "sales@acme.es",
    )
    assert task.subject == "Ana Ruiz ya es SQL: 78 puntos"
    for told in (*handoff().reasons, "https://app.crm.test/contacts/2583391/90151?a=1&b=2"):
        assert told in task.body
    assert "<" not in task.body


def test_the_task_is_for_who_it_was_given_to_where_that_is_not_the_owner() -> None:
    desk = Desk()
    channel(desk).send(notice("k1", owner=None, assigned_to="marta@acme.es"), repeat=False)
    channel(desk).send(notice("k2", assigned_to="marta@acme.es"), repeat=False)
    channel(desk).send(notice("k3", assigned_to="LUIS@acme.es"), repeat=False)
    owners = {key: (task.owner, task.fallback_owner) for key, task in desk.tasks.items()}
    assert owners == {
        "k1": ("marta@acme.es", "sales@acme.es"),
        "k2": ("marta@acme.es", "sales@acme.es"),
        "k3": (None, "sales@acme.es"),
    }


def test_a_repeat_is_the_very_same_task() -> None:
    first, again = Desk(), Desk()
    channel(first).send(notice("k1"), repeat=False)
    channel(again).send(notice("k1"), repeat=True)
    assert first.tasks == again.tasks


def test_a_name_with_line_breaks_stays_on_its_line() -> None:
    desk = Desk()
    channel(desk).send(notice("k1", name="Ana\nsyncer: other\u2028x"), repeat=False)
    assert desk.tasks["k1"].subject.startswith("Ana syncer: other x ")
    assert not any(line.startswith("syncer:") for line in desk.tasks["k1"].body.splitlines())


def test_what_time_settles_is_tried_again_when_the_crm_wishes() -> None:
    told = failure(TemporaryError("crm: busy", retry_after_s=120))
    assert (told.outcome, told.retry_after_s, told.message) == ("temporary", 120, "crm: busy")
    assert failure(TemporaryError("crm: no answer")).retry_after_s is None
    assert failure(TemporaryError("crm: tomorrow", retry_after_s=10**6)).retry_after_s == LONGEST_WISH_S


@pytest.mark.parametrize("error", [ConfigError("crm: no such field"), NotFound("crm: the contact 1 is gone")], ids=str)
def test_what_the_crm_refuses_for_good_is_not_tried_again(error: SyncerError) -> None:
    assert (failure(error).outcome, failure(error).message) == ("permanent", error.message)


def test_a_connector_without_tasks_is_told_with_a_way_out() -> None:
    with pytest.raises(DeliveryError, match="crm: its connector cannot create tasks; use a notifier of another type"):
        channel(None).send(notice(), repeat=False)


def test_there_is_one_notice_for_the_record_whatever_the_routes_say() -> None:
    settings = HandoffSettings("sql", notifiers={"todo": CrmTask()}, routes=ROUTES, notify=("todo",))
    (made,) = notices(handoff(), settings)
    assert (made.recipient, made.state) == ("crm/contacts/90151", "waiting")
    assert [each.key for each in notices(handoff(owner=None), settings)] == [made.key]
