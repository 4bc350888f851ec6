"""The error tree. An error about a run is one of these; its class says who must act.

SyncerError
├── ConfigError        a person must change a file, a token or a scope; never retried; exit 2
├── TemporaryError     nobody; the run is tried again later; exit 4
│   └── ShareUsed      nobody; our own share of the CRM's requests is used up, but for what is more urgent; exit 4
├── UnsafePlanError    a person must look at the plan; nothing was written; exit 6
├── StalePlanError     the world moved since the plan was saved; plan again; exit 1
├── LeaseLost          another process took over this connection; this one stops; exit 4
├── Stopped            the process was asked to stop; what is stored stays; exit 0
├── Refused            what was asked for cannot be done as things stand; nothing was changed; exit 1
└── NotFound           a selector (lead, run, connection) matches nothing; exit 1

An error about one record is data (`model.Rejected`), never an exception. Anything else that escapes is a bug and
keeps its traceback.
"""

from __future__ import annotations


class SyncerError(Exception):
    """One sentence of what, of what and what to do now; `code` is stable and documented (`SY042`)."""

    exit_code = 1

    def __init__(self, message: str, *, code: str = "SY000") -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class ConfigError(SyncerError):
    """A person must change a file, a token or a scope. Never retried."""

    exit_code = 2


class TemporaryError(SyncerError):
    """The other side is unwell or asks for patience; `retry_after_s` is its wish in seconds, where it said one."""

    exit_code = 4

    def __init__(self, message: str, *, code: str = "SY000", retry_after_s: float | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after_s = retry_after_s


class ShareUsed(TemporaryError):
    """The CRM would answer, but our own share of its requests is used up for this. The rest of the share is kept for
    what is more urgent, and that goes on."""


class UnsafePlanError(SyncerError):
    """The plan moves or alerts more than the limits allow; nothing was written."""

    exit_code = 6


class StalePlanError(SyncerError):
    """The leads or the rules changed since the plan was saved; nothing was written."""

    exit_code = 1


class LeaseLost(SyncerError):
    """Another process holds the connection now; whatever this one had not committed is gone."""

    exit_code = 4


class Stopped(SyncerError):
    """The process was asked to stop while it worked; everything stored so far stays."""

    exit_code = 0


class NotFound(SyncerError):
    """A selector matches nothing."""

    exit_code = 1


class Refused(SyncerError):
    """What was asked for cannot be done as things stand, as what was settled before; nothing was changed."""

    exit_code = 1
