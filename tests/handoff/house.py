"""A store with a lease, receivers on loopback, and a clock that the test turns: what the tests of the drain work in."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

from pydantic import SecretStr

from syncer.handoff import Delivery, drain, notices
from syncer.model import Cursor, Decision, LeadPlan, Notice, NoticeState, Page, Record, Score, StageState
from syncer.settings import CrmTask, Email, HandoffSettings, Notifier, Route, Slack, Webhook
from syncer.store import Lease, Store, mirror, outbox
from tests.handoff.samples import AT, HANDOFF, Desk
from tests.receivers import HttpReceiver, Received, Reply, SmtpReceiver

SECRET = "shared-secret"
LATER = AT + timedelta(minutes=20)  # past what a notice waits for the CRM


class Listener(HttpReceiver):
    """Knows when it heard something, and does what the test wants then."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []
        self.heard: Callable[[], object] = list

    def reply_to(self, received: Received) -> Reply:
        self.times.append(time.monotonic())
        self.heard()
        return super().reply_to(received)


@dataclass
class House:
    """A store with a lease, three receivers, a CRM that takes tasks, and a clock that the test turns."""

    store: Store
    lease: Lease
    slack: Listener
    hook: Listener
    mail: SmtpReceiver
    now: datetime = LATER
    stop: threading.Event = field(default_factory=threading.Event)
    repeats: Literal["resend", "hold"] = "resend"
    desk: Desk = field(default_factory=Desk)
    changes: dict[str, Any] = field(default_factory=dict)  # of the settings

    def settings(self, *notify: str) -> HandoffSettings:
        notifiers: dict[str, Notifier] = {
            "ventas": Slack(url=SecretStr(self.slack.url), private_addresses=True, timeout_s=0.4),
            "hook": Webhook(
                url=self.hook.url, secret=SecretStr(SECRET), private_addresses=True, timeout_s=0.5
            ),
            "correo": Email.model_validate(
                {"host": self.mail.host, "port": self.mail.port, "from": "syncer@acme.es", "security": "none",
                 "timeout_s": 0.5}
            ),
            "todo": CrmTask(),
        }  # fmt: skip
        settings = HandoffSettings(
            "sql",
            notifiers=notifiers,
            slack_repeats=self.repeats,
            email_repeats=self.repeats,
            routes=(Route(None, ("owner",)),),
            notify=notify or ("ventas", "hook", "correo"),
        )
        return replace(settings, **self.changes)

    def tell(self, *notify: str, key: str = HANDOFF.key, **changes: Any) -> list[Notice]:
        """Queue one hand-off."""
        handoff = replace(HANDOFF, key=key, lead=_lead(self.store), **changes)
        made = notices(handoff, self.settings(*notify))
        score = Score(handoff.lead, AT, "m@1", {}, handoff.total)
        decision = Decision(handoff.lead, 1, score, None, StageState("sql", "sql", AT, 1), None, None)
        with self.store.writing(self.lease) as tx:
            outbox.keep(tx, [LeadPlan(decision, handoff=handoff)], made, AT)
        return list(made)

    def drain(
        self, *notify: str, crm_rests: bool = False, clock: Callable[[], datetime] | None = None
    ) -> dict[str, int]:
        counts = drain(
            Delivery(
                store=self.store,
                connection="crm",
                settings=self.settings(*notify),
                clock=clock or (lambda: self.now),
                stop=self.stop,
                lease=self.lease,
                language="es",
                timezone="Europe/Madrid",
                target=self.desk,
                assigner=self.desk,
                crm_rests=crm_rests,
            )
        )
        return {name: count for name, count in counts.items() if count}

    def kept(self) -> dict[str, Notice]:
        """By channel."""
        with self.store.reading() as tx:
            return {each.channel: each for _, _, told in outbox.handoffs(tx, "crm") for each in told}

    def every(self) -> list[Notice]:
        """All of them, the oldest hand-off first."""
        with self.store.reading() as tx:
            return outbox.messages(tx, ["crm"], set(get_args(NoticeState)))

    def states(self) -> dict[NoticeState, int]:
        with self.store.reading() as tx:
            return outbox.counts(tx, "crm")


def _lead(store: Store) -> int:
    page = Page(Cursor("1"), (Record(HANDOFF.record, AT, email=HANDOFF.email),))
    with store.writing() as tx:
        mirror.store_page(tx, "crm", "contacts", page, AT)
        return mirror.find(tx, HANDOFF.record.id)[0]
