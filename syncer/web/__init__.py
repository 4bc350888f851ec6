"""The door: one small HTTP server in a thread of the daemon.

It takes what a CRM says of its records by itself (`POST /hooks/CONNECTION`), and tells a supervisor whether the process
lives (`GET /livez`) and can work (`GET /readyz`). None of these needs a sign-in: a hook proves itself by the CRM's
signature, and the other two tell nothing but their status. So any address may be listened at; what will show leads
must ask who is there first.
"""

from syncer.web.server import serve

__all__ = ["serve"]
