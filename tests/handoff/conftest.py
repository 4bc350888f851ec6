from __future__ import annotations

from collections.abc import Iterator

import pytest

from syncer.store import Store, leases
from tests.handoff.house import House, Listener
from tests.receivers import SmtpReceiver


@pytest.fixture
def house(store: Store) -> Iterator[House]:
    lease = leases.take(store, "crm", holder="test", ttl_s=60)
    assert lease is not None
    with Listener() as slack, Listener() as hook, SmtpReceiver() as mail:
        yield House(store, lease, slack, hook, mail)
