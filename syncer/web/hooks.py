"""What a CRM says by itself, kept as hints: which records to read again now."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import structlog

from syncer.app import App
from syncer.connector import Knock, Listener, Source
from syncer.errors import SyncerError
from syncer.settings import Project
from syncer.store import hints

log = structlog.get_logger(__name__)

TAKEN, NOT_GENUINE, UNKNOWN, BROKEN, UNABLE = 204, 401, 404, 500, 503


class Hooks:
    """Takes one request after the other, from any thread. `now` is the app as it is after the latest reload."""

    def __init__(self, now: Callable[[], App], wake: Callable[[], None]) -> None:
        self._now = now
        self._wake = wake
        self._built: tuple[Project, Mapping[str, Source]] | None = None
        self._told: dict[str, int] = {}  # connection -> the status of the refusals that have been told

    def listening(self) -> list[str]:
        """The connections whose CRM may call."""
        return [name for name in self._connectors() if self._listener(name) is not None]

    def take(self, name: str, knock: Knock) -> int:
        """The HTTP status to answer with. The CRM sends again later what is answered with 5xx."""
        try:
            status = self._take(name, knock)
        except SyncerError as failure:
            self._tell(name, UNABLE, failure.message)
            return UNABLE
        except Exception:
            log.exception("hook_crashed", connection=name)
            return BROKEN
        if status == NOT_GENUINE:
            self._tell(name, status, "not signed by the CRM for this address, or not just now; is the secret right?")
        return status

    def _take(self, name: str, knock: Knock) -> int:
        listener = self._listener(name)
        if listener is None:
            return UNKNOWN
        keys = listener.heard(knock)
        if keys is None:
            return NOT_GENUINE
        if keys:
            with self._now().store.writing() as tx:
                hints.hint(tx, keys, knock.at)
            self._wake()
        self._told.pop(name, None)
        log.debug("hook_taken", connection=name, records=len(keys))
        return TAKEN

    def _listener(self, name: str) -> Listener | None:
        found = self._connectors().get(name)
        return found if isinstance(found, Listener) and found.listens else None

    def _connectors(self) -> Mapping[str, Source]:
        """By connection, built once for each project that was loaded; none of them calls its CRM here."""
        app, built = self._now(), self._built
        if built is None or built[0] is not app.project:
            built = app.project, {each.name: app.connector(each) for each in app.project.connections}
            self._built = built
        return built[1]

    def _tell(self, name: str, status: int, reason: str) -> None:
        """Once, until a request is taken: whoever knocks at a public door must not fill the log."""
        if self._told.get(name) != status:
            self._told[name] = status
            log.warning("hooks_refused", connection=name, status=status, reason=reason)
