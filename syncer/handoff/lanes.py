"""What is due over one channel, message by message: what may have arrived as it was, then many leads at once for whom
there are too many messages, then one by one. Memory stays bounded, and nothing is open while a message is sent.

All are looked at as of one moment: what falls due or is put off meanwhile is left to the next drain.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import product

from syncer.handoff.delivery import Gathering
from syncer.handoff.messages import MOST_LEADS
from syncer.model import Notice, NoticeKind
from syncer.settings import Digest
from syncer.store import Store, outbox
from syncer.store.outbox import Which

_BATCH = 200  # messages read at a time
_SORTED = 1_000  # leads among whom the strongest come first

Message = Sequence[Notice]
"""What goes out as one: a notice, or those of a digest."""


@dataclass(frozen=True, slots=True)
class Lane:
    """`gathers` None: the channel tells of each lead by itself."""

    store: Store
    connection: str
    name: str
    now: datetime
    digest: Digest
    gathers: Gathering | None = None

    def messages(self) -> Iterator[Message]:
        yield from self._digests_again()
        crowded = self._crowded() if self.gathers is not None else ()
        for (recipient, kind), unsure in product(crowded, (False, True)):  # what is news is not called a repeat
            yield from self._digests(Which(self.name, recipient, kind, unsure=unsure))
        for notice in self._all_of(Which(self.name), _BATCH):
            if notice.state == "uncertain" or (notice.recipient, notice.kind) not in crowded:
                yield (notice,)

    def _digests_again(self) -> Iterator[Message]:
        """Each with the very leads that it had."""
        with self.store.reading() as tx:
            names = outbox.uncertain_digests(tx, self.connection, self.name, self.now)
        for name in names:
            with self.store.reading() as tx:
                members = _strongest_first(outbox.of_digest(tx, self.connection, self.name, name))
            if self.gathers is not None and members:
                yield members
            else:
                yield from ((each,) for each in members)

    def _crowded(self) -> Collection[tuple[str, NoticeKind]]:
        """To whom there is more to tell than the settings allow one by one, and of what kind."""
        with self.store.reading() as tx:
            due = outbox.due_to(tx, self.connection, self.name, self.now)
            sent = outbox.sent_to(tx, self.connection, self.name, self.now - self.digest.per)
        return sorted(each for each, count in due.items() if count + sent[each] > self.digest.above)

    def _digests(self, which: Which) -> Iterator[Message]:
        found: list[Notice] = []
        for notice in self._all_of(which, _BATCH):
            if notice.state == "uncertain":
                continue  # it is repeated as it was
            found.append(notice)
            if len(found) == _SORTED:
                found = yield from self._gathered(found, leave=MOST_LEADS)
        yield from self._gathered(found)

    def _gathered(self, found: Sequence[Notice], leave: int = 0) -> Generator[Message, None, list[Notice]]:
        """`leave`: at most so many, the weakest, wait for more to come, lest a message has room left."""
        left = _strongest_first(found)
        while len(left) > leave and self.gathers is not None:
            count = self.gathers.fit(left[:MOST_LEADS])
            yield left[:count]
            left = left[count:]
        return left

    def _all_of(self, which: Which, limit: int) -> Iterator[Notice]:
        while True:
            with self.store.reading() as tx:
                found = outbox.due(tx, self.connection, self.now, limit, which)
            yield from found
            if len(found) < limit:
                return
            which = replace(which, after=found[-1])


def _strongest_first(notices: Sequence[Notice]) -> list[Notice]:
    return sorted(notices, key=lambda each: (-each.handoff.total, each.handoff.at, each.key))
